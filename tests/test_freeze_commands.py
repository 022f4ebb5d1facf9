"""`maintsched freeze`: entered, listed and ended from the command line, with evidence for every instance it covers."""

import json

import pytest
from click.testing import CliRunner

from maintsched.cli import main
from maintsched.journal import PROVIDER, EntryKind
from maintsched.store.declared import freezes_in_force, read_freezes
from maintsched.store.evidence import chains, entries_of
from tests.homes import NOW, open_home

REASON = ("--reason", "annual accounts")


@pytest.fixture(autouse=True)
def home(migrated_file, tmp_path, monkeypatch):
    with open_home(migrated_file, tmp_path, monkeypatch) as store:
        path = tmp_path / "fleet.toml"
        path.write_text(path.read_text().partition("[[freeze]]")[0])
        assert CliRunner().invoke(main, ["fleet", "sync", "--now", NOW]).exit_code == 0
        yield store


def run(*args, code=0, now=NOW):
    result = CliRunner().invoke(main, ["freeze", *args, "--now", now], prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def add(*args, code=0, reason=REASON, now=NOW):
    return run("add", *reason, *args, code=code, now=now)


def freezes(store):
    with store.reading() as connection:
        return read_freezes(connection)


def entries(store, *kinds):
    with store.reading() as connection:
        found = [entry for chain in chains(connection) for entry in entries_of(connection, chain)]
    return [(each.chain, each.kind, each.subject) for each in found if each.kind in kinds]


def test_a_freeze_is_entered_and_names_the_windows_it_lies_over(home):
    over = "freeze year-end (annual accounts) keeps minor, major changes out until 2027-01-07 00:00"
    found = add("--from", "18.12.2026", "--to", "7 Jan 2027", "--customer", "acme", "--key", "year-end")
    assert found.stdout.splitlines() == [
        "freeze year-end, ahead: 2026-12-18 00:00 CET to 2027-01-07 00:00 CET, minor, major",
        "  customer acme: 2 instances; annual accounts",
        f"  over monthly/2027-01: {over}",
    ]
    added = EntryKind.FREEZE_ADDED
    assert entries(home, added) == [(key, added, "freeze/year-end") for key in ("acme-prod", "acme-test")]


def test_a_freeze_over_no_window_says_so(home):
    assert "over no window" in add("--for", "4 h", "--instance", "acme-prod").stdout


@pytest.mark.parametrize(
    ("length", "end"),
    [
        ("4 h", "2026-11-23 13:00 CET"),
        ("PT90M", "2026-11-23 10:30 CET"),
        ("14 days", "2026-12-07 09:00 CET"),
        ("P1M", "2026-12-23 09:00 CET"),
        ("20 weeks", "2027-04-12 09:00 CEST"),
    ],
)
def test_a_length_is_elapsed_time_or_a_calendar_period(home, length, end):
    assert f"2026-11-23 09:00 CET to {end}" in add("--for", length, "--instance", "acme-prod").stdout


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--to", "2027-01-01", "--for", "4 h"),
        ("--for", "a while"),
        ("--to", "soon"),
    ],
)
def test_a_freeze_without_one_readable_end_is_a_wrong_usage(home, args):
    assert add("--instance", "acme-prod", *args, code=2).stderr
    assert not freezes(home)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--to", "2026-11-22", "--from", "2026-11-20", "--instance", "acme-prod"), "end: expected an instant after"),
        (("--to", "2026-11-22", "--instance", "acme-prod"), "end: expected an instant after"),
        (("--for", "4 h", "--instance", "acme-prd"), "did you mean acme-prod?"),
        (("--for", "4 h", "--customer", "acne"), "did you mean acme?"),
        (("--for", "4 h", "--instance", "acme-prod", "--key", "a/b"), "key: expected"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(home, args, said):
    refused = add(*args, code=1)
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not freezes(home)


def test_a_freeze_of_the_whole_fleet_wants_yes(home):
    refused = add("--for", "14 days", code=1)
    assert "whole fleet, 3 instances: acme-prod, acme-test, birch-prod; nothing was done" in refused.stderr
    assert not freezes(home)
    assert "the whole fleet: 3 instances" in add("--for", "14 days", "--yes").stdout
    assert len(entries(home, EntryKind.FREEZE_ADDED)) == 3


def test_a_freeze_that_covers_nobody_is_still_written_down(home):
    with home.writing() as connection:
        connection.exec_driver_sql("DELETE FROM instance")
    add("--for", "4 h", "--customer", "acme")
    assert [chain for chain, _, _ in entries(home, EntryKind.FREEZE_ADDED)] == [PROVIDER]


def test_without_a_key_a_freeze_is_called_by_its_first_day_and_a_number(home):
    for _ in range(3):
        add("--for", "4 h", "--instance", "acme-prod")
    assert [each.freeze.key for each in freezes(home)] == ["2026-11-23", "2026-11-23-2", "2026-11-23-3"]
    refused = add("--for", "4 h", "--instance", "acme-prod", "--key", "2026-11-23", code=1)
    assert "give another one with --key" in refused.stderr


def test_classes_are_those_asked_for(home):
    add("--for", "4 h", "--instance", "acme-prod", "--class", "security", "--class", "os")
    (kept,) = freezes(home)
    assert [str(each) for each in kept.freeze.classes] == ["security", "os"]


def test_a_freeze_ends_before_its_time_with_a_reason(home):
    add("--for", "14 days", "--instance", "acme-prod", "--key", "fair")
    later = "2026-11-25T09:00:00+01:00"
    ended = run("end", "fair", "--reason", "the fair was called off", now=later)
    assert ended.stdout.startswith("freeze fair, ended at 2026-11-25 09:00 CET: ")
    assert [f"{each.end:%d %H}" for each in freezes_in_force(freezes(home))] == ["25 08"]
    assert [chain for chain, _, _ in entries(home, EntryKind.FREEZE_ENDED)] == ["acme-prod"]
    again = run("end", "fair", "--reason", "twice", now=later, code=1)
    assert "expected one that has not ended yet" in again.stderr
    assert len(entries(home, EntryKind.FREEZE_ENDED)) == 1


def test_a_freeze_that_is_called_off_before_it_begins_never_holds(home):
    add("--from", "in 3 days", "--for", "14 days", "--instance", "acme-prod", "--key", "fair")
    run("end", "fair", "--reason", "called off")
    assert not freezes_in_force(freezes(home))


def test_a_freeze_that_is_over_or_unknown_cannot_be_ended(home):
    add("--for", "4 h", "--instance", "acme-prod", "--key", "short")
    over = run("end", "short", "--reason", "late", now="2026-11-24T09:00:00+01:00", code=1)
    assert "ended by itself" in over.stderr
    assert "did you mean short?" in run("end", "shirt", "--reason", "typo", code=1).stderr


def test_freezes_are_listed_with_their_state(home):
    assert run("list").stdout == "no freeze is in force or ahead\n"
    add("--for", "4 h", "--instance", "acme-prod", "--key", "short")
    add("--from", "tomorrow", "--for", "4 days", "--customer", "acme", "--key", "long")
    later = "2026-11-24T09:00:00+01:00"
    assert [line.split(",")[0] for line in run("list", now=later).stdout.splitlines()[::2]] == ["freeze long"]
    listed = json.loads(run("list", "--all", "--json", now=later).stdout)
    assert [(each["key"], each["state"], each["covers"]) for each in listed] == [
        ("short", "over", 1),
        ("long", "in_force", 2),
    ]
    assert {"start", "end", "ended_at", "reason", "classes", "customers", "instances"} < set(listed[0])

"""`maintsched pause` and `resume`: work is halted at once, with evidence, and goes on when somebody says so."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner

from maintsched.cli import main
from maintsched.facts import ChangeClass
from maintsched.journal import PROVIDER, EntryKind
from maintsched.runs import Run, RunItem, RunState
from maintsched.store.evidence import chains, entries_of
from maintsched.store.orders import read_pauses
from maintsched.store.runs import enter_runs, read_run, write_run
from tests.homes import NOW, open_home

WHY = ("--reason", "the storage is failing")


@pytest.fixture(autouse=True)
def home(migrated_file, tmp_path, monkeypatch):
    with open_home(migrated_file, tmp_path, monkeypatch) as store:
        assert CliRunner().invoke(main, ["fleet", "sync", "--now", NOW]).exit_code == 0
        yield store


def run(*args, code=0, now=NOW):
    words = args if "list" in args else (*args, "--now", now)
    result = CliRunner().invoke(main, words, prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def pauses(store, *, everything=False):
    with store.reading() as connection:
        return read_pauses(connection, everything=everything)


def entries(store, kind):
    with store.reading() as connection:
        found = [entry for chain in chains(connection) for entry in entries_of(connection, chain)]
    return [(each.chain, each.subject, dict(each.data)) for each in found if each.kind is kind]


def under_way(store, instance, customer):
    start = datetime.fromisoformat(NOW)
    item = RunItem(component="linux", change_class=ChangeClass.OS)
    entered = Run(
        window="monthly/2026-11",
        instance=instance,
        customer=customer,
        host="10.0.0.5",
        executor="portal",
        start=start,
        end=start + timedelta(hours=4),
        items=(item,),
        wave=0,
    )
    with store.writing() as connection:
        enter_runs(connection, [entered], start)
        kept = read_run(connection, entered.key)
        write_run(connection, replace(kept, run=replace(kept.run, state=RunState.RUNNING)), now=start)
    return entered.key


def test_a_pause_of_the_whole_fleet_holds_at_once_without_a_question(home):
    assert run("pause", *WHY).stdout.splitlines() == [
        "pause 2026-11-23, since 2026-11-23 09:00 CET, until `maintsched resume 2026-11-23`",
        "  the whole fleet: 3 instances; the storage is failing",
    ]
    (pause,) = pauses(home)
    assert pause.covers("acme", "acme-prod")
    assert pause.covers("birch", "birch-prod")
    assert entries(home, EntryKind.PAUSE_BEGUN) == [
        (PROVIDER, "pause/2026-11-23", {"reason": "the storage is failing"})
    ]


def test_a_pause_holds_for_the_customers_and_instances_that_are_named(home):
    found = run("pause", *WHY, "--customer", "birch", "--instance", "acme-test", "--key", "flood")
    assert "  customer birch, acme-test: 2 instances; the storage is failing" in found.stdout
    (pause,) = pauses(home)
    assert not pause.covers("acme", "acme-prod")
    assert [chain for chain, _, _ in entries(home, EntryKind.PAUSE_BEGUN)] == ["acme-test", "birch-prod"]


def test_a_pause_names_the_runs_that_are_under_way_in_it(home):
    mine, other = under_way(home, "acme-prod", "acme"), under_way(home, "birch-prod", "birch")
    said = run("pause", *WHY, "--customer", "acme").stdout
    assert f"  under way, and begins no further change: {mine}\n" in said
    assert other not in said
    assert json.loads(run("pause", "list", "--json").stdout)[0]["under_way"] == [mine]


def test_a_pause_without_a_reason_is_a_wrong_usage(home):
    refused = run("pause", code=2)
    assert "a pause needs a reason" in refused.stderr
    assert not pauses(home)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--instance", "acme-prd"), "did you mean acme-prod?"),
        (("--customer", "acne"), "did you mean acme?"),
        (("--key", "a/b"), "key: expected"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(home, args, said):
    refused = run("pause", *WHY, *args, code=1)
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not pauses(home)
    assert not entries(home, EntryKind.PAUSE_BEGUN)


def test_without_a_key_a_pause_is_called_by_its_day_and_a_number(home):
    for _ in range(3):
        run("pause", *WHY, "--instance", "acme-prod")
    assert [each.key for each in pauses(home)] == ["2026-11-23", "2026-11-23-2", "2026-11-23-3"]
    assert "give another one with --key" in run("pause", *WHY, "--key", "2026-11-23", code=1).stderr


def test_a_pause_has_no_end_but_the_one_that_somebody_gives_it(home):
    run("pause", *WHY, "--customer", "acme", "--key", "move")
    later = "2027-11-25T09:00:00+01:00"
    assert "pause move, since 2026-11-23 09:00 CET, until" in run("pause", "list").stdout
    ended = run("resume", "move", "--reason", "all is well", now=later)
    assert ended.stdout.startswith("pause move, since 2026-11-23 09:00 CET, ended at 2027-11-25 09:00 CET\n")
    assert not pauses(home)
    assert [(chain, data["why"]) for chain, _, data in entries(home, EntryKind.PAUSE_ENDED)] == [
        ("acme-prod", "all is well"),
        ("acme-test", "all is well"),
    ]


def test_a_pause_ends_once(home):
    run("pause", *WHY, "--key", "storm")
    run("resume", "storm")
    assert "expected one that holds" in run("resume", "storm", code=1).stderr
    assert "did you mean storm?" in run("resume", "strom", code=1).stderr
    assert len(entries(home, EntryKind.PAUSE_ENDED)) == 1


def test_a_reason_to_go_on_is_one_line_of_text(home):
    run("pause", *WHY, "--key", "storm")
    assert "reason: expected" in run("resume", "storm", "--reason", "a\nb", code=1).stderr
    assert len(pauses(home)) == 1


def test_resuming_says_what_still_holds(home):
    run("pause", *WHY, "--key", "all")
    run("pause", *WHY, "--customer", "acme", "--key", "some")
    assert "  still held by pause all: 2 of them" in run("resume", "some").stdout
    assert "still held" not in run("resume", "all").stdout


def test_pauses_are_listed_as_text_and_as_json(home):
    assert run("pause", "list").stdout == "nothing is paused\n"
    run("pause", *WHY, "--instance", "acme-prod", "--key", "one")
    run("resume", "one")
    assert run("pause", "list").stdout == "nothing is paused\n"
    assert "pause one, " in run("pause", "list", "--all").stdout
    (found,) = json.loads(run("pause", "list", "--all", "--json").stdout)
    assert found.pop("since").startswith("2026-11-23T")
    assert found.pop("resumed_at").startswith("2026-11-23T")
    assert found == {
        "key": "one",
        "reason": "the storage is failing",
        "customers": [],
        "instances": ["acme-prod"],
        "covers": 1,
        "under_way": [],
    }

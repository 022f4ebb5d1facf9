"""`maintsched fleet` on the command line: it shows first, asks where much is at stake, and prints what people need."""

import json
import os
import pty
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintsched.cli import main
from maintsched.store.evidence import chains
from maintsched.store.fleets import read_fleet
from tests.homes import NOW, open_home


@pytest.fixture
def home(migrated_file, tmp_path, monkeypatch):
    with open_home(migrated_file, tmp_path, monkeypatch) as store:
        yield store


def run(*args, code=0):
    result = CliRunner().invoke(main, ["fleet", *args], prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def sync(*args, code=0):
    return run("sync", *args, "--now", NOW, code=code)


def written(store):
    with store.reading() as connection:
        return read_fleet(connection), chains(connection)


def change(old, new):
    path = Path("fleet.toml")
    path.write_text(path.read_text().replace(old, new))


def test_the_difference_is_shown_and_the_files_of_the_configuration_are_taken_over(home):
    found = sync()
    assert found.stdout.splitlines() == [
        "+ customer     acme",
        "+ customer     birch",
        "+ contact      acme/eva",
        "+ contact      birch/ops",
        "+ instance     acme-prod",
        "+ instance     acme-test",
        "+ instance     birch-prod",
        "+ release      intrexx/12.1.0",
        "+ deferral     acme-prod/12.1.0",
        "+ freeze       year-end",
        "2 customers added, 2 contacts added, 3 instances added, 1 release added, 1 deferral added, 1 freeze added",
    ]
    assert found.stderr == "taken over\n"
    again = sync()
    assert (again.stdout, again.stderr) == ("nothing changes\n", "")


def test_a_dry_run_changes_nothing(home):
    sync("--dry-run", "fleet.toml")
    assert not written(home)[1]


def test_a_change_is_shown_field_by_field(home):
    sync()
    change('"10.0.0.6"', '"10.0.0.9"')
    assert sync().stdout.splitlines()[0] == "~ instance     acme-test: host 10.0.0.6 -> 10.0.0.9"
    change("Eva Muster", "Eva Neumann")
    found = json.loads(sync("--json").stdout)
    assert found["changes"] == [
        {
            "thing": "contact",
            "change": "changed",
            "key": "acme/eva",
            "customer": "acme",
            "fields": {"name": {"before": "Eva Muster", "after": "Eva Neumann"}},
        }
    ]
    assert found["counts"] == {"contact": {"changed": 1}}


def test_what_the_files_no_longer_name_is_left_there_and_told(home):
    sync()
    change('instance = [{ key = "birch-prod", host = "10.0.0.7" }]', "")
    assert sync().stdout.splitlines() == [
        "nothing changes",
        "the files do not name birch-prod: left there; --prune removes what they do not name",
    ]
    assert "birch-prod" in written(home)[0].owners


def test_without_a_terminal_a_removal_wants_yes_and_nothing_is_done_without_it(home):
    sync()
    change('instance = [{ key = "birch-prod", host = "10.0.0.7" }]', "")
    before = written(home)
    refused = sync("--prune", code=1)
    assert "- instance     birch-prod" in refused.stdout
    assert refused.stderr == (
        "Error: 1 of 7 are changed or removed: birch-prod (removed); nothing was done: look at it and give --yes\n"
    )
    assert written(home) == before
    sync("--prune", "--yes")
    assert "birch-prod" not in written(home)[0].owners


def test_without_a_terminal_many_changes_want_yes(home):
    sync()
    change("10.0.0", "10.1.0")
    assert "3 of 7 are changed or removed" in sync(code=1).stderr
    assert "host 10.0.0.5" in sync("--yes").stdout


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_at_a_terminal_it_asks(home, monkeypatch, capfd, answer, code):
    sync()
    change("10.0.0", "10.1.0")
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(SystemExit) as ended:
            main(["fleet", "sync", "--now", NOW])
    os.close(ours)
    assert ended.value.code == code
    asked = "3 of 7 are changed or removed: acme-prod (changed), acme-test (changed), birch-prod (changed)"
    assert asked in capfd.readouterr().err
    assert written(home)[0].instance("acme-prod").host == ("10.1.0.5" if code == 0 else "10.0.0.5")


def test_a_long_difference_is_cut_and_counted(home):
    more = "".join(
        f'\n[[customer]]\nkey = "c{n}"\nname = "C"\nlanguage = "de"\npackage = "premium"\n' for n in range(25)
    )
    Path("more.toml").write_text(more)
    lines = sync("more.toml").stdout.splitlines()
    assert lines[20:] == ["+ customer     and 5 more", "25 customers added"]


def test_no_file_at_all_is_a_wrong_usage(home):
    path = Path("maintsched.toml")
    path.write_text(path.read_text().replace('fleet = "fleet.toml"', ""))
    assert "no file: name one" in sync(code=2).stderr


def test_customers_are_listed(home):
    assert "maintsched fleet sync" in run("list").stdout
    sync()
    assert run("list").stdout.splitlines() == [
        "acme   ACME GmbH, premium, de: 2 instances, 1 contact",
        "birch  Birch Ltd, premium, en: 1 instance, 1 contact",
    ]
    listed = json.loads(run("list", "--json").stdout)
    assert [each["key"] for each in listed] == ["acme", "birch"]
    assert listed[0]["contacts"][0]["email"] == "eva@acme.example"
    assert listed[0]["instances"][1] == {"key": "acme-test", "environment": "test", "host": "10.0.0.6"}


def test_a_customer_is_shown_with_what_is_ahead_of_it(home):
    sync()
    ahead = "monthly/2026-12, Tue 1 Dec 2026, 17:00 – 21:00 CET: not told yet, due before Tue 24 Nov 2026, 00:00 CET"
    assert run("show", "acme", "--now", NOW).stdout.splitlines() == [
        "acme  ACME GmbH, package premium, language de",
        "  contact eva: Eva Muster <eva@acme.example>, system_responsible, Europe/Berlin",
        "  instance acme-prod, prod of acme",
        "    on 10.0.0.5, https://acme.example",
        "    track silent, intrexx 12.0.3",
        f"    next window {ahead}",
        "    freeze year-end until Thu 7 Jan 2027, 00:00 CET: minor, major (annual accounts)",
        "    deferral of 12.1.0 until Thu 1 Apr 2027, 00:00 CEST, goes in with monthly/2027-04",
        "  instance acme-test, test of acme",
        "    on 10.0.0.6, https://acme-test.example",
        "    track silent",
        f"    next window {ahead}",
        "    freeze year-end until Thu 7 Jan 2027, 00:00 CET: minor, major (annual accounts)",
    ]


def test_an_instance_is_shown_alone(home):
    sync()
    assert run("show", "birch-prod", "--now", NOW).stdout.startswith("instance birch-prod, prod of birch\n")
    shown = json.loads(run("show", "acme-test", "--json", "--now", NOW).stdout)
    assert shown["customer"] == "acme"
    assert shown["url"] == "https://acme-test.example"
    assert shown["next_window"] == {
        "id": "monthly/2026-12",
        "start": "2026-12-01T17:00:00+01:00",
        "end": "2026-12-01T21:00:00+01:00",
        "deadline": "2026-11-24T00:00:00+01:00",
        "told_at": None,
    }
    assert [each["key"] for each in shown["freezes"]] == ["year-end"]
    whole = json.loads(run("show", "acme", "--json", "--now", NOW).stdout)
    assert whole["contacts"][0]["key"] == "eva"
    assert whole["instances"][1] == shown


def test_an_unknown_key_is_refused_with_the_nearest_one(home):
    sync()
    assert "did you mean acme-prod?" in run("show", "acme-prd", code=1).stderr


def test_a_contact_is_erased_only_with_yes_and_what_remains_is_told(home):
    sync()
    assert "nothing was done" in run("erase", "acme/eva", code=1).stderr
    assert run("erase", "acme/eva", "--yes", "--now", NOW).stdout.splitlines() == [
        "acme/eva is erased: name, address and the salt of its hash",
        "acme has no other contact: nobody of it can be told until the fleet files name one",
        "what remains: the key acme/eva, and in the journal a hash of the address that nobody can follow",
        "take the contact out of the fleet files too; mails that were sent and backups keep what they hold",
    ]
    assert "was erased at 2026-11-23T08:00:00+00:00" in run("erase", "acme/eva").stdout
    assert "customer and contact, such as acme/eva" in run("erase", "eva", code=1).stderr


def test_an_address_that_was_typed_elsewhere_makes_the_erasure_fail_after_it_was_done(home):
    change("annual accounts", "ask eva@acme.example")
    sync()
    failed = run("erase", "acme/eva", "--yes", code=1)
    assert "acme/eva is erased" in failed.stdout
    assert "still stands in freeze.reason, journal.data" in failed.stderr

"""What commands promise on bad days: half a file is taken away again, and what is refused is refused with its place."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from maintsched.errors import ChangeRefused, FileError, InvalidValue
from maintsched.facts import Facts, Outage
from maintsched.fleet import Fleet
from maintsched.intake.config import FileName, find_config, load_config
from maintsched.intake.databases import database_url as url_of
from maintsched.store.declared import KeptOutage, write_outage
from maintsched.worker.exports import verify_export
from tests.casefiles import write_config
from tests.test_cli import FLEET, NOW, plan
from tests.test_cli import run as command
from tests.test_covered_heads import room
from tests.test_evidence_commands import exported, home
from tests.test_fleet_sync import ACME, BIRCH, CONSENT, DAY, fleet_in, sync
from tests.test_fleet_sync import NOW as SYNCED
from tests.test_init import files_in
from tests.test_init import run as init

__all__ = ["exported", "home"]  # fixtures


def test_what_is_in_force_for_others_keeps_nothing_from_being_removed(store):
    other = replace(CONSENT, instance="acme-prod")
    sync(store, facts=Facts(consents=(other, replace(CONSENT, until=SYNCED))))
    with store.writing() as connection:
        for key, outage in (
            ("open", Outage(start=SYNCED - DAY, instance="acme-prod")),
            ("over", Outage(start=SYNCED - DAY, end=SYNCED + DAY, instance="birch-prod")),
        ):
            write_outage(connection, KeptOutage(key=key, outage=outage))
    sync(store, Fleet(customers=(ACME,)), prune=True)
    assert [each.key for each in fleet_in(store).customers] == ["acme"]
    with pytest.raises(ChangeRefused) as refused:
        sync(store, Fleet(customers=(replace(BIRCH, instances=()),)), prune=True)
    assert "2 in force" in str(refused.value)
    assert "outage open of acme-prod" in str(refused.value)
    assert "consent of acme-prod" in str(refused.value)


def test_half_a_file_is_taken_away_so_that_the_next_init_writes_a_whole_one(tmp_path):
    folder = tmp_path / "home"
    with room(500):
        init(folder, error=OSError)
    assert files_in(folder) == set()
    init(folder)
    assert "maintsched.toml" in files_in(folder)


def test_a_home_that_nobody_has_is_no_place_for_a_file_or_a_database(tmp_path):
    with pytest.raises(InvalidValue, match="database: expected a path below a home that is known"):
        url_of("~nobody-of-that-name/maintsched.db", tmp_path)
    with pytest.raises(InvalidValue, match="path: expected a path below a home that is known"):
        FileName.parse("~nobody-of-that-name/fleet.toml")
    assert url_of("~/maintsched.db", tmp_path) == f"sqlite:///{Path.home()}/maintsched.db"


def test_a_configuration_that_cannot_be_looked_at_is_refused_and_no_other_one_takes_its_place(tmp_path, monkeypatch):
    user = tmp_path / "config" / "maintsched" / "maintsched.toml"
    user.parent.mkdir(parents=True)
    write_config(tmp_path).rename(user)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    monkeypatch.chdir(tmp_path)
    assert find_config(environ=environ) == user
    (tmp_path / "maintsched.toml").symlink_to("maintsched.toml")
    with pytest.raises(FileError, match=r"^maintsched\.toml: .*[Tt]oo many levels"):
        load_config(environ=environ)


@pytest.mark.parametrize("text", ["in 9999 months", "in 9999 Wochen", "in 9999 monaten"])
def test_a_distance_past_the_last_year_is_refused(text):
    said = plan("--from", text, code=2).stderr
    assert "Error: Invalid value for --from" in said


def test_what_is_no_version_names_no_release_and_no_deferral():
    for subject in ("release/soon", "release/intrexx/12.x", "deferral/acme-prod/later"):
        said = command("explain", subject, "--fleet", FLEET, "--now", NOW, code=1).stderr
        assert said.startswith("Error: id: expected one of ")
        assert subject in said


@pytest.mark.parametrize(
    ("changed", "key", "expected"),
    [
        ({"at": "2026-11-20T08:00:12"}, "at", "an instant"),
        ({"at": "1999-11-20T08:00:12Z"}, "at", "an instant"),
        ({"at": "yesterday"}, None, "an instant and a kind of entry that are known"),
        ({"kind": "said_so"}, None, "an instant and a kind of entry that are known"),
    ],
)
def test_an_entry_of_an_export_that_no_journal_holds_is_refused_with_its_place(exported, changed, key, expected):
    file, whole = exported
    whole["journal"]["entries"][1].update(changed)
    file.write_text(json.dumps(whole))
    with pytest.raises(FileError) as refused:
        verify_export(file)
    place = "journal.entries.1" + (f".{key}" if key else "")
    assert (refused.value.key, refused.value.expected) == (place, expected)

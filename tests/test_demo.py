"""`maintsched demo`: the whole story ends well on any day, leaves what it promises, and touches nothing else."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path

import pytest
from click.testing import CliRunner

import maintsched as ms
from maintsched.cli import main
from maintsched.cli.demo import _beginning, _next_reminder

CONTRACT = ms.load_contract()
NOW = "2026-11-04T10:00:00+01:00"
LEFT = {"maintsched.toml", "fleet.toml", "maintsched.db", "plan.html", "evidence.html", "heartbeat.json", "mail"}


def play(folder, now=NOW, code=0):
    result = CliRunner().invoke(main, ["demo", str(folder), "--now", now], prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A folder in which the demo was played, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "here"
    return folder, play(folder)


def told(folder: Path) -> list[tuple[str, str]]:
    """Whom the mails went to and what about, in no order: several connections carry them at once."""
    mails = [message_from_bytes(path.read_bytes(), policy=SMTP) for path in (folder / "mail").iterdir()]
    return sorted((mail["To"], mail["Subject"]) for mail in mails)


def test_it_leaves_what_it_promises(played):
    folder, result = played
    assert {path.name for path in folder.iterdir()} >= LEFT
    assert all((folder / name).stat().st_size > 500 for name in LEFT - {"mail", "heartbeat.json"})
    for page in ("plan.html", "evidence.html"):
        assert (folder / page).read_text("utf-8").lstrip().startswith("<!doctype html>")
    assert (folder / "maintsched.db").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "Done. 52 mails went through the mail server" in result.stdout
    assert "maintsched window list" in result.stdout.splitlines()[-1]


def test_it_tells_the_story_of_the_product(played):
    _, result = played
    said = result.output
    for part in (
        "12 customers added",
        "so that it can be announced in time (clause 2.4.3.2)",
        "counts   as planned",
        "change   significant: it ends later",
        "critical/switch  cancelled",
        "costs    eiche-prod, 2026-11: 120 min",
        "accepted",
        "monthly/2026-12",
        "deferral birch-prod/12.1.0 granted",
        "(6 months after ",
        "window: monthly/2026-12 opens",
        "runs: 17 done",
        "no fault",
    ):
        assert part in said
    assert "Traceback" not in said


def test_its_mails_tell_in_two_languages_who_has_to_know(played):
    folder, _ = played
    subjects = [subject for _, subject in told(folder)]
    assert len(subjects) == 52
    for words in (
        "Planned maintenance",
        "Geplante Wartung",
        "Maintenance moved",
        "Wartung abgesagt",
        "Notfallwartung",
        "Maintenance reminder",
        "Wartungserinnerung",
        "Update deferred",
        "Maintenance finished",
    ):
        assert any(words in subject for subject in subjects), words
    names = sorted(path.name for path in (folder / "mail").iterdir())
    assert names[0].startswith("001-")
    assert names[-1].startswith("052-")


def test_everything_after_it_works_with_the_configuration_it_left(played, monkeypatch):
    folder, _ = played
    monkeypatch.setenv("MAINTSCHED_CONFIG", str(folder / "maintsched.toml"))
    result = CliRunner().invoke(main, ["window", "list", "--all", "--json", "--now", NOW])
    rows = json.loads(result.stdout)
    assert {row["id"]: row["state"] for row in rows} == {
        "critical/disk": "confirmed",
        "critical/switch": "cancelled",
        "emergency/2026-11-05": "confirmed",
        "monthly/2026-12": "confirmed",
    }
    assert all(row["told"] == row["of"] for row in rows)
    assert CliRunner().invoke(main, ["evidence", "verify"]).exit_code == 0


def test_a_second_run_replaces_the_first_says_the_same_and_leaves_other_files_alone(played, tmp_path):
    folder, first = played
    again = tmp_path / "again"
    shutil.copytree(folder, again, symlinks=True)
    (again / "mine.txt").write_text("keep me")
    (again / "mail" / "999-old.eml").write_text("of an older demo")
    second = play(again)
    assert second.stdout.replace(str(again), "DIR") == first.stdout.replace(str(folder), "DIR")
    assert told(again) == told(folder)
    assert (again / "mine.txt").read_text() == "keep me"
    assert not (again / "mail" / "999-old.eml").exists()
    assert (again / "plan.html").read_bytes() == (folder / "plan.html").read_bytes()


@pytest.mark.parametrize("config", [None, "# my own\n"])
def test_another_folder_is_left_alone(tmp_path, config):
    (tmp_path / "thesis.txt").write_text("years of work")
    if config is not None:
        (tmp_path / "maintsched.toml").write_text(config)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert "expected a new folder, or an old demo's" in play(tmp_path, code=1).stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_no_folder_is_refused(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("x")
    assert "expected a folder to write to" in play(taken, code=1).stderr
    assert taken.read_text() == "x"


def test_on_every_day_of_two_years_no_reminder_is_due_before_its_turn_in_the_story():
    day = datetime(2026, 11, 1, tzinfo=UTC)
    for number in range(0, 2 * 365 * 24, 11):
        now = day + timedelta(hours=number)
        start = _beginning(CONTRACT, now)
        assert start >= now
        assert start - now < timedelta(days=20)
        window, goes_out = _next_reminder(CONTRACT, start)
        assert goes_out > start + timedelta(days=2)
        assert _next_reminder(CONTRACT, start + timedelta(days=1)) == (window, goes_out)


def test_it_ends_well_where_the_reminder_of_the_next_window_is_past(tmp_path):
    result = play(tmp_path / "demo", now="2026-11-25T08:00:00+01:00")
    assert "The story begins on 2026-12-02 at 10:00 (Europe/Berlin)" in result.stdout
    assert "promise broken" not in result.output

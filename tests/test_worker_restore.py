"""After a restore of an older database nothing is sent until an operator decides, and the journal says what it was."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from maintsched.errors import ChangeRefused
from maintsched.journal import EntryKind
from maintsched.store import open_store
from maintsched.store.ledger import ActionState
from maintsched.worker import announce as core
from maintsched.worker.restore import Resume, hold_of, resume
from maintsched.worker.tick import ExitCode
from tests.databases import sqlite_store
from tests.houses import REMINDED, critical, world

START = REMINDED + timedelta(days=9)
LATER = REMINDED + timedelta(hours=5)


@pytest.fixture
def home(tmp_path):
    """A house whose database was copied a day ago and put back now, after reminders and an announcement went out."""
    with sqlite_store(tmp_path) as store:
        made = world(store, tmp_path, now=REMINDED - timedelta(days=1))
        made.tick()
    path = Path(str(store.path))
    shutil.copy(path, tmp_path / "copy.db")
    with open_store(f"sqlite:///{path}") as store:
        made.house.store = store
        made.tick(REMINDED)
        core.announce(made.house, critical(start=START), now=made.now)
        made.tick()
        assert len(made.told()) == 5
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy.db", path)
    with open_store(f"sqlite:///{path}") as store:
        made.house.store = store
        made.forget()
        yield made


REMINDERS = {f"notice/reminder/monthly:2026-12/0/{who}" for who in ("acme/eva", "acme/otto", "birch/ops")}


def test_a_pass_on_a_restored_copy_sends_nothing_and_lists_what_may_have_been_sent(home):
    report = home.tick(LATER)
    assert home.told() == []
    assert report.exit_code is ExitCode.OPERATOR
    assert report.hold is not None
    assert set(report.hold.doubtful) == REMINDERS
    assert any("--resume" in problem for problem in report.problems)
    assert home.notices() == []


def test_the_hold_lasts_until_an_operator_leaves_it(home):
    for hours in range(3):
        assert home.tick(LATER + timedelta(hours=hours)).hold is not None
    assert home.told() == []


def test_an_operator_may_send_again_what_is_in_doubt(home):
    home.clock.set(LATER)
    hold = resume(home.house, Resume.AGAIN, now=home.now)
    assert set(hold.doubtful) == REMINDERS
    assert home.tick().hold is None
    assert set(home.told()) == REMINDERS
    begun = [entry for entry in home.entries("_provider") if entry.kind is EntryKind.EPOCH_BEGUN]
    assert begun[-1].data["resumed"] == "again"
    assert begun[-1].data["behind"]


def test_an_operator_may_take_what_is_in_doubt_for_sent_and_it_proves_nothing(home):
    home.clock.set(LATER)
    resume(home.house, Resume.ASSUME_SENT, now=home.now)
    for days in range(3):
        home.tick(LATER + timedelta(days=days))
    assert not set(home.told()) & REMINDERS
    assert {stored.state for stored in home.notices("monthly/2026-12")} == {ActionState.CANCELLED}
    assert not [entry for entry in home.entries("acme-prod") if entry.kind is EntryKind.NOTICE_ACCEPTED]
    report = home.tick(REMINDED + timedelta(days=5))
    assert not [key for key in home.told() if "breach" in key and key in REMINDERS]
    assert report.hold is None
    assert any(entry.kind is EntryKind.BREACH for entry in home.entries("acme-prod"))


def test_there_is_nothing_to_leave_where_nothing_is_held(tmp_path):
    with sqlite_store(tmp_path) as store:
        made = world(store, tmp_path, now=REMINDED)
        made.tick()
        assert hold_of(made.house, now=made.now) is None
        with pytest.raises(ChangeRefused, match="none that do"):
            resume(made.house, Resume.AGAIN, now=made.now)

"""A database that refuses results while mails are on their way: nothing more is sent, and nothing is forgotten."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import event

from maintsched.errors import StoreError
from maintsched.mail.outcomes import Outcome, Result, Step
from maintsched.store import engine
from maintsched.store.ledger import ActionState
from maintsched.worker import announce as core
from maintsched.worker import dispatch
from maintsched.worker.dispatch import LocalDispatch
from tests.databases import sqlite_store
from tests.houses import NOW, critical, world
from tests.test_crash_troubles import Held

START = NOW + timedelta(days=7)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A house that has three mails to send, and writes each result down at once; its database waits for nobody."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(dispatch, "MARK_COUNT", 1)
    monkeypatch.setattr(dispatch, "PATIENCE_PAUSE_SECONDS", 0.01)
    with sqlite_store(tmp_path) as store:
        made = world(store, tmp_path)
        made.tick()
        core.announce(made.house, critical(start=START, instances=("acme-prod", "birch-prod")), now=made.now)
        made.forget()
        yield made


@pytest.fixture
def other(home):
    held = Held(home.house.store)
    yield held
    held.free()


class Taking:
    """A mail server that takes mails, while another program takes the database at the first."""

    def __init__(self, other):
        self.other, self.keys = other, []

    async def deliver(self, mails):
        for mail in mails:
            self.keys.append(mail.key)
            if len(self.keys) == 1:
                self.other.take()
            yield Outcome(key=mail.key, result=Result.ACCEPTED, server="x:25", code=250, reply="Ok", step=Step.DOT)


def states(home):
    return sorted((str(each.state), each.accepted_at) for each in home.notices("critical/disk") if each.accepted_at)


def everything_once(home, first):
    home.house.mailer = home.mailer
    home.tick(LATER)
    assert sorted([*first, *home.told()]) == sorted({each.key for each in home.notices("critical/disk")})
    assert {each.state for each in home.notices("critical/disk")} == {ActionState.DONE}


def test_a_result_that_the_database_refuses_for_a_moment_is_written_down_and_nothing_is_sent_meanwhile(home, other):
    refused = []

    def free_at_the_second(_):
        refused.append(home.now)
        if len(refused) == 2:
            other.free()

    event.listen(home.house.store.engine, "handle_error", free_at_the_second)
    home.house.mailer = taking = Taking(other)
    delivered = asyncio.run(LocalDispatch(home.house).deliver())
    assert (len(taking.keys), len(refused)) == (1, 2)
    assert delivered.results == {"accepted": 1}
    assert states(home) == [("done", NOW)]
    everything_once(home, taking.keys)


def test_a_database_that_stays_locked_ends_the_pass_and_what_was_not_sent_is_sent_by_the_next(home, other, monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE_SHARE", 0)
    home.house.mailer = taking = Taking(other)
    with pytest.raises(StoreError, match="locked"):
        asyncio.run(LocalDispatch(home.house).deliver())
    assert len(taking.keys) == 1
    other.free()
    assert states(home) == []
    everything_once(home, [])

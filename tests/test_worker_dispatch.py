"""One process that claims, sends and marks: what is written down when, and what a pass says of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import select

from maintsched.mail.outcomes import Hint, Outcome, Result, Step
from maintsched.store.ledger import ACTION, ActionState
from maintsched.worker import announce as core
from maintsched.worker.dispatch import MARK_SECONDS, LocalDispatch, _or_nothing
from maintsched.worker.tick import ROUNDS_MAX, ExitCode, TickReport, deliver
from tests.databases import sqlite_store
from tests.houses import NOW, critical, world

START = NOW + timedelta(days=7)
ALL = ("acme-prod", "birch-prod")


@pytest.fixture
def home(tmp_path):
    with sqlite_store(tmp_path) as store:
        made = world(store, tmp_path, lease_seconds=300)
        made.tick()
        core.announce(made.house, critical(start=START, instances=ALL), now=made.now)
        made.forget()
        yield made


class Slow:
    """A mail server that takes its time, while the clock goes on."""

    def __init__(self, home, *, seconds, clock):
        self.home, self.seconds, self.clock, self.seen = home, seconds, clock, []

    async def deliver(self, mails):
        for mail in mails:
            await asyncio.sleep(self.seconds)
            self.home.clock.forward(self.clock)
            self.seen.append(leases(self.home))
            yield Outcome(key=mail.key, result=Result.ACCEPTED, server="slow:25", code=250, reply="Ok", step=Step.DOT)


def leases(home):
    with home.house.store.reading() as connection:
        running = select(ACTION.c.lease_until).where(ACTION.c.state == ActionState.RUNNING)
        return set(connection.execute(running).scalars())


def run(home, **more):
    return asyncio.run(LocalDispatch(home.house, **more).deliver())


def test_results_are_written_down_and_told_while_others_are_on_their_way(home):
    home.house.mailer, seen = Slow(home, seconds=1.5 * MARK_SECONDS, clock=timedelta()), []
    run(home, watcher=lambda delivered: seen.append(delivered.results["accepted"]))
    assert seen == [1, 2, 3]


def test_a_pass_that_takes_long_keeps_what_it_holds(home):
    home.house.mailer = slow = Slow(home, seconds=1.5 * MARK_SECONDS, clock=timedelta(seconds=200))
    report = run(home)
    assert report.results["accepted"] == 3
    assert slow.seen == [
        {NOW + timedelta(seconds=300)},
        {NOW + timedelta(seconds=500)},
        {NOW + timedelta(seconds=700)},
    ]
    assert {stored.attempt for stored in home.notices("critical/disk")} == {1}


def test_mails_that_nothing_was_tried_with_are_one_problem_for_the_operator(home):
    class Down:
        async def deliver(self, mails):
            for mail in mails:
                yield Outcome(
                    key=mail.key,
                    result=Result.DEFERRED,
                    server="mail:25",
                    reply="Connection refused",
                    hint=Hint.CONNECT,
                    step=Step.CONNECT,
                )

    home.house.mailer = Down()
    assert run(home).problems == ["mail:25: connect: Connection refused"]
    assert {(each.attempt, each.state) for each in home.notices("critical/disk")} == {(0, ActionState.READY)}


def test_a_refusal_that_came_with_a_code_says_so(home):
    home.mailer.answer = lambda mail: Result.REFUSED if "birch" in mail.key else Result.ACCEPTED
    report = home.tick()
    assert report.exit_code is ExitCode.OPERATOR
    assert "recorder:25: refused: 550 refused" in report.problems


def test_what_a_mail_server_that_breaks_had_accepted_is_written_down_first(home):
    class Broken:
        async def deliver(self, mails):
            for number, mail in enumerate(mails):
                if number == 1:
                    raise LookupError("the mailer itself is at fault")
                yield Outcome(key=mail.key, result=Result.ACCEPTED, server="x:25", code=250, reply="Ok", step=Step.DOT)

    home.house.mailer = Broken()
    with pytest.raises(LookupError, match="at fault"):
        run(home)
    states = [stored.state for stored in home.notices("critical/disk")]
    assert sorted(states) == [ActionState.DONE, ActionState.RUNNING, ActionState.RUNNING]


def test_a_pass_stops_after_some_rounds_of_mails_that_call_for_mails(home):
    rounds = []

    class Endless:
        """Takes one mail a round, and each calls for another."""

        async def deliver(self, mails):
            for mail in mails:
                rounds.append(mail.key)
                other = critical(f"more{len(rounds)}", start=START, instances=("birch-prod",))
                core.announce(home.house, other, now=home.now)
                yield Outcome(key=mail.key, result=Result.ACCEPTED, server="x:25", code=250, reply="Ok", step=Step.DOT)
                return

    home.house.mailer = Endless()
    home.house.config = replace(home.house.config, worker=replace(home.house.config.worker, batch=1))
    asyncio.run(deliver(home.house, TickReport(at=home.now)))
    assert len(rounds) == ROUNDS_MAX


def test_whoever_stops_listening_stops_what_is_waited_for():
    stopped = []

    async def never():
        try:
            await asyncio.Event().wait()
            yield None
        finally:
            stopped.append(True)

    async def listen():
        outcomes = cast(AsyncGenerator, _or_nothing(never(), 0.01))
        async with aclosing(outcomes):
            assert await anext(outcomes) is None
        await asyncio.sleep(0)

    asyncio.run(listen())
    assert stopped == [True]

"""The promise, as laws: whatever becomes of a house, its people, its mails and its hosts, and wherever a pass dies.

A machine of hypothesis does what operators, customers, mail servers, hosts and clocks do, in any order, between passes
and in the midst of them. `promise_watch` looks at each job in the instant in which it begins, and at what passes leave.
"""

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from maintsched.runs import Gate, RunState
from maintsched.worker.carry import Carrier
from maintsched.worker.operating import StepFate, retry
from tests.houses import DECEMBER
from tests.promise_house import KEYS
from tests.promise_machine import MINUTE, Promise
from tests.workshop import OPEN, one_customer, portal, workshop

EXAMPLES, STEPS = (600, 80) if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else (12, 50)
"""How many lives of a house are tried, and how long each is: `make fuzz` takes long, the others seconds."""
SCRIPT = {name: [f"/srv/{name}"] for name in ("probe", "plan", "stop", "apply", "start", "version")}
HAPPENINGS = {"freeze": 0, "pause": 1, "the window ends": 3, "the mail comes back": 4, "the subscription ends": 6}


@pytest.mark.fuzz
def test_nothing_begins_that_was_not_promised_and_nothing_that_began_is_lost():
    """Law of the work: window, proof, freeze, pause, deferral, cut-off, consent and limits, at each single step."""
    lives = settings(
        max_examples=int(os.environ.get("MAINTSCHED_PROMISES", EXAMPLES)),
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Promise, settings=lives)


# --- that the watch sees ----------------------------------------------------------------------------------------------


@pytest.fixture
def life():
    """A house whose life is told by a test."""
    begun = Promise()
    begun.move_in(script=SCRIPT, table={}, terms={}, every=99)
    yield begun
    begun.teardown()


def an_evening(life, *happenings):
    nothing: dict[str, Any] = {"faults": [], "answers": [], "ends": "finish", "brings": None}
    life._evening(into=0, looks=0, meanwhile=[(HAPPENINGS[each], 0) for each in happenings], **nothing)


def test_on_an_evening_without_trouble_everything_is_done(life):
    an_evening(life)
    assert {each["state"] for each in life.shop.watch.rows("run")} == {"done"}
    assert {each.run.rpartition("/")[2] for each in life.shop.watch.begun} == set(KEYS)
    assert life.shop.watch.broken == []


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_whatever_happens_in_the_midst_of_a_pass_nothing_more_begins(life, happening):
    an_evening(life, happening)
    assert life.shop.watch.broken == []


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_the_watch_sees_where_gates_are_not_asked_before_each_step(life, happening, monkeypatch):
    monkeypatch.setattr(Carrier, "check", lambda *_: None)
    an_evening(life, happening)
    assert life.shop.watch.broken


def test_the_watch_sees_a_job_that_nobody_wrote_down(life):
    host = life.shop.hosts["shared.host.example"]
    life.shop.watch.begins(host, "nobodys-1", life.shop.now)
    assert life.shop.watch.broken == ["nobodys-1 begins on shared.host.example and is not written down as started"]


# --- what was found ---------------------------------------------------------------------------------------------------


def test_a_host_is_one_however_it_is_written(store, tmp_path):
    one = one_customer(portal("one-prod", host="shared.host.example"), key="one")
    two = replace(one_customer(portal("two-prod", host="Shared.host.example"), key="two"), contacts=())
    shop = workshop(store, tmp_path, one, two)
    shop.open(OPEN)
    assert {each.gate for each in shop.runs()} == {Gate.NOTICE}
    assert shop.hosts.host("shared.host.example").calls == []


def test_a_backup_that_goes_on_past_the_end_is_told_of(store, tmp_path):
    shop = workshop(store, tmp_path, backup=("/srv/backup-now",))
    shop.host().answer("/srv/backup-age", stdout="none")
    shop.host().finish_after(looks=None)
    shop.open()
    shop.open(DECEMBER + timedelta(hours=4, minutes=1))
    titles = [each.notice.facts["alert"]["title"] for each in shop.world.notices() if each.notice.facts.get("alert")]
    assert any("goes on past the end" in each for each in titles)


@pytest.mark.parametrize("fate", StepFate)
def test_nothing_begins_beside_a_job_that_still_runs_whatever_an_operator_says_of_it(store, tmp_path, fate):
    shop = workshop(store, tmp_path, script={"rollback": ["/srv/rollback"]})
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().pinned = False
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.INTERRUPTED
    shop.host().pinned = True
    retry(shop.world.house, shop.run().key, reason="the key was changed", fate=fate, now=shop.world.now)
    for minutes in (2, 3):
        shop.open(OPEN + minutes * MINUTE)
    assert [each.command.argv[0] for each in shop.host().jobs.values()] == ["/srv/apply"]
    assert shop.state() is RunState.RUNNING
    shop.host().finish_after(looks=0)
    shop.open(OPEN + 4 * MINUTE)
    assert shop.run().over

"""The promise, as laws: whatever becomes of a house, its people, its mails and its hosts, and wherever a pass dies.

A machine of hypothesis does what operators, customers, mail servers, hosts and clocks do, in any order, between passes
and in the midst of them. `promise_watch` looks at each job in the instant in which it begins, and at what passes leave.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from maintsched.worker.carry import Carrier
from tests.promise_house import KEYS
from tests.promise_machine import Promise

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

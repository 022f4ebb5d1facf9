"""The promise, as laws: whatever becomes of a house, its people, its mails and its hosts, and wherever a pass dies.

A machine of hypothesis does what operators, customers, mail servers, hosts and clocks do, in any order, between passes
and in the midst of them. `promise_watch` looks at each job in the instant in which it begins, and at what passes leave.
"""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.promise_machine import Promise

LONG = settings().max_examples > 1000
"""Somebody asked for more than the ordinary."""


@pytest.mark.fuzz
def test_nothing_begins_that_was_not_promised_and_nothing_that_began_is_lost():
    """Law of the work: window, proof, freeze, pause, deferral, cut-off, consent and limits, at each single step."""
    run_state_machine_as_test(
        Promise,
        settings=settings(
            max_examples=int(os.environ.get("MAINTSCHED_PROMISES", "600" if LONG else "12")),
            stateful_step_count=80 if LONG else 50,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Runs as values: their states, how long they are expected to take, their terms, and how they are explained."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import maintsched as ms
from maintsched.errors import ChangeRefused, InvalidValue, OutOfRange
from maintsched.report.runwords import explain_run
from maintsched.runs import (
    ARROWS,
    BAD,
    ENDS,
    UNDER_WAY,
    WELL,
    Gate,
    Hold,
    Pause,
    RunItem,
    RunState,
    RunStep,
    RunTerms,
    StepState,
    check_arrow,
    expected_seconds,
    run_key,
)
from tests.evenings import END, NOW, START, WINDOW, evening, run
from tests.worlds import contract

MINUTE = timedelta(minutes=1)


# --- states -----------------------------------------------------------------------------------------------------------


def test_a_run_waits_is_under_way_or_is_over():
    assert frozenset(RunState) == {RunState.PLANNED} | UNDER_WAY | ENDS
    assert not UNDER_WAY & ENDS
    assert WELL | BAD < ENDS
    assert not WELL & BAD


def test_every_state_is_reached_from_the_first_one_and_every_arrow_leads_to_a_state():
    reached, ahead = set(), {RunState.PLANNED}
    while ahead:
        reached |= ahead
        ahead = {after for before in ahead for after in ARROWS[before]} - reached
    assert reached == set(RunState) == set(ARROWS)


def test_an_end_is_left_only_to_wait_again_and_what_went_well_never():
    for end in ENDS:
        assert ARROWS[end] == (set() if end in WELL else {RunState.PLANNED})


def test_what_is_under_way_can_always_end():
    for state in UNDER_WAY | {RunState.PLANNED}:
        assert ARROWS[state] & ENDS


@pytest.mark.parametrize("before", RunState)
def test_a_run_goes_along_the_arrows_and_no_other_way(before):
    for after in RunState:
        if after in ARROWS[before]:
            check_arrow(before, after)
        else:
            with pytest.raises(ChangeRefused) as refused:
                check_arrow(before, after, "run/x/y")
            assert str(refused.value).startswith("run/x/y: expected after")
            assert refused.value.found == after


def test_a_final_state_says_that_it_is_final():
    with pytest.raises(ChangeRefused, match="after done no other state, since this one is final"):
        check_arrow(RunState.DONE, RunState.RUNNING)


def test_a_run_has_begun_from_its_first_change_until_it_is_over():
    one = run("acme-prod")
    assert not one.begun
    assert not replace(one, state=RunState.RUNNING).begun
    assert replace(one, state=RunState.RUNNING, started_at=NOW).begun
    assert not replace(one, state=RunState.DONE, started_at=NOW).begun
    assert not replace(one, started_at=NOW, attempt=2).begun
    assert replace(one, state=RunState.SKIPPED).over


def test_the_key_of_a_run_names_window_and_instance():
    assert run("acme-prod").key == run_key(WINDOW, "acme-prod") == "run/monthly:2026-12/acme-prod"


# --- terms and durations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fine"),
    [
        ({"at_once": 0}, False),
        ({"at_once": 1}, True),
        ({"failures_per_wave": 0}, True),
        ({"failures_in_all": -1}, False),
        ({"expected_minutes": 10_080}, True),
        ({"expected_minutes": 10_081}, False),
        ({"samples_min": 0}, False),
    ],
)
def test_terms_have_bounds_which_they_hold(changes, fine):
    if fine:
        RunTerms(**changes)
    else:
        with pytest.raises(OutOfRange) as refused:
            RunTerms(**changes)
        assert refused.value.field == next(iter(changes))


def test_a_pause_says_why_and_whom_it_holds():
    with pytest.raises(InvalidValue):
        Pause(key="p", since=NOW, reason="")
    both = Pause(key="p", since=NOW, reason="audit", customers=("acme",), instances=("birch-prod",))
    assert [both.covers("acme", "x"), both.covers("birch", "birch-prod"), both.covers("birch", "x")] == [
        True,
        True,
        False,
    ]
    assert Pause(key="p", since=NOW, reason="audit").covers("anybody", "x")


HOUR = ms.Elapsed(hours=1)


@pytest.mark.parametrize(
    ("samples", "estimates", "seconds"),
    [
        ([], [], 1800),
        ([], [HOUR], 3600),
        ([], [HOUR, ms.Elapsed(minutes=10)], 4200),
        ([], [HOUR, None], 3600),
        ([], [ms.Elapsed(minutes=10), None], 1800),
        ([], [ms.Elapsed(minutes=10)], 600),
        ([10, 20, 30, 40], [HOUR], 3600),
        ([50, 20, 40, 10, 30], [HOUR], 50),
        (list(range(100, 0, -1)), [], 95),
        (list(range(1, 21)), [], 19),
        (list(range(1, 22)), [], 20),
    ],
)
def test_how_long_work_takes_is_learned_from_enough_earlier_runs_else_said_by_releases_else_a_term(
    samples, estimates, seconds
):
    assert expected_seconds(RunTerms(expected_minutes=30, samples_min=5), samples, estimates) == seconds


# --- words ------------------------------------------------------------------------------------------------------------


def said(one, steps=(), holds=(), now=NOW) -> dict[str, tuple[str, ...]]:
    return {each.title: each.lines for each in explain_run(one, steps, holds, contract=contract(), now=now)}


def test_why_not_now_names_each_closed_gate_with_fact_clause_and_way_out():
    made = evening(told={}, hooks={run("acme-prod").key: "hook silence has not done its part"})
    found = said(made.runs[0], holds=made.holds())
    assert tuple(found) == ("run/monthly:2026-12/acme-prod waits", "why not now, 2026-12-01 17:30:00 CET")
    lines = found["why not now, 2026-12-01 17:30:00 CET"]
    assert lines[0] == "notice: customer acme was not told of monthly/2026-12 for acme-prod (clause 2.4.3)"
    assert lines[1].startswith("  way out: `maintsched notice list --window monthly/2026-12`")
    assert lines[2] == "hook: hook silence has not done its part"


def test_what_opens_by_itself_says_when():
    hold = Hold(Gate.WINDOW, "it opens later", "2.4.3.1", "wait for it", START)
    assert (
        "  opens by itself at the earliest 2026-12-01 17:00:00 CET"
        in said(run("a-prod"), holds=[hold])["why not now, 2026-12-01 17:30:00 CET"]
    )


def test_why_now_names_every_gate_that_is_open():
    lines = said(run("acme-prod"))["why now: every gate is open"]
    assert [line.partition(":")[0] for line in lines] == list(Gate)


def test_a_run_under_way_whose_gate_closed_is_ended_properly_and_that_is_said():
    one = run("acme-prod", state=RunState.RUNNING, started_at=START)
    lines = said(one, holds=[Hold(Gate.PAUSE, "pause p holds acme-prod")])[
        "no further change is started, 2026-12-01 17:30:00 CET"
    ]
    assert lines[0] == "pause: pause p holds acme-prod"
    assert lines[-1].startswith("what was begun is ended all the same (rollback, start)")
    assert "the next change may be started: every gate is open" in said(one)


def test_a_run_that_is_over_is_not_asked_why_it_does_not_begin():
    one = run("acme-prod", state=RunState.SKIPPED, gate=Gate.NOTICE, why="nobody was told", ended_at=END)
    ((title, lines),) = said(one, now=END + MINUTE).items()
    assert title.endswith("was skipped: its window ended while a gate was closed")
    assert lines[:2] == ("nobody was told", "the gate that held it: notice")


def test_what_goes_in_when_and_for_how_long_is_said():
    items = (
        RunItem(component="linux", change_class=ms.ChangeClass.OS),
        RunItem(component="intrexx", change_class=ms.ChangeClass.MINOR, release="12.1.0"),
    )
    over = {"state": RunState.DONE, "started_at": START + MINUTE, "ended_at": END + 5 * MINUTE}
    ((_, lines),) = said(run("acme-prod", items=items, **over)).items()
    assert lines == (
        "window monthly/2026-12: 2026-12-01 17:00:00 CET to 2026-12-01 21:00:00 CET",
        "instance acme-prod of acme, host acme-prod.example, executor apt, wave 1",
        "goes in: linux updates (os), intrexx 12.1.0 (minor)",
        "expected to take 30 min",
        "first change 2026-12-01 17:01:00 CET, 4 h 4 min in all",
        "ended 2026-12-01 21:05:00 CET, 5 min after its window",
    )


def test_each_attempt_is_told_step_by_step_and_shows_the_output_of_what_did_not_end_well():
    key = run("acme-prod").key
    failed: dict[str, Any] = {
        "state": StepState.FAILED,
        "exit_code": 100,
        "tail": "".join(f"line {n}\n" for n in range(9)),
    }
    going: dict[str, Any] = {"state": StepState.STARTED, "started_at": NOW - MINUTE, "tries": 2, "part": "apt"}
    steps = (
        RunStep(run=key, attempt=2, number=1, name="upgrade", phase="apply", **going),
        RunStep(run=key, attempt=1, number=2, name="upgrade", phase="apply", **failed),
        RunStep(run=key, attempt=1, number=1, name="preflight", phase="preflight", state=StepState.DONE, tail="fine"),
        RunStep(run=key, attempt=2, number=2, name="reboot", phase="reboot"),
    )
    found = said(run("acme-prod", state=RunState.RUNNING, attempt=2, started_at=START), steps)
    assert found["attempt 1, step by step"] == (
        "1. preflight: preflight, done",
        "2. apply: upgrade, failed, exit code 100",
        *(f"  | line {n}" for n in range(4, 9)),
    )
    assert found["attempt 2, step by step"] == (
        "1. apply of apt: upgrade, started, try 2, from 2026-12-01 17:29:00 CET, 1 min so far",
        "2. reboot: reboot, ready",
    )


@pytest.mark.parametrize("state", RunState)
def test_every_state_can_be_told_in_words(state):
    assert next(iter(said(run("acme-prod", state=state)))).startswith("run/monthly:2026-12/acme-prod ")

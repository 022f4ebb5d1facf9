"""What operators do to runs: try again what stands still or ended badly, open a gate, look at how a run stands."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from maintsched.errors import ChangeRefused, InvalidValue
from maintsched.executors.port import Phase
from maintsched.grammar import require_text
from maintsched.journal import EntryKind
from maintsched.localtime import utc
from maintsched.runs import APPROVABLE, ARROWS, LOOKING, Gate, Hold, Run, RunState, StepState
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.store.orders import write_approval
from maintsched.store.runs import (
    KeptRun,
    KeptStep,
    read_run,
    read_runs,
    read_steps,
    write_run,
    write_step,
)
from maintsched.worker.entering import run_ahead
from maintsched.worker.grounds import closed_gates
from maintsched.worker.house import House
from maintsched.worker.runevidence import run_event
from maintsched.worker.runsteps import first_steps


class StepFate(StrEnum):
    """What an operator says of a step that was interrupted, having looked at the host."""

    AGAIN = "again"  # it is safe to run it once more
    DONE = "done"  # it did its work, or the operator has done it by hand
    FAILED = "failed"  # it failed: what was applied is undone, where that is possible


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A run with its steps, and the gates that are closed for it now."""

    kept: KeptRun
    steps: tuple[KeptStep, ...]
    holds: tuple[Hold, ...] = ()


def list_runs(
    store: Store, *, window: str | None = None, instance: str | None = None, states: Collection[str] | None = None
) -> list[KeptRun]:
    """Return runs, of a window, of an instance or in some states; the latest windows last."""
    with store.reading() as connection:
        return read_runs(connection, windows=None if window is None else {window}, instance=instance, states=states)


def see_run(house: House, key: str, *, now: datetime) -> Seen:
    """Return a run with its steps, and what keeps it from going on at `now`; one that lies ahead as it is planned.

    Raises `UnknownName` where there is none.
    """
    with house.store.reading() as connection:
        found = read_runs(connection, keys={key})
        ahead = None if found else run_ahead(connection, house, key, now=now)
        kept = KeptRun(run=ahead) if ahead is not None else read_run(connection, key)
        steps = tuple(read_steps(connection, key))
        holds = () if kept.run.over else closed_gates(connection, house, kept.run, now=now)
    return Seen(kept=kept, steps=steps, holds=holds)


def retry(house: House, key: str, *, reason: str, now: datetime, fate: StepFate = StepFate.AGAIN) -> Run:
    """Let a run begin again that ended without having done everything, or go on where it was interrupted.

    Gates are asked as ever. Raises `UnknownName`, and `ChangeRefused` for one that needs no retry, or whose window has
    ended: its work goes into the next window by itself.
    """
    require_text("reason", reason)
    with house.store.writing() as connection:
        kept = read_run(connection, key)
        if kept.run.state is RunState.INTERRUPTED:
            run = _go_on(connection, kept, fate, now)
        else:
            run = _begin_again(connection, kept, now)
        append(connection, [run_event(run, EntryKind.RUN_RETRIED, now, reason=reason, step=str(fate))])
    return run


def _begin_again(connection: Connection, kept: KeptRun, now: datetime) -> Run:
    run = kept.run
    if RunState.PLANNED not in ARROWS[run.state] or not run.over or run.state is RunState.CANCELLED:
        expected = "one that failed, was skipped, blocked or put off"
        raise ChangeRefused(run.key, expected=expected, found=str(run.state))
    if utc(now) >= utc(run.end):
        expected = "one whose window is open: the next window takes its work by itself"
        raise ChangeRefused(run.key, expected=expected, found=f"one whose window ended {run.end.isoformat()}")
    again = replace(
        run, state=RunState.PLANNED, attempt=run.attempt + 1, gate=None, why="", started_at=None, ended_at=None
    )
    write_run(connection, replace(kept, run=again, plans=(), silent_since=None), now=now)
    for each in first_steps(again):
        write_step(connection, each)
    return again


def _go_on(connection: Connection, kept: KeptRun, fate: StepFate, now: datetime) -> Run:
    """Go on with a run whose step was interrupted, as the operator says what became of that step."""
    run = kept.run
    steps = read_steps(connection, run.key, run.attempt)
    undoing = any(each.step.phase == Phase.ROLLBACK for each in steps)
    for each in steps:
        if each.step.state in (StepState.INTERRUPTED, StepState.STARTED):
            write_step(connection, _as(each, fate))
    state = RunState.ROLLING_BACK if undoing else RunState.RUNNING
    on = replace(run, state=state, gate=None, why=f"goes on: the interrupted step {_SAID[fate]}")
    write_run(connection, replace(kept, run=on), now=now)
    return on


_SAID = {
    StepFate.AGAIN: "is run once more",
    StepFate.DONE: "counts as done",
    StepFate.FAILED: "counts as failed",
}


def _as(kept: KeptStep, fate: StepFate) -> KeptStep:
    """Return a step as the operator says. One whose job may still run stays so: its host is asked first.

    What only looks is looked at again, whatever was said.
    """
    data = {**kept.data, "retries": int(kept.data.get("retries", 0)) + 1}
    looks = kept.step.phase in LOOKING
    if fate is StepFate.AGAIN or looks:
        runs_on = kept.step.state is StepState.STARTED and not looks
        state: StepState = StepState.STARTED if runs_on else StepState.READY
    else:
        state = StepState.DONE if fate is StepFate.DONE else StepState.FAILED
        data["given_up"] = fate is StepFate.FAILED
    return replace(kept, step=replace(kept.step, state=state), data=data)


def approve(house: House, key: str, *, reason: str, now: datetime, gate: Gate | None = None) -> Gate:
    """Open a gate for a run; left out, the one that holds it. Only gates that no promise to a customer depends on."""
    require_text("reason", reason)
    with house.store.writing() as connection:
        ahead = None if read_runs(connection, keys={key}) else run_ahead(connection, house, key, now=now)
        kept = KeptRun(run=ahead) if ahead is not None else read_run(connection, key)
        if kept.run.over:
            raise ChangeRefused(key, expected="a run that is not over", found=str(kept.run.state))
        holds = closed_gates(connection, house, kept.run, now=now)
        wanted = gate or next((each.gate for each in holds if each.gate in APPROVABLE), None)
        if wanted is None:
            held = ", ".join(each.gate for each in holds) or "none"
            expected = f"a gate that can be approved: {', '.join(sorted(APPROVABLE))}"
            raise InvalidValue("gate", expected=expected, found=f"closed are: {held}")
        if wanted not in APPROVABLE:
            expected = f"one of {', '.join(sorted(APPROVABLE))}: no other may be opened by hand"
            raise InvalidValue("gate", expected=expected, found=str(wanted))
        write_approval(connection, key, wanted, reason=reason, now=now)
        append(connection, [run_event(kept.run, EntryKind.RUN_APPROVED, now, gate=str(wanted), reason=reason)])
    return wanted

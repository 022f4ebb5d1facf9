"""Why a run does, or does not, begin now, and what was done in it step by step, as titled lines of text."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from maintsched.contract import Contract
from maintsched.localtime import Elapsed, elapsed, utc
from maintsched.report.explanation import Paragraph
from maintsched.runs import RECOVERING, Gate, Hold, Run, RunItem, RunState, RunStep, StepState

TAIL_LINES = 5
"""Lines of a step's output that are shown where it did not end well; the database keeps more."""

_STATES = {
    RunState.PLANNED: "waits",
    RunState.RUNNING: "is under way",
    RunState.UNREACHABLE: "is under way, and its host does not answer",
    RunState.LOST: "is under way, and its host has to be asked what its job did",
    RunState.INTERRUPTED: "was interrupted, and waits for an operator",
    RunState.ROLLING_BACK: "is being rolled back",
    RunState.DONE: "is done: applied and verified",
    RunState.NO_CHANGES: "is done: there was nothing to apply",
    RunState.REBOOT_REQUIRED: "is done, and its host still has to be restarted",
    RunState.DEFERRED: "was put off to another window by its executor",
    RunState.SKIPPED: "was skipped: its window ended while a gate was closed",
    RunState.BLOCKED: "is blocked: something has to be mended first, and nothing was changed",
    RunState.CANCELLED: "was cancelled: its window was moved or cancelled before it began",
    RunState.FAILED_CLEAN: "failed, and left everything as it was",
    RunState.FAILED_DIRTY: "failed, and left something half done",
    RunState.ROLLED_BACK: "failed, and was rolled back",
    RunState.ROLLBACK_FAILED: "failed, and could not be rolled back",
}
_ASKED = {
    Gate.WINDOW: "the window is open",
    Gate.SUBSCRIPTION: "the subscription runs",
    Gate.CONSENT: "the instance may be touched",
    Gate.EXECUTOR: "it is known how the instance is updated",
    Gate.PAUSE: "nobody has paused",
    Gate.NOTICE: "everybody on the host was told in time",
    Gate.FREEZE: "nothing of it is frozen",
    Gate.DEFERRAL: "nothing of it is deferred",
    Gate.CUT_OFF: "what is left of the window is enough",
    Gate.APPROVAL: "it is approved, or need not be",
    Gate.BRAKE: "not too many runs have failed",
    Gate.WAVE: "the waves before are over, and have soaked",
    Gate.HOOK: "what has to be done before is done",
    Gate.HOST: "no other run is at the host",
    Gate.LIMIT: "not too many runs are under way",
}


def explain_run(
    run: Run, steps: Sequence[RunStep], holds: Sequence[Hold], *, contract: Contract, now: datetime
) -> list[Paragraph]:
    """Return how a run stands: why work may, or may not, go on at `now`, and what was done in each attempt."""
    said = [Paragraph(title=f"{run.key} {_STATES[run.state]}", lines=tuple(_facts(contract, run, now)))]
    if not run.over:
        said.append(_why(contract, run, holds, now))
    ordered = sorted(steps, key=lambda step: (step.attempt, step.number))
    for attempt, made in groupby(ordered, key=lambda step: step.attempt):
        lines = tuple(line for step in made for line in _step(contract, step, now))
        said.append(Paragraph(title=f"attempt {attempt}, step by step", lines=lines))
    return said


def _facts(contract: Contract, run: Run, now: datetime) -> Iterator[str]:
    if run.why:
        yield run.why
    if run.over and run.gate is not None:
        yield f"the gate that held it: {run.gate}"
    yield f"window {run.window}: {_when(contract, run.start)} to {_when(contract, run.end)}"
    yield f"instance {run.instance} of {run.customer}, host {run.host}, executor {run.executor}, wave {run.wave}"
    yield f"goes in: {', '.join(_item(item) for item in run.items) or 'nothing'}"
    yield f"expected to take {Elapsed(seconds=run.expected_seconds)}"
    if run.started_at is not None:
        end = run.ended_at or (None if run.over else now)
        took = f", {_length(run.started_at, end)} {'in all' if run.ended_at else 'so far'}" if end else ""
        yield f"first change {_when(contract, run.started_at)}{took}"
    if run.ended_at is not None:
        overrun = f", {_length(run.end, run.ended_at)} after its window" if _after(run.ended_at, run.end) else ""
        yield f"ended {_when(contract, run.ended_at)}{overrun}"


def _item(item: RunItem) -> str:
    return f"{item.component} {item.release or 'updates'} ({item.change_class})"


def _when(contract: Contract, at: datetime) -> str:
    return f"{at.astimezone(contract.zone):%Y-%m-%d %H:%M:%S %Z}"


def _after(at: datetime, other: datetime) -> bool:
    return utc(at) > utc(other)


def _length(start: datetime, end: datetime) -> str:
    """Say how long something took; what took less than a second did so in our clock alone."""
    seconds = max(0, int(elapsed(start, end).total_seconds()))
    return str(Elapsed(seconds=seconds)) if seconds else "under 1 s"


def _why(contract: Contract, run: Run, holds: Iterable[Hold], now: datetime) -> Paragraph:
    """Name every gate that is closed, with its fact, clause and way out; where none is, name them all."""
    closed = [line for hold in holds for line in _hold(contract, hold)]
    waits = run.state is RunState.PLANNED
    if not closed:
        title = "why now: every gate is open" if waits else "the next change may be started: every gate is open"
        return Paragraph(title=title, lines=tuple(f"{gate}: {asked}" for gate, asked in _ASKED.items()))
    if not waits:
        going_on = ", ".join(sorted(RECOVERING))
        closed.append(f"what was begun is ended all the same ({going_on}), and what runs on the host is never cut off")
    title = f"why not now, {_when(contract, now)}" if waits else f"no further change is started, {_when(contract, now)}"
    return Paragraph(title=title, lines=tuple(closed))


def _hold(contract: Contract, hold: Hold) -> Iterator[str]:
    yield f"{hold.gate}: {hold.fact}" + (f" (clause {hold.clause})" if hold.clause else "")
    if hold.until is not None:
        yield f"  opens by itself at the earliest {_when(contract, hold.until)}"
    if hold.way_out:
        yield f"  way out: {hold.way_out}"


def _step(contract: Contract, step: RunStep, now: datetime) -> Iterator[str]:
    part = f" of {step.part}" if step.part else ""
    said = [f"{step.number}. {step.phase}{part}: {step.name}, {step.state.replace('_', ' ')}"]
    if step.tries > 1:
        said.append(f"try {step.tries}")
    if step.started_at is not None:
        said.append(f"from {_when(contract, step.started_at)}")
        running = step.ended_at is None and step.state is StepState.STARTED
        end = now if running else step.ended_at
        if end is not None:
            said.append(f"{_length(step.started_at, end)} {'so far' if running else 'in all'}")
    if step.exit_code is not None:
        said.append(f"exit code {step.exit_code}")
    yield ", ".join(said)
    if step.state not in (StepState.DONE, StepState.READY, StepState.LEFT_OUT):
        yield from (f"  | {line}" for line in step.tail.splitlines()[-TAIL_LINES:])

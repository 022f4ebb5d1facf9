"""What is written down and told of runs: evidence in the chain of each instance, alerts to operators."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from maintsched.journal import EntryKind, Event, instant_text
from maintsched.runs import BAD, ENDS, WELL, Hold, Run, RunState
from maintsched.store.runs import KeptRun, KeptStep
from maintsched.worker.alerts import Alert

TOLD = (BAD | {RunState.SKIPPED, RunState.DEFERRED, RunState.REBOOT_REQUIRED, RunState.INTERRUPTED}) - WELL | {
    RunState.REBOOT_REQUIRED
}
"""States that an operator is told of."""
TAIL_SHOWN = 10
"""Lines of a step's output that an alert shows."""


def run_event(run: Run, kind: EntryKind, now: datetime, **more: Any) -> Event:
    """Return what the journal says of a run."""
    data = {
        "run": run.key,
        "window": run.window,
        "host": run.host,
        "attempt": run.attempt,
        "state": str(run.state),
        **more,
    }
    return Event(chain=run.instance, at=now, kind=kind, subject=run.key, data=data)


def begun_event(run: Run, now: datetime) -> Event:
    """Return what the journal says when the gates of a run were open."""
    items = [[each.component, each.release, str(each.change_class)] for each in run.items]
    return run_event(run, EntryKind.RUN_STARTED, now, items=items, executor=run.executor)


def step_event(run: Run, kept: KeptStep, now: datetime) -> Event:
    """Return what the journal says of a step that ended."""
    step = kept.step
    return run_event(
        run,
        EntryKind.RUN_STEP,
        now,
        step=step.name,
        phase=step.phase,
        part=step.part,
        result=str(step.state),
        exit_code=step.exit_code,
        started_at=instant_text(step.started_at) if step.started_at else None,
    )


def ended_event(kept: KeptRun, now: datetime) -> Event:
    """Return what the journal says of a run that is over, or stands still."""
    run = kept.run
    kind = EntryKind.RUN_ENDED if run.state in ENDS else EntryKind.RUN_PARKED
    return run_event(
        run,
        kind,
        now,
        gate=str(run.gate) if run.gate else None,
        why="" if run.gate else run.why,  # what closes a gate may be another customer's affair
        started_at=instant_text(run.started_at) if run.started_at else None,
        changed=[dict(each) for each in kept.applied],
    )


_WAYS_OUT = {
    RunState.SKIPPED: "It goes into the next window; `maintsched explain {key}` says what held it.",
    RunState.DEFERRED: "Its executor asked for another window: it goes into the next one.",
    RunState.REBOOT_REQUIRED: "Restart the host in a window of its own, or name a command: executor.NAME.reboot.",
    RunState.INTERRUPTED: "Look at the host, then `maintsched run retry {key} --reason WHY`.",
    RunState.BLOCKED: "Mend what is said, then `maintsched run retry {key} --reason WHY` while the window is open.",
    RunState.FAILED_CLEAN: "Nothing was changed. `maintsched run show {key}`, then "
    "`maintsched run retry {key} --reason WHY`.",
}
_LOOK = "Look at the host: something was changed. `maintsched run show {key}` has the steps and their output."


def run_alert(run: Run, steps: Iterable[KeptStep]) -> Alert:
    """Return the alert about a run in a state that an operator has to know of."""
    steps = list(steps)
    tries = sum(each.step.tries + int(each.data.get("retries", 0)) for each in steps)
    last = [each.step for each in steps if each.step.tail and each.step.attempt == run.attempt]
    tail = last[-1].tail.strip().splitlines()[-TAIL_SHOWN:] if last else []
    where = [f"last step: {last[-1].name}, exit code {last[-1].exit_code}"] if last else []
    state = str(run.state).replace("_", " ")
    return Alert(
        key=f"{run.key}/{run.attempt}/{run.state}/{tries}",
        subject=run.key,
        title=f"Run of {run.instance} in {run.window}: {state}",
        lines=(f"{run.instance} on {run.host}: {run.why or state}", *where, *tail),
        way_out=_WAYS_OUT.get(run.state, _LOOK).format(key=run.key),
    )


def held_alert(run: Run, hold: Hold) -> Alert:
    """Return the alert about work whose window is open and that a gate holds back."""
    clause = f" (clause {hold.clause})" if hold.clause else ""
    return Alert(
        key=f"{run.key}/{run.attempt}/held/{hold.gate}",
        subject=f"runs/{run.window}",
        title=f"Work in {run.window} is held back: {str(hold.gate).replace('_', ' ')}",
        lines=(f"{run.instance}: {hold.fact}{clause}",),
        way_out=f"{hold.way_out}. `maintsched explain {run.key}` says how it stands.",
    )


def skipped_alert(run: Run) -> Alert:
    """Return the alert about a run whose window ended before it could begin."""
    held = str(run.gate).replace("_", " ") if run.gate else "not begun"
    return Alert(
        key=f"{run.key}/{run.attempt}/skipped",
        subject=f"runs/{run.window}",
        title=f"Work in {run.window} was skipped: {held}",
        lines=(f"{run.instance} on {run.host}: {run.why}",),
        way_out=f"It goes into the next window; `maintsched explain {run.key}` says what held it.",
    )


def silent_alert(run: Run, since: datetime) -> Alert:
    """Return the alert about a host that does not answer in the midst of a run."""
    return Alert(
        key=f"{run.key}/{run.attempt}/silent",
        subject=run.key,
        title=f"Host {run.host} does not answer in the midst of a run",
        lines=(f"{run.instance}: silent since {instant_text(since)}: {run.why}",),
        way_out=f"Look at the host. It is asked again with each pass; `maintsched run show {run.key}`.",
    )


def overrun_alert(run: Run) -> Alert:
    """Return the alert about work that goes on past the end of its window (law 8)."""
    return Alert(
        key=f"{run.key}/{run.attempt}/overrun",
        subject=run.key,
        title=f"Work on {run.instance} goes on past the end of {run.window}",
        lines=(f"{run.instance} on {run.host}: the window ended {instant_text(run.end)}",),
        way_out="Nothing is killed: what runs, runs out. The time past the end counts as downtime.",
    )

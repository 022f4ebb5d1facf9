"""Runs in the database: entered once, held by one pass at a time, written by whoever holds them.

A run that is under way is `running` in the ledger from its first step to its end. While a pass is at it, the action has
an owner and a lease; between two passes it has none, and its job on the host goes on alone. A lease that ran out says
that the pass died: the next one finds that out, and asks the host before anything else.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, select, update

from maintsched.errors import UnknownName
from maintsched.facts import ChangeClass
from maintsched.localtime import elapsed
from maintsched.proof import Worked
from maintsched.runs import ENDS, WELL, Gate, Run, RunItem, RunState, RunStep, StepState, check_arrow
from maintsched.store.ledger import ACTION, ActionKind, ActionState, insert_new
from maintsched.store.rows import HostLockRow, RunRow, StepRow
from maintsched.store.tables import in_chunks, table_of

RUN = table_of(RunRow)
STEP = table_of(StepRow)
HOST_LOCK = table_of(HostLockRow)
NOT_OVER = [str(state) for state in RunState if state not in ENDS]
UNDER_WAY = [each for each in NOT_OVER if each != RunState.PLANNED]


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """A run as the store keeps it, with what its steps need again."""

    run: Run
    plans: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """What each executor planned, as JSON values."""
    applied: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """What was found to have changed, as JSON values."""
    silent_since: datetime | None = None
    """Since when its host has not answered."""


@dataclass(frozen=True, kw_only=True)
class KeptStep:
    """A step as the store keeps it; `data` are JSON values for going on."""

    step: RunStep
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)


# --- entering and reading ---------------------------------------------------------------------------------------------


def enter_runs(connection: Connection, runs: Iterable[Run], now: datetime) -> list[str]:
    """Enter runs whose key is not there yet; return the keys that are new."""
    given = {run.key: run for run in runs}
    known: set[str] = set()
    for some in in_chunks(sorted(given)):
        known.update(connection.execute(select(RUN.c.key).where(RUN.c.key.in_(some))).scalars())
    new = [run for key, run in given.items() if key not in known]
    actions = [
        {
            "key": run.key,
            "kind": str(ActionKind.RUN),
            "instance": run.instance,
            "not_before": run.start,
            "deadline": run.end,
            "state": str(_ledger_state(run.state)),
            "attempt": 0,
            "changed_at": now,
        }
        for run in new
    ]
    insert_new(connection, ACTION, actions)
    insert_new(connection, RUN, [{**_row(KeptRun(run=run)), "entered_at": now} for run in new])
    return [run.key for run in new]


def read_runs(
    connection: Connection,
    *,
    keys: Collection[str] | None = None,
    windows: Collection[str] | None = None,
    states: Collection[str] | None = None,
    instance: str | None = None,
    customer: str | None = None,
) -> list[KeptRun]:
    """Return runs, in the order of their windows and instances; whatever is None does not matter."""
    wanted: list[ColumnElement[bool]] = []
    for column, values in ((RUN.c.key, keys), (RUN.c.window, windows), (RUN.c.state, states)):
        if values is not None:
            wanted.append(column.in_(sorted(values)))
    wanted += [] if instance is None else [RUN.c.instance == instance]
    wanted += [] if customer is None else [RUN.c.customer == customer]
    found = select(RUN).where(*wanted).order_by(RUN.c.starts_at, RUN.c.window, RUN.c.instance)
    return [_kept(row) for row in connection.execute(found).mappings()]


def read_run(connection: Connection, key: str) -> KeptRun:
    """Return one run; `UnknownName` where there is none of that key."""
    found = connection.execute(select(RUN).where(RUN.c.key == key)).mappings().one_or_none()
    if found is None:
        known = connection.execute(select(RUN.c.key).order_by(RUN.c.entered_at.desc()).limit(200)).scalars()
        raise UnknownName("run", found=key, known=tuple(known))
    return _kept(found)


def durations(
    connection: Connection, instances: Collection[str], *, since: datetime
) -> dict[str, list[tuple[Run, int]]]:
    """Return the runs since an instant that changed something and went well, with their seconds, by instance."""
    found: dict[str, list[tuple[Run, int]]] = {}
    well = RUN.c.state.in_([str(each) for each in WELL])
    for some in in_chunks(sorted(instances)):
        wanted = select(RUN).where(RUN.c.instance.in_(some), well, RUN.c.ended_at >= since)
        for row in connection.execute(wanted.where(RUN.c.started_at.is_not(None))).mappings():
            seconds = int(elapsed(row["started_at"], row["ended_at"]).total_seconds())
            found.setdefault(row["instance"], []).append((_kept(row).run, seconds))
    return found


def windows_since(connection: Connection, since: datetime) -> set[str]:
    """Return the windows with runs that end after `since`."""
    return set(connection.execute(select(RUN.c.window).where(RUN.c.ends_at > since).distinct()).scalars())


_TOUCHING = ("stop", "apply", "reboot")


def read_worked(
    connection: Connection, since: datetime, now: datetime, customers: Collection[str] | None = None
) -> dict[tuple[str, str], Worked]:
    """Return when work was done in windows that end after `since`, by window and instance, for all customers or some.

    It began with the first step of any attempt that touched something, and ended with the run; of one that stands
    still, with its last step. What was done to a host for one instance was done to all of them. Work that goes on past
    the end of its window has lasted until `now`. Runs that have not begun say nothing yet.
    """
    spans: dict[str, list[tuple[datetime, datetime | None]]] = {}
    theirs = [] if customers is None else [RUN.c.customer.in_(sorted(customers))]
    rows = list(connection.execute(select(RUN).where(RUN.c.ends_at > since, *theirs)).mappings())
    begun = {row.run: (row.first, row.last) for row in connection.execute(_touched(since))}
    for row in rows:
        first, last = begun.get(row["key"], (row["started_at"], None))
        if first is not None:
            ended_at = last if row["state"] == RunState.INTERRUPTED else row["ended_at"]
            open_end = now if now > row["ends_at"] else None
            end = max(ended_at, first) if ended_at else open_end  # a clock may have been set back meanwhile
            spans.setdefault(row["host"].lower(), []).append((first, end))
    found = {}
    for row in rows:
        there = [
            (start, end)
            for start, end in spans.get(row["host"].lower(), ())
            if start < row["ends_at"] and (end is None or end > row["starts_at"])
        ]
        if there:
            ends = [end for _, end in there]
            last = None if None in ends else max(end for end in ends if end is not None)
            found[row["window"], row["instance"]] = Worked(min(start for start, _ in there), last)
        elif row["ended_at"] is not None:
            found[row["window"], row["instance"]] = Worked(None, None)
    return found


def _touched(since: datetime) -> Select[Any]:
    """Return the statement that finds the first and the last instant of steps that touched something, by run."""
    wanted = STEP.c.phase.in_(_TOUCHING), STEP.c.tries > 0, RUN.c.ends_at > since
    first, last = func.min(STEP.c.started_at).label("first"), func.max(STEP.c.ended_at).label("last")
    return select(STEP.c.run, first, last).join(RUN, RUN.c.key == STEP.c.run).where(*wanted).group_by(STEP.c.run)


def _kept(row: Mapping[Any, Any]) -> KeptRun:
    return KeptRun(
        run=run_from_row(row),
        plans=tuple(row["plans"]),
        applied=tuple(row["applied"]),
        silent_since=row["silent_since"],
    )


def run_from_row(row: Mapping[Any, Any]) -> Run:
    """Return a run."""
    items = (
        RunItem(component=each["component"], change_class=ChangeClass(each["class"]), release=each["release"])
        for each in row["items"]
    )
    return Run(
        window=row["window"],
        instance=row["instance"],
        customer=row["customer"],
        host=row["host"],
        executor=row["executor"],
        start=row["starts_at"],
        end=row["ends_at"],
        items=tuple(items),
        wave=row["wave"],
        state=RunState(row["state"]),
        gate=Gate(row["gate"]) if row["gate"] else None,
        why=row["why"],
        attempt=row["attempt"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        expected_seconds=row["expected_seconds"],
    )


def _row(kept: KeptRun) -> dict[str, Any]:
    run = kept.run
    return {
        "key": run.key,
        "window": run.window,
        "instance": run.instance,
        "customer": run.customer,
        "host": run.host,
        "executor": run.executor,
        "starts_at": run.start,
        "ends_at": run.end,
        "items": [
            {"component": each.component, "class": str(each.change_class), "release": each.release}
            for each in run.items
        ],
        "wave": run.wave,
        "state": str(run.state),
        "gate": str(run.gate) if run.gate else None,
        "why": run.why,
        "attempt": run.attempt,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "expected_seconds": run.expected_seconds,
        "silent_since": kept.silent_since,
        "plans": list(kept.plans),
        "applied": list(kept.applied),
    }


# --- holding ----------------------------------------------------------------------------------------------------------


class Hand(StrEnum):
    """How a pass got hold of a run."""

    NEW = "new"  # nobody was at it before
    FREE = "free"  # the pass before had let go of it
    LOST = "lost"  # whoever was at it did not let go, and its lease ran out


def take(connection: Connection, run: Run, *, owner: str, now: datetime, lease_until: datetime) -> Hand | None:
    """Take hold of a run; None where somebody else is at it, or another run is at its host.

    A run that begins takes the lock of its host, which it keeps to its end.
    """
    action = connection.execute(select(ACTION).where(ACTION.c.key == run.key)).mappings().one()
    state, held = ActionState(action["state"]), action["lease_until"]
    if state is ActionState.READY:
        hand = Hand.NEW
    elif state is ActionState.RUNNING and action["owner"] is None:
        hand = Hand.FREE
    elif state is ActionState.RUNNING and (held <= now or held > lease_until + (lease_until - now)):
        hand = Hand.LOST  # a lease far ahead was given by a clock that was set back since
    else:
        return None
    if not _lock_host(connection, run, owner, now):
        return None
    mine = {"state": str(ActionState.RUNNING), "owner": owner, "lease_until": lease_until, "changed_at": now}
    connection.execute(update(ACTION).where(ACTION.c.key == run.key).values(**mine))
    return hand


def _lock_host(connection: Connection, run: Run, owner: str, now: datetime) -> bool:
    host = run.host.lower()  # however it is written, it is one
    held = connection.execute(select(HOST_LOCK.c.run).where(HOST_LOCK.c.host == host)).scalar_one_or_none()
    if held not in (None, run.key):
        return False
    if held is None:
        row = {"host": host, "run": run.key, "owner": owner, "reason": f"{run.window}: {run.instance}"}
        connection.execute(insert(HOST_LOCK).values(**row, since=now, heartbeat_at=now))
    else:
        mine = update(HOST_LOCK).where(HOST_LOCK.c.host == host)
        connection.execute(mine.values(owner=owner, heartbeat_at=now))
    return True


def keep_hold(connection: Connection, key: str, *, owner: str, now: datetime, lease_until: datetime) -> bool:
    """Prolong the hold of a run; False where it is held no longer."""
    mine = and_(ACTION.c.key == key, ACTION.c.owner == owner, ACTION.c.state == ActionState.RUNNING)
    kept = connection.execute(update(ACTION).where(mine).values(lease_until=lease_until)).rowcount == 1
    if kept:
        connection.execute(update(HOST_LOCK).where(HOST_LOCK.c.run == key).values(heartbeat_at=now, owner=owner))
    return kept


def let_go(connection: Connection, key: str, *, owner: str, now: datetime) -> None:
    """Let go of a run that is not over: its job goes on, and the next pass looks at it."""
    mine = and_(ACTION.c.key == key, ACTION.c.owner == owner, ACTION.c.state == ActionState.RUNNING)
    connection.execute(update(ACTION).where(mine).values(owner=None, lease_until=None, changed_at=now))


def holds_run(connection: Connection, key: str, owner: str) -> bool:
    """Say whether `owner` holds a run."""
    found = connection.execute(select(ACTION.c.owner).where(ACTION.c.key == key)).scalar_one_or_none()
    return found == owner


def host_locks(connection: Connection) -> dict[str, str]:
    """Return the run that is at each host."""
    found = connection.execute(select(HOST_LOCK.c.host, HOST_LOCK.c.run)).all()
    return {row.host: row.run for row in found}


# --- writing ----------------------------------------------------------------------------------------------------------


def write_run(connection: Connection, kept: KeptRun, *, now: datetime) -> None:
    """Store a run as it now is; the arrow from its state before has to be one of those drawn.

    A run that is over, or planned again, frees its host; one that waits for an operator is held by nobody, and keeps
    its host. The caller holds it, or nobody does.
    """
    run = kept.run
    before = connection.execute(select(RUN.c.state).where(RUN.c.key == run.key)).scalar_one()
    if before != run.state:
        check_arrow(RunState(before), run.state)
    values = {name: value for name, value in _row(kept).items() if name != "key"}
    connection.execute(update(RUN).where(RUN.c.key == run.key).values(**values))
    if run.over or run.state in (RunState.PLANNED, RunState.INTERRUPTED):
        free = {"owner": None, "lease_until": None}
        state = {"state": str(_ledger_state(run.state)), "changed_at": now}
        connection.execute(update(ACTION).where(ACTION.c.key == run.key).values(**free, **state))
    if run.over or run.state is RunState.PLANNED:
        connection.execute(delete(HOST_LOCK).where(HOST_LOCK.c.run == run.key))


def _ledger_state(state: RunState) -> ActionState:
    if state is RunState.PLANNED:
        return ActionState.READY
    if state is RunState.CANCELLED:
        return ActionState.CANCELLED
    if state in WELL:
        return ActionState.DONE
    return ActionState.FAILED if state in ENDS else ActionState.RUNNING


def read_steps(connection: Connection, run: str, attempt: int | None = None) -> list[KeptStep]:
    """Return the steps of a run, of one attempt or of all, in order."""
    wanted = select(STEP).where(STEP.c.run == run).order_by(STEP.c.attempt, STEP.c.number)
    if attempt is not None:
        wanted = wanted.where(STEP.c.attempt == attempt)
    return [_step(row) for row in connection.execute(wanted).mappings()]


def _step(row: Mapping[Any, Any]) -> KeptStep:
    step = RunStep(
        run=row["run"],
        attempt=row["attempt"],
        number=row["number"],
        name=row["name"],
        phase=row["phase"],
        part=row["part"],
        state=StepState(row["state"]),
        idempotent=row["idempotent"],
        tries=row["tries"],
        job=row["job"],
        argv=tuple(row["argv"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        tail=row["tail"],
        expected_seconds=row["expected_seconds"],
    )
    return KeptStep(step=step, data=row["data"])


def write_step(connection: Connection, kept: KeptStep) -> None:
    """Store a step as it now is."""
    step = kept.step
    same = and_(STEP.c.run == step.run, STEP.c.attempt == step.attempt, STEP.c.number == step.number)
    row = {
        "run": step.run,
        "attempt": step.attempt,
        "number": step.number,
        "name": step.name,
        "phase": step.phase,
        "part": step.part,
        "state": str(step.state),
        "idempotent": step.idempotent,
        "tries": step.tries,
        "job": step.job,
        "argv": list(step.argv),
        "started_at": step.started_at,
        "ended_at": step.ended_at,
        "exit_code": step.exit_code,
        "tail": step.tail,
        "expected_seconds": step.expected_seconds,
        "data": dict(kept.data),
    }
    if not connection.execute(update(STEP).where(same).values(**row)).rowcount:
        connection.execute(insert(STEP).values(**row))


def forget_steps(connection: Connection, run: str, attempt: int) -> None:
    """Remove the steps of an attempt that did nothing but look."""
    connection.execute(delete(STEP).where(STEP.c.run == run, STEP.c.attempt == attempt))

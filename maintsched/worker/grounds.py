"""What the gates of a run are asked on: read fresh from the database, at the instant of the question."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, or_, select

from maintsched.gates import Register, holds, standing_of
from maintsched.hooks import Moment, hook_key
from maintsched.intake.hookconfig import HookMoment
from maintsched.plan import settled_deferrals
from maintsched.runs import BAD, UNDER_WAY, Hold, Run, Standing
from maintsched.store.fleets import customers_on
from maintsched.store.hookcalls import HookState, read_hook_calls
from maintsched.store.orders import read_approvals, read_pauses
from maintsched.store.runs import NOT_OVER, RUN, run_from_row
from maintsched.turns import Turns
from maintsched.worker.crews import known_crews
from maintsched.worker.house import House, Scene, read_scene

SHOWN = 10
"""Runs of lower waves that are read: as many as a reason may name, and some."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The fleet, or a part of it, and how it stands at an instant."""

    scene: Scene
    register: Register


def read_ground(
    connection: Connection, house: House, *, now: datetime, customers: Collection[str] | None = None
) -> Ground:
    """Return how the fleet stands at `now`, or the part of it that `customers` are."""
    contract = house.contract
    scene = read_scene(connection, contract, now, customers)
    register = Register(
        contract,
        scene.fleet,
        scene.facts,
        scene.told,
        scene.announcements,
        now=now,
        deferrals=settled_deferrals(contract, scene.fleet, scene.facts),
        pauses=read_pauses(connection),
    )
    return Ground(scene=scene, register=register)


def ground_of(connection: Connection, house: House, run: Run, *, now: datetime) -> Ground:
    """Return how the host of a run stands: all customers that have an instance there, and the run's own."""
    customers = {run.customer, *customers_on(connection, {run.host})}
    return read_ground(connection, house, now=now, customers=customers)


def read_standing(connection: Connection, house: House, run: Run, *, now: datetime) -> Standing:
    """Return how a run stands at `now`."""
    ground = ground_of(connection, house, run, now=now)
    return standing_of(
        run,
        ground.register,
        _turns(connection, house, run, now=now),
        confirmed=ground.register.confirmed(run),
        known_executors=known_crews(house.config),
        approved=read_approvals(connection, {run.key}).get(run.key, frozenset()),
        hook=hooks_in_the_way(connection, house, [run]).get(run.key, ""),
    )


def closed_gates(connection: Connection, house: House, run: Run, *, now: datetime) -> tuple[Hold, ...]:
    """Return the gates that are closed for a run at `now`, in order."""
    standing = read_standing(connection, house, run, now=now)
    return holds(house.contract, house.config.runs, standing, now=now)


def _turns(connection: Connection, house: House, run: Run, *, now: datetime) -> Turns:
    """Return whose turn it is, from the runs that can matter to this one: it may be one of very many."""
    lower = and_(RUN.c.window == run.window, RUN.c.wave < run.wave)
    mine = select(RUN).where(
        or_(
            RUN.c.state.in_([str(each) for each in UNDER_WAY]),
            and_(RUN.c.window == run.window, RUN.c.state.in_([str(each) for each in BAD])),
        )
    )
    waiting = select(RUN).where(lower, RUN.c.state.in_(NOT_OVER)).order_by(RUN.c.wave).limit(SHOWN)
    ended = select(RUN).where(lower, RUN.c.state.not_in(NOT_OVER)).order_by(RUN.c.ended_at.desc()).limit(1)
    found = {}
    for wanted in (mine, waiting, ended):
        for row in connection.execute(wanted).mappings():
            found[row["key"]] = run_from_row(row)
    others = [each for key, each in found.items() if key != run.key]
    open_runs = [run, *(each for each in others if not each.over)]
    return Turns(house.config.runs, open_runs, [each for each in others if each.over], now=now)


def hooks_in_the_way(connection: Connection, house: House, runs: Collection[Run]) -> Mapping[str, str]:
    """Return by run which hook has not done its part; a hook that was never called has not."""
    wanted = [
        (hook, moment)
        for hook in house.config.hooks
        for moment in hook.moments
        if moment in (HookMoment.BEFORE_WINDOW, HookMoment.BEFORE_RUN)
    ]
    if not wanted or not runs:
        return {}
    calls = read_hook_calls(connection, {each for run in runs for each in (_subject(run), run.window)})
    found: dict[str, str] = {}
    for run in runs:
        for hook, moment in wanted:
            subject = run.window if moment is HookMoment.BEFORE_WINDOW else _subject(run)
            known = calls.get(hook_key(hook.name, Moment(moment), subject))
            if known is None or known.state is not HookState.DONE:
                said = f": {known.said}" if known is not None and known.said else ""
                found.setdefault(run.key, f"hook {hook.name} has not done its part{said}")
    return found


def _subject(run: Run) -> str:
    """Return what a call about a run is about: each attempt anew."""
    return run.key + (f"@{run.attempt}" if run.attempt > 1 else "")

"""Enters runs: the work that a window holds, once it has begun; each run once, whoever looks first."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from maintsched.announcements import WindowState
from maintsched.contract import Contract
from maintsched.journal import instant_text
from maintsched.localtime import utc
from maintsched.plan import PlanWindow, make_plan
from maintsched.releases import wave_of
from maintsched.runs import Run, RunItem, RunState, expected_seconds
from maintsched.spans import Span
from maintsched.store.runs import NOT_OVER, RUN, durations, enter_runs, read_runs, windows_since, write_run
from maintsched.store.tables import FACTS_VERSION, read_meta, write_meta
from maintsched.store.windows import WINDOW
from maintsched.terms import WINDOW_MAX
from maintsched.windows import monthly_windows
from maintsched.worker.alerts import Alert, record_alerts
from maintsched.worker.crews import covered_components
from maintsched.worker.house import LOOKBACK, House, Scene, read_scene

ENTERED = "runs_entered"
"""Fact about the database: version of the facts, and until when windows were looked at for work."""
RECENT = timedelta(days=2)
"""How long after the end of a window a hook that failed is called again."""
SAMPLED = timedelta(days=400)
"""How far back earlier runs say how long one takes."""
AHEAD = timedelta(days=400)
"""How far ahead a run is looked for that was not entered yet."""
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Entered:
    """What was entered: runs, and work that no executor does."""

    runs: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    """What nobody does by itself, one line each."""


def anything_to_run(house: House, connection: Connection, now: datetime) -> bool:
    """Say whether a run is not over, or a window may have begun since windows were looked at last."""
    if connection.execute(select(RUN.c.key).where(RUN.c.state.in_(NOT_OVER)).limit(1)).first() is not None:
        return True  # also where no table is left that says how to go on: somebody has to hear of it
    if not house.config.executor:
        return False
    if house.config.hooks and windows_since(connection, utc(now) - RECENT):
        return True  # what was put up before the work may still have to be taken down
    since = _looked_until(connection, now)
    return since is None or _begun(house.contract, connection, since, now)


def _looked_until(connection: Connection, now: datetime) -> datetime | None:
    """Return until when windows were looked at with the facts of today; None: never, or the clock was set back."""
    facts, _, at = (read_meta(connection, ENTERED) or " ").partition(" ")
    if not at or facts != (read_meta(connection, FACTS_VERSION) or "0"):
        return None
    until = datetime.fromisoformat(at)
    return until if until <= utc(now) else None


def _begun(contract: Contract, connection: Connection, since: datetime, now: datetime) -> bool:
    begun = WINDOW.c.starts_at > since, WINDOW.c.starts_at <= utc(now)
    if connection.execute(select(WINDOW.c.id).where(*begun).limit(1)).first() is not None:
        return True
    return next(monthly_windows(contract, since + _INSTANT, utc(now) + _INSTANT), None) is not None


def enter_due(house: House, *, now: datetime) -> Entered:
    """Enter the runs of windows that have begun; a second call finds nothing to do.

    Looked at are the windows that are open, and those that began since the last look: work of a window that was missed
    altogether is entered too, so that its end says so.
    """
    if not house.config.executor:
        return Entered()
    with house.store.writing() as connection:
        since = _looked_until(connection, now)
        if since is not None and not _begun(house.contract, connection, since, now):
            return Entered()
        scene = read_scene(connection, house.contract, now)
        before = (read_meta(connection, ENTERED) or " ").partition(" ")[2]
        missed = min(utc(now), datetime.fromisoformat(before)) if before else utc(now)
        found: list[Run] = []
        by_hand: list[str] = []
        for planned in _begun_windows(house.contract, scene, max(missed, utc(now) - LOOKBACK), now):
            for run, left in _runs_of(house, scene, planned):
                found.extend([run] if run.items else [])
                by_hand.extend(left)
        new = enter_runs(connection, _timed(house, connection, scene, found, now), now)
        _plan_anew(connection, found, now)
        _tell_by_hand(house, connection, by_hand, now)
        facts = read_meta(connection, FACTS_VERSION) or "0"
        write_meta(connection, ENTERED, f"{facts} {instant_text(now)}")
    return Entered(runs=tuple(new), by_hand=tuple(by_hand))


def _begun_windows(contract: Contract, scene: Scene, missed: datetime, now: datetime) -> Iterator[PlanWindow]:
    """Return the windows that are open, or began after `missed`, with the work that is to be done in them.

    What goes in is worked out as of each window's own start: before that, nothing of it could be installed.
    """
    began = min(missed, utc(now) - WINDOW_MAX)
    starts = {utc(each.start) for each in monthly_windows(contract, began, utc(now) + _INSTANT)}
    starts |= {
        utc(each.span.start)
        for each in scene.announcements
        if each.state is WindowState.CONFIRMED and began <= utc(each.span.start) <= utc(now)
    }
    for start in sorted(starts):
        span = Span(start=start.astimezone(contract.zone), end=(start + _INSTANT).astimezone(contract.zone))
        for planned in make_plan(contract, scene.fleet, scene.facts, span, now=span.start).windows:
            if utc(now) < utc(planned.window.end) or utc(planned.window.start) > missed:
                yield planned


def _runs_of(house: House, scene: Scene, planned: PlanWindow) -> Iterator[tuple[Run, list[str]]]:
    """Return the run of each instance in a window, and what of its work no executor does."""
    covered: dict[str, frozenset[str] | None] = {}
    window = planned.window
    instances = {each.key: each for each in scene.fleet.instances()}
    for assignment in planned.assignments:
        if not assignment.work:
            continue
        for key in assignment.instances:
            instance = instances[key]
            if instance.executor not in covered:
                covered[instance.executor] = covered_components(house.config, instance.executor)
            known = covered[instance.executor]
            items = [
                RunItem(component=each.component, change_class=each.change_class, release=each.release)
                for each in assignment.work
            ]
            mine = items if known is None else [each for each in items if each.component in known]
            left = [f"{window.id}: {key}: {_said(each)}" for each in items if each not in mine]
            run = Run(
                window=window.id,
                instance=key,
                customer=scene.fleet.owners[key].key,
                host=instance.host,
                executor=instance.executor,
                start=window.start,
                end=window.end,
                items=tuple(mine),
                wave=wave_of(house.contract, instance),
            )
            yield run, left


def run_ahead(connection: Connection, house: House, key: str, *, now: datetime) -> Run | None:
    """Return a run that is planned for a window ahead, as it would be entered by today's plan; None: there is none."""
    prefix, _, rest = key.partition("/")
    window, _, instance = rest.partition("/")
    if prefix != "run" or not house.config.executor:
        return None
    scene = read_scene(connection, house.contract, now)
    if instance not in scene.fleet.owners:
        return None
    end = utc(now) + AHEAD
    span = Span(start=now.astimezone(house.contract.zone), end=end.astimezone(house.contract.zone))
    plan = make_plan(house.contract, scene.fleet, scene.facts, span, now=now, only=frozenset({instance}))
    planned = (each for each in plan.windows if each.window.id.replace("/", ":") == window)
    runs = (run for each in planned for run, _ in _runs_of(house, scene, each) if run.items)
    return next(_timed(house, connection, scene, list(runs), now), None)


def _said(item: RunItem) -> str:
    return f"{item.component} {item.release}" if item.release else f"{item.component} ({item.change_class})"


def _timed(house: House, connection: Connection, scene: Scene, runs: list[Run], now: datetime) -> Iterator[Run]:
    """Return runs with how long they take, by earlier ones of the same instance that did the same kind of work."""
    estimates = {(each.component, str(each.version)): each.estimate for each in scene.facts.releases}
    earlier = durations(connection, {run.instance for run in runs}, since=utc(now) - SAMPLED)
    for run in runs:
        samples = [
            seconds
            for other, seconds in earlier.get(run.instance, ())
            if other.executor == run.executor and _kinds(other) == _kinds(run)
        ]
        known = [estimates.get((each.component, each.release)) if each.release else None for each in run.items]
        yield replace(run, expected_seconds=expected_seconds(house.config.runs, samples, known))


def _kinds(run: Run) -> set[tuple[str, str]]:
    return {(each.component, str(each.change_class)) for each in run.items}


def _plan_anew(connection: Connection, found: Collection[Run], now: datetime) -> None:
    """Plan cancelled runs again whose window takes place at another time than it was cancelled for."""
    kept = {each.run.key: each for each in read_runs(connection, states={str(RunState.CANCELLED)})}
    for run in found:
        old = kept.get(run.key)
        if old is not None and (utc(old.run.start), utc(old.run.end)) != (utc(run.start), utc(run.end)):
            anew = replace(run, attempt=old.run.attempt + 1)
            write_run(connection, replace(old, run=anew, plans=(), applied=()), now=now)


def _tell_by_hand(house: House, connection: Connection, lines: Collection[str], now: datetime) -> None:
    """Tell the operator of work that is promised and that no executor does."""
    alerts = [
        Alert(
            key=f"by_hand/{line}",
            subject=f"runs/{line.partition(':')[0]}",
            title="Work that no executor does",
            lines=(line,),
            way_out="Do it by hand in the window, or name an executor for the component: [executor.NAME.parts].",
        )
        for line in lines
    ]
    record_alerts(connection, house.contract, alerts, now)

"""Writes down what is due: intents and the state they follow from, in one transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection

from maintsched.contract import Contract
from maintsched.due import Breach, Due, due, next_due
from maintsched.journal import EntryKind, Event, instant_text
from maintsched.localtime import Period, utc
from maintsched.notices import Round
from maintsched.plan import Plan, make_plan
from maintsched.spans import Span
from maintsched.store.evidence import append
from maintsched.store.ledger import ActionKind, mark_late, record_done
from maintsched.store.outbox import record
from maintsched.store.tables import FACTS_VERSION, LAST_PASS, read_meta, write_meta
from maintsched.store.windows import keep_windows
from maintsched.worker.alerts import Alert, record_alerts
from maintsched.worker.fixes import next_look, record_lost_fixes
from maintsched.worker.house import LOOKBACK, House, Scene, read_scene
from maintsched.worker.reports import next_report, report_rounds

PLANNED = "planned"
"""Fact about the database: what was planned for, and until when nothing new can be due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a pass wrote down before it sent anything."""

    notices: tuple[str, ...] = ()
    breaches: tuple[str, ...] = ()
    planned: bool = True
    """False: neither contract nor facts had changed and nothing could be due, so that nothing was planned."""


def record_due(house: House, *, now: datetime) -> Recorded:
    """Plan, and store what is due at `now`; a second call finds nothing to do.

    Planning is left out while contract, facts and horizon are those of an earlier pass, and the first instant at which
    something new could be due has not come.
    """
    with house.store.writing() as connection:
        if nothing_new(house, connection, now):
            return Recorded(planned=False)
        scene = read_scene(connection, house.contract, now)
        plan = plan_ahead(house, connection, scene, now)
        found = due(plan, scene.fleet, scene.known, now=now)
        rounds = (*found.rounds, *report_rounds(connection, house.contract, scene, now=now))
        recorded = _write(connection, house.contract, found, rounds, now, scene.known.subjects)
        record_lost_fixes(connection, house.contract, scene, plan, now=now)
        mark = _mark(house.contract, house.config.worker.horizon_months, connection)
        moments = [
            at for at in (next_due(plan, scene.fleet, scene.known, now=now), next_report(house.contract, now)) if at
        ]
        moments += next_look(house.contract, scene, plan, now=now)
        moments.append(utc(now) + (utc(plan.span.end) - utc(now)) / 2)  # the horizon moves on by itself
        write_meta(connection, PLANNED, f"{mark} {instant_text(min(moments, key=utc))}")
        write_meta(connection, LAST_PASS, instant_text(now))
    return recorded


def _mark(contract: Contract, horizon_months: int, connection: Connection) -> str:
    """Return what a plan depends on besides time, as a short text."""
    facts = read_meta(connection, FACTS_VERSION) or "0"
    return f"{sha256(repr(contract).encode()).hexdigest()[:16]}/{horizon_months}/{facts}"


def nothing_new(house: House, connection: Connection, now: datetime) -> bool:
    """Say whether contract, facts and horizon are those of the last plan, and nothing new can be due since.

    After a clock that was ahead nothing is taken for granted: what that pass found may not have come yet.
    """
    mark = _mark(house.contract, house.config.worker.horizon_months, connection)
    last = read_meta(connection, LAST_PASS)
    kept = (read_meta(connection, PLANNED) or " ").partition(" ")
    if kept[0] != mark or not kept[2] or not last:
        return False
    return datetime.fromisoformat(last) <= utc(now) < datetime.fromisoformat(kept[2])


def plan_ahead(house: House, connection: Connection, scene: Scene, now: datetime) -> Plan:
    """Return the plan from the last pass on: windows that began since then were perhaps missed.

    Where no pass was ever made, the first window that was announced is the beginning.
    """
    last = read_meta(connection, LAST_PASS)
    entered = [utc(now), *(utc(each.entered_at) for each in scene.announcements)]
    since = min(utc(now), datetime.fromisoformat(last)) if last else min(entered)
    since = max(since, utc(now) - LOOKBACK)  # of older windows the scene holds no proof
    span = horizon(house, since, now)
    return make_plan(house.contract, scene.fleet, scene.facts, span, now=now)


def horizon(house: House, since: datetime, now: datetime) -> Span:
    """Return the time that a pass plans for: as configured, and never less than the reminders of a month need."""
    contract, zone = house.contract, house.contract.zone
    ahead = Period(months=house.config.worker.horizon_months)
    needed = timedelta(days=contract.monthly.reminder.days + 31) + contract.notice.margin
    end = max(ahead.after_instant(now, zone, contract.clock_change).at, utc(now) + needed, key=utc).astimezone(zone)
    return Span(start=since.astimezone(zone), end=end)


def _write(
    connection: Connection,
    contract: Contract,
    found: Due,
    rounds: Iterable[Round],
    now: datetime,
    subjects: Mapping[str, str],
) -> Recorded:
    keep_windows(connection, found.keep, now)
    keys = record(connection, rounds, now)
    breaches = {breach.key: breach for breach in found.breaches}
    new = [breaches[key] for key in record_done(connection, ActionKind.BREACH, breaches, now)]
    for subject, customer in {(subjects.get(breach.window, breach.window), breach.customer) for breach in new}:
        mark_late(connection, subject, customer)
    append(connection, [event for breach in new for event in _evidence(breach, now)])
    record_alerts(connection, contract, [_alert(breach) for breach in new], now)
    return Recorded(notices=tuple(keys), breaches=tuple(breach.key for breach in new))


def _evidence(breach: Breach, now: datetime) -> list[Event]:
    data = {
        "breach": breach.key,
        "window": breach.window,
        "customer": breach.customer,
        "deadline": instant_text(breach.deadline),
        "clause": breach.clause,
        "told_at": instant_text(breach.told_at) if breach.told_at else None,
    }
    return [Event(chain=breach.instance, at=now, kind=EntryKind.BREACH, subject=breach.window, data=data)]


def _alert(breach: Breach) -> Alert:
    told = f"told at {instant_text(breach.told_at)}" if breach.told_at else "not told yet"
    due_at = instant_text(breach.deadline)
    return Alert(
        key=breach.key,
        subject=f"breach/{breach.window}",
        title=f"A notice of {breach.window} is late",
        lines=(f"{breach.customer}: {breach.instance}: due {due_at}, {told} (clause {breach.clause})",),
        way_out=f"Move {breach.window} with `maintsched window move`, or let it take place as unplanned.",
    )

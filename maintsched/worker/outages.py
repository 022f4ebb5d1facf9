"""Outages entered by hand: their begin and their end are told at once (clause 2.4.3.3)."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from maintsched.errors import ChangeRefused, InvalidValue, UnknownName
from maintsched.facts import Impact, Outage
from maintsched.grammar import require_text
from maintsched.journal import EntryKind, Event, instant_text
from maintsched.localtime import utc
from maintsched.notices import NoticeKind, Occasion, make_round, people
from maintsched.rounds import instance_facts
from maintsched.store.declared import KeptOutage, read_outages, write_outage
from maintsched.store.evidence import append
from maintsched.store.outbox import read_threads, record
from maintsched.worker.house import House, Scene, read_scene


@dataclass(frozen=True, kw_only=True)
class Noted:
    """An outage that was noted, and the notices that tell of it."""

    outage: KeptOutage
    notices: tuple[str, ...]
    unreachable: bool
    """Nobody of the customer can be told."""


def open_outage(house: House, outage: Outage, *, now: datetime, note: str = "") -> Noted:
    """Note that an instance is not available since the start of `outage`, and tell its customer at once."""
    require_text("note", note, empty=True)
    start, instance = outage.start, outage.instance or ""
    if utc(start) > utc(now):
        raise InvalidValue("start", expected=f"an instant up to {now.isoformat()}", found=start.isoformat())
    with house.store.writing() as connection:
        scene = read_scene(connection, house.contract, now)
        if instance not in scene.fleet.owners:
            raise UnknownName("instance", found=instance, known=sorted(scene.fleet.owners))
        running = [each for each in read_outages(connection, instance=instance) if each.outage.end is None]
        if running:
            found = f"{running[0].key}, which is still open"
            raise ChangeRefused(instance, expected="no open outage (close it first)", found=found)
        kept = KeptOutage(key=_key(connection, instance, start), outage=outage, note=note)
        return _noted(connection, house, scene, kept, NoticeKind.OUTAGE_BEGUN, now)


def close_outage(house: House, key: str, *, end: datetime, now: datetime, note: str = "") -> Noted:
    """Note that an outage is over since `end`, and tell its customer at once. `key` may be that of the instance."""
    require_text("note", note, empty=True)
    with house.store.writing() as connection:
        scene = read_scene(connection, house.contract, now)
        running = [each for each in read_outages(connection) if each.outage.end is None]
        kept = next((each for each in running if key in (each.key, each.outage.instance)), None)
        if kept is None:
            known = [each.key for each in running]
            raise UnknownName("open outage", found=key, known=known)
        if not utc(kept.outage.start) <= utc(end) <= utc(now):
            expected = f"an instant from {kept.outage.start.isoformat()} to {now.isoformat()}"
            raise InvalidValue("end", expected=expected, found=end.isoformat())
        closed = replace(kept, outage=replace(kept.outage, end=end), note=note or kept.note)
        return _noted(connection, house, scene, closed, NoticeKind.OUTAGE_ENDED, now)


def _key(connection: Connection, instance: str, start: datetime) -> str:
    """Return a new key: the instance and the minute, and a number where two began in one."""
    base = f"{instance}-{utc(start):%Y%m%dT%H%MZ}"
    known = {each.key for each in read_outages(connection, instance=instance)}
    names = (base, *(f"{base}-{number}" for number in range(2, len(known) + 3)))
    return next(name for name in names if name not in known)


def _noted(
    connection: Connection, house: House, scene: Scene, kept: KeptOutage, kind: NoticeKind, now: datetime
) -> Noted:
    contract, outage = house.contract, kept.outage
    instance = str(outage.instance)
    customer = scene.fleet.owners[instance]
    write_outage(connection, kept)
    entry = EntryKind.OUTAGE_OPENED if kind is NoticeKind.OUTAGE_BEGUN else EntryKind.OUTAGE_CLOSED
    data = {
        "outage": kept.key,
        "start": instant_text(outage.start),
        "end": instant_text(outage.end) if outage.end else None,
        "critical": outage.critical,
        "customer_caused": outage.customer_caused,
        "data_restore": outage.data_restore,
        "cause": str(outage.cause) if outage.cause else None,
        "note": kept.note,
    }
    append(connection, [Event(chain=instance, at=now, kind=entry, subject=f"outage/{kept.key}", data=data)])
    facts = {
        "outage": {
            "instance": instance,
            "begin": outage.start.isoformat(),
            "end": outage.end.isoformat() if outage.end else None,
            "cause": str(outage.cause) if outage.cause else None,
            "note": kept.note,
            "clause": contract.clauses.emergency,
        },
        "instances": instance_facts(contract, customer, [instance], Impact.OUTAGE),
    }
    subject = f"outage/{kept.key}"
    occasion = Occasion(kind=kind, subject=subject, facts=facts, now=now, not_before=now)
    who = people(contract, customer, kind)
    thread = read_threads(connection, {subject}).get((subject, customer.key))
    keys = record(connection, [make_round(occasion, customer.key, who, thread)] if who else [], now)
    return Noted(outage=kept, notices=tuple(keys), unreachable=not any(each.required for each in who))

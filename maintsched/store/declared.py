"""What was declared besides windows: releases, deferrals, pins, freezes, outages, consents, track switches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from maintsched.facts import ChangeClass, Consent, Deferral, Freeze, Outage, OutageCause, Pin, Release, TrackSwitch
from maintsched.localtime import Elapsed, utc
from maintsched.store.rows import ConsentRow, DeferralRow, FreezeRow, OutageRow, PinRow, ReleaseRow, TrackSwitchRow
from maintsched.store.tables import facts_changed, table_of
from maintsched.version import Version

RELEASE = table_of(ReleaseRow)
DEFERRAL = table_of(DeferralRow)
PIN = table_of(PinRow)
FREEZE = table_of(FreezeRow)
OUTAGE = table_of(OutageRow)
CONSENT = table_of(ConsentRow)
TRACK_SWITCH = table_of(TrackSwitchRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFreeze:
    """A freeze as the store keeps it. Ended before its time, it ends at `ended_at`."""

    freeze: Freeze
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOutage:
    """An outage as the store keeps it, under a `key` of its own."""

    key: str
    outage: Outage
    note: str = ""


# --- releases, deferrals, pins, consents, track switches -------------------------------------------------------------


def read_releases(connection: Connection) -> tuple[Release, ...]:
    """Return every release."""
    found = connection.execute(select(RELEASE).order_by(RELEASE.c.component, RELEASE.c.version)).mappings()
    return tuple(
        Release(
            version=Version.parse(row["version"]),
            change_class=ChangeClass(row["change_class"]),
            available_at=row["available_at"],
            component=row["component"],
            tracks=tuple(row["tracks"]),
            changes=row["changes"],
            estimate=Elapsed.parse(row["estimate"]) if row["estimate"] else None,
            carries=tuple(Version.parse(each) for each in row["carries"]),
            withdrawn=row["withdrawn"] or "",
        )
        for row in found
    )


def write_releases(connection: Connection, releases: Iterable[Release]) -> None:
    """Store releases; one of the same component and version takes the place of the older entry."""
    for release in releases:
        same = (RELEASE.c.component == release.component) & (RELEASE.c.version == str(release.version))
        connection.execute(delete(RELEASE).where(same))
        row = {
            "component": release.component,
            "version": str(release.version),
            "change_class": str(release.change_class),
            "available_at": release.available_at,
            "tracks": list(release.tracks),
            "changes": release.changes,
            "estimate": str(release.estimate) if release.estimate is not None else None,
            "carries": [str(each) for each in release.carries],
            "withdrawn": release.withdrawn or None,
        }
        connection.execute(insert(RELEASE), [row])
    facts_changed(connection)


def read_deferrals(connection: Connection) -> tuple[Deferral, ...]:
    """Return every deferral."""
    found = connection.execute(select(DEFERRAL).order_by(DEFERRAL.c.instance, DEFERRAL.c.release)).mappings()
    return tuple(
        Deferral(
            instance=row["instance"],
            release=Version.parse(row["release"]),
            until=row["until"],
            start=row["starts_at"],
            granted_at=row["granted_at"],
            withdrawn_at=row["withdrawn_at"],
        )
        for row in found
    )


def write_deferrals(connection: Connection, deferrals: Iterable[Deferral]) -> None:
    """Store deferrals; one of the same instance and release takes the place of the older entry."""
    for deferral in deferrals:
        release = str(deferral.release)
        same = (DEFERRAL.c.instance == deferral.instance) & (DEFERRAL.c.release == release)
        connection.execute(delete(DEFERRAL).where(same))
        row = {
            "instance": deferral.instance,
            "release": release,
            "until": deferral.until,
            "starts_at": deferral.start,
            "granted_at": deferral.granted_at,
            "withdrawn_at": deferral.withdrawn_at,
        }
        connection.execute(insert(DEFERRAL), [row])
    facts_changed(connection)


def read_pins(connection: Connection) -> tuple[Pin, ...]:
    """Return every pin."""
    found = connection.execute(select(PIN).order_by(PIN.c.instance, PIN.c.component)).mappings()
    return tuple(
        Pin(
            instance=row["instance"],
            component=row["component"],
            version=Version.parse(row["version"]),
            start=row["starts_at"],
            until=row["until"],
            reason=row["reason"],
            security=row["security"],
        )
        for row in found
    )


def write_pins(connection: Connection, pins: Iterable[Pin]) -> None:
    """Store pins; one of the same instance and component takes the place of the older entry."""
    for pin in pins:
        remove_pin(connection, pin)
        row = {
            "instance": pin.instance,
            "component": pin.component,
            "version": str(pin.version),
            "starts_at": pin.start,
            "until": pin.until,
            "reason": pin.reason,
            "security": pin.security,
        }
        connection.execute(insert(PIN), [row])
    facts_changed(connection)


def remove_pin(connection: Connection, pin: Pin) -> None:
    """Remove the pin of that instance and component."""
    same = (PIN.c.instance == pin.instance) & (PIN.c.component == pin.component)
    connection.execute(delete(PIN).where(same))
    facts_changed(connection)


def read_consents(connection: Connection) -> tuple[Consent, ...]:
    """Return every consent."""
    found = connection.execute(select(CONSENT).order_by(CONSENT.c.id)).mappings()
    return tuple(
        Consent(instance=row["instance"], given_by=row["given_by"], given_at=row["given_at"], until=row["until"])
        for row in found
    )


def write_consents(connection: Connection, consents: Iterable[Consent]) -> None:
    """Store those consents that are not stored yet."""
    known = set(read_consents(connection))
    rows = [
        {"instance": each.instance, "given_by": each.given_by, "given_at": each.given_at, "until": each.until}
        for each in consents
        if each not in known
    ]
    if rows:
        connection.execute(insert(CONSENT), rows)
        facts_changed(connection)


def end_consents(connection: Connection, instance: str, at: datetime) -> None:
    """Let every consent of an instance end at `at`; one that would only have begun then is none."""
    mine = CONSENT.c.instance == instance
    connection.execute(delete(CONSENT).where(mine, CONSENT.c.given_at >= at))
    open_ended = or_(CONSENT.c.until.is_(None), CONSENT.c.until > at)
    connection.execute(update(CONSENT).where(and_(mine, open_ended)).values(until=at))
    facts_changed(connection)


def read_track_switches(connection: Connection) -> tuple[TrackSwitch, ...]:
    """Return every track switch."""
    found = connection.execute(select(TRACK_SWITCH).order_by(TRACK_SWITCH.c.id)).mappings()
    return tuple(TrackSwitch(instance=row["instance"], track=row["track"], at=row["at"]) for row in found)


def write_track_switches(connection: Connection, switches: Iterable[TrackSwitch]) -> None:
    """Store those track switches that are not stored yet."""
    known = set(read_track_switches(connection))
    rows = [{"instance": each.instance, "track": each.track, "at": each.at} for each in switches if each not in known]
    if rows:
        connection.execute(insert(TRACK_SWITCH), rows)
        facts_changed(connection)


def replace_track_switch(connection: Connection, switch: TrackSwitch) -> None:
    """Store a track switch; one of the same instance and instant gives way."""
    same = (TRACK_SWITCH.c.instance == switch.instance) & (TRACK_SWITCH.c.at == switch.at)
    connection.execute(delete(TRACK_SWITCH).where(same))
    write_track_switches(connection, [switch])


# --- freezes ----------------------------------------------------------------------------------------------------------


def read_freezes(connection: Connection) -> tuple[KeptFreeze, ...]:
    """Return every freeze, in the order of their starts."""
    found = connection.execute(select(FREEZE).order_by(FREEZE.c.starts_at, FREEZE.c.key)).mappings()
    return tuple(_freeze_from_row(row) for row in found)


def _freeze_from_row(row: Mapping[Any, Any]) -> KeptFreeze:
    return KeptFreeze(
        freeze=Freeze(
            key=row["key"],
            start=row["starts_at"],
            end=row["ends_at"],
            reason=row["reason"],
            classes=tuple(ChangeClass(each) for each in row["classes"]),
            customers=tuple(row["customers"]),
            instances=tuple(row["instances"]),
        ),
        ended_at=row["ended_at"],
    )


def write_freezes(connection: Connection, freezes: Iterable[Freeze]) -> None:
    """Store freezes; one of the same key takes the place of the older entry."""
    for freeze in freezes:
        connection.execute(delete(FREEZE).where(FREEZE.c.key == freeze.key))
        row = {
            "key": freeze.key,
            "starts_at": freeze.start,
            "ends_at": freeze.end,
            "reason": freeze.reason,
            "classes": [str(each) for each in freeze.classes],
            "customers": list(freeze.customers),
            "instances": list(freeze.instances),
            "ended_at": None,
        }
        connection.execute(insert(FREEZE), [row])
    facts_changed(connection)


def end_freeze(connection: Connection, key: str, now: datetime) -> None:
    """Note that a freeze ended at `now`, before its time."""
    connection.execute(update(FREEZE).where(FREEZE.c.key == key).values(ended_at=now))
    facts_changed(connection)


def freezes_in_force(kept: Iterable[KeptFreeze]) -> tuple[Freeze, ...]:
    """Return the freezes as they hold: those that were ended early end then, or never began."""
    from dataclasses import replace

    return tuple(
        each.freeze if each.ended_at is None else replace(each.freeze, end=each.ended_at)
        for each in kept
        if each.ended_at is None or utc(each.ended_at) > utc(each.freeze.start)
    )


# --- outages ----------------------------------------------------------------------------------------------------------


def read_outages(
    connection: Connection, *, since: datetime | None = None, instance: str | None = None
) -> tuple[KeptOutage, ...]:
    """Return the outages that are open or ended after `since`, in the order of their starts."""
    wanted = select(OUTAGE).order_by(OUTAGE.c.starts_at, OUTAGE.c.key)
    if since is not None:
        wanted = wanted.where(or_(OUTAGE.c.ends_at.is_(None), OUTAGE.c.ends_at > since))
    if instance is not None:
        wanted = wanted.where(OUTAGE.c.instance == instance)
    return tuple(_outage_from_row(row) for row in connection.execute(wanted).mappings())


def _outage_from_row(row: Mapping[Any, Any]) -> KeptOutage:
    return KeptOutage(
        key=row["key"],
        outage=Outage(
            start=row["starts_at"],
            end=row["ends_at"],
            critical=row["critical"],
            customer_caused=row["customer_caused"],
            data_restore=row["data_restore"],
            cause=OutageCause(row["cause"]) if row["cause"] else None,
            instance=row["instance"],
        ),
        note=row["note"],
    )


def write_outage(connection: Connection, kept: KeptOutage) -> None:
    """Store an outage as it now is."""
    outage = kept.outage
    connection.execute(delete(OUTAGE).where(OUTAGE.c.key == kept.key))
    row = {
        "key": kept.key,
        "instance": outage.instance,
        "starts_at": outage.start,
        "ends_at": outage.end,
        "critical": outage.critical,
        "customer_caused": outage.customer_caused,
        "data_restore": outage.data_restore,
        "cause": str(outage.cause) if outage.cause else None,
        "note": kept.note,
    }
    connection.execute(insert(OUTAGE), [row])
    facts_changed(connection)

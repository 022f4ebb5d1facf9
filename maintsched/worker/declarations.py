"""Facts of a file beside those of the database: what is new or other there, and what both hold together."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete

from maintsched.errors import ChangeRefused
from maintsched.facts import Consent, Deferral, Facts, Freeze, Pin, Release, TrackSwitch
from maintsched.fleet import Fleet
from maintsched.fleetdiff import Change, FleetDiff, Owned, Thing, change_of, facts_of
from maintsched.localtime import utc
from maintsched.store.declared import (
    CONSENT,
    read_consents,
    read_deferrals,
    read_freezes,
    read_pins,
    read_releases,
    read_track_switches,
    replace_track_switch,
    write_consents,
    write_deferrals,
    write_freezes,
    write_pins,
    write_releases,
)


class _Kind(NamedTuple):
    """How facts of one kind are told apart, and where they are kept."""

    of: Callable[[Facts], Sequence[Any]]
    read: Callable[[Connection], Iterable[Any]]
    write: Callable[[Connection, Iterable[Any]], None]
    identity: Callable[[Any], Hashable]
    key: Callable[[Any], str]


def _frozen(connection: Connection) -> list[Freeze]:
    return [each.freeze for each in read_freezes(connection)]


def _write_consents(connection: Connection, consents: Iterable[Consent]) -> None:
    """Store consents; one of the same instance and instant takes the place of the older entry."""
    listed = list(consents)
    for each in listed:
        same = (CONSENT.c.instance == each.instance) & (CONSENT.c.given_at == each.given_at)
        connection.execute(delete(CONSENT).where(same))
    write_consents(connection, listed)


def _write_switches(connection: Connection, switches: Iterable[TrackSwitch]) -> None:
    """Store track switches; one of the same instance and instant takes the place of the older entry."""
    for each in switches:
        replace_track_switch(connection, each)


def _release_key(release: Release) -> str:
    return f"{release.component}/{release.version}"


def _pin_key(pin: Pin) -> str:
    return pin.id


def _consent_key(consent: Consent) -> str:
    return f"{consent.instance}/{consent.given_at.isoformat()}"


def _switch_key(switch: TrackSwitch) -> str:
    return f"{switch.instance}/{switch.at.isoformat()}"


_KINDS = {
    Thing.RELEASE: _Kind(
        of=lambda facts: facts.releases,
        read=read_releases,
        write=write_releases,
        identity=lambda each: (each.component, each.version),
        key=_release_key,
    ),
    Thing.DEFERRAL: _Kind(
        of=lambda facts: facts.deferrals,
        read=read_deferrals,
        write=write_deferrals,
        identity=lambda each: (each.instance, each.release),
        key=lambda each: str(each.id),
    ),
    Thing.PIN: _Kind(
        of=lambda facts: facts.pins,
        read=read_pins,
        write=write_pins,
        identity=lambda each: (each.instance, each.component),
        key=_pin_key,
    ),
    Thing.FREEZE: _Kind(
        of=lambda facts: facts.freezes,
        read=_frozen,
        write=write_freezes,
        identity=lambda each: each.key,
        key=lambda each: str(each.key),
    ),
    Thing.CONSENT: _Kind(
        of=lambda facts: facts.consents,
        read=read_consents,
        write=_write_consents,
        identity=lambda each: (each.instance, utc(each.given_at)),
        key=_consent_key,
    ),
    Thing.TRACK_SWITCH: _Kind(
        of=lambda facts: facts.track_switches,
        read=read_track_switches,
        write=_write_switches,
        identity=lambda each: (each.instance, utc(each.at)),
        key=_switch_key,
    ),
}


def synced_facts(connection: Connection, facts: Facts) -> list[Change]:
    """Return the facts that the database lacks, or has otherwise. What only the database has stays as it is.

    Raises `ChangeRefused` for another freeze under the key of one that somebody ended, and for another end of a
    deferral that somebody withdrew.
    """
    found = []
    for thing, kind in _KINDS.items():
        declared = kind.of(facts)
        if not declared:
            continue
        kept = {kind.identity(each): each for each in kind.read(connection)}
        for each in declared:
            old = kept.get(kind.identity(each))
            new = _completed(each, old)
            before = None if old is None else Owned(old, None)
            change = change_of(thing, kind.key(new), before, Owned(new, None))
            if change is not None:
                found.append(change)
    _require_not_ended(connection, [each for each in found if each.thing is Thing.FREEZE])
    return found


def _completed(declared: Any, kept: Any) -> Any:
    """Return a fact with what the database knows and the file leaves out.

    That is when a deferral was granted, where it starts and that it was withdrawn, and that a release was: an older
    file revives neither.
    """
    if kept is None:
        return declared
    if isinstance(declared, Release):
        return replace(declared, withdrawn=declared.withdrawn or kept.withdrawn)
    if not isinstance(declared, Deferral):
        return declared
    if kept.withdrawn_at is not None and utc(declared.until) != utc(kept.until):
        expected = "the deferral as it was (grant it anew with `maintsched defer`): it was withdrawn by somebody"
        found = f"another end than that of the one withdrawn at {kept.withdrawn_at.isoformat()}"
        raise ChangeRefused(f"deferral {declared.id}", expected=expected, found=found)
    return replace(
        declared,
        start=declared.start or kept.start,
        granted_at=declared.granted_at or kept.granted_at,
        withdrawn_at=declared.withdrawn_at or kept.withdrawn_at,
    )


def _require_not_ended(connection: Connection, changes: list[Change]) -> None:
    ended = {each.freeze.key: each.ended_at for each in read_freezes(connection)} if changes else {}
    for each in changes:
        at = ended.get(each.key)
        if at is not None:
            expected = "the freeze as it was, or a new key: it was ended by somebody"
            raise ChangeRefused(f"freeze {each.key}", expected=expected, found=f"another one than ended at {at}")


def write_synced(connection: Connection, found: FleetDiff) -> None:
    """Store the facts among the changes."""
    for thing, kind in _KINDS.items():
        values = [each.after for each in found.of(thing)]
        if values:
            kind.write(connection, values)


def known_facts(connection: Connection, fleet: Fleet, changes: Iterable[Change]) -> Facts:
    """Return the facts with `changes`, those of the database as far as `fleet` has what they name."""
    kept = Facts(
        releases=read_releases(connection),
        deferrals=read_deferrals(connection),
        pins=read_pins(connection),
        freezes=tuple(_frozen(connection)),
        consents=read_consents(connection),
        track_switches=read_track_switches(connection),
    )
    kept = facts_of(fleet, kept)
    together = {thing: {kind.identity(each): each for each in kind.of(kept)} for thing, kind in _KINDS.items()}
    for change in changes:
        together[change.thing][_KINDS[change.thing].identity(change.after)] = change.after
    values = {thing: tuple(each.values()) for thing, each in together.items()}
    return Facts(
        releases=values[Thing.RELEASE],
        deferrals=values[Thing.DEFERRAL],
        pins=values[Thing.PIN],
        freezes=values[Thing.FREEZE],
        consents=values[Thing.CONSENT],
        track_switches=values[Thing.TRACK_SWITCH],
    )

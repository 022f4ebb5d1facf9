"""What operators do to freezes: add one, end one before its time, list them; with evidence for each instance."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any

from sqlalchemy import Connection

from maintsched.conflicts import Conflict, ConflictKind
from maintsched.contract import Contract
from maintsched.errors import ChangeRefused, InvalidValue, UnknownName
from maintsched.facts import Facts, Freeze, check_facts
from maintsched.fleet import Fleet
from maintsched.grammar import require_text
from maintsched.journal import PROVIDER, EntryKind, Event, instant_text
from maintsched.localtime import utc
from maintsched.plan import make_plan
from maintsched.spans import Span
from maintsched.store.declared import KeptFreeze, end_freeze, read_freezes, write_freezes
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.store.fleets import read_fleet
from maintsched.terms import WINDOW_MAX
from maintsched.worker.house import read_scene

NAMED_FOR = timedelta(days=366)
"""How far from its start the windows that a freeze lies over are named."""


class FreezeState(StrEnum):
    """Where a freeze stands at an instant."""

    AHEAD = "ahead"  # it has not begun
    IN_FORCE = "in_force"  # it keeps changes out
    OVER = "over"  # it ended by itself
    ENDED = "ended"  # somebody ended it before its time, or before it began


@dataclass(frozen=True, kw_only=True)
class FreezeStanding:
    """A freeze, where it stands, and the keys of the instances that it covers today."""

    kept: KeptFreeze
    state: FreezeState
    instances: tuple[str, ...]
    windows: tuple[Conflict, ...] = ()
    """The windows that it lies over within a year of its start, with what each lacks because of it."""


def add_freeze(
    store: Store, contract: Contract, freeze: Freeze, *, now: datetime, numbered: bool = False
) -> FreezeStanding:
    """Enter a freeze; return it with the windows that it lies over.

    `numbered`: where the key is taken, the next free one of `<key>-2`, `<key>-3` and so on is. Raises `InvalidValue`
    for a freeze that is over already, `UnknownName` for customers and instances that nobody has, `ChangeRefused` for a
    key that is taken.
    """
    if utc(freeze.end) <= utc(now):
        raise InvalidValue("end", expected=f"an instant after {now.isoformat()}", found=freeze.end.isoformat())
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        check_facts(contract, scene.fleet, Facts(freezes=(freeze,)))
        freeze = replace(freeze, key=_free_key(connection, freeze.key, numbered=numbered))
        write_freezes(connection, (freeze,))
        append(connection, freeze_events(scene.fleet, freeze, EntryKind.FREEZE_ADDED, now))
        standing = _standing(scene.fleet, KeptFreeze(freeze=freeze), now)
    facts = replace(scene.facts, freezes=(freeze,))
    return replace(standing, windows=_windows_under(contract, scene.fleet, facts, freeze, now))


def _free_key(connection: Connection, key: str, *, numbered: bool) -> str:
    taken = {each.freeze.key for each in read_freezes(connection)}
    if key not in taken:
        return key
    if not numbered:
        raise ChangeRefused(f"freeze {key}", expected="a new key (give another one with --key)", found="one in use")
    return next(found for number in count(2) if (found := f"{key}-{number}") not in taken)


def _windows_under(
    contract: Contract, fleet: Fleet, facts: Facts, freeze: Freeze, now: datetime
) -> tuple[Conflict, ...]:
    """Return the conflicts of the windows that a freeze lies over, from now on and for a year at most."""
    since = max(utc(freeze.start), utc(now))
    until = min(utc(freeze.end), since + NAMED_FOR)
    keys = covered(fleet, freeze)
    if not keys or until <= since:
        return ()
    only = None if len(keys) == len(fleet.owners) else frozenset(keys)
    plan = make_plan(contract, fleet, facts, Span(start=since - WINDOW_MAX, end=until), now=now, only=only)
    return tuple(each for each in plan.all_conflicts if each.kind is ConflictKind.FREEZE_OVER_WINDOW)


def finish_freeze(store: Store, key: str, *, reason: str, now: datetime) -> FreezeStanding:
    """End a freeze before its time, or call it off before it begins.

    Raises `UnknownName` where there is none of that key, `ChangeRefused` where it has ended already.
    """
    require_text("reason", reason)
    with store.writing() as connection:
        known = {each.freeze.key: each for each in read_freezes(connection)}
        kept = known.get(key)
        if kept is None:
            raise UnknownName("freeze", found=key, known=known)
        state = state_of(kept, now)
        if state in (FreezeState.OVER, FreezeState.ENDED):
            found = f"one that {'was ended' if kept.ended_at else 'ended by itself'} at {_end(kept).isoformat()}"
            raise ChangeRefused(f"freeze {key}", expected="one that has not ended yet", found=found)
        end_freeze(connection, key, now)
        fleet = read_fleet(connection)
        append(connection, freeze_events(fleet, kept.freeze, EntryKind.FREEZE_ENDED, now, why=reason))
        return _standing(fleet, replace(kept, ended_at=now), now)


def list_freezes(store: Store, *, now: datetime, everything: bool = False) -> tuple[FreezeStanding, ...]:
    """Return the freezes in force and ahead, in the order of their starts; `everything`: those that ended as well."""
    with store.reading() as connection:
        fleet, kept = read_fleet(connection), read_freezes(connection)
    listed = (_standing(fleet, each, now) for each in kept)
    gone = () if everything else (FreezeState.OVER, FreezeState.ENDED)
    return tuple(each for each in listed if each.state not in gone)


# --- what a freeze is -------------------------------------------------------------------------------------------------


def _standing(fleet: Fleet, kept: KeptFreeze, now: datetime) -> FreezeStanding:
    return FreezeStanding(kept=kept, state=state_of(kept, now), instances=tuple(covered(fleet, kept.freeze)))


def state_of(kept: KeptFreeze, now: datetime) -> FreezeState:
    """Return where a freeze stands at `now`."""
    if kept.ended_at is not None:
        return FreezeState.ENDED
    if utc(kept.freeze.end) <= utc(now):
        return FreezeState.OVER
    return FreezeState.AHEAD if utc(kept.freeze.start) > utc(now) else FreezeState.IN_FORCE


def _end(kept: KeptFreeze) -> datetime:
    return kept.freeze.end if kept.ended_at is None else kept.ended_at


def covered(fleet: Fleet, freeze: Freeze) -> list[str]:
    """Return the keys of the instances that a freeze covers, in the order of the fleet."""
    return [key for key, customer in fleet.owners.items() if freeze.covers(customer.key, key)]


def freeze_events(fleet: Fleet, freeze: Freeze, kind: EntryKind, now: datetime, **more: Any) -> list[Event]:
    """Return what the journal says of a freeze, for each instance that it covers, or the provider if there is none."""
    common: Mapping[str, Any] = {
        "start": instant_text(freeze.start),
        "end": instant_text(freeze.end),
        "reason": freeze.reason,
        "classes": [str(each) for each in freeze.classes],
        **more,
    }
    events = []
    for chain in covered(fleet, freeze) or [PROVIDER]:
        owner = fleet.owners.get(chain)
        mine = {each.key for each in owner.instances} if owner else set()  # no customer reads of another's
        scope = {
            "customers": [each for each in freeze.customers if owner and each == owner.key],
            "instances": [each for each in freeze.instances if each in mine],
        }
        events.append(Event(chain=chain, at=now, kind=kind, subject=f"freeze/{freeze.key}", data={**common, **scope}))
    return events

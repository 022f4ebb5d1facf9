"""What operators do to deferrals for customers: grant, extend, withdraw, list (clause 2.4.4); with evidence.

The customer is told by the next pass of the worker: of the grant and of every other end, 30 and 7 days before the end,
and at the end, be it that the time is over or that the deferral was withdrawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection

from maintsched.contract import Contract
from maintsched.errors import ChangeRefused, UnknownName
from maintsched.facts import Deferral
from maintsched.fleet import Customer
from maintsched.grammar import require_once, require_text
from maintsched.journal import EntryKind, Event, instant_text
from maintsched.localtime import Period, utc
from maintsched.notices import NoticeKind, people
from maintsched.plan import make_plan
from maintsched.releases import RunningDeferral, deferrable, deferral_start, require_deferral, settle_deferral
from maintsched.spans import Span
from maintsched.store.declared import write_deferrals
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.version import Version
from maintsched.worker.house import Scene, read_scene


class DeferralState(StrEnum):
    """Where a deferral stands at an instant."""

    AHEAD = "ahead"  # the window that its release would have gone in is still to come
    RUNNING = "running"  # it keeps its release out
    OVER = "over"  # it ended by itself
    WITHDRAWN = "withdrawn"  # it was ended before its time


OPEN = (DeferralState.AHEAD, DeferralState.RUNNING)


class Planned(NamedTuple):
    """A release that goes into the instance, and the window that takes it."""

    release: str
    window: str


@dataclass(frozen=True, kw_only=True)
class DeferralStanding:
    """A deferral, counted and dated."""

    running: RunningDeferral
    state: DeferralState
    customer: str
    number: int
    """Which of the instance's deferrals it is, in the order of their starts, from 1 on."""
    days: int
    """Calendar days from its start to its end."""
    days_max: int
    """Calendar days from its start to the latest possible end."""
    reminders: tuple[tuple[Period, datetime], ...] = ()
    """The reminders that are still to come."""
    meanwhile: tuple[Planned, ...] = ()
    """The releases of the component that go in before it ends: security releases alone."""
    then: Planned | None = None
    """What goes in when it has ended: a newer release, where there is one by then."""
    told: tuple[str, ...] = ()
    """Who hears of it; empty: nobody of the customer can be told."""
    previous: datetime | None = None
    """Where its end was changed: the end before."""


def grant(
    store: Store,
    contract: Contract,
    instances: Sequence[str],
    release: Version,
    *,
    until: datetime,
    now: datetime,
    by: str | None = None,
) -> list[DeferralStanding]:
    """Put a larger update off for some instances, all or none of them; return the deferrals, counted and dated.

    One that ended or was withdrawn may be granted anew: its limit stays that of the first time. `by` is the contact of
    the customer who asked. Raises `DeferralRefused` with the limit and its clause, `UnknownName` for an instance,
    release or contact nobody knows, `ChangeRefused` for an update that is deferred already or was taken back.
    """
    require_once("instance", "each instance once", instances)
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        found = deferrable(contract, scene.facts, release)
        if found.withdrawn:
            wanted = "a release that may go in (one that was taken back does not)"
            raise ChangeRefused(f"release {found.id}", expected=wanted, found=f"withdrawn: {found.withdrawn}")
        granted = []
        for key in instances:
            instance = scene.fleet.instance(key)
            owner = scene.fleet.owners[key]
            _require_contact(owner, by)
            before = _known(contract, scene, key, release)
            if before is not None and state_of(before, now) in OPEN:
                wanted = "one that is not deferred (`maintsched defer extend` gives it another end)"
                ends = f"deferred until {_said(contract, before.end)}"
                raise ChangeRefused(f"deferral {before.deferral.id}", expected=wanted, found=ends)
            start = (
                deferral_start(contract, scene.facts, found, customer=owner.key, instance=instance)
                if before is None
                else before.start
            )
            require_deferral(contract, scene.fleet, scene.facts, key, found, start=start, until=until, now=now)
            granted.append(Deferral(instance=key, release=found.version, until=until, start=start, granted_at=now))
        return _written(connection, contract, scene, granted, EntryKind.DEFERRAL_GRANTED, now, by=by)


def extend(
    store: Store,
    contract: Contract,
    instance: str,
    release: Version,
    *,
    until: datetime,
    now: datetime,
    by: str | None = None,
) -> DeferralStanding:
    """Give a deferral another end, later or earlier; the limit stays (clause 2.4.4).

    Raises as `grant` does, and `ChangeRefused` where the deferral has ended, or ends then already.
    """
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        before = _require_open(contract, scene, instance, release, now)
        _require_contact(scene.fleet.owners[instance], by)
        if utc(before.end) == utc(until):
            raise ChangeRefused(f"deferral {before.deferral.id}", expected="another end", found="the one it has")
        found = before.release
        require_deferral(contract, scene.fleet, scene.facts, instance, found, start=before.start, until=until, now=now)
        later = replace(before.deferral, start=before.start, until=until)
        data = {"previous": instant_text(before.end)}
        (done,) = _written(connection, contract, scene, [later], EntryKind.DEFERRAL_EXTENDED, now, by=by, **data)
        return replace(done, previous=before.end)


def withdraw(
    store: Store,
    contract: Contract,
    instance: str,
    release: Version,
    *,
    now: datetime,
    reason: str = "",
    by: str | None = None,
) -> DeferralStanding:
    """End a deferral before its time: its release goes in with the next window.

    Raises `UnknownName` where there is none, `ChangeRefused` where it has ended already.
    """
    require_text("reason", reason, empty=True)
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        before = _require_open(contract, scene, instance, release, now)
        _require_contact(scene.fleet.owners[instance], by)
        gone = replace(before.deferral, withdrawn_at=now)
        data = {"previous": instant_text(before.end), "why": reason}
        (done,) = _written(connection, contract, scene, [gone], EntryKind.DEFERRAL_WITHDRAWN, now, by=by, **data)
        return replace(done, previous=before.end)


def list_deferrals(
    store: Store, contract: Contract, *, now: datetime, everything: bool = False
) -> list[DeferralStanding]:
    """Return the deferrals that run or are ahead, by instance; `everything`: those that ended as well."""
    with store.reading() as connection:
        scene = read_scene(connection, contract, now)
    found = (_standing(contract, scene, each, now) for each in scene.facts.deferrals)
    return [each for each in found if everything or each.state in OPEN]


# --- what a deferral is -----------------------------------------------------------------------------------------------


def state_of(running: RunningDeferral, now: datetime) -> DeferralState:
    """Return where a deferral stands at `now`."""
    withdrawn_at = running.deferral.withdrawn_at
    if withdrawn_at is not None and utc(withdrawn_at) <= utc(running.end):
        return DeferralState.WITHDRAWN
    taken = running.window is not None and utc(running.window.start) <= utc(now)
    if utc(running.end) <= utc(now) or taken:
        return DeferralState.OVER
    return DeferralState.AHEAD if utc(running.start) > utc(now) else DeferralState.RUNNING


def _settled(contract: Contract, scene: Scene, deferral: Deferral) -> RunningDeferral:
    return settle_deferral(
        contract,
        scene.facts,
        deferral,
        deferrable(contract, scene.facts, deferral.release),
        customer=scene.fleet.owners[deferral.instance].key,
        instance=scene.fleet.instance(deferral.instance),
    )


def _known(contract: Contract, scene: Scene, instance: str, release: Version) -> RunningDeferral | None:
    """Return the deferral of a release by an instance, be it over."""
    mine = (each for each in scene.facts.deferrals if (each.instance, each.release) == (instance, release))
    return next((_settled(contract, scene, each) for each in mine), None)


def _require_open(contract: Contract, scene: Scene, instance: str, release: Version, now: datetime) -> RunningDeferral:
    scene.fleet.instance(instance)
    found = _known(contract, scene, instance, release)
    if found is None:
        known = [each.id for each in scene.facts.deferrals if each.instance == instance]
        raise UnknownName("deferral", found=f"{instance}/{release}", known=known)
    state = state_of(found, now)
    if state not in OPEN:
        word = "was withdrawn" if state is DeferralState.WITHDRAWN else "ended by itself"
        wanted = "one that has not ended (`maintsched defer` grants it anew, up to the same limit)"
        what = f"one that {word} at {_said(contract, found.end)}"
        raise ChangeRefused(f"deferral {found.deferral.id}", expected=wanted, found=what)
    return found


def _require_contact(owner: Customer, by: str | None) -> None:
    """Refuse somebody who is no contact: evidence names people by key, and keeps no other name of theirs."""
    known = [contact.key for contact in owner.contacts]
    if by is not None and by not in known:
        raise UnknownName(f"contact of {owner.key}", found=by, known=known)


def _said(contract: Contract, at: datetime) -> str:
    return f"{at.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}"


def _standing(contract: Contract, scene: Scene, deferral: Deferral, now: datetime) -> DeferralStanding:
    running = _settled(contract, scene, deferral)
    owner = scene.fleet.owners[deferral.instance]
    mine = [_settled(contract, scene, each) for each in scene.facts.deferrals if each.instance == deferral.instance]
    mine.sort(key=lambda each: (utc(each.start), each.deferral.release))
    begin, end, limit = (at.astimezone(contract.zone).date() for at in (running.start, running.end, running.limit))
    moments = [
        (period, period.before_instant(running.end, contract.zone, contract.clock_change).at)
        for period in contract.deferral.remind
    ]
    state = state_of(running, now)
    told = people(contract, owner, NoticeKind.DEFERRAL_GRANTED)
    return DeferralStanding(
        running=running,
        state=state,
        customer=owner.key,
        number=1 + [each.deferral for each in mine].index(deferral),
        days=max(0, (end - begin).days),
        days_max=(limit - begin).days,
        reminders=tuple(each for each in moments if utc(each[1]) > utc(now)) if state in OPEN else (),
        told=tuple(each.contact for each in told),
    )


# --- writing it down --------------------------------------------------------------------------------------------------


def _written(
    connection: Connection,
    contract: Contract,
    scene: Scene,
    deferrals: Sequence[Deferral],
    kind: EntryKind,
    now: datetime,
    *,
    by: str | None,
    **more: Any,
) -> list[DeferralStanding]:
    """Store deferrals with their evidence; return them as they stand, with what the plan says of them."""
    write_deferrals(connection, deferrals)
    changed = {(each.instance, each.release): each for each in deferrals}
    others = [each for each in scene.facts.deferrals if (each.instance, each.release) not in changed]
    after = replace(scene, facts=replace(scene.facts, deferrals=(*others, *deferrals)))
    found = [_planned(contract, after, _standing(contract, after, each, now), now) for each in deferrals]
    append(connection, [_event(each, kind, now, by, more) for each in found])
    return found


def _event(standing: DeferralStanding, kind: EntryKind, now: datetime, by: str | None, more: dict[str, Any]) -> Event:
    running = standing.running
    data = {
        "customer": standing.customer,
        "release": str(running.deferral.release),
        "start": instant_text(running.start),
        "until": instant_text(running.end),
        "limit": instant_text(running.limit),
        "number": standing.number,
        "by": by,
        **more,
    }
    subject = f"deferral/{running.deferral.id}"
    return Event(chain=running.deferral.instance, at=now, kind=kind, subject=subject, data=data)


def _planned(contract: Contract, scene: Scene, standing: DeferralStanding, now: datetime) -> DeferralStanding:
    """Add what goes in while the deferral runs, and what does when it has ended."""
    running = standing.running
    last = running.window.start if running.window else running.end
    if utc(last) < utc(now):
        return standing
    span = Span(start=now.astimezone(contract.zone), end=utc(last) + timedelta(microseconds=1))
    only = frozenset({running.deferral.instance})
    plan = make_plan(contract, scene.fleet, scene.facts, span, now=now, only=only)
    rows = [
        (planned.window, Planned(row.release, planned.window.id))
        for planned in plan.windows
        for row in planned.work
        if row.component == contract.deferral.component and row.release is not None
    ]
    ending = running.window.id if running.window else ""
    return replace(
        standing,
        meanwhile=tuple(row for window, row in rows if running.runs_at(window.start)),
        then=next((row for window, row in rows if window.id == ending), None),
    )

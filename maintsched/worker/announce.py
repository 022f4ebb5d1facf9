"""What operators do to windows: announce, confirm, choose, move, cancel. State and intent commit together (law 5)."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from maintsched.announcements import (
    Announcement,
    WindowState,
    cancelled,
    change_between,
    chosen,
    confirmed,
    moved,
    require_start,
)
from maintsched.contract import Contract
from maintsched.errors import ChangeRefused, InvalidValue, UnknownName
from maintsched.facts import DeclaredWindow, WindowKind
from maintsched.grammar import require_text
from maintsched.journal import PROVIDER, EntryKind, Event
from maintsched.localtime import utc
from maintsched.notices import KIND_OF_WINDOW, NoticeKind
from maintsched.rounds import instances_by_customer
from maintsched.spans import Span
from maintsched.store.evidence import append
from maintsched.store.windows import announced_by_rule, read_announcement, write_announcement
from maintsched.windows import schedule
from maintsched.worker.house import House, Scene, read_scene
from maintsched.worker.telling import Done, tell, tell_told


def announce(
    house: House,
    window: DeclaredWindow,
    *,
    now: datetime,
    state: WindowState = WindowState.CONFIRMED,
    alternatives: Iterable[Span] = (),
    hurry: str = "",
    mailed: bool = True,
    dry_run: bool = False,
) -> Done:
    """Enter a critical window or an emergency, and store what tells people of it (clauses 2.4.3.2, 2.4.3.3).

    Raises `StartTooNear` with the earliest possible start, `InvalidValue` for what the contract refuses, `UnknownName`
    for instances that nobody has, `ChangeRefused` where a window of that name is known.
    """
    contract = house.contract
    with _transaction(house, dry_run) as connection:
        scene = read_scene(connection, contract, now)
        _require_instances(scene, window)
        if state is WindowState.TENTATIVE and window.kind is WindowKind.EMERGENCY:
            expected = f"a confirmed window: emergencies are told at once (clause {contract.clauses.emergency})"
            raise InvalidValue("state", expected=expected, found="a tentative one")
        _require_new(connection, window.id)
        require_start(contract, window, now, hurry=hurry)
        announcement = Announcement(
            window=window, state=state, entered_at=now, alternatives=tuple(alternatives), hurry=hurry, mailed=mailed
        )
        for span in announcement.alternatives:
            require_start(contract, replace(window, start=span.start, end=span.end, duration=None), now, hurry=hurry)
        write_announcement(connection, announcement)
        kind = NoticeKind.TENTATIVE if state is WindowState.TENTATIVE else KIND_OF_WINDOW[window.kind]
        entry = EntryKind.WINDOW_TENTATIVE if state is WindowState.TENTATIVE else EntryKind.WINDOW_ANNOUNCED
        _write_down(connection, scene, entry if mailed else EntryKind.WINDOW_PUBLISHED, announcement, now)
        if not mailed:
            return Done(announcement=announcement, not_before=now)
        return tell(connection, house, scene, announcement, kind, now=now)


def confirm(house: House, window: str, *, now: datetime, dry_run: bool = False) -> Done:
    """Confirm a tentative window: it will take place at its own time."""
    with _transaction(house, dry_run) as connection:
        scene = read_scene(connection, house.contract, now)
        announcement = confirmed(read_announcement(connection, window))
        require_start(house.contract, announcement.window, now, hurry=announcement.hurry)
        write_announcement(connection, announcement)
        _write_down(connection, scene, EntryKind.WINDOW_CONFIRMED, announcement, now)
        return tell(connection, house, scene, announcement, NoticeKind.CONFIRMED, now=now, renews=True)


def choose(house: House, window: str, customer: str, number: int, *, now: datetime, dry_run: bool = False) -> Done:
    """Note which of the offered times a customer chose; it becomes a confirmed window for the customer's instances."""
    with _transaction(house, dry_run) as connection:
        scene = read_scene(connection, house.contract, now)
        offered = read_announcement(connection, window)
        mine = tuple(instances_by_customer(scene.fleet, offered.window.instances).get(customer, ()))
        if not mine:
            known = sorted(instances_by_customer(scene.fleet, offered.window.instances))
            raise UnknownName("customer of the window", found=customer, known=known)
        taken = chosen(offered, number, mine)
        require_start(house.contract, taken.window, now, hurry=taken.hurry)
        taken, kept = _beside_others(connection, taken, mine)
        write_announcement(connection, kept)
        rest = tuple(key for key in offered.window.instances if key not in mine)
        write_announcement(connection, _with_instances(offered, rest) if rest else cancelled(offered))
        _write_down(connection, scene, EntryKind.WINDOW_CHOSEN, taken, now, number=number)
        return tell(connection, house, scene, taken, NoticeKind.CONFIRMED, now=now, renews=True)


def move(
    house: House, window: str, span: Span, *, now: datetime, reason: str = "", hurry: str = "", dry_run: bool = False
) -> Done:
    """Move a window that is known, or one of the rule, to another time; tell those who were told of the old one."""
    contract = house.contract
    with _transaction(house, dry_run) as connection:
        scene = read_scene(connection, contract, now)
        old = _known_window(connection, contract, scene, window, now)
        _require_ahead(old, now, "move")
        after = moved(old, span)
        if hurry:
            after = replace(after, hurry=hurry)
        if reason:
            after = replace(after, window=replace(after.window, reason=reason))
        change = change_between(old.window, after.window)
        planned = after.window.kind is not WindowKind.EMERGENCY
        if change.significant and planned:  # a moved window is a new announcement, with a lead of its own
            require_start(contract, replace(after.window, kind=WindowKind.CRITICAL), now)
        else:
            emergency = replace(after.window, kind=WindowKind.EMERGENCY)
            require_start(contract, emergency, now, hurry=hurry or old.hurry or ("less" if planned else ""))
        write_announcement(connection, after)
        previous = {"start": old.span.start.isoformat(), "end": old.span.end.isoformat()}
        significance = {"significance": str(change.significance), "reasons": list(change.reasons)}
        _write_down(connection, scene, EntryKind.WINDOW_MOVED, after, now, previous=previous, **significance)
        if after.state is WindowState.TENTATIVE:  # another offer: it tells nobody of anything
            done = tell(connection, house, scene, after, NoticeKind.TENTATIVE, now=now, revises=True)
        else:
            done = tell_told(
                connection, house, scene, after, NoticeKind.MOVED, now=now, renews=change.significant, previous=previous
            )
        return replace(done, change=change, previous=old.span)


def cancel(house: House, window: str, *, now: datetime, reason: str, dry_run: bool = False) -> Done:
    """Cancel a window that is known, or one of the rule; tell those who were told, or may have been (law 10)."""
    require_text("reason", reason)
    contract = house.contract
    with _transaction(house, dry_run) as connection:
        scene = read_scene(connection, contract, now)
        old = _known_window(connection, contract, scene, window, now)
        _require_ahead(old, now, "cancel")
        after = cancelled(old)
        write_announcement(connection, after)
        _write_down(connection, scene, EntryKind.WINDOW_CANCELLED, after, now, why=reason)
        return tell_told(connection, house, scene, after, NoticeKind.CANCELLED, now=now, why=reason)


def _transaction(house: House, dry_run: bool) -> AbstractContextManager[Connection]:
    """Return a transaction; that of a dry run is undone at its end."""
    return house.store.trying() if dry_run else house.store.writing()


# --- what is allowed -------------------------------------------------------------------------------------------------


def _require_instances(scene: Scene, window: DeclaredWindow) -> None:
    for key in window.instances:
        if key not in scene.fleet.owners:
            raise UnknownName("instance", found=key, known=sorted(scene.fleet.owners))
    known = {release.version for release in scene.facts.releases}
    for version in window.releases:
        if version not in known:
            raise UnknownName("release", found=str(version), known=[str(each) for each in sorted(known)])


def _require_new(connection: Connection, window: str) -> None:
    try:
        old = read_announcement(connection, window)
    except UnknownName:
        return
    raise ChangeRefused(window, expected="a new key (give another one with --key)", found=f"one that is {old.state}")


def _require_ahead(announcement: Announcement, now: datetime, what: str) -> None:
    if utc(announcement.span.start) <= utc(now):
        found = f"one that started at {announcement.span.start.isoformat()}"
        raise ChangeRefused(announcement.id, expected=f"a window ahead to {what}", found=found)


def _known_window(connection: Connection, contract: Contract, scene: Scene, window: str, now: datetime) -> Announcement:
    """Return a window that was announced; one of the rule is kept from now on."""
    kind, _, key = window.partition("/")
    if scene.announcement(window) is None and kind == WindowKind.MONTHLY and key:
        found = schedule(contract).window(window)
        if found is not None:
            return announced_by_rule(found, now)
    return read_announcement(connection, window)


def _beside_others(
    connection: Connection, taken: Announcement, mine: tuple[str, ...]
) -> tuple[Announcement, Announcement]:
    """Return a chosen window as this customer's, and as it is stored beside those who chose the same.

    A window of that name which was moved or cancelled since is left as it is: this choice then has a name of its own.
    """
    key = taken.window.key
    for number in range(2, 1000):
        try:
            same = read_announcement(connection, taken.id)
        except UnknownName:
            return taken, taken
        unchanged = same.state is WindowState.CONFIRMED and same.span == taken.span and same.origin == taken.origin
        if unchanged:
            return taken, _with_instances(same, (*same.window.instances, *mine))
        taken = replace(taken, window=replace(taken.window, key=f"{key}-{number}"))
    raise ChangeRefused(taken.id, expected="a name that is free", found="none")


def _with_instances(announcement: Announcement, instances: tuple[str, ...]) -> Announcement:
    unique = tuple(dict.fromkeys(instances))
    return replace(announcement, window=replace(announcement.window, instances=unique))


def _write_down(
    connection: Connection, scene: Scene, kind: EntryKind, announcement: Announcement, now: datetime, **more: Any
) -> None:
    """Write what was done to a window into the chain of each of its instances."""
    window, span = announcement.window, announcement.span
    data: Mapping[str, Any] = {
        "start": span.start.isoformat(),
        "end": span.end.isoformat(),
        "previous": None,
        "reason": window.reason,
        "impact": str(window.impact),
        **({"hurry": announcement.hurry} if announcement.hurry else {}),
        **more,
    }
    chains = window.instances or tuple(scene.fleet.owners) or (PROVIDER,)
    events = []
    for chain in chains:
        owner = scene.fleet.owners.get(chain)
        mine = [] if owner is None else [each.key for each in owner.instances]  # no customer reads of another's
        named = [key for key in mine if not window.instances or key in window.instances]
        events.append(Event(chain=chain, at=now, kind=kind, subject=announcement.id, data={**data, "instances": named}))
    append(connection, events)

"""What operators do to windows: announce, confirm, choose, move, cancel. State and intent commit together (law 5)."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from maintsched.announcements import (
    Announcement,
    Change,
    WindowState,
    cancelled,
    change_between,
    chosen,
    confirmed,
    moved,
    require_start,
)
from maintsched.contract import Contract
from maintsched.deadlines import notice_deadline
from maintsched.due import customer_occasion, instances_by_customer, window_occasion
from maintsched.errors import ChangeRefused, UnknownName
from maintsched.facts import DeclaredWindow, WindowKind
from maintsched.journal import PROVIDER, EntryKind, Event
from maintsched.localtime import utc
from maintsched.notices import KIND_OF_WINDOW, NoticeKind, Occasion, Recipient, Round, make_round, people
from maintsched.spans import Span
from maintsched.store.evidence import append
from maintsched.store.ledger import withdraw
from maintsched.store.outbox import StoredNotice, read_notices, record
from maintsched.store.windows import announced_by_rule, read_announcement, write_announcement
from maintsched.windows import declared_window, schedule
from maintsched.worker.house import House, Scene, read_scene


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command did to a window."""

    announcement: Announcement
    change: Change | None = None
    notices: tuple[str, ...] = ()
    """Keys of the notices that were stored."""
    withdrawn: tuple[str, ...] = ()
    """Keys of notices that had not gone out, and will not any more."""
    unreachable: tuple[str, ...] = ()
    """Customers that have nobody to be told."""
    not_before: datetime
    """From when on the notices go out."""
    previous: Span | None = None


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
        _write_down(connection, entry if mailed else EntryKind.WINDOW_PUBLISHED, announcement, now)
        if not mailed:
            return Done(announcement=announcement, not_before=now)
        return _tell(connection, house, scene, announcement, kind, now=now)


def confirm(house: House, window: str, *, now: datetime, dry_run: bool = False) -> Done:
    """Confirm a tentative window: it will take place at its own time."""
    with _transaction(house, dry_run) as connection:
        scene = read_scene(connection, house.contract, now)
        announcement = confirmed(read_announcement(connection, window))
        require_start(house.contract, announcement.window, now, hurry=announcement.hurry)
        write_announcement(connection, announcement)
        _write_down(connection, EntryKind.WINDOW_CONFIRMED, announcement, now)
        return _tell(connection, house, scene, announcement, NoticeKind.CONFIRMED, now=now, renews=True)


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
        same = scene.announcement(taken.id)
        kept = taken if same is None else _with_instances(taken, (*same.window.instances, *mine))
        write_announcement(connection, kept)
        rest = tuple(key for key in offered.window.instances if key not in mine)
        write_announcement(connection, _with_instances(offered, rest) if rest else cancelled(offered))
        _write_down(connection, EntryKind.WINDOW_CHOSEN, taken, now, number=number)
        return _tell(connection, house, scene, taken, NoticeKind.CONFIRMED, now=now, renews=True)


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
        if reason:
            after = replace(after, window=replace(after.window, reason=reason))
        change = change_between(old.window, after.window)
        if old.window.kind is not WindowKind.MONTHLY and change.significant:
            require_start(contract, after.window, now, hurry=hurry or old.hurry)
        elif utc(span.start) < utc(now):
            require_start(contract, replace(after.window, kind=WindowKind.EMERGENCY), now, hurry="moved")
        write_announcement(connection, after)
        previous = {"start": old.span.start.isoformat(), "end": old.span.end.isoformat()}
        significance = {"significance": str(change.significance), "reasons": list(change.reasons)}
        _write_down(connection, EntryKind.WINDOW_MOVED, after, now, previous=previous, **significance)
        done = _tell_told(
            connection, house, scene, after, NoticeKind.MOVED, now=now, renews=change.significant, previous=previous
        )
        return replace(done, change=change, previous=old.span)


def cancel(house: House, window: str, *, now: datetime, reason: str, dry_run: bool = False) -> Done:
    """Cancel a window that is known, or one of the rule; tell those who were told, or may have been (law 10)."""
    contract = house.contract
    with _transaction(house, dry_run) as connection:
        scene = read_scene(connection, contract, now)
        old = _known_window(connection, contract, scene, window, now)
        _require_ahead(old, now, "cancel")
        after = cancelled(old)
        write_announcement(connection, after)
        _write_down(connection, EntryKind.WINDOW_CANCELLED, after, now, why=reason)
        return _tell_told(connection, house, scene, after, NoticeKind.CANCELLED, now=now, why=reason)


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


def _with_instances(announcement: Announcement, instances: tuple[str, ...]) -> Announcement:
    unique = tuple(dict.fromkeys(instances))
    return replace(announcement, window=replace(announcement.window, instances=unique))


# --- telling ---------------------------------------------------------------------------------------------------------


def occasion_of(
    contract: Contract, announcement: Announcement, kind: NoticeKind, now: datetime, **facts: Any
) -> Occasion:
    """Return why people are told of an announced window: under its account's thread, with its deadline."""
    window = declared_window(contract, announcement.window)
    due = notice_deadline(contract, window.kind, window.start)
    urgent = window.kind is WindowKind.EMERGENCY
    occasion = window_occasion(
        window,
        announcement.window,
        kind,
        now=now,
        not_before=now if urgent else utc(now) + contract.notice.hold,
        deadline=None if kind in (NoticeKind.CANCELLED, NoticeKind.TENTATIVE) or urgent else due.at,
        exclusive=due.exclusive,
        **facts,
    )
    if announcement.hurry:
        occasion = replace(occasion, facts={**occasion.facts, "hurry": announcement.hurry})
    if announcement.by_rule:
        told = {**occasion.facts["window"], "reason": ""}
        occasion = replace(occasion, facts={**occasion.facts, "window": told})
    return replace(occasion, subject=announcement.thread)


def _tell(
    connection: Connection,
    house: House,
    scene: Scene,
    announcement: Announcement,
    kind: NoticeKind,
    *,
    now: datetime,
    renews: bool = False,
) -> Done:
    """Tell everybody who is concerned; notices of the same thread that have not gone out yet are withdrawn."""
    contract = house.contract
    occasion = replace(
        _offer(occasion_of(contract, announcement, kind, now), announcement), revises=renews, renews=renews
    )
    rounds, unreachable, gone = [], [], []
    for customer, instances in instances_by_customer(scene.fleet, announcement.window.instances).items():
        thread = scene.known.threads.get((announcement.thread, customer))
        if thread is not None:
            gone.extend(withdraw(connection, announcement.thread, customer, now))
        who = people(contract, scene.fleet.customer(customer), kind)
        if not any(each.required for each in who):
            unreachable.append(customer)
        if who:
            mine = customer_occasion(contract, occasion, scene.fleet.customer(customer), instances, {})
            rounds.append(make_round(mine, customer, who, thread))
    return _stored(connection, announcement, rounds, now, occasion, unreachable=unreachable, gone=gone)


def _offer(occasion: Occasion, announcement: Announcement) -> Occasion:
    if announcement.state is not WindowState.TENTATIVE:
        return occasion
    offered = [
        {"number": number, "start": span.start.isoformat(), "end": span.end.isoformat()}
        for number, span in enumerate((announcement.span, *announcement.alternatives), start=1)
    ]
    return replace(occasion, facts={**occasion.facts, "alternatives": offered if len(offered) > 1 else []})


def _tell_told(
    connection: Connection,
    house: House,
    scene: Scene,
    announcement: Announcement,
    kind: NoticeKind,
    *,
    now: datetime,
    renews: bool = False,
    **facts: Any,
) -> Done:
    """Tell exactly those who were told of a window, or may have been.

    Who was not told yet is told of the new time as if it had been the first; of a cancelled window they hear nothing.
    """
    contract, subject = house.contract, announcement.thread
    occasion = replace(occasion_of(contract, announcement, kind, now, **facts), revises=True, renews=renews)
    rounds: list[Round] = []
    gone: list[str] = []
    for customer, stored in _by_customer(read_notices(connection, subjects={subject})).items():
        told = {each.notice.contact for each in stored if each.maybe_told}
        gone.extend(withdraw(connection, subject, customer, now))
        if customer not in {each.key for each in scene.fleet.customers}:
            continue
        owner = scene.fleet.customer(customer)
        living = {each.key for each in owner.contacts}
        who = [Recipient(contact, _was_required(stored, contact)) for contact in sorted(told & living)]
        anew = () if kind is NoticeKind.CANCELLED else people(contract, owner, kind)
        fresh = [each for each in anew if each.contact not in told]
        thread = scene.known.threads.get((subject, customer))
        instances = _instances_of(scene, announcement, customer, stored)
        if (who or (fresh and stored)) and instances:
            mine = customer_occasion(contract, occasion, owner, instances, {})
            first = _first_kind(announcement)
            kinds = {each.contact: first for each in fresh}
            rounds.append(make_round(mine, customer, [*who, *fresh], thread, kinds=kinds))
    return _stored(connection, announcement, rounds, now, occasion, unreachable=[], gone=gone)


def _first_kind(announcement: Announcement) -> NoticeKind:
    """Return the kind that tells of a window for the first time."""
    if announcement.state is WindowState.TENTATIVE:
        return NoticeKind.TENTATIVE
    return KIND_OF_WINDOW[announcement.window.kind]


def _instances_of(
    scene: Scene, announcement: Announcement, customer: str, stored: Collection[StoredNotice]
) -> list[str]:
    """Return the customer's instances that its people were told of, as far as they still exist."""
    named = {key for each in stored for key in each.instances}
    mine = instances_by_customer(scene.fleet, sorted(named)).get(customer, [])
    wanted = announcement.window.instances
    return [key for key in mine if not wanted or key in wanted]


def _was_required(stored: Iterable[StoredNotice], contact: str) -> bool:
    return any(each.notice.required for each in stored if each.notice.contact == contact)


def _by_customer(stored: Iterable[StoredNotice]) -> dict[str, list[StoredNotice]]:
    found: dict[str, list[StoredNotice]] = {}
    for each in stored:
        found.setdefault(each.notice.customer, []).append(each)
    return found


def _stored(
    connection: Connection,
    announcement: Announcement,
    rounds: list[Round],
    now: datetime,
    occasion: Occasion,
    *,
    unreachable: list[str],
    gone: list[str],
) -> Done:
    keys = record(connection, rounds, now)
    if gone:
        withdrawn = read_notices(connection, keys=set(gone))
        append(connection, [event for each in withdrawn for event in withdrawal(each, now)])
    return Done(
        announcement=announcement,
        notices=tuple(keys),
        withdrawn=tuple(gone),
        unreachable=tuple(unreachable),
        not_before=occasion.not_before,
    )


def withdrawal(stored: StoredNotice, now: datetime) -> list[Event]:
    """Return what the journal says of a notice that was overtaken before it went out."""
    notice = stored.notice
    data = {"notice": notice.key, "customer": notice.customer, "contact": notice.contact, "revision": notice.revision}
    chains = stored.instances
    return [
        Event(chain=chain, at=now, kind=EntryKind.NOTICE_WITHDRAWN, subject=notice.subject, data=data)
        for chain in chains
    ]


def _write_down(
    connection: Connection, kind: EntryKind, announcement: Announcement, now: datetime, **more: Any
) -> None:
    """Write what was done to a window into the chain of each of its instances; a whole fleet has one entry."""
    window, span = announcement.window, announcement.span
    data: Mapping[str, Any] = {
        "start": span.start.isoformat(),
        "end": span.end.isoformat(),
        "previous": None,
        "reason": window.reason,
        "impact": str(window.impact),
        "instances": list(window.instances),
        **({"hurry": announcement.hurry} if announcement.hurry else {}),
        **more,
    }
    chains = window.instances or (PROVIDER,)
    append(connection, [Event(chain=each, at=now, kind=kind, subject=announcement.id, data=data) for each in chains])

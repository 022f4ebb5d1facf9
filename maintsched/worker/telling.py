"""The rounds that follow from what is done to a window: who hears of it, and what is withdrawn (law 10)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from maintsched.announcements import Announcement, Change, WindowState
from maintsched.contract import Contract
from maintsched.deadlines import notice_deadline
from maintsched.facts import WindowKind
from maintsched.journal import EntryKind, Event
from maintsched.localtime import utc
from maintsched.notices import KIND_OF_WINDOW, NoticeKind, Occasion, Recipient, Round, make_round, people
from maintsched.plan import make_plan
from maintsched.rounds import customer_occasion, instances_by_customer, window_occasion, work_of
from maintsched.spans import Span
from maintsched.store.evidence import append
from maintsched.store.ledger import withdraw
from maintsched.store.outbox import StoredNotice, read_notices, record
from maintsched.windows import declared_window
from maintsched.worker.house import House, Scene


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
    return replace(occasion, subject=announcement.thread)


def tell(
    connection: Connection,
    house: House,
    scene: Scene,
    announcement: Announcement,
    kind: NoticeKind,
    *,
    now: datetime,
    renews: bool = False,
    revises: bool = False,
) -> Done:
    """Tell everybody who is concerned; notices of the same thread that have not gone out yet are withdrawn."""
    contract = house.contract
    occasion = replace(
        _offer(contract, occasion_of(contract, announcement, kind, now), announcement),
        revises=revises or renews,
        renews=renews,
    )
    rounds, unreachable = [], []
    work = _work(contract, scene, announcement, now)
    concerned = instances_by_customer(scene.fleet, announcement.window.instances or scene.fleet.owners)
    known = [key for key in concerned if (announcement.thread, key) in scene.known.threads]
    gone = withdraw(connection, announcement.thread, known, now)
    for customer, instances in concerned.items():
        thread = scene.known.threads.get((announcement.thread, customer))
        who = people(contract, scene.fleet.customer(customer), kind)
        if not any(each.required for each in who):
            unreachable.append(customer)
        mine = customer_occasion(contract, occasion, scene.fleet.customer(customer), instances, work)
        rounds.append(make_round(mine, customer, who, thread))  # also to nobody: what they knew holds no longer
    return _stored(connection, announcement, rounds, now, occasion, unreachable=unreachable, gone=gone)


def _work(contract: Contract, scene: Scene, announcement: Announcement, now: datetime) -> dict[str, dict[str, Any]]:
    """Return what goes into a window by the plan, so that its notices can say so."""
    others = (window for window in scene.facts.windows if window.id != announcement.id)
    facts = replace(scene.facts, windows=(*others, announcement.window))
    span = Span(start=announcement.span.start, end=utc(announcement.span.start) + timedelta(microseconds=1))
    plan = make_plan(contract, scene.fleet, facts, span, now=now)
    found = (work_of(planned) for planned in plan.windows if planned.window.id == announcement.id)
    return next(found, {})


def _offer(contract: Contract, occasion: Occasion, announcement: Announcement) -> Occasion:
    """Add what a tentative window offers, and until when it can still be confirmed in time."""
    if announcement.state is not WindowState.TENTATIVE:
        return occasion
    terms = contract.notice
    first = min((span.start for span in (announcement.span, *announcement.alternatives)), key=utc)
    latest = utc(first) - contract.critical.lead - terms.hold - terms.delivery_margin
    offered = [
        {"number": number, "start": span.start.isoformat(), "end": span.end.isoformat()}
        for number, span in enumerate((announcement.span, *announcement.alternatives), start=1)
    ]
    more = {"alternatives": offered if len(offered) > 1 else [], "choose_until": latest.isoformat()}
    return replace(occasion, facts={**occasion.facts, **more})


def tell_told(
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
    unreachable: list[str] = []
    living = {each.key for each in scene.fleet.customers}
    concerned = {
        customer: (stored, instances)
        for customer, stored in _by_customer(read_notices(connection, subjects={subject})).items()
        if customer in living and (instances := _instances_of(scene, announcement, customer, stored))
    }
    gone = withdraw(connection, subject, concerned, now)
    for customer, (stored, instances) in concerned.items():
        owner = scene.fleet.customer(customer)
        told = {each.notice.contact for each in stored if each.maybe_told} & {each.key for each in owner.contacts}
        anew = people(contract, owner, KIND_OF_WINDOW[announcement.window.kind])
        required = {each.contact for each in anew if each.required}
        who = [Recipient(contact, contact in required or _was_required(stored, contact)) for contact in sorted(told)]
        fresh = [] if kind is NoticeKind.CANCELLED else [each for each in anew if each.contact not in told]
        if kind is not NoticeKind.CANCELLED and not any(each.required for each in (*who, *fresh)):
            unreachable.append(customer)
        mine = customer_occasion(contract, occasion, owner, instances, {})
        first = KIND_OF_WINDOW[announcement.window.kind]
        kinds = {each.contact: first for each in fresh}
        thread = scene.known.threads.get((subject, customer))
        rounds.append(make_round(mine, customer, [*who, *fresh], thread, kinds=kinds))
    return _stored(connection, announcement, rounds, now, occasion, unreachable=unreachable, gone=gone)


def _instances_of(
    scene: Scene, announcement: Announcement, customer: str, stored: Collection[StoredNotice]
) -> list[str]:
    """Return the customer's instances that its people were told of, as far as they still exist."""
    named = {key for each in stored for key in each.instances}
    mine = instances_by_customer(scene.fleet, sorted(named)).get(customer, [])
    wanted = frozenset(announcement.window.instances)
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

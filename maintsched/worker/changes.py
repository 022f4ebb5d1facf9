"""What is known of announced windows, as rows that commands print: state, classification by the facts, who was told."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from maintsched.announcements import Announcement, WindowState
from maintsched.contract import Contract
from maintsched.deadlines import classify, notice_deadline, shortfall
from maintsched.errors import ChangeRefused, UnknownName
from maintsched.facts import WindowKind
from maintsched.localtime import Elapsed, utc
from maintsched.notices import NoticeKind
from maintsched.proof import told_by_contract, told_by_instance
from maintsched.spans import Span
from maintsched.store.fleets import read_fleet
from maintsched.store.outbox import StoredNotice, read_notices, read_tellings, read_threads
from maintsched.store.windows import read_announcement, read_announcements
from maintsched.windows import schedule
from maintsched.worker.budget import Cost, cost_of
from maintsched.worker.house import House, read_scene
from maintsched.worker.telling import Done


def free_key(connection: Connection, kind: WindowKind, start: datetime) -> str:
    """Return a key for a window that starts on that day: the date, with a number where it is taken."""
    known = {each.id for each in read_announcements(connection)}
    day = start.date().isoformat()
    names = (day, *(f"{day}-{number}" for number in range(2, len(known) + 3)))
    return next(name for name in names if f"{kind}/{name}" not in known)


def span_of(house: House, window: str) -> Span:
    """Return the time of a window, announced or of the rule."""
    with house.store.reading() as connection:
        try:
            return read_announcement(connection, window).span
        except UnknownName:
            found = schedule(house.contract).window(window) if window.startswith(WindowKind.MONTHLY) else None
            if found is None:
                raise
            return found.span


def costs(house: House, done: Done, now: datetime) -> list[Cost]:
    """Return what an emergency costs its production instances; nothing for other windows."""
    announcement = done.announcement
    if announcement.window.kind is not WindowKind.EMERGENCY or announcement.state is WindowState.CANCELLED:
        return []
    with house.store.reading() as connection:
        scene = read_scene(connection, house.contract, now)
        others = tuple(each for each in scene.announcements if each.id != announcement.id)
    return cost_of(house.contract, replace(scene, announcements=others), announcement.window, now=now)


def shown_change(house: House, done: Done, now: datetime) -> dict[str, Any]:
    """Return what a command did to a window, as JSON values."""
    row, zone = _row(house, done.announcement), house.contract.zone
    return {
        **row,
        "change": None
        if done.change is None
        else {"significance": str(done.change.significance), "reasons": list(done.change.reasons)},
        "previous": None
        if done.previous is None
        else {"start": _iso(zone, done.previous.start), "end": _iso(zone, done.previous.end)},
        "notices": list(done.notices),
        "withdrawn": list(done.withdrawn),
        "unreachable": list(done.unreachable),
        "not_before": _iso(zone, done.not_before),
        "costs": [cost_row(cost) for cost in costs(house, done, now)],
    }


def cost_row(cost: Cost) -> dict[str, Any]:
    """Return a cost as JSON values."""
    return {
        "instance": cost.instance,
        "month": cost.month,
        "seconds": cost.seconds,
        "percent_before": None if cost.before.percent is None else f"{cost.before.percent:f}",
        "percent_after": None if cost.percent is None else f"{cost.percent:f}",
        "budget_left_seconds": float(cost.left),
        "met": cost.after.met,
    }


def _row(house: House, announcement: Announcement) -> dict[str, Any]:
    window, zone = announcement.window, house.contract.zone
    due = notice_deadline(house.contract, window.kind, announcement.span.start.astimezone(zone))
    return {
        "id": announcement.id,
        "kind": str(window.kind),
        "state": str(announcement.state),
        "start": announcement.span.start.astimezone(zone).isoformat(),
        "end": announcement.span.end.astimezone(zone).isoformat(),
        "instances": list(window.instances),
        "reason": window.reason,
        "impact": str(window.impact),
        "deadline": due.at.isoformat(),
        "deadline_exclusive": due.exclusive,
        "clause": due.clause,
        "origin": announcement.origin,
        "mailed": announcement.mailed,
        "alternatives": [
            {"number": number, "start": span.start.astimezone(zone).isoformat()}
            for number, span in enumerate(announcement.alternatives, start=2)
        ],
    }


def listed_windows(house: House, now: datetime, *, everything: bool = False) -> list[dict[str, Any]]:
    """Return the windows that are not over, or all, each with how many of its instances' customers were told."""
    with house.store.reading() as connection:
        announcements = read_announcements(connection, None if everything else utc(now))
        return _with_told(house, connection, announcements)


def one_window(house: House, window: str, now: datetime) -> dict[str, Any]:
    """Return one window, with each notice that tells of it, the latest round last.

    Raises `ChangeRefused` for a window of the rule that nobody was told of yet.
    """
    with house.store.reading() as connection:
        announcement = _announced(house, connection, window)
        (row,) = _with_told(house, connection, [announcement])
        stored = read_notices(connection, subjects={announcement.thread})
    named = announcement.window.instances  # of a window that was chosen, others know the same thread
    mine = [each for each in stored if not named or set(named) & set(each.instances)]
    ordered = sorted(mine, key=lambda each: (each.notice.sequence, each.key))
    notices = [notice_row(each, house.contract.zone) for each in ordered]
    return {**row, "over": utc(announcement.span.end) <= utc(now), "notices": notices}


def _announced(house: House, connection: Connection, window: str) -> Announcement:
    try:
        return read_announcement(connection, window)
    except UnknownName:
        if not window.startswith(f"{WindowKind.MONTHLY}/") or schedule(house.contract).window(window) is None:
            raise
        expected = f"one that somebody was told of, or that was moved (`maintsched explain {window}` knows the others)"
        raise ChangeRefused(window, expected=expected, found="one of the rule, which nobody was told of yet") from None


def _with_told(house: House, connection: Connection, announcements: Iterable[Announcement]) -> list[dict[str, Any]]:
    listed, contract, fleet = list(announcements), house.contract, read_fleet(connection)
    owners = fleet.owners
    subjects = {each.thread for each in listed}
    threads, tellings = read_threads(connection, subjects), read_tellings(connection, subjects)
    told = told_by_instance(contract, fleet, listed, threads, tellings)
    known_anyway = told_by_contract(contract, owners, listed)
    others = {each.thread for each in listed if each.state is not WindowState.CONFIRMED}
    heard = _by_subject(read_notices(connection, subjects=others))
    rows = []
    for each in listed:
        if each.state is WindowState.CONFIRMED:
            known = {key: told.get((each.id, key)) for key in each.window.instances or owners}
        else:
            known = _heard_of(each, heard.get(each.thread, ()))
        by_contract = {key: known_anyway.get((each.id, key)) for key in known}
        rows.append({**_row(house, each), **_told_row(contract, each, known, by_contract)})
    return rows


def _told_row(
    contract: Contract,
    announcement: Announcement,
    told: dict[str, datetime | None],
    by_contract: dict[str, datetime | None],
) -> dict[str, Any]:
    """Return how many were told, and what that, or the contract itself, makes of the window.

    Only what takes place is classified.
    """
    start, counts = announcement.span.start, announcement.state is WindowState.CONFIRMED
    facts = {
        key: {
            "told_at": None if at is None else at.astimezone(contract.zone).isoformat(),
            "classification": str(classify(contract, start, by_contract[key] or at)) if counts else None,
        }
        for key, at in told.items()
    }
    late = [shortfall(contract, start, at) for key, at in told.items() if counts and at and not by_contract[key]]
    latest = max(late, default=Elapsed(0))
    return {
        "told": sum(each["told_at"] is not None for each in facts.values()),
        "of": len(facts),
        "planned": sum(each["classification"] == "planned" for each in facts.values()),
        "late_by": str(latest) if latest else None,
        "by_instance": facts,
    }


def _by_subject(stored: Iterable[StoredNotice]) -> dict[str, list[StoredNotice]]:
    found: dict[str, list[StoredNotice]] = defaultdict(list)
    for each in stored:
        found[each.notice.subject].append(each)
    return found


def _heard_of(announcement: Announcement, stored: Collection[StoredNotice]) -> dict[str, datetime | None]:
    """Return when customers heard of an offer, or of a cancellation: by instance, None where somebody did not.

    Only whoever knew of a window hears that it is cancelled.
    """
    cancelled = announcement.state is WindowState.CANCELLED
    kinds = {NoticeKind.CANCELLED} if cancelled else {NoticeKind.TENTATIVE, NoticeKind.MOVED}
    about = [each for each in stored if each.notice.kind in kinds and each.notice.required]
    last = max((each.notice.revision for each in about), default=0)
    found: dict[str, datetime | None] = {} if cancelled else dict.fromkeys(announcement.window.instances)
    for key in {key for each in about if each.notice.revision == last for key in each.instances}:
        if not announcement.window.instances or key in announcement.window.instances:
            mine = [each for each in about if each.notice.revision == last and key in each.instances]
            proofs = [each.accepted_at for each in mine if each.bounced_at is None]
            known = [at for at in proofs if at is not None]
            found[key] = max(known) if len(known) == len(mine) else None
    return dict(sorted(found.items()))


def notice_row(stored: StoredNotice, zone: ZoneInfo) -> dict[str, Any]:
    """Return a stored notice as JSON values, its instants in `zone`; no address is in it."""
    notice = stored.notice
    return {
        "key": stored.key,
        "kind": str(notice.kind),
        "subject": notice.subject,
        "customer": notice.customer,
        "contact": notice.contact,
        "revision": notice.revision,
        "sequence": notice.sequence,
        "required": notice.required,
        "late": notice.late,
        "state": str(stored.state),
        "result": stored.result,
        "attempts": stored.attempt,
        "not_before": _iso(zone, notice.not_before),
        "deadline": _iso(zone, notice.deadline),
        "accepted_at": _iso(zone, stored.accepted_at),
        "bounced_at": _iso(zone, stored.bounced_at),
        "server": stored.server,
        "reply": stored.reply,
        "sha256": stored.digest,
        "instances": list(stored.instances),
    }


def _iso(zone: ZoneInfo, at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(zone).isoformat()

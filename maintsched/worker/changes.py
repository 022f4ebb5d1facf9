"""What is known of announced windows, as rows that commands print: state, classification by the facts, who was told."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from maintsched.announcements import Announcement, WindowState
from maintsched.deadlines import classify, notice_deadline, shortfall
from maintsched.errors import UnknownName
from maintsched.facts import WindowKind
from maintsched.localtime import Elapsed, utc
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
    row = _row(house, done.announcement)
    return {
        **row,
        "change": None
        if done.change is None
        else {"significance": str(done.change.significance), "reasons": list(done.change.reasons)},
        "previous": None
        if done.previous is None
        else {"start": done.previous.start.isoformat(), "end": done.previous.end.isoformat()},
        "notices": list(done.notices),
        "withdrawn": list(done.withdrawn),
        "unreachable": list(done.unreachable),
        "not_before": done.not_before.astimezone(house.contract.zone).isoformat(),
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
    """Return one window, with each notice that tells of it."""
    with house.store.reading() as connection:
        announcement = read_announcement(connection, window)
        (row,) = _with_told(house, connection, [announcement])
        stored = read_notices(connection, subjects={announcement.thread})
    return {**row, "over": utc(announcement.span.end) <= utc(now), "notices": [notice_row(each) for each in stored]}


def _with_told(house: House, connection: Connection, announcements: Iterable[Announcement]) -> list[dict[str, Any]]:
    listed, contract = list(announcements), house.contract
    subjects = {each.thread for each in listed}
    threads, tellings = read_threads(connection, subjects), read_tellings(connection, subjects)
    owners = read_fleet(connection).owners
    told = {
        **told_by_instance(contract, listed, threads, tellings),
        **told_by_contract(contract, owners, listed),
    }
    rows = []
    for each in listed:
        instances = each.window.instances or tuple(owners)
        facts = {
            key: {
                "told_at": _iso(contract.zone, told.get((each.id, key))),
                "classification": str(classify(contract, each.span.start, told.get((each.id, key)))),
            }
            for key in instances
        }
        late = [
            shortfall(contract, each.span.start, at)
            for key in instances
            if (at := told.get((each.id, key))) is not None
        ]
        latest = max(late, default=Elapsed(0))
        rows.append(
            {
                **_row(house, each),
                "told": sum(each["told_at"] is not None for each in facts.values()),
                "of": len(facts),
                "planned": sum(each["classification"] == "planned" for each in facts.values()),
                "late_by": str(latest) if latest else None,
                "by_instance": facts,
            }
        )
    return rows


def _iso(zone: Any, at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(zone).isoformat()


def notice_row(stored: StoredNotice) -> dict[str, Any]:
    """Return a stored notice as JSON values; no address is in it."""
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
        "not_before": notice.not_before.isoformat(),
        "deadline": None if notice.deadline is None else notice.deadline.isoformat(),
        "accepted_at": None if stored.accepted_at is None else stored.accepted_at.isoformat(),
        "bounced_at": None if stored.bounced_at is None else stored.bounced_at.isoformat(),
        "server": stored.server,
        "reply": stored.reply,
        "sha256": stored.digest,
        "instances": list(stored.instances),
    }

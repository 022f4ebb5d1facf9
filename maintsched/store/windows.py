"""Announced windows in the database."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from maintsched.announcements import Announcement, WindowState
from maintsched.errors import UnknownName
from maintsched.facts import AS_ANNOUNCED, DeclaredWindow, Impact, WindowKind
from maintsched.spans import Span
from maintsched.store.rows import WindowRow
from maintsched.store.tables import facts_changed, table_of
from maintsched.version import Version
from maintsched.windows import Window

WINDOW = table_of(WindowRow)


def read_announcements(
    connection: Connection, since: datetime | None = None, *, ids: Collection[str] | None = None
) -> list[Announcement]:
    """Return the windows that end after `since`, of all ids or of some, in the order of their starts."""
    wanted = select(WINDOW).order_by(WINDOW.c.starts_at, WINDOW.c.id)
    if ids is not None:
        wanted = wanted.where(WINDOW.c.id.in_(sorted(ids)))
    if since is not None:
        wanted = wanted.where(WINDOW.c.ends_at > since)
    return [announcement_from_row(row) for row in connection.execute(wanted).mappings()]


def read_announcement(connection: Connection, window: str) -> Announcement:
    """Return one window; `UnknownName` where there is none of that id."""
    row = connection.execute(select(WINDOW).where(WINDOW.c.id == window)).mappings().one_or_none()
    if row is None:
        known = connection.execute(select(WINDOW.c.id).order_by(WINDOW.c.starts_at.desc()).limit(200)).scalars()
        raise UnknownName("window", found=window, known=tuple(known))
    return announcement_from_row(row)


def announcement_from_row(row: Mapping[Any, Any]) -> Announcement:
    """Return a window as it was announced."""
    state = WindowState(row["state"])
    return Announcement(
        window=DeclaredWindow(
            key=row["key"],
            kind=WindowKind(row["kind"]),
            start=row["starts_at"],
            end=row["ends_at"],
            instances=tuple(row["instances"]),
            reason=row["reason"],
            impact=Impact(row["impact"]),
            releases=tuple(Version.parse(each) for each in row["releases"]),
            cancelled=state is WindowState.CANCELLED,
        ),
        state=state,
        entered_at=row["entered_at"],
        alternatives=tuple(
            Span(start=datetime.fromisoformat(start), end=datetime.fromisoformat(end))
            for start, end in row["alternatives"]
        ),
        origin=row["origin"],
        hurry=row["hurry"],
        mailed=row["mailed"],
        by_rule=row["by_rule"],
    )


def write_announcement(connection: Connection, announcement: Announcement) -> None:
    """Store a window as it now is."""
    connection.execute(delete(WINDOW).where(WINDOW.c.id == announcement.id))
    connection.execute(insert(WINDOW), [_row(announcement)])
    facts_changed(connection)


def _row(announcement: Announcement) -> dict[str, Any]:
    window, span = announcement.window, announcement.span
    return {
        "id": announcement.id,
        "kind": str(window.kind),
        "key": window.key,
        "state": str(announcement.state),
        "starts_at": span.start,
        "ends_at": span.end,
        "instances": list(window.instances),
        "reason": window.reason,
        "impact": str(window.impact),
        "releases": [str(each) for each in window.releases],
        "alternatives": [[each.start.isoformat(), each.end.isoformat()] for each in announcement.alternatives],
        "origin": announcement.origin,
        "hurry": announcement.hurry,
        "mailed": announcement.mailed,
        "by_rule": announcement.by_rule,
        "entered_at": announcement.entered_at,
    }


def keep_windows(connection: Connection, windows: Iterable[Window], now: datetime) -> None:
    """Keep windows of the rule as they are announced now; those that are kept already stay as they were."""
    for window in windows:
        if connection.execute(select(WINDOW.c.id).where(WINDOW.c.id == window.id)).first() is None:
            write_announcement(connection, announced_by_rule(window, now))


def announced_by_rule(window: Window, now: datetime) -> Announcement:
    """Return a window of the rule as an announcement for every instance."""
    return Announcement(
        window=DeclaredWindow(
            key=window.id.partition("/")[2],
            kind=window.kind,
            start=window.start,
            end=window.end,
            reason=AS_ANNOUNCED,
        ),
        entered_at=now,
        by_rule=True,
    )

"""A plan as JSON and CSV, written row by row: a plan of a large fleet never stands in memory as text."""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import StringIO
from itertools import islice
from typing import Any

from maintsched.conflicts import Conflict
from maintsched.facts import DeclaredWindow, Freeze
from maintsched.localtime import ClockChange
from maintsched.notices import PlannedNotice
from maintsched.plan import Plan, PlanWindow
from maintsched.releases import RunningDeferral

CHUNK = 500
"""Rows that are written at once."""


def plan_json(plan: Plan, *, generated_at: datetime) -> Iterator[str]:
    """Return the plan as one JSON object, in pieces; a line a window."""
    head = {
        "contract": plan.contract.name,
        "from": plan.span.start.isoformat(),
        "to": plan.span.end.isoformat(),
        "generated_at": generated_at.isoformat(),
    }
    yield _dumps(head)[:-1] + ', "windows": ['
    for index, planned in enumerate(plan.windows):
        yield "\n" if index == 0 else ",\n"
        yield from _window_json(planned)
    rest = {
        "deferrals": [_deferral(running) for running in plan.open_deferrals],
        "freezes": [_freeze(plan, freeze) for freeze in plan.freezes],
        "conflicts": [_conflict(conflict) for conflict in plan.conflicts],
        "cancelled": [_cancelled(plan, declared) for declared in plan.cancelled],
    }
    yield "\n], " + _dumps(rest)[1:] + "\n"


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _window_json(planned: PlanWindow) -> Iterator[str]:
    yield _dumps(_window(planned))[:-1] + ', "instances": ['
    yield from _listed(planned.instances)
    yield '], "work": ['
    yield from _listed(row._asdict() for row in planned.work)
    yield '], "conflicts": ['
    yield from _listed(_conflict(conflict) for conflict in planned.conflicts)
    yield "]}"


def _listed(values: Iterable[Any]) -> Iterator[str]:
    """Return the items of a JSON list, some hundreds at once."""
    rest, first = iter(values), True
    while chunk := list(islice(rest, CHUNK)):
        yield ("" if first else ", ") + _dumps(chunk)[1:-1]
        first = False


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _window(planned: PlanWindow) -> dict[str, Any]:
    window = planned.window
    return {
        "id": window.id,
        "kind": window.kind,
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "start_utc": _utc(window.start),
        "end_utc": _utc(window.end),
        "clause": window.clause,
        "holiday": window.holiday,
        "clock_change": _clock_change(planned.clock_change),
        "notices": [_notice(notice) for notice in planned.notices],
    }


def _clock_change(change: ClockChange | None) -> dict[str, Any] | None:
    if change is None:
        return None
    minutes = {"minutes_before": change.before, "minutes_after": change.after}
    offsets = {name: int(offset.total_seconds()) // 60 for name, offset in minutes.items()}
    return {"at": change.at.isoformat(), "at_utc": _utc(change.at), **offsets, "text": str(change)}


def _notice(notice: PlannedNotice) -> dict[str, Any]:
    return {
        "kind": notice.kind,
        "send_at": notice.send_at.isoformat(),
        "send_at_utc": _utc(notice.send_at),
        "told_at": notice.told_at.isoformat() if notice.told_at else None,
        "deadline": notice.deadline.isoformat(),
        "deadline_utc": _utc(notice.deadline),
        "exclusive": notice.due.exclusive,
        "clause": notice.due.clause,
        "reading": notice.due.reading,
    }


def _conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "kind": conflict.kind,
        "subject": conflict.subject,
        "message": conflict.message,
        "clause": conflict.clause,
        "instances": list(conflict.instances),
    }


def _deferral(running: RunningDeferral) -> dict[str, Any]:
    return {
        "instance": running.deferral.instance,
        "release": str(running.deferral.release),
        "start": running.start.isoformat(),
        "until": running.end.isoformat(),
        "limit": running.limit.isoformat(),
        "window": running.window.id if running.window else None,
    }


def _freeze(plan: Plan, freeze: Freeze) -> dict[str, Any]:
    return {
        "key": freeze.key,
        "start": freeze.start.astimezone(plan.contract.zone).isoformat(),
        "end": freeze.end.astimezone(plan.contract.zone).isoformat(),
        "classes": list(freeze.classes),
        "customers": list(freeze.customers),
        "instances": list(freeze.instances),
        "reason": freeze.reason,
    }


def _cancelled(plan: Plan, declared: DeclaredWindow) -> dict[str, Any]:
    return {
        "id": declared.id,
        "kind": declared.kind,
        "start": declared.start.astimezone(plan.contract.zone).isoformat(),
        "reason": declared.reason,
    }


COLUMNS = (
    "window",
    "kind",
    "start",
    "end",
    "start_utc",
    "end_utc",
    "clause",
    "holiday",
    "notice",
    "send_at",
    "deadline",
    "instance",
    "component",
    "release",
    "change_class",
    "why",
    "conflicts",
)
"""Columns of the CSV form. An instance without work in a window has one row, and so has a window without instances.

A conflict that belongs to no single window has a row without a window: its kind in `conflicts`, its message in `why`.
"""


def plan_csv(plan: Plan) -> Iterator[str]:
    """Return the plan as CSV, in pieces: a row a window, instance and component; then the conflicts of no window."""
    yield _csv_lines([COLUMNS])
    for planned in plan.windows:
        rows = _csv_rows(planned)
        while chunk := list(islice(rows, CHUNK)):
            yield _csv_lines(chunk)
    yield _csv_lines([_csv_conflict(conflict) for conflict in plan.conflicts])


def _csv_rows(planned: PlanWindow) -> Iterator[tuple[str, ...]]:
    window, notice = planned.window, planned.notices[0]
    before = (
        *(window.id, window.kind, window.start.isoformat(), window.end.isoformat()),
        *(_utc(window.start), _utc(window.end), window.clause, window.holiday or ""),
        *(notice.kind, notice.send_at.isoformat(), notice.deadline.isoformat()),
    )
    after = " ".join(sorted({conflict.kind for conflict in planned.conflicts}))
    if not planned.assignments:
        yield (*before, *("",) * 5, after)
    for assignment in planned.assignments:
        for key in assignment.instances if not assignment.work else ():
            yield (*before, key, *("",) * 4, after)
    for row in planned.work:
        yield (*before, row.instance, row.component, row.release or "", row.change_class, row.why, after)


def _csv_conflict(conflict: Conflict) -> list[str]:
    instance = conflict.instances[0] if len(conflict.instances) == 1 else ""
    message = f"{conflict.subject}: {conflict.message}"
    cells = {"clause": conflict.clause, "instance": instance, "why": message, "conflicts": conflict.kind}
    return [cells.get(column, "") for column in COLUMNS]


def _csv_lines(rows: Iterable[Iterable[str]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([[safe_cell(cell) for cell in row] for row in rows])
    return text.getvalue()


def safe_cell(text: str) -> str:
    """Return a text cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") or (text and not text[0].isprintable()) else text

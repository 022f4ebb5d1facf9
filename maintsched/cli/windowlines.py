"""Windows and what was done to them, as lines for people."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from maintsched.announcements import WindowState
from maintsched.deadlines import classify
from maintsched.errors import printable
from maintsched.facts import WindowKind
from maintsched.report.datewords import DateWords
from maintsched.report.words import Words

if TYPE_CHECKING:
    from maintsched.worker.house import House
    from maintsched.worker.telling import Done

NAMES_SHOWN = 8


def _dates(house: "House", now: datetime) -> DateWords:
    return DateWords(words=Words.of("en"), zone=house.contract.zone, now=now)


def change_lines(house: "House", done: "Done", now: datetime, *, dry_run: bool) -> Iterator[str]:
    """Say what a command did, or would do."""
    dates, announcement = _dates(house, now), done.announcement
    window, span = announcement.window, announcement.span
    if dry_run:
        yield "Nothing was stored; this is what would happen:"
    yield f"{announcement.id}  {announcement.state}"
    if done.previous is not None:
        yield f"  before   {dates.day(dates.local_date(done.previous.start))}, {_hours(dates, done.previous)}"
    when = f"{dates.day(dates.local_date(span.start))}, {_hours(dates, span)}  ({dates.relative(span.start)})"
    yield f"  when     {when}"
    yield f"  whom     {named(window.instances)}"
    yield f"  what     {printable(window.reason)}; impact: {dates.words(f'impact_{window.impact}')}"
    if done.change is not None:
        yield f"  change   {done.change.significance}: {'; '.join(done.change.reasons)}"
    yield from _told_lines(house, done, dates)
    yield from _cost_lines(house, done, now)


def _hours(dates: DateWords, span: Any) -> str:
    return dates.hours(span.start, span.end)


def named(keys: tuple[str, ...]) -> str:
    """Return names, of many only the first ones."""
    if not keys:
        return "every instance"
    more = len(keys) - NAMES_SHOWN
    return ", ".join(keys[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _told_lines(house: "House", done: "Done", dates: DateWords) -> Iterator[str]:
    announcement, contract = done.announcement, house.contract
    if not announcement.mailed:
        yield "  tells    nobody: published without mail, which proves nothing"
    elif not done.notices and not done.unreachable:
        yield "  tells    nobody: nobody was told of it yet"
    elif done.notices:
        people = ", ".join(sorted({"/".join(key.split("/")[-2:]) for key in done.notices})[:NAMES_SHOWN])
        more = len(done.notices) - NAMES_SHOWN
        count = f"{len(done.notices)} {'notice' if len(done.notices) == 1 else 'notices'}"
        yield f"  tells    {count}: {people}" + (f" and {more} more" if more > 0 else "")
        yield f"           from {dates.at(done.not_before)} on, with the next pass of the worker"
    if done.withdrawn:
        yield f"  withdrew {len(done.withdrawn)} that had not gone out"
    if done.unreachable:
        yield f"  nobody   can be told at {named(done.unreachable)}: add a contact with role {contract.notice.role}"
    announces = announcement.state is WindowState.CONFIRMED and announcement.window.kind is not WindowKind.MONTHLY
    if announces and done.notices:
        kind = classify(contract, announcement.span.start, done.not_before)
        clause = contract.clauses.critical if kind == "planned" else contract.clauses.emergency
        yield f"  counts   as {kind} if accepted at once (clause {clause})"


def _cost_lines(house: "House", done: "Done", now: datetime) -> Iterator[str]:
    from maintsched.worker.changes import costs

    clause = house.contract.clauses.availability
    target = f"{(100 * house.contract.availability.target).normalize():f} %"
    for cost in costs(house, done, now):
        left = _minutes(cost.left)
        verdict = f"{left} left" if cost.left >= 0 else f"{left} too much: the promise of {target} is broken"
        yield (
            f"  costs    {cost.instance}, {cost.month}: {cost.seconds // 60} min of the month's downtime, "
            f"{_percent(cost.before.percent)} becomes {_percent(cost.percent)} of {target}, {verdict} (clause {clause})"
        )


def _percent(value: Decimal | None) -> str:
    return "nothing" if value is None else f"{value:.3f} %"


def _minutes(seconds: Fraction) -> str:
    return f"{abs(int(seconds)) // 60} min"


def list_lines(house: "House", rows: list[dict[str, Any]], now: datetime) -> Iterator[str]:
    """Say which windows there are, a line each."""
    dates = _dates(house, now)
    if not rows:
        yield "no window is announced"
        return
    cells = [(row["id"], row["state"], _when(dates, row), _told(row)) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    for *first, told in cells:
        yield "  ".join([*(f"{text:<{width}}" for text, width in zip(first, widths, strict=True)), told])


def _when(dates: DateWords, row: Mapping[str, Any]) -> str:
    start, end = (datetime.fromisoformat(row[name]) for name in ("start", "end"))
    return f"{dates.day(start.date())}, {dates.hours(start, end)}"


def _told(row: Mapping[str, Any]) -> str:
    """Say who was told: of a cancelled window, of its end."""
    if not row["mailed"]:
        return "without mail"
    if not row["of"]:
        return "nobody to tell"
    told = f"{row['told']} of {row['of']} told"
    if row["state"] != WindowState.CONFIRMED or row["told"] < row["of"] or row["planned"] == row["of"]:
        return told
    late = row["late_by"] if row["kind"] != WindowKind.EMERGENCY else None
    return f"{told}, {f'{late} too late' if late else 'unplanned'}"


def one_lines(house: "House", row: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Say all about one window."""
    dates = _dates(house, now)
    start = datetime.fromisoformat(row["start"])
    yield f"{row['id']}  {row['state']}"
    yield f"  when     {_when(dates, row)}  ({dates.relative(start)})"
    yield f"  what     {printable(row['reason'])}; impact: {dates.words('impact_' + row['impact'])}"
    if row["state"] != WindowState.CANCELLED:
        until = f"{'before' if row['deadline_exclusive'] else 'by'} {dates.at(datetime.fromisoformat(row['deadline']))}"
        yield f"  due      to be told {until} (clause {row['clause']})"
    for alternative in row["alternatives"]:
        yield f"  or       {alternative['number']}: {dates.at(datetime.fromisoformat(alternative['start']))}"
    for key, facts in row["by_instance"].items():
        told = f"told {dates.at(datetime.fromisoformat(facts['told_at']))}" if facts["told_at"] else "not told"
        yield f"  {key:<24} {facts['classification'] or '':<10} {told}"
    for notice in row["notices"]:
        reply = f"  {notice['server']}: {printable(notice['reply'] or '')}" if notice["server"] else ""
        yield f"  {notice['key']}  {notice['state']}{reply}"

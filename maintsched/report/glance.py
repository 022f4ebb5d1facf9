"""The months of a plan's span as calendar sheets: window days, notices, deadlines, holidays, freezes."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from maintsched.facts import WindowKind
from maintsched.localtime import start_of_day, utc
from maintsched.plan import Plan, PlanWindow
from maintsched.report.anchors import anchor_of
from maintsched.report.datewords import DateWords
from maintsched.spans import Span

MONTHS_MAX = 60
"""Months that are drawn at most."""

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of a sheet: its `marks` by name, and what they mean, one sentence each."""

    day: date
    marks: tuple[str, ...]
    meanings: tuple[str, ...]
    window: str | None
    """Id of a window that lies on this day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One month: its weeks from Monday to Sunday, None where a day belongs to another month."""

    title: str
    weeks: tuple[tuple[Day | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The sheets that are drawn, and how many months are not."""

    sheets: tuple[Sheet, ...]
    not_drawn: int


Meanings = dict[date, list[tuple[str, str, str | None]]]
"""By day: name of the mark, what it means, and the id of the window to go to."""


def days_of(span: Span, dates: DateWords) -> Iterator[date]:
    """Return each local day that a span shares an instant with."""
    if utc(span.start) < utc(span.end):
        day, end = dates.local_date(span.start), utc(span.end)
        while utc(start_of_day(day, dates.zone)) < end:
            yield day
            day += ONE_DAY


def glance(plan: Plan, dates: DateWords) -> Glance:
    """Return the sheets from the first notice or the start of the span to its end."""
    first, last = _bounds(plan, dates)
    months = _months(first, last)
    shown = months[:MONTHS_MAX]
    meanings = _meanings(plan, dates, shown[0], _next_month(shown[-1]))
    inside = set(days_of(plan.span, dates))
    sheets = tuple(_sheet(month, meanings, inside, dates) for month in shown)
    return Glance(sheets=sheets, not_drawn=len(months) - len(shown))


def _bounds(plan: Plan, dates: DateWords) -> tuple[date, date]:
    sent = [notice.send_at for planned in plan.windows for notice in planned.notices]
    first = min([plan.span.start, *sent], key=utc)
    last = max(plan.span.start, plan.span.end - timedelta(microseconds=1), key=utc)
    return dates.local_date(first), dates.local_date(last)


def _next_month(month: date) -> date:
    return (month.replace(day=1) + 31 * ONE_DAY).replace(day=1)


def _months(first: date, last: date) -> list[date]:
    months = [first.replace(day=1)]
    while (following := _next_month(months[-1])) <= last:
        months.append(following)
    return months


def _meanings(plan: Plan, dates: DateWords, first: date, end: date) -> Meanings:
    meanings: Meanings = defaultdict(list)
    for planned in plan.windows:
        for day, mark, meaning in _window_days(planned, dates):
            meanings[day].append((mark, meaning, anchor_of(planned)))
    for year in range(first.year, (end - ONE_DAY).year + 1):
        for day, name in plan.contract.holidays.of_year(year).items():
            meanings[day].append(("holiday", dates.words("day_holiday", name=name), None))
    drawn = Span(start=start_of_day(first, dates.zone), end=start_of_day(end, dates.zone))
    for freeze in plan.freezes:
        if freeze.span.overlaps(drawn):
            start, stop = max(freeze.start, drawn.start, key=utc), min(freeze.end, drawn.end, key=utc)
            for day in days_of(Span(start=start, end=stop), dates):
                meanings[day].append(("freeze", dates.words("day_freeze", key=freeze.key), None))
    meanings[dates.local_date(dates.now)].append(("now", dates.words("day_now"), None))
    return meanings


def _window_days(planned: PlanWindow, dates: DateWords) -> Iterator[tuple[date, str, str]]:
    window, words = planned.window, dates.words
    kind = words(f"kind_{window.kind}")
    mark = "window" if window.kind is WindowKind.MONTHLY else "declared"
    for n, day in enumerate(days_of(window.span, dates)):
        if n == 0:
            hours = dates.hours(window.start, window.end)
            yield day, mark, words("day_window", kind=kind, id=window.id, span=hours)
        else:
            yield day, "goes-on", words("day_window_goes_on", kind=kind, id=window.id)
    for notice in planned.notices:
        name = words(f"notice_{notice.kind}")
        for mark, at in (("send", notice.send_at), ("deadline", notice.deadline)):
            meaning = words(f"day_{mark}", notice=name, id=window.id, time=dates.time(at))
            yield dates.local_date(at), mark, meaning


def _sheet(month: date, meanings: Meanings, inside: set[date], dates: DateWords) -> Sheet:
    end = _next_month(month)
    day = month - timedelta(days=month.weekday())
    weeks = []
    while day < end:
        week = [day + n * ONE_DAY for n in range(7)]
        weeks.append(tuple(_day(each, meanings, inside) if month <= each < end else None for each in week))
        day += 7 * ONE_DAY
    return Sheet(title=dates.month(month), weeks=tuple(weeks))


def _day(day: date, meanings: Meanings, inside: set[date]) -> Day:
    found = meanings.get(day, [])
    marks = list(dict.fromkeys(name for name, _, _ in found))
    if day.weekday() >= 5:
        marks.append("weekend")
    if day not in inside:
        marks.append("outside")
    return Day(
        day=day,
        marks=tuple(marks),
        meanings=tuple(dict.fromkeys(f"{text[:1].upper()}{text[1:]}" for _, text, _ in found)),
        window=next((window for _, _, window in found if window), None),
    )

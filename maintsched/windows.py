"""Windows: the monthly ones that follow from a contract's rule, and the declared ones."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from heapq import merge
from operator import itemgetter
from typing import NamedTuple

from maintsched.contract import Contract, Explained
from maintsched.errors import HolidaysUnknown, InvalidValue, NoWindow
from maintsched.facts import DeclaredWindow, Facts, WindowKind
from maintsched.holidaycalendar import LAST_KNOWN_YEAR, HolidayCalendar
from maintsched.localtime import FIRST_YEAR, LAST_YEAR, ClockCase, Elapsed, settle_on, utc
from maintsched.readings import OnHoliday, weekday_numbers
from maintsched.recurrence import Recurrence
from maintsched.spans import Span
from maintsched.terms import WindowOverride

OVERRIDE_REACH = timedelta(days=62)
"""A window may be overridden to start at most this far from the rule's start."""


class Basis(NamedTuple):
    """What a window follows from; the windows of a rule share it."""

    clause: str
    reading: str
    """The terms that settled the start."""
    facts: tuple[tuple[str, str], ...]
    holidays: HolidayCalendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time for maintenance, from `start` (held) to `end` (not held), both in the contract's zone.

    A window belongs to the local day it starts on. `id` stays the same when the window is moved.
    """

    id: str
    kind: WindowKind
    start: datetime
    end: datetime
    basis: Basis = field(repr=False, compare=False)

    @property
    def clause(self) -> str:
        """The clause that the window follows from."""
        return self.basis.clause

    @property
    def holiday(self) -> str | None:
        """Name of the public holiday on the window's day, or None."""
        return self.basis.holidays.name(self.start.date())

    @property
    def span(self) -> Span:
        """The announced time."""
        return Span(start=self.start, end=self.end)

    @property
    def explained(self) -> Explained:
        """Why the window starts when it does."""
        facts = (*self.basis.facts, ("holiday", self.holiday or "none"))
        return Explained(at=self.start, clause=self.clause, reading=self.basis.reading, facts=facts)


def monthly_windows(contract: Contract, since: datetime, until: datetime) -> Iterator[Window]:
    """Return the monthly windows with `since` <= start < `until`, in order (clause `clauses.monthly`).

    Both bounds are aware instants. Years whose holidays cannot be known are refused with `HolidaysUnknown`: a window
    whose day might be a holiday without saying so is no promise.
    """
    return _between(schedule(contract), utc(since, "since"), utc(until, "until"))


def _between(plan: "Schedule", since: datetime, until: datetime) -> Iterator[Window]:
    if since < until:
        last = (until - timedelta(microseconds=1)).astimezone(plan.zone).year
        for year in range(since.astimezone(plan.zone).year, last + 1):
            starts, windows = plan.year(year)
            yield from windows[bisect_left(starts, since) : bisect_left(starts, until)]


def next_window(contract: Contract, at: datetime) -> Window:
    """Return the first monthly window that starts at or after `at`; `NoWindow` where the rule has ended."""
    plan, at_utc = schedule(contract), utc(at, "at")
    for year in range(at_utc.astimezone(plan.zone).year, plan.last_year + 1):
        starts, windows = plan.year(year)
        index = bisect_left(starts, at_utc)
        if index < len(windows):
            return windows[index]
    raise NoWindow(f"the rule {contract.monthly.rule} of {contract.name} gives no window at or after {at.isoformat()}")


def last_window(contract: Contract, before: datetime) -> Window:
    """Return the last monthly window that starts before `before`; `NoWindow` where the rule had not begun."""
    plan, before_utc = schedule(contract), utc(before, "before")
    earliest = max(FIRST_YEAR, plan.first_year - 1)  # an override may move the first window into the year before
    for year in range(min(before_utc.astimezone(plan.zone).year, plan.last_year), earliest - 1, -1):
        starts, windows = plan.year(year)
        index = bisect_left(starts, before_utc)
        if index:
            return windows[index - 1]
    raise NoWindow(f"the rule {contract.monthly.rule} of {contract.name} gives no window before {before.isoformat()}")


def windows_of(contract: Contract, facts: Facts, instance: str, since: datetime) -> Iterator[Window]:
    """Return the monthly windows of an instance from `since` on, as they will be: declared ones replace the rule's.

    It ends with the rule, or with the last year whose holidays are known.
    """
    mine = [
        declared
        for declared in facts.windows
        if declared.kind is WindowKind.MONTHLY and (not declared.instances or instance in declared.instances)
    ]
    replaced = {declared.id for declared in mine}
    of_rule = (window for window in _from(contract, since) if window.id not in replaced)
    moved = [declared_window(contract, declared) for declared in mine if not declared.cancelled]
    later = sorted((window for window in moved if utc(window.start) >= utc(since)), key=_start)
    return merge(of_rule, later, key=_start)


def _from(contract: Contract, at: datetime) -> Iterator[Window]:
    try:
        while True:
            window = next_window(contract, at)
            yield window
            at = utc(window.start) + timedelta(microseconds=1)
    except (NoWindow, HolidaysUnknown):
        return


def _start(window: Window) -> datetime:
    return utc(window.start)


@lru_cache(maxsize=32)
def schedule(contract: Contract) -> "Schedule":
    """Return the schedule of a contract; it remembers the windows of every year it was asked for."""
    return Schedule(contract)


class Schedule:
    """The monthly windows of one contract by the local year they start in, each year worked out once."""

    def __init__(self, contract: Contract) -> None:
        """Read the terms once."""
        terms = contract.monthly
        self.contract = contract
        self.zone = contract.zone
        self.recurrence: Recurrence = terms.recurrence
        self.first_year = max(FIRST_YEAR, terms.anchor.year)
        ends = self.recurrence.last_date
        self.last_year = ends.year + 1 if ends else LAST_YEAR
        self._one_a_month = terms.rule.at_most_once_a_month
        self._overrides = {override.window: override for override in terms.override}
        # An override, a holiday or, around midnight, a clock change may move a window over New Year's Day.
        settled_by_rule = not terms.override and terms.on_holiday is OnHoliday.KEEP
        self._keeps_its_year = settled_by_rule and 3 <= terms.time.hour < 21
        at = f"{terms.time.isoformat('minutes')} {self.zone.key}"
        self._ordinary = Basis(
            clause=contract.clauses.monthly,
            reading=f"monthly.on_holiday = {terms.on_holiday}",
            facts=(("rule", str(terms.rule)), ("time", at), ("duration", str(terms.duration))),
            holidays=contract.holidays,
        )
        self._of_rule: dict[int, list[tuple[datetime, Window]]] = {}
        self._years: dict[int, tuple[list[datetime], tuple[Window, ...]]] = {}

    def year(self, year: int) -> tuple[list[datetime], tuple[Window, ...]]:
        """Return the starts (in UTC) and the windows that start in the local `year`, in order."""
        known = self._years.get(year)
        if known is None:
            self.contract.holidays.require_year(year)
            known = self._years[year] = self._work_out(year)
        return known

    def _work_out(self, year: int) -> tuple[list[datetime], tuple[Window, ...]]:
        years = (year,) if self._keeps_its_year else (year - 1, year, year + 1)
        near = [pair for other in years for pair in self._rule_windows(other) if pair[1].start.year == year]
        near.sort(key=itemgetter(0))
        return [start for start, _ in near], tuple([window for _, window in near])

    def window(self, window_id: str) -> Window | None:
        """Return the window of that id, or None where the rule gives none of it or an override skips it."""
        windows = self._rule_windows(_year_in(window_id)) if self.has(window_id) else ()
        return next((window for _, window in windows if window.id == window_id), None)

    def has(self, window_id: str) -> bool:
        """Say whether the rule gives a window of that id, be it skipped or not."""
        return any(self._id(day) == window_id for day in self._nominal_dates(_year_in(window_id)))

    def unused_overrides(self) -> list[WindowOverride]:
        """Return the overrides that name no window of the rule."""
        return [override for override in self._overrides.values() if not self.has(override.window)]

    def _nominal_dates(self, year: int) -> tuple[date, ...]:
        return self.recurrence.dates(year) if self.first_year <= year <= LAST_KNOWN_YEAR else ()

    def _rule_windows(self, year: int) -> list[tuple[datetime, Window]]:
        """Return the windows that the rule puts into `year`, each after its start in UTC."""
        known = self._of_rule.get(year)
        if known is None:
            built = [self._build(day) for day in self._nominal_dates(year)]
            known = self._of_rule[year] = [pair for pair in built if pair is not None]
        return known

    def _id(self, day: date) -> str:
        return f"monthly/{day.isoformat()[:7] if self._one_a_month else day.isoformat()}"

    def _build(self, nominal: date) -> tuple[datetime, Window] | None:
        terms, window_id = self.contract.monthly, self._id(nominal)
        override = self._overrides.get(window_id)
        if override is not None and override.skip:
            return None
        policy = (override.on_holiday if override else None) or terms.on_holiday
        day = _moved_off_holiday(self.contract, nominal, policy)
        settled = settle_on(day, terms.time, self.zone, self.contract.clock_change)
        start, duration = settled.at, terms.duration
        if override is not None:
            start, duration = _overridden(override, start, duration, self.contract)
        start_utc = start.astimezone(UTC)
        return start_utc, Window(
            id=window_id,
            kind=WindowKind.MONTHLY,
            start=start,
            end=(start_utc + duration).astimezone(self.zone),
            basis=self._ordinary
            if override is None and day == nominal and settled.case is ClockCase.ORDINARY
            else self._particular(policy, duration, nominal, day, settled.case, override),
        )

    def _particular(
        self,
        policy: OnHoliday,
        duration: Elapsed,
        nominal: date,
        day: date,
        case: ClockCase,
        override: WindowOverride | None,
    ) -> Basis:
        extra = [("moved from", nominal.isoformat())] if nominal != day else []
        if override is not None:
            extra.append(("override", override.reason))
        if case is not ClockCase.ORDINARY:
            extra.append((f"clock {case}", f"the {self.contract.clock_change} candidate"))
        facts = (*self._ordinary.facts[:2], ("duration", str(duration)), *extra)
        return self._ordinary._replace(reading=f"monthly.on_holiday = {policy}", facts=facts)


def _year_in(window_id: str) -> int:
    """Return the year that the id of a monthly window begins with, 0 where it is no such id."""
    digits = window_id.removeprefix(f"{WindowKind.MONTHLY}/")[:4]
    return int(digits) if digits.isascii() and digits.isdecimal() else 0


def _moved_off_holiday(contract: Contract, day: date, policy: OnHoliday) -> date:
    if policy is OnHoliday.KEEP or not contract.holidays.name(day):
        return day
    if policy is OnHoliday.NEXT_WORKING_DAY:
        return contract.holidays.next_day(day, weekday_numbers(contract.support.weekdays))
    return contract.holidays.next_day(day, frozenset({day.weekday()}))


def _overridden(
    override: WindowOverride, start: datetime, duration: Elapsed, contract: Contract
) -> tuple[datetime, Elapsed]:
    moved = start if override.start is None else utc(override.start, "start").astimezone(contract.zone)
    if abs(utc(moved) - utc(start)) > OVERRIDE_REACH:
        expected = f"a start within {OVERRIDE_REACH.days} days of {start.isoformat()}"
        field_name = f"monthly.override.{contract.monthly.override.index(override)}.start"
        raise InvalidValue("override", expected=expected, found=moved.isoformat(), field=field_name)
    return moved, override.duration or duration


def declared_window(contract: Contract, declared: DeclaredWindow) -> Window:
    """Return a declared window in the contract's zone, under the clause of its kind."""
    clauses = {
        WindowKind.MONTHLY: contract.clauses.monthly,
        WindowKind.CRITICAL: contract.clauses.critical,
        WindowKind.EMERGENCY: contract.clauses.emergency,
    }
    return Window(
        id=declared.id,
        kind=declared.kind,
        start=declared.span.start.astimezone(contract.zone),
        end=declared.span.end.astimezone(contract.zone),
        basis=Basis(
            clause=clauses[declared.kind],
            reading="declared",
            facts=(("reason", declared.reason),),
            holidays=contract.holidays,
        ),
    )


def check_overrides(contract: Contract) -> None:
    """Refuse a contract with an override that names no window of its rule, or moves one too far."""
    plan = schedule(contract)
    overrides = contract.monthly.override
    for override in plan.unused_overrides():
        expected = "the id of a window of the rule, such as monthly/2026-12"
        field_name = f"monthly.override.{overrides.index(override)}.window"
        raise InvalidValue("override", expected=expected, found=override.window, field=field_name)
    for override in overrides:
        plan.window(override.window)


def check_declared(contract: Contract, facts: Facts) -> None:
    """Refuse a declared window of kind monthly that no window of the rule can be replaced by."""
    plan = schedule(contract)
    for declared in facts.windows:
        if declared.kind is WindowKind.MONTHLY and not plan.has(declared.id):
            expected = "the key of a window of the rule, such as 2026-12 (another time is a critical window)"
            subject = ("window", declared.id)
            raise InvalidValue("key", expected=expected, found=declared.key, field="key", subject=subject)

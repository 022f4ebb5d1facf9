"""Instants, wall clocks and the two kinds of duration.

*Elapsed* durations (hours) are measured on the UTC time line. *Calendar* periods (days, weeks, months) are measured on
the local calendar at the same wall clock time, month ends clamped. The two are different types and never mix.

A wall clock time may not exist (a *gap*: clocks go forward) or exist twice (a *fold*: clocks go back). Both have two
candidate instants; `Choice.EARLIER` is the product's default, `Choice.LATER` the other reading.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, Self

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue, NaiveDatetime, OutOfRange

FIRST_YEAR = 2000
"""First calendar year that any date may lie in."""
LAST_YEAR = 2200
"""Last calendar year that any date may lie in."""


class Choice(StrEnum):
    """Which of the two candidate instants a wall clock time in a gap or a fold means."""

    EARLIER = "earlier"
    LATER = "later"


class ClockCase(StrEnum):
    """How a wall clock time stands to the clock changes of its zone."""

    ORDINARY = "ordinary"  # exists once
    GAP = "gap"  # does not exist: clocks went forward over it
    FOLD = "fold"  # exists twice: clocks went back over it


class Settled(NamedTuple):
    """A wall clock time settled to one instant: `at` (aware, in its zone) and the `case` it was."""

    at: datetime
    case: ClockCase


def settle(wall: datetime, zone: tzinfo, choice: Choice = Choice.EARLIER) -> Settled:
    """Return the instant that the naive `wall` clock time means in `zone`."""
    return settle_on(wall, wall.time(), zone, choice)


def settle_on(day: date, at: time, zone: tzinfo, choice: Choice = Choice.EARLIER) -> Settled:
    """Return the instant that the time of day `at` means on `day` in `zone`."""
    once, again = _both_folds(at)
    first = datetime.combine(day, once, zone)
    before, after = zone.utcoffset(first), zone.utcoffset(datetime.combine(day, again, zone))
    if before is None or after is None:
        raise InvalidValue("zone", expected="a zone that knows its offset", found=zone)
    if before == after:
        return Settled(first, ClockCase.ORDINARY)
    offset = max(before, after) if choice is Choice.EARLIER else min(before, after)
    settled = (datetime.combine(day, at) - offset).replace(tzinfo=UTC).astimezone(zone)
    return Settled(settled, ClockCase.GAP if before < after else ClockCase.FOLD)


@lru_cache(maxsize=256)  # a contract has few times of day, and `replace` costs more than all else in `settle`
def _both_folds(at: time) -> tuple[time, time]:
    """Return a time of day as the first and as the second of its kind on one day."""
    return at.replace(fold=0), at.replace(fold=1)


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the first instant that bears the date `day` in `zone`: where midnight is a gap, the clock change."""
    settled = settle_on(day, time(), zone)
    if settled.case is ClockCase.GAP:
        change = clock_change(settled.at, settled.at + timedelta(days=1), zone)
        return change.at if change else settled.at
    return settled.at


def utc(at: datetime, what: str = "instant") -> datetime:
    """Return `at` on the UTC time line; refuse a naive datetime and a year outside 2000 to 2200."""
    if at.utcoffset() is None:
        raise NaiveDatetime(what, at)
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        require_year(at, what)
    return at.astimezone(UTC)


def require_year(day: date, what: str) -> None:
    """Refuse a date or datetime in a year outside 2000 to 2200."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise OutOfRange(what, expected=f"a year from {FIRST_YEAR} to {LAST_YEAR}", found=day.isoformat())


def shift(at: datetime, by: timedelta, zone: tzinfo) -> datetime:
    """Return the instant `by` elapsed time after `at`, in `zone`."""
    return (at.astimezone(UTC) + by).astimezone(zone)


def elapsed(start: datetime, end: datetime) -> timedelta:
    """Return the elapsed time from `start` to `end`; never the difference of two wall clocks."""
    return end.astimezone(UTC) - start.astimezone(UTC)


class Elapsed(timedelta):
    """A duration on the UTC time line, written "72 h", "30 min", "1 h 30 min" or ISO 8601 "PT72H"; never negative."""

    def __new__(
        cls,
        days: float = 0,
        seconds: float = 0,
        microseconds: float = 0,
        milliseconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        weeks: float = 0,
    ) -> Self:
        """Refuse a negative duration; the arguments are those of `timedelta`."""
        value = super().__new__(cls, days, seconds, microseconds, milliseconds, minutes, hours, weeks)
        if value.days < 0:
            raise InvalidValue("duration", expected="no negative duration", found=timedelta.__str__(value))
        return value

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a duration of hours, minutes and seconds; days and longer are calendar periods, not elapsed time."""
        found = _ELAPSED_ISO.fullmatch(text) or _ELAPSED_WORDS.fullmatch(text)
        if found is None or not any(found.groups()):
            raise InvalidValue("duration", expected='elapsed time such as "72 h", "30 min" or "PT72H"', found=text)
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return cls(hours=hours, minutes=minutes, seconds=seconds)

    def __str__(self) -> str:
        """Write the duration in hours, minutes and seconds, so that `parse` reads it back."""
        minutes, seconds = divmod(int(self.total_seconds()), 60)
        hours, minutes = divmod(minutes, 60)
        parts = [f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (seconds, "s")) if n]
        return " ".join(parts) or "0 h"


_ELAPSED_ISO = re.compile(r"PT(?:([0-9]{1,5})H)?(?:([0-9]{1,7})M)?(?:([0-9]{1,8})S)?")
_ELAPSED_WORDS = re.compile(r"(?!\s)(?:([0-9]{1,5}) ?h)?(?: ?([0-9]{1,7}) ?min)?(?: ?([0-9]{1,8}) ?s)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A duration on the local calendar: whole `months` and `days` (a week is 7 days, a month is never 30)."""

    months: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        """Refuse a negative period."""
        settle_fields(self)
        for name in ("months", "days"):
            found = getattr(self, name)
            if found < 0:
                raise InvalidValue(name, expected="no negative number", found=found, field=name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "6 months", "4 weeks", "7 days", "30 d", "1 month 3 days" or ISO 8601 "P6M", "P4W", "P7D"."""
        found = _PERIOD_ISO.fullmatch(text) or _PERIOD_WORDS.fullmatch(text)
        if found is None or not any(found.groups()):
            expected = 'a calendar period such as "6 months", "4 weeks", "7 days" or "P6M"'
            raise InvalidValue("period", expected=expected, found=text)
        years, months, weeks, days = (int(part or 0) for part in found.groups())
        return cls(months=12 * years + months, days=7 * weeks + days)

    def __str__(self) -> str:
        """Write the period in words, so that `parse` reads it back."""
        parts = [f"{n} {unit}{'s' if n != 1 else ''}" for n, unit in ((self.months, "month"), (self.days, "day")) if n]
        return " ".join(parts) or "0 days"

    def after(self, day: date) -> date:
        """Return the day this period after `day`, clamped to the last day of the month."""
        return _add_months(day, self.months) + timedelta(days=self.days)

    def before(self, day: date) -> date:
        """Return the day this period before `day`, clamped to the last day of the month."""
        return _add_months(day - timedelta(days=self.days), -self.months)

    def after_instant(self, at: datetime, zone: tzinfo, choice: Choice = Choice.EARLIER) -> Settled:
        """Return the instant this period after `at`: the same wall clock time in `zone`, gap and fold by `choice`."""
        wall = at.astimezone(zone)
        return settle_on(self.after(wall.date()), wall.time(), zone, choice)

    def before_instant(self, at: datetime, zone: tzinfo, choice: Choice = Choice.EARLIER) -> Settled:
        """Return the instant this period before `at`: the same wall clock time in `zone`, gap and fold by `choice`."""
        wall = at.astimezone(zone)
        return settle_on(self.before(wall.date()), wall.time(), zone, choice)


_PERIOD_ISO = re.compile(r"P(?:([0-9]{1,2})Y)?(?:([0-9]{1,3})M)?(?:([0-9]{1,3})W)?(?:([0-9]{1,4})D)?")
_PERIOD_WORDS = re.compile(
    r"(?!\s)(?:([0-9]{1,4}) ?(?:y|years?))?(?: ?([0-9]{1,4}) ?months?)?"
    r"(?: ?([0-9]{1,4}) ?(?:w|weeks?))?(?: ?([0-9]{1,4}) ?(?:d|days?))?"
)


def _add_months(day: date, months: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, month + 1, min(day.day, monthrange(years, month + 1)[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """A change of a zone's offset: the first instant `at` the new offset holds, and both offsets."""

    at: datetime
    before: timedelta
    after: timedelta

    def __str__(self) -> str:
        """Say which way the clocks go, and when."""
        minutes = int((self.after - self.before).total_seconds()) // 60
        return f"clocks go {'forward' if minutes > 0 else 'back'} {abs(minutes)} min on {self.at:%Y-%m-%d}"


def clock_change(start: datetime, end: datetime, zone: tzinfo) -> ClockChange | None:
    """Return the first clock change of `zone` after `start` and at or before `end`, or None.

    Changes are looked for in steps of seven days: two that undo each other within a week would be missed, and no zone
    has had such a pair since 2000.
    """
    left, last = start.astimezone(UTC), end.astimezone(UTC)
    while left < last:
        right = min(left + timedelta(days=7), last)
        if _offset(left, zone) != _offset(right, zone):
            return _locate_change(left, right, zone)
        left = right
    return None


def _offset(at: datetime, zone: tzinfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _locate_change(left: datetime, right: datetime, zone: tzinfo) -> ClockChange:
    before = _offset(left, zone)
    while right - left > timedelta(seconds=1):
        middle = left + (right - left) // 2
        if _offset(middle, zone) == before:
            left = middle
        else:
            right = middle
    at = right.replace(microsecond=0).astimezone(zone)
    return ClockChange(at=at, before=before, after=_offset(right, zone))

"""The small recurrence grammar, and the dates it gives.

A rule is text in the style of RFC 5545: `FREQ=MONTHLY;BYDAY=1TU`. Allowed are FREQ (DAILY, WEEKLY, MONTHLY, YEARLY),
INTERVAL (1 to 12), BYDAY (ordinals from -5 to 5 with MONTHLY, or with YEARLY and BYMONTH), BYMONTHDAY, BYMONTH, UNTIL
(a local date, held) and COUNT (1 to 500). What lies outside is refused at once: a general recurrence rule can keep a
machine busy for minutes. Dates are expanded by python-dateutil, year by year; one shape, an n-th weekday of every
month, has a closed form.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Self

from maintsched.birth import settle_fields
from maintsched.errors import RuleRefused
from maintsched.localtime import FIRST_YEAR, LAST_YEAR

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
COUNT_MAX = 500
INTERVAL_MAX = 12
TEXT_MAX = 200
SEARCH_YEARS = 40
"""A rule must give its first date within this many years of its anchor: every weekday meets every date in 40."""


class Frequency(StrEnum):
    """How often a rule repeats before its other parts narrow it."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekdayNumber:
    """A weekday (0 = Monday) and which one of its month: 1 the first, -1 the last, None each."""

    weekday: int
    ordinal: int | None = None

    def __str__(self) -> str:
        """Write it as in a rule: 1TU, -1SA, MO."""
        return f"{self.ordinal or ''}{WEEKDAYS[self.weekday]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A recurrence rule of the small grammar; `str` writes it so that `parse` reads the same rule back."""

    frequency: Frequency
    interval: int = 1
    by_day: tuple[WeekdayNumber, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_month: tuple[int, ...] = ()
    until: date | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        """Refuse combinations outside the grammar."""
        settle_fields(self)
        ordinal = any(day.ordinal for day in self.by_day)
        in_month = self.frequency is Frequency.MONTHLY or (self.frequency is Frequency.YEARLY and self.by_month)
        if ordinal and not in_month:
            raise RuleRefused(
                "rule", expected="BYDAY ordinals only with MONTHLY, or YEARLY with BYMONTH", found=str(self)
            )
        if ordinal and not all(day.ordinal for day in self.by_day):
            raise RuleRefused("rule", expected="BYDAY with ordinals or without, not both", found=str(self))
        if ordinal and self.by_month_day:
            raise RuleRefused("rule", expected="BYDAY with ordinals or BYMONTHDAY, not both", found=str(self))
        if self.by_month_day and self.frequency is Frequency.WEEKLY:
            raise RuleRefused("rule", expected="no BYMONTHDAY in a WEEKLY rule", found=str(self))
        if self.until and self.count:
            raise RuleRefused("rule", expected="UNTIL or COUNT, not both", found=str(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rule; a `RuleRefused` names the part that is outside the grammar."""
        if len(text) > TEXT_MAX or not text.isascii():
            raise RuleRefused("rule", expected=f"at most {TEXT_MAX} ASCII characters", found=text)
        parts: dict[str, str] = {}
        for part in text.split(";"):
            name, equals, value = part.partition("=")
            if not equals or name not in _READERS:
                raise RuleRefused(
                    "rule", expected=f"parts NAME=VALUE with NAME one of {', '.join(_READERS)}", found=part
                )
            if name in parts:
                raise RuleRefused("rule", expected="each part once", found=part)
            parts[name] = value
        if "FREQ" not in parts:
            raise RuleRefused("rule", expected="a part FREQ=", found=text)
        fields = {_READERS[name][0]: _READERS[name][1](name, value) for name, value in parts.items()}
        return cls(**fields)  # type: ignore[arg-type]  # each reader returns the type of its own field

    def __str__(self) -> str:
        """Write the rule with its parts in a fixed order."""
        parts = [f"FREQ={self.frequency}"]
        if self.interval != 1:
            parts.append(f"INTERVAL={self.interval}")
        for name, values in (("BYMONTH", self.by_month), ("BYMONTHDAY", self.by_month_day), ("BYDAY", self.by_day)):
            if values:
                parts.append(f"{name}={','.join(str(value) for value in values)}")
        if self.until:
            parts.append(f"UNTIL={self.until:%Y%m%d}")
        if self.count:
            parts.append(f"COUNT={self.count}")
        return ";".join(parts)

    def allows(self, day: date) -> bool:
        """Say whether BYMONTH, BYMONTHDAY and BYDAY hold for `day`; FREQ and INTERVAL are not looked at."""
        length = monthrange(day.year, day.month)[1]
        ordinals = (None, (day.day - 1) // 7 + 1, -((length - day.day) // 7 + 1))
        numbers = {day.day, day.day - length - 1}
        return (
            (not self.by_month or day.month in self.by_month)
            and (not self.by_month_day or not numbers.isdisjoint(self.by_month_day))
            and (
                not self.by_day
                or any(each.weekday == day.weekday() and each.ordinal in ordinals for each in self.by_day)
            )
        )

    @property
    def at_most_once_a_month(self) -> bool:
        """Say whether no month can hold two dates of this rule (the id of a window then needs no day)."""
        if self.frequency not in (Frequency.MONTHLY, Frequency.YEARLY):
            return False
        if self.by_day:
            return len(self.by_day) == 1 and self.by_day[0].ordinal is not None
        return len(self.by_month_day) <= 1


def _number(name: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,3}", text) or not low <= int(text) <= high or int(text) == 0:
        raise RuleRefused("rule", expected=f"{name} from {low} to {high}, not 0", found=f"{name}={text}")
    return int(text)


def _numbers(name: str, text: str, low: int, high: int) -> tuple[int, ...]:
    return tuple(sorted({_number(name, item, low, high) for item in text.split(",")}))


def _frequency(name: str, text: str) -> Frequency:
    if text not in Frequency.__members__:
        raise RuleRefused("rule", expected=f"{name} one of {', '.join(Frequency)}", found=text)
    return Frequency(text)


def _days(name: str, text: str) -> tuple[WeekdayNumber, ...]:
    days = set()
    for item in text.split(","):
        found = re.fullmatch(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)", item)
        if not found:
            raise RuleRefused("rule", expected=f"{name} with items like TU, 1TU or -1SA (ordinals -5 to 5)", found=item)
        days.add((WEEKDAYS.index(found[2]), int(found[1]) if found[1] else None))
    ordered = sorted(days, key=lambda day: (day[1] or 0, day[0]))
    return tuple(WeekdayNumber(weekday=weekday, ordinal=ordinal) for weekday, ordinal in ordered)


def _until(name: str, text: str) -> date:
    found = re.fullmatch(r"([0-9]{4})([0-9]{2})([0-9]{2})", text)
    try:
        day = date(int(found[1]), int(found[2]), int(found[3])) if found else None
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise RuleRefused("rule", expected=f"{name} as a date YYYYMMDD from {FIRST_YEAR} to {LAST_YEAR}", found=text)
    return day


_READERS = {
    "FREQ": ("frequency", _frequency),
    "INTERVAL": ("interval", lambda name, text: _number(name, text, 1, INTERVAL_MAX)),
    "BYDAY": ("by_day", _days),
    "BYMONTHDAY": ("by_month_day", lambda name, text: _numbers(name, text, -31, 31)),
    "BYMONTH": ("by_month", lambda name, text: _numbers(name, text, 1, 12)),
    "UNTIL": ("until", _until),
    "COUNT": ("count", lambda name, text: _number(name, text, 1, COUNT_MAX)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A rule with the `anchor` date it counts from; refused where it gives no date within 40 years of that."""

    rule: Rule
    anchor: date

    def __post_init__(self) -> None:
        """Refuse a rule that can never give a date, such as 31 February."""
        rule, first = self.rule, self.anchor.year
        months = rule.by_month or range(1, 13)
        longest = max(monthrange(2000, month)[1] for month in months)
        possible = not rule.by_month_day or any(abs(day) <= longest for day in rule.by_month_day)
        last = min(first + SEARCH_YEARS, LAST_YEAR)
        if not possible or not any(self.dates(year) for year in range(first, last + 1)):
            expected = f"a rule that gives a date within {SEARCH_YEARS} years of {self.anchor}"
            raise RuleRefused("rule", expected=expected, found=str(rule), field="rule")

    @property
    def last_date(self) -> date | None:
        """The last date the rule gives, None where it never ends (UNTIL itself need not be a date of the rule)."""
        if self.rule.count:
            return _counted(self)[-1]
        return self.rule.until

    def dates(self, year: int) -> tuple[date, ...]:
        """Return the dates of the rule in the calendar `year`, in order."""
        if self.rule.count:
            return tuple(day for day in _counted(self) if day.year == year)
        return tuple(self._unlimited(year))

    def _unlimited(self, year: int) -> Iterator[date]:
        last = self.rule.until or date(LAST_YEAR, 12, 31)
        if self.anchor.year <= year <= last.year:
            for day in self._nth_weekday(year) if self._has_closed_form else self._expand(year):
                if self.anchor <= day <= last:
                    yield day

    @property
    def _has_closed_form(self) -> bool:
        rule = self.rule
        plain = rule.frequency is Frequency.MONTHLY and rule.interval == 1 and not rule.by_month
        return plain and len(rule.by_day) == 1 and rule.by_day[0].ordinal is not None

    def _nth_weekday(self, year: int) -> Iterator[date]:
        day = self.rule.by_day[0]
        ordinal = day.ordinal or 1
        for month in range(1, 13):
            first_weekday, days = monthrange(year, month)
            number = 1 + (day.weekday - first_weekday) % 7
            number += 7 * (ordinal - 1) if ordinal > 0 else (days - number) // 7 * 7 + 7 * (ordinal + 1)
            if 1 <= number <= days:
                yield date(year, month, number)

    def _expand(self, year: int) -> Iterator[date]:
        """Let dateutil expand the rule without the parts that only limit it, and keep the days that those allow.

        A rule without limits always gives a next date; one that gives none would lead dateutil to the year 9999.
        """
        from dateutil import rrule  # not needed for the closed form

        rule = self._explicit()
        daily = rule.frequency is Frequency.DAILY
        by_month_day = (1, *rule.by_month_day) if rule.by_month_day else None  # every month has a first day
        by_weekday = None if by_month_day else sorted({day.weekday for day in rule.by_day}) or None
        found = rrule.rrule(
            rrule.FREQNAMES.index(rule.frequency),  # type: ignore[arg-type]  # the stubs want a literal
            dtstart=datetime.combine(self._aligned(year), time()),
            until=datetime.combine(date(year, 12, 31), time()),
            interval=rule.interval,
            wkst=rrule.MO,
            bymonth=(rule.by_month or range(1, 13)) if rule.frequency is Frequency.YEARLY else None,
            bymonthday=None if daily else by_month_day,
            byweekday=None if daily else by_weekday,
        )
        return (at.date() for at in found if at.year == year and rule.allows(at.date()))

    def _aligned(self, year: int) -> date:
        """Return a date that the intervals counted from the anchor fall on, at or before all dates of `year`."""
        anchor, interval, january = self.anchor, self.rule.interval, date(year, 1, 1)
        if self.rule.frequency is Frequency.DAILY:
            return anchor + timedelta(days=max(0, (january - anchor).days) // interval * interval)
        if self.rule.frequency is Frequency.WEEKLY:
            monday = anchor - timedelta(days=anchor.weekday())
            return monday + timedelta(weeks=max(0, (january - monday).days) // (7 * interval) * interval)
        if self.rule.frequency is Frequency.MONTHLY:
            months = (max(0, (year - anchor.year) * 12 + 1 - anchor.month) // interval) * interval + anchor.month - 1
            return date(anchor.year + months // 12, months % 12 + 1, 1)
        return date(anchor.year + (year - anchor.year) // interval * interval, 1, 1)

    def _explicit(self) -> Rule:
        """Return the rule with the day that RFC 5545 takes from the anchor written out."""
        rule, anchor = self.rule, self.anchor
        if rule.by_day or rule.by_month_day or rule.frequency is Frequency.DAILY:
            return rule
        if rule.frequency is Frequency.WEEKLY:
            return _with(rule, by_day=(WeekdayNumber(weekday=anchor.weekday()),))
        months = rule.by_month or ((anchor.month,) if rule.frequency is Frequency.YEARLY else ())
        return _with(rule, by_month_day=(anchor.day,), by_month=months)


def _with(rule: Rule, **changes: object) -> Rule:
    from dataclasses import replace

    return replace(rule, **changes)  # type: ignore[arg-type]  # the callers pass fields of Rule


@lru_cache(maxsize=64)
def _counted(recurrence: Recurrence) -> tuple[date, ...]:
    rule = _with(recurrence.rule, count=None)
    endless = Recurrence(rule=rule, anchor=recurrence.anchor)
    dates: list[date] = []
    for year in range(recurrence.anchor.year, LAST_YEAR + 1):
        dates.extend(endless.dates(year))
        if len(dates) >= (recurrence.rule.count or 0):
            break
    return tuple(dates[: recurrence.rule.count])

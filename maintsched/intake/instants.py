"""Dates, times and instants as text: one narrow form of ISO 8601 each, ASCII digits, years 2000 to 2200."""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

from maintsched.errors import InvalidValue
from maintsched.localtime import FIRST_YEAR, LAST_YEAR

OFFSET_MAX = timedelta(hours=14)
"""No zone of this century is further from UTC."""

_DAY = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_CLOCK = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?"
_DATE = re.compile(_DAY)
_TIME = re.compile(_CLOCK)
_INSTANT = re.compile(rf"{_DAY}[T ]{_CLOCK}(Z|[+-][0-9]{{2}}:[0-9]{{2}})?")


def read_date(text: str) -> date:
    """Read YYYY-MM-DD."""
    found = _DATE.fullmatch(text)
    try:
        day = date(*(int(part) for part in found.groups())) if found else None
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        expected = f"a date such as 2026-12-01, from {FIRST_YEAR} to {LAST_YEAR}"
        raise InvalidValue("date", expected=expected, found=text)
    return day


def read_time(text: str) -> time:
    """Read HH:MM or HH:MM:SS."""
    found = _TIME.fullmatch(text)
    try:
        return _clock(found.groups()) if found else _no_time(text)
    except ValueError as error:
        raise InvalidValue("time", expected="a time of day such as 17:00", found=text) from error


def _clock(parts: tuple[str | None, ...]) -> time:
    hour, minute, second, fraction = parts
    micro = int((fraction or "").ljust(6, "0"))
    return time(int(hour or 0), int(minute or 0), int(second or 0), micro)


def _no_time(text: str) -> time:
    raise InvalidValue("time", expected="a time of day such as 17:00", found=text)


def read_instant(text: str) -> date | datetime:
    """Read YYYY-MM-DD, or YYYY-MM-DDTHH:MM[:SS[.ffffff]] followed by Z or an offset; a time without one is refused."""
    if _DATE.fullmatch(text):
        return read_date(text)
    expected = "a date, or a date and time with an offset such as 2026-12-01T17:00+01:00"
    found = _INSTANT.fullmatch(text)
    if not found or found[8] is None:
        raise InvalidValue("instant", expected=expected, found=text)
    try:
        clock = _clock(found.groups()[3:7])
        return datetime.combine(read_date(text[:10]), clock, _offset(found[8]))
    except ValueError as error:
        raise InvalidValue("instant", expected=expected, found=text) from error


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > OFFSET_MAX:
        raise ValueError(text)
    return timezone(offset if text[0] == "+" else -offset)

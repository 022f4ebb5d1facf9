"""Dates as people write them on a command line, in English and German.

Understood are ISO dates and instants (2026-12-01, 2026-12-01T17:00+01:00), months (2026-12), written dates
(1 Dec 2026, Dec 1, 2026, 1. Dezember 2026, 1.12.2026), distances from now (today, tomorrow, in 3 days, heute, in 2
Wochen, in 90 minutes) and ISO 8601 durations from now (P3M, -P7D, PT72H). A date may be followed by a time of day
(2026-12-08 19:00, tomorrow 9:30, 8.12.2026 19:00 Uhr), which is that of the contract's zone. A date without a time
begins at 00:00 there, and a duration without one leads to such a date.
"""

import re
import unicodedata
from datetime import date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import click

from maintsched.errors import InvalidValue, show
from maintsched.intake.instants import read_instant
from maintsched.localtime import FIRST_YEAR, LAST_YEAR, Elapsed, Period, settle_on, shift, start_of_day, utc

LENGTH_MAX = 60
_WORDS = {"now": None, "today": 0, "heute": 0, "tomorrow": 1, "morgen": 1, "yesterday": -1, "gestern": -1}
_DISTANCE = re.compile(r"in ([0-9]{1,4}) (day|days|tag|tagen|week|weeks|woche|wochen|month|months|monat|monaten)")
_HOURS = re.compile(r"in ([0-9]{1,4}) ?(h|hour|hours|stunde|stunden|min|minute|minutes|minuten)")
_HOUR_WORDS = ("h", "hour", "hours", "stunde", "stunden")
_TIME = re.compile(r"(?P<day>\S.*?)[ ,]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(:(?P<second>[0-9]{2}))?( Uhr)?")
_UNITS = re.compile(r"(?<=[0-9 ])(hours?|stunden?|h|minuten?|minutes?|min|m|seconds?|sekunden?|s)(?![a-z])")
_DURATION = re.compile(r"(-?)(P[0-9YMWD]{0,16})(T[0-9HMS]{2,24})?")
_WRITTEN = (
    re.compile(r"(?P<day>[0-9]{1,2})\.(?P<month>[0-9]{1,2})\.(?P<year>[0-9]{4})"),
    re.compile(r"(?P<day>[0-9]{1,2})\.? (?P<month>[^\W\d_]{3,9})\.? (?P<year>[0-9]{4})"),
    re.compile(r"(?P<month>[^\W\d_]{3,9})\.? (?P<day>[0-9]{1,2}),? (?P<year>[0-9]{4})"),
)
_MONTHS = (
    "jan january januar jänner",
    "feb february februar",
    "mar march mär mrz märz maerz",
    "apr april",
    "may mai",
    "jun june juni",
    "jul july juli",
    "aug august",
    "sep sept september",
    "oct october okt oktober",
    "nov november",
    "dec december dez dezember",
)
_NUMBERS = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split()}
"""Months by their English and German names, whole and short."""


def read_spoken(text: str, *, now: datetime, zone: ZoneInfo, option: str, start: datetime | None = None) -> datetime:
    """Return the instant that `text` means; durations count from `start`, else from `now`."""
    text = text.strip()
    if len(text) <= LENGTH_MAX and text.isprintable():
        found = _date(text, start or now, zone) or _timed(text, start or now, zone)
        if found is not None:
            return _in_range(found, option)
    expected = (
        "a date such as 2026-12-01, '1 Dec 2026', '1.12.2026', 'in 3 days', with a time such as '2026-12-01 17:00' or "
        "2026-12-01T17:00+01:00, or a duration such as P3M"
    )
    raise click.BadParameter(f"expected {expected}, got {show(text)}", param_hint=option)


def _date(text: str, start: datetime, zone: ZoneInfo) -> datetime | None:
    return _exact(text, zone) or _relative(text, start, zone) or _written(text, zone)


def _timed(text: str, start: datetime, zone: ZoneInfo) -> datetime | None:
    """Return a date with a time of day behind it; in a clock change, the earlier of the two instants."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    day = _date(found["day"], start, zone)
    if day is None or hour > 23 or minute > 59 or second > 59 or ":" in found["day"]:
        return None
    return settle_on(day.astimezone(zone).date(), time(hour, minute, second), zone).at


def _in_range(at: datetime, option: str) -> datetime:
    try:
        utc(at)
    except InvalidValue as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    return at


def _exact(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        found = read_instant(f"{text}-01" if re.fullmatch(r"[0-9]{4}-[0-9]{2}", text) else text)
    except InvalidValue:
        return None
    return found if isinstance(found, datetime) else start_of_day(found, zone)


def _relative(text: str, start: datetime, zone: ZoneInfo) -> datetime | None:
    words = text.lower()
    today = start.astimezone(zone).date()
    if words in _WORDS:
        days = _WORDS[words]
        return start if days is None else start_of_day(today + timedelta(days=days), zone)
    hours = _HOURS.fullmatch(words)
    if hours:
        count = int(hours[1])
        return shift(start, timedelta(hours=count) if hours[2] in _HOUR_WORDS else timedelta(minutes=count), zone)
    distance = _DISTANCE.fullmatch(words)
    if distance:
        count, unit = int(distance[1]), distance[2][0]
        months, days = (count, 0) if unit == "m" else (0, 7 * count if unit == "w" else count)
        return start_of_day(Period(months=months, days=days).after(today), zone)
    return _by_duration(text, start, zone)


def _by_duration(text: str, start: datetime, zone: tzinfo) -> datetime | None:
    """Return the end of an ISO duration: its days are counted on the calendar, then its hours on the UTC time line."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    sign, days, hours = found.groups()
    try:
        period = Period() if days == "P" and hours else Period.parse(days)
        if hours is None:
            today = start.astimezone(zone).date()
            return start_of_day(period.before(today) if sign else period.after(today), zone)
        day = (period.before_instant if sign else period.after_instant)(start, zone).at
        length = Elapsed.parse(f"P{hours}")
        return shift(day, -length if sign else length, zone)
    except (ValueError, OverflowError):
        return None


def _written(text: str, zone: ZoneInfo) -> datetime | None:
    words = unicodedata.normalize("NFC", text).lower()
    found = next((match for form in _WRITTEN if (match := form.fullmatch(words))), None)
    if found is None:
        return None
    name = found["month"]
    month = int(name) if name.isdecimal() else _NUMBERS.get(name, 0)
    year = int(found["year"])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return start_of_day(date(year, month, int(found["day"])), zone)
    except ValueError:
        return None


def _unit(found: re.Match[str]) -> str:
    word = found[0]
    if word.startswith(("h", "stu")):
        return "h"
    return "min" if word.startswith("m") else "s"


def read_length(text: str, *, option: str) -> Elapsed:
    """Return the elapsed time that `text` means: 2h, 90 min, 1 h 30 min, 2 Stunden, PT2H."""
    plain = text.strip()
    short = plain if plain.startswith("P") else _UNITS.sub(_unit, plain.lower())
    try:
        return Elapsed.parse(short)
    except InvalidValue as error:
        expected = "a length such as 2h, 90min, '1 h 30 min' or PT2H"
        raise click.BadParameter(f"expected {expected}, got {show(text)}", param_hint=option) from error


def read_span(text: str, *, now: datetime, zone: ZoneInfo, option: str) -> tuple[datetime, datetime]:
    """Return the start and end of an ISO 8601 interval: 2026-12-01/2027-03-01, 2026-12-01/P3M or P3M/2027-03-01."""
    first, slash, second = text.partition("/")
    if not slash:
        raise click.BadParameter(f"expected an interval such as 2026-12-01/P3M, got {show(text)}", param_hint=option)
    if first.startswith("P"):
        end = read_spoken(second, now=now, zone=zone, option=option)
        return read_spoken(f"-{first}", now=now, zone=zone, option=option, start=end), end
    start = read_spoken(first, now=now, zone=zone, option=option)
    return start, read_spoken(second, now=now, zone=zone, option=option, start=start)

"""Instants, dates and durations in the words of a page. Programs get ISO 8601 from elsewhere."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pendulum

from maintsched.localtime import elapsed
from maintsched.report.words import Words

LONG = {"en": "dddd, D MMMM YYYY", "de": "dddd, D. MMMM YYYY"}
SHORT = {"en": "ddd D MMM YYYY", "de": "ddd, D. MMM YYYY"}
TIGHT = {"en": "ddd D MMM", "de": "ddd, D. MMM"}
MONTH = "MMMM YYYY"

MONTHS_FROM_DAYS = 92
"""From so many days on, a distance is told in whole calendar months."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateWords:
    """How one page writes time: in which language and zone, and as seen from which instant `now`."""

    words: Words
    zone: ZoneInfo
    now: datetime

    def local(self, at: datetime) -> datetime:
        """Return `at` on the wall clock of the zone."""
        return at.astimezone(self.zone)

    def local_date(self, at: datetime) -> date:
        """Return the local day that holds `at`."""
        return at.astimezone(self.zone).date()

    def long_day(self, day: date) -> str:
        """Write a date in full, with its weekday."""
        return self._format(day, LONG[self.words.language])

    def day(self, day: date) -> str:
        """Write a date with its weekday, shortened."""
        return self._format(day, SHORT[self.words.language])

    def tight_day(self, day: date) -> str:
        """Write a date with its weekday and without its year."""
        return self._format(day, TIGHT[self.words.language])

    def month(self, day: date) -> str:
        """Write the month that `day` lies in."""
        return self._format(day, MONTH)

    def weekdays(self) -> list[tuple[str, str]]:
        """Return each weekday from Monday on, as (two letters, in full)."""
        monday = date(2024, 1, 1)
        days = [monday + timedelta(days=n) for n in range(7)]
        return [(self._format(day, "dd").rstrip("."), self._format(day, "dddd")) for day in days]

    def _format(self, day: date, pattern: str) -> str:
        # Only the date is written, so that it is taken to noon of UTC, where no clock change can reach it.
        noon = pendulum.datetime(day.year, day.month, day.day, 12)
        return noon.format(pattern, locale=self.words.language)

    def time(self, at: datetime) -> str:
        """Write the wall clock time, without a zone."""
        return f"{self.local(at):%H:%M}"

    def at(self, at: datetime) -> str:
        """Write date, time and zone."""
        local = self.local(at)
        return f"{self.day(local.date())}, {local:%H:%M} {zone_name(local)}"

    def hours(self, start: datetime, end: datetime) -> str:
        """Write a span by its times and zone, the end with its date where that is another."""
        first, last = self.local(start), self.local(end)
        zone = "" if zone_name(first) == zone_name(last) else f" {zone_name(first)}"
        day = "" if first.date() == last.date() else f"{self.tight_day(last.date())}, "
        return f"{first:%H:%M}{zone} – {day}{last:%H:%M} {zone_name(last)}"

    def tight_hours(self, start: datetime, end: datetime) -> str:
        """Write a span by its times and zone in little room.

        The end has its weekday where that is another, and its date where it lies a day or more after the start.
        """
        first, last = self.local(start), self.local(end)
        zone = "" if zone_name(first) == zone_name(last) else f" {zone_name(first)}"
        day = ""
        if elapsed(start, end) > timedelta(days=1):
            day = f"{self.tight_day(last.date())} "
        elif first.date() != last.date():
            day = f"{self._format(last.date(), 'ddd')} "
        return f"{first:%H:%M}{zone}–{day}{last:%H:%M} {zone_name(last)}"

    def hours_utc(self, start: datetime, end: datetime) -> str:
        """Write a span in UTC, with dates where they differ from the local ones."""
        first, last = start.astimezone(UTC), end.astimezone(UTC)
        day = "" if first.date() == self.local_date(start) else f"{self.tight_day(first.date())}, "
        end_day = "" if last.date() == first.date() else f"{self.tight_day(last.date())}, "
        return f"{day}{first:%H:%M} – {end_day}{last:%H:%M} UTC"

    def duration(self, length: timedelta) -> str:
        """Write an elapsed time in days of 24 hours, hours and minutes."""
        hours, minutes = divmod(abs(length) // timedelta(minutes=1), 60)
        days, hours = divmod(hours, 24)
        parts = [f"{n}\N{NO-BREAK SPACE}{unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if n]
        return " ".join(parts) or "0\N{NO-BREAK SPACE}min"

    def relative(self, at: datetime) -> str:
        """Say how far `at` lies from now: in minutes or hours on the same day, else in calendar days or months."""
        days = (self.local_date(at) - self.local_date(self.now)).days
        if days == 0:
            return self._hours_away(elapsed(self.now, at))
        if abs(days) == 1:
            return self.words("tomorrow" if days > 0 else "yesterday")
        unit, n = ("days", abs(days)) if abs(days) < MONTHS_FROM_DAYS else ("months", self._months_away(at))
        return self.words.count(f"in_{unit}" if days > 0 else f"{unit}_ago", n)

    def _months_away(self, at: datetime) -> int:
        here, there = (self.local_date(each) for each in (self.now, at))
        between = pendulum.date(here.year, here.month, here.day).diff(pendulum.date(there.year, there.month, there.day))
        return int(between.in_months())

    def _hours_away(self, away: timedelta) -> str:
        minutes = abs(away) // timedelta(minutes=1)
        if minutes == 0:
            return self.words("today")
        unit, n = ("hours", minutes // 60) if minutes >= 60 else ("minutes", minutes)
        return self.words.count(f"in_{unit}" if away > timedelta(0) else f"{unit}_ago", n)


def zone_name(local: datetime) -> str:
    """Return the zone's letters, or the offset from UTC where it has none."""
    name = local.tzname() or ""
    return name if name[:1].isalpha() else f"UTC{local:%z}"

"""Public holidays of one region, by the `holidays` library, for the years that it knows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Protocol

from maintsched.birth import settle_fields
from maintsched.errors import HolidaysUnknown, InvalidValue, UnknownName
from maintsched.localtime import FIRST_YEAR

LAST_KNOWN_YEAR = 2100
"""The `holidays` library says nothing about later years; without an error it would call each of their days ordinary."""


class YearSource(Protocol):
    """Where the public holidays of one year come from."""

    def __call__(self, country: str, subdivision: str | None, language: str | None, year: int) -> Mapping[date, str]:
        """Return the names of the public holidays by date."""


def from_library(country: str, subdivision: str | None, language: str | None, year: int) -> Mapping[date, str]:
    """Ask the `holidays` library; its import costs more than the question, so it waits until here."""
    import holidays

    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise UnknownName(
            "country of the holiday calendar", found=country, known=sorted(known), field="holidays.country"
        )
    if subdivision is not None and subdivision not in known[country]:
        what = f"subdivision of {country}"
        raise UnknownName(what, found=subdivision, known=known[country], field="holidays.subdivision")
    entry = holidays.country_holidays(country, subdiv=subdivision)
    if language is not None and language not in entry.supported_languages:
        what, known_here = f"language of the holidays of {country}", entry.supported_languages
        raise UnknownName(what, found=language, known=known_here, field="holidays.language")
    spoken = language or entry.default_language  # left open, it would follow the language of this machine
    calendar = holidays.country_holidays(country, subdiv=subdivision, years=year, expand=False, language=spoken)
    if not max(FIRST_YEAR, calendar.start_year) <= year <= min(LAST_KNOWN_YEAR, calendar.end_year) or not calendar:
        first, last = max(FIRST_YEAR, calendar.start_year), min(LAST_KNOWN_YEAR, calendar.end_year)
        raise HolidaysUnknown(_region(country, subdivision), year, first=first, last=last)
    return dict(sorted(calendar.items()))


def _region(country: str, subdivision: str | None) -> str:
    return f"{country}-{subdivision}" if subdivision else country


@dataclass(frozen=True, kw_only=True)
class HolidayCalendar:
    """The public holidays of a country or one of its subdivisions (ISO 3166-1 and 3166-2 codes).

    Only general public holidays count: 24 and 31 December are ordinary days unless the law of the region says
    otherwise. Years before 2000 or after 2100 are refused with `HolidaysUnknown`.
    """

    country: str
    subdivision: str | None = None
    language: str | None = None
    """Language of the holidays' names, an ISO 639 code that the library knows for the country; None: its default."""
    source: YearSource = field(default=from_library, hash=False, repr=False, metadata={"from_file": False})
    _years: dict[int, dict[date, str]] = field(
        default_factory=dict, init=False, compare=False, repr=False, metadata={"from_file": False}
    )

    def __post_init__(self) -> None:
        """Refuse what no code looks like; whether the library knows it shows when the first holiday is asked for."""
        settle_fields(self)
        for name, text, grammar, expected in (
            ("country", self.country, "[A-Z]{2}", "an ISO 3166-1 code such as DE"),
            ("subdivision", self.subdivision, "[A-Z0-9]{1,3}|[A-Z][A-Za-zã ]{2,30}", "a subdivision such as BW"),
            ("language", self.language, "[a-z]{2,3}(_[A-Z]{2})?", "a language code such as de or en_US"),
        ):
            if text is not None and not re.fullmatch(grammar, text):
                raise InvalidValue(name, expected=expected, found=text, field=name)

    @property
    def region(self) -> str:
        """The region's code, such as DE-BW."""
        return _region(self.country, self.subdivision)

    def require_year(self, year: int) -> None:
        """Refuse a year whose holidays cannot be known, without asking for them."""
        if not FIRST_YEAR <= year <= LAST_KNOWN_YEAR:
            raise HolidaysUnknown(self.region, year, first=FIRST_YEAR, last=LAST_KNOWN_YEAR)

    def of_year(self, year: int) -> Mapping[date, str]:
        """Return the names of the public holidays of `year` by date, as a view that cannot be written to."""
        return MappingProxyType(self._known(year))

    def _known(self, year: int) -> dict[date, str]:
        known = self._years.get(year)
        if known is None:
            self.require_year(year)
            known = self._years[year] = dict(self.source(self.country, self.subdivision, self.language, year))
        return known

    def name(self, day: date) -> str | None:
        """Return the name of the public holiday on `day`, or None on any other day."""
        return self._known(day.year).get(day)

    def next_day(self, day: date, weekdays: frozenset[int]) -> date:
        """Return the first day after `day` that is one of `weekdays` (0 = Monday) and no public holiday."""
        day += timedelta(days=1)
        while day.weekday() not in weekdays or self.name(day):
            day += timedelta(days=1)
        return day

"""Public holidays at the edges of what the library knows: years, codes and languages."""

from datetime import date
from typing import Any

import pytest

import maintsched as ms
from maintsched.holidaycalendar import HolidayCalendar

CHRISTMAS = date(2026, 12, 25)


@pytest.mark.parametrize(
    ("country", "year", "span"), [("ES", 2007, "from 2008 to 2100"), ("JP", 2100, "from 2000 to 2099")]
)
def test_a_year_that_the_library_lacks_for_a_country_is_refused_with_those_it_has(country, year, span):
    with pytest.raises(ms.HolidaysUnknown) as refused:
        HolidayCalendar(country=country).of_year(year)
    assert str(refused.value) == (
        f"public holidays of {country} in {year} cannot be known: expected a year {span}; choose another period"
    )
    assert (refused.value.region, refused.value.year) == (country, year)


@pytest.mark.parametrize(("country", "first"), [("ES", 2008), ("JP", 2000)])
def test_the_first_year_that_the_library_has_for_a_country_is_known(country, first):
    assert HolidayCalendar(country=country).name(date(first, 1, 1)) is not None


def test_a_country_has_one_code():
    with pytest.raises(ms.UnknownName) as refused:
        HolidayCalendar(country="UK").of_year(2026)
    assert refused.value.found == "UK"
    assert "GB" in refused.value.known
    assert "UK" not in refused.value.known


def test_holidays_are_named_in_the_language_of_the_calendar_else_in_that_of_the_country():
    def name(**fields: Any) -> str | None:
        return HolidayCalendar(country="DE", **fields).name(CHRISTMAS)

    assert name() == name(language="de") == "Erster Weihnachtstag"
    assert name(language="en_US") == name(subdivision="BW", language="en_US") == "Christmas Day"


def test_the_holidays_of_a_year_come_in_order_and_only_of_that_year():
    days = list(HolidayCalendar(country="DE", subdivision="BW").of_year(2026))
    assert days == sorted(days)
    assert {day.year for day in days} == {2026}
    assert date(2026, 1, 6) in days  # of the subdivision, not of the country
    assert date(2026, 1, 6) not in HolidayCalendar(country="DE").of_year(2026)


def test_a_refused_year_is_named_with_the_subdivision_and_the_years_that_are_known():
    with pytest.raises(ms.HolidaysUnknown, match="public holidays of ES-CT in 2007 cannot be known") as refused:
        HolidayCalendar(country="ES", subdivision="CT").of_year(2007)
    assert refused.value.region == "ES-CT"
    for year in (1999, 2101):
        with pytest.raises(ms.HolidaysUnknown, match=f"of DE in {year} cannot be known: .* from 2000 to 2100;"):
            HolidayCalendar(country="DE").require_year(year)


def test_a_subdivision_may_bear_a_name():
    assert HolidayCalendar(country="DE", subdivision="Augsburg").region == "DE-Augsburg"
    assert date(2026, 8, 8) in HolidayCalendar(country="DE", subdivision="Augsburg").of_year(2026)

"""Laws of monthly windows (clause 2.4.3.1) and of the public holidays beside them."""

from datetime import UTC, date, datetime, time, timedelta

import holidays
import pytest
from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.holidaycalendar import HolidayCalendar
from maintsched.windows import schedule
from tests.worlds import BERLIN, TICK, contract, contracts, examples, instants, utc

stretches = st.timedeltas(timedelta(0), timedelta(days=900))


def windows(terms: ms.Contract, since: datetime, until: datetime) -> list[ms.Window]:
    return list(ms.monthly_windows(terms, since, until))


@given(st.integers(2000, 2100))
def test_the_first_tuesday_of_each_month_at_17_local_and_nothing_else(year):
    found = windows(contract(), datetime(year, 1, 1, tzinfo=BERLIN), datetime(year, 12, 31, 23, tzinfo=BERLIN))
    assert [window.start.month for window in found] == list(range(1, 13))
    for window in found:
        assert window.start.weekday() == 1
        assert window.start.day <= 7
        assert window.start.time() == time(17)
        assert window.start.tzinfo == BERLIN
        assert window.id == f"monthly/{year}-{window.start.month:02}"
        assert utc(window.end) - utc(window.start) == timedelta(hours=4)


@given(st.integers(2000, 2099))
def test_the_second_contract_has_two_saturday_nights_a_month_in_utc(year):
    terms = contract("generic-weekly", monthly={"on_holiday": "keep"})
    found = windows(terms, datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
    assert [window.start.month for window in found] == [month for month in range(1, 13) for _ in range(2)]
    for window in found:
        assert window.start.weekday() == 5
        assert (window.start.day - 1) // 7 in (1, 3)
        assert window.start.time() == time(22)
        assert window.id == f"monthly/{window.start.date()}"


@given(contracts(), instants(), stretches)
def test_a_window_lies_in_the_span_it_starts_in_and_windows_come_in_order(terms, since, stretch):
    found = windows(terms, since, utc(since) + stretch)
    starts = [utc(window.start) for window in found]
    assert all(utc(since) <= start < utc(since) + stretch for start in starts)
    assert starts == sorted(starts)
    assert len({window.id for window in found}) == len(found)
    assert all(utc(window.end) - utc(window.start) == terms.monthly.duration for window in found)


@given(contracts(), instants(), stretches, st.integers(0, 100))
def test_the_windows_of_two_halves_are_the_windows_of_the_whole(terms, since, stretch, percent):
    middle, until = utc(since) + stretch * percent / 100, utc(since) + stretch
    assert windows(terms, since, until) == windows(terms, since, middle) + windows(terms, middle, until)


@given(contracts(), instants())
def test_next_and_last_window_are_neighbours_in_the_list_of_all_windows(terms, at):
    around = windows(terms, utc(at) - timedelta(days=150), utc(at) + timedelta(days=150))
    after, before = ms.next_window(terms, at), ms.last_window(terms, at)
    assert after == next(window for window in around if utc(window.start) >= utc(at))
    assert before == next(window for window in reversed(around) if utc(window.start) < utc(at))
    assert ms.next_window(terms, after.start) == after
    assert ms.last_window(terms, utc(after.start) + TICK) == after
    assert ms.last_window(terms, after.start) == before


@given(contracts(), instants())
def test_a_window_is_found_again_by_its_id(terms, at):
    window = ms.next_window(terms, at)
    assert schedule(terms).window(window.id) == window


@given(contracts(), instants(), instants())
def test_a_window_is_the_same_whatever_was_asked_before(terms, at, other):
    fresh = ms.load_contract("generic-weekly" if terms.name == "generic-weekly" else "intrexx-paas")
    window = ms.next_window(fresh, at)
    ms.next_window(fresh, other)
    assert ms.next_window(fresh, at) == window
    assert [each.id for each in windows(fresh, window.start, utc(window.start) + TICK)] == [window.id]


@given(instants())
def test_a_window_moved_off_a_holiday_lies_on_an_ordinary_day_and_keeps_its_id(at):
    kept = ms.next_window(contract(), at)
    for policy in ("next_working_day", "next_week"):
        terms = contract(monthly={"on_holiday": policy})
        moved = schedule(terms).window(kept.id)
        assert moved is not None
        assert moved.holiday is None
        assert moved.start.time() == time(17)
        assert utc(moved.start) >= utc(kept.start)
        assert (moved == kept) == (kept.holiday is None)
        weekday_kept = moved.start.weekday() == kept.start.weekday()
        assert weekday_kept or (policy == "next_working_day" and kept.holiday is not None)


@given(st.integers(2000, 2100), st.sampled_from([("DE", "BW"), ("DE", "BY"), ("US", None), ("AT", None)]))
@examples(40)
def test_public_holidays_are_those_of_the_holidays_library(year, region):
    country, subdivision = region
    known = holidays.country_holidays(country, subdiv=subdivision, years=year, expand=False)
    calendar = HolidayCalendar(country=country, subdivision=subdivision)
    day = date(year, 1, 1)
    while day.year == year:
        assert (calendar.name(day) is not None) == (day in known)
        day += timedelta(days=1)


@pytest.mark.parametrize("year", [1999, 2101, 2150, 2200])
def test_a_year_whose_holidays_cannot_be_known_is_refused(year):
    calendar = HolidayCalendar(country="DE", subdivision="BW")
    with pytest.raises(ms.HolidaysUnknown, match=f"public holidays of DE-BW in {year}") as refused:
        calendar.name(date(year, 1, 1))
    assert (refused.value.region, refused.value.year) == ("DE-BW", year)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.sets(st.integers(0, 6), min_size=1))
def test_the_next_day_is_the_first_one_that_is_of_the_week_and_no_holiday(day, weekdays):
    calendar = contract().holidays
    found = calendar.next_day(day, frozenset(weekdays))
    passed = [day + timedelta(days=n) for n in range(1, (found - day).days)]
    assert found > day
    assert found.weekday() in weekdays
    assert calendar.name(found) is None
    assert all(each.weekday() not in weekdays or calendar.name(each) for each in passed)


def test_two_contracts_that_differ_only_in_their_source_of_holidays_keep_their_own():
    def new_year_in_december(country, subdivision, language, year):
        return {date(year, 12, 1): "Early New Year"}

    start = datetime(2026, 12, 1, tzinfo=BERLIN)
    assert ms.next_window(contract(), start).holiday is None
    other = ms.load_contract(holiday_source=new_year_in_december)
    assert ms.next_window(other, start).holiday == "Early New Year"
    assert ms.next_window(contract(), start).holiday is None

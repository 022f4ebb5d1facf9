"""Rules at their edges: the longest text, counting from the end of a month, the first and the last year."""

from datetime import date, timedelta

import pytest

import maintsched as ms
from maintsched.recurrence import TEXT_MAX, Recurrence


def days_of(year: int, month: int) -> list[date]:
    first = date(year, month, 1)
    return [day for day in (first + timedelta(days=n) for n in range(31)) if day.month == month]


def test_a_rule_may_be_two_hundred_characters_long_and_no_longer():
    text = "FREQ=MONTHLY;BYMONTHDAY=01" + ",1" * 87
    assert len(text) == TEXT_MAX == 200
    assert ms.Rule.parse(text).by_month_day == (1,)
    with pytest.raises(ms.RuleRefused, match="at most 200 ASCII characters"):
        ms.Rule.parse(text + "1")


def test_a_part_of_a_rule_is_named_up_to_its_first_equals_sign():
    with pytest.raises(ms.RuleRefused, match="FREQ one of DAILY, WEEKLY, MONTHLY, YEARLY") as refused:
        ms.Rule.parse("FREQ=DAILY=X")
    assert refused.value.found == "DAILY=X"


@pytest.mark.parametrize("month", [1, 2, 4])
@pytest.mark.parametrize("ordinal", range(1, 6))
@pytest.mark.parametrize("weekday", range(7))
def test_a_rule_allows_the_nth_weekday_from_the_start_and_from_the_end_of_a_month(month, ordinal, weekday):
    name = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[weekday]
    of_weekday = [day for day in days_of(2026, month) if day.weekday() == weekday]
    forward, backward = (ms.Rule.parse(f"FREQ=MONTHLY;BYDAY={sign}{ordinal}{name}") for sign in ("", "-"))
    assert [day for day in days_of(2026, month) if forward.allows(day)] == of_weekday[ordinal - 1 : ordinal]
    assert [day for day in days_of(2026, month) if backward.allows(day)] == of_weekday[::-1][ordinal - 1 : ordinal]


@pytest.mark.parametrize("month", [1, 2, 4])
def test_a_rule_allows_days_counted_from_the_end_of_a_month(month):
    days = days_of(2026, month)
    for back in (1, 2, 28):
        rule = ms.Rule.parse(f"FREQ=MONTHLY;BYMONTHDAY=-{back}")
        assert [day for day in days if rule.allows(day)] == [days[-back]]
    assert [day for day in days if ms.Rule.parse("FREQ=MONTHLY;BYMONTHDAY=1,-1").allows(day)] == [days[0], days[-1]]


def test_the_dates_counted_from_the_end_of_a_month_are_those_that_the_rule_allows():
    for text in ("FREQ=DAILY;BYMONTHDAY=-1,-3", "FREQ=YEARLY;BYMONTH=2,12;BYDAY=-1FR", "FREQ=MONTHLY;BYDAY=-2MO,-1SU"):
        rule = ms.Rule.parse(text)
        dates = Recurrence(rule=rule, anchor=date(2024, 1, 1)).dates(2024)
        year = [day for month in range(1, 13) for day in days_of(2024, month)]
        assert list(dates) == [day for day in year if rule.allows(day)]


@pytest.mark.parametrize("ordinal", [1, 2, 3, 4, 5, -1, -2, -3, -4, -5])
def test_the_nth_weekday_of_every_month_is_the_one_that_the_rule_allows(ordinal):
    for name in ("MO", "SU"):
        rule = ms.Rule.parse(f"FREQ=MONTHLY;BYDAY={ordinal}{name}")
        year = [day for month in range(1, 13) for day in days_of(2026, month)]
        assert list(Recurrence(rule=rule, anchor=date(2026, 1, 1)).dates(2026)) == [d for d in year if rule.allows(d)]


@pytest.mark.parametrize("text", ["FREQ=MONTHLY;BYDAY=1TU", "FREQ=WEEKLY;BYDAY=TU"])
def test_the_anchor_and_the_last_day_of_a_rule_are_dates_of_it(text):
    rule = ms.Rule.parse(text + ";UNTIL=20261201")
    dates = Recurrence(rule=rule, anchor=date(2026, 1, 6)).dates(2026)
    assert (dates[0], dates[-1]) == (date(2026, 1, 6), date(2026, 12, 1))
    inside = Recurrence(rule=ms.Rule.parse(text + ";UNTIL=20261130"), anchor=date(2026, 1, 7)).dates(2026)
    assert date(2026, 1, 6) not in inside
    assert date(2026, 12, 1) not in inside


ANCHOR = date(2024, 2, 29)  # a Thursday


def days_from_anchor(year: int) -> list[date]:
    return [day for month in range(1, 13) for day in days_of(year, month) if day >= ANCHOR]


@pytest.mark.parametrize("interval", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("year", [2023, 2024, 2025, 2028, 2031])
def test_intervals_are_counted_from_the_anchor_through_every_year(interval, year):
    monday = ANCHOR - timedelta(days=ANCHOR.weekday())
    days = days_from_anchor(year)
    expected = {
        "FREQ=DAILY": [day for day in days if (day - ANCHOR).days % interval == 0],
        "FREQ=WEEKLY": [d for d in days if d.weekday() == 3 and (d - monday).days // 7 % interval == 0],
        "FREQ=WEEKLY;BYDAY=MO,SU": [
            d for d in days if d.weekday() in (0, 6) and (d - monday).days // 7 % interval == 0
        ],
        "FREQ=MONTHLY;BYMONTHDAY=15": [
            d for d in days if d.day == 15 and ((d.year - 2024) * 12 + d.month - 2) % interval == 0
        ],
        "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=1": [
            d for d in days if (d.month, d.day) == (3, 1) and (d.year - 2024) % interval == 0
        ],
    }
    for text, dates in expected.items():
        rule = ms.Rule.parse(f"{text};INTERVAL={interval}")
        assert list(Recurrence(rule=rule, anchor=ANCHOR).dates(year)) == dates, text


def test_a_yearly_rule_without_months_means_every_month():
    days = [day for month in range(1, 13) for day in days_of(2026, month)]
    for text, wanted in (
        ("FREQ=YEARLY;BYDAY=MO", [day for day in days if day.weekday() == 0]),
        ("FREQ=YEARLY;BYMONTHDAY=15", [day for day in days if day.day == 15]),
        ("FREQ=YEARLY;BYMONTHDAY=13;BYDAY=FR", [day for day in days if day.day == 13 and day.weekday() == 4]),
    ):
        assert list(Recurrence(rule=ms.Rule.parse(text), anchor=date(2020, 1, 1)).dates(2026)) == wanted, text


def test_what_a_rule_leaves_open_is_taken_from_its_anchor():
    assert Recurrence(rule=ms.Rule.parse("FREQ=YEARLY"), anchor=date(2026, 5, 17)).dates(2028) == (date(2028, 5, 17),)
    monthly = Recurrence(rule=ms.Rule.parse("FREQ=MONTHLY"), anchor=date(2026, 5, 17)).dates(2028)
    assert monthly == tuple(date(2028, month, 17) for month in range(1, 13))
    in_march = Recurrence(rule=ms.Rule.parse("FREQ=YEARLY;BYMONTH=3"), anchor=date(2026, 5, 17)).dates(2028)
    assert in_march == (date(2028, 3, 17),)


@pytest.mark.parametrize("count", [1, 2, 13, 500])
def test_a_counted_rule_gives_so_many_dates_and_knows_the_last(count):
    rule = ms.Rule.parse(f"FREQ=MONTHLY;BYDAY=1TU;COUNT={count}")
    recurrence = Recurrence(rule=rule, anchor=date(2026, 1, 1))
    dates = [day for year in range(2026, 2201) for day in recurrence.dates(year)]
    assert len(dates) == count
    assert recurrence.last_date == dates[-1]
    assert [day.month for day in dates[:13]] == [*range(1, 13), 1][:count]

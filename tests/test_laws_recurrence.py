"""Laws of recurrence rules: python-dateutil gives the same dates; rules that it would choke on are refused."""

import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import islice

import pytest
from dateutil import rrule
from hypothesis import assume, given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.recurrence import Frequency, Recurrence, Rule, WeekdayNumber
from tests.worlds import examples

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
anchors = st.dates(date(2000, 1, 1), date(2060, 12, 31))


@st.composite
def rules(draw: st.DrawFn, bounded: bool = True) -> Rule:
    """Any rule of the grammar."""
    frequency = draw(st.sampled_from(Frequency))
    by_month = draw(st.sets(st.integers(1, 12), max_size=3))
    ordinals = frequency is Frequency.MONTHLY or (frequency is Frequency.YEARLY and by_month)
    shape = draw(st.sampled_from(["plain", "weekdays", "ordinals" if ordinals else "weekdays", "month days", "both"]))
    weekdays: set[tuple[int | None, int]] = set()
    if shape in ("weekdays", "both"):
        weekdays = {(None, day) for day in draw(st.sets(st.integers(0, 6), min_size=1, max_size=3))}
    elif shape == "ordinals":
        ordinal = st.integers(-5, 5).filter(bool)
        weekdays = draw(st.sets(st.tuples(ordinal, st.integers(0, 6)), min_size=1, max_size=3))
    month_days: set[int] = set()
    if shape in ("month days", "both") and frequency is not Frequency.WEEKLY:
        month_days = draw(st.sets(st.integers(-31, 31).filter(bool), min_size=1, max_size=3))
    bound = draw(st.sampled_from(["none", "until", "count"])) if bounded else "none"
    return Rule(
        frequency=frequency,
        interval=draw(st.integers(1, 12)),
        by_day=tuple(
            WeekdayNumber(weekday=day, ordinal=number)
            for number, day in sorted(weekdays, key=lambda each: (each[0] or 0, each[1]))
        ),
        by_month_day=tuple(sorted(month_days)),
        by_month=tuple(sorted(by_month)),
        until=draw(st.dates(date(2000, 1, 1), date(2110, 12, 31))) if bound == "until" else None,
        count=draw(st.integers(1, 500)) if bound == "count" else None,
    )


def by_dateutil(rule: Rule, anchor: date, count: int) -> list[date]:
    """The first dates of a rule, as dateutil alone gives them; asked for one that is not there, it may walk to 9999."""
    text = str(rule) + ("T000000" if rule.until else "")
    found = rrule.rrulestr(text, dtstart=datetime.combine(anchor, datetime.min.time()))
    return [at.date() for at in islice(found, count)]


def settled(rule: Rule, anchor: date) -> Recurrence:
    """The rule with its anchor; cases without dates are not of interest here."""
    try:
        return Recurrence(rule=rule, anchor=anchor)
    except ms.RuleRefused:
        assume(False)
        raise


@examples(300)
@given(rules(), anchors, st.integers(0, 30))
def test_the_dates_of_a_rule_are_those_that_dateutil_gives(rule, anchor, years):
    recurrence = settled(rule, anchor)
    dates = [day for year in range(anchor.year, anchor.year + years + 1) for day in recurrence.dates(year)]
    later = (day for year in range(anchor.year + years + 1, 2201) for day in recurrence.dates(year))
    dates += islice(later, 1)  # so that one too few in the years before would show
    assert dates == by_dateutil(rule, anchor, len(dates))


@given(rules())
def test_a_rule_is_read_back_as_it_is_written(rule):
    assert Rule.parse(str(rule)) == rule


@given(rules(), anchors)
def test_no_date_lies_before_the_anchor_or_after_the_last_date(rule, anchor):
    recurrence = settled(rule, anchor)
    last = recurrence.last_date
    years = range(2000, 2201) if rule.count else range(anchor.year - 1, anchor.year + 9)
    dates = [day for year in years for day in recurrence.dates(year)]
    assert dates == sorted(set(dates))
    assert all(anchor <= day and (last is None or day <= last) for day in dates)
    assert (last is None) == (rule.until is None and rule.count is None)
    if rule.count:
        endless = Recurrence(rule=replace(rule, count=None), anchor=anchor)
        assert dates == [day for year in years for day in endless.dates(year)][: rule.count]
        assert last == dates[-1]


@given(rules(), anchors)
def test_a_rule_said_to_give_at_most_one_date_a_month_does(rule, anchor):
    assume(rule.at_most_once_a_month)
    recurrence = settled(rule, anchor)
    months = [(day.year, day.month) for year in range(2000, 2101) for day in recurrence.dates(year)]
    assert len(set(months)) == len(months)


@given(rules(), anchors)
def test_a_rule_that_is_accepted_gives_a_date_within_forty_years(rule, anchor):
    recurrence = settled(rule, anchor)
    assert any(recurrence.dates(year) for year in range(anchor.year, anchor.year + 41))


HOSTILE = [
    "FREQ=SECONDLY",
    "FREQ=MINUTELY;INTERVAL=1",
    "FREQ=HOURLY",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31;BYDAY=MO",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=-30",
    "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2",
    "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
    "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;BYMONTH=2,4,6",
    "FREQ=DAILY;COUNT=501",
    "FREQ=DAILY;COUNT=99999999999999999999",
    "FREQ=DAILY;INTERVAL=13",
    "FREQ=DAILY;INTERVAL=0",
    "FREQ=DAILY;INTERVAL=-1",
    "FREQ=YEARLY;BYWEEKNO=53",
    "FREQ=YEARLY;BYYEARDAY=366",
    "FREQ=YEARLY;BYEASTER=0",
    "FREQ=MONTHLY;BYSETPOS=1;BYDAY=TU",
    "FREQ=DAILY;BYHOUR=1,2,3",
    "FREQ=MONTHLY;BYDAY=6TU",
    "FREQ=MONTHLY;BYDAY=53MO",
    "FREQ=MONTHLY;BYDAY=MO,1TU",
    "FREQ=YEARLY;BYDAY=1TU",
    "FREQ=WEEKLY;BYDAY=1TU",
    "FREQ=DAILY;BYDAY=1TU",
    "FREQ=WEEKLY;BYMONTHDAY=1",
    "FREQ=MONTHLY;BYDAY=1TU;BYMONTHDAY=1",
    "FREQ=MONTHLY;BYMONTHDAY=0",
    "FREQ=MONTHLY;BYMONTHDAY=32",
    "FREQ=MONTHLY;BYMONTH=13",
    "FREQ=MONTHLY;BYMONTH=-1",
    "FREQ=DAILY;UNTIL=99991231",
    "FREQ=DAILY;UNTIL=19991231",
    "FREQ=DAILY;UNTIL=20261301",
    "FREQ=DAILY;UNTIL=20260101T000000Z",
    "FREQ=DAILY;UNTIL=20260101;COUNT=2",
    "FREQ=DAILY;FREQ=DAILY",
    "FREQ=DAILY;",
    "INTERVAL=2",
    "",
    "DTSTART:20260101T000000\nRRULE:FREQ=DAILY",
    "freq=daily",
    "FREQ=MONTHLY;BYMONTHDAY=\u0661",
    "FREQ=MONTHLY;BYMONTHDAY= 1",
    "FREQ=DAILY;BYMONTH=" + ",".join(["1"] * 200),
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40] or "nothing")
def test_a_hostile_rule_is_refused_within_100_milliseconds(text):
    anchor = date(2001, 2, 6)  # a Tuesday in February
    rrule.rrule(rrule.DAILY, count=1)  # the import is paid before
    started = time.perf_counter()
    with pytest.raises(ms.RuleRefused):
        Recurrence(rule=Rule.parse(text), anchor=anchor if "BYMONTH=2" not in text else date(2001, 1, 31))
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(
    "text",
    ["FREQ=DAILY;COUNT=500", "FREQ=YEARLY;INTERVAL=12;COUNT=500", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"],
)
def test_the_dearest_rules_of_the_grammar_are_settled_within_a_second(text):
    started = time.perf_counter()
    recurrence = Recurrence(rule=Rule.parse(text), anchor=date(2000, 1, 1))
    assert all(recurrence.dates(year) is not None for year in range(2000, 2101))
    assert time.perf_counter() - started < 1


@given(st.sampled_from(DAYS), st.integers(-5, 5).filter(bool), anchors)
def test_an_nth_weekday_of_every_month_is_found_by_counting_days(name, ordinal, anchor):
    recurrence = settled(Rule.parse(f"FREQ=MONTHLY;BYDAY={ordinal}{name}"), anchor)
    year = anchor.year + 1
    expected = []
    for month in range(1, 13):
        day, days = date(year, month, 1), []
        while day.month == month:
            if DAYS[day.weekday()] == name:
                days.append(day)
            day += timedelta(days=1)
        expected += [days[ordinal - 1 if ordinal > 0 else ordinal]] if abs(ordinal) <= len(days) else []
    assert list(recurrence.dates(year)) == expected

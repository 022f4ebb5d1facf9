"""Recurrence rules: which part of a refused rule is named, and how a rule is written."""

from datetime import date

import pytest

import maintsched as ms
from maintsched.recurrence import Frequency, Recurrence, Rule, WeekdayNumber

PARTS = ("FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "UNTIL", "COUNT")
BOTH = "FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=1TU"


@pytest.mark.parametrize(
    ("text", "expected", "found"),
    [
        ("FREQ=DAILY;BYHOUR=1", f"parts NAME=VALUE with NAME one of {', '.join(PARTS)}", "BYHOUR=1"),
        ("FREQ=DAILY;COUNT", "parts NAME=VALUE", "COUNT"),
        ("FREQ=DAILY;COUNT=1;COUNT=2", "each part once", "COUNT=2"),
        ("COUNT=1", "a part FREQ=", "COUNT=1"),
        ("FREQ=HOURLY", "FREQ one of DAILY, WEEKLY, MONTHLY, YEARLY", "HOURLY"),
        ("FREQ=DAILY;INTERVAL=13", "INTERVAL from 1 to 12, not 0", "INTERVAL=13"),
        ("FREQ=DAILY;COUNT=501", "COUNT from 1 to 500, not 0", "COUNT=501"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH from 1 to 12, not 0", "BYMONTH=13"),
        ("FREQ=DAILY;BYMONTHDAY=-32", "BYMONTHDAY from -31 to 31, not 0", "BYMONTHDAY=-32"),
        ("FREQ=MONTHLY;BYDAY=6TU", "BYDAY with items like TU, 1TU or -1SA", "6TU"),
        ("FREQ=DAILY;UNTIL=2026", "UNTIL as a date YYYYMMDD from 2000 to 2200", "2026"),
        ("FREQ=DAILY;UNTIL=20260101;COUNT=2", "UNTIL or COUNT, not both", "FREQ=DAILY;UNTIL=20260101;COUNT=2"),
        ("FREQ=WEEKLY;BYDAY=1TU", "BYDAY ordinals only with MONTHLY, or YEARLY with BYMONTH", "FREQ=WEEKLY;BYDAY=1TU"),
        ("FREQ=MONTHLY;BYDAY=MO,1TU", "BYDAY with ordinals or without, not both", "FREQ=MONTHLY;BYDAY=MO,1TU"),
        ("BYDAY=1TU;BYMONTHDAY=1;FREQ=MONTHLY", "BYDAY with ordinals or BYMONTHDAY, not both", BOTH),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "no BYMONTHDAY in a WEEKLY rule", "FREQ=WEEKLY;BYMONTHDAY=1"),
        ("X" * 201, "at most 200 ASCII characters", "X" * 201),
        ("FREQ=DAILÝ", "at most 200 ASCII characters", "FREQ=DAILÝ"),
    ],
    ids=lambda text: text[:50],
)  # fmt: skip
def test_a_refused_rule_names_the_part_that_is_outside_the_grammar(text, expected, found):
    with pytest.raises(ms.RuleRefused) as refused:
        Rule.parse(text)
    assert refused.value.what == "rule"
    assert refused.value.expected.startswith(expected)
    assert refused.value.found == found


def test_the_bounds_of_the_grammar_are_held():
    rule = Rule.parse("FREQ=DAILY;INTERVAL=12;BYMONTHDAY=-31,31;BYMONTH=1,12;COUNT=500")
    assert (rule.interval, rule.by_month_day, rule.by_month, rule.count) == (12, (-31, 31), (1, 12), 500)
    assert Rule.parse("FREQ=MONTHLY;BYDAY=-5MO,5SU").by_day == (
        WeekdayNumber(weekday=0, ordinal=-5),
        WeekdayNumber(weekday=6, ordinal=5),
    )
    for text in ("20000101", "22001231"):
        assert str(Rule.parse(f"FREQ=DAILY;UNTIL={text}")).endswith(f"UNTIL={text}")
    assert Rule.parse("FREQ=DAILY" + ";BYMONTH=" + ",".join(["1"] * 90)).by_month == (1,)


def test_a_rule_is_written_with_its_parts_in_a_fixed_order():
    text = "COUNT=3;BYDAY=TH,MO;BYMONTH=5,2;INTERVAL=2;FREQ=WEEKLY"
    assert str(Rule.parse(text)) == "FREQ=WEEKLY;INTERVAL=2;BYMONTH=2,5;BYDAY=MO,TH;COUNT=3"
    assert str(Rule(frequency=Frequency.DAILY)) == "FREQ=DAILY"
    assert str(WeekdayNumber(weekday=1, ordinal=-1)) == "-1TU"


@pytest.mark.parametrize(
    ("text", "once"),
    [
        ("FREQ=MONTHLY;BYDAY=1TU", True),
        ("FREQ=MONTHLY;BYDAY=2SA,4SA", False),
        ("FREQ=MONTHLY;BYDAY=TU", False),
        ("FREQ=MONTHLY;BYMONTHDAY=15", True),
        ("FREQ=MONTHLY;BYMONTHDAY=1,15", False),
        ("FREQ=MONTHLY", True),
        ("FREQ=YEARLY", True),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=1TU", True),
        ("FREQ=WEEKLY;INTERVAL=12", False),
        ("FREQ=DAILY;BYMONTHDAY=1", False),
    ],
)
def test_ids_need_a_day_exactly_where_a_month_may_have_two_windows(text, once):
    assert Rule.parse(text).at_most_once_a_month is once


def test_a_rule_without_dates_is_refused_with_its_anchor():
    with pytest.raises(ms.RuleRefused) as refused:
        Recurrence(rule=Rule.parse("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), anchor=date(2026, 1, 1))
    assert refused.value.expected == "a rule that gives a date within 40 years of 2026-01-01"
    assert refused.value.found == "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"
    with pytest.raises(ms.RuleRefused):
        Recurrence(rule=Rule.parse("FREQ=DAILY;UNTIL=20251231"), anchor=date(2026, 1, 1))
    with pytest.raises(ms.RuleRefused):
        Recurrence(
            rule=Rule.parse("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;INTERVAL=3;UNTIL=20270101"), anchor=date(2026, 1, 1)
        )
    leap = Recurrence(rule=Rule.parse("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"), anchor=date(2000, 3, 1))
    assert leap.dates(2004) == (date(2004, 2, 29),)


@pytest.mark.parametrize("weekday", ["MO", "TU", "WE", "TH", "FR", "SA", "SU"])
def test_a_forty_year_wait_is_not_too_long(weekday):
    rule = Rule.parse(f"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY={weekday}")
    for year in range(2060, 2100):  # 2100 is no leap year
        anchor = date(year, 3, 1)
        assert any(Recurrence(rule=rule, anchor=anchor).dates(year + wait) for wait in range(41))


def test_no_date_lies_after_the_year_2200():
    recurrence = Recurrence(rule=Rule.parse("FREQ=YEARLY;INTERVAL=12;COUNT=500"), anchor=date(2000, 1, 1))
    assert recurrence.last_date == date(2192, 1, 1)
    assert Recurrence(rule=Rule.parse("FREQ=DAILY"), anchor=date(2199, 1, 1)).dates(2201) == ()

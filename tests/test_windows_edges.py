"""Windows where their questions have an edge: the turn of a year, the very start of a window, a refused override."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

import maintsched as ms
from maintsched.terms import WindowOverride
from maintsched.windows import check_overrides, windows_of
from tests.worlds import BERLIN, TICK, contract


def test_the_last_window_is_sought_in_the_year_of_the_contract_s_zone():
    zone = ZoneInfo("Pacific/Kiritimati")
    terms = contract(zone=zone.key, monthly={"rule": "FREQ=MONTHLY;BYMONTHDAY=1", "time": "00:00:00"})
    new_year = datetime(2027, 1, 1, tzinfo=zone)  # the first of all zones: everywhere else it is still 2026
    assert ms.last_window(terms, new_year.astimezone(UTC) + TICK).start == new_year


def test_the_next_window_is_sought_in_the_year_of_the_contract_s_zone():
    terms = contract(monthly={"rule": "FREQ=MONTHLY;BYMONTHDAY=31"})
    noon = datetime(2026, 12, 31, 12, tzinfo=UTC)  # in New Zealand the new year has begun
    assert ms.next_window(terms, noon).id == "monthly/2026-12"
    assert [each.id for each in ms.monthly_windows(terms, noon, noon + timedelta(days=1))] == ["monthly/2026-12"]


def test_the_windows_up_to_the_end_of_the_last_known_year_ask_for_no_holidays_after_it():
    since, until = datetime(2100, 12, 1, tzinfo=BERLIN), datetime(2101, 1, 1, tzinfo=BERLIN)
    assert [each.id for each in ms.monthly_windows(contract(), since, until)] == ["monthly/2100-12"]
    with pytest.raises(ms.HolidaysUnknown):
        list(ms.monthly_windows(contract(), since, until + TICK))


def test_the_last_known_year_has_all_its_windows_where_holidays_move_them():
    terms = contract(monthly={"on_holiday": "next_week"})
    since, until = datetime(2100, 1, 1, tzinfo=BERLIN), datetime(2101, 1, 1, tzinfo=BERLIN)
    assert len(list(ms.monthly_windows(terms, since, until))) == 12


def test_a_window_moved_off_a_holiday_over_new_year_is_found_in_the_year_it_starts_in():
    terms = contract(monthly={"rule": "FREQ=MONTHLY;BYMONTHDAY=26", "on_holiday": "next_week"})
    new_year = datetime(2027, 1, 1, tzinfo=BERLIN)
    moved = ms.next_window(terms, new_year)
    assert (moved.id, moved.start) == ("monthly/2026-12", datetime(2027, 1, 2, 17, tzinfo=BERLIN))
    assert ms.last_window(terms, new_year).id == "monthly/2026-11"


def test_a_rule_that_ends_before_the_last_known_holidays_has_no_window_after_it_rather_than_unknown_holidays():
    terms = contract(monthly={"rule": "FREQ=MONTHLY;BYDAY=1TU;UNTIL=20991231"})
    with pytest.raises(ms.NoWindow):
        ms.next_window(terms, datetime(2100, 1, 1, tzinfo=UTC))


def test_a_moved_window_that_starts_at_the_instant_asked_for_is_still_to_come():
    start = datetime(2027, 4, 8, 15, tzinfo=UTC)
    moved = ms.DeclaredWindow(
        key="2027-04", kind=ms.WindowKind.MONTHLY, start=start, duration=ms.Elapsed(hours=4), reason="fair"
    )
    facts = ms.Facts(windows=(moved,))
    assert next(windows_of(contract(), facts, "a1", start)).id == "monthly/2027-04"
    assert next(windows_of(contract(), facts, "a1", start + TICK)).id == "monthly/2027-05"


def test_an_override_that_leaves_the_calendar_is_refused_for_its_start():
    override = WindowOverride(window="monthly/2026-12", reason="r", start=datetime(2201, 1, 1, tzinfo=UTC))
    terms = replace(contract(), monthly=replace(contract().monthly, override=(override,)))
    with pytest.raises(ms.OutOfRange) as refused:
        check_overrides(terms)
    assert refused.value.what == "start"

"""Windows: what they say about themselves, overrides, and where a rule begins and ends."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import maintsched as ms
from maintsched.terms import WindowOverride
from maintsched.windows import check_overrides, declared_window, schedule
from tests.worlds import BERLIN, contract, local

YEAR_2026 = (datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2027, 1, 1, tzinfo=BERLIN))


def overridden(**fields: Any) -> ms.Contract:
    return ms.load_contract(overrides={"monthly": {"override": [{"reason": "fair week", **fields}]}})


def window(terms: ms.Contract, window_id: str) -> ms.Window:
    found = schedule(terms).window(window_id)
    assert found is not None
    return found


def test_a_window_says_by_which_rule_and_reading_it_starts_when_it_does():
    explained = window(contract(), "monthly/2030-01").explained
    assert explained.at == local("2030-01-01T17:00")
    assert (explained.clause, explained.reading) == ("2.4.3.1", "monthly.on_holiday = keep")
    assert dict(explained.facts) == {
        "rule": "FREQ=MONTHLY;BYDAY=1TU",
        "time": "17:00 Europe/Berlin",
        "duration": "4 h",
        "holiday": "Neujahr",
    }
    assert dict(window(contract(), "monthly/2026-12").explained.facts)["holiday"] == "none"


def test_a_window_moved_off_a_holiday_says_from_where():
    moved = window(contract(monthly={"on_holiday": "next_week"}), "monthly/2030-01")
    assert dict(moved.explained.facts)["moved from"] == "2030-01-01"
    assert moved.explained.reading == "monthly.on_holiday = next_week"
    assert moved.start == local("2030-01-08T17:00")


def test_a_window_in_a_clock_change_says_which_candidate_it_is():
    sunday = {"rule": "FREQ=MONTHLY;BYDAY=-1SU", "time": "02:30:00"}
    gap = window(contract(monthly=sunday), "monthly/2026-03")
    assert dict(gap.explained.facts)["clock gap"] == "the earlier candidate"
    assert gap.start.isoformat() == "2026-03-29T01:30:00+01:00"
    later = window(contract(monthly=sunday, clock_change="later"), "monthly/2026-03")
    assert later.start.isoformat() == "2026-03-29T03:30:00+02:00"
    fold = window(contract(monthly=sunday), "monthly/2026-10")
    assert dict(fold.explained.facts)["clock fold"] == "the earlier candidate"
    assert fold.start.isoformat() == "2026-10-25T02:30:00+02:00"
    assert fold.end.isoformat() == "2026-10-25T05:30:00+01:00"


def test_an_override_moves_lengthens_and_keeps_the_id():
    moved = window(
        overridden(window="monthly/2026-12", start="2026-12-08T18:00:00+01:00", duration="2 h"), "monthly/2026-12"
    )
    assert moved.start == local("2026-12-08T18:00")
    assert moved.end == local("2026-12-08T20:00")
    assert moved.explained.facts == (
        ("rule", "FREQ=MONTHLY;BYDAY=1TU"),
        ("time", "17:00 Europe/Berlin"),
        ("duration", "2 h"),
        ("override", "fair week"),
        ("holiday", "none"),
    )
    longer = window(overridden(window="monthly/2026-12", duration="6 h"), "monthly/2026-12")
    assert (longer.start, longer.end) == (local("2026-12-01T17:00"), local("2026-12-01T23:00"))


def test_an_override_may_read_the_holiday_another_way_for_one_window():
    terms = overridden(window="monthly/2030-01", on_holiday="next_working_day")
    moved = window(terms, "monthly/2030-01")
    assert moved.start == local("2030-01-02T17:00")
    assert moved.explained.reading == "monthly.on_holiday = next_working_day"


def test_a_skipped_window_is_not_there():
    terms = overridden(window="monthly/2026-12", skip=True)
    assert schedule(terms).window("monthly/2026-12") is None
    assert len(list(ms.monthly_windows(terms, *YEAR_2026))) == 11
    assert ms.next_window(terms, local("2026-12-01T00:00")).id == "monthly/2027-01"


def test_a_window_moved_into_another_year_is_found_in_that_year():
    terms = overridden(window="monthly/2027-01", start="2026-12-30T17:00:00+01:00")
    assert [each.id for each in ms.monthly_windows(terms, *YEAR_2026)][-1] == "monthly/2027-01"
    assert ms.next_window(terms, local("2026-12-30T17:00")).id == "monthly/2027-01"
    assert ms.last_window(terms, local("2027-01-01T00:00")).id == "monthly/2027-01"
    assert next(ms.monthly_windows(terms, YEAR_2026[1], local("2028-01-01T00:00"))).id == "monthly/2027-02"


def test_the_first_window_of_a_rule_may_be_moved_into_the_year_before_it():
    terms = ms.load_contract(
        overrides={
            "monthly": {
                "anchor": "2026-01-01",
                "override": [{"window": "monthly/2026-01", "reason": "early", "start": "2025-12-20T17:00:00+01:00"}],
            }
        }
    )
    assert ms.last_window(terms, local("2026-01-01T00:00")).id == "monthly/2026-01"
    assert ms.next_window(terms, local("2025-01-01T00:00")).id == "monthly/2026-01"


@pytest.mark.parametrize("days", [62, -62])
def test_an_override_reaches_sixty_two_days_and_no_further(days):
    start = local("2026-12-01T17:00").astimezone(UTC) + timedelta(days=days)
    terms = overridden(window="monthly/2026-12", start=start.isoformat())
    assert window(terms, "monthly/2026-12").start == start
    beyond = start + timedelta(seconds=1 if days > 0 else -1)
    with pytest.raises(ms.MaintschedError, match="within 62 days of 2026-12-01T17:00:00"):
        overridden(window="monthly/2026-12", start=beyond.isoformat())


@pytest.mark.parametrize(
    "name", ["monthly/2026-13", "2026-12", "monthly/1999-12", "monthly/2026-12-01", "critical/x", ""]
)
def test_an_override_that_names_no_window_of_the_rule_is_refused(name):
    assert schedule(contract()).window(name) is None
    with pytest.raises(ms.MaintschedError, match="expected the id of a window of the rule"):
        overridden(window=name, skip=True)


def test_a_refused_override_is_named_by_its_place():
    good = WindowOverride(window="monthly/2026-12", reason="fair week", skip=True)

    def with_overrides(*overrides: WindowOverride) -> ms.Contract:
        return replace(contract(), monthly=replace(contract().monthly, override=overrides))

    check_overrides(with_overrides(good))
    with pytest.raises(ms.InvalidValue) as unknown:
        check_overrides(with_overrides(good, replace(good, window="monthly/1990-12")))
    assert (unknown.value.what, unknown.value.found) == ("override", "monthly/1990-12")
    assert unknown.value.field == "monthly.override.1.window"
    far = WindowOverride(window="monthly/2027-12", reason="r", start=datetime(2028, 12, 1, tzinfo=UTC))
    with pytest.raises(ms.InvalidValue) as too_far:
        check_overrides(with_overrides(good, far))
    assert (too_far.value.what, too_far.value.found) == ("override", "2028-12-01T01:00:00+01:00")
    assert too_far.value.field == "monthly.override.1.start"


def test_a_rule_with_an_end_gives_no_window_after_it_and_says_so():
    terms = contract(monthly={"rule": "FREQ=MONTHLY;BYDAY=1TU;UNTIL=20261231"})
    last = ms.next_window(terms, local("2026-12-01T17:00"))
    assert last.id == "monthly/2026-12"
    with pytest.raises(ms.NoWindow, match="of intrexx-paas gives no window at or after 2026-12-02"):
        ms.next_window(terms, local("2026-12-02T00:00"))
    assert ms.last_window(terms, local("2090-01-01T00:00")) == last
    assert list(ms.monthly_windows(terms, local("2027-01-01T00:00"), local("2028-01-01T00:00"))) == []


def test_a_rule_gives_no_window_before_its_anchor_and_says_so():
    terms = contract(monthly={"anchor": "2026-06-01"})
    assert ms.next_window(terms, local("2020-01-01T00:00")).id == "monthly/2026-06"
    with pytest.raises(ms.NoWindow, match="gives no window before 2026-06-02T17:00:00"):
        ms.last_window(terms, local("2026-06-02T17:00"))
    with pytest.raises(ms.NoWindow):
        ms.last_window(terms, local("2001-01-01T00:00"))


def test_a_counted_rule_ends_with_its_last_window():
    terms = contract(monthly={"rule": "FREQ=MONTHLY;BYDAY=1TU;COUNT=3", "anchor": "2026-11-01"})
    found = list(ms.monthly_windows(terms, local("2020-01-01T00:00"), local("2050-01-01T00:00")))
    assert [each.id for each in found] == ["monthly/2026-11", "monthly/2026-12", "monthly/2027-01"]


@pytest.mark.parametrize(
    ("kind", "clause"), [("monthly", "2.4.3.1"), ("critical", "2.4.3.2"), ("emergency", "2.4.3.3")]
)
def test_a_declared_window_stands_under_the_clause_of_its_kind_in_the_zone_of_the_contract(kind, clause):
    entered = ms.DeclaredWindow(
        key="k",
        kind=ms.WindowKind(kind),
        start=datetime(2026, 12, 24, 16, tzinfo=UTC),
        duration=ms.Elapsed(hours=2),
        reason="storage move",
    )
    made = declared_window(contract(), entered)
    assert (made.id, made.clause, made.kind) == (f"{kind}/k", clause, kind)
    assert made.start.isoformat() == "2026-12-24T17:00:00+01:00"
    assert made.end.isoformat() == "2026-12-24T19:00:00+01:00"
    assert made.explained.reading == "declared"
    assert dict(made.explained.facts) == {"reason": "storage move", "holiday": "none"}


def test_the_year_2000_and_the_year_2100_have_all_their_windows():
    for year in (2000, 2100):
        found = list(ms.monthly_windows(contract(), local(f"{year}-01-01T00:00"), local(f"{year}-12-31T00:00")))
        assert len(found) == 12
    assert ms.last_window(contract(), local("2000-01-05T00:00")).id == "monthly/2000-01"
    assert window(contract(), "monthly/2000-01").start == local("2000-01-04T17:00")
    assert window(contract(), "monthly/2100-12").start == local("2100-12-07T17:00")
    with pytest.raises(ms.NoWindow):
        ms.last_window(contract(), local("2000-01-01T00:00"))
    with pytest.raises(ms.HolidaysUnknown):
        ms.next_window(contract(), local("2100-12-31T00:00"))


def test_a_span_that_runs_backwards_or_is_empty_has_no_windows():
    at = local("2026-12-01T17:00")
    assert list(ms.monthly_windows(contract(), at, at)) == []
    assert list(ms.monthly_windows(contract(), at + timedelta(days=90), at)) == []

"""Availability: the words and edges that no law pins."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

import maintsched as ms
from tests.worlds import SECOND, contract, local

START = local("2026-05-12T10:00")


def work(**fields: object) -> ms.Maintenance:
    planned = ms.Maintenance(start=START, end=START + 60 * SECOND, announced_at=START - timedelta(days=9))
    return replace(planned, **fields)  # type: ignore[arg-type]  # the tests pass fields of Maintenance


def test_an_availability_says_month_clause_and_reading():
    found = ms.availability(contract(), "2026-05", [], [])
    assert (found.month, found.clause) == ("2026-05", "2.4.5")
    assert found.reading.startswith("availability.late_maintenance = counts_in_full, availability.base = deducted, ")
    assert found.reading.endswith(", availability.clause_6_6 = counts")
    assert found.percent == Decimal("100.000000")
    assert found.allowed_seconds == Fraction(5, 1000) * 31 * 86400 == found.budget_left_seconds


def test_a_refused_month_is_shown():
    with pytest.raises(ms.InvalidValue) as refused:
        ms.month_span(contract(), "2026-13")
    assert (refused.value.what, refused.value.found) == ("month", "2026-13")


def test_work_that_starts_on_time_counts_no_part_of_a_second():
    half = timedelta(milliseconds=500)
    on_time = work(start=START + half, started_at=START + half)
    found = ms.availability(contract(), "2026-05", [], [on_time])
    assert (found.deducted_seconds, found.counted_seconds) == (59, 0)
    ended_on_time = work(end=START + 60 * SECOND + half, completed_at=START + 60 * SECOND + half)
    assert ms.availability(contract(), "2026-05", [], [ended_on_time]).counted_seconds == 0


def test_work_that_starts_early_or_runs_over_counts_outside_the_announced_time():
    early = work(started_at=START - 10 * SECOND, completed_at=START + 75 * SECOND)
    found = ms.availability(contract(), "2026-05", [], [early])
    assert (found.deducted_seconds, found.counted_seconds) == (60, 25)
    lenient = contract(availability={"late_maintenance": "outages_only"})
    assert ms.availability(lenient, "2026-05", [], [early]).counted_seconds == 25
    late = replace(early, announced_at=None)
    assert ms.availability(lenient, "2026-05", [], [late]).counted_seconds == 0
    assert ms.availability(contract(), "2026-05", [], [late]).counted_seconds == 85


def test_times_in_two_zones_are_compared_on_the_utc_time_line():
    fold = local("2026-10-25T02:30")  # the first 02:30 of the two
    second = fold.replace(fold=1)
    late = ms.Maintenance(start=second, end=second, announced_at=None, started_at=fold)
    assert ms.availability(contract(), "2026-10", [], [late]).counted_seconds == 3600
    over = ms.Maintenance(start=fold, end=fold, announced_at=None, completed_at=second)
    assert ms.availability(contract(), "2026-10", [], [over]).counted_seconds == 3600
    announced = fold - timedelta(days=9)
    planned = ms.Maintenance(start=fold, end=second, announced_at=announced, started_at=second)
    assert ms.availability(contract(), "2026-10", [], [planned]).deducted_seconds == 0
    early = ms.Maintenance(start=fold, end=second, announced_at=announced, completed_at=fold)
    assert ms.availability(contract(), "2026-10", [], [early]).deducted_seconds == 0


def test_a_month_of_maintenance_alone_has_no_percentage_and_is_met():
    span = ms.month_span(contract(), "2026-05")
    all_of_it = ms.Maintenance(start=span.start, end=span.end, announced_at=span.start - timedelta(days=4))
    found = ms.availability(contract(), "2026-05", [ms.Outage(start=span.start, end=span.end)], [all_of_it])
    assert (found.base_seconds, found.counted_seconds, found.percent, found.met) == (0, 0, None, True)

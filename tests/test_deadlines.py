"""Deadlines: the reading each used, what each says about itself, and what is refused."""

from datetime import date, timedelta

import pytest

import maintsched as ms
from maintsched.deadlines import notice_deadline, shortfall
from tests.worlds import SECOND, TICK, contract, local

START = local("2026-12-01T17:00")


def test_a_reminder_deadline_explains_itself():
    explained = ms.explain_reminder_deadline(contract(), START)
    assert explained.at == local("2026-11-24T00:00")
    assert (explained.clause, explained.reading, explained.exclusive) == ("2.4.3.1", "full_days", True)
    assert explained.facts == (("start", "2026-12-01T17:00:00+01:00"), ("reminder", "7 days ahead"))
    assert str(explained).splitlines() == [
        "before 2026-11-24T00:00:00+01:00",
        "clause 2.4.3.1, reading full_days",
        "  start: 2026-12-01T17:00:00+01:00",
        "  reminder: 7 days ahead",
    ]
    inclusive = ms.explain_reminder_deadline(contract(), START, "wall_clock")
    assert str(inclusive).startswith("at or before 2026-11-24T17:00:00+01:00\n")


def test_full_days_is_inclusive_where_another_reading_is_stricter():
    start = local("2026-04-05T00:30")  # the clocks went forward on 29 March: 168 hours before is 23:30 of the 28th
    explained = ms.explain_reminder_deadline(contract(), start)
    assert explained.at.isoformat() == "2026-03-28T23:30:00+01:00"
    assert explained.exclusive is False


def test_a_reminder_seven_days_before_by_the_wall_clock_may_fall_into_a_gap():
    start = local("2026-04-05T02:30")
    assert ms.reminder_deadline(contract(), start, "wall_clock").isoformat() == "2026-03-29T01:30:00+01:00"
    later = contract(clock_change="later")
    assert ms.reminder_deadline(later, start, "wall_clock").isoformat() == "2026-03-29T03:30:00+02:00"


def test_the_terms_choose_the_reading_and_the_number_of_days():
    terms = contract(monthly={"reminder": "14 days", "reminder_reading": "wall_clock"})
    assert ms.reminder_deadline(terms, START) == local("2026-11-17T17:00")
    assert ms.reminder_deadline(terms, START, "full_days") == local("2026-11-17T00:00")


def test_an_unknown_reading_is_refused_with_those_there_are():
    with pytest.raises(ms.InvalidValue, match=r'reading: expected one of full_days, elapsed, wall_clock, got "days"'):
        ms.reminder_deadline(contract(), START, "days")


@pytest.mark.parametrize(
    ("kind", "deadline", "clause", "reading"),
    [
        ("monthly", "2026-11-24T00:00", "2.4.3.1", "full_days"),
        ("critical", "2026-11-28T17:00", "2.4.3.2", "elapsed"),
        ("emergency", "2026-11-30T17:00", "2.4.3.3", "where practicable"),
    ],
)
def test_each_kind_of_window_has_its_own_notice_deadline(kind, deadline, clause, reading):
    due = notice_deadline(contract(), ms.WindowKind(kind), START)
    assert due.at == local(deadline)
    assert (due.clause, due.reading) == (clause, reading)
    lead = {"monthly": ("reminder", "7 days ahead"), "critical": ("lead", "72 h"), "emergency": ("lead", "24 h")}[kind]
    assert due.facts == (("start", START.isoformat()), lead)


@pytest.mark.parametrize("kind", ms.WindowKind)
def test_a_start_without_offset_is_refused_for_each_kind_of_window(kind):
    with pytest.raises(ms.NaiveDatetime) as refused:
        notice_deadline(contract(), kind, START.replace(tzinfo=None))
    assert refused.value.what == "start"


def test_an_earliest_start_explains_itself():
    explained = ms.explain_earliest_start(contract(), local("2026-10-23T18:00"))
    assert explained.at.isoformat() == "2026-10-26T17:00:00+01:00"
    assert (explained.clause, explained.reading, explained.exclusive) == ("2.4.3.2", "elapsed", False)
    assert explained.facts == (("announced", "2026-10-23T18:00:00+02:00"), ("critical.lead", "72 h"))


def test_an_offered_start_allows_for_hold_and_delivery():
    assert ms.offered_start(contract(), local("2026-12-01T08:01")) == local("2026-12-04T10:15")
    assert ms.offered_start(contract(), local("2026-12-01T08:00")) == local("2026-12-04T10:00")
    generic = contract("generic-weekly")  # 48 h, 1 h for delivery, 30 min hold
    assert ms.offered_start(generic, local("2026-12-01T08:01")) == local("2026-12-03T09:45")


def test_an_offered_start_explains_itself():
    explained = ms.explain_offered_start(contract("generic-weekly"), local("2026-12-01T08:01"))
    assert explained.at.isoformat() == "2026-12-03T08:45:00+00:00"
    assert (explained.clause, explained.reading) == ("S2.2", "elapsed, rounded up")
    assert explained.facts == (
        ("now", "2026-12-01T08:01:00+01:00"),
        ("critical.lead", "48 h"),
        ("notice.hold", "30 min"),
        ("notice.delivery_margin", "1 h"),
    )


def test_a_time_to_send_explains_itself():
    explained = ms.explain_send_at(contract(), local("2026-11-24T00:00"))
    assert explained.at == local("2026-11-20T09:00")
    assert (explained.clause, explained.exclusive) == ("2.4.3", False)
    assert explained.reading == "the last opening of support at or before deadline - notice.margin"
    assert explained.facts == (("deadline", "2026-11-24T00:00:00+01:00"), ("notice.margin", "24 h"))


@pytest.mark.parametrize("choice", ["earlier", "later"])
def test_a_day_whose_midnight_is_skipped_begins_with_the_clock_change(choice):
    deadline = "2017-10-01T01:00:00-03:00"
    terms = contract(zone="America/Asuncion", clock_change=choice)  # 1 October 2017 begins at 01:00
    assert ms.reminder_deadline(terms, local("2017-10-08T17:00", terms.zone)).isoformat() == deadline
    assert ms.handover_due(terms, date(2017, 9, 2)).isoformat() == deadline
    assert ms.provisioning_due(terms, local("2017-09-29T12:00", terms.zone)).isoformat() == deadline
    assert ms.month_span(terms, "2017-10").start.isoformat() == deadline
    assert ms.month_span(terms, "2017-09").end.isoformat() == deadline


def test_a_deferral_limit_explains_itself():
    explained = ms.explain_deferral_limit(contract(), local("2026-08-31T17:00"))
    assert explained.at == local("2027-02-28T17:00")
    assert (explained.clause, explained.reading) == ("2.4.4", "same wall clock time")
    assert explained.facts == (
        ("start", "2026-08-31T17:00:00+02:00"), ("deferral.max", "6 months"), ("clock", "ordinary")
    )  # fmt: skip
    gap = ms.explain_deferral_limit(contract(), local("2025-09-29T02:30"))
    assert gap.at.isoformat() == "2026-03-29T01:30:00+01:00"
    assert gap.facts[-1] == ("clock", "gap")
    later = contract(clock_change="later")
    assert ms.deferral_limit(later, local("2025-09-29T02:30")).isoformat() == "2026-03-29T03:30:00+02:00"


def test_a_notice_goes_out_when_support_opens_and_at_least_the_margin_before_its_deadline():
    assert ms.send_at(contract(), local("2026-11-24T00:00")) == local("2026-11-20T09:00")
    assert ms.send_at(contract(), local("2026-11-24T09:00")) == local("2026-11-23T09:00")
    assert ms.send_at(contract(), local("2026-11-24T09:00") - TICK) == local("2026-11-20T09:00")
    assert ms.send_at(contract(), local("2027-01-03T09:00")) == local("2026-12-31T09:00")
    assert ms.send_at(contract(), local("2027-01-01T10:00")) == local("2026-12-31T09:00")


@pytest.mark.parametrize(("late", "missing"), [(timedelta(0), 0), (TICK, 1), (SECOND, 1), (SECOND + TICK, 2)])
def test_a_shortfall_is_rounded_up_to_whole_seconds(late, missing):
    announced_at = START - timedelta(hours=72) + late
    assert shortfall(contract(), START, announced_at) == missing * SECOND
    assert str(shortfall(contract(), START, START)) == "72 h"
    assert shortfall(contract(), START, START - timedelta(days=30)) == timedelta(0)

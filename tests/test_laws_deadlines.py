"""Laws of notice deadlines, classification and deferral limits (clauses 2.4.3 and 2.4.4)."""

from calendar import monthrange
from datetime import UTC, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.deadlines import notice_deadline, shortfall
from maintsched.support import support_hours
from tests.worlds import BERLIN, TICK, ZONES, builtin_contracts, contract, contracts, instants, utc

READINGS = ("full_days", "elapsed", "wall_clock")
reading = st.sampled_from(READINGS)
gaps = st.timedeltas(timedelta(0), timedelta(days=200))


@given(contracts(), instants())
def test_the_default_reminder_deadline_is_after_no_other_reading(terms, start):
    strictest, *others = (utc(ms.reminder_deadline(terms, start, each)) for each in READINGS)
    assert all(strictest <= other for other in others)
    days = terms.monthly.reminder.days
    assert others[0] == utc(start) - timedelta(days=days)
    midnight = datetime.combine(start.astimezone(terms.zone).date() - timedelta(days=days), time(), tzinfo=terms.zone)
    assert strictest <= utc(midnight)


@given(instants())
def test_between_announcing_before_the_deadline_and_the_window_lie_seven_whole_days(start):
    deadline = ms.reminder_deadline(contract(), start) - TICK
    assert (start.astimezone(BERLIN).date() - deadline.astimezone(BERLIN).date()).days >= 8


@given(contracts(), instants(), gaps, reading)
def test_a_later_start_never_has_an_earlier_reminder_deadline(terms, start, gap, chosen):
    later = utc(start) + gap
    first, second = (ms.reminder_deadline(terms, each, chosen) for each in (start, later))
    walls = [each.astimezone(terms.zone).replace(tzinfo=None) for each in (start, later)]
    if chosen != "wall_clock" or walls[0] <= walls[1]:  # where clocks go back, the wall clock itself does
        assert utc(first) <= utc(second)


@given(builtin_contracts, instants(), st.timedeltas(timedelta(days=-6), timedelta(days=6)))
def test_planned_is_exactly_what_was_announced_the_lead_ahead_to_the_microsecond(terms, start, offset):
    lead = terms.critical.lead
    for announced_at in (utc(start) - lead + offset, utc(start) - lead, utc(start) - lead + TICK):
        planned = utc(start) - announced_at >= lead
        assert (ms.classify(terms, start, announced_at) == "planned") is planned
        assert (shortfall(terms, start, announced_at) == timedelta(0)) is planned
    assert ms.classify(terms, start, None) == "unplanned"


@given(instants(), instants(), st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_the_zones_that_instants_are_written_in_change_nothing(start, announced_at, one, other):
    terms = contract()
    assert ms.classify(terms, start, announced_at) == ms.classify(
        terms, start.astimezone(one), announced_at.astimezone(other)
    )
    assert utc(ms.reminder_deadline(terms, start)) == utc(ms.reminder_deadline(terms, start.astimezone(other)))
    assert utc(ms.deferral_limit(terms, start)) == utc(ms.deferral_limit(terms, start.astimezone(one)))


@given(builtin_contracts, instants())
def test_the_earliest_start_is_the_boundary_between_planned_and_unplanned(terms, announced_at):
    first = ms.earliest_start(terms, announced_at)
    assert first.tzinfo == terms.zone
    assert ms.classify(terms, first, announced_at) == "planned"
    assert ms.classify(terms, utc(first) - TICK, announced_at) == "unplanned"
    assert ms.explain_earliest_start(terms, announced_at).at == first


@given(builtin_contracts, instants(), st.sampled_from([timedelta(minutes=15), timedelta(hours=7), timedelta(days=1)]))
def test_an_offered_start_is_rounded_up_and_still_planned_after_every_allowance(terms, now, step):
    offered = utc(ms.offered_start(terms, now, step))
    needed = utc(ms.earliest_start(terms, now)) + terms.notice.hold + terms.notice.delivery_margin
    assert needed <= offered < needed + step
    assert (offered - datetime(2000, 1, 1, tzinfo=UTC)) % step == timedelta(0)
    assert ms.offered_start(terms, now).tzinfo == terms.zone
    assert ms.offered_start(terms, now, timedelta(minutes=15)) == ms.offered_start(terms, now)


@given(builtin_contracts, instants(), st.sampled_from(ms.WindowKind))
def test_a_notice_is_planned_in_support_hours_and_with_its_margin_before_its_deadline(terms, start, kind):
    due = notice_deadline(terms, kind, start)
    send_at = ms.send_at(terms, due.at)
    assert utc(send_at) <= utc(due.at) - terms.notice.margin
    assert send_at.tzinfo == terms.zone
    hours = support_hours(terms)
    assert hours.is_open(send_at)
    assert not hours.is_open(utc(send_at) - TICK)
    next_opening = hours.due(utc(send_at) + timedelta(hours=15), TICK) - TICK  # no day is open for longer
    assert next_opening > utc(due.at) - terms.notice.margin


@given(instants())
def test_a_deferral_is_never_longer_than_six_calendar_months(start):
    limit = ms.deferral_limit(contract(), start)
    wall, end = start.astimezone(BERLIN), limit.astimezone(BERLIN)
    assert (end.year * 12 + end.month) - (wall.year * 12 + wall.month) == 6
    last_day = monthrange(end.year, end.month)[1]
    assert end.day == min(wall.day, last_day)
    assert end.time() <= wall.time()
    assert (
        end.time() == wall.time() or end.utcoffset() != (utc(end) + timedelta(hours=2)).astimezone(BERLIN).utcoffset()
    )


@given(instants(), st.integers(0, 400))
def test_a_deferral_that_starts_on_a_later_day_never_ends_earlier(start, days):
    wall = start.astimezone(BERLIN).replace(fold=0)
    later = wall + timedelta(days=days)
    assert utc(ms.deferral_limit(contract(), wall)) <= utc(ms.deferral_limit(contract(), later))


@given(instants())
def test_a_limit_in_days_is_the_same_wall_clock_time_so_many_days_on(start):
    terms = contract("generic-weekly")
    assert utc(ms.deferral_limit(terms, start)) == utc(start) + timedelta(days=90)  # UTC has no clock changes


@given(contracts(), instants())
def test_a_deadline_and_its_explanation_are_one(terms, start):
    assert ms.explain_reminder_deadline(terms, start).at == ms.reminder_deadline(terms, start)
    assert ms.explain_deferral_limit(terms, start).at == ms.deferral_limit(terms, start)
    assert ms.explain_reminder_deadline(terms, start, "elapsed").exclusive is False

"""Laws of support hours, reaction times, working days and severities (clauses 2.2, 4.2, 5.4 to 6.4)."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.support import support_hours
from tests.worlds import BERLIN, TICK, builtin_contracts, contract, examples, instants, utc

UTC_1 = timezone(timedelta(hours=1))
MINUTE = timedelta(minutes=1)
MONDAY_TO_FRIDAY = ["mon", "tue", "wed", "thu", "fri"]

packages = st.sampled_from(["starter", "advanced", "professional", "premium", "premium_flex"])
severities = st.sampled_from(ms.Severity)
near_now = instants(first=2024, last=2031)
support_terms = st.builds(
    lambda weekdays, opens, length, zone: {
        "weekdays": [day for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun") if day in weekdays],
        "opens": f"{opens:02}:00:00",
        "closes": f"{opens + length:02}:30:00",
        "zone": zone,
    },
    st.sets(st.sampled_from(["mon", "wed", "fri", "sat", "sun"]), min_size=1),
    st.integers(0, 12),
    st.integers(0, 11),
    st.sampled_from(["local", "utc+1"]),
)


def open_spans(terms: ms.Contract, zone: tzinfo, first: date) -> Iterator[tuple[datetime, datetime]]:
    """The open hours from a day on, day by day, as a person would read the clause."""
    numbers = {list(type(day)).index(day) for day in terms.support.weekdays}
    day = first
    while True:
        if day.weekday() in numbers and terms.holidays.name(day) is None:
            opens, closes = (
                datetime.combine(day, at, tzinfo=zone) for at in (terms.support.opens, terms.support.closes)
            )
            yield utc(opens), utc(closes)
        day += timedelta(days=1)


def due_day_by_day(terms: ms.Contract, zone: tzinfo, opened_at: datetime, within: timedelta) -> datetime:
    """The instant at which support was open for `within`, found by walking through the days."""
    left = within
    for opens, closes in open_spans(terms, zone, opened_at.astimezone(zone).date() - timedelta(days=1)):
        start = max(opens, utc(opened_at))
        if start < closes:
            if closes - start >= left:
                return start + left
            left -= closes - start
    raise AssertionError


@given(near_now, support_terms, st.integers(1, 100 * 60))
def test_support_hours_run_as_a_walk_through_the_days_says(at, terms, minutes):
    # no hours from 0 to 3 o'clock, where a wall clock time may be two instants: that is settled elsewhere
    if terms["opens"] < "03":
        terms = {**terms, "opens": "03:00:00"}
    if terms["closes"] <= terms["opens"]:
        terms = {**terms, "closes": "14:30:00"}
    made = contract(support=terms)
    zone = UTC_1 if terms["zone"] == "utc+1" else BERLIN
    hours = support_hours(made, utc_1=terms["zone"] == "utc+1")
    within = timedelta(minutes=minutes)
    assert hours.due(at, within) == due_day_by_day(made, zone, at, within)
    spans = open_spans(made, zone, at.astimezone(zone).date())
    opens, closes = next(spans)
    assert hours.is_open(at) is (opens <= utc(at) < closes)
    assert hours.is_open(opens)
    assert not hours.is_open(closes)
    assert not hours.is_open(opens - TICK)
    assert hours.is_open(closes - TICK)
    assert hours.opening_at_or_before(closes) == opens == hours.opening_at_or_before(opens)
    second, _ = next(spans)
    assert hours.opening_at_or_before(second - TICK) == opens


@examples(25)
@given(near_now, st.integers(1, 10 * 60))
def test_a_reaction_is_due_when_so_many_minutes_of_support_have_been_ticked_off(at, minutes):
    at = at.replace(second=0, microsecond=0)
    hours, instant, ticked = support_hours(contract()), utc(at), 0
    while ticked < minutes:
        ticked += hours.is_open(instant)
        instant += MINUTE
    assert hours.due(at, minutes * MINUTE) == instant


@given(
    packages, severities, near_now, st.timedeltas(timedelta(0), timedelta(days=12)), st.sampled_from(["prod", "dev"])
)
def test_a_later_ticket_is_never_due_earlier(package, severity, at, gap, environment):
    terms = contract()
    first = ms.reaction_due(terms, package, severity, at, environment).due_at
    second = ms.reaction_due(terms, package, severity, utc(at) + gap, environment).due_at
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert utc(first) <= utc(second)


@given(packages, severities, near_now, st.sampled_from(["support_hours", "elapsed"]))
def test_no_reaction_is_due_before_the_promised_time_has_passed(package, severity, at, no_hours):
    due = ms.reaction_due(contract(support={"no_hours": no_hours}), package, severity, at)
    if due.promise.within is None:
        assert due.due_at is None
        assert due.clock == "best_effort"
        return
    assert due.due_at is not None
    assert due.due_at.tzinfo == BERLIN
    assert utc(due.due_at) >= utc(at) + due.promise.within
    runs_always = due.clock in ("24x7", "elapsed")
    assert not runs_always or utc(due.due_at) == utc(at) + due.promise.within


@given(packages, severities, near_now)
def test_the_earliest_reading_of_cet_is_the_earlier_of_the_two_others(package, severity, at):
    dues = {
        zone: ms.reaction_due(contract(support={"zone": zone}), package, severity, at).due_at
        for zone in ("local", "utc+1", "earliest")
    }
    others = [utc(due) for due in (dues["local"], dues["utc+1"]) if due is not None]
    assert (dues["earliest"] is None) == (not others)
    if dues["earliest"] is not None:
        assert utc(dues["earliest"]) == min(others)


@given(packages, near_now, st.sampled_from(["test", "dev"]), severities)
def test_a_fault_outside_production_is_minor_whatever_was_stated(package, at, environment, stated):
    terms = contract()
    minor = ms.reaction_due(terms, package, "minor", at)
    other = ms.reaction_due(terms, package, stated, at, environment)
    assert (other.due_at, other.exclusive, other.clock) == (minor.due_at, minor.exclusive, minor.clock)


@given(packages, severities, near_now)
def test_a_flex_package_counts_as_its_base_package(package, severity, at):
    base = package.removesuffix("_flex")
    for name in (f"{base}_flex", f"{base}-flex", f"{base} flex"):
        assert ms.reaction_due(contract(), name, severity, at) == ms.reaction_due(contract(), base, severity, at)


@given(near_now, st.timedeltas(timedelta(hours=-2), timedelta(hours=60)))
def test_with_a_call_asked_for_the_clock_around_the_clock_starts_with_the_later_of_ticket_and_call(at, called_after):
    terms = contract(reaction={"premium_24x7": "ticket_and_call"})
    called_at = utc(at) + called_after
    without = ms.reaction_due(terms, "premium", "critical", at)
    with_call = ms.reaction_due(terms, "premium", "critical", at, called_at=called_at)
    in_hours = support_hours(terms).due(at, timedelta(hours=1))
    assert without.due_at is not None
    assert with_call.due_at is not None
    assert utc(without.due_at) == in_hours
    assert utc(with_call.due_at) == min(in_hours, max(utc(at), called_at) + timedelta(hours=1))
    by_ticket = ms.reaction_due(contract(), "premium", "critical", at, called_at=called_at)
    assert by_ticket.due_at is not None
    assert utc(by_ticket.due_at) == utc(at) + timedelta(hours=1)


@given(packages, severities, near_now, st.timedeltas(timedelta(hours=-3), timedelta(hours=3)))
def test_a_reaction_is_met_by_the_later_of_reply_and_start_of_the_fix(package, severity, at, offset):
    due = ms.reaction_due(contract(), package, severity, at)
    if due.due_at is None:
        assert due.met_by(utc(at) + timedelta(days=999), at)
        return
    reacted = utc(due.due_at) + offset
    in_time = reacted < utc(due.due_at) or (reacted == utc(due.due_at) and not due.exclusive)
    assert due.met_by(reacted, at) is due.met_by(at, reacted) is in_time
    assert due.met_by(due.due_at, at) is not due.exclusive
    assert due.met_by(utc(due.due_at) - TICK, at)
    assert not due.met_by(at, utc(due.due_at) + TICK)


@given(near_now, st.sampled_from([MONDAY_TO_FRIDAY, [*MONDAY_TO_FRIDAY, "sat"]]))
def test_an_instance_is_due_at_the_end_of_a_working_day_after_the_order_with_none_between(ordered_at, weekdays):
    terms = contract(provisioning={"weekdays": weekdays})
    due = ms.provisioning_due(terms, ordered_at)
    assert utc(due) > utc(ordered_at)
    assert due.time() == time()
    ordered_on, last_day = ordered_at.astimezone(BERLIN).date(), due.date() - timedelta(days=1)
    assert last_day > ordered_on
    works = {
        ordered_on + timedelta(days=n): terms.holidays.name(ordered_on + timedelta(days=n)) is None
        and (ordered_on + timedelta(days=n)).weekday() < len(weekdays)
        for n in range(1, (last_day - ordered_on).days + 1)
    }
    assert works.pop(last_day)
    assert not any(works.values())


@given(near_now, st.sampled_from(["end_of_day", "close_of_business", "support_hours_8"]))
def test_provisioning_is_never_due_before_the_order_and_a_date_agreed_later_replaces_it(ordered_at, end):
    terms = contract(provisioning={"end": end})
    due = ms.provisioning_due(terms, ordered_at)
    assert utc(due) > utc(ordered_at)
    assert utc(ms.provisioning_due(terms, ordered_at, agreed_at=utc(due) + TICK)) == utc(due) + TICK
    assert ms.provisioning_due(terms, ordered_at, agreed_at=utc(due) - TICK) == due
    if end == "support_hours_8":
        assert utc(due) == support_hours(terms).due(ordered_at, timedelta(hours=8))
    elif end == "close_of_business":
        assert due.time() == terms.support.closes


@given(st.dates(date(2001, 1, 1), date(2099, 1, 1)))
def test_data_are_handed_over_by_the_end_of_the_same_weekday_four_weeks_on(ended_on):
    due = ms.handover_due(contract(), ended_on)
    assert due.time() == time()
    assert due.date() == ended_on + timedelta(days=29)
    assert due.tzinfo == BERLIN
    evening = datetime.combine(ended_on, time(21, 30), tzinfo=UTC)
    local_day = evening.astimezone(BERLIN).date()
    assert ms.handover_due(contract(), evening) == ms.handover_due(contract(), local_day)


@given(builtin_contracts, st.sampled_from(ms.Scope), st.sampled_from(ms.Standstill))
def test_a_fault_is_critical_only_where_work_in_production_has_stopped(terms, scope, standstill):
    for environment in terms.environments:
        found = ms.severity(terms, environment=environment, scope=scope, standstill=standstill)
        stopped = standstill == "stopped" and scope in ("portal", "primary")
        restricted = standstill != "none"
        expected = "critical" if stopped else "major" if restricted else "minor"
        assert found == (expected if environment == terms.production else "minor")


@given(st.lists(severities, min_size=1, max_size=5))
def test_several_faults_are_as_bad_as_the_worst_or_one_class_worse_where_the_contract_says_so(found):
    order = list(ms.Severity)
    worst = min(order.index(each) for each in found)
    assert ms.concurrent_severity(contract(), found) is order[worst]
    doubled = found.count(order[worst]) > 1
    raised = ms.concurrent_severity(contract("generic-weekly"), found)
    assert raised is order[max(0, worst - 1) if doubled else worst]


PACKAGES = ("starter", "advanced", "professional", "premium")
TABLE = {
    "critical": ("24 h", "< 4 h", "< 2 h", "< 1 h"),
    "major": ("reasonable effort", "24 h", "< 8 h", "< 4 h"),
    "minor": ("reasonable effort", "reasonable effort", "48 h", "24 h"),
}
PROMISES = [(name, package, text) for name, row in TABLE.items() for package, text in zip(PACKAGES, row, strict=True)]


@pytest.mark.parametrize(("severity", "package", "text"), PROMISES)
def test_the_reaction_times_are_those_of_clause_6_3(severity, package, text):
    due = ms.reaction_due(contract(), package, severity, datetime(2026, 12, 1, 10, tzinfo=BERLIN))
    assert str(due.promise) == text
    assert due.exclusive is text.startswith("<")
    assert due.clause == "6.3"
    hours = Fraction(text.strip("< h")) if due.due_at else None
    assert due.promise.within == (timedelta(hours=int(hours)) if hours else None)
    around_the_clock = severity == "critical" and package == "premium"
    assert due.clock == ("24x7" if around_the_clock else "support_hours" if hours else "best_effort")

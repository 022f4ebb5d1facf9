"""Support: what is refused, what is explained, and the readings that no law pins."""

from datetime import date, datetime, timedelta

import pytest

import maintsched as ms
from maintsched.localtime import Elapsed
from maintsched.support import Clock, support_hours
from maintsched.terms import ReactionTime
from tests.worlds import BERLIN, contract, local

TUESDAY = local("2026-12-01T10:00")


def test_a_reaction_explains_itself():
    due = ms.reaction_due(contract(), "professional", "major", TUESDAY)
    assert due.due_at == local("2026-12-02T10:00")
    assert due.explained is not None
    assert str(due.explained).splitlines() == [
        "before 2026-12-02T10:00:00+01:00",
        "clause 6.3, reading support.zone = local",
        "  opened: 2026-12-01T10:00:00+01:00",
        "  promised: < 8 h",
        "  clock: support_hours",
    ]
    assert due.opened_at == TUESDAY


def test_reasonable_effort_is_due_never_and_met_always():
    due = ms.reaction_due(contract(), "starter", "minor", TUESDAY)
    assert (due.due_at, due.explained, due.clock, due.exclusive) == (None, None, Clock.BEST_EFFORT, False)
    assert due.met_by(TUESDAY + timedelta(days=3650), TUESDAY)


def test_a_reaction_time_agreed_in_writing_replaces_the_table():
    agreed = ReactionTime.parse("< 30 min")
    due = ms.reaction_due(contract(), "starter", "minor", TUESDAY, agreed=agreed)
    assert due.due_at == local("2026-12-01T10:30")
    assert due.promise == agreed
    assert due.exclusive


def test_only_critical_faults_of_packages_with_24_7_run_around_the_clock():
    night = local("2026-12-01T22:00")
    assert ms.reaction_due(contract(), "premium", "critical", night).due_at == local("2026-12-01T23:00")
    assert ms.reaction_due(contract(), "premium", "major", night).due_at == local("2026-12-02T13:00")
    assert ms.reaction_due(contract(), "professional", "critical", night).due_at == local("2026-12-02T11:00")
    assert ms.reaction_due(contract(), "premium", "critical", night, "test").clock == Clock.SUPPORT_HOURS


def test_a_package_without_hours_of_its_own_may_be_read_as_elapsed_time():
    terms = contract(support={"no_hours": "elapsed"})
    night = local("2026-12-01T22:00")
    starter = ms.reaction_due(terms, "starter", "critical", night)
    assert (starter.clock, starter.due_at) == (Clock.ELAPSED, local("2026-12-02T22:00"))
    assert ms.reaction_due(terms, "professional", "critical", night).clock == Clock.SUPPORT_HOURS


def test_the_24th_and_31st_of_december_are_ordinary_days_and_the_holidays_of_the_land_are_not():
    hours = support_hours(contract())
    assert hours.is_open(local("2026-12-24T09:00"))
    assert hours.is_open(local("2026-12-31T16:59"))
    for holiday in ("2026-01-06", "2026-06-04", "2026-10-03", "2026-11-01", "2026-12-25", "2027-01-01"):
        assert not hours.is_open(local(f"{holiday}T12:00"))
    assert hours.due(local("2026-12-31T16:00"), timedelta(hours=2)) == local("2027-01-04T10:00")


def test_the_earliest_reading_takes_whichever_clock_is_sooner_and_answers_in_the_zone_of_the_contract():
    terms = contract(support={"zone": "earliest"})
    afternoon = ms.reaction_due(terms, "premium", "major", local("2026-07-01T13:30")).due_at
    assert afternoon is not None
    assert (afternoon, afternoon.tzinfo) == (local("2026-07-01T17:30"), BERLIN)  # local hours: 09:30 of the next day
    morning = ms.reaction_due(terms, "premium", "major", local("2026-07-01T09:00")).due_at
    assert morning == local("2026-07-01T13:00")  # UTC+1: 14:00
    called = contract(reaction={"premium_24x7": "ticket_and_call"})
    night = ms.reaction_due(
        called, "premium", "critical", local("2026-07-01T22:00"), called_at=local("2026-07-01T22:05")
    )
    assert night.due_at is not None
    assert (night.due_at, night.due_at.tzinfo) == (local("2026-07-01T23:05"), BERLIN)


def test_utc_plus_1_is_an_hour_off_in_summer():
    terms = contract(support={"zone": "utc+1"})
    assert ms.reaction_due(terms, "premium", "minor", local("2026-07-01T09:30")).due_at == local("2026-07-03T18:00")
    assert ms.reaction_due(terms, "premium", "minor", local("2026-07-01T09:30")).reading == "support.zone = utc+1"
    assert not support_hours(terms, utc_1=True).is_open(local("2026-07-01T09:59"))
    assert support_hours(terms, utc_1=True).is_open(local("2026-07-01T17:59"))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"package": "gold"}, "package"),
        ({"severity": "blocker"}, "severity"),
        ({"environment": "staging"}, "environment"),
    ],
)
def test_a_name_that_the_contract_does_not_know_is_refused(changes, what):
    ticket = {"package": "premium", "severity": "minor", "opened_at": TUESDAY, **changes}
    with pytest.raises(ms.UnknownName) as refused:
        ms.reaction_due(contract(), **ticket)
    assert refused.value.what == what
    assert refused.value.found in changes.values()
    assert "premium" in refused.value.known or "critical" in refused.value.known or "prod" in refused.value.known


def test_severity_refuses_an_unknown_environment_and_no_faults_at_all():
    with pytest.raises(ms.UnknownName) as unknown:
        ms.severity(contract(), environment="live", scope=ms.Scope.PORTAL, standstill=ms.Standstill.STOPPED)
    assert (unknown.value.what, unknown.value.found, unknown.value.known) == (
        "environment",
        "live",
        ("prod", "test", "dev"),
    )
    with pytest.raises(ms.InvalidValue, match='severities: expected at least one, got "none"'):
        ms.concurrent_severity(contract(), [])


@pytest.mark.parametrize(
    ("choice", "closes"), [("earlier", "2026-03-29T01:30:00+01:00"), ("later", "2026-03-29T03:30:00+02:00")]
)
def test_hours_that_end_in_a_gap_end_as_the_contract_chooses(choice, closes):
    terms = contract(
        clock_change=choice,
        support={"weekdays": ["sun"], "opens": "01:00:00", "closes": "02:30:00"},
        provisioning={"weekdays": ["sun"], "end": "close_of_business"},
    )
    assert ms.provisioning_due(terms, local("2026-03-28T12:00")).isoformat() == closes
    hours = support_hours(terms)
    assert hours.is_open(datetime.fromisoformat(closes) - timedelta(microseconds=1))
    assert not hours.is_open(datetime.fromisoformat(closes))


def test_support_may_open_on_the_first_and_on_the_last_day_of_a_year():
    none = ms.load_contract(holiday_source=lambda country, subdivision, language, year: {})
    assert support_hours(none).is_open(local("2026-12-31T12:00"))
    assert support_hours(none).is_open(local("2027-01-01T12:00"))
    assert support_hours(none).due(local("2026-12-31T16:59"), timedelta(minutes=2)) == local("2027-01-01T09:01")


def test_provisioning_explains_itself():
    explained = ms.explain_provisioning_due(contract(), local("2026-12-23T12:00"))
    assert explained.at == local("2026-12-25T00:00")  # the 24th is a Werktag
    assert (explained.clause, explained.reading) == ("2.2", "provisioning.end = end_of_day")
    assert explained.facts == (("ordered", "2026-12-23T12:00:00+01:00"), ("next working day", "2026-12-24"))
    agreed = ms.explain_provisioning_due(contract(), local("2026-12-23T12:00"), agreed_at=local("2026-12-30T12:00"))
    assert agreed.at == local("2026-12-30T12:00")
    assert agreed.facts[-1] == ("agreed later", "2026-12-30T12:00:00+01:00")
    same = ms.explain_provisioning_due(contract(), local("2026-12-23T12:00"), agreed_at=local("2026-12-25T00:00"))
    assert same == explained


def test_saturday_is_a_werktag_and_holidays_are_not():
    assert ms.provisioning_due(contract(), local("2026-12-24T12:00")) == local("2026-12-29T00:00")
    assert ms.provisioning_due(contract(), local("2026-11-27T12:00")) == local("2026-11-29T00:00")


def test_handover_explains_itself():
    explained = ms.explain_handover_due(contract(), date(2026, 12, 31))
    assert explained.at == local("2027-01-29T00:00")
    assert (explained.clause, explained.reading) == ("4.2", "end of the last day")
    assert explained.facts == (("subscription ended on", "2026-12-31"), ("handover", "28 days"))
    assert ms.handover_due(contract("generic-weekly"), date(2026, 1, 1)).date() == date(2026, 2, 1)


def test_support_that_never_opens_within_a_year_is_refused():
    def always_a_holiday(country, subdivision, language, year):
        first = date(year, 1, 1)
        return {first + timedelta(days=n): "Holiday" for n in range(366) if (first + timedelta(days=n)).year == year}

    terms = ms.load_contract(holiday_source=always_a_holiday)
    with pytest.raises(ms.InvalidValue, match="support hours: expected an opening within a year"):
        ms.send_at(terms, TUESDAY)


def test_an_opening_may_lie_in_the_year_before():
    hours = support_hours(contract())
    assert hours.opening_at_or_before(local("2027-01-02T12:00")) == local("2026-12-31T09:00")


def test_a_long_reaction_time_runs_over_the_years():
    within = Elapsed(hours=8 * 300)
    hours = support_hours(contract())
    due = hours.due(local("2026-01-01T00:00"), within)
    days = [datetime(2026, 1, 1, 12, tzinfo=BERLIN) + timedelta(days=n) for n in range(800)]
    opened = [day for day in days if hours.is_open(day)]
    assert due.astimezone(BERLIN).date() == opened[299].date()
    assert due.astimezone(BERLIN).hour == 17

"""Every public function refuses a datetime that names no instant, and one outside the supported years."""

import inspect
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

import maintsched as ms
from tests.worlds import BERLIN, contract, local

GOOD = local("2026-12-01T17:00")
NAIVE = datetime(2026, 12, 1, 17)  # noqa: DTZ001 - what is refused
Call = Callable[[datetime], Any]

C = contract()
VERSION = ms.Version.parse("12.1.0")
LATER = GOOD + timedelta(days=400)
EARLIER = GOOD - timedelta(days=400)
BEFORE, SOON = GOOD - timedelta(hours=1), GOOD + timedelta(hours=1)

INSTANTS: dict[str, Call] = {
    "monthly_windows since": lambda at: list(ms.monthly_windows(C, at, LATER)),
    "monthly_windows until": lambda at: list(ms.monthly_windows(C, EARLIER, at)),
    "next_window": lambda at: ms.next_window(C, at),
    "last_window": lambda at: ms.last_window(C, at),
    "reminder_deadline": lambda at: ms.reminder_deadline(C, at),
    "explain_reminder_deadline": lambda at: ms.explain_reminder_deadline(C, at),
    "classify start": lambda at: ms.classify(C, at, EARLIER),
    "classify announced_at": lambda at: ms.classify(C, GOOD, at),
    "earliest_start": lambda at: ms.earliest_start(C, at),
    "explain_earliest_start": lambda at: ms.explain_earliest_start(C, at),
    "offered_start": lambda at: ms.offered_start(C, at),
    "explain_offered_start": lambda at: ms.explain_offered_start(C, at),
    "send_at": lambda at: ms.send_at(C, at),
    "explain_send_at": lambda at: ms.explain_send_at(C, at),
    "deferral_limit": lambda at: ms.deferral_limit(C, at),
    "explain_deferral_limit": lambda at: ms.explain_deferral_limit(C, at),
    "reaction_due": lambda at: ms.reaction_due(C, "premium", "minor", at),
    "reaction_due around the clock": lambda at: ms.reaction_due(C, "premium", "critical", at),
    "reaction_due called_at": lambda at: ms.reaction_due(
        contract(reaction={"premium_24x7": "ticket_and_call"}), "premium", "critical", GOOD, called_at=at
    ),
    "provisioning_due": lambda at: ms.provisioning_due(C, at),
    "provisioning_due agreed_at": lambda at: ms.provisioning_due(C, GOOD, agreed_at=at),
    "explain_provisioning_due": lambda at: ms.explain_provisioning_due(C, at),
    "handover_due": lambda at: ms.handover_due(C, at),
    "explain_handover_due": lambda at: ms.explain_handover_due(C, at),
    "availability now": lambda at: ms.availability(C, "2026-12", [], [], at),
    "Outage start": lambda at: ms.Outage(start=at, end=None),
    "Outage end": lambda at: ms.Outage(start=EARLIER, end=at),
    "Maintenance start": lambda at: ms.Maintenance(start=at, end=LATER, announced_at=None),
    "Maintenance end": lambda at: ms.Maintenance(start=EARLIER, end=at, announced_at=None),
    "Maintenance announced_at": lambda at: ms.Maintenance(start=GOOD, end=LATER, announced_at=at),
    "Maintenance started_at": lambda at: ms.Maintenance(start=GOOD, end=LATER, announced_at=None, started_at=at),
    "Maintenance completed_at": lambda at: ms.Maintenance(start=GOOD, end=LATER, announced_at=None, completed_at=at),
    "DeclaredWindow start": lambda at: ms.DeclaredWindow(
        key="w", kind=ms.WindowKind.CRITICAL, start=at, end=SOON, reason="because"
    ),
    "DeclaredWindow end": lambda at: ms.DeclaredWindow(
        key="w", kind=ms.WindowKind.CRITICAL, start=BEFORE, end=at, reason="because"
    ),
    "DeclaredWindow announced_at": lambda at: ms.DeclaredWindow(
        key="w", kind=ms.WindowKind.CRITICAL, start=GOOD, end=SOON, reason="because", announced_at=at
    ),
    "Release available_at": lambda at: ms.Release(
        version=VERSION, change_class=ms.ChangeClass.MAJOR, available_at=at
    ),
    "Deferral until": lambda at: ms.Deferral(instance="a", release=VERSION, until=at),
    "Deferral start": lambda at: ms.Deferral(instance="a", release=VERSION, until=LATER, start=at),
    "Deferral granted_at": lambda at: ms.Deferral(instance="a", release=VERSION, until=LATER, granted_at=at),
    "Deferral withdrawn_at": lambda at: ms.Deferral(instance="a", release=VERSION, until=LATER, withdrawn_at=at),
    "Pin start": lambda at: ms.Pin(instance="a", version=VERSION, reason="because", start=at, until=LATER),
    "Pin until": lambda at: ms.Pin(instance="a", version=VERSION, reason="because", start=EARLIER, until=at),
    "Freeze start": lambda at: ms.Freeze(key="f", start=at, end=LATER, reason="because"),
    "Freeze end": lambda at: ms.Freeze(key="f", start=EARLIER, end=at, reason="because"),
    "Consent given_at": lambda at: ms.Consent(instance="a", given_by="Eva", given_at=at),
    "Consent until": lambda at: ms.Consent(instance="a", given_by="Eva", given_at=EARLIER, until=at),
    "TrackSwitch at": lambda at: ms.TrackSwitch(instance="a", track="silent", at=at),
    "make_plan now": lambda at: ms.make_plan(
        C, ms.Fleet(), ms.Facts(), ms.Span(start=GOOD, end=LATER), now=at
    ),
}  # fmt: skip
SPANS: dict[str, Call] = {
    "Span start": lambda at: ms.Span(start=at, end=LATER),
    "Span end": lambda at: ms.Span(start=EARLIER, end=at),
}
DATES: dict[str, Callable[[date], Any]] = {
    "handover_due": lambda day: ms.handover_due(C, day),
    "explain_handover_due": lambda day: ms.explain_handover_due(C, day),
}


@pytest.mark.parametrize("call", [*INSTANTS.values(), *SPANS.values()], ids=[*INSTANTS, *SPANS])
def test_a_datetime_without_offset_is_refused(call):
    call(GOOD)
    with pytest.raises(ms.NaiveDatetime, match="expected a datetime with an offset or a zone"):
        call(NAIVE)


@pytest.mark.parametrize("name", INSTANTS)
def test_a_refusal_names_the_argument_that_was_refused(name):
    function, _, argument = name.partition(" ")
    parameters = inspect.signature(getattr(ms, function)).parameters
    assert argument in (*parameters, "", "around the clock")
    for at in (NAIVE, datetime(2201, 1, 1, tzinfo=UTC)):
        with pytest.raises(ms.InvalidValue) as refused:
            INSTANTS[name](at)
        assert refused.value.what in parameters
        assert argument in ("", "around the clock", refused.value.what)
        assert refused.value.found == at.isoformat()


@pytest.mark.parametrize("year", [1, 1999, 2201, 9999])
@pytest.mark.parametrize("call", INSTANTS.values(), ids=INSTANTS)
def test_an_instant_outside_the_supported_years_is_refused(call, year):
    for at in (
        datetime(year, 6, 1, tzinfo=UTC),
        datetime(year, 1, 1, tzinfo=BERLIN),
        datetime(year, 12, 31, 23, tzinfo=BERLIN),
    ):
        with pytest.raises(ms.OutOfRange, match="expected a year from 2000 to 2200"):
            call(at)


@pytest.mark.parametrize("call", DATES.values(), ids=DATES)
def test_a_date_outside_the_supported_years_is_refused(call):
    call(date(2000, 1, 1))
    call(date(2200, 1, 1))
    for day in (date(1999, 12, 31), date(2201, 1, 1), date.min, date.max):
        with pytest.raises(ms.OutOfRange) as refused:
            call(day)
        assert (refused.value.what, refused.value.found) == ("ended_on", day.isoformat())


@pytest.mark.parametrize(
    "month", ["1999-12", "2200-01", "2026-13", "2026-00", "2026-1", "26-01", "", "2026-01-01", "\uff12026-01"]
)
def test_a_month_that_is_none_is_refused(month):
    with pytest.raises(ms.InvalidValue, match='month: expected "YYYY-MM" from 2000 to 2199'):
        ms.availability(C, month, [], [])


@pytest.mark.parametrize("year", [2101, 2150])
def test_windows_and_support_hours_of_years_with_unknown_holidays_are_refused(year):
    at = datetime(year, 6, 1, tzinfo=UTC)
    for call in ("monthly_windows until", "next_window", "last_window", "reaction_due", "provisioning_due", "send_at"):
        with pytest.raises(ms.HolidaysUnknown):
            INSTANTS[call](at)


def test_every_public_function_that_takes_an_instant_is_in_these_tables():
    tried = {name.split()[0] for name in (*INSTANTS, *SPANS)}
    takes_an_instant = set()
    for name in ms.__all__:
        found = getattr(ms, name)
        if inspect.isfunction(found) or (inspect.isclass(found) and hasattr(found, "__dataclass_fields__")):
            hints = str(inspect.signature(found))
            if "datetime.datetime" in hints:
                takes_an_instant.add(name)
    results = {"Explained", "PlanWindow", "Window", "ReactionDue", "Plan"}  # what comes out
    assert takes_an_instant - results <= tried


def test_every_public_name_is_there_and_the_list_is_sorted():
    assert list(ms.__all__) == sorted(ms.__all__)
    assert all(hasattr(ms, name) for name in ms.__all__)

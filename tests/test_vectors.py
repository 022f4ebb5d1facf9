"""The library against answers that somebody else computed; `vectors/README.md` says how and which reading is which.

One test per promise and per reading, one test id per case. Everything is asked through the public names only, so that
the same file also judges an installed wheel.
"""

import json
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import maintsched as ms

VECTORS = Path(__file__).parent / "vectors"
BERLIN = ZoneInfo("Europe/Berlin")
TICK = timedelta(microseconds=1)
MONDAY_TO_FRIDAY = ["mon", "tue", "wed", "thu", "fri"]

Case = dict[str, Any]


def load(name: str) -> list[Case]:
    """The cases of one file."""
    cases: list[Case] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return cases


def each(cases: list[Case], key: str = "id") -> pytest.MarkDecorator:
    """One test per case, named by the case (and by its note, where it has one)."""
    names = [f"{case[key]} {case['note']}" if "note" in case else case[key] for case in cases]
    return pytest.mark.parametrize("case", cases, ids=names)


def instant(text: str) -> datetime:
    """The instant that a field of the vectors names, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def utc(value: datetime | None) -> datetime:
    """What the library returned, in UTC: two zones are never compared directly, folds would make that untrue."""
    assert value is not None
    assert value.tzinfo is not None, f"expected an aware datetime, got: {value!r}"
    return value.astimezone(UTC)


def midnight_after(day: str) -> datetime:
    """The end of a local day: 24:00 in Germany."""
    return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(0), tzinfo=BERLIN).astimezone(UTC)


@pytest.fixture(scope="module")
def contract() -> Any:
    """The built-in contract in its default readings."""
    return ms.load_contract()


def reading_of(**overrides: dict[str, Any]) -> Any:
    """A module-wide fixture: the built-in contract with terms set to another reading."""

    @pytest.fixture(scope="module")
    def contract_in_another_reading() -> Any:
        return ms.load_contract(overrides=overrides)

    return contract_in_another_reading


# --- windows and reminders (2.4.3.1) ----------------------------------------------------------------------------------

WINDOWS = load("windows")
HOLIDAY_NAMES = {  # the oracle's name, and what the same day is called in German and English
    "Neujahr": {"Neujahr", "New Year's Day"},
    "Heilige Drei Koenige": {"Heilige Drei Könige", "Epiphany"},
    "Tag der Arbeit": {"Tag der Arbeit", "Erster Mai", "Labor Day", "Labour Day"},
    "Tag der Deutschen Einheit": {"Tag der Deutschen Einheit", "German Unity Day"},
}
FIRST, LAST = instant(WINDOWS[0]["start_utc"]), instant(WINDOWS[-1]["start_utc"])


def test_the_rule_gives_one_window_a_month_and_no_other(contract):
    windows = list(ms.monthly_windows(contract, FIRST, LAST + TICK))
    assert [(w.id, utc(w.start)) for w in windows] == [
        (f"monthly/{case['month']}", instant(case["start_utc"])) for case in WINDOWS
    ]


def test_a_stretch_of_time_holds_the_window_at_its_beginning_but_not_the_one_at_its_end(contract):
    windows = list(ms.monthly_windows(contract, FIRST, LAST))
    assert [utc(w.start) for w in windows] == [instant(case["start_utc"]) for case in WINDOWS[:-1]]


@each(WINDOWS, key="month")
def test_monthly_window_starts_at_17_00_local_on_the_first_tuesday(contract, case):
    window = ms.next_window(contract, midnight_after(case["date"]) - timedelta(days=1))
    assert (window.id, window.kind, window.clause) == (f"monthly/{case['month']}", "monthly", "2.4.3.1")
    assert window.start.isoformat() == case["start_local"]
    assert utc(window.start) == instant(case["start_utc"])
    assert window.start.date().isoformat() == case["date"]
    assert utc(window.end) > utc(window.start)


@each(WINDOWS, key="month")
def test_next_window_includes_one_that_starts_now_and_last_window_does_not(contract, case):
    start = instant(case["start_utc"])
    assert utc(ms.next_window(contract, start).start) == start
    assert utc(ms.next_window(contract, start - TICK).start) == start
    assert utc(ms.next_window(contract, start + TICK).start) > start
    assert utc(ms.last_window(contract, start + TICK).start) == start
    assert utc(ms.last_window(contract, start).start) < start


@each(WINDOWS, key="month")
def test_monthly_window_says_which_public_holiday_it_falls_on(contract, case):
    holiday = ms.next_window(contract, instant(case["start_utc"])).holiday
    assert (holiday is not None) == case["is_bw_holiday"]
    if holiday is not None:
        assert holiday in HOLIDAY_NAMES[case["holiday_name"]]


@each(WINDOWS, key="month")
def test_reminder_is_due_seven_full_calendar_days_ahead(contract, case):
    deadline = ms.reminder_deadline(contract, instant(case["start_utc"]))
    assert utc(deadline) == instant(case["remind_full_days_utc"])
    assert utc(deadline) <= instant(case["remind_latest_both_utc"])


@each(WINDOWS, key="month")
def test_reminder_read_as_168_hours_of_elapsed_time(contract, case):
    deadline = ms.reminder_deadline(contract, instant(case["start_utc"]), reading="elapsed")
    assert utc(deadline) == instant(case["remind_elapsed_168h_utc"])
    assert deadline.isoformat() == case["remind_elapsed_168h_local"]


@each(WINDOWS, key="month")
def test_reminder_read_as_the_same_wall_clock_time_seven_days_before(contract, case):
    deadline = ms.reminder_deadline(contract, instant(case["start_utc"]), reading="wall_clock")
    assert utc(deadline) == instant(case["remind_wall_7d_utc"])
    assert deadline.isoformat() == case["remind_wall_7d_local"]


@each(WINDOWS, key="month")
def test_the_two_inclusive_readings_differ_only_where_the_clocks_change_between(contract, case):
    start = instant(case["start_utc"])
    elapsed = ms.reminder_deadline(contract, start, reading="elapsed")
    wall_clock = ms.reminder_deadline(contract, start, reading="wall_clock")
    assert (utc(elapsed) - utc(wall_clock)).total_seconds() == case["elapsed_minus_wall_seconds"]
    assert (utc(elapsed) != utc(wall_clock)) == case["dst_change_between"]
    earlier = elapsed if utc(elapsed) < utc(wall_clock) else wall_clock
    assert utc(earlier) == instant(case["remind_latest_both_utc"])
    assert earlier.isoformat() == case["remind_latest_both_local"]


# --- planned or unplanned (2.4.3.2, 2.4.3.3) --------------------------------------------------------------------------

NOTICES = load("notices")
CLASSES = {"planned_critical": "planned", "unplanned": "unplanned"}


@each(NOTICES)
def test_planned_means_announced_72_hours_of_elapsed_time_ahead_whatever_it_is_called(contract, case):
    start, announced_at = datetime.fromisoformat(case["start"]), datetime.fromisoformat(case["announced_at"])
    assert ms.classify(contract, start, announced_at) == CLASSES[case["classification"]]


@each(NOTICES)
def test_the_zone_in_which_an_instant_is_written_changes_no_classification(contract, case):
    for zone in (UTC, BERLIN, ZoneInfo("Pacific/Auckland")):
        start = instant(case["start_utc"]).astimezone(zone)
        announced_at = instant(case["announced_at_utc"]).astimezone(zone)
        assert ms.classify(contract, start, announced_at) == CLASSES[case["classification"]]


@each(NOTICES)
def test_earliest_start_is_exactly_72_hours_after_the_announcement(contract, case):
    start, announced_at = instant(case["start_utc"]), instant(case["announced_at_utc"])
    earliest = utc(ms.earliest_start(contract, announced_at))
    slack_micros = (start - earliest) // TICK
    assert Fraction(slack_micros, 10**6) == Fraction(case["lead_seconds"]) - 72 * 3600
    assert (start >= earliest) == (case["classification"] == "planned_critical")


@each(NOTICES)
def test_what_was_never_announced_is_unplanned(contract, case):
    assert ms.classify(contract, instant(case["start_utc"]), None) == "unplanned"


# --- deferrals (2.4.4) ------------------------------------------------------------------------------------------------

DEFERRALS = load("deferrals")


@each(DEFERRALS)
def test_deferral_ends_at_the_latest_six_calendar_months_after_its_start(contract, case):
    start, end = instant(case["start_utc"]), instant(case["latest_end_conservative_utc"])
    limit = ms.deferral_limit(contract, start)
    assert utc(limit) == end
    assert utc(ms.deferral_limit(contract, datetime.fromisoformat(case["start_local"]))) == end
    if case["end_wall_clock_kind"] == "gap":
        assert utc(limit) < instant(case["latest_end_utc"])  # the earlier candidate
        return
    assert limit.isoformat() == case["latest_end_local"]
    assert limit.replace(tzinfo=None).isoformat() == case["latest_end_wall_clock"]
    assert (utc(limit) - start).total_seconds() == case["elapsed_seconds"]
    assert (limit.utcoffset() != datetime.fromisoformat(case["start_local"]).utcoffset()) == case["offset_changed"]


@each(DEFERRALS)
def test_deferral_never_ends_after_the_calendar_day_of_its_limit(contract, case):
    limit = ms.deferral_limit(contract, instant(case["start_utc"]))
    assert utc(limit) <= instant(case["latest_end_of_day_utc"])
    assert midnight_after(limit.date().isoformat()) == instant(case["latest_end_of_day_utc"])
    same_day_number = limit.day == datetime.fromisoformat(case["start_local"]).day
    assert same_day_number == (not case["clamped"])


@each(DEFERRALS)
def test_a_deferred_release_goes_in_at_the_first_window_at_or_after_the_end(contract, case):
    window = ms.next_window(contract, instant(case["latest_end_utc"]))
    assert utc(window.start) == instant(case["first_window_at_or_after_end_utc"])
    assert window.start.isoformat() == case["first_window_at_or_after_end_local"]


@each(DEFERRALS)
def test_the_last_window_before_the_end_of_a_deferral(contract, case):
    end = instant(case["latest_end_utc"])
    window = ms.last_window(contract, end)
    assert utc(window.start) == instant(case["last_window_before_end_utc"])
    assert window.start.isoformat() == case["last_window_before_end_local"]
    assert utc(ms.last_window(contract, end + TICK).start) == instant(case["last_window_at_or_before_end_utc"])


# --- reaction times (5.4 to 5.6, 6.3, 6.4) ----------------------------------------------------------------------------

REACTIONS = load("reaction")

contract_with_support_at_utc_plus_1 = reading_of(support={"zone": "utc+1"})


@each(REACTIONS)
def test_reaction_is_due_when_the_hours_of_the_package_have_run_on_its_clock(contract, case):
    due = ms.reaction_due(contract, case["package"], case["severity"], datetime.fromisoformat(case["opened_at"]))
    assert due.clock == case["clock"]
    assert (due.due_at is None) == (case["due_at_utc"] is None)
    if due.due_at is None:
        return
    assert utc(due.due_at) == instant(case["due_at_utc"])
    assert due.due_at.isoformat() == case["due_at_local"]
    assert (due.due_at.time() == time(17)) == case["due_at_close_of_day"]
    if case["clock"] == "24x7":
        hours = timedelta(hours=case["reaction_hours"])
        assert utc(due.due_at) - instant(case["opened_at_utc"]) == hours


@each([case for case in REACTIONS if case["clock_starts_at_utc"] is not None])
def test_a_ticket_opened_outside_support_hours_counts_as_opened_at_the_next_opening(contract, case):
    severity, package = case["severity"], case["package"]
    due = ms.reaction_due(contract, package, severity, instant(case["opened_at_utc"]))
    due_if_opened_then = ms.reaction_due(contract, package, severity, instant(case["clock_starts_at_utc"]))
    assert utc(due.due_at) == utc(due_if_opened_then.due_at)
    if case["opened_in_support_hours"]:
        assert case["clock_starts_at_utc"] == case["opened_at_utc"]


@each(REACTIONS)
def test_reaction_with_support_hours_at_utc_plus_1_all_year(contract_with_support_at_utc_plus_1, case):
    due = ms.reaction_due(
        contract_with_support_at_utc_plus_1, case["package"], case["severity"], instant(case["opened_at_utc"])
    )
    if case["cet_literal_due_at_utc"] is None:
        assert due.due_at is None
        return
    assert utc(due.due_at) == instant(case["cet_literal_due_at_utc"])
    assert (utc(due.due_at) != instant(case["due_at_utc"])) == case["cet_literal_differs"]
    shift = utc(due.due_at) - instant(case["due_at_utc"])
    assert shift.total_seconds() == case["cet_literal_shift_seconds"]


# --- provisioning (2.2) -----------------------------------------------------------------------------------------------

WORKDAYS = load("workdays")

contract_monday_to_friday = reading_of(provisioning={"weekdays": MONDAY_TO_FRIDAY})
contract_close_of_business = reading_of(provisioning={"weekdays": MONDAY_TO_FRIDAY, "end": "close_of_business"})
contract_support_hours_8 = reading_of(provisioning={"end": "support_hours_8"})


@each(WORKDAYS)
def test_an_instance_is_there_by_the_end_of_the_next_werktag(contract, case):
    due = ms.provisioning_due(contract, datetime.fromisoformat(case["ordered_at"]))
    assert utc(due) == midnight_after(case["next_werktag_incl_saturday"])
    assert utc(due) == utc(ms.provisioning_due(contract, instant(case["ordered_at_utc"])))


@each(WORKDAYS)
def test_an_instance_is_there_by_the_end_of_the_next_day_from_monday_to_friday(contract_monday_to_friday, case):
    due = ms.provisioning_due(contract_monday_to_friday, datetime.fromisoformat(case["ordered_at"]))
    assert utc(due) == instant(case["due_end_of_day_utc"]) == midnight_after(case["next_working_day"])
    days = (due - timedelta(days=1)).date() - instant(case["ordered_at_utc"]).astimezone(BERLIN).date()
    assert days.days == case["skipped_days"] + 1


@each(WORKDAYS)
def test_an_instance_is_there_by_close_of_business_of_the_next_working_day(contract_close_of_business, case):
    due = ms.provisioning_due(contract_close_of_business, datetime.fromisoformat(case["ordered_at"]))
    assert utc(due) == instant(case["due_close_of_business_utc"])
    assert due.isoformat() == case["due_close_of_business_local"]


@each(WORKDAYS)
def test_an_instance_is_there_after_eight_support_hours(contract_support_hours_8, case):
    due = ms.provisioning_due(contract_support_hours_8, datetime.fromisoformat(case["ordered_at"]))
    assert utc(due) == instant(case["due_after_8_support_hours_utc"])


# --- availability (2.4.5) ---------------------------------------------------------------------------------------------

AVAILABILITY = load("availability")

contract_counting_outages_only = reading_of(availability={"late_maintenance": "outages_only"})
contract_with_full_month_base = reading_of(availability={"base": "full_month"})


def outages(case: Case) -> list[Any]:
    """The outages of a case; one without an end is still open."""
    return [
        ms.Outage(
            start=datetime.fromisoformat(outage["start"]),
            end=None if outage["end"] is None else datetime.fromisoformat(outage["end"]),
            critical=outage["critical"],
            customer_caused=outage["customer_caused"],
        )
        for outage in case["outages"]
    ]


def maintenance(case: Case) -> list[Any]:
    """The maintenance of a case, done exactly as announced; what it was called is not even handed over."""
    return [
        ms.Maintenance(
            start=datetime.fromisoformat(work["start"]),
            end=datetime.fromisoformat(work["end"]),
            announced_at=None if work["announced_at"] is None else datetime.fromisoformat(work["announced_at"]),
        )
        for work in case["maintenance"]
    ]


def percent_text(value: Any) -> str | None:
    """The percentage as it is printed."""
    return None if value is None else str(value)


@each(AVAILABILITY)
def test_availability_of_a_month_is_exact_to_the_second(contract, case):
    month = ms.availability(contract, case["month"], outages(case), maintenance(case))
    assert month.month_seconds == case["month_seconds"] == case["month_hours"] * 3600
    assert month.deducted_seconds == case["deducted_seconds"]
    assert month.base_seconds == case["base_seconds"]
    assert month.counted_seconds == case["counted_downtime_seconds"]
    assert percent_text(month.percent) == case["availability_percent"]


@each(AVAILABILITY)
def test_met_or_missed_is_decided_on_exact_numbers(contract, case):
    month = ms.availability(contract, case["month"], outages(case), maintenance(case))
    assert month.met is case["met"]
    assert month.allowed_seconds == Fraction(case["allowed_downtime_seconds"])
    assert month.budget_left_seconds == Fraction(case["allowed_left_seconds"])
    assert (month.budget_left_seconds >= 0) == case["met"]


@each(AVAILABILITY)
def test_the_order_in_which_outages_and_maintenance_are_given_does_not_matter(contract, case):
    forwards = ms.availability(contract, case["month"], outages(case), maintenance(case))
    backwards = ms.availability(contract, case["month"], outages(case)[::-1], maintenance(case)[::-1])
    assert forwards == backwards


@each([case for case in AVAILABILITY if case["maintenance"]])
def test_maintenance_is_deducted_exactly_if_it_was_announced_in_time(contract, case):
    classes = [ms.classify(contract, work.start, work.announced_at) for work in maintenance(case)]
    assert [kind == "planned" for kind in classes] == case["maintenance_deducted"]


@each(AVAILABILITY)
def test_availability_where_late_maintenance_counts_only_as_far_as_there_was_an_outage(
    contract_counting_outages_only, case
):
    month = ms.availability(contract_counting_outages_only, case["month"], outages(case), maintenance(case))
    assert percent_text(month.percent) == case["alt_late_maintenance_not_downtime_percent"]
    assert month.met is case["alt_late_maintenance_not_downtime_met"]


@each(AVAILABILITY)
def test_availability_measured_against_the_whole_month(contract_with_full_month_base, case):
    month = ms.availability(contract_with_full_month_base, case["month"], outages(case), maintenance(case))
    assert percent_text(month.percent) == case["alt_full_month_base_percent"]
    assert month.met is case["alt_full_month_base_met"]

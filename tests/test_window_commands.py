"""`maintsched window`: what each command stores, whom it tells, what it says of it, and how it refuses."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

import maintsched as ms
from tests.desks import CONTRACT, crowd, desk
from tests.houses import ACME, BERLIN, FLEET, NOW

__all__ = ["desk"]

START = datetime(2026, 11, 10, 19, 0, tzinfo=BERLIN)
DISK = ("--duration", "2h", "--instances", "acme-prod", "--reason", "replace a failing disk")
CRITICAL = ("window", "announce", "critical", "--start", "2026-11-10 19:00", *DISK)
EMERGENCY = ("window", "announce", "emergency", "--start", "in 3 hours", *DISK, "--why-short", "it is being exploited")
LATER = NOW + timedelta(hours=1)


def announced(desk, *more, kind=CRITICAL):
    return desk.json(*kind, *more)


# --- announce ---------------------------------------------------------------------------------------------------------


def test_a_critical_window_far_enough_ahead_is_confirmed_and_tells_its_customers_people(desk):
    said = desk.run(*CRITICAL).stdout
    assert said.splitlines()[:2] == [
        "critical/2026-11-10  confirmed",
        "  when     Tue 10 Nov 2026, 19:00 – 21:00 CET  (in 6 days)",
    ]
    assert "tells    2 notices: acme/eva, acme/otto" in said
    assert "counts   as planned if accepted at once (clause 2.4.3.2)" in said
    assert "costs" not in said
    assert set(desk.sent()) == {f"notice/announcement/critical:2026-11-10/0/acme/{who}" for who in ("eva", "otto")}


def test_a_start_too_near_is_refused_with_the_earliest_one_and_that_one_is_accepted(desk):
    line = desk.refused("window", "announce", "critical", "--start", "in 20 hours", *DISK)
    assert "2.4.3.2" in line
    assert "enter it as an emergency" in line
    assert desk.json("window", "list") == []
    earliest = line.split("expected ")[1].split(" or later")[0]
    assert datetime.fromisoformat(earliest) == ms.offered_start(CONTRACT, NOW)
    desk.run("window", "announce", "critical", "--start", earliest, *DISK)
    (row,) = desk.json("window", "list")
    assert row["start"] == earliest


def test_the_json_of_an_announcement_has_a_fixed_shape(desk):
    row = announced(desk, "--key", "disk")
    assert list(row) == [
        "id",
        "kind",
        "state",
        "start",
        "end",
        "instances",
        "reason",
        "impact",
        "deadline",
        "deadline_exclusive",
        "clause",
        "origin",
        "mailed",
        "alternatives",
        "change",
        "previous",
        "notices",
        "withdrawn",
        "unreachable",
        "not_before",
        "costs",
    ]
    assert row["id"] == "critical/disk"
    assert row["start"] == START.isoformat()
    assert row["deadline"] == (START - timedelta(hours=72)).isoformat()
    assert row["not_before"] == NOW.astimezone(BERLIN).isoformat()
    assert row["costs"] == []


def test_the_key_is_the_date_and_a_number_where_that_is_taken(desk):
    assert [announced(desk)["id"] for _ in range(3)] == [
        "critical/2026-11-10",
        "critical/2026-11-10-2",
        "critical/2026-11-10-3",
    ]


def test_instances_are_named_alone_in_a_list_by_customer_or_all(desk):
    start = ("window", "announce", "critical", "--start", "2026-11-10 19:00", "--duration", "1h", "--reason", "x")
    for words, found in (
        (("--instances", "acme-test, birch-prod,acme-test"), ["acme-test", "birch-prod"]),
        (("--instances", "acme-test", "--instances", "birch-prod"), ["acme-test", "birch-prod"]),
        (("--customer", "acme"), ["acme-prod", "acme-test"]),
        (("--all",), ["acme-prod", "acme-test", "birch-prod"]),
    ):
        assert desk.json(*start, *words, "--dry-run")["instances"] == found


def test_a_dry_run_says_the_same_and_stores_nothing(desk):
    before = desk.entries()
    said = desk.run(*CRITICAL, "--dry-run").stdout.splitlines()
    assert said[0] == "Nothing was stored; this is what would happen:"
    assert desk.entries() == before
    assert desk.notices() == []
    assert desk.run(*CRITICAL).stdout.splitlines() == said[1:]


def test_publishing_without_mail_tells_nobody_and_says_so(desk):
    assert "nobody: published without mail, which proves nothing" in desk.run(*CRITICAL, "--no-mail").stdout
    assert desk.notices() == []
    assert "without mail" in desk.run("window", "list").stdout


def test_a_customer_that_nobody_can_be_told_of_is_named(desk):
    desk.keep(replace(FLEET, customers=(replace(ACME, contacts=()), *FLEET.customers[1:])))
    assert "nobody   can be told at acme: add a contact with role" in desk.run(*CRITICAL).stdout


# --- emergencies ------------------------------------------------------------------------------------------------------


def test_an_emergency_wants_the_reason_why_more_notice_was_not_practicable(desk):
    assert "why-short" in desk.refused("window", "announce", "emergency", "--start", "in 3 hours", *DISK)
    day_ahead = ("window", "announce", "emergency", "--start", "in 24 hours", *DISK)
    assert desk.json(*day_ahead, "--dry-run")["kind"] == "emergency"


def test_an_emergency_says_exactly_what_it_costs_of_the_month(desk):
    row = announced(desk, kind=EMERGENCY)
    begin = NOW + timedelta(hours=3)
    work = ms.Maintenance(start=begin, end=begin + timedelta(hours=2), announced_at=NOW)
    by_hand = ms.availability(CONTRACT, "2026-11", [], [work], now=begin + timedelta(hours=2))
    assert by_hand.counted_seconds == 7200
    assert by_hand.percent == Decimal("99.722222")
    assert row["costs"] == [
        {
            "instance": "acme-prod",
            "month": "2026-11",
            "seconds": 7200,
            "percent_before": "100.000000",
            "percent_after": f"{by_hand.percent}",
            "budget_left_seconds": float(by_hand.budget_left_seconds),
            "met": True,
        }
    ]
    said = desk.run(*EMERGENCY, "--dry-run").stdout
    assert "counts   as unplanned if accepted at once (clause 2.4.3.3)" in said


def test_the_cost_line_names_minutes_percent_what_is_left_and_the_clause(desk):
    said = desk.run(*EMERGENCY).stdout
    assert (
        "costs    acme-prod, 2026-11: 120 min of the month's downtime, 100.000 % becomes 99.722 % of 99.5 %, "
        "96 min left (clause 2.4.5)\n"
    ) in said


def test_an_emergency_that_would_break_the_months_promise_says_so(desk):
    row = desk.json(*EMERGENCY, "--dry-run")
    assert row["costs"][0]["met"]
    longer = [word if word != "2h" else "4h" for word in EMERGENCY]
    (cost,) = desk.json(*longer, "--dry-run")["costs"]
    assert not cost["met"]
    month = 30 * 24 * 3600
    assert cost["budget_left_seconds"] == month * 0.005 - 4 * 3600
    assert "24 min too much: the promise of 99.5 % is broken" in desk.run(*longer).stdout


def test_what_other_emergencies_and_outages_took_is_part_of_the_budget(desk):
    desk.run(*EMERGENCY)
    desk.run("outage", "open", "acme-prod", "--start", (NOW - timedelta(hours=1)).isoformat())
    desk.run("outage", "close", "acme-prod")
    (cost,) = desk.json(*EMERGENCY[:4], "in 30 hours", *EMERGENCY[5:], "--dry-run")["costs"]
    assert (cost["percent_before"], cost["seconds"]) == ("99.583333", 7200)
    assert not cost["met"]


def test_only_production_costs_anything(desk):
    words = [word if word != "acme-prod" else "acme-test" for word in EMERGENCY]
    assert desk.json(*words)["costs"] == []


def test_an_emergency_over_the_turn_of_the_month_costs_both_months(desk):
    words = ("window", "announce", "emergency", "--start", "2026-11-30 23:00", *DISK)
    in_time = desk.json(*words, "--dry-run")["costs"]
    assert {cost["seconds"] for cost in in_time} == {0}  # announced in time, it is planned by the facts
    late = datetime(2026, 11, 30, 12, 0, tzinfo=BERLIN)
    costs = desk.json(*words, "--why-short", "it is being exploited", now=late)["costs"]
    assert [(cost["month"], cost["seconds"]) for cost in costs] == [("2026-11", 3600), ("2026-12", 3600)]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--start", "2026-11-10 19:00", "--reason", "x", "--instances", "acme-prod"), 2, "--duration or --end"),
        (("--start", "2026-11-10 19:00", "--end", "2026-11-10 21:00", *DISK), 2, "--duration or --end"),
        (("--start", "2300-11-10 19:00", *DISK), 2, "--start"),
        (("--start", "2026-11-10T19:00", *DISK), 2, "--start"),
        (("--start", "2026-11-10T19:00+25:00", *DISK), 2, "--start"),
        (("--start", "soon", *DISK), 2, "--start"),
        (("--start", "2026-11-03 19:00", *DISK), 1, "start: expected an instant from"),
        (("--start", "2026-11-10 19:00", *DISK, "--duration", "0h"), 1, "end: expected an instant after"),
        (("--start", "2026-11-10 19:00", *DISK, "--duration", "1000h"), 1, "168 h"),
        (("--start", "2026-11-10 19:00", *DISK, "--duration", "long"), 2, "--duration"),
        (("--start", "2026-11-10 19:00", *DISK, "--instances", "acme-prd"), 1, "did you mean acme-prod?"),
        (("--start", "2026-11-10 19:00", *DISK, "--customer", "acm"), 1, "did you mean acme?"),
        (("--start", "2026-11-10 19:00", "--duration", "2h", "--reason", "x"), 2, "whom is it for?"),
        (("--start", "2026-11-10 19:00", *DISK, "--all"), 2, "--all stands alone"),
        (("--start", "2026-11-10 19:00", *DISK, "--reason", ""), 1, "reason: expected"),
        (("--start", "2026-11-10 19:00", *DISK, "--reason", "x" * 501), 1, "up to 500"),
        (("--start", "2026-11-10 19:00", *DISK, "--reason", "a\nBcc: e@x.example"), 1, "one line"),
        (("--start", "2026-11-10 19:00", *DISK, "--reason", "=?UTF-8?Q?=0A?="), 1, "'=?'"),
        (("--start", "2026-11-10 19:00", *DISK, "--key", "a b"), 1, "key: expected"),
        (("--start", "2026-11-10 19:00", *DISK, "--key", "x" * 64), 1, "1 to 63"),
        (("--start", "2026-11-10 19:00", *DISK, "--release", "12.9"), 1, "release: expected"),
        (("--start", "2026-11-10 19:00", *DISK, "--impact", "much"), 2, "--impact"),
        (("--start", "2026-11-10 19:00", *DISK, "--why-short", "x"), 2, "--why-short belongs to emergencies"),
        (("--start", "2026-11-10 19:00", *DISK, "--alternative", "2026-11-11 19:00"), 2, "add --tentative"),
        (
            ("--start", "2026-11-10 19:00", *DISK, "--tentative", "--alternative", "2026-11-10 19:00"),
            2,
            "differ from each other",
        ),
        (
            ("--start", "2026-11-10 19:00", *DISK, "--tentative", "--alternative", "2026-11-05 19:00"),
            1,
            "or later, so that it can be announced in time",
        ),
        (
            ("--start", "2026-11-10 19:00", *DISK, "--tentative", *("--alternative", "in 9 days") * 20),
            2,
            "at most 19",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_and_stores_nothing(desk, words, code, said):
    assert said in desk.refused("window", "announce", "critical", *words, code=code)
    assert desk.notices() == []


def test_an_emergency_is_never_only_offered(desk):
    assert "told at once" in desk.refused(*EMERGENCY, "--tentative", code=2)


def test_a_known_key_is_refused(desk):
    desk.run(*CRITICAL, "--key", "disk")
    assert "give another one with --key" in desk.refused(*CRITICAL, "--key", "disk")


# --- many -------------------------------------------------------------------------------------------------------------

EVERYBODY = ("--duration", "2h", "--all", "--reason", "new switches")


def test_more_than_twenty_notices_want_a_yes_without_a_terminal(desk):
    desk.keep(crowd(21))
    words = ("window", "announce", "critical", "--start", "2026-11-10 19:00", *EVERYBODY)
    line = desk.refused(*words)
    assert line == (
        "21 notices would go out, to c0/p0, c1/p1, c10/p10, c11/p11, c12/p12 and 16 more; nothing was done: "
        "look at it and give --yes"
    )
    assert desk.notices() == []
    assert len(desk.json(*words, "--dry-run")["notices"]) == 21
    assert len(desk.json(*words, "--yes")["notices"]) == 21
    desk.tick()
    refused = desk.refused("window", "cancel", "critical/2026-11-10", "--reason", "x", now=LATER)
    assert refused.startswith("21 notices would go out")
    desk.run("window", "cancel", "critical/2026-11-10", "--reason", "x", "--yes", now=LATER)


def test_twenty_go_out_without_a_question(desk):
    desk.keep(crowd(20))
    desk.run("window", "announce", "critical", "--start", "2026-11-10 19:00", *EVERYBODY)


def test_an_emergency_never_waits_for_a_yes(desk):
    desk.keep(crowd(21))
    words = ("window", "announce", "emergency", "--start", "in 2 hours", *EVERYBODY, "--why-short", "exploited")
    row = desk.json(*words)
    assert len(row["notices"]) == 21
    assert row["not_before"] == NOW.astimezone(BERLIN).isoformat()
    desk.tick()
    desk.run("window", "move", row["id"], "--start", "in 3 hours", now=NOW + timedelta(minutes=1))

"""`maintsched outage`: begin and end are told at once, and take their share of the month's budget."""

from datetime import timedelta

import pytest

import maintsched as ms
from maintsched.journal import EntryKind
from tests.desks import CONTRACT, crowd, desk
from tests.houses import BERLIN, NOW

__all__ = ["desk"]

OPEN = ("outage", "open", "acme-prod", "--note", "the database does not answer")
LATER = NOW + timedelta(minutes=30)
KEY = "acme-prod-20261104T0900Z"


def test_an_outage_is_told_at_once(desk):
    said = desk.run(*OPEN).stdout
    assert said.splitlines() == [
        f"{KEY}  Wed 4 Nov 2026, 10:00, still open  critical  the database does not answer",
        "  tells acme/eva, acme/otto with the next pass of the worker",
    ]
    sent = desk.sent()
    assert set(sent) == {f"notice/outage_begun/outage:{KEY}/0/acme/{who}" for who in ("eva", "otto")}
    assert all(b"database does not answer" in mail.data.replace(b"=\r\n", b"") for mail in sent.values())


def test_its_end_is_told_at_once_to_the_same_people(desk):
    desk.run(*OPEN)
    desk.tick()
    row = desk.json("outage", "close", "acme-prod", "--note", "a disk was full", now=LATER)
    assert (row["start"], row["end"]) == (NOW.astimezone(BERLIN).isoformat(), LATER.astimezone(BERLIN).isoformat())
    assert set(desk.sent(LATER)) == set(row["notices"])
    assert {key.split("/")[1] for key in row["notices"]} == {"outage_ended"}
    assert {key.split("/")[3] for key in row["notices"]} == {"0"}
    entries = [entry for entry in desk.entries() if entry.subject == f"outage/{KEY}"]
    kinds = [entry.kind for entry in entries if entry.chain == "acme-prod"]
    assert [kind for kind in kinds if kind in (EntryKind.OUTAGE_OPENED, EntryKind.OUTAGE_CLOSED)] == [
        EntryKind.OUTAGE_OPENED,
        EntryKind.OUTAGE_CLOSED,
    ]


def test_an_outage_is_closed_by_its_own_key_too(desk):
    desk.run(*OPEN)
    assert desk.json("outage", "close", KEY, now=LATER)["note"] == "the database does not answer"


def test_many_people_are_told_of_an_outage_without_a_question(desk):
    desk.keep(crowd(1))
    assert desk.json("outage", "open", "i0")["notices"] == ["notice/outage_begun/outage:i0-20261104T0900Z/0/c0/p0"]


def test_an_instance_has_one_open_outage(desk):
    desk.run(*OPEN)
    assert f'close it first), got "{KEY}, which is still open"' in desk.refused(*OPEN)
    desk.run("outage", "close", "acme-prod")
    desk.run(*OPEN)
    assert [row["key"] for row in desk.json("outage", "list", "--all")] == [KEY, f"{KEY}-2"]
    assert "known name" not in desk.refused("outage", "close", "birch-prod")


def test_the_list_shows_what_is_open_and_on_demand_what_is_over(desk):
    assert desk.run("outage", "list").stdout == "no outage is open\n"
    assert desk.run("outage", "list", "--all").stdout == "no outage\n"
    assert desk.json("outage", "list") == []
    desk.run(*OPEN, "--minor", "--cause", "third_party")
    assert desk.json("outage", "list") == [
        {
            "key": KEY,
            "instance": "acme-prod",
            "start": NOW.astimezone(BERLIN).isoformat(),
            "end": None,
            "critical": False,
            "cause": "third_party",
            "data_restore": False,
            "note": "the database does not answer",
        }
    ]
    desk.run("outage", "close", "acme-prod", now=LATER)
    assert desk.json("outage", "list", now=LATER) == []
    assert desk.run("outage", "list", "--all", now=LATER).stdout == (
        f"{KEY}  Wed 4 Nov 2026, 10:00 – 10:30 CET  minor, cause: third party  the database does not answer\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("open", "acme-prd"), 1, "did you mean acme-prod?"),
        (("open",), 2, "INSTANCE"),
        (("open", "acme-prod", "--start", "in 3 hours"), 1, "start: expected an instant up to"),
        (("open", "acme-prod", "--start", "1999-01-01"), 2, "--start"),
        (("open", "acme-prod", "--start", "2026-11-04T09:00"), 2, "--start"),
        (("open", "acme-prod", "--cause", "gremlins"), 2, "--cause"),
        (("open", "acme-prod", "--note", "a\nb"), 1, "note: expected"),
        (("open", "acme-prod", "--note", "x" * 501), 1, "note: expected"),
        (("close", "acme-prod"), 1, "open outage: expected"),
        (("close", "nobody"), 1, "open outage: expected"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(desk, words, code, said):
    assert said in desk.refused("outage", *words, code=code)
    assert desk.notices() == []


@pytest.mark.parametrize("end", [NOW - timedelta(seconds=1), LATER + timedelta(seconds=1)])
def test_an_end_before_the_begin_or_still_to_come_is_refused(desk, end):
    desk.run(*OPEN)
    assert "end: expected an instant from" in desk.refused(
        "outage", "close", "acme-prod", "--end", end.isoformat(), now=LATER
    )
    assert len(desk.json("outage", "list")) == 1


def cost(desk, now=LATER):
    """What an emergency of an hour would cost now."""
    words = ("--start", "in 3 hours", "--duration", "1h", "--instances", "acme-prod", "--reason", "x")
    urgent = ("window", "announce", "emergency", *words, "--why-short", "y", "--dry-run")
    (found,) = desk.json(*urgent, now=now)["costs"]
    return found


def test_an_outage_takes_its_share_of_the_budget_to_the_second(desk):
    desk.run(*OPEN)
    desk.run("outage", "close", "acme-prod", now=LATER)
    by_hand = ms.availability(CONTRACT, "2026-11", [ms.Outage(start=NOW, end=LATER)], [])
    assert by_hand.counted_seconds == 1800
    found = cost(desk)
    assert found["percent_before"] == f"{by_hand.percent}"
    assert found["budget_left_seconds"] == float(by_hand.budget_left_seconds - 3600)


def test_an_open_outage_is_taken_to_run_on_until_the_emergency_is_over(desk):
    desk.run(*OPEN)
    end = LATER + timedelta(hours=4)
    by_hand = ms.availability(CONTRACT, "2026-11", [ms.Outage(start=NOW)], [], now=end)
    found = cost(desk)
    assert (found["percent_before"], found["seconds"]) == (f"{by_hand.percent}", 0)


@pytest.mark.parametrize("words", [("--minor",), ("--data-restore",), ("--cause", "developed_component")])
def test_what_is_no_fault_of_the_provider_takes_nothing(desk, words):
    desk.run(*OPEN, *words)
    desk.run("outage", "close", "acme-prod", now=LATER)
    assert cost(desk)["percent_before"] == "100.000000"

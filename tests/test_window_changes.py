"""`maintsched window`: offers and choices, moves, cancellations, the list and what it shows."""

from datetime import datetime, timedelta

import pytest

from maintsched.journal import EntryKind
from tests.desks import desk
from tests.houses import BERLIN, NOW

__all__ = ["desk"]

START = datetime(2026, 11, 10, 19, 0, tzinfo=BERLIN)
DISK = ("--duration", "2h", "--instances", "acme-prod", "--reason", "replace a failing disk")
CRITICAL = ("window", "announce", "critical", "--start", "2026-11-10 19:00", *DISK)
EMERGENCY = ("window", "announce", "emergency", "--start", "in 3 hours", *DISK, "--why-short", "it is being exploited")
LATER = NOW + timedelta(hours=1)


# --- offers -----------------------------------------------------------------------------------------------------------

OFFER = (
    *CRITICAL[:6],
    "2h",
    "--instances",
    "acme-prod,birch-prod",
    "--reason",
    "new storage",
    "--key",
    "store",
    "--tentative",
    "--alternative",
    "2026-11-12 19:00",
)


def test_an_offer_tells_of_the_choice_and_proves_nothing(desk):
    row = desk.json(*OFFER)
    assert row["state"] == "tentative"
    assert row["alternatives"] == [{"number": 2, "start": "2026-11-12T19:00:00+01:00"}]
    sent = desk.sent()
    assert {key.split("/")[1] for key in sent} == {"tentative"}
    shown = desk.run("window", "show", "critical/store").stdout
    assert "or       2: Thu 12 Nov 2026, 19:00 CET" in shown
    (listed,) = desk.json("window", "list")
    assert (listed["told"], listed["of"], listed["planned"]) == (2, 2, 0)
    assert {each["classification"] for each in listed["by_instance"].values()} == {None}


def test_a_customer_chooses_and_only_that_customer_is_told(desk):
    desk.run(*OFFER)
    desk.tick()
    row = desk.json("window", "choose", "critical/store", "2", "--customer", "birch", now=LATER)
    assert (row["id"], row["state"], row["start"]) == ("critical/store.2", "confirmed", "2026-11-12T19:00:00+01:00")
    assert list(desk.sent(LATER)) == ["notice/confirmed/critical:store/1/birch/ops"]
    left, chosen = desk.json("window", "list", now=LATER)
    assert (left["state"], left["instances"]) == ("tentative", ["acme-prod"])
    assert (chosen["told"], chosen["planned"], chosen["origin"]) == (1, 1, "critical/store")
    assert "one of acme" in desk.refused("window", "choose", "critical/store", "1", "--customer", "birch", now=LATER)
    assert "1 to 2" in desk.refused("window", "choose", "critical/store", "3", "--customer", "acme", now=LATER)
    desk.refused("window", "choose", "critical/store", "0", "--customer", "acme", now=LATER, code=2)


def test_an_offer_is_confirmed_once(desk):
    desk.run(*OFFER)
    desk.tick()
    assert desk.json("window", "confirm", "critical/store", now=LATER)["state"] == "confirmed"
    assert {key.split("/")[1] for key in desk.sent(LATER)} == {"confirmed"}
    (row,) = desk.json("window", "list", now=LATER)
    assert (row["told"], row["planned"], row["alternatives"]) == (2, 2, [])
    assert "a tentative window" in desk.refused("window", "confirm", "critical/store", now=LATER)


def test_an_offer_too_late_to_confirm_is_refused(desk):
    desk.run(*OFFER)
    late = START - timedelta(hours=72)
    assert "2.4.3.2" in desk.refused("window", "confirm", "critical/store", now=late)


# --- move and cancel --------------------------------------------------------------------------------------------------


def test_a_move_tells_those_who_were_told(desk):
    desk.run(*CRITICAL, "--key", "disk")
    desk.tick()
    said = desk.run("window", "move", "critical/disk", "--start", "2026-11-12 19:00", now=LATER).stdout
    assert "before   Tue 10 Nov 2026, 19:00 – 21:00 CET" in said
    assert "change   significant: it ends later" in said
    assert set(desk.sent(LATER)) == {f"notice/moved/critical:disk/1/acme/{who}" for who in ("eva", "otto")}


def test_a_shorter_window_is_a_trivial_change(desk):
    desk.run(*CRITICAL, "--key", "disk")
    row = desk.json("window", "move", "critical/disk", "--start", "2026-11-10 19:30", "--duration", "1h", now=LATER)
    assert row["change"] == {"significance": "trivial", "reasons": ["nothing is added to what was announced"]}
    assert row["previous"] == {"start": START.isoformat(), "end": (START + timedelta(hours=2)).isoformat()}


def test_a_notice_that_has_not_gone_out_dies_with_a_move(desk):
    desk.run(*CRITICAL, "--key", "disk")
    said = desk.run("window", "move", "critical/disk", "--start", "2026-11-12 19:00", now=LATER).stdout
    assert "withdrew 2 that had not gone out" in said
    assert {key.split("/")[1] for key in desk.sent(LATER)} == {"announcement"}


def test_a_monthly_window_is_moved_before_anybody_was_told(desk):
    said = desk.run("window", "move", "monthly/2026-12", "--start", "2026-12-08 17:00").stdout
    assert "tells    nobody: nobody was told of it yet" in said
    (row,) = desk.json("window", "list")
    assert row["start"] == "2026-12-08T17:00:00+01:00"
    assert row["deadline_exclusive"]


def test_a_move_to_its_own_time_is_refused(desk):
    desk.run(*CRITICAL, "--key", "disk")
    line = desk.refused("window", "move", "critical/disk", "--start", "2026-11-10 19:00")
    assert "expected another time than its own" in line


def test_a_cancelled_window_tells_those_who_were_told_and_ends(desk):
    desk.run(*CRITICAL, "--key", "disk")
    desk.tick()
    desk.run("window", "cancel", "critical/disk", "--reason", "it was replaced already", now=LATER)
    sent = desk.sent(LATER)
    assert {key.split("/")[1] for key in sent} == {"cancelled"}
    assert all(b"it was replaced already" in mail.data.replace(b"=\r\n", b"") for mail in sent.values())
    line = desk.run("window", "list", now=LATER).stdout
    assert line.startswith("critical/disk  cancelled")
    assert line.endswith("1 of 1 told\n")
    for words in (("cancel", "critical/disk", "--reason", "x"), ("move", "critical/disk", "--start", "in 9 days")):
        assert "announce a new one" in desk.refused("window", *words, now=LATER)


def test_nobody_hears_that_a_window_is_cancelled_who_never_heard_of_it(desk):
    desk.run(*CRITICAL, "--key", "disk")
    assert "tells    nobody" in desk.run("window", "cancel", "critical/disk", "--reason", "x").stdout
    assert desk.sent() == {}
    assert desk.run("window", "list").stdout.endswith("nobody to tell\n")


@pytest.mark.parametrize("reason", ["", "a\nb", "=?x?=", "x" * 501])
def test_the_reason_of_a_cancellation_is_a_line_of_text(desk, reason):
    desk.run(*CRITICAL, "--key", "disk")
    assert "reason: expected" in desk.refused("window", "cancel", "critical/disk", "--reason", reason)


@pytest.mark.parametrize(
    "words",
    [
        ("show", "critical/dsk"),
        ("confirm", "critical/dsk"),
        ("cancel", "critical/dsk", "--reason", "x"),
        ("move", "critical/dsk", "--start", "in 9 days"),
        ("choose", "critical/dsk", "1", "--customer", "acme"),
    ],
)
def test_an_unknown_window_is_refused_with_the_one_that_was_meant(desk, words):
    desk.run(*CRITICAL, "--key", "disk")
    assert "did you mean critical/disk?" in desk.refused("window", *words)


def test_a_window_that_has_begun_is_neither_moved_nor_cancelled(desk):
    desk.run(*CRITICAL, "--key", "disk")
    for words in (("move", "critical/disk", "--start", "in 9 days"), ("cancel", "critical/disk", "--reason", "x")):
        assert "a window ahead" in desk.refused("window", *words, now=START)


# --- list and show ----------------------------------------------------------------------------------------------------


def test_the_list_says_what_is_ahead_and_who_was_told(desk):
    assert desk.run("window", "list").stdout == "no window is announced\n"
    desk.run(*CRITICAL, "--key", "disk")
    desk.run(*EMERGENCY)
    desk.tick()
    assert desk.run("window", "list").stdout.splitlines() == [
        "emergency/2026-11-04  confirmed  Wed 4 Nov 2026, 13:00 – 15:00 CET   1 of 1 told, unplanned",
        "critical/disk         confirmed  Tue 10 Nov 2026, 19:00 – 21:00 CET  1 of 1 told",
    ]
    later = NOW + timedelta(days=1)
    assert [row["id"] for row in desk.json("window", "list", now=later)] == ["critical/disk"]
    assert len(desk.json("window", "list", "--all", now=later)) == 2


def test_a_window_that_was_told_too_late_says_by_how_much(desk):
    desk.run(*CRITICAL, "--key", "disk")
    desk.tick(START - timedelta(hours=70))
    assert desk.run("window", "list").stdout.endswith("1 of 1 told, 2 h too late\n")


def test_show_names_the_deadline_the_proof_and_each_notice(desk):
    desk.run(*CRITICAL, "--key", "disk")
    desk.tick()
    lines = desk.run("window", "show", "critical/disk").stdout.splitlines()
    assert "  due      to be told by Sat 7 Nov 2026, 19:00 CET (clause 2.4.3.2)" in lines
    assert "  acme-prod                planned    told Wed 4 Nov 2026, 10:00 CET" in lines
    assert lines[-1] == ("  notice/announcement/critical:disk/0/acme/otto  done  recorder:25: 250 2.0.0 Ok: recorded")
    row = desk.json("window", "show", "critical/disk")
    assert row["by_instance"] == {
        "acme-prod": {"told_at": NOW.astimezone(BERLIN).isoformat(), "classification": "planned"}
    }
    assert row["over"] is False
    assert row["notices"][0]["accepted_at"] == NOW.astimezone(BERLIN).isoformat()
    assert "customer.example" not in str(row)


def test_a_window_of_the_rule_that_nobody_was_told_of_is_for_explain(desk):
    line = desk.refused("window", "show", "monthly/2026-12")
    assert "maintsched explain monthly/2026-12" in line
    assert "window: expected" in desk.refused("window", "show", "monthly/2026-13")


def test_every_change_stands_in_the_journal(desk):
    desk.run(*CRITICAL, "--key", "disk")
    desk.run("window", "move", "critical/disk", "--start", "2026-11-12 19:00")
    desk.run("window", "cancel", "critical/disk", "--reason", "x")
    kinds = [entry.kind for entry in desk.entries() if entry.subject == "critical/disk" and entry.chain == "acme-prod"]
    wanted = [EntryKind.WINDOW_ANNOUNCED, EntryKind.WINDOW_MOVED, EntryKind.WINDOW_CANCELLED]
    assert [kind for kind in kinds if kind in wanted] == wanted

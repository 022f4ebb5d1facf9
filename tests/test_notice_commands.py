"""`maintsched notice`: what is stored is shown, previewed byte for byte, sent again only where that is right."""

from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes

import pytest

from maintsched.fleet import Fleet
from maintsched.mail.compose import envelope_id
from maintsched.mail.outcomes import Result
from maintsched.notices import NoticeKind
from maintsched.store.ledger import ActionState
from tests.desks import desk
from tests.houses import ACME, BERLIN, BIRCH, NOW
from tests.test_mail_bounces import FAILED, report

__all__ = ["desk"]

START = datetime(2026, 11, 10, 19, 0, tzinfo=BERLIN)
ANNOUNCE = ("--start", "2026-11-10 19:00", "--duration", "2h", "--instances", "birch-prod", "--key", "disk")
KEY = "notice/announcement/critical:disk/0/birch/ops"
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def told(desk):
    """A desk where birch was told of a window."""
    desk.run("window", "announce", "critical", *ANNOUNCE, "--reason", "replace a failing disk")
    desk.tick()
    return desk


def undelivered(key=KEY):
    return report(FAILED, about=f"Original-Envelope-Id: {envelope_id(key)}", returned="Subject: x")


# --- list and show ----------------------------------------------------------------------------------------------------


def test_the_list_says_what_became_of_each_notice(told):
    assert told.run("notice", "list").stdout == f"{KEY:<72} done      accepted\n"
    assert told.run("notice", "list", "--window", "critical/other").stdout == "no notice\n"
    assert told.run("notice", "list", "--state", "failed").stdout == "no notice\n"
    assert told.json("notice", "list", "--customer", "acme") == []
    (row,) = told.json("notice", "list", "--customer", "birch", "--state", "done", "--window", "critical/disk")
    assert list(row) == [
        "key",
        "kind",
        "subject",
        "customer",
        "contact",
        "revision",
        "sequence",
        "required",
        "late",
        "state",
        "result",
        "attempts",
        "not_before",
        "deadline",
        "accepted_at",
        "bounced_at",
        "server",
        "reply",
        "sha256",
        "instances",
    ]
    assert (row["key"], row["server"], row["reply"]) == (KEY, "recorder:25", "250 2.0.0 Ok: recorded")
    assert row["deadline"] == (START - timedelta(hours=72)).isoformat()
    assert "customer.example" not in str(row)


def test_a_customer_that_nobody_knows_is_refused(told):
    assert "did you mean birch?" in told.refused("notice", "list", "--customer", "brich")
    told.run("notice", "list", "--customer", "_provider")


def test_show_holds_the_text_that_was_sent(told):
    result = told.run("notice", "show", KEY)
    assert "required     yes" in result.stdout
    assert "replace a failing disk" in result.stdout
    assert result.stderr == ""
    assert told.json("notice", "show", KEY)["sha256"] in result.stdout


def test_show_says_so_where_the_mail_is_another_one_now(told):
    told.configure(9, 'reply_to = "other@hosting.example"')
    assert "not byte for byte the mail that was sent" in told.run("notice", "show", KEY).stderr


def test_a_notice_to_somebody_who_is_gone_still_shows_what_happened(told):
    told.keep(Fleet(customers=(ACME, replace(BIRCH, contacts=()))))
    result = told.run("notice", "show", KEY)
    assert "250 2.0.0 Ok: recorded" in result.stdout
    assert "birch/ops: expected a contact" in result.stderr
    assert "birch/ops: expected a contact" in told.refused("notice", "preview", KEY)


@pytest.mark.parametrize("words", [("show", "x/y"), ("preview", "x/y"), ("resend", "x/y")])
def test_an_unknown_notice_is_refused(told, words):
    assert f"notice: expected one of {KEY}" in told.refused("notice", *words)


# --- preview ----------------------------------------------------------------------------------------------------------


def test_the_preview_of_a_stored_notice_is_exactly_the_mail_that_goes_out(desk, tmp_path):
    desk.run("window", "announce", "critical", *ANNOUNCE, "--reason", "replace a failing disk")
    said = desk.run("notice", "preview", KEY, "--output", str(tmp_path / "out")).stdout
    mail, page = (tmp_path / "out" / f"notice-announcement-critical-disk-0-birch-ops.{end}" for end in ("eml", "html"))
    assert said == f"{mail}\n{page}\n"
    assert desk.sent()[KEY].data == mail.read_bytes()
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_kind_has_a_specimen_in_both_languages(desk, tmp_path, kind):
    for language in ("de", "en"):
        desk.run("notice", "preview", kind, "--language", language, "--output", str(tmp_path))
        mail = message_from_bytes((tmp_path / f"{kind}-{language}.eml").read_bytes())
        assert mail["Content-Language"] == language
        assert mail["Subject"]
    assert desk.notices() == []


def test_a_preview_never_leaves_its_folder_and_says_where_it_cannot_write(desk, tmp_path):
    assert "notice: expected" in desk.refused("notice", "preview", "../../x")
    assert "kind of notice: expected one of reminder" in desk.refused("notice", "preview", "remind")
    taken = tmp_path / "taken"
    taken.write_text("x")
    assert "expected a place to write to" in desk.refused("notice", "preview", "moved", "--output", str(taken))


# --- resend -----------------------------------------------------------------------------------------------------------


def test_what_was_accepted_is_not_sent_twice(told):
    assert "one that is accepted" in told.refused("notice", "resend", KEY)


def test_what_was_refused_is_tried_again_although_the_address_was_suppressed(desk):
    desk.run("window", "announce", "critical", *ANNOUNCE, "--reason", "x")
    desk.mailer.answer = lambda _: Result.REFUSED
    desk.tick()
    desk.mailer.answer = lambda _: Result.ACCEPTED
    assert desk.notices("critical/disk")[0].state is ActionState.FAILED
    assert "next pass of the worker" in desk.run("notice", "resend", KEY, now=LATER).stdout
    assert KEY in desk.sent(LATER)
    assert desk.notices("critical/disk")[0].accepted_at == LATER


def test_what_was_overtaken_stays_overtaken(desk):
    desk.run("window", "announce", "critical", *ANNOUNCE, "--reason", "x")
    desk.mailer.answer = lambda _: Result.REFUSED
    desk.tick()
    desk.keep(Fleet(customers=(ACME, BIRCH)))
    desk.run("window", "move", "critical/disk", "--start", "2026-11-12 19:00", now=LATER)
    assert "of revision 1, the latest" in desk.refused("notice", "resend", KEY, now=LATER)


def test_nobody_is_told_of_a_window_that_has_begun(desk):
    desk.run("window", "announce", "critical", *ANNOUNCE, "--reason", "x")
    desk.mailer.answer = lambda _: Result.REFUSED
    desk.tick()
    assert "something still ahead" in desk.refused("notice", "resend", KEY, now=START)


# --- bounces ----------------------------------------------------------------------------------------------------------


def test_a_report_of_failure_on_standard_input_revokes_the_proof(told):
    assert told.json("window", "list")[0]["told"] == 1
    said = told.run("notice", "bounces", now=LATER, input=undelivered()).stdout
    assert said == f"{KEY}: its proof is revoked (5.1.1)\n"
    (row,) = told.json("window", "list", now=LATER)
    assert (row["told"], row["planned"]) == (0, 0)
    assert told.run("notice", "bounces", now=LATER, input=undelivered()).stdout == f"{KEY}: noted (5.1.1)\n"
    told.run("notice", "resend", KEY, now=LATER)
    assert KEY in told.sent(LATER)
    assert told.json("window", "list", now=LATER)[0]["told"] == 1


@pytest.mark.parametrize("raw", [b"", b"\x00\xff" * 1000, b"Subject: hello\n\nhello", report(FAILED)])
def test_what_reports_of_no_notice_of_ours_changes_nothing(told, raw):
    before = told.entries()
    assert told.run("notice", "bounces", input=raw).stdout == "about no notice of ours\n"
    assert told.entries() == before


# --- provisioned ------------------------------------------------------------------------------------------------------

LINK = "https://handover.example/birch"


def test_access_is_announced_with_its_link(desk):
    said = desk.run("notice", "provisioned", "birch-prod", "--link", LINK, "--ordered", "2026-11-04").stdout
    key = "notice/provisioned/instance:birch-prod/0/birch/ops"
    assert said == f"{key} goes out with the next pass of the worker\n"
    mail = desk.sent()[key].data.replace(b"=\r\n", b"")
    assert LINK.encode() in mail


@pytest.mark.parametrize(
    "link",
    [
        "https://user:hunter2@handover.example/",
        "https://handover.example/?token=hunter2",
        "https://handover.example/#hunter2",
    ],
)
def test_a_link_that_carries_a_secret_is_refused_and_not_repeated(desk, link):
    line = desk.refused("notice", "provisioned", "birch-prod", "--link", link)
    assert "no place for passwords" in line
    assert "hunter2" not in line
    assert desk.notices() == []


def test_links_lead_to_pages_only(desk):
    for link in ("javascript:alert(1)", "handover.example", "https://", "https://a b", "https://x/" + "y" * 3000):
        assert "link: expected" in desk.refused("notice", "provisioned", "birch-prod", "--link", link)


def test_the_same_access_is_told_once_and_another_link_anew(desk):
    desk.run("notice", "provisioned", "birch-prod", "--link", LINK)
    assert "expected another link than before" in desk.refused("notice", "provisioned", "birch-prod", "--link", LINK)
    said = desk.run("notice", "provisioned", "birch-prod", "--link", f"{LINK}/new").stdout
    assert said.startswith("notice/provisioned/instance:birch-prod/1/birch/ops")


def test_access_that_nobody_can_be_told_of_is_refused(desk):
    desk.keep(Fleet(customers=(replace(BIRCH, contacts=()),)))
    assert "add a contact" in desk.refused("notice", "provisioned", "birch-prod", "--link", LINK)
    assert "did you mean birch-prod?" in desk.refused("notice", "provisioned", "birch-prd", "--link", LINK)

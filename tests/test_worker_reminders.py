"""The monthly reminder (clause 2.4.3.1): who is told, when, once, and what is written down of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

import maintsched as ms
from maintsched.fleet import Fleet
from maintsched.journal import EntryKind
from maintsched.mail.outcomes import Result
from tests.houses import ACME, BIRCH, DECEMBER, FLEET, NOW, REMINDED, contact, instance, world

WINDOW = "monthly/2026-12"
KEYS = [f"notice/reminder/monthly:2026-12/0/{who}" for who in ("acme/eva", "acme/otto", "birch/ops")]


@pytest.fixture
def home(store, tmp_path):
    made = world(store, tmp_path, now=REMINDED - timedelta(minutes=1))
    made.tick()
    return made


def test_before_its_time_nobody_is_reminded(home):
    assert home.told() == []


def test_each_responsible_person_is_reminded_once_the_time_has_come(home):
    report = home.tick(REMINDED)
    assert sorted(home.told()) == KEYS
    assert report.exit_code == 0
    assert {mail.recipient for mail in home.mailer.mails} == {
        "eva@customer.example",
        "otto@customer.example",
        "ops@customer.example",
    }


def test_a_second_pass_finds_nothing_to_do(home):
    home.tick(REMINDED)
    home.forget()
    before = home.all_entries()
    for minutes in (0, 1, 60, 60 * 24):
        report = home.tick(REMINDED + timedelta(minutes=minutes))
        assert report.recorded.notices == ()
    assert home.told() == []
    assert home.all_entries() == before


def test_a_pass_that_was_missed_loses_nothing(home):
    report = home.tick(REMINDED + timedelta(days=2))
    assert sorted(home.told()) == KEYS
    assert report.recorded.breaches == ()


def test_a_late_reminder_goes_out_marked_late_and_the_breach_is_written_down_and_told_to_the_operator(home):
    report = home.tick(DECEMBER - timedelta(days=3))
    assert report.exit_code == 1
    assert all(stored.notice.late for stored in home.notices(WINDOW))
    assert {key.rsplit("/", 2)[1] for key in report.recorded.breaches} == {"acme", "birch"}
    kinds = [entry.kind for entry in home.entries("acme-prod")]
    assert EntryKind.BREACH in kinds
    assert EntryKind.NOTICE_ACCEPTED in kinds
    alerts = [key for key in home.told() if key.startswith("notice/operator_alert/")]
    assert len(alerts) == 1
    late = next(mail for mail in home.mailer.mails if mail.recipient == "ops@customer.example")
    assert b"later than" in late.data.replace(b"=\r\n", b"")


def test_a_breach_is_written_down_once(home):
    home.tick(DECEMBER - timedelta(days=3))
    home.forget()
    for hours in range(3):
        home.tick(DECEMBER - timedelta(days=2, hours=hours))
    assert home.told() == []


def test_the_evidence_of_a_mail_stands_in_the_chain_of_each_instance_it_names(home):
    home.tick(REMINDED)
    for key in ("acme-prod", "acme-test"):
        entries = [entry for entry in home.entries(key) if entry.kind is EntryKind.NOTICE_ACCEPTED]
        assert {entry.data["contact"] for entry in entries} == {"eva", "otto"}
        (first, _) = entries
        assert first.subject == WINDOW
        assert first.at == REMINDED
        assert first.data["server"] == "recorder:25"
        assert first.data["reply"] == "250 2.0.0 Ok: recorded"
        assert len(first.data["sha256"]) == 64
        assert first.data["message_id"].endswith("@hosting.example>")
        assert sorted(first.data["instances"]) == ["acme-prod", "acme-test"]


def test_no_address_stands_in_the_journal(home):
    home.tick(REMINDED)
    assert not [entry for entry in home.all_entries() if "customer.example" in repr(entry.data)]


def test_a_window_that_was_announced_no_longer_follows_the_rule(store, tmp_path, home):
    home.tick(REMINDED)
    monthly = home.house.contract.monthly
    other = replace(home.house.contract, monthly=replace(monthly, rule=ms.Rule.parse("FREQ=MONTHLY;BYDAY=2TH")))
    home.house.contract = other
    home.forget()
    home.tick(REMINDED + timedelta(hours=1))
    assert home.told() == []
    assert home.announcement(WINDOW).span.start == DECEMBER
    assert home.announcement(WINDOW).by_rule


def test_another_instance_is_told_anew_with_the_next_revision(home):
    home.tick(REMINDED)
    home.forget()
    home.sync(Fleet(customers=(replace(ACME, instances=(*ACME.instances, instance("acme-new"))), BIRCH)))
    home.tick(REMINDED + timedelta(hours=1))
    assert sorted(home.told()) == [key.replace("/0/", "/1/") for key in KEYS[:2]]
    (stored, _) = [each for each in home.notices(WINDOW) if each.notice.revision == 1]
    assert stored.instances == ("acme-new", "acme-prod", "acme-test")
    assert stored.notice.sequence == 1


def test_somebody_who_joins_later_is_told_too_and_the_customer_stays_told(home):
    home.tick(REMINDED)
    home.forget()
    home.sync(Fleet(customers=(ACME, replace(BIRCH, contacts=(*BIRCH.contacts, contact("new"))))))
    home.mailer.answer = lambda _: Result.DEFERRED
    home.tick(REMINDED + timedelta(hours=1))
    assert home.told() == ["notice/reminder/monthly:2026-12/0/birch/new"]
    assert not home.notices(WINDOW)[-1].notice.required


def test_an_instance_that_is_gone_is_not_told_about(home):
    home.tick(REMINDED)
    home.forget()
    home.sync(Fleet(customers=(replace(ACME, instances=ACME.instances[:1]), BIRCH)))
    home.tick(REMINDED + timedelta(hours=1))
    assert home.told() == []


def test_a_customer_with_nobody_to_be_told_is_a_breach_when_the_deadline_has_passed(store, tmp_path):
    fleet = Fleet(customers=(replace(BIRCH, contacts=()),))
    home = world(store, tmp_path, now=REMINDED, fleet=fleet)
    assert home.tick().recorded.breaches == ()
    report = home.tick(REMINDED + timedelta(days=4))
    assert report.recorded.breaches == ("breach/reminder/monthly:2026-12/0/birch/birch-prod",)
    assert report.exit_code == 1


def test_a_window_that_began_while_no_pass_was_made_is_not_announced_after_the_fact(home):
    report = home.tick(DECEMBER + timedelta(hours=1))
    assert not [key for key in home.told() if key.startswith("notice/reminder/monthly:2026-12")]
    assert any("monthly:2026-12" in key for key in report.recorded.breaches)


def test_planning_is_left_out_while_nothing_changes_and_nothing_can_be_due(home):
    assert not home.tick(REMINDED - timedelta(seconds=30)).recorded.planned
    assert home.tick(REMINDED).recorded.planned
    assert not home.tick(REMINDED + timedelta(minutes=1)).recorded.planned
    home.sync(FLEET)
    assert home.tick(REMINDED + timedelta(minutes=2)).recorded.planned


def test_the_reminder_names_every_fact_in_both_languages(home):
    home.tick(REMINDED)
    texts = {mail.key: mail.data.replace(b"=\r\n", b"").decode() for mail in home.mailer.mails}
    assert "Dienstag, 1. Dezember 2026, 17:00 Uhr MEZ" in texts[KEYS[0]]
    assert "Tuesday, 1 December 2026, 16:00 GMT" in texts[KEYS[2]]
    for text in texts.values():
        assert "2.4.3.1" in text
        assert "support@hosting.example" in text
    assert "acme-prod" in texts[KEYS[0]]
    assert "acme-test" in texts[KEYS[0]]
    assert "acme" not in texts[KEYS[2]]


def test_nothing_is_due_in_the_week_of_the_first_pass_without_a_fleet(store, tmp_path):
    home = world(store, tmp_path, now=NOW, fleet=Fleet())
    assert home.tick().exit_code == 0
    assert home.told() == []

"""The monthly availability report: who gets it, when, once, and with which figures (clause 2.4.5)."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

import maintsched as ms
from maintsched.facts import Outage
from maintsched.fleet import Fleet
from maintsched.worker.outages import close_outage, open_outage
from maintsched.worker.reports import next_report, report_due
from tests.houses import ACME, BERLIN, BIRCH, NOW, contact, instance, world

CONTRACT = ms.load_contract()
DUE = datetime(2026, 12, 1, 9, 0, tzinfo=BERLIN)
"""Support first opens after November 2026: Tuesday, 09:00."""
READER = contact("rita", roles=("reports",))
FLEET = Fleet(customers=(replace(ACME, contacts=(*ACME.contacts, READER)), BIRCH))
KEY = "notice/availability_report/month:2026-11/0/acme/rita"


def reports(home, at):
    """The report mails that a pass sends."""
    home.forget()
    home.tick(at)
    return {mail.key: mail for mail in home.mailer.mails if "/availability_report/" in mail.key}


@pytest.fixture
def home(store, tmp_path):
    made = world(store, tmp_path, fleet=FLEET)
    made.tick()
    return made


def rows(home):
    (stored,) = [each for each in home.notices("month/2026-11") if each.notice.contact == "rita"]
    return stored.notice.facts["report"]["rows"]


def test_it_goes_out_once_when_support_first_opens_in_the_month_and_only_to_those_who_read_reports(home):
    assert reports(home, DUE - timedelta(minutes=1)) == {}
    assert list(reports(home, DUE)) == [KEY]
    for later in (timedelta(0), timedelta(days=1), timedelta(days=20)):
        assert reports(home, DUE + later) == {}


def test_a_missed_pass_loses_no_report(home):
    assert list(reports(home, DUE + timedelta(days=9))) == [KEY]


def test_a_customer_without_readers_gets_none(store, tmp_path):
    home = world(store, tmp_path)
    assert reports(home, DUE) == {}


def test_of_a_month_before_the_records_began_nothing_is_reported(store, tmp_path):
    home = world(store, tmp_path, fleet=FLEET)
    assert reports(home, NOW) == {}


def test_the_figures_are_those_of_the_availability_to_the_second(home):
    begin, end = NOW + timedelta(days=1), NOW + timedelta(days=1, seconds=4711)
    open_outage(home.house, Outage(start=begin, instance="acme-prod"), now=begin)
    close_outage(home.house, "acme-prod", end=end, now=end)
    by_hand = ms.availability(CONTRACT, "2026-11", [ms.Outage(start=begin, end=end)], [])
    assert by_hand.counted_seconds == 4711
    mail = reports(home, DUE)[KEY]
    assert rows(home) == [
        {
            "instance": "acme-prod",
            "percent": f"{by_hand.percent} %",
            "counted": "1 h 18 min 31 s",
            "allowed": "3 h 36 min",
            "met": True,
        }
    ]
    assert b"99,818248" in mail.data.replace(b"=\r\n", b"") or b"99.818248" in mail.data.replace(b"=\r\n", b"")


def test_a_promise_that_was_missed_is_reported_as_missed(home):
    begin, end = NOW, NOW + timedelta(hours=4)
    open_outage(home.house, Outage(start=begin, instance="acme-prod"), now=begin)
    close_outage(home.house, "acme-prod", end=end, now=end)
    reports(home, DUE)
    (row,) = rows(home)
    assert not row["met"]


def test_an_outage_that_is_still_open_counts_to_the_end_of_the_month(home):
    begin = datetime(2026, 11, 30, 23, 0, tzinfo=BERLIN)
    open_outage(home.house, Outage(start=begin, instance="acme-prod"), now=begin)
    reports(home, DUE)
    assert rows(home)[0]["counted"] == "1 h"


def test_a_subscription_that_began_or_ended_in_the_month_is_measured_for_its_own_time(store, tmp_path):
    begun = instance("acme-prod", starts_on=date(2026, 11, 16))
    ended = instance("acme-old", ends_on=date(2026, 11, 10))
    later = instance("acme-late", starts_on=date(2026, 12, 1))
    before = instance("acme-gone", ends_on=date(2026, 10, 31))
    customer = replace(FLEET.customers[0], instances=(begun, ended, later, before))
    home = world(store, tmp_path, fleet=Fleet(customers=(customer,)))
    home.tick()
    first = datetime(2026, 11, 15, 23, 0, tzinfo=BERLIN)
    open_outage(home.house, Outage(start=first, instance="acme-prod"), now=first)
    close_outage(home.house, "acme-prod", end=first + timedelta(hours=2), now=first + timedelta(hours=2))
    reports(home, DUE)
    found = {row["instance"]: row for row in rows(home)}
    assert set(found) == {"acme-prod", "acme-old"}
    assert found["acme-prod"]["counted"] == "1 h"  # the hour before midnight was not paid for
    assert found["acme-prod"]["allowed"] == "1 h 48 min"  # 0.5 % of 15 days
    assert found["acme-old"]["allowed"] == "1 h 12 min"  # 0.5 % of 10 days


@pytest.mark.parametrize("month", [f"{year}-{number:02}" for year in (2026, 2027) for number in range(1, 13)])
def test_the_next_report_is_the_first_one_ahead(month):
    due = report_due(CONTRACT, month)
    assert due.astimezone(BERLIN).date().day <= 7
    assert next_report(CONTRACT, due - timedelta(seconds=1)) == due
    after = next_report(CONTRACT, due)
    assert after > due
    assert after == next_report(CONTRACT, after - timedelta(days=20))


def test_the_first_opening_skips_weekends_and_holidays():
    assert report_due(CONTRACT, "2026-12") == datetime(2027, 1, 4, 9, 0, tzinfo=BERLIN)
    assert report_due(CONTRACT, "2026-09") == datetime(2026, 10, 1, 9, 0, tzinfo=BERLIN)
    assert next_report(CONTRACT, datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == report_due(CONTRACT, "2026-12")

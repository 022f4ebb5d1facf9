"""How long the worker, or the mail server, may be down before a promise is broken, and what is done when one is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.journal import EntryKind
from maintsched.localtime import utc
from maintsched.mail.outcomes import Hint, Outcome, Result, Step
from maintsched.notices import planned_notices
from maintsched.spans import Span
from maintsched.store.ledger import ActionState
from maintsched.worker import announce as core
from maintsched.worker.perform import next_try
from maintsched.worker.tick import ExitCode
from tests import standstills
from tests.databases import sqlite_store
from tests.houses import BERLIN, DECEMBER, NOW, REMINDED, critical, world
from tests.standstills import HOUR, Stage, paas, reminders, weekly
from tools import reliability

DAY = timedelta(hours=24)
LADDER = [timedelta(hours=hours) for hours in (1, 2, 6, 12, 24, 48, 96, 168, 240)]
START = NOW + 74 * HOUR
"""The earliest start that may be announced at `NOW`."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture
def file(tmp_path):
    """A store where many passes are quick, for tests of what does not depend on the database."""
    with sqlite_store(tmp_path) as store:
        yield store


# --- the worker is down ----------------------------------------------------------------------------------------------


@given(st.integers(0, 13_000))
def test_every_notice_with_a_planned_time_goes_out_its_margin_before_its_deadline(days):
    near = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=days)
    for contract in (paas(), weekly()):
        for window in ms.monthly_windows(contract, near, near + timedelta(days=40)):
            (notice,) = planned_notices(contract, window)
            assert utc(notice.deadline) - utc(notice.send_at) >= contract.notice.margin
    assert paas().notice.margin >= DAY


def test_a_day_without_a_worker_before_each_reminder_of_two_years_breaks_no_promise(file, tmp_path):
    cases = reminders(paas())
    assert len(cases) == 24
    home = world(file, tmp_path, now=cases[0].at - 2 * DAY, fleet=standstills.PAAS_FLEET)
    home.tick()
    for case in cases:
        home.tick(case.at - timedelta(seconds=1))
        report = home.tick(case.at + DAY)
        assert (report.exit_code, report.recorded.breaches) == (ExitCode.DONE, ())
        assert home.told() == [f"notice/reminder/{case.subject.replace('/', ':')}/0/birch/ops"]
        home.forget()
    assert not [entry for entry in home.all_entries() if entry.kind is EntryKind.BREACH]


@pytest.mark.parametrize("month", ["2026-11", "2027-01", "2027-04"], ids=["clock change", "Christmas", "Easter"])
def test_up_to_its_measure_a_standstill_breaks_nothing_and_from_there_on_it_does(stage, month):
    (case,) = [each for each in reminders(paas()) if each.subject == f"monthly/{month}"]
    (planned,) = planned_notices(paas(), paas_window(case.subject))
    with stage.begun(case) as after:
        kept = [length for length in LADDER if after(length).kept]
        broken = [length for length in LADDER if length not in kept]
        assert [length for length in kept if not length < utc(planned.deadline) - utc(case.at)] == []
        assert [length for length in broken if not length >= utc(planned.deadline) - utc(case.at)] == []
        assert DAY in kept
        assert [after(length).breaches for length in broken] == [1] * len(broken)


def paas_window(name):
    span = (standstills.FIRST, standstills.FIRST + timedelta(days=800))
    return next(window for window in ms.monthly_windows(paas(), *span) if window.id == name)


QUICK = {"announcement", "emergency", "outage_begun", "reminder"}


def test_the_reliability_page_says_what_is_measured(stage):
    """Some figures are tried on both of their sides; `python -m tools.reliability` measures all from the beginning."""
    figures = reliability.written(reliability.PAGE.read_text(encoding="utf-8"))
    cases = {
        (case.notice, case.contract.name, case.where): case
        for contract in (paas(), weekly())
        for case in (*reminders(contract), *standstills.owed_in_time(contract), *standstills.owed_at_once())
    }
    assert {figure.notice for figure in figures} == {notice for notice, _, _ in cases}
    for figure in (each for each in figures if each.contract == "intrexx-paas" and each.notice in QUICK):
        case = cases[figure.notice, figure.contract, figure.measured_at]
        with stage.begun(case) as after:
            assert after(timedelta()).kept
            if case.deadline:
                assert at_the_edge(figure.in_time, lambda length: after(length).kept), figure
            if figure.told != reliability.BEYOND:
                assert at_the_edge(figure.told, lambda length: after(length).told), figure


def at_the_edge(text, holds):
    length = reliability.length_of(text)
    return holds(length) and not holds(length + standstills.STEP)


def test_the_page_promises_a_day_for_what_is_planned_and_the_allowed_time_for_what_is_owed_at_once():
    figures = reliability.written(reliability.PAGE.read_text(encoding="utf-8"))
    for figure in figures:
        terms = {"intrexx-paas": paas(), "generic-weekly": weekly()}[figure.contract].notice
        if figure.goes_out == "as planned":
            assert reliability.length_of(figure.in_time) >= terms.margin
        elif figure.in_time != "–":
            assert reliability.length_of(figure.in_time) == terms.delivery_margin + terms.hold


@pytest.mark.parametrize("minutes", [0, 1, 59, 60, 61, 90, 24 * 60, 95 * 60, 96 * 60, 28 * 24 * 60 - 1])
def test_a_length_on_the_page_reads_back_as_it_was(minutes):
    length = timedelta(minutes=minutes)
    assert reliability.length_of(reliability.words(length)) == length


# --- a promise is broken ---------------------------------------------------------------------------------------------


def broken(home, report, subject, customers):
    """Say that a broken promise is written down once an instance, told once, and seen in the exit code."""
    assert report.exit_code is ExitCode.OPERATOR
    assert {key.split("/")[4] for key in report.recorded.breaches} == customers
    assert len(report.recorded.breaches) == len({key.split("/")[5] for key in report.recorded.breaches})
    alerts = [mail for mail in home.mailer.mails if mail.key.startswith("notice/operator_alert/alert:breach:")]
    assert [mail.recipient for mail in alerts] == ["support@hosting.example"]
    assert all(stored.notice.late for stored in home.notices(subject))
    entries = [entry for entry in home.all_entries() if entry.kind is EntryKind.BREACH]
    assert {entry.data["customer"] for entry in entries} == customers
    assert len({entry.chain for entry in entries}) == len(entries)
    quiet(home)


def quiet(home):
    """Say that later passes find nothing more to do, and that nothing went out twice."""
    assert len(set(home.told())) == len(home.told())
    home.forget()
    for length in (timedelta(minutes=1), HOUR, 3 * HOUR):
        assert home.tick(home.now + length).exit_code is ExitCode.DONE
    assert home.told() == []


def test_a_reminder_that_cannot_be_in_time_goes_out_late_and_that_is_written_down_and_told_once(store, tmp_path):
    home = world(store, tmp_path, now=REMINDED - timedelta(seconds=1))
    home.tick()
    report = home.tick(datetime(2026, 11, 24, tzinfo=BERLIN))
    assert len(home.notices("monthly/2026-12")) == 3
    broken(home, report, "monthly/2026-12", {"acme", "birch"})


def test_an_announcement_that_was_stored_in_time_and_goes_out_late_says_so(store, tmp_path):
    home = world(store, tmp_path)
    home.tick()
    core.announce(home.house, critical(start=START, instances=("acme-prod", "birch-prod")), now=home.now)
    assert not any(stored.notice.late for stored in home.notices("critical/disk"))
    report = home.tick(NOW + 2 * HOUR + timedelta(seconds=1))
    mail = next(mail for mail in home.mailer.mails if mail.recipient == "ops@customer.example")
    assert b"later than we have promised" in mail.data.replace(b"=\r\n", b"")
    broken(home, report, "critical/disk", {"acme", "birch"})


def test_what_was_tried_in_time_keeps_its_bytes_when_the_deadline_has_passed(store, tmp_path):
    home = world(store, tmp_path)
    home.tick()
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    home.mailer.answer = lambda _: Result.UNCERTAIN
    home.tick()
    home.mailer.answer = lambda _: Result.ACCEPTED
    home.tick(NOW + 3 * HOUR)
    first, second = (mail.data for mail in home.mailer.mails if mail.key.startswith("notice/announcement/"))
    assert first == second
    assert EntryKind.NOTICE_DIFFERS not in {entry.kind for entry in home.all_entries()}


def test_a_window_that_moves_is_late_anew_and_of_a_chosen_time_the_old_thread_is(store, tmp_path):
    home = world(store, tmp_path)
    home.tick()
    first = Span(start=START + 9 * DAY, end=START + 9 * DAY + HOUR)
    offered = Span(start=START + DAY, end=START + DAY + HOUR)
    window = critical(start=first.start, instances=("birch-prod",))
    core.announce(home.house, window, now=home.now, state=WindowState.TENTATIVE, alternatives=(offered,))
    home.tick()
    core.choose(home.house, "critical/disk", "birch", 2, now=home.now)
    home.forget()
    report = home.tick(NOW + DAY + 3 * HOUR)
    assert report.recorded.breaches == ("breach/announcement/critical:disk.2/1/birch/birch-prod",)
    (late,) = [stored for stored in home.notices("critical/disk") if stored.notice.kind == "confirmed"]
    assert late.notice.late


def test_a_window_that_began_before_the_very_first_pass_is_a_broken_promise_too(store, tmp_path):
    home = world(store, tmp_path)
    core.announce(home.house, critical(start=START), now=home.now)
    report = home.tick(START + DAY)
    assert report.results["accepted"] == 2  # two alerts: a promise broken, notices given up
    assert {stored.state for stored in home.notices("critical/disk")} == {ActionState.FAILED}
    broken(home, report, "critical/disk", {"acme"})


def test_a_window_that_came_and_went_without_a_worker_is_a_broken_promise_and_nobody_is_reminded(store, tmp_path):
    home = world(store, tmp_path, now=REMINDED - timedelta(seconds=1))
    home.tick()
    report = home.tick(DECEMBER + 10 * DAY)
    assert not [key for key in home.told() if key.startswith("notice/reminder/")]
    broken(home, report, "monthly/2026-12", {"acme", "birch"})


@pytest.mark.parametrize("case", standstills.owed_at_once(), ids=lambda case: f"{case.notice} {case.where}")
def test_what_is_owed_at_once_goes_out_with_the_first_pass_once(stage, case):
    with stage.begun(case) as after:
        assert after(2 * HOUR).kept


# --- the mail server is down -----------------------------------------------------------------------------------------


class Down:
    """A mail server that nothing reaches until it is back."""

    def __init__(self, home, back):
        self.home, self.back, self.behind, self.tried = home, back, home.mailer, 0

    async def deliver(self, mails):
        if self.home.now >= self.back:
            async for outcome in self.behind.deliver(mails):
                yield outcome
            return
        for mail in mails:
            self.tried += 1
            yield Outcome(
                key=mail.key,
                result=Result.DEFERRED,
                server="mail:25",
                reply="Connection refused",
                hint=Hint.CONNECT,
                step=Step.CONNECT,
            )


def passes(home, since, until, every):
    at = since
    while at < until:
        yield home.tick(at)
        at += every


def test_a_server_that_is_back_a_minute_before_the_deadline_is_in_time(file, tmp_path):
    home = world(file, tmp_path, now=REMINDED - timedelta(seconds=1))
    home.tick()
    deadline = datetime(2026, 11, 24, tzinfo=BERLIN)
    home.house.mailer = Down(home, back=deadline - timedelta(minutes=1))
    list(passes(home, REMINDED, deadline - HOUR, 5 * HOUR))
    list(passes(home, deadline - HOUR, deadline, timedelta(minutes=1)))
    stored = home.notices("monthly/2026-12")
    assert len(stored) == 3
    assert all(each.accepted_at == deadline - timedelta(minutes=1) and not each.notice.late for each in stored)
    assert not [entry for entry in home.all_entries() if entry.kind is EntryKind.BREACH]


def test_the_operator_is_warned_half_a_margin_before_the_deadline_and_once(file, tmp_path):
    home = world(file, tmp_path, now=REMINDED - timedelta(seconds=1))
    home.tick()
    deadline = datetime(2026, 11, 24, tzinfo=BERLIN)
    home.house.mailer = Down(home, back=deadline + DAY)
    list(passes(home, REMINDED, deadline - 12 * HOUR, HOUR))
    assert margin_alerts(home) == []
    list(passes(home, deadline - 12 * HOUR, deadline, HOUR))
    (alert,) = margin_alerts(home)
    assert alert.notice.stamp == deadline - 12 * HOUR
    assert len(alert.notice.facts["alert"]["lines"]) == 3


def margin_alerts(home):
    return [stored for stored in home.notices() if stored.notice.subject.startswith("alert/margin/")]


def test_without_a_server_a_window_is_a_broken_promise_and_everybody_is_told_when_it_is_back(file, tmp_path):
    home = world(file, tmp_path, now=REMINDED - timedelta(seconds=1))
    home.tick()
    deadline = datetime(2026, 11, 24, tzinfo=BERLIN)
    home.house.mailer = down = Down(home, back=deadline + 2 * HOUR)
    codes = [report.exit_code for report in passes(home, REMINDED, deadline + 2 * HOUR, HOUR)]
    assert codes.count(ExitCode.OPERATOR) == 1
    assert set(codes) == {ExitCode.AGAIN, ExitCode.OPERATOR}
    assert down.tried > 50
    home.tick(deadline + 3 * HOUR)
    stored = home.notices("monthly/2026-12")
    assert {each.state for each in stored} == {ActionState.DONE}
    assert {each.attempt for each in stored} == {1}
    alerts = [key for key in home.told() if key.startswith("notice/operator_alert/")]
    assert sum("breach" in key for key in alerts) == 1
    assert sum("margin" in key for key in alerts) == 1
    breaches = [entry for entry in home.all_entries() if entry.kind is EntryKind.BREACH]
    assert sorted(entry.chain for entry in breaches) == ["acme-prod", "acme-test", "birch-prod"]
    quiet(home)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """A house and a notice of it that waits."""
    folder = tmp_path_factory.mktemp("waiting")
    with sqlite_store(folder) as store:
        home = world(store, folder)
        core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
        (stored,) = home.notices("critical/disk")
        yield home, stored


@given(
    left=st.timedeltas(min_value=timedelta(seconds=3), max_value=timedelta(days=40)),
    more=st.timedeltas(min_value=timedelta(), max_value=timedelta(days=9)),
    attempt=st.integers(0, 500),
)
def test_the_next_try_is_never_later_than_half_way_to_a_deadline_that_is_ahead(waiting, left, more, attempt):
    home, stored = waiting
    notice = replace(stored.notice, deadline=NOW + left)
    at = next_try(home.house, replace(stored, notice=notice, attempt=attempt, give_up_at=NOW + left + more), NOW)
    assert NOW < at <= NOW + left / 2
    assert at - NOW <= timedelta(seconds=home.house.config.worker.retry_max_seconds)


@given(past=st.timedeltas(min_value=timedelta(days=-40), max_value=timedelta()), attempt=st.integers(0, 500))
def test_with_nothing_ahead_the_wait_doubles_up_to_its_bound(waiting, past, attempt):
    home, stored = waiting
    notice = replace(stored.notice, deadline=NOW + past)
    at = next_try(home.house, replace(stored, notice=notice, attempt=attempt, give_up_at=None), NOW)
    assert (at - NOW).total_seconds() == min(3600, 60 * 2**attempt)

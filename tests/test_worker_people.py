"""People come and go, instances change hands, times are chosen twice: who counts as told, and who still has to be."""

from dataclasses import replace
from datetime import timedelta

import pytest

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.errors import InvalidValue
from maintsched.fleet import Fleet
from maintsched.journal import EntryKind
from maintsched.mail.outcomes import Result
from maintsched.spans import Span
from maintsched.store.ledger import ActionState, claim
from maintsched.worker import announce as core
from maintsched.worker.house import read_scene
from tests.houses import ACME, BIRCH, DECEMBER, FLEET, NOW, REMINDED, contact, critical, instance, world

START = NOW + timedelta(days=7)
DISK = "critical/disk"


@pytest.fixture
def home(store, tmp_path):
    made = world(store, tmp_path)
    made.tick()
    made.forget()
    return made


def told_at(home, window=DISK):
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
    return {instance: at for (name, instance), at in scene.told.items() if name == window}


def fleet(*customers):
    return Fleet(customers=customers or FLEET.customers)


def moved_to(home, window, start, hours=2):
    return core.move(home.house, window, Span(start=start, end=start + timedelta(hours=hours)), now=home.now)


def test_a_significant_move_with_nobody_left_to_tell_takes_the_old_proof_away(home):
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    home.tick()
    home.sync(fleet(ACME, replace(BIRCH, contacts=())))
    done = moved_to(home, DISK, START + timedelta(days=1))
    assert done.unreachable == ("birch",)
    assert told_at(home) == {}


def test_what_the_old_owner_was_told_proves_nothing_to_the_new_one_who_is_told_too(home):
    core.announce(home.house, critical(start=START, instances=("acme-test",)), now=home.now)
    home.tick()
    home.forget()
    mine = replace(BIRCH, instances=(*BIRCH.instances, ACME.instances[1]))
    home.sync(fleet(replace(ACME, instances=ACME.instances[:1]), mine))
    assert told_at(home) == {}
    home.tick(NOW + timedelta(hours=1))
    assert home.told() == ["notice/announcement/critical:disk/0/birch/ops"]
    assert told_at(home) == {"acme-test": NOW + timedelta(hours=1)}


@pytest.fixture
def offered(home):
    second = Span(start=START + timedelta(days=1), end=START + timedelta(days=1, hours=2))
    window = critical(start=START, instances=("acme-prod", "birch-prod"))
    core.announce(home.house, window, now=home.now, state=WindowState.TENTATIVE, alternatives=(second,))
    core.choose(home.house, DISK, "acme", 2, now=home.now)
    home.tick()
    home.forget()
    return home


def test_a_choice_does_not_revive_what_was_cancelled_for_somebody_else(offered):
    core.cancel(offered.house, "critical/disk.2", now=offered.now, reason="not needed")
    done = core.choose(offered.house, DISK, "birch", 2, now=offered.now)
    assert done.announcement.id == "critical/disk.2-2"
    assert done.announcement.window.instances == ("birch-prod",)
    assert offered.announcement("critical/disk.2").state is WindowState.CANCELLED


def test_a_choice_does_not_move_what_was_moved_for_somebody_else(offered):
    later = START + timedelta(days=3)
    moved_to(offered, "critical/disk.2", later)
    done = core.choose(offered.house, DISK, "birch", 2, now=offered.now)
    assert done.announcement.id == "critical/disk.2-2"
    assert offered.announcement("critical/disk.2").span.start == later


def test_moving_one_customers_choice_withdraws_nothing_from_another(home):
    spans = [Span(start=START + timedelta(days=n), end=START + timedelta(days=n, hours=2)) for n in (1, 2)]
    window = critical(start=START, instances=("acme-prod", "birch-prod"))
    core.announce(home.house, window, now=home.now, state=WindowState.TENTATIVE, alternatives=tuple(spans))
    core.choose(home.house, DISK, "acme", 2, now=home.now)
    core.choose(home.house, DISK, "birch", 3, now=home.now)
    moved_to(home, "critical/disk.2", START + timedelta(days=4))
    home.tick()
    assert "notice/confirmed/critical:disk/1/birch/ops" in home.told()


def test_a_tentative_window_that_moves_is_offered_anew_and_tells_nobody(home):
    core.announce(home.house, critical(start=START), now=home.now, state=WindowState.TENTATIVE)
    home.tick()
    home.forget()
    moved_to(home, DISK, START + timedelta(days=1))
    home.tick()
    assert {key.split("/")[1] for key in home.told()} == {"tentative"}
    assert all(b"STATUS:TENTATIVE" in calendar(mail) for mail in home.mailer.mails)


def calendar(mail):
    from email import message_from_bytes, policy

    parts = message_from_bytes(mail.data, policy=policy.SMTP).walk()
    return next(part.get_content().encode() for part in parts if part.get_content_type() == "text/calendar")


def test_an_emergency_is_never_tentative(home):
    window = critical("hole", kind=ms.WindowKind.EMERGENCY, start=START)
    with pytest.raises(InvalidValue, match="at once"):
        core.announce(home.house, window, now=home.now, state=WindowState.TENTATIVE)


def test_who_was_removed_while_the_mail_waited_and_comes_back_is_told_after_all(home):
    home.mailer.answer = lambda _: Result.DEFERRED
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    home.sync(fleet(ACME, replace(BIRCH, contacts=())))
    home.tick()
    (stored,) = home.notices(DISK)
    assert stored.state is ActionState.CANCELLED
    home.sync(fleet())
    home.mailer.answer = lambda _: Result.ACCEPTED
    home.tick(NOW + timedelta(hours=3))
    assert told_at(home) == {"birch-prod": NOW + timedelta(hours=3)}


def test_the_one_who_takes_over_before_anybody_was_told_is_the_one_who_counts(home):
    home.mailer.answer = lambda mail: Result.REFUSED if mail.recipient.startswith("ops") else Result.ACCEPTED
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    home.tick()
    assert told_at(home) == {}
    home.sync(fleet(ACME, replace(BIRCH, contacts=(contact("anna"),))))
    home.tick(NOW + timedelta(hours=1))
    assert told_at(home) == {"birch-prod": NOW + timedelta(hours=1)}


def test_whoever_was_told_and_left_stays_told(home):
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    home.tick()
    home.sync(fleet(ACME, replace(BIRCH, contacts=())))
    assert told_at(home) == {"birch-prod": NOW}


def test_a_customer_whom_nobody_could_be_told_for_is_told_as_soon_as_somebody_is_there(home):
    home.sync(fleet(ACME, replace(BIRCH, contacts=())))
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    home.tick()
    home.forget()
    home.sync(fleet())
    home.tick(NOW + timedelta(hours=1))
    assert home.told() == ["notice/announcement/critical:disk/0/birch/ops"]
    assert told_at(home) == {"birch-prod": NOW + timedelta(hours=1)}


def test_a_notice_that_was_overtaken_while_nobody_was_at_it_is_withdrawn_instead_of_sent(home):
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    with home.house.store.writing() as connection:
        claim(connection, now=NOW, owner="crashed", lease_until=NOW + timedelta(minutes=5), limit=10)
    core.cancel(home.house, DISK, now=home.now, reason="not needed")
    home.tick(NOW + timedelta(minutes=6))
    assert home.told() == ["notice/cancelled/critical:disk/1/birch/ops"]
    assert EntryKind.NOTICE_WITHDRAWN in [entry.kind for entry in home.entries("birch-prod")]


def test_who_may_have_been_told_once_is_told_of_the_cancellation_whatever_came_after(home):
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    for result, minutes in ((Result.UNCERTAIN, 0), (Result.DEFERRED, 5)):
        home.mailer.answer = lambda _, result=result: result
        home.tick(NOW + timedelta(minutes=minutes))
    home.mailer.answer = lambda _: Result.ACCEPTED
    core.cancel(home.house, DISK, now=home.now, reason="not needed")
    home.forget()
    home.tick()
    assert home.told() == ["notice/cancelled/critical:disk/1/birch/ops"]


def test_an_announcement_is_not_sent_once_its_window_has_begun(home):
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    report = home.tick(START + timedelta(hours=1))
    assert not [key for key in home.told() if key.startswith("notice/announcement")]
    (stored,) = home.notices(DISK)
    assert stored.state is ActionState.FAILED
    assert report.exit_code == 1
    assert EntryKind.NOTICE_EXPIRED in [entry.kind for entry in home.entries("birch-prod")]


def test_another_lead_in_the_contract_makes_no_breach_of_what_was_told_in_time(store, tmp_path):
    home = world(store, tmp_path, now=REMINDED)
    home.tick()
    monthly = home.house.contract.monthly
    home.house.contract = replace(home.house.contract, monthly=replace(monthly, reminder=ms.Period(days=14)))
    report = home.tick(REMINDED + timedelta(days=2))
    assert report.recorded.breaches == ()


def test_a_promise_from_before_the_journal_or_the_instance_is_no_breach(store, tmp_path):
    new = replace(BIRCH, instances=(instance("birch-prod", starts_on=DECEMBER.date() - timedelta(days=2)),))
    home = world(store, tmp_path, now=DECEMBER - timedelta(days=3), fleet=fleet(ACME, new))
    report = home.tick()
    assert report.recorded.breaches == ()
    assert [key for key in home.told() if key.startswith("notice/reminder")]


def test_a_clock_that_was_ahead_silences_nobody(home):
    home.tick(NOW + timedelta(days=200))
    home.forget()
    home.clock.set(REMINDED)
    home.tick()
    assert [key for key in home.told() if key.startswith("notice/reminder/monthly:2026-12")]


def test_a_bounce_folder_that_is_missing_stops_no_mail(home, tmp_path):
    worker = replace(home.house.config.worker, bounces=str(tmp_path / "nowhere"))
    home.house.config = replace(home.house.config, worker=worker)
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    report = home.tick()
    assert home.told() == ["notice/announcement/critical:disk/0/birch/ops"]
    assert report.exit_code == 1
    assert any("nowhere" in problem for problem in report.problems)


def test_a_horizon_shorter_than_the_reminders_lead_makes_no_reminder_late(store, tmp_path):
    contract = ms.load_contract()
    contract = replace(contract, monthly=replace(contract.monthly, reminder=ms.Period(days=60)))
    home = world(store, tmp_path, now=NOW, contract=contract, horizon_months=1)
    late = []
    for days in range(0, 120, 1):
        home.tick(NOW + timedelta(days=days))
    late = [stored.key for stored in home.notices() if stored.notice.late and "2027-02" in stored.notice.subject]
    assert late == []
    assert [stored.key for stored in home.notices("monthly/2027-02")]


def test_a_fleet_wide_move_takes_one_statement_for_all_customers_not_one_each(home):
    home.tick(REMINDED)
    if home.house.store.dialect != "sqlite":
        return
    statements = []
    from sqlalchemy import event

    listener = lambda *given: statements.append(given[2])  # noqa: E731 - a name for taking it away again
    event.listen(home.house.store.engine, "before_cursor_execute", listener)
    moved_to(home, "monthly/2026-12", DECEMBER + timedelta(days=1), hours=4)
    event.remove(home.house.store.engine, "before_cursor_execute", listener)
    assert sum("SET state" in each and "subject" in each for each in statements) == 1

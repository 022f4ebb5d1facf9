"""Windows that are announced, moved, cancelled, offered and chosen: exactly the right people hear of it (law 10)."""

from dataclasses import replace
from datetime import timedelta

import pytest

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.errors import ChangeRefused, InvalidValue, StartTooNear, UnknownName
from maintsched.fleet import Fleet
from maintsched.journal import EntryKind
from maintsched.mail.outcomes import Result
from maintsched.proof import told_by_instance
from maintsched.spans import Span
from maintsched.store.ledger import ActionState
from maintsched.worker import announce as core
from maintsched.worker.house import read_scene
from tests.houses import ACME, BIRCH, DECEMBER, NOW, REMINDED, critical, world

START = NOW + timedelta(days=7)
DISK = "critical/disk"


@pytest.fixture
def home(store, tmp_path):
    made = world(store, tmp_path)
    made.tick()
    made.forget()
    return made


def told_at(home, window):
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
    return {instance: at for (name, instance), at in scene.told.items() if name == window}


def moved_to(home, window, start, hours=2):
    return core.move(home.house, window, Span(start=start, end=start + timedelta(hours=hours)), now=home.now)


def test_an_announced_window_is_told_by_the_next_pass_and_counts_as_planned(home):
    done = core.announce(home.house, critical(start=START, instances=("acme-prod", "acme-test")), now=home.now)
    assert len(done.notices) == 2
    home.tick()
    assert sorted(home.told()) == sorted(done.notices)
    assert told_at(home, DISK) == {"acme-prod": NOW, "acme-test": NOW}
    assert ms.classify(home.house.contract, START, NOW) == "planned"


def test_a_start_that_is_too_near_is_refused_with_the_earliest_one_and_nothing_is_stored(home):
    with pytest.raises(StartTooNear) as caught:
        core.announce(home.house, critical(start=NOW + timedelta(hours=73)), now=home.now)
    earliest = caught.value.earliest
    assert earliest == NOW + timedelta(hours=74)  # 72 h and the delivery margin of 2 h
    assert home.notices() == []
    core.announce(home.house, critical(start=earliest), now=home.now)


@pytest.mark.parametrize("hurry", ["", "it is being exploited"])
def test_an_emergency_within_24_hours_wants_the_reason_why_more_was_not_practicable(home, hurry):
    window = critical("hole", kind=ms.WindowKind.EMERGENCY, start=NOW + timedelta(hours=5))
    if not hurry:
        with pytest.raises(InvalidValue, match="24 h"):
            core.announce(home.house, window, now=home.now)
        return
    core.announce(home.house, window, now=home.now, hurry=hurry)
    home.tick()
    assert len(home.told()) == 2
    entry = next(each for each in home.entries("acme-prod") if each.kind is EntryKind.WINDOW_ANNOUNCED)
    assert entry.data["hurry"] == hurry


def test_a_hold_time_keeps_announcements_back_but_never_emergencies(home):
    terms = home.house.contract.notice
    home.house.contract = replace(home.house.contract, notice=replace(terms, hold=ms.Elapsed(hours=1)))
    emergency = critical("hole", kind=ms.WindowKind.EMERGENCY, start=NOW + timedelta(hours=30))
    core.announce(home.house, critical(start=START), now=home.now)
    core.announce(home.house, emergency, now=home.now)
    home.tick()
    assert {key.split("/")[1] for key in home.told()} == {"emergency"}
    home.forget()
    home.tick(NOW + timedelta(hours=1))
    assert {key.split("/")[1] for key in home.told()} == {"announcement"}


def test_a_move_tells_exactly_those_who_were_told_and_raises_revision_and_sequence(home):
    core.announce(home.house, critical(start=START, instances=("acme-prod", "birch-prod")), now=home.now)
    home.mailer.answer = lambda mail: Result.REFUSED if mail.recipient.startswith("otto") else Result.ACCEPTED
    home.tick()
    home.mailer.answer = lambda _: Result.ACCEPTED
    home.forget()
    done = moved_to(home, DISK, START + timedelta(days=1))
    assert done.change is not None
    assert done.change.significant
    home.tick()
    moved = {key for key in home.told() if key.startswith("notice/moved/")}
    assert moved == {"notice/moved/critical:disk/1/acme/eva", "notice/moved/critical:disk/1/birch/ops"}
    stored = {each.key: each for each in home.notices(DISK)}
    assert stored["notice/moved/critical:disk/1/acme/eva"].notice.sequence == 1
    assert stored["notice/announcement/critical:disk/1/acme/otto"].notice.kind == "announcement"


def test_a_notice_of_the_old_time_that_had_not_gone_out_never_does(home):
    core.announce(home.house, critical(start=START), now=home.now)
    home.mailer.answer = lambda _: Result.DEFERRED
    home.tick()
    home.mailer.answer = lambda _: Result.ACCEPTED
    home.forget()
    done = moved_to(home, DISK, START + timedelta(days=1))
    assert len(done.withdrawn) == 2
    home.tick(NOW + timedelta(hours=2))
    assert {key.split("/")[3] for key in home.told()} == {"1"}
    assert {key.split("/")[1] for key in home.told()} == {"announcement"}
    kinds = [each.kind for each in home.entries("acme-prod")]
    assert kinds.count(EntryKind.NOTICE_WITHDRAWN) == 2


def test_who_may_have_been_told_is_told_of_the_move(home):
    core.announce(home.house, critical(start=START), now=home.now)
    home.mailer.answer = lambda _: Result.UNCERTAIN
    home.tick()
    home.mailer.answer = lambda _: Result.ACCEPTED
    home.forget()
    moved_to(home, DISK, START + timedelta(days=1))
    home.tick(NOW + timedelta(hours=2))
    assert {key.split("/")[1] for key in home.told()} == {"moved"}


def test_a_moved_window_needs_its_own_72_hours(home):
    core.announce(home.house, critical(start=START), now=home.now)
    home.tick()
    home.clock.set(START - timedelta(hours=60))
    with pytest.raises(StartTooNear):
        moved_to(home, DISK, START + timedelta(hours=6))
    assert home.announcement(DISK).span.start == START


def test_a_window_that_only_becomes_shorter_keeps_its_proof(home):
    core.announce(home.house, critical(start=START), now=home.now)
    home.tick()
    home.clock.set(START - timedelta(hours=5))
    done = core.move(home.house, DISK, Span(start=START, end=START + timedelta(hours=1)), now=home.now)
    assert done.change is not None
    assert not done.change.significant
    home.tick()
    assert told_at(home, DISK) == {"acme-prod": NOW}


def test_a_window_that_was_moved_is_announced_when_the_new_notice_is_accepted(home):
    core.announce(home.house, critical(start=START), now=home.now)
    home.tick()
    home.clock.forward(timedelta(hours=3))
    moved_to(home, DISK, START + timedelta(days=1))
    assert told_at(home, DISK) == {}
    home.tick()
    assert told_at(home, DISK) == {"acme-prod": NOW + timedelta(hours=3)}


def test_a_cancellation_tells_exactly_those_who_were_told(home):
    core.announce(home.house, critical(start=START, instances=("acme-prod", "birch-prod")), now=home.now)
    home.mailer.answer = lambda mail: Result.DEFERRED if mail.recipient.startswith("ops") else Result.ACCEPTED
    home.tick()
    home.mailer.answer = lambda _: Result.ACCEPTED
    home.forget()
    core.cancel(home.house, DISK, now=home.now, reason="not needed")
    home.tick(NOW + timedelta(hours=2))
    assert sorted(home.told()) == [f"notice/cancelled/critical:disk/1/acme/{who}" for who in ("eva", "otto")]
    assert {each.state for each in home.notices(DISK) if each.notice.customer == "birch"} == {ActionState.CANCELLED}


def test_a_cancelled_window_is_never_revived(home):
    core.announce(home.house, critical(start=START), now=home.now)
    core.cancel(home.house, DISK, now=home.now, reason="not needed")
    for act in (
        lambda: core.announce(home.house, critical(start=START), now=home.now),
        lambda: core.cancel(home.house, DISK, now=home.now, reason="again"),
        lambda: moved_to(home, DISK, START + timedelta(days=2)),
        lambda: core.confirm(home.house, DISK, now=home.now),
    ):
        with pytest.raises(ChangeRefused):
            act()


def test_a_window_that_has_begun_is_neither_moved_nor_cancelled(home):
    core.announce(home.house, critical(start=START), now=home.now)
    home.clock.set(START)
    with pytest.raises(ChangeRefused, match="started"):
        core.cancel(home.house, DISK, now=home.now, reason="too late")
    with pytest.raises(ChangeRefused, match="started"):
        moved_to(home, DISK, START + timedelta(days=9))


def test_a_monthly_window_is_moved_before_anybody_is_told_and_the_reminder_names_the_new_time(home):
    new = DECEMBER + timedelta(days=1)
    done = moved_to(home, "monthly/2026-12", new, hours=4)
    assert done.notices == ()
    home.tick(REMINDED + timedelta(days=3))
    assert {key.split("/")[1] for key in home.told()} == {"reminder"}
    assert {each.notice.facts["window"]["start"] for each in home.notices("monthly/2026-12")} == {new.isoformat()}


def test_a_monthly_window_that_was_told_is_moved_with_its_own_notice(home):
    home.tick(REMINDED)
    home.forget()
    moved_to(home, "monthly/2026-12", DECEMBER + timedelta(days=1), hours=4)
    home.tick()
    assert {key.split("/")[1] for key in home.told()} == {"moved"}
    assert len(home.told()) == 3
    home.forget()
    home.tick(REMINDED + timedelta(hours=2))
    assert home.told() == []


def test_a_monthly_window_that_is_cancelled_is_not_reminded_of(home):
    core.cancel(home.house, "monthly/2026-12", now=home.now, reason="a quiet month")
    home.tick(REMINDED)
    assert home.told() == []


def test_a_tentative_window_tells_nobody_until_it_is_confirmed(home):
    offered = Span(start=START + timedelta(days=1), end=START + timedelta(days=1, hours=2))
    core.announce(home.house, critical(start=START), now=home.now, state=WindowState.TENTATIVE, alternatives=(offered,))
    home.tick()
    assert {key.split("/")[1] for key in home.told()} == {"tentative"}
    assert told_at(home, DISK) == {}
    home.forget()
    core.confirm(home.house, DISK, now=home.now)
    home.tick()
    assert {key.split("/")[1] for key in home.told()} == {"confirmed"}
    assert told_at(home, DISK) == {"acme-prod": NOW}
    assert home.announcement(DISK).state is WindowState.CONFIRMED


def test_each_customer_chooses_a_time_and_keeps_its_calendar_entry(home):
    second = Span(start=START + timedelta(days=1), end=START + timedelta(days=1, hours=2))
    window = critical(start=START, instances=("acme-prod", "birch-prod"))
    core.announce(home.house, window, now=home.now, state=WindowState.TENTATIVE, alternatives=(second,))
    home.tick()
    before = {mail.key.split("/")[-2]: uid(mail) for mail in home.mailer.mails}
    home.forget()
    core.choose(home.house, DISK, "birch", 2, now=home.now)
    home.tick()
    assert home.told() == ["notice/confirmed/critical:disk/1/birch/ops"]
    assert uid(home.mailer.mails[0]) == before["birch"]
    chosen = home.announcement("critical/disk.2")
    assert (chosen.span, chosen.window.instances) == (second, ("birch-prod",))
    assert home.announcement(DISK).window.instances == ("acme-prod",)
    assert told_at(home, "critical/disk.2") == {"birch-prod": NOW}
    core.choose(home.house, DISK, "acme", 1, now=home.now)
    home.tick()
    assert home.announcement(DISK).state is WindowState.CANCELLED
    assert home.announcement("critical/disk.1").span.start == START
    assert told_at(home, "critical/disk.1") == {"acme-prod": NOW}


def uid(mail):
    from email import message_from_bytes, policy

    calendar = next(
        part
        for part in message_from_bytes(mail.data, policy=policy.SMTP).walk()
        if part.get_content_type() == "text/calendar"
    )
    return next(line for line in calendar.get_content().splitlines() if line.startswith("UID"))


def test_who_offers_a_customer_nothing_chooses_nothing(home):
    core.announce(home.house, critical(start=START), now=home.now, state=WindowState.TENTATIVE)
    with pytest.raises(UnknownName, match="birch"):
        core.choose(home.house, DISK, "birch", 1, now=home.now)
    with pytest.raises(InvalidValue, match="1 to 1"):
        core.choose(home.house, DISK, "acme", 2, now=home.now)


def test_a_window_published_without_mail_tells_nobody_and_proves_nothing(home):
    done = core.announce(home.house, critical(start=START), now=home.now, mailed=False)
    assert done.notices == ()
    home.tick()
    assert home.told() == []
    assert told_at(home, DISK) == {}
    assert EntryKind.WINDOW_PUBLISHED in [entry.kind for entry in home.entries("acme-prod")]


def test_a_dry_run_leaves_nothing_behind(home):
    before = home.all_entries()
    done = core.announce(home.house, critical(start=START), now=home.now, dry_run=True)
    assert len(done.notices) == 2
    assert home.notices() == []
    assert home.all_entries() == before
    with pytest.raises(UnknownName):
        home.announcement(DISK)


def test_instances_that_nobody_has_are_refused(home):
    with pytest.raises(UnknownName, match="acme-prod"):
        core.announce(home.house, critical(start=START, instances=("acme-prdo",)), now=home.now)


def test_a_customer_whom_nobody_can_be_told_for_is_named(store, tmp_path):
    silent = replace(BIRCH, contacts=())
    home = world(store, tmp_path, fleet=Fleet(customers=(ACME, silent)))
    done = core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    assert done.unreachable == ("birch",)


def test_a_bounced_notice_proves_nothing_from_the_start(home):
    core.announce(home.house, critical(start=START), now=home.now)
    home.tick()
    assert told_at(home, DISK) == {"acme-prod": NOW}
    with home.house.store.writing() as connection:
        from sqlalchemy import update

        from maintsched.store.ledger import NOTICE

        connection.execute(update(NOTICE).where(NOTICE.c.contact == "otto").values(bounced_at=NOW))
    assert told_at(home, DISK) == {}


def test_proof_of_a_tentative_window_is_never_asked_for(home):
    core.announce(home.house, critical(start=START), now=home.now, state=WindowState.TENTATIVE)
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
    assert told_by_instance(home.house.contract, scene.fleet, scene.announcements, scene.known.threads, {}) == {}
    assert not [window for window in scene.facts.windows if window.id == DISK]

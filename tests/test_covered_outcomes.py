"""The bad days of a notice: a claim is lost, its time runs out under way, a report is about somebody who is gone."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, select, update

from maintsched.errors import StoreError
from maintsched.fleet import Fleet
from maintsched.journal import EntryKind
from maintsched.mail.outcomes import Result
from maintsched.store.declared import write_deferrals, write_releases
from maintsched.store.ledger import ACTION, ActionState
from maintsched.worker import announce as core
from maintsched.worker.bounces import read_bounces, take_report
from maintsched.worker.post import SUPPRESSION
from maintsched.worker.record import record_due
from maintsched.worker.tick import ExitCode
from tests.houses import ACME, BIRCH, NOW, contact, critical, world
from tests.test_due import DEFERRED, UNTIL
from tests.test_worker_outcomes import KEY, START, kinds, one, report


@pytest.fixture
def home(store, tmp_path):
    made = world(store, tmp_path)
    made.tick()
    core.announce(made.house, critical(start=START, instances=("birch-prod",)), now=made.now)
    made.forget()
    return made


def suppressed(home):
    with home.house.store.reading() as connection:
        return connection.execute(select(SUPPRESSION.c.contact)).scalars().all()


def test_a_refusal_of_somebody_whose_claim_was_taken_over_keeps_no_mail_from_the_address(home):
    def steal(_):
        with home.house.store.writing() as connection:
            connection.execute(update(ACTION).where(ACTION.c.key == KEY).values(owner="somebody else"))
        return Result.REFUSED

    home.mailer.answer = steal
    home.tick()
    assert suppressed(home) == []
    assert one(home).state is ActionState.RUNNING
    assert EntryKind.NOTICE_REFUSED not in kinds(home)
    assert not [each for each in home.notices() if "operator_alert" in each.key]


@pytest.mark.parametrize("result", [Result.DEFERRED, Result.UNCERTAIN])
def test_a_notice_whose_window_begins_while_it_is_tried_is_given_up_and_the_operator_told(home, result):
    def at_length(mail):
        if mail.key != KEY:
            return Result.ACCEPTED
        home.clock.set(START)
        return result

    home.mailer.answer = at_length
    told = home.tick()
    assert told.exit_code is ExitCode.OPERATOR
    assert (told.results["given_up"], told.results[str(result)]) == (1, 1)
    assert (one(home).state, one(home).result, one(home).attempt) == (ActionState.FAILED, str(result), 1)
    expired = [entry for entry in home.entries("birch-prod") if entry.kind is EntryKind.NOTICE_EXPIRED]
    assert [entry.data["notice"] for entry in expired] == [KEY]
    assert (EntryKind.NOTICE_UNCERTAIN in kinds(home)) is (result is Result.UNCERTAIN)
    assert [each for each in home.told() if "operator_alert/alert:notice:critical:disk:birch" in each]


@pytest.mark.parametrize("contacts", [(), (contact("nina"),)])
def test_what_comes_back_from_somebody_who_left_revokes_the_proof_and_keeps_no_mail_from_anybody(home, contacts):
    home.tick()
    home.sync(Fleet(customers=(ACME, replace(BIRCH, contacts=contacts))))
    assert take_report(home.house, report(), source="stdin", now=home.now).revoked
    assert one(home).bounced_at == NOW
    assert EntryKind.NOTICE_BOUNCED in kinds(home)
    assert suppressed(home) == []


def test_what_comes_back_from_somebody_who_left_leaves_no_address_in_the_evidence(home):
    home.tick()
    home.sync(Fleet(customers=(ACME, replace(BIRCH, contacts=()))))
    said = report().replace(b"550 5.1.1 no such user", b"550 5.1.1 <OPS@Customer.example>: no such user")
    assert take_report(home.house, said, source="stdin", now=home.now).revoked
    (entry,) = [entry for entry in home.entries("birch-prod") if entry.kind is EntryKind.NOTICE_BOUNCED]
    assert entry.data["diagnostic"] == "550 5.1.1 <<recipient>>: no such user"
    assert "customer.example" not in repr(home.notices()).lower()


def test_who_was_away_when_a_reminder_was_due_and_comes_back_is_one_who_has_to_be_told_again(home):
    home.mailer.answer = lambda _: Result.ACCEPTED
    (deferral,) = DEFERRED.deferrals
    with home.house.store.writing() as connection:
        write_releases(connection, DEFERRED.releases)
        write_deferrals(connection, DEFERRED.deferrals)
    home.tick()
    reminded = UNTIL - timedelta(days=29)
    home.clock.set(reminded)
    (key,) = [each for each in record_due(home.house, now=reminded).notices if "deferral_reminder" in each]
    home.sync(Fleet(customers=(ACME, replace(BIRCH, contacts=()))))
    home.tick()  # the first to send, since the one before was killed
    subject = f"deferral/{deferral.instance}/{deferral.release}"
    assert {each.key: (each.state, each.notice.required) for each in home.notices(subject)}[key] == (
        ActionState.CANCELLED,
        False,
    )
    home.sync(Fleet(customers=(ACME, BIRCH)))
    home.forget()
    home.tick(reminded + timedelta(hours=1))
    assert key in home.told()
    assert {each.key: (each.state, each.notice.required) for each in home.notices(subject)}[key] == (
        ActionState.DONE,
        True,
    )


# --- the maildir ------------------------------------------------------------------------------------------------------


@pytest.fixture
def bounces(home, tmp_path):
    """A maildir with a report in it, about a notice that was told."""
    home.tick()
    folder = tmp_path / "bounces"
    for part in ("new", "cur", "tmp"):
        (folder / part).mkdir(parents=True)
    (folder / "new" / "1").write_bytes(report())
    home.house.config = replace(home.house.config, worker=replace(home.house.config.worker, bounces=str(folder)))
    return folder


def test_a_report_that_another_program_takes_away_while_it_is_noted_counts_all_the_same(home, bounces):
    def take_away(_):
        (bounces / "new" / "1").unlink(missing_ok=True)

    event.listen(home.house.store.engine, "commit", take_away)
    assert [read.notice for read in read_bounces(home.house, now=home.now)] == [KEY]
    assert one(home).bounced_at == NOW
    assert list((bounces / "cur").iterdir()) == []


def test_a_report_that_cannot_be_put_away_is_told_of_and_counts_once(home, bounces):
    (bounces / "cur").rmdir()
    (bounces / "cur").write_bytes(b"a file where a folder should be")
    with pytest.raises(StoreError, match=r"cannot put .*/new/1 away: File exists"):
        read_bounces(home.house, now=home.now)
    assert one(home).bounced_at == NOW
    (bounces / "cur").unlink()
    (bounces / "cur").mkdir()
    assert read_bounces(home.house, now=home.now) == []
    assert [path.name for path in (bounces / "cur").iterdir()] == ["1:2,S"]
    assert kinds(home).count(EntryKind.NOTICE_BOUNCED) == 1

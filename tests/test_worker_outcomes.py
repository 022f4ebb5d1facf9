"""What becomes of a mail, and what the worker makes of it: retries, refusals, doubts, leases, alerts, bounces."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from maintsched.fleet import Fleet
from maintsched.journal import EntryKind, first_fault
from maintsched.mail.compose import envelope_id
from maintsched.mail.outcomes import Result
from maintsched.store.evidence import chains, entries_of, heads
from maintsched.store.ledger import ACTION, ActionState, claim
from maintsched.testing import RecordingMailer
from maintsched.worker import announce as core
from maintsched.worker.again import resend
from maintsched.worker.bounces import take_report
from maintsched.worker.dispatch import LocalDispatch
from maintsched.worker.post import SUPPRESSION
from maintsched.worker.tick import ExitCode
from tests.houses import BIRCH, NOW, contact, critical, world

START = NOW + timedelta(days=7)
SUBJECT = "critical/disk"
KEY = "notice/announcement/critical:disk/0/birch/ops"


@pytest.fixture
def home(store, tmp_path):
    made = world(store, tmp_path)
    made.tick()
    core.announce(made.house, critical(start=START, instances=("birch-prod",)), now=made.now)
    made.forget()
    return made


def answering(home, result):
    home.mailer.answer = lambda _: result
    return home


def one(home):
    (stored,) = home.notices(SUBJECT)
    return stored


def kinds(home, chain="birch-prod"):
    return [entry.kind for entry in home.entries(chain)]


def test_an_accepted_notice_is_done_with_its_evidence(home):
    assert home.tick().exit_code is ExitCode.DONE
    stored = one(home)
    assert (stored.state, stored.result, stored.accepted_at, stored.attempt) == (ActionState.DONE, "accepted", NOW, 1)
    assert stored.digest == home.entries("birch-prod")[-1].data["sha256"]


def test_a_deferred_notice_is_tried_again_later_and_later(home):
    answering(home, Result.DEFERRED)
    assert home.tick().exit_code is ExitCode.AGAIN
    waits = []
    for _ in range(9):
        stored = one(home)
        assert stored.state is ActionState.READY
        waits.append((stored.notice.not_before - home.now).total_seconds())
        home.tick(stored.notice.not_before)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert EntryKind.NOTICE_ACCEPTED not in kinds(home)


def test_a_notice_that_waits_is_not_tried_before_its_time(home):
    answering(home, Result.DEFERRED).tick()
    home.forget()
    home.tick(NOW + timedelta(seconds=59))
    assert home.told() == []
    home.tick(NOW + timedelta(seconds=60))
    assert home.told() == [KEY]


def test_every_attempt_has_the_same_bytes_and_the_same_message_id(home):
    answering(home, Result.UNCERTAIN).tick()
    answering(home, Result.ACCEPTED).tick(NOW + timedelta(days=1))
    first, second = (mail for mail in home.mailer.mails if mail.key == KEY)
    assert first.data == second.data


def test_a_refused_notice_is_given_up_its_address_suppressed_and_the_operator_told(home):
    home.mailer.answer = lambda mail: Result.REFUSED if mail.key == KEY else Result.ACCEPTED
    assert home.tick().exit_code is ExitCode.OPERATOR
    assert one(home).state is ActionState.FAILED
    assert EntryKind.NOTICE_REFUSED in kinds(home)
    assert [key for key in home.told() if key.startswith("notice/operator_alert/")]
    with home.house.store.reading() as connection:
        (row,) = connection.execute(select(SUPPRESSION)).all()
    assert "customer.example" not in str(row)


def test_nothing_more_goes_to_a_suppressed_address_until_it_is_corrected(home):
    home.mailer.answer = lambda mail: Result.REFUSED if mail.key == KEY else Result.ACCEPTED
    home.tick()
    home.forget()
    core.announce(home.house, critical("other", start=START, instances=("birch-prod",)), now=home.now)
    home.tick()
    assert not [mail for mail in home.mailer.mails if mail.recipient == "ops@customer.example"]
    corrected = replace(BIRCH, contacts=(contact("ops", email="ops@right.example"),))
    home.sync(Fleet(customers=(corrected,)))
    resend(home.house, KEY, now=home.now)
    home.mailer.answer = lambda _: Result.ACCEPTED
    home.forget()
    home.tick()
    assert [mail.recipient for mail in home.mailer.mails if mail.key == KEY] == ["ops@right.example"]


def test_a_notice_in_doubt_is_tried_again_and_tells_nobody_meanwhile(home):
    assert answering(home, Result.UNCERTAIN).tick().exit_code is ExitCode.AGAIN
    assert one(home).result == "uncertain"
    assert one(home).maybe_told
    assert EntryKind.NOTICE_UNCERTAIN in kinds(home)
    assert EntryKind.NOTICE_ACCEPTED not in kinds(home)


def test_a_notice_is_given_up_when_its_window_begins_and_the_operator_knew_before(home):
    home.mailer.answer = lambda mail: Result.DEFERRED if mail.key == KEY else Result.ACCEPTED
    home.tick()
    home.tick(START - timedelta(hours=80))
    assert [key for key in home.told() if "margin" in key]
    home.tick(START - timedelta(hours=71))
    assert one(home).state is ActionState.READY
    assert EntryKind.BREACH in kinds(home)
    home.tick(START)
    assert one(home).state is ActionState.FAILED
    assert EntryKind.NOTICE_EXPIRED in kinds(home)


def test_a_claim_that_ran_out_is_taken_up_by_the_next_pass_with_the_same_bytes(home):
    with home.house.store.writing() as connection:
        lease = NOW + timedelta(minutes=5)
        assert claim(connection, now=NOW, owner="crashed", lease_until=lease, limit=10) == [KEY]
    assert home.tick(NOW + timedelta(minutes=4)).waiting == 1
    assert home.told() == []
    home.tick(NOW + timedelta(minutes=5))
    assert home.told() == [KEY]
    assert one(home).attempt == 1


def test_a_result_of_somebody_whose_claim_was_taken_over_is_not_written(home):
    dispatch = LocalDispatch(home.house)

    def steal(_):
        with home.house.store.writing() as connection:
            connection.execute(update(ACTION).where(ACTION.c.key == KEY).values(owner="somebody else"))
        return Result.ACCEPTED

    home.mailer.answer = steal
    asyncio.run(dispatch.deliver())
    assert one(home).state is ActionState.RUNNING
    assert one(home).accepted_at is None
    assert EntryKind.NOTICE_ACCEPTED not in kinds(home)


def test_a_template_that_is_broken_keeps_one_notice_back_and_no_other(home, tmp_path):
    (tmp_path / "templates" / "en").mkdir(parents=True)
    (tmp_path / "templates" / "en" / "announcement.md").write_text("Subject: x\n\n{{ nothing.of.this }}\n")
    notices = replace(home.house.config.notices, folder=str(tmp_path / "templates"))
    home.house.config = replace(home.house.config, notices=notices)
    core.announce(home.house, critical("other", start=START, instances=("acme-prod",)), now=home.now)
    report = home.tick()
    assert report.exit_code is ExitCode.OPERATOR
    assert {stored.state for stored in home.notices("critical/other")} == {ActionState.DONE}
    assert one(home).state is ActionState.READY
    assert one(home).attempt == 0
    (tmp_path / "templates" / "en" / "announcement.md").unlink()
    del home.house.templates
    home.tick(NOW + timedelta(minutes=15))
    assert one(home).state is ActionState.DONE


def test_other_bytes_of_a_second_copy_are_written_down(home):
    answering(home, Result.UNCERTAIN).tick()
    renamed = replace(BIRCH, contacts=(contact("ops", name="Another Name"),))
    home.sync(Fleet(customers=(renamed,)))
    answering(home, Result.ACCEPTED).tick(NOW + timedelta(hours=1))
    assert EntryKind.NOTICE_DIFFERS in kinds(home)


def test_a_contact_that_is_gone_gets_nothing_and_the_notice_is_withdrawn(home):
    home.sync(Fleet(customers=(replace(BIRCH, contacts=()),)))
    home.tick()
    assert home.told() == []
    assert one(home).state is ActionState.CANCELLED
    assert EntryKind.NOTICE_WITHDRAWN in kinds(home)


REPORT = """\
From: MAILER-DAEMON@mail.example
To: bounces@hosting.example
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
MIME-Version: 1.0

--b
Content-Type: text/plain

This is the mail system.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example
Original-Envelope-Id: {envid}

Final-Recipient: rfc822; ops@customer.example
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b--
"""


def report(action="failed", status="5.1.1", key=KEY):
    return REPORT.format(envid=envelope_id(key), action=action, status=status).replace("\n", "\r\n").encode()


def test_a_permanent_bounce_revokes_the_proof_and_tells_the_operator(home):
    home.tick()
    home.forget()
    read = take_report(home.house, report(), source="stdin", now=home.now)
    assert (read.notice, read.revoked) == (KEY, True)
    assert one(home).bounced_at == NOW
    assert not one(home).maybe_told
    assert EntryKind.NOTICE_BOUNCED in kinds(home)
    home.tick()
    assert [key for key in home.told() if "bounce" in key]
    later = home.tick(START - timedelta(hours=71))
    assert "breach/announcement/critical:disk/0/birch/birch-prod" in later.recorded.breaches


@pytest.mark.parametrize(("action", "status"), [("delayed", "4.4.1"), ("delivered", "2.0.0")])
def test_a_report_of_anything_else_revokes_nothing(home, action, status):
    home.tick()
    assert not take_report(home.house, report(action, status), source="stdin", now=home.now).revoked
    assert one(home).bounced_at is None


def test_a_mail_that_was_given_up_on_the_way_told_nobody_but_its_address_is_not_suppressed(home):
    home.tick()
    assert take_report(home.house, report("failed", "4.4.7"), source="stdin", now=home.now).revoked
    assert one(home).bounced_at == NOW
    with home.house.store.reading() as connection:
        assert connection.execute(select(SUPPRESSION)).all() == []


def test_a_bounce_counts_once_and_one_about_an_unknown_mail_not_at_all(home):
    home.tick()
    assert take_report(home.house, report(), source="stdin", now=home.now).revoked
    assert not take_report(home.house, report(), source="stdin", now=home.now).revoked
    unknown = take_report(home.house, report(key="notice/other"), source="stdin", now=home.now)
    assert unknown.notice is None
    assert take_report(home.house, b"no report at all", source="stdin", now=home.now).bounce is None


def test_a_pass_reads_the_maildir_and_puts_reports_away(home, tmp_path):
    home.tick()
    folder = tmp_path / "bounces"
    for part in ("new", "cur", "tmp"):
        (folder / part).mkdir(parents=True)
    (folder / "new" / "1").write_bytes(report())
    home.house.config = replace(home.house.config, worker=replace(home.house.config.worker, bounces=str(folder)))
    result = home.tick()
    assert (result.bounces, result.exit_code) == (1, ExitCode.OPERATOR)
    assert list((folder / "new").iterdir()) == []
    assert home.tick().bounces == 0


def test_what_came_back_can_be_sent_again_and_counts_from_then(home):
    home.tick()
    take_report(home.house, report(), source="stdin", now=home.now)
    home.clock.forward(timedelta(hours=1))
    resend(home.house, KEY, now=home.now)
    home.tick()
    assert one(home).accepted_at == NOW + timedelta(hours=1)
    assert one(home).bounced_at is None


def test_every_pass_leaves_a_heartbeat_and_the_heads_outside_the_database(home, tmp_path):
    beat = tmp_path / "heartbeat.json"
    worker = replace(home.house.config.worker, heartbeat_file=str(beat))
    home.house.config = replace(home.house.config, worker=worker)
    home.tick()
    left = json.loads(beat.read_text())
    assert left["at"] == "2026-11-04T09:00:00Z"
    assert left["exit_code"] == 0
    with home.house.store.reading() as connection:
        assert left["entries"] == sum(head.seq for head in heads(connection).values())
    assert beat.stat().st_mode & 0o777 == 0o600


def test_a_server_that_repeats_the_address_leaves_no_trace_of_it_in_the_evidence(home):
    class Chatty(RecordingMailer):
        async def deliver(self, mails):
            async for outcome in super().deliver(mails):
                yield replace(outcome, reply="2.1.5 <OPS@Customer.example> recipient ok")

    home.house.mailer = Chatty()
    home.tick()
    assert home.entries("birch-prod")[-1].data["reply"] == "250 2.1.5 <<recipient>> recipient ok"
    assert "customer.example" not in repr(home.all_entries()).lower()
    assert "customer.example" not in (one(home).reply or "").lower()


def test_the_operator_hears_once_a_day_that_the_worker_is_there_where_that_is_asked_for(home):
    worker = replace(home.house.config.worker, heartbeat_mail=True)
    home.house.config = replace(home.house.config, worker=worker)
    home.tick()
    home.tick(NOW + timedelta(hours=1))
    home.tick(NOW + timedelta(days=1))
    beats = [mail for mail in home.mailer.mails if "heartbeat" in mail.key]
    assert len(beats) == 2
    assert {mail.recipient for mail in beats} == {"support@hosting.example"}


def test_every_chain_holds_after_all_of_this(home):
    home.mailer.answer = lambda mail: Result.REFUSED if mail.key == KEY else Result.ACCEPTED
    home.tick()
    with home.house.store.reading() as connection:
        kept = heads(connection)
        for chain in chains(connection):
            assert first_fault(chain, entries_of(connection, chain), kept[chain]) is None

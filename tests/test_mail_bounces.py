"""Delivery reports are read as servers write them, and nothing that anybody sends does harm or counts as more."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintsched.errors import FileError
from maintsched.mail.bounces import BOUNCE_MAX, FIELD_MAX, Action, Bounce, read_bounce, read_maildir

HASH = "6a1f0e5b7c9d4e2f8a3b1c0d9e8f7a6b5c4d3e2f"
MESSAGE_ID = f"<{HASH}@provider.example>"


def report(
    recipients: str, *, about: str | None = None, returned: str | None = None, kind: str = "message/delivery-status"
):
    """Return a report as Postfix writes it."""
    about = f"Reporting-MTA: dns; mail.provider.example\nOriginal-Envelope-Id: {HASH}" if about is None else about
    returned = f"Return-Path: <bounce@provider.example>\nMessage-ID: {MESSAGE_ID}" if returned is None else returned
    return f"""\
Return-Path: <>
From: MAILER-DAEMON@mail.provider.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: bounce@provider.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="AB12.1606000000/mail.provider.example"

This is a MIME-encapsulated message.

--AB12.1606000000/mail.provider.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mail.provider.example.

--AB12.1606000000/mail.provider.example
Content-Description: Delivery report
Content-Type: {kind}

{about}

{recipients}

--AB12.1606000000/mail.provider.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

{returned}

--AB12.1606000000/mail.provider.example--
""".encode()


FAILED = """\
Final-Recipient: rfc822; eva.new@acme.example
Original-Recipient: rfc822;eva@acme.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.acme.example
Diagnostic-Code: smtp; 550 5.1.1 <eva.new@acme.example>: Recipient address rejected:
    User unknown"""


def test_a_lasting_failure_names_mail_recipient_and_reason():
    assert read_bounce(report(FAILED)) == Bounce(
        envid=HASH,
        message_id=MESSAGE_ID,
        permanent=True,
        status="5.1.1",
        recipient="eva@acme.example",
        diagnostic="550 5.1.1 <eva.new@acme.example>: Recipient address rejected: User unknown",
        action=Action.FAILED,
    )


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "kind", ["message/delivery-status", "message/global-delivery-status", "Message/Delivery-Status"]
)
def test_a_report_is_read_in_every_dress(ends, kind):
    bounce = read_bounce(report(FAILED, kind=kind).replace(b"\n", ends))
    assert bounce is not None
    assert (bounce.envid, bounce.message_id, bounce.permanent) == (HASH, MESSAGE_ID, True)


@pytest.mark.parametrize(
    ("action", "status", "permanent", "failed"),
    [
        ("failed", "5.1.1", True, True),
        ("Failed", "5.7.1 (blocked)", True, True),
        ("failed (gave up)", "5.0.0", True, True),
        ("error", "5.2.2", True, True),
        ("failed", "4.4.1", False, True),  # the queue's patience ended: it did not arrive, yet it may another time
        ("failed", "", False, True),
        ("failed", "5.1", False, True),
        ("failed", "5.1.1.1", False, True),
        ("failed", "55.1.1", False, True),
        ("failed", "2.0.0", False, True),
        ("delayed", "4.4.1", False, False),
        ("delayed", "5.1.1", False, False),
        ("relayed", "2.0.0", False, False),
        ("delivered", "5.1.1", False, False),
        ("expanded", "2.0.0", False, False),
        ("whatever", "5.1.1", False, False),
    ],
)
def test_only_a_failure_with_status_5_is_permanent(action, status, permanent, failed):
    block = f"Final-Recipient: rfc822; eva@acme.example\nAction: {action}\nStatus: {status}"
    bounce = read_bounce(report(block))
    assert bounce is not None
    assert (bounce.permanent, bounce.failed) == (permanent, failed)


def test_of_several_recipients_the_worst_is_told():
    blocks = [
        f"Final-Recipient: rfc822; {a}@x.example\nAction: {a}\nStatus: 5.0.0" for a in ("relayed", "failed", "delayed")
    ]
    bounce = read_bounce(report("\n\n".join(blocks)))
    assert bounce is not None
    assert (bounce.recipient, bounce.permanent) == ("failed@x.example", True)


def test_a_report_with_one_of_the_ids_will_do():
    without = "Reporting-MTA: dns; mail.provider.example"
    by_message = read_bounce(report(FAILED, about=without))
    by_envelope = read_bounce(report(FAILED, returned="Subject: x"))
    assert by_message is not None
    assert by_envelope is not None
    assert (by_message.envid, by_message.message_id, by_message.permanent) == (None, MESSAGE_ID, True)
    assert (by_envelope.envid, by_envelope.message_id, by_envelope.permanent) == (HASH, None, True)


def test_a_report_that_names_no_mail_is_none():
    assert read_bounce(report(FAILED, about="Reporting-MTA: dns; x", returned="Subject: x")) is None


EXCHANGE = f"""\
From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@acme.example>
To: <bounce@provider.example>
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"
Subject: Undeliverable: [monthly/2026-12] Reminder
Auto-Submitted: auto-replied
Return-Path: <>

--b1
Content-Type: multipart/alternative; differences=Content-Type; boundary="b2"

--b2
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

Your message to eva@acme.example couldn't be delivered.

--b2
Content-Type: text/html; charset="us-ascii"

<p>eva wasn't found at acme.example.</p>

--b2--

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns;FR2P281MB0001.DEUP281.PROD.OUTLOOK.COM
Received-From-MTA: dns;mail.provider.example
Arrival-Date: Tue, 24 Nov 2026 08:00:00 +0000
Original-Envelope-Id: {HASH}

Original-Recipient: rfc822;eva@acme.example
Final-Recipient: rfc822;eva@acme.example
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
X-Display-Name: eva@acme.example

--b1
Content-Type: message/rfc822

Received: from mail.provider.example
Message-ID:
 {MESSAGE_ID}
Subject: Reminder
Content-Type: text/plain

hello

--b1--
""".encode()

EXIM = f"""\
Return-path: <>
From: Mail Delivery System <Mailer-Daemon@mx.acme.example>
To: bounce@provider.example
X-Failed-Recipients: eva@acme.example
Auto-Submitted: auto-replied
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.
A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.

  eva@acme.example
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

Received: from mail.provider.example
Message-Id: {MESSAGE_ID}
Subject: Reminder

hello
""".encode()


def test_exchange_is_read():
    bounce = read_bounce(EXCHANGE)
    assert bounce is not None
    assert (bounce.envid, bounce.message_id, bounce.status, bounce.permanent) == (HASH, MESSAGE_ID, "5.1.10", True)
    assert bounce.recipient == "eva@acme.example"


def test_a_bounce_in_words_is_told_of_but_is_not_permanent():
    assert read_bounce(EXIM) == Bounce(
        envid=None,
        message_id=MESSAGE_ID,
        permanent=False,
        status="",
        recipient="eva@acme.example",
        diagnostic="Mail delivery failed: returning message to sender",
        action=Action.UNKNOWN,
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"From: eva@acme.example\nIn-Reply-To: "
        + MESSAGE_ID.encode()
        + b"\nAuto-Submitted: auto-replied\n\nI am away.",
        b"From: eva@acme.example\n\nYou wrote:\nMessage-ID: "
        + MESSAGE_ID.encode()
        + b"\nStatus: 5.1.1\nAction: failed",
        b"From: MAILER-DAEMON@x.example\nReturn-Path: <eva@acme.example>\n\nMessage-ID: " + MESSAGE_ID.encode(),
        EXIM.replace(b"Return-path: <>\n", b""),
        report(FAILED).replace(b"multipart/report", b"multipart/mixed").replace(b"Return-Path: <>\n", b""),
        report(FAILED, kind="message/disposition-notification").replace(b"Return-Path: <>\n", b""),
        report(FAILED.replace("Action: failed\n", "")),
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\n\n"
        + report(FAILED)
        + b"\n--x--",
        b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n"
        + report(FAILED)
        + b"\n--x--",
    ],
)
def test_what_is_no_report_of_a_server_is_none(raw):
    assert read_bounce(raw) is None


def test_a_report_inside_the_mail_that_comes_back_says_nothing():
    inner = report(FAILED).decode()
    outer = report("Final-Recipient: rfc822; eva@acme.example\nAction: delayed\nStatus: 4.4.1", returned=inner)
    bounce = read_bounce(outer)
    assert bounce is not None
    assert (bounce.action, bounce.permanent) == (Action.DELAYED, False)


def test_what_a_report_says_is_kept_printable_and_short():
    hostile = "550 5.1.1 \x1b[31m\x00 \u202e" + "x" * 9000
    recipient = "Final-Recipient: rfc822; " + "e" * 9000 + "@acme.example"
    block = f"{recipient}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; {hostile}"
    bounce = read_bounce(report(block, about="Original-Envelope-Id: " + "\x07" * 9000 + "i" * 9000))
    assert bounce is not None
    for text in (bounce.envid, bounce.diagnostic, bounce.recipient, bounce.status):
        assert text is None or (text.isprintable() and len(text) <= FIELD_MAX)


def test_only_the_beginning_of_a_long_mail_is_looked_at():
    assert read_bounce(b"X: " + b"y" * BOUNCE_MAX + b"\n" + report(FAILED)) is None
    bounce = read_bounce(report(FAILED, returned="Subject: x\n\n" + "y\n" * BOUNCE_MAX))
    assert bounce is not None
    assert bounce.permanent


@pytest.mark.parametrize(
    "raw",
    [
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)),
        b"Content-Type: message/rfc822\n\n" * 3000,
        b"Content-Type: multipart/report; boundary=b\n\n" + b"--b\n\n" * 100_000,
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
        + b"a: b\n\n" * 100_000,
        b"Content-Type: text/plain; charset=\xff\xfe\n" + b"Content-Type: =?utf-8?q?x?=\n" * 1000,
        b"Return-Path: <>\nFrom: mailer-daemon\nContent-Transfer-Encoding: base64\n\n\xffMessage-ID:" + b" " * 900_000,
        b"Return-Path: <>\nFrom: mailer-daemon\n\n" + b"Message-ID:" * 90_000,
        b"Content-Type: multipart/report; boundary*0*=a; boundary*=b''c; boundary=d\n\n--d",
        b"\x00" * 10_000,
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_a_hostile_mail_does_no_harm(raw):
    assert read_bounce(raw) is None


def pieces():
    lines = report(FAILED).split(b"\n") + EXCHANGE.split(b"\n")
    return st.lists(st.sampled_from(lines) | st.binary(max_size=20), max_size=60).map(b"\n".join)


@given(pieces())
def test_reading_raises_for_nothing(raw):
    bounce = read_bounce(raw)
    assert bounce is None or bounce.envid or bounce.message_id


@given(st.integers(0, len(EXCHANGE) - 1), st.binary(min_size=1, max_size=3))
def test_a_damaged_report_never_says_more_than_the_whole_one(at, damage):
    bounce = read_bounce(EXCHANGE[:at] + damage + EXCHANGE[at + len(damage) :])
    assert bounce is None or not bounce.permanent or bounce.status.startswith("5.")


# --- maildir ---


def test_a_maildir_is_read_new_mails_first(tmp_path):
    for name in ("new/2.host", "new/1.host", "cur/0.host:2,S", "tmp/3.host"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert list(read_maildir(tmp_path)) == [(n, n.encode()) for n in ("new/1.host", "new/2.host", "cur/0.host:2,S")]


def test_only_files_of_the_maildir_itself_are_read(tmp_path):
    for part in ("new", "cur"):
        (tmp_path / part).mkdir()
    secret = tmp_path / "secret"
    secret.write_text("not a mail")
    (tmp_path / "new" / "link").symlink_to(secret)
    (tmp_path / "new" / "folder").mkdir()
    os.mkfifo(tmp_path / "new" / "pipe")
    (tmp_path / "new" / ".hidden").write_text("x")
    (tmp_path / "cur" / "long").write_bytes(b"x" * (BOUNCE_MAX + 1))
    assert [(name, len(raw)) for name, raw in read_maildir(tmp_path)] == [("cur/long", BOUNCE_MAX)]


def test_a_mail_that_is_taken_away_meanwhile_is_left_out(tmp_path):
    for part in ("new", "cur"):
        (tmp_path / part).mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "new" / name).write_text(name)
    mails = read_maildir(tmp_path)
    assert next(mails) == ("new/a", b"a")
    (tmp_path / "new" / "b").unlink()
    assert list(mails) == [("new/c", b"c")]


def test_a_folder_that_is_no_maildir_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"expected a maildir .*, found new: No such file or directory"):
        list(read_maildir(tmp_path))

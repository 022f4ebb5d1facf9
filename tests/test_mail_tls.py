"""No byte of a password or a mail reaches a server that did not prove who it is; `probe` says what is wrong."""

import asyncio
import base64
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintsched.mail.outcomes import Hint, Outcome, Outgoing, Result, Step
from maintsched.mail.probe import ProbeReport, probe
from maintsched.mail.send import SmtpMailer
from maintsched.mail.settings import MailSettings, Tls
from tests.smtp_servers import SmtpServer, Trouble, server_context, settings_for, smtp_server

USER, PASSWORD = "mailer", "canary-in-the-mine"
SECRETS = [
    USER.encode(),
    PASSWORD.encode(),
    *(base64.b64encode(each) for each in (USER.encode(), PASSWORD.encode(), f"\0{USER}\0{PASSWORD}".encode())),
    b"AUTH",
    b"MAIL",
    b"eva",
    b"hello",
]
MAIL = Outgoing(
    key="notice/1",
    sender="bounce@provider.example",
    recipient="eva@acme.example",
    envid="4711",
    data=b"Subject: x\r\n\r\nhello\r\n",
)


def send(settings: MailSettings) -> Outcome:
    async def run() -> list[Outcome]:
        return [outcome async for outcome in SmtpMailer(settings).deliver([MAIL])]

    (outcome,) = asyncio.run(run())
    return outcome


def both(server: SmtpServer, tls: Tls, folder: Path, **changes) -> tuple[Outcome, ProbeReport]:
    """Send a mail and probe, with a login."""
    settings = settings_for(server, tls, folder, **({"user": USER, "password": PASSWORD} | changes))
    outcome, report = send(settings), asyncio.run(probe(settings))
    server.wait_closed()
    return outcome, report


def assert_nothing_told(server: SmtpServer, outcome: Outcome, report: ProbeReport, *, encrypted: bool = False) -> None:
    """Look at the wire: nothing that matters, not in clear and (unless `encrypted`) not at all."""
    assert server.conversations
    for each in server.conversations:
        for secret in SECRETS:
            assert secret not in each.clear
            assert encrypted or secret not in each.inside
    assert (outcome.result, server.mails, report.ok) == (Result.DEFERRED, [], False)
    assert PASSWORD not in f"{outcome!r}{report!r}"


# --- what goes well ---


@pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.STARTTLS])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_mail_and_password_go_to_a_server_that_proves_who_it_is(tls, host, tmp_path):
    with smtp_server(tls=tls) as server:
        outcome, report = both(server, tls, tmp_path, host=host)
    assert outcome.result is Result.ACCEPTED
    assert report.ok
    for each in server.conversations:
        assert each.tls in ("TLSv1.2", "TLSv1.3")
        assert base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()) in each.inside
        assert not any(secret in each.clear for secret in SECRETS)
    before = [b"EHLO client.example\r\nSTARTTLS\r\n" if tls is Tls.STARTTLS else b""] * 2
    assert [bytes(each.clear) for each in server.conversations] == before


@pytest.mark.parametrize(
    ("offered", "command"),
    [
        ("AUTH PLAIN LOGIN CRAM-MD5", "AUTH PLAIN"),
        ("AUTH CRAM-MD5 LOGIN", "AUTH LOGIN"),
        ("AUTH=LOGIN", "AUTH LOGIN"),
        ("AUTH CRAM-MD5", "AUTH CRAM-MD5"),
    ],
)
def test_one_login_is_tried_and_the_password_told_as_the_server_wants_it(offered, command, tmp_path):
    with smtp_server(tls=Tls.REQUIRED, extensions=[offered]) as server:
        outcome, _ = both(server, Tls.REQUIRED, tmp_path)
    assert outcome.result is Result.ACCEPTED
    logins = [line for line in server.lines if line.startswith("AUTH")]
    assert [line.startswith(command) for line in logins] == [True, True]


def test_what_the_server_offers_counts_from_after_the_encryption(tmp_path):
    clear = "250-mail.example\n250-STARTTLS\n250-AUTH PLAIN\n250 DSN"
    with smtp_server({"ehlo": clear, "ehlo2": "250 mail.example"}, tls=Tls.STARTTLS) as server:
        outcome = send(settings_for(server, Tls.STARTTLS, tmp_path))
    assert outcome.result is Result.ACCEPTED
    assert "MAIL FROM:<bounce@provider.example>" in server.lines


# --- attacks ---


def test_nothing_is_told_to_a_server_that_strips_starttls(tmp_path):
    with smtp_server() as server:  # which offers a login, and no encryption
        outcome, report = both(server, Tls.STARTTLS, tmp_path)
    assert_nothing_told(server, outcome, report)
    assert (outcome.hint, outcome.step) == (report.hint, report.step) == (Hint.TLS, Step.STARTTLS)
    assert [bytes(each.clear) for each in server.conversations] == [b"EHLO client.example\r\n"] * 2


@pytest.mark.parametrize("answer", ["454 4.7.0 not now", "502 no such thing", "250 fine", "421 bye", "x", Trouble.DROP])
def test_nothing_is_told_where_starttls_is_refused(answer, tmp_path):
    with smtp_server({"starttls": answer}, tls=Tls.STARTTLS) as server:
        outcome, report = both(server, Tls.STARTTLS, tmp_path)
    assert_nothing_told(server, outcome, report)
    assert (outcome.hint, outcome.step) == (Hint.TLS, Step.STARTTLS)


@pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.STARTTLS])
def test_nothing_is_told_to_a_server_that_talks_instead_of_encrypting(tls, tmp_path):
    with smtp_server({"tls": "220 never mind, go on in clear\n250 AUTH PLAIN"}, tls=tls) as server:
        outcome, report = both(server, tls, tmp_path)
    assert_nothing_told(server, outcome, report)
    assert outcome.hint is Hint.TLS


def test_what_was_slipped_in_before_the_encryption_is_forgotten(tmp_path):
    slipped = "220 go ahead\n250-mail.example\n250-DSN\n250 AUTH PLAIN"
    with smtp_server({"starttls": slipped, "ehlo2": "250 mail.example"}, tls=Tls.STARTTLS) as server:
        outcome = send(settings_for(server, Tls.STARTTLS, tmp_path))
    assert outcome.result is not Result.REFUSED
    assert not any("ENVID" in line or "AUTH" in line for line in server.lines)


def bad_certificates():
    yesterday = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 - certificates are checked against today
    return {
        "another host": ("Hostname mismatch|IP address mismatch", {"names": ("mail.other.example",)}),
        "unknown authority": ("unable to get local issuer|self-signed", {"signed": False}),
        "expired": ("has expired", {"not_before": yesterday - timedelta(days=9), "not_after": yesterday}),
    }


@pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.STARTTLS])
@pytest.mark.parametrize("case", ["another host", "unknown authority", "expired"])
def test_nothing_is_told_to_a_server_with_a_bad_certificate(tls, case, tmp_path):
    words, certificate = bad_certificates()[case]
    context = server_context(*certificate.pop("names", ()), **certificate)
    with smtp_server(tls=tls, context=context) as server:
        outcome, report = both(server, tls, tmp_path)
    assert_nothing_told(server, outcome, report)
    assert (outcome.hint, report.hint) == (Hint.TLS, Hint.TLS)
    assert outcome.reply.startswith("the server's certificate was not accepted: ")
    assert any(each in outcome.reply for each in words.split("|"))
    assert (
        len(server.conversations) == 2
    )  # a bad certificate is not asked for again: one for the mail, one for the probe


@pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.STARTTLS])
def test_a_certificate_of_the_tests_is_not_trusted_by_the_system(tls, tmp_path):
    with smtp_server(tls=tls) as server:
        outcome, report = both(server, tls, tmp_path, ca_file=None)
    assert_nothing_told(server, outcome, report)
    assert outcome.hint is Hint.TLS


@pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.STARTTLS])
def test_encryption_older_than_tls_1_2_is_refused(tls, tmp_path):
    context = server_context("localhost", "127.0.0.1", not_after=datetime(2100, 1, 1, tzinfo=UTC))  # one of its own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what the test is about
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with smtp_server(tls=tls, context=context) as server:
        outcome, report = both(server, tls, tmp_path)
    assert_nothing_told(server, outcome, report)
    assert outcome.hint is Hint.TLS


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_an_authority_that_cannot_be_read_is_named_and_nothing_told(content, tmp_path):
    path = tmp_path / "broken.pem"
    if content is not None:
        path.write_text(content)
    with smtp_server(tls=Tls.STARTTLS) as server:
        settings = settings_for(server, Tls.STARTTLS, tmp_path, ca_file=path, user=USER, password=PASSWORD)
        outcome, report = send(settings), asyncio.run(probe(settings))
    assert (outcome.result, outcome.hint, report.hint) == (Result.DEFERRED, Hint.TLS, Hint.TLS)
    assert "broken.pem" in outcome.reply
    assert server.conversations == []


def test_plain_text_does_not_follow_a_local_name_to_another_machine(monkeypatch, tmp_path):
    monkeypatch.setattr("maintsched.mail.connection.is_loopback", lambda host: host != "127.0.0.1")
    with smtp_server() as server:
        outcome, report = both(server, Tls.NONE, tmp_path, host="localhost")
    assert_nothing_told(server, outcome, report)
    assert outcome.hint is Hint.TLS


@pytest.mark.parametrize("tls", list(Tls))
def test_a_server_that_offers_no_login_known_here_gets_no_password(tls, tmp_path):
    with smtp_server(tls=tls, extensions=["AUTH GSSAPI NTLM"]) as server:
        outcome, report = both(server, tls, tmp_path)
    assert_nothing_told(server, outcome, report)
    assert (outcome.hint, outcome.step) == (Hint.AUTH, Step.AUTH)


# --- probe ---


@pytest.mark.parametrize("tls", list(Tls))
def test_a_probe_tells_what_it_found_and_sends_nothing(tls, tmp_path):
    with smtp_server(tls=tls) as server:
        report = asyncio.run(probe(settings_for(server, tls, tmp_path, user=USER, password=PASSWORD)))
        server.wait_closed()
    assert (report.ok, report.step, report.logged_in, report.reports) == (True, Step.AUTH, True, True)
    assert report.size_max == 10485760
    assert (report.encryption in ("TLSv1.2", "TLSv1.3")) == (tls is not Tls.NONE)
    assert (report.certificate_ends_at is None) == (tls is Tls.NONE)
    assert not any(line.startswith(("MAIL", "RCPT", "DATA")) for line in server.lines)
    assert server.lines[-1] == "QUIT"


def test_a_probe_without_a_login_says_so(tmp_path):
    with smtp_server(extensions=["SIZE 0"]) as server:
        report = asyncio.run(probe(settings_for(server, Tls.NONE, tmp_path)))
    assert report == ProbeReport(server=f"127.0.0.1:{server.port}", step=Step.EHLO)


@pytest.mark.parametrize("size", ["", "0", "ten", "9" * 5000, "\u0661"])
def test_a_size_that_is_no_limit_is_none(size, tmp_path):
    with smtp_server({"ehlo": f"250-mail.example\n250 SIZE {size}".encode().decode("latin-1")}) as server:
        assert asyncio.run(probe(settings_for(server, Tls.NONE, tmp_path))).size_max is None


@pytest.mark.parametrize(
    ("step", "answer", "hint", "code"),
    [
        ("connect", "554 5.7.1 your address is blocked", Hint.CONNECT, 554),
        ("ehlo", "550 5.0.0 who are you", Hint.CONNECT, 550),
        ("auth", "535 5.7.8 wrong", Hint.AUTH, 535),
        ("auth", "454 4.7.0 later", Hint.AUTH, 454),
        ("connect", Trouble.DROP, Hint.CONNECT, None),
    ],
)
def test_a_probe_says_what_failed(step, answer, hint, code, tmp_path):
    with smtp_server({step: answer}) as server:
        report = asyncio.run(probe(settings_for(server, Tls.NONE, tmp_path, user=USER, password=PASSWORD)))
        server.wait_closed()
    assert (report.ok, report.step, report.hint, report.code) == (False, Step(step), hint, code)
    assert report.reply

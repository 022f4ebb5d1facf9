"""What should never happen on the way to a mail server has an outcome too, and costs no password."""

import asyncio
from pathlib import Path

import pytest

from maintsched.mail.connection import Connection, Unavailable
from maintsched.mail.outcomes import Hint, Outcome, Outgoing, Result, Step
from maintsched.mail.send import SmtpMailer
from maintsched.mail.settings import MailSettings, Secret, Tls
from maintsched.mail.tls import verified_context
from tests.smtp_servers import settings_for, smtp_server

HERE = Path()
PASSWORD = "canary-in-the-mine"


def mail(number: int) -> Outgoing:
    return Outgoing(
        key=f"notice/{number}",
        sender="bounce@provider.example",
        recipient=f"eva{number}@acme.example",
        envid=f"{number:040x}",
        data=b"Subject: x\r\n\r\nhello\r\n",
    )


async def deliver(settings: MailSettings, mails, told: list[Outcome]) -> None:
    async for outcome in SmtpMailer(settings).deliver(mails):
        told.append(outcome)  # noqa: PERF401 - what was told before an error counts


def test_what_is_no_mail_comes_back_as_an_error_after_the_outcomes_of_what_is():
    told: list[Outcome] = []
    with smtp_server() as server:
        settings = settings_for(server, Tls.NONE, HERE, connections=2)
        with pytest.raises(AttributeError):
            asyncio.run(deliver(settings, [mail(1), "no mail at all", mail(2)], told))
        server.wait_closed()
    assert sorted((each.key, each.result) for each in told) == [
        ("notice/1", Result.ACCEPTED),
        ("notice/2", Result.ACCEPTED),
    ]


class Forgetful(Connection):
    """Goes on without encryption, as a fault of our own might."""

    async def _encrypt(self) -> None:
        """Forget it."""


def test_a_conversation_that_forgot_to_encrypt_gives_no_password_away(tmp_path):
    with smtp_server(tls=Tls.STARTTLS, extensions=["AUTH PLAIN LOGIN"]) as server:
        settings = settings_for(server, Tls.STARTTLS, tmp_path, user="mailer", password=Secret(PASSWORD))
        with pytest.raises(Unavailable, match="not encrypted") as refused:
            asyncio.run(Forgetful(settings, lambda: verified_context(settings)).open())
        server.wait_closed()
    assert (refused.value.hint, refused.value.step) == (Hint.TLS, Step.AUTH)
    assert not [line for line in server.lines if line.startswith("AUTH")]


@pytest.mark.parametrize("name", ["not_a_host.example", "spaced out.example"])
def test_a_machine_whose_name_is_none_introduces_itself_by_its_address(monkeypatch, name):
    monkeypatch.setattr("socket.gethostname", lambda: name)
    told: list[Outcome] = []
    with smtp_server() as server:
        asyncio.run(deliver(settings_for(server, Tls.NONE, HERE, local_hostname=None), [mail(1)], told))
    assert server.lines[0] == "EHLO [127.0.0.1]"
    assert [each.result for each in told] == [Result.ACCEPTED]


def test_a_connection_that_was_never_opened_is_closed_without_a_word():
    with smtp_server() as server:
        connection = Connection(settings_for(server, Tls.NONE, HERE), lambda: pytest.fail("nothing is encrypted"))
        asyncio.run(connection.quit())
        assert not connection.is_open
        assert server.conversations == []
    outcome = asyncio.run(connection.transact(mail(1)))
    assert (outcome.result, outcome.step) == (Result.DEFERRED, Step.MAIL)

"""Mails reach a real server as they were built, each has one outcome, and nothing stays open."""

import asyncio
import pickle
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiosmtpd.smtp
import pytest
from aiosmtpd.handlers import Message
from hypothesis import given
from hypothesis import strategies as st

from maintsched.errors import InvalidValue
from maintsched.mail.connection import stuffed, with_line_ends, xtext
from maintsched.mail.outcomes import Outcome, Outgoing, Result, Step
from maintsched.mail.send import AHEAD_MAX, SmtpMailer
from maintsched.mail.settings import MailSettings, Secret, Tls
from tests.smtp_servers import Trouble, settings_for, smtp_server

HERE = Path()


def mail(
    number: int = 0, domain: str = "acme.example", data: bytes = b"Subject: x\r\n\r\nhello\r\n", **fields
) -> Outgoing:
    given = {
        "key": f"notice/{number}",
        "sender": "bounce@provider.example",
        "recipient": f"eva{number}@{domain}",
        "envid": f"{number:040x}",
        "data": data,
    }
    return Outgoing(**(given | fields))


def deliver(settings: MailSettings, mails) -> list[Outcome]:
    async def run() -> list[Outcome]:
        return [outcome async for outcome in SmtpMailer(settings).deliver(mails)]

    return asyncio.run(run())


def sent(script=None, mails=None, **changes):
    """Send over plain text to a server with `script`; return it, closed, and the outcomes by key."""
    extensions = changes.pop("extensions", ("SIZE 10485760", "8BITMIME", "DSN"))
    listed = list(mails or [mail()])
    with smtp_server(script, extensions=extensions) as server:
        outcomes = deliver(settings_for(server, Tls.NONE, HERE, **changes), listed)
        server.wait_closed()
    assert sorted(each.key for each in outcomes) == sorted(each.key for each in listed)
    return server, {each.key: each for each in outcomes}


# --- what goes over the wire ---


def test_an_accepted_mail_keeps_the_words_of_the_server_as_evidence():
    server, outcomes = sent()
    assert outcomes["notice/0"] == Outcome(
        key="notice/0",
        result=Result.ACCEPTED,
        server=f"127.0.0.1:{server.port}",
        code=250,
        reply="2.0.0 queued as 4711",
        step=Step.DOT,
    )


def test_a_report_is_asked_for_where_the_server_offers_to_write_one():
    server, _ = sent(mails=[mail(recipient="eva+new=x@acme.example", envid="a+b=c")])
    size = len(mail().data)
    assert server.lines == [
        "EHLO client.example",
        f"MAIL FROM:<bounce@provider.example> SIZE={size} RET=HDRS ENVID=a+2Bb+3Dc",
        "RCPT TO:<eva+new=x@acme.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;eva+2Bnew+3Dx@acme.example",
        "DATA",
        "QUIT",
    ]


def test_nothing_is_asked_for_that_the_server_did_not_offer():
    server, _ = sent(extensions=())
    assert server.lines[1:3] == ["MAIL FROM:<bounce@provider.example>", "RCPT TO:<eva0@acme.example>"]


def test_a_mail_with_bytes_above_127_says_so():
    server, _ = sent(mails=[mail(data="Subject: x\r\n\r\nGrüße\r\n".encode())], extensions=("8BITMIME",))
    assert server.lines[1].endswith(" BODY=8BITMIME")


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        (b"A: b\r\n\r\n.\r\nMAIL FROM:<x@y>\r\n", b"A: b\r\n\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n"),
        (b"A: b\n\n.\nMAIL FROM:<x@y>\n", b"A: b\r\n\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n"),
        (b"A: b\r\r.\rMAIL FROM:<x@y>\r", b"A: b\r\n\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n"),
        (b"A: b\r\n\r\n\n.\r\nMAIL FROM:<x@y>", b"A: b\r\n\r\n\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n"),
        (b"A: b\r\n\r\n\r.\r\nMAIL FROM:<x@y>", b"A: b\r\n\r\n\r\n..\r\nMAIL FROM:<x@y>\r\n.\r\n"),
        (b".\r\nA: b", b"..\r\nA: b\r\n.\r\n"),
        (b"A: b\r\n\r\n..two\r\n.one\r\n", b"A: b\r\n\r\n...two\r\n..one\r\n.\r\n"),
    ],
)
def test_no_content_ends_a_mail_early(data, wire):
    server, _ = sent(mails=[mail(data=data), mail(1)], connections=1)
    assert [each.wire for each in server.mails] == [wire, mail().data + b".\r\n"]
    assert [line.split(" ")[0] for line in server.lines] == ["EHLO", *["MAIL", "RCPT", "DATA"] * 2, "QUIT"]


@given(st.text(alphabet="\r\n.aB", max_size=40).map(str.encode))
def test_on_the_wire_every_line_ends_in_crlf_and_only_the_last_is_a_dot(data):
    lines = with_line_ends(data)
    wire = stuffed(lines) + b".\r\n"
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")
    assert [line for line in wire.split(b"\r\n") if line == b"."] == [b"."]
    assert b"".join(line.removeprefix(b".") for line in wire[:-3].splitlines(keepends=True)) == lines


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126)))
def test_a_parameter_is_read_back_as_it_was_written(text):
    written = xtext(text)
    assert "=" not in written
    head, *rest = written.split("+")
    assert head + "".join(chr(int(each[:2], 16)) + each[2:] for each in rest) == text


def test_another_server_reads_the_same_mail():
    class Sink(Message):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list = []

        def handle_message(self, message) -> None:
            self.seen.append(message)

    async def run(sink: Sink) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: aiosmtpd.smtp.SMTP(sink, loop=loop, hostname="sink.example"), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        try:
            settings = MailSettings(host="127.0.0.1", port=port, tls=Tls.NONE)
            return [each async for each in SmtpMailer(settings).deliver([mail(data=b"Subject: x\r\n\r\n.dot\r\n")])]
        finally:
            server.close()
            await server.wait_closed()

    sink = Sink()
    outcomes = asyncio.run(run(sink))
    assert [(each.result, each.reply) for each in outcomes] == [(Result.ACCEPTED, "OK")]
    (seen,) = sink.seen
    assert (seen["X-MailFrom"], seen["X-RcptTo"]) == ("bounce@provider.example", "eva0@acme.example")
    assert seen.get_payload() == ".dot\r\n"


def test_a_machine_without_a_full_name_introduces_itself_by_its_address(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    server, _ = sent(local_hostname=None)
    assert server.lines[0] == "EHLO [127.0.0.1]"
    monkeypatch.setattr("socket.gethostname", lambda: "web1.provider.example")
    server, _ = sent(local_hostname=None)
    assert server.lines[0] == "EHLO web1.provider.example"


# --- many mails ---


def test_a_connection_is_used_for_many_mails():
    server, outcomes = sent(mails=[mail(n) for n in range(30)], connections=1)
    assert len(server.conversations) == 1
    assert {each.result for each in outcomes.values()} == {Result.ACCEPTED}
    assert sorted(each.recipient for each in server.mails) == sorted(mail(n).recipient for n in range(30))


def test_no_more_connections_are_opened_than_there_are_mails_for():
    server, _ = sent(mails=[mail()], connections=4)
    assert len(server.conversations) == 1


def test_several_connections_work_at_once_but_never_more_than_allowed():
    server, _ = sent(mails=[mail(n, f"d{n}.example") for n in range(60)], connections=3)
    assert server.at_once == 3


def under_way(server_mails, limit: int, connections: int) -> int:
    """Send mails whose last answer waits until `limit` others are at the same point; return the most seen at once."""
    import threading

    lock, seen = threading.Lock(), {"now": 0, "most": 0}
    together = threading.Event()

    def dot(recipient: str):
        with lock:
            seen["now"] += 1
            seen["most"] = max(seen["most"], seen["now"])
            if seen["now"] >= limit:
                together.set()
        together.wait(0.05)
        with lock:
            seen["now"] -= 1

    sent({"dot": dot}, server_mails, connections=connections, per_domain=limit)
    return seen["most"]


def test_one_domain_never_has_more_mails_under_way_than_allowed():
    assert under_way([mail(n) for n in range(8)], 2, 6) == 2


def test_a_busy_domain_does_not_hold_up_the_others():
    mails = [mail(n) for n in range(300)] + [mail(1000 + n, "other.example") for n in range(3)]
    with smtp_server(extensions=()) as server:
        outcomes = deliver(settings_for(server, Tls.NONE, HERE, connections=4, per_domain=1), mails)
    assert len(outcomes) == 303
    order = [each.recipient.rpartition("@")[2] for each in server.mails]
    assert order.index("other.example") < 250  # they wait behind those read ahead, not behind all


def test_mails_are_read_only_as_they_are_needed():
    read = []

    def mails():
        for n in range(50):
            read.append(n)
            yield mail(n)

    async def run(settings: MailSettings) -> int:
        async with aclosing(SmtpMailer(settings).deliver(mails())) as outcomes:
            async for _ in outcomes:
                return len(read)
        return 0

    with smtp_server() as server:
        assert asyncio.run(run(settings_for(server, Tls.NONE, HERE, connections=2))) < 10
        server.wait_closed()


def test_only_so_many_mails_are_read_ahead_of_a_busy_domain():
    read = []

    def mails():
        for n in range(5000):
            read.append(n)
            yield mail(n)

    async def run(settings: MailSettings) -> None:
        async with aclosing(SmtpMailer(settings).deliver(mails())) as outcomes:
            await anext(outcomes)

    with smtp_server() as server:
        asyncio.run(run(settings_for(server, Tls.NONE, HERE, connections=2, per_domain=1)))
    assert AHEAD_MAX <= len(read) < AHEAD_MAX + 20


def test_what_nobody_asks_for_is_not_sent():
    async def run(settings: MailSettings) -> None:
        async with aclosing(SmtpMailer(settings).deliver(mail(n, f"d{n}.example") for n in range(200))) as outcomes:
            await anext(outcomes)
            with pytest.raises(TimeoutError):  # time enough for many more
                await asyncio.wait_for(asyncio.Event().wait(), 0.1)

    with smtp_server() as server:
        asyncio.run(run(settings_for(server, Tls.NONE, HERE, connections=2)))
        assert len(server.mails) <= 6


def test_an_error_of_the_caller_comes_back_after_the_outcomes_of_what_came_before():
    def mails():
        yield mail(1)
        yield mail(2)
        raise LookupError("no third")

    async def run(settings: MailSettings, told: list[Outcome]) -> None:
        async for outcome in SmtpMailer(settings).deliver(mails()):
            told.append(outcome)  # noqa: PERF401 - what was told before the error counts

    told: list[Outcome] = []
    with smtp_server() as server:
        with pytest.raises(LookupError, match="no third"):
            asyncio.run(run(settings_for(server, Tls.NONE, HERE), told))
        server.wait_closed()
    assert sorted((each.key, each.result) for each in told) == [
        ("notice/1", Result.ACCEPTED),
        ("notice/2", Result.ACCEPTED),
    ]


def test_without_a_mail_nothing_is_connected():
    with smtp_server() as server:
        assert deliver(settings_for(server, Tls.NONE, HERE), []) == []
        assert server.conversations == []


@pytest.mark.parametrize("step", ["connect", "ehlo", "mail", "rcpt", "data", "dot", "quit"])
def test_cancelling_closes_every_connection_at_any_step(step):
    async def run(settings: MailSettings) -> None:
        async def read() -> None:
            async for _ in SmtpMailer(settings).deliver([mail(1, "a.example"), mail(2, "b.example")]):
                pass

        reader = asyncio.create_task(read())
        while not server.reached(step):
            await asyncio.sleep(0.001)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

    with smtp_server({step: Trouble.SLOW}) as server:
        asyncio.run(run(settings_for(server, Tls.NONE, HERE, connections=2)))
        server.wait_closed()
        assert all(each.by_client for each in server.conversations)


# --- values ---


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"recipient": "eva@acme.example> SIZE=1"}, "recipient"),
        ({"recipient": "eva@acme.example\r\nRCPT TO:<x@y.example>"}, "recipient"),
        ({"sender": "no address"}, "sender"),
        ({"envid": "two words"}, "envid"),
        ({"envid": "x" * 101}, "envid"),
        ({"envid": ""}, "envid"),
        ({"data": b""}, "data"),
        ({"data": "text"}, "data"),
    ],
)
def test_a_mail_that_could_say_something_else_on_the_wire_is_refused_at_birth(fields, what):
    with pytest.raises(InvalidValue) as caught:
        mail(**fields)
    assert caught.value.field == what


BASE: dict[str, Any] = {"host": "mail.example", "port": 587, "tls": "starttls"}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"tls": "none"}, "tls"),
        ({"tls": "none", "host": "localhost.example"}, "tls"),
        ({"tls": "none", "host": "10.0.0.1"}, "tls"),
        ({"tls": "maybe"}, "tls"),
        ({"host": "mail.example\r\nQUIT"}, "host"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"connections": 0}, "connections"),
        ({"connections": 51}, "connections"),
        ({"per_domain": 0}, "per_domain"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds"),
        ({"timeout_seconds": "1"}, "timeout_seconds"),
        ({"user": "me"}, "password"),
        ({"password": "geheim"}, "user"),
        ({"user": "me\n", "password": "geheim"}, "user"),
        ({"user": "me", "password": ""}, "password"),
        ({"local_hostname": "two words"}, "local_hostname"),
    ],
)
def test_settings_that_cannot_work_or_would_be_unsafe_are_refused_at_birth(fields, what):
    with pytest.raises(InvalidValue) as caught:
        MailSettings(**(BASE | fields))
    assert caught.value.field == what
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_plain_text_is_for_this_machine(host):
    assert MailSettings(host=host, port=25, tls=Tls.NONE).tls is Tls.NONE


def test_a_password_shows_nowhere_but_where_it_is_asked_for():
    settings = MailSettings(**(BASE | {"user": "me", "password": "canary-1"}))
    secret = settings.password
    assert isinstance(secret, Secret)
    assert secret.reveal() == "canary-1"
    assert (secret == Secret("canary-1"), secret == Secret("canary-2"), secret == "canary-1") == (True, False, False)
    shown = [repr(settings), str(settings), repr(secret), str(secret), f"{secret}", f"{secret!s:>40}"]
    assert not any("canary" in each for each in shown)
    with pytest.raises(TypeError):
        pickle.dumps(settings)
    for bad in ("canary-1\n", "canary\0", "c" * 1001):
        with pytest.raises(InvalidValue) as caught:
            Secret(bad)
        assert "canary" not in str(caught.value)
        assert "ccc" not in str(caught.value)

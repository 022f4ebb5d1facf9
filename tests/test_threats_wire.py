"""Attacks on a whole house: what its people read, what leaves over the wire, which files are touched."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import update

from maintsched.errors import MaintschedError
from maintsched.facts import Outage
from maintsched.fleet import Customer, Fleet, Language
from maintsched.intake.config import FileName, NoticesConfig
from maintsched.mail.outcomes import Outgoing
from maintsched.mail.send import SmtpMailer
from maintsched.mail.settings import Tls
from maintsched.store.fleets import CONTACT
from maintsched.worker import announce as core
from maintsched.worker.outages import open_outage
from maintsched.worker.tick import ExitCode
from tests.databases import sqlite_store
from tests.houses import NOW, World, contact, critical, instance, world
from tests.smtp_servers import SmtpServer, settings_for, smtp_server
from tests.test_mail_message import NAMES

ROOT = Path(__file__).parent.parent
START = NOW + timedelta(days=7)
HEADERS = re.compile(rb"^([!-9;-~]+):", re.MULTILINE)


@contextmanager
def wired(folder: Path, fleet: Fleet, templates: FileName | None = None) -> Iterator[tuple[World, SmtpServer]]:
    """A house whose mails go over the wire, with a window that is announced and not told yet."""
    with smtp_server() as server, sqlite_store(folder) as store:
        made = world(store, folder, fleet=fleet)
        config = made.house.config
        made.house.config = replace(
            config, mail=replace(config.mail, port=server.port), notices=NoticesConfig(folder=templates)
        )
        del made.house.mailer  # the one that records; without it, the house makes the one for production
        core.announce(made.house, critical(start=START, instances=fleet.owners), now=made.now)
        yield made, server


def customers(*people: tuple[str, str]) -> Fleet:
    """A fleet of a customer for each name and address."""
    return Fleet(
        customers=tuple(
            Customer(
                key=f"c{number}",
                name=f"{name} & Co",
                language=Language.EN if number % 2 else Language.DE,
                package="premium",
                contacts=(contact("person", name=name, email=email),),
                instances=(instance(f"c{number}-prod"),),
            )
            for number, (name, email) in enumerate(people)
        )
    )


def parsed(data: bytes) -> EmailMessage:
    found = message_from_bytes(data, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


# --- recipients -------------------------------------------------------------------------------------------------------

DISPLAY_NAMES = (
    "Eva, Bob <bob@evil.example>",
    '" <eve@evil.example>, "',
    "Eva> RCPT TO:<eve@evil.example",
    "Eva; Bcc: eve@evil.example",
    "a@evil.example,b@evil.example",
    "(eve@evil.example)",
    "Eva \\",
    'Eva "',
    "group: eve@evil.example;",
    "Müller, Jürgen <x@evil.example>",
    "=",
    "?=",
    ". . .",
)


def test_envelopes_and_headers_name_the_configured_recipients_and_nobody_else(tmp_path):
    people = [(name, f"person{number}@customer.example") for number, name in enumerate(DISPLAY_NAMES)]
    with wired(tmp_path, customers(*people)) as (home, server):
        assert home.tick().results["accepted"] == len(people)
    assert sorted(mail.recipient for mail in server.mails) == sorted(address for _, address in people)
    commands = [line.partition(" ")[0] for line in server.lines if not line.startswith(("EHLO", "QUIT", "RSET"))]
    assert commands == ["MAIL", "RCPT", "DATA"] * len(people)
    names = {address: name for name, address in people}
    for mail in server.mails:
        found = parsed(mail.data)
        names_of_headers = [name.decode() for name in HEADERS.findall(mail.data.partition(b"\r\n\r\n")[0])]
        assert len(set(names_of_headers)) == len(names_of_headers)
        assert {*names_of_headers} <= {*NAMES}
        assert [(each.display_name, each.addr_spec) for each in found["To"].addresses] == [
            (names[mail.recipient], mail.recipient)
        ]


@pytest.mark.parametrize("name", ["Eva\r\nBcc: eve@evil.example", "=?UTF-8?Q?=0A?=Bcc: eve@evil.example", "\u202eavE"])
def test_a_name_that_got_into_the_database_by_hand_reaches_no_header(tmp_path, name):
    with wired(tmp_path, customers(("Eva", "eva@customer.example"), ("Bob", "bob@customer.example"))) as (home, server):
        with home.house.store.writing() as connection:
            connection.execute(update(CONTACT).where(CONTACT.c.customer == "c0").values(name=name))
        with pytest.raises(MaintschedError) as refused:
            home.tick()
    assert str(refused.value).isprintable()
    assert not [mail for mail in server.mails if b"evil" in mail.data or mail.recipient == "eva@customer.example"]


# --- on the wire ------------------------------------------------------------------------------------------------------

LINES = ("....", "x .", ".. .", ". MAIL FROM:<eve@evil.example>", "QUIT", "DATA", "From eve@evil.example", "=_mixed_")
OWN = (
    "Subject: .own {{ window.reason }}\n\n" + "\n\n".join((*LINES, "{{ window.reason }}", "{{ contact.name }}")) + "\n"
)


def own_folder(folder: Path, text: str, kind: str = "announcement") -> FileName:
    for language in ("de", "en"):
        (folder / language).mkdir(parents=True, exist_ok=True)
        (folder / language / f"{kind}.md").write_bytes(text.encode())
    return FileName(folder)


def test_no_line_of_an_operators_template_or_of_a_value_ends_a_mail_or_begins_another(tmp_path):
    people = [(name, f"p{number}@customer.example") for number, name in enumerate((".", "..", "QUIT", ". ."))]
    folder = own_folder(tmp_path / "own", OWN)
    with wired(tmp_path, customers(*people), templates=folder) as (home, server):
        core.announce(
            home.house,
            critical("dots", start=START, instances=("c0-prod",), reason=". MAIL FROM:<e@evil.example>"),
            now=home.now,
        )
        report = home.tick()
        assert report.results["accepted"] == len(people) + 1, report.problems
    commands = [line.partition(" ")[0] for line in server.lines if not line.startswith(("EHLO", "QUIT", "RSET"))]
    assert commands == ["MAIL", "RCPT", "DATA"] * (len(people) + 1)
    assert not [line for line in server.lines if "evil" in line]
    for mail in server.mails:
        assert mail.wire.count(b"\r") == mail.wire.count(b"\n") == mail.wire.count(b"\r\n")
        assert mail.wire.count(b"\r\n.\r\n") == 1
        text = parsed(mail.data).get_body(("plain",))
        assert text is not None
        assert [line for line in text.get_content().splitlines() if line][: len(LINES)] == list(LINES)


@pytest.mark.parametrize("end", ["\r.\r", "\n.\r", "\r.\n", "\r\r\n.\r\r\n", "\x85.\x85", "\u2028.\u2028", "\x00"])
def test_a_template_with_other_ends_of_lines_is_not_sent_and_holds_up_no_other_notice(tmp_path, end):
    smuggled = f"Subject: s\n\nx{end}MAIL FROM:<eve@evil.example>{end}\n"
    folder = own_folder(tmp_path / "own", smuggled, kind="outage_begun")
    with wired(tmp_path, customers(("Eva", "eva@customer.example")), templates=folder) as (home, server):
        open_outage(home.house, Outage(start=NOW, instance="c0-prod"), now=NOW, note="x")
        report = home.tick()
    assert report.exit_code is ExitCode.OPERATOR
    assert not [mail for mail in server.mails if b"evil" in mail.data]
    assert {mail.recipient for mail in server.mails} == {"eva@customer.example", "support@hosting.example"}


@pytest.mark.parametrize(
    "end", [b"\r.\r", b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\r\n", b"\r\n\x00.\r\n"]
)
def test_whatever_bytes_a_mail_holds_the_wire_carries_one_mail(tmp_path, end):
    inner = b"MAIL FROM:<eve@evil.example>\r\nRCPT TO:<bob@evil.example>\r\nDATA\r\nsmuggled"
    data = b"Subject: x\r\n\r\nhello" + end + inner + end
    mail = Outgoing(key="notice/1", sender="b@x.example", recipient="e@y.example", envid="1", data=data)
    with smtp_server() as server:
        asyncio.run(_deliver(SmtpMailer(settings_for(server, Tls.NONE, tmp_path)), mail))
    (received,) = server.mails
    assert not [line for line in server.lines if "evil" in line]
    assert received.wire.count(b"\r") == received.wire.count(b"\n") == received.wire.count(b"\r\n")
    assert received.wire.count(b"\r\n.\r\n") == 1


async def _deliver(mailer: SmtpMailer, mail: Outgoing) -> None:
    async for _ in mailer.deliver([mail]):
        pass


@pytest.mark.parametrize(
    "body",
    [
        "{% include '../../../../../../etc/passwd' %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ '{0.__class__}'.format(contact) }}",
        "{{ 'a' * 10 ** 8 }}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
    ],
)
def test_a_hostile_template_keeps_its_notice_back_and_the_worker_goes_on(tmp_path, body):
    folder = own_folder(tmp_path / "own", f"Subject: s\n\nx {body}\n")
    with wired(tmp_path, customers(("Eva", "eva@customer.example")), templates=folder) as (home, server):
        report = home.tick()
    assert report.exit_code is ExitCode.OPERATOR
    assert [mail.recipient for mail in server.mails] == ["support@hosting.example"]
    alert = parsed(server.mails[0].data).get_body(("plain",))
    assert alert is not None
    assert "announcement.md, line 3" in " ".join(alert.get_content().split())
    assert b"root:" not in server.mails[0].data

"""Notices through a real Postfix and its delivery reports back to the worker: what a report says is what follows."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from hashlib import sha256

import pytest

import maintsched as ms
from maintsched.fleet import Customer, Fleet, Language
from maintsched.intake.config import FileName
from maintsched.journal import EntryKind
from maintsched.store.outbox import StoredNotice
from maintsched.worker import announce as core
from maintsched.worker.house import read_scene
from maintsched.worker.tick import ExitCode
from tests.databases import sqlite_store
from tests.houses import NOW, World, contact, critical, instance, world
from tests.postfix import Postfix, postfix

START = NOW + timedelta(days=7)
LATER = NOW + timedelta(hours=1)
OPERATOR = "support@hosting.example"
EVA, ANNA = "eva@customer.example", "anna@customer.example"  # who have a mailbox
NOBODY = "nobody@customer.example"
INES = "ines@customer.example"  # whose mailbox is being moved
FAILURES, RECEIPTS = "failures@hosting.example", "receipts@hosting.example"
DELIVERED = ms.load_contract(overrides={"notice": {"proof": "delivered"}})


@pytest.fixture(scope="module")
def server() -> Iterator[Postfix]:
    with postfix(mailboxes=(EVA, ANNA, OPERATOR, FAILURES, RECEIPTS), slow=(INES,)) as running:
        yield running


Open = Callable[..., AbstractContextManager[World]]


@pytest.fixture
def opened(server, tmp_path) -> Open:
    """Opens a house whose mails go through Postfix, with a customer for each address."""

    @contextmanager
    def open_house(*addresses: str, bounce: str, contract: ms.Contract | None = None) -> Iterator[World]:
        fleet = Fleet(customers=tuple(customer(each) for each in addresses))
        with sqlite_store(tmp_path) as store:
            made = world(store, tmp_path, fleet=fleet, contract=contract)
            config = made.house.config
            mail = replace(config.mail, port=server.port, bounce=bounce)
            worker = replace(config.worker, bounces=FileName(server.maildir(bounce)))
            made.house.config = replace(config, mail=mail, worker=worker)
            del made.house.mailer  # the one that records; without it, the house makes the one for production
            made.tick()
            core.announce(made.house, critical(start=START, instances=fleet.owners), now=made.now)
            yield made

    return open_house


def customer(address: str) -> Customer:
    key = address.partition("@")[0]
    return Customer(
        key=key,
        name=f"{key.title()} GmbH",
        language=Language.DE,
        package="premium",
        contacts=(contact("person", email=address),),
        instances=(instance(f"{key}-prod"),),
    )


def announcements(home: World) -> dict[str, StoredNotice]:
    """What became of the announcement, by customer."""
    return {each.notice.customer: each for each in home.notices("critical/disk")}


def told(home: World) -> dict[str, datetime]:
    with home.house.store.reading() as connection:
        found = read_scene(connection, home.house.contract, home.now).told
    return {instance: at for (window, instance), at in found.items() if window == "critical/disk"}


def kinds(home: World, chain: str) -> list[EntryKind]:
    return [each.kind for each in home.entries(chain) if each.subject == "critical/disk"]


def test_what_postfix_reports_is_what_the_worker_makes_of_it(server, opened):
    with opened(EVA, NOBODY, INES, bounce=FAILURES) as home:
        assert home.tick().results["accepted"] == 3
        assert told(home).keys() == {"eva-prod", "nobody-prod", "ines-prod"}
        failed, delayed = sorted(server.arrived(FAILURES, 2), key=lambda raw: b"Action: delayed" in raw)
        assert (b"Action: failed" in failed, b"Action: delayed" in delayed) == (True, True)

        report = home.tick(LATER)
        assert (report.bounces, report.exit_code) == (1, ExitCode.OPERATOR)
        assert not list((server.maildir(FAILURES) / "new").iterdir())
        assert told(home).keys() == {"eva-prod", "ines-prod"}
        found = announcements(home)
        assert {key: each.bounced_at for key, each in found.items()} == {"eva": None, "nobody": LATER, "ines": None}
        assert EntryKind.NOTICE_BOUNCED not in kinds(home, "eva-prod") + kinds(home, "ines-prod")
        bounced = home.entries("nobody-prod")[-1]
        assert (bounced.kind, bounced.data["status"]) == (EntryKind.NOTICE_BOUNCED, "5.1.1")
        assert bounced.data["diagnostic"] == 'X-Postfix; unknown user: "<recipient>"'
        alert = message_from_bytes(server.arrived(OPERATOR)[0])
        assert "critical/disk came back" in str(alert["Subject"])
        assert "announcement/critical:disk/0/nobody/person" in text_of(alert)

        assert home.tick(LATER).bounces == 0


def test_what_arrives_is_what_the_journal_has_the_hash_of(server, opened):
    with opened(ANNA, bounce=FAILURES) as home:
        home.tick()
        (raw,) = server.arrived(ANNA)
        added, _, sent = raw.partition(b"From: ")
        assert [line.split(b":")[0] for line in added.splitlines() if not line.startswith(b"\t")] == [
            *(b"Return-Path", b"X-Original-To", b"Delivered-To", b"Received"),
        ]
        data = b"From: " + sent.replace(b"\n", b"\r\n")
        entry = next(each for each in home.entries("anna-prod") if each.kind is EntryKind.NOTICE_ACCEPTED)
        assert sha256(data).hexdigest() == entry.data["sha256"]
        assert entry.data["reply"].startswith("250 2.0.0 Ok: queued as ")


def test_where_only_a_delivery_counts_the_report_of_it_is_the_proof(server, opened):
    with opened(EVA, INES, bounce=RECEIPTS, contract=DELIVERED) as home:
        assert home.tick().results["accepted"] == 2
        assert told(home) == {}
        receipts = server.arrived(RECEIPTS, 2)
        assert sorted(b"Action: delivered" in each for each in receipts) == [False, True]

        assert home.tick(LATER).bounces == 0
        assert told(home) == {"eva-prod": NOW}  # of which day it is, the acceptance says
        found = announcements(home)
        assert (found["eva"].delivered_at, found["ines"].delivered_at) == (LATER, None)
        assert EntryKind.NOTICE_DELIVERED in kinds(home, "eva-prod")
        assert EntryKind.NOTICE_DELIVERED not in kinds(home, "ines-prod")


def text_of(mail) -> str:
    part = next(each for each in mail.walk() if each.get_content_type() == "text/plain")
    return part.get_payload(decode=True).decode()

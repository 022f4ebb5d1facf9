"""`fleet erase`: name and address are gone from every byte of the database, and the evidence still holds."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text, update

from maintsched.errors import ChangeRefused, UnknownName
from maintsched.facts import Consent, Facts, Freeze
from maintsched.fleet import Contact, Customer, Fleet, Instance, Language
from maintsched.journal import EntryKind, first_fault
from maintsched.notices import NoticeKind, Occasion, Recipient, make_round
from maintsched.store.declared import read_consents
from maintsched.store.evidence import chains, entries_of
from maintsched.store.fleets import kept_contacts, read_fleet
from maintsched.store.ledger import ACTION, NOTICE, ActionState, claim
from maintsched.store.outbox import read_notices, record
from maintsched.worker.erasure import erase
from maintsched.worker.sync import sync_fleet
from tests.worlds import contract

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
DAY = timedelta(days=1)
CONTRACT = contract()
ADDRESS = "eva.unmistakable@acme.example"
NAME = "Eva Unverwechselbar"
EVA = Contact(key="eva", name=NAME, email=ADDRESS, roles=("system_responsible",))
BO = Contact(key="bo", name="Bo", email="bo@acme.example", roles=("system_responsible",))
ACME = Customer(
    key="acme",
    name="ACME GmbH",
    language=Language.DE,
    package="premium",
    contacts=(EVA, BO),
    instances=(Instance(key="acme-prod", host="h1", managed=False), Instance(key="acme-test", host="h2")),
)
FLEET = Fleet(customers=(ACME,))


@pytest.fixture
def filled(store):
    """A store with a fleet and three notices to each contact: one waits, one is being sent, one was accepted."""
    consent = Consent(instance="acme-prod", given_by=NAME, given_at=NOW)
    sync_fleet(store, CONTRACT, FLEET, Facts(consents=(consent,)), prune=False, now=NOW)
    with store.writing() as connection:
        for subject in ("monthly/1", "monthly/2", "monthly/3"):
            record(connection, [a_round(subject)], NOW)
        connection.execute(update(ACTION).where(ACTION.c.key.like("%:2/0/%")).values(not_before=NOW - DAY))
        claim(connection, now=NOW - DAY, owner="w", lease_until=NOW + DAY, limit=10)
        connection.execute(update(ACTION).where(ACTION.c.key.like("%:3/0/%")).values(state="done"))
        reply = f"250 2.1.5 <{ADDRESS}> queued"
        connection.execute(update(NOTICE).where(NOTICE.c.key.like("%:3/0/acme/eva")).values(reply=reply))
    return store


def a_round(subject):
    facts = {"instances": [{"key": "acme-prod"}, {"key": "acme-test"}]}
    occasion = Occasion(kind=NoticeKind.REMINDER, subject=subject, facts=facts, now=NOW, not_before=NOW)
    return make_round(occasion, "acme", [Recipient("eva", True), Recipient("bo", True)], None)


def bytes_of(store):
    """Everything that the database holds, as its files, or as each row of each table and the planner's samples."""
    if store.path is not None:
        store.close()
        return b"".join(path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*"))
    with store.engine.connect() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        found = [connection.execute(text(f'SELECT t::text FROM "{table}" t')).scalars().all() for table in tables]
        found.append(
            connection.execute(text("SELECT s::text FROM pg_stats s WHERE schemaname = 'public'")).scalars().all()
        )
    return json.dumps(found, ensure_ascii=False).encode()


def test_name_and_address_stand_nowhere_any_more(filled):
    if filled.dialect == "postgresql":
        with filled.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    for personal in (NAME, ADDRESS):
        assert personal.encode() in bytes_of(filled)
    with filled.reading() as connection:
        salt = kept_contacts(connection)["acme", "eva"].salt
    done = erase(filled, "acme", "eva", now=NOW)
    assert (done.found_in, done.unclean) == ((), "")
    left = bytes_of(filled)
    for personal in (NAME, ADDRESS, salt):
        assert personal.encode() not in left


def test_what_was_written_over_long_before_is_gone_as_well(filled):
    """An address that was corrected leaves old pages in a database's file, where SQLite was built not to wipe them."""
    if filled.dialect == "sqlite":
        event.listen(filled.engine, "connect", lambda each, _: each.execute("PRAGMA secure_delete = OFF"))
        filled.engine.dispose()
    moved = replace(EVA, email="eva.neu@acme.example")
    for person in (moved, EVA, moved):
        fleet = Fleet(customers=(replace(ACME, contacts=(person, BO)),))
        sync_fleet(filled, CONTRACT, fleet, Facts(), prune=False, now=NOW)
    erase(filled, "acme", "eva", now=NOW)
    left = bytes_of(filled)
    for personal in (NAME, ADDRESS, "eva.neu@"):
        assert personal.encode() not in left


def test_the_chains_hold_and_name_the_contact_by_key(filled):
    erase(filled, "acme", "eva", now=NOW)
    with filled.reading() as connection:
        for chain in chains(connection):
            entries = list(entries_of(connection, chain))
            assert first_fault(chain, entries) is None
            last = entries[-1]
            assert (last.kind, last.subject) == (EntryKind.CONTACT_ERASED, "contact/acme/eva")
            assert last.data == {
                "customer": "acme",
                "contact": "eva",
                "withdrawn": ["notice/reminder/monthly:1/0/acme/eva"],
            }


def test_what_had_not_gone_out_is_cancelled_and_what_is_under_way_is_told(filled):
    done = erase(filled, "acme", "eva", now=NOW)
    assert done.withdrawn == ("notice/reminder/monthly:1/0/acme/eva",)
    assert done.under_way == ("notice/reminder/monthly:2/0/acme/eva",)
    with filled.reading() as connection:
        notices = {each.key: each for each in read_notices(connection)}
    first = notices["notice/reminder/monthly:1/0/acme/eva"]
    assert (first.state, first.notice.required) == (ActionState.CANCELLED, False)
    assert notices["notice/reminder/monthly:1/0/acme/bo"].state is ActionState.READY
    assert notices["notice/reminder/monthly:2/0/acme/eva"].state is ActionState.RUNNING


def test_only_the_one_contact_is_erased(filled):
    erase(filled, "acme", "eva", now=NOW)
    with filled.reading() as connection:
        (customer,) = read_fleet(connection).customers
        (consent,) = read_consents(connection)
    assert customer == replace(ACME, contacts=(BO,))
    assert consent.given_by == "acme/eva"


def test_a_file_cannot_bring_an_erased_contact_back_by_accident(filled):
    erase(filled, "acme", "eva", now=NOW)
    with pytest.raises(ChangeRefused, match="contact acme/eva: expected a contact whose data were not erased"):
        sync_fleet(filled, CONTRACT, FLEET, Facts(), prune=False, now=NOW)
    without = Fleet(customers=(replace(ACME, contacts=(BO,)),))
    assert not sync_fleet(filled, CONTRACT, without, Facts(), prune=True, now=NOW)


def test_given_again_it_cleans_the_file_once_more_and_writes_nothing_down(filled):
    erase(filled, "acme", "eva", now=NOW)
    with filled.reading() as connection:
        before = [entry for chain in chains(connection) for entry in entries_of(connection, chain)]
    done = erase(filled, "acme", "eva", now=NOW + DAY)
    assert (done.again, done.erased_at) == (True, NOW)
    with filled.reading() as connection:
        assert [entry for chain in chains(connection) for entry in entries_of(connection, chain)] == before


def test_an_address_that_somebody_typed_elsewhere_is_named_with_its_place(filled):
    freeze = Freeze(key="f", start=NOW, end=NOW + DAY, reason=f"ask {ADDRESS.upper()} first")
    sync_fleet(filled, CONTRACT, FLEET, Facts(freezes=(freeze,)), prune=False, now=NOW)
    assert erase(filled, "acme", "eva", now=NOW).found_in == ("freeze.reason", "journal.data")


def test_a_contact_that_nobody_has_is_refused(filled):
    with pytest.raises(UnknownName, match="acme/eva"):
        erase(filled, "acme", "eve", now=NOW)


def test_while_another_program_reads_the_bytes_stay_and_that_is_told(filled):
    with filled.engine.connect() as reader:
        reader.exec_driver_sql("SELECT * FROM contact").fetchone()
        done = erase(filled, "acme", "eva", now=NOW, patience_seconds=0)
    assert done.unclean
    assert erase(filled, "acme", "eva", now=NOW).unclean == ""

"""Evidence holds: whatever is done to the database behind its triggers shows, and shows where."""

import shutil
import time
from datetime import timedelta

import pytest
from sqlalchemy import text

import maintsched as ms
from maintsched.journal import PROVIDER, EntryKind, Event
from maintsched.report.casefile import Punctuality
from maintsched.store import open_store
from maintsched.store.evidence import append
from maintsched.store.fleets import erase_contact
from maintsched.store.outbox import read_notices
from maintsched.worker.heads import keep_heads, read_heads
from maintsched.worker.proofs import Verdict, read_case, verify
from tests.casefiles import AFTER, BEGIN, HOUR, HOUSE, a_month, contract, remind, settle, told
from tests.databases import address, sqlite_store

CHAIN = "acme-prod"


def tamper(store, *statements: str) -> None:
    """Change the journal as somebody would who owns the database: the triggers go first."""
    if store.dialect == "sqlite":
        drop = [f"DROP TRIGGER journal_no_{name}" for name in ("update", "delete", "replace")]
    else:
        drop = ["DROP TRIGGER journal_no_change ON journal"]
    with store.writing() as connection:
        for statement in (*drop, *statements):
            connection.exec_driver_sql(statement)


@pytest.fixture
def kept(store, tmp_path):
    """The heads of a month's evidence in `store`, kept outside."""
    a_month(store)
    path = tmp_path / "heads"
    assert keep_heads(store, path) == []
    return read_heads(path)


def where(chain=CHAIN, seq=None) -> str:
    return f"chain = '{chain}'" + (f" AND seq = {seq}" if seq else "")


# --- tampering --------------------------------------------------------------------------------------------------------


def test_what_nobody_touched_is_whole(store, kept):
    assert verify(store, (), kept) == Verdict(chains=4, entries=7)
    assert verify(store, [CHAIN], kept) == Verdict(chains=1, entries=4)


@pytest.mark.parametrize(
    ("change", "seq", "says"),
    [
        ("UPDATE journal SET data = replace(data, '250 2.0.0', '250 9.9.9') WHERE {1}", 1, "was changed"),
        ("UPDATE journal SET subject = 'monthly/2026-11' WHERE {3}", 3, "was changed"),
        ("UPDATE journal SET kind = 'notice_accepted' WHERE {2}", 2, "was changed"),
        ("UPDATE journal SET kind = 'something else' WHERE {2}", 2, "cannot be read"),
        ("UPDATE journal SET data = 'no json' WHERE {2}", 2, "cannot be read"),
        ("UPDATE journal SET data = '[1]' WHERE {2}", 2, "was changed"),
        ("UPDATE journal SET at = '2026-11-20T07:00:12.000000Z' WHERE {1}", 1, "was changed"),
        ("UPDATE journal SET digest = '{zero}' WHERE {2}", 2, "was changed"),
        ("UPDATE journal SET previous = '{zero}' WHERE {3}", 3, "the link is broken"),
        ("DELETE FROM journal WHERE {1}", 1, "entry 1 is missing"),
        ("DELETE FROM journal WHERE {3}", 3, "entry 3 is missing"),
        ("DELETE FROM journal WHERE {4}", 4, "the tail is cut off"),
        ("DELETE FROM journal WHERE {all}", 1, "the tail is cut off"),
        ("UPDATE head SET seq = 3 WHERE {all}", 4, "the database calls entry 3 the last"),
        ("DELETE FROM head WHERE {all}", 4, "the database calls entry 0 the last"),
    ],
)
def test_a_change_behind_the_triggers_is_named_by_its_first_link(store, kept, change, seq, says):
    places = {"1": where(seq=1), "2": where(seq=2), "3": where(seq=3), "4": where(seq=4), "all": where()}
    statement = change
    for name, condition in {**places, "zero": "0" * 64}.items():
        statement = statement.replace(f"{{{name}}}", condition)
    tamper(store, statement)
    (fault,) = verify(store, (), kept).faults
    assert (fault.chain, fault.seq) == (CHAIN, seq)
    assert says in fault.what
    assert verify(store, ["acme-test", "birch-prod", PROVIDER], kept).faults == ()


def test_each_broken_chain_is_named_once(store, kept):
    tamper(store, "UPDATE journal SET subject = 'x'")
    faults = verify(store, (), kept).faults
    assert [(fault.chain, fault.seq) for fault in faults] == [
        (PROVIDER, 1),
        (CHAIN, 1),
        ("acme-test", 1),
        ("birch-prod", 1),
    ]


def test_a_tail_that_was_cut_off_with_its_head_shows_only_beside_the_heads_outside(store, kept):
    tamper(
        store,
        f"DELETE FROM journal WHERE {where()} AND seq > 2",
        f"UPDATE head SET seq = 2, digest = (SELECT digest FROM journal WHERE {where(seq=2)}) WHERE {where()}",
    )
    assert verify(store).faults == ()
    (fault,) = verify(store, (), kept).faults
    assert fault == (CHAIN, 3, "the tail is cut off: 4 entries are known, the last is entry 2")


def test_a_chain_that_was_removed_altogether_shows_beside_the_heads_outside(store, kept):
    tamper(store, f"DELETE FROM journal WHERE {where()}", f"DELETE FROM head WHERE {where()}")
    assert verify(store).faults == ()
    (fault,) = verify(store, (), kept).faults
    assert fault == (CHAIN, 1, "the tail is cut off: 4 entries are known, the last is nothing")


def test_a_chain_that_was_written_anew_from_its_start_shows_beside_the_heads_outside(store, kept):
    tamper(store, f"DELETE FROM journal WHERE {where()}", f"DELETE FROM head WHERE {where()}")
    with store.writing() as connection:
        append(connection, [Event(chain=CHAIN, at=BEGIN, kind=EntryKind.BREACH, subject="other")] * 5)
    assert verify(store).faults == ()
    (fault,) = verify(store, (), kept).faults
    assert (fault.chain, fault.seq) == (CHAIN, 4)
    assert "the chain was written anew" in fault.what


def test_an_older_copy_that_was_restored_shows_beside_the_heads_outside(tmp_path):
    with sqlite_store(tmp_path) as store:
        fleet = settle(store)
        url, database = address(store), tmp_path / "maintsched.db"
    shutil.copy(database, tmp_path / "older")
    with open_store(url) as store:
        remind(store, fleet)
        keep_heads(store, tmp_path / "heads")
    shutil.copy(tmp_path / "older", database)
    with open_store(url) as store:
        faults = verify(store, (), read_heads(tmp_path / "heads")).faults
        assert [fault.chain for fault in faults] == ["acme-prod", "acme-test", "birch-prod"]
        assert verify(store).faults == ()


def test_an_unknown_chain_is_refused_and_an_instance_without_entries_is_whole(store):
    settle(store)
    assert verify(store, [CHAIN]) == Verdict(chains=1, entries=0)
    with pytest.raises(ms.UnknownName, match="did you mean acme-prod"):
        verify(store, ["acme-prd"])


def test_a_hundred_thousand_entries_are_checked_in_a_few_seconds(tmp_path):
    data = {"reply": "250 2.0.0 Ok: queued as 4bXq3J1Z", "server": "mail.example", "contact": "eva", "revision": 0}
    with sqlite_store(tmp_path) as store:
        events = [
            Event(chain=f"i{n % 50}", at=BEGIN + timedelta(seconds=n), kind=EntryKind.BREACH, subject="x", data=data)
            for n in range(10_000)
        ]
        with store.writing() as connection:
            append(connection, events)
        begin = time.perf_counter()
        assert verify(store) == Verdict(chains=50, entries=10_000)
        assert time.perf_counter() - begin < 3  # a tenth of them, in about a third of a second


# --- the case ---------------------------------------------------------------------------------------------------------


def case(store, instance=CHAIN, month="2026-12", **more):
    return read_case(store, contract(), HOUSE, instance, month, now=more.pop("now", AFTER), **more)


def test_a_case_says_what_the_availability_says(store, kept):
    found = case(store, kept=kept)
    assert found.sound
    assert found.check.beside_heads
    monthly, hotfix = found.windows
    assert (monthly.effect.deducted_seconds, hotfix.effect.counted_seconds) == (4 * 3600, 2 * 3600)
    assert found.availability.counted_seconds == 7200 + found.outages[0].counted_seconds
    assert [window.punctuality for window in found.windows] == [Punctuality.KEPT, Punctuality.MISSED]


def test_the_entries_of_a_case_reach_from_the_first_that_matters_to_the_last_without_a_gap(store):
    a_month(store)
    with store.writing() as connection:
        later = AFTER + timedelta(days=40)
        append(connection, [Event(chain=CHAIN, at=later, kind=EntryKind.INSTANCE_CHANGED, subject=CHAIN)])
    assert [entry.seq for entry in case(store).entries] == [1, 2, 3, 4]
    assert [entry.seq for entry in case(store, month="2027-02").entries] == [5]
    assert case(store, month="2026-10").entries == ()


def test_a_window_of_the_rule_that_nobody_was_told_of_is_in_the_case(store):
    settle(store)
    (window,) = case(store).windows
    assert (window.id, window.state, window.punctuality) == ("monthly/2026-12", "rule", Punctuality.MISSED)
    (window,) = case(store, now=BEGIN).windows
    assert window.punctuality is Punctuality.OPEN


def test_of_what_was_before_the_journal_nothing_is_said(store):
    settle(store)
    found = case(store, month="2026-11")
    assert found.begins_late
    assert found.windows == ()
    assert case(store, month="2026-10").windows == ()
    assert not case(store).begins_late


def test_an_acceptance_that_only_the_working_tables_know_is_no_proof(store):
    fleet = settle(store)
    (key, *_) = remind(store, fleet)
    tamper(store, f"DELETE FROM journal WHERE {where()}", f"DELETE FROM head WHERE {where()}")
    found = case(store)
    assert found.check.fault is None
    assert found.windows[0].contradictions == (key,)
    assert not found.sound


def test_a_bounce_that_only_the_journal_knows_contradicts_the_working_tables(store):
    fleet = settle(store)
    keys = remind(store, fleet)
    with store.writing() as connection:
        (stored,) = [each for each in read_notices(connection, keys=set(keys)) if each.notice.customer == "acme"]
        append(connection, told(stored.notice, EntryKind.NOTICE_BOUNCED, BEGIN + HOUR))
    found = case(store)
    assert found.windows[0].contradictions == (stored.key,)


def test_what_stands_behind_a_broken_link_is_left_out(store, kept):
    tamper(store, f"UPDATE journal SET data = '{{}}' WHERE {where(seq=3)}")
    found = case(store, kept=kept)
    assert found.check.fault.seq == 3
    assert [entry.seq for entry in found.entries] == [1, 2]
    assert not found.sound


def test_an_erased_contact_leaves_its_key_and_nothing_else(store):
    a_month(store)
    with store.writing() as connection:
        erase_contact(connection, "acme", "eva", AFTER)
    found = case(store)
    assert found.sound
    assert found.windows[0].mails[0].contact == "eva"
    assert found.windows[0].mails[0].roles == ()


def test_an_instance_that_left_the_fleet_keeps_its_evidence(store):
    a_month(store)
    with store.writing() as connection:
        connection.execute(text("DELETE FROM instance WHERE key = 'acme-prod'"))
    found = case(store)
    assert found.environment is None
    assert found.customer == "acme"
    assert found.availability is None
    assert len(found.entries) == 4
    with pytest.raises(ms.UnknownName, match="INSTANCE"):
        case(store, instance="nobody")


def test_a_window_of_the_whole_fleet_shows_its_history_and_no_entry_of_others(store):
    settle(store)
    with store.writing() as connection:
        others = [
            Event(chain=PROVIDER, at=BEGIN, kind=EntryKind.INSTANCE_CHANGED, subject="birch-prod"),
            Event(
                chain=PROVIDER, at=BEGIN, kind=EntryKind.WINDOW_MOVED, subject="monthly/2026-12", data={"instances": []}
            ),
            Event(
                chain=PROVIDER, at=BEGIN, kind=EntryKind.WINDOW_MOVED, subject="monthly/2027-12", data={"instances": []}
            ),
        ]
        append(connection, others)
    remind(store, ms.load_fleet(contract(), "docs/examples/fleet.toml")[0])
    found = case(store)
    assert [entry.seq for entry in found.shared] == [3]
    assert found.windows[0].history == found.shared
    tamper(store, f"UPDATE journal SET kind = 'x' WHERE {where(PROVIDER, 3)}")
    assert (case(store).check.fault.chain, case(store).check.fault.seq) == (PROVIDER, 3)
    assert case(store).shared == ()

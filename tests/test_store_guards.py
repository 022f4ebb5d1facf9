"""What the database itself guards: evidence is never changed, what is committed is on disk, a reading stands still."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from maintsched.errors import StoreError
from maintsched.store import open_store
from maintsched.store.evidence import HEAD, JOURNAL
from tests.databases import address, sqlite_store

AT = datetime(2026, 12, 1, 16, tzinfo=UTC)
OUT = "the journal is evidence: entries are added, never changed or removed"
CHANGES = {
    "one entry is changed": "UPDATE journal SET data = '{}' WHERE chain = 'acme' AND seq = 2",
    "one is changed to what it says": "UPDATE journal SET data = data WHERE chain = 'acme' AND seq = 2",
    "all are changed": "UPDATE journal SET subject = 'other'",
    "one moves to another chain": "UPDATE journal SET chain = 'birch' WHERE chain = 'acme' AND seq = 3",
    "one is removed": "DELETE FROM journal WHERE chain = 'acme' AND seq = 2",
    "all are removed": "DELETE FROM journal",
}
VALUES = "(chain, seq, at, kind, subject, data, previous, digest) SELECT chain, seq, at, kind, 'other', data, '', ''"
SQLITE_CHANGES = {
    "one is replaced": f"INSERT OR REPLACE INTO journal {VALUES} FROM journal WHERE seq = 2",
    "one is replaced, the short way": f"REPLACE INTO journal {VALUES} FROM journal WHERE seq = 2",
    "a change that may fail is tried": "UPDATE OR REPLACE journal SET seq = 1 WHERE seq = 2",
    "one is updated where it stands": f"INSERT INTO journal {VALUES} FROM journal WHERE true "
    "ON CONFLICT (chain, seq) DO UPDATE SET subject = 'other'",
}
POSTGRESQL_CHANGES = {
    "it is emptied": "TRUNCATE journal",
    "it is emptied with others": "TRUNCATE head, journal CASCADE",
    "one is updated where it stands": f"INSERT INTO journal {VALUES} FROM journal "
    "ON CONFLICT (chain, seq) DO UPDATE SET subject = 'other'",
    "triggers are told to rest": "SET session_replication_role = replica; DELETE FROM journal",
}


def entry(seq: int, subject: str = "outage/1") -> dict[str, Any]:
    blank = {"chain": "acme", "at": AT, "kind": "outage_opened", "data": "{}", "previous": "", "digest": ""}
    return blank | {"seq": seq, "subject": subject}


@pytest.fixture
def written(store):
    """A store whose journal holds three entries of one chain, and its head."""
    with store.writing() as connection:
        connection.execute(insert(JOURNAL), [entry(seq) for seq in (1, 2, 3)])
        connection.execute(insert(HEAD), [{"chain": "acme", "seq": 3, "digest": ""}])
    return store


def journal(store):
    with store.reading() as connection:
        return connection.execute(select(JOURNAL).order_by(JOURNAL.c.seq)).all()


def refused(store, change):
    before = journal(store)
    assert len(before) == 3
    with pytest.raises(StoreError, match=OUT), store.writing() as connection:
        connection.exec_driver_sql(change)
    assert journal(store) == before


# --- the journal ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_journal_refuses_every_change(written, change):
    refused(written, change)


@pytest.mark.parametrize("change", SQLITE_CHANGES.values(), ids=SQLITE_CHANGES)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_journal_refuses_the_changes_that_only_sqlite_knows(written, change):
    refused(written, change)


@pytest.mark.parametrize("change", POSTGRESQL_CHANGES.values(), ids=POSTGRESQL_CHANGES)
@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_the_journal_refuses_the_changes_that_only_postgresql_knows(written, change):
    refused(written, change)


def test_an_entry_is_refused_where_one_of_its_number_stands(written):
    before = journal(written)
    with pytest.raises(StoreError), written.writing() as connection:
        connection.execute(insert(JOURNAL), [entry(2, subject="other")])
    assert journal(written) == before


def test_an_entry_of_a_new_number_is_taken(written):
    with written.writing() as connection:
        connection.execute(insert(JOURNAL), [entry(4), entry(1) | {"chain": "birch"}])
    assert len(journal(written)) == 5


def test_a_refused_change_takes_all_that_was_done_with_it_back(written):
    def both():
        with written.writing() as connection:
            connection.execute(text("INSERT INTO meta VALUES ('a', 'b')"))
            connection.execute(update(JOURNAL).values(subject="other"))

    with pytest.raises(StoreError, match=OUT):
        both()
    with written.reading() as connection:
        assert connection.execute(text("SELECT * FROM meta")).all() == []


def test_no_table_but_the_journal_is_closed(written):
    with written.writing() as connection:
        connection.execute(text("UPDATE head SET digest = 'other'"))
        assert connection.execute(text("DELETE FROM head")).rowcount == 1


# --- transactions -----------------------------------------------------------------------------------------------------


def test_what_was_written_is_there_only_when_the_block_ends_well(store):
    def failing():
        with store.writing() as connection:
            connection.execute(text("INSERT INTO meta VALUES ('lost', '')"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    with store.writing() as connection:
        connection.execute(text("INSERT INTO meta VALUES ('kept', '')"))
    with store.reading() as connection:
        assert connection.execute(text("SELECT name FROM meta")).scalars().all() == ["kept"]


def test_a_reading_sees_one_state_of_the_database_whatever_is_committed_meanwhile(store):
    count = text("SELECT count(*) FROM meta")
    with store.reading() as reading:
        assert reading.execute(count).scalar_one() == 0
        with store.writing() as writing:
            writing.execute(text("INSERT INTO meta VALUES ('new', '')"))
        assert reading.execute(count).scalar_one() == 0
    with store.reading() as reading:
        assert reading.execute(count).scalar_one() == 1


def test_writing_works_after_reading_on_the_same_connection(store):
    for n in range(3):
        with store.reading() as connection:
            assert len(connection.execute(select(JOURNAL)).all()) == n
        with store.writing() as connection:
            connection.execute(insert(JOURNAL), [entry(n)])


# --- what is committed is on disk -------------------------------------------------------------------------------------


def test_sqlite_writes_ahead_and_waits_for_the_disk_on_every_connection(tmp_path):
    with sqlite_store(tmp_path) as store, store.reading() as first, store.reading() as second:
        for connection in (first, second):
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2


def test_a_database_that_was_switched_to_another_journal_mode_is_refused_until_it_is_mended(tmp_path):
    with sqlite_store(tmp_path) as store, store.engine.connect() as connection:
        url = address(store)
        raw: Any = connection.connection.driver_connection
        connection.rollback()
        raw.execute("PRAGMA journal_mode = DELETE")
    expected = "expected a write-ahead log and full synchronisation in .*, got journal_mode delete, synchronous 2; "
    with pytest.raises(StoreError, match=f"{expected}`maintsched init` mends it"):
        open_store(url)
    open_store(url, create=True).close()
    open_store(url).close()


def test_a_copy_that_sqlite_wrote_is_refused_until_it_is_mended(tmp_path):
    with sqlite_store(tmp_path) as store, closing(sqlite3.connect(str(store.path))) as connection:
        connection.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    (tmp_path / "copy.db").chmod(0o600)
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    with pytest.raises(StoreError, match="`maintsched init` mends it"):
        open_store(url)
    open_store(url, create=True).close()
    open_store(url).close()


def test_a_server_that_does_not_wait_for_the_disk_is_refused(postgresql):
    url = postgresql.fresh()
    name = url.partition("@/")[2].partition("?")[0]
    postgresql.run(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    with pytest.raises(StoreError, match=r"a server that writes to disk what it commits .* synchronous_commit off"):
        open_store(url)

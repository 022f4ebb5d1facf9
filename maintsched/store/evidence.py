"""The journal in the database: entries are appended to chains, read in order, never changed."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from maintsched.journal import PROVIDER, Entry, EntryKind, Event, Head, chained
from maintsched.store.bulk import execute_rows, plain_insert
from maintsched.store.rows import HeadRow, JournalRow
from maintsched.store.tables import in_chunks, table_of

JOURNAL = table_of(JournalRow)
HEAD = table_of(HeadRow)


def append(connection: Connection, events: Iterable[Event]) -> list[Entry]:
    """Write events down at the ends of their chains, in order; return the entries."""
    wanted = list(events)
    if not wanted:
        return []
    before = heads(connection, {event.chain for event in wanted})
    entries = chained(wanted, before)
    execute_rows(connection, plain_insert(JOURNAL), [_row(entry) for entry in entries])
    after = {entry.chain: entry.head for entry in entries}
    old = [_head_row(chain, head, "b_") for chain, head in after.items() if chain in before]
    new = [_head_row(chain, head) for chain, head in after.items() if chain not in before]
    execute_rows(connection, _MOVE, old)
    execute_rows(connection, plain_insert(HEAD), new)
    return entries


_MOVE = (
    update(HEAD)
    .where(HEAD.c.chain == bindparam("b_chain"))
    .values(seq=bindparam("b_seq"), digest=bindparam("b_digest"))
)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "chain": entry.chain,
        "seq": entry.seq,
        "at": entry.at,
        "kind": str(entry.kind),
        "subject": entry.subject,
        "data": json.dumps(entry.data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False),
        "previous": entry.previous,
        "digest": entry.digest,
    }


def _head_row(chain: str, head: Head, prefix: str = "") -> dict[str, Any]:
    return {f"{prefix}chain": chain, f"{prefix}seq": head.seq, f"{prefix}digest": head.digest}


def heads(connection: Connection, chains: Collection[str] | None = None) -> dict[str, Head]:
    """Return the heads of `chains`, or of all; a chain without entries has none."""
    columns = select(HEAD.c.chain, HEAD.c.seq, HEAD.c.digest)
    if chains is None:
        found = connection.execute(columns).all()
    else:
        found = [
            row
            for some in in_chunks(sorted(chains))
            for row in connection.execute(columns.where(HEAD.c.chain.in_(some)))
        ]
    return {chain: Head(seq, digest) for chain, seq, digest in found}


def begun_at(connection: Connection) -> datetime | None:
    """Return when the journal began: the provider's chain is begun with the database."""
    first = select(JOURNAL.c.at).where(JOURNAL.c.chain == PROVIDER, JOURNAL.c.seq == 1)
    return connection.execute(first).scalar_one_or_none()


def count_heads(connection: Connection) -> tuple[int, int]:
    """Return how many chains there are, and how many entries in all of them."""
    counted = connection.execute(select(func.count(), func.coalesce(func.sum(HEAD.c.seq), 0)).select_from(HEAD)).one()
    return int(counted[0]), int(counted[1])


def count_entries(connection: Connection) -> int:
    """Return how many entries there are."""
    return count_heads(connection)[1]


def chains(connection: Connection) -> list[str]:
    """Return the names of all chains, in order."""
    return list(connection.execute(select(HEAD.c.chain).order_by(HEAD.c.chain)).scalars())


def entries_of(connection: Connection, chain: str) -> Iterator[Entry]:
    """Return the entries of a chain, in order."""
    found = connection.execute(select(JOURNAL).where(JOURNAL.c.chain == chain).order_by(JOURNAL.c.seq))
    return (entry_from_row(row) for row in found.mappings())


def entry_from_row(row: Mapping[Any, Any]) -> Entry:
    """Return a row as a value. What it says is not checked here: that is what the chain is for."""
    at: datetime = row["at"]
    return Entry(
        chain=row["chain"],
        seq=row["seq"],
        at=at,
        kind=EntryKind(row["kind"]),
        subject=row["subject"],
        data=json.loads(row["data"]),
        previous=row["previous"],
        digest=row["digest"],
    )

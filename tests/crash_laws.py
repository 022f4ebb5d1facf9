"""What has to hold after a crash, looked at from outside: in the database, the files, and what the mail server took.

Each function returns what is broken, in lines; nothing broken, no line.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, select

from maintsched.journal import EntryKind, first_fault
from maintsched.localtime import utc
from maintsched.mail.compose import message_id
from maintsched.store import Store
from maintsched.store.evidence import chains, entries_of, heads
from maintsched.store.ledger import ACTION, NOTICE, ActionKind, ActionState
from maintsched.store.rows import Row
from maintsched.worker.dispatch import MARK_COUNT
from maintsched.worker.heads import check_heads, read_heads
from tests.smtp_servers import Received

DOMAIN = "hosting.example"
_RANDOM = re.compile(r"[0-9a-f]{32,}")
"""Salts, epochs, and hashes of them: they are others each time."""

_MESSAGE_ID = re.compile(rb"^Message-ID: *(<[^>]+>)", re.IGNORECASE | re.MULTILINE)

PASSING = "/alert:margin:"
"""Alerts about how it stands at a pass: another pass may find it mended."""

Journal = Counter[tuple[str, str, str, str]]
Copies = Mapping[str, list[Received]]
"""The mails a server took, by key of their notice."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What a database says."""

    journal: Journal
    done: frozenset[str]
    dump: str


def state_of(store: Store) -> State:
    """Return what a database says: its journal without its instants, which notices are done, and every row."""
    with store.reading() as connection:
        journal: Journal = Counter(
            (chain, str(entry.kind), _RANDOM.sub("*", entry.subject), str(entry.data.get("notice", "")))
            for chain in chains(connection)
            for entry in entries_of(connection, chain)
        )
        finished = select(ACTION.c.key).where(ACTION.c.state == ActionState.DONE)
        return State(journal=journal, done=frozenset(connection.execute(finished).scalars()), dump=_dump(connection))


def _dump(connection: Connection) -> str:
    rows = (
        f"{table.name} {_RANDOM.sub('*', repr(tuple(row)))}"
        for table in Row.metadata.sorted_tables
        for row in connection.execute(select(table))
    )
    return "\n".join(sorted(rows))


def copies_of(store: Store, mails: list[Received]) -> Copies:
    """Return the mails by key; one that nobody knows stands under its Message-ID."""
    with store.reading() as connection:
        keys = {message_id(key, DOMAIN): key for key in connection.execute(select(NOTICE.c.key)).scalars()}
    found: dict[str, list[Received]] = {}
    for mail in mails:
        header = _MESSAGE_ID.search(mail.data)
        named = header[1].decode() if header else "no Message-ID"
        found.setdefault(keys.get(named, named), []).append(mail)
    return found


# --- at any time -----------------------------------------------------------------------------------------------------


def evidence_broken(store: Store, path: Path) -> Iterator[str]:
    """Every chain holds, and the heads outside the database know of nothing that is not in it."""
    with store.reading() as connection:
        current = heads(connection)
        for chain in chains(connection):
            fault = first_fault(chain, entries_of(connection, chain), current[chain])
            if fault:
                yield f"chain {chain}: {fault.what}"
        if path.exists():
            yield from (f"heads: {fault.chain}: {fault.what}" for fault in check_heads(connection, read_heads(path)))


def ledger_broken(store: Store, since: datetime) -> Iterator[str]:
    """Who is at something has a name and a lease; what nobody is at has neither."""
    columns = (ACTION.c.key, ACTION.c.kind, ACTION.c.state, ACTION.c.owner, ACTION.c.lease_until)
    with store.reading() as connection:
        for key, kind, state, owner, lease_until in connection.execute(select(*columns)):
            held = owner is not None and lease_until is not None and utc(lease_until) > utc(since)
            free = owner is None and lease_until is None
            let_go = free and kind == ActionKind.RUN  # a run goes on alone between two passes
            if not (held or let_go if state == ActionState.RUNNING else free):
                yield f"{key}: {state}, owner {owner}, lease {lease_until}"


# --- at the end ------------------------------------------------------------------------------------------------------


def unfinished(store: Store, now: datetime) -> Iterator[str]:
    """Nothing is due any more, and nobody is at anything."""
    states = ACTION.c.state.in_([str(ActionState.RUNNING), str(ActionState.READY)])
    waiting = select(ACTION.c.key, ACTION.c.state).where(ACTION.c.kind == ActionKind.NOTICE, states)
    with store.reading() as connection:
        for key, state in connection.execute(waiting.where(ACTION.c.not_before <= now)):
            yield f"{key} is still {state}"


def heads_left_behind(store: Store, path: Path) -> Iterator[str]:
    """The heads outside the database are those in it: what was cut off would show."""
    with store.reading() as connection:
        current, kept = heads(connection), read_heads(path).heads
    yield from (f"heads: {chain} is behind" for chain, head in current.items() if kept.get(chain) != head)


def lost_or_more(copies: Copies, wanted: Copies) -> Iterator[str]:
    """What would have gone out without a crash has gone out, and nothing else has."""
    yield from (f"{key} was lost" for key in sorted(wanted.keys() - copies.keys()) if PASSING not in key)
    yield from (
        f"{key} went out, and should not" for key in sorted(copies.keys() - wanted.keys()) if PASSING not in key
    )


def in_flight(connections: int) -> int:
    """Return how many mails may be sent and not marked: those that wait for it, and three at each connection."""
    return MARK_COUNT + 3 * connections


def sent_twice(copies: Copies, open_before: Counter[str], most: int) -> Iterator[str]:
    """No copy more than one for each crash and mail that was sent and not yet marked. All of them are the same."""
    for key, mails in copies.items():
        if len(mails) > 1 + open_before[key]:
            yield f"{key} went out {len(mails)} times, {open_before[key]} of them sent and not marked at a crash"
        if len({mail.wire for mail in mails}) > 1:
            yield f"{key} went out with other bytes"
    if open_before.total() > most:
        yield f"{open_before.total()} mails were sent and not marked"


def unproved(store: Store, copies: Copies) -> Iterator[str]:
    """Every mail that a server took is in the journal, once for each instance, with the hash of what was taken."""
    with store.reading() as connection:
        entries = [
            entry
            for chain in chains(connection)
            for entry in entries_of(connection, chain)
            if entry.kind is EntryKind.NOTICE_ACCEPTED
        ]
    counted = Counter((entry.chain, entry.data["notice"], str(entry.at)) for entry in entries)
    yield from (f"{key} is proved {count} times in {chain}" for (chain, key, _), count in counted.items() if count > 1)
    proofs = {(entry.data["notice"], entry.data["sha256"]) for entry in entries}
    for key, mails in copies.items():
        for mail in mails:
            if (key, sha256(mail.data).hexdigest()) not in proofs:
                yield f"{key} was taken by the server, and no entry proves it"


def told_otherwise(journal: Journal, wanted: Journal) -> Iterator[str]:
    """The journal says what it would say without a crash."""
    yield from (f"journal lacks {each}" for each in (wanted - journal) if PASSING not in each[3])
    yield from (f"journal has one more of {each}" for each in (journal - wanted) if PASSING not in each[3])


def worked_otherwise(done: Counter[str], wanted: Counter[str]) -> Iterator[str]:
    """What was done on the hosts is what would have been done without a crash: nothing twice, nothing left out."""
    yield from (f"not done on a host: {each}" for each in (wanted - done))
    yield from (f"done on a host once more: {each}" for each in (done - wanted))


def without_epochs(journal: Journal) -> Journal:
    """Return a journal without the epochs that began."""
    return Counter({each: times for each, times in journal.items() if each[1] != EntryKind.EPOCH_BEGUN})

"""Erases a contact's personal data on request, while the chains of evidence stay as they are.

What remains is the contact's key and a hash of the address, which nobody can follow once its salt is gone. The bytes
are erased as well: a database keeps what was overwritten until it writes its file anew.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Text, case, cast, delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from maintsched.errors import UnknownName, printable
from maintsched.journal import PROVIDER, EntryKind, Event
from maintsched.store.declared import CONSENT
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.store.fleets import CONTACT, INSTANCE, KeptContact, erase_contact, kept_contacts
from maintsched.store.ledger import ACTION, NOTICE, ActionState
from maintsched.store.rows import Row, SuppressionRow
from maintsched.store.tables import table_of
from maintsched.worker.departure import withdraw_of_contacts

SUPPRESSION = table_of(SuppressionRow)
REWRITTEN = ("contact", "consent", "suppression", "notice")
"""Tables that may have held personal data of a contact."""
PATIENCE_SECONDS = 30
"""How long other programs are waited for."""


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What an erasure did, and what it could not do."""

    customer: str
    contact: str
    erased_at: datetime
    again: bool
    """The data had been erased before: only the bytes were looked after once more."""
    withdrawn: tuple[str, ...] = ()
    """Keys of notices that had not gone out, and will not any more."""
    others: int = 0
    """How many other contacts the customer has."""
    under_way: tuple[str, ...] = ()
    """Keys of notices that are being sent at this moment."""
    found_in: tuple[str, ...] = ()
    """Columns, as table.column, whose texts still hold the address: somebody typed it there, or a server said it."""
    unclean: str = ""
    """Why the file still holds the bytes; empty: it does not."""


def find_contact(store: Store, customer: str, contact: str) -> KeptContact:
    """Return what is kept of a contact; `UnknownName` where there is none of that key."""
    with store.reading() as connection:
        return _kept(connection, customer, contact)


def _kept(connection: Connection, customer: str, contact: str) -> KeptContact:
    known = kept_contacts(connection)
    found = known.get((customer, contact))
    if found is None:
        raise UnknownName("contact", found=f"{customer}/{contact}", known=[f"{a}/{b}" for a, b in known])
    return found


def erase(
    store: Store, customer: str, contact: str, *, now: datetime, patience_seconds: int = PATIENCE_SECONDS
) -> Erasure:
    """Erase name, address and salt of a contact; write down by key that it was done; clean the database's file.

    Given again, it only cleans the file once more. Raises `UnknownName` for a contact that nobody has.
    """
    with store.writing() as connection:
        kept = _kept(connection, customer, contact)
        if kept.erased_at is not None:
            done = Erasure(customer=customer, contact=contact, erased_at=kept.erased_at, again=True)
        else:
            done = _erased(connection, customer, contact, kept.email, now)
    return replace(done, unclean=_clean(store, patience_seconds))


def _erased(connection: Connection, customer: str, contact: str, email: str, now: datetime) -> Erasure:
    withdrawn = withdraw_of_contacts(connection, [(customer, contact)], now)
    under_way = _under_way(connection, customer, contact)
    _blank_traces(connection, customer, contact, email)
    erase_contact(connection, customer, contact, now)
    mine = select(INSTANCE.c.key).where(INSTANCE.c.customer == customer).order_by(INSTANCE.c.position)
    chains = list(connection.execute(mine).scalars()) or [PROVIDER]
    living = select(CONTACT.c.key).where(CONTACT.c.customer == customer, CONTACT.c.erased_at.is_(None))
    data = {"customer": customer, "contact": contact, "withdrawn": withdrawn}
    subject = f"contact/{customer}/{contact}"
    append(
        connection,
        [Event(chain=each, at=now, kind=EntryKind.CONTACT_ERASED, subject=subject, data=data) for each in chains],
    )
    return Erasure(
        customer=customer,
        contact=contact,
        erased_at=now,
        again=False,
        withdrawn=tuple(withdrawn),
        others=len(list(connection.execute(living).scalars())),
        under_way=tuple(under_way),
        found_in=tuple(_columns_with(connection, email)),
    )


def _under_way(connection: Connection, customer: str, contact: str) -> list[str]:
    running = (
        select(NOTICE.c.key)
        .join(ACTION, ACTION.c.key == NOTICE.c.key)
        .where(NOTICE.c.customer == customer, NOTICE.c.contact == contact, ACTION.c.state == ActionState.RUNNING)
    )
    return list(connection.execute(running.order_by(NOTICE.c.key)).scalars())


def _blank_traces(connection: Connection, customer: str, contact: str, email: str) -> None:
    """Blank what may name the person outside its own row: words of servers, suppression, who gave a consent."""
    own = (NOTICE.c.customer == customer) & (NOTICE.c.contact == contact)
    connection.execute(update(NOTICE).where(own, NOTICE.c.reply.is_not(None)).values(reply=None))
    same = (SUPPRESSION.c.customer == customer) & (SUPPRESSION.c.contact == contact)
    connection.execute(delete(SUPPRESSION).where(same))
    named = select(CONTACT.c.name).where(CONTACT.c.customer == customer, CONTACT.c.key == contact).scalar_subquery()
    mine = select(INSTANCE.c.key).where(INSTANCE.c.customer == customer)
    given = CONSENT.c.instance.in_(mine) & ((CONSENT.c.given_by == named) | (CONSENT.c.given_by == email))
    connection.execute(update(CONSENT).where(given).values(given_by=f"{customer}/{contact}"))


def _columns_with(connection: Connection, address: str) -> list[str]:
    """Return the columns whose values hold `address`, in whatever case."""
    found = []
    for table in Row.metadata.sorted_tables:
        holds = (func.lower(cast(each, Text)).contains(address.lower(), autoescape=True) for each in table.columns)
        counted = select(*(func.max(case((each, 1), else_=0)) for each in holds))
        hits = connection.execute(counted).one()
        found += [f"{table.name}.{column.name}" for column, hit in zip(table.columns, hits, strict=True) if hit]
    return found


# --- the bytes --------------------------------------------------------------------------------------------------------


def _clean(store: Store, patience_seconds: int) -> str:
    """Let the database write its files anew, without what was erased; return why it could not, or nothing."""
    try:
        clean = _clean_sqlite if store.dialect == "sqlite" else _clean_postgresql
        return clean(store, patience_seconds)
    except (sqlite3.OperationalError, DBAPIError) as error:
        reason = getattr(error, "orig", None) or error
        return printable(str(reason).strip().splitlines()[0])


def _clean_sqlite(store: Store, patience_seconds: int) -> str:
    with closing(store.engine.raw_connection()) as connection:  # VACUUM runs in no transaction
        connection.detach()  # so that nobody else gets one with another patience
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {1000 * patience_seconds}")
        cursor.execute("VACUUM")
        busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return "another program is reading the database" if busy else ""


def _clean_postgresql(store: Store, patience_seconds: int) -> str:
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"SET lock_timeout = {max(1, 1000 * patience_seconds)}"))
        for table in REWRITTEN:  # with the samples that the planner took of their columns
            connection.execute(text(f'VACUUM (FULL, ANALYZE) "{table}"'))
        connection.execute(text("RESET lock_timeout"))
    return ""

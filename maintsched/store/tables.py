"""The tables behind the rows, for statements that work on many rows at once."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Table, insert, select, update

from maintsched.store.rows import FactRow, Row

T = TypeVar("T")
CHUNK = 500
"""Values that one statement names at most: SQLite takes no more than 32,766, and plans are kept by length."""


def table_of(row: type[Row]) -> Table:
    """Return the table of a row class."""
    return Row.metadata.tables[str(row.__tablename__)]


def in_chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Return `values` in pieces that a statement can name."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


META = table_of(FactRow)
FACTS_VERSION = "facts_version"
EPOCH = "epoch"
HEADS_WRITTEN = "heads_written"
"""How many entries there were when the heads were written to their file last."""
LAST_PASS = "last_pass"  # noqa: S105 - the name of a fact, no secret


def read_meta(connection: Connection, name: str) -> str | None:
    """Return a fact about the database."""
    return connection.execute(select(META.c.value).where(META.c.name == name)).scalar_one_or_none()


def write_meta(connection: Connection, name: str, value: str) -> None:
    """Set a fact about the database."""
    changed = connection.execute(update(META).where(META.c.name == name).values(value=value))
    if not changed.rowcount:
        connection.execute(insert(META).values(name=name, value=value))


def facts_changed(connection: Connection) -> None:
    """Note that fleet or facts are others than before, so that no plan of the old ones is used any more."""
    write_meta(connection, FACTS_VERSION, str(int(read_meta(connection, FACTS_VERSION) or 0) + 1))

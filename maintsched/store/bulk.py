"""Many rows at once, nearly as fast as the driver takes them.

A statement is compiled once and values are converted column by column, by the types of the columns. SQLAlchemy's own
way converts row by row, which takes longer than the database does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Insert, Table, Update, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect


@lru_cache(maxsize=64)
def plain_insert(table: Table) -> Insert:
    """Return the statement that inserts rows; a key that is there already is an error."""
    return insert(table)


@lru_cache(maxsize=64)
def new_insert(table: Table, dialect: str) -> Insert:
    """Return the statement that inserts rows whose key is not there yet; those that are stay as they are."""
    return _upsertable(table, dialect).on_conflict_do_nothing()


@lru_cache(maxsize=64)
def changing_insert(table: Table, dialect: str, keys: tuple[str, ...], changed: tuple[str, ...]) -> Insert:
    """Return the statement that inserts rows; of those whose `keys` are there already it sets `changed`."""
    statement = _upsertable(table, dialect)
    set_to = {name: statement.excluded[name] for name in changed}
    return statement.on_conflict_do_update(index_elements=keys, set_=set_to)


def _upsertable(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def execute_rows(connection: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement for each of `rows`, all of which have the same names.

    It is one of those above, or one of a module's own that lasts: it is compiled once, with what it names.
    """
    if rows:
        prepared = _prepared(statement, tuple(rows[0]), connection.dialect)
        connection.exec_driver_sql(prepared.sql, list(prepared.parameters(rows)))


class _Prepared(NamedTuple):
    """A statement as the driver of a database takes it."""

    sql: str
    converters: Mapping[str, Callable[[Any], Any] | None]
    """By name, in the order of the statement: what makes a value one that the driver takes; None: it is one."""
    by_name: bool
    """Whether the driver is given the values of a row by name."""

    def parameters(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
        columns = (_column(rows, name, convert) for name, convert in self.converters.items())
        listed = zip(*columns, strict=True)
        return (dict(zip(self.converters, row, strict=True)) for row in listed) if self.by_name else listed


def _column(rows: Sequence[Mapping[str, Any]], name: str, convert: Callable[[Any], Any] | None) -> Iterable[Any]:
    values = (row[name] for row in rows)
    return values if convert is None else _converted(values, convert)


def _converted(values: Iterable[Any], convert: Callable[[Any], Any]) -> Iterator[Any]:
    """Return converted values; the one before is not converted again: rows of one pass share their instants."""
    last, converted = None, convert(None)
    for value in values:
        if value is not last:
            last, converted = value, convert(value)
        yield converted


@lru_cache(maxsize=64)
def _prepared(statement: Insert | Update, names: tuple[str, ...], dialect: Dialect) -> _Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    types = {name: compiled.binds[name].type for name in compiled.positiontup or names}
    converters = {name: kind.dialect_impl(dialect).bind_processor(dialect) for name, kind in types.items()}
    return _Prepared(sql=str(compiled), converters=converters, by_name=not compiled.positional)

"""Column types that mean the same on every database: instants and JSON values."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, DateTime, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from maintsched.localtime import utc

TEXT_LENGTH = len("2026-12-01T16:00:00.000000Z")


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC: a timestamp where the database knows zones, else text that sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Keep text on SQLite, which has no type for instants."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(TEXT_LENGTH))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Write an instant; a naive one is refused."""
        if value is None:
            return None
        at = utc(value)
        return as_text(at) if dialect.name == "sqlite" else at

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read an instant, in UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return datetime.fromisoformat(value)
        read: datetime = value
        return read.astimezone(UTC)


def as_text(at: datetime) -> str:
    """Return an instant as SQLite keeps it: always as long, so that texts sort as instants do."""
    return _text(at.astimezone(UTC))


@lru_cache(maxsize=4096)
def _text(at: datetime) -> str:
    """Return the text of an instant in UTC. In other zones, two instants may count as equal: the hour that is twice."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def json_column() -> TypeEngine[Any]:
    """Return the type of JSON values: binary where the database has one. None is no value, and not the JSON null."""
    return JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

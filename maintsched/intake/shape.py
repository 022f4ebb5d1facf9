"""From raw tables to frozen values: the fields and types of a value class are the schema of its file.

A key is known where the class has a field of that name (or the field's metadata names the key). Types are checked as
they are: a text is never read as a number. Every refusal carries the path of the key, so that `lines` can find it.
"""

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from maintsched.errors import InvalidValue, one_of, show
from maintsched.intake.instants import OFFSET_MAX, read_date, read_instant, read_time
from maintsched.localtime import FIRST_YEAR, LAST_YEAR, start_of_day

Path = tuple[str | int, ...]
"""Where a value stands in a file: table keys and list positions."""


class ShapeError(Exception):
    """A raw value does not fit: `path`, what was `expected`, what was `found`.

    `missing` says that nothing stands at `path`.
    """

    def __init__(self, path: Path, *, expected: str, found: str, missing: bool = False) -> None:
        self.path = path
        self.expected = expected
        self.found = found
        self.missing = missing
        super().__init__(f"{path}: expected {expected}, found {found}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads raw values; `zone` is where a date without a time begins, `loose` says that scalars come as text (CSV)."""

    zone: tzinfo = UTC
    loose: bool = False

    def read(self, kind: Any, raw: Any, path: Path = ()) -> Any:  # any type in, any value out
        """Return `raw` as a value of type `kind`."""
        if kind is Any:
            return raw
        origin = get_origin(kind)
        if origin in (Union, types.UnionType):
            return self._optional(kind, raw, path)
        if origin is tuple:
            return self._list(get_args(kind)[0], raw, path)
        if origin is not None and issubclass(origin, Mapping):
            return self._mapping(get_args(kind)[1], raw, path)
        if _is_table(kind):
            return self._table(kind, raw, path)
        return self._scalar(kind, raw, path)

    def _optional(self, kind: Any, raw: Any, path: Path) -> Any:
        (inner,) = (each for each in get_args(kind) if each is not type(None))
        if raw is None:
            return None
        return self.read(inner, raw, path)

    def _list(self, kind: Any, raw: Any, path: Path, *, once: bool = True) -> tuple[Any, ...]:
        if self.loose and isinstance(raw, str):
            raw = [item.strip() for item in raw.split(";")]
        if not isinstance(raw, list):
            raise ShapeError(path, expected="a list", found=show(raw))
        values = tuple(self.read(kind, item, (*path, index)) for index, item in enumerate(raw))
        if once and len(values) > 1 and not _is_table(kind):
            _require_once(values, raw, path)
        return values

    def _mapping(self, kind: Any, raw: Any, path: Path) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise ShapeError(path, expected="a table", found=show(raw))
        return {key: self.read(kind, value, (*path, key)) for key, value in raw.items()}

    def _table(self, kind: Any, raw: Any, path: Path) -> Any:
        if not isinstance(raw, dict):
            raise ShapeError(path, expected="a table", found=show(raw))
        known = file_fields(kind)
        for key in raw:
            if key not in known:
                raise ShapeError((*path, key), expected=one_of(key, known), found=show(key))
        values = {}
        for key, (field, field_type) in known.items():
            if key in raw:
                values[field.name] = self._field(field, field_type, raw[key], (*path, key))
            elif field.default is MISSING and field.default_factory is MISSING:
                raise ShapeError((*path, key), expected=f"a key {key}", found="none", missing=True)
        try:
            return kind(**values)
        except InvalidValue as error:
            at = (*path, *place_of(error, raw))
            expected = error.expected if error.what in at else f"{error.what}: {error.expected}"
            raise ShapeError(at, expected=expected, found=show(error.found)) from error

    def _field(self, field: Field[Any], kind: Any, raw: Any, path: Path) -> Any:
        if field.metadata.get("repeats"):  # the words of a command, of which one may come again
            return self._list(get_args(kind)[0], raw, path, once=False)
        return self.read(kind, raw, path)

    def _scalar(self, kind: Any, raw: Any, path: Path) -> Any:
        if self.loose and isinstance(raw, str):
            raw = _from_text(kind, raw)
        try:
            return _READERS[kind](self, raw) if kind in _READERS else _read_named(kind, raw)
        except InvalidValue as error:
            raise ShapeError(path, expected=error.expected, found=show(error.found)) from error


def _is_table(kind: Any) -> bool:
    return is_dataclass(kind) and not hasattr(kind, "parse")


def _require_once(values: tuple[Any, ...], raw: list[Any], path: Path) -> None:
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            raise ShapeError((*path, index), expected="each entry once", found=f"{show(raw[index])} again")
        seen.add(value)


def place_of(error: InvalidValue, raw: dict[str, Any]) -> Path:
    """Return where in the table `raw` the field of an error stands: of a list or table, the last item it found."""
    path: Path = ()
    here: Any = raw
    for name in error.field.split(".") if error.field else ():
        step: Any = int(name) if isinstance(here, list) else name
        if not isinstance(here, list | dict) or (isinstance(here, dict) and step not in here):
            return path
        path, here = (*path, step), here[step]
    if isinstance(here, list):
        for index in reversed(range(len(here))):
            if error.found in _names(here[index]):
                return (*path, index)
    if isinstance(here, dict) and isinstance(error.found, str) and error.found in here:
        return (*path, error.found)
    return path


def _names(item: Any) -> tuple[Any, ...]:
    """Return what an item of a list may be called by in an error."""
    return (item.get("key"), item.get("window")) if isinstance(item, Mapping) else (item,)


@lru_cache(maxsize=128)
def file_fields(kind: type) -> dict[str, tuple[Field[Any], Any]]:
    """Return the fields of a value class that a file may set, by their key, each with its type."""
    hints = get_type_hints(kind)
    return {
        field.metadata.get("key", field.name): (field, hints[field.name])
        for field in fields(kind)
        if field.metadata.get("from_file", True)
    }


def _refuse(expected: str, raw: Any) -> InvalidValue:
    return InvalidValue("value", expected=expected, found=raw)


def _text(_: Reader, raw: Any) -> str:
    if not isinstance(raw, str):
        raise _refuse("a text in quotes", raw)
    return raw


def _whole_number(_: Reader, raw: Any) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or abs(raw) > 10**9:
        raise _refuse("a whole number", raw)
    return raw


def _yes_or_no(_: Reader, raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise _refuse("true or false", raw)
    return raw


def _decimal(_: Reader, raw: Any) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, int | Decimal) or not Decimal(raw).is_finite():
        raise _refuse("a number", raw)
    return Decimal(raw)


def _instant(reader: Reader, raw: Any) -> datetime:
    value = read_instant(raw) if isinstance(raw, str) else raw
    if isinstance(value, date) and not isinstance(value, datetime):
        _in_range(value)
        return start_of_day(value, reader.zone)
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise _refuse(_INSTANT_EXPECTED, raw)
    if abs(value.utcoffset() or timedelta()) > OFFSET_MAX:
        raise _refuse("an offset of at most 14 h", raw)
    _in_range(value)
    return value


_INSTANT_EXPECTED = "a date, or a date and time with an offset such as 2026-12-01T17:00:00+01:00"


def _date(_: Reader, raw: Any) -> date:
    value = read_date(raw) if isinstance(raw, str) else raw
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _refuse("a date such as 2026-12-01", raw)
    _in_range(value)
    return value


def _in_range(day: date) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise _refuse(f"a year from {FIRST_YEAR} to {LAST_YEAR}", day.isoformat())


def _time(_: Reader, raw: Any) -> time:
    value = read_time(raw) if isinstance(raw, str) else raw
    if not isinstance(value, time):
        raise _refuse("a time of day such as 17:00:00", raw)
    return value


def _zone(_: Reader, raw: Any) -> ZoneInfo:
    expected = "a zone name such as Europe/Berlin"
    if not isinstance(raw, str) or not _ZONE.fullmatch(raw):
        raise _refuse(expected, raw)
    try:
        return ZoneInfo(raw)
    except (ValueError, OSError, KeyError) as error:  # not zone data; a folder; unknown, a KeyError in disguise
        raise _refuse(expected, raw) from error


# A path below the folder of zones and nothing else; "right/" counts leap seconds, the others differ by machine.
_ZONE = re.compile(r"(?!right/|localtime|posixrules|Factory)[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,31}){0,2}")


_READERS = {
    str: _text,
    int: _whole_number,
    bool: _yes_or_no,
    Decimal: _decimal,
    datetime: _instant,
    date: _date,
    time: _time,
    ZoneInfo: _zone,
}


def _read_named(kind: Any, raw: Any) -> Any:
    """Read an enumeration by its value, or a value written as text by its class's own `parse`."""
    if issubclass(kind, Enum):
        names = [member.value for member in kind]
        if not isinstance(raw, str) or raw not in names:
            raise _refuse(one_of(raw if isinstance(raw, str) else "", names), raw)
        return kind(raw)
    if not isinstance(raw, str):
        raise _refuse("a text in quotes", raw)
    return kind.parse(raw)


def _from_text(kind: Any, raw: str) -> Any:
    """Return the scalar that a CSV cell spells, or the cell where it spells none."""
    if kind is bool and raw in ("true", "false"):
        return raw == "true"
    if kind is int and raw.isascii() and raw.isdecimal() and len(raw) <= 9:
        return int(raw)
    return raw

"""What every value does at birth: its fields become what their annotations say, or are refused.

A text may stand for the member of an enumeration, for a zone and for whatever is read by a `parse` of its own; any
iterable but a text may stand for a tuple; a mapping is copied into one that cannot change. Everything else has to be
what the annotation says: an instant is aware, a date is no datetime, a number is no bool.
"""

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Set, ValuesView
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from operator import attrgetter
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from maintsched.errors import InvalidValue, NaiveDatetime, UnknownName

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)


class FrozenMapping(Mapping[K, V_co]):
    """A mapping that cannot change; unlike a mapping proxy, it can be hashed, copied and pickled."""

    __slots__ = ("_table",)

    def __init__(self, table: Mapping[K, V_co] | Iterable[tuple[K, V_co]] = ()) -> None:
        """Copy `table`, so that what becomes of it later does not matter."""
        self._table: dict[K, V_co] = dict(table)

    def __getitem__(self, key: K) -> V_co:
        return self._table[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    # What `Mapping` derives from the three above is several times slower than what a dict does itself.

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def keys(self) -> KeysView[K]:
        """Return the keys, in the order given."""
        return self._table.keys()

    def values(self) -> ValuesView[V_co]:
        """Return the values, in the order of the keys."""
        return self._table.values()

    def items(self) -> ItemsView[K, V_co]:
        """Return the pairs of key and value, in the order of the keys."""
        return self._table.items()

    def __hash__(self) -> int:
        return hash(frozenset(self._table.items()))

    def __repr__(self) -> str:
        return f"FrozenMapping({self._table!r})"

    def __reduce__(self) -> tuple[type, tuple[dict[K, V_co]]]:
        return type(self), (self._table,)


class _Settler(NamedTuple):
    """How one annotation is kept: values of the `exact` types pass as they are, all others go through `settle`."""

    exact: frozenset[type]
    settle: Callable[[str, Any], Any]


_Todo = list[tuple[int, str, Callable[[str, Any], Any]]]


def settle_fields(value: object) -> None:
    """Make each field of a dataclass what its annotation says; called first in `__post_init__`.

    Fields of which a class says that no file may set them are left alone. Raises `InvalidValue`, its children
    `UnknownName` (no member of an enumeration has that value) and `NaiveDatetime`; the error names the field.
    """
    settlers = _SETTLERS.get(type(value)) or _settlers(type(value))
    given = settlers.read(value)
    types = tuple(map(type, given))
    todo = settlers.known.get(types)
    if todo is None:
        todo = settlers.look_at(types)
    for index, name, settle in todo:
        settled = settle(name, given[index])
        if settled is not given[index]:
            object.__setattr__(value, name, settled)


class _Settlers(NamedTuple):
    """The settlers of a class. Most values have fields of the same types as the last one: that is looked up first."""

    fields: dict[str, _Settler]
    read: Callable[[object], tuple[Any, ...]]
    """Reads all these fields at once: a loop costs more than everything else here."""
    known: dict[tuple[type, ...], _Todo]
    """By the types of the fields, those about which the types alone do not say that they are in order."""

    def look_at(self, types: tuple[type, ...]) -> _Todo:
        """Return the fields that have to be settled, and keep the answer."""
        named = zip(self.fields.items(), types, strict=True)
        todo = [(i, name, each.settle) for i, ((name, each), found) in enumerate(named) if found not in each.exact]
        if len(self.known) < _KNOWN_MAX:
            self.known[types] = todo
        return todo


_SETTLERS: dict[type, _Settlers] = {}
_KNOWN_MAX = 256
"""Combinations of types that are kept for a class; in one program there are few."""


def _settlers(kind: Any) -> _Settlers:
    hints = get_type_hints(kind)
    own = {each.name: _settler(hints[each.name]) for each in fields(kind) if each.metadata.get("from_file", True)}
    read = attrgetter(*own)
    made = _SETTLERS[kind] = _Settlers(own, read if len(own) > 1 else lambda value: (read(value),), {})
    return made


def _settler(hint: Any) -> _Settler:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (kind,) = (each for each in inner if each is not type(None))
        exact, settle = _settler(kind)
        return _Settler(exact | {type(None)}, lambda name, found: None if found is None else settle(name, found))
    if origin is tuple:
        count = None if inner[-1] is Ellipsis else len(inner)
        return _Settler(frozenset(), _tuple_settler(_settler(inner[0]), count))
    if origin is not None and issubclass(origin, Mapping):
        return _Settler(frozenset(), _mapping_settler(_settler(inner[0]), _settler(inner[1])))
    if hint is datetime:
        return _Settler(frozenset(), _settle_instant)
    if hint is Any:
        return _Settler(frozenset(), lambda _, found: found)
    if issubclass(hint, Enum):
        return _Settler(frozenset({hint}), partial(_settle_member, hint))
    return _Settler(frozenset({hint}), partial(_settle_plain, hint))


def _tuple_settler(item: _Settler, count: int | None) -> Callable[[str, Any], Any]:
    exact = item.exact

    def settle(name: str, found: Any) -> tuple[Any, ...]:
        if type(found) is not tuple or count is not None:
            return _settle_tuple(item, count, name, found)
        for each in found:
            if type(each) not in exact:
                return _settle_tuple(item, count, name, found)
        return found

    return settle


def _settle_tuple(item: _Settler, count: int | None, name: str, found: Any) -> tuple[Any, ...]:
    if isinstance(found, str | bytes | Mapping) or not isinstance(found, Iterable):
        raise InvalidValue(name, expected="a tuple or list", found=found, field=name)
    if isinstance(found, Set):  # a set of texts has another order in every run
        found = sorted(found, key=str)
    values = tuple(each if type(each) in item.exact else item.settle(name, each) for each in found)
    if count is not None and len(values) != count:
        raise InvalidValue(name, expected=f"{count} entries", found=f"{len(values)} entries", field=name)
    return values


_NOTHING: FrozenMapping[Any, Any] = FrozenMapping()


def _mapping_settler(key: _Settler, item: _Settler) -> Callable[[str, Any], Any]:
    keys, items = key.exact, item.exact

    def settle(name: str, found: Any) -> Mapping[Any, Any]:
        if type(found) is not dict and not isinstance(found, Mapping):
            raise InvalidValue(name, expected="a mapping", found=found, field=name)
        if not found:
            return _NOTHING
        for each, value in found.items():
            if type(each) not in keys or type(value) not in items:
                found = {key.settle(name, each): item.settle(f"{name}.{each}", value) for each, value in found.items()}
                break
        return found if type(found) is FrozenMapping else FrozenMapping(found)

    return settle


def _settle_instant(name: str, found: Any) -> datetime:
    if not isinstance(found, datetime):
        raise InvalidValue(name, expected="a datetime with an offset or a zone", found=found, field=name)
    if found.tzinfo is None or found.utcoffset() is None:
        error = NaiveDatetime(name, found)
        error.field = name
        raise error
    return found


def _settle_member(kind: type[Enum], name: str, found: Any) -> Enum:
    try:
        return kind(found)
    except ValueError as error:
        known = [str(member.value) for member in kind]
        raise UnknownName(name, found=str(found), known=known, field=name) from error


def _settle_plain(kind: Any, name: str, found: Any) -> Any:
    if isinstance(found, kind) and not isinstance(found, _IMPOSTORS.get(kind, ())):
        return found
    if isinstance(found, str) and hasattr(kind, "parse"):
        return _parsed(kind, name, found)
    if isinstance(found, str) and kind is ZoneInfo:
        return _zone(name, found)
    if isinstance(found, timedelta) and issubclass(kind, timedelta):
        return kind(days=found.days, seconds=found.seconds, microseconds=found.microseconds)
    if isinstance(found, int) and not isinstance(found, bool) and kind is Decimal:
        return Decimal(found)
    raise InvalidValue(name, expected=_WORDS.get(kind, f"a value of type {kind.__name__}"), found=found, field=name)


_IMPOSTORS: dict[type, type] = {int: bool, date: datetime}
"""Types that Python counts as another: True as 1, an instant as its local date."""
_WORDS: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    bool: "True or False",
    date: "a date without a time",
    time: "a time of day",
    Decimal: "a Decimal",
    ZoneInfo: "a ZoneInfo or the name of a zone",
}


def _parsed(kind: Any, name: str, text: str) -> Any:
    try:
        return kind.parse(text)
    except InvalidValue as error:
        error.field = name
        raise


def _zone(name: str, text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError) as error:  # not zone data; a folder; unknown, a KeyError in disguise
        raise InvalidValue(name, expected="a zone name such as Europe/Berlin", found=text, field=name) from error

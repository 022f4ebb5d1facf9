"""Fleet and fact files: customers, contacts, instances, and what was declared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path as FilePath
from typing import Any, NoReturn

from maintsched.contract import Contract
from maintsched.errors import InvalidValue, show
from maintsched.facts import Facts, check_facts
from maintsched.fleet import Customer, Fleet, check_fleet
from maintsched.intake.documents import Document, read_document
from maintsched.intake.shape import Path, Reader, ShapeError, file_fields, place_of
from maintsched.windows import check_declared


def load_fleet(contract: Contract, *paths: str | FilePath) -> tuple[Fleet, Facts]:
    """Return the fleet and the facts that the files at `paths` (TOML, JSON or CSV) declare together.

    Dates without a time begin at 00:00 in the contract's zone. What a file names must be declared in one of them.
    Raises `FileError`, which names file, line, key, what was expected and what was found.
    """
    return read_declarations(contract, [read_document(path) for path in paths])


def read_declarations(contract: Contract, documents: list[Document]) -> tuple[Fleet, Facts]:
    """Return the fleet and the facts that `documents` declare together."""
    gathered: dict[str, list[Any]] = {}
    for document in documents:
        for name, values in _read(contract, document).items():
            gathered.setdefault(name, []).extend(values)
    try:
        fleet = Fleet(customers=tuple(gathered.pop("customers", ())))
        facts = Facts(**{name: tuple(values) for name, values in gathered.items()})
        check_fleet(contract, fleet)
        check_facts(contract, fleet, facts)
        check_declared(contract, facts)
    except InvalidValue as error:
        _refuse(documents, error)
    return fleet, facts


def _read(contract: Contract, document: Document) -> Mapping[str, tuple[Any, ...]]:
    reader = Reader(zone=contract.zone, loose=document.form == "csv")
    try:
        declared = reader.read(_Declared, document.tables)
    except ShapeError as error:
        document.refuse(error)
    return {each.name: getattr(declared, each.name) for each in fields(_Declared)}


@dataclass(frozen=True, kw_only=True)
class _Declared(Facts):
    """A file: the tables of a fleet and of facts."""

    customers: tuple[Customer, ...] = field(default=(), metadata={"key": "customer"})

    def __post_init__(self) -> None:
        """Leave what is declared twice to the moment when all files are together."""


def _refuse(documents: list[Document], error: InvalidValue) -> NoReturn:
    """Raise `error` as one about the file that declares its subject, or in which a name occurs again."""
    again = error.subject is None
    name = error.subject or (error.field or "", str(error.found))
    places = [(document, path) for document in documents for path in _declared_as(document.tables, name)] or [
        (documents[-1], ())
    ]
    if again:
        document, path = places[-1]
        document.refuse(ShapeError(path, expected=error.expected, found=f"{show(error.found)} again"))
    document, path = max(places, key=lambda place: _holds(place, error))
    at = (*path, *place_of(error, _at(document.tables, path)))
    document.refuse(ShapeError(at, expected=error.expected, found=show(error.found)))


def _holds(place: tuple[Document, Path], error: InvalidValue) -> bool:
    """Say whether the thing at a place has what the error found: of two that are called alike, only one may."""
    document, path = place
    value = _at(document.tables, path).get(error.field)
    return value == error.found or (isinstance(value, list | dict) and error.found in value)


def _declared_as(tables: Mapping[str, Any], name: tuple[str, str]) -> Iterator[Path]:
    """Return the paths of the things that errors call `name`, a kind and a text."""
    kind, text = name
    for index, customer in enumerate(tables.get("customer", ())):
        if kind == "customer" and customer["key"] == text:
            yield ("customer", index)
        if kind == "instance":
            for position, instance in enumerate(customer.get("instance", ())):
                if instance["key"] == text:
                    yield ("customer", index, "instance", position)
    if kind in file_fields(Facts):
        for index, table in enumerate(tables.get(kind, ())):
            if _name_of(kind, table) == text:
                yield (kind, index)


def _name_of(kind: str, table: Mapping[str, Any]) -> str:
    if kind == "release":
        return f"{table.get('component', 'intrexx')} {table['version']}"
    if kind == "window":
        return f"{table['kind']}/{table['key']}"
    if kind == "deferral":
        return f"{table['instance']}/{table['release']}"
    if kind == "pin":
        return f"{table['instance']}/{table.get('component', 'intrexx')}"
    return str(table.get("key", table.get("instance")))


def _at(tables: Any, path: Path) -> Any:  # a raw table
    for step in path:
        tables = tables[step]
    return tables

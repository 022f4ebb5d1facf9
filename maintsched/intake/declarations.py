"""Fleet and fact files: customers, contacts, instances, and what was declared."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path as FilePath
from typing import Any

from maintsched.contract import Contract
from maintsched.errors import FileError, InvalidValue, show
from maintsched.facts import Facts, check_facts
from maintsched.fleet import Customer, Fleet, check_fleet
from maintsched.intake.documents import Document, read_document
from maintsched.intake.shape import Path, Reader, ShapeError, file_fields


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
    except InvalidValue as error:
        _refuse(documents, error)
        raise
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


def _refuse(documents: list[Document], error: InvalidValue) -> None:
    """Raise `error` as one about the file that declares its subject, or in which a name occurs twice."""
    for document in documents:
        for path, names in _subjects(document.tables):
            if error.subject is not None and error.subject in names:
                known = error.field is not None and error.field in _at(document.tables, path)
                at = (*path, error.field) if known and error.field else path
                document.refuse(ShapeError(at, expected=error.expected, found=show(error.found)))
    for document in reversed(documents):
        twice = [path for path, names in _subjects(document.tables) if (error.field, error.found) in names]
        if error.subject is None and twice:
            document.refuse(ShapeError(twice[-1], expected=error.expected, found=f"{show(error.found)} again"))
    name = ", ".join(document.path for document in documents)
    raise FileError(name, line=None, key=error.field, expected=error.expected, found=show(error.found)) from error


def _subjects(tables: Mapping[str, Any]) -> list[tuple[Path, set[tuple[str, str]]]]:
    """Return the path of every declared thing with the names that errors may call it by."""
    found: list[tuple[Path, set[tuple[str, str]]]] = []
    for name in file_fields(Facts):
        for index, table in enumerate(tables.get(name, ())):
            found.append(((name, index), {(name, text) for text in _names_of(name, table)}))
    for index, customer in enumerate(tables.get("customer", ())):
        found.append((("customer", index), {("customer", customer["key"])}))
        for position, instance in enumerate(customer.get("instance", ())):
            found.append((("customer", index, "instance", position), {("instance", instance["key"])}))
    return found


def _names_of(name: str, table: Mapping[str, Any]) -> set[str]:
    if name == "release":
        component = table.get("component", "intrexx")
        return {f"{component} {table['version']}"}
    if name == "window":
        return {f"{table['kind']}/{table['key']}"}
    if name == "deferral":
        return {f"{table['instance']}/{table['release']}"}
    return {str(table.get("key", table.get("instance")))}


def _at(tables: Any, path: Path) -> Any:  # a raw table
    for step in path:
        tables = tables[step]
    return tables

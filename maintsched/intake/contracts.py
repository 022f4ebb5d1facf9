"""Contract files: built-in ones by name, others by path."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any
from zoneinfo import ZoneInfo

from maintsched.contract import Contract
from maintsched.errors import FileError, HolidaysUnknown, InvalidValue, one_of, show
from maintsched.holidaycalendar import YearSource
from maintsched.intake.documents import Document, dotted, read_document
from maintsched.intake.shape import Path, Reader, ShapeError, place_of
from maintsched.windows import check_overrides

DEFAULT = "intrexx-paas"


def builtin_contracts() -> dict[str, FilePath]:
    """Return the built-in contracts by name, the default first."""
    folder = FilePath(str(files("maintsched") / "contracts"))
    paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {DEFAULT: paths.pop(DEFAULT), **paths}


def load_contract(
    source: str | FilePath = DEFAULT,
    *,
    overrides: Mapping[str, Any] | None = None,
    holiday_source: YearSource | None = None,
) -> Contract:
    """Return the contract `source`: the name of a built-in one, or the path of a TOML (or JSON) file.

    A file may say `extends = "intrexx-paas"` and then holds only the terms that differ. `overrides` are further tables
    laid over the file's, such as `{"support": {"zone": "utc+1"}}`. `holiday_source` stands in for the holidays library.
    Raises `FileError`, which names file, line, key, what was expected and what was found.
    """
    document = _find(source)
    try:
        tables = _extended(document)
        if overrides:
            tables = _laid_over(tables, overrides)
        contract: Contract = Reader(zone=_zone(tables)).read(Contract, tables)
        if holiday_source is not None:
            contract = replace(contract, holidays=replace(contract.holidays, source=holiday_source))
        _check_overrides(contract, tables)
    except ShapeError as error:
        if _is_given(overrides or {}, error.path):
            place, key = f"overrides of {document.path}", dotted(error.path)
            raise FileError(place, line=None, key=key, expected=error.expected, found=error.found) from error
        document.refuse(error)
    return contract


def _is_given(overrides: Mapping[str, Any], path: Path) -> bool:
    """Say whether what stands at `path` comes from the overrides and not from the file."""
    here: Any = overrides
    for step in path:
        if not isinstance(here, Mapping):
            return True
        if step not in here:
            return False
        here = here[step]
    return bool(path)


def _find(source: str | FilePath) -> Document:
    builtin = builtin_contracts()
    if isinstance(source, str) and source in builtin:
        return read_document(builtin[source], forms=_FORMS)
    if isinstance(source, str) and not FilePath(source).suffix:
        expected = f"a built-in contract ({one_of(source, builtin)}) or the path of a .toml file"
        raise FileError(source, line=None, key=None, expected=expected, found=show(source))
    return read_document(source, forms=_FORMS)


_FORMS = ("toml", "json")


def _extended(document: Document) -> dict[str, Any]:
    """Return the tables of a contract file, laid over those of the built-in contract it extends."""
    tables = dict(document.tables)
    if "extends" not in tables:
        return tables
    base = tables.pop("extends")
    builtin = builtin_contracts()
    if not isinstance(base, str) or base not in builtin:
        expected = one_of(base if isinstance(base, str) else "", builtin)
        raise ShapeError(("extends",), expected=expected, found=show(base))
    return _laid_over(read_document(builtin[base]).tables, tables)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _zone(tables: Mapping[str, Any]) -> tzinfo:
    """Return the contract's zone, in which the dates of its own overrides begin."""
    zone: tzinfo = Reader().read(ZoneInfo, tables["zone"], ("zone",)) if "zone" in tables else UTC
    return zone


def _check_overrides(contract: Contract, tables: dict[str, Any]) -> None:
    try:
        check_overrides(contract)
    except InvalidValue as error:
        raise ShapeError(place_of(error, tables), expected=error.expected, found=show(error.found)) from error
    except HolidaysUnknown as error:
        raise ShapeError(("monthly", "override"), expected="days whose holidays are known", found=str(error)) from error

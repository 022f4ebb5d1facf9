"""Contract files: built-in ones by name, others by path."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from maintsched.contract import Contract
from maintsched.errors import FileError, InvalidValue, one_of, show
from maintsched.holidaycalendar import YearSource
from maintsched.intake.documents import Document, read_document
from maintsched.intake.shape import Reader, ShapeError
from maintsched.windows import check_overrides

DEFAULT = "intrexx-paas"


def builtin_contracts() -> dict[str, Path]:
    """Return the built-in contracts by name, the default first."""
    folder = Path(str(files("maintsched") / "contracts"))
    paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {DEFAULT: paths.pop(DEFAULT), **paths}


def load_contract(
    source: str | Path = DEFAULT,
    *,
    overrides: Mapping[str, Any] | None = None,
    holiday_source: YearSource | None = None,
) -> Contract:
    """Return the contract `source`: the name of a built-in one, or the path of a TOML file.

    A file may say `extends = "intrexx-paas"` and then holds only the terms that differ. `overrides` are further tables
    laid over the file's, such as `{"support": {"zone": "utc+1"}}`. `holiday_source` stands in for the holidays library.
    Raises `FileError`, which names file, line, key, what was expected and what was found.
    """
    document = _find(source)
    tables = _extended(document)
    if overrides:
        tables = _laid_over(tables, overrides)
    try:
        contract: Contract = Reader().read(Contract, tables)
        if holiday_source is not None:
            contract = replace(contract, holidays=replace(contract.holidays, source=holiday_source))
        check_overrides(contract)
    except ShapeError as error:
        document.refuse(error)
    except InvalidValue as error:
        path = tuple(error.field.split(".")) if error.field else ()
        document.refuse(ShapeError(path, expected=f"{error.what}: {error.expected}", found=show(error.found)))
    return contract


def _find(source: str | Path) -> Document:
    builtin = builtin_contracts()
    if isinstance(source, str) and source in builtin:
        return read_document(builtin[source])
    path = Path(source)
    if isinstance(source, str) and not path.suffix and not path.exists():
        expected = f"a built-in contract ({one_of(source, builtin)}) or the path of a .toml file"
        raise FileError(source, line=None, key=None, expected=expected, found=show(source))
    return read_document(path)


def _extended(document: Document) -> dict[str, Any]:
    """Return the tables of a contract file, laid over those of the built-in contract it extends."""
    tables = dict(document.tables)
    base = tables.pop("extends", None)
    if base is None:
        return tables
    builtin = builtin_contracts()
    if base not in builtin:
        document.refuse(ShapeError(("extends",), expected=one_of(str(base), builtin), found=show(base)))
    return _laid_over(read_document(builtin[base]).tables, tables)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged

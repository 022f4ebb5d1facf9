"""Reads a TOML, JSON or CSV file into raw tables, within limits, and turns refusals into `FileError`."""

import csv
import json
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path as FilePath
from typing import Any, NoReturn

from maintsched.errors import FileError, InvalidValue, one_of, show
from maintsched.intake.lines import line_of
from maintsched.intake.shape import Path, ShapeError

SIZE_MAX = 256 * 1024 * 1024
"""Bytes a file may have; a fleet of 100,000 instances has some 50 million."""
DEPTH_MAX = 20
"""Levels of tables and lists a file may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file as raw tables, with what is needed to say where something in it stands."""

    path: str
    text: str
    form: str
    tables: dict[str, Any]
    rows: dict[tuple[str, int], int]
    """Lines of a CSV file by table and position."""

    def refuse(self, error: ShapeError) -> NoReturn:
        """Raise the error as one about this file."""
        raise FileError(
            self.path,
            line=self.line(error.path[:-1] if error.unknown and error.found == "none" else error.path),
            key=dotted(error.path),
            expected=error.expected,
            found=error.found,
        ) from error

    def line(self, path: Path) -> int | None:
        """Return the 1-based line of what stands at `path`."""
        if self.form == "csv":
            return self.rows.get((str(path[0]), int(path[1]))) if len(path) > 1 else 1
        return line_of(self.text, path, self.form)


def dotted(path: Path) -> str | None:
    """Return a path as people write it: customer[2].contact[1].email, positions from 1."""
    text = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or None


def read_document(path: str | FilePath, text: str | None = None) -> Document:
    """Read a file by the ending of its name (.toml, .json, .csv); `text` stands in for its contents."""
    name = str(path)
    form = FilePath(name).suffix.lower().removeprefix(".")
    if form not in _PARSERS:
        raise FileError(name, line=None, key=None, expected="a name ending in .toml, .json or .csv", found=show(name))
    contents = _read_text(FilePath(path), name) if text is None else text
    try:
        tables, rows = _PARSERS[form](name, contents)
    except RecursionError as error:
        found = f"more than {DEPTH_MAX}"
        raise FileError(name, line=None, key=None, expected=f"at most {DEPTH_MAX} levels", found=found) from error
    _require_depth(name, tables)
    return Document(path=name, text=contents, form=form, tables=tables, rows=rows)


def _read_text(path: FilePath, name: str) -> str:
    try:
        if path.stat().st_size > SIZE_MAX:
            raise FileError(name, line=None, key=None, expected=f"at most {SIZE_MAX} bytes", found="more")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise FileError(name, line=line, key=None, expected="UTF-8 text", found="other bytes") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileError(name, line=None, key=None, expected="a readable file", found=str(reason).lower()) from error


def _require_depth(name: str, value: object, depth: int = 0) -> None:
    if depth > DEPTH_MAX:
        raise FileError(name, line=None, key=None, expected=f"at most {DEPTH_MAX} levels", found="more")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        if isinstance(child, dict | list):
            _require_depth(name, child, depth + 1)


_Rows = dict[tuple[str, int], int]


def _parse_toml(name: str, text: str) -> tuple[dict[str, Any], _Rows]:
    try:
        return tomllib.loads(text.replace("\r\n", "\n"), parse_float=Decimal), {}
    except tomllib.TOMLDecodeError as error:
        line = _line_said(str(error), text)
        reason = str(error).split(" (at ")[0]
        raise FileError(name, line=line, key=None, expected="TOML", found=reason[:1].lower() + reason[1:]) from error
    except ValueError as error:  # a number or a date that TOML allows and Python does not
        raise FileError(name, line=None, key=None, expected="TOML", found=str(error)) from error


def _line_said(message: str, text: str) -> int:
    """Return the line that a message of tomllib ends with; 'end of document' is the last one."""
    _, _, place = message.rpartition("(at line ")
    number = place.split(",")[0]
    return int(number) if number.isdecimal() else text.count("\n") + 1


def _parse_json(name: str, text: str) -> tuple[dict[str, Any], _Rows]:
    try:
        tables = json.loads(
            text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_once_each, parse_int=_short_int
        )
    except json.JSONDecodeError as error:
        raise FileError(name, line=error.lineno, key=None, expected="JSON", found=error.msg.lower()) from error
    except InvalidValue as error:
        raise FileError(name, line=None, key=None, expected=error.expected, found=show(error.found)) from error
    if not isinstance(tables, dict):
        raise FileError(name, line=1, key=None, expected="an object", found=show(tables))
    return tables, {}


def _no_constant(text: str) -> NoReturn:
    raise InvalidValue("number", expected="a finite number", found=text)


def _short_int(text: str) -> int:
    if len(text) > 18:
        raise InvalidValue("number", expected="at most 18 digits", found=text)
    return int(text)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidValue("key", expected="each key once", found=twice)
    return table


RECORDS = (
    "customer",
    "contact",
    "instance",
    "window",
    "release",
    "deferral",
    "freeze",
    "outage",
    "consent",
    "track_switch",
)
"""What a row of a CSV file may be."""


def _parse_csv(name: str, text: str) -> tuple[dict[str, Any], _Rows]:
    """Read rows whose column `record` says what they are; contacts and instances name their `customer`."""
    tables: dict[str, Any] = {}
    rows: _Rows = {}
    for line, row in _csv_rows(name, text):
        record = row.pop("record", "")
        if record not in RECORDS:
            raise FileError(name, line=line, key="record", expected=one_of(record, RECORDS), found=show(record))
        if record in ("contact", "instance"):
            _add_to_customer(name, line, tables, record, row)
        else:
            table = tables.setdefault(record, [])
            rows[record, len(table)] = line
            table.append(row)
    return tables, rows


def _csv_rows(name: str, text: str) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = next(reader, [])
        if "record" not in header or len(set(header)) < len(header):
            expected = "a first row of column names, each once, with a column record"
            raise FileError(name, line=1, key=None, expected=expected, found=show(", ".join(header)))
        for cells in reader:
            if len(cells) > len(header):
                found = f"{len(cells)}"
                raise FileError(name, line=reader.line_num, key=None, expected=f"{len(header)} cells", found=found)
            filled = {column: cell.strip() for column, cell in zip(header, cells, strict=False) if cell.strip()}
            if filled:
                rows.append((reader.line_num, filled))
    except csv.Error as error:
        raise FileError(name, line=reader.line_num, key=None, expected="CSV", found=str(error)) from error
    return rows


def _add_to_customer(name: str, line: int, tables: dict[str, Any], record: str, row: dict[str, Any]) -> None:
    key = row.pop("customer", "")
    customer = next((each for each in tables.get("customer", []) if each.get("key") == key), None)
    if customer is None:
        known = [each.get("key", "") for each in tables.get("customer", [])]
        expected = f"the key of a customer of an earlier row: {one_of(key, known)}"
        raise FileError(name, line=line, key="customer", expected=expected, found=show(key))
    customer.setdefault(record, []).append(row)


_PARSERS = {"toml": _parse_toml, "json": _parse_json, "csv": _parse_csv}

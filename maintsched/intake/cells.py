"""CSV files as raw tables: one row a declared thing, its column `record` says what it is.

Contacts and instances name their `customer`, who stands in an earlier row. A column name with a dot, such as
`versions.intrexx` or `backup.times`, fills a table of the record; several entries of a list are parted by ";".
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from maintsched.errors import FileError, one_of, show
from maintsched.intake.shape import Path

RECORDS = (
    "customer",
    "contact",
    "instance",
    "window",
    "release",
    "deferral",
    "pin",
    "freeze",
    "outage",
    "consent",
    "track_switch",
)
"""What a row of a CSV file may be."""
INSIDE = ("contact", "instance")
"""Those of them that belong to a customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The rows of a CSV file as raw tables, and the line that each of them begins on, by the path of its table."""

    tables: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    customers: dict[str, int] = field(default_factory=dict)
    """Position of the customer of a key; of two the first."""

    def add(self, name: str, line: int, row: dict[str, Any]) -> None:
        """Add one row, under its customer where it has one."""
        record = row.pop("record", "")
        if record not in RECORDS:
            raise FileError(name, line=line, key="record", expected=one_of(record, RECORDS), found=show(record))
        above: Path = ()
        tables = self.tables
        if record in INSIDE:
            key = row.pop("customer", "")
            if key not in self.customers:
                expected = f"the key of a customer of an earlier row: {one_of(key, self.customers)}"
                raise FileError(name, line=line, key="customer", expected=expected, found=show(key))
            above = ("customer", self.customers[key])
            tables = tables["customer"][self.customers[key]]
        rows = tables.setdefault(record, [])
        if record == "customer":
            _require_no_rows_inside(name, line, row)
            self.customers.setdefault(row.get("key", ""), len(rows))
        self.lines[(*above, record, len(rows))] = line
        rows.append(row)


def parse_csv(name: str, text: str) -> tuple[dict[str, Any], dict[Path, int]]:
    """Return the tables of a CSV file and the line of each."""
    sheet = Sheet()
    for line, row in _rows(name, text):
        sheet.add(name, line, row)
    return sheet.tables, sheet.lines


def _rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Return the cells that are not empty by their column, and the line each row begins on."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = _header(name, next(reader, []))
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) > len(header):
                raise FileError(name, line=line, key=None, expected=f"{len(header)} cells", found=f"{len(cells)}")
            filled = {column: cell.strip(" \t") for column, cell in zip(header, cells, strict=False)}
            row = _nested(name, line, {column: cell for column, cell in filled.items() if cell})
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise FileError(name, line=line, key=None, expected="CSV", found=str(error)) from error


def _header(name: str, columns: list[str]) -> list[str]:
    if "record" not in columns or len(set(columns)) < len(columns):
        expected = "a first row of column names, each once, with a column record"
        raise FileError(name, line=1, key=None, expected=expected, found=show(", ".join(columns)))
    return columns


def _require_no_rows_inside(name: str, line: int, row: dict[str, Any]) -> None:
    """Refuse a customer's row that has cells where its contacts and instances will stand."""
    for record in INSIDE:
        if record in row:
            expected = f"a row of its own for each {record}"
            raise FileError(name, line=line, key=record, expected=expected, found=show(row[record]))


def _nested(name: str, line: int, cells: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {column: cell for column, cell in cells.items() if "." not in column}
    for column, cell in cells.items():
        table, dot, key = column.partition(".")
        if dot:
            inner = row.setdefault(table, {})
            if not isinstance(inner, dict):
                expected = f"a column {table} or columns {table}.…, not both in one row"
                raise FileError(name, line=line, key=column, expected=expected, found=show(cell))
            inner[key] = cell
    return row

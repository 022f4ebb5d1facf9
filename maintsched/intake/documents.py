"""Reads a TOML, JSON or CSV file into raw tables, within limits, and turns refusals into `FileError`."""

import json
import re
import stat
import tomllib
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any, NoReturn

from maintsched.errors import FileError, InvalidValue, show
from maintsched.intake.cells import parse_csv
from maintsched.intake.lines import (
    line_at,
    line_of,
    line_of_json_word,
    line_of_repeated_json_key,
    line_too_deep,
)
from maintsched.intake.shape import Path, ShapeError

SIZE_MAX = 256 * 1024 * 1024
"""Bytes a file may have; a fleet of 100,000 instances has some 50 million."""
DEPTH_MAX = 20
"""Levels of tables and lists a file may have."""
DIGITS_MAX = 18
"""Digits a whole number may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file as raw tables, with what is needed to say where something in it stands."""

    path: str
    text: str
    form: str
    tables: dict[str, Any]
    rows: dict[Path, int]
    """Lines of the rows of a CSV file, by the path of their table."""

    def refuse(self, error: ShapeError) -> NoReturn:
        """Raise the error as one about this file."""
        raise FileError(
            self.path,
            line=self.line(error.path[:-1] if error.missing else error.path),
            key=dotted(error.path),
            expected=error.expected,
            found=error.found,
        ) from error

    def line(self, path: Path) -> int | None:
        """Return the 1-based line of what stands at `path`, else of the nearest table around it, else None."""
        if self.form != "csv":
            return line_of(self.text, path, self.form)
        around = (path[:length] for length in range(len(path), 0, -1))
        return next((self.rows[each] for each in around if each in self.rows), None)


def dotted(path: Path) -> str | None:
    """Return a path as people write it: customer[2].contact[1].email, positions from 1."""
    text = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or None


def read_document(path: str | FilePath, *, forms: tuple[str, ...] = ("toml", "json", "csv")) -> Document:
    """Read a file by the ending of its name, which is one of `forms`."""
    name = str(path)
    form = FilePath(name).suffix.lower().removeprefix(".")
    if form not in forms:
        endings = " or ".join([", ".join(f".{each}" for each in forms[:-1]), f".{forms[-1]}"])
        raise FileError(name, line=None, key=None, expected=f"a name ending in {endings}", found=show(name))
    text = _read_text(FilePath(path), name)
    try:
        tables, rows = _PARSERS[form](name, text)
    except RecursionError as error:
        line = line_too_deep(text, form, DEPTH_MAX)
        raise FileError(name, line=line, key=None, expected=_LEVELS, found="more") from error
    document = Document(path=name, text=text, form=form, tables=tables, rows=rows)
    _require_depth(document, tables)
    return document


_LEVELS = f"at most {DEPTH_MAX} levels"


def _read_text(path: FilePath, name: str) -> str:
    try:
        status = path.stat()
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):  # reading one may never end
            raise FileError(name, line=None, key=None, expected="a readable file", found="a device")
        if status.st_size > SIZE_MAX:
            raise FileError(name, line=None, key=None, expected=f"at most {SIZE_MAX} bytes", found="more")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise FileError(name, line=line, key=None, expected="UTF-8 text", found="other bytes") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileError(name, line=None, key=None, expected="a readable file", found=str(reason).lower()) from error


def _require_depth(document: Document, value: Any, path: Path = ()) -> None:
    if len(path) > DEPTH_MAX:
        line = document.line(path)
        raise FileError(document.path, line=line, key=str(path[0]), expected=_LEVELS, found="more")
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for step, child in children:
        if isinstance(child, dict | list):
            _require_depth(document, child, (*path, step))


_Parsed = tuple[dict[str, Any], dict[Path, int]]


def _parse_toml(name: str, text: str) -> _Parsed:
    _require_short_keys(name, text)
    try:
        return tomllib.loads(text, parse_float=Decimal), {}
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        expected, found = _TOML_REASONS.get(message.split(" (")[0], ("TOML", message[:1].lower() + message[1:]))
        raise FileError(name, line=_line_said(place, text), key=None, expected=expected, found=found) from error
    except ValueError as error:  # Python reads no number of more than 4,300 digits
        long = re.search(r"[0-9][0-9_]{4299}", text)
        line = line_at(text, long.start()) if long else None
        expected, found = f"at most {DIGITS_MAX} digits", "a longer number"
        raise FileError(name, line=line, key=None, expected=expected, found=found) from error


_TOML_REASONS = {
    "Cannot overwrite a value": ("each key once", "a key that stands there already"),
    "Cannot declare": ("each table once", "a table that stands there already"),
}


def _line_said(place: str, text: str) -> int:
    """Return the line that a message of tomllib ends with; "end of document" is the last one that is not empty."""
    number = place.removeprefix("line ").split(",")[0]
    return int(number) if number.isdecimal() else line_at(text, len(text.rstrip("\r\n")))


def _require_short_keys(name: str, text: str) -> None:
    """Refuse keys of hundreds of parts before they are parsed: the time that takes grows with their square."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _DOTS_SUSPECT and _dots_in_a_key(line) > DEPTH_MAX:
            raise FileError(name, line=number, key=None, expected=_LEVELS, found="more")


_DOTS_SUSPECT = 100
_KEY_TOKEN = re.compile(r"""(?P<part>[A-Za-z0-9_-]++|"(?:\\.|[^"\\])*+"|'[^']*+')|(?P<dot>\.)|(?P<space>[ \t]++)|.""")


def _dots_in_a_key(line: str) -> int:
    """Return the most dots that stand between the parts of one key."""
    longest = dots = 0
    before = None
    for token in _KEY_TOKEN.finditer(line):
        kind = token.lastgroup
        if kind == "dot" and before == "part":
            dots += 1
        elif kind != "space" and not (kind == "part" and before == "dot"):
            dots = 0
        longest = max(longest, dots)
        before = before if kind == "space" else kind
    return longest


def _parse_json(name: str, text: str) -> _Parsed:
    try:
        tables = json.loads(
            text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_once_each, parse_int=_short_int
        )
    except json.JSONDecodeError as error:
        raise FileError(name, line=error.lineno, key=None, expected="JSON", found=error.msg.lower()) from error
    except InvalidValue as error:
        find = line_of_repeated_json_key if error.what == "key" else line_of_json_word
        line, key = find(text, str(error.found)), str(error.found) if error.what == "key" else None
        raise FileError(name, line=line, key=key, expected=error.expected, found=show(error.found)) from error
    if not isinstance(tables, dict):
        raise FileError(name, line=1, key=None, expected="an object", found=show(tables))
    return tables, {}


def _no_constant(text: str) -> NoReturn:
    raise InvalidValue("number", expected="a finite number", found=text)


def _short_int(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise InvalidValue("number", expected=f"at most {DIGITS_MAX} digits", found=text)
    return int(text)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise InvalidValue("key", expected="each key once", found=twice)
    return table


_PARSERS = {"toml": _parse_toml, "json": _parse_json, "csv": parse_csv}

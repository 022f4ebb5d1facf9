"""Finds where in a file something stands. Nothing here runs while files are in order.

The text is one that a parser has accepted, so that only so much of TOML and JSON is understood here as tells keys,
values and nesting apart. A file is read once, from its beginning, however many levels the path has.
"""

import json
import re
import tomllib
from collections.abc import Iterator

from maintsched.intake.shape import Path

_PART = r"""(?:[A-Za-z0-9_-]++|"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')"""
_STRING = (
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*+"'
    r"|'[^'\n]*+'"
)
_PARTS = re.compile(_PART)
_KEY = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+")
_GAP = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SCALAR = re.compile(rf"{_STRING}|[^,\]}}#\n]++", re.DOTALL)
_BRACKET = re.compile(rf"{_STRING}|#[^\n]*+|[\[\]{{}}]", re.DOTALL)
_LEVELS = {"{": 1, "[": 1, "}": -1, "]": -1}
_JSON_STRING = r'"(?:\\.|[^"\\])*+"'
_JSON_TOKEN = re.compile(rf"({_JSON_STRING})(?:\s*+:)?|[\[\]{{}}]|[^\s,:\[\]{{}}\"]++")


def line_of(text: str, path: Path, form: str) -> int | None:
    """Return the 1-based line of what stands at `path`, else of the nearest table around it, else None."""
    at = _json_position(text, path) if form == "json" else _toml_position(text, path)
    return None if at is None else line_at(text, at)


def line_at(text: str, at: int) -> int:
    """Return the 1-based line of the position `at`; only line feeds end a line."""
    return text.count("\n", 0, at) + 1


def line_too_deep(text: str, form: str, levels: int) -> int | None:
    """Return the line of the first bracket that opens more than `levels` levels."""
    depth = 0
    for token in (_JSON_TOKEN if form == "json" else _BRACKET).finditer(text):
        depth += _LEVELS.get(token[0], 0)
        if depth > levels:
            return line_at(text, token.start())
    return None


def line_of_json_word(text: str, word: str) -> int | None:
    """Return the line of the first bare `word` of a JSON text, such as NaN or a number."""
    found = (token.start() for token in _JSON_TOKEN.finditer(text) if token[0] == word)
    return next((line_at(text, at) for at in found), None)


def line_of_repeated_json_key(text: str, key: str) -> int | None:
    """Return the line of the first `key` of a JSON text that stands in its object already."""
    objects: list[bool] = []
    for token in _JSON_TOKEN.finditer(text):
        if token[0] in ("{", "["):
            objects.append(False)
        elif token[0] in ("}", "]"):
            objects.pop()
        elif token[0].endswith(":") and json.loads(token[1]) == key:
            if objects[-1]:
                return line_at(text, token.start())
            objects[-1] = True
    return None


# --- TOML


def _toml_position(text: str, path: Path) -> int | None:
    """Return where `path` is defined: the table or value itself, else what lies in it, else the same of its parent."""
    itself: dict[int, int] = {}
    within: dict[int, int] = {}
    for found, at in _definitions(text, path):
        shared = _shared(found, path)
        if shared == len(path) == len(found):
            return at
        for length in range(1, shared + 1):
            (itself if length == len(found) else within).setdefault(length, at)
    nearest = {**within, **itself}
    return nearest[max(nearest)] if nearest else None


def _shared(left: Path, right: Path) -> int:
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length


def _definitions(text: str, path: Path) -> Iterator[tuple[Path, int]]:
    """Return each table and value on the way to `path`, and every other one that is cheap to see."""
    for found, at, value in _statements(text):
        yield found, at
        if value is not None and found == path[: len(found)]:
            yield from _inside(text, value, found, path)


def _statements(text: str) -> Iterator[tuple[Path, int, int | None]]:
    """Return the path of each header and each key, where it begins, and where a key's value begins."""
    tables: dict[Path, int] = {}
    table: Path = ()
    at = _after(_GAP, text, 0)
    while at < len(text):
        brackets = 2 if text.startswith("[[", at) else 1 if text[at] == "[" else 0
        begin = _after(_GAP, text, at + brackets)
        end = _after(_KEY, text, begin)
        parts = _key_parts(text[begin:end])
        if brackets:
            table = _resolved(parts, tables, array=brackets == 2)
            yield table, at, None
            end = text.index("]", end) + brackets
        else:
            value = _after(_GAP, text, text.index("=", end) + 1)
            yield (*table, *parts), at, value
            end = _end_of_value(text, value)
        at = _after(_GAP, text, end)


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _key_parts(key: str) -> Path:
    if "'" not in key and '"' not in key:
        return tuple(part.strip(" \t") for part in key.split("."))
    return tuple(_unquoted(part) for part in _PARTS.findall(key))


def _unquoted(part: str) -> str:
    return str(tomllib.loads(f"x = {part}")["x"]) if part[0] in "\"'" else part


def _resolved(parts: Path, tables: dict[Path, int], *, array: bool) -> Path:
    """Return a header's path with the positions in arrays of tables; `tables` holds how many each has."""
    path: Path = ()
    for part in parts[:-1]:
        path = (*path, part)
        if path in tables:
            path = (*path, tables[path] - 1)
    path = (*path, parts[-1])
    if array:
        tables[path] = tables.get(path, 0) + 1
        path = (*path, tables[path] - 1)
    return path


def _end_of_value(text: str, at: int) -> int:
    if text[at] not in "[{":
        return _after(_SCALAR, text, at)
    depth, at = 1, at + 1
    while depth:
        token = _BRACKET.search(text, at)
        at = token.end() if token else len(text)
        depth += _LEVELS.get(token[0], 0) if token else -depth
    return at


def _inside(text: str, at: int, here: Path, path: Path) -> Iterator[tuple[Path, int]]:
    """Return what stands in the list or inline table at `at`, and in those of it that lead to `path`."""
    if text[at] not in "[{":
        return
    in_list, index = text[at] == "[", 0
    at = _after(_GAP, text, at + 1)
    while text[at] not in "]}":
        begin, found = at, (*here, index)
        if not in_list:
            end = _after(_KEY, text, begin)
            found = (*here, *_key_parts(text[begin:end]))
            at = _after(_GAP, text, text.index("=", end) + 1)
        yield found, begin
        if found == path[: len(found)]:
            yield from _inside(text, at, found, path)
        at = _after(_GAP, text, _end_of_value(text, at))
        at = _after(_GAP, text, at + 1) if text[at] == "," else at
        index += 1


# --- JSON


def _json_position(text: str, path: Path) -> int | None:
    at = _skip_space(text, 0)
    found: int | None = None
    for step in path:
        child = _json_child(text, at, step)
        if child is None:
            break
        found, at = child
    return found


def _json_child(text: str, at: int, step: str | int) -> tuple[int, int] | None:
    """Return where the child `step` of the JSON value at `at` begins with its key, and where its value begins."""
    closing = {"{": "}", "[": "]"}.get(text[at])
    if closing is None:
        return None
    decoder = json.JSONDecoder()
    at, index = _skip_space(text, at + 1), 0
    while text[at] != closing:
        key: str | int = index
        begin = at
        if closing == "}":
            key, at = decoder.raw_decode(text, at)
            at = _skip_space(text, _skip_space(text, at) + 1)
        if key == step:
            return begin, at
        _, at = decoder.raw_decode(text, at)
        at = _skip_space(text, at)
        at, index = (_skip_space(text, at + 1) if text[at] == "," else at), index + 1
    return None


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at

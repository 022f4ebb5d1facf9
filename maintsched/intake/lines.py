"""Finds the line of a key in a file that was refused. Nothing here runs while files are in order."""

import json
import tomllib

from maintsched.intake.shape import Path

WALK_MAX = 400
"""How many lines a value may span before its line is given up."""


def line_of(text: str, path: Path, form: str) -> int | None:
    """Return the 1-based line of the value at `path`, of the nearest table around it, or None."""
    for length in range(len(path), 0, -1):
        line = _line_in_json(text, path[:length]) if form == "json" else _line_in_toml(text, path[:length])
        if line is not None:
            return line
    return None


def _line_in_toml(text: str, path: Path) -> int | None:
    """Search for the shortest prefix of the file that has the path: the line it ends with holds the value.

    Only prefixes that end between two values can be parsed; the search walks on from one that cannot.
    """
    lines = text.splitlines(keepends=True)
    low, high = 0, len(lines)
    if not _has(_parsed(lines, high), path):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        at = next((n for n in range(middle, min(high, middle + WALK_MAX)) if _parsed(lines, n) is not None), None)
        if at is None:
            at = next((n for n in range(middle, low, -1) if _parsed(lines, n) is not None), None)
        if at is None:
            break
        if _has(_parsed(lines, at), path):
            if at == high:
                break
            high = at
        else:
            low = max(at, low + 1)
    while high - 1 > low and _parsed(lines, high - 1) is None:
        high -= 1
    return high


def _parsed(lines: list[str], count: int) -> dict[str, object] | None:
    try:
        return tomllib.loads("".join(lines[:count]))
    except tomllib.TOMLDecodeError:
        return None


def _has(value: object, path: Path) -> bool:
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        else:
            return False
    return value is not None


def _line_in_json(text: str, path: Path) -> int | None:
    at: int | None = _skip_space(text, 0)
    for step in path:
        at = _child(text, at, step) if at is not None else None
    return None if at is None else text.count("\n", 0, at) + 1


def _child(text: str, at: int, step: str | int) -> int | None:
    """Return where the child `step` of the JSON value at `at` begins."""
    decoder = json.JSONDecoder()
    closing = {"{": "}", "[": "]"}.get(text[at])
    if closing is None:
        return None
    at, index = _skip_space(text, at + 1), 0
    while text[at] != closing:
        key: str | int = index
        if closing == "}":
            key, at = decoder.raw_decode(text, at)
            at = _skip_space(text, _skip_space(text, at) + 1)
        if key == step:
            return at
        _, at = decoder.raw_decode(text, at)
        at = _skip_space(text, at)
        at, index = (_skip_space(text, at + 1) if text[at] == "," else at), index + 1
    return None


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at

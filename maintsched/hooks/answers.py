"""What others answer, as JSON: read with distrust."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from maintsched.hooks.port import Trouble

KEEP_MAX = 4096
"""Bytes of JSON that a hook may have kept for its end."""


def read_json(text: str) -> Any:
    """Return what JSON text says. `ValueError` for anything else, NaN and nesting without end among it."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(_: str) -> NoReturn:
    raise ValueError("no number of JSON")


def kept_in(text: str) -> dict[str, Any]:
    """Return the table `keep` of an answer that is a JSON object; nothing where there is none, whatever it is then.

    Raises `Trouble` for one that cannot be kept: the end would go without it.
    """
    try:
        answer = read_json(text)
    except ValueError:
        return {}
    keep = answer.get("keep", {}) if isinstance(answer, Mapping) else {}
    if not isinstance(keep, dict) or not _storable(keep):
        raise Trouble(f'its answer: expected "keep" to be a JSON object of up to {KEEP_MAX} bytes', retry=False)
    return keep


def _storable(keep: dict[str, Any]) -> bool:
    try:
        data = json.dumps(keep, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (UnicodeEncodeError, RecursionError):
        return False
    return len(data) <= KEEP_MAX and rb"\u0000" not in data  # no database takes a null character

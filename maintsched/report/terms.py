"""The terms of a contract that are in force, as a contract file in JSON would hold them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from maintsched.contract import Contract


def terms_in_force(contract: Contract) -> dict[str, Any]:
    """Return every term by its key, written as in a file; a term without a value is left out.

    Read as a contract file, they give the same contract.
    """
    return _table(contract)


def _table(value: Any) -> dict[str, Any]:
    found = {
        field.metadata.get("key", field.name): getattr(value, field.name)
        for field in fields(value)
        if field.metadata.get("from_file", True)
    }
    return {key: _written(each) for key, each in found.items() if each is not None}


def _written(value: Any) -> Any:
    """Return a value as a file would hold it: what has a text that is read back is written as that text."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal):
        return float(value)  # of at most 12 decimals, so that the number comes out as it went in
    if isinstance(value, ZoneInfo):
        return value.key
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _written(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_written(each) for each in value]
    return _table(value) if is_dataclass(value) and not hasattr(value, "parse") else str(value)

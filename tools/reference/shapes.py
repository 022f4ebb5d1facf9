"""How types and values of files are written in the reference."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from maintsched.localtime import Elapsed, Period
from maintsched.recurrence import Rule
from maintsched.terms import ReactionTime
from maintsched.version import Version
from tools.source import docstring, members_said

NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    bool: "`true` or `false`",
    Decimal: "number",
    datetime: "instant",
    date: "date",
    time: "time of day",
    ZoneInfo: "zone name",
    Elapsed: "elapsed time",
    Period: "calendar period",
    Rule: "recurrence rule",
    Version: "version",
    ReactionTime: "reaction time",
}

TYPES = """\
## Types

- *text*: quoted, on one line, printable characters only: `"ACME GmbH"`
- *whole number*, *number*: `3`, `0.995`
- *date*: `2026-12-01`
- *time of day*: `17:00:00`, on the wall clock, without an offset
- *instant*: a date and time with an offset, `2026-12-01T17:00:00+01:00`. A date alone, `2026-12-01`, means 00:00 in the
  contract's zone
- *zone name*: a name of the IANA zone data, `"Europe/Berlin"`
- *elapsed time*: hours, minutes and seconds on the UTC time line: `"72 h"`, `"1 h 30 min"`, `"PT72H"`. Days are refused
  here: a day may have 23 or 25 hours
- *calendar period*: days, weeks and months on the local calendar: `"7 days"`, `"4 weeks"`, `"6 months"`, `"P6M"`. Hours
  are refused here
- *recurrence rule*: a small part of RFC 5545, `"FREQ=MONTHLY;BYDAY=1TU"`; see
  [recurrence rules](contract-terms.md#recurrence-rules)
- *version*: one to three numbers, and what names a build: `"12.1.0"`, `"16.4"`, `"12.1.0.20261101"`. Versions are
  compared by the three numbers alone
- *reaction time*: `"24 h"` (reached is in time), `"< 4 h"` (reached is late), `"reasonable effort"` (no deadline)
"""


def plain(kind: Any) -> Any:
    """Return a type without its `| None`."""
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    return kind


def type_words(kind: Any) -> str:
    """Say a type in words."""
    kind = plain(kind)
    origin = get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in get_args(kind))
    if origin is tuple:
        return f"list: {type_words(get_args(kind)[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"table: name = {type_words(get_args(kind)[1])}"
    if is_enum(kind):
        return "one of " + ", ".join(f"`{member.value}`" for member in kind)
    if kind in NAMES:
        return NAMES[kind]
    assert is_dataclass(kind), f"no word for the type {kind}"
    return "table"


def is_enum(kind: Any) -> bool:
    """Say whether a type is an enumeration."""
    return isinstance(kind, type) and issubclass(kind, Enum)


def item(kind: Any) -> Any:
    """Return the type of a list's items, or the type itself."""
    kind = plain(kind)
    return get_args(kind)[0] if get_origin(kind) is tuple else kind


def choices(kind: Any) -> list[str]:
    """Return a line for each member of an enumeration that says what it means."""
    kind = item(kind)
    if not is_enum(kind):
        return []
    said = members_of(kind)
    if not any(said.values()):
        return []
    return [f"- `{value}`" + (f": {text}" if text else "") for value, text in said.items()]


MEMBERS = {
    ("ChangeClass", "os"): "routine updates of the operating system",
    ("ChangeClass", "security"): "closes a hole",
    ("ChangeClass", "minor"): "any other smaller change",
    ("ChangeClass", "major"): "a larger change, which can be deferred",
    ("Told", "all"): "each of them",
    ("Told", "any"): "one of them is enough",
    ("DeferralAfter", "first_window_at_or_after_end"): "the first window that starts when the deferral has ended",
    ("DeferralAfter", "last_window_before_end"): "the last window that starts before the deferral ends",
    ("AvailabilityBase", "full_month"): "every second of the month",
    ("CustomerCause", "any"): "every outage that the customer caused",
    ("Counting", "counts"): "they count",
    ("Counting", "excluded"): "they do not",
    ("NoHours", "support_hours"): "the support hours that other packages have",
    ("NoHours", "elapsed"): "elapsed time, day and night",
    ("Premium24x7", "ticket"): "the ticket alone",
    ("Premium24x7", "ticket_and_call"): "the ticket and the call to the hotline; without the call, support hours run",
    ("ProvisioningEnd", "end_of_day"): "24:00 of the next working day",
    ("ProvisioningEnd", "close_of_business"): "when support closes on the next working day",
    ("ProvisioningEnd", "support_hours_8"): "after eight support hours",
    ("Late", "hold"): "it waits for the next window that people were told of",
    ("Late", "run"): "it runs, and counts as unplanned",
    ("Scope", "portal"): "the whole portal",
    ("Standstill", "stopped"): "work is prevented",
    ("Standstill", "restricted"): "work goes on with less",
    ("Standstill", "none"): "work is not hindered",
}
"""What the members mean whose source has no comment on them."""


def members_of(kind: type[Enum]) -> dict[str, str]:
    """Return the values of an enumeration, each with its meaning, where one is known."""
    return {value: text or MEMBERS.get((kind.__name__, value), "") for value, text in members_said(kind).items()}


def enum_text(kind: Any) -> str:
    """Return the docstring of an enumeration, or nothing."""
    kind = item(kind)
    return docstring(kind) if is_enum(kind) else ""


def default_words(field: Field[Any]) -> str | None:
    """Say the default of a field; None where it has to be given."""
    if field.default is MISSING and field.default_factory is MISSING:
        return None
    if field.default_factory is not MISSING:
        return value_words(field.default_factory())
    return value_words(field.default)


def value_words(value: Any) -> str:
    """Write a value as a file would, or say that there is none."""
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(_bare(each) for each in value)}]`" if value else "empty"
    if isinstance(value, Mapping):
        return f"`{{ {', '.join(f'{key} = {_bare(each)}' for key, each in value.items())} }}`" if value else "empty"
    return f"`{_bare(value)}`"


def _bare(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | Decimal | date | time):
        return str(value)
    if isinstance(value, ZoneInfo):
        return f'"{value.key}"'
    return f'"{value}"'

"""docs/reference/library.md: every public name with its signature and docstring."""

import inspect
from enum import Enum
from typing import Any

import maintsched
from maintsched.errors import MaintschedError
from maintsched.holidaycalendar import HolidayCalendar
from maintsched.localtime import ClockChange
from maintsched.notices import PlannedNotice
from maintsched.plan import Assignment
from maintsched.profiles import WorkItem
from maintsched.releases import HeldBack, RunningDeferral
from tools.reference import NOTE, tidy
from tools.reference.shapes import members_of
from tools.source import Said, docstring, fields_said, public_methods, signature

INTRO = """\
# Library

```python
import maintsched as ms
```

Everything below is a name of the package `maintsched`; names that are not listed here may change at any time. All
values are frozen and take keywords only. Every datetime that goes in must be aware; every datetime that comes out is
aware and in the contract's zone. Spans hold their start and not their end. Nothing here reads the clock: `now` is
always an argument. [Use the library](../how-to/use-the-library.md) shows examples, [errors](errors.md) what can be
raised.
"""

CHAPTERS: dict[str, tuple[str, ...]] = {
    "Reading files": ("intake",),
    "The contract": ("contract", "terms", "recurrence"),
    "Fleet and facts": ("fleet", "facts", "version"),
    "Windows": ("windows",),
    "Deadlines": ("deadlines",),
    "The plan": ("plan", "notices", "conflicts"),
    "Support and provisioning": ("support",),
    "Availability": ("availability",),
    "Time": ("localtime", "spans"),
    "Errors": ("errors",),
}
"""The chapters of the page by the modules their names come from."""


INSIDE = """\
## Values inside other values

These are no names of the package: they are reached through a plan or a contract. The values that hold the terms of a
contract have the fields that [contract terms](contract-terms.md) lists.
"""

REACHED = (PlannedNotice, ClockChange, Assignment, WorkItem, HeldBack, RunningDeferral, HolidayCalendar)


def page() -> str:
    """Return the page."""
    parts = [NOTE, INTRO]
    left = set(maintsched.__all__)
    for chapter, modules in CHAPTERS.items():
        names = [name for name in maintsched.__all__ if _module(name) in modules]
        left -= set(names)
        parts.append(f"## {chapter}\n")
        parts += [_entry(name, getattr(maintsched, name)) for name in sorted(names, key=str.lower)]
    assert not left, f"no chapter for {sorted(left)}"
    parts.append(INSIDE)
    parts += [_entry(value.__name__, value) for value in REACHED]
    return tidy("\n".join(parts))


def _module(name: str) -> str:
    return str(getattr(maintsched, name).__module__).split(".")[1]


def _entry(name: str, value: Any) -> str:
    if not inspect.isclass(value):
        return f"### `{name}`\n\n```text\n{signature(value)}\n```\n\n{docstring(value)}\n"
    if issubclass(value, MaintschedError):
        return f"### `{name}`\n\n{docstring(value)} See [errors](errors.md).\n"
    if issubclass(value, Enum):
        lines = [f"- `{member}`" + (f": {text}" if text else "") for member, text in members_of(value).items()]
        return f"### `{name}`\n\n{docstring(value)}\n\n" + "\n".join(lines) + "\n"
    return _class(name, value)


def _class(name: str, value: type) -> str:
    fields = [each for each in fields_said(value).values() if not each.name.startswith("_")]
    parts = [f"### `{name}`", docstring(value)]
    if fields:
        parts.append("\n".join(["| field | type | default | |", "|---|---|---|---|", *(_row(each) for each in fields)]))
    methods = [_method(each, what) for each, what in public_methods(value)]
    if methods:
        parts.append("\n".join(methods))
    return "\n\n".join(parts) + "\n"


def _row(field: Said) -> str:
    kind = field.annotation.replace("|", "\\|")
    default = f"`{field.default}`" if field.default and not field.default.startswith("field(") else ""
    if field.default.startswith("field(default"):
        default = "empty" if "default=()" in field.default or "=dict" in field.default else "given"
    return f"| `{field.name}` | `{kind}` | {default} | {field.text} |"


def _method(name: str, value: Any) -> str:
    first = docstring(value).split("\n\n")[0]
    inner = value.__func__ if isinstance(value, classmethod) else value
    if inspect.isfunction(inner):
        return f"- `{signature(inner, method=True)}`: {first}"
    return f"- `{name}` (property): {first}"

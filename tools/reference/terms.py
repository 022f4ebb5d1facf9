"""docs/reference/contract-terms.md: every term of a contract by its dotted name."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass
from decimal import Decimal
from typing import Any, get_args, get_origin

from maintsched.contract import Contract
from maintsched.intake.contracts import DEFAULT, builtin_contracts
from maintsched.intake.shape import file_fields
from tools.reference import NOTE, tidy
from tools.reference.shapes import (
    TYPES,
    choices,
    default_words,
    enum_text,
    is_enum,
    item,
    plain,
    type_words,
    value_words,
)
from tools.source import docstring, fields_said

INTRO = """\
# Contract terms

A contract is a TOML file (JSON does as well). Each term below is a key of it; `monthly.time` is the key `time` of the
table `[monthly]`. [Write your own contract](../how-to/write-your-own-contract.md) shows how; `maintsched contracts
intrexx-paas` prints a whole one.

A file that begins with `extends = "intrexx-paas"` (or the name of another built-in contract) holds only the terms that
differ. Tables are laid over each other key by key; a list replaces the whole list. Without `extends`, the terms marked
*required* have to be given and the others have the default. An unknown key is refused.

Each entry says what a term means, its type, its default, its value in the built-in contract `intrexx-paas`, and the
clause of that contract it comes from. *Provider's own care* marks terms that no clause asks for. Where a text can be
read in more than one way, the term lists the readings; [readings](../explanation/readings.md) says why the default is
what it is.
"""

RULES = """\
## Recurrence rules

A rule is text in the style of RFC 5545, such as `FREQ=MONTHLY;BYDAY=1TU`. Only these parts are allowed, each once:

- `FREQ`: `DAILY`, `WEEKLY`, `MONTHLY` or `YEARLY`; required
- `INTERVAL`: 1 to 12, counted from the anchor
- `BYDAY`: `MO` to `SU`; with an ordinal from -5 to 5, such as `1TU` or `-1SA`, only in a `MONTHLY` rule, or in a
  `YEARLY` one with `BYMONTH`
- `BYMONTHDAY`: -31 to 31, not 0; not in a `WEEKLY` rule
- `BYMONTH`: 1 to 12
- `UNTIL`: a local date such as `20271231`, held; not together with `COUNT`
- `COUNT`: 1 to 500, counted from the anchor

A rule must give a date within 40 years of its anchor: 31 February is refused.
"""

MEANINGS: Mapping[str, str] = {
    "name": "Name of the contract, for plans and messages.",
    "title": "Title for people.",
    "tracks": "The tracks on which releases ship.",
    "holidays": "The public holidays that count.",
    "holidays.country": "ISO 3166-1 code of the country.",
    "holidays.subdivision": "ISO 3166-2 code of the state or region, without the country.",
    "monthly.rule": "The dates of the monthly windows.",
    "monthly.time": "Wall clock time at which a window starts, in the contract's zone.",
    "monthly.duration": "How long a window is, more than 0 and at most 168 h. The clause names no end; "
    "what is announced is the promise.",
    "monthly.override": "Decisions about single windows, each a table `[[monthly.override]]` with the keys below.",
    "override.reason": "Why; it is shown in plans and explanations.",
    "override.duration": "Another duration.",
    "override.on_holiday": "Another holiday policy for this window alone.",
    "override.skip": "No window at all.",
    "support.weekdays": "Days on which support is open, unless they are public holidays.",
    "support.opens": "When support opens, by the clock of `support.zone`.",
    "support.closes": "When support closes.",
    "reaction.critical": "Reaction times of critical faults by package.",
    "reaction.major": "Reaction times of major faults by package.",
    "reaction.minor": "Reaction times of minor faults by package.",
    "clauses.monthly": "Cited for monthly windows and their reminders.",
    "clauses.critical": "Cited for critical planned maintenance and its announcement.",
    "clauses.emergency": "Cited for emergency work, and for windows announced too late.",
    "clauses.told": "Cited where it matters who was told.",
    "clauses.updates": "Cited for releases, tracks, deferrals and freezes.",
    "clauses.availability": "Cited for the monthly availability.",
    "clauses.provisioning": "Cited for the provisioning of an ordered instance.",
    "clauses.environments": "Cited for environments and their URLs.",
    "clauses.backup": "Cited for backups.",
    "clauses.handover": "Cited for the end of a subscription and the handover of data.",
    "clauses.support": "Cited for support hours.",
    "clauses.severity": "Cited for the classes of faults.",
    "clauses.reaction": "Cited for reaction times.",
    "clauses.remote_access": "Cited for work on a customer's own system.",
}
"""Meanings of the terms whose fields have no docstring of their own."""

CARE = ("waves", "clauses", "notice.margin", "notice.delivery_margin", "notice.hold", "name", "title")
"""What no clause asks for, or what is only a name."""


CLAUSES: Mapping[str, str] = {"clock_change": "2.4.4 and every other clause with a local time"}
"""Clauses of the terms whose line in the contract names none."""

NOT_YET = ("late",)
"""Terms that are read and checked, but that nothing in this version acts on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A term: its dotted `name`, its `field`, the type `kind`, and what the source says of it."""

    name: str
    field: Field[Any]
    kind: Any
    text: str

    @property
    def is_section(self) -> bool:
        """Say whether it is a table with terms of its own."""
        return _is_table(plain(self.kind))


def _is_table(kind: Any) -> bool:
    return (
        get_origin(kind) is None
        and isinstance(kind, type)
        and hasattr(kind, "__dataclass_fields__")
        and not hasattr(kind, "parse")
    )


def terms(kind: type = Contract, prefix: str = "") -> Iterator[Term]:
    """Return every term, those of a table after the table."""
    said = fields_said(kind)
    for key, (field, field_type) in file_fields(kind).items():
        term = Term(name=f"{prefix}{key}", field=field, kind=field_type, text=said[field.name].text)
        yield term
        inner = plain(field_type)
        if _is_table(inner):
            yield from terms(inner, f"{term.name}.")
        elif get_origin(inner) is tuple and _is_table(get_args(inner)[0]):
            yield from terms(get_args(inner)[0], f"{term.name}.")


def flat(tables: Mapping[str, Any], known: Mapping[str, Term], prefix: str = "") -> dict[str, Any]:
    """Return the values of a contract file by the dotted name of their term."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and (name not in known or known[name].is_section):
            found.update(flat(value, known, f"{name}."))
        else:
            found[name] = value
    return found


def page() -> str:
    """Return the page."""
    every = list(terms())
    known = {term.name: term for term in every}
    values = flat(_tables(), known)
    comments = _comments()
    parts = [NOTE, INTRO, "## The contract itself\n", _extends()]
    later: list[str] = []
    for term in every:
        top = "." not in term.name
        if term.is_section:
            text = docstring(plain(term.kind)) if term.name != "holidays" else MEANINGS["holidays"]
            later.append(f"## `[{term.name}]`\n\n{text}\n")
        else:
            (parts if top else later).append(_entry(term, values, comments))
    return tidy("\n".join([*parts, *later, RULES, TYPES]))


def _tables() -> dict[str, Any]:
    with builtin_contracts()[DEFAULT].open("rb") as file:
        return tomllib.load(file, parse_float=Decimal)


def _extends() -> str:
    return (
        "### `extends`\n\nName of a built-in contract; this file then holds only the terms that differ.\n\n"
        "- type: text\n- default: none\n"
    )


def _entry(term: Term, values: Mapping[str, Any], comments: Mapping[str, tuple[str, str]]) -> str:
    clause, comment = comments.get(term.name, ("", ""))
    text = meaning(term, comment)
    assert text, f"no meaning of the term {term.name}"
    lines = [f"### `{term.name}`", "", text, "", f"- type: {type_words(term.kind)}"]
    default = default_words(term.field)
    lines.append(f"- default: {default}" if default is not None else "- required")
    if term.name in values:
        lines.append(f"- in `{DEFAULT}`: {value_words(values[term.name])}")
    clause = clause or comments.get(term.name.split(".")[0], ("", ""))[0] or CLAUSES.get(term.name, "")
    cares = any(term.name == care or term.name.startswith(f"{care}.") for care in CARE)
    if not term.name.startswith("clauses.") and term.name not in ("name", "title"):
        lines.append("- provider's own care" if cares else f"- clause: {clause}")
        assert cares or clause, f"no clause of the term {term.name}"
    if term.name in NOT_YET:
        lines.append("- read and checked; nothing in this version acts on it")
    said = choices(term.kind)
    return "\n".join([*lines, "", *([*said, ""] if said else [])])


def meaning(term: Term, comment: str) -> str:
    """Return what a term means: by its docstring, by this module, by its type, or by the contract's own comment."""
    short = "override." + term.name.rpartition(".")[2]
    own = term.text or MEANINGS.get(term.name, "")
    if not own and term.name.startswith("monthly.override."):
        own = MEANINGS.get(short, "")
    if own:
        return own
    if is_enum(item(term.kind)) and enum_text(term.kind) and "weekday" not in term.name:
        return enum_text(term.kind)
    return comment[:1].upper() + comment[1:] + ("" if comment.endswith(".") or not comment else ".")


_CLAUSE = re.compile(r"([0-9]+(?:\.[0-9]+)*)(?:[,:;] |$)")


def _comments() -> dict[str, tuple[str, str]]:
    """Return the clause and the comment of each term in the file of the default contract."""
    found: dict[str, tuple[str, str]] = {}
    section, of_section = "", ""
    for line in builtin_contracts()[DEFAULT].read_text(encoding="utf-8").splitlines():
        code, _, comment = line.partition("#")
        clauses, text = _split(comment.strip())
        header = re.fullmatch(r"\[([a-z_.0-9]+)\]", code.strip())
        key = re.match(r"([a-z_0-9]+) *=", code)
        if header:
            section, of_section = f"{header[1]}.", clauses or (of_section if header[1].count(".") else "")
            found[header[1]] = (of_section, text)
        elif key:
            found[f"{section}{key[1]}"] = (clauses or of_section, text)
    return found


def _split(comment: str) -> tuple[str, str]:
    clauses = []
    while found := _CLAUSE.match(comment):
        clauses.append(found[1])
        comment = comment[found.end() :]
    return ", ".join(clauses), comment

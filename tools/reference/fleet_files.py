"""docs/reference/fleet-files.md: every table and key of a fleet or facts file, and the form as a spreadsheet."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from maintsched.facts import Facts
from maintsched.fleet import Customer
from maintsched.intake.cells import RECORDS
from maintsched.intake.shape import file_fields
from tools.reference import NOTE, tidy
from tools.reference.shapes import TYPES, choices, default_words, enum_text, item, plain, type_words
from tools.source import docstring, fields_said

INTRO = """\
# Fleet files

A fleet file says who the customers are, what runs for them, and what was declared: releases, deferrals, freezes,
windows. Give it to any command with `--fleet FILE`; the option may be repeated, and the files count as one: a freeze in
one file may name a customer of another.

The ending of the name decides the form: `.toml`, `.json` or `.csv`. JSON has the same tables and keys as TOML, with
dates and times as texts. [CSV](#csv) has a row for each table.

Everything is checked before anything is computed. A refusal is one line with file, line, key, what was expected and
what was found. A key that no table knows is refused, and the nearest known one is named. A file may have 256 MiB and 20
levels.

`key` values are 1 to 63 ASCII letters, digits, `.`, `-` or `_`, and begin with a letter or digit. Keys of customers and
of instances are unique in the whole fleet, keys of contacts in their customer, keys of windows in their kind.

*Kept* marks a key that is read and checked, and that nothing in this version acts on.
"""

TABLES_HEAD = """\
## Tables

Tables in double brackets may occur many times. A `[[customer.contact]]` or `[[customer.instance]]` belongs to the
`[[customer]]` above it.
"""

CSV = """\
## CSV

The first row names the columns, in any order. The column `record` says what a row is: one of {records}. The other
columns are the keys above. A column that a record does not know must be empty in its rows.

- Rows of `contact` and `instance` have a column `customer` with the key of their customer, who stands in an earlier
  row.
- A list is written with `;` between its entries: `silent;steady`.
- A key of an inner table is a column with a dot: `versions.intrexx`, `backup.times`, `backup.rule`.
- `true` and `false`, whole numbers, dates, times and instants are written plainly.
- The text is UTF-8, the cells are parted by commas.

```csv title="fleet.csv"
record,key,customer,name,language,package,email,roles,environment,host,track,versions.intrexx,backup.times,managed
customer,acme,,ACME GmbH,de,premium,,,,,,,,
contact,eva,acme,Eva Muster,,,eva@acme.example,system_responsible;billing,,,,,,
instance,acme-prod,acme,,,,,,prod,10.0.0.5,silent,12.0.3,02:00;14:00,true
```
"""

MEANINGS: Mapping[str, str] = {
    "customer.key": "What commands and other tables call the customer by.",
    "customer.name": "Name for people.",
    "customer.language": "Language of the customer's notices.",
    "customer.package": "Support package: one of the contract's. A flex package counts as its base package.",
    "customer.contact": "Persons and mailboxes, see [contact](#customercontact).",
    "customer.instance": "Portals, see [instance](#customerinstance).",
    "customer.contact.key": "Unique among the contacts of the customer.",
    "customer.contact.name": "Name for people.",
    "customer.contact.email": "Mail address. An internationalised domain is encoded (IDNA).",
    "customer.contact.roles": "Roles. Contacts with the role of the term `notice.role` are told.",
    "customer.contact.zone": "Zone that times are shown in to this contact.",
    "customer.contact.calendar": "How the contact's calendar is told.",
    "customer.instance.key": "What commands and other tables call the instance by.",
    "customer.instance.host": "Host name or IP address. Several instances may share one.",
    "customer.instance.environment": "One of the contract's environments.",
    "customer.instance.executor": "What will do the updates.",
    "customer.instance.starts_on": "First day of the subscription; no earlier window plans the instance.",
    "backup.times": "Local times of day.",
    "backup.rule": "Days on which backups are taken.",
    "backup.anchor": "Date from which INTERVAL and COUNT of the rule are counted.",
    "window.key": "Unique among the windows of its kind. The id of the window is `<kind>/<key>`.",
    "window.start": "When it starts.",
    "window.end": "When it ends; give this or `duration`.",
    "window.duration": "How long it is, at most 168 h; give this or `end`.",
    "window.reason": "Why; people are told.",
    "window.cancelled": "True: it does not take place; with kind `monthly`, neither does the window of the rule.",
    "release.version": "Version; unique among the releases of its component.",
    "release.class": "How far the change reaches: `minor`, `major` or `security`.",
    "release.available_at": "From when it may be installed; waves are counted from here.",
    "release.component": "One of the contract's components.",
    "release.changes": "What is new, for people.",
    "pin.instance": "Instance that stays at a version.",
    "pin.version": "The version; it may be a newer one than is installed.",
    "pin.start": "From when newer versions stay out.",
    "pin.reason": "Why; plans show it.",
    "pin.component": "One of the contract's components.",
    "deferral.instance": "Instance that the release stays out of.",
    "deferral.release": "Version of a declared major release of the component of the term `deferral.component`.",
    "deferral.until": "End, not held. An end beyond the limit of the contract is cut to it, and is a conflict.",
    "deferral.granted_at": "When it was granted.",
    "deferral.withdrawn_at": "When it was withdrawn; it ends then, if not before.",
    "freeze.key": "What explanations call it by; unique.",
    "freeze.start": "From when changes stay out.",
    "freeze.end": "End, not held.",
    "freeze.reason": "Why; plans show it.",
    "freeze.classes": "Change classes that stay out, and with them each release that carries such a change.",
    "freeze.customers": "Keys of customers.",
    "outage.start": "When it began.",
    "outage.end": "When it ended. JSON can say `null`: it goes on.",
    "outage.critical": "Whether it was a critical fault of production; others do not count.",
    "outage.customer_caused": "Whether a fault in what the customer developed caused it.",
    "outage.data_restore": "Whether these seconds were the restore of a large amount of data.",
    "outage.cause": "Any other cause that was not the provider.",
    "outage.instance": "Instance that was not available.",
    "consent.instance": "Instance that may be worked on.",
    "consent.given_by": "Who agreed.",
    "consent.given_at": "From when it holds.",
    "consent.until": "End, not held; left out: it holds until it is removed.",
    "track_switch.instance": "Instance that changes its track.",
    "track_switch.track": "The new track.",
    "track_switch.at": "From when.",
}
"""Meanings of the keys whose fields have no docstring of their own."""

KEPT = ("customer.instance.executor", "deferral.granted_at", "release.estimate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a file: its `name`, and the value class that it becomes."""

    name: str
    kind: type

    @property
    def short(self) -> str:
        """The name that meanings are listed under."""
        return "backup" if self.name.endswith("backup") else self.name


def tables() -> Iterator[Table]:
    """Return every table of a file, in the order of the reference."""
    yield from _with_inner("customer", Customer)
    for key, (_, kind) in file_fields(Facts).items():
        yield from _with_inner(key, item(kind))


def _with_inner(name: str, kind: type) -> Iterator[Table]:
    yield Table(name=name, kind=kind)
    for key, (_, inner) in file_fields(kind).items():
        if _is_table(item(inner)):
            yield from _with_inner(f"{name}.{key}", item(inner))


def _is_table(kind: Any) -> bool:
    return hasattr(kind, "__dataclass_fields__") and not hasattr(kind, "parse")


def page() -> str:
    """Return the page."""
    parts = [NOTE, INTRO, TABLES_HEAD]
    for table in tables():
        single = table.name.endswith("backup")
        title = f"`[{table.name}]`" if single else f"`[[{table.name}]]`"
        parts.append(f"### {title}\n\n{docstring(table.kind)}\n")
        parts.append(_keys(table))
        parts += [part for key, (_, kind) in file_fields(table.kind).items() if (part := _choices(key, kind))]
    records = ", ".join(f"`{record}`" for record in RECORDS)
    return tidy("\n".join([*parts, CSV.format(records=records), TYPES]))


def _keys(table: Table) -> str:
    said = fields_said(table.kind)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, (field, kind) in file_fields(table.kind).items():
        name = f"{table.short}.{key}"
        text = MEANINGS.get(name) or said[field.name].text or enum_text(kind)
        assert text, f"no meaning of the key {name}"
        text = re.sub(r"(?i)\bnone: ", lambda found: "left out: " if found.start() else "Left out: ", text)
        if name in KEPT:
            text += " *Kept.*"
        inner = _is_table(item(plain(kind)))
        shown = Literal["security", "minor", "major"] if name == "release.class" else kind
        words = "tables" if inner and item(kind) is not plain(kind) else "table" if inner else type_words(shown)
        default = default_words(field) or "**required**"
        rows.append(f"| `{key}` | {words} | {default} | {text} |")
    return "\n".join([*rows, ""])


def _choices(key: str, kind: Any) -> str:
    lines = choices(kind)
    return "\n".join([f"Values of `{key}`:\n", *lines, ""]) if lines else ""

"""What a file in order looks like, written down a second time, without the validators of the package.

Raw tables, as the standard library reads them, are compared with the values that intake made of them: every raw key
must be known, well formed and found again in the value. A value that was accepted and does not
fit is a wrong acceptance.
"""

import csv
import ipaddress
import json
import re
import tomllib
import unicodedata
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from dateutil import rrule

ZONES = available_timezones()
CLOCK = r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?"
CONTRACT_PACKAGES = ("starter", "advanced", "professional", "premium")
ENVIRONMENTS, TRACKS = ("prod", "test", "dev"), ("silent", "steady")
COMPONENTS = ("intrexx", "database", "search", "webserver", "firewall", "linux", "libreoffice")


def raw_tables(text, form):
    """Read the text a second time, without limits and positions."""
    if form == "toml":
        return tomllib.loads(text, parse_float=Decimal)
    if form == "json":
        return json.loads(text, parse_float=Decimal)
    tables: dict[str, list[dict]] = {}
    for cells in csv.DictReader(StringIO(text, newline=""), strict=True):
        row: dict = {}
        for column, cell in cells.items():
            if cell is not None and cell.strip(" \t"):
                table, _, key = column.partition(".")
                inner = row.setdefault(table, {}) if key else row
                inner[key or column] = cell.strip(" \t")
        record = row.pop("record", None)
        if record in ("contact", "instance"):
            owner = next(each for each in tables["customer"] if each["key"] == row["customer"])
            del row["customer"]
            owner.setdefault(record, []).append(row)
        elif row:
            tables.setdefault(record, []).append(row)
    return tables


# --- single values: each takes what stands in the file and what became of it


def ascii_match(pattern, raw):
    return isinstance(raw, str) and re.fullmatch(pattern, raw, re.ASCII) is not None


def key(raw, value):
    return raw == value and ascii_match(r"[A-Za-z0-9][A-Za-z0-9._-]*", raw) and len(raw) <= 63


def text(raw, value):
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    fine = isinstance(raw, str) and 0 < len(raw) <= 500 and "=?" not in raw and raw.isspace() is False
    return raw == value and fine and not any(unicodedata.category(c) in hidden for c in raw)


def text_or_empty(raw, value):
    return raw == value == "" or text(raw, value)


def email(raw, value):
    local, _, domain = value.rpartition("@")
    same = raw == value or raw.rpartition("@")[2].lower() == domain.encode("ascii").decode("idna")
    fine = ascii_match(r"[^\s@,;:<>()\[\]\"\\]{1,64}", local) and "=?" not in local and ".." not in local
    return same and fine and "." in domain and host_name(domain) and local == raw.rpartition("@")[0]


def email_or_empty(raw, value):
    return raw == value == "" or email(raw, value)


def host_name(raw):
    labels = raw.split(".")
    good = all(ascii_match(r"[A-Za-z0-9-]{1,63}", label) and label.strip("-") == label for label in labels)
    return good and len(raw) <= 253 and not labels[-1].isdigit()


def host(raw, value):
    try:
        return raw == value and bool(host_name(raw) or ipaddress.ip_address(raw))
    except ValueError:
        return False


def link(raw, value):
    found = re.fullmatch(r"https?://([^/?#:]+)(:\d{1,5})?([/?#].*)?", raw, re.ASCII)
    return raw == value and raw.isprintable() and " " not in raw and found is not None and host(found[1], found[1])


def zone(raw, value):
    return raw in ZONES and value == ZoneInfo(raw) and ".." not in raw


def flag(raw, value):
    return isinstance(value, bool) and raw in (value, str(value).lower())


def number(low, high):
    def check(raw, value):
        plain = type(raw) is int or ascii_match(r"\d{1,9}", raw)
        return plain and type(value) is int and int(raw) == value and low <= value <= high

    return check


def one(*names):
    return lambda raw, value: raw in names and str(value) == raw


def day(raw, value):
    raw = date.fromisoformat(raw) if ascii_match(r"\d{4}-\d\d-\d\d", raw) else raw
    return type(raw) is date and raw == value and 2000 <= raw.year <= 2200


def wall_time(raw, value):
    raw = time.fromisoformat(raw) if ascii_match(CLOCK, raw) else raw
    return type(raw) is time and raw == value and raw.tzinfo is None


def instant(raw, value):
    if ascii_match(rf"\d{{4}}-\d\d-\d\d[T ]{CLOCK}(Z|[+-]\d\d:\d\d)", raw):
        raw = datetime.fromisoformat(re.sub(r"\.(\d+)", lambda m: "." + m[1].ljust(6, "0"), raw))
    elif ascii_match(r"\d{4}-\d\d-\d\d", raw):
        raw = date.fromisoformat(raw)
    if type(raw) is date:
        raw = datetime.combine(raw, time(), value.tzinfo)
        return value == raw and value.tzinfo is not None and 2000 <= raw.year <= 2200
    offset = raw.utcoffset() if isinstance(raw, datetime) else None
    near = offset is not None and abs(offset) <= timedelta(hours=14)
    return near and value == raw and 2000 <= raw.year <= 2200


UNITS = {"h": 3600, "min": 60, "s": 1, "H": 3600, "M": 60, "S": 1}


def elapsed(low_seconds, high_hours):
    def check(raw, value):
        if not ascii_match(r"(\d+ ?h)?( ?\d+ ?min)?( ?\d+ ?s)?|PT(\d+H)?(\d+M)?(\d+S)?", raw):
            return False
        parts = re.findall(r"(\d+) ?(h|min|s|H|M|S)", raw)
        seconds = sum(int(count) * UNITS[unit] for count, unit in parts)
        return bool(parts) and value.total_seconds() == seconds and low_seconds <= seconds <= high_hours * 3600

    return check


def period(low_days, high_days):
    def check(raw, value):
        if not ascii_match(r"(\d+ ?(d|days?|w|weeks?|months?|y|years?) ?)+|P(\d+Y)?(\d+M)?(\d+W)?(\d+D)?", raw):
            return False
        parts = re.findall(r"(\d+) ?([dwmyDWMY])", raw)
        count = {unit: sum(int(n) for n, u in parts if u.lower() == unit) for unit in "dwmy"}
        months, days = count["m"] + 12 * count["y"], count["d"] + 7 * count["w"]
        return (value.months, value.days) == (months, days) and low_days <= 30 * months + days <= high_days

    return check


def version(raw, value):
    return ascii_match(r"\d{1,6}(\.\d{1,6}){0,2}([.+-][A-Za-z0-9]{1,40})*", raw) and str(value) == raw


def share(raw, value):
    return not isinstance(raw, str | bool) and Decimal(raw) == value and 0 < value <= 1


def reaction(raw, value):
    if raw == "reasonable effort":
        return value.within is None
    exclusive = raw.startswith("<")
    return value.exclusive == exclusive and elapsed(1, 62 * 24)(raw.removeprefix("<").strip(), value.within)


def rule(raw, value, anchor=date(2000, 1, 1)):
    """Read the rule with dateutil: it must give a date, and be made of the few parts that are allowed."""
    parts = dict(part.split("=") for part in raw.split(";"))
    known = {"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "UNTIL", "COUNT"}
    few = set(parts) <= known and int(parts.get("COUNT", 1)) <= 500 and 1 <= int(parts.get("INTERVAL", 1)) <= 12
    often = parts["FREQ"] in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
    dates = rrule.rrulestr(raw, dtstart=datetime.combine(anchor, time()))
    return raw.isascii() and few and often and next(iter(dates)).year <= anchor.year + 40 and raw.isupper()


# --- lists, tables, documents


def each(check):
    def all_of(raw, value):
        items = [item.strip() for item in raw.split(";")] if isinstance(raw, str) else raw
        paired = len(items) == len(value) and all(map(check, items, value))
        return paired and len({str(item) for item in value}) == len(value)

    return all_of


def some(check):
    return lambda raw, value: len(value) > 0 and each(check)(raw, value)


def rows(check):
    return lambda raw, value: isinstance(raw, list) and len(raw) == len(value) and all(map(check, raw, value))


def mapping(check, names=None):
    def all_of(raw, value):
        known = names is None or set(raw) <= set(names)
        return known and set(raw) == set(value) and all(check(raw[name], value[name]) for name in raw)

    return all_of


def table(required, **spec):
    """A table: `spec` has a check for each key; the value's attribute has the key's name, or the one that is paired."""

    def check(raw, value):
        if set(raw) - set(spec) or set(required.split()) - set(raw):
            return False
        for name, item in raw.items():
            attribute, right = spec[name] if isinstance(spec[name], tuple) else (name, spec[name])
            found = getattr(value, attribute)
            if not (item is None and found is None) and not right(item, found):
                return False
        return True

    return check


def ordered(*instants):
    known = [at for at in instants if at is not None]
    return all(left < right for left, right in pairwise(known))


def unique(names):
    names = list(names)
    return len(set(names)) == len(names)

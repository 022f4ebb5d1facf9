"""Ten thousand changed files: each is refused with an error of our own, or is in order by a second opinion.

MAINTSCHED_MUTATIONS says how many (10,000), MAINTSCHED_SEED from which seed; the seed is printed with every failure.
"""

import os
import random
import re
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

import maintsched as ms
from maintsched.errors import MaintschedError
from maintsched.intake import builtin_contracts, load_contract, load_fleet
from tests.intake_oracle import raw_tables
from tests.intake_schema import contract_fits, facts_fit, fleet_fits

COUNT = int(os.environ.get("MAINTSCHED_MUTATIONS", "10000"))
SEED = os.environ.get("MAINTSCHED_SEED", "2.4.3.1")
PLANNED = 10  # one accepted file of so many is planned as well
GOOD = Path(__file__).parent / "good_files"
BUILTIN = builtin_contracts()
FILES = (
    *BUILTIN.values(),
    *(GOOD / f"{name}.{form}" for name in ("contract", "fleet", "facts") for form in ("toml", "json", "csv")),
)
FILES = tuple(path for path in FILES if path.exists())
CHUNKS = 4
VALUE = r'"[^"\n]*"|(?<== )[^",\n\[{]+|(?<=,)[^",\n]+(?=,)'  # a text, what follows "=", a cell
SPAN = ms.Span(start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2027, 2, 1, tzinfo=UTC))
SECONDS_MAX = 1
WORDS = """
    null true false nan inf NaN {} [] -0 0 1e400 1e-9999999 0x7f 999999999999999999999999999999 \\ud800 \\u0000 a@b
    =?UTF-8?Q?=0A?= -oProxyCommand=x javascript: ../.. /etc/passwd ${x} {{x}} Europe/Paris Europe 99years 99999h 7days
    2026-02-29 9999-12-31 1999-12-31 2026-12-01T17:00:00 24:00:00 UNTIL=20261231 COUNT=500 INTERVAL=12 FREQ=DAILY
    BYDAY=5FR BYMONTHDAY=31 [[ ]]
"""
# Single characters: those with a meaning, controls, marks that nobody sees, a digit that is not one of ours.
CHARACTERS = "\"'[]{}=,.:;#\\\n\r\t-+ \0\x1b\x7f\u202e\u200b\u2028\ufeff\u0661\xe9\U0001f600"
SPECIALS = (*CHARACTERS, *WORDS.split(), "\r\n", '"""', "'''", '""', "0 h")


class World(NamedTuple):
    contract: ms.Contract
    fleet: ms.Fleet
    facts: ms.Facts


def no_holidays(country, subdivision, language, year):
    return {date(year, 12, 25): "a holiday"}


CONTRACT = load_contract(holiday_source=no_holidays)
FLEET, _ = load_fleet(CONTRACT, GOOD / "fleet.toml")


# --- ways to change a file


def flip(chance, text):
    at = chance.randrange(len(text))
    return text[:at] + chr((ord(text[at]) ^ (1 << chance.randrange(7))) or 1) + text[at + 1 :]


def delete(chance, text):
    at = chance.randrange(len(text))
    return text[:at] + text[at + chance.choice((1, 1, 1, 2, 5, 40)) :]


def insert(chance, text):
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(SPECIALS) + text[at:]


def duplicate_lines(chance, text):
    lines = text.split("\n")
    at, length = chance.randrange(len(lines)), chance.choice((1, 1, 2, 6, 20))
    to = chance.choice((at, chance.randrange(len(lines))))
    return "\n".join([*lines[:to], *lines[at : at + length], *lines[to:]])


def drop_line(chance, text):
    lines = text.split("\n")
    del lines[chance.randrange(len(lines))]
    return "\n".join(lines)


def swap_lines(chance, text):
    lines = text.split("\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def truncate(chance, text):
    return text[: chance.randrange(len(text))]


def replaced(chance, text, pattern, new):
    """Replace one place that the pattern finds by what `new` makes of it."""
    places = list(re.finditer(pattern, text))
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start()] + new(place[0]) + text[place.end() :]


def tweak_number(chance, text):
    numbers = ("0", "1", "-1", "13", "31", "60", "99", "100", "501", "2201", "1e9", "1.5", "9" * 19, "007", "٣")
    return replaced(chance, text, r"\d+", lambda old: chance.choice((*numbers, str(int(old) + chance.choice((-1, 1))))))


def rename_key(chance, text):
    words = re.findall(r"[a-z_]{3,}", text)
    return replaced(
        chance, text, r"\b[a-z_]{3,}\b", lambda old: chance.choice((old[1:], old + "s", chance.choice(words)))
    )


def change_text(chance, text):
    texts = re.findall(r'"[^"\n]*"', text) or ['""']
    return replaced(
        chance, text, r'"[^"\n]*"|[^,\n]+(?=,)', lambda _: chance.choice((*texts, f'"{chance.choice(SPECIALS)}"'))
    )


def poison(chance, text):
    """Put something special into the middle of a text or a cell."""

    def poisoned(old):
        at = chance.randrange(1, len(old) + 1)
        return old[:at] + chance.choice(SPECIALS) + old[at:]

    return replaced(chance, text, VALUE, poisoned)


def exchange_values(chance, text):
    """Let two values that stand near each other change places, such as a start and an end."""
    places = list(re.finditer(VALUE, text))
    if len(places) < 2:
        return text
    first = chance.randrange(len(places) - 1)
    one, other = places[first], places[min(first + chance.choice((1, 1, 2, 3)), len(places) - 1)]
    if one.end() > other.start():
        return text
    return text[: one.start()] + other[0] + text[one.end() : other.start()] + one[0] + text[other.end() :]


WAYS = (
    *(flip, delete, insert, duplicate_lines, drop_line, swap_lines, truncate, rename_key),
    *(tweak_number, tweak_number, change_text, change_text, poison, poison, exchange_values, exchange_values),
)


def mutate(chance, text):
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        text = chance.choice(WAYS)(chance, text) if text else text
    return text


def to_bytes(chance, text):
    """Encode the text, now and then with a byte that is no UTF-8."""
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if data and chance.random() < 0.03:
        data[chance.randrange(len(data))] = chance.choice((0x80, 0xC0, 0xFF))
    return bytes(data)


# --- what a changed file leads to


def check(path, form, planned):
    """Read the file; say whether it was accepted. Any error but ours, and any wrong acceptance, is a failure."""
    if "contract" in path.name:
        contract = load_contract(path, holiday_source=no_holidays)
        assert contract_fits(contract_tables(path, form), contract)
        return World(contract, FLEET, ms.Facts()) if planned else None
    paths = [GOOD / "fleet.toml", path] if "facts" in path.name else [path]
    fleet, facts = load_fleet(CONTRACT, *paths)
    tables = [raw_tables(each.read_bytes().decode("utf-8-sig"), each.suffix[1:]) for each in paths]
    raw = {
        name: [row for each in tables for row in each.get(name, [])]
        for name in dict.fromkeys(k for t in tables for k in t)
    }
    assert fleet_fits(raw, fleet)
    assert facts_fit(raw, fleet, facts)
    return World(CONTRACT, fleet, facts) if planned else None


def contract_tables(path, form):
    raw = raw_tables(path.read_bytes().decode("utf-8-sig"), form)
    base = raw.pop("extends", None)
    return laid_over(raw_tables(BUILTIN[base].read_text(encoding="utf-8"), "toml"), raw) if base is not None else raw


def laid_over(below, above):
    both = {name for name in below if isinstance(below[name], dict) and isinstance(above.get(name), dict)}
    return {**below, **above, **{name: laid_over(below[name], above[name]) for name in both}}


@pytest.mark.fuzz
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("source", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_changed_file_is_refused_or_in_order(source, chunk, tmp_path):
    seed = f"{SEED}/{source.parent.name}/{source.name}/{chunk}"
    chance = random.Random(seed)
    good = source.read_text(encoding="utf-8")
    path = tmp_path / ("contract" if source.parent.name == "contracts" else source.stem)
    path = path.with_suffix(source.suffix)
    accepted, messages = 0, []
    cases = -(-COUNT // (len(FILES) * CHUNKS))
    for number in range(cases):
        path.write_bytes(to_bytes(chance, mutate(chance, good)))
        began = time.process_time()
        try:
            world = check(path, source.suffix[1:], planned=accepted % PLANNED == 0)
            accepted += 1
            if world is not None:
                ms.make_plan(world.contract, world.fleet, world.facts, SPAN)
        except MaintschedError as error:
            messages.append(str(error))
        except Exception as error:
            error.add_note(f"seed {seed}, case {number}:\n{path.read_bytes().decode('utf-8', 'replace')}")
            raise
        assert time.process_time() - began < SECONDS_MAX, f"seed {seed}, case {number}: {path.read_bytes()!r}"
    assert all(message.isprintable() for message in messages)
    assert accepted >= cases // 50, "the changes are so rough that next to nothing is accepted"

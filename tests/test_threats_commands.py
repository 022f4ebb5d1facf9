"""Attacks on the command line: whatever is typed, it is done or refused in clear words, and no terminal obeys it."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner, Result

from maintsched.cli import main
from tests.homes import NOW, open_home

SECONDS_MAX = 2
START, LATER = "2026-12-08 19:00", "2026-12-09 19:00"
DATES = (
    "NaN",
    "\u0661\u0667.12.2026",
    "9999-12-31",
    "1999-12-31",
    "2026-W49-2",
    "1e9",
    "0",
    "2026-12-01T17:00",
    "2026-02-30",
    "P9999Y",
)
LENGTHS = ("NaN", "inf", "-1h", "\u0661h", "9999999h", "1e5h", "h", "-PT1H")
NUMBERS = ("NaN", "\u0661", "1_0", "1e2", "-1", "0", "9" * 30, "1.5", "+1")
MONTHS = ("2026-13", "9999-12", "2026-W49", "\u0662\u0660\u0662\u0666-12", "NaN", "2026-12-01", "2026-1")
ESCAPES = "\x1b]0;pwned\x07\x9b31m\nError: forged\r\n\u202e\u2028\u200b=?utf-8?q?=0ABcc: e@x?="
PATHS = "../../../../etc/passwd"
LONG = "x" * 100_000
SPACES = "\n\xa0\u202f"
RUN = "run/monthly:2026-12/acme-prod"
KINDS = {"INSTANT": DATES, "D": DATES, "DURATION": LENGTHS, "LENGTH": LENGTHS, "N": NUMBERS, "YYYY-MM": MONTHS}
WORKING: dict[str, list[str]] = {
    "plan": [],
    "explain": ["monthly/2026-12"],
    "contracts": ["intrexx-paas"],
    "fleet erase": ["acme/eva", "--yes"],
    "fleet list": [],
    "fleet show": ["acme"],
    "fleet sync": ["fleet.toml"],
    "freeze add": ["--from", "2026-12-20", "--to", "2026-12-24", "--reason", "x", "--customer", "acme"],
    "freeze end": ["year-end", "--reason", "x"],
    "freeze list": [],
    "release add": ["12.2.0", "--class", "minor"],
    "release list": [],
    "release pin": ["acme-prod", "12.1.0", "--reason", "x"],
    "release pins": [],
    "release restore": ["12.0.9", "--reason", "x"],
    "release unpin": ["acme-test", "--reason", "x"],
    "release withdraw": ["12.1.0", "--reason", "x"],
    "defer extend": ["acme-prod", "12.1.0", "--until", "2027-05-01"],
    "defer grant": ["acme-test", "12.1.0", "--until", "2027-04-01"],
    "defer list": [],
    "defer withdraw": ["acme-prod", "12.1.0"],
    "track list": [],
    "track switch": ["acme-prod", "steady", "--reason", "x"],
    "consent add": ["acme-own", "--by", "eva", "--until", "2027-03-01"],
    "consent end": ["acme-own", "--reason", "x"],
    "consent list": [],
    "window announce": [
        "critical",
        "--start",
        START,
        "--duration",
        "2h",
        "--reason",
        "x",
        "--instances",
        "acme-prod",
        "--tentative",
    ],
    "window cancel": ["critical/net", "--reason", "x"],
    "window choose": ["critical/disk", "1", "--customer", "acme"],
    "window confirm": ["critical/disk"],
    "window list": [],
    "window move": ["critical/net", "--start", LATER],
    "window show": ["critical/disk"],
    "outage close": ["acme-prod"],
    "outage list": [],
    "outage open": ["acme-test"],
    "notice bounces": [],
    "notice list": [],
    "notice preview": ["reminder", "--output", "preview"],
    "notice provisioned": ["acme-prod", "--link", "https://access.example/acme"],
    "notice resend": ["notice/announcement/critical:net/0/acme/eva"],
    "notice show": ["notice/announcement/critical:net/0/acme/eva"],
    "worker": [],
    "executors": [],
    "run approve": [RUN, "--reason", "x"],
    "run list": [],
    "run retry": [RUN, "--reason", "x"],
    "run show": [RUN],
    "run watch": [],
    "pause": ["--reason", "x", "--customer", "acme"],
    "pause list": [],
    "resume": ["halt"],
    "evidence export": ["acme-prod", "--month", "2026-12"],
    "evidence verify": [],
}
NOT_TRIED = {
    "demo": "starts a mail server; its only argument is a folder, as that of init",
    "init": "its only argument is a folder, which people may call what they like",
    "doctor": "takes nothing but --config",
}
WRITING = (
    *("freeze add", "window announce", "window move", "window cancel", "outage open", "outage close"),
    *("release add", "release pin", "release withdraw", "defer grant", "track switch", "consent add"),
    "pause",
)
LISTINGS = (
    *(["freeze", "list", "--all"], ["window", "list", "--all"], ["outage", "list", "--all"], ["notice", "list"]),
    *(["release", "list"], ["release", "pins"], ["defer", "list", "--all"], ["track", "list"]),
    *(["consent", "list", "--all"], ["pause", "list", "--all"]),
)
OWN = """
[[customer]]
key = "own"
name = "Own"
language = "en"
package = "premium"
contact = [{ key = "eva", name = "Eva", email = "eva@own.example", roles = ["system_responsible"] }]
instance = [{ key = "acme-own", host = "10.0.0.9", managed = false }]
"""
"""A system of a customer's own, that nothing touches without a consent."""
INSTEAD = {"--for": "--to", "--end": "--duration", "--file": "--heads"}
"""Options that take the place of another one."""


class Typed(NamedTuple):
    """A value in a place of a command that works with another one there."""

    command: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.command} {self.name} {self.value[:20]!r}"


def all_commands(command: click.Command = main, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        if command.invoke_without_command:
            yield " ".join(words), command
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from all_commands(found, (*words, name))
    else:
        yield " ".join(words), command


COMMANDS = dict(all_commands())


def values_for(parameter: click.Parameter) -> tuple[str, ...]:
    if isinstance(parameter.type, click.IntRange):
        return (*NUMBERS, ESCAPES)
    return (*KINDS.get(parameter.metavar or "", ()), ESCAPES, PATHS, LONG)


def cases() -> Iterator[Typed]:
    for name in WORKING:
        for parameter in COMMANDS[name].params:
            if getattr(parameter, "is_flag", False) or parameter.name == "config_file":
                continue
            for value in values_for(parameter):
                yield Typed(name, parameter.opts[-1], value)


def typed(case: Typed) -> list[str]:
    """The words of a command that works, with one of its values exchanged, or with another option."""
    words, parameters = list(WORKING[case.command]), COMMANDS[case.command].params
    if case.name.startswith("--"):
        other = INSTEAD.get(case.name)
        if other in words:
            del words[words.index(other) : words.index(other) + 2]
        if case.name in words:
            words[words.index(case.name) + 1] = case.value
        else:
            words += [case.name, case.value]
        return words
    arguments = [each.opts[-1] for each in parameters if isinstance(each, click.Argument)]
    at = arguments.index(case.name)
    return [*words[:at], case.value, *words[at + 1 :]]


@pytest.fixture(scope="module")
def made(tmp_path_factory, migrated_file) -> Path:
    """A home with a fleet, a window, an outage, a pin, a consent and some notices."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch, open_home(migrated_file, folder, patch):
        with (folder / "fleet.toml").open("a", encoding="utf-8") as file:
            file.write(OWN)
        for words in (
            ["fleet", "sync", "fleet.toml", "--yes"],
            ["release", "add", "12.0.9", "--class", "minor"],
            ["release", "withdraw", "12.0.9", "--reason", "loses files"],
            ["release", "pin", "acme-test", "12.1.0", "--reason", "a plug-in"],
            ["consent", "add", "acme-own", "--by", "eva", "--until", "2026-12-01"],
            ["window", "announce", *WORKING["window announce"], "--key", "disk", "--alternative", LATER],
            ["window", "announce", *WORKING["window announce"][:-1], "--key", "net"],
            ["outage", "open", "acme-prod"],
            ["pause", "--customer", "acme", "--reason", "a flood", "--key", "halt"],
        ):
            done = CliRunner().invoke(main, [*words, "--now", NOW])
            assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def home(made, tmp_path, monkeypatch) -> Path:
    for name in list(os.environ):
        if name.startswith("MAINTSCHED_"):
            monkeypatch.delenv(name)
    folder = Path(shutil.copytree(made, tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(made / "cache"))
    monkeypatch.chdir(folder)
    return folder


def run(words: list[str]) -> Result:
    """Run a command as at a terminal: nothing is taken out of what it prints."""
    return CliRunner().invoke(main, words, prog_name="maintsched", color=True)


def assert_calm(result: Result) -> None:
    """Say that a command ended in order, and that a terminal shows its words and does nothing else."""
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (0, 1, 2, 75)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", result.output)  # our own colours: the attack's escapes are others
    hidden = {each for each in shown if not each.isprintable()} - set(SPACES)
    assert not hidden, (hidden, result.output[-500:])
    assert "\nError: forged" not in result.output
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) <= 1


def test_each_command_is_attacked_or_it_is_said_why_not():
    assert {*WORKING, *NOT_TRIED} == set(COMMANDS)


@pytest.mark.parametrize("command", WORKING)
def test_a_command_that_is_attacked_works_without_the_attack(home, command):
    result = run([*command.split(), *WORKING[command], *now_of(command)])
    needs_more = {"notice resend": 1, "evidence verify": 1, "worker": 1}
    needs_more |= {"run approve": 1, "run retry": 1, "run show": 1}  # nothing is worked on in this home
    assert result.exit_code in (0, needs_more.get(command)), result.output
    assert_calm(result)


def now_of(command: str) -> list[str]:
    return ["--now", NOW] if any(each.name == "now" for each in COMMANDS[command].params) else []


@pytest.mark.parametrize("command", WORKING)
def test_whatever_is_typed_ends_in_clear_words_and_in_time(home, command):
    for case in cases():
        if case.command != command:
            continue
        now = [] if case.name == "--now" else now_of(command)
        began = time.process_time()
        result = run([*command.split(), *typed(case), *now])
        try:
            assert time.process_time() - began < SECONDS_MAX
            assert_calm(result)
            if case.value in (*DATES, *LENGTHS, *NUMBERS, *MONTHS):
                assert result.exit_code in (1, 2), result.output
                assert "expected" in result.output or "not in the range" in result.output or case.value == "-1"
        except AssertionError as error:
            error.add_note(str(case))
            raise
    for listing in LISTINGS if command in WRITING else ():
        assert_calm(run(listing))

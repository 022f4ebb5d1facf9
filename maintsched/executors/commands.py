"""Commands and settings as operators write them: words with `{places}`, read once, filled for a target.

A command is a list of words and never a line for a shell: a value that is filled in stays one word, whatever it holds.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from maintsched.errors import InvalidValue, UnknownName, printable
from maintsched.executors.port import Command, Link, Target
from maintsched.grammar import KEY, require_text

S = TypeVar("S")
Words = tuple[str, ...]

PLACE = re.compile(r"\{([a-z_]+)\}")
TARGET_PLACES = ("instance", "host")
"""Places that every command may have."""
SHOWN = 300
"""Characters of a program's last words that a message shows."""


def read_settings(kind: type[S], executor: str, settings: Mapping[str, Any]) -> S:
    """Return the settings of an executor as its value; `InvalidValue` names the executor and the setting."""
    subject = ("executor", executor)
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # every kind is a dataclass
    for name in settings:
        if name not in known:
            raise UnknownName("setting", found=name, known=known, field=name, subject=subject)
    try:
        return kind(**settings)
    except InvalidValue as error:
        raise InvalidValue(
            error.what, expected=error.expected, found=error.found, field=error.field, subject=subject
        ) from error


def require_words(name: str, words: Iterable[str], places: Collection[str]) -> None:
    """Refuse a command whose words are no texts of one line, or that has a place which nothing fills."""
    for word in words:
        require_text(name, word)
        for place in PLACE.findall(word):
            if place not in places:
                known = [f"{{{each}}}" for each in places]
                raise UnknownName(name, found=f"{{{place}}}", known=known, field=name)


def require_absolute(name: str, path: str) -> None:
    """Refuse a path that is not absolute, or that leads upwards."""
    require_text(name, path)
    if not path.startswith("/") or ".." in path.split("/"):
        raise InvalidValue(name, expected='an absolute path without ".."', found=path, field=name)


def require_pattern(name: str, text: str, *, groups: int) -> None:
    """Refuse what is no regular expression with so many groups."""
    try:
        found = re.compile(text).groups
    except re.error as error:
        raise InvalidValue(name, expected=f"a regular expression ({error})", found=text, field=name) from error
    if found != groups:
        expected = f"a regular expression with {groups} group{'' if groups == 1 else 's'}"
        raise InvalidValue(name, expected=expected, found=text, field=name)


def fill(words: Iterable[str], values: Mapping[str, str]) -> Words:
    """Return a command with its places filled; a place without a value stays as it is written."""
    return tuple(fill_word(word, values) for word in words)


def fill_word(word: str, values: Mapping[str, str]) -> str:
    """Return one word with its places filled."""
    return PLACE.sub(lambda found: values.get(found[1], found[0]), word)


def target_values(target: Target) -> dict[str, str]:
    """Return what fills `TARGET_PLACES`."""
    return {"instance": target.instance, "host": target.host}


def step_name(kind: str, number: int = 0, about: str = "") -> str:
    """Return a name for a step, by the grammar of keys: what it does, its number, what it is about."""
    parts = [kind, *([str(number)] if number else []), re.sub(r"[^A-Za-z0-9._-]+", "-", about)]
    name = "-".join(part for part in parts if part)[:63]
    return name if KEY.fullmatch(name) else kind


def last_words(text: str) -> str:
    """Return the last line that says anything, as it may stand in a message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1][-SHOWN:]) if lines else "it said nothing"


def command_of(
    words: Words,
    environment: Mapping[str, str],
    sudo: Words = (),
    *,
    folder: str | None = None,
) -> Command:
    """Return a command; behind `sudo`, which keeps neither environment nor folder, both go with it as words."""
    if not sudo:
        return Command(argv=words, environment=environment, folder=folder)
    where = ("-C", folder) if folder else ()
    variables = (f"{name}={value}" for name, value in environment.items())
    return Command(argv=(*sudo, "env", *where, *variables, *words))


@dataclass(slots=True, kw_only=True)
class Look:
    """A look at a host: runs commands that only look, and collects what is wrong."""

    link: Link
    seconds: int
    """How long each command may take."""
    environment: Mapping[str, str] = field(default_factory=dict)
    sudo: Words = ()
    """What makes a command the superuser's; empty: it runs as who we are."""
    problems: list[str] = field(default_factory=list)

    async def read(self, what: str, words: Words) -> str | None:
        """Return what a command prints; None where it fails, which becomes a problem that begins with `what`."""
        command = command_of(words, self.environment, self.sudo)
        output = await self.link.run(command, timeout_seconds=self.seconds)
        if output.ok:
            return output.stdout
        said = last_words(output.stderr or output.stdout)
        self.problems.append(f"{what}: {' '.join(words[:3])} ended with {output.exit_code}: {said}")
        return None

    async def succeeds(self, words: Words) -> bool:
        """Say whether a command ends with 0."""
        command = command_of(words, self.environment, self.sudo)
        return (await self.link.run(command, timeout_seconds=self.seconds)).ok

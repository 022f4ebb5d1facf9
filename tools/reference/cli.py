"""docs/reference/cli.md: every command, argument and option."""

import inspect
from typing import Any, cast

import click

from maintsched.cli import COMMANDS, main
from tools.reference import NOTE, tidy

INTRO = """\
# Command line

```text
maintsched [--version] [--help] COMMAND [OPTIONS] [ARGUMENTS]
```

- Data go to stdout, everything else to stderr.
- Exit code 0: done. 1: refused or failed, with one line that says what, where and the way out. 2: wrong usage.
- `-h` and `--help` work everywhere. `--version` prints the version.
- Every option can be set by the environment variable that stands beside it; the option on the command line wins.
  Options that may be repeated take several values from their variable: files separated by `:`, as in `PATH`, names of
  instances by blanks.
- Colours appear only on a terminal, and never when `NO_COLOR` is set. Tables are 100 columns wide at most.
- Public holidays are kept in the user's cache folder, `$XDG_CACHE_HOME/maintsched` or `~/.cache/maintsched`. The
  folder may be deleted at any time. A user without a home does without it.

"""

DATES = """\
## Dates on the command line

`--from`, `--to` and `--now` take a date in any of these forms. A date without a time begins at 00:00 in the contract's
zone.

- ISO date, instant or month: `2026-12-01`, `2026-12-01T17:00+01:00`, `2026-12`
- written date, the month in English or German, whole or short, in any case: `'1 Dec 2026'`, `'Dec 1, 2026'`,
  `'1 December 2026'`, `'1. Dezember 2026'`, `1.12.2026`
- distance from now: `now`, `today`, `tomorrow`, `yesterday`, `'in 3 days'`, `'in 2 weeks'`, `'in 1 month'`; in German
  `heute`, `morgen`, `gestern`, `'in 3 Tagen'`, `'in 2 Wochen'`, `'in 1 Monat'`
- ISO duration: `P3M`, `P2W`, `-P7D`; for `--to` from the day of `--from`, else from now. With a time part, `PT72H` or
  `P1DT12H`, it leads to an instant: first the days on the calendar, at the same time of day, then the hours elapsed
- ISO interval, for `--from` only: `2026-12-01/2027-03-01`, `2026-12-01/P3M`, `P3M/2027-03-01`

A time of day without an offset, such as `2026-12-01T17:00`, is refused: it names no instant.
"""

HIDDEN = """\
`--help` does not list `--now`. It takes another instant for the present one: for tests, for the examples of these
pages, and to ask what a plan would have said, or will say, at another time.
"""


def page() -> str:
    """Return the page."""
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in COMMANDS}
    parts = [_command(name, command) for name, command in found.items() if command is not None]
    return tidy("\n".join([NOTE, INTRO + _contents(), *parts, HIDDEN, DATES]))


def _contents() -> str:
    lines = [f"- [`maintsched {name}`](#maintsched-{name}): {text}" for name, text in COMMANDS.items()]
    return "\n".join(lines) + "\n"


def _command(name: str, command: click.Command) -> str:
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    options = [each for each in command.params if isinstance(each, click.Option)]
    usage = " ".join(
        ["maintsched", name, "[OPTIONS]", *(each.make_metavar(click.Context(command)) for each in arguments)]
    )
    rows = [_row(each) for each in options]
    head = ["| option | variable | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## `maintsched {name}`\n", f"```text\n{usage}\n```\n", _help(command), *head, *rows, ""])


def _help(command: click.Command) -> str:
    """Return the help text; its last part, after a backspace character, holds the examples."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    said = []
    for paragraph in paragraphs:
        if paragraph.startswith("\b"):
            title, *examples = paragraph.removeprefix("\b").strip("\n").split("\n")
            said.append(f"{title}\n\n```sh\n" + "\n".join(line.strip() for line in examples) + "\n```\n")
        else:
            said.append(paragraph.replace("<", "&lt;") + "\n")
    return "\n".join(said)


def _row(option: click.Option) -> str:
    value = "" if option.is_flag else f" {_metavar(option)}"
    names = ", ".join(f"`{name}{value}`" for name in option.opts)
    variable = option.envvar if isinstance(option.envvar, str) else ""
    meaning, said = _meaning(option)
    default = option.default if isinstance(option.default, str) and not option.is_flag else said
    return f"| {names} | `{variable}` | {f'`{default}`' if default else ''} | {meaning} |"


def _metavar(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "\\|".join(str(choice) for choice in option.type.choices)
    return (option.metavar or str(option.type.name).upper()).replace("|", "\\|")


def _meaning(option: click.Option) -> tuple[str, str]:
    """Return the help of an option and the default that stands in brackets at its end."""
    text, _, said = (option.help or "").replace("|", "\\|").partition("[")
    text, kind = text.strip(), cast("Any", option.type)
    if isinstance(kind, click.IntRange):
        text += f" {kind.min} to {kind.max}."
    return text, said.rstrip("]")

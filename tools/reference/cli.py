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
- Exit code 0: done. 1: refused or failed, with one line that says what, where and the way out. 2: wrong usage. 75, of
  [`maintsched worker`](#maintsched-worker) only: something is left to be [tried again](../how-to/run-the-worker.md).
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

`--from`, `--to`, `--until`, `--at`, `--available`, `--start`, `--end`, `--alternative`, `--ordered` and `--now` take a
date in any of these forms. A date without a time begins at 00:00 in the contract's zone.

- ISO date, instant or month: `2026-12-01`, `2026-12-01T17:00+01:00`, `2026-12`
- written date, the month in English or German, whole or short, in any case: `'1 Dec 2026'`, `'Dec 1, 2026'`,
  `'1 December 2026'`, `'1. Dezember 2026'`, `1.12.2026`
- any of these dates with a time of day behind it: `'2026-12-08 19:00'`, `'tomorrow 9:30'`, `'8.12.2026 19:00 Uhr'`. It
  is that of the contract's zone; where clocks go back it is the earlier of the two
- distance from now: `now`, `'in 2 hours'`, `'in 90 min'`, `today`, `tomorrow`, `yesterday`, `'in 3 days'`,
  `'in 2 weeks'`, `'in 1 month'`; in German `heute`, `morgen`, `gestern`, `'in 3 Tagen'`, `'in 2 Wochen'`, and so on
- ISO duration: `P3M`, `P2W`, `-P7D`; for `--to` and `--end` from the day of `--from` or `--start`, else from now. With
  a time part, `PT72H` or `P1DT12H`, it leads to an instant: first the days on the calendar, at the same time of day,
  then the hours elapsed
- ISO interval, for `--from` only: `2026-12-01/2027-03-01`, `2026-12-01/P3M`, `P3M/2027-03-01`

An instant in ISO form needs its offset: `2026-12-01T17:00` is refused.

`--duration`, `--for`, `--estimate` and `--every` take a length: `2h`, `'90 min'`, `'1 h 30 min'`, `PT2H`.
"""

HIDDEN = """\
`--help` does not list `--now`. It takes another instant for the present one: for tests, for the examples of these
pages, and to ask what a command would have said, or will say, at another time. What is done with it is done: a notice
that is stored with `--now` of tomorrow waits until then.
"""


def page() -> str:
    """Return the page."""
    parts = [_section(name, command) for name, command in all_commands().items()]
    return tidy("\n".join([NOTE, INTRO + _contents(), *parts, HIDDEN, DATES]))


def all_commands() -> dict[str, click.Command]:
    """Return all commands in the order of the flow; those of a group, such as "window move", follow it."""
    found: dict[str, click.Command] = {}
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {each.name}": each for each in command.commands.values()}
    return found


def _contents() -> str:
    lines = []
    for name, command in all_commands().items():
        link = f"[`maintsched {name}`](#maintsched-{name.replace(' ', '-')})"
        first, _, _ = " ".join((command.help or "").split("\n\n")[0].split()).partition(". ")
        lines.append(f"  - {link}: {first.rstrip('.')}." if " " in name else f"- {link}: {COMMANDS[name]}")
    return "\n".join(lines) + "\n"


def _section(name: str, command: click.Command) -> str:
    """Return the section of a command; of a group, the options that it has where no command of it is named."""
    context = click.Context(command)
    arguments = [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]
    usage = " ".join(["maintsched", name, "[OPTIONS]", *arguments])
    options = [each for each in command.params if isinstance(each, click.Option)]
    table = ["| option | variable | default | meaning |", "|---|---|---|---|", *(_row(each) for each in options)]
    if isinstance(command, click.Group):
        alone = f"maintsched {name} [OPTIONS]\n" if command.invoke_without_command else ""
        usage = f"{alone}maintsched {name} COMMAND [OPTIONS] [ARGUMENTS]"
        table = table if alone else []
    mark = "###" if " " in name else "##"
    return "\n".join([f"{mark} `maintsched {name}`\n", f"```text\n{usage}\n```\n", _help(command), *table, ""])


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

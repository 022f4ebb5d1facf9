"""What reaches many asks first: how many, the first names, and a yes."""

import sys
from collections.abc import Collection

import click

from maintsched.errors import printable

NAMED = 5
"""How many names are shown."""


def names_of(names: Collection[str]) -> str:
    """Return the first names, and how many more there are."""
    first = ", ".join(printable(name) for name in list(names)[:NAMED])
    more = len(names) - NAMED
    return f"{first} and {more:,} more" if more > 0 else first


def require_yes(what: str, *, yes: bool) -> None:
    """Go on if --yes was given or somebody at the terminal says so; else refuse, before anything was done."""
    if yes:
        return
    if sys.stdin is not None and sys.stdin.isatty():
        click.echo(what, err=True)
        if click.confirm("Go on?", err=True):
            return
        raise click.ClickException("nothing was done")
    raise click.ClickException(f"{what}; nothing was done: look at it and give --yes")

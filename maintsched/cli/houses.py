"""What commands share that work on the database: opening it, the present instant, asking before many are told."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from maintsched.cli.configured import open_configured
from maintsched.cli.options import present
from maintsched.worker.clock import read_clock

if TYPE_CHECKING:
    from maintsched.worker.house import House
    from maintsched.worker.telling import Done

MANY = 20
"""Notices that go out without asking."""
FIRST_NAMES = 5


@contextmanager
def opened(config_file: str | None, now: str | None) -> Iterator["House"]:
    """Give the house that the configuration describes, with the clock or the instant of --now."""
    from maintsched.worker.house import open_house

    config, contract = open_configured(config_file)
    at = None if now is None else present(contract, now)
    with open_house(config, contract, read_clock if at is None else lambda: at) as house:
        yield house


def asked(tried: "Done", *, yes: bool, dry_run: bool, urgent: bool = False) -> bool:
    """Say whether to go on: many notices want a yes, from --yes or from whoever sits at the terminal."""
    count = len(tried.notices)
    if yes or dry_run or urgent or count <= MANY:
        return True
    names = ", ".join("/".join(key.split("/")[-2:]) for key in tried.notices[:FIRST_NAMES])
    question = f"{count} people will be told: {names} and {count - FIRST_NAMES} more"
    if not sys.stdin.isatty():
        raise click.ClickException(f"{question}; say so with --yes")
    return click.confirm(f"{question}. Go on?", err=True)

"""What commands share that work on the database: opening it, the present instant, asking before many are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from maintsched.cli.bulk import names_of, require_yes
from maintsched.cli.configured import open_configured
from maintsched.cli.options import present
from maintsched.facts import WindowKind
from maintsched.worker.clock import read_clock

if TYPE_CHECKING:
    from maintsched.worker.house import House
    from maintsched.worker.telling import Done

MANY = 20
"""Notices that go out without asking."""


@contextmanager
def opened(config_file: str | None, now: str | None) -> Iterator["House"]:
    """Give the house that the configuration describes, with the clock or the instant of --now."""
    from maintsched.worker.house import open_house

    config, contract = open_configured(config_file)
    at = None if now is None else present(contract, now)
    with open_house(config, contract, read_clock if at is None else lambda: at) as house:
        yield house


def require_consent(tried: "Done", *, yes: bool, dry_run: bool) -> None:
    """Let many notices wait for a yes, from --yes or from whoever sits at the terminal; an emergency never waits."""
    count = len(tried.notices)
    if dry_run or count <= MANY or tried.announcement.window.kind == WindowKind.EMERGENCY:
        return
    people = sorted({"/".join(key.split("/")[-2:]) for key in tried.notices})
    require_yes(f"{count} notices would go out, to {names_of(people)}", yes=yes)

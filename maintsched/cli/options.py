"""Options that several commands share, and what they stand for."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from maintsched.contract import Contract
from maintsched.errors import show
from maintsched.facts import Facts
from maintsched.fleet import Fleet
from maintsched.intake.contracts import DEFAULT, load_contract
from maintsched.intake.holidaycache import HolidayCache
from maintsched.worker.clock import read_clock

DIGITS_MAX = 9
F = TypeVar("F", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Return an option that can also be set by MAINTSCHED_<OPTION>."""
    long = next(name for name in names if name.startswith("--"))
    variable = "MAINTSCHED_" + long.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, **settings)


class FileName(click.types.StringParamType):
    """The name of a file. A variable holds several as PATH does, so that a name may hold a blank."""

    envvar_list_splitter = os.pathsep

    def split_envvar_value(self, rv: str) -> list[str]:
        """Return the names in a variable; nothing stands between two separators."""
        return [name for name in super().split_envvar_value(rv) if name]


class Number(click.IntRange):
    """A whole number within bounds, written in ordinary digits: Python also reads "1_0" and digits of any script."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is not written in digits from 0 to 9."""
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX):
            self.fail(f"expected a whole number from {self.min} to {self.max}, got {show(value)}", param, ctx)
        return super().convert(value, param, ctx)


def now_option(function: F) -> F:
    """Add the hidden --now, as the argument `now`."""
    decorate = option("--now", metavar="INSTANT", hidden=True, help="Take this instant for the present one.")
    return decorate(function)


def contract_options(function: F) -> F:
    """Add --contract, --fleet, --config and --now."""
    for decorate in (
        now_option,
        option(
            "--config",
            "config_file",
            metavar="FILE",
            type=FileName(),
            help="The configuration; left out: ./maintsched.toml, the user's, the system's.",
        ),
        option(
            "--fleet",
            "fleet_files",
            metavar="FILE",
            type=FileName(),
            multiple=True,
            help=f"Fleet or facts, a TOML, JSON or CSV file; may be repeated (in the variable: a{os.pathsep}b).",
        ),
        option(
            "--contract",
            "contract_name",
            metavar="NAME|FILE",
            help=f"A built-in contract, or a TOML file.  [that of the configuration, else {DEFAULT}]",
        ),
    ):
        function = decorate(function)
    return function


def open_contract(name: str) -> Contract:
    """Return the contract that --contract names, with its holidays kept on disk where there is a place for them."""
    folder = cache_folder()
    return load_contract(name, holiday_source=HolidayCache(folder) if folder else None)


def cache_folder() -> Path | None:
    """Return the user's cache folder for maintsched, or None for a user who has no home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "maintsched"
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return None


class Promised(NamedTuple):
    """What a command looks at: the contract, the fleet, what was declared, and the present instant."""

    contract: Contract
    fleet: Fleet
    facts: Facts
    now: datetime
    known: bool
    """Whether there is a fleet, from files or from the database."""


def open_promised(
    contract_name: str | None, fleet_files: tuple[str, ...], config_file: str | None, now: str | None
) -> Promised:
    """Return what --contract and --fleet name; what they leave open, the configuration says, if there is one.

    With a configuration, the fleet is that of its database: fleet files enter there, by `fleet sync`.
    """
    from maintsched.intake.config import find_config

    if fleet_files or (config_file is None and find_config() is None):
        contract = open_contract(contract_name or DEFAULT)
        at = present(contract, now)
        if not fleet_files:
            return Promised(contract, Fleet(), Facts(), at, known=False)
        from maintsched.intake.declarations import load_fleet

        return Promised(contract, *load_fleet(contract, *fleet_files), at, known=True)
    return _configured(contract_name, config_file, now)


def _configured(contract_name: str | None, config_file: str | None, now: str | None) -> Promised:
    from maintsched.intake.config import load_config
    from maintsched.store import open_store
    from maintsched.worker.house import read_scene

    config = load_config(config_file)
    contract = open_contract(contract_name or config.contract)
    at = present(contract, now)
    with open_store(config.database) as store, store.reading() as connection:
        scene = read_scene(connection, contract, at)
    return Promised(contract, scene.fleet, scene.facts, at, known=True)


def present(contract: Contract, text: str | None) -> datetime:
    """Return the instant that --now names, else the clock's."""
    if text is None:
        return read_clock()
    from maintsched.cli.spoken import read_spoken

    return read_spoken(text, now=read_clock(), zone=contract.zone, option="--now")

"""What commands that need the configuration share."""

from collections.abc import Callable
from typing import Any, TypeVar

from maintsched.cli.options import FileName, open_contract, option
from maintsched.contract import Contract
from maintsched.intake.config import Config, load_config

F = TypeVar("F", bound=Callable[..., Any])


def config_option(function: F) -> F:
    """Add --config, as the argument `config_file`."""
    decorate = option(
        "--config",
        "config_file",
        metavar="FILE",
        type=FileName(),
        help="The configuration; left out: ./maintsched.toml, the user's, the system's.",
    )
    return decorate(function)


def open_config(path: str | None) -> Config:
    """Return the configuration that --config names, else the first at one of its places."""
    return load_config(path)


def open_configured(path: str | None) -> tuple[Config, Contract]:
    """Return the configuration and the contract that it names."""
    config = open_config(path)
    return config, open_contract(config.contract)

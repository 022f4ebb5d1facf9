"""`maintsched executors`: what there is to update instances with, and what the configuration uses of it."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from maintsched.cli.configured import config_option
from maintsched.cli.options import option
from maintsched.errors import ExecutionError, InvalidValue, printable
from maintsched.executors.registry import Installed, installed, problems

if TYPE_CHECKING:
    from maintsched.intake.config import Config


@click.command()
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def executors(as_json: bool, config_file: str | None) -> None:
    """List the executors and transports that are installed, and what each table of the configuration uses.

    An executor knows one kind of update, a transport reaches hosts. More of both come with packages. Without a
    configuration, only what is installed is listed. What is broken is said on stderr.

    \b
    Examples:
      maintsched executors
      maintsched executors --json
    """
    found, broken = installed(), problems()
    tables = list(_tables(config_file))
    if as_json:
        listed = [{name: str(getattr(each, name)) for name in ("kind", "name", "source", "version")} for each in found]
        document = {"installed": listed, "tables": tables, "problems": list(broken)}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    for line in _lines(found):
        click.echo(line)
    for table in tables:
        click.echo(_spoken(table))
    for problem in (*broken, *(f"executor {each['name']}: {each['problem']}" for each in tables if each["problem"])):
        click.echo(f"Warning: {printable(problem)}", err=True)


def _lines(found: list[Installed]) -> Iterator[str]:
    width = max(len(each.name) for each in found)
    for each in found:
        yield printable(f"{each.kind:<10} {each.name:<{width}}  {each.source} {each.version}")


def _tables(config_file: str | None) -> Iterator[dict[str, Any]]:
    """Yield what each table `[executor.NAME]` of the configuration uses, where there is a configuration."""
    from maintsched.intake.config import find_config, load_config

    if config_file is None and find_config() is None:
        return
    config = load_config(config_file)
    for name in sorted(config.executor):
        yield _table(config, name)


def _table(config: "Config", name: str) -> dict[str, Any]:
    from maintsched.worker.crews import crew_of

    table = config.executor[name]
    parts, problem = dict(table.parts), None
    try:
        parts = dict(crew_of(config, name).components)
    except (InvalidValue, ExecutionError) as error:
        problem = str(error)
    return {"name": name, "transport": table.transport, "parts": parts, "problem": problem}


def _spoken(table: dict[str, Any]) -> str:
    parts = ", ".join(f"{component} by {executor}" for component, executor in sorted(table["parts"].items()))
    said = f"table {table['name']}: hosts by {table['transport']}" + (f"; {parts}" if parts else "")
    return said + (" (cannot be used)" if table["problem"] else "")

"""`maintsched pause`: work is halted at once, until somebody lets it go on."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from maintsched.cli.bulk import names_of
from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present
from maintsched.errors import printable

if TYPE_CHECKING:
    from maintsched.worker.pauses import PauseStanding


@click.group(invoke_without_command=True)
@option("--customer", "customers", metavar="K", multiple=True, help="Only of this customer; may be repeated.")
@option("--instance", "instances", metavar="K", multiple=True, help="Only of this instance; may be repeated.")
@option("--reason", metavar="TEXT", help="Why; wanted, and people read it.")
@option("--key", metavar="K", help="What the pause is called.  [its first day]")
@config_option
@now_option
@click.pass_context
def pause(
    ctx: click.Context,
    customers: tuple[str, ...],
    instances: tuple[str, ...],
    reason: str | None,
    key: str | None,
    config_file: str | None,
    now: str | None,
) -> None:
    """Halt work from this moment on: no run begins, and none that is under way begins another change.

    Without --customer and --instance it holds for the whole fleet. What a host is at runs out, and a service that was
    stopped is brought back. Windows, notices and mails go on. It holds until `maintsched resume`.

    \b
    Examples:
      maintsched pause --reason "the storage is failing"
      maintsched pause --customer acme --reason "they are moving house"
      maintsched pause list
    """
    if ctx.invoked_subcommand is not None:
        return
    if reason is None:
        raise click.UsageError("a pause needs a reason: give --reason, or say `pause list`")
    from maintsched.runs import Pause
    from maintsched.store import open_store
    from maintsched.worker.pauses import begin_pause

    config, contract = open_configured(config_file)
    at = present(contract, now)
    wanted = Pause(
        key=key or f"{at.astimezone(contract.zone):%Y-%m-%d}",
        since=at,
        reason=reason,
        customers=customers,
        instances=instances,
    )
    with open_store(config.database) as store:
        done = begin_pause(store, wanted, now=at, numbered=key is None)
    click.echo("\n".join(lines(done, contract.zone)))


@pause.command("list")
@option("--all", "everything", is_flag=True, help="Those that have ended as well.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def list_them(everything: bool, as_json: bool, config_file: str | None) -> None:
    """List the pauses that hold.

    \b
    Example:
      maintsched pause list --all
    """
    from maintsched.store import open_store
    from maintsched.worker.pauses import list_pauses

    config, contract = open_configured(config_file)
    with open_store(config.database) as store:
        found = list_pauses(store, everything=everything)
    if as_json:
        click.echo(json.dumps([_json(each) for each in found], ensure_ascii=False, indent=2))
        return
    for each in found:
        click.echo("\n".join(lines(each, contract.zone)))
    if not found:
        click.echo("no pauses" if everything else "nothing is paused")


# --- how they are printed ---------------------------------------------------------------------------------------------


def lines(standing: "PauseStanding", zone: ZoneInfo) -> Iterator[str]:
    """Yield how a pause stands: what it covers, and what is still under way."""
    held = standing.pause
    ended = (
        f", ended at {_clock(held.resumed_at, zone)}" if held.resumed_at else f", until `maintsched resume {held.key}`"
    )
    yield f"pause {held.key}, since {_clock(held.since, zone)}{ended}"
    scope = [*(f"customer {each}" for each in held.customers), *held.instances] or ["the whole fleet"]
    count = len(standing.instances)
    yield f"  {', '.join(scope)}: {count:,} instance{'s' if count != 1 else ''}; {printable(held.reason)}"
    if standing.under_way and held.resumed_at is None:
        yield f"  under way, and begins no further change: {names_of(standing.under_way)}"


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _json(standing: "PauseStanding") -> dict[str, Any]:
    held = standing.pause
    return {
        "key": held.key,
        "since": held.since.isoformat(),
        "resumed_at": held.resumed_at.isoformat() if held.resumed_at else None,
        "reason": held.reason,
        "customers": list(held.customers),
        "instances": list(held.instances),
        "covers": len(standing.instances),
        "under_way": list(standing.under_way),
    }

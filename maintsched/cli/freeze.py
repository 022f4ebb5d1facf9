"""`maintsched freeze`: times in which changes of some classes stay out."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from maintsched.cli.bulk import names_of, require_yes
from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present
from maintsched.errors import InvalidValue, printable, show
from maintsched.facts import ChangeClass, Freeze
from maintsched.localtime import Elapsed, Period, shift

if TYPE_CHECKING:
    from maintsched.contract import Contract
    from maintsched.worker.freezes import FreezeStanding


@click.group()
def freeze() -> None:
    """Keep changes of some classes out for a time: of the whole fleet, of customers or of instances.

    \b
    Examples:
      maintsched freeze add --from 2026-12-18 --to 2027-01-07 --customer acme --reason "annual accounts"
      maintsched freeze list
    """


@freeze.command()
@option(
    "--from", "since", metavar="D", default="now", show_default=True, help="First instant: '18.12.2026', 'in 3 days'."
)
@option("--to", "until", metavar="D", help="End, which is not held any more.")
@option("--for", "length", metavar="LENGTH", help="Length instead of --to: '4 h', '14 days', P14D.")
@option(
    "--class",
    "classes",
    type=click.Choice([str(each) for each in ChangeClass]),
    multiple=True,
    default=("minor", "major"),
    show_default=True,
    help="Class of changes that stays out; may be repeated.",
)
@option("--customer", "customers", metavar="K", multiple=True, help="Only of this customer; may be repeated.")
@option("--instance", "instances", metavar="K", multiple=True, help="Only of this instance; may be repeated.")
@option("--reason", required=True, metavar="TEXT", help="Why; people read it.")
@option("--key", metavar="K", help="What the freeze is called.  [its first day]")
@option("--yes", is_flag=True, help="Do not ask, also where the whole fleet is concerned.")
@config_option
@now_option
def add(
    since: str,
    until: str | None,
    length: str | None,
    classes: tuple[str, ...],
    customers: tuple[str, ...],
    instances: tuple[str, ...],
    reason: str,
    key: str | None,
    yes: bool,
    config_file: str | None,
    now: str | None,
) -> None:
    """Enter a freeze; the windows that it lies over are named. They take place, with less in them.

    Without --customer and --instance it holds for the whole fleet, and --yes is wanted. It ends by itself.

    \b
    Examples:
      maintsched freeze add --from 2026-12-18 --to 2027-01-07 --customer acme --reason "annual accounts"
      maintsched freeze add --for "3 days" --class security --class minor --instance acme-prod --reason "trade fair"
    """
    from maintsched.cli.spoken import read_spoken
    from maintsched.store import open_store
    from maintsched.worker.freezes import add_freeze
    from maintsched.worker.standing import list_customers

    config, contract = open_configured(config_file)
    at = present(contract, now)
    start = read_spoken(since, now=at, zone=contract.zone, option="--from").astimezone(contract.zone)
    wanted = Freeze(
        key=key or f"{start:%Y-%m-%d}",
        start=start,
        end=_end(contract, start, until, length, at),
        reason=reason,
        customers=customers,
        instances=instances,
        classes=tuple(ChangeClass(each) for each in classes),
    )
    with open_store(config.database) as store:
        if not customers and not instances:
            keys = list(list_customers(store).owners)
            require_yes(f"a freeze of the whole fleet, {len(keys):,} instances: {names_of(keys)}", yes=yes)
        done = add_freeze(store, contract, wanted, now=at, numbered=key is None)
    click.echo("\n".join(_lines(done, contract)))
    for conflict in done.windows:
        click.echo(f"  over {conflict.subject}: {printable(conflict.message)}")
    if not done.windows:
        click.echo("  over no window within a year of its start")


def _end(contract: "Contract", start: datetime, until: str | None, length: str | None, now: datetime) -> datetime:
    from maintsched.cli.spoken import read_spoken

    if (until is None) == (length is None):
        raise click.UsageError("a freeze needs an end: give either --to or --for")
    if until is not None:
        return read_spoken(until, now=now, zone=contract.zone, option="--to").astimezone(contract.zone)
    for parsed in (Elapsed, Period):
        try:
            found = parsed.parse(length or "")
        except InvalidValue:
            continue
        if isinstance(found, Elapsed):
            return shift(start, found, contract.zone)
        return found.after_instant(start, contract.zone, contract.clock_change).at
    expected = "a length such as '4 h', '14 days' or P14D"
    raise click.BadParameter(f"expected {expected}, got {show(length)}", param_hint="--for")


@freeze.command("list")
@option("--all", "everything", is_flag=True, help="Those that have ended as well.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def list_them(everything: bool, as_json: bool, config_file: str | None, now: str | None) -> None:
    """List the freezes that are in force or ahead.

    \b
    Example:
      maintsched freeze list --all
    """
    from maintsched.store import open_store
    from maintsched.worker.freezes import list_freezes

    config, contract = open_configured(config_file)
    with open_store(config.database) as store:
        found = list_freezes(store, now=present(contract, now), everything=everything)
    if as_json:
        click.echo(json.dumps([_json(each) for each in found], ensure_ascii=False, indent=2))
        return
    for each in found:
        click.echo("\n".join(_lines(each, contract)))
    if not found:
        click.echo("no freezes" if everything else "no freeze is in force or ahead")


@freeze.command()
@click.argument("key")
@option("--reason", required=True, metavar="TEXT", help="Why it ends before its time.")
@config_option
@now_option
def end(key: str, reason: str, config_file: str | None, now: str | None) -> None:
    """End a freeze before its time, or call it off before it begins.

    \b
    Example:
      maintsched freeze end 2026-12-18 --reason "the accounts are done"
    """
    from maintsched.store import open_store
    from maintsched.worker.freezes import finish_freeze

    config, contract = open_configured(config_file)
    with open_store(config.database) as store:
        done = finish_freeze(store, key, reason=reason, now=present(contract, now))
    click.echo("\n".join(_lines(done, contract)))


# --- how they are printed ---------------------------------------------------------------------------------------------


def _lines(standing: "FreezeStanding", contract: "Contract") -> Iterator[str]:
    held, ended_at = standing.kept.freeze, standing.kept.ended_at
    start, end = (f"{each.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}" for each in (held.start, held.end))
    state = str(standing.state).replace("_", " ")
    when = f" at {ended_at.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}" if ended_at else ""
    yield f"freeze {held.key}, {state}{when}: {start} to {end}, {', '.join(held.classes)}"
    scope = [*(f"customer {each}" for each in held.customers), *held.instances] or ["the whole fleet"]
    count = len(standing.instances)
    yield f"  {', '.join(scope)}: {count:,} instance{'s' if count != 1 else ''}; {printable(held.reason)}"


def _json(standing: "FreezeStanding") -> dict[str, Any]:
    held, ended_at = standing.kept.freeze, standing.kept.ended_at
    return {
        "key": held.key,
        "state": str(standing.state),
        "start": held.start.isoformat(),
        "end": held.end.isoformat(),
        "ended_at": ended_at.isoformat() if ended_at else None,
        "reason": held.reason,
        "classes": [str(each) for each in held.classes],
        "customers": list(held.customers),
        "instances": list(held.instances),
        "covers": len(standing.instances),
    }

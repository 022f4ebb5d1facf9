"""`maintsched defer`: larger updates that instances get later, counted and dated (clause 2.4.4)."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present
from maintsched.errors import printable
from maintsched.localtime import utc
from maintsched.version import Version

if TYPE_CHECKING:
    from maintsched.contract import Contract
    from maintsched.worker.deferrals import DeferralStanding

PLAIN = "grant"
"""The command that is meant where none is named."""


class Deferring(click.Group):
    """A group whose first command may be left out: `defer acme-prod 12.1.0` grants."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the command in front where something else stands there."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [PLAIN, *args]
        return super().parse_args(ctx, args)


@click.group(cls=Deferring)
def defer() -> None:
    """Put larger updates off for instances whose customers want them later: defer INSTANCE... RELEASE --until D.

    \b
    Examples:
      maintsched defer acme-prod 12.1.0 --until 2027-04-01
      maintsched defer extend acme-prod 12.1.0 --until 2027-05-01
      maintsched defer list
    """


@defer.command(PLAIN)
@click.argument("instances", metavar="INSTANCE...", nargs=-1, required=True)
@click.argument("release")
@option("--until", required=True, metavar="D", help="End, which is not held any more: 2027-04-01, 'in 3 months'.")
@option("--by", metavar="CONTACT", help="The contact of the customer who asked; evidence names it.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def grant(
    instances: tuple[str, ...],
    release: str,
    until: str,
    by: str | None,
    as_json: bool,
    config_file: str | None,
    now: str | None,
) -> None:
    """Put a major release off for some instances, all or none. The name of this command may be left out.

    The answer says until when, when it has to end at the latest, which window takes the release then, and when the
    customer is reminded. Until then security releases go in, and never one that holds the deferred release. The limit
    counts from the window that the release would have gone in, also where it is deferred a second time.

    \b
    Examples:
      maintsched defer grant acme-prod acme-test 12.1.0 --until "in 3 months"
      maintsched defer acme-prod 12.1.0 --until 2027-04-01 --by eva
    """
    from maintsched.store import open_store
    from maintsched.worker.deferrals import grant as granted

    config, contract = open_configured(config_file)
    at = present(contract, now)
    end = _end(contract, until, at)
    with open_store(config.database) as store:
        done = granted(store, contract, instances, Version.parse(release), until=end, now=at, by=by)
    _answer(done, contract, "granted", as_json=as_json)


@defer.command()
@click.argument("instance")
@click.argument("release")
@option("--until", required=True, metavar="D", help="The new end, later or earlier.")
@option("--by", metavar="CONTACT", help="The contact of the customer who asked; evidence names it.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def extend(
    instance: str, release: str, until: str, by: str | None, as_json: bool, config_file: str | None, now: str | None
) -> None:
    """Give a deferral another end, later or earlier; the latest possible end stays. The customer is told anew.

    \b
    Example:
      maintsched defer extend acme-prod 12.1.0 --until 2027-05-01
    """
    from maintsched.store import open_store
    from maintsched.worker.deferrals import extend as extended

    config, contract = open_configured(config_file)
    at = present(contract, now)
    end = _end(contract, until, at)
    with open_store(config.database) as store:
        done = extended(store, contract, instance, Version.parse(release), until=end, now=at, by=by)
    earlier = done.previous is not None and utc(done.running.end) < utc(done.previous)
    _answer([done], contract, "shortened" if earlier else "extended", as_json=as_json)


@defer.command()
@click.argument("instance")
@click.argument("release")
@option("--reason", default="", metavar="TEXT", help="Why it ends before its time.")
@option("--by", metavar="CONTACT", help="The contact of the customer who asked; evidence names it.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def withdraw(
    instance: str, release: str, reason: str, by: str | None, as_json: bool, config_file: str | None, now: str | None
) -> None:
    """End a deferral before its time: the release goes in with the next window, and the customer is told so.

    \b
    Example:
      maintsched defer withdraw acme-prod 12.1.0 --reason "the portal is adapted"
    """
    from maintsched.store import open_store
    from maintsched.worker.deferrals import withdraw as withdrawn

    config, contract = open_configured(config_file)
    at = present(contract, now)
    with open_store(config.database) as store:
        done = withdrawn(store, contract, instance, Version.parse(release), now=at, reason=reason, by=by)
    _answer([done], contract, "withdrawn", as_json=as_json)


@defer.command("list")
@option("--all", "everything", is_flag=True, help="Those that have ended as well.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def list_them(everything: bool, as_json: bool, config_file: str | None, now: str | None) -> None:
    """List the deferrals that run or are ahead.

    \b
    Example:
      maintsched defer list --all
    """
    from maintsched.store import open_store
    from maintsched.worker.deferrals import list_deferrals

    config, contract = open_configured(config_file)
    with open_store(config.database) as store:
        found = list_deferrals(store, contract, now=present(contract, now), everything=everything)
    if as_json:
        click.echo(json.dumps([_json(each) for each in found], ensure_ascii=False, indent=2))
        return
    for each in found:
        click.echo("\n".join(_dated(each, contract, str(each.state))))
    if not found:
        click.echo("no deferrals" if everything else "no deferral runs or is ahead")


def _end(contract: "Contract", text: str, now: datetime) -> datetime:
    from maintsched.cli.spoken import read_spoken

    return read_spoken(text, now=now, zone=contract.zone, option="--until").astimezone(contract.zone)


# --- how they are printed ---------------------------------------------------------------------------------------------


def _answer(done: Iterable["DeferralStanding"], contract: "Contract", word: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_json(each) for each in done], ensure_ascii=False, indent=2))
        return
    for each in done:
        click.echo("\n".join(_lines(each, contract, word)))


def _lines(standing: "DeferralStanding", contract: "Contract", word: str) -> Iterator[str]:
    yield from _dated(standing, contract, word)
    if standing.previous is not None:
        yield f"  it was to end {_said(contract, standing.previous)}"
    component = contract.deferral.component
    if word != "withdrawn":
        planned = ", ".join(f"{each.release} with {each.window}" for each in standing.meanwhile)
        yield f"  until then only security releases of {component} go in: {planned or 'none is planned'}"
    if standing.then is not None:
        yield f"  then {component} {standing.then.release} goes in"
    for period, at in standing.reminders:
        yield f"  reminds {period} before, {_said(contract, at)}"
    people = ", ".join(f"{standing.customer}/{each}" for each in standing.told)
    yield (
        f"  tells {people} with the next pass of the worker"
        if people
        else (f"  nobody of {standing.customer} can be told: add a contact that is responsible")
    )


def _dated(standing: "DeferralStanding", contract: "Contract", word: str) -> Iterator[str]:
    """Return the lines that every answer begins with: which deferral, its dates, how much of the limit it takes."""
    running = standing.running
    window, key = running.window, running.deferral.instance
    yield f"deferral {printable(running.deferral.id)} {word}, number {standing.number} of {printable(key)}"
    into = f"{window.id} on {window.start:%Y-%m-%d}" if window else "none"
    until, limit = _said(contract, running.end), _said(contract, running.limit)
    yield f"  until {until}, latest possible {limit}, next window {into}"
    since = f"{contract.deferral.max} from {_said(contract, running.start)}, clause {contract.clauses.updates}"
    yield f"  {standing.days} of {standing.days_max} days ({since})"


def _said(contract: "Contract", at: datetime) -> str:
    return f"{at.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}"


def _json(standing: "DeferralStanding") -> dict[str, Any]:
    running = standing.running
    return {
        "instance": running.deferral.instance,
        "release": str(running.deferral.release),
        "customer": standing.customer,
        "state": str(standing.state),
        "start": running.start.isoformat(),
        "until": running.end.isoformat(),
        "limit": running.limit.isoformat(),
        "next_window": None
        if running.window is None
        else {"id": running.window.id, "start": running.window.start.isoformat()},
        "number": standing.number,
        "days": standing.days,
        "days_max": standing.days_max,
        "reminders": [at.isoformat() for _, at in standing.reminders],
        "meanwhile": [{"release": each.release, "window": each.window} for each in standing.meanwhile],
        "then": standing.then and standing.then.release,
        "tells": list(standing.told),
        "previous": standing.previous.isoformat() if standing.previous else None,
    }

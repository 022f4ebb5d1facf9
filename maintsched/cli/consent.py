"""`maintsched consent`: agreements of customers that their own systems are worked on (clause 7.7)."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present
from maintsched.errors import printable
from maintsched.facts import Consent

if TYPE_CHECKING:
    from maintsched.contract import Contract
    from maintsched.worker.consents import ConsentStanding


@click.group()
def consent() -> None:
    """Record that customers agreed to work on systems of their own: without it, nothing touches those.

    \b
    Example:
      maintsched consent add birch-own --by "Ann Birch, by phone" --until 2027-03-01
    """


@consent.command()
@click.argument("instance")
@option("--by", required=True, metavar="WHO", help="Who agreed, and how: a contact's key, or a name.")
@option("--from", "since", default="now", show_default=True, metavar="D", help="From when on it holds.")
@option("--until", metavar="D", help="End, which is not held any more.  [until it is ended]")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def add(
    instance: str, by: str, since: str, until: str | None, as_json: bool, config_file: str | None, now: str | None
) -> None:
    """Record a consent; from then on the windows take the instance, and runs may touch it.

    \b
    Example:
      maintsched consent add birch-own --by ann --until 2027-03-01
    """
    from maintsched.cli.spoken import read_spoken
    from maintsched.store import open_store
    from maintsched.worker.consents import add_consent

    config, contract = open_configured(config_file)
    at = present(contract, now)
    wanted = Consent(
        instance=instance,
        given_by=by,
        given_at=read_spoken(since, now=at, zone=contract.zone, option="--from"),
        until=None if until is None else read_spoken(until, now=at, zone=contract.zone, option="--until"),
    )
    with open_store(config.database) as store:
        done = add_consent(store, contract, wanted, now=at)
    _print([done], contract, as_json=as_json)


@consent.command()
@click.argument("instance")
@option("--at", "when", default="now", show_default=True, metavar="D", help="When it ends.")
@option("--reason", required=True, metavar="TEXT", help="Why; evidence names it.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def end(instance: str, when: str, reason: str, as_json: bool, config_file: str | None, now: str | None) -> None:
    """End all consents of an instance: from then on nothing touches it.

    \b
    Example:
      maintsched consent end birch-own --reason "taken back by the customer"
    """
    from maintsched.cli.spoken import read_spoken
    from maintsched.store import open_store
    from maintsched.worker.consents import end_consent

    config, contract = open_configured(config_file)
    at = present(contract, now)
    ends = read_spoken(when, now=at, zone=contract.zone, option="--at")
    with open_store(config.database) as store:
        left = end_consent(store, contract, instance, at=ends, reason=reason, now=at)
    if not left and not as_json:
        click.echo(f"consent of {instance} is taken back before it held")
        return
    _print(left, contract, as_json=as_json)


@consent.command("list")
@option("--all", "everything", is_flag=True, help="Those that have ended as well.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def list_them(everything: bool, as_json: bool, config_file: str | None, now: str | None) -> None:
    """List the consents that hold or will, and the instances that nothing may touch without one.

    \b
    Example:
      maintsched consent list --all
    """
    from maintsched.store import open_store
    from maintsched.worker.consents import list_consents, without_consent

    config, contract = open_configured(config_file)
    at = present(contract, now)
    with open_store(config.database) as store:
        found = list_consents(store, now=at, everything=everything)
        closed = without_consent(store, now=at)
    _print(found, contract, as_json=as_json)
    if as_json:
        return
    for key in closed:
        click.echo(f"{key}: no consent holds, nothing touches it")
    if not found and not closed:
        click.echo("no consents")


def _print(found: list["ConsentStanding"], contract: "Contract", *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_json(each, contract) for each in found], ensure_ascii=False, indent=2))
        return
    for each in found:
        click.echo(_line(each, contract))


def _line(standing: "ConsentStanding", contract: "Contract") -> str:
    given, state = standing.consent, str(standing.state)
    until = "without end" if given.until is None else f"until {_said(contract, given.until)}"
    since = _said(contract, given.given_at)
    return f"{given.instance} ({standing.customer}): {state}, from {since} {until}, by {printable(given.given_by)}"


def _said(contract: "Contract", at: datetime) -> str:
    return f"{at.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}"


def _json(standing: "ConsentStanding", contract: "Contract") -> dict[str, Any]:
    given = standing.consent
    return {
        "instance": given.instance,
        "customer": standing.customer,
        "state": str(standing.state),
        "by": given.given_by,
        "from": given.given_at.astimezone(contract.zone).isoformat(),
        "until": given.until.astimezone(contract.zone).isoformat() if given.until else None,
    }

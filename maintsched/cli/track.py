"""`maintsched track`: which releases reach an instance, and from when (clause 2.4.2)."""

import json
from typing import TYPE_CHECKING, Any

import click

from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present

if TYPE_CHECKING:
    from maintsched.contract import Contract
    from maintsched.worker.tracks import TrackStanding


@click.group()
def track() -> None:
    """Switch instances to another track; every switch is a recorded fact.

    \b
    Example:
      maintsched track switch acme-prod steady --at 2027-01-01 --reason "asked for by the customer"
    """


@track.command()
@click.argument("instance")
@click.argument("track_name", metavar="TRACK")
@option("--at", "since", default="now", show_default=True, metavar="D", help="From when on.")
@option("--reason", required=True, metavar="TEXT", help="Why; evidence names it.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def switch(
    instance: str,
    track_name: str,
    since: str,
    reason: str,
    as_json: bool,
    config_file: str | None,
    now: str | None,
) -> None:
    """Let an instance get the releases of another track from an instant on. What is installed stays.

    A switch at the same instant replaces the one before, so that a switch ahead can be taken back.

    \b
    Example:
      maintsched track switch acme-prod steady --at 2027-01-01 --reason "asked for by the customer"
    """
    from maintsched.cli.spoken import read_spoken
    from maintsched.store import open_store
    from maintsched.worker.pins import outlook_of
    from maintsched.worker.tracks import switch_track

    config, contract = open_configured(config_file)
    moment = present(contract, now)
    at = read_spoken(since, now=moment, zone=contract.zone, option="--at").astimezone(contract.zone)
    with open_store(config.database) as store:
        done = switch_track(store, contract, instance, track_name, at=at, reason=reason, now=moment)
        outlook = outlook_of(store, contract, instance, now=moment)
    if as_json:
        click.echo(json.dumps(_json(done, contract), ensure_ascii=False, indent=2))
        return
    click.echo(_line(done, contract))
    for each in outlook.releases:
        if each.window is not None:
            click.echo(f"  {each.release.id} goes in with {each.window}")


@track.command("list")
@option("--switched", is_flag=True, help="Only instances that were switched, or will be.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def list_them(switched: bool, as_json: bool, config_file: str | None, now: str | None) -> None:
    """List the track of each instance, and the switches ahead.

    \b
    Example:
      maintsched track list --switched
    """
    from maintsched.store import open_store
    from maintsched.worker.tracks import list_tracks

    config, contract = open_configured(config_file)
    with open_store(config.database) as store:
        found = list_tracks(store, contract, now=present(contract, now))
    found = [each for each in found if not switched or each.since or each.ahead]
    if as_json:
        click.echo(json.dumps([_json(each, contract) for each in found], ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(_line(each, contract) for each in found) or "no instances")


def _line(standing: "TrackStanding", contract: "Contract") -> str:
    since = f" since {standing.since.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}" if standing.since else ""
    ahead = "".join(
        f", {each.track} from {each.at.astimezone(contract.zone):%Y-%m-%d %H:%M %Z} on" for each in standing.ahead
    )
    return f"{standing.instance.key} ({standing.customer}): {standing.track}{since}{ahead}"


def _json(standing: "TrackStanding", contract: "Contract") -> dict[str, Any]:
    return {
        "instance": standing.instance.key,
        "customer": standing.customer,
        "track": standing.track,
        "since": standing.since.astimezone(contract.zone).isoformat() if standing.since else None,
        "ahead": [
            {"track": each.track, "at": each.at.astimezone(contract.zone).isoformat()} for each in standing.ahead
        ],
    }

"""`maintsched outage`: open, close, list."""

import json
from typing import Any

import click

from maintsched.cli.configured import config_option
from maintsched.cli.houses import opened
from maintsched.cli.options import now_option, option
from maintsched.cli.spoken import read_spoken
from maintsched.errors import printable
from maintsched.facts import Outage, OutageCause

CAUSES = tuple(str(each) for each in OutageCause)


@click.group()
def outage() -> None:
    """Note outages by hand. Their begin and their end are told at once, and count against the availability.

    \b
    Example:
      maintsched outage open acme-prod --note "the database does not answer"
    """


@outage.command("open")
@click.argument("instance")
@option("--start", metavar="INSTANT", help="Since when; left out: now.")
@option("--note", default="", help="What is known; customers read it.")
@option("--minor", is_flag=True, help="No critical fault: it does not count against the availability.")
@option("--cause", type=click.Choice(CAUSES), help="Who or what caused it, where it was not the provider.")
@option("--data-restore", is_flag=True, help="These seconds are the restore of a large amount of data.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def open_(instance: str, config_file: str | None, now: str | None, **given: Any) -> None:
    """Note that an instance is not available, and tell its customer at once.

    \b
    Example:
      maintsched outage open acme-prod --start "2026-12-01T10:12+01:00" --note "the database does not answer"
    """
    from maintsched.worker.outages import open_outage

    with opened(config_file, now) as house:
        at = house.clock()
        zone = house.contract.zone
        start = at if given["start"] is None else read_spoken(given["start"], now=at, zone=zone, option="--start")
        cause = OutageCause(given["cause"]) if given["cause"] else None
        begun = Outage(
            start=start,
            critical=not given["minor"],
            customer_caused=cause is OutageCause.DEVELOPED_COMPONENT,
            data_restore=given["data_restore"],
            cause=cause,
            instance=instance,
        )
        _print(house, open_outage(house, begun, now=at, note=given["note"]), given["as_json"])


@outage.command()
@click.argument("key", metavar="KEY|INSTANCE")
@option("--end", metavar="INSTANT", help="Since when it is over; left out: now.")
@option("--note", default="", help="What it was; customers read it.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def close(key: str, end: str | None, note: str, as_json: bool, now: str | None, config_file: str | None) -> None:
    """Note that an outage is over, and tell its customer at once.

    \b
    Example:
      maintsched outage close acme-prod --note "a disk was full"
    """
    from maintsched.worker.outages import close_outage

    with opened(config_file, now) as house:
        at = house.clock()
        over = at if end is None else read_spoken(end, now=at, zone=house.contract.zone, option="--end")
        _print(house, close_outage(house, key, end=over, now=at, note=note), as_json)


@outage.command("list")
@option("--all", "everything", is_flag=True, help="Also those that are over.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def list_outages(everything: bool, as_json: bool, now: str | None, config_file: str | None) -> None:
    """List the outages that are open.

    \b
    Example:
      maintsched outage list --all
    """
    from maintsched.store.declared import read_outages

    with opened(config_file, now) as house:
        with house.store.reading() as connection:
            kept = read_outages(connection)
        rows = [_row(house, each) for each in kept if everything or each.outage.end is None]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        click.echo("no outage" if everything else "no outage is open")
    for row in rows:
        click.echo(_line(row))


def _row(house: Any, kept: Any) -> dict[str, Any]:
    outage, zone = kept.outage, house.contract.zone
    return {
        "key": kept.key,
        "instance": outage.instance,
        "start": outage.start.astimezone(zone).isoformat(),
        "end": None if outage.end is None else outage.end.astimezone(zone).isoformat(),
        "critical": outage.critical,
        "cause": None if outage.cause is None else str(outage.cause),
        "data_restore": outage.data_restore,
        "note": kept.note,
    }


def _line(row: dict[str, Any]) -> str:
    end = row["end"] or "still open"
    counts = "counts" if row["critical"] else "minor"
    return f"{row['key']}  {row['start']} – {end}  {counts}  {printable(row['note'])}".rstrip()


def _print(house: Any, noted: Any, as_json: bool) -> None:
    row = _row(house, noted.outage)
    if as_json:
        click.echo(json.dumps({**row, "notices": list(noted.notices)}, ensure_ascii=False, indent=2))
        return
    click.echo(_line(row))
    if noted.notices:
        people = ", ".join("/".join(key.split("/")[-2:]) for key in noted.notices)
        click.echo(f"  tells {people} with the next pass of the worker")
    if noted.unreachable:
        click.echo("  nobody of its customer can be told: add a contact that is responsible")

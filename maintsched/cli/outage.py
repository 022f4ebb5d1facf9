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
        listed = [each for each in kept if everything or each.outage.end is None]
        if as_json:
            click.echo(json.dumps([_row(house, each) for each in listed], ensure_ascii=False, indent=2))
            return
        if not listed:
            click.echo("no outage" if everything else "no outage is open")
        for each in listed:
            click.echo(_line(house, each))


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


def _line(house: Any, kept: Any) -> str:
    from maintsched.report.datewords import DateWords
    from maintsched.report.words import Words

    outage, dates = kept.outage, DateWords(words=Words.of("en"), zone=house.contract.zone, now=house.clock())
    when = f"{dates.day(dates.local_date(outage.start))}, {dates.time(outage.start)}, still open"
    if outage.end is not None:
        when = f"{dates.day(dates.local_date(outage.start))}, {dates.hours(outage.start, outage.end)}"
    kind = ["critical" if outage.critical else "minor"]
    kind += [f"cause: {str(outage.cause).replace('_', ' ')}"] if outage.cause else []
    kind += ["data restore"] if outage.data_restore else []
    note = f"  {printable(kept.note)}" if kept.note else ""
    return f"{kept.key}  {when}  {', '.join(kind)}{note}"


def _print(house: Any, noted: Any, as_json: bool) -> None:
    if as_json:
        row = {**_row(house, noted.outage), "notices": list(noted.notices)}
        click.echo(json.dumps(row, ensure_ascii=False, indent=2))
        return
    click.echo(_line(house, noted.outage))
    if noted.notices:
        people = ", ".join("/".join(key.split("/")[-2:]) for key in noted.notices)
        click.echo(f"  tells {people} with the next pass of the worker")
    if noted.unreachable:
        click.echo("  nobody of its customer can be told: add a contact that is responsible")

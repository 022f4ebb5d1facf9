"""`maintsched plan`: the windows of a time, who has to be told by when, and what goes in."""

import sys
from collections.abc import Iterable
from datetime import datetime

import click

from maintsched.cli.options import Number, contract_options, open_promised, option
from maintsched.contract import Contract
from maintsched.errors import UnknownName
from maintsched.fleet import Fleet
from maintsched.localtime import Period, start_of_day, utc
from maintsched.plan import Plan, make_plan
from maintsched.spans import Span

FORMATS = ("table", "json", "csv", "ics", "html")
MONTHS = 12
"""How many months a plan covers unless something else is asked for."""


@click.command()
@option("--from", "since", metavar="D", help="First day: 2026-12-01, '1 Dec 2026', '1.12.2026', 'in 3 days'. [now]")
@option("--to", "until", metavar="D", help="Day after the last one, or a duration from the first: P3M.")
@option("--months", type=Number(1, 1200), metavar="N", help=f"Months instead of --to.  [{MONTHS}]")
@option("--instance", "instances", metavar="K", multiple=True, help="Only these instances; may be repeated.")
@option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="What to print.")
@option("--language", type=click.Choice(("en", "de")), default="en", show_default=True, help="Of table and page.")
@contract_options
def plan(
    since: str | None,
    until: str | None,
    months: int | None,
    instances: tuple[str, ...],
    form: str,
    language: str,
    contract_name: str | None,
    fleet_files: tuple[str, ...],
    config_file: str | None,
    now: str | None,
) -> None:
    """Show maintenance windows, when their notices go out and are due, and what goes in.

    Works with nothing configured: then it shows what the built-in contract promises. With a configuration, the fleet is
    that of its database. --from also takes an ISO interval such as 2026-12-01/P3M. A window belongs to the day it
    starts on; the day of --to is not held.

    \b
    Examples:
      maintsched plan --months 3
      maintsched plan --fleet fleet.toml --from 2026-12-01/P3M --format html > plan.html
    """
    contract, fleet, facts, at, known = open_promised(contract_name, fleet_files, config_file, now)
    if instances and not known:
        raise click.UsageError("--instance needs a fleet: give it with --fleet")
    for key in instances:
        if key not in fleet.owners:
            raise UnknownName("--instance", found=key, known=sorted(fleet.owners))
    span = _span(contract, at, since, until, months)
    made = make_plan(contract, fleet, facts, span, now=at, only=frozenset(instances) or None)
    _write(_printed(made, fleet, at, form, language))


def _span(contract: Contract, now: datetime, since: str | None, until: str | None, months: int | None) -> Span:
    from maintsched.cli.spoken import read_span, read_spoken

    if until is not None and months is not None:
        raise click.UsageError("--to and --months exclude each other: give one of them")
    zone = contract.zone
    if since is not None and "/" in since:
        if until is not None or months is not None:
            raise click.UsageError("an interval in --from holds the end already: leave out --to and --months")
        start, end = read_span(since, now=now, zone=zone, option="--from")
    else:
        start = now if since is None else read_spoken(since, now=now, zone=zone, option="--from")
        if until is not None:
            end = read_spoken(until, now=now, zone=zone, option="--to", start=start if until.startswith("P") else None)
        else:
            day = Period(months=months or MONTHS).after(start.astimezone(zone).date())
            end = start_of_day(day, zone)
    if utc(end) <= utc(start):
        raise click.UsageError(f"the end {end.isoformat()} is not after the start {start.isoformat()}")
    return Span(start=start.astimezone(zone), end=end.astimezone(zone))


def _printed(made: Plan, fleet: Fleet, now: datetime, form: str, language: str) -> Iterable[str]:
    if form == "json":
        from maintsched.report.rows import plan_json

        return plan_json(made, generated_at=now)
    if form == "csv":
        from maintsched.report.rows import plan_csv

        return plan_csv(made)
    if form == "ics":
        from maintsched.report.feed import plan_feed

        return [plan_feed(made, stamp=now).decode()]
    if form == "html":
        from maintsched.report.page import plan_page

        return [plan_page(made, fleet, now=now, language=language)]
    from maintsched.cli.table import plan_table

    return plan_table(made, now=now, language=language)


def _write(pieces: Iterable[str]) -> None:
    """Write to stdout as UTF-8 with the line ends as they are, whatever the locale says; nowhere if it is closed."""
    if sys.stdout is None:
        return
    sys.stdout.flush()
    for piece in pieces:
        sys.stdout.buffer.write(piece.encode())
    sys.stdout.buffer.flush()

"""`maintsched window`: announce, confirm, choose, move, cancel, list, show."""

import json
from datetime import datetime
from typing import Any

import click

from maintsched.announcements import WindowState
from maintsched.cli.configured import config_option
from maintsched.cli.houses import opened, require_consent
from maintsched.cli.options import Number, now_option, option
from maintsched.cli.spoken import read_length, read_spoken
from maintsched.contract import Contract
from maintsched.errors import ChangeRefused
from maintsched.facts import DeclaredWindow, Impact, WindowKind
from maintsched.grammar import require_text
from maintsched.localtime import utc
from maintsched.spans import Span

IMPACTS = tuple(str(each) for each in Impact)
CHOICES_MAX = 20
"""Times that a customer may choose among, the window's own included."""


@click.group()
def window() -> None:
    """Announce, move and cancel windows; each change tells exactly the people it has to.

    \b
    Example:
      maintsched window announce critical --start "2026-12-08 19:00" --duration 2h --instances acme-prod \\
        --reason "replace a failing disk"
    """


@window.command()
@click.argument("kind", type=click.Choice((str(WindowKind.CRITICAL), str(WindowKind.EMERGENCY))))
@option("--start", required=True, metavar="INSTANT", help="When it starts: '2026-12-08 19:00', 'in 4 days'.")
@option("--duration", metavar="DURATION", help="How long: 2h, 90 min, PT2H.")
@option("--end", metavar="INSTANT", help="Instead of --duration: when it ends.")
@option("--instances", metavar="K[,K]", multiple=True, help="Whom it is for; may be repeated.")
@option("--customer", "customers", metavar="K", multiple=True, help="All instances of a customer; may be repeated.")
@option("--all", "everybody", is_flag=True, help="Every instance of the fleet.")
@option("--reason", required=True, help="What is done and why; customers read it.")
@option(
    "--impact", type=click.Choice(IMPACTS), default=str(Impact.OUTAGE), show_default=True, help="What users notice."
)
@option("--key", help="Its name; left out: made of the date.")
@option("--release", "releases", metavar="VERSION", multiple=True, help="What goes in; left out: security releases.")
@option("--tentative", is_flag=True, help="Only offered: tells nobody until it is confirmed.")
@option("--alternative", "alternatives", metavar="INSTANT", multiple=True, help="Another start to choose; repeatable.")
@option("--why-short", default="", help="Emergencies: why 24 hours' notice were not practicable.")
@option("--no-mail", is_flag=True, help="Publish without mail: tells nobody and proves nothing.")
@option("--dry-run", is_flag=True, help="Show what would happen; store nothing.")
@option("--yes", is_flag=True, help="Do not ask before many people are told.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def announce(kind: str, config_file: str | None, now: str | None, **given: Any) -> None:
    """Announce a critical window or an emergency, and tell its customers.

    A critical window has to start at least 72 hours (by the contract) after its mails are accepted; one that is too
    near is refused with the earliest possible start. An emergency is told at once, and the answer says what it costs
    of the month's availability.

    \b
    Examples:
      maintsched window announce critical --start 2026-12-08T19:00+01:00 --duration 2h \\
        --instances acme-prod,acme-test --reason "replace a failing disk"
      maintsched window announce emergency --start "in 2 hours" --duration 30m --instances acme-prod \\
        --reason "close a hole in the login page" --why-short "it is being exploited"
    """
    from maintsched.cli.windowlines import change_lines
    from maintsched.worker import announce as core
    from maintsched.worker.changes import shown_change

    _require_sense(WindowKind(kind), given)
    with opened(config_file, now) as house:
        at = house.clock()
        declared = _declared(house, WindowKind(kind), at, given)
        settings: dict[str, Any] = {
            "state": WindowState.TENTATIVE if given["tentative"] else WindowState.CONFIRMED,
            "alternatives": _alternatives(house.contract, declared, at, given["alternatives"]),
            "hurry": given["why_short"],
            "mailed": not given["no_mail"],
        }
        tried = core.announce(house, declared, now=at, dry_run=True, **settings)
        require_consent(tried, yes=given["yes"], dry_run=given["dry_run"])
        done = tried if given["dry_run"] else core.announce(house, declared, now=at, **settings)
        if given["as_json"]:
            click.echo(json.dumps(shown_change(house, done, at), ensure_ascii=False, indent=2))
            return
        for line in change_lines(house, done, at, dry_run=given["dry_run"]):
            click.echo(line)


def _require_sense(kind: WindowKind, given: dict[str, Any]) -> None:
    """Refuse options that contradict each other, before any of them is quietly left out."""
    urgent = kind is WindowKind.EMERGENCY
    if urgent and (given["tentative"] or given["alternatives"]):
        raise click.UsageError("an emergency is told at once: --tentative and --alternative belong to critical windows")
    if given["alternatives"] and not given["tentative"]:
        raise click.UsageError("--alternative offers a choice: add --tentative")
    if len(given["alternatives"]) >= CHOICES_MAX:
        raise click.UsageError(f"at most {CHOICES_MAX - 1} times can be offered with --alternative")
    if given["why_short"] and not urgent:
        raise click.UsageError("--why-short belongs to emergencies: a critical window is announced in time")
    if given["everybody"] and (given["instances"] or given["customers"]):
        raise click.UsageError("--all stands alone: leave out --instances and --customer, or leave out --all")


def _declared(house: Any, kind: WindowKind, now: datetime, given: dict[str, Any]) -> DeclaredWindow:
    from maintsched.store.fleets import read_fleet
    from maintsched.worker.changes import free_key

    zone = house.contract.zone
    start = read_spoken(given["start"], now=now, zone=zone, option="--start")
    end = _end(house.contract, start, now, given["duration"], given["end"])
    with house.store.reading() as connection:
        fleet = read_fleet(connection)
        key = given["key"] or free_key(connection, kind, start.astimezone(zone))
    named = [each.strip() for text in given["instances"] for each in text.split(",") if each.strip()]
    for customer in given["customers"]:
        named.extend(instance.key for instance in fleet.customer(customer).instances)
    if given["everybody"]:
        named = [instance.key for instance in fleet.instances()]
    if not named:
        raise click.UsageError("whom is it for? Give --instances, --customer or --all")
    return DeclaredWindow(
        key=key,
        kind=kind,
        start=start.astimezone(zone),
        end=end,
        instances=tuple(dict.fromkeys(named)),
        reason=given["reason"],
        impact=Impact(given["impact"]),
        releases=given["releases"],
    )


def _end(contract: Contract, start: datetime, now: datetime, duration: str | None, end: str | None) -> datetime:
    if (duration is None) == (end is None):
        raise click.UsageError("give either --duration or --end")
    if end is not None:
        return read_spoken(end, now=now, zone=contract.zone, option="--end", start=start).astimezone(contract.zone)
    length = read_length(str(duration), option="--duration")
    return (utc(start) + length).astimezone(contract.zone)


def _alternatives(
    contract: Contract, window: DeclaredWindow, now: datetime, texts: tuple[str, ...]
) -> tuple[Span, ...]:
    starts = [read_spoken(text, now=now, zone=contract.zone, option="--alternative") for text in texts]
    if len({utc(start) for start in (window.span.start, *starts)}) <= len(starts):
        raise click.BadParameter(
            "expected starts that differ from each other and from --start", param_hint="--alternative"
        )
    length = window.span.elapsed
    return tuple(
        Span(start=start.astimezone(contract.zone), end=(utc(start) + length).astimezone(contract.zone))
        for start in starts
    )


@window.command()
@click.argument("window_id", metavar="ID")
@option("--yes", is_flag=True, help="Do not ask before many people are told.")
@option("--dry-run", is_flag=True, help="Show what would happen; store nothing.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def confirm(window_id: str, yes: bool, dry_run: bool, as_json: bool, now: str | None, config_file: str | None) -> None:
    """Confirm a tentative window: it takes place at its own time.

    \b
    Example:
      maintsched window confirm critical/2026-12-08
    """
    from maintsched.worker import announce as core

    _change(
        config_file,
        now,
        lambda house, at, dry: core.confirm(house, window_id, now=at, dry_run=dry),
        yes,
        dry_run,
        as_json,
    )


@window.command()
@click.argument("window_id", metavar="ID")
@click.argument("number", type=Number(1, CHOICES_MAX))
@option("--customer", required=True, metavar="K", help="Who chose.")
@option("--dry-run", is_flag=True, help="Show what would happen; store nothing.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def choose(
    window_id: str, number: int, customer: str, dry_run: bool, as_json: bool, now: str | None, config_file: str | None
) -> None:
    """Note which of the offered times a customer chose; 1 is the window's own.

    \b
    Example:
      maintsched window choose critical/2026-12-08 2 --customer acme
    """
    from maintsched.worker import announce as core

    _change(
        config_file,
        now,
        lambda house, at, dry: core.choose(house, window_id, customer, number, now=at, dry_run=dry),
        True,
        dry_run,
        as_json,
    )


@window.command()
@click.argument("window_id", metavar="ID")
@option("--start", required=True, metavar="INSTANT", help="The new start.")
@option("--duration", metavar="DURATION", help="The new length; left out: as long as before.")
@option("--end", metavar="INSTANT", help="Instead of --duration: when it ends.")
@option("--reason", default="", help="A new reason; left out: the old one.")
@option("--why-short", default="", help="Emergencies: why 24 hours' notice were not practicable.")
@option("--yes", is_flag=True, help="Do not ask before many people are told.")
@option("--dry-run", is_flag=True, help="Show what would happen; store nothing.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def move(window_id: str, config_file: str | None, now: str | None, **given: Any) -> None:
    """Move a window, a monthly one as well, to another time.

    Who was told of the old time, or may have been, is told of the new one; notices of the old time that have not gone
    out never do.

    \b
    Example:
      maintsched window move monthly/2026-12 --start "2026-12-08 17:00"
    """
    from maintsched.worker import announce as core
    from maintsched.worker.changes import span_of

    def moved(house: Any, at: datetime, dry: bool) -> Any:
        zone = house.contract.zone
        start = read_spoken(given["start"], now=at, zone=zone, option="--start").astimezone(zone)
        old = span_of(house, window_id)
        if given["duration"] is None and given["end"] is None:
            end = (utc(start) + old.elapsed).astimezone(zone)
        else:
            end = _end(house.contract, start, at, given["duration"], given["end"])
        span = Span(start=start, end=end)
        if (utc(start), utc(end)) == (utc(old.start), utc(old.end)):
            raise ChangeRefused(window_id, expected="another time than its own", found=old.start.isoformat())
        return core.move(house, window_id, span, now=at, reason=given["reason"], hurry=given["why_short"], dry_run=dry)

    _change(config_file, now, moved, given["yes"], given["dry_run"], given["as_json"])


@window.command()
@click.argument("window_id", metavar="ID")
@option("--reason", required=True, help="Why; customers read it.")
@option("--yes", is_flag=True, help="Do not ask before many people are told.")
@option("--dry-run", is_flag=True, help="Show what would happen; store nothing.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def cancel(
    window_id: str, reason: str, yes: bool, dry_run: bool, as_json: bool, now: str | None, config_file: str | None
) -> None:
    """Cancel a window; who was told of it, or may have been, is told so.

    \b
    Example:
      maintsched window cancel critical/2026-12-08 --reason "the disk was replaced already"
    """
    from maintsched.worker import announce as core

    require_text("reason", reason)
    _change(
        config_file,
        now,
        lambda house, at, dry: core.cancel(house, window_id, now=at, reason=reason, dry_run=dry),
        yes,
        dry_run,
        as_json,
    )


def _change(config_file: str | None, now: str | None, act: Any, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Try a change, ask where many people are told, do it, say what it did."""
    from maintsched.cli.windowlines import change_lines
    from maintsched.worker.changes import shown_change

    with opened(config_file, now) as house:
        at = house.clock()
        tried = act(house, at, True)
        require_consent(tried, yes=yes, dry_run=dry_run)
        done = tried if dry_run else act(house, at, False)
        if as_json:
            click.echo(json.dumps(shown_change(house, done, at), ensure_ascii=False, indent=2))
            return
        for line in change_lines(house, done, at, dry_run=dry_run):
            click.echo(line)


@window.command("list")
@option("--all", "everything", is_flag=True, help="Also those that are over.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def list_windows(everything: bool, as_json: bool, now: str | None, config_file: str | None) -> None:
    """List the windows that were announced, with who was told.

    \b
    Example:
      maintsched window list
    """
    from maintsched.cli.windowlines import list_lines
    from maintsched.worker.changes import listed_windows

    with opened(config_file, now) as house:
        rows = listed_windows(house, house.clock(), everything=everything)
        if as_json:
            click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
            return
        for line in list_lines(house, rows, house.clock()):
            click.echo(line)


@window.command()
@click.argument("window_id", metavar="ID")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def show(window_id: str, as_json: bool, now: str | None, config_file: str | None) -> None:
    """Show a window: its state, its classification by the facts, and who was told when.

    \b
    Example:
      maintsched window show critical/2026-12-08
    """
    from maintsched.cli.windowlines import one_lines
    from maintsched.worker.changes import one_window

    with opened(config_file, now) as house:
        row = one_window(house, window_id, house.clock())
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False, indent=2))
            return
        for line in one_lines(house, row, house.clock()):
            click.echo(line)

"""`maintsched notice`: list, show, preview, resend, bounces, provisioned."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from maintsched.cli.configured import config_option
from maintsched.cli.houses import opened
from maintsched.cli.options import FileName, now_option, option
from maintsched.cli.place import put_in_place
from maintsched.cli.spoken import read_spoken
from maintsched.errors import FileError, MaintschedError, printable
from maintsched.fleet import Language

REPORT_MAX = 2 * 1024 * 1024
"""Bytes of a delivery report that are read."""


@click.group()
def notice() -> None:
    """Look at notices, try templates, send again what came back.

    \b
    Example:
      maintsched notice preview reminder --language de --output preview/
    """


@notice.command("list")
@option("--window", "subject", metavar="ID", help="Only those about this window, outage, deferral or instance.")
@option("--customer", metavar="K", help="Only those to this customer.")
@option("--state", type=click.Choice(("ready", "running", "done", "failed", "cancelled")), help="Only these.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def list_notices(
    subject: str | None,
    customer: str | None,
    state: str | None,
    as_json: bool,
    now: str | None,
    config_file: str | None,
) -> None:
    """List stored notices and what became of them.

    \b
    Example:
      maintsched notice list --state failed
    """
    from maintsched.worker.again import notices_of
    from maintsched.worker.changes import notice_row

    with opened(config_file, now) as house:
        found = notices_of(house, subject=subject, customer=customer)
        zone = house.contract.zone
    rows = [notice_row(each, zone) for each in found if state in (None, str(each.state))]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        click.echo("no notice")
    for row in rows:
        late = "  late" if row["late"] else ""
        click.echo(f"{row['key']:<72} {row['state']:<9} {row['result'] or ''}{late}".rstrip())


@notice.command()
@click.argument("key")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def show(key: str, as_json: bool, now: str | None, config_file: str | None) -> None:
    """Show a stored notice: what became of it, and its text.

    \b
    Example:
      maintsched notice show notice/reminder/monthly:2026-12/0/acme/eva
    """
    from maintsched.worker.again import composed_notice, one_notice
    from maintsched.worker.changes import notice_row

    with opened(config_file, now) as house:
        stored = one_notice(house, key)
        row = notice_row(stored, house.contract.zone)
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False, indent=2))
            return
        for name, value in row.items():
            if value not in (None, "", []):
                click.echo(f"{name:<12} {_shown(value)}")
        try:
            mail = composed_notice(house, stored)
        except MaintschedError as error:  # its contact may be gone, or a template broken: what happened still shows
            click.echo(f"its text cannot be shown: {error}", err=True)
            return
        click.echo("")
        click.echo(mail.text)
    _say_if_other(stored, mail)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(", ".join(value) if isinstance(value, list) else str(value))


def _say_if_other(stored: Any, mail: Any) -> None:
    """Warn where the mail of today is not the one that went out: its template or contact has changed since."""
    if stored.digest is not None and stored.digest != mail.digest:
        what = "its template, or what is known of its contact, has changed since it was sent"
        click.echo(f"this is not byte for byte the mail that was sent (sha256 {stored.digest}): {what}", err=True)


@notice.command()
@click.argument("what", metavar="KIND|KEY")
@option(
    "--language",
    type=click.Choice([str(each) for each in Language]),
    default="en",
    show_default=True,
    help="Of the specimen; a stored notice has that of its reader.",
)
@option("--output", metavar="DIR", default=".", show_default=True, type=FileName(), help="Where the files go.")
@option("--open", "show_it", is_flag=True, help="Open the HTML in the browser.")
@now_option
@config_option
def preview(what: str, language: str, output: str, show_it: bool, now: str | None, config_file: str | None) -> None:
    """Write a notice as .eml and .html, without sending anything.

    Give a KIND for a specimen of its template, or the KEY of a stored notice for exactly the mail that goes out.

    \b
    Examples:
      maintsched notice preview moved --language de --output preview/
      maintsched notice preview notice/reminder/monthly:2026-12/0/acme/eva --open
    """
    from maintsched.cli.checks.specimens import specimen
    from maintsched.mail.compose import compose
    from maintsched.worker.again import composed_notice, one_notice

    with opened(config_file, now) as house:
        if "/" in what:
            stored = one_notice(house, what)
            mail, name = composed_notice(house, stored), what.replace("/", "-").replace(":", "-")
            _say_if_other(stored, mail)
        else:
            letter = specimen(house.contract, house.config, what, Language(language), now=house.clock())
            mail, name = compose(letter, house.templates), f"{what}-{language}"
    written = [_write(Path(output), f"{name}.eml", mail.data), _write(Path(output), f"{name}.html", mail.html.encode())]
    for path in written:
        click.echo(printable(str(path)))
    if show_it:
        click.launch(str(written[1]))


def _write(folder: Path, name: str, data: bytes) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        put_in_place(path, data)
    except OSError as error:
        found = str(error.strerror).lower()
        raise FileError(str(folder / name), line=None, key=None, expected="a place to write to", found=found) from error
    return path


@notice.command()
@click.argument("key")
@now_option
@config_option
def resend(key: str, now: str | None, config_file: str | None) -> None:
    """Try a notice again that failed or came back; the next pass of the worker sends it.

    \b
    Example:
      maintsched notice resend notice/reminder/monthly:2026-12/0/acme/eva
    """
    from maintsched.worker.again import resend as put_back

    with opened(config_file, now) as house:
        put_back(house, key, now=house.clock())
    click.echo(f"{key} goes out with the next pass of the worker")


@notice.command()
@click.argument("instance")
@option("--link", required=True, metavar="URL", help="Where access is handed over; never a secret.")
@option("--ordered", metavar="INSTANT", help="When it was ordered: then the mail says by when it was due.")
@now_option
@config_option
def provisioned(instance: str, link: str, ordered: str | None, now: str | None, config_file: str | None) -> None:
    """Tell a customer that an instance is available.

    \b
    Example:
      maintsched notice provisioned acme-prod --link https://handover.example/acme-prod
    """
    from maintsched.worker.again import tell_provisioned

    with opened(config_file, now) as house:
        at, zone = house.clock(), house.contract.zone
        since = None if ordered is None else read_spoken(ordered, now=at, zone=zone, option="--ordered")
        keys = tell_provisioned(house, instance, link, ordered_at=since, now=at)
    for key in keys:
        click.echo(f"{key} goes out with the next pass of the worker")


@notice.command()
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
@config_option
def bounces(as_json: bool, now: str | None, config_file: str | None) -> None:
    """Read one delivery report from standard input, as a mail server pipes it.

    A report that a notice failed for good revokes its proof; the operator is told. The worker reads the maildir of the
    configuration by itself.

    \b
    Example:
      maintsched notice bounces < report.eml
    """
    from maintsched.worker.bounces import take_report

    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("a delivery report is read from standard input: maintsched notice bounces < report.eml")
    raw = sys.stdin.buffer.read(REPORT_MAX)
    with opened(config_file, now) as house:
        read = take_report(house, raw, source="stdin", now=house.clock())
    row: dict[str, Any] = {
        "notice": read.notice,
        "revoked": read.revoked,
        "status": None if read.bounce is None else read.bounce.status,
        "diagnostic": None if read.bounce is None else read.bounce.diagnostic,
    }
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False, indent=2))
    elif read.notice is None:
        click.echo("about no notice of ours")
    else:
        click.echo(f"{read.notice}: {'its proof is revoked' if read.revoked else 'noted'} ({row['status']})")

"""`maintsched evidence`: the journal as a report, and whether its chains are whole."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import FileName, option, present
from maintsched.cli.place import put_in_place
from maintsched.errors import printable

if TYPE_CHECKING:
    from maintsched.worker.heads import KeptHeads
    from maintsched.worker.proofs import Verdict


@click.group()
def evidence() -> None:
    """Show the journal as a report, and check that nothing in it was changed.

    \b
    Examples:
      maintsched evidence export acme-prod --month 2026-12 > acme.html
      maintsched evidence verify
    """


# --- export -----------------------------------------------------------------------------------------------------------


@evidence.command()
@click.argument("instance")
@option("--month", required=True, metavar="YYYY-MM", help="The local month of the contract's zone.")
@option(
    "--format", "form", type=click.Choice(("html", "json")), default="html", show_default=True, help="What to write."
)
@option("--language", type=click.Choice(("en", "de")), default="en", show_default=True, help="Of the page.")
@option("--output", metavar="FILE", type=FileName(), help="Where to write it, for its owner alone.  [stdout]")
@option("--now", metavar="INSTANT", hidden=True, help="Take this instant for the present one.")
@config_option
def export(
    instance: str, month: str, form: str, language: str, output: str | None, now: str | None, config_file: str | None
) -> None:
    """Write what can be proved of an instance and month: who was told what, when, and what follows from it.

    The page needs nothing else, prints on A4 and holds no address. The chain of the instance is checked on the way;
    where it is broken, the page says so and the exit code is 1.

    \b
    Examples:
      maintsched evidence export acme-prod --month 2026-12 > acme.html
      maintsched evidence export acme-prod --month 2026-12 --language de --output acme.html
      maintsched evidence export acme-prod --month 2026-12 --format json --output acme.json
    """
    from maintsched.report.evidence import evidence_json, evidence_page
    from maintsched.store.engine import open_store
    from maintsched.worker.heads import heads_path
    from maintsched.worker.proofs import read_case

    config, contract = open_configured(config_file)
    at = present(contract, now)
    path = heads_path(config)
    kept = _kept(path, needed=False)
    with open_store(config.database) as store:
        case = read_case(store, contract, config.provider, instance, month, now=at, kept=kept)
    text = evidence_json(case) if form == "json" else evidence_page(case, language=language)
    _write(text.encode(), output)
    if not case.sound:
        fault = case.check.fault
        what = f"{fault.chain}: {fault.what}" if fault else "the database and the journal say different things"
        _fail(f"this evidence is not sound: {what}")


def _write(data: bytes, output: str | None) -> None:
    """Write to stdout, or to a file that its owner alone may read, which then is there whole or not at all."""
    if output is None:
        if sys.stdout is not None:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return
    path = Path(output)
    put_in_place(path, data)
    click.echo(f"wrote {printable(str(path))}", err=True)


# --- verify -----------------------------------------------------------------------------------------------------------


@evidence.command()
@click.argument("instances", metavar="[INSTANCE]...", nargs=-1)
@option("--heads", "heads_file", metavar="FILE", type=FileName(), help="Heads kept outside.  [beside the database]")
@option("--file", "export_file", metavar="FILE", type=FileName(), help="Check an export (JSON) instead, by itself.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def verify(
    instances: tuple[str, ...],
    heads_file: str | None,
    export_file: str | None,
    as_json: bool,
    config_file: str | None,
) -> None:
    """Check that no entry of the journal was changed, removed, inserted or exchanged, and that no end was cut off.

    Every entry is read. Without INSTANCE all chains are checked, that of the provider, _provider, among them. The first
    broken link of each chain is named; the exit code is 1 where there is any. The end of a chain can only be checked
    beside the heads that each pass of the worker keeps outside the database: without them the exit code is 1 as well.

    \b
    Examples:
      maintsched evidence verify
      maintsched evidence verify acme-prod --heads /mnt/elsewhere/maintsched.db.heads
      maintsched evidence verify --file acme.json
    """
    if export_file is not None:
        from maintsched.worker.exports import verify_export

        if instances or heads_file:
            raise click.UsageError("--file is checked by itself: leave out INSTANCE and --heads")
        _report(verify_export(Path(export_file)), as_json)
        return
    from maintsched.store.engine import open_store
    from maintsched.worker.heads import heads_path
    from maintsched.worker.proofs import verify as check

    config, _ = open_configured(config_file)
    kept = _kept(Path(heads_file) if heads_file else heads_path(config), needed=heads_file is not None)
    with open_store(config.database) as store:
        _report(check(store, instances, kept), as_json, missing=None if kept else str(heads_path(config)))


def _kept(path: Path, *, needed: bool) -> "KeptHeads | None":
    """Return the heads that are kept at `path`; None where there are none and none are needed."""
    from maintsched.worker.heads import read_heads

    if not needed and not path.exists():
        return None
    kept = read_heads(path)
    if kept.torn:
        click.echo(f"{printable(str(path))}: the last line is torn and was left out (a crash)", err=True)
    return kept


def _report(verdict: "Verdict", as_json: bool, missing: str | None = None) -> None:
    if as_json:
        found = {
            "chains": verdict.chains,
            "entries": verdict.entries,
            "faults": [fault._asdict() for fault in verdict.faults],
            "unknown": [*verdict.unknown, *([f"no heads at {missing}"] if missing else [])],
        }
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for fault in verdict.faults:
            click.echo(f"{printable(fault.chain)}, entry {fault.seq}: {printable(fault.what)}")
        chains, entries = (_count(n, what) for n, what in ((verdict.chains, "chain"), (verdict.entries, "entry")))
        click.echo(f"checked {entries} in {chains}: {_faulty(len({fault.chain for fault in verdict.faults}))}")
        for each in verdict.unknown:
            click.echo(f"not known from this file: {printable(each)}", err=True)
    if verdict.faults:
        _fail("the evidence is not whole")
    if missing:
        _fail(f"a cut-off end would not show: there are no heads at {printable(missing)} (give others with --heads)")


def _count(n: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{n:,} {what if n == 1 else plural}"


def _faulty(n: int) -> str:
    return "no fault" if n == 0 else f"{_count(n, 'chain')} with a fault"


def _fail(message: str) -> NoReturn:
    raise click.ClickException(message)

"""`maintsched doctor`: checks everything that has to be in order, and says what to do."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import click

from maintsched.cli.checks import Check, Examination, Finding, Verdict, machine, post, promises, storage, work
from maintsched.cli.configured import config_option
from maintsched.cli.options import now_option, option, present
from maintsched.intake.contracts import load_contract

CHECKS: tuple[Check, ...] = (*machine.CHECKS, *promises.CHECKS, *storage.CHECKS, *post.CHECKS, *work.CHECKS)
"""Every check, in the order in which they are told."""
COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@click.command()
@config_option
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@now_option
def doctor(config_file: str | None, as_json: bool, now: str | None) -> None:
    """Check everything that has to be in order, and say what to do.

    Looks at interpreter, clock, zone data, configuration, contract, holidays, database, fleet, evidence, file modes,
    mail server, templates, headers, executors and the keys of hosts. Nothing is sent and nothing is changed. One check
    that fails hides no other; the exit code is 1 if any does.

    \b
    Example:
      maintsched doctor --config /srv/maintsched/maintsched.toml
    """
    told = Counter[Verdict]()
    found = []
    with closing(Examination(config_file=config_file, now=present(load_contract(), now))) as examination:
        for finding in findings(examination):
            told[finding.verdict] += 1
            found.append(finding)
            if not as_json:
                _print(finding)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], ensure_ascii=False, indent=2))
    else:
        click.echo(", ".join(f"{told[verdict]} {verdict}" for verdict in Verdict))
    if told[Verdict.FAIL]:
        raise click.exceptions.Exit(1)


def findings(examination: Examination) -> Iterator[Finding]:
    """Return what all checks find, one after the other."""
    return (finding for check in CHECKS for finding in check.findings(examination))


def _print(finding: Finding) -> None:
    verdict = click.style(f"{finding.verdict:<4}", fg=COLOURS[finding.verdict])
    click.echo(f"{verdict}  {finding.check:<14} {finding.found}")
    if finding.way_out:
        click.echo(f"{'':<4}  {'':<14} -> {finding.way_out}")


def _as_json(finding: Finding) -> dict[str, str | None]:
    return {
        "check": finding.check,
        "verdict": str(finding.verdict),
        "found": finding.found,
        "way_out": finding.way_out or None,
    }

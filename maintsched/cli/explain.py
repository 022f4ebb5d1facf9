"""`maintsched explain`: why a date is what it is."""

import json

import click

from maintsched.cli.options import contract_options, open_promised, option
from maintsched.errors import printable
from maintsched.report.explanation import Paragraph
from maintsched.report.explanation import explain as explained


@click.command()
@click.argument("subject", metavar="ID")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@contract_options
def explain(
    subject: str,
    as_json: bool,
    contract_name: str | None,
    fleet_files: tuple[str, ...],
    config_file: str | None,
    now: str | None,
) -> None:
    """Say why a date is what it is: the clause, the reading of it, and the facts.

    ID is a window (monthly/2026-12, critical/<key>), an instance, deferral/<instance>/<release>, freeze/<key>,
    release/<version> or, of one component only, release/<component>/<version>. With a configuration also
    run/<window>/<instance>, the slash of the window written ":": why work may, or may not, go on now.

    \b
    Examples:
      maintsched explain monthly/2026-12
      maintsched explain acme-prod --fleet fleet.toml
      maintsched explain run/monthly:2026-12/acme-prod
    """
    if subject.startswith("run/"):
        paragraphs = _of_run(subject, config_file, now)
    else:
        contract, fleet, facts, at, _ = open_promised(contract_name, fleet_files, config_file, now)
        paragraphs = explained(contract, fleet, facts, subject, now=at)
    if as_json:
        listed = [{"title": each.title, "lines": list(each.lines)} for each in paragraphs]
        click.echo(json.dumps(listed, ensure_ascii=False, indent=2))
        return
    for paragraph in paragraphs:
        click.secho(printable(paragraph.title), bold=True)
        for line in paragraph.lines:
            click.echo(f"  {printable(line)}")


def _of_run(key: str, config_file: str | None, now: str | None) -> list[Paragraph]:
    from maintsched.cli.houses import opened
    from maintsched.report.runwords import explain_run
    from maintsched.worker.operating import see_run

    with opened(config_file, now) as house:
        at = house.clock()
        seen = see_run(house, key, now=at)
    steps = [each.step for each in seen.steps]
    return explain_run(seen.kept.run, steps, seen.holds, contract=house.contract, now=at)

"""`maintsched contracts`: what is built in, and every term of one."""

import json

import click

from maintsched.cli.options import option
from maintsched.intake.contracts import builtin_contracts, load_contract
from maintsched.intake.documents import read_document
from maintsched.report.terms import terms_in_force


@click.command()
@click.argument("name", required=False)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def contracts(name: str | None, as_json: bool) -> None:
    """List the built-in contracts, or print the terms of one (NAME, or the path of a file).

    What is printed is a contract file: keep it, change it, and give its path to --contract. With --json it holds every
    term that is in force, those of the contract that a file extends and the defaults as well.

    \b
    Examples:
      maintsched contracts
      maintsched contracts intrexx-paas > our-contract.toml
    """
    builtin = builtin_contracts()
    if name is not None:
        contract = load_contract(name)
        if as_json:
            click.echo(json.dumps(terms_in_force(contract), ensure_ascii=False, indent=2))
            return
        click.echo(read_document(builtin.get(name, name)).text.rstrip("\n"))
        return
    listed = [(load_contract(each), path) for each, path in builtin.items()]
    if as_json:
        rows = [
            {"name": each.name, "title": each.title, "rule": str(each.monthly.rule), "zone": each.zone.key}
            for each, _ in listed
        ]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for contract, _ in listed:
        terms = contract.monthly
        click.echo(f"{contract.name:<16} {contract.title}")
        click.echo(
            f"{'':<16} {terms.rule}, {terms.time:%H:%M} {contract.zone.key}, {terms.duration}; "
            f"reminder {terms.reminder} ahead, critical {contract.critical.lead} ahead, "
            f"{(100 * contract.availability.target).normalize():f} %"
        )

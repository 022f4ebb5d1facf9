"""`maintsched fleet`: customers, contacts and instances in the database."""

import json

import click

from maintsched.cli.bulk import names_of, require_yes
from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present
from maintsched.errors import InvalidValue

json_option = option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def fleet() -> None:
    """Keep the fleet in the database in step with its files, look at it, erase a contact.

    \b
    Examples:
      maintsched fleet sync fleet.toml --dry-run
      maintsched fleet show acme
    """


@fleet.command()
@click.argument("files", metavar="[FILE]...", nargs=-1)
@option("--dry-run", is_flag=True, help="Show the difference and change nothing.")
@option("--prune", is_flag=True, help="Remove customers, contacts and instances that the files do not name.")
@yes_option
@json_option
@config_option
@now_option
def sync(
    files: tuple[str, ...],
    dry_run: bool,
    prune: bool,
    yes: bool,
    as_json: bool,
    config_file: str | None,
    now: str | None,
) -> None:
    """Take fleet files over into the database: the difference is shown first, then applied as a whole.

    Without FILE, those of the configuration are read. All files count as one. What they do not name stays in the
    database, unless --prune is given. Where anything is removed, more than 50 things are changed, or more than a fifth
    of all, the command asks first; without a terminal it wants --yes.

    \b
    Examples:
      maintsched fleet sync fleet.toml --dry-run
      maintsched fleet sync fleet.toml releases.toml --prune --yes
    """
    from maintsched.cli.fleettext import diff_json, diff_lines
    from maintsched.intake.declarations import load_fleet
    from maintsched.store import open_store
    from maintsched.worker.sync import compare_fleet, sync_fleet

    config, contract = open_configured(config_file)
    named = files or tuple(str(path) for path in config.fleet)
    if not named:
        raise click.UsageError("no file: name one, or set `fleet` in the configuration")
    declared, facts = load_fleet(contract, *named)
    at = present(contract, now)
    with open_store(config.database) as store:
        found = compare_fleet(store, contract, declared, facts, prune=prune, now=at)
        click.echo(diff_json(found) if as_json else "\n".join(diff_lines(found)))
        if dry_run or not found:
            return
        if found.is_bulk:
            struck = found.struck()
            names = names_of([f"{each.key} ({each.how})" for each in struck])
            require_yes(f"{len(struck):,} of {found.size:,} are changed or removed: {names}", yes=yes)
        sync_fleet(store, contract, declared, facts, prune=prune, now=at, expected=found)
    click.echo("taken over", err=True)


@fleet.command("list")
@json_option
@config_option
def list_fleet(as_json: bool, config_file: str | None) -> None:
    """List the customers of the database with their contacts and instances.

    \b
    Example:
      maintsched fleet list --json
    """
    from maintsched.cli.fleettext import customer_json, customer_lines
    from maintsched.store import open_store
    from maintsched.worker.standing import list_customers

    config, _ = open_configured(config_file)
    with open_store(config.database) as store:
        found = list_customers(store)
    if as_json:
        click.echo(json.dumps([customer_json(each) for each in found.customers], ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(customer_lines(found)))


@fleet.command()
@click.argument("key")
@json_option
@config_option
@now_option
def show(key: str, as_json: bool, config_file: str | None, now: str | None) -> None:
    """Show a customer with everything it has, or one instance: what is ahead, and whether people were told of it.

    KEY is that of a customer or of an instance.

    \b
    Examples:
      maintsched fleet show acme
      maintsched fleet show acme-prod --json
    """
    from maintsched.cli.fleettext import standing_json, standing_lines
    from maintsched.store import open_store
    from maintsched.worker.standing import standing_of

    config, contract = open_configured(config_file)
    with open_store(config.database) as store:
        at = present(contract, now)
        standing = standing_of(store, contract, key, now=at)
    if as_json:
        click.echo(json.dumps(standing_json(standing), ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(standing_lines(standing, contract, at)))


@fleet.command()
@click.argument("contact", metavar="CUSTOMER/CONTACT")
@yes_option
@config_option
@now_option
def erase(contact: str, yes: bool, config_file: str | None, now: str | None) -> None:
    """Erase the name and the address of a contact for good; the evidence stays verifiable.

    Notices that have not gone out to it are cancelled. Take the contact out of the fleet files as well, with everything
    else in them that names the person: this command does not touch files, mails and backups.

    \b
    Example:
      maintsched fleet erase acme/eva
    """
    from maintsched.cli.fleettext import erasure_lines
    from maintsched.store import open_store
    from maintsched.worker.erasure import erase as erase_data
    from maintsched.worker.erasure import find_contact

    config, contract = open_configured(config_file)
    customer, slash, key = contact.partition("/")
    if not slash:
        raise InvalidValue("CONTACT", expected="customer and contact, such as acme/eva", found=contact)
    with open_store(config.database) as store:
        if find_contact(store, customer, key).erased_at is None:
            require_yes(f"name and address of {contact} are erased for good", yes=yes)
        done = erase_data(store, customer, key, now=present(contract, now))
    click.echo("\n".join(erasure_lines(done)))
    if done.found_in:
        places = ", ".join(done.found_in)
        raise click.ClickException(f"the address of {contact} still stands in {places}: somebody typed it there")
    if done.unclean:
        raise click.ClickException(f"the database file still holds the bytes ({done.unclean}): give the command again")

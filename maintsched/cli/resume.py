"""`maintsched resume`: a pause ends."""

import click

from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present


@click.command()
@click.argument("key")
@option("--reason", default="", metavar="TEXT", help="Why work may go on; it is kept in the journal.")
@config_option
@now_option
def resume(key: str, reason: str, config_file: str | None, now: str | None) -> None:
    """End a pause. Runs go on with the next pass, if nothing else holds them.

    \b
    Example:
      maintsched resume 2026-11-23 --reason "the storage was replaced"
    """
    from maintsched.cli.pause import lines
    from maintsched.store import open_store
    from maintsched.worker.pauses import list_pauses, resume_work

    config, contract = open_configured(config_file)
    with open_store(config.database) as store:
        done = resume_work(store, key, now=present(contract, now), reason=reason)
        others = [each for each in list_pauses(store) if set(each.instances) & set(done.instances)]
    click.echo("\n".join(lines(done, contract.zone)))
    for each in others:
        click.echo(
            f"  still held by pause {each.pause.key}: {len(set(each.instances) & set(done.instances)):,} of them"
        )

"""`maintsched release`: what can be installed, what was taken back, what instances stay at."""

import json

import click

from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present
from maintsched.cli.releaselines import (
    added_lines,
    outlook_json,
    outlook_lines,
    pin_json,
    pin_line,
    release_json,
    release_line,
    withdrawn_lines,
)
from maintsched.facts import ChangeClass, Pin, Release
from maintsched.version import Version

CLASSES = tuple(str(each) for each in ChangeClass if each is not ChangeClass.OS)


@click.group()
def release() -> None:
    """Enter releases, take bad ones back, let instances stay at a version; see what an instance gets, and why.

    \b
    Examples:
      maintsched release add 12.1.0 --class major --changes "New search" --estimate 45min
      maintsched release list --instance acme-prod
    """


@release.command()
@click.argument("version")
@option("--component", metavar="NAME", help="Component of the contract.  [the one that can be deferred]")
@option("--track", "tracks", metavar="NAME", multiple=True, help="Channel it ships on; may be repeated.  [every one]")
@option("--class", "change_class", type=click.Choice(CLASSES), required=True, help="How far the change reaches.")
@option("--changes", default="", metavar="TEXT", help="What is new, for people.")
@option("--estimate", metavar="LENGTH", help="How long its installation takes: 45min, '1 h 30 min'.")
@option("--available", default="now", show_default=True, metavar="D", help="From when on it may be installed.")
@option("--carries", metavar="VERSION", multiple=True, help="Version whose changes it holds too; may be repeated.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def add(
    version: str,
    component: str | None,
    tracks: tuple[str, ...],
    change_class: str,
    changes: str,
    estimate: str | None,
    available: str,
    carries: tuple[str, ...],
    as_json: bool,
    config_file: str | None,
    now: str | None,
) -> None:
    """Enter a release; the windows that take it are named. It goes in wave by wave, newest first.

    A release holds every lower version of its component. With --carries it also holds changes of higher ones, such as a
    security release with a backport of a larger update: it then stays out where that one is deferred.

    \b
    Examples:
      maintsched release add 12.1.0 --class major --track steady --changes "New search" --estimate 45min
      maintsched release add 16.5 --component database --class minor --available 2026-12-01
    """
    from maintsched.cli.spoken import read_length, read_spoken
    from maintsched.store import open_store
    from maintsched.worker.releases import add_release

    config, contract = open_configured(config_file)
    at = present(contract, now)
    wanted = Release(
        version=Version.parse(version),
        change_class=ChangeClass(change_class),
        available_at=read_spoken(available, now=at, zone=contract.zone, option="--available"),
        component=component or contract.deferral.component,
        tracks=tracks,
        changes=changes,
        estimate=read_length(estimate, option="--estimate") if estimate else None,
        carries=tuple(Version.parse(each) for each in carries),
    )
    with open_store(config.database) as store:
        done = add_release(store, contract, wanted, now=at)
    if as_json:
        click.echo(json.dumps(release_json(done.release, contract, done), ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(added_lines(done, contract)))


@release.command("list")
@option("--component", metavar="NAME", help="Only releases of this component.")
@option("--instance", metavar="K", help="What this instance gets and when, and why it does not get the others.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def list_them(
    component: str | None, instance: str | None, as_json: bool, config_file: str | None, now: str | None
) -> None:
    """List the releases that are known, or what becomes of each of them in one instance.

    \b
    Examples:
      maintsched release list --component intrexx
      maintsched release list --instance acme-prod
    """
    from maintsched.errors import UnknownName
    from maintsched.store import open_store
    from maintsched.worker.pins import outlook_of
    from maintsched.worker.releases import list_releases

    config, contract = open_configured(config_file)
    at = present(contract, now)
    with open_store(config.database) as store:
        if instance is None:
            listed = list_releases(store, contract, component=component)
            rows = [release_json(each, contract) for each in listed]
            lines = [release_line(each, contract) for each in listed] or ["no releases"]
        else:
            if component is not None and component not in contract.components:
                raise UnknownName("component", found=component, known=contract.components)
            found = outlook_of(store, contract, instance, now=at)
            rows = outlook_json(found, contract, component)
            lines = list(outlook_lines(found, contract, component))
    click.echo(json.dumps(rows, ensure_ascii=False, indent=2) if as_json else "\n".join(lines))


@release.command()
@click.argument("version")
@option("--component", metavar="NAME", help="Component of the contract.  [the one that can be deferred]")
@option("--reason", required=True, metavar="TEXT", help="Why it is taken back; plans show it.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def withdraw(
    version: str, component: str | None, reason: str, as_json: bool, config_file: str | None, now: str | None
) -> None:
    """Take a release back that turned out bad: it goes into no window any more, a newer one that holds it does.

    Where it is installed already it stays; those instances are named, and so are the windows that would have taken it.

    \b
    Example:
      maintsched release withdraw 12.1.0 --reason "loses attachments"
    """
    from maintsched.store import open_store
    from maintsched.worker.releases import withdraw_release

    config, contract = open_configured(config_file)
    of, at = component or contract.deferral.component, present(contract, now)
    with open_store(config.database) as store:
        done = withdraw_release(store, contract, of, Version.parse(version), reason=reason, now=at)
    if as_json:
        click.echo(json.dumps(release_json(done.release, contract, done), ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(withdrawn_lines(done, contract)))


@release.command()
@click.argument("version")
@option("--component", metavar="NAME", help="Component of the contract.  [the one that can be deferred]")
@option("--reason", required=True, metavar="TEXT", help="Why it may go in again.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def restore(
    version: str, component: str | None, reason: str, as_json: bool, config_file: str | None, now: str | None
) -> None:
    """Let a release that was taken back go in again.

    \b
    Example:
      maintsched release restore 12.1.0 --reason "the attachments were lost by a plug-in"
    """
    from maintsched.store import open_store
    from maintsched.worker.releases import restore_release

    config, contract = open_configured(config_file)
    of, at = component or contract.deferral.component, present(contract, now)
    with open_store(config.database) as store:
        done = restore_release(store, contract, of, Version.parse(version), reason=reason, now=at)
    if as_json:
        click.echo(json.dumps(release_json(done.release, contract, done), ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(added_lines(done, contract)))


# --- versions that instances stay at ----------------------------------------------------------------------------------


@release.command()
@click.argument("instance")
@click.argument("version")
@option("--component", metavar="NAME", help="Component of the contract.  [the one that can be deferred]")
@option("--until", metavar="D", help="When it goes on by itself.  [when somebody unpins it]")
@option("--no-security", is_flag=True, help="Keep security releases out as well.")
@option("--reason", required=True, metavar="TEXT", help="Why; plans show it.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def pin(
    instance: str,
    version: str,
    component: str | None,
    until: str | None,
    no_security: bool,
    reason: str,
    as_json: bool,
    config_file: str | None,
    now: str | None,
) -> None:
    """Let an instance stay at a version: it gets nothing newer of the component, until it is unpinned.

    Security releases go on, as far as they bring no other newer change. A pin is the provider's own decision. If the
    customer wants a larger update later, use `maintsched defer`, which keeps the limits of the contract.

    \b
    Example:
      maintsched release pin acme-prod 12.0.4 --reason "a plug-in needs this version" --until 2027-02-01
    """
    from maintsched.cli.spoken import read_spoken
    from maintsched.store import open_store
    from maintsched.worker.pins import add_pin

    config, contract = open_configured(config_file)
    at = present(contract, now)
    wanted = Pin(
        instance=instance,
        version=Version.parse(version),
        start=at,
        reason=reason,
        until=None if until is None else read_spoken(until, now=at, zone=contract.zone, option="--until"),
        component=component or contract.deferral.component,
        security=not no_security,
    )
    with open_store(config.database) as store:
        before = add_pin(store, contract, wanted, now=at)
    if as_json:
        click.echo(json.dumps(pin_json(wanted, contract), ensure_ascii=False, indent=2))
        return
    click.echo(pin_line(wanted, contract))
    if before is not None:
        click.echo(f"  instead of {before.version}")


@release.command()
@click.argument("instance")
@option("--component", metavar="NAME", help="Component of the contract.  [the one that can be deferred]")
@option("--reason", required=True, metavar="TEXT", help="Why it goes on.")
@config_option
@now_option
def unpin(instance: str, component: str | None, reason: str, config_file: str | None, now: str | None) -> None:
    """Let a pinned instance go on: the next window takes what it was spared.

    \b
    Example:
      maintsched release unpin acme-prod --reason "the plug-in was renewed"
    """
    from maintsched.store import open_store
    from maintsched.worker.pins import end_pin

    config, contract = open_configured(config_file)
    of, at = component or contract.deferral.component, present(contract, now)
    with open_store(config.database) as store:
        gone = end_pin(store, contract, instance, of, reason=reason, now=at)
    click.echo(f"{gone.instance}: {gone.component} is not pinned to {gone.version} any more")


@release.command()
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def pins(as_json: bool, config_file: str | None, now: str | None) -> None:
    """List the instances that stay at a version.

    \b
    Example:
      maintsched release pins
    """
    from maintsched.store import open_store
    from maintsched.worker.pins import list_pins

    config, contract = open_configured(config_file)
    with open_store(config.database) as store:
        found = list_pins(store, now=present(contract, now))
    if as_json:
        click.echo(json.dumps([pin_json(each, contract) for each in found], ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(pin_line(each, contract) for each in found) or "nothing is pinned")

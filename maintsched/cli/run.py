"""`maintsched run`: update runs and their steps."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from maintsched.cli.configured import config_option
from maintsched.cli.houses import opened
from maintsched.cli.options import now_option, option
from maintsched.errors import printable
from maintsched.runs import APPROVABLE, ENDS, RunState

if TYPE_CHECKING:
    from maintsched.contract import Contract
    from maintsched.store.runs import KeptRun


@click.group()
def run() -> None:
    """Update runs: the work of one instance in one window, step by step.

    A run is called run/<window>/<instance>, the slash of the window written ":".

    \b
    Examples:
      maintsched run list
      maintsched run show run/monthly:2026-12/acme-prod
    """


@run.command("list")
@option("--window", metavar="ID", help="Only of this window.")
@option("--instance", metavar="K", help="Only of this instance.")
@option("--state", "states", type=click.Choice([str(each) for each in RunState]), multiple=True, help="Only in it.")
@option("--open", "open_only", is_flag=True, help="Only those that are not over.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def list_them(
    window: str | None,
    instance: str | None,
    states: tuple[str, ...],
    open_only: bool,
    as_json: bool,
    config_file: str | None,
    now: str | None,
) -> None:
    """List runs in the order of their windows, with what holds them.

    \b
    Examples:
      maintsched run list --window monthly/2026-12
      maintsched run list --state failed_dirty --state interrupted --json
    """
    from maintsched.worker.operating import list_runs

    wanted = set(states) or None
    if open_only:
        wanted = {str(each) for each in RunState if each not in ENDS} & (wanted or {str(each) for each in RunState})
    with opened(config_file, now) as house:
        found = list_runs(house.store, window=window, instance=instance, states=wanted)
        contract = house.contract
    if as_json:
        click.echo(json.dumps([run_json(each) for each in found], ensure_ascii=False, indent=2))
        return
    for kept in found:
        click.echo("\n".join(_lines(kept, contract)))
    if not found:
        click.echo("no runs: they are entered when a window opens in which something goes in")


@run.command()
@click.argument("key", metavar="RUN")
@option("--output", is_flag=True, help="With the end of what each step printed.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@now_option
def show(key: str, output: bool, as_json: bool, config_file: str | None, now: str | None) -> None:
    """Show a run: how it stands, what holds it and why, what was done step by step.

    \b
    Example:
      maintsched run show run/monthly:2026-12/acme-prod --output
    """
    from maintsched.report.runwords import explain_run
    from maintsched.worker.operating import see_run

    with opened(config_file, now) as house:
        at = house.clock()
        seen = see_run(house, key, now=at)
        contract = house.contract
    if as_json:
        found = run_json(seen.kept) | {"steps": [_step_json(each.step) for each in seen.steps]}
        found["holds"] = [{"gate": str(each.gate), "fact": each.fact, "clause": each.clause} for each in seen.holds]
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    steps = [each.step for each in seen.steps]
    for paragraph in explain_run(seen.kept.run, steps, seen.holds, contract=contract, now=at):
        click.secho(printable(paragraph.title), bold=True)
        for line in paragraph.lines:
            click.echo(f"  {printable(line)}")
    for change in seen.kept.applied:
        before, after = change["before"] or "not known", change["after"] or "removed"
        click.echo(f"  changed: {printable(str(change['name']))} {printable(str(before))} -> {printable(str(after))}")
    for step in steps if output else ():
        if step.tail:
            click.secho(f"attempt {step.attempt}, {step.name}", bold=True)
            click.echo("\n".join(f"  {printable(line)}" for line in step.tail.splitlines()))


@run.command()
@click.argument("key", metavar="RUN")
@option("--reason", required=True, metavar="TEXT", help="What was looked at, or mended; it is kept as evidence.")
@option(
    "--step",
    "fate",
    type=click.Choice(("again", "done", "failed")),
    default="again",
    show_default=True,
    help="Of a step that was interrupted: run it once more, or count it as done, or as failed.",
)
@config_option
@now_option
def retry(key: str, reason: str, fate: str, config_file: str | None, now: str | None) -> None:
    """Let a run begin again, or go on where it was interrupted. Its gates are asked as ever.

    Look at the host first: a step that was interrupted may have done half of its work.

    \b
    Examples:
      maintsched run retry run/monthly:2026-12/acme-prod --reason "freed the disk"
      maintsched run retry run/monthly:2026-12/acme-prod --step done --reason "finished by hand"
    """
    from maintsched.worker.operating import StepFate
    from maintsched.worker.operating import retry as try_again

    with opened(config_file, now) as house:
        found = try_again(house, key, reason=reason, now=house.clock(), fate=StepFate(fate))
    click.echo(f"{found.key}: {found.state}, attempt {found.attempt}; the next pass takes it up")


@run.command()
@click.argument("key", metavar="RUN")
@option(
    "--gate", type=click.Choice(sorted(str(each) for each in APPROVABLE)), help="Which gate.  [the one that holds it]"
)
@option("--reason", required=True, metavar="TEXT", help="Why; it is kept as evidence.")
@config_option
@now_option
def approve(key: str, gate: str | None, reason: str, config_file: str | None, now: str | None) -> None:
    """Open a gate for a run: approval, error brake, wave or hook. No promise to a customer can be passed so.

    \b
    Example:
      maintsched run approve run/monthly:2026-12/acme-prod --reason "the two failures have another cause"
    """
    from maintsched.runs import Gate
    from maintsched.worker.operating import approve as let_pass

    with opened(config_file, now) as house:
        opened_gate = let_pass(house, key, reason=reason, now=house.clock(), gate=Gate(gate) if gate else None)
    click.echo(f"{key}: gate {opened_gate} is open for it; the next pass asks the others")


@run.command()
@click.argument("window", required=False, metavar="[WINDOW]")
@option("--every", default="2s", show_default=True, metavar="DURATION", help="How often it is looked.")
@option("--json", "as_json", is_flag=True, help="Print a line of JSON for each change, and no table.")
@config_option
@now_option
def watch(window: str | None, every: str, as_json: bool, config_file: str | None, now: str | None) -> None:
    """Watch the runs of a window until all are over: live in a terminal, or as JSON lines.

    Without WINDOW: whatever is not over.

    \b
    Examples:
      maintsched run watch monthly/2026-12
      maintsched run watch --json
    """
    from maintsched.cli.runwatch import watch_runs
    from maintsched.cli.spoken import read_length

    seconds = read_length(every, option="--every").total_seconds()
    with opened(config_file, now) as house:
        watch_runs(house, window, every=max(0.1, seconds), as_json=as_json)


# --- how they are printed ---------------------------------------------------------------------------------------------


def _lines(kept: "KeptRun", contract: "Contract") -> Iterator[str]:
    found = kept.run
    state = str(found.state).replace("_", " ")
    held = f", held by {found.gate}" if found.gate else ""
    when = found.ended_at or found.started_at or found.start
    yield f"{found.key}  {state}{held}  {when.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}"
    items = ", ".join(f"{each.component} {each.release or each.change_class}" for each in found.items)
    yield f"  {items} on {found.host}" + (f"; {printable(found.why)}" if found.why else "")


def run_json(kept: "KeptRun") -> dict[str, Any]:
    """Return a run as JSON values."""
    found = kept.run
    return {
        "run": found.key,
        "window": found.window,
        "instance": found.instance,
        "customer": found.customer,
        "host": found.host,
        "executor": found.executor,
        "state": str(found.state),
        "over": found.over,
        "gate": str(found.gate) if found.gate else None,
        "why": found.why,
        "attempt": found.attempt,
        "wave": found.wave,
        "start": found.start.isoformat(),
        "end": found.end.isoformat(),
        "started_at": found.started_at.isoformat() if found.started_at else None,
        "ended_at": found.ended_at.isoformat() if found.ended_at else None,
        "expected_seconds": found.expected_seconds,
        "items": [
            {"component": each.component, "release": each.release, "class": str(each.change_class)}
            for each in found.items
        ],
        "changed": [dict(each) for each in kept.applied],
    }


def _step_json(step: Any) -> dict[str, Any]:
    return {
        "attempt": step.attempt,
        "number": step.number,
        "name": step.name,
        "phase": step.phase,
        "part": step.part,
        "state": str(step.state),
        "tries": step.tries,
        "started_at": step.started_at.isoformat() if step.started_at else None,
        "ended_at": step.ended_at.isoformat() if step.ended_at else None,
        "exit_code": step.exit_code,
        "argv": list(step.argv),
        "output": step.tail,
    }

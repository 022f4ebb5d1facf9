"""`maintsched worker`: the passes that tell people, once or again and again."""

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from maintsched.cli.configured import config_option, open_configured
from maintsched.cli.options import now_option, option, present
from maintsched.cli.spoken import read_length
from maintsched.errors import MaintschedError, show
from maintsched.journal import instant_text
from maintsched.worker.clock import read_clock


@click.command()
@option("--once", is_flag=True, help="One pass, then stop.  [default]")
@option("--every", metavar="DURATION", help="A pass again and again: 60s, 5m, PT1M.")
@option("--resume", type=click.Choice(("again", "assume-sent")), help="After a restore: send what is in doubt, or not.")
@option("--json", "as_json", is_flag=True, help="Print JSON, one line a pass; so does --every where nobody watches.")
@now_option
@config_option
def worker(
    once: bool, every: str | None, resume: str | None, as_json: bool, now: str | None, config_file: str | None
) -> None:
    """Tell people what is due: plan, store, send, keep the proof.

    A pass that was missed or killed loses nothing: the next one carries on. Several at once are safe. Exit codes of one
    pass: 0 everything is done, 75 something is left to be tried again, 1 an operator is needed.

    \b
    Examples:
      maintsched worker --once
      maintsched worker --every 60s
    """
    if once and every is not None:
        raise click.UsageError("--once and --every exclude each other: give one of them")
    config, contract = open_configured(config_file)
    clock = (lambda: present(contract, now)) if now is not None else read_clock
    if resume is not None:
        _resume(config, contract, clock, resume)
    if every is None:
        sys.exit(_pass(config, contract, clock, as_json))
    from maintsched.worker.passes import again_and_again

    as_json = as_json or not sys.stdout.isatty()  # nobody watches: each pass is one record
    again_and_again(lambda: _carefully(config, contract, clock, as_json), every=_seconds(every))


def _resume(config: Any, contract: Any, clock: Callable[[], datetime], how: str) -> None:
    """Leave the hold after a restore, before the pass."""
    from maintsched.worker.house import open_house
    from maintsched.worker.restore import Resume, resume

    with open_house(config, contract, clock) as house:
        hold = resume(house, Resume(how), now=clock())
    said = "are sent again" if how == "again" else "are not sent"
    click.echo(f"{len(hold.doubtful)} notices that were in doubt {said}; a new epoch has begun", err=True)


def _carefully(config: Any, contract: Any, clock: Callable[[], datetime], as_json: bool) -> int:
    """Make a pass; what goes wrong in one does not end the next."""
    try:
        return _pass(config, contract, clock, as_json)
    except MaintschedError as error:
        if as_json:
            record = {"action": "pass", "at": instant_text(clock()), "exit_code": 1, "problems": [str(error)]}
            click.echo(json.dumps(record, ensure_ascii=False))
        else:
            click.echo(f"Error: {error}", err=True)
        return 1


def _pass(config: Any, contract: Any, clock: Callable[[], datetime], as_json: bool) -> int:
    from maintsched.cli.progress import progress
    from maintsched.worker.passes import one_pass

    with progress(as_json) as watcher:
        report = one_pass(config, contract, clock, watcher=watcher)
    if as_json:
        click.echo(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        for line in report.lines():
            click.echo(line)
    return int(report.exit_code)


def _seconds(text: str) -> float:
    length = read_length(text, option="--every")
    if not timedelta(seconds=1) <= length <= timedelta(days=1):
        raise click.BadParameter(f"expected 1s to 24h, got {show(text)}", param_hint="--every")
    return length.total_seconds()

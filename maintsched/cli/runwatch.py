"""The runs of a window as they go on: a table that changes, or a line of JSON for each change."""

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from maintsched.errors import printable
from maintsched.journal import instant_text
from maintsched.runs import BAD, WELL, RunState
from maintsched.store.runs import NOT_OVER, KeptRun, read_runs, read_steps

if TYPE_CHECKING:
    from maintsched.worker.house import House

_COLOURS = {RunState.PLANNED: "dim", RunState.INTERRUPTED: "red", RunState.SKIPPED: "yellow"}


def watch_runs(house: "House", window: str | None, *, every: float, as_json: bool) -> None:
    """Show runs until all are over; the first look always shows something."""
    if as_json:
        _lines(house, window, every)
        return
    with Live(console=Console(), refresh_per_second=4) as live:
        while True:
            found = _look(house, window)
            live.update(_table(house, found))
            if all(kept.run.over for kept, _ in found):
                return
            time.sleep(every)


def _lines(house: "House", window: str | None, every: float) -> None:
    said: dict[str, dict[str, Any]] = {}
    while True:
        found = _look(house, window)
        for kept, step in found:
            run = kept.run
            record = {
                "at": instant_text(house.clock()),
                "run": run.key,
                "state": str(run.state),
                "gate": str(run.gate) if run.gate else None,
                "step": step,
                "attempt": run.attempt,
                "why": run.why,
            }
            if {**record, "at": ""} != said.get(run.key):
                said[run.key] = {**record, "at": ""}
                click.echo(json.dumps(record, ensure_ascii=False))
        if all(kept.run.over for kept, _ in found):
            return
        time.sleep(every)


def _look(house: "House", window: str | None) -> list[tuple[KeptRun, str]]:
    """Return the runs, each with the step it is at."""
    with house.store.reading() as connection:
        if window is not None:
            runs = read_runs(connection, windows={window})
        else:
            runs = read_runs(connection, states=set(NOT_OVER))
        return [(kept, _step_of(kept, connection)) for kept in runs]


def _step_of(kept: KeptRun, connection: Any) -> str:
    steps = read_steps(connection, kept.run.key, kept.run.attempt)
    at = [each.step for each in steps if str(each.step.state) == "started"]
    done = sum(str(each.step.state) == "done" for each in steps)
    return f"{at[0].name} ({done + 1} of {len(steps)})" if at else f"{done} of {len(steps)} done"


def _table(house: "House", found: Iterable[tuple[KeptRun, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("instance", "state", "step", "since", "why"):
        table.add_column(title, overflow="fold")
    for kept, step in found:
        run = kept.run
        colour = "green" if run.state in WELL else "red" if run.state in BAD else _COLOURS.get(run.state, "cyan")
        since = run.ended_at or run.started_at
        why = f"{run.gate}: {run.why}" if run.gate else run.why
        shown = since.astimezone(house.contract.zone).strftime("%H:%M:%S") if since else ""
        table.add_row(run.instance, f"[{colour}]{str(run.state).replace('_', ' ')}[/]", step, shown, _plain(why))
    return table


def _plain(text: str) -> str:
    """Return text in which nothing is taken for a colour."""
    return printable(text).replace("[", r"\[")

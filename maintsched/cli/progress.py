"""Progress of a long pass: a bar where a person watches, nothing where nobody does."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def progress(as_json: bool) -> Iterator[Callable[[Any], None] | None]:
    """Give something to tell of each batch of results, or None where nobody watches."""
    if as_json or not sys.stderr.isatty():
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sending", total=None)

        def told(delivered: Any) -> None:
            counts = ", ".join(f"{count} {result}" for result, count in sorted(delivered.results.items()))
            bar.update(task, description=f"sending: {counts}")

        yield told

"""Workers as processes: `maintsched worker`, forked from a process that has imported everything, which is quicker."""

import json
import multiprocessing
import os
import signal
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from maintsched.cli import main

SECONDS_MAX = 60


@dataclass(frozen=True)
class Passed:
    """A pass that is over."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """What it says of itself."""
        found: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return found


class Worker:
    """`maintsched worker` in a process of its own, forked from one that has imported everything."""

    def __init__(self, words: list[str], output: Path) -> None:
        self.output = output
        self.process = _stem().Process(target=_called, args=(words, str(output)), daemon=True)
        self.process.start()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; it has to be there."""
        assert self.process.is_alive(), self.said()
        assert self.process.pid
        os.kill(self.process.pid, number)

    def end(self) -> int:
        """Wait for its end; return its exit code, or less than 0 for the signal that it died of."""
        self.process.join(SECONDS_MAX)
        if self.process.exitcode is None:
            self.process.kill()
            pytest.fail(f"the worker has not ended within {SECONDS_MAX} s: {self.said()}")
        return self.process.exitcode

    def said(self) -> tuple[str, str]:
        """What it wrote to stdout and to stderr."""
        paths = (self.output.with_suffix(suffix) for suffix in (".out", ".err"))
        first, second = (path.read_text() if path.exists() else "" for path in paths)
        return first, second


@cache
def _stem() -> Any:
    """Return the context of the workers; what is covered in them is not measured, since they are killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.real_stem"])
    measured = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_PROCESS")}
    forkserver.ensure_running()
    os.environ.update(measured)
    return context


def _called(words: list[str], output: str) -> None:
    for name in [each for each in os.environ if each.startswith("MAINTSCHED_")]:
        del os.environ[name]
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(output + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    main(words, prog_name="maintsched")

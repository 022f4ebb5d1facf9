"""Passes as a process makes them: one, or one again and again until it is told to stop."""

import asyncio
import signal
import threading
from collections.abc import Callable
from datetime import datetime

from maintsched.contract import Contract
from maintsched.intake.config import Config
from maintsched.worker.dispatch import Delivered
from maintsched.worker.house import open_house
from maintsched.worker.tick import TickReport, tick


def one_pass(
    config: Config,
    contract: Contract,
    clock: Callable[[], datetime],
    *,
    watcher: Callable[[Delivered], None] | None = None,
) -> TickReport:
    """Open the house, make one pass, close it."""
    with open_house(config, contract, clock) as house:
        return asyncio.run(tick(house, now=clock(), watcher=watcher))


def again_and_again(make_pass: Callable[[], int], *, every: float) -> None:
    """Make a pass every so many seconds, until the process is asked to end: then the pass that runs is finished."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        make_pass()
        stop.wait(every)

"""One pass of the worker: the whole of it in one recipe."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from maintsched.errors import MaintschedError, printable
from maintsched.journal import instant_text
from maintsched.store.evidence import count_entries
from maintsched.store.ledger import due_count, waiting_count
from maintsched.store.tables import HEADS_WRITTEN, read_meta
from maintsched.worker.bounces import has_reports, read_bounces
from maintsched.worker.dispatch import Delivered, LocalDispatch
from maintsched.worker.entering import anything_to_run
from maintsched.worker.house import House
from maintsched.worker.maintain import Maintained, maintain
from maintsched.worker.record import Recorded, nothing_new, record_due
from maintsched.worker.restore import Hold, hold_of
from maintsched.worker.runevidence import TOLD
from maintsched.worker.watch import (
    Heartbeat,
    keep_the_heads,
    leave_heartbeat,
    say_still_there,
    shortened,
    warn_of_margins,
)

LOOKED_AT = ("refused", "given_up", "expired", "suppressed", "broken")
"""Results and fates that an operator has to look at."""
ROUNDS_MAX = 5
"""How often a pass looks for notices that arose from sending others, such as alerts."""


class ExitCode(IntEnum):
    """How a pass ended, as cron and its watchers see it."""

    DONE = 0  # everything that was due is done
    OPERATOR = 1  # somebody has to look: a notice was refused or cannot be sent, a promise was broken
    AGAIN = 75  # something is left to be tried again (EX_TEMPFAIL)


@dataclass(kw_only=True)
class TickReport:
    """What a pass did."""

    at: datetime
    recorded: Recorded = field(default_factory=Recorded)
    results: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    bounces: int = 0
    hold: Hold | None = None
    """Set where nothing is sent, because the database seems to be an older copy."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with the house itself: reports that cannot be read, a journal that is behind its heads."""
    waiting: int = 0
    """Notices that were due and are not done."""
    maintained: Maintained = field(default_factory=Maintained)
    """What became of the runs."""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the pass."""
        looked_at = (self.recorded.breaches, self.bounces, self.faults, self.hold, self.maintained.parked)
        badly = any(self.maintained.ended[str(state)] for state in TOLD)
        if any(looked_at) or badly or any(self.results[name] for name in LOOKED_AT):
            return ExitCode.OPERATOR
        if self.results["deferred"] or self.results["uncertain"] or self.waiting or self.maintained.waiting:
            return ExitCode.AGAIN
        return ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """Return the report as a log record."""
        return {
            "action": "pass",
            "at": instant_text(self.at),
            "exit_code": int(self.exit_code),
            "planned": self.recorded.planned,
            "stored": len(self.recorded.notices),
            "results": dict(sorted(self.results.items())),
            "breaches": list(self.recorded.breaches),
            "bounces": self.bounces,
            "held": list(self.hold.doubtful) if self.hold else None,
            "waiting": self.waiting,
            "runs": dict(sorted(self.maintained.ended.items())),
            "runs_under_way": self.maintained.waiting,
            "problems": list(shortened(self.problems)),
        }

    def lines(self) -> Iterator[str]:
        """Return the report for people."""
        counts = ", ".join(f"{count} {result}" for result, count in sorted(self.results.items()))
        yield f"{instant_text(self.at)}  {counts or 'nothing was due'}" + (
            f"; {self.waiting} wait for another try" if self.waiting else ""
        )
        yield from self.maintained.lines()
        yield from (f"  {printable(problem)}" for problem in shortened(self.problems))


async def tick(house: House, *, now: datetime, watcher: Callable[[Delivered], None] | None = None) -> TickReport:
    """Do everything that is due at `now`. A pass that is killed anywhere is carried on by the next."""
    report = TickReport(at=now)
    idle = is_idle(house, now=now)
    report.hold = hold_of(house, now=now, quick=idle)
    if report.hold is not None:
        report.problems.extend(report.hold.lines)
        _beat(house, report, now=now)
        return report
    if idle:
        report.recorded = Recorded(planned=False)
        with house.store.reading() as connection:
            report.waiting = waiting_count(connection)
        _beat(house, report, now=now)
        return report
    with _loaded_set_aside():
        await _act(house, report, watcher, now=now)
    return report


@contextmanager
def _loaded_set_aside() -> Iterator[None]:
    """Keep what is loaded by now out of the garbage collector's sight, which would go through it several times."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _act(house: House, report: TickReport, watcher: Callable[[Delivered], None] | None, *, now: datetime) -> None:
    try:
        report.bounces = len(read_bounces(house, now=now))
    except MaintschedError as error:  # what cannot be read must not keep mails from going out
        report.faults.append(str(error))
    report.recorded = record_due(house, now=now)
    await deliver(house, report, watcher)
    report.maintained = await maintain(house, now=now)
    warn_of_margins(house, now=now)
    say_still_there(house, now=now)
    await deliver(house, report, watcher)
    _look_back(house, report, now=now)


def is_idle(house: House, *, now: datetime) -> bool:
    """Say whether nothing can be due: nothing waits, no report came in, and nothing changed since the last plan.

    A pass that was killed may also have left heads that are not in their file yet.
    """
    if house.config.worker.heartbeat_mail or has_reports(house):
        return False
    with house.store.reading() as connection:
        if due_count(connection, now) or not nothing_new(house, connection, now):
            return False
        if anything_to_run(house, connection, now):
            return False
        return read_meta(connection, HEADS_WRITTEN) == str(count_entries(connection))


async def deliver(house: House, report: TickReport, watcher: Callable[[Delivered], None] | None = None) -> None:
    """Send what is due, and what sending it gave rise to."""
    for _ in range(ROUNDS_MAX):
        delivered = await LocalDispatch(house, watcher=watcher).deliver()
        report.results.update(delivered.results)
        report.problems.extend(each for each in delivered.problems if each not in report.problems)
        if not delivered.tried:
            return


def _look_back(house: House, report: TickReport, *, now: datetime) -> None:
    with house.store.reading() as connection:
        report.waiting = max(due_count(connection, now), waiting_count(connection))
    report.problems.extend(f"promise broken: {key}" for key in report.recorded.breaches)
    report.faults += keep_the_heads(house, now=now)
    report.problems.extend(report.faults)
    report.problems.extend(report.maintained.problems)
    _beat(house, report, now=now)


def _beat(house: House, report: TickReport, *, now: datetime) -> None:
    beat = Heartbeat(
        at=now,
        exit_code=int(report.exit_code),
        results=dict(report.results),
        problems=shortened(report.problems),
    )
    leave_heartbeat(house, beat)

"""Two sides of one question, measured in turns in the same run.

Absolute times say more about the machine and the hour than about the code, so that only ratios are goals. Times are CPU
time: another process that wants the machine costs little here. A machine may change its pace from one second to the
next, so that the ratio is taken turn by turn, and the median of the turns counts.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to do the work: `answer` does it once, `cost` says how many seconds of CPU it takes."""

    answer: Callable[[], object]
    cost: Callable[[], float]


def in_process(work: Callable[[], object], *, times: int = 1, before: Callable[[], None] = lambda: None) -> Side:
    """Return a side that calls `work` here; `before` is not timed and comes before each of the `times` calls."""

    def cost() -> float:
        spent = 0.0
        for _ in range(times):
            before()
            began = time.process_time()
            work()
            spent += time.process_time() - began
        return spent / times

    return Side(answer=work, cost=cost)


def as_process(*command: str) -> Side:
    """Return a side that is a process of its own, from its first instruction to its last; it answers what it prints."""
    return Side(
        answer=lambda: subprocess.run(command, check=True, capture_output=True, text=True).stdout,
        cost=lambda: _cpu_of(command),
    )


def _cpu_of(command: tuple[str, ...]) -> float:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A limit: the reference takes at least `times` as long as ours, or ours at most `share` of the reference.

    `rate` is a share the other way round, for what is faster than ours can be: at least that much of its speed.
    """

    times: float | None = None
    share: float | None = None
    rate: float | None = None

    def __str__(self) -> str:
        """Say it in words."""
        if self.times is not None:
            return f"at least {self.times:g}x faster"
        if self.rate is not None:
            return f"at least {self.rate:.2f} of its rate"
        return "none" if self.share is None else f"at most {_share(self.share)} of its time"

    def reached(self, share: float) -> str:
        """Say what was reached, in the unit of the goal."""
        if self.times is not None:
            return f"{1 / share:.3g}x faster"
        if self.rate is not None:
            return f"{1 / share:.2g} of its rate"
        return f"{_share(share)} of its time"

    def met(self, share: float) -> bool | None:
        """Say whether it was met; None where there is no limit."""
        if self.times is not None:
            return 1 / share >= self.times
        if self.rate is not None:
            return 1 / share >= self.rate
        return None if self.share is None else share <= self.share


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measured line of the table."""

    work: str
    reference: str
    goal: str
    reached: str
    met: bool | None
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A question, our side and the reference's; both have to give the same answer unless `same` says otherwise."""

    work: str
    reference: str
    goal: Goal
    how: str
    ours: Side
    theirs: Side
    turns: int = 15
    same: bool = True

    def measure(self) -> Line:
        """Measure both sides in turns."""
        costs = [(self.ours.cost(), self.theirs.cost()) for _ in range(self.turns)]
        share = median(ours / theirs for ours, theirs in costs)
        ours, theirs = (median(side) for side in zip(*costs, strict=True))
        return Line(
            work=self.work,
            reference=self.reference,
            goal=str(self.goal),
            reached=f"{self.goal.reached(share)} ({_time(ours)} to {_time(theirs)})",
            met=self.goal.met(share),
            how=self.how,
        )

    def differences(self) -> Iterator[str]:
        """Return where the two sides do not give the same answer."""
        ours, theirs = self.ours.answer(), self.theirs.answer()
        if self.same and ours != theirs:
            yield f"{self.work}: {ours!r:.300} is not {theirs!r:.300}"


def _share(share: float) -> str:
    return f"{share:.2f}" if share >= 0.1 else f"{share:.2g}"


def _time(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"

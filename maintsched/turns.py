"""Whose turn it is: error brakes, waves with their soak, one run a host, and limits of how many go on at once.

All of it follows from the runs alone: those that wait, those under way, those that ended in the same windows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple

from maintsched.localtime import utc
from maintsched.runs import BAD, UNDER_WAY, Gate, Run, RunState, RunTerms

_SHUT = frozenset({Gate.EXECUTOR, Gate.CONSENT, Gate.SUBSCRIPTION})
"""Gates that do not open by themselves within a window: whom they hold is not waited for by the waves that follow."""
NAMES_MAX = 3
"""Runs that a reason names; of more, it says how many."""


class Wait(NamedTuple):
    """What a run waits for; `why` is empty where it waits for nothing. `until` is known for a soak alone."""

    why: str
    until: datetime | None = None


NOTHING = Wait("")


class _WindowRuns:
    """What is known of the runs of one window."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.open: dict[int, list[str]] = defaultdict(list)
        """Instances whose runs are not over, by wave."""
        self.last_end: dict[int, datetime] = {}
        self.bad: dict[int, list[str]] = defaultdict(list)
        """Instances whose runs ended badly, by wave."""


class Turns:
    """Brakes, waves, hosts and limits among some runs; a run that is begun is counted with `take`."""

    def __init__(self, terms: RunTerms, runs: Iterable[Run], ended: Iterable[Run], *, now: datetime) -> None:
        """Count the runs that are not over, and those that are. A run that is named twice counts once."""
        self.terms, self.now = terms, utc(now, "now")
        self.total, self.of_customer = 0, Counter[str]()
        self._at_host: dict[str, set[str]] = defaultdict(set)
        self._at_instance: dict[str, set[str]] = defaultdict(set)
        self._windows: dict[str, _WindowRuns] = defaultdict(_WindowRuns)
        self._brakes: dict[str, str] = {}
        self._waves: dict[tuple[str, int], Wait] = {}
        for run in chain(runs, ended):
            self._enter(run)

    def _enter(self, run: Run) -> None:
        known = self._windows[run.window]
        if run.instance in known.seen:
            return
        known.seen.add(run.instance)
        if run.state is RunState.PLANNED and run.gate in _SHUT:
            return
        if not run.over:
            known.open[run.wave].append(run.instance)
            if run.state in UNDER_WAY:
                self.take(run)
            return
        if run.state in BAD:
            known.bad[run.wave].append(f"{run.instance} ({run.state})")
        end = utc(run.ended_at or run.end)  # where nobody wrote down an end, it is no earlier than the window's
        known.last_end[run.wave] = max(known.last_end.get(run.wave, end), end)

    def take(self, run: Run) -> None:
        """Count a run as under way."""
        self.total += 1
        self.of_customer[run.customer] += 1
        self._at_host[run.host.lower()].add(run.key)
        self._at_instance[run.instance].add(run.key)

    def brake(self, run: Run) -> str:
        """Return which failures stop everything in the window of a run; empty: none do."""
        found = self._brakes.get(run.window)
        if found is None:
            found = self._brakes[run.window] = self._brake(run.window)
        return found

    def _brake(self, window: str) -> str:
        bad = self._windows[window].bad
        for wave in sorted(bad):
            if 0 < self.terms.failures_per_wave <= len(bad[wave]):
                return f"{_failed(bad[wave])} in wave {wave} of {window}"
        in_all = [each for names in bad.values() for each in names]
        return f"{_failed(in_all)} in {window}" if 0 < self.terms.failures_in_all <= len(in_all) else ""

    def wave(self, run: Run) -> Wait:
        """Return what the wave of a run waits for: lower waves of its window that are not over, or have not soaked."""
        named = run.window, run.wave
        found = self._waves.get(named)
        if found is None:
            found = self._waves[named] = self._wave(self._windows[run.window], run.wave)
        return found

    def _wave(self, known: _WindowRuns, wave: int) -> Wait:
        lower = [each for each in known.open if each < wave]
        if lower:
            waiting = known.open[min(lower)]
            return Wait(f"wave {min(lower)} is not over: {names_of(waiting)}")
        ends = [end for each, end in known.last_end.items() if each < wave]
        until = max(ends) + timedelta(minutes=self.terms.wave_soak_minutes) if ends else self.now
        soak = f"{self.terms.wave_soak_minutes} minutes have to pass after the last run of the waves before"
        return Wait(soak, until) if until > self.now else NOTHING

    def host(self, run: Run) -> str:
        """Return the other run that is at the host of a run, or at its instance elsewhere; empty: none is."""
        there, mine = self._at_host.get(run.host.lower()), self._at_instance.get(run.instance)
        if not there and not mine:
            return ""
        return min((each for each in (*(there or ()), *(mine or ())) if each != run.key), default="")

    def limit(self, run: Run) -> str:
        """Return the limit that keeps a run from beginning; empty: none does, or it has begun."""
        if run.state in UNDER_WAY:
            return ""
        if self.total >= self.terms.at_once:
            return f"{self.total} runs are under way, runs.at_once is {self.terms.at_once}"
        mine = self.of_customer[run.customer]
        if mine >= self.terms.per_customer:
            return f"{mine} runs of {run.customer} are under way, runs.per_customer is {self.terms.per_customer}"
        return ""


def _failed(names: list[str]) -> str:
    return f"{len(names)} {'run' if len(names) == 1 else 'runs'} failed, {names_of(names)},"


def names_of(names: Iterable[str]) -> str:
    """Name some things in order; of more than three, say how many."""
    ordered = sorted(names)
    more = f" and {len(ordered) - NAMES_MAX} more" if len(ordered) > NAMES_MAX else ""
    return ", ".join(ordered[:NAMES_MAX]) + more

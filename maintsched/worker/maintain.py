"""Does the work whose window is open and whose notice is proved: the part of a pass that touches hosts."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from maintsched.gates import Decision, decide
from maintsched.journal import instant_text
from maintsched.localtime import utc
from maintsched.runs import UNDER_WAY, Gate, Hold, Run, RunState
from maintsched.store.evidence import append
from maintsched.store.fleets import customers_on
from maintsched.store.orders import read_approvals
from maintsched.store.runs import (
    KeptRun,
    read_run,
    read_runs,
    windows_since,
    write_run,
)
from maintsched.worker.alerts import record_alerts
from maintsched.worker.carry import Carrier, Going, Gone, Hands
from maintsched.worker.crews import known_crews
from maintsched.worker.dispatch import owner_name
from maintsched.worker.entering import RECENT, anything_to_run, enter_due
from maintsched.worker.grounds import hooks_in_the_way, read_ground
from maintsched.worker.hooking import call_after, call_before
from maintsched.worker.house import House
from maintsched.worker.runevidence import ended_event, held_alert, overrun_alert, skipped_alert
from maintsched.worker.worknotices import record_work, tell_of_work

AROUND = 500
"""Customers up to which a decision reads these alone, instead of the whole fleet."""
RESTS = 2
"""How many times as long as a decision took the next one is put off: of very many runs, each takes its time."""


@dataclass(kw_only=True)
class Maintained:
    """What a pass did with the runs."""

    entered: tuple[str, ...] = ()
    ended: Counter[str] = field(default_factory=Counter)
    """How many ended in which state."""
    waiting: int = 0
    """Runs that are under way on their hosts, or wait for somebody."""
    parked: int = 0
    """Those of them that wait for an operator."""
    problems: list[str] = field(default_factory=list)
    """What an operator has to look at, one line each."""
    put_back: list[str] = field(default_factory=list)
    """Runs that could not begin although their gates were open, with the reason."""
    windows: set[str] = field(default_factory=set)
    """Windows in which something happened."""

    def note(self, run: Run) -> None:
        """Count a run that is over."""
        self.ended[str(run.state)] += 1
        self.windows.add(run.window)

    def lines(self) -> Iterator[str]:
        """Return it for people; nothing where there was nothing to do."""
        counts = [f"{count} {state.replace('_', ' ')}" for state, count in sorted(self.ended.items())]
        counts += [f"{self.waiting} under way"] if self.waiting else []
        if counts:
            yield f"  runs: {', '.join(counts)}"


async def maintain(house: House, *, now: datetime, watcher: Callable[[KeptRun], None] | None = None) -> Maintained:
    """Enter the runs that are due, end those whose window is over, carry on those that may, tell of what came of it."""
    done = Maintained()
    with house.store.reading() as connection:
        if not anything_to_run(house, connection, now):
            return done
    entered = enter_due(house, now=now)
    done.entered = entered.runs
    done.problems += [f"no executor: {line}" for line in entered.by_hand]
    await _Round(house, done, watcher).work()
    _look_at_the_clock(house, done)
    await call_after(house, done.windows | _recent(house, now), now=house.clock())
    tell_of_work(house, done.windows, now=house.clock())
    return done


class _Round:
    """All runs in the hands of one pass."""

    def __init__(self, house: House, done: Maintained, watcher: Callable[[KeptRun], None] | None) -> None:
        self.house = house
        self.done = done
        self.watcher = watcher
        self.under_way: dict[asyncio.Task[Going], str] = {}
        self.tried: set[str] = set()
        """Runs that this pass has carried as far as they go."""
        self.asked: set[str] = set()
        """Runs whose hooks this pass has called."""

    async def work(self) -> None:
        """Carry on all that may, the next as soon as one makes room, until none is left or the time is up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.house.config.runs.patience_seconds
        hands = Hands(owner=owner_name(), until=until, changed=self._changed)
        self._take_on(self._begun(), hands)
        while True:
            began = loop.time()
            self._take_on(await self._decided(), hands)
            if not self.under_way:
                return
            for task in await self._ended(loop.time() + RESTS * (loop.time() - began)):
                self._came_back(self.under_way.pop(task), task)

    async def _ended(self, rested: float) -> set[asyncio.Task[Going]]:
        """Wait until a run makes room, and at least until `rested`, unless all of them end before."""
        ended, others = await asyncio.wait(self.under_way, return_when=asyncio.FIRST_COMPLETED)
        left = rested - asyncio.get_running_loop().time()
        if others and left > 0:
            more, _ = await asyncio.wait(others, timeout=left)
            ended |= more
        return ended

    def _take_on(self, keys: Iterable[str], hands: Hands) -> None:
        for key in keys:
            if key not in self.tried:
                self.tried.add(key)
                self.under_way[asyncio.create_task(Carrier(self.house, key, hands).carry())] = key

    def _changed(self, kept: KeptRun) -> None:
        if self.watcher is not None:
            self.watcher(kept)

    def _came_back(self, key: str, task: asyncio.Task[Going]) -> None:
        try:
            task.result()
        except Gone as error:
            self.done.problems.append(str(error))
        with self.house.store.reading() as connection:
            run = read_run(connection, key).run
        self.done.windows.add(run.window)
        if run.over:
            self.done.note(run)
        elif run.state is RunState.PLANNED and run.why:
            self.done.put_back.append(f"{run.key}: {run.why}")

    def _begun(self) -> list[str]:
        with self.house.store.reading() as connection:
            found = read_runs(connection, states={str(each) for each in UNDER_WAY})
        return [each.run.key for each in found]

    async def _decided(self) -> tuple[str, ...]:
        """Return the runs that may begin, once the hooks before them have been called.

        What was tried in vain in this pass takes nobody's place, and a hook that fails holds its own run alone.
        """
        now, tried = self.house.clock(), set(self.tried)
        while self.house.config.hooks:
            with self.house.store.reading() as connection:
                waiting = runs_that_wait(connection)
                first = decision_at(connection, self.house, waiting, now=now, tried=tried, hooked=False)
            starting = [waiting[key].run for key in first.start if key not in self.asked]
            if not starting:
                break
            self.asked |= {run.key for run in starting}
            await call_before(self.house, starting, now=now)
            with self.house.store.reading() as connection:
                failed = set(hooks_in_the_way(connection, self.house, starting))
            if not failed:
                break
            tried |= failed
        with self.house.store.reading() as connection:
            waiting = runs_that_wait(connection)
            decision = decision_at(connection, self.house, waiting, now=now, tried=self.tried)
        self._write(waiting, decision, now)
        return decision.start

    def _write(self, waiting: Mapping[str, KeptRun], decision: Decision, now: datetime) -> None:
        """Write down what became of runs that do not begin; one that somebody has taken up meanwhile is left alone."""
        changed = [(waiting[key], hold) for key, hold in decision.held.items() if _is_news(waiting[key].run, hold)]
        if not (changed or decision.over or decision.cancelled):
            return
        with self.house.store.writing() as connection:
            still = runs_that_wait(connection)
            skipped = [still[key] for key in decision.over if key in still]
            _skip(connection, self.house, skipped, now)
            for kept in skipped:
                self.done.note(replace(kept.run, state=RunState.SKIPPED))
            for key in decision.cancelled:
                if key in still:
                    why = "its window was moved or cancelled"
                    _close(connection, self.house, still[key], RunState.CANCELLED, why, now)
            _note(connection, self.house, [(kept, hold) for kept, hold in changed if kept.run.key in still], now)


def runs_that_wait(connection: Connection) -> dict[str, KeptRun]:
    """Return the runs that wait for their gates, by key."""
    return {each.run.key: each for each in read_runs(connection, states={str(RunState.PLANNED)})}


def decision_at(
    connection: Connection,
    house: House,
    waiting: Mapping[str, KeptRun],
    *,
    now: datetime,
    tried: Collection[str],
    hooked: bool = True,
) -> Decision:
    """Return what becomes of the runs that wait, at `now`. `hooked`: hooks are asked as well."""
    planned = [each.run for each in waiting.values()]
    if not planned:
        return Decision(held={})
    under_way = [each.run for each in read_runs(connection, states={str(each) for each in UNDER_WAY})]
    runs = [*planned, *under_way]
    customers = {each.customer for each in planned} | customers_on(connection, {each.host for each in planned})
    ground = read_ground(connection, house, now=now, customers=customers if len(customers) <= AROUND else None)
    ended = [each.run for each in read_runs(connection, windows={each.window for each in planned}) if each.run.over]
    return decide(
        house.contract,
        house.config.runs,
        runs,
        ground.register,
        now=now,
        approvals=read_approvals(connection),
        known_executors=known_crews(house.config),
        ended=ended,
        confirmed=ground.register.confirmed,
        hooks=hooks_in_the_way(connection, house, planned) if hooked else {},
        tried=tried,
    )


def _recent(house: House, now: datetime) -> set[str]:
    """Return the windows that ended not long ago: what failed to be told of their end is told again."""
    if not house.config.hooks:
        return set()
    with house.store.reading() as connection:
        return windows_since(connection, utc(now) - RECENT)


TOLD_AT_ONCE = frozenset(
    {
        Gate.WINDOW,
        Gate.SUBSCRIPTION,
        Gate.CONSENT,
        Gate.EXECUTOR,
        Gate.NOTICE,
        Gate.CUT_OFF,
        Gate.APPROVAL,
        Gate.BRAKE,
        Gate.HOOK,
    }
)
"""Gates of which an operator hears as soon as they hold work back; others open by themselves, or by who shut them."""
_VOLATILE = frozenset({Gate.WAVE, Gate.HOST, Gate.LIMIT})
"""Gates whose facts change with every run that begins or ends."""


def _is_news(run: Run, hold: Hold) -> bool:
    """Say whether it is not known yet that a gate holds a run, and why."""
    return run.gate is not hold.gate or (run.why != hold.fact and hold.gate not in _VOLATILE)


def _note(connection: Connection, house: House, held: Iterable[tuple[KeptRun, Hold]], now: datetime) -> None:
    """Note which gate holds each run that waits, and tell an operator of what nobody else will see to (law 9)."""
    alerts = []
    for kept, hold in held:
        run = kept.run
        write_run(connection, replace(kept, run=replace(run, gate=hold.gate, why=hold.fact)), now=now)
        if hold.gate in TOLD_AT_ONCE and run.gate is not hold.gate:
            alerts.append(held_alert(run, hold))
    record_alerts(connection, house.contract, alerts, now)


def _skip(connection: Connection, house: House, skipped: Collection[KeptRun], now: datetime) -> None:
    """End runs whose window is over; those that the same gate held are told of together."""
    alerts = []
    for kept in skipped:
        why = kept.run.why or "nobody was there to do it: no pass was made while the window was open"
        _close(connection, house, kept, RunState.SKIPPED, why, now)
        alerts.append(skipped_alert(replace(kept.run, state=RunState.SKIPPED, why=why)))
    record_alerts(connection, house.contract, alerts, now)


def _close(connection: Connection, house: House, kept: KeptRun, state: RunState, why: str, now: datetime) -> None:
    """End a run that never began."""
    ended = replace(kept, run=replace(kept.run, state=state, why=why, ended_at=now))
    write_run(connection, ended, now=now)
    append(connection, [ended_event(ended, now)])
    record_work(connection, house.contract, {ended.run.window}, now=now, customer=ended.run.customer)


def _look_at_the_clock(house: House, done: Maintained) -> None:
    """Tell of work that goes on past the end of its window; nothing is stopped for it (law 8)."""
    now = house.clock()
    with house.store.writing() as connection:
        under_way = [each.run for each in read_runs(connection, states={str(each) for each in UNDER_WAY})]
        late = [each for each in under_way if utc(each.end) <= utc(now)]
        record_alerts(connection, house.contract, [overrun_alert(each) for each in late], now)
    done.waiting = len(under_way) + len(done.put_back)
    done.problems += done.put_back
    done.windows |= {each.window for each in under_way}
    done.problems += [f"{each.key} goes on past {instant_text(each.end)}" for each in late]
    parked = [each for each in under_way if each.state is RunState.INTERRUPTED]
    done.parked = len(parked)
    done.problems += [f"{each.key}: {each.why}" for each in parked]

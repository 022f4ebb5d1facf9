"""Carries one run on: as far as it goes now, from wherever it stands on disk.

Everything is written down before it is done. Whoever is killed here leaves a run that the next pass takes up: it asks
the host what became of its job, and repeats nothing that may not be repeated.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from maintsched.errors import (
    ExecutionError,
    HostKeyRefused,
    InvalidValue,
    MaintschedError,
    StoreError,
    Unreachable,
)
from maintsched.executors.port import Link, Phase, Target
from maintsched.journal import EntryKind
from maintsched.localtime import utc
from maintsched.runs import LOOKING, Hold, Run, RunState
from maintsched.store.evidence import append
from maintsched.store.fleets import write_versions
from maintsched.store.runs import (
    Hand,
    KeptRun,
    KeptStep,
    forget_steps,
    holds_run,
    keep_hold,
    let_go,
    read_run,
    read_steps,
    take,
    write_run,
    write_step,
)
from maintsched.worker.alerts import record_alerts
from maintsched.worker.crews import Crew, crew_of, target_of, versions_of
from maintsched.worker.grounds import closed_gates, ground_of
from maintsched.worker.house import House
from maintsched.worker.runevidence import (
    TOLD,
    ended_event,
    overrun_alert,
    run_alert,
    run_event,
    silent_alert,
    step_event,
)
from maintsched.worker.runsteps import CHANGING, TOUCHING, UNTOUCHED, PartPlan, first_steps
from maintsched.worker.worknotices import record_work


class Going(StrEnum):
    """How it goes on with a run."""

    ON = "on"  # to the next step
    WAITS = "waits"  # a job runs on the host: a later pass looks at it
    STOPS = "stops"  # it is over, or waits for its gates or for somebody


class Gone(MaintschedError):
    """Somebody else holds the run by now: nothing more may be written by this pass."""


@dataclass(frozen=True, kw_only=True)
class Hands:
    """How a pass works on runs: who it is, and how long it stays."""

    owner: str
    until: float
    """When it leaves jobs to the next pass, by the clock of the event loop."""
    changed: Callable[[KeptRun], None] = lambda _: None
    """Told of each change of a run."""


class Carrier:
    """One run in the hands of one pass."""

    def __init__(self, house: House, key: str, hands: Hands) -> None:
        """Carry the run `key`."""
        self.house = house
        self.key = key
        self.hands = hands
        self.lease = timedelta(seconds=house.config.worker.lease_seconds)
        self.kept: KeptRun
        self.steps: list[KeptStep] = []
        self.crew: Crew
        self.target: Target
        self.installed: dict[str, str] = {}

    @property
    def run(self) -> Run:
        """The run as it was last written."""
        return self.kept.run

    async def carry(self) -> Going:
        """Take the run up, go on as far as it goes, and let go of it."""
        from maintsched.worker.work import Work

        if not self._take_up():
            return Going.STOPS
        renewing = asyncio.create_task(self._renew())
        link: Link | None = None
        try:
            self._make_ready()
            link = await self.crew.transport.open(self.run.host)
            self._answered()
            return await Work(self, link).go_on()
        except Unreachable as error:
            return self._silent(error)
        except (ExecutionError, InvalidValue) as error:
            return self._cannot(error)
        except (StoreError, Gone):
            raise
        except Exception as error:  # noqa: BLE001 - an executor's own mistake must not end the pass of everybody else
            return self._cannot(ExecutionError(f"{self.key}: not foreseen: {type(error).__name__}: {str(error)[:300]}"))
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            if link is not None:
                await link.close()
            self._let_go()

    # --- holding ------------------------------------------------------------------------------------------------------

    def _take_up(self) -> bool:
        """Take hold of the run. One that has not begun begins, if its gates are open in this very moment."""
        now = self.house.clock()
        with self.house.store.writing() as connection:
            self.kept = read_run(connection, self.key)
            run = self.run
            if run.over or run.state is RunState.INTERRUPTED:
                return False
            if run.state is RunState.PLANNED and self._held(connection, now):
                return False
            lease_until = utc(now) + self.lease
            hand = take(connection, run, owner=self.hands.owner, now=now, lease_until=lease_until)
            if hand is None:
                return False
            if hand is Hand.NEW:
                self.save(connection, replace(run, state=RunState.RUNNING, gate=None, why=""), now)
                if not read_steps(connection, self.key, run.attempt):
                    for each in first_steps(run):
                        write_step(connection, each)
            elif hand is Hand.LOST and run.state is not RunState.LOST:
                why = "who was at it is gone; its host is asked what became of it"
                self.save(connection, replace(run, state=RunState.LOST, why=why), now)
            self.steps = read_steps(connection, self.key, self.run.attempt)
        return True

    def _held(self, connection: Connection, now: datetime) -> bool:
        """Say whether a gate is closed, and note which."""
        holds = closed_gates(connection, self.house, self.run, now=now)
        if holds:
            self.note_hold(connection, holds[0], now)
        return bool(holds)

    def note_hold(self, connection: Connection, hold: Hold, now: datetime) -> None:
        """Note which gate holds the run, where that is not known yet."""
        if (self.run.gate, self.run.why) != (hold.gate, hold.fact):
            self.save(connection, replace(self.run, gate=hold.gate, why=hold.fact), now)

    def _make_ready(self) -> None:
        """Look up who works on what. Raises `InvalidValue` where the instance or its table is not there any more."""
        with self.house.store.reading() as connection:
            fleet = ground_of(connection, self.house, self.run, now=self.house.clock()).scene.fleet
        self.installed = versions_of(fleet, self.run.instance)
        self.target = target_of(self.house.contract, fleet, self.run, ())
        self.crew = crew_of(self.house.config, self.run.executor)

    async def _renew(self) -> None:
        """Prolong the hold as long as the pass is at it: whenever a third of the lease has gone by."""
        renewed_at = self.house.clock()
        while True:
            await asyncio.sleep(self.house.config.runs.poll_seconds)
            now = self.house.clock()
            if not timedelta() <= utc(now) - utc(renewed_at) < self.lease / 3:
                renewed_at = now
                lease_until = utc(now) + self.lease
                with self.house.store.writing() as connection:
                    keep_hold(connection, self.key, owner=self.hands.owner, now=now, lease_until=lease_until)

    def _let_go(self) -> None:
        with self.house.store.writing() as connection:
            let_go(connection, self.key, owner=self.hands.owner, now=self.house.clock())

    def require_hold(self, connection: Connection) -> None:
        """Refuse to write where somebody else holds the run by now."""
        if not holds_run(connection, self.key, self.hands.owner):
            raise Gone(f"{self.key}: another pass has taken it up")

    # --- writing ------------------------------------------------------------------------------------------------------

    def save(self, connection: Connection, run: Run, now: datetime, **more: object) -> None:
        """Write the run as it is from now on."""
        self.kept = replace(self.kept, run=run, **more)  # type: ignore[arg-type]
        write_run(connection, self.kept, now=now)
        self.hands.changed(self.kept)

    def put(self, connection: Connection, kept: KeptStep) -> None:
        """Write a step as it is from now on."""
        write_step(connection, kept)
        others = [each for each in self.steps if each.step.number != kept.step.number]
        self.steps = sorted([*others, kept], key=lambda each: each.step.number)

    def settle(self, connection: Connection, kept: KeptStep, now: datetime) -> None:
        """Write a step that has ended, with the evidence of it where it changed something."""
        self.put(connection, kept)
        if kept.step.phase not in LOOKING:
            append(connection, [step_event(self.run, kept, now)])

    @property
    def plans(self) -> list[PartPlan]:
        """What was planned, by executor."""
        return [PartPlan.from_json(each) for each in self.kept.plans]

    @property
    def touched(self) -> bool:
        """Say whether something on the host is, or may be, no longer as it was."""
        return any(
            each.step.phase in TOUCHING
            and (each.step.state not in UNTOUCHED or (each.step.tries and not each.data.get("harmless")))
            for each in self.steps
        )

    @property
    def acted(self) -> bool:
        """Say whether a step that changes something, or a backup, was asked for; it may never have reached the host."""
        return any(each.step.phase in CHANGING and each.step.tries for each in self.steps)

    @property
    def undoing(self) -> bool:
        """Say whether steps that undo are among those of this attempt."""
        return any(each.step.phase == Phase.ROLLBACK for each in self.steps)

    def check(self, connection: Connection, now: datetime) -> Hold | None:
        """Return the first gate that is closed for the run in this very moment."""
        return next(iter(closed_gates(connection, self.house, self.run, now=now)), None)

    def hold_back(self, connection: Connection, hold: Hold, now: datetime) -> None:
        """Let the run wait for its gates again: nothing on its host was touched. It will look at everything anew."""
        run = replace(self.run, state=RunState.PLANNED, gate=hold.gate, why=hold.fact)
        if self.acted:
            run = replace(run, attempt=run.attempt + 1)  # names of jobs are never used again
        else:
            forget_steps(connection, self.key, run.attempt)
        self.save(connection, run, now, plans=(), silent_since=None)
        for each in first_steps(run):
            write_step(connection, each)

    def end(
        self, connection: Connection, state: RunState, now: datetime, *, why: str = "", hold: Hold | None = None
    ) -> None:
        """Write down that the run is over, or stands still, with evidence, and an alert where one is called for."""
        gate = hold.gate if hold else None
        ended_at = None if state is RunState.INTERRUPTED else max(now, self.run.started_at or now, key=utc)
        run = replace(self.run, state=state, why=why, gate=gate, ended_at=ended_at)
        self.save(connection, run, now, silent_since=None)
        append(connection, [ended_event(self.kept, now)])
        record_work(connection, self.house.contract, {run.window}, now=now, customer=run.customer)
        alerts = [run_alert(run, self.steps)] if state in TOLD else []
        if run.started_at is not None and utc(now) > utc(run.end):
            alerts.append(overrun_alert(run))
        record_alerts(connection, self.house.contract, alerts, now)

    def installed_now(self, connection: Connection, versions: dict[str, str]) -> None:
        """Note what was found to be installed, as far as it can be read as versions of components."""
        write_versions(connection, self.run.instance, versions)

    # --- trouble ------------------------------------------------------------------------------------------------------

    def _answered(self) -> None:
        """Note that the host answers: what is in its hands is asked for next."""
        if self.run.state in (RunState.LOST, RunState.UNREACHABLE) or self.kept.silent_since is not None:
            now = self.house.clock()
            state = RunState.ROLLING_BACK if self.undoing else RunState.RUNNING
            with self.house.store.writing() as connection:
                self.require_hold(connection)
                self.save(connection, replace(self.run, state=state, why=""), now, silent_since=None)

    def _silent(self, error: Unreachable) -> Going:
        """Note that the host does not answer. Where nothing was begun there, the run waits as if it had not begun."""
        now = self.house.clock()
        with self.house.store.writing() as connection:
            self.require_hold(connection)
            since = self.kept.silent_since or now
            if self.acted:
                run = replace(self.run, state=RunState.UNREACHABLE, why=str(error))
                self.save(connection, run, now, silent_since=since)
            else:
                run = replace(self.run, state=RunState.PLANNED, why=str(error))
                forget_steps(connection, self.key, run.attempt)
                self.save(connection, run, now, plans=(), silent_since=since)
            patience = timedelta(minutes=self.house.config.runs.unreachable_minutes)
            if utc(now) - utc(since) >= patience:
                record_alerts(connection, self.house.contract, [silent_alert(run, since)], now)
        return Going.WAITS if self.acted else Going.STOPS

    def _cannot(self, error: MaintschedError) -> Going:
        """End a run that cannot be done; in the midst of one, an operator has to look."""
        now = self.house.clock()
        with self.house.store.writing() as connection:
            self.require_hold(connection)
            if self.acted:
                self.end(connection, RunState.INTERRUPTED, now, why=str(error))
            else:
                self.end(connection, RunState.BLOCKED, now, why=str(error))
            if isinstance(error, HostKeyRefused):
                append(connection, [run_event(self.run, EntryKind.RUN_STEP, now, step="open", result="refused")])
        return Going.STOPS

"""The work of one run: look, plan, do, look again; and what follows when something goes wrong."""

import asyncio
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from maintsched.executors.port import Answer, Job, JobState, Link, Phase, Step
from maintsched.localtime import utc
from maintsched.runs import Gate, Hold, RunState, StepState
from maintsched.store.evidence import append
from maintsched.store.runs import KeptStep
from maintsched.worker.carry import Carrier, Going
from maintsched.worker.looks import Looks
from maintsched.worker.runevidence import begun_event
from maintsched.worker.runsteps import (
    CHANGING,
    PLAN,
    PREFLIGHT,
    REBOOT,
    TOUCHING,
    UNTOUCHED,
    VERIFY,
    job_name,
    left_out,
    meant,
    rollback_steps,
)

FIRST_LOOK_SECONDS = 0.05
"""Time until a job that was just started is looked at again; it doubles, up to `runs.poll_seconds`."""


class Work:
    """The steps of a run that is held, over a link to its host."""

    def __init__(self, carrier: Carrier, link: Link) -> None:
        """Work on the run of `carrier`."""
        self.carrier = carrier
        self.link = link
        self.looks = Looks(self)
        self.wait_seconds = FIRST_LOOK_SECONDS
        self.begun: set[str] = set()
        """Jobs of which the host has said in this pass that they were started, or run."""

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.carrier.house.clock()

    async def go_on(self) -> Going:
        """Do step after step, until the run is over, waits, or is held."""
        while await self._still_runs():
            if await self._wait() is Going.WAITS:
                return Going.WAITS
        self._given_up()
        while True:
            kept = self._next()
            going = self._finish() if kept is None else await self._do(kept)
            if going is not Going.ON:
                return going
            if self.carrier.run.over or self.carrier.run.state in (RunState.PLANNED, RunState.INTERRUPTED):
                return Going.STOPS

    async def _still_runs(self) -> bool:
        """Say whether a job still runs of whose step an operator has spoken: nothing begins beside it (law 6)."""
        for each in self.carrier.steps:
            spoken_of = each.data.get("retries") and each.step.state is not StepState.STARTED
            if each.step.job and spoken_of:
                job = await self.link.look(each.step.job)
                on_its_way = job.state is JobState.ABSENT and not await self.link.forbid(each.step.job)
                if job.state is JobState.RUNNING or on_its_way:
                    return True
        return False

    def _next(self) -> KeptStep | None:
        waiting = (StepState.READY, StepState.STARTED)
        return next((each for each in self.carrier.steps if each.step.state in waiting), None)

    async def _do(self, kept: KeptStep) -> Going:
        looks = {PREFLIGHT: self.looks.preflight, PLAN: self.looks.plan, VERIFY: self.looks.verify}
        look = looks.get(kept.step.phase)
        if look is not None:
            return await look(kept)
        step = meant(self.carrier.crew, self.carrier.target, self.carrier.plans, kept.step)
        if kept.step.state is StepState.STARTED:
            return await self._follow(kept, step)
        if kept.step.phase == Phase.REBOOT and not await self.looks.reboot_wanted(kept):
            return Going.ON
        return await self._start(kept, step)

    # --- a step that changes something --------------------------------------------------------------------------------

    async def _start(self, kept: KeptStep, step: Step) -> Going:
        """Write down that a step is started, if its gates are open in this very moment; then start it."""
        now, carrier = self.now, self.carrier
        data = dict(kept.data)
        if kept.step.name == REBOOT and not kept.step.part:
            data["boot_id"] = await self.link.boot_id()
        with carrier.house.store.writing() as connection:
            carrier.require_hold(connection)
            hold = carrier.check(connection, now) if kept.step.phase in CHANGING else None
            if hold is not None:
                return self._held(connection, hold, now)
            name = job_name(kept.step)
            if not carrier.acted:
                append(connection, [begun_event(carrier.run, now)])
            data.pop("harmless", None)
            begun = replace(kept.step, state=StepState.STARTED, job=name, tries=kept.step.tries + 1, started_at=now)
            carrier.put(connection, replace(kept, step=begun, data=data))
            if kept.step.phase in TOUCHING and carrier.run.started_at is None:
                carrier.save(connection, replace(carrier.run, started_at=now), now)
        if await self.link.start(name, step.command):
            self.begun.add(name)
        self.wait_seconds = FIRST_LOOK_SECONDS
        return Going.ON

    def _held(self, connection: Connection, hold: Hold, now: datetime) -> Going:
        """Start nothing more. Where something was touched, what was stopped is brought back first."""
        if self.carrier.touched:
            why = f"stopped half way: {hold.fact}"
            self.end_with(connection, RunState.SKIPPED, why, hold=hold)
            return Going.ON
        self.carrier.hold_back(connection, hold, now)
        return Going.STOPS

    async def _follow(self, kept: KeptStep, step: Step) -> Going:
        """Ask the host what became of a job."""
        if kept.step.name == REBOOT and not kept.step.part and await self._restarted(kept):
            return Going.ON
        job = await self.link.look(str(kept.step.job))
        if job.state is JobState.RUNNING:
            self._runs(kept)
        if job.state is JobState.RUNNING or (job.state is JobState.ENDED and self._restarting(kept, job)):
            return await self._wait()
        if job.state is JobState.ENDED:
            self._ended(kept, step, job)
        elif job.state is JobState.VANISHED or kept.step.job in self.begun or kept.data.get("runs") == kept.step.job:
            self._vanished(kept, job)  # a host that forgot a job which it had begun has lost it
        elif await self.link.forbid(str(kept.step.job)):
            self._never_began(kept, job)
        return Going.ON

    def _runs(self, kept: KeptStep) -> None:
        """Note once that a job was seen to run: from then on it cannot be said to have never begun."""
        if kept.data.get("runs") != kept.step.job:
            with self.carrier.house.store.writing() as connection:
                self.carrier.require_hold(connection)
                self.carrier.put(connection, replace(kept, data={**kept.data, "runs": kept.step.job}))

    def _never_began(self, kept: KeptStep, job: Job) -> None:
        """Start a step anew whose start never reached the host; but not for ever."""
        if kept.step.tries < self.carrier.house.config.runs.step_tries:
            self._again(kept, "its start never reached the host", harmless=True)
        else:
            self._park(kept, job, f"step {kept.step.name} could not be started in {kept.step.tries} tries")

    async def _wait(self) -> Going:
        loop = asyncio.get_running_loop()
        left = self.carrier.hands.until - loop.time()
        if left <= 0:
            return Going.WAITS
        await asyncio.sleep(min(self.wait_seconds, left))
        self.wait_seconds = min(self.wait_seconds * 2, float(self.carrier.house.config.runs.poll_seconds))
        return Going.ON

    async def _restarted(self, kept: KeptStep) -> bool:
        """Say whether the host has been started anew since it was asked to."""
        if await self.link.boot_id() == kept.data.get("boot_id"):
            return False
        with self.carrier.house.store.writing() as connection:
            self._settle(connection, kept, StepState.DONE, None, "the host was started anew")
        return True

    def _restarting(self, kept: KeptStep, job: Job) -> bool:
        """Say whether the host took the command to restart, and still has time to do so."""
        if kept.step.name != REBOOT or kept.step.part or job.exit_code != 0 or kept.step.started_at is None:
            return False
        passed = (utc(self.now) - utc(kept.step.started_at)).total_seconds()
        return passed < 60 * max(1, self.carrier.house.config.runs.reboot_minutes)

    def _settle(
        self, connection: Connection, kept: KeptStep, state: StepState, code: int | None, tail: str, **data: object
    ) -> KeptStep:
        """Write down how a step ended, in the transaction that writes what follows from it."""
        now = self.now
        ended = replace(kept.step, state=state, exit_code=code, tail=tail, ended_at=now)
        settled = replace(kept, step=ended, data={**kept.data, **data})
        self.carrier.require_hold(connection)
        self.carrier.settle(connection, settled, now)
        return settled

    def _again(self, kept: KeptStep, why: str, *, harmless: bool = False) -> None:
        """Let a step be started once more: under another name, and only if its gates are open then.

        `harmless`: the try that is over has changed nothing.
        """
        ready = replace(kept.step, state=StepState.READY, tail=why)
        with self.carrier.house.store.writing() as connection:
            self.carrier.require_hold(connection)
            self.carrier.put(connection, replace(kept, step=ready, data={**kept.data, "harmless": harmless}))

    def _vanished(self, kept: KeptStep, job: Job) -> None:
        """A job is gone without an answer: it is repeated only if that is declared to be safe."""
        if kept.step.idempotent and kept.step.tries < self.carrier.house.config.runs.step_tries:
            self._again(kept, f"interrupted, and repeated\n{job.tail}")
            return
        self._park(kept, job, f"step {kept.step.name} was interrupted, and is not known to be safe to repeat")

    def _park(self, kept: KeptStep, job: Job, why: str) -> None:
        """Let the run stand still until an operator has looked at its host."""
        with self.carrier.house.store.writing() as connection:
            self._settle(connection, kept, StepState.INTERRUPTED, None, job.tail)
            self.carrier.end(connection, RunState.INTERRUPTED, self.now, why=why)

    def _ended(self, kept: KeptStep, step: Step, job: Job) -> None:
        code = job.exit_code if job.exit_code is not None else -1
        answer = step.answer(code)
        if kept.step.name == REBOOT and not kept.step.part and answer is Answer.DONE:
            answer = Answer.FAILED  # it had its time
        tries_left = kept.step.tries < self.carrier.house.config.runs.step_tries
        if answer is Answer.AGAIN and tries_left:
            self._again(kept, job.tail, harmless=True)
            return
        with self.carrier.house.store.writing() as connection:
            if answer in (Answer.DONE, Answer.REBOOT):
                self._settle(connection, kept, StepState.DONE, code, job.tail, reboot=answer is Answer.REBOOT)
                return
            state = StepState.POSTPONED if answer is Answer.POSTPONE else StepState.FAILED
            self._failed(connection, self._settle(connection, kept, state, code, job.tail), answer)

    # --- when it goes wrong -------------------------------------------------------------------------------------------

    def _failed(self, connection: Connection, kept: KeptStep, answer: Answer) -> None:
        step = kept.step
        code = "" if step.exit_code is None else f" with exit code {step.exit_code}"
        why = f"step {step.name} failed{code}"
        harmless = answer is not Answer.FAILED or step.phase in (Phase.BACKUP, Phase.STOP)
        alone = not self._applied(but=kept)
        if step.phase in (Phase.ROLLBACK, Phase.START) and self.carrier.undoing:
            self.end_with(connection, RunState.ROLLBACK_FAILED, why)
        elif answer is Answer.POSTPONE:
            self.end_with(connection, RunState.DEFERRED, f"step {step.name} asked for another window")
        elif harmless and alone:
            self.end_with(connection, RunState.FAILED_CLEAN, why)
        else:
            self.undo(connection, why, self.now)

    def _given_up(self) -> None:
        """Let a step count that an operator has given up: what follows from it was not written down with it."""
        given_up = [each for each in self.carrier.steps if each.data.get("given_up")]
        for kept in given_up:
            with self.carrier.house.store.writing() as connection:
                self.carrier.require_hold(connection)
                known = {name: value for name, value in kept.data.items() if name != "given_up"}
                self.carrier.put(connection, replace(kept, data=known))
                self._failed(connection, kept, Answer.FAILED)

    def _applied(self, *, but: KeptStep) -> bool:
        """Say whether a step that applies something was started, besides one."""
        return any(
            each.step.phase in (Phase.APPLY, Phase.REBOOT)
            and each.step.state not in UNTOUCHED
            and each.step.number != but.step.number
            for each in self.carrier.steps
        )

    def undo(self, connection: Connection, why: str, now: datetime) -> None:
        """Undo what was applied, where the executors can; else an operator has to look."""
        carrier = self.carrier
        begun = {
            each.step.part
            for each in carrier.steps
            if each.step.phase == Phase.APPLY and each.step.state not in UNTOUCHED
        }
        last = max((each.step.number for each in carrier.steps), default=0)
        steps = rollback_steps(carrier.run, carrier.crew, carrier.target, carrier.plans, begun, after=last)
        if not steps or carrier.undoing:
            state = RunState.ROLLBACK_FAILED if carrier.undoing else RunState.FAILED_DIRTY
            self.end_with(connection, state, why)
            return
        for each in left_out(each for each in carrier.steps if each.step.state is StepState.READY):
            carrier.put(connection, each)
        for each in steps:
            carrier.put(connection, each)
        self._intend(connection, RunState.ROLLED_BACK, why, None)
        carrier.save(connection, replace(carrier.run, state=RunState.ROLLING_BACK, why=why), now)

    def end_with(self, connection: Connection, state: RunState, why: str, *, hold: Hold | None = None) -> None:
        """End the run in a state, once what was stopped has been brought back and a last look was taken."""
        carrier = self.carrier
        stopped = any(
            each.step.phase in (Phase.STOP, Phase.REBOOT) and each.step.state not in UNTOUCHED for each in carrier.steps
        )
        keep: set[str] = {VERIFY} if carrier.touched else set()
        keep |= {Phase.START} if stopped and state is not RunState.ROLLBACK_FAILED else set()
        ready = [each for each in carrier.steps if each.step.state is StepState.READY]
        for each in left_out(each for each in ready if each.step.phase not in keep):
            carrier.put(connection, each)
        self._intend(connection, state, why, hold)

    def _intend(self, connection: Connection, state: RunState, why: str, hold: Hold | None) -> None:
        """Keep how the run is to end, with its plan: whoever takes it up has to know."""
        plan = next(each for each in self.carrier.steps if each.step.phase == PLAN)
        intended = {"state": str(state), "why": why, "gate": str(hold.gate) if hold else None}
        self.carrier.put(connection, replace(plan, data={**plan.data, "ends": intended}))

    @property
    def intended(self) -> dict[str, str | None] | None:
        """How the run is to end, where that is settled."""
        plan = next((each for each in self.carrier.steps if each.step.phase == PLAN), None)
        return plan.data.get("ends") if plan else None

    def _finish(self) -> Going:
        """End the run: no step is left."""
        intended = self.intended
        now, carrier = self.now, self.carrier
        with carrier.house.store.writing() as connection:
            carrier.require_hold(connection)
            if intended is None:
                state = RunState.REBOOT_REQUIRED if self.looks.reboot_left() else RunState.DONE
                why = "the host has to be restarted" if state is RunState.REBOOT_REQUIRED else ""
                carrier.end(connection, state, now, why=why)
            else:
                gate, why = intended["gate"], intended["why"] or ""
                hold = Hold(Gate(gate), why) if gate else None
                state = RunState(str(intended["state"]))
                if state is RunState.FAILED_DIRTY and self.looks.nothing_changed():
                    state = RunState.FAILED_CLEAN
                carrier.end(connection, state, now, why=why, hold=hold)
        return Going.STOPS

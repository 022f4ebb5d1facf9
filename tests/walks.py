"""Walks an executor through its work on this machine, as the worker does: look, plan, steps as jobs, look again.

    walk = walk_of(tmp_path, Script({...}))
    walk.plan(Order(...)); walk.work(); walk.verify()

What fails is followed by what undoes it and by what starts again, in the order that the worker keeps.
"""

import asyncio
import os
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from maintsched.executors.port import (
    Answer,
    Executor,
    Finding,
    JobState,
    Link,
    Order,
    Phase,
    Step,
    Target,
    UpdatePlan,
    Verdict,
)
from maintsched.executors.transports.local import Local
from maintsched.facts import ChangeClass

T = TypeVar("T")
FORWARD = (Phase.BACKUP, Phase.STOP, Phase.APPLY, Phase.REBOOT, Phase.START)
PATIENCE_SECONDS, PAUSE_SECONDS = 60, 0.01


def order(component: str, release: str | None = None, installed: str | None = None) -> Order:
    """Return an order for a component."""
    return Order(component=component, change_class=ChangeClass.MINOR, release=release, installed=installed)


@dataclass
class Walk:
    """An executor on a target, with the plan it made, and what became of its steps."""

    executor: Executor
    target: Target
    link: Link
    planned: UpdatePlan = field(default_factory=UpdatePlan)
    answers: dict[str, Answer] = field(default_factory=dict)
    """By the name of the step, in the order they were run."""
    said: dict[str, str] = field(default_factory=dict)
    """What each step printed."""
    attempt: int = 1

    def probe(self) -> Finding:
        """Look at the host before anything is done."""
        return _done(self.executor.probe(self.target, self.link))

    def plan(self, *orders: Order) -> UpdatePlan:
        """Make a plan, and keep it."""
        self.planned = _done(self.executor.plan(self.target, self.link, orders))
        return self.planned

    def steps(self, *phases: Phase) -> list[Step]:
        """Return the steps of phases, in the order they are run. What they are made of is all that a worker keeps."""
        bare = Target(instance=self.target.instance, host=self.target.host)
        steps = self.executor.steps(bare, self.planned)
        return [step for phase in phases for step in steps if step.phase is phase]

    def work(self) -> Answer:
        """Run what was planned; return the first answer that is not well, after what has to be started was started."""
        for step in self.steps(*FORWARD):
            answer = self.run(step)
            if answer not in (Answer.DONE, Answer.REBOOT):
                self.run_all(self.steps(Phase.START) if step.phase is Phase.STOP else [])
                return answer
        return Answer.DONE

    def undo(self) -> Answer:
        """Take everything back, then start; return the first answer that is not well."""
        return self.run_all(self.steps(Phase.ROLLBACK, Phase.START))

    def run_all(self, steps: Sequence[Step]) -> Answer:
        """Run steps up to the first that is not well; return its answer."""
        for step in steps:
            answer = self.run(step)
            if answer not in (Answer.DONE, Answer.REBOOT):
                return answer
        return Answer.DONE

    def run(self, step: Step) -> Answer:
        """Run one step as a job, and return what its exit code means."""
        job = f"job-{self.attempt}-{len(self.answers)}-{step.name}"[:63]
        self.attempt += 1
        answer, said = _done(self._job(job, step))
        self.answers[step.name] = answer
        self.said[step.name] = said
        return answer

    async def _job(self, job: str, step: Step) -> tuple[Answer, str]:
        assert await self.link.start(job, step.command)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := await self.link.look(job)).state is JobState.RUNNING:
            assert time.monotonic() < deadline, f"{step.name} did not end: {found.tail}"
            await asyncio.sleep(PAUSE_SECONDS)
        assert found.exit_code is not None, found
        return step.answer(found.exit_code), found.tail

    def verify(self) -> Verdict:
        """Look at what was done."""
        return _done(self.executor.verify(self.target, self.link, self.planned))


def walk_of(folder: Path, executor: Executor, *components: str, instance: str = "acme-prod") -> Walk:
    """Return a walk on this machine, whose jobs are kept in a folder."""
    target = Target(instance=instance, host="localhost", components=components, url="https://acme.example")
    jobs = folder / "jobs"
    transport = Local({"jobs": str(jobs)}, folder)
    return Walk(executor=executor, target=target, link=_done(transport.open("localhost")))


def program(path: Path, lines: str) -> str:
    """Write an executable shell script; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return os.fspath(path)


def _done(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)

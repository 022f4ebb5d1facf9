"""The steps of a run: as the database keeps them, and as its executors mean them.

What a step runs is not stored: the executor says it again, from the plan that is. So no secret reaches the database.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from maintsched.errors import ExecutionError
from maintsched.executors.port import Answer, Command, Item, Phase, Step, Target, UpdatePlan
from maintsched.runs import Run, RunStep, StepState
from maintsched.store.runs import KeptStep
from maintsched.worker.crews import Crew

PREFLIGHT, PLAN, VERIFY = "preflight", "plan", "verify"
BACKUP, REBOOT = "backup", "reboot"
CHANGING = frozenset({Phase.BACKUP, Phase.STOP, Phase.APPLY, Phase.REBOOT})
"""Phases that are held by closed gates."""
TOUCHING = frozenset({Phase.STOP, Phase.APPLY, Phase.REBOOT})
"""Phases after which a service or a system is no longer as it was."""
UNTOUCHED = frozenset({StepState.READY, StepState.LEFT_OUT})
"""States of a step that was never started."""
_ORDER = (Phase.BACKUP, Phase.STOP, Phase.APPLY, Phase.REBOOT, Phase.START)


@dataclass(frozen=True, kw_only=True)
class PartPlan:
    """What one executor planned."""

    part: str
    plan: UpdatePlan

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        plan = self.plan
        return {
            "part": self.part,
            "items": [item_json(each) for each in plan.items],
            "reboot": plan.reboot,
            "stops_service": plan.stops_service,
            "notes": list(plan.notes),
            "data": dict(plan.data),
            "digest": plan.digest,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "PartPlan":
        """Return it from JSON values."""
        plan = UpdatePlan(
            items=tuple(Item(**each) for each in kept["items"]),
            reboot=kept["reboot"],
            stops_service=kept["stops_service"],
            notes=tuple(kept["notes"]),
            data=kept["data"],
        )
        return cls(part=kept["part"], plan=plan)


def item_json(item: Item) -> dict[str, Any]:
    """Return one thing that changes as JSON values."""
    return {"name": item.name, "before": item.before, "after": item.after, "origin": item.origin}


def first_steps(run: Run) -> list[KeptStep]:
    """Return the steps that every attempt begins with: they only look."""
    return [_own(run, number, name, name) for number, name in enumerate((PREFLIGHT, PLAN), start=1)]


def _own(run: Run, number: int, name: str, phase: str, **more: Any) -> KeptStep:
    return KeptStep(step=RunStep(run=run.key, attempt=run.attempt, number=number, name=name, phase=phase, **more))


def work_steps(
    run: Run, crew: Crew, target: Target, plans: Sequence[PartPlan], *, after: int, backup: bool
) -> list[KeptStep]:
    """Return the steps that do what was planned: those of all executors, phase by phase, one reboot, the last look.

    `after` is the number of the last step there is; `backup` says that one has to be taken first (clause 4.1).
    """
    found: list[tuple[str, Step]] = []
    for phase in _ORDER:
        mine = [(part, step) for part, step in _of_parts(crew, target, plans) if step.phase is phase]
        if phase is Phase.BACKUP and backup and not mine and crew.config.backup:
            mine = [("", own_step(crew, BACKUP))]
        if phase is Phase.REBOOT and crew.config.reboot:
            mine = [*mine, ("", own_step(crew, REBOOT))]
        found.extend(_last_part_first(mine) if phase is Phase.START else mine)
    return [*numbered(run, found, after=after), _own(run, after + len(found) + 1, VERIFY, VERIFY)]


def _of_parts(crew: Crew, target: Target, plans: Iterable[PartPlan]) -> Iterator[tuple[str, Step]]:
    for each in plans:
        if not each.plan.empty:
            for step in crew.parts[each.part].steps(target, each.plan):
                yield each.part, step


def _last_part_first(steps: Sequence[tuple[str, Step]]) -> list[tuple[str, Step]]:
    """Return steps with the last part's in front, each part's in its own order: the last to stop starts first."""
    parts = list(dict.fromkeys(part for part, _ in steps))
    return sorted(steps, key=lambda each: -parts.index(each[0]))


def rollback_steps(
    run: Run, crew: Crew, target: Target, plans: Sequence[PartPlan], begun: Iterable[str], *, after: int
) -> list[KeptStep]:
    """Return the steps that undo what the executors named in `begun` did, the last one first; none: nothing can."""
    wanted = frozenset(begun)
    undone = [each for each in reversed(plans) if each.part in wanted]
    undo = [(part, step) for part, step in _of_parts(crew, target, undone) if step.phase is Phase.ROLLBACK]
    if not undo:
        return []
    start = [(part, step) for part, step in _of_parts(crew, target, plans) if step.phase is Phase.START]
    found = [*undo, *_last_part_first(start)]
    return [*numbered(run, found, after=after), _own(run, after + len(found) + 1, VERIFY, VERIFY)]


def numbered(run: Run, steps: Iterable[tuple[str, Step]], *, after: int) -> list[KeptStep]:
    """Return steps as the database keeps them, numbered from `after` + 1 on."""
    return [
        _own(
            run,
            number,
            step.name,
            str(step.phase),
            part=part,
            idempotent=step.idempotent,
            argv=step.command.argv,
            expected_seconds=step.expected_seconds,
        )
        for number, (part, step) in enumerate(steps, start=after + 1)
    ]


def own_step(crew: Crew, name: str) -> Step:
    """Return a step that is the run's own: the backup, or the restart of the host, as the configuration says."""
    if name == REBOOT:
        command = Command(argv=crew.config.reboot)
        return Step(name=REBOOT, phase=Phase.REBOOT, command=command, idempotent=True, expected_seconds=300)
    answers = {75: Answer.AGAIN}
    command = Command(argv=crew.config.backup)
    return Step(
        name=BACKUP, phase=Phase.BACKUP, command=command, idempotent=True, answers=answers, expected_seconds=900
    )


def meant(crew: Crew, target: Target, plans: Iterable[PartPlan], step: RunStep) -> Step:
    """Return what a stored step runs. Raises `ExecutionError` where its executor does not know it any more."""
    if not step.part:
        return own_step(crew, step.name)
    for part, each in _of_parts(crew, target, plans):
        if (part, each.name, str(each.phase)) == (step.part, step.name, step.phase):
            return each
    raise ExecutionError(
        f"{step.run}: executor {step.part} does not know its step {step.name} any more: its settings or its version "
        f"changed since the run was planned; look at the host, then `maintsched run retry {step.run} --reason WHY`"
    )


def job_name(step: RunStep) -> str:
    """Return the name of the next job of a step: no two have the same, on any host."""
    return f"{sha256(step.run.encode()).hexdigest()[:16]}-{step.attempt}-{step.number}-{step.tries + 1}"


def left_out(steps: Iterable[KeptStep]) -> list[KeptStep]:
    """Return steps as those that are not started any more."""
    return [replace(each, step=replace(each.step, state=StepState.LEFT_OUT)) for each in steps]

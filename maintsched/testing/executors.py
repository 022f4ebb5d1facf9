"""What every executor promises, as tests: a plug-in's author makes a subclass, says where it runs, and has them run.

    class TestMine(ExecutorLaws):
        @pytest.fixture
        def stage(self, tmp_path):
            return Stage(
                kind=Mine,
                settings={"program": "/opt/mine"},
                open=lambda: Local({"jobs": str(tmp_path / "jobs")}, tmp_path).open("localhost"),
                target=Target(instance="acme-prod", host="localhost", components=("database",)),
                orders=(Order(component="database", change_class=ChangeClass.SECURITY),),
                state=lambda: read_everything_that_may_change(),
            )

The host has to be prepared so that the orders come to something. Its steps are really run there.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from maintsched.errors import InvalidValue
from maintsched.executors.fake import FakeExecutor
from maintsched.executors.port import (
    Answer,
    Executor,
    Item,
    Job,
    JobState,
    Link,
    Order,
    Phase,
    Step,
    Target,
    UpdatePlan,
    Verdict,
)
from maintsched.grammar import KEY

__all__ = ["ExecutorLaws", "FakeExecutor", "Stage", "run_steps"]

LOOKS, PAUSE_SECONDS = 3000, 0.02
"""How often a job is looked at, and the pause between two looks: a minute in all."""
PHASES = tuple(phase for phase in Phase if phase is not Phase.ROLLBACK)
WELL = (Answer.DONE, Answer.REBOOT)


@dataclass(slots=True, kw_only=True)
class Stage:
    """An executor with a host on which it can be tried."""

    kind: Callable[[Mapping[str, Any]], Executor]
    """The class of the executor."""
    settings: Mapping[str, Any]
    open: Callable[[], Awaitable[Link]]
    """Opens a link to the host."""
    target: Target
    orders: tuple[Order, ...]
    """Orders that come to something on that host."""
    state: Callable[[], object]
    """Returns everything on the host that an update changes, as values that can be compared."""
    spoil: Callable[[], object] | None = None
    """Brings the host into a state in which nothing may begin; None: there is no such state."""
    bad_settings: tuple[Mapping[str, Any], ...] = field(default=())
    """Settings that have to be refused, beside an unknown one."""

    @property
    def executor(self) -> Executor:
        """A new one each time: it must not hold anything."""
        return self.kind(self.settings)


class ExecutorLaws:
    """The laws of `maintsched.executors.port.Executor`. A subclass brings the fixture `stage`."""

    @pytest.fixture
    def stage(self) -> Stage:
        """Return the executor, and the host on which it is tried."""
        raise NotImplementedError("a subclass says where its executor is tried")

    def test_its_name_and_components_are_by_the_grammar_of_keys(self, stage: Stage) -> None:
        """They stand in configurations."""
        executor = stage.executor
        for name in (executor.name, *executor.components):
            assert KEY.fullmatch(name), f"{name!r} cannot stand in a configuration"

    def test_a_setting_that_it_does_not_know_is_refused(self, stage: Stage) -> None:
        """A misspelt setting must not be taken for one that was left out."""
        for settings in ({**stage.settings, "no_such_setting": 1}, *stage.bad_settings):
            try:
                stage.kind(settings)
            except InvalidValue:
                continue
            pytest.fail(f"{sorted(settings)} were taken; InvalidValue was expected")

    def test_what_keeps_it_from_working_is_said_in_texts(self, stage: Stage) -> None:
        """They are shown to an operator, a line each."""
        found: Any = stage.executor.validate(stage.target)
        assert isinstance(found, tuple)
        assert all(isinstance(each, str) and each and "\n" not in each for each in found), found

    def test_a_sound_host_has_no_problems(self, stage: Stage) -> None:
        """Nor does asking it change anything."""
        before = stage.state()
        finding = _on(stage, lambda executor, link: executor.probe(stage.target, link))
        assert finding.problems == ()
        assert stage.state() == before, "probing changed something"
        assert set(finding.versions) <= set(stage.target.components), finding.versions

    def test_a_host_where_nothing_may_begin_has_a_problem(self, stage: Stage) -> None:
        """It is found before anything is done, and said in one line each."""
        if stage.spoil is None:
            pytest.skip("there is no such state of the host")
        stage.spoil()
        before = stage.state()
        finding = _on(stage, lambda executor, link: executor.probe(stage.target, link))
        assert finding.problems, "nothing was found"
        assert all(each and "\n" not in each for each in finding.problems), finding.problems
        assert stage.state() == before, "probing changed something"

    def test_planning_changes_nothing_and_says_the_same_twice(self, stage: Stage) -> None:
        """Two plans of the same host are the same, by their items and by their digest."""
        before = stage.state()
        first, second = _plan(stage), _plan(stage)
        assert not first.empty, "the orders of a stage have to come to something"
        assert first == second
        assert first.digest == second.digest
        assert stage.state() == before, "planning changed something"

    def test_a_plan_says_each_change_once_and_no_change_is_none(self, stage: Stage) -> None:
        """An item has a name, and is another thing after than it was before."""
        items = _plan(stage).items
        assert len({item.name for item in items}) == len(items), items
        assert all(item.name and item.before != item.after for item in items), items

    def test_a_plan_can_be_kept_as_json(self, stage: Stage) -> None:
        """It is kept in a database between passes, and is worth the same afterwards."""
        plan = _plan(stage)
        assert _kept(plan) == plan
        assert _kept(plan).digest == plan.digest
        assert stage.executor.steps(stage.target, _kept(plan)) == stage.executor.steps(stage.target, plan)

    def test_orders_in_another_order_come_to_the_same(self, stage: Stage) -> None:
        """Nothing depends on how they are listed."""
        turned = tuple(reversed(stage.orders))
        again = _on(stage, lambda executor, link: executor.plan(stage.target, link, turned))
        assert again.digest == _plan(stage).digest

    def test_no_orders_are_nothing_to_do(self, stage: Stage) -> None:
        """What nobody ordered is not done."""
        plan = _on(stage, lambda executor, link: executor.plan(stage.target, link, ()))
        assert plan.empty
        assert stage.executor.steps(stage.target, plan) == ()

    def test_steps_are_the_same_each_time_and_named_once(self, stage: Stage) -> None:
        """Their names are by the grammar of keys, since jobs on hosts are named after them."""
        plan = _plan(stage)
        steps = stage.executor.steps(stage.target, plan)
        assert steps == stage.executor.steps(stage.target, plan)
        assert len({step.name for step in steps}) == len(steps)
        assert all(KEY.fullmatch(step.name) for step in steps), [step.name for step in steps]
        assert any(step.phase is Phase.APPLY for step in steps), "nothing applies anything"

    def test_steps_are_programs_with_arguments(self, stage: Stage) -> None:
        """Each word is a text without a NUL, and how long it takes is a number of seconds."""
        for step in stage.executor.steps(stage.target, _plan(stage)):
            argv: Any = step.command.argv
            assert argv, step.name
            assert all(isinstance(word, str) and "\0" not in word for word in argv), argv
            assert step.expected_seconds >= 0, step.name

    def test_a_service_that_is_stopped_is_started_again(self, stage: Stage) -> None:
        """There is no plan that ends with a portal down, and the plan says that it will be."""
        plan = _plan(stage)
        phases = [step.phase for step in stage.executor.steps(stage.target, plan)]
        assert (Phase.STOP in phases) == (Phase.START in phases), phases
        assert Phase.STOP not in phases or plan.stops_service

    def test_what_was_applied_is_what_was_planned(self, stage: Stage) -> None:
        """And nothing is left to do: the next plan is empty."""
        plan = _plan(stage)
        answers = _on(stage, lambda executor, link: run_steps(executor, link, stage.target, plan))
        assert all(answer in WELL for answer in answers.values()), answers
        before = stage.state()
        verdict = _verified(stage, plan)
        assert verdict.problems == ()
        assert sorted(verdict.applied) == sorted(plan.items)
        assert set(verdict.versions) <= set(stage.target.components), verdict.versions
        assert stage.state() == before, "verifying changed something"
        assert _plan(stage).empty, "the same is planned once more"

    def test_where_nothing_was_done_nothing_counts_as_applied(self, stage: Stage) -> None:
        """That is how a failure that changed nothing is told from one that did."""
        verdict = _verified(stage, _plan(stage))
        assert verdict.applied == ()
        assert verdict.problems, "what was planned is not there, and nothing was found"


async def run_steps(
    executor: Executor, link: Link, target: Target, plan: UpdatePlan, *, job: str = "conformance"
) -> dict[str, Answer]:
    """Run the steps of a plan as jobs, phase by phase, up to the first that fails; return what each came to."""
    answers: dict[str, Answer] = {}
    for step in _in_order(executor.steps(target, plan)):
        named = f"{job}-{len(answers) + 1}"
        assert await link.start(named, step.command), f"the job {named} was started before"
        ended = await _ended(link, named)
        assert ended.state is JobState.ENDED, f"{step.name}: {ended}"
        assert ended.exit_code is not None, f"{step.name}: {ended}"
        answers[step.name] = step.answer(ended.exit_code)
        if answers[step.name] not in WELL:
            break
    return answers


async def _ended(link: Link, job: str) -> Job:
    for _ in range(LOOKS):
        found = await link.look(job)
        if found.state is not JobState.RUNNING:
            return found
        await asyncio.sleep(PAUSE_SECONDS)
    pytest.fail(f"the job {job} does not end")


def _in_order(steps: tuple[Step, ...]) -> list[Step]:
    return [step for phase in PHASES for step in steps if step.phase is phase]


def _on(stage: Stage, do: Callable[[Executor, Link], Awaitable[Any]]) -> Any:
    """Do something with a new executor over a new link: nothing may hang on either."""

    async def done() -> Any:
        link = await stage.open()
        try:
            return await do(stage.executor, link)
        finally:
            await link.close()

    return asyncio.run(done())


def _plan(stage: Stage) -> UpdatePlan:
    found: UpdatePlan = _on(stage, lambda executor, link: executor.plan(stage.target, link, stage.orders))
    return found


def _verified(stage: Stage, plan: UpdatePlan) -> Verdict:
    found: Verdict = _on(stage, lambda executor, link: executor.verify(stage.target, link, plan))
    return found


def _kept(plan: UpdatePlan) -> UpdatePlan:
    """Return a plan as it comes back from a database."""
    as_json = partial(json.dumps, allow_nan=False)
    items = json.loads(as_json([[item.name, item.before, item.after, item.origin] for item in plan.items]))
    return UpdatePlan(
        items=tuple(
            Item(name=name, before=before, after=after, origin=origin) for name, before, after, origin in items
        ),
        reboot=plan.reboot,
        stops_service=plan.stops_service,
        notes=tuple(json.loads(as_json(plan.notes))),
        data=json.loads(as_json(dict(plan.data))),
    )

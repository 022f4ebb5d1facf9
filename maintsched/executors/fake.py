"""`fake`: finds, plans and does what its settings say. For demonstrations, rehearsals, tests and the simulator.

Its steps run a harmless command through the link, so that everything around them is real. With `mark`, a file on the
host remembers what was applied: a second plan is then empty, as with every other executor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, ClassVar

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue, OutOfRange, UnknownName
from maintsched.executors.commands import Words, read_settings, require_absolute
from maintsched.executors.port import (
    Answer,
    Command,
    Finding,
    Item,
    Link,
    Order,
    Phase,
    Step,
    Target,
    UpdatePlan,
    Verdict,
)
from maintsched.grammar import require_key, require_text

LOOK_SECONDS = 30
ITEM_FIELDS = ("name", "before", "after", "origin")
CHANGED = frozenset({Answer.DONE, Answer.REBOOT, Answer.FAILED})
"""Answers after which something has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeSettings:
    """What is found, planned and done."""

    problems: Words = ()
    """What a look before the work finds that forbids to begin."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """What is installed before the work, by component."""
    items: tuple[Mapping[str, str], ...] = ()
    """What changes, each with `name`, `before`, `after`, `origin`; none: one item for each order."""
    nothing: bool = False
    """There is nothing to do."""
    answer: Answer = Answer.DONE
    """What applying comes to."""
    broken: Words = ()
    """What a look after the work finds that is not as it was planned."""
    reboot: bool = False
    """The plan says that the host has to be restarted."""
    reboot_required: bool = False
    """A look finds that the host has to be restarted."""
    stops_service: bool = False
    """The service is stopped before and started after the work."""
    backup: bool = False
    """A step takes a backup first."""
    rollback: bool = False
    """There is a step that undoes the work."""
    command: Words = ("true",)
    """What the steps run; it has to end with 0. What applies and fails runs `false` instead."""
    mark: str = ""
    """Begins the path of a file on the host that remembers what was applied; empty: nothing is remembered."""
    seconds: int = 1
    """How long each step is expected to take."""

    def __post_init__(self) -> None:
        """Refuse items without a name, commands without a word, a mark that is no path."""
        settle_fields(self)
        for item in self.items:
            for name in item:
                if name not in ITEM_FIELDS:
                    raise UnknownName("items", found=name, known=ITEM_FIELDS, field="items")
            require_text("items", item.get("name", ""))
        for component in self.versions:
            require_key("versions", component)
        for text in (*self.problems, *self.broken, *self.command):
            require_text("text", text)
        if not self.command:
            raise InvalidValue("command", expected="at least one word", found="none", field="command")
        if self.mark:
            require_absolute("mark", self.mark)
        if not 0 <= self.seconds <= 86_400:
            raise OutOfRange("seconds", expected="a number from 0 to 86400", found=self.seconds, field="seconds")


class FakeExecutor:
    """Does as it is told."""

    name: ClassVar[str] = "fake"
    components: ClassVar[Words] = ("linux", "os", "database", "webserver", "intrexx", "application")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the settings of `FakeSettings`."""
        self.settings = read_settings(FakeSettings, self.name, settings)

    def validate(self, target: Target) -> Words:  # noqa: ARG002 - as the port has it
        """Find nothing: there is no target that it cannot pretend to work on."""
        return ()

    async def probe(self, target: Target, link: Link) -> Finding:
        """Find what the settings say. The host is asked, so that one that does not answer shows."""
        await self._ask(link, ("true",))
        return Finding(
            problems=self.settings.problems,
            versions={name: text for name, text in self.settings.versions.items() if name in target.components},
            reboot_required=self.settings.reboot_required,
        )

    async def plan(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:
        """Plan what the settings say; nothing where it was applied before."""
        items = self._items(orders) if orders and not self.settings.nothing else ()
        plan = UpdatePlan(
            items=items,
            reboot=self.settings.reboot and bool(items),
            stops_service=self.settings.stops_service and bool(items),
        )
        return UpdatePlan(notes=("applied before",)) if items and await self._marked(target, link, plan) else plan

    def steps(self, target: Target, plan: UpdatePlan) -> tuple[Step, ...]:
        """Return a step for each phase that the settings ask for."""
        if plan.empty:
            return ()
        say = self.settings
        asked = {
            Phase.BACKUP: say.backup,
            Phase.STOP: say.stops_service,
            Phase.APPLY: True,
            Phase.START: say.stops_service,
            Phase.ROLLBACK: say.rollback,
        }
        return tuple(step for phase, wanted in asked.items() if wanted for step in self._steps(target, plan, phase))

    async def verify(self, target: Target, link: Link, plan: UpdatePlan) -> Verdict:
        """Find what the settings say, or what the mark says."""
        done = self.settings.answer in CHANGED and (not self.settings.mark or await self._marked(target, link, plan))
        applied = plan.items if done else ()
        problems = () if done else tuple(f"{item.name}: not applied" for item in plan.items)
        changed = {item.name: item.after for item in applied if item.after and item.name in target.components}
        before = {name: text for name, text in self.settings.versions.items() if name in target.components}
        return Verdict(
            problems=(*problems, *self.settings.broken),
            versions={**before, **changed},
            applied=applied,
            reboot_required=self.settings.reboot_required or (self.settings.answer is Answer.REBOOT and done),
        )

    # --- its parts ---

    def _items(self, orders: Sequence[Order]) -> tuple[Item, ...]:
        if self.settings.items:
            return tuple(
                Item(
                    name=item["name"],
                    before=item.get("before"),
                    after=item.get("after"),
                    origin=item.get("origin", "fake"),
                )
                for item in self.settings.items
            )
        return tuple(
            Item(name=order.component, before=order.installed, after=order.release or "newest", origin="fake")
            for order in orders
        )

    def _steps(self, target: Target, plan: UpdatePlan, phase: Phase) -> list[Step]:
        answer = self.settings.answer
        usual = Step(
            name=phase.value,
            phase=phase,
            command=Command(argv=self.settings.command),
            idempotent=phase is not Phase.APPLY,
            expected_seconds=self.settings.seconds,
        )
        mark = self._mark(target, plan)
        if phase is Phase.ROLLBACK and mark:
            return [usual, replace(usual, name="unmark", command=Command(argv=("rm", "-f", "--", mark)))]
        if phase is not Phase.APPLY:
            return [usual]
        if answer not in (Answer.DONE, Answer.REBOOT):
            return [replace(usual, command=Command(argv=("false",)), answers={1: answer})]
        applying = replace(usual, answers={0: answer})
        marking = replace(usual, name="mark", command=Command(argv=("touch", "--", mark)), idempotent=True)
        return [applying, marking] if mark else [applying]

    def _mark(self, target: Target, plan: UpdatePlan) -> str:
        """Return the file that says that just this was applied to just this instance."""
        words = f"{target.instance} {plan.digest}"
        return f"{self.settings.mark}{sha256(words.encode()).hexdigest()[:16]}" if self.settings.mark else ""

    async def _marked(self, target: Target, link: Link, plan: UpdatePlan) -> bool:
        mark = self._mark(target, plan)
        return bool(mark) and await self._ask(link, ("test", "-e", mark))

    async def _ask(self, link: Link, argv: Words) -> bool:
        return (await link.run(Command(argv=argv), timeout_seconds=LOOK_SECONDS)).ok

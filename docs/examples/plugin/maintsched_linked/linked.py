"""`linked`: an application whose releases lie side by side; the one that runs is where a link leads.

    /srv/app/releases/1.0.0/
    /srv/app/releases/1.1.0/
    /srv/app/current -> releases/1.0.0

An update is another link, put in place of the old one in one step. Going back is the old link.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from maintsched.errors import ExecutionError, InvalidValue, UnknownName
from maintsched.executors.port import (
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
from maintsched.version import Version

LOOK_SECONDS = 30
SETTINGS = ("folder",)


class Linked:
    """Lets the link of an application lead to another release."""

    name: ClassVar[str] = "linked"
    components: ClassVar[tuple[str, ...]] = ("application",)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take `folder`, the absolute path of the application; refuse every other setting."""
        for name in settings:
            if name not in SETTINGS:
                raise UnknownName("setting", found=name, known=SETTINGS, field=name)
        folder = settings.get("folder", "/srv/app")
        if not (isinstance(folder, str) and folder.startswith("/")):
            raise InvalidValue("folder", expected="an absolute path", found=folder, field="folder")
        self.folder = folder.rstrip("/")

    def validate(self, target: Target) -> tuple[str, ...]:  # noqa: ARG002 - there is nothing that a target could lack
        """Return nothing: whatever is missing, only the host can say."""
        return ()

    async def probe(self, target: Target, link: Link) -> Finding:
        """Look where the link leads."""
        current = await self._current(link)
        if current is None:
            return Finding(problems=(f"{self.folder}/current leads to no release: make that link first",))
        return Finding(versions=dict.fromkeys(target.components, current))

    async def plan(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:
        """Return the change of the link, to the highest release that is ordered."""
        releases = [order.release for order in orders if order.release is not None]
        if not releases:
            return UpdatePlan()
        release = max(releases, key=Version.parse)
        current = await self._current(link)
        if current is not None and Version.parse(current) >= Version.parse(release):
            return UpdatePlan()
        if not (await self._run(link, "test", "-d", f"{self.folder}/releases/{release}")).ok:
            raise ExecutionError(f"host {target.host}: {self.folder}/releases/{release} is not there: unpack it first")
        return UpdatePlan(items=(Item(name="application", before=current, after=release),))

    def steps(self, target: Target, plan: UpdatePlan) -> tuple[Step, ...]:  # noqa: ARG002 - the plan says it all
        """Return what sets the link, and what sets it back. Both may be repeated: a link that is there is made anew."""
        if plan.empty:
            return ()
        (item,) = plan.items
        steps = [self._step("link", Phase.APPLY, str(item.after))]
        if item.before is not None:
            steps.append(self._step("link-back", Phase.ROLLBACK, item.before))
        return tuple(steps)

    async def verify(self, target: Target, link: Link, plan: UpdatePlan) -> Verdict:
        """Look where the link leads now."""
        current = await self._current(link)
        versions = dict.fromkeys(target.components, current) if current is not None else {}
        wrong = tuple(item for item in plan.items if item.after != current)
        problems = tuple(f"{self.folder}/current: expected {item.after}, found {current}" for item in wrong)
        return Verdict(problems=problems, versions=versions, applied=() if wrong else plan.items)

    def _step(self, name: str, phase: Phase, release: str) -> Step:
        words = ("ln", "--symbolic", "--force", "--no-dereference", f"releases/{release}", f"{self.folder}/current")
        return Step(name=name, phase=phase, command=Command(argv=words), idempotent=True, expected_seconds=5)

    async def _current(self, link: Link) -> str | None:
        """Return the release that the link leads to."""
        found = await self._run(link, "readlink", f"{self.folder}/current")
        name = found.stdout.strip().rpartition("/")[2]
        try:
            return str(Version.parse(name)) if found.ok else None
        except InvalidValue:
            return None

    async def _run(self, link: Link, *words: str) -> Any:
        return await link.run(Command(argv=words), timeout_seconds=LOOK_SECONDS)

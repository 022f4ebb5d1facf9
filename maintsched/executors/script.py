"""`script`: an operator's own commands, one for each phase.

Each command gets the facts as JSON on stdin, and the most wanted of them as variables. It answers by how it ends:
0 done, 69 not now (the next window), 75 try again, anything else failed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from maintsched.birth import settle_fields
from maintsched.errors import ExecutionError, InvalidValue, OutOfRange, one_of, show
from maintsched.executors.commands import (
    TARGET_PLACES,
    Words,
    fill,
    last_words,
    read_settings,
    require_absolute,
    require_words,
    target_values,
)
from maintsched.executors.port import (
    Answer,
    Command,
    Finding,
    Item,
    Link,
    Order,
    Output,
    Phase,
    Step,
    Target,
    UpdatePlan,
    Verdict,
)
from maintsched.grammar import require_key, require_text
from maintsched.version import Version

LOOKS = ("probe", "plan", "verify", "version")
"""Commands that only look."""
WORKS = ("backup", "stop", "apply", "start", "rollback")
"""Commands that change something: steps, each of the phase of that name."""
CODES: Mapping[int, Answer] = {0: Answer.DONE, 69: Answer.POSTPONE, 75: Answer.AGAIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSettings:
    """An operator's commands; an empty one is not called."""

    apply: Words
    """Does the update."""
    probe: Words = ()
    """Ends with 0 where work may begin; what it says otherwise is what forbids it."""
    version: Words = ()
    """Prints what is installed, a line each: `<component> <version>`; of a single component its version alone."""
    plan: Words = ()
    """Prints what will change, as lines `<name> <before> <after>` (`-`: nothing) or as JSON; nothing: no changes."""
    backup: Words = ()
    stop: Words = ()
    start: Words = ()
    rollback: Words = ()
    verify: Words = ()
    """Ends with 0 where all is as it was planned; what it says otherwise is what is wrong. Empty: `plan` is asked once
    more, and what it still wants was not done."""
    idempotent: tuple[str, ...] = ()
    """Those of them that may be run again after they were interrupted half way."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of every command. Everybody on the host may read it: no secrets."""
    folder: str | None = None
    """Where they are started."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Exit codes that mean something else, such as `{"102" = "reboot"}`."""
    expected_seconds: Mapping[str, int] = field(default_factory=dict)
    """How long each of them takes; a minute, where nothing is said."""
    look_seconds: int = 120
    """How long a command may take that only looks."""

    def __post_init__(self) -> None:
        """Refuse what could not be run, or what names nothing."""
        settle_fields(self)
        for name in (*LOOKS, *WORKS):
            require_words(name, getattr(self, name), TARGET_PLACES)
        if not self.apply:
            raise InvalidValue("apply", expected="a command", found="none", field="apply")
        if self.folder is not None:
            require_absolute("folder", self.folder)
        for name in ("idempotent", "expected_seconds"):
            for each in getattr(self, name):
                if each not in WORKS:
                    raise InvalidValue(name, expected=one_of(each, WORKS), found=each, field=name)
        for code in self.answers:
            if not (code.isascii() and code.isdigit() and int(code) <= 255):
                raise InvalidValue("answers", expected="an exit code from 0 to 255", found=code, field="answers")
        if not 1 <= self.look_seconds <= 3600:
            expected = "a number from 1 to 3600"
            raise OutOfRange("look_seconds", expected=expected, found=self.look_seconds, field="look_seconds")


class Script:
    """Calls an operator's commands."""

    name: ClassVar[str] = "script"
    components: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the settings; `InvalidValue` names the one that cannot be used."""
        if "apply" not in settings:
            subject = ("executor", self.name)
            raise InvalidValue("apply", expected="a command", found="none", field="apply", subject=subject)
        self.settings = read_settings(ScriptSettings, self.name, settings)

    def validate(self, target: Target) -> tuple[str, ...]:
        """Say where it is not known what is updated."""
        if target.components:
            return ()
        return ("components: name in parts which components the script updates, such as parts = { os = 'script' }",)

    async def probe(self, target: Target, link: Link) -> Finding:
        """Ask the operator's `probe` and `version`."""
        problems: list[str] = []
        if self.settings.probe:
            output = await self._ask("probe", target, link)
            if not output.ok:
                problems.append(f"probe: {_said(output)}")
        versions = await self._versions(target, link, problems)
        return Finding(problems=tuple(problems), versions=versions)

    async def plan(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:
        """Return what the operator's `plan` says; without one, the releases that are ordered and not there.

        Raises `ExecutionError` where `plan` fails or cannot be read, or where there is none and an order names no
        release.
        """
        if not orders:
            return UpdatePlan()
        ordered = [_order(order) for order in orders]
        if self.settings.plan:
            plan = _read_plan(target, await self._ask("plan", target, link, orders=ordered))
        else:
            plan = await self._ordered(target, link, orders)
        return UpdatePlan(
            items=plan.items,
            reboot=plan.reboot,
            notes=plan.notes,
            stops_service=bool(self.settings.stop),
            data={"orders": ordered, "components": list(target.components)},
        )

    def steps(self, target: Target, plan: UpdatePlan) -> tuple[Step, ...]:
        """Return a step for each command there is that changes something."""
        return () if plan.empty else tuple(self._steps(target, plan))

    async def verify(self, target: Target, link: Link, plan: UpdatePlan) -> Verdict:
        """Compare what `version` says with the plan; of the rest, ask `verify`, or else what `plan` still wants.

        Where there is none of them, that the commands ended with 0 has to be enough.
        """
        problems: list[str] = []
        content = True
        if self.settings.verify:
            output = await self._ask("verify", target, link, plan=plan)
            content = output.ok
            problems += [] if content else [f"verify: {_said(output)}"]
        versions = await self._versions(target, link, problems)
        left = await self._left(target, link, plan) if not self.settings.verify else set()
        applied = []
        for item in plan.items:
            found = versions.get(item.name)
            if found is not None and item.after is not None and not _same(found, item.after):
                problems.append(f"{item.name}: expected {item.after}, found {found}")
            elif found is None and item.name in left:
                problems.append(f"{item.name}: the plan still wants {item.after or 'it removed'}")
            elif found is not None or content:
                applied.append(item)
        return Verdict(problems=tuple(problems), versions=versions, applied=tuple(applied))

    # --- parts of it --------------------------------------------------------------------------------------------------

    def _steps(self, target: Target, plan: UpdatePlan) -> Iterator[Step]:
        for phase in WORKS:
            if getattr(self.settings, phase):
                yield Step(
                    name=phase,
                    phase=Phase(phase),
                    command=self._command(phase, target, plan=plan, orders=plan.data.get("orders", [])),
                    idempotent=phase in self.settings.idempotent,
                    answers={**CODES, **{int(code): answer for code, answer in self.settings.answers.items()}},
                    expected_seconds=self.settings.expected_seconds.get(phase, 60),
                )

    def _command(
        self,
        phase: str,
        target: Target,
        *,
        plan: UpdatePlan | None = None,
        orders: Sequence[Mapping[str, Any]] = (),
    ) -> Command:
        items = [{"name": each.name, "before": each.before, "after": each.after} for each in plan.items] if plan else []
        components = list(plan.data.get("components", ()) if plan else target.components)
        facts = {
            "phase": phase,
            "instance": target.instance,
            "host": target.host,
            "url": target.url,
            "components": components,
            "neighbours": list(target.neighbours),
            "orders": list(orders),
            "items": items,
        }
        variables = {
            "MAINTSCHED_PHASE": phase,
            "MAINTSCHED_INSTANCE": target.instance,
            "MAINTSCHED_HOST": target.host,
            "MAINTSCHED_COMPONENTS": " ".join(components),
            "MAINTSCHED_RELEASES": " ".join(
                f"{each['component']}={each['release']}" for each in orders if each["release"]
            ),
        }
        return Command(
            argv=fill(getattr(self.settings, phase), target_values(target)),
            environment={**variables, **self.settings.environment},
            stdin=json.dumps(facts, ensure_ascii=False).encode() + b"\n",
            folder=self.settings.folder,
        )

    async def _ask(
        self,
        phase: str,
        target: Target,
        link: Link,
        *,
        plan: UpdatePlan | None = None,
        orders: Sequence[Mapping[str, Any]] = (),
    ) -> Output:
        orders = plan.data.get("orders", []) if plan else orders
        command = self._command(phase, target, plan=plan, orders=orders)
        return await link.run(command, timeout_seconds=self.settings.look_seconds)

    async def _left(self, target: Target, link: Link, plan: UpdatePlan) -> set[str]:
        """Return the names of what `plan` says again, now that the work is over."""
        if not self.settings.plan or plan.empty:
            return set()
        again = await self._ask("plan", target, link, orders=plan.data.get("orders", []))
        return {item.name for item in _read_plan(target, again).items}

    async def _versions(self, target: Target, link: Link, problems: list[str]) -> dict[str, str]:
        """Return what is installed, by component; what cannot be read is added to the problems."""
        if not self.settings.version:
            return {}
        output = await self._ask("version", target, link)
        if not output.ok:
            problems.append(f"version: {_said(output)}")
            return {}
        versions = {}
        for line in _lines(output.stdout):
            words = line.split()
            if len(words) == 1 and len(target.components) == 1:
                words = [target.components[0], *words]
            if len(words) != 2:
                problems.append(f'version: expected lines "<component> <version>", got {show(line)}')
                continue
            versions[words[0]] = words[1]
        return versions

    async def _ordered(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:
        problems: list[str] = []
        versions = await self._versions(target, link, problems)
        if problems:
            raise ExecutionError(f"host {target.host}: {'; '.join(problems)}")
        items = {}
        for order in orders:
            if order.release is None:
                raise ExecutionError(
                    f"host {target.host}: {order.component}: without a release it is not known what changes; "
                    "set plan in the settings of script"
                )
            before = versions.get(order.component, order.installed)
            if before is None or not _same(before, order.release):
                items[order.component] = Item(name=order.component, before=before, after=order.release)
        return UpdatePlan(items=tuple(items.values()))


# --- what commands say ------------------------------------------------------------------------------------------------


def _said(output: Output) -> str:
    """Return what a command that did not end with 0 has said."""
    asks = {69: "it asks for another window: ", 75: "it asks to be tried again later: "}.get(output.exit_code, "")
    return f"{asks}it ended with {output.exit_code}: {last_words(output.stderr or output.stdout)}"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _order(order: Order) -> dict[str, Any]:
    return {
        "component": order.component,
        "class": str(order.change_class),
        "release": order.release,
        "installed": order.installed,
    }


def _same(found: str, wanted: str) -> bool:
    """Say whether two texts name one version; what is no version is compared as it is written."""
    try:
        return Version.parse(found) == Version.parse(wanted)
    except InvalidValue:
        return found == wanted


def _read_plan(target: Target, output: Output) -> UpdatePlan:
    """Return what a `plan` has printed. Raises `ExecutionError` for what is neither lines nor the JSON, or no whole."""
    if not output.ok:
        raise ExecutionError(f"host {target.host}: plan: {_said(output)}")
    if output.cut:
        raise ExecutionError(f"host {target.host}: plan: it says more than can be read; let it say less")
    text = output.stdout
    try:
        if text.lstrip()[:1] in {"{", "["}:
            plan = _json_plan(json.loads(text))
        else:
            plan = UpdatePlan(items=tuple(_line_item(line) for line in _lines(text)))
        names = [item.name for item in plan.items]
        if len(set(names)) < len(names):
            raise InvalidValue("plan", expected="each name once", found=", ".join(sorted(names)))
    except (ValueError, RecursionError) as error:
        raise ExecutionError(f"host {target.host}: plan: {error}") from error
    return plan


def _line_item(line: str) -> Item:
    words = line.split()
    if len(words) != 3:
        raise InvalidValue("line", expected='"<name> <before> <after>", with "-" for none', found=line)
    before, after = (None if word == "-" else word for word in words[1:])
    return _item(words[0], before, after)


def _json_plan(found: Any) -> UpdatePlan:
    table = found if isinstance(found, dict) else {"items": found}
    items, notes, reboot = (table.get(name, other) for name, other in (("items", []), ("notes", []), ("reboot", False)))
    if not (isinstance(items, list) and isinstance(notes, list) and isinstance(reboot, bool)):
        raise InvalidValue("JSON", expected="items and notes as lists, reboot as true or false", found=str(found))
    for note in notes:
        require_text("note", str(note))
    listed = [each if isinstance(each, dict) else {} for each in items]
    read = tuple(_item(each.get("name"), each.get("before"), each.get("after")) for each in listed)
    return UpdatePlan(items=read, notes=tuple(map(str, notes)), reboot=reboot)


def _item(name: Any, before: Any, after: Any) -> Item:
    for what, value in (("name", name), ("before", before), ("after", after)):
        if not isinstance(value, str) and (what == "name" or value is not None):
            raise InvalidValue(what, expected="a text", found=value)
        if value is not None:
            require_text(what, value)
    if name in {"", "-"}:
        require_key("name", name)
    return Item(name=name, before=before, after=after)

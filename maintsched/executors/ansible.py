"""`ansible`: plays an operator's playbook, by ansible-runner in a process of its own on this machine.

The plan is what the playbook says in check mode; what was done is what it still says afterwards: nothing, where all is
as it should be. Keys of hosts are always checked. The process and what it prints are in `ansibleplay`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, ClassVar

from maintsched.birth import settle_fields
from maintsched.errors import ExecutionError, HostKeyRefused, InvalidValue, OutOfRange, Unreachable
from maintsched.executors.ansibleplay import FAILED_CLEAN, RESULT
from maintsched.executors.commands import (
    TARGET_PLACES,
    fill_word,
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
    Phase,
    Step,
    Target,
    UpdatePlan,
    Verdict,
)
from maintsched.executors.transports.controller import play_words
from maintsched.grammar import require_host

ANSWERS = {69: Answer.POSTPONE, 75: Answer.AGAIN, FAILED_CLEAN: Answer.FAILED_CLEAN}
KEY_TROUBLE = ("host key verification failed", "remote host identification has changed", "host key for")
"""What ssh and paramiko say where a key is not the known one, in small letters."""
PLAYED = "played"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsibleSettings:
    """What is played, where, and with what."""

    playbook: str
    """Absolute path; roles and `ansible.cfg` are looked for beside it."""
    backup_playbook: str | None = None
    """Played before, in the phase `backup`."""
    rollback_playbook: str | None = None
    """Played where the work failed; None: there is no way back."""
    verify_playbook: str | None = None
    """Played afterwards instead of a check of `playbook`: it has to end well."""
    inventory: str | None = None
    """Absolute path; None: the host alone, by its name."""
    limit: str = "{host}"
    """How the inventory calls the host."""
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    """Handed to every play. They are no place for secrets: those belong in a vault."""
    private_key: str | None = None
    vault_password_file: str | None = None
    known_hosts: str | None = None
    """The only file of keys that counts; None: those of the user and of the system."""
    check: bool = True
    """The plan is a play in check mode; without it, the plan is that the playbook will be played."""
    probe: bool = True
    """The host is greeted before anything is planned."""
    stops_service: bool = True
    idempotent: bool = False
    """The playbook may be played again after it was interrupted half way."""
    python: str = sys.executable
    """The Python that has ansible-runner, and maintsched."""
    expected_seconds: int = 900
    look_seconds: int = 900
    """How long a play may take that only looks."""

    def __post_init__(self) -> None:
        """Refuse paths that are not absolute, and variables that JSON cannot hold."""
        settle_fields(self)
        for name in _PATHS:
            if getattr(self, name) is not None:
                require_absolute(name, getattr(self, name))
        if '"' in (self.known_hosts or ""):
            expected = "a path without quotes: ssh could not read it"
            raise InvalidValue("known_hosts", expected=expected, found=self.known_hosts, field="known_hosts")
        require_words("limit", (self.limit,), TARGET_PLACES)
        require_words("tags", (*self.tags, *self.skip_tags), ())
        for name in ("expected_seconds", "look_seconds"):
            if not 1 <= getattr(self, name) <= 86_400:
                raise OutOfRange(name, expected="a number from 1 to 86400", found=getattr(self, name), field=name)
        try:
            json.dumps(_plain(self.extra_vars))
        except (TypeError, ValueError) as error:
            expected = "texts, numbers, true, false, lists and tables"
            raise InvalidValue("extra_vars", expected=expected, found=str(error), field="extra_vars") from error


_PATHS = (
    *("playbook", "backup_playbook", "rollback_playbook", "verify_playbook", "inventory"),
    *("private_key", "vault_password_file", "known_hosts", "python"),
)


class Ansible:
    """Plays playbooks."""

    name: ClassVar[str] = "ansible"
    components: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the settings; `InvalidValue` names the one that cannot be used."""
        if "playbook" not in settings:
            subject = ("executor", self.name)
            raise InvalidValue("playbook", expected="an absolute path", found="none", field="playbook", subject=subject)
        self.settings = read_settings(AnsibleSettings, self.name, settings)

    def validate(self, target: Target) -> tuple[str, ...]:
        """Say where ansible-runner is not installed."""
        require_host("host", target.host)
        if self.settings.python == sys.executable and find_spec("ansible_runner") is None:
            return ("ansible-runner is not installed: pip install 'maintsched[ansible]'",)
        return ()

    async def probe(self, target: Target, link: Link) -> Finding:
        """Greet the host: with its pinned key, and with ours."""
        problems = []
        if self.settings.probe:
            result = await self._look(target, link, None)
            problems += _failures(result)
        return Finding(problems=tuple(problems))

    async def plan(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:
        """Return the tasks that would change something, and those of which a check cannot say it.

        Raises `ExecutionError` where the check fails, `HostKeyRefused` where the host shows another key.
        """
        if not orders:
            return UpdatePlan()
        data = {"orders": [_order(order) for order in orders]}
        back = self.settings.rollback_playbook
        notes: tuple[str, ...] = () if back else ("there is no way back: rollback_playbook is not set",)
        if self.settings.check:
            result = await self._look(target, link, self.settings.playbook, data, check=True)
            failures = _failures(result)
            if failures:
                raise ExecutionError(f"host {target.host}: {'; '.join(failures)}; nothing was changed")
            items = _items(result)
            notes += (f"{result['more']} more tasks would change something",) if result["more"] else ()
        else:
            items = tuple(
                Item(name=order.component, before=order.installed, after=order.release or PLAYED) for order in orders
            )
        if not items:
            return UpdatePlan()
        return UpdatePlan(items=items, stops_service=self.settings.stops_service, notes=notes, data=data)

    def steps(self, target: Target, plan: UpdatePlan) -> tuple[Step, ...]:
        """Return a step for each playbook."""
        if plan.empty:
            return ()
        settings = self.settings
        plays = (
            (Phase.BACKUP, settings.backup_playbook, True),
            (Phase.APPLY, settings.playbook, settings.idempotent),
            (Phase.ROLLBACK, settings.rollback_playbook, settings.idempotent),
        )
        return tuple(
            Step(
                name="play" if phase is Phase.APPLY else str(phase),
                phase=phase,
                command=self._command(target, playbook, plan.data, phase=str(phase)),
                idempotent=idempotent,
                answers=ANSWERS,
                expected_seconds=settings.expected_seconds,
            )
            for phase, playbook, idempotent in plays
            if playbook is not None
        )

    async def verify(self, target: Target, link: Link, plan: UpdatePlan) -> Verdict:
        """Look whether the playbook would still change something, or play the one that looks."""
        settings = self.settings
        if settings.verify_playbook is None and not settings.check:
            return Verdict(applied=plan.items)
        check = settings.verify_playbook is None
        playbook = settings.playbook if check else settings.verify_playbook
        result = await self._look(target, link, playbook, plan.data, check=check)
        problems = _failures(result)
        left = {item.name for item in _items({"changed": result["changed"]})} if check else set()
        problems += [f"task {name} would still change something" for name in sorted(left)]
        versions = result["custom"].get("maintsched_versions")
        return Verdict(
            problems=tuple(problems),
            versions={str(name): str(text) for name, text in versions.items()} if isinstance(versions, dict) else {},
            applied=tuple(item for item in plan.items if item.name not in left),
        )

    # --- plays --------------------------------------------------------------------------------------------------------

    def _command(
        self,
        target: Target,
        playbook: str | None,
        data: Mapping[str, Any],
        *,
        phase: str,
        check: bool = False,
    ) -> Command:
        settings = self.settings
        orders = list(data.get("orders", []))
        extra = {
            **_plain(settings.extra_vars),
            "maintsched_instance": target.instance,
            "maintsched_host": target.host,
            "maintsched_phase": phase,
            "maintsched_orders": orders,
            "maintsched_releases": {each["component"]: each["release"] for each in orders if each["release"]},
        }
        order = {
            "playbook": playbook,
            "host": target.host,
            "limit": fill_word(settings.limit, target_values(target)),
            "check": check,
            "extra_vars": extra,
            "tags": ",".join(settings.tags),
            "skip_tags": ",".join(settings.skip_tags),
            **{name: getattr(settings, name) for name in _HANDED},
        }
        return Command(argv=play_words(settings.python), stdin=json.dumps(order).encode())

    async def _look(
        self,
        target: Target,
        link: Link,
        playbook: str | None,
        data: Mapping[str, Any] | None = None,
        *,
        check: bool = False,
    ) -> dict[str, Any]:
        """Play something that only looks, and return its result. Raises where the host was not reached."""
        command = self._command(target, playbook, data or {}, phase="check" if check else "look", check=check)
        output = await link.run(command, timeout_seconds=self.settings.look_seconds)
        results = [line for line in output.stdout.splitlines() if line.startswith(RESULT)]
        if not results:
            said = last_words(output.stderr or output.stdout)
            raise ExecutionError(f"host {target.host}: ansible-runner ended with {output.exit_code}: {said}")
        result: dict[str, Any] = json.loads(results[-1].removeprefix(RESULT))
        for reason in result["unreachable"]:
            if any(trouble in reason.lower() for trouble in KEY_TROUBLE):
                raise HostKeyRefused(target.host, reason)
            raise Unreachable(target.host, reason)
        return result


_HANDED = ("inventory", "private_key", "vault_password_file", "known_hosts")


def _plain(found: Any) -> Any:
    """Return a value with tables and lists that JSON can write."""
    if isinstance(found, Mapping):
        return {str(name): _plain(each) for name, each in found.items()}
    if isinstance(found, list | tuple):
        return [_plain(each) for each in found]
    return found


def _order(order: Order) -> dict[str, Any]:
    return {
        "component": order.component,
        "class": str(order.change_class),
        "release": order.release,
        "installed": order.installed,
    }


def _failures(result: Mapping[str, Any]) -> list[str]:
    return [f"task {each['task'] or 'none'} failed: {each['message']}" for each in result["failed"]]


def _items(result: Mapping[str, Any]) -> tuple[Item, ...]:
    """Return tasks as things that change; tasks of one name are numbered."""
    seen: dict[str, int] = {}
    items = []
    for after in ("changed", "unforeseen"):
        for task in result.get(after, ()):
            name = task["task"] or "task"
            seen[name] = seen.get(name, 0) + 1
            number = f" ({seen[name]})" if seen[name] > 1 else ""
            items.append(Item(name=f"{name}{number}", before=None, after=after))
    return tuple(items)

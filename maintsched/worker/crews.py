"""Crews: who updates an instance, and how its host is reached, as a table `[executor.NAME]` says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from maintsched.contract import Contract
from maintsched.errors import InvalidValue, UnknownName
from maintsched.executors.port import Executor, Order, Target, Transport
from maintsched.executors.registry import executor_class, transport_class
from maintsched.fleet import Fleet, instance_url
from maintsched.intake.config import Config, ExecutorConfig
from maintsched.runs import Run, RunItem


@dataclass(frozen=True, kw_only=True)
class Crew:
    """The transport and the executors of one table."""

    name: str
    config: ExecutorConfig
    transport: Transport
    parts: Mapping[str, Executor]
    """By the name of the executor."""
    components: Mapping[str, str]
    """The executor of each component."""

    def covers(self, item: RunItem) -> bool:
        """Say whether it can do an item."""
        return item.component in self.components

    def orders(self, run: Run, installed: Mapping[str, str]) -> dict[str, list[Order]]:
        """Return what each executor is asked for in a run, those that come first in front."""
        found: dict[str, list[Order]] = {}
        for item in run.items:
            part = self.components.get(item.component)
            if part is not None:
                order = Order(
                    component=item.component,
                    change_class=item.change_class,
                    release=item.release,
                    installed=installed.get(item.component),
                )
                found.setdefault(part, []).append(order)
        return found


def known_crews(config: Config) -> frozenset[str]:
    """Return the names that an instance may call its executor by."""
    return frozenset(config.executor)


def crew_of(config: Config, name: str) -> Crew:
    """Return the crew of a table. Raises `UnknownName` for one that is not there, `InvalidValue` for bad settings."""
    table = config.executor.get(name)
    if table is None:
        raise UnknownName("executor", found=name, known=sorted(config.executor))
    names = set(table.parts.values()) or {name}
    parts = {each: executor_class(each)(table.settings.get(each, {})) for each in sorted(names)}
    components = dict(table.parts) or dict.fromkeys(parts[name].components, name)
    transport = transport_class(table.transport)(table.settings.get(table.transport, {}), config.path.parent)
    _require_known(name, table.settings, {table.transport, *names})
    return Crew(name=name, config=table, transport=transport, parts=parts, components=components)


def _require_known(name: str, settings: Iterable[str], known: set[str]) -> None:
    for each in settings:
        if each not in known:
            where = f"executor.{name}.settings"
            raise UnknownName(where, found=each, known=sorted(known), field=f"executor.{name}.settings.{each}")


def covered_components(config: Config, name: str) -> frozenset[str] | None:
    """Return the components that a table's executors update; None where the table is not there or cannot be used."""
    try:
        return frozenset(crew_of(config, name).components)
    except InvalidValue:  # the gate of the run says so, and the doctor says what is wrong
        return None


def target_of(contract: Contract, fleet: Fleet, run: Run, components: Iterable[str]) -> Target:
    """Return what a part of a run works on."""
    customer = fleet.owners[run.instance]
    instance = fleet.instance(run.instance)
    host = run.host.lower()
    neighbours = [each.key for each in fleet.instances() if each.host.lower() == host and each.key != run.instance]
    return Target(
        instance=run.instance,
        host=run.host,
        components=tuple(components),
        url=instance_url(contract, customer, instance),
        neighbours=tuple(sorted(neighbours)),
    )


def versions_of(fleet: Fleet, instance: str) -> dict[str, str]:
    """Return what is believed to be installed, by component."""
    known: Mapping[str, Any] = fleet.instance(instance).versions
    return {component: str(version) for component, version in known.items()}

"""The executors and transports that there are: those built in, in one table, and those that packages bring.

A package brings one by an entry point under `maintsched.executors` or `maintsched.transports`, which names a class:

    [project.entry-points."maintsched.executors"]
    pacman = "maintsched_pacman:Pacman"

What is built in cannot be replaced that way: whoever installs a package does not mean to change how hosts are reached.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from maintsched.errors import ExecutionError, UnknownName
from maintsched.executors.port import Executor, Transport


class Kind(StrEnum):
    """Which of the two ports a class keeps."""

    EXECUTOR = "executor"  # knows one kind of update
    TRANSPORT = "transport"  # reaches hosts


_HERE = "maintsched.executors"
BUILT_IN = {
    Kind.EXECUTOR: {
        "apt": f"{_HERE}.apt:Apt",
        "dnf": f"{_HERE}.dnf:Dnf",
        "zypper": f"{_HERE}.zypper:Zypper",
        "postgresql-minor": f"{_HERE}.postgresql:PostgresqlMinor",
        "intrexx": f"{_HERE}.intrexx:Intrexx",
        "script": f"{_HERE}.script:Script",
        "ansible": f"{_HERE}.ansible:Ansible",
        "fake": f"{_HERE}.fake:FakeExecutor",
    },
    Kind.TRANSPORT: {
        "local": f"{_HERE}.transports.local:Local",
        "controller": f"{_HERE}.transports.controller:Controller",
        "ssh": f"{_HERE}.transports.ssh:Ssh",
        "fake": f"{_HERE}.transports.fake:Fake",
    },
}
"""The one list of what is built in: module and class, imported when it is first wanted."""
GROUPS = {Kind.EXECUTOR: "maintsched.executors", Kind.TRANSPORT: "maintsched.transports"}
"""Entry points that packages use."""
SOURCE = "built in"
_PROMISED = {
    Kind.EXECUTOR: ("components", "validate", "probe", "plan", "steps", "verify"),
    Kind.TRANSPORT: ("validate", "open"),
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Installed:
    """An executor or transport that a configuration may name, and where it comes from."""

    kind: Kind
    name: str
    source: str
    """`built in`, or the distribution that brings it."""
    version: str
    """Of that distribution; of maintsched itself for what is built in."""


def executor_class(name: str) -> type[Executor]:
    """Return the executor of a name.

    Raises `UnknownName`, which lists those that there are, and `ExecutionError` for a package that is broken.
    """
    return cast("type[Executor]", _class(Kind.EXECUTOR, name))


def transport_class(name: str) -> type[Transport]:
    """Return the transport of a name; raises as `executor_class` does."""
    return cast("type[Transport]", _class(Kind.TRANSPORT, name))


def installed() -> list[Installed]:
    """Return what a configuration may name: executors, then transports, each in order of their names."""
    own = str(import_module(__name__.partition(".")[0]).__version__)  # the package around us: it is there already
    return sorted(
        [
            Installed(kind=kind, name=name, source=SOURCE, version=own)
            for kind, table in BUILT_IN.items()
            for name in table
        ]
        + [
            Installed(kind=kind, name=name, source=_source(points[0]), version=_version(points[0]))
            for kind in Kind
            for name, points in _brought(kind).items()
            if name not in BUILT_IN[kind] and len(points) == 1
        ]
    )


def problems() -> tuple[str, ...]:
    """Return what packages bring and nobody can use: under the name of a built-in one, twice, or broken."""
    return tuple(_problems())


def _problems() -> Iterator[str]:
    for kind in Kind:
        for name, points in _brought(kind).items():
            if name in BUILT_IN[kind]:
                yield (
                    f"{kind} {name} of {_all(points)} is not used: that name is built in and cannot be replaced; "
                    "it needs another name"
                )
                continue
            try:
                _class(kind, name)
            except ExecutionError as error:
                yield str(error)


def _class(kind: Kind, name: str) -> Any:
    built_in = BUILT_IN[kind].get(name)
    if built_in is not None:
        module, _, attribute = built_in.partition(":")
        return getattr(import_module(module), attribute)
    brought = _brought(kind)
    points = brought.get(name)
    if points is None:
        raise UnknownName(str(kind), found=name, known=sorted({*BUILT_IN[kind], *brought}))
    if len(points) > 1:
        raise ExecutionError(f"{kind} {name}: expected one package that brings it, found {_all(points)}; remove one")
    return _loaded(kind, name, points[0])


def _loaded(kind: Kind, name: str, point: EntryPoint) -> Any:
    """Import what a package brings, and see that it is what it should be."""
    place = f"{kind} {name} of {_all([point])}"
    try:
        found = point.load()
    except Exception as error:  # whatever its modules do when they are imported
        raise ExecutionError(
            f"{place}: {point.value} cannot be imported: {_shown(error)}; mend or remove it"
        ) from error
    missing = [each for each in _PROMISED[kind] if not hasattr(found, each)]
    if not isinstance(found, type) or missing:
        lacks = f"which lacks {', '.join(missing)}" if isinstance(found, type) else "which is no class"
        raise ExecutionError(f"{place}: expected a class as port.{kind.title()} says, found {point.value}, {lacks}")
    own = getattr(found, "name", None)
    if own != name:
        raise ExecutionError(f"{place}: expected a class whose name is {name}, found {point.value}, named {own!r}")
    return found


def _shown(error: Exception) -> str:
    from maintsched.errors import show

    return f"{type(error).__name__}: {show(str(error), 200)}"


def _brought(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Return what packages bring, by name; one that is installed in two places is found twice, and counts once."""
    found: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in sorted(entry_points(group=GROUPS[kind]), key=lambda each: (each.name, _source(each), each.value)):
        if (_source(point), point.value) not in [(_source(each), each.value) for each in found[point.name]]:
            found[point.name].append(point)
    return dict(found)


def _all(points: list[EntryPoint]) -> str:
    return " and ".join(f"{_source(each)} {_version(each)}".strip() for each in points)


def _source(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown package"


def _version(point: EntryPoint) -> str:
    return point.dist.version if point.dist is not None else ""

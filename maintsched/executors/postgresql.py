"""`postgresql-minor`: minor updates of a PostgreSQL server, with the portal stopped while they go in.

A minor update replaces programs and leaves the data as they are. A major one needs the data to be moved: it is refused
here, whoever asks for it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from maintsched.birth import settle_fields
from maintsched.errors import ExecutionError, InvalidValue, OutOfRange, show
from maintsched.executors.commands import (
    TARGET_PLACES,
    Look,
    Words,
    command_of,
    fill,
    fill_word,
    read_settings,
    require_pattern,
    require_words,
    step_name,
    target_values,
)
from maintsched.executors.port import (
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

PLACES = (*TARGET_PLACES, "unit", "major", "package", "packages", "version", "before")
NUMBERS = re.compile(r"(?:[0-9]+:)?([0-9]{1,4}(?:\.[0-9]{1,4})*)")
"""The numbers that a version begins with, whatever a distribution has put before or behind them."""
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}")
PACKAGE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~-]{0,127}")
APT_GET = (
    *("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"),
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlSettings:
    """How a server is asked, updated, and its portal stopped; the defaults are those of Debian and its apt."""

    units: tuple[str, ...] = ()
    """What uses the database and is stopped meanwhile, in the order it is started; `{instance}` among them."""
    nothing_to_stop: bool = False
    """Nothing uses the database that would have to be stopped: then `units` may be empty."""
    version: Words = ("runuser", "-u", "postgres", "--", "psql", "-XAtqc", "SHOW server_version")
    """Prints the version of the server that runs, such as `SELECT version()`, `pg_config --version`, `psql -V` do."""
    version_pattern: str = r"^(?:[A-Za-z]+ )?(?:\(PostgreSQL\) )?([0-9]{1,2}(?:\.[0-9]+)+)\b"
    healthy: Words = ("runuser", "-u", "postgres", "--", "psql", "-XAtqc", "SELECT 1")
    """Ends with 0 where the server answers."""
    packages: tuple[str, ...] = ("postgresql-{major}",)
    """What is installed; the first one's version is that of the update."""
    refresh: Words = (*APT_GET, "update")
    """Renews the lists of packages; empty: they are as they are."""
    available: Words = ("apt-cache", "madison", "{package}")
    """Prints which versions of the first package there are, the newest first."""
    available_pattern: str = r"(?m)^\s*\S+ \| *(\S+) \|"
    install: Words = (*APT_GET, "install", "--only-upgrade", "{packages}")
    """`{packages}` becomes a word for each package."""
    pinned: str = "{package}={version}"
    """How such a word says which version."""
    stop: Words = ("systemctl", "stop", "{unit}")
    start: Words = ("systemctl", "start", "{unit}")
    restart: Words = ()
    """Restarts the server after the packages are in; empty: they do it themselves."""
    backup: Words = ()
    """Taken before; empty: that of the whole table counts."""
    rollback: Words = ()
    """Goes back to `{before}`, the version of the package from before; empty: there is no way back."""
    sudo: Words = ()
    """What makes a command the superuser's, such as `["sudo", "-n"]`; empty: it is run as who we are."""
    environment: Mapping[str, str] = field(default_factory=lambda: QUIET)
    expected_seconds: int = 120
    look_seconds: int = 120

    def __post_init__(self) -> None:
        """Refuse what could not be run."""
        settle_fields(self)
        for name in _COMMANDS:
            require_words(name, getattr(self, name), PLACES)
        require_words("pinned", (self.pinned,), PLACES)
        require_pattern("version_pattern", self.version_pattern, groups=1)
        require_pattern("available_pattern", self.available_pattern, groups=1)
        for name in ("version", "available", "install", "packages", "stop", "start"):
            if not getattr(self, name):
                raise InvalidValue(name, expected="at least one word", found="none", field=name)
        for name in ("expected_seconds", "look_seconds"):
            if not 1 <= getattr(self, name) <= 86_400:
                raise OutOfRange(name, expected="a number from 1 to 86400", found=getattr(self, name), field=name)


_COMMANDS = (
    *("units", "version", "healthy", "packages", "refresh", "available", "install"),
    *("stop", "start", "restart", "backup", "rollback", "sudo"),
)


class PostgresqlMinor:
    """Updates a PostgreSQL server within its major version."""

    name: ClassVar[str] = "postgresql-minor"
    components: ClassVar[tuple[str, ...]] = ("database", "postgresql")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the settings; `InvalidValue` names the one that cannot be used."""
        self.settings = read_settings(PostgresqlSettings, self.name, settings)

    def validate(self, target: Target) -> tuple[str, ...]:  # noqa: ARG002 - as the port has it
        """Say where nothing would be stopped that uses the database."""
        if self.settings.units or self.settings.nothing_to_stop:
            return ()
        return ("units: name what uses the database, such as upixp_{instance}, or say nothing_to_stop = true",)

    async def probe(self, target: Target, link: Link) -> Finding:
        """Ask the server for its version, and whether it answers."""
        look = self._look(link)
        found = await self._version(look, target)
        await self._ask(look, target)
        versions = {component: str(found) for component in target.components} if found else {}
        return Finding(problems=tuple(look.problems), versions=versions)

    async def plan(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:
        """Return the newest minor version that there is, or the one that is ordered.

        Raises `ExecutionError` where that is of another major version, older than what runs, or not there.
        """
        look = self._look(link)
        found = await self._version(look, target)
        _stop_at(look, target)
        if found is None or not orders:
            return UpdatePlan()
        wanted = _wanted(target, orders, found)
        values = self._values(target, found)
        packages = fill(self.settings.packages, values)
        _refuse_bad("packages", packages, PACKAGE)
        if self.settings.refresh:
            await look.read("lists of packages", fill(self.settings.refresh, values))
        told = await look.read("versions", fill(self.settings.available, {**values, "package": packages[0]}))
        _stop_at(look, target)
        offered = re.findall(self.settings.available_pattern, told or "")
        chosen = _chosen(target, offered, found, wanted)
        if chosen is None:
            return UpdatePlan()
        _refuse_bad("version", (chosen,), PACKAGE_VERSION)
        item = Item(name=packages[0], before=str(found), after=_numbers(chosen), origin=chosen)
        data = {"package_version": chosen, "packages": list(packages), "major": values["major"]}
        notes = () if self.settings.rollback else ("there is no way back: rollback is empty",)
        return UpdatePlan(items=(item,), stops_service=bool(self.settings.units), notes=notes, data=data)

    def steps(self, target: Target, plan: UpdatePlan) -> tuple[Step, ...]:
        """Return the stops, the update and the starts."""
        if plan.empty:
            return ()
        settings = self.settings
        values = {**target_values(target), "major": str(plan.data["major"]), "version": plan.data["package_version"]}
        values |= {"package": plan.data["packages"][0], "before": plan.items[0].before or ""}
        words = [fill_word(settings.pinned, {**values, "package": each}) for each in plan.data["packages"]]
        install = [word for each in settings.install for word in (words if each == "{packages}" else [each])]
        units = fill(settings.units, values)
        return (
            *self._step("backup", Phase.BACKUP, settings.backup, values),
            *self._unit_steps("stop", Phase.STOP, settings.stop, values, units[::-1]),
            *self._step("install", Phase.APPLY, tuple(install), values),
            *self._step("restart", Phase.APPLY, settings.restart, values),
            *self._unit_steps("start", Phase.START, settings.start, values, units),
            *self._step("rollback", Phase.ROLLBACK, settings.rollback, values),
        )

    async def verify(self, target: Target, link: Link, plan: UpdatePlan) -> Verdict:
        """Ask the server that runs which version it is: packages alone prove nothing before a restart."""
        look = self._look(link)
        found = await self._version(look, target)
        await self._ask(look, target)
        applied = []
        for item in plan.items:
            if found is not None and Version.parse(item.after or "") == found:
                applied.append(item)
            elif found is not None:
                look.problems.append(f"{item.name}: the server runs {found}, expected {item.after}: was it restarted?")
        versions = {component: str(found) for component in target.components} if found else {}
        return Verdict(problems=tuple(look.problems), versions=versions, applied=tuple(applied))

    # --- parts of it --------------------------------------------------------------------------------------------------

    async def _version(self, look: Look, target: Target) -> Version | None:
        told = await look.read("version", fill(self.settings.version, target_values(target)))
        if told is None:
            return None
        found = re.search(self.settings.version_pattern, told)
        if found is None:
            look.problems.append(f"version: expected one such as 16.4, got {show(told.strip())}")
            return None
        return Version.parse(found[1])

    async def _ask(self, look: Look, target: Target) -> None:
        if self.settings.healthy:
            await look.read("the database does not answer", fill(self.settings.healthy, target_values(target)))

    def _values(self, target: Target, found: Version) -> dict[str, str]:
        return {**target_values(target), "major": _major(found)}

    def _unit_steps(
        self, kind: str, phase: Phase, words: Words, values: Mapping[str, str], units: Sequence[str]
    ) -> Iterator[Step]:
        for number, unit in enumerate(units, 1):
            yield from self._step(kind, phase, words, {**values, "unit": unit}, number, unit)

    def _step(
        self, kind: str, phase: Phase, words: Words, values: Mapping[str, str], number: int = 0, about: str = ""
    ) -> Iterator[Step]:
        if words:
            yield Step(
                name=step_name(kind, number, about),
                phase=phase,
                command=command_of(fill(words, values), self.settings.environment, self.settings.sudo),
                idempotent=kind in {"stop", "start", "restart", "backup"},
                expected_seconds=self.settings.expected_seconds if kind == "install" else 60,
            )

    def _look(self, link: Link) -> Look:
        settings = self.settings
        return Look(link=link, seconds=settings.look_seconds, environment=settings.environment, sudo=settings.sudo)


# --- versions ---------------------------------------------------------------------------------------------------------


def _major(version: Version) -> str:
    """Return what makes a version major: since 10 the first number, before that the first two."""
    first, second, _ = version.numbers
    return str(first) if first >= 10 else f"{first}.{second}"


def _numbers(package_version: str) -> str:
    found = NUMBERS.match(package_version)
    return found[1] if found else ""


def _parsed(package_version: str) -> Version | None:
    try:
        return Version.parse(_numbers(package_version))
    except InvalidValue:
        return None


def _wanted(target: Target, orders: Sequence[Order], found: Version) -> Version | None:
    """Return the highest version that is ordered; None: the newest there is."""
    releases = [Version.parse(order.release) for order in orders if order.release is not None]
    for release in releases:
        if _major(release) != _major(found):
            raise ExecutionError(
                f"host {target.host}: PostgreSQL {found} to {release} is a major update, which moves the data: only "
                "minor ones are done here; take it out of the window and do it by hand"
            )
        if release < found:
            raise ExecutionError(f"host {target.host}: PostgreSQL is at {found}, and {release} is older; correct it")
    return max(releases) if releases else None


def _chosen(target: Target, offered: Sequence[str], found: Version, wanted: Version | None) -> str | None:
    """Return the version of the package that goes in; None: it is there already."""
    minor = [(text, version) for text in offered if (version := _parsed(text)) and _major(version) == _major(found)]
    if wanted == found or (wanted is None and all(version <= found for _, version in minor)):
        return None
    if wanted is None:
        highest = max(version for _, version in minor)
        return next(text for text, version in minor if version == highest)
    exact = [text for text, version in minor if version == wanted]
    if not exact:
        there = ", ".join(offered[:5]) or "none"
        raise ExecutionError(f"host {target.host}: PostgreSQL {wanted} is not in the archives, which have {there}")
    return exact[0]


def _refuse_bad(name: str, words: Sequence[str], grammar: re.Pattern[str]) -> None:
    for word in words:
        if not grammar.fullmatch(word):
            raise InvalidValue(name, expected="the name or version of a package", found=word, field=name)


def _stop_at(look: Look, target: Target) -> None:
    if look.problems:
        raise ExecutionError(f"host {target.host}: {'; '.join(look.problems)}")

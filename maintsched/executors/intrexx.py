"""`intrexx`: brings a server and its portals to a release, and takes files, databases and version back together.

Exit codes of the setup and of the patch are not documented: a 0 proves nothing. What counts is what a look at the host
finds afterwards: the versions of server and portals, by their first three numbers, the ping, and the logs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from posixpath import basename, dirname
from typing import Any, ClassVar

from maintsched.errors import ExecutionError, InvalidValue, printable, show
from maintsched.executors.commands import SHOWN, Look, fill, fill_word, read_settings
from maintsched.executors.intrexxsettings import IntrexxSettings, Method
from maintsched.executors.intrexxsteps import PORTAL, SERVER, Premises, steps_of
from maintsched.executors.port import Finding, Item, Link, Order, Step, Target, UpdatePlan, Verdict
from maintsched.grammar import KEY, require_link
from maintsched.version import Version

COMPONENT = "intrexx"
LINES_SHOWN = 3
"""Lines of a log that a problem shows."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is installed on a host."""

    versions: Mapping[str, Version]
    """By part: `server`, and `portal/<name>`."""
    portals: tuple[str, ...]

    @property
    def component(self) -> dict[str, str]:
        """The version of the whole: that of its oldest part."""
        return {COMPONENT: str(min(self.versions.values()))} if self.versions else {}


class Intrexx:
    """Updates an Intrexx server and its portals to a release."""

    name: ClassVar[str] = "intrexx"
    components: ClassVar[tuple[str, ...]] = (COMPONENT,)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the settings; `InvalidValue` names the one that cannot be used."""
        self.settings = read_settings(IntrexxSettings, self.name, settings)

    def validate(self, target: Target) -> tuple[str, ...]:
        """Return which settings do not fit the target: names of portals, databases and links."""
        premises = self._premises(target)
        return tuple(_misfits(premises, fill(self.settings.portals, premises.values())))

    async def probe(self, target: Target, link: Link) -> Finding:
        """Look at versions, health, free space and the age of the backup."""
        look, premises = self._look(target, link), self._premises(target)
        seen = await _see(look, premises)
        await _ask(look, premises, seen, "before the work: mend it first, or what went wrong would not be known")
        for path in fill(self.settings.disk_paths, premises.values()):
            await _look_at_disk(look, path, self.settings.disk_free_mb)
        taken_at = await _backup_at(look, premises)
        return Finding(versions=seen.component, backup_at=taken_at, problems=tuple(look.problems))

    async def plan(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:
        """Return which parts go from which version to the highest release that is ordered.

        Raises `ExecutionError` where that is a downgrade, of another tree, not there to install, or without a name for
        a database that has to be copied.
        """
        if not orders:
            return UpdatePlan()
        wanted = _wanted(target, orders, self.settings)
        look, premises = self._look(target, link), self._premises(target)
        seen = await _see(look, premises)
        _stop_at(look, target)
        for part, found in seen.versions.items():
            _refuse_downgrade(target, part, found, wanted)
        behind = [(part, found) for part, found in seen.versions.items() if found < wanted]
        if not behind:
            return UpdatePlan()
        data = await self._data(look, premises, seen, wanted)
        if any(part == SERVER for part, _ in behind):
            await _look_at_media(look, premises, wanted)
        look.problems += _misfits(premises, seen.portals)
        _stop_at(look, target)
        origin = str(self.settings.method)
        items = tuple(Item(name=part, before=str(at), after=str(wanted), origin=origin) for part, at in behind)
        return UpdatePlan(items=items, stops_service=True, notes=tuple(self._notes(seen, orders)), data=data)

    def steps(self, target: Target, plan: UpdatePlan) -> tuple[Step, ...]:
        """Return copies, stops, updates and starts, and what takes everything back."""
        return steps_of(self._premises(target), plan)

    async def verify(self, target: Target, link: Link, plan: UpdatePlan) -> Verdict:
        """Compare versions with the plan, ask the portals how they are, and read what their logs have got since."""
        look, premises = self._look(target, link), self._premises(target)
        seen = await _see(look, premises)
        wanted = {item.name: Version.parse(item.after or "") for item in plan.items}
        before = {part: Version.parse(text) for part, text in plan.data.get("versions", {}).items()}
        for part, version in (before | wanted).items():
            found = seen.versions.get(part)
            if found is None:
                look.problems.append(f"{part}: expected version {version}, found none")
            elif found != version:
                look.problems.append(f"{part}: expected version {version}, found {found}")
        await _ask(look, premises, seen, "after the work")
        for path, size in plan.data.get("logs", {}).items():
            await self._read_log(look, path, size)
        applied = tuple(item for item in plan.items if seen.versions.get(item.name) == wanted[item.name])
        return Verdict(problems=tuple(look.problems), versions=seen.component, applied=applied)

    async def _data(self, look: Look, premises: Premises, seen: Seen, wanted: Version) -> dict[str, Any]:
        """Return what the steps and `verify` want to know of the host as it is now."""
        values = premises.values()
        real = (await look.read("the home of Intrexx", fill(self.settings.real_home, values)) or "").strip()
        if real and f"{self.settings.backups}/".startswith(f"{real}/"):
            look.problems.append(f"backups: {self.settings.backups} is inside of {real}, which going back empties")
        listed = await look.read("backups", fill(self.settings.list_backups, values)) or ""
        return {
            "backup": f"{self.settings.backups.rstrip('/')}/{_free_name(premises.target.instance, listed)}",
            "version": str(wanted),
            "parent": dirname(real),
            "base": basename(real),
            "portals": list(seen.portals),
            "versions": {part: str(version) for part, version in seen.versions.items()},
            "logs": {path: await _size(look, path) for path in self._logs(premises, seen)},
        }

    def _logs(self, premises: Premises, seen: Seen) -> list[str]:
        paths = {path: None for each in seen.portals for path in fill(self.settings.logs, premises.portal_values(each))}
        return list(paths)

    async def _read_log(self, look: Look, path: str, size: int) -> None:
        """Add a problem where a log has got errors since it was so long; one that is shorter now was begun anew."""
        now = await _size(look, path)
        if now == 0:
            return
        start = size + 1 if size <= now else 1
        written = await look.read(f"log {path}", ("tail", f"--bytes=+{start}", "--", path)) or ""
        ignored = re.compile(self.settings.log_ignored) if self.settings.log_ignored else None
        errors = [line for line in written.splitlines() if re.search(self.settings.log_errors, line)]
        errors = [printable(line.strip())[:SHOWN] for line in errors if not (ignored and ignored.search(line))]
        if len(errors) > self.settings.log_errors_max:
            said = " | ".join(errors[:LINES_SHOWN])
            look.problems.append(f"log {path}: {len(errors)} errors; harmless ones go into log_ignored: {said}")

    def _notes(self, seen: Seen, orders: Sequence[Order]) -> Iterator[str]:
        if not self.settings.undoable:
            yield "there is no way back: files and databases are not both copied"
        for order in orders:
            if order.installed and Version.parse(order.installed) != min(seen.versions.values()):
                yield f"the fleet says {order.installed}, the host has {seen.component[COMPONENT]}"

    def _premises(self, target: Target) -> Premises:
        return Premises(settings=self.settings, target=target)

    def _look(self, target: Target, link: Link) -> Look:
        environment = self._premises(target).environment()
        return Look(link=link, seconds=self.settings.look_seconds, environment=environment, sudo=self.settings.sudo)


# --- what is asked for ------------------------------------------------------------------------------------------------


def _wanted(target: Target, orders: Sequence[Order], settings: IntrexxSettings) -> Version:
    """Return the highest release that is ordered: releases are cumulative."""
    for order in orders:
        if order.release is None:
            raise ExecutionError(
                f"host {target.host}: {order.component}: expected a release, got an order for whatever there is; "
                "enter it with `maintsched release add`"
            )
    wanted = max(Version.parse(order.release) for order in orders if order.release is not None)
    beginnings = settings.tracks.get(settings.track, ())
    if beginnings and not str(wanted).startswith(beginnings):
        raise ExecutionError(
            f"host {target.host}: release {wanted} is not of track {settings.track}, whose versions begin with "
            f"{' or '.join(beginnings)}; correct the release, or the table's track"
        )
    return wanted


def _free_name(instance: str, listed: str) -> str:
    """Return `<instance>-<number>`, the number above all that are taken: copies of an earlier run stay as they are."""
    found = (re.fullmatch(rf"{re.escape(instance)}-([0-9]{{1,9}})", line.strip()) for line in listed.splitlines())
    return f"{instance}-{max((int(each[1]) for each in found if each), default=0) + 1}"


def _refuse_downgrade(target: Target, part: str, found: Version, wanted: Version) -> None:
    if found > wanted:
        raise ExecutionError(
            f"host {target.host}: {part} is at {found}, and {wanted} is older: a patched database cannot go back that "
            "way; take the release out of the window, or restore a backup by hand"
        )


def _stop_at(look: Look, target: Target) -> None:
    if look.problems:
        raise ExecutionError(f"host {target.host}: {'; '.join(look.problems)}")


def _misfits(premises: Premises, portals: Sequence[str]) -> Iterator[str]:
    """Yield what keeps commands from being filled for these portals."""
    wants_database = any("{database}" in word for word in premises.settings.backup_database)
    for portal in portals:
        if not KEY.fullmatch(portal):
            yield f"portals: {show(portal)} is no name of a portal"
            continue
        values = premises.portal_values(portal)
        if wants_database and not values["database"]:
            yield f"portal {portal}: its database is not known; name it in databases, or set database for all of them"
        try:
            require_link("ping_url", values["ping_url"])
        except InvalidValue as error:
            yield f"portal {portal}: {error}"


# --- looking ----------------------------------------------------------------------------------------------------------


async def _see(look: Look, premises: Premises) -> Seen:
    """Return the versions of server and portals; what cannot be read becomes a problem."""
    settings, values = premises.settings, premises.values()
    portals = fill(settings.portals, values)
    if not portals:
        listed = await look.read("portals", fill(settings.list_portals, values)) if settings.list_portals else ""
        portals = tuple(sorted({line.strip().partition("/")[0] for line in (listed or "").splitlines()} - {""}))
    if not portals:
        look.problems.append(f"portals: none found below {settings.home}; name them in portals")
    versions: dict[str, Version] = {}
    told = await look.read(SERVER, fill(settings.server_version, values))
    _keep(look, versions, SERVER, told, settings.server_pattern)
    for portal in filter(KEY.fullmatch, portals):
        told = await look.read(f"portal {portal}", fill(settings.portal_version, premises.portal_values(portal)))
        _keep(look, versions, PORTAL + portal, told, settings.portal_pattern)
    return Seen(versions=versions, portals=portals)


def _keep(look: Look, versions: dict[str, Version], part: str, told: str | None, pattern: str) -> None:
    if told is None:
        return
    found = re.search(pattern, told)
    try:
        versions[part] = Version.parse(found[1] if found else "")
    except InvalidValue:
        look.problems.append(f"{part}: expected a version that matches {show(pattern)}, got {show(told.strip())}")


async def _ask(look: Look, premises: Premises, seen: Seen, when: str) -> None:
    for portal in filter(KEY.fullmatch, seen.portals):
        values = premises.portal_values(portal)
        await look.read(f"portal {portal} is not well {when}", fill(premises.settings.ping, values))


async def _look_at_disk(look: Look, path: str, free_mb: int) -> None:
    told = await look.read(f"disk of {path}", ("df", "--block-size=1M", "--output=avail", "--", path))
    if told is None:
        return
    free = told.split()[-1:]
    if not (free and free[0].isdigit()):
        look.problems.append(f"disk of {path}: expected a number of MiB from df, got {show(told.strip())}")
    elif int(free[0]) < free_mb:
        look.problems.append(f"disk of {path}: {free[0]} MiB are free, expected {free_mb}; make room")


async def _look_at_media(look: Look, premises: Premises, wanted: Version) -> None:
    settings, values = premises.settings, premises.values(version=str(wanted))
    asked = settings.method is Method.SETUP and not settings.fetching and bool(settings.media_check)
    if asked and not await look.succeeds(fill(settings.media_check, values)):
        folder = fill_word(settings.media, values)
        look.problems.append(f"the setup of {wanted} is not in {folder}: put it there, or set fetch to get it")


async def _size(look: Look, path: str) -> int:
    """Return how many bytes a file has; 0 where there is none."""
    if not await look.succeeds(("test", "-e", path)):
        return 0
    told = await look.read(f"log {path}", ("stat", "--format=%s", "--", path))
    return int(told) if told and told.strip().isdigit() else 0


async def _backup_at(look: Look, premises: Premises) -> datetime | None:
    """Return when the last backup was taken, by the host's own word."""
    if not premises.settings.backup_age:
        return None
    told = await look.read("age of the backup", fill(premises.settings.backup_age, premises.values()))
    text = (told or "").strip()
    try:
        if re.fullmatch(r"[0-9]{1,11}(\.[0-9]+)?", text):
            return EPOCH + timedelta(seconds=int(text.partition(".")[0]))
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and found.tzinfo is not None:
        return found
    if told is not None:
        look.problems.append(
            f"age of the backup: expected seconds since 1970 or ISO 8601 with offset, got {show(text)}"
        )
    return None

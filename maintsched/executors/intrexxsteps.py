"""The steps of an Intrexx update: copies, stops, updates, starts, and what takes everything back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maintsched.executors.commands import PLACE, Words, command_of, fill, fill_word, step_name, target_values
from maintsched.executors.intrexxsettings import IntrexxSettings, Method
from maintsched.executors.port import Phase, Step, Target, UpdatePlan
from maintsched.version import Version

SERVER = "server"
PORTAL = "portal/"
"""What the name of a portal's part begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """An installation as settings describe it for a target: what fills the places of commands."""

    settings: IntrexxSettings
    target: Target

    def values(self, **more: str) -> dict[str, str]:
        """Return what fills places that do not depend on a portal."""
        settings = self.settings
        values = {
            **target_values(self.target),
            "home": settings.home,
            "backups": settings.backups,
            "track": settings.track,
            "tries": str(settings.ping_tries),
            "pause": str(settings.ping_pause_seconds),
            **more,
        }
        return {**values, "media": fill_word(settings.media, values)}

    def portal_values(self, portal: str, **more: str) -> dict[str, str]:
        """Return what fills the places of a command for one portal."""
        inside = {**self.values(**more), "portal": portal}
        url = self.settings.ping_urls.get(portal, self.settings.ping_url)
        database = self.settings.databases.get(portal, self.settings.database)
        return {**inside, "ping_url": fill_word(url, inside), "database": fill_word(database, inside)}

    def environment(self) -> dict[str, str]:
        """Return the environment of every command."""
        return {name: fill_word(text, self.values()) for name, text in self.settings.environment.items()}

    def units(self, portals: Sequence[str]) -> tuple[str, ...]:
        """Return the units in the order they are started; one with a portal in its name once for each of them."""
        units: dict[str, None] = {}
        for word in self.settings.units:
            for portal in portals if "portal" in PLACE.findall(word) else ("",):
                units[fill_word(word, self.portal_values(portal))] = None
        return tuple(units)


def steps_of(premises: Premises, plan: UpdatePlan) -> tuple[Step, ...]:
    """Return the steps of a plan, phase by phase."""
    return () if plan.empty else tuple(_Steps(premises, plan).all())


class _Steps:
    """Writes the steps of one plan."""

    def __init__(self, premises: Premises, plan: UpdatePlan) -> None:
        self.premises, self.settings, self.plan = premises, premises.settings, plan
        self.portals: tuple[str, ...] = tuple(plan.data["portals"])
        self.units = premises.units(self.portals)
        self.known = {each: str(plan.data[each]) for each in ("backup", "version", "parent", "base")}
        self.environment = premises.environment()
        self.updates_server = any(item.name == SERVER for item in plan.items)

    def all(self) -> Iterator[Step]:
        yield from self._before()
        yield from self._units(Phase.STOP, "stop", self.settings.stop, reversed(self.units))
        if self.settings.backup_stopped:
            yield from self._copies(Phase.STOP)
        yield from self._updates()
        yield from self._units(Phase.START, "start", self.settings.start, self.units)
        yield from self._pings()
        if self.settings.undoable:
            yield from self._undoes()

    def _before(self) -> Iterator[Step]:
        """Get what is to be installed, and copy, before anything is stopped: what fails here has changed nothing.

        The folder of the copies is made first in any case: that a run has a step of this phase says that it copies.
        """
        settings = self.settings
        if settings.backup_files:
            yield from self._one(Phase.BACKUP, "backup-folder", settings.backup_folder)
        if self.updates_server:
            yield from self._one(Phase.BACKUP if settings.backup_files else Phase.STOP, "fetch", settings.fetching)
        if not settings.backup_stopped:
            yield from self._copies(Phase.BACKUP)

    def _copies(self, phase: Phase) -> Iterator[Step]:
        settings = self.settings
        if settings.backup_files:
            yield from self._one(phase, "backup-files", settings.backup_files)
            yield from self._one(phase, "backup-check", settings.backup_check)
            yield from self._portals(phase, "backup-database", settings.backup_database)

    def _updates(self) -> Iterator[Step]:
        settings, phase = self.settings, Phase.APPLY
        if self.updates_server:
            folder = self._values()["media"] if settings.method is Method.SETUP else None
            yield from self._one(phase, "install", settings.installing, folder=folder)
        for number, portal in enumerate(self.portals, 1):
            if any(item.name == PORTAL + portal for item in self.plan.items):
                values = self._portal(portal)
                yield from self._one(phase, "update-files", settings.update_files, values, number, portal)
                yield from self._one(phase, "patch", settings.patch, values, number, portal)

    def _undoes(self) -> Iterator[Step]:
        """Take everything back: nothing runs while files and databases are put back.

        Last of all it is looked whether the version came back with them. The steps that start follow after that.
        """
        settings, phase = self.settings, Phase.ROLLBACK
        yield from self._units(phase, "undo-stop", settings.stop, reversed(self.units))
        yield from self._one(phase, "restore-files", settings.restore_files)
        yield from self._portals(phase, "restore-database", settings.restore_database)
        for number, portal in enumerate(self.portals, 1):
            before = Version.parse(self.plan.data["versions"][PORTAL + portal])
            values = {**self._portal(portal), "version": str(before), "numbers": "[.]".join(map(str, before.numbers))}
            yield from self._one(phase, "undo-check", settings.undo_check, values, number, portal)

    def _units(self, phase: Phase, kind: str, words: Words, units: Iterable[str]) -> Iterator[Step]:
        for number, unit in enumerate(units, 1):
            yield from self._one(phase, kind, words, {**self._values(), "unit": unit}, number, unit)

    def _portals(self, phase: Phase, kind: str, words: Words) -> Iterator[Step]:
        for number, portal in enumerate(self.portals, 1):
            yield from self._one(phase, kind, words, self._portal(portal), number, portal)

    def _pings(self) -> Iterator[Step]:
        """Wait for the portals; several that answer at one address are asked once."""
        asked = set()
        for number, portal in enumerate(self.portals, 1):
            values = self._portal(portal)
            if values["ping_url"] not in asked:
                asked.add(values["ping_url"])
                yield from self._one(Phase.START, "await", self.settings.await_up, values, number, portal)

    def _one(
        self,
        phase: Phase,
        kind: str,
        words: Words,
        values: Mapping[str, str] | None = None,
        number: int = 0,
        about: str = "",
        *,
        folder: str | None = None,
    ) -> Iterator[Step]:
        """Yield a step; none where there is no command for it."""
        if not words:
            return
        argv = fill(words, self._values() if values is None else values)
        yield Step(
            name=step_name(kind, number, about),
            phase=phase,
            command=command_of(argv, self.environment, self.settings.sudo, folder=folder),
            idempotent=kind in self.settings.idempotent,
            answers=self.settings.answers_of(kind),
            expected_seconds=self.settings.expected_of(kind),
        )

    def _values(self) -> dict[str, str]:
        return self.premises.values(**self.known)

    def _portal(self, portal: str) -> dict[str, Any]:
        return self.premises.portal_values(portal, **self.known)

"""What package managers have in common: names by grammar, settings, and the way from what is ordered to what is done.

Each plan is made in the same way. The lists are refreshed; what the orders want of all that is on offer is pinned to
its exact versions; then *the very command that will be run* is simulated, and what the simulation says is the plan. The
command runs later with the same pins and without refreshing anything, so that what is applied equals what was planned.
`verify` compares each package with the plan.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from maintsched.errors import ExecutionError, printable, show
from maintsched.executors.commands import Words, last_words, read_settings, step_name
from maintsched.executors.packagesettings import EVERYTHING, PackageSettings, matches, plain_version
from maintsched.executors.port import (
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
from maintsched.facts import ChangeClass
from maintsched.version import Version

LOOK_SECONDS = 60
"""How long a look at a host may take."""
SOLVE_SECONDS = 300
"""How long a package manager may take to say what it would do."""
REFRESH_SECONDS = 600
"""How long the lists of packages may take to come."""
LOCK_SECONDS = 300
"""How long a job waits for another package manager to end."""
_FREE = re.compile(r"^.+?\s+[0-9]+\s+[0-9]+\s+(-?[0-9]+)\s+[0-9-]+%?\s+(/.*)$", re.MULTILINE)


# --- what is wanted ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one order wants of all that is on offer."""

    order: Order
    patterns: Words
    security: bool
    """Only what mends a hole, in exactly the version that does."""

    @property
    def everything(self) -> bool:
        """Say whether it wants all there is."""
        return EVERYTHING in self.patterns

    def takes(self, offer: "Offer") -> list[Item]:
        """Return what it wants of an offer. What has to come or go with it, the package manager says itself."""
        if self.everything:
            return list(offer.items)
        return [item for item in offer.items if item.before and item.after and matches(item.name, self.patterns)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a package manager would do if it were asked for everything."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


def named(items: Iterable[Item]) -> set[tuple[str, str | None]]:
    """Return what items come to, wherever it comes from."""
    return {(item.name, item.after) for item in items}


# --- the executor -----------------------------------------------------------------------------------------------------


class PackageExecutor(ABC):
    """What `apt`, `dnf` and `zypper` have in common. Below `verify` stands what each does in its own way."""

    name: ClassVar[str]
    components: ClassVar[Words] = ("linux", "os", "webserver", "proxy", "firewall", "libreoffice")
    kind: ClassVar[type[PackageSettings]]
    kernels: ClassVar[Words]
    """Patterns of packages that need a restart of the host to take effect."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the settings; `InvalidValue` names the one that cannot be used."""
        self.settings = read_settings(self.kind, self.name, settings)

    def validate(self, target: Target) -> Words:
        """Name the components of which nobody has said what packages they are."""
        return tuple(
            f"component {each}: its packages are not known; name them under settings.{self.name}.components"
            for each in target.components
            if each not in self.settings.components
        )

    async def probe(self, target: Target, link: Link) -> Finding:
        """Look for half installed packages, full disks, the flag of a restart; and what is installed."""
        problems = [*await self._full_disks(link), *await self._broken(link)]
        reboot = await self._reboot(link)
        problems += reboot.problems
        versions = await self._versions(link, target)
        return Finding(problems=tuple(problems), versions=versions, reboot_required=reboot.required)

    async def plan(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:  # noqa: ARG002 - as the port has it
        """Return what the orders come to. Raises `ExecutionError` where that cannot be known exactly."""
        wishes = [self._wish(order) for order in orders]
        await self._refresh(link)
        offers = {security: await self._offer(link, security=security) for security in {w.security for w in wishes}}
        # The higher versions win, where one package is wanted twice.
        taken = {item.name: item for security in (True, False) for item in _taken(wishes, offers, security)}
        wanted = tuple(sorted(item for item in taken.values() if not matches(item.name, self.settings.leave)))
        left = sorted(set(taken) - {item.name for item in wanted})
        notes = [note for offer in offers.values() for note in offer.notes]
        notes += [f"left to others: {' '.join(left)}"] if left else []
        for wish in wishes:
            await self._require_release(link, wish, wanted)
        if not wanted:
            return UpdatePlan(notes=tuple(notes))
        items, pins = await self._settle(link, wanted)
        along = sorted({item.name for item in items} - {item.name for item in wanted})
        notes += [f"comes along, because the others need it: {' '.join(along)}"] if along else []
        return UpdatePlan(
            items=tuple(sorted(items)),
            reboot=any(item.after and matches(item.name, self.kernels) for item in items),
            notes=tuple(notes),
            data={"pins": sorted(item.name for item in pins)},
        )

    def steps(self, target: Target, plan: UpdatePlan) -> tuple[Step, ...]:  # noqa: ARG002 - as the port has it
        """Return one job for all the packages, and what comes after it."""
        pins = [item for item in plan.items if item.name in plan.data["pins"]] if plan.items else []
        if not pins:
            return ()
        return (*self._work(plan, pins), *self._afterwards(plan))

    async def verify(self, target: Target, link: Link, plan: UpdatePlan) -> Verdict:
        """Compare each package with the plan. Where nothing is `applied`, no package was touched."""
        found = await self._installed(link, [item.name for item in plan.items])
        problems, applied = [], []
        for item in plan.items:
            there = found.get(item.name, ())
            if (item.after in there) if item.after else not there:
                applied.append(item)
                continue
            problems.append(f"{item.name}: expected {item.after or 'it removed'}, found {' '.join(there) or 'none'}")
            if (item.before not in there) if item.before else there:  # changed, yet not into what was planned
                applied.append(Item(name=item.name, before=item.before, after=" ".join(there), origin=item.origin))
        broken = await self._broken(link)
        reboot = await self._reboot(link)
        return Verdict(
            problems=(*problems, *broken, *reboot.problems),
            versions=await self._versions(link, target),
            applied=tuple(applied),
            reboot_required=reboot.required,
            untouched=not applied and not broken,
        )

    # --- what each package manager does in its own way ---

    @abstractmethod
    async def _refresh(self, link: Link) -> None:
        """Bring the lists of packages up to date; `ExecutionError` where one does not come."""

    @abstractmethod
    async def _offer(self, link: Link, *, security: bool) -> Offer:
        """Return everything there is to do, or only what mends holes."""

    @abstractmethod
    def _ways(self, wanted: Sequence[Item]) -> Iterable[Sequence[Item]]:
        """Return which items may be named in the command, in the order in which that is tried."""

    @abstractmethod
    async def _simulate(self, link: Link, pins: Sequence[Item]) -> tuple[Item, ...]:
        """Return what the command with these pins would do."""

    @abstractmethod
    def _work(self, plan: UpdatePlan, pins: Sequence[Item]) -> tuple[Step, ...]:
        """Return the steps that install what is pinned."""

    @abstractmethod
    async def _installed(self, link: Link, names: Sequence[str]) -> Mapping[str, Words]:
        """Return the versions of packages that are there; names may be patterns."""

    @abstractmethod
    async def _broken(self, link: Link) -> Sequence[str]:
        """Return which packages are in no sound state, each with the way out."""

    @abstractmethod
    async def _reboot(self, link: Link) -> "Reboot":
        """Say whether the host has to be restarted."""

    # --- asking the host ---

    async def _ask(self, link: Link, argv: Words, *, root: bool = False, seconds: int = LOOK_SECONDS) -> Output:
        output = await link.run(self._command(argv, root=root), timeout_seconds=seconds)
        if output.cut:  # what cannot be read as a whole cannot be planned with
            raise ExecutionError(f"host {link.host}: {' '.join(argv[:3])}: its output is too long to be read")
        return output

    def _command(self, argv: Words, *, root: bool, extra: Mapping[str, str] | None = None) -> Command:
        environment = {"LC_ALL": "C.UTF-8", **self.settings.environment, **(extra or {})}
        if root and self.settings.sudo:  # sudo keeps nothing of the environment
            listed = tuple(f"{name}={text}" for name, text in sorted(environment.items()))
            return Command(argv=(*self.settings.sudo, "env", *listed, *argv))
        return Command(argv=argv, environment=environment)

    def _refused(self, link: Link, what: str, output: Output) -> ExecutionError:
        said = last_words(output.stderr) if output.stderr.strip() else last_words(output.stdout)
        return ExecutionError(f"host {link.host}: {what} ended with {output.exit_code}: {said}")

    def _unread(self, link: Link, what: str, line: str) -> ExecutionError:
        return ExecutionError(f"host {link.host}: {what} says what is not understood: {show(line, 200)}")

    # --- parts of the recipe ---

    def _wish(self, order: Order) -> Wish:
        patterns = self.settings.components.get(order.component, ())
        if order.change_class is ChangeClass.OS:
            patterns = (EVERYTHING,)
        if not patterns:
            way_out = f"name its packages under settings.{self.name}.components"
            raise ExecutionError(f"component {printable(order.component)}: its packages are not known; {way_out}")
        return Wish(order=order, patterns=patterns, security=order.change_class is ChangeClass.SECURITY)

    async def _require_release(self, link: Link, wish: Wish, wanted: Sequence[Item]) -> None:
        """Refuse an order of a release that the archives do not have: nothing else goes in under its name."""
        if wish.order.release is None or wish.everything:
            return
        ordered = Version.parse(wish.order.release)
        coming = _version_of({item.name: (item.after,) for item in wanted if item.after}, wish.patterns)
        there = _version_of(await self._installed(link, wish.patterns), wish.patterns)
        if coming is None and there is not None and Version.parse(there) >= ordered:
            return
        if coming is None or Version.parse(coming) != ordered:
            held = f"{coming} to install" if coming else "nothing newer"
            what = f"{wish.order.component} {wish.order.release} is ordered"
            raise ExecutionError(f"host {link.host}: {what}, the archives have {held}; installed is {there or 'none'}")

    async def _settle(self, link: Link, wanted: Sequence[Item]) -> tuple[tuple[Item, ...], Sequence[Item]]:
        """Return what a command that names the wanted ones does, and the items that it names."""
        missing: set[str] = set()
        for pins in self._ways(wanted):
            items = await self._simulate(link, pins)
            touched = sorted(item.name for item in items if matches(item.name, self.settings.leave))
            if touched:
                raise ExecutionError(f"host {link.host}: {' '.join(touched)} would change, and is left to others")
            missing = {name for name, _ in named(wanted) - named(items)}
            if not missing:
                return items, pins
        raise ExecutionError(
            f"host {link.host}: {self.name} would not do what it offered: {' '.join(sorted(missing)[:20])}; "
            "look at its preferences and holds"
        )

    def _afterwards(self, plan: UpdatePlan) -> list[Step]:
        chosen = [
            words
            for pattern, commands in sorted(self.settings.after.items())
            if any(item.after and matches(item.name, (pattern,)) for item in plan.items)
            for words in commands
        ]
        return [
            Step(
                name=step_name("after", number, words[0].rpartition("/")[2]),
                phase=Phase.APPLY,
                command=self._command(words, root=True),
                idempotent=True,
            )
            for number, words in enumerate(dict.fromkeys(chosen), start=1)
        ]

    async def _full_disks(self, link: Link) -> list[str]:
        output = await self._ask(link, ("df", "-P", "-k", "/", "/var", "/boot"))
        found = {place: int(free) // 1024 for free, place in _FREE.findall(output.stdout)}
        if "/" not in found:
            raise self._refused(link, "df -P -k / /var", output)
        needed = dict.fromkeys(found, self.settings.disk_free_mb) | {"/boot": self.settings.boot_free_mb}
        return [
            f"{place}: {free} MB are free, {needed[place]} MB are needed; make room (disk_free_mb, boot_free_mb)"
            for place, free in sorted(found.items())
            if free < needed[place]
        ]

    async def _versions(self, link: Link, target: Target) -> dict[str, str]:
        """Return the version of each component: of its first package, or of the kernel that runs."""
        versions = {}
        for component in target.components:
            patterns = self.settings.components.get(component, ())
            if EVERYTHING in patterns:
                text = plain_version((await self._ask(link, ("uname", "-r"))).stdout.strip())
            else:
                text = _version_of(await self._installed(link, patterns), patterns) if patterns else None
            if text:
                versions[component] = text
        return versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot:
    """Whether a host has to be restarted."""

    required: bool = False
    problems: Words = ()
    """Why that cannot be known."""


def _taken(wishes: Sequence[Wish], offers: Mapping[bool, Offer], security: bool) -> list[Item]:
    return [item for wish in wishes if wish.security is security for item in wish.takes(offers[security])]


def _version_of(found: Mapping[str, Words], patterns: Sequence[str]) -> str | None:
    """Return the version that counts: of the first pattern which matches, of the first name that does."""
    for pattern in patterns:
        for name in sorted(found):
            if matches(name, (pattern,)) and found[name]:
                return plain_version(found[name][-1])
    return None

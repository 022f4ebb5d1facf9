"""`apt`: updates of Debian and what descends from it.

`apt-get -s` says exactly what would change and where it comes from, and no lock stands in its way: that is the plan.
The work is one job that names each package with its version. It is never ended from outside: what ends `apt-get` leaves
dpkg alone in the midst of its work. There is no way back from an upgrade of packages, and none is claimed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from maintsched.errors import InvalidValue
from maintsched.executors.commands import Words, require_absolute
from maintsched.executors.packages import (
    LOCK_SECONDS,
    REFRESH_SECONDS,
    SOLVE_SECONDS,
    Offer,
    PackageExecutor,
    Reboot,
)
from maintsched.executors.packagesettings import PackageSettings
from maintsched.executors.port import Answer, Item, Link, Phase, Step, UpdatePlan
from maintsched.grammar import require_text

OPTIONS = (
    "-q",
    "-y",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_SECONDS}",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "Dpkg::Options::=--force-confdef",  # a question about a configuration file has no one to answer it:
    "-o",
    "Dpkg::Options::=--force-confold",  # what the operator changed stays, the new one lies beside it
)
QUIET: Mapping[str, str] = {
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_MODE": "l",
    "NEEDRESTART_SUSPEND": "1",  # it is asked once, afterwards
}
HELD_AS_WELL = (
    "--ignore-hold",
    "--allow-change-held-packages",
    "-o",
    "APT::Get::Always-Include-Phased-Updates=true",
)
"""Options of a look that is to see everything there is."""
INSTALLED = " *** "
"""What stands before the installed version in a table of versions; higher ones come first."""
INSTALL = ("install", "--mark-auto", "--")
"""With `--mark-auto`, what is new counts as brought in by others, and what is there keeps the mark it has."""
AUDIT_WAY_OUT = "run `dpkg --configure -a`, then `apt-get -f install`"
POLICY_MAX = 60
"""Packages that are asked for at once: of more, the answer would be too long to be read."""

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,199}(?::[a-z0-9][a-z0-9-]{1,30})?")
_VERSION = re.compile(r"[0-9A-Za-z][A-Za-z0-9.+:~-]{0,199}")
_CHANGE = re.compile(r"(Inst|Remv|Purg|Conf) .*")
_INST = re.compile(r"Inst (\S+)(?: \[(\S+)\])? \((\S+)(?: ([^\[\]()]+))? \[[a-z0-9-]+\]\)(?: \[[^\[\]]*\])*")
_REMV = re.compile(r"(?:Remv|Purg) (\S+) \[(\S+)\](?: \[[^\[\]]*\])*")
_CONF = re.compile(r"Conf (\S+) .*")
_KEPT = re.compile(r"^The following packages have been kept back:\n((?:  .*\n)+)", re.MULTILINE)
_STATES = {"U": "unpacked, not configured", "F": "half configured", "H": "half installed"}
_RELEASE = re.compile(r"^ *-?[0-9]+ (.+)\n +release (.*)$", re.MULTILINE)
_TABLE = re.compile(r"^( {5}| \*\*\* )(\S+) (-?[0-9]+)(?: \(phased [0-9]+%\))?$|^ {6,}-?[0-9]+ (.+)$|^(\S+):$")


@dataclass(frozen=True, slots=True, kw_only=True)
class AptSettings(PackageSettings):
    """How packages of Debian are updated."""

    security_origins: Words = ("Debian-Security", "*-security")
    """Patterns of the labels, archives and code names whose packages mend holes."""
    reboot_flag: str = "/var/run/reboot-required"
    """A file that is there where the host has to be restarted."""
    needrestart: str = "/usr/sbin/needrestart"
    """The program that finds services which still run old code, asked where it is there; empty: never."""
    restart_services: bool = False
    """Let needrestart restart such services. False: where there are any, the host has to be restarted."""

    def __post_init__(self) -> None:
        """Refuse paths that are not absolute, and patterns that are no text."""
        PackageSettings.__post_init__(self)  # a class with slots is made twice, so that super() is the first one's
        require_absolute("reboot_flag", self.reboot_flag)
        if self.needrestart:
            require_absolute("needrestart", self.needrestart)
        for each in self.security_origins:
            require_text("security_origins", each)


class Apt(PackageExecutor):
    """Updates with `apt-get`."""

    name: ClassVar[str] = "apt"
    kind: ClassVar[type[PackageSettings]] = AptSettings
    kernels: ClassVar[Words] = ("linux-image-*",)
    settings: AptSettings

    async def _refresh(self, link: Link) -> None:
        argv = ("apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")  # else old lists would do
        output = await self._ask(link, argv, root=True, seconds=REFRESH_SECONDS)
        if not output.ok or "W: Failed to fetch" in output.stderr:
            raise self._refused(link, "apt-get update", output)

    # --- what is on offer ---

    async def _offer(self, link: Link, *, security: bool) -> Offer:
        if security:
            return await self._security(link)
        items, kept = await self._simulated(link, ("full-upgrade",))
        return Offer(items=items, notes=(f"kept back: {' '.join(kept)}",) if kept else ())

    async def _security(self, link: Link) -> Offer:
        """Return the packages for which a security archive has more than is installed, in exactly that version."""
        items, kept = await self._simulated(link, (*HELD_AS_WELL, "full-upgrade"))
        names = sorted({item.name for item in items if item.before and item.after} | set(kept))
        fixes = {item.name: item for item in await self._fixes(link, names)}
        states = await self._states(link, list(fixes))
        held = [name for name in fixes if states.get(name, ("", ""))[1].startswith("h")]
        return Offer(
            items=tuple(sorted(item for item in fixes.values() if item.name not in held)),
            notes=tuple(
                f"{name} is on hold: its security fix {fixes[name].after} does not go in; `apt-mark unhold {name}`"
                for name in held
            ),
        )

    async def _fixes(self, link: Link, names: Sequence[str]) -> list[Item]:
        sources = await self._ask(link, ("apt-cache", "policy"))
        secure = dict(_secure_sources(sources.stdout, self.settings.security_origins))
        fixes = []
        for at in range(0, len(names), POLICY_MAX):
            tables = await self._ask(link, ("apt-cache", "policy", "--", *names[at : at + POLICY_MAX]))
            fixes += list(_first_secure(tables.stdout, secure))
        return fixes

    # --- simulating and doing ---

    def _ways(self, wanted: Sequence[Item]) -> Iterable[Sequence[Item]]:
        return (wanted,)

    async def _settle(self, link: Link, wanted: Sequence[Item]) -> tuple[tuple[Item, ...], Sequence[Item]]:
        """Pin what comes along as well, where that comes to the same: then newer lists do not matter."""
        items, pins = await super()._settle(link, wanted)
        if len(items) > len(pins) and await self._simulate(link, items) == items:
            return items, items
        return items, pins

    async def _simulate(self, link: Link, pins: Sequence[Item]) -> tuple[Item, ...]:
        items, _ = await self._simulated(link, (*INSTALL, *pinned(pins)))
        return items

    async def _simulated(self, link: Link, words: Words) -> tuple[tuple[Item, ...], Words]:
        """Return what apt-get would do, and what it would keep back. The options are those of the work itself."""
        output = await self._ask(link, ("apt-get", "-s", *OPTIONS, *words), seconds=SOLVE_SECONDS)
        if not output.ok:
            raise self._refused(link, "apt-get -s", output)
        found = _KEPT.search(output.stdout)
        return self._items(link, output.stdout), tuple(sorted(found[1].split())) if found else ()

    def _items(self, link: Link, text: str) -> tuple[Item, ...]:
        """Read a simulation exactly: a line that is not understood is no plan."""
        items: dict[str, Item] = {}
        for line in (each for each in text.splitlines() if _CHANGE.match(each)):
            item = _item(line)
            if item is None:
                raise self._unread(link, "apt-get -s", line)
            if not line.startswith("Conf "):
                items[item.name] = item
            elif item.name not in items:  # configures what was left half done
                raise self._unread(link, "apt-get -s", line)
        return tuple(sorted(items.values()))

    def _work(self, plan: UpdatePlan, pins: Sequence[Item]) -> tuple[Step, ...]:
        # Waiting for a lock changes nothing, so that whatever is wrong then may be tried again.
        lock = Step(
            name="lock",
            phase=Phase.APPLY,
            command=self._command(("apt-get", *OPTIONS, "check"), root=True, extra=QUIET),
            idempotent=True,
            answers={100: Answer.AGAIN},
            expected_seconds=5,
        )
        work = Step(
            name="upgrade",
            phase=Phase.APPLY,
            command=self._command(("apt-get", *OPTIONS, *INSTALL, *pinned(pins)), root=True, extra=QUIET),
            expected_seconds=60 + 3 * len(plan.items),
        )
        return (lock, work, *self._restarts())

    def _restarts(self) -> tuple[Step, ...]:
        if not (self.settings.needrestart and self.settings.restart_services):
            return ()
        argv = (self.settings.needrestart, "-r", "a", "-q")
        extra = {"DEBIAN_FRONTEND": "noninteractive"}
        command = self._command(argv, root=True, extra=extra)
        return (Step(name="restart-services", phase=Phase.APPLY, command=command, idempotent=True),)

    # --- looking ---

    async def _states(self, link: Link, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return version and state of packages, named as apt names them; names may be patterns."""
        if not names:
            return {}
        own = (await self._ask(link, ("dpkg", "--print-architecture"))).stdout.strip()
        shown = "${binary:Package}\t${Version}\t${db:Status-Abbrev}\n"
        output = await self._ask(link, ("dpkg-query", "-W", "-f", shown, "--", *names))
        rows = [line.split("\t") for line in output.stdout.splitlines()]
        return {row[0].removesuffix(f":{own}"): (row[1], row[2].strip()) for row in rows if len(row) == 3}

    async def _installed(self, link: Link, names: Sequence[str]) -> Mapping[str, Words]:
        states = await self._states(link, names)
        return {name: (version,) for name, (version, state) in states.items() if version and state[1:2] not in "nc"}

    async def _broken(self, link: Link) -> list[str]:
        """Return what dpkg finds half done, and dependencies that are not met."""
        audit = await self._ask(link, ("dpkg", "--audit"))
        states = await self._states(link, sorted(set(re.findall(r"^ (\S+)", audit.stdout, re.MULTILINE))))
        problems = [
            f"{name} is {_STATES.get(state[1:2], 'in no sound state')} ({state}): {AUDIT_WAY_OUT}"
            for name, (_, state) in sorted(states.items())
        ]
        if not problems and (audit.stdout.strip() or not audit.ok):
            problems = [f"dpkg --audit is not content: {AUDIT_WAY_OUT}"]
        check = await self._ask(link, ("apt-get", "-q", "-s", "check"), seconds=SOLVE_SECONDS)
        if not check.ok and not problems:
            problems = [f"{self._refused(link, 'apt-get check', check)}: run `apt-get -f install`"]
        return problems

    async def _reboot(self, link: Link) -> Reboot:
        flag = await self._ask(link, ("test", "-e", self.settings.reboot_flag))
        return Reboot(required=flag.ok or await self._runs_old_code(link))

    async def _runs_old_code(self, link: Link) -> bool:
        """Ask needrestart, where it is there, for a kernel, microcode or services older than what is installed."""
        path = self.settings.needrestart
        if not path or not (await self._ask(link, ("test", "-x", path))).ok:
            return False
        output = await self._ask(link, (path, "-b"), root=True, seconds=SOLVE_SECONDS)
        if not output.ok:
            raise self._refused(link, "needrestart -b", output)
        return re.search(r"^NEEDRESTART-(?:KSTA: [23]|UCSTA: 2|SVC: )", output.stdout, re.MULTILINE) is not None


# --- reading what apt says --------------------------------------------------------------------------------------------


def _item(line: str) -> Item | None:
    """Return what a line of a simulation says; None where it is not understood."""
    if found := _INST.fullmatch(line):
        item = Item(name=found[1], before=found[2], after=found[3], origin=found[4] or "")
    elif found := _REMV.fullmatch(line):
        item = Item(name=found[1], before=found[2], after=None)
    elif found := _CONF.fullmatch(line):
        item = Item(name=found[1], before=None, after=None)
    else:
        return None
    return item if _is_sound(item) else None


def _is_sound(item: Item) -> bool:
    """Say whether name and versions are by the grammar of Debian: nothing that could be an option, or two words."""
    versions = [each for each in (item.before, item.after) if each is not None]
    return _NAME.fullmatch(item.name) is not None and all(_VERSION.fullmatch(each) for each in versions)


def pinned(items: Iterable[Item]) -> Words:
    """Return the words that name packages with their versions, or refuse them, wherever they were read."""
    listed = tuple(items)
    for item in listed:
        if not _is_sound(item):
            found = f"{item.name} {item.after or ''}"
            raise InvalidValue("package", expected="a name and a version of Debian", found=found)
    return tuple(f"{item.name}={item.after}" if item.after else f"{item.name}-" for item in listed)


def _secure_sources(text: str, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the sources that are security archives, with what they are called."""
    for source, release in _RELEASE.findall(text):
        facts = dict(pair.split("=", 1) for pair in release.split(",") if "=" in pair)
        label, archive, codename = facts.get("l", ""), facts.get("a", ""), facts.get("n", "")
        if any(
            fnmatchcase(each, pattern)
            for pattern in patterns
            for each in (label, archive, codename, f"{label}:{archive}")
        ):
            yield source, f"{label}:{archive}"


def _first_secure(text: str, secure: Mapping[str, str]) -> Iterator[Item]:
    """Yield, of each table of versions, the highest one above what is installed that a security archive has."""
    name, version, fix = "", "", None
    for found in filter(None, map(_TABLE.match, text.splitlines())):
        mark, listed, rank, source, header = found.groups()
        if header:
            name, version, fix = header, "", None
        elif mark == INSTALLED:
            if name and fix:
                yield Item(name=name, before=listed, after=fix[0], origin=fix[1])
            name = ""
        elif listed:
            version = listed if int(rank) >= 0 else ""  # less: whoever keeps the host does not want it
        elif source in secure and version and not fix:
            fix = (version, secure[source])

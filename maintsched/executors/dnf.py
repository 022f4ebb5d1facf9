"""`dnf`: updates of Fedora, Red Hat Enterprise Linux and what descends from it.

`dnf --assumeno` prints what it would do as a table, which is read exactly: that is the plan. The work is one job that
names the packages with their versions and takes the lists as they are. dnf ends well even where it knows none of the
packages named, so that only what `verify` finds counts.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from maintsched.executors.commands import Words
from maintsched.executors.packages import REFRESH_SECONDS, SOLVE_SECONDS, Offer, Reboot
from maintsched.executors.port import Answer, Item, Link, Output, Phase, Step, UpdatePlan
from maintsched.executors.rpm import RpmExecutor, require_sound

OPTIONS = ("--setopt=metadata_expire=-1", "--setopt=exit_on_lock=True")
"""The lists stay as they were planned with; whoever holds the lock is not waited for, but told of by 200."""
LOCKED = 200
CHANGES = ("Installing", "Upgrading", "Downgrading", "Reinstalling")
REMOVALS = ("Removing",)
OTHER_THAN_PACKAGES = ("module", "group", "environment")
WAY_OUT = "run `dnf check`, then mend what it names"

_SECTION = re.compile(r"^(\S.*):$")
_ENTRY = re.compile(r"^ (\S+) +(\S+) +(\S+) +(\S+) +[0-9.]+(?: [kMGTPEZY])?$")
_REPLACED = re.compile(r"^ {2,}replacing +(\S+) +(\S+)$")


class Dnf(RpmExecutor):
    """Updates with `dnf`."""

    name: ClassVar[str] = "dnf"

    async def _refresh(self, link: Link) -> None:
        output = await self._ask(link, (*self._program, "--refresh", "makecache"), root=True, seconds=REFRESH_SECONDS)
        if not output.ok or "Ignoring repositories" in output.stdout + output.stderr:
            raise self._refused(link, "dnf makecache", output)

    async def _offer(self, link: Link, *, security: bool) -> Offer:
        words = ("upgrade-minimal", "--security") if security else ("upgrade",)  # minimal: the advisory's own version
        items, notes = await self._simulated(link, words)
        return Offer(items=items, notes=notes)

    async def _simulate(self, link: Link, pins: Sequence[Item]) -> tuple[Item, ...]:
        items, _ = await self._simulated(link, ("upgrade", "--", *_pinned(pins)))
        return items

    async def _simulated(self, link: Link, words: Words) -> tuple[tuple[Item, ...], Words]:
        argv = (*self._program, *OPTIONS, "--assumeno", *words)
        output = await self._ask(link, argv, root=True, seconds=SOLVE_SECONDS)
        if output.ok:  # with something to do, it says that it was aborted
            if "Nothing to do" not in output.stdout:
                raise self._unread(link, "dnf --assumeno", output.stdout[-200:])
            return (), ()
        table = _table(output.stdout)
        if table is None or "Operation aborted" not in output.stdout + output.stderr:
            raise self._refused(link, f"dnf --assumeno {words[0]}", output)
        return await self._read(link, table)

    async def _read(self, link: Link, lines: Iterable[str]) -> tuple[tuple[Item, ...], Words]:
        items: list[Item] = []
        notes: list[str] = []
        section = ""
        for line in lines:
            if found := _SECTION.match(line):
                section = found[1]
            elif section.startswith("Skipping"):
                notes.append(f"{section.lower()}: {' '.join(line.split()[:3])}")
            elif not any(each in section for each in OTHER_THAN_PACKAGES):
                items += [self._sound(link, item) for item in self._items(link, section, line)]
        return await self._with_before(link, items), tuple(notes)

    def _items(self, link: Link, section: str, line: str) -> Iterator[Item]:
        if found := _REPLACED.match(line):
            yield Item(name=found[1], before=found[2], after=None)
        elif (found := _ENTRY.match(line)) and section.startswith(CHANGES):
            yield Item(name=f"{found[1]}.{found[2]}", before=None, after=found[3], origin=found[4])
        elif (found := _ENTRY.match(line)) and section.startswith(REMOVALS):
            yield Item(name=f"{found[1]}.{found[2]}", before=found[3], after=None)
        else:
            raise self._unread(link, "dnf --assumeno", f"{section}: {line}")

    def _work(self, plan: UpdatePlan, pins: Sequence[Item]) -> tuple[Step, ...]:
        argv = (*self._program, *OPTIONS, "-y", "upgrade", "--", *_pinned(pins))
        step = Step(
            name="upgrade",
            phase=Phase.APPLY,
            command=self._command(argv, root=True),
            answers={LOCKED: Answer.AGAIN},
            expected_seconds=60 + 3 * len(plan.items),
        )
        return (step,)

    async def _broken(self, link: Link) -> list[str]:
        """Return what an interrupted transaction leaves: dependencies that are not met, and packages twice."""
        argv = (*self._program, *OPTIONS, "-q", "check", "--dependencies", "--duplicates")
        output = await self._ask(link, argv, root=True, seconds=SOLVE_SECONDS)
        if output.ok:
            return []
        if output.exit_code == LOCKED:
            return ["dnf is busy: another package manager holds its lock; try again when it has ended"]
        lines = [line.strip() for line in output.stdout.splitlines() if line.strip()]
        return [f"{line}: {WAY_OUT}" for line in lines[:20]] or [
            f"{self._refused(link, 'dnf check', output)}: {WAY_OUT}"
        ]

    async def _reboot(self, link: Link) -> Reboot:
        output = await self._ask(link, (*self._program, "needs-restarting", "-r"), root=True, seconds=SOLVE_SECONDS)
        if output.ok:
            return Reboot()
        if output.exit_code == 1 and _says_reboot(output):
            return Reboot(required=True)
        what = str(self._refused(link, "dnf needs-restarting -r", output))
        return Reboot(problems=(f"{what}: install the package dnf-plugins-core (or dnf-utils)",))


def _pinned(items: Iterable[Item]) -> Iterator[str]:
    for item in require_sound(items):
        name, _, architecture = item.name.rpartition(".")
        yield f"{name}-{item.after}.{architecture}"


def _says_reboot(output: Output) -> bool:
    """An unknown command ends with 1 as well."""
    return re.search(r"^Reboot is required", output.stdout, re.MULTILINE | re.IGNORECASE) is not None


def _table(text: str) -> list[str] | None:
    """Return the rows of a transaction, those that were broken in two made whole; None where there is none."""
    rule = re.compile(r"^={20,}$", re.MULTILINE)
    parts = rule.split(text)
    if len(parts) < 4:
        return None
    rows: list[str] = []
    for line in parts[2].partition("\nTransaction Summary")[0].splitlines():
        broken = line.startswith("  ") and not line.lstrip().startswith("replacing ")
        if broken and rows:
            rows[-1] = f"{rows[-1].rstrip()} {line.strip()}"
        elif line.strip():
            rows.append(line.rstrip())
    return rows

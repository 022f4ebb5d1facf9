"""`zypper`: updates of SUSE Linux Enterprise and openSUSE.

`zypper --xmlout … --dry-run` says what it would do as a document, which is read exactly: that is the plan. The work is
one job that installs the packages in just these versions and refreshes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar
from xml.etree import ElementTree as ET

from maintsched.executors.commands import Words
from maintsched.executors.packages import LOCK_SECONDS, REFRESH_SECONDS, SOLVE_SECONDS, Offer, Reboot
from maintsched.executors.port import Answer, Item, Link, Output, Phase, Step, UpdatePlan
from maintsched.executors.rpm import RpmExecutor, require_sound

GLOBAL = ("--non-interactive", "--no-refresh", "--xmlout")
INSTALL = ("install", "--auto-agree-with-licenses", "--no-recommends")
REBOOT, AGAIN, WAIT = 102, 103, 7
"""A restart of the host is needed; zypper updated itself and has to be run again; another one holds the lock."""
ANSWERS = {
    2: Answer.FAILED_CLEAN,  # the command line is not understood
    3: Answer.FAILED_CLEAN,
    5: Answer.FAILED_CLEAN,  # no privileges
    6: Answer.FAILED_CLEAN,  # no repositories
    WAIT: Answer.AGAIN,
    REBOOT: Answer.REBOOT,
    AGAIN: Answer.AGAIN,
    104: Answer.FAILED_CLEAN,  # a package is not known in that version
    106: Answer.DONE,  # a repository was left out; whether anything is missing, `verify` says
    107: Answer.FAILED,  # installed, but a script of a package failed
}
WELL = (0, REBOOT, AGAIN)
CHANGES = ("to-install", "to-upgrade", "to-upgrade-change-arch", "to-downgrade", "to-reinstall", "to-change-vendor")
CHANGES_OF_VENDOR = ("to-upgrade-change-vendor", "to-downgrade-change-vendor", "to-change-arch")
WAY_OUT = "run `zypper verify`"


class Zypper(RpmExecutor):
    """Updates with `zypper`."""

    name: ClassVar[str] = "zypper"

    async def _refresh(self, link: Link) -> None:
        argv = (*self._program, "--non-interactive", "refresh")
        output = await self._ask(link, argv, root=True, seconds=REFRESH_SECONDS)
        if not output.ok:
            raise self._refused(link, "zypper refresh", output)

    async def _offer(self, link: Link, *, security: bool) -> Offer:
        words = ("patch", "--category", "security") if security else ("update",)
        items, patches = await self._simulated(link, (*words, "--auto-agree-with-licenses"))
        return Offer(items=items, notes=(f"patches: {' '.join(patches)}",) if patches else ())

    async def _simulate(self, link: Link, pins: Sequence[Item]) -> tuple[Item, ...]:
        items, _ = await self._simulated(link, (*INSTALL, "--", *_pinned(pins)))
        return items

    async def _simulated(self, link: Link, words: Words) -> tuple[tuple[Item, ...], Words]:
        """Return what zypper would do to packages, and the patches that it counts as applied then."""
        argv = (*self._program, *GLOBAL, words[0], "--dry-run", *words[1:])
        output = await self._ask(link, argv, root=True, seconds=SOLVE_SECONDS)
        if output.exit_code not in WELL:
            raise self._failed(link, f"zypper {words[0]} --dry-run", output)
        items, patches = [], []
        for group in self._document(link, output.stdout).findall("install-summary/*"):
            for each in group.findall("solvable"):
                if each.get("type") == "package":
                    items.append(self._sound(link, self._item(link, group.tag, each)))
                elif each.get("type") == "patch":
                    patches.append(each.get("name", ""))
        return await self._with_before(link, items), tuple(sorted(patches))

    def _item(self, link: Link, change: str, found: ET.Element) -> Item:
        name = f"{found.get('name')}.{found.get('arch')}"
        edition, origin = found.get("edition"), found.get("repository", "")
        if change == "to-remove":
            return Item(name=name, before=edition, after=None)
        if change in (*CHANGES, *CHANGES_OF_VENDOR):
            return Item(name=name, before=found.get("edition-old"), after=edition, origin=origin)
        raise self._unread(link, "zypper", f"<{change}> {name}")

    def _document(self, link: Link, text: str) -> ET.Element:
        """Read a document that declares nothing: no entities, so that nothing grows and nothing is fetched."""
        if "<!" in text:
            raise self._unread(link, "zypper", text[text.index("<!") :][:200])
        try:
            return ET.fromstring(text)  # noqa: S314 - it declares no entities
        except ET.ParseError as error:
            raise self._unread(link, "zypper", f"{error}: {text[-100:]}") from error

    def _failed(self, link: Link, what: str, output: Output) -> Exception:
        """Return the error with the words that zypper has for it, which stand in the document."""
        lines = [line for line in output.stdout.splitlines() if '<message type="error">' in line]
        said = lines[-1].replace('<message type="error">', "").replace("</message>", "") if lines else output.stdout
        return self._refused(link, what, Output(exit_code=output.exit_code, stdout=said, stderr=output.stderr))

    def _work(self, plan: UpdatePlan, pins: Sequence[Item]) -> tuple[Step, ...]:
        argv = (*self._program, "--non-interactive", "--no-refresh", *INSTALL, "--", *_pinned(pins))
        step = Step(
            name="upgrade",
            phase=Phase.APPLY,
            command=self._command(argv, root=True, extra={"ZYPP_LOCK_TIMEOUT": str(LOCK_SECONDS)}),
            answers=ANSWERS,
            expected_seconds=60 + 3 * len(plan.items),
        )
        return (step,)

    async def _broken(self, link: Link) -> list[str]:
        """Return whether the dependencies of what is installed are met."""
        argv = (*self._program, *GLOBAL, "verify", "--dry-run")
        output = await self._ask(link, argv, root=True, seconds=SOLVE_SECONDS)
        if output.exit_code == WAIT:
            return ["zypper is busy: another package manager holds its lock; try again when it has ended"]
        if output.exit_code not in WELL:
            return [f"{self._failed(link, 'zypper verify', output)}: {WAY_OUT}"]
        named = sorted(each.get("name", "") for each in self._document(link, output.stdout).iter("solvable"))
        return [f"dependencies are not met: {' '.join(named[:20])}: {WAY_OUT}"] if named else []

    async def _reboot(self, link: Link) -> Reboot:
        argv = (*self._program, "needs-rebooting")
        output = await self._ask(link, argv, seconds=SOLVE_SECONDS)
        if output.exit_code in (0, REBOOT):
            return Reboot(required=output.exit_code == REBOOT)
        return Reboot(problems=(f"{self._failed(link, 'zypper needs-rebooting', output)}: a newer zypper is needed",))


def _pinned(items: Iterable[Item]) -> Iterator[str]:
    for item in require_sound(items):
        yield f"{item.name}={item.after}"

"""`prefixed`: this machine, with words in front of each command, such as `["podman", "exec", "web"]`.

Jobs are kept by the transport `local`, so that they outlive whoever started them.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from maintsched.errors import InvalidValue
from maintsched.executors.port import Command, Job, Link, Output
from maintsched.executors.transports.jobs import words_of
from maintsched.executors.transports.local import Local


class Prefixed:
    """Runs each command behind a prefix."""

    name: ClassVar[str] = "prefixed"

    def __init__(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Take `prefix`, a list of words; every other setting is one of the transport `local`."""
        others = dict(settings)
        prefix = others.pop("prefix", ())
        if isinstance(prefix, str) or not all(isinstance(word, str) and word for word in prefix):
            raise InvalidValue("prefix", expected="a list of words", found=prefix, field="prefix")
        self.prefix = tuple(prefix)
        self.local = Local(others, folder)

    def validate(self, host: str) -> tuple[str, ...]:
        """Return what keeps this machine from being the host."""
        return self.local.validate(host)

    async def open(self, host: str) -> Link:
        """Reach this machine."""
        return PrefixedLink(await self.local.open(host), self.prefix)


class PrefixedLink:
    """A way to this machine behind a prefix."""

    def __init__(self, link: Link, prefix: tuple[str, ...]) -> None:
        """Send what is asked over another link."""
        self.link, self.prefix, self.host = link, prefix, link.host

    async def run(self, command: Command, *, timeout_seconds: float) -> Output:
        """Run a short command, and wait for it."""
        return await self.link.run(self._behind(command), timeout_seconds=timeout_seconds)

    async def start(self, job: str, command: Command) -> bool:
        """Start a job."""
        return await self.link.start(job, self._behind(command))

    async def look(self, job: str) -> Job:
        """Return what became of a job."""
        return await self.link.look(job)

    async def forbid(self, job: str) -> bool:
        """Make sure that a job which is absent is never started."""
        return await self.link.forbid(job)

    async def forget(self, job: str) -> None:
        """Remove what is kept of a job."""
        await self.link.forget(job)

    async def boot_id(self) -> str:
        """Return what names this start of the machine."""
        return await self.link.boot_id()

    async def close(self) -> None:
        """Give the link back."""
        await self.link.close()

    def _behind(self, command: Command) -> Command:
        """Return a command behind the prefix; what it wants of its environment goes with it."""
        folder = ("env", "-C", command.folder) if command.folder else ()
        words = words_of(command)  # refuses what no program can be given
        return replace(command, argv=(*self.prefix, *folder, *words), environment={}, folder=None)

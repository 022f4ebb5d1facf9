"""`controller`: the machine that maintsched runs on, on behalf of any host; for tools that reach hosts themselves.

A table with this transport is for `ansible`: what it runs for a host runs here. A command of the table that was meant
for the host, such as its restart, would hit this machine instead. So nothing but plays is run, unless `commands` says
that others are meant to run here as well.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from maintsched.birth import settle_fields
from maintsched.errors import ExecutionError, UnknownName
from maintsched.executors.port import Command, Link, Output
from maintsched.executors.transports.local import LocalLink
from maintsched.executors.transports.settings import LocalSettings
from maintsched.grammar import require_host, require_text

PLAY = ("-P", "-m", "maintsched.executors.ansibleplay")
"""What the words of a play are, after the Python that plays it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """What is run on this machine for hosts."""

    commands: bool = False
    """Whether commands that are no plays may run here, such as the table's `backup` and `reboot`."""
    jobs: str = ""
    """Folder that keeps the jobs, absolute; empty: `.local/state/maintsched/jobs` in the home of the user."""
    answer_timeout_seconds: int = 60
    """How long an answer about a job is waited for: 1 to 600."""

    def __post_init__(self) -> None:
        """Settle the values; those that `local` has as well are looked at there."""
        settle_fields(self)
        if self.jobs:
            require_text("jobs", self.jobs)


class Controller:
    """Runs on this machine what works on a host."""

    name: ClassVar[str] = "controller"

    def __init__(self, settings: Mapping[str, Any], folder: Path) -> None:  # noqa: ARG002 - it reads no file
        """Take the settings of `ControllerSettings`."""
        known = [each.name for each in fields(ControllerSettings)]
        for each in settings:
            if each not in known:
                raise UnknownName("setting", found=each, known=known, field=each)
        self._settings = ControllerSettings(**settings)
        self._local = LocalSettings(
            jobs=self._settings.jobs, answer_timeout_seconds=self._settings.answer_timeout_seconds
        )

    def validate(self, host: str) -> tuple[str, ...]:
        """Return nothing: whether a host can be reached is for the play to find out."""
        require_host("host", host)
        return ()

    async def open(self, host: str) -> Link:
        """Return a link to this machine that speaks for the host."""
        require_host("host", host)
        return ControllerLink(host, self._local, commands=self._settings.commands)


class ControllerLink(LocalLink):
    """A way to this machine; it is always open."""

    def __init__(self, host: str, settings: LocalSettings, *, commands: bool) -> None:
        """Run plays for `host`, and other commands if `commands` says so."""
        super().__init__(host, settings)
        self._commands = commands

    async def run(self, command: Command, *, timeout_seconds: float) -> Output:
        """Run a play that only looks."""
        self._require_play(command)
        return await super().run(command, timeout_seconds=timeout_seconds)

    async def start(self, job: str, command: Command) -> bool:
        """Start a play as a job of this machine."""
        self._require_play(command)
        return await super().start(job, command)

    def _require_play(self, command: Command) -> None:
        if not self._commands and command.argv[1:] != PLAY:
            raise ExecutionError(
                f"host {self.host}: {' '.join(command.argv[:3])}: the transport controller would run this here and not "
                "on the host; set reboot, backup and backup_age of the table to [], or commands = true if they are "
                "meant for this machine"
            )


def play_words(python: str = sys.executable) -> tuple[str, ...]:
    """Return the words that start a play."""
    return (python, *PLAY)

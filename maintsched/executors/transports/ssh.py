"""Hosts by ssh: a pinned key for each host, a key of ours, one connection for each link.

The shell of the user has to be one that reads `'…'` as POSIX says: sh, bash, dash, ksh, zsh. What it is given is
quoted; how long it may be, Linux says (128 KiB).
"""

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from maintsched.errors import HostKeyRefused, InvalidValue, Unreachable
from maintsched.executors.port import OUTPUT_MAX, Command, Link, Output
from maintsched.executors.transports import programs
from maintsched.executors.transports.jobs import Answer, JobLink, words_of
from maintsched.executors.transports.output import Cut
from maintsched.executors.transports.settings import SshSettings, place_in, read_settings
from maintsched.grammar import require_host

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection

    from maintsched.executors.transports.connection import Keyring, Spoken

LINE_MAX = 128 * 1024 - 1
"""Bytes of the line that a shell is given: Linux starts no program with a longer argument."""


class Ssh:
    """Reaches hosts by ssh."""

    name: ClassVar[str] = "ssh"

    def __init__(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Take the settings of `SshSettings`; the files that they name are read when a host is reached."""
        self._settings = read_settings(SshSettings, settings, required=("known_hosts",))
        identity = self._settings.identity
        self._identity = place_in(folder, identity) if identity else None
        self._known_hosts = place_in(folder, self._settings.known_hosts)
        self._opened: Keyring | None = None

    @property
    def _keyring(self) -> "Keyring":
        if self._opened is None:
            from maintsched.executors.transports.connection import Keyring

            self._opened = Keyring(self._identity, self._known_hosts)
        return self._opened

    def validate(self, host: str) -> tuple[str, ...]:
        """Return what is wrong with our key, and whether none is pinned for a host."""
        require_host("host", host)
        problems = []
        try:
            self._keyring.key()
        except InvalidValue as error:
            problems.append(str(error))
        try:
            self._keyring.pinned(host, self._settings.port)
        except HostKeyRefused as error:
            address, port = self._settings.addresses.get(host, host), self._settings.port
            way = f"ssh-keyscan -p {port} {address}, compared with what its owner says, then written as {host}"
            problems.append(f"{error.reason} for {host} ({way})")
        except InvalidValue as error:
            problems.append(str(error))
        return tuple(problems)

    async def open(self, host: str) -> Link:
        """Reach a host. Raises `Unreachable`, or `HostKeyRefused` where it is not the one that was pinned."""
        require_host("host", host)
        link = SshLink(host, self._settings, self._keyring)
        await link.connected()
        return link


class SshLink(JobLink):
    """A way to one host: one connection, which is made anew when it was cut."""

    def __init__(self, host: str, settings: SshSettings, keyring: "Keyring") -> None:
        """Do not connect yet."""
        super().__init__(host, jobs=settings.jobs, boot_id=settings.boot_id)
        self._settings = settings
        self._keyring = keyring
        self._connection: SSHClientConnection | None = None
        self._connecting = asyncio.Lock()

    async def connected(self) -> "SSHClientConnection":
        """Return the connection; where there is none, or it was cut, make one."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                from maintsched.executors.transports.connection import connect

                self._connection = await connect(self.host, self._settings, self._keyring)
            return self._connection

    async def run(self, command: Command, *, timeout_seconds: float) -> Output:
        """Run a command that only looks; on a time-out its process group is ended, and `Unreachable` raised."""
        words = ("/bin/sh", "-c", programs.COMMAND, "maintsched", command.folder or "", *words_of(command))
        began = asyncio.get_running_loop().time()
        try:
            spoken = await self._spoken(words, stdin=command.stdin, seconds=timeout_seconds, group=True)
        except TimeoutError:
            raise Unreachable(self.host, f"{command.argv[0]} did not end within {timeout_seconds:g} s") from None
        except Cut as error:
            raise Unreachable(self.host, str(error)) from error
        return Output(
            exit_code=spoken.exit_code,
            stdout=spoken.stdout.text(),
            stderr=spoken.stderr.text(),
            seconds=asyncio.get_running_loop().time() - began,
            cut=spoken.stdout.cut or spoken.stderr.cut,
        )

    async def close(self) -> None:
        """Give the connection back; jobs go on, and the next call would open another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            from maintsched.executors.transports.connection import close

            await close(connection)

    async def _ask(self, argv: tuple[str, ...], *, stdin: bytes = b"", again: bool = True) -> Answer:
        seconds = self._settings.answer_timeout_seconds
        try:
            spoken = await self._spoken(argv, stdin=stdin, seconds=seconds)
        except TimeoutError:
            raise Unreachable(self.host, f"it did not answer within {seconds} s") from None
        except Cut as error:
            if again:  # a connection that was cut long ago shows it only now
                return await self._ask(argv, stdin=stdin, again=False)
            raise Unreachable(self.host, str(error)) from error
        return Answer(exit_code=spoken.exit_code, stdout=spoken.stdout.data(), stderr=spoken.stderr.data())

    async def _spoken(self, words: tuple[str, ...], *, stdin: bytes, seconds: float, group: bool = False) -> "Spoken":
        """Give the host a command and wait for its end; `Cut` or `TimeoutError` where it does not come."""
        from maintsched.executors.transports.connection import execute

        line = "exec " + shlex.join(words)
        if (size := len(line.encode())) > LINE_MAX:
            expected = f"at most {LINE_MAX} bytes once it is quoted (stdin takes more)"
            raise InvalidValue("argv", expected=expected, found=f"{size} bytes", field="argv")
        connection = await self.connected()
        try:
            async with asyncio.timeout(seconds):
                return await execute(connection, line, stdin=stdin, most=OUTPUT_MAX, group=group)
        except Cut:
            connection.abort()
            raise

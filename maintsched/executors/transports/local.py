"""This machine as a host: commands are started as processes, without a shell; jobs are kept as everywhere."""

import asyncio
import os
import pwd
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from maintsched.errors import InvalidValue, Unreachable
from maintsched.executors.port import OUTPUT_MAX, Command, Link, Output
from maintsched.executors.transports.jobs import Answer, JobLink, words_of
from maintsched.executors.transports.output import Tail
from maintsched.executors.transports.settings import LocalSettings, read_settings
from maintsched.grammar import require_host

NOT_STARTED, NOT_EXECUTABLE = 127, 126
"""What a shell ends with where a program, or the folder it is started in, is not there; where it cannot be run."""
_PIECE = 64 * 1024


class Local:
    """Reaches the machine that maintsched runs on."""

    name: ClassVar[str] = "local"

    def __init__(self, settings: Mapping[str, Any], folder: Path) -> None:  # noqa: ARG002 - it reads no file
        """Take the settings of `LocalSettings`."""
        self._settings = read_settings(LocalSettings, settings)

    def validate(self, host: str) -> tuple[str, ...]:
        """Return what is wrong where `host` is not this machine: somebody else's work must not be done here."""
        require_host("host", host)
        if host.lower() in self._names():
            return ()
        named = ", ".join(sorted(self._names()))
        return (f"{host} is not this machine ({named}): name it in hosts, or reach it by another transport",)

    async def open(self, host: str) -> Link:
        """Return a link to this machine; `InvalidValue` where `host` is another one."""
        if self.validate(host):
            expected = f"this machine: {', '.join(sorted(self._names()))}, or what hosts names"
            raise InvalidValue("host", expected=expected, found=host, field="host")
        return LocalLink(host, self._settings)

    def _names(self) -> set[str]:
        own = socket.gethostname().lower()
        return {"localhost", "127.0.0.1", "::1", own, *(host.lower() for host in self._settings.hosts)}


class LocalLink(JobLink):
    """A way to this machine, which is always open."""

    def __init__(self, host: str, settings: LocalSettings) -> None:
        """Keep the jobs where the settings say: the environment, which may be another one next time, is not asked."""
        self._home = pwd.getpwuid(os.geteuid()).pw_dir
        jobs = settings.jobs or f"{self._home.rstrip('/')}/.local/state/maintsched/jobs"
        super().__init__(host, jobs=jobs, boot_id=settings.boot_id)
        self._answer_seconds = settings.answer_timeout_seconds

    async def run(self, command: Command, *, timeout_seconds: float) -> Output:
        """Run a command that only looks; on a time-out its process group is ended, and `Unreachable` raised."""
        words_of(command)
        running = _Running(OUTPUT_MAX)
        began = asyncio.get_running_loop().time()
        folder = command.folder or self._folder()
        environment = {**_environment(), **command.environment}
        code = await self._end_of(running, command.argv, command.stdin, folder, environment, timeout_seconds)
        return Output(
            exit_code=code,
            stdout=running.stdout.text(),
            stderr=running.stderr.text(),
            seconds=asyncio.get_running_loop().time() - began,
            cut=running.stdout.cut or running.stderr.cut,
        )

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _ask(self, argv: tuple[str, ...], *, stdin: bytes = b"", again: bool = True) -> Answer:  # noqa: ARG002
        running = _Running(OUTPUT_MAX)
        code = await self._end_of(running, argv, stdin, self._folder(), _environment(), self._answer_seconds)
        return Answer(exit_code=code, stdout=running.stdout.data(), stderr=running.stderr.data())

    async def _end_of(
        self,
        running: "_Running",
        argv: tuple[str, ...],
        stdin: bytes,
        folder: str,
        environment: dict[str, str],
        seconds: float,
    ) -> int:
        try:
            async with asyncio.timeout(seconds):
                return await running.end_of(argv, stdin, folder, environment)
        except TimeoutError:
            raise Unreachable(self.host, f"{argv[0]} did not end within {seconds:g} s") from None
        except OSError as error:
            raise Unreachable(self.host, f"{argv[0]} cannot be started: {error.strerror}") from error

    def _folder(self) -> str:
        return self._home if Path(self._home).is_dir() else "/"


class _Running:
    """A process that is waited for, with what it prints."""

    def __init__(self, most: int) -> None:
        self.stdout = Tail(most)
        self.stderr = Tail(most)

    async def end_of(self, argv: tuple[str, ...], stdin: bytes, folder: str, environment: dict[str, str]) -> int:
        """Start a process in a session of its own and return its exit code, or what a shell would make of its end."""
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            return self._not_started(NOT_STARTED, error)
        except PermissionError as error:
            return self._not_started(NOT_EXECUTABLE, error)
        try:
            await asyncio.gather(
                _fed(process.stdin, stdin), _read(process.stdout, self.stdout), _read(process.stderr, self.stderr)
            )
            code = await process.wait()
        finally:
            if process.returncode is None:  # out of time, or nobody wants to know any more
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await asyncio.shield(process.wait())
        return code if code >= 0 else 128 - code

    def _not_started(self, code: int, error: OSError) -> int:
        self.stderr.add(f"{error.filename}: {error.strerror}\n".encode())
        return code


async def _fed(writer: asyncio.StreamWriter | None, data: bytes) -> None:
    """Give a process what it is to read; it need not read all of it."""
    if writer is not None:
        with suppress(BrokenPipeError, ConnectionResetError):
            writer.write(data)
            await writer.drain()
        writer.close()
        with suppress(BrokenPipeError, ConnectionResetError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader | None, tail: Tail) -> None:
    while reader is not None and (piece := await reader.read(_PIECE)):
        tail.add(piece)


def _environment() -> dict[str, str]:
    """Return our own environment without what is meant for maintsched alone, secrets among it."""
    kept = os.environ.items()
    return {name: value for name, value in kept if not name.startswith("MAINTSCHED_") and name not in _OURS}


_OURS = ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What systemd says to a service, and to nobody that it starts."""

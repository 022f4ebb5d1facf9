"""Starts a program on this machine, which reads the facts of an occasion as JSON.

It is ended, with everything it started, when its time is over: a hook is called again and must bear that.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from maintsched.hooks.answers import kept_in
from maintsched.hooks.port import Hook, Occasion, Outcome, Trouble, one_line
from maintsched.hooks.webhook import facts_of

OUTPUT_MAX = 16 * 1024
"""Bytes of each kind of output that are kept: the last ones."""
AGAIN = 75
"""Exit code that asks for another call (EX_TEMPFAIL)."""
GRACE_SECONDS = 2.0
"""How long a program that is ended has got to do so by itself, and output to come after its program has gone."""


async def call(hook: Hook, occasion: Occasion, kept: Mapping[str, Any]) -> Outcome:
    """Run the program. 0 is a yes, 75 asks for another call, everything else is a no."""
    program = await _run(hook, facts_of(hook, occasion, kept))
    name = Path(hook.command[0]).name
    words = _last_line(program.output[2]) or _last_line(program.output[1])
    said = f"{name}: {_ending(program.code)}" + (f": {words}" if words else "")
    if program.code != 0:
        raise Trouble(said, retry=program.code == AGAIN)
    return Outcome(ok=True, said=said, kept=kept_in(program.output[1].decode("utf-8", "replace")))


def _last_line(output: bytearray) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return one_line(lines[-1]) if lines else ""


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by signal {-code}"


class _Program(asyncio.SubprocessProtocol):
    """What a program does, as it does it. Its end is that of the process, not of the output others may still hold."""

    def __init__(self) -> None:
        self.output = {1: bytearray(), 2: bytearray()}
        self.ended = asyncio.get_running_loop().create_future()
        self.silent = {each: asyncio.get_running_loop().create_future() for each in self.output}
        self.code = 0
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.output[fd]
        kept += data
        del kept[:-OUTPUT_MAX]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        if fd in self.silent and not self.silent[fd].done():
            self.silent[fd].set_result(None)

    def process_exited(self) -> None:
        code = self._transport.get_returncode() if self._transport else None
        self.code = -1 if code is None else code
        if not self.ended.done():
            self.ended.set_result(None)


async def _run(hook: Hook, facts: bytes) -> _Program:
    loop = asyncio.get_running_loop()
    try:
        transport, program = await loop.subprocess_exec(
            _Program, *hook.command, start_new_session=True, env=_environment(), cwd="/"
        )
    except OSError as error:
        reason = str(error.strerror).lower()
        raise Trouble(f"{one_line(hook.command[0])}: cannot be started: {reason}", retry=False) from None
    try:
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        stdin.write(facts)
        stdin.write_eof()
        await asyncio.shield(program.ended)
        await asyncio.wait(program.silent.values(), timeout=GRACE_SECONDS)
    except asyncio.CancelledError:
        await _end(transport.get_pid(), program)
        raise
    finally:
        transport.close()
    return program


async def _end(pid: int, program: _Program) -> None:
    """End the program and whatever it started and left in its session: first politely, then for good."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(pid, ending)
        await asyncio.wait([program.ended], timeout=GRACE_SECONDS)


def _environment() -> dict[str, str]:
    """Return our environment without what is nobody else's business."""
    private = ("PASSWORD", "SECRET", "TOKEN", "CREDENTIALS_DIRECTORY")
    return {name: value for name, value in os.environ.items() if not any(word in name.upper() for word in private)}

"""Jobs on a host that has a POSIX shell: what the links of `local` and `ssh` share.

A job is started at most once, whoever asks for it how often; it goes on when the connection closes, when the worker
ends, when it prints without end. How the host keeps it is told in `programs`.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeVar

from maintsched.errors import InvalidValue, Unreachable
from maintsched.executors.port import TAIL_MAX, Command, Job, JobState
from maintsched.executors.transports import programs
from maintsched.executors.transports.output import decoded
from maintsched.grammar import require_key

ANSWER_SECONDS = 60
"""How long a host may take to answer about a job, unless the settings say otherwise."""
BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""The file that names a start of a host with Linux."""
COMMAND_MAX = 64 * 1024
"""Bytes of words and variables of one command. Whatever is longer goes to its stdin."""
T = TypeVar("T")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program on the host answered."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class JobLink(ABC):
    """The half of a `Link` that keeps jobs; a child says how a host is asked."""

    def __init__(self, host: str, *, jobs: str, boot_id: str) -> None:
        """`jobs`: the folder of the jobs, empty for the usual one; `boot_id`: the file that names the host's start."""
        self.host = host
        self._jobs = jobs
        self._boot_id = boot_id

    @abstractmethod
    async def _ask(self, argv: tuple[str, ...], *, stdin: bytes = b"", again: bool = True) -> Answer:
        """Run one of our programs on the host and wait for its end; `again`: it may be sent a second time."""

    async def start(self, job: str, command: Command) -> bool:
        """Start a job, detached. False: a job of this name was started, or forbidden, before."""
        require_key("job", job)
        words = words_of(command)
        count = str(len(command.stdin))
        told = (self._boot_id, count, programs.RUNNER, command.folder or "", *words)
        first, _ = await self._answer(programs.START, job, *told, stdin=command.stdin, again=False)
        return self._one_of(first, begun=True, known=False)

    async def look(self, job: str) -> Job:
        """Return what became of a job."""
        require_key("job", job)
        first, tail = await self._answer(programs.LOOK, job, self._boot_id, str(TAIL_MAX))
        word, _, code = first.partition(" ")
        if word == JobState.ENDED and not code.isdecimal():
            raise self._nonsense(first)
        state = self._one_of(word, **{each.value: each for each in JobState})
        return Job(
            state=state,
            exit_code=int(code) if state is JobState.ENDED else None,
            tail=decoded(tail, cut=len(tail) >= TAIL_MAX),
        )

    async def forbid(self, job: str) -> bool:
        """Make sure that a job which is absent is never started; False where it was started before."""
        require_key("job", job)
        first, _ = await self._answer(programs.FORBID, job)
        return self._one_of(first, forbidden=True, known=False)

    async def forget(self, job: str) -> None:
        """Remove what the host keeps of a job that has ended; of one that never began, that it is forbidden stays."""
        found = await self.look(job)
        if found.state is JobState.RUNNING:
            raise InvalidValue("job", expected=f"one that has ended on {self.host}", found=f"{job}, which runs")
        if found.state is not JobState.ABSENT:
            first, _ = await self._answer(programs.FORGET, job)
            self._one_of(first, forgotten=True)

    async def boot_id(self) -> str:
        """Return what names this start of the host."""
        answer = await self._ask((_SHELL, "-c", programs.BOOT, "maintsched", self._boot_id))
        self._require_done(answer)
        return decoded(answer.stdout).strip()

    async def _answer(
        self, program: str, job: str, *told: str, stdin: bytes = b"", again: bool = True
    ) -> tuple[str, bytes]:
        """Return the first line of what a program answers, and the bytes after it."""
        argv = (_SHELL, "-c", program, "maintsched", self._jobs, job, *told)
        answer = await self._ask(argv, stdin=stdin, again=again)
        self._require_done(answer)
        first, _, rest = answer.stdout.partition(b"\n")
        return decoded(first), rest

    def _require_done(self, answer: Answer) -> None:
        if answer.exit_code:
            said = decoded(answer.stderr).strip().rpartition("\n")[2] or f"its shell ended with {answer.exit_code}"
            raise Unreachable(self.host, f"it cannot keep jobs: {said}")

    def _one_of(self, word: str, **known: T) -> T:
        if word not in known:
            raise self._nonsense(word)
        return known[word]

    def _nonsense(self, found: str) -> Unreachable:
        return Unreachable(self.host, f"it answers what was not asked for ({found[:80]!r}): what does its shell print?")


def words_of(command: Command) -> tuple[str, ...]:
    """Return the words to run on a host, its variables put in front; refuse what no program can be given."""
    for name in command.environment:
        if not _VARIABLE.fullmatch(name):
            raise InvalidValue("environment", expected="names such as LC_ALL", found=name, field="environment")
    program = command.argv[0] if command.argv else ""
    if not program or program.startswith("-") or "=" in program:
        expected = "a program, which begins with no '-' and holds no '='"
        raise InvalidValue("argv", expected=expected, found=program, field="argv")
    if command.folder is not None and not command.folder.startswith("/"):
        raise InvalidValue("folder", expected="an absolute path", found=command.folder, field="folder")
    variables = tuple(f"{name}={value}" for name, value in command.environment.items())
    words = ("env", *variables, *command.argv) if variables else command.argv
    _require_sendable((*words, command.folder or ""))
    return words


def _require_sendable(words: tuple[str, ...]) -> None:
    try:
        size = sum(len(word.encode()) + 1 for word in words)
    except UnicodeEncodeError as error:
        raise InvalidValue("argv", expected="text that UTF-8 can write", found=error.object, field="argv") from error
    if any("\0" in word for word in words):
        raise InvalidValue("argv", expected="words without a NUL", found="one", field="argv")
    if size > COMMAND_MAX:
        expected = f"at most {COMMAND_MAX} bytes (stdin takes more)"
        raise InvalidValue("argv", expected=expected, found=f"{size} bytes", field="argv")

"""The two ports of this folder: a `Transport` reaches hosts, an `Executor` knows one kind of update.

Work goes `probe → plan → steps → verify`. Probing, planning and verifying only look (planning may refresh lists of
packages): they can be repeated at any time. What changes a host is a `Step`: one command that runs there as a *job* of
its own, detached from the connection and from us, so that nobody's death kills a package manager. A job has a name; a
host starts a job of one name at most once, whoever asks for it.

Third parties register classes under the entry points `maintsched.executors` and `maintsched.transports`;
`maintsched.testing` has a conformance suite for each port.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Protocol

from maintsched.facts import ChangeClass

OUTPUT_MAX = 256 * 1024
"""Bytes of a command's output that are read; of more, the last ones."""
TAIL_MAX = 16 * 1024
"""Bytes of a job's output that are kept as evidence: the last ones."""


# --- reaching a host --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program with its arguments: never a line for a shell.

    Words and variables come to 64 KiB at most, in UTF-8 and without a NUL; `InvalidValue` where one is sent that cannot
    be given to a program.
    """

    argv: tuple[str, ...]
    """The program, which begins with no `-` and holds no `=`, and its arguments, which may be anything."""
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Added to the host's own. Everybody on the host may see it: no secrets."""
    stdin: bytes = field(default=b"", repr=False)
    """What the program reads; empty: nothing. Secrets go here, and nowhere else."""
    folder: str | None = None
    """Where it is started, an absolute path; None: the folder the transport chooses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What became of a command that was waited for."""

    exit_code: int
    """127: the program, or its folder, is not there; 126: it cannot be run; more than 128: a signal killed it."""
    stdout: str
    stderr: str = ""
    seconds: float = 0.0
    cut: bool = False
    """There was more output than is read; the last bytes are here."""

    @property
    def ok(self) -> bool:
        """Say whether it ended with 0."""
        return self.exit_code == 0


class JobState(StrEnum):
    """What a host says of a job."""

    ABSENT = "absent"  # it has not begun there: a start may be on its way until it is forbidden
    RUNNING = "running"  # it, or what it has started, is there
    ENDED = "ended"  # its exit code is known
    VANISHED = "vanished"  # it was started and is gone without an exit code: killed, or the host went down


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as its host sees it."""

    state: JobState
    exit_code: int | None = None
    tail: str = ""
    """The last `TAIL_MAX` bytes of its output so far, decoded; what is no UTF-8 is replaced."""


class Link(Protocol):
    """An open way to one host; several may be open at once.

    Every method raises `Unreachable` where the host does not answer in time, or cannot keep jobs: then it is not known
    whether a command took effect. A link that was cut opens itself anew with the next call, which raises
    `HostKeyRefused` where the host is another one by then. `InvalidValue` is for commands and names of jobs that no
    host could be given; names are keys. Several calls may be under way at once, all in one event loop.
    """

    host: str

    async def run(self, command: Command, *, timeout_seconds: float) -> Output:
        """Run a short command that only looks, and wait for it.

        On a time-out it is ended with its process group, and with nothing else, and `Unreachable` raised.
        """
        ...

    async def start(self, job: str, command: Command) -> bool:
        """Start a job, detached: it leads a session of its own and goes on whatever becomes of us.

        True: it has begun. False: a job of this name was started, or forbidden, before; nothing was done. After
        `Unreachable` it may begin at any time, until `forbid` says that it never will.
        """
        ...

    async def look(self, job: str) -> Job:
        """Return what became of a job."""
        ...

    async def forbid(self, job: str) -> bool:
        """Make sure that a job which is absent is never started, be its start on the way; False where it has begun."""
        ...

    async def forget(self, job: str) -> None:
        """Remove what the host keeps of a job that has ended or vanished. Its name must not be used again.

        What is forbidden stays forbidden; `InvalidValue` for a job that runs.
        """
        ...

    async def boot_id(self) -> str:
        """Return what names this start of the host: another one after each reboot."""
        ...

    async def close(self) -> None:
        """Give the connection back; jobs go on."""
        ...


class Transport(Protocol):
    """A way to reach hosts. Made once for a configured table, with its settings."""

    name: ClassVar[str]
    """As configurations name it."""

    def __init__(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Take the settings; relative paths count from `folder`. `InvalidValue` for what it cannot use."""
        ...

    def validate(self, host: str) -> tuple[str, ...]:
        """Return what keeps it from reaching a host, as far as that is known without asking it."""
        ...

    async def open(self, host: str) -> Link:
        """Reach a host. Raises `Unreachable`, or `HostKeyRefused` where it is not the one that was pinned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is worked on: an instance on its host."""

    instance: str
    host: str
    components: tuple[str, ...] = ()
    """The components that this executor is asked to update."""
    url: str | None = None
    neighbours: tuple[str, ...] = ()
    """Keys of the other instances on the same host."""


# --- updating ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for: updates of a class, and where it is a release, which version."""

    component: str
    change_class: ChangeClass
    release: str | None = None
    """None: whatever updates of that class there are."""
    installed: str | None = None
    """The version that is believed to be there; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a look at a host found before anything is changed (pre-flight)."""

    problems: tuple[str, ...] = ()
    """What forbids to begin, each with its way out: a half installed package, a full disk, a portal that is down."""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What is installed, by component."""
    backup_at: datetime | None = None
    """When the last backup was taken; None: the executor does not know of any."""
    reboot_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Item:
    """One thing that changes."""

    name: str
    before: str | None
    after: str | None
    """None: it is removed."""
    origin: str = ""
    """Where it comes from, such as an archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePlan:
    """What will change, exactly. What is applied has to equal it."""

    items: tuple[Item, ...] = ()
    reboot: bool = False
    """A reboot is known to be needed."""
    stops_service: bool = False
    """The portal is stopped for it."""
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """JSON values that the executor wants back when it verifies."""

    @property
    def empty(self) -> bool:
        """Say whether there is nothing to do."""
        return not self.items

    @property
    def digest(self) -> str:
        """A name for exactly these changes."""
        return sha256(repr(sorted(self.items)).encode()).hexdigest()[:16]


class Phase(StrEnum):
    """Where a step belongs in the order of a run. All the steps of one phase come before those of the next."""

    BACKUP = "backup"
    STOP = "stop"
    APPLY = "apply"
    REBOOT = "reboot"
    START = "start"  # brings the service back: allowed at any time once it was stopped
    ROLLBACK = "rollback"  # undoes what was applied: allowed at any time once something was


class Answer(StrEnum):
    """What an exit code of a step means."""

    DONE = "done"
    REBOOT = "reboot"  # done, and the host has to be restarted
    POSTPONE = "postpone"  # not now: the next window (EX_UNAVAILABLE, 69)
    AGAIN = "again"  # try again in this window (EX_TEMPFAIL, 75)
    FAILED_CLEAN = "failed_clean"  # failed, and changed nothing
    FAILED = "failed"  # failed, and may have changed something


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command that changes a host, run there as a job."""

    name: str
    """Unique within the part of the run, by the grammar of keys."""
    phase: Phase
    command: Command
    idempotent: bool = False
    """It may be run again after it was interrupted half way. Only what says so is ever repeated by itself."""
    answers: Mapping[int, Answer] = field(default_factory=dict, hash=False)
    """Exit codes that mean something; 0 is done and every other one failed, unless it is said here."""
    expected_seconds: int = 60

    def answer(self, exit_code: int) -> Answer:
        """Return what an exit code means."""
        return self.answers.get(exit_code, Answer.DONE if exit_code == 0 else Answer.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look at a host found after the work."""

    problems: tuple[str, ...] = ()
    """What is not as it was planned; empty: all is well."""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What is installed now, by component."""
    applied: tuple[Item, ...] = ()
    """What has changed, exactly."""
    reboot_required: bool = False
    untouched: bool = False
    """It is certain that everything is as it was before the work: a failure then left nothing half done."""


class Executor(Protocol):
    """Knows one kind of update. Made once for a configured table, with its settings; holds no state of a host."""

    name: ClassVar[str]
    """As configurations name it."""
    components: ClassVar[tuple[str, ...]]
    """Components that it updates unless the configuration says otherwise."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the settings of the configuration; `InvalidValue` for what it does not know or cannot use."""
        ...

    def validate(self, target: Target) -> tuple[str, ...]:
        """Return what keeps it from working on a target, as far as that is known without asking the host."""
        ...

    async def probe(self, target: Target, link: Link) -> Finding:
        """Look at the host before anything is done. Changes nothing."""
        ...

    async def plan(self, target: Target, link: Link, orders: Sequence[Order]) -> UpdatePlan:
        """Return exactly what the orders come to. Changes nothing but lists of what there is to get."""
        ...

    def steps(self, target: Target, plan: UpdatePlan) -> tuple[Step, ...]:
        """Return the steps that do what is planned, in order within each phase."""
        ...

    async def verify(self, target: Target, link: Link, plan: UpdatePlan) -> Verdict:
        """Look at what has changed. Changes nothing."""
        ...

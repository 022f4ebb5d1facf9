"""Hosts that exist in memory only: for tests, demos and simulations. No process, no network, no clock.

world = World()
host = world.host("db1.acme.example")
host.answer("dpkg-query", stdout="libc6 2.36")            # to every command that begins with these words
host.finish_after(looks=2)                                # jobs run for two looks, then end as their answer says
host.fail(Fault.CUT, call="start")                        # the next start takes effect, and nobody learns of it
transport = Fake({"world": world}, Path())
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from maintsched.errors import HostKeyRefused, InvalidValue, UnknownName, Unreachable
from maintsched.executors.port import OUTPUT_MAX, TAIL_MAX, Command, Job, JobState, Link, Output
from maintsched.executors.transports.jobs import words_of
from maintsched.executors.transports.output import Tail
from maintsched.grammar import require_host, require_key

CALLS = ("open", "run", "start", "look", "forbid", "forget", "boot_id")
"""What may be called, and be made to fail."""
Program = Callable[[Command], Output]
"""What a command does on a host, and how it ends."""


class Fault(StrEnum):
    """What may go wrong with a call."""

    UNREACHABLE = "unreachable"  # the host does not answer; the call has no effect
    CUT = "cut"  # the call takes effect, then the connection goes: nobody learns how it ended
    KEY_REFUSED = "key_refused"  # the host shows another key than the pinned one


@dataclass(kw_only=True)
class FakeJob:
    """A job on a host."""

    command: Command
    state: JobState = JobState.RUNNING
    exit_code: int | None = None
    output: bytes = b""
    looks: int = 0
    """How often it was looked at while it ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that reached a host."""

    name: str
    job: str | None = None
    argv: tuple[str, ...] = ()


@dataclass(kw_only=True)
class FakeHost:
    """A host, as its script says. Without a script, every command succeeds and prints nothing."""

    name: str
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    """Every call that reached it, in order; those that a fault kept away are not among them."""
    boots: int = 1
    pinned: bool = True
    """Whether its key is pinned; otherwise it is refused."""
    reachable: bool = True
    looks: int | None = 0
    """How many looks a job runs for; None: until `finish`."""
    _answers: list[tuple[tuple[str, ...], Program]] = field(default_factory=list)
    _faults: list[tuple[str | None, Fault]] = field(default_factory=list)

    # --- its script ---------------------------------------------------------------------------------------------------

    def answer(self, *argv: str, stdout: str = "", stderr: str = "", exit_code: int = 0, seconds: float = 0.0) -> None:
        """Answer commands that begin with these words, jobs as well; what was said last is asked first.

        `seconds`: how long it takes; longer than a caller waits, and it is a time-out.
        """
        output = Output(exit_code=exit_code, stdout=stdout, stderr=stderr, seconds=seconds)
        self.program(*argv, does=lambda _: output)

    def program(self, *argv: str, does: Program) -> None:
        """Let a function answer commands that begin with these words."""
        self._answers.insert(0, (argv, does))

    def finish_after(self, *, looks: int | None) -> None:
        """Let jobs run for so many looks; None: until `finish` ends them."""
        self.looks = looks

    def finish(self, job: str, *, exit_code: int = 0, output: str = "") -> None:
        """End a job that runs."""
        found = self._running(job)
        found.state, found.exit_code = JobState.ENDED, exit_code
        found.output += output.encode()

    def print(self, job: str, text: str) -> None:
        """Let a job that runs print something."""
        self._running(job).output += text.encode()

    def vanish(self, job: str) -> None:
        """Let a job that runs be killed."""
        self._running(job).state = JobState.VANISHED

    def reboot(self) -> None:
        """Start anew: what runs is gone."""
        self.boots += 1
        for job in self.jobs.values():
            if job.state is JobState.RUNNING:
                job.state = JobState.VANISHED

    def fail(self, fault: Fault, *, call: str | None = None, times: int = 1) -> None:
        """Let the next calls go wrong; `call`: only those of that name. See also `reachable` and `pinned`."""
        if call is not None and call not in CALLS:
            raise UnknownName("call", found=call, known=CALLS)
        self._faults += [(call, fault)] * times

    # --- what it does -------------------------------------------------------------------------------------------------

    def outcome(self, command: Command) -> Output:
        """Return how a command ends."""
        for argv, program in self._answers:
            if command.argv[: len(argv)] == argv:
                return program(command)
        return Output(exit_code=0, stdout="")

    def fault(self, call: str) -> Fault | None:
        """Return what goes wrong with a call, which is then over."""
        for index, (name, fault) in enumerate(self._faults):
            if name in (None, call):
                del self._faults[index]
                return fault
        return None

    def begin(self, job: str, command: Command) -> bool:
        """Start a job, unless one of that name was started or forbidden."""
        if job in self.jobs or job in self.forbidden:
            return False
        self.jobs[job] = FakeJob(command=command)
        return True

    def seen(self, job: str) -> Job:
        """Return what a look at a job finds; it may end with it."""
        found = self.jobs.get(job)
        if found is None:
            return Job(state=JobState.ABSENT)
        if found.state is JobState.RUNNING and self.looks is not None:
            if found.looks >= self.looks:
                end = self.outcome(found.command)
                self.finish(job, exit_code=end.exit_code, output=end.stdout + end.stderr)
            found.looks += 1
        return Job(state=found.state, exit_code=found.exit_code, tail=_cut(found.output, TAIL_MAX)[0])

    def _running(self, job: str) -> FakeJob:
        found = self.jobs.get(job)
        if found is None or found.state is not JobState.RUNNING:
            state = "absent" if found is None else str(found.state)
            raise InvalidValue("job", expected=f"one that runs on {self.name}", found=f"{job}, {state}")
        return found


class World:
    """The hosts that there are; one that is asked for is made."""

    def __init__(self) -> None:
        """Begin without hosts."""
        self.hosts: dict[str, FakeHost] = {}

    def host(self, name: str) -> FakeHost:
        """Return a host."""
        require_host("host", name)
        return self.hosts.setdefault(name, FakeHost(name=name))


class Fake:
    """Reaches hosts in memory."""

    name: ClassVar[str] = "fake"

    def __init__(self, settings: Mapping[str, Any], folder: Path) -> None:  # noqa: ARG002 - it reads no file
        """Take `world`, a `World`; left out: one of its own, in which every command succeeds."""
        for name in settings:
            if name != "world":
                raise UnknownName("setting", found=str(name), known=["world"], field=str(name))
        world = settings.get("world")
        if world is not None and not isinstance(world, World):
            raise InvalidValue("world", expected="a World (in a program; files cannot hold one)", found=world)
        self.world = world or World()

    def validate(self, host: str) -> tuple[str, ...]:
        """Return whether no key is pinned for a host."""
        return () if self.world.host(host).pinned else (f"no key is pinned for {host}",)

    async def open(self, host: str) -> Link:
        """Reach a host."""
        link = FakeLink(self.world.host(host))
        link.call("open")
        return link


class FakeLink:
    """A way to a host in memory."""

    def __init__(self, found: FakeHost) -> None:
        """Lead to a host."""
        self.host = found.name
        self._host = found

    def call(self, name: str, *, job: str | None = None, argv: tuple[str, ...] = ()) -> bool:
        """Let a call reach the host, or go wrong; True where the connection goes once it has taken effect."""
        if job is not None:
            require_key("job", job)
        fault = self._host.fault(name)
        if fault is Fault.KEY_REFUSED or not self._host.pinned:
            raise HostKeyRefused(self.host, "it shows another one")
        if fault is Fault.UNREACHABLE or not self._host.reachable:
            raise Unreachable(self.host, "it is not there")
        self._host.calls.append(Call(name=name, job=job, argv=argv))
        return fault is Fault.CUT

    async def run(self, command: Command, *, timeout_seconds: float) -> Output:
        """Run a command as the host's script says."""
        words_of(command)
        cut = self.call("run", argv=command.argv)
        output = self._host.outcome(command)
        if output.seconds > timeout_seconds:
            raise Unreachable(self.host, f"{command.argv[0]} did not end within {timeout_seconds:g} s")
        self._require_whole(cut)
        stdout, more = _cut(output.stdout.encode(), OUTPUT_MAX)
        stderr, still_more = _cut(output.stderr.encode(), OUTPUT_MAX)
        return replace(output, stdout=stdout, stderr=stderr, cut=more or still_more)

    async def start(self, job: str, command: Command) -> bool:
        """Start a job. False: a job of this name was started, or forbidden, before."""
        words_of(command)
        cut = self.call("start", job=job, argv=command.argv)
        begun = self._host.begin(job, command)
        self._require_whole(cut)
        return begun

    async def look(self, job: str) -> Job:
        """Return what became of a job."""
        cut = self.call("look", job=job)
        found = self._host.seen(job)
        self._require_whole(cut)
        return found

    async def forbid(self, job: str) -> bool:
        """Make sure that a job which is absent is never started."""
        cut = self.call("forbid", job=job)
        absent = job not in self._host.jobs
        if absent:
            self._host.forbidden.add(job)
        self._require_whole(cut)
        return absent

    async def forget(self, job: str) -> None:
        """Remove what is kept of a job that has ended."""
        cut = self.call("forget", job=job)
        found = self._host.jobs.get(job)
        if found is not None and found.state is JobState.RUNNING:
            raise InvalidValue("job", expected=f"one that has ended on {self.host}", found=f"{job}, which runs")
        self._host.jobs.pop(job, None)
        self._require_whole(cut)

    async def boot_id(self) -> str:
        """Return what names this start of the host."""
        self._require_whole(self.call("boot_id"))
        return f"{self.host}-boot-{self._host.boots}"

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _require_whole(self, cut: bool) -> None:
        if cut:
            raise Unreachable(self.host, "the connection was cut")


def _cut(data: bytes, most: int) -> tuple[str, bool]:
    tail = Tail(most)
    tail.add(data)
    return tail.text(), tail.cut

"""Update runs: their states, the gates before every step, the cut-off, waves, brakes and limits.

A *run* is the work of one instance in one window. It is a state machine on disk: nothing in it is remembered by a
process alone. Gates are asked before each step that changes something, and again before the next one: whatever closes
meanwhile stops the work there. Bringing a stopped service back, and undoing what was applied, are no changes: they end
what was begun, and are never held up.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from maintsched.birth import settle_fields
from maintsched.errors import ChangeRefused, OutOfRange
from maintsched.facts import ChangeClass, Freeze, Release
from maintsched.grammar import require_key, require_text
from maintsched.localtime import Elapsed, utc
from maintsched.releases import RunningDeferral
from maintsched.spans import Span


class RunState(StrEnum):
    """States of a run."""

    PLANNED = "planned"  # waits until its gates are open
    RUNNING = "running"  # work goes on, or is between two steps
    UNREACHABLE = "unreachable"  # the host does not answer; it is asked again
    LOST = "lost"  # who was at it is gone; the host has to be asked what its job did
    INTERRUPTED = "interrupted"  # a step was cut off that must not be repeated by itself: an operator decides
    ROLLING_BACK = "rolling_back"  # what was applied is being undone
    DONE = "done"  # applied and verified
    NO_CHANGES = "no_changes"  # there was nothing to apply
    REBOOT_REQUIRED = "reboot_required"  # applied and verified; the host still has to be restarted
    DEFERRED = "deferred"  # the executor asked for another window
    SKIPPED = "skipped"  # its window ended while a gate was closed
    BLOCKED = "blocked"  # something has to be mended first; nothing was changed
    CANCELLED = "cancelled"  # its window was moved or cancelled before it began
    FAILED_CLEAN = "failed_clean"  # failed, and left everything as it was
    FAILED_DIRTY = "failed_dirty"  # failed, and left something half done: an operator has to look
    ROLLED_BACK = "rolled_back"  # failed, and was undone
    ROLLBACK_FAILED = "rollback_failed"  # failed, and could not be undone: an operator has to look


UNDER_WAY = frozenset(
    {RunState.RUNNING, RunState.UNREACHABLE, RunState.LOST, RunState.INTERRUPTED, RunState.ROLLING_BACK}
)
"""States in which a run has begun and is not over: it is at its host, and counts for the limits."""
ENDS = frozenset(RunState) - UNDER_WAY - {RunState.PLANNED}
"""States in which a run is over."""
WELL = frozenset({RunState.DONE, RunState.NO_CHANGES, RunState.REBOOT_REQUIRED})
"""Ends in which everything that was planned is there."""
BAD = frozenset(
    {RunState.FAILED_CLEAN, RunState.FAILED_DIRTY, RunState.ROLLED_BACK, RunState.ROLLBACK_FAILED, RunState.BLOCKED}
)
"""Ends that count for the error brakes."""

_AFTER_WORK = (*WELL, RunState.DEFERRED, RunState.BLOCKED, RunState.FAILED_CLEAN, RunState.FAILED_DIRTY)
_TROUBLE = (RunState.INTERRUPTED, RunState.ROLLING_BACK)
_PUT_OFF = {RunState.DEFERRED, RunState.SKIPPED, RunState.CANCELLED}
ARROWS: Mapping[RunState, frozenset[RunState]] = {
    RunState.PLANNED: frozenset(
        {RunState.RUNNING, RunState.UNREACHABLE, RunState.SKIPPED, RunState.BLOCKED, RunState.CANCELLED}
    ),
    RunState.RUNNING: frozenset(
        {*_AFTER_WORK, *_TROUBLE, RunState.PLANNED, RunState.UNREACHABLE, RunState.LOST, RunState.SKIPPED}
    ),
    RunState.UNREACHABLE: frozenset(
        {*_AFTER_WORK, *_TROUBLE, RunState.PLANNED, RunState.RUNNING, RunState.LOST, RunState.SKIPPED}
        | {RunState.CANCELLED}
    ),
    RunState.LOST: frozenset({*_AFTER_WORK, *_TROUBLE, RunState.PLANNED, RunState.RUNNING, RunState.UNREACHABLE}),
    RunState.INTERRUPTED: frozenset({RunState.RUNNING, RunState.ROLLING_BACK, RunState.FAILED_DIRTY}),
    RunState.ROLLING_BACK: frozenset(
        {RunState.ROLLED_BACK, RunState.ROLLBACK_FAILED, RunState.UNREACHABLE, RunState.LOST, RunState.INTERRUPTED}
    ),
    **{end: frozenset({RunState.PLANNED}) if end in BAD | _PUT_OFF else frozenset() for end in ENDS},
}
"""From each state, the states that may follow.

An end is left only by an operator's retry, or, where a window was cancelled, because it takes place at another time.
"""


def check_arrow(before: RunState, after: RunState, run: str = "run") -> None:
    """Refuse with `ChangeRefused` that a run goes from `before` to `after` where no arrow leads there."""
    ways = ARROWS[before]
    if after not in ways:
        listed = f"one of {', '.join(sorted(ways))}" if ways else "no other state, since this one is final"
        raise ChangeRefused(run, expected=f"after {before} {listed}", found=str(after))


class StepState(StrEnum):
    """States of a step of a run."""

    READY = "ready"  # to be started, for the first time or once more
    STARTED = "started"  # its start was written down before it was asked for; the host may be at it
    DONE = "done"
    FAILED = "failed"
    POSTPONED = "postponed"  # asked for another window
    INTERRUPTED = "interrupted"  # started, and gone without an answer
    LEFT_OUT = "left_out"  # not started, because the run ended before it


_DID = frozenset({StepState.READY, StepState.DONE, StepState.FAILED})
STEP_ARROWS: Mapping[StepState, frozenset[StepState]] = {
    **{state: frozenset() for state in StepState},
    StepState.READY: frozenset({StepState.STARTED, StepState.LEFT_OUT}),
    StepState.STARTED: _DID | {StepState.STARTED, StepState.POSTPONED, StepState.INTERRUPTED},
    StepState.INTERRUPTED: _DID,
}
"""From each state of a step, the states that may follow."""

LOOKING = frozenset({"preflight", "plan", "verify"})
"""Phases that change nothing: they may be repeated at any time."""
RECOVERING = frozenset({"start", "rollback"})
"""Phases that end what was begun: never held up by a gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunItem:
    """What goes into a component: a release (None: whatever updates of the class there are)."""

    component: str
    change_class: ChangeClass
    release: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The work of one instance in one window."""

    window: str
    instance: str
    customer: str
    host: str
    executor: str
    """The table of the configuration that says how the instance is updated."""
    start: datetime
    end: datetime
    """The window, as it stood when the run was entered."""
    items: tuple[RunItem, ...]
    wave: int
    state: RunState = RunState.PLANNED
    gate: "Gate | None" = None
    """The gate that holds it, or held it to the end."""
    why: str = ""
    """What an operator has to know of its state."""
    attempt: int = 1
    started_at: datetime | None = None
    """When its first step that changes something began."""
    ended_at: datetime | None = None
    expected_seconds: int = 1800
    """How long the work is expected to take, reboot and rollback aside."""

    @property
    def key(self) -> str:
        """The stable name of this intent, unique in a store."""
        return run_key(self.window, self.instance)

    @property
    def over(self) -> bool:
        """Say whether it has ended."""
        return self.state in ENDS

    @property
    def begun(self) -> bool:
        """Say whether its first change has begun, and it is not over: from then on it is never held half way."""
        return self.started_at is not None and self.state in UNDER_WAY


def run_key(window: str, instance: str) -> str:
    """Return `run/<window>/<instance>`, the slashes of the window written ":"."""
    return f"run/{window.replace('/', ':')}/{instance}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """One step of a run, as the database keeps it."""

    run: str
    attempt: int
    number: int
    """Its place in the attempt, from 1 on."""
    name: str
    phase: str
    """One of `preflight`, `plan`, `verify`, or a `Phase` of the executors' port."""
    part: str = ""
    """The executor it belongs to; empty: the run's own."""
    state: StepState = StepState.READY
    idempotent: bool = True
    tries: int = 0
    job: str | None = None
    """Name of the job on the host."""
    argv: tuple[str, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    tail: str = ""
    """The end of its output."""
    expected_seconds: int = 60


# --- terms ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTerms:
    """How work is spread and held back: the table `[runs]` of a configuration."""

    at_once: int = 10
    """Runs under way at once in the whole fleet."""
    per_customer: int = 2
    """Runs under way at once of one customer."""
    expected_minutes: int = 30
    """How long a run takes, where neither earlier runs nor a release say so."""
    reboot_minutes: int = 5
    """Reserve for a restart of the host."""
    rollback_minutes: int = 15
    """Reserve for undoing."""
    samples_min: int = 5
    """Earlier runs from which on their durations count, instead of what was estimated."""
    failures_per_wave: int = 2
    """Bad ends in one wave of a window after which nothing more starts in that window; 0: no such brake."""
    failures_in_all: int = 3
    """The same over all waves of a window."""
    wave_soak_minutes: int = 0
    """Time between the last end of a wave and the first start of the next one in the same window."""
    approval: tuple[ChangeClass, ...] = ()
    """Classes of change that start only when an operator has approved the run."""
    step_tries: int = 3
    """How often a step that asks for it is tried in one attempt."""
    patience_seconds: int = 45
    """How long a pass stays with the jobs that it waits for, before it leaves them to the next one."""
    poll_seconds: int = 5
    """How often a job is looked at."""
    unreachable_minutes: int = 30
    """How long a host may be silent in the midst of a run before an operator is told."""

    def __post_init__(self) -> None:
        """Refuse numbers out of bounds."""
        settle_fields(self)
        for name, least, most in _BOUNDS:
            found = getattr(self, name)
            if not least <= found <= most:
                raise OutOfRange(name, expected=f"a number from {least} to {most}", found=found, field=name)

    @property
    def reserve_seconds(self) -> int:
        """What has to be left of a window after the expected work."""
        return 60 * (self.reboot_minutes + self.rollback_minutes)


_BOUNDS = (
    ("at_once", 1, 1000),
    ("per_customer", 1, 1000),
    ("expected_minutes", 1, 10_080),
    ("reboot_minutes", 0, 240),
    ("rollback_minutes", 0, 1440),
    ("samples_min", 1, 1000),
    ("failures_per_wave", 0, 10_000),
    ("failures_in_all", 0, 10_000),
    ("wave_soak_minutes", 0, 1440),
    ("step_tries", 1, 20),
    ("patience_seconds", 0, 3600),
    ("poll_seconds", 1, 600),
    ("unreachable_minutes", 1, 1440),
)


def expected_seconds(terms: RunTerms, samples: Sequence[int], estimates: Sequence[Elapsed | None]) -> int:
    """Return how long a run is expected to take, reboot and rollback aside.

    `samples` are the seconds that earlier runs took: from `samples_min` of them on, their 95th percentile (nearest
    rank) counts. Below that, the `estimates` of the releases do, one after the other; where one of them is not known,
    or there is none, at least `expected_minutes`.
    """
    if len(samples) >= terms.samples_min:
        return sorted(samples)[-(-95 * len(samples) // 100) - 1]
    known = sum(int(each.total_seconds()) for each in estimates if each is not None)
    unknown = not estimates or None in estimates
    return max(known, 60 * terms.expected_minutes) if unknown else known


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An operator's halt: nothing more starts in its scope until it is resumed. Unlike a freeze it has no end."""

    key: str
    since: datetime
    reason: str
    customers: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    """Both `customers` and `instances` empty: the whole fleet."""
    resumed_at: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a pause without a reason."""
        settle_fields(self)
        require_key("key", self.key)
        require_text("reason", self.reason)
        utc(self.since, "since")

    def covers(self, customer: str, instance: str) -> bool:
        """Say whether the scope of this pause holds the instance."""
        everywhere = not self.customers and not self.instances
        return everywhere or customer in self.customers or instance in self.instances


# --- gates ------------------------------------------------------------------------------------------------------------


class Gate(StrEnum):
    """What is asked before each step that changes something, in this order."""

    WINDOW = "window"  # the window is open, confirmed, and still the one the run was entered for
    SUBSCRIPTION = "subscription"  # the subscription runs (clause 4.2)
    CONSENT = "consent"  # a customer's own system: a consent is on record (clause 7.7)
    EXECUTOR = "executor"  # the configuration says how the instance is updated
    PAUSE = "pause"  # no operator has paused
    NOTICE = "notice"  # it is proved that everybody on the host was told (clause 2.4.3)
    FREEZE = "freeze"  # no freeze keeps a class of the work out, of any instance on the host
    DEFERRAL = "deferral"  # nothing in it is deferred for any instance on the host (2.4.4), pinned away or withdrawn
    CUT_OFF = "cut_off"  # what is left of the window is enough
    APPROVAL = "approval"  # an operator approved it, where that is wanted
    BRAKE = "brake"  # not too many runs have failed
    WAVE = "wave"  # the waves before have ended, and soaked
    HOOK = "hook"  # what has to be done before has been done
    HOST = "host"  # no other run is at the host
    LIMIT = "limit"  # not too many runs are under way


APPROVABLE = frozenset({Gate.APPROVAL, Gate.BRAKE, Gate.WAVE, Gate.HOOK})
"""Gates that an operator may open for a run. No promise to a customer is among them."""


class Hold(NamedTuple):
    """A gate that is closed: the `fact` that closes it, the clause, the way out, and when it may open by itself."""

    gate: Gate
    fact: str
    clause: str = ""
    way_out: str = ""
    until: datetime | None = None


class Resident(NamedTuple):
    """An instance on the host of a run, as far as the gates are concerned; the run's own is one of them."""

    instance: str
    customer: str
    window: Span | None
    """The window that is open for it now and is told of or not; None: none is."""
    told_at: datetime | None
    """When its customer was told of that window."""
    window_id: str = ""
    """Id of that window."""
    emergency: bool = False
    """That window is emergency work."""
    runs: bool = True
    """Its subscription runs."""
    touchable: bool = True
    """It is managed, or a consent holds."""
    freezes: tuple[Freeze, ...] = ()
    deferrals: tuple[RunningDeferral, ...] = ()
    pauses: tuple[Pause, ...] = ()


class Standing(NamedTuple):
    """How a run stands at an instant: everything its gates ask for."""

    run: Run
    confirmed: bool
    """Its window is confirmed, and starts and ends as it did when the run was entered."""
    residents: tuple[Resident, ...]
    """The instances of its host, its own first. Those on the same host whose work is not concerned are among them."""
    releases: tuple[Release, ...] = ()
    """The releases among its items, as far as they are declared and a gate asks for them."""
    carried: frozenset[ChangeClass] = frozenset()
    """Classes of the changes that those releases bring along, besides the classes of its items."""
    kept_back: str = ""
    """Which of its releases was taken back, or is kept out by a pin, and why; empty: none is."""
    known_executor: bool = True
    approved: Collection[Gate] = frozenset()
    brake: str = ""
    """Which failures stop everything; empty: none do."""
    wave: str = ""
    """What the wave waits for; empty: nothing."""
    wave_until: datetime | None = None
    hook: str = ""
    """Which hook has not done its part; empty: all have."""
    host: str = ""
    """The run that is at the host; empty: none, or this one."""
    limit: str = ""
    """The limit that is reached; empty: none."""

"""The gates: how a run stands before them, and which of the runs that wait may begin.

`holds` answers for one run, before each of its steps that changes something and where an operator asks why. `decide`
answers for all runs that wait. Both ask the same gates, in the same order.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter

from maintsched.birth import FrozenMapping
from maintsched.contract import Contract
from maintsched.facts import ChangeClass, WindowKind
from maintsched.holds import closed_gates, holds, host_taken, latest_start, limit_reached
from maintsched.localtime import utc
from maintsched.residents import Register, residents
from maintsched.runs import Gate, Hold, Resident, Run, RunState, RunTerms, Standing
from maintsched.turns import Turns

__all__ = ["Decision", "Register", "Turns", "decide", "holds", "latest_start", "residents", "standing_of"]

NO_HOOKS: Mapping[str, str] = FrozenMapping()


# --- how a run stands -------------------------------------------------------------------------------------------------


def standing_of(
    run: Run,
    register: Register,
    turns: Turns,
    *,
    confirmed: bool,
    known_executors: Collection[str],
    approved: Collection[Gate] = frozenset(),
    hook: str = "",
) -> Standing:
    """Return how a run stands at the instant of `register`.

    Brakes, waves and hooks keep work from beginning. Once the first change has begun they do not stop it half way; nor
    do limits, once the run is counted among those under way.
    """
    there = register.residents_of(run)
    return _standing(run, there, register, turns, confirmed, run.executor in known_executors, approved, hook)


def _standing(  # one value that is made of many
    run: Run,
    there: tuple[Resident, ...],
    register: Register,
    turns: Turns,
    confirmed: bool,
    known_executor: bool,
    approved: Collection[Gate],
    hook: str,
) -> Standing:
    begun = run.begun
    asked = turns.terms.approval or [each for each in there if each.freezes or each.deferrals]
    releases, carried = register.brought(run) if asked else ((), frozenset[ChangeClass]())
    wave = turns.wave(run)
    return Standing(
        run=run,
        confirmed=confirmed,
        residents=there,
        releases=releases,
        carried=carried,
        kept_back=register.kept_back(run),
        known_executor=known_executor,
        approved=approved,
        brake="" if begun else turns.brake(run),
        wave="" if begun else wave.why,
        wave_until=None if begun else wave.until,
        hook="" if begun else hook,
        host=turns.host(run),
        limit=turns.limit(run),
    )


# --- all runs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of the runs that wait."""

    start: tuple[str, ...] = ()
    """Those that may begin now, within the limits; what has the least time left comes first."""
    held: Mapping[str, Hold]
    """The first closed gate of each of the others."""
    over: tuple[str, ...] = ()
    """Those whose window has ended: they are to become skipped."""
    cancelled: tuple[str, ...] = ()
    """Those whose window was moved or cancelled."""


def decide(  # noqa: PLR0913  # everything that any gate asks for
    contract: Contract,
    terms: RunTerms,
    runs: Sequence[Run],
    register: Register,
    *,
    now: datetime,
    approvals: Mapping[str, Collection[Gate]],
    known_executors: Collection[str],
    ended: Sequence[Run],
    confirmed: Callable[[Run], bool],
    hooks: Mapping[str, str] = NO_HOOKS,
    tried: Collection[str] = frozenset(),
) -> Decision:
    """Return which of the runs that wait may begin at `now`, and what holds the others.

    `runs` are those that are not over, `ended` those of the same windows that are; `hooks` says by the key of a run, or
    the id of its window, which hook has not done its part. What may begin may begin together: no two on one host, none
    past a limit. `tried` are those that were tried in vain a moment ago: they take nobody's place.
    """
    at, turns = utc(now, "now"), Turns(terms, runs, ended, now=now)
    ready: list[Run] = []
    held: dict[str, Hold] = {}
    over, cancelled = [], []
    passed: set[tuple[object, ...]] = set()
    for run in runs:
        if run.state is not RunState.PLANNED:
            continue
        key = run.key
        if not confirmed(run):
            cancelled.append(key)
            continue
        if at >= run.end.astimezone(UTC):
            over.append(key)
            continue
        if key in tried:
            continue
        approved, hook = approvals.get(key, ()), hooks.get(key) or hooks.get(run.window, "")
        there = register.residents_of(run)
        particular = approved or hook or terms.approval or register.kept_back(run)
        alike = None if particular else _alike(run, there)
        if alike is not None and alike in passed:
            ready.append(run)
            continue
        known = run.executor in known_executors
        standing = _standing(run, there, register, turns, True, known, approved, hook)
        hold = next(closed_gates(contract, terms, standing, at), None)
        if hold is not None and hold.gate not in _SHARED:
            held[key] = hold
            continue
        ready.append(run)
        if alike is not None:
            passed.add(alike)
    start = tuple(_fitting(terms, ready, turns, held))
    return Decision(start=start, held=held, over=tuple(sorted(over)), cancelled=tuple(sorted(cancelled)))


def _alike(run: Run, there: tuple[Resident, ...]) -> tuple[object, ...] | None:
    """Return everything that the gates before the last two ask of an ordinary run; None where it is not ordinary.

    The runs of a window are mostly alike: what opens all gates to one opens them to all. An ordinary run is alone on
    its host, and nothing particular is known of its instance.
    """
    own = there[0]
    particular = own.freezes or own.deferrals or own.pauses or not own.runs or not own.touchable
    if particular or len(there) > 1 or own.told_at is None:
        return None
    times = run.start.astimezone(UTC), run.end.astimezone(UTC), own.told_at.astimezone(UTC), id(own.window)
    return run.window, run.wave, run.executor, run.expected_seconds, own.window_id, *times


_SHARED = (Gate.HOST, Gate.LIMIT)
"""The last two gates: they depend on which other runs begin."""


def _fitting(terms: RunTerms, ready: list[Run], turns: Turns, held: dict[str, Hold]) -> Iterator[str]:
    """Return the runs that begin, emergencies first, then what has the least time left; the rest is held."""
    alike: dict[tuple[bool, datetime, str], list[Run]] = defaultdict(list)
    for run in ready:
        alike[not _is_emergency(run), latest_start(terms, run), run.window].append(run)
    shared: dict[str, Hold] = {}
    for run in (run for name in sorted(alike) for run in sorted(alike[name], key=_instance)):
        other, limit = turns.host(run), turns.limit(run)
        if other:
            held[run.key] = host_taken(other, run)
        elif limit:
            held[run.key] = shared.get(limit) or shared.setdefault(limit, limit_reached(limit))
        else:
            turns.take(run)
            yield run.key


_instance = attrgetter("instance")


def _is_emergency(run: Run) -> bool:
    return run.window.startswith(f"{WindowKind.EMERGENCY}/")

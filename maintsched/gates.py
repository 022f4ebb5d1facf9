"""The gates: how a run stands before them, and which of the runs that wait may begin.

`holds` answers for one run, before each of its steps that changes something and where an operator asks why. `decide`
answers for all runs that wait. Both ask the same gates, in the same order.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from maintsched.birth import FrozenMapping
from maintsched.contract import Contract
from maintsched.facts import ChangeClass, WindowKind
from maintsched.holds import closed_gates, holds, host_taken, latest_start, limit_reached
from maintsched.localtime import utc
from maintsched.residents import Register, residents
from maintsched.runs import Gate, Hold, Run, RunState, RunTerms, Standing
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
    begun, residents_of = run.begun, register.residents_of(run)
    asked = turns.terms.approval or any(each.freezes or each.deferrals for each in residents_of)
    releases, carried = register.brought(run) if asked else ((), frozenset[ChangeClass]())
    wave = turns.wave(run)
    return Standing(
        run=run,
        confirmed=confirmed,
        residents=residents_of,
        releases=releases,
        carried=carried,
        known_executor=run.executor in known_executors,
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
) -> Decision:
    """Return which of the runs that wait may begin at `now`, and what holds the others.

    `runs` are those that are not over, `ended` those of the same windows that are; `hooks` says by the key of a run, or
    the id of its window, which hook has not done its part. What may begin may begin together: no two on one host, none
    past a limit.
    """
    at, turns = utc(now, "now"), Turns(terms, runs, ended, now=now)
    ready: list[Run] = []
    held: dict[str, Hold] = {}
    over, cancelled = [], []
    for run in runs:
        if run.state is not RunState.PLANNED:
            continue
        key = run.key
        if not confirmed(run):
            cancelled.append(key)
        elif at >= utc(run.end):
            over.append(key)
        else:
            hook = hooks.get(key) or hooks.get(run.window, "")
            standing = standing_of(
                run,
                register,
                turns,
                confirmed=True,
                known_executors=known_executors,
                approved=approvals.get(key, ()),
                hook=hook,
            )
            hold = next(closed_gates(contract, terms, standing, at), None)
            if hold is None or hold.gate in _SHARED:
                ready.append(run)
            else:
                held[key] = hold
    start = tuple(_fitting(terms, ready, turns, held))
    return Decision(start=start, held=held, over=tuple(sorted(over)), cancelled=tuple(sorted(cancelled)))


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

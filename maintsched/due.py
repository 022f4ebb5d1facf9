"""What is to be done now: what was planned up to now and is not known to be done yet.

Nothing here asks whether *now* is the time. A pass that was missed loses nothing: what it would have done is still due.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from maintsched.contract import Contract
from maintsched.ends import deferral_rounds, handover_rounds
from maintsched.facts import WindowKind
from maintsched.fleet import Fleet, active_span
from maintsched.localtime import start_of_day, utc
from maintsched.notices import Round
from maintsched.plan import Plan, PlanWindow
from maintsched.readings import MonthlyProof
from maintsched.rounds import Known, instances_by_customer, window_rounds
from maintsched.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A promise that was not kept: nobody, or not everybody, was told of a window of an instance in time."""

    key: str
    window: str
    customer: str
    instance: str
    deadline: datetime
    clause: str
    told_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done now."""

    rounds: tuple[Round, ...] = ()
    keep: tuple[Window, ...] = ()
    """Windows of the rule that somebody is told of now: from here on they are what was announced."""
    breaches: tuple[Breach, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is anything to do."""
        return bool(self.rounds or self.keep or self.breaches)


def due(plan: Plan, fleet: Fleet, known: Known, *, now: datetime) -> Due:
    """Return what is due at `now`: reminders, notices of deferrals and handovers, and promises that were broken."""
    rounds: list[Round] = []
    keep: list[Window] = []
    for planned in plan.windows:
        made = list(window_rounds(plan.contract, fleet, planned, known, now))
        if made and planned.declared is None:
            keep.append(planned.window)
        rounds.extend(made)
    for running in plan.deferrals:
        rounds.extend(deferral_rounds(plan.contract, fleet, running, known, now))
    rounds.extend(handover_rounds(plan.contract, fleet, known, now))
    return Due(rounds=tuple(rounds), keep=tuple(keep), breaches=tuple(_breaches(plan, fleet, known, now)))


def _breaches(plan: Plan, fleet: Fleet, known: Known, now: datetime) -> Iterator[Breach]:
    """Return the windows whose deadline has passed, or was passed when their customers were told.

    Emergencies have no deadline, windows published without mail no notice; of promises from before the journal nothing
    is known, and nobody can be told in time of an instance that was not there yet.
    """
    for planned in plan.windows:
        window, (notice, *_) = planned.window, planned.notices
        said = plan.contract.monthly.proof is MonthlyProof.CONTRACT and planned.declared is None
        if window.kind is WindowKind.EMERGENCY or said or window.id in known.silent:
            continue
        for customer, instances in instances_by_customer(fleet, planned.instances).items():
            thread = known.thread(window.id, customer)
            revision = thread.revision if thread else 0
            stored = known.deadlines.get((known.subjects.get(window.id, window.id), customer))
            deadline = stored or notice.deadline
            for instance in instances:
                told_at = known.told.get((window.id, instance))
                key = f"breach/{notice.kind}/{window.id.replace('/', ':')}/{revision}/{customer}/{instance}"
                if key in known.breaches or not _missed(planned, deadline, told_at, now):
                    continue
                if not _could_be_kept(plan.contract, fleet, known, instance, deadline):
                    continue
                yield Breach(
                    key=key,
                    window=window.id,
                    customer=customer,
                    instance=instance,
                    deadline=deadline,
                    clause=notice.due.clause,
                    told_at=told_at,
                )


def _missed(planned: PlanWindow, deadline: datetime, told_at: datetime | None, now: datetime) -> bool:
    """Say whether somebody had to be told by `deadline` and was not; of who was not told yet, `now` decides."""
    at, exclusive = utc(told_at or now), planned.notices[0].due.exclusive
    return at > utc(deadline) or (exclusive and at == utc(deadline))


def _could_be_kept(contract: Contract, fleet: Fleet, known: Known, instance: str, deadline: datetime) -> bool:
    start, _ = active_span(contract, fleet.instance(instance))
    begun = known.since is None or utc(known.since) <= utc(deadline)
    return begun and (start is None or utc(start) <= utc(deadline))


# --- when to look again ---------------------------------------------------------------------------------------------


def next_due(plan: Plan, fleet: Fleet, known: Known, *, now: datetime) -> datetime | None:
    """Return the first instant after `now` at which something new may be due, as long as no fact changes."""
    contract, moments = plan.contract, [utc(at) + timedelta(microseconds=1) for at in known.deadlines.values()]
    for planned in plan.windows:
        (notice, *_) = planned.notices
        moments += [notice.send_at, notice.deadline, utc(notice.deadline) + timedelta(microseconds=1)]
    for running in plan.deferrals:
        zone, choice = contract.zone, contract.clock_change
        moments += [period.before_instant(running.end, zone, choice).at for period in contract.deferral.remind]
        moments.append(running.end)
    ended = {each.ends_on for each in fleet.instances() if each.ends_on is not None}
    moments += [start_of_day(day + timedelta(days=1), contract.zone) for day in ended]
    return min((at for at in moments if utc(at) > utc(now)), key=utc, default=None)

"""The plan: contract, fleet and facts worked out over a span of time.

Windows are shared by all instances, and instances that are alike in everything that matters to a window share the
decision what goes in: the work of a plan grows with how different a fleet is, not with how large it is.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from typing import NamedTuple

from maintsched import conflicts as find
from maintsched.conflicts import Conflict
from maintsched.contract import Contract
from maintsched.facts import ChangeClass, DeclaredWindow, Facts, Freeze, check_facts
from maintsched.fleet import Fleet, check_fleet
from maintsched.localtime import ClockChange, clock_change, utc
from maintsched.notices import PlannedNotice, planned_notices
from maintsched.profiles import NOTHING, Profile, Slot, Work, WorkItem, group_alike, slots_between, walk
from maintsched.releases import HeldBack, RunningDeferral, settle_deferral
from maintsched.spans import Span
from maintsched.windows import Window, check_declared


class WorkRow(NamedTuple):
    """A work item of one instance."""

    instance: str
    component: str
    release: str | None
    change_class: ChangeClass
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Instances, in the order of their keys, that get the same work in a window."""

    instances: tuple[str, ...]
    work: tuple[WorkItem, ...]
    held_back: tuple[HeldBack, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWindow:
    """A window of a plan with its notices, its work and what goes against it."""

    window: Window
    notices: tuple[PlannedNotice, ...]
    assignments: tuple[Assignment, ...]
    clock_change: ClockChange | None
    """A clock change between the first notice and the end of the window."""
    declared: DeclaredWindow | None
    conflicts: tuple[Conflict, ...]

    @property
    def instances(self) -> Iterator[str]:
        """Keys of the instances the window is for, in order."""
        return merge(*(assignment.instances for assignment in self.assignments))

    @property
    def work(self) -> Iterator[WorkRow]:
        """What goes in, one row an instance and component, in the order of the instances."""
        work_of = {key: assignment.work for assignment in self.assignments for key in assignment.instances}
        return (WorkRow(key, *item) for key in sorted(work_of) for item in work_of[key])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What follows from a contract, a fleet and facts for the windows that start in `span`."""

    contract: Contract
    span: Span
    now: datetime | None
    windows: tuple[PlanWindow, ...]
    deferrals: tuple[RunningDeferral, ...]
    freezes: tuple[Freeze, ...]
    conflicts: tuple[Conflict, ...]
    """Conflicts that belong to no single window."""
    cancelled: tuple[DeclaredWindow, ...] = ()
    """Windows that would have started in `span` and were cancelled."""

    @property
    def open_deferrals(self) -> tuple[RunningDeferral, ...]:
        """The deferrals that have not ended at `now`; all of them where that is not known."""
        now = self.now
        return tuple(each for each in self.deferrals if now is None or utc(each.end) > utc(now))

    @property
    def all_conflicts(self) -> Iterator[Conflict]:
        """Every conflict, those of the windows first."""
        for planned in self.windows:
            yield from planned.conflicts
        yield from self.conflicts


def make_plan(
    contract: Contract,
    fleet: Fleet,
    facts: Facts,
    span: Span,
    *,
    now: datetime | None = None,
    only: Collection[str] | None = None,
) -> Plan:
    """Return the plan of the windows that start in `span`.

    `now` tells which deadlines have passed, and lets releases go into the windows between `now` and `span` first; what
    went into windows before `now` is not known here, so that those show no work. `only` limits the plan to these
    instances. Facts that name what nothing declares are refused with `InvalidValue`.
    """
    contract.holidays.require_year(span.start.astimezone(contract.zone).year)
    check_fleet(contract, fleet)
    check_facts(contract, fleet, facts)
    check_declared(contract, facts)
    for key in only or ():
        fleet.instance(key)
    deferrals = settled_deferrals(contract, fleet, facts, only)
    profiles = group_alike(contract, fleet, facts, deferrals, only)
    before = span.start if now is None or utc(now, "now") > utc(span.start) else now
    slots = slots_between(contract, facts, Span(start=before, end=span.end))
    ahead = [slot for slot in slots if now is None or utc(slot.window.start) >= utc(now)]
    work = walk(contract, facts, ahead, profiles)
    shown = [slot for slot in slots if slot.window.start in span and (only is None or slot.concerns(only))]
    windows = [_plan_window(contract, facts, slot, profiles, work, now) for slot in shown]
    return Plan(
        contract=contract,
        span=span,
        now=now,
        windows=_with_overlaps(contract, windows, shown, profiles),
        deferrals=deferrals,
        freezes=tuple(sorted((each for each in facts.freezes if each.span.overlaps(span)), key=lambda each: each.key)),
        conflicts=(
            *find.deferral_conflicts(contract, fleet, facts, deferrals, now),
            *find.contact_conflicts(contract, fleet, only),
            *find.backup_rule_conflicts(contract, profiles, span.start),
        ),
        cancelled=_cancelled(facts, span, only),
    )


def _cancelled(facts: Facts, span: Span, only: Collection[str] | None) -> tuple[DeclaredWindow, ...]:
    found = (
        each
        for each in facts.windows
        if each.cancelled
        and each.start in span
        and (only is None or not each.instances or not frozenset(only).isdisjoint(each.instances))
    )
    return tuple(sorted(found, key=lambda each: (utc(each.start), each.id)))


def settled_deferrals(
    contract: Contract, fleet: Fleet, facts: Facts, only: Collection[str] | None = None
) -> tuple[RunningDeferral, ...]:
    """Return the deferrals with their dates settled, of all instances or of those in `only`."""
    component = contract.deferral.component
    releases = {release.version: release for release in facts.releases if release.component == component}
    return tuple(
        settle_deferral(
            contract,
            facts,
            deferral,
            releases[deferral.release],
            customer=fleet.owners[deferral.instance].key,
            instance=fleet.instance(deferral.instance),
        )
        for deferral in sorted(facts.deferrals, key=lambda each: each.id)
        if only is None or deferral.instance in only
    )


def _plan_window(
    contract: Contract, facts: Facts, slot: Slot, profiles: list[Profile], work: Work, now: datetime | None
) -> PlanWindow:
    window = slot.window
    announced_at = slot.declared.announced_at if slot.declared else None
    notices = planned_notices(contract, window, announced_at=announced_at, now=now)
    taking = [profile for profile in profiles if profile.takes(slot)]
    first_notice = min((notice.send_at for notice in notices), key=utc)
    return PlanWindow(
        window=window,
        notices=notices,
        assignments=tuple(
            Assignment(
                instances=tuple(profile.keys),
                work=work.get(profile.step(slot), NOTHING).items,
                held_back=work.get(profile.step(slot), NOTHING).held_back,
            )
            for profile in taking
            if slot.named or profile.may_be_touched(facts, window.start)
        ),
        clock_change=clock_change(first_notice, window.end, contract.zone),
        declared=slot.declared,
        conflicts=(
            *find.notice_conflicts(contract, slot, notices, now),
            *find.freeze_conflicts(contract, slot, taking, work),
            *find.backup_conflicts(contract, slot, taking),
            *find.reach_conflicts(contract, facts, slot, profiles),
            *find.held_conflicts(contract, slot, taking, work),
        ),
    )


def _with_overlaps(
    contract: Contract, windows: list[PlanWindow], slots: list[Slot], profiles: list[Profile]
) -> tuple[PlanWindow, ...]:
    overlaps: dict[str, list[Conflict]] = defaultdict(list)
    for window_id, conflict in find.overlap_conflicts(contract, slots, profiles):
        overlaps[window_id].append(conflict)
    return tuple(
        replace(each, conflicts=(*each.conflicts, *overlaps[each.window.id])) if each.window.id in overlaps else each
        for each in windows
    )

"""What is to be done now: what was planned up to now and is not known to be done yet.

Nothing here asks whether *now* is the time. A pass that was missed loses nothing: what it would have done is still due.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from maintsched.contract import Contract
from maintsched.facts import DeclaredWindow, Impact, WindowKind
from maintsched.fleet import Customer, Fleet, Instance, instance_url
from maintsched.localtime import Period, start_of_day, utc
from maintsched.notices import (
    KIND_OF_WINDOW,
    TELLING,
    NoticeKind,
    Occasion,
    Recipient,
    Round,
    Terms,
    Thread,
    joined,
    make_round,
    notice_key,
    people,
)
from maintsched.plan import Plan, PlanWindow
from maintsched.readings import MonthlyProof
from maintsched.releases import RunningDeferral
from maintsched.support import handover_due
from maintsched.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store knows of the subjects of a plan."""

    threads: Mapping[tuple[str, str], Thread] = field(default_factory=dict)
    """By subject and customer."""
    notices: Collection[str] = frozenset()
    """Keys of the notices that are stored already."""
    told: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """When the customer was told, by window and instance."""
    breaches: Collection[str] = frozenset()
    """Keys of the breaches that are recorded already."""
    subjects: Mapping[str, str] = field(default_factory=dict)
    """The subject under which accounts know a window, where it is another one than its id."""

    def thread(self, window: str, customer: str) -> Thread | None:
        """Return what a customer knows of a window."""
        return self.threads.get((self.subjects.get(window, window), customer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A promise that was not kept: nobody, or not everybody, of a customer was told of a window in time."""

    key: str
    window: str
    customer: str
    instances: tuple[str, ...]
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
        made = [
            *_reminders(plan.contract, fleet, planned, known, now),
            *_joiners(plan.contract, fleet, planned, known, now),
        ]
        if made and planned.declared is None:
            keep.append(planned.window)
        rounds.extend(made)
    for running in plan.deferrals:
        rounds.extend(_deferral_rounds(plan.contract, fleet, running, known, now))
    rounds.extend(_handovers(plan.contract, fleet, known, now))
    return Due(rounds=tuple(rounds), keep=tuple(keep), breaches=tuple(_breaches(plan, fleet, known, now)))


# --- windows --------------------------------------------------------------------------------------------------------


def window_occasion(
    window: Window,
    declared: DeclaredWindow | None,
    kind: NoticeKind,
    *,
    now: datetime,
    not_before: datetime,
    deadline: datetime | None = None,
    exclusive: bool = False,
    **facts: Any,
) -> Occasion:
    """Return the occasion of a notice about `window`; the customer's instances are added by `told_instances`."""
    told = {
        "id": window.id,
        "kind": str(window.kind),
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "clause": window.clause,
        "reason": declared.reason if declared else "",
        "impact": str(declared.impact if declared else Impact.OUTAGE),
        "holiday": window.holiday,
    }
    return Occasion(
        kind=kind,
        subject=window.id,
        facts={"window": told, **facts},
        now=now,
        not_before=not_before,
        deadline=deadline,
        exclusive=exclusive,
        terms=Terms(
            start=window.start, end=window.end, impact=declared.impact if declared else Impact.OUTAGE, instances=()
        ),
    )


def instances_by_customer(fleet: Fleet, instances: Iterable[str]) -> dict[str, list[str]]:
    """Return the instances of each customer that are among `instances`, all in the order of their keys."""
    found: dict[str, list[str]] = defaultdict(list)
    for key in instances:
        owner = fleet.owners.get(key)
        if owner is not None:
            found[owner.key].append(key)
    return {customer: sorted(found[customer]) for customer in sorted(found)}


def instance_facts(contract: Contract, customer: Customer, keys: Collection[str], impact: str) -> list[dict[str, Any]]:
    """Return what a mail says of a customer's instances, as JSON values."""
    return [
        {
            "key": each.key,
            "environment": each.environment,
            "url": instance_url(contract, customer, each),
            "impact": impact,
            "components": list(each.components or contract.components),
        }
        for each in sorted(customer.instances, key=lambda instance: instance.key)
        if each.key in keys
    ]


def customer_occasion(
    contract: Contract,
    occasion: Occasion,
    customer: Customer,
    instances: list[str],
    work: Mapping[str, Mapping[str, Any]],
) -> Occasion:
    """Return the occasion as one customer is told of it: with its instances, and what goes into them."""
    facts = {
        **occasion.facts,
        "instances": instance_facts(contract, customer, instances, occasion.facts["window"]["impact"]),
        "work": [work[key] for key in instances if key in work],
    }
    terms = replace(occasion.terms, instances=tuple(instances)) if occasion.terms else None
    return replace(occasion, facts=facts, terms=terms)


def _reminders(contract: Contract, fleet: Fleet, planned: PlanWindow, known: Known, now: datetime) -> Iterator[Round]:
    """Return the reminders of a monthly window (clause 2.4.3.1) to accounts that were not told of everything."""
    window, (notice, *_) = planned.window, planned.notices
    over = utc(window.start) <= utc(now)
    if window.kind is not WindowKind.MONTHLY or utc(notice.send_at) > utc(now) or over:
        return
    occasion = window_occasion(
        window,
        planned.declared,
        NoticeKind.REMINDER,
        now=now,
        not_before=now,
        deadline=notice.deadline,
        exclusive=notice.due.exclusive,
    )
    work = work_of(planned)
    for key, instances in instances_by_customer(fleet, planned.instances).items():
        thread = known.thread(window.id, key)
        told = set(thread.terms.instances) if thread and thread.terms else set()
        who = people(contract, fleet.customer(key), NoticeKind.REMINDER)
        if thread is not None and set(instances) <= told:
            continue
        mine = customer_occasion(contract, occasion, fleet.customer(key), instances, work)
        if thread is not None:
            mine = replace(mine, revises=True)
        if who:
            yield make_round(mine, key, who, thread)


def _joiners(contract: Contract, fleet: Fleet, planned: PlanWindow, known: Known, now: datetime) -> Iterator[Round]:
    """Return notices to people who joined an account after it was told of a window that is still ahead."""
    window, (notice, *_) = planned.window, planned.notices
    if utc(window.start) <= utc(now):
        return
    first = KIND_OF_WINDOW[window.kind]
    occasion = replace(
        window_occasion(window, planned.declared, first, now=now, not_before=now, deadline=notice.deadline),
        subject=known.subjects.get(window.id, window.id),
    )
    work = work_of(planned)
    for key, instances in instances_by_customer(fleet, planned.instances).items():
        thread = known.thread(window.id, key)
        told = set(thread.terms.instances) if thread and thread.terms else set()
        if thread is None or thread.kind not in TELLING or not set(instances) <= told:
            continue
        who = [each for each in people(contract, fleet.customer(key), first) if not _is_known(known, thread, each)]
        if who:
            yield _latecomers(contract, occasion, fleet.customer(key), instances, work, who, thread)


def _is_known(known: Known, thread: Thread, recipient: Recipient) -> bool:
    """Say whether a person has a notice of the thread's revision that tells of the window."""
    kinds = sorted(TELLING)
    keys = (notice_key(kind, thread.subject, thread.revision, thread.customer, recipient.contact) for kind in kinds)
    return any(key in known.notices for key in keys)


def _latecomers(
    contract: Contract,
    occasion: Occasion,
    customer: Customer,
    instances: list[str],
    work: Mapping[str, Mapping[str, Any]],
    who: Iterable[Recipient],
    thread: Thread,
) -> Round:
    mine = customer_occasion(contract, occasion, customer, instances, work)
    return Round(thread=thread, notices=joined(mine, who, thread))


def work_of(planned: PlanWindow) -> dict[str, dict[str, Any]]:
    """Return what goes into each instance in a window, as JSON values."""
    return {
        key: {"instance": key, "items": [[item.component, item.release, str(item.change_class)] for item in items]}
        for assignment in planned.assignments
        if (items := assignment.work)
        for key in assignment.instances
    }


# --- deferrals and handovers ----------------------------------------------------------------------------------------


def deferral_subject(instance: str, release: object) -> str:
    """Return the subject of a deferral's notices."""
    return f"deferral/{instance}/{release}"


def _deferral_rounds(
    contract: Contract, fleet: Fleet, running: RunningDeferral, known: Known, now: datetime
) -> Iterator[Round]:
    """Return what a deferral asks for now: granted, its nearest reminder, ended (clause 2.4.4)."""
    deferral, at = running.deferral, utc(now)
    owner = fleet.owners[deferral.instance]
    subject = deferral_subject(deferral.instance, deferral.release)
    thread = known.threads.get((subject, owner.key))
    kind, label = NoticeKind.DEFERRAL_GRANTED, None
    if at >= utc(running.end):
        if thread is None or thread.kind is NoticeKind.DEFERRAL_ENDED:
            return
        kind = NoticeKind.DEFERRAL_ENDED
    elif thread is not None:
        period = _reminder_due(contract, running, now)
        kind, label = NoticeKind.DEFERRAL_REMINDER, f"{NoticeKind.DEFERRAL_REMINDER}-{period}"
        if period is None or any(
            key.startswith(f"notice/{label}/{subject.replace('/', ':')}/") for key in known.notices
        ):
            return
    facts = {
        "deferral": {
            "instance": deferral.instance,
            "release": str(deferral.release),
            "start": running.start.isoformat(),
            "until": running.end.isoformat(),
            "limit": running.limit.isoformat(),
            "next_window": running.window.start.isoformat() if running.window else None,
            "clause": contract.clauses.updates,
        }
    }
    occasion = Occasion(kind=kind, subject=subject, facts=facts, now=now, not_before=now, label=label)
    who = people(contract, owner, kind)
    if who:
        yield make_round(occasion, owner.key, who, thread)


def _reminder_due(contract: Contract, running: RunningDeferral, now: datetime) -> str | None:
    """Return the shortest period whose reminder has come, as "30d"; None: none has."""
    zone, choice = contract.zone, contract.clock_change
    passed = [
        period
        for period in contract.deferral.remind
        if utc(period.before_instant(running.end, zone, choice).at) <= utc(now)
    ]
    nearest = min(passed, key=_days, default=None)
    return None if nearest is None else f"{_days(nearest)}d"


def _days(period: Period) -> int:
    return period.months * 30 + period.days


def _handovers(contract: Contract, fleet: Fleet, known: Known, now: datetime) -> Iterator[Round]:
    """Return the notices to customers whose subscription of an instance has ended (clause 4.2)."""
    for customer in fleet.customers:
        for instance in customer.instances:
            if instance.ends_on is None or not _hands_over(contract, instance, now):
                continue
            subject = f"instance/{instance.key}"
            thread = known.threads.get((subject, customer.key))
            if thread is not None and thread.kind is NoticeKind.HANDOVER:
                continue
            facts = {
                "handover": {
                    "instance": instance.key,
                    "ended_on": instance.ends_on.isoformat(),
                    "due": handover_due(contract, instance.ends_on).isoformat(),
                    "clause": contract.clauses.handover,
                }
            }
            occasion = Occasion(kind=NoticeKind.HANDOVER, subject=subject, facts=facts, now=now, not_before=now)
            who = people(contract, customer, NoticeKind.HANDOVER)
            if who:
                yield make_round(occasion, customer.key, who, thread)


def _hands_over(contract: Contract, instance: Instance, now: datetime) -> bool:
    if instance.ends_on is None:
        return False
    ended = start_of_day(instance.ends_on + timedelta(days=1), contract.zone)
    return utc(ended) <= utc(now) < utc(handover_due(contract, instance.ends_on))


# --- broken promises ------------------------------------------------------------------------------------------------


def _breaches(plan: Plan, fleet: Fleet, known: Known, now: datetime) -> Iterator[Breach]:
    for planned in plan.windows:
        window, (notice, *_) = planned.window, planned.notices
        said = plan.contract.monthly.proof is MonthlyProof.CONTRACT and planned.declared is None
        if window.kind is WindowKind.EMERGENCY or said or not notice.missed_at(now):
            continue
        for customer, instances in instances_by_customer(fleet, planned.instances).items():
            late = [key for key in instances if _is_late(known.told.get((window.id, key)), planned)]
            thread = known.thread(window.id, customer)
            revision = thread.revision if thread else 0
            key = f"breach/{notice.kind}/{window.id.replace('/', ':')}/{revision}/{customer}"
            if late and key not in known.breaches:
                told = [known.told.get((window.id, each)) for each in late]
                yield Breach(
                    key=key,
                    window=window.id,
                    customer=customer,
                    instances=tuple(late),
                    deadline=notice.deadline,
                    clause=notice.due.clause,
                    told_at=None if None in told else max((at for at in told if at), key=utc),
                )


def _is_late(told_at: datetime | None, planned: PlanWindow) -> bool:
    return told_at is None or planned.notices[0].missed_at(told_at)


# --- when to look again ---------------------------------------------------------------------------------------------


def next_due(plan: Plan, fleet: Fleet, *, now: datetime) -> datetime | None:
    """Return the first instant after `now` at which something new may be due, as long as no fact changes."""
    contract, moments = plan.contract, []
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

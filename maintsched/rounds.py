"""The rounds that windows ask for: reminders, announcements to who was not told, notices to who joined an account."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from maintsched.contract import Contract
from maintsched.facts import AS_ANNOUNCED, DeclaredWindow, Impact, WindowKind
from maintsched.fleet import Customer, Fleet, instance_url
from maintsched.localtime import utc
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
from maintsched.plan import PlanWindow
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
    deadlines: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """Until when a customer had to be told of a window, as it stood when it was announced; by subject and customer."""
    hurry: Mapping[str, str] = field(default_factory=dict)
    """Why more notice was not practicable, by window."""
    silent: Collection[str] = frozenset()
    """Windows that were published without mail: nobody is to be told of them."""
    since: datetime | None = None
    """When the journal began: of promises before that nothing is known."""
    subjects: Mapping[str, str] = field(default_factory=dict)
    """The subject under which accounts know a window, where it is another one than its id."""

    def thread(self, window: str, customer: str) -> Thread | None:
        """Return what a customer knows of a window."""
        return self.threads.get((self.subjects.get(window, window), customer))


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
        "reason": declared.reason if declared and declared.reason != AS_ANNOUNCED else "",
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


def work_of(planned: PlanWindow) -> dict[str, dict[str, Any]]:
    """Return what goes into each instance in a window, as JSON values."""
    return {
        key: {"instance": key, "items": [[item.component, item.release, str(item.change_class)] for item in items]}
        for assignment in planned.assignments
        if (items := assignment.work)
        for key in assignment.instances
    }


def window_rounds(
    contract: Contract, fleet: Fleet, planned: PlanWindow, known: Known, now: datetime
) -> Iterator[Round]:
    """Return the rounds that a window ahead asks for now.

    They go to accounts that were not told of all their instances in it, and to people who joined an account since. A
    monthly window asks from the `send_at` of its reminder on (clause 2.4.3.1), an announced one at once.
    """
    window, (notice, *_) = planned.window, planned.notices
    monthly = window.kind is WindowKind.MONTHLY
    not_yet = monthly and utc(notice.send_at) > utc(now)
    if utc(window.start) <= utc(now) or window.id in known.silent:
        return
    kind = KIND_OF_WINDOW[window.kind]
    occasion = _first_occasion(planned, known, kind, now)
    work = work_of(planned)
    for key, instances in instances_by_customer(fleet, planned.instances).items():
        customer, thread = fleet.customer(key), known.thread(window.id, key)
        who = people(contract, customer, kind)
        if thread is None or not set(instances) <= _told_of(thread):
            if who and not not_yet:
                mine = customer_occasion(contract, occasion, customer, instances, work)
                yield make_round(replace(mine, revises=thread is not None), key, who, thread)
        elif thread.kind in TELLING:
            new = [each for each in who if not _is_known(known, thread, each)]
            if new:
                mine = customer_occasion(contract, occasion, customer, instances, work)
                yield Round(thread=thread, notices=joined(mine, new, thread))


def _first_occasion(planned: PlanWindow, known: Known, kind: NoticeKind, now: datetime) -> Occasion:
    """Return the occasion of a notice that tells of a window for the first time. An emergency has no deadline."""
    window, (notice, *_) = planned.window, planned.notices
    emergency = window.kind is WindowKind.EMERGENCY
    hurry = known.hurry.get(window.id, "")
    occasion = window_occasion(
        window,
        planned.declared,
        kind,
        now=now,
        not_before=now,
        deadline=None if emergency else notice.deadline,
        exclusive=notice.due.exclusive,
        **({"hurry": hurry} if hurry else {}),
    )
    return replace(occasion, subject=known.subjects.get(window.id, window.id))


def _told_of(thread: Thread) -> set[str]:
    return set(thread.terms.instances) if thread.terms else set()


def _is_known(known: Known, thread: Thread, recipient: Recipient) -> bool:
    """Say whether a person has a notice of the thread's revision that tells of the window."""
    named = (notice_key(kind, thread.subject, thread.revision, thread.customer, recipient.contact) for kind in TELLING)
    return any(key in known.notices for key in named)

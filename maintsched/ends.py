"""The rounds that an end asks for: of a deferral (clause 2.4.4), of a subscription (clause 4.2)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from maintsched.contract import Contract
from maintsched.facts import Impact
from maintsched.fleet import Fleet, Instance
from maintsched.localtime import Period, start_of_day, utc
from maintsched.notices import NoticeKind, Occasion, Round, Terms, Thread, make_round, notice_key, people
from maintsched.releases import RunningDeferral
from maintsched.rounds import Known
from maintsched.support import handover_due


def deferral_subject(instance: str, release: object) -> str:
    """Return the subject of a deferral's notices."""
    return f"deferral/{instance}/{release}"


def deferral_rounds(
    contract: Contract, fleet: Fleet, running: RunningDeferral, known: Known, now: datetime
) -> Iterator[Round]:
    """Return what a deferral asks for now: granted, extended or shortened, its nearest reminder, ended or withdrawn.

    While the release itself is taken back, nothing is: that it goes in then would not be true.
    """
    deferral = running.deferral
    if running.release.withdrawn:
        return
    owner = fleet.owners[deferral.instance]
    subject = deferral_subject(deferral.instance, deferral.release)
    thread = known.threads.get((subject, owner.key))
    owed = _owed(contract, running, thread, known, now)
    who = people(contract, owner, NoticeKind.DEFERRAL_GRANTED)
    if owed is None or not who:
        return
    kind, label, revises = owed
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
    told_at = now if thread is None or thread.terms is None or revises else thread.terms.start
    terms = Terms(start=told_at, end=running.end, impact=Impact.NO_IMPACT, instances=(deferral.instance,))
    occasion = Occasion(
        kind=kind, subject=subject, facts=facts, now=now, not_before=now, label=label, terms=terms, revises=revises
    )
    yield make_round(occasion, owner.key, who, thread)


def _owed(
    contract: Contract, running: RunningDeferral, thread: Thread | None, known: Known, now: datetime
) -> tuple[NoticeKind, str | None, bool] | None:
    """Return the kind that is owed, its label, and whether it revises what was told before; None: nothing is."""
    over = utc(now) >= utc(running.end)
    if thread is None:
        return None if over else (NoticeKind.DEFERRAL_GRANTED, None, False)
    changed = thread.terms is not None and utc(thread.terms.end) != utc(running.end)
    if over:
        told = thread.kind is NoticeKind.DEFERRAL_ENDED and not changed
        return None if told else (NoticeKind.DEFERRAL_ENDED, None, changed)
    if changed:
        return NoticeKind.DEFERRAL_GRANTED, None, True
    days = _reminder_due(contract, running, thread, now)
    label = f"{NoticeKind.DEFERRAL_REMINDER}-{days}d"
    begun = notice_key(label, thread.subject, thread.revision, thread.customer, "")
    if days is None or any(key.startswith(begun) for key in known.notices):
        return None
    return NoticeKind.DEFERRAL_REMINDER, label, False


def _reminder_due(contract: Contract, running: RunningDeferral, thread: Thread, now: datetime) -> int | None:
    """Return the days of the shortest reminder that came due since the deferral was told of; None: none did."""
    zone, choice = contract.zone, contract.clock_change
    since = thread.terms.start if thread.terms else now
    passed = [
        period
        for period in contract.deferral.remind
        if utc(since) < utc(period.before_instant(running.end, zone, choice).at) <= utc(now)
    ]
    return min((_days(period) for period in passed), default=None)


def _days(period: Period) -> int:
    return period.months * 30 + period.days


def handover_rounds(contract: Contract, fleet: Fleet, known: Known, now: datetime) -> Iterator[Round]:
    """Return the notices to customers whose subscription of an instance has ended, once for each end."""
    for customer in fleet.customers:
        for instance in customer.instances:
            ended = _ended_at(contract, instance)
            if instance.ends_on is None or ended is None or not _is_told(contract, instance, ended, known, now):
                continue
            subject = f"instance/{instance.key}"
            thread = known.threads.get((subject, customer.key))
            handed = thread is not None and thread.kind is NoticeKind.HANDOVER
            if handed and thread is not None and thread.terms and utc(thread.terms.end) == utc(ended):
                continue
            facts = {
                "handover": {
                    "instance": instance.key,
                    "ended_on": instance.ends_on.isoformat(),
                    "due": handover_due(contract, instance.ends_on).isoformat(),
                    "clause": contract.clauses.handover,
                }
            }
            terms = Terms(start=now, end=ended, impact=Impact.NO_IMPACT, instances=(instance.key,))
            occasion = Occasion(
                kind=NoticeKind.HANDOVER,
                subject=subject,
                facts=facts,
                now=now,
                not_before=now,
                deadline=handover_due(contract, instance.ends_on),
                terms=terms,
                revises=handed,
            )
            who = people(contract, customer, NoticeKind.HANDOVER)
            if who:
                yield make_round(occasion, customer.key, who, thread)


def _ended_at(contract: Contract, instance: Instance) -> datetime | None:
    if instance.ends_on is None:
        return None
    return start_of_day(instance.ends_on + timedelta(days=1), contract.zone)


def _is_told(contract: Contract, instance: Instance, ended: datetime, known: Known, now: datetime) -> bool:
    """Say whether an end is told of: one that came since the journal began, or can still be handed over in time."""
    if utc(ended) > utc(now) or instance.ends_on is None:
        return False
    recorded = known.since is not None and utc(ended) >= utc(known.since)
    return recorded or utc(now) < utc(handover_due(contract, instance.ends_on))

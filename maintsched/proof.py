"""What the evidence proves: who was told of which window, and what that makes of the work in it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from maintsched.announcements import Announcement, WindowState
from maintsched.birth import FrozenMapping
from maintsched.contract import Contract
from maintsched.facts import DeclaredWindow, Maintenance
from maintsched.fleet import Fleet, active_span
from maintsched.localtime import utc
from maintsched.notices import Telling, Thread, announced_at, recipients
from maintsched.readings import MonthlyProof
from maintsched.windows import schedule

Told = Mapping[tuple[str, str], datetime]
"""When the customer was told, by window and instance."""


def told_by_instance(
    contract: Contract,
    fleet: Fleet,
    announcements: Iterable[Announcement],
    threads: Mapping[tuple[str, str], Thread],
    tellings: Mapping[tuple[str, str], Collection[Telling]],
) -> dict[tuple[str, str], datetime]:
    """Return when customers were told of windows; `threads` and `tellings` are by subject and customer.

    A window that a customer chose among alternatives is known to the account under the window that offered it. What one
    customer was told proves nothing to the next one that an instance belongs to.
    """
    windows_of: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for announcement in announcements:
        if announcement.state is WindowState.CONFIRMED and announcement.mailed:
            named = frozenset(announcement.window.instances)
            windows_of.setdefault(announcement.thread, []).append((announcement.id, named))
    owners, told = fleet.owners, {}
    responsible = _responsible(contract, fleet)
    for (subject, customer), thread in threads.items():
        known = tellings.get((subject, customer), ())
        of_mails = {instance for each in known for instance in each.instances}
        mine = [each for each in of_mails if each not in owners or owners[each].key == customer]
        for window, named in windows_of.get(subject, ()):
            for instance in mine:
                if named and instance not in named:
                    continue
                at = announced_at(contract, instance, thread.lead, known, responsible.get(customer, ()))
                if at is not None:
                    told[window, instance] = at
    return told


def _responsible(contract: Contract, fleet: Fleet) -> dict[str, frozenset[str]]:
    """Return the contacts of each customer who have to be told."""
    return {
        customer.key: frozenset(contact.key for contact in recipients(contract, customer))
        for customer in fleet.customers
    }


SAID_AHEAD = timedelta(days=31)
"""How long ahead a window counts as told that the contract itself announces."""


def told_by_contract(
    contract: Contract, instances: Collection[str], announcements: Iterable[Announcement]
) -> dict[tuple[str, str], datetime]:
    """Return what the contract itself announced, where `monthly.proof` says so: windows of the rule that stayed put."""
    if contract.monthly.proof is not MonthlyProof.CONTRACT:
        return {}
    rule = schedule(contract)
    told: dict[tuple[str, str], datetime] = {}
    for each in announcements:
        window = rule.window(each.id) if each.by_rule and each.state is WindowState.CONFIRMED else None
        if window is not None and utc(window.start) == utc(each.span.start) and utc(each.span.end) <= utc(window.end):
            told |= {(each.id, instance): utc(window.start) - SAID_AHEAD for instance in instances}
    return told


def declared_windows(
    contract: Contract, fleet: Fleet, announcements: Iterable[Announcement], told: Told
) -> tuple[DeclaredWindow, ...]:
    """Return announced windows as facts of a plan: `announced_at` is when the last instance's customer was told.

    Tentative windows are none: nothing may go into a window that nobody was told of.
    """
    return tuple(
        replace(each.window, announced_at=_all_told(contract, fleet, each, told))
        for each in announcements
        if each.state is not WindowState.TENTATIVE
    )


def _all_told(contract: Contract, fleet: Fleet, announcement: Announcement, told: Told) -> datetime | None:
    at = utc(announcement.span.start)
    instances = announcement.window.instances or _taking_part(contract, fleet, at)
    found = [told.get((announcement.id, instance)) for instance in instances]
    known = [at for at in found if at is not None]
    return max(known, key=utc) if known and len(known) == len(found) else None


def _taking_part(contract: Contract, fleet: Fleet, at: datetime) -> list[str]:
    """Return the instances that a window for everybody is for: managed ones whose subscription runs."""
    found = []
    for instance in fleet.instances():
        start, end = active_span(contract, instance)
        runs = (start is None or utc(start) <= at) and (end is None or at < utc(end))
        if instance.managed and runs:
            found.append(instance.key)
    return found


class Worked(NamedTuple):
    """When work was really done: from the first step that changed something to the end of the run; both None: not."""

    started_at: datetime | None
    ended_at: datetime | None


NOT_KNOWN: Mapping[tuple[str, str], Worked] = FrozenMapping()


def maintenance_of(
    instance: str,
    announcements: Iterable[Announcement],
    told: Told,
    worked: Mapping[tuple[str, str], Worked] = NOT_KNOWN,
) -> list[Maintenance]:
    """Return the maintenance of an instance as it was announced, for its availability (clause 2.4.5).

    `worked` says by window and instance when work was really done, where runs say so.
    """
    return [
        _done(
            Maintenance(start=each.span.start, end=each.span.end, announced_at=told.get((each.id, instance))),
            worked.get((each.id, instance)),
        )
        for each in announcements
        if each.state is WindowState.CONFIRMED and (not each.window.instances or instance in each.window.instances)
    ]


def _done(work: Maintenance, worked: Worked | None) -> Maintenance:
    """Return a maintenance as it was done. Where a run found nothing to do, or was held, no time was used."""
    if worked is None:
        return work
    if worked.started_at is None:
        return replace(work, started_at=work.start, completed_at=work.start)
    return replace(work, started_at=worked.started_at, completed_at=worked.ended_at)

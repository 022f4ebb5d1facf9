"""What the evidence proves: who was told of which window, and what that makes of the work in it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from maintsched.announcements import Announcement, WindowState
from maintsched.contract import Contract
from maintsched.facts import DeclaredWindow, Maintenance
from maintsched.fleet import Fleet
from maintsched.localtime import utc
from maintsched.notices import Telling, Thread, announced_at
from maintsched.readings import MonthlyProof
from maintsched.windows import schedule

Told = Mapping[tuple[str, str], datetime]
"""When the customer was told, by window and instance."""


def told_by_instance(
    contract: Contract,
    announcements: Iterable[Announcement],
    threads: Mapping[tuple[str, str], Thread],
    tellings: Mapping[tuple[str, str], Collection[Telling]],
) -> dict[tuple[str, str], datetime]:
    """Return when customers were told of windows; `threads` and `tellings` are by subject and customer.

    A window that a customer chose among alternatives is known to the account under the window that offered it.
    """
    windows_of: dict[str, list[Announcement]] = {}
    for announcement in announcements:
        if announcement.state is WindowState.CONFIRMED and announcement.mailed:
            windows_of.setdefault(announcement.thread, []).append(announcement)
    told = {}
    for (subject, customer), thread in threads.items():
        known = tellings.get((subject, customer), ())
        named = {instance for each in known for instance in each.instances}
        for announcement in windows_of.get(subject, ()):
            for instance in named:
                if announcement.window.instances and instance not in announcement.window.instances:
                    continue
                at = announced_at(contract, instance, thread.lead, known)
                if at is not None:
                    told[announcement.id, instance] = at
    return told


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


def declared_windows(fleet: Fleet, announcements: Iterable[Announcement], told: Told) -> tuple[DeclaredWindow, ...]:
    """Return announced windows as facts of a plan: `announced_at` is when the last instance's customer was told.

    Tentative windows are none: nothing may go into a window that nobody was told of.
    """
    return tuple(
        replace(each.window, announced_at=_all_told(fleet, each, told))
        for each in announcements
        if each.state is not WindowState.TENTATIVE
    )


def _all_told(fleet: Fleet, announcement: Announcement, told: Told) -> datetime | None:
    instances = announcement.window.instances or tuple(fleet.owners)
    found = [told.get((announcement.id, instance)) for instance in instances]
    known = [at for at in found if at is not None]
    return max(known, key=utc) if known and len(known) == len(found) else None


def maintenance_of(instance: str, announcements: Iterable[Announcement], told: Told) -> list[Maintenance]:
    """Return the maintenance of an instance as it was announced, for its availability (clause 2.4.5)."""
    return [
        Maintenance(start=each.span.start, end=each.span.end, announced_at=told.get((each.id, instance)))
        for each in announcements
        if each.state is WindowState.CONFIRMED and (not each.window.instances or instance in each.window.instances)
    ]

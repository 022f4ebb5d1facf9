"""Conflicts: what a plan cannot keep, shown instead of hidden."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from maintsched.contract import Contract
from maintsched.deadlines import Classification, classify, earliest_start, shortfall
from maintsched.facts import ChangeClass, Facts, Freeze, WindowKind
from maintsched.fleet import BackupRule, Fleet
from maintsched.localtime import Elapsed, elapsed, settle_on, utc
from maintsched.notices import PlannedNotice, recipients
from maintsched.profiles import NOTHING, Profile, Slot, Work
from maintsched.recurrence import Recurrence
from maintsched.releases import HeldBack, RunningDeferral, track_at
from maintsched.version import Version


class ConflictKind(StrEnum):
    """What goes against what."""

    FREEZE_OVER_WINDOW = "freeze_over_window"  # changes of some classes stay out of a window
    DEADLINE_PAST = "deadline_past"  # a notice can no longer go out in time
    ANNOUNCED_LATE = "announced_late"  # it went out too late: the window is unplanned
    WINDOWS_OVERLAP = "windows_overlap"  # two windows want the same instance at once
    BACKUP_TOO_OLD = "backup_too_old"  # the backup rule gives no young enough backup when work starts
    BACKUP_RULE = "backup_rule"  # the backup rule leaves more time between two backups than is promised
    DEFERRAL_TOO_LONG = "deferral_too_long"  # asked for beyond the limit; it ends at the limit
    DEFERRAL_NEVER_ENDS = "deferral_never_ends"  # no window ever takes the deferred release
    RELEASE_HELD_BACK = "release_held_back"  # a declared window or a security fix does not get what it is for
    DEFERRAL_WITHOUT_EFFECT = "deferral_without_effect"  # the release is not on the instance's track, or installed
    NO_CONTACT = "no_contact"  # nobody of the customer can be told
    NO_CONSENT = "no_consent"  # an unmanaged instance is named without a recorded consent
    SUBSCRIPTION_ENDED = "subscription_ended"  # a declared window names an instance whose subscription does not run


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One conflict: about which `subject`, what it is (with the way out), and the clause it touches."""

    kind: ConflictKind
    subject: str
    message: str
    clause: str
    instances: tuple[str, ...] = ()
    """The instances it concerns; empty where it concerns no particular one."""


def backup_age(contract: Contract, rule: BackupRule, at: datetime) -> Elapsed | None:
    """Return the age at `at` of the last backup that `rule` gives before it; None where there is none in 40 days."""
    recurrence = Recurrence(rule=rule.rule, anchor=rule.anchor)
    today = at.astimezone(contract.zone).date()
    taken = [
        backup
        for day in _dates(recurrence, today - timedelta(days=40), today)
        for backup in (_backup_at(contract, rule, day, index) for index in range(len(rule.times)))
        if utc(backup) <= utc(at)
    ]
    return Elapsed(seconds=int(elapsed(max(taken, key=utc), at).total_seconds())) if taken else None


def _dates(recurrence: Recurrence, first: date, last: date) -> list[date]:
    days = (day for year in range(first.year, last.year + 1) for day in recurrence.dates(year))
    return [day for day in days if first <= day <= last]


def _backup_at(contract: Contract, rule: BackupRule, day: date, index: int) -> datetime:
    return settle_on(day, rule.times[index], contract.zone, contract.clock_change).at


def longest_backup_gap(rule: BackupRule, start: date) -> timedelta | None:
    """Return the longest wall clock time between two backups of `rule` in the 400 days from `start`; None: under two.

    Clock changes are left aside here: every daily rule is an hour long once a year.
    """
    days = _dates(Recurrence(rule=rule.rule, anchor=rule.anchor), start, start + timedelta(days=400))
    taken = sorted(datetime.combine(day, at) for day in days for at in rule.times)
    gaps = [after - before for before, after in pairwise(taken)]
    return max(gaps, default=None)


def notice_conflicts(
    contract: Contract, slot: Slot, notices: tuple[PlannedNotice, ...], now: datetime | None
) -> Iterator[Conflict]:
    """Return what is wrong with the announcement of a window: too late, or no longer possible."""
    window, announced_at = slot.window, slot.declared.announced_at if slot.declared else None
    if announced_at is not None:
        if window.kind is WindowKind.EMERGENCY:
            return
        if classify(contract, window.start, announced_at) is not Classification.PLANNED:
            late = shortfall(contract, window.start, announced_at)
            first = earliest_start(contract, announced_at)
            yield Conflict(
                kind=ConflictKind.ANNOUNCED_LATE,
                subject=window.id,
                message=f"announced {late} too late: unplanned, so that it counts as downtime; "
                f"planned work may start from {first:%Y-%m-%d %H:%M %Z}",
                clause=contract.clauses.emergency,
                instances=slot.named,
            )
            return
        told_at = announced_at
    elif now is None or utc(window.start) <= utc(now):
        return
    else:
        told_at = now
    for notice in notices:
        if notice.missed_at(told_at):
            yield Conflict(
                kind=ConflictKind.DEADLINE_PAST,
                subject=window.id,
                message=f"the deadline of the {notice.kind} was {notice.deadline:%Y-%m-%d %H:%M %Z}: "
                "whoever was not told by then is told too late",
                clause=notice.due.clause,
                instances=slot.named,
            )


def freeze_conflicts(contract: Contract, slot: Slot, taking: Iterable[Profile], work: Work) -> Iterator[Conflict]:
    """Return each freeze that lies over a window, with the releases it holds back."""
    hit: dict[str, tuple[Freeze, list[str], set[str]]] = {}
    for profile in taking:
        for freeze in profile.freezes:
            if freeze.span.overlaps(slot.window.span):
                _, instances, held = hit.setdefault(freeze.key, (freeze, [], set()))
                instances.extend(profile.keys)
                held.update(
                    each.release.id
                    for each in work.get(profile.step(slot), NOTHING).held_back
                    if each.freeze == freeze.key
                )
    for _, (freeze, instances, held) in sorted(hit.items()):
        classes = ", ".join(freeze.classes)
        back = f"; held back: {', '.join(sorted(held))}" if held else ""
        yield Conflict(
            kind=ConflictKind.FREEZE_OVER_WINDOW,
            subject=slot.window.id,
            message=f"freeze {freeze.key} ({freeze.reason}) keeps {classes} changes out "
            f"until {freeze.end.astimezone(contract.zone):%Y-%m-%d %H:%M}{back}",
            clause=contract.clauses.updates,
            instances=tuple(instances),
        )


def backup_conflicts(contract: Contract, slot: Slot, taking: Iterable[Profile]) -> Iterator[Conflict]:
    """Return the instances whose last backup would be too old when work in a window starts."""
    for profile in taking:
        rule = profile.sample.backup
        if rule is not None and profile.sample.managed:
            age = backup_age(contract, rule, slot.window.start)
            if age is None or age >= contract.backup.max_age:
                found = "there is none" if age is None else f"it is {age} old"
                yield Conflict(
                    kind=ConflictKind.BACKUP_TOO_OLD,
                    subject=slot.window.id,
                    message=f"work needs a backup younger than {contract.backup.max_age}; "
                    f"by the declared rule {found}: take one first",
                    clause=contract.clauses.backup,
                    instances=tuple(profile.keys),
                )


def reach_conflicts(contract: Contract, facts: Facts, slot: Slot, profiles: Iterable[Profile]) -> Iterator[Conflict]:
    """Return the instances that a declared window names and that must not be touched then."""
    named = profiles if slot.named else ()  # the rule's window keeps its id where another was declared for some
    for profile in named:
        if slot.window.id in profile.windows and not profile.runs_at(slot.window.start):
            yield Conflict(
                kind=ConflictKind.SUBSCRIPTION_ENDED,
                subject=slot.window.id,
                message="the subscription does not run then: nothing is planned",
                clause=contract.clauses.handover,
                instances=tuple(profile.keys),
            )
        elif slot.window.id in profile.windows and not profile.may_be_touched(facts, slot.window.start):
            yield Conflict(
                kind=ConflictKind.NO_CONSENT,
                subject=slot.window.id,
                message="on the customer's own system: record a consent first",
                clause=contract.clauses.remote_access,
                instances=tuple(profile.keys),
            )


def held_conflicts(contract: Contract, slot: Slot, taking: Iterable[Profile], work: Work) -> Iterator[Conflict]:
    """Return the releases that a window was declared for, and the security fixes, that stay out of it."""
    wanted = slot.declared.releases if slot.declared else ()
    hit: dict[str, list[str]] = {}
    for profile in taking:
        step = work.get(profile.step(slot))
        if step is None:
            continue
        reasons = [f"{each.release.id}: {each.why}" for each in step.held_back if _is_missed(each, wanted)]
        known = {item.release for item in step.items} | {str(each.release.version) for each in step.held_back}
        nothing = "it does not ship on the instance's track, or is installed, or not yet available"
        reasons += [f"{version}: {nothing}" for version in wanted if str(version) not in known]
        for reason in reasons:
            hit.setdefault(reason, []).extend(profile.keys)
    for reason, instances in sorted(hit.items()):
        yield Conflict(
            kind=ConflictKind.RELEASE_HELD_BACK,
            subject=slot.window.id,
            message=f"stays out, {reason}",
            clause=contract.clauses.updates,
            instances=tuple(sorted(instances)),
        )


def _is_missed(held: HeldBack, wanted: Collection[Version]) -> bool:
    fix = held.release.change_class is ChangeClass.SECURITY and held.freeze is None and not held.release.withdrawn
    return held.release.version in wanted or fix


def deferral_conflicts(
    contract: Contract, fleet: Fleet, facts: Facts, deferrals: Iterable[RunningDeferral], now: datetime | None
) -> Iterator[Conflict]:
    """Return the deferrals that are too long, that nothing ends, or that have no effect; not those over at `now`."""
    for running in deferrals:
        deferral, found = running.deferral, []
        if now is not None and utc(running.end) <= utc(now):
            continue
        instance = fleet.instance(deferral.instance)
        installed = instance.versions.get(contract.deferral.component)
        if running.too_long:
            until = f"{running.limit:%Y-%m-%d %H:%M %Z}"
            message = f"asked for beyond {contract.deferral.max}: it ends {until}; agree on that date with the customer"
            found.append((ConflictKind.DEFERRAL_TOO_LONG, message))
        if running.window is None:
            message = "no window ever takes the deferred release: announce one, or extend the rule or the subscription"
            found.append((ConflictKind.DEFERRAL_NEVER_ENDS, message))
        if installed is not None and installed >= deferral.release:
            message = f"{installed} is installed already: withdraw the deferral, it holds other releases back"
            found.append((ConflictKind.DEFERRAL_WITHOUT_EFFECT, message))
        if utc(running.end) <= utc(running.start):
            message = f"it ends before {running.start:%Y-%m-%d %H:%M %Z}, when the release could go in: withdraw it"
            found.append((ConflictKind.DEFERRAL_WITHOUT_EFFECT, message))
        track = track_at(contract, instance, facts.track_switches, running.end)
        if running.release.tracks and track not in running.release.tracks:
            message = f"{deferral.release} does not ship on track {track}: withdraw the deferral, it holds others back"
            found.append((ConflictKind.DEFERRAL_WITHOUT_EFFECT, message))
        for kind, message in found:
            yield Conflict(
                kind=kind,
                subject=f"deferral/{deferral.id}",
                message=message,
                clause=contract.clauses.updates,
                instances=(deferral.instance,),
            )


def contact_conflicts(contract: Contract, fleet: Fleet, only: Collection[str] | None) -> Iterator[Conflict]:
    """Return the customers of whom nobody can be told."""
    for customer in sorted(fleet.customers, key=lambda each: each.key):
        keys = tuple(each.key for each in customer.instances if only is None or each.key in only)
        if keys and not recipients(contract, customer):
            yield Conflict(
                kind=ConflictKind.NO_CONTACT,
                subject=f"customer/{customer.key}",
                message=f"no contact has the role {contract.notice.role}: nobody can be told, all work is unplanned",
                clause=contract.clauses.told,
                instances=keys,
            )


def backup_rule_conflicts(contract: Contract, profiles: Iterable[Profile], start: datetime) -> Iterator[Conflict]:
    """Return the instances whose backup rule cannot keep the promised age."""
    day = start.astimezone(contract.zone).date()
    for profile in profiles:
        rule = profile.sample.backup
        if rule is not None and profile.sample.managed:
            gap = longest_backup_gap(rule, day)
            if gap is None or gap > contract.backup.max_age:
                found = "there are none" if gap is None else f"{Elapsed(seconds=gap.total_seconds())} pass"
                yield Conflict(
                    kind=ConflictKind.BACKUP_RULE,
                    subject=f"instance/{profile.keys[0]}"
                    + (f" and {len(profile.keys) - 1} more" if profile.keys[1:] else ""),
                    message=f"a backup is promised every {contract.backup.max_age}; "
                    f"between two of the rule {found}: back up more often",
                    clause=contract.clauses.backup,
                    instances=tuple(profile.keys),
                )


def overlap_conflicts(contract: Contract, slots: list[Slot], profiles: list[Profile]) -> Iterator[tuple[str, Conflict]]:
    """Return the pairs of windows that want an instance at once, under the id of the later one."""
    open_slots: list[Slot] = []
    for slot in slots:
        open_slots = [other for other in open_slots if other.window.span.overlaps(slot.window.span)]
        for other in open_slots:
            both = [key for each in profiles if each.takes(slot) and each.takes(other) for key in each.keys]
            if both or not profiles:
                yield (
                    slot.window.id,
                    Conflict(
                        kind=ConflictKind.WINDOWS_OVERLAP,
                        subject=slot.window.id,
                        message=f"overlaps {other.window.id}: move or cancel one of them",
                        clause=contract.clauses.told,
                        instances=tuple(both),
                    ),
                )
        open_slots.append(slot)

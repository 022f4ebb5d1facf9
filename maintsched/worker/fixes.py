"""Security fixes: each is on its way into a window that is proved, or can be told in time; else an operator is told.

What keeps one out may be a freeze, a pin, a deferral, a wave, a missing consent; or it is planned for a window that
nobody can be told of in time any more, so that its work would be held. None of that stays unsaid.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection

from maintsched.contract import Contract
from maintsched.facts import ChangeClass, Release, WindowKind
from maintsched.fleet import Customer, Instance, active_span
from maintsched.localtime import utc
from maintsched.notices import recipients
from maintsched.plan import Plan, PlanWindow
from maintsched.releases import track_at
from maintsched.residents import told_in_time
from maintsched.store.ledger import ActionKind, record_done
from maintsched.version import Version
from maintsched.worker.alerts import Alert, record_alerts
from maintsched.worker.house import Scene

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostFix:
    """A security release that an instance lacks, and that is on no sure way into it."""

    release: Release
    instance: str
    customer: str
    why: str
    """The cause: each is told once."""

    @property
    def key(self) -> str:
        """The stable name of this release, instance and cause."""
        cause = sha256(self.why.encode()).hexdigest()[:12]
        return f"fix/{self.release.component}:{self.release.version}/{self.instance}/{cause}"


def lost_fixes(contract: Contract, scene: Scene, plan: Plan, *, now: datetime) -> Iterator[LostFix]:
    """Return the security releases that are available at `now`, are lacking, and are on no sure way by the plan."""
    ahead = [each for each in plan.windows if utc(each.window.start) >= utc(now)]
    for release in scene.facts.releases:
        wanted = release.change_class is ChangeClass.SECURITY and not release.withdrawn
        if wanted and utc(release.available_at) <= utc(now):
            takers = _takers(scene, release, ahead)
            reasons = _reasons(release, ahead)
            for instance, customer in _lacking(contract, scene, release, now):
                planned = takers.get(instance.key)
                why = (
                    _unproved(contract, scene, planned, instance.key, customer, now)
                    if planned is not None
                    else reasons.get(instance.key) or _no_window(instance)
                )
                if why:
                    yield LostFix(release=release, instance=instance.key, customer=customer.key, why=why)


def _lacking(contract: Contract, scene: Scene, release: Release, now: datetime) -> Iterator[tuple[Instance, Customer]]:
    """Return the instances that a release is for, whose subscription runs, and that do not have it."""
    having = _holding(scene, release)
    for customer in scene.fleet.customers:
        for instance in customer.instances:
            installed = instance.versions.get(release.component)
            if installed is not None and (installed >= release.version or installed in having):
                continue
            if release.component not in (instance.components or contract.components):
                continue
            if not _runs(contract, instance, now):
                continue
            if release.tracks and track_at(contract, instance, scene.facts.track_switches, now) not in release.tracks:
                continue
            yield instance, customer


def _runs(contract: Contract, instance: Instance, now: datetime) -> bool:
    """Say whether the subscription of an instance runs at `now`."""
    if instance.starts_on is None and instance.ends_on is None:
        return True
    start, end = active_span(contract, instance)
    return (start is None or utc(start) <= utc(now)) and (end is None or utc(now) < utc(end))


def _holding(scene: Scene, release: Release) -> set[Version]:
    """Return the versions that bring a release, itself among them."""
    same = (each for each in scene.facts.releases if each.component == release.component)
    return {each.version for each in same if each.holds(release.version)}


def _takers(scene: Scene, release: Release, ahead: Iterable[PlanWindow]) -> Mapping[str, PlanWindow]:
    """Return the first window that brings a release, itself or in a newer one, by instance."""
    holding = {str(each) for each in _holding(scene, release)}
    found: dict[str, PlanWindow] = {}
    for planned in ahead:
        for step in planned.assignments:
            if any(item.component == release.component and item.release in holding for item in step.work):
                for key in step.instances:
                    found.setdefault(key, planned)
    return found


def _reasons(release: Release, ahead: Iterable[PlanWindow]) -> Mapping[str, str]:
    """Return what keeps a release out of the first window that does not take it, by instance."""
    found: dict[str, str] = {}
    for planned in ahead:
        for step in planned.assignments:
            why = next((each.why for each in step.held_back if each.release == release), "")
            for key in step.instances if why else ():
                found.setdefault(key, why)
    return found


def _no_window(instance: Instance) -> str:
    return "no window takes it" if instance.managed else "it is on the customer's own system, and no consent holds"


def _unproved(
    contract: Contract, scene: Scene, planned: PlanWindow, key: str, customer: Customer, now: datetime
) -> str:
    """Return why a window will not be proved; empty: it is, or its customer can still be told in time."""
    window, told_at = planned.window, scene.told.get((planned.window.id, key))
    emergency = window.kind is WindowKind.EMERGENCY
    if told_in_time(contract, window.start, told_at, emergency=emergency, now=now):
        return ""
    if not recipients(contract, customer):
        return f"{window.id} takes it, and nobody of {customer.key} can be told"
    if window.id in scene.known.silent:
        return f"{window.id} takes it, and was published without mail: it tells nobody"
    if not emergency and utc(now) > _last_call(contract, planned):
        return f"{window.id} takes it, and {customer.key} was not told in time: its work will be held"
    return ""


def _last_call(contract: Contract, planned: PlanWindow) -> datetime:
    """Return the last instant at which what is told of a window is told in time."""
    return utc(planned.window.start) - contract.critical.lead


# --- writing it down --------------------------------------------------------------------------------------------------


def record_lost_fixes(
    connection: Connection, contract: Contract, scene: Scene, plan: Plan, *, now: datetime
) -> list[str]:
    """Tell the operator of each lost fix, once for each cause; return their keys."""
    lost = {each.key: each for each in lost_fixes(contract, scene, plan, now=now)}
    new = record_done(connection, ActionKind.FIX, lost, now)
    record_alerts(connection, contract, [_alert(lost[key]) for key in new], now)
    return new


def _alert(lost: LostFix) -> Alert:
    release = lost.release
    return Alert(
        key=lost.key,
        subject=f"fix/{release.component}/{release.version}",
        title=f"Security fix {release.id} is on no sure way into an instance",
        lines=(f"{lost.customer}: {lost.instance}: {lost.why}",),
        way_out=(
            f"`maintsched release list --instance {lost.instance}` shows what is planned. What cannot wait is an "
            f"emergency: `maintsched window announce emergency --instances {lost.instance} --release {release.version}`"
        ),
    )


def next_look(contract: Contract, scene: Scene, plan: Plan, *, now: datetime) -> list[datetime]:
    """Return the instants after `now` at which a fix may be lost though no fact changes."""
    fixes = [each for each in scene.facts.releases if each.change_class is ChangeClass.SECURITY and not each.withdrawn]
    if not fixes:
        return []
    moments = [utc(each.available_at) for each in fixes]
    for planned in plan.windows:
        moments += [_last_call(contract, planned) + _INSTANT, utc(planned.window.start) + _INSTANT]
    return [each for each in moments if each > utc(now)]

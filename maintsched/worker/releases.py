"""What operators do to releases: add one, take one back, pin an instance to a version, list them; with evidence."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from maintsched.contract import Contract
from maintsched.errors import ChangeRefused, UnknownName
from maintsched.facts import Facts, Release, check_facts
from maintsched.fleetdiff import plain
from maintsched.grammar import require_text
from maintsched.journal import PROVIDER, EntryKind, Event, instant_text
from maintsched.localtime import utc
from maintsched.plan import Plan, make_plan
from maintsched.releases import wave_opens
from maintsched.spans import Span
from maintsched.store.declared import read_releases, write_releases
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.version import Version
from maintsched.worker.house import Scene, read_scene

AHEAD = timedelta(days=100)
"""How far ahead the windows of a release are named: three monthly ones at least."""


class WaveOpens(NamedTuple):
    """When the instances of a wave may get a release."""

    wave: int
    at: datetime


class Intake(NamedTuple):
    """A window that takes a release, and into how many instances."""

    window: str
    start: datetime
    instances: int


@dataclass(frozen=True, kw_only=True)
class ReleaseStanding:
    """A release, and where it goes, or would have gone."""

    release: Release
    waves: tuple[WaveOpens, ...]
    windows: tuple[Intake, ...]
    """The windows of the next 100 days that take it; of a release that was taken back: that would have."""
    installed: tuple[str, ...]
    """Keys of the instances that have it."""
    deferrals: tuple[str, ...]
    """Keys of the instances for which it is deferred."""


def add_release(store: Store, contract: Contract, release: Release, *, now: datetime) -> ReleaseStanding:
    """Enter a release; return it with the windows that take it.

    Raises `ChangeRefused` for a version that is known, `UnknownName` for components and tracks of no contract.
    """
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        known = _find(scene.facts.releases, release.component, release.version)
        if known is not None:
            wanted = "a new version (`maintsched release withdraw` takes one back, a file corrects it)"
            raise ChangeRefused(f"release {release.id}", expected=wanted, found=f"{known.id}, which is known")
        check_facts(contract, scene.fleet, Facts(releases=(release,)))
        _write(connection, release, EntryKind.RELEASE_ADDED, now)
    after = replace(scene, facts=replace(scene.facts, releases=(*scene.facts.releases, release)))
    return _standing(contract, after, release, now)


def withdraw_release(
    store: Store, contract: Contract, component: str, version: Version, *, reason: str, now: datetime
) -> ReleaseStanding:
    """Take a release back that turned out bad: it goes into no window any more. A newer one that holds it does.

    The windows of the answer are those that would have taken it. Nothing is undone where it is installed. Raises
    `UnknownName` where there is none, `ChangeRefused` for one that was taken back already.
    """
    require_text("reason", reason)
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        release = _require_known(scene.facts.releases, component, version)
        if release.withdrawn:
            wanted, found = "one that may go in", f"one that was withdrawn already: {release.withdrawn}"
            raise ChangeRefused(f"release {release.id}", expected=wanted, found=found)
        gone = replace(release, withdrawn=reason)
        _write(connection, gone, EntryKind.RELEASE_WITHDRAWN, now, why=reason)
    return replace(_standing(contract, scene, release, now), release=gone)


def restore_release(
    store: Store, contract: Contract, component: str, version: Version, *, reason: str, now: datetime
) -> ReleaseStanding:
    """Let a release that was taken back go in again.

    Raises `UnknownName` where there is none, `ChangeRefused` for one that was not taken back.
    """
    require_text("reason", reason)
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        release = _require_known(scene.facts.releases, component, version)
        if not release.withdrawn:
            wanted = "one that was withdrawn"
            raise ChangeRefused(f"release {release.id}", expected=wanted, found="one that may go in")
        back = replace(release, withdrawn="")
        _write(connection, back, EntryKind.RELEASE_RESTORED, now, why=reason)
    others = tuple(each for each in scene.facts.releases if each is not release)
    after = replace(scene, facts=replace(scene.facts, releases=(*others, back)))
    return _standing(contract, after, back, now)


def list_releases(store: Store, contract: Contract, *, component: str | None = None) -> list[Release]:
    """Return the releases of a component, or of all, in the order of their versions."""
    if component is not None and component not in contract.components:
        raise UnknownName("component", found=component, known=contract.components)
    with store.reading() as connection:
        found = read_releases(connection)
    mine = (release for release in found if component in (None, release.component))
    return sorted(mine, key=lambda each: (each.component, each.version))


# --- what a release is ------------------------------------------------------------------------------------------------


def _find(releases: Iterable[Release], component: str, version: Version) -> Release | None:
    return next((each for each in releases if (each.component, each.version) == (component, version)), None)


def _require_known(releases: Iterable[Release], component: str, version: Version) -> Release:
    listed = list(releases)
    found = _find(listed, component, version)
    if found is None:
        known = [str(each.version) for each in listed if each.component == component]
        raise UnknownName(f"release of {component}", found=str(version), known=known)
    return found


def _write(connection: Connection, release: Release, kind: EntryKind, now: datetime, **more: str) -> None:
    write_releases(connection, [release])
    data = {
        "component": release.component,
        "version": str(release.version),
        "class": str(release.change_class),
        "available_at": instant_text(release.available_at),
        "tracks": list(release.tracks),
        "carries": plain(release.carries),
        **more,
    }
    subject = f"release/{release.component}/{release.version}"
    append(connection, [Event(chain=PROVIDER, at=now, kind=kind, subject=subject, data=data)])


def _standing(contract: Contract, scene: Scene, release: Release, now: datetime) -> ReleaseStanding:
    local = now.astimezone(contract.zone)
    plan = make_plan(contract, scene.fleet, scene.facts, Span(start=local, end=utc(now) + AHEAD), now=now)
    waves = {*contract.waves.environments.values(), *(each.wave for each in scene.fleet.instances() if each.wave)}
    return ReleaseStanding(
        release=release,
        waves=tuple(WaveOpens(wave, wave_opens(contract, release, wave)) for wave in sorted(waves or {1})),
        windows=tuple(_intakes(plan, release)),
        installed=tuple(
            each.key for each in scene.fleet.instances() if each.versions.get(release.component) == release.version
        ),
        deferrals=tuple(
            running.deferral.instance
            for running in plan.deferrals
            if running.release == release and utc(running.end) > utc(now)
        ),
    )


def _intakes(plan: Plan, release: Release) -> Iterable[Intake]:
    for planned in plan.windows:
        wanted = (release.component, str(release.version))
        count = sum(
            len(assignment.instances)
            for assignment in planned.assignments
            if any((item.component, item.release) == wanted for item in assignment.work)
        )
        if count:
            yield Intake(planned.window.id, planned.window.start, count)

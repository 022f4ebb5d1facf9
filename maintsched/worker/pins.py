"""What operators do to pins: let a component of an instance stay at a version, let it go on; what an instance gets."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from maintsched.contract import Contract
from maintsched.errors import ChangeRefused, InvalidValue, UnknownName
from maintsched.facts import Facts, Pin, Release, check_facts
from maintsched.fleet import Instance
from maintsched.grammar import require_text
from maintsched.journal import EntryKind, Event, instant_text
from maintsched.localtime import Period, start_of_day, utc
from maintsched.plan import Plan, make_plan
from maintsched.releases import track_at
from maintsched.spans import Span
from maintsched.store.declared import read_pins, remove_pin, write_pins
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.worker.house import Scene, read_scene

MONTHS = 13
"""How far ahead the windows of an instance are looked at."""


def add_pin(store: Store, contract: Contract, pin: Pin, *, now: datetime) -> Pin | None:
    """Let a component stay at a version; return the pin that it replaces, if there was one.

    Raises `UnknownName` for an instance, component or version nobody knows, `ChangeRefused` where a newer version is
    installed, `InvalidValue` for a pin that is over already.
    """
    if pin.until is not None and utc(pin.until) <= utc(now):
        raise InvalidValue("until", expected=f"an instant after {now.isoformat()}", found=pin.until.isoformat())
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        check_facts(contract, scene.fleet, Facts(pins=(pin,)))
        if pin.component == contract.os_component:
            wanted = "a component with releases (a freeze of the class os keeps the system's updates out)"
            raise ChangeRefused(f"pin {pin.id}", expected=wanted, found=pin.component)
        _require_version(scene, pin)
        before = next((each for each in scene.facts.pins if each.id == pin.id), None)
        write_pins(connection, [pin])
        previous = {"previous": str(before.version)} if before else {}
        append(connection, [_event(scene, pin, EntryKind.INSTANCE_PINNED, now, reason=pin.reason, **previous)])
    return before


def end_pin(store: Store, contract: Contract, instance: str, component: str, *, reason: str, now: datetime) -> Pin:
    """Let a pinned component go on with the next window; return the pin that is gone.

    Raises `UnknownName` where the instance has none of that component.
    """
    require_text("reason", reason)
    with store.writing() as connection:
        scene = read_scene(connection, contract, now)
        scene.fleet.instance(instance)
        pins = {each.id: each for each in scene.facts.pins}
        gone = pins.get(f"{instance}/{component}")
        if gone is None:
            raise UnknownName("pin", found=f"{instance}/{component}", known=pins)
        remove_pin(connection, gone)
        append(connection, [_event(scene, gone, EntryKind.INSTANCE_UNPINNED, now, reason=reason)])
    return gone


def list_pins(store: Store, *, now: datetime) -> list[Pin]:
    """Return the pins that hold or will, by instance and component."""
    with store.reading() as connection:
        return [each for each in read_pins(connection) if each.until is None or utc(each.until) > utc(now)]


def _require_version(scene: Scene, pin: Pin) -> None:
    """Refuse a version that nobody knows, and one that is behind what is installed: nothing is ever taken back."""
    installed = scene.fleet.instance(pin.instance).versions.get(pin.component)
    known = {each.version for each in scene.facts.releases if each.component == pin.component}
    known |= {installed} if installed is not None else set()
    if known and pin.version not in known:
        raise UnknownName("version", found=str(pin.version), known=[str(each) for each in sorted(known)])
    if installed is not None and pin.version < installed:
        wanted = f"{installed} or newer: that is installed, and no version is ever taken back"
        raise ChangeRefused(f"pin {pin.id}", expected=wanted, found=str(pin.version))


def _event(scene: Scene, pin: Pin, kind: EntryKind, now: datetime, **more: str) -> Event:
    data = {
        "customer": scene.fleet.owners[pin.instance].key,
        "component": pin.component,
        "version": str(pin.version),
        "start": instant_text(pin.start),
        "until": instant_text(pin.until) if pin.until else None,
        "security": pin.security,
        **more,
    }
    return Event(chain=pin.instance, at=now, kind=kind, subject=f"pin/{pin.id}", data=data)


# --- what an instance gets --------------------------------------------------------------------------------------------


class Fate(StrEnum):
    """What becomes of a release in an instance, as far as the plan knows."""

    INSTALLED = "installed"  # it is there
    GOES_IN = "goes_in"  # a window takes it
    HELD_BACK = "held_back"  # something keeps it out of every window that is looked at
    OFF_TRACK = "off_track"  # it does not ship on the instance's track
    OVERTAKEN = "overtaken"  # a newer one that holds it goes in instead
    NO_WINDOW = "no_window"  # it is available after the last window that is looked at


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What becomes of one release in one instance, and why."""

    release: Release
    fate: Fate
    window: str | None = None
    """The window that takes it."""
    start: datetime | None = None
    why: str = ""
    """What keeps it out of the window before, or of the last one that is looked at."""


@dataclass(frozen=True, kw_only=True)
class InstanceOutlook:
    """What an instance gets in the next 13 months."""

    instance: Instance
    track: str
    pins: tuple[Pin, ...]
    releases: tuple[Outlook, ...]
    """Those that are installed or newer, in the order of their versions; of each component that it has."""


def outlook_of(store: Store, contract: Contract, key: str, *, now: datetime) -> InstanceOutlook:
    """Return which releases an instance gets, and why it does not get the others.

    Raises `UnknownName` for an instance nobody has.
    """
    with store.reading() as connection:
        scene = read_scene(connection, contract, now)
    instance = scene.fleet.instance(key)
    end = start_of_day(Period(months=MONTHS).after(now.astimezone(contract.zone).date()), contract.zone)
    span = Span(start=now.astimezone(contract.zone), end=end)
    plan = make_plan(contract, scene.fleet, scene.facts, span, now=now, only=frozenset({key}))
    components = instance.components or contract.components
    releases = sorted(scene.facts.releases, key=lambda each: (each.component, each.version))
    found = (_outlook(plan, scene, instance, each) for each in releases if each.component in components)
    return InstanceOutlook(
        instance=instance,
        track=track_at(contract, instance, scene.facts.track_switches, now),
        pins=tuple(each for each in scene.facts.pins if each.instance == key and not _is_over(each, now)),
        releases=tuple(each for each in found if each is not None),
    )


def _is_over(pin: Pin, now: datetime) -> bool:
    return pin.until is not None and utc(pin.until) <= utc(now)


def _outlook(plan: Plan, scene: Scene, instance: Instance, release: Release) -> Outlook | None:
    """Return what becomes of a release; None for one that is older than what is installed."""
    installed = instance.versions.get(release.component)
    if installed is not None and installed >= release.version:
        return Outlook(release=release, fate=Fate.INSTALLED) if installed == release.version else None
    held = ""
    newest = Outlook(release=release, fate=Fate.NO_WINDOW)
    tracks = set()
    for planned in plan.windows:
        tracks.add(track_at(plan.contract, instance, scene.facts.track_switches, planned.window.start))
        for row in planned.work:
            if row.component != release.component or row.release is None:
                continue
            if row.release == str(release.version):
                start = planned.window.start
                return replace(newest, fate=Fate.GOES_IN, window=planned.window.id, start=start, why=held)
            taken = next(each for each in scene.facts.releases if each.id == f"{row.component} {row.release}")
            if taken.holds(release.version):
                return replace(newest, fate=Fate.OVERTAKEN, why=f"{row.release} goes in with {planned.window.id}")
        reasons = (each.why for step in planned.assignments for each in step.held_back if each.release == release)
        held = next(reasons, held)
    if held:
        return replace(newest, fate=Fate.HELD_BACK, why=held)
    if release.tracks and tracks and not tracks & set(release.tracks):
        return replace(newest, fate=Fate.OFF_TRACK, why=f"ships on {', '.join(release.tracks)} only")
    return newest

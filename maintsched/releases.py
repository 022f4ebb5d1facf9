"""Releases, tracks, pins and deferrals: what goes into which window (clause 2.4.4).

An instance gets the newest release on its track that is neither withdrawn, nor pinned away, nor deferred, nor frozen,
nor waiting for its wave. While any deferral of an instance runs, only security releases of the deferrable component go
in, and never one that holds the deferred release. Releases are cumulative, so that a step from one version to another
carries everything between.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from maintsched.contract import Contract
from maintsched.deadlines import deferral_limit
from maintsched.errors import DeferralRefused, UnknownName
from maintsched.facts import ChangeClass, Deferral, Facts, Pin, Release, TrackSwitch
from maintsched.fleet import Fleet, Instance, active_span
from maintsched.localtime import Period, utc
from maintsched.readings import DeferralAfter
from maintsched.version import Version
from maintsched.windows import Window, windows_of


def wave_of(contract: Contract, instance: Instance) -> int:
    """Return the wave of an instance: its own, else that of its environment; without either, the last one."""
    if instance.wave is not None:
        return instance.wave
    waves = contract.waves.environments
    return waves.get(instance.environment, max(waves.values(), default=1))


def wave_opens(contract: Contract, release: Release, wave: int) -> datetime:
    """Return the instant from which instances of `wave` may get `release`."""
    terms = contract.waves
    soak = terms.security_soak if release.change_class is ChangeClass.SECURITY else terms.soak
    whole = Period(months=soak.months * (wave - 1), days=soak.days * (wave - 1))
    return whole.after_instant(release.available_at, contract.zone, contract.clock_change).at


def track_at(contract: Contract, instance: Instance, switches: Iterable[TrackSwitch], at: datetime) -> str:
    """Return the track of an instance at `at`: that of its last recorded switch, its own, or the contract's."""
    past = [switch for switch in switches if switch.instance == instance.key and utc(switch.at) <= utc(at)]
    if past:
        return max(past, key=lambda switch: (utc(switch.at), switch.track)).track
    return instance.track or contract.track


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDeferral:
    """A deferral with its dates settled: it runs from `start` to `end` (not held), `end` never after `limit`."""

    deferral: Deferral
    release: Release
    """The release it holds back."""
    start: datetime
    end: datetime
    limit: datetime
    """Latest end that the contract allows."""
    window: Window | None
    """The monthly window its release goes in; None where no window ever ends it."""

    @property
    def too_long(self) -> bool:
        """Say whether it was asked for beyond the limit; it then ends at the limit."""
        return self.deferral.withdrawn_at is None and utc(self.deferral.until) > utc(self.limit)

    def runs_at(self, at: datetime) -> bool:
        """Say whether it holds its release back from a window that starts at `at`."""
        ended_by_window = self.window is not None and utc(self.window.start) <= utc(at)
        return utc(self.start) <= utc(at) and utc(at) < utc(self.end) and not ended_by_window


def settle_deferral(
    contract: Contract, facts: Facts, deferral: Deferral, release: Release, *, customer: str, instance: Instance
) -> RunningDeferral:
    """Return `deferral` with its start, limit, end and the window that ends it.

    Where the deferral names no start, it starts with the first monthly window that could have taken its release. An end
    past the limit is cut to the limit, and a withdrawal ends it. Moved and cancelled windows count as they will be, and
    a window that a freeze keeps the release out of does not end the deferral.
    """
    opens = wave_opens(contract, release, wave_of(contract, instance))
    first = next(windows_of(contract, facts, instance.key, opens), None)
    start = deferral.start or (first.start if first else opens)
    limit = deferral_limit(contract, start)
    asked = (deferral.until, limit, deferral.withdrawn_at)
    end = min((at for at in asked if at is not None), key=utc).astimezone(contract.zone)
    freezes = [
        freeze.span
        for freeze in facts.freezes
        if release.change_class in freeze.classes and freeze.covers(customer, instance.key)
    ]
    later = windows_of(contract, facts, instance.key, min(start, end, key=utc))
    open_windows = (window for window in later if not any(freeze.overlaps(window.span) for freeze in freezes))
    goes_on = end if deferral.withdrawn_at is None else max(start, end, key=utc)  # withdrawn before it began
    window = _ending_window(contract, open_windows, start, goes_on)
    _, ends = active_span(contract, instance)
    if window is not None and ends is not None and utc(window.start) >= utc(ends):
        window = None
    return RunningDeferral(
        deferral=deferral,
        release=release,
        start=start.astimezone(contract.zone),
        end=end,
        limit=limit,
        window=window,
    )


def _ending_window(contract: Contract, windows: Iterable[Window], start: datetime, end: datetime) -> Window | None:
    """Return the one of `windows`, which are in order, that takes a release deferred from `start` to `end`."""
    last = None
    for window in windows:
        if utc(window.start) >= utc(end):
            return last or window
        if contract.deferral.after is DeferralAfter.LAST_WINDOW_BEFORE_END and utc(window.start) > utc(start):
            last = window
    return last


# --- what may be deferred ---------------------------------------------------------------------------------------------


def deferrable(contract: Contract, facts: Facts, version: Version) -> Release:
    """Return the release of `version` that instances may be spared for a while (clause 2.4.4).

    Raises `DeferralRefused` for one of another component and for one that is not major, `UnknownName` for none.
    """
    component, clause = contract.deferral.component, contract.clauses.updates
    releases = {release.version: release for release in facts.releases if release.component == component}
    found = releases.get(version)
    if found is not None:
        if found.change_class is ChangeClass.MAJOR:
            return found
        raise DeferralRefused(
            f"release {found.id}: expected a major release, got a {found.change_class} one: only larger updates can be "
            f"deferred (clause {clause})"
        )
    other = next((release for release in facts.releases if release.version == version), None)
    if other is not None:
        raise DeferralRefused(
            f"release {other.id}: expected one of {component}, got one of {other.component}: only updates of "
            f"{component} can be deferred (clause {clause})"
        )
    raise UnknownName("release", found=str(version), known=[str(each) for each in releases])


def deferral_start(
    contract: Contract, facts: Facts, release: Release, *, customer: str, instance: Instance
) -> datetime | None:
    """Return the start of the window that `release` would go in without a deferral; None: there is none.

    It is the first monthly window of the subscription, once the instance's wave is open, that finds the instance on a
    track of the release, and that no freeze and no pin keeps it out of.
    """
    began, ends = active_span(contract, instance)
    opens = wave_opens(contract, release, wave_of(contract, instance))
    since = opens if began is None else max(opens, began, key=utc)
    freezes = [
        freeze.span
        for freeze in facts.freezes
        if release.change_class in freeze.classes and freeze.covers(customer, instance.key)
    ]
    pins = [pin for pin in facts.pins if pin.instance == instance.key and pin.component == release.component]
    for window in windows_of(contract, facts, instance.key, since):
        at = window.start
        if ends is not None and utc(at) >= utc(ends):
            return None
        on_track = not release.tracks or track_at(contract, instance, facts.track_switches, at) in release.tracks
        pinned = any(pin.holds_at(at) and pin.version < release.version for pin in pins)
        if on_track and not pinned and not any(freeze.overlaps(window.span) for freeze in freezes):
            return at
    return None


def require_deferral(
    contract: Contract,
    fleet: Fleet,
    facts: Facts,
    key: str,
    release: Release,
    *,
    start: datetime | None,
    until: datetime,
    now: datetime,
) -> None:
    """Refuse to defer `release` for the instance `key` from `start` to `until` where the contract does not allow it.

    `start` is that of the window it would go in. What would have no effect is refused as well. Raises
    `DeferralRefused` with the limit and its clause, `UnknownName` for an instance nobody knows.
    """
    instance, updates = fleet.instance(key), contract.clauses.updates
    asked = _Asked(contract=contract, name=f"{key}/{release.version}")
    installed = instance.versions.get(release.component)
    if installed is not None and installed >= release.version:
        raise asked.refused("an update that is still to come", f"{installed}, which is installed already", updates)
    _, ends = active_span(contract, instance)
    if ends is not None and utc(ends) <= utc(now):
        found = f"one that ended on {instance.ends_on}"
        raise asked.refused("a subscription that runs", found, contract.clauses.handover)
    if start is None:
        raise asked.refused(*_no_window(contract, facts, instance, release, now), updates)
    limit = deferral_limit(contract, start)
    if utc(until) > utc(limit):
        since = f"{contract.deferral.max} after {asked.said(start)}, when the update would have gone in"
        raise asked.refused(f"an end up to {asked.said(limit)} ({since})", asked.said(until), updates, limit)
    earliest, why = (now, "now") if utc(start) <= utc(now) else (start, "when the update would go in")
    if utc(until) <= utc(earliest):
        raise asked.refused(f"an end after {asked.said(earliest)}, {why}", asked.said(until), updates, limit)


def _no_window(
    contract: Contract, facts: Facts, instance: Instance, release: Release, now: datetime
) -> tuple[str, str]:
    """Return what was expected and found where no window would ever take a release."""
    track = track_at(contract, instance, facts.track_switches, now)
    if release.tracks and track not in release.tracks:
        return f"an instance on track {' or '.join(release.tracks)}, where it ships", f"one on {track}"
    return "an update that a window would take", "one that no window ever takes"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A deferral that somebody asks for, by its name."""

    contract: Contract
    name: str

    def said(self, at: datetime) -> str:
        return f"{at.astimezone(self.contract.zone):%Y-%m-%d %H:%M %Z}"

    def refused(self, expected: str, found: str, clause: str, limit: datetime | None = None) -> DeferralRefused:
        message = f"deferral {self.name}: expected {expected}, got {found} (clause {clause})"
        return DeferralRefused(message, latest_end=limit)


# --- what goes in -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A release that stays out of a window, and why; `freeze` is the key of the freeze, where it is one."""

    release: Release
    why: str
    freeze: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one component of an instance gets in a window: a `release` (None: nothing), and why."""

    release: Release | None
    why: str
    held_back: tuple[HeldBack, ...] = ()
    """Newer releases that stay out."""


class Shelf:
    """The releases of one component on one track, in the order of their versions."""

    def __init__(self, contract: Contract, component: str, track: str, releases: Iterable[Release]) -> None:
        """Keep the releases of `component` that ship on `track`."""
        mine = (release for release in releases if release.component == component)
        on_track = (release for release in mine if not release.tracks or track in release.tracks)
        self.releases = sorted(on_track, key=lambda release: release.version)
        self.all_on_track = self.releases
        self.contract = contract
        self.component = component
        self.track = track

    def limited_to(self, versions: Collection[Version]) -> "Shelf":
        """Return a shelf to choose only these versions from; what they carry is still known."""
        chosen = [release for release in self.releases if release.version in versions]
        limited = Shelf(self.contract, self.component, self.track, chosen)
        limited.all_on_track = self.all_on_track
        return limited

    def choose(
        self,
        *,
        at: datetime,
        wave: int,
        installed: Version | None,
        deferrals: Collection[RunningDeferral] = (),
        frozen: Mapping[ChangeClass, str] | None = None,
        pin: Pin | None = None,
        only: ChangeClass | None = None,
    ) -> Choice:
        """Return the newest release that may go in at a window starting `at`.

        `frozen` names the freeze of each frozen class, `pin` the version the component stays at, if it is held at `at`;
        `only` limits the choice to one class of change.
        """
        held_back: list[HeldBack] = []
        for release in reversed(self.releases):
            if installed is not None and release.version <= installed:
                break
            if utc(release.available_at) > utc(at) or (only is not None and release.change_class is not only):
                continue
            held = (
                _withdrawn(release)
                or self._held_by(release, at, wave, deferrals)
                or self.pinned_by(release, installed, at, pin)
                or self._frozen_by(release, installed, frozen or {})
            )
            if held is None:
                return Choice(release=release, why=self._why(release, wave), held_back=tuple(held_back))
            held_back.append(held)
        return Choice(release=None, why="nothing newer may go in", held_back=tuple(held_back))

    def _held_by(
        self, release: Release, at: datetime, wave: int, deferrals: Collection[RunningDeferral]
    ) -> HeldBack | None:
        opens = wave_opens(self.contract, release, wave)
        if utc(opens) > utc(at):
            return HeldBack(release=release, why=f"wave {wave} opens {opens:%Y-%m-%d %H:%M}")
        running = (each for each in deferrals if each.runs_at(at))
        for each in running if self.component == self.contract.deferral.component else ():
            deferred = each.deferral.release
            if release.holds(deferred):
                return HeldBack(release=release, why=f"{deferred} is deferred until {each.end:%Y-%m-%d}")
            if release.change_class is not ChangeClass.SECURITY:
                return HeldBack(release=release, why=f"only security releases while {deferred} is deferred")
        return None

    def pinned_by(self, release: Release, installed: Version | None, at: datetime, pin: Pin | None) -> HeldBack | None:
        """Return how a pin keeps a release out of a window that starts at `at`; None: it does not."""
        if pin is None or not pin.holds_at(at) or release.version <= pin.version:
            return None
        kept = pin.version if installed is None else max(pin.version, installed)
        if pin.security and self.carried(release, kept) == {ChangeClass.SECURITY}:
            return None
        end = "" if pin.until is None else f" until {pin.until.astimezone(self.contract.zone):%Y-%m-%d}"
        return HeldBack(release=release, why=f"pinned to {pin.version}{end} ({pin.reason})")

    def _frozen_by(
        self, release: Release, installed: Version | None, frozen: Mapping[ChangeClass, str]
    ) -> HeldBack | None:
        for change_class in sorted(self.carried(release, installed)):
            if change_class in frozen:
                why = f"{change_class} changes are frozen by {frozen[change_class]}"
                return HeldBack(release=release, why=why, freeze=frozen[change_class])
        return None

    def carried(self, release: Release, installed: Version | None) -> set[ChangeClass]:
        """Return the classes of all changes between the installed version (unknown: the lowest) and `release`."""
        return {
            other.change_class
            for other in self.all_on_track
            if other is release or (release.holds(other.version) and (installed is None or other.version > installed))
        }

    def _why(self, release: Release, wave: int) -> str:
        return (
            f"newest release on track {self.track} that is not held back; available since "
            f"{release.available_at.astimezone(self.contract.zone):%Y-%m-%d}, wave {wave} is open"
        )


def _withdrawn(release: Release) -> HeldBack | None:
    return HeldBack(release=release, why=f"withdrawn ({release.withdrawn})") if release.withdrawn else None

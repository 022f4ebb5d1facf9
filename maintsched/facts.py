"""What was declared: windows, releases, deferrals, pins, freezes, outages, consents, track switches."""

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from maintsched.birth import settle_fields
from maintsched.contract import Contract
from maintsched.errors import InvalidValue, UnknownName
from maintsched.fleet import Fleet
from maintsched.grammar import require_key, require_text
from maintsched.localtime import Elapsed, elapsed, utc
from maintsched.spans import Span
from maintsched.terms import WINDOW_MAX, require_between
from maintsched.version import Version

AS_ANNOUNCED = "as announced"
"""Reason of a window of the rule that was announced: from then on it no longer follows the rule."""


class WindowKind(StrEnum):
    """What a window was declared as; whether it counts as planned follows from its announcement alone."""

    MONTHLY = "monthly"  # clause 2.4.3.1
    CRITICAL = "critical"  # clause 2.4.3.2
    EMERGENCY = "emergency"  # clause 2.4.3.3


class ChangeClass(StrEnum):
    """How far a change reaches. The operating system's routine updates are a class of their own."""

    OS = "os"
    SECURITY = "security"
    MINOR = "minor"
    MAJOR = "major"


class Impact(StrEnum):
    """What users notice while work goes on, from the least to the worst."""

    NO_IMPACT = "no-impact"
    REDUCED_REDUNDANCY = "reduced-redundancy"
    DEGRADED = "degraded"
    OUTAGE = "outage"


class OutageCause(StrEnum):
    """Who or what caused an outage, where it was not the provider."""

    DEVELOPED_COMPONENT = "developed_component"  # a fault in what the customer developed
    CUSTOMER = "customer"  # the customer in another way
    MISUSE = "misuse"  # clause 6.6
    FORCE_MAJEURE = "force_majeure"  # clause 6.6
    THIRD_PARTY = "third_party"  # clause 6.6


def _aware(field_name: str, at: datetime | None) -> None:
    if at is not None:
        try:
            utc(at, field_name)
        except InvalidValue as error:
            error.field = field_name
            raise


def _ordered(field_name: str, start: datetime, end: datetime | None, *, empty: bool = False) -> None:
    if end is not None and (utc(end) < utc(start) or (not empty and utc(end) == utc(start))):
        expected = f"an instant after {start.isoformat()}"
        raise InvalidValue(field_name, expected=expected, found=end.isoformat(), field=field_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredWindow:
    """A window that somebody entered. One of kind monthly replaces the rule's window of the same key."""

    key: str
    kind: WindowKind
    start: datetime
    end: datetime | None = None
    duration: Elapsed | None = None
    instances: tuple[str, ...] = ()
    """Keys of the instances it is for; empty: every instance."""
    reason: str
    impact: Impact = Impact.OUTAGE
    announced_at: datetime | None = None
    """When the last of those who had to be told was told; None: nobody was."""
    releases: tuple[Version, ...] = ()
    """Releases it was declared for; empty: security releases that are due."""
    cancelled: bool = False

    def __post_init__(self) -> None:
        """Refuse a window without length, reason or with two ends."""
        settle_fields(self)
        require_key("key", self.key)
        require_text("reason", self.reason)
        _aware("start", self.start)
        _aware("end", self.end)
        _aware("announced_at", self.announced_at)
        if (self.end is None) == (self.duration is None):
            found = "both" if self.end else "neither"
            raise InvalidValue("end", expected="either end or duration", found=found, field="duration")
        if self.duration is not None:
            require_between("duration", self.duration, Elapsed(minutes=1), WINDOW_MAX)
        _ordered("end", self.start, self.end)
        if self.end is not None and elapsed(self.start, self.end) > WINDOW_MAX:
            expected = f"an end at most {WINDOW_MAX} after its start"
            raise InvalidValue("end", expected=expected, found=self.end.isoformat(), field="end")

    @property
    def id(self) -> str:
        """The window's id: its kind and key."""
        return f"{self.kind}/{self.key}"

    @property
    def span(self) -> Span:
        """The announced time, in the zone it was declared in."""
        return Span(start=self.start, end=self.end or utc(self.start) + (self.duration or Elapsed(0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version of a component that can be installed. Releases are cumulative: a newer one holds the older ones."""

    version: Version
    change_class: ChangeClass = field(metadata={"key": "class"})
    available_at: datetime
    component: str = "intrexx"
    tracks: tuple[str, ...] = ()
    """Tracks it ships on; empty: every track."""
    changes: str = ""
    estimate: Elapsed | None = None
    """How long its installation is expected to take."""
    carries: tuple[Version, ...] = ()
    """Versions whose changes it holds besides every lower version, such as a security release with a backport."""
    withdrawn: str = ""
    """Why it was taken back: it goes into no window any more, a newer one that holds it does; empty: it was not."""

    def __post_init__(self) -> None:
        """Refuse a class that no release has, and bad texts."""
        settle_fields(self)
        _aware("available_at", self.available_at)
        require_text("changes", self.changes, empty=True)
        require_text("withdrawn", self.withdrawn, empty=True)
        if self.estimate is not None:
            require_between("estimate", self.estimate, Elapsed(minutes=1), WINDOW_MAX)
        if self.change_class is ChangeClass.OS:
            raise InvalidValue("class", expected="minor, major or security", found=self.change_class, field="class")

    @property
    def id(self) -> str:
        """Component and version."""
        return f"{self.component} {self.version}"

    def holds(self, version: Version) -> bool:
        """Say whether installing this release brings the changes of `version`."""
        return self.version >= version or version in self.carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """A customer's wish to have a larger release later: it runs from `start` to `until` (not held; clause 2.4.4)."""

    instance: str
    release: Version
    until: datetime
    start: datetime | None = None
    """Start of the window the release would have gone in; None: the first window that could have taken it."""
    granted_at: datetime | None = None
    withdrawn_at: datetime | None = None
    """When it was withdrawn: it ends then, if not before. None: it was not."""

    def __post_init__(self) -> None:
        """Refuse naive instants and an end before the start."""
        settle_fields(self)
        for name in ("until", "start", "granted_at", "withdrawn_at"):
            _aware(name, getattr(self, name))
        if self.start is not None:
            _ordered("until", self.start, self.until)

    @property
    def id(self) -> str:
        """Instance and version."""
        return f"{self.instance}/{self.release}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A version that a component of an instance stays at: nothing newer goes in from `start` to `until` (not held).

    Security releases go on, as far as they bring no other newer change. An operator pins; it is no deferral, and no
    limit of the contract ends it.
    """

    instance: str
    version: Version
    start: datetime
    reason: str
    until: datetime | None = None
    """None: until somebody unpins it."""
    component: str = "intrexx"
    security: bool = True
    """False: security releases stay out as well."""

    def __post_init__(self) -> None:
        """Refuse a pin without a reason, and an end before the start."""
        settle_fields(self)
        require_text("reason", self.reason)
        _aware("start", self.start)
        _aware("until", self.until)
        _ordered("until", self.start, self.until)

    @property
    def id(self) -> str:
        """Instance and component."""
        return f"{self.instance}/{self.component}"

    def holds_at(self, at: datetime) -> bool:
        """Say whether it keeps newer versions out of a window that starts at `at`."""
        return utc(self.start) <= utc(at) and (self.until is None or utc(at) < utc(self.until))


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A time in which changes of some classes stay out, of the whole fleet, of customers or of instances.

    It ends by itself; `end` is not held.
    """

    key: str
    start: datetime
    end: datetime
    reason: str
    classes: tuple[ChangeClass, ...] = (ChangeClass.MINOR, ChangeClass.MAJOR)
    customers: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    """Both `customers` and `instances` empty: the whole fleet."""

    def __post_init__(self) -> None:
        """Refuse a freeze without reason, end or class."""
        settle_fields(self)
        require_key("key", self.key)
        require_text("reason", self.reason)
        _aware("start", self.start)
        _aware("end", self.end)
        _ordered("end", self.start, self.end)
        if not self.classes:
            raise InvalidValue("classes", expected="at least one change class", found="none", field="classes")

    @property
    def span(self) -> Span:
        """The time it holds changes back."""
        return Span(start=self.start, end=self.end)

    def covers(self, customer: str, instance: str) -> bool:
        """Say whether the scope of this freeze holds the instance."""
        everywhere = not self.customers and not self.instances
        return everywhere or customer in self.customers or instance in self.instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which an instance was not available; `end` None: it still is not.

    `critical`: it was a critical fault of production. `customer_caused`: by a fault in what the customer developed.
    `data_restore`: these seconds were the restore of a large amount of data. `cause` names any other cause.
    """

    start: datetime
    end: datetime | None = None
    critical: bool = True
    customer_caused: bool = False
    data_restore: bool = False
    cause: OutageCause | None = None
    instance: str | None = None

    def __post_init__(self) -> None:
        """Refuse naive instants and an end before the start."""
        settle_fields(self)
        _aware("start", self.start)
        _aware("end", self.end)
        _ordered("end", self.start, self.end, empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """A maintenance as it was announced, and as it was done.

    `announced_at`: when the last of those who had to be told was told; None: never. `started_at`, `completed_at`: when
    work was really done; None: as announced. `consent`: the customer agreed on record to a shorter notice.
    """

    start: datetime
    end: datetime
    announced_at: datetime | None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    consent: bool = False

    def __post_init__(self) -> None:
        """Refuse naive instants and spans that run backwards."""
        settle_fields(self)
        for name in ("start", "end", "announced_at", "started_at", "completed_at"):
            _aware(name, getattr(self, name))
        _ordered("end", self.start, self.end, empty=True)
        if self.completed_at is not None:
            _ordered("completed_at", self.started_at or self.completed_at, self.completed_at, empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A customer's recorded agreement that the provider works on an unmanaged instance (clause 7.7)."""

    instance: str
    given_by: str
    given_at: datetime
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a consent without a person or that ends before it is given."""
        settle_fields(self)
        require_text("given_by", self.given_by)
        _aware("given_at", self.given_at)
        _aware("until", self.until)
        _ordered("until", self.given_at, self.until)

    def holds_at(self, at: datetime) -> bool:
        """Say whether the consent holds at `at`."""
        return utc(self.given_at) <= utc(at) and (self.until is None or utc(at) < utc(self.until))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSwitch:
    """A recorded change of an instance's track (clause 2.4.2)."""

    instance: str
    track: str
    at: datetime

    def __post_init__(self) -> None:
        """Refuse a naive instant."""
        settle_fields(self)
        _aware("at", self.at)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that was declared."""

    windows: tuple[DeclaredWindow, ...] = field(default=(), metadata={"key": "window"})
    releases: tuple[Release, ...] = field(default=(), metadata={"key": "release"})
    deferrals: tuple[Deferral, ...] = field(default=(), metadata={"key": "deferral"})
    pins: tuple[Pin, ...] = field(default=(), metadata={"key": "pin"})
    freezes: tuple[Freeze, ...] = field(default=(), metadata={"key": "freeze"})
    outages: tuple[Outage, ...] = field(default=(), metadata={"key": "outage"})
    consents: tuple[Consent, ...] = field(default=(), metadata={"key": "consent"})
    track_switches: tuple[TrackSwitch, ...] = field(default=(), metadata={"key": "track_switch"})

    def __post_init__(self) -> None:
        """Refuse two windows, releases, deferrals, pins or freezes of one name."""
        settle_fields(self)
        things: tuple[tuple[str, list[tuple[Hashable, str]]], ...] = (
            ("window", [(window.id, window.id) for window in self.windows]),
            ("release", [((each.component, each.version), each.id) for each in self.releases]),
            ("deferral", [((each.instance, each.release), each.id) for each in self.deferrals]),
            ("pin", [(pin.id, pin.id) for pin in self.pins]),
            ("freeze", [(freeze.key, freeze.key) for freeze in self.freezes]),
        )
        for kind, named in things:
            seen = set()
            for same, name in named:  # 12.1 and 12.1.0 are one version with two names
                if same in seen:
                    raise InvalidValue(kind, expected=f"each {kind} once", found=name, field=kind)
                seen.add(same)


def check_facts(contract: Contract, fleet: Fleet, facts: Facts) -> None:
    """Refuse facts that name instances, customers, releases, components or tracks which nothing declares."""
    for window in facts.windows:
        _known(("window", window.id), "instances", window.instances, fleet.owners)
        versions = {release.version for release in facts.releases}  # 12.1 and 12.1.0 are one version
        unknown = [str(version) for version in window.releases if version not in versions]
        _known(("window", window.id), "releases", unknown, [str(version) for version in sorted(versions)])
    for release in facts.releases:
        _known(("release", release.id), "component", [release.component], contract.components)
        _known(("release", release.id), "tracks", release.tracks, contract.tracks)
    for freeze in facts.freezes:
        _known(("freeze", freeze.key), "customers", freeze.customers, [customer.key for customer in fleet.customers])
        _known(("freeze", freeze.key), "instances", freeze.instances, fleet.owners)
    for deferral in facts.deferrals:
        _check_deferral(contract, fleet, facts, deferral)
    for pin in facts.pins:
        _known(("pin", pin.id), "instance", [pin.instance], fleet.owners)
        _known(("pin", pin.id), "component", [pin.component], contract.components)
    for outage in facts.outages:
        if outage.instance is not None:
            _known(("outage", outage.instance), "instance", [outage.instance], fleet.owners)
    for consent in facts.consents:
        _known(("consent", consent.instance), "instance", [consent.instance], fleet.owners)
    for switch in facts.track_switches:
        _known(("track_switch", switch.instance), "instance", [switch.instance], fleet.owners)
        _known(("track_switch", switch.instance), "track", [switch.track], contract.tracks)


def _known(subject: tuple[str, str], field_name: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownName(field_name, found=name, known=known, field=field_name, subject=subject)


def _check_deferral(contract: Contract, fleet: Fleet, facts: Facts, deferral: Deferral) -> None:
    subject = ("deferral", deferral.id)
    _known(subject, "instance", [deferral.instance], fleet.owners)
    component = contract.deferral.component
    releases = {release.version: release for release in facts.releases if release.component == component}
    release = releases.get(deferral.release)
    if release is None:
        known = [str(version) for version in releases]
        raise UnknownName("release", found=str(deferral.release), known=known, field="release", subject=subject)
    if release.change_class is not ChangeClass.MAJOR:
        expected = f"a major release of {component}: only those can be deferred (clause {contract.clauses.updates})"
        found = f"{release.id}, {release.change_class}"
        raise InvalidValue("release", expected=expected, found=found, field="release", subject=subject)

"""The terms of a maintenance contract, as frozen values.

Every term has one meaning, one default in the built-in contract `intrexx-paas`, and the number of the clause it comes
from. Where the text of a contract allows two readings, the term chooses one; the default is the one that is stricter on
the provider. `maintsched.load_contract` reads contracts from TOML files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Self
from zoneinfo import ZoneInfo

from maintsched.errors import InvalidValue, UnknownName
from maintsched.grammar import require_key, require_text
from maintsched.holidaycalendar import HolidayCalendar
from maintsched.localtime import Choice, Elapsed, Period
from maintsched.readings import (
    AvailabilityBase,
    Concurrent,
    Consent,
    Counting,
    CustomerCause,
    Deduct,
    DeferralAfter,
    Late,
    LateMaintenance,
    MonthlyProof,
    NoHours,
    NoticeProof,
    OnHoliday,
    Premium24x7,
    ProvisioningEnd,
    ReminderReading,
    SupportZone,
    Told,
    Weekday,
)
from maintsched.recurrence import Recurrence, Rule


@dataclass(frozen=True, kw_only=True)
class WindowOverride:
    """A decision about one monthly window: another start, duration or holiday policy, or none at all."""

    window: str
    """Id of the window, such as monthly/2026-12."""
    reason: str
    start: datetime | None = None
    """Another start, within 62 days of the rule's; a local time is the contract's zone."""
    duration: Elapsed | None = None
    on_holiday: OnHoliday | None = None
    skip: bool = False

    def __post_init__(self) -> None:
        """Refuse an override without reason or effect."""
        require_text("reason", self.reason)
        if self.start is None and self.duration is None and self.on_holiday is None and not self.skip:
            raise InvalidValue("override", expected="one of start, duration, on_holiday or skip", found="none of them")


@dataclass(frozen=True, kw_only=True)
class MonthlyTerms:
    """The recurring maintenance windows (clause 2.4.3.1 of intrexx-paas)."""

    rule: Rule
    time: time
    duration: Elapsed
    reminder: Period
    """How long before a window its reminder is due at the latest; whole days."""
    reminder_reading: ReminderReading = ReminderReading.FULL_DAYS
    on_holiday: OnHoliday = OnHoliday.KEEP
    proof: MonthlyProof = MonthlyProof.MAIL
    anchor: date = date(2000, 1, 1)
    """The date from which INTERVAL and COUNT are counted; no window lies before it."""
    override: tuple[WindowOverride, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a rule without dates, an empty window and a reminder without days."""
        Recurrence(rule=self.rule, anchor=self.anchor)
        if not Elapsed(0) < self.duration <= Elapsed(days=7):
            raise InvalidValue(
                "duration of a monthly window", expected="more than 0 and at most 168 h", found=self.duration
            )
        if self.reminder.months or not 0 < self.reminder.days <= 62:
            raise InvalidValue("reminder", expected="1 to 62 days", found=self.reminder)
        if self.time.tzinfo is not None:
            raise InvalidValue("time", expected="a wall clock time without offset", found=self.time)
        ids = [override.window for override in self.override]
        if len(set(ids)) < len(ids):
            raise InvalidValue("override", expected="one override a window", found=", ".join(sorted(ids)))

    @property
    def recurrence(self) -> Recurrence:
        """The rule with its anchor."""
        return Recurrence(rule=self.rule, anchor=self.anchor)


@dataclass(frozen=True, kw_only=True)
class CriticalTerms:
    """Critical planned maintenance (clause 2.4.3.2)."""

    lead: Elapsed
    """Announced at least this long before its start, maintenance is planned; later, it is unplanned."""
    consent: Consent = Consent.COUNTS


@dataclass(frozen=True, kw_only=True)
class EmergencyTerms:
    """Emergency work (clause 2.4.3.3)."""

    lead: Elapsed
    """Announced this long before its start where practicable."""


@dataclass(frozen=True, kw_only=True)
class NoticeTerms:
    """How people are told, and what proves it (clause 2.4.3)."""

    told: Told = Told.ALL
    proof: NoticeProof = NoticeProof.ACCEPTED
    margin: Elapsed = Elapsed(hours=24)
    """A notice is planned to go out at least this long before its deadline, in support hours."""
    delivery_margin: Elapsed = Elapsed(hours=2)
    """Time allowed between a command and the acceptance of its mails."""
    hold: Elapsed = Elapsed(0)
    """Time a bulk notice waits before its first mail, so that a mistake can be stopped."""
    role: str = "system_responsible"
    """Contacts of this role are the ones who have to be told."""


@dataclass(frozen=True, kw_only=True)
class DeferralTerms:
    """Deferring a larger update (clause 2.4.4)."""

    max: Period
    """A deferral ends at the latest this long after the start of the window its release would have gone in."""
    remind: tuple[Period, ...]
    """How long before its end the customer is reminded."""
    after: DeferralAfter = DeferralAfter.FIRST_WINDOW_AT_OR_AFTER_END
    component: str = "intrexx"
    """Only major releases of this component can be deferred."""


@dataclass(frozen=True, kw_only=True)
class WaveTerms:
    """In which order releases reach the instances."""

    soak: Period = Period(days=7)
    """Wave n of a release opens (n - 1) times this long after the release is available."""
    security_soak: Period = Period()
    """The same for security releases."""
    environments: Mapping[str, int] = field(default_factory=lambda: {"dev": 1, "test": 2, "prod": 3})
    """The wave of an instance that names none, by its environment."""

    def __post_init__(self) -> None:
        """Freeze the table; waves count from 1."""
        if any(not 1 <= wave <= 99 for wave in self.environments.values()):
            raise InvalidValue("waves.environments", expected="waves from 1 to 99", found=dict(self.environments))
        object.__setattr__(self, "environments", MappingProxyType(dict(self.environments)))


@dataclass(frozen=True, kw_only=True)
class AvailabilityTerms:
    """The monthly availability promise (clause 2.4.5)."""

    target: Decimal
    """The promised share of a month, more than 0 and at most 1."""
    late_maintenance: LateMaintenance = LateMaintenance.COUNTS_IN_FULL
    base: AvailabilityBase = AvailabilityBase.DEDUCTED
    deduct: Deduct = Deduct.WORKED
    customer_cause: CustomerCause = CustomerCause.DEVELOPED_COMPONENT
    clause_6_6: Counting = Counting.COUNTS

    def __post_init__(self) -> None:
        """Refuse a target outside (0, 1]."""
        if not self.target.is_finite() or not 0 < self.target <= 1 or len(str(self.target)) > 12:
            raise InvalidValue(
                "availability.target", expected="a share above 0 and up to 1, such as 0.995", found=self.target
            )

    @property
    def allowed_share(self) -> Fraction:
        """The share of a month that may be downtime, exactly."""
        return 1 - Fraction(self.target)


@dataclass(frozen=True, kw_only=True)
class BackupTerms:
    """Backups (clause 4.1)."""

    max_age: Elapsed
    """Work starts only with a backup younger than this."""


@dataclass(frozen=True, kw_only=True)
class SupportTerms:
    """Support hours (clauses 5.4 to 5.6)."""

    weekdays: tuple[Weekday, ...]
    opens: time
    closes: time
    zone: SupportZone = SupportZone.LOCAL
    no_hours: NoHours = NoHours.SUPPORT_HOURS
    packages_with_hours: tuple[str, ...] = ()
    """Packages for which a clause names support hours."""
    round_the_clock: tuple[str, ...] = ()
    """Packages whose critical faults are served 24 hours a day, 7 days a week."""

    def __post_init__(self) -> None:
        """Refuse hours that never open."""
        if not self.weekdays or not self.opens < self.closes:
            raise InvalidValue(
                "support", expected="at least one weekday, and opens before closes", found=f"{self.opens}"
            )


@dataclass(frozen=True, kw_only=True)
class SeverityTerms:
    """Classes of faults (clause 6.1)."""

    concurrent: Concurrent = Concurrent.OPERATOR


@dataclass(frozen=True, kw_only=True)
class ReactionTime:
    """A promised reaction time: `within` (None: reasonable effort), `exclusive` where reaching it is already late."""

    within: Elapsed | None
    exclusive: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "24 h" (reached is in time), "< 4 h" (reached is late) or "reasonable effort"."""
        if text == "reasonable effort":
            return cls(within=None)
        exclusive = text.startswith("<")
        try:
            within = Elapsed.parse(text.removeprefix("<").strip())
        except InvalidValue as error:
            expected = '"24 h", "< 4 h" or "reasonable effort"'
            raise InvalidValue("reaction time", expected=expected, found=text) from error
        if not within:
            raise InvalidValue("reaction time", expected="more than 0 h", found=text)
        return cls(within=within, exclusive=exclusive)

    def __str__(self) -> str:
        """Write the time as `parse` reads it."""
        if self.within is None:
            return "reasonable effort"
        return f"< {self.within}" if self.exclusive else str(self.within)


@dataclass(frozen=True, kw_only=True)
class ReactionTerms:
    """Reaction times by severity and package (clause 6.3)."""

    critical: Mapping[str, ReactionTime]
    major: Mapping[str, ReactionTime]
    minor: Mapping[str, ReactionTime]
    premium_24x7: Premium24x7 = Premium24x7.TICKET

    def __post_init__(self) -> None:
        """Freeze the tables; each names the same packages."""
        for name in ("critical", "major", "minor"):
            table = getattr(self, name)
            if set(table) != set(self.critical) or not table:
                expected = f"the packages {', '.join(self.critical)}"
                raise InvalidValue(f"reaction.{name}", expected=expected, found=", ".join(table))
            object.__setattr__(self, name, MappingProxyType(dict(table)))


@dataclass(frozen=True, kw_only=True)
class ProvisioningTerms:
    """Provisioning of an ordered instance (clause 2.2)."""

    weekdays: tuple[Weekday, ...]
    """Days that count as working days unless they are public holidays."""
    end: ProvisioningEnd = ProvisioningEnd.END_OF_DAY

    def __post_init__(self) -> None:
        """Refuse a week without working days."""
        if not self.weekdays:
            raise InvalidValue("provisioning.weekdays", expected="at least one weekday", found="none")


@dataclass(frozen=True, kw_only=True)
class MailTerms:
    """Defaults of the provider's mails (clause 2.1)."""

    sender: str = ""
    """Sender of notices to customers without a sender domain of their own; empty: the configuration names it."""


@dataclass(frozen=True, kw_only=True)
class Clauses:
    """The number of the clause that each promise comes from, as a person would cite it."""

    monthly: str
    critical: str
    emergency: str
    updates: str
    availability: str
    provisioning: str
    environments: str
    backup: str
    handover: str
    support: str
    severity: str
    reaction: str
    remote_access: str
    told: str


@dataclass(frozen=True, kw_only=True)
class Contract:
    """All terms of a contract."""

    name: str
    title: str
    zone: ZoneInfo
    """Zone of every wall clock time and calendar date of the contract."""
    holidays: HolidayCalendar
    components: tuple[str, ...]
    """What an instance consists of (clause 1.2)."""
    packages: tuple[str, ...]
    """The support packages; a flex package counts as its base package."""
    clauses: Clauses
    monthly: MonthlyTerms
    critical: CriticalTerms
    emergency: EmergencyTerms
    deferral: DeferralTerms
    availability: AvailabilityTerms
    backup: BackupTerms
    support: SupportTerms
    reaction: ReactionTerms
    provisioning: ProvisioningTerms
    handover: Period
    """Data are handed over within this long after the end of a subscription (clause 4.2)."""
    notice: NoticeTerms = NoticeTerms()
    waves: WaveTerms = field(default_factory=WaveTerms)
    severity: SeverityTerms = SeverityTerms()
    mail: MailTerms = MailTerms()
    environments: Mapping[str, str] = field(default_factory=lambda: {"prod": "", "test": "-test", "dev": "-dev"})
    """What each environment adds to the host name of the production URL (clause 2.3)."""
    production: str = "prod"
    """The environment whose outages count and whose faults may be critical."""
    tracks: tuple[str, ...] = ("silent", "steady")
    track: str = "silent"
    """The track of an instance that names none (clause 2.4.2)."""
    os_component: str = "linux"
    """The component that the operating system's updates belong to."""
    late: Late = Late.HOLD
    clock_change: Choice = Choice.EARLIER
    """Which instant a wall clock time in a clock change means."""

    def __post_init__(self) -> None:
        """Refuse terms that name what another term does not know."""
        require_key("name", self.name)
        require_text("title", self.title)
        object.__setattr__(self, "environments", MappingProxyType(dict(self.environments)))
        for what, names, known in (
            ("os_component", (self.os_component,), self.components),
            ("deferral.component", (self.deferral.component,), self.components),
            ("track", (self.track,), self.tracks),
            ("production", (self.production,), self.environments),
            ("waves.environments", self.waves.environments, self.environments),
            ("reaction.critical", self.reaction.critical, self.packages),
            ("packages", self.packages, self.reaction.critical),
            ("support.packages_with_hours", self.support.packages_with_hours, self.packages),
            ("support.round_the_clock", self.support.round_the_clock, self.packages),
        ):
            for name in names:
                if name not in known:
                    raise UnknownName(what, found=name, known=known)

    def __hash__(self) -> int:
        """Hash by name, zone and rule: contracts that differ elsewhere may share it."""
        return hash((self.name, self.zone.key, self.monthly.rule, self.monthly.time))

    def package(self, name: str) -> str:
        """Return the base package of `name`; "premium_flex" and "premium-flex" count as "premium"."""
        base = re.sub(r"[ _-]flex$", "", name)
        if base not in self.packages:
            raise UnknownName("package", found=name, known=self.packages)
        return base


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why an instant is what it is: the clause, the reading of it that was used, and the facts that went in."""

    at: datetime
    clause: str
    reading: str
    facts: tuple[tuple[str, str], ...]
    exclusive: bool = False
    """True where the instant itself is already too late."""

    def __str__(self) -> str:
        """Say it in a few lines, one fact a line."""
        bound = "before" if self.exclusive else "at or before"
        lines = [f"{bound} {self.at.isoformat()}", f"clause {self.clause}, reading {self.reading}"]
        return "\n".join(lines + [f"  {name}: {value}" for name, value in self.facts])

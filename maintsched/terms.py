"""The groups of terms that a contract consists of, as frozen values.

Every term has one meaning, one default in `intrexx-paas`, and the number of the clause it comes from. Where a text
allows two readings, the default is the one stricter on the provider. Bounds keep every date in the calendar.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Self

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue
from maintsched.grammar import email_address, require_key, require_once, require_text
from maintsched.localtime import Elapsed, Period
from maintsched.readings import (
    AvailabilityBase,
    Concurrent,
    Consent,
    Counting,
    CustomerCause,
    Deduct,
    DeferralAfter,
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

WINDOW_MAX = Elapsed(days=7)
"""No window may be longer."""
LEAD_MAX = Elapsed(days=62)
"""No lead, margin, reaction time or age of a backup may be longer."""
MONTHS_MAX = 120
"""No calendar period may be longer."""


def require_between(field_name: str, found: Elapsed, least: Elapsed, most: Elapsed) -> None:
    """Refuse a duration outside its bounds, both of them held."""
    if not least <= found <= most:
        raise InvalidValue(field_name, expected=f"{least} to {most}", found=found, field=field_name)


def require_bounded(field_name: str, found: Period, *, empty: bool = False) -> None:
    """Refuse a period of more than ten years, and one of no days unless it may be `empty`."""
    months = found.months + found.days / 30
    if months > MONTHS_MAX or (months == 0 and not empty):
        expected = f"up to {MONTHS_MAX} months" + ("" if empty else ", more than 0 days")
        raise InvalidValue(field_name, expected=expected, found=found, field=field_name)


@dataclass(frozen=True, kw_only=True)
class WindowOverride:
    """A decision about one monthly window: another start, duration or holiday policy, or none at all."""

    window: str
    """Id of the window, such as monthly/2026-12."""
    reason: str
    start: datetime | None = None
    """Another start, within 62 days of the rule's."""
    duration: Elapsed | None = None
    on_holiday: OnHoliday | None = None
    skip: bool = False

    def __post_init__(self) -> None:
        """Refuse an override without reason or effect, and one that skips what it changes."""
        settle_fields(self)
        require_text("reason", self.reason)
        changes = [each for each in ("start", "duration", "on_holiday") if getattr(self, each) is not None]
        if not changes and not self.skip:
            raise InvalidValue("override", expected="one of start, duration, on_holiday or skip", found="none of them")
        if changes and self.skip:
            raise InvalidValue("skip", expected=f"skip or {changes[0]}, not both", found="both", field="skip")
        if self.duration is not None:
            require_between("duration", self.duration, Elapsed(minutes=1), WINDOW_MAX)


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
        settle_fields(self)
        Recurrence(rule=self.rule, anchor=self.anchor)
        require_between("duration", self.duration, Elapsed(minutes=1), WINDOW_MAX)
        if self.reminder.months or not 0 < self.reminder.days <= 62:
            raise InvalidValue("reminder", expected="1 to 62 days", found=self.reminder, field="reminder")
        if self.time.tzinfo is not None:
            raise InvalidValue("time", expected="a wall clock time without offset", found=self.time, field="time")
        require_once("override", "one override a window", [override.window for override in self.override])

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

    def __post_init__(self) -> None:
        """Refuse a lead out of bounds."""
        settle_fields(self)
        require_between("lead", self.lead, Elapsed(0), LEAD_MAX)


@dataclass(frozen=True, kw_only=True)
class EmergencyTerms:
    """Emergency work (clause 2.4.3.3)."""

    lead: Elapsed
    """Announced this long before its start where practicable."""

    def __post_init__(self) -> None:
        """Refuse a lead out of bounds."""
        settle_fields(self)
        require_between("lead", self.lead, Elapsed(0), LEAD_MAX)


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

    def __post_init__(self) -> None:
        """Refuse margins out of bounds and what is no name of a role."""
        settle_fields(self)
        for name in ("margin", "delivery_margin", "hold"):
            require_between(name, getattr(self, name), Elapsed(0), LEAD_MAX)
        require_key("role", self.role)


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

    def __post_init__(self) -> None:
        """Refuse periods out of bounds."""
        settle_fields(self)
        require_bounded("max", self.max)
        for period in self.remind:
            require_bounded("remind", period)


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
        """Refuse waves that do not count from 1 and waits out of bounds."""
        settle_fields(self)
        for name, wave in self.environments.items():
            if not 1 <= wave <= 99:
                expected = "a wave from 1 to 99"
                raise InvalidValue("environments", expected=expected, found=wave, field=f"environments.{name}")
        for name in ("soak", "security_soak"):
            require_bounded(name, getattr(self, name), empty=True)


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
        settle_fields(self)
        exponent = self.target.as_tuple().exponent
        small = not isinstance(exponent, int) or exponent < -12  # as a fraction, 1E-9999999 takes for ever
        if small or not 0 < self.target <= 1:
            expected = "a share above 0 and up to 1 of at most 12 decimals, such as 0.995"
            raise InvalidValue("target", expected=expected, found=self.target, field="target")

    @property
    def allowed_share(self) -> Fraction:
        """The share of a month that may be downtime, exactly."""
        return 1 - Fraction(self.target)


@dataclass(frozen=True, kw_only=True)
class BackupTerms:
    """Backups (clause 4.1)."""

    max_age: Elapsed
    """Work starts only with a backup younger than this."""

    def __post_init__(self) -> None:
        """Refuse an age out of bounds."""
        settle_fields(self)
        require_between("max_age", self.max_age, Elapsed(minutes=1), LEAD_MAX)


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
        settle_fields(self)
        if not self.weekdays:
            raise InvalidValue("weekdays", expected="at least one weekday", found="none", field="weekdays")
        for name in ("opens", "closes"):
            at = getattr(self, name)
            if at.tzinfo is not None:
                raise InvalidValue(name, expected="a wall clock time without offset", found=at, field=name)
        if not self.opens < self.closes:
            expected = f"a time after {self.opens}, when support opens"
            raise InvalidValue("closes", expected=expected, found=self.closes, field="closes")


@dataclass(frozen=True, kw_only=True)
class SeverityTerms:
    """Classes of faults (clause 6.1)."""

    concurrent: Concurrent = Concurrent.OPERATOR

    def __post_init__(self) -> None:
        """Refuse what is no reading."""
        settle_fields(self)


@dataclass(frozen=True, kw_only=True)
class ReactionTime:
    """A promised reaction time: `within` (None: reasonable effort), `exclusive` where reaching it is already late."""

    within: Elapsed | None
    exclusive: bool = False

    def __post_init__(self) -> None:
        """Refuse a time out of bounds."""
        settle_fields(self)
        if self.within is not None and not Elapsed(0) < self.within <= LEAD_MAX:
            expected = f"more than 0 h and at most {LEAD_MAX}"
            raise InvalidValue("reaction time", expected=expected, found=str(self))

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
        """Refuse tables that do not name the same packages."""
        settle_fields(self)
        for name in ("critical", "major", "minor"):
            table = getattr(self, name)
            if set(table) != set(self.critical) or not table:
                expected = f"the packages {', '.join(self.critical)}"
                odd = next((f".{package}" for package in table if package not in self.critical), "")
                raise InvalidValue(name, expected=expected, found=", ".join(table), field=f"{name}{odd}")


@dataclass(frozen=True, kw_only=True)
class ProvisioningTerms:
    """Provisioning of an ordered instance (clause 2.2)."""

    weekdays: tuple[Weekday, ...]
    """Days that count as working days unless they are public holidays."""
    end: ProvisioningEnd = ProvisioningEnd.END_OF_DAY

    def __post_init__(self) -> None:
        """Refuse a week without working days."""
        settle_fields(self)
        if not self.weekdays:
            raise InvalidValue("weekdays", expected="at least one weekday", found="none", field="weekdays")


@dataclass(frozen=True, kw_only=True)
class MailTerms:
    """Defaults of the provider's mails (clause 2.1)."""

    sender: str = ""
    """Sender of notices to customers without a sender domain of their own; empty: the configuration names it."""

    def __post_init__(self) -> None:
        """Refuse what is no address; encode its domain."""
        settle_fields(self)
        if self.sender:
            object.__setattr__(self, "sender", email_address("sender", self.sender))


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
    own_backup: str = ""
    """That customers back up before updates (clause 7.1 of intrexx-paas); empty: none says so."""

    def __post_init__(self) -> None:
        """Refuse what cannot be cited on one line of a mail."""
        settle_fields(self)
        for each in fields(self):
            require_text(each.name, getattr(self, each.name), empty=each.name == "own_backup")

"""A maintenance contract: all its terms together, and why an instant that follows from them is what it is.

`maintsched.load_contract` reads contracts from TOML files. The terms are in `maintsched.terms`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from maintsched.birth import settle_fields
from maintsched.errors import UnknownName
from maintsched.grammar import require_host_suffix, require_key, require_once, require_text
from maintsched.holidaycalendar import HolidayCalendar
from maintsched.localtime import Choice, Period
from maintsched.readings import (
    Late,
)
from maintsched.terms import (
    AvailabilityTerms,
    BackupTerms,
    Clauses,
    CriticalTerms,
    DeferralTerms,
    EmergencyTerms,
    MailTerms,
    MonthlyTerms,
    NoticeTerms,
    ProvisioningTerms,
    ReactionTerms,
    SeverityTerms,
    SupportTerms,
    WaveTerms,
    require_bounded,
)


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
        settle_fields(self)
        require_key("name", self.name)
        require_text("title", self.title)
        require_bounded("handover", self.handover)
        for field_name in ("components", "packages", "tracks", "environments"):
            names: tuple[str, ...] = tuple(getattr(self, field_name))
            require_once(field_name, "each name once", names)
            for each in names:
                require_key(field_name, each)
        for name, suffix in self.environments.items():
            require_host_suffix(f"environments.{name}", suffix)
        self._require_known_names()

    def _require_known_names(self) -> None:
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
                    raise UnknownName(what, found=name, known=known, field=what)

    def __hash__(self) -> int:
        """Hash by name, zone and rule: contracts that differ elsewhere may share it."""
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        """Leave the hash out of a pickle: texts hash differently in every process."""
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    @cached_property
    def _hash(self) -> int:
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

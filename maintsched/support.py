"""Support hours, reaction times, working days, severities (clauses 5.4 to 6.4, 2.2).

A support clock runs only while support is open. The open hours of a year are worked out once, as integers
(microseconds on the UTC time line) with their running sum, so that a due instant is two bisections.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from maintsched.contract import Contract, Explained
from maintsched.errors import InvalidValue, UnknownName
from maintsched.localtime import Elapsed, require_year, settle_on, start_of_day, utc
from maintsched.readings import Concurrent, NoHours, Premium24x7, ProvisioningEnd, SupportZone, weekday_numbers
from maintsched.terms import ReactionTime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Severity(StrEnum):
    """Classes of faults (clause 6.1), the worst first."""

    CRITICAL = "critical"  # work in the production portal is prevented
    MAJOR = "major"  # work in the production portal is restricted
    MINOR = "minor"  # everything else, and every fault outside production


class Clock(StrEnum):
    """Which time a reaction is measured in."""

    SUPPORT_HOURS = "support_hours"
    AROUND_THE_CLOCK = "24x7"
    ELAPSED = "elapsed"  # the other reading for packages without support hours
    BEST_EFFORT = "best_effort"  # no promise, no due instant


class Standstill(StrEnum):
    """How far a fault stops work, for the severity rules of clause 6.1."""

    STOPPED = "stopped"
    RESTRICTED = "restricted"
    NONE = "none"


class Scope(StrEnum):
    """What a fault hits, for the severity rules of clause 6.1."""

    PORTAL = "portal"
    PRIMARY = "primary"  # a primary application or process
    SECONDARY = "secondary"  # a secondary application or process


def severity(contract: Contract, *, environment: str, scope: Scope, standstill: Standstill) -> Severity:
    """Return the class of a fault (clause 6.1): outside production it is always minor."""
    if environment not in contract.environments:
        raise UnknownName("environment", found=environment, known=contract.environments)
    for name, value, known in (("scope", scope, Scope), ("standstill", standstill, Standstill)):
        if value not in tuple(known):
            raise UnknownName(name, found=str(value), known=tuple(known))
    if environment != contract.production or standstill == Standstill.NONE:
        return Severity.MINOR
    if standstill == Standstill.STOPPED and scope != Scope.SECONDARY:
        return Severity.CRITICAL
    return Severity.MAJOR


def concurrent_severity(contract: Contract, severities: Collection[Severity]) -> Severity:
    """Return the class of faults that occur at once (clause 6.1.4).

    With `severity.concurrent = operator` it is the worst of them, and raising it is an operator's recorded decision;
    with `raise` two or more of the worst class make the next higher one.
    """
    if not severities:
        raise InvalidValue("severities", expected="at least one", found="none")
    order = tuple(Severity)
    worst = min(severities, key=order.index)
    several = sum(each is worst for each in severities) > 1
    if contract.severity.concurrent is Concurrent.RAISE and several and worst is not Severity.CRITICAL:
        return order[order.index(worst) - 1]
    return worst


class SupportHours:
    """The open hours of one support clock, by local year."""

    def __init__(self, contract: Contract, zone: tzinfo) -> None:
        """Read the terms once; `zone` is the clock that the hours are told by."""
        self.zone = zone
        self._contract = contract
        self._weekdays = weekday_numbers(contract.support.weekdays)
        self._years: dict[int, tuple[list[int], list[int], list[int]]] = {}

    def year(self, year: int) -> tuple[list[int], list[int], list[int]]:
        """Return the openings and closings of `year`, and how long support was open before each opening."""
        known = self._years.get(year)
        if known is None:
            known = self._years[year] = self._work_out(year)
        return known

    def _work_out(self, year: int) -> tuple[list[int], list[int], list[int]]:
        terms, holidays = self._contract.support, self._contract.holidays.of_year(year)
        opens, closes, before, total = [], [], [], 0
        day = date(year, 1, 1)
        while day.year == year:
            if day.weekday() in self._weekdays and day not in holidays:
                start, end = (
                    _micro(settle_on(day, at, self.zone, self._contract.clock_change).at)
                    for at in (terms.opens, terms.closes)
                )
                opens.append(start)
                closes.append(end)
                before.append(total)
                total += end - start
            day += timedelta(days=1)
        return opens, closes, before

    def is_open(self, at: datetime) -> bool:
        """Say whether support is open at `at`: from opening (held) to closing (not held)."""
        instant = _micro(utc(at))
        opens, closes, _ = self.year(at.astimezone(self.zone).year)
        index = bisect_right(closes, instant)
        return index < len(closes) and opens[index] <= instant

    def due(self, opened: datetime, within: timedelta) -> datetime:
        """Return the earliest instant at which support was open for `within` since `opened`, both in UTC."""
        instant, need = _micro(opened), within // _MICROSECOND
        year = opened.astimezone(self.zone).year
        while True:
            opens, closes, before = self.year(year)
            index = bisect_right(closes, instant)
            if index < len(closes):
                goal = before[index] + max(0, instant - opens[index]) + need
                day = bisect_left(before, goal, lo=index + 1) - 1
                reached = opens[day] + goal - before[day]
                if reached <= closes[day]:
                    return _EPOCH + reached * _MICROSECOND
                need = reached - closes[day]
            year += 1

    def opening_at_or_before(self, at: datetime) -> datetime:
        """Return the last opening of support at or before `at`, in UTC."""
        instant = _micro(utc(at))
        for year in (at.astimezone(self.zone).year, at.astimezone(self.zone).year - 1):
            opens, _, _ = self.year(year)
            index = bisect_right(opens, instant)
            if index:
                return _EPOCH + opens[index - 1] * _MICROSECOND
        raise InvalidValue("support hours", expected="an opening within a year", found=at.isoformat())


def _micro(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND  # one side is UTC: Python then counts on the UTC time line


@lru_cache(maxsize=32)
def support_hours(contract: Contract, *, utc_1: bool = False) -> SupportHours:
    """Return the support hours by the contract's local clock, or by UTC+1 all year."""
    return SupportHours(contract, timezone(timedelta(hours=1)) if utc_1 else contract.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a contract promises for a package and a class of fault: a `time`, on a `clock`."""

    time: ReactionTime
    clock: Clock
    clause: str
    reading: str
    needs_call: bool = False
    """True where the clock starts with a call, and not with the ticket."""


class ReactionDue(NamedTuple):
    """When a first reaction is due: `due_at` (None: reasonable effort), on which `clock`.

    `exclusive`: a reaction at `due_at` itself is late.
    """

    due_at: datetime | None
    exclusive: bool
    clock: Clock
    opened_at: datetime
    promised: Promise

    @property
    def promise(self) -> ReactionTime:
        """The promised reaction time."""
        return self.promised.time

    @property
    def clause(self) -> str:
        """The clause that promises it."""
        return self.promised.clause

    @property
    def reading(self) -> str:
        """The reading of the support hours that was used."""
        return self.promised.reading

    @property
    def explained(self) -> Explained | None:
        """Why it is due then; None where nothing is due."""
        if self.due_at is None:
            return None
        facts = (
            ("opened", self.opened_at.isoformat()),
            ("promised", str(self.promise)),
            ("clock", str(self.clock)),
        )
        return Explained(
            at=self.due_at, clause=self.clause, reading=self.reading, facts=facts, exclusive=self.exclusive
        )

    def met_by(self, replied_at: datetime, fix_started_at: datetime) -> bool:
        """Say whether a reply and the start of the fix were in time; the later of both counts (clause 6.3)."""
        if self.due_at is None:
            return True
        reacted, due = max(utc(replied_at), utc(fix_started_at)), utc(self.due_at)
        return reacted < due if self.exclusive else reacted <= due


def reaction_due(
    contract: Contract,
    package: str,
    severity: str,
    opened_at: datetime,
    environment: str | None = None,
    *,
    called_at: datetime | None = None,
    agreed: ReactionTime | None = None,
) -> ReactionDue:
    """Return when the first reaction to a ticket is due (clause 6.3).

    `severity` is the class the customer stated; outside production it is minor whatever was stated (clause 6.1.3), and
    an `environment` of None is production. `called_at` is when the customer rang the hotline, which
    `reaction.premium_24x7 = ticket_and_call` asks for; `agreed` is a reaction time agreed in writing.
    """
    promise = _promise(contract, package, severity, environment or contract.production, agreed)
    opened, within = utc(opened_at, "opened_at"), promise.time.within
    if within is None:
        return ReactionDue(None, promise.time.exclusive, promise.clock, opened_at, promise)
    if promise.needs_call:
        promise = _by_call(contract, promise, within, opened, called_at)
        opened = max(opened, utc(called_at, "called_at")) if called_at and promise.needs_call else opened
    if promise.clock is Clock.SUPPORT_HOURS:
        due_at = _due_in_hours(contract, within, opened)
    else:
        due_at = (opened + within).astimezone(contract.zone)
    return ReactionDue(due_at, promise.time.exclusive, promise.clock, opened_at, promise)


def _by_call(
    contract: Contract, promise: Promise, within: Elapsed, opened: datetime, called_at: datetime | None
) -> Promise:
    """Return what a promise that begins with a call comes to: with a late call, or none, support hours count."""
    in_hours = utc(_due_in_hours(contract, within, opened))
    if called_at is not None and max(opened, utc(called_at, "called_at")) + within < in_hours:
        return promise
    return replace(promise, clock=Clock.SUPPORT_HOURS, needs_call=False)


@lru_cache(maxsize=1024)
def _promise(contract: Contract, package: str, severity: str, environment: str, agreed: ReactionTime | None) -> Promise:
    if environment not in contract.environments:
        raise UnknownName("environment", found=environment, known=contract.environments)
    if severity not in tuple(Severity):
        raise UnknownName("severity", found=severity, known=tuple(Severity))
    base = contract.package(package)
    stated = severity if environment == contract.production else Severity.MINOR
    time: ReactionTime = agreed or getattr(contract.reaction, stated)[base]
    clock = _clock(contract, base, stated, time)
    readings = {
        Clock.SUPPORT_HOURS: f"support.zone = {contract.support.zone}",
        Clock.AROUND_THE_CLOCK: f"reaction.premium_24x7 = {contract.reaction.premium_24x7}",
        Clock.ELAPSED: f"support.no_hours = {contract.support.no_hours}",
        Clock.BEST_EFFORT: "reasonable effort",
    }
    return Promise(
        time=time,
        clock=clock,
        clause=contract.clauses.reaction,
        reading=("agreed in writing, " if agreed else "") + readings[clock],
        needs_call=clock is Clock.AROUND_THE_CLOCK and contract.reaction.premium_24x7 is Premium24x7.TICKET_AND_CALL,
    )


def _clock(contract: Contract, package: str, severity: str, promise: ReactionTime) -> Clock:
    if promise.within is None:
        return Clock.BEST_EFFORT
    if severity == Severity.CRITICAL and package in contract.support.round_the_clock:
        return Clock.AROUND_THE_CLOCK
    if contract.support.no_hours is NoHours.ELAPSED and package not in contract.support.packages_with_hours:
        return Clock.ELAPSED
    return Clock.SUPPORT_HOURS


def _due_in_hours(contract: Contract, within: timedelta, opened: datetime) -> datetime:
    zone = contract.support.zone
    if zone is SupportZone.EARLIEST:
        both = (support_hours(contract, utc_1=utc_1).due(opened, within) for utc_1 in (False, True))
        return min(both).astimezone(contract.zone)
    return support_hours(contract, utc_1=zone is SupportZone.UTC_1).due(opened, within).astimezone(contract.zone)


def provisioning_due(contract: Contract, ordered_at: datetime, *, agreed_at: datetime | None = None) -> datetime:
    """Return when an ordered instance has to be available: the end of the next working day (clause 2.2).

    The end of a day is 00:00 of the day after, exclusive of nothing: being ready then is in time. A later instant
    agreed with the customer (`agreed_at`) replaces it.
    """
    return explain_provisioning_due(contract, ordered_at, agreed_at=agreed_at).at


def explain_provisioning_due(
    contract: Contract, ordered_at: datetime, *, agreed_at: datetime | None = None
) -> Explained:
    """Say why `provisioning_due` is what it is."""
    end = contract.provisioning.end
    ordered = utc(ordered_at, "ordered_at").astimezone(contract.zone)
    day = contract.holidays.next_day(ordered.date(), weekday_numbers(contract.provisioning.weekdays))
    facts = [("ordered", ordered.isoformat()), ("next working day", day.isoformat())]
    if end is ProvisioningEnd.END_OF_DAY:
        at = start_of_day(day + timedelta(days=1), contract.zone)
    elif end is ProvisioningEnd.CLOSE_OF_BUSINESS:
        at = settle_on(day, contract.support.closes, contract.zone, contract.clock_change).at
    else:
        at = _due_in_hours(contract, timedelta(hours=8), utc(ordered_at))
    if agreed_at is not None and utc(agreed_at, "agreed_at") > utc(at):
        at = agreed_at.astimezone(contract.zone)
        facts.append(("agreed later", at.isoformat()))
    return Explained(
        at=at, clause=contract.clauses.provisioning, reading=f"provisioning.end = {end}", facts=tuple(facts)
    )


def handover_due(contract: Contract, ended_on: date | datetime) -> datetime:
    """Return when the data of an ended subscription have to be handed over (clause 4.2).

    `ended_on` is the last local day of the subscription, or the instant of its end. The period runs from the end of
    that day, so that the result is the end of the day four weeks later (00:00 of the day after it).
    """
    return explain_handover_due(contract, ended_on).at


def explain_handover_due(contract: Contract, ended_on: date | datetime) -> Explained:
    """Say why `handover_due` is what it is."""
    if isinstance(ended_on, datetime):  # an instant at which the subscription no longer runs
        ended_on = (utc(ended_on, "ended_on") - _MICROSECOND).astimezone(contract.zone).date()
    require_year(ended_on, "ended_on")
    last = contract.handover.after(ended_on)
    at = start_of_day(last + timedelta(days=1), contract.zone)
    facts = (("subscription ended on", ended_on.isoformat()), ("handover", str(contract.handover)))
    return Explained(at=at, clause=contract.clauses.handover, reading="end of the last day", facts=facts)

"""What unplanned work would cost of a month's availability, before it is decided (clause 2.4.5)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from maintsched.availability import Availability, availability
from maintsched.contract import Contract
from maintsched.deadlines import Classification, classify
from maintsched.facts import DeclaredWindow, Maintenance
from maintsched.localtime import Period, utc
from maintsched.proof import maintenance_of
from maintsched.worker.house import Scene
from maintsched.worker.reports import subscribed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a window would cost one instance in one month."""

    instance: str
    month: str
    before: Availability
    after: Availability

    @property
    def seconds(self) -> int:
        """How many more seconds would count."""
        return self.after.counted_seconds - self.before.counted_seconds

    @property
    def left(self) -> Fraction:
        """How many seconds of the budget would be left; less than 0: the promise would be broken."""
        return self.after.budget_left_seconds

    @property
    def percent(self) -> Decimal | None:
        """The availability with it."""
        return self.after.percent


def cost_of(contract: Contract, scene: Scene, window: DeclaredWindow, *, now: datetime) -> list[Cost]:
    """Return what `window`, announced at `now`, would cost each of its production instances, by month.

    Announced in time it is deducted and costs nothing; later, all of it counts. Windows ahead whose notices are still
    on their way are taken as announced now.
    """
    found = []
    for key in window.instances or tuple(scene.fleet.owners):
        if scene.fleet.instance(key).environment != contract.production:
            continue
        known = [
            _pending(contract, each, now) for each in maintenance_of(key, scene.announcements, scene.told, scene.worked)
        ]
        extra = Maintenance(start=window.span.start, end=window.span.end, announced_at=now)
        outages = [each.outage for each in scene.outages if each.outage.instance == key]
        for month in months_of(contract, window):
            paid = subscribed(contract, scene.fleet.instance(key), month)
            at = max(utc(now), utc(window.span.end))
            before = availability(contract, month, outages, known, now=at, subscription=paid)
            after = availability(contract, month, outages, [*known, extra], now=at, subscription=paid)
            found.append(Cost(instance=key, month=month, before=before, after=after))
    return found


def _pending(contract: Contract, work: Maintenance, now: datetime) -> Maintenance:
    """Return maintenance ahead that nobody was told of yet as announced now, where that is in time."""
    in_time = classify(contract, work.start, now) is Classification.PLANNED
    return replace(work, announced_at=now) if work.announced_at is None and in_time else work


def months_of(contract: Contract, window: DeclaredWindow) -> list[str]:
    """Return the local months that a window lies in, as 2026-12."""
    first = window.span.start.astimezone(contract.zone).date().replace(day=1)
    last = (utc(window.span.end) - timedelta(microseconds=1)).astimezone(contract.zone).date()
    months = []
    while first <= last:
        months.append(f"{first:%Y-%m}")
        first = Period(months=1).after(first)
    return months


def broken(costs: Iterable[Cost]) -> list[Cost]:
    """Return the costs that would break a month's promise."""
    return [cost for cost in costs if cost.after.met is False and cost.before.met is not False]

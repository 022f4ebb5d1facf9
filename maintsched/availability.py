"""Availability of a month: outages and maintenance as exact seconds (clause 2.4.5).

Everything is whole seconds on the UTC time line, rounded against the provider: downtime outward, deductions inward.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from maintsched.contract import Contract
from maintsched.deadlines import Classification, classify
from maintsched.errors import InvalidValue
from maintsched.facts import Maintenance, Outage, OutageCause
from maintsched.localtime import FIRST_YEAR, LAST_YEAR, start_of_day, utc
from maintsched.readings import AvailabilityBase, Consent, Counting, CustomerCause, Deduct, LateMaintenance
from maintsched.spans import Pairs, Span, clip, length, subtract

READINGS = ("late_maintenance", "base", "deduct", "customer_cause", "clause_6_6")
"""The terms whose readings an availability depends on, besides `critical.consent`."""
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """The availability of one month, exactly. Seconds are whole; what is allowed may be a fraction of one."""

    month: str
    month_seconds: int
    deducted_seconds: int
    base_seconds: int
    counted_seconds: int
    percent: Decimal | None
    """Six places, half up; None where nothing is left to divide by."""
    met: bool
    """Decided on the exact counts, never on `percent`."""
    allowed_seconds: Fraction
    budget_left_seconds: Fraction
    """Negative where the promise was missed."""
    clause: str
    reading: str


def month_span(contract: Contract, month: str) -> Span:
    """Return the local calendar month "YYYY-MM" of the contract's zone as instants."""
    found = _MONTH.fullmatch(month)
    if found is None or not FIRST_YEAR <= int(found[1]) < LAST_YEAR:
        raise InvalidValue("month", expected=f'"YYYY-MM" from {FIRST_YEAR} to {LAST_YEAR - 1}', found=month)
    year, number = int(found[1]), int(found[2])
    first, after = date(year, number, 1), date(year + number // 12, number % 12 + 1, 1)
    return Span(start=start_of_day(first, contract.zone), end=start_of_day(after, contract.zone))


def availability(  # the month and what is known of it
    contract: Contract,
    month: str,
    outages: Iterable[Outage],
    maintenance: Iterable[Maintenance],
    now: datetime | None = None,
    *,
    subscription: Span | None = None,
) -> Availability:
    """Return the availability of the local month "YYYY-MM" of one instance (clause 2.4.5).

    An open outage runs to `now`, or to the end of the month. `subscription` clips the month to the time it was paid
    for. Every second counts at most once.
    """
    span = month_span(contract, month)
    start, end = int(span.start.timestamp()), int(span.end.timestamp())
    if subscription is not None:
        start = min(max(start, ceil(subscription.start.timestamp())), end)
        end = max(min(end, floor(subscription.end.timestamp())), start)
    deducted, late = _maintained(contract, maintenance)
    down = _down(contract, outages, end if now is None else min(end, ceil(utc(now, "now").timestamp())))
    deducted = clip(deducted, start, end)
    left = clip(subtract([*down, *late], deducted), start, end)
    counted = sum(until - since for since, until in left)  # disjoint, so that no second is counted twice
    return _result(contract, month, month_seconds=end - start, deducted=length(deducted), counted=counted)


def _result(contract: Contract, month: str, *, month_seconds: int, deducted: int, counted: int) -> Availability:
    terms = contract.availability
    base = month_seconds if terms.base is AvailabilityBase.FULL_MONTH else month_seconds - deducted
    allowed = terms.allowed_share * base
    return Availability(
        month=month,
        month_seconds=month_seconds,
        deducted_seconds=deducted,
        base_seconds=base,
        counted_seconds=counted,
        percent=_percent(counted, base) if base else None,
        met=counted <= allowed,
        allowed_seconds=allowed,
        budget_left_seconds=allowed - counted,
        clause=contract.clauses.availability,
        reading=", ".join(f"availability.{name} = {getattr(terms, name)}" for name in READINGS),
    )


def _percent(counted: int, base: int) -> Decimal:
    rounded_half_up = (2 * 100 * 10**6 * (base - counted) + base) // (2 * base)
    return Decimal(rounded_half_up).scaleb(-6)


def _down(contract: Contract, outages: Iterable[Outage], open_end: int) -> Pairs:
    excused = _excused_causes(contract)
    spans = []
    for outage in outages:
        if outage.critical and not outage.customer_caused and not outage.data_restore and outage.cause not in excused:
            end = open_end if outage.end is None else ceil(outage.end.timestamp())
            spans.append((floor(outage.start.timestamp()), end))
    return spans


def _excused_causes(contract: Contract) -> frozenset[OutageCause]:
    excused = {OutageCause.DEVELOPED_COMPONENT}
    if contract.availability.customer_cause is CustomerCause.ANY:
        excused.add(OutageCause.CUSTOMER)
    if contract.availability.clause_6_6 is Counting.EXCLUDED:
        excused |= {OutageCause.MISUSE, OutageCause.FORCE_MAJEURE, OutageCause.THIRD_PARTY}
    return frozenset(excused)


def _maintained(contract: Contract, maintenance: Iterable[Maintenance]) -> tuple[Pairs, Pairs]:
    """Return what maintenance deducts, and what it counts as downtime, as seconds."""
    deducted: Pairs = []
    counted: Pairs = []
    late_counts = contract.availability.late_maintenance is LateMaintenance.COUNTS_IN_FULL
    for work in maintenance:
        if _is_planned(contract, work):
            deducted.append(_deducted(contract, work))
        elif late_counts:
            counted.append((floor(work.start.timestamp()), ceil(work.end.timestamp())))
        else:
            continue
        if work.started_at is not None or work.completed_at is not None:
            counted.extend(_outside(work))
    return deducted, counted


def _is_planned(contract: Contract, work: Maintenance) -> bool:
    agreed = work.consent and contract.critical.consent is Consent.DEDUCTED
    return agreed or classify(contract, work.start, work.announced_at) is Classification.PLANNED


def _deducted(contract: Contract, work: Maintenance) -> tuple[int, int]:
    start, end = ceil(work.start.timestamp()), floor(work.end.timestamp())
    if contract.availability.deduct is Deduct.WORKED and work.started_at is not None:
        start = max(start, ceil(work.started_at.timestamp()))
    if work.completed_at is not None:
        end = min(end, floor(work.completed_at.timestamp()))
    return start, end


def _outside(work: Maintenance) -> Pairs:
    """Return the work done outside the announced time: before its start, and past its end."""
    started, completed = utc(work.started_at or work.start), utc(work.completed_at or work.end)
    before = started, min(completed, utc(work.start))
    after = max(started, utc(work.end)), completed
    return [(floor(first.timestamp()), ceil(last.timestamp())) for first, last in (before, after) if first < last]

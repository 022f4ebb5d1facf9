"""The monthly availability report, for contacts that have the role `reports` (clause 2.4.5)."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from maintsched.availability import Availability, availability, month_span
from maintsched.contract import Contract
from maintsched.fleet import Customer, Instance, active_span
from maintsched.localtime import Elapsed, Period, start_of_day, utc
from maintsched.notices import NoticeKind, Occasion, Round, make_round, people
from maintsched.proof import maintenance_of
from maintsched.spans import Span
from maintsched.store.outbox import read_threads
from maintsched.support import support_hours
from maintsched.worker.house import Scene

MONTHS_BACK = 2
"""Months whose reports are still made: of older ones the scene holds no proof."""


def last_month(contract: Contract, now: datetime) -> str:
    """Return the local month before the one that holds `now`, as 2026-11."""
    first = now.astimezone(contract.zone).date().replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}"


def report_due(contract: Contract, month: str) -> datetime:
    """Return when the report of a month goes out: when support first opens after it."""
    end = month_span(contract, month).end
    return support_hours(contract).due(utc(end), timedelta(0)).astimezone(contract.zone)


def next_report(contract: Contract, now: datetime) -> datetime:
    """Return when the next report goes out."""
    this = report_due(contract, last_month(contract, now))
    if utc(this) > utc(now):
        return this
    first = now.astimezone(contract.zone).date().replace(day=1)
    later = start_of_day(Period(months=1).after(first), contract.zone)
    return report_due(contract, last_month(contract, later))


def report_rounds(connection: Connection, contract: Contract, scene: Scene, *, now: datetime) -> Iterator[Round]:
    """Return the reports that are due and were not made yet, of the last month and of those that passes missed."""
    month = last_month(contract, now)
    for _ in range(MONTHS_BACK):
        span = month_span(contract, month)
        begun = scene.known.since is None or utc(scene.known.since) < utc(span.end)
        if begun and utc(now) >= utc(report_due(contract, month)):
            yield from _rounds_of(connection, contract, scene, month, now)
        month = last_month(contract, span.start)


def _rounds_of(connection: Connection, contract: Contract, scene: Scene, month: str, now: datetime) -> Iterator[Round]:
    subject = f"month/{month}"
    threads = read_threads(connection, {subject})
    for customer in scene.fleet.customers:
        who = people(contract, customer, NoticeKind.AVAILABILITY_REPORT)
        if not who or (subject, customer.key) in threads:
            continue
        rows = [
            _row(instance.key, measured)
            for instance in _reported(contract, customer, month)
            if (measured := measure(contract, scene, instance, month, now)).percent is not None
        ]
        if rows:
            target = f"{(100 * contract.availability.target).normalize():f} %"
            facts = {
                "report": {
                    "month": month,
                    "target": target,
                    "rows": rows,
                    "met": all(row["met"] for row in rows),
                    "clause": contract.clauses.availability,
                }
            }
            occasion = Occasion(
                kind=NoticeKind.AVAILABILITY_REPORT, subject=subject, facts=facts, now=now, not_before=now
            )
            yield make_round(occasion, customer.key, who, None)


def _reported(contract: Contract, customer: Customer, month: str) -> list[Instance]:
    """Return the production instances whose subscription ran in the month."""
    span, found = month_span(contract, month), []
    for instance in customer.instances:
        start, end = active_span(contract, instance)
        runs = (start is None or utc(start) < utc(span.end)) and (end is None or utc(end) > utc(span.start))
        if instance.environment == contract.production and runs:
            found.append(instance)
    return found


def measure(contract: Contract, scene: Scene, instance: Instance, month: str, now: datetime) -> Availability:
    """Return the availability of an instance in a month, by what is known at `now`."""
    outages = [each.outage for each in scene.outages if each.outage.instance == instance.key]
    maintenance = maintenance_of(instance.key, scene.announcements, scene.told, scene.worked)
    return availability(
        contract, month, outages, maintenance, now=now, subscription=subscribed(contract, instance, month)
    )


def subscribed(contract: Contract, instance: Instance, month: str) -> Span:
    """Return the part of a month that an instance is subscribed for."""
    span, (start, end) = month_span(contract, month), active_span(contract, instance)
    first = max(start or span.start, span.start, key=utc)
    last = min(end or span.end, span.end, key=utc)
    return Span(start=first, end=max(first, last, key=utc))


def _row(instance: str, measured: Availability) -> dict[str, Any]:
    percent = measured.percent
    return {
        "instance": instance,
        "percent": f"{percent:f} %" if percent is not None else "-",
        "counted": str(Elapsed(seconds=measured.counted_seconds)),
        "allowed": str(Elapsed(seconds=int(measured.allowed_seconds))),
        "met": bool(measured.met),
    }

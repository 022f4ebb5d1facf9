"""Notice deadlines, classification, earliest starts, deferral limits: instants that follow from a window's start."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from maintsched.contract import Contract, Explained
from maintsched.errors import InvalidValue
from maintsched.facts import WindowKind
from maintsched.localtime import Elapsed, elapsed, shift, start_of_day, utc
from maintsched.readings import ReminderReading, SupportZone
from maintsched.support import support_hours


class Classification(StrEnum):
    """What a maintenance is by the facts, whatever it was called (clause 2.4.3.3)."""

    PLANNED = "planned"  # announced in time
    UNPLANNED = "unplanned"  # announced too late, or never


def reminder_deadline(contract: Contract, start: datetime, reading: str | None = None) -> datetime:
    """Return the latest instant for the reminder of a monthly window that starts at `start` (clause 2.4.3.1).

    `reading` is one of full_days (default by the contract), elapsed, wall_clock. Under full_days the instant itself is
    too late, and no other reading is earlier.
    """
    return explain_reminder_deadline(contract, start, reading).at


def explain_reminder_deadline(contract: Contract, start: datetime, reading: str | None = None) -> Explained:
    """Say why `reminder_deadline` is what it is."""
    terms, zone, choice = contract.monthly, contract.zone, contract.clock_change
    chosen = _reading(contract, reading)
    at = utc(start, "start").astimezone(zone)
    by_elapsed = shift(at, -timedelta(days=terms.reminder.days), zone)
    by_wall = terms.reminder.before_instant(at, zone, choice).at
    by_days = start_of_day(terms.reminder.before(at.date()), zone)
    due = {
        ReminderReading.ELAPSED: by_elapsed,
        ReminderReading.WALL_CLOCK: by_wall,
        ReminderReading.FULL_DAYS: min(by_days, by_elapsed, by_wall, key=utc),
    }[chosen]
    facts = (("start", at.isoformat()), ("reminder", f"{terms.reminder} ahead"))
    return Explained(
        at=due,
        clause=contract.clauses.monthly,
        reading=str(chosen),
        facts=facts,
        exclusive=chosen is ReminderReading.FULL_DAYS and utc(due) == utc(by_days),
    )


def _reading(contract: Contract, reading: str | None) -> ReminderReading:
    if reading is None:
        return contract.monthly.reminder_reading
    if reading not in tuple(ReminderReading):
        raise InvalidValue("reading", expected=f"one of {', '.join(ReminderReading)}", found=reading)
    return ReminderReading(reading)


def classify(contract: Contract, start: datetime, announced_at: datetime | None) -> Classification:
    """Return what a maintenance is by its start and announcement (clause 2.4.3.3); None: it was never announced.

    Planned is what was announced at least `critical.lead` before its start on the UTC time line, the limit held.
    """
    if announced_at is None:
        return Classification.UNPLANNED
    lead = utc(start, "start") - utc(announced_at, "announced_at")
    return Classification.PLANNED if lead >= contract.critical.lead else Classification.UNPLANNED


def earliest_start(contract: Contract, announced_at: datetime) -> datetime:
    """Return the first instant at which a planned window announced at `announced_at` may start (clause 2.4.3.2)."""
    return shift(utc(announced_at, "announced_at"), contract.critical.lead, contract.zone)


def explain_earliest_start(contract: Contract, announced_at: datetime) -> Explained:
    """Say why `earliest_start` is what it is."""
    return Explained(
        at=earliest_start(contract, announced_at),
        clause=contract.clauses.critical,
        reading="elapsed",
        facts=(("announced", announced_at.isoformat()), ("critical.lead", str(contract.critical.lead))),
    )


def offered_start(contract: Contract, now: datetime, step: timedelta = timedelta(minutes=15)) -> datetime:
    """Return the earliest start to offer for a critical window entered at `now` (clause 2.4.3.2).

    The announcement counts when it is accepted, not when it is entered: the lead time, `notice.hold` and
    `notice.delivery_margin` are added to `now`, rounded up to a multiple of `step` on the UTC time line.
    """
    return explain_offered_start(contract, now, step).at


def explain_offered_start(contract: Contract, now: datetime, step: timedelta = timedelta(minutes=15)) -> Explained:
    """Say why `offered_start` is what it is."""
    terms = contract.notice
    at = utc(now, "now") + contract.critical.lead + terms.hold + terms.delivery_margin
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    return Explained(
        at=(epoch + -((epoch - at) // step) * step).astimezone(contract.zone),
        clause=contract.clauses.critical,
        reading="elapsed, rounded up",
        facts=(
            ("now", now.isoformat()),
            ("critical.lead", str(contract.critical.lead)),
            ("notice.hold", str(terms.hold)),
            ("notice.delivery_margin", str(terms.delivery_margin)),
        ),
    )


def notice_deadline(contract: Contract, kind: WindowKind, start: datetime) -> Explained:
    """Return until when a window of `kind` has to be told, and why."""
    if kind is WindowKind.MONTHLY:
        return explain_reminder_deadline(contract, start)
    critical = kind is WindowKind.CRITICAL
    lead = contract.critical.lead if critical else contract.emergency.lead
    return Explained(
        at=shift(utc(start, "start"), -lead, contract.zone),
        clause=contract.clauses.critical if critical else contract.clauses.emergency,
        reading="elapsed" if critical else "where practicable",
        facts=(("start", start.isoformat()), ("lead", str(lead))),
    )


def send_at(contract: Contract, deadline: datetime) -> datetime:
    """Return when a notice is planned to go out: the last opening of support `notice.margin` or more before `deadline`.

    An opening leaves the whole working day for whatever a mail may meet.
    """
    return explain_send_at(contract, deadline).at


def explain_send_at(contract: Contract, deadline: datetime) -> Explained:
    """Say why `send_at` is what it is."""
    latest = shift(utc(deadline, "deadline"), -contract.notice.margin, contract.zone)
    utc_1 = contract.support.zone is SupportZone.UTC_1
    return Explained(
        at=support_hours(contract, utc_1=utc_1).opening_at_or_before(latest).astimezone(contract.zone),
        clause=contract.clauses.told,
        reading="the last opening of support at or before deadline - notice.margin",
        facts=(("deadline", deadline.isoformat()), ("notice.margin", str(contract.notice.margin))),
    )


def deferral_limit(contract: Contract, start: datetime) -> datetime:
    """Return the latest end of a deferral whose release would have gone in at `start` (clause 2.4.4)."""
    return explain_deferral_limit(contract, start).at


def explain_deferral_limit(contract: Contract, start: datetime) -> Explained:
    """Say why `deferral_limit` is what it is."""
    settled = contract.deferral.max.after_instant(utc(start, "start"), contract.zone, contract.clock_change)
    facts = (("start", start.isoformat()), ("deferral.max", str(contract.deferral.max)), ("clock", str(settled.case)))
    return Explained(at=settled.at, clause=contract.clauses.updates, reading="same wall clock time", facts=facts)


def shortfall(contract: Contract, start: datetime, announced_at: datetime) -> Elapsed:
    """Return by how much an announcement missed the lead of planned maintenance; 0 where it did not."""
    missing = contract.critical.lead - elapsed(announced_at, start)
    return Elapsed(seconds=max(0, -(-missing // timedelta(seconds=1))))

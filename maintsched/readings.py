"""The readings of a contract's text: where it allows two, a term chooses one of these.

The first of each is the one that is stricter on the provider, unless the contract's own file says otherwise.
"""

from enum import StrEnum


class ReminderReading(StrEnum):
    """What "at the latest 7 days ahead" of a monthly window means."""

    FULL_DAYS = "full_days"  # before 00:00 local of the day 7 days earlier, and by the other two readings as well
    ELAPSED = "elapsed"  # 168 hours on the UTC time line
    WALL_CLOCK = "wall_clock"  # the same wall clock time 7 calendar days earlier


class OnHoliday(StrEnum):
    """What becomes of a monthly window whose day is a public holiday."""

    KEEP = "keep"  # it stays; the plan names the holiday
    NEXT_WORKING_DAY = "next_working_day"  # the next day of support that is no holiday
    NEXT_WEEK = "next_week"  # the same weekday of the next week that is no holiday


class MonthlyProof(StrEnum):
    """What has to be proved before work in a monthly window may start."""

    MAIL = "mail"  # the reminder must have been accepted in time
    CONTRACT = "contract"  # the contract itself announces the window


class Consent(StrEnum):
    """What a customer's recorded agreement to a shorter notice does."""

    COUNTS = "counts"  # the downtime counts all the same
    DEDUCTED = "deducted"  # it is deducted like planned maintenance


class Told(StrEnum):
    """Which of the responsible contacts have to be told."""

    ALL = "all"
    ANY = "any"


class NoticeProof(StrEnum):
    """What proves that a customer was told."""

    ACCEPTED = "accepted"  # an SMTP server accepted the mail
    DELIVERED = "delivered"  # a delivery status notification of success came back
    BUSINESS_HOURS = "business_hours"  # acceptance counts from the next working hour


class DeferralAfter(StrEnum):
    """In which window a deferred release goes in."""

    FIRST_WINDOW_AT_OR_AFTER_END = "first_window_at_or_after_end"
    LAST_WINDOW_BEFORE_END = "last_window_before_end"


class LateMaintenance(StrEnum):
    """What maintenance that was not announced in time does to the availability."""

    COUNTS_IN_FULL = "counts_in_full"  # its whole announced span is downtime
    OUTAGES_ONLY = "outages_only"  # it is not deducted; only recorded outages count


class AvailabilityBase(StrEnum):
    """What a month's downtime is divided by."""

    DEDUCTED = "deducted"  # the month without its planned maintenance
    FULL_MONTH = "full_month"


class Deduct(StrEnum):
    """Which part of an announced window is deducted."""

    WORKED = "worked"  # from the start of the work to its completion
    ANNOUNCED = "announced"  # from the announced start to completion


class CustomerCause(StrEnum):
    """Which customer-caused outages do not count."""

    DEVELOPED_COMPONENT = "developed_component"  # only faults in what the customer developed
    ANY = "any"


class Counting(StrEnum):
    """Whether misuse, force majeure and third parties count as downtime."""

    COUNTS = "counts"
    EXCLUDED = "excluded"


class SupportZone(StrEnum):
    """Which clock "(CET)" in the support hours means."""

    LOCAL = "local"  # the wall clock of the contract's zone
    UTC_1 = "utc+1"  # UTC+1 all year
    EARLIEST = "earliest"  # whichever of the two gives the earlier due instant


class NoHours(StrEnum):
    """Which clock runs for a package whose clause names no support hours."""

    SUPPORT_HOURS = "support_hours"
    ELAPSED = "elapsed"


class Concurrent(StrEnum):
    """Who raises the severity where several faults occur at once."""

    OPERATOR = "operator"  # a recorded decision of the operator
    RAISE = "raise"  # two open faults of a class make the next higher one


class Premium24x7(StrEnum):
    """What starts the clock that runs around the clock."""

    TICKET = "ticket"
    TICKET_AND_CALL = "ticket_and_call"


class ProvisioningEnd(StrEnum):
    """When the day of a provisioning deadline ends."""

    END_OF_DAY = "end_of_day"
    CLOSE_OF_BUSINESS = "close_of_business"
    SUPPORT_HOURS_8 = "support_hours_8"


class Late(StrEnum):
    """What the worker does with work whose notice was not proved in time."""

    HOLD = "hold"
    RUN = "run"


class Weekday(StrEnum):
    """Days of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


def weekday_numbers(days: tuple[Weekday, ...]) -> frozenset[int]:
    """Return `days` as numbers, 0 = Monday."""
    order = tuple(Weekday)
    return frozenset(order.index(day) for day in days)

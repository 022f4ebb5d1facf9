"""Kinds of notice, who gets which, and when each is planned to go out."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from maintsched.contract import Contract, Explained
from maintsched.deadlines import notice_deadline, send_at
from maintsched.facts import WindowKind
from maintsched.fleet import Contact, Customer
from maintsched.localtime import utc
from maintsched.windows import Window


class NoticeKind(StrEnum):
    """Notices that announce a window."""

    REMINDER = "reminder"  # of a monthly window
    ANNOUNCEMENT = "announcement"  # of critical planned maintenance
    EMERGENCY = "emergency"  # of emergency work


KIND_OF_WINDOW = {
    WindowKind.MONTHLY: NoticeKind.REMINDER,
    WindowKind.CRITICAL: NoticeKind.ANNOUNCEMENT,
    WindowKind.EMERGENCY: NoticeKind.EMERGENCY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNotice:
    """A notice that a window asks for: when it is planned to go out, and until when it has to."""

    kind: NoticeKind
    send_at: datetime
    due: Explained
    told_at: datetime | None = None
    """When the last of those who have to be told was told, where that is known."""

    @property
    def deadline(self) -> datetime:
        """Latest instant; already too late itself where `due.exclusive`."""
        return self.due.at

    def owed_at(self, now: datetime) -> bool:
        """Say whether it should have gone out at `now` by the plan, and can still be in time."""
        return self.told_at is None and utc(self.send_at) <= utc(now) and not self.missed_at(now)

    def missed_at(self, now: datetime) -> bool:
        """Say whether the deadline has passed at `now`."""
        return utc(now) > utc(self.deadline) or (self.due.exclusive and utc(now) == utc(self.deadline))


def planned_notices(
    contract: Contract, window: Window, *, announced_at: datetime | None = None, now: datetime | None = None
) -> tuple[PlannedNotice, ...]:
    """Return the notices that `window` asks for.

    Emergency work is told at once: when it was announced, else `now`, else at its deadline.
    """
    due = notice_deadline(contract, window.kind, window.start)
    if window.kind is WindowKind.EMERGENCY:
        at = (announced_at or now or due.at).astimezone(contract.zone)
    else:
        at = send_at(contract, due.at)
    told_at = announced_at.astimezone(contract.zone) if announced_at else None
    return (PlannedNotice(kind=KIND_OF_WINDOW[window.kind], send_at=at, due=due, told_at=told_at),)


def recipients(contract: Contract, customer: Customer) -> tuple[Contact, ...]:
    """Return the contacts of a customer who have to be told of maintenance (clause 2.4.3.1)."""
    return tuple(contact for contact in customer.contacts if contract.notice.role in contact.roles)

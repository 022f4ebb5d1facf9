"""Kinds of notice, who gets which, when each is planned to go out, and what counts as told.

A *thread* is what one customer (an *account*) was told about one subject: a window, an outage, a deferral, a month. A
*round* is one notice to each of the people of an account; it continues the thread. A *notice* is one mail to one
person.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from maintsched.contract import Contract, Explained
from maintsched.deadlines import notice_deadline, send_at
from maintsched.facts import Impact, WindowKind
from maintsched.fleet import Contact, Customer
from maintsched.localtime import utc
from maintsched.readings import NoticeProof, Told
from maintsched.support import support_hours
from maintsched.windows import Window


class NoticeKind(StrEnum):
    """What a notice tells; each kind has a template of that name in every language."""

    REMINDER = "reminder"  # of a monthly window
    ANNOUNCEMENT = "announcement"  # of critical planned maintenance
    EMERGENCY = "emergency"  # of emergency work
    TENTATIVE = "tentative"  # a critical window is offered, perhaps with alternatives; it tells nobody
    CONFIRMED = "confirmed"  # a tentative window will take place
    MOVED = "moved"  # a window takes place at another time
    CANCELLED = "cancelled"  # a window does not take place
    STARTED = "started"  # work in a window has begun
    FINISHED = "finished"  # work in a window is done
    FAILED = "failed"  # work in a window was not completed
    OVERRUN = "overrun"  # work goes on past the announced end
    OUTAGE_BEGUN = "outage_begun"  # monitoring or an operator sees an outage
    OUTAGE_ENDED = "outage_ended"  # it is over
    DEFERRAL_GRANTED = "deferral_granted"  # a larger update waits, and until when
    DEFERRAL_REMINDER = "deferral_reminder"  # 30 and 7 days before a deferral ends
    DEFERRAL_ENDED = "deferral_ended"  # a deferral has ended; the update goes in
    PROVISIONED = "provisioned"  # an instance is available
    HANDOVER = "handover"  # a subscription ends: data are handed over
    AVAILABILITY_REPORT = "availability_report"  # a month's availability
    OPERATOR_ALERT = "operator_alert"  # the provider's own people have to act


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


TELLING = frozenset(
    {NoticeKind.REMINDER, NoticeKind.ANNOUNCEMENT, NoticeKind.EMERGENCY, NoticeKind.CONFIRMED, NoticeKind.MOVED}
)
"""Kinds that tell a customer of a window. Tentative notices and offers tell nobody (clause 2.4.3)."""
URGENT = frozenset({NoticeKind.EMERGENCY, NoticeKind.OUTAGE_BEGUN, NoticeKind.OUTAGE_ENDED, NoticeKind.OPERATOR_ALERT})
"""Kinds that are never held back (clause 2.4.3.3)."""
_OUTAGES = frozenset({NoticeKind.OUTAGE_BEGUN, NoticeKind.OUTAGE_ENDED})
_COMMERCIAL = frozenset({NoticeKind.PROVISIONED, NoticeKind.HANDOVER})
OPERATOR = "operator"
"""Key of the contact that operators' alerts go to."""


def audience(kind: NoticeKind) -> str:
    """Return the role that gets notices of `kind` besides those who have to be told."""
    if kind in _OUTAGES:
        return "outages"
    if kind is NoticeKind.AVAILABILITY_REPORT:
        return "reports"
    return "contract" if kind in _COMMERCIAL else "maintenance"


def recipients(contract: Contract, customer: Customer) -> tuple[Contact, ...]:
    """Return the contacts of a customer who have to be told of maintenance (clause 2.4.3.1)."""
    return tuple(contact for contact in customer.contacts if contract.notice.role in contact.roles)


class Recipient(NamedTuple):
    """Somebody who gets a notice: `required` where the customer is told only once this person is."""

    contact: str
    required: bool


def people(contract: Contract, customer: Customer, kind: NoticeKind) -> tuple[Recipient, ...]:
    """Return who of a customer gets notices of `kind`, in the order of the fleet; reports only who asked for them."""
    wanted = {audience(kind)} | ({contract.notice.role} if kind is not NoticeKind.AVAILABILITY_REPORT else set())
    found = ((each, contract.notice.role in each.roles) for each in customer.contacts if wanted & set(each.roles))
    return tuple(Recipient(contact.key, required) for contact, required in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a notice about a window promises: its time, its worst impact, and the instances it names."""

    start: datetime
    end: datetime
    impact: Impact
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """What an account knows of a subject: how often it was told, and the terms of the last time.

    `revision` rises with every move, cancellation, choice, extension or changed list of instances; `sequence` with
    every round. Proof counts from the revision `lead` on, the last that took time or impact beyond what was announced.
    """

    subject: str
    customer: str
    revision: int
    lead: int
    sequence: int
    kind: NoticeKind
    terms: Terms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The intent to tell one person one thing. Everything that varies from mail to mail is fixed here."""

    kind: NoticeKind
    label: str
    """The kind as the key writes it; reminders of a deferral carry their period."""
    subject: str
    revision: int
    customer: str
    contact: str
    required: bool
    sequence: int
    stamp: datetime
    not_before: datetime
    deadline: datetime | None
    late: bool
    facts: Mapping[str, Any] = field(hash=False)
    """JSON values: what the mail is about. No personal data."""

    @property
    def key(self) -> str:
        """The stable name of this intent, unique in a store."""
        return notice_key(self.label, self.subject, self.revision, self.customer, self.contact)


def notice_key(label: str, subject: str, revision: int, customer: str, contact: str) -> str:
    """Return `notice/<kind>/<subject>/<revision>/<customer>/<contact>`, the slashes of the subject written ":"."""
    return f"notice/{label}/{subject.replace('/', ':')}/{revision}/{customer}/{contact}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One notice to each of the people of an account, and the thread as it is afterwards."""

    thread: Thread
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why a round is made: what it tells, about what, from when on and until when."""

    kind: NoticeKind
    subject: str
    facts: Mapping[str, Any] = field(hash=False)
    now: datetime
    not_before: datetime
    deadline: datetime | None = None
    exclusive: bool = False
    """True where the deadline itself is already too late."""
    terms: Terms | None = None
    label: str | None = None
    revises: bool = False
    """The round changes what was announced before: the revision rises."""
    renews: bool = False
    """It adds time or impact: proof counts from this revision on."""

    @property
    def late(self) -> bool:
        """Say whether the deadline has passed before the notice could go out."""
        if self.deadline is None:
            return False
        at = max(utc(self.now), utc(self.not_before))
        return at > utc(self.deadline) or (self.exclusive and at == utc(self.deadline))


def make_round(
    occasion: Occasion,
    customer: str,
    recipients: Iterable[Recipient],
    thread: Thread | None,
    *,
    kinds: Mapping[str, NoticeKind] | None = None,
) -> Round:
    """Return the round that tells `recipients` of an occasion and continues `thread`.

    `kinds` names another kind for some contacts: whoever was never told of a window that moves is told it anew.
    """
    revision = 0 if thread is None else thread.revision + occasion.revises
    after = Thread(
        subject=occasion.subject,
        customer=customer,
        revision=revision,
        lead=revision if thread is None or occasion.renews else thread.lead,
        sequence=0 if thread is None else thread.sequence + 1,
        kind=occasion.kind,
        terms=occasion.terms or (thread.terms if thread else None),
    )
    notices = tuple(
        _notice(occasion, after, recipient, (kinds or {}).get(recipient.contact, occasion.kind))
        for recipient in recipients
    )
    return Round(thread=after, notices=notices)


def joined(occasion: Occasion, recipients: Iterable[Recipient], thread: Thread) -> tuple[Notice, ...]:
    """Return notices to people who joined an account after its last round: the same revision and sequence."""
    latecomers = (recipient._replace(required=False) for recipient in recipients)
    return tuple(_notice(occasion, thread, recipient, occasion.kind) for recipient in latecomers)


def _notice(occasion: Occasion, thread: Thread, recipient: Recipient, kind: NoticeKind) -> Notice:
    return Notice(
        kind=kind,
        label=kind if kind is not occasion.kind or occasion.label is None else occasion.label,
        subject=occasion.subject,
        revision=thread.revision,
        customer=thread.customer,
        contact=recipient.contact,
        required=recipient.required,
        sequence=thread.sequence,
        stamp=occasion.now,
        not_before=occasion.now if kind in URGENT else occasion.not_before,
        deadline=occasion.deadline,
        late=occasion.late,
        facts=occasion.facts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What became of one notice that tells of a window, as far as proof is concerned."""

    revision: int
    contact: str
    required: bool
    instances: tuple[str, ...]
    deadline: datetime | None = None
    accepted_at: datetime | None = None
    delivered_at: datetime | None = None
    bounced: bool = False


def announced_at(
    contract: Contract, instance: str, lead: int, tellings: Collection[Telling], responsible: Collection[str]
) -> datetime | None:
    """Return when the customer was told of a window for `instance`; None: it was not (clause 2.4.3).

    All the required people of one revision from `lead` on have to be told (`notice.told` = any: one of them); the first
    such revision counts. What proves it is the term `notice.proof`; a bounced notice proves nothing. `responsible` are
    the contacts who have to be told today: who left before being told no longer counts, and where nobody is left,
    those count who joined.
    """
    of_revision: dict[int, list[Telling]] = {}
    for each in tellings:
        if each.revision >= lead and instance in each.instances:
            of_revision.setdefault(each.revision, []).append(each)
    found = (_told(contract, some, responsible) for some in of_revision.values())
    return min((at for at in found if at is not None), key=utc, default=None)


def _told(contract: Contract, tellings: list[Telling], responsible: Collection[str]) -> datetime | None:
    asked = [each for each in tellings if each.required and (each.contact in responsible or each.accepted_at)]
    if not asked:
        asked = [each for each in tellings if each.contact in responsible]
    proofs = [_proved_at(contract, each) for each in asked]
    known = [at for at in proofs if at is not None]
    if contract.notice.told is Told.ANY:
        return min(known, key=utc, default=None)
    return max(known, key=utc) if known and len(known) == len(proofs) else None


def _proved_at(contract: Contract, telling: Telling) -> datetime | None:
    if telling.bounced or telling.accepted_at is None:
        return None
    if contract.notice.proof is NoticeProof.DELIVERED:
        return None if telling.delivered_at is None else telling.accepted_at
    if contract.notice.proof is NoticeProof.BUSINESS_HOURS:
        return support_hours(contract).due(utc(telling.accepted_at), timedelta(0)).astimezone(contract.zone)
    return telling.accepted_at

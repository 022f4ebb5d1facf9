"""The journal: entries of evidence as values, and the chain of hashes that holds them together.

Each instance has a chain of its own; what concerns no single instance stands in the chain `PROVIDER`. An entry carries
the SHA-256 of its predecessor, so that a changed, removed or inserted entry breaks the chain where it stands. A tail
that was cut off breaks nothing: it shows only beside a `Head` that was kept elsewhere.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from maintsched.errors import InvalidValue
from maintsched.localtime import utc

PROVIDER = "_provider"
"""Chain of what concerns no single instance; no instance can have this key."""
GENESIS = "0" * 64
"""What the first entry of a chain has for its predecessor."""


class EntryKind(StrEnum):
    """What an entry is evidence of."""

    NOTICE_ACCEPTED = "notice_accepted"  # a mail server took responsibility for a notice
    NOTICE_REFUSED = "notice_refused"  # a mail server refused it for good
    NOTICE_UNCERTAIN = "notice_uncertain"  # it may have been accepted: the reply was lost
    NOTICE_BOUNCED = "notice_bounced"  # an accepted notice came back: its proof is revoked
    NOTICE_DELIVERED = "notice_delivered"  # a server reported that it lies in the recipient's mailbox
    NOTICE_EXPIRED = "notice_expired"  # its deadline passed before any server accepted it
    NOTICE_WITHDRAWN = "notice_withdrawn"  # it was overtaken by a change before it went out
    NOTICE_DIFFERS = "notice_differs"  # sent again with other bytes, since a template or contact changed
    WINDOW_ANNOUNCED = "window_announced"
    WINDOW_TENTATIVE = "window_tentative"
    WINDOW_CONFIRMED = "window_confirmed"
    WINDOW_MOVED = "window_moved"
    WINDOW_CANCELLED = "window_cancelled"
    WINDOW_CHOSEN = "window_chosen"  # a customer chose an alternative
    WINDOW_PUBLISHED = "window_published"  # entered without mail: tells nobody, proves nothing
    RELEASE_ADDED = "release_added"
    RELEASE_WITHDRAWN = "release_withdrawn"  # it turned out bad: it goes into no window any more
    RELEASE_RESTORED = "release_restored"  # it may go in again
    DEFERRAL_GRANTED = "deferral_granted"
    DEFERRAL_EXTENDED = "deferral_extended"  # it ends later than before, or earlier
    DEFERRAL_WITHDRAWN = "deferral_withdrawn"  # it ended before its time
    INSTANCE_PINNED = "instance_pinned"  # a component of it stays at a version
    INSTANCE_UNPINNED = "instance_unpinned"
    TRACK_SWITCHED = "track_switched"  # other releases reach the instance from an instant on
    CONSENT_GIVEN = "consent_given"  # the customer's own system may be worked on
    CONSENT_ENDED = "consent_ended"
    OUTAGE_OPENED = "outage_opened"
    OUTAGE_CLOSED = "outage_closed"
    FREEZE_ADDED = "freeze_added"
    FREEZE_ENDED = "freeze_ended"
    PAUSE_BEGUN = "pause_begun"  # an operator halted work until further notice
    PAUSE_ENDED = "pause_ended"
    RUN_STARTED = "run_started"  # the first change began: all gates were open in that moment
    RUN_STEP = "run_step"  # a step that changes something ended
    RUN_ENDED = "run_ended"  # work on an instance is over, well or not, or did not take place
    RUN_PARKED = "run_parked"  # work stands still until an operator decides
    RUN_RETRIED = "run_retried"  # an operator let it begin again
    RUN_APPROVED = "run_approved"  # an operator opened a gate
    BREACH = "breach"  # a promise was not kept
    CONTACT_ERASED = "contact_erased"  # personal data were erased on request
    INSTANCE_CHANGED = "instance_changed"  # the fleet was synchronised
    EPOCH_BEGUN = "epoch_begun"  # a database was created, or taken into use again after a restore


class Head(NamedTuple):
    """The last entry of a chain: its number and its hash."""

    seq: int
    digest: str


START = Head(0, GENESIS)
"""The head of a chain without entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One piece of evidence: what happened `at` an instant, in which chain, as which number from 1 on.

    `data` holds JSON values only and no address: a contact is named by its key and a salted hash.
    """

    chain: str
    seq: int
    at: datetime
    kind: EntryKind
    subject: str
    data: Mapping[str, Any] = field(hash=False)
    previous: str
    digest: str

    @property
    def head(self) -> Head:
        """The head of the chain that this entry is the last one of."""
        return Head(self.seq, self.digest)

    def recomputed(self) -> str:
        """Return the hash that belongs to what stands in the entry."""
        return digest_of(self.chain, self.seq, self.at, self.kind, self.subject, self.data, self.previous)


def digest_of(
    chain: str, seq: int, at: datetime, kind: str, subject: str, data: Mapping[str, Any], previous: str
) -> str:
    """Return the SHA-256, in hex, of an entry's canonical JSON: keys sorted, no blanks, UTF-8, the instant in UTC."""
    listed = [chain, seq, instant_text(at), str(kind), subject, data, previous]
    text = json.dumps(listed, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode()).hexdigest()


def instant_text(at: datetime) -> str:
    """Return an instant as evidence writes it: UTC, with Z, fractions only where there are any."""
    return utc(at).astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something to be written down in a chain, before it has its number there."""

    chain: str
    at: datetime
    kind: EntryKind
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse naive instants."""
        utc(self.at, "at")
        if not self.chain:
            raise InvalidValue("chain", expected="the key of an instance", found="nothing", field="chain")


def chained(events: Iterable[Event], heads: Mapping[str, Head]) -> list[Entry]:
    """Return the entries that continue the chains which now end in `heads`; a chain not named there begins."""
    current = dict(heads)
    entries = []
    for event in events:
        head = current.get(event.chain, START)
        seq, previous = head.seq + 1, head.digest
        digest = digest_of(event.chain, seq, event.at, event.kind, event.subject, event.data, previous)
        entries.append(
            Entry(
                chain=event.chain,
                seq=seq,
                at=event.at,
                kind=event.kind,
                subject=event.subject,
                data=event.data,
                previous=previous,
                digest=digest,
            )
        )
        current[event.chain] = Head(seq, digest)
    return entries


class Fault(NamedTuple):
    """Where a chain is broken, and how."""

    chain: str
    seq: int
    what: str


def first_fault(chain: str, entries: Iterable[Entry], head: Head | None = None) -> Fault | None:
    """Return the first fault of a chain whose entries come in order, or None.

    `head` is one that was kept outside the database: it shows a tail that was cut off, and a chain written anew.
    """
    last = START
    at_head = None if head is None or head.seq else START
    for entry in entries:
        expected = last.seq + 1
        if entry.seq != expected:
            return Fault(chain, expected, f"entry {expected} is missing: entry {entry.seq} follows {last.seq}")
        if entry.previous != last.digest:
            return Fault(chain, entry.seq, f"entry {entry.seq} does not continue entry {last.seq}: the link is broken")
        if entry.recomputed() != entry.digest:
            return Fault(chain, entry.seq, f"entry {entry.seq} was changed: its hash is not that of its content")
        last = entry.head
        if head is not None and last.seq == head.seq:
            at_head = last
    if head is None:
        return None
    if at_head is None:
        found = f"entry {last.seq}" if last.seq else "nothing"
        return Fault(chain, last.seq + 1, f"the tail is cut off: {head.seq} entries are known, the last is {found}")
    if at_head.digest != head.digest:
        return Fault(chain, head.seq, f"entry {head.seq} is another one than was written: the chain was written anew")
    return None

"""The case of one instance and month: what was promised, who was told, and what follows, as values.

What was told comes from the journal alone. Where the working tables of the database say more than the journal proves,
the case says so: a proof that only one of both knows is none.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from maintsched.announcements import Announcement
from maintsched.availability import Availability
from maintsched.contract import Contract, Explained
from maintsched.deadlines import Classification, classify, notice_deadline
from maintsched.facts import Outage, WindowKind
from maintsched.journal import Entry, EntryKind, Fault, instant_text
from maintsched.localtime import utc
from maintsched.notices import TELLING
from maintsched.spans import Span
from maintsched.windows import Window, declared_window

NOTICES = frozenset(kind for kind in EntryKind if kind.startswith("notice_"))
WINDOWS = frozenset(kind for kind in EntryKind if kind.startswith("window_"))


class State(StrEnum):
    """How far a window of a case has come."""

    RULE = "rule"  # it follows from the contract; nobody was told of it
    TENTATIVE = "tentative"  # offered
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Punctuality(StrEnum):
    """Whether the people were told in time."""

    KEPT = "kept"
    MISSED = "missed"
    OPEN = "open"  # nobody was told yet, and the deadline has not passed
    NONE = "none"  # nothing is promised: the window was only offered, or was cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One notice to one person, as the journal tells it: everything that became of it, in order."""

    notice: str
    contact: str
    roles: tuple[str, ...]
    """Roles of the contact in the fleet of today; a contact that was removed or erased has none."""
    steps: tuple[Entry, ...]
    counts: bool
    """It belongs to the proof: it had to reach this person, tells of the window as it is, and was accepted."""

    @property
    def kind(self) -> str:
        """The kind of notice."""
        return self.text("kind") or self.notice.split("/")[1].partition("-")[0]

    @property
    def required(self) -> bool:
        """Whether the customer is told only once this person is."""
        return any(is_required(step) for step in self.steps)

    @property
    def outcome(self) -> EntryKind:
        """What became of it: that it came back outweighs that it was accepted, that outweighs all else."""
        kinds = [step.kind for step in self.steps]
        for kind in (EntryKind.NOTICE_BOUNCED, EntryKind.NOTICE_DELIVERED, EntryKind.NOTICE_ACCEPTED):
            if kind in kinds:
                return kind
        return kinds[-1]

    @property
    def decisive(self) -> Entry:
        """The entry of a server's acceptance, else the last one."""
        return next((step for step in self.steps if step.kind is EntryKind.NOTICE_ACCEPTED), self.steps[-1])

    def text(self, name: str) -> str:
        """Return what the entries say under `name`, the decisive one first; nothing where none says it."""
        found = (_text(step.data, name) for step in (self.decisive, *self.steps))
        return next((each for each in found if each), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCase:
    """One window, whether its instance's customer was told of it, and what that makes of it."""

    id: str
    kind: WindowKind
    clause: str
    state: State
    start: datetime
    end: datetime
    reason: str
    impact: str
    announced_at: datetime | None
    classification: Classification | None
    """None: it was only offered, or cancelled."""
    due: Explained
    punctuality: Punctuality
    mails: tuple[Mail, ...]
    history: tuple[Entry, ...]
    breaches: tuple[Entry, ...]
    contradictions: tuple[str, ...] = ()
    """Keys of notices of which the working tables say something else than the journal."""
    effect: Availability | None = None
    """What this window alone does to the month."""

    @property
    def lead(self) -> timedelta | None:
        """How long before the start the customer was told, on the UTC time line."""
        return None if self.announced_at is None else utc(self.start) - utc(self.announced_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageCase:
    """One outage, what it counts for alone, and the entries that tell of it."""

    key: str
    outage: Outage
    note: str
    counted_seconds: int | None
    """Seconds of the month, before any maintenance is deducted; None where nothing is promised."""
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainCheck:
    """How the whole chain of the instance was found when the case was made."""

    chain: str
    entries: int
    fault: Fault | None
    beside_heads: bool
    """It was compared with the head that is kept outside the database."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Everything about one instance and month that can be proved."""

    contract: Contract
    provider: str
    domain: str
    instance: str
    environment: str | None
    """None: the instance is not in the fleet any more."""
    customer: str
    customer_name: str
    month: str
    span: Span
    now: datetime
    windows: tuple[WindowCase, ...]
    outages: tuple[OutageCase, ...]
    availability: Availability | None
    """None: nothing is promised for this environment."""
    check: ChainCheck
    entries: tuple[Entry, ...]
    """Entries of the instance's chain without a gap, from the first that matters to the last."""
    begins_at: datetime | None = None
    """When the journal began: of what was before it knows nothing."""
    shared: tuple[Entry, ...] = ()
    """Entries of the provider's chain about windows of the whole fleet; those between them concern others."""

    @property
    def sound(self) -> bool:
        """Say whether the chain is whole, and the working tables say what the journal proves."""
        return self.check.fault is None and not any(window.contradictions for window in self.windows)

    @property
    def begins_late(self) -> bool:
        """Say whether a part of the month lies before the journal."""
        return self.begins_at is not None and utc(self.begins_at) > utc(self.span.start)

    @property
    def over(self) -> bool:
        """Say whether the month had ended when the case was made."""
        return utc(self.now) >= utc(self.span.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the working tables know of one window for the instance."""

    announced_at: datetime | None = None
    lead: int = 0
    """Proof counts from this revision on."""
    accepted: frozenset[str] = frozenset()
    """Keys of the notices that were accepted."""
    bounced: frozenset[str] = frozenset()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def announced_case(
    contract: Contract, announcement: Announcement, known: Known, entries: Sequence[Entry], *, now: datetime
) -> WindowCase:
    """Return the case of a window that was entered; `entries` are those of its instance, in order."""
    window = declared_window(contract, announcement.window)
    return _case(
        contract,
        window,
        State(str(announcement.state)),
        known,
        [each for each in entries if each.subject in (announcement.id, announcement.thread)],
        now=now,
        reason="" if announcement.by_rule else announcement.window.reason,
        impact=str(announcement.window.impact),
    )


def rule_case(contract: Contract, window: Window, entries: Sequence[Entry], *, now: datetime) -> WindowCase:
    """Return the case of a window of the rule that nobody was told of."""
    mine = [each for each in entries if each.subject == window.id]
    return _case(contract, window, State.RULE, Known(), mine, now=now, reason="", impact="outage")


def _case(
    contract: Contract,
    window: Window,
    state: State,
    known: Known,
    entries: Sequence[Entry],
    *,
    now: datetime,
    reason: str,
    impact: str,
) -> WindowCase:
    living = state in (State.RULE, State.CONFIRMED)
    due = notice_deadline(contract, window.kind, window.start)
    return WindowCase(
        id=window.id,
        kind=window.kind,
        clause=window.clause,
        state=state,
        start=window.start,
        end=window.end,
        reason=reason,
        impact=impact,
        announced_at=known.announced_at,
        classification=classify(contract, window.start, known.announced_at) if living else None,
        due=due,
        punctuality=_punctuality(due, known.announced_at, now) if living else Punctuality.NONE,
        mails=_mails(entries, known),
        history=tuple(each for each in entries if each.kind in WINDOWS),
        breaches=tuple(each for each in entries if each.kind is EntryKind.BREACH),
        contradictions=_contradictions(entries, known),
    )


def _punctuality(due: Explained, announced_at: datetime | None, now: datetime) -> Punctuality:
    at = utc(now if announced_at is None else announced_at)
    late = at > utc(due.at) or (due.exclusive and at == utc(due.at))
    if late:
        return Punctuality.MISSED
    return Punctuality.OPEN if announced_at is None else Punctuality.KEPT


def _mails(entries: Iterable[Entry], known: Known) -> tuple[Mail, ...]:
    of_notice: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind in NOTICES:
            of_notice.setdefault(_text(entry.data, "notice") or f"notice/?/{entry.seq}", []).append(entry)
    return tuple(_mail(notice, steps, known) for notice, steps in of_notice.items())


def _mail(notice: str, steps: list[Entry], known: Known) -> Mail:
    contact = next((each for step in steps if (each := _text(step.data, "contact"))), "")
    accepted = [step for step in steps if step.kind is EntryKind.NOTICE_ACCEPTED]
    kinds = {step.kind for step in steps}
    counts = any(
        is_required(step) and _text(step.data, "kind") in TELLING and _number(step.data, "revision") >= known.lead
        for step in accepted
    )
    return Mail(
        notice=notice,
        contact=contact,
        roles=known.roles.get(contact, ()),
        steps=tuple(steps),
        counts=counts and EntryKind.NOTICE_BOUNCED not in kinds,
    )


def is_required(entry: Entry) -> bool:
    """Say whether the customer is told only once the person of this entry is."""
    return entry.data.get("required", entry.data.get("role_required")) is True


def _contradictions(entries: Iterable[Entry], known: Known) -> tuple[str, ...]:
    listed = list(entries)
    found: set[str] = set()
    for kind, said in ((EntryKind.NOTICE_ACCEPTED, known.accepted), (EntryKind.NOTICE_BOUNCED, known.bounced)):
        found |= said ^ {_text(each.data, "notice") for each in listed if each.kind is kind}
    return tuple(sorted(found - {""}))


def outage_entries(entries: Iterable[Entry], key: str) -> tuple[Entry, ...]:
    """Return the entries that tell of the outage `key`."""
    kinds = (EntryKind.OUTAGE_OPENED, EntryKind.OUTAGE_CLOSED)
    return tuple(each for each in entries if each.kind in kinds and _text(each.data, "outage") == key)


def stretch(entries: Sequence[Entry], span: Span, subjects: Collection[str]) -> tuple[Entry, ...]:
    """Return the entries from the first to the last that happened in `span` or is about one of `subjects`."""
    wanted = [at for at, each in enumerate(entries) if each.at in span or each.subject in subjects]
    return tuple(entries[wanted[0] : wanted[-1] + 1]) if wanted else ()


def moved_from(entries: Iterable[Entry], span: Span) -> set[str]:
    """Return the ids of windows that were moved from a start in `span`."""
    found = set()
    for entry in entries:
        previous = entry.data.get("previous") if entry.kind is EntryKind.WINDOW_MOVED else None
        start = _text(previous, "start") if isinstance(previous, Mapping) else ""
        if start and _instant(start) in span:
            found.add(entry.subject)
    return found


def canonical_text(entry: Entry) -> str:
    """Return the text whose SHA-256, in UTF-8, is the entry's hash."""
    listed = [
        entry.chain,
        entry.seq,
        instant_text(entry.at),
        str(entry.kind),
        entry.subject,
        entry.data,
        entry.previous,
    ]
    return json.dumps(listed, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _text(data: Mapping[str, Any], name: str) -> str:
    found = data.get(name)
    return found if isinstance(found, str) else ""


def _number(data: Mapping[str, Any], name: str) -> int:
    found = data.get(name)
    return found if isinstance(found, int) else -1


def _instant(text: str) -> datetime:
    return utc(datetime.fromisoformat(text))


def living(announcement: Announcement, instance: str) -> bool:
    """Say whether an announced window is, or was, one of the instance."""
    return not announcement.window.instances or instance in announcement.window.instances

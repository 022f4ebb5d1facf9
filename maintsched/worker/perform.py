"""One claimed notice: composed, and after an attempt marked with what became of it, with the evidence of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, insert

from maintsched.errors import MaintschedError
from maintsched.journal import PROVIDER, EntryKind, Event, instant_text
from maintsched.localtime import utc
from maintsched.mail.groups import Groups
from maintsched.mail.letter import Composed
from maintsched.mail.outcomes import Outcome, Outgoing, Result, Step
from maintsched.notices import NoticeKind
from maintsched.readings import NoticeProof
from maintsched.store.evidence import append
from maintsched.store.ledger import ActionState, Marked, mark
from maintsched.store.outbox import IN_DOUBT, StoredNotice, read_notices, read_revisions
from maintsched.worker.alerts import Alert, record_alerts
from maintsched.worker.house import House
from maintsched.worker.post import (
    SUPPRESSION,
    Addressee,
    first_notices,
    letter_of,
    read_addressees,
    shared_of,
    suppression,
)

UNSENDABLE = timedelta(minutes=15)
"""How long a notice that cannot be composed waits for somebody to mend what is wrong."""


class Fate(StrEnum):
    """What becomes of a claimed notice that is not sent."""

    OVERTAKEN = "overtaken"  # a later revision of the same thread is known: cancelled
    GONE = "gone"  # the person left or was erased: cancelled, and required no longer
    EXPIRED = "expired"  # its time is over: given up
    SUPPRESSED = "suppressed"  # the address was refused for good before: given up
    BROKEN = "broken"  # it cannot be composed: tried again, once somebody has mended what is wrong


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A claimed notice: composed, or the reason why it cannot be."""

    stored: StoredNotice
    addressee: Addressee | None = None
    composed: Composed | None = None
    fate: "Fate | None" = None
    """What becomes of it where it is not sent."""
    problem: str = ""
    receipt: bool = False
    """Whether a report of delivery is asked for, because only that proves anything (`notice.proof` = delivered)."""

    @property
    def outgoing(self) -> Outgoing:
        """The mail as the server gets it."""
        assert self.composed is not None  # noqa: S101 - only composed notices are sent
        mail = self.composed
        return Outgoing(
            key=self.stored.key,
            sender=mail.sender,
            recipient=mail.recipient,
            envid=mail.envid,
            receipt=self.receipt,
            data=mail.data,
        )


def prepare(house: House, keys: list[str], *, now: datetime, groups: Groups | None = None) -> list[Prepared]:
    """Compose claimed notices. One that cannot be composed does not keep the others back.

    `groups` knows what mails of earlier batches share.
    """
    groups = groups or Groups(house.templates)
    with house.store.reading() as connection:
        stored = read_notices(connection, keys=keys)
        people = {(each.notice.customer, each.notice.contact) for each in stored}
        addressees = read_addressees(connection, house.config, people)
        first = first_notices(connection, [each.notice for each in stored])
        revisions = read_revisions(connection, [each.notice for each in stored])
    return [_prepared(house, groups, each, addressees, first, revisions, now) for each in stored]


def _prepared(
    house: House,
    groups: Groups,
    stored: StoredNotice,
    addressees: Mapping[tuple[str, str], Addressee],
    first: Mapping[tuple[str, str, str], str],
    revisions: Mapping[tuple[str, str], int],
    now: datetime,
) -> Prepared:
    notice = stored.notice
    addressee = addressees.get((notice.customer, notice.contact))
    revision = revisions.get((notice.subject, notice.customer), 0)
    if revision > notice.revision:
        why = f"overtaken by revision {revision}"
        return Prepared(stored=stored, addressee=addressee, fate=Fate.OVERTAKEN, problem=why)
    if addressee is None:
        return Prepared(stored=stored, fate=Fate.GONE, problem="there is no such contact any more")
    if stored.give_up_at is not None and utc(now) >= utc(stored.give_up_at):
        why = f"not accepted until {instant_text(stored.give_up_at)}"
        return Prepared(stored=stored, addressee=addressee, fate=Fate.EXPIRED, problem=why)
    if addressee.suppressed is not None:
        why = f"suppressed: {addressee.suppressed}"
        return Prepared(stored=stored, addressee=addressee, fate=Fate.SUPPRESSED, problem=why)
    origin = first.get((notice.subject, notice.customer, notice.contact))
    try:
        letter = letter_of(house.contract, house.config, stored, addressee, origin)
        mail = groups.compose(letter, partial(shared_of, house.contract, house.config, stored, addressee))
        receipt = house.contract.notice.proof is NoticeProof.DELIVERED
        return Prepared(stored=stored, addressee=addressee, composed=mail, receipt=receipt)
    except MaintschedError as error:
        return Prepared(stored=stored, addressee=addressee, fate=Fate.BROKEN, problem=str(error))


@dataclass(kw_only=True)
class Marking:
    """What is written down together: states of actions, evidence, alerts, addresses that are suppressed."""

    marked: list[Marked] = field(default_factory=list)
    events: dict[str, list[Event]] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    suppressed: dict[str, dict[str, Any]] = field(default_factory=dict)
    given_up: int = 0
    """Notices that will not be tried any more although nobody accepted them."""


def write_marks(house: House, marking: Marking, *, owner: str, now: datetime) -> set[str]:
    """Write results and their evidence down, in one transaction; only those whose claim is still held."""
    with house.store.writing() as connection:
        held = mark(connection, marking.marked, owner=owner, now=now)
        append(connection, [event for key, events in marking.events.items() if key in held for event in events])
        for key, row in marking.suppressed.items():
            if key in held:
                suppress(connection, row)
        record_alerts(connection, house.contract, [each for each in marking.alerts if each.about in held], now)
    return held


def suppress(connection: Connection, row: dict[str, Any]) -> None:
    """Keep further mail from an address."""
    same = (SUPPRESSION.c.customer == row["customer"]) & (SUPPRESSION.c.contact == row["contact"])
    connection.execute(delete(SUPPRESSION).where(same))
    connection.execute(insert(SUPPRESSION), [row])


def unsendable(marking: Marking, prepared: Prepared, *, now: datetime) -> None:
    """Note a notice that was not sent, by its fate."""
    stored, fate, why = prepared.stored, prepared.fate, prepared.problem
    if fate in (Fate.OVERTAKEN, Fate.GONE):
        kept: dict[str, Any] = {"required": False} if fate is Fate.GONE else {}
        state = ActionState.CANCELLED
        marking.marked.append(Marked(key=stored.key, state=state, not_before=now, counts=False, kept=kept))
        marking.events[stored.key] = _events(prepared, EntryKind.NOTICE_WITHDRAWN, now, {"why": why})
    elif fate is Fate.BROKEN:
        at = utc(now) + UNSENDABLE
        marking.marked.append(Marked(key=stored.key, state=ActionState.READY, not_before=at, counts=False))
        way_out = "Mend what is wrong; the notice is tried again by itself."
        marking.alerts.append(_alert(prepared, "A notice cannot be composed", why, way_out=way_out))
    else:
        kept = {"result": "suppressed"} if fate is Fate.SUPPRESSED else {}
        _give_up(marking, prepared, now, kept=kept, data={"why": why}, reason=why)


def _give_up(
    marking: Marking, prepared: Prepared, now: datetime, *, kept: dict[str, Any], data: Mapping[str, Any], reason: str
) -> None:
    """Note that a notice is tried no more: in the journal, and to the operator, who may still tell its reader."""
    stored = prepared.stored
    marking.marked.append(Marked(key=stored.key, state=ActionState.FAILED, not_before=now, kept=kept))
    marking.events.setdefault(stored.key, []).extend(_events(prepared, EntryKind.NOTICE_EXPIRED, now, data))
    marking.alerts.append(_alert(prepared, "A notice was given up", reason))
    marking.given_up += 1


def note(house: House, marking: Marking, prepared: Prepared, outcome: Outcome, *, now: datetime) -> None:
    """Note what became of one attempt. The address is taken out of the server's words: evidence names nobody."""
    if prepared.addressee is not None and "@" in outcome.reply:
        outcome = replace(outcome, reply=without_address(outcome.reply, prepared.addressee.contact.email))
    if outcome.result is Result.ACCEPTED:
        _accepted(marking, prepared, outcome, now)
    elif outcome.result is Result.REFUSED:
        _refused(marking, prepared, outcome, now)
    elif outcome.result is Result.DEFERRED:
        _deferred(house, marking, prepared, outcome, now)
    else:
        _uncertain(house, marking, prepared, outcome, now)
    digest = prepared.composed.digest if prepared.composed else None
    if prepared.stored.digest not in (None, digest):
        data = {"before": prepared.stored.digest, "sha256": digest}
        events = _events(prepared, EntryKind.NOTICE_DIFFERS, now, data)
        marking.events.setdefault(prepared.stored.key, []).extend(events)


def without_address(words: str, address: str) -> str:
    """Return the words of a server without the recipient's address, in whatever case it stands there."""
    return re.sub(re.escape(address), "<recipient>", words, flags=re.IGNORECASE)


def _kept(prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    return {
        "result": str(outcome.result),
        "digest": prepared.composed.digest if prepared.composed else None,
        "server": outcome.server,
        "reply": _reply(outcome),
    }


def _reply(outcome: Outcome) -> str:
    return f"{outcome.code} {outcome.reply}" if outcome.code else outcome.reply


def _accepted(marking: Marking, prepared: Prepared, outcome: Outcome, now: datetime) -> None:
    key, kept = prepared.stored.key, {**_kept(prepared, outcome), "accepted_at": now}
    marking.marked.append(Marked(key=key, state=ActionState.DONE, not_before=now, kept=kept))
    marking.events[key] = _events(prepared, EntryKind.NOTICE_ACCEPTED, now, _evidence(prepared, outcome))


def _refused(marking: Marking, prepared: Prepared, outcome: Outcome, now: datetime) -> None:
    stored, addressee = prepared.stored, prepared.addressee
    marking.marked.append(
        Marked(key=stored.key, state=ActionState.FAILED, not_before=now, kept=_kept(prepared, outcome))
    )
    marking.events[stored.key] = _events(prepared, EntryKind.NOTICE_REFUSED, now, _evidence(prepared, outcome))
    if outcome.step is Step.RCPT and addressee is not None and not addressee.customer.startswith("_"):
        marking.suppressed[stored.key] = suppression(addressee, now, _reply(outcome))
    marking.alerts.append(_alert(prepared, "A notice was refused for good", _reply(outcome)))


def _deferred(house: House, marking: Marking, prepared: Prepared, outcome: Outcome, now: datetime) -> None:
    kept = _kept(prepared, outcome)
    if prepared.stored.result in IN_DOUBT:
        kept["result"] = prepared.stored.result  # an earlier copy may have been accepted
    _again_or_never(house, marking, prepared, outcome, kept, now)


def _uncertain(house: House, marking: Marking, prepared: Prepared, outcome: Outcome, now: datetime) -> None:
    evidence = _evidence(prepared, outcome)
    marking.events[prepared.stored.key] = _events(prepared, EntryKind.NOTICE_UNCERTAIN, now, evidence)
    _again_or_never(house, marking, prepared, outcome, _kept(prepared, outcome), now)


def _again_or_never(
    house: House, marking: Marking, prepared: Prepared, outcome: Outcome, kept: dict[str, Any], now: datetime
) -> None:
    """Let a notice be tried again after a while; where its time is over meanwhile, give it up."""
    stored = prepared.stored
    if stored.give_up_at is not None and utc(now) >= utc(stored.give_up_at):
        evidence = _evidence(prepared, outcome)
        _give_up(marking, prepared, now, kept=kept, data=evidence, reason=_reply(outcome))
        return
    counts = outcome.hint is None
    at = next_try(house, stored, now)
    marking.marked.append(Marked(key=stored.key, state=ActionState.READY, not_before=at, counts=counts, kept=kept))


def next_try(house: House, stored: StoredNotice, now: datetime) -> datetime:
    """Return when a notice is tried again: the wait doubles, but takes no more than half the time to its deadline."""
    terms = house.config.worker
    wait = timedelta(seconds=min(terms.retry_max_seconds, terms.retry_min_seconds * 2 ** min(stored.attempt, 20)))
    for limit in (stored.notice.deadline, stored.give_up_at):
        left = utc(limit) - utc(now) if limit is not None else timedelta()
        if left > timedelta():
            wait = min(wait, left / 2)
    return utc(now) + timedelta(seconds=max(1, int(wait.total_seconds())))


CORRECT = "Correct the address with `maintsched fleet sync`, then `maintsched notice resend KEY`."


def _alert(prepared: Prepared, title: str, reply: str, *, way_out: str = CORRECT) -> Alert:
    stored, notice = prepared.stored, prepared.stored.notice
    return Alert(
        key=f"{stored.key}#{stored.attempt}",
        about=stored.key,
        subject=f"notice/{notice.subject}/{notice.customer}",
        title=title,
        lines=(prepared.stored.key, f"contact {notice.contact} of {notice.customer}", reply),
        way_out=way_out,
    )


def _events(prepared: Prepared, kind: EntryKind, now: datetime, data: Mapping[str, Any]) -> list[Event]:
    return evidence_events(prepared.stored, kind, now, data)


def evidence_events(stored: StoredNotice, kind: EntryKind, now: datetime, data: Mapping[str, Any]) -> list[Event]:
    """Return the evidence for the chain of each instance that a notice names."""
    notice = stored.notice
    common = {
        "notice": notice.key,
        "kind": str(notice.kind),
        "customer": notice.customer,
        "contact": notice.contact,
        "required": notice.required,
        "revision": notice.revision,
        "sequence": notice.sequence,
        "late": notice.late,
        **data,
    }
    window = notice.facts.get("window")
    if window:
        common |= {"window": window["id"], "start": window["start"], "end": window["end"]}
    alone = notice.kind is NoticeKind.OPERATOR_ALERT or not _chains(stored)
    chains = (PROVIDER,) if alone else _chains(stored)
    return [Event(chain=each, at=now, kind=kind, subject=notice.subject, data=common) for each in chains]


def _chains(stored: StoredNotice) -> tuple[str, ...]:
    """Return the instances that a notice is about."""
    if stored.instances:
        return stored.instances
    facts = stored.notice.facts
    named = [(facts.get(name) or {}).get("instance") for name in ("deferral", "outage", "handover", "access")]
    return tuple(each for each in named if each)


def _evidence(prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    composed, addressee = prepared.composed, prepared.addressee
    return {
        "message_id": composed.message_id if composed else None,
        "address": addressee.address_hash if addressee else None,
        "server": outcome.server,
        "reply": _reply(outcome),
        "sha256": composed.digest if composed else None,
        "instances": list(_chains(prepared.stored)),
    }

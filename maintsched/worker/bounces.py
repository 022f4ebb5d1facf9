"""Reads delivery reports: a permanent bounce revokes the proof of a notice, and the operator is told (clause 2.4.3)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from maintsched.errors import StoreError
from maintsched.journal import EntryKind, Event, instant_text
from maintsched.localtime import utc
from maintsched.mail.bounces import Action, Bounce, read_bounce, read_maildir
from maintsched.mail.compose import envelope_id, message_id
from maintsched.notices import TELLING
from maintsched.store.evidence import JOURNAL, append
from maintsched.store.ledger import NOTICE, ActionKind, record_done
from maintsched.store.outbox import StoredNotice, read_notices
from maintsched.store.tables import LAST_PASS, facts_changed, read_meta, write_meta
from maintsched.worker.alerts import Alert, record_alerts
from maintsched.worker.house import House
from maintsched.worker.perform import evidence_events, suppress, without_address
from maintsched.worker.post import Addressee, read_addressees, suppression

REPORTED_WITHIN = timedelta(days=30)
"""How long after its acceptance a notice may come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one report led to; `notice` None: it is about no notice of ours."""

    source: str
    bounce: Bounce | None
    notice: str | None = None
    revoked: bool = False


def read_bounces(house: House, *, now: datetime) -> list[Read]:
    """Read the reports in the configured maildir; return those that revoked a proof. Read files go to its `cur`."""
    folder = house.config.worker.bounces
    if folder is None:
        return []
    found = []
    for name, raw in read_maildir(folder):
        part, _, file = name.partition("/")
        if part == "new":
            found.append(take_report(house, raw, source=file, now=now))
            _put_away(folder, file)
    return [read for read in found if read.revoked]


def has_reports(house: House) -> bool:
    """Say whether a report that was not read yet lies in the configured maildir."""
    folder = house.config.worker.bounces
    if folder is None:
        return False
    try:
        return any((folder / "new").iterdir())
    except OSError:  # what is wrong with it, reading it says
        return True


def _put_away(folder: Path, name: str) -> None:
    """Mark a report as read, the way maildirs do."""
    path = folder / "new" / name
    if path.exists():
        try:
            (folder / "cur").mkdir(mode=0o700, exist_ok=True)
            path.replace(folder / "cur" / f"{name.partition(':')[0]}:2,S")
        except OSError as error:
            raise StoreError(f"cannot put {path} away: {error.strerror}") from error


def take_report(house: House, raw: bytes, *, source: str, now: datetime) -> Read:
    """Note what one mail reports about a notice."""
    bounce = read_bounce(raw)
    if bounce is None:
        return Read(source=source, bounce=None)
    with house.store.writing() as connection:
        key = _notice_of(connection, bounce, house.config.provider.domain, now)
        if key is None:
            return Read(source=source, bounce=bounce)
        if not record_done(connection, ActionKind.REPORT, [f"report/{sha256(raw).hexdigest()}"], now):
            return Read(source=source, bounce=bounce, notice=key)  # the same report again
        (stored,) = read_notices(connection, keys={key})
        if bounce.action is Action.DELIVERED and stored.delivered_at is None:
            _delivered(connection, stored, bounce, now)
        # Failed is final, whatever the reason; only a permanent one speaks against the address (RFC 3464, 2.3.3).
        revoked = bounce.failed and stored.bounced_at is None and stored.accepted_at is not None
        if revoked:
            _bounced(connection, house, stored, bounce, now)
    return Read(source=source, bounce=bounce, notice=key, revoked=revoked)


def _notice_of(connection: Connection, bounce: Bounce, domain: str, now: datetime) -> str | None:
    """Return the key of the notice that a report is about; reports name it by a hash of its key.

    The envelope id counts: it comes back from the conversation. The returned mail, whose words anybody may have
    changed, is only looked at where no notice has that id.
    """
    sent = select(NOTICE.c.key).where(
        NOTICE.c.result.is_not(None), NOTICE.c.stamp > utc(now) - REPORTED_WITHIN - timedelta(days=62)
    )
    keys = [str(key) for key in connection.execute(sent).scalars()]
    by_envelope = (key for key in keys if bounce.envid == envelope_id(key))
    by_message = (key for key in keys if bounce.message_id and bounce.message_id == message_id(key, domain))
    return next(by_envelope, None) or next(by_message, None)


def _delivered(connection: Connection, stored: StoredNotice, bounce: Bounce, now: datetime) -> None:
    connection.execute(update(NOTICE).where(NOTICE.c.key == stored.key).values(delivered_at=now))
    data = {"status": bounce.status}
    append(connection, evidence_events(stored, EntryKind.NOTICE_DELIVERED, now, data))
    facts_changed(connection)


def _same_address(connection: Connection, stored: StoredNotice, addressee: Addressee) -> bool:
    """Say whether the address is still the one that the notice went to: a corrected one has done nothing wrong."""
    accepted = select(JOURNAL.c.data).where(
        JOURNAL.c.subject == stored.notice.subject, JOURNAL.c.kind == str(EntryKind.NOTICE_ACCEPTED)
    )
    found = (json.loads(data) for data in connection.execute(accepted.order_by(JOURNAL.c.at.desc())).scalars())
    last: dict[str, Any] = next((each for each in found if each.get("notice") == stored.key), {})
    return bool(last.get("address") == addressee.address_hash)


def _look_back_to(connection: Connection, stored: StoredNotice) -> None:
    """Let the next pass plan from before the notice's window, which may have begun: its proof is another one now."""
    window, last = stored.notice.facts.get("window"), read_meta(connection, LAST_PASS)
    if window and last:
        begin = utc(datetime.fromisoformat(window["start"])) - timedelta(seconds=1)
        write_meta(connection, LAST_PASS, instant_text(min(begin, datetime.fromisoformat(last))))


def _bounced(connection: Connection, house: House, stored: StoredNotice, bounce: Bounce, now: datetime) -> None:
    notice = stored.notice
    connection.execute(update(NOTICE).where(NOTICE.c.key == stored.key).values(bounced_at=now, result="bounced"))
    person = (notice.customer, notice.contact)
    addressee = read_addressees(connection, house.config, {person}).get(person)
    known_as = (bounce.recipient, addressee.contact.email if addressee else None)
    for address in filter(None, known_as):  # also of somebody who is gone by now: the report itself says where it went
        bounce = replace(bounce, diagnostic=without_address(bounce.diagnostic, address))
    data = {"status": bounce.status, "diagnostic": bounce.diagnostic}
    events: Iterable[Event] = evidence_events(stored, EntryKind.NOTICE_BOUNCED, now, data)
    append(connection, events)
    known = addressee is not None and not addressee.customer.startswith("_")
    if addressee is not None and known and bounce.permanent and _same_address(connection, stored, addressee):
        suppress(connection, suppression(addressee, now, f"bounced: {bounce.status} {bounce.diagnostic}"))
    facts_changed(connection)
    _look_back_to(connection, stored)
    consequence = (
        "its proof is revoked: the window is classified again" if notice.kind in TELLING else "it is not known"
    )
    alert = Alert(
        key=stored.key,
        subject=f"bounce/{notice.subject}/{notice.customer}",
        title=f"A notice about {notice.subject} came back",
        lines=(stored.key, f"{bounce.status} {bounce.diagnostic}", consequence),
        way_out="Correct the address with `maintsched fleet sync`, then `maintsched notice resend KEY`.",
    )
    record_alerts(connection, house.contract, [alert], now)

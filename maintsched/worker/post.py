"""From stored notices to letters: who writes, who reads, in which words, with which calendar entry."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from maintsched.contract import Contract
from maintsched.facts import Impact
from maintsched.fleet import CalendarMethod, Contact, Language
from maintsched.intake.config import Config
from maintsched.intake.passwords import smtp_password
from maintsched.mail.blanks import Blanks
from maintsched.mail.compose import message_id
from maintsched.mail.groups import Shared
from maintsched.mail.letter import Event, EventStatus, Letter, MaintnoteStatus, Method
from maintsched.mail.settings import MailSettings, Secret, Tls
from maintsched.notices import OPERATOR, Notice, NoticeKind
from maintsched.store.fleets import CONTACT, CUSTOMER, address_hash, contact_from_row
from maintsched.store.ledger import ACTION, NOTICE, ActionState
from maintsched.store.outbox import StoredNotice, concerned
from maintsched.store.rows import SuppressionRow
from maintsched.store.tables import in_chunks, table_of
from maintsched.worker.wording import Wording

SUPPRESSION = table_of(SuppressionRow)


def mail_settings(config: Config) -> MailSettings:
    """Return how the configured mail server is reached, with its password."""
    mail = config.mail
    password = smtp_password(config, os.environ) if mail.user is not None else None
    return MailSettings(
        host=mail.host,
        port=mail.port,
        tls=Tls(mail.tls),
        user=mail.user,
        password=Secret(password) if password else None,
        connections=mail.connections,
        timeout_seconds=float(mail.timeout_seconds),
        per_domain=mail.per_domain,
        ca_file=mail.ca_file,
        local_hostname=mail.local_hostname,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Who a notice goes to, with what evidence keeps of the address."""

    contact: Contact
    customer: str
    customer_name: str
    sender: str | None
    """Sender of notices to a customer with a mail domain of its own (clause 2.1)."""
    language: Language
    salt: str
    suppressed: str | None = None
    """Why nothing is sent to this address any more."""

    @property
    def address_hash(self) -> str:
        """What evidence keeps of the address."""
        return address_hash(self.salt, self.contact.email)


def read_addressees(
    connection: Connection, config: Config, people: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Addressee]:
    """Return the addressees of `people` (customer and contact); who was erased or removed is not among them."""
    found = {}
    customers = sorted({customer for customer, _ in people})
    suppressed = {
        (row.customer, row.contact): (row.address_hash, row.reason)
        for row in connection.execute(select(SUPPRESSION)).all()
    }
    for some in in_chunks(customers):
        mine = (
            select(CONTACT, CUSTOMER.c.name.label("customer_name"), CUSTOMER.c.sender, CUSTOMER.c.language.label("of"))
            .join(CUSTOMER, CUSTOMER.c.key == CONTACT.c.customer)
            .where(CONTACT.c.customer.in_(some), CONTACT.c.erased_at.is_(None))
        )
        for row in connection.execute(mine).mappings():
            name = (row["customer"], row["key"])
            if name not in people:
                continue
            contact = contact_from_row(row)
            known, reason = suppressed.get(name, ("", ""))
            found[name] = Addressee(
                contact=contact,
                customer=row["customer"],
                customer_name=row["customer_name"],
                sender=row["sender"],
                language=contact.language or Language(row["of"]),
                salt=row["salt"],
                suppressed=reason if known == address_hash(row["salt"], contact.email) else None,
            )
    for customer, contact_key in people:
        if contact_key == OPERATOR and customer.startswith("_"):
            found[customer, contact_key] = operator_of(config)
    return found


def operator_of(config: Config) -> Addressee:
    """Return the provider's own people, who get alerts."""
    provider = config.provider
    contact = Contact(key=OPERATOR, name=provider.name, email=provider.alerts, roles=(OPERATOR,))
    return Addressee(
        contact=contact,
        customer="_provider",
        customer_name=provider.name,
        sender=None,
        language=Language.EN,
        salt="provider",
    )


def suppression(addressee: Addressee, now: datetime, reason: str) -> dict[str, Any]:
    """Return the row that keeps further mail from an address."""
    return {
        "customer": addressee.customer,
        "contact": addressee.contact.key,
        "address_hash": addressee.address_hash,
        "since": now,
        "reason": reason,
    }


def first_notices(connection: Connection, notices: Iterable[Notice]) -> dict[tuple[str, str, str], str]:
    """Return the key of the first notice of each subject to each person that went out or may have."""
    first: dict[tuple[str, str, str], str] = {}
    for wanted in concerned(NOTICE, [each for each in notices if each.sequence > 0]):
        sent = (
            select(NOTICE.c.subject, NOTICE.c.customer, NOTICE.c.contact, NOTICE.c.key)
            .join(ACTION, ACTION.c.key == NOTICE.c.key)
            .where(wanted, ACTION.c.state == ActionState.DONE)
            .order_by(NOTICE.c.sequence, NOTICE.c.key)
        )
        for subject, customer, contact, key in connection.execute(sent):
            first.setdefault((subject, customer, contact), key)
    return first


def letter_of(
    contract: Contract, config: Config, stored: StoredNotice, addressee: Addressee, first: str | None
) -> Letter:
    """Return everything that the mail of a notice is made of."""
    notice, provider, mail = stored.notice, config.provider, config.mail
    return Letter(
        key=notice.key,
        kind=notice.kind,
        subject_id=_subject_id(notice),
        language=addressee.language,
        recipient_name=addressee.contact.name,
        recipient=addressee.contact.email,
        sender_name=provider.name,
        sender=addressee.sender or contract.mail.sender or mail.sender,
        reply_to=mail.reply_to,
        bounce=mail.envelope_sender,
        domain=provider.domain,
        stamp=notice.stamp,
        context=_LaterWords(partial(_words, contract, config, notice, addressee, notice.facts, _names(addressee))),
        reference=None if first in (None, notice.key) else message_id(str(first), provider.domain),
        event=_event(config, notice, addressee),
    )


def _subject_id(notice: Notice) -> str:
    window = notice.facts.get("window")
    return str(window["id"]) if window else notice.subject


class _LaterWords(Mapping[str, Any]):
    """Words for a template, found when it asks for them: mails of a group never do."""

    def __init__(self, find: Callable[[], dict[str, Any]]) -> None:
        self._find = find

    @cached_property
    def _found(self) -> dict[str, Any]:
        return self._find()

    def __getitem__(self, name: str) -> Any:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class _Names(NamedTuple):
    """Who reads a mail, as its words say it."""

    customer: str
    customer_name: str
    contact_name: str


def _names(addressee: Addressee) -> _Names:
    return _Names(addressee.customer, addressee.customer_name, addressee.contact.name)


def _words(
    contract: Contract,
    config: Config,
    notice: Notice,
    addressee: Addressee,
    facts: Mapping[str, Any],
    names: _Names,
) -> dict[str, Any]:
    """Return what a template is filled with: `facts` are those of the notice, `names` those of the addressee.

    Both may have blanks in place of what belongs to the reader.
    """
    wording = Wording(contract=contract, language=str(addressee.language), zone=addressee.contact.zone)
    provider = config.provider
    return {
        **wording.context(facts, stamp=notice.stamp),
        "provider": {"name": provider.name, "contact": provider.contact, "domain": provider.domain},
        "customer": {"key": names.customer, "name": names.customer_name},
        "contact": {"name": names.contact_name},
        "late": notice.late,
        "clause": _clause(contract, facts),
        "backup_clause": contract.clauses.own_backup,
        "contract": contract.title,
    }


def shared_of(contract: Contract, config: Config, stored: StoredNotice, addressee: Addressee) -> Shared:
    """Return what the words of a notice have in common with others of the same house, and what belongs to their reader.

    Raises `NotShared` where a name could not be put into the words of others.
    """
    notice, blanks = stored.notice, Blanks()
    names = _Names(*map(blanks.text, _names(addressee)))
    facts = _with_blanks(notice.facts, blanks)
    # The text of a value of JSON: two that say the same are the same, and it is made faster than anything to compare.
    group = (addressee.contact.zone.key, notice.late, notice.stamp.isoformat(), len(blanks.values), repr(facts))
    words = partial(_words, contract, config, notice, addressee, facts, names)
    return Shared(group=group, values=blanks.values, words=words)


def _with_blanks(facts: Mapping[str, Any], blanks: Blanks) -> Mapping[str, Any]:
    """Return facts with blanks for the names of instances; of what is told of no window, readers differ in little."""
    if "window" not in facts:
        return facts
    changed = {
        "instances": [
            {**each, "key": blanks.text(each["key"]), "url": blanks.link(each["url"])}
            for each in facts.get("instances", ())
        ],
        "work": [{**each, "instance": blanks.text(each["instance"])} for each in facts.get("work", ())],
    }
    return {**facts, **{name: listed for name, listed in changed.items() if name in facts}}


def _clause(contract: Contract, facts: Mapping[str, Any]) -> str:
    for name in ("window", "deferral", "outage", "handover", "access", "report", "alert"):
        clause = (facts.get(name) or {}).get("clause")
        if clause:
            return str(clause)
    return contract.clauses.told


# --- calendar -------------------------------------------------------------------------------------------------------

_STATUS = {
    NoticeKind.TENTATIVE: (EventStatus.TENTATIVE, MaintnoteStatus.TENTATIVE),
    NoticeKind.MOVED: (EventStatus.CONFIRMED, MaintnoteStatus.RE_SCHEDULED),
    NoticeKind.CANCELLED: (EventStatus.CANCELLED, MaintnoteStatus.CANCELLED),
    NoticeKind.STARTED: (EventStatus.CONFIRMED, MaintnoteStatus.IN_PROCESS),
    NoticeKind.OVERRUN: (EventStatus.CONFIRMED, MaintnoteStatus.IN_PROCESS),
    NoticeKind.FINISHED: (EventStatus.CONFIRMED, MaintnoteStatus.COMPLETED),
    NoticeKind.FAILED: (EventStatus.CONFIRMED, MaintnoteStatus.COMPLETED),
}
_PLAIN = (EventStatus.CONFIRMED, MaintnoteStatus.CONFIRMED)
_METHODS = {
    CalendarMethod.PUBLISH: Method.PUBLISH,
    CalendarMethod.REQUEST: Method.REQUEST,
    CalendarMethod.NONE: Method.NONE,
}


def event_uid(config: Config, subject: str, customer: str) -> str:
    """Return the name of a calendar entry: the same for the life of a window and an account."""
    return f"{sha256(f'{subject} {customer}'.encode()).hexdigest()[:32]}@{config.provider.domain}"


def _event(config: Config, notice: Notice, addressee: Addressee) -> Event | None:
    window = notice.facts.get("window")
    if window is None:
        return None
    status, maintnote = _STATUS.get(notice.kind, _PLAIN)
    method = _METHODS[addressee.contact.calendar]
    if notice.kind is NoticeKind.CANCELLED and method is not Method.NONE:
        method = Method.CANCEL
    instances = notice.facts.get("instances", ())
    return Event(
        uid=event_uid(config, notice.subject, notice.customer),
        sequence=notice.sequence,
        method=method,
        status=status,
        start=datetime.fromisoformat(window["start"]),
        end=datetime.fromisoformat(window["end"]),
        maintenance_id=window["id"],
        account=notice.customer,
        provider=config.provider.domain,
        objects=tuple((each["key"], Impact(each["impact"])) for each in instances),
        maintnote_status=maintnote,
        url=next((each["url"] for each in instances if each["url"]), None),
    )

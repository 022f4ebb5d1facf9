"""The plain way to send reminders, as one writes it on a Monday: an ORM, a rule per customer, one mail after the other.

It is no straw man: rows do not expire at commits, templates are compiled once, one connection carries all mails, and
the database is as durable as ours. What it leaves out is left out in its favour: holidays, deadlines, freezes, gaps and
folds of the clock, one copy per person whatever happens, hashes of the evidence.
"""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from sqlalchemy import Engine, MetaData, event
from sqlmodel import Field, Relationship, Session, SQLModel, create_engine, select

from bench.naive_mail import Reminder, compose, environment
from maintsched.fleet import Fleet

BERLIN = ZoneInfo("Europe/Berlin")
AHEAD = timedelta(days=12)
"""How long before a window its reminder goes out, at the latest."""
RULE = "FREQ=MONTHLY;BYDAY=1TU"
BEGAN = datetime(2020, 1, 1, 17)  # noqa: DTZ001 - rules know wall clocks only


class _Base(SQLModel):
    metadata = MetaData()


class NaiveCustomer(_Base, table=True):
    id: int | None = Field(default=None, primary_key=True)
    key: str
    name: str
    language: str
    rule: str = RULE
    contacts: list["NaiveContact"] = Relationship()
    instances: list["NaiveInstance"] = Relationship()


class NaiveContact(_Base, table=True):
    id: int | None = Field(default=None, primary_key=True)
    customer_id: int | None = Field(default=None, foreign_key="naivecustomer.id", index=True)
    key: str
    name: str
    email: str
    zone: str


class NaiveInstance(_Base, table=True):
    id: int | None = Field(default=None, primary_key=True)
    customer_id: int | None = Field(default=None, foreign_key="naivecustomer.id", index=True)
    key: str
    url: str | None
    environment: str


class NaiveNotice(_Base, table=True):
    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(unique=True)
    contact_id: int
    window_start: datetime
    state: str


class NaiveProof(_Base, table=True):
    id: int | None = Field(default=None, primary_key=True)
    notice_id: int
    instance: str
    accepted_at: datetime
    message_id: str
    digest: str


@contextmanager
def database(path: Path, fleet: Fleet) -> Iterator[Engine]:
    """Give a database of the same customers, as durable as ours."""
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _durable)
    _Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(_rows(fleet))
        session.commit()
    try:
        yield engine
    finally:
        engine.dispose()


def _durable(connection, _: object) -> None:  # type: ignore[no-untyped-def]  # sqlite3's own
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _rows(fleet: Fleet) -> Iterator[NaiveCustomer]:
    for each in fleet.customers:
        yield NaiveCustomer(
            key=each.key,
            name=each.name,
            language=str(each.language),
            contacts=[
                NaiveContact(key=one.key, name=one.name, email=one.email, zone=one.zone.key) for one in each.contacts
            ],
            instances=[
                NaiveInstance(key=one.key, url=one.url, environment=str(one.environment)) for one in each.instances
            ],
        )


def send_reminders(engine: Engine, host: str, port: int, now: datetime) -> int:
    """Send what is due to every customer; return how many mails went out."""
    templates, sent = environment(), 0
    with Session(engine, expire_on_commit=False) as session, smtplib.SMTP(host, port) as server:
        for customer in session.exec(select(NaiveCustomer)).all():
            start = next_window(customer.rule, now)
            if start - now > AHEAD:
                continue
            for contact in customer.contacts:
                key = f"{start:%Y-%m}/{customer.key}/{contact.key}"
                if session.exec(select(NaiveNotice).where(NaiveNotice.key == key)).first() is not None:
                    continue
                notice = NaiveNotice(
                    key=key,
                    contact_id=contact.id or 0,
                    window_start=start.astimezone(UTC),
                    state="ready",
                )
                session.add(notice)
                session.commit()
                message = compose(templates, reminder_of(customer, contact, start), now)
                server.send_message(message)
                _proved(session, notice, customer, message, now)
                sent += 1
    return sent


def _proved(
    session: Session, notice: NaiveNotice, customer: NaiveCustomer, message: EmailMessage, now: datetime
) -> None:
    """Write down that a mail was accepted, for each instance."""
    notice.state = "sent"
    session.add(notice)
    for instance in customer.instances:
        session.add(
            NaiveProof(
                notice_id=notice.id or 0,
                instance=instance.key,
                accepted_at=now,
                message_id=str(message["Message-ID"]),
                digest=sha256(message.as_bytes()).hexdigest(),
            )
        )
    session.commit()


def reminder_of(customer: NaiveCustomer, contact: NaiveContact, start: datetime) -> Reminder:
    """Return what a contact is told."""
    return Reminder((customer.key, customer.name), customer.language, contact, customer.instances, start)


def next_window(rule: str, now: datetime) -> datetime:
    """Return the next window of a customer, at 17:00 in Berlin."""
    local = rrulestr(rule, dtstart=BEGAN).after(now.astimezone(BERLIN).replace(tzinfo=None))
    if local is None:
        raise ValueError(f"expected a rule that goes on, got {rule}")
    return local.replace(tzinfo=BERLIN)

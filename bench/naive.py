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
from email.utils import format_datetime, formataddr, make_msgid
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from icalendar import Calendar, Event
from jinja2 import DictLoader, Environment, StrictUndefined, select_autoescape
from sqlalchemy import Engine, MetaData, event
from sqlmodel import Field, Relationship, Session, SQLModel, create_engine, select

from maintsched.fleet import Fleet
from maintsched.mail.templates import builtin_folder

BERLIN = ZoneInfo("Europe/Berlin")
LENGTH = timedelta(hours=3)
AHEAD = timedelta(days=12)
"""How long before a window its reminder goes out, at the latest."""
RULE = "FREQ=MONTHLY;BYDAY=1TU"
BEGAN = datetime(2024, 1, 1, 17)  # noqa: DTZ001 - rules know wall clocks only
SENDER = "wartung@hosting.example"


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


TEXT = """\
{% set de = customer.language == "de" %}
{{ "Monatliche Wartung am" if de else "Monthly maintenance on" }} {{ start.strftime("%d.%m.%Y") }}
---------------------------------

{{ "Guten Tag" if de else "Hello" }} {{ contact.name }},

{{ "wir erinnern Sie an die monatliche Wartung Ihrer Systeme." if de else
"this is a reminder of the monthly maintenance of your systems." }}

{% for name, value in facts %}
{{ (name + ":").ljust(18) }} {{ value }}
{% endfor %}

{{ "Wer betroffen ist" if de else "Who is affected" }}
{% for instance in customer.instances %}
- {{ instance.key }} ({{ instance.environment }}), {{ instance.url }}: {{ impact }}
{% endfor %}

{% for step in steps %}
- {{ step }}
{% endfor %}

{{ "Bei Fragen erreichen Sie uns unter" if de else "Questions? Write to" }} support@hosting.example.
"""
HTML = """\
{% set de = customer.language == "de" %}
<h1>{{ "Monatliche Wartung am" if de else "Monthly maintenance on" }} {{ start.strftime("%d.%m.%Y") }}</h1>
<p>{{ "Guten Tag" if de else "Hello" }} {{ contact.name }},</p>
<p>{{ "wir erinnern Sie an die monatliche Wartung Ihrer Systeme." if de else
"this is a reminder of the monthly maintenance of your systems." }}</p>
<table>
{% for name, value in facts %}
<tr><th scope="row">{{ name }}:</th><td>{{ value }}</td></tr>
{% endfor %}
</table>
<h2>{{ "Wer betroffen ist" if de else "Who is affected" }}</h2>
<ul>
{% for instance in customer.instances %}
<li>{{ instance.key }} ({{ instance.environment }}),
<a href="{{ instance.url }}">{{ instance.url }}</a>: {{ impact }}</li>
{% endfor %}
</ul>
<ul>
{% for step in steps %}
<li>{{ step }}</li>
{% endfor %}
</ul>
<p>{{ "Bei Fragen erreichen Sie uns unter" if de else "Questions? Write to" }} support@hosting.example.</p>
"""
STEPS = {
    "de": (
        "Informieren Sie die Anwender des Portals über Zeit und Auswirkung.",
        "Sichern Sie Ihre Systeme und Daten kurz vor dem Beginn, denn es werden Updates eingespielt (Ziffer 7.1).",
        "Prüfen Sie danach, ob Ihr Portal wie erwartet arbeitet, vor allem das, was Sie selbst entwickelt haben.",
    ),
    "en": (
        "Tell the users of the portal about time and impact.",
        "Back up your systems and data shortly before the start, because updates will be installed (clause 7.1).",
        "Check afterwards that your portal works as expected, above all what you developed yourselves.",
    ),
}
LABELS = {
    "de": ("Wartungsfenster", "Auswirkung", "Beginn", "Beginn (UTC)", "Ende", "Ende (UTC)", "Dauer", "Zeitzone"),
    "en": ("Window", "Impact", "Start", "Start (UTC)", "End", "End (UTC)", "Duration", "Time zone"),
}
IMPACT = {"de": "nicht erreichbar", "en": "not available"}


def environment() -> Environment:
    """Return the templates: one for text, one for HTML, in the same layout as ours."""
    layout = (builtin_folder() / "layout.html").read_text(encoding="utf-8")
    page = layout.replace("{{ body }}", HTML)
    return Environment(
        loader=DictLoader({"mail.txt": TEXT, "mail.html": page}),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
    )


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
                message = compose(templates, customer, contact, start, now)
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


def next_window(rule: str, now: datetime) -> datetime:
    """Return the next window of a customer, at 17:00 in Berlin."""
    local = rrulestr(rule, dtstart=BEGAN).after(now.astimezone(BERLIN).replace(tzinfo=None))
    if local is None:
        raise ValueError(f"expected a rule that goes on, got {rule}")
    return local.replace(tzinfo=BERLIN)


def compose(
    templates: Environment, customer: NaiveCustomer, contact: NaiveContact, start: datetime, now: datetime
) -> EmailMessage:
    """Return the mail: text, HTML, and the calendar as a part and as a file."""
    german = customer.language == "de"
    mine = start.astimezone(ZoneInfo(contact.zone))
    about = "Wartungserinnerung" if german else "Maintenance reminder"
    subject = f"[monthly/{start:%Y-%m}] {about}: {customer.instances[0].key}, {mine:%d.%m.%Y %H:%M %Z}"
    words = _words(customer, contact, start) | {"title": subject}
    text = templates.get_template("mail.txt").render(words)
    page = templates.get_template("mail.html").render(words)
    message = EmailMessage()
    message["From"] = formataddr(("Example Hosting", SENDER))
    message["To"] = formataddr((contact.name, contact.email))
    message["Subject"] = subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain="hosting.example")
    message["Auto-Submitted"] = "auto-generated"
    message["List-Id"] = "<maintenance.hosting.example>"
    message.set_content(text)
    message.add_alternative(page, subtype="html")
    entry = _calendar(customer, start, now, summary=subject, description=text)
    message.add_alternative(entry, maintype="text", subtype="calendar", params={"method": "PUBLISH"})
    message.add_attachment(entry, maintype="application", subtype="ics", filename="maintenance.ics")
    return message


def _words(customer: NaiveCustomer, contact: NaiveContact, start: datetime) -> dict[str, object]:
    zone, language = ZoneInfo(contact.zone), customer.language
    end = start + LENGTH
    values = (
        f"monthly/{start:%Y-%m}",
        IMPACT[language],
        f"{start.astimezone(zone):%A, %d.%m.%Y, %H:%M %Z}",
        f"{start.astimezone(UTC):%A, %d.%m.%Y, %H:%M %Z}",
        f"{end.astimezone(zone):%A, %d.%m.%Y, %H:%M %Z}",
        f"{end.astimezone(UTC):%A, %d.%m.%Y, %H:%M %Z}",
        str(LENGTH),
        zone.key,
    )
    return {
        "customer": customer,
        "contact": contact,
        "language": language,
        "start": start.astimezone(zone),
        "impact": IMPACT[language],
        "facts": tuple(zip(LABELS[language], values, strict=True)),
        "steps": STEPS[language],
    }


def _calendar(customer: NaiveCustomer, start: datetime, now: datetime, *, summary: str, description: str) -> bytes:
    entry = Event()
    entry.add("uid", f"{sha256(f'{start} {customer.key}'.encode()).hexdigest()[:32]}@hosting.example")
    entry.add("sequence", 0)
    entry.add("dtstamp", now)
    entry.add("dtstart", start.astimezone(UTC))
    entry.add("dtend", (start + LENGTH).astimezone(UTC))
    entry.add("status", "CONFIRMED")
    entry.add("summary", summary)
    entry.add("description", description)
    entry.add("categories", ["MAINTENANCE"])
    entry.add("transp", "TRANSPARENT")
    entry.add("organizer", f"mailto:{SENDER}")
    entry.add("x-maintnote-provider", "hosting.example")
    entry.add("x-maintnote-account", customer.key)
    entry.add("x-maintnote-maintenance-id", f"monthly/{start:%Y-%m}")
    for instance in customer.instances:
        entry.add("x-maintnote-object-id", instance.key)
    entry.add("x-maintnote-impact", "OUTAGE")
    entry.add("x-maintnote-status", "CONFIRMED")
    calendar = Calendar()
    calendar.add("prodid", "-//naive//reminder//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(entry)
    return bytes(calendar.to_ical())

"""The mail of the naive way: the words of ours from plain Jinja, icalendar for the calendar, EmailMessage around it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid
from hashlib import sha256
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event
from jinja2 import DictLoader, Environment, StrictUndefined, select_autoescape

from maintsched.mail.templates import builtin_folder

DOMAIN = "hosting.example"
SENDER = "wartung@hosting.example"
LENGTH = timedelta(hours=4)
COMPONENTS = "intrexx, database, search, webserver, firewall, linux, libreoffice"


class Instance(Protocol):
    """An instance, as the ORM has it."""

    key: str
    url: str | None
    environment: str


class Contact(Protocol):
    """A contact, as the ORM has it."""

    name: str
    email: str
    zone: str


TEXT = """\
{{ title }}
{{ "-" * title|length }}

{{ words.hello }} {{ contact.name }},

{{ words.intro }}

{% for name, value in facts %}
{{ (name + ":" if name else "").ljust(16) }} {{ value }}
{% endfor %}

{{ words.affected }}
{{ "-" * words.affected|length }}

{% for instance in instances %}
{{ ("- " + instance.key + " (" + instance.environment + "), " + instance.url + ": " + words.outage + "; " +
words.components + ": " + components)|wordwrap(70, wrapstring="\n  ") }}
{% endfor %}

{{ words.updates }}
{{ "-" * words.updates|length }}

{% for instance in instances %}
- {{ instance.key }}: {{ words.os }}
{% endfor %}

{{ words.todo }}
{{ "-" * words.todo|length }}

{% for step in words.steps %}
{{ ("- " + step)|wordwrap(70, wrapstring="\n  ") }}
{% endfor %}

{{ words.contact }}
{{ "-" * words.contact|length }}

{{ words.questions|wordwrap(72) }}

{{ (words.basis + customer + ".")|wordwrap(72) }}
"""
HTML = """\
<h1>{{ title }}</h1>
<p>{{ words.hello }} {{ contact.name }},</p>
<p>{{ words.intro }}</p>
<table>
{% for name, value in facts %}
<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}
</table>
<h2>{{ words.affected }}</h2>
<ul>
{% for instance in instances %}
<li>{{ instance.key }} ({{ instance.environment }}), <a href="{{ instance.url }}">{{ instance.url }}</a>:
{{ words.outage }}; {{ words.components }}: {{ components }}</li>
{% endfor %}
</ul>
<h2>{{ words.updates }}</h2>
<ul>
{% for instance in instances %}
<li>{{ instance.key }}: {{ words.os }}</li>
{% endfor %}
</ul>
<h2>{{ words.todo }}</h2>
<ul>
{% for step in words.steps %}
<li>{{ step }}</li>
{% endfor %}
</ul>
<h2>{{ words.contact }}</h2>
<p>{{ words.questions }}</p>
<p>{{ words.basis }}{{ customer }}.</p>
"""
WORDS: Mapping[str, Mapping[str, Any]] = {
    "de": {
        "kind": "Wartungserinnerung",
        "work": "Wartung",
        "title": "Monatliche Wartung am",
        "hello": "Guten Tag",
        "intro": "wir erinnern Sie an die monatliche Wartung Ihrer Systeme.",
        "facts": ("Wartungsfenster", "Auswirkung", "Beginn", "", "Ende", "", "Dauer", "Zeitzone"),
        "outage": "Ausfall",
        "length": "4 Stunden",
        "affected": "Wer betroffen ist",
        "components": "Komponenten",
        "updates": "Updates in diesem Fenster",
        "os": "Updates des Betriebssystems",
        "todo": "Was Sie tun müssen",
        "steps": (
            "Informieren Sie die Anwender des Portals über Zeit und Auswirkung.",
            "Sichern Sie Ihre Systeme und Daten kurz vor dem Beginn, denn es werden Updates eingespielt (Ziffer 7.1).",
            "Prüfen Sie danach, ob Ihr Portal wie erwartet arbeitet, vor allem das, was Sie selbst entwickelt haben.",
        ),
        "contact": "Kontakt",
        "questions": "Bei Fragen erreichen Sie Example Hosting unter support@hosting.example.",
        "basis": "Grundlage dieser E-Mail ist Ziffer 2.4.3.1 des Vertrags „Intrexx PaaS, managed hosting“ mit ",
        "days": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
        "months": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "day": "{weekday}, {at.day}. {month} {at.year}",
        "clock": " Uhr",
    },
    "en": {
        "kind": "Maintenance reminder",
        "work": "Maintenance",
        "title": "Monthly maintenance on",
        "hello": "Dear",
        "intro": "this is a reminder of the monthly maintenance of your systems.",
        "facts": ("Window", "Impact", "Start", "", "End", "", "Duration", "Time zone"),
        "outage": "outage",
        "length": "4 hours",
        "affected": "Who is affected",
        "components": "components",
        "updates": "Updates in this window",
        "os": "operating system updates",
        "todo": "What you have to do",
        "steps": (
            "Tell the users of your portal about the time and the impact.",
            "Back up your systems and data shortly before the start, because updates will be installed (clause 7.1).",
            "Check afterwards that your portal works as you expect, above all what you developed yourselves.",
        ),
        "contact": "Contact",
        "questions": "If you have questions, you reach Example Hosting at support@hosting.example.",
        "basis": "This mail is based on clause 2.4.3.1 of the contract “Intrexx PaaS, managed hosting” with ",
        "days": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        "months": "January February March April May June July August September October November December",
        "day": "{weekday}, {at.day} {month} {at.year}",
        "clock": "",
    },
}


def environment() -> Environment:
    """Return the templates: one for text, one for HTML, in the same layout as ours."""
    layout = (builtin_folder() / "layout.html").read_text(encoding="utf-8")
    return Environment(
        loader=DictLoader({"mail.txt": TEXT, "mail.html": layout.replace("{{ body }}", HTML)}),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
    )


class Reminder:
    """What one person is told of one window."""

    def __init__(
        self, customer: tuple[str, str], language: str, contact: Contact, instances: list[Any], start: datetime
    ) -> None:
        """`customer` is key and name."""
        self.account, self.customer = customer
        self.words = WORDS[language]
        self.language, self.contact, self.instances = language, contact, instances
        self.start, self.end = start, start + LENGTH
        self.zone = ZoneInfo(contact.zone)
        self.window = f"monthly/{start:%Y-%m}"

    @property
    def subject(self) -> str:
        """The mail's subject."""
        return f"[{self.window}] {self.words['kind']}: {self.instances[0].key}, {self.moment(self.start, self.zone)}"

    def day(self, at: datetime) -> str:
        """Return a date in words."""
        weekday, month = self.words["days"][at.weekday()], self.words["months"].split()[at.month - 1]
        said: str = self.words["day"].format(weekday=weekday, month=month, at=at)
        return said

    def moment(self, at: datetime, zone: ZoneInfo) -> str:
        """Return an instant in words."""
        local = at.astimezone(zone)
        return f"{self.day(local)}, {local:%H:%M}{self.words['clock']} {local:%Z}"

    def context(self) -> dict[str, Any]:
        """Return what the templates are filled with."""
        universal = ZoneInfo("UTC")
        values = (
            self.window,
            self.words["outage"],
            *(self.moment(at, zone) for at in (self.start, self.end) for zone in (self.zone, universal)),
            self.words["length"],
            self.zone.key,
        )
        return {
            "words": self.words,
            "language": self.language,
            "title": f"{self.words['title']} {self.day(self.start.astimezone(self.zone))}",
            "facts": tuple(zip(self.words["facts"], values, strict=True)),
            "contact": self.contact,
            "customer": self.customer,
            "instances": self.instances,
            "components": COMPONENTS,
        }


def compose(templates: Environment, reminder: Reminder, now: datetime) -> EmailMessage:
    """Return the mail: text, HTML, and the calendar as a part and as a file."""
    context = reminder.context()
    text = templates.get_template("mail.txt").render(context)
    message = EmailMessage()
    message["From"] = formataddr(("Example Hosting", SENDER))
    message["To"] = formataddr((reminder.contact.name, reminder.contact.email))
    message["Subject"] = reminder.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=DOMAIN)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply, RN, NRN"
    message["List-Id"] = f"<maintenance.{DOMAIN}>"
    message["List-Unsubscribe"] = f"<mailto:{SENDER}?subject=unsubscribe>"
    message["Content-Language"] = reminder.language
    message.set_content(text)
    message.add_alternative(templates.get_template("mail.html").render(context), subtype="html")
    entry = _calendar(reminder, now, description=text)
    message.add_alternative(entry, maintype="text", subtype="calendar", params={"method": "PUBLISH"})
    message.add_attachment(entry, maintype="application", subtype="ics", filename="maintenance.ics")
    return message


def _calendar(reminder: Reminder, now: datetime, *, description: str) -> bytes:
    event = Event()
    event.add("uid", f"{sha256(f'{reminder.window} {reminder.account}'.encode()).hexdigest()[:32]}@{DOMAIN}")
    event.add("sequence", 0)
    event.add("dtstamp", now)
    event.add("dtstart", reminder.start.astimezone(UTC))
    event.add("dtend", reminder.end.astimezone(UTC))
    event.add("status", "CONFIRMED")
    event.add("summary", f"{reminder.words['work']}: {reminder.instances[0].key} (Example Hosting)")
    event.add("description", description)
    event.add("url", reminder.instances[0].url)
    event.add("categories", ["MAINTENANCE"])
    event.add("transp", "TRANSPARENT")
    event.add("organizer", f"mailto:{SENDER}", parameters={"CN": "Example Hosting"})
    event.add("x-maintnote-provider", DOMAIN)
    event.add("x-maintnote-account", reminder.account)
    event.add("x-maintnote-maintenance-id", reminder.window)
    for instance in reminder.instances:
        event.add("x-maintnote-object-id", instance.key, parameters={"X-MAINTNOTE-OBJECT-IMPACT": "OUTAGE"})
    event.add("x-maintnote-impact", "OUTAGE")
    event.add("x-maintnote-status", "CONFIRMED")
    calendar = Calendar()
    calendar.add("prodid", "-//naive//reminder//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    return bytes(calendar.to_ical())

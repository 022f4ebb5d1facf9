"""Letters for tests: one of every kind, in every language, filled with ordinary words."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from maintsched.facts import Impact
from maintsched.fleet import Language
from maintsched.mail.letter import Event, EventStatus, Letter, MaintnoteStatus, Method
from maintsched.mail.templates import Templates
from maintsched.notices import NoticeKind

START = datetime(2026, 12, 1, 17, tzinfo=ZoneInfo("Europe/Berlin"))
STAMP = datetime(2026, 11, 20, 8, 0, 5, tzinfo=UTC)
ABOUT_WINDOWS = (
    "reminder", "announcement", "emergency", "tentative", "confirmed", "moved", "cancelled", "started", "finished",
    "failed", "overrun",
)  # fmt: skip
WEEKDAYS = "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"
MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant in words, as templates see it."""

    text: str
    utc: str
    short: str
    day: str
    zone: str
    iso: str


def moment(at: datetime, language: str) -> Moment:
    universal = at.astimezone(UTC)
    day, time = day_of(at, language), f"{at:%H:%M %Z}"
    return Moment(
        text=f"{day}, {time}",
        utc=f"{day_of(universal, language)}, {universal:%H:%M} UTC",
        short=f"{at.day}. {at.month}. {at.year}, {time}"
        if language == "de"
        else f"{at:%a}, {at.day} {at:%b %Y}, {time}",
        day=day,
        zone="Europe/Berlin",
        iso=at.isoformat(),
    )


def day_of(at: datetime, language: str) -> str:
    if language == "de":
        return f"{WEEKDAYS.split()[at.weekday()]}, {at.day}. {MONTHS.split()[at.month - 1]} {at.year}"
    return f"{at:%A}, {at.day} {at:%B %Y}"


def context(kind: NoticeKind, language: Language, **changed: Any) -> dict[str, Any]:
    """Return words for a template of any kind: all keys, whichever of them the kind has."""

    def at(**later: int) -> Moment:
        return moment(START + timedelta(**later), language)

    de = language is Language.DE
    words: dict[str, Any] = {
        "provider": {"name": "Müller Hosting", "contact": "support@provider.example", "domain": "provider.example"},
        "customer": {"key": "acme", "name": "ACME GmbH"},
        "contact": {"name": "Eva Musterfrau"},
        "late": False,
        "clause": "2.4.3.1",
        "contract": "Intrexx PaaS",
        "backup_clause": "7.1",
    }
    specific: dict[str, Any] = {
        "window": {
            "id": "monthly/2026-12",
            "kind": "monthly",
            "start": at(),
            "end": at(hours=4),
            "duration": "4 Stunden" if de else "4 hours",
            "reason": "monatliche Wartung" if de else "monthly maintenance",
            "impact": "nicht erreichbar" if de else "not available",
            "holiday": None,
            "clock_change": None,
            "lead": "7 Tage" if de else "7 days",
        },
        "previous": {"start": at(days=-7), "end": at(days=-7, hours=4)},
        "instances": [
            {"key": "acme-prod", "environment": "prod", "url": "https://acme.portal.example/",
             "impact": "nicht erreichbar" if de else "not available", "components": "intrexx, database"},
            {"key": "acme-test", "environment": "test", "url": None,
             "impact": "langsamer" if de else "slower", "components": "intrexx"},
        ],
        "work": ["acme-prod: intrexx 12.0.4 (security)", "acme-test: intrexx 12.1.0 (major)"],
        "alternatives": [
            {"number": 1, "start": at(days=1), "end": at(days=1, hours=2)},
            {"number": 2, "start": at(days=2), "end": at(days=2, hours=2)},
        ],
        "choose_until": at(days=-2),
        "deferral": {"instance": "acme-prod", "release": "intrexx 12.1.0", "start": at(), "until": at(days=100),
                     "limit": at(days=182), "days": 30, "next_window": at(days=126)},
        "outage": {"instance": "acme-prod", "begin": at(), "end": at(hours=1),
                   "duration": "1 Stunde" if de else "1 hour", "cause": "Strom" if de else "power"},
        "report": {
            "month": "Dezember 2026" if de else "December 2026",
            "target": "99,5 %" if de else "99.5%",
            "rows": [
                {"instance": "acme-prod", "percent": "99.973%", "counted": "12 min", "allowed": "3 h 36 min",
                 "met": True, "outages": 1},
                {"instance": "acme-erp", "percent": "98.5%", "counted": "11 h", "allowed": "3 h 36 min", "met": False,
                 "outages": 3},
            ],
            "met": False,
        },
        "access": {"instance": "acme-prod", "url": "https://acme.portal.example/",
                   "link": "https://access.provider.example/acme", "due": at(days=1)},
        "handover": {"instance": "acme-prod", "ended_on": at(), "due": at(days=30)},
        "alert": {"title": "3 notices could not be sent", "lines": ["acme/eva: 550 no such user", "birch/jo: timeout"],
                  "way_out": "maintsched notice list --state failed"},
        "why": "nicht mehr nötig" if de else "no longer needed",
        "hurry": "aktiv ausgenutzte Lücke" if de else "the hole is exploited",
        "run": {"started": at(minutes=2), "finished": at(hours=3), "overrun": "20 min", "error": "disk full"},
    }  # fmt: skip
    return words | specific | changed


def event(**changed: Any) -> Event:
    fields: dict[str, Any] = {
        "uid": "monthly.2026-12.acme@provider.example",
        "sequence": 0,
        "method": Method.PUBLISH,
        "status": EventStatus.CONFIRMED,
        "start": START,
        "end": START + timedelta(hours=4),
        "maintenance_id": "monthly/2026-12",
        "account": "acme",
        "provider": "provider.example",
        "objects": (("acme-prod", Impact.OUTAGE), ("acme-test", Impact.DEGRADED)),
        "maintnote_status": MaintnoteStatus.CONFIRMED,
    }
    return Event(**(fields | changed))


def letter(kind: str = "reminder", language: str = "en", **changed: Any) -> Letter:
    about = NoticeKind(kind)
    fields: dict[str, Any] = {
        "key": f"notice/{kind}/monthly:2026-12/0/acme/eva",
        "kind": about,
        "subject_id": "monthly/2026-12",
        "language": Language(language),
        "recipient_name": "Eva Musterfrau",
        "recipient": "eva@acme.example",
        "sender_name": "Müller Hosting",
        "sender": "notices@provider.example",
        "reply_to": "support@provider.example",
        "bounce": "bounces@provider.example",
        "domain": "provider.example",
        "stamp": STAMP,
        "context": context(about, Language(language)),
        "event": event() if kind in ABOUT_WINDOWS else None,
    }
    return Letter(**(fields | changed))


def with_words(base: Letter, **changed: Any) -> Letter:
    """Return a letter with other words in the context."""
    return replace(base, context={**base.context, **changed})


@lru_cache(maxsize=1)
def builtin() -> Templates:
    return Templates()

"""The calendar part of a mail: one event with the MAINTNOTE properties that machines read (RFC 5545, 5546).

The lines are written by hand, because a library takes longer for one event than everything else for the mail.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from maintsched.facts import Impact
from maintsched.mail.letter import Event, EventStatus, Letter, MaintnoteStatus, Method
from maintsched.mail.markup import cleaned

PRODUCT = "-//maintsched//notice//EN"
LINE_MAX = 75
"""Octets of a line, without its end (RFC 5545, 3.1)."""
_IN_A_NAME = str.maketrans({'"': "'", "\\": "/", "^": "-"})
"""A parameter cannot hold a quote, and readers differ on what a backslash and a circumflex (RFC 6868) mean in one."""
_QUOTED = re.compile(r"[:;,]")


def calendar_part(letter: Letter, event: Event, *, summary: str, description: str) -> bytes:
    """Return the calendar file of a letter: CRLF lines of at most 75 octets, in UTF-8.

    `summary` is one line, `description` may have several. The organizer is who the mail is from.
    """
    asked = event.method is Method.REQUEST
    parts = (
        _begin(event.method),
        folded(f"UID:{text_value(event.uid)}"),
        b"SEQUENCE:%d\r\n" % event.sequence,
        _times(letter.stamp.astimezone(UTC), event.start.astimezone(UTC), event.end.astimezone(UTC), event.status),
        folded(f"SUMMARY:{text_value(summary)}"),
        folded(f"DESCRIPTION:{text_value(description)}"),
        folded(f"URL:{event.url}") if event.url is not None else b"",
        _organizer(letter.sender_name, letter.sender),
        folded(_ATTENDEE + _person(letter.recipient_name, letter.recipient)) if asked else b"",
        _provider(event.provider),
        folded(f"X-MAINTNOTE-ACCOUNT:{text_value(event.account)}"),
        _maintenance(event.maintenance_id),
        *(folded(f"{_OBJECT}{impact.upper()}:{text_value(key)}") for key, impact in event.objects),
        _end(event.impact, event.maintnote_status),
    )
    return b"".join(parts)


_ATTENDEE = "ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=FALSE;"
_OBJECT = "X-MAINTNOTE-OBJECT-ID;X-MAINTNOTE-OBJECT-IMPACT="


# Lines that many mails in a row have in common are written once.


def _lines(*lines: str) -> bytes:
    return b"".join(map(folded, lines))


@lru_cache(maxsize=8)
def _begin(method: Method) -> bytes:
    named = () if method is Method.NONE else (f"METHOD:{method.upper()}",)
    return _lines("BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODUCT}", *named, "BEGIN:VEVENT")


@lru_cache(maxsize=64)
def _times(stamp: datetime, start: datetime, end: datetime, status: EventStatus) -> bytes:
    """Return what says when, of instants in UTC: in other zones, two of them may count as equal."""
    times = (f"DTSTAMP:{_instant(stamp)}", f"DTSTART:{_instant(start)}", f"DTEND:{_instant(end)}")
    return _lines(*times, f"STATUS:{status.upper()}")


def _instant(at: datetime) -> str:
    # strftime writes years before 1000 without zeros on some systems; none of those passes the birth of a letter.
    return at.strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=64)
def _organizer(name: str, address: str) -> bytes:
    return _lines("CATEGORIES:MAINTENANCE", "TRANSP:TRANSPARENT", f"ORGANIZER;{_person(name, address)}")


@lru_cache(maxsize=64)
def _provider(provider: str) -> bytes:
    return _lines(f"X-MAINTNOTE-PROVIDER:{text_value(provider)}")


@lru_cache(maxsize=64)
def _maintenance(name: str) -> bytes:
    return _lines(f"X-MAINTNOTE-MAINTENANCE-ID:{text_value(name)}")


@lru_cache(maxsize=64)
def _end(impact: Impact, status: MaintnoteStatus) -> bytes:
    told = (f"X-MAINTNOTE-IMPACT:{impact.upper()}", f"X-MAINTNOTE-STATUS:{status}")
    return _lines(*told, "END:VEVENT", "END:VCALENDAR")


def text_value(text: str) -> str:
    r"""Return a TEXT value: "\", ";", "," and line breaks escaped, whatever else ends a line somewhere taken out."""
    if not text.replace("\n", "").isprintable():
        text = "\n".join(cleaned(line) for line in text.split("\n"))
    return text.replace("\\", r"\\").replace(";", r"\;").replace(",", r"\,").replace("\n", r"\n")


@lru_cache(maxsize=1024)
def _person(name: str, address: str) -> str:
    """Return name and address of a person, as they follow the name of a property and ";"."""
    plain = cleaned(name).translate(_IN_A_NAME)
    named = f'"{plain}"' if _QUOTED.search(plain) else plain
    return f"CN={named}:mailto:{quote(address, safe='@!$&*+-/=._~')}"


def folded(line: str) -> bytes:
    """Return a line with its end, broken where it is longer than 75 octets, never within a character."""
    data = line.encode()
    if len(data) <= LINE_MAX:
        return data + b"\r\n"
    first = _first_line(data)
    rest = _NEXT_LINES.findall(data, len(first))
    return b"\r\n ".join([first, *rest]) + b"\r\n"


def _first_line(data: bytes) -> bytes:
    end = LINE_MAX
    while data[end] & 0xC0 == 0x80:  # the middle of a character
        end -= 1
    return data[:end]


_NEXT_LINES = re.compile(rb"(?s).{1,74}(?![\x80-\xbf])")
"""What a line takes after the space at its beginning: as much as there is room for, and no part of a character."""

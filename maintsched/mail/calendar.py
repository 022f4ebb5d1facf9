"""The calendar part of a mail: one event with the MAINTNOTE properties that machines read (RFC 5545, 5546).

The lines are written by hand, because a library takes longer for one event than everything else for the mail.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from maintsched.mail.letter import Event, Letter, Method
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
    return b"".join(folded(line) for line in _lines(letter, event, summary, description))


def _lines(letter: Letter, event: Event, summary: str, description: str) -> Iterator[str]:
    yield "BEGIN:VCALENDAR"
    yield "VERSION:2.0"
    yield f"PRODID:{PRODUCT}"
    if event.method is not Method.NONE:
        yield f"METHOD:{event.method.upper()}"
    yield "BEGIN:VEVENT"
    yield f"UID:{text_value(event.uid)}"
    yield f"SEQUENCE:{event.sequence}"
    yield f"DTSTAMP:{_instant(letter.stamp)}"
    yield f"DTSTART:{_instant(event.start)}"
    yield f"DTEND:{_instant(event.end)}"
    yield f"STATUS:{event.status.upper()}"
    yield f"SUMMARY:{text_value(summary)}"
    yield f"DESCRIPTION:{text_value(description)}"
    if event.url is not None:
        yield f"URL:{event.url}"
    yield "CATEGORIES:MAINTENANCE"
    yield "TRANSP:TRANSPARENT"
    yield f"ORGANIZER;{_person(letter.sender_name, letter.sender)}"
    if event.method is Method.REQUEST:
        named = _person(letter.recipient_name, letter.recipient)
        yield f"ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=FALSE;{named}"
    yield from _maintnote(event)
    yield "END:VEVENT"
    yield "END:VCALENDAR"


def _maintnote(event: Event) -> Iterator[str]:
    yield f"X-MAINTNOTE-PROVIDER:{text_value(event.provider)}"
    yield f"X-MAINTNOTE-ACCOUNT:{text_value(event.account)}"
    yield f"X-MAINTNOTE-MAINTENANCE-ID:{text_value(event.maintenance_id)}"
    for key, impact in event.objects:
        yield f"X-MAINTNOTE-OBJECT-ID;X-MAINTNOTE-OBJECT-IMPACT={impact.upper()}:{text_value(key)}"
    yield f"X-MAINTNOTE-IMPACT:{event.impact.upper()}"
    yield f"X-MAINTNOTE-STATUS:{event.maintnote_status}"


def _instant(at: datetime) -> str:
    return _in_utc(at.astimezone(UTC))


@lru_cache(maxsize=256)
def _in_utc(at: datetime) -> str:
    # strftime writes years before 1000 without zeros on some systems; none of those passes the birth of a letter.
    return at.strftime("%Y%m%dT%H%M%SZ")


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
    parts, at, room = list[bytes](), 0, LINE_MAX
    while len(data) - at > room:
        end = at + room
        while data[end] & 0xC0 == 0x80:  # the middle of a character
            end -= 1
        parts.append(data[at:end])
        at, room = end, LINE_MAX - 1
    parts.append(data[at:])
    return b"\r\n ".join(parts) + b"\r\n"

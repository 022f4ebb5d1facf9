"""A mail as bytes: fixed headers, and the parts of text, HTML and calendar (RFC 5322, 2045-2047).

Bytes are put together by hand: `email.message` takes fifty times as long, and refuses less. `check_message` reads them
back with it.
"""

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from maintsched.errors import InvalidValue
from maintsched.mail.headers import address_atoms, header, require_header_text, text_atoms
from maintsched.mail.letter import Composed, Letter, Method

ID_LENGTH_MAX = 60
"""Characters of a Message-ID that is short; a long domain makes it longer."""
_HASH_MAX, _HASH_MIN = 40, 24
_FIXED = (
    "Auto-Submitted: auto-generated\r\n"
    "X-Auto-Response-Suppress: OOF, AutoReply, RN, NRN\r\n"  # never All: that stops bounces as well
)
_NAMES = (
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
    "X-Auto-Response-Suppress", "List-Id", "List-Unsubscribe", "MIME-Version", "Content-Type", "Content-Language",
)  # fmt: skip
_OPTIONAL = {"Reply-To", "In-Reply-To", "References"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a mail says, in each of its forms."""

    subject: str
    text: str
    html: str
    calendar: bytes | None
    written: tuple[bytes, bytes] | None = None
    """Text and HTML in quoted-printable, where they were written together with others."""


@lru_cache(maxsize=64)
def envelope_id(key: str) -> str:
    """Return the id that comes back in delivery reports: a hash of the notice's key."""
    return sha256(key.encode()).hexdigest()[:_HASH_MAX]


def message_id(key: str, domain: str) -> str:
    """Return the Message-ID of the notice `key`: the same however often it is sent, and to whatever address.

    It has fewer than 60 characters, unless the domain has more than 32: the hash keeps 24 digits at least.
    """
    room = ID_LENGTH_MAX - 1 - len(f"<@{domain}>")
    return f"<{envelope_id(key)[: max(_HASH_MIN, min(_HASH_MAX, room))]}@{domain}>"


def message_bytes(letter: Letter, content: Content) -> bytes:
    """Return the whole mail: CRLF lines of at most 998 octets, all of them ASCII."""
    head = "".join(_headers(letter, content)).encode("ascii")
    return b"".join((head, *_body(letter, content)))


def _headers(letter: Letter, content: Content) -> Iterator[str]:
    yield _from(letter.sender_name, letter.sender)
    yield header("To", *address_atoms("To", letter.recipient_name, letter.recipient))
    if letter.reply_to is not None:
        yield header("Reply-To", _checked("Reply-To", letter.reply_to))
    yield header("Subject", *text_atoms("Subject", content.subject))
    yield _date(letter.stamp.astimezone(UTC))
    yield header("Message-ID", _checked("Message-ID", message_id(letter.key, letter.domain)))
    if letter.reference is not None:
        yield header("In-Reply-To", _checked("In-Reply-To", letter.reference))
        yield header("References", letter.reference)
    yield _FIXED
    yield _list(letter.domain, letter.unsubscribe or letter.reply_to or letter.sender)
    yield "MIME-Version: 1.0\r\n"
    yield f'Content-Type: {_kind(content)};\r\n boundary="{_boundary(letter, content)}"\r\n'
    yield f"Content-Language: {letter.language}\r\n"


# What many mails in a row have in common is written once.


@lru_cache(maxsize=64)
def _from(name: str, address: str) -> str:
    return header("From", *address_atoms("From", name, address))


@lru_cache(maxsize=64)
def _date(at: datetime) -> str:
    return header("Date", format_datetime(at))


@lru_cache(maxsize=64)
def _list(domain: str, unsubscribe: str) -> str:
    named = header("List-Id", _checked("List-Id", f"<maintenance.{domain}>"))
    address = _checked("List-Unsubscribe", quote(unsubscribe, safe="@!$&*+-/=._~"))
    return named + header("List-Unsubscribe", f"<mailto:{address}?subject=unsubscribe>")


def _checked(name: str, text: str) -> str:
    require_header_text(name, text)
    return text


def _kind(content: Content) -> str:
    return "multipart/alternative" if content.calendar is None else "multipart/mixed"


def _boundary(letter: Letter, content: Content) -> str:
    return _inner(letter) if content.calendar is None else f"=_mixed_{envelope_id(letter.key)}"


def _inner(letter: Letter) -> str:
    # "=_" stands in no quoted-printable and no base64 line, so that a boundary never comes by chance.
    return f"=_words_{envelope_id(letter.key)}"


def _body(letter: Letter, content: Content) -> tuple[bytes, ...]:
    inner = _inner(letter).encode()
    text, page = content.written or (quoted_printable(content.text), _page(content.html))
    words = (b"\r\n--", inner, _TEXT_PLAIN, text, b"\r\n--", inner, _TEXT_HTML, page, b"\r\n--", inner)
    if content.calendar is None or letter.event is None:
        return (*words, b"--\r\n")
    outer = _boundary(letter, content).encode()
    calendar, head = base64_lines(content.calendar), _calendar_head(letter.event.method)
    return (
        b"\r\n--", outer, _ALTERNATIVE, inner, b'"\r\n', *words, head, calendar, b"\r\n--", inner, b"--\r\n",
        b"\r\n--", outer, _ATTACHMENT, calendar, b"\r\n--", outer, b"--\r\n",
    )  # fmt: skip


_BASE64_LINE = re.compile(rb".{1,76}")
_ALTERNATIVE = b'\r\nContent-Type: multipart/alternative;\r\n boundary="'
_TEXT_PLAIN = b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
_TEXT_HTML = b"\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
_ATTACHMENT = (
    b'\r\nContent-Type: application/ics; name="maintenance.ics"\r\n'
    b'Content-Disposition: attachment; filename="maintenance.ics"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n"
)


@lru_cache(maxsize=8)
def _calendar_head(method: Method) -> bytes:
    named = "" if method is Method.NONE else f"; method={method.upper()}"
    return (
        f"\r\nContent-Type: text/calendar; charset=utf-8{named}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    )


def quoted_printable(text: str) -> bytes:
    """Return a text in lines of at most 76 ASCII characters; the text ends with a line break."""
    return b2a_qp(text.replace("\n", "\r\n").encode())


def _page(html: str) -> bytes:
    """Return a page as `quoted_printable` does; what stands between its title and its body is written once."""
    title, title_end, rest = html.partition("</title>\n")
    looks, looks_end, body = rest.partition("</head>\n")
    return quoted_printable(title + title_end) + _looks(looks + looks_end) + quoted_printable(body)


@lru_cache(maxsize=8)
def _looks(html: str) -> bytes:
    return quoted_printable(html)


def base64_lines(data: bytes) -> bytes:
    """Return bytes in base64, in lines of 76 characters that end in CRLF."""
    lines = _BASE64_LINE.findall(b2a_base64(data, newline=False))
    return b"\r\n".join([*lines, b""])


# --- reading back -----------------------------------------------------------------------------------------------------


def check_message(data: bytes, composed: Composed) -> None:
    """Read a mail as a mail program does, and refuse it unless it says what `composed` says, to whom it says.

    Raises `InvalidValue` where a header is missing, there twice or not one of ours, where subject, recipient or
    Message-ID differ, and where a line ends in anything but CRLF or is longer than a server takes.
    """
    from email import message_from_bytes, policy

    _check_lines(data)
    read = message_from_bytes(data, policy=policy.SMTP)
    names = list(read.keys())
    wanted = [name for name in _NAMES if name in names or name not in _OPTIONAL]
    _same("headers", wanted, names)
    _same("To", [composed.recipient], [each.addr_spec for each in read["To"].addresses])
    _same("From", 1, len(read["From"].addresses))
    _same("Subject", " ".join(composed.subject.split()), str(read["Subject"]))
    _same("Message-ID", composed.message_id, str(read["Message-ID"]))
    _same("defects", [], [str(defect) for part in read.walk() for defect in part.defects])


def _check_lines(data: bytes) -> None:
    lines = data.split(b"\r\n")
    if any(b"\r" in line or b"\n" in line for line in lines) or lines[-1]:
        raise InvalidValue("mail", expected="lines that end in CRLF", found="a bare CR or LF, or an open line")
    if max(map(len, lines)) > 998 or not data.isascii():
        raise InvalidValue("mail", expected="lines of at most 998 ASCII characters", found="others")


def _same(what: str, expected: object, found: object) -> None:
    if found != expected:
        raise InvalidValue(f"mail, {what}", expected=str(expected), found=found)

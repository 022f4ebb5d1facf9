"""What one mail is made of, as values: a letter to one person, and the calendar event that goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue
from maintsched.facts import Impact
from maintsched.fleet import Language
from maintsched.grammar import email_address, require_host, require_key, require_link, require_text
from maintsched.localtime import FIRST_YEAR, LAST_YEAR, utc
from maintsched.notices import NoticeKind

KEY_MAX = 1000
SEQUENCE_MAX = 2**31 - 1
"""Calendar readers keep the sequence in 32 bits."""


class Method(StrEnum):
    """How a calendar reader is told (RFC 5546)."""

    PUBLISH = "publish"  # an event to look at
    REQUEST = "request"  # an invitation
    CANCEL = "cancel"  # it does not take place; readers never revive it
    NONE = "none"  # for machines: no method


class EventStatus(StrEnum):
    """What a calendar shows of an event; there are no others."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class MaintnoteStatus(StrEnum):
    """What machines that read MAINTNOTE are told; they refuse anything else, small letters too."""

    TENTATIVE = "TENTATIVE"
    CONFIRMED = "CONFIRMED"
    RE_SCHEDULED = "RE-SCHEDULED"
    IN_PROCESS = "IN-PROCESS"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The calendar part of a letter. It ends before `end`; times are written in UTC."""

    uid: str
    """Stable for the life of the window and the account; never used again after a cancellation."""
    sequence: int
    """Rises by one with every notice of the window to the account; with the same one readers keep the old date."""
    method: Method
    status: EventStatus
    start: datetime
    end: datetime
    maintenance_id: str
    account: str
    provider: str
    """Domain of the provider."""
    objects: tuple[tuple[str, Impact], ...] = field(metadata={"from_file": False})
    """Key and impact of each instance; at least one, also of a cancelled window."""
    maintnote_status: MaintnoteStatus
    url: str | None = None

    def __post_init__(self) -> None:
        """Refuse texts that are none, an end that is not after the start, and an event about nothing."""
        settle_fields(self)
        for name in ("uid", "maintenance_id"):
            _require_id(name, getattr(self, name))
        require_key("account", self.account)
        _require_host("provider", self.provider)
        if not 0 <= self.sequence <= SEQUENCE_MAX:
            raise InvalidValue("sequence", expected="0 or more", found=self.sequence, field="sequence")
        for name in ("start", "end"):
            _require_year(name, getattr(self, name))
        if utc(self.end) <= utc(self.start):
            expected = f"an instant after {self.start.isoformat()}"
            raise InvalidValue("end", expected=expected, found=self.end.isoformat(), field="end")
        if self.url is not None:
            require_link("url", self.url)
        self._settle_objects()

    def _settle_objects(self) -> None:
        objects = tuple((str(key), Impact(impact)) for key, impact in self.objects)
        for key, _ in objects:
            require_key("objects", key)
        if not objects:
            raise InvalidValue("objects", expected="at least one instance", found="none", field="objects")
        object.__setattr__(self, "objects", objects)

    @property
    def impact(self) -> Impact:
        """The worst impact on any instance."""
        order = list(Impact)
        return max((impact for _, impact in self.objects), key=order.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """All that one mail to one person is made of. The same letter and templates always give the same bytes."""

    key: str
    """The notice's key: Message-ID, envelope id and MIME boundaries follow from it."""
    kind: NoticeKind
    subject_id: str
    """Id of what the notice is about, such as `monthly/2026-12`; stands in front of the mail's subject."""
    language: Language
    recipient_name: str
    recipient: str
    sender_name: str
    sender: str
    reply_to: str | None = None
    bounce: str
    """Sender of the envelope: where bounces go."""
    domain: str
    """Domain of the Message-ID and the List-Id."""
    stamp: datetime
    """Date of the mail and stamp of its event, fixed when the notice was stored."""
    context: Mapping[str, Any] = field(metadata={"from_file": False})
    """The words that the template is filled with."""
    reference: str | None = None
    """Message-ID of the first notice about this subject to this person."""
    event: Event | None = None
    unsubscribe: str | None = None
    """Address that takes requests to be taken off the list; None: `reply_to`, else `sender`."""

    def __post_init__(self) -> None:
        """Refuse whatever could reach a header and change it."""
        settle_fields(self)
        _require_id("key", self.key)
        _require_id("subject_id", self.subject_id)
        require_text("recipient_name", self.recipient_name)
        require_text("sender_name", self.sender_name)
        _require_host("domain", self.domain)
        _require_year("stamp", self.stamp)
        for name in ("recipient", "sender", "reply_to", "bounce", "unsubscribe"):
            address = getattr(self, name)
            if address is not None:
                object.__setattr__(self, name, _email_address(name, address))
        if self.reference is not None:
            _require_message_id("reference", self.reference)


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A mail that is ready for the wire, and what can be shown of it."""

    key: str
    sender: str
    """Address of the envelope, to which bounces go."""
    recipient: str
    envid: str
    message_id: str
    subject: str
    text: str
    html: str
    data: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal: what the evidence names."""
        return sha256(self.data).hexdigest()


# Most letters come from one house: its domain and addresses are looked at once. What is refused is looked at again.
_require_host = lru_cache(maxsize=64)(require_host)
_email_address = lru_cache(maxsize=64)(email_address)


def _require_id(name: str, text: str) -> None:
    """Refuse `text` unless it is printable ASCII without spaces, quotes, brackets and what begins an encoded word."""
    plain = text.isascii() and text.isprintable() and not _NOT_IN_IDS & set(text)
    if not plain or "=?" in text or not 0 < len(text) <= KEY_MAX:
        expected = "printable ASCII characters without spaces, quotes and brackets"
        raise InvalidValue(name, expected=expected, found=text, field=name)


_NOT_IN_IDS = frozenset(' "<>[]\\,;')


def _require_message_id(name: str, text: str) -> None:
    inner = text[1:-1]
    if len(text) > 250 or text[:1] != "<" or text[-1:] != ">" or inner.count("@") != 1:
        raise InvalidValue(name, expected="a Message-ID such as <id@domain>", found=text, field=name)
    _require_id(name, inner)


def _require_year(name: str, at: datetime) -> None:
    # The day before and after: an instant of the last year may have another one in UTC.
    if not FIRST_YEAR <= at.year <= LAST_YEAR + 1:
        expected = f"a year from {FIRST_YEAR} to {LAST_YEAR}"
        raise InvalidValue(name, expected=expected, found=at.isoformat(), field=name)

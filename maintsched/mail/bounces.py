"""What comes back: delivery reports (RFC 3464), as Postfix, Exim, Exchange and others write them.

Anybody may send anything to the address that bounces go to. So nothing here raises for what a mail holds, all that is
kept is printable and short, and what is not a well-formed report of a lasting failure is not permanent. Whether a
report speaks of a mail that was ever sent is for the caller to look up, by `envid` or `message_id`.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, message_from_string
from email.message import Message
from enum import StrEnum
from pathlib import Path

from maintsched.errors import FileError, printable

BOUNCE_MAX = 256 * 1024
"""Bytes of a mail that are looked at; a report stands before the mail it returns."""
PARTS_MAX = 50
RECIPIENTS_MAX = 100
FIELD_MAX = 500


class Action(StrEnum):
    """What became of a mail at the server that reports (RFC 3464, 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"  # still tried
    DELIVERED = "delivered"
    RELAYED = "relayed"  # handed to a server that reports nothing
    EXPANDED = "expanded"  # handed to several recipients
    UNKNOWN = "unknown"  # a mail came back without a report that can be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """One report about one recipient's mail. All texts are printable and at most 500 characters long."""

    envid: str | None
    """The envelope id the mail was sent with."""
    message_id: str | None
    """Message-ID of the returned mail, with its angle brackets."""
    permanent: bool
    """Whether it names a mail, failed, and never will do better: action failed and status 5.x.x."""
    status: str
    """Such as "5.1.1" (RFC 3463); nothing where the report has none."""
    recipient: str | None
    """As it was sent to, where the report says so; else as the last server saw it."""
    diagnostic: str
    """The words of the server that refused."""
    action: Action

    @property
    def failed(self) -> bool:
        """Whether the mail did not arrive and is not tried any more, be it for a lasting reason or a passing one."""
        return self.action is Action.FAILED


def read_bounce(raw: bytes) -> Bounce | None:
    """Return what the mail `raw` reports, or None where it is no report about a mail that can be named.

    Only the first 256 KiB count. Of several recipients the worst is told.
    """
    try:
        return _read(message_from_bytes(raw[:BOUNCE_MAX]))
    except Exception:  # noqa: BLE001 - the email package fails in a dozen ways on hostile mails; those report nothing
        return None


def read_maildir(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name ("new/…" or "cur/…") and content of each mail, those not seen yet first; nothing is moved or removed.

    Links and everything that is no regular file are left out, as is a mail that another program took away meanwhile; of
    a mail longer than 256 KiB the beginning is given. Raises `FileError` where `folder` is no maildir.
    """
    for part in ("new", "cur"):
        try:
            names = sorted(path.name for path in (folder / part).iterdir())
        except OSError as error:
            found = f"{part}: {error.strerror}"
            raise FileError(str(folder), line=None, key=None, expected=_MAILDIR, found=found) from error
        for name in names:
            raw = None if name.startswith(".") else _content(folder / part / name)
            if raw is not None:
                yield f"{part}/{name}", raw


def _content(path: Path) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        raise FileError(str(path), line=None, key=None, expected=_READABLE, found=str(error.strerror)) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read(BOUNCE_MAX)


def _read(mail: Message) -> Bounce | None:
    parts = _parts(mail)
    if mail.get_content_type() == "multipart/report":
        report = next((part for part in parts if part.get_content_type() in _REPORTS), None)
        blocks = _blocks(report) if report is not None else []
        if blocks:
            return _reported(blocks, _returned_id(parts))
    message_id = _returned_id(parts) if _from_a_server(mail) else None
    if message_id is None:
        return None
    return Bounce(
        envid=None,
        message_id=message_id,
        permanent=False,
        status="",
        recipient=_field(mail, "X-Failed-Recipients"),
        diagnostic=_field(mail, "Subject") or "",
        action=Action.UNKNOWN,
    )


def _reported(blocks: list[Message], message_id: str | None) -> Bounce | None:
    envid = _field(blocks[0], "Original-Envelope-Id")
    if envid is None and message_id is None:
        return None
    told = [_about_recipient(each, envid, message_id) for each in blocks if each.get("Action")]
    return min(told, key=_badness) if told else None


def _about_recipient(block: Message, envid: str | None, message_id: str | None) -> Bounce:
    action = _ACTIONS.get((_field(block, "Action") or "").partition(" ")[0].lower(), Action.UNKNOWN)
    found = _STATUS.match(_field(block, "Status") or "")
    status = found[0] if found else ""
    return Bounce(
        envid=envid,
        message_id=message_id,
        permanent=action is Action.FAILED and status.startswith("5."),
        status=status,
        recipient=_address(block, "Original-Recipient") or _address(block, "Final-Recipient"),
        diagnostic=(_field(block, "Diagnostic-Code") or "").removeprefix("smtp;").strip(),
        action=action,
    )


def _badness(bounce: Bounce) -> int:
    return 0 if bounce.permanent else 1 + list(Action).index(bounce.action)


# --- the parts of a mail ---


def _parts(mail: Message) -> list[Message]:
    """Return the mail's own parts, not those of a mail it returns: whoever sent that one may have put a report in."""
    return _messages(mail)[:PARTS_MAX] if mail.get_content_maintype() == "multipart" else [mail]


def _messages(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


def _blocks(report: Message) -> list[Message]:
    """Return the groups of fields of a report: one about the mail, then one for each recipient."""
    blocks = _messages(report)
    if len(blocks) == 1:  # the email package takes apart message/delivery-status, and no other kind
        groups = _text(blocks[0]).replace("\r\n", "\n").strip().split("\n\n", RECIPIENTS_MAX)
        blocks += [message_from_string(group) for group in groups]
    return [each for each in blocks[: RECIPIENTS_MAX + 1] if each.keys()]


def _returned_id(parts: list[Message]) -> str | None:
    """Return the Message-ID of the mail that came back, whole, as its headers, or below words of explanation."""
    for part in parts:
        if part.get_content_type() in _RETURNED and (inner := _messages(part)):
            found = _MESSAGE_ID.fullmatch(_field(inner[0], "Message-ID") or "")
            if found:
                return found[0]
    for kinds in (_RETURNED_HEADERS, ("text/plain",)):
        for part in parts:
            line = _MESSAGE_ID_LINE.search(_text(part)) if part.get_content_type() in kinds else None
            if line:
                return line["id"]
    return None


def _text(part: Message) -> str:
    decoded = part.get_payload(decode=True)
    return decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else ""


def _from_a_server(mail: Message) -> bool:
    """Say whether a mail without a report may be a bounce: nobody answers to it, and no person wrote it."""
    sender = (_field(mail, "From") or "").lower()
    nobody = _field(mail, "Return-Path") == "<>"
    return nobody and any(name in sender for name in ("mailer-daemon", "postmaster"))


def _field(block: Message, name: str) -> str | None:
    """Return a field on one line, printable, at most 500 characters long; None where it is missing or empty."""
    text = str(block.get(name, ""))[: 4 * FIELD_MAX]
    return printable(" ".join(text.split()))[:FIELD_MAX] or None


def _address(block: Message, name: str) -> str | None:
    kind, _, address = (_field(block, name) or "").partition(";")
    found = (address or kind).strip().removeprefix("<").removesuffix(">")
    return found if "@" in found else None


_MAILDIR = "a maildir that can be read, with the folders new and cur"
_READABLE = "a mail that can be read"
_REPORTS = ("message/delivery-status", "message/global-delivery-status")
_RETURNED = ("message/rfc822", "message/global")
_RETURNED_HEADERS = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
_ACTIONS = {action.value: action for action in Action if action is not Action.UNKNOWN} | {"error": Action.FAILED}
"""OpenSMTPD says error where the standard says failed."""
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_MESSAGE_ID_LINE = re.compile(r"^Message-ID:\s{0,80}(?P<id><[!-;=?-~]{1,250}>)\s*$", re.IGNORECASE | re.MULTILINE)

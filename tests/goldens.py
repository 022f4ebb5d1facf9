"""Golden mails: beside each mail, byte by byte, stands what it was made from.

`golden/NAME.json` holds the stored notice, who gets it and who sends it; `golden/NAME.eml` the mail of it.
"""

import difflib
import json
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import maintsched as ms
from maintsched.fleet import CalendarMethod, Contact, Language
from maintsched.intake.config import Config, MailConfig, ProviderConfig
from maintsched.mail.compose import compose
from maintsched.mail.letter import Composed, Letter
from maintsched.mail.templates import Templates
from maintsched.notices import Notice, NoticeKind
from maintsched.store.ledger import ActionState
from maintsched.store.outbox import StoredNotice
from maintsched.worker.post import Addressee, letter_of

GOLDEN = Path(__file__).parent / "golden"


def names() -> list[str]:
    """The names of all golden mails."""
    return sorted(path.stem for path in GOLDEN.glob("*.json"))


@cache
def given(name: str) -> dict[str, Any]:
    """What a golden mail is made from."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return found


def about_a_window(name: str) -> bool:
    return "window" in given(name)["facts"]


@cache
def letter(name: str, calendar: str | None = None) -> Letter:
    """The letter of a golden mail; `calendar` is another method than the contact wants."""
    case = given(name)
    stored = StoredNotice(notice=_notice(case), state=ActionState.READY, attempt=0, give_up_at=None)
    return letter_of(ms.load_contract(), _config(case), stored, _addressee(case, calendar), case["first"])


@cache
def mail(name: str, calendar: str | None = None) -> Composed:
    return compose(letter(name, calendar), builtin())


@cache
def builtin() -> Templates:
    return Templates()


def _notice(case: dict[str, Any]) -> Notice:
    told = case["notice"]
    stamp = datetime.fromisoformat(told["stamp"])
    return Notice(
        kind=NoticeKind(told["kind"]),
        label=told["label"],
        subject=told["subject"],
        revision=told["revision"],
        customer=case["customer"]["key"],
        contact=case["contact"]["key"],
        required=True,
        sequence=told["sequence"],
        stamp=stamp,
        not_before=stamp,
        deadline=None,
        late=told["late"],
        facts=case["facts"],
    )


def _addressee(case: dict[str, Any], calendar: str | None) -> Addressee:
    person = dict(case["contact"])
    contact = Contact(
        key=person["key"],
        name=person["name"],
        email=person["email"],
        roles=("system_responsible",),
        zone=ZoneInfo(person["zone"]),
        calendar=CalendarMethod(calendar or person["calendar"]),
    )
    owner = case["customer"]
    return Addressee(
        contact=contact,
        customer=owner["key"],
        customer_name=owner["name"],
        sender=owner["sender"],
        language=Language(person["language"]),
        salt="",
    )


def _config(case: dict[str, Any]) -> Config:
    return Config(mail=MailConfig(host="localhost", **case["mail"]), provider=ProviderConfig(**case["provider"]))


# --- differences ------------------------------------------------------------------------------------------------------


def differences(before: bytes, after: bytes) -> list[str]:
    """What differs between two mails: in headers and decoded parts, or else in the lines as they are sent."""
    for show in (_readable, _raw):
        found = list(difflib.unified_diff(show(before), show(after), "golden", "composed now", lineterm="", n=1))
        if found:
            return found
    return []


def _readable(data: bytes) -> list[str]:
    return list(_parts(data))


def _parts(data: bytes) -> Iterator[str]:
    shown: set[bytes] = set()
    for part in message_from_bytes(data, policy=policy.SMTP).walk():
        yield from (f"{name}: {value}" for name, value in part.items())
        words = part.get_payload(decode=True)
        if isinstance(words, bytes) and words not in shown:
            shown.add(words)
            text = words.decode()
            if part.get_content_maintype() != "text" or part.get_content_subtype() == "calendar":
                text = text.replace("\r\n ", "").replace("\\n", "\n  ")
            yield from text.splitlines()


def _raw(data: bytes) -> list[str]:
    return [repr(line)[2:-1] for line in data.split(b"\n")]

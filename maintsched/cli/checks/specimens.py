"""A specimen of every kind of notice: facts as the worker stores them, so that each template can be tried on them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from maintsched.contract import Contract
from maintsched.errors import UnknownName
from maintsched.fleet import CalendarMethod, Contact, Language
from maintsched.intake.config import Config
from maintsched.mail.letter import Letter
from maintsched.notices import Notice, NoticeKind
from maintsched.store.ledger import ActionState
from maintsched.store.outbox import StoredNotice
from maintsched.worker.post import Addressee, letter_of

WINDOW_KINDS = frozenset(NoticeKind) - {
    NoticeKind.OUTAGE_BEGUN,
    NoticeKind.OUTAGE_ENDED,
    NoticeKind.DEFERRAL_GRANTED,
    NoticeKind.DEFERRAL_REMINDER,
    NoticeKind.DEFERRAL_ENDED,
    NoticeKind.PROVISIONED,
    NoticeKind.HANDOVER,
    NoticeKind.AVAILABILITY_REPORT,
    NoticeKind.OPERATOR_ALERT,
}


_WINDOWS = {NoticeKind.REMINDER: "monthly", NoticeKind.EMERGENCY: "emergency"}


def specimens(contract: Contract, config: Config, language: Language, *, now: datetime) -> Iterator[Letter]:
    """Return a letter of every kind in `language`, as the worker would write it to a customer."""
    contact = Contact(
        key="specimen",
        name="Eva Müller",
        email="specimen@customer.example",
        roles=(contract.notice.role,),
        zone=contract.zone,
        calendar=CalendarMethod.PUBLISH,
        language=language,
    )
    addressee = Addressee(
        contact=contact, customer="specimen", customer_name="Müller & Söhne", sender=None, language=language, salt=""
    )
    for kind in NoticeKind:
        notice = _notice(contract, kind, now)
        stored = StoredNotice(notice=notice, state=ActionState.READY, attempt=0, give_up_at=None)
        yield letter_of(contract, config, stored, addressee, None)


def _notice(contract: Contract, kind: NoticeKind, now: datetime) -> Notice:
    start = now + timedelta(days=7)
    return Notice(
        kind=kind,
        label=str(kind),
        subject="critical/specimen",
        revision=0,
        customer="specimen",
        contact="specimen",
        required=True,
        sequence=0,
        stamp=now,
        not_before=now,
        deadline=None,
        late=False,
        facts=_facts(contract, kind, start),
    )


def _facts(contract: Contract, kind: NoticeKind, start: datetime) -> dict[str, Any]:
    end = start + timedelta(hours=4)
    if kind in WINDOW_KINDS:
        return _window_facts(contract, kind, start, end)
    begin, over, until = (each.isoformat() for each in (start, end, start + timedelta(days=60)))
    deferral = {
        "instance": "specimen-prod",
        "release": "12.1.0",
        "start": begin,
        "until": until,
        "limit": until,
        "next_window": begin,
        "clause": contract.clauses.updates,
    }
    row = {"instance": "specimen-prod", "percent": "99.9 %", "counted": "0 min", "allowed": "3 h", "met": True}
    day = start.date().isoformat()
    facts: dict[NoticeKind, dict[str, Any]] = {
        NoticeKind.OUTAGE_BEGUN: {"outage": {"instance": "specimen-prod", "begin": begin, "end": None}},
        NoticeKind.OUTAGE_ENDED: {
            "outage": {"instance": "specimen-prod", "begin": begin, "end": over, "note": "a disk"}
        },
        NoticeKind.DEFERRAL_GRANTED: {"deferral": deferral},
        NoticeKind.DEFERRAL_REMINDER: {"deferral": deferral},
        NoticeKind.DEFERRAL_ENDED: {"deferral": deferral},
        NoticeKind.PROVISIONED: {
            "access": {
                "instance": "specimen-prod",
                "url": "https://portal.customer.example",
                "link": "https://handover.customer.example/specimen",
                "due": begin,
                "clause": contract.clauses.told,
            }
        },
        NoticeKind.HANDOVER: {
            "handover": {
                "instance": "specimen-prod",
                "ended_on": day,
                "due": until,
                "clause": contract.clauses.handover,
            }
        },
        NoticeKind.AVAILABILITY_REPORT: {
            "report": {
                "month": day[:7],
                "target": "99.5 %",
                "rows": [row],
                "met": True,
                "clause": contract.clauses.availability,
            }
        },
        NoticeKind.OPERATOR_ALERT: {
            "alert": {"title": "a specimen", "lines": ["one", "two"], "way_out": "nothing", "clause": "-"}
        },
    }
    return facts[kind]


def _window_facts(contract: Contract, kind: NoticeKind, start: datetime, end: datetime) -> dict[str, Any]:
    span = {"start": start.isoformat(), "end": end.isoformat()}
    later = {"start": (start + timedelta(days=1)).isoformat(), "end": (end + timedelta(days=1)).isoformat()}
    url = "https://portal.customer.example"
    changed = kind in (NoticeKind.MOVED, NoticeKind.CANCELLED)
    return {
        "window": {
            **span,
            "id": f"{_WINDOWS.get(kind, 'critical')}/specimen",
            "kind": _WINDOWS.get(kind, "critical"),
            "clause": getattr(contract.clauses, _WINDOWS.get(kind, "critical")),
            "reason": "" if kind is NoticeKind.REMINDER else "new disks & cables",
            "impact": "outage",
            "holiday": None,
        },
        "instances": [
            {"key": "specimen-prod", "environment": "prod", "url": url, "impact": "outage", "components": ["intrexx"]},
            {"key": "specimen-test", "environment": "test", "url": None, "impact": "degraded", "components": ["linux"]},
        ],
        "work": [{"instance": "specimen-prod", "items": [["intrexx", "12.0.4", "security"], ["linux", None, "os"]]}],
        "previous": {**later} if changed else None,
        "alternatives": [{"number": 1, **span}, {"number": 2, **later}] if kind is NoticeKind.TENTATIVE else [],
        "choose_until": span["start"] if kind is NoticeKind.TENTATIVE else None,
        "why": "no longer needed" if kind is NoticeKind.CANCELLED else "",
        "run": {"started": span["start"], "finished": span["end"], "overrun": "10 min", "error": "no answer"},
    }


def specimen(contract: Contract, config: Config, kind: str, language: Language, *, now: datetime) -> Letter:
    """Return a letter of one kind; a kind that there is not is refused."""
    if kind not in tuple(NoticeKind):
        raise UnknownName("kind of notice", found=kind, known=tuple(NoticeKind))
    return next(each for each in specimens(contract, config, language, now=now) if each.kind == kind)

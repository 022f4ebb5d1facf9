"""Facts of notices as the store keeps them, in full and with as little as there may be, for every kind of notice."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import maintsched as ms
from maintsched.contract import Contract
from maintsched.fleet import Language
from maintsched.mail.markup import Block, Draft, Facts, Items, as_text
from maintsched.mail.templates import Templates
from maintsched.notices import NoticeKind
from maintsched.worker.wording import Wording

STAMP = datetime(2026, 10, 20, 8, 30, tzinfo=UTC)
AFTERWARDS = datetime(2026, 11, 2, 0, 45, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ABOUT_WINDOWS = (
    NoticeKind.REMINDER,
    NoticeKind.ANNOUNCEMENT,
    NoticeKind.EMERGENCY,
    NoticeKind.TENTATIVE,
    NoticeKind.CONFIRMED,
    NoticeKind.MOVED,
    NoticeKind.CANCELLED,
    NoticeKind.STARTED,
    NoticeKind.FINISHED,
    NoticeKind.FAILED,
    NoticeKind.OVERRUN,
)
RUNS = (NoticeKind.STARTED, NoticeKind.FINISHED, NoticeKind.FAILED, NoticeKind.OVERRUN)
SPAN = {"start": "2026-11-01T20:00:00+01:00", "end": "2026-11-02T00:30:00+01:00"}
WINDOW = {
    "id": "critical/portal-2026-11",
    "kind": "critical",
    **SPAN,
    "clause": "2.4.3.2",
    "reason": "Portal server 12.0.4 closes a security gap",
    "impact": "outage",
    "holiday": "Allerheiligen",
}
COMPONENTS = ["intrexx", "postgresql", "nginx"]
INSTANCES = [
    {
        "key": f"acme-{environment}",
        "environment": environment,
        "url": f"https://acme{suffix}.portal.example",
        "impact": "outage",
        "components": COMPONENTS,
    }
    for environment, suffix in (("prod", ""), ("test", "-test"))
]
WORK = [
    {"instance": "acme-prod", "items": [["intrexx", "12.0.4", "security"], ["linux", None, "os"]]},
    {"instance": "acme-test", "items": [["linux", None, "os"]]},
]
OFFERS = [
    {"number": 1, **SPAN},
    {"number": 2, "start": "2026-11-03T06:00:00+01:00", "end": "2026-11-03T08:00:00+01:00"},
    {"number": 3, "start": "2026-11-04T21:00:00+01:00", "end": "2026-11-04T23:00:00+01:00"},
]
SOON = {"start": "2026-10-20T22:00:00+02:00", "end": "2026-10-21T01:00:00+02:00", "holiday": None}
PREVIOUS = {"start": "2026-10-24T22:00:00+02:00", "end": "2026-10-25T02:30:00+02:00"}
_RUN = {
    "started": "2026-11-01T20:02:00+01:00",
    "finished": "2026-11-02T00:41:00+01:00",
    "overrun": "11 min",
    "error": "The database did not start with the new version.",
}
_UNDER_WAY = (NoticeKind.STARTED, NoticeKind.OVERRUN)
DEFERRAL = {
    "instance": "acme-prod",
    "release": "12.0.0",
    "start": "2026-11-03T17:00:00+01:00",
    "until": "2027-03-01T00:00:00+01:00",
    "limit": "2027-05-03T17:00:00+02:00",
    "next_window": "2027-03-02T17:00:00+01:00",
    "clause": "2.4.4",
}
OUTAGE = {"instance": "acme-prod", "begin": "2026-10-20T10:12:00+02:00", "clause": "2.4.3.3"}
REPORT: dict[str, Any] = {
    "month": "2026-10",
    "target": "99.5 %",
    "rows": [
        {"instance": "acme-prod", "percent": "99.98 %", "counted": "8 min", "allowed": "3 h 42 min", "met": True},
        {"instance": "acme-shop", "percent": "99.21 %", "counted": "5 h 53 min", "allowed": "3 h 42 min", "met": False},
    ],
    "met": False,
    "clause": "2.4.5",
}
HANDOVER = {
    "instance": "acme-prod",
    "ended_on": "2026-10-19",
    "due": "2026-11-17T00:00:00+01:00",
    "clause": "4.2",
}
ACCESS = {
    "instance": "acme-prod",
    "url": "https://acme.portal.example",
    "link": "https://hosting.example/access/acme-prod",
    "due": "2026-10-21T00:00:00+02:00",
    "clause": "2.2",
}
ALERT = {
    "title": "A notice was refused for good",
    "lines": ["notice/reminder/monthly:2026-11/0/acme/eva", "contact eva of acme", "550 5.1.1 no such user"],
    "way_out": "Correct the address with `maintsched fleet sync`, then `maintsched notice resend KEY`.",
    "clause": "2.4.3",
}
MONTHLY = {
    **WINDOW,
    "id": "monthly/2026-11",
    "kind": "monthly",
    "start": "2026-11-03T17:00:00+01:00",
    "end": "2026-11-03T21:00:00+01:00",
    "clause": "2.4.3.1",
    "reason": "",
    "holiday": None,
}
_BARE_INSTANCES = [{**INSTANCES[0], "url": None, "components": []}]
_BARE_WINDOW = {**WINDOW, "reason": "", "holiday": None}
_OUTAGE_KINDS = {NoticeKind.OUTAGE_BEGUN, NoticeKind.OUTAGE_ENDED}
_DEFERRAL_KINDS = {NoticeKind.DEFERRAL_GRANTED, NoticeKind.DEFERRAL_REMINDER, NoticeKind.DEFERRAL_ENDED}


def full(kind: NoticeKind) -> dict[str, Any]:
    """The facts of a notice in which everything is said that can be said."""
    if kind in ABOUT_WINDOWS:
        return _about_window(kind)
    if kind in _OUTAGE_KINDS:
        end = {"end": "2026-10-20T11:03:00+02:00"} if kind is NoticeKind.OUTAGE_ENDED else {}
        return {"outage": {**OUTAGE, **end, "cause": "force_majeure"}, "instances": INSTANCES[:1]}
    if kind in _DEFERRAL_KINDS:
        return {"deferral": DEFERRAL}
    others: dict[NoticeKind, dict[str, Any]] = {
        NoticeKind.PROVISIONED: {"access": ACCESS, "instances": INSTANCES[:1]},
        NoticeKind.HANDOVER: {"handover": HANDOVER},
        NoticeKind.AVAILABILITY_REPORT: {"report": REPORT},
        NoticeKind.OPERATOR_ALERT: {"alert": ALERT},
    }
    return others[kind]


def _about_window(kind: NoticeKind) -> dict[str, Any]:
    facts: dict[str, Any] = {"window": WINDOW, "instances": INSTANCES, "work": WORK}
    if kind is NoticeKind.REMINDER:
        facts["window"] = MONTHLY
    elif kind is NoticeKind.EMERGENCY:
        facts["window"] = {**WINDOW, **SOON, "id": "emergency/disk", "kind": "emergency", "clause": "2.4.3.3"}
        facts["hurry"] = "A disk of the host reports errors since this morning."
    elif kind is NoticeKind.TENTATIVE:
        facts |= {"alternatives": OFFERS, "choose_until": "2026-10-26T12:00:00+01:00", "work": []}
    elif kind is NoticeKind.MOVED:
        facts["previous"] = PREVIOUS
    elif kind is NoticeKind.CANCELLED:
        facts["why"] = "The manufacturer has withdrawn the update."
    elif kind in RUNS:
        facts["run"] = _RUN | {"finished": None if kind in _UNDER_WAY else _RUN["finished"]}
    return facts


def bare(kind: NoticeKind) -> dict[str, Any]:
    """The facts of a notice with everything left out that may be left out."""
    facts = full(kind)
    if kind in ABOUT_WINDOWS:
        window = {**_BARE_WINDOW, **{name: facts["window"][name] for name in ("id", "kind", "clause", "start", "end")}}
        run = {"run": dict.fromkeys(("started", "finished", "overrun", "error"))} if kind in RUNS else {}
        return {"window": window, "instances": _BARE_INSTANCES, "work": [], **run}
    if kind in _DEFERRAL_KINDS:
        return {"deferral": {**DEFERRAL, "until": DEFERRAL["limit"], "next_window": None}}
    if kind in _OUTAGE_KINDS:
        return {"outage": OUTAGE}
    if kind is NoticeKind.PROVISIONED:
        return {"access": {**ACCESS, "url": None, "link": None, "due": None}}
    if kind is NoticeKind.AVAILABILITY_REPORT:
        return {"report": {**REPORT, "rows": REPORT["rows"][:1], "met": True}}
    return facts


OPTIONAL = {"holiday", "url", "cause", "end", "due", "link", "next_window", "started", "finished", "overrun", "error"}
OPTIONAL_TEXTS = {"reason", "hurry", "why"}
_NEEDED = {("window", "end"), ("handover", "due")}


def with_one_missing(facts: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same facts, each time without another one of the values that may be missing."""
    yield from ((f"{name}=", {**facts, name: ""}) for name in facts if name in OPTIONAL_TEXTS)
    for group, values in facts.items():
        if isinstance(values, Mapping) and group != "previous":
            for name in (each for each in values if values[each]):
                if name in OPTIONAL and (group, name) not in _NEEDED:
                    yield f"{group}.{name}", {**facts, group: {**values, name: None}}
                elif name in OPTIONAL_TEXTS:
                    yield f"{group}.{name}", {**facts, group: {**values, name: ""}}


@cache
def contract() -> Contract:
    return ms.load_contract()


def context(
    kind: NoticeKind, language: Language, facts: Mapping[str, Any], *, late: bool = False, zone: ZoneInfo = BERLIN
) -> dict[str, Any]:
    """What a template is filled with: worded from facts as the worker does it."""
    stamp = AFTERWARDS if kind in RUNS else STAMP
    clauses = [each["clause"] for each in facts.values() if isinstance(each, Mapping) and "clause" in each]
    return {
        **Wording(contract=contract(), language=str(language), zone=zone).context(facts, stamp=stamp),
        "provider": {"name": "Muster Hosting", "contact": "support@hosting.example", "domain": "hosting.example"},
        "customer": {"key": "acme", "name": "ACME GmbH"},
        "contact": {"name": "Eva Beispiel"},
        "late": late,
        "clause": clauses[0],
        "backup_clause": contract().clauses.own_backup,
        "contract": contract().title,
    }


@cache
def templates() -> Templates:
    return Templates()


def draft(kind: NoticeKind, language: Language, words: dict[str, Any]) -> Draft:
    return templates().draft(language, kind, words)


def said(kind: NoticeKind, language: Language, words: dict[str, Any]) -> str:
    """The text of a mail on one line."""
    return " ".join(as_text(draft(kind, language, words).blocks).split())


def plain(runs: Any) -> str:
    return "".join(run.text for run in runs).strip()


def shape(blocks: tuple[Block, ...]) -> list[tuple[str, object]]:
    """What blocks are made of, without their words."""
    return [
        (type(block).__name__, [bool(label) for label, _ in block.rows])
        if isinstance(block, Facts)
        else (type(block).__name__, len(block.items) if isinstance(block, Items) else getattr(block, "level", 0))
        for block in blocks
    ]

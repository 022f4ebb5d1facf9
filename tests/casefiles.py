"""A store in which people were told of windows, as the worker leaves it, and the house around it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import maintsched as ms
from maintsched.announcements import Announcement, WindowState
from maintsched.due import due
from maintsched.facts import DeclaredWindow, Outage, WindowKind
from maintsched.intake.config import MailConfig, ProviderConfig
from maintsched.journal import EntryKind, Event
from maintsched.notices import Notice
from maintsched.rounds import Known
from maintsched.spans import Span
from maintsched.store import Store
from maintsched.store.declared import KeptOutage, write_outage
from maintsched.store.evidence import append
from maintsched.store.fleets import write_fleet
from maintsched.store.ledger import ActionState, Marked, claim, mark
from maintsched.store.outbox import read_notices, record
from maintsched.store.windows import keep_windows, read_announcement, write_announcement
from maintsched.worker.heads import begin_epoch
from tests.pages import BERLIN, SAMPLE

BEGIN = datetime(2026, 11, 20, 9, tzinfo=BERLIN)
AFTER = datetime(2027, 1, 4, 9, tzinfo=BERLIN)
SERVER = "mail.example (192.0.2.25)"
HOUSE = ProviderConfig(name="Portal Hosting", domain="hosting.example", contact="help@hosting.example")
MAIL = MailConfig(host="localhost", sender="help@hosting.example")
HOUR = timedelta(hours=1)


def contract() -> ms.Contract:
    """The built-in contract."""
    return ms.load_contract()


def settle(store: Store, fleet: ms.Fleet | None = None) -> ms.Fleet:
    """Put a fleet, the sample one unless another is given, into an empty store and begin its epoch."""
    found = fleet or ms.load_fleet(contract(), str(SAMPLE))[0]
    with store.writing() as connection:
        write_fleet(connection, found)
        begin_epoch(connection, BEGIN)
    return found


def remind(store: Store, fleet: ms.Fleet, at: datetime = BEGIN, **answers: Any) -> list[str]:
    """Plan and send what is due at an instant, as a pass of the worker does; the keys of the notices."""
    span = ms.Span(start=at, end=at + timedelta(days=40))
    found = due(ms.make_plan(contract(), fleet, ms.Facts(), span, now=at), fleet, Known(), now=at)
    with store.writing() as connection:
        keep_windows(connection, found.keep, at)
        keys = record(connection, found.rounds, at)
    accept(store, keys, at + timedelta(seconds=12), **answers)
    return keys


def accept(store: Store, keys: list[str], at: datetime, **answers: Any) -> None:
    """Let the mail server accept notices; `answers` replace what the journal keeps of its answer."""
    with store.writing() as connection:
        claim(connection, now=at, owner="test", lease_until=at + HOUR, limit=1000)
        for stored in read_notices(connection, keys=set(keys)):
            kept = {"result": "accepted", "accepted_at": at, "server": SERVER, "reply": "250 2.0.0 Ok"}
            done = Marked(key=stored.key, state=ActionState.DONE, not_before=at, kept=kept)
            mark(connection, [done], owner="test", now=at)
            append(connection, told(stored.notice, EntryKind.NOTICE_ACCEPTED, at, **answers))


def told(notice: Notice, kind: EntryKind, at: datetime, **answers: Any) -> list[Event]:
    """What the journal says of a notice, in the chain of each instance that it names."""
    window = notice.facts["window"]
    data = {
        "notice": notice.key,
        "kind": str(notice.kind),
        "customer": notice.customer,
        "contact": notice.contact,
        "required": notice.required,
        "revision": notice.revision,
        "sequence": notice.sequence,
        "late": notice.late,
        "message_id": f"<{'ab12' * 8}@hosting.example>",
        "address": "5e" * 32,
        "server": SERVER,
        "reply": "250 2.0.0 Ok: queued as 4bXq3J1Z",
        "sha256": "c4" * 32,
        "instances": [each["key"] for each in notice.facts["instances"]],
        "window": window["id"],
        "start": window["start"],
        "end": window["end"],
        **answers,
    }
    chains = [each["key"] for each in notice.facts["instances"]]
    return [Event(chain=chain, at=at, kind=kind, subject=notice.subject, data=data) for chain in chains]


def declare(
    store: Store,
    start: datetime,
    *,
    key: str,
    kind: WindowKind = WindowKind.EMERGENCY,
    entry: EntryKind = EntryKind.WINDOW_ANNOUNCED,
    state: WindowState = WindowState.CONFIRMED,
    reason: str = "a hole in the login page",
    at: datetime = BEGIN,
) -> str:
    """Enter a window of acme-prod that nobody is told of; its id."""
    window = DeclaredWindow(
        key=key,
        kind=kind,
        start=start,
        end=start + 2 * HOUR,
        instances=("acme-prod",),
        reason=reason,
        cancelled=state is WindowState.CANCELLED,
    )
    data = {"start": start.isoformat(), "end": (start + 2 * HOUR).isoformat(), "previous": None, "reason": reason}
    with store.writing() as connection:
        write_announcement(connection, Announcement(window=window, state=state, entered_at=at))
        append(connection, [Event(chain="acme-prod", at=at, kind=entry, subject=window.id, data=data)])
    return window.id


def move(store: Store, window: str, start: datetime, at: datetime) -> None:
    """Move a window of acme-prod, without telling anybody."""
    with store.writing() as connection:
        old = read_announcement(connection, window)
        length = old.span.end - old.span.start
        moved = replace(old.window, start=start, end=start + length, duration=None)
        write_announcement(connection, replace(old, window=moved))
        previous = {"start": old.span.start.isoformat(), "end": old.span.end.isoformat()}
        data = {
            "start": start.isoformat(),
            "end": (start + length).isoformat(),
            "previous": previous,
            "significance": "significant",
            "reasons": ["it ends later"],
        }
        event = Event(chain="acme-prod", at=at, kind=EntryKind.WINDOW_MOVED, subject=window, data=data)
        append(connection, [event])


def fail(store: Store, span: Span, *, key: str = "disk", note: str = "the disk was full", **about: Any) -> None:
    """Enter an outage of acme-prod."""
    outage = Outage(start=span.start, end=span.end, instance="acme-prod", **about)
    data = {"outage": key, "start": span.start.isoformat(), "end": None, "critical": outage.critical}
    event = Event(chain="acme-prod", at=span.start, kind=EntryKind.OUTAGE_OPENED, subject=f"outage/{key}", data=data)
    with store.writing() as connection:
        write_outage(connection, KeptOutage(key=key, outage=outage, note=note))
        append(connection, [event])


def a_month(store: Store) -> ms.Fleet:
    """December 2026: told of the monthly window in time, an emergency nobody was told of, an outage, a late breach."""
    fleet = settle(store)
    remind(store, fleet)
    start = datetime(2026, 12, 10, 20, tzinfo=BERLIN)
    window = declare(store, start, key="hotfix", at=start - 5 * HOUR)
    data = {
        "breach": f"breach/emergency/{window.replace('/', ':')}/0/acme",
        "window": window,
        "customer": "acme",
        "deadline": (start - 24 * HOUR).astimezone(UTC).isoformat(),
        "clause": "2.4.3.3",
        "told_at": None,
    }
    with store.writing() as connection:
        append(connection, [Event(chain="acme-prod", at=start, kind=EntryKind.BREACH, subject=window, data=data)])
    at = datetime(2026, 12, 14, 3, 30, 5, tzinfo=BERLIN)
    fail(store, Span(start=at, end=at + timedelta(minutes=41, seconds=30)))
    return fleet


def write_config(folder: Path, database: str = "maintsched.db") -> Path:
    """A configuration for commands."""
    path = folder / "maintsched.toml"
    path.write_text(
        f'database = "{database}"\n'
        '[mail]\nhost = "localhost"\ntls = "none"\nsender = "help@hosting.example"\n'
        '[provider]\nname = "Portal Hosting"\ndomain = "hosting.example"\ncontact = "help@hosting.example"\n'
    )
    return path

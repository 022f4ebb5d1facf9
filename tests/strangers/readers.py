"""Foreign programs that read our mails and calendars, each behind the same door: mails in, what was seen out.

What is not there is skipped and says so; with MAINTSCHED_NEEDS_STRANGERS set, it fails instead. `tools/strangers.sh`
makes the environment of those that are not in the project's own. Each program is started once for all mails, in a zone
that is neither ours nor UTC.

ics, and the icalendar 5 within circuit-maintenance-parser, take an escaped backslash before an "n" for the end of a
line. RFC 5545, 3.3.11 says otherwise and the others read it, so no golden mail has one.
"""

import ctypes.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).parent
HOME = HERE.parent.parent / ".strangers"
NEEDED = bool(os.environ.get("MAINTSCHED_NEEDS_STRANGERS"))
MAINTNOTE = ("PROVIDER", "ACCOUNT", "MAINTENANCE-ID", "OBJECT-ID", "IMPACT", "STATUS")
IMPACT = "X-MAINTNOTE-OBJECT-IMPACT"

Seen = dict[str, Any]
"""Method, uid, sequence, stamp, start, end, status, summary, description, url, organizer, attendees, extra, objections:
people as name and address, extra properties as name, value and impact, instants in UTC.
"""


def missing(what: str) -> NoReturn:
    """Skip a test for want of a program, or fail where none may be missing."""
    if NEEDED:
        pytest.fail(f"{what}, and MAINTSCHED_NEEDS_STRANGERS is set")
    pytest.skip(f"{what} (run tools/strangers.sh): what it sees of our mails was not looked at")


def calendar_of(mail: bytes) -> str:
    """The calendar that a mail program opens: the part beside text and HTML."""
    walked = message_from_bytes(mail, policy=policy.SMTP).walk()
    (found,) = (part for part in walked if part.get_content_type() == "text/calendar")
    data = found.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data.decode()


# --- programs of their own --------------------------------------------------------------------------------------------


def _ask(command: Sequence[str | Path], sent: Sequence[str]) -> Any:
    done = subprocess.run(
        [str(each) for each in command],
        input=json.dumps(sent),
        env={**os.environ, "TZ": "America/New_York"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command[1]}: {done.stderr[-2000:]}"
    return json.loads(done.stdout)


@cache
def read_mails(mails: tuple[bytes, ...]) -> tuple[Seen, ...]:
    """What mailparser sees of each mail, and ical.js of its calendar."""
    node = shutil.which("node")
    if node is None or not (HOME / "node_modules" / "mailparser").is_dir():
        missing("node with mailparser and ical.js is missing")
    return tuple(_ask([str(node), HERE / "read_mails.cjs", HOME], [mail.decode("ascii") for mail in mails]))


@cache
def read_maintnote(mails: tuple[bytes, ...]) -> tuple[list[Seen], ...]:
    """Which maintenances circuit-maintenance-parser finds in each mail."""
    python = HOME / "venv" / "bin" / "python"
    if not python.exists():
        missing("circuit-maintenance-parser is missing")
    return tuple(_ask([python, HERE / "read_maintnote.py"], [mail.decode("ascii") for mail in mails]))


@cache
def read_libical(calendars: tuple[str, ...]) -> tuple[Seen, ...]:
    if ctypes.util.find_library("ical") is None:
        missing("libical is missing (on Debian: apt install libical3)")
    return tuple(_ask([sys.executable, HERE / "read_libical.py"], calendars))


# --- libraries of the project's environment ---------------------------------------------------------------------------


def _by_icalendar(calendar: str) -> Seen:
    import icalendar

    whole: Any = icalendar.Calendar.from_ical(calendar)
    (event,) = whole.walk("VEVENT")
    attendees = event.get("attendee", [])
    return {
        "method": whole.get("method"),
        "uid": str(event["uid"]),
        "sequence": int(str(event["sequence"])),
        "stamp": event.decoded("dtstamp"),
        "start": event.decoded("dtstart"),
        "end": event.decoded("dtend"),
        "status": str(event["status"]),
        "summary": str(event["summary"]),
        "description": str(event["description"]),
        "url": event.get("url"),
        "organizer": [event["organizer"].params["CN"], str(event["organizer"])],
        "attendees": [
            [each.params["CN"], str(each)] for each in (attendees if isinstance(attendees, list) else [attendees])
        ],
        "extra": [
            [name, str(value), value.params.get(IMPACT)]
            for name, value in event.property_items(recursive=False)
            if name.startswith("X-")
        ],
        "objections": list(event.errors),
    }


def _by_vobject(calendar: str) -> Seen:
    import vobject  # type: ignore[import-untyped]

    whole = vobject.readOne(calendar)
    event = whole.vevent
    contents = event.contents
    people = [[each.params["CN"][0], each.value] for each in [event.organizer, *contents.get("attendee", ())]]
    return {
        "method": whole.method.value if "method" in whole.contents else None,
        **{name: contents[name][0].value for name in ("uid", "status", "summary", "description")},
        "sequence": int(event.sequence.value),
        "stamp": event.dtstamp.value,
        "start": event.dtstart.value,
        "end": event.dtend.value,
        "url": event.url.value if "url" in contents else None,
        "organizer": people[0],
        "attendees": people[1:],
        "extra": [
            [each.name, each.value, each.params.get(IMPACT, [None])[0]]
            for name, found in contents.items()
            if name.startswith("x-")
            for each in found
        ],
        "objections": [],
    }


def _by_ics(calendar: str) -> Seen:
    import ics  # type: ignore[import-untyped]

    whole = ics.Calendar(calendar)
    (event,) = whole.events
    people = [[each.common_name.strip('"'), f"mailto:{each.email}"] for each in (event.organizer, *event.attendees)]
    return {
        "method": whole.method,
        "uid": event.uid,
        "sequence": next(int(line.value) for line in event.extra if line.name == "SEQUENCE"),
        "stamp": event.created.datetime,
        "start": event.begin.datetime,
        "end": event.end.datetime,
        "status": event.status,
        "summary": event.name,
        "description": event.description,
        "url": event.url,
        "organizer": people[0],
        "attendees": people[1:],
        "extra": [
            [line.name, line.value, line.params.get(IMPACT, [None])[0]]
            for line in event.extra
            if line.name.startswith("X-")
        ],
        "objections": [],
    }


# --- all of them ------------------------------------------------------------------------------------------------------


def _each(read: Callable[[str], Seen]) -> Callable[[Sequence[bytes]], Iterator[Seen]]:
    return lambda mails: (read(calendar_of(mail)) for mail in mails)


def _by_libical(mails: Sequence[bytes]) -> Iterator[Seen]:
    yield from read_libical(tuple(calendar_of(mail) for mail in mails))


def _by_ical_js(mails: Sequence[bytes]) -> Iterator[Seen]:
    yield from (seen["calendar"] | {"objections": []} for seen in read_mails(tuple(mails)))


READERS: dict[str, Callable[[Sequence[bytes]], Iterator[Seen]]] = {
    "icalendar": _each(_by_icalendar),
    "vobject": _each(_by_vobject),
    "ics": _each(_by_ics),
    "libical": _by_libical,
    "ical.js": _by_ical_js,
}


def read_by(reader: str, mails: Sequence[bytes]) -> list[Seen]:
    """What a reader sees of the calendar in each mail, written the same way whoever reads."""
    return [_settled(seen) for seen in READERS[reader](mails)]


def _settled(seen: Seen) -> Seen:
    instants = {name: _instant(seen[name]) for name in ("stamp", "start", "end")}
    url = None if seen["url"] is None else str(seen["url"])
    people = {"organizer": tuple(seen["organizer"]), "attendees": [tuple(each) for each in seen["attendees"]]}
    return seen | instants | people | {"url": url, "extra": sorted(tuple(each) for each in seen["extra"])}


def _instant(at: datetime | str) -> datetime | str:
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    return at.astimezone(UTC) if at.tzinfo is not None else f"{at} without a zone"

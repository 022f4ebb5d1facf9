"""Read by strangers: programs that others wrote see in every mail what was meant, in every zone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from maintsched.announcements import WindowState
from maintsched.fleet import CalendarMethod, Fleet
from maintsched.mail.letter import Letter
from maintsched.spans import Span
from maintsched.worker import announce as core
from tests.databases import sqlite_store
from tests.goldens import about_a_window, builtin, given, letter, mail, names
from tests.houses import ACME, BIRCH, NOW, World, contact, critical, with_contacts, world
from tests.strangers.readers import (
    MAINTNOTE,
    READERS,
    calendar_of,
    read_by,
    read_libical,
    read_mails,
    read_maintnote,
)

WINDOWS = [name for name in names() if about_a_window(name)]
STATUS = {
    "tentative": ("TENTATIVE", "TENTATIVE"),
    "moved": ("CONFIRMED", "RE-SCHEDULED"),
    "cancelled": ("CANCELLED", "CANCELLED"),
    "started": ("CONFIRMED", "IN-PROCESS"),
    "overrun": ("CONFIRMED", "IN-PROCESS"),
    "finished": ("CONFIRMED", "COMPLETED"),
    "failed": ("CONFIRMED", "COMPLETED"),
}
WORST_FIRST = ("OUTAGE", "DEGRADED", "REDUCED-REDUNDANCY", "NO-IMPACT")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def named(text: str) -> str:
    """A name as a parameter can hold it."""
    return text.replace('"', "'")


def method_of(name: str, calendar: CalendarMethod) -> str | None:
    if calendar is CalendarMethod.NONE:
        return None
    return "CANCEL" if given(name)["notice"]["kind"] == "cancelled" else str(calendar).upper()


def objects(name: str) -> list[tuple[str, str]]:
    return [(each["key"], each["impact"].upper()) for each in given(name)["facts"]["instances"]]


def meant(name: str, calendar: CalendarMethod) -> dict[str, Any]:
    """What a golden mail tells a calendar, from its input."""
    case, written = given(name), letter(name, calendar)
    window, notice = case["facts"]["window"], case["notice"]
    status, note = STATUS.get(notice["kind"], ("CONFIRMED", "CONFIRMED"))
    worst = min((impact for _, impact in objects(name)), key=WORST_FIRST.index)
    values = (case["provider"]["domain"], case["customer"]["key"], window["id"], worst, note)
    plain = zip([each for each in MAINTNOTE if each != "OBJECT-ID"], values, strict=True)
    attended = calendar is CalendarMethod.REQUEST and notice["kind"] != "cancelled"
    return {
        "method": method_of(name, calendar),
        "uid": written.event and written.event.uid,
        "sequence": notice["sequence"],
        "stamp": at(notice["stamp"]),
        "start": at(window["start"]),
        "end": at(window["end"]),
        "status": status,
        "summary": summary(written),
        "description": mail(name, calendar).text.rstrip("\n"),
        "url": case["facts"]["instances"][0]["url"],
        "organizer": (named(case["provider"]["name"]), f"mailto:{written.sender}"),
        "attendees": [(named(written.recipient_name), f"mailto:{written.recipient}")] if attended else [],
        "extra": sorted(
            [(f"X-MAINTNOTE-{key}", value, None) for key, value in plain]
            + [("X-MAINTNOTE-OBJECT-ID", key, impact) for key, impact in objects(name)]
        ),
        "objections": [],
    }


def summary(written: Letter) -> str:
    return builtin().draft(written.language, written.kind, written.context).summary


# --- calendars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
def test_every_calendar_is_read_as_it_was_meant(reader: str):
    cases = [(name, method) for name in WINDOWS for method in CalendarMethod]
    seen = read_by(reader, [mail(*case).data for case in cases])
    for case, found in zip(cases, seen, strict=True):
        assert found == meant(*case), case


def test_libical_objects_to_a_calendar_that_breaks_its_rules():
    calendar = calendar_of(mail("reminder.en").data)
    without = "".join(line for line in calendar.splitlines(keepends=True) if not line.startswith("ORGANIZER"))
    assert without != calendar
    (seen,) = read_libical((without.replace("METHOD:PUBLISH", "METHOD:REQUEST"),))
    assert seen["objections"]


# --- machines ---------------------------------------------------------------------------------------------------------


def test_machines_see_one_maintenance_with_the_impact_on_each_instance():
    for name, (found,) in zip(WINDOWS, read_maintnote(tuple(mail(each).data for each in WINDOWS)), strict=True):
        wanted = meant(name, CalendarMethod.PUBLISH)
        extra = {key.removeprefix("X-MAINTNOTE-"): value for key, value, _ in wanted["extra"]}
        assert found == {
            "provider": extra["PROVIDER"],
            "account": extra["ACCOUNT"],
            "maintenance_id": extra["MAINTENANCE-ID"],
            "circuits": [{"circuit_id": key, "impact": impact} for key, impact in objects(name)],
            "status": extra["STATUS"],
            **{key: int(wanted[key].timestamp()) for key in ("start", "end", "stamp")},
            "organizer": wanted["organizer"][1],
            **{key: wanted[key] for key in ("summary", "uid", "sequence")},
        }, name


# --- mails ------------------------------------------------------------------------------------------------------------


def test_a_mail_program_sees_every_mail_as_it_was_meant():
    for name, seen in zip(names(), read_mails(tuple(mail(each).data for each in names())), strict=True):
        written, composed = letter(name), mail(name)
        reply_to = [["", written.reply_to]] if written.reply_to else []
        assert seen["from"] == [[written.sender_name, written.sender]], name
        assert seen["to"] == [[written.recipient_name, given(name)["contact"]["email"]]], name  # IDNA is undone
        assert seen["reply_to"] == reply_to, name
        assert at(seen["date"]) == at(given(name)["notice"]["stamp"]), name
        assert seen["subject"] == composed.subject
        assert seen["subject"].startswith(f"[{written.subject_id}] ")
        assert (seen["message_id"], seen["in_reply_to"]) == (composed.message_id, written.reference), name
        assert (seen["references"], seen["language"]) == (written.reference, str(written.language)), name
        assert seen["auto_submitted"] == "auto-generated"
        assert (seen["text"], seen["html"]) == (composed.text, composed.html), name


def test_a_mail_program_sees_the_calendar_twice_and_opens_one():
    for name, seen in zip(names(), read_mails(tuple(mail(each).data for each in names())), strict=True):
        parts = [(part["type"], part["name"], part["disposition"]) for part in seen["parts"]]
        if about_a_window(name):
            assert parts == [("text/calendar", None, None), ("application/ics", "maintenance.ics", "attachment")], name
            assert {part["content"] for part in seen["parts"]} == {calendar_of(mail(name).data)}
        else:
            assert parts == []


# --- a life -----------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    kind: str
    start: datetime
    end: datetime


START = NOW + timedelta(days=9)
LATER = START + timedelta(days=1, hours=1, minutes=30)
LIFE = (
    Step("tentative", START, START + timedelta(hours=2)),
    Step("confirmed", START, START + timedelta(hours=2)),
    Step("moved", LATER, LATER + timedelta(hours=3)),
    Step("cancelled", LATER, LATER + timedelta(hours=3)),
)
ROBOT = contact("robot", calendar=CalendarMethod.NONE)
PEOPLE = Fleet(customers=(with_contacts(ACME, *ACME.contacts, ROBOT), replace(BIRCH, package="premium")))
METHODS = {"eva": CalendarMethod.PUBLISH, "otto": CalendarMethod.REQUEST, "robot": CalendarMethod.NONE}
DISK = "critical/disk"


def acts(home: World) -> Iterator[Any]:
    """Let an operator offer, confirm, move and cancel a window, an hour and a pass after each other."""
    both = Span(start=START + timedelta(days=2), end=START + timedelta(days=2, hours=2))
    window = critical(start=START, instances=("acme-prod", "acme-test", "birch-prod"))
    yield core.announce(home.house, window, now=home.now, state=WindowState.TENTATIVE, alternatives=[both])
    yield core.confirm(home.house, DISK, now=home.now)
    yield core.move(home.house, DISK, Span(start=LIFE[2].start, end=LIFE[2].end), now=home.now)
    yield core.cancel(home.house, DISK, now=home.now, reason="the disk holds")


def live(home: World) -> dict[str, list[bytes]]:
    """The mails that each person got, in order."""
    got: dict[str, list[bytes]] = {}
    for step, _ in zip(LIFE, acts(home), strict=True):
        home.tick()
        assert {key.split("/")[1] for key in home.told()} == {step.kind}
        for sent in home.mailer.mails:
            got.setdefault(sent.key.split("/")[-1], []).append(sent.data)
        home.forget()
        home.clock.forward(timedelta(hours=1))
    return got


@pytest.fixture(scope="module")
def got(tmp_path_factory) -> Iterator[dict[str, list[bytes]]]:
    folder = tmp_path_factory.mktemp("life")
    with sqlite_store(folder) as store:
        home = world(store, folder, fleet=PEOPLE)
        home.tick()
        home.forget()
        yield live(home)


@pytest.mark.parametrize("reader", READERS)
def test_a_window_keeps_its_entry_from_offer_to_cancellation(got, reader: str):
    assert sorted(got) == ["eva", "ops", "otto", "robot"]
    assert {len(mails) for mails in got.values()} == {len(LIFE)}
    seen = read_by(reader, [data for person in sorted(got) for data in got[person]])
    for index, person in enumerate(sorted(got)):
        _look_at_a_life(person, seen[index * len(LIFE) :][: len(LIFE)])


def _look_at_a_life(person: str, seen: list[dict[str, Any]]) -> None:
    method = METHODS.get(person, CalendarMethod.PUBLISH)
    plain = None if method is CalendarMethod.NONE else str(method).upper()
    assert len({each["uid"] for each in seen}) == 1
    assert [each["sequence"] for each in seen] == sorted({each["sequence"] for each in seen})
    assert [each["stamp"] for each in seen] == [NOW + timedelta(hours=hour) for hour in range(len(LIFE))]
    assert [(each["start"], each["end"]) for each in seen] == [(step.start, step.end) for step in LIFE]
    assert [each["status"] for each in seen] == ["TENTATIVE", "CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert [each["method"] for each in seen] == [plain, plain, plain, plain and "CANCEL"]
    assert {each["organizer"] for each in seen} == {("Example Hosting", "mailto:wartung@hosting.example")}
    invited = [("Otto Müller", "mailto:otto@customer.example")] if person == "otto" else []
    assert [each["attendees"] for each in seen] == [invited, invited, invited, []]
    assert not any(each["objections"] for each in seen)


def test_machines_follow_a_window_from_offer_to_cancellation(got):
    notes = ["TENTATIVE", "CONFIRMED", "RE-SCHEDULED", "CANCELLED"]
    lives = read_maintnote(tuple(data for mails in got.values() for data in mails))
    for index, person in enumerate(got):
        seen = [found for (found,) in lives[index * len(LIFE) :][: len(LIFE)]]
        assert [each["status"] for each in seen] == notes
        assert len({(each["provider"], each["account"], each["maintenance_id"], each["uid"]) for each in seen}) == 1
        assert [each["sequence"] for each in seen] == sorted({each["sequence"] for each in seen})
        assert [(each["start"], each["end"]) for each in seen] == [
            (int(step.start.timestamp()), int(step.end.timestamp())) for step in LIFE
        ]
        named_instances = ["birch-prod"] if person == "ops" else ["acme-prod", "acme-test"]
        assert {tuple(one["circuit_id"] for one in each["circuits"]) for each in seen} == {tuple(named_instances)}


def test_a_mail_program_keeps_the_mails_about_a_window_together(got):
    seen = read_mails(tuple(data for mails in got.values() for data in mails))
    for index in range(len(got)):
        first, *later = seen[index * len(LIFE) :][: len(LIFE)]
        assert first["in_reply_to"] is None
        assert {(each["in_reply_to"], each["references"]) for each in later} == {(first["message_id"],) * 2}
        assert len({each["message_id"] for each in (first, *later)}) == len(LIFE)

"""The calendar part: two foreign readers see what was meant, whatever the texts are."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
import vobject  # type: ignore[import-untyped]
from hypothesis import example, given
from hypothesis import strategies as st

from maintsched.errors import InvalidValue
from maintsched.facts import Impact
from maintsched.mail.calendar import LINE_MAX, calendar_part, folded
from maintsched.mail.letter import Event, EventStatus, MaintnoteStatus, Method
from maintsched.mail.markup import cleaned
from tests.letters import event, letter

SIGNS = "\\;,:\"'\n\r\t\x0b\x0c\x1b\x85\u2028\u2029\u202e^%nNaü😀 BEGIN:"
TEXTS = st.one_of(st.text(st.characters(codec="utf-8"), max_size=120), st.text(st.sampled_from(SIGNS), max_size=200))
NAMES = st.text(st.sampled_from("aü;,:\"'\\^n ."), min_size=1, max_size=40).filter(lambda name: name.strip(" ") == name)
IMPACTS = st.sampled_from(list(Impact))
KEYS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)


def written(about: Event, summary: str = "s", description: str = "d", **changed: Any) -> bytes:
    return calendar_part(letter(event=about, **changed), about, summary=summary, description=description)


def read_by_icalendar(data: bytes) -> dict[str, Any]:
    calendar = icalendar.Calendar.from_ical(data)
    (found,) = calendar.walk("VEVENT")
    return {
        "method": calendar.get("method"),
        "uid": str(found["uid"]),
        "sequence": int(str(found["sequence"])),
        "stamp": found.decoded("dtstamp"),
        "start": found.decoded("dtstart"),
        "end": found.decoded("dtend"),
        "status": str(found["status"]),
        "summary": str(found["summary"]),
        "description": str(found["description"]),
        "organizer": (found["organizer"].params["CN"], str(found["organizer"])),
        "objects": sorted((str(each), each.params["X-MAINTNOTE-OBJECT-IMPACT"]) for each in _listed(found)),
        "maintnote": {name: str(found[f"x-maintnote-{name}"]) for name in MAINTNOTE},
    }


MAINTNOTE = ("provider", "account", "maintenance-id", "impact", "status")


def _listed(found: Any) -> list[Any]:
    objects = found["x-maintnote-object-id"]
    return objects if isinstance(objects, list) else [objects]


def read_by_vobject(data: bytes) -> dict[str, Any]:
    calendar = vobject.readOne(data.decode())
    found = calendar.vevent
    contents = found.contents
    return {
        "method": calendar.method.value if hasattr(calendar, "method") else None,
        "uid": found.uid.value,
        "sequence": int(found.sequence.value),
        "stamp": found.dtstamp.value,
        "start": found.dtstart.value,
        "end": found.dtend.value,
        "status": found.status.value,
        "summary": found.summary.value,
        "description": found.description.value,
        "organizer": (found.organizer.params["CN"][0], found.organizer.value),
        "objects": sorted(
            (each.value, each.params["X-MAINTNOTE-OBJECT-IMPACT"][0]) for each in contents["x-maintnote-object-id"]
        ),
        "maintnote": {name: contents[f"x-maintnote-{name}"][0].value for name in MAINTNOTE},
    }


def meant(about: Event, summary: str, description: str) -> dict[str, Any]:
    return {
        "method": None if about.method is Method.NONE else about.method.upper(),
        "uid": about.uid,
        "sequence": about.sequence,
        "stamp": letter().stamp,
        "start": about.start.astimezone(UTC),
        "end": about.end.astimezone(UTC),
        "status": about.status.upper(),
        "summary": seen(summary),
        "description": seen(description),
        "organizer": ("Müller Hosting", "mailto:notices@provider.example"),
        "objects": sorted((key, impact.upper()) for key, impact in about.objects),
        "maintnote": {
            "provider": about.provider,
            "account": about.account,
            "maintenance-id": about.maintenance_id,
            "impact": about.impact.upper(),
            "status": str(about.maintnote_status),
        },
    }


def seen(text: str) -> str:
    return "\n".join(cleaned(line) for line in text.split("\n"))


# --- what readers see -------------------------------------------------------------------------------------------------


@given(
    summary=TEXTS.map(lambda text: text.replace("\n", " ")),
    description=TEXTS,
    method=st.sampled_from(list(Method)),
    status=st.sampled_from(list(EventStatus)),
    note=st.sampled_from(list(MaintnoteStatus)),
    objects=st.lists(st.tuples(KEYS, IMPACTS), min_size=1, max_size=5, unique_by=lambda each: each[0]),
    start=st.datetimes(datetime(2000, 1, 2), datetime(2200, 1, 1)),  # noqa: DTZ001 -- hypothesis adds the zone
    minutes=st.integers(1, 100_000),
)
@example("a\\nb", "a\\\nb\\;c", Method.PUBLISH, EventStatus.CONFIRMED, MaintnoteStatus.CONFIRMED,
         [("a", Impact.OUTAGE)], datetime(2026, 10, 25, 2, 30), 60)  # fmt: skip  # noqa: DTZ001
def test_two_foreign_readers_see_what_was_meant(summary, description, method, status, note, objects, start, minutes):
    begin = start.replace(tzinfo=ZoneInfo("Europe/Berlin"), microsecond=0)
    about = event(
        method=method, status=status, maintnote_status=note, objects=tuple(objects), sequence=minutes,
        start=begin, end=begin.astimezone(UTC) + timedelta(minutes=minutes),
    )  # fmt: skip
    data = written(about, summary, description)
    wanted = meant(about, summary, description)
    assert read_by_icalendar(data) == wanted
    assert read_by_vobject(data) == wanted


@given(NAMES)
def test_a_name_stays_one_name_of_one_person(name: str):
    data = written(event(method=Method.REQUEST), sender_name=name, recipient_name=name)
    wanted = name.replace('"', "'").replace("\\", "/").replace("^", "-")
    assert read_by_icalendar(data)["organizer"] == (wanted, "mailto:notices@provider.example")
    assert read_by_vobject(data)["organizer"] == (wanted, "mailto:notices@provider.example")
    (found,) = icalendar.Calendar.from_ical(data).walk("VEVENT")
    assert str(found["attendee"]) == "mailto:eva@acme.example"
    assert (found["attendee"].params["CN"], found["attendee"].params["RSVP"]) == (wanted, "FALSE")


def test_only_an_invitation_names_who_is_invited():
    for method in set(Method) - {Method.REQUEST}:
        assert b"ATTENDEE" not in written(event(method=method))


def test_times_are_in_utc_and_there_is_no_duration_and_no_zone():
    lines = written(event()).split(b"\r\n")
    assert {b"DTSTAMP:20261120T080005Z", b"DTSTART:20261201T160000Z", b"DTEND:20261201T200000Z"} <= set(lines)
    assert not [line for line in lines if line.startswith((b"DURATION", b"BEGIN:VTIMEZONE"))]


def test_a_link_is_written_as_it_is():
    assert b"\r\nURL:https://a.example/x?a=1;b=2,3\r\n" in written(event(url="https://a.example/x?a=1;b=2,3"))


def test_a_cancelled_event_still_names_its_instances_and_organizer():
    about = event(method=Method.CANCEL, status="cancelled", maintnote_status=MaintnoteStatus.CANCELLED, sequence=3)
    data = written(about)
    assert data.count(b"X-MAINTNOTE-OBJECT-ID") == 2
    assert b"METHOD:CANCEL\r\n" in data
    assert b"STATUS:CANCELLED\r\n" in data
    assert b"ORGANIZER;CN=" in data


# --- lines ------------------------------------------------------------------------------------------------------------


@given(TEXTS, TEXTS)
def test_lines_end_in_crlf_and_have_at_most_75_octets_of_whole_characters(summary: str, description: str):
    data = written(event(), summary.replace("\n", " "), description)
    lines = data.split(b"\r\n")
    assert lines.pop() == b""
    for line in lines:
        assert len(line) <= LINE_MAX
        assert all(c.isprintable() or c == "\xa0" or c.isspace() for c in line.decode())
        assert not {0x0A, 0x0D} & set(line)


@given(st.text(st.sampled_from("aü€😀 "), max_size=400))
def test_a_folded_line_is_the_same_line(text: str):
    data = folded(text)
    assert data.replace(b"\r\n ", b"").removesuffix(b"\r\n").decode() == text
    assert all(len(line) <= LINE_MAX for line in data.split(b"\r\n"))
    assert data.count(b"\r\n") <= 1 + len(text.encode()) // (LINE_MAX - 4)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("objects", ()),
        ("objects", (("a b", Impact.OUTAGE),)),
        ("end", event().start),
        ("end", event().start - timedelta(1)),
        ("start", datetime(2026, 12, 1)),  # noqa: DTZ001 -- naive on purpose
        ("start", datetime(1999, 1, 1, tzinfo=UTC)),
        ("sequence", -1),
        ("sequence", 2**31),
        ("uid", "a\r\nb"),
        ("uid", ""),
        ("maintenance_id", "a b"),
        ("account", "a,b"),
        ("provider", "a b"),
        ("method", "refresh"),
        ("status", "CONFIRMED"),
        ("maintnote_status", "confirmed"),
        ("url", "javascript:alert(1)"),
    ],
)
def test_an_event_that_no_calendar_can_hold_is_refused(name: str, value: Any):
    with pytest.raises(InvalidValue):
        event(**{name: value})


def test_the_impact_of_an_event_is_the_worst_on_any_instance():
    assert event(objects=(("a", "no-impact"), ("b", "degraded"), ("c", "reduced-redundancy"))).impact is Impact.DEGRADED

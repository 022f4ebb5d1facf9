"""What the calendar feed of a plan promises to the calendars that follow it."""

import re
import warnings
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import icalendar
import ics  # type: ignore[import-untyped]
import pytest
import vobject  # type: ignore[import-untyped]
from dateutil.rrule import rrulestr

import maintsched as ms
from maintsched.fleet import Language
from maintsched.holidaycalendar import HolidayCalendar
from maintsched.report.feed import NAMES_MAX, clean, plan_feed
from maintsched.report.zones import CENTRAL_EUROPEAN, zone_definition

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "fleet.toml"
HOSTILE = (
    'comma, semicolon; back\\slash \\n "quote" BEGIN:VEVENT ATTENDEE:mailto:e@x.example ÄÖÜ 日本語 ' + "long " * 60
)

Instants = dict[str, tuple[datetime, datetime]]


def plan_of(contract, *windows, days=270, start=NOW) -> ms.Plan:
    fleet, facts = ms.load_fleet(contract, str(SAMPLE))
    facts = replace(facts, windows=(*facts.windows, *windows))
    return ms.make_plan(contract, fleet, facts, ms.Span(start=start, end=start + timedelta(days=days)), now=start)


def in_zone(zone: str) -> ms.Contract:
    return ms.load_contract("intrexx-paas", overrides={"zone": zone})


def critical(start: datetime, key: str = "extra", **more) -> ms.DeclaredWindow:
    length = ms.Elapsed(hours=2)
    more = {"reason": "faster disks", **more}
    return ms.DeclaredWindow(key=key, kind=ms.WindowKind.CRITICAL, start=start, duration=length, **more)


@pytest.fixture(scope="module")
def contract():
    return ms.load_contract()


@pytest.fixture(scope="module")
def sample(contract):
    return plan_of(contract)


# --- foreign readers --------------------------------------------------------------------------------------------------


def by_icalendar(feed: bytes) -> Instants:
    events = icalendar.Calendar.from_ical(feed).walk("VEVENT")
    return {str(each["UID"]): (each.decoded("DTSTART"), each.decoded("DTEND")) for each in events}


def by_vobject(feed: bytes) -> Instants:
    calendar = vobject.readOne(feed.decode())
    return {each.uid.value: (each.dtstart.value, each.dtend.value) for each in calendar.contents.get("vevent", [])}


def by_ics(feed: bytes) -> Instants:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about its own future
        events = ics.Calendar(feed.decode()).events
    return {str(each.uid): (each.begin.datetime, each.end.datetime) for each in events}


def described_by_icalendar(feed: bytes) -> dict[str, str]:
    return {str(each["UID"]): str(each["DESCRIPTION"]) for each in events(feed)}


def described_by_vobject(feed: bytes) -> dict[str, str]:
    return {each.uid.value: each.description.value for each in vobject.readOne(feed.decode()).vevent_list}


def described_by_ics(feed: bytes) -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {str(each.uid): each.description for each in ics.Calendar(feed.decode()).events}


READERS = [by_icalendar, by_vobject, by_ics]


def expected(plan: ms.Plan) -> Instants:
    return {
        f"{each.window.id.replace('/', '+')}+{plan.contract.name}@maintsched": (
            each.window.start.astimezone(UTC),
            each.window.end.astimezone(UTC),
        )
        for each in plan.windows
    }


def in_utc(found: Instants) -> Instants:
    return {uid: (start.astimezone(UTC), end.astimezone(UTC)) for uid, (start, end) in found.items()}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Europe/Vienna", "UTC", "Asia/Tokyo", "America/New_York"])
def test_other_readers_see_each_window_at_the_same_instants(reader, zone):
    plan = plan_of(in_zone(zone), days=400)
    assert len(plan.windows) >= 13
    assert in_utc(reader(plan_feed(plan, stamp=NOW))) == expected(plan)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("hour", [0, 1, 2, 3])
def test_windows_in_the_hour_that_exists_twice_are_read_as_meant(contract, reader, hour, fold):
    window = critical(datetime(2027, 10, 31, hour, 30, fold=fold, tzinfo=BERLIN))
    plan = plan_of(contract, window, start=datetime(2027, 10, 20, tzinfo=UTC), days=20)
    assert in_utc(reader(plan_feed(plan, stamp=NOW))) == expected(plan)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("hour", [0, 1, 3])
def test_windows_around_the_hour_that_does_not_exist_are_read_as_meant(contract, reader, hour):
    window = critical(datetime(2027, 3, 28, hour, 30, tzinfo=BERLIN))
    plan = plan_of(contract, window, start=datetime(2027, 3, 20, tzinfo=UTC), days=20)
    assert in_utc(reader(plan_feed(plan, stamp=NOW))) == expected(plan)


@pytest.mark.parametrize("reader", READERS)
def test_a_plan_without_windows_is_an_empty_calendar(contract, reader):
    plan = ms.make_plan(contract, ms.Fleet(), ms.Facts(), ms.Span(start=NOW, end=NOW), now=NOW)
    assert reader(plan_feed(plan, stamp=NOW)) == {}


# --- the zone definition ----------------------------------------------------------------------------------------------


@lru_cache
def transitions(zone: str) -> list[tuple[datetime, timedelta]]:
    """What the definition of `zone` says from 1999 to 2100: since when (in UTC) which offset holds."""
    definition = zone_definition(zone)
    assert definition is not None
    found = []
    for part in definition.subcomponents:
        text = part.to_ical().decode()
        first = re.search(r"DTSTART:(\S+)", text)
        rule = re.search(r"RRULE:(\S+)", text)
        assert first
        assert rule
        starts = rrulestr(rule[1], dtstart=datetime.strptime(first[1], "%Y%m%dT%H%M%S").replace(tzinfo=None))  # noqa: DTZ007 - a wall clock time
        before, after = part.decoded("TZOFFSETFROM"), part.decoded("TZOFFSETTO")
        walls = starts.between(datetime(1999, 1, 1), datetime(2101, 1, 1))  # noqa: DTZ001 - wall clock times
        found += [((wall - before).replace(tzinfo=UTC), after) for wall in walls]
    return sorted(found)


@pytest.mark.parametrize("zone", sorted(CENTRAL_EUROPEAN))
def test_the_zone_definition_agrees_with_the_zone_data_in_every_year_from_2000_to_2100(zone):
    data, tick = ZoneInfo(zone), timedelta(seconds=1)
    changes = transitions(zone)
    assert len(changes) == 2 * 102
    for (since, offset), (until, _) in zip(
        changes, [*changes[1:], (datetime(2101, 1, 1, tzinfo=UTC), None)], strict=True
    ):
        assert since.year >= 1999
        at = since
        while at < until:  # each week between two changes, and the instants next to them
            if at.year >= 2000:
                assert at.astimezone(data).utcoffset() == offset, at
            at += timedelta(days=7)
        if until.year >= 2000:
            assert (until - tick).astimezone(data).utcoffset() == offset, until


def test_every_year_changes_its_clocks_twice():
    years = [since.year for since, _ in transitions("Europe/Berlin")]
    assert all(years.count(year) == 2 for year in range(2000, 2101))


def test_times_name_a_zone_only_where_its_definition_is_in_the_feed(sample):
    berlin = plan_feed(sample, stamp=NOW).decode()
    assert "DTSTART;TZID=Europe/Berlin:20261201T170000" in berlin
    assert berlin.count("BEGIN:VTIMEZONE") == 1
    for zone in ("UTC", "Asia/Tokyo", "Europe/London"):
        feed = plan_feed(plan_of(in_zone(zone)), stamp=NOW).decode()
        assert "TZID" not in feed
        assert all(line.endswith("Z") for line in feed.splitlines() if line.startswith(("DTSTART", "DTEND")))


# --- what stands in it ------------------------------------------------------------------------------------------------


def events(feed: bytes) -> list:
    return icalendar.Calendar.from_ical(feed).walk("VEVENT")


def test_the_feed_says_what_it_is_and_when_to_come_again(sample):
    feed = plan_feed(sample, stamp=NOW)
    calendar = icalendar.Calendar.from_ical(feed)
    assert calendar["VERSION"] == "2.0"
    assert calendar["PRODID"] == "-//maintsched//plan feed//EN"
    assert b"\r\nNAME:Maintenance: Intrexx PaaS\\, managed hosting\r\n" in feed
    assert b"\r\nX-WR-CALNAME:Maintenance: Intrexx PaaS\\, managed hosting\r\n" in feed
    assert b"REFRESH-INTERVAL;VALUE=DURATION:PT6H\r\n" in feed
    assert b"X-PUBLISHED-TTL:PT6H\r\n" in feed


def test_a_feed_is_no_message_and_invites_nobody(sample):
    feed = plan_feed(sample, stamp=NOW)
    names = {line.split(b":")[0].split(b";")[0] for line in feed.splitlines() if not line.startswith(b" ")}
    assert not names & {b"METHOD", b"ORGANIZER", b"ATTENDEE"}


def test_each_event_is_confirmed_keeps_nobody_busy_and_carries_the_stamp(sample):
    for event in events(plan_feed(sample, stamp=NOW)):
        assert event["STATUS"] == "CONFIRMED"
        assert event["TRANSP"] == "TRANSPARENT"
        assert event["SEQUENCE"] == 0
        assert event.decoded("DTSTAMP") == NOW
        assert event.decoded("DTSTART") < event.decoded("DTEND")
        assert [str(each) for each in event["CATEGORIES"].cats] == ["MAINTENANCE"]


def test_an_event_describes_clause_times_notice_deadline_instances_and_work(sample):
    event = next(
        each for each in events(plan_feed(sample, stamp=NOW)) if str(each["UID"]).startswith("monthly+2026-12+")
    )
    assert event["SUMMARY"] == "Maintenance monthly/2026-12"
    for part in (
        "clause 2.4.3.1",
        "Tue 1 Dec 2026, 17:00 – 21:00 CET",
        "16:00 – 20:00 UTC",
        "Reminder: is sent Fri 20 Nov 2026, 09:00 CET; deadline before Tue 24 Nov 2026, 00:00 CET",
        "3 instances: acme-prod, acme-test, birch-prod",
        "intrexx 12.0.4 (security), 2 instances",
        "linux updates (system), 3 instances",
    ):
        assert part in event["DESCRIPTION"]


def test_an_event_names_holiday_reason_impact_and_conflicts(contract):
    plan = plan_of(contract, critical(datetime(2026, 12, 25, 12, tzinfo=BERLIN)))
    described = {
        str(each["UID"]).split("+intrexx")[0].replace("+", "."): each["DESCRIPTION"]
        for each in events(plan_feed(plan, stamp=NOW))
    }
    for part in ("Public holiday: Erster Weihnachtstag", "Reason: faster disks", "Impact: outage"):
        assert part in described["critical.extra"]
    assert "! Freeze over the window: freeze year-end" in described["monthly.2027-01"]


def test_the_feed_speaks_german_as_well(sample):
    event = events(plan_feed(sample, stamp=NOW, language="de"))[0]
    assert event["SUMMARY"] == "Wartung monthly/2026-12"
    assert "Frist vor Di., 24. Nov. 2026, 00:00 CET (Ziffer 2.4.3.1)" in event["DESCRIPTION"]


def test_an_event_of_a_large_fleet_stays_small_and_says_what_it_leaves_out(contract):
    instances = tuple(ms.Instance(key=f"i{n}", host="h.example") for n in range(5000))
    customer = ms.Customer(key="c", name="C", language=Language.EN, package="premium", instances=instances)
    fleet = ms.Fleet(customers=(customer,))
    plan = ms.make_plan(contract, fleet, ms.Facts(), ms.Span(start=NOW, end=NOW + timedelta(days=20)), now=NOW)
    feed = plan_feed(plan, stamp=NOW)
    assert len(feed) < 5000
    assert f"and 4\N{NARROW NO-BREAK SPACE}{1000 - NAMES_MAX} more instances" in events(feed)[0]["DESCRIPTION"]


# --- for the life of a window -----------------------------------------------------------------------------------------


def test_a_window_keeps_its_uid_when_it_moves(contract):
    before = plan_of(contract, critical(datetime(2027, 1, 20, 20, tzinfo=BERLIN)))
    after = plan_of(contract, critical(datetime(2027, 2, 10, 20, tzinfo=BERLIN)))
    found = [by_icalendar(plan_feed(plan, stamp=NOW)) for plan in (before, after)]
    assert found[0].keys() == found[1].keys()
    assert found[0] != found[1]


def test_uids_are_unique_and_name_window_and_contract(sample):
    uids = [str(event["UID"]) for event in events(plan_feed(sample, stamp=NOW))]
    assert len(uids) == len(set(uids)) == len(sample.windows)
    assert "critical+birch-database+intrexx-paas@maintsched" in uids


def test_the_same_plan_and_stamp_give_the_same_bytes(contract):
    assert plan_feed(plan_of(contract), stamp=NOW) == plan_feed(plan_of(contract), stamp=NOW)


# --- hostile texts ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(contract):
    """A plan whose free texts and holidays try to end their line, and to begin another one."""
    nasty = replace(
        contract,
        title=HOSTILE,
        holidays=HolidayCalendar(
            country="DE",
            subdivision="BW",
            language="xx",
            source=lambda *about: {
                date(about[-1], 12, 1): "Tag\r\nATTENDEE:mailto:e@x.example\rA\nB\u2028C\u2029D\x85E\x0bF\x00G\u202eH"
            },
        ),
    )
    return plan_of(nasty, critical(datetime(2027, 1, 20, 20, tzinfo=BERLIN), reason=HOSTILE))


def test_no_text_leaves_its_property(hostile):
    feed = plan_feed(hostile, stamp=NOW)
    first = {line.split(b":")[0].split(b";")[0] for line in feed.split(b"\r\n") if not line.startswith(b" ")}
    known = {b"BEGIN", b"END", b"VERSION", b"PRODID", b"CALSCALE", b"NAME", b"DESCRIPTION", b"REFRESH-INTERVAL"}
    known |= {b"X-WR-CALNAME", b"X-WR-CALDESC", b"X-WR-TIMEZONE", b"X-PUBLISHED-TTL"}
    known |= {b"TZID", b"TZNAME", b"TZOFFSETFROM", b"TZOFFSETTO"}
    known |= {
        b"DTSTART",
        b"DTEND",
        b"DTSTAMP",
        b"RRULE",
        b"UID",
        b"SEQUENCE",
        b"SUMMARY",
        b"CATEGORIES",
        b"TRANSP",
        b"STATUS",
        b"",
    }
    assert first <= known
    assert feed.count(b"\r\nBEGIN:VEVENT\r\n") == len(hostile.windows)


@pytest.mark.parametrize("reader", READERS)
def test_hostile_texts_move_no_window(hostile, reader):
    assert in_utc(reader(plan_feed(hostile, stamp=NOW))) == expected(hostile)


def test_readers_see_the_typed_text_as_it_was_typed(contract):
    uid = "critical+extra+intrexx-paas@maintsched"
    for typed, readers in (
        (HOSTILE.strip(), (described_by_icalendar, described_by_vobject)),
        (HOSTILE.replace("\\", "").strip(), (described_by_ics,)),  # which takes every backslash before an n for a break
    ):
        feed = plan_feed(plan_of(contract, critical(datetime(2027, 1, 20, 20, tzinfo=BERLIN), reason=typed)), stamp=NOW)
        for reader in readers:
            assert f"Reason: {typed}\n" in reader(feed)[uid]


def test_lines_end_in_crlf_have_75_octets_and_no_other_character_that_ends_a_line(hostile, sample):
    for plan in (hostile, sample):
        feed = plan_feed(plan, stamp=NOW)
        assert feed.endswith(b"END:VCALENDAR\r\n")
        for line in feed.split(b"\r\n"):
            assert len(line) <= 75
            text = line.decode()  # folded between characters, not within one
            assert not set(text) & {"\r", "\n", "\x0b", "\x0c", "\x00", "\x85", "\u2028", "\u2029", "\u202e"}


def test_characters_that_end_lines_or_turn_the_reading_direction_are_taken_out():
    assert clean("a\r\nb\x85c\u2028d\u202ee\tf ü日") == "abcdef ü日"


def test_a_naive_stamp_and_an_unknown_language_are_refused(sample):
    with pytest.raises(ms.NaiveDatetime):
        plan_feed(sample, stamp=NOW.replace(tzinfo=None))
    with pytest.raises(ms.InvalidValue, match="en, de"):
        plan_feed(sample, stamp=NOW, language="fr")

"""A plan as a calendar feed (iCalendar, RFC 5545): one event a window.

A feed has no METHOD. It is a calendar that readers fetch again and again, and replace as a whole; METHOD:PUBLISH would
make it a message (RFC 5546), which has to name an organizer, and which some readers import instead of following.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from icalendar import Calendar, Event, vDuration, vText

from maintsched.conflicts import Conflict
from maintsched.localtime import utc
from maintsched.notices import PlannedNotice
from maintsched.plan import Plan, PlanWindow
from maintsched.report.anchors import anchor_of
from maintsched.report.datewords import DateWords
from maintsched.report.words import Words
from maintsched.report.zones import zone_definition

PRODUCT = "-//maintsched//plan feed//EN"
REFRESH = timedelta(hours=6)
"""How often a reader is asked to fetch the feed again."""
NAMES_MAX = 20
"""Instances that an event names at most."""
WORK_MAX = 20
"""Lines on what goes in that an event has at most, and lines on conflicts of an event or a feed."""

_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def plan_feed(plan: Plan, *, stamp: datetime, language: str = "en") -> bytes:
    """Return the feed of a plan's windows: CRLF lines of at most 75 octets, in UTF-8.

    `stamp` (DTSTAMP) is the instant the feed was made. Times are in the contract's zone where its definition is kept
    by hand, else in UTC. The same plan, stamp and language give the same bytes.
    """
    words = Words.of(language)
    dates = DateWords(words=words, zone=plan.contract.zone, now=stamp)
    calendar = _calendar(plan, words)
    definition = zone_definition(plan.contract.zone.key)
    if definition is not None:
        calendar.add_component(definition)
    for planned in plan.windows:
        calendar.add_component(_event(plan, planned, dates, local=definition is not None))
    return bytes(calendar.to_ical())


def _calendar(plan: Plan, words: Words) -> Calendar:
    name = clean(words("feed_name", title=plan.contract.title))
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("name", Text(name))
    calendar.add("x-wr-calname", Text(name))  # what readers older than RFC 7986 know
    calendar.add("x-wr-timezone", plan.contract.zone.key)
    about = [words("feed_about", name=plan.contract.name)]
    about += [_conflict(conflict, words) for conflict in plan.conflicts[:WORK_MAX]]
    text = Text("\n".join(clean(line) for line in about))
    calendar.add("description", text)
    calendar.add("x-wr-caldesc", text)
    refresh = vDuration(REFRESH)
    refresh.params["VALUE"] = "DURATION"
    calendar.add("refresh-interval", refresh)
    calendar.add("x-published-ttl", f"PT{REFRESH // timedelta(hours=1)}H")
    return calendar


def _event(plan: Plan, planned: PlanWindow, dates: DateWords, *, local: bool) -> Event:
    window, words = planned.window, dates.words
    start, end = _bounds(window.start, window.end, local=local)
    event = Event()
    event.add("uid", f"{anchor_of(planned).replace('/', '+')}+{plan.contract.name}@maintsched")
    event.add("dtstamp", utc(dates.now, "stamp"))
    event.add("sequence", 0)
    event.add("dtstart", start)
    event.add("dtend", end)
    event.add("summary", Text(clean(words("feed_summary", id=window.id))))
    event.add("description", Text("\n".join(clean(line) for line in _lines(plan, planned, dates))))
    event.add("categories", ["MAINTENANCE"])
    event.add("transp", "TRANSPARENT")
    event.add("status", "CONFIRMED")
    return event


def _bounds(start: datetime, end: datetime, *, local: bool) -> tuple[datetime, datetime]:
    # Of a wall clock time that exists twice, RFC 5545 always means the first; the second one can only be said in UTC.
    if local and not any(_second_of_two(at) for at in (start, end)):
        return start, end
    return start.astimezone(UTC), end.astimezone(UTC)


def _second_of_two(at: datetime) -> bool:
    return at.fold == 1 and at.utcoffset() != at.replace(fold=0).utcoffset()


def _lines(plan: Plan, planned: PlanWindow, dates: DateWords) -> Iterator[str]:
    window, words = planned.window, dates.words
    yield plan.contract.title
    yield f"{words(f'kind_{window.kind}')}, {words('clause')} {window.clause}"
    yield f"{dates.day(dates.local_date(window.start))}, {dates.hours(window.start, window.end)}"
    yield dates.hours_utc(window.start, window.end)
    if window.holiday:
        yield words("on_holiday", name=window.holiday)
    if planned.declared is not None:
        yield f"{words('reason')}: {planned.declared.reason}"
        yield f"{words('impact')}: {words(f'impact_{planned.declared.impact}')}"
    yield ""
    yield from (_notice(notice, dates) for notice in planned.notices)
    yield ""
    yield from _work(planned, words)
    for conflict in planned.conflicts[:WORK_MAX]:
        yield _conflict(conflict, words)


def _conflict(conflict: Conflict, words: Words) -> str:
    return f"! {words(f'conflict_{conflict.kind}')}: {conflict.message} ({words('clause')} {conflict.clause})"


def _notice(notice: PlannedNotice, dates: DateWords) -> str:
    words = dates.words
    name = words(f"notice_{notice.kind}")
    return words(
        "feed_send",
        notice=f"{name[:1].upper()}{name[1:]}",
        send=dates.at(notice.send_at),
        bound=words(f"feed_bound_{'exclusive' if notice.due.exclusive else 'inclusive'}"),
        deadline=dates.at(notice.deadline),
        clause=notice.due.clause,
    )


def _work(planned: PlanWindow, words: Words) -> Iterator[str]:
    total = sum(len(assignment.instances) for assignment in planned.assignments)
    if total:
        names = [key for key, _ in zip(planned.instances, range(NAMES_MAX), strict=False)]
        rest = [words.count("more_instances", total - len(names))] if total > len(names) else []
        yield f"{words.count('for_instances', total)}: {', '.join([*names, *rest])}"
    counted: Counter[str] = Counter()
    for assignment in planned.assignments:
        for item in assignment.work:
            line = f"{item.component} {item.release or words('updates')} ({words(f'class_{item.change_class}')})"
            counted[line] += len(assignment.instances)
    for line, n in sorted(counted.items())[:WORK_MAX]:
        yield f"- {line}, {words.count('for_instances', n)}"
    if len(counted) > WORK_MAX:
        yield f"- {words.count('more', len(counted) - WORK_MAX)}"


class Text(vText):
    r"""A TEXT value whose backslashes stay what they are: the library takes a typed "\N" for a line break."""

    def to_ical(self) -> bytes:
        r"""Write the text with "\", ";", "," and line breaks escaped (RFC 5545, 3.3.11)."""
        escaped = self.replace("\\", r"\\")
        for plain, written in ((";", r"\;"), (",", r"\,"), ("\n", r"\n")):
            escaped = escaped.replace(plain, written)
        return escaped.encode()


def clean(text: str) -> str:
    """Return `text` without control, formatting and line separating characters, which some readers split lines at."""
    return "".join(c for c in text if unicodedata.category(c) not in _UNPRINTABLE)

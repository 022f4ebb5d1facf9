"""A window of a plan as a card of the page: all that a person wants to know of it, in words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, islice

from maintsched.conflicts import Conflict
from maintsched.fleet import Fleet
from maintsched.localtime import elapsed, utc
from maintsched.plan import PlanWindow
from maintsched.profiles import WorkItem
from maintsched.report.anchors import anchor_of
from maintsched.report.datewords import DateWords
from maintsched.report.leads import Bar, lead_bar

NAMES_OPEN = 12
"""Names that are listed openly; more of them wait behind a fold."""
NAMES_MAX = 120
"""Names that a card lists at most, all its groups together."""
GROUPS_MAX = 12
"""Groups of instances that a card lists at most."""
CONFLICTS_MAX = 20
"""Conflicts that a card lists at most."""
NAMES_OF_CONFLICT = 6
"""Names that a conflict lists at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """Instances of one customer, next to each other in a list; `customer` is None where the fleet knows none."""

    customer: str | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of `total` instances, of which `more` are not listed; `folded` where they wait behind a fold."""

    total: int
    owned: tuple[Owned, ...]
    more: int
    folded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Instances that get the same work."""

    names: Names
    work: tuple[WorkItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownConflict:
    """A conflict under its title, with the anchor of the window it is about, if the page has one."""

    conflict: Conflict
    title: str
    anchor: str | None
    names: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A window: its head, its bars, its groups of work and its conflicts, each list with what it leaves out."""

    planned: PlanWindow
    kind: str
    day: str
    hours: str
    hours_utc: str
    duration: str
    relative: str
    state: str | None
    remarks: tuple[str, ...]
    bars: tuple[Bar, ...]
    total: int
    groups: tuple[Group, ...]
    more_groups: int
    more_instances: int
    conflicts: tuple[ShownConflict, ...]
    more_conflicts: int

    @property
    def anchor(self) -> str:
        """What the card is linked by."""
        return anchor_of(self.planned)

    @property
    def has_work(self) -> bool:
        """Say whether any group that is listed gets something."""
        return any(group.work for group in self.groups)


def cards(windows: Sequence[PlanWindow], fleet: Fleet, dates: DateWords) -> list[Card]:
    """Return a card of each window; the first that has not begun is marked as the next."""
    shown = [_card(planned, fleet, dates) for planned in windows]
    coming = next((n for n, each in enumerate(windows) if utc(each.window.start) > utc(dates.now)), None)
    if coming is not None:
        shown[coming] = replace(shown[coming], state="next")
    return shown


def _card(planned: PlanWindow, fleet: Fleet, dates: DateWords) -> Card:
    window, words = planned.window, dates.words
    groups, more_groups, more_instances = _groups(planned, fleet)
    return Card(
        planned=planned,
        kind=words(f"kind_{window.kind}"),
        day=dates.long_day(dates.local_date(window.start)),
        hours=dates.hours(window.start, window.end),
        hours_utc=dates.hours_utc(window.start, window.end),
        duration=dates.duration(elapsed(window.start, window.end)),
        relative=dates.relative(window.start),
        state=_state(window.start, window.end, dates.now),
        remarks=tuple(_remarks(planned, dates)),
        bars=tuple(lead_bar(planned, notice, dates) for notice in planned.notices),
        total=sum(len(assignment.instances) for assignment in planned.assignments),
        groups=groups,
        more_groups=more_groups,
        more_instances=more_instances,
        conflicts=tuple(shown_conflict(each, dates) for each in planned.conflicts[:CONFLICTS_MAX]),
        more_conflicts=max(0, len(planned.conflicts) - CONFLICTS_MAX),
    )


def _state(start: datetime, end: datetime, now: datetime) -> str | None:
    if utc(end) <= utc(now):
        return "over"
    return "open" if utc(start) <= utc(now) else None


def _remarks(planned: PlanWindow, dates: DateWords) -> Iterator[str]:
    words, change = dates.words, planned.clock_change
    if planned.window.holiday:
        yield words("on_holiday", name=planned.window.holiday)
    if change is not None:
        key = "clocks_forward" if change.after > change.before else "clocks_back"
        minutes = abs(change.after - change.before).seconds // 60
        yield words(key, minutes=minutes, day=dates.day(dates.local_date(change.at)))


def _groups(planned: PlanWindow, fleet: Fleet) -> tuple[tuple[Group, ...], int, int]:
    """Return the groups that are listed, how many are not, and how many instances those hold."""
    alike: dict[tuple[WorkItem, ...], list[str]] = {}
    for assignment in planned.assignments:
        alike.setdefault(assignment.work, []).extend(assignment.instances)
    shown, left = [], NAMES_MAX
    for work, keys in islice(alike.items(), GROUPS_MAX):
        names = _names(keys, left, fleet)
        left = max(NAMES_OPEN, left - len(keys))
        shown.append(Group(names=names, work=work))
    hidden = list(alike.values())[GROUPS_MAX:]
    return tuple(shown), len(hidden), sum(map(len, hidden))


def _names(keys: Sequence[str], limit: int, fleet: Fleet) -> Names:
    listed = keys[:limit]
    owners = fleet.owners

    def customer(key: str) -> str | None:
        return owners[key].name if key in owners else None

    return Names(
        total=len(keys),
        owned=tuple(Owned(customer=name, keys=tuple(group)) for name, group in groupby(listed, customer)),
        more=len(keys) - len(listed),
        folded=len(keys) > NAMES_OPEN,
    )


def shown_conflict(conflict: Conflict, dates: DateWords, anchors: Iterable[str] = ()) -> ShownConflict:
    """Return a conflict as the page shows it; its subject is a link where it is one of `anchors`."""
    words, instances = dates.words, conflict.instances
    names = list(instances[:NAMES_OF_CONFLICT])
    if len(instances) > NAMES_OF_CONFLICT:
        names.append(words.count("more_instances", len(instances) - NAMES_OF_CONFLICT))
    return ShownConflict(
        conflict=conflict,
        title=words(f"conflict_{conflict.kind}"),
        anchor=conflict.subject if conflict.subject in anchors else None,
        names=", ".join(names),
    )

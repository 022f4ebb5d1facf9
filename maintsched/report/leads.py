"""Bars of time, drawn to scale: the lead of a notice, the run of a deferral.

A place on a bar is a share of its width in percent. It is worked out on the UTC time line, so that a day with a clock
change is drawn as long as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from maintsched.localtime import elapsed, start_of_day, utc
from maintsched.notices import PlannedNotice
from maintsched.plan import PlanWindow
from maintsched.releases import RunningDeferral
from maintsched.report.datewords import DateWords
from maintsched.windows import Window

TICKS_MAX = 32
"""Midnights that are drawn at most; a longer bar marks every second, third ... one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A named instant on a bar: `left` is its place, `title` and `text` say it, `aside` says how it stands."""

    name: str
    left: str
    title: str = ""
    text: str = ""
    aside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A named part of a bar, from `left` and `width` wide."""

    name: str
    left: str
    width: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar with its parts, its marks in the order of time, its local midnights, and the same said in words."""

    stretches: tuple[Stretch, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[str, ...]
    label: str
    now: str | None = None
    """The place of the page's own instant, where it lies on the bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What 0 and 100 percent of a bar are."""

    first: datetime
    last: datetime

    def place(self, at: datetime) -> str:
        """Return the place of `at`."""
        return _percent(elapsed(self.first, at) / self._whole)

    def stretch(self, name: str, start: datetime, end: datetime) -> Stretch:
        """Return the part from `start` to `end`."""
        return Stretch(name=name, left=self.place(start), width=_percent(elapsed(start, end) / self._whole))

    def holds(self, at: datetime) -> bool:
        """Say whether `at` lies on the bar."""
        return utc(self.first) <= utc(at) <= utc(self.last)

    @property
    def _whole(self) -> timedelta:
        return elapsed(self.first, self.last) or timedelta(microseconds=1)

    def midnights(self, dates: DateWords) -> Iterator[str]:
        """Return the places of the local midnights, at most `TICKS_MAX` of them."""
        day, last = dates.local_date(self.first), dates.local_date(self.last)
        step = timedelta(days=1 + (last - day).days // TICKS_MAX)
        while (day := day + step) <= last:
            yield self.place(start_of_day(day, dates.zone))


def _percent(share: float) -> str:
    return f"{100 * share:.3f}%"


def lead_bar(planned: PlanWindow, notice: PlannedNotice, dates: DateWords) -> Bar:
    """Return the lead of a notice: from when it is sent, over its deadline, to the end of its window."""
    window, announced_at = planned.window, planned.declared.announced_at if planned.declared else None
    sent, deadline = notice.send_at, notice.deadline
    told = [announced_at] if announced_at else []
    scale = Scale(first=min(sent, deadline, window.start, *told, key=utc), last=max(sent, window.end, key=utc))
    marks = sorted(_lead_marks(planned, notice, announced_at, dates), key=lambda each: utc(each[0]))
    shown = tuple(_mark(scale, at, name, title, aside, dates) for at, name, title, aside in marks)
    said = "; ".join(f"{mark.title} {mark.text}" for mark in shown)
    return Bar(
        stretches=tuple(_lead_stretches(scale, sent, deadline, planned.window)),
        marks=shown,
        ticks=tuple(scale.midnights(dates)),
        label=dates.words("lead_label", notice=dates.words(f"notice_{notice.kind}"), id=window.id, marks=said),
        now=scale.place(dates.now) if scale.holds(dates.now) else None,
    )


def _lead_stretches(scale: Scale, sent: datetime, deadline: datetime, window: Window) -> Iterator[Stretch]:
    if utc(sent) > utc(deadline):
        yield scale.stretch("late", deadline, sent)
    else:
        yield scale.stretch("margin", sent, deadline)
    told = max(sent, deadline, key=utc)
    if utc(told) < utc(window.start):
        yield scale.stretch("lead", told, window.start)
    yield scale.stretch("work", window.start, window.end)


def _lead_marks(
    planned: PlanWindow, notice: PlannedNotice, announced_at: datetime | None, dates: DateWords
) -> Iterator[tuple[datetime, str, str, str]]:
    words, deadline, start = dates.words, notice.deadline, planned.window.start
    late = utc(notice.send_at) > utc(deadline)
    in_hand = words(
        "gap_past_deadline" if late else "gap_to_deadline", duration=dates.duration(elapsed(notice.send_at, deadline))
    )
    yield notice.send_at, "send", words("mark_send", notice=words(f"notice_{notice.kind}")), in_hand
    if announced_at is not None:
        yield announced_at, "announced", words("mark_announced"), ""
    bound = words("mark_deadline_exclusive" if notice.due.exclusive else "mark_deadline_inclusive")
    yield deadline, "deadline", bound, words("gap_to_start", duration=dates.duration(elapsed(deadline, start)))
    yield start, "start", words("mark_start"), ""


def _mark(scale: Scale, at: datetime, name: str, title: str, aside: str, dates: DateWords) -> Mark:
    far = " · ".join(part for part in (dates.relative(at), aside) if part)
    return Mark(name=name, left=scale.place(at), title=title, text=dates.at(at), aside=far)


def deferral_bar(running: RunningDeferral, dates: DateWords) -> Bar:
    """Return the run of a deferral: from its start, over its end, to the limit of the contract."""
    scale = Scale(first=running.start, last=max(running.end, running.limit, key=utc))
    label = dates.words(
        "deferral_label",
        id=running.deferral.id,
        start=dates.at(running.start),
        end=dates.at(running.end),
        limit=dates.at(running.limit),
    )
    return Bar(
        stretches=(scale.stretch("margin", running.start, running.end),),
        marks=(
            Mark(name="send", left=scale.place(running.start)),
            Mark(name="limit", left=scale.place(running.limit)),
            Mark(name="start", left=scale.place(running.end)),
        ),
        ticks=(),
        label=label,
        now=scale.place(dates.now) if scale.holds(dates.now) else None,
    )

"""A plan as a table for a terminal, 100 columns wide at most."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from io import StringIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maintsched.errors import printable
from maintsched.plan import Plan, PlanWindow
from maintsched.report.datewords import DateWords
from maintsched.report.words import Words

WIDTH_MAX = 100
WIDTH_MIN = 88
"""A narrower terminal breaks the lines itself: no date is ever cut off."""
HEADINGS = {
    "en": {
        "window": "window",
        "when": "when",
        "notice": "notice goes out, and is due",
        "work": "goes in",
        "notes": "notes",
        "told": "told",
        "now due": "due now",
        "before": "before",
        "by": "by",
        "conflict": "conflict",
        "conflicts": "conflicts",
        "none": "no window starts in this time",
        "freeze": "freeze",
        "deferral": "deferral",
        "until": "until",
        "into": "goes in with",
        "nothing": "no window",
        "clause": "clause",
        "cancelled": "cancelled",
        "updates": "OS updates",
        "forward": "clocks forward",
        "back": "clocks back",
    },
    "de": {
        "window": "Fenster",
        "when": "wann",
        "notice": "Mitteilung geht raus, muss raus",
        "work": "kommt hinein",
        "notes": "Hinweise",
        "told": "mitgeteilt",
        "now due": "jetzt fällig",
        "before": "vor",
        "by": "bis",
        "conflict": "Konflikt",
        "conflicts": "Konflikte",
        "none": "in dieser Zeit beginnt kein Fenster",
        "freeze": "Sperre",
        "deferral": "Aufschub",
        "until": "bis",
        "into": "kommt mit",
        "nothing": "kein Fenster",
        "clause": "Ziffer",
        "cancelled": "abgesagt",
        "updates": "OS-Updates",
        "forward": "Uhren vor",
        "back": "Uhren zurück",
    },
}


def plan_table(plan: Plan, *, now: datetime, language: str) -> Iterator[str]:
    """Return the plan as lines of text, with colours where stdout is a terminal."""
    dates = DateWords(words=Words.of(language), zone=plan.contract.zone, now=now)
    width = max(WIDTH_MIN, min(WIDTH_MAX, shutil.get_terminal_size((WIDTH_MAX, 40)).columns))
    output = StringIO()
    colours = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    # An operator's ":bug:" stays what it is.
    console = Console(file=output, width=width, force_terminal=colours, emoji=False)
    console.print(_title(plan, dates), style="bold", highlight=False)
    console.print(_windows(plan, dates) if plan.windows else HEADINGS[language]["none"])
    for line in _remarks(plan, dates):
        console.print(line, highlight=False, soft_wrap=False)
    for line in output.getvalue().splitlines():
        yield f"{line.rstrip()}\n"


def _title(plan: Plan, dates: DateWords) -> str:
    last = plan.span.end - timedelta(microseconds=1)
    days = f"{dates.day(dates.local_date(plan.span.start))} – {dates.day(dates.local_date(last))}"
    return f"{escape(printable(plan.contract.title))}  ·  {days}  ·  {plan.contract.zone.key}"


def _windows(plan: Plan, dates: DateWords) -> Table:
    headings = HEADINGS[dates.words.language]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    details = [[*_work(planned, headings), *_notes(planned, dates)] for planned in plan.windows]
    for name in ("window", "when", "notice"):
        table.add_column(headings[name], no_wrap=True)
    if any(details):
        with_work = any(planned.assignments for planned in plan.windows)
        table.add_column(headings["work" if with_work else "notes"], ratio=1, overflow="fold")
    for planned, lines in zip(plan.windows, details, strict=True):
        cells = [_name(planned), _when(planned, dates), _notice(planned, dates)]
        table.add_row(*cells, *(["\n".join(lines)] if any(details) else []))
    return table


COLOURS = {"monthly": "cyan", "critical": "yellow", "emergency": "red"}
NAME_MAX = 18
TIMES_MAX = 20
"""Longer times, with the day of the end, leave no room beside them."""


def _name(planned: PlanWindow) -> str:
    """Return the window's id, its kind and key on a line each where it is long."""
    colour = COLOURS[planned.window.kind]
    kind, _, key = planned.window.id.partition("/")
    lines = [planned.window.id] if len(planned.window.id) <= NAME_MAX else [f"{kind}/", *_cut(key)]
    return "\n".join(f"[{colour}]{escape(line)}[/]" for line in lines)


def _cut(key: str) -> list[str]:
    return [key[at : at + NAME_MAX] for at in range(0, len(key), NAME_MAX)]


def _when(planned: PlanWindow, dates: DateWords) -> str:
    window = planned.window
    day, relative = dates.day(window.start.date()), f"[dim]{dates.relative(window.start)}[/]"
    times = dates.tight_hours(window.start, window.end)
    if len(times) <= TIMES_MAX:
        return f"{day}\n{times}  {relative}"
    return f"{day}\n{times}\n{relative}"


def _notice(planned: PlanWindow, dates: DateWords) -> str:
    notice, headings = planned.notices[0], HEADINGS[dates.words.language]
    bound = headings["before" if notice.due.exclusive else "by"]
    sent, due = (
        f"{dates.tight_day(at.date())} {dates.time(at)}" for at in (notice.told_at or notice.send_at, notice.deadline)
    )
    if notice.told_at is not None:
        sent = f"[green]{headings['told']} {sent}[/]"
    elif notice.owed_at(dates.now):
        sent = f"[yellow]{sent}, {headings['now due']}[/]"
    return f"{sent}\n[dim]{bound}[/] {due}"


def _work(planned: PlanWindow, headings: Mapping[str, str]) -> Iterator[str]:
    if planned.declared is not None:
        yield escape(printable(planned.declared.reason))
    counts: Counter[str] = Counter()
    for assignment in planned.assignments:
        for item in assignment.work:
            name = headings["updates"] if item.release is None else f"{item.component} {item.release}"
            counts[name] += len(assignment.instances)
    for name, count in counts.items():
        yield f"[dim]{count} ×[/] {escape(name)}"


def _notes(planned: PlanWindow, dates: DateWords) -> Iterator[str]:
    headings, change = HEADINGS[dates.words.language], planned.clock_change
    if planned.window.holiday:
        yield f"[magenta]{escape(planned.window.holiday)}[/]"
    if change is not None:
        way = headings["forward" if change.after > change.before else "back"]
        yield f"[magenta]{way} {dates.tight_day(dates.local_date(change.at))}[/]"
    if planned.conflicts:
        count = len(planned.conflicts)
        yield f"[red]{count} {headings['conflict' if count == 1 else 'conflicts']}[/]"


def _remarks(plan: Plan, dates: DateWords) -> Iterator[str]:
    headings = HEADINGS[dates.words.language]
    for freeze in plan.freezes:
        until = f"{headings['until']} {dates.day(dates.local_date(freeze.end))} {dates.time(freeze.end)}"
        classes = ", ".join(freeze.classes)
        yield f"[blue]{headings['freeze']}[/] {escape(freeze.key)}: {classes}, {until} ({escape(freeze.reason)})"
    for running in plan.open_deferrals:
        until = f"{headings['until']} {dates.day(dates.local_date(running.end))} {dates.time(running.end)}"
        into = running.window.id if running.window else headings["nothing"]
        name = escape(running.deferral.id)
        yield f"[blue]{headings['deferral']}[/] {name}: {until}, {headings['into']} {escape(into)}"
    for cancelled in plan.cancelled:
        yield f"[blue]{headings['cancelled']}[/] {escape(cancelled.id)}: {escape(printable(cancelled.reason))}"
    for conflict in plan.all_conflicts:
        kind = dates.words(f"conflict_{conflict.kind}")
        clause = f"({headings['clause']} {escape(conflict.clause)})"
        yield f"[red]{kind}[/], {escape(conflict.subject)}: {escape(conflict.message)} [dim]{clause}[/]"

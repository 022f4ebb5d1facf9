"""A plan as a table for a terminal, 100 columns wide at most."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from io import StringIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maintsched.errors import printable
from maintsched.plan import Plan, PlanWindow
from maintsched.report.dates import say_day, say_distance, say_time

WIDTH_MAX = 100
WIDTH_MIN = 88
"""A narrower terminal breaks the lines itself: no date is ever cut off."""
WORDS = {
    "en": {
        "window": "window",
        "when": "when",
        "notice": "notice goes out, and is due",
        "work": "goes in",
        "notes": "notes",
        "before": "before",
        "by": "by",
        "conflict": "conflict",
        "conflicts": "conflicts",
        "none": "no window starts in this time",
        "freeze": "freeze",
        "deferral": "deferral",
        "until": "until",
        "goes in": "goes in with",
        "nothing": "no window",
        "clause": "clause",
        "updates": "OS updates",
    },
    "de": {
        "window": "Fenster",
        "when": "wann",
        "notice": "Mitteilung geht raus, muss raus",
        "work": "kommt hinein",
        "notes": "Hinweise",
        "before": "vor",
        "by": "bis",
        "conflict": "Konflikt",
        "conflicts": "Konflikte",
        "none": "in dieser Zeit beginnt kein Fenster",
        "freeze": "Sperre",
        "deferral": "Aufschub",
        "until": "bis",
        "goes in": "kommt mit",
        "nothing": "kein Fenster",
        "clause": "Ziffer",
        "updates": "OS-Updates",
    },
}


def plan_table(plan: Plan, *, now: datetime, language: str) -> Iterator[str]:
    """Return the plan as lines of text, with colours where stdout is a terminal."""
    words = WORDS[language]
    width = max(WIDTH_MIN, min(WIDTH_MAX, shutil.get_terminal_size((WIDTH_MAX, 40)).columns))
    output = StringIO()
    console = Console(file=output, width=width, force_terminal=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    console.print(_title(plan, language), style="bold", highlight=False)
    if not plan.windows:
        console.print(words["none"])
    else:
        console.print(_windows(plan, now, language))
    for line in _remarks(plan, language):
        console.print(line, highlight=False, soft_wrap=False)
    for line in output.getvalue().splitlines():
        yield f"{line.rstrip()}\n"


def _title(plan: Plan, language: str) -> str:
    start, end = (say_day(at, language) for at in (plan.span.start, plan.span.end))
    return f"{escape(printable(plan.contract.title))}  ·  {start} – {end}  ·  {plan.contract.zone.key}"


def _windows(plan: Plan, now: datetime, language: str) -> Table:
    words = WORDS[language]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    details = [[*_work(planned, language), *_notes(planned, language)] for planned in plan.windows]
    table.add_column(words["window"], no_wrap=True)
    table.add_column(words["when"], no_wrap=True)
    table.add_column(words["notice"], no_wrap=True)
    if any(details):
        table.add_column(words["work" if any(planned.assignments for planned in plan.windows) else "notes"], ratio=1)
    for planned, lines in zip(plan.windows, details, strict=True):
        cells = [_name(planned), _when(planned, now, language), _notice(planned, language)]
        table.add_row(*cells, *(["\n".join(lines)] if any(details) else []))
    return table


COLOURS = {"monthly": "cyan", "critical": "yellow", "emergency": "red"}
NAME_MAX = 18


def _name(planned: PlanWindow) -> str:
    """Return the window's id, its kind and key on a line each where it is long."""
    colour = COLOURS[planned.window.kind]
    kind, _, key = planned.window.id.partition("/")
    lines = [planned.window.id] if len(planned.window.id) <= NAME_MAX else [f"{kind}/", *_cut(key)]
    return "\n".join(f"[{colour}]{escape(line)}[/]" for line in lines)


def _cut(key: str) -> list[str]:
    return [key[at : at + NAME_MAX] for at in range(0, len(key), NAME_MAX)]


def _when(planned: PlanWindow, now: datetime, language: str) -> str:
    window = planned.window
    times = f"{say_time(window.start)}–{say_time(window.end)} {window.start:%Z}"
    return f"{say_day(window.start, language)}\n{times}  [dim]{say_distance(window.start, now, language)}[/]"


def _notice(planned: PlanWindow, language: str) -> str:
    notice = planned.notices[0]
    bound = WORDS[language]["before" if notice.due.exclusive else "by"]
    sent = f"{say_day(notice.send_at, language, 'short')} {say_time(notice.send_at)}"
    due = f"{say_day(notice.deadline, language, 'short')} {say_time(notice.deadline)}"
    return f"{sent}\n[dim]{bound}[/] {due}"


def _work(planned: PlanWindow, language: str) -> Iterator[str]:
    if planned.declared is not None:
        yield escape(printable(planned.declared.reason))
    counts: Counter[str] = Counter()
    for assignment in planned.assignments:
        for item in assignment.work:
            name = WORDS[language]["updates"] if item.release is None else f"{item.component} {item.release}"
            counts[name] += len(assignment.instances)
    for name, count in counts.items():
        yield f"[dim]{count} ×[/] {escape(name)}"


def _notes(planned: PlanWindow, language: str) -> list[str]:
    notes = [f"[magenta]{escape(planned.window.holiday)}[/]"] if planned.window.holiday else []
    if planned.clock_change is not None:
        notes.append(f"[magenta]{escape(str(planned.clock_change))}[/]")
    if planned.conflicts:
        count = len(planned.conflicts)
        notes.append(f"[red]{count} {WORDS[language]['conflict' if count == 1 else 'conflicts']}[/]")
    return notes


def _remarks(plan: Plan, language: str) -> Iterable[str]:
    words = WORDS[language]
    for freeze in plan.freezes:
        end = freeze.end.astimezone(plan.contract.zone)
        classes = ", ".join(freeze.classes)
        yield (
            f"[blue]{words['freeze']}[/] {escape(freeze.key)}: {classes}, {words['until']} {say_day(end, language)} "
            f"{say_time(end)} ({escape(freeze.reason)})"
        )
    for running in plan.deferrals:
        into = running.window.id if running.window else words["nothing"]
        yield (
            f"[blue]{words['deferral']}[/] {escape(running.deferral.id)}: {words['until']} "
            f"{say_day(running.end, language)} {say_time(running.end)}, {words['goes in']} {escape(into)}"
        )
    for conflict in plan.all_conflicts:
        yield (
            f"[red]{conflict.kind.replace('_', ' ')}[/] {escape(conflict.subject)}: {escape(conflict.message)} "
            f"[dim]({words['clause']} {escape(conflict.clause)})[/]"
        )

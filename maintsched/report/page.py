"""A plan as one page for browsers and paper: no scripts, nothing from elsewhere, every text escaped.

What stands in a plan or a fleet reaches the template as a value and is escaped there; nothing is ever marked as safe.
The policy in the page's head forbids everything but the page's own style sheet, which it names by its digest.
"""

from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from maintsched.conflicts import Conflict, ConflictKind
from maintsched.contract import Contract
from maintsched.facts import Freeze
from maintsched.fleet import Fleet
from maintsched.localtime import utc
from maintsched.plan import Plan
from maintsched.releases import RunningDeferral
from maintsched.report.anchors import anchor_of
from maintsched.report.cards import NAMES_OF_CONFLICT, Card, ShownConflict, cards, shown_conflict
from maintsched.report.datewords import DateWords
from maintsched.report.glance import days_of, glance
from maintsched.report.leads import Bar, deferral_bar
from maintsched.report.words import Words

TEMPLATES = Path(__file__).parent / "templates"
STYLE_SHEET = "page.css"

SUMMARY_OPEN = 4
"""Conflicts of one kind that the summary lists openly; more of them wait behind a fold."""
SUMMARY_MAX = 40
"""Conflicts of one kind that the summary lists at most; the cards list those of their windows as well."""
ROWS_MAX = 200
"""Freezes, deferrals and holidays that are listed at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictGroup:
    """The conflicts of one kind: those in the open, those behind a fold, and how many are not listed."""

    title: str
    total: int
    opened: tuple[ShownConflict, ...]
    folded: tuple[ShownConflict, ...]

    @property
    def more(self) -> int:
        """How many are not listed."""
        return self.total - len(self.opened) - len(self.folded)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFreeze:
    """A freeze, with its scope in names."""

    freeze: Freeze
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDeferral:
    """A deferral, with its bar and the window that ends it, if the page has a card of it."""

    running: RunningDeferral
    bar: Bar
    anchor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownHoliday:
    """A public holiday of the span, with the windows that lie on it."""

    day: date
    name: str
    windows: tuple[str, ...]


def plan_page(plan: Plan, fleet: Fleet, *, now: datetime, language: str = "en") -> str:
    """Return the page of a plan, as seen from `now`, in `language` ("en" or "de").

    `fleet` is the one the plan was made of; it gives the customers' names. The page stays small however large the
    fleet is: long lists end with the number of what they leave out.
    """
    words = Words.of(language)
    utc(now, "now")
    dates = DateWords(words=words, zone=plan.contract.zone, now=now)
    shown = cards(plan.windows, fleet, dates)
    conflicts = _summary(plan, dates)
    template = _environment().get_template("plan.html")
    return template.render(
        t=words,
        dates=dates,
        plan=plan,
        policy=_policy(),
        first_day=dates.local_date(plan.span.start),
        last_day=_last_day(plan, dates),
        figures=_figures(plan, fleet),
        conflicts=conflicts,
        conflicts_total=sum(group.total for group in conflicts),
        glance=glance(plan, dates),
        cards=shown,
        next_card=_next_card(shown),
        next_send=_next_send(plan, now),
        **_tables(plan, fleet, dates),
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _policy() -> str:
    style = _environment().get_template(STYLE_SHEET).render()
    digest = b64encode(sha256(style.encode()).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _last_day(plan: Plan, dates: DateWords) -> date:
    last = max(plan.span.start, plan.span.end - timedelta(microseconds=1), key=utc)
    return dates.local_date(last)


def _figures(plan: Plan, fleet: Fleet) -> dict[str, int]:
    return {
        "windows": len(plan.windows),
        "instances": len(fleet.owners),
        "customers": len(fleet.customers),
    }


def _anchors(plan: Plan) -> set[str]:
    return {anchor_of(planned) for planned in plan.windows}


def _summary(plan: Plan, dates: DateWords) -> list[ConflictGroup]:
    anchors = _anchors(plan)
    of_kind: dict[ConflictKind, list[Conflict]] = {}
    for conflict in plan.all_conflicts:
        of_kind.setdefault(conflict.kind, []).append(conflict)
    return [_conflict_group(kind, found, anchors, dates) for kind, found in of_kind.items()]


def _conflict_group(
    kind: ConflictKind, found: Sequence[Conflict], anchors: Collection[str], dates: DateWords
) -> ConflictGroup:
    shown = [shown_conflict(each, dates, anchors) for each in found[:SUMMARY_MAX]]
    return ConflictGroup(
        title=dates.words(f"conflict_{kind}"),
        total=len(found),
        opened=tuple(shown[:SUMMARY_OPEN]),
        folded=tuple(shown[SUMMARY_OPEN:]),
    )


def _next_card(shown: Sequence[Card]) -> Card | None:
    return next((card for card in shown if card.state in ("open", "next")), None)


def _next_send(plan: Plan, now: datetime) -> datetime | None:
    sent = (notice.send_at for planned in plan.windows for notice in planned.notices)
    return min((at for at in sent if utc(at) >= utc(now)), key=utc, default=None)


def _tables(plan: Plan, fleet: Fleet, dates: DateWords) -> dict[str, Any]:
    holidays = _holidays(plan, dates)
    anchors = _anchors(plan)
    return {
        "freezes": [_freeze(freeze, fleet, dates) for freeze in plan.freezes[:ROWS_MAX]],
        "deferrals": [_deferral(running, anchors, dates) for running in plan.open_deferrals[:ROWS_MAX]],
        "holidays": holidays[:ROWS_MAX],
        "more": {
            "freezes": max(0, len(plan.freezes) - ROWS_MAX),
            "deferrals": max(0, len(plan.open_deferrals) - ROWS_MAX),
            "holidays": max(0, len(holidays) - ROWS_MAX),
        },
    }


def _freeze(freeze: Freeze, fleet: Fleet, dates: DateWords) -> ShownFreeze:
    customers = {customer.key: customer.name for customer in fleet.customers} if freeze.customers else {}
    names = [*(customers.get(key, key) for key in freeze.customers), *freeze.instances]
    listed = names[:NAMES_OF_CONFLICT]
    if len(names) > NAMES_OF_CONFLICT:
        listed.append(dates.words.count("more", len(names) - NAMES_OF_CONFLICT))
    return ShownFreeze(freeze=freeze, scope=", ".join(listed) or dates.words("scope_fleet"))


def _deferral(running: RunningDeferral, anchors: Collection[str], dates: DateWords) -> ShownDeferral:
    anchor = running.window.id if running.window and running.window.id in anchors else None
    return ShownDeferral(running=running, bar=deferral_bar(running, dates), anchor=anchor)


def _holidays(plan: Plan, dates: DateWords) -> list[ShownHoliday]:
    on_day: dict[date, list[str]] = {}
    for planned in plan.windows:
        on_day.setdefault(dates.local_date(planned.window.start), []).append(anchor_of(planned))
    named = _holidays_of(plan.contract, sorted(set(days_of(plan.span, dates))))
    return [ShownHoliday(day=day, name=name, windows=tuple(on_day.get(day, ()))) for day, name in named]


def _holidays_of(contract: Contract, days: Sequence[date]) -> list[tuple[date, str]]:
    found = ((day, contract.holidays.name(day)) for day in days)
    return [(day, name) for day, name in found if name]

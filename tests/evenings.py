"""Evenings on which work is done: a small fleet in a monthly window, for tests of gates and decisions."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import maintsched as ms
from maintsched.announcements import Announcement
from maintsched.facts import WindowKind
from maintsched.fleet import Language
from maintsched.gates import Decision, Register, decide, holds, standing_of
from maintsched.plan import settled_deferrals
from maintsched.runs import Gate, Hold, Pause, Run, RunItem, RunTerms, Standing
from maintsched.turns import Turns
from tests.worlds import BERLIN, contract, utc

WINDOW = "monthly/2026-12"
START = datetime(2026, 12, 1, 17, tzinfo=BERLIN)
END = START + timedelta(hours=4)
NOW = START + timedelta(minutes=30)
IN_TIME = START - timedelta(days=10)
OS = RunItem(component="linux", change_class=ms.ChangeClass.OS)


def instance(key: str, **changes) -> ms.Instance:
    """An instance; what stands before the dash is its customer."""
    return ms.Instance(key=key, **{"host": f"{key}.example", "environment": key.split("-")[1], **changes})


def fleet_of(instances: Iterable[ms.Instance]) -> ms.Fleet:
    owned: dict[str, list[ms.Instance]] = {}
    for each in instances:
        owned.setdefault(each.key.partition("-")[0], []).append(each)
    return ms.Fleet(
        customers=tuple(
            ms.Customer(key=key, name=key, language=Language.EN, package="premium", instances=tuple(mine))
            for key, mine in owned.items()
        )
    )


def run(key: str, **changes) -> Run:
    """A run that waits in the monthly window."""
    given = {
        "window": WINDOW,
        "customer": key.partition("-")[0],
        "host": f"{key}.example",
        "executor": "apt",
        "start": START,
        "end": END,
        "items": (OS,),
        "wave": 1,
    }
    return Run(instance=key, **{**given, **changes})


def kept(window_id: str = WINDOW, *, start: datetime = START, end: datetime = END, instances: Collection[str] = ()):
    """A window as the store has it."""
    kind, _, key = window_id.partition("/")
    window = ms.DeclaredWindow(
        key=key, kind=WindowKind(kind), start=start, end=end, reason="work", instances=tuple(instances)
    )
    return Announcement(window=window, entered_at=start - timedelta(days=20), by_rule=kind == "monthly")


@dataclass(frozen=True, kw_only=True)
class Evening:
    """Everything that a decision asks for."""

    instances: tuple[ms.Instance, ...]
    runs: tuple[Run, ...]
    ended: tuple[Run, ...] = ()
    announcements: tuple[Announcement, ...] = (kept(),)
    told: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    facts: ms.Facts = field(default_factory=ms.Facts)
    pauses: tuple[Pause, ...] = ()
    terms: RunTerms = field(default_factory=RunTerms)
    contract: ms.Contract = field(default_factory=contract)
    approvals: Mapping[str, Collection[Gate]] = field(default_factory=dict)
    hooks: Mapping[str, str] = field(default_factory=dict)
    executors: Collection[str] = ("apt",)
    now: datetime = NOW

    def register(self) -> Register:
        fleet = fleet_of(self.instances)
        return Register(
            self.contract,
            fleet,
            self.facts,
            self.told,
            self.announcements,
            now=self.now,
            deferrals=settled_deferrals(self.contract, fleet, self.facts),
            pauses=self.pauses,
        )

    def turns(self) -> Turns:
        return Turns(self.terms, self.runs, self.ended, now=self.now)

    def standing(self, number: int = 0) -> Standing:
        """How one of the runs stands."""
        register, one = self.register(), self.runs[number]
        return standing_of(
            one,
            register,
            self.turns(),
            confirmed=register.confirmed(one),
            known_executors=self.executors,
            approved=self.approvals.get(one.key, ()),
            hook=self.hooks.get(one.key, ""),
        )

    def holds(self, number: int = 0) -> tuple[Hold, ...]:
        """The closed gates of one of the runs."""
        return holds(self.contract, self.terms, self.standing(number), now=self.now)

    def gates(self, number: int = 0) -> list[Gate]:
        return [hold.gate for hold in self.holds(number)]

    def hold(self, number: int = 0) -> Hold:
        """The only closed gate of one of the runs."""
        (found,) = self.holds(number)
        return found

    def decide(self) -> Decision:
        register = self.register()
        return decide(
            self.contract,
            self.terms,
            self.runs,
            register,
            now=self.now,
            approvals=self.approvals,
            known_executors=self.executors,
            ended=self.ended,
            confirmed=register.confirmed,
            hooks=self.hooks,
        )

    def but(self, **changes) -> "Evening":
        return replace(self, **changes)


def evening(*keys: str, **changes) -> Evening:
    """An evening on which every instance has a run of its own, and everybody was told in time."""
    named = keys or ("acme-prod",)
    given = {
        "instances": tuple(instance(key) for key in named),
        "runs": tuple(run(key) for key in named),
        "told": {(WINDOW, key): IN_TIME for key in named},
    }
    return Evening(**{**given, **changes})


def hours_before_start(hours: float) -> datetime:
    return utc(START) - timedelta(hours=hours)

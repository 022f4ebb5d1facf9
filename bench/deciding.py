"""Deciding what may start now, for a whole fleet in one window: `decide` with its register, from facts in memory.

`python -m bench.deciding INSTANCES TURNS` prints the figures as JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import maintsched as ms
from bench.big_plan import facts_of, fleet_of
from bench.side_by_side import Line
from maintsched.announcements import Announcement
from maintsched.facts import WindowKind
from maintsched.gates import Decision, Register, decide
from maintsched.releases import RunningDeferral, wave_of
from maintsched.runs import Pause, Run, RunItem, RunState, RunTerms

START = datetime(2026, 3, 3, 16, tzinfo=UTC)
"""17:00 in Berlin. All instants are in UTC, as a database gives them."""
NOW = START + timedelta(minutes=10)
SIZES = (1_000, 100_000)
SECONDS_MAX = 2.0
TERMS = RunTerms()


@dataclass(frozen=True, kw_only=True)
class Evening:
    """Everything that is known on the evening of a monthly window."""

    contract: ms.Contract
    fleet: ms.Fleet
    facts: ms.Facts
    told: dict[tuple[str, str], datetime]
    announcements: tuple[Announcement, ...]
    deferrals: tuple[RunningDeferral, ...]
    pauses: tuple[Pause, ...]
    runs: tuple[Run, ...]

    def register(self) -> Register:
        """Return how the fleet stands."""
        return Register(
            self.contract,
            self.fleet,
            self.facts,
            self.told,
            self.announcements,
            now=NOW,
            deferrals=self.deferrals,
            pauses=self.pauses,
        )

    def decide(self) -> Decision:
        """Return what may start: the register is made anew, as each pass makes it."""
        register = self.register()
        return decide(
            self.contract,
            TERMS,
            self.runs,
            register,
            now=NOW,
            approvals={},
            known_executors=("apt",),
            ended=(),
            confirmed=register.confirmed,
        )


def evening_of(count: int, *, told: bool = True) -> Evening:
    """Return an evening on which every instance has a run; one in 50 was not told, ten runs are under way.

    Without `told` nobody was: each run is held, and says so.
    """
    contract, fleet, facts = ms.load_contract(), fleet_of(count), facts_of(count)
    plan = ms.make_plan(contract, fleet, facts, ms.Span(start=START, end=START + timedelta(hours=1)))
    (planned,) = plan.windows
    window = ms.DeclaredWindow(
        key="2026-03",
        kind=WindowKind.MONTHLY,
        start=START,
        end=planned.window.end.astimezone(UTC),
        reason="as announced",
    )
    said = START - timedelta(days=8)
    keys = [each.key for each in fleet.instances()]
    return Evening(
        contract=contract,
        fleet=fleet,
        facts=facts,
        told={(window.id, key): said for number, key in enumerate(keys) if told and number % 50},
        announcements=(Announcement(window=window, entered_at=said, by_rule=True),),
        deferrals=plan.deferrals,
        pauses=(Pause(key="p", since=said, reason="a new portal", customers=("c7",)),),
        runs=tuple(_runs(contract, fleet, planned)),
    )


def _runs(contract: ms.Contract, fleet: ms.Fleet, planned: ms.PlanWindow) -> Iterator[Run]:
    work = {key: assignment.work for assignment in planned.assignments for key in assignment.instances}
    for number, (customer, instance) in enumerate((c, i) for c in fleet.customers for i in c.instances):
        yield Run(
            window=planned.window.id,
            instance=instance.key,
            customer=customer.key,
            host=instance.host,
            executor=instance.executor,
            start=START,
            end=planned.window.end.astimezone(UTC),
            items=tuple(
                RunItem(component=item.component, change_class=item.change_class, release=item.release)
                for item in work[instance.key]
            ),
            wave=1 if number % 5 else wave_of(contract, instance),
            state=RunState.RUNNING if number < 5 else RunState.PLANNED,
        )


def lines(*, quick: bool) -> list[Line]:
    """Measure in a process of its own: what came before leaves its objects to the collector."""
    count, turns = (SIZES[0], 1) if quick else (SIZES[1], 5)
    command = [sys.executable, "-m", "bench.deciding", str(count), str(turns)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    found = json.loads(done.stdout)
    return [
        Line(
            work=f"deciding what may start now for {count:,} instances, {what}",
            reference="–",
            goal=f"less than {SECONDS_MAX:g} s",
            reached=f"{found[name]:.2f} s",
            met=found[name] < SECONDS_MAX,
            how="CPU time from facts in memory to the decision, with the register of all hosts; median of the turns",
        )
        for name, what in (("told", "most of them told"), ("untold", "nobody told"))
    ]


def measure(count: int, turns: int) -> dict[str, float]:
    """Return the seconds of CPU that a decision takes, by the evening."""
    found = {}
    for name, told in (("told", True), ("untold", False)):
        evening, spent = evening_of(count, told=told), []
        for _ in range(turns):
            began = time.process_time()
            evening.decide()
            spent.append(time.process_time() - began)
        found[name] = median(spent)
    return found


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))

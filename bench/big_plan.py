"""A plan of a large fleet beside `json.dumps` of its rows, in a process of its own so that its memory can be told.

`python -m bench.big_plan INSTANCES TURNS` prints the figures as JSON.
"""

import json
import resource
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import maintsched as ms
from bench.side_by_side import Line
from maintsched.fleet import Language
from maintsched.plan import WorkRow

BERLIN = ZoneInfo("Europe/Berlin")
SPAN = ms.Span(start=datetime(2026, 1, 1, tzinfo=BERLIN), end=datetime(2027, 1, 1, tzinfo=BERLIN))
CHUNK = 10_000
SIZES = (1_000, 100_000)
MEMORY_MAX = 2**30
T = TypeVar("T")


def fleet_of(count: int) -> ms.Fleet:
    """Return a fleet of `count` instances, five a customer: mixed environments, tracks, waves, packages, versions."""
    return ms.Fleet(customers=tuple(_customer(number) for number in range(count // 5)))


def _customer(number: int) -> ms.Customer:
    contact = ms.Contact(key="ops", name="Ops", email=f"ops@c{number}.example", roles=("system_responsible",))
    return ms.Customer(
        key=f"c{number}",
        name=f"Customer {number}",
        language=Language.DE,
        package=("starter", "advanced", "professional", "premium")[number % 4],
        contacts=(contact,),
        instances=tuple(_instance(number, place) for place in range(5)),
    )


def _instance(number: int, place: int) -> ms.Instance:
    return ms.Instance(
        key=f"c{number}-i{place}",
        host=f"h{number}-{place}.example",
        environment=("prod", "prod", "prod", "test", "dev")[place],
        track="steady" if number % 3 == 0 else None,
        wave=1 + number % 4 if number % 7 == 0 else None,
        versions={"intrexx": ms.Version.parse(f"12.{number % 3}.0")},
    )


def facts_of(count: int) -> ms.Facts:
    """Return releases, a few freezes and, for one instance in 300, a deferral."""
    february = datetime(2026, 2, 1, tzinfo=UTC)
    deferrals = tuple(
        ms.Deferral(
            instance=f"c{number}-i0",
            release=ms.Version.parse("13.0.0"),
            until=february + timedelta(days=100 + number % 60),
        )
        for number in range(0, count // 5, 60)
    )
    freezes = tuple(
        ms.Freeze(
            key=f"f{number}", start=at, end=at + timedelta(days=20), reason="Quarter end", customers=(f"c{number}",)
        )
        for number, at in enumerate(february + timedelta(days=30 * month) for month in range(5))
    )
    return ms.Facts(releases=_releases(), deferrals=deferrals, freezes=freezes)


def _releases() -> tuple[ms.Release, ...]:
    classes = {
        "12.3.0": ms.ChangeClass.MINOR,
        "12.3.1": ms.ChangeClass.SECURITY,
        "13.0.0": ms.ChangeClass.MAJOR,
        "13.0.1": ms.ChangeClass.SECURITY,
        "13.1.0": ms.ChangeClass.MINOR,
        "13.1.1": ms.ChangeClass.SECURITY,
    }
    return tuple(
        ms.Release(
            version=ms.Version.parse(version),
            change_class=change_class,
            available_at=datetime(2026, 1 + month, 20, tzinfo=UTC),
            tracks=("silent",) if version == "12.3.0" else (),
        )
        for month, (version, change_class) in enumerate(classes.items())
    )


def lines(*, quick: bool) -> list[Line]:
    """Measure in a process of its own."""
    count, turns = (SIZES[0], 1) if quick else (SIZES[1], 3)
    command = [sys.executable, "-m", "bench.big_plan", str(count), str(turns)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    found = json.loads(done.stdout)
    return _lines(count, found)


def _lines(count: int, found: dict[str, float]) -> list[Line]:
    whole = found["plan_seconds"] + found["rows_seconds"]
    work = f"a plan of 12 months for {count:,} instances, {found['rows']:,.0f} rows"
    parts = (
        f"plan {found['plan_seconds']:.2f} s, its rows one by one {found['rows_seconds']:.2f} s, "
        f"`json.dumps` {found['dumps_seconds']:.2f} s"
    )
    return [
        Line(
            work=work,
            reference="`json.dumps` of its rows as dicts, 10,000 at a time",
            goal="at most 1.00 of its time",
            reached=f"{whole / found['dumps_seconds']:.2f} of its time ({parts})",
            met=whole <= found["dumps_seconds"],
            how="computing the plan and going through all its rows; making the dicts counts on neither side",
        ),
        Line(
            work=f"{work}: memory",
            reference="–",
            goal="less than 1 GiB",
            reached=f"{found['peak_bytes'] / 2**20:.0f} MiB",
            met=found["peak_bytes"] < MEMORY_MAX,
            how="peak resident memory of a process with the fleet in it, rows written as they come",
        ),
        Line(
            work="memory of one `Instance`",
            reference="–",
            goal="none",
            reached=f"{found['instance_bytes']:.0f} bytes",
            met=None,
            how="what the allocator gave for 10,000 instances, their keys, hosts and versions included",
        ),
    ]


def measure(count: int, turns: int) -> dict[str, float]:
    """Return the fastest time of each part, how many rows there are, and the peak memory in bytes."""
    instance_bytes = _instance_bytes()
    contract, fleet, facts = ms.load_contract(), fleet_of(count), facts_of(count)
    found: dict[str, list[float]] = {"plan_seconds": [], "rows_seconds": [], "dumps_seconds": []}
    plan = ms.make_plan(contract, fleet, facts, SPAN)
    for _ in range(turns):
        plan, seconds = _timed(lambda: ms.make_plan(contract, fleet, facts, SPAN))
        found["plan_seconds"].append(seconds)
        _, seconds = _timed(lambda: deque(all_rows(plan), maxlen=0))  # noqa: B023  # called at once
        found["rows_seconds"].append(seconds)
        found["dumps_seconds"].append(_dumps_seconds(plan))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    fastest = {name: min(seconds) for name, seconds in found.items()}
    return {**fastest, "rows": sum(1 for _ in all_rows(plan)), "peak_bytes": peak, "instance_bytes": instance_bytes}


def all_rows(plan: ms.Plan) -> Iterator[WorkRow]:
    """Return every row of a plan, as its windows give them."""
    return (row for window in plan.windows for row in window.work)


def dumped_rows(plan: ms.Plan) -> Iterator[tuple[str, float]]:
    """Return the rows as JSON, a chunk at a time, and how long `json.dumps` took for each."""
    rows = all_rows(plan)
    while chunk := [row._asdict() for row in islice(rows, CHUNK)]:
        yield _timed(lambda: json.dumps(chunk))


def _dumps_seconds(plan: ms.Plan) -> float:
    return sum(seconds for _, seconds in dumped_rows(plan))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def _instance_bytes(count: int = 10_000) -> float:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = [_instance(number, number % 5) for number in range(count)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(kept)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))

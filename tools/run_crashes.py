"""`make crash`: every point many times, random kills, and crowds; prints a table and what was broken.

    python -m tools.run_crashes [--times 20] [--kills 2000] [--actions 2000] [--crowd-kills 10] [--seed N]
                                [--workers 2] [--database sqlite|postgresql]

The same seed makes the same choices. What the system does meanwhile, such as the order of mails on several connections,
is its own.
"""

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from tests.crash_crowds import Crowd, crowd
from tests.crash_runs import Stage, Tale
from tests.crashes import Kill, points, random_kills
from tests.databases import missing, room, server, sqlite_store

SHOWN = 20
_STAGE: list[Stage] = []
_OPEN = ExitStack()


def set_up(database: str, folder: Path) -> None:
    """Open a stage in this process, in a folder of its own, and have it closed when the process ends."""
    mine = folder / str(os.getpid())
    mine.mkdir()
    _STAGE.append(Stage(mine, _OPEN.enter_context(server()) if database == "postgresql" else None))
    Finalize(None, _OPEN.close, exitpriority=10)


def tried(kill: Kill) -> Tale:
    """Try one kill; what fails in an unexpected way is broken as well."""
    try:
        return _STAGE[0].run(kill)
    except Exception as error:  # noqa: BLE001 - one try that fails must not end the others; it is shown at the end
        return Tale(kill=kill, killed=False, broken=(f"{type(error).__name__}: {error}",))


def all_kills(times: int, kills: int, seed: int) -> Iterator[Kill]:
    """Return every point so many times, with other batches and connections each time, and then random ones."""
    choice = random.Random(seed)
    for number in range(times):
        for point in points():
            batch, connections = (100, 4) if number == 0 else (choice.choice((1, 5, 20, 100)), choice.choice((1, 2, 4)))
            yield Kill(point=point, batch=batch, connections=connections, number=number)
    yield from random_kills(seed, kills)


def played(kills: list[Kill], workers: int, database: str) -> Iterator[Tale]:
    """Try all, in some processes at once."""
    context = multiprocessing.get_context("spawn")
    with (
        folder_of_a_run() as folder,
        ProcessPoolExecutor(workers, context, initializer=set_up, initargs=(database, folder)) as pool,
    ):
        for count, tale in enumerate(pool.map(tried, kills, chunksize=4), start=1):
            if count % 100 == 0:
                print(f"  {count} of {len(kills)}", file=sys.stderr)
            yield tale


@contextmanager
def folder_of_a_run() -> Iterator[Path]:
    """Give a folder, in memory where there is some: what is tried here are processes that die, not disks."""
    with tempfile.TemporaryDirectory(prefix="maintsched-crash-") as name, room(Path(name)) as folder:
        yield folder


def table(tales: Iterable[Tale]) -> Iterator[str]:
    """Return the table: by point how often it was tried and killed, and what went out once more."""
    rows: dict[str, list[Tale]] = defaultdict(list)
    for tale in tales:
        rows[tale.kill.point.name.removeprefix("maintsched.")].append(tale)
    yield f"{'point':58} {'tried':>6} {'killed':>6} {'in flight':>9} {'copies':>6} {'broken':>6}"
    rows["~ all"] = [tale for each in rows.values() for tale in each]
    for name, some in sorted(rows.items()):
        killed, broken = sum(tale.killed for tale in some), sum(bool(tale.broken) for tale in some)
        flight, extra = sum(tale.unmarked for tale in some), sum(tale.extra for tale in some)
        yield f"{name:58} {len(some):6} {killed:6} {flight:9} {extra:6} {broken:6}"


def crowds(database: str, actions: int, kills: int, seed: int) -> Crowd:
    """Let three passes at once do everything on one kind of database."""
    with ExitStack() as stack:
        folder = stack.enter_context(folder_of_a_run())
        if database == "sqlite":
            store = stack.enter_context(sqlite_store(folder))
        else:
            from maintsched.store import open_store

            store = stack.enter_context(open_store(stack.enter_context(server()).fresh()))
        return crowd(store, folder, actions=actions, kills=kills, seed=seed)


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("times", 20), ("kills", 2000), ("actions", 2000), ("crowd-kills", 10), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    return parser.parse_args()


def main() -> int:
    given, began = arguments(), time.monotonic()
    print(f"seed {given.seed} (the same choices again: --seed {given.seed})")
    kills = list(all_kills(given.times, given.kills, given.seed))
    tales = list(played(kills, given.workers, given.database))
    print("\n".join(table(tales)))
    broken = [f"{tale.kill}: {line}" for tale in tales for line in tale.broken]
    for database in ("sqlite", "postgresql") if given.actions else ():
        if database == "postgresql" and missing():
            print(missing())
            continue
        found = crowds(database, given.actions, given.crowd_kills, given.seed)
        print(
            f"three passes at once on {database}: {found.actions} actions, {found.kills} kills, "
            f"{found.unmarked} in flight, {found.extra} copies, {len(found.broken)} broken"
        )
        broken += [f"{database}: {line}" for line in found.broken]
    print("\n".join(broken[:SHOWN] + ([f"… and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else [])))
    print(f"{len(tales)} tries, {len(broken)} broken, {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

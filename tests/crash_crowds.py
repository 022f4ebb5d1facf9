"""Several passes at once on one database, some of which are killed while they send; others carry on.

All of them have the same instant, so that no claim runs out while its owner may live. When all have ended, the clock
moves past the leases, and the next ones take up what the dead have left.
"""

import random
import threading
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from maintsched.fleet import Customer, Fleet, Language
from maintsched.intake.config import FileName
from maintsched.store import Store, open_store
from maintsched.store.ledger import ActionState
from maintsched.store.outbox import read_notices
from maintsched.testing import FrozenClock
from maintsched.worker.heads import heads_path
from tests.crash_children import config_of, house_of, run_pass
from tests.crash_laws import (
    copies_of,
    evidence_broken,
    in_flight,
    ledger_broken,
    sent_twice,
    state_of,
    unfinished,
    unproved,
)
from tests.crash_runs import ended, stem
from tests.crash_scenes import SCENES, contract
from tests.databases import address
from tests.houses import REMINDED, contact, instance, world
from tests.smtp_servers import SmtpServer, smtp_server

AT_ONCE = 3
CONNECTIONS = 4
BATCH = 25
ROUNDS_MAX = 12


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """What became of a crowd."""

    actions: int
    kills: int
    extra: int
    """Copies that went out once more."""
    unmarked: int
    """Mails that were sent and not marked when a process was killed."""
    broken: tuple[str, ...]


@lru_cache
def fleet(actions: int) -> Fleet:
    """Return a fleet with so many people, each of whom is reminded once."""
    return Fleet(
        customers=tuple(
            Customer(
                key=f"c{number}",
                name=f"Customer {number}",
                language=Language.EN,
                package="starter",
                contacts=(contact(f"p{number}", email=f"p{number}@c{number % 50}.example"),),
                instances=(instance(f"i{number}"),),
            )
            for number in range(actions)
        )
    )


def one_pass(url: str, folder: Path, port: int, now: datetime) -> None:
    """Make a pass: what each of the processes does."""
    config = config_of(SCENES["reminders"], url, folder, port=port, batch=BATCH, connections=CONNECTIONS)
    config = replace(config, worker=replace(config.worker, heartbeat_file=FileName(folder / "heartbeat.json")))
    with open_store(url) as store:
        run_pass(house_of(config, store, FrozenClock(now)), now)


class Killer:
    """Kills one of the processes that live whenever the server has taken a certain number of mails."""

    def __init__(self, seed: int, actions: int, kills: int) -> None:
        self.choice = random.Random(seed)
        self.moments = set(self.choice.sample(range(5, actions - 5), kills))
        self.living: list[Any] = []
        self.taken = self.kills = 0
        self.lock = threading.Lock()

    def __call__(self, recipient: str) -> None:
        """Count a mail; it is the moment just before the server says that it took it."""
        with self.lock:
            self.taken += 1
            due = {moment for moment in self.moments if moment <= self.taken}
            victims = [each for each in self.living if each.is_alive()]
            if due and victims:
                self.moments -= due
                self.choice.choice(victims).kill()
                self.kills += 1

    def replaced(self, start: Any) -> list[int]:
        """Start a process in the place of each that was killed; return what can be waited for of those that live.

        An exit code can be read once from the process that forks, so that two threads must not ask for it at a time.
        """
        with self.lock:
            for place, process in enumerate(self.living):
                if process.exitcode == -9:
                    self.living[place] = start()
            return [each.sentinel for each in self.living if each.exitcode is None]


def crowd(store: Store, folder: Path, *, actions: int, kills: int, seed: int) -> Crowd:
    """Let three passes at once do `actions` and kill one of them `kills` times; look at the laws."""
    world(store, folder, now=REMINDED, fleet=fleet(actions), contract=contract())
    killer, now = Killer(seed, actions, kills), REMINDED
    unmarked: Counter[str] = Counter()
    with smtp_server({"dot": killer}) as server:
        copies = copies_of(store, server.mails)
        for _ in range(ROUNDS_MAX):
            _all_at_once(killer, store, folder, server, now)
            before, copies, left = copies, copies_of(store, server.mails), state_of(store)
            again = (key for key, mails in copies.items() if len(mails) > len(before.get(key, ())))
            unmarked.update(key for key in again if key not in left.done)
            now += timedelta(hours=1)
            if not _waiting(store):
                break
        broken = [
            *sent_twice(copies, unmarked, kills * in_flight(CONNECTIONS)),
            *evidence_broken(store, heads_path(config_of(SCENES["reminders"], address(store), folder))),
            *ledger_broken(store, now),
            *unfinished(store, now),
            *unproved(store, copies),
            *([] if len(copies) == actions else [f"{actions - len(copies)} were lost"]),
            *([] if killer.kills == kills else [f"{killer.kills} were killed instead of {kills}"]),
        ]
    extra = sum(len(mails) - 1 for mails in copies.values())
    return Crowd(actions=actions, kills=kills, extra=extra, unmarked=unmarked.total(), broken=tuple(broken))


def _all_at_once(killer: Killer, store: Store, folder: Path, server: SmtpServer, now: datetime) -> None:
    def start() -> Any:
        process = stem().Process(target=one_pass, args=(address(store), folder, server.port, now))
        process.start()
        return process

    with killer.lock:
        killer.living = [start() for _ in range(AT_ONCE)]
    while living := killer.replaced(start):
        wait(living, 0.05)
    for process in killer.living:
        ended(process)
    server.wait_closed()


def _waiting(store: Store) -> bool:
    with store.reading() as connection:
        return any(each.state in (ActionState.READY, ActionState.RUNNING) for each in read_notices(connection))

"""Plays a scene, kills it at a point, lets passes carry on, and looks at the laws. On SQLite, or on PostgreSQL."""

import multiprocessing
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from maintsched.store import Store, open_store
from maintsched.testing import FrozenClock
from maintsched.worker.heads import heads_path
from maintsched.worker.restore import hold_of
from tests.crash_children import Job, MovingClock, config_of, house_of, play, run_pass
from tests.crash_laws import (
    Copies,
    State,
    copies_of,
    evidence_broken,
    heads_left_behind,
    in_flight,
    ledger_broken,
    lost_or_more,
    sent_twice,
    state_of,
    told_otherwise,
    unfinished,
    unproved,
    without_epochs,
    worked_otherwise,
)
from tests.crash_scenes import FLEET, SCENES, Scene, contract
from tests.crash_work import log_of
from tests.crashes import BEFORE, COMMITS, Kill
from tests.databases import Server, address, sqlite_store
from tests.houses import world
from tests.smtp_servers import SmtpServer, Trouble, smtp_server

PASSES_MAX = 8
PATIENCE_SECONDS = 60


@cache
def stem() -> Any:
    """Return the context whose processes are forked from a warm one without threads.

    What is covered in them is not measured: they are killed, and the warm one outlives the count.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash_stem"])
    measured = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_PROCESS")}
    forkserver.ensure_running()
    os.environ.update(measured)
    return context


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """How a scene ends when nobody is killed."""

    prepared: State
    acted: State
    """After the command, before the pass."""
    end: State
    copies: Copies
    done: Counter[str]
    """What was done on the hosts."""


@dataclass(frozen=True, kw_only=True)
class Tale:
    """What became of one try."""

    kill: Kill
    killed: bool
    extra: int = 0
    """Copies that went out once more."""
    unmarked: int = 0
    """Mails that the server had taken when the process was killed, and that were not marked."""
    passes: int = 0
    broken: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Place:
    """A database of a scene, its files, and what a run needs."""

    scene: Scene
    url: str
    folder: Path
    at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.scene.at

    @contextmanager
    def open(self) -> Iterator[Store]:
        with open_store(self.url) as store:
            yield store

    @property
    def heads(self) -> Path:
        return heads_path(config_of(self.scene, self.url, self.folder))


class Stage:
    """One kind of database, with scenes that are prepared once and copied for each try."""

    def __init__(self, folder: Path, postgresql: Server | None = None) -> None:
        self.folder = folder
        self.postgresql = postgresql
        self._numbers = count(1)
        self._prepared: dict[str, Place] = {}
        self._baselines: dict[str, Baseline] = {}

    def run(self, kill: Kill) -> Tale:
        """Play the scene of a point, kill it there, carry on, and look at everything."""
        if SCENES[kill.point.scene].file_only:
            return self._made(kill)
        baseline = self.baseline(kill.point.scene)
        with self._copy(kill.point.scene) as place, smtp_server() as server:
            killed = played(place, kill, server)
            with place.open() as store:
                broken = [*ledger_broken(store, place.at)]
                broken += [] if place.scene.held else evidence_broken(store, place.heads)
                left, taken = state_of(store), copies_of(store, server.mails)
                unmarked = Counter({key: 1 for key in taken if key not in left.done})
                broken += _half_done(kill, left, baseline) if killed else []
                passes = carry_on(place, store, server, repeat=left.dump == baseline.prepared.dump)
                copies = copies_of(store, server.mails)
                broken += [
                    *self._end_broken(place, store, copies, baseline),
                    *sent_twice(copies, unmarked, in_flight(kill.connections)),
                ]
        extra = sum(len(mails) - 1 for mails in copies.values())
        return Tale(
            kill=kill,
            killed=killed,
            extra=extra,
            unmarked=unmarked.total(),
            passes=passes,
            broken=tuple(broken),
        )

    def _end_broken(self, place: Place, store: Store, copies: Copies, baseline: Baseline | None) -> Iterator[str]:
        yield from evidence_broken(store, place.heads)
        yield from heads_left_behind(store, place.heads)
        yield from ledger_broken(store, place.at)
        yield from unfinished(store, place.at)
        yield from unproved(store, copies)
        if baseline is None:
            return
        yield from lost_or_more(copies, baseline.copies)
        yield from worked_otherwise(log_of(place.folder), baseline.done)
        wanted, found = baseline.end.journal, state_of(store).journal
        if place.scene.held:  # an operator who sees it still held says it again
            wanted, found = without_epochs(wanted), without_epochs(found)
        yield from told_otherwise(found, wanted)

    def baseline(self, name: str) -> Baseline:
        """Return how a scene ends that nobody disturbs; played once."""
        if name not in self._baselines:
            with self._copy(name) as place, smtp_server() as server, place.open() as store:
                prepared = acted = state_of(store)
                if place.scene.act:
                    place.scene.act(_house(place, store, server), place.at)
                    acted = state_of(store)
                end, copies = self._undisturbed(place, store, server)
                done = log_of(place.folder)
            self._baselines[name] = Baseline(prepared=prepared, acted=acted, end=end, copies=copies, done=done)
        return self._baselines[name]

    def _undisturbed(self, place: Place, store: Store, server: SmtpServer) -> tuple[State, Copies]:
        scene = place.scene
        server.script = {**scene.script, **scene.trouble}
        house = _house(place, store, server)
        house.clock = MovingClock(scene.at, scene.step)
        run_pass(house, scene.at)
        server.script = scene.script
        carry_on(place, store, server)
        end, copies = state_of(store), copies_of(store, server.mails)
        broken = list(self._end_broken(place, store, copies, None))
        broken += [f"{key} went out {len(mails)} times" for key, mails in copies.items() if len(mails) > 1]
        assert not broken, broken
        return end, copies

    # --- databases to play on ---

    @contextmanager
    def _copy(self, name: str) -> Iterator[Place]:
        """Give a scene's database and files, to be spoilt."""
        scene, folder = SCENES[name], self.folder / f"run-{next(self._numbers)}"
        if name not in self._prepared:
            self._prepared[name] = self._prepare(name)
        source = self._prepared[name]
        shutil.copytree(source.folder, folder, symlinks=True)
        if self.postgresql is None or scene.file_only:
            yield Place(scene=scene, url=f"sqlite:///{folder}/maintsched.db", folder=folder)
        else:
            url = self.postgresql.copy(source.url)
            yield Place(scene=scene, url=url, folder=folder)
            self.postgresql.drop(url)
        shutil.rmtree(folder)

    def _prepare(self, name: str) -> Place:
        scene, folder = SCENES[name], self.folder / name.replace(" ", "-")
        folder.mkdir(parents=True)
        if scene.file_only:
            return Place(scene=scene, url="", folder=folder)
        store = sqlite_store(folder) if self.postgresql is None else open_store(self.postgresql.fresh())
        with store:
            made = world(store, folder, fleet=FLEET, contract=contract(), **scene.worker)
            scene.before(made)
            return Place(scene=scene, url=address(store), folder=folder)

    def _made(self, kill: Kill) -> Tale:
        """Play a scene that makes a database, kill it there, and give the command again."""
        with self._copy(kill.point.scene) as place:
            killed = ended(start(place, kill, 25)) != 0
            house = house_of(config_of(place.scene, place.url, place.folder), None, FrozenClock(place.at))  # type: ignore[arg-type]
            assert place.scene.act
            place.scene.act(house, place.at)
            with place.open() as store:
                begun = [each for each in state_of(store).journal.elements() if each[1] == "epoch_begun"]
                broken = [*evidence_broken(store, place.heads), *([] if len(begun) == 1 else [f"epochs: {begun}"])]
        return Tale(kill=kill, killed=killed, broken=tuple(broken))


def _half_done(kill: Kill, left: State, baseline: Baseline) -> list[str]:
    """A command that was killed before its commit left nothing; after it, everything."""
    name = kill.point.scene
    if SCENES[name].act is None or kill.point.everywhere or COMMITS.get(kill.point.function) != name:
        return []
    wanted = baseline.prepared if kill.point.side == BEFORE else baseline.acted
    return [] if left.dump == wanted.dump else [f"{kill.point.name} left half of it"]


def _house(place: Place, store: Store, server: SmtpServer) -> Any:
    return house_of(config_of(place.scene, place.url, place.folder, port=server.port), store, FrozenClock(place.at))


def carry_on(place: Place, store: Store, server: SmtpServer, *, repeat: bool = False) -> int:
    """Make passes, an hour apart, until nothing is left to do; return how many it took.

    `repeat`: the command left nothing, so it is given once more, as its operator would.
    """
    house = _house(place, store, server)
    held = place.scene.held and hold_of(house, now=place.at) is not None
    if place.scene.act and (repeat or held):
        place.scene.act(house, place.at)
    for number in range(1, PASSES_MAX + 1):
        place.at = house.clock.forward(timedelta(hours=1))
        report = run_pass(house, place.at)
        if not (report.results.total() or report.waiting or report.maintained.waiting - report.maintained.parked):
            return number
    return PASSES_MAX


# --- the process that is killed --------------------------------------------------------------------------------------


def start(place: Place, kill: Kill, port: int) -> Any:
    """Start the process."""
    name = next(name for name, scene in SCENES.items() if scene is place.scene)
    job = Job(scene=name, url=place.url, folder=place.folder, port=port, kill=kill)
    process = stem().Process(target=play, args=(job,))
    process.start()
    return process


def ended(process: Any) -> int:
    """Wait for the end of a process and return its exit code: 0, or -9 for one that was killed."""
    process.join(PATIENCE_SECONDS)
    if process.exitcode is None:
        process.kill()
        raise AssertionError("the process hangs")
    assert process.exitcode in (0, -9), f"the process failed ({process.exitcode}); its traceback is on stderr"
    return int(process.exitcode)


def played(place: Place, kill: Kill, server: SmtpServer) -> bool:
    """Play a scene in a process of its own, and say whether it was killed."""
    ready = threading.Event()
    victim: list[Any] = []

    def shoot() -> None:
        ready.wait(PATIENCE_SECONDS)
        victim[0].kill()

    server.script = script_of(place.scene, kill, shoot)
    process = start(place, kill, server.port)
    victim.append(process)
    ready.set()
    code = ended(process)
    server.wait_closed()
    server.script = place.scene.script
    return code != 0


def script_of(scene: Scene, kill: Kill, shoot: Callable[[], None]) -> Mapping[str, Any]:
    """Return what the server answers, and at which state of the hand-over it shoots."""
    script = {**scene.script, **scene.trouble}
    state = kill.point.smtp
    if state is None:
        return script
    usual, lock, times = script.get(state), threading.Lock(), count(1)

    def answer(line: str) -> Any:
        with lock:
            hit = next(times) == kill.hit
        if hit:
            shoot()
            return Trouble.LOST if state == "dot" else Trouble.DROP
        return usual(line) if callable(usual) else usual

    return {**script, state: answer}

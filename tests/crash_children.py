"""What runs in a process that is killed: a scene, with a trigger at one commit.

Processes are forked from a warmed one without threads (`forkserver`), which has imported this module. The trigger sits
in the driver's COMMIT, in this process alone: the product has no hooks.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from maintsched.intake.config import Config, FileName, MailConfig, ProviderConfig, Tls, WorkerConfig
from maintsched.mail.templates import Templates
from maintsched.store import Store, open_store
from maintsched.testing import FrozenClock
from maintsched.worker.house import House
from maintsched.worker.tick import TickReport, tick
from tests.crash_scenes import FLEET, SCENES, Scene, contract, maildir
from tests.crash_work import work_config
from tests.crashes import AFTER, BEFORE, COMMITS, Kill
from tests.databases import sqlite_store
from tests.houses import REMINDED, world

TEMPLATES = Templates(folder=None)
_QUIET = frozenset({"maintsched.store.engine.Store.reading", "maintsched.store.engine.Store.trying"})


@dataclass(frozen=True, kw_only=True)
class Job:
    """A scene to be played on a database, with a mail server, and where it ends."""

    scene: str
    url: str
    folder: Path
    port: int
    kill: Kill


def config_of(
    scene: Scene, url: str, folder: Path, *, port: int = 25, batch: int = 100, connections: int = 4
) -> Config:
    """Return the configuration of a scene."""
    config = Config(
        mail=MailConfig(
            host="127.0.0.1",
            port=port,
            sender="wartung@hosting.example",
            tls=Tls.NONE,
            bounce="bounces@hosting.example",
            connections=connections,
            timeout_seconds=20,
            local_hostname="client.example",
        ),
        provider=ProviderConfig(name="Example Hosting", domain="hosting.example", contact="support@hosting.example"),
        worker=WorkerConfig(batch=batch, **scene.worker),
        database=url,
        path=folder / "maintsched.toml",
    )
    if scene.work is not None:
        config = work_config(config, scene.work)
    if maildir(config).exists():
        return replace(config, worker=replace(config.worker, bounces=FileName(maildir(config))))
    return config


def house_of(config: Config, store: Store, clock: Any) -> House:
    """Return a house whose templates are read already."""
    house = House(contract=contract(), config=config, store=store, clock=clock)
    house.templates = TEMPLATES
    return house


class MovingClock(FrozenClock):
    """Moves on each time somebody looks at it."""

    def __init__(self, now: datetime, step: Any) -> None:
        super().__init__(now)
        self.step = step

    def __call__(self) -> datetime:
        return self.forward(self.step)


def play(job: Job) -> None:
    """Play a scene to its end, or to its kill."""
    scene = SCENES[job.scene]
    if job.kill.point.smtp is None:
        Trigger(job.kill).arm()
    config = config_of(
        scene, job.url, job.folder, port=job.port, batch=job.kill.batch, connections=job.kill.connections
    )
    clock = MovingClock(scene.at, scene.step)
    if scene.file_only:
        assert scene.act
        scene.act(house_of(config, None, clock), scene.at)  # type: ignore[arg-type]  # it makes its own
        return
    with open_store(job.url) as store:
        house = house_of(config, store, clock)
        if scene.act:
            scene.act(house, scene.at)
        run_pass(house, scene.at)


def run_pass(house: House, now: datetime) -> TickReport:
    """Make one pass."""
    return asyncio.run(tick(house, now=now))


class Trigger:
    """Kills this process at the n-th commit of a function, on one side of it."""

    def __init__(self, kill: Kill) -> None:
        self.kill = kill
        self.left = kill.hit

    def arm(self) -> None:
        """Look at every commit from now on."""
        commit, trigger = DefaultDialect.do_commit, self

        def do_commit(self: DefaultDialect, connection: Any) -> None:
            hit = committing(sys._getframe(1)) == trigger.kill.point.function and trigger.count()
            trigger.pull(BEFORE, hit)
            commit(self, connection)
            trigger.pull(AFTER, hit)

        DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]

    def count(self) -> bool:
        """Say whether this is the time."""
        self.left -= 1
        return self.left == 0

    def pull(self, side: str, hit: bool) -> None:
        """Die, if this is the side."""
        if hit and side == self.kill.point.side:
            os.kill(os.getpid(), signal.SIGKILL)


def committing(frame: FrameType | None) -> str | None:
    """Return the function whose transaction is committed here, or None where it only read."""
    for name in _names(frame):
        if name in _QUIET:
            return None
        if name in COMMITS:
            return name
    return None


def _names(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
        frame = frame.f_back


def warm() -> None:
    """Compose one mail, so that everything is imported and compiled before the first fork."""
    with tempfile.TemporaryDirectory(prefix="maintsched-warm-") as name, sqlite_store(Path(name)) as store:
        home = world(store, Path(name), now=REMINDED, fleet=FLEET)
        home.house.templates = TEMPLATES
        home.tick()
    import maintsched.mail.send  # noqa: F401 - the mailer that records has not asked for it

"""A house with many customers, whose reminders are due, and Postfix's sink that takes whatever is sent."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import maintsched as ms
from maintsched.fleet import Contact, Customer, Fleet, Instance, Language
from maintsched.intake.config import Config, FileName, MailConfig, NoticesConfig, ProviderConfig, Tls, WorkerConfig
from maintsched.mail.templates import builtin_folder
from maintsched.store import open_store
from maintsched.store.fleets import write_fleet
from maintsched.testing import FrozenClock
from maintsched.worker.heads import begin_epoch
from maintsched.worker.house import House
from maintsched.worker.tick import TickReport, tick

BEGIN = datetime(2026, 11, 4, 9, 0, tzinfo=UTC)
"""When the database was made."""
REMINDED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
"""When the reminders of monthly/2026-12 go out."""
HOST = "127.0.0.1"
CONNECTIONS = 10
ZONES = ("Europe/Berlin", "Europe/Vienna", "Europe/London")
TRIES, PAUSE_SECONDS = 500, 0.02


def fleet_of(count: int, *, instances: int = 1) -> Fleet:
    """Return customers with one contact each, in two languages and three zones."""
    return Fleet(customers=tuple(_customer(number, instances) for number in range(count)))


def _customer(number: int, instances: int) -> Customer:
    contact = Contact(
        key="ops",
        name=f"Eva Müller {number}",
        email=f"ops@c{number}.example",
        roles=("system_responsible",),
        zone=ZoneInfo(ZONES[number % 3]),
    )
    return Customer(
        key=f"c{number}",
        name=f"Kunde {number} GmbH & Co. KG",
        language=Language.DE if number % 2 else Language.EN,
        package="premium",
        contacts=(contact,),
        instances=tuple(_instance(number, place) for place in range(instances)),
    )


def _instance(number: int, place: int) -> Instance:
    return Instance(
        key=f"c{number}-i{place}",
        host=f"h{number}-{place}.host.example",
        url=f"https://c{number}-{place}.example",
        environment=("prod", "prod", "prod", "test", "dev")[place % 5],
        versions={"intrexx": ms.Version.parse("12.0.3")},
    )


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that goes with what is in it."""
    with tempfile.TemporaryDirectory(prefix="maintsched-bench-") as name:
        yield Path(name)


@contextmanager
def house_of(fleet: Fleet, port: int = 25, *, own_templates: bool = False) -> Iterator[House]:
    """Give a house with that fleet in a new database, for a mail server on this machine.

    `own_templates`: the operator has a folder of templates, which are copies of those that come along.
    """
    with folder() as place:
        url = f"sqlite:///{place / 'maintsched.db'}"
        if own_templates:
            shutil.copytree(builtin_folder(), place / "notices")
        config = Config(
            mail=MailConfig(
                host=HOST, port=port, tls=Tls.NONE, sender="wartung@hosting.example", connections=CONNECTIONS
            ),
            provider=ProviderConfig(
                name="Example Hosting", domain="hosting.example", contact="support@hosting.example"
            ),
            notices=NoticesConfig(folder=FileName(place / "notices") if own_templates else None),
            worker=WorkerConfig(),
            database=url,
            path=place / "maintsched.toml",
        )
        store = open_store(url, create=True)
        with House(contract=ms.load_contract(), config=config, store=store, clock=FrozenClock(REMINDED)) as house:
            with store.writing() as connection:
                begin_epoch(connection, BEGIN)
                write_fleet(connection, fleet)
            yield house


def one_pass(house: House, now: datetime = REMINDED) -> TickReport:
    """Make the worker's pass."""
    return asyncio.run(tick(house, now=now))


def missing(*programs: str) -> str | None:
    """Return why something of Postfix cannot be used here, or None."""
    absent = [name for name in programs if not program(name)]
    return f"{' and '.join(absent)} not found (Debian package postfix)" if absent else None


def program(name: str) -> str | None:
    """Return the path of a program of Postfix."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Sink:
    """Postfix's `smtp-sink` on a free port: it takes every mail and keeps none. `cost` counts when it has ended."""

    def __init__(self) -> None:
        with socket.create_server((HOST, 0)) as free:
            port: int = free.getsockname()[1]
        self.port = port
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        self._process = subprocess.Popen([str(program("smtp-sink")), *user, f"{HOST}:{self.port}", "1000"])
        self.cost = 0.0
        """Seconds of CPU, user and system."""

    def __enter__(self) -> "Sink":
        for _ in range(TRIES):
            try:
                socket.create_connection((HOST, self.port)).close()
            except ConnectionRefusedError:
                time.sleep(PAUSE_SECONDS)
            else:
                return self
        self.__exit__()
        raise TimeoutError("smtp-sink does not answer")

    def __exit__(self, *_given: object) -> None:
        self._process.terminate()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.cost = usage.ru_utime + usage.ru_stime

"""The house that the laws of work are tried on: its people, hosts and script, and the fuse that ends its passes."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from maintsched.errors import MaintschedError
from maintsched.executors.port import Command, Output
from maintsched.executors.transports.fake import FakeHost, Fault
from maintsched.executors.transports.fake import World as Hosts
from maintsched.facts import ChangeClass, Facts, WindowKind
from maintsched.fleet import Customer, Fleet, Instance
from maintsched.intake.config import ExecutorConfig
from maintsched.mail.outcomes import Outgoing, Result
from maintsched.plan import make_plan
from maintsched.runs import RunTerms
from maintsched.spans import Span
from maintsched.store import Store, open_store
from maintsched.store.fleets import read_fleet
from maintsched.version import Version
from maintsched.windows import Window
from maintsched.worker.house import read_scene
from maintsched.worker.sync import sync_fleet
from maintsched.worker.tick import tick
from tests.databases import sqlite_store
from tests.houses import REMINDED, contact, world
from tests.promise_watch import Watch
from tests.workshop import one_customer, portal

LAST = datetime(2027, 6, 1, tzinfo=UTC)
"""Later than that it does not get."""
HOSTS = ("shared.host.example", "test.host.example", "own.host.example", "cedar.host.example")


class Crash(BaseException):
    """The process is gone; nothing on the way takes it for an error."""


def customer(key: str, *homes: Instance) -> Customer:
    return replace(one_customer(*homes, key=key), contacts=(contact(f"{key}-eva"), contact(f"{key}-otto")))


def home(key: str, host: str, **more: Any) -> Instance:
    given = {"versions": {"intrexx": Version.parse("12.0.0")}, "components": ("linux", "intrexx"), **more}
    return portal(key, host=f"{host}.host.example", **given)


FLEET = Fleet(
    customers=(
        customer("acme", home("acme-prod", "shared"), home("acme-test", "test", environment="test")),
        customer("birch", home("birch-prod", "Shared")),
        customer("cedar", home("cedar-own", "own", managed=False), home("cedar-prod", "cedar")),
    )
)
KEYS = tuple(each.key for each in FLEET.instances())


@cache
def empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        sqlite_store(Path(folder)).close()
        return (Path(folder) / "maintsched.db").read_bytes()


def with_instance(fleet: Fleet, key: str, **changes: Any) -> Fleet:
    """Return a fleet with an instance that is another one."""

    def changed(each: Instance) -> Instance:
        return replace(each, **changes) if each.key == key else each

    return Fleet(customers=tuple(replace(one, instances=tuple(map(changed, one.instances))) for one in fleet.customers))


class Fuse:
    """Ends a pass at one of the places where it may be killed: around commits, calls to hosts, and mails."""

    def __init__(self) -> None:
        self.left: int | None = None
        """Places that are passed before; None: it does not burn."""
        self.softly = False
        """The process may still tidy up, as after SIGTERM."""
        self.dead = False

    def burn(self) -> None:
        if self.dead:
            raise Crash
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left, self.dead = None, not self.softly
                raise Crash


class MortalStore(Store):
    """A store whose user may die before and after each commit."""

    fuse: Fuse

    @contextmanager
    def writing(self) -> Iterator[Any]:
        self.fuse.burn()
        with super().writing() as connection:
            yield connection
            self.fuse.burn()
        self.fuse.burn()


@dataclass(kw_only=True)
class WatchedHost(FakeHost):
    """A host that shows what begins on it, whose programs change what is installed, and that may see its caller die."""

    house: "PromiseHouse"

    def outcome(self, command: Command) -> Output:
        return self.house.program(self, command)

    def fault(self, call: str) -> Fault | None:
        self.house.fuse.burn()
        return super().fault(call)

    def begin(self, job: str, command: Command) -> bool:
        if job not in self.jobs and job not in self.forbidden:
            self.house.watch.begins(self, job, self.house.now)
        begun = super().begin(job, command)
        self.house.fuse.burn()
        return begun


class PromiseHouse:
    """A house with three customers, five instances and four hosts, which begins in the November before."""

    def __init__(self, script: dict[str, Any], table: dict[str, Any], terms: dict[str, Any]) -> None:
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="promise-", dir=memory))
        path = self.folder / "maintsched.db"
        path.touch(mode=0o600)
        path.write_bytes(empty_database())
        self.fuse = Fuse()
        self.store = MortalStore(open_store(f"sqlite:///{path}").engine)
        self.store.fuse = self.fuse
        hosts = Hosts()
        for name in HOSTS:
            hosts.hosts[name] = hosts.hosts[name.capitalize()] = WatchedHost(name=name, house=self)
        runs = RunTerms(patience_seconds=0, **terms)
        made = world(self.store, self.folder, now=REMINDED, fleet=FLEET)
        given: dict[str, Any] = {"backup_age": ("/srv/backup-age",), **table}
        executor = ExecutorConfig(
            transport="fake",
            parts={"linux": "script", "intrexx": "script"},
            settings={"fake": {"world": hosts}, "script": script},
            **given,
        )
        made.house.config = replace(made.house.config, executor={"portal": executor}, runs=runs)
        made.mailer.answer = self.mail
        self.world, self.house, self.hosts, self.clock = made, made.house, hosts.hosts, made.clock
        self.watch = Watch(path, runs, starts_service="start" in script)
        self.numbers = count(1)
        self.interludes: list[Callable[[str], object]] = []
        """What happens while a host is busy, the last one first."""
        self.codes: dict[tuple[str, str], list[int]] = {}
        """How the next calls of a program end, by host and name."""
        self.fresh = set(KEYS)
        """Instances whose system has updates."""
        self.young = True
        """There is a backup."""
        self.installed = dict.fromkeys(KEYS, "12.0.0")
        self.answers: dict[str, Result] = {}
        """What the mail server says to an address, where it does not take the mail."""

    @property
    def now(self) -> datetime:
        return self.clock()

    def close(self) -> None:
        self.watch.file.close()
        self.store.close()
        shutil.rmtree(self.folder)

    def go(self, at: datetime) -> None:
        self.clock.set(min(at, LAST))

    def tick(self, *, places: int | None = None, softly: bool = False) -> None:
        """Make a pass; `places`: after so many of them its process is gone, `softly`: it may still tidy up."""
        self.fuse.left, self.fuse.softly, self.disturbed = places, softly, False
        try:
            asyncio.run(tick(self.house, now=self.now))
        except Crash:
            return
        finally:
            self.fuse.left, self.fuse.dead = None, False
        self.watch.passed(self.now)
        if not self.disturbed:
            self.watch.broken += self.lost_fixes()

    # --- what operators do --------------------------------------------------------------------------------------------

    def do(self, what: Callable[[], object]) -> None:
        """Do what an operator does; the product may refuse it."""
        with suppress(MaintschedError):
            what()

    def key(self, prefix: str) -> str:
        """Return a name that is new."""
        return f"{prefix}{next(self.numbers)}"

    def pick(self, table: str, number: int, **wanted: Any) -> dict[str, Any] | None:
        """Return one of the rows of a table."""
        found = self.watch.rows(table, **wanted)
        return found[number % len(found)] if found else None

    def sync(self, change: Callable[[Fleet], Fleet]) -> None:
        """Take another fleet over."""
        with self.store.reading() as connection:
            fleet = change(read_fleet(connection))
        self.do(lambda: sync_fleet(self.store, self.house.contract, fleet, Facts(), prune=True, now=self.now))

    # --- around it ----------------------------------------------------------------------------------------------------

    def mail(self, mail: Outgoing) -> Result:
        """What the mail server says."""
        self.fuse.burn()
        result = self.answers.get(mail.recipient, Result.ACCEPTED)
        if result is Result.ACCEPTED:
            self.watch.accepted.setdefault(mail.key, self.now)
        self.fuse.burn()
        return result

    def program(self, host: FakeHost, command: Command) -> Output:
        """What a command does on a host; something else may happen meanwhile."""
        if self.interludes:
            self.disturbed = True
            self.interludes.pop()(host.name)
        name = command.argv[0].removeprefix("/srv/")
        instance = command.environment.get("MAINTSCHED_INSTANCE", "")
        codes = self.codes.get((host.name, name))
        code, said = codes.pop(0) if codes else 0, ""
        if name == "backup-age":
            said = (self.now - timedelta(hours=3 if self.young else 48)).isoformat()
        elif name == "version":
            said = f"intrexx {self.installed[instance]}\n"
        elif name == "plan":
            said = self._planned(instance, command)
        elif name == "apply" and code in (0, 102):
            self.fresh.discard(instance)
            wanted = command.environment["MAINTSCHED_RELEASES"].split()
            self.installed[instance] = dict(each.split("=") for each in wanted).get("intrexx", self.installed[instance])
        elif name == "reboot" and code == 0:
            host.boots += 1
        return Output(exit_code=code, stdout=said)

    def _planned(self, instance: str, command: Command) -> str:
        found = "openssl 1 2\n" if instance in self.fresh else ""
        known = self.installed[instance]
        wanted = {each["release"] for each in json.loads(command.stdin)["orders"]} - {None, known}
        return found + "".join(f"intrexx {known} {each}\n" for each in wanted)

    # --- fixes --------------------------------------------------------------------------------------------------------

    def lost_fixes(self) -> Iterator[str]:
        """Security releases that are not there, are on no way into a window that is proved, and nobody was told of."""
        alerts = [str(each["facts"]["alert"]) for each in self.watch.rows("notice", kind="operator_alert")]
        with self.store.reading() as connection:
            scene = read_scene(connection, self.house.contract, self.now)
        span = Span(start=self.now, end=self.now + timedelta(days=100))
        plan = make_plan(self.house.contract, scene.fleet, scene.facts, span, now=self.now)
        ahead = [each for each in plan.windows if each.window.start >= self.now]
        for fix in scene.facts.releases:
            holding = [each.version for each in scene.facts.releases if each.holds(fix.version)]
            wanted = fix.change_class is ChangeClass.SECURITY and not fix.withdrawn and fix.available_at <= self.now
            for instance in self.watch.rows("instance") if wanted else ():
                key, version = instance["key"], Version.parse(instance["versions"]["intrexx"])
                if version >= fix.version or version in holding or not self.watch.runs(instance, self.now):
                    continue
                names = {str(each) for each in holding}
                takes = (
                    each for each in ahead if any(row.instance == key and row.release in names for row in each.work)
                )
                way = next(takes, None)
                known = any(key in each and str(fix.version) in each for each in alerts)
                if not known and (way is None or not self._can_be_proved(instance, way.window)):
                    planned = way.window.id if way else "no window"
                    yield f"{fix.id} is lost for {key} at {self.now:%Y-%m-%d %H:%M}, planned for {planned}"

    def _can_be_proved(self, instance: dict[str, Any], window: Window) -> bool:
        row = self.watch.row("window", id=window.id) or {"id": window.id, "origin": None, "mailed": True}
        told = self.watch.told(instance, row["origin"] or row["id"], window.start, window.end)
        emergency = window.kind is WindowKind.EMERGENCY
        if told is not None and (emergency or told <= window.start - timedelta(hours=72)):
            return True
        people = [each["roles"] for each in self.watch.rows("contact", customer=instance["customer"])]
        somebody = any("system_responsible" in roles for roles in people)
        in_time = emergency or self.now <= window.start - timedelta(hours=72)
        return bool(row["mailed"]) and somebody and in_time

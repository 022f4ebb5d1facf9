"""The promise, as laws: whatever happens to a house, its people, its mails and its hosts, and wherever a pass dies.

A machine of hypothesis does what operators, customers, mail servers, hosts and clocks do, in any order, between passes and
in the midst of them. `promise_watch` looks at each job at the instant it begins on a host, and at what passes leave.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.errors import MaintschedError
from maintsched.executors.port import Command, JobState, Output
from maintsched.executors.transports.fake import CALLS, FakeHost, Fault
from maintsched.executors.transports.fake import World as Hosts
from maintsched.facts import ChangeClass, Consent, Deferral, Facts, Freeze, Release, WindowKind
from maintsched.fleet import Contact, Customer, Fleet, Instance
from maintsched.intake.config import ExecutorConfig
from maintsched.mail.compose import envelope_id
from maintsched.mail.outcomes import Outgoing, Result
from maintsched.runs import Gate, Pause, RunTerms
from maintsched.spans import Span
from maintsched.store import Store, open_store
from maintsched.store.fleets import read_fleet
from maintsched.version import Version
from maintsched.worker import announce as windows
from maintsched.worker import deferrals
from maintsched.worker.bounces import take_report
from maintsched.worker.consents import add_consent, end_consent
from maintsched.worker.freezes import add_freeze, finish_freeze
from maintsched.worker.operating import StepFate, approve, retry
from maintsched.worker.pauses import begin_pause, resume_work
from maintsched.worker.releases import add_release, withdraw_release
from maintsched.worker.sync import sync_fleet
from maintsched.worker.tick import tick
from tests.databases import sqlite_store
from tests.houses import REMINDED, World, contact, critical, world
from tests.promise_watch import Watch
from tests.workshop import SCRIPT, one_customer, portal
from tests.crash_scenes import REPORT

MINUTE = timedelta(minutes=1)
LAST = datetime(2027, 3, 1, tzinfo=UTC)
MAJOR, FIX = Version.parse("13.0.0"), Version.parse("12.0.1")
KEYS = ("acme-prod", "acme-test", "birch-prod", "cedar-own", "cedar-prod")
HOSTS = ("shared.host.example", "test.host.example", "own.host.example", "cedar.host.example")
RELEASES = {"12.0.1": ChangeClass.SECURITY, "12.1.0": ChangeClass.MINOR, "13.0.0": ChangeClass.MAJOR, "13.0.1": ChangeClass.SECURITY}

instances = st.sampled_from(KEYS)
few = st.lists(instances, min_size=1, max_size=3, unique=True).map(tuple)
minutes = st.sampled_from([0, 1, 5, 20, 45, 100, 600]).map(lambda number: number * MINUTE)
some = st.integers(0, 30)


class Crash(BaseException):
    """The process is gone; nothing on the way takes it for an error."""


def house_of(key: str, *homes: Instance) -> Customer:
    return replace(one_customer(*homes, key=key), contacts=(contact(f"{key}-eva"), contact(f"{key}-otto")))


def home(key: str, host: str, **more: Any) -> Instance:
    given = {"versions": {"intrexx": Version.parse("12.0.0")}, "components": ("linux", "intrexx"), **more}
    return portal(key, host=f"{host}.host.example", **given)


FLEET = Fleet(
    customers=(
        house_of("acme", home("acme-prod", "shared"), home("acme-test", "test", environment="test")),
        house_of("birch", home("birch-prod", "Shared")),
        house_of("cedar", home("cedar-own", "own", managed=False), home("cedar-prod", "cedar")),
    )
)


@cache
def empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder, sqlite_store(Path(folder)) as made:
        assert made.path is not None
        return made.path.read_bytes()


class Fuse:
    """Ends a pass at one of the places where it may be killed: around commits, calls to hosts, and mails."""

    def __init__(self) -> None:
        self.left: int | None = None
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

    machine: "Promise"

    def outcome(self, command: Command) -> Output:
        return self.machine.program(self, command)

    def fault(self, call: str) -> Fault | None:
        self.machine.fuse.burn()
        return super().fault(call)

    def begin(self, job: str, command: Command) -> bool:
        if job not in self.jobs and job not in self.forbidden:
            self.machine.watch.begins(self, job, self.machine.now)
        begun = super().begin(job, command)
        self.machine.fuse.burn()
        return begun


class Promise(RuleBasedStateMachine):
    """A house with three customers, five instances and four hosts, from the November before to the spring after."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="promise-"))
        path = self.folder / "maintsched.db"
        path.touch(mode=0o600)
        path.write_bytes(empty_database())
        self.fuse, self.number = Fuse(), 0
        opened = open_store(f"sqlite:///{path}")
        self.store = MortalStore(opened.engine)
        self.store.fuse = self.fuse
        self.interludes: list[Callable[[], object]] = []
        self.codes: dict[tuple[str, str], list[int]] = {}
        self.applied: dict[str, dict[str, str]] = {}
        self.fresh: set[str] = set(KEYS)
        """Instances for which there are updates of the system."""
        self.refusing: dict[str, Result] = {}
        self.passed_at: datetime | None = None

    @initialize(
        script=st.fixed_dictionaries(
            {name: st.just([f"/srv/{name}"]) for name in ("probe", "plan", "apply", "version")},
            optional={
                **{name: st.just([f"/srv/{name}"]) for name in ("stop", "start", "rollback", "backup")},
                "idempotent": st.sampled_from([["apply"], ["stop", "start"], ["backup", "apply", "stop"]]),
                "answers": st.just({"102": "reboot"}),
            },
        ),
        table=st.fixed_dictionaries({}, optional={"reboot": st.just(("/srv/reboot",)), "backup": st.just(("/srv/backup",))}),
        terms=st.fixed_dictionaries(
            {},
            optional={
                "at_once": st.sampled_from([1, 2]),
                "per_customer": st.just(1),
                "failures_per_wave": st.just(1),
                "expected_minutes": st.sampled_from([10, 60]),
            },
        ),
    )
    def move_in(self, script: dict[str, Any], table: dict[str, Any], terms: dict[str, Any]) -> None:
        hosts = Hosts()
        for name in HOSTS:
            hosts.hosts[name] = hosts.hosts[name.replace("s", "S", 1)] = WatchedHost(name=name, machine=self)
        made = world(self.store, self.folder, now=REMINDED, fleet=FLEET)
        settings_ = {"fake": {"world": hosts}, "script": script}
        parts = {"linux": "script", "intrexx": "script"}
        given = {"backup_age": ("/srv/backup-age",), **table}
        executor = ExecutorConfig(transport="fake", parts=parts, settings=settings_, **given)
        runs = RunTerms(patience_seconds=0, **terms)
        made.house.config = replace(made.house.config, executor={"portal": executor}, runs=runs)
        made.mailer.answer = self.mail
        self.world, self.house, self.hosts = made, made.house, hosts.hosts
        assert self.store.path is not None
        self.watch = Watch(self.store.path, runs)
        self.script, self.young = script, True
        self.tick()

    # --- the world around it ------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.world.clock()

    def mail(self, mail: Outgoing) -> Result:
        self.fuse.burn()
        result = self.refusing.get(mail.recipient, Result.ACCEPTED)
        if result is Result.ACCEPTED:
            self.watch.accepted.setdefault(mail.key, self.now)
        self.fuse.burn()
        return result

    def program(self, host: FakeHost, command: Command) -> Output:
        """What a command does on a host; something may happen elsewhere meanwhile."""
        if self.interludes:
            self.interludes.pop()()
        name = command.argv[0].removeprefix("/srv/")
        instance = command.environment.get("MAINTSCHED_INSTANCE", host.name)
        codes = self.codes.get((host.name.lower(), name), [])
        code = codes.pop(0) if codes else 0
        said = ""
        if name == "backup-age":
            said = (self.now - (timedelta(hours=3) if self.young else timedelta(days=2))).isoformat()
        elif name == "version":
            said = f"intrexx {self.versions(instance)}\n"
        elif name == "plan":
            said = self.planned(instance, command.stdin.decode())
        elif name == "apply" and code in (0, 102):
            self.fresh.discard(instance)
            wanted = command.environment.get("MAINTSCHED_RELEASES", "").split()
            self.applied.setdefault(instance, {}).update(each.split("=") for each in wanted)
        elif name == "reboot" and code == 0:
            host.boots += 1
        return Output(exit_code=code, stdout=said)

    def versions(self, instance: str) -> str:
        return self.applied.get(instance, {}).get("intrexx", "12.0.0")

    def planned(self, instance: str, asked: str) -> str:
        import json

        lines = ["openssl 1 2\n"] if instance in self.fresh else []
        for order in json.loads(asked)["orders"]:
            if order["release"] and order["release"] != self.versions(instance):
                lines.append(f"{order['component']} {self.versions(instance)} {order['release']}\n")
        return "".join(lines)

    def tick(self) -> None:
        asyncio.run(tick(self.house, now=self.now))
        self.passed_at = self.now

    def go(self, at: datetime) -> None:
        self.world.clock.set(min(at, LAST))

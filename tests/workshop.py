"""Houses in which work is done: hosts in memory, an operator's script as executor, windows whose notices are proved."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from maintsched.executors.port import Command, Output
from maintsched.executors.transports.fake import FakeHost
from maintsched.executors.transports.fake import World as Hosts
from maintsched.fleet import Customer, Fleet, Instance, Language
from maintsched.intake.config import ExecutorConfig
from maintsched.runs import Run, RunState, RunTerms
from maintsched.store import Store
from maintsched.store.runs import KeptRun, KeptStep, read_run, read_runs, read_steps
from maintsched.worker.maintain import Maintained
from tests.houses import DECEMBER, REMINDED, World, contact, instance, world

WINDOW = "monthly/2026-12"
OPEN = DECEMBER + timedelta(minutes=5)
"""Five minutes into the window, which lasts until 21:00."""
SCRIPT = {name: [f"/srv/{name}"] for name in ("probe", "plan", "apply", "verify", "version")}


def portal(key: str, **changes: Any) -> Instance:
    return instance(key, **{"executor": "portal", "components": ("linux",), "host": f"{key}.host.example", **changes})


def one_customer(*instances: Instance, key: str = "acme") -> Customer:
    return Customer(
        key=key,
        name=f"{key} Ltd",
        language=Language.EN,
        package="premium",
        contacts=(contact(f"{key}-eva"),),
        instances=instances,
    )


@dataclass
class Workshop:
    """A world with hosts in it."""

    world: World
    hosts: Hosts

    def host(self, key: str = "acme-prod") -> FakeHost:
        """The host of an instance."""
        return self.hosts.host(f"{key}.host.example")

    def open(self, at: datetime = OPEN) -> Maintained:
        """Make a pass in the window."""
        return self.world.tick(at).maintained

    def runs(self, **wanted: Any) -> list[Run]:
        with self.world.house.store.reading() as connection:
            return [each.run for each in read_runs(connection, **wanted)]

    def run(self, instance: str = "acme-prod", window: str = WINDOW) -> Run:
        return self.kept(instance, window).run

    def kept(self, instance: str = "acme-prod", window: str = WINDOW) -> KeptRun:
        with self.world.house.store.reading() as connection:
            return read_run(connection, f"run/{window.replace('/', ':')}/{instance}")

    def steps(self, instance: str = "acme-prod", window: str = WINDOW) -> list[KeptStep]:
        with self.world.house.store.reading() as connection:
            return read_steps(connection, f"run/{window.replace('/', ':')}/{instance}")

    def state(self, instance: str = "acme-prod") -> RunState:
        return self.run(instance).state

    def terms(self, **changes: Any) -> None:
        """Change the terms of runs."""
        config = self.world.house.config
        self.world.house.config = replace(config, runs=replace(config.runs, **changes))


def updates(host: FakeHost, *names: str) -> None:
    """Let a host have updates: what is planned changes once `apply` was run there."""
    done: list[str] = []

    def plan(_: Command) -> Output:
        return Output(exit_code=0, stdout="".join(f"{name} 1 2\n" for name in names if not done))

    def apply(_: Command) -> Output:
        done.append("applied")
        return Output(exit_code=0, stdout="applied")

    host.program("/srv/plan", does=plan)
    host.program("/srv/apply", does=apply)


def workshop(
    store: Store,
    folder: Path,
    *customers: Customer,
    script: Mapping[str, Any] | None = None,
    runs: RunTerms | None = None,
    told: bool = True,
    **table: Any,
) -> Workshop:
    """Return a house whose customers were told of the window of December, and whose hosts have an update each."""
    fleet = Fleet(customers=customers or (one_customer(portal("acme-prod")),))
    made, hosts = world(store, folder, now=REMINDED, fleet=fleet), Hosts()
    settings = {"fake": {"world": hosts}, "script": {**SCRIPT, **(script or {})}}
    given: dict[str, Any] = {"backup_age": ("/srv/backup-age",), **table}
    executor = ExecutorConfig(
        transport="fake", parts={"linux": "script", "intrexx": "script"}, settings=settings, **given
    )
    terms = runs or RunTerms(patience_seconds=0)
    made.house.config = replace(made.house.config, executor={"portal": executor}, runs=terms)
    for each in fleet.instances():
        host = hosts.host(each.host)
        host.answer("/srv/backup-age", stdout=(DECEMBER - timedelta(hours=3)).isoformat())
        updates(host, "openssl")
    if told:
        made.tick(REMINDED)
    return Workshop(world=made, hosts=hosts)

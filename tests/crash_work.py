"""Scenes in which work is done: real processes on this machine, as an operator's script starts them.

Each command of the script adds a line to a log. Nothing in it may stand there twice: that is what every law is about.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from maintsched.facts import ChangeClass, Consent, Pin, Release
from maintsched.fleet import Fleet
from maintsched.intake.config import Config, ExecutorConfig
from maintsched.intake.hookconfig import HookConfig, HookKind, HookMoment
from maintsched.runs import Gate, Pause, RunState, RunTerms
from maintsched.store.runs import read_run, take, write_run
from maintsched.version import Version
from maintsched.worker import deferrals, pins, releases
from maintsched.worker.consents import add_consent, end_consent
from maintsched.worker.entering import enter_due
from maintsched.worker.house import House
from maintsched.worker.operating import StepFate, approve, retry
from maintsched.worker.pauses import begin_pause, resume_work
from maintsched.worker.tracks import switch_track
from tests.houses import ACME, DECEMBER, NOW, World, instance

WORKED = DECEMBER + timedelta(minutes=5)
RUN = "run/monthly:2026-12/acme-prod"
HOST = "here.host.example"
LOG = "work.log"
SCRIPT = """\
#!/bin/sh
echo "$1 $2" >> "$0.log"
case "$1" in
  age) date -u -d @{age} +%Y-%m-%dT%H:%M:%SZ ;;
  plan) grep -q "^applied" "$0.log" 2>/dev/null || echo "openssl 1 2" ;;
esac
case "$1-{kind}" in
  apply-again) grep -c "^apply" "$0.log" | grep -qx 1 && exit 75 ;;
  apply-gone) kill -9 $PPID; sleep 1 ;;
  apply-long) sleep 3 ;;
  apply-restart) echo "applied" >> "$0.log"; exit 102 ;;
esac
case "$1" in
  apply) echo "applied" >> "$0.log" ;;
  reboot) echo "another start" > "$(dirname "$0")/boot_id" ;;
esac
exit 0
"""


def work_config(config: Config, kind: str) -> Config:
    """Return a configuration in which this machine is the host of the fleet."""
    folder = config.path.parent
    program = folder / "work"
    words = {name: [str(program), name] for name in ("plan", "stop", "apply", "start")}
    settings: dict[str, dict[str, Any]] = {
        "local": {"hosts": [HOST], "jobs": str(folder / "jobs"), "boot_id": str(folder / "boot_id")},
        "script": {**words, "answers": {"102": "reboot"}},
    }
    if kind == "silent":
        files = {name: str(folder / name) for name in ("known_hosts", "identity")}
        settings["ssh"] = {**files, "addresses": {HOST: "127.0.0.1"}, "port": 1}
    if kind == "blocked":
        settings["local"]["hosts"] = ["other.host.example"]
    table = ExecutorConfig(
        transport="ssh" if kind == "silent" else "local",
        parts={"linux": "script"},
        settings={name: each for name, each in settings.items() if name != ("local" if kind == "silent" else "ssh")},
        backup_age=(str(program), "age"),
        reboot=(str(program), "reboot"),
    )
    approval = (ChangeClass.OS,) if kind == "held" else ()
    terms = RunTerms(patience_seconds=20, poll_seconds=1, approval=approval)
    hooks = (HookConfig(name="told", kind=HookKind.COMMAND, command=("/bin/true",), moments=tuple(HookMoment)),)
    return replace(config, executor={"apt": table}, runs=terms, hooks=hooks if kind == "hooked" else ())


def prepare(world: World, kind: str = "plain") -> None:
    """Make the fleet one instance on this machine, write its program, and let its customer be told in time."""
    folder = world.house.config.path.parent
    program = folder / "work"
    program.write_text(SCRIPT.format(kind=kind, age=int((WORKED - timedelta(hours=2)).timestamp())), encoding="utf-8")
    program.chmod(0o700)
    (folder / "boot_id").write_text("one start\n", encoding="utf-8")
    only = instance("acme-prod", host=HOST, components=("linux", "intrexx"), versions={"intrexx": "12.0.0"})
    theirs = instance("acme-own", managed=False, environment="test", url=None)
    world.sync(Fleet(customers=(replace(ACME, instances=(only, theirs)),)))
    world.tick(WORKED - timedelta(days=11))
    world.house.config = work_config(world.house.config, kind)
    if kind == "silent":
        _pin(folder)


def _pin(folder: Path) -> None:
    """Write keys: one to get in with, and one that the host would have if it were there."""
    import asyncssh

    mine, other = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    mine.write_private_key(str(folder / "identity"))
    (folder / "identity").chmod(0o600)
    (folder / "known_hosts").write_text(f"{HOST} {other.export_public_key().decode()}", encoding="utf-8")


def log_of(folder: Path) -> Counter[str]:
    """Return what the program did that changes something, and how often."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return Counter(line.strip() for line in lines if line.split()[0] in ("stop", "apply", "start", "reboot"))


# --- what was before -------------------------------------------------------------------------------------------------


def plain(world: World) -> None:
    """Work is ahead, and everybody was told."""
    prepare(world)


def of_kind(kind: str) -> Callable[[World], None]:
    """Return what prepares a world whose program or host is of some kind."""
    return lambda world: prepare(world, kind)


def lost(world: World) -> None:
    """A pass that is gone holds the run; its lease has run out."""
    prepare(world)
    enter_due(world.house, now=WORKED - timedelta(minutes=4))
    with world.house.store.writing() as connection:
        kept = read_run(connection, RUN)
        begun = WORKED - timedelta(minutes=3)
        assert take(connection, kept.run, owner="gone", now=begun, lease_until=begun + timedelta(minutes=1))
        write_run(connection, replace(kept, run=replace(kept.run, state=RunState.RUNNING)), now=begun)


def parked(world: World) -> None:
    """A step was interrupted, and an operator is asked."""
    prepare(world, "gone")
    world.tick(WORKED - timedelta(minutes=3))
    assert _state(world) is RunState.INTERRUPTED


def given_up(world: World) -> None:
    """An operator has said of an interrupted step that it failed."""
    parked(world)
    retry(world.house, RUN, reason="it did not work", now=world.now, fate=StepFate.FAILED)


def held(world: World) -> None:
    """The run waits for an operator's approval."""
    prepare(world, "held")
    world.tick(WORKED - timedelta(minutes=3))


def _state(world: World) -> RunState:
    with world.house.store.reading() as connection:
        return read_run(connection, RUN).run.state


def released(world: World) -> None:
    """A larger release is known."""
    prepare(world)
    release = Release(version=Version.parse("12.1.0"), change_class=ChangeClass.MAJOR, available_at=NOW)
    releases.add_release(world.house.store, world.house.contract, release, now=world.now)


def deferred(world: World) -> None:
    """And put off."""
    released(world)
    grant(world.house, world.now)


def pinned(world: World) -> None:
    """The instance stays at its version."""
    released(world)
    pin(world.house, world.now)


def taken_back(world: World) -> None:
    """The release was taken back."""
    released(world)
    take_back(world.house, world.now)


def paused(world: World) -> None:
    """Work is paused."""
    prepare(world)
    pause(world.house, world.now)


def agreed(world: World) -> None:
    """The customer agreed to work on its own system."""
    prepare(world)
    agree(world.house, world.now)


# --- what is done ----------------------------------------------------------------------------------------------------

LARGE = Version.parse("12.1.0")
UNTIL = datetime(2027, 3, 1, tzinfo=UTC)


def grant(house: House, now: datetime) -> None:
    deferrals.grant(house.store, house.contract, ["acme-prod"], LARGE, until=UNTIL, now=now)


def extend(house: House, now: datetime) -> None:
    until = UNTIL + timedelta(days=20)
    deferrals.extend(house.store, house.contract, "acme-prod", LARGE, until=until, now=now)


def withdraw(house: House, now: datetime) -> None:
    deferrals.withdraw(house.store, house.contract, "acme-prod", LARGE, now=now, reason="they are ready")


def release(house: House, now: datetime) -> None:
    made = Release(
        version=Version.parse("12.0.9"), change_class=ChangeClass.MINOR, available_at=now + timedelta(days=30)
    )
    releases.add_release(house.store, house.contract, made, now=now)


def take_back(house: House, now: datetime) -> None:
    releases.withdraw_release(house.store, house.contract, "intrexx", LARGE, reason="it is bad", now=now)


def bring_back(house: House, now: datetime) -> None:
    releases.restore_release(house.store, house.contract, "intrexx", LARGE, reason="it is good", now=now)


def pin(house: House, now: datetime) -> None:
    made = Pin(
        instance="acme-prod", component="intrexx", version=Version.parse("12.0.0"), start=now, reason="an add-on"
    )
    pins.add_pin(house.store, house.contract, made, now=now)


def unpin(house: House, now: datetime) -> None:
    pins.end_pin(house.store, house.contract, "acme-prod", "intrexx", reason="it was mended", now=now)


def switch(house: House, now: datetime) -> None:
    switch_track(house.store, house.contract, "acme-prod", "steady", at=now, reason="they asked", now=now)


def agree(house: House, now: datetime) -> None:
    consent = Consent(instance="acme-own", given_by="Eva", given_at=now)
    add_consent(house.store, house.contract, consent, now=now)


def disagree(house: House, now: datetime) -> None:
    end_consent(house.store, house.contract, "acme-own", at=now, reason="they asked", now=now)


def pause(house: House, now: datetime) -> None:
    begin_pause(house.store, Pause(key="p", since=now, reason="wait", instances=("acme-own",)), now=now)


def resume(house: House, now: datetime) -> None:
    resume_work(house.store, "p", now=now)


def try_again(house: House, now: datetime) -> None:
    retry(house, RUN, reason="finished by hand", now=now, fate=StepFate.DONE)


def let_pass(house: House, now: datetime) -> None:
    approve(house, RUN, reason="looked at", now=now, gate=Gate.APPROVAL)

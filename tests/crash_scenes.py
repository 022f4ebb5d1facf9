"""The scenes in which processes are killed: what the database holds before, what a command then does, and a pass.

A scene begins where `before` leaves the world, at the instant `at`. The process that may be killed does `act`, the one
transaction of a command, and then makes a pass. What is not killed, and what is repaired, ends in the same state.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.cli.demo import _make_database as make_demo_database
from maintsched.cli.init import make_database, write_samples
from maintsched.facts import ChangeClass, Facts, Freeze, Outage
from maintsched.fleet import Customer, Fleet, Language
from maintsched.intake.config import Config, load_config
from maintsched.mail.compose import envelope_id
from maintsched.mail.outcomes import Outgoing, Result
from maintsched.spans import Span
from maintsched.store.tables import EPOCH, read_meta
from maintsched.worker import announce as windows
from maintsched.worker.again import resend, tell_provisioned
from maintsched.worker.erasure import erase
from maintsched.worker.freezes import add_freeze, finish_freeze
from maintsched.worker.heads import heads_path
from maintsched.worker.house import House
from maintsched.worker.outages import close_outage, open_outage
from maintsched.worker.restore import Resume, resume
from maintsched.worker.sync import sync_fleet
from tests import crash_work as work
from tests.houses import ACME, BIRCH, NOW, REMINDED, World, contact, critical, instance

MANY = 24
START = NOW + timedelta(days=7)
LATER = NOW + timedelta(hours=2)
DISK = "critical/disk"
TOLD = "notice/announcement/critical:disk/0/birch/ops"
REFUSED = "p3@c3.example"
"""An address that the server of some scenes knows nothing of."""
REPORT = """\
From: MAILER-DAEMON@mail.example
To: bounces@hosting.example
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
MIME-Version: 1.0

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example
Original-Envelope-Id: {envid}

Final-Recipient: rfc822; ops@customer.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b--
"""


def _customer(number: int) -> Customer:
    key = f"c{number}"
    return Customer(
        key=key,
        name=f"Customer {number}",
        language=(Language.EN, Language.DE)[number % 2],
        package="starter",
        contacts=(contact(f"p{number}", email=f"p{number}@{key}.example"),),
        instances=(instance(f"i{number}"),),
    )


FLEET = Fleet(customers=(ACME, BIRCH, *(_customer(number) for number in range(MANY - 3))))
"""As many people as `MANY`."""


def _nothing(world: World) -> None:
    world.tick()


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where a process begins, and what it does."""

    at: datetime = LATER
    before: Callable[[World], object] = _nothing
    act: Callable[[House, datetime], object] | None = None
    script: Mapping[str, Any] = field(default_factory=dict)
    """What the mail server answers."""
    trouble: Mapping[str, Any] = field(default_factory=dict)
    """What it answers as long as the process lives that may be killed."""
    worker: Mapping[str, Any] = field(default_factory=dict)
    step: timedelta = timedelta()
    """How far the clock moves each time it is read."""
    held: bool = False
    """Passes hold until `act` is done to its end: it is given again where it was committed and a file is missing."""
    work: str | None = None
    """Of which kind the work is that is done on this machine; None: none is."""
    file_only: bool = False
    """It is about making a database: there is no world before it, and SQLite's file is enough."""


def _announced(world: World, **more: Any) -> None:
    world.tick()
    window = critical(start=START, instances=("acme-prod", "birch-prod", "i1", "i2", "i3", "i4"))
    windows.announce(world.house, window, now=world.now, **more)
    world.tick()


def _offered(world: World) -> None:
    second = Span(start=START + timedelta(days=1), end=START + timedelta(days=1, hours=2))
    _announced(world, state=WindowState.TENTATIVE, alternatives=(second,))


def _refused(world: World) -> None:
    def answer(mail: Outgoing) -> Result:
        return Result.REFUSED if mail.key == TOLD else Result.ACCEPTED

    world.mailer.answer = answer
    _announced(world)
    world.tick()


def _bounced(world: World) -> None:
    _announced(world)
    folder = maildir(world.house.config)
    for part in ("new", "cur", "tmp"):
        (folder / part).mkdir(parents=True)
    raw = REPORT.format(envid=envelope_id(TOLD)).replace("\n", "\r\n").encode()
    (folder / "new" / "1").write_bytes(raw)


def maildir(config: Config) -> Path:
    """Return where reports of failure arrive."""
    return config.path.parent / "bounces"


def _behind(world: World) -> None:
    """Let the heads outside the database know more than it does, as after a restore."""
    world.tick()
    with world.house.store.reading() as connection:
        epoch = read_meta(connection, EPOCH)
    with heads_path(world.house.config).open("a") as file:
        file.write(f"{epoch} acme-prod 999 {'f' * 64}\n")


def _out(world: World) -> None:
    world.tick()
    open_outage(world.house, Outage(start=NOW, instance="i1"), now=world.now)
    world.tick()


def _frozen(world: World) -> None:
    world.tick()
    _freeze(world.house, world.now)


def _freeze(house: House, now: datetime) -> None:
    freeze = Freeze(
        key="audit",
        start=START,
        end=START + timedelta(days=9),
        reason="an audit",
        classes=(ChangeClass.MAJOR,),
        customers=("acme",),
    )
    add_freeze(house.store, house.contract, freeze, now=now)


def _announce(house: House, now: datetime) -> None:
    window = critical(start=START, instances=("acme-prod", *(f"i{number}" for number in range(10))))
    windows.announce(house, window, now=now)


def _move(house: House, now: datetime) -> None:
    windows.move(
        house, DISK, Span(start=START + timedelta(days=1), end=START + timedelta(days=1, hours=2)), now=now, reason="x"
    )


def _sync(house: House, now: datetime) -> None:
    changed = (replace(ACME, name="ACME AG"), *FLEET.customers[1:], _customer(99))
    sync_fleet(house.store, house.contract, Fleet(customers=changed), Facts(), prune=False, now=now)


def _erase(house: House, now: datetime) -> None:
    erase(house.store, "acme", "otto", now=now, patience_seconds=1)


def _init(house: House, now: datetime) -> None:
    home = house.config.path.parent
    for _ in write_samples(home):
        pass
    make_database(load_config(str(home / "maintsched.toml")), now=now)


def _demo(house: House, now: datetime) -> None:
    """Make the demo's database where an earlier one is cleared away, as the command does."""
    home = house.config.path.parent
    for path in home.glob("maintsched.db*"):
        path.unlink()
    for _ in write_samples(home):
        pass
    make_demo_database(home, now)


SCENES = {
    "reminders": Scene(at=REMINDED),
    "long pass": Scene(at=REMINDED, step=timedelta(seconds=120)),
    "alerts": Scene(at=REMINDED, script={"rcpt": lambda line: "550 5.1.1 unknown" if REFUSED in line else None}),
    "deferred": Scene(at=REMINDED + timedelta(days=3, hours=5), trouble={"dot": "451 4.3.0 try again later"}),
    "breach": Scene(at=REMINDED + timedelta(days=10)),
    "heartbeat": Scene(at=NOW + timedelta(days=1), worker={"heartbeat_mail": True}),
    "bounce": Scene(before=_bounced),
    "announced": Scene(act=_announce),
    "moved": Scene(before=_announced, act=_move),
    "cancelled": Scene(before=_announced, act=lambda house, now: windows.cancel(house, DISK, now=now, reason="x")),
    "confirmed": Scene(before=_offered, act=lambda house, now: windows.confirm(house, DISK, now=now)),
    "chosen": Scene(before=_offered, act=lambda house, now: windows.choose(house, DISK, "acme", 2, now=now)),
    "outage opened": Scene(act=lambda house, now: open_outage(house, Outage(start=NOW, instance="i1"), now=now)),
    "outage closed": Scene(before=_out, act=lambda house, now: close_outage(house, "i1", end=now, now=now)),
    "sent again": Scene(before=_refused, act=lambda house, now: resend(house, TOLD, now=now)),
    "provisioned": Scene(
        act=lambda house, now: tell_provisioned(
            house, "i1", "https://hosting.example/access/i1", ordered_at=None, now=now
        )
    ),
    "synced": Scene(act=_sync),
    "erased": Scene(before=_announced, act=_erase),
    "frozen": Scene(act=_freeze),
    "thawed": Scene(
        before=_frozen, act=lambda house, now: finish_freeze(house.store, "audit", reason="it is over", now=now)
    ),
    "resumed": Scene(
        before=_behind,
        act=lambda house, now: resume(house, Resume.AGAIN, now=now),
        held=True,
    ),
    "work": Scene(at=work.WORKED, before=work.plain, work="plain"),
    "long work": Scene(at=work.WORKED, before=work.of_kind("long"), work="long", step=timedelta(seconds=20)),
    "work taken up": Scene(at=work.WORKED, before=work.lost, work="plain"),
    "work tried again": Scene(at=work.WORKED, before=work.of_kind("again"), work="again"),
    "work that is gone": Scene(at=work.WORKED, before=work.of_kind("gone"), work="gone"),
    "work given up": Scene(at=work.WORKED, before=work.given_up, work="gone"),
    "restart": Scene(at=work.WORKED, before=work.of_kind("restart"), work="restart"),
    "silent host": Scene(at=work.WORKED, before=work.of_kind("silent"), work="silent"),
    "blocked work": Scene(at=work.WORKED, before=work.of_kind("blocked"), work="blocked"),
    "hooked work": Scene(at=work.WORKED, before=work.of_kind("hooked"), work="hooked"),
    "work retried": Scene(at=work.WORKED, before=work.parked, act=work.try_again, work="gone"),
    "work held": Scene(at=work.WORKED, before=work.of_kind("held"), work="held"),
    "work approved": Scene(at=work.WORKED, before=work.held, act=work.let_pass, work="held"),
    "released": Scene(at=work.WORKED, before=work.plain, act=work.release),
    "taken back": Scene(at=work.WORKED, before=work.released, act=work.take_back),
    "brought back": Scene(at=work.WORKED, before=work.taken_back, act=work.bring_back),
    "deferred later": Scene(at=work.WORKED, before=work.released, act=work.grant),
    "deferral extended": Scene(at=work.WORKED, before=work.deferred, act=work.extend),
    "deferral withdrawn": Scene(at=work.WORKED, before=work.deferred, act=work.withdraw),
    "pinned": Scene(at=work.WORKED, before=work.released, act=work.pin),
    "unpinned": Scene(at=work.WORKED, before=work.pinned, act=work.unpin),
    "track switched": Scene(at=work.WORKED, before=work.plain, act=work.switch),
    "agreed": Scene(at=work.WORKED, before=work.plain, act=work.agree),
    "agreed no more": Scene(at=work.WORKED, before=work.agreed, act=work.disagree),
    "paused": Scene(at=work.WORKED, before=work.plain, act=work.pause),
    "resumed work": Scene(at=work.WORKED, before=work.paused, act=work.resume),
    "init": Scene(act=_init, file_only=True),
    "demo": Scene(act=_demo, file_only=True),
}


@cache
def contract() -> ms.Contract:
    """The contract of all scenes."""
    return ms.load_contract()

"""How long the worker may stand still before a promise is broken: measured, in virtual time.

A *standstill* begins at the worst moment: just before the pass that would have sent a notice, or just after the command
that owes one. Then no pass is made for a while. The longest while is found by bisection, to the minute; nothing is
computed from a deadline.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.facts import Outage, WindowKind
from maintsched.fleet import Fleet
from maintsched.notices import planned_notices
from maintsched.readings import MonthlyProof
from maintsched.spans import Span
from maintsched.store import open_store
from maintsched.store.declared import write_deferrals, write_releases
from maintsched.store.tables import facts_changed
from maintsched.worker import announce as windows
from maintsched.worker.outages import close_outage, open_outage
from tests.databases import sqlite_store
from tests.houses import BIRCH, NOW, World, contact, critical, instance, world

LONGEST = timedelta(days=60)
STEP = timedelta(minutes=1)
MONTHS = 24
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RELEASE = ms.Version.parse("12.1.0")
Act = Callable[[World], object]


@dataclass(frozen=True, kw_only=True)
class Standstill:
    """What a worker that stands still would have sent."""

    notice: str
    contract: ms.Contract
    at: datetime
    """When the first pass is missed: the standstill lasts from here to the next pass that is made."""
    since: datetime | None = None
    """When the passes before it began, the last of them a second before it; None: one, just before the command."""
    before: Act = field(default=lambda _: None)
    """What happened before it, at the first pass."""
    act: Act = field(default=lambda _: None)
    """The command that owes the notice."""
    subject: str
    kind: str
    label: str | None = None
    """Under which the key names the kind."""
    fleet: Fleet
    where: str = ""
    """In words what was measured, where it matters."""
    planned: bool = False
    """It has a planned `send_at`; otherwise it is owed at once."""
    deadline: bool = True
    """It has a deadline, so that it can be late."""


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What came of a standstill, seen some passes later."""

    told: bool
    """Everybody whom the notice was for was told."""
    late: bool
    breaches: int

    @property
    def kept(self) -> bool:
        """Say whether no promise was broken."""
        return self.told and not self.late and not self.breaches


# --- playing one ------------------------------------------------------------------------------------------------------


class Stage:
    """Plays standstills again and again, each from a copy of the same beginning."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        with sqlite_store(folder, "empty.db"):
            pass

    @contextmanager
    def begun(self, case: Standstill) -> Iterator[Callable[[timedelta], Aftermath]]:
        """Give a function that says what comes of that standstill when it lasts so long."""
        begin = self._fresh()
        shutil.copy(self._folder / "empty.db", begin / "maintsched.db")
        with _opened(begin) as store:
            home = world(store, begin, now=case.since or case.at, fleet=case.fleet, contract=case.contract)
            case.before(home)
            home.tick()
            if case.since is not None:
                home.tick(case.at - timedelta(seconds=1))
            home.clock.set(case.at)
            case.act(home)
        yield lambda length: self._after(case, home, begin, length)
        shutil.rmtree(begin)

    def _after(self, case: Standstill, home: World, begin: Path, length: timedelta) -> Aftermath:
        folder = self._fresh()
        shutil.copytree(begin, folder, dirs_exist_ok=True)
        with _opened(folder) as store:
            home.house.store = store
            home.house.config = replace(home.house.config, database=f"sqlite:///{folder / 'maintsched.db'}")
            found = aftermath(case, home, length)
        shutil.rmtree(folder)
        return found

    def _fresh(self) -> Path:
        folder = self._folder / f"{next(self._numbers)}"
        folder.mkdir()
        return folder


def aftermath(case: Standstill, home: World, length: timedelta) -> Aftermath:
    """Make the first pass `length` after the missed one, and another; return what came of it."""
    first = home.tick(case.at + length)
    second = home.tick(case.at + length + HOUR)
    stored = [
        each
        for each in home.notices(case.subject)
        if each.notice.kind == case.kind and each.notice.label == (case.label or case.kind)
    ]
    broken = {*first.recorded.breaches, *second.recorded.breaches}
    return Aftermath(
        told=bool(stored) and all(each.accepted_at is not None for each in stored),
        late=any(each.notice.late for each in stored),
        breaches=sum(f"/{case.subject.replace('/', ':')}/" in key for key in broken),
    )


@contextmanager
def _opened(folder: Path) -> Iterator:
    with open_store(f"sqlite:///{folder / 'maintsched.db'}") as store:
        yield store


def longest(holds: Callable[[timedelta], bool]) -> timedelta | None:
    """Return the longest standstill, to the minute, for which `holds`; None: it holds for `LONGEST` as well."""
    if holds(LONGEST):
        return None
    low, high = timedelta(), LONGEST
    while high - low > STEP:
        middle = low + (high - low) // STEP // 2 * STEP
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


# --- what there is to miss --------------------------------------------------------------------------------------------


@cache
def paas() -> ms.Contract:
    """The built-in contract."""
    return ms.load_contract()


@cache
def weekly() -> ms.Contract:
    """The other built-in contract, with a reminder that has to go out as a mail."""
    contract = ms.load_contract("generic-weekly")
    return replace(contract, monthly=replace(contract.monthly, proof=MonthlyProof.MAIL))


PAAS_FLEET = Fleet(customers=(BIRCH,))
WEEKLY_FLEET = Fleet(
    customers=(
        replace(
            BIRCH,
            package="gold",
            contacts=(contact("ops", roles=("operations",)),),
            instances=(instance("birch-prod", environment="live"),),
        ),
    )
)
FLEETS = {"intrexx-paas": PAAS_FLEET, "generic-weekly": WEEKLY_FLEET}


def reminders(contract: ms.Contract, months: int = MONTHS) -> list[Standstill]:
    """Return the reminders of all windows of so many months, clock changes and Christmas included."""
    until = FIRST + timedelta(days=months * 30.5)
    return [_reminder(contract, window) for window in ms.monthly_windows(contract, FIRST, until)]


def _reminder(contract: ms.Contract, window: ms.Window) -> Standstill:
    (notice,) = planned_notices(contract, window)
    return Standstill(
        notice="reminder",
        contract=contract,
        at=notice.send_at,
        since=notice.send_at - timedelta(seconds=1),
        subject=window.id,
        kind="reminder",
        where=window.id,
        fleet=FLEETS[contract.name],
        planned=True,
    )


def owed_in_time(contract: ms.Contract) -> list[Standstill]:
    """Return what is owed at once, with a deadline: windows announced as short before as the contract allows."""
    terms = contract.notice
    start = NOW + contract.critical.lead + terms.hold + terms.delivery_margin

    def case(notice: str, act: Act, before: Act = lambda _: None) -> Standstill:
        return Standstill(
            notice=notice,
            contract=contract,
            at=NOW,
            since=NOW - HOUR,
            before=before,
            act=act,
            subject=DISK,
            kind=notice,
            where="the earliest start that may be announced",
            fleet=FLEETS[contract.name],
        )

    def announced(home: World, begins: datetime = start, **more) -> None:
        window = critical(start=begins, instances=("birch-prod",))
        windows.announce(home.house, window, now=home.now, **more)

    def long_before(home: World) -> None:
        announced(home, start + timedelta(days=9))

    def offered(home: World) -> None:
        announced(home, start, state=WindowState.TENTATIVE)

    new = Span(start=start, end=start + 2 * HOUR)
    return [
        case("announcement", announced),
        case("moved", lambda home: windows.move(home.house, DISK, new, now=home.now), long_before),
        case("confirmed", lambda home: windows.confirm(home.house, DISK, now=home.now), offered),
    ]


DISK = "critical/disk"


def owed_at_once() -> list[Standstill]:
    """Return what is owed at once and has no deadline, under the built-in contract."""
    return [*_of_windows(), *_of_outages(), *_of_deferrals(), _handover(), _report()]


def _case(notice: str, subject: str, at: datetime = NOW, fleet: Fleet = PAAS_FLEET, **more) -> Standstill:
    given = {"kind": notice, "contract": paas(), "deadline": False, **more}
    return Standstill(notice=notice, subject=subject, at=at, fleet=fleet, **given)


def _of_windows() -> Iterator[Standstill]:
    soon = critical(start=NOW + HOUR, instances=("birch-prod",), kind=WindowKind.EMERGENCY)
    later = critical(start=NOW + timedelta(days=9), instances=("birch-prod",))

    def announced(home: World) -> None:
        windows.announce(home.house, later, now=home.now)

    def hurried(home: World) -> None:
        windows.announce(home.house, soon, now=home.now, hurry="the disk fails")

    def cancelled(home: World) -> None:
        windows.cancel(home.house, DISK, now=home.now, reason="not needed")

    yield _case("emergency", "emergency/disk", act=hurried, where="1 h before a window of 2 h")
    yield _case("cancelled", DISK, before=announced, act=cancelled, where="9 d before a window of 2 h")


def _of_outages() -> Iterator[Standstill]:
    subject = f"outage/birch-prod-{NOW:%Y%m%dT%H%MZ}"

    def opened(home: World) -> None:
        open_outage(home.house, Outage(start=NOW, instance="birch-prod"), now=home.now)

    def closed(home: World) -> None:
        close_outage(home.house, "birch-prod", end=home.now, now=home.now)

    yield _case("outage_begun", subject, act=opened)
    yield _case("outage_ended", subject, before=opened, act=closed)


def _of_deferrals() -> Iterator[Standstill]:
    subject = f"deferral/birch-prod/{RELEASE}"
    until = datetime(2027, 4, 20, 8, tzinfo=UTC)

    def deferred(home: World) -> None:
        release = ms.Release(
            version=RELEASE, change_class=ms.ChangeClass.MAJOR, available_at=datetime(2026, 11, 1, tzinfo=UTC)
        )
        with home.house.store.writing() as connection:
            write_releases(connection, [release])
            write_deferrals(connection, [ms.Deferral(instance="birch-prod", release=RELEASE, until=until)])
            facts_changed(connection)

    yield _case("deferral_granted", subject, act=deferred)
    for days in (30, 7):
        at = until - timedelta(days=days) + (HOUR if days == 30 else timedelta())  # the clocks went forward between
        yield _case(
            "deferral_reminder",
            subject,
            at,
            where=f"{days} d before the end",
            kind="deferral_reminder",
            label=f"deferral_reminder-{days}d",
            since=at - timedelta(seconds=1),
            before=deferred,
        )
    yield _case("deferral_ended", subject, until, since=until - timedelta(seconds=1), before=deferred)


def _handover() -> Standstill:
    at = datetime(2026, 11, 30, 23, tzinfo=UTC)
    leaving = replace(BIRCH, instances=(replace(BIRCH.instances[0], ends_on=at.date()),))
    fleet = Fleet(customers=(leaving,))
    return _case("handover", "instance/birch-prod", at, fleet, since=at - timedelta(seconds=1))


def _report() -> Standstill:
    at = datetime(2026, 12, 1, 8, tzinfo=UTC)
    reader = contact("ops", roles=("system_responsible", "reports"))
    fleet = Fleet(customers=(replace(BIRCH, contacts=(reader,)),))
    return _case("availability_report", "month/2026-11", at, fleet, since=NOW - timedelta(days=9))

"""Houses for tests: a small fleet in a fresh database, a clock that stands still, a mailer that records."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import maintsched as ms
from maintsched.announcements import Announcement
from maintsched.facts import DeclaredWindow
from maintsched.fleet import CalendarMethod, Contact, Customer, Fleet, Instance, Language
from maintsched.intake.config import Config, MailConfig, ProviderConfig, Tls, WorkerConfig
from maintsched.journal import Entry
from maintsched.store import Store
from maintsched.store.evidence import chains, entries_of
from maintsched.store.fleets import write_fleet
from maintsched.store.outbox import StoredNotice, read_notices
from maintsched.store.windows import read_announcement
from maintsched.testing import FrozenClock, RecordingMailer
from maintsched.worker.heads import begin_epoch
from maintsched.worker.house import House
from maintsched.worker.tick import TickReport, tick

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 4, 9, 0, tzinfo=UTC)
"""A Wednesday; a monthly window was the day before, the next one is on 1 December."""
REMINDED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
"""When the reminder of monthly/2026-12 is planned to go out: Friday 09:00 in Berlin."""
DECEMBER = datetime(2026, 12, 1, 17, 0, tzinfo=BERLIN)


def contact(key: str, **changes) -> Contact:
    given = {"name": f"{key.title()} Müller", "email": f"{key}@customer.example", "roles": ("system_responsible",)}
    return Contact(key=key, **{**given, **changes})


def instance(key: str, **changes) -> Instance:
    return Instance(key=key, **{"host": f"{key}.host.example", "url": f"https://{key}.example", **changes})


ACME = Customer(
    key="acme",
    name="ACME GmbH",
    language=Language.DE,
    package="premium",
    contacts=(contact("eva"), contact("otto", calendar=CalendarMethod.REQUEST)),
    instances=(instance("acme-prod"), instance("acme-test", environment="test", url=None)),
)
BIRCH = Customer(
    key="birch",
    name="Birch & Sons Ltd",
    language=Language.EN,
    package="advanced",
    contacts=(contact("ops", zone=ZoneInfo("Europe/London")),),
    instances=(instance("birch-prod"),),
)
FLEET = Fleet(customers=(ACME, BIRCH))


@dataclass
class World:
    """A house, with what a test looks at."""

    house: House
    clock: FrozenClock
    mailer: RecordingMailer

    def tick(self, at: datetime | None = None) -> TickReport:
        """Make a pass, at another instant where one is given."""
        if at is not None:
            self.clock.set(at)
        return asyncio.run(tick(self.house, now=self.clock()))

    @property
    def now(self) -> datetime:
        return self.clock()

    def told(self) -> list[str]:
        """Keys of the mails that went out, in order."""
        return [mail.key for mail in self.mailer.mails]

    def forget(self) -> None:
        """Forget the mails that went out."""
        self.mailer.mails.clear()
        self.mailer.accepted.clear()

    def notices(self, subject: str | None = None) -> list[StoredNotice]:
        with self.house.store.reading() as connection:
            return read_notices(connection, subjects=None if subject is None else {subject})

    def announcement(self, window: str) -> Announcement:
        with self.house.store.reading() as connection:
            return read_announcement(connection, window)

    def entries(self, chain: str) -> list[Entry]:
        with self.house.store.reading() as connection:
            return list(entries_of(connection, chain))

    def all_entries(self) -> list[Entry]:
        with self.house.store.reading() as connection:
            return [entry for chain in chains(connection) for entry in entries_of(connection, chain)]

    def sync(self, fleet: Fleet) -> None:
        """Make the fleet another one."""
        with self.house.store.writing() as connection:
            write_fleet(connection, fleet)


def config_of(store: Store, folder: Path, **worker) -> Config:
    return Config(
        mail=MailConfig(
            host="127.0.0.1", sender="wartung@hosting.example", tls=Tls.NONE, bounce="bounces@hosting.example"
        ),
        provider=ProviderConfig(name="Example Hosting", domain="hosting.example", contact="support@hosting.example"),
        worker=WorkerConfig(**worker),
        database=store.engine.url.render_as_string(hide_password=False),
        path=folder / "maintsched.toml",
    )


def world(
    store: Store,
    folder: Path,
    *,
    now: datetime = NOW,
    fleet: Fleet = FLEET,
    contract: ms.Contract | None = None,
    **worker,
) -> World:
    """Return a house with that fleet, whose first pass is still to come."""
    clock, mailer = FrozenClock(now), RecordingMailer()
    house = House(
        contract=contract or ms.load_contract(), config=config_of(store, folder, **worker), store=store, clock=clock
    )
    house.mailer = mailer
    with store.writing() as connection:
        begin_epoch(connection, now)
        write_fleet(connection, fleet)
    return World(house=house, clock=clock, mailer=mailer)


def critical(
    key: str = "disk", *, start: datetime, instances: Iterable[str] = ("acme-prod",), **changes
) -> DeclaredWindow:
    """Return a critical window of two hours."""
    given = {"kind": ms.WindowKind.CRITICAL, "end": start + timedelta(hours=2), "reason": "replace a failing disk"}
    return DeclaredWindow(key=key, start=start, instances=tuple(instances), **{**given, **changes})


def with_contacts(customer: Customer, *contacts: Contact) -> Customer:
    return replace(customer, contacts=contacts)

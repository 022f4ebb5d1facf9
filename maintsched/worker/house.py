"""The house: contract, configuration, database, templates and mail server of one provider, opened together."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy import Connection

from maintsched.announcements import Announcement
from maintsched.contract import Contract
from maintsched.ends import deferral_subject
from maintsched.facts import Facts, Outage
from maintsched.fleet import Fleet
from maintsched.fleetdiff import facts_of
from maintsched.intake.config import Config
from maintsched.localtime import utc
from maintsched.mail.outcomes import Mailer
from maintsched.mail.templates import Templates
from maintsched.proof import Told, Worked, declared_windows, told_by_contract, told_by_instance
from maintsched.rounds import Known
from maintsched.store.declared import (
    KeptOutage,
    freezes_in_force,
    read_consents,
    read_deferrals,
    read_freezes,
    read_outages,
    read_pins,
    read_releases,
    read_track_switches,
)
from maintsched.store.engine import Store, open_store
from maintsched.store.evidence import begun_at
from maintsched.store.fleets import read_fleet
from maintsched.store.ledger import ActionKind, known_of_kind
from maintsched.store.outbox import deadlines_of, read_keys, read_tellings, read_threads
from maintsched.store.runs import read_worked
from maintsched.store.windows import read_announcements

LOOKBACK = timedelta(days=62)
"""How far back windows and outages are looked at: more than a month, so that its availability can be told."""


@dataclass(kw_only=True)
class House:
    """What a pass or a command works with."""

    contract: Contract
    config: Config
    store: Store
    clock: Callable[[], datetime]

    @cached_property
    def templates(self) -> Templates:
        """The mail templates, with the operator's own in front."""
        return Templates(folder=self.config.notices.folder)

    @cached_property
    def mailer(self) -> Mailer:
        """The way to the mail server."""
        from maintsched.mail.send import SmtpMailer
        from maintsched.worker.post import mail_settings

        return SmtpMailer(mail_settings(self.config))

    def close(self) -> None:
        """Give the database back."""
        self.store.close()

    def __enter__(self) -> "House":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_house(config: Config, contract: Contract, clock: Callable[[], datetime]) -> House:
    """Return the house that `config` describes."""
    return House(contract=contract, config=config, store=open_store(config.database), clock=clock)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that is known at one moment: read in one transaction, so that it belongs together."""

    fleet: Fleet
    facts: Facts
    announcements: tuple[Announcement, ...]
    told: Told
    known: Known
    outages: tuple[KeptOutage, ...] = field(default=())
    worked: Mapping[tuple[str, str], Worked] = field(default_factory=dict, hash=False)
    """When work was really done, by window and instance, where runs say so; of a part of the fleet, nothing is read."""

    def announcement(self, window: str) -> Announcement | None:
        """Return an announced window by its id."""
        return next((each for each in self.announcements if each.id == window), None)


def read_scene(
    connection: Connection, contract: Contract, now: datetime, customers: Collection[str] | None = None
) -> Scene:
    """Return what is known at `now`, of the whole fleet or of the part of it that `customers` are."""
    fleet = read_fleet(connection, customers)
    since = utc(now) - LOOKBACK
    announcements = tuple(read_announcements(connection, since))
    deferrals = tuple(each for each in read_deferrals(connection) if each.instance in fleet.owners)
    subjects = {each.thread for each in announcements} | {each.id for each in announcements}
    threads = read_threads(connection, subjects, customers)
    tellings = read_tellings(connection, subjects, customers)
    told = {
        **told_by_instance(contract, fleet, announcements, threads, tellings),
        **told_by_contract(contract, fleet.owners, announcements),
    }
    others = {deferral_subject(each.instance, each.release) for each in deferrals}
    others |= {f"instance/{each.key}" for each in fleet.instances() if each.ends_on is not None}
    outages = read_outages(connection, since=since)
    facts = facts_of(
        fleet,
        Facts(
            windows=declared_windows(contract, fleet, announcements, told),
            releases=read_releases(connection),
            deferrals=deferrals,
            pins=tuple(each for each in read_pins(connection) if each.instance in fleet.owners),
            freezes=freezes_in_force(read_freezes(connection)),
            outages=tuple(_living(fleet, outages)),
            consents=tuple(each for each in read_consents(connection) if each.instance in fleet.owners),
            track_switches=tuple(each for each in read_track_switches(connection) if each.instance in fleet.owners),
        ),
    )
    known = Known(
        threads={**threads, **read_threads(connection, others, customers)},
        notices=frozenset(read_keys(connection, subjects | others, customers)),
        told=told,
        breaches=frozenset(known_of_kind(connection, ActionKind.BREACH)),
        subjects={each.id: each.thread for each in announcements if each.origin is not None},
        deadlines=deadlines_of(threads, tellings),
        hurry={each.id: each.hurry for each in announcements if each.hurry},
        silent=frozenset(each.id for each in announcements if not each.mailed),
        since=begun_at(connection),
    )
    return Scene(
        fleet=fleet,
        facts=facts,
        announcements=announcements,
        told=told,
        known=known,
        outages=outages,
        worked=read_worked(connection, since, now) if customers is None else {},
    )


def _living(fleet: Fleet, outages: tuple[KeptOutage, ...]) -> list[Outage]:
    return [each.outage for each in outages if each.outage.instance in fleet.owners]

"""How customers and instances stand: who they are, what is ahead of them, and whether they were told of it."""

from dataclasses import dataclass
from datetime import datetime

from maintsched.contract import Contract
from maintsched.errors import UnknownName
from maintsched.facts import Freeze, Pin
from maintsched.fleet import Customer, Fleet, Instance, instance_url
from maintsched.localtime import Period, start_of_day, utc
from maintsched.plan import Plan, PlanWindow, make_plan
from maintsched.releases import RunningDeferral, track_at
from maintsched.spans import Span
from maintsched.store.engine import Store
from maintsched.store.fleets import read_fleet
from maintsched.worker.house import Scene, read_scene

MONTHS = 13
"""How far ahead the next window is looked for: a rule may give one a year."""


@dataclass(frozen=True, kw_only=True)
class InstanceStanding:
    """How one instance stands."""

    instance: Instance
    customer: Customer
    url: str | None
    """Its own, or the one that follows from the customer's production instance (clause 2.3)."""
    window: PlanWindow | None
    """The next window; None: there is none in the next 13 months."""
    told_at: datetime | None
    """When the customer was told of that window for this instance; None: it is not proved that it was."""
    freezes: tuple[Freeze, ...]
    """Those in force or ahead that cover it."""
    deferrals: tuple[RunningDeferral, ...]
    """Those that have not ended."""
    track: str
    """The one it is on now, by its last recorded switch (clause 2.4.2)."""
    pins: tuple[Pin, ...]
    """Those that hold, or will."""
    outage_since: datetime | None
    """Start of an outage that is still open."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a customer or one instance stands; `whole` for a customer with everything it has."""

    customer: Customer
    whole: bool
    instances: tuple[InstanceStanding, ...]


def list_customers(store: Store) -> Fleet:
    """Return the fleet of the database."""
    with store.reading() as connection:
        return read_fleet(connection)


def standing_of(store: Store, contract: Contract, key: str, *, now: datetime) -> Standing:
    """Return how the customer or instance `key` stands; where it is both, the customer.

    Raises `UnknownName` where it is neither.
    """
    with store.reading() as connection:
        scene = read_scene(connection, contract, now)
    fleet = scene.fleet
    customers = {customer.key: customer for customer in fleet.customers}
    if key not in customers and key not in fleet.owners:
        raise UnknownName("customer or instance", found=key, known=[*customers, *fleet.owners])
    whole = key in customers
    customer = customers[key] if whole else fleet.owners[key]
    wanted = [each for each in customer.instances if whole or each.key == key]
    return Standing(
        customer=customer,
        whole=whole,
        instances=tuple(_instances(contract, scene, customer, wanted, now)) if wanted else (),
    )


def _instances(
    contract: Contract, scene: Scene, customer: Customer, wanted: list[Instance], now: datetime
) -> list[InstanceStanding]:
    end = start_of_day(Period(months=MONTHS).after(now.astimezone(contract.zone).date()), contract.zone)
    span = Span(start=now.astimezone(contract.zone), end=end)
    plan = make_plan(contract, scene.fleet, scene.facts, span, now=now, only=frozenset(each.key for each in wanted))
    return [_instance(contract, scene, customer, each, plan, now) for each in wanted]


def _instance(
    contract: Contract, scene: Scene, customer: Customer, instance: Instance, plan: Plan, now: datetime
) -> InstanceStanding:
    key = instance.key
    window = next((each for each in plan.windows if key in each.instances), None)
    open_outages = (each.outage for each in scene.outages if each.outage.instance == key)
    return InstanceStanding(
        instance=instance,
        customer=customer,
        url=instance_url(contract, customer, instance),
        window=window,
        told_at=scene.told.get((window.window.id, key)) if window else None,
        freezes=tuple(
            each for each in scene.facts.freezes if each.covers(customer.key, key) and utc(each.end) > utc(now)
        ),
        deferrals=tuple(each for each in plan.deferrals if each.deferral.instance == key and utc(each.end) > utc(now)),
        track=track_at(contract, instance, scene.facts.track_switches, now),
        pins=tuple(
            each for each in scene.facts.pins if each.instance == key and (not each.until or utc(each.until) > utc(now))
        ),
        outage_since=next((each.start for each in open_outages if each.end is None), None),
    )

"""Customers, their contacts and their instances: to whom the promises were made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo

from maintsched.birth import FrozenMapping, settle_fields
from maintsched.contract import Contract
from maintsched.errors import InvalidValue, UnknownName
from maintsched.grammar import (
    email_address,
    is_ip_address,
    require_host,
    require_key,
    require_link,
    require_once,
    require_text,
)
from maintsched.localtime import start_of_day
from maintsched.recurrence import Frequency, Recurrence, Rule
from maintsched.version import Version


class Language(StrEnum):
    """Languages that notices are written in."""

    DE = "de"
    EN = "en"


class CalendarMethod(StrEnum):
    """How a contact's calendar is told."""

    PUBLISH = "publish"  # an event to look at
    REQUEST = "request"  # an invitation
    NONE = "none"  # for machines: no method


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person or mailbox of a customer; `roles` decide which notices reach it."""

    key: str
    name: str
    email: str
    roles: tuple[str, ...]
    zone: ZoneInfo = ZoneInfo("Europe/Berlin")
    calendar: CalendarMethod = CalendarMethod.PUBLISH
    language: Language | None = None
    """None: the language of the customer."""

    def __post_init__(self) -> None:
        """Refuse bad keys, names, addresses and roles; encode the domain of the address."""
        settle_fields(self)
        require_key("key", self.key)
        require_text("name", self.name)
        object.__setattr__(self, "email", email_address("email", self.email))
        for role in self.roles:
            require_key("roles", role)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRule:
    """When an instance is backed up: at the local `times` of day, on the dates of `rule` counted from `anchor`."""

    times: tuple[time, ...]
    rule: Rule = Rule(frequency=Frequency.DAILY)
    anchor: date = date(2000, 1, 1)

    def __post_init__(self) -> None:
        """Refuse a rule without times."""
        settle_fields(self)
        if not self.times:
            raise InvalidValue("times", expected="at least one time of day", found="none", field="times")
        for at in self.times:
            if at.tzinfo is not None:
                raise InvalidValue("times", expected="wall clock times without offset", found=at, field="times")
        require_once("times", "each time once", self.times)
        Recurrence(rule=self.rule, anchor=self.anchor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One hosted portal in one environment, on one host; several instances may share a host."""

    key: str
    host: str
    environment: str = "prod"
    url: str | None = None
    """None: derived from the URL of the customer's production instance (clause 2.3)."""
    track: str | None = None
    """None: the track of the contract."""
    components: tuple[str, ...] = ()
    """Empty: every component of the contract."""
    executor: str = "apt"
    wave: int | None = None
    """None: the wave of its environment."""
    managed: bool = True
    """False: on the customer's own system; nothing touches it without a recorded consent (clause 7.7)."""
    backup: BackupRule | None = None
    """None: nothing was declared about backups, so that nothing can be checked beforehand."""
    versions: Mapping[str, Version] = field(default_factory=dict)
    """What is installed, by component."""
    starts_on: date | None = None
    ends_on: date | None = None
    """Last day of the subscription; no later window plans the instance (clause 4.2)."""

    def __post_init__(self) -> None:
        """Refuse what breaks a grammar or a bound."""
        settle_fields(self)
        require_key("key", self.key)
        require_host("host", self.host)
        require_key("executor", self.executor)
        if self.url is not None:
            require_link("url", self.url)
        if self.wave is not None and not 1 <= self.wave <= 99:
            raise InvalidValue("wave", expected="a number from 1 to 99", found=self.wave, field="wave")
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            raise InvalidValue(
                "ends_on", expected=f"no day before {self.starts_on}", found=self.ends_on, field="ends_on"
            )
        require_once("components", "each component once", self.components)


WORK_NOTICES = ("started", "finished", "failed", "overrun")
"""Kinds of notices about work that goes on; each can be switched off for a customer."""


@dataclass(frozen=True, kw_only=True)
class Customer:
    """A customer with its contacts and instances."""

    key: str
    name: str
    language: Language
    package: str
    contacts: tuple[Contact, ...] = field(default=(), metadata={"key": "contact"})
    instances: tuple[Instance, ...] = field(default=(), metadata={"key": "instance"})
    sender: str | None = None
    """Sender of notices to a customer with a mail domain of its own (clause 2.1)."""
    work_notices: tuple[str, ...] | None = None
    """Which notices of work it gets, of `started`, `finished`, `failed`, `overrun`; None: all of them."""

    def __post_init__(self) -> None:
        """Refuse bad names, contacts of one key, and notices of work that there are none of."""
        settle_fields(self)
        require_key("key", self.key)
        require_text("name", self.name)
        for kind in self.work_notices or ():
            if kind not in WORK_NOTICES:
                raise UnknownName("work_notices", found=kind, known=WORK_NOTICES, field="work_notices")
        if self.sender is not None:
            object.__setattr__(self, "sender", email_address("sender", self.sender))
        require_once("contact", "each key once", [contact.key for contact in self.contacts])


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All customers; keys of customers and of instances are unique in the fleet."""

    customers: tuple[Customer, ...] = field(default=(), metadata={"key": "customer"})

    def __post_init__(self) -> None:
        """Refuse keys that occur twice."""
        settle_fields(self)
        require_once("customer", "each key once", [customer.key for customer in self.customers])
        require_once("instance", "each key once", [instance.key for instance in self.instances()])

    @cached_property
    def owners(self) -> Mapping[str, Customer]:
        """The customer of each instance, by the instance's key."""
        return FrozenMapping((instance.key, customer) for customer in self.customers for instance in customer.instances)

    @cached_property
    def _by_key(self) -> Mapping[str, Customer]:
        return FrozenMapping((customer.key, customer) for customer in self.customers)

    def customer(self, key: str) -> Customer:
        """Return the customer `key`."""
        found = self._by_key.get(key)
        if found is None:
            raise UnknownName("customer", found=key, known=self._by_key)
        return found

    def instances(self) -> Iterator[Instance]:
        """Return every instance, in the order of the fleet."""
        return (instance for customer in self.customers for instance in customer.instances)

    def instance(self, key: str) -> Instance:
        """Return the instance `key`."""
        owner = self.owners.get(key)
        if owner is None:
            raise UnknownName("instance", found=key, known=self.owners)
        return next(instance for instance in owner.instances if instance.key == key)


def check_fleet(contract: Contract, fleet: Fleet) -> None:
    """Refuse a fleet that names packages, environments, tracks or components which `contract` does not know."""
    for customer in fleet.customers:
        try:
            contract.package(customer.package)
        except UnknownName as error:
            subject = ("customer", customer.key)
            known = contract.packages
            raise UnknownName(
                "package", found=customer.package, known=known, field="package", subject=subject
            ) from error
        for instance in customer.instances:
            _check_instance(contract, instance)


def _check_instance(contract: Contract, instance: Instance) -> None:
    subject = ("instance", instance.key)
    for field_name, values, known in (
        ("environment", (instance.environment,), contract.environments),
        ("track", (instance.track or contract.track,), contract.tracks),
        ("components", instance.components, contract.components),
        ("versions", instance.versions, contract.components),
    ):
        for value in values:
            if value not in known:
                raise UnknownName(field_name, found=value, known=known, field=field_name, subject=subject)


def instance_url(contract: Contract, customer: Customer, instance: Instance) -> str | None:
    """Return the URL of `instance`: its own, else the production URL with the environment's suffix (clause 2.3).

    None where no production instance has a URL, or one whose host is an IP address: numbers have no suffix.
    """
    if instance.url is not None:
        return instance.url
    production = (other.url for other in customer.instances if other.environment == contract.production and other.url)
    url = next(production, None)
    if url is None:
        return None
    host = require_link("url", url)
    if is_ip_address(host):
        return None
    scheme, slashes, rest = url.partition("://")
    label = host.partition(".")[0]
    return f"{scheme}{slashes}{label}{contract.environments[instance.environment]}{rest.removeprefix(label)}"


def active_span(contract: Contract, instance: Instance) -> tuple[datetime | None, datetime | None]:
    """Return when the subscription of `instance` starts and ends as instants; None is open."""
    start = start_of_day(instance.starts_on, contract.zone) if instance.starts_on else None
    end = start_of_day(instance.ends_on + timedelta(days=1), contract.zone) if instance.ends_on else None
    return start, end

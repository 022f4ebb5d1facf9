"""What makes one fleet another: customers, contacts and instances that were added, changed field by field, or removed.

The order of a file is no part of that: a fleet whose customers merely stand in another order is the same one.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date, datetime, time
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from maintsched.facts import DeclaredWindow, Facts, Freeze
from maintsched.fleet import Contact, Customer, Fleet, Instance
from maintsched.localtime import utc
from maintsched.version import Version


class Thing(StrEnum):
    """What a change is about: the fleet, or what was declared beside it."""

    CUSTOMER = "customer"
    CONTACT = "contact"
    INSTANCE = "instance"
    RELEASE = "release"
    DEFERRAL = "deferral"
    PIN = "pin"
    FREEZE = "freeze"
    CONSENT = "consent"
    TRACK_SWITCH = "track_switch"


class How(StrEnum):
    """What became of a thing."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class FieldChange(NamedTuple):
    """One field of a thing: its value before and after."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one thing. `before` is None for one that was added, `after` for one that was removed.

    A customer stands there without its contacts and instances: what became of those are changes of their own.
    """

    thing: Thing
    key: str
    """The thing's own name; that of a contact is `customer/contact`."""
    customer: str | None = None
    """Whose it is, or was; None for what belongs to nobody alone."""
    before: Any = None
    after: Any = None
    fields: tuple[FieldChange, ...] = ()
    """What differs, where the thing was changed. An instance that went to another customer has the field `customer`."""

    @property
    def how(self) -> How:
        """What became of the thing."""
        if self.before is None:
            return How.ADDED
        return How.REMOVED if self.after is None else How.CHANGED


OF_A_FLEET = (Thing.CUSTOMER, Thing.CONTACT, Thing.INSTANCE)
MANY = 50
SHARE = 5
"""More than `MANY` things, or more than one in `SHARE`, are many."""


@dataclass(frozen=True, kw_only=True)
class FleetDiff:
    """Everything that makes one fleet another. Without changes it is false."""

    changes: tuple[Change, ...] = ()
    left: tuple[Change, ...] = ()
    """What only the fleet before has and what stays there, since nothing is removed."""
    size: int = 0
    """How many customers, contacts and instances the fleet before has."""

    def __bool__(self) -> bool:
        """Say whether there is any change."""
        return bool(self.changes)

    @cached_property
    def counts(self) -> Mapping[tuple[Thing, How], int]:
        """How many things of a kind were added, changed, removed; only where there are any."""
        found: dict[tuple[Thing, How], int] = {}
        for each in self.changes:
            found[each.thing, each.how] = found.get((each.thing, each.how), 0) + 1
        return found

    def of(self, *things: Thing, how: How | None = None) -> Iterator[Change]:
        """Return the changes of these kinds, in order."""
        return (each for each in self.changes if each.thing in things and how in (None, each.how))

    def struck(self) -> list[Change]:
        """Return the customers, contacts and instances that are changed or removed: what is there and will be other."""
        return [each for each in self.of(*OF_A_FLEET) if each.how is not How.ADDED]

    @property
    def is_bulk(self) -> bool:
        """Say whether somebody should look first: anything is removed, or more than 50 or 20 % of the things change."""
        struck = len(self.struck())
        removed = any(each.how is How.REMOVED for each in self.changes)
        return removed or struck > MANY or struck * SHARE > self.size

    def without_removals(self) -> "FleetDiff":
        """Return the same difference with everything left where it is that would be removed."""
        gone = tuple(each for each in self.changes if each.how is How.REMOVED)
        return replace(self, changes=tuple(each for each in self.changes if each.after is not None), left=gone)


def diff(before: Fleet, after: Fleet) -> FleetDiff:
    """Return what makes `before` the fleet `after`; removals last, each customer's things together."""
    old, new = _things(before), _things(after)
    changed = (change_of(thing, key, old.get((thing, key)), value) for (thing, key), value in new.items())
    removed = (change_of(thing, key, value, None) for (thing, key), value in old.items() if (thing, key) not in new)
    return FleetDiff(changes=tuple(each for each in (*changed, *removed) if each is not None), size=len(old))


class Owned(NamedTuple):
    """A thing, and the customer whose it is."""

    value: Any
    customer: str | None


def _things(fleet: Fleet) -> dict[tuple[Thing, str], Owned]:
    """Return all things of a fleet by kind and key, those of a customer behind it."""
    found: dict[tuple[Thing, str], Owned] = {}
    for customer in fleet.customers:
        found[Thing.CUSTOMER, customer.key] = Owned(customer, customer.key)
        for contact in customer.contacts:
            found[Thing.CONTACT, f"{customer.key}/{contact.key}"] = Owned(contact, customer.key)
        for instance in customer.instances:
            found[Thing.INSTANCE, instance.key] = Owned(instance, customer.key)
    return found


def change_of(thing: Thing, key: str, before: Owned | None, after: Owned | None) -> Change | None:
    """Return what became of one thing; None where nothing did."""
    owner = after or before
    if owner is None:
        return None
    changed = tuple(_changed_fields(before, after)) if before and after else ()
    if before and after and not changed:
        return None
    return Change(
        thing=thing,
        key=key,
        customer=owner.customer,
        before=before and _alone(before.value),
        after=after and _alone(after.value),
        fields=changed,
    )


def _alone(value: Any) -> Any:
    """Return a thing without what it holds, which has changes of its own."""
    return replace(value, contacts=(), instances=()) if isinstance(value, Customer) else value


def _changed_fields(before: Owned, after: Owned) -> Iterator[FieldChange]:
    if before.customer != after.customer:
        yield FieldChange("customer", before.customer, after.customer)
    for name in field_names(type(after.value)):
        old, new = getattr(before.value, name), getattr(after.value, name)
        if not _same(old, new):
            yield FieldChange(name, old, new)


_NOT_ITS_OWN = frozenset({"key", "contacts", "instances"})
_FIELD_NAMES: dict[type, tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind) if each.name not in _NOT_ITS_OWN)
    for kind in (Customer, Contact, Instance)
}


def field_names(kind: type) -> tuple[str, ...]:
    """Return the fields that a thing is described by: not its key, and not what it holds."""
    return _FIELD_NAMES.get(kind) or tuple(each.name for each in fields(kind) if each.name != "key")


def _same(old: object, new: object) -> bool:
    """Say whether two values are the same to a store: an instant in every zone, a version to the last letter."""
    if isinstance(old, datetime) and isinstance(new, datetime):
        return utc(old) == utc(new)
    if isinstance(old, _BY_TEXT):
        return str(old) == str(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_same(value, new[name]) for name, value in old.items())
    if isinstance(old, tuple) and isinstance(new, tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    return old == new


_BY_TEXT = (ZoneInfo, Version)
"""Two of the same text are the same, and two that are equal need not be: builds of one version are."""


# --- applying it ------------------------------------------------------------------------------------------------------


def merged(before: Fleet, after: Fleet, *, prune: bool) -> Fleet:
    """Return the fleet once `after` was taken over: with `prune` it is `after`, without it nothing is lost.

    What `after` names comes first and in its order. An instance that went to another customer is not kept with the old.
    """
    if prune:
        return after
    old = {customer.key: customer for customer in before.customers}
    placed = {instance.key for instance in after.instances()}
    taken = [_with_rest(customer, old.pop(customer.key, None), placed) for customer in after.customers]
    return Fleet(customers=(*taken, *(_without(customer, placed) for customer in old.values())))


def _with_rest(customer: Customer, old: Customer | None, placed: set[str]) -> Customer:
    """Return a customer with the contacts and instances that only the fleet before has."""
    if old is None:
        return customer
    known = {contact.key for contact in customer.contacts}
    contacts = tuple(contact for contact in old.contacts if contact.key not in known)
    instances = tuple(instance for instance in old.instances if instance.key not in placed)
    if not contacts and not instances:
        return customer
    return replace(customer, contacts=(*customer.contacts, *contacts), instances=(*customer.instances, *instances))


def _without(customer: Customer, placed: set[str]) -> Customer:
    instances = tuple(instance for instance in customer.instances if instance.key not in placed)
    return customer if len(instances) == len(customer.instances) else replace(customer, instances=instances)


# --- what remains -----------------------------------------------------------------------------------------------------


def facts_of(fleet: Fleet, facts: Facts) -> Facts:
    """Return the facts as far as `fleet` has what they name: a fleet changes, what was declared for it does not.

    What named only what is not there any more is left out: without names it would be for everything.
    """
    customers = {customer.key for customer in fleet.customers}
    return replace(
        facts,
        windows=tuple(_windows_of(fleet, facts)),
        freezes=tuple(_freezes_of(fleet, customers, facts)),
        deferrals=tuple(each for each in facts.deferrals if each.instance in fleet.owners),
        pins=tuple(each for each in facts.pins if each.instance in fleet.owners),
        outages=tuple(each for each in facts.outages if each.instance is None or each.instance in fleet.owners),
        consents=tuple(each for each in facts.consents if each.instance in fleet.owners),
        track_switches=tuple(each for each in facts.track_switches if each.instance in fleet.owners),
    )


def _windows_of(fleet: Fleet, facts: Facts) -> Iterator[DeclaredWindow]:
    for window in facts.windows:
        instances = tuple(key for key in window.instances if key in fleet.owners)
        if instances == window.instances:
            yield window
        elif instances:
            yield replace(window, instances=instances)


def _freezes_of(fleet: Fleet, customers: Set[str], facts: Facts) -> Iterator[Freeze]:
    for freeze in facts.freezes:
        named = tuple(key for key in freeze.customers if key in customers)
        instances = tuple(key for key in freeze.instances if key in fleet.owners)
        if (named, instances) == (freeze.customers, freeze.instances):
            yield freeze
        elif named or instances:
            yield replace(freeze, customers=named, instances=instances)


# --- saying it --------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Return a value as JSON writes it: instants and dates in ISO 8601, everything with a text form as that text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if is_dataclass(value) and type(value).__str__ is object.__str__:
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return str(value)

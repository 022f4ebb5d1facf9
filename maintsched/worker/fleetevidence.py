"""What the journal says of a synchronised fleet: one entry in the chain of each instance that it concerns.

An entry names contacts by key, and what is personal only as having changed: names never, addresses as salted hashes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from maintsched.facts import Freeze
from maintsched.fleet import Fleet
from maintsched.fleetdiff import Change, FleetDiff, How, Thing, field_names, plain
from maintsched.journal import PROVIDER, EntryKind, Event, instant_text
from maintsched.store.fleets import KeptContact, address_hash
from maintsched.worker.freezes import covered, freeze_events

PERSONAL = frozenset({"name", "email", "sender", "given_by"})
"""Fields whose values no entry holds."""
Contacts = Mapping[tuple[str, str], KeptContact]


def fleet_events(before: Fleet, after: Fleet, found: FleetDiff, contacts: Contacts, now: datetime) -> Iterator[Event]:
    """Return the entries about customers, contacts and instances; `contacts` has those before and after."""
    accounts = _accounts(found, contacts)
    known = {customer.key: customer for customer in (*before.customers, *after.customers)}
    chains: dict[str, dict[str, Any]] = {}
    for change in found.of(Thing.INSTANCE):
        chains[change.key] = {"customer": change.customer, "instance": _told(change)}
    alone = []
    for customer, told in accounts.items():
        instances = [each.key for each in known[customer].instances]
        for key in instances:
            chains.setdefault(key, {"customer": customer})
            if chains[key]["customer"] == customer:
                chains[key] |= told
        if not instances:
            alone.append(_event(PROVIDER, f"customer/{customer}", {"customer": customer, **told}, now))
    yield from alone
    for key, data in chains.items():
        yield _event(key, f"instance/{key}", data, now)


def _event(chain: str, subject: str, data: Mapping[str, Any], now: datetime) -> Event:
    return Event(chain=chain, at=now, kind=EntryKind.INSTANCE_CHANGED, subject=subject, data=data)


def _accounts(found: FleetDiff, contacts: Contacts) -> dict[str, dict[str, Any]]:
    """Return what is said of customers and their contacts, by customer."""
    accounts: dict[str, dict[str, Any]] = defaultdict(dict)
    for change in found.of(Thing.CUSTOMER, Thing.CONTACT):
        account = accounts[change.customer or ""]
        if change.thing is Thing.CUSTOMER:
            account["account"] = _told(change)
        else:
            account.setdefault("contacts", []).append(_told_of_contact(change, contacts))
    return accounts


def _told_of_contact(change: Change, contacts: Contacts) -> dict[str, Any]:
    contact = change.after or change.before
    told = {"contact": contact.key, **_told(change)}
    kept = contacts.get((change.customer or "", contact.key))
    if kept is not None and kept.salt:
        told["address"] = address_hash(kept.salt, contact.email)
    return told


def _told(change: Change) -> dict[str, Any]:
    """Return what became of a thing as JSON values: everything of a new one, what differs in a changed one."""
    if change.how is How.REMOVED:
        return {"change": str(change.how)}
    if change.how is How.ADDED:
        names = [name for name in field_names(type(change.after)) if name not in PERSONAL]
        return {"change": str(change.how), "fields": {name: plain(getattr(change.after, name)) for name in names}}
    told: dict[str, Any] = {"change": str(change.how)}
    open_fields = [each for each in change.fields if each.field not in PERSONAL]
    if open_fields:
        told["fields"] = {
            each.field: {"before": plain(each.before), "after": plain(each.after)} for each in open_fields
        }
    personal = sorted(each.field for each in change.fields if each.field in PERSONAL)
    return told | ({"personal": personal} if personal else {})


# --- facts ------------------------------------------------------------------------------------------------------------


def fact_events(fleet: Fleet, found: FleetDiff, now: datetime) -> Iterator[Event]:
    """Return the entries about what was declared for instances. Releases are nobody's alone: they have none."""
    for change in found.of(Thing.DEFERRAL, Thing.PIN, Thing.CONSENT, Thing.TRACK_SWITCH):
        kind = EntryKind.DEFERRAL_GRANTED if change.thing is Thing.DEFERRAL else EntryKind.INSTANCE_CHANGED
        subject = f"{change.thing}/{change.key}"
        data = {"customer": fleet.owners[change.after.instance].key, str(change.thing): _told(change)}
        yield Event(chain=change.after.instance, at=now, kind=kind, subject=subject, data=data)
    for change in found.of(Thing.FREEZE):
        yield from _freeze_events(fleet, change.before, change.after, now)


def _freeze_events(fleet: Fleet, before: Freeze | None, after: Freeze, now: datetime) -> Iterable[Event]:
    """Return the entries about a freeze: it was added, or it changed, which may have ended it for some instances."""
    if before is None:
        return freeze_events(fleet, after, EntryKind.FREEZE_ADDED, now)
    previous = {"start": instant_text(before.start), "end": instant_text(before.end)}
    holds = freeze_events(fleet, after, EntryKind.FREEZE_ADDED, now, previous=previous)
    released = set(covered(fleet, before)).difference(covered(fleet, after))
    ended = freeze_events(fleet, before, EntryKind.FREEZE_ENDED, now, why="it holds for others now")
    return [*holds, *(each for each in ended if each.chain in released)]

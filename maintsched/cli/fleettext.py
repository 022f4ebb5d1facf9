"""How `maintsched fleet` prints a difference, customers, how they stand, and what an erasure did."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

from maintsched.contract import Contract
from maintsched.errors import printable, show
from maintsched.fleet import Contact, Customer, Fleet
from maintsched.fleetdiff import Change, FleetDiff, How, Thing, field_names, plain
from maintsched.report.datewords import DateWords
from maintsched.report.words import Words
from maintsched.worker.erasure import Erasure
from maintsched.worker.standing import MONTHS, InstanceStanding, Standing

SHOWN = 20
"""How many changes in a row of one kind a difference shows."""
_SIGNS = {How.ADDED: "+", How.CHANGED: "~", How.REMOVED: "-"}


def diff_lines(found: FleetDiff) -> Iterator[str]:
    """Return a difference as lines: each change, a count of each kind, what only the database has."""
    by_kind = sorted(found.changes, key=lambda each: (list(Thing).index(each.thing), list(How).index(each.how)))
    for (thing, how), group in groupby(by_kind, key=lambda each: (each.thing, each.how)):
        listed = list(group)
        for each in listed[:SHOWN]:
            yield f"{_SIGNS[how]} {_word(thing):<12} {printable(each.key)}{_details(each)}"
        if len(listed) > SHOWN:
            yield f"{_SIGNS[how]} {_word(thing):<12} and {len(listed) - SHOWN:,} more"
    counts = [f"{_number(count, thing)} {how}" for (thing, how), count in sorted(found.counts.items(), key=_order)]
    yield ", ".join(counts) if counts else "nothing changes"
    if found.left:
        first = ", ".join(each.key for each in found.left[:3])
        more = f" and {len(found.left) - 3:,} more" if len(found.left) > 3 else ""
        yield f"the files do not name {first}{more}: left there; --prune removes what they do not name"


def _order(item: tuple[tuple[Thing, How], int]) -> tuple[int, int]:
    (thing, how), _ = item
    return list(Thing).index(thing), list(How).index(how)


def _word(thing: Thing) -> str:
    return thing.replace("_", " ")


def _number(count: int, thing: Thing) -> str:
    word = _word(thing)
    return f"{count:,} {word if count == 1 else word + ('es' if word.endswith('ch') else 's')}"


def _details(change: Change) -> str:
    if change.how is not How.CHANGED:
        return ""
    return ": " + ", ".join(f"{each.field} {_short(each.before)} -> {_short(each.after)}" for each in change.fields)


def _short(value: Any) -> str:
    """Return a value on one line; texts as they are, so that they can be compared."""
    found = plain(value)
    if found is None or found in ([], {}):
        return "none"
    if isinstance(found, str):
        return show(found)[1:-1]
    return printable(json.dumps(found, ensure_ascii=False))


def diff_json(found: FleetDiff) -> str:
    """Return a difference as JSON."""
    changes = [
        {
            "thing": str(each.thing),
            "change": str(each.how),
            "key": each.key,
            "customer": each.customer,
            "fields": _fields_json(each),
        }
        for each in found.changes
    ]
    counts: dict[str, dict[str, int]] = {}
    for (thing, how), count in sorted(found.counts.items(), key=_order):
        counts.setdefault(str(thing), {})[str(how)] = count
    left = [{"thing": str(each.thing), "key": each.key} for each in found.left]
    return json.dumps({"changes": changes, "counts": counts, "left": left}, ensure_ascii=False, indent=2)


def _fields_json(change: Change) -> dict[str, Any]:
    if change.how is How.CHANGED:
        return {each.field: {"before": plain(each.before), "after": plain(each.after)} for each in change.fields}
    thing = change.after or change.before
    return {name: plain(getattr(thing, name)) for name in field_names(type(thing))}


# --- customers --------------------------------------------------------------------------------------------------------


def customer_lines(fleet: Fleet) -> Iterator[str]:
    """Return a line for each customer."""
    if not fleet.customers:
        yield "no customers yet: `maintsched fleet sync FILE` brings them in"
    width = max((len(customer.key) for customer in fleet.customers), default=0)
    for customer in fleet.customers:
        counts = f"{_number(len(customer.instances), Thing.INSTANCE)}, {_number(len(customer.contacts), Thing.CONTACT)}"
        yield f"{customer.key:<{width}}  {printable(customer.name)}, {customer.package}, {customer.language}: {counts}"


def customer_json(customer: Customer) -> dict[str, Any]:
    """Return a customer as JSON values."""
    return {
        "key": customer.key,
        "name": customer.name,
        "language": str(customer.language),
        "package": customer.package,
        "sender": customer.sender,
        "work_notices": None if customer.work_notices is None else list(customer.work_notices),
        "contacts": [_contact_json(each) for each in customer.contacts],
        "instances": [
            {"key": each.key, "environment": each.environment, "host": each.host} for each in customer.instances
        ],
    }


def _contact_json(contact: Contact) -> dict[str, Any]:
    return {"key": contact.key, **{name: plain(getattr(contact, name)) for name in field_names(Contact)}}


# --- how they stand ---------------------------------------------------------------------------------------------------


def standing_lines(standing: Standing, contract: Contract, now: datetime) -> Iterator[str]:
    """Return how a customer or an instance stands."""
    dates = DateWords(words=Words.of("en"), zone=contract.zone, now=now)
    customer = standing.customer
    if standing.whole:
        yield f"{customer.key}  {printable(customer.name)}, package {customer.package}, language {customer.language}"
        if not customer.contacts:
            yield "  no contacts: nobody of this customer can be told"
        for contact in customer.contacts:
            roles = ", ".join(contact.roles) or "no roles"
            name = f"{printable(contact.name)} <{contact.email}>"
            yield f"  contact {contact.key}: {name}, {roles}, {contact.zone.key}"
    for each in standing.instances:
        yield from (f"{'  ' if standing.whole else ''}{line}" for line in _instance_lines(each, dates))


def _instance_lines(standing: InstanceStanding, dates: DateWords) -> Iterator[str]:
    instance = standing.instance
    yield f"instance {instance.key}, {instance.environment} of {standing.customer.key}"
    yield f"  on {instance.host}" + (f", {standing.url}" if standing.url else ", no URL known")
    versions = ", ".join(f"{component} {version}" for component, version in instance.versions.items())
    yield f"  track {standing.track}" + (f", {versions}" if versions else "")
    if not instance.managed:
        yield "  on the customer's own system: nothing touches it without a recorded consent"
    for word, day in (("starts", instance.starts_on), ("ends", instance.ends_on)):
        if day is not None:
            yield f"  subscription {word} on {dates.day(day)}"
    yield f"  {_window_line(standing, dates)}"
    for freeze in standing.freezes:
        classes = ", ".join(freeze.classes)
        yield f"  freeze {freeze.key} until {dates.at(freeze.end)}: {classes} ({printable(freeze.reason)})"
    for running in standing.deferrals:
        into = running.window.id if running.window else "no window"
        yield f"  deferral of {running.deferral.release} until {dates.at(running.end)}, goes in with {into}"
    for pin in standing.pins:
        until = f"until {dates.at(pin.until)}" if pin.until is not None else "until it is unpinned"
        yield f"  {pin.component} stays at {pin.version} {until} ({printable(pin.reason)})"
    if standing.outage_since is not None:
        yield f"  not available since {dates.at(standing.outage_since)}"


def _window_line(standing: InstanceStanding, dates: DateWords) -> str:
    if standing.window is None:
        return f"no window in the next {MONTHS} months"
    window, notice = standing.window.window, standing.window.notices[0]
    when = f"next window {window.id}, {dates.day(dates.local_date(window.start))}"
    when += f", {dates.hours(window.start, window.end)}"
    if standing.told_at is not None:
        return f"{when}: told {dates.at(standing.told_at)}"
    bound = "before" if notice.due.exclusive else "by"
    return f"{when}: not told yet, due {bound} {dates.at(notice.deadline)}"


def standing_json(standing: Standing) -> dict[str, Any]:
    """Return how a customer or an instance stands as JSON values; `customer` is left out for one instance."""
    instances = [_instance_json(each) for each in standing.instances]
    if standing.whole:
        return {**customer_json(standing.customer), "instances": instances}
    return instances[0]


def _instance_json(standing: InstanceStanding) -> dict[str, Any]:
    planned = standing.window
    window = planned and {
        "id": planned.window.id,
        "start": planned.window.start.isoformat(),
        "end": planned.window.end.isoformat(),
        "deadline": planned.notices[0].deadline.isoformat(),
        "told_at": standing.told_at.isoformat() if standing.told_at else None,
    }
    return {
        "key": standing.instance.key,
        "customer": standing.customer.key,
        **{name: plain(getattr(standing.instance, name)) for name in field_names(type(standing.instance))},
        "url": standing.url,
        "next_window": window,
        "freezes": [{"key": each.key, "end": each.end.isoformat()} for each in standing.freezes],
        "deferrals": [
            {"release": str(each.deferral.release), "until": each.end.isoformat()} for each in standing.deferrals
        ],
        "track": standing.track,
        "pins": [{"component": each.component, "version": str(each.version)} for each in standing.pins],
        "outage_since": standing.outage_since.isoformat() if standing.outage_since else None,
    }


# --- what was erased --------------------------------------------------------------------------------------------------


def erasure_lines(done: Erasure) -> Iterator[str]:
    """Return what an erasure did, and what remains."""
    name = f"{done.customer}/{done.contact}"
    if done.again:
        yield f"{name} was erased at {done.erased_at.isoformat()}; the database file was cleaned once more"
        return
    yield f"{name} is erased: name, address and the salt of its hash"
    if done.withdrawn:
        yield f"cancelled: {_notices(len(done.withdrawn))} to it that had not gone out"
    if done.under_way:
        yield f"on its way at this moment, and not to be stopped: {_notices(len(done.under_way))}"
    if not done.others:
        yield f"{done.customer} has no other contact: nobody of it can be told until the fleet files name one"
    yield f"what remains: the key {name}, and in the journal a hash of the address that nobody can follow"
    yield "take the contact out of the fleet files too; mails that were sent and backups keep what they hold"


def _notices(count: int) -> str:
    return f"{count} notice{'s' if count != 1 else ''}"

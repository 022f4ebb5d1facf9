"""Takes fleet files over into the database: the difference first, then all of it in one transaction, with evidence.

With a database, the database is the truth (law 11): files enter here and nowhere else. Windows and outages do not come
by file, since people have to be told of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from maintsched.contract import Contract
from maintsched.errors import ChangeRefused
from maintsched.facts import Facts, check_facts
from maintsched.fleet import Fleet, check_fleet
from maintsched.fleetdiff import OF_A_FLEET, FleetDiff, How, Thing, diff, merged
from maintsched.localtime import utc
from maintsched.runs import UNDER_WAY
from maintsched.store.declared import read_consents, read_deferrals, read_freezes, read_outages, read_pins
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.store.fleets import kept_contacts, read_fleet, write_fleet
from maintsched.store.runs import read_runs
from maintsched.store.windows import read_announcements
from maintsched.worker.declarations import known_facts, synced_facts, write_synced
from maintsched.worker.departure import withdraw_of_contacts, withdraw_of_instances
from maintsched.worker.fleetevidence import fact_events, fleet_events
from maintsched.worker.freezes import FreezeState, state_of

NAMED = 10
"""How many things a refusal names."""


@dataclass(frozen=True, kw_only=True)
class _Sync:
    """A synchronisation that is worked out."""

    before: Fleet
    after: Fleet
    diff: FleetDiff


def compare_fleet(
    store: Store, contract: Contract, fleet: Fleet, facts: Facts, *, prune: bool, now: datetime
) -> FleetDiff:
    """Return what `sync_fleet` would do, and do nothing. It refuses what that refuses."""
    with store.reading() as connection:
        return _worked_out(connection, contract, fleet, facts, prune=prune, now=now).diff


def sync_fleet(
    store: Store,
    contract: Contract,
    fleet: Fleet,
    facts: Facts,
    *,
    prune: bool,
    now: datetime,
    expected: FleetDiff | None = None,
) -> FleetDiff:
    """Make the database hold `fleet` and `facts`; return what that changed. A second time, it changes nothing.

    Without `prune`, nothing is removed: what only the database has is left there (`FleetDiff.left`). With it,
    customers, contacts and instances that `fleet` does not name are removed; facts never are. `expected` is the
    difference that somebody agreed to: if it is another one by now, nothing is done.

    Raises `ChangeRefused` for windows and outages, for what is still in force for something that would be removed, for
    contacts whose data were erased, and where `expected` does not hold any more; `InvalidValue` for a fleet or facts
    that the contract does not allow.
    """
    with store.writing() as connection:
        sync = _worked_out(connection, contract, fleet, facts, prune=prune, now=now)
        if expected is not None and sync.diff != expected:
            wanted = "the state that the difference was shown for (look again)"
            raise ChangeRefused("fleet", expected=wanted, found="another one: somebody changed it meanwhile")
        if sync.diff:
            _apply(connection, sync, now)
    return sync.diff


def _worked_out(
    connection: Connection, contract: Contract, fleet: Fleet, facts: Facts, *, prune: bool, now: datetime
) -> _Sync:
    _require_no_events(facts)
    if prune and not fleet.customers:
        raise ChangeRefused("--prune", expected="files with customers to prune to", found="none")
    before = read_fleet(connection)
    after = merged(before, fleet, prune=prune)
    found = diff(before, fleet)
    if prune:
        _require_unneeded(connection, found, now)
    else:
        found = found.without_removals()
    _require_not_erased(connection, found)
    check_fleet(contract, after)
    changes = synced_facts(connection, facts)
    check_facts(contract, after, known_facts(connection, after, changes))
    return _Sync(before=before, after=after, diff=replace(found, changes=(*found.changes, *changes)))


def _apply(connection: Connection, sync: _Sync, now: datetime) -> None:
    contacts = kept_contacts(connection)
    if any(sync.diff.of(*OF_A_FLEET)):
        write_fleet(connection, sync.after)
        _take_leave(connection, sync.diff, now)
    write_synced(connection, sync.diff)
    contacts |= kept_contacts(connection)
    append(connection, fleet_events(sync.before, sync.after, sync.diff, contacts, now))
    append(connection, fact_events(sync.after, sync.diff, now))


def _take_leave(connection: Connection, found: FleetDiff, now: datetime) -> None:
    """Cancel what was to be told to people, or about instances, that are not there any more."""
    gone = list(found.of(Thing.CONTACT, how=How.REMOVED))
    withdraw_of_contacts(connection, [(each.customer or "", each.before.key) for each in gone], now)
    instances = list(found.of(Thing.INSTANCE, how=How.REMOVED))
    customers = {each.customer or "" for each in instances}
    withdraw_of_instances(connection, customers, [each.key for each in instances], now)


# --- what is refused --------------------------------------------------------------------------------------------------


def _require_no_events(facts: Facts) -> None:
    """Refuse windows and outages: a command enters them, which tells people in the same breath."""
    for things, command in (
        ([f"window {each.id}" for each in facts.windows], "maintsched window announce"),
        ([f"outage of {each.instance}" for each in facts.outages], "maintsched outage open"),
    ):
        if things:
            expected = f"no window or outage in a file (enter it with `{command}`, which tells the people it concerns)"
            raise ChangeRefused(things[0], expected=expected, found="one in a file")


def _require_not_erased(connection: Connection, found: FleetDiff) -> None:
    added = list(found.of(Thing.CONTACT, how=How.ADDED))
    if not added:
        return
    kept = kept_contacts(connection)
    for each in added:
        known = kept.get((each.customer or "", each.after.key))
        if known is not None and known.erased_at is not None:
            expected = "a contact whose data were not erased (take it out of the file, or give the person another key)"
            raise ChangeRefused(f"contact {each.key}", expected=expected, found=f"one erased at {known.erased_at}")


def _require_unneeded(connection: Connection, found: FleetDiff, now: datetime) -> None:
    """Refuse to remove instances and customers that something names which is still in force."""
    instances = {each.key for each in found.of(Thing.INSTANCE, how=How.REMOVED)}
    customers = {each.key for each in found.of(Thing.CUSTOMER, how=How.REMOVED)}
    if not instances and not customers:
        return
    needed = list(_in_force(connection, instances, customers, now))
    if needed:
        more = f" and {len(needed) - NAMED} more" if len(needed) > NAMED else ""
        expected = f"nothing in force for what is removed; first end {', '.join(needed[:NAMED])}{more}"
        raise ChangeRefused("--prune", expected=expected, found=f"{len(needed)} in force")


def _in_force(connection: Connection, instances: set[str], customers: set[str], now: datetime) -> Iterator[str]:
    """Return what names one of these and has not ended, in words, with the way to end it."""
    for kept in read_freezes(connection):
        freeze = kept.freeze
        names = sorted(instances.intersection(freeze.instances) | customers.intersection(freeze.customers))
        if names and state_of(kept, now) in (FreezeState.AHEAD, FreezeState.IN_FORCE):
            yield f"freeze {freeze.key} of {', '.join(names[:3])} (maintsched freeze end)"
    for announcement in read_announcements(connection, utc(now)):
        names = sorted(instances.intersection(announcement.window.instances))
        if names and not announcement.window.cancelled:
            yield f"window {announcement.id} of {', '.join(names[:3])} (maintsched window cancel)"
    for outage in read_outages(connection, since=utc(now)):
        if outage.outage.instance in instances and outage.outage.end is None:
            yield f"outage {outage.key} of {outage.outage.instance} (maintsched outage close)"
    for begun in read_runs(connection, states={str(each) for each in UNDER_WAY}):
        if begun.run.instance in instances:
            yield f"run {begun.run.key}, which is under way (maintsched run show)"
    yield from _agreed(connection, instances, now)


def _agreed(connection: Connection, instances: set[str], now: datetime) -> Iterator[str]:
    """Return what was agreed about one of these instances and has not ended."""
    for deferral in read_deferrals(connection):
        ended = deferral.withdrawn_at or deferral.until
        if deferral.instance in instances and utc(ended) > utc(now):
            yield f"deferral {deferral.id} (maintsched defer withdraw)"
    for pin in read_pins(connection):
        if pin.instance in instances and (pin.until is None or utc(pin.until) > utc(now)):
            yield f"pin {pin.id} (maintsched release unpin)"
    for consent in read_consents(connection):
        if consent.instance in instances and (consent.until is None or utc(consent.until) > utc(now)):
            yield f"consent of {consent.instance} (maintsched consent end)"

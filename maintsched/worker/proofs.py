"""Reads evidence from the store: the case of an instance and month, and whether all chains are whole."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, select

from maintsched.announcements import Announcement
from maintsched.availability import Availability, availability, month_span
from maintsched.contract import Contract
from maintsched.errors import UnknownName, printable
from maintsched.facts import Maintenance
from maintsched.fleet import Customer, Fleet, Instance
from maintsched.intake.config import ProviderConfig
from maintsched.journal import PROVIDER, START, Entry, Fault, Head, first_fault
from maintsched.localtime import utc
from maintsched.proof import Told, Worked, maintenance_of, told_by_contract, told_by_instance
from maintsched.report.casefile import (
    WINDOWS,
    Case,
    ChainCheck,
    Known,
    OutageCase,
    WindowCase,
    announced_case,
    living,
    moved_from,
    outage_entries,
    rule_case,
    stretch,
)
from maintsched.spans import Span
from maintsched.store.declared import read_outages
from maintsched.store.engine import Store
from maintsched.store.evidence import JOURNAL, begun_at, entry_from_row, heads
from maintsched.store.fleets import read_fleet
from maintsched.store.outbox import StoredNotice, read_notices, read_tellings, read_threads
from maintsched.store.runs import read_worked
from maintsched.store.windows import read_announcements
from maintsched.windows import monthly_windows
from maintsched.worker.heads import KeptHeads, epoch_faults
from maintsched.worker.reports import subscribed

ROWS_AT_ONCE = 1000
"""Entries that are held at once while a chain is read."""


# --- are the chains whole? --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check of chains found: the first fault of each chain that has one."""

    chains: int
    entries: int
    faults: tuple[Fault, ...] = ()
    unknown: tuple[str, ...] = field(default=())
    """What could not be checked, in words."""


def verify(store: Store, chains: Collection[str] = (), kept: KeptHeads | None = None) -> Verdict:
    """Check `chains`, or all there are, entry by entry, beside the heads that are `kept` outside the database.

    Raises `UnknownName` for a chain that nothing knows of. Reads in pieces, however long a chain is.
    """
    with store.reading() as connection:
        before = heads(connection)
        outside = kept.heads if kept else {}
        known = sorted({*connection.execute(select(JOURNAL.c.chain).distinct()).scalars(), *before, *outside})
        wanted = list(dict.fromkeys(chains)) or known
        _require_known(connection, wanted, known)
        faults = epoch_faults(connection, kept) if kept else []
        entries = 0
        for chain in wanted:
            check = check_chain(connection, chain, outside.get(chain))
            entries += check.entries
            faults += [check.fault] if check.fault else []
    return Verdict(chains=len(wanted), entries=entries, faults=tuple(faults))


def _require_known(connection: Connection, wanted: Iterable[str], known: Collection[str]) -> None:
    missing = [chain for chain in wanted if chain not in known]
    if missing:
        fleet = read_fleet(connection)
        for chain in missing:
            if chain not in fleet.owners:
                raise UnknownName("INSTANCE", found=chain, known=sorted({*known, *fleet.owners}))


class _Read:
    """Entries on their way through a check: counts them, and keeps the last one's head."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = entries
        self.count = 0
        self.last = START

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            yield entry
            self.count += 1
            self.last = entry.head


def check_chain(
    connection: Connection, chain: str, kept: Head | None, *, keep: list[Entry] | None = None
) -> ChainCheck:
    """Return whether a chain is whole: in itself, beside the head `kept` outside, and beside the database's own.

    `keep` takes the entries up to the first fault. Rows come in pieces, and no more of them than are looked at.
    """
    wanted = select(JOURNAL).where(JOURNAL.c.chain == chain).order_by(JOURNAL.c.seq)
    with connection.execute(wanted, execution_options={"yield_per": ROWS_AT_ONCE}) as rows:
        reading = _Read(entry_from_row(row) for row in rows.mappings())
        try:
            fault = first_fault(chain, _passing(reading, keep), kept)
        except (ValueError, TypeError, RecursionError) as error:  # what stands in the row is no entry at all
            seq = reading.last.seq + 1
            fault = Fault(chain, seq, f"entry {seq} cannot be read: {printable(str(error))[:200]}")
    if fault is None:
        fault = _beside_own_head(connection, chain, reading.last)
    if keep is not None and fault is not None:
        keep[:] = [entry for entry in keep if entry.seq < fault.seq]
    return ChainCheck(chain=chain, entries=reading.count, fault=fault, beside_heads=kept is not None)


def _passing(entries: Iterable[Entry], keep: list[Entry] | None) -> Iterator[Entry]:
    for entry in entries:
        if keep is not None:
            keep.append(entry)
        yield entry


def _beside_own_head(connection: Connection, chain: str, last: Head) -> Fault | None:
    """Compare the end of a chain with the head that the database keeps; another process may have written since."""
    own = heads(connection, {chain}).get(chain, START)
    if own == last:
        return None
    if own.seq <= last.seq:
        what = f"the database calls entry {own.seq} the last, or another one than this: {last.seq} entries are there"
        return Fault(chain, last.seq, what)
    newer = select(JOURNAL.c.seq).where(JOURNAL.c.chain == chain, JOURNAL.c.seq == own.seq)
    if connection.execute(newer).first() is not None:
        return None
    what = f"the tail is cut off: {own.seq} entries are known, the last is entry {last.seq}"
    return Fault(chain, last.seq + 1, what)


# --- the case of an instance and month --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What the working tables say of an instance and month, and the entries of its chain that are whole."""

    contract: Contract
    owner: Customer | None
    instance: Instance | None
    key: str
    month: str
    span: Span
    now: datetime
    announcements: tuple[Announcement, ...]
    told: Told
    worked: Mapping[tuple[str, str], Worked]
    entries: tuple[Entry, ...]
    begins_at: datetime | None


def read_case(
    store: Store,
    contract: Contract,
    provider: ProviderConfig,
    instance: str,
    month: str,
    *,
    now: datetime,
    kept: KeptHeads | None = None,
) -> Case:
    """Return everything about `instance` in the local `month` ("2026-12") that can be proved at `now`.

    Raises `UnknownName` for an instance that neither the fleet nor the journal knows.
    """
    span = month_span(contract, month)
    with store.reading() as connection:
        fleet = read_fleet(connection)
        if instance not in fleet.owners and instance not in heads(connection, {instance}):
            raise UnknownName("INSTANCE", found=instance, known=sorted(fleet.owners))
        entries: list[Entry] = []
        outside = kept.heads if kept else {}
        check = check_chain(connection, instance, outside.get(instance), keep=entries)
        moved = moved_from(entries, span)
        announcements = tuple(
            each
            for each in read_announcements(connection)
            if living(each, instance) and (each.span.overlaps(span) or each.id in moved)
        )
        shared, fault = _shared(connection, announcements, outside.get(PROVIDER))
        check = replace(check, fault=check.fault or fault)
        facts = _Facts(
            contract=contract,
            owner=fleet.owners.get(instance),
            instance=fleet.instance(instance) if instance in fleet.owners else None,
            key=instance,
            month=month,
            span=span,
            now=now,
            announcements=announcements,
            told=_told(connection, contract, fleet, instance, announcements),
            worked=read_worked(connection, span.start, now),
            begins_at=begun_at(connection),
            entries=tuple(sorted((*shared, *entries), key=lambda each: utc(each.at))),
        )
        windows = tuple(sorted(_windows(connection, facts), key=lambda each: utc(each.start)))
        outages = tuple(_outages(connection, facts))
    return _case(facts, provider, windows, outages, check, entries=entries, shared=shared)


def _case(
    facts: _Facts,
    provider: ProviderConfig,
    windows: tuple[WindowCase, ...],
    outages: tuple[OutageCase, ...],
    check: ChainCheck,
    *,
    entries: Sequence[Entry],
    shared: tuple[Entry, ...],
) -> Case:
    subjects = {each.thread for each in facts.announcements} | {window.id for window in windows}
    subjects |= {entry.subject for outage in outages for entry in outage.entries}
    maintenance = maintenance_of(facts.key, facts.announcements, facts.told, facts.worked)
    promised = facts.instance is not None and facts.instance.environment == facts.contract.production
    named = next((text for entry in entries if isinstance(text := entry.data.get("customer"), str)), "")
    return Case(
        contract=facts.contract,
        provider=provider.name,
        domain=provider.domain,
        instance=facts.key,
        environment=facts.instance.environment if facts.instance else None,
        customer=facts.owner.key if facts.owner else named,
        customer_name=facts.owner.name if facts.owner else named,
        month=facts.month,
        span=facts.span,
        now=facts.now,
        windows=windows,
        outages=outages,
        availability=availability(
            facts.contract,
            facts.month,
            [each.outage for each in outages],
            maintenance,
            now=facts.now,
            subscription=_subscription(facts),
        )
        if promised
        else None,
        check=check,
        entries=stretch(entries, facts.span, subjects),
        begins_at=facts.begins_at,
        shared=shared,
    )


def _subscription(facts: _Facts) -> Span | None:
    """Return the part of the month that the instance was subscribed for."""
    return None if facts.instance is None else subscribed(facts.contract, facts.instance, facts.month)


def _shared(
    connection: Connection, announcements: Iterable[Announcement], kept: Head | None
) -> tuple[tuple[Entry, ...], Fault | None]:
    """Return the provider's entries about windows that are for the whole fleet, and the first fault of its chain.

    Its other entries may name other customers. The chain is read only where such a window is among `announcements`.
    """
    subjects = {each.id for each in announcements if not each.window.instances}
    if not subjects:
        return (), None
    entries: list[Entry] = []
    check = check_chain(connection, PROVIDER, kept, keep=entries)
    mine = (each for each in entries if each.subject in subjects and each.kind in WINDOWS)
    return tuple(each for each in mine if not each.data.get("instances")), check.fault


def _told(
    connection: Connection,
    contract: Contract,
    fleet: Fleet,
    instance: str,
    announcements: Collection[Announcement],
) -> Told:
    subjects = {each.thread for each in announcements}
    threads, tellings = read_threads(connection, subjects), read_tellings(connection, subjects)
    return {
        **told_by_instance(contract, fleet, announcements, threads, tellings),
        **told_by_contract(contract, (instance,), announcements),
    }


def _windows(connection: Connection, facts: _Facts) -> Iterator[WindowCase]:
    subjects = {each.thread for each in facts.announcements}
    owner = facts.owner.key if facts.owner else None
    threads = read_threads(connection, subjects)
    stored = read_notices(connection, subjects=subjects, customer=owner) if owner else []
    for announcement in facts.announcements:
        thread = threads.get((announcement.thread, owner or ""))
        mine = [each for each in stored if each.notice.subject == announcement.thread and facts.key in each.instances]
        known = _known(facts, announcement, mine, thread.lead if thread else 0)
        case = announced_case(facts.contract, announcement, known, facts.entries, now=facts.now)
        yield replace(case, effect=_effect(facts, announcement))
    yield from _of_the_rule(connection, facts)


def _known(facts: _Facts, announcement: Announcement, stored: Iterable[StoredNotice], lead: int) -> Known:
    listed = list(stored)
    contacts = facts.owner.contacts if facts.owner else ()
    return Known(
        announced_at=facts.told.get((announcement.id, facts.key)),
        lead=lead,
        accepted=frozenset(each.key for each in listed if each.accepted_at is not None),
        bounced=frozenset(each.key for each in listed if each.bounced_at is not None),
        roles={each.key: each.roles for each in contacts},
    )


def _effect(facts: _Facts, announcement: Announcement) -> Availability | None:
    """Return what a window alone does to the month; None where nothing is promised for the instance."""
    if facts.instance is None or facts.instance.environment != facts.contract.production:
        return None
    work: list[Maintenance] = maintenance_of(facts.key, [announcement], facts.told, facts.worked)
    subscription = _subscription(facts)
    return availability(facts.contract, facts.month, (), work, now=facts.now, subscription=subscription)


def _of_the_rule(connection: Connection, facts: _Facts) -> Iterator[WindowCase]:
    """Return the windows of the rule that were never announced, as far as the instance would have taken part.

    Of those before the journal began nothing is known.
    """
    instance = facts.instance
    if instance is None or not instance.managed:
        return
    subscribed = _subscription(facts)
    announced = {each.id for each in read_announcements(connection) if living(each, facts.key)}
    since = max(facts.span.start, facts.begins_at or facts.span.start, key=utc)
    for window in monthly_windows(facts.contract, min(since, facts.span.end, key=utc), facts.span.end):
        if window.id not in announced and (subscribed is None or window.start in subscribed):
            yield rule_case(facts.contract, window, facts.entries, now=facts.now)


def _outages(connection: Connection, facts: _Facts) -> Iterator[OutageCase]:
    promised = facts.instance is not None and facts.instance.environment == facts.contract.production
    for kept in read_outages(connection, since=facts.span.start, instance=facts.key):
        if utc(kept.outage.start) >= utc(facts.span.end):
            continue
        alone = availability(
            facts.contract, facts.month, [kept.outage], (), now=facts.now, subscription=_subscription(facts)
        )
        yield OutageCase(
            key=kept.key,
            outage=kept.outage,
            note=kept.note,
            counted_seconds=alone.counted_seconds if promised else None,
            entries=outage_entries(facts.entries, kept.key),
        )

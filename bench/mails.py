"""Mails by the thousand, end to end and piece by piece, beside the naive way and beside Postfix's own `smtp-source`.

A pass here is the worker's own: it plans, stores the notices, composes, hands over, marks and writes the evidence.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from sqlmodel import Session, select

from bench import mailhouse, naive, naive_mail
from bench.mailhouse import HOST, REMINDED, Sink
from bench.side_by_side import Comparison, Goal, Side, in_process
from maintsched.fleet import Fleet
from maintsched.mail.groups import Groups
from maintsched.store.ledger import claim
from maintsched.store.outbox import StoredNotice, read_notices
from maintsched.worker.house import House
from maintsched.worker.post import Addressee, letter_of, read_addressees, shared_of
from maintsched.worker.record import record_due

SIZES = (20, 10_000)
NAIVE_SIZES = (20, 2_000)
COMPOSED = (10, 500)
SESSIONS = mailhouse.CONNECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Whose templates the words come from, and what has to be reached with them."""

    named: str
    own: bool
    naive: Goal
    postfix: Goal
    composing: Goal


GROUPED = Way(
    named="mails grouped by window, language and zone",
    own=False,
    naive=Goal(times=15),
    postfix=Goal(rate=0.10),
    composing=Goal(share=0.035),
)
OWN = Way(
    named="an operator's templates, filled for each mail",
    own=True,
    naive=Goal(times=10),
    postfix=Goal(rate=0.06),
    composing=Goal(share=0.10),
)
WAYS = (GROUPED, OWN)


def comparisons(*, quick: bool) -> Iterator[Comparison]:
    """Return the comparisons of this module; those that need Postfix only where it is."""
    for way in WAYS:
        yield _composing(way, COMPOSED[0 if quick else 1], quick=quick)
    why = mailhouse.missing("smtp-sink", "smtp-source")
    if why is not None:
        print(f"left out: reminders end to end, {why}")
        return
    _warm_up()
    count = SIZES[0 if quick else 1]
    for way in WAYS:
        yield _beside_naive(way, count, NAIVE_SIZES[0 if quick else 1], quick=quick)
        yield _beside_postfix(way, count, quick=quick)


def _warm_up() -> None:
    """Import whatever a pass imports when it needs it first."""
    with Sink() as sink:
        _pass_cost(mailhouse.fleet_of(2), sink)


# --- end to end -------------------------------------------------------------------------------------------------------


def _beside_naive(way: Way, count: int, fewer: int, *, quick: bool) -> Comparison:
    return Comparison(
        work=f"reminders to {count:,} customers, from the plan to the evidence of each mail: {way.named}",
        reference="the naive way: a rule per customer, an ORM, Jinja, EmailMessage and icalendar, smtplib, "
        "mail by mail, two commits each",
        goal=way.naive,
        how=f"one pass of the worker; times are for one mail, into the same `smtp-sink`. The naive way sends to "
        f"{fewer:,} of them: it does the same for each",
        ours=_sending(lambda sink: _pass_cost(mailhouse.fleet_of(count), sink, own=way.own) / count),
        theirs=_sending(lambda sink: _naive_cost(mailhouse.fleet_of(fewer), sink) / fewer),
        turns=1 if quick else 3,
        same=False,
    )


def _sending(cost: Callable[[Sink], float]) -> Side:
    def measured() -> float:
        with Sink() as sink:
            return cost(sink)

    return Side(answer=measured, cost=measured)


def _pass_cost(fleet: Fleet, sink: Sink, *, own: bool = False) -> float:
    with mailhouse.house_of(fleet, sink.port, own_templates=own) as house:
        began = time.process_time()
        report = mailhouse.one_pass(house)
        cost = time.process_time() - began
    _require(len(fleet.customers), report.results["accepted"])
    return cost


def _naive_cost(fleet: Fleet, sink: Sink) -> float:
    with mailhouse.folder() as place, naive.database(place / "naive.db", fleet) as engine:
        began = time.process_time()
        sent = naive.send_reminders(engine, HOST, sink.port, REMINDED)
        cost = time.process_time() - began
    _require(len(fleet.customers), sent)
    return cost


def _require(expected: int, sent: int) -> None:
    if sent != expected:
        raise ValueError(f"expected {expected} mails, got {sent}: this measures nothing")


# --- beside Postfix ---------------------------------------------------------------------------------------------------


def _beside_postfix(way: Way, count: int, *, quick: bool) -> Comparison:
    core = min(os.sched_getaffinity(0))
    return Comparison(
        work=f"the same pass for {count:,} customers: {way.named}",
        reference=f"Postfix's `smtp-source -d -s {SESSIONS}` with the same bytes",
        goal=way.postfix,
        how="time on one core for a mail, sender and `smtp-sink` together; the bytes of one of our mails, again and "
        "again, are all that `smtp-source` has to send",
        ours=_on_one_core(core, count, lambda sink: _pass_cost(mailhouse.fleet_of(count), sink, own=way.own)),
        theirs=_on_one_core(core, count, lambda sink: _source_cost(count, sink)),
        turns=1 if quick else 3,
        same=False,
    )


def _on_one_core(core: int, count: int, send: Callable[[Sink], float]) -> Side:
    """Return a side whose cost is that of sender and sink for one mail, both of them held on one core."""

    def measured() -> float:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})
        try:
            with Sink() as sink:
                cost = send(sink)
        finally:
            os.sched_setaffinity(0, allowed)
        return (cost + sink.cost) / count

    return Side(answer=measured, cost=measured)


def _source_cost(count: int, sink: Sink) -> float:
    with mailhouse.folder() as place:
        mail = place / "mail"
        mail.write_bytes(_one_mail())
        return _run(mail, count, sink)


def _run(mail: Path, count: int, sink: Sink) -> float:
    source = str(mailhouse.program("smtp-source"))
    addresses = ("-f", naive_mail.SENDER, "-t", "ops@c1.example")
    sessions = min(SESSIONS, count)
    options = ("-d", "-s", str(sessions), "-m", str(count), "-F", str(mail), *addresses, f"{HOST}:{sink.port}")
    with subprocess.Popen([source, *options]) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, source)
    return usage.ru_utime + usage.ru_stime


def _one_mail() -> bytes:
    """Return a reminder as `smtp-source` reads it: it makes the line ends itself."""
    with mailhouse.house_of(mailhouse.fleet_of(2)) as house:
        return next(iter(our_mails(house))).replace(b"\r\n", b"\n")


# --- data to bytes ----------------------------------------------------------------------------------------------------


def _composing(way: Way, count: int, *, quick: bool) -> Comparison:
    return Comparison(
        work=f"{count} reminders from stored facts to the bytes of a mail: {way.named}",
        reference="Jinja, icalendar and EmailMessage for each",
        goal=way.composing,
        how="text, HTML and the calendar twice, in two languages and three zones; rows are read already on both sides, "
        "templates compiled; what the mails of a group share is made anew each time",
        ours=_our_composing(count, own=way.own),
        theirs=_their_composing(count),
        turns=2 if quick else 7,
        same=False,
    )


def _our_composing(count: int, *, own: bool) -> Side:
    with mailhouse.house_of(mailhouse.fleet_of(count), own_templates=own) as house:
        make = _maker(house)
        make()  # reads the templates
    return in_process(make)


def our_mails(house: House) -> list[bytes]:
    """Return the reminders that are due in `house`, as bytes."""
    return _maker(house)()


def _maker(house: House) -> Callable[[], list[bytes]]:
    record_due(house, now=REMINDED)
    with house.store.writing() as connection:
        lease = REMINDED + timedelta(minutes=5)
        keys = claim(connection, now=REMINDED, owner="bench", lease_until=lease, limit=100_000)
        stored = read_notices(connection, keys=keys)
        people = {(each.notice.customer, each.notice.contact) for each in stored}
        addressees = read_addressees(connection, house.config, people)
    pairs = [(each, addressees[each.notice.customer, each.notice.contact]) for each in stored]
    return lambda: _made(house, pairs)


def _made(house: House, pairs: list[tuple[StoredNotice, Addressee]]) -> list[bytes]:
    """Compose notices as the worker does, with what mails share found anew."""
    terms, groups = (house.contract, house.config), Groups(house.templates)
    return [
        groups.compose(letter_of(*terms, each, who, None), partial(shared_of, *terms, each, who)).data
        for each, who in pairs
    ]


def _their_composing(count: int) -> Side:
    make = naive_maker(mailhouse.fleet_of(count))
    return in_process(make)


def naive_maker(fleet: Fleet) -> Callable[[], list[bytes]]:
    """Return what makes the naive way's mails to `fleet`, with its rows read already."""
    with (
        mailhouse.folder() as place,
        naive.database(place / "naive.db", fleet) as engine,
        Session(engine, expire_on_commit=False) as session,
    ):
        rows = session.exec(select(naive.NaiveCustomer)).all()
        pairs = [(row, contact) for row in rows for contact in row.contacts if row.instances]
    templates, start = naive_mail.environment(), naive.next_window(naive.RULE, REMINDED)
    reminders = [naive.reminder_of(row, contact, start) for row, contact in pairs]
    return lambda: [naive_mail.compose(templates, each, REMINDED).as_bytes() for each in reminders]

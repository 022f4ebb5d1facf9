"""Tells customers of work that goes on: begun, over, not completed, longer than announced.

One mail a person and window, as for everything: it names all of the customer's instances that are worked on. None of
these notices proves anything; they follow what happened.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from maintsched.announcements import Announcement
from maintsched.contract import Contract
from maintsched.facts import AS_ANNOUNCED, DeclaredWindow, WindowKind
from maintsched.fleet import WORK_NOTICES, Customer
from maintsched.localtime import Elapsed, elapsed, utc
from maintsched.notices import NoticeKind, Occasion, Recipient, Round, make_round, notice_key, people
from maintsched.rounds import customer_occasion, window_occasion
from maintsched.runs import WELL, Run, RunState
from maintsched.store.evidence import append
from maintsched.store.fleets import read_fleet
from maintsched.store.ledger import known_keys, withdraw_untried
from maintsched.store.outbox import read_notices, read_threads, record
from maintsched.store.runs import read_runs
from maintsched.store.windows import read_announcements
from maintsched.windows import Window, declared_window
from maintsched.worker.house import House
from maintsched.worker.telling import withdrawal

_ONGOING = frozenset({NoticeKind.STARTED, NoticeKind.OVERRUN})
_ENDS = frozenset({NoticeKind.FINISHED, NoticeKind.FAILED})


def tell_of_work(house: House, windows: Iterable[str], *, now: datetime) -> list[str]:
    """Store the notices about work in `windows` that are due; return their keys. A second call finds none."""
    wanted = frozenset(windows)
    if not wanted:
        return []
    with house.store.writing() as connection:
        return record_work(connection, house.contract, wanted, now=now)


def record_work(
    connection: Connection,
    contract: Contract,
    windows: Collection[str],
    *,
    now: datetime,
    customer: str | None = None,
) -> list[str]:
    """Store the notices about work in `windows` that are due, of one customer or of all; return their keys.

    Called with the end of a run, in its transaction: that work is over is never left untold.
    """
    by_customer: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for kept in read_runs(connection, windows=windows, customer=customer):
        by_customer[kept.run.window, kept.run.customer].append(kept.run)
    begun = {name: runs for name, runs in by_customer.items() if any(each.started_at for each in runs)}
    if not begun:
        return []
    announced = {each.id: each for each in read_announcements(connection, ids=windows)}
    known = {each.key: each for each in read_fleet(connection, {key for _, key in begun}).customers}
    rounds = [
        found
        for (window, key), runs in begun.items()
        if key in known
        for found in _rounds(connection, contract, known[key], announced.get(window), runs, now)
    ]
    return record(connection, rounds, now)


def _rounds(
    connection: Connection,
    contract: Contract,
    customer: Customer,
    announced: Announcement | None,
    runs: list[Run],
    now: datetime,
) -> Iterator[Round]:
    """Return the rounds of a customer about a window, in the order in which things happened."""
    subject = announced.thread if announced else runs[0].window
    thread = read_threads(connection, {subject}, {customer.key}).get((subject, customer.key))
    wanted = WORK_NOTICES if customer.work_notices is None else customer.work_notices
    for kind in _owed(runs, wanted, now):
        who = people(contract, customer, kind)
        revision = thread.revision if thread else 0
        keys = {notice_key(kind, subject, revision, customer.key, each.contact) for each in who}
        if not who or known_keys(connection, keys):
            continue
        if kind in _ENDS:
            _withdraw_begin(connection, customer, subject, who, now)
        occasion = _occasion(contract, announced, runs, kind, subject, now)
        mine = customer_occasion(contract, occasion, customer, sorted(each.instance for each in runs), {})
        made = make_round(mine, customer.key, who, thread)
        thread = made.thread
        yield made


def _withdraw_begin(
    connection: Connection, customer: Customer, subject: str, who: Sequence[Recipient], now: datetime
) -> None:
    """Let nobody hear of the begin after the end: a notice of it that did not go out yet has become pointless."""
    contacts = [each.contact for each in who]
    gone = withdraw_untried(connection, subject, customer.key, kinds=_ONGOING, contacts=contacts, now=now)
    if gone:
        append(connection, [each for one in read_notices(connection, keys=set(gone)) for each in withdrawal(one, now)])


def _owed(runs: list[Run], wanted: Collection[str], now: datetime) -> list[NoticeKind]:
    """Return what there is to tell of: begun; longer than announced, while it goes on; over, well or not.

    Who hears of the end need not hear of the begin as well, where both come at once.
    """
    open_runs = [each for each in runs if not each.over]
    late = any(each.started_at is not None and utc(each.end) < utc(each.ended_at or now) for each in runs)
    badly = any(_is_incomplete(each) for each in runs)
    end = NoticeKind.FAILED if badly else NoticeKind.FINISHED
    if not open_runs and end in wanted:
        return [end]
    owed = [NoticeKind.STARTED, *([NoticeKind.OVERRUN] if late else []), *([] if open_runs else [end])]
    return [kind for kind in owed if kind in wanted]


def _is_incomplete(run: Run) -> bool:
    return run.state not in WELL and run.state is not RunState.CANCELLED


def _occasion(
    contract: Contract, announced: Announcement | None, runs: list[Run], kind: NoticeKind, subject: str, now: datetime
) -> Occasion:
    window, declared = _window(contract, announced, runs[0])
    started = min((each.started_at for each in runs if each.started_at), key=utc)
    ended = max((each.ended_at for each in runs if each.ended_at), key=utc, default=None)
    until = ended if ended and kind in (NoticeKind.FINISHED, NoticeKind.FAILED) else now
    over = elapsed(window.end, until)
    facts: dict[str, Any] = {
        "started": started.isoformat(),
        "finished": ended.isoformat() if ended and kind in (NoticeKind.FINISHED, NoticeKind.FAILED) else None,
        "overrun": _minutes(over.total_seconds()),
        "error": None,
    }
    occasion = window_occasion(window, declared, kind, now=now, not_before=now, run=facts)
    return Occasion(kind=kind, subject=subject, facts=occasion.facts, now=now, not_before=now, terms=None)


def _minutes(seconds: float) -> str | None:
    """Return a time past the end in whole minutes begun; None where there is none."""
    return str(Elapsed(minutes=-(-int(seconds) // 60))) if seconds > 0 else None


def _window(contract: Contract, announced: Announcement | None, run: Run) -> tuple[Window, DeclaredWindow]:
    """Return the window as it was announced; one that nobody was told of as the run was entered for it."""
    if announced is not None:
        return declared_window(contract, announced.window), announced.window
    kind, _, key = run.window.partition("/")
    declared = DeclaredWindow(
        key=key, kind=WindowKind(kind), start=run.start, end=run.end, reason=AS_ANNOUNCED, instances=(run.instance,)
    )
    return declared_window(contract, declared), declared

"""The outbox: notices with everything that varies from mail to mail, and the threads that they continue.

There is one outbox: rows of kind notice in the ledger, beside a table of their contents.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, or_, select, update

from maintsched.facts import Impact
from maintsched.localtime import utc
from maintsched.notices import TELLING, URGENT, Notice, NoticeKind, Round, Telling, Terms, Thread
from maintsched.store.bulk import changing_insert, execute_rows
from maintsched.store.ledger import ACTION, NOTICE, ActionKind, ActionState, insert_new, known_keys
from maintsched.store.rows import ThreadRow
from maintsched.store.tables import in_chunks, table_of

THREAD = table_of(ThreadRow)
IN_DOUBT = ("uncertain", "assumed sent")
"""Results of notices that may have been accepted."""
TRIED_FOR = timedelta(days=5)
"""How long a notice without a window is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNotice:
    """A notice as the ledger has it."""

    notice: Notice
    state: ActionState
    attempt: int
    give_up_at: datetime | None
    result: str | None = None
    templates: str | None = None
    digest: str | None = None
    accepted_at: datetime | None = None
    delivered_at: datetime | None = None
    bounced_at: datetime | None = None
    server: str | None = None
    reply: str | None = None
    instances: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The notice's key."""
        return self.notice.key

    @property
    def maybe_told(self) -> bool:
        """Say whether the person was told, or may have been (law 10)."""
        if self.bounced_at is not None:
            return False
        return self.state in (ActionState.DONE, ActionState.RUNNING) or self.result in IN_DOUBT


def record(connection: Connection, rounds: Iterable[Round], now: datetime) -> list[str]:
    """Store the notices of `rounds` and the threads they continue; return the keys that are new."""
    listed = list(rounds)
    notices = {notice.key: notice for each in listed for notice in each.notices}
    known = known_keys(connection, notices)
    new = [notice for key, notice in notices.items() if key not in known]
    connection_rows = [_action_row(notice, now) for notice in new]
    insert_new(connection, ACTION, connection_rows)
    insert_new(connection, NOTICE, [_notice_row(notice) for notice in new])
    again = _taken_up_again(connection, [notices[key] for key in known], now)
    _write_threads(connection, [each.thread for each in listed])
    return [notice.key for notice in new] + again


def _taken_up_again(connection: Connection, notices: Collection[Notice], now: datetime) -> list[str]:
    """Make notices ready that were withdrawn before anything was sent: their people are back. Return their keys."""
    found: list[str] = []
    for some in in_chunks(sorted(notice.key for notice in notices)):
        untried = select(NOTICE.c.key).where(NOTICE.c.key.in_(some), NOTICE.c.result.is_(None))
        mine = (ACTION.c.key.in_(untried), ACTION.c.state == ActionState.CANCELLED)
        ready = update(ACTION).where(*mine).values(state=str(ActionState.READY), not_before=now, changed_at=now)
        found.extend(connection.execute(ready.returning(ACTION.c.key)).scalars())
    required = {notice.key for notice in notices if notice.required}
    for some in in_chunks(sorted(required & set(found))):
        connection.execute(update(NOTICE).where(NOTICE.c.key.in_(some)).values(required=True))
    return sorted(found)


def _action_row(notice: Notice, now: datetime) -> dict[str, Any]:
    return {
        "key": notice.key,
        "kind": str(ActionKind.NOTICE),
        "instance": None,
        "not_before": notice.not_before,
        "deadline": give_up_at(notice),
        "state": str(ActionState.READY),
        "attempt": 0,
        "owner": None,
        "lease_until": None,
        "changed_at": now,
    }


def give_up_at(notice: Notice) -> datetime:
    """Return until when a notice is tried: until its window starts, or for some days where there is none.

    What is told at once, and a cancellation, is worth telling until the window ends.
    """
    bound = "end" if notice.kind in URGENT or notice.kind is NoticeKind.CANCELLED else "start"
    known = notice.facts.get("window", {}).get(bound)
    after = utc(notice.stamp) + TRIED_FOR
    at = utc(datetime.fromisoformat(known)) if known else after
    return at if at > utc(notice.stamp) else after


def _notice_row(notice: Notice) -> dict[str, Any]:
    return {
        "key": notice.key,
        "kind": str(notice.kind),
        "label": notice.label,
        "subject": notice.subject,
        "revision": notice.revision,
        "customer": notice.customer,
        "contact": notice.contact,
        "required": notice.required,
        "sequence": notice.sequence,
        "stamp": notice.stamp,
        "deadline": notice.deadline,
        "late": notice.late,
        "facts": dict(notice.facts),
        "instances": [each["key"] for each in notice.facts.get("instances", ())],
    }


def _write_threads(connection: Connection, threads: list[Thread]) -> None:
    rows = {(thread.subject, thread.customer): _thread_row(thread) for thread in threads}
    changed = ("revision", "lead", "sequence", "kind", "terms")
    statement = changing_insert(THREAD, connection.dialect.name, ("subject", "customer"), changed)
    execute_rows(connection, statement, list(rows.values()))


def _thread_row(thread: Thread) -> dict[str, Any]:
    terms = thread.terms
    return {
        "subject": thread.subject,
        "customer": thread.customer,
        "revision": thread.revision,
        "lead": thread.lead,
        "sequence": thread.sequence,
        "kind": str(thread.kind),
        "terms": None
        if terms is None
        else {
            "start": terms.start.isoformat(),
            "end": terms.end.isoformat(),
            "impact": str(terms.impact),
            "instances": list(terms.instances),
        },
    }


# --- reading ----------------------------------------------------------------------------------------------------------


def read_threads(
    connection: Connection, subjects: Collection[str], customers: Collection[str] | None = None
) -> dict[tuple[str, str], Thread]:
    """Return the threads of `subjects`, of all customers or of some, by subject and customer."""
    wanted = select(THREAD).where(*_of(THREAD, customers))
    return {
        (row["subject"], row["customer"]): _thread_from_row(row)
        for some in in_chunks(sorted(subjects))
        for row in connection.execute(wanted.where(THREAD.c.subject.in_(some))).mappings()
    }


def _of(table: Table, customers: Collection[str] | None) -> list[ColumnElement[bool]]:
    return [] if customers is None else [table.c.customer.in_(sorted(customers))]


def read_revisions(connection: Connection, notices: Collection[Notice]) -> dict[tuple[str, str], int]:
    """Return the revision that each thread of `notices` has come to, by subject and customer."""
    columns = select(THREAD.c.subject, THREAD.c.customer, THREAD.c.revision)
    return {
        (subject, customer): revision
        for wanted in concerned(THREAD, notices)
        for subject, customer, revision in connection.execute(columns.where(wanted))
    }


def concerned(table: Table, notices: Collection[Notice]) -> Iterator[ColumnElement[bool]]:
    """Return conditions for the rows of the subjects and customers of `notices`.

    A window may concern thousands of customers, of whom a batch of notices needs few.
    """
    subjects, customers = ({getattr(each, name) for each in notices} for name in ("subject", "customer"))
    for some in in_chunks(sorted(subjects)):
        for named in in_chunks(sorted(customers)):
            yield table.c.subject.in_(some) & table.c.customer.in_(named)


def _thread_from_row(row: Mapping[Any, Any]) -> Thread:
    terms = row["terms"]
    return Thread(
        subject=row["subject"],
        customer=row["customer"],
        revision=row["revision"],
        lead=row["lead"],
        sequence=row["sequence"],
        kind=NoticeKind(row["kind"]),
        terms=None
        if terms is None
        else Terms(
            start=datetime.fromisoformat(terms["start"]),
            end=datetime.fromisoformat(terms["end"]),
            impact=Impact(terms["impact"]),
            instances=tuple(terms["instances"]),
        ),
    )


_STORED = select(
    NOTICE, ACTION.c.state, ACTION.c.attempt, ACTION.c.not_before, ACTION.c.deadline.label("give_up_at")
).join(ACTION, ACTION.c.key == NOTICE.c.key)


def read_notices(
    connection: Connection,
    *,
    subjects: Collection[str] | None = None,
    customer: str | None = None,
    keys: Collection[str] | None = None,
) -> list[StoredNotice]:
    """Return stored notices, in the order they were stored."""
    wanted = _STORED.order_by(NOTICE.c.stamp, NOTICE.c.key)
    if customer is not None:
        wanted = wanted.where(NOTICE.c.customer == customer)
    if subjects is not None:
        pieces = [wanted.where(NOTICE.c.subject.in_(some)) for some in in_chunks(sorted(subjects))]
    elif keys is not None:
        pieces = [wanted.where(NOTICE.c.key.in_(some)) for some in in_chunks(sorted(keys))]
    else:
        pieces = [wanted]
    return [notice_from_row(row) for piece in pieces for row in connection.execute(piece).mappings()]


def notice_from_row(row: Mapping[Any, Any]) -> StoredNotice:
    """Return a stored notice."""
    return StoredNotice(
        notice=Notice(
            kind=NoticeKind(row["kind"]),
            label=row["label"],
            subject=row["subject"],
            revision=row["revision"],
            customer=row["customer"],
            contact=row["contact"],
            required=row["required"],
            sequence=row["sequence"],
            stamp=row["stamp"],
            not_before=row["not_before"],
            deadline=row["deadline"],
            late=row["late"],
            facts=row["facts"],
        ),
        state=ActionState(row["state"]),
        attempt=row["attempt"],
        give_up_at=row["give_up_at"],
        result=row["result"],
        templates=row["templates"],
        digest=row["digest"],
        accepted_at=row["accepted_at"],
        delivered_at=row["delivered_at"],
        bounced_at=row["bounced_at"],
        server=row["server"],
        reply=row["reply"],
        instances=tuple(row["instances"]),
    )


def read_tellings(
    connection: Connection, subjects: Collection[str], customers: Collection[str] | None = None
) -> dict[tuple[str, str], list[Telling]]:
    """Return what became of the notices that tell of `subjects`, of all customers or of some, by both."""
    columns = (
        NOTICE.c.subject,
        NOTICE.c.customer,
        NOTICE.c.revision,
        NOTICE.c.contact,
        NOTICE.c.required,
        NOTICE.c.instances,
        NOTICE.c.deadline,
        NOTICE.c.accepted_at,
        NOTICE.c.delivered_at,
        NOTICE.c.bounced_at,
    )
    kinds = NOTICE.c.kind.in_(sorted(TELLING))
    found: dict[tuple[str, str], list[Telling]] = defaultdict(list)
    for some in in_chunks(sorted(subjects)):
        rows = connection.execute(select(*columns).where(kinds, NOTICE.c.subject.in_(some), *_of(NOTICE, customers)))
        for row in rows:
            telling = Telling(
                revision=row.revision,
                contact=row.contact,
                required=row.required,
                instances=tuple(row.instances),
                deadline=row.deadline,
                accepted_at=row.accepted_at,
                delivered_at=row.delivered_at,
                bounced=row.bounced_at is not None,
            )
            found[row.subject, row.customer].append(telling)
    return dict(found)


def deadlines_of(
    threads: Mapping[tuple[str, str], Thread], tellings: Mapping[tuple[str, str], Collection[Telling]]
) -> dict[tuple[str, str], datetime]:
    """Return until when customers had to be told, as it stood when they were: in the revision where proof begins."""
    found = {}
    for name, thread in threads.items():
        stood = [each.deadline for each in tellings.get(name, ()) if each.revision == thread.lead and each.deadline]
        if stood:
            found[name] = min(stood)
    return found


def read_keys(connection: Connection, subjects: Collection[str], customers: Collection[str] | None = None) -> set[str]:
    """Return the keys of the notices of `subjects`; of those that were withdrawn only what may have gone out before."""
    found: set[str] = set()
    counts = or_(ACTION.c.state != ActionState.CANCELLED, NOTICE.c.result.is_not(None))
    known = select(NOTICE.c.key).join(ACTION, ACTION.c.key == NOTICE.c.key).where(counts, *_of(NOTICE, customers))
    for some in in_chunks(sorted(subjects)):
        found.update(connection.execute(known.where(NOTICE.c.subject.in_(some))).scalars())
    return found

"""The ledger: what is to be done once, who is at it, and what became of it.

An action is `ready` until somebody claims it for a while (`running`, with an owner and a lease). A claim is committed
before its effect. A mail whose lease ran out may be claimed again: a second copy has the same bytes. Results are
fenced: only the owner of a claim may write them. What a notice says is in the outbox, under the key of its action.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, func, null, or_, select, update

from maintsched.store.bulk import execute_rows, new_insert
from maintsched.store.rows import ActionRow, NoticeRow
from maintsched.store.tables import in_chunks, table_of

ACTION = table_of(ActionRow)
NOTICE = table_of(NoticeRow)


class ActionState(StrEnum):
    """States of an action."""

    READY = "ready"  # to be done from `not_before` on
    RUNNING = "running"  # somebody holds it until `lease_until`
    DONE = "done"  # it took effect
    FAILED = "failed"  # it will not take effect; an operator knows
    CANCELLED = "cancelled"  # overtaken before anybody was at it


class ActionKind(StrEnum):
    """What an action is."""

    NOTICE = "notice"
    BREACH = "breach"
    REPORT = "report"  # a delivery report that was read
    RUN = "run"
    FIX = "fix"  # a security release on no sure way into an instance, of which an operator knows


def insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows whose key is not there yet; those that are stay as they are."""
    execute_rows(connection, new_insert(table, connection.dialect.name), rows)


def known_keys(connection: Connection, keys: Iterable[str]) -> set[str]:
    """Return those of `keys` that the ledger holds."""
    found: set[str] = set()
    for some in in_chunks(sorted(keys)):
        found.update(connection.execute(select(ACTION.c.key).where(ACTION.c.key.in_(some))).scalars())
    return found


def known_of_kind(connection: Connection, kind: ActionKind) -> set[str]:
    """Return the keys of all actions of `kind`."""
    return set(connection.execute(select(ACTION.c.key).where(ACTION.c.kind == kind)).scalars())


def record_done(connection: Connection, kind: ActionKind, keys: Iterable[str], now: datetime) -> list[str]:
    """Note things that are done by being noted, such as breaches; return the keys that are new."""
    wanted = list(dict.fromkeys(keys))
    known = known_keys(connection, wanted)
    new = [key for key in wanted if key not in known]
    state = {"kind": str(kind), "state": str(ActionState.DONE), "not_before": now, "changed_at": now, "attempt": 0}
    insert_new(connection, ACTION, [{"key": key, **state} for key in new])
    return new


# --- doing ------------------------------------------------------------------------------------------------------------


def claim(connection: Connection, *, now: datetime, owner: str, lease_until: datetime, limit: int) -> list[str]:
    """Claim notices that are due, or whose claim ran out, the most pressing first; return their keys.

    A claim that reaches further than two leases from now was made by a clock that was ahead and has been set back. Who
    is still at it has renewed it since then, so that nobody is.
    """
    unheld = or_(ACTION.c.lease_until <= now, ACTION.c.lease_until > lease_until + (lease_until - now))
    due = or_(
        and_(ACTION.c.state == ActionState.READY, ACTION.c.not_before <= now),
        and_(ACTION.c.state == ActionState.RUNNING, unheld),
    )
    _doubt_the_lost(connection, unheld)
    chosen = (
        select(ACTION.c.key)
        .where(ACTION.c.kind == ActionKind.NOTICE, due)
        .order_by(ACTION.c.deadline, ACTION.c.not_before, ACTION.c.key)
        .limit(limit)
    )
    if connection.dialect.name == "postgresql":
        chosen = chosen.with_for_update(skip_locked=True)
    taken = (
        update(ACTION)
        .where(ACTION.c.key.in_(chosen))
        .values(state=str(ActionState.RUNNING), owner=owner, lease_until=lease_until, changed_at=now)
        .returning(ACTION.c.key)
    )
    return sorted(connection.execute(taken).scalars())


def _doubt_the_lost(connection: Connection, unheld: ColumnElement[bool]) -> None:
    """Note that notices whose owner was lost may have been accepted: nobody wrote down what became of them."""
    lost = select(ACTION.c.key).where(ACTION.c.kind == ActionKind.NOTICE, ACTION.c.state == ActionState.RUNNING, unheld)
    connection.execute(update(NOTICE).where(NOTICE.c.key.in_(lost)).values(result="uncertain"))


def renew(connection: Connection, *, owner: str, lease_until: datetime) -> int:
    """Prolong all claims of an owner; return how many there are."""
    mine = and_(ACTION.c.owner == owner, ACTION.c.state == ActionState.RUNNING)
    return connection.execute(update(ACTION).where(mine).values(lease_until=lease_until)).rowcount


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What became of a claim: the state its action is in from now on, and what the notice keeps of it."""

    key: str
    state: ActionState
    not_before: datetime
    counts: bool = True
    """False: nothing was tried, so that it is no attempt."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the notice: result, digest, accepted_at, server, reply, templates."""


KEPT = ("required", "result", "digest", "templates", "accepted_at", "server", "reply")


def mark(connection: Connection, outcomes: Collection[Marked], *, owner: str, now: datetime) -> set[str]:
    """Write results down, each only if `owner` still holds the claim; return the keys that were written."""
    held = _held(connection, [each.key for each in outcomes], owner)
    mine = [each for each in outcomes if each.key in held]
    execute_rows(connection, _MARK, [_marked_row(each, owner, now) for each in mine])
    execute_rows(connection, _KEEP, [_kept_row(each) for each in mine if each.kept])
    return {each.key for each in mine}


def _own(table: Table, name: str) -> Any:
    """Return the place in a statement for a value of a column. Its name is not that of the column, which is set too."""
    return bindparam(f"b_{name}", type_=table.c[name].type)


_MARK = (
    update(ACTION)
    .where(ACTION.c.key == _own(ACTION, "key"), ACTION.c.owner == _own(ACTION, "owner"))
    .values(
        state=_own(ACTION, "state"),
        attempt=ACTION.c.attempt + bindparam("b_counts", type_=ACTION.c.attempt.type),
        not_before=_own(ACTION, "not_before"),
        owner=null(),
        lease_until=null(),
        changed_at=_own(ACTION, "changed_at"),
    )
)
_KEEP = (
    update(NOTICE)
    .where(NOTICE.c.key == _own(NOTICE, "key"))
    .values({name: func.coalesce(_own(NOTICE, name), NOTICE.c[name]) for name in KEPT})
)


def _marked_row(marked: Marked, owner: str, now: datetime) -> dict[str, Any]:
    return {
        "b_key": marked.key,
        "b_owner": owner,
        "b_state": str(marked.state),
        "b_counts": int(marked.counts),
        "b_not_before": marked.not_before,
        "b_changed_at": now,
    }


def _kept_row(marked: Marked) -> dict[str, Any]:
    return {"b_key": marked.key, **{f"b_{name}": marked.kept.get(name) for name in KEPT}}


_HELD = select(ACTION.c.key).where(
    ACTION.c.key.in_(bindparam("keys", expanding=True)),
    ACTION.c.owner == bindparam("owner"),
    ACTION.c.state == ActionState.RUNNING,
)


def _held(connection: Connection, keys: list[str], owner: str) -> set[str]:
    found: set[str] = set()
    for some in in_chunks(sorted(keys)):
        found.update(connection.execute(_HELD, {"keys": some, "owner": owner}).scalars())
    return found


def withdraw(connection: Connection, subject: str, customers: Collection[str], now: datetime) -> list[str]:
    """Cancel the notices of a subject to `customers` that nobody is at: they were overtaken. Return their keys."""
    found: list[str] = []
    for some in in_chunks(sorted(customers)):
        of_threads = select(NOTICE.c.key).where(NOTICE.c.subject == subject, NOTICE.c.customer.in_(some))
        waiting = and_(ACTION.c.key.in_(of_threads), ACTION.c.state == ActionState.READY)
        gone = update(ACTION).where(waiting).values(state=str(ActionState.CANCELLED), changed_at=now)
        found.extend(connection.execute(gone.returning(ACTION.c.key)).scalars())
    return sorted(found)


def withdraw_untried(
    connection: Connection,
    subject: str,
    customer: str,
    *,
    kinds: Collection[str],
    contacts: Collection[str],
    now: datetime,
) -> list[str]:
    """Cancel the notices of some kinds to `contacts` that nobody has tried to send yet; return their keys."""
    theirs = and_(NOTICE.c.subject == subject, NOTICE.c.customer == customer, NOTICE.c.contact.in_(sorted(contacts)))
    untried = select(NOTICE.c.key).where(theirs, NOTICE.c.kind.in_(sorted(kinds)), NOTICE.c.result.is_(None))
    waiting = and_(ACTION.c.key.in_(untried), ACTION.c.state == ActionState.READY)
    gone = update(ACTION).where(waiting).values(state=str(ActionState.CANCELLED), changed_at=now)
    return sorted(connection.execute(gone.returning(ACTION.c.key)).scalars())


def mark_late(connection: Connection, subject: str, customer: str) -> list[str]:
    """Let those notices of a thread say that they are late that nobody has tried yet; return their keys.

    What was tried stays as it is: a second copy has the bytes of the first.
    """
    of_thread = (NOTICE.c.subject == subject, NOTICE.c.customer == customer, NOTICE.c.deadline.is_not(None))
    untried = (ACTION.c.state == ActionState.READY, NOTICE.c.result.is_(None), NOTICE.c.late.is_(False))
    waiting = select(ACTION.c.key).join(NOTICE, NOTICE.c.key == ACTION.c.key).where(*of_thread, *untried)
    keys = sorted(connection.execute(waiting.with_for_update(of=ACTION, skip_locked=True)).scalars())
    if keys:
        connection.execute(update(NOTICE).where(NOTICE.c.key.in_(keys)).values(late=True))
    return keys


def waiting_count(connection: Connection) -> int:
    """Return how many notices were tried, or are being sent, and are not told yet."""
    tried = and_(ACTION.c.state == ActionState.READY, NOTICE.c.result.in_(["deferred", "uncertain"]))
    wanted = select(func.count()).select_from(ACTION).join(NOTICE, NOTICE.c.key == ACTION.c.key)
    running = wanted.where(or_(tried, ACTION.c.state == ActionState.RUNNING))
    return int(connection.execute(running).scalar_one())


def due_count(connection: Connection, now: datetime) -> int:
    """Return how many notices are due or running."""
    states = or_(
        and_(ACTION.c.state == ActionState.READY, ACTION.c.not_before <= now), ACTION.c.state == ActionState.RUNNING
    )
    wanted = select(func.count()).select_from(ACTION).where(ACTION.c.kind == ActionKind.NOTICE, states)
    return int(connection.execute(wanted).scalar_one())

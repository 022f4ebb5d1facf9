"""The ledger beside the raw driver: many rows at once, claims and marks in batches, and a pass with nothing due."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table

from bench import mailhouse
from bench.mailhouse import BEGIN, REMINDED
from bench.side_by_side import Comparison, Goal, Line, Side
from maintsched.store import Store, open_store
from maintsched.store.ledger import ACTION, NOTICE, ActionState, Marked, claim, insert_new, mark
from maintsched.worker.dispatch import MARK_COUNT

ROWS = (50, 20_000)
CLAIMED = (20, 2_000)
INSTANCES = (100, 100_000)
EACH = 5
"""Instances of a customer."""
IDLE_SECONDS_MAX = 1.0
LEASE = timedelta(minutes=5)
Values = dict[str, Any]


def comparisons(*, quick: bool) -> Iterator[Comparison]:
    """Return the comparisons of this module."""
    size, turns = (0, 2) if quick else (1, 7)
    rows = _outbox(ROWS[size])
    for ready in (False, True):
        yield _inserting(rows, ready=ready, turns=turns)
    yield _claiming(CLAIMED[size], turns=turns)


# --- many rows --------------------------------------------------------------------------------------------------------


def _outbox(count: int) -> list[tuple[Values, Values]]:
    """Return rows of actions and notices, as the outbox stores them."""
    return [(_action(f"notice/reminder/monthly:2026-12/0/c{number}/ops"), _notice(number)) for number in range(count)]


def _action(key: str) -> Values:
    return {
        "key": key,
        "kind": "notice",
        "instance": None,
        "not_before": REMINDED,
        "deadline": datetime.fromisoformat("2026-12-01T16:00:00+00:00"),
        "state": "ready",
        "attempt": 0,
        "owner": None,
        "lease_until": None,
        "changed_at": REMINDED,
    }


def _notice(number: int) -> Values:
    window = {"id": "monthly/2026-12", "start": "2026-12-01T16:00:00+00:00", "end": "2026-12-01T19:00:00+00:00"}
    instance = {"key": f"c{number}-prod", "environment": "prod", "url": f"https://c{number}.example"}
    return {
        "key": f"notice/reminder/monthly:2026-12/0/c{number}/ops",
        "kind": "reminder",
        "label": "reminder",
        "subject": "monthly/2026-12",
        "revision": 0,
        "customer": f"c{number}",
        "contact": "ops",
        "required": True,
        "sequence": 0,
        "stamp": REMINDED,
        "deadline": datetime.fromisoformat("2026-11-28T16:00:00+00:00"),
        "late": False,
        "facts": {"window": {**window, "impact": "outage", "reason": ""}, "instances": [instance], "work": []},
        "instances": [f"c{number}-prod"],
    }


def _inserting(rows: list[tuple[Values, Values]], *, ready: bool, turns: int) -> Comparison:
    given = "rows that are ready for it" if ready else "the same values, converted one by one"
    return Comparison(
        work=f"storing {len(rows):,} notices in the outbox",
        reference=f"`executemany` of sqlite3 with {given}",
        goal=Goal() if ready else Goal(rate=0.8),
        how="two tables, in one transaction with its commit; sqlite3 takes neither instants nor JSON values",
        ours=_in_new_database(lambda store: _insert(store, rows)),
        theirs=_in_new_database(lambda store: _insert_raw(store, rows, ready=ready)),
        turns=turns,
    )


def _in_new_database(work: Callable[[Store], tuple[float, object]]) -> Side:
    """Return a side whose work says itself what it cost, and what came of it."""

    def done() -> tuple[float, object]:
        with mailhouse.folder() as place, open_store(f"sqlite:///{place / 'bench.db'}", create=True) as store:
            return work(store)

    return Side(answer=lambda: done()[1], cost=lambda: done()[0])


def _insert(store: Store, rows: list[tuple[Values, Values]]) -> tuple[float, object]:
    began = time.process_time()
    with store.writing() as connection:
        insert_new(connection, ACTION, [action for action, _ in rows])
        insert_new(connection, NOTICE, [notice for _, notice in rows])
    return time.process_time() - began, _content(store)


def _insert_raw(store: Store, rows: list[tuple[Values, Values]], *, ready: bool) -> tuple[float, object]:
    with closing(_raw(store)) as connection:
        prepared = _raw_rows(rows) if ready else None
        began = time.process_time()
        actions, notices = prepared or _raw_rows(rows)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_statement(ACTION, rows[0][0]), actions)
        connection.executemany(_statement(NOTICE, rows[0][1]), notices)
        connection.execute("COMMIT")
        cost = time.process_time() - began
    return cost, _content(store)


def _raw(store: Store) -> sqlite3.Connection:
    connection = sqlite3.connect(str(store.path), isolation_level=None)
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _raw_rows(rows: list[tuple[Values, Values]]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    actions = [tuple(_raw_value(value) for value in action.values()) for action, _ in rows]
    return actions, [tuple(_raw_value(value) for value in notice.values()) for _, notice in rows]


def _raw_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return json.dumps(value) if isinstance(value, dict | list) else value


def _statement(table: Table, row: Values) -> str:
    return f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) ON CONFLICT DO NOTHING"


def _content(store: Store) -> object:
    with closing(_raw(store)) as connection:
        names = (ACTION.name, NOTICE.name)
        return [connection.execute(f"SELECT * FROM {name} ORDER BY key").fetchall() for name in names]


# --- claims and marks -------------------------------------------------------------------------------------------------


def _claiming(count: int, *, turns: int) -> Comparison:
    rows = _outbox(count)
    return Comparison(
        work=f"claiming and marking {count:,} notices in batches of 100 and {MARK_COUNT}, as a pass does",
        reference="the same statements for one notice at a time",
        goal=Goal(times=10),
        how="a claim and each batch of marks are committed; the marks without the evidence",
        ours=_in_new_database(lambda store: _claim_and_mark(store, rows, batch=100)),
        theirs=_in_new_database(lambda store: _claim_and_mark(store, rows, batch=1)),
        turns=min(turns, 3),
    )


def _claim_and_mark(store: Store, rows: list[tuple[Values, Values]], *, batch: int) -> tuple[float, object]:
    _insert(store, rows)
    began = time.process_time()
    while keys := _claimed(store, batch):
        for at in range(0, len(keys), MARK_COUNT):
            with store.writing() as connection:
                mark(connection, [_marked(key) for key in keys[at : at + MARK_COUNT]], owner="bench", now=REMINDED)
    return time.process_time() - began, _content(store)


def _claimed(store: Store, limit: int) -> list[str]:
    with store.writing() as connection:
        return claim(connection, now=REMINDED, owner="bench", lease_until=REMINDED + LEASE, limit=limit)


def _marked(key: str) -> Marked:
    kept = {"result": "accepted", "digest": "0" * 64, "accepted_at": REMINDED, "server": "mail:25", "reply": "250 Ok"}
    return Marked(key=key, state=ActionState.DONE, not_before=REMINDED, kept=kept)


# --- nothing due ------------------------------------------------------------------------------------------------------


def lines(*, quick: bool) -> Iterator[Line]:
    """Measure passes of a large house in which nothing is due: the first, which plans, and the next."""
    count = INSTANCES[0 if quick else 1]
    with mailhouse.house_of(mailhouse.fleet_of(count // EACH, instances=EACH)) as house:
        costs = []
        for minutes in range(4):
            began = time.process_time()
            report = mailhouse.one_pass(house, BEGIN + timedelta(minutes=minutes))
            costs.append(time.process_time() - began)
            if report.results or report.recorded.planned != (minutes == 0):
                raise ValueError(f"expected a pass with nothing to do, got {report.as_json()}")
    planned, idle = costs[0], min(costs[1:])
    yield Line(
        work=f"a pass with nothing due, {count:,} instances",
        reference="–",
        goal="less than 1 s",
        reached=f"{idle * 1000:.1f} ms",
        met=idle < IDLE_SECONDS_MAX,
        how="CPU time in the process, imports aside; contract, facts and horizon are those of the last plan",
    )
    yield Line(
        work=f"a pass that has to plan, {count:,} instances",
        reference="–",
        goal="none",
        reached=f"{planned:.1f} s",
        met=None,
        how="the first pass in a new database: it reads the fleet, plans, and finds that nothing is due",
    )

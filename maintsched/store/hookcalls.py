"""Calls of hooks in the database: what was answered, and what has to be handed back when the thing is over."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select, update

from maintsched.store.rows import HookCallRow
from maintsched.store.tables import table_of

HOOK_CALL = table_of(HookCallRow)


class HookState(StrEnum):
    """States of the call of a hook."""

    WAITING = "waiting"  # it was called, without success so far; it is called again
    DONE = "done"  # it did its part
    FAILED = "failed"  # it refused; an operator has to look


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCall:
    """One call: `key` names hook, moment and subject; `kept` are JSON values that the matching call needs."""

    key: str
    subject: str
    state: HookState
    tries: int
    changed_at: datetime
    said: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict, hash=False)


def read_hook_calls(connection: Connection, subjects: Collection[str]) -> dict[str, HookCall]:
    """Return the calls about `subjects`, by key."""
    found = connection.execute(select(HOOK_CALL).where(HOOK_CALL.c.subject.in_(sorted(subjects)))).mappings()
    return {
        row["key"]: HookCall(
            key=row["key"],
            subject=row["subject"],
            state=HookState(row["state"]),
            tries=row["tries"],
            changed_at=row["changed_at"],
            said=row["said"],
            kept=row["kept"],
        )
        for row in found
    }


def write_hook_call(connection: Connection, call: HookCall) -> None:
    """Store a call as it now is."""
    row = {
        "key": call.key,
        "subject": call.subject,
        "state": str(call.state),
        "tries": call.tries,
        "changed_at": call.changed_at,
        "said": call.said,
        "kept": dict(call.kept),
    }
    if not connection.execute(update(HOOK_CALL).where(HOOK_CALL.c.key == call.key).values(**row)).rowcount:
        connection.execute(insert(HOOK_CALL).values(**row))

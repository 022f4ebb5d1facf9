"""What operators say of work: pauses, and gates that they opened for a run."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from maintsched.runs import Gate, Pause
from maintsched.store.rows import ApprovalRow, PauseRow
from maintsched.store.tables import table_of

APPROVAL = table_of(ApprovalRow)
PAUSE = table_of(PauseRow)


def read_approvals(connection: Connection, runs: Collection[str] | None = None) -> dict[str, frozenset[Gate]]:
    """Return the gates that operators opened, by run."""
    found: dict[str, set[Gate]] = {}
    for run, gate in connection.execute(select(APPROVAL.c.run, APPROVAL.c.gate)):
        if runs is None or run in runs:
            found.setdefault(run, set()).add(Gate(gate))
    return {run: frozenset(gates) for run, gates in found.items()}


def write_approval(connection: Connection, run: str, gate: Gate, *, reason: str, now: datetime) -> None:
    """Note that an operator opened a gate for a run."""
    connection.execute(delete(APPROVAL).where(APPROVAL.c.run == run, APPROVAL.c.gate == str(gate)))
    connection.execute(insert(APPROVAL).values(run=run, gate=str(gate), at=now, reason=reason))


def read_pauses(connection: Connection, *, everything: bool = False) -> list[Pause]:
    """Return the pauses that hold, in the order of their begin; `everything`: those that were ended as well."""
    wanted = select(PAUSE).order_by(PAUSE.c.since, PAUSE.c.key)
    if not everything:
        wanted = wanted.where(PAUSE.c.resumed_at.is_(None))
    return [
        Pause(
            key=row["key"],
            since=row["since"],
            reason=row["reason"],
            customers=tuple(row["customers"]),
            instances=tuple(row["instances"]),
            resumed_at=row["resumed_at"],
        )
        for row in connection.execute(wanted).mappings()
    ]


def write_pause(connection: Connection, pause: Pause) -> None:
    """Store a pause; its key must be new."""
    row = {
        "key": pause.key,
        "since": pause.since,
        "reason": pause.reason,
        "customers": list(pause.customers),
        "instances": list(pause.instances),
        "resumed_at": pause.resumed_at,
    }
    connection.execute(insert(PAUSE).values(**row))


def end_pause(connection: Connection, key: str, at: datetime) -> None:
    """Note that a pause was ended."""
    connection.execute(update(PAUSE).where(PAUSE.c.key == key).values(resumed_at=at))

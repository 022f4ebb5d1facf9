"""After a restore: a database that is older than what is known outside it sends nothing until an operator decides.

What it would send now may have been sent already, by the database it is a copy of. So passes hold: they list what is in
doubt and end with exit code 1. An operator leaves the hold in one of two ways, and the journal says which.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select, update

from maintsched.due import due
from maintsched.errors import ChangeRefused
from maintsched.journal import PROVIDER, EntryKind, Event, Fault
from maintsched.store.evidence import append, heads
from maintsched.store.ledger import ACTION, NOTICE, ActionKind, ActionState
from maintsched.store.outbox import record
from maintsched.store.windows import keep_windows
from maintsched.worker.heads import begin_epoch, check_heads, heads_path, read_heads, read_newest, write_heads
from maintsched.worker.house import House, read_scene
from maintsched.worker.record import plan_ahead

WAY_OUT = "leave with `maintsched worker --resume again` (sends them, perhaps twice) or `--resume assume-sent` (never)"
NAMED = 5
"""Notices in doubt that are named."""


class Resume(StrEnum):
    """How an operator leaves the hold."""

    AGAIN = "again"  # send what is in doubt: better twice than never
    ASSUME_SENT = "assume-sent"  # do not send it: it tells nobody and proves nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why passes hold, and what may have been sent already."""

    faults: tuple[Fault, ...]
    doubtful: tuple[str, ...]
    """Keys of the notices that a pass would send now."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Say it in a few lines."""
        first, count = self.faults[0], len(self.doubtful)
        behind = f"held: the database is behind what was known of it in {len(self.faults)} places"
        named = ", ".join(self.doubtful[:NAMED]) + (" …" if count > NAMED else "")
        return (
            f"{behind}, such as {first.chain}: {first.what}; was an older copy restored?",
            f"held: {count} notices may have been sent already: {named}",
            f"held: nothing is sent; {WAY_OUT}",
        )


def hold_of(house: House, *, now: datetime, quick: bool = False) -> Hold | None:
    """Return why passes hold at `now`, or None where the database is not behind the heads kept outside it.

    A `quick` look is at the chains that were written last: enough while nothing is to be sent.
    """
    path = heads_path(house.config)
    if not path.exists():
        return None
    kept = read_newest(path) if quick else read_heads(path)
    if kept is None:
        return None
    with house.store.reading() as connection:
        faults = check_heads(connection, kept)
    if not faults:
        return None
    with house.store.trying() as connection:
        doubtful = _doubtful(house, connection, now)
    return Hold(faults=tuple(faults), doubtful=doubtful)


def _doubtful(house: House, connection: Connection, now: datetime) -> tuple[str, ...]:
    """Return what a pass would send now; called in a transaction that is undone, or that goes on with it."""
    scene = read_scene(connection, house.contract, now)
    found = due(plan_ahead(house, connection, scene, now), scene.fleet, scene.known, now=now)
    keep_windows(connection, found.keep, now)
    record(connection, found.rounds, now)
    states = ACTION.c.state.in_([str(ActionState.READY), str(ActionState.RUNNING)])
    waiting = select(ACTION.c.key).where(ACTION.c.kind == ActionKind.NOTICE, states, ACTION.c.not_before <= now)
    return tuple(connection.execute(waiting.order_by(ACTION.c.key)).scalars())


def resume(house: House, how: Resume, *, now: datetime) -> Hold:
    """Leave the hold: begin a new epoch, and send what is in doubt, or never send it. Says what was in doubt."""
    hold = hold_of(house, now=now)
    if hold is None:
        raise ChangeRefused("worker", expected="passes that hold after a restore", found="none that do")
    with house.store.writing() as connection:
        before = begin_epoch(connection, now)
        data = {
            "epoch": before,
            "resumed": str(how),
            "behind": [f"{fault.chain}: {fault.what}" for fault in hold.faults[:100]],
            "doubtful": list(hold.doubtful[:1000]),
        }
        append(connection, [Event(chain=PROVIDER, at=now, kind=EntryKind.EPOCH_BEGUN, subject=before, data=data)])
        if how is Resume.ASSUME_SENT:
            _assume_sent(connection, house, now)
        current = heads(connection)
    write_heads(heads_path(house.config), before, current)
    return hold


def _assume_sent(connection: Connection, house: House, now: datetime) -> None:
    keys = _doubtful(house, connection, now)
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        gone = {"state": str(ActionState.CANCELLED), "owner": None, "lease_until": None, "changed_at": now}
        connection.execute(update(ACTION).where(ACTION.c.key.in_(some)).values(**gone))
        connection.execute(update(NOTICE).where(NOTICE.c.key.in_(some)).values(result="assumed sent"))

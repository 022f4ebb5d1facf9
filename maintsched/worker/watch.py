"""Watches over what was promised: margins that run short, bounces, the heartbeat that every pass leaves."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, and_, select

from maintsched.errors import StoreError
from maintsched.journal import instant_text
from maintsched.localtime import utc
from maintsched.store.evidence import count_entries, count_heads
from maintsched.store.ledger import ACTION, NOTICE, ActionKind, ActionState
from maintsched.store.tables import EPOCH, HEADS_WRITTEN, read_meta, write_meta
from maintsched.worker.alerts import Alert, record_alerts
from maintsched.worker.heads import heads_path, keep_heads
from maintsched.worker.house import House


def warn_of_margins(house: House, *, now: datetime) -> list[str]:
    """Tell the operator of notices that are not accepted although half of their margin has passed."""
    margin = timedelta(seconds=house.contract.notice.margin.total_seconds() / 2)
    with house.store.writing() as connection:
        waiting = _waiting(connection, utc(now) + margin)
        alerts = [
            Alert(
                key=f"margin/{key}",
                subject=f"margin/{subject}",
                title=f"Notices of {subject} are not accepted yet",
                lines=(f"{key}: due {instant_text(deadline)}",),
                way_out="Look at the mail server with `maintsched doctor`, at notices with `maintsched notice list`.",
            )
            for key, subject, deadline in waiting
        ]
        return record_alerts(connection, house.contract, alerts, now)


def _waiting(connection: Connection, until: datetime) -> list[tuple[str, str, datetime]]:
    states = ACTION.c.state.in_([str(ActionState.READY), str(ActionState.RUNNING)])
    wanted = (
        select(NOTICE.c.key, NOTICE.c.subject, NOTICE.c.deadline)
        .join(ACTION, ACTION.c.key == NOTICE.c.key)
        .where(and_(ACTION.c.kind == ActionKind.NOTICE, states, NOTICE.c.result.is_not(None)))
        .where(NOTICE.c.deadline.is_not(None), NOTICE.c.deadline <= until)
        .order_by(NOTICE.c.key)
    )
    return [(key, subject, deadline) for key, subject, deadline in connection.execute(wanted)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a pass leaves behind, so that silence never looks like success."""

    at: datetime
    exit_code: int
    results: dict[str, int]
    problems: tuple[str, ...]


def keep_the_heads(house: House, *, now: datetime) -> list[str]:
    """Write down outside the database where the chains end; a database that is behind is told of, not written over.

    Nothing is written while no entry was added since the last time.
    """
    with house.store.reading() as connection:
        entries, written = count_entries(connection), read_meta(connection, HEADS_WRITTEN)
    path = heads_path(house.config)
    if str(entries) == written and path.exists():
        return []
    faults = [f"{fault.chain}: {fault.what}" for fault in keep_heads(house.store, path)]
    with house.store.writing() as connection:
        write_meta(connection, HEADS_WRITTEN, "behind" if faults else str(entries))
    if faults:
        alert = Alert(
            key=f"heads/{faults[0]}",
            subject="heads",
            title="The journal is behind what was written before",
            lines=tuple(faults),
            way_out="Was an old copy of the database restored? `maintsched doctor` and `evidence verify` say more.",
        )
        with house.store.writing() as connection:
            record_alerts(connection, house.contract, [alert], now)
    return faults


def say_still_there(house: House, *, now: datetime) -> list[str]:
    """Store a mail a day to the operator, where one is asked for: its absence says that nothing works any more."""
    if not house.config.worker.heartbeat_mail:
        return []
    day = now.astimezone(house.contract.zone).date().isoformat()
    with house.store.writing() as connection:
        entries = count_entries(connection)
        waiting = len(_waiting(connection, utc(now) + timedelta(days=366)))
        alert = Alert(
            key=f"heartbeat/{day}",
            subject=f"heartbeat/{day}",
            title="The worker is still there",
            lines=(f"{entries} entries of evidence", f"{waiting} notices wait for another try"),
            way_out="Nothing to do. Where this mail is missing one day, look at the worker.",
        )
        return record_alerts(connection, house.contract, [alert], now)


def leave_heartbeat(house: House, beat: Heartbeat) -> None:
    """Write the heartbeat to its file, if one is configured."""
    with house.store.reading() as connection:
        epoch, chains, entries = read_meta(connection, EPOCH), *count_heads(connection)
    path = house.config.worker.heartbeat_file
    if path is not None:
        record = {
            "at": instant_text(beat.at),
            "exit_code": beat.exit_code,
            "results": beat.results,
            "problems": list(beat.problems),
            "epoch": epoch,
            "chains": chains,
            "entries": entries,
        }
        replace_file(path, json.dumps(record, indent=2) + "\n")


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a half."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")  # several passes at once are allowed
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()  # nobody else would: the next pass is another process, with a name of its own
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def shortened(problems: Iterable[str], most: int = 20) -> tuple[str, ...]:
    """Return at most `most` lines, the last of which counts the others."""
    listed = list(problems)
    return tuple(listed[:most]) + ((f"… and {len(listed) - most} more",) if len(listed) > most else ())

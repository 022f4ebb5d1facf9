"""What operators do to pauses: begin one, end it, list them; with evidence, and with the runs that are under way."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count

from sqlalchemy import Connection

from maintsched.errors import ChangeRefused, UnknownName
from maintsched.fleet import Fleet
from maintsched.grammar import require_text
from maintsched.journal import PROVIDER, EntryKind, Event
from maintsched.runs import Pause, Run
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.store.fleets import read_fleet
from maintsched.store.orders import end_pause, read_pauses, write_pause
from maintsched.store.runs import UNDER_WAY, read_runs


@dataclass(frozen=True, kw_only=True)
class PauseStanding:
    """A pause, the keys of the instances that it covers today, and the runs among them that are under way."""

    pause: Pause
    instances: tuple[str, ...]
    under_way: tuple[str, ...] = ()
    """Keys of runs. What they are at runs out; no further change is begun."""

    @property
    def everywhere(self) -> bool:
        """Say whether it is a pause of the whole fleet."""
        return not self.pause.customers and not self.pause.instances


def begin_pause(store: Store, pause: Pause, *, now: datetime, numbered: bool = False) -> PauseStanding:
    """Enter a pause; it holds from this moment on.

    `numbered`: where the key is taken, the next free one of `<key>-2`, `<key>-3` and so on is. Raises `UnknownName` for
    customers and instances that nobody has, `ChangeRefused` for a key that is taken.
    """
    with store.writing() as connection:
        fleet = read_fleet(connection)
        _require_known("customer", pause.customers, [each.key for each in fleet.customers])
        _require_known("instance", pause.instances, fleet.owners)
        pause = replace(pause, key=_free_key(connection, pause.key, numbered=numbered))
        write_pause(connection, pause)
        append(connection, _events(fleet, pause, EntryKind.PAUSE_BEGUN, now))
        return _standing(fleet, pause, _under_way(connection))


def resume_work(store: Store, key: str, *, now: datetime, reason: str = "") -> PauseStanding:
    """End a pause: runs go on in the next pass, if their other gates are open.

    Raises `UnknownName` where there is none of that key, `ChangeRefused` where it has ended already.
    """
    require_text("reason", reason, empty=True)
    with store.writing() as connection:
        known = {each.key: each for each in read_pauses(connection, everything=True)}
        pause = known.get(key)
        if pause is None:
            raise UnknownName("pause", found=key, known=known)
        if pause.resumed_at is not None:
            found = f"one that ended at {pause.resumed_at.isoformat()}"
            raise ChangeRefused(f"pause {key}", expected="one that holds", found=found)
        end_pause(connection, key, now)
        fleet = read_fleet(connection)
        append(connection, _events(fleet, pause, EntryKind.PAUSE_ENDED, now, why=reason))
        return _standing(fleet, replace(pause, resumed_at=now), _under_way(connection))


def list_pauses(store: Store, *, everything: bool = False) -> tuple[PauseStanding, ...]:
    """Return the pauses that hold, in the order of their begin; `everything`: those that have ended as well."""
    with store.reading() as connection:
        fleet, runs = read_fleet(connection), _under_way(connection)
        return tuple(_standing(fleet, each, runs) for each in read_pauses(connection, everything=everything))


def _require_known(what: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownName(what, found=name, known=known, field=what)


def _free_key(connection: Connection, key: str, *, numbered: bool) -> str:
    taken = {each.key for each in read_pauses(connection, everything=True)}
    if key not in taken:
        return key
    if not numbered:
        raise ChangeRefused(f"pause {key}", expected="a new key (give another one with --key)", found="one in use")
    return next(found for number in count(2) if (found := f"{key}-{number}") not in taken)


def _under_way(connection: Connection) -> list[Run]:
    return [each.run for each in read_runs(connection, states=UNDER_WAY)]


def _standing(fleet: Fleet, pause: Pause, runs: Iterable[Run]) -> PauseStanding:
    instances = tuple(key for key, customer in fleet.owners.items() if pause.covers(customer.key, key))
    under_way = tuple(each.key for each in runs if pause.covers(each.customer, each.instance))
    return PauseStanding(pause=pause, instances=instances, under_way=under_way)


def _events(fleet: Fleet, pause: Pause, kind: EntryKind, now: datetime, **more: str) -> list[Event]:
    """Return what the journal says of a pause: for each instance that was named, or whose customer was.

    A pause of the whole fleet is one entry of the provider's: it is to hold at once, however large the fleet is, and
    each run that it keeps from its window says so itself.
    """
    data = {"reason": pause.reason, **more}
    covered = [key for key, customer in fleet.owners.items() if pause.covers(customer.key, key)]
    chains = covered if pause.customers or pause.instances else []
    subject = f"pause/{pause.key}"
    return [Event(chain=each, at=now, kind=kind, subject=subject, data=data) for each in chains or [PROVIDER]]

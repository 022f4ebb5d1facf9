"""What operators do to tracks: switch an instance to another one, list who is on which (clause 2.4.2)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from maintsched.contract import Contract
from maintsched.errors import ChangeRefused
from maintsched.facts import Facts, TrackSwitch, check_facts
from maintsched.fleet import Instance
from maintsched.grammar import require_text
from maintsched.journal import EntryKind, Event, instant_text
from maintsched.localtime import utc
from maintsched.releases import track_at
from maintsched.store.declared import read_track_switches, replace_track_switch
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.store.fleets import read_fleet

TICK = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class TrackStanding:
    """The track of an instance, since when it is on it, and the switches that are still to come."""

    instance: Instance
    customer: str
    track: str
    since: datetime | None
    """None: it was never switched."""
    ahead: tuple[TrackSwitch, ...]


def switch_track(
    store: Store, contract: Contract, instance: str, track: str, *, at: datetime, reason: str, now: datetime
) -> TrackStanding:
    """Record that an instance is on another track from `at` on; a switch at the same instant is replaced.

    Raises `UnknownName` for an instance or a track nobody knows, `ChangeRefused` where it is on that track already.
    """
    require_text("reason", reason)
    switch = TrackSwitch(instance=instance, track=track, at=at)
    with store.writing() as connection:
        fleet, switches = read_fleet(connection), read_track_switches(connection)
        check_facts(contract, fleet, Facts(track_switches=(switch,)))
        mine = fleet.instance(instance)
        before = track_at(contract, mine, switches, utc(at) - TICK)
        replaced = any(each.instance == instance and utc(each.at) == utc(at) for each in switches)
        if before == track and not replaced:
            expected = f"another track than {track}"
            raise ChangeRefused(
                f"track of {instance}", expected=expected, found=f"the one that it is on at {_said(at)}"
            )
        replace_track_switch(connection, switch)
        data = {
            "customer": fleet.owners[instance].key,
            "track": track,
            "previous": before,
            "from": instant_text(at),
            "why": reason,
        }
        subject = f"track_switch/{instance}/{instant_text(at)}"
        append(connection, [Event(chain=instance, at=now, kind=EntryKind.TRACK_SWITCHED, subject=subject, data=data)])
        return _standing(contract, mine, data["customer"], read_track_switches(connection), now)


def list_tracks(store: Store, contract: Contract, *, now: datetime) -> list[TrackStanding]:
    """Return the track of each instance, in the order of the fleet."""
    with store.reading() as connection:
        fleet, switches = read_fleet(connection), read_track_switches(connection)
    return [_standing(contract, each, fleet.owners[each.key].key, switches, now) for each in fleet.instances()]


def _said(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"


def _standing(
    contract: Contract, instance: Instance, customer: str, switches: tuple[TrackSwitch, ...], now: datetime
) -> TrackStanding:
    mine = sorted((each for each in switches if each.instance == instance.key), key=lambda each: utc(each.at))
    past = [each for each in mine if utc(each.at) <= utc(now)]
    return TrackStanding(
        instance=instance,
        customer=customer,
        track=track_at(contract, instance, mine, now),
        since=past[-1].at if past else None,
        ahead=tuple(each for each in mine if utc(each.at) > utc(now)),
    )

"""What operators do to consents of customers whose instances run on systems of their own: add, end, list (clause 7.7).

The journal names who agreed by the key of a contact, and no other name: that stands in the consent alone.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from maintsched.contract import Contract
from maintsched.errors import ChangeRefused, InvalidValue
from maintsched.facts import Consent
from maintsched.fleet import Fleet
from maintsched.grammar import require_text
from maintsched.journal import EntryKind, Event, instant_text
from maintsched.localtime import utc
from maintsched.store.declared import end_consents, read_consents, write_consents
from maintsched.store.engine import Store
from maintsched.store.evidence import append
from maintsched.store.fleets import read_fleet


class ConsentState(StrEnum):
    """Where a consent stands at an instant."""

    AHEAD = "ahead"  # it does not hold yet
    HOLDS = "holds"  # the instance may be worked on
    OVER = "over"  # it has ended


@dataclass(frozen=True, kw_only=True)
class ConsentStanding:
    """A consent, and where it stands."""

    consent: Consent
    state: ConsentState
    customer: str


def add_consent(store: Store, contract: Contract, consent: Consent, *, now: datetime) -> ConsentStanding:
    """Record that a customer agreed that its own system is worked on.

    Raises `UnknownName` for an instance nobody has, `ChangeRefused` for one that is managed and where a consent holds
    for all of that time already, `InvalidValue` for one that is over.
    """
    if consent.until is not None and utc(consent.until) <= utc(now):
        raise InvalidValue("until", expected=f"an instant after {now.isoformat()}", found=consent.until.isoformat())
    with store.writing() as connection:
        fleet = read_fleet(connection)
        instance = fleet.instance(consent.instance)
        if instance.managed:
            wanted = f"one on the customer's own system (clause {contract.clauses.remote_access})"
            found = "a managed one: no consent is needed"
            raise ChangeRefused(f"instance {instance.key}", expected=wanted, found=found)
        for each in read_consents(connection):
            if each.instance == consent.instance and _covers(each, consent):
                wanted, found = "a time without consent, or a longer one", f"one that holds {_until(contract, each)}"
                raise ChangeRefused(f"consent of {consent.instance}", expected=wanted, found=found)
        write_consents(connection, [consent])
        append(connection, [_event(fleet, consent, EntryKind.CONSENT_GIVEN, now)])
        return _standing(fleet, consent, now)


def end_consent(
    store: Store, contract: Contract, instance: str, *, at: datetime, reason: str, now: datetime
) -> list[ConsentStanding]:
    """Let all consents of an instance end at `at`; return them as they stand now.

    Raises `UnknownName` for an instance nobody has, `ChangeRefused` where none holds then or later, `InvalidValue` for
    an instant that has passed: what was worked on until now was agreed to.
    """
    require_text("reason", reason)
    if utc(at) < utc(now):
        raise InvalidValue("at", expected=f"{now.isoformat()} or later", found=at.isoformat())
    with store.writing() as connection:
        fleet = read_fleet(connection)
        fleet.instance(instance)
        mine = [each for each in read_consents(connection) if each.instance == instance]
        hit = [each for each in mine if each.until is None or utc(each.until) > utc(at)]
        if not hit:
            found = f"none that holds at {at.astimezone(contract.zone):%Y-%m-%d %H:%M %Z} or later"
            raise ChangeRefused(f"consent of {instance}", expected="one to end", found=found)
        end_consents(connection, instance, at)
        more = {"ends": instant_text(at), "why": reason}
        append(connection, [_event(fleet, each, EntryKind.CONSENT_ENDED, now, **more) for each in hit])
        left = [each for each in read_consents(connection) if each.instance == instance]
    return [_standing(fleet, each, now) for each in left]


def list_consents(store: Store, *, now: datetime, everything: bool = False) -> list[ConsentStanding]:
    """Return the consents that hold or will, in the order they were entered; `everything`: those that ended as well."""
    with store.reading() as connection:
        fleet = read_fleet(connection)
        found = [_standing(fleet, each, now) for each in read_consents(connection) if each.instance in fleet.owners]
    return [each for each in found if everything or each.state is not ConsentState.OVER]


def without_consent(store: Store, *, now: datetime) -> list[str]:
    """Return the instances on customers' own systems that nothing may touch now, since no consent holds."""
    with store.reading() as connection:
        fleet, consents = read_fleet(connection), read_consents(connection)
    holding = {each.instance for each in consents if each.holds_at(now)}
    return [each.key for each in fleet.instances() if not each.managed and each.key not in holding]


# --- what a consent is ------------------------------------------------------------------------------------------------


def _covers(known: Consent, wanted: Consent) -> bool:
    """Say whether a consent holds for all the time of another one."""
    ends = known.until is None or (wanted.until is not None and utc(wanted.until) <= utc(known.until))
    return utc(known.given_at) <= utc(wanted.given_at) and ends


def _until(contract: Contract, consent: Consent) -> str:
    if consent.until is None:
        return "without end"
    return f"until {consent.until.astimezone(contract.zone):%Y-%m-%d %H:%M %Z}"


def _standing(fleet: Fleet, consent: Consent, now: datetime) -> ConsentStanding:
    ahead = utc(consent.given_at) > utc(now)
    state = ConsentState.AHEAD if ahead else ConsentState.HOLDS if consent.holds_at(now) else ConsentState.OVER
    return ConsentStanding(consent=consent, state=state, customer=fleet.owners[consent.instance].key)


def _event(fleet: Fleet, consent: Consent, kind: EntryKind, now: datetime, **more: str) -> Event:
    owner = fleet.owners[consent.instance]
    data = {
        "customer": owner.key,
        "from": instant_text(consent.given_at),
        "until": instant_text(consent.until) if consent.until else None,
        "contact": next((each.key for each in owner.contacts if consent.given_by in (each.key, each.name)), None),
        **more,
    }
    return Event(chain=consent.instance, at=now, kind=kind, subject=f"consent/{consent.instance}", data=data)

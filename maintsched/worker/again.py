"""What operators do to single notices: send again, tell of access, look at them before they go."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, update

from maintsched.errors import ChangeRefused, InvalidValue, UnknownName
from maintsched.facts import Impact
from maintsched.fleet import instance_url
from maintsched.grammar import require_link
from maintsched.journal import instant_text
from maintsched.localtime import utc
from maintsched.mail.compose import compose
from maintsched.mail.letter import Composed
from maintsched.notices import NoticeKind, Occasion, make_round, people
from maintsched.rounds import instance_facts
from maintsched.store.fleets import read_fleet
from maintsched.store.ledger import ACTION, NOTICE, ActionState
from maintsched.store.outbox import TRIED_FOR, StoredNotice, read_notices, read_threads, record
from maintsched.support import provisioning_due
from maintsched.worker.alerts import PROVIDER_ACCOUNT
from maintsched.worker.house import House, read_scene
from maintsched.worker.post import SUPPRESSION, first_notices, letter_of, read_addressees

SECRETIVE = frozenset("@?#")


def one_notice(house: House, key: str) -> StoredNotice:
    """Return a stored notice; `UnknownName` where there is none of that key."""
    with house.store.reading() as connection:
        found = read_notices(connection, keys={key})
        if found:
            return found[0]
        known = [each.key for each in read_notices(connection)[-200:]]
    raise UnknownName("notice", found=key, known=known)


def notices_of(house: House, *, subject: str | None, customer: str | None) -> list[StoredNotice]:
    """Return stored notices, or those about a subject or to a customer.

    Raises `UnknownName` for a customer that neither has notices nor is in the fleet.
    """
    with house.store.reading() as connection:
        found = read_notices(connection, subjects=None if subject is None else {subject}, customer=customer)
        if not found and customer is not None and customer != PROVIDER_ACCOUNT:
            read_fleet(connection).customer(customer)
    return found


def composed_notice(house: House, stored: StoredNotice) -> Composed:
    """Return the mail of a stored notice, byte by byte as it goes out."""
    notice = stored.notice
    person = (notice.customer, notice.contact)
    with house.store.reading() as connection:
        addressee = read_addressees(connection, house.config, {person}).get(person)
        first = first_notices(connection, [notice])
    if addressee is None:
        found = "one that is gone, or was erased"
        raise ChangeRefused("/".join(person), expected="a contact of the fleet to write to", found=found)
    origin = first.get((notice.subject, *person))
    return compose(letter_of(house.contract, house.config, stored, addressee, origin), house.templates)


def resend(house: House, key: str, *, now: datetime) -> StoredNotice:
    """Put a notice that failed, bounced or is uncertain back into the outbox; its address is tried again.

    A notice that was accepted is not sent twice, one that was overtaken stays overtaken, and of a window that began
    nobody is told any more.
    """
    one_notice(house, key)
    with house.store.writing() as connection:
        (stored,) = read_notices(connection, keys={key})  # a pass may have taken it up this moment
        notice, over = stored.notice, _require_again(stored, now)
        thread = read_threads(connection, {notice.subject}).get((notice.subject, notice.customer))
        if thread is not None and thread.revision != notice.revision:
            expected = f"a notice of revision {thread.revision}, the latest"
            raise ChangeRefused(key, expected=expected, found=f"one of revision {notice.revision}")
        mine = (SUPPRESSION.c.customer == notice.customer) & (SUPPRESSION.c.contact == notice.contact)
        connection.execute(delete(SUPPRESSION).where(mine))
        ready = {"state": str(ActionState.READY), "not_before": now, "changed_at": now}
        if over:
            ready["deadline"] = utc(now) + TRIED_FOR
        connection.execute(update(ACTION).where(ACTION.c.key == key).values(**ready))
        if stored.bounced_at is not None:
            _forget_bounce(connection, key)
    return replace(stored, state=ActionState.READY)


def _require_again(stored: StoredNotice, now: datetime) -> bool:
    """Refuse a notice that is not to be sent again; say whether it had been given up by now."""
    again = stored.state in (ActionState.FAILED, ActionState.READY)
    if not again and (stored.bounced_at is None or stored.state is ActionState.RUNNING):
        expected = "a notice that failed, came back or waits"
        raise ChangeRefused(stored.key, expected=expected, found=f"one that is {stored.result or stored.state}")
    over = stored.give_up_at is not None and utc(stored.give_up_at) <= utc(now)
    if over and "window" in stored.notice.facts:
        found = f"one that could be told until {instant_text(utc(stored.give_up_at or now))}"
        raise ChangeRefused(stored.key, expected="a notice of something still ahead", found=found)
    return over


def _forget_bounce(connection: Any, key: str) -> None:
    """Let a notice be told anew: what was accepted before has come back and proves nothing."""
    blank = {"bounced_at": None, "accepted_at": None, "delivered_at": None, "result": None}
    connection.execute(update(NOTICE).where(NOTICE.c.key == key).values(**blank))


def tell_provisioned(
    house: House, instance: str, link: str, *, ordered_at: datetime | None, now: datetime
) -> list[str]:
    """Tell a customer that an instance is available, and where access to it is handed over (clause 2.2).

    `link` leads to the place that hands access over; a secret is never part of a mail. Another link than before is told
    anew. Raises `ChangeRefused` where there is nobody to tell, or where it was told already.
    """
    _require_open_link(link)
    contract, subject = house.contract, f"instance/{instance}"
    with house.store.writing() as connection:
        scene = read_scene(connection, contract, now)
        if instance not in scene.fleet.owners:
            raise UnknownName("instance", found=instance, known=sorted(scene.fleet.owners))
        customer = scene.fleet.owners[instance]
        who = people(contract, customer, NoticeKind.PROVISIONED)
        if not who:
            expected = "somebody to tell: add a contact that is responsible, with `maintsched fleet sync`"
            raise ChangeRefused(customer.key, expected=expected, found="nobody")
        due = None if ordered_at is None else provisioning_due(contract, ordered_at)
        facts = {
            "access": {
                "instance": instance,
                "url": instance_url(contract, customer, scene.fleet.instance(instance)),
                "link": link,
                "due": None if due is None else due.isoformat(),
                "clause": contract.clauses.provisioning,
            },
            "instances": instance_facts(contract, customer, [instance], Impact.NO_IMPACT),
        }
        told = [each for each in read_notices(connection, subjects={subject}) if "access" in each.notice.facts]
        occasion = Occasion(
            kind=NoticeKind.PROVISIONED,
            subject=subject,
            facts=facts,
            now=now,
            not_before=now,
            deadline=due,
            revises=bool(told),
        )
        if told and told[-1].notice.facts["access"]["link"] == link:
            found = f"the same as {told[-1].key} told"
            raise ChangeRefused(instance, expected="another link than before, or nothing to tell", found=found)
        thread = read_threads(connection, {subject}).get((subject, customer.key))
        return record(connection, [make_round(occasion, customer.key, who, thread)], now)


def _require_open_link(link: str) -> None:
    """Refuse a link that opens the door by itself: with a name and password, or with a token behind `?` or `#`.

    Mails are stored and forwarded, and scanners follow their links. The link is not repeated: it may hold a secret.
    """
    if not SECRETIVE.isdisjoint(link.partition("//")[2]):
        expected = "a link without '@', '?' and '#': mails are no place for passwords and tokens"
        raise InvalidValue("link", expected=expected, found="another one (not shown)")
    require_link("link", link)

"""What follows when contacts or instances leave the fleet: notices to them that have not gone out will not any more."""

from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import Connection, select, update

from maintsched.store.evidence import append
from maintsched.store.ledger import ACTION, NOTICE, ActionState
from maintsched.store.outbox import StoredNotice, read_notices
from maintsched.store.tables import in_chunks
from maintsched.worker.telling import withdrawal


def withdraw_of_contacts(connection: Connection, people: Collection[tuple[str, str]], now: datetime) -> list[str]:
    """Cancel the notices to `people` (customer and contact) that nobody is at; return their keys.

    Who is not there any more does not have to be told, so that the customer's other people alone decide whether it was.
    """
    wanted = set(people)
    customers = {customer for customer, _ in wanted}
    waiting = _waiting(connection, customers, lambda each: (each.notice.customer, each.notice.contact) in wanted)
    for some in in_chunks([each.key for each in waiting]):
        connection.execute(update(NOTICE).where(NOTICE.c.key.in_(some)).values(required=False))
    return _withdraw(connection, waiting, now)


def withdraw_of_instances(
    connection: Connection, customers: Collection[str], instances: Collection[str], now: datetime
) -> list[str]:
    """Cancel the notices to `customers` that nobody is at and that are about `instances` alone; return their keys."""
    wanted = set(instances)
    waiting = _waiting(connection, customers, lambda each: bool(each.instances) and wanted.issuperset(each.instances))
    return _withdraw(connection, waiting, now)


def _waiting(
    connection: Connection, customers: Collection[str], chosen: Callable[[StoredNotice], bool]
) -> list[StoredNotice]:
    found: list[StoredNotice] = []
    for some in in_chunks(sorted(customers)):
        ready = (
            select(NOTICE.c.key)
            .join(ACTION, ACTION.c.key == NOTICE.c.key)
            .where(NOTICE.c.customer.in_(some), ACTION.c.state == ActionState.READY)
        )
        keys = list(connection.execute(ready).scalars())
        found.extend(each for each in read_notices(connection, keys=keys) if chosen(each))
    return found


def _withdraw(connection: Connection, waiting: Collection[StoredNotice], now: datetime) -> list[str]:
    keys = sorted(each.key for each in waiting)
    for some in in_chunks(keys):
        gone = update(ACTION).where(ACTION.c.key.in_(some), ACTION.c.state == ActionState.READY)
        connection.execute(gone.values(state=str(ActionState.CANCELLED), changed_at=now))
    append(connection, [event for each in waiting for event in withdrawal(each, now)])
    return keys

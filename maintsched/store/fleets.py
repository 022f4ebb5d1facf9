"""The fleet in the database."""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from maintsched.errors import UnknownName
from maintsched.fleet import BackupRule, CalendarMethod, Contact, Customer, Fleet, Instance, Language
from maintsched.recurrence import Rule
from maintsched.store.rows import ContactRow, CustomerRow, InstanceRow
from maintsched.store.tables import facts_changed, table_of

CUSTOMER = table_of(CustomerRow)
CONTACT = table_of(ContactRow)
INSTANCE = table_of(InstanceRow)
ERASED = "erased"
"""What stands in place of the name of a contact whose data were erased."""
NAMED_HOSTS = 500
"""Hosts up to which the database is asked for these alone; a statement takes no end of names."""


def read_fleet(connection: Connection, customers: Collection[str] | None = None) -> Fleet:
    """Return the fleet, or the part of it that `customers` are; contacts whose data were erased are no part of it."""
    contacts: dict[str, list[Contact]] = defaultdict(list)
    instances: dict[str, list[Instance]] = defaultdict(list)
    some = [] if customers is None else sorted(customers)
    of_contacts, of_instances, of_customers = (
        [] if customers is None else [column.in_(some)]
        for column in (CONTACT.c.customer, INSTANCE.c.customer, CUSTOMER.c.key)
    )
    known = select(CONTACT).where(CONTACT.c.erased_at.is_(None), *of_contacts)
    for row in connection.execute(known.order_by(CONTACT.c.customer, CONTACT.c.position)).mappings():
        contacts[row["customer"]].append(contact_from_row(row))
    listed = select(INSTANCE).where(*of_instances).order_by(INSTANCE.c.customer, INSTANCE.c.position)
    for row in connection.execute(listed).mappings():
        instances[row["customer"]].append(instance_from_row(row))
    found = connection.execute(select(CUSTOMER).where(*of_customers).order_by(CUSTOMER.c.position)).mappings()
    return Fleet(
        customers=tuple(
            Customer(
                key=row["key"],
                name=row["name"],
                language=Language(row["language"]),
                package=row["package"],
                sender=row["sender"],
                contacts=tuple(contacts[row["key"]]),
                instances=tuple(instances[row["key"]]),
                work_notices=None if row["work_notices"] is None else tuple(row["work_notices"]),
            )
            for row in found
        )
    )


def contact_from_row(row: Mapping[Any, Any]) -> Contact:
    """Return a contact."""
    return Contact(
        key=row["key"],
        name=row["name"],
        email=row["email"],
        roles=tuple(row["roles"]),
        zone=row["zone"],
        calendar=CalendarMethod(row["calendar"]),
        language=Language(row["language"]) if row["language"] else None,
    )


def instance_from_row(row: Mapping[Any, Any]) -> Instance:
    """Return an instance."""
    return Instance(
        key=row["key"],
        host=row["host"],
        environment=row["environment"],
        url=row["url"],
        track=row["track"],
        components=tuple(row["components"]),
        executor=row["executor"],
        wave=row["wave"],
        managed=row["managed"],
        backup=_backup(row["backup"]),
        versions=row["versions"],
        starts_on=row["starts_on"],
        ends_on=row["ends_on"],
    )


def _backup(kept: Mapping[str, Any] | None) -> BackupRule | None:
    if kept is None:
        return None
    times = tuple(time.fromisoformat(each) for each in kept["times"])
    return BackupRule(times=times, rule=Rule.parse(kept["rule"]), anchor=date.fromisoformat(kept["anchor"]))


class KeptContact(NamedTuple):
    """What belongs to a contact besides what a fleet says of it."""

    salt: str
    email: str
    erased_at: datetime | None


def kept_contacts(connection: Connection) -> dict[tuple[str, str], KeptContact]:
    """Return what is kept of each contact, those that were erased among them, by customer and contact."""
    columns = (CONTACT.c.customer, CONTACT.c.key, CONTACT.c.salt, CONTACT.c.email, CONTACT.c.erased_at)
    found = connection.execute(select(*columns)).all()
    return {(customer, key): KeptContact(salt, email, erased) for customer, key, salt, email, erased in found}


def customers_on(connection: Connection, hosts: Collection[str]) -> set[str]:
    """Return the customers that have an instance on one of `hosts`; large and small letters are the same."""
    wanted = {host.lower() for host in hosts}
    known = select(INSTANCE.c.host, INSTANCE.c.customer).distinct()
    if len(wanted) <= NAMED_HOSTS:
        known = known.where(func.lower(INSTANCE.c.host).in_(sorted(wanted)))
    return {customer for host, customer in connection.execute(known) if host.lower() in wanted}


def write_versions(connection: Connection, instance: str, versions: Mapping[str, str]) -> None:
    """Note what is installed on an instance now; components that are not named stay as they were known."""
    same = INSTANCE.c.key == instance
    known = connection.execute(select(INSTANCE.c.versions).where(same)).scalar_one_or_none()
    if known is not None and {**known, **versions} != known:
        connection.execute(update(INSTANCE).where(same).values(versions={**known, **versions}))
        facts_changed(connection)


def write_fleet(connection: Connection, fleet: Fleet) -> None:
    """Make the fleet in the database the one given; contacts keep their salts, and who was erased stays erased."""
    kept = kept_contacts(connection)
    erased = {name for name, contact in kept.items() if contact.erased_at is not None}
    for customer in fleet.customers:
        for contact in customer.contacts:
            if (customer.key, contact.key) in erased:
                known = [each.key for each in customer.contacts if (customer.key, each.key) not in erased]
                raise UnknownName("contact whose data were not erased", found=contact.key, known=known)
    connection.execute(delete(CONTACT).where(CONTACT.c.erased_at.is_(None)))
    connection.execute(delete(INSTANCE))
    connection.execute(delete(CUSTOMER))
    for table, rows in (
        (CUSTOMER, _customer_rows(fleet)),
        (CONTACT, _contact_rows(fleet, kept)),
        (INSTANCE, _instance_rows(fleet)),
    ):
        listed = list(rows)
        if listed:
            connection.execute(insert(table), listed)
    facts_changed(connection)


def _customer_rows(fleet: Fleet) -> Iterable[dict[str, Any]]:
    for position, customer in enumerate(fleet.customers):
        yield {
            "key": customer.key,
            "position": position,
            "name": customer.name,
            "language": str(customer.language),
            "package": customer.package,
            "sender": customer.sender,
            "work_notices": None if customer.work_notices is None else list(customer.work_notices),
        }


def _contact_rows(fleet: Fleet, kept: Mapping[tuple[str, str], KeptContact]) -> Iterable[dict[str, Any]]:
    for customer in fleet.customers:
        for position, contact in enumerate(customer.contacts):
            before = kept.get((customer.key, contact.key))
            yield {
                "customer": customer.key,
                "key": contact.key,
                "position": position,
                "name": contact.name,
                "email": contact.email,
                "roles": list(contact.roles),
                "zone": contact.zone.key,
                "calendar": str(contact.calendar),
                "language": str(contact.language) if contact.language else None,
                "salt": before.salt if before else secrets.token_hex(16),
                "erased_at": None,
            }


def _instance_rows(fleet: Fleet) -> Iterable[dict[str, Any]]:
    for customer in fleet.customers:
        for position, instance in enumerate(customer.instances):
            backup = instance.backup
            yield {
                "key": instance.key,
                "customer": customer.key,
                "position": position,
                "host": instance.host,
                "environment": instance.environment,
                "url": instance.url,
                "track": instance.track,
                "components": list(instance.components),
                "executor": instance.executor,
                "wave": instance.wave,
                "managed": instance.managed,
                "backup": None
                if backup is None
                else {
                    "times": [each.isoformat() for each in backup.times],
                    "rule": str(backup.rule),
                    "anchor": backup.anchor.isoformat(),
                },
                "versions": {component: str(version) for component, version in instance.versions.items()},
                "starts_on": instance.starts_on,
                "ends_on": instance.ends_on,
            }


def erase_contact(connection: Connection, customer: str, contact: str, now: datetime) -> None:
    """Erase name, address and salt of a contact: what evidence keeps of it then leads to nobody."""
    blank = {"name": ERASED, "email": f"{ERASED}@invalid", "roles": [], "salt": "", "erased_at": now}
    where = (CONTACT.c.customer == customer) & (CONTACT.c.key == contact)
    connection.execute(update(CONTACT).where(where).values(**blank))
    facts_changed(connection)


def address_hash(salt: str, email: str) -> str:
    """Return what evidence keeps of an address: a salted hash, which nobody can follow back without the salt."""
    return sha256(f"{salt}:{email}".encode()).hexdigest()

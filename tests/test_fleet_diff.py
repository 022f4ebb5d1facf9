"""What makes one fleet another: the laws of the difference, and of taking it over."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from maintsched.facts import Consent, DeclaredWindow, Facts, Freeze, Outage, WindowKind
from maintsched.fleet import BackupRule, CalendarMethod, Contact, Customer, Fleet, Instance, Language
from maintsched.fleetdiff import Change, FleetDiff, How, Thing, diff, facts_of, merged, plain
from maintsched.version import Version

KEYS = ["a", "b", "c"]


PEOPLE = [
    Contact(key="p", name=name, email=email, roles=roles, zone=zone, calendar=calendar)
    for name, email, roles, zone, calendar in (
        ("Eva", "x@a.example", (), ZoneInfo("UTC"), CalendarMethod.PUBLISH),
        ("Bo", "x@a.example", ("maintenance",), ZoneInfo("UTC"), CalendarMethod.PUBLISH),
        ("Eva", "y@a.example", ("maintenance", "reports"), ZoneInfo("UTC"), CalendarMethod.NONE),
        ("Eva", "x@a.example", (), ZoneInfo("Europe/Berlin"), CalendarMethod.REQUEST),
    )
]
PORTALS = [
    Instance(key="i", host="h1"),
    Instance(key="i", host="h1", versions={"intrexx": Version.parse("12.0")}, wave=2),
    Instance(key="i", host="h2", versions={"intrexx": Version.parse("12.0.1")}, ends_on=date(2027, 3, 1)),
    Instance(key="i", host="h2", backup=BackupRule(times=(time(2),)), managed=False),
]
ACCOUNTS = [
    Customer(key="a", name="One", language=Language.DE, package="premium"),
    Customer(key="a", name="Two", language=Language.EN, package="premium"),
    Customer(key="a", name="One", language=Language.DE, package="professional", sender="us@a.example"),
]


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """A small fleet: few keys and few values, so that two of them share things, and instances change hands."""
    owners = draw(st.lists(st.sampled_from([None, *KEYS]), min_size=4, max_size=4))
    portals = draw(st.lists(st.sampled_from(PORTALS), min_size=4, max_size=4))
    people = st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from(PEOPLE))
    customers = []
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
        mine = tuple(
            replace(portal, key=f"i{n}")
            for n, (owner, portal) in enumerate(zip(owners, portals, strict=True))
            if owner == key
        )
        contacts = tuple(replace(person, key=name) for name, person in draw(people).items())
        account = draw(st.sampled_from(ACCOUNTS))
        customers.append(replace(account, key=key, contacts=contacts, instances=mine))
    return Fleet(customers=tuple(customers))


def in_order(fleet: Fleet) -> Fleet:
    """The same fleet with everything in the order of its keys."""
    return Fleet(
        customers=tuple(
            replace(
                customer,
                contacts=tuple(sorted(customer.contacts, key=lambda each: each.key)),
                instances=tuple(sorted(customer.instances, key=lambda each: each.key)),
            )
            for customer in sorted(fleet.customers, key=lambda each: each.key)
        )
    )


def applied(fleet: Fleet, found: FleetDiff) -> Fleet:
    """Another way to the same end: change after change, by the fields that each names."""
    customers = {each.key: replace(each, contacts=(), instances=()) for each in fleet.customers}
    contacts = {(own.key, each.key): each for own in fleet.customers for each in own.contacts}
    instances = {each.key: (own.key, each) for own in fleet.customers for each in own.instances}
    for change in found.changes:
        if change.thing is Thing.CUSTOMER:
            patch(customers, change.key, change, change.after)
        elif change.thing is Thing.CONTACT:
            patch(contacts, tuple(change.key.split("/")), change, change.after)
        elif change.how is How.REMOVED:
            del instances[change.key]
        elif change.how is How.ADDED:
            instances[change.key] = (change.customer or "", change.after)
        else:
            values = {each.field: each.after for each in change.fields if each.field != "customer"}
            instances[change.key] = (change.customer or "", replace(instances[change.key][1], **values))
    return Fleet(
        customers=tuple(
            replace(
                customer,
                contacts=tuple(each for (owner, _), each in contacts.items() if owner == key),
                instances=tuple(each for owner, each in instances.values() if owner == key),
            )
            for key, customer in customers.items()
        )
    )


def patch(table: dict, key: object, change: Change, after: object) -> None:
    if change.how is How.REMOVED:
        del table[key]
    elif change.how is How.ADDED:
        assert key not in table
        table[key] = after
    else:
        table[key] = replace(table[key], **{each.field: each.after for each in change.fields})


@given(fleets(), fleets())
def test_applying_the_changes_one_by_one_gives_the_new_fleet(before, after):
    assert in_order(applied(before, diff(before, after))) == in_order(after)


@given(fleets())
def test_a_fleet_does_not_differ_from_itself_in_whatever_order(fleet):
    assert not diff(fleet, fleet)
    assert not diff(fleet, in_order(fleet))


@given(fleets(), fleets())
def test_every_change_names_what_differs_and_nothing_else(before, after):
    for change in diff(before, after).changes:
        assert change.how is not How.CHANGED or change.fields
        assert all(each.before != each.after for each in change.fields)
        assert not change.fields or change.how is How.CHANGED


@given(fleets(), fleets())
def test_the_way_back_undoes_every_change(before, after):
    there, back = diff(before, after), diff(after, before)
    opposite = {How.ADDED: How.REMOVED, How.REMOVED: How.ADDED, How.CHANGED: How.CHANGED}
    assert {(each.thing, each.key, opposite[each.how]) for each in there.changes} == {
        (each.thing, each.key, each.how) for each in back.changes
    }


@given(fleets(), fleets())
def test_with_prune_the_fleet_becomes_the_new_one(before, after):
    assert not diff(merged(before, after, prune=True), after)


@given(fleets(), fleets())
def test_without_prune_nothing_is_lost_and_everything_new_is_taken_over(before, after):
    found = diff(before, after)
    kept = merged(before, after, prune=False)
    assert diff(before, kept).changes == found.without_removals().changes
    names = {(each.thing, each.key) for each in diff(after, kept).changes}
    assert names == {(each.thing, each.key) for each in found.changes if each.how is How.REMOVED}


@given(fleets(), fleets(), st.booleans())
def test_taking_a_fleet_over_twice_changes_nothing_the_second_time(before, after, prune):
    once = merged(before, after, prune=prune)
    twice = merged(once, after, prune=prune)
    assert not diff(once, twice)


@given(fleets(), fleets())
def test_counts_are_those_of_the_changes(before, after):
    found = diff(before, after)
    assert sum(found.counts.values()) == len(found.changes)
    for (thing, how), count in found.counts.items():
        assert count == len(list(found.of(thing, how=how))) > 0


def fleet_of(size: int, **changes: Any) -> Fleet:
    made = tuple(replace(Instance(key=f"i{n}", host="h"), **changes) for n in range(size))
    customer = Customer(key="a", name="A", language=Language.EN, package="premium", instances=made)
    return Fleet(customers=(customer,))


def test_an_instance_that_went_to_another_customer_is_one_change_and_is_not_kept_with_the_old_one():
    old = Customer(key="a", name="A", language=Language.EN, package="premium", instances=(Instance(key="i", host="h"),))
    new = replace(old, key="b", name="B")
    before, after = Fleet(customers=(old,)), Fleet(customers=(new,))
    (change,) = diff(before, after).of(Thing.INSTANCE)
    assert [(each.field, each.before, each.after) for each in change.fields] == [("customer", "a", "b")]
    assert merged(before, after, prune=False).owners["i"].key == "b"


def test_another_build_of_a_version_is_a_change_though_the_versions_are_equal():
    one, other = (fleet_of(1, versions={"intrexx": Version.parse(text)}) for text in ("12.0.1.a", "12.0.1.b"))
    assert one == other
    ((field,),) = [change.fields for change in diff(one, other).changes]
    assert plain(field.before) == {"intrexx": "12.0.1.a"}


def test_the_same_zone_read_twice_is_no_change():
    def with_zone(zone: ZoneInfo) -> Fleet:
        person = Contact(key="p", name="P", email="p@a.example", roles=(), zone=zone)
        own = Customer(key="a", name="A", language=Language.EN, package="premium", contacts=(person,))
        return Fleet(customers=(own,))

    assert not diff(with_zone(ZoneInfo("Europe/Berlin")), with_zone(ZoneInfo.no_cache("Europe/Berlin")))


def test_facts_keep_the_names_that_are_there_and_go_when_none_is_left():
    start, end = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC)

    def frozen(key: str, *instances: str, customers: tuple[str, ...] = ()) -> Freeze:
        return Freeze(key=key, start=start, end=end, reason="r", instances=instances, customers=customers)

    def window(key: str, *instances: str) -> DeclaredWindow:
        return DeclaredWindow(key=key, kind=WindowKind.CRITICAL, start=start, end=end, reason="r", instances=instances)

    facts = Facts(
        windows=(window("all"), window("some", "i0", "gone"), window("none", "gone")),
        freezes=(frozen("all"), frozen("some", "gone", customers=("a", "b")), frozen("none", "gone", customers=("b",))),
        outages=(Outage(start=start), Outage(start=start, instance="i0"), Outage(start=start, instance="gone")),
        consents=tuple(Consent(instance=each, given_by="x", given_at=start) for each in ("i0", "gone")),
    )
    left = facts_of(fleet_of(1), facts)
    assert left.windows == (window("all"), window("some", "i0"))
    assert left.freezes == (frozen("all"), frozen("some", customers=("a",)))
    assert [each.instance for each in left.outages] == [None, "i0"]
    assert [each.instance for each in left.consents] == ["i0"]


def test_whatever_is_removed_makes_a_difference_one_to_look_at():
    found = diff(fleet_of(100), fleet_of(99))
    assert found.is_bulk
    assert not found.without_removals().is_bulk
    assert [each.key for each in found.without_removals().left] == ["i99"]


def test_more_than_fifty_changes_or_a_fifth_of_the_things_are_many_and_new_things_are_not():
    large = fleet_of(1000)
    some = Fleet(customers=(replace(large.customers[0], instances=large.customers[0].instances[50:]),))
    assert not diff(some, large).is_bulk
    for many, bulk in ((50, False), (51, True)):
        assert diff(large, with_first(large, many)).is_bulk is bulk
    small = fleet_of(9)  # ten things with their customer
    for many, bulk in ((2, False), (3, True)):
        assert diff(small, with_first(small, many)).is_bulk is bulk


def with_first(fleet: Fleet, many: int) -> Fleet:
    (customer,) = fleet.customers
    first = tuple(replace(each, wave=7) for each in customer.instances[:many])
    return Fleet(customers=(replace(customer, instances=(*first, *customer.instances[many:])),))

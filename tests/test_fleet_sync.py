"""`fleet sync`: files are taken over as a whole, once, with evidence, and nothing happens by accident."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from maintsched.announcements import Announcement, cancelled
from maintsched.errors import ChangeRefused, UnknownName
from maintsched.facts import (
    ChangeClass,
    Consent,
    DeclaredWindow,
    Deferral,
    Facts,
    Freeze,
    Outage,
    Release,
    TrackSwitch,
    WindowKind,
)
from maintsched.fleet import Contact, Customer, Fleet, Instance, Language
from maintsched.fleetdiff import How, Thing, diff
from maintsched.journal import PROVIDER, EntryKind, first_fault
from maintsched.notices import NoticeKind, Occasion, Recipient, make_round
from maintsched.plan import make_plan
from maintsched.spans import Span
from maintsched.store.declared import KeptOutage, read_deferrals, read_freezes, read_releases, write_outage
from maintsched.store.evidence import chains, entries_of
from maintsched.store.fleets import address_hash, kept_contacts, read_fleet
from maintsched.store.ledger import ActionState
from maintsched.store.outbox import read_notices, record
from maintsched.store.windows import write_announcement
from maintsched.version import Version
from maintsched.worker.freezes import add_freeze, finish_freeze
from maintsched.worker.house import read_scene
from maintsched.worker.sync import compare_fleet, sync_fleet
from tests.databases import sqlite_store
from tests.worlds import contract

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
DAY = timedelta(days=1)
CONTRACT = contract()
EVA = Contact(key="eva", name="Eva Muster", email="eva@acme.example", roles=("system_responsible",))
BO = Contact(key="bo", name="Bo Beispiel", email="bo@acme.example", roles=("reports",))
PROD = Instance(key="acme-prod", host="h1", versions={"intrexx": Version.parse("12.0.3")})
TEST = Instance(key="acme-test", host="h2", environment="test")
ACME = Customer(
    key="acme", name="ACME GmbH", language=Language.DE, package="premium", contacts=(EVA, BO), instances=(PROD, TEST)
)
BIRCH = Customer(
    key="birch",
    name="Birch Ltd",
    language=Language.EN,
    package="premium",
    instances=(Instance(key="birch-prod", host="h3", managed=False),),
)
FLEET = Fleet(customers=(ACME, BIRCH))
MAJOR = Release(
    version=Version.parse("12.1"), change_class=ChangeClass.MAJOR, available_at=datetime(2026, 11, 9, tzinfo=UTC)
)
LATE = datetime(2027, 3, 1, tzinfo=UTC)
DEFERRAL = Deferral(instance="acme-prod", release=MAJOR.version, until=LATE)
FREEZE = Freeze(key="year-end", start=NOW + DAY, end=NOW + 40 * DAY, reason="annual accounts", customers=("acme",))
CONSENT = Consent(instance="birch-prod", given_by="Bea Birch", given_at=NOW - DAY)
SWITCH = TrackSwitch(instance="acme-test", track="silent", at=NOW - DAY)
NOTHING = Facts()
FACTS = Facts(
    releases=(MAJOR,), deferrals=(DEFERRAL,), freezes=(FREEZE,), consents=(CONSENT,), track_switches=(SWITCH,)
)


def sync(store, fleet=FLEET, facts=NOTHING, *, prune=False, now=NOW, expected=None):
    return sync_fleet(store, CONTRACT, fleet, facts, prune=prune, now=now, expected=expected)


def fleet_in(store):
    with store.reading() as connection:
        return read_fleet(connection)


def journal(store, chain=None):
    with store.reading() as connection:
        return [entry for each in ([chain] if chain else chains(connection)) for entry in entries_of(connection, each)]


def without(customer, **changes):
    return Fleet(
        customers=tuple(each if each.key != customer.key else replace(each, **changes) for each in FLEET.customers)
    )


# --- taking over ------------------------------------------------------------------------------------------------------


def test_the_fleet_is_what_the_file_says_and_a_second_time_nothing_happens(store):
    assert sync(store, facts=FACTS).counts[Thing.INSTANCE, How.ADDED] == 3
    assert fleet_in(store) == FLEET
    before = journal(store)
    assert not sync(store, facts=FACTS)
    assert journal(store) == before


def test_a_dry_run_tells_the_same_and_does_nothing(store):
    told = compare_fleet(store, CONTRACT, FLEET, FACTS, prune=False, now=NOW)
    assert not fleet_in(store).customers
    assert not journal(store)
    assert sync(store, facts=FACTS) == told


def test_without_prune_nothing_is_removed_and_what_the_file_does_not_name_is_told(store):
    sync(store)
    found = sync(store, Fleet(customers=(replace(BIRCH, name="Birch & Sons"),)))
    assert [each.key for each in found.changes] == ["birch"]
    assert [each.key for each in found.left] == ["acme", "acme/eva", "acme/bo", "acme-prod", "acme-test"]
    assert {each.key for each in fleet_in(store).instances()} == {"acme-prod", "acme-test", "birch-prod"}


def test_with_prune_the_fleet_is_the_file_alone(store):
    sync(store)
    sync(store, Fleet(customers=(BIRCH,)), prune=True)
    assert fleet_in(store) == Fleet(customers=(BIRCH,))


def test_files_without_customers_prune_nothing(store):
    sync(store)
    with pytest.raises(ChangeRefused, match="files with customers"):
        sync(store, Fleet(), prune=True)
    assert fleet_in(store) == FLEET


def test_contacts_keep_their_salts_so_that_older_evidence_can_still_be_checked(store):
    sync(store)
    with store.reading() as connection:
        before = kept_contacts(connection)
    sync(store, without(ACME, contacts=(replace(EVA, email="eva.muster@acme.example"), BO)))
    with store.reading() as connection:
        after = kept_contacts(connection)
    assert {name: each.salt for name, each in after.items()} == {name: each.salt for name, each in before.items()}


def test_a_difference_that_somebody_agreed_to_is_applied_only_while_it_is_still_that_one(store):
    agreed = compare_fleet(store, CONTRACT, FLEET, Facts(), prune=False, now=NOW)
    sync(store, Fleet(customers=(BIRCH,)))
    with pytest.raises(ChangeRefused, match="look again"):
        sync(store, expected=agreed)
    assert fleet_in(store) == Fleet(customers=(BIRCH,))


def test_what_the_contract_does_not_know_changes_nothing(store):
    sync(store)
    with pytest.raises(UnknownName):
        sync(store, without(ACME, package="platinum"))
    with pytest.raises(UnknownName):
        sync(store, facts=Facts(freezes=(replace(FREEZE, instances=("nobody",)),)))
    assert fleet_in(store) == FLEET


def test_windows_and_outages_are_refused_with_the_command_that_enters_them(store):
    window = DeclaredWindow(key="x", kind=WindowKind.CRITICAL, start=LATE, end=LATE + DAY, reason="disks")
    with pytest.raises(ChangeRefused, match=r"window critical/x: .*maintsched window announce"):
        sync(store, facts=Facts(windows=(window,)))
    with pytest.raises(ChangeRefused, match=r"outage of acme-prod: .*maintsched outage open"):
        sync(store, facts=Facts(outages=(Outage(start=NOW, instance="acme-prod"),)))
    assert not fleet_in(store).customers


# --- facts ------------------------------------------------------------------------------------------------------------


def test_facts_that_only_the_database_has_stay_and_those_of_the_file_take_their_place(store):
    sync(store, facts=FACTS)
    longer = replace(DEFERRAL, until=LATE + DAY)
    found = sync(store, facts=Facts(releases=(MAJOR,), deferrals=(longer,)))
    assert [(each.thing, each.how) for each in found.changes] == [(Thing.DEFERRAL, How.CHANGED)]
    with store.reading() as connection:
        assert [each.until for each in read_deferrals(connection)] == [LATE + DAY]
        assert len(read_freezes(connection)) == 1
        assert len(read_releases(connection)) == 1


def test_a_file_that_does_not_say_when_a_deferral_was_granted_does_not_forget_it(store):
    known = replace(DEFERRAL, granted_at=NOW - DAY, start=NOW + DAY)
    sync(store, facts=replace(FACTS, deferrals=(known,)))
    assert not sync(store, facts=FACTS)


def test_a_consent_or_a_track_switch_that_the_file_corrects_is_not_kept_twice(store):
    sync(store, facts=FACTS)
    ended = replace(CONSENT, until=NOW + DAY)
    for facts in (FACTS, replace(FACTS, consents=(ended,)), replace(FACTS, consents=(ended,))):
        sync(store, facts=facts)
    scene = compare_fleet(store, CONTRACT, FLEET, replace(FACTS, consents=(ended,)), prune=False, now=NOW)
    assert not scene
    assert compare_fleet(store, CONTRACT, FLEET, FACTS, prune=False, now=NOW).counts == {
        (Thing.CONSENT, How.CHANGED): 1
    }


def test_a_freeze_that_somebody_ended_is_not_revived_by_its_file(store):
    sync(store, facts=FACTS)
    finish_freeze(store, "year-end", reason="done", now=NOW)
    assert not sync(store, facts=FACTS)
    with pytest.raises(ChangeRefused, match="new key"):
        sync(store, facts=replace(FACTS, freezes=(replace(FREEZE, end=FREEZE.end + DAY),)))


# --- what is still needed ---------------------------------------------------------------------------------------------


def test_a_prune_is_refused_by_everything_that_is_in_force_for_what_it_removes(store):
    sync(store, facts=FACTS)
    window = DeclaredWindow(
        key="x", kind=WindowKind.CRITICAL, start=LATE, end=LATE + DAY, reason="disks", instances=("acme-test",)
    )
    with store.writing() as connection:
        write_announcement(connection, Announcement(window=window, entered_at=NOW))
        outage = Outage(start=NOW, instance="birch-prod")
        write_outage(connection, KeptOutage(key="o1", outage=outage))
    other = Fleet(customers=(replace(BIRCH, key="cedar", instances=()),))
    with pytest.raises(ChangeRefused) as refused:
        sync(store, other, prune=True)
    for named in (
        "freeze year-end of acme",
        "critical/x of acme-test",
        "o1 of birch-prod",
        "acme-prod/12.1",
        "consent of",
    ):
        assert named in str(refused.value)
    assert "5 in force" in str(refused.value)
    assert fleet_in(store) == FLEET


def test_what_has_ended_does_not_keep_anything_from_being_removed(store):
    past = replace(FREEZE, start=NOW - 2 * DAY, end=NOW - DAY, key="past")
    sync(store, facts=Facts(releases=(MAJOR,), freezes=(FREEZE, past), deferrals=(replace(DEFERRAL, until=NOW),)))
    finish_freeze(store, "year-end", reason="done", now=NOW)
    over = DeclaredWindow(
        key="x", kind=WindowKind.CRITICAL, start=NOW - DAY, end=NOW, reason="disks", instances=("acme-test",)
    )
    with store.writing() as connection:
        write_announcement(connection, Announcement(window=over, entered_at=NOW - 9 * DAY))
        off = replace(over, key="y", start=LATE, end=LATE + DAY)
        write_announcement(connection, cancelled(Announcement(window=off, entered_at=NOW - 9 * DAY)))
    sync(store, Fleet(customers=(BIRCH,)), prune=True)
    assert [each.key for each in fleet_in(store).customers] == ["birch"]
    assert not sync(store, Fleet(customers=(BIRCH,)))
    with store.reading() as connection:
        scene = read_scene(connection, CONTRACT, NOW)
    assert make_plan(CONTRACT, scene.fleet, scene.facts, Span(start=NOW - 9 * DAY, end=LATE), now=NOW).windows


def test_notices_to_people_and_about_instances_that_are_gone_do_not_go_out(store):
    sync(store)
    with store.writing() as connection:
        record(connection, [a_round("monthly/1", ["acme-prod", "acme-test"]), a_round("monthly/2", ["acme-test"])], NOW)
    sync(store, without(ACME, contacts=(EVA,), instances=(PROD,)), prune=True)
    with store.reading() as connection:
        left = {
            (each.notice.subject, each.notice.contact): (each.state, each.notice.required)
            for each in read_notices(connection)
        }
    gone = ActionState.CANCELLED
    assert left["monthly/1", "eva"] == (ActionState.READY, True)
    assert left["monthly/1", "bo"] == (gone, False)
    assert left["monthly/2", "eva"] == (gone, True)
    withdrawn = [each for each in journal(store, "acme-test") if each.kind is EntryKind.NOTICE_WITHDRAWN]
    assert len(withdrawn) == 3
    assert len({each.data["notice"] for each in withdrawn}) == 3


def a_round(subject, instances):
    facts = {"instances": [{"key": key} for key in instances]}
    occasion = Occasion(kind=NoticeKind.REMINDER, subject=subject, facts=facts, now=NOW, not_before=NOW)
    return make_round(occasion, "acme", [Recipient("eva", True), Recipient("bo", True)], None)


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_each_instance_has_one_entry_about_a_synchronisation_that_concerns_it(store):
    sync(store)
    assert [(each.chain, each.kind, each.subject) for each in journal(store)] == [
        (key, EntryKind.INSTANCE_CHANGED, f"instance/{key}") for key in ("acme-prod", "acme-test", "birch-prod")
    ]
    sync(store, without(BIRCH, instances=(replace(BIRCH.instances[0], wave=2),)))
    assert [len(journal(store, key)) for key in ("acme-prod", "acme-test", "birch-prod")] == [1, 1, 2]
    (_, entry) = journal(store, "birch-prod")
    assert entry.data == {
        "customer": "birch",
        "instance": {"change": "changed", "fields": {"wave": {"before": None, "after": 2}}},
    }


def test_a_changed_contact_stands_in_the_chains_of_all_instances_of_its_customer_by_key_and_hash(store):
    sync(store)
    new = replace(EVA, email="new@acme.example", name="Eva Neumann", roles=("maintenance",))
    sync(store, without(ACME, contacts=(new, BO)))
    with store.reading() as connection:
        salt = kept_contacts(connection)["acme", "eva"].salt
    for key in ("acme-prod", "acme-test"):
        assert journal(store, key)[-1].data["contacts"] == [
            {
                "contact": "eva",
                "change": "changed",
                "fields": {"roles": {"before": ["system_responsible"], "after": ["maintenance"]}},
                "personal": ["email", "name"],
                "address": address_hash(salt, "new@acme.example"),
            }
        ]
    assert len(journal(store, "birch-prod")) == 1


def test_no_name_and_no_address_reaches_the_journal(store):
    fleet = without(ACME, sender="us@acme.example")
    sync(store, fleet, FACTS)
    sync(
        store, without(ACME, name="ACME AG", contacts=(replace(EVA, name="E. M.", email="e@acme.example"),)), prune=True
    )
    written = "".join(json.dumps(each.data) for each in journal(store))
    for personal in ("Eva", "E. M.", "ACME", "@", "Bea Birch"):
        assert personal not in written


def test_a_customer_without_instances_is_written_down_in_the_chain_of_the_provider(store):
    sync(store, Fleet(customers=(replace(ACME, instances=()),)))
    (entry,) = journal(store)
    assert (entry.chain, entry.subject) == (PROVIDER, "customer/acme")
    assert [each["contact"] for each in entry.data["contacts"]] == ["eva", "bo"]


def test_what_was_declared_is_written_down_for_the_instances_it_concerns(store):
    sync(store, facts=FACTS)
    kinds = {key: [each.kind for each in journal(store, key)] for key in ("acme-prod", "acme-test", "birch-prod")}
    changed, granted, added = EntryKind.INSTANCE_CHANGED, EntryKind.DEFERRAL_GRANTED, EntryKind.FREEZE_ADDED
    assert kinds == {
        "acme-prod": [changed, granted, added],
        "acme-test": [changed, changed, added],
        "birch-prod": [changed, changed],
    }
    sync(store, facts=replace(FACTS, freezes=(replace(FREEZE, customers=(), instances=("acme-test",)),)))
    assert journal(store, "acme-prod")[-1].kind is EntryKind.FREEZE_ENDED
    assert journal(store, "acme-test")[-1].kind is EntryKind.FREEZE_ADDED


def test_the_chains_hold_after_every_kind_of_synchronisation(store):
    sync(store, facts=FACTS)
    sync(store, without(ACME, instances=(replace(PROD, host="h9"), TEST)))
    sync(store, Fleet(customers=(replace(BIRCH, instances=(*BIRCH.instances, TEST)), replace(ACME, instances=(PROD,)))))
    add_freeze(store, CONTRACT, replace(FREEZE, key="more"), now=NOW)
    with store.reading() as connection:
        for chain in chains(connection):
            assert first_fault(chain, entries_of(connection, chain)) is None
    assert journal(store, "acme-test")[-1].data["instance"]["fields"] == {
        "customer": {"before": "acme", "after": "birch"}
    }


def test_thousands_of_instances_are_taken_over_and_the_second_time_nothing_happens(tmp_path):
    many = Fleet(
        customers=tuple(
            replace(
                ACME,
                key=f"c{n}",
                instances=tuple(replace(PROD, key=f"c{n}-{k}") for k in range(100)),
            )
            for n in range(20)
        )
    )
    with sqlite_store(tmp_path) as store:
        assert len(sync(store, many).changes) == 20 + 40 + 2_000
        assert not sync(store, many)
        assert not diff(fleet_in(store), many)

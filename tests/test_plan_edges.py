"""Plans where their questions have an edge: whom a window is for, from when to when, and what makes instances alike."""

from dataclasses import replace
from datetime import date, time, timedelta
from typing import Any

import pytest

import maintsched as ms
from maintsched.conflicts import longest_backup_gap
from maintsched.releases import track_at
from tests.worlds import TICK, contract, local

AT = local("2026-12-01T17:00")
DECEMBER = ms.Span(start=local("2026-12-01T00:00"), end=local("2027-01-01T00:00"))
MIDNIGHT = contract(monthly={"time": "00:00:00"})
EVA = ms.Contact(key="eva", name="Eva", email="eva@acme.example", roles=("system_responsible",))


def version(text: str) -> ms.Version:
    return ms.Version.parse(text)


def release(text: str, kind: str = "minor") -> ms.Release:
    return ms.Release(
        version=version(text), change_class=ms.ChangeClass(kind), available_at=local("2026-11-01T00:00"), tracks=()
    )


def instance(key: str = "a1", **fields: Any) -> ms.Instance:
    base: dict[str, Any] = {"host": f"{key}.example", "wave": 1, "versions": {"intrexx": version("12.0.0")}}
    return ms.Instance(key=key, **base | fields)


def customer(*instances: ms.Instance, key: str = "acme") -> ms.Customer:
    return ms.Customer(
        key=key, name=key, language=ms.Language.DE, package="premium", contacts=(EVA,), instances=instances
    )


def critical(**fields: Any) -> ms.DeclaredWindow:
    base: dict[str, Any] = {"key": "w", "start": AT - timedelta(hours=12), "duration": ms.Elapsed(hours=2)}
    return ms.DeclaredWindow(**{"kind": ms.WindowKind.CRITICAL, "reason": "fair"} | base | fields)


def freeze(key: str = "f", **fields: Any) -> ms.Freeze:
    return ms.Freeze(**{"key": key, "start": DECEMBER.start, "end": DECEMBER.end, "reason": "fair", **fields})


def plan(
    *customers: ms.Customer, terms: ms.Contract | None = None, only: tuple[str, ...] | None = None, **facts: Any
) -> ms.Plan:
    return ms.make_plan(terms or contract(), ms.Fleet(customers=customers), ms.Facts(**facts), DECEMBER, only=only)


def installed(made: ms.Plan) -> list[tuple[str, str, str]]:
    """Say which instance gets which release in which window."""
    return [(each.window.id, row.instance, row.release) for each in made.windows for row in each.work if row.release]


def test_an_instance_is_on_its_new_track_from_the_instant_of_the_switch():
    switch = ms.TrackSwitch(instance="a1", track="steady", at=AT)
    on_silent = instance(track="silent")
    assert track_at(contract(), on_silent, (switch,), AT) == "steady"
    assert track_at(contract(), on_silent, (switch,), AT - TICK) == "silent"
    assert track_at(contract(), on_silent, (switch,), AT + timedelta(days=400)) == "steady"


def test_of_several_switches_the_last_one_counts_whichever_was_recorded_first():
    switches = (
        ms.TrackSwitch(instance="a1", track="silent", at=AT),
        ms.TrackSwitch(instance="a1", track="steady", at=AT - TICK),
    )
    for recorded in (switches, switches[::-1]):
        assert track_at(contract(), instance(), recorded, AT) == "silent"
        assert track_at(contract(), instance(), recorded, AT - TICK) == "steady"


def test_of_two_switches_at_one_instant_the_same_one_counts_whichever_was_recorded_first():
    switches = tuple(ms.TrackSwitch(instance="a1", track=track, at=AT) for track in ("silent", "steady"))
    assert {track_at(contract(), instance(), each, AT) for each in (switches, switches[::-1])} == {"steady"}


@pytest.mark.parametrize(
    ("fields", "planned"),
    [
        ({"starts_on": date(2026, 12, 1)}, ["a1"]),
        ({"starts_on": date(2026, 12, 2)}, []),
        ({"ends_on": date(2026, 11, 30)}, []),
        ({"ends_on": date(2026, 12, 1)}, ["a1"]),
    ],
    ids=str,
)
def test_a_window_at_midnight_is_for_a_subscription_that_starts_with_the_day_and_for_none_that_ends_with_it(
    fields, planned
):
    (window,) = plan(customer(instance(**fields)), terms=MIDNIGHT).windows
    assert window.window.start == local("2026-12-01T00:00")
    assert list(window.instances) == planned


def test_of_two_freezes_the_same_one_is_named_whichever_was_entered_first():
    freezes = (freeze("a"), freeze("b"))
    for entered in (freezes, freezes[::-1]):
        (window,) = plan(customer(instance()), releases=(release("12.0.1"),), freezes=entered).windows
        (assignment,) = window.assignments
        assert [held.freeze for held in assignment.held_back] == ["b"]
        assert [each.message.split()[1] for each in window.conflicts] == ["a", "b"]


@pytest.mark.parametrize("scope", [{"instances": ("a1",)}, {"customers": ("acme",)}], ids=str)
def test_a_freeze_of_one_instance_or_customer_holds_back_nothing_of_another(scope):
    customers = customer(instance("a1")), customer(instance("b1"), key="beta")
    made = plan(*customers, releases=(release("12.0.1"),), freezes=(freeze(**scope),))
    assert installed(made) == [("monthly/2026-12", "b1", "12.0.1")]


def test_a_window_declared_for_one_instance_installs_nothing_on_another():
    named = critical(instances=("a1",), releases=(version("12.0.1"),))
    made = plan(customer(instance("a1"), instance("a2")), releases=(release("12.0.1"),), windows=(named,))
    assert installed(made) == [("critical/w", "a1", "12.0.1"), ("monthly/2026-12", "a2", "12.0.1")]


def test_a_window_that_names_an_instance_without_consent_installs_nothing_on_it():
    named = critical(instances=("a1",), releases=(version("12.0.1"),))
    made = plan(customer(instance(managed=False)), releases=(release("12.0.1"),), windows=(named,))
    assert installed(made) == []
    consent = ms.Consent(instance="a1", given_by="Eva", given_at=named.start)
    agreed = plan(
        customer(instance(managed=False)), releases=(release("12.0.1"),), windows=(named,), consents=(consent,)
    )
    assert installed(agreed) == [("critical/w", "a1", "12.0.1")]


def test_instances_of_two_customers_share_their_work_unless_a_freeze_names_one_of_the_customers():
    customers = customer(instance("a1")), customer(instance("b1"), key="beta")
    (shared,) = plan(*customers, freezes=(freeze(),)).windows
    assert [each.instances for each in shared.assignments] == [("a1", "b1")]
    (apart,) = plan(*customers, freezes=(freeze(customers=("beta",)),)).windows
    assert [each.instances for each in apart.assignments] == [("a1",), ("b1",)]


def test_a_plan_of_the_second_instance_of_a_customer_is_for_it():
    (window,) = plan(customer(instance("a1"), instance("a2")), only=("a2",)).windows
    assert list(window.instances) == ["a2"]


def test_what_is_installed_decides_for_each_instance_alone():
    current = instance("a2", versions={"intrexx": version("12.0.1")})
    made = plan(customer(instance("a1"), current, instance("a3", versions={})), releases=(release("12.0.1"),))
    assert installed(made) == [("monthly/2026-12", "a1", "12.0.1"), ("monthly/2026-12", "a3", "12.0.1")]


# --- conflicts --------------------------------------------------------------------------------------------------------


def test_two_backups_four_hundred_days_ahead_are_compared_and_later_ones_are_not():
    yearly = ms.BackupRule(times=(time(2),), rule=ms.Rule.parse("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1"))
    new_year = date(2027, 1, 1)
    assert longest_backup_gap(yearly, new_year - timedelta(days=400)) == timedelta(days=365)
    assert longest_backup_gap(yearly, new_year - timedelta(days=401)) is None


def test_a_backup_as_old_as_is_allowed_is_not_younger_and_so_too_old():
    mondays = ms.BackupRule(times=(time(17),), rule=ms.Rule.parse("FREQ=WEEKLY;BYDAY=MO"))
    (window,) = plan(customer(instance(backup=mondays))).windows
    (conflict,) = window.conflicts
    assert conflict.kind == "backup_too_old"
    assert "by the declared rule it is 24 h old" in conflict.message


def test_a_late_announcement_and_a_missed_deadline_name_the_instances_of_the_window():
    named = critical(instances=("a1",), announced_at=AT - timedelta(hours=83))
    both = customer(instance("a1"), instance("a2"))
    assert [each.instances for each in plan(both, windows=(named,)).windows[0].conflicts] == [("a1",)]
    moved = critical(kind="monthly", key="2026-12", start=AT, instances=("a1",), announced_at=AT - timedelta(days=4))
    found = [each.conflicts for each in plan(both, windows=(moved,)).windows]
    assert [(each.kind, each.instances) for conflicts in found for each in conflicts] == [("deadline_past", ("a1",))]


def test_a_freeze_over_an_instance_that_nothing_touches_is_shown_and_holds_nothing_back():
    made = plan(customer(instance(managed=False)), releases=(release("12.0.1"),), freezes=(freeze(),))
    assert [(each.kind, each.instances) for each in made.all_conflicts] == [("freeze_over_window", ("a1",))]
    assert "held back" not in next(made.all_conflicts).message


def kinds(made: ms.Plan) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(each.kind), each.instances) for each in made.all_conflicts]


def test_what_stays_out_of_one_instance_is_shown_though_another_may_not_be_touched():
    named = critical(instances=("a1", "a2"), releases=(version("12.0.1"),))
    both = customer(instance("a1", managed=False), instance("a2"))
    made = plan(both, releases=(release("12.0.1"),), windows=(named,), freezes=(freeze(instances=("a2",)),))
    assert ("release_held_back", ("a2",)) in kinds(made)


def test_a_deferral_that_ends_as_its_release_could_go_in_has_no_effect_and_says_when_that_is():
    deferral = ms.Deferral(instance="a1", release=version("12.1.0"), until=local("2026-11-03T17:00"))
    (conflict,) = plan(customer(instance()), releases=(release("12.1.0", "major"),), deferrals=(deferral,)).conflicts
    assert conflict.kind == "deferral_without_effect"
    assert conflict.message == "it ends before 2026-11-03 17:00 CET, when the release could go in: withdraw it"


def test_a_deferral_has_no_effect_where_its_instance_has_left_the_track_by_its_end():
    deferral = ms.Deferral(instance="a1", release=version("12.1.0"), until=AT + timedelta(days=60))
    major = replace(release("12.1.0", "major"), tracks=("silent",))
    switch = ms.TrackSwitch(instance="a1", track="steady", at=deferral.until)
    left = plan(customer(instance()), releases=(major,), deferrals=(deferral,), track_switches=(switch,))
    assert kinds(left) == [("deferral_without_effect", ("a1",))]
    later = replace(switch, at=deferral.until + TICK)
    assert kinds(plan(customer(instance()), releases=(major,), deferrals=(deferral,), track_switches=(later,))) == []


def test_a_customer_who_cannot_be_told_is_shown_for_the_instances_that_are_planned():
    nobody = replace(customer(instance("a1"), instance("a2")), contacts=())
    assert kinds(plan(nobody, only=("a2",))) == [("no_contact", ("a2",))]
    assert kinds(plan(nobody)) == [("no_contact", ("a1", "a2"))]
    assert kinds(plan(nobody, customer(instance("b1"), key="beta"), only=("b1",))) == []


def test_a_backup_rule_is_looked_at_from_the_day_that_it_is_in_the_contract_s_zone():
    two = ms.BackupRule(times=(time(2),), rule=ms.Rule.parse("FREQ=DAILY;UNTIL=20261202"))
    afternoon = local("2026-12-01T18:00")  # in New Zealand the next day has begun
    fleet, span = ms.Fleet(customers=(customer(instance(backup=two)),)), ms.Span(start=afternoon, end=DECEMBER.end)
    assert kinds(ms.make_plan(contract(), fleet, ms.Facts(), span)) == []


# --- the plan itself --------------------------------------------------------------------------------------------------


def test_a_plan_of_the_last_afternoon_of_the_last_known_year_can_be_made():
    span = ms.Span(start=local("2100-12-31T13:00"), end=local("2100-12-31T20:00"))
    assert ms.make_plan(contract(), ms.Fleet(), ms.Facts(), span).windows == ()


def test_a_window_that_starts_now_shows_its_work_and_the_plan_says_when_now_was():
    fleet, facts = ms.Fleet(customers=(customer(instance()),)), ms.Facts(releases=(release("12.0.1"),))
    made = ms.make_plan(contract(), fleet, facts, DECEMBER, now=AT)
    assert made.now == AT
    assert installed(made) == [("monthly/2026-12", "a1", "12.0.1")]
    assert installed(ms.make_plan(contract(), fleet, facts, DECEMBER, now=AT + TICK)) == []


def test_the_deferrals_of_a_plan_are_those_of_its_instances_in_order_whichever_was_entered_first():
    both = customer(instance("a1"), instance("a2"))
    deferrals = tuple(
        ms.Deferral(instance=key, release=version("12.1.0"), until=AT + timedelta(days=60)) for key in ("a1", "a2")
    )
    facts: dict[str, Any] = {"releases": (release("12.1.0", "major"),)}
    for entered in (deferrals, deferrals[::-1]):
        made = plan(both, deferrals=entered, **facts)
        assert [each.deferral.instance for each in made.deferrals] == ["a1", "a2"]
    alone = plan(both, deferrals=deferrals, only=("a2",), **facts)
    assert [each.deferral.instance for each in alone.deferrals] == ["a2"]


def test_a_freeze_of_the_customer_keeps_a_deferred_release_out_longer():
    deferral = ms.Deferral(instance="a1", release=version("12.1.0"), until=local("2026-12-01T00:00"))
    made = plan(
        customer(instance()),
        releases=(release("12.1.0", "major"),),
        deferrals=(deferral,),
        freezes=(freeze(customers=("acme",)),),
    )
    assert [each.window.id for each in made.deferrals if each.window] == ["monthly/2027-01"]


def test_the_cancelled_windows_of_a_plan_are_those_of_its_instances_by_start_and_id():
    late = critical(key="late", start=AT + timedelta(days=2), cancelled=True)
    second = critical(key="b", start=AT, cancelled=True, instances=("a2",))
    first = critical(key="a", start=AT, cancelled=True, instances=("a1",))
    held = critical(key="held", start=AT + timedelta(days=3), instances=("a1",))
    both = customer(instance("a1"), instance("a2"))
    for entered in ((late, second, first, held), (held, first, second, late)):
        made = plan(both, windows=entered)
        assert [each.key for each in made.cancelled] == ["a", "b", "late"]
        assert [each.key for each in plan(both, windows=entered, only=("a1",)).cancelled] == ["a", "late"]
        assert [each.key for each in plan(both, windows=entered, only=("a2",)).cancelled] == ["b", "late"]
    before = critical(key="before", start=DECEMBER.start - TICK, cancelled=True)
    assert plan(both, windows=(before,)).cancelled == ()

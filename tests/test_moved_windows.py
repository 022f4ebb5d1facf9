"""Moved and cancelled windows, and what hangs on them: deferrals, other instances, releases that stay out."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

import maintsched as ms

C = ms.load_contract()
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
SPAN = ms.Span(start=NOW, end=NOW + timedelta(days=250))
MAJOR = ms.Release(
    version=ms.Version.parse("12.1.0"),
    change_class=ms.ChangeClass.MAJOR,
    available_at=datetime(2026, 11, 1, tzinfo=UTC),
)
DEFERRAL = ms.Deferral(instance="a1", release=MAJOR.version, until=datetime(2027, 4, 1, tzinfo=UTC))
FLEET = ms.Fleet(
    customers=(
        ms.Customer(
            key="acme",
            name="ACME",
            language=ms.Language.DE,
            package="premium",
            contacts=(ms.Contact(key="eva", name="Eva", email="eva@acme.example", roles=("system_responsible",)),),
            instances=tuple(ms.Instance(key=key, host=f"{key}.example") for key in ("a1", "a2")),
        ),
    )
)


def moved(key="2027-04", start=datetime(2027, 4, 8, 15, tzinfo=UTC), cancelled=False, instances=()):
    return ms.DeclaredWindow(
        key=key,
        kind=ms.WindowKind.MONTHLY,
        start=start,
        duration=ms.Elapsed(hours=4),
        reason="fair",
        cancelled=cancelled,
        instances=instances,
    )


def plan(*windows, now=NOW, span=SPAN, releases=(MAJOR,), deferrals=(DEFERRAL,), freezes=(), only=None):
    facts = ms.Facts(windows=windows, releases=releases, deferrals=deferrals, freezes=freezes)
    return ms.make_plan(C, FLEET, facts, span, now=now, only=only)


def takes_major(made, key="a1"):
    return [each.window.id for each in made.windows for row in each.work if row[:3] == (key, "intrexx", "12.1.0")]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (moved(cancelled=True), "monthly/2027-05"),
        (moved(start=datetime(2027, 3, 30, 15, tzinfo=UTC)), "monthly/2027-05"),
        (moved(), "monthly/2027-04"),
        (moved(cancelled=True, instances=("a2",)), "monthly/2027-04"),
    ],
)
def test_a_deferred_release_goes_in_with_the_window_that_really_comes_first(window, expected):
    made = plan(window)
    (running,) = made.deferrals
    assert running.window is not None
    assert running.window.id == expected
    assert takes_major(made) == [expected]


def test_a_deferral_starts_with_the_window_as_it_was_moved():
    (running,) = plan(moved("2026-12", datetime(2026, 12, 9, 16, tzinfo=UTC))).deferrals
    assert running.start == datetime(2026, 12, 9, 16, tzinfo=UTC)
    assert running.limit == datetime(2027, 6, 9, 15, tzinfo=UTC)


def test_a_freeze_over_the_first_window_after_a_deferral_sends_the_release_to_the_next():
    freeze = ms.Freeze(key="easter", start=DEFERRAL.until, end=datetime(2027, 4, 20, tzinfo=UTC), reason="easter")
    made = plan(freezes=(freeze,))
    assert made.deferrals[0].window is not None
    assert made.deferrals[0].window.id == "monthly/2027-05"
    assert takes_major(made) == ["monthly/2027-05"]


def test_a_window_moved_for_some_stays_for_the_others():
    made = plan(moved(instances=("a1",)))
    april = [each for each in made.windows if each.window.id == "monthly/2027-04"]
    assert [list(each.instances) for each in april] == [["a2"], ["a1"]]
    assert [each.window.start.day for each in april] == [6, 8]
    alone = plan(moved(instances=("a1",)), only={"a1"})
    assert [each.window.start.day for each in alone.windows if each.window.id == "monthly/2027-04"] == [8]


def test_a_window_of_the_rule_asks_no_consent_of_those_it_was_moved_for():
    customer = FLEET.customers[0]
    unmanaged = replace(customer, instances=(replace(customer.instances[0], managed=False), customer.instances[1]))
    facts = ms.Facts(windows=(moved(instances=("a1",)),))
    made = ms.make_plan(C, ms.Fleet(customers=(unmanaged,)), facts, SPAN, now=NOW)
    april = [each for each in made.windows if each.window.id == "monthly/2027-04"]
    assert [[conflict.kind for conflict in each.conflicts] for each in april] == [[], ["no_consent"]]


def test_a_cancelled_window_is_named_by_the_plan():
    window = moved(cancelled=True)
    made = plan(window)
    assert made.cancelled == (window,)
    assert "monthly/2027-04" not in {each.window.id for each in made.windows}


def test_windows_that_have_begun_show_no_work_and_install_nothing():
    now = datetime(2026, 12, 2, 8, tzinfo=UTC)
    early = plan(now=now, deferrals=())
    late = plan(now=now, span=ms.Span(start=now, end=SPAN.end), deferrals=())
    assert early.windows[0].window.id == "monthly/2026-12"
    assert list(early.windows[0].work) == []
    assert list(early.windows[0].instances) == ["a1", "a2"]
    assert takes_major(early) == takes_major(late) == ["monthly/2027-01"]


def test_a_deferral_that_ends_before_its_release_could_go_in_has_no_effect():
    made = plan(deferrals=(replace(DEFERRAL, until=datetime(2026, 11, 30, tzinfo=UTC)),))
    assert [conflict.kind for conflict in made.conflicts] == ["deferral_without_effect"]


def test_a_window_that_does_not_get_the_release_it_was_declared_for_says_why():
    critical = ms.DeclaredWindow(
        key="layout",
        kind=ms.WindowKind.CRITICAL,
        start=datetime(2026, 12, 10, 19, tzinfo=UTC),
        duration=ms.Elapsed(hours=2),
        reason="new layout",
        instances=("a1", "a2"),
        releases=(MAJOR.version,),
    )
    (window,) = (each for each in plan(critical).windows if each.declared)
    held = {each.instances: each.message for each in window.conflicts if each.kind == "release_held_back"}
    assert held[("a1",)] == "stays out, intrexx 12.1.0: 12.1.0 is deferred until 2027-04-01"
    assert held[("a2",)].startswith("stays out, 12.1.0: it does not ship on the instance's track, or is installed")


def test_a_security_fix_that_holds_the_deferred_release_is_shown_to_stay_out():
    fix = replace(MAJOR, version=ms.Version.parse("12.1.1"), change_class=ms.ChangeClass.SECURITY)
    made = plan(releases=(MAJOR, fix))
    held = [each for each in made.windows[0].conflicts if each.kind == "release_held_back"]
    assert [(each.instances, each.clause) for each in held] == [(("a1",), "2.4.4")]


def test_an_unknown_instance_is_refused_instead_of_planned_as_nothing():
    with pytest.raises(ms.UnknownName, match="instance"):
        plan(only={"zzz"})


def test_a_reaction_says_which_clock_and_reading_it_came_to():
    by_call = ms.load_contract(overrides={"reaction": {"premium_24x7": "ticket_and_call"}})
    opened = datetime(2026, 11, 28, 10, tzinfo=UTC)  # a Saturday
    silent = ms.reaction_due(by_call, "premium", "critical", opened)
    assert (silent.clock, silent.reading) == ("support_hours", "reaction.premium_24x7 = ticket_and_call")
    called = ms.reaction_due(by_call, "premium", "critical", opened, called_at=opened + timedelta(hours=1))
    assert (called.clock, called.due_at) == ("24x7", opened + timedelta(hours=2))
    generic = ms.load_contract("generic-weekly")
    assert ms.reaction_due(generic, "basic", "major", opened).reading == "support.no_hours = elapsed"


def test_a_subscription_that_ends_at_midnight_ended_with_the_day_before():
    midnight = datetime(2026, 5, 31, 22, tzinfo=UTC)  # 1 June, 00:00 in Berlin
    assert (
        ms.handover_due(C, midnight) == ms.handover_due(C, date(2026, 5, 31)) == datetime(2026, 6, 28, 22, tzinfo=UTC)
    )


def test_notices_go_out_in_the_support_hours_that_the_contract_chooses():
    utc_1 = ms.load_contract(overrides={"support": {"zone": "utc+1"}})
    deadline = datetime(2026, 7, 7, 22, tzinfo=UTC)
    assert ms.send_at(utc_1, deadline) == datetime(2026, 7, 6, 8, tzinfo=UTC)
    assert ms.send_at(C, deadline) == datetime(2026, 7, 6, 7, tzinfo=UTC)

"""What closes each gate for a run, what it says then, and which of the runs that wait may begin."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

import maintsched as ms
from maintsched import holds as closing
from maintsched.announcements import WindowState
from maintsched.facts import Pin
from maintsched.gates import latest_start, residents
from maintsched.runs import APPROVABLE, Gate, Pause, RunItem, RunState, RunTerms
from tests.evenings import (
    END,
    IN_TIME,
    NOW,
    OS,
    START,
    WINDOW,
    Evening,
    evening,
    hours_before_start,
    instance,
    kept,
    run,
)
from tests.worlds import BERLIN, TICK, contract, utc

MINUTE = timedelta(minutes=1)
SHARED = {"host": "h.example"}
"""Two instances on this host are neighbours."""


def neighbours(**changes) -> Evening:
    """A run of acme-prod, beside birch-prod on the same host: both were told in time."""
    both = (instance("acme-prod", **SHARED), instance("birch-prod", **SHARED))
    told = {(WINDOW, each.key): IN_TIME for each in both}
    return evening(**{"instances": both, "runs": (run("acme-prod", **SHARED),), "told": told, **changes})


def release(version: str, change_class: str, **changes) -> ms.Release:
    return ms.Release(
        version=ms.Version.parse(version),
        change_class=ms.ChangeClass(change_class),
        available_at=START - timedelta(days=90),
        **changes,
    )


def intrexx(version: str, change_class: str) -> RunItem:
    return RunItem(component="intrexx", change_class=ms.ChangeClass(change_class), release=version)


def test_every_gate_is_asked_and_in_the_order_in_which_gates_are_listed():
    assert tuple(closing.GATES) == tuple(Gate)


def test_a_run_in_its_open_window_of_which_everybody_was_told_in_time_is_held_by_nothing():
    assert evening().holds() == ()
    assert evening().decide().start == (f"run/{WINDOW.replace('/', ':')}/acme-prod",)


# --- the window -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "gates"),
    [
        (START - TICK, [Gate.WINDOW]),
        (START, []),
        (END - TICK, [Gate.CUT_OFF]),
        (END, [Gate.WINDOW, Gate.CUT_OFF]),
    ],
)
def test_a_window_is_open_from_its_start_to_its_end_which_it_does_not_hold(at, gates):
    assert evening(now=utc(at)).gates() == gates


def test_before_a_window_it_is_said_when_it_opens():
    found = evening(now=START - timedelta(hours=1)).hold()
    assert (found.gate, found.until, found.clause) == (Gate.WINDOW, START, "2.4.3.1")
    assert "2026-12-01 17:00 CET" in found.fact


@pytest.mark.parametrize(
    "announced",
    [
        replace(kept(), state=WindowState.CANCELLED),
        kept(start=START + MINUTE),
        kept(end=END - MINUTE),
        kept(instances=["birch-prod"], start=START + timedelta(days=1), end=END + timedelta(days=1)),
    ],
    ids=["cancelled", "starts later", "ends earlier", "of another"],
)
def test_a_run_goes_only_into_the_window_it_was_entered_for(announced):
    found = evening(announcements=(announced,))
    only_of_another = announced.window.instances == ("birch-prod",)
    assert (Gate.WINDOW in found.gates()) is not only_of_another  # then the rule's window is still there for acme
    assert bool(found.decide().cancelled) is not only_of_another


def test_a_window_that_is_only_offered_is_none():
    offered = replace(kept("critical/c", start=START), state=WindowState.TENTATIVE)
    one = run("acme-prod", window="critical/c")
    made = evening(runs=(one,), announcements=(offered,), told={("critical/c", "acme-prod"): IN_TIME})
    assert made.hold().gate is Gate.WINDOW
    assert made.decide().cancelled == (one.key,)


def test_the_window_has_to_be_open_for_every_instance_on_the_host():
    moved = kept(instances=["birch-prod"], start=END, end=END + timedelta(hours=1))
    found = neighbours(announcements=(moved,)).hold()
    assert found.gate is Gate.WINDOW
    assert "birch-prod on h.example" in found.fact


def test_another_window_that_is_open_for_the_neighbour_will_do():
    moved = kept(instances=["birch-prod"], start=START + timedelta(days=1), end=END + timedelta(days=1))
    other = kept("critical/b", start=START, instances=["birch-prod"])
    told = {(WINDOW, "acme-prod"): IN_TIME, ("critical/b", "birch-prod"): IN_TIME}
    assert neighbours(announcements=(moved, other), told=told).holds() == ()


def test_of_several_open_windows_of_a_neighbour_the_one_it_was_told_of_counts():
    longer = kept("critical/b", end=END + timedelta(hours=1), instances=["birch-prod"])
    made = neighbours(announcements=(kept(), longer))
    assert made.holds() == ()
    assert made.register().residents("h.example")[1].window_id == WINDOW


def test_a_window_of_the_rule_stands_as_long_as_another_time_is_only_offered():
    offered = replace(kept(start=END, end=END + timedelta(hours=4)), state=WindowState.TENTATIVE)
    assert evening(announcements=(offered,)).holds() == ()


def test_another_open_window_does_not_stand_in_for_the_one_that_the_run_is_for():
    one = run("acme-prod", window="critical/a")
    told = {(WINDOW, "acme-prod"): IN_TIME}
    announced = (kept(), kept("critical/a", instances=["acme-prod"]))
    assert evening(runs=(one,), announcements=announced, told=told).hold().gate is Gate.NOTICE
    assert Gate.WINDOW in evening(runs=(one,), told=told).gates()


def test_an_instance_that_left_the_fleet_or_its_host_is_not_touched_any_more():
    assert evening(instances=()).gates() == [Gate.SUBSCRIPTION]
    moved = evening(instances=(instance("acme-prod", host="other.example"), instance("birch-prod")))
    assert moved.gates() == [Gate.SUBSCRIPTION]


# --- subscription, consent, executor ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dates", "runs"),
    [
        ({"ends_on": date(2026, 11, 30)}, False),
        ({"ends_on": date(2026, 12, 1)}, True),
        ({"starts_on": date(2026, 12, 2)}, False),
        ({"starts_on": date(2026, 12, 1)}, True),
    ],
)
def test_work_is_done_on_the_days_of_the_subscription_alone(dates, runs):
    found = evening(instances=(instance("acme-prod", **dates),)).holds()
    assert [(hold.gate, hold.clause) for hold in found] == ([] if runs else [(Gate.SUBSCRIPTION, "4.2")])


def test_a_customers_own_system_is_touched_only_while_a_consent_holds():
    own = evening(instances=(instance("acme-prod", managed=False),))
    assert (own.hold().gate, own.hold().clause) == (Gate.CONSENT, "7.7")
    for until, gates in ((NOW + TICK, []), (NOW, [Gate.CONSENT]), (None, [])):
        consent = ms.Consent(instance="acme-prod", given_by="Eva", given_at=IN_TIME, until=until)
        assert own.but(facts=ms.Facts(consents=(consent,))).gates() == gates


def test_an_instance_whose_way_of_being_updated_nobody_configured_waits():
    found = evening(executors=("dnf",)).hold()
    assert found.gate is Gate.EXECUTOR
    assert "[executor.apt]" in found.way_out


# --- pauses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        ({}, True),
        ({"customers": ("acme",)}, True),
        ({"customers": ("birch",)}, False),
        ({"instances": ("acme-prod",)}, True),
        ({"instances": ("acme-test",)}, False),
        ({"resumed_at": NOW - MINUTE}, False),
        ({"since": NOW + MINUTE}, True),
    ],
)
def test_a_pause_holds_its_scope_until_it_is_resumed_whatever_a_clock_says(scope, held):
    pause = Pause(**{"key": "p1", "since": IN_TIME, "reason": "audit", **scope})
    found = evening(pauses=(pause,)).holds()
    assert [hold.gate for hold in found] == ([Gate.PAUSE] if held else [])
    assert all(
        "p1" in hold.fact and "audit" in hold.fact and hold.way_out == "`maintsched resume p1`" for hold in found
    )


def test_a_pause_of_a_neighbour_holds_the_host():
    pause = Pause(key="p1", since=IN_TIME, reason="audit", customers=("birch",))
    assert neighbours(pauses=(pause,)).hold().gate is Gate.PAUSE


# --- the notice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "held"), [(72, False), (71.999, True), (1000, False), (-0.25, True)])
def test_what_was_told_72_hours_before_the_start_is_told_in_time(hours, held):
    told = {(WINDOW, "acme-prod"): hours_before_start(hours)}
    assert evening(told=told).gates() == ([Gate.NOTICE] if held else [])


def test_work_of_which_nobody_was_told_is_held_with_the_clause_and_two_ways_out():
    found = evening(told={}).hold()
    assert (found.gate, found.clause) == (Gate.NOTICE, "2.4.3")
    assert "not told" in found.fact
    assert "notice list" in found.way_out
    assert "emergency" in found.way_out


def test_a_window_of_the_rule_that_nobody_kept_is_open_and_untold():
    assert evening(announcements=(), told={}).hold().gate is Gate.NOTICE


def test_an_emergency_may_begin_once_its_customer_was_told_however_late():
    one = run("acme-prod", window="emergency/e")
    made = evening(runs=(one,), announcements=(kept("emergency/e"),))
    assert made.but(told={("emergency/e", "acme-prod"): NOW}).holds() == ()
    assert made.but(told={("emergency/e", "acme-prod"): NOW + TICK}).hold().gate is Gate.NOTICE
    assert made.but(told={}).hold().gate is Gate.NOTICE


def test_a_contract_may_want_late_work_to_be_done_all_the_same():
    assert evening(told={}, contract=contract(late="run")).holds() == ()


def test_everybody_on_the_host_has_to_be_told():
    found = neighbours(told={(WINDOW, "acme-prod"): IN_TIME}).hold()
    assert found.gate is Gate.NOTICE
    assert "birch" in found.fact


@pytest.mark.parametrize("changes", [{"managed": False}, {"ends_on": date(2026, 11, 1)}])
def test_a_neighbour_that_is_promised_nothing_need_not_be_told(changes):
    both = (instance("acme-prod", **SHARED), instance("birch-prod", **SHARED, **changes))
    assert neighbours(instances=both, told={(WINDOW, "acme-prod"): IN_TIME}).holds() == ()


def test_a_host_is_one_host_however_its_name_is_written():
    both = (instance("acme-prod", host="H.example"), instance("birch-prod", host="h.EXAMPLE"))
    assert neighbours(instances=both, told={(WINDOW, "acme-prod"): IN_TIME}).hold().gate is Gate.NOTICE
    running = run("birch-prod", host="h.EXAMPLE", state=RunState.RUNNING)
    made = neighbours(instances=both)
    assert made.but(runs=(*made.runs, running)).hold().gate is Gate.HOST


# --- freezes and deferrals --------------------------------------------------------------------------------------------


def freeze(*classes: str, **changes) -> ms.Freeze:
    given = {"key": "f1", "start": START, "end": END, "reason": "accounts", "classes": classes}
    return ms.Freeze(**{**given, **changes})


@pytest.mark.parametrize(
    ("frozen", "held"),
    [
        (freeze("os"), True),
        (freeze("minor", "major"), False),
        (freeze("os", end=NOW), False),
        (freeze("os", start=NOW), True),
        (freeze("os", start=NOW + TICK), False),
        (freeze("os", customers=("birch",)), False),
        (freeze("os", instances=("acme-prod",)), True),
    ],
)
def test_a_freeze_keeps_its_classes_out_of_its_scope_while_it_lasts(frozen, held):
    found = evening(facts=ms.Facts(freezes=(frozen,))).holds()
    assert [(hold.gate, hold.until) for hold in found] == ([(Gate.FREEZE, frozen.end)] if held else [])


def test_a_freeze_of_a_neighbour_holds_the_host():
    assert neighbours(facts=ms.Facts(freezes=(freeze("os", customers=("birch",)),))).hold().gate is Gate.FREEZE


def test_a_minor_release_that_brings_a_major_change_along_is_held_by_a_freeze_of_major_changes():
    releases = (release("13.0.0", "major"), release("13.0.1", "minor"))
    facts = ms.Facts(releases=releases, freezes=(freeze("major"),))
    one = run("acme-prod", items=(intrexx("13.0.1", "minor"),))
    older = instance("acme-prod", versions={"intrexx": ms.Version.parse("12.0.0")})
    newer = instance("acme-prod", versions={"intrexx": ms.Version.parse("13.0.0")})
    assert evening(instances=(older,), runs=(one,), facts=facts).hold().gate is Gate.FREEZE
    assert evening(instances=(newer,), runs=(one,), facts=facts).holds() == ()


RELEASES = (
    release("13.0.0", "major"),
    release("12.1.0", "minor"),
    release("12.0.9", "security"),
    release("12.0.10", "security", carries=(ms.Version.parse("13.0.0"),)),
    release("13.0.1", "security"),
)
DEFERRED = ms.Facts(
    releases=RELEASES,
    deferrals=(
        ms.Deferral(
            instance="acme-prod",
            release=ms.Version.parse("13.0.0"),
            start=START - timedelta(days=60),
            until=END + timedelta(days=60),
        ),
    ),
)


@pytest.mark.parametrize(
    ("item", "held"),
    [
        (intrexx("13.0.0", "major"), True),
        (intrexx("12.1.0", "minor"), True),
        (intrexx("12.0.9", "security"), False),
        (intrexx("12.0.10", "security"), True),
        (intrexx("13.0.1", "security"), True),
        (intrexx("what", "security"), True),
        (replace(intrexx("", "security"), release=None), True),
        (RunItem(component="database", change_class=ms.ChangeClass.MAJOR, release="17.0"), False),
        (OS, False),
    ],
)
def test_while_a_release_is_deferred_only_security_releases_that_do_not_hold_it_go_in(item, held):
    found = evening(runs=(run("acme-prod", items=(OS, item)),), facts=DEFERRED).holds()
    assert [(hold.gate, hold.clause) for hold in found] == ([(Gate.DEFERRAL, "2.4.4")] if held else [])


def test_a_deferral_of_a_neighbour_holds_its_release_on_the_host_and_ends():
    one = run("birch-prod", items=(intrexx("13.0.0", "major"),), **SHARED)
    made = neighbours(runs=(one,), facts=DEFERRED)
    assert made.hold().gate is Gate.DEFERRAL
    over = replace(DEFERRED.deferrals[0], until=NOW)
    assert made.but(facts=replace(DEFERRED, deferrals=(over,))).holds() == ()


def test_a_release_that_was_taken_back_since_the_window_opened_is_not_started():
    one = run("acme-prod", items=(OS, intrexx("12.1.0", "minor")))
    bad = replace(RELEASES[1], withdrawn="loses files")
    assert evening(runs=(one,), facts=ms.Facts(releases=(bad,))).hold()[:2] == (
        Gate.DEFERRAL,
        "intrexx 12.1.0 was withdrawn: loses files",
    )
    newer = release("12.1.1", "minor")
    other = run("acme-prod", items=(intrexx("12.1.1", "minor"),))
    assert evening(runs=(other,), facts=ms.Facts(releases=(bad, newer))).holds() == ()


@pytest.mark.parametrize(
    ("item", "pin", "held"),
    [
        (intrexx("12.1.0", "minor"), {}, True),
        (intrexx("12.1.0", "minor"), {"until": NOW}, False),
        (intrexx("12.1.0", "minor"), {"version": "12.1.0"}, False),
        (intrexx("12.1.0", "minor"), {"instance": "acme-test"}, False),
        (intrexx("12.1.0", "minor"), {"component": "database"}, False),
        (intrexx("12.0.9", "security"), {}, False),
        (intrexx("12.0.9", "security"), {"security": False}, True),
        (intrexx("13.0.1", "security"), {}, True),
        (OS, {}, False),
    ],
)
def test_what_was_pinned_away_since_the_window_opened_is_not_started(item, pin, held):
    given = {"instance": "acme-prod", "version": "12.0.5", "start": START - MINUTE, "reason": "a plug-in", **pin}
    pinned = ms.Pin(**{**given, "version": ms.Version.parse(given["version"])})
    found = evening(runs=(run("acme-prod", items=(item,)),), facts=ms.Facts(releases=RELEASES, pins=(pinned,))).holds()
    assert [hold.gate for hold in found] == ([Gate.DEFERRAL] if held else [])


def test_a_neighbours_deferral_counts_while_its_subscription_runs():
    keys = ("acme-prod", "birch-prod", "cedar-prod")
    instances = (
        instance("acme-prod", ends_on=date(2026, 11, 1), **SHARED),
        instance("birch-prod", **SHARED),
        instance("cedar-prod", **SHARED),
    )
    one = run("cedar-prod", items=(intrexx("13.0.0", "major"),), **SHARED)
    made = evening(*keys, instances=instances, runs=(one,), facts=DEFERRED)
    assert made.holds() == ()
    birch = replace(DEFERRED.deferrals[0], instance="birch-prod")
    assert made.but(facts=replace(DEFERRED, deferrals=(*DEFERRED.deferrals, birch))).hold().gate is Gate.DEFERRAL


def test_a_release_that_was_taken_back_meanwhile_stays_out_of_every_run_and_of_no_other():
    facts = ms.Facts(releases=(release("12.1.0", "minor", withdrawn="it loses files"), release("12.2.0", "minor")))
    runs = (run("a-prod", items=(intrexx("12.2.0", "minor"),)), run("b-prod", items=(intrexx("12.1.0", "minor"),)))
    made = evening("a-prod", "b-prod", runs=runs, facts=facts)
    assert (made.gates(0), made.gates(1)) == ([], [Gate.DEFERRAL])
    assert "it loses files" in made.hold(1).fact
    assert made.decide().start == (runs[0].key,)


def test_a_pin_keeps_newer_releases_out_of_its_instance_alone():
    pin = Pin(instance="b-prod", version=ms.Version.parse("12.1.0"), start=IN_TIME, reason="a plug-in")
    facts = ms.Facts(releases=(release("12.2.0", "minor"),), pins=(pin,))
    runs = tuple(run(key, items=(intrexx("12.2.0", "minor"),)) for key in ("a-prod", "b-prod"))
    made = evening("a-prod", "b-prod", runs=runs, facts=facts)
    assert (made.gates(0), made.gates(1)) == ([], [Gate.DEFERRAL])
    assert made.decide().start == (runs[0].key,)


# --- the cut-off ------------------------------------------------------------------------------------------------------

TERMS = RunTerms(reboot_minutes=5, rollback_minutes=15)


def test_the_cut_off_leaves_the_work_a_reboot_and_a_rollback_before_the_end_and_is_held():
    one = run("acme-prod", expected_seconds=1800)
    assert latest_start(TERMS, one) == utc(END) - timedelta(minutes=50)
    for at, gates in ((latest_start(TERMS, one), []), (latest_start(TERMS, one) + TICK, [Gate.CUT_OFF])):
        assert evening(runs=(one,), terms=TERMS, now=at).gates() == gates


def test_once_a_run_has_begun_what_has_passed_counts_as_work_done():
    one = run("acme-prod", expected_seconds=3600, state=RunState.RUNNING, started_at=START)
    assert latest_start(TERMS, one, now=START + timedelta(minutes=20)) == utc(END) - timedelta(minutes=60)
    assert latest_start(TERMS, one, now=START + timedelta(hours=3)) == utc(END) - timedelta(minutes=20)
    assert latest_start(TERMS, one, now=START - timedelta(hours=3)) == utc(END) - timedelta(minutes=80)


def test_what_an_earlier_attempt_took_is_no_work_done_of_this_one():
    one = run("acme-prod", expected_seconds=3600, started_at=START, attempt=2)
    assert latest_start(TERMS, one, now=START + timedelta(hours=2)) == utc(END) - timedelta(minutes=80)


def test_the_work_has_to_end_inside_the_windows_of_all_instances_on_the_host():
    early = kept(end=NOW + timedelta(minutes=40), instances=["birch-prod"])
    assert neighbours(announcements=(early,)).hold().gate is Gate.CUT_OFF


def test_a_window_in_a_clock_change_has_its_true_length():
    start = datetime(2026, 10, 25, 1, tzinfo=BERLIN)
    one = run("acme-prod", start=start, end=datetime(2026, 10, 25, 4, tzinfo=BERLIN))
    assert latest_start(TERMS, one) == datetime(2026, 10, 25, 3, tzinfo=UTC) - timedelta(minutes=50)


# --- approval, brake, wave, hook, host, limit -------------------------------------------------------------------------


def test_classes_that_want_an_approval_wait_for_it():
    made = evening(terms=RunTerms(approval=(ms.ChangeClass.OS,)))
    assert made.hold().gate is Gate.APPROVAL
    assert made.hold().way_out == f"`maintsched run approve {made.runs[0].key} --reason WHY`"
    assert made.but(approvals={made.runs[0].key: [Gate.APPROVAL]}).holds() == ()
    assert evening(terms=RunTerms(approval=(ms.ChangeClass.MAJOR,))).holds() == ()


def failed(key: str, **changes):
    return run(key, **{"state": RunState.FAILED_DIRTY, "ended_at": NOW - MINUTE, **changes})


@pytest.mark.parametrize(
    ("ended", "held"),
    [
        ([failed("a-prod")], False),
        ([failed("a-prod"), failed("b-prod")], True),
        ([failed("a-prod"), failed("b-prod", wave=2)], False),
        ([failed("a-prod"), failed("b-prod", wave=2), failed("c-prod", wave=3)], True),
        ([failed("a-prod"), failed("b-prod", state=RunState.SKIPPED)], False),
        ([failed("a-prod"), failed("b-prod", window="monthly/2026-11")], False),
        ([failed("a-prod"), failed("b-prod", state=RunState.BLOCKED)], True),
    ],
)
def test_failures_stop_what_has_not_begun_in_their_window(ended, held):
    made = evening(ended=tuple(ended), terms=RunTerms(failures_per_wave=2, failures_in_all=3))
    assert made.gates() == ([Gate.BRAKE] if held else [])
    assert made.but(approvals={made.runs[0].key: [Gate.BRAKE]}).holds() == ()
    begun = (replace(made.runs[0], state=RunState.RUNNING, started_at=NOW),)
    assert made.but(runs=begun).holds() == ()
    assert made.but(terms=RunTerms(failures_per_wave=0, failures_in_all=0)).holds() == ()


def test_a_brake_names_the_runs_that_failed():
    made = evening(ended=tuple(failed(f"{name}-prod") for name in "dcba"))
    assert "a-prod (failed_dirty), b-prod (failed_dirty), c-prod (failed_dirty) and 1 more" in made.hold().fact


def test_a_wave_waits_for_the_end_of_lower_ones_in_its_window_and_for_their_soak():
    later = run("acme-prod", wave=2)
    terms = RunTerms(wave_soak_minutes=20)
    for first, gates, until in (
        (run("b-prod"), [Gate.WAVE], None),
        (run("b-prod", state=RunState.INTERRUPTED), [Gate.WAVE], None),
        (run("b-prod", window="critical/other"), [], None),
        (run("b-prod", wave=2), [], None),
        (run("b-prod", wave=3), [], None),
    ):
        found = evening(runs=(later, first), terms=terms).holds()
        assert ([hold.gate for hold in found], [hold.until for hold in found]) == (gates, [until for _ in gates])
    for minutes, gates in ((19, [Gate.WAVE]), (20, [])):
        ended = run("b-prod", state=RunState.DONE, ended_at=NOW - minutes * MINUTE)
        found = evening(runs=(later,), ended=(ended,), terms=terms).holds()
        assert [hold.gate for hold in found] == gates
        assert all(hold.until == utc(NOW) + MINUTE for hold in found)


def test_what_ended_in_its_own_wave_or_a_later_one_lets_a_run_begin_at_once():
    for wave in (2, 3):
        ended = (run("b-prod", wave=wave, state=RunState.DONE, ended_at=NOW),)
        assert (
            evening(runs=(run("acme-prod", wave=2),), ended=ended, terms=RunTerms(wave_soak_minutes=20)).holds() == ()
        )


def test_a_run_that_ended_nobody_knows_when_soaks_from_the_end_of_its_window():
    made = evening(runs=(run("acme-prod", wave=2),), ended=(run("b-prod", state=RunState.SKIPPED),))
    assert made.hold().until == utc(END)


def test_a_hook_that_has_not_done_its_part_holds_its_run_or_its_whole_window():
    made = evening()
    for name in (made.runs[0].key, WINDOW):
        held = made.but(hooks={name: "silence: HTTP 500"}).decide().held[made.runs[0].key]
        assert (held.gate, held.fact) == (Gate.HOOK, "silence: HTTP 500")


def test_one_run_at_a_time_touches_a_host_and_each_state_under_way_counts():
    made = neighbours()
    for state in RunState:
        other = run("birch-prod", state=state, **SHARED)
        under_way = state in ("running", "unreachable", "lost", "interrupted", "rolling_back")
        assert (Gate.HOST in made.but(runs=(*made.runs, other)).gates()) is under_way


def test_limits_of_the_fleet_and_of_a_customer_count_what_is_under_way_and_nothing_twice():
    going = tuple(run(f"acme-{n}", state=RunState.RUNNING) for n in ("test", "dev"))
    keys = ("acme-prod", "acme-test", "acme-dev")
    made = evening(*keys, runs=(run("acme-prod"), *going))
    assert made.hold().fact == "2 runs of acme are under way, runs.per_customer is 2"
    assert made.but(terms=RunTerms(per_customer=3)).holds() == ()
    assert "runs.at_once is 2" in made.but(terms=RunTerms(per_customer=3, at_once=2)).hold().fact
    assert made.gates(1) == []  # it is one of those that are counted


def test_an_approval_opens_none_of_the_gates_that_are_promises():
    held = evening(told={}, facts=ms.Facts(freezes=(freeze("os"),)), pauses=(Pause(key="p", since=NOW, reason="x"),))
    assert held.but(approvals={held.runs[0].key: list(Gate)}).gates() == held.gates()
    assert {Gate.APPROVAL, Gate.BRAKE, Gate.WAVE, Gate.HOOK} == APPROVABLE


# --- deciding ---------------------------------------------------------------------------------------------------------


def test_a_decision_names_what_starts_what_is_held_what_is_over_and_what_was_moved():
    keys = ("a-prod", "b-prod", "c-prod", "d-prod")
    runs = (
        run("a-prod"),
        run("b-prod"),
        run("c-prod", window="critical/c", start=START - timedelta(hours=4), end=START),
        run("d-prod", start=START + MINUTE),
    )
    announced = (kept(), kept("critical/c", start=START - timedelta(hours=4), end=START))
    found = evening(*keys, runs=runs, announcements=announced, told={(WINDOW, "a-prod"): IN_TIME}).decide()
    assert (found.start, found.over, found.cancelled) == ((runs[0].key,), (runs[2].key,), (runs[3].key,))
    assert {key: hold.gate for key, hold in found.held.items()} == {runs[1].key: Gate.NOTICE}


def test_emergencies_start_first_then_what_has_the_least_time_left():
    keys = ("a-prod", "b-prod", "c-prod")
    runs = (run("a-prod"), run("b-prod", expected_seconds=3000), run("c-prod", window="emergency/e"))
    told = {(WINDOW, "a-prod"): IN_TIME, (WINDOW, "b-prod"): IN_TIME, ("emergency/e", "c-prod"): NOW}
    made = evening(*keys, runs=runs, announcements=(kept(), kept("emergency/e", instances=["c-prod"])), told=told)
    assert made.decide().start == (runs[2].key, runs[1].key, runs[0].key)
    first = made.but(terms=RunTerms(at_once=1)).decide()
    assert first.start == (runs[2].key,)
    assert {hold.gate for hold in first.held.values()} == {Gate.LIMIT}


def test_of_two_runs_on_one_host_one_starts():
    runs = (run("acme-prod", **SHARED), run("birch-prod", **SHARED))
    found = neighbours(runs=runs).decide()
    assert found.start == (runs[0].key,)
    assert found.held[runs[1].key].gate is Gate.HOST
    assert runs[0].key in found.held[runs[1].key].fact


def test_a_run_is_not_taken_for_one_that_is_alike_where_something_particular_is_known_of_it():
    keys = ("a-prod", "b-prod", "c-prod", "d-prod", "e-prod")
    facts = ms.Facts(freezes=(freeze("os", customers=("b",)),))
    pause = Pause(key="p", since=NOW, reason="x", instances=("c-prod",))
    instances = (
        *map(instance, keys[:3]),
        instance("d-prod", managed=False),
        instance("e-prod", ends_on=date(2026, 11, 1)),
    )
    found = evening(*keys, instances=instances, facts=facts, pauses=(pause,)).decide()
    assert [key.rpartition("/")[2] for key in found.start] == ["a-prod"]
    gates = [Gate.FREEZE, Gate.PAUSE, Gate.CONSENT, Gate.SUBSCRIPTION]
    assert [found.held[one.key].gate for one in evening(*keys).runs[1:]] == gates


@pytest.mark.parametrize(
    ("other", "gate"),
    [
        ({"wave": 2}, Gate.WAVE),
        ({"expected_seconds": 14_000}, Gate.CUT_OFF),
        ({"executor": "dnf"}, Gate.EXECUTOR),
        ({"window": "critical/c"}, Gate.NOTICE),
    ],
)
def test_a_run_is_not_taken_for_one_that_differs_in_what_a_gate_asks(other, gate):
    keys = ("a-prod", "b-prod")
    runs = (run("a-prod"), run("b-prod", **other))
    found = evening(*keys, runs=runs, announcements=(kept(), kept("critical/c", instances=["b-prod"]))).decide()
    assert found.start == (runs[0].key,)
    assert found.held[runs[1].key].gate is gate


def test_the_residents_of_one_host_can_be_asked_for_without_a_register():
    made = neighbours()
    found = residents(
        made.contract,
        ms.Fleet(),
        made.facts,
        made.told,
        made.announcements,
        "h.example",
        now=NOW,
    )
    assert found == ()
    assert [each.instance for each in made.register().residents("H.EXAMPLE")] == ["acme-prod", "birch-prod"]

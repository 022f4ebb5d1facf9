"""Laws of gates and decisions: random evenings on small fleets, against what was promised."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.announcements import WindowState
from maintsched.facts import Pin
from maintsched.gates import latest_start
from maintsched.runs import APPROVABLE, BAD, UNDER_WAY, Gate, Pause, Run, RunItem, RunState, RunTerms
from tests.evenings import END, IN_TIME, NOW, OS, START, WINDOW, Evening, evening, fleet_of, instance, kept, run
from tests.worlds import examples, utc

KEYS = ("a-prod", "a-test", "b-prod", "b-dev", "c-prod", "c-test")
HOSTS = ("one.example", "One.Example", "two.example", "three.example", "four.example")
MAJOR = ms.Release(
    version=ms.Version.parse("13.0.0"), change_class=ms.ChangeClass.MAJOR, available_at=START - timedelta(days=90)
)
FIX = ms.Release(
    version=ms.Version.parse("13.0.1"), change_class=ms.ChangeClass.SECURITY, available_at=START - timedelta(days=9)
)
ITEMS = (
    OS,
    RunItem(component="intrexx", change_class=ms.ChangeClass.MAJOR, release="13.0.0"),
    RunItem(component="intrexx", change_class=ms.ChangeClass.SECURITY, release="13.0.1"),
    RunItem(component="database", change_class=ms.ChangeClass.MINOR, release="16.4"),
)
WINDOWS = (
    kept(),
    kept("critical/c", start=START - timedelta(hours=1), end=END - timedelta(hours=2)),
    kept("emergency/e", end=END + timedelta(hours=1), instances=("b-prod", "c-prod")),
    replace(kept("critical/offered"), state=WindowState.TENTATIVE),
    kept(instances=("a-test", "b-dev"), start=START + timedelta(minutes=30)),
    replace(kept(instances=("b-prod",)), state=WindowState.CANCELLED),
)
seldom = st.integers(0, 11).map(lambda n: n == 7)
mostly = st.integers(0, 5).map(lambda n: n != 3)


@st.composite
def homes(draw: st.DrawFn, key: str) -> ms.Instance:
    return instance(
        key,
        host=draw(st.sampled_from([*HOSTS, *[f"{key}.example"] * 4])),
        managed=not draw(seldom),
        ends_on=date(2026, 11, 30) if draw(seldom) else None,
        versions={"intrexx": ms.Version.parse(draw(st.sampled_from(["12.0.0", "13.0.0"])))},
    )


@st.composite
def runs_of(draw: st.DrawFn, home: ms.Instance) -> Run:
    rare = [RunState.RUNNING, RunState.LOST, RunState.DONE, RunState.SKIPPED, *sorted(BAD)]
    state = RunState.PLANNED if draw(mostly) else draw(st.sampled_from(rare))
    window = WINDOW if draw(mostly) else draw(st.sampled_from(["critical/c", "emergency/e", "critical/offered"]))
    announced = next((each for each in WINDOWS if each.id == window), WINDOWS[0])
    changed = draw(st.booleans()) and state in UNDER_WAY
    return run(
        home.key,
        window=window,
        start=announced.span.start,
        end=announced.span.end,
        host=home.host,
        items=tuple(draw(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=2, unique=True))),
        wave=1 if draw(mostly) else draw(st.integers(1, 3)),
        state=state,
        started_at=NOW - timedelta(minutes=draw(st.integers(0, 90))) if changed else None,
        ended_at=NOW - timedelta(minutes=draw(st.integers(0, 40))),
        expected_seconds=draw(st.sampled_from([60, 1800, 7200])),
    )


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["customers", "instances", "instances"]))
    return {kind: (draw(st.sampled_from(("a", "b", "c") if kind == "customers" else KEYS)),)}


@st.composite
def facts(draw: st.DrawFn, keys: list[str]) -> ms.Facts:
    hours = st.integers(-2, 3).map(lambda n: timedelta(hours=n))
    freezes = [
        ms.Freeze(
            key=f"f{n}",
            start=START + draw(hours),
            end=END + timedelta(hours=n),
            reason="accounts",
            classes=tuple(draw(st.sets(st.sampled_from([*ms.ChangeClass]), min_size=1))),
            **draw(scopes()),
        )
        for n in range(draw(st.integers(0, 2)))
    ]
    deferred = draw(st.sets(st.sampled_from(keys), max_size=2))
    deferrals = [
        ms.Deferral(
            instance=key, release=MAJOR.version, start=START - timedelta(days=30), until=START + timedelta(days=30)
        )
        for key in sorted(deferred)
    ]
    pinned = {draw(st.sampled_from(keys))} if draw(st.booleans()) else set()
    pins = [Pin(instance=key, version=ms.Version.parse("12.0.0"), start=IN_TIME, reason="x") for key in pinned]
    consents = [ms.Consent(instance=draw(st.sampled_from(keys)), given_by="Eva", given_at=IN_TIME)]
    return ms.Facts(
        freezes=tuple(freezes),
        deferrals=tuple(deferrals),
        releases=(replace(MAJOR, withdrawn="it loses files") if draw(seldom) else MAJOR, FIX),
        consents=tuple(consents),
        pins=tuple(pins),
    )


@st.composite
def evenings(draw: st.DrawFn) -> Evening:
    homes_there = [draw(homes(key)) for key in KEYS if not draw(seldom)]
    assume(homes_there)
    made = [draw(runs_of(home)) for home in homes_there if not draw(seldom)]
    announced = {each.id: each for each in draw(st.lists(st.sampled_from(WINDOWS), max_size=4))}
    late = st.sampled_from([START - timedelta(hours=71), NOW + timedelta(minutes=1), None])
    said = {key: IN_TIME if draw(mostly) else draw(late) for key in KEYS}
    told = {(window, key): said[key] for window in (WINDOW, "critical/c", "emergency/e") for key in KEYS}
    gates = st.sets(st.sampled_from([*Gate]), max_size=3)
    return Evening(
        instances=tuple(homes_there),
        runs=tuple(each for each in made if not each.over),
        ended=tuple(each for each in made if each.over),
        announcements=tuple(announced.values()),
        told={name: each for name, each in told.items() if each is not None},
        facts=draw(facts([each.key for each in homes_there]))
        if draw(st.booleans())
        else ms.Facts(releases=(MAJOR, FIX)),
        pauses=tuple(Pause(key="p", since=IN_TIME, reason="x", **draw(scopes())) for _ in range(draw(seldom))),
        terms=RunTerms(
            at_once=draw(st.integers(1, 4)),
            per_customer=draw(st.integers(1, 3)),
            failures_per_wave=draw(st.integers(0, 3)),
            failures_in_all=draw(st.integers(0, 3)),
            wave_soak_minutes=draw(st.sampled_from([0, 20])),
            approval=(draw(st.sampled_from([*ms.ChangeClass])),) if draw(seldom) else (),
        ),
        approvals={each.key: draw(gates) for each in made if draw(seldom)},
        hooks={each.key: "hook x failed" for each in made if draw(seldom)},
        executors=("apt",) if not draw(seldom) else (),
        now=START
        + timedelta(minutes=draw(st.sampled_from([30, 0, 31, 60, 130]) if draw(mostly) else st.integers(-10, 300))),
    )


def by_key(made: Evening) -> dict[str, Run]:
    return {each.key: each for each in made.runs}


def under_way(made: Evening) -> list[Run]:
    return [each for each in made.runs if each.state in UNDER_WAY]


@examples(60)
@given(evenings())
def test_no_order_of_what_is_known_makes_a_difference(made):
    backwards = made.but(
        instances=made.instances[::-1],
        runs=made.runs[::-1],
        ended=made.ended[::-1],
        announcements=made.announcements[::-1],
        told=dict(reversed(made.told.items())),
        facts=replace(made.facts, freezes=made.facts.freezes[::-1], deferrals=made.facts.deferrals[::-1]),
        pauses=made.pauses[::-1],
    )
    assert backwards.decide() == made.decide()
    count = len(made.runs)
    assert [backwards.holds(count - 1 - n) for n in range(count)] == [made.holds(n) for n in range(count)]


@examples(100)
@given(evenings())
def test_what_is_decided_for_all_is_what_each_run_by_itself_is_told(made):
    found = made.decide()
    waiting = {each.key for each in made.runs if each.state is RunState.PLANNED}
    groups = [set(found.start), set(found.held), set(found.over), set(found.cancelled)]
    assert set().union(*groups) == waiting
    assert sum(map(len, groups)) == len(waiting)
    register = made.register()
    for number, one in enumerate(made.runs):
        holds = made.holds(number)
        first = holds[0] if holds else None
        if one.key in found.start:
            assert first is None
        elif one.key in found.cancelled:
            assert not register.confirmed(one)
        elif one.key in found.over:
            assert utc(one.end) <= utc(made.now)
        elif one.key in found.held and found.held[one.key].gate not in (Gate.HOST, Gate.LIMIT):
            assert found.held[one.key] == first
        elif one.key in found.held:
            assert first is None or first.gate in (Gate.HOST, Gate.LIMIT)


def open_windows(made: Evening, home: ms.Instance) -> list[tuple[str, ms.Span]]:
    """The windows that are open for an instance, as a reader of the announcements would find them."""
    living = [each for each in made.announcements if each.state is not WindowState.TENTATIVE]
    mine = [each for each in living if not each.window.instances or home.key in each.window.instances]
    found = [(each.id, each.span) for each in mine if each.state is WindowState.CONFIRMED]
    if WINDOW not in {each.id for each in mine}:
        found.append((WINDOW, ms.Span(start=START, end=END)))
    return [(name, span) for name, span in found if made.now in span]


def is_promised(made: Evening, home: ms.Instance) -> bool:
    consents = {each.instance for each in made.facts.consents}
    return home.ends_on is None and (home.managed or home.key in consents)


def was_told(made: Evening, home: ms.Instance) -> bool:
    for name, span in open_windows(made, home):
        at = made.told.get((name, home.key))
        lead = timedelta(0) if name.startswith("emergency") else timedelta(hours=72)
        if at is not None and utc(at) <= min(utc(made.now), utc(span.start) - lead if lead else utc(made.now)):
            return True
    return False


@examples(150)
@given(evenings())
def test_what_starts_breaks_no_promise_to_anybody_on_its_host(made):
    """Law 7, asked again in other words: window, proof, freeze, deferral, pause, cut-off, for all on the host."""
    waiting = by_key(made)
    for key in made.decide().start:
        one = waiting[key]
        assert utc(one.start) <= utc(made.now) < utc(one.end)
        assert utc(made.now) + timedelta(seconds=one.expected_seconds, minutes=20) <= utc(one.end)
        releases = {item.release for item in one.items if item.component == "intrexx"}
        if any(each.withdrawn for each in made.facts.releases):
            assert "13.0.0" not in releases
        home = next(each for each in made.instances if each.key == one.instance)
        if releases and home.key in {each.instance for each in made.facts.pins}:
            assert (releases, str(home.versions["intrexx"])) == ({"13.0.1"}, "13.0.0")
        there = [each for each in made.instances if each.host.lower() == one.host.lower()]
        assert one.instance in {each.key for each in there if is_promised(made, each)}
        classes = {item.change_class for item in one.items}
        for home in there:
            owner = home.key.partition("-")[0]
            assert was_told(made, home) or not is_promised(made, home)
            assert not any(each.covers(owner, home.key) for each in made.pauses)
            for freeze in made.facts.freezes:
                over = freeze.covers(owner, home.key) and made.now in freeze.span
                assert not (over and classes & set(freeze.classes))
            if home.key in {each.instance for each in made.facts.deferrals} and home.ends_on is None:
                assert not [item for item in one.items if item.component == "intrexx"]


@examples(100)
@given(evenings())
def test_what_starts_keeps_the_limits_together_with_what_is_under_way(made):
    going = [*under_way(made), *(by_key(made)[key] for key in made.decide().start)]
    started = len(going) - len(under_way(made))
    if started:
        assert len(going) <= made.terms.at_once
    hosts = [each.host.lower() for each in going]
    for one in going[len(under_way(made)) :]:
        assert hosts.count(one.host.lower()) == 1
        assert len([each for each in going if each.customer == one.customer]) <= made.terms.per_customer


@examples(100)
@given(evenings())
def test_a_wave_starts_when_the_lower_ones_are_over_and_have_soaked_and_the_brakes_are_off(made):
    soak = timedelta(minutes=made.terms.wave_soak_minutes)
    for key in made.decide().start:
        one = by_key(made)[key]
        assert all(each.wave >= one.wave for each in made.runs if each.window == one.window)
        before = [each for each in made.ended if each.window == one.window]
        assert all(utc(each.ended_at) + soak <= utc(made.now) for each in before if each.wave < one.wave)
        bad = [each.wave for each in before if each.state in BAD]
        if Gate.BRAKE not in made.approvals.get(key, ()):
            assert len(bad) < (made.terms.failures_in_all or 99)
            assert all(bad.count(wave) < (made.terms.failures_per_wave or 99) for wave in bad)


@examples(100)
@given(evenings())
def test_what_has_started_is_not_started_again_and_makes_no_room_for_more(made):
    started = set(made.decide().start)
    begun = tuple(replace(each, state=RunState.RUNNING) if each.key in started else each for each in made.runs)
    assert made.but(runs=begun).decide().start == ()


@examples(100)
@given(evenings())
def test_approvals_open_the_gates_that_may_be_approved_and_no_other(made):
    without = made.but(approvals={})
    everything = made.but(approvals={each.key: frozenset(Gate) for each in made.runs})
    for number in range(len(made.runs)):
        assert everything.gates(number) == [gate for gate in without.gates(number) if gate not in APPROVABLE]


@examples(100)
@given(evenings(), st.data())
def test_a_run_whose_gates_are_all_opened_starts(made, data):
    assume(by_key(made))
    one = replace(data.draw(st.sampled_from(made.runs)), state=RunState.PLANNED, started_at=None)
    homes_there = tuple(replace(each, managed=True, ends_on=None) for each in made.instances)
    keys = [each.key for each in homes_there]
    opened = made.but(
        instances=homes_there,
        runs=(replace(one, window=WINDOW, start=START, end=END),),
        ended=(),
        announcements=(kept(),),
        told={(WINDOW, key): IN_TIME for key in keys},
        facts=ms.Facts(),
        pauses=(),
        approvals={replace(one, window=WINDOW).key: APPROVABLE},
        hooks={},
        executors=("apt",),
        now=START,
    )
    assert opened.holds() == ()
    assert opened.decide().start == (opened.runs[0].key,)


@examples(100)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 7200), st.integers(0, 7200), st.integers(-90, 90))
def test_once_the_cut_off_has_passed_it_has_passed_for_good_and_more_work_is_cut_off_no_later(
    first, second, less, more, began
):
    terms = RunTerms()
    early, late = (START + timedelta(minutes=each) for each in sorted((first, second)))
    short, long = sorted((less, more))
    working: dict[str, Any] = {"state": RunState.RUNNING, "started_at": NOW + timedelta(minutes=began)}
    for begun in ({}, working):
        one = run("a-prod", expected_seconds=short, **begun)
        if utc(late) <= latest_start(terms, one, now=late):
            assert utc(early) <= latest_start(terms, one, now=early)
        assert latest_start(terms, replace(one, expected_seconds=long), now=late) <= latest_start(terms, one, now=late)
        assert latest_start(terms, one, now=late, end=NOW) <= latest_start(terms, one, now=late) <= utc(END)


@examples(60)
@given(evenings())
def test_every_closed_gate_comes_once_in_order_with_a_fact_and_a_way_out(made):
    order = list(Gate)
    for number in range(len(made.runs)):
        holds = made.holds(number)
        assert [order.index(hold.gate) for hold in holds] == sorted({order.index(hold.gate) for hold in holds})
        assert all(hold.fact and hold.way_out for hold in holds)
        assert all(hold.until is None or utc(hold.until) > utc(made.now) for hold in holds)


def test_the_random_evenings_are_told_apart_from_one_on_which_everything_starts():
    keys = KEYS[:3]
    made = evening(*keys, terms=RunTerms(per_customer=2))
    assert len(made.decide().start) == len(fleet_of(made.instances).owners) == 3

"""Laws of planning: small random worlds of customers, releases, deferrals and freezes, against the clauses."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.fleet import Language
from maintsched.releases import RunningDeferral, wave_of, wave_opens
from tests.worlds import BERLIN, contract, examples, utc

FIRST, LAST = datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2027, 1, 1, tzinfo=BERLIN)
YEAR = ms.Span(start=FIRST, end=LAST)
KEYS = ("a-prod", "a-test", "b-prod", "b-dev", "c-prod")
VERSIONS = [ms.Version.parse(f"12.{minor}.{patch}") for minor in range(3) for patch in range(3)]
CLASSES = (ms.ChangeClass.SECURITY, ms.ChangeClass.MINOR, ms.ChangeClass.MAJOR)
COMPONENTS = ("intrexx", "database")


@dataclass(frozen=True, kw_only=True)
class World:
    contract: ms.Contract
    fleet: ms.Fleet
    facts: ms.Facts
    now: datetime | None

    def plan(self, span: ms.Span = YEAR, **changes: Any) -> ms.Plan:
        return ms.make_plan(self.contract, self.fleet, self.facts, span, now=self.now, **changes)


instants = st.integers(0, 8760 // 6).map(lambda n: utc(FIRST) + timedelta(hours=6 * n, minutes=30))
dates = st.dates(date(2026, 1, 1), date(2026, 12, 31))
some = st.integers(0, 3).map(lambda n: n == 0)


@st.composite
def instance(draw: st.DrawFn, key: str) -> ms.Instance:
    backup = ms.BackupRule(times=(draw(st.sampled_from([time(2), time(16, 59), time(17)])),))
    return ms.Instance(
        key=key,
        host=f"{key}.example",
        environment=key.partition("-")[2],
        track=draw(st.sampled_from([None, None, "silent", "steady"])),
        wave=draw(st.sampled_from([None, None, 1, 2])),
        managed=not draw(some),
        backup=backup if draw(some) else None,
        versions={component: draw(st.sampled_from(VERSIONS[:4])) for component in COMPONENTS if draw(st.booleans())},
        starts_on=draw(dates) - timedelta(days=90) if draw(some) else None,
        ends_on=date(2026, 12, 31) - timedelta(days=draw(st.integers(0, 40))) if draw(some) else None,
    )


@st.composite
def release(draw: st.DrawFn) -> ms.Release:
    return ms.Release(
        version=draw(st.sampled_from(VERSIONS)),
        change_class=draw(st.sampled_from(CLASSES)),
        available_at=draw(instants) - timedelta(days=60),
        component=draw(st.sampled_from(["intrexx", "intrexx", "database"])),
        tracks=draw(st.sampled_from([(), (), ("silent",), ("steady",)])),
        carries=tuple(draw(st.sets(st.sampled_from(VERSIONS), max_size=1))),
    )


@st.composite
def declared(draw: st.DrawFn, number: int, keys: list[str], versions: list[ms.Version]) -> ms.DeclaredWindow:
    start = draw(instants)
    monthly = draw(some)
    month = draw(st.integers(1, 12))
    if monthly:
        start = datetime(2026, month, draw(st.integers(1, 28)), 19, tzinfo=BERLIN)
    lead = draw(st.sampled_from([None, 10, 71, 72, 200, 400]))
    return ms.DeclaredWindow(
        key=f"2026-{month:02}" if monthly else f"w{number}",
        kind=ms.WindowKind.MONTHLY if monthly else draw(st.sampled_from([*ms.WindowKind][1:])),
        start=start,
        duration=ms.Elapsed(hours=draw(st.integers(1, 100))),
        instances=tuple(draw(st.lists(st.sampled_from(keys), unique=True, max_size=2))),
        reason="because",
        announced_at=None if lead is None else utc(start) - timedelta(hours=lead),
        releases=tuple(draw(st.lists(st.sampled_from(versions), unique=True, max_size=2))) if versions else (),
        cancelled=draw(some),
    )


@st.composite
def freeze(draw: st.DrawFn, number: int, keys: list[str]) -> ms.Freeze:
    start = draw(instants)
    return ms.Freeze(
        key=f"f{number}",
        start=start,
        end=start + timedelta(days=draw(st.integers(1, 60))),
        reason="year end",
        classes=tuple(draw(st.sets(st.sampled_from(ms.ChangeClass), min_size=1, max_size=3))),
        customers=tuple(draw(st.sets(st.sampled_from(sorted({key[0] for key in keys})), max_size=1))),
        instances=tuple(draw(st.sets(st.sampled_from(keys), max_size=1))),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A small world: up to five instances of three customers, and what was declared of them."""
    after = draw(
        st.sampled_from(["first_window_at_or_after_end", "first_window_at_or_after_end", "last_window_before_end"])
    )
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True, min_size=1))
    roles = {name: draw(st.sampled_from([("system_responsible",), ("buyer",)])) for name in "abc"}
    customers = [
        ms.Customer(
            key=name,
            name=name.upper(),
            language=Language.EN,
            package="premium",
            contacts=(ms.Contact(key=f"{name}-1", name="Eva", email="eva@acme.example", roles=roles[name]),),
            instances=tuple(draw(instance(key)) for key in keys if key[0] == name),
        )
        for name in sorted({key[0] for key in keys})
    ]
    releases = draw(st.lists(release(), max_size=8, unique_by=lambda each: (each.component, each.version)))
    majors = [each.version for each in releases if (each.component, each.change_class) == ("intrexx", "major")]
    deferrals = []
    if majors:
        for key, version in draw(
            st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(majors)), unique=True, max_size=3)
        ):
            start = draw(instants) - timedelta(days=90)
            deferrals.append(
                ms.Deferral(
                    instance=key,
                    release=version,
                    start=start if draw(st.booleans()) else None,
                    until=start + timedelta(days=draw(st.integers(1, 300))),
                )
            )
    versions = [each.version for each in releases]
    windows = [draw(declared(n, keys, versions)) for n in range(draw(st.integers(0, 3)))]
    facts = ms.Facts(
        windows=tuple({each.id: each for each in windows}.values()),
        releases=tuple(releases),
        deferrals=tuple(deferrals),
        freezes=tuple(draw(freeze(n, keys)) for n in range(draw(st.integers(0, 2)))),
        consents=tuple(
            ms.Consent(instance=key, given_by="Eva", given_at=at, until=at + timedelta(days=90))
            for key, at in draw(st.lists(st.tuples(st.sampled_from(keys), instants), max_size=2))
        ),
        track_switches=tuple(
            ms.TrackSwitch(instance=key, track=track, at=at)
            for key, track, at in draw(
                st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(["silent", "steady"]), instants), max_size=2)
            )
        ),
    )
    now = draw(st.none() | instants.map(lambda at: at - timedelta(days=120)))
    return World(
        contract=contract(deferral={"after": after}), fleet=ms.Fleet(customers=tuple(customers)), facts=facts, now=now
    )


# --- the clauses, read again ------------------------------------------------------------------------------------------


def track_of(world: World, key: str, at: datetime) -> str:
    track = world.fleet.instance(key).track or "silent"
    for switch in sorted(world.facts.track_switches, key=lambda each: (utc(each.at), each.track)):
        if switch.instance == key and utc(switch.at) <= utc(at):
            track = switch.track
    return track


def subscribed(each: ms.Instance, at: datetime) -> bool:
    day = at.astimezone(BERLIN).date()
    return (each.starts_on is None or each.starts_on <= day) and (each.ends_on is None or day <= each.ends_on)


def allowed(world: World, each: ms.Instance, at: datetime) -> bool:
    given = (consent for consent in world.facts.consents if consent.instance == each.key)
    return each.managed or any(
        utc(consent.given_at) <= utc(at) and (consent.until is None or utc(at) < utc(consent.until))
        for consent in given
    )


def frozen_classes(world: World, key: str, window: ms.Window) -> set[ms.ChangeClass]:
    over = (
        each
        for each in world.facts.freezes
        if (not each.customers and not each.instances) or key[0] in each.customers or key in each.instances
    )
    return {
        change_class
        for each in over
        if utc(each.start) < utc(window.end) and utc(window.start) < utc(each.end)
        for change_class in each.classes
    }


def running(plan: ms.Plan, key: str, at: datetime) -> list[RunningDeferral]:
    """The deferrals of an instance that run at `at`, by their settled dates."""
    return [
        each
        for each in plan.deferrals
        if each.deferral.instance == key
        and utc(each.start) <= utc(at) < utc(each.end)
        and not (each.window is not None and utc(each.window.start) <= utc(at))
    ]


def carried(world: World, component: str, track: str, installed: ms.Version | None, new: ms.Release) -> set[Any]:
    return {new.change_class} | {
        each.change_class
        for each in world.facts.releases
        if each.component == component
        and (not each.tracks or track in each.tracks)
        and (installed is None or each.version > installed)
        and (each.version <= new.version or each.version in new.carries)
    }


def may_go_in(
    world: World, plan: ms.Plan, planned: ms.PlanWindow, each: ms.Instance, new: ms.Release, installed: Any
) -> bool:
    window, declared_for = planned.window, planned.declared.releases if planned.declared else ()
    track = track_of(world, each.key, window.start)
    held = running(plan, each.key, window.start) if new.component == "intrexx" else []
    return (
        (installed is None or new.version > installed)
        and (not new.tracks or track in new.tracks)
        and utc(new.available_at) <= utc(window.start)
        and utc(wave_opens(world.contract, new, wave_of(world.contract, each))) <= utc(window.start)
        and (not declared_for or new.version in declared_for)
        and (window.kind == "monthly" or bool(declared_for) or new.change_class == "security")
        and all(new.change_class == "security" and not new.holds(one.deferral.release) for one in held)
        and not carried(world, new.component, track, installed, new) & frozen_classes(world, each.key, window)
    )


def walked(
    world: World, plan: ms.Plan
) -> Iterator[tuple[ms.PlanWindow, ms.Instance, dict[str, Any], set[tuple[str, str]]]]:
    """Each window with each instance: what was installed before it, and which releases the plan puts in."""
    for each in world.fleet.instances():
        installed = dict(each.versions)
        for planned in plan.windows:
            rows = {(row.component, row.release) for row in planned.work if row.instance == each.key and row.release}
            yield planned, each, dict(installed), rows
            for component, version in rows:
                installed[component] = ms.Version.parse(version)


def is_for(world: World, planned: ms.PlanWindow, key: str) -> bool:
    """Whether a window is an instance's: named by nobody it is everybody's, moved for some it is for the others."""
    if planned.declared is not None:
        return not planned.declared.instances or key in planned.declared.instances
    return not any(each.id == planned.window.id and key in each.instances for each in world.facts.windows)


def from_the_start(world: World) -> World:
    """The same world planned without anything that goes in before the year."""
    return replace(world, now=None)


# --- what goes in -----------------------------------------------------------------------------------------------------


@examples(120)
@given(worlds())
def test_each_window_takes_the_newest_release_that_no_clause_holds_back(world):
    world = from_the_start(world)
    plan = world.plan()
    releases = world.facts.releases
    for planned, each, installed, rows in walked(world, plan):
        at = planned.window.start
        reached = is_for(world, planned, each.key) and subscribed(each, at) and allowed(world, each, at)
        expected = set()
        for component in world.contract.components if reached else ():
            fit = [
                new
                for new in releases
                if new.component == component and may_go_in(world, plan, planned, each, new, installed.get(component))
            ]
            if fit:
                newest = max(fit, key=lambda new: new.version)
                expected.add((component, str(newest.version)))
        assert rows == expected


@examples(40)
@given(worlds())
def test_while_a_deferral_runs_only_security_releases_that_do_not_hold_it_go_in(world):
    world = from_the_start(world)
    plan = world.plan()
    known = {str(each.version): each for each in world.facts.releases if each.component == "intrexx"}
    for planned, each, _, rows in walked(world, plan):
        for component, version in rows:
            for one in running(plan, each.key, planned.window.start) if component == "intrexx" else ():
                assert known[version].change_class == "security"
                assert known[version].version < one.deferral.release
                assert one.deferral.release not in known[version].carries


@examples(40)
@given(worlds())
def test_nothing_of_a_frozen_class_goes_in_during_a_freeze(world):
    world = from_the_start(world)
    known = {(each.component, str(each.version)): each for each in world.facts.releases}
    plan = world.plan()
    for planned, each, installed, rows in walked(world, plan):
        frozen = frozen_classes(world, each.key, planned.window)
        track = track_of(world, each.key, planned.window.start)
        for component, version in rows:
            new = known[component, version]
            assert not carried(world, component, track, installed.get(component), new) & frozen
        for row in planned.work:
            if row.instance == each.key:
                assert row.change_class not in frozen


@examples(40)
@given(worlds())
def test_no_release_goes_in_early_on_another_track_twice_or_over_a_newer_one(world):
    world = from_the_start(world)
    known = {(each.component, str(each.version)): each for each in world.facts.releases}
    for planned, each, installed, rows in walked(world, world.plan()):
        assert len({component for component, _ in rows}) == len(rows)
        for component, version in rows:
            new = known[component, version]
            assert utc(wave_opens(world.contract, new, wave_of(world.contract, each))) <= utc(planned.window.start)
            assert not new.tracks or track_of(world, each.key, planned.window.start) in new.tracks
            assert installed.get(component) is None or installed[component] < new.version


@examples(40)
@given(worlds())
def test_after_its_end_a_deferred_release_or_one_that_holds_it_goes_in_at_the_next_window(world):
    world = from_the_start(world)
    plan = world.plan()
    for settled in plan.deferrals:
        key, version = settled.deferral.instance, settled.deferral.release
        each = world.fleet.instance(key)
        ended = settled.window.start if settled.window else LAST
        monthly = (
            planned
            for planned, of, installed, rows in walked(world, plan)
            if of.key == key
            and planned.window.kind == "monthly"
            and planned.declared is None
            and utc(planned.window.start)
            >= max(utc(ended), utc(wave_opens(world.contract, settled.release, wave_of(world.contract, each))))
        )
        for planned in monthly:
            at = planned.window.start
            free = not running(plan, key, at) and not frozen_classes(world, key, planned.window)
            track_fits = not settled.release.tracks or track_of(world, key, at) in settled.release.tracks
            if free and track_fits and subscribed(each, at) and allowed(world, each, at):
                before = next(
                    installed for seen, of, installed, _ in walked(world, plan) if of.key == key and seen is planned
                )
                rows = {row.release for row in planned.work if row.instance == key and row.component == "intrexx"}
                after = [before.get("intrexx"), *(ms.Version.parse(row) for row in rows if row)]
                assert max(filter(None, after)) >= version
                break


@examples(40)
@given(worlds())
def test_a_settled_deferral_starts_with_a_window_and_never_passes_its_limit(world):
    for settled in world.plan().deferrals:
        asked = settled.deferral
        assert utc(settled.end) == min(utc(asked.until), utc(settled.limit))
        assert settled.limit == ms.deferral_limit(world.contract, settled.start)
        assert settled.too_long is (utc(asked.until) > utc(settled.limit))
        opens = wave_opens(
            world.contract, settled.release, wave_of(world.contract, world.fleet.instance(asked.instance))
        )
        if asked.start is None:
            assert settled.start == ms.next_window(world.contract, opens).start
        else:
            assert utc(settled.start) == utc(asked.start)


@examples(40)
@given(worlds())
def test_the_operating_system_is_updated_in_every_monthly_window_unless_it_is_frozen(world):
    world = from_the_start(world)
    for planned, each, _, _ in walked(world, world.plan()):
        rows = [row.change_class for row in planned.work if row.instance == each.key and row.release is None]
        frozen = frozen_classes(world, each.key, planned.window)
        at = planned.window.start
        reached = is_for(world, planned, each.key) and subscribed(each, at) and allowed(world, each, at)
        if planned.window.kind != "monthly" or not reached:
            assert rows == []
        elif "os" not in frozen:
            assert rows == ["os"]
        else:
            assert rows == ([] if "security" in frozen else ["security"])


@examples(40)
@given(worlds())
def test_no_window_plans_an_instance_outside_its_subscription_or_without_consent(world):
    for planned in world.plan().windows:
        for row in planned.work:
            each = world.fleet.instance(row.instance)
            assert subscribed(each, planned.window.start)
            assert allowed(world, each, planned.window.start)
        for key in planned.instances:
            assert subscribed(world.fleet.instance(key), planned.window.start)


# --- the shape of a plan ----------------------------------------------------------------------------------------------


def work_of(plan: ms.Plan, key: str | None = None) -> dict[str, list[Any]]:
    """What each window does, in an order of its own."""
    rows: dict[str, list[Any]] = {}
    for planned in plan.windows:  # two of one id where a window was moved for some instances only
        rows.setdefault(planned.window.id, []).extend(row for row in planned.work if key in (None, row.instance))
    return {window: sorted(found, key=str) for window, found in rows.items()}


def conflicts_of(plan: ms.Plan, key: str | None = None) -> set[tuple[Any, ...]]:
    """The conflicts one by one, for one instance or for each."""
    return {
        (conflict.kind, conflict.subject if conflict.kind != "backup_rule" else "", conflict.clause, instance)
        for conflict in plan.all_conflicts
        for instance in conflict.instances or (None,)
        if key in (None, instance)
    }


@examples(40)
@given(worlds())
def test_a_plan_is_the_same_when_it_is_made_twice_and_when_its_inputs_come_in_reverse(world):
    plan = world.plan()
    assert world.plan() == plan
    fleet = ms.Fleet(
        customers=tuple(
            replace(customer, instances=customer.instances[::-1], contacts=customer.contacts[::-1])
            for customer in reversed(world.fleet.customers)
        )
    )
    tables = ("windows", "releases", "deferrals", "freezes", "consents", "track_switches")
    facts = ms.Facts(**{name: getattr(world.facts, name)[::-1] for name in tables})
    other = replace(world, fleet=fleet, facts=facts).plan()
    assert work_of(other) == work_of(plan)
    assert conflicts_of(other) == conflicts_of(plan)
    assert [(each.window, each.notices, each.clock_change) for each in other.windows] == [
        (each.window, each.notices, each.clock_change) for each in plan.windows
    ]
    assert sorted(conflict.message for conflict in other.all_conflicts) == sorted(
        conflict.message for conflict in plan.all_conflicts
    )
    assert (other.deferrals, other.freezes) == (plan.deferrals, plan.freezes)


@examples(40)
@given(worlds())
def test_planning_a_fleet_is_planning_each_instance_alone(world):
    plan = world.plan()
    whole = work_of(plan)
    for key in (each.key for each in world.fleet.instances()):
        alone = world.plan(only=[key])
        mine = work_of(plan, key)
        assert work_of(alone) == {window: mine[window] for window in work_of(alone)}
        assert not any(mine[window] for window in whole if window not in work_of(alone))
        assert conflicts_of(alone, key) == {found for found in conflicts_of(plan, key) if found[1] not in whole} | {
            found for found in conflicts_of(plan, key) if found[1] in work_of(alone)
        }


@examples(40)
@given(worlds(), st.integers(2, 5))
def test_copies_of_an_instance_get_equal_rows(world, copies):
    first = next(world.fleet.instances())
    customer = replace(world.fleet.customers[0], key="copies", instances=())
    many = tuple(replace(first, key=f"copy-{n}", host=f"copy-{n}.example") for n in range(copies))
    facts = replace(world.facts, deferrals=(), freezes=(), consents=(), track_switches=(), windows=(), outages=())
    one = replace(world, fleet=ms.Fleet(customers=(replace(customer, instances=many[:1]),)), facts=facts).plan()
    fleet = replace(world, fleet=ms.Fleet(customers=(replace(customer, instances=many),)), facts=facts).plan()
    for single, all_of_them in zip(one.windows, fleet.windows, strict=True):
        rows = [row._replace(instance="") for row in single.work]
        for key in (each.key for each in many):
            assert [row._replace(instance="") for row in all_of_them.work if row.instance == key] == rows
        assert len(all_of_them.assignments) == len(single.assignments) <= 1


@examples(40)
@given(worlds(), st.integers(1, 364))
def test_a_year_planned_in_two_parts_is_the_year_planned_at_once(world, days):
    now, middle = FIRST, FIRST + timedelta(days=days)
    world = replace(world, now=now)
    parts = [world.plan(ms.Span(start=start, end=end)) for start, end in ((FIRST, middle), (middle, LAST))]
    assert work_of(world.plan()) == work_of(parts[0]) | work_of(parts[1])


@examples(40)
@given(worlds())
def test_every_window_starts_in_the_span_and_says_when_its_notices_are_due(world):
    plan = world.plan()
    starts = [utc(each.window.start) for each in plan.windows]
    assert starts == sorted(starts)
    assert all(planned.window.start in YEAR for planned in plan.windows)
    assert len({(planned.window.id, planned.declared is None) for planned in plan.windows}) == len(plan.windows)
    shown = {planned.window.id for planned in plan.windows if planned.declared is not None}
    for each in world.facts.windows:
        assert (each.id in shown) is (not each.cancelled and each.start in YEAR)
    for planned in plan.windows:
        kinds = {"monthly": "reminder", "critical": "announcement", "emergency": "emergency"}
        assert [notice.kind for notice in planned.notices] == [kinds[planned.window.kind]]
        assert all(utc(notice.deadline) < utc(planned.window.start) for notice in planned.notices)


# --- conflicts --------------------------------------------------------------------------------------------------------


Found = Iterator[tuple[str, str, str | None]]
"""What a reader of the clauses would object to: kind, subject, instance."""


def taking(world: World, planned: ms.PlanWindow) -> list[ms.Instance]:
    at = planned.window.start
    return [each for each in world.fleet.instances() if is_for(world, planned, each.key) and subscribed(each, at)]


def late_notices(world: World, planned: ms.PlanWindow) -> Found:
    window, entered = planned.window, planned.declared
    deadline = utc(ms.reminder_deadline(world.contract, window.start))
    told, hours = entered.announced_at if entered else None, timedelta(hours=1)
    kind = None
    if told is not None and window.kind != "emergency":
        if utc(window.start) - utc(told) < 72 * hours:
            kind = "announced_late"
        elif window.kind == "monthly" and utc(told) >= deadline:
            kind = "deadline_past"
    if told is None and world.now is not None and utc(world.now) < utc(window.start):
        late = {
            "monthly": utc(world.now) >= deadline,
            "critical": utc(world.now) > utc(window.start) - 72 * hours,
            "emergency": utc(world.now) > utc(window.start) - 24 * hours,
        }
        kind = "deadline_past" if late[window.kind] else None
    if kind is not None:
        yield from ((kind, window.id, key) for key in (entered.instances if entered else ()) or (None,))


def freezes_and_backups(world: World, planned: ms.PlanWindow) -> Found:
    window = planned.window
    for each in taking(world, planned):
        for one in world.facts.freezes:
            scope = (not one.customers and not one.instances) or each.key[0] in one.customers
            if (scope or each.key in one.instances) and one.span.overlaps(window.span):
                yield "freeze_over_window", window.id, each.key
        if each.backup is not None and each.managed:
            at = datetime.combine(window.start.date(), each.backup.times[0], tzinfo=BERLIN)
            at = at if utc(at) <= utc(window.start) else at - timedelta(days=1)
            if utc(window.start) - utc(at) >= timedelta(hours=24):
                yield "backup_too_old", window.id, each.key


def out_of_reach(world: World, planned: ms.PlanWindow) -> Found:
    for each in world.fleet.instances():
        if planned.declared and each.key in planned.declared.instances:
            if not subscribed(each, planned.window.start):
                yield "subscription_ended", planned.window.id, each.key
            elif not allowed(world, each, planned.window.start):
                yield "no_consent", planned.window.id, each.key


def overlaps(world: World, planned: ms.PlanWindow, others: tuple[ms.PlanWindow, ...]) -> Found:
    for other in others[: others.index(planned)]:
        if other.window.span.overlaps(planned.window.span):
            both = {each.key for each in taking(world, other)} & {each.key for each in taking(world, planned)}
            yield from (("windows_overlap", planned.window.id, key) for key in both)


def of_deferrals(world: World, plan: ms.Plan) -> Found:
    for settled in plan.deferrals:
        if plan.now is not None and utc(settled.end) <= utc(plan.now):
            continue  # it has ended: nothing of it matters any more
        each, asked = world.fleet.instance(settled.deferral.instance), settled.deferral
        subject = f"deferral/{asked.instance}/{asked.release}"
        if utc(asked.until) > utc(ms.deferral_limit(world.contract, settled.start)):
            yield "deferral_too_long", subject, each.key
        if settled.window is None:
            yield "deferral_never_ends", subject, each.key
        installed = each.versions.get("intrexx")
        off_track = settled.release.tracks and track_of(world, each.key, settled.end) not in settled.release.tracks
        over = utc(settled.end) <= utc(settled.start)
        if over or off_track or (installed is not None and installed >= asked.release):
            yield "deferral_without_effect", subject, each.key


def expected_conflicts(world: World, plan: ms.Plan) -> Found:
    for planned in plan.windows:
        yield from late_notices(world, planned)
        yield from freezes_and_backups(world, planned)
        yield from out_of_reach(world, planned)
        yield from overlaps(world, planned, plan.windows)
    yield from of_deferrals(world, plan)
    for customer in world.fleet.customers:
        if customer.contacts[0].roles != ("system_responsible",):
            yield from (("no_contact", f"customer/{customer.key}", each.key) for each in customer.instances)


@examples(120)
@given(worlds())
def test_a_plan_shows_the_conflicts_that_there_are_and_no_other(world):
    plan = world.plan()
    found = {
        (str(conflict.kind), conflict.subject, key)
        for conflict in plan.all_conflicts
        for key in conflict.instances or (None,)
        if conflict.kind != "release_held_back"  # cases of their own, in test_plan.py
    }
    assert found == set(expected_conflicts(world, plan))


def monthly_starts(world: World, key: str) -> list[datetime]:
    """The starts of an instance's monthly windows in three years, as they will be."""
    mine = [
        each for each in world.facts.windows if each.kind == "monthly" and (not each.instances or key in each.instances)
    ]
    span = FIRST - timedelta(days=400), LAST + timedelta(days=700)
    rule = {each.id: utc(each.start) for each in ms.monthly_windows(world.contract, *span)}
    for each in mine:
        rule.pop(each.id, None)
    return sorted([*rule.values(), *(utc(each.start) for each in mine if not each.cancelled)])


def major_frozen(world: World, key: str, start: datetime) -> bool:
    end = start + world.contract.monthly.duration
    for each in world.facts.windows:
        if each.kind == "monthly" and utc(each.start) == start:
            end = utc(each.span.end)
    customer = world.fleet.owners[key].key
    over = (each for each in world.facts.freezes if "major" in each.classes and each.covers(customer, key))
    return any(each.span.overlaps(ms.Span(start=start, end=end)) for each in over)


@examples(40)
@given(worlds())
def test_a_deferral_never_ends_exactly_where_no_window_of_the_subscription_follows_its_end(world):
    for settled in world.plan().deferrals:
        each = world.fleet.instance(settled.deferral.instance)
        mine = [start for start in monthly_starts(world, each.key) if not major_frozen(world, each.key, start)]
        before = [start for start in mine if utc(settled.start) < start < utc(settled.end)]
        early = world.contract.deferral.after == "last_window_before_end" and before
        ending = before[-1] if early else next(start for start in mine if start >= utc(settled.end))
        ended = each.ends_on is not None and ending.astimezone(BERLIN).date() > each.ends_on
        assert (settled.window is None) == ended
        assert settled.window is None or utc(settled.window.start) == ending
        assert settled.deferral.id == f"{each.key}/{settled.deferral.release}"

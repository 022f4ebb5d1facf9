"""`maintsched release`: releases are entered, taken back and pinned; it says what an instance gets, and why."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.cli import main
from maintsched.errors import ChangeRefused, UnknownName
from maintsched.fleet import Fleet
from maintsched.journal import PROVIDER, EntryKind
from maintsched.plan import make_plan
from maintsched.releases import Shelf
from maintsched.spans import Span
from maintsched.store.declared import read_pins, read_releases, write_releases
from maintsched.version import Version
from maintsched.worker.house import read_scene
from maintsched.worker.pins import Fate, add_pin, end_pin, list_pins, outlook_of
from maintsched.worker.releases import add_release, list_releases, restore_release, withdraw_release
from maintsched.worker.sync import sync_fleet
from tests.homes import NOW as HOME_NOW
from tests.homes import open_home
from tests.houses import BERLIN, BIRCH, DECEMBER, FLEET, NOW, instance, world

DAY = timedelta(days=1)
CLASSES = [ms.ChangeClass.SECURITY, ms.ChangeClass.MINOR, ms.ChangeClass.MAJOR]


def release(version: str, change_class: str = "minor", **more) -> ms.Release:
    given = {"available_at": NOW, **more}
    return ms.Release(version=Version.parse(version), change_class=ms.ChangeClass(change_class), **given)


@pytest.fixture
def home(store, tmp_path):
    versions = {"intrexx": Version.parse("12.0.3"), "database": Version.parse("16.4")}
    mine = instance("birch-prod", versions=versions)
    others = FLEET.customers[0]
    return world(store, tmp_path, fleet=Fleet(customers=(others, replace(BIRCH, instances=(mine,)))))


def add(home, *releases):
    return [add_release(home.house.store, home.house.contract, each, now=home.now) for each in releases]


def take_back(home, version, *, component="intrexx", reason="loses files"):
    store, contract = home.house.store, home.house.contract
    return withdraw_release(store, contract, component, Version.parse(version), reason=reason, now=home.now)


def pin(home, version, *, key="birch-prod", now=None, **more):
    at = now or home.now
    wanted = ms.Pin(instance=key, version=Version.parse(version), start=at, reason="a plug-in", **more)
    return add_pin(home.house.store, home.house.contract, wanted, now=at)


def goes_in(home, key="birch-prod", component="intrexx", days=100):
    """What a plan lets into an instance, as (window, version)."""
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
    span = Span(start=home.now.astimezone(BERLIN), end=home.now + days * DAY)
    plan = make_plan(home.house.contract, scene.fleet, scene.facts, span, now=home.now, only={key})
    return [
        (planned.window.id, row.release)
        for planned in plan.windows
        for row in planned.work
        if row.component == component and row.release
    ]


# --- entered ----------------------------------------------------------------------------------------------------------


def test_a_release_names_its_waves_and_the_windows_that_take_it(home):
    (done,) = add(home, release("12.0.4"))
    assert [(each.wave, f"{each.at:%m-%d}") for each in done.waves] == [(1, "11-04"), (2, "11-11"), (3, "11-18")]
    assert [(each.window, each.instances) for each in done.windows] == [("monthly/2026-12", 3)]
    (entry,) = [each for each in home.entries(PROVIDER) if each.kind is EntryKind.RELEASE_ADDED]
    assert entry.subject == "release/intrexx/12.0.4"
    assert entry.data == {
        "component": "intrexx",
        "version": "12.0.4",
        "class": "minor",
        "available_at": "2026-11-04T09:00:00Z",
        "tracks": [],
        "carries": [],
    }


def test_everything_that_is_given_is_kept(home):
    full = release(
        "12.1.0",
        "major",
        tracks=("steady",),
        changes="New search",
        estimate=ms.Elapsed(minutes=45),
        carries=(Version.parse("12.2.0"),),
        available_at=datetime(2026, 12, 1, tzinfo=UTC),
    )
    add(home, full)
    with home.house.store.reading() as connection:
        assert read_releases(connection) == (full,)


def test_a_version_is_entered_once_however_it_is_written(home):
    add(home, release("12.1"))
    with pytest.raises(ChangeRefused, match=r"release intrexx 12.1.0: expected a new version .* 12.1, which is known"):
        add(home, release("12.1.0"))
    add(home, release("12.1.0", component="database"))
    assert [each.id for each in list_releases(home.house.store, home.house.contract)] == [
        "database 12.1.0",
        "intrexx 12.1",
    ]


@pytest.mark.parametrize(
    ("changes", "said"), [({"component": "intrex"}, "intrexx"), ({"tracks": ("stead",)}, "steady")]
)
def test_what_the_contract_does_not_know_is_refused_with_the_nearest_name(home, changes, said):
    with pytest.raises(UnknownName, match=f"did you mean {said}"):
        add(home, release("12.1.0", **changes))
    assert not list_releases(home.house.store, home.house.contract)


# --- taken back -------------------------------------------------------------------------------------------------------


def test_a_release_that_is_taken_back_goes_into_no_window_and_the_next_older_one_does(home):
    add(home, release("12.0.4"), release("12.0.5"))
    done = take_back(home, "12.0.5")
    assert [(each.window, each.instances) for each in done.windows] == [("monthly/2026-12", 3)]
    assert goes_in(home) == [("monthly/2026-12", "12.0.4")]
    entry = home.entries(PROVIDER)[-1]
    assert (entry.kind, entry.data["why"]) == (EntryKind.RELEASE_WITHDRAWN, "loses files")


def test_a_newer_release_that_holds_a_bad_one_goes_in(home):
    add(home, release("12.0.4"))
    take_back(home, "12.0.4")
    add(home, release("12.0.5"))
    assert goes_in(home) == [("monthly/2026-12", "12.0.5")]


def test_instances_that_have_a_bad_release_are_named_and_keep_it(home):
    add(home, release("12.0.3"))
    assert take_back(home, "12.0.3").installed == ("birch-prod",)
    assert goes_in(home) == []


def test_a_release_is_taken_back_once_and_can_be_restored(home):
    store, contract = home.house.store, home.house.contract
    version = Version.parse("12.0.4")
    add(home, release("12.0.4"))
    with pytest.raises(ChangeRefused, match="expected one that was withdrawn"):
        restore_release(store, contract, "intrexx", version, reason="it was fine", now=home.now)
    take_back(home, "12.0.4")
    with pytest.raises(ChangeRefused, match="withdrawn already: loses files"):
        take_back(home, "12.0.4")
    done = restore_release(store, contract, "intrexx", version, reason="it was fine", now=home.now)
    assert [each.window for each in done.windows] == ["monthly/2026-12"]
    assert goes_in(home) == [("monthly/2026-12", "12.0.4")]
    assert home.entries(PROVIDER)[-1].kind is EntryKind.RELEASE_RESTORED
    with pytest.raises(UnknownName, match=r"release of intrexx: .*did you mean 12.0.4"):
        take_back(home, "12.0.5")


def test_a_file_does_not_revive_a_release_that_was_taken_back(home):
    store, contract = home.house.store, home.house.contract
    facts = ms.Facts(releases=(release("12.0.4"),))
    fleet = Fleet(customers=FLEET.customers[:1])
    sync_fleet(store, contract, fleet, facts, prune=False, now=NOW)
    take_back(home, "12.0.4")
    assert not sync_fleet(store, contract, fleet, facts, prune=False, now=NOW)
    assert goes_in(home) == []


def test_a_withdrawn_fix_is_no_conflict_of_each_window_but_one_of_the_window_declared_for_it(home):
    add(home, release("12.0.4", "security"))
    take_back(home, "12.0.4")
    declared = ms.DeclaredWindow(
        key="fix",
        kind=ms.WindowKind.CRITICAL,
        start=DECEMBER + 3 * DAY,
        duration=ms.Elapsed(hours=1),
        instances=("birch-prod",),
        reason="a fix",
        announced_at=NOW,
        releases=(Version.parse("12.0.4"),),
    )
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
    span = Span(start=home.now.astimezone(BERLIN), end=home.now + 60 * DAY)
    plan = make_plan(home.house.contract, scene.fleet, replace(scene.facts, windows=(declared,)), span, now=home.now)
    held = [each for each in plan.all_conflicts if each.kind == "release_held_back"]
    assert [each.subject for each in held] == ["critical/fix"]
    assert "withdrawn (loses files)" in held[0].message


# --- pinned -----------------------------------------------------------------------------------------------------------


def test_a_pinned_instance_goes_up_to_its_version_and_stays_there_except_for_fixes(home):
    add(home, release("12.0.4"), release("12.0.5", "security"), release("12.1.0"), release("12.1.1", "security"))
    assert goes_in(home) == [("monthly/2026-12", "12.1.1")]
    pin(home, "12.0.4")
    assert goes_in(home) == [("monthly/2026-12", "12.0.5")]
    assert goes_in(home, "acme-prod") == [("monthly/2026-12", "12.1.1")]
    (entry,) = [each for each in home.entries("birch-prod") if each.kind is EntryKind.INSTANCE_PINNED]
    assert entry.data["version"] == "12.0.4"
    assert entry.data["reason"] == "a plug-in"


def test_a_pin_may_keep_fixes_out_as_well_and_the_plan_says_so(home):
    add(home, release("12.0.4"), release("12.0.5", "security"))
    pin(home, "12.0.4", security=False)
    assert goes_in(home) == [("monthly/2026-12", "12.0.4")]
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
    span = Span(start=home.now.astimezone(BERLIN), end=home.now + 60 * DAY)
    plan = make_plan(home.house.contract, scene.fleet, scene.facts, span, now=home.now)
    held = [each for each in plan.all_conflicts if each.kind == "release_held_back"]
    assert held
    assert "pinned to 12.0.4 (a plug-in)" in held[0].message


def test_a_pin_holds_its_component_alone(home):
    add(home, release("12.0.4"), release("16.5", component="database"))
    pin(home, "16.4", component="database")
    assert goes_in(home) == [("monthly/2026-12", "12.0.4")]
    assert goes_in(home, component="database") == []


def test_a_pin_ends_by_itself_or_when_somebody_unpins_it(home):
    add(home, release("12.0.4"), release("12.1.0"))
    pin(home, "12.0.4", until=datetime(2027, 1, 1, tzinfo=BERLIN))
    assert goes_in(home) == [("monthly/2026-12", "12.0.4"), ("monthly/2027-01", "12.1.0")]
    before = pin(home, "12.0.4")
    assert before is not None
    assert before.until is not None
    assert goes_in(home) == [("monthly/2026-12", "12.0.4")]
    end_pin(home.house.store, home.house.contract, "birch-prod", "intrexx", reason="renewed", now=home.now)
    assert goes_in(home) == [("monthly/2026-12", "12.1.0")]
    assert home.entries("birch-prod")[-1].kind is EntryKind.INSTANCE_UNPINNED
    assert not list_pins(home.house.store, now=home.now)
    with pytest.raises(UnknownName, match="pin: expected a known name"):
        end_pin(home.house.store, home.house.contract, "birch-prod", "intrexx", reason="renewed", now=home.now)


def test_an_instance_is_pinned_only_to_a_version_there_is_and_never_taken_back(home):
    add(home, release("12.0.2"), release("12.0.4"))
    with pytest.raises(UnknownName, match=r"12\.0\.3, 12\.0\.4"):
        pin(home, "12.0.9")
    with pytest.raises(ChangeRefused, match="no version is ever taken back"):
        pin(home, "12.0.2")
    with pytest.raises(ms.InvalidValue, match="until"):
        pin(home, "12.0.4", until=NOW + DAY, now=NOW + 2 * DAY)
    with pytest.raises(UnknownName, match="did you mean birch-prod"):
        pin(home, "12.0.4", key="birch-prd")
    with pytest.raises(ChangeRefused, match="a freeze of the class os"):
        pin(home, "12.0.4", component="linux")


def test_pins_come_by_file_as_well_and_are_written_down(home):
    store, contract = home.house.store, home.house.contract
    wanted = ms.Pin(instance="acme-prod", version=Version.parse("12.0.4"), start=NOW, reason="a plug-in")
    facts = ms.Facts(releases=(release("12.0.4"),), pins=(wanted,))
    fleet = Fleet(customers=FLEET.customers[:1])
    assert len(sync_fleet(store, contract, fleet, facts, prune=False, now=NOW).changes) == 2
    assert not sync_fleet(store, contract, fleet, facts, prune=False, now=NOW)
    with store.reading() as connection:
        assert read_pins(connection) == (wanted,)
    (entry,) = [each for each in home.entries("acme-prod") if each.subject == "pin/acme-prod/intrexx"]
    assert entry.data["pin"]["change"] == "added"
    with pytest.raises(ChangeRefused, match="maintsched release unpin"):
        sync_fleet(store, contract, Fleet(customers=FLEET.customers[1:]), ms.Facts(), prune=True, now=NOW)


@given(
    classes=st.lists(st.sampled_from(CLASSES), min_size=1, max_size=6),
    installed=st.integers(0, 6),
    at=st.integers(0, 6),
    security=st.booleans(),
)
def test_nothing_newer_than_a_pin_ever_goes_in_but_fixes_that_bring_nothing_else(classes, installed, at, security):
    contract = ms.load_contract()
    releases = [release(f"12.0.{n}", str(each)) for n, each in enumerate(classes, start=1)]
    kept = max(installed, at)
    pinned = ms.Pin(instance="a", version=Version.parse(f"12.0.{at}"), start=NOW, reason="x", security=security)
    shelf = Shelf(contract, "intrexx", "silent", releases)
    choice = shelf.choose(at=NOW + 99 * DAY, wave=1, installed=Version.parse(f"12.0.{installed}"), pin=pinned)
    above = [each.change_class for each in releases if each.version.numbers[2] > kept]
    fixes = next((n for n, each in enumerate(above) if each is not ms.ChangeClass.SECURITY), len(above))
    highest = kept + fixes if security else kept
    possible = min(highest, len(releases))
    assert choice.release == (releases[possible - 1] if possible > installed else None)


# --- what an instance gets --------------------------------------------------------------------------------------------


def test_each_release_says_what_becomes_of_it_in_an_instance(home):
    add(
        home,
        release("12.0.2"),
        release("12.0.3"),
        release("12.0.4"),
        release("12.0.5", "security", available_at=datetime(2026, 12, 20, tzinfo=UTC)),
        release("12.1.0", available_at=datetime(2026, 12, 25, tzinfo=UTC)),
        release("13.0.0", "major", tracks=("steady",)),
        release("14.0.0", "major", available_at=datetime(2029, 1, 1, tzinfo=UTC)),
        release("16.5", component="database"),
    )
    pin(home, "16.4", component="database")
    take_back(home, "12.0.4")
    found = outlook_of(home.house.store, home.house.contract, "birch-prod", now=home.now)
    said = [(each.release.id, each.fate, each.window) for each in found.releases]
    assert said == [
        ("database 16.5", Fate.HELD_BACK, None),
        ("intrexx 12.0.3", Fate.INSTALLED, None),
        ("intrexx 12.0.4", Fate.OVERTAKEN, None),
        ("intrexx 12.0.5", Fate.GOES_IN, "monthly/2027-01"),
        ("intrexx 12.1.0", Fate.GOES_IN, "monthly/2027-02"),
        ("intrexx 13.0.0", Fate.OFF_TRACK, None),
        ("intrexx 14.0.0", Fate.NO_WINDOW, None),
    ]
    why = {each.release.id: each.why for each in found.releases}
    assert why["database 16.5"] == "pinned to 16.4 (a plug-in)"
    assert why["intrexx 12.0.4"] == "12.0.5 goes in with monthly/2027-01"
    assert why["intrexx 12.1.0"] == "wave 3 opens 2027-01-08 01:00"
    assert [each.component for each in found.pins] == ["database"]


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(migrated_file, tmp_path, monkeypatch):
    with open_home(migrated_file, tmp_path, monkeypatch) as store:
        path = tmp_path / "fleet.toml"
        path.write_text(path.read_text().partition("[[freeze]]")[0])
        assert CliRunner().invoke(main, ["fleet", "sync", "--now", HOME_NOW]).exit_code == 0
        yield store


def run(*args, code=0, command="release"):
    result = CliRunner().invoke(main, [command, *args, "--now", HOME_NOW], prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_a_release_is_entered_with_everything_and_listed(place):
    entered = "release intrexx 12.0.4  security, available 2026-11-24 00:00 CET, on silent, steady"
    assert run(
        *("add", "12.0.4", "--class", "security", "--track", "silent", "--track", "steady", "--estimate", "45 min"),
        *("--changes", "closes a hole", "--available", "24.11.2026", "--carries", "12.2.0"),
    ).stdout.splitlines() == [
        f"{entered}, about 45 min, carries 12.2.0: closes a hole",
        "  wave 1 from 2026-11-24 00:00 CET, wave 2 from 2026-11-24 00:00 CET, wave 3 from 2026-11-24 00:00 CET",
        "  goes in with monthly/2026-12, 2026-12-01 17:00 CET: 1 instance",
    ]
    assert [line.split("  ")[0] for line in run("list").stdout.splitlines()] == ["intrexx 12.0.4", "intrexx 12.1.0"]
    assert run("list", "--component", "database").stdout == "no releases\n"
    (shown, _) = json.loads(run("list", "--json").stdout)
    assert shown == {
        "component": "intrexx",
        "version": "12.0.4",
        "class": "security",
        "available_at": "2026-11-24T00:00:00+01:00",
        "tracks": ["silent", "steady"],
        "changes": "closes a hole",
        "estimate": "45 min",
        "carries": ["12.2.0"],
        "withdrawn": None,
    }


def test_taking_back_says_what_is_spared_and_who_waits_for_it(place):
    lines = run("withdraw", "12.1.0", "--reason", "loses files").stdout.splitlines()
    assert lines[0] == "release intrexx 12.1.0 is withdrawn: loses files"
    assert lines[1].startswith("  stays out of monthly/2026-12, 2026-12-01 17:00 CET: ")
    assert "  deferred for acme-prod: newer releases that hold it stay out there as well" in lines
    assert "(withdrawn: loses files)" in run("list").stdout
    assert "  withdrawn: loses files" in run("release/12.1.0", command="explain").stdout.splitlines()
    back = run("restore", "12.1.0", "--reason", "it was a plug-in", "--json")
    assert json.loads(back.stdout)["withdrawn"] is None


def test_pins_are_set_listed_shown_and_taken_off(place):
    assert run("pins").stdout == "nothing is pinned\n"
    line = "acme-prod: intrexx stays at 12.0.3 until 2027-02-01 00:00 CET, security releases go on (a plug-in)"
    assert run("pin", "acme-prod", "12.0.3", "--until", "2027-02-01", "--reason", "a plug-in").stdout == line + "\n"
    assert run("pins").stdout == line + "\n"
    again = run("pin", "acme-prod", "12.1.0", "--no-security", "--reason", "a plug-in").stdout.splitlines()
    assert again[0].startswith("acme-prod: intrexx stays at 12.1.0 until it is unpinned, no security releases either")
    assert again[1] == "  instead of 12.0.3"
    assert json.loads(run("pins", "--json").stdout)[0]["security"] is False
    assert "intrexx stays at 12.1.0 until it is unpinned" in run("show", "acme-prod", command="fleet").stdout
    assert run("unpin", "acme-prod", "--reason", "renewed").stdout == (
        "acme-prod: intrexx is not pinned to 12.1.0 any more\n"
    )


def test_what_an_instance_gets_is_listed_with_the_reasons(place):
    goes_in = "goes in with monthly/2027-04, 2027-04-06 17:00 CEST"
    assert run("list", "--instance", "acme-prod").stdout.splitlines() == [
        "instance acme-prod, track silent; installed: intrexx 12.0.3",
        f"  intrexx 12.1.0 (major): {goes_in}; not before: 12.1.0 is deferred until 2027-04-01",
    ]
    assert json.loads(run("list", "--instance", "acme-prod", "--json").stdout)[0]["fate"] == "goes_in"
    nothing = run("list", "--instance", "acme-prod", "--component", "database").stdout
    assert "no release is installed or newer" in nothing


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("add", "12.2.0"), 2, "Missing option '--class'"),
        (("add", "12.2.0", "--class", "os"), 2, "'os' is not one of"),
        (("add", "12.2.0", "--class", "minor", "--available", "soon"), 2, "expected a date"),
        (("add", "12.2.0", "--class", "minor", "--estimate", "long"), 2, "expected a length"),
        (("add", "new", "--class", "minor"), 1, "version: expected numbers"),
        (("add", "12.1", "--class", "minor"), 1, "which is known"),
        (("withdraw", "12.1.1", "--reason", "x"), 1, "did you mean 12.1.0?"),
        (("list", "--component", "intrex"), 1, "did you mean intrexx?"),
        (("list", "--instance", "acme-prd"), 1, "did you mean acme-prod?"),
        (("list", "--instance", "acme-prod", "--component", "intrex"), 1, "did you mean intrexx?"),
        (("unpin", "acme-prod", "--reason", "x"), 1, "pin: expected a known name"),
        (("pin", "acme-prod", "12.0.2", "--reason", "x"), 1, "version: expected one of 12.0.3, 12.1.0"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_with_the_way_out(place, args, code, said):
    refused = run(*args, code=code)
    assert said in refused.stderr
    assert code == 2 or refused.stderr.count("\n") == 1


def test_a_release_with_an_estimate_is_what_a_file_would_have_declared(place):
    run("add", "12.2.0", "--class", "major", "--estimate", "PT45M")
    with place.writing() as connection:
        (kept,) = [each for each in read_releases(connection) if str(each.version) == "12.2.0"]
        write_releases(connection, [kept])
        assert kept in read_releases(connection)
    assert kept.estimate == timedelta(minutes=45)

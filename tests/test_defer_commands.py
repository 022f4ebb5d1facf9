"""`maintsched defer`: larger updates are put off, counted and dated, never beyond the limit (clause 2.4.4)."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maintsched as ms
from maintsched.cli import main
from maintsched.errors import ChangeRefused, DeferralRefused, UnknownName
from maintsched.fleet import Fleet
from maintsched.journal import EntryKind, first_fault
from maintsched.localtime import utc
from maintsched.plan import make_plan
from maintsched.spans import Span
from maintsched.store import open_store
from maintsched.store.declared import read_deferrals, write_deferrals, write_freezes, write_pins, write_releases
from maintsched.store.evidence import heads
from maintsched.version import Version
from maintsched.worker.deferrals import DeferralState, extend, grant, list_deferrals, withdraw
from maintsched.worker.house import read_scene
from maintsched.worker.sync import sync_fleet
from tests.homes import NOW as HOME_NOW
from tests.homes import open_home
from tests.houses import ACME, BERLIN, BIRCH, DECEMBER, FLEET, NOW, instance, world

MAJOR = Version.parse("12.1.0")
LIMIT = datetime(2027, 6, 1, 17, 0, tzinfo=BERLIN)
UNTIL = datetime(2027, 4, 1, tzinfo=BERLIN)
DAY = timedelta(days=1)
FIX = Version.parse("12.0.4")
FIX_AVAILABLE = datetime(2027, 1, 10, tzinfo=UTC)
SUBJECT = "deferral/birch-prod/12.1.0"
RELEASES = (
    ms.Release(version=MAJOR, change_class=ms.ChangeClass.MAJOR, available_at=NOW),
    ms.Release(
        version=FIX,
        change_class=ms.ChangeClass.SECURITY,
        available_at=FIX_AVAILABLE,
    ),
    ms.Release(
        version=Version.parse("12.1.1"),
        change_class=ms.ChangeClass.SECURITY,
        available_at=datetime(2027, 2, 10, tzinfo=UTC),
    ),
    ms.Release(
        version=Version.parse("12.0.5"),
        change_class=ms.ChangeClass.MINOR,
        available_at=datetime(2026, 12, 10, tzinfo=UTC),
    ),
    ms.Release(
        version=Version.parse("13.0.0"),
        change_class=ms.ChangeClass.MAJOR,
        available_at=NOW,
        tracks=("steady",),
    ),
    ms.Release(
        version=Version.parse("16.5"), change_class=ms.ChangeClass.MAJOR, available_at=NOW, component="database"
    ),
)


def with_versions(versions: dict[str, str]) -> Fleet:
    kept = {name: Version.parse(text) for name, text in versions.items()}
    return Fleet(customers=(ACME, replace(BIRCH, instances=(instance("birch-prod", versions=kept),))))


def home_with(store, folder, **settings):
    home = world(store, folder, **settings)
    with store.writing() as connection:
        write_releases(connection, RELEASES)
    return home


@pytest.fixture
def home(store, tmp_path):
    return home_with(store, tmp_path)


def defer(home, *keys, release=MAJOR, until=UNTIL, now=None, by=None):
    keys = keys or ("birch-prod",)
    return grant(home.house.store, home.house.contract, keys, release, until=until, now=now or home.now, by=by)


def longer(home, until, *, now=None):
    return extend(home.house.store, home.house.contract, "birch-prod", MAJOR, until=until, now=now or home.now)


def undo(home, *, now=None, **more):
    return withdraw(home.house.store, home.house.contract, "birch-prod", MAJOR, now=now or home.now, **more)


def kinds(home, chain="birch-prod"):
    return [entry.kind for entry in home.entries(chain) if entry.kind.startswith("deferral_")]


def told(home):
    return [key.split("/")[1] for key in home.told() if "deferral" in key]


# --- granted ----------------------------------------------------------------------------------------------------------


def test_a_deferral_is_counted_and_dated_and_says_what_goes_in_meanwhile_and_then(home):
    (done,) = defer(home)
    assert done.running.start == DECEMBER
    assert done.running.end == UNTIL
    assert done.running.limit == LIMIT
    assert done.running.window is not None
    assert done.running.window.id == "monthly/2027-04"
    assert (done.number, done.days, done.days_max) == (1, 121, 182)
    assert [f"{at:%Y-%m-%d}" for _, at in done.reminders] == ["2027-03-02", "2027-03-25"]
    assert done.meanwhile == (("12.0.4", "monthly/2027-02"),)
    assert done.then == ("12.1.1", "monthly/2027-04")
    assert done.told == ("ops",)


def test_the_grant_is_evidence_in_the_chain_of_its_instance(home):
    defer(home, "acme-prod", by="eva")
    (entry,) = [each for each in home.entries("acme-prod") if each.kind is EntryKind.DEFERRAL_GRANTED]
    assert entry.subject == "deferral/acme-prod/12.1.0"
    assert entry.data == {
        "customer": "acme",
        "release": "12.1.0",
        "start": "2026-12-01T16:00:00Z",
        "until": "2027-03-31T22:00:00Z",
        "limit": "2027-06-01T15:00:00Z",
        "number": 1,
        "by": "eva",
    }


def test_several_instances_are_deferred_together_or_not_at_all(home):
    assert [each.running.deferral.instance for each in defer(home, "acme-prod", "acme-test")] == [
        "acme-prod",
        "acme-test",
    ]
    with pytest.raises(ChangeRefused):
        defer(home, "birch-prod", "acme-prod")
    with home.house.store.reading() as connection:
        assert [each.instance for each in read_deferrals(connection)] == ["acme-prod", "acme-test"]
    with pytest.raises(ms.InvalidValue, match="each instance once"):
        defer(home, "birch-prod", "birch-prod")


def test_the_start_is_fixed_when_it_is_granted_so_that_the_limit_told_stays(home):
    defer(home)
    moved = ms.DeclaredWindow(
        key="2026-12",
        kind=ms.WindowKind.MONTHLY,
        start=DECEMBER + 9 * DAY,
        end=DECEMBER + 9 * DAY + timedelta(hours=4),
        reason="moved",
    )
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
        (deferral,) = scene.facts.deferrals
    assert deferral.start == DECEMBER
    facts = replace(scene.facts, windows=(moved,))
    span = Span(start=home.now, end=home.now + 90 * DAY)
    (running,) = make_plan(home.house.contract, scene.fleet, facts, span, now=home.now).deferrals
    assert running.limit == LIMIT


def test_the_count_begins_with_the_window_that_no_freeze_and_no_pin_keeps_it_out_of(home):
    frozen = ms.Freeze(key="x", start=DECEMBER - DAY, end=DECEMBER + DAY, reason="fair", instances=("birch-prod",))
    pin = ms.Pin(
        instance="acme-prod",
        version=Version.parse("12.0.5"),
        start=NOW,
        until=DECEMBER + DAY,
        reason="a plug-in",
    )
    with home.house.store.writing() as connection:
        write_freezes(connection, [frozen])
        write_pins(connection, [pin])
    for key in ("birch-prod", "acme-prod"):
        (done,) = defer(home, key)
        assert done.running.start == datetime(2027, 1, 5, 17, tzinfo=BERLIN)
        assert done.running.limit == datetime(2027, 7, 5, 17, tzinfo=BERLIN)


def test_the_count_begins_when_the_instance_is_on_a_track_of_the_release(home):
    from maintsched.worker.tracks import switch_track

    switch_track(
        home.house.store,
        home.house.contract,
        "birch-prod",
        "steady",
        at=datetime(2027, 2, 1, tzinfo=BERLIN),
        reason="asked for",
        now=home.now,
    )
    (done,) = defer(home, release=Version.parse("13.0.0"), until=datetime(2027, 5, 1, tzinfo=BERLIN))
    assert done.running.start == datetime(2027, 2, 2, 17, tzinfo=BERLIN)


# --- refused ----------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "not major": ({"release": "12.0.5"}, "expected a major release, got a minor one: .*clause 2.4.4"),
    "a fix": ({"release": "12.0.4"}, "expected a major release, got a security one"),
    "not Intrexx": ({"release": "16.5"}, "expected one of intrexx, got one of database: .*clause 2.4.4"),
    "not on the track": ({"release": "13.0.0"}, "expected an instance on track steady, where it ships, got one on sil"),
    "past the limit": (
        {"until": LIMIT + timedelta(minutes=1)},
        r"expected an end up to 2027-06-01 17:00 CEST \(6 months after 2026-12-01 17:00 CET, .* \(clause 2.4.4\)",
    ),
    "without effect": ({"until": DECEMBER}, "expected an end after 2026-12-01 17:00 CET, when the update would go in"),
    "over already": ({"until": NOW}, "expected an end after 2026-12-01 17:00 CET"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_limit_and_its_clause(home, case):
    changes, said = REFUSED[case]
    more = {"until": changes.get("until", UNTIL), "release": Version.parse(changes.get("release", "12.1.0"))}
    with pytest.raises(DeferralRefused, match=said) as refused:
        defer(home, **more)
    assert "\n" not in str(refused.value)
    assert kinds(home) == []
    if case == "past the limit":
        assert refused.value.latest_end == LIMIT


def test_the_limit_itself_is_allowed(home):
    (done,) = defer(home, until=LIMIT)
    assert done.days == done.days_max


def test_what_is_installed_cannot_be_deferred(store, tmp_path):
    home = home_with(store, tmp_path, fleet=with_versions({"intrexx": "12.1.0"}))
    with pytest.raises(DeferralRefused, match=r"got 12.1.0, which is installed already"):
        defer(home)


@pytest.mark.parametrize(
    ("ends_on", "said"),
    [
        (date(2026, 11, 1), r"a subscription that runs, got one that ended on 2026-11-01 \(clause 4.2\)"),
        (date(2026, 11, 30), "one that no window ever takes"),
    ],
)
def test_an_ended_subscription_has_nothing_to_defer(store, tmp_path, ends_on, said):
    leaving = Fleet(customers=(replace(BIRCH, instances=(instance("birch-prod", ends_on=ends_on),)),))
    home = home_with(store, tmp_path, fleet=leaving)
    with pytest.raises(DeferralRefused, match=said):
        defer(home)


def test_names_that_nobody_knows_are_refused_with_the_nearest(home):
    with pytest.raises(UnknownName, match="did you mean birch-prod"):
        defer(home, "birch-prd")
    with pytest.raises(UnknownName, match=r"12\.1\.0"):
        defer(home, release=Version.parse("12.1.9"))
    with pytest.raises(UnknownName, match="contact of birch"):
        defer(home, by="Somebody")


def test_a_release_that_was_taken_back_cannot_be_deferred(home):
    with home.house.store.writing() as connection:
        write_releases(connection, [replace(RELEASES[0], withdrawn="loses files")])
    with pytest.raises(ChangeRefused, match="withdrawn: loses files"):
        defer(home)


def test_once_the_limit_has_passed_nothing_can_be_deferred(home):
    with pytest.raises(DeferralRefused, match="end up to 2027-06-01"):
        defer(home, until=LIMIT + 9 * DAY, now=LIMIT + DAY)


# --- another end ------------------------------------------------------------------------------------------------------


def test_a_deferral_can_be_extended_up_to_the_limit_and_not_beyond(home):
    defer(home)
    done = longer(home, LIMIT, now=NOW + DAY)
    assert (done.previous, done.running.end, done.running.limit) == (UNTIL, LIMIT, LIMIT)
    with pytest.raises(DeferralRefused, match="expected an end up to"):
        longer(home, LIMIT + timedelta(seconds=1), now=NOW + 2 * DAY)
    assert kinds(home) == [EntryKind.DEFERRAL_GRANTED, EntryKind.DEFERRAL_EXTENDED]


def test_a_deferral_can_be_shortened(home):
    defer(home)
    assert longer(home, UNTIL - 60 * DAY).running.end == UNTIL - 60 * DAY


def test_the_same_end_and_an_end_that_has_passed_are_refused(home):
    defer(home)
    with pytest.raises(ChangeRefused, match="another end"):
        longer(home, UNTIL)
    with pytest.raises(DeferralRefused, match="an end after 2027-01-15"):
        longer(home, datetime(2027, 1, 10, tzinfo=BERLIN), now=datetime(2027, 1, 15, tzinfo=BERLIN))


def test_a_deferral_that_has_ended_is_not_extended_but_granted_anew_under_the_first_limit(home):
    defer(home)
    late = UNTIL + DAY
    with pytest.raises(ChangeRefused, match="ended by itself at 2027-04-01 00:00 CEST"):
        longer(home, LIMIT, now=late)
    (again,) = defer(home, until=LIMIT, now=late)
    assert again.running.limit == LIMIT
    with pytest.raises(UnknownName, match="deferral"):
        extend(home.house.store, home.house.contract, "acme-prod", MAJOR, until=LIMIT, now=NOW)


# --- withdrawn --------------------------------------------------------------------------------------------------------


def test_a_withdrawn_deferral_lets_its_release_go_in_with_the_next_window(home):
    defer(home)
    done = undo(home, now=datetime(2027, 1, 10, tzinfo=BERLIN), reason="the portal is adapted", by="ops")
    assert done.state is DeferralState.WITHDRAWN
    assert done.running.window is not None
    assert done.running.window.id == "monthly/2027-02"
    assert done.then == ("12.1.0", "monthly/2027-02")
    entry = home.entries("birch-prod")[-1]
    assert entry.kind is EntryKind.DEFERRAL_WITHDRAWN
    assert entry.data["why"] == "the portal is adapted"
    assert entry.data["previous"] == "2027-03-31T22:00:00Z"


def test_a_deferral_withdrawn_before_it_began_goes_in_as_if_it_had_never_been(home):
    defer(home)
    done = undo(home)
    assert done.running.window is not None
    assert done.running.window.start == DECEMBER


def test_a_withdrawn_deferral_keeps_its_limit_for_the_next_time(home):
    defer(home)
    undo(home, now=datetime(2027, 3, 1, tzinfo=BERLIN))
    with pytest.raises(ChangeRefused, match="was withdrawn at 2027-03-01"):
        undo(home, now=datetime(2027, 3, 2, tzinfo=BERLIN))
    with pytest.raises(DeferralRefused):
        defer(home, until=LIMIT + DAY, now=datetime(2027, 3, 2, tzinfo=BERLIN))
    (again,) = defer(home, until=LIMIT, now=datetime(2027, 3, 2, tzinfo=BERLIN))
    assert again.running.start == DECEMBER
    assert again.state is DeferralState.RUNNING


def test_a_freeze_that_is_entered_later_gives_no_more_time(home):
    defer(home)
    frozen = ms.Freeze(
        key="x",
        start=DECEMBER - DAY,
        end=DECEMBER + DAY,
        reason="fair",
        classes=(ms.ChangeClass.MAJOR,),
        instances=("birch-prod",),
    )
    with home.house.store.writing() as connection:
        write_freezes(connection, [frozen])
    with pytest.raises(DeferralRefused, match="expected an end up to 2027-06-01 17:00"):
        longer(home, LIMIT + DAY)
    undo(home, now=NOW + DAY)
    with pytest.raises(DeferralRefused, match="expected an end up to 2027-06-01 17:00"):
        defer(home, until=LIMIT + DAY, now=NOW + 2 * DAY)


def test_an_older_file_does_not_revive_a_withdrawn_deferral(home):
    store, contract = home.house.store, home.house.contract
    declared = ms.Deferral(instance="birch-prod", release=MAJOR, until=UNTIL)
    facts = ms.Facts(releases=RELEASES, deferrals=(declared,))
    sync_fleet(store, contract, FLEET, facts, prune=False, now=NOW)
    undo(home)
    assert not sync_fleet(store, contract, FLEET, facts, prune=False, now=NOW)
    assert not list_deferrals(store, contract, now=NOW)
    other = replace(facts, deferrals=(replace(declared, until=UNTIL + DAY),))
    with pytest.raises(ChangeRefused, match="maintsched defer"):
        sync_fleet(store, contract, FLEET, other, prune=False, now=NOW)


def test_a_deferral_that_is_over_is_no_conflict_of_later_plans(store, tmp_path):
    home = home_with(store, tmp_path, fleet=with_versions({"intrexx": "12.0.3"}))
    defer(home)
    home.sync(with_versions({"intrexx": "12.1.1"}))
    for now, found in ((UNTIL - DAY, ["deferral_without_effect"]), (UNTIL, [])):
        with store.reading() as connection:
            scene = read_scene(connection, home.house.contract, now)
        span = Span(start=now, end=now + 60 * DAY)
        plan = make_plan(home.house.contract, scene.fleet, scene.facts, span, now=now)
        assert [each.kind for each in plan.conflicts] == found
        assert len(plan.open_deferrals) == len(found)


# --- what the customer hears ------------------------------------------------------------------------------------------


def test_the_customer_hears_of_the_grant_of_another_end_and_of_the_withdrawal(home):
    defer(home)
    home.tick()
    assert told(home) == ["deferral_granted"]
    longer(home, UNTIL + DAY, now=NOW + DAY)
    home.tick(NOW + DAY)
    assert told(home) == ["deferral_granted"] * 2
    undo(home, now=NOW + 2 * DAY)
    home.tick(NOW + 2 * DAY)
    home.tick(NOW + 3 * DAY)
    assert told(home) == ["deferral_granted"] * 2 + ["deferral_ended"]
    last = home.notices(SUBJECT)[-1].notice
    assert (last.kind, last.revision, last.facts["deferral"]["next_window"]) == (
        "deferral_ended",
        2,
        DECEMBER.isoformat(),
    )


def test_of_a_deferral_withdrawn_before_anybody_was_told_nobody_hears(home):
    defer(home)
    undo(home)
    home.tick()
    assert told(home) == []


def test_a_deferral_granted_anew_is_told_anew(home):
    defer(home)
    home.tick()
    undo(home, now=NOW + DAY)
    home.tick(NOW + DAY)
    defer(home, now=NOW + 2 * DAY)
    home.tick(NOW + 2 * DAY)
    assert told(home) == ["deferral_granted", "deferral_ended", "deferral_granted"]


def test_of_a_release_that_was_taken_back_no_reminder_says_that_it_will_go_in(home):
    defer(home)
    home.tick()
    with home.house.store.writing() as connection:
        write_releases(connection, [replace(RELEASES[0], withdrawn="loses files")])
    home.forget()
    home.tick(UNTIL - 20 * DAY)
    home.tick(UNTIL + DAY)
    assert told(home) == []


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.integers(12, 6 * 24), min_size=20, max_size=20), days=st.integers(0, 40))
def test_however_passes_fall_each_reminder_comes_once_and_the_end_by_itself(migrated_file, gaps, days):
    until = LIMIT - days * DAY
    with TemporaryDirectory() as folder, _store(migrated_file, folder) as store:
        home = home_with(store, Path(folder), fleet=Fleet(customers=(BIRCH,)))
        defer(home, until=until)
        home.tick()
        home.tick(until - 33 * DAY)
        for hours in [*gaps, *[6 * 24] * 20]:
            if utc(home.now) > utc(until) + 3 * DAY:
                break
            home.tick(home.now + timedelta(hours=hours))
        assert told(home) == ["deferral_granted", "deferral_reminder-30d", "deferral_reminder-7d", "deferral_ended"]


def test_a_deferral_shorter_than_a_reminder_gets_only_those_that_are_ahead(home):
    defer(home, until=DECEMBER + 5 * DAY, now=DECEMBER - DAY)
    for days in range(-1, 9):
        home.tick(DECEMBER + days * DAY)
    assert told(home) == ["deferral_granted", "deferral_ended"]


# --- laws -------------------------------------------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["grant", "extend", "withdraw", "pass"]),
        st.integers(0, 45),  # days that pass before it
        st.integers(-30, 260),  # days from then to the end that is asked for
    ),
    min_size=3,
    max_size=9,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_no_sequence_of_commands_passes_the_limit_or_lets_the_release_in_before_its_end(migrated_file, acts):
    with TemporaryDirectory() as folder, _store(migrated_file, folder) as store:
        home = home_with(store, Path(folder), fleet=with_versions({"intrexx": "12.0.3"}))
        done = 0
        for act, days, length in acts:
            home.clock.set(home.now + days * DAY)
            try:
                _do(home, act, home.now + length * DAY)
            except (ChangeRefused, DeferralRefused, UnknownName):
                continue
            done += act != "pass"
            _require_laws(home)
        assert len(kinds(home)) == done
        with store.reading() as connection:
            head = heads(connection).get("birch-prod")
        assert first_fault("birch-prod", home.entries("birch-prod"), head) is None


def _store(migrated: Path, folder: str):
    path = Path(folder) / "maintsched.db"
    shutil.copy(migrated, path)
    return open_store(f"sqlite:///{path}")


def _do(home, act: str, until: datetime) -> None:
    if act == "grant":
        defer(home, until=until)
    elif act == "extend":
        longer(home, until)
    elif act == "withdraw":
        undo(home)
    else:
        home.tick()


def _require_laws(home) -> None:
    """Neither end nor count passes the limit of the first grant; until the end only fixes without the update go in."""
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
    span = Span(start=home.now.astimezone(BERLIN), end=home.now + 240 * DAY)
    plan = make_plan(home.house.contract, scene.fleet, scene.facts, span, now=home.now, only={"birch-prod"})
    taken = [
        (
            planned.window,
            [Version.parse(row.release) for row in planned.work if row.component == "intrexx" and row.release],
        )
        for planned in plan.windows
    ]
    for running in plan.deferrals:
        assert running.start == DECEMBER
        assert utc(running.end) <= utc(LIMIT)
        assert not running.too_long
        seen: list[Version] = []
        for window, versions in taken:
            if running.runs_at(window.start):
                assert set(versions) <= {FIX}
                assert utc(window.start) < utc(FIX_AVAILABLE) or FIX in [*seen, *versions]
            seen += versions
        if running.window is not None and utc(running.window.start) >= utc(home.now):
            (then,) = [versions for window, versions in taken if window.id == running.window.id]
            assert max(then) >= MAJOR


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(migrated_file, tmp_path, monkeypatch):
    with open_home(migrated_file, tmp_path, monkeypatch) as store:
        path = tmp_path / "fleet.toml"
        path.write_text(path.read_text().partition("[[deferral]]")[0])
        assert CliRunner().invoke(main, ["fleet", "sync", "--now", HOME_NOW]).exit_code == 0
        yield store


def run(*args, code=0, now=HOME_NOW):
    result = CliRunner().invoke(main, ["defer", *args, "--now", now], prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_answer_says_until_when_how_long_at_most_and_which_window_comes_next(place):
    dates = "until 2027-04-01 00:00 CEST, latest possible 2027-06-01 17:00 CEST"
    assert run("acme-prod", "12.1", "--until", "1.4.2027", "--by", "eva").stdout.splitlines() == [
        "deferral acme-prod/12.1.0 granted, number 1 of acme-prod",
        f"  {dates}, next window monthly/2027-04 on 2027-04-06",
        "  121 of 182 days (6 months from 2026-12-01 17:00 CET, clause 2.4.4)",
        "  until then only security releases of intrexx go in: none is planned",
        "  then intrexx 12.1.0 goes in",
        "  reminds 30 days before, 2027-03-02 00:00 CET",
        "  reminds 7 days before, 2027-03-25 00:00 CET",
        "  tells acme/eva with the next pass of the worker",
    ]


def test_the_plain_form_the_named_form_and_options_in_front_are_the_same_command(place):
    run("--until", "2027-04-01", "acme-prod", "12.1.0")
    run("grant", "acme-test", "12.1.0", "--until", "2027-04-01")
    assert [line.split()[1] for line in run("list").stdout.splitlines()[::3]] == [
        "acme-prod/12.1.0",
        "acme-test/12.1.0",
    ]
    assert "Usage: maintsched defer" in CliRunner().invoke(main, ["defer", "--help"], prog_name="maintsched").stdout


def test_extended_shortened_withdrawn_and_listed(place):
    assert run("list").stdout == "no deferral runs or is ahead\n"
    run("acme-prod", "acme-test", "12.1.0", "--until", "2027-04-01")
    assert (
        " extended, number 1 of acme-prod\n  until 2027-05-01"
        in run("extend", "acme-prod", "12.1.0", "--until", "2027-05-01").stdout
    )
    shorter = run("extend", "acme-prod", "12.1.0", "--until", "2027-02-01").stdout
    assert " shortened, number 1 of acme-prod\n  until 2027-02-01" in shorter
    assert "  it was to end 2027-05-01 00:00 CEST" in shorter
    gone = run("withdraw", "acme-prod", "12.1.0", "--reason", "adapted").stdout
    assert " withdrawn, number 1 of acme-prod\n  until 2026-11-23 09:00 CET" in gone
    assert "reminds" not in gone
    assert len(run("list").stdout.splitlines()) == 3
    states = [each["state"] for each in json.loads(run("list", "--all", "--json").stdout)]
    assert states == ["withdrawn", "ahead"]
    (shown,) = json.loads(run("acme-prod", "12.1.0", "--until", "2027-04-01", "--json").stdout)
    assert shown["next_window"]["id"] == "monthly/2027-04"
    assert {"until", "limit", "number", "days", "days_max", "reminders", "meanwhile", "then", "tells"} < set(shown)


def test_plan_and_explain_show_a_deferral_and_no_withdrawn_one_as_running(place):
    def ask(*args):
        return CliRunner().invoke(main, [*args, "--now", HOME_NOW]).stdout

    run("acme-prod", "12.1.0", "--until", "2027-04-01")
    assert "deferral acme-prod/12.1.0: until Thu 1 Apr 2027 00:00, goes in with monthly/2027-04" in ask("plan")
    run("withdraw", "acme-prod", "12.1.0")
    assert "deferral acme-prod" not in ask("plan")
    said = ask("explain", "deferral/acme-prod/12.1.0").splitlines()
    assert "  withdrawn" in said
    assert "the customer is reminded" not in said
    assert said[-1].startswith("  monthly/2026-12, ")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("acme-prod", "12.1.0"), 2, "Missing option '--until'"),
        (("acme-prod", "--until", "2027-04-01"), 2, "Missing argument"),
        (("acme-prod", "12.1.0", "--until", "soon"), 2, "expected a date"),
        (("acme-prod", "twelve", "--until", "2027-04-01"), 1, "version: expected numbers"),
        (("acme-prod", "12.1.0", "--until", "2027-06-02"), 1, "clause 2.4.4"),
        (("extend", "acme-prod", "12.1.0", "--until", "2027-06-02"), 1, "deferral: expected a known name"),
        (("withdraw", "acme-prd", "12.1.0"), 1, "did you mean acme-prod?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_with_the_way_out(place, args, code, said):
    refused = run(*args, code=code)
    assert said in refused.stderr
    assert code == 2 or refused.stderr.count("\n") == 1


def test_a_customer_whom_nobody_can_be_told_for_is_named(place):
    with place.writing() as connection:
        connection.exec_driver_sql("DELETE FROM contact WHERE customer = 'birch'")
    assert "nobody of birch can be told" in run("birch-prod", "12.1.0", "--until", "2027-04-01").stdout


def test_a_deferral_of_a_file_can_be_extended_and_withdrawn_like_any_other(place):
    with place.writing() as connection:
        write_deferrals(connection, [ms.Deferral(instance="acme-prod", release=MAJOR, until=UNTIL)])
    assert "until 2027-06-01 17:00" in run("extend", "acme-prod", "12.1.0", "--until", "2027-06-01T17:00+02:00").stdout
    assert "withdrawn" in run("withdraw", "acme-prod", "12.1.0").stdout

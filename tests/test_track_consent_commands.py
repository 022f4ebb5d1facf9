"""`maintsched track` and `maintsched consent`: recorded facts, each with its evidence (clauses 2.4.2 and 7.7)."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner

import maintsched as ms
from maintsched.cli import main
from maintsched.errors import ChangeRefused, UnknownName
from maintsched.fleet import Fleet
from maintsched.journal import EntryKind
from maintsched.plan import make_plan
from maintsched.spans import Span
from maintsched.store.declared import read_consents, read_track_switches, write_releases
from maintsched.version import Version
from maintsched.worker.consents import ConsentState, add_consent, end_consent, list_consents, without_consent
from maintsched.worker.house import read_scene
from maintsched.worker.tracks import list_tracks, switch_track
from tests.homes import NOW as HOME_NOW
from tests.homes import open_home
from tests.houses import BERLIN, BIRCH, FLEET, NOW, instance, world

DAY = timedelta(days=1)
JANUARY = datetime(2027, 1, 1, tzinfo=BERLIN)
STEADY = ms.Release(
    version=Version.parse("13.0.0"), change_class=ms.ChangeClass.MAJOR, available_at=NOW, tracks=("steady",)
)
OWN = Fleet(
    customers=(FLEET.customers[0], replace(BIRCH, instances=(instance("birch-prod"), instance("own", managed=False))))
)


@pytest.fixture
def home(store, tmp_path):
    home = world(store, tmp_path, fleet=OWN)
    with store.writing() as connection:
        write_releases(connection, [STEADY])
    return home


def windows(home, key, component="intrexx"):
    """The windows of half a year that concern an instance, each with what goes into the component."""
    with home.house.store.reading() as connection:
        scene = read_scene(connection, home.house.contract, home.now)
    span = Span(start=home.now.astimezone(BERLIN), end=home.now + 120 * DAY)
    plan = make_plan(home.house.contract, scene.fleet, scene.facts, span, now=home.now, only={key})
    return {
        planned.window.id: next((row.release for row in planned.work if row.component == component), None)
        for planned in plan.windows
        if key in planned.instances
    }


def switch(home, track, *, at=None, key="birch-prod", now=None):
    now = now or home.now
    return switch_track(home.house.store, home.house.contract, key, track, at=at or now, reason="asked for", now=now)


# --- tracks -----------------------------------------------------------------------------------------------------------


def test_a_switch_lets_the_releases_of_the_other_track_in_from_its_instant_on(home):
    assert set(windows(home, "birch-prod").values()) == {None}
    done = switch(home, "steady", at=JANUARY)
    assert (done.track, done.since) == ("silent", None)
    assert [(each.track, each.at) for each in done.ahead] == [("steady", JANUARY)]
    assert windows(home, "birch-prod") == {
        "monthly/2026-12": None,
        "monthly/2027-01": "13.0.0",
        "monthly/2027-02": None,
        "monthly/2027-03": None,
    }


def test_a_switch_is_evidence_with_what_was_before_and_why(home):
    switch(home, "steady", at=JANUARY)
    (entry,) = [each for each in home.entries("birch-prod") if each.kind is EntryKind.TRACK_SWITCHED]
    assert entry.subject == "track_switch/birch-prod/2026-12-31T23:00:00Z"
    assert entry.data == {
        "customer": "birch",
        "track": "steady",
        "previous": "silent",
        "from": "2026-12-31T23:00:00Z",
        "why": "asked for",
    }


def test_every_switch_is_kept_and_one_at_the_same_instant_takes_the_place_of_the_other(home):
    switch(home, "steady", at=JANUARY)
    switch(home, "silent", at=JANUARY)  # taken back
    switch(home, "steady", at=JANUARY + 30 * DAY)
    with home.house.store.reading() as connection:
        assert [(each.track, each.at) for each in read_track_switches(connection)] == [
            ("silent", JANUARY),
            ("steady", JANUARY + 30 * DAY),
        ]
    assert [each.kind for each in home.entries("birch-prod")].count(EntryKind.TRACK_SWITCHED) == 3
    (standing,) = [
        each
        for each in list_tracks(home.house.store, home.house.contract, now=JANUARY + DAY)
        if each.instance.key == "birch-prod"
    ]
    assert (standing.track, standing.since, len(standing.ahead)) == ("silent", JANUARY, 1)


def test_a_switch_to_the_track_it_is_on_and_to_one_nobody_knows_is_refused(home):
    with pytest.raises(ChangeRefused, match="expected another track than silent"):
        switch(home, "silent")
    switch(home, "steady")
    with pytest.raises(ChangeRefused, match="another track than steady"):
        switch(home, "steady", at=JANUARY)
    with pytest.raises(UnknownName, match="did you mean steady"):
        switch(home, "stead")
    with pytest.raises(UnknownName, match="did you mean birch-prod"):
        switch(home, "steady", key="birch-prd")


# --- consents ---------------------------------------------------------------------------------------------------------


def agree(home, *, since=None, until=None, key="own", now=None, by="ops"):
    now = now or home.now
    given = ms.Consent(instance=key, given_by=by, given_at=since or now, until=until)
    return add_consent(home.house.store, home.house.contract, given, now=now)


def end(home, *, at=None, key="own", now=None):
    now = now or home.now
    return end_consent(home.house.store, home.house.contract, key, at=at or now, reason="taken back", now=now)


def test_without_consent_no_window_takes_an_instance_on_the_customers_own_system(home):
    assert windows(home, "own") == {}
    assert without_consent(home.house.store, now=NOW) == ["own"]
    agree(home, until=JANUARY)
    assert without_consent(home.house.store, now=NOW) == []
    assert list(windows(home, "own")) == ["monthly/2026-12"]
    assert without_consent(home.house.store, now=JANUARY) == ["own"]


def test_a_consent_is_evidence_that_names_a_contact_by_key_and_nobody_else(home):
    agree(home, until=JANUARY)
    agree(home, by="Ann Birch", since=JANUARY, until=JANUARY + DAY)
    first, second = [each for each in home.entries("own") if each.kind is EntryKind.CONSENT_GIVEN]
    assert first.data == {
        "customer": "birch",
        "from": "2026-11-04T09:00:00Z",
        "until": "2026-12-31T23:00:00Z",
        "contact": "ops",
    }
    assert second.data["contact"] is None
    assert "Ann" not in repr(second.data)
    with home.house.store.reading() as connection:
        assert [each.given_by for each in read_consents(connection)] == ["ops", "Ann Birch"]


def test_a_consent_that_ends_closes_the_windows_after_it(home):
    agree(home)
    assert len(windows(home, "own")) == 4
    (left,) = end(home, at=JANUARY)
    assert (left.state, left.consent.until) == (ConsentState.HOLDS, JANUARY)
    assert list(windows(home, "own")) == ["monthly/2026-12"]
    assert [each.state for each in end(home, now=NOW + DAY)] == [ConsentState.OVER]
    assert windows(home, "own") == {}
    with pytest.raises(ChangeRefused, match="expected one to end"):
        end(home, now=NOW + 2 * DAY)
    assert [each.kind for each in home.entries("own")].count(EntryKind.CONSENT_ENDED) == 2
    assert list_consents(home.house.store, now=NOW + 2 * DAY) == []
    assert len(list_consents(home.house.store, now=NOW + 2 * DAY, everything=True)) == 1


def test_a_consent_ahead_that_is_ended_never_held(home):
    agree(home, since=JANUARY)
    assert list_consents(home.house.store, now=NOW)[0].state is ConsentState.AHEAD
    assert end(home) == []
    with home.house.store.reading() as connection:
        assert read_consents(connection) == ()


def test_consents_that_would_change_nothing_or_the_past_are_refused(home):
    with pytest.raises(ChangeRefused, match=r"own system \(clause 7.7\), got \"a managed one: no consent is needed\""):
        agree(home, key="birch-prod")
    agree(home, until=JANUARY)
    with pytest.raises(ChangeRefused, match="holds until 2027-01-01 00:00 CET"):
        agree(home, until=JANUARY - DAY)
    agree(home, until=JANUARY + DAY)  # a longer one
    with pytest.raises(ms.InvalidValue, match="until: expected an instant after"):
        agree(home, since=NOW - 2 * DAY, until=NOW - DAY)
    with pytest.raises(ms.InvalidValue, match="at: expected"):
        end(home, at=NOW - DAY)
    with pytest.raises(UnknownName, match="did you mean own"):
        agree(home, key="owm")


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def place(migrated_file, tmp_path, monkeypatch):
    with open_home(migrated_file, tmp_path, monkeypatch) as store:
        path = tmp_path / "fleet.toml"
        text = path.read_text().partition("[[deferral]]")[0].replace('host = "10.0.0.7"', 'host = "x", managed = false')
        path.write_text(text)
        assert CliRunner().invoke(main, ["fleet", "sync", "--now", HOME_NOW]).exit_code == 0
        yield store


def run(*args, code=0, now=HOME_NOW):
    result = CliRunner().invoke(main, [*args, "--now", now], prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_tracks_are_switched_and_listed(place):
    assert run("track", "switch", "acme-prod", "steady", "--at", "1.1.2027", "--reason", "asked for").stdout == (
        "acme-prod (acme): silent, steady from 2027-01-01 00:00 CET on\n  intrexx 12.1.0 goes in with monthly/2026-12\n"
    )
    assert run("track", "list", now="2027-02-01").stdout.splitlines() == [
        "acme-prod (acme): steady since 2027-01-01 00:00 CET",
        "acme-test (acme): silent",
        "birch-prod (birch): silent",
    ]
    (shown,) = json.loads(run("track", "list", "--switched", "--json").stdout)
    assert shown["ahead"] == [{"track": "steady", "at": "2027-01-01T00:00:00+01:00"}]
    assert "  track steady, " in run("fleet", "show", "acme-prod", now="2027-02-01").stdout


def test_consents_are_recorded_listed_and_ended(place):
    assert run("consent", "list").stdout == "birch-prod: no consent holds, nothing touches it\n"
    line = "birch-prod (birch): holds, from 2026-11-23 09:00 CET until 2027-03-01 00:00 CET, by ops\n"
    assert run("consent", "add", "birch-prod", "--by", "ops", "--until", "1.3.2027").stdout == line
    assert run("consent", "list").stdout == line
    ended = run("consent", "end", "birch-prod", "--reason", "taken back", now="2026-12-01T09:00+01:00").stdout
    assert ended.startswith("birch-prod (birch): over, from 2026-11-23 09:00 CET until 2026-12-01 09:00 CET")
    assert json.loads(run("consent", "list", "--json", now="2026-12-02").stdout) == []
    assert len(json.loads(run("consent", "list", "--all", "--json", now="2026-12-02").stdout)) == 1
    run("consent", "add", "birch-prod", "--by", "ops", "--from", "2027-01-01", now="2026-12-02")
    gone = run("consent", "end", "birch-prod", "--reason", "a mistake", now="2026-12-03").stdout
    assert gone.splitlines()[0].startswith("birch-prod (birch): over")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("track", "switch", "acme-prod", "steady"), 2, "Missing option '--reason'"),
        (("track", "switch", "acme-prod", "loud", "--reason", "x"), 1, "track: expected one of silent, steady"),
        (("track", "switch", "acme-prod", "silent", "--reason", "x"), 1, "expected another track than silent"),
        (("consent", "add", "birch-prod"), 2, "Missing option '--by'"),
        (("consent", "add", "acme-prod", "--by", "eva"), 1, "no consent is needed"),
        (("consent", "add", "birch-prod", "--by", "ops", "--until", "2026-01-01"), 1, "until: expected"),
        (("consent", "end", "birch-prod", "--reason", "x"), 1, "expected one to end"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_with_the_way_out(place, args, code, said):
    refused = run(*args, code=code)
    assert said in refused.stderr
    assert code == 2 or refused.stderr.count("\n") == 1

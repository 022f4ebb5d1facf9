"""`intrexx` on a host with a stand-in of Intrexx: what it finds, plans, does, and takes back when it goes wrong."""

import shutil
from datetime import UTC, datetime

import pytest

from maintsched.errors import ExecutionError, InvalidValue, Unreachable
from maintsched.executors.intrexx import Intrexx
from maintsched.executors.port import Answer, Item, Phase, Target, UpdatePlan
from maintsched.executors.script import Script
from maintsched.executors.transports.local import Local
from maintsched.intake.config import ExecutorConfig
from maintsched.runs import Run
from maintsched.testing.executors import ExecutorLaws, Stage
from maintsched.worker.crews import Crew
from maintsched.worker.runsteps import PartPlan, work_steps
from tests.intrexx_host import FROM, TO, intrexx_host
from tests.walks import order, walk_of

RELEASE = "12.1.0"


@pytest.fixture
def host(tmp_path):
    with intrexx_host(tmp_path / "host") as made:
        yield made


@pytest.fixture
def walk(host, tmp_path):
    return walk_of(tmp_path, Intrexx(host.settings), "intrexx")


def walk_with(host, tmp_path, **settings):
    return walk_of(tmp_path, Intrexx({**host.settings, **settings}), "intrexx")


def names(walk, *phases):
    return [step.name for step in walk.steps(*phases)]


# --- before anything is done ------------------------------------------------------------------------------------------


def test_a_host_that_is_well_has_no_problems_and_says_its_version(walk):
    found = walk.probe()
    assert found.problems == ()
    assert found.versions == {"intrexx": FROM}
    assert found.backup_at is None


def test_the_version_of_a_host_is_that_of_its_oldest_part(host, walk):
    host.cfg("acme").write_text('<cfg version="11.0.1.1.ab"/>')
    assert walk.probe().versions == {"intrexx": "11.0.1.1.ab"}


def test_a_portal_that_is_down_before_the_work_forbids_it(host, walk):
    (host.root / "units/upixp_acme").write_text("stop\n")
    (problem,) = walk.probe().problems
    assert "portal acme is not well before the work: mend it first" in problem
    assert "503" in problem


def test_a_full_disk_forbids_the_work(host, tmp_path):
    problems = walk_with(host, tmp_path, disk_free_mb=100_000_000).probe().problems
    assert [problem.split(":")[0] for problem in problems] == [
        f"disk of {host.home}",
        f"disk of {host.root / 'backups'}",
    ]
    assert all("MiB are free, expected 100000000; make room" in problem for problem in problems)


def test_a_folder_for_backups_that_is_not_there_forbids_the_work(host, walk):
    (host.root / "backups").rmdir()
    (problem,) = walk.probe().problems
    assert problem.startswith(f"disk of {host.root / 'backups'}: df")


def test_a_disk_of_which_nothing_can_be_read_forbids_the_work(host, tmp_path):
    walk = walk_with(host, tmp_path, environment={"PATH": f"{host.root}/odd:/usr/bin:/bin"})
    odd = host.root / "odd/df"
    odd.parent.mkdir()
    odd.write_text("#!/bin/sh\necho unknown\n")
    odd.chmod(0o755)
    assert "expected a number of MiB" in walk.probe().problems[0]


@pytest.mark.parametrize(
    ("says", "at"),
    [
        ("1764608400", datetime(2025, 12, 1, 17, tzinfo=UTC)),
        ("1764608400.99", datetime(2025, 12, 1, 17, tzinfo=UTC)),
        ("2026-12-01T18:00:00+01:00", datetime(2026, 12, 1, 17, tzinfo=UTC)),
    ],
)
def test_the_age_of_the_backup_is_what_the_host_says(host, tmp_path, says, at):
    assert walk_with(host, tmp_path, backup_age=["echo", says]).probe().backup_at == at


@pytest.mark.parametrize("says", ["yesterday", "2026-12-01T18:00:00", "-", "99999999999999"])
def test_an_age_that_names_no_instant_forbids_the_work(host, tmp_path, says):
    found = walk_with(host, tmp_path, backup_age=["echo", says]).probe()
    assert found.backup_at is None
    assert found.problems[0].startswith("age of the backup: expected seconds since 1970 or ISO 8601 with offset")


def test_an_age_that_cannot_be_asked_for_forbids_the_work(host, tmp_path):
    (problem,) = walk_with(host, tmp_path, backup_age=["false"]).probe().problems
    assert problem == "age of the backup: false ended with 1: it said nothing"


def test_a_host_without_portals_forbids_the_work(host, walk):
    shutil.rmtree(host.home / "org/acme")
    assert f"portals: none found below {host.home}; name them in portals" in walk.probe().problems


def test_a_version_that_cannot_be_read_forbids_the_work(host, tmp_path):
    walk = walk_with(host, tmp_path, portals=["acme"])
    (host.home / "version").write_text("unknown\n")
    host.cfg("acme").unlink()
    problems = walk.probe().problems
    assert problems[0].startswith("server: expected a version that matches")
    assert problems[1].startswith("portal acme: cat --")


def test_a_host_that_does_not_answer_is_no_finding(host, tmp_path):
    with pytest.raises(Unreachable):
        walk_with(host, tmp_path, look_seconds=1, server_version=["sleep", "30"]).probe()


# --- what will change -------------------------------------------------------------------------------------------------


def test_server_and_portals_go_to_the_release_that_is_ordered(walk):
    plan = walk.plan(order("intrexx", RELEASE))
    assert plan.items == (
        Item(name="server", before=FROM, after=RELEASE, origin="setup"),
        Item(name="portal/acme", before=FROM, after=RELEASE, origin="setup"),
    )
    assert plan.stops_service
    assert not plan.reboot
    assert plan.notes == ()


def test_of_several_releases_the_highest_is_installed(walk):
    plan = walk.plan(order("intrexx", RELEASE), order("intrexx", "12.0.9"))
    assert {item.after for item in plan.items} == {RELEASE}


def test_a_release_that_is_there_changes_nothing_whatever_its_build(walk):
    plan = walk.plan(order("intrexx", "12.0.3.20991231.ffffff"))
    assert plan.empty
    assert walk.steps(*Phase) == []


def test_only_the_portal_is_patched_where_the_server_is_at_the_release(host, walk):
    (host.home / "version").write_text(f"{TO}\n")
    assert [item.name for item in walk.plan(order("intrexx", RELEASE)).items] == ["portal/acme"]
    assert names(walk, Phase.APPLY) == ["update-files-1-acme", "patch-1-acme"]


@pytest.mark.parametrize("part", ["server", "portal/acme"])
def test_a_downgrade_is_refused(host, walk, part):
    newer = "12.2.0.1.ab"
    if part == "server":
        (host.home / "version").write_text(f"{newer}\n")
    else:
        host.cfg("acme").write_text(f'<cfg version="{newer}"/>')
    with pytest.raises(ExecutionError, match=rf"{part} is at {newer}, and {RELEASE} is older: .* take the release out"):
        walk.plan(order("intrexx", RELEASE))


def test_an_order_without_a_release_is_refused(walk):
    with pytest.raises(ExecutionError, match="expected a release, got an order for whatever there is"):
        walk.plan(order("intrexx"))


def test_nothing_ordered_changes_nothing(walk):
    assert walk.plan().empty


def test_a_track_that_is_not_known_is_refused():
    with pytest.raises(InvalidValue, match="executor intrexx: track: expected one of silent, steady"):
        Intrexx({"track": "stable"})


def test_a_release_of_another_track_is_refused(host, tmp_path):
    walk = walk_with(host, tmp_path, track="silent", tracks={"silent": ["12.0."], "steady": ["12."]})
    with pytest.raises(
        ExecutionError, match=r"release 12\.1\.0 is not of track silent, whose versions begin with 12\.0\."
    ):
        walk.plan(order("intrexx", RELEASE))
    assert not walk_with(host, tmp_path, track="steady").plan(order("intrexx", RELEASE)).empty


def test_a_setup_that_is_not_there_is_noticed_before_anything_is_stopped(host, walk):
    shutil.rmtree(host.root / "setup/12.1.0")
    with pytest.raises(
        ExecutionError, match=r"the setup of 12\.1\.0 is not in .*/setup/12\.1\.0: put it there, or set fetch"
    ):
        walk.plan(order("intrexx", RELEASE))


def test_a_version_that_cannot_be_read_stops_the_plan(host, tmp_path):
    walk = walk_with(host, tmp_path, portals=["acme"])
    host.cfg("acme").unlink()
    with pytest.raises(ExecutionError, match="portal acme"):
        walk.plan(order("intrexx", RELEASE))


def test_what_the_fleet_believes_and_the_host_has_is_compared(walk):
    (note,) = walk.plan(order("intrexx", RELEASE, installed="11.0.0")).notes
    assert note == f"the fleet says 11.0.0, the host has {FROM}"


def test_a_plan_without_copies_says_that_there_is_no_way_back(host, tmp_path):
    walk = walk_with(host, tmp_path, backup_files=[], backup_database=[])
    assert walk.plan(order("intrexx", RELEASE)).notes == (
        "there is no way back: files and databases are not both copied",
    )
    assert names(walk, Phase.BACKUP, Phase.ROLLBACK) == []


def test_copies_of_an_earlier_run_are_never_written_over(host, walk):
    folders = []
    for fault in ("patch_fails", None):
        if fault:
            host.break_(fault)
        folders.append(walk.plan(order("intrexx", RELEASE)).data["backup"])
        assert walk.plan(order("intrexx", RELEASE)).data["backup"] == folders[-1]  # until it is there
        walk.work()
    assert (host.root / "backups/acme-prod-1/acme.dump").read_text() == f"{FROM}\n"
    assert folders == [f"{host.root}/backups/acme-prod-{number}" for number in (1, 2)]


def test_backups_below_the_home_that_a_link_leads_to_stop_the_plan(host, tmp_path):
    link = host.root / "linked"
    link.symlink_to(host.home)
    (host.home / "backups").mkdir()
    walk = walk_with(host, tmp_path, home=str(link), backups=str(host.home / "backups"))
    with pytest.raises(ExecutionError, match=r"is inside of .*, which going back empties"):
        walk.plan(order("intrexx", RELEASE))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"database": ""}, "portal acme: its database is not known; name it in databases, or set database"),
        ({"ping_url": "ftp://x"}, "portal acme: ping_url: expected a link"),
        ({"portals": ["ac me"]}, 'portals: "ac me" is no name of a portal'),
    ],
)
def test_what_does_not_fit_is_said_by_the_check_and_stops_the_plan(host, tmp_path, settings, problem):
    walk = walk_with(host, tmp_path, **{"portals": ["acme"], **settings})
    assert [each for each in walk.executor.validate(walk.target) if each.startswith(problem)]
    with pytest.raises(ExecutionError):
        walk.plan(order("intrexx", RELEASE))


def test_a_portal_may_be_named_by_its_instance(host, tmp_path):
    walk = walk_with(host, tmp_path, portals=["{instance}"])
    walk.target = Target(instance="acme", host="localhost")
    assert walk.executor.validate(walk.target) == ()
    assert [item.name for item in walk.plan(order("intrexx", RELEASE)).items] == ["server", "portal/acme"]


# --- the work ---------------------------------------------------------------------------------------------------------


def test_an_update_copies_stops_installs_patches_starts_and_is_verified(host, walk):
    plan = walk.plan(order("intrexx", RELEASE))
    assert walk.work() is Answer.DONE
    verdict = walk.verify()
    assert verdict.problems == ()
    assert verdict.applied == plan.items
    assert verdict.versions == {"intrexx": TO}
    assert host.version("acme") == TO
    assert host.calls == [
        "dump acme",
        *("stop upixp_acme", "stop upixsupervisor", "stop upixsolr"),
        *("start upixsolr", "start upixsupervisor", "start upixp_acme"),
    ]
    assert (host.root / "setup-called-with").read_text() == (
        "--console --nostart --configFile=configuration.properties\n"
    )


def test_a_second_run_has_nothing_to_do(walk):
    walk.plan(order("intrexx", RELEASE))
    assert walk.work() is Answer.DONE
    assert walk.plan(order("intrexx", RELEASE)).empty
    assert walk.verify().problems == ()


def test_what_may_be_repeated_says_so_and_setup_and_patch_do_not(walk):
    walk.plan(order("intrexx", RELEASE))
    repeatable = {step.name for step in walk.steps(*Phase) if step.idempotent}
    others = {step.name for step in walk.steps(*Phase)} - repeatable
    assert others == {"install", "update-files-1-acme", "patch-1-acme"}


def test_an_operator_may_say_what_may_be_repeated_what_codes_mean_and_how_long_it_takes(host, tmp_path):
    settings = {
        "idempotent": ["patch"],
        "answers": {"install": {"3": "again"}},
        "expected_seconds": {"install": 1800},
    }
    walk = walk_with(host, tmp_path, **settings)
    walk.plan(order("intrexx", RELEASE))
    (install,) = [step for step in walk.steps(Phase.APPLY) if step.name == "install"]
    assert [step.name for step in walk.steps(*Phase) if step.idempotent] == ["patch-1-acme"]
    assert install.answer(3) is Answer.AGAIN
    assert install.expected_seconds == 1800


def test_a_log_that_grows_while_it_is_copied_does_not_fail_the_backup(walk):
    walk.plan(order("intrexx", RELEASE))
    (files,) = [step for step in walk.steps(Phase.BACKUP) if step.name == "backup-files"]
    assert files.answer(1) is Answer.DONE
    assert files.answer(2) is Answer.FAILED


def test_several_portals_are_patched_one_after_the_other_and_units_of_all_are_stopped_once(tmp_path):
    with intrexx_host(tmp_path / "host", portals=("acme", "birch")) as host:
        walk = walk_of(tmp_path, Intrexx(host.settings), "intrexx")
        walk.plan(order("intrexx", RELEASE))
        assert names(walk, Phase.STOP) == [
            *("stop-1-upixp_birch", "stop-2-upixp_acme", "stop-3-upixsupervisor", "stop-4-upixsolr"),
        ]
        assert names(walk, Phase.APPLY) == [
            *("install", "update-files-1-acme", "patch-1-acme", "update-files-2-birch", "patch-2-birch"),
        ]
        assert walk.work() is Answer.DONE
        assert walk.verify().problems == ()
        assert {host.version(portal) for portal in ("acme", "birch")} == {TO}


def test_a_portal_that_is_at_the_release_already_is_not_patched_again(tmp_path):
    with intrexx_host(tmp_path / "host", portals=("acme", "birch")) as host:
        (host.home / "version").write_text(f"{TO}\n")
        host.cfg("acme").write_text(f'<cfg version="{TO}"/>')
        walk = walk_of(tmp_path, Intrexx(host.settings), "intrexx")
        walk.plan(order("intrexx", RELEASE))
        assert names(walk, Phase.APPLY) == ["update-files-2-birch", "patch-2-birch"]
        assert [name for name in names(walk, Phase.BACKUP) if "database" in name] == [
            *("backup-database-1-acme", "backup-database-2-birch"),
        ]


def test_portals_that_answer_at_one_address_are_waited_for_once(tmp_path):
    with intrexx_host(tmp_path / "host", portals=("acme", "birch")) as host:
        settings = {**host.settings, "ping_url": f"{host.url}/acme/", "databases": {"birch": "ix_birch"}}
        walk = walk_of(tmp_path, Intrexx(settings), "intrexx")
        walk.plan(order("intrexx", RELEASE))
        assert [name for name in names(walk, Phase.START) if name.startswith("await")] == ["await-1-acme"]
        dumps = [step.command.argv[1] for step in walk.steps(Phase.BACKUP) if "database" in step.name]
        assert dumps == ["acme", "ix_birch"]


def test_the_online_update_downloads_before_anything_is_stopped(host, tmp_path):
    walk = walk_with(host, tmp_path, method="online")
    assert {item.origin for item in walk.plan(order("intrexx", RELEASE)).items} == {"online"}
    assert names(walk, Phase.BACKUP)[:2] == ["backup-folder", "fetch"]
    assert walk.work() is Answer.DONE
    assert walk.verify().problems == ()


def test_a_download_that_fails_leaves_everything_as_it_was(host, tmp_path):
    walk = walk_with(host, tmp_path, method="online")
    walk.plan(order("intrexx", RELEASE))
    host.break_("download_fails")
    assert walk.work() is Answer.FAILED
    assert host.calls == []
    assert host.well("acme")


def test_copies_may_be_taken_when_everything_has_stopped(host, tmp_path):
    walk = walk_with(host, tmp_path, backup_stopped=True)
    walk.plan(order("intrexx", RELEASE))
    assert names(walk, Phase.BACKUP) == ["backup-folder"]
    assert walk.work() is Answer.DONE
    assert host.calls.index("dump acme") > host.calls.index("stop upixsolr")


def test_the_environment_of_commands_is_as_it_is_set(host, tmp_path):
    walk = walk_with(host, tmp_path, environment={"PGUSER": "ix_{instance}"})
    walk.plan(order("intrexx", RELEASE))
    assert {step.command.environment["PGUSER"] for step in walk.steps(*Phase)} == {"ix_acme-prod"}


def test_commands_may_be_those_of_the_superuser_with_their_environment_and_their_folder(host, tmp_path):
    sudo = host.root / "bin/sudo"
    sudo.write_text(
        f'#!/bin/sh\nexec 3>>{host.root}/sudone; printf "%s " "$@" >&3; echo >&3; exec 3>&-\n'
        'cd / && exec env --ignore-environment "$@"\n'
    )
    sudo.chmod(0o755)
    variables = {"PATH": "/usr/bin:/bin", "PGUSER": "ix"}
    walk = walk_with(host, tmp_path, sudo=[str(sudo)], environment=variables)
    assert walk.probe().problems == ()
    walk.plan(order("intrexx", RELEASE))
    assert walk.work() is Answer.DONE
    assert walk.verify().problems == ()
    done = (host.root / "sudone").read_text().splitlines()
    assert len(done) > 20
    assert all("PATH=/usr/bin:/bin PGUSER=ix" in line for line in done)
    assert [line for line in done if line.startswith(f"env -C {host.root}/setup/12.1.0 PATH=")]


# --- when it goes wrong -----------------------------------------------------------------------------------------------


def test_a_setup_that_ends_with_0_and_did_nothing_is_noticed(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("setup_does_nothing")
    assert walk.work() is Answer.DONE
    verdict = walk.verify()
    assert f"server: expected version {RELEASE}, found {FROM}" in verdict.problems
    assert verdict.applied == ()
    assert walk.undo() is Answer.DONE
    assert host.version("acme") == FROM
    assert host.well("acme")


def test_a_patch_that_ends_with_0_and_did_nothing_is_noticed(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("patch_does_nothing")
    assert walk.work() is Answer.DONE
    verdict = walk.verify()
    assert f"portal/acme: expected version {RELEASE}, found {FROM}" in verdict.problems
    assert [item.name for item in verdict.applied] == ["server"]


def test_a_setup_that_fails_is_taken_back(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("setup_fails")
    assert walk.work() is Answer.FAILED
    assert list(walk.answers)[-1] == "install"
    assert walk.undo() is Answer.DONE
    assert walk.probe().problems == ()


def test_a_patch_that_fails_half_way_is_taken_back_files_database_and_version_together(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("patch_fails")
    assert walk.work() is Answer.FAILED
    assert "no such table" in walk.said["patch-1-acme"]
    assert host.version("acme") == f"server {TO}, files {FROM}, database {TO}"
    assert walk.undo() is Answer.DONE
    assert host.version("acme") == FROM
    assert not (host.home / "lib-12.1.jar").exists()
    assert not (host.home / "org/acme/external").exists()
    assert walk.probe().problems == ()


def test_nothing_runs_while_files_and_databases_are_put_back(walk):
    walk.plan(order("intrexx", RELEASE))
    assert names(walk, Phase.ROLLBACK) == [
        *("undo-stop-1-upixp_acme", "undo-stop-2-upixsupervisor", "undo-stop-3-upixsolr"),
        *("restore-files", "restore-database-1-acme", "undo-check-1-acme"),
    ]


def test_a_portal_that_does_not_come_up_is_noticed_and_taken_back(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("portal_stays_down")
    assert walk.work() is Answer.DONE  # whether it came up is for the last look to say
    (problem,) = walk.verify().problems
    assert problem.startswith("portal acme is not well after the work: curl")
    assert walk.undo() is Answer.DONE
    assert host.well("acme")


def test_errors_that_a_log_has_got_since_are_noticed_and_older_ones_are_not(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("log_has_errors")
    assert walk.work() is Answer.DONE
    (problem,) = walk.verify().problems
    assert problem.startswith(f"log {host.home}/org/acme/log/workflow.log: 1 errors; harmless ones go into log_ignored")
    assert "ERROR workflow 17 is broken" in problem


@pytest.mark.parametrize("settings", [{"log_ignored": "workflow 1[0-9]"}, {"log_errors_max": 1}, {"logs": []}])
def test_errors_that_an_operator_calls_harmless_are_none(host, tmp_path, settings):
    walk = walk_with(host, tmp_path, **settings)
    walk.plan(order("intrexx", RELEASE))
    host.break_("log_has_errors")
    assert walk.work() is Answer.DONE
    assert walk.verify().problems == ()


def test_a_log_that_was_begun_anew_is_read_from_its_beginning(host, walk):
    walk.plan(order("intrexx", RELEASE))
    assert walk.work() is Answer.DONE
    (host.home / "org/acme/log/portal.log").write_text("FATAL\n")
    (problem,) = walk.verify().problems
    assert problem.endswith("log_ignored: FATAL")


def test_a_backup_that_fails_stops_everything_before_anything_is_stopped(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("backup_fails")
    assert walk.work() is Answer.FAILED
    assert list(walk.answers)[-1] == "backup-database-1-acme"
    assert host.calls == []


def test_a_backup_that_is_cut_off_is_noticed_before_anything_is_stopped(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("backup_is_cut_off")
    assert walk.work() is Answer.FAILED
    assert list(walk.answers)[-1] == "backup-check"
    assert host.calls == []


def test_a_rollback_that_fails_says_so_and_starts_nothing(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("patch_fails")
    host.break_("restore_fails")
    assert walk.work() is Answer.FAILED
    assert walk.undo() is Answer.FAILED
    assert list(walk.answers)[-1] == "restore-database-1-acme"
    assert not host.well("acme")


def test_a_rollback_whose_files_are_of_another_version_says_so(host, walk):
    walk.plan(order("intrexx", RELEASE))
    assert walk.work() is Answer.DONE
    step = walk.steps(Phase.ROLLBACK)[-1]
    assert step.name == "undo-check-1-acme"
    assert walk.run(step) is Answer.FAILED  # the files are still those of the release


def test_a_unit_that_does_not_stop_leaves_the_update_undone_and_the_portal_up(host, walk):
    walk.plan(order("intrexx", RELEASE))
    host.break_("unit_does_not_stop")
    assert walk.work() is Answer.FAILED
    assert "install" not in walk.answers
    assert host.well("acme")


def test_a_part_that_changed_without_being_planned_is_noticed(host, walk):
    (host.home / "version").write_text(f"{TO}\n")
    walk.plan(order("intrexx", RELEASE))
    assert walk.work() is Answer.DONE
    (host.home / "version").write_text("12.2.0\n")
    assert "server: expected version 12.1.0.20261101.ab12cd, found 12.2.0" in walk.verify().problems


def test_a_part_that_is_gone_afterwards_is_noticed(host, tmp_path):
    walk = walk_with(host, tmp_path, portals=["acme"])
    walk.plan(order("intrexx", RELEASE))
    assert walk.work() is Answer.DONE
    host.cfg("acme").unlink()
    assert f"portal/acme: expected version {RELEASE}, found none" in walk.verify().problems


# --- what every executor promises -------------------------------------------------------------------------------------


class TestIntrexx(ExecutorLaws):
    @pytest.fixture
    def stage(self, host, tmp_path):
        return Stage(
            kind=Intrexx,
            settings=host.settings,
            open=lambda: Local({"jobs": str(tmp_path / "jobs")}, tmp_path).open("localhost"),
            target=Target(instance="acme-prod", host="localhost", components=("intrexx",)),
            orders=(order("intrexx", RELEASE), order("intrexx", "12.0.9")),
            state=lambda: {str(path): path.read_bytes() for path in host.root.rglob("*") if path.is_file()},
            spoil=lambda: (host.root / "units/upixsolr").write_text("stop\n"),
            bad_settings=({"home": "opt"}, {"track": "none"}),
        )


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hone": "/opt"}, "executor intrexx: setting: expected one of .* .did you mean home"),
        ({"home": "opt/intrexx"}, "home: expected an absolute path"),
        ({"home": "/opt/../etc"}, "home: expected an absolute path"),
        ({"backups": "/opt/intrexx/backups"}, "backups: expected a folder outside of /opt/intrexx"),
        ({"patch": ["{hone}/patch"]}, r"patch: expected one of \{instance\}.*got \"\{hone\}\""),
        ({"patch": ["a\nb"]}, "patch: expected up to 500 printable characters"),
        ({"patch": []}, 'patch: expected a command, got "none"'),
        ({"patch": "patch.sh"}, "patch: expected a tuple or list"),
        ({"server_pattern": "("}, "server_pattern: expected a regular expression"),
        ({"portal_pattern": "version"}, "portal_pattern: expected a regular expression with 1 group"),
        ({"log_errors": "(ERROR)"}, "log_errors: expected a regular expression with 0 groups"),
        ({"method": "magic"}, "method: expected one of setup, online"),
        ({"backup_files": []}, "backup_files: expected commands for both, or for neither"),
        ({"answers": {"instal": {"3": "again"}}}, "answers: expected one of .* .did you mean install"),
        ({"answers": {"install": {"300": "again"}}}, "answers: expected an exit code from 0 to 255"),
        ({"answers": {"install": {"3": "maybe"}}}, "expected one of done, reboot, postpone"),
        ({"idempotent": ["everything"]}, "idempotent: expected one of"),
        ({"portals": ["a", "a"]}, "portals: expected each portal once"),
        ({"databases": {"a b": "c"}}, "name: expected 1 to 63 ASCII"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(settings, message):
    with pytest.raises(InvalidValue, match=message):
        Intrexx(settings)


def test_a_number_out_of_bounds_is_refused():
    with pytest.raises(InvalidValue, match="ping_tries: expected a number from 1 to 1000"):
        Intrexx({"ping_tries": 0})


def test_the_defaults_are_those_of_the_public_descriptions(tmp_path):
    settings = Intrexx({}).settings
    assert settings.home == "/opt/intrexx"
    assert settings.units == ("upixsolr", "upixsupervisor", "upixp_{portal}")
    assert settings.ping_url == "http://localhost:1337/service/ping/"
    assert settings.installing[1:] == ("--console", "--nostart", "--configFile=configuration.properties")
    assert Intrexx({"install": ["/x"], "fetch": ["/y"]}).settings.installing == ("/x",)


def test_a_plan_comes_back_from_json_and_gives_the_same_steps(walk):
    plan = walk.plan(order("intrexx", RELEASE))
    steps = walk.steps(*Phase)
    walk.planned = UpdatePlan(items=plan.items, data=dict(plan.data), notes=plan.notes, stops_service=True)
    assert walk.steps(*Phase) == steps


# --- in the hands of the worker ---------------------------------------------------------------------------------------


def test_the_worker_starts_in_the_order_of_each_executor_and_the_last_one_first(host, walk):
    crew = Crew(
        name="portal",
        config=ExecutorConfig(transport="local", reboot=()),
        transport=Local({}, host.root),
        parts={"script": Script({"apply": ["true"], "stop": ["true"], "start": ["true"]}), "intrexx": walk.executor},
        components={"linux": "script", "intrexx": "intrexx"},
    )
    plans = [
        PartPlan(part="script", plan=UpdatePlan(items=(Item(name="a", before="1", after="2"),))),
        PartPlan(part="intrexx", plan=walk.plan(order("intrexx", RELEASE))),
    ]
    at = datetime(2026, 12, 1, 17, tzinfo=UTC)
    run = Run(
        window="monthly/2026-12",
        instance="acme-prod",
        customer="acme",
        host="localhost",
        executor="portal",
        start=at,
        end=at.replace(hour=21),
        items=(),
        wave=1,
    )
    steps = [each.step for each in work_steps(run, crew, walk.target, plans, after=2, backup=True)]
    assert [step.name for step in steps if step.phase == Phase.START] == [
        *("start-1-upixsolr", "start-2-upixsupervisor", "start-3-upixp_acme", "await-1-acme"),
        "start",
    ]
    assert [step.phase for step in steps] == sorted(
        [step.phase for step in steps], key=["backup", "stop", "apply", "start", "verify"].index
    )

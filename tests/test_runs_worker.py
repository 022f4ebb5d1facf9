"""Runs as the worker does them: gates, steps, ends and trouble; on hosts in memory."""

from dataclasses import replace
from datetime import timedelta

from maintsched.facts import ChangeClass, Freeze
from maintsched.journal import EntryKind
from maintsched.runs import Gate, Pause, RunState, RunTerms, StepState
from maintsched.store.declared import write_freezes
from maintsched.store.orders import end_pause, write_pause
from maintsched.store.runs import host_locks
from maintsched.worker.tick import ExitCode
from tests.houses import DECEMBER
from tests.workshop import OPEN, one_customer, portal, workshop

MINUTE = timedelta(minutes=1)


def works(shop, *, instance="acme-prod"):
    """The steps that were not left out, in order."""
    return [each.step.name for each in shop.steps(instance) if each.step.state is not StepState.LEFT_OUT]


def jobs(shop, instance="acme-prod"):
    """What was started on the host of an instance."""
    return [each.command.argv[0] for each in shop.host(instance).jobs.values()]


# --- a run that goes well -------------------------------------------------------------------------------------------


def test_an_update_runs_in_a_window_whose_notice_is_proved(store, tmp_path):
    shop = workshop(store, tmp_path)
    done = shop.open()
    assert (shop.state(), shop.run().why) == (RunState.DONE, "")
    assert done.ended == {"done": 1}
    assert works(shop) == ["preflight", "plan", "apply", "verify"]
    assert jobs(shop) == ["/srv/apply"]


def test_a_second_pass_finds_nothing_to_do(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.open()
    calls = len(shop.host().calls)
    done = shop.open(OPEN + MINUTE)
    assert (done.ended, len(shop.host().calls)) == ({}, calls)


def test_nothing_runs_before_the_window_opens(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.open(DECEMBER - timedelta(seconds=1))
    assert (shop.runs(), shop.host().calls) == ([], [])


def test_without_a_table_of_executors_nothing_is_run_and_no_run_is_entered(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.world.house.config = replace(shop.world.house.config, executor={})
    shop.open()
    assert (shop.runs(), shop.host().calls) == ([], [])


def test_a_run_leaves_evidence_in_the_chain_of_its_instance(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.open()
    kinds = [each.kind for each in shop.world.entries("acme-prod") if each.subject.startswith("run/")]
    assert kinds == [EntryKind.RUN_STARTED, EntryKind.RUN_STEP, EntryKind.RUN_ENDED]


def test_what_there_was_nothing_of_ends_without_changes(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/plan", stdout="")
    shop.open()
    assert (shop.state(), jobs(shop)) == (RunState.NO_CHANGES, [])


def test_the_host_is_free_when_a_run_is_over(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.open()
    with store.reading() as connection:
        assert host_locks(connection) == {}


# --- jobs that take longer than a pass --------------------------------------------------------------------------------


def test_a_job_that_goes_on_is_left_to_the_next_pass_and_not_started_again(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    assert shop.open().waiting == 1
    assert shop.state() is RunState.RUNNING
    shop.open(OPEN + MINUTE)
    (job,) = shop.host().jobs
    shop.host().finish(job)
    shop.host().answer("/srv/plan", stdout="")
    shop.open(OPEN + 2 * MINUTE)
    assert (shop.state(), jobs(shop)) == (RunState.DONE, ["/srv/apply"])


def test_a_run_under_way_makes_the_pass_say_that_something_is_left(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    report = shop.world.tick(OPEN)
    assert report.exit_code is ExitCode.AGAIN
    assert "1 under way" in " ".join(report.lines())


def test_a_job_that_goes_on_past_the_end_is_not_stopped_but_told_of(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.world.forget()
    shop.open(DECEMBER + timedelta(hours=4, minutes=1))
    assert shop.state() is RunState.RUNNING
    told = " ".join(shop.world.told())
    assert "notice/overrun/" in told
    assert "notice/operator_alert/" in told


def test_work_past_the_end_counts_against_the_availability(store, tmp_path):
    from maintsched.worker.house import read_scene
    from maintsched.worker.reports import measure

    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    (job,) = shop.host().jobs
    shop.host().finish(job)
    shop.host().answer("/srv/plan", stdout="")
    shop.open(DECEMBER + timedelta(hours=4, minutes=30))
    now = shop.world.now
    with store.reading() as connection:
        scene = read_scene(connection, shop.world.house.contract, now)
    found = measure(shop.world.house.contract, scene, scene.fleet.instance("acme-prod"), "2026-12", now)
    assert found.counted_seconds == 30 * 60


# --- gates ------------------------------------------------------------------------------------------------------------


def test_without_proof_nothing_runs_and_the_end_of_the_window_says_so(store, tmp_path):
    shop = workshop(store, tmp_path, told=False)
    shop.open()
    assert (shop.state(), shop.run().gate, shop.host().calls) == (RunState.PLANNED, Gate.NOTICE, [])
    report = shop.world.tick(DECEMBER + timedelta(hours=4))
    assert (shop.state(), shop.run().gate) == (RunState.SKIPPED, Gate.NOTICE)
    assert report.exit_code is ExitCode.OPERATOR
    assert any(key.startswith("notice/operator_alert/") for key in shop.world.told())


def test_a_window_that_was_missed_altogether_leaves_a_skipped_run(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.open(DECEMBER + timedelta(hours=9))
    assert shop.state() is RunState.SKIPPED
    assert shop.host().calls == []


def test_a_freeze_that_begins_in_the_midst_stops_the_next_step_and_brings_the_service_back(store, tmp_path):
    shop = workshop(store, tmp_path, script={"stop": ["/srv/stop"], "start": ["/srv/start"]})
    shop.host().finish_after(looks=None)
    shop.open()
    freeze = Freeze(key="audit", start=OPEN, end=OPEN + timedelta(days=1), reason="audit", classes=tuple(ChangeClass))
    with store.writing() as connection:
        write_freezes(connection, [freeze])
    shop.host().finish_after(looks=0)
    (job,) = shop.host().jobs
    shop.host().finish(job)
    shop.open(OPEN + MINUTE)
    assert (shop.state(), shop.run().gate) == (RunState.SKIPPED, Gate.FREEZE)
    assert jobs(shop) == ["/srv/stop", "/srv/start"]


def test_a_pause_holds_a_run_and_its_end_lets_it_begin(store, tmp_path):
    shop = workshop(store, tmp_path)
    with store.writing() as connection:
        write_pause(connection, Pause(key="p", since=OPEN, reason="wait"))
    shop.open()
    assert (shop.state(), shop.run().gate, jobs(shop)) == (RunState.PLANNED, Gate.PAUSE, [])
    with store.writing() as connection:
        end_pause(connection, "p", OPEN)
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.DONE


def test_what_is_left_of_a_window_has_to_be_enough(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.open(DECEMBER + timedelta(hours=3, minutes=15))
    assert (shop.state(), shop.run().gate) == (RunState.PLANNED, Gate.CUT_OFF)
    assert shop.host().calls == []


def test_one_host_is_touched_by_one_run_at_a_time(store, tmp_path):
    shared = [portal(key, host="shared.host.example") for key in ("one-prod", "two-prod")]
    shop = workshop(store, tmp_path, one_customer(*shared))
    host = shop.hosts.host("shared.host.example")
    host.finish_after(looks=None)
    shop.open()
    assert len(host.jobs) == 1
    shop.open(OPEN + MINUTE)
    assert len(host.jobs) == 1


def test_a_host_is_not_touched_while_a_neighbour_was_not_told(store, tmp_path):
    one = one_customer(portal("one-prod", host="shared.host.example"), key="one")
    two = replace(one_customer(portal("two-prod", host="shared.host.example"), key="two"), contacts=())
    shop = workshop(store, tmp_path, one, two)
    shop.open()
    assert {each.gate for each in shop.runs()} == {Gate.NOTICE}
    assert shop.hosts.host("shared.host.example").calls == []


def test_waves_go_one_after_the_other_in_one_window(store, tmp_path):
    test, prod = portal("acme-test", environment="test"), portal("acme-prod")
    shop = workshop(store, tmp_path, one_customer(test, prod))
    shop.host("acme-test").finish_after(looks=None)
    shop.open()
    assert (shop.state("acme-test"), shop.run("acme-prod").gate) == (RunState.RUNNING, Gate.WAVE)
    shop.host("acme-test").finish(*shop.host("acme-test").jobs)
    shop.host("acme-test").answer("/srv/plan", stdout="")
    shop.open(OPEN + MINUTE)
    assert {each.state for each in shop.runs()} == {RunState.DONE}


def test_too_many_failures_stop_everything_that_has_not_begun(store, tmp_path):
    canary = portal("acme-canary", wave=1)
    others = [portal(f"acme-{number}", wave=2) for number in range(3)]
    shop = workshop(
        store, tmp_path, one_customer(canary, *others), runs=RunTerms(patience_seconds=0, failures_per_wave=1)
    )
    shop.host("acme-canary").answer("/srv/apply", exit_code=1)
    shop.open()
    assert shop.state("acme-canary") is RunState.FAILED_DIRTY
    assert {shop.run(each.key).gate for each in others} == {Gate.BRAKE}


def test_no_more_runs_go_at_once_than_the_terms_allow(store, tmp_path):
    several = [portal(f"acme-{number}") for number in range(5)]
    shop = workshop(store, tmp_path, one_customer(*several), runs=RunTerms(patience_seconds=0, per_customer=2))
    for each in several:
        shop.host(each.key).finish_after(looks=None)
    shop.open()
    assert sum(each.state is RunState.RUNNING for each in shop.runs()) == 2


# --- pre-flight -------------------------------------------------------------------------------------------------------


def test_work_without_a_young_backup_is_blocked(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/backup-age", stdout=(OPEN - timedelta(hours=25)).isoformat())
    shop.open()
    assert shop.state() is RunState.BLOCKED
    assert "4.1" in shop.run().why
    assert jobs(shop) == []


def test_a_backup_is_taken_first_where_it_can_be(store, tmp_path):
    shop = workshop(store, tmp_path, backup=("/srv/backup-now",))
    shop.host().answer("/srv/backup-age", stdout="nonsense")
    shop.open()
    assert (shop.state(), jobs(shop)) == (RunState.DONE, ["/srv/backup-now", "/srv/apply"])


def test_a_backup_that_fails_keeps_everything_as_it_was(store, tmp_path):
    shop = workshop(store, tmp_path, backup=("/srv/backup-now",))
    shop.host().answer("/srv/backup-age", stdout="")
    shop.host().answer("/srv/backup-now", exit_code=1)
    shop.open()
    assert (shop.state(), jobs(shop)) == (RunState.FAILED_CLEAN, ["/srv/backup-now"])


def test_what_forbids_to_begin_blocks_the_run_and_is_told(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/probe", exit_code=1, stdout="the portal is down")
    shop.open()
    assert shop.state() is RunState.BLOCKED
    assert "the portal is down" in shop.run().why

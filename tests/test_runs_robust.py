"""Runs among things that nobody foresaw: they stand still where they are seen, and keep nobody else from going on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from maintsched.errors import ChangeRefused
from maintsched.executors.port import Command, Output
from maintsched.executors.transports.fake import Fault
from maintsched.facts import ChangeClass, Facts, Freeze
from maintsched.fleet import Fleet
from maintsched.intake.hookconfig import HookConfig, HookKind, HookMoment
from maintsched.runs import RunState, RunTerms
from maintsched.store.declared import write_freezes
from maintsched.worker.house import read_scene
from maintsched.worker.operating import StepFate, retry
from maintsched.worker.reports import measure
from maintsched.worker.sync import sync_fleet
from tests.houses import DECEMBER
from tests.workshop import OPEN, one_customer, portal, updates, workshop

MINUTE = timedelta(minutes=1)
ALL = tuple(ChangeClass)


def jobs(shop, instance="acme-prod"):
    return [each.command.argv[0] for each in shop.host(instance).jobs.values()]


def alerts(shop):
    return [each.notice.facts["alert"]["title"] for each in shop.world.notices() if each.notice.facts.get("alert")]


def scene_of(shop):
    house = shop.world.house
    with house.store.reading() as connection:
        return read_scene(connection, house.contract, shop.world.now)


def freeze(store, start):
    with store.writing() as connection:
        end = start + timedelta(days=1)
        write_freezes(connection, [Freeze(key="f", start=start, end=end, reason="audit", classes=ALL)])


# --- one run's trouble is its own ---------------------------------------------------------------------------------


def test_an_answer_that_nobody_foresaw_stops_its_run_and_no_other(store, tmp_path):
    shop = workshop(store, tmp_path, one_customer(portal("acme-one"), portal("acme-two")))

    def broken(_: Command) -> Output:
        raise RuntimeError("a mistake of the executor")

    shop.host("acme-one").program("/srv/plan", does=broken)
    shop.open()
    assert (shop.state("acme-one"), shop.state("acme-two")) == (RunState.BLOCKED, RunState.DONE)
    assert "a mistake of the executor" in shop.run("acme-one").why


def test_a_plan_that_nobody_can_read_is_refused(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/plan", stdout="[" * 100_000)
    shop.open()
    assert shop.state() is RunState.BLOCKED


def test_hosts_that_are_silent_take_nobodys_place(store, tmp_path):
    several = [portal(f"acme-{number}") for number in range(5)]
    shop = workshop(
        store, tmp_path, one_customer(*several), runs=RunTerms(patience_seconds=0, at_once=2, per_customer=2)
    )
    for number in (0, 1):
        shop.host(f"acme-{number}").reachable = False
    shop.open()
    assert [str(shop.state(each.key)) for each in several] == ["planned"] * 2 + ["done"] * 3


def test_a_host_that_is_silent_from_the_beginning_is_told_of_while_the_window_is_open(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().reachable = False
    for minutes in (0, 10, 20, 31):
        shop.open(OPEN + minutes * MINUTE)
    assert "Host acme-prod.host.example does not answer in the midst of a run" in alerts(shop)


def test_a_hook_that_fails_for_one_run_holds_no_other(store, tmp_path):
    several = [portal(f"acme-{number}") for number in range(4)]
    shop = workshop(store, tmp_path, one_customer(*several), runs=RunTerms(patience_seconds=0, at_once=2))
    command = ("/bin/sh", "-c", "! grep -q -e acme-0 -e acme-1")
    hook = HookConfig(name="h", kind=HookKind.COMMAND, command=command, moments=(HookMoment.BEFORE_RUN,))
    shop.world.house.config = replace(shop.world.house.config, hooks=(hook,))
    shop.open()
    assert [str(shop.state(each.key)) for each in several] == ["planned"] * 2 + ["done"] * 2


def test_an_instance_that_is_worked_on_is_not_removed(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    house = shop.world.house
    others = Fleet(customers=(one_customer(portal("else-prod"), key="else"),))
    with pytest.raises(ChangeRefused, match="run run/monthly:2026-12/acme-prod, which is under way"):
        sync_fleet(house.store, house.contract, others, Facts(), prune=True, now=OPEN + MINUTE)


def test_an_instance_that_is_gone_all_the_same_leaves_a_run_that_stands_still(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.world.sync(Fleet(customers=(one_customer(portal("else-prod"), key="else"),)))
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.INTERRUPTED


def test_a_run_whose_table_was_removed_stands_still_and_is_told_of(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.world.house.config = replace(shop.world.house.config, executor={})
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.INTERRUPTED
    assert any("interrupted" in title for title in alerts(shop))


def test_a_clock_that_is_set_back_in_the_midst_makes_no_run_that_ends_before_it_began(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().finish(*shop.host().jobs)
    shop.host().answer("/srv/plan", stdout="")
    shop.open(OPEN - 2 * MINUTE)
    run = shop.run()
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.ended_at >= run.started_at
    scene = scene_of(shop)
    measure(shop.world.house.contract, scene, scene.fleet.instance("acme-prod"), "2026-12", shop.world.now)


# --- nothing is started twice --------------------------------------------------------------------------------------


def test_a_retry_of_a_step_whose_job_may_still_run_asks_the_host_first(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().pinned = False
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.INTERRUPTED
    shop.host().pinned = True
    retry(shop.world.house, shop.run().key, reason="the key was renewed", now=OPEN + 2 * MINUTE)
    shop.open(OPEN + 2 * MINUTE)
    assert (shop.state(), jobs(shop)) == (RunState.RUNNING, ["/srv/apply"])


def test_a_host_that_forgot_a_job_which_was_seen_to_run_is_not_given_it_again(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().jobs.clear()
    shop.open(OPEN + MINUTE)
    assert (shop.state(), jobs(shop)) == (RunState.INTERRUPTED, [])


def test_a_step_whose_start_never_arrives_is_not_tried_for_ever(store, tmp_path):
    shop = workshop(store, tmp_path)
    for minutes in range(8):
        shop.host().fail(Fault.UNREACHABLE, call="start")
        shop.open(OPEN + minutes * MINUTE)
    assert shop.state() is RunState.INTERRUPTED
    assert jobs(shop) == []


def test_two_windows_do_not_meet_in_one_instance_that_moved_to_another_host(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().vanish(*shop.host().jobs)
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.INTERRUPTED
    shop.world.sync(Fleet(customers=(one_customer(portal("acme-prod", host="new.host.example")),)))
    updates(shop.hosts.host("new.host.example"), "openssl")
    january = DECEMBER + timedelta(days=35)
    shop.world.tick(january - timedelta(days=12))
    shop.open(january + MINUTE)
    assert (shop.run(window="monthly/2027-01").gate, shop.hosts.host("new.host.example").jobs) == ("host", {})


# --- ends that say what happened ------------------------------------------------------------------------------------


def test_an_undoing_that_an_operator_gives_up_has_failed(store, tmp_path):
    shop = workshop(store, tmp_path, script={"rollback": ["/srv/rollback"]})
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().finish(*shop.host().jobs, exit_code=1)
    shop.open(OPEN + MINUTE)
    undoing = next(name for name, job in shop.host().jobs.items() if job.command.argv[0] == "/srv/rollback")
    shop.host().vanish(undoing)
    shop.open(OPEN + 2 * MINUTE)
    assert shop.state() is RunState.INTERRUPTED
    retry(shop.world.house, shop.run().key, reason="no way", now=OPEN + 2 * MINUTE, fate=StepFate.FAILED)
    shop.open(OPEN + 3 * MINUTE)
    assert shop.state() is RunState.ROLLBACK_FAILED


def test_a_host_that_may_be_half_updated_is_not_said_to_be_skipped(store, tmp_path):
    shop = workshop(store, tmp_path, script={"idempotent": ["apply"]})
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().vanish(*shop.host().jobs)
    freeze(store, OPEN + MINUTE)
    shop.host().answer("/srv/probe", exit_code=1, stdout="half installed")
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.FAILED_DIRTY
    assert "half installed" in shop.run().why


def test_a_service_that_does_not_come_back_is_no_clean_failure(store, tmp_path):
    shop = workshop(store, tmp_path, script={"stop": ["/srv/stop"], "start": ["/srv/start"]})

    def stop(_: Command) -> Output:
        shop.host().answer("/srv/probe", exit_code=1, stdout="the portal is down")
        return Output(exit_code=1, stdout="")

    shop.host().program("/srv/stop", does=stop)
    shop.open()
    assert shop.state() is RunState.FAILED_DIRTY
    assert "the portal is down" in shop.run().why


def test_time_past_the_end_is_told_of_even_if_it_is_over_before_the_next_pass(store, tmp_path):
    customer = replace(one_customer(portal("acme-prod")), work_notices=("overrun",))
    shop = workshop(store, tmp_path, customer)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().finish(*shop.host().jobs)
    shop.host().answer("/srv/plan", stdout="")
    shop.world.forget()
    shop.open(DECEMBER + timedelta(hours=6))
    assert any(key.startswith("notice/overrun/") for key in shop.world.told())
    assert any("goes on past the end" in title for title in alerts(shop))


# --- what counts ----------------------------------------------------------------------------------------------------


def test_work_on_a_shared_host_is_work_for_everybody_on_it(store, tmp_path):
    shared = {"host": "shared.host.example"}
    one, two = (one_customer(portal(f"{key}-prod", **shared), key=key) for key in ("one", "two"))
    shop = workshop(store, tmp_path, one, two)
    shop.open()
    shop.open(OPEN + MINUTE)
    worked = scene_of(shop).worked
    assert worked["monthly/2026-12", "one-prod"] == worked["monthly/2026-12", "two-prod"]
    assert worked["monthly/2026-12", "two-prod"].started_at is not None


def test_a_retry_forgets_nothing_of_the_work_before_it(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/apply", exit_code=1)
    shop.open()
    retry(shop.world.house, shop.run().key, reason="mended by hand", now=OPEN + 30 * MINUTE)
    shop.host().answer("/srv/plan", stdout="")
    shop.open(OPEN + 31 * MINUTE)
    assert shop.state() is RunState.NO_CHANGES
    worked = scene_of(shop).worked["monthly/2026-12", "acme-prod"]
    assert (worked.started_at, worked.ended_at) == (OPEN, OPEN + 31 * MINUTE)


def test_a_run_that_stands_still_is_no_work_that_goes_on(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().vanish(*shop.host().jobs)
    shop.open(OPEN + MINUTE)
    shop.open(DECEMBER + timedelta(days=9))
    assert scene_of(shop).worked["monthly/2026-12", "acme-prod"].ended_at == OPEN + MINUTE


def test_evidence_says_nothing_of_another_customers_affairs(store, tmp_path):
    shared = {"host": "shared.host.example"}
    one, two = (one_customer(portal(f"{key}-prod", **shared), key=key) for key in ("one", "two"))
    shop = workshop(store, tmp_path, one, two)
    with store.writing() as connection:
        held = Freeze(
            key="sale", start=OPEN, end=OPEN + timedelta(days=1), reason="two is sold", classes=ALL, customers=("two",)
        )
        write_freezes(connection, [held])
    shop.open()
    shop.open(DECEMBER + timedelta(hours=5))
    assert not [each for each in shop.world.entries("one-prod") if "two is sold" in str(each.data)]

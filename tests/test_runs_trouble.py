"""Runs that do not go smoothly: failures, silent hosts, restarts; what is told of them, and what operators do."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from maintsched.errors import ChangeRefused, InvalidValue
from maintsched.executors.port import Command, Output
from maintsched.executors.transports.fake import Fault
from maintsched.facts import ChangeClass, Freeze
from maintsched.intake.hookconfig import HookConfig, HookKind, HookMoment
from maintsched.runs import Gate, RunState, RunTerms, StepState
from maintsched.store.declared import write_freezes
from maintsched.store.hookcalls import read_hook_calls
from maintsched.worker.operating import StepFate, approve, retry
from tests.houses import DECEMBER
from tests.workshop import OPEN, WINDOW, one_customer, portal, workshop

MINUTE = timedelta(minutes=1)


def works(shop, *, instance="acme-prod"):
    """The steps that were not left out, in order."""
    return [each.step.name for each in shop.steps(instance) if each.step.state is not StepState.LEFT_OUT]


def jobs(shop, instance="acme-prod"):
    """What was started on the host of an instance."""
    return [each.command.argv[0] for each in shop.host(instance).jobs.values()]


# --- when it goes wrong -----------------------------------------------------------------------------------------------


def test_a_failed_update_is_undone_where_it_can_be(store, tmp_path):
    shop = workshop(
        store, tmp_path, script={"stop": ["/srv/stop"], "start": ["/srv/start"], "rollback": ["/srv/rollback"]}
    )
    shop.host().answer("/srv/apply", exit_code=3)
    shop.open()
    assert shop.state() is RunState.ROLLED_BACK, shop.run().why
    assert jobs(shop) == ["/srv/stop", "/srv/apply", "/srv/rollback", "/srv/start"]


def test_an_undoing_that_fails_is_said_to_have_failed(store, tmp_path):
    shop = workshop(store, tmp_path, script={"rollback": ["/srv/rollback"]})
    shop.host().answer("/srv/apply", exit_code=3)
    shop.host().answer("/srv/rollback", exit_code=1)
    shop.open()
    assert shop.state() is RunState.ROLLBACK_FAILED


def test_a_failed_update_without_a_way_back_leaves_the_service_running_and_an_alert(store, tmp_path):
    shop = workshop(store, tmp_path, script={"stop": ["/srv/stop"], "start": ["/srv/start"]})
    shop.host().answer("/srv/apply", exit_code=3)
    shop.open()
    assert (shop.state(), jobs(shop)) == (RunState.FAILED_DIRTY, ["/srv/stop", "/srv/apply", "/srv/start"])


def test_what_was_applied_and_is_not_as_planned_is_a_failure(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/verify", exit_code=1, stdout="wrong version")
    shop.open()
    assert shop.state() is RunState.FAILED_DIRTY
    assert "wrong version" in shop.run().why


def test_a_script_may_ask_for_another_window(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/apply", exit_code=69)
    shop.open()
    assert shop.state() is RunState.DEFERRED


def test_a_script_may_ask_to_be_tried_again_but_not_for_ever(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/apply", exit_code=75)
    shop.open()
    assert jobs(shop) == ["/srv/apply"] * 3
    assert shop.state() is RunState.FAILED_CLEAN


# --- hosts in trouble -------------------------------------------------------------------------------------------------


def test_a_host_that_is_not_there_is_asked_again_and_its_run_waits(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().reachable = False
    shop.open()
    assert (shop.state(), jobs(shop)) == (RunState.PLANNED, [])
    shop.host().reachable = True
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.DONE


def test_another_host_key_blocks_the_run(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().pinned = False
    shop.open()
    assert (shop.state(), shop.host().calls) == (RunState.BLOCKED, [])


@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.CUT])
def test_a_start_whose_answer_is_lost_starts_nothing_twice(store, tmp_path, fault):
    shop = workshop(store, tmp_path)
    shop.host().fail(fault, call="start")
    shop.open()
    assert shop.state() is RunState.UNREACHABLE
    shop.open(OPEN + MINUTE)
    assert (shop.state(), jobs(shop)) == (RunState.DONE, ["/srv/apply"])


def test_a_host_that_is_silent_for_long_in_the_midst_is_told_of(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().reachable = False
    for minutes in (1, 20, 40):
        shop.open(OPEN + minutes * MINUTE)
    assert shop.state() is RunState.UNREACHABLE
    alerts = [each for each in shop.world.notices() if each.notice.facts.get("alert")]
    assert any("does not answer" in each.notice.facts["alert"]["title"] for each in alerts)


def test_a_step_that_vanished_is_not_repeated_by_itself(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().vanish(*shop.host().jobs)
    shop.open(OPEN + MINUTE)
    assert (shop.state(), jobs(shop)) == (RunState.INTERRUPTED, ["/srv/apply"])
    shop.open(OPEN + 2 * MINUTE)
    assert jobs(shop) == ["/srv/apply"]


def test_a_step_that_vanished_is_repeated_where_it_says_that_it_may_be(store, tmp_path):
    shop = workshop(store, tmp_path, script={"idempotent": ["apply"]})
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().vanish(*shop.host().jobs)
    shop.host().finish_after(looks=0)
    shop.open(OPEN + MINUTE)
    assert (shop.state(), jobs(shop)) == (RunState.DONE, ["/srv/apply", "/srv/apply"])


# --- reboot -----------------------------------------------------------------------------------------------------------


def test_a_host_is_restarted_once_where_a_step_asks_for_it(store, tmp_path):
    shop = workshop(store, tmp_path, script={"answers": {"102": "reboot"}}, reboot=("/srv/reboot",))

    def apply(_: Command) -> Output:
        shop.host().answer("/srv/plan", stdout="")
        return Output(exit_code=102, stdout="")

    def reboot(_: Command) -> Output:
        shop.host().boots += 1
        return Output(exit_code=0, stdout="")

    shop.host().program("/srv/apply", does=apply)
    shop.host().program("/srv/reboot", does=reboot)
    shop.open()
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.DONE, shop.run().why
    assert jobs(shop) == ["/srv/apply", "/srv/reboot"]


def test_a_host_is_not_restarted_without_need(store, tmp_path):
    shop = workshop(store, tmp_path, reboot=("/srv/reboot",))
    shop.open()
    assert jobs(shop) == ["/srv/apply"]


# --- notices of work --------------------------------------------------------------------------------------------------


def test_customers_are_told_when_work_begins_and_when_it_is_over(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.world.forget()
    shop.open()
    assert [key.split("/")[1] for key in shop.world.told()] == ["started"]
    shop.host().finish(*shop.host().jobs)
    shop.host().answer("/srv/plan", stdout="")
    shop.open(OPEN + MINUTE)
    assert [key.split("/")[1] for key in shop.world.told()] == ["started", "finished"]


def test_work_that_is_over_at_once_is_told_of_once(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.world.forget()
    shop.open()
    assert [key.split("/")[1] for key in shop.world.told()] == ["finished"]


def test_a_customer_may_do_without_notices_of_work(store, tmp_path):
    customer = replace(one_customer(portal("acme-prod")), work_notices=("failed",))
    shop = workshop(store, tmp_path, customer)
    shop.world.forget()
    shop.open()
    assert shop.world.told() == []


def test_a_failure_is_told_instead_of_an_end(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/apply", exit_code=1)
    shop.world.forget()
    shop.open()
    kinds = [key.split("/")[1] for key in shop.world.told()]
    assert sorted(kinds) == ["failed", "operator_alert"]


# --- what operators hear of, and do -----------------------------------------------------------------------------------


def alerts(shop):
    """Titles of the alerts that were stored."""
    return [each.notice.facts["alert"]["title"] for each in shop.world.notices() if each.notice.facts.get("alert")]


def test_an_operator_hears_at_once_that_work_is_held_and_only_once(store, tmp_path):
    shop = workshop(store, tmp_path, told=False)
    for minutes in (0, 1, 2):
        shop.open(OPEN + minutes * MINUTE)
    assert alerts(shop).count("Work in monthly/2026-12 is held back: notice") == 1


def test_a_freeze_that_somebody_entered_is_no_reason_for_an_alert(store, tmp_path):
    shop = workshop(store, tmp_path)
    freeze = Freeze(key="f", start=OPEN, end=OPEN + timedelta(hours=1), reason="audit", classes=tuple(ChangeClass))
    shop.open(DECEMBER - MINUTE)
    with store.writing() as connection:
        write_freezes(connection, [freeze])
    shop.open()
    assert not [each for each in alerts(shop) if "held back" in each]


def test_an_interrupted_run_goes_on_as_an_operator_says(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().vanish(*shop.host().jobs)
    shop.host().answer("/srv/plan", stdout="")
    shop.host().finish_after(looks=0)
    shop.open(OPEN + MINUTE)
    retry(shop.world.house, shop.run().key, reason="it had done its work", now=OPEN, fate=StepFate.DONE)
    shop.open(OPEN + 2 * MINUTE)
    assert (shop.state(), jobs(shop)) == (RunState.DONE, ["/srv/apply"])


def test_an_interrupted_step_that_failed_is_undone(store, tmp_path):
    shop = workshop(store, tmp_path, script={"rollback": ["/srv/rollback"]})
    shop.host().finish_after(looks=None)
    shop.open()
    shop.host().vanish(*shop.host().jobs)
    shop.host().finish_after(looks=0)
    shop.open(OPEN + MINUTE)
    retry(shop.world.house, shop.run().key, reason="half done", now=OPEN, fate=StepFate.FAILED)
    shop.open(OPEN + 2 * MINUTE)
    assert (shop.state(), jobs(shop)) == (RunState.ROLLED_BACK, ["/srv/apply", "/srv/rollback"])


def test_a_failed_run_begins_again_while_its_window_is_open_and_not_after(store, tmp_path):
    shop = workshop(store, tmp_path)
    shop.host().answer("/srv/probe", exit_code=1, stdout="disk full")
    shop.open()
    shop.host().answer("/srv/probe")
    retry(shop.world.house, shop.run().key, reason="freed the disk", now=OPEN + MINUTE)
    shop.open(OPEN + 2 * MINUTE)
    assert (shop.state(), shop.run().attempt) == (RunState.DONE, 2)
    with pytest.raises(ChangeRefused, match="failed, was skipped, blocked or put off"):
        retry(shop.world.house, shop.run().key, reason="once more", now=OPEN + 3 * MINUTE)


def test_a_run_whose_window_has_ended_is_left_to_the_next_window(store, tmp_path):
    shop = workshop(store, tmp_path, told=False)
    shop.open()
    end = DECEMBER + timedelta(hours=4)
    shop.open(end)
    with pytest.raises(ChangeRefused, match="the next window takes its work by itself"):
        retry(shop.world.house, shop.run().key, reason="now", now=end)


def test_classes_that_want_an_approval_wait_for_it(store, tmp_path):
    shop = workshop(store, tmp_path, runs=RunTerms(patience_seconds=0, approval=(ChangeClass.OS,)))
    shop.open()
    assert (shop.run().gate, jobs(shop)) == (Gate.APPROVAL, [])
    assert approve(shop.world.house, shop.run().key, reason="looked at", now=OPEN) is Gate.APPROVAL
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.DONE


def test_no_promise_to_a_customer_can_be_approved_away(store, tmp_path):
    shop = workshop(store, tmp_path, told=False)
    shop.open()
    with pytest.raises(InvalidValue, match="no other may be opened by hand"):
        approve(shop.world.house, shop.run().key, reason="hurry", now=OPEN, gate=Gate.NOTICE)


# --- hooks ------------------------------------------------------------------------------------------------------------


def hooked(shop, *command, moments=tuple(HookMoment)):
    hook = HookConfig(name="told", kind=HookKind.COMMAND, command=command, moments=moments)
    shop.world.house.config = replace(shop.world.house.config, hooks=(hook,))


def test_hooks_are_called_before_and_after_window_and_run_in_that_order(store, tmp_path):
    shop = workshop(store, tmp_path)
    log = tmp_path / "told.log"
    hooked(shop, "/bin/sh", "-c", f"cat >> {log}; echo >> {log}")
    shop.open()
    shop.open(OPEN + MINUTE)
    moments = [json.loads(line)["moment"] for line in log.read_text("utf-8").split("\n") if line.strip()]
    assert moments == ["before_window", "before_run", "after_run", "after_window"]
    assert shop.state() is RunState.DONE


def test_a_hook_that_fails_before_holds_the_work_and_is_called_again(store, tmp_path):
    shop = workshop(store, tmp_path)
    hooked(shop, "/bin/false")
    shop.open()
    assert (shop.state(), shop.run().gate, jobs(shop)) == (RunState.PLANNED, Gate.HOOK, [])
    hooked(shop, "/bin/true")
    shop.open(OPEN + MINUTE)
    assert shop.state() is RunState.DONE


def test_a_hook_that_fails_afterwards_is_called_again_by_the_next_pass(store, tmp_path):
    shop = workshop(store, tmp_path)
    flag = tmp_path / "mended"
    hooked(shop, "/bin/sh", "-c", f"grep -q before && exit 0; test -e {flag}")
    shop.open()
    assert shop.state() is RunState.DONE
    flag.touch()
    shop.open(OPEN + MINUTE)
    with store.reading() as connection:
        calls = read_hook_calls(connection, {shop.run().key, WINDOW})
    assert {str(each.state) for each in calls.values()} == {"done"}

"""Hosts in memory do what their script says, and go wrong where it says so."""

import asyncio
from pathlib import Path

import pytest

from maintsched.errors import HostKeyRefused, InvalidValue, Unreachable
from maintsched.executors.port import Command, Job, JobState, Link, Output
from maintsched.executors.transports.fake import Call, Fake, Fault, World

HOST = "db1.acme.example"
TRUE = Command(argv=("true",))


@pytest.fixture
def world() -> World:
    return World()


def link_to(world: World) -> Link:
    return asyncio.run(Fake({"world": world}, Path()).open(HOST))


def run(link: Link, *argv: str, seconds: float = 1) -> Output:
    return asyncio.run(link.run(Command(argv=argv), timeout_seconds=seconds))


def test_a_command_without_a_script_succeeds_and_prints_nothing(world):
    assert run(link_to(world), "anything") == Output(exit_code=0, stdout="")


def test_a_command_is_answered_by_the_last_script_that_fits_it(world):
    world.host(HOST).answer("apt-get", stdout="all")
    world.host(HOST).answer("apt-get", "-s", stdout="simulated", stderr="e", exit_code=100)
    world.host(HOST).program("date", does=lambda command: Output(exit_code=0, stdout=command.argv[1]))
    link = link_to(world)
    assert run(link, "apt-get", "update").stdout == "all"
    assert run(link, "apt-get", "-s", "upgrade") == Output(exit_code=100, stdout="simulated", stderr="e")
    assert run(link, "date", "-u").stdout == "-u"


def test_a_slow_command_is_a_time_out_for_who_waits_less(world):
    world.host(HOST).answer("sleep", seconds=30)
    assert run(link_to(world), "sleep", seconds=30).seconds == 30
    with pytest.raises(Unreachable, match="did not end within 29 s"):
        run(link_to(world), "sleep", seconds=29)


def test_jobs_end_at_once_unless_the_script_lets_them_run(world):
    host, link = world.host(HOST), link_to(world)
    host.answer("dpkg", stdout="done\n", exit_code=3)
    asyncio.run(link.start("quick", Command(argv=("dpkg",))))
    assert asyncio.run(link.look("quick")) == Job(state=JobState.ENDED, exit_code=3, tail="done\n")
    host.finish_after(looks=2)
    asyncio.run(link.start("slow", TRUE))
    states = [asyncio.run(link.look("slow")).state for _ in range(4)]
    assert states == [JobState.RUNNING, JobState.RUNNING, JobState.ENDED, JobState.ENDED]
    host.finish_after(looks=None)
    asyncio.run(link.start("by-hand", TRUE))
    host.print("by-hand", "half\n")
    assert asyncio.run(link.look("by-hand")) == Job(state=JobState.RUNNING, tail="half\n")
    host.finish("by-hand", exit_code=7, output="rest\n")
    assert asyncio.run(link.look("by-hand")) == Job(state=JobState.ENDED, exit_code=7, tail="half\nrest\n")
    with pytest.raises(InvalidValue, match="by-hand, ended"):
        host.finish("by-hand")


def test_a_reboot_takes_the_jobs_that_run_and_gives_the_boot_another_name(world):
    host, link = world.host(HOST), link_to(world)
    host.finish_after(looks=None)
    for job in ("over", "killed", "lost"):
        asyncio.run(link.start(job, TRUE))
    host.finish("over")
    host.vanish("killed")
    before = asyncio.run(link.boot_id())
    host.reboot()
    assert asyncio.run(link.boot_id()) != before
    assert asyncio.run(link.look("over")).state is JobState.ENDED
    assert asyncio.run(link.look("killed")).state is JobState.VANISHED
    assert asyncio.run(link.look("lost")).state is JobState.VANISHED
    assert not asyncio.run(link.start("lost", TRUE))


def test_a_start_whose_connection_is_cut_took_effect_and_one_that_did_not_arrive_did_not(world):
    host, link = world.host(HOST), link_to(world)
    host.finish_after(looks=None)
    host.fail(Fault.CUT, call="start")
    with pytest.raises(Unreachable, match="cut"):
        asyncio.run(link.start("first", TRUE))
    assert asyncio.run(link.look("first")).state is JobState.RUNNING
    host.fail(Fault.UNREACHABLE, call="start")
    with pytest.raises(Unreachable, match="not there"):
        asyncio.run(link.start("second", TRUE))
    assert asyncio.run(link.look("second")).state is JobState.ABSENT
    assert [call for call in host.calls if call.name == "start"] == [Call(name="start", job="first", argv=("true",))]


@pytest.mark.parametrize("call", ["run", "look", "forbid", "forget", "boot_id"])
def test_each_call_can_be_cut(world, call):
    host, link = world.host(HOST), link_to(world)
    host.fail(Fault.CUT, call=call)
    calls = {
        "run": lambda: link.run(TRUE, timeout_seconds=1),
        "look": lambda: link.look("job"),
        "forbid": lambda: link.forbid("job"),
        "forget": lambda: link.forget("job"),
        "boot_id": link.boot_id,
    }
    with pytest.raises(Unreachable, match="cut"):
        asyncio.run(calls[call]())
    asyncio.run(calls[call]())


def test_a_host_may_be_away_for_a_while_or_until_further_notice(world):
    host, link = world.host(HOST), link_to(world)
    host.fail(Fault.UNREACHABLE, times=2)
    for _ in range(2):
        with pytest.raises(Unreachable):
            run(link, "true")
    assert run(link, "true").ok
    host.reachable = False
    with pytest.raises(Unreachable):
        link_to(world)
    host.reachable = True
    assert run(link_to(world), "true").ok


def test_a_host_whose_key_is_not_pinned_or_has_changed_is_refused(world):
    host, link = world.host(HOST), link_to(world)
    host.fail(Fault.KEY_REFUSED)
    with pytest.raises(HostKeyRefused):
        run(link, "true")
    host.pinned = False
    assert Fake({"world": world}, Path()).validate(HOST) == (f"no key is pinned for {HOST}",)
    with pytest.raises(HostKeyRefused):
        link_to(world)


def test_a_call_that_there_is_not_cannot_fail(world):
    with pytest.raises(InvalidValue, match="look"):
        world.host(HOST).fail(Fault.CUT, call="lok")


def test_a_world_is_no_text(tmp_path):
    with pytest.raises(InvalidValue, match="World"):
        Fake({"world": "mine"}, tmp_path)
    assert asyncio.run(Fake({}, tmp_path).open(HOST)).host == HOST

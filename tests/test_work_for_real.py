"""The whole chain for real: the worker in a worker of its own, over a real sshd, with a real apt in a private root."""

import json
import os
import platform
import shutil
import signal
from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from maintsched.executors.packagesettings import plain_version
from maintsched.journal import EntryKind
from maintsched.runs import RunState
from tests.apt_root import AptRoot, keeper
from tests.installations import mail_server
from tests.real_many import ManyHosts
from tests.real_work import (
    INSTANCE,
    LEASE,
    LOOK,
    ONE,
    OPEN,
    START,
    WEB,
    Door,
    Installation,
    Packages,
    apt_table,
    shell,
)
from tests.sshd import gone, make_key, sshd, wait

__all__ = ["sshd"]

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def post():
    with mail_server() as (server, sink):
        yield server, sink


@pytest.fixture(scope="module")
def door(sshd):
    sshd.pin(WEB)
    return Door(sshd)


@pytest.fixture(scope="module")
def root_kept(tmp_path_factory):
    """A root in which `web` 1.0 is installed, and what brings it back."""
    root = AptRoot(tmp_path_factory.mktemp("apt") / "root")
    root.publish("main", "web", "1.0")
    root.install("web")
    return root, keeper(root.folder)


@pytest.fixture
def packages(root_kept):
    root, back = root_kept
    found = Packages(root)
    yield found
    found.clear()
    back()


@pytest.fixture(scope="module")
def told(tmp_path_factory, post):
    """An installation whose only customer was told of the window."""
    folder = tmp_path_factory.mktemp("told") / "home"
    Installation(folder).make(ONE, post[0].port)
    return folder


class Home(Installation):
    """An installation with one instance, and the host it works on."""

    def __init__(self, folder, port, sshd, packages):
        super().__init__(folder)
        self.port, self.sshd, self.packages = port, sshd, packages
        self.table()

    def table(self, *, runs=None, **more):
        """Write the configuration, with a table of executors as it is wanted."""
        made = apt_table(self.sshd, self.packages.root, self.folder / "jobs", [WEB], **more)
        self.configure(self.port, {"apt": made}, **(runs or {}))

    def leaves_at_once(self):
        """Let passes leave jobs to the next one, instead of waiting for them."""
        self.table(runs={"patience_seconds": 0})


@pytest.fixture
def home(told, tmp_path, post, sshd, door, packages):
    post[1].mails.clear()
    shutil.copytree(told, tmp_path / "home")
    return Home(tmp_path / "home", post[0].port, sshd, packages)


# --- from the reminder to the last notice -----------------------------------------------------------------------------


def test_an_update_goes_from_the_reminder_to_the_last_notice(tmp_path, post, sshd, door, packages):
    server, sink = post
    sink.mails.clear()
    other = Packages(AptRoot(tmp_path / "other"))
    other.root.publish("main", "web", "1.0")
    other.root.install("web")
    sshd.pin("web2.acme.example")
    home = Installation(tmp_path / "home")
    home.make(ONE + INSTANCE.format(key="acme-test", host="web2.acme.example", executor="other"), server.port)
    assert [subject_of(each).partition(": ")[0] for each in sink.mails] == ["[monthly/2026-12] Maintenance reminder"]
    tables = {
        "apt": apt_table(sshd, packages.root, home.folder / "jobs", [WEB]),
        "other": apt_table(sshd, other.root, home.folder / "jobs", ["web2.acme.example"]),
    }
    home.configure(server.port, tables)
    packages.update()
    other.update()
    passed = home.command(OPEN)
    assert (passed.exit_code, passed.report["runs"]) == (0, {"done": 2}), passed
    assert packages.root.status == other.root.status == {"web": "2.0 ii"}
    assert home.done_steps() == ["preflight", "plan", "lock", "upgrade", "verify"]
    assert home.versions() == {"linux": plain_version(platform.release())}
    assert [each.kind for each in home.entries()] == [
        EntryKind.RUN_STARTED,
        EntryKind.RUN_STEP,
        EntryKind.RUN_STEP,
        EntryKind.RUN_ENDED,
    ]
    assert home.entries()[-1].data["changed"][0]["after"] == "2.0"
    assert home.locks() == {}
    said = [subject_of(each).partition(": ")[0].partition("] ")[2] for each in sink.mails[1:]]
    assert said == ["Maintenance finished"]
    assert_told_of(home)
    again = home.worker(OPEN + MINUTE)
    assert (again.exit_code, again.report["runs"], packages.upgrades, len(sink.mails)) == (0, {}, 1, 2)


def assert_told_of(home):
    """Every command says the same of a run that went well."""
    shown = home.does("run", "show", home.key(), "--output", at=OPEN)
    assert "is done: applied and verified" in shown
    assert "changed: web 1.0 -> 2.0" in shown
    assert "Setting up web (2.0)" in shown
    assert "is done" in home.does("explain", home.key(), at=OPEN)
    listed = json.loads(home.does("run", "list", "--json", at=OPEN))
    assert [(each["instance"], each["state"], each["over"]) for each in listed] == [
        ("acme-prod", "done", True),
        ("acme-test", "done", True),
    ]
    assert home.does("evidence", "verify", at=None)


def subject_of(mail):
    return str(message_from_bytes(mail, policy=policy.default)["Subject"])


# --- hosts in trouble -------------------------------------------------------------------------------------------------


def test_a_host_with_another_key_is_not_touched_until_its_key_is_pinned(home, tmp_path):
    home.packages.update()
    other = (make_key(tmp_path / "other_key").with_suffix(".pub")).read_text().split()[:2]
    known = tmp_path / "known_hosts"
    known.write_text(f"[{WEB}]:{home.sshd.port} {' '.join(other)}\n")
    home.table(ssh={"known_hosts": str(known)})
    passed = home.worker(OPEN)
    assert (passed.exit_code, home.state()) == (1, RunState.BLOCKED), passed
    assert "key" in home.why()
    assert not (home.folder / "jobs").exists()
    assert (home.packages.root.status, home.packages.pids) == ({"web": "1.0 ii"}, [])
    home.table()
    home.does("run", "retry", home.key(), "--reason", "compared the key", at=OPEN + MINUTE)
    assert home.worker(OPEN + MINUTE).exit_code == 0
    assert (home.state(), home.packages.upgrades) == (RunState.DONE, 1)


def test_a_connection_that_is_cut_in_the_midst_of_a_job_is_made_anew(home):
    home.packages.update(waits=True)
    worker = home.begun(OPEN, "--once")
    pids = home.packages.installing()
    home.sshd.cut()
    assert not any(map(gone, pids))
    home.packages.let_go()
    assert home.over(worker).exit_code == 0
    assert (home.state(), home.packages.upgrades) == (RunState.DONE, 1)


def test_a_job_that_ends_while_nobody_looks_is_read_by_the_next_pass(home):
    home.leaves_at_once()
    home.packages.update(waits=True)
    while not home.packages.pids:  # each pass leaves its job at once
        passed = home.worker(OPEN)
        assert (passed.exit_code, home.state()) == (75, RunState.RUNNING), passed
    pids = home.packages.installing()
    home.sshd.cut()
    home.packages.let_go()
    home.packages.ended(pids)
    home.table()
    assert home.worker(OPEN + MINUTE).exit_code == 0
    assert (home.state(), home.packages.upgrades) == (RunState.DONE, 1)


# --- packages in trouble ----------------------------------------------------------------------------------------------


def test_a_package_that_cannot_be_configured_leaves_a_failure_with_the_way_out(home, post):
    home.packages.update("echo no room >&2; exit 1")
    passed = home.worker(OPEN)
    assert (passed.exit_code, home.state()) == (1, RunState.FAILED_DIRTY)
    assert home.packages.root.status == {"web": "2.0 iF"}
    assert "dpkg --configure -a" in home.does("run", "show", home.key(), "--output", at=OPEN)
    alert = next(each for each in post[1].mails if "failed dirty" in subject_of(each))
    body = message_from_bytes(alert, policy=policy.default).get_body(("plain",))
    assert body is not None
    assert home.key() in body.get_content()
    home.does("run", "retry", home.key(), "--reason", "look again", at=OPEN + MINUTE)
    assert home.worker(OPEN + MINUTE).exit_code == 1
    assert home.state() is RunState.BLOCKED
    assert "web is half configured (iF): run `dpkg --configure -a`" in home.why()
    assert home.packages.upgrades == 1


def test_a_package_manager_that_somebody_else_uses_is_waited_for(home):
    home.packages.update()
    home.leaves_at_once()
    with home.packages.root.locked():
        assert home.worker(OPEN).exit_code == 75
        assert (home.state(), home.packages.upgrades) == (RunState.RUNNING, 0)
    home.table()
    assert home.worker(OPEN + MINUTE).exit_code == 0
    assert (home.state(), home.packages.upgrades) == (RunState.DONE, 1)


def test_a_host_that_has_to_be_restarted_is_told_of(home, post):
    home.packages.update(f"touch {home.packages.root.reboot_flag}")
    assert home.worker(OPEN).exit_code == 1
    assert home.state() is RunState.REBOOT_REQUIRED
    assert any("reboot required" in subject_of(each) for each in post[1].mails)


def test_a_host_that_has_to_be_restarted_is_restarted_where_a_command_is_named(home):
    flag, boot = home.packages.root.reboot_flag, home.folder / "boot_id"
    boot.write_text("one start\n")
    home.table(reboot=shell(f"rm {flag}", f"echo restarted >>{boot}.log", f"echo another >{boot}"), ssh=boot_at(boot))
    home.packages.update(f"touch {flag}")
    passed = home.worker(OPEN)
    assert (passed.exit_code, home.state()) == (0, RunState.DONE), home.why()
    assert home.done_steps() == ["preflight", "plan", "lock", "upgrade", "reboot", "verify"]
    assert boot.with_name("boot_id.log").read_text().split() == ["restarted"]


def boot_at(path):
    return {"boot_id": str(path)}


# --- a worker that is killed ------------------------------------------------------------------------------------------

LOCK, UPGRADE = "-1-3-1 ", "-1-4-1 "
"""What stands in the names of the jobs of the first attempt."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_a_worker_that_is_killed_in_every_state_starts_nothing_twice_and_kills_no_package_manager(home, door, number):
    home.packages.update(waits=True)
    at = OPEN

    def kill(*words, after=False):
        nonlocal at
        with door.holding(*words, after=after):
            worker = home.begun(at, "--once")
            door.reached()
            home.killed(worker, number)
        at += LEASE
        assert home.state() in (RunState.RUNNING, RunState.LOST)

    kill("--audit")  # pre-flight
    kill("Error-Mode=any")  # the plan
    kill(START, LOCK, after=True)  # a job has begun, and nobody was told
    kill(LOOK, LOCK)
    kill(START, UPGRADE)  # its start is written down, and on its way
    pids = home.packages.installing()
    kill(LOOK, UPGRADE, after=True)  # while the package manager is at work
    worker = home.begun(at, "--once")
    wait(lambda: home.state() is RunState.RUNNING, lambda: f"it is {home.state()}")
    home.killed(worker, number)
    at += LEASE
    assert not any(map(gone, pids))
    home.packages.let_go()
    home.packages.ended(pids)
    kill(LOOK, UPGRADE, after=True)  # its end was read, and not written down
    kill("dpkg-query")  # while what was done is looked at
    assert home.worker(at).exit_code == 0
    assert home.state() is RunState.DONE
    assert (home.packages.upgrades, len(home.packages.ran.read_text().splitlines())) == (1, 1)
    assert {each.step.tries for each in home.steps() if each.step.name in ("lock", "upgrade")} == {1}
    assert [each.kind for each in home.entries()].count(EntryKind.RUN_ENDED) == 1
    assert (home.packages.root.status, home.locks()) == ({"web": "2.0 ii"}, {})


def test_a_start_that_is_on_its_way_when_its_worker_is_killed_never_begins_late(home, door):
    home.packages.update()
    with door.holding(START, UPGRADE):
        worker = home.begun(OPEN, "--once")
        door.reached()
        home.killed(worker)
        assert home.worker(OPEN + LEASE).exit_code == 0
        assert home.state() is RunState.DONE
    wait(lambda: not home.sshd.connections(), lambda: "the late start is still at it")
    (upgrade,) = [each.step for each in home.steps() if each.step.name == "upgrade"]
    late = home.folder / "jobs" / f"{upgrade.job.removesuffix('-2')}-1"
    assert ((late / "begun").readlink().name, (late / "output").exists()) == ("forbidden", False)
    assert (upgrade.tries, home.packages.upgrades, len(home.packages.ran.read_text().splitlines())) == (2, 1, 1)


def test_a_job_that_is_killed_itself_is_parked_for_an_operator(home):
    home.packages.update(waits=True)
    home.leaves_at_once()
    while not home.packages.pids:
        home.worker(OPEN)
    os.killpg(os.getsid(home.packages.installing()[0]), signal.SIGKILL)  # a job leads a session of its own
    home.packages.ended(home.packages.pids)
    assert home.worker(OPEN + MINUTE).exit_code == 1
    assert home.state() is RunState.INTERRUPTED
    passed = home.worker(OPEN + 2 * MINUTE)
    assert passed.exit_code == 1
    assert "step upgrade was interrupted" in " ".join(passed.report["problems"])
    assert (home.packages.upgrades, home.locks()) == (1, {WEB: home.key()})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_a_worker_that_makes_pass_after_pass_may_end_in_the_midst_of_a_job(home, number):
    home.packages.update(waits=True)
    home.table(runs={"patience_seconds": 1})
    worker = home.begun(OPEN, "--every", "1s")
    pids = home.packages.installing()
    worker.send(number)
    assert worker.end() == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    assert not any(map(gone, pids))
    home.packages.let_go()
    home.packages.ended(pids)
    at = OPEN if number == signal.SIGTERM else OPEN + LEASE  # asked to end, it has let go of everything
    assert home.worker(at).exit_code == 0
    assert (home.state(), home.packages.upgrades) == (RunState.DONE, 1)


def test_two_workers_at_once_do_the_work_once(home):
    home.packages.update(waits=True)
    both = [home.begun(OPEN, "--once") for _ in range(2)]
    home.packages.installing()
    home.packages.let_go()
    assert {home.over(each).exit_code for each in both} <= {0, 75}
    assert (home.state(), home.packages.upgrades) == (RunState.DONE, 1)
    kinds = [each.kind for each in home.entries()]
    assert (kinds.count(EntryKind.RUN_STARTED), kinds.count(EntryKind.RUN_ENDED)) == (1, 1)


def test_a_worker_that_comes_back_after_its_lease_finds_that_another_has_taken_over(home):
    home.packages.update(waits=True)
    away = home.begun(OPEN, "--once")
    home.packages.installing()
    away.send(signal.SIGSTOP)
    home.packages.let_go()
    assert home.worker(OPEN + LEASE).exit_code == 0
    assert home.state() is RunState.DONE
    before = home.kept(), home.steps(), home.entries()
    away.send(signal.SIGCONT)
    passed = home.over(away)
    assert (passed.exit_code, passed.stderr) == (0, ""), passed
    assert (home.kept(), home.steps(), home.entries()) == before
    assert home.packages.upgrades == 1


# --- many hosts -------------------------------------------------------------------------------------------------------


def test_fifty_hosts_are_done_in_one_pass_ten_at_once(tmp_path, post, sshd, door):
    many = ManyHosts(tmp_path / "home", sshd, post[0].port, 50)
    many.updates(many.home)
    passed = many.home.command(OPEN)
    assert (passed.exit_code, passed.report["runs"]) == (0, {"done": 50})
    assert many.done(many.home) == dict.fromkeys(many.names, "done\n")

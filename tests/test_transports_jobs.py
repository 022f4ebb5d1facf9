"""A job is started at most once and ends by itself, whatever dies around it: real processes on this machine."""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from maintsched.errors import InvalidValue, Unreachable
from maintsched.executors.port import Command, Job, JobState, Link
from maintsched.executors.transports import programs
from maintsched.executors.transports.jobs import BOOT_ID
from maintsched.executors.transports.local import Local
from tests.sshd import gone, wait

ABSENT = Job(state=JobState.ABSENT)
BOOT = "3e1b5c1e-0000-4000-8000-000000000000"


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    path = tmp_path / "boot_id"
    path.write_text(f"{BOOT}\n")
    return path


@pytest.fixture
def link(tmp_path: Path, boot: Path) -> Link:
    return asyncio.run(Local({"jobs": str(tmp_path / "jobs"), "boot_id": str(boot)}, tmp_path).open("localhost"))


def look(link: Link, job: str = "job") -> Job:
    return asyncio.run(link.look(job))


def start(link: Link, script: str, job: str = "job", stdin: bytes = b"") -> bool:
    return asyncio.run(link.start(job, Command(argv=("sh", "-c", script), stdin=stdin)))


def ended(link: Link, job: str = "job") -> Job:
    wait(lambda: look(link, job).state is not JobState.RUNNING, lambda: f"{job} runs: {look(link, job)}")
    return look(link, job)


def leader(tmp_path: Path, job: str = "job") -> int:
    """The process that watches over a job."""
    return int(str((tmp_path / "jobs" / job / "begun").readlink()).split()[0])


def printed(link: Link, job: str = "job") -> str:
    """What a job has printed, as soon as it has."""
    wait(lambda: "\n" in look(link, job).tail, lambda: f"{job} prints nothing")
    return look(link, job).tail


@pytest.fixture
def stopped() -> Iterator[list[int]]:
    """Processes that are ended after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


# --- who dies before the job has begun --------------------------------------------------------------------------------


def test_a_starter_that_died_before_the_job_began_leaves_a_job_that_is_absent_and_can_be_forbidden(link, tmp_path):
    (tmp_path / "jobs" / "job").mkdir(mode=0o700, parents=True)
    (tmp_path / "jobs").chmod(0o700)
    assert look(link) == ABSENT
    assert not start(link, f"touch {tmp_path}/ran")
    assert asyncio.run(link.forbid("job"))
    assert look(link) == ABSENT
    assert not (tmp_path / "ran").exists()


def test_a_job_that_was_forbidden_while_its_starter_was_on_its_way_does_not_begin(link, tmp_path, boot):
    asyncio.run(link.forbid("job"))
    folder = tmp_path / "jobs" / "job"
    late = [programs.RUNNER, "maintsched", str(folder), str(folder.parent), str(boot), "0", "0022", ""]
    done = subprocess.run(["/bin/sh", "-c", *late, "touch", str(tmp_path / "ran")], check=False, capture_output=True)
    assert done.returncode == 3
    assert done.stdout == b""
    assert not (tmp_path / "ran").exists()


def test_between_starting_and_forbidding_at_once_one_wins_and_the_other_is_told_so(link, tmp_path):
    async def both(job: str) -> tuple[bool, bool]:
        command = Command(argv=("touch", str(tmp_path / f"ran-{job}")))
        return tuple(await asyncio.gather(link.start(job, command), link.forbid(job)))

    for number in range(15):
        job = f"job-{number}"
        started, forbidden = asyncio.run(both(job))
        assert started is not forbidden
        assert ended(link, job).state is (JobState.ENDED if started else JobState.ABSENT)
        assert (tmp_path / f"ran-{job}").exists() is started


def test_a_starter_that_is_killed_at_any_moment_leaves_a_job_that_runs_once_or_never(link, tmp_path, boot):
    """The starter is killed a little later each time, from before it did anything until after the job has begun."""
    begun = []
    for step in range(300):
        job, file = f"job-{step}", tmp_path / f"ran-{step}"
        told = [str(tmp_path / "jobs"), job, str(boot), "0", programs.RUNNER, ""]
        command = ["/bin/sh", "-c", programs.START, "maintsched", *told, "sh", "-c", f"echo ran >>{file}"]
        starter = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        try:
            starter.wait(step * 0.004)
        except subprocess.TimeoutExpired:
            os.killpg(starter.pid, signal.SIGKILL)
        starter.communicate()
        never = asyncio.run(link.forbid(job))
        begun.append(not never)
        assert not start(link, f"echo again >>{file}", job)
        found = ended(link, job)
        assert found.state is (JobState.ABSENT if never else JobState.ENDED)
        assert (file.read_text() if file.exists() else "") == ("" if never else "ran\n")
        if sum(begun) == 3:
            break
    assert (begun[0], begun[-1]) == (False, True)


def test_a_job_does_not_begin_with_half_of_what_it_is_to_read(link, tmp_path, boot):
    (tmp_path / "jobs").mkdir(mode=0o700)
    told = [str(tmp_path / "jobs"), "job", str(boot), "100", programs.RUNNER, ""]
    command = ["/bin/sh", "-c", programs.START, "maintsched", *told, "touch", str(tmp_path / "ran")]
    done = subprocess.run(command, check=False, input=b"only half", capture_output=True)
    assert done.returncode == 3
    assert b"did not arrive" in done.stderr
    assert look(link) == ABSENT
    assert asyncio.run(link.forbid("job"))
    assert not (tmp_path / "ran").exists()


# --- who dies while it runs -------------------------------------------------------------------------------------------


CLIENT = """
import asyncio, json, sys
from pathlib import Path
from maintsched.executors.port import Command
from maintsched.executors.registry import transport_class

async def main(kind, settings, host, script):
    link = await transport_class(kind)(settings, Path()).open(host)
    print(await link.start("job", Command(argv=("sh", "-c", script))), flush=True)
    await asyncio.sleep(3600)

asyncio.run(main(*json.loads(sys.argv[1])))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_a_job_goes_on_when_the_worker_and_its_whole_group_are_ended(link, tmp_path, boot, number):
    script = f"echo begun; while [ ! -e {tmp_path}/released ]; do sleep 0.05; done; exit 7"
    told = json.dumps(["local", {"jobs": str(tmp_path / "jobs"), "boot_id": str(boot)}, "localhost", script])
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, told], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert client.stdout is not None
    assert client.stdout.readline() == b"True\n"
    os.killpg(client.pid, number)
    client.communicate(timeout=60)
    assert look(link).state is JobState.RUNNING
    (tmp_path / "released").touch()
    assert ended(link) == Job(state=JobState.ENDED, exit_code=7, tail="begun\n")


def test_a_job_whose_watcher_was_killed_runs_until_its_command_has_ended(link, tmp_path, stopped):
    """Otherwise a package manager would be started beside the one that is still at work."""
    assert start(link, "echo $$; exec sleep 3600")
    command = int(printed(link))
    stopped.append(command)
    watcher = leader(tmp_path)
    os.kill(watcher, signal.SIGKILL)
    wait(lambda: gone(watcher), lambda: "the watcher lives")
    assert look(link).state is JobState.RUNNING
    os.kill(command, signal.SIGKILL)
    assert ended(link).state is JobState.VANISHED
    assert not start(link, "true")
    assert not asyncio.run(link.forbid("job"))


def test_a_command_that_was_killed_has_ended_with_128_and_its_signal(link, tmp_path):
    assert start(link, "echo $$; exec sleep 3600")
    os.kill(int(printed(link)), signal.SIGTERM)
    assert ended(link).exit_code == 128 + signal.SIGTERM


def test_a_job_that_ran_when_its_host_went_down_has_vanished(link, boot, stopped):
    assert start(link, "echo $$; exec sleep 3600")
    stopped.append(int(printed(link)))
    before = asyncio.run(link.boot_id())
    boot.write_text("another-start\n")
    assert look(link).state is JobState.VANISHED
    assert (before, asyncio.run(link.boot_id())) == (BOOT, "another-start")


def test_a_job_that_had_ended_before_its_host_went_down_has_ended(link, boot):
    assert start(link, "exit 5")
    ended(link)
    boot.write_text("another-start\n")
    assert look(link).exit_code == 5


def test_another_process_that_got_the_number_of_a_job_is_not_taken_for_it(link, tmp_path):
    assert start(link, "true")
    ended(link)
    folder = tmp_path / "jobs" / "job"
    (folder / "exit").unlink()
    (folder / "begun").unlink()
    (folder / "begun").symlink_to(f"{os.getpid()} 1 {BOOT}")
    assert look(link).state is JobState.VANISHED


def test_a_job_without_the_name_of_a_boot_is_not_started(link, tmp_path, boot):
    boot.unlink()
    with pytest.raises(Unreachable, match="could not begin"):
        start(link, f"touch {tmp_path}/ran")
    boot.write_text(BOOT)
    assert asyncio.run(link.forbid("job"))
    assert not (tmp_path / "ran").exists()


def test_the_machine_names_its_start_by_itself(tmp_path):
    link = asyncio.run(Local({}, tmp_path).open("localhost"))
    assert asyncio.run(link.boot_id()) == Path(BOOT_ID).read_text().strip()


# --- what a job is given and what is kept -----------------------------------------------------------------------------


def test_a_job_has_the_umask_of_the_user_and_its_files_are_for_nobody_else(link, tmp_path):
    """A package manager with the umask of our own files would install files that nobody can read."""
    mask = os.umask(0o027)
    try:
        assert start(link, f"umask; cat; touch {tmp_path}/made; echo x >{tmp_path}/jobs/job/kept", stdin=b"secret\n")
    finally:
        os.umask(mask)
    assert ended(link).tail == "0027\nsecret\n"
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o640
    folder = tmp_path / "jobs"
    for path in (folder, folder / "job"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (folder / "job" / "output", folder / "job" / "command"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_job_was_told_is_kept_and_what_it_read_is_not(link, tmp_path):
    command = Command(argv=("sh", "-c", "cat >/dev/null", "it's", "a\nb"), environment={"A": "b c"}, stdin=b"canary")
    assert asyncio.run(link.start("job", command))
    ended(link)
    folder = tmp_path / "jobs" / "job"
    kept = (folder / "command").read_bytes().split(b"\0")
    assert kept == [b"env", b"A=b c", b"sh", b"-c", b"cat >/dev/null", b"it's", b"a\nb", b""]
    assert not any(b"canary" in path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_a_job_leads_a_session_of_its_own_and_reads_nothing(link, tmp_path):
    assert start(link, "cat; echo read; cut -d' ' -f6 /proc/$$/stat")
    tail = ended(link).tail.split()
    assert tail[0] == "read"
    assert int(tail[1]) == leader(tmp_path) != os.getsid(0)


def test_a_job_in_a_folder_that_is_not_there_fails(link):
    assert asyncio.run(link.start("job", Command(argv=("true",), folder="/no/such/folder")))
    assert ended(link).exit_code == 127


def test_a_job_runs_in_the_folder_it_is_given(link, tmp_path):
    assert asyncio.run(link.start("job", Command(argv=("pwd",), folder="/usr")))
    assert ended(link).tail == "/usr\n"


def test_nothing_is_left_of_a_job_that_is_forgotten(link, tmp_path):
    assert start(link, "true")
    ended(link)
    asyncio.run(link.forget("job"))
    assert list((tmp_path / "jobs").iterdir()) == []


# --- a folder of jobs that cannot be trusted --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_of_jobs_that_others_may_enter_is_refused(link, tmp_path, mode):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs").chmod(mode)
    with pytest.raises(Unreachable, match="only its owner may enter: chmod 700"):
        start(link, f"touch {tmp_path}/ran")
    with pytest.raises(Unreachable, match="chmod 700"):
        look(link)
    with pytest.raises(Unreachable, match="chmod 700"):
        asyncio.run(link.forbid("job"))
    assert not (tmp_path / "ran").exists()


def test_a_folder_of_jobs_that_is_a_link_is_refused(link, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "jobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unreachable, match="only its owner may enter"):
        start(link, "true")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_jobs_that_belongs_to_somebody_else_is_refused(link, tmp_path):
    (tmp_path / "jobs").mkdir(mode=0o700)
    shutil.chown(tmp_path / "jobs", 12345)
    with pytest.raises(Unreachable, match="belongs to somebody else"):
        start(link, "true")


def test_a_folder_of_jobs_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    link = asyncio.run(Local({"jobs": str(tmp_path / "file" / "jobs")}, tmp_path).open("localhost"))
    with pytest.raises(Unreachable, match=r"cannot keep jobs: .*cannot be made"):
        start(link, "true")


# --- this machine -----------------------------------------------------------------------------------------------------


def test_a_host_that_is_not_this_machine_is_refused_unless_the_settings_say_that_it_is(tmp_path):
    assert Local({}, tmp_path).validate("db1.acme.example")
    with pytest.raises(InvalidValue, match="db1"):
        asyncio.run(Local({}, tmp_path).open("db1.acme.example"))
    named = Local({"hosts": ["db1.acme.example"]}, tmp_path)
    assert named.validate("DB1.acme.example") == ()
    assert asyncio.run(named.open("db1.acme.example")).host == "db1.acme.example"


def test_a_command_does_not_see_what_is_meant_for_maintsched_alone(link, monkeypatch):
    monkeypatch.setenv("MAINTSCHED_SMTP_PASSWORD", "canary")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/canary")
    assert start(link, "env")
    shown = asyncio.run(link.run(Command(argv=("env",)), timeout_seconds=60)).stdout + ended(link).tail
    assert "PATH=" in shown
    assert "canary" not in shown


def test_out_of_time_a_looking_command_is_ended_with_what_it_started_and_a_job_is_not(link, tmp_path):
    assert start(link, f"while [ ! -e {tmp_path}/released ]; do sleep 0.05; done")
    script = f"sleep 3600 & echo $! >{tmp_path}/child; echo $$ >{tmp_path}/parent; wait"
    with pytest.raises(Unreachable, match="did not end within 1 s"):
        asyncio.run(link.run(Command(argv=("sh", "-c", script)), timeout_seconds=1))
    for name in ("child", "parent"):
        wait(partial(gone, int((tmp_path / name).read_text())), lambda: "something lives that was to be ended")
    assert look(link).state is JobState.RUNNING
    (tmp_path / "released").touch()
    assert ended(link).exit_code == 0


def test_a_program_that_cannot_be_run_ends_with_126(link, tmp_path):
    (tmp_path / "data").write_text("")
    assert asyncio.run(link.run(Command(argv=(str(tmp_path / "data"),)), timeout_seconds=60)).exit_code == 126


@pytest.mark.parametrize(
    "settings",
    [
        {"hosts": ["-x"]},
        {"hosts": "localhost"},
        {"jobs": "jobs"},
        {"jobs": "~/jobs"},
        {"boot_id": ""},
        {"answer_timeout_seconds": 0},
        {"answer_timeout_seconds": "60"},
        {"nosuch": 1},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_refused(tmp_path, settings):
    with pytest.raises(InvalidValue):
        Local(settings, tmp_path)

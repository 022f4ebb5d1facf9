"""By ssh only a host that was pinned is worked on, with our key alone, and whoever dies on the way kills no job."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

import bench.ssh
from maintsched.errors import HostKeyRefused, InvalidValue, Unreachable
from maintsched.executors.port import Command, Job, JobState, Link, Output
from maintsched.executors.transports.ssh import Ssh
from tests.sshd import HOST, Sshd, free_port, gone, make_key, sshd, started, wait
from tests.test_transports_jobs import CLIENT

__all__ = ["sshd"]

HOSTS = [f"web{number}.acme.example" for number in range(50)]


def run(transport: Ssh, *argv: str, host: str = HOST, seconds: float = 60, environment: dict | None = None) -> Output:
    async def told() -> Output:
        link = await transport.open(host)
        try:
            return await link.run(Command(argv=argv, environment=environment or {}), timeout_seconds=seconds)
        finally:
            await link.close()

    return asyncio.run(told())


@pytest.fixture
def transport(sshd: Sshd, tmp_path: Path) -> Ssh:
    return Ssh(sshd.settings(jobs=str(tmp_path / "jobs")), tmp_path)


@pytest.fixture
def link(transport: Ssh) -> Iterator[Link]:
    with asyncio.Runner() as runner:
        opened = runner.run(transport.open(HOST))
        opened.told = runner.run  # type: ignore[attr-defined]
        yield opened
        runner.run(opened.close())


@pytest.fixture
def nothing_runs(sshd: Sshd) -> Iterator[None]:
    """Nobody gets in while the test runs."""
    before = sshd.log.count("Accepted ")
    yield
    assert sshd.log.count("Accepted ") == before


# --- who the host is --------------------------------------------------------------------------------------------------


def test_a_pinned_host_lets_us_in_with_our_key(transport):
    assert run(transport, "echo", "here").stdout == "here\n"


@pytest.mark.usefixtures("nothing_runs")
def test_a_host_that_nobody_has_pinned_is_refused_and_nothing_runs(sshd, tmp_path):
    (tmp_path / "known_hosts").write_text(f"[other.example]:{sshd.port} {sshd.host_key}\n")
    transport = Ssh(sshd.settings(known_hosts="known_hosts"), tmp_path)
    with pytest.raises(HostKeyRefused, match="none is pinned in"):
        asyncio.run(transport.open(HOST))
    (problem,) = transport.validate(HOST)
    assert f"ssh-keyscan -p {sshd.port} {HOST}" in problem


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_host_with_another_key_than_the_pinned_one_is_refused_and_nothing_runs(sshd, tmp_path, kind):
    """Be it of the same kind or of another one: the host is not asked for that kind alone."""
    key = make_key(tmp_path / "other", kind).with_suffix(".pub").read_text()
    (tmp_path / "known_hosts").write_text(f"[{HOST}]:{sshd.port} {key}")
    transport = Ssh(sshd.settings(known_hosts="known_hosts"), tmp_path)
    assert transport.validate(HOST) == ()
    with pytest.raises(HostKeyRefused, match="it shows ssh-ed25519 SHA256:"):
        asyncio.run(transport.open(HOST))


@pytest.mark.usefixtures("nothing_runs")
def test_a_key_that_was_revoked_is_refused_though_it_is_pinned(sshd, tmp_path):
    names = f"[{HOST}]:{sshd.port} {sshd.host_key}\n"
    (tmp_path / "known_hosts").write_text(f"{names}@revoked {names}")
    with pytest.raises(HostKeyRefused, match="revoked"):
        asyncio.run(Ssh(sshd.settings(known_hosts="known_hosts"), tmp_path).open(HOST))


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("content", [None, "", "# nothing\n"], ids=["no file", "empty", "a comment"])
def test_where_nothing_is_pinned_no_other_file_is_asked(sshd, tmp_path, monkeypatch, content):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(sshd.known_hosts.read_text())
    monkeypatch.setenv("HOME", str(tmp_path))
    if content is not None:
        (tmp_path / "pinned").write_text(content)
    transport = Ssh(sshd.settings(known_hosts="pinned"), tmp_path)
    with pytest.raises(HostKeyRefused, match="none is pinned"):
        asyncio.run(transport.open(HOST))
    assert len(transport.validate(HOST)) == 1


def test_without_a_file_of_pinned_keys_nothing_can_be_configured(sshd, tmp_path):
    for settings in ({}, {"known_hosts": None}, {"known_hosts": ""}, {"known_hosts": False}):
        with pytest.raises(InvalidValue, match="known_hosts"):
            Ssh({"identity": str(sshd.identity), **settings}, tmp_path)


def test_a_host_that_changes_its_key_is_refused_when_the_link_opens_anew(tmp_path):
    with started() as server:
        transport = Ssh(server.settings(), tmp_path)

        async def story() -> None:
            link = await transport.open(HOST)
            server.known_hosts.write_text("")
            server.pin("other.example")
            server.cut()
            with pytest.raises(HostKeyRefused):
                await link.look("job")

        asyncio.run(story())


def test_the_names_of_pinned_hosts_may_be_hashed(sshd, tmp_path):
    (tmp_path / "hashed").write_text(sshd.known_hosts.read_text())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(tmp_path / "hashed")], check=True, capture_output=True)
    assert HOST not in (tmp_path / "hashed").read_text()
    assert run(Ssh(sshd.settings(known_hosts="hashed"), tmp_path), "true").ok


def test_an_authority_may_vouch_for_a_host_and_another_one_may_not(tmp_path):
    with started(authority=True) as server:
        for name, fine in (("authority", True), ("user_key", False)):
            key = (server.folder / f"{name}.pub").read_text()
            (tmp_path / name).write_text(f"@cert-authority [{HOST}]:{server.port} {key}")
            transport = Ssh(server.settings(known_hosts=name), tmp_path)
            if fine:
                assert run(transport, "true").ok
            else:
                with pytest.raises(HostKeyRefused, match="not trusted"):
                    asyncio.run(transport.open(HOST))


# --- who we are -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_runs")
def test_a_key_that_the_host_does_not_know_gets_nowhere(sshd, tmp_path):
    make_key(tmp_path / "wrong")
    with pytest.raises(Unreachable, match=r"does not let \S+ in with the key wrong"):
        asyncio.run(Ssh(sshd.settings(identity="wrong"), tmp_path).open(HOST))


def test_a_key_that_may_run_commands_and_nothing_else_will_do(tmp_path):
    """As the page on ssh has it put into authorized_keys."""
    with started() as server:
        keys = server.folder / "authorized_keys"
        keys.write_text(f'restrict,from="{HOST}" {keys.read_text()}')
        assert run(Ssh(server.settings(), tmp_path), "echo", "here").stdout == "here\n"


@pytest.fixture
def agent(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real agent that holds the key which the host lets in."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        wait(socket.exists, lambda: "no agent")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(sshd.identity)], check=True, stdin=subprocess.DEVNULL)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.usefixtures("agent", "nothing_runs")
def test_keys_that_lie_about_are_not_offered(sshd, tmp_path, monkeypatch):
    """Neither those of an agent nor those in ~/.ssh, and what ~/.ssh/config says does not count."""
    (tmp_path / ".ssh").mkdir()
    for name in ("id_ed25519", "id_ed25519.pub"):
        (tmp_path / ".ssh" / name).write_text(sshd.identity.with_suffix(name[10:]).read_text())
    (tmp_path / ".ssh" / "id_ed25519").chmod(0o600)
    (tmp_path / ".ssh" / "config").write_text(
        f"Host *\n ProxyCommand touch {tmp_path}/ran\n StrictHostKeyChecking no\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    make_key(tmp_path / "wrong")
    with pytest.raises(Unreachable, match="does not let"):
        asyncio.run(Ssh(sshd.settings(identity="wrong"), tmp_path).open(HOST))
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("agent")
def test_an_agent_is_asked_where_the_settings_say_so(sshd, tmp_path):
    settings = {name: value for name, value in sshd.settings(agent=True).items() if name != "identity"}
    assert run(Ssh(settings, tmp_path), "true").ok


def test_an_agent_that_is_not_there_is_said(sshd, tmp_path, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nobody"))
    with pytest.raises(Unreachable, match="agent cannot be asked"):
        asyncio.run(Ssh(sshd.settings(agent=True), tmp_path).open(HOST))


@pytest.mark.parametrize("reply", [b"", b"\0\0\0\5\x0c\0\0\0\0", b"\0\0\0\1\5"], ids=["silent", "empty", "refusing"])
def test_an_agent_without_a_key_for_us_is_said(sshd, tmp_path, monkeypatch, reply):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(reply)
        writer.close()
        await writer.wait_closed()

    async def story() -> None:
        settings = {name: value for name, value in sshd.settings(agent=True).items() if name != "identity"}
        server = await asyncio.start_unix_server(answer, tmp_path / "agent")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        with pytest.raises(Unreachable, match=r"the agent has none|the agent does not answer"):
            await Ssh(settings, tmp_path).open(HOST)
        server.close()

    asyncio.run(story())


@pytest.mark.usefixtures("agent")
def test_neither_the_agent_nor_a_display_is_handed_on(sshd, tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("MAINTSCHED_SECRET", "canary")
    shown = run(Ssh(sshd.settings(agent=True), tmp_path), "env").stdout
    assert "SSH_CONNECTION=" in shown
    assert not [name for name in ("SSH_AUTH_SOCK", "DISPLAY", "canary") if name in shown]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_private_key_that_others_may_read_is_refused_with_the_command_that_mends_it(sshd, tmp_path, mode):
    key = make_key(tmp_path / "mine")
    key.chmod(mode)
    transport = Ssh(sshd.settings(identity="mine"), tmp_path)
    with pytest.raises(InvalidValue, match="chmod 600"):
        asyncio.run(transport.open(HOST))
    assert "chmod 600" in transport.validate(HOST)[0]


def test_pinned_keys_that_everybody_may_write_are_refused(sshd, tmp_path):
    (tmp_path / "pinned").write_text(sshd.known_hosts.read_text())
    (tmp_path / "pinned").chmod(0o666)
    with pytest.raises(InvalidValue, match="chmod o-w"):
        asyncio.run(Ssh(sshd.settings(known_hosts="pinned"), tmp_path).open(HOST))


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_private_key_is_refused(sshd, tmp_path, content):
    (tmp_path / "mine").write_text(content)
    (tmp_path / "mine").chmod(0o600)
    with pytest.raises(InvalidValue, match="private key without a passphrase"):
        asyncio.run(Ssh(sshd.settings(identity="mine"), tmp_path).open(HOST))


def test_a_private_key_with_a_passphrase_is_refused(sshd, tmp_path):
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(tmp_path / "mine")]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    with pytest.raises(InvalidValue, match="without a passphrase"):
        asyncio.run(Ssh(sshd.settings(identity="mine"), tmp_path).open(HOST))


def test_files_that_cannot_be_read_are_refused(sshd, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bad").write_text("one-word\n")
    for name, value in (("identity", "nosuch"), ("identity", "folder"), ("identity", "pipe"), ("known_hosts", "bad")):
        with pytest.raises(InvalidValue, match=name):
            asyncio.run(Ssh(sshd.settings(**{name: value}), tmp_path).open(HOST))
        assert Ssh(sshd.settings(**{name: value}), tmp_path).validate(HOST)


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 0},
        {"port": "22"},
        {"user": ""},
        {"user": "a\nb"},
        {"user": "-oProxyCommand=x"},
        {"identity": None},
        {"addresses": {"-x": "127.0.0.1"}},
        {"addresses": {"a.example": "-oProxyCommand=x"}},
        {"connect_timeout_seconds": 0},
        {"keepalive_seconds": True},
        {"jobs": "jobs"},
        {"boot_id": "boot_id"},
        {"agent": "yes"},
        {"password": "secret"},
        {"known_host": "x"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_refused(sshd, tmp_path, settings):
    with pytest.raises(InvalidValue):
        Ssh(sshd.settings(**settings), tmp_path)


# --- hosts that do not answer -----------------------------------------------------------------------------------------


def test_a_host_that_is_not_there_is_unreachable(sshd, tmp_path):
    port = free_port()
    (tmp_path / "pinned").write_text(f"[{HOST}]:{port} {sshd.host_key}\n")
    with pytest.raises(Unreachable, match="no answer"):
        asyncio.run(Ssh(sshd.settings(known_hosts="pinned", port=port), tmp_path).open(HOST))


def test_a_host_that_takes_the_connection_and_says_nothing_is_unreachable_in_time(sshd, tmp_path):
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        (tmp_path / "pinned").write_text(f"[{HOST}]:{port} {sshd.host_key}\n")
        settings = sshd.settings(known_hosts="pinned", port=port, connect_timeout_seconds=1)
        with pytest.raises(Unreachable, match="no connection within 1 s"):
            asyncio.run(Ssh(settings, tmp_path).open(HOST))


def test_a_host_that_stops_answering_is_unreachable_and_its_job_goes_on(tmp_path):
    """Frozen, as a host is that hangs: the connection is there, and nobody answers on it."""
    with started() as server:

        async def story() -> None:
            link = await Ssh(server.settings(keepalive_seconds=1), tmp_path).open(HOST)
            assert await link.start("job", Command(argv=("sh", "-c", "echo begun; exec sleep 2")))
            frozen = server.connections()
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            with pytest.raises(Unreachable):
                await link.run(Command(argv=("true",)), timeout_seconds=30)
            assert (await link.look("job")).state in (JobState.RUNNING, JobState.ENDED)
            for pid in frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await link.close()

        asyncio.run(story())


def test_a_host_that_does_not_say_what_became_of_a_job_is_unreachable_in_time(tmp_path):
    with started() as server:

        async def story() -> None:
            link = await Ssh(server.settings(answer_timeout_seconds=1), tmp_path).open(HOST)
            for pid in server.connections():
                os.kill(pid, signal.SIGSTOP)
            with pytest.raises(Unreachable, match="did not answer within 1 s"):
                await link.look("job")
            server.cut()
            assert (await link.look("job")).state is JobState.ABSENT
            await link.close()

        asyncio.run(story())


# --- connections that are cut, clients that are killed ----------------------------------------------------------------


def test_a_job_goes_on_when_its_connection_is_cut_and_its_end_is_read_over_another_one(sshd, link, tmp_path):
    script = f"echo $$; while [ ! -e {tmp_path}/released ]; do sleep 0.05; done; echo over; exit 5"
    assert link.told(link.start("job", Command(argv=("sh", "-c", script))))
    sshd.cut()
    found = link.told(link.look("job"))
    assert found.state is JobState.RUNNING
    (tmp_path / "released").touch()
    assert ended(link, "job").exit_code == 5
    assert ended(link, "job").tail == f"{found.tail.split()[0]}\nover\n"


def test_a_command_whose_connection_is_cut_is_not_known_to_have_ended(sshd, link, tmp_path):
    async def story() -> None:
        script = f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/released ]; do sleep 0.05; done"
        running = asyncio.create_task(link.run(Command(argv=("sh", "-c", script)), timeout_seconds=60))
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0.01)
        for pid in sshd.connections():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(Unreachable, match=r"cut|lost|closed|reset"):
            await running
        (tmp_path / "released").touch()  # nobody is left who could end it
        assert (await link.run(Command(argv=("echo", "again")), timeout_seconds=60)).stdout == "again\n"

    link.told(story())


def test_a_start_that_is_cut_at_any_moment_leaves_a_job_that_runs_once_or_never(sshd, link, tmp_path):
    async def attempt(job: str, delay: float) -> bool | None:
        starting = asyncio.create_task(link.start(job, Command(argv=("sh", "-c", f"echo ran >>{tmp_path}/{job}"))))
        await asyncio.sleep(delay)
        for pid in sshd.connections():
            os.kill(pid, signal.SIGKILL)
        try:
            return await starting
        except Unreachable:
            return None

    for step in range(12):
        job = f"job-{step}"
        told = link.told(attempt(job, step * 0.006))
        never = link.told(link.forbid(job))
        assert told is not False
        assert not (told and never)
        assert not link.told(link.start(job, Command(argv=("sh", "-c", f"echo again >>{tmp_path}/{job}"))))
        assert ended(link, job).state is (JobState.ABSENT if never else JobState.ENDED)
        assert ((tmp_path / job).read_text() if (tmp_path / job).exists() else "") == ("" if never else "ran\n")


def test_a_job_goes_on_when_the_client_that_started_it_is_killed(sshd, link, tmp_path):
    script = f"echo begun; while [ ! -e {tmp_path}/released ]; do sleep 0.05; done; exit 7"
    told = json.dumps(["ssh", sshd.settings(jobs=str(tmp_path / "jobs")), HOST, script])
    client = subprocess.Popen([sys.executable, "-c", CLIENT, told], stdout=subprocess.PIPE)
    assert client.stdout is not None
    assert client.stdout.readline() == b"True\n"
    client.kill()
    client.communicate()
    assert link.told(link.look("job")).state is JobState.RUNNING
    (tmp_path / "released").touch()
    assert ended(link, "job") == Job(state=JobState.ENDED, exit_code=7, tail="begun\n")


def test_a_job_that_two_clients_start_at_once_runs_once(sshd, link, tmp_path):
    told = json.dumps(["ssh", sshd.settings(jobs=str(tmp_path / "jobs")), HOST, f"echo ran >>{tmp_path}/count"])
    clients = [subprocess.Popen([sys.executable, "-c", CLIENT, told], stdout=subprocess.PIPE) for _ in range(2)]
    answers = sorted(client.stdout.readline() for client in clients if client.stdout)
    for client in clients:
        client.kill()
        client.communicate()
    assert answers == [b"False\n", b"True\n"]
    assert ended(link, "job").exit_code == 0
    assert (tmp_path / "count").read_text() == "ran\n"


def test_out_of_time_a_looking_command_is_ended_with_what_it_started_and_a_job_is_not(link, tmp_path):
    assert link.told(link.start("job", Command(argv=("sh", "-c", "echo $$; exec sleep 3600"))))
    script = f"sleep 3600 & echo $! >{tmp_path}/child; echo $$ >{tmp_path}/parent; wait"
    with pytest.raises(Unreachable, match="sh did not end within 1 s"):
        link.told(link.run(Command(argv=("sh", "-c", script)), timeout_seconds=1))
    for name in ("child", "parent"):
        wait(partial(gone, int((tmp_path / name).read_text())), lambda: "something lives that was to be ended")
    found = link.told(link.look("job"))
    assert found.state is JobState.RUNNING
    os.kill(int(found.tail), signal.SIGKILL)
    assert ended(link, "job").exit_code == 128 + signal.SIGKILL


def test_a_command_that_was_killed_ends_with_128_and_its_signal(link):
    output = link.told(link.run(Command(argv=("sh", "-c", "kill -9 $$")), timeout_seconds=60))
    assert output.exit_code == 137


def test_what_a_command_says_on_stderr_is_kept_apart(link):
    script = "echo maintsched-group 1 >&2; echo out; echo err >&2"
    output = link.told(link.run(Command(argv=("sh", "-c", script)), timeout_seconds=60))
    assert (output.stdout, output.stderr) == ("out\n", "maintsched-group 1\nerr\n")


def test_a_command_that_reads_nothing_of_much_is_no_error(link):
    output = link.told(link.run(Command(argv=("true",), stdin=b"x" * 3_000_000), timeout_seconds=60))
    assert output.exit_code == 0


def test_quotes_that_make_a_line_too_long_are_refused_before_anything_is_sent(link):
    with pytest.raises(InvalidValue, match="once it is quoted"):
        link.told(link.run(Command(argv=("true", "'" * 40_000)), timeout_seconds=60))


def test_a_shell_that_prints_something_of_its_own_is_refused_and_not_misread(tmp_path):
    with started() as server:
        (server.folder / "home" / ".bashrc").write_text("echo welcome\n")

        async def story() -> None:
            link = await Ssh(server.settings(), tmp_path).open(HOST)
            if (await link.run(Command(argv=("true",)), timeout_seconds=60)).stdout != "welcome\n":
                pytest.skip("the shell of this user reads no .bashrc")
            with pytest.raises(Unreachable, match="what does its shell print"):
                await link.look("job")
            await link.close()

        asyncio.run(story())


@pytest.mark.parametrize(
    "noise", ["echo psst >&2", "head -c 100000 /dev/zero | tr '\\0' x >&2"], ids=["little", "much"]
)
def test_what_a_shell_says_of_its_own_on_stderr_hinders_nobody(tmp_path, noise):
    with started() as server:
        (server.folder / "home" / ".bashrc").write_text(f"{noise}\n")

        async def story() -> None:
            link = await Ssh(server.settings(), tmp_path).open(HOST)
            output = await link.run(Command(argv=("echo", "out")), timeout_seconds=60)
            assert output.stdout == "out\n"
            assert await link.start("job", Command(argv=("true",)))
            with pytest.raises(Unreachable, match="did not end"):
                await link.run(Command(argv=("sleep", "20")), timeout_seconds=0.3)
            await link.close()

        asyncio.run(story())


def test_a_process_group_that_would_mean_everybody_is_none():
    from maintsched.executors.transports.connection import _GROUP

    assert not _GROUP.search(b"maintsched-group 1\n")
    assert not _GROUP.search(b"maintsched-group 0\n")
    assert not _GROUP.search(b"maintsched-group -1\n")
    assert _GROUP.search(b"noise\nmaintsched-group 12\n")


def test_jobs_are_kept_in_the_home_of_the_user_on_the_host_unless_it_is_said(sshd, tmp_path):
    settings = {name: value for name, value in sshd.settings().items() if name != "jobs"}

    async def story() -> None:
        link = await Ssh(settings, tmp_path).open(HOST)
        assert await link.start("job", Command(argv=("true",)))
        await link.close()

    asyncio.run(story())
    assert (sshd.folder / "home/.local/state/maintsched/jobs/job/begun").is_symlink()


# --- many hosts -------------------------------------------------------------------------------------------------------


def test_fifty_hosts_are_worked_on_at_once(sshd, tmp_path):
    known = tmp_path / "known_hosts"
    known.write_text("".join(f"[{host}]:{sshd.port} {sshd.host_key}\n" for host in HOSTS[:-1]))
    settings = sshd.settings(known_hosts=str(known), addresses=dict.fromkeys(HOSTS, HOST), connect_timeout_seconds=120)
    transport = Ssh(settings, tmp_path)

    async def one(host: str) -> str:
        link = await transport.open(host)
        try:
            return (await link.run(Command(argv=("echo", host)), timeout_seconds=60)).stdout
        finally:
            await link.close()

    async def story() -> list[str | BaseException]:
        return await asyncio.gather(*(one(host) for host in HOSTS), return_exceptions=True)

    *fine, refused = asyncio.run(story())
    assert fine == [f"{host}\n" for host in HOSTS[:-1]]
    assert isinstance(refused, HostKeyRefused)


def test_a_key_that_is_pinned_for_the_address_alone_is_not_pinned_for_the_host(sshd, tmp_path):
    transport = Ssh(sshd.settings(addresses={"web.acme.example": HOST}), tmp_path)
    with pytest.raises(HostKeyRefused, match="none is pinned"):
        asyncio.run(transport.open("web.acme.example"))


def test_both_sides_of_the_benchmark_do_the_same_on_as_many_hosts(capsys):
    found: list[str] = []
    for comparison in bench.ssh.comparisons(quick=True):
        found += comparison.differences()
        assert len(comparison.ours.answer()) == 6  # type: ignore[arg-type]  # a list of what the hosts said
    assert found == []
    assert capsys.readouterr().out == ""


def ended(link: Link, job: str) -> Job:
    def look() -> Job:
        return link.told(link.look(job))  # type: ignore[attr-defined]

    wait(lambda: look().state is not JobState.RUNNING, lambda: f"{job} runs: {look()}")
    return look()

"""A real sshd for tests, on loopback alone, with keys that are thrown away afterwards.

    def test_something(sshd): ...       # the fixture, named in `pytest_plugins` or imported
        transport = Ssh(sshd.settings(), sshd.folder)

It runs as the user who tests, without PAM and with a configuration of its own, so that it lets in that user only. Where
none is installed, the tests are skipped with the reason; with MAINTSCHED_NEEDS_SSHD set, they fail.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.databases import LIBC

TRIES, PAUSE_SECONDS = 1500, 0.02
HOST = "127.0.0.1"
CONFIG = """
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
X11Forwarding no
UseDNS no
MaxStartups 500
MaxSessions 100
LogLevel INFO
SetEnv HOME={folder}/home
"""


class Sshd:
    """An sshd that runs."""

    def __init__(self, folder: Path, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.folder = folder
        self.port = port
        self.process = process

    @property
    def identity(self) -> Path:
        """The private key that it lets in."""
        return self.folder / "user_key"

    @property
    def known_hosts(self) -> Path:
        """A file with its key, pinned for 127.0.0.1 and its port."""
        return self.folder / "known_hosts"

    @property
    def host_key(self) -> str:
        """Its public key: kind and key."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def pin(self, *hosts: str) -> Path:
        """Pin its key for other names as well; return the file."""
        with self.known_hosts.open("a") as file:
            file.writelines(f"[{host}]:{self.port} {self.host_key}\n" for host in hosts)
        return self.known_hosts

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of the transport `ssh` that reach it; jobs are kept in its folder."""
        return {
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "port": self.port,
            "identity": str(self.identity),
            "known_hosts": str(self.known_hosts),
            "jobs": str(self.folder / "jobs"),
            **more,
        }

    def connections(self) -> list[int]:
        """The processes that serve a connection each."""
        return children_of(self.process.pid)

    def cut(self) -> None:
        """Kill whatever serves a connection, as a broken line would end it: without a goodbye."""
        for pid in self.connections():
            for each in (*[each for each in children_of(pid) if name_of(each) == "sshd"], pid):
                os.kill(each, signal.SIGKILL)
        wait(lambda: not self.connections(), lambda: f"connections remain: {self.connections()}")

    @property
    def log(self) -> str:
        """What it has written down."""
        return (self.folder / "log").read_text(errors="replace")


def stat_of(pid: int) -> list[str]:
    """What Linux says of a process, its name first; nothing where it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    name, _, rest = text.partition("(")[2].rpartition(")")
    return [name, *rest.split()]


def name_of(pid: int) -> str:
    return next(iter(stat_of(pid)), "")


def gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked for its exit code yet."""
    return stat_of(pid)[1:2] in ([], ["Z"])


def children_of(pid: int) -> list[int]:
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    return [each for each in pids if (found := stat_of(each)) and found[2] == str(pid) and found[1] != "Z"]


def wait(done: Callable[[], bool], what: Callable[[], str]) -> None:
    """Look again and again until something has happened; fail with what is missing where it does not."""
    for _ in range(TRIES):
        if done():
            return
        time.sleep(PAUSE_SECONDS)
    pytest.fail(what())


_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def missing() -> str | None:
    """Say what keeps an sshd from being started here, or None."""
    for program in ("sshd", "ssh-keygen"):
        if shutil.which(program, path=_PATH) is None:
            return f"no {program} here: install the package openssh-server"
    return None


def require_sshd() -> None:
    """Skip the test where no sshd can be started; fail it where that was promised."""
    reason = missing()
    if reason and "MAINTSCHED_NEEDS_SSHD" in os.environ:
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def make_key(path: Path, kind: str = "ed25519") -> Path:
    """Make a pair of keys without a passphrase; return the private one."""
    command = [_program("ssh-keygen"), "-q", "-t", kind, "-N", "", "-C", "thrown-away", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return path


def _vouch(authority: Path, key: Path) -> None:
    command = [_program("ssh-keygen"), "-q", "-h", "-s", str(authority), "-I", "host", "-n", HOST, str(key)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    assert found is not None, f"{name} is missing"
    return found


@contextmanager
def started(*, authority: bool = False) -> Iterator[Sshd]:
    """Start an sshd, and with an `authority` one that vouches for its key. Everything of it is gone afterwards."""
    require_sshd()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks itself in before somebody has logged in
    folder = Path(tempfile.mkdtemp(prefix="maintsched-sshd-"))
    try:
        (folder / "home").mkdir()  # what a shell reads there when it begins is not ours to try
        make_key(folder / "host_key")
        make_key(folder / "user_key")
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        port = free_port()
        config = CONFIG.format(port=port, host=HOST, folder=folder)
        if authority:
            _vouch(make_key(folder / "authority"), folder / "host_key.pub")
            config += f"HostCertificate {folder}/host_key-cert.pub\n"
        (folder / "config").write_text(config)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [_program("sshd"), "-D", "-e", "-f", str(folder / "config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509 - the hook makes one system call and takes no lock
            )
        server = Sshd(folder, port, process)
        try:
            server.pin(HOST)
            wait(
                lambda: process.poll() is not None or _listens(port),
                lambda: f"sshd does not listen on port {port}: {server.log}",
            )
            assert process.poll() is None, server.log
            yield server
        finally:
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    """An sshd for the tests of a module."""
    with started() as server:
        yield server


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _die_with_us() -> None:
    """Let Linux end the server when this process is killed and cannot do so itself."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        LIBC.prctl(set_parent_death_signal, signal.SIGTERM)

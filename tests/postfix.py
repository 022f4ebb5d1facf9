"""A real Postfix for tests, on loopback alone: it delivers into maildirs of its own, bounces, delays and reports.

    with postfix(mailboxes=("eva@customer.example",), slow=("ines@customer.example",)) as server: ...

Its configuration, queue and maildirs lie in a folder that goes with it; it listens on a free port of 127.0.0.1, asks no
name server and hands nothing on. Postfix changes users as it works, so that only root can start it: elsewhere, and
where it is not installed, the tests are skipped with the reason; with MAINTSCHED_NEEDS_POSTFIX set, they fail.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.databases import LIBC

TRIES, PAUSE_SECONDS = 1500, 0.02
MAIN = """
compatibility_level = 3.6
myhostname = mail.postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
alias_maps =
alias_database =
local_recipient_maps =
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}/log
mail_owner = postfix
setgid_group = postdrop

# Nothing leaves this machine, and nobody is asked.
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
default_transport = error:5.1.2 this server hands nothing on
relay_transport = error:5.1.2 this server hands nothing on

# Every recipient is taken: whether there is a mailbox shows afterwards, in a report.
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_reject_unlisted_recipient = no
virtual_mailbox_domains = customer.example, hosting.example
virtual_mailbox_base = {folder}/mailboxes
virtual_mailbox_maps = inline:{{ {mailboxes} }}
virtual_uid_maps = static:{user}
virtual_gid_maps = static:{group}
virtual_minimum_uid = 1
transport_maps = inline:{{ {slow} }}
delay_warning_time = 1s
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup  unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr    unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce  unix - - n - 0 bounce
defer   unix - - n - 0 bounce
trace   unix - - n - 0 bounce
verify  unix - - n - 1 verify
flush   unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq   unix n - n - - showq
error   unix - - n - - error
retry   unix - - n - - error
virtual unix - n n - - virtual
anvil   unix - - n - 1 anvil
"""


class Postfix:
    """A Postfix that runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def maildir(self, address: str) -> Path:
        """Return the maildir of an address."""
        return self.folder / "mailboxes" / address

    def arrived(self, address: str, count: int = 1) -> list[bytes]:
        """Wait until so many mails nobody has seen lie in a mailbox; return them."""
        folder = self.maildir(address) / "new"
        wait(
            lambda: len(_names(folder)) >= count, lambda: f"{_names(folder)} of {count} mails to {address}\n{self.log}"
        )
        return [(folder / name).read_bytes() for name in _names(folder)]

    @property
    def log(self) -> str:
        """What Postfix has written down."""
        path = self.folder / "log" / "mail.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def wait(done: Callable[[], bool], what: Callable[[], str]) -> None:
    """Look again and again until something has happened; fail with what is missing where it does not."""
    for _ in range(TRIES):
        if done():
            return
        time.sleep(PAUSE_SECONDS)
    pytest.fail(what())


def missing() -> str | None:
    """Say what keeps Postfix from being started here, or None."""
    if shutil.which("postfix", path=_PATH) is None:
        return "no Postfix here: install the package postfix"
    if os.geteuid() != 0:
        return "no Postfix here: only root can start one"
    return None


_PARTS = ("new", "cur", "tmp")
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def require_postfix() -> None:
    """Skip the test where Postfix cannot be started; fail it where that was promised."""
    reason = missing()
    if reason and "MAINTSCHED_NEEDS_POSTFIX" in os.environ:
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@contextmanager
def postfix(*, mailboxes: Sequence[str], slow: Sequence[str] = ()) -> Iterator[Postfix]:
    """Start a Postfix with these mailboxes; mails to `slow` are delayed. Everything of it is gone afterwards."""
    require_postfix()
    folder = Path(
        tempfile.mkdtemp(prefix="maintsched-postfix-")
    )  # its processes run as users who cannot enter tmp_path
    try:
        folder.chmod(0o755)
        port = _free_port()
        _configure(folder, port, mailboxes, slow)
        _prepare(folder)
        master = [_asked(folder, "daemon_directory") + "/master", "-c", str(folder / "config"), "-s"]
        with (folder / "output").open("wb") as output:
            running = subprocess.Popen(
                master,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509 - the hook makes one system call and takes no lock
            )
        server = Postfix(folder, port)
        try:
            wait(
                lambda: running.poll() is not None or _listens(port),
                lambda: f"Postfix does not listen: {(folder / 'output').read_text()}{server.log}",
            )
            assert running.poll() is None, (folder / "output").read_text() + server.log
            yield server
        finally:
            _end(running)
    finally:
        wait(lambda: _removed(folder), lambda: f"{folder} cannot be removed")


def _prepare(folder: Path) -> None:
    """Let Postfix look at its configuration and make its queues."""
    made = subprocess.run(
        [_program("postfix"), "-c", str(folder / "config"), "check"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr


def _asked(folder: Path, parameter: str) -> str:
    command = [_program("postconf"), "-c", str(folder / "config"), "-h", parameter]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    assert found is not None, f"{name} is missing"
    return found


def _end(running: "subprocess.Popen[bytes]") -> None:
    """End the master process with all that it started: a group of their own, whose queue is thrown away."""
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _removed(folder: Path) -> bool:
    """Remove a folder, into which somebody who is just being ended may still write."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _configure(folder: Path, port: int, mailboxes: Sequence[str], slow: Sequence[str]) -> None:
    for name in ("config", "queue", "data", "log", "mailboxes"):
        (folder / name).mkdir(mode=0o755)
    owner, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
    os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
    maildirs = [folder / "mailboxes" / each for each in mailboxes]  # the others are made with the first mail
    for path in (folder / "mailboxes", *maildirs, *(each / part for each in maildirs for part in _PARTS)):
        path.mkdir(exist_ok=True)
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    values = {
        "folder": folder,
        "user": nobody.pw_uid,
        "group": nobody.pw_gid,
        "mailboxes": ", ".join(f"{{ {each} = {each}/ }}" for each in (*mailboxes, *slow)),
        "slow": ", ".join(f"{{ {each} = retry:4.2.1 the mailbox is being moved }}" for each in slow) or "{ none = : }",
    }
    (folder / "config" / "main.cf").write_text(MAIN.format(**values).replace("\n\n", "\n"))
    (folder / "config" / "master.cf").write_text(MASTER.format(port=port))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4).startswith(b"220")
    except OSError:
        return False


def _die_with_us() -> None:
    """Let Linux end the server when this process is killed and cannot do so itself."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        LIBC.prctl(set_parent_death_signal, signal.SIGTERM)

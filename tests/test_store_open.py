"""Opening a database: its file is its owner's alone, and whatever is wrong is said in one line without a secret."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from maintsched.errors import StoreError
from maintsched.store import open_store
from tests.databases import address, sqlite_store

CANARY = "canary-7f3a"
NOWHERE = f"postgresql+psycopg://worker:{CANARY}@127.0.0.1:1/maintsched"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(url: str, *, create: bool = False) -> str:
    """The message that opening ends in: one printable line without the password."""
    with pytest.raises(StoreError) as caught:
        open_store(url, create=create)
    said = str(caught.value)
    assert said.isprintable()
    assert CANARY not in said
    return said


@pytest.fixture
def wide_umask():
    before = os.umask(0)
    yield
    os.umask(before)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("wide_umask")
def test_the_files_of_a_database_are_their_owners_alone_in_a_folder_of_its_own(tmp_path):
    with sqlite_store(tmp_path / "var" / "maintsched") as store:
        folder = tmp_path / "var" / "maintsched"
        assert store.path == folder / "maintsched.db"
        assert {each.name: mode(each) for each in folder.iterdir()} == {
            "maintsched.db": 0o600,
            "maintsched.db-wal": 0o600,
            "maintsched.db-shm": 0o600,
        }
        assert mode(folder) == 0o700


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_may_read_is_refused_until_they_may_not(tmp_path, bits, create):
    with sqlite_store(tmp_path) as store:
        url = address(store)
    path = tmp_path / "maintsched.db"
    path.chmod(bits)
    assert f"(mode 0600), got 0{bits:o}; chmod 600 it" in refusal(url, create=create)
    assert mode(path) == bits
    path.chmod(0o600)
    open_store(url).close()


def test_a_database_is_not_made_through_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "maintsched.db").symlink_to(tmp_path / "elsewhere.db")
    assert "there is no" in refusal(f"sqlite:///{tmp_path / 'maintsched.db'}", create=True)
    assert not (tmp_path / "elsewhere.db").exists()


def test_an_empty_file_becomes_a_database(tmp_path):
    path = tmp_path / "maintsched.db"
    path.touch(mode=0o600)
    assert "holds no maintsched; `maintsched init` makes it" in refusal(f"sqlite:///{path}")
    open_store(f"sqlite:///{path}", create=True).close()
    open_store(f"sqlite:///{path}").close()


def test_opening_again_leaves_the_locks_of_a_store_that_is_open(tmp_path):
    """Closing any file handle of a database frees what this process has locked in it; another could take it over."""
    take_over = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('PRAGMA journal_mode = DELETE')"
    with sqlite_store(tmp_path) as store, store.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM meta")
        open_store(address(store), create=True).close()
        command = [sys.executable, "-c", take_over, str(store.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "database is locked" in done.stderr


# --- what is wrong is said --------------------------------------------------------------------------------------------


def test_a_missing_file_is_said_with_the_command_that_makes_it(tmp_path):
    path = tmp_path / "none.db"
    assert refusal(f"sqlite:///{path}") == f"database: there is no {path}; `maintsched init` makes it"
    assert not path.exists()


@pytest.mark.parametrize("create", [False, True])
def test_a_folder_is_no_database(tmp_path, create):
    assert refusal(f"sqlite:///{tmp_path}", create=create) == f"database: expected a file, got the folder {tmp_path}"


def test_a_path_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot open" in refusal(f"sqlite:///{tmp_path / 'file' / 'maintsched.db'}", create=True)


@pytest.mark.parametrize("create", [False, True])
def test_a_file_of_another_kind_is_no_database(tmp_path, create):
    path = tmp_path / "letter.txt"
    path.write_text("Dear Eva, " * 1000)
    path.chmod(0o600)
    assert refusal(f"sqlite:///{path}", create=create) == f"database {path}: file is not a database"
    assert path.read_text() == "Dear Eva, " * 1000


@pytest.mark.parametrize("create", [False, True])
def test_a_damaged_database_is_said_to_be_damaged(tmp_path, create):
    with sqlite_store(tmp_path) as store:
        url = address(store)
    path = tmp_path / "maintsched.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    assert "malformed" in refusal(url, create=create)


def test_a_database_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('a1b2c3d4')")
    connection.close()
    path.chmod(0o600)
    for create in (False, True):
        assert 'got "a1b2c3d4": a newer maintsched made it, or another program' in refusal(
            f"sqlite:///{path}", create=create
        )


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_that_ends_with_the_process_is_refused(url):
    assert refusal(url, create=True).startswith("database: expected a file, so that what was promised outlives")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "maintsched.db",
        f"postgresql://user:{CANARY}@host:port/name",
        f"postgresql://user:{CANARY}@[::1/name",
        f"postgresql:user:{CANARY}@host/name",
        f"mysql://user:{CANARY}@host/name",
        f"postgresql+asyncpg://user:{CANARY}@host/name",
        f"postgresql+psycopg2://user:{CANARY}@host/name",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url):
    assert refusal(url).startswith("database: expected ")


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    "url", [NOWHERE, f"{NOWHERE}?sslpassword={CANARY}", f"postgresql://h.invalid/x?password={CANARY}"]
)
def test_a_server_that_cannot_be_reached_is_said_without_its_password(url, create):
    assert refusal(url, create=create).startswith("database postgresql+psycopg://")


def test_an_option_that_no_server_knows_is_said_without_the_others():
    assert "invalid connection option" in refusal(f"{NOWHERE}?colour=green&password={CANARY}")


def test_a_database_that_the_server_does_not_have_is_said(postgresql):
    assert 'database "nowhere" does not exist' in refusal(postgresql.url("nowhere"), create=True)


def test_an_empty_database_of_a_server_is_said_to_hold_nothing(postgresql):
    assert "holds no maintsched; `maintsched init` makes it" in refusal(postgresql.empty())


def test_a_missing_driver_is_said_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "needs its driver: pip install 'maintsched[postgres]'" in refusal(NOWHERE)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_name_of_postgresql_opens_it(postgresql, scheme):
    url = postgresql.fresh().replace("postgresql+psycopg", scheme)
    with open_store(url) as store:
        assert store.dialect == "postgresql"
        assert store.path is None


def test_an_error_in_a_transaction_is_one_line_that_names_the_database(store):
    for block in (store.reading, store.writing):
        with pytest.raises(StoreError, match=r"^database \S+: .*nowhere") as caught, block() as connection:
            connection.exec_driver_sql("SELECT 1 FROM nowhere")
        assert str(caught.value).isprintable()

"""The files that passes leave beside the database, on bad days: unreadable, without room, taken away."""

import fcntl
import resource
import signal
from contextlib import contextmanager
from dataclasses import replace

import pytest

from maintsched.errors import FileError, StoreError
from maintsched.worker.heads import check_heads, heads_path, read_heads, read_newest, write_heads
from maintsched.worker.restore import hold_of
from maintsched.worker.tick import ExitCode
from tests.databases import sqlite_store
from tests.houses import world
from tests.test_heads_file import EPOCH_1, head


@pytest.fixture
def path(tmp_path):
    return tmp_path / "maintsched.db.heads"


@pytest.fixture
def home(tmp_path):
    with sqlite_store(tmp_path) as store:
        made = world(store, tmp_path)
        made.tick()
        yield made


@contextmanager
def room(size):
    """Let no file grow past `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def test_heads_that_cannot_be_read_are_an_error_that_names_their_file_however_quick_the_look(path):
    path.mkdir()
    for look in (read_newest, read_heads):
        with pytest.raises(FileError, match=f"{path}: expected the heads of the chains") as refused:
            look(path)
        assert refused.value.found == "Is a directory"


def test_a_quick_look_at_a_file_that_holds_no_head_yet_finds_nothing_to_compare(home, path):
    assert heads_path(home.house.config) == path
    for text in (f"epoch {EPOCH_1}\n", f"epoch {EPOCH_1}\n{EPOCH_1} acme-prod 1 00", ""):
        path.write_text(text)
        assert read_newest(path) is None
        assert hold_of(home.house, now=home.now, quick=True) is None


def test_a_database_without_an_epoch_is_behind_whatever_is_known_of_it(store, path):
    write_heads(path, EPOCH_1, {"acme-prod": head(1)})
    with store.reading() as connection:
        faults = check_heads(connection, read_heads(path))
    assert [fault.what for fault in faults] == [
        "the database has no epoch",
        "entry 1 is known from outside, and is gone",
    ]


def test_a_head_for_which_there_is_no_room_is_an_error_and_what_was_written_before_stays(path):
    write_heads(path, EPOCH_1, {"a": head(1)})
    before = path.read_text()
    with room(len(before) + 10), pytest.raises(FileError, match="room to write it and a sound disk") as refused:
        write_heads(path, EPOCH_1, {"a": head(2)})
    assert refused.value.found == "File too large"
    assert read_heads(path).heads == {"a": head(1)}
    write_heads(path, EPOCH_1, {"a": head(2)})
    assert path.read_text() == before + f"{EPOCH_1} a 2 {head(2).digest}\n"


def test_heads_are_written_to_the_file_that_is_there_not_to_one_that_was_taken_away_before_it_was_locked(
    path, monkeypatch
):
    write_heads(path, EPOCH_1, {"a": head(1)})
    lock = fcntl.flock
    times: list[int] = []

    def taken_away(descriptor, operation):
        if not times:
            path.unlink()
        times.append(operation)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", taken_away)
    write_heads(path, EPOCH_1, {"a": head(2)})
    assert len(times) == 2
    assert path.read_text() == f"epoch {EPOCH_1}\n{EPOCH_1} a 2 {head(2).digest}\n"


def test_a_heartbeat_that_cannot_be_written_is_an_error_and_a_half_one_never_takes_the_place_of_the_last(
    home, tmp_path
):
    beat = tmp_path / "heartbeat.json"
    worker = replace(home.house.config.worker, heartbeat_file=str(beat))
    home.house.config = replace(home.house.config, worker=worker)
    assert home.tick().exit_code is ExitCode.DONE
    before = beat.read_text()
    with room(20), pytest.raises(StoreError, match=f"cannot write {beat}: File too large"):
        home.tick()
    assert beat.read_text() == before
    assert list(tmp_path.glob(".*")) == []
    home.house.config = replace(
        home.house.config, worker=replace(worker, heartbeat_file=str(tmp_path / "nowhere" / "heartbeat.json"))
    )
    with pytest.raises(StoreError, match=r"cannot write .*/nowhere/heartbeat\.json: No such file or directory"):
        home.tick()
    assert beat.read_text() == before

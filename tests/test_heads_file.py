"""The ends of the chains are kept outside the database, through crashes, races and restored copies."""

import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from maintsched.errors import FileError, InvalidValue
from maintsched.intake.config import Config
from maintsched.journal import PROVIDER, EntryKind, Event, Head
from maintsched.store import open_store
from maintsched.store.evidence import append, entries_of, heads
from maintsched.store.tables import EPOCH, read_meta
from maintsched.worker.heads import (
    GROWTH,
    KeptHeads,
    begin_epoch,
    check_heads,
    heads_path,
    keep_heads,
    read_heads,
    write_heads,
)
from tests.casefiles import BEGIN, HOUSE, MAIL
from tests.databases import address, sqlite_store

EPOCH_1, EPOCH_2 = "1" * 32, "2" * 32


def head(seq: int) -> Head:
    return Head(seq, f"{seq:064x}")


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "maintsched.db.heads"


def write(store, chain: str, n: int = 1, subject: str = "x") -> None:
    """Append entries to a chain."""
    with store.writing() as connection:
        append(connection, [Event(chain=chain, at=BEGIN, kind=EntryKind.BREACH, subject=subject)] * n)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_and_the_last_line_of_a_chain_wins(path):
    write_heads(path, EPOCH_1, {"a": head(1), "b": head(4)})
    write_heads(path, EPOCH_1, {"a": head(3), "b": head(4)})
    assert path.read_text() == (
        f"epoch {EPOCH_1}\n{EPOCH_1} a 1 {head(1).digest}\n{EPOCH_1} b 4 {head(4).digest}\n"
        f"{EPOCH_1} a 3 {head(3).digest}\n"
    )
    assert read_heads(path) == KeptHeads(epoch=EPOCH_1, heads={"a": head(3), "b": head(4)}, lines=4)


def test_a_head_that_has_not_changed_is_not_written_again(path):
    write_heads(path, EPOCH_1, {"a": head(1)})
    before = path.read_bytes()
    write_heads(path, EPOCH_1, {"a": head(1)})
    assert path.read_bytes() == before


def test_a_head_never_goes_back_and_is_never_exchanged(path):
    write_heads(path, EPOCH_1, {"a": head(5)})
    write_heads(path, EPOCH_1, {"a": head(4)})
    write_heads(path, EPOCH_1, {"a": Head(5, "f" * 64)})
    assert read_heads(path).heads == {"a": head(5)}


def test_another_epoch_begins_the_file_anew_and_leaves_the_old_lines_as_history(path):
    write_heads(path, EPOCH_1, {"a": head(5), "b": head(1)})
    write_heads(path, EPOCH_2, {"a": head(2)})
    assert f"{EPOCH_1} a 5" in path.read_text()
    assert read_heads(path) == KeptHeads(epoch=EPOCH_2, heads={"a": head(2)}, lines=5)


@pytest.mark.parametrize("epoch", ["", "x", f"{EPOCH_1}\n", EPOCH_1.upper() + "0"])
def test_an_epoch_that_is_none_is_not_written(path, epoch):
    with pytest.raises(InvalidValue, match="epoch: expected 32 hexadecimal digits"):
        write_heads(path, epoch, {"a": head(1)})
    assert not path.exists()


def test_the_file_is_for_its_owner_alone_and_a_link_is_not_followed(path, tmp_path):
    old = os.umask(0)
    try:
        write_heads(path, EPOCH_1, {"a": head(1)})
        for seq in range(2, 20):
            write_heads(path, EPOCH_1, {"a": head(seq)})
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="expected a file that can be written"):
        write_heads(link, EPOCH_1, {"a": head(1)})
    assert not (tmp_path / "elsewhere").exists()


def test_the_file_stays_small_and_loses_nothing_when_it_is_compacted(path):
    names = [f"i{n}" for n in range(10)]
    for seq in range(1, 50):
        write_heads(path, EPOCH_1, {name: head(seq) for name in names})
        kept = read_heads(path)
        assert kept.heads == {name: head(seq) for name in names}
        assert kept.lines <= GROWTH * len(names) + 1
    assert list(path.parent.iterdir()) == [path]


def test_each_line_reaches_the_disk_before_the_writer_goes_on(path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_heads(path, EPOCH_1, {"a": head(1)})
    assert path.stat().st_size in synced


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_file_that_was_torn_anywhere_in_its_last_line_is_read_and_goes_on(path):
    write_heads(path, EPOCH_1, {"a": head(1), "b": head(2)})
    before = path.read_bytes()
    write_heads(path, EPOCH_1, {"a": head(7)})
    whole = path.read_bytes()
    for cut in range(len(before) + 1, len(whole)):
        path.write_bytes(whole[:cut])
        kept = read_heads(path)
        assert kept.torn
        assert kept.heads == {"a": head(1), "b": head(2)}
        write_heads(path, EPOCH_1, {"a": head(7)})
        assert path.read_bytes() == whole
        assert not read_heads(path).torn


def test_a_tail_of_zeros_that_a_file_system_left_counts_as_torn(path):
    write_heads(path, EPOCH_1, {"a": head(1)})
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    assert read_heads(path).torn
    write_heads(path, EPOCH_1, {"a": head(2)})
    assert read_heads(path) == KeptHeads(epoch=EPOCH_1, heads={"a": head(2)}, lines=3)


def test_a_crash_before_the_first_line_was_whole_leaves_a_file_that_can_be_begun(path):
    path.write_bytes(b"epoch 11")
    with pytest.raises(FileError, match="line 1: expected 'epoch <epoch>', found a torn line"):
        read_heads(path)
    write_heads(path, EPOCH_1, {"a": head(1)})
    assert read_heads(path).heads == {"a": head(1)}


def test_a_crash_while_it_is_compacted_leaves_the_old_file(path):
    write_heads(path, EPOCH_1, {"a": head(1)})
    path.with_name(f"{path.name}.new").write_text("half a")
    for seq in range(2, 12):
        write_heads(path, EPOCH_1, {"a": head(seq)})
    assert read_heads(path).heads == {"a": head(11)}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "",
        f"{EPOCH_1} a 0 {'0' * 64}",
        f"{EPOCH_1} a 01 {'0' * 64}",
        f"{EPOCH_1} a 1 {'0' * 63}",
        f"{EPOCH_1} a b 1 {'0' * 64}",
        f"{EPOCH_1} a 1 {'A' * 64}",
        f"{EPOCH_2} a 1 {'0' * 64}",
        f"{EPOCH_1} ä 1 {'0' * 64}",
        f"{EPOCH_1} a \u0661 {'0' * 64}",
        f"epoch {EPOCH_1} ",
        f"{EPOCH_1} a 1 {'0' * 64}\r",
        "\x1b[31m",
    ],
)
def test_a_line_that_is_none_is_refused_by_its_number(path, line):
    text = f"epoch {EPOCH_1}\n{line}\n{EPOCH_1} b 1 {'0' * 64}\n"
    path.write_text(text, encoding="utf-8", newline="")
    for call in (read_heads, lambda file: write_heads(file, EPOCH_1, {"a": head(1)})):
        with pytest.raises(FileError, match="line 2: expected 'epoch <epoch>' or") as refused:
            call(path)
        assert refused.value.line == 2
        assert str(refused.value).isprintable()
    assert path.read_text(encoding="utf-8") == text.replace("\r\n", "\n")


def test_a_file_that_is_not_there_is_said(path):
    with pytest.raises(FileError, match="expected the heads of the chains, found No such file"):
        read_heads(path)


def test_writers_at_once_lose_nothing(path):
    def work(name: str) -> None:
        for seq in range(1, 40):
            write_heads(path, EPOCH_1, {name: head(seq), "shared": head(seq)})

    threads = [threading.Thread(target=work, args=(f"i{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_heads(path).heads == {name: head(39) for name in ("shared", "i0", "i1", "i2", "i3")}


# --- beside a database ------------------------------------------------------------------------------------------------


def test_the_file_stands_beside_a_sqlite_database_or_beside_the_configuration(tmp_path):
    config = Config(mail=MAIL, provider=HOUSE, database="data/m.db", path=tmp_path / "maintsched.toml")
    assert heads_path(config) == tmp_path / "data" / "m.db.heads"
    url = "postgresql://db.example/m"
    config = Config(mail=MAIL, provider=HOUSE, database=url, path=tmp_path / "maintsched.toml")
    assert heads_path(config) == tmp_path / "heads"


def test_an_epoch_is_a_fact_and_an_entry_of_the_provider_s_chain(store):
    with store.writing() as connection:
        first = begin_epoch(connection, BEGIN)
        second = begin_epoch(connection, BEGIN)
    with store.reading() as connection:
        assert read_meta(connection, EPOCH) == second != first
        entries = list(entries_of(connection, PROVIDER))
    assert [each.kind for each in entries] == [EntryKind.EPOCH_BEGUN] * 2
    assert [dict(each.data) for each in entries] == [
        {"epoch": first, "previous": None},
        {"epoch": second, "previous": first},
    ]


def test_a_pass_keeps_where_the_chains_end(store, path):
    with store.writing() as connection:
        epoch = begin_epoch(connection, BEGIN)
    write(store, "acme-prod", 3)
    assert keep_heads(store, path) == []
    write(store, "acme-prod")
    assert keep_heads(store, path) == []
    with store.reading() as connection:
        kept = read_heads(path)
        assert (kept.epoch, kept.heads) == (epoch, heads(connection))
        assert check_heads(connection, kept) == []


def test_a_database_without_an_epoch_keeps_no_heads(store, path):
    write(store, "acme-prod")
    (fault,) = keep_heads(store, path)
    assert fault.what == "the database has no epoch"
    assert path.read_bytes() == b""


def test_an_older_copy_shows_and_is_not_written_over_the_evidence(tmp_path, path):
    with sqlite_store(tmp_path) as store:
        with store.writing() as connection:
            begin_epoch(connection, BEGIN)
        write(store, "acme-prod", 2)
        url, database = address(store), tmp_path / "maintsched.db"
    copy = tmp_path / "copy"
    shutil.copy(database, copy)
    with open_store(url) as store:
        write(store, "acme-prod", 3)
        assert keep_heads(store, path) == []
    before = path.read_bytes()
    shutil.copy(copy, database)
    with open_store(url) as store:
        (fault,) = keep_heads(store, path)
        assert fault == ("acme-prod", 5, "entry 5 is known from outside, and is gone")
        write(store, "acme-prod", 9, "y")  # even when it has grown past what was known
        (fault,) = keep_heads(store, path)
        assert fault == ("acme-prod", 5, "entry 5 is another one than was written")
        assert path.read_bytes() == before


def test_a_restored_copy_that_an_operator_takes_into_use_begins_an_epoch(store, path):
    with store.writing() as connection:
        begin_epoch(connection, BEGIN)
    write(store, "acme-prod")
    keep_heads(store, path)
    with store.writing() as connection:
        epoch = begin_epoch(connection, BEGIN)
    (fault,) = keep_heads(store, path)
    assert "the heads kept outside it are of epoch" in fault.what
    with store.reading() as connection:
        write_heads(path, epoch, heads(connection))
    assert keep_heads(store, path) == []


def test_a_thousand_chains_are_kept_in_one_look(store, path):
    with store.writing() as connection:
        begin_epoch(connection, BEGIN)
        events = [Event(chain=f"i{n}", at=BEGIN, kind=EntryKind.BREACH, subject="x") for n in range(1100)]
        append(connection, events)
    assert keep_heads(store, path) == []
    assert len(read_heads(path).heads) == 1101
    assert keep_heads(store, path) == []

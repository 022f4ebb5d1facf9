"""The heads file: the ends of all chains, kept outside the database (law 11).

A chain of hashes shows what was changed in the middle. It does not show that its end was cut off, or that the whole
database was replaced by an older copy. For that, the last number and hash of each chain stand in a text file as well:

    epoch <epoch>
    <epoch> <chain> <seq> <digest>

Lines are only appended, after what they speak of was committed; the last line of a chain wins, and a line `epoch` makes
those before it history. The file is compacted when it has grown past `GROWTH` times the number of chains. A crash can
leave the last line torn: that is tolerated and said. Anything else that is no such line is refused.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select, tuple_

from maintsched.errors import FileError, InvalidValue, show
from maintsched.intake.config import Config
from maintsched.journal import PROVIDER, EntryKind, Event, Fault, Head
from maintsched.store.engine import Store
from maintsched.store.evidence import JOURNAL, append, heads
from maintsched.store.tables import EPOCH, in_chunks, read_meta, write_meta

GROWTH = 4
"""The file is compacted when it holds more than this many lines a chain."""
NEWEST_BYTES = 16 * 1024
"""How much of the end of the file a quick look reads."""
EPOCH_BYTES = 16
_EPOCH_LINE = re.compile(r"epoch ([0-9a-f]{32})")
_HEAD_LINE = re.compile(r"([0-9a-f]{32}) ([A-Za-z0-9_][A-Za-z0-9._-]{0,62}) ([1-9][0-9]{0,17}) ([0-9a-f]{64})")
_LINE = "'epoch <epoch>' or '<epoch> <chain> <seq> <digest>'"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHeads:
    """What a heads file says: the epoch of the database, and the last known head of each chain."""

    epoch: str
    heads: Mapping[str, Head] = field(default_factory=dict)
    lines: int = 0
    """How many whole lines the file has."""
    torn: bool = False
    """The last line was not written to its end: a crash."""


def heads_path(config: Config) -> Path:
    """Return where the heads are kept: beside a SQLite database, else beside the configuration."""
    prefix = "sqlite:///"
    if config.database.startswith(prefix):
        return Path(config.database.removeprefix(prefix) + ".heads")
    return config.path.parent / "heads"


# --- the epoch --------------------------------------------------------------------------------------------------------


def begin_epoch(connection: Connection, now: datetime) -> str:
    """Begin an epoch of the database and write it down; return its id.

    Called when a database is made, and when an operator takes a restored one into use: the heads that were kept before
    then no longer bind it, and its journal says so.
    """
    epoch, before = secrets.token_hex(EPOCH_BYTES), read_meta(connection, EPOCH)
    write_meta(connection, EPOCH, epoch)
    begun = {"epoch": epoch, "previous": before}
    append(connection, [Event(chain=PROVIDER, at=now, kind=EntryKind.EPOCH_BEGUN, subject=epoch, data=begun)])
    return epoch


# --- reading ----------------------------------------------------------------------------------------------------------


def read_heads(path: Path) -> KeptHeads:
    """Return what the heads file at `path` says; raises `FileError` where there is none, or it holds something else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refused(path, None, "the heads of the chains", error.strerror or "an error") from error
    return _parse(path, data)


def _parse(path: Path, data: bytes) -> KeptHeads:
    whole, newline, rest = data.rpartition(b"\n")
    lines = whole.split(b"\n") if newline else []
    epochs: list[str] = []
    found: dict[str, Head] = {}
    for number, raw in enumerate(lines, start=1):
        line = raw.decode("ascii", "backslashreplace")
        begun, head = _EPOCH_LINE.fullmatch(line), _HEAD_LINE.fullmatch(line)
        if begun:
            epochs.append(begun[1])
            found.clear()
        elif head and epochs and head[1] == epochs[-1]:
            found.pop(head[2], None)  # the chains stay in the order in which they were written last
            found[head[2]] = Head(int(head[3]), head[4])
        else:
            raise _refused(path, number, _LINE, show(line))
    if not epochs:
        raise _refused(path, 1, "'epoch <epoch>'", "a torn line" if rest else "nothing")
    return KeptHeads(epoch=epochs[-1], heads=found, lines=len(lines), torn=bool(rest))


def read_newest(path: Path) -> KeptHeads | None:
    """Return what the end of the heads file says: the chains that were written last. None where that is no whole line.

    A database that is behind is most likely behind there. That costs next to nothing, however many chains there are.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - NEWEST_BYTES))
            data = file.read()
    except OSError as error:
        raise _refused(path, None, "the heads of the chains", error.strerror or "an error") from error
    whole = data.rpartition(b"\n")[0].split(b"\n")
    found = [head for raw in whole if (head := _HEAD_LINE.fullmatch(raw.decode("ascii", "backslashreplace")))]
    if not found:
        return None
    epoch = found[-1][1]
    heads = {head[2]: Head(int(head[3]), head[4]) for head in found if head[1] == epoch}
    return KeptHeads(epoch=epoch, heads=heads)


def _refused(path: Path, line: int | None, expected: str, found: str) -> FileError:
    return FileError(str(path), line=line, key=None, expected=expected, found=found)


# --- writing ----------------------------------------------------------------------------------------------------------


def write_heads(path: Path, epoch: str, heads: Mapping[str, Head]) -> None:
    """Append those of `heads` that are ahead of what the file says; make the file where there is none.

    A head never goes back: what a chain once ended in stays known. Another `epoch` than the file's begins it anew: only
    for commands with which an operator begins one. Passes use `keep_heads`, which looks first: written without looking,
    the heads of an older copy that has grown past them would take the place of the evidence against it.
    """
    if not _EPOCH_LINE.fullmatch(f"epoch {epoch}"):
        raise InvalidValue("epoch", expected=f"{2 * EPOCH_BYTES} hexadecimal digits", found=epoch)
    with _locked(path) as descriptor:
        _add(path, descriptor, _known(path, descriptor), epoch, heads)


def keep_heads(store: Store, path: Path) -> list[Fault]:
    """Write down where the chains end now, unless the database is behind what was written before: then return how.

    Nothing is written over evidence: a database that was cut off or restored is told of until an operator decides.
    """
    with _locked(path) as descriptor:
        kept = _known(path, descriptor)
        with store.reading() as connection:
            faults = check_heads(connection, kept) if kept else []
            if faults:
                return faults
            epoch, now = read_meta(connection, EPOCH), heads(connection)
        if epoch is None:
            return [_no_epoch()]
        _add(path, descriptor, kept, epoch, now)
    return []


def _add(path: Path, descriptor: int, kept: KeptHeads | None, epoch: str, wanted: Mapping[str, Head]) -> None:
    same = kept is not None and kept.epoch == epoch
    known = kept.heads if kept and same else {}
    new = {chain: head for chain, head in sorted(wanted.items()) if head.seq > _seq(known.get(chain))}
    lines = _lines(epoch, new, begins=not same)
    if not lines:
        return
    chains = {**{chain: head for chain, head in known.items() if chain not in new}, **new}
    if (kept.lines if kept else 0) + len(lines) > GROWTH * len(chains) + 1:
        _replace(path, "".join(_lines(epoch, chains, begins=True)))
        return
    _write(descriptor, "".join(lines))


def _seq(head: Head | None) -> int:
    return 0 if head is None else head.seq


def _lines(epoch: str, heads: Mapping[str, Head], *, begins: bool) -> list[str]:
    first = [f"epoch {epoch}\n"] if begins else []
    return first + [f"{epoch} {chain} {head.seq} {head.digest}\n" for chain, head in heads.items()]


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Give the open heads file to one process at a time; links are not followed, and nobody else may read it."""
    while True:
        try:
            made = not path.exists()
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise _refused(path, None, "a file that can be written", error.strerror or "an error") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_at(path, descriptor):  # compacted while we waited
                continue
            if made:
                _sync_folder(path.parent)
            yield descriptor
            return
        except OSError as error:
            raise _refused(path, None, "room to write it and a sound disk", error.strerror or "an error") from error
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _known(path: Path, descriptor: int) -> KeptHeads | None:
    """Return what the locked file says; a torn last line is taken off, so that the next one stands on its own."""
    data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    whole = data.rfind(b"\n") + 1
    kept = _parse(path, data) if whole else None
    if whole < len(data):
        os.ftruncate(descriptor, whole)
    return kept


def _write(descriptor: int, text: str) -> None:
    data = text.encode("ascii")
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _replace(path: Path, text: str) -> None:
    """Put a compacted file in the place of the old one: whoever looks sees one of both, whole."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _write(descriptor, text)
    finally:
        os.close(descriptor)
    beside.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- checking ---------------------------------------------------------------------------------------------------------


def check_heads(connection: Connection, kept: KeptHeads) -> list[Fault]:
    """Return where the database is behind the heads that were kept, or has something else in their place.

    Looks at one entry a chain, so that every pass can afford it; `verify` reads all of them.
    """
    faults = epoch_faults(connection, kept)
    found: dict[tuple[str, int], str] = {}
    for some in in_chunks([(chain, head.seq) for chain, head in kept.heads.items()]):
        columns = select(JOURNAL.c.chain, JOURNAL.c.seq, JOURNAL.c.digest)
        rows = connection.execute(columns.where(tuple_(JOURNAL.c.chain, JOURNAL.c.seq).in_(some)))
        found.update(((chain, seq), digest) for chain, seq, digest in rows)
    for chain, head in sorted(kept.heads.items()):
        digest = found.get((chain, head.seq))
        if digest is None:
            faults.append(Fault(chain, head.seq, f"entry {head.seq} is known from outside, and is gone"))
        elif digest != head.digest:
            faults.append(Fault(chain, head.seq, f"entry {head.seq} is another one than was written"))
    return faults


def epoch_faults(connection: Connection, kept: KeptHeads) -> list[Fault]:
    """Return the fault of a database that is of another epoch than the heads kept beside it."""
    epoch = read_meta(connection, EPOCH)
    if epoch is None:
        return [_no_epoch()]
    if epoch == kept.epoch:
        return []
    what = f"the database is of epoch {epoch}, the heads kept outside it are of epoch {kept.epoch}"
    return [Fault(PROVIDER, 0, what)]


def _no_epoch() -> Fault:
    return Fault(PROVIDER, 0, "the database has no epoch")

"""Checks an exported file of evidence by itself: without a database, a configuration or a network."""

import json
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from maintsched.errors import FileError, InvalidValue, show
from maintsched.journal import GENESIS, Entry, EntryKind, Fault
from maintsched.localtime import utc
from maintsched.report.evidence import FORMAT
from maintsched.worker.proofs import Verdict

SIZE_MAX = 256 << 20
"""Bytes that an export may have; real ones are a thousandth of that."""


def verify_export(path: Path) -> Verdict:
    """Check the entries that an export holds: each hash, and each link between two that follow each other.

    What an export cannot show is named in `unknown`: what stands before its first entry, between two that do not follow
    each other, and after its last. Raises `FileError` where the file is no export.
    """
    whole = _read(path)
    journal = _member(path, whole, "journal", dict, "journal")
    found = {
        name: [_entry(path, f"journal.{name}.{at}", each) for at, each in enumerate(_listed(path, journal, name))]
        for name in ("entries", "shared")
    }
    faults: list[Fault] = []
    unknown: list[str] = []
    for entries in found.values():
        if entries:
            faults += [fault] if (fault := _first_fault(entries)) else []
            unknown += _unknown(entries)
    checked = sum(map(len, found.values()))
    return Verdict(
        chains=sum(1 for each in found.values() if each), entries=checked, faults=tuple(faults), unknown=tuple(unknown)
    )


def _first_fault(entries: list[Entry]) -> Fault | None:
    chain = entries[0].chain
    before: Entry | None = None
    for entry in entries:
        fault = _fault(chain, before, entry)
        if fault is not None:
            return Fault(chain, entry.seq, fault)
        before = entry
    return None


def _fault(chain: str, before: Entry | None, entry: Entry) -> str | None:
    if entry.chain != chain:
        return f"entry {entry.seq} belongs to the chain {show(entry.chain)}"
    if entry.recomputed() != entry.digest:
        return f"entry {entry.seq} was changed: its hash is not that of its content"
    if entry.seq < 1 or (entry.seq == 1) != (entry.previous == GENESIS):
        return f"entry {entry.seq} does not stand where it says: only entry 1 begins a chain"
    if before is not None and entry.seq <= before.seq:
        return f"entry {entry.seq} stands behind entry {before.seq}"
    if before is not None and entry.seq == before.seq + 1 and entry.previous != before.digest:
        return f"entry {entry.seq} does not continue entry {before.seq}: the link is broken"
    return None


def _unknown(entries: list[Entry]) -> Iterable[str]:
    chain, first, last = entries[0].chain, entries[0], entries[-1]
    if first.seq > 1:
        before_it = first.seq - 1
        yield f"{chain}: entries 1 to {before_it} are not in the file; entry {before_it} has hash {first.previous}"
    for before, after in pairwise(entries):
        if after.seq > before.seq + 1:
            yield (
                f"{chain}: entries {before.seq + 1} to {after.seq - 1} are not in the file; "
                f"entry {after.seq - 1} has hash {after.previous}"
            )
    yield f"{chain}: whether more entries follow entry {last.seq}, whose hash is {last.digest}"


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise _refused(path, None, "an export of evidence", error.strerror or "an error") from error
    if len(data) > SIZE_MAX:
        raise _refused(path, None, f"at most {SIZE_MAX} bytes", "more")
    try:
        whole = json.loads(data, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _refused(path, None, "JSON that names each key once", show(str(error))) from error
    found = whole.get("format") if isinstance(whole, dict) else None
    if found != FORMAT:
        raise _refused(path, "format", f'"{FORMAT}"', show(found))
    return dict(whole)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; a key that comes twice could show one value here and another one elsewhere."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _listed(path: Path, journal: dict[str, Any], name: str) -> list[Any]:
    found: list[Any] = _member(path, journal, name, list, f"journal.{name}")
    return found


def _entry(path: Path, key: str, found: Any) -> Entry:
    if not isinstance(found, dict):
        raise _refused(path, key, "an entry", show(found))
    texts = {name: _member(path, found, name, str, f"{key}.{name}") for name in ("chain", "subject")}
    at, kind = _member(path, found, "at", str, f"{key}.at"), _member(path, found, "kind", str, f"{key}.kind")
    seq = _member(path, found, "seq", int, f"{key}.seq")
    try:
        return Entry(
            **texts,
            seq=seq,
            at=utc(datetime.fromisoformat(at)),
            kind=EntryKind(kind),
            data=_member(path, found, "data", dict, f"{key}.data"),
            previous=_member(path, found, "previous", str, f"{key}.previous"),
            digest=_member(path, found, "digest", str, f"{key}.digest"),
        )
    except InvalidValue as error:
        raise _refused(path, f"{key}.at", "an instant", show(at)) from error
    except ValueError as error:
        raise _refused(path, key, "an instant and a kind of entry that are known", show(f"{at}, {kind}")) from error


def _member(path: Path, whole: dict[str, Any], name: str, kind: type, key: str) -> Any:
    found = whole.get(name)
    if type(found) is not kind:
        raise _refused(path, key, f"a value of type {kind.__name__}", show(found))
    return found


def _refused(path: Path, key: str | None, expected: str, found: str) -> FileError:
    return FileError(str(path), line=None, key=key, expected=expected, found=found)

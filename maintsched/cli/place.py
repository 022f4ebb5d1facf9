"""Files that commands write: whole or not at all, for their owner alone, and never through a link."""

import errno
import os
from contextlib import suppress
from pathlib import Path


def put_in_place(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there: what was there, a link too, is replaced and not written to."""
    if not path.name:  # the root, or the folder itself
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    beside = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        beside.replace(path)
    except OSError:  # half a file would stay there
        beside.unlink(missing_ok=True)
        raise

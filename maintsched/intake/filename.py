"""Paths as files of ours write them."""

from pathlib import PosixPath
from typing import Self

from maintsched.errors import InvalidValue


class FileName(PosixPath):
    """A path as a file writes it: `~` is the user's home; a relative one counts from the folder of that file."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a path of up to 1,000 printable characters."""
        if not (0 < len(text) <= 1000 and text.isprintable() and text.strip()):
            raise InvalidValue("path", expected="a path, up to 1000 printable characters", found=text)
        try:
            return cls(text).expanduser()
        except RuntimeError as error:
            raise InvalidValue("path", expected="a path below a home that is known", found=text) from error

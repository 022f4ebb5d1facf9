"""Versions of components: compared by their first three numbers."""

import re
from dataclasses import dataclass, field
from typing import Self

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue

_VERSION = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,6}))?(?:\.([0-9]{1,6}))?((?:[.+-][A-Za-z0-9]{1,40}){0,4})")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Version:
    """A version such as 12.1.0 or 12.1.0.20261101.ab12cd: ordered by the first three numbers alone.

    Two versions that differ only in what follows are equal, because what follows names a build, not a release.
    """

    numbers: tuple[int, int, int]
    text: str = field(compare=False)

    def __post_init__(self) -> None:
        """Refuse what are no three numbers with their text."""
        settle_fields(self)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one to three numbers and up to four further parts."""
        found = _VERSION.fullmatch(text)
        if found is None:
            raise InvalidValue("version", expected='numbers such as "12.1.0" or "16.4"', found=text)
        major, minor, patch = (int(part or 0) for part in found.groups()[:3])
        return cls(numbers=(major, minor, patch), text=text)

    def __str__(self) -> str:
        """Write the version as it was read."""
        return self.text

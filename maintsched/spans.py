"""Half-open spans on the UTC time line: union, intersection, subtraction, length.

A span holds its start and not its end, so that touching spans neither overlap nor leave a gap. The algebra works on
integer pairs (`Pairs`); `Span` carries the same idea for instants.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue

Pairs = list[tuple[int, int]]
"""Half-open integer spans; every function here returns them sorted, disjoint and non-empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The instants from `start` (held) to `end` (not held); both aware, `start` at or before `end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse naive bounds and an end before the start."""
        settle_fields(self)
        if self.end.astimezone(UTC) < self.start.astimezone(UTC):
            raise InvalidValue("span", expected="an end at or after its start", found=f"{self.start} to {self.end}")

    def __contains__(self, at: datetime) -> bool:
        """Say whether the instant `at` lies inside."""
        return self.start.astimezone(UTC) <= at.astimezone(UTC) < self.end.astimezone(UTC)

    def overlaps(self, other: "Span") -> bool:
        """Say whether the two share an instant; touching spans and empty spans do not."""
        return max(self.start.astimezone(UTC), other.start.astimezone(UTC)) < min(
            self.end.astimezone(UTC), other.end.astimezone(UTC)
        )

    @property
    def elapsed(self) -> timedelta:
        """Length on the UTC time line."""
        return self.end.astimezone(UTC) - self.start.astimezone(UTC)


def union(pairs: Iterable[tuple[int, int]]) -> Pairs:
    """Return what at least one of `pairs` covers; empty pairs cover nothing."""
    ordered = sorted(pairs)
    merged: Pairs = []
    if not ordered:
        return merged
    start, end = ordered[0]
    for next_start, next_end in ordered:
        if next_start > end:
            if start < end:
                merged.append((start, end))
            start, end = next_start, next_end
        elif next_end > end:
            end = next_end
    if start < end:
        merged.append((start, end))
    return merged


def intersection(left: Iterable[tuple[int, int]], right: Iterable[tuple[int, int]]) -> Pairs:
    """Return what both sides cover."""
    return list(_overlaps(union(left), union(right)))


def _overlaps(left: Pairs, right: Pairs) -> Iterator[tuple[int, int]]:
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            yield start, end
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1


def subtract(left: Iterable[tuple[int, int]], holes: Iterable[tuple[int, int]]) -> Pairs:
    """Return what `left` covers and `holes` do not."""
    rest: Pairs = []
    cuts = union(holes)
    j = 0
    for start, end in union(left):
        while j < len(cuts) and cuts[j][1] <= start:
            j += 1
        at, k = start, j
        while k < len(cuts) and cuts[k][0] < end:
            if at < cuts[k][0]:
                rest.append((at, cuts[k][0]))
            at = max(at, cuts[k][1])
            k += 1
        if at < end:
            rest.append((at, end))
    return rest


def clip(pairs: Iterable[tuple[int, int]], start: int, end: int) -> Pairs:
    """Return the parts of `pairs` inside [start, end), in their given order and unmerged."""
    return [(max(start, s), min(end, e)) for s, e in pairs if s < end and e > start and s < e]


def length(pairs: Iterable[tuple[int, int]]) -> int:
    """Return how much `pairs` cover, each point counted once."""
    return sum(end - start for start, end in union(pairs))

"""Wall clocks and durations at their edges."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

import pytest

import maintsched as ms
from maintsched.localtime import settle_on


class Forgetful(tzinfo):
    """A zone that knows no offset for one of the two readings of a wall clock time."""

    def __init__(self, knows: int) -> None:
        self.knows = knows

    def utcoffset(self, at: datetime | None) -> timedelta | None:
        return timedelta(0) if at is not None and at.fold == self.knows else None

    def dst(self, at: datetime | None) -> timedelta | None:
        return None

    def tzname(self, at: datetime | None) -> str | None:
        return "nowhere"

    def __str__(self) -> str:
        return f"knows {self.knows}"


@pytest.mark.parametrize("knows", [0, 1])
def test_a_zone_that_knows_its_offset_only_for_one_reading_is_refused_by_its_name(knows):
    with pytest.raises(ms.InvalidValue) as refused:
        settle_on(date(2026, 1, 1), time(), Forgetful(knows))
    assert str(refused.value) == f"zone: expected a zone that knows its offset, got knows {knows}"

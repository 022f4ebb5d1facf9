"""Wall clocks and durations at their edges."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

import pytest

import maintsched as ms
from maintsched.localtime import ClockChange, settle_on, utc
from tests.worlds import local


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


def test_an_instant_on_the_utc_time_line_bears_the_offset_of_utc():
    for at in (local("2026-07-01T12:00"), datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 12, 31, 23, tzinfo=UTC)):
        assert utc(at).isoformat() == at.astimezone(UTC).isoformat()
        assert utc(at).utcoffset() == timedelta(0)


def test_a_clock_change_of_a_minute_says_which_way_the_clocks_go():
    minute = timedelta(minutes=1)
    forward = ClockChange(at=datetime(2026, 3, 29, 1, tzinfo=UTC), before=timedelta(0), after=minute)
    back = ClockChange(at=datetime(2026, 3, 29, 1, tzinfo=UTC), before=minute, after=timedelta(0))
    assert str(forward) == "clocks go forward 1 min on 2026-03-29"
    assert str(back) == "clocks go back 1 min on 2026-03-29"

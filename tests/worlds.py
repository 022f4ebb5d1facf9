"""Contracts, instants and readings that the laws are tried on."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st

import maintsched as ms
from maintsched import readings

BERLIN = ZoneInfo("Europe/Berlin")
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "UTC", "America/New_York", "Pacific/Auckland", "Asia/Kolkata")]
ODD_ZONES = [ZoneInfo(name) for name in ("Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut")]
"""Half an hour of daylight saving time; clock changes at midnight."""

BUILTIN = ("intrexx-paas", "generic-weekly")


@lru_cache(maxsize=512)
def _loaded(name: str, overrides: str) -> ms.Contract:
    return ms.load_contract(name, overrides=json.loads(overrides))


def contract(name: str = "intrexx-paas", **overrides: Mapping[str, Any] | Any) -> ms.Contract:
    """Return a built-in contract with terms set to another reading; loaded once."""
    return _loaded(name, json.dumps(overrides, sort_keys=True))


def utc(at: datetime) -> datetime:
    """Return an aware datetime in UTC: two zones are never compared directly."""
    assert at.tzinfo is not None
    return at.astimezone(UTC)


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    """Return the instant of a wall clock time such as 2026-12-01T17:00."""
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def clock_changes(year: int) -> list[datetime]:
    """Return the two instants at which the clocks of the European Union change in `year`."""
    last_sundays = (
        max(date(year, month, day) for day in range(25, 32) if date(year, month, day).weekday() == 6)
        for month in (3, 10)
    )
    return [datetime(day.year, day.month, day.day, 1, tzinfo=UTC) for day in last_sundays]


@st.composite
def instants(draw: st.DrawFn, first: int = 2001, last: int = 2098, zones: list[ZoneInfo] = ZONES) -> datetime:
    """Any instant of these years, in any of these zones; every third one near a clock change."""
    zone = draw(st.sampled_from(zones))
    if draw(st.integers(0, 2)) == 0:
        change = draw(st.sampled_from(clock_changes(draw(st.integers(first, min(last, 2037))))))
        return (change + draw(st.timedeltas(timedelta(hours=-26), timedelta(hours=26)))).astimezone(zone)
    low, days = datetime(first, 1, 2, tzinfo=UTC), 365 * (last - first)
    return (low + draw(st.timedeltas(timedelta(0), timedelta(days=days)))).astimezone(zone)


whole_hours = st.integers(0, 24 * 366 * 12).map(lambda hours: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours))

builtin_contracts = st.sampled_from(BUILTIN).map(contract)


def each_of(enum: type[Any]) -> st.SearchStrategy[str]:
    return st.sampled_from([str(member) for member in enum])


@st.composite
def contracts(draw: st.DrawFn) -> ms.Contract:
    """A built-in contract with some of its terms set to another reading."""
    name = draw(st.sampled_from(BUILTIN))
    return contract(
        name,
        clock_change=draw(st.sampled_from(["earlier", "later"])),
        monthly={
            "on_holiday": draw(each_of(readings.OnHoliday)),
            "rule": draw(
                st.sampled_from(["FREQ=MONTHLY;BYDAY=1TU", "FREQ=MONTHLY;BYDAY=-1SU", "FREQ=WEEKLY;BYDAY=SU,WE"])
            ),
            "time": draw(st.sampled_from(["02:30:00", "17:00:00", "00:00:00"])),
            "duration": draw(st.sampled_from(["4 h", "90 min"])),
        },
    )


def examples(percent: int) -> settings:
    """Try a law on so many percent of the profile's number of examples: what is dear less often, and conversely."""
    return settings(max_examples=max(10, settings().max_examples * percent // 100))

"""Deferrals where their dates have an edge: the hour that comes twice, a window at the end, the scope of a freeze."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import maintsched as ms
from maintsched.releases import RunningDeferral, settle_deferral
from tests.worlds import BERLIN, TICK, contract, local

MAJOR = ms.Release(
    version=ms.Version.parse("12.1.0"), change_class=ms.ChangeClass.MAJOR, available_at=local("2026-11-01T00:00")
)
INSTANCE = ms.Instance(key="a1", host="a1.example", wave=1)
APRIL = ms.Span(start=local("2027-04-01T00:00"), end=local("2027-04-20T00:00"))


def settled(until: datetime, *, terms: ms.Contract | None = None, start: Any = None, **facts: Any) -> RunningDeferral:
    deferral = ms.Deferral(instance="a1", release=MAJOR.version, until=until, start=start)
    return settle_deferral(terms or contract(), ms.Facts(**facts), deferral, MAJOR, customer="acme", instance=INSTANCE)


def window_of(running: RunningDeferral) -> str:
    assert running.window is not None
    return running.window.id


def moved(key: str, start: datetime) -> ms.DeclaredWindow:
    return ms.DeclaredWindow(
        key=key,
        kind=ms.WindowKind.MONTHLY,
        start=start,
        duration=ms.Elapsed(hours=4),
        reason="fair",
        instances=("a1",),
    )


def test_a_deferral_is_over_at_its_end_wherever_the_next_window_lies():
    running = settled(APRIL.start)
    assert running.runs_at(running.end - TICK)
    assert not running.runs_at(running.end)


def test_a_window_moved_for_one_instance_is_where_its_deferral_starts_and_ends():
    early, late = moved("2026-11", local("2026-11-05T18:00")), moved("2027-04", local("2027-04-08T18:00"))
    running = settled(APRIL.start, windows=(early, late))
    assert running.start == early.start
    assert running.window is not None
    assert running.window.start == late.start


def test_a_window_that_starts_as_a_deferral_ends_takes_its_release():
    assert window_of(settled(local("2027-04-06T17:00"))) == "monthly/2027-04"
    assert window_of(settled(local("2027-04-06T17:00") + TICK)) == "monthly/2027-05"


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({}, "monthly/2027-05"),
        ({"customers": ("acme",)}, "monthly/2027-05"),
        ({"instances": ("a1",)}, "monthly/2027-05"),
        ({"customers": ("other",)}, "monthly/2027-04"),
        ({"instances": ("a2",)}, "monthly/2027-04"),
        ({"classes": (ms.ChangeClass.MINOR,)}, "monthly/2027-04"),
    ],
)
def test_only_a_freeze_of_its_class_over_the_instance_keeps_a_deferred_release_out_longer(scope, expected):
    freeze = ms.Freeze(key="easter", start=APRIL.start, end=APRIL.end, reason="easter", **scope)
    assert window_of(settled(APRIL.start, freezes=(freeze,))) == expected


def test_a_deferral_asked_for_into_the_second_of_two_equal_hours_ends_at_its_limit_in_the_first():
    again = datetime(2026, 10, 25, 2, 15, fold=1, tzinfo=BERLIN)
    running = settled(again, start=local("2026-04-25T02:30"))
    assert running.limit.astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert running.end.astimezone(UTC) == running.limit.astimezone(UTC)
    assert running.too_long


def test_a_window_between_the_two_equal_hours_is_the_last_one_before_the_end_of_a_deferral():
    terms = contract(
        deferral={"after": "last_window_before_end"}, monthly={"rule": "FREQ=MONTHLY;BYMONTHDAY=25", "time": "02:50:00"}
    )
    start, end = local("2026-10-25T02:45"), datetime(2026, 10, 25, 2, 15, fold=1, tzinfo=BERLIN)
    assert end.astimezone(UTC) - start.astimezone(UTC) == timedelta(minutes=30)
    assert window_of(settled(end, terms=terms, start=start)) == "monthly/2026-10"

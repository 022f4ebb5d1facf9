"""Texts become dates, times and instants; raw tables become values, or an error that says where."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest

from maintsched.errors import InvalidValue, show
from maintsched.intake.instants import read_date, read_instant, read_time
from maintsched.intake.shape import Reader, ShapeError, place_of
from maintsched.terms import MonthlyTerms

# --- dates, times and instants as text


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-12-01", date(2026, 12, 1)),
        ("2026-12-01T17:00Z", datetime(2026, 12, 1, 17, tzinfo=UTC)),
        ("2026-12-01 17:00:30+01:00", datetime(2026, 12, 1, 17, 0, 30, tzinfo=timezone(timedelta(hours=1)))),
        (
            "2026-12-01T17:00:30.25-09:30",
            datetime(2026, 12, 1, 17, 0, 30, 250_000, tzinfo=timezone(-timedelta(hours=9.5))),
        ),
        ("2000-01-01T00:00+14:00", datetime(2000, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        ("2200-12-31", date(2200, 12, 31)),
    ],
)
def test_instants_are_read(text, at):
    assert read_instant(text) == at


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "2026",
            "2026-12",
            "2026-12-1",
            "20261201",
            "2026-W49-2",
            "2026-335",
            "01.12.2026",
            "2026-02-29",
            "1999-12-31",
        ),
        *(
            "2201-01-01",
            "2026-12-01T17:00",
            "2026-12-01T17Z",
            "2026-12-01T24:00Z",
            "2026-12-01T17:60Z",
            "2026-12-01t17:00Z",
        ),
        *("2026-12-01T17:00+14:01", "2026-12-01T17:00+01:60", "2026-12-01T17:00+1:00", "2026-12-01T17:00:61Z", "now"),
        *("2026-13-01T17:00Z", "1999-12-31T23:59Z", "2026-12-01T17:00Z\n", " 2026-12-01", "２０２６-12-01"),  # noqa: RUF001
    ],
)
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(InvalidValue):
        read_instant(text)


@pytest.mark.parametrize("text", ["17", "17:0", "24:00", "17:60", "5:00 pm", "17:00+01:00", "17:00:00.1234567"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InvalidValue):
        read_time(text)


def test_dates_and_times_are_read():
    assert (read_date("2028-02-29"), read_time("17:00:00.5")) == (date(2028, 2, 29), time(17, 0, 0, 500_000))


# --- shapes


def test_a_reader_says_where_a_list_or_a_table_was_expected():
    with pytest.raises(ShapeError, match="expected a list, found 7"):
        Reader().read(tuple[str, ...], 7, ("a",))
    with pytest.raises(ShapeError, match="expected a table, found 7"):
        Reader().read(MonthlyTerms, 7, ("a",))
    with pytest.raises(ShapeError, match="expected a table, found 7"):
        Reader().read(Mapping[str, int], 7, ("a",))


@pytest.mark.parametrize(
    ("field", "found", "path"),
    [
        (None, "x", ()),
        ("nothing", "x", ()),
        ("list", "x", ("list",)),
        ("list", "b", ("list", 2)),
        ("rows", "k", ("rows", 0)),
        ("rows.1.key", "m", ("rows", 1, "key")),
        ("table", "y", ("table", "y")),
        ("table.y", 7, ("table", "y")),
        ("table.y.z", 7, ("table", "y")),
    ],
)
def test_an_error_of_a_value_is_placed_in_its_table(field, found, path):
    raw = {"list": ["b", "a", "b"], "rows": [{"key": "k"}, {"key": "m"}], "table": {"y": 7}}
    assert place_of(InvalidValue("what", expected="x", found=found, field=field), raw) == path


def test_messages_show_any_value_in_one_short_line():
    assert show("a\nb\x1b\u202e") == r'"a\nb\x1b\u202e"'
    assert show("x" * 10_000).endswith("…")
    assert show(10**5000) == "a number with too many digits"
    assert len(show(["x" * 10_000])) == 80

"""Laws of wall clocks, elapsed time and calendar periods."""

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.localtime import Choice, ClockCase, clock_change, elapsed, settle, shift, start_of_day
from tests.worlds import BERLIN, ODD_ZONES, ZONES, clock_changes, instants, utc

zones = st.sampled_from(ZONES + ODD_ZONES)
walls = st.one_of(
    st.datetimes(datetime(2001, 1, 1), datetime(2098, 12, 31)),  # noqa: DTZ001 - wall clock times
    instants(last=2037).map(lambda at: at.replace(tzinfo=None, fold=0)),
)
days = st.dates(date(2001, 1, 1), date(2098, 12, 31))
spring_gap = datetime(2026, 3, 29, 2, 30)  # noqa: DTZ001 - a wall clock time
autumn_fold = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001 - a wall clock time


def wall_of(at: datetime) -> datetime:
    return at.replace(tzinfo=None, fold=0)


@given(walls, zones)
@example(spring_gap, BERLIN)
@example(autumn_fold, BERLIN)
def test_a_wall_clock_time_means_the_instants_that_show_it_and_the_earlier_one_by_default(wall, zone):
    earlier, later = settle(wall, zone), settle(wall, zone, Choice.LATER)
    assert settle(wall, zone, Choice.EARLIER) == earlier
    assert earlier.case is later.case
    shows = [utc(each.at) for each in (earlier, later) if wall_of(each.at) == wall]
    if earlier.case is ClockCase.ORDINARY:
        assert earlier.at == later.at
        assert len(shows) == 2
    elif earlier.case is ClockCase.FOLD:
        assert utc(earlier.at) < utc(later.at)
        assert len(shows) == 2
    else:
        assert shows == []
        assert utc(earlier.at) < utc(later.at)
        assert wall_of(earlier.at) < wall < wall_of(later.at)
        assert wall - wall_of(earlier.at) == wall_of(later.at) - wall


@given(instants(zones=ZONES + ODD_ZONES))
def test_every_instant_is_one_of_the_two_candidates_of_the_wall_clock_time_it_shows(at):
    wall = wall_of(at)
    assert utc(at) in {utc(settle(wall, at.tzinfo, choice).at) for choice in Choice}


@given(days, zones)
def test_a_day_starts_at_midnight_or_at_the_instant_midnight_was_skipped(day, zone):
    start = start_of_day(day, zone)
    assert start.date() == day
    assert (utc(start) - timedelta(microseconds=1)).astimezone(zone).date() < day
    if settle(datetime.combine(day, time()), zone).case is ClockCase.ORDINARY:
        assert start.time() == time()


@given(instants(), st.timedeltas(timedelta(days=-400), timedelta(days=400)), zones)
def test_a_shift_is_elapsed_time_whatever_the_clocks_do(at, by, zone):
    moved = shift(at, by, zone)
    assert utc(moved) - utc(at) == by == elapsed(at, moved)
    assert moved.tzinfo is zone


@given(st.integers(0, 90_000), st.integers(0, 59), st.integers(0, 59))
def test_elapsed_time_is_read_back_as_it_is_written(hours, minutes, seconds):
    duration = ms.Elapsed(hours=hours, minutes=minutes, seconds=seconds)
    assert ms.Elapsed.parse(str(duration)) == duration
    assert ms.Elapsed.parse(f"PT{hours}H{minutes}M{seconds}S") == duration
    assert ms.Elapsed.parse(f"{hours}h {minutes}min {seconds}s") == duration


@given(st.integers(0, 999), st.integers(0, 9999))
def test_a_period_is_read_back_as_it_is_written(months, day_count):
    period = ms.Period(months=months, days=day_count)
    assert ms.Period.parse(str(period)) == period
    assert ms.Period.parse(f"P{months}M{day_count}D") == period


@given(days, st.integers(0, 60), st.integers(0, 400))
def test_a_month_after_a_day_is_the_same_number_in_the_next_month_or_its_last_day(day, months, extra):
    moved = ms.Period(months=months).after(day)
    assert moved.year * 12 + moved.month == day.year * 12 + day.month + months
    assert moved.day == day.day or (moved.day < day.day and (moved + timedelta(days=1)).day == 1)
    assert ms.Period(months=months, days=extra).after(day) == moved + timedelta(days=extra)


@given(days, st.integers(0, 12), st.integers(0, 400))
def test_a_period_before_a_day_never_reaches_past_it_when_counted_forward_again(day, months, extra):
    period = ms.Period(months=months, days=extra)
    assert period.after(period.before(day)) <= day
    assert ms.Period(days=extra).after(ms.Period(days=extra).before(day)) == day


@given(instants(zones=ZONES + ODD_ZONES), st.integers(0, 24), st.integers(0, 60), st.sampled_from(Choice), zones)
def test_a_period_keeps_the_wall_clock_time_except_in_a_gap(at, months, extra, choice, zone):
    period = ms.Period(months=months, days=extra)
    wall = at.astimezone(zone)
    for settled, day in (
        (period.after_instant(at, zone, choice), period.after(wall.date())),
        (period.before_instant(at, zone, choice), period.before(wall.date())),
    ):
        aimed = datetime.combine(day, wall.time())
        if settled.case is ClockCase.GAP:
            assert settled.at == settle(aimed, zone, choice).at
        else:
            assert wall_of(settled.at) == aimed


@given(instants(first=2020, last=2036), st.timedeltas(timedelta(0), timedelta(days=120)))
@example(datetime(2026, 3, 27, 10, tzinfo=UTC), timedelta(days=1, hours=15, microseconds=500_000))
@example(datetime(2026, 3, 27, 10, 0, 0, 1, tzinfo=UTC), timedelta(days=1, hours=15, microseconds=-1))
def test_the_first_clock_change_is_found_exactly_where_the_offset_changes(start, length):
    end = utc(start) + length
    expected = [at for year in range(2019, 2039) for at in clock_changes(year) if utc(start) < at <= end]
    found = clock_change(start, end, BERLIN)
    if not expected:
        assert found is None
        return
    assert found is not None
    assert utc(found.at) == min(expected)
    assert found.at.utcoffset() == found.after
    assert (utc(found.at) - timedelta(microseconds=1)).astimezone(BERLIN).utcoffset() == found.before
    assert str(found).startswith("clocks go " + ("forward" if found.at.month == 3 else "back"))

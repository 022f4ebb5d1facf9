"""Laws of the span algebra, against sets of integers."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.spans import Pairs, clip, intersection, length, subtract, union
from tests.worlds import SECOND, instants

pairs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair))), max_size=7)
ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def points(spans: Pairs) -> set[int]:
    """Every integer that spans cover."""
    return {point for start, end in spans for point in range(start, end)}


def is_tidy(spans: Pairs) -> bool:
    """Sorted, disjoint, non-empty, and not even touching."""
    return all(start < end for start, end in spans) and all(a[1] < b[0] for a, b in pairwise(spans))


@given(pairs)
def test_a_union_covers_what_any_span_covers_and_is_sorted_disjoint_and_non_empty(a):
    assert points(union(a)) == points(a)
    assert is_tidy(union(a))


@given(pairs, pairs)
@example([(0, 2)], [(2, 4)])
@example([(0, 2), (4, 6)], [(1, 5)])
def test_an_intersection_covers_what_both_sides_cover(a, b):
    assert points(intersection(a, b)) == points(a) & points(b)
    assert all(start < end for start, end in intersection(a, b))


@given(pairs, pairs)
@example([(0, 4)], [(4, 6)])
@example([(2, 4)], [(0, 2)])
@example([(0, 4)], [(0, 2), (3, 4)])
def test_a_subtraction_covers_what_the_left_side_covers_and_the_holes_do_not(a, b):
    assert points(subtract(a, b)) == points(a) - points(b)
    assert is_tidy(subtract(a, b))


@given(pairs, st.integers(0, 40), st.integers(0, 40))
@example([(0, 2), (2, 2), (4, 6), (1, 5), (1, 5), (3, 3)], 2, 4)
def test_clipping_keeps_what_lies_inside_and_the_order_and_the_repetitions(a, start, end):
    inside = clip(a, start, end)
    assert points(inside) == {point for point in points(a) if start <= point < end}
    each = [(max(s, start), min(e, end)) for s, e in a]
    assert [(s, e) for s, e in inside if s < e] == [(s, e) for s, e in each if s < e]
    assert start >= end or all(s < e for s, e in inside)


@given(pairs)
def test_a_length_counts_every_point_once(a):
    assert length(a) == len(points(a))


@given(pairs)
def test_a_union_is_unchanged_by_a_second_union_by_doubling_and_by_order(a):
    assert union(union(a)) == union(a) == union(a + a) == union(a[::-1])


@given(pairs, pairs)
def test_union_and_intersection_do_not_care_which_side_is_which(a, b):
    assert union(a + b) == union(b + a)
    assert union(intersection(a, b)) == union(intersection(b, a))


@given(pairs, pairs, pairs)
def test_what_is_outside_two_is_outside_the_one_and_outside_the_other(a, b, c):
    assert subtract(a, b + c) == subtract(subtract(a, b), c)
    assert union(subtract(a, intersection(b, c))) == union(subtract(a, b) + subtract(a, c))


@given(pairs, pairs)
def test_a_span_is_its_part_inside_and_its_part_outside_another(a, b):
    assert length(intersection(a, b)) + length(subtract(a, b)) == length(a)
    assert union(intersection(a, b) + subtract(a, b)) == union(a)


@given(instants(), instants())
def test_a_span_holds_its_start_and_not_its_end(a, b):
    start, end = sorted((a, b), key=lambda at: at.astimezone(UTC))
    span = ms.Span(start=start, end=end)
    assert (start in span) == (span.elapsed > timedelta(0))
    assert end not in span
    assert span.elapsed == end.astimezone(UTC) - start.astimezone(UTC) >= timedelta(0)


@given(*[st.integers(0, 6)] * 4)
def test_two_spans_overlap_exactly_if_they_share_an_instant(a, b, c, d):
    left, right = ([ZERO + n * SECOND for n in sorted(each)] for each in ((a, b), (c, d)))
    one, other = ms.Span(start=left[0], end=left[1]), ms.Span(start=right[0], end=right[1])
    shared = points([(min(a, b), max(a, b))]) & points([(min(c, d), max(c, d))])
    assert one.overlaps(other) == other.overlaps(one) == bool(shared)


def test_a_span_that_runs_backwards_is_refused_and_an_empty_one_is_not():
    ms.Span(start=ZERO, end=ZERO)
    with pytest.raises(ms.InvalidValue, match="span: expected an end at or after its start") as refused:
        ms.Span(start=ZERO, end=ZERO - SECOND)
    assert refused.value.found == "2026-01-01 00:00:00+00:00 to 2025-12-31 23:59:59+00:00"


def test_a_span_without_zones_is_refused_by_the_name_of_its_bound():
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - what is refused
    with pytest.raises(ms.NaiveDatetime, match="start: expected a datetime with an offset"):
        ms.Span(start=naive, end=ZERO)
    with pytest.raises(ms.NaiveDatetime, match="end: expected a datetime with an offset"):
        ms.Span(start=ZERO, end=naive)

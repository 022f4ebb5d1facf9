"""Laws of the monthly availability (clause 2.4.5), against a model that asks second by second."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched import readings
from tests.worlds import BERLIN, SECOND, contract, each_of, examples, utc

MONTH = "2026-03"  # the clocks go forward on the 29th
START, END = datetime(2026, 3, 1, tzinfo=BERLIN), datetime(2026, 4, 1, tzinfo=BERLIN)
LEAD = timedelta(hours=72)

terms = st.builds(
    lambda late, base, deduct, cause, clause, consent, target: contract(
        availability={
            "late_maintenance": late,
            "base": base,
            "deduct": deduct,
            "customer_cause": cause,
            "clause_6_6": clause,
            **target,
        },
        critical={"consent": consent},
    ),
    each_of(readings.LateMaintenance),
    each_of(readings.AvailabilityBase),
    each_of(readings.Deduct),
    each_of(readings.CustomerCause),
    each_of(readings.Counting),
    each_of(readings.Consent),
    st.sampled_from([{}, {}, {"target": 1}]),
)
seconds = st.integers(0, 90)
fine = st.integers(0, 360).map(lambda quarters: timedelta(seconds=quarters / 4))


WHOLE = seconds.map(lambda n: n * SECOND)


@st.composite
def outage(draw: st.DrawFn, zero: datetime, unit: Any = WHOLE) -> ms.Outage:
    start, end = sorted((draw(unit), draw(unit)))
    return ms.Outage(
        start=utc(zero) + start,
        end=None if draw(st.integers(0, 9)) == 0 else utc(zero) + end,
        critical=draw(st.integers(0, 4)) > 0,
        customer_caused=draw(st.integers(0, 4)) == 0,
        data_restore=draw(st.integers(0, 4)) == 0,
        cause=draw(st.sampled_from([None, None, *ms.OutageCause])),
    )


@st.composite
def maintenance(draw: st.DrawFn, zero: datetime, unit: Any = WHOLE) -> ms.Maintenance:
    start, end = sorted((draw(unit), draw(unit)))
    begun, done = sorted((draw(unit), draw(unit)))
    return ms.Maintenance(
        start=utc(zero) + start,
        end=utc(zero) + end,
        announced_at=draw(st.sampled_from([None, zero + start - LEAD, zero + start - LEAD + SECOND, zero - 2 * LEAD])),
        started_at=draw(st.sampled_from([None, utc(zero) + begun])),
        completed_at=draw(st.sampled_from([None, utc(zero) + done])),
        consent=draw(st.booleans()),
    )


def model(
    made: ms.Contract,
    outages: Sequence[ms.Outage],
    work: Sequence[ms.Maintenance],
    now: datetime,
    parts: int = 1,
) -> tuple[int, int]:
    """Deducted and counted seconds, asking of each part of each second near the events what it is.

    A second is deducted if one maintenance takes all of it, and counts if any part of it does.
    """
    share = made.availability
    excused = {"developed_component"}
    excused |= {"customer"} if share.customer_cause == "any" else set()
    excused |= {"misuse", "force_majeure", "third_party"} if share.clause_6_6 == "excluded" else set()

    def is_down(at: datetime) -> bool:
        return any(
            each.critical
            and not each.customer_caused
            and not each.data_restore
            and each.cause not in excused
            and utc(each.start) <= at < utc(each.end or now)
            for each in outages
        )

    def planned(each: ms.Maintenance) -> bool:
        told = each.announced_at is not None and utc(each.start) - utc(each.announced_at) >= LEAD
        return told or (each.consent and made.critical.consent == "deducted")

    def is_deducted(each: ms.Maintenance, at: datetime) -> bool:
        begun = share.deduct == "announced" or each.started_at is None or utc(each.started_at) <= at
        going_on = each.completed_at is None or at < utc(each.completed_at)
        return planned(each) and utc(each.start) <= at < utc(each.end) and begun and going_on

    def outside(each: ms.Maintenance, at: datetime) -> bool:
        begun, done = utc(each.started_at or each.start), utc(each.completed_at or each.end)
        return begun <= at < done and not utc(each.start) <= at < utc(each.end)

    def counts(each: ms.Maintenance, at: datetime) -> bool:
        if planned(each):
            return outside(each, at)
        late = share.late_maintenance == "counts_in_full"
        return late and (outside(each, at) or utc(each.start) <= at < utc(each.end))

    deducted = counted = 0
    edges = [at for each in outages for at in (each.start, each.end or each.start)]
    edges += [at for each in work for at in (each.start, each.end, each.started_at, each.completed_at) if at]
    edges += [now]
    second = max(min(map(utc, edges)).replace(microsecond=0), utc(START))
    while second < min(max(map(utc, edges)), utc(END)):
        moments = [second + part * SECOND / parts for part in range(parts)]
        out = any(all(is_deducted(each, at) for at in moments) for each in work)
        late = any(counts(each, at) for each in work for at in moments)
        deducted += out
        counted += (any(map(is_down, moments)) or late) and not out
        second += SECOND
    return deducted, counted


ZEROES = [datetime(2026, 3, 10, 12, tzinfo=UTC), utc(START) - 40 * SECOND, utc(END) - 40 * SECOND]
zero = st.shared(st.sampled_from(ZEROES), key="zero")
events = zero.flatmap(
    lambda at: st.tuples(
        st.lists(outage(at), max_size=3),
        st.lists(maintenance(at), max_size=3),
        seconds.map(lambda n: utc(at) + n * SECOND),
    )
)


@examples(300)
@given(terms, events)
def test_each_second_is_what_the_clause_makes_of_it(made, given_events):
    outages, work, now = given_events
    found = ms.availability(made, MONTH, outages, work, now)
    assert (found.deducted_seconds, found.counted_seconds) == model(made, outages, work, now)


@given(terms, events)
def test_counts_share_and_budget_hang_together(made, given_events):
    outages, work, now = given_events
    found = ms.availability(made, MONTH, outages, work, now)
    assert found.month_seconds == 31 * 86400 - 3600
    assert 0 <= found.deducted_seconds <= found.month_seconds
    full = made.availability.base == "full_month"
    assert found.base_seconds == found.month_seconds - (0 if full else found.deducted_seconds)
    assert 0 <= found.counted_seconds <= found.month_seconds - found.deducted_seconds
    assert found.allowed_seconds == (1 - Fraction(made.availability.target)) * found.base_seconds
    assert found.budget_left_seconds == found.allowed_seconds - found.counted_seconds
    assert found.met is (found.budget_left_seconds >= 0)


@given(terms, events, st.randoms(use_true_random=False))
def test_order_repetition_and_splitting_of_outages_change_nothing(made, given_events, random):
    outages, work, now = given_events
    found = ms.availability(made, MONTH, outages, work, now)
    pieces = []
    for each in outages:
        if each.end is not None and each.end > each.start:
            middle = each.start + (each.end - each.start) // SECOND // 2 * SECOND
            pieces += [replace(each, end=middle), replace(each, start=middle)]
        else:
            pieces.append(each)
    shuffled = pieces + outages
    random.shuffle(shuffled)
    assert ms.availability(made, MONTH, shuffled, work[::-1] + work, now) == found


@given(terms, events, st.data())
def test_another_outage_never_makes_a_month_better(made, given_events, data):
    outages, work, now = given_events
    more = [*outages, data.draw(outage(ZEROES[0]))]
    before, after = (ms.availability(made, MONTH, each, work, now) for each in (outages, more))
    assert after.counted_seconds >= before.counted_seconds
    assert after.budget_left_seconds <= before.budget_left_seconds


fine_events = zero.flatmap(
    lambda at: st.tuples(
        st.lists(outage(at, fine).filter(lambda each: each.start != each.end), max_size=2),
        st.lists(maintenance(at, fine).filter(lambda each: each.start != each.end), max_size=2),
        st.just(utc(at)),
    )
)


@given(terms, fine_events)
def test_parts_of_a_second_are_rounded_against_the_provider(made, given_events):
    outages, work, now = given_events
    found = ms.availability(made, MONTH, outages, work, now)
    assert (found.deducted_seconds, found.counted_seconds) == model(made, outages, work, now, parts=4)


@given(terms, events, st.integers(-100, 200), st.integers(0, 200))
def test_a_month_is_clipped_to_the_subscription(made, given_events, start, length):
    outages, work, now = given_events
    anchor = ZEROES[0] if not outages else outages[0].start
    subscription = ms.Span(start=anchor + start * SECOND, end=anchor + (start + length) * SECOND)
    found = ms.availability(made, MONTH, outages, work, now, subscription=subscription)
    inside = [max(utc(START), min(utc(END), utc(at))) for at in (subscription.start, subscription.end)]
    assert found.month_seconds == (inside[1] - inside[0]) // SECOND
    whole = ms.availability(made, MONTH, outages, work, now)
    assert found.counted_seconds <= whole.counted_seconds
    before, after = (
        ms.availability(made, MONTH, outages, work, now, subscription=part)
        for part in (ms.Span(start=START, end=inside[0]), ms.Span(start=inside[1], end=END))
    )
    assert before.counted_seconds + found.counted_seconds + after.counted_seconds == whole.counted_seconds
    assert before.deducted_seconds + found.deducted_seconds + after.deducted_seconds == whole.deducted_seconds


@given(terms, st.integers(0, 31 * 86400 - 3600))
def test_the_percentage_has_six_places_rounded_half_up_and_decides_nothing(made, down):
    found = ms.availability(made, MONTH, [ms.Outage(start=START, end=utc(START) + down * SECOND)], [])
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(100) * (found.base_seconds - down) / found.base_seconds
        assert found.percent == exact.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)
    assert found.percent.as_tuple().exponent == -6
    assert found.met is (Fraction(found.counted_seconds, found.base_seconds) <= 1 - Fraction(made.availability.target))


@given(st.integers(2000, 2199), st.integers(1, 12), st.sampled_from(["intrexx-paas", "generic-weekly"]))
def test_months_follow_each_other_without_gap_or_overlap(year, month, name):
    made = contract(name)
    span = ms.month_span(made, f"{year}-{month:02}")
    assert (span.start.day, span.start.hour, span.start.month) == (1, 0, month)
    following = f"{year + month // 12}-{month % 12 + 1:02}"
    if following < "2200":
        assert utc(ms.month_span(made, following).start) == utc(span.end)


@given(events)
def test_an_open_outage_runs_to_now_and_without_a_now_to_the_end_of_the_month(given_events):
    _, _, now = given_events
    open_outage = [ms.Outage(start=ZEROES[0] - timedelta(days=3), end=None)]
    found = ms.availability(contract(), MONTH, open_outage, [], now)
    closed = [replace(open_outage[0], end=max(now, open_outage[0].start))]
    assert found == ms.availability(contract(), MONTH, closed, [], now)
    forever = ms.availability(contract(), MONTH, open_outage, [])
    assert forever == ms.availability(contract(), MONTH, [replace(open_outage[0], end=END)], [])

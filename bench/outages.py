"""A month's availability beside a plain sweep over integers, made from the same values."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import maintsched as ms
from bench.side_by_side import Comparison, Goal, in_process

BERLIN = ZoneInfo("Europe/Berlin")
MONTH = "2026-05"
LEAD = timedelta(hours=72)


def comparisons(*, quick: bool) -> Iterator[Comparison]:
    """Return the comparison of this module, with values in UTC and in the contract's zone."""
    contract = ms.load_contract()
    count = 100 if quick else 10_000
    for zone in (ZoneInfo("UTC"), BERLIN):
        outages, maintenance = _outages(count, zone), _maintenance(count // 10, zone)
        yield _comparison(contract, outages, maintenance, zone=zone, quick=quick)


def _comparison(
    contract: ms.Contract, outages: list[ms.Outage], maintenance: list[ms.Maintenance], *, zone: ZoneInfo, quick: bool
) -> Comparison:
    def ours() -> tuple[int, int]:
        found = ms.availability(contract, MONTH, outages, maintenance)
        return found.deducted_seconds, found.counted_seconds

    return Comparison(
        work=f"a month's availability: {len(outages):,} outages, {len(maintenance):,} windows, in {zone.key}",
        reference="conversion of the same values and one plain sweep over sorted integers",
        goal=Goal(share=1.3),
        how="a tenth of the outages does not count, a tenth of the maintenance was announced late",
        ours=in_process(ours),
        theirs=in_process(lambda: _plain(outages, maintenance)),
        turns=2 if quick else 15,
    )


def _outages(count: int, zone: ZoneInfo) -> list[ms.Outage]:
    chosen = random.Random(1)  # no secret: the same figures each time
    first = datetime(2026, 5, 1, tzinfo=BERLIN).astimezone(zone)
    found = []
    for number in range(count):
        start = first + timedelta(seconds=chosen.randrange(31 * 86400))
        end = start + timedelta(seconds=chosen.randrange(1, 300))
        found.append(ms.Outage(start=start, end=end, customer_caused=number % 10 == 0))
    return found


def _maintenance(count: int, zone: ZoneInfo) -> list[ms.Maintenance]:
    chosen = random.Random(2)  # no secret: the same figures each time
    first = datetime(2026, 5, 1, tzinfo=BERLIN).astimezone(zone)
    found = []
    for number in range(count):
        start = first + timedelta(seconds=chosen.randrange(31 * 86400))
        lead = LEAD - timedelta(hours=1) if number % 10 == 0 else LEAD
        end = start + timedelta(seconds=chosen.randrange(60, 900))
        found.append(ms.Maintenance(start=start, end=end, announced_at=start - lead))
    return found


def _plain(outages: list[ms.Outage], maintenance: list[ms.Maintenance]) -> tuple[int, int]:
    """The seconds deducted and counted in May 2026, for values without open ends and without the other readings."""
    first, last = (
        int(datetime(2026, 5, 1, tzinfo=BERLIN).timestamp()),
        int(datetime(2026, 6, 1, tzinfo=BERLIN).timestamp()),
    )
    down = [
        (int(outage.start.timestamp()), int(outage.end.timestamp()))
        for outage in outages
        if outage.critical and not outage.customer_caused and not outage.data_restore and outage.end
    ]
    planned: list[tuple[int, int]] = []
    lead = int(LEAD.total_seconds())
    for work in maintenance:
        start, end = int(work.start.timestamp()), int(work.end.timestamp())
        in_time = work.announced_at is not None and start - int(work.announced_at.timestamp()) >= lead
        (planned if in_time else down).append((start, end))
    holes = _merged(planned, first, last)
    return sum(end - start for start, end in holes), _left(_merged(down, first, last), holes)


def _merged(spans: list[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    merged = []
    at, until = first, first
    for start, end in sorted(spans):
        if start > until:
            if at < until:
                merged.append((at, until))
            at, until = start, end
        elif end > until:
            until = end
    until = min(until, last)
    if at < until:
        merged.append((at, until))
    return merged


def _left(spans: list[tuple[int, int]], holes: list[tuple[int, int]]) -> int:
    """Return how many seconds of `spans` lie in none of `holes`, both merged: one sweep over both."""
    left, index = 0, 0
    for start, end in spans:
        at = start
        while index < len(holes) and holes[index][0] < end:
            hole_start, hole_end = holes[index]
            if at < hole_start:
                left += hole_start - at
            at = max(at, hole_end)
            if hole_end > end:
                break  # it may reach into the next span
            index += 1
        if at < end:
            left += end - at
    return left

"""Windows, holidays and support clocks beside python-dateutil, holidays and businesstimedelta."""

import importlib
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import holidays
from dateutil.rrule import MONTHLY, TU, rrule

import maintsched as ms
from bench.side_by_side import Comparison, Goal, as_process, in_process
from maintsched.windows import schedule

BERLIN = ZoneInfo("Europe/Berlin")
YEAR = 2026

OURS_FRESH = """
from datetime import datetime
from zoneinfo import ZoneInfo
import maintsched as ms
zone = ZoneInfo("Europe/Berlin")
since, until = datetime(2000, 1, 1, tzinfo=zone), datetime({until}, 1, 1, tzinfo=zone)
windows = list(ms.monthly_windows(ms.load_contract(), since, until))
print(len(windows), windows[-1].start.isoformat())
"""
THEIRS_FRESH = """
from datetime import datetime
from zoneinfo import ZoneInfo
from dateutil.rrule import MONTHLY, TU, rrule
zone = ZoneInfo("Europe/Berlin")
rule = rrule(MONTHLY, byweekday=TU(1), dtstart=datetime(2000, 1, 1, 17), until=datetime({until}, 1, 1))
starts = [at.replace(tzinfo=zone) for at in rule]
print(len(starts), starts[-1].isoformat())
"""


def comparisons(*, quick: bool) -> Iterator[Comparison]:
    """Return the comparisons of this module."""
    contract = ms.load_contract()
    yield from _windows(contract, until=2005 if quick else 2100, turns=2 if quick else 15)
    yield _next_window(contract, quick=quick)
    yield from _reactions(contract, quick=quick)
    yield from _holidays(contract, turns=2 if quick else 15)


def _windows(contract: ms.Contract, *, until: int, turns: int) -> Iterator[Comparison]:
    since, end = datetime(2000, 1, 1, tzinfo=BERLIN), datetime(until, 1, 1, tzinfo=BERLIN)
    current = contract

    def fresh() -> None:
        nonlocal current
        schedule.cache_clear()  # an equal contract would find the old schedule
        current = replace(contract)

    def ours() -> list[datetime]:
        return [window.start for window in ms.monthly_windows(current, since, end)]

    def theirs() -> list[datetime]:
        rule = rrule(MONTHLY, byweekday=TU(1), dtstart=_wall(2000), until=_wall(until))
        return [at.replace(tzinfo=BERLIN) for at in rule]

    programs = (OURS_FRESH.format(until=until), THEIRS_FRESH.format(until=until))
    our_process, their_process = (as_process(sys.executable, "-c", program) for program in programs)
    for state, goal, how, side, other in (
        ("warm", Goal(times=8), "the same contract is asked again", in_process(ours), in_process(theirs)),
        ("cold", Goal(share=1.0), "a new contract value each time", in_process(ours, before=fresh), in_process(theirs)),
        ("a new process", Goal(), "interpreter, imports, contract file and windows", our_process, their_process),
    ):
        yield Comparison(
            work=f"{until - 2000} years of monthly windows, gap and fold checked: {state}",
            reference="`dateutil.rrule` and `.replace(tzinfo=…)`, without a gap/fold check",
            goal=goal,
            how=how,
            ours=side,
            theirs=other,
            turns=turns,
        )


def _next_window(contract: ms.Contract, *, quick: bool) -> Comparison:
    rule = rrule(MONTHLY, byweekday=TU(1), dtstart=_wall(YEAR - 10))
    instants = _instants(3 if quick else 20)
    walls = [at.astimezone(BERLIN).replace(tzinfo=None) for at in instants]
    return Comparison(
        work="the next window of a rule that began ten years ago",
        reference="`rrule.after`",
        goal=Goal(times=100),
        how=f"{len(instants)} instants spread over a year, the contract is warm; the reference begins ten years before",
        ours=in_process(lambda: [ms.next_window(contract, at).start for at in instants], times=20),
        theirs=in_process(lambda: [_after(rule, wall) for wall in walls]),
        turns=2 if quick else 15,
    )


def _after(rule: rrule, wall: datetime) -> datetime | None:
    found: datetime | None = rule.after(wall, inc=True)
    return found and found.replace(tzinfo=BERLIN)


def _reactions(contract: ms.Contract, *, quick: bool) -> Iterator[Comparison]:
    """Return the clocks of 8 h, which has goals, and of 48 h, which shows what a longer one costs."""
    known = holidays.country_holidays("DE", subdiv="BW", years=range(YEAR - 1, YEAR + 3))
    turns = 2 if quick else 15
    instants = _instants(5 if quick else 200)
    for severity, hours, within_loop, within_library in (
        ("major", 8, Goal(share=0.40), Goal(times=100)),
        ("minor", 48, Goal(), Goal()),
    ):
        loop, library = _day_loop(frozenset(known), hours), _businesstimedelta(known, hours)
        ours = in_process(partial(_reactions_due, contract, severity, instants))
        references = [("a plain loop over days, holidays in a frozenset", within_loop, loop, turns)]
        if library is not None:
            references.append(("`businesstimedelta`", within_library, library, min(turns, 5)))
        for reference, goal, due, turns_here in references:
            yield Comparison(
                work=f"when a reaction is due: {hours} h of support, Monday to Friday 9 to 17, holidays of DE-BW",
                reference=reference,
                goal=goal,
                how=f"`reaction_due` for {len(instants)} instants spread over a year, nights and weekends included",
                ours=ours,
                theirs=in_process(partial(_each, due, instants)),
                turns=turns_here,
            )


def _reactions_due(contract: ms.Contract, severity: str, instants: list[datetime]) -> list[datetime | None]:
    return [ms.reaction_due(contract, "professional", severity, at).due_at for at in instants]


def _each(due: Callable[[datetime], datetime], instants: list[datetime]) -> list[datetime]:
    return [due(at) for at in instants]


def _day_loop(known: frozenset[date], hours: int) -> Callable[[datetime], datetime]:
    def due(opened: datetime) -> datetime:
        need, day = timedelta(hours=hours), opened.astimezone(BERLIN).date()
        while True:
            if day.weekday() < 5 and day not in known:
                opens = datetime.combine(day, time(9), BERLIN).astimezone(UTC)
                closes = datetime.combine(day, time(17), BERLIN).astimezone(UTC)
                start = max(opens, opened)
                if need <= closes - start:
                    return (start + need).astimezone(BERLIN)
                need -= max(closes - start, timedelta())
            day += timedelta(days=1)

    return due


def _businesstimedelta(known: object, hours: int) -> Callable[[datetime], datetime] | None:
    """Return the same clock by businesstimedelta, or None where it is not installed (`pip install '.[bench]'`)."""
    try:
        library, pytz = importlib.import_module("businesstimedelta"), importlib.import_module("pytz")
    except ImportError:
        return None
    zone = pytz.timezone("Europe/Berlin")  # the library asks for the methods of a pytz zone
    days = library.WorkDayRule(start_time=time(9), end_time=time(17), working_days=[0, 1, 2, 3, 4], tz=zone)
    within = library.BusinessTimeDelta(library.Rules([days, library.HolidayRule(known, tz=zone)]), hours=hours)

    def due(opened: datetime) -> datetime:
        found: datetime = opened.astimezone(zone) + within
        return found.astimezone(BERLIN)

    return due


def _holidays(contract: ms.Contract, *, turns: int) -> Iterator[Comparison]:
    known = holidays.country_holidays("DE", subdiv="BW", years=YEAR)
    days = [date(YEAR, 1, 1) + timedelta(days=number) for number in range(365)]
    ours = contract.holidays

    def by_year() -> list[bool]:
        names = ours.of_year(YEAR)
        return [day in names for day in days]

    for way, goal, side in (
        ("`holidays.name(day)`", Goal(share=0.12), lambda: [ours.name(day) is not None for day in days]),
        ("`day in holidays.of_year(year)`, for many days of a year", Goal(share=0.12), by_year),
    ):
        yield Comparison(
            work=f"is a day a public holiday: {way}",
            reference="`date in holidays.country_holidays(…)`",
            goal=goal,
            how="every day of a year, both sides warm",
            ours=in_process(side, times=20),
            theirs=in_process(lambda: [day in known for day in days], times=20),
            turns=turns,
        )


def _wall(year: int) -> datetime:
    """Return 17:00 on New Year's Day; rrule counts in wall clock times."""
    return datetime.combine(date(year, 1, 1), time(17))


def _instants(count: int) -> list[datetime]:
    """Return instants spread over a year, the same ones each time, whole minutes in UTC."""
    chosen = random.Random(17)  # no secret: the same figures each time
    first = datetime(YEAR, 1, 1, tzinfo=UTC)
    return sorted(first + timedelta(minutes=chosen.randrange(360 * 24 * 60)) for _ in range(count))

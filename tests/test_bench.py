"""The benchmarks compare like with like. How fast anything is, no test asks: that depends on machine and hour."""

import json
import subprocess
import sys
from collections import Counter
from email import message_from_bytes, policy
from pathlib import Path
from types import ModuleType

import pytest

import maintsched as ms
from bench import big_plan, calendars, deciding, ledger, mailhouse, mails, outages
from maintsched.gates import Turns, holds, standing_of
from maintsched.runs import Gate, RunState

CALENDARS = ("text/calendar", "application/ics")
NAMED = ("DTSTART", "DTEND", "STATUS", "X-MAINTNOTE-ACCOUNT", "X-MAINTNOTE-OBJECT-ID", "X-MAINTNOTE-IMPACT", "METHOD")
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("module", [calendars, outages, ledger], ids=["calendars", "outages", "ledger"])
def test_both_sides_of_each_comparison_give_the_same_answer(module: ModuleType) -> None:
    comparisons = list(module.comparisons(quick=True))
    assert len(comparisons) > 1
    assert all(comparison.same for comparison in comparisons)
    assert [difference for comparison in comparisons for difference in comparison.differences()] == []


def test_the_availability_that_is_compared_deducts_and_counts_something() -> None:
    assert all(min(comparison.ours.answer()) > 0 for comparison in outages.comparisons(quick=True))  # type: ignore[call-overload]  # pairs here


def test_the_naive_mails_have_the_parts_and_say_the_facts_of_ours() -> None:
    with mailhouse.house_of(mailhouse.fleet_of(6)) as house:
        ours = sorted(map(said, mails.our_mails(house)))
    assert len(ours) == 6
    assert ours == sorted(map(said, mails.naive_maker(mailhouse.fleet_of(6))()))


def said(data: bytes) -> tuple[str, list[str], list[str]]:
    """Who a mail is to, the types of its parts, and when and for what its calendar entries are."""
    mail = message_from_bytes(data, policy=policy.default)
    parts = [part.get_content_type() for part in mail.walk() if not part.is_multipart()]
    files = [part.get_content() for part in mail.walk() if part.get_content_type() in CALENDARS]
    texts = [file.decode() if isinstance(file, bytes) else file for file in files]
    lines = [line for text in texts for line in text.splitlines() if line.startswith(NAMED)]
    return str(mail["To"]), parts, sorted(line.replace(";X-MAINTNOTE-OBJECT-IMPACT=OUTAGE", "") for line in lines)


def test_reminders_are_sent_in_both_ways_end_to_end() -> None:
    why = mailhouse.missing("smtp-sink", "smtp-source")
    if why is not None:
        pytest.skip(why)
    lines = [comparison.measure() for comparison in mails.comparisons(quick=True)]
    assert len(lines) == 6


def test_the_rows_that_are_dumped_are_the_rows_of_the_plan() -> None:
    plan = ms.make_plan(ms.load_contract(), big_plan.fleet_of(500), big_plan.facts_of(500), big_plan.SPAN)
    dumped = [tuple(row.values()) for text, _ in big_plan.dumped_rows(plan) for row in json.loads(text)]
    assert Counter(dumped) == Counter(tuple(row) for row in big_plan.all_rows(plan))


def test_the_large_fleet_is_mixed_and_some_of_it_is_deferred_and_frozen() -> None:
    plan = ms.make_plan(ms.load_contract(), big_plan.fleet_of(500), big_plan.facts_of(500), big_plan.SPAN)
    rows = list(big_plan.all_rows(plan))
    assert len({row.release for row in rows}) > 3
    assert plan.deferrals
    assert plan.freezes
    assert len(plan.windows) == 12


def test_a_quick_run_prints_every_line_and_writes_no_page() -> None:
    page = ROOT / "docs" / "benchmarks.md"
    before = page.read_bytes() if page.exists() else None
    command = [sys.executable, str(ROOT / "bench" / "run.py"), "--quick"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    works = [comparison.work for module in (calendars, outages) for comparison in module.comparisons(quick=True)]
    assert [work for work in works if work not in done.stdout] == []
    assert "a plan of 12 months" in done.stdout
    assert "a pass with nothing due" in done.stdout
    assert (page.read_bytes() if page.exists() else None) == before


@pytest.mark.parametrize("told", [True, False])
def test_what_is_decided_for_a_large_fleet_is_what_each_run_by_itself_is_told(told: bool) -> None:
    large = deciding.evening_of(200, told=told)
    found, register = large.decide(), large.register()
    turns = Turns(deciding.TERMS, large.runs, (), now=deciding.NOW)
    assert bool(found.start) is told
    for one in large.runs:
        standing = standing_of(one, register, turns, confirmed=register.confirmed(one), known_executors=("apt",))
        hold = next(iter(holds(large.contract, deciding.TERMS, standing, now=deciding.NOW)), None)
        if one.key in found.start:
            assert hold is None
        elif one.state is RunState.PLANNED and found.held[one.key].gate not in (Gate.HOST, Gate.LIMIT):
            assert found.held[one.key] == hold

"""What changes about a window, who counts as told of it, and what is reported of it: the seldom cases."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

import maintsched as ms
from maintsched.announcements import ALTERNATIVES_MAX, Announcement, Significance, WindowState, change_between
from maintsched.errors import InvalidValue
from maintsched.facts import Impact
from maintsched.fleet import Fleet
from maintsched.journal import EntryKind, Event
from maintsched.proof import declared_windows, told_by_contract
from maintsched.readings import MonthlyProof
from maintsched.spans import Span
from maintsched.store.evidence import append
from maintsched.store.windows import announced_by_rule
from maintsched.terms import WINDOW_MAX
from maintsched.windows import schedule
from maintsched.worker import announce as core
from maintsched.worker.proofs import check_chain, verify
from tests.casefiles import BEGIN, a_month
from tests.houses import ACME, BERLIN, BIRCH, DECEMBER, NOW, contact, critical, instance, world
from tests.test_evidence import CHAIN, tamper, where
from tests.test_reports import DUE, READER, reports

CONTRACT = ms.load_contract()
BY_CONTRACT = replace(CONTRACT, monthly=replace(CONTRACT.monthly, proof=MonthlyProof.CONTRACT))
START = NOW + timedelta(days=7)
HOURS = timedelta(hours=1)
DISK = critical(start=START)


# --- changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"start": START - HOURS}, "it starts earlier"),
        ({"end": START + 3 * HOURS}, "it ends later"),
        ({"instances": ("acme-prod", "acme-test")}, "another instance: acme-test"),
        ({"impact": Impact.OUTAGE}, "a worse impact: outage instead of degraded"),
    ],
)
def test_whatever_is_added_to_what_was_announced_is_significant(changed, reason):
    before = replace(DISK, impact=Impact.DEGRADED)
    after = replace(before, **changed)
    assert change_between(before, after).reasons == (reason,)
    assert change_between(before, after).significant
    assert change_between(after, before).significance is Significance.TRIVIAL


def test_of_a_window_for_everybody_an_instance_is_another_one_only_where_it_did_not_take_part():
    everybody = replace(DISK, instances=())
    assert not change_between(everybody, DISK).significant
    assert not change_between(everybody, DISK, covered=["acme-prod"]).significant
    change = change_between(everybody, DISK, covered=["birch-prod"])
    assert change.reasons == ("another instance: acme-prod",)


@pytest.mark.parametrize("length", [timedelta(0), WINDOW_MAX + timedelta(seconds=1)])
def test_an_alternative_is_a_time_that_a_window_may_take(length):
    span = Span(start=START, end=START + length)
    with pytest.raises(InvalidValue, match="alternative: expected a time of at most 168 h") as refused:
        Announcement(window=DISK, state=WindowState.TENTATIVE, entered_at=NOW, alternatives=(span,))
    assert refused.value.field == "alternatives"


def test_a_window_offers_twenty_times_at_most():
    starts = [START + timedelta(days=day) for day in range(20)]
    spans = [Span(start=start, end=start + HOURS) for start in starts]
    offered = Announcement(
        window=DISK, state=WindowState.TENTATIVE, entered_at=NOW, alternatives=tuple(spans[:ALTERNATIVES_MAX])
    )
    assert offered.alternative(20) == spans[18]
    with pytest.raises(InvalidValue, match="at most 19 alternatives"):
        replace(offered, alternatives=tuple(spans))


# --- who counts as told -----------------------------------------------------------------------------------------------


def kept(window):
    """A window of the rule, as it is kept once people were told of it."""
    found = schedule(CONTRACT).window(window)
    assert found is not None
    return announced_by_rule(found, NOW)


def test_a_window_that_the_contract_announces_is_told_to_everybody_a_month_ahead_as_long_as_it_stays_put():
    window = kept("monthly/2026-12")
    told = told_by_contract(BY_CONTRACT, ("acme-prod", "birch-prod"), [window])
    assert told == {
        ("monthly/2026-12", "acme-prod"): DECEMBER - timedelta(days=31),
        ("monthly/2026-12", "birch-prod"): DECEMBER - timedelta(days=31),
    }
    shorter = replace(window, window=replace(window.window, end=window.span.end - HOURS))
    assert told_by_contract(BY_CONTRACT, ("acme-prod",), [shorter])
    assert told_by_contract(CONTRACT, ("acme-prod",), [window]) == {}


def test_what_the_contract_did_not_announce_as_it_is_now_nobody_counts_as_told_of():
    window = kept("monthly/2026-12")
    moved = replace(window, window=replace(window.window, start=window.span.start - HOURS))
    longer = replace(window, window=replace(window.window, end=window.span.end + HOURS))
    off = replace(window, state=WindowState.CANCELLED)
    declared = Announcement(window=DISK, entered_at=NOW)
    assert told_by_contract(BY_CONTRACT, ("acme-prod",), [moved, longer, off, declared]) == {}


def test_who_takes_no_part_in_a_window_for_everybody_keeps_nobody_from_counting_as_told():
    window = kept("monthly/2026-12")
    others = (
        instance("acme-own", managed=False),
        instance("acme-late", starts_on=date(2027, 1, 1)),
        instance("acme-gone", ends_on=date(2026, 11, 30)),
    )
    fleet = Fleet(customers=(replace(ACME, instances=(instance("acme-prod"), *others)),))
    (known,) = declared_windows(CONTRACT, fleet, [window], {(window.id, "acme-prod"): NOW})
    assert known.announced_at == NOW
    new = replace(ACME, instances=(instance("acme-prod"), instance("acme-new")))
    (unknown,) = declared_windows(CONTRACT, Fleet(customers=(new,)), [window], {(window.id, "acme-prod"): NOW})
    assert unknown.announced_at is None


def test_who_had_to_be_told_of_a_window_has_to_be_told_of_its_move_whatever_role_they_have_now(store, tmp_path):
    home = world(store, tmp_path)
    home.tick()
    core.announce(home.house, critical(start=START, instances=("birch-prod",)), now=home.now)
    home.tick()
    successor, former = contact("nina"), replace(BIRCH.contacts[0], roles=("reports",))
    home.sync(Fleet(customers=(ACME, replace(BIRCH, contacts=(former, successor)))))
    later = Span(start=START + 24 * HOURS, end=START + 26 * HOURS)
    core.move(home.house, "critical/disk", later, now=home.now)
    told = {each.notice.contact: each.notice for each in home.notices("critical/disk") if each.notice.sequence == 1}
    assert {who: (str(notice.kind), notice.required) for who, notice in told.items()} == {
        "ops": ("moved", True),
        "nina": ("announcement", True),
    }


# --- reports and proofs -----------------------------------------------------------------------------------------------


DAY = datetime(2026, 11, 30, tzinfo=BERLIN)
LAST = instance("acme-prod", starts_on=date(2026, 11, 30))
OLD = instance("acme-old", starts_on=date(2026, 11, 1))


@pytest.mark.parametrize(("instances", "reported"), [((LAST,), []), ((LAST, OLD), ["acme-old"])])
def test_an_instance_whose_only_day_of_the_month_was_planned_maintenance_has_no_share_to_report(
    store, tmp_path, instances, reported
):
    customer = replace(ACME, contacts=(*ACME.contacts, READER), instances=instances)
    home = world(store, tmp_path, fleet=Fleet(customers=(customer,)))
    window = critical(start=DAY, end=DAY + timedelta(days=1), instances=("acme-prod",))
    core.announce(home.house, window, now=home.now)
    home.tick()
    assert len(reports(home, DUE)) == len(reported)
    found = [row["instance"] for each in home.notices("month/2026-11") for row in each.notice.facts["report"]["rows"]]
    assert found == reported


class Meanwhile(list):
    """Keeps entries, while somebody writes another one to the same chain."""

    def __init__(self, store, chain):
        super().__init__()
        self.store, self.chain = store, chain

    def append(self, entry):
        super().append(entry)
        if len(self) == 1:
            with self.store.writing() as connection:
                append(connection, [Event(chain=self.chain, at=BEGIN, kind=EntryKind.BREACH, subject="meanwhile")])


def test_an_entry_that_is_written_while_its_chain_is_read_is_no_fault(store):
    a_month(store)
    with store.reading() as connection:
        check = check_chain(connection, CHAIN, None, keep=Meanwhile(store, CHAIN))
    assert (check.fault, check.entries) == (None, 4)
    assert verify(store, [CHAIN]).entries == 5
    assert verify(store, [CHAIN]).faults == ()


@pytest.mark.parametrize("left", [0, 3])
def test_a_tail_that_was_cut_off_shows_beside_the_heads_of_the_database_itself(store, left):
    a_month(store)
    tamper(store, f"DELETE FROM journal WHERE {where()} AND seq > {left}")
    (fault,) = verify(store).faults
    assert fault == (CHAIN, left + 1, f"the tail is cut off: 4 entries are known, the last is entry {left}")

"""What is due: each promised notice once, from its planned time on, whatever passes were missed."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.due import Due, due, next_due
from maintsched.facts import Facts, WindowKind
from maintsched.fleet import Fleet
from maintsched.localtime import utc
from maintsched.notices import NoticeKind
from maintsched.readings import MonthlyProof
from maintsched.rounds import Known, instances_by_customer
from tests.houses import ACME, BIRCH, FLEET, contact, critical, instance

C = ms.load_contract()
BEGIN = datetime(2026, 11, 4, 9, tzinfo=UTC)
SPAN = ms.Span(start=BEGIN, end=BEGIN + timedelta(days=240))
SECOND = timedelta(seconds=1)
SEND_AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
DEADLINE = datetime(2026, 11, 23, 23, tzinfo=UTC)
START = datetime(2026, 12, 1, 16, tzinfo=UTC)
DISK = critical(start=BEGIN + timedelta(days=5), instances=("acme-prod",))
MAJOR = ms.Release(
    version=ms.Version.parse("12.1.0"),
    change_class=ms.ChangeClass.MAJOR,
    available_at=datetime(2026, 11, 1, tzinfo=UTC),
)
UNTIL = datetime(2027, 4, 20, 8, tzinfo=UTC)
DEFERRED = Facts(releases=(MAJOR,), deferrals=(ms.Deferral(instance="birch-prod", release=MAJOR.version, until=UNTIL),))
LEAVING = Fleet(customers=(replace(BIRCH, instances=(instance("birch-prod", ends_on=date(2026, 11, 30)),)),))
HANDED_OVER = datetime(2026, 11, 30, 23, tzinfo=UTC)
moments = st.integers(0, 239 * 24 * 60).map(lambda minutes: BEGIN + timedelta(minutes=minutes))


def found(now, known=None, *, facts=None, fleet=FLEET, contract=C, since=BEGIN) -> Due:
    plan = plan_of(now, facts=facts, fleet=fleet, contract=contract, since=since)
    return due(plan, fleet, known or Known(), now=now)


def plan_of(now, *, facts=None, fleet=FLEET, contract=C, since=BEGIN):
    span = ms.Span(start=since, end=SPAN.end)
    return ms.make_plan(contract, fleet, facts or Facts(), span, now=now)


def keys(what: Due) -> list[str]:
    return [notice.key for each in what.rounds for notice in each.notices]


def breaches(what: Due) -> list[str]:
    return [breach.key for breach in what.breaches]


def remembered(known: Known, what: Due) -> Known:
    """Return what is known once all of it is written down."""
    threads = {(each.thread.subject, each.thread.customer): each.thread for each in what.rounds}
    return replace(
        known,
        threads={**known.threads, **threads},
        notices={*known.notices, *keys(what)},
        breaches={*known.breaches, *breaches(what)},
    )


def told(known: Known, window: str, at: datetime, instances: Collection[str]) -> Known:
    return replace(known, told={**known.told, **{(window, each): at for each in instances}})


EVERYTHING = replace(DEFERRED, windows=(DISK,))


@given(moments)
def test_what_was_written_down_is_not_due_again(now):
    first = found(now, facts=EVERYTHING)
    again = found(now, remembered(Known(), first), facts=EVERYTHING)
    assert not again
    assert len(set(keys(first))) == len(keys(first))


@given(moments)
def test_a_reminder_is_due_exactly_from_its_planned_time_until_its_window_begins(now):
    wanted = {
        planned.window.id
        for planned in plan_of(now).windows
        if utc(planned.notices[0].send_at) <= now < planned.window.start
    }
    what = found(now)
    assert {each.thread.subject for each in what.rounds} == wanted
    assert {window.id for window in what.keep} == wanted


@given(moments, st.randoms(use_true_random=False))
def test_the_order_of_what_is_known_makes_no_difference(now, random):
    fleet = Fleet(customers=tuple(random.sample(FLEET.customers, len(FLEET.customers))))
    facts = replace(EVERYTHING, windows=(critical("other", start=BEGIN + timedelta(days=9)), DISK))
    other = replace(facts, windows=facts.windows[::-1])
    one, two = found(now, facts=facts), found(now, facts=other, fleet=fleet)
    assert sorted(keys(one)) == sorted(keys(two))
    assert sorted(breaches(one)) == sorted(breaches(two))


@given(moments, st.timedeltas(min_value=timedelta(), max_value=timedelta(days=60)))
def test_a_later_pass_finds_what_an_earlier_one_would_have_found(now, later):
    ahead = {planned.window.id for planned in plan_of(now).windows if planned.window.start > now + later}
    before, after = found(now), found(now + later)
    assert {key for key in keys(before) if key.split("/")[2].replace(":", "/") in ahead} <= set(keys(after))
    assert set(breaches(before)) <= set(breaches(after))


@given(moments)
def test_between_now_and_the_next_instant_that_counts_nothing_new_is_due(now):
    plan = plan_of(now, facts=EVERYTHING)
    following = next_due(plan, FLEET, Known(), now=now)
    assert following is None or utc(following) > now
    known = remembered(Known(), due(plan, FLEET, Known(), now=now))
    last = max(now, utc(following or SPAN.end) - timedelta(microseconds=1))
    assert not [each for each in due(plan, FLEET, known, now=last).rounds if each.thread.subject.startswith("monthly/")]
    assert not due(plan, FLEET, known, now=last).breaches


def test_where_nothing_is_planned_there_is_no_next_instant():
    plan = replace(plan_of(BEGIN), windows=())
    assert next_due(plan, FLEET, Known(), now=BEGIN) is None
    assert not due(plan, Fleet(), Known(), now=BEGIN)


def test_the_next_instants_are_those_at_which_something_becomes_due():
    plan = plan_of(BEGIN, facts=DEFERRED)
    seen, now = [], BEGIN
    while (at := next_due(plan, FLEET, Known(), now=now)) is not None:
        seen.append(utc(at))
        now = utc(at)
    assert all(one < other for one, other in pairwise(seen))
    assert {SEND_AT, DEADLINE, DEADLINE + timedelta(microseconds=1), UNTIL} <= set(seen)
    assert {UNTIL - timedelta(days=30) + timedelta(hours=1), UNTIL - timedelta(days=7)} <= set(seen)


# --- broken promises -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "broken"), [(DEADLINE - SECOND, set()), (DEADLINE, {"acme-prod", "acme-test", "birch-prod"})]
)
def test_a_reminder_is_late_at_midnight_itself(now, broken):
    assert {each.instance for each in found(now).breaches} == broken


def test_an_announcement_is_in_time_at_its_deadline_itself():
    facts, deadline = Facts(windows=(DISK,)), DISK.start - timedelta(hours=72)
    assert breaches(found(deadline, facts=facts)) == []
    assert breaches(found(deadline + SECOND, facts=facts)) == ["breach/announcement/critical:disk/0/acme/acme-prod"]


@pytest.mark.parametrize(("at", "count"), [(DEADLINE - SECOND, 0), (DEADLINE, 1)])
def test_who_was_told_in_time_is_no_breach_and_who_was_told_late_is_one(at, count):
    known = told(Known(), "monthly/2026-12", DEADLINE - SECOND, ("acme-prod", "acme-test"))
    late = found(DEADLINE + timedelta(hours=1), told(known, "monthly/2026-12", at, ("birch-prod",)))
    assert len(late.breaches) == count
    assert [each.told_at for each in late.breaches] == [at] * count


def test_an_emergency_has_no_deadline_that_it_could_miss():
    emergency = critical(start=BEGIN + timedelta(hours=1), instances=("acme-prod",), kind=WindowKind.EMERGENCY)
    what = found(BEGIN + timedelta(minutes=1), facts=Facts(windows=(emergency,)))
    assert breaches(what) == []


def test_a_window_that_the_contract_itself_announces_cannot_be_late():
    contract = replace(C, monthly=replace(C.monthly, proof=MonthlyProof.CONTRACT))
    assert breaches(found(DEADLINE, contract=contract)) == []


def test_a_window_without_mail_tells_nobody_and_cannot_be_late():
    silent = Known(silent={"critical/disk"})
    what = found(DISK.start - SECOND, silent, facts=Facts(windows=(DISK,)))
    assert not [key for key in [*keys(what), *breaches(what)] if "disk" in key]


def test_a_promise_from_before_the_journal_or_before_the_instance_was_there_is_no_breach():
    assert breaches(found(DEADLINE, Known(since=DEADLINE + SECOND))) == []
    young = Fleet(customers=(replace(BIRCH, instances=(instance("birch-prod", starts_on=date(2026, 11, 25)),)),))
    assert breaches(found(DEADLINE + timedelta(days=3), fleet=young)) == []


def test_the_deadline_that_was_told_counts_and_not_the_one_of_a_changed_contract():
    known = Known(deadlines={("monthly/2026-12", "birch"): DEADLINE + timedelta(days=1)})
    assert {each.customer for each in found(DEADLINE, known).breaches} == {"acme"}


# --- people ----------------------------------------------------------------------------------------------------------


def test_nobody_is_told_where_nobody_is_to_be_told():
    nobody = Fleet(customers=(replace(BIRCH, contacts=()),))
    facts = replace(DEFERRED, windows=(critical(start=BEGIN + timedelta(days=5), instances=("birch-prod",)),))
    for now in (SEND_AT, BEGIN, UNTIL):
        assert keys(found(now, facts=facts, fleet=nobody)) == []
    leaving = Fleet(customers=(replace(LEAVING.customers[0], contacts=()),))
    assert keys(found(HANDED_OVER, fleet=leaving)) == []


def test_who_joins_is_told_of_what_is_ahead_and_of_no_tentative_window():
    first = found(SEND_AT)
    known = remembered(Known(), first)
    joined = Fleet(customers=(ACME, replace(BIRCH, contacts=(*BIRCH.contacts, contact("new")))))
    assert keys(found(SEND_AT, known, fleet=joined)) == ["notice/reminder/monthly:2026-12/0/birch/new"]
    (thread,) = (each for name, each in known.threads.items() if name == ("monthly/2026-12", "birch"))
    offered = {**known.threads, ("monthly/2026-12", "birch"): replace(thread, kind=NoticeKind.TENTATIVE)}
    assert keys(found(SEND_AT, replace(known, threads=offered), fleet=joined)) == []


def test_an_account_without_terms_is_told_of_its_instances():
    known = remembered(Known(), found(SEND_AT))
    bare = {name: replace(thread, terms=None) for name, thread in known.threads.items()}
    again = found(SEND_AT, replace(known, threads=bare))
    assert {notice.revision for each in again.rounds for notice in each.notices} == {1}


def test_of_an_instance_that_is_gone_nobody_is_told():
    assert instances_by_customer(FLEET, ["gone", "birch-prod"]) == {"birch": ["birch-prod"]}


# --- deferrals and handovers -----------------------------------------------------------------------------------------


def labels(what: Due) -> list[str]:
    return [key.split("/")[1] for key in keys(what) if "deferral" in key]


def test_a_deferral_is_told_at_its_grant_twice_before_its_end_and_at_its_end():
    known, said = Known(), dict[datetime, list[str]]()
    for now in (BEGIN, BEGIN + timedelta(days=1), UNTIL - timedelta(days=29), UNTIL - timedelta(days=6), UNTIL, UNTIL):
        what = found(now, known, facts=DEFERRED, fleet=Fleet(customers=(BIRCH,)))
        said.setdefault(now, []).extend(labels(what))
        known = remembered(known, what)
    assert list(said.values()) == [
        ["deferral_granted"],
        [],
        ["deferral_reminder-30d"],
        ["deferral_reminder-7d"],
        ["deferral_ended"],
    ]


def test_of_two_reminders_that_were_missed_the_nearer_one_goes_out():
    known = remembered(Known(), found(BEGIN, facts=DEFERRED))
    assert labels(found(UNTIL - timedelta(days=2), known, facts=DEFERRED)) == ["deferral_reminder-7d"]


def test_of_a_deferral_that_nobody_was_told_of_no_end_is_told():
    assert labels(found(UNTIL, facts=DEFERRED)) == []


@pytest.mark.parametrize("now", [BEGIN + timedelta(days=9), UNTIL])
def test_another_end_of_a_deferral_is_told_anew(now):
    known = remembered(Known(), found(BEGIN, facts=DEFERRED))
    longer = replace(DEFERRED, deferrals=(replace(DEFERRED.deferrals[0], until=UNTIL + timedelta(days=9)),))
    shorter = replace(DEFERRED, deferrals=(replace(DEFERRED.deferrals[0], until=UNTIL - timedelta(days=9)),))
    assert labels(found(now, known, facts=longer)) == ["deferral_granted"]
    assert labels(found(now, known, facts=shorter)) == ["deferral_ended" if now == UNTIL else "deferral_granted"]


def test_the_end_of_a_subscription_is_told_once_from_the_day_after_on():
    assert keys(found(HANDED_OVER - SECOND, fleet=LEAVING)) == []
    first = found(HANDED_OVER, fleet=LEAVING)
    assert [key.split("/")[1] for key in keys(first)] == ["handover"]
    known = remembered(Known(), first)
    assert keys(found(HANDED_OVER + timedelta(days=9), known, fleet=LEAVING)) == []
    later = Fleet(customers=(replace(BIRCH, instances=(instance("birch-prod", ends_on=date(2026, 12, 5)),)),))
    assert [key.split("/")[3] for key in keys(found(HANDED_OVER + timedelta(days=9), known, fleet=later))] == ["1"]


def test_an_end_that_was_long_ago_when_the_journal_began_is_told_of_no_more():
    late = HANDED_OVER + timedelta(days=28)
    assert keys(found(late, fleet=LEAVING)) == []
    assert keys(found(late, Known(since=late), fleet=LEAVING)) == []
    assert len(keys(found(late, Known(since=BEGIN), fleet=LEAVING))) == 1

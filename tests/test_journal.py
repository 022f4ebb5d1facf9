"""The chain of hashes: what is changed shows, where it was changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import maintsched as ms
from maintsched.journal import (
    GENESIS,
    PROVIDER,
    START,
    Entry,
    EntryKind,
    Event,
    Head,
    chained,
    digest_of,
    first_fault,
    instant_text,
)
from maintsched.report.casefile import canonical_text

AT = datetime(2026, 11, 20, 8, 0, 12, tzinfo=UTC)
CHAIN = "acme-prod"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.builds(
    Event,
    chain=st.just(CHAIN),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
    kind=st.sampled_from(EntryKind),
    subject=TEXTS,
    data=st.dictionaries(TEXTS, VALUES, max_size=3),
)
CHAINS = st.lists(EVENTS, min_size=2, max_size=8).map(lambda events: chained(events, {}))


def entry(**fields) -> Entry:
    """One entry."""
    given_fields: dict[str, Any] = {
        "chain": CHAIN,
        "at": AT,
        "kind": EntryKind.BREACH,
        "subject": "monthly/2026-12",
        "data": {},
    }
    return chained([Event(**(given_fields | fields))], {})[0]


# --- the form ---------------------------------------------------------------------------------------------------------


def test_the_canonical_form_of_an_entry_never_changes():
    data = {"reply": "250 Grüße €", "late": False, "told_at": None, "instances": ["acme-prod", "acme-test"], "n": 3}
    found = entry(at=AT.replace(microsecond=500), kind=EntryKind.NOTICE_ACCEPTED, data=data)
    text = (
        '["acme-prod",1,"2026-11-20T08:00:12.000500Z","notice_accepted","monthly/2026-12",{"instances":["acme-prod",'
        f'"acme-test"],"late":false,"n":3,"reply":"250 Grüße €","told_at":null}},"{GENESIS}"]'
    )
    assert canonical_text(found) == text
    assert found.digest == "4b01d0b33ee5d4a004a391d48ad50d44fcd6ec60f6bc4256eb3ee43d82345b8a"


def test_an_entry_of_the_same_instant_in_another_zone_is_the_same_entry():
    away = AT.astimezone(timezone(timedelta(hours=5)))
    assert instant_text(away) == "2026-11-20T08:00:12Z"
    assert entry(at=away).digest == entry().digest


@given(EVENTS)
def test_the_hash_is_that_of_the_canonical_text(event):
    from hashlib import sha256

    (found,) = chained([event], {})
    assert sha256(canonical_text(found).encode()).hexdigest() == found.digest == found.recomputed()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}, object()])
def test_only_json_values_can_be_evidence(bad):
    with pytest.raises((TypeError, ValueError)):
        digest_of(CHAIN, 1, AT, "breach", "x", {"bad": bad}, GENESIS)


def test_an_event_needs_a_chain_and_an_instant():
    with pytest.raises(ms.NaiveDatetime):
        Event(chain=CHAIN, at=AT.replace(tzinfo=None), kind=EntryKind.BREACH, subject="x")
    with pytest.raises(ms.InvalidValue, match="chain: expected the key of an instance"):
        Event(chain="", at=AT, kind=EntryKind.BREACH, subject="x")


def test_no_instance_can_have_the_key_of_the_provider_s_chain():
    with pytest.raises(ms.InvalidValue):
        ms.Instance(key=PROVIDER, host="h.example")


# --- appending --------------------------------------------------------------------------------------------------------


@given(st.lists(EVENTS, max_size=6), st.lists(EVENTS, max_size=6))
def test_what_is_appended_continues_the_chain_at_any_point(first, second):
    before = chained(first, {})
    heads = {CHAIN: before[-1].head} if before else {}
    whole = before + chained(second, heads)
    assert first_fault(CHAIN, whole) is None
    assert whole == chained(first + second, {})
    assert [each.seq for each in whole] == list(range(1, len(whole) + 1))


@given(st.lists(st.sampled_from(["a", "b", PROVIDER]), max_size=12))
def test_chains_do_not_touch_each_other(names):
    events = [Event(chain=name, at=AT, kind=EntryKind.BREACH, subject=str(n)) for n, name in enumerate(names)]
    entries = chained(events, {})
    for name in set(names):
        mine = [each for each in entries if each.chain == name]
        assert mine == chained([event for event in events if event.chain == name], {})
        assert first_fault(name, mine) is None


def test_a_chain_begins_with_the_genesis():
    assert entry().previous == GENESIS
    assert Head(0, GENESIS) == START
    assert first_fault(CHAIN, []) is None


# --- what is changed shows --------------------------------------------------------------------------------------------

CHANGES = {
    "at": lambda old: old + timedelta(microseconds=1),
    "kind": lambda old: EntryKind.BREACH if old is not EntryKind.BREACH else EntryKind.WINDOW_MOVED,
    "subject": lambda old: old + "x",
    "data": lambda old: {**old, "added": None},
    "seq": lambda old: old + 1,
    "chain": lambda old: old + "x",
    "previous": lambda old: old[:-1] + ("0" if old[-1] != "0" else "1"),
    "digest": lambda old: old[:-1] + ("0" if old[-1] != "0" else "1"),
}


@given(CHAINS, st.data(), st.sampled_from(sorted(CHANGES)))
def test_a_changed_field_is_found_at_its_entry(entries, data, name):
    at = data.draw(st.integers(0, len(entries) - 1))
    changed = list(entries)
    changed[at] = replace(entries[at], **{name: CHANGES[name](getattr(entries[at], name))})
    fault = first_fault(CHAIN, changed)
    assert fault is not None
    assert (fault.chain, fault.seq) == (CHAIN, at + 1)


@given(CHAINS, st.data())
def test_an_entry_that_was_changed_and_hashed_anew_is_found_at_the_next_one(entries, data):
    at = data.draw(st.integers(0, len(entries) - 2))
    forged = replace(entries[at], subject=entries[at].subject + "x")
    forged = replace(forged, digest=forged.recomputed())
    fault = first_fault(CHAIN, [*entries[:at], forged, *entries[at + 1 :]])
    assert fault is not None
    assert fault.seq == at + 2
    assert "the link is broken" in fault.what


@given(CHAINS, st.data())
def test_a_removed_entry_is_found_where_it_stood(entries, data):
    at = data.draw(st.integers(0, len(entries) - 2))
    fault = first_fault(CHAIN, entries[:at] + entries[at + 1 :])
    assert fault is not None
    assert fault.seq == at + 1
    assert f"entry {at + 1} is missing" in fault.what


@given(CHAINS, EVENTS, st.data())
def test_an_inserted_entry_is_found_where_the_old_ones_follow(entries, event, data):
    at = data.draw(st.integers(0, len(entries) - 1))
    (inserted,) = chained([event], {CHAIN: entries[at - 1].head} if at else {})
    fault = first_fault(CHAIN, [*entries[:at], inserted, *entries[at:]])
    assert fault is not None
    assert fault.seq in (at + 1, at + 2)


@given(CHAINS, st.data())
def test_two_entries_that_changed_places_are_found_at_the_first(entries, data):
    at = data.draw(st.integers(0, len(entries) - 2))
    swapped = [*entries[:at], entries[at + 1], entries[at], *entries[at + 2 :]]
    fault = first_fault(CHAIN, swapped)
    assert fault is not None
    assert fault.seq == at + 1
    renumbered = [replace(each, seq=n) for n, each in enumerate(swapped, start=1)]
    fault = first_fault(CHAIN, renumbered)
    assert fault is not None
    assert fault.seq == at + 1


# --- the end of a chain -----------------------------------------------------------------------------------------------


@given(CHAINS, st.data())
def test_a_tail_that_was_cut_off_shows_beside_a_head_and_only_there(entries, data):
    kept = data.draw(st.integers(0, len(entries) - 1))
    assert first_fault(CHAIN, entries[:kept]) is None
    fault = first_fault(CHAIN, entries[:kept], entries[-1].head)
    assert fault is not None
    assert fault.seq == kept + 1
    assert "the tail is cut off" in fault.what


@given(CHAINS, st.data())
def test_a_chain_that_went_on_since_its_head_was_kept_is_whole(entries, data):
    for head in (START, *(each.head for each in entries)):
        assert first_fault(CHAIN, entries, head) is None


@given(CHAINS, EVENTS)
def test_a_chain_that_was_written_anew_shows_beside_a_head(entries, event):
    anew = chained([event] * len(entries), {})
    fault = first_fault(CHAIN, anew, entries[-1].head)
    if anew[-1].digest != entries[-1].digest:
        assert fault is not None
        assert fault.seq == len(entries)
        assert "written anew" in fault.what

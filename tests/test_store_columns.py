"""Columns mean the same on every database: instants keep their moment and their order, no value is none."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, literal, select, text

from maintsched.errors import NaiveDatetime, OutOfRange
from maintsched.store.columns import Instant, as_text
from maintsched.store.declared import DEFERRAL
from maintsched.store.fleets import INSTANCE

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    UTC,
    BERLIN,
    ZoneInfo("Asia/Kathmandu"),
    ZoneInfo("America/St_Johns"),
    ZoneInfo("Pacific/Kiritimati"),
    timezone(timedelta(hours=-11, minutes=-59)),
]
INSTANTS = st.datetimes(datetime(2000, 1, 2), datetime(2200, 12, 30), timezones=st.sampled_from(ZONES))  # noqa: DTZ001 - bounds
on_a_store = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def kept(at: datetime) -> Any:
    """An instant as the database has it."""
    return literal(at, Instant())


@on_a_store
@given(at=INSTANTS)
def test_an_instant_comes_back_as_the_same_instant_in_utc(store, at):
    with store.reading() as connection:
        found = connection.execute(select(kept(at))).scalar_one()
    assert found == at.astimezone(UTC)
    assert found.utcoffset() == timedelta(0)


@on_a_store
@given(one=INSTANTS, other=INSTANTS, apart=st.sampled_from([None, timedelta(0), timedelta(microseconds=1)]))
def test_the_database_orders_instants_as_time_does(store, one, other, apart):
    if apart is not None:
        other = one.astimezone(UTC) + apart
    with store.reading() as connection:
        before, same = connection.execute(select(kept(one) < kept(other), kept(one) == kept(other))).one()
    assert (bool(before), bool(same)) == (
        one.astimezone(UTC) < other.astimezone(UTC),
        one.astimezone(UTC) == other.astimezone(UTC),
    )


@given(some=st.lists(INSTANTS, max_size=8))
def test_the_texts_that_sqlite_keeps_sort_as_the_instants_do(some):
    assert sorted(map(as_text, some)) == [as_text(at) for at in sorted(some, key=lambda each: each.astimezone(UTC))]
    assert {len(as_text(at)) for at in some} <= {27}


def test_both_hours_of_the_night_when_clocks_go_back_are_kept_apart(store):
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1))
    with store.reading() as connection:
        found = connection.execute(select(kept(first), kept(second))).one()
    assert found[1] - found[0] == timedelta(hours=1)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (datetime(2026, 12, 1, 17), NaiveDatetime),  # noqa: DTZ001 - naive on purpose
        (datetime(1999, 12, 31, tzinfo=UTC), OutOfRange),
        (datetime(2201, 1, 1, tzinfo=UTC), OutOfRange),
    ],
)
def test_what_is_no_instant_is_refused_on_its_way_in(store, wrong, error):
    row = {"instance": "acme", "release": "1.0", "until": wrong}
    with pytest.raises(error), store.writing() as connection:
        connection.execute(insert(DEFERRAL), [row])
    with pytest.raises(error), store.reading() as connection:
        connection.execute(select(DEFERRAL).where(DEFERRAL.c.until < wrong))


def test_sqlite_keeps_an_instant_as_text_that_people_can_read(store):
    at = datetime(2026, 12, 1, 17, tzinfo=BERLIN)
    with store.writing() as connection:
        connection.execute(insert(DEFERRAL), [{"instance": "acme", "release": "1.0", "until": at}])
    with store.reading() as connection:
        found = connection.execute(text("SELECT until, starts_at FROM deferral")).one()
    if store.dialect == "sqlite":
        assert tuple(found) == ("2026-12-01T16:00:00.000000Z", None)
    else:
        assert tuple(found) == (at, None)


def test_none_is_no_value_and_a_json_value_comes_back_as_it_was(store):
    row = {"customer": "acme", "position": 0, "host": "h", "environment": "prod", "executor": "apt", "managed": True}
    odd = {"ä": "\u2028", "b": "'\"\\", "": "x"}
    rows = [
        row | {"key": "none", "components": [], "versions": {}, "backup": None},
        row | {"key": "some", "components": ["b", "a"], "versions": odd, "backup": {"n": 1, "deep": [[None, True]]}},
    ]
    with store.writing() as connection:
        connection.execute(insert(INSTANCE), rows)
    with store.reading() as connection:
        empty = select(INSTANCE.c.key).where(INSTANCE.c.backup.is_(None))
        assert connection.execute(empty).scalars().all() == ["none"]
        found = connection.execute(select(INSTANCE).where(INSTANCE.c.key == "some")).mappings().one()
    assert (found["components"], found["versions"]) == (["b", "a"], odd)
    assert found["backup"] == {"n": 1, "deep": [[None, True]]}
    assert found["managed"] is True

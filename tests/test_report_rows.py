"""A plan as JSON and CSV: whole, in order, safe in a spreadsheet."""

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest

import maintsched as ms
from maintsched.report.feed import plan_feed
from maintsched.report.rows import COLUMNS, plan_csv, plan_json, safe_cell

FLEET = Path(__file__).parent.parent / "docs" / "examples" / "fleet.toml"
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def plan():
    contract = ms.load_contract()
    fleet, facts = ms.load_fleet(contract, FLEET)
    return ms.make_plan(contract, fleet, facts, ms.Span(start=NOW, end=NOW + timedelta(days=200)), now=NOW)


def large_plan(count):
    contract = ms.load_contract()
    customers = tuple(
        ms.Customer(
            key=f"c{index:05}",
            name=f"Customer {index}",
            language=ms.Language.DE,
            package="premium",
            contacts=(ms.Contact(key="a", name="A", email="a@example.org", roles=("system_responsible",)),),
            instances=(ms.Instance(key=f"i{index:05}", host="h", track=("silent", "steady")[index % 2]),),
        )
        for index in range(count)
    )
    span = ms.Span(start=NOW, end=NOW + timedelta(days=20))
    return ms.make_plan(contract, ms.Fleet(customers=customers), ms.Facts(), span, now=NOW)


def test_json_says_all_that_the_plan_holds(plan):
    made = json.loads("".join(plan_json(plan, generated_at=NOW)))
    assert [window["id"] for window in made["windows"]] == [planned.window.id for planned in plan.windows]
    for window, planned in zip(made["windows"], plan.windows, strict=True):
        assert datetime.fromisoformat(window["start"]) == planned.window.start
        assert datetime.fromisoformat(window["end_utc"]) == planned.window.end
        assert window["instances"] == list(planned.instances)
        assert [tuple(row.values()) for row in window["work"]] == [tuple(row) for row in planned.work]
        assert len(window["conflicts"]) == len(planned.conflicts)
    assert made["deferrals"][0]["window"] == "monthly/2027-04"
    assert made["freezes"][0]["key"] == "year-end"


def test_json_of_a_clock_change_gives_both_offsets(plan):
    made = json.loads("".join(plan_json(plan, generated_at=NOW)))
    change = next(window["clock_change"] for window in made["windows"] if window["clock_change"])
    assert change["at_utc"] == "2027-03-28T01:00:00Z"
    assert (change["minutes_before"], change["minutes_after"]) == (60, 120)


def test_rows_are_in_the_order_of_instances_and_written_in_pieces():
    plan = large_plan(1200)
    pieces = list(plan_json(plan, generated_at=NOW))
    assert max(len(piece) for piece in pieces) < 200_000
    window = json.loads("".join(pieces))["windows"][0]
    assert window["instances"] == [f"i{index:05}" for index in range(1200)]
    assert [row["instance"] for row in window["work"]] == window["instances"]


def test_an_empty_plan_is_json_and_csv():
    contract = ms.load_contract()
    span = ms.Span(start=NOW, end=NOW + timedelta(days=2))
    plan = ms.make_plan(contract, ms.Fleet(), ms.Facts(), span)
    assert json.loads("".join(plan_json(plan, generated_at=NOW)))["windows"] == []
    assert "".join(plan_csv(plan)).count("\r\n") == 1


def test_csv_rows_have_every_column_and_name_the_conflicts(plan):
    rows = list(csv.DictReader(StringIO("".join(plan_csv(plan)), newline="")))
    assert all(set(row) == set(COLUMNS) and None not in row.values() for row in rows)
    assert {row["window"] for row in rows} == {planned.window.id for planned in plan.windows}
    assert len(rows) == sum(max(1, len(list(planned.work))) for planned in plan.windows)
    assert [row["instance"] for row in rows if row["kind"] == "critical"] == ["birch-prod"]
    assert {row["conflicts"] for row in rows if row["window"] == "monthly/2027-01"} == {"freeze_over_window"}


def test_csv_ends_with_the_conflicts_of_no_window():
    contract = ms.load_contract()
    instance = ms.Instance(key="lonely-prod", host="h")
    customer = ms.Customer(
        key="lonely", name="L", language=ms.Language.EN, package="starter", contacts=(), instances=(instance,)
    )
    span = ms.Span(start=NOW, end=NOW + timedelta(days=20))
    plan = ms.make_plan(contract, ms.Fleet(customers=(customer,)), ms.Facts(), span, now=NOW)
    *rows, last = csv.DictReader(StringIO("".join(plan_csv(plan)), newline=""))
    assert all(row["window"] for row in rows)
    assert (last["window"], last["conflicts"], last["clause"]) == ("", "no_contact", "2.4.3")
    assert last["why"].startswith("customer/lonely: no contact")
    assert "Nobody to tell: no contact" in plan_feed(plan, stamp=NOW).decode().replace("\r\n ", "")


@pytest.mark.parametrize("text", ["=1+1", "+49 1", "-x", "@cmd", "\tx", "\rx", "\x00"])
def test_a_cell_is_no_formula(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "monthly/2026-12", "a=b", "2026-12-01T17:00:00+01:00", "Heilige Drei Könige"])
def test_a_harmless_cell_stays_as_it_is(text):
    assert safe_cell(text) == text

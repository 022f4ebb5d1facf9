"""A case is a folder: (contract,) fleet and case in, the expected plan out; `make_cases.py` writes what is new."""

import json
import time
import tomllib
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import maintsched as ms
from maintsched.intake.shape import Reader
from maintsched.report.rows import plan_json

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True, kw_only=True)
class Case:
    contract: ms.Contract
    fleet: ms.Fleet
    facts: ms.Facts
    now: datetime
    span: ms.Span

    def plan(self) -> ms.Plan:
        return ms.make_plan(self.contract, self.fleet, self.facts, self.span, now=self.now)

    def reversed(self) -> "Case":
        """The same case with everything that was declared in reverse order."""
        customers = tuple(
            replace(each, instances=each.instances[::-1], contacts=each.contacts[::-1])
            for each in reversed(self.fleet.customers)
        )
        turned = {field.name: getattr(self.facts, field.name)[::-1] for field in fields(ms.Facts)}
        return replace(self, fleet=ms.Fleet(customers=customers), facts=ms.Facts(**turned))


def read(folder: Path) -> Case:
    own = folder / "contract.toml"
    contract = ms.load_contract(own) if own.exists() else ms.load_contract()
    fleet, facts = ms.load_fleet(contract, folder / "fleet.toml")
    raw = tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))
    now, start, end = (Reader(zone=contract.zone).read(datetime, raw[name]) for name in ("now", "from", "to"))
    return Case(contract=contract, fleet=fleet, facts=facts, now=now, span=ms.Span(start=start, end=end))


def outcome(case: Case) -> dict[str, Any]:
    """The plan as its JSON form says it."""
    made: dict[str, Any] = json.loads("".join(plan_json(case.plan(), generated_at=case.now)))
    return made


def in_order(value: Any) -> Any:
    """The same with every list in an order of its own, so that only what is said is compared."""
    if isinstance(value, dict):
        return {key: in_order(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted((in_order(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


each_case = pytest.mark.parametrize("folder", sorted(CASES.iterdir()), ids=lambda folder: folder.name)


@each_case
def test_the_plan_of_a_case_is_the_expected_one(folder):
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert outcome(read(folder)) == expected


@each_case
def test_the_plan_of_a_case_is_the_same_the_second_time(folder):
    case = read(folder)
    assert outcome(case) == outcome(case) == outcome(read(folder))


@each_case
def test_the_plan_of_a_case_is_the_same_with_its_inputs_in_reverse_order(folder):
    case = read(folder)
    assert in_order(outcome(case.reversed())) == in_order(outcome(case))


@pytest.fixture
def in_auckland(monkeypatch):
    """This machine's own zone is another one."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@each_case
@pytest.mark.usefixtures("in_auckland")
def test_the_plan_of_a_case_is_the_same_wherever_the_machine_stands(folder):
    assert outcome(read(folder)) == json.loads((folder / "expected.json").read_text(encoding="utf-8"))


@each_case
def test_a_case_says_in_its_first_line_what_it_shows(folder):
    first, *_ = (folder / "case.toml").read_text(encoding="utf-8").splitlines()
    assert first.startswith("# ")
    assert first.endswith(".")

"""Measure how long the worker may stand still: `python -m tools.reliability`.

Prints a table and renews the figures in docs/reliability.md. Everything is measured in virtual time by playing it (see
`tests/standstills.py`), so that the figures are the same on every machine. Takes some minutes.
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests import standstills
from tests.standstills import Stage, Standstill, longest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
BEGIN = "<!-- figures: `python -m tools.reliability` writes them -->\n"
END = "<!-- end of figures -->\n"
HEAD = """\
| notice | contract | goes out | measured at | in time after | told at all after |
|---|---|---|---|---|---|
"""
BEYOND = f"more than {standstills.LONGEST.days} d"
_LENGTH = re.compile(r"(?:(\d+) d)? ?(?:(\d+) h)? ?(?:(\d+) min)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured of one notice."""

    notice: str
    contract: str
    goes_out: str
    measured_at: str
    in_time: str
    """The longest standstill after which it is still in time; "–" where it has no deadline."""
    told: str
    """The longest standstill after which it is still told, late or not."""

    @property
    def row(self) -> str:
        """The line of the table."""
        return (
            f"| {self.notice} | {self.contract} | {self.goes_out} | {self.measured_at} | {self.in_time} | {self.told} |"
        )


def main() -> None:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for figure in figures(Stage(Path(folder))):
            print(figure.row, flush=True)
            found.append(figure)
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")


def figures(stage: Stage) -> Iterator[Figure]:
    """Measure everything."""
    for contract in (standstills.paas(), standstills.weekly()):
        yield _least(stage, standstills.reminders(contract))
        for case in standstills.owed_in_time(contract):
            yield figure_of(stage, case)
    for case in standstills.owed_at_once():
        yield figure_of(stage, case)


def _least(stage: Stage, cases: list[Standstill]) -> Figure:
    """Return the figure of the reminder that bears the shortest standstill: bisected anew where one bears less."""
    least, weakest = standstills.LONGEST, cases[0]
    for case in cases:
        with stage.begun(case) as after:
            if not after(least).kept:
                least, weakest = longest(lambda length: after(length).kept) or least, case
    return figure_of(stage, weakest)


def figure_of(stage: Stage, case: Standstill) -> Figure:
    """Measure one notice."""
    with stage.begun(case) as after:
        in_time = words(longest(lambda length: after(length).kept)) if case.deadline else "–"
        told = words(longest(lambda length: after(length).told))
    return Figure(
        notice=case.notice,
        contract=case.contract.name,
        goes_out="as planned" if case.planned else "at once",
        measured_at=case.where,
        in_time=in_time,
        told=told,
    )


def words(length: timedelta | None) -> str:
    """Return a measured length as the table has it."""
    if length is None:
        return BEYOND
    hours, minutes = divmod(length // timedelta(minutes=1), 60)
    days, hours = divmod(hours, 24) if hours >= 96 else (0, hours)
    parts = (f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if count)
    return " ".join(parts) or "0 min"


def length_of(text: str) -> timedelta:
    """Return the length that `words` wrote."""
    found = _LENGTH.fullmatch(text)
    assert found, text
    days, hours, minutes = (int(each or 0) for each in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def with_figures(page: str, found: list[Figure]) -> str:
    """Return the page with these figures in the marked block."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    rows = "".join(f"{each.row}\n" for each in found)
    return f"{before}{BEGIN}{HEAD}{rows}{END}{after}"


def written(page: str) -> list[Figure]:
    """Return the figures that stand in the marked block of the page."""
    block = page.partition(BEGIN)[2].partition(END)[0].removeprefix(HEAD)
    names = list(Figure.__dataclass_fields__)
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
    return [Figure(**dict(zip(names, each, strict=True))) for each in cells]


if __name__ == "__main__":
    main()

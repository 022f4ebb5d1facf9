"""The table on the terminal and docs/benchmarks.md."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from bench.side_by_side import Line

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

How fast maintsched is beside what one would use instead. `make bench` measures everything and writes this page.

Figures are ratios of CPU time, both sides measured in turns in the same run; the median of the turns counts. The times
in parentheses belong to the machine of that run ({machine}) and are there for scale only.
A test sees to it that both sides of each comparison give the same answers, or mails that say the same.
`python bench/run.py --quick` measures a short slice and writes nothing.

| work | compared with | goal | reached | met |
|---|---|---|---|---|
"""
MET = {True: "yes", False: "**no**", None: ""}


def machine() -> str:
    """Return what the figures depend on most."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}"


def table(lines: Iterable[Line]) -> str:
    """Return the lines for a terminal."""
    return "\n".join(
        f"{line.work}\n    beside {line.reference}\n    goal {line.goal}; reached {line.reached}"
        + {True: "; met", False: "; NOT MET", None: ""}[line.met]
        for line in lines
    )


def markdown(lines: Iterable[Line]) -> str:
    """Return the page."""
    lines = list(lines)
    rows = "".join(
        f"| {line.work} | {line.reference} | {line.goal} | {line.reached} | {MET[line.met]} |\n" for line in lines
    )
    how = "".join(
        f"- {work}: {measured}.\n" for work, measured in dict.fromkeys((each.work, each.how) for each in lines)
    )
    return f"{HEAD.format(machine=machine())}{rows}\n## How it was measured\n\n{how}"

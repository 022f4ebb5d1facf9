"""What the tests have not reached although they must: some modules in every branch, and every `except` of the package.

    python -m tools.coverage_gaps     after `make check` or any run of the tests with --cov; COVERAGE_FILE is honoured

Prints one line for each gap, and ends with 1 where there is any. An `except` that no test has entered is a promise
about a bad day that nobody has ever seen kept. All tests have to have run, those on PostgreSQL too.
"""

import ast
import json
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from coverage import Coverage
from coverage.exceptions import NoDataError

ROOT = Path(__file__).parent.parent
PACKAGE = "maintsched"
WHOLE = (
    "due.py",
    "ends.py",
    "mail/bounces.py",
    "mail/compose.py",
    "mail/connection.py",
    "mail/message.py",
    "mail/outcomes.py",
    "mail/probe.py",
    "mail/send.py",
    "mail/settings.py",
    "mail/tls.py",
    "rounds.py",
    "store/bulk.py",
    "store/engine.py",
    "store/evidence.py",
    "store/ledger.py",
    "store/outbox.py",
    "worker/alerts.py",
    "worker/bounces.py",
    "worker/dispatch.py",
    "worker/heads.py",
    "worker/perform.py",
    "worker/post.py",
    "worker/record.py",
    "worker/restore.py",
    "worker/telling.py",
    "worker/tick.py",
    "worker/watch.py",
)
"""Modules of which tests take every branch: what is due, the ledger, the outbox, and all that delivers."""


def handlers(source: str) -> Iterator[tuple[int, range]]:
    """Yield the line of each `except` in `source`, with the lines of the first statement in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            first = node.body[0]
            yield node.lineno, range(first.lineno, (first.end_lineno or first.lineno) + 1)


def not_entered(source: str, executed: Collection[int]) -> list[int]:
    """Return the lines of those `except` in `source` none of whose first statement is among the executed lines."""
    reached = frozenset(executed)
    return sorted(line for line, first in handlers(source) if reached.isdisjoint(first))


def measured() -> dict[str, dict[str, Any]]:
    """Return what was measured of each file of the package, by its path below the package."""
    coverage = Coverage(config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        coverage.json_report(outfile=str(report), include=[f"{ROOT / PACKAGE}/*"])
        files: dict[str, dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["files"]
    return {Path(name).resolve().relative_to(ROOT / PACKAGE).as_posix(): found for name, found in files.items()}


def gaps(files: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield what is missing, in words."""
    for name in WHOLE:
        if name not in files:
            yield f"{PACKAGE}/{name}: was not measured"
            continue
        for line in files[name]["missing_lines"]:
            yield f"{PACKAGE}/{name}:{line}: no test comes here"
        for before, after in files[name]["missing_branches"]:
            if before not in files[name]["missing_lines"]:
                yield f"{PACKAGE}/{name}:{before}: no test goes on from here to {_place(after)}"
    for name, found in sorted(files.items()):
        source = (ROOT / PACKAGE / name).read_text(encoding="utf-8")
        for line in not_entered(source, found["executed_lines"]):
            yield f"{PACKAGE}/{name}:{line}: no test enters this except"


def _place(line: int) -> str:
    return f"line {line}" if line > 0 else "the end"


def main() -> int:
    """Print the gaps."""
    try:
        found = list(gaps(measured()))
    except NoDataError:
        found = ["no figures: run the tests with --cov first"]
    print("\n".join(found) or "every except is entered, and the core is taken in every branch")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

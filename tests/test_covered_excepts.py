"""`make check` fails where a test no longer enters an `except`, or no longer takes a branch of what delivers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.coverage_gaps import PACKAGE, ROOT, WHOLE, gaps, handlers, not_entered

SOURCE = """\
try:
    first()
except ValueError as error:  # a comment
    raise KeyError(
        "a long one",
    ) from error
except (OSError, TypeError):
    pass
try:
    with second():
        third()
except LookupError:
    if fourth():
        fifth()
"""


def test_each_except_is_found_with_the_lines_of_what_it_does_first():
    assert list(handlers(SOURCE)) == [(3, range(4, 7)), (7, range(8, 9)), (12, range(13, 15))]


@pytest.mark.parametrize(
    ("executed", "lines"),
    [
        ((), [3, 7, 12]),
        ((1, 2, 3, 7, 9, 10, 11, 12), [3, 7, 12]),  # asked whether it is the one, and passed over
        ((5, 8, 13), []),
        ((4, 14), [7]),
    ],
)
def test_an_except_is_entered_only_where_what_it_does_first_was_done(executed, lines):
    assert not_entered(SOURCE, executed) == lines


def complete():
    """What is measured where nothing is missing."""
    files = {path.relative_to(ROOT / PACKAGE).as_posix(): path for path in (ROOT / PACKAGE).rglob("*.py")}
    return {
        name: {"executed_lines": list(range(1, 2000)), "missing_lines": [], "missing_branches": []} for name in files
    }


def test_of_modules_that_are_reached_everywhere_nothing_is_said():
    assert list(gaps(complete())) == []


def test_a_line_a_branch_and_an_except_that_no_test_reaches_are_named():
    found = complete()
    found["due.py"] |= {"missing_lines": [7], "missing_branches": [[7, 8], [9, 10], [9, -3]]}
    found["cli/init.py"] |= {"missing_lines": [1], "missing_branches": [[1, 2]]}  # not one of those that deliver
    source = (ROOT / PACKAGE / "mail" / "settings.py").read_text(encoding="utf-8")
    assert list(handlers(source)) == []
    del found["mail/settings.py"]
    (line, _), *others = sorted(handlers((ROOT / PACKAGE / "mail" / "bounces.py").read_text(encoding="utf-8")))
    found["mail/bounces.py"]["executed_lines"] = [first[0] for _, first in others]
    assert list(gaps(found)) == [
        "maintsched/due.py:7: no test comes here",
        "maintsched/due.py:9: no test goes on from here to line 10",
        "maintsched/due.py:9: no test goes on from here to the end",
        "maintsched/mail/settings.py: was not measured",
        f"maintsched/mail/bounces.py:{line}: no test enters this except",
    ]


def test_the_modules_that_deliver_are_there():
    assert [name for name in WHOLE if not (ROOT / PACKAGE / name).is_file()] == []


def test_without_figures_there_is_no_proof(tmp_path):
    command = [sys.executable, "-m", "tools.coverage_gaps"]
    environment = {"COVERAGE_FILE": str(tmp_path / "none"), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "no figures" in ended.stdout + ended.stderr
    assert not list(Path(tmp_path).iterdir())

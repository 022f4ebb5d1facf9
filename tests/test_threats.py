"""The page on threats is true: each test that it names is there, and each row names one."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "explanation" / "threats.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in PAGE.split("\n") if line.startswith("|")][2:]


def names_in(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")]


def test_each_test_that_the_page_on_threats_names_is_there():
    known = {name for path in TESTS.glob("test_*.py") for name in names_in(path)}
    named = re.findall(r"`(test_\w+)`", PAGE)
    assert len(named) > 50
    assert not set(named) - known


def test_each_threat_is_attacked_by_a_test():
    assert len(ROWS) > 20
    for row in ROWS:
        what, answer, tests = row
        assert what.strip()
        assert answer.strip()
        assert re.search(r"`test_\w+`", tests), what


def test_each_test_of_an_attack_is_on_the_page():
    """An attack that nobody reads of is not known to be warded off."""
    ours = [name for path in TESTS.glob("test_threats_*.py") for name in names_in(path)]
    helping = {
        "test_each_command_is_attacked_or_it_is_said_why_not",
        "test_a_command_that_is_attacked_works_without_the_attack",
        "test_a_file_that_cannot_be_written_leaves_nothing_behind",
        "test_a_place_that_no_file_can_have_is_refused_in_one_line",
        "test_a_demo_leaves_a_folder_with_other_files_alone_by_a_link_as_well",
    }
    assert not [name for name in ours if name not in helping and f"`{name}`" not in PAGE]

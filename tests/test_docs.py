"""The documentation is true: what it shows is what happens, and what there is, it names."""

import importlib
import inspect
import json
import os
import re
import tomllib
from enum import Enum
from pathlib import Path
from typing import Any

import click
import pytest

import maintsched as ms
from maintsched.conflicts import ConflictKind
from maintsched.intake.contracts import builtin_contracts
from maintsched.report.rows import COLUMNS, plan_json
from tools import make_reference, transcripts
from tools.reference import terms
from tools.reference.cli import all_commands
from tools.reference.errors import all_errors
from tools.reference.shapes import item
from tools.transcripts import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
FLEET = DOCS / "examples" / "fleet.toml"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if f"```{language}\n" in page.read_text(encoding="utf-8")]


def headings(name: str) -> list[str]:
    """The headings of a page, without marks of code and lists."""
    prose = re.sub(r"^```.*?^```$", "", read(name), flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r"[`\[\]]", "", line.lstrip("# ")) for line in prose.split("\n") if re.match(r"#+ ", line)]


# --- what the pages show is what happens ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def holiday_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("page", make_reference.pages_with_transcripts(), ids=name_of)
def test_the_commands_of_a_page_print_what_it_shows(page: Path, tmp_path: Path, holiday_cache: Path) -> None:
    text = page.read_text(encoding="utf-8")
    transcripts.prepare(tmp_path)
    played = transcripts.play(text, tmp_path, holiday_cache)
    for block, got in played:
        assert got == transcripts.commands(block), f"{name_of(page)}, line {block.line + 1}: run `make reference`"


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_the_code_of_a_page_runs_and_what_it_asserts_holds(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for block in transcripts.blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            code = "\n" * (block.line + 1) + "\n".join(block.lines)  # so that errors name the line of the page
            exec(compile(code, name_of(page), "exec"), names)


@pytest.mark.parametrize("page", make_reference.pages_with_transcripts(), ids=name_of)
def test_a_file_that_a_page_wants_saved_is_named_in_the_sentence_before(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in transcripts.blocks(text):
        if block.title is not None:
            before = " ".join(text.split("\n")[: block.line]).rsplit("```", 1)[-1]
            assert f"`{block.title}`" in before


def test_a_page_that_says_another_output_fails(tmp_path: Path, holiday_cache: Path) -> None:
    page = "```console\n$ maintsched --version\nmaintsched 0.0.0\n```"
    ((block, got),) = transcripts.play(page, tmp_path, holiday_cache)
    assert got != transcripts.commands(block)
    assert f"maintsched {ms.__version__}" in transcripts.renewed(page, [(block, got)])


def test_an_excerpt_holds_where_something_stands_in_the_place_of_its_gap() -> None:
    assert transcripts.holds(("one", "…", "", "four"), ("one", "two", "three", "", "four"))
    assert not transcripts.holds(("one", "…", "two"), ("one", "two"))
    assert not transcripts.holds(("one", "…"), ("zero", "one", "two"))


# --- the reference is what the code says ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", make_reference.PAGES)
def test_a_generated_page_is_what_would_be_written_now(name: str) -> None:
    assert read(f"docs/reference/{name}") == make_reference.PAGES[name](), "run `make reference`"


NAMES = list(all_commands())


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_an_example_in_its_help_and_a_section_in_the_reference(name: str) -> None:
    assert re.search(rf"\x08\nExamples?:\n +maintsched {name}\b", inspect.cleandoc(all_commands()[name].help or ""))
    assert f"maintsched {name}" in headings("docs/reference/cli.md")


@pytest.mark.parametrize("name", NAMES)
def test_an_option_has_help_and_a_variable_and_stands_in_the_reference(name: str) -> None:
    section = re.split(rf"\n###? `maintsched {name}`\n", read("docs/reference/cli.md"))[1].split("\n## ")[0]
    for parameter in all_commands()[name].params:
        if isinstance(parameter, click.Option):
            variable = "MAINTSCHED_" + parameter.opts[-1].removeprefix("--").replace("-", "_").upper()
            assert parameter.help, parameter.opts
            assert parameter.envvar == variable
            assert re.search(rf"\| `{parameter.opts[-1]}\b[^|]*(\\\|[^|]*)*\| `{variable}` \|", section)


@pytest.mark.parametrize("contract", builtin_contracts())
def test_each_term_of_a_built_in_contract_has_an_entry(contract: str) -> None:
    known = {term.name: term for term in terms.terms()}
    tables = tomllib.loads(builtin_contracts()[contract].read_text(encoding="utf-8"))
    assert set(terms.flat(tables, known)) <= set(headings("docs/reference/contract-terms.md"))


def test_each_term_that_a_contract_may_have_has_an_entry() -> None:
    assert {term.name for term in terms.terms()} <= set(headings("docs/reference/contract-terms.md"))


def test_each_term_that_chooses_a_reading_is_explained() -> None:
    explained = read("docs/explanation/readings.md")
    chosen = [
        term
        for term in terms.terms()
        if isinstance(item(term.kind), type)
        and issubclass(item(term.kind), Enum)
        and "weekdays" not in term.name
        and "override" not in term.name
    ]
    assert len(chosen) > 15
    for term in chosen:
        assert f"`{term.name}`" in explained
        for reading in item(term.kind):
            assert f"`{reading.value}`" in explained


def test_each_public_name_is_in_the_reference_and_has_a_docstring() -> None:
    listed = set(headings("docs/reference/library.md"))
    for name in ms.__all__:
        assert name in listed
        assert inspect.getdoc(getattr(ms, name)), name


def test_each_error_is_in_the_tree_of_its_module_and_in_the_reference() -> None:
    listed = headings("docs/reference/errors.md")
    tree = importlib.import_module("maintsched.errors").__doc__ or ""
    for error in all_errors():
        assert error.__name__ in listed
        assert re.search(rf"\b{error.__name__}\b", tree)


def test_each_kind_of_conflict_is_explained_and_no_other() -> None:
    assert headings("docs/reference/conflicts.md")[1:] == sorted(
        [str(kind) for kind in ConflictKind], key=headings("docs/reference/conflicts.md").index
    )


# --- the plan as data -------------------------------------------------------------------------------------------------


def paths(value: object, path: str = "") -> set[str]:
    """The dotted names of all fields of a JSON value, `[]` behind lists."""
    if isinstance(value, dict):
        return {f"{path}{key}" for key in value}.union(*(paths(each, f"{path}{key}.") for key, each in value.items()))
    if isinstance(value, list):
        return set().union(*(paths(each, f"{path.removesuffix('.')}[].") for each in value))
    return set()


def test_the_page_on_json_names_each_field_of_a_plan_and_no_other(tmp_path: Path) -> None:
    lonely = '[[customer]]\nkey = "lonely"\nname = "L"\nlanguage = "en"\npackage = "starter"\n'
    off = (
        '[[window]]\nkind = "critical"\nkey = "off"\nstart = 2026-12-20T20:00:00+01:00\nduration = "1 h"\n'
        'reason = "no longer needed"\ncancelled = true\n'
    )
    instance = '[[customer.instance]]\nkey = "lonely-prod"\nhost = "l.example"\n'
    (tmp_path / "more.toml").write_text(f"{lonely}{instance}{off}")
    contract = ms.load_contract()
    fleet, facts = ms.load_fleet(contract, FLEET, tmp_path / "more.toml")
    start, end = (ms.month_span(contract, month).start for month in ("2026-11", "2027-05"))
    made = ms.make_plan(contract, fleet, facts, ms.Span(start=start, end=end), now=start)
    found = paths(json.loads("".join(plan_json(made, generated_at=start))))
    documented = set(re.findall(r"^- `([a-z_.\[\]]+)`", read("docs/reference/plan-json.md"), flags=re.MULTILINE))
    assert found == documented


def test_the_page_on_csv_names_each_column_in_order() -> None:
    table = read("docs/reference/plan-json.md").split("| column | content |")[1]
    first = re.findall(r"^\| (`.*?`) \|", table, flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(first)) == list(COLUMNS)


# --- the pages hang together ------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    result = set()
    for heading in headings(name_of(page)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        result.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return result


def links(page: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [each for each in re.findall(r"\[[^\]]+\]\(([^)\s]+)\)", prose) if "://" not in each]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_each_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        found = {(page.parent / link.split("#")[0]).resolve() for link in links(page) if not link.startswith("#")}
        waiting += [each for each in found if each.suffix == ".md" and each not in reached]
    assert set(PAGES) <= reached


def test_the_glossary_is_in_alphabetical_order_and_explains_each_word_once() -> None:
    words = re.findall(r"^\*\*(.+?)\.\*\*", read("docs/glossary.md"), flags=re.MULTILINE)
    assert words == sorted(set(words), key=str.lower)
    assert len(words) > 50


def test_the_readme_names_the_two_commands_that_show_and_test_everything() -> None:
    assert {"make demo", "make test"} <= set(re.findall(r"^make \w+", read("README.md"), flags=re.MULTILINE))


def test_each_make_target_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), flags=re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets, name_of(page)


def test_the_changelog_has_the_version_of_the_package() -> None:
    assert f"## [{ms.__version__}]" in read("CHANGELOG.md")


def test_no_page_speaks_of_the_machine_it_was_written_on() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert str(ROOT) not in text, name_of(page)
        assert os.path.expanduser("~") + "/" not in text, name_of(page)  # noqa: PTH111  # the text, not the path

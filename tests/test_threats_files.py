"""Attacks by files: links, names, formulas, formats. What lies outside is neither written to nor read."""

import ast
import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maintsched.cli import main
from maintsched.cli.demo import _fresh
from maintsched.cli.place import put_in_place
from maintsched.errors import FileError, MaintschedError
from maintsched.intake import load_contract, load_fleet
from maintsched.intake.config import load_config
from maintsched.report.rows import safe_cell
from maintsched.worker.watch import replace_file
from tests.homes import FLEET, NOW, open_home

ROOT = Path(__file__).parent.parent
SECRET = "nobody but its owner has read this"


@pytest.fixture
def home(tmp_path, migrated_file, monkeypatch) -> Iterator[Path]:
    folder = tmp_path / "home"
    folder.mkdir()
    with open_home(migrated_file, folder, monkeypatch):
        yield folder


@pytest.fixture
def outside(tmp_path) -> Path:
    """A file that no command has any business with."""
    path = tmp_path / "outside" / "precious.txt"
    path.parent.mkdir()
    path.write_text(SECRET)
    return path


def run(*words: str, code: int | None = 0) -> Result:
    result = CliRunner().invoke(main, [*words], prog_name="maintsched", color=True)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert code is None or result.exit_code == code, result.output
    return result


def synced(*more: str) -> None:
    run("fleet", "sync", "fleet.toml", "--yes", "--now", NOW)


# --- links in folders that are written to -----------------------------------------------------------------------------


def test_a_preview_is_written_beside_a_link_and_not_through_it(home, outside):
    preview = home / "preview"
    preview.mkdir()
    for name in ("reminder-en.eml", "reminder-en.html", ".reminder-en.eml.new", ".reminder-en.html.new"):
        (preview / name).symlink_to(outside)
    run("notice", "preview", "reminder", "--output", "preview", "--now", NOW)
    assert outside.read_text() == SECRET
    made = sorted(path for path in preview.iterdir())
    assert [path.name for path in made] == ["reminder-en.eml", "reminder-en.html"]
    assert not any(path.is_symlink() for path in made)
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}


def test_evidence_is_written_beside_a_link_and_not_through_it(home, outside):
    synced()
    for name in ("acme.html", ".acme.html.new"):
        (home / name).symlink_to(outside)
    run("evidence", "export", "acme-prod", "--month", "2026-12", "--output", "acme.html", "--now", NOW, code=None)
    assert outside.read_text() == SECRET
    assert not (home / "acme.html").is_symlink()


@pytest.mark.parametrize("name", [".", "/", "no/such/folder/x.html", "preview/", "x" * 300])
def test_a_place_that_no_file_can_have_is_refused_in_one_line(home, name):
    synced()
    (home / "preview").mkdir()
    result = run("evidence", "export", "acme-prod", "--month", "2026-12", "--output", name, "--now", NOW, code=1)
    assert result.stderr.startswith("Error: cannot read or write ")
    assert result.stderr.count("\n") == 1


def test_a_demo_leaves_a_folder_with_other_files_alone_by_a_link_as_well(home, outside):
    (home / "show").symlink_to(outside.parent)
    for folder in ("show", str(outside.parent)):
        assert "expected a new folder" in run("demo", folder, "--now", NOW, code=1).stderr
    assert [path.name for path in outside.parent.iterdir()] == ["precious.txt"]


def test_making_a_demo_anew_follows_no_link_in_the_old_one(home, outside):
    (home / "old").mkdir()
    (home / "old" / "maintsched.toml").write_text("# Written by `maintsched demo`.")
    for name in ("plan.html", "fleet.toml", "maintsched.db", "maintsched.db.heads", "heartbeat.json"):
        (home / "old" / name).symlink_to(outside)
    _fresh(home / "old")  # as the command does before it writes anything
    assert (list((home / "old").iterdir()), outside.read_text()) == ([], SECRET)

    (home / "old" / "maintsched.toml").write_text("# Written by `maintsched demo`.")
    (home / "old" / "mail").symlink_to(outside.parent)
    mail = outside.with_name("1.eml")
    mail.write_text(SECRET)
    assert "expected a new folder" in run("demo", "old", "--now", NOW, code=1).stderr
    assert (mail.read_text(), outside.read_text()) == (SECRET, SECRET)


@pytest.mark.parametrize("name", ["beat.json", ".beat.json.new"])
def test_a_heartbeat_is_written_beside_a_link_and_not_through_it(tmp_path, outside, name):
    (tmp_path / name).symlink_to(outside)
    replace_file(tmp_path / "beat.json", "{}\n")
    assert outside.read_text() == SECRET
    assert (tmp_path / "beat.json").read_text() == "{}\n"
    assert not (tmp_path / "beat.json").is_symlink()


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        put_in_place(tmp_path / "taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


# --- names ------------------------------------------------------------------------------------------------------------

KEYS = ("../../etc/passwd", "/etc/passwd", "..", ".", "a/b", "-oProxyCommand=x", "a\\b", "a b", "CON:", "ä", "x" * 64)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("what", ["customer", "contact", "instance", "freeze"])
def test_a_key_that_could_be_a_path_or_an_option_is_refused_at_load(tmp_path, what, key):
    old = {"customer": '"acme"', "contact": '"eva"', "instance": '"acme-prod"', "freeze": '"year-end"'}[what]
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET.replace(f"key = {old}", f"key = '{key}'", 1), encoding="utf-8")
    with pytest.raises(FileError, match="key: expected"):
        load_fleet(load_contract(), path)


@pytest.mark.parametrize("host", ["-oProxyCommand=touch x", "a;touch x", "$(touch x)", "a b", "a\nb", "a/b", "`x`", ""])
def test_a_host_that_a_shell_or_an_option_could_be_made_of_is_refused_at_load(tmp_path, host):
    path = tmp_path / "fleet.json"
    instance = {"key": "acme-prod", "host": host}
    customer = {"key": "acme", "name": "ACME", "language": "de", "package": "premium", "instance": [instance]}
    import json

    path.write_text(json.dumps({"customer": [customer]}))
    with pytest.raises(FileError, match="host: expected"):
        load_fleet(load_contract(), path)


# --- formulas ---------------------------------------------------------------------------------------------------------

FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("https://evil.example","x")')


@pytest.mark.parametrize("formula", [*FORMULAS, "\t=1+1", "\r=1+1", "\n=1+1", "\x00=1", "\ufeff=1+1", "\u200b=1+1"])
def test_no_cell_begins_as_a_formula(formula):
    assert safe_cell(formula) == f"'{formula}"


def test_no_text_of_a_fleet_becomes_a_formula_in_the_plan(home):
    fleet = FLEET
    for number, formula in enumerate(FORMULAS):
        fleet += f"""
[[window]]
kind = "critical"
key = "w{number}"
start = 2026-12-{number + 10:02}T19:00:00+01:00
end = 2026-12-{number + 10:02}T21:00:00+01:00
instances = ["acme-prod"]
reason = '''{formula}'''
"""
    Path("hostile.toml").write_text(fleet, encoding="utf-8")
    printed = run("plan", "--fleet", "hostile.toml", "--format", "csv", "--now", NOW, "--months", "3").stdout
    rows = list(csv.reader(io.StringIO(printed, newline="")))
    assert len({row[0] for row in rows}) > len(FORMULAS)
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@") or (cell[:1] < " " and cell)]


def test_csv_is_written_in_one_place_which_looks_at_every_cell():
    writing = [path for path in (ROOT / "maintsched").rglob("*.py") if "csv.writer" in path.read_text("utf-8")]
    assert [path.name for path in writing] == ["rows.py"]
    assert "DictWriter" not in "".join(path.read_text("utf-8") for path in (ROOT / "maintsched").rglob("*.py"))


# --- formats ----------------------------------------------------------------------------------------------------------

READERS: dict[str, Callable[[str], object]] = {
    "configuration": load_config,
    "contract": load_contract,
    "fleet": lambda path: load_fleet(load_contract(), path),
}
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ending", ["yaml", "yml", "YAML", "json", "toml"])
def test_yaml_is_not_read_under_any_name(tmp_path, reader, ending):
    path = tmp_path / f"x.{ending}"
    for content in ("start: 17:00\ncountry: NO\n", ALIASES, "!!python/object/apply:os.system ['touch pwned']\n"):
        path.write_text(content)
        with pytest.raises(MaintschedError) as refused:
            READERS[reader](str(path))
        assert str(refused.value).isprintable()


def test_nothing_in_the_package_reads_yaml_or_pickles():
    found = set()
    for path in (ROOT / "maintsched").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    assert not {"yaml", "ruamel", "pickle", "marshal", "shelve", "subprocess"} & found


def test_nothing_in_the_package_evaluates_text_or_starts_a_shell():
    names = set()
    for path in (ROOT / "maintsched").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                names.add(ast.unparse(node.func))
    assert not {"eval", "exec", "compile", "__import__", "os.system", "os.popen"} & names

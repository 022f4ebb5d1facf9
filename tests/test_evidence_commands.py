"""The commands of evidence: what they print, how they fail, and an export that is checked by itself."""

import json
import stat
from hashlib import sha256

import pytest
from click.testing import CliRunner

from maintsched.cli import main
from maintsched.store import open_store
from maintsched.worker.exports import verify_export
from maintsched.worker.heads import keep_heads
from tests.casefiles import AFTER, a_month, write_config
from tests.databases import sqlite_store
from tests.test_evidence import CHAIN, tamper, where

# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a configuration, a database with a month's evidence, and the heads beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MAINTSCHED_CONFIG", str(write_config(tmp_path)))
    with sqlite_store(tmp_path) as store:
        a_month(store)
        keep_heads(store, tmp_path / "maintsched.db.heads")
    return tmp_path


def run(*args, code=0):
    result = CliRunner().invoke(main, ["evidence", *args], prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def export(home, *args, code=0):
    return run("export", CHAIN, "--month", "2026-12", "--now", AFTER.isoformat(), *args, code=code)


def test_verify_says_how_much_was_checked(home):
    assert run("verify").stdout == "checked 7 entries in 4 chains: no fault\n"
    assert run("verify", CHAIN).stdout == "checked 4 entries in 1 chain: no fault\n"
    assert json.loads(run("verify", "--json").stdout) == {"chains": 4, "entries": 7, "faults": [], "unknown": []}


def test_verify_names_the_first_broken_link_and_fails(home):
    with open_store(f"sqlite:///{home}/maintsched.db") as store:
        tamper(store, f"UPDATE journal SET subject = 'x' WHERE {where()} AND seq > 1")
    result = run("verify", code=1)
    assert result.stdout == (
        "acme-prod, entry 2: entry 2 was changed: its hash is not that of its content\n"
        "checked 4 entries in 4 chains: 1 chain with a fault\n"
    )
    assert result.stderr == "Error: the evidence is not whole\n"
    faults = json.loads(run("verify", "--json", code=1).stdout)["faults"]
    assert [(fault["chain"], fault["seq"]) for fault in faults] == [(CHAIN, 2)]


def test_verify_without_heads_fails_since_a_cut_off_end_would_not_show(home):
    (home / "maintsched.db.heads").rename(home / "elsewhere")
    result = run("verify", code=1)
    assert "checked 7 entries in 4 chains: no fault" in result.stdout
    assert "there are no heads at" in result.stderr
    assert run("verify", "--heads", str(home / "elsewhere")).exit_code == 0
    assert "expected the heads of the chains" in run("verify", "--heads", str(home / "nowhere"), code=1).stderr


def test_verify_says_that_the_last_line_of_the_heads_is_torn(home):
    with (home / "maintsched.db.heads").open("a") as file:
        file.write("torn")
    assert "the last line is torn and was left out" in run("verify").stderr


def test_export_writes_a_page_or_json_for_its_owner_alone(home):
    page = export(home).stdout
    assert page.startswith("<!doctype html>")
    assert "Nachweis" in export(home, "--language", "de").stdout
    file = home / "out.json"
    file.write_text("older")
    assert export(home, "--format", "json", "--output", str(file)).stdout == ""
    assert json.loads(file.read_text())["instance"] == CHAIN
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_export_of_a_broken_chain_is_written_and_fails(home):
    with open_store(f"sqlite:///{home}/maintsched.db") as store:
        tamper(store, f"UPDATE journal SET subject = 'x' WHERE {where(seq=2)}")
    result = export(home, code=1)
    assert "This evidence is not sound" in result.stdout
    assert "acme-prod: entry 2 was changed" in result.stderr


@pytest.mark.parametrize(("instance", "month"), [("nobody", "2026-12"), (CHAIN, "2026-13"), (CHAIN, "December")])
def test_export_refuses_what_it_does_not_know_in_one_line(home, instance, month):
    result = run("export", instance, "--month", month, code=1)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1


# --- an export by itself ----------------------------------------------------------------------------------------------


@pytest.fixture
def exported(home):
    """An export of the month, as a file and as a value."""
    file = home / "out.json"
    export(home, "--format", "json", "--output", str(file))
    return file, json.loads(file.read_text())


def test_an_export_is_checked_without_a_database_and_says_what_it_cannot_know(exported, monkeypatch):
    file, whole = exported
    monkeypatch.delenv("MAINTSCHED_CONFIG")
    monkeypatch.chdir("/")
    result = run("verify", "--file", str(file))
    assert result.stdout == "checked 4 entries in 1 chain: no fault\n"
    last = whole["journal"]["entries"][-1]["digest"]
    said = f"not known from this file: acme-prod: whether more entries follow entry 4, whose hash is {last}\n"
    assert result.stderr == said
    assert json.loads(run("verify", "--json", "--file", str(file)).stdout)["entries"] == 4


def test_the_predecessor_of_an_export_that_begins_later_is_given_by_its_hash(exported):
    file, whole = exported
    first = whole["journal"]["entries"].pop(0)
    file.write_text(json.dumps(whole))
    (before, _) = verify_export(file).unknown
    assert before == f"acme-prod: entries 1 to 1 are not in the file; entry 1 has hash {first['digest']}"


@pytest.mark.parametrize(
    ("change", "seq"),
    [
        (lambda entries: entries[1]["data"].update(reason="another"), 2),
        (lambda entries: entries[2].update(at="2026-12-11T19:00:00Z"), 3),
        (lambda entries: entries[0].update(chain="acme-test"), 1),
        (lambda entries: entries[3].update(previous="0" * 64), 4),
        (lambda entries: entries[3].update(seq=1), 1),
        (lambda entries: entries.insert(0, entries.pop(1)), 1),
    ],
)
def test_a_change_in_an_export_is_named(exported, change, seq):
    file, whole = exported
    change(whole["journal"]["entries"])
    file.write_text(json.dumps(whole))
    (fault,) = verify_export(file).faults
    assert fault.seq == seq
    assert f", entry {seq}: " in run("verify", "--file", str(file), code=1).stdout


def test_an_entry_of_an_export_that_was_changed_and_hashed_anew_is_found_at_the_next_one(exported):
    file, whole = exported
    forged = whole["journal"]["entries"][1]
    forged["subject"] = "critical/other"
    listed = [forged[name] for name in ("chain", "seq", "at", "kind", "subject", "data", "previous")]
    text = json.dumps(listed, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    forged["digest"] = sha256(text.encode()).hexdigest()
    file.write_text(json.dumps(whole))
    assert verify_export(file).faults == ((CHAIN, 3, "entry 3 does not continue entry 2: the link is broken"),)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": "maintsched-evidence/2"}',
        '{"format": "maintsched-evidence/1"}',
        '{"format": "maintsched-evidence/1", "journal": {"entries": [{}], "shared": []}}',
        '{"format": "maintsched-evidence/1", "format": "maintsched-evidence/1"}',
        '{"format": NaN}',
        "[" * 100_000,
        "\x00",
    ],
)
def test_a_file_that_is_no_export_is_refused_in_one_line(tmp_path, content):
    file = tmp_path / "x.json"
    file.write_text(content)
    result = run("verify", "--file", str(file), code=1)
    assert result.stderr.startswith(f"Error: {file}: ")
    assert result.stderr.count("\n") == 1
    assert run("verify", CHAIN, "--file", str(file), code=2).stdout == ""


def test_an_export_holds_no_address(exported):
    file, _ = exported
    assert "@acme.example" not in file.read_text()

"""Evidence holds: whatever is done to the database behind its triggers shows, and the commands say where."""

import json
import shutil
import stat
import time
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import text

import maintsched as ms
from maintsched.cli import main
from maintsched.journal import PROVIDER, EntryKind, Event
from maintsched.report.casefile import Punctuality
from maintsched.store import open_store
from maintsched.store.evidence import append
from maintsched.store.fleets import erase_contact
from maintsched.store.outbox import read_notices
from maintsched.worker.exports import verify_export
from maintsched.worker.heads import keep_heads, read_heads
from maintsched.worker.proofs import Verdict, read_case, verify
from tests.casefiles import AFTER, BEGIN, HOUR, HOUSE, a_month, contract, remind, settle, told, write_config
from tests.databases import address, sqlite_store

CHAIN = "acme-prod"


def tamper(store, *statements: str) -> None:
    """Change the journal as somebody would who owns the database: the triggers go first."""
    if store.dialect == "sqlite":
        drop = [f"DROP TRIGGER journal_no_{name}" for name in ("update", "delete", "replace")]
    else:
        drop = ["DROP TRIGGER journal_no_change ON journal"]
    with store.writing() as connection:
        for statement in (*drop, *statements):
            connection.exec_driver_sql(statement)


@pytest.fixture
def kept(store, tmp_path):
    """The heads of a month's evidence in `store`, kept outside."""
    a_month(store)
    path = tmp_path / "heads"
    assert keep_heads(store, path) == []
    return read_heads(path)


def where(chain=CHAIN, seq=None) -> str:
    return f"chain = '{chain}'" + (f" AND seq = {seq}" if seq else "")


# --- tampering --------------------------------------------------------------------------------------------------------


def test_what_nobody_touched_is_whole(store, kept):
    assert verify(store, (), kept) == Verdict(chains=4, entries=7)
    assert verify(store, [CHAIN], kept) == Verdict(chains=1, entries=4)


@pytest.mark.parametrize(
    ("change", "seq", "says"),
    [
        ("UPDATE journal SET data = replace(data, '250 2.0.0', '250 9.9.9') WHERE {1}", 1, "was changed"),
        ("UPDATE journal SET subject = 'monthly/2026-11' WHERE {3}", 3, "was changed"),
        ("UPDATE journal SET kind = 'notice_accepted' WHERE {2}", 2, "was changed"),
        ("UPDATE journal SET kind = 'something else' WHERE {2}", 2, "cannot be read"),
        ("UPDATE journal SET data = 'no json' WHERE {2}", 2, "cannot be read"),
        ("UPDATE journal SET data = '[1]' WHERE {2}", 2, "was changed"),
        ("UPDATE journal SET at = '2026-11-20T07:00:12.000000Z' WHERE {1}", 1, "was changed"),
        ("UPDATE journal SET digest = '{zero}' WHERE {2}", 2, "was changed"),
        ("UPDATE journal SET previous = '{zero}' WHERE {3}", 3, "the link is broken"),
        ("DELETE FROM journal WHERE {1}", 1, "entry 1 is missing"),
        ("DELETE FROM journal WHERE {3}", 3, "entry 3 is missing"),
        ("DELETE FROM journal WHERE {4}", 4, "the tail is cut off"),
        ("DELETE FROM journal WHERE {all}", 1, "the tail is cut off"),
        ("UPDATE head SET seq = 3 WHERE {all}", 4, "the database calls entry 3 the last"),
        ("DELETE FROM head WHERE {all}", 4, "the database calls entry 0 the last"),
    ],
)
def test_a_change_behind_the_triggers_is_named_by_its_first_link(store, kept, change, seq, says):
    places = {"1": where(seq=1), "2": where(seq=2), "3": where(seq=3), "4": where(seq=4), "all": where()}
    statement = change
    for name, condition in {**places, "zero": "0" * 64}.items():
        statement = statement.replace(f"{{{name}}}", condition)
    tamper(store, statement)
    (fault,) = verify(store, (), kept).faults
    assert (fault.chain, fault.seq) == (CHAIN, seq)
    assert says in fault.what
    assert verify(store, ["acme-test", "birch-prod", PROVIDER], kept).faults == ()


def test_each_broken_chain_is_named_once(store, kept):
    tamper(store, "UPDATE journal SET subject = 'x'")
    faults = verify(store, (), kept).faults
    assert [(fault.chain, fault.seq) for fault in faults] == [
        (PROVIDER, 1),
        (CHAIN, 1),
        ("acme-test", 1),
        ("birch-prod", 1),
    ]


def test_a_tail_that_was_cut_off_with_its_head_shows_only_beside_the_heads_outside(store, kept):
    tamper(
        store,
        f"DELETE FROM journal WHERE {where()} AND seq > 2",
        f"UPDATE head SET seq = 2, digest = (SELECT digest FROM journal WHERE {where(seq=2)}) WHERE {where()}",
    )
    assert verify(store).faults == ()
    (fault,) = verify(store, (), kept).faults
    assert fault == (CHAIN, 3, "the tail is cut off: 4 entries are known, the last is entry 2")


def test_a_chain_that_was_removed_altogether_shows_beside_the_heads_outside(store, kept):
    tamper(store, f"DELETE FROM journal WHERE {where()}", f"DELETE FROM head WHERE {where()}")
    assert verify(store).faults == ()
    (fault,) = verify(store, (), kept).faults
    assert fault == (CHAIN, 1, "the tail is cut off: 4 entries are known, the last is nothing")


def test_a_chain_that_was_written_anew_from_its_start_shows_beside_the_heads_outside(store, kept):
    tamper(store, f"DELETE FROM journal WHERE {where()}", f"DELETE FROM head WHERE {where()}")
    with store.writing() as connection:
        append(connection, [Event(chain=CHAIN, at=BEGIN, kind=EntryKind.BREACH, subject="other")] * 5)
    assert verify(store).faults == ()
    (fault,) = verify(store, (), kept).faults
    assert (fault.chain, fault.seq) == (CHAIN, 4)
    assert "the chain was written anew" in fault.what


def test_an_older_copy_that_was_restored_shows_beside_the_heads_outside(tmp_path):
    with sqlite_store(tmp_path) as store:
        fleet = settle(store)
        url, database = address(store), store.path
    shutil.copy(database, tmp_path / "older")
    with open_store(url) as store:
        remind(store, fleet)
        keep_heads(store, tmp_path / "heads")
    shutil.copy(tmp_path / "older", database)
    with open_store(url) as store:
        faults = verify(store, (), read_heads(tmp_path / "heads")).faults
        assert [fault.chain for fault in faults] == ["acme-prod", "acme-test", "birch-prod"]
        assert verify(store).faults == ()


def test_an_unknown_chain_is_refused_and_an_instance_without_entries_is_whole(store):
    settle(store)
    assert verify(store, [CHAIN]) == Verdict(chains=1, entries=0)
    with pytest.raises(ms.UnknownName, match="did you mean acme-prod"):
        verify(store, ["acme-prd"])


def test_a_hundred_thousand_entries_are_checked_in_a_few_seconds(tmp_path):
    data = {"reply": "250 2.0.0 Ok: queued as 4bXq3J1Z", "server": "mail.example", "contact": "eva", "revision": 0}
    with sqlite_store(tmp_path) as store:
        events = [
            Event(chain=f"i{n % 50}", at=BEGIN + timedelta(seconds=n), kind=EntryKind.BREACH, subject="x", data=data)
            for n in range(10_000)
        ]
        with store.writing() as connection:
            append(connection, events)
        begin = time.perf_counter()
        assert verify(store) == Verdict(chains=50, entries=10_000)
        assert time.perf_counter() - begin < 3  # a tenth of them, in about a third of a second


# --- the case ---------------------------------------------------------------------------------------------------------


def case(store, instance=CHAIN, month="2026-12", **more):
    return read_case(store, contract(), HOUSE, instance, month, now=more.pop("now", AFTER), **more)


def test_a_case_says_what_the_availability_says(store, kept):
    found = case(store, kept=kept)
    assert found.sound
    assert found.check.beside_heads
    monthly, hotfix = found.windows
    assert (monthly.effect.deducted_seconds, hotfix.effect.counted_seconds) == (4 * 3600, 2 * 3600)
    assert found.availability.counted_seconds == 7200 + found.outages[0].counted_seconds
    assert [window.punctuality for window in found.windows] == [Punctuality.KEPT, Punctuality.MISSED]


def test_the_entries_of_a_case_reach_from_the_first_that_matters_to_the_last_without_a_gap(store):
    a_month(store)
    with store.writing() as connection:
        later = AFTER + timedelta(days=40)
        append(connection, [Event(chain=CHAIN, at=later, kind=EntryKind.INSTANCE_CHANGED, subject=CHAIN)])
    assert [entry.seq for entry in case(store).entries] == [1, 2, 3, 4]
    assert [entry.seq for entry in case(store, month="2027-02").entries] == [5]
    assert case(store, month="2026-10").entries == ()


def test_a_window_of_the_rule_that_nobody_was_told_of_is_in_the_case(store):
    settle(store)
    (window,) = case(store).windows
    assert (window.id, window.state, window.punctuality) == ("monthly/2026-12", "rule", Punctuality.MISSED)
    (window,) = case(store, now=BEGIN).windows
    assert window.punctuality is Punctuality.OPEN


def test_an_acceptance_that_only_the_working_tables_know_is_no_proof(store):
    fleet = settle(store)
    (key, *_) = remind(store, fleet)
    tamper(store, f"DELETE FROM journal WHERE {where()}", f"DELETE FROM head WHERE {where()}")
    found = case(store)
    assert found.check.fault is None
    assert found.windows[0].contradictions == (key,)
    assert not found.sound


def test_a_bounce_that_only_the_journal_knows_contradicts_the_working_tables(store):
    fleet = settle(store)
    keys = remind(store, fleet)
    with store.writing() as connection:
        (stored,) = [each for each in read_notices(connection, keys=set(keys)) if each.notice.customer == "acme"]
        append(connection, told(stored.notice, EntryKind.NOTICE_BOUNCED, BEGIN + HOUR))
    found = case(store)
    assert found.windows[0].contradictions == (stored.key,)


def test_what_stands_behind_a_broken_link_is_left_out(store, kept):
    tamper(store, f"UPDATE journal SET data = '{{}}' WHERE {where(seq=3)}")
    found = case(store, kept=kept)
    assert found.check.fault.seq == 3
    assert [entry.seq for entry in found.entries] == [1, 2]
    assert not found.sound


def test_an_erased_contact_leaves_its_key_and_nothing_else(store):
    a_month(store)
    with store.writing() as connection:
        erase_contact(connection, "acme", "eva", AFTER)
    found = case(store)
    assert found.sound
    assert found.windows[0].mails[0].contact == "eva"
    assert found.windows[0].mails[0].roles == ()


def test_an_instance_that_left_the_fleet_keeps_its_evidence(store):
    a_month(store)
    with store.writing() as connection:
        connection.execute(text("DELETE FROM instance WHERE key = 'acme-prod'"))
    found = case(store)
    assert found.environment is None
    assert found.customer == "acme"
    assert found.availability is None
    assert len(found.entries) == 4
    with pytest.raises(ms.UnknownName, match="INSTANCE"):
        case(store, instance="nobody")


def test_a_window_of_the_whole_fleet_shows_its_history_and_no_entry_of_others(store):
    settle(store)
    with store.writing() as connection:
        others = [
            Event(chain=PROVIDER, at=BEGIN, kind=EntryKind.INSTANCE_CHANGED, subject="birch-prod"),
            Event(
                chain=PROVIDER, at=BEGIN, kind=EntryKind.WINDOW_MOVED, subject="monthly/2026-12", data={"instances": []}
            ),
            Event(
                chain=PROVIDER, at=BEGIN, kind=EntryKind.WINDOW_MOVED, subject="monthly/2027-12", data={"instances": []}
            ),
        ]
        append(connection, others)
    remind(store, ms.load_fleet(contract(), "docs/examples/fleet.toml")[0])
    found = case(store)
    assert [entry.seq for entry in found.shared] == [3]
    assert found.windows[0].history == found.shared


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

"""The command line: what it prints, how it refuses, what it imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import maintsched
from maintsched.cli import COMMANDS, main

FLEET = str(Path(__file__).parent.parent / "docs" / "examples" / "fleet.toml")
NOW = "2026-11-23T09:00:00+01:00"


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    for name in list(os.environ):
        if name.startswith("MAINTSCHED_"):
            monkeypatch.delenv(name)


def run(*args, code=0):
    result = CliRunner().invoke(main, list(args), prog_name="maintsched")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def plan(*args, code=0):
    return run("plan", "--now", NOW, *args, code=code)


def plan_of(*args):
    return json.loads(plan("--format", "json", *args).stdout)


def test_a_plan_works_with_nothing_configured():
    windows = plan_of("--months", "3")["windows"]
    assert [window["id"] for window in windows] == ["monthly/2026-12", "monthly/2027-01", "monthly/2027-02"]


def test_json_holds_every_promised_field():
    made = plan_of("--fleet", FLEET, "--months", "3")
    assert {"contract", "from", "to", "generated_at", "windows"} <= set(made)
    window = made["windows"][0]
    assert list(window) == [
        "id",
        "kind",
        "start",
        "end",
        "start_utc",
        "end_utc",
        "clause",
        "holiday",
        "clock_change",
        "notices",
        "instances",
        "work",
        "conflicts",
    ]
    assert {"kind", "send_at", "deadline", "deadline_utc", "clause", "reading"} <= set(window["notices"][0])
    assert set(window["work"][0]) == {"instance", "component", "release", "change_class", "why"}
    assert window["start_utc"] == "2026-12-01T16:00:00Z"
    assert window["notices"][0]["deadline_utc"] == "2026-11-23T23:00:00Z"


def test_the_table_fits_100_columns_and_cuts_no_date(monkeypatch):
    for columns in ("60", "100", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        text = plan("--fleet", FLEET, "--months", "8").stdout
        assert max(len(line) for line in text.splitlines()) <= 100
        assert "…" not in text
        assert "Tue 1 Dec 2026" in text


def test_the_table_is_spoken_in_german_too():
    text = plan("--fleet", FLEET, "--months", "8", "--language", "de").stdout
    assert "Di., 1. Dez. 2026" in text
    assert "in 8 Tagen" in text
    assert "Aufschub" in text


def test_the_table_names_holidays_and_clock_changes():
    text = plan("--from", "2027-03-25/2028-11-30").stdout
    assert "clocks back Sun 31 Oct" in text
    assert "Tag der Deutschen" in plan("--from", "2028-10").stdout


def test_an_empty_time_says_so():
    assert "no window starts in this time" in plan("--from", "2026-12-02", "--to", "2026-12-10").stdout


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01",
        " 2026-12-01 ",
        "2026-12",
        "1.12.2026",
        "1. Dezember 2026",
        "1 Dec 2026",
        "1 December 2026",
        "1. dez 2026",
        "1 DEC 2026",
        "Dec 1 2026",
        "Dec 1, 2026",
        "december 1 2026",
        "in 8 days",
        "in 8 Tagen",
    ],
)
def test_a_day_is_understood_as_people_write_it(text):
    assert plan_of("--from", text, "--months", "1")["from"] == "2026-12-01T00:00:00+01:00"


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        ("today", "P1M", ("2026-11-23T00:00:00+01:00", "2026-12-23T00:00:00+01:00")),
        ("now", "morgen", ("2026-11-23T09:00:00+01:00", "2026-11-24T00:00:00+01:00")),
        ("gestern", "in 2 Wochen", ("2026-11-22T00:00:00+01:00", "2026-12-07T00:00:00+01:00")),
        ("PT72H", "P1DT12H", ("2026-11-26T09:00:00+01:00", "2026-11-27T21:00:00+01:00")),
        ("-P30DT1H", "PT1H30M", ("2026-10-24T08:00:00+02:00", "2026-10-24T09:30:00+02:00")),
        ("-P1M", "in 1 month", ("2026-10-23T00:00:00+02:00", "2026-12-23T00:00:00+01:00")),
        ("2026-12-01T17:00Z", "2027-01-01", ("2026-12-01T18:00:00+01:00", "2027-01-01T00:00:00+01:00")),
    ],
)
def test_distances_and_durations_count_from_now_or_from_the_start(since, until, found):
    made = plan_of(f"--from={since}", "--to", until)
    assert (made["from"], made["to"]) == found


@pytest.mark.parametrize(
    "interval", ["2026-12-01/2027-03-01", "2026-12-01/P3M", "P3M/2027-03-01", "1 Dec 2026/1 Mar 2027"]
)
def test_an_interval_names_both_ends(interval):
    made = plan_of("--from", interval)
    assert (made["from"], made["to"]) == ("2026-12-01T00:00:00+01:00", "2027-03-01T00:00:00+01:00")


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01",
        "1999-12-31",
        "2201-01-01",
        "9999-12-31",
        "2026-W49-2",
        "2026-12-01T17:00",
        "٢٠٢٦-12-01",
        "P9999Y",
        "in 9999 months",
        "31.02.2026",
        "",
        "x" * 500,
        "2026-12-01\n2027",
        "P3X",
        "P",
        "P1DT",
        "PT99999999H",
        "Foo 1 2026",
        "Feb 30 2026",
    ],
)
def test_a_day_that_is_none_is_refused_in_one_line(text):
    error = plan("--from", text, code=2).stderr
    assert "Error: Invalid value for --from" in error
    assert error.count("\n") == 4


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--to", "2027-01-01", "--months", "2"), "exclude each other"),
        (("--from", "2026-12-01/P1M", "--months", "2"), "leave out --to and --months"),
        (("--from", "2026-12-01", "--to", "2026-12-01"), "is not after the start"),
        (("--from", "2026-12-01/"), "Invalid value for --from"),
        (("--months", "0"), "Invalid value for '--months'"),
        (("--format", "yaml"), "Invalid value for '--format'"),
        (("--now", "soon"), "Invalid value for --now"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(args, words):
    given = args if "--now" in args else ("--now", NOW, *args)
    assert words in run("plan", *given, code=2).stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--from", "2150-01-01"), "public holidays of DE-BW in 2150 cannot be known"),
        (("--contract", "intrex-paas"), "did you mean intrexx-paas?"),
        (("--fleet", "none.toml"), "none.toml: expected a readable file"),
        (("--fleet", FLEET, "--instance", "acme-pord"), "did you mean acme-prod?"),
    ],
)
def test_a_refusal_exits_with_1_in_one_clear_line(args, words):
    error = plan(*args, code=1).stderr
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert words in error


def test_an_unknown_command_names_the_nearest():
    assert "did you mean plan?" in run("plam", code=2).stderr


def test_a_bad_file_is_refused_by_file_line_and_key(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text('[[customer]]\nkey = "a"\nname = "A"\nlanguage = "fr"\npackage = "premium"\n')
    error = plan("--fleet", str(path), code=1).stderr
    assert error == f'Error: {path}, line 4: customer[1].language: expected one of de, en, found "fr"\n'


def test_only_the_named_instances_are_planned():
    made = plan_of("--fleet", FLEET, "--months", "2", "--instance", "birch-prod")
    assert {row["instance"] for window in made["windows"] for row in window["work"]} == {"birch-prod"}
    assert "critical/birch-database" in {window["id"] for window in made["windows"]}
    made = plan_of("--fleet", FLEET, "--months", "2", "--instance", "acme-prod")
    assert "critical/birch-database" not in {window["id"] for window in made["windows"]}


def test_options_can_be_set_by_the_environment(monkeypatch):
    monkeypatch.setenv("MAINTSCHED_MONTHS", "1")
    monkeypatch.setenv("MAINTSCHED_FORMAT", "json")
    monkeypatch.setenv("MAINTSCHED_FLEET", FLEET)
    made = json.loads(plan().stdout)
    assert len(made["windows"]) == 2
    assert made["windows"][0]["instances"] == ["acme-prod", "acme-test", "birch-prod"]


def test_csv_has_a_row_a_window_instance_and_component():
    lines = plan("--fleet", FLEET, "--months", "1", "--format", "csv").stdout.splitlines()
    assert lines[0].startswith("window,kind,start,end")
    assert sum(line.startswith("monthly/2026-12,") for line in lines) == 6
    assert sum(line.startswith("critical/birch-database,") for line in lines) == 1


def test_the_feed_and_the_page_are_printed_whole():
    assert plan("--format", "ics", "--months", "1").stdout.rstrip().endswith("END:VCALENDAR")
    assert plan("--format", "html", "--months", "1").stdout.rstrip().endswith("</html>")


def test_contracts_lists_and_prints_what_is_built_in():
    assert "generic-weekly" in run("contracts").stdout
    assert [row["name"] for row in json.loads(run("contracts", "--json").stdout)] == ["intrexx-paas", "generic-weekly"]
    assert 'rule = "FREQ=MONTHLY;BYDAY=1TU"' in run("contracts", "intrexx-paas").stdout
    assert "did you mean" in run("contracts", "intrexx-pas", code=1).stderr


def test_a_printed_contract_is_a_contract_file(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(run("contracts", "generic-weekly").stdout, encoding="utf-8")
    assert plan_of("--contract", str(path), "--months", "1")["contract"] == "generic-weekly"


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("monthly/2026-12", ["clause 2.4.3.1, reading full_days", "monthly.reminder_reading = elapsed", "acme-prod"]),
        ("critical/birch-database", ["clause 2.4.3.2, reading elapsed", "lead: 72 h"]),
        ("acme-prod", ["customer ACME GmbH", "not intrexx 12.1.0 (major): 12.1.0 is deferred until 2027-04-01"]),
        ("instance/birch-prod", ["track steady, wave 3"]),
        ("deferral/acme-prod/12.1.0", ["deferral.max: 6 months", "2027-06-01T17:00:00+02:00", "monthly/2027-04"]),
        ("freeze/year-end", ["is ahead", "ends by itself", "monthly/2027-01"]),
        ("release/12.1.0", ["acme-test: intrexx 12.1.0 (major)", "acme-prod: not intrexx 12.1.0"]),
    ],
)
def test_explain_gives_clause_reading_and_facts(subject, words):
    text = run("explain", subject, "--fleet", FLEET, "--now", NOW).stdout
    for word in words:
        assert word in text


def test_explain_prints_json_and_names_what_it_knows():
    listed = json.loads(run("explain", "monthly/2026-12", "--json", "--now", NOW).stdout)
    assert listed[0]["title"] == "monthly/2026-12 starts"
    assert "expected one of monthly/2026-12" in run("explain", "monthly/26", "--now", NOW, code=1).stderr


def test_explain_tells_a_cancelled_window_and_an_emergency(tmp_path):
    path = tmp_path / "facts.toml"
    path.write_text(
        '[[window]]\nkind = "emergency"\nkey = "disk"\nstart = 2026-11-24T20:00:00+01:00\nduration = "1 h"\n'
        'reason = "disk"\n[[window]]\nkind = "monthly"\nkey = "2026-12"\nstart = 2026-12-08T17:00:00+01:00\n'
        'duration = "1 h"\nreason = "fair"\ncancelled = true\n'
    )
    assert "cancelled" in run("explain", "monthly/2026-12", "--fleet", str(path), "--now", NOW).stdout
    assert "at once" in run("explain", "emergency/disk", "--fleet", str(path), "--now", NOW).stdout


DECLARED = """
[[window]]
kind = "emergency"
key = "disk"
start = 2026-11-24T20:00:00+01:00
duration = "100 h"
reason = ":bug: Donaudampfschifffahrtsgesellschaftskapitaenskajuetenschluessel"

[[window]]
kind = "critical"
key = "night"
start = 2026-12-12T22:00:00+01:00
duration = "4 h"
reason = "night"

[[window]]
kind = "critical"
key = "late"
start = 2026-11-24T09:00:00+01:00
duration = "1 h"
reason = "late"
announced_at = 2026-11-23T08:00:00+01:00

[[window]]
kind = "monthly"
key = "2026-12"
start = 2026-12-08T17:00:00+01:00
duration = "1 h"
reason = "a fair"
cancelled = true

[[release]]
version = "12.1.0"
class = "major"
available_at = 2026-11-01

[[release]]
component = "database"
version = "12.1"
class = "minor"
available_at = 2026-11-01
"""


@pytest.fixture
def declared(tmp_path):
    path = tmp_path / "a fleet.toml"
    path.write_text(DECLARED)
    return str(path)


def test_the_end_of_a_window_names_its_day_where_it_is_another(declared):
    text = plan("--fleet", declared, "--months", "2").stdout
    assert "20:00–Sun 29 Nov 00:00 CET" in text
    assert "22:00–Sun 02:00 CET" in text
    assert "20:00–So., 29. Nov. 00:00 CET" in plan("--fleet", declared, "--language", "de").stdout


def test_operators_texts_are_shown_as_typed_and_whole(declared):
    text = plan("--fleet", declared, "--months", "2").stdout
    assert ":bug:" in text
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_the_table_titles_conflicts_in_its_language_and_lists_what_was_cancelled(declared):
    text = plan("--fleet", declared, "--months", "2").stdout
    assert "Announced too late, critical/late:" in text
    assert "cancelled monthly/2026-12: a fair" in text
    text = plan("--fleet", declared, "--months", "2", "--language", "de").stdout
    assert "Zu spät angekündigt, critical/late:" in text
    assert "abgesagt monthly/2026-12: a fair" in text


def test_json_lists_what_was_cancelled(declared):
    assert plan_of("--fleet", declared, "--months", "2")["cancelled"] == [
        {"id": "monthly/2026-12", "kind": "monthly", "start": "2026-12-08T17:00:00+01:00", "reason": "a fair"}
    ]


def test_files_in_a_variable_are_separated_as_in_a_path(declared, monkeypatch):
    monkeypatch.setenv("MAINTSCHED_FLEET", f"{declared}{os.pathsep}{os.pathsep}none.toml")
    assert "none.toml: expected a readable file" in plan(code=1).stderr
    monkeypatch.setenv("MAINTSCHED_FLEET", declared)
    assert "critical/night" in plan().stdout


def test_explain_says_why_a_window_is_not_held(declared, tmp_path):
    text = run("explain", "monthly/2026-12", "--fleet", declared, "--now", NOW).stdout
    assert text.startswith(
        "monthly/2026-12 is cancelled\n  reason: a fair\n  it was to start 2026-12-08T17:00:00+01:00"
    )
    assert "kind monthly, clause 2.4.3.1" in text
    path = tmp_path / "ours.toml"
    path.write_text(
        'extends = "intrexx-paas"\n[[monthly.override]]\nwindow = "monthly/2027-02"\nskip = true\nreason = "move"\n'
    )
    text = run("explain", "monthly/2027-02", "--contract", str(path), "--now", NOW).stdout
    assert text.startswith("monthly/2027-02 is skipped\n  reason: move\n")


def test_explain_shows_both_windows_where_one_was_moved_for_some(tmp_path):
    path = tmp_path / "facts.toml"
    path.write_text(
        '[[window]]\nkind = "monthly"\nkey = "2026-12"\nstart = 2026-12-08T17:00:00+01:00\nduration = "1 h"\n'
        'instances = ["acme-prod"]\nreason = "fair"\n'
    )
    text = run("explain", "monthly/2026-12", "--fleet", FLEET, "--fleet", str(path), "--now", NOW).stdout
    assert "monthly/2026-12 for acme-prod starts\n  2026-12-08T17:00" in text
    assert "monthly/2026-12 for all others starts\n  2026-12-01T17:00" in text
    feed = plan("--fleet", FLEET, "--fleet", str(path), "--format", "ics").stdout
    uids = [line for line in feed.splitlines() if line.startswith("UID")]
    assert len(uids) == len(set(uids))
    page = plan("--fleet", FLEET, "--fleet", str(path), "--format", "html").stdout
    assert page.count('id="monthly/2026-12"') == page.count('id="monthly/2026-12/acme-prod"') == 1


def test_explain_finds_releases_by_value_and_component(declared):
    def releases(subject):
        text = run("explain", subject, "--fleet", declared, "--now", NOW).stdout
        return [line for line in text.splitlines() if line.startswith("release")]

    assert releases("release/12.1") == ["release intrexx 12.1.0", "release database 12.1"]
    assert releases("release/12.1.0") == releases("release/12.1")
    assert releases("release/database/12.1.0") == ["release database 12.1"]
    assert "12.1" in run("explain", "release/webserver/12.1", "--fleet", declared, "--now", NOW, code=1).stderr
    assert (
        "deferral acme-prod/12.1.0" in run("explain", "deferral/acme-prod/12.1", "--fleet", FLEET, "--now", NOW).stdout
    )


def test_contracts_prints_the_terms_in_force_as_a_contract_file(tmp_path):
    path, whole = tmp_path / "ours.toml", tmp_path / "whole.json"
    path.write_text(
        'extends = "intrexx-paas"\nname = "ours"\n[monthly]\nduration = "3 h"\n'
        '[[monthly.override]]\nwindow = "monthly/2027-02"\nstart = 2027-02-09\nreason = "move"\n'
    )
    whole.write_text(run("contracts", str(path), "--json").stdout, encoding="utf-8")
    terms = json.loads(whole.read_text(encoding="utf-8"))
    assert (terms["monthly"]["duration"], terms["reaction"]["critical"]["premium"]) == ("3 h", "< 1 h")
    assert maintsched.load_contract(whole) == maintsched.load_contract(path)
    for name in ("intrexx-paas", "generic-weekly"):
        whole.write_text(run("contracts", name, "--json").stdout, encoding="utf-8")
        assert maintsched.load_contract(whole) == maintsched.load_contract(name)


def test_every_command_has_help_with_an_example():
    assert all(name in run("--help").stdout for name in COMMANDS)
    for name in COMMANDS:
        assert f"maintsched {name}" in run(name, "--help").stdout.split("Example", 1)[1]


def test_version_is_the_packages():
    assert run("--version").stdout == f"maintsched {maintsched.__version__}\n"


def modules_after(*args):
    code = (
        "import sys; from maintsched.cli import main\n"
        f"try: main({list(args)!r})\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    # Coverage, which measures processes as well, would bring modules of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "COV_"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return set(done.stderr.split())


HEAVY = {"sqlmodel", "sqlalchemy", "alembic", "asyncio", "icalendar", "jinja2", "aiosmtplib", "aiosmtpd", "pydantic"}


def test_help_imports_neither_core_nor_heavy_libraries():
    modules = modules_after("--help")
    assert not modules & (HEAVY | {"rich", "pendulum", "holidays", "dateutil", "tomllib", "maintsched.contract"})


def test_a_plan_imports_no_heavy_library_it_does_not_need():
    modules_after("plan", "--now", NOW, "--months", "3")
    again = modules_after("plan", "--now", NOW, "--months", "3")
    assert not again & (HEAVY | {"holidays"})
    assert not modules_after("plan", "--now", NOW, "--format", "json") & (
        HEAVY | {"rich", "pendulum", "dateutil", "holidays"}
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_imports_neither_database_nor_mail(name):
    assert not modules_after(name, "--help") & (HEAVY | {"holidays", "icalendar"})


def test_the_library_imports_nothing_before_it_is_asked():
    code = "import sys, maintsched; print(' '.join(name for name in sys.modules if name.startswith('maintsched')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["maintsched"]


def test_a_reader_that_stops_early_meets_no_traceback():
    command = f"{sys.executable} -m maintsched plan --months 600 --format json | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == '{"contract'
    assert "Traceback" not in done.stderr


def shell(command, **env):
    kept = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    line = command.replace("maintsched", f"{sys.executable} -m maintsched")
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=kept | env)


COMMAND_LINES = ("plan --months 2", "plan --format json", "explain monthly/2026-12", "contracts", "--help")


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_closed_stdout_is_no_error(line, tmp_path):
    done = shell(f"MAINTSCHED_NOW={NOW} maintsched {line} >&-", HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_full_disk_is_one_clear_line(line, tmp_path):
    done = shell(f"MAINTSCHED_NOW={NOW} maintsched {line} >/dev/full", HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "Error: cannot read or write the output: No space left on device\n"


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def none():
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", none)
    assert plan_of("--months", "1")["windows"]

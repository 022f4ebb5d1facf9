"""`maintsched doctor`: each check finds what is wrong, says what to do, and hides no other."""

import json
import sys
from contextlib import closing
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from maintsched.cli.checks import Check, Examination, Verdict, machine
from maintsched.cli.checks.promises import YEARS_AHEAD
from maintsched.cli.doctor import CHECKS, doctor, findings
from maintsched.cli.init import SAMPLES
from maintsched.errors import InvalidValue
from maintsched.worker.clock import read_clock
from tests.installations import NOW, alone, home, installed, mail_server, worst
from tests.smtp_servers import server_context

__all__ = ["alone", "home", "installed"]

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


# --- all of it --------------------------------------------------------------------------------------------------------


def test_a_sound_installation_passes_every_check_and_nothing_is_sent_or_changed(home):
    with mail_server(tls_context=server_context(), require_starttls=True) as (server, sink):
        home.login(server)
        before = {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
        result = CliRunner().invoke(doctor, ["--config", str(home.path), "--now", NOW.isoformat()])
    assert result.exit_code == 0, result.output
    *told, summary = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    passed = {line[6:].split("  ")[0] for line in told if line.startswith("ok    ")}
    assert passed | {"python"} == {check.name for check in CHECKS}
    assert summary.endswith(", 0 FAIL")
    assert not sink.mails
    assert {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()} == before


def test_json_holds_every_finding_and_the_exit_code_tells_of_failures(home):
    result = CliRunner().invoke(doctor, ["--config", str(home.path), "--json", "--now", NOW.isoformat()])
    told = json.loads(result.stdout)
    assert {each["check"] for each in told} == {check.name for check in CHECKS}
    assert all(set(each) == {"check", "verdict", "found", "way_out"} for each in told)
    assert {each["verdict"] for each in told} <= {"ok", "warn", "FAIL"}
    assert all(each["way_out"] for each in told if each["verdict"] != "ok")
    assert [each["check"] for each in told if each["verdict"] == "FAIL"] == ["mail server"]
    assert result.exit_code == 1


def test_without_a_configuration_whatever_needs_none_is_checked(tmp_path):
    with closing(Examination(config_file=str(tmp_path / "none.toml"), now=NOW)) as examination:
        told = {each.check: each for each in findings(examination)}
    assert [name for name, each in told.items() if each.verdict is FAIL] == ["configuration"]
    assert told["clock"].verdict is OK
    assert "no such file" in told["configuration"].found
    assert "maintsched init" in told["configuration"].way_out
    rest = [each for name, each in told.items() if name not in ("python", "clock", "configuration")]
    assert {(each.verdict, each.found) for each in rest} == {(WARN, "not checked: it needs the configuration")}


def test_one_failure_hides_no_other(home):
    home.path.write_text('contract = "none.toml"\n' + home.path.read_text())
    (home.folder / "maintsched.db").unlink()
    found = home.findings()
    told = {check.name: worst([each for each in found if each.check == check.name]) for check in CHECKS}
    for name in ("contract", "database", "mail server"):
        assert told[name].verdict is FAIL, name
    assert told["configuration"].verdict is OK
    assert told["fleet"].found == "not checked: it needs the contract"
    assert told["worker"].found == "not checked: it needs the database"


def test_what_nobody_foresaw_is_no_finding():
    def look(examination):
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        list(Check(name="x", look=look, way_out="").findings(Examination(config_file=None, now=NOW)))


def test_what_maintsched_or_the_system_refuses_is_a_finding():
    for error in (InvalidValue("x", expected="y", found="z"), PermissionError(13, "Permission denied", "/x")):

        def look(examination, error=error):
            yield OK, "first", ""
            raise error

        told = list(Check(name="x", look=look, way_out="do").findings(Examination(config_file=None, now=NOW)))
        assert [each.verdict for each in told] == [OK, FAIL]
        assert told[1].way_out == "do"
        assert told[1].found in ('x: expected y, got "z"', "/x: Permission denied")


def test_checks_have_names_of_their_own():
    assert len({check.name for check in CHECKS}) == len(CHECKS)


# --- the machine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "verdict"),
    [((3, 11, 9), WARN), ((3, 11, 10), OK), ((3, 12, 4), WARN), ((3, 12, 5), OK), ((3, 13, 0), OK)],
)
def test_an_interpreter_with_the_hole_in_mail_headers_is_told_of(version, verdict):
    ((found, text, way_out),) = machine.python_told(version)
    assert found is verdict
    assert bool(way_out) == ("CVE-2024-6923" in text) == (verdict is WARN)


def test_the_interpreter_that_runs_is_the_one_looked_at():
    ((_, text, _),) = machine.look_at_python(Examination(config_file=None, now=NOW))
    assert text.startswith(".".join(map(str, sys.version_info[:3])))


@pytest.mark.parametrize("minutes", [-1, 1])
def test_a_clock_that_is_not_that_of_the_file_system_fails(minutes):
    def clock():
        return read_clock() + timedelta(minutes=minutes)

    ((verdict, found, way_out),) = machine.look_at_clock(Examination(config_file=None, now=NOW, clock=clock))
    assert (verdict, "NTP" in way_out) == (FAIL, True)
    assert "UTC" in found


def test_zone_data_that_disagree_are_told_with_the_first_day():
    berlin, london = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/London")
    assert next(machine._disagreements(berlin, berlin, NOW), None) is None
    assert next(machine._disagreements(ZoneInfo("Etc/GMT-1"), berlin, NOW)).date().isoformat() == "2027-03-28"
    assert next(machine._disagreements(london, berlin, NOW)) == NOW
    assert machine._packaged("Europe/Nowhere") is None


# --- promises ---------------------------------------------------------------------------------------------------------


def test_values_of_the_sample_that_nobody_changed_are_told_of(home):
    home.path.write_text((SAMPLES / "maintsched.toml").read_text())
    found = home.found("configuration")
    assert (found.verdict, "provider.domain" in found.found) == (WARN, True)


def test_years_whose_holidays_are_not_known_fail(home):
    found = home.found("holidays", now=NOW.replace(year=2100 - YEARS_AHEAD + 1))
    assert (found.verdict, "2101" in found.found) == (FAIL, True)
    assert home.found("holidays", now=NOW.replace(year=2100 - YEARS_AHEAD)).verdict is OK


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('[notices]\nfolder = "gone"', "notices.folder: there is no folder"),
        ('[worker]\nbounces = "notices"', "worker.bounces: there is no folder"),
        ('[worker]\nheartbeat_file = "gone/beat"', "worker.heartbeat_file"),
    ],
)
def test_what_the_configuration_names_and_is_not_there_fails(home, line, words):
    table, setting = line.split("\n")
    text = home.path.read_text().replace('folder = "notices"\n', "")
    home.path.write_text(text.replace(table, f"{table}\n{setting}"))
    found = home.found("files")
    assert (found.verdict, words in found.found) == (FAIL, True), found
    assert found.way_out


def test_a_fleet_file_that_is_wrong_fails_with_its_line(home):
    (home.folder / "fleet.toml").write_text('[[custmer]]\nkey = "x"\n')
    found = home.found("files")
    assert (found.verdict, "fleet.toml, line 1: custmer" in found.found) == (FAIL, True)

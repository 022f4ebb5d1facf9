"""`maintsched worker` and worker.py: exit codes, what they print, how they stop, and that a secret stays one."""

import base64
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintsched.cli import main
from tests.databases import sqlite_store
from tests.desks import crowd, desk
from tests.houses import NOW
from tests.installations import PASSWORD, alone, home, installed, mail_server
from tests.smtp_servers import server_context, smtp_server

__all__ = ["alone", "desk", "home", "installed"]

WORKER = Path(__file__).parent.parent / "worker.py"
URGENT = ("window", "announce", "emergency", "--start", "in 3 hours", "--duration", "1h", "--reason", "x")
HURRY = ("--why-short", "it is being exploited")
KEYS = [f"notice/emergency/emergency:2026-11-04/0/acme/{who}" for who in ("eva", "otto")]
SECONDS = 60
"""How long a process may take before the test gives up."""


@pytest.fixture
def urgent(desk):
    """A desk where two people are to be told of an emergency."""
    desk.run(*URGENT, "--instances", "acme-prod", *HURRY)
    return desk


def heartbeat(desk):
    return json.loads((desk.folder / "heartbeat.json").read_text())


def command(desk, *words, program=("-m", "maintsched", "worker"), now=NOW):
    return [sys.executable, *map(str, program), *words, "--config", str(desk.config), "--now", now.isoformat()]


# --- exit codes -------------------------------------------------------------------------------------------------------


def test_everything_accepted_is_0_and_the_heartbeat_says_so(urgent):
    with mail_server() as (server, sink):
        urgent.configure(server.port)
        said = urgent.run("worker", "--once").stdout
    assert said == "2026-11-04T09:00:00Z  2 accepted\n"
    assert len(sink.mails) == 2
    beat = heartbeat(urgent)
    assert (beat["exit_code"], beat["results"], beat["problems"]) == (0, {"accepted": 2}, [])
    assert [stored.key for stored in urgent.notices()] == KEYS


def test_a_pass_with_nothing_to_do_is_0_and_leaves_a_heartbeat(desk):
    assert desk.run("worker").stdout == "2026-11-04T09:00:00Z  nothing was due\n"
    assert heartbeat(desk)["at"] == "2026-11-04T09:00:00Z"
    later = NOW + timedelta(hours=1)
    desk.run("worker", now=later)
    assert heartbeat(desk)["at"] == "2026-11-04T10:00:00Z"


def test_a_mail_server_that_is_down_is_75_and_the_heartbeat_says_why_and_the_next_pass_carries_on(urgent):
    with smtp_server({}) as gone:
        port = gone.port
    urgent.configure(port)
    said = urgent.run("worker", "--once", code=75).stdout
    assert said.startswith("2026-11-04T09:00:00Z  2 deferred")
    beat = heartbeat(urgent)
    assert beat["exit_code"] == 75
    assert "connect" in beat["problems"][0]
    with mail_server() as (server, sink):
        urgent.configure(server.port)
        urgent.run("worker", "--once", now=NOW + timedelta(hours=1))
    assert len(sink.mails) == 2
    assert heartbeat(urgent)["exit_code"] == 0


def test_an_address_that_is_refused_for_good_is_1_and_the_operator_is_told(urgent):
    with smtp_server({"rcpt": lambda line: "550 5.1.1 unknown" if "eva@" in line else None}) as server:
        urgent.configure(server.port)
        row = urgent.json("worker", "--once", code=1)
        recipients = [mail.recipient for mail in server.mails]
    assert row["results"] == {"accepted": 2, "refused": 1}
    assert "550" in row["problems"][0]
    assert recipients == ["otto@customer.example", "support@hosting.example"]


def test_a_promise_that_was_broken_is_1(desk):
    late = NOW + timedelta(days=24)
    with mail_server() as (server, _):
        desk.configure(server.port)
        row = desk.json("worker", "--once", now=late, code=1)
    assert {key.rsplit("/", 2)[1] for key in row["breaches"]} == {"acme", "birch"}
    assert any(problem.startswith("promise broken: breach/reminder/") for problem in row["problems"])


def test_one_json_line_a_pass_says_all(urgent):
    with mail_server() as (server, _):
        urgent.configure(server.port)
        (line,) = urgent.run("worker", "--once", "--json").stdout.splitlines()
    row = json.loads(line)
    assert {"action", "at", "exit_code", "planned", "stored", "results", "breaches", "bounces"} <= set(row)
    assert {"waiting", "problems"} <= set(row)
    assert (row["action"], row["exit_code"], row["results"]) == ("pass", 0, {"accepted": 2})


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--once", "--every", "60s"), "exclude each other"),
        (("--every", "0s"), "1s to 24h"),
        (("--every", "25h"), "1s to 24h"),
        (("--every", "often"), "--every"),
    ],
)
def test_a_rhythm_that_makes_no_sense_is_refused(desk, words, said):
    assert said in desk.refused("worker", *words, code=2)


def test_without_a_configuration_or_a_sound_database_the_way_out_is_named(desk, tmp_path, monkeypatch):
    database = desk.folder / "maintsched.db"
    database.write_bytes(b"no database at all, but long enough to be looked at " * 20)
    assert "file is not a database" in desk.refused("worker", "--once")
    database.unlink()
    assert "`maintsched init` makes it" in desk.refused("worker", "--once")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    result = CliRunner().invoke(main, ["worker", "--once"])
    assert result.exit_code == 1
    assert "`maintsched init` writes one" in result.stderr


# --- as a process -----------------------------------------------------------------------------------------------------


def test_worker_py_is_one_pass(urgent):
    with mail_server() as (server, sink):
        urgent.configure(server.port)
        line = command(urgent, "--json", program=(WORKER,))
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=SECONDS)
        again = subprocess.run(line, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["results"] == {"accepted": 2}
    assert json.loads(again.stdout)["results"] == {}
    assert len(sink.mails) == 2


def test_worker_py_hands_75_to_cron(urgent):
    with smtp_server({"connect": "421 4.3.2 come back later"}) as server:
        urgent.configure(server.port)
        line = command(urgent, program=(WORKER,))
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (75, "")


def test_asked_to_stop_it_finishes_the_pass_that_runs(urgent):
    reached, go = threading.Event(), threading.Event()

    def wait(_):
        reached.set()
        go.wait(SECONDS)

    with smtp_server({"dot": wait}) as server:
        urgent.configure(server.port)
        line = command(urgent, "--every", "1h", "--json")
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert reached.wait(SECONDS)
            running.send_signal(signal.SIGTERM)
            go.set()
            output, errors = running.communicate(timeout=SECONDS)
        assert len(server.mails) == 2
    assert (running.returncode, errors) == (0, "")
    (row,) = [json.loads(each) for each in output.splitlines()]
    assert row["results"] == {"accepted": 2}


def test_between_two_passes_it_stops_at_once(desk):
    line = command(desk, "--every", "24h", "--json")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["exit_code"] == 0
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=SECONDS)
    assert (running.returncode, output, errors) == (0, "", "")


def test_a_pass_that_fails_does_not_end_the_next(desk):
    sound = desk.folder / "maintsched.db"
    sound.rename(desk.folder / "away")
    line = command(desk, "--every", "1s", "--json")
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        row = json.loads(running.stdout.readline())
        assert (row["exit_code"], "makes it" in row["problems"][0]) == (1, True)
        (desk.folder / "away").rename(sound)
        rows = (json.loads(each) for each in running.stdout)
        assert next(row for row in rows if row["exit_code"] == 0)["problems"] == []
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=SECONDS)
    assert running.returncode == 0


def test_two_at_once_send_each_notice_once(desk):
    desk.keep(crowd(30))
    desk.run(*URGENT, "--all", *HURRY)
    with smtp_server({}) as server:
        desk.configure(server.port)
        line = command(desk, "--json", program=(WORKER,))
        both = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        rows = [json.loads(each.communicate(timeout=SECONDS)[0]) for each in both]
        recipients = [mail.recipient for mail in server.mails]
    assert sorted(recipients) == sorted({f"p{number}@customer.example" for number in range(30)})
    assert sum(row["results"].get("accepted", 0) for row in rows) == 30


def test_a_bar_shows_the_progress_where_a_person_watches_and_nowhere_else(urgent):
    with smtp_server({"connect": "421 4.3.2 come back later"}) as server:
        urgent.configure(server.port)
        for words, seen in (((), True), (("--json",), False)):
            watched, terminal = pty.openpty()
            line = command(urgent, *words, now=NOW + timedelta(hours=len(words)))
            done = subprocess.run(line, stdout=subprocess.PIPE, stderr=terminal, check=False, timeout=SECONDS)
            os.close(terminal)
            shown = b""
            try:
                while part := os.read(watched, 65536):
                    shown += part
            except OSError:  # on Linux the end of a terminal is an error
                pass
            os.close(watched)
            assert done.returncode == 75
            assert (b"sending" in shown) is seen, shown


# --- secrets ----------------------------------------------------------------------------------------------------------


def forms(secret: str) -> list[bytes]:
    """A secret as it might stand somewhere: plain, and as a login carries it."""
    plain = secret.encode()
    return [plain, base64.b64encode(plain), base64.b64encode(b"\0maint\0" + plain), plain.hex().encode()]


def test_a_password_stands_nowhere_but_in_its_file(home, tmp_path):
    said: list[str] = []

    def run(*words):
        result = CliRunner().invoke(
            main, [*words, "--now", NOW.isoformat(), "--config", str(home.path)], prog_name="maintsched"
        )
        said.extend((result.output, repr(result.exception)))
        return result.exit_code

    with mail_server(tls_context=server_context(), require_starttls=True) as (server, sink):
        password = home.login(server)
        home.path.write_text(home.path.read_text().replace("# heartbeat_file", "heartbeat_file"))
        kept = sqlite_store(home.folder)  # holds the log beside the database open
        with kept, kept.reading():
            assert run(*URGENT, "--instances", "acme-prod", *HURRY, "--key", "x") == 0
            assert run("worker", "--once", "--json") == 0
            assert sink.mails
            assert sink.logins
            password.write_text(f"{PASSWORD}-wrong")
            run(*URGENT, "--instances", "acme-prod", *HURRY, "--key", "y")
            assert run("worker", "--once") == 75
            for words in (("notice", "list", "--json"), ("window", "list", "--json"), ("doctor",)):
                run(*words)
            key = "notice/emergency/emergency:x/0/acme/eva"
            assert run("notice", "preview", key, "--output", str(tmp_path / "out")) == 0
            assert run("notice", "show", key) == 0
            assert run("evidence", "export", "acme-prod", "--month", "2026-11") == 0
            places = [*home.folder.rglob("*"), *(tmp_path / "out").rglob("*")]
            found = {path: path.read_bytes() for path in places if path.is_file() and path != password}
    assert any(path.name.endswith("-wal") for path in found)
    assert any("heartbeat" in path.name for path in found)
    everything = [*found.items(), ("what was printed", "\n".join(said).encode())]
    everything += [(f"mail {number}", mail) for number, mail in enumerate(sink.mails)]
    for place, content in everything:
        for form in forms(PASSWORD):
            assert form not in content, place


def test_a_password_file_that_is_refused_is_not_repeated(home):
    with mail_server(tls_context=server_context(), require_starttls=True) as (server, _):
        home.login(server).write_text(f"{PASSWORD}\nsecond line of it\n")
    result = CliRunner().invoke(main, ["worker", "--config", str(home.path), "--now", NOW.isoformat()])
    assert result.exit_code == 1
    assert PASSWORD not in result.output
    line = [sys.executable, "-m", "maintsched", "worker", "--every", "24h", "--json", "--config", str(home.path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        assert PASSWORD not in running.stdout.readline()
        seen = Path(f"/proc/{running.pid}/cmdline")
        assert not seen.exists() or PASSWORD.encode() not in seen.read_bytes()
        running.send_signal(signal.SIGTERM)
        assert PASSWORD not in running.communicate(timeout=SECONDS)[0]

"""A canary: a password that is used shows nowhere, and the words of a hostile mail server do nothing anywhere."""

import base64
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintsched.cli import main
from maintsched.mail.settings import Tls
from tests.installations import NOW, PASSWORD, Home, alone, home, installed
from tests.smtp_servers import Script, SmtpServer, Trouble, smtp_server
from tests.test_threats_commands import all_commands

__all__ = ["alone", "home", "installed"]  # fixtures

START = "2026-12-08 19:00"
NOTICE = "notice/announcement/critical:disk/0/acme/eva"
USER = "maint"
CODED = [base64.b64encode(each.encode()).decode().rstrip("=") for each in (PASSWORD, f"\0{USER}\0{PASSWORD}")]
CANARIES = (PASSWORD, *CODED, PASSWORD.encode().hex())
HOSTILE = "5.7.1 no\x1b]0;pwned\x07\x1b[2J\x9b31m\x00\xad =?utf-8?q?=0ABcc: e@x?= <script>alert(1)</script> =1+1"
SERVERS: dict[str, Script] = {
    "a good server": {},
    "a wrong password": {"auth": f"535 5.7.8 {PASSWORD} is not the password of {USER}"},
    "a server that repeats what it was told": {"auth": lambda line: f"535 5.7.8 cannot read {line}"},
    "a server that hangs up": {"auth": Trouble.DROP},
    "a server that talks nonsense": {"auth": "what?"},
    "a server that refuses the mail": {"dot": f"554 5.7.1 your password {PASSWORD} is known to us"},
}


def command(home: Home, *words: str) -> str:
    """Run a command, and return all that it printed."""
    now = [] if words[:2] == ("evidence", "verify") else ["--now", NOW.isoformat()]
    config = ["--config", str(home.path)]
    done = CliRunner().invoke(main, [*words, *now, *config], prog_name="maintsched", color=True)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done.output


@contextmanager
def told(home: Home, script: Script) -> Iterator[tuple[SmtpServer, str]]:
    """Announce a window, let the worker tell of it, and look at everything; give all that was printed."""
    with smtp_server(script, tls=Tls.STARTTLS) as server:
        home.login(server)
        words = ("--start", START, "--duration", "2h", "--instances", "acme-prod", "--reason", "x", "--key", "disk")
        export = ("evidence", "export", "acme-prod", "--month", "2026-11", "--output")
        printed = [
            command(home, *each)
            for each in (
                ("window", "announce", "critical", *words),
                ("worker", "--once"),
                ("worker", "--once", "--json"),
                ("doctor",),
                ("notice", "list"),
                ("notice", "show", NOTICE),
                ("notice", "show", NOTICE, "--json"),
                ("window", "show", "critical/disk"),
                (*export, str(home.folder / "page.html")),
                (*export, str(home.folder / "case.json"), "--format", "json"),
                ("evidence", "verify"),
            )
        ]
        server.wait_closed()
        yield server, "".join(printed)


def everything_on_disk(home: Home) -> dict[str, bytes]:
    """Every file of the installation but the password's own."""
    files = [path for path in home.folder.rglob("*") if path.is_file() and path.name != "smtp.password"]
    return {str(path.relative_to(home.folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("server", SERVERS)
def test_a_password_shows_nowhere_whatever_the_server_does(home, server, caplog):
    caplog.set_level(logging.DEBUG)
    with told(home, SERVERS[server]) as (running, printed):
        assert any(CODED[1].encode() in bytes(each.inside) for each in running.conversations), "it was never used"
        assert not any(canary.encode() in bytes(each.clear) for each in running.conversations for canary in CANARIES)
        mails = [mail.data for mail in running.mails]
    files = everything_on_disk(home)
    assert {"maintsched.db", "page.html", "case.json"} <= files.keys()
    for canary in CANARIES:
        assert not [name for name, content in files.items() if canary.encode() in content]
        assert canary not in printed
        assert canary not in caplog.text
        assert not [data for data in mails if canary.encode() in data]


def test_a_password_is_no_argument_and_no_word_of_a_process_that_runs(home):
    """Whoever lists the processes of this machine sees their arguments, and root their environment as well."""
    seen = []

    def look(line: str) -> None:
        seen.append(Path("/proc/self/cmdline").read_bytes())

    with told(home, {"auth": look}):
        pass
    assert seen
    assert not [line for line in seen for canary in CANARIES if canary.encode() in line]
    options = {name for _, each in all_commands() for parameter in each.params for name in parameter.opts}
    assert not [name for name in options if "password" in name or "secret" in name]


def test_a_crash_in_the_midst_of_a_login_shows_no_password(home):
    """Not even what nobody foresaw, as Python prints it."""
    with smtp_server({"auth": Trouble.DROP}, tls=Tls.STARTTLS) as server:
        home.login(server)
        code = (
            "import maintsched.mail.connection as c\n"
            "async def broken(*_): raise RuntimeError('nobody foresaw this')\n"
            "c._Client.auth_plain = broken\n"
            "from maintsched.cli import main\n"
            f"main(['doctor', '--config', {str(home.path)!r}])\n"
        )
        done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False)
    assert "nobody foresaw this" in done.stderr + done.stdout
    assert not [canary for canary in CANARIES if canary in done.stdout + done.stderr]


# --- the words of a server --------------------------------------------------------------------------------------------

STEPS = ("connect", "ehlo", "auth", "mail", "rcpt", "data", "dot")


@pytest.mark.parametrize("code", ["450", "550"])
@pytest.mark.parametrize("step", STEPS)
def test_no_terminal_and_no_page_obeys_the_words_of_a_server(home, step, code):
    with told(home, {step: f"{code} {HOSTILE}"}) as (_, printed):
        pass
    assert_calm(printed)
    assert "pwned" in printed or step in ("connect", "ehlo", "auth")
    page, case = ((home.folder / name).read_text() for name in ("page.html", "case.json"))
    assert_calm(page)
    assert_calm(case)
    assert "<script" not in page
    texts = [each for entry in json.loads(case)["journal"]["entries"] for each in map(str, entry["data"].values())]
    assert all(text.isprintable() for text in texts)


def test_an_accepting_server_forges_no_line_either(home):
    with told(home, {"dot": f"250-{HOSTILE}\n250-Error: forged\n250 2026-11-23T08:00:00Z  9 accepted"}) as (_, printed):
        pass
    assert_calm(printed)
    assert not [line for line in printed.splitlines() if line.startswith(("Error: forged", "2026-11-23T08:00:00Z  9"))]
    page = (home.folder / "page.html").read_text()
    assert_calm(page)
    assert "pwned" in page  # the words are evidence: shown, and only shown
    assert "<script" not in page


def assert_calm(text: str) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", text)  # our own colours
    assert not {each for each in shown if not each.isprintable()} - set("\n\xa0\u202f"), text[-500:]

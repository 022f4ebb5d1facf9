"""A canary: a password that is used shows nowhere, and the words of a hostile mail server do nothing anywhere."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from maintsched.mail.settings import Tls
from tests.installations import NOW, PASSWORD, Home
from tests.installations import alone as alone
from tests.installations import home as home
from tests.installations import installed as installed
from tests.smtp_servers import Script, SmtpServer, Trouble, smtp_server

START = "2026-12-08 19:00"
USER = "maint"
CODED = [base64.b64encode(each.encode()).decode().rstrip("=") for each in (PASSWORD, f"\0{USER}\0{PASSWORD}")]
CANARIES = (PASSWORD, *CODED, PASSWORD.encode().hex())
HOSTILE = "5.7.1 no\x1b]0;pwned\x07\x1b[2J\x9b31m\x00\u202e =?utf-8?q?=0ABcc: e@x?= <script>alert(1)</script> =1+1"
FORGED = "\nError: forged\n2026-11-23T08:00:00Z  9 accepted"
SERVERS: dict[str, Script] = {
    "a good server": {},
    "a wrong password": {"auth": f"535 5.7.8 {PASSWORD} is not the password of {USER}"},
    "a server that repeats what it was told": {"auth": lambda line: f"535 5.7.8 cannot read {line}"},
    "a server that hangs up": {"auth": Trouble.DROP},
    "a server that talks nonsense": {"auth": "what?"},
    "a server that refuses the mail": {"dot": f"554 5.7.1 your password {PASSWORD} is known to us"},
}


def command(home: Home, *words: str, environ: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command as anybody would: a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAINTSCHED_")}
    now = [] if words[:2] in (("evidence", "verify"), ("fleet", "list")) else ["--now", NOW.isoformat()]
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-m", "maintsched", *words, *now],
        env={**kept, "MAINTSCHED_CONFIG": str(home.path), "PYTHONASYNCIODEBUG": "1", **(environ or {})},
        cwd=home.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@contextmanager
def told(home: Home, script: Script, environ: dict[str, str] | None = None) -> Iterator[tuple[SmtpServer, list[str]]]:
    """Announce a window, let the worker tell of it, and look at everything; give what was printed."""
    with smtp_server(script, tls=Tls.STARTTLS) as server:
        password = home.login(server)
        if environ:
            password.unlink()
            home.path.write_text(home.path.read_text().replace('password_file = "smtp.password"', ""))
        words = ("--start", START, "--duration", "2h", "--instances", "acme-prod", "--reason", "x", "--key", "disk")
        export = ("evidence", "export", "acme-prod", "--month", "2026-11", "--output")
        done = [
            command(home, *each, environ=environ)
            for each in (
                ("window", "announce", "critical", *words),
                ("worker", "--once"),
                ("worker", "--once", "--json"),
                ("doctor",),
                ("notice", "list"),
                ("window", "show", "critical/disk"),
                (*export, "page.html"),
                (*export, "case.json", "--format", "json"),
                ("evidence", "verify"),
            )
        ]
        server.wait_closed()
        yield server, [each.stdout + each.stderr for each in done]


def everything_on_disk(home: Home) -> dict[str, bytes]:
    """Every file of the installation but the password's own."""
    files = [path for path in home.folder.rglob("*") if path.is_file() and path.name != "smtp.password"]
    return {str(path.relative_to(home.folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("server", SERVERS)
def test_a_password_shows_nowhere_whatever_the_server_does(home, server):
    with told(home, SERVERS[server]) as (running, printed):
        assert any(CODED[1].encode() in bytes(each.inside) for each in running.conversations), "it was never used"
        assert not any(canary.encode() in bytes(each.clear) for each in running.conversations for canary in CANARIES)
        mails = [mail.data for mail in running.mails]
    files = everything_on_disk(home)
    assert {"maintsched.db", "page.html", "case.json"} <= files.keys()
    for canary in CANARIES:
        assert not [name for name, content in files.items() if canary.encode() in content]
        assert not [text for text in printed if canary in text]
        assert not [data for data in mails if canary.encode() in data]

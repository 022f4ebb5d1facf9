"""Installations as `maintsched init` makes them, and a mail server on this machine, for tests of what needs both."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from click.testing import CliRunner

import maintsched as ms
from maintsched.cli.checks import Examination, Finding, Verdict
from maintsched.cli.doctor import CHECKS, findings
from maintsched.cli.init import SAMPLES, init
from maintsched.store import open_store
from maintsched.store.fleets import write_fleet
from tests.smtp_servers import authority_file

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
CONTRACT = ms.load_contract()
FLEET, _ = ms.load_fleet(CONTRACT, SAMPLES / "fleet.toml")
PASSWORD = "kanarienvogel-7f3a"
SAMPLE = (SAMPLES / "maintsched.toml").read_text(encoding="utf-8")


class Sink:
    """Takes every mail and keeps it; lets in whoever knows the password."""

    def __init__(self):
        self.mails, self.logins = [], []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - named by aiosmtpd
        self.mails.append(envelope.content)
        return "250 2.0.0 queued"

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append(data)
        right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False)


class Server(Controller):
    """aiosmtpd on a port that nobody else has."""

    def __init__(self, sink, **options):
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        super().__init__(sink, hostname="127.0.0.1", port=port, authenticator=sink.authenticate, **options)

    def _create_server(self):
        return self.loop.create_server(self._factory_invoker, sock=self.listener)


@contextmanager
def mail_server(**options) -> Iterator[tuple[Server, Sink]]:
    sink = Sink()
    server = Server(sink, **options)
    server.start()
    try:
        yield server, sink
    finally:
        server.stop()


class Home:
    """An installation with the sample fleet in its database, for a mail server on this machine."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "maintsched.toml"
        self.url = f"sqlite:///{folder}/maintsched.db"

    def mail_lines(self, *lines, host="127.0.0.1", tls="none"):
        """Write a configuration whose [mail] has these lines."""
        own = "\n".join([f'host = "{host}"', f'tls = "{tls}"', "timeout_seconds = 5", *lines])
        self.path.write_text(SAMPLE.replace('host = "mail.example.org"', own).replace("example.org", "acme-hosting.de"))

    def login(self, server, *lines) -> Path:
        """Write a configuration with a login; return the file of the password."""
        password = self.folder / "smtp.password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        ca = f'ca_file = "{authority_file(self.folder)}"'
        own = (f"port = {server.port}", 'user = "maint"', 'password_file = "smtp.password"', ca, *lines)
        self.mail_lines(*own, tls="starttls")
        return password

    def keep(self, fleet):
        with open_store(self.url) as store, store.writing() as connection:
            write_fleet(connection, fleet)

    def execute(self, *statements):
        with open_store(self.url) as store, store.writing() as connection:
            for statement in statements:
                connection.execute(statement)

    def findings(self, now=NOW) -> list[Finding]:
        """Return what every check finds."""
        with closing(Examination(config_file=str(self.path), now=now)) as examination:
            return list(findings(examination))

    def told(self, name, now=NOW) -> list[Finding]:
        """Return what one check finds."""
        (check,) = [each for each in CHECKS if each.name == name]
        with closing(Examination(config_file=str(self.path), now=now)) as examination:
            return list(check.findings(examination))

    def found(self, name, now=NOW) -> Finding:
        """Return the worst that one check finds."""
        return worst(self.told(name, now))


def worst(told: list[Finding]) -> Finding:
    order = list(Verdict)
    return max(told, key=lambda each: order.index(each.verdict))


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Nothing of whoever runs the tests takes part in them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("MAINTSCHED_CONFIG", "MAINTSCHED_SMTP_PASSWORD", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """An installation to copy: making one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("installed") / "home"
    made = CliRunner().invoke(init, ["--now", NOW.isoformat(), str(folder)])
    assert made.exit_code == 0, (made.output, made.exception)
    home = Home(folder)
    home.mail_lines()
    home.keep(FLEET)
    return folder


@pytest.fixture
def home(installed, tmp_path) -> Home:
    return Home(Path(shutil.copytree(installed, tmp_path / "home")))

"""An operator's desk: an installation with a small fleet, the commands, and passes whose mails a recorder takes.

from tests.desks import desk, empty_desk  # fixtures
"""

import asyncio
import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import maintsched as ms
from maintsched.cli import main
from maintsched.fleet import Customer, Fleet, Language
from maintsched.intake.config import load_config
from maintsched.journal import Entry
from maintsched.mail.outcomes import Outgoing
from maintsched.store import open_store
from maintsched.store.evidence import chains, entries_of
from maintsched.store.fleets import write_fleet
from maintsched.store.outbox import StoredNotice, read_notices
from maintsched.testing import FrozenClock, RecordingMailer
from maintsched.worker.heads import begin_epoch
from maintsched.worker.house import House
from maintsched.worker.tick import TickReport, tick
from tests.houses import FLEET, NOW, contact, instance

CONTRACT = ms.load_contract()
CONFIG = """\
fleet = "fleet.toml"

[mail]
host = "127.0.0.1"
port = {port}
tls = "none"
sender = "wartung@hosting.example"
{mail}
[provider]
name = "Example Hosting"
domain = "hosting.example"
contact = "support@hosting.example"

[worker]
heartbeat_file = "heartbeat.json"
"""


@dataclass
class Desk:
    """A folder with configuration and database, and what a test does there."""

    folder: Path
    mailer: RecordingMailer

    @property
    def config(self) -> Path:
        return self.folder / "maintsched.toml"

    def configure(self, port: int = 9, *mail: str) -> None:
        """Write the configuration: the port of the mail server, and more lines of [mail]."""
        text = CONFIG.format(port=port, mail="\n".join(mail))
        self.config.write_text(text, encoding="utf-8")

    def run(self, *words: str, now: datetime | None = NOW, code: int = 0, **how) -> Result:
        """Run a command line at `now`, and check how it ends."""
        at = [] if now is None else ["--now", now.isoformat()]
        result = CliRunner().invoke(
            main, [*words, *at, "--config", str(self.config)], prog_name="maintsched", catch_exceptions=False, **how
        )
        assert result.exit_code == code, result.output
        return result

    def json(self, *words: str, now: datetime | None = NOW, code: int = 0):
        return json.loads(self.run(*words, "--json", now=now, code=code).stdout)

    def refused(self, *words: str, now: datetime | None = NOW, code: int = 1) -> str:
        """Run a command that is refused; return its one line."""
        result = self.run(*words, now=now, code=code)
        assert result.stdout == ""
        (line,) = [each for each in result.stderr.splitlines() if each.startswith("Error: ")]
        assert code == 2 or result.stderr == f"{line}\n"
        return line.removeprefix("Error: ")

    def house(self, now: datetime) -> House:
        config = load_config(str(self.config))
        house = House(contract=CONTRACT, config=config, store=open_store(config.database), clock=FrozenClock(now))
        house.mailer = self.mailer
        return house

    def tick(self, now: datetime = NOW) -> TickReport:
        """Make a pass whose mails the recorder takes."""
        with self.house(now) as house:
            return asyncio.run(tick(house, now=now))

    def sent(self, now: datetime = NOW) -> dict[str, Outgoing]:
        """Make a pass; return the mails it sent, by key."""
        self.mailer.mails.clear()
        self.tick(now)
        return {mail.key: mail for mail in self.mailer.mails}

    def keep(self, fleet: Fleet) -> None:
        with open_store(f"sqlite:///{self.folder}/maintsched.db") as store, store.writing() as connection:
            write_fleet(connection, fleet)

    def notices(self, subject: str | None = None) -> list[StoredNotice]:
        with self.house(NOW) as house, house.store.reading() as connection:
            return read_notices(connection, subjects=None if subject is None else {subject})

    def entries(self) -> list[Entry]:
        with self.house(NOW) as house, house.store.reading() as connection:
            return [entry for chain in chains(connection) for entry in entries_of(connection, chain)]


def crowd(count: int) -> Fleet:
    """A fleet of many customers, each with one person and one instance."""
    return Fleet(
        customers=tuple(
            Customer(
                key=f"c{number}",
                name=f"Customer {number}",
                language=Language.EN,
                package="starter",
                contacts=(contact(f"p{number}"),),
                instances=(instance(f"i{number}"),),
            )
            for number in range(count)
        )
    )


@pytest.fixture
def desk(migrated_file, tmp_path, monkeypatch) -> Desk:
    """A desk with the fleet of tests/houses.py, whose mail server does not answer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("MAINTSCHED_CONFIG", "MAINTSCHED_SMTP_PASSWORD", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    shutil.copy(migrated_file, folder / "maintsched.db")
    made = Desk(folder=folder, mailer=RecordingMailer())
    made.configure()
    with open_store(f"sqlite:///{folder}/maintsched.db") as store, store.writing() as connection:
        begin_epoch(connection, NOW)
    made.keep(FLEET)
    return made

"""`maintsched demo`: the whole story in a minute, with a real database and a real mail server on this machine."""

import json
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import click

from maintsched.cli.options import now_option, present
from maintsched.contract import Contract
from maintsched.errors import FileError

FOLDER = "maintsched-demo"
WRITTEN = (
    "mail/[0-9]*.eml",
    "*.html",
    "fleet.toml",
    "heartbeat.json",
    "maintsched.db*",
    "maintsched.toml",
)
"""What a demo leaves; the configuration, by which it is known again, goes last."""
CONFIG = """\
# Written by `maintsched demo`. `maintsched init` writes one that explains every key.

contract = "intrexx-paas"
fleet = "fleet.toml"
database = "maintsched.db"

[mail]                                 # the mail server of the demo, on this machine
host = "127.0.0.1"
port = {port}
tls = "none"
sender = "wartung@hosting.example"
reply_to = "support@hosting.example"
bounce = "bounces@hosting.example"

[provider]
name = "Example Hosting"
domain = "hosting.example"
contact = "support@hosting.example"

[worker]
heartbeat_file = "heartbeat.json"

[runs]
at_once = 20
per_customer = 4
patience_seconds = 30

[executor.apt]                         # every host of the sample fleet is this machine, and nothing is changed on it
transport = "local"
parts = {{ linux = "fake", intrexx = "fake" }}
reboot = []

[executor.apt.settings.local]
hosts = [{hosts}]
jobs = "{jobs}"

[executor.apt.settings.fake]           # pretends: it runs `true`, and remembers what it "installed"
backup = true
mark = "{jobs}/done-"
"""
HOSTS = 17


@click.command()
@click.argument("folder", metavar="DIR", default=FOLDER)
@now_option
def demo(folder: str, now: str | None) -> None:
    """Play three months of a sample fleet in seconds: plan, announce, move, cancel, tell, update, prove.

    Leaves DIR/mail/*.eml, DIR/plan.html, DIR/evidence.html, and a configuration and a database to go on with. DIR must
    be new, or the folder of an earlier demo.

    \b
    Example:
      maintsched demo
    """
    from maintsched.intake.contracts import load_contract

    contract = load_contract()
    start = _beginning(contract, present(contract, now))
    home = _fresh(Path(folder))
    with _sink(home / "mail") as port:
        _write(home / "maintsched.toml", _config(home, port))
        _write(home / "fleet.toml", resources.files("maintsched.cli.samples").joinpath("demo.toml").read_text("utf-8"))
        _make_database(home, start)
        _Story(home, contract, start).tell()
    mails = sorted((home / "mail").glob("*.eml"))
    click.secho(f"\nDone. {len(mails)} mails went through the mail server; look at these:", bold=True)
    for name in ("mail/", "plan.html", "evidence.html", "maintsched.toml", "maintsched.db"):
        click.echo(f"  {home / name}")
    click.echo(f"Go on with: MAINTSCHED_CONFIG={shlex.quote(str(home / 'maintsched.toml'))} maintsched window list")


def _config(home: Path, port: int) -> str:
    """Return the configuration of the demo. A name in it is written as TOML does, whatever the folder is called."""
    hosts = ", ".join(f'"host-{number:02}.hosting.example"' for number in range(1, HOSTS + 1))
    jobs = json.dumps(str(home.resolve() / "jobs"), ensure_ascii=False)[1:-1]
    return CONFIG.format(port=port, hosts=hosts, jobs=jobs)


def _next_reminder(contract: Contract, at: datetime) -> tuple[str, datetime]:
    """Return the id of the next monthly window, and when its reminder goes out."""
    from maintsched.deadlines import notice_deadline, send_at
    from maintsched.windows import next_window

    window = next_window(contract, at)
    return window.id, send_at(contract, notice_deadline(contract, window.kind, window.start).at)


def _beginning(contract: Contract, now: datetime) -> datetime:
    """Return when the story begins: now, or after the next monthly window where its reminder would be due meanwhile."""
    from maintsched.windows import next_window

    _, goes_out = _next_reminder(contract, now)
    if goes_out > now + timedelta(days=2):
        return now.astimezone(contract.zone)
    after = next_window(contract, now).start.astimezone(contract.zone) + timedelta(days=1)
    return after.replace(hour=10, minute=0, second=0, microsecond=0)


class _Story:
    """What happens in the demo, as commands that anybody could type."""

    def __init__(self, home: Path, contract: Contract, start: datetime) -> None:
        self._home = home
        self._contract = contract
        self._zone = contract.zone
        self._at = start

    def tell(self) -> None:
        """Tell the story from beginning to end."""
        start = self._at
        click.echo(f"The story begins on {start:%Y-%m-%d} at {start:%H:%M} ({self._zone}), on a clock of its own.")
        self._say("A fleet of twelve customers, in two languages, goes into the database")
        self._run("fleet", "sync", "--yes")
        self._say("The coming quarter: windows, when their reminders go out and are due, what goes in")
        self._run("plan", "--months", "3")
        self._run("plan", "--months", "3", "--format", "html", into="plan.html")
        self._say("A critical window too near to be told in time is refused, with the earliest possible start")
        self._announce("critical", start + timedelta(hours=20), "birch-prod", "replace a failing disk", refused=True)
        self._say("The same window, far enough ahead: two customers are told")
        disk = self._whole_hour(start + timedelta(days=6), 19)
        self._announce("critical", disk, "birch-prod,cedar-prod", "replace a failing disk", "--key", "disk")
        self._say("Another one, for a customer who reads German, with two people who have to be told")
        network = self._whole_hour(start + timedelta(days=8), 20)
        self._announce("critical", network, "ahorn-prod,ahorn-test", "neuer Netzwerk-Switch", "--key", "switch")
        self._say("The worker makes a pass: mails go out over SMTP, each acceptance is evidence")
        self._run("worker", "--once")
        self._changes(disk)
        self._larger_update()
        window = self._reminder()
        self._work(window)
        self._proof(disk)

    def _changes(self, disk: datetime) -> None:
        """Move one window, cancel another, announce an emergency."""
        self._at += timedelta(days=1)
        self._say("A day later the disk window has to move: those who were told are told, and nobody else")
        later = self._whole_hour(disk + timedelta(days=2), 18)
        self._run("window", "move", "critical/disk", "--start", f"{later:%Y-%m-%d %H:%M}")
        self._say("And the network switch is not needed after all")
        self._run("window", "cancel", "critical/switch", "--reason", "der alte Switch ließ sich reparieren")
        self._run("worker", "--once")
        self._say("An emergency: told at once, and it says what it costs of the month's 99.5 %")
        soon = self._at + timedelta(hours=3)
        self._announce(
            "emergency",
            soon,
            "eiche-prod",
            "eine Lücke der Anmeldeseite schließen",
            "--why-short",
            "sie wird bereits ausgenutzt",
        )
        self._run("worker", "--once")

    def _larger_update(self) -> None:
        """Enter a larger release; one customer gets it later."""
        self._say("A larger release comes out; a customer would rather have it later, which the contract allows once")
        self._run("release", "add", "12.1.0", "--class", "major", "--changes", "new search", "--estimate", "45min")
        until = self._at + timedelta(days=120)
        self._run("defer", "birch-prod", "12.1.0", "--until", f"{until:%Y-%m-%d}")
        self._say("Later than half a year is refused, with the limit")
        beyond = self._at + timedelta(days=400)
        self._run("defer", "cedar-prod", "12.1.0", "--until", f"{beyond:%Y-%m-%d}", refused=True)

    def _reminder(self) -> str:
        """Let the worker remind of the next monthly window; return its id."""
        self._say("The monthly reminder goes out by itself when its time has come, at least 7 days ahead")
        window, goes_out = _next_reminder(self._contract, self._at)
        self._at = goes_out + timedelta(minutes=1)
        self._run("worker", "--once")
        self._run("worker", "--once")
        self._run("window", "list")
        self._say("Why is that window when it is, and until when had it to be told?")
        self._run("explain", window)
        return window

    def _work(self, window: str) -> None:
        """Let the worker do its work in the window: dev, then test, then prod, where the notice is proved."""
        from maintsched.windows import schedule

        opens = schedule(self._contract).window(window)
        assert opens is not None  # noqa: S101 - the reminder was of it
        run = f"run/{window.replace('/', ':')}/birch-prod"
        self._say("The day before: why may no work begin yet?")
        self._at = opens.start - timedelta(days=1)
        self._run("run", "show", run)
        self._say("The window opens: updates run where the notice is proved, wave after wave (here they only pretend)")
        self._at = opens.start + timedelta(minutes=1)
        self._run("worker", "--once")
        self._run("run", "list", "--window", window, "--instance", "birch-prod")
        self._run("run", "show", run)

    def _proof(self, disk: datetime) -> None:
        """Look at the evidence."""
        self._say("The proof: who was told what, when, by which server's word; and that nobody changed it since")
        month = f"{disk:%Y-%m}"
        self._run("evidence", "export", "birch-prod", "--month", month, into="evidence.html")
        self._run("evidence", "verify")

    def _announce(
        self, kind: str, start: datetime, instances: str, reason: str, *more: str, refused: bool = False
    ) -> None:
        when = f"{start.astimezone(self._zone):%Y-%m-%d %H:%M}"
        self._run(
            "window",
            "announce",
            kind,
            "--start",
            when,
            "--duration",
            "2h",
            "--instances",
            instances,
            "--reason",
            reason,
            *more,
            refused=refused,
        )

    def _whole_hour(self, at: datetime, hour: int) -> datetime:
        return at.astimezone(self._zone).replace(hour=hour, minute=0, second=0, microsecond=0)

    @staticmethod
    def _say(text: str) -> None:
        click.secho(f"\n== {text}", bold=True)

    def _run(self, *words: str, into: str | None = None, refused: bool = False) -> None:
        """Show a command and run it; what it prints may go into a file. A refusal that is expected is shown."""
        from maintsched.cli import main

        target = "" if into is None else f" > {into}"
        click.secho(f"$ maintsched {shlex.join(words)}{target}", fg="cyan")
        given = [*words, *([] if words[:2] == ("evidence", "verify") else ["--now", self._at.isoformat()])]
        given += ["--config", str(self._home / "maintsched.toml")]
        if sys.stdout is not None:
            sys.stdout.flush()
        with _into(None if into is None else self._home / into):
            code = _exit_code(main, given)
        if refused != (code == 1) or code not in (0, 1):
            raise click.ClickException(
                f"the demo expected another end of: maintsched {shlex.join(words)} (exit {code})"
            )


def _exit_code(main: Any, words: list[str]) -> int:
    try:
        main.main(args=words, prog_name="maintsched", standalone_mode=True)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@contextmanager
def _into(path: Path | None) -> Iterator[None]:
    """Lead what is printed into a file."""
    if path is None:
        yield
        return
    before = sys.stdout
    with path.open("w", encoding="utf-8", newline="") as file:
        sys.stdout = file
        try:
            yield
        finally:
            sys.stdout = before


@contextmanager
def _sink(folder: Path) -> Iterator[int]:
    """Run a mail server on loopback that keeps every mail as a file; give its port."""
    from aiosmtpd.controller import Controller

    folder.mkdir(exist_ok=True)
    listener = socket.create_server(("127.0.0.1", 0))  # a port that is free
    port = int(listener.getsockname()[1])

    class Keep:
        count = 0

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
            """Keep a mail under the next number."""
            Keep.count += 1
            (folder / f"{Keep.count:03d}-{envelope.rcpt_tos[0]}.eml").write_bytes(envelope.original_content)
            return f"250 2.0.0 Ok: queued as {Keep.count:03d}"

    class Sink(Controller):
        def _create_server(self) -> Any:
            return self.loop.create_server(self._factory_invoker, sock=listener)

    controller = Sink(Keep(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def _fresh(folder: Path) -> Path:
    """Return a new folder; of an earlier demo what it wrote is removed, any other folder is left alone."""
    config = folder / "maintsched.toml"
    try:
        if folder.exists() and any(folder.iterdir()):
            ours = config.is_file() and "maintsched demo" in config.read_text("utf-8")[:200]
            if not ours or (folder / "mail").is_symlink():  # behind a link lies what is not ours to remove
                found = "one with other files in it"
                raise FileError(
                    str(folder), line=None, key=None, expected="a new folder, or an old demo's", found=found
                )
            for pattern in WRITTEN:
                for path in folder.glob(pattern):
                    path.unlink()
            if (folder / "jobs").is_dir() and not (folder / "jobs").is_symlink():
                shutil.rmtree(folder / "jobs")  # a job of the same name would not be started again
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        found = str(error.strerror).lower()
        raise FileError(str(folder), line=None, key=None, expected="a folder to write to", found=found) from error
    return folder


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _make_database(home: Path, now: datetime) -> None:
    from maintsched.intake.config import load_config
    from maintsched.store import open_store
    from maintsched.worker.heads import begin_epoch

    config = load_config(str(home / "maintsched.toml"))
    with open_store(config.database, create=True) as store, store.writing() as connection:
        begin_epoch(connection, now)

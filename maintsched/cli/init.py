"""`maintsched init`: a folder to begin with: configuration, sample fleet, a place for templates, the database."""

import os
import shlex
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import click

from maintsched.cli.configured import open_configured
from maintsched.cli.options import now_option, present
from maintsched.intake.config import NAME, Config

SAMPLES = Path(str(files("maintsched.cli") / "samples"))
WRITTEN = ("fleet.toml", NAME, "notices/README.md")


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
@now_option
def init(folder: str, now: str | None) -> None:
    """Make a folder to begin with: configuration, sample fleet, a place for mail templates, the database.

    DIR is made if it is not there; left out, it is the current folder. Nothing that is there already is overwritten, so
    that the command may be given again: it makes what is missing and brings the database up to date.

    \b
    Example:
      maintsched init /srv/maintsched
    """
    home = Path(os.path.abspath(folder))  # noqa: PTH100 - a link keeps the name that people know
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, made in write_samples(home):
        click.echo(f"{'wrote' if made else 'left as it is'}  {path}")
    config, contract = open_configured(str(home / NAME))
    click.echo(f"ready  {make_database(config, now=present(contract, now))}")
    click.echo("\n".join(next_steps(home)))


def write_samples(home: Path) -> Iterator[tuple[Path, bool]]:
    """Write each sample file that is not there yet; say of each whether it was written."""
    for name in WRITTEN:
        path = home / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        yield path, _write_new(path, (SAMPLES / name).read_bytes())


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file that only its owner may read, unless something of that name, a dead link too, is there."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError:  # half a file would be left as it is the next time
        path.unlink()
        raise
    return True


def make_database(config: Config, *, now: datetime) -> str:
    """Make the database, or bring it to the schema of this version; return what people call it.

    A new one begins an epoch, and the heads of its chains are kept outside it from then on (law 11).
    """
    from maintsched.errors import StoreError
    from maintsched.store import open_store
    from maintsched.store.engine import shown
    from maintsched.store.tables import EPOCH, read_meta
    from maintsched.worker.heads import begin_epoch, heads_path, keep_heads

    with open_store(config.database, create=True) as store:
        with store.writing() as connection:
            if read_meta(connection, EPOCH) is None:
                begin_epoch(connection, now)
        path = heads_path(config)
        faults = keep_heads(store, path)
        if faults:
            what = f"{path}: {faults[0].what}"
            raise StoreError(f"{what}; `maintsched evidence verify` tells more, and what to do with a restored copy")
        return shown(store.engine.url)


def next_steps(home: Path) -> Iterator[str]:
    """Say what to do next, as commands that can be copied."""
    program = shlex.quote(str(_program()))
    config = shlex.quote(str(home / NAME))
    yield ""
    yield "Next:"
    yield f"  1. set host, sender and provider in   {home / NAME}"
    yield f"     and your customers in              {home / 'fleet.toml'}"
    yield f"  2. export MAINTSCHED_CONFIG={config}"
    yield "  3. maintsched doctor                  checks everything and says what to do"
    yield "  4. maintsched fleet sync              reads the fleet into the database"
    yield "  5. maintsched worker --once           one pass: tells whoever is to be told now"
    yield "  6. a pass every five minutes, by crontab -e:"
    line = f"*/5 * * * * MAINTSCHED_CONFIG={config} {program} worker --once"
    yield f"     {line.replace('%', chr(92) + '%')}"  # cron reads a bare % as the end of the line


def _program() -> Path:
    """Return the command as cron, which knows no search path of ours, has to call it."""
    beside = Path(sys.executable).with_name("maintsched")
    return beside if beside.exists() else Path(sys.argv[0]).resolve()

"""Brings a database to the schema of this version, step by step: each migration commits alone, or not at all.

Any number of processes may do so at once. Each step takes the write lock first and only then looks which step is due,
so that one process makes it and the others find it made.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

from maintsched.errors import StoreError
from maintsched.store.engine import other_schema, schema_of, shown

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).with_name("migrations")
_LOCK = 0x6D61696E74  # "maint": the number of the advisory lock that keeps migrations apart on PostgreSQL
_TRIES, _PAUSE_SECONDS = 600, 0.05


def upgrade(engine: Engine) -> None:
    """Make every migration that the database lacks; a database of a newer version is refused and left alone."""
    if engine.dialect.name == "sqlite":
        _write_ahead(engine)
    while _step(engine):
        pass


def current(engine: Engine) -> str | None:
    """Return the revision of the schema in the database, None where there is none yet."""
    with engine.connect() as connection:
        return schema_of(connection)


def pending(engine: Engine) -> tuple[str, ...]:
    """Return the revisions that the database lacks, the next one first."""
    return _after(current(engine), engine)


def known() -> tuple[str, ...]:
    """Return all revisions, the first one first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())[::-1]


def _step(engine: Engine) -> bool:
    """Make the next migration; say whether there was one."""
    from alembic import command

    with engine.connect() as connection:
        writing = connection.execution_options(maintsched_writes=True)
        with writing.begin():
            if engine.dialect.name == "postgresql":
                writing.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            missing = _after(schema_of(writing), engine)
            if missing:
                config = _config()
                config.attributes["connection"] = writing
                command.upgrade(config, missing[0])
    return bool(missing)


def _after(revision: str | None, engine: Engine) -> tuple[str, ...]:
    """Return the revisions that come after one."""
    revisions = known()
    if revision is None:
        return revisions
    if revision not in revisions:
        raise other_schema(engine.url, revision)
    return revisions[revisions.index(revision) + 1 :]


def _write_ahead(engine: Engine) -> None:
    """Let SQLite keep a write-ahead log; the file remembers it.

    Where another process switches at the same moment, SQLite refuses instead of waiting, so all waiting is done here.
    """
    for _ in range(_TRIES):
        try:
            with closing(sqlite3.connect(str(engine.url.database), timeout=0)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.DatabaseError as error:
            if "locked" not in str(error):
                raise StoreError(f"database {shown(engine.url)}: {error}") from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    raise StoreError(f"database: {shown(engine.url)} is in use by other programs; end them and try again")


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config

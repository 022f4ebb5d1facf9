"""Opens the database: SQLite in a file of its owner's, or PostgreSQL by URL; durable, and of the schema we know."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError, StatementError

from maintsched.errors import MaintschedError, StoreError, printable, show

SCHEMA = "0003"
"""The revision of the schema that this version reads and writes."""
BUSY_SECONDS = 30
"""How long a writer waits for another one on SQLite."""
CONNECT_SECONDS = 10
"""How long a server may take to answer."""
_FULL = 2
_WRITES = {"maintsched_writes": True}
_WRITER = 0x6D61696E74
"""Name of the lock that whoever writes holds on PostgreSQL."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
"""The drivers that a URL may name, and the one that is used."""


class Store:
    """A database that is open. Work is done in transactions: `reading()` and `writing()`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database, else None."""
        name = self.engine.url.database
        return Path(name) if self.dialect == "sqlite" and name else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database, whatever is committed meanwhile."""
        steady: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with _spoken(self.engine.url), self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(**steady)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose changes are committed together, or not at all when an error leaves the block.

        There is one writer at a time, so that chains and threads are continued by one hand.
        """
        with _spoken(self.engine.url), self.engine.connect() as connection:
            changing = connection.execution_options(**_WRITES)
            with changing.begin():
                self._wait_for_my_turn(changing)
                yield changing

    @contextmanager
    def trying(self) -> Iterator[Connection]:
        """Give a connection whose changes are undone at the end: to see what something would do."""
        with _spoken(self.engine.url), self.engine.connect() as connection:
            changing = connection.execution_options(**_WRITES)
            transaction = changing.begin()
            try:
                self._wait_for_my_turn(changing)
                yield changing
            finally:
                transaction.rollback()

    def _wait_for_my_turn(self, connection: Connection) -> None:
        """Wait until no other transaction writes; SQLite has done so when it began."""
        if self.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER})

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_store(url: str, *, create: bool = False) -> Store:
    """Return the store at `url`: `sqlite:///path` or `postgresql+psycopg://…`.

    `create` makes a database where there is none, and brings an older one to the schema of this version. Raises
    `StoreError` where it cannot be reached, is of another schema, or does not keep what it is told.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _prepare_file(parsed, create)
    with _spoken(parsed):
        engine = _engine(parsed)
        try:
            if create:
                from maintsched.store.migrate import upgrade

                upgrade(engine)
            _require_schema(engine)
            _require_durable(engine)
        except BaseException:
            engine.dispose()
            raise
    return Store(engine)


def _parse(url: str) -> URL:
    """Return the URL with the driver that is used. What cannot be read is not repeated: it may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            "database: expected a URL such as sqlite:///maintsched.db or postgresql://user@host/name, "
            "got one that cannot be read"
        ) from error
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise StoreError(f"database: expected sqlite or postgresql, got {show(parsed.drivername)}")
    if driver == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError("database: expected a file, so that what was promised outlives this process, got none")
    return parsed.set(drivername=driver)


def _prepare_file(url: URL, create: bool) -> None:
    """Make the file, its owner's alone before anything is written into it; refuse one that others may read."""
    path = Path(url.database or "")
    try:
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_file(path)
        if path.is_dir():
            raise StoreError(f"database: expected a file, got the folder {_quoted(path)}")
        if not path.is_file():
            raise StoreError(f"database: there is no {_quoted(path)}; `maintsched init` makes it")
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise StoreError(f"database: cannot open {_quoted(path)}: {error.strerror}") from error
    if mode & _OTHERS:
        raise StoreError(
            f"database: expected {_quoted(path)} to be its owner's alone (mode 0600), got {mode:04o}; "
            f"chmod 600 it, as it names people and what they were told"
        )


def _make_file(path: Path) -> None:
    """Make the file where there is none. One that is there is not even opened: closing it would free SQLite's locks."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def _quoted(path: Path) -> str:
    return printable(str(path))


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        try:
            return create_engine(url, pool_pre_ping=True, connect_args=_patience(url))
        except ImportError as error:
            wanted = "pip install 'maintsched[postgres]'"
            raise StoreError(f"database: PostgreSQL needs its driver: {wanted} ({error})") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _patience(url: URL) -> dict[str, Any]:
    return {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}


def _set_up_sqlite(connection: Any, _: object) -> None:
    """Leave transactions to us, and let every commit reach the disk before it returns."""
    connection.isolation_level = None
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what was erased does not stay in free pages
    except BaseException:
        connection.close()  # nobody else has seen it yet
        raise


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once where something will be written: a later upgrade could fail half way."""
    writes = connection.get_execution_options().get("maintsched_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def schema_of(connection: Connection) -> str | None:
    """Return the revision of the schema in the database, None where there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found


def _require_schema(engine: Engine) -> None:
    with engine.connect() as connection:
        found = schema_of(connection)
    if found is None:
        raise StoreError(f"database: {shown(engine.url)} holds no maintsched; `maintsched init` makes it")
    if found > SCHEMA or not found.isdecimal():
        raise other_schema(engine.url, found)
    if found < SCHEMA:
        raise StoreError(
            f"database: expected schema {SCHEMA} in {shown(engine.url)}, got the older {found}; "
            "`maintsched init` brings it up to date"
        )


def other_schema(url: URL, found: str) -> StoreError:
    """Return the error about a schema that this version does not know."""
    return StoreError(
        f"database: expected schema {SCHEMA} or older in {shown(url)}, got {show(found)}: "
        "a newer maintsched made it, or another program; use that one, or another database"
    )


def _require_durable(engine: Engine) -> None:
    """Refuse a database that may lose what it has committed."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
            durable = str(mode).lower() == "wal" and level == _FULL
            expected = "a write-ahead log and full synchronisation"
            found = f"journal_mode {mode}, synchronous {level}; `maintsched init` mends it"
        else:
            sync = connection.exec_driver_sql("SHOW fsync").scalar_one()
            commit = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
            durable = sync == "on" and commit != "off"
            expected = "a server that writes to disk what it commits"
            found = f"fsync {sync}, synchronous_commit {commit}"
    if not durable:
        raise StoreError(f"database: expected {expected} in {shown(engine.url)}, got {found}")


def shown(url: URL) -> str:
    """Return the URL as it may be shown: without a password, and without options, which may hold one."""
    if url.get_backend_name() == "sqlite":
        return printable(str(url.database))
    return printable(url.set(password=None, query={}).render_as_string())


@contextmanager
def _spoken(url: URL) -> Iterator[None]:
    """Say in one line what the database refuses. What a column type refused is said as the type says it."""
    try:
        yield
    except SQLAlchemyError as error:
        if isinstance(error, StatementError) and isinstance(error.orig, MaintschedError):
            raise error.orig from None
        raise StoreError(f"database {shown(url)}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return printable(lines[0]) if lines else type(error).__name__

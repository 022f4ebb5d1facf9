"""The schema: what the migrations make is what the rows say, on every database, however many make it at once."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from maintsched.errors import StoreError
from maintsched.store import migrate, open_store
from maintsched.store.engine import SCHEMA
from maintsched.store.rows import Row
from tests.databases import address, sqlite_store

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "database.md"
TABLES = sorted(Row.metadata.tables)
LATER = f"{int(SCHEMA) + 1:04}"
"""The schema of a version to come."""


def shape(engine: Engine) -> dict[str, Any]:
    """Everything that a database says of its tables."""
    seen = inspect(engine)
    return {
        table: {
            "columns": [
                (each["name"], str(each["type"]), each["nullable"], each["default"], each.get("autoincrement"))
                for each in seen.get_columns(table)
            ],
            "key": seen.get_pk_constraint(table),
            "indexes": sorted(index(each) for each in seen.get_indexes(table)),
            "unique": seen.get_unique_constraints(table),
            "checks": seen.get_check_constraints(table),
            "foreign": seen.get_foreign_keys(table),
        }
        for table in seen.get_table_names()
        if table != "alembic_version"
    }


def index(found: Any) -> tuple[str, ...]:
    """An index by name: its columns, whether it is unique, and of which rows."""
    options = {name: str(value) for name, value in found.get("dialect_options", {}).items()}
    return found["name"], str(found["column_names"]), str(bool(found["unique"])), str(options)


@pytest.fixture
def later(tmp_path, monkeypatch):
    """Migrations of a later version: `later(sql)` adds one that runs these statements."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder)

    def add(*statements: str) -> None:
        monkeypatch.setattr(migrate, "FOLDER", folder)
        lines = "".join(f"    op.execute({statement!r})\n" for statement in statements)
        (folder / "versions" / f"{LATER}_later.py").write_text(
            f"from alembic import op\nrevision = '{LATER}'\ndown_revision = '{SCHEMA}'\ndef upgrade():\n{lines}"
        )

    return add


# --- the migrations add up to the schema ----------------------------------------------------------------------------


def test_the_migrations_add_up_to_the_schema(store):
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Row.metadata) == []


def test_the_migrations_make_each_column_key_index_and_check_as_the_rows_do(store, tmp_path, request):
    if store.dialect == "sqlite":
        url = f"sqlite:///{tmp_path / 'rows.db'}"
    else:
        url = request.getfixturevalue("postgresql").empty()
    engine = create_engine(url)
    Row.metadata.create_all(engine)
    expected = shape(engine)
    engine.dispose()
    assert shape(store.engine) == expected
    assert sorted(expected) == TABLES


def test_the_version_knows_the_schema_that_its_migrations_end_in():
    assert migrate.known()[-1] == SCHEMA


def test_a_database_says_how_far_its_schema_is(database_url):
    with open_store(database_url, create=True) as store:
        assert migrate.current(store.engine) == SCHEMA
        assert migrate.pending(store.engine) == ()
        with store.writing() as connection:
            connection.execute(text("DROP TABLE alembic_version"))
        assert migrate.current(store.engine) is None
        assert migrate.pending(store.engine) == migrate.known()


def test_a_database_that_is_up_to_date_is_left_as_it_is(store):
    before = shape(store.engine)
    open_store(address(store), create=True).close()
    assert shape(store.engine) == before


def test_an_older_database_is_brought_up_to_date_and_keeps_what_it_holds(store, later):
    with store.writing() as connection:
        connection.execute(text("INSERT INTO meta VALUES ('kept', 'yes')"))
    later("ALTER TABLE meta ADD COLUMN note VARCHAR")
    assert migrate.pending(store.engine) == (LATER,)
    migrate.upgrade(store.engine)
    assert migrate.current(store.engine) == LATER
    with store.reading() as connection:
        assert connection.execute(text("SELECT * FROM meta")).all() == [("kept", "yes", None)]


def test_a_migration_that_fails_half_way_leaves_nothing_behind(store, later):
    before = shape(store.engine)
    later(
        "CREATE TABLE half (id INTEGER)", "INSERT INTO meta VALUES ('half', 'done')", "INSERT INTO nowhere VALUES (1)"
    )
    with pytest.raises(StoreError, match="nowhere"):
        open_store(address(store), create=True)
    assert shape(store.engine) == before
    assert migrate.current(store.engine) == SCHEMA


@pytest.mark.parametrize("create", [False, True])
def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(store, later, monkeypatch, create):
    later("CREATE TABLE novelty (id INTEGER)")
    migrate.upgrade(store.engine)
    monkeypatch.undo()
    before = shape(store.engine)
    refusal = rf'expected schema {SCHEMA} or older in .*, got "{LATER}": a newer maintsched'
    with pytest.raises(StoreError, match=refusal):
        open_store(address(store), create=create)
    assert shape(store.engine) == before


def test_an_older_database_is_not_opened_without_leave_to_change_it(store):
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(StoreError, match=r"got the older 0000; `maintsched init` brings it up to date"):
        open_store(address(store))


# --- many at once ---------------------------------------------------------------------------------------------------

OPEN_EACH = """
import sys
from maintsched.store import migrate, open_store
migrate.known()
print("ready", flush=True)
sys.stdin.readline()
for url in sys.argv[1:]:
    open_store(url, create=True).close()
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_may_make_the_same_database_at_once(kind, tmp_path, request):
    if kind == "sqlite":
        urls = [f"sqlite:///{tmp_path / f'{n}.db'}" for n in range(12)]
    else:
        server = request.getfixturevalue("postgresql")
        urls = [server.empty() for _ in range(4)]
    command = [sys.executable, "-W", "error", "-c", OPEN_EACH, *urls]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(2)]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [each.communicate(timeout=120)[1] for each in both]
    assert ([each.returncode for each in both], said) == ([0, 0], ["", ""])
    for url in urls:
        with open_store(url) as store:
            assert migrate.current(store.engine) == SCHEMA


@pytest.fixture
def in_use(tmp_path):
    """An empty database that another program writes into: until it is done, SQLite refuses to switch the journal."""
    path = tmp_path / "maintsched.db"
    path.touch(mode=0o600)
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    yield other
    other.close()


def test_a_database_that_another_program_is_busy_with_is_waited_for(in_use, tmp_path, monkeypatch):
    monkeypatch.setattr("maintsched.store.migrate.time.sleep", lambda _: in_use.rollback())
    with sqlite_store(tmp_path) as store:
        assert migrate.current(store.engine) == SCHEMA


def test_a_database_that_another_program_does_not_let_go_is_said_to_be_in_use(in_use, tmp_path, monkeypatch):
    monkeypatch.setattr("maintsched.store.migrate.time.sleep", lambda _: None)
    with pytest.raises(StoreError, match=r"maintsched.db is in use by other programs; end them and try again"):
        sqlite_store(tmp_path)


# --- the page -------------------------------------------------------------------------------------------------------


def documented() -> dict[str, list[tuple[str, str, str]]]:
    """The columns of each table on the page: name, type, and whether it may be empty."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n### `")[1:]:
        rows = re.findall(r"^\| (\*?)`(\w+)`\*? \| ([^|]+) \| ([^|]*) \| [^|]+ \|$", section, flags=re.MULTILINE)
        found[section.split("`")[0]] = [(key + name, kind.strip(), null.strip()) for key, name, kind, null in rows]
    return found


WORDS = {"String": "text", "Text": "text", "Instant": "instant", "JSON": "JSON", "Boolean": "boolean", "Date": "date"}


def declared(table: str) -> list[tuple[str, str, str]]:
    """The columns of a table as the rows have them, in the words of the page; a star marks the key."""
    found = []
    for column in Row.metadata.tables[table].columns:
        kind = type(column.type).__name__.removeprefix("Auto")
        word = WORDS.get(kind, "whole number" if "Integer" in kind else kind)
        found.append(("*" * column.primary_key + column.name, word, "yes" if column.nullable else "no"))
    return found


def test_the_page_on_the_database_names_each_table_and_no_other():
    assert sorted(documented()) == TABLES


@pytest.mark.parametrize("table", TABLES)
def test_the_page_on_the_database_explains_each_column_with_its_type(table):
    assert documented()[table] == declared(table)


def test_the_page_on_the_database_names_the_schema_it_describes():
    assert f"schema `{SCHEMA}`" in PAGE.read_text(encoding="utf-8")


# --- what the migrations need ---------------------------------------------------------------------------------------


def test_a_store_is_opened_without_loading_what_only_migrations_need(tmp_path):
    sqlite_store(tmp_path).close()
    code = (
        "import sys; from maintsched.store import open_store; open_store(sys.argv[1]).close(); "
        "sys.exit(','.join(sorted({'alembic', 'mako', 'psycopg', 'sqlmodel'} & set(sys.modules))))"
    )
    url = f"sqlite:///{tmp_path / 'maintsched.db'}"
    done = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.stderr.strip() == ""


def test_the_package_may_lie_in_a_folder_of_any_name(tmp_path, monkeypatch):
    folder = tmp_path / "100% odd: a;b" / "migrations"
    shutil.copytree(migrate.FOLDER, folder)
    monkeypatch.setattr(migrate, "FOLDER", folder)
    with sqlite_store(tmp_path) as store:
        assert migrate.current(store.engine) == SCHEMA

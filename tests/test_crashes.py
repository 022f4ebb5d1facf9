"""Killed anywhere, nothing is lost; what goes out twice was on its way, and both copies are the same."""

import pytest

from tests.crash_crowds import crowd
from tests.crash_runs import Stage
from tests.crashes import COMMITS, Kill, commits, points, random_kills
from tests.databases import room

SEED = 20261123
"""Of the random kills here; `make crash` takes another one each time and prints it."""
SLICE, EACH = 20, 5
ON_POSTGRESQL = (
    "smtp/taken",
    "maintsched.worker.announce.announce/after",
    "maintsched.worker.bounces.take_report/before",
    "maintsched.worker.dispatch.LocalDispatch._mails/after",
    "maintsched.worker.perform.write_marks/before",
    "maintsched.worker.perform.write_marks/after",
    "maintsched.worker.record.record_due/before",
    "maintsched.worker.restore.resume/after",
)


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    """Scenes on SQLite, in memory where there is some: what is tried here are processes that die, not disks."""
    with room(tmp_path_factory.mktemp("crashes")) as folder:
        yield Stage(folder)


@pytest.fixture(scope="session")
def other_stage(tmp_path_factory, postgresql):
    return Stage(tmp_path_factory.mktemp("crashes-postgresql"), postgresql)


def lawful(tale):
    assert not tale.broken, f"{tale.kill}: {tale.broken}"
    return tale


def test_every_commit_of_the_package_is_a_point_with_a_scene():
    assert commits() == set(COMMITS)


NEW = """
class Desk:
    async def note(self, store):
        with open_it() as other, store.writing() as connection:
            connection.execute(1)

def hand_on(store):
    return store.writing()

def user(store):
    with hand_on(store) as connection:
        connection.execute(1)

def reader(store):
    with store.reading() as connection:
        connection.execute(1)
"""


def test_a_new_function_that_commits_is_found_and_so_is_who_gets_its_transaction_elsewhere(tmp_path):
    package = tmp_path / "maintsched"
    (package / "store").mkdir(parents=True)
    (package / "store" / "engine.py").write_text("def own(engine):\n    with engine.begin():\n        pass\n")
    (package / "store" / "new.py").write_text(NEW)
    (package / "odd.py").write_text(
        "from sqlalchemy import Engine\n\ndef odd(engine):\n    engine.connect().commit()\n"
    )
    assert commits(package) == {"maintsched.store.new.Desk.note", "maintsched.store.new.user", "maintsched.odd.odd"}


@pytest.mark.parametrize("scene", sorted({point.scene for point in points()}))
def test_a_process_that_is_killed_at_any_point_of_a_scene_loses_nothing(stage, scene):
    for point in points():
        if point.scene == scene:
            tale = lawful(stage.run(Kill(point=point)))
            assert tale.killed, point
            assert tale.extra == tale.unmarked, point


@pytest.mark.parametrize("part", range(SLICE // EACH))
def test_a_process_that_is_killed_anywhere_loses_nothing(stage, part):
    for kill in random_kills(SEED + part, EACH):
        lawful(stage.run(kill))


def test_the_same_seed_gives_the_same_kills():
    assert list(random_kills(7, 50)) == list(random_kills(7, 50)) != list(random_kills(8, 50))


@pytest.mark.parametrize(
    "point", [each for each in points() if each.name in ON_POSTGRESQL], ids=lambda point: point.name
)
def test_on_postgresql_it_is_the_same(other_stage, point):
    assert lawful(other_stage.run(Kill(point=point))).killed


def test_three_passes_at_once_of_which_some_are_killed_do_everything_once(store, tmp_path):
    found = crowd(store, tmp_path, actions=200, kills=3, seed=SEED)
    assert not found.broken, found
    assert found.extra <= found.unmarked

"""`postgresql-minor`: minor updates of a server that is asked for its version, and no others."""

import pytest

from maintsched.errors import ExecutionError, InvalidValue
from maintsched.executors.port import Answer, Item, Phase, Target
from maintsched.executors.postgresql import PostgresqlMinor
from maintsched.executors.transports.local import Local
from maintsched.testing.executors import ExecutorLaws, Stage
from tests.apt_root import AptRoot
from tests.walks import order, program, walk_of

MADISON = """
 postgresql-15 | 15.14-0+deb12u1 | http://security.debian.org bookworm-security/main amd64 Packages
 postgresql-15 | 15.13-0+deb12u1 | http://deb.debian.org/debian bookworm/main amd64 Packages
 postgresql-15 | 15.10-0+deb12u1 | http://deb.debian.org/debian bookworm/main amd64 Packages
"""


class Server:
    """A server of which programs say the version, and packages that programs install."""

    def __init__(self, folder):
        self.folder = folder
        self.offer(MADISON)
        self.runs("15.13")
        folder = str(folder)
        self.settings = {
            "version": [program(self.folder / "bin/psql", f'echo "$(cat {folder}/running) (Debian 12.2.0)"')],
            "healthy": [program(self.folder / "bin/healthy", f"test ! -e {folder}/ill")],
            "refresh": [program(self.folder / "bin/refresh", f"test ! -e {folder}/offline || exit 100")],
            "available": [
                program(self.folder / "bin/madison", f'[ "$1" = postgresql-15 ] && cat {folder}/offered'),
                "{package}",
            ],
            "install": [
                program(
                    self.folder / "bin/install",
                    f'echo "install $*" >> {folder}/calls; test -e {folder}/sleepy && exit 0\n'
                    f"echo \"$1\" | sed 's/.*=\\([0-9.]*\\)-.*/\\1/' > {folder}/running",
                ),
                "{packages}",
            ],
            "stop": [program(self.folder / "bin/stop", f'echo "stop $1" >> {folder}/calls'), "{unit}"],
            "start": [program(self.folder / "bin/start", f'echo "start $1" >> {folder}/calls'), "{unit}"],
            "units": ["upixsupervisor", "upixp_{instance}"],
        }

    def offer(self, lines):
        (self.folder / "offered").write_text(lines)

    def runs(self, version):
        (self.folder / "running").write_text(version)

    @property
    def calls(self):
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


@pytest.fixture
def walk(server, tmp_path):
    return walk_of(tmp_path, PostgresqlMinor(server.settings), "database")


def test_a_server_says_its_version_and_how_it_is(server, walk):
    assert walk.probe().versions == {"database": "15.13"}
    assert walk.probe().problems == ()
    (server.folder / "ill").touch()
    (problem,) = walk.probe().problems
    assert problem.startswith("the database does not answer")


@pytest.mark.parametrize(
    "said",
    [
        "PostgreSQL 15.13 on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0",  # SELECT version()
        "PostgreSQL 15.13 (Debian 15.13-0+deb12u1)",  # pg_config --version
        "psql (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)",  # psql -V
    ],
)
def test_the_version_may_be_asked_in_several_ways(server, tmp_path, said):
    executor = PostgresqlMinor({**server.settings, "version": ["echo", said]})
    assert walk_of(tmp_path, executor, "database").probe().versions == {"database": "15.13"}


def test_a_version_that_cannot_be_read_forbids_the_work(server, walk):
    server.runs("devel")
    assert walk.probe().problems[0].startswith("version: expected one such as 16.4")
    assert walk.probe().versions == {}
    with pytest.raises(ExecutionError, match="version: expected one such as"):
        walk.plan(order("database"))


def test_a_server_that_cannot_be_asked_forbids_the_work(server, tmp_path):
    walk = walk_of(tmp_path, PostgresqlMinor({**server.settings, "version": ["false"], "healthy": []}), "database")
    assert walk.probe().problems == ("version: false ended with 1: it said nothing",)
    assert walk.verify().problems == ("version: false ended with 1: it said nothing",)


def test_the_newest_minor_version_is_planned(walk):
    plan = walk.plan(order("database"))
    assert plan.items == (Item(name="postgresql-15", before="15.13", after="15.14", origin="15.14-0+deb12u1"),)
    assert plan.stops_service
    assert plan.notes == ("there is no way back: rollback is empty",)


def test_an_update_stops_the_portal_installs_exactly_that_version_and_starts_it(server, walk):
    plan = walk.plan(order("database", "15.14"))
    assert walk.work() is Answer.DONE
    verdict = walk.verify()
    assert (verdict.problems, verdict.applied, verdict.versions) == ((), plan.items, {"database": "15.14"})
    assert server.calls == [
        *("stop upixp_acme-prod", "stop upixsupervisor"),
        "install postgresql-15=15.14-0+deb12u1",
        *("start upixsupervisor", "start upixp_acme-prod"),
    ]
    assert {step.name for step in walk.steps(*Phase) if not step.idempotent} == {"install"}


def test_a_server_that_was_not_restarted_is_noticed(server, walk):
    walk.plan(order("database"))
    (server.folder / "sleepy").touch()
    assert walk.work() is Answer.DONE
    assert walk.verify().problems == ("postgresql-15: the server runs 15.13, expected 15.14: was it restarted?",)
    assert walk.verify().applied == ()


def test_a_server_that_cannot_be_asked_afterwards_has_not_been_updated(server, walk):
    walk.plan(order("database"))
    server.runs("starting")
    assert walk.verify().problems[0].startswith("version: expected one such as")
    assert (walk.verify().applied, walk.verify().versions) == ((), {})


@pytest.mark.parametrize("running", ["15.14", "15.15"])
def test_a_server_that_is_up_to_date_is_left_alone(server, walk, running):
    server.runs(running)
    assert walk.plan(order("database")).empty
    assert walk.steps(*Phase) == []


def test_a_release_that_runs_already_and_nothing_ordered_change_nothing(walk):
    assert walk.plan(order("database", "15.13")).empty
    assert walk.plan().empty


@pytest.mark.parametrize("release", ["16.1", "14.20"])
def test_a_major_update_is_refused_whoever_orders_it(walk, release):
    with pytest.raises(
        ExecutionError, match=rf"PostgreSQL 15\.13 to {release} is a major update, which moves the data"
    ):
        walk.plan(order("database", release))


def test_before_version_10_the_second_number_is_part_of_the_major_version(server, walk):
    server.runs("9.6.24")
    with pytest.raises(ExecutionError, match="is a major update"):
        walk.plan(order("database", "9.5.25"))
    server.offer(" postgresql-15 | 15.14 | x\n")
    with pytest.raises(ExecutionError, match="versions: "):
        walk.plan(order("database"))  # its package is called postgresql-9.6, of which there is none


def test_a_package_of_another_major_version_is_never_taken(server, walk):
    server.offer(" postgresql-15 | 16.2-1 | x\n postgresql-15 | unknown | x\n")
    assert walk.plan(order("database")).empty


def test_an_older_version_is_refused(walk):
    with pytest.raises(ExecutionError, match=r"PostgreSQL is at 15\.13, and 15\.10 is older"):
        walk.plan(order("database", "15.10"))


def test_a_version_that_no_archive_has_is_refused(walk):
    with pytest.raises(ExecutionError, match=r"15\.99 is not in the archives, which have 15\.14-0\+deb12u1, 15\.13"):
        walk.plan(order("database", "15.99"))


def test_lists_that_cannot_be_renewed_stop_the_plan(server, walk):
    (server.folder / "offline").touch()
    with pytest.raises(ExecutionError, match=r"lists of packages: .*refresh ended with 100"):
        walk.plan(order("database"))


def test_a_version_with_an_epoch_is_compared_by_its_numbers(server, walk):
    server.offer(" postgresql-15 | 1:15.14-2 | x\n")
    (item,) = walk.plan(order("database")).items
    assert (item.after, item.origin) == ("15.14", "1:15.14-2")


@pytest.mark.parametrize("word", ["15.14;reboot", "-oDebug=1"])
def test_a_version_that_is_no_word_of_a_package_manager_is_refused(server, tmp_path, word):
    settings = {**server.settings, "available": ["echo", f"15.14{word}" if word[0] != "1" else word]}
    settings["available_pattern"] = "(.+)"
    with pytest.raises(InvalidValue, match="expected the name or version of a package"):
        walk_of(tmp_path, PostgresqlMinor(settings), "database").plan(order("database"))


def test_a_name_that_is_no_package_is_refused(server, tmp_path):
    executor = PostgresqlMinor({**server.settings, "packages": ["-o", "x"]})
    with pytest.raises(InvalidValue, match="packages: expected the name or version of a package"):
        walk_of(tmp_path, executor, "database").plan(order("database"))


def test_a_real_apt_installs_exactly_the_version_that_was_planned(tmp_path):
    """The commands are those of the defaults; only the server's version is read from what its package brought."""
    root = AptRoot(tmp_path / "root")
    root.publish("main", "postgresql-15", "15.13-0+deb12u1")
    root.install("postgresql-15")
    settings = {
        "version": ["cat", str(root.folder / "usr/share/postgresql-15/version")],
        "healthy": [],
        "nothing_to_stop": True,
        "environment": {**PostgresqlMinor({}).settings.environment, **root.environment},
    }
    walk = walk_of(tmp_path, PostgresqlMinor(settings), "database")
    assert walk.plan(order("database")).empty
    for version in ("15.14-0+deb12u1", "15.15-0+deb12u1"):
        root.publish("security", "postgresql-15", version)
    root.publish("main", "other", "1.0")
    plan = walk.plan(order("database", "15.14"))
    assert [(item.before, item.after, item.origin) for item in plan.items] == [("15.13", "15.14", "15.14-0+deb12u1")]
    assert walk.work() is Answer.DONE
    assert root.status == {"postgresql-15": "15.14-0+deb12u1 ii"}
    assert walk.verify().problems == ()
    assert walk.plan(order("database")).items[0].after == "15.15"


def test_backup_restart_and_rollback_are_steps_where_they_are_set(server, tmp_path):
    more = {"backup": ["echo", "{package}"], "restart": ["true"], "rollback": ["echo", "{before}"], "refresh": []}
    walk = walk_of(tmp_path, PostgresqlMinor({**server.settings, **more, "packages": ["postgresql-{major}", "libpq5"]}))
    assert walk.plan(order("database")).notes == ()
    names = [step.name for step in walk.steps(*Phase)]
    assert names == [
        *("backup", "stop-1-upixp_acme-prod", "stop-2-upixsupervisor", "install", "restart"),
        *("start-1-upixsupervisor", "start-2-upixp_acme-prod", "rollback"),
    ]
    assert walk.steps(Phase.APPLY)[0].command.argv[1:] == (
        "postgresql-15=15.14-0+deb12u1",
        "libpq5=15.14-0+deb12u1",
    )
    assert walk.run_all(walk.steps(Phase.ROLLBACK)) is Answer.DONE
    assert walk.said["rollback"] == "15.13\n"


class TestPostgresqlMinor(ExecutorLaws):
    @pytest.fixture
    def stage(self, server, tmp_path):
        return Stage(
            kind=PostgresqlMinor,
            settings=server.settings,
            open=lambda: Local({"jobs": str(tmp_path / "jobs")}, tmp_path).open("localhost"),
            target=Target(instance="acme-prod", host="localhost", components=("database",)),
            orders=(order("database"), order("database", "15.14")),
            state=lambda: ((tmp_path / "running").read_text(), server.calls),
            spoil=(tmp_path / "ill").touch,
            bad_settings=({"install": []},),
        )


def test_a_table_that_stops_nothing_has_to_say_so(server):
    target = Target(instance="a", host="localhost", components=("database",))
    assert PostgresqlMinor({}).validate(target)[0].startswith("units: name what uses the database")
    assert PostgresqlMinor({"nothing_to_stop": True}).validate(target) == ()
    assert PostgresqlMinor(server.settings).validate(target) == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unit": []}, "executor postgresql-minor: setting: expected one of .*did you mean units"),
        ({"install": []}, "install: expected at least one word"),
        ({"pinned": "{what}"}, r"pinned: expected one of .*\{package\}"),
        ({"version_pattern": "x"}, "version_pattern: expected a regular expression with 1 group"),
        ({"look_seconds": 0}, "look_seconds: expected a number from 1 to 86400"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(settings, message):
    with pytest.raises(InvalidValue, match=message):
        PostgresqlMinor(settings)

"""`script`: an operator's own commands, what they are told, and what their answers mean."""

import json

import pytest

from maintsched.errors import ExecutionError, InvalidValue
from maintsched.executors.port import Answer, Item, Phase, Target
from maintsched.executors.script import Script
from maintsched.executors.transports.local import Local
from maintsched.testing.executors import ExecutorLaws, Stage
from tests.walks import order, program, walk_of


@pytest.fixture
def script(tmp_path):
    """Make a walk from commands that are written as lines for a shell."""

    def made(*components, settings=None, **lines):
        commands = {name: [program(tmp_path / f"bin/{name}", text)] for name, text in lines.items()}
        return walk_of(tmp_path, Script({"apply": ["true"], **commands, **(settings or {})}), *(components or ("os",)))

    return made


# --- what commands are told -------------------------------------------------------------------------------------------


def test_a_command_reads_the_facts_as_json(script, tmp_path):
    walk = script(apply=f"cat > {tmp_path}/facts", plan="echo kernel 6.1 6.2")
    walk.plan(order("os", "6.2", installed="6.1"))
    assert walk.work() is Answer.DONE
    assert json.loads((tmp_path / "facts").read_text()) == {
        "phase": "apply",
        "instance": "acme-prod",
        "host": "localhost",
        "url": None,
        "components": ["os"],
        "neighbours": [],
        "orders": [{"component": "os", "class": "minor", "release": "6.2", "installed": "6.1"}],
        "items": [{"name": "kernel", "before": "6.1", "after": "6.2"}],
    }


def test_a_plan_is_told_what_is_ordered_and_of_which_system(script, tmp_path):
    walk = script(plan=f"cat > {tmp_path}/facts")
    walk.target = Target(instance="a", host="localhost", components=("os",), url="https://a.example", neighbours=("b",))
    assert walk.plan(order("os")).empty
    facts = json.loads((tmp_path / "facts").read_text())
    assert (facts["phase"], facts["url"], facts["neighbours"]) == ("plan", "https://a.example", ["b"])
    assert facts["orders"][0]["release"] is None


def test_the_most_wanted_facts_are_variables(script, tmp_path):
    walk = script("os", "database", apply=f"env | grep ^MAINTSCHED_ | sort > {tmp_path}/variables")
    walk.plan(order("os", "6.2"), order("database", "16.4"))
    assert walk.work() is Answer.DONE
    assert (tmp_path / "variables").read_text().splitlines() == [
        "MAINTSCHED_COMPONENTS=os database",
        "MAINTSCHED_HOST=localhost",
        "MAINTSCHED_INSTANCE=acme-prod",
        "MAINTSCHED_PHASE=apply",
        "MAINTSCHED_RELEASES=os=6.2 database=16.4",
    ]


def test_places_variables_and_folder_are_as_they_are_set(script, tmp_path):
    settings = {"environment": {"COLOUR": "green"}, "folder": str(tmp_path), "backup": ["touch", "{instance}@{host}"]}
    walk = script(settings=settings, apply='echo "$COLOUR $PWD"')
    walk.plan(order("os", "1"))
    assert walk.work() is Answer.DONE
    assert walk.said["apply"] == f"green {tmp_path}\n"
    assert (tmp_path / "acme-prod@localhost").exists()


def test_what_is_filled_in_stays_one_word_whatever_it_holds(script, tmp_path):
    walk = script(settings={"apply": ["echo", "{instance}"]})
    walk.target = Target(instance="$(touch /tmp/never); x y", host="localhost", components=("os",))
    walk.plan(order("os", "1"))
    assert walk.work() is Answer.DONE
    assert walk.said["apply"] == "$(touch /tmp/never); x y\n"


# --- what their answers mean ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "answer"),
    [(0, Answer.DONE), (69, Answer.POSTPONE), (75, Answer.AGAIN), (1, Answer.FAILED), (3, Answer.REBOOT)],
)
def test_postponed_again_and_failed_are_different_answers(script, code, answer):
    walk = script(apply=f"exit {code}", settings={"answers": {"3": "reboot"}})
    walk.plan(order("os", "1"))
    assert walk.run(walk.steps(Phase.APPLY)[0]) is answer


def test_each_command_is_a_step_of_its_phase_in_order(script):
    walk = script(start="exit 0", stop="exit 0", backup="exit 0", rollback="exit 0", plan="echo a 1 2")
    assert walk.plan(order("os")).stops_service
    assert [step.name for step in walk.steps(*Phase)] == ["backup", "stop", "apply", "start", "rollback"]


def test_a_command_that_is_not_set_is_no_step(script):
    walk = script()
    assert not walk.plan(order("os", "1")).stops_service
    assert [step.name for step in walk.steps(*Phase)] == ["apply"]


def test_only_what_is_declared_may_be_repeated(script):
    walk = script(stop="exit 0", settings={"idempotent": ["stop"], "expected_seconds": {"apply": 600}})
    walk.plan(order("os", "1"))
    assert [(step.name, step.idempotent, step.expected_seconds) for step in walk.steps(*Phase)] == [
        ("stop", True, 60),
        ("apply", False, 600),
    ]


# --- looking ----------------------------------------------------------------------------------------------------------


def test_what_a_probe_says_otherwise_forbids_the_work(script):
    walk = script(probe="echo the cluster is degraded >&2; exit 1")
    assert walk.probe().problems == ("probe: it ended with 1: the cluster is degraded",)


@pytest.mark.parametrize(("code", "asks"), [(69, "it asks for another window"), (75, "it asks to be tried again")])
def test_a_probe_may_say_that_it_is_not_the_time(script, code, asks):
    (problem,) = script(probe=f"echo busy; exit {code}").probe().problems
    assert problem.startswith(f"probe: {asks}")
    assert problem.endswith("busy")


def test_versions_are_lines_of_component_and_version(script):
    found = script("os", "database", probe="exit 0", version="echo '# what is here'; echo os 6.1; echo database 16.4")
    assert found.probe().versions == {"os": "6.1", "database": "16.4"}


def test_the_version_of_a_single_component_may_stand_alone(script):
    assert script(version="echo 6.1").probe().versions == {"os": "6.1"}


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("echo one two three", 'version: expected lines "<component> <version>", got "one two three"'),
        ("exit 4", "version: it ended with 4: it said nothing"),
    ],
)
def test_a_version_that_cannot_be_read_forbids_the_work(script, lines, problem):
    walk = script(version=lines)
    assert walk.probe().problems == (problem,)
    with pytest.raises(ExecutionError, match="host localhost: version"):
        walk.plan(order("os", "1"))


# --- plans ------------------------------------------------------------------------------------------------------------


def test_a_plan_is_lines_of_name_before_and_after(script):
    walk = script(plan="echo '# two'; echo kernel 6.1 6.2; echo old 1 -; echo new - 1")
    assert walk.plan(order("os")).items == (
        Item(name="kernel", before="6.1", after="6.2"),
        Item(name="old", before="1", after=None),
        Item(name="new", before=None, after="1"),
    )


def test_a_plan_may_be_json(script, tmp_path):
    plan = {"items": [{"name": "a b", "before": None, "after": "2"}], "notes": ["slow"], "reboot": True}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    made = script(plan=f"cat {tmp_path}/plan.json").plan(order("os"))
    assert (made.items, made.notes, made.reboot) == ((Item(name="a b", before=None, after="2"),), ("slow",), True)


def test_a_plan_may_be_a_list_of_items_as_json(script):
    walk = script(plan="""echo '[{"name": "a", "before": "1", "after": "2"}]'""")
    assert walk.plan(order("os")).items == (Item(name="a", before="1", after="2"),)


def test_a_plan_that_says_nothing_changes_nothing(script):
    walk = script(plan="exit 0")
    assert walk.plan(order("os")).empty
    assert walk.steps(*Phase) == []


def test_nothing_ordered_changes_nothing(script):
    assert script(plan="echo a 1 2").plan().empty


def test_without_a_plan_the_releases_that_are_not_there_are_the_plan(script):
    walk = script("os", "database", version="echo os 6.2.0; echo database 16.3")
    walk.plan(order("os", "6.2"), order("database", "16.4"))
    assert walk.planned.items == (Item(name="database", before="16.3", after="16.4"),)


def test_without_a_plan_and_a_release_it_is_not_known_what_changes(script):
    with pytest.raises(ExecutionError, match="without a release it is not known what changes; set plan"):
        script().plan(order("os"))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("echo kernel 6.2", 'expected "<name> <before> <after>"'),
        ("echo - 1 2", "name: expected 1 to 63 ASCII letters"),
        ("echo a 1 2; echo a 2 3", "plan: expected each name once"),
        ("echo '{'", "plan: Expecting property name"),
        ("""echo '{"items": 3}'""", "JSON: expected items and notes as lists"),
        ("""echo '{"items": [3]}'""", "name: expected a text"),
        ("""echo '{"items": [{"name": "a", "after": 2}]}'""", "after: expected a text"),
        ("printf 'a 1 \\033[2J\\n'", "after: expected up to 500 printable characters"),
        ('echo \'{"notes": ["\\u0007"]}\'', "note: expected up to 500 printable characters"),
        ("seq 1 60000 | sed 's/$/ 1 2/'", "plan: it says more than can be read; let it say less"),
        ("echo no lists >&2; exit 1", "plan: it ended with 1: no lists"),
    ],
)
def test_a_plan_that_cannot_be_read_ends_before_anything_is_done(script, said, message):
    with pytest.raises(ExecutionError, match=f"^host localhost: .*{message}"):
        script(plan=said).plan(order("os"))


# --- afterwards -------------------------------------------------------------------------------------------------------


def test_what_version_says_afterwards_is_compared_with_the_plan(script, tmp_path):
    walk = script(version=f"cat {tmp_path}/version", apply=f"echo 6.2.0 > {tmp_path}/version")
    (tmp_path / "version").write_text("6.1\n")
    plan = walk.plan(order("os", "6.2"))
    assert walk.verify().problems == ("os: expected 6.2, found 6.1",)
    assert walk.verify().applied == ()
    assert walk.work() is Answer.DONE
    assert walk.verify().problems == ()
    assert walk.verify().applied == plan.items
    assert walk.verify().versions == {"os": "6.2.0"}


def test_what_is_no_version_is_compared_as_it_is_written(script):
    walk = script(plan="echo os one two", version="echo two")
    walk.plan(order("os"))
    assert walk.verify().problems == ()


def test_what_the_plan_still_wants_was_not_done(script, tmp_path):
    walk = script(plan=f"test -e {tmp_path}/done || echo a 1 2; echo b 1 -", apply=f"touch {tmp_path}/done")
    a, _ = walk.plan(order("os")).items
    assert walk.verify().problems == ("a: the plan still wants 2", "b: the plan still wants it removed")
    assert walk.work() is Answer.DONE
    assert walk.verify().problems == ("b: the plan still wants it removed",)
    assert walk.verify().applied == (a,)


def test_a_plan_that_fails_afterwards_says_so(script, tmp_path):
    walk = script(plan=f"echo a 1 2; test ! -e {tmp_path}/done", apply=f"touch {tmp_path}/done")
    walk.plan(order("os"))
    assert walk.work() is Answer.DONE
    with pytest.raises(ExecutionError, match="plan: it ended with 1"):
        walk.verify()


def test_where_nothing_looks_afterwards_that_it_ended_with_0_is_enough(script):
    walk = script()
    walk.plan(order("os", "1"))
    assert walk.verify().applied == walk.planned.items


def test_what_a_verify_says_otherwise_is_a_problem(script):
    walk = script(plan="echo a 1 2", verify="echo the cluster is degraded; exit 2")
    walk.plan(order("os"))
    verdict = walk.verify()
    assert verdict.problems == ("verify: it ended with 2: the cluster is degraded",)
    assert verdict.applied == ()


def test_a_verify_that_is_content_finds_no_problem(script):
    walk = script(plan="echo a 1 2", verify="exit 0")
    walk.plan(order("os"))
    assert walk.verify().problems == ()
    assert walk.verify().applied == walk.planned.items


# --- what every executor promises -------------------------------------------------------------------------------------


class TestScript(ExecutorLaws):
    @pytest.fixture
    def stage(self, tmp_path):
        installed = tmp_path / "installed"
        installed.write_text("6.1\n")
        settings = {
            "probe": [program(tmp_path / "bin/probe", f"test ! -e {tmp_path}/locked || {{ echo locked; exit 1; }}")],
            "version": ["cat", str(installed)],
            "apply": [program(tmp_path / "bin/apply", f"echo 6.2 > {installed}")],
            "stop": ["true"],
            "start": ["true"],
        }
        return Stage(
            kind=Script,
            settings=settings,
            open=lambda: Local({"jobs": str(tmp_path / "jobs")}, tmp_path).open("localhost"),
            target=Target(instance="acme-prod", host="localhost", components=("os",)),
            orders=(order("os", "6.2"),),
            state=installed.read_text,
            spoil=(tmp_path / "locked").touch,
            bad_settings=({"apply": []}, {}),
        )


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_table_that_does_not_say_what_the_script_updates_is_told_so():
    executor = Script({"apply": ["true"]})
    target = Target(instance="a", host="localhost")
    assert executor.validate(target)[0].startswith("components: name in parts")
    assert executor.validate(Target(instance="a", host="localhost", components=("os",))) == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, 'executor script: apply: expected a command, got "none"'),
        ({"apply": []}, "apply: expected a command"),
        ({"apply": ["true"], "aply": ["x"]}, "setting: expected one of .*did you mean apply"),
        ({"apply": "true"}, "apply: expected a tuple or list"),
        ({"apply": ["{customer}"]}, r"apply: expected one of \{instance\}, \{host\}"),
        ({"apply": ["true"], "folder": "here"}, "folder: expected an absolute path"),
        ({"apply": ["true"], "idempotent": ["plan"]}, "idempotent: expected one of backup, stop, apply"),
        ({"apply": ["true"], "answers": {"x": "again"}}, "answers: expected an exit code from 0 to 255"),
        ({"apply": ["true"], "look_seconds": 0}, "look_seconds: expected a number from 1 to 3600"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(settings, message):
    with pytest.raises(InvalidValue, match=message):
        Script(settings)

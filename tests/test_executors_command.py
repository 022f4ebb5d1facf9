"""`maintsched executors`: what is installed, what the configuration uses, and what is wrong with either."""

import json

import pytest
from click.testing import CliRunner

from maintsched import __version__
from maintsched.cli.executors import executors
from maintsched.executors import registry
from tests.homes import CONFIG


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("MAINTSCHED_CONFIG", raising=False)


def listed(*words):
    done = CliRunner().invoke(executors, [*words])
    assert done.exit_code == 0, done.output
    return done


def configure(folder, lines):
    (folder / "maintsched.toml").write_text(CONFIG + lines)


def test_everything_that_is_built_in_is_listed_with_name_source_and_version():
    lines = listed().stdout.splitlines()
    rows = [line.split() for line in lines]
    for kind, table in registry.BUILT_IN.items():
        for name in table:
            assert [str(kind), name, "built", "in", __version__] in rows
    assert lines == sorted(lines)


def test_the_same_as_json():
    document = json.loads(listed("--json").stdout)
    assert {"kind": "executor", "name": "intrexx", "source": "built in", "version": __version__} in document[
        "installed"
    ]
    assert document["tables"] == []
    assert document["problems"] == []


def test_each_table_of_the_configuration_says_what_it_uses(tmp_path):
    script = '[executor.portal]\ntransport = "local"\nparts = { intrexx = "intrexx", linux = "script" }\n'
    configure(tmp_path, script + 'settings.script = { apply = ["true"] }\n\n[executor.intrexx]\ntransport = "local"\n')
    assert listed().stdout.splitlines()[-2:] == [
        "table intrexx: hosts by local; intrexx by intrexx",
        "table portal: hosts by local; intrexx by intrexx, linux by script",
    ]
    assert listed("--config", str(tmp_path / "maintsched.toml")).stderr == ""
    assert [each["parts"] for each in json.loads(listed("--json").stdout)["tables"]] == [
        {"intrexx": "intrexx"},
        {"intrexx": "intrexx", "linux": "script"},
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('[executor.portal]\ntransport = "local"\n', "executor: expected one of"),
        ('[executor.x]\ntransport = "carrier-pigeon"\nparts = { linux = "apt" }\n', "transport: expected one of"),
        ('[executor.intrexx]\ntransport = "local"\nsettings.intrexx = { hone = "/" }\n', "did you mean home"),
    ],
)
def test_a_table_that_cannot_be_used_is_said_to_be_so(tmp_path, lines, problem):
    configure(tmp_path, lines)
    done = listed()
    assert done.stdout.splitlines()[-1].endswith("(cannot be used)")
    assert done.stderr.startswith("Warning: executor ")
    assert problem in done.stderr
    assert problem in json.loads(listed("--json").stdout)["tables"][0]["problem"]

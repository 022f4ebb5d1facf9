"""`maintsched executors`: what is installed, what the configuration uses, and what is wrong with either."""

import json
import re
import textwrap
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintsched import __version__
from maintsched.cli.executors import executors
from maintsched.executors import registry
from maintsched.executors.ansible import AnsibleSettings
from maintsched.executors.intrexxsettings import IntrexxSettings
from maintsched.executors.postgresql import PostgresqlSettings
from maintsched.executors.registry import executor_class, transport_class
from maintsched.executors.script import ScriptSettings
from maintsched.executors.transports.controller import ControllerSettings
from maintsched.intake.config import ExecutorConfig
from tests.homes import CONFIG
from tools.transcripts import ROOT


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


# --- the pages on executors -------------------------------------------------------------------------------------------

PAGES = ("update-intrexx", "run-your-own-update-script", "use-ansible")
FIRST_TABLES = {"executor", "customer"}


def examples():
    """Each block of TOML in the pages, as (page, text)."""
    for page in (*(f"how-to/{name}" for name in PAGES), "reference/executors-applications"):
        text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
        for block in re.findall(r"^( *)```toml.*?\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL):
            yield pytest.param(page, textwrap.dedent(block[1]), id=f"{page}-{block[1].strip().splitlines()[0]}")


@pytest.mark.parametrize(("page", "text"), list(examples()))
def test_an_example_of_a_page_is_a_table_that_can_be_used(page, text):
    tables = tomllib.loads(text)
    assert set(tables) <= FIRST_TABLES
    for table in tables.get("executor", {}).values():
        config = ExecutorConfig(**{"transport": "local", **table})
        for executor in config.parts.values() or config.settings:
            executor_class(executor)(config.settings.get(executor, {}))
        if "transport" in table:
            transport_class(config.transport)(config.settings.get(config.transport, {}), Path("/"))


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("## intrexx", IntrexxSettings),
        ("## postgresql-minor", PostgresqlSettings),
        ("## script", ScriptSettings),
        ("## ansible", AnsibleSettings),
        ("### controller", ControllerSettings),
    ],
)
def test_each_setting_is_in_the_reference_with_its_default(heading, kind):
    page = (ROOT / "docs/reference/executors-applications.md").read_text(encoding="utf-8")
    section = page.split(f"\n{heading}\n")[1].split("\n## ")[0].split("\n### ")[0]
    rows = [
        re.split(r" (?<!\\)\| ", line) for line in section.split("| key | type |")[1].splitlines()[2:] if "|" in line
    ]
    told = {row[0].strip("|` "): row[2] for row in rows}
    assert list(told) == [each.name for each in fields(kind)]
    for each in fields(kind):
        if isinstance(each.default, bool | int):
            assert told[each.name] == f"`{str(each.default).lower()}`"
        elif isinstance(each.default, tuple) and each.default and each.type == "Words":
            assert told[each.name].replace("\\|", "|") == f"`{' '.join(each.default)}`"
        elif each.default is MISSING and each.default_factory is MISSING:
            assert told[each.name] == "**required**"

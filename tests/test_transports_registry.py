"""What a configuration may name is in one table, or comes by an entry point of a package; packages replace nothing."""

import re
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import maintsched
from maintsched.errors import ExecutionError, UnknownName
from maintsched.executors import registry
from maintsched.executors.registry import BUILT_IN, Kind, executor_class, installed, problems, transport_class
from maintsched.executors.transports.settings import LocalSettings, SshSettings
from maintsched.intake.config import ExecutorConfig

EXECUTOR = """
class Pacman:
    name = "pacman"
    components = ("os",)
    def __init__(self, settings): ...
    def validate(self, target): return ()
    async def probe(self, target, link): ...
    async def plan(self, target, link, orders): ...
    def steps(self, target, plan): return ()
    async def verify(self, target, link, plan): ...

class Local:
    name = "local"
    def __init__(self, settings, folder): ...
    def validate(self, host): return ()
    async def open(self, host): ...

class Half:
    name = "half"
    components = ()

class Misnamed(Pacman):
    name = "other"

number = 7
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return what installs a package into a folder of its own, as pip would."""

    def into(points: str, *, package: str = "acme-plugin", code: str = EXECUTOR) -> None:
        folder = tmp_path / package
        module = package.replace("-", "_")
        info = folder / f"{module}-1.2.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return into


@pytest.mark.parametrize("name", BUILT_IN[Kind.EXECUTOR])
def test_each_built_in_executor_is_there_under_its_name(name):
    found = executor_class(name)
    assert found.name == name
    assert isinstance(found.components, tuple)


@pytest.mark.parametrize("name", BUILT_IN[Kind.TRANSPORT])
def test_each_built_in_transport_is_there_under_its_name(name):
    assert transport_class(name).name == name


def test_what_is_built_in_is_listed_with_our_version():
    found = [(each.kind, each.name, each.source, each.version) for each in installed()]
    assert found == sorted(found)
    for kind in Kind:
        for name in BUILT_IN[kind]:
            assert (kind, name, "built in", maintsched.__version__) in found


def test_our_own_package_brings_nothing_by_entry_point():
    """One table: what is built in is not listed a second time."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert "maintsched.executors" not in text.partition("[tool.")[0]
    assert problems() == ()


def test_a_name_that_nothing_has_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownName, match="did you mean zypper") as caught:
        executor_class("zyper")
    assert set(caught.value.known) >= set(BUILT_IN[Kind.EXECUTOR])
    with pytest.raises(UnknownName, match="controller, fake, local, ssh"):
        transport_class("telnet")


def test_a_package_brings_an_executor(install):
    install("[maintsched.executors]\npacman = acme_plugin:Pacman\n")
    assert executor_class("pacman").name == "pacman"
    assert registry.Installed(kind=Kind.EXECUTOR, name="pacman", source="acme-plugin", version="1.2") in installed()
    assert problems() == ()


def test_a_package_that_is_found_in_two_places_counts_once(install, tmp_path, monkeypatch):
    install("[maintsched.executors]\npacman = acme_plugin:Pacman\n")
    monkeypatch.syspath_prepend(str(tmp_path / "acme-plugin") + "/")
    assert executor_class("pacman").name == "pacman"


def test_a_package_cannot_replace_what_is_built_in_and_that_is_said(install):
    install("[maintsched.transports]\nlocal = acme_plugin:Local\n")
    assert transport_class("local").__module__ == "maintsched.executors.transports.local"
    assert [each.source for each in installed() if each.name == "local"] == ["built in"]
    (problem,) = problems()
    assert problem.startswith("transport local of acme-plugin 1.2 is not used: that name is built in")


def test_a_name_that_two_packages_bring_is_refused_with_both(install):
    install("[maintsched.executors]\npacman = acme_plugin:Pacman\n")
    install("[maintsched.executors]\npacman = other_plugin:Pacman\n", package="other-plugin")
    with pytest.raises(ExecutionError, match=r"acme-plugin 1\.2 and other-plugin 1\.2; remove one"):
        executor_class("pacman")
    assert "pacman" not in [each.name for each in installed()]
    assert len(problems()) == 1


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        ("acme_plugin:Pacman", "import no_such_module", "cannot be imported: ModuleNotFoundError"),
        ("acme_plugin:Pacman", "raise RuntimeError('a\\nb')", r"RuntimeError: \"a\\nb\""),
        ("acme_plugin:Pacman", "def (", "SyntaxError"),
        ("acme_plugin:Nothing", EXECUTOR, "AttributeError"),
        ("no_such_package:Pacman", EXECUTOR, "ModuleNotFoundError"),
        ("acme_plugin:Half", EXECUTOR, "lacks validate, probe, plan, steps, verify"),
        ("acme_plugin:number", EXECUTOR, "which is no class"),
        ("acme_plugin:Misnamed", EXECUTOR, "named 'other'"),
    ],
)
def test_a_package_that_is_broken_is_one_line_that_names_it(install, value, code, reason):
    install(f"[maintsched.executors]\nmine = {value}\n", code=code)
    with pytest.raises(ExecutionError, match=reason) as caught:
        executor_class("mine")
    assert str(caught.value).startswith("executor mine of acme-plugin 1.2: ")
    assert "\n" not in str(caught.value)
    assert problems() == (str(caught.value),)


def test_looking_for_what_is_built_in_imports_no_package(install):
    install("[maintsched.transports]\nlocal = acme_plugin:Local\n", code="raise SystemExit")
    assert transport_class("local").name == "local"
    installed()


# --- the pages --------------------------------------------------------------------------------------------------------

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("kind", [LocalSettings, SshSettings], ids=["local", "ssh"])
def test_each_setting_stands_in_the_reference_with_its_default(kind):
    text = (DOCS / "reference" / "transports.md").read_text()
    section = text.partition(f"\n## {kind.__name__.removesuffix('Settings').lower()}\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, flags=re.MULTILINE))
    assert list(rows) == sorted(rows, key=[each.name for each in fields(kind)].index)
    assert set(rows) == {each.name for each in fields(kind)}
    for each in fields(kind):
        if isinstance(each.default, int):
            assert rows[each.name] == str(each.default).lower()


def test_the_configuration_of_the_page_on_ssh_can_be_used(tmp_path):
    blocks = re.findall(
        r"^```toml\n(.*?)^```", (DOCS / "how-to" / "reach-hosts-by-ssh.md").read_text(), re.MULTILINE | re.DOTALL
    )
    table = tomllib.loads("\n".join(blocks))["executor"]["portal"]
    config = ExecutorConfig(**table)
    assert transport_class(config.transport)(config.settings["ssh"], tmp_path).name == "ssh"

"""The example of a package that brings an executor and a transport: built, installed, listed, used, and tried."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.transcripts import ROOT

EXAMPLE = ROOT / "docs/examples/plugin"
CONFIG = """
[mail]
host = "localhost"
tls = "none"
sender = "us@hosting.example"

[provider]
name = "Hosting"
domain = "hosting.example"
contact = "support@hosting.example"

[executor.apps]
transport = "prefixed"
parts = { application = "linked" }
settings.prefixed = { prefix = ["nice"] }
settings.linked = { folder = "/srv/app" }
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """The folder that the package is installed into, beside a copy of its source; no network is asked."""
    folder = tmp_path_factory.mktemp("plugin")
    leave = shutil.ignore_patterns("__pycache__", ".pytest_cache", "dist", "build")
    source = Path(shutil.copytree(EXAMPLE, folder / "source", ignore=leave))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps"]
    subprocess.run([*pip, "--target", str(folder / "target"), str(source)], check=True, capture_output=True)
    return folder


def run(installed, *words, folder, **variables):
    """Run Python with the package in reach, and with nothing else of whoever runs the tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAINTSCHED_")}
    environment = {**own, "PYTHONPATH": f"{installed / 'target'}:{ROOT}", "HOME": str(folder), **variables}
    command = [sys.executable, "-P", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_what_a_package_brings_is_listed_with_its_source_and_version(installed, tmp_path):
    listed = run(installed, "-m", "maintsched", "executors", folder=tmp_path)
    assert listed.returncode == 0, listed.stderr
    lines = [line.split() for line in listed.stdout.splitlines()]
    assert ["executor", "linked", "maintsched-linked", "1.0.0"] in lines
    assert ["transport", "prefixed", "maintsched-linked", "1.0.0"] in lines
    assert listed.stderr == ""


def test_a_table_may_name_what_a_package_brings(installed, tmp_path):
    (tmp_path / "maintsched.toml").write_text(CONFIG)
    listed = run(installed, "-m", "maintsched", "executors", "--json", folder=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["tables"] == [
        {"name": "apps", "transport": "prefixed", "parts": {"application": "linked"}, "problem": None}
    ]


def test_without_the_package_the_table_cannot_be_used(tmp_path):
    (tmp_path / "maintsched.toml").write_text(CONFIG)
    listed = run(tmp_path, "-m", "maintsched", "executors", folder=tmp_path)
    assert listed.returncode == 0
    assert "table apps: hosts by prefixed; application by linked (cannot be used)" in listed.stdout
    assert "Warning: executor apps: " in listed.stderr
    assert "linked" in listed.stderr


def test_it_keeps_every_law_of_its_ports(installed, tmp_path):
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pyproject.toml", "--basetemp", str(tmp_path / "t"))
    tried = run(installed, *words, folder=installed / "source")
    assert tried.returncode == 0, tried.stdout
    assert " passed" in tried.stdout

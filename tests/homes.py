"""A folder to work in from the command line: a configuration, a fleet file and a database."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maintsched.store import Store, open_store

NOW = "2026-11-23T09:00:00+01:00"
CONFIG = """
fleet = "fleet.toml"

[mail]
host = "localhost"
tls = "none"
sender = "us@hosting.example"

[provider]
name = "Hosting"
domain = "hosting.example"
contact = "support@hosting.example"
"""
FLEET = """
[[customer]]
key = "acme"
name = "ACME GmbH"
language = "de"
package = "premium"
contact = [{ key = "eva", name = "Eva Muster", email = "eva@acme.example", roles = ["system_responsible"] }]

[[customer.instance]]
key = "acme-prod"
host = "10.0.0.5"
url = "https://acme.example"
versions = { intrexx = "12.0.3" }

[[customer.instance]]
key = "acme-test"
host = "10.0.0.6"
environment = "test"

[[customer]]
key = "birch"
name = "Birch Ltd"
language = "en"
package = "premium"
contact = [{ key = "ops", name = "Operations", email = "ops@birch.example", roles = ["system_responsible"] }]
instance = [{ key = "birch-prod", host = "10.0.0.7" }]

[[release]]
version = "12.1.0"
class = "major"
available_at = 2026-11-09T09:00:00+01:00

[[deferral]]
instance = "acme-prod"
release = "12.1.0"
until = 2027-04-01

[[freeze]]
key = "year-end"
start = 2026-12-18
end = 2027-01-07
reason = "annual accounts"
customers = ["acme"]
"""


@contextmanager
def open_home(migrated: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Make `folder` one, go there, and give its store; no option comes from the environment."""
    for name in list(os.environ):
        if name.startswith("MAINTSCHED_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.chdir(folder)
    shutil.copy(migrated, "maintsched.db")
    Path("maintsched.toml").write_text(CONFIG, encoding="utf-8")
    Path("fleet.toml").write_text(FLEET, encoding="utf-8")
    with open_store(f"sqlite:///{folder / 'maintsched.db'}") as store:
        yield store

"""The executor keeps every law of its port, and does what it says."""
# ruff: noqa: D101, D102, D103 - tests are not described: their names say what is promised

import pytest
from maintsched_linked.linked import Linked

from maintsched.executors.port import Order, Target
from maintsched.executors.transports.local import Local
from maintsched.facts import ChangeClass
from maintsched.testing.executors import ExecutorLaws, Stage


def order(release):
    return Order(component="application", change_class=ChangeClass.MINOR, release=release)


class TestLinked(ExecutorLaws):
    @pytest.fixture
    def stage(self, tmp_path):
        app = tmp_path / "app"
        for release in ("1.0.0", "1.1.0"):
            (app / "releases" / release).mkdir(parents=True)
        (app / "current").symlink_to("releases/1.0.0")
        return Stage(
            kind=Linked,
            settings={"folder": str(app)},
            open=lambda: Local({"jobs": str(tmp_path / "jobs")}, tmp_path).open("localhost"),
            target=Target(instance="acme-prod", host="localhost", components=("application",)),
            orders=(order("1.1.0"), order("1.0.0")),
            state=lambda: sorted((path.name, path.is_symlink() and path.readlink()) for path in app.iterdir()),
            spoil=(app / "current").unlink,
            bad_settings=({"folder": "app"},),
        )

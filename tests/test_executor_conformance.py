"""Every built-in executor that can run here keeps the laws of its port. The packages are real: see the roots."""

import asyncio

import pytest

from maintsched.executors.apt import Apt
from maintsched.executors.dnf import Dnf
from maintsched.executors.fake import FakeExecutor
from maintsched.executors.packages import PackageExecutor
from maintsched.executors.port import Answer, Order, Phase, Target
from maintsched.executors.transports.local import Local
from maintsched.executors.zypper import Zypper
from maintsched.facts import ChangeClass
from maintsched.testing.executors import ExecutorLaws, Stage, run_steps
from tests.apt_root import AptRoot, keeper
from tests.rpm_root import RpmRoot

BAD_PACKAGE_SETTINGS: tuple[dict[str, object], ...] = (
    {"leave": ["-oAPT::Update::Pre-Invoke::=id"]},
    {"components": {"web server": ["nginx"]}},
    {"components": {"webserver": ["nginx; id"]}},
    {"components": {"webserver": "nginx"}},
    {"environment": {"A B": "1"}},
    {"environment": {"A": "1\n2"}},
    {"disk_free_mb": -1},
    {"after": {"nginx": [[]]}},
    {"sudo": "sudo -n"},
)


def local(folder):
    """Return what opens a link to this machine, with jobs in a folder of the test."""
    transport = Local({"jobs": str(folder / "jobs")}, folder)
    return lambda: transport.open("localhost")


def everything(*components, change_class=ChangeClass.OS):
    return tuple(Order(component=each, change_class=change_class) for each in components or ("linux",))


class TestApt(ExecutorLaws):
    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, tmp_path_factory):
        root = AptRoot(tmp_path_factory.mktemp("apt") / "root")
        for name in ("web", "lib", "old"):
            root.publish("main", name, "1.0")
        root.install("web", "lib", "old")
        root.publish("main", "web", "1.1", depends="lib (>= 1.2), fresh", conflicts="old")
        root.publish("main", "lib", "1.2")
        root.publish("main", "fresh", "1.0")
        return root, keeper(root.folder)

    @pytest.fixture
    def stage(self, made, tmp_path):
        root, back = made
        back()
        return Stage(
            kind=Apt,
            settings=root.settings,
            open=local(tmp_path),
            target=Target(instance="acme-prod", host="localhost", components=("linux",)),
            orders=everything(),
            state=lambda: root.files,
            spoil=lambda: _half_configured(root),
            bad_settings=(*BAD_PACKAGE_SETTINGS, {"reboot_flag": "reboot-required"}, {"security_origins": ["a\nb"]}),
        )


def _half_configured(root):
    root.publish("main", "broken", "1.0", postinst="exit 1")
    root.apt_get("update")
    with pytest.raises(AssertionError, match="broken"):
        root.apt_get("install", "broken")


class TestAptSecurityOnly(ExecutorLaws):
    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, tmp_path_factory):
        root = AptRoot(tmp_path_factory.mktemp("apt") / "root")
        for name in ("web", "lib", "other"):
            root.publish("main", name, "1.0")
        root.install("web", "lib", "other")
        root.publish("security", "lib", "1.0+deb12u1")
        root.publish("security", "web", "1.0.1", depends="fresh")
        for name in ("web", "lib", "other"):
            root.publish("main", name, "2.0")
        root.publish("main", "fresh", "1.0")
        return root, keeper(root.folder)

    @pytest.fixture
    def stage(self, made, tmp_path):
        root, back = made
        back()
        return Stage(
            kind=Apt,
            settings=root.settings,
            open=local(tmp_path),
            target=Target(instance="acme-prod", host="localhost", components=("linux",)),
            orders=everything(change_class=ChangeClass.SECURITY),
            state=lambda: root.files,
            spoil=lambda: _half_configured(root),
        )


class RpmLaws(ExecutorLaws):
    manager: str
    kind: type[PackageExecutor]

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, tmp_path_factory):
        root = RpmRoot(tmp_path_factory.mktemp("rpm") / "root", cls.manager)
        root.publish(("web", "1.0"), ("lib", "1.0"), ("old", "1.0"), ("lost", "1.0"))
        root.install("web", "lib", "old")
        long_name = "a-package-with-a-name-that-is-too-long-for-a-line-of-a-table"
        root.publish(
            ("web", "1.1", f"Requires: {long_name}\nObsoletes: old"), ("lib", "1.2"), (long_name, "2026.11.23")
        )
        return root, keeper(root.folder)

    @pytest.fixture
    def stage(self, made, tmp_path):
        root, back = made
        back()
        return Stage(
            kind=self.kind,
            settings=root.settings,
            open=local(tmp_path),
            target=Target(instance="acme-prod", host="localhost", components=("linux",)),
            orders=everything(),
            state=lambda: root.state,
            spoil=lambda: _without_a_dependency(root),
            bad_settings=(*BAD_PACKAGE_SETTINGS, {"rpm": []}, {"program": ["dnf\n"]}),
        )


def _without_a_dependency(root):
    root.publish(("needy", "1.0", "Requires: lost"))
    root.install("needy", "lost")
    root.rpm("-e", "--nodeps", "lost")


class TestDnf(RpmLaws):
    manager = "dnf"
    kind = Dnf


class TestZypper(RpmLaws):
    manager = "zypper"
    kind = Zypper


class TestFake(ExecutorLaws):
    @pytest.fixture
    def stage(self, tmp_path):
        settings: dict[str, object] = {
            "mark": str(tmp_path / "applied-"),
            "stops_service": True,
            "backup": True,
            "rollback": True,
        }
        return Stage(
            kind=FakeExecutor,
            settings=settings,
            open=local(tmp_path),
            target=Target(instance="acme-prod", host="localhost", components=("linux", "intrexx")),
            orders=(
                Order(component="linux", change_class=ChangeClass.OS),
                Order(component="intrexx", change_class=ChangeClass.MINOR, release="12.1.0", installed="12.0.0"),
            ),
            state=lambda: sorted(path.name for path in tmp_path.glob("applied-*")),
            spoil=lambda: settings.update(problems=["the disk is full"]),
            bad_settings=(
                {"answer": "perhaps"},
                {"items": [{"name": ""}]},
                {"items": [{"name": "web", "version": "1"}]},
                {"command": []},
                {"mark": "applied"},
                {"seconds": -1},
            ),
        )


class TestFakeThatFindsWhatItIsTold(ExecutorLaws):
    @pytest.fixture
    def stage(self, tmp_path):
        items = [{"name": "linux", "before": "6.1.0", "after": "6.1.1"}, {"name": "bash", "before": "5.2"}]
        settings = {"mark": str(tmp_path / "applied-"), "items": items, "reboot": True, "answer": "reboot"}
        return Stage(
            kind=FakeExecutor,
            settings=settings,
            open=local(tmp_path),
            target=Target(instance="acme-prod", host="localhost", components=("linux",)),
            orders=everything(),
            state=lambda: sorted(path.name for path in tmp_path.glob("applied-*")),
            spoil=lambda: settings.update(problems=["the disk is full"]),
        )


# --- what a fake is told to come to -----------------------------------------------------------------------------------


def fake(tmp_path, **settings):
    """Plan and run what a fake is told to do; return the plan, its answers and what is found afterwards."""
    executor = FakeExecutor({"mark": str(tmp_path / "applied-"), **settings})
    target = Target(instance="acme-prod", host="localhost", components=("linux",))

    async def done():
        link = await local(tmp_path)()
        plan = await executor.plan(target, link, everything())
        answers = await run_steps(executor, link, target, plan)
        return plan, answers, await executor.verify(target, link, plan)

    return asyncio.run(done())


@pytest.mark.parametrize("answer", [Answer.POSTPONE, Answer.AGAIN, Answer.FAILED_CLEAN, Answer.FAILED])
def test_a_fake_fails_as_it_is_told(tmp_path, answer):
    _, answers, verdict = fake(tmp_path, answer=str(answer))
    assert answers == {"apply": answer}
    assert verdict.applied == ()
    assert verdict.problems == ("linux: not applied",)


def test_a_fake_that_wants_a_restart_says_so(tmp_path):
    plan, answers, verdict = fake(tmp_path, answer="reboot", reboot=True)
    assert plan.reboot
    assert answers["apply"] is Answer.REBOOT
    assert verdict.reboot_required


def test_a_fake_that_has_nothing_to_do_does_nothing(tmp_path):
    plan, answers, _ = fake(tmp_path, nothing=True)
    assert plan.empty
    assert answers == {}


def test_a_fake_finds_after_its_work_what_it_is_told(tmp_path):
    _, _, verdict = fake(tmp_path, broken=["the portal does not answer"])
    assert verdict.problems == ("the portal does not answer",)


def test_what_a_fake_undoes_can_be_planned_anew(tmp_path):
    executor = FakeExecutor({"mark": str(tmp_path / "applied-"), "rollback": True})
    target = Target(instance="acme-prod", host="localhost", components=("linux",))

    async def undone():
        link = await local(tmp_path)()
        plan = await executor.plan(target, link, everything())
        await run_steps(executor, link, target, plan)
        assert (await executor.plan(target, link, everything())).empty
        for step in executor.steps(target, plan):
            if step.phase is Phase.ROLLBACK:
                assert (await link.run(step.command, timeout_seconds=30)).ok
        return plan, await executor.plan(target, link, everything())

    first, again = asyncio.run(undone())
    assert again == first

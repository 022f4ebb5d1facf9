"""`dnf` and `zypper` work on the real programs, with real packages of rpm, in a root of their own and offline."""

import asyncio
import os
from pathlib import Path

import pytest

from maintsched.errors import ExecutionError, InvalidValue
from maintsched.executors.dnf import Dnf
from maintsched.executors.port import Answer, Item, Order, Output, Target, UpdatePlan
from maintsched.executors.transports.local import Local, LocalLink
from maintsched.executors.transports.settings import LocalSettings
from maintsched.executors.zypper import Zypper
from maintsched.facts import ChangeClass
from maintsched.testing.executors import run_steps
from tests.apt_root import keeper
from tests.rpm_root import RpmRoot

TARGET = Target(instance="acme-prod", host="localhost", components=("linux",))
KINDS = {"dnf": Dnf, "zypper": Zypper}


class Desk:
    """An executor at work on a root."""

    def __init__(self, root, jobs):
        self.root = root
        self.kind = KINDS[root.manager]
        self.settings = root.settings
        self._jobs = jobs
        self._count = 0

    def asked(self, do, target=TARGET):
        async def done():
            link = await Local({"jobs": str(self._jobs)}, self._jobs).open("localhost")
            return await do(self.kind(self.settings), link)

        return asyncio.run(done())

    def probe(self, target=TARGET):
        return self.asked(lambda executor, link: executor.probe(target, link))

    def plan(self, change_class=ChangeClass.OS, component="linux", release=None):
        order = Order(component=component, change_class=change_class, release=release)
        return self.asked(lambda executor, link: executor.plan(TARGET, link, [order]))

    def steps(self, plan):
        return self.kind(self.settings).steps(TARGET, plan)

    def apply(self, plan):
        self._count += 1
        run = f"apply-{self._count}"
        return self.asked(lambda executor, link: run_steps(executor, link, TARGET, plan, job=run))

    def verify(self, plan):
        return self.asked(lambda executor, link: executor.verify(TARGET, link, plan))

    def changes(self, plan):
        return [(item.name.partition(".")[0], item.before, item.after) for item in plan.items]


@pytest.fixture(scope="module", params=["dnf", "zypper"])
def made(request, tmp_path_factory):
    """A root with web, lib and other 1.0; newer ones are there, a fix for lib among them that is not the newest."""
    root = RpmRoot(tmp_path_factory.mktemp(request.param) / "root", request.param)
    root.publish(("web", "1.0"), ("lib", "1.0"), ("other", "1.0"), ("lost", "1.0"))
    root.install("web", "lib", "other")
    root.publish(("web", "1.1", "Requires: fresh, lib >= 1.1"), ("fresh", "1.0"), ("lib", "1.1"), ("other", "2.0"))
    return root, keeper(root.folder)


@pytest.fixture
def desk(made, tmp_path):
    root, back = made
    back()
    root.advisories.clear()
    return Desk(root, tmp_path / "jobs")


@pytest.fixture
def root(desk):
    return desk.root


def test_everything_is_upgraded_as_planned_with_what_it_needs(desk, root):
    plan = desk.plan()
    assert desk.changes(plan) == [
        ("fresh", None, "1.0-1"),
        ("lib", "1.0-1", "1.1-1"),
        ("other", "1.0-1", "2.0-1"),
        ("web", "1.0-1", "1.1-1"),
    ]
    assert set(desk.apply(plan).values()) == {Answer.DONE}
    assert root.installed == {"fresh": "1.0", "lib": "1.1", "other": "2.0", "web": "1.1"}
    verdict = desk.verify(plan)
    assert (verdict.problems, verdict.applied) == ((), plan.items)


def test_security_only_takes_what_an_advisory_names(desk, root):
    root.advise("FIX-1", "lib", "1.1")
    root.advise("NEWS-1", "other", "2.0", kind="enhancement")
    plan = desk.plan(ChangeClass.SECURITY)
    assert desk.changes(plan) == [("lib", "1.0-1", "1.1-1")]
    desk.apply(plan)
    assert root.installed == {"lib": "1.1", "other": "1.0", "web": "1.0"}
    assert desk.plan(ChangeClass.SECURITY).empty


def test_without_an_advisory_there_is_no_security_fix(desk):
    assert desk.plan(ChangeClass.SECURITY).empty


def test_what_comes_after_the_plan_waits_for_the_next_one(desk, root):
    plan = desk.plan()
    root.publish(("web", "1.2", "Requires: fresh, lib >= 1.1"), ("other", "3.0"))
    desk.apply(plan)
    assert root.installed == {"fresh": "1.0", "lib": "1.1", "other": "2.0", "web": "1.1"}
    assert desk.verify(plan).applied == plan.items


def test_a_version_that_the_repository_has_dropped_is_found_missing(desk, root):
    plan = desk.plan()
    (root.folder / "repo/noarch/other-2.0-1.noarch.rpm").unlink()
    root.index()
    root.run(*(("--refresh", "makecache") if root.manager == "dnf" else ("refresh", "--force")))
    desk.apply(plan)
    assert "other.noarch: expected 2.0-1, found 1.0-1" in desk.verify(plan).problems


def test_only_packages_of_a_component_are_upgraded_with_what_they_need(desk, root):
    desk.settings["components"] = {"webserver": ["web"]}
    plan = desk.plan(ChangeClass.MINOR, component="webserver", release="1.1")
    assert desk.changes(plan) == [("fresh", None, "1.0-1"), ("lib", "1.0-1", "1.1-1"), ("web", "1.0-1", "1.1-1")]
    desk.apply(plan)
    assert root.installed["other"] == "1.0"
    target = Target(instance="acme-prod", host="localhost", components=("webserver",))
    assert desk.probe(target).versions == {"webserver": "1.1-1"}


def test_what_is_left_to_others_stays(desk):
    desk.settings["leave"] = ["other"]
    plan = desk.plan()
    assert [name for name, _, _ in desk.changes(plan)] == ["fresh", "lib", "web"]
    assert any("left to others: other.noarch" in note for note in plan.notes)


def test_dependencies_that_are_not_met_forbid_to_begin(desk, root):
    root.publish(("needy", "1.0", "Requires: lost"))
    root.install("needy", "lost")
    root.rpm("-e", "--nodeps", "lost")
    assert desk.probe().problems


def test_a_repository_that_does_not_answer_is_an_error(desk, root):
    (root.folder / "repo").rename(root.folder / "gone")
    with pytest.raises(ExecutionError, match=f"{root.manager} (makecache|refresh) ended with"):
        desk.plan()


def test_where_nothing_was_done_nothing_counts_as_applied(desk):
    verdict = desk.verify(desk.plan())
    assert verdict.applied == ()
    assert len(verdict.problems) == 4


def test_the_job_names_every_version_and_refreshes_nothing(desk, root):
    (step,) = desk.steps(desk.plan())
    words = step.command.argv[len(root.program) :]
    if root.manager == "dnf":
        assert words[:5] == ("--setopt=metadata_expire=-1", "--setopt=exit_on_lock=True", "-y", "upgrade", "--")
        assert words[5:] == ("lib-1.1-1.noarch", "other-2.0-1.noarch", "web-1.1-1.noarch")
    else:
        install = ("install", "--auto-agree-with-licenses", "--no-recommends", "--")
        assert words[:6] == ("--non-interactive", "--no-refresh", *install)
        assert words[6:] == ("lib.noarch=1.1-1", "other.noarch=2.0-1", "web.noarch=1.1-1")
    assert not step.idempotent


def test_a_held_lock_is_another_try(desk, root):
    plan = desk.plan()
    (step,) = desk.steps(plan)
    with held_lock(root):
        command = step.command
        if root.manager == "zypper":  # how long it waits is said in the environment; here nobody waits
            command = type(command)(argv=command.argv, environment={**command.environment, "ZYPP_LOCK_TIMEOUT": "0"})
        output = desk.asked(lambda executor, link: link.run(command, timeout_seconds=60))
        assert step.answer(output.exit_code) is Answer.AGAIN, output
    assert root.installed == {"lib": "1.0", "other": "1.0", "web": "1.0"}


class held_lock:  # noqa: N801 - reads as what it does
    """The lock of a package manager, held by this process."""

    def __init__(self, root):
        place = "root/run/zypp.pid" if root.manager == "zypper" else "root/cache/metadata_lock.pid"
        self._places = [root.folder / place] if root.manager == "zypper" else _dnf_locks(root)

    def __enter__(self):
        for place in self._places:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(str(os.getppid()))

    def __exit__(self, *_):
        for place in self._places:
            place.unlink(missing_ok=True)


def _dnf_locks(root) -> list[Path]:
    folders = [root.folder / "cache", root.folder / "persist", root.folder / "root" / str(root.folder / "persist")[1:]]
    return [folder / f"{name}_lock.pid" for folder in folders for name in ("metadata", "download", "rpmdb")]


# --- dnf alone --------------------------------------------------------------------------------------------------------


DNF = pytest.mark.parametrize("made", ["dnf"], indirect=True)


@DNF
def test_dnf_says_that_a_restart_is_needed_by_1(desk):
    assert not desk.probe().reboot_required
    desk.root.reboot_flag.touch()
    assert desk.probe().reboot_required


@DNF
def test_a_host_whose_dnf_cannot_tell_of_restarts_is_not_worked_on(desk):
    (desk.root.folder / "plugins/needs_restarting.py").unlink()
    (problem,) = desk.probe().problems
    assert problem.endswith("install the package dnf-plugins-core (or dnf-utils)")


@DNF
def test_the_mending_version_is_taken_and_not_the_newest(desk):
    desk.root.publish(("lib", "1.2"))
    desk.root.advise("FIX-1", "lib", "1.1")
    assert desk.changes(desk.plan(ChangeClass.SECURITY)) == [("lib", "1.0-1", "1.1-1")]


@DNF
def test_what_replaces_another_package_removes_it_in_the_plan(desk):
    desk.root.publish(("new", "1.0", "Obsoletes: other < 3.0"))
    plan = desk.plan()
    assert ("other", "1.0-1", None) in desk.changes(plan)
    desk.apply(plan)
    assert desk.verify(plan).applied == plan.items
    assert "other" not in desk.root.installed


@DNF
def test_a_table_whose_lines_are_broken_is_read(desk):
    name = "a-package-with-a-name-that-is-too-long-for-a-line-of-a-table"
    desk.root.publish(("lib", "1.2", f"Requires: {name}"), (name, "1.0.20261123094206.deadbeefcafe"))
    assert (name, None, "1.0.20261123094206.deadbeefcafe-1") in desk.changes(desk.plan())


# --- zypper alone -----------------------------------------------------------------------------------------------------


ZYPPER = pytest.mark.parametrize("made", ["zypper"], indirect=True)


@ZYPPER
def test_the_patches_of_a_plan_are_named(desk):
    desk.root.advise("FIX-1", "lib", "1.1")
    assert desk.plan(ChangeClass.SECURITY).notes == ("patches: FIX-1",)


@ZYPPER
def test_zypper_says_that_a_restart_is_needed_by_102(desk):
    flag = desk.root.folder / "root/run/reboot-needed"
    flag.parent.mkdir(exist_ok=True)
    assert not desk.probe().reboot_required
    flag.touch()
    assert desk.probe().reboot_required


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (0, Answer.DONE),
        (4, Answer.FAILED),
        (7, Answer.AGAIN),
        (8, Answer.FAILED),
        (102, Answer.REBOOT),
        (103, Answer.AGAIN),
        (104, Answer.FAILED_CLEAN),
        (106, Answer.DONE),
        (107, Answer.FAILED),
    ],
)
def test_how_zypper_ends_means_what_its_manual_says(code, answer):
    item = Item(name="lib.noarch", before="1.0-1", after="1.1-1")
    (step,) = Zypper({}).steps(TARGET, UpdatePlan(items=(item,), data={"pins": [item.name]}))
    assert step.answer(code) is answer


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><stream>&a;</stream>',
        "<stream><install-summary>",
        "",
        "<stream><install-summary><vanish><solvable type='package' name='a'/></vanish></install-summary></stream>",
    ],
)
def test_a_document_that_is_not_understood_is_no_plan(document):
    with pytest.raises(ExecutionError, match="says what is not understood"):
        asyncio.run(Zypper({}).plan(TARGET, Says(document), [Order(component="linux", change_class=ChangeClass.OS)]))


def test_whoever_holds_the_lock_while_we_look_is_named():
    for executor, code in ((Dnf({}), 200), (Zypper({}), 7)):
        (problem,) = asyncio.run(executor._broken(Says("", exit_code=code)))
        assert (
            problem == f"{executor.name} is busy: another package manager holds its lock; try again when it has ended"
        )


def test_a_zypper_that_cannot_tell_of_restarts_is_a_problem():
    found = asyncio.run(Zypper({})._reboot(Says("Unknown command 'needs-rebooting'", exit_code=2)))
    assert not found.required
    assert found.problems[0].endswith("Unknown command 'needs-rebooting': a newer zypper is needed")


def test_an_answer_that_is_too_long_to_be_read_is_no_plan():
    link = Says("<stream/>", cut=True)
    with pytest.raises(ExecutionError, match="its output is too long to be read"):
        asyncio.run(Zypper({}).plan(TARGET, link, [Order(component="linux", change_class=ChangeClass.OS)]))


class Says(LocalLink):
    """A host on which every command prints the same: what no real one says has to be made up."""

    def __init__(self, text, exit_code=0, cut=False):
        super().__init__("acme.example", LocalSettings())
        self._output = Output(exit_code=exit_code, stdout=text, cut=cut)

    async def run(self, command, *, timeout_seconds):
        return self._output


# --- hostile names ----------------------------------------------------------------------------------------------------

HOSTILE = [
    ("-oProxy.noarch", "1.0-1"),
    ("--root=x.noarch", "1.0-1"),
    ("web lib.noarch", "1.0-1"),
    ("we'b.noarch", "1.0-1"),
    ('we"b.noarch', "1.0-1"),
    ("web.noarch", "1.0-1;id"),
    ("web.noarch", "$(id)-1"),
    ("web.noarch", "1.0"),
    ("web.noarch", "-1.0-1"),
    ("web", "1.0-1"),
]


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize(("name", "version"), HOSTILE)
def test_a_plan_that_was_tampered_with_makes_no_step(kind, name, version):
    plan = UpdatePlan(items=(Item(name=name, before=None, after=version),), data={"pins": [name]})
    with pytest.raises(InvalidValue, match="a name and a version of rpm"):
        kind({}).steps(TARGET, plan)


@pytest.mark.parametrize("name", ["-oProxy", "--root=x", "we'b", "web;id"])
def test_a_repository_cannot_smuggle_an_option_into_a_plan(name):
    solvable = f'<solvable type="package" name="{name}" edition="1-1" arch="noarch"/>'
    document = f"<stream><install-summary><to-install>{solvable}</to-install></install-summary></stream>"
    rule = "=" * 80
    table = f"{rule}\n Package Arch\n{rule}\nInstalling:\n {name} noarch 1-1 made 5 k\n\nTransaction Summary\n{rule}\n"
    order = Order(component="linux", change_class=ChangeClass.OS)
    with pytest.raises(ExecutionError, match="says what is not understood"):
        asyncio.run(Zypper({}).plan(TARGET, Says(document), [order]))
    with pytest.raises(ExecutionError, match="says what is not understood"):
        asyncio.run(Dnf({})._simulated(Says(f"{table}Operation aborted.", exit_code=1), ("upgrade",)))


def test_a_section_that_nobody_knows_is_no_plan():
    rule = "=" * 80
    table = f"{rule}\n Package Arch\n{rule}\nVanishing:\n web noarch 1-1 made 5 k\n\nTransaction Summary\n{rule}\n"
    with pytest.raises(ExecutionError, match="says what is not understood"):
        asyncio.run(Dnf({})._simulated(Says(f"{table}Operation aborted.", exit_code=1), ("upgrade",)))

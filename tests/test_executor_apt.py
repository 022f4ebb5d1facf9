"""`apt` works on a real apt and a real dpkg in a root of their own, as root and as an ordinary user, offline."""

import asyncio
import os
import shutil
from dataclasses import replace

import pytest

from maintsched.errors import ExecutionError, InvalidValue
from maintsched.executors.apt import Apt
from maintsched.executors.packagesettings import plain_version
from maintsched.executors.port import Answer, Item, Order, Phase, Target, UpdatePlan
from maintsched.executors.transports.local import Local
from maintsched.facts import ChangeClass
from maintsched.testing.executors import run_steps
from tests.apt_root import ORDINARY, AptRoot, LinkAs, open_folder

DEBIAN, SECURITY = "Debian:12/stable", "Debian-Security:12/stable-security"
TARGET = Target(instance="acme-prod", host="localhost", components=("linux",))
HOSTILE = "-oDebug::NoLocking=1"


class Desk:
    """An executor at work on a root."""

    def __init__(self, root, jobs):
        self.root = root
        self.settings = root.settings
        self._jobs = jobs
        self._count = 0

    def asked(self, do, target=TARGET):
        async def done():
            link = await Local({"jobs": str(self._jobs)}, self._jobs).open("localhost")
            return await do(Apt(self.settings), LinkAs(link, self.root.user) if self.root.user else link)

        return asyncio.run(done())

    def probe(self, target=TARGET):
        return self.asked(lambda apt, link: apt.probe(target, link))

    def plan(self, change_class=ChangeClass.OS, component="linux", release=None):
        order = Order(component=component, change_class=change_class, release=release)
        return self.asked(lambda apt, link: apt.plan(TARGET, link, [order]))

    def steps(self, plan):
        return Apt(self.settings).steps(TARGET, plan)

    def apply(self, plan):
        self._count += 1
        return self.asked(lambda apt, link: run_steps(apt, link, TARGET, plan, job=f"apply-{self._count}"))

    def verify(self, plan):
        return self.asked(lambda apt, link: apt.verify(TARGET, link, plan))


def requires_user(name):
    """Return what makes commands those of a user; skip where that cannot be."""
    if name == "root" and os.geteuid() != 0:
        pytest.skip("only root can be root")
    if name == "ordinary" and os.geteuid() == 0 and shutil.which(ORDINARY[0]) is None:
        pytest.skip("setpriv is missing: package util-linux")
    return ORDINARY if name == "ordinary" and os.geteuid() == 0 else ()


@pytest.fixture(params=["root", "ordinary"])
def desk(request, tmp_path):
    user = requires_user(request.param)
    with open_folder() as folder:
        yield Desk(AptRoot(folder / "root", user=user), tmp_path / "jobs")


@pytest.fixture
def root(desk):
    return desk.root


# --- what is planned is what is done ----------------------------------------------------------------------------------


def test_everything_is_upgraded_as_planned_with_what_it_needs_and_without_what_it_replaces(desk, root):
    for name in ("web", "lib", "old"):
        root.publish("main", name, "1.0")
    root.install("web", "lib", "old")
    root.publish("main", "web", "2.0", depends="lib (>= 1.1), fresh", conflicts="old")
    root.publish("main", "lib", "1.1")
    root.publish("main", "fresh", "1.0")
    plan = desk.plan()
    assert plan.items == (
        Item(name="fresh", before=None, after="1.0", origin=DEBIAN),
        Item(name="lib", before="1.0", after="1.1", origin=DEBIAN),
        Item(name="old", before="1.0", after=None),
        Item(name="web", before="1.0", after="2.0", origin=DEBIAN),
    )
    assert set(desk.apply(plan).values()) == {Answer.DONE}
    assert root.status == {"fresh": "1.0 ii", "lib": "1.1 ii", "web": "2.0 ii"}
    verdict = desk.verify(plan)
    assert (verdict.problems, verdict.applied) == ((), plan.items)


def test_what_comes_after_the_plan_waits_for_the_next_one(desk, root):
    for name in ("web", "lib"):
        root.publish("main", name, "1.0")
    root.install("web", "lib")
    root.publish("main", "web", "1.1", depends="fresh")
    root.publish("main", "fresh", "1.0")
    plan = desk.plan()
    for name in ("web", "lib", "fresh"):
        root.publish("main", name, "1.2")
    root.apt_get("update")  # as the timer of a host does in the midst of everything
    desk.apply(plan)
    assert root.status == {"web": "1.1 ii", "lib": "1.0 ii", "fresh": "1.0 ii"}
    assert desk.verify(plan).applied == plan.items


def test_a_version_that_the_archive_has_dropped_fails_and_changes_nothing(desk, root):
    for name in ("web", "lib"):
        root.publish("main", name, "1.0")
    root.install("web", "lib")
    for name in ("web", "lib"):
        root.publish("main", name, "1.1")
    plan = desk.plan()
    (root.folder / "main/web_1.1.deb").unlink()
    root.publish("main", "web", "1.2")
    root.apt_get("update")
    assert desk.apply(plan)["upgrade"] is Answer.FAILED
    assert desk.verify(plan).applied == ()
    assert root.status == {"web": "1.0 ii", "lib": "1.0 ii"}


def test_marks_of_what_was_installed_by_hand_stay_as_they_were(desk, root):
    root.publish("main", "web", "1.0", depends="lib")
    root.publish("main", "lib", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1", depends="lib, fresh")
    root.publish("main", "lib", "1.1")
    root.publish("main", "fresh", "1.0")
    desk.apply(desk.plan())
    assert root.mark("showmanual").split() == ["web"]
    assert sorted(root.mark("showauto").split()) == ["fresh", "lib"]


def test_only_packages_of_a_component_are_upgraded_with_what_they_need(desk, root):
    for name in ("nginx", "nginx-common", "bash", "lib"):
        root.publish("main", name, "1.22.1-9+deb12u1")
    root.install("nginx", "nginx-common", "bash", "lib")
    for name in ("nginx", "nginx-common"):
        root.publish("main", name, "1.22.1-9+deb12u2", depends="lib (>= 1.22.1-9+deb12u2)")
    for name in ("bash", "lib"):
        root.publish("main", name, "1.22.1-9+deb12u2")
    plan = desk.plan(ChangeClass.MINOR, component="webserver")
    assert [item.name for item in plan.items] == ["lib", "nginx", "nginx-common"]
    assert plan.notes == ("comes along, because the others need it: lib",)
    target = Target(instance="acme-prod", host="localhost", components=("webserver",))
    assert desk.probe(target).versions == {"webserver": "1.22.1-9+deb12u1"}


def test_a_release_that_is_ordered_is_what_goes_in_or_nothing_does(desk, root):
    root.publish("main", "nginx", "1.22.1-9")
    root.install("nginx")
    with pytest.raises(ExecutionError, match=r"webserver 1\.24\.0 is ordered, the archives have nothing newer"):
        desk.plan(ChangeClass.MINOR, component="webserver", release="1.24.0")
    root.publish("main", "nginx", "1.26.0-1")
    with pytest.raises(ExecutionError, match=r"have 1\.26\.0-1 to install; installed is 1\.22\.1-9"):
        desk.plan(ChangeClass.MINOR, component="webserver", release="1.24.0")
    assert desk.plan(ChangeClass.MINOR, component="webserver", release="1.26.0").items[0].after == "1.26.0-1"
    assert desk.plan(ChangeClass.MAJOR, component="webserver", release="1.26").items[0].after == "1.26.0-1"


def test_a_release_that_is_there_already_is_nothing_to_do(desk, root):
    root.publish("main", "nginx", "1.26.0-1")
    root.install("nginx")
    assert desk.plan(ChangeClass.MINOR, component="webserver", release="1.24.0").empty


# --- security only ----------------------------------------------------------------------------------------------------


def test_security_only_takes_the_fix_and_not_what_is_newer(desk, root):
    for name in ("web", "lib", "other"):
        root.publish("main", name, "1.0")
    root.install("web", "lib", "other")
    root.publish("security", "lib", "1.0+deb12u1")
    for name in ("web", "lib", "other"):
        root.publish("main", name, "2.0")
    plan = desk.plan(ChangeClass.SECURITY)
    assert plan.items == (Item(name="lib", before="1.0", after="1.0+deb12u1", origin=SECURITY),)
    desk.apply(plan)
    assert root.status == {"web": "1.0 ii", "lib": "1.0+deb12u1 ii", "other": "1.0 ii"}
    assert desk.plan(ChangeClass.SECURITY).empty


def test_what_a_security_fix_needs_is_in_the_plan_with_its_origin(desk, root):
    for name in ("web", "lib"):
        root.publish("main", name, "1.0")
    root.install("web", "lib")
    root.publish("security", "web", "1.0.1", depends="lib (>= 1.1), fresh")
    root.publish("main", "lib", "1.1")
    root.publish("main", "fresh", "1.0")
    plan = desk.plan(ChangeClass.SECURITY)
    assert [(item.name, item.origin) for item in plan.items] == [
        ("fresh", DEBIAN),
        ("lib", DEBIAN),
        ("web", SECURITY),
    ]
    assert plan.notes == ("comes along, because the others need it: fresh lib",)
    desk.apply(plan)
    assert desk.verify(plan).applied == plan.items


def test_which_archives_mend_holes_can_be_said(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1")
    assert desk.plan(ChangeClass.SECURITY).empty
    desk.settings["security_origins"] = ["Debian:sta*"]
    assert desk.plan(ChangeClass.SECURITY).items[0].after == "1.1"


def test_an_older_version_of_a_security_archive_is_no_fix(desk, root):
    root.publish("main", "web", "2.0")
    root.install("web")
    root.publish("security", "web", "1.9")
    assert desk.plan(ChangeClass.SECURITY).empty


def test_a_package_on_hold_is_kept_back_and_said(desk, root):
    for name in ("web", "lib"):
        root.publish("main", name, "1.0")
    root.install("web", "lib")
    root.mark("hold", "web")
    root.publish("security", "web", "1.0.1")
    root.publish("main", "lib", "1.1")
    plan = desk.plan()
    assert [item.name for item in plan.items] == ["lib"]
    assert plan.notes == ("kept back: web",)
    security = desk.plan(ChangeClass.SECURITY)
    assert security.empty
    assert security.notes == ("web is on hold: its security fix 1.0.1 does not go in; `apt-mark unhold web`",)
    desk.apply(plan)
    assert root.status == {"web": "1.0 hi", "lib": "1.1 ii"}


def test_what_is_left_to_others_stays_and_is_said(desk, root):
    for name in ("postgresql-15", "bash", "lib"):
        root.publish("main", name, "15.4-1")
    root.install("postgresql-15", "bash", "lib")
    for name in ("postgresql-15", "bash"):
        root.publish("main", name, "15.5-1")
    desk.settings["leave"] = ["postgresql-*"]
    plan = desk.plan()
    assert [item.name for item in plan.items] == ["bash"]
    assert plan.notes == ("left to others: postgresql-15",)
    root.publish("main", "lib", "15.5-1", breaks="postgresql-15 (<< 15.5)")
    with pytest.raises(ExecutionError, match="postgresql-15 would change, and is left to others"):
        desk.plan()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_changed_configuration_file_stays_and_nobody_is_asked(desk, root):
    root.publish("main", "web", "1.0", conffiles={"etc/web.conf": "as delivered\n"})
    root.install("web")
    (root.folder / "etc/web.conf").write_text("as the operator wants it\n")
    root.publish("main", "web", "1.1", conffiles={"etc/web.conf": "delivered anew\n"})
    plan = desk.plan()
    assert desk.apply(plan) == {"lock": Answer.DONE, "upgrade": Answer.DONE}
    assert desk.verify(plan).problems == ()
    assert (root.folder / "etc/web.conf").read_text() == "as the operator wants it\n"
    assert (root.folder / "etc/web.conf.dpkg-dist").read_text() == "delivered anew\n"


def test_a_failed_postinst_fails_the_step_and_the_next_look_forbids_to_begin(desk, root):
    for name in ("web", "lib"):
        root.publish("main", name, "1.0")
    root.install("web", "lib")
    root.publish("main", "web", "1.1", postinst="exit 1")
    plan = desk.plan()
    assert desk.apply(plan) == {"lock": Answer.DONE, "upgrade": Answer.FAILED}
    way_out = "web is half configured (iF): run `dpkg --configure -a`, then `apt-get -f install`"
    verdict = desk.verify(plan)
    assert verdict.problems == (way_out,)
    assert verdict.applied == plan.items  # it did change: no clean failure
    assert desk.probe().problems == (way_out,)


def test_a_download_that_fails_changes_nothing(desk, root):
    for name in ("web", "lib"):
        root.publish("main", name, "1.0")
    root.install("web", "lib")
    for name in ("web", "lib"):
        root.publish("main", name, "1.1")
    plan = desk.plan()
    (root.folder / "main/web_1.1.deb").unlink()
    assert desk.apply(plan)["upgrade"] is Answer.FAILED
    verdict = desk.verify(plan)
    assert verdict.applied == ()
    assert verdict.problems == ("lib: expected 1.1, found 1.0", "web: expected 1.1, found 1.0")


def test_a_held_lock_stands_in_no_look_s_way_and_the_work_waits_for_another_try(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1")
    with root.locked():
        assert desk.probe().problems == ()
        plan = desk.plan()
        lock = desk.steps(plan)[0]
        assert "DPkg::Lock::Timeout=300" in lock.command.argv
        # How long it waits is an option of the command; here nobody waits for five minutes.
        hasty = tuple(word.replace("Timeout=300", "Timeout=0") for word in lock.command.argv)
        command = replace(lock.command, argv=hasty)
        output = desk.asked(lambda apt, link: link.run(command, timeout_seconds=30))
        assert "Could not get lock" in output.stderr
        assert lock.answer(output.exit_code) is Answer.AGAIN
    assert root.status == {"web": "1.0 ii"}
    assert desk.apply(plan)["upgrade"] is Answer.DONE


def test_an_archive_that_does_not_answer_is_an_error_and_old_lists_are_not_used(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1")
    with (root.folder / "etc/apt/sources.list").open("a") as sources:
        sources.write("deb [trusted=yes] http://127.0.0.1:9/gone ./\n")
    with pytest.raises(ExecutionError, match="apt-get update ended with 100"):
        desk.plan()


def test_dependencies_that_are_not_met_forbid_to_begin(desk, root):
    root.publish("main", "web", "1.0", depends="lib")
    root.publish("main", "lib", "1.0")
    root.install("web")
    status = root.folder / "var/lib/dpkg/status"
    status.write_text(status.read_text().replace("Depends: lib", "Depends: lib (>= 3)"))
    assert "run `apt-get -f install`" in desk.probe().problems[0]


def test_a_full_disk_forbids_to_begin(desk):
    desk.settings |= {"disk_free_mb": 10**9}
    assert "/: " in desk.probe().problems[0]
    assert "1000000000 MB are needed" in desk.probe().problems[0]


def test_somebody_who_changes_a_package_meanwhile_is_found_out(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1")
    plan = desk.plan()
    root.publish("main", "web", "1.2")
    root.install("web")
    verdict = desk.verify(plan)
    assert verdict.problems == ("web: expected 1.1, found 1.2",)
    assert verdict.applied == (Item(name="web", before="1.0", after="1.2", origin=DEBIAN),)


# --- restarts ---------------------------------------------------------------------------------------------------------


def test_the_flag_of_a_restart_is_seen_before_and_after(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1", postinst=f"touch {root.reboot_flag}")
    assert not desk.probe().reboot_required
    plan = desk.plan()
    assert not plan.reboot
    desk.apply(plan)
    assert desk.verify(plan).reboot_required
    assert desk.probe().reboot_required


def test_a_new_kernel_needs_a_restart(desk, root):
    root.publish("main", "linux-image-amd64", "6.1.99-1")
    root.install("linux-image-amd64")
    root.publish("main", "linux-image-amd64", "6.1.106-3", depends="linux-image-6.1.0-25-amd64")
    root.publish("main", "linux-image-6.1.0-25-amd64", "6.1.106-3")
    assert desk.plan().reboot


@pytest.mark.parametrize(
    ("said", "required"),
    [
        ("NEEDRESTART-KSTA: 1", False),
        ("NEEDRESTART-KSTA: 3", True),
        ("NEEDRESTART-UCSTA: 2", True),
        ("NEEDRESTART-SVC: nginx.service", True),
    ],
)
def test_services_that_run_old_code_need_a_restart(desk, root, said, required):
    program = root.folder / "needrestart"
    program.write_text(f'#!/bin/sh\n[ "$*" = -b ] || exit 9\necho NEEDRESTART-VER: 3.6\necho {said}\n')
    program.chmod(0o755)
    desk.settings["needrestart"] = str(program)
    assert desk.probe().reboot_required is required


def test_services_are_restarted_where_that_is_wanted(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1")
    program, told = root.folder / "needrestart", root.folder / "var/log/told"
    program.write_text(f'#!/bin/sh\necho "$*" >>{told}\n')
    program.chmod(0o755)
    desk.settings |= {"needrestart": str(program), "restart_services": True}
    plan = desk.plan()
    assert list(desk.apply(plan)) == ["lock", "upgrade", "restart-services"]
    assert told.read_text() == "-r a -q\n"


# --- what comes after -------------------------------------------------------------------------------------------------


def test_a_server_looks_at_its_configuration_before_it_is_told_to_read_it(desk, root):
    root.publish("main", "nginx", "1.22.1-9")
    root.install("nginx")
    root.publish("main", "nginx", "1.22.1-10")
    del desk.settings["after"]
    steps = desk.steps(desk.plan())
    assert [(step.name, step.command.argv) for step in steps[2:]] == [
        ("after-1-nginx", ("nginx", "-t")),
        ("after-2-systemctl", ("systemctl", "try-reload-or-restart", "nginx")),
    ]
    assert all(step.phase is Phase.APPLY and step.idempotent for step in steps[2:])


def test_nothing_comes_after_what_did_not_change(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1")
    del desk.settings["after"]
    assert [step.name for step in desk.steps(desk.plan())] == ["lock", "upgrade"]


# --- how it is called -------------------------------------------------------------------------------------------------


def test_the_work_is_one_job_with_just_these_options(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1")
    step = desk.steps(desk.plan())[1]
    assert step.command.argv == (
        "apt-get",
        "-q",
        "-y",
        "-o",
        "DPkg::Lock::Timeout=300",
        "-o",
        "Dpkg::Use-Pty=0",
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
        "install",
        "--mark-auto",
        "--",
        "web=1.1",
    )
    said = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "LC_ALL": "C.UTF-8"}
    assert said.items() <= step.command.environment.items()
    assert step.command.stdin == b""
    assert not step.idempotent


def test_sudo_stands_before_the_work_and_carries_the_environment(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1")
    desk.settings["sudo"] = ["env", "-i"]  # keeps nothing of the environment either
    plan = desk.plan()
    step = desk.steps(plan)[1]
    assert step.command.argv[:3] == ("env", "-i", "env")
    assert "DEBIAN_FRONTEND=noninteractive" in step.command.argv
    assert not step.command.environment
    assert desk.apply(plan)["upgrade"] is Answer.DONE
    assert root.status == {"web": "1.1 ii"}


# --- hostile names ----------------------------------------------------------------------------------------------------


HOSTILE_NAMES = (HOSTILE, "-o", "--help", "web;id", "web$(id)", "we'b", 'we"b', "../web")
HOSTILE_VERSIONS = ("1.0;id", "$(id)", "-o", "1.0'", '1.0"', "1.0(x)", "1 .0", "1.0 [x]")


def test_an_archive_cannot_smuggle_an_option_or_a_command_into_a_name_or_version(desk, root):
    root.publish("main", "web", "1.0")
    root.install("web")
    root.publish("main", "web", "1.1", depends="needed")
    before = root.files
    hostile = [(name, "1.0") for name in HOSTILE_NAMES] + [("fresh", version) for version in HOSTILE_VERSIONS]
    for name, version in hostile:
        # Nothing was built under that name: an index says what it likes.
        fields = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: x\nProvides: needed\n"
        root.index("main", more=f"{fields}Description: x\nFilename: ./web_1.1.deb\nSize: 1\nSHA256: 00\n\n")
        expected = "Version '1' for 'fresh' was not found" if version == "1 .0" else "says what is not understood"
        with pytest.raises(ExecutionError, match=expected):
            desk.plan()
    root.index("main")
    assert {name: text for name, text in root.files.items() if not name.startswith("main/")} == {
        name: text for name, text in before.items() if not name.startswith("main/")
    }


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (HOSTILE, "1.0"),
        ("-o", "1.0"),
        ("web lib", "1.0"),
        ("web", "1.0 -oX=1"),
        ("web", "-o"),
        ("web'", "1.0"),
        ('web"', "1.0"),
        ("web\n", "1.0"),
        ("web/../lib", "1.0"),
        ("", "1.0"),
    ],
)
def test_a_plan_that_was_tampered_with_makes_no_step(name, version):
    item = Item(name=name, before=None, after=version)
    with pytest.raises(InvalidValue, match="a name and a version of Debian"):
        Apt({}).steps(TARGET, UpdatePlan(items=(item,), data={"pins": [name]}))


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_component_whose_packages_nobody_named_is_refused():
    target = Target(instance="acme-prod", host="localhost", components=("linux", "search"))
    assert Apt({}).validate(target) == (
        "component search: its packages are not known; name them under settings.apt.components",
    )
    assert Apt({"components": {"search": ["solr*"]}}).validate(target) == ()


def test_an_order_for_a_component_that_is_not_known_is_refused(desk):
    with pytest.raises(ExecutionError, match="component search: its packages are not known"):
        desk.plan(ChangeClass.MINOR, component="search")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.22.1-9+deb12u1", "1.22.1-9+deb12u1"),
        ("4:7.4.7-1", "7.4.7-1"),
        ("6.1.0-18-amd64", "6.1.0-18-amd64"),
        ("5.14.0-362.el9.x86_64", "5.14.0-362.el9"),
        ("1.22.1~rc1-1", "1.22.1"),
        ("20261123", None),
        ("n/a", None),
    ],
)
def test_the_version_of_a_package_is_told_as_a_component_s(text, version):
    assert plain_version(text) == version

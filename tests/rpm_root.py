"""A real dnf, zypper and rpm in a root of their own, with packages that rpmbuild makes, and without network.

Both want to be root, even there. Elsewhere, and where a program is missing, the tests are skipped with the reason; with
MAINTSCHED_NEEDS_DNF or MAINTSCHED_NEEDS_ZYPPER set, they fail. On Debian the programs are those of the packages dnf,
zypper, rpm and createrepo-c; what Debian does not have beside zypper, dnf's `needs-restarting`, is a plug-in of the
tests that ends as the real one does.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: for tests
License: MIT
BuildArch: noarch
{lines}
%description
For tests.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {version} > %{{buildroot}}/usr/share/{name}/version
%files
/usr/share/{name}/version
"""
ADVISORY = """<update from="a@b.example" status="stable" type="{kind}" version="1"><id>{key}</id><title>{key}</title>
<severity>Important</severity><issued date="2026-11-01 00:00:00"/><description>for tests</description>
<pkglist><collection short="made"><name>made</name><package name="{name}" version="{version}" release="1" epoch="0"
arch="noarch" src="{name}-{version}-1.src.rpm"><filename>{name}-{version}-1.noarch.rpm</filename></package></collection>
</pkglist></update>"""
CONFIGURATION = """[main]
gpgcheck=0
reposdir={folder}/repos
cachedir={folder}/cache
logdir={folder}/log
persistdir={folder}/persist
varsdir={folder}/vars
pluginpath={folder}/plugins
pluginconfpath={folder}/plugins
"""
NEEDS_RESTARTING = """
import os
import dnf
import dnf.cli

@dnf.plugin.register_command
class NeedsRestarting(dnf.cli.Command):
    aliases = ("needs-restarting",)
    summary = "says whether a restart is needed, as the plug-in of dnf-plugins-core does"

    @staticmethod
    def set_argparser(parser):
        parser.add_argument("-r", "--reboothint", action="store_true")

    def run(self):
        assert self.opts.reboothint
        if not os.path.exists("{flag}"):
            print("No core libraries or services have been updated since boot-up.\\nReboot should not be necessary.")
            return
        print("Core libraries or services have been updated since boot-up:\\n  * kernel\\n")
        print("Reboot is required to fully utilize these updates.")
        raise dnf.exceptions.Error()
"""
BUILDERS = ("rpm", "rpmbuild", "createrepo_c", "modifyrepo_c")


def require(manager: str) -> None:
    """Skip the test where there is no such package manager; fail it where one was promised."""
    missing = [name for name in (manager, *BUILDERS) if shutil.which(name) is None]
    lacks = f"{', '.join(missing)} missing" if missing else "only root may change anything with it"
    reason = f"no {manager} here: {lacks}"
    cannot = bool(missing) or os.geteuid() != 0
    if cannot and f"MAINTSCHED_NEEDS_{manager.upper()}" in os.environ:
        pytest.fail(reason)
    if cannot:
        pytest.skip(reason)


class RpmRoot:
    """A root with a database of rpm and one repository."""

    def __init__(self, folder: Path, manager: str) -> None:
        require(manager)
        self.folder = folder
        self.manager = manager
        self.advisories: list[str] = []
        for each in ("root", "repo", "repos", "plugins", "built"):
            (folder / each).mkdir(parents=True)
        (folder / "repos/made.repo").write_text(f"[made]\nname=made\nbaseurl=file://{folder}/repo\nenabled=1\n")
        (folder / "dnf.conf").write_text(CONFIGURATION.format(folder=folder))
        (folder / "plugins/needs_restarting.py").write_text(NEEDS_RESTARTING.replace("{flag}", str(self.reboot_flag)))
        if manager == "zypper":
            self.run("addrepo", "--no-gpgcheck", f"file://{folder}/repo", "made")

    @property
    def reboot_flag(self) -> Path:
        return self.folder / "reboot"

    @property
    def program(self) -> list[str]:
        """The package manager, working in this root."""
        if self.manager == "zypper":
            return ["zypper", "--root", str(self.folder / "root"), "--no-gpg-checks"]
        root = f"--installroot={self.folder / 'root'}"
        return ["dnf", "-c", str(self.folder / "dnf.conf"), root, "--releasever=9"]

    @property
    def settings(self) -> dict[str, object]:
        rpm = ["rpm", f"--root={self.folder / 'root'}"]
        return {"program": self.program, "rpm": rpm, "disk_free_mb": 0, "boot_free_mb": 0, "after": {}}

    def publish(self, *packages: tuple[str, str] | tuple[str, str, str]) -> None:
        """Make packages, each with name, version and further lines, and put them into the repository."""
        for name, version, *lines in packages:
            spec = self.folder / "built" / f"{name}-{version}.spec"
            spec.write_text(SPEC.format(name=name, version=version, lines="\n".join(lines)))
            top = ["--define", f"_topdir {self.folder / 'built'}", "--define", f"_rpmdir {self.folder / 'repo'}"]
            _run(["rpmbuild", "-bb", *top, str(spec)])
        self.index()

    def advise(self, key: str, name: str, version: str, kind: str = "security") -> None:
        """Publish an advisory that says which version mends what."""
        self.advisories.append(ADVISORY.format(key=key, name=name, version=version, kind=kind))
        self.index()

    def index(self) -> None:
        _run(["createrepo_c", "-q", str(self.folder / "repo")])
        if self.advisories:
            path = self.folder / "updateinfo.xml"
            path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<updates>{"".join(self.advisories)}</updates>')
            _run(["modifyrepo_c", "--mdtype=updateinfo", str(path), str(self.folder / "repo/repodata")])

    def install(self, *names: str) -> None:
        """Install packages by hand."""
        if self.manager == "zypper":
            self.run("--non-interactive", "refresh")
            self.run("--non-interactive", "install", "--no-recommends", *names)
        else:
            self.run("-y", "--refresh", "install", *names)

    def run(self, *words: str) -> str:
        return _run([*self.program, *words])

    def rpm(self, *words: str) -> str:
        return _run(["rpm", f"--root={self.folder / 'root'}", *words])

    @property
    def installed(self) -> dict[str, str]:
        rows = self.rpm("-qa", "--qf", "%{NAME}\t%{VERSION}\n").splitlines()
        return dict(sorted(row.split("\t") for row in rows))

    @property
    def state(self) -> object:
        """What is installed, and every file that packages brought."""
        paths = sorted((self.folder / "root/usr/share").rglob("version"))
        return self.installed, {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout

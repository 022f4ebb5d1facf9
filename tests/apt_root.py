"""A real apt and a real dpkg in a root of their own: no privileges, no network, nothing of this machine is touched.

    root = AptRoot(folder)  # or AptRoot(folder, user=ORDINARY), where root is to be somebody else
    root.publish("main", "web", "1.0", depends="lib")
    root.apt_get("install", "web")

Its archives are folders of packages that `dpkg-deb` makes: `main` (Debian) and `security` (Debian-Security).
Where apt or dpkg-deb is missing, the tests are skipped with the reason; with MAINTSCHED_NEEDS_APT set, they fail.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from maintsched.executors.port import Command, Job, Link, Output

ORDINARY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
"""Makes a command that of a user with no rights at all."""
LABELS = {"main": ("Debian", "stable"), "security": ("Debian-Security", "stable-security")}
CONFIGURATION = """
Dir "{root}";
Dir::State::status "{root}/var/lib/dpkg/status";
Dir::Bin::dpkg "/usr/bin/dpkg";
Dir::Bin::methods "/usr/lib/apt/methods";
APT::Sandbox::User "";
Acquire::Retries "0";
DPkg::Path "";
DPkg::Options {{"--root={root}"; "--force-not-root"; "--force-script-chrootless"; "--log={root}/var/log/dpkg.log";}};
DPkg::Options {{"--force-unsafe-io";}};
"""
FOLDERS = (
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "made",
    "var/cache/apt/archives/partial",
    "var/lib/apt/lists/partial",
    "var/lib/dpkg/info",
    "var/lib/dpkg/triggers",
    "var/lib/dpkg/updates",
    "var/log/apt",
    "var/run",
)
PROGRAMS = ("apt-get", "dpkg", "dpkg-deb", "dpkg-query")


def require_apt() -> None:
    """Skip the test where there is no apt; fail it where one was promised."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    reason = f"no apt here: {', '.join(missing)} missing"
    if missing and "MAINTSCHED_NEEDS_APT" in os.environ:
        pytest.fail(reason)
    if missing:
        pytest.skip(reason)


class AptRoot:
    """A root with an apt, a dpkg and two archives of its own."""

    def __init__(self, folder: Path, *, user: Sequence[str] = ()) -> None:
        require_apt()
        self.folder = folder
        self.user = tuple(user)
        for each in (*FOLDERS, *LABELS):
            (folder / each).mkdir(parents=True, exist_ok=True)
        for name in ("status", "available"):
            (folder / "var/lib/dpkg" / name).write_text("")
        (folder / "apt.conf").write_text(CONFIGURATION.format(root=folder))
        (folder / "etc/apt/sources.list").write_text(
            "".join(f"deb [trusted=yes] file:{folder / archive} ./\n" for archive in LABELS)
        )
        for archive in LABELS:
            self.index(archive)
        if user:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, 65534, 65534)

    @property
    def environment(self) -> dict[str, str]:
        """What makes apt and dpkg work in this root."""
        return {
            "APT_CONFIG": str(self.folder / "apt.conf"),
            "DPKG_ADMINDIR": str(self.folder / "var/lib/dpkg"),
            "PATH": f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{os.environ.get('PATH', '')}",
        }

    @property
    def settings(self) -> dict[str, object]:
        """Settings of `apt` for this root; the disks of this machine are not its affair."""
        return {
            "environment": self.environment,
            "reboot_flag": str(self.reboot_flag),
            "disk_free_mb": 0,
            "boot_free_mb": 0,
            "needrestart": "",
            "after": {},
        }

    @property
    def reboot_flag(self) -> Path:
        return self.folder / "var/run/reboot-required"

    def publish(
        self,
        archive: str,
        name: str,
        version: str,
        *,
        files: Mapping[str, str] | None = None,
        conffiles: Mapping[str, str] | None = None,
        postinst: str = "",
        **fields: str,
    ) -> None:
        """Make a package and put it into an archive; `fields` such as `depends` go into its control file."""
        made = self.folder / "made" / f"{name}_{version.replace(':', '%3a')}"
        control = made / "DEBIAN"
        control.mkdir(parents=True)
        lines = {"package": name, "version": version, "architecture": "all", "maintainer": "A <a@b.example>"}
        lines |= {"description": "for tests"} | fields
        (control / "control").write_text("".join(f"{key.replace('_', '-')}: {text}\n" for key, text in lines.items()))
        for path, text in {f"usr/share/{name}/version": version, **(files or {}), **(conffiles or {})}.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text)
        if conffiles:
            (control / "conffiles").write_text("".join(f"/{path}\n" for path in conffiles))
        if postinst:
            (control / "postinst").write_text(f"#!/bin/sh\n{postinst}\n")
            (control / "postinst").chmod(0o755)
        _run(
            [
                "dpkg-deb",
                "--root-owner-group",
                "-Zgzip",
                "-b",
                str(made),
                str(self.folder / archive / f"{made.name}.deb"),
            ]
        )
        self.index(archive)

    def index(self, archive: str, *, more: str = "") -> None:
        """Write the index of an archive; `more` stands in it as if it were true."""
        folder = self.folder / archive
        found = []
        for path in sorted(folder.glob("*.deb")):
            data = path.read_bytes()
            control = _run(["dpkg-deb", "-f", str(path)])
            found.append(
                f"{control}Filename: ./{path.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
            )
        packages = ("".join(found) + more).encode()
        (folder / "Packages").write_bytes(packages)
        label, suite = LABELS[archive]
        (folder / "Release").write_text(
            f"Origin: Debian\nLabel: {label}\nSuite: {suite}\nCodename: {suite}\nVersion: 12\n"
            f"Date: Mon, 23 Nov 2026 09:00:00 UTC\nSHA256:\n"
            f" {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n"
        )

    def apt_get(self, *words: str) -> str:
        """Do something by hand, such as installing what a test begins with."""
        return _run([*self.user, "apt-get", "-q", "-y", *words], self.environment)

    def install(self, *names: str) -> None:
        """Install packages by hand, as the archives have them now."""
        self.apt_get("update")
        self.apt_get("install", *names)

    def mark(self, *words: str) -> str:
        return _run([*self.user, "apt-mark", *words], self.environment)

    @property
    def status(self) -> dict[str, str]:
        """The version and state of each package that dpkg knows."""
        shown = "${Package}\t${Version} ${db:Status-Abbrev}\n"
        text = _run(["dpkg-query", "-W", "-f", shown], self.environment) if self._any() else ""
        return {name: rest.strip() for name, rest in (line.split("\t") for line in text.splitlines())}

    def _any(self) -> bool:
        return (self.folder / "var/lib/dpkg/status").stat().st_size > 0

    @property
    def files(self) -> dict[str, str]:
        """Every file of the root but logs, caches and lists, with what is in it."""
        left_out = ("var/log", "var/cache", "var/lib/apt/lists")
        paths = [path for path in sorted(self.folder.rglob("*")) if path.is_file() and path.name not in LOCKS]
        named = [(str(path.relative_to(self.folder)), path) for path in paths]
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named if not name.startswith(left_out)
        }

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that package managers take, as another one would."""
        with (self.folder / "var/lib/dpkg/lock-frontend").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield


class LinkAs:
    """A link whose commands run as somebody else; everything besides is that of the link."""

    def __init__(self, link: Link, user: Sequence[str]) -> None:
        self._link = link
        self._user = tuple(user)
        self.host = link.host

    async def run(self, command: Command, *, timeout_seconds: float) -> Output:
        return await self._link.run(self._as_user(command), timeout_seconds=timeout_seconds)

    async def start(self, job: str, command: Command) -> bool:
        return await self._link.start(job, self._as_user(command))

    def _as_user(self, command: Command) -> Command:
        return replace(command, argv=(*self._user, *command.argv), folder=command.folder or "/")

    async def look(self, job: str) -> Job:
        return await self._link.look(job)

    async def forbid(self, job: str) -> bool:
        return await self._link.forbid(job)

    async def forget(self, job: str) -> None:
        await self._link.forget(job)

    async def boot_id(self) -> str:
        return await self._link.boot_id()

    async def close(self) -> None:
        await self._link.close()


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that everybody may enter, which `tmp_path` is not; it goes with what is in it."""
    with tempfile.TemporaryDirectory(prefix="maintsched-apt-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def keeper(folder: Path) -> Callable[[], None]:
    """Remember a folder as it is; what is returned brings it back, which is quicker than making it again."""
    saved = folder.with_name(f"{folder.name}.saved")
    shutil.copytree(folder, saved, symlinks=True)

    def back() -> None:
        shutil.rmtree(folder)
        shutil.copytree(saved, folder, symlinks=True)

    return back


LOCKS = ("lock", "lock-frontend", "triggers")


def _run(argv: list[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **(environment or {})},
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout

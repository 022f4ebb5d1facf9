"""Every transport keeps the same promises: the suite that third parties use, run over those built in."""

from pathlib import Path

import pytest

from maintsched.executors.port import Command, Link, Output, Transport
from maintsched.executors.transports.fake import Fake, World
from maintsched.executors.transports.local import Local
from maintsched.executors.transports.ssh import Ssh
from maintsched.testing.transports import PRINT_MUCH, PRINT_VARIABLE, TransportConformance
from tests.sshd import HOST, Sshd, sshd

__all__ = ["sshd"]


class TestLocal(TransportConformance):
    @pytest.fixture
    def transport(self, tmp_path: Path) -> Transport:
        return Local({"jobs": str(tmp_path / "jobs")}, tmp_path)


class TestSsh(TransportConformance):
    host = HOST
    _sshd: Sshd

    @pytest.fixture
    def transport(self, sshd: Sshd, tmp_path: Path) -> Transport:
        self._sshd = sshd
        return Ssh(sshd.settings(jobs=str(tmp_path / "jobs")), tmp_path)

    def cut(self, link: Link) -> None:
        self._sshd.cut()


class TestFake(TransportConformance):
    host = "db1.acme.example"

    @pytest.fixture
    def transport(self, tmp_path: Path) -> Transport:
        self.world = World()
        host = self.world.host(self.host)
        host.answer("no-such-program-anywhere", exit_code=127, stderr="no-such-program-anywhere: not found")
        host.answer("sleep", "3600", seconds=3600)
        host.program("printf", "%s", does=lambda command: Output(exit_code=0, stdout=command.argv[2]))
        host.program("cat", does=lambda command: Output(exit_code=0, stdout=command.stdin.decode("utf-8", "replace")))
        host.program("sh", "-c", does=shell)
        host.program("waiting", does=lambda _: pytest.fail("it is finished by hand"))
        return Fake({"world": self.world}, tmp_path)

    def waiting(self, folder: Path) -> Command:
        host = self.world.host(self.host)
        host.finish_after(looks=None)
        return Command(argv=("waiting",))

    def release(self, folder: Path, job: str) -> None:
        self.world.host(self.host).finish(job, exit_code=3, output="begun\nover\n")

    def count(self, folder: Path, job: str) -> int:
        return sum(each == job for each in self.world.host(self.host).jobs)

    def cut(self, link: Link) -> None:
        """There is no connection that would be kept: the next call makes its own."""


def shell(command: Command) -> Output:
    """What the few scripts of the suite do."""
    script = command.argv[2]
    if script == PRINT_VARIABLE:
        return Output(exit_code=0, stdout=command.environment["TRIED"])
    if script.startswith(PRINT_MUCH):
        size = int(script.split()[-1])
        return Output(exit_code=0, stdout=("0123456789abcde\n" * (size // 16 + 1))[:size])
    return Output(exit_code=int(script.removeprefix("exit ")) if script.startswith("exit ") else 0, stdout="")

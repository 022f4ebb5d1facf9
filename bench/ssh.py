"""Many hosts by ssh, beside asyncssh as one would use it by itself: the same hosts, keys and command, in the same run.

The hosts are one sshd on loopback under as many names. It costs both sides the same, and most of the time of the clock.
"""

import asyncio
import itertools
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import asyncssh

from bench.side_by_side import Comparison, Goal, Side
from maintsched.cli.configured import open_configured
from maintsched.executors.port import Command
from maintsched.executors.transports.ssh import Ssh
from maintsched.worker.passes import one_pass

if TYPE_CHECKING:
    from tests.sshd import Sshd

HOST = "127.0.0.1"
SIZES = (6, 50)
AT_ONCE = 10
WAIT_SECONDS = 120
Visit = Callable[[str], Awaitable[str]]


def comparisons(*, quick: bool) -> Iterator[Comparison]:
    """Return the comparisons of this module; none where there is no sshd."""
    try:
        from tests.sshd import missing, started
    except ModuleNotFoundError as error:  # it is made for tests, and needs what they need
        print(f"left out: hosts by ssh, no {error.name} here")
        return
    why = missing()
    if why is not None:
        print(f"left out: hosts by ssh, {why}")
        return
    count = SIZES[0 if quick else 1]
    hosts = [f"web{number}.acme.example" for number in range(count)]
    with ExitStack() as stack:
        server = stack.enter_context(started())
        server.pin(*hosts)
        ours, theirs = _ours(server, hosts), _theirs(server)
        for how, clock in (("by the clock", time.perf_counter), ("CPU time of the client", time.process_time)):
            yield Comparison(
                work=f"{count} hosts by ssh, {AT_ONCE} at once, one command each, {how}",
                reference="plain asyncssh",
                goal=Goal(share=1.5),
                how="a connection for each host, its pinned key checked, `echo` run there, the connection closed; one "
                "sshd on loopback under as many names",
                ours=_side(ours, hosts, clock),
                theirs=_side(theirs, hosts, clock),
                turns=1 if quick else 9,
            )
        yield _window(stack, server, count, quick=quick)


def _window(stack: ExitStack, server: "Sshd", count: int, *, quick: bool) -> Comparison:
    """Return a window of these hosts as the worker does it, beside as many connections with one command each."""
    from tests.installations import mail_server
    from tests.real_many import ManyHosts
    from tests.real_work import OPEN, Installation

    folder = Path(stack.enter_context(TemporaryDirectory(prefix="maintsched-bench-")))
    post, _ = stack.enter_context(mail_server())
    many = ManyHosts(folder / "told", server, post.port, count)
    turn = itertools.count()

    def window() -> tuple[list[str], float]:
        copied = shutil.copytree(folder / "told", folder / f"turn-{next(turn)}")
        home = Installation(copied)
        many.updates(home)
        config, contract = open_configured(str(home.path))
        began = time.perf_counter()
        one_pass(config, contract, lambda: OPEN)
        seconds = time.perf_counter() - began
        return [f"{name}.acme.example\n" for name in many.done(home)], seconds

    return Comparison(
        work=f"a window of {count} hosts over ssh, {AT_ONCE} at once, worker and all, by the clock",
        reference="plain asyncssh, one command each",
        goal=Goal(),
        how="the worker's pass: gates, proof, host lock, five looks and one job on each host, every step written down "
        "before it is done, evidence and mails; the other side connects, runs `echo` and closes",
        ours=Side(answer=lambda: window()[0], cost=lambda: window()[1]),
        theirs=_side(_theirs(server), many.hosts, time.perf_counter),
        turns=1 if quick else 3,
    )


def _side(visit: Visit, hosts: list[str], clock: Callable[[], float]) -> Side:
    def cost() -> float:
        began = clock()
        asyncio.run(_all(visit, hosts))
        return clock() - began

    return Side(answer=lambda: asyncio.run(_all(visit, hosts)), cost=cost)


async def _all(visit: Visit, hosts: list[str]) -> list[str]:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(host: str) -> str:
        async with free:
            return await visit(host)

    return await asyncio.gather(*(one(host) for host in hosts))


def _ours(server: "Sshd", hosts: list[str]) -> Visit:
    settings = server.settings(addresses=dict.fromkeys(hosts, HOST), connect_timeout_seconds=WAIT_SECONDS)
    transport = Ssh(settings, Path())

    async def visit(host: str) -> str:
        link = await transport.open(host)
        try:
            return (await link.run(Command(argv=("echo", host)), timeout_seconds=WAIT_SECONDS)).stdout
        finally:
            await link.close()

    return visit


def _theirs(server: "Sshd") -> Visit:
    settings = server.settings()

    async def visit(host: str) -> str:
        async with asyncssh.connect(
            HOST,
            server.port,
            config=None,
            username=settings["user"],
            client_keys=[settings["identity"]],
            known_hosts=settings["known_hosts"],
            host_key_alias=host,
            agent_path=None,
        ) as connection:
            return str((await connection.run(f"echo {host}", check=True)).stdout)

    return visit

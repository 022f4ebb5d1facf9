"""What every transport has to keep, as tests that a transport of one's own can be put to.

    from maintsched.testing.transports import TransportConformance

    class TestTelnet(TransportConformance):
        host = "localhost"

        @pytest.fixture
        def transport(self, tmp_path):
            return Telnet({"jobs": str(tmp_path / "jobs")}, tmp_path)

The commands that the tests use are those of any POSIX host. Where a host has others, or where it is not this machine,
override the methods that make them. It wants pytest, which maintsched itself does not.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from maintsched.errors import InvalidValue, Unreachable
from maintsched.executors.port import OUTPUT_MAX, TAIL_MAX, Command, Job, JobState, Link, Transport

T = TypeVar("T")
TRIES, PAUSE_SECONDS = 1500, 0.02
LONG_SECONDS = 60
"""How long something may take that should take no time: it is waited for that long on a busy machine."""
NASTY = {
    "blanks": " two  blanks ",
    "quotes": """it's "quoted" and `ticked`""",
    "dollars": "$HOME $(id) ${PATH} $((1+1))",
    "lines": "one\ntwo\r\n\nfour\n",
    "operators": "a;b&c|d>e<f#g!h*i?j[k]l{m,n}o~p\\q",
    "options": "-rf",
    "letters": "Zürich naïve 北京 🙂 \u202e",
    "controls": "\x01\x07\x1b[31m\x7f\t",
    "nothing": "",
    "much": "x" * 20_000,
}
"""Arguments that something on the way might take for something else."""
PRINT_VARIABLE = 'printf %s "$TRIED"'
PRINT_MUCH = "yes 0123456789abcde | head -c"


class TransportConformance:
    """The promises of a `Transport` and its `Link`."""

    host = "localhost"
    """A host that the transport reaches."""

    # --- what a child says --------------------------------------------------------------------------------------------

    @pytest.fixture
    def transport(self, tmp_path: Path) -> Transport:
        """Return the transport; each test has one, and hosts that remember no job of another test."""
        raise NotImplementedError

    def printing(self, text: str) -> Command:
        """Return a command that prints a text and nothing else."""
        return Command(argv=("printf", "%s", text))

    def printing_variable(self, text: str) -> Command:
        """Return a command that prints its variable TRIED, which is a text."""
        return Command(argv=("sh", "-c", PRINT_VARIABLE), environment={"TRIED": text})

    def copying(self, data: bytes) -> Command:
        """Return a command that prints what it reads."""
        return Command(argv=("cat",), stdin=data)

    def ending(self, code: int) -> Command:
        """Return a command that ends with an exit code."""
        return Command(argv=("sh", "-c", f"exit {code}"))

    def printing_much(self, size: int) -> Command:
        """Return a command that prints so many bytes: 0123456789abcde and a line end, again and again."""
        return Command(argv=("sh", "-c", f"{PRINT_MUCH} {size}"))

    def lasting(self) -> Command:
        """Return a command that takes longer than anybody waits."""
        return Command(argv=("sleep", "3600"))

    def waiting(self, folder: Path) -> Command:
        """Return a job that says `begun`, waits for `release`, says `over` and ends with 3."""
        done = f"echo begun; while [ ! -e '{folder}/released' ]; do sleep 0.05; done; echo over; exit 3"
        return Command(argv=("sh", "-c", done))

    def release(self, folder: Path, job: str) -> None:
        """Let the job end that waits."""
        (folder / "released").touch()

    def counting(self, folder: Path) -> Command:
        """Return a job that adds a line to a file each time it runs."""
        return Command(argv=("sh", "-c", f"echo ran >>'{folder}/count'"))

    def count(self, folder: Path, job: str) -> int:
        """Return how often the counting job ran."""
        return len((folder / "count").read_text().splitlines())

    def cut(self, link: Link) -> None:
        """Cut the connection of a link without a goodbye, if it has any."""
        pytest.skip("this transport has no connection that could be cut")

    # --- settings and hosts -------------------------------------------------------------------------------------------

    def test_its_name_is_one_that_a_configuration_can_say(self, transport: Transport) -> None:
        assert re.fullmatch("[a-z][a-z0-9-]{0,62}", type(transport).name)

    def test_a_setting_that_it_does_not_know_is_refused(self, transport: Transport, tmp_path: Path) -> None:
        with pytest.raises(InvalidValue):
            type(transport)({"no_such_setting": 1}, tmp_path)

    def test_nothing_is_wrong_with_a_host_that_it_reaches(self, transport: Transport) -> None:
        assert transport.validate(self.host) == ()

    @pytest.mark.parametrize("host", ["-oProxyCommand=touch x", "a b", "$(id)", "a;b", "a\nb", "../a", "user@host", ""])
    def test_what_is_no_host_is_refused_before_anything_is_tried(self, transport: Transport, host: str) -> None:
        with pytest.raises(InvalidValue):
            transport.validate(host)
        with pytest.raises(InvalidValue):
            asyncio.run(transport.open(host))

    # --- commands that are waited for ---------------------------------------------------------------------------------

    @pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
    def test_an_argument_arrives_as_it_is(self, transport: Transport, text: str) -> None:
        output = self._on(transport, lambda link: link.run(self.printing(text), timeout_seconds=LONG_SECONDS))
        assert (output.exit_code, output.stdout, output.stderr) == (0, text, "")

    @pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
    def test_a_variable_arrives_as_it_is(self, transport: Transport, text: str) -> None:
        command = self.printing_variable(text)
        assert self._on(transport, lambda link: link.run(command, timeout_seconds=LONG_SECONDS)).stdout == text

    @pytest.mark.parametrize("data", [b"a\nb", b"\xff\x00\xfe", b"x" * 300_000], ids=["lines", "bytes", "much"])
    def test_what_is_read_arrives_as_it_is(self, transport: Transport, data: bytes) -> None:
        output = self._on(transport, lambda link: link.run(self.copying(data), timeout_seconds=LONG_SECONDS))
        assert output.stdout == data[-OUTPUT_MAX:].decode("utf-8", "replace")

    @pytest.mark.parametrize("code", [0, 1, 3, 69, 75, 100, 255])
    def test_an_exit_code_arrives(self, transport: Transport, code: int) -> None:
        output = self._on(transport, lambda link: link.run(self.ending(code), timeout_seconds=LONG_SECONDS))
        assert output.exit_code == code
        assert output.ok is (code == 0)

    def test_a_program_that_is_not_there_ends_with_127(self, transport: Transport) -> None:
        command = Command(argv=("no-such-program-anywhere",))
        output = self._on(transport, lambda link: link.run(command, timeout_seconds=LONG_SECONDS))
        assert output.exit_code == 127
        assert "no-such-program-anywhere" in output.stderr

    @pytest.mark.parametrize("more", [0, 1, 1_000_000])
    def test_of_much_output_the_last_bytes_are_kept(self, transport: Transport, more: int) -> None:
        command = self.printing_much(OUTPUT_MAX + more)
        output = self._on(transport, lambda link: link.run(command, timeout_seconds=LONG_SECONDS))
        assert output.stdout == _much(OUTPUT_MAX + more)[-OUTPUT_MAX:]
        assert output.cut is (more > 0)

    def test_what_takes_too_long_is_given_up(self, transport: Transport) -> None:
        with pytest.raises(Unreachable):
            self._on(transport, lambda link: link.run(self.lasting(), timeout_seconds=0.2))

    @pytest.mark.parametrize(
        "command",
        [
            Command(argv=()),
            Command(argv=("",)),
            Command(argv=("-x",)),
            Command(argv=("A=b",)),
            Command(argv=("true", "a\0b")),
            Command(argv=("true", "\udcff")),
            Command(argv=("true", "x" * 100_000)),
            Command(argv=("true",), environment={"A B": "c"}),
            Command(argv=("true",), environment={"A": "\0"}),
            Command(argv=("true",), folder="here"),
        ],
        ids=lambda command: repr(command)[:60],
    )
    def test_what_no_program_can_be_given_is_refused(self, transport: Transport, command: Command) -> None:
        with pytest.raises(InvalidValue):
            self._on(transport, lambda link: link.run(command, timeout_seconds=LONG_SECONDS))
        with pytest.raises(InvalidValue):
            self._on(transport, lambda link: link.start("job", command))
        assert self._on(transport, lambda link: link.look("job")) == Job(state=JobState.ABSENT)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def test_a_job_is_absent_then_runs_then_has_ended_with_its_code(self, transport: Transport, tmp_path: Path) -> None:
        async def story(link: Link) -> None:
            assert await link.look("job") == Job(state=JobState.ABSENT)
            assert await link.start("job", self.waiting(tmp_path))
            assert (await link.look("job")).state is JobState.RUNNING
            self.release(tmp_path, "job")
            assert await self._end_of(link, "job") == Job(state=JobState.ENDED, exit_code=3, tail="begun\nover\n")

        self._on(transport, story)

    def test_a_job_goes_on_when_its_link_is_closed_and_is_read_over_another_one(
        self, transport: Transport, tmp_path: Path
    ) -> None:
        assert self._on(transport, lambda link: link.start("job", self.waiting(tmp_path)))
        assert self._on(transport, lambda link: link.look("job")).state is JobState.RUNNING
        self.release(tmp_path, "job")
        assert self._on(transport, lambda link: self._end_of(link, "job")).exit_code == 3

    def test_a_job_goes_on_when_its_connection_is_cut_and_the_link_opens_anew(
        self, transport: Transport, tmp_path: Path
    ) -> None:
        async def story(link: Link) -> None:
            assert await link.start("job", self.waiting(tmp_path))
            self.cut(link)
            assert (await link.look("job")).state is JobState.RUNNING
            self.release(tmp_path, "job")
            assert (await self._end_of(link, "job")).exit_code == 3

        self._on(transport, story)

    def test_a_job_is_started_once_however_often_it_is_asked_for(self, transport: Transport, tmp_path: Path) -> None:
        async def story(link: Link) -> None:
            assert await link.start("job", self.counting(tmp_path))
            assert not await link.start("job", self.counting(tmp_path))
            await self._end_of(link, "job")
            assert not await link.start("job", self.counting(tmp_path))
            assert self.count(tmp_path, "job") == 1

        self._on(transport, story)

    def test_of_many_who_start_a_job_at_once_one_does(self, transport: Transport, tmp_path: Path) -> None:
        async def one() -> bool:
            link = await transport.open(self.host)
            try:
                return await link.start("job", self.counting(tmp_path))
            finally:
                await link.close()

        async def story() -> list[bool]:
            return await asyncio.gather(*(one() for _ in range(6)))

        assert sorted(asyncio.run(story())) == [False] * 5 + [True]
        self._on(transport, lambda link: self._end_of(link, "job"))
        assert self.count(tmp_path, "job") == 1

    @pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
    def test_an_argument_of_a_job_arrives_as_it_is(self, transport: Transport, text: str) -> None:
        async def story(link: Link) -> None:
            assert await link.start("job", self.printing(text))
            assert (await self._end_of(link, "job")).tail == text[-TAIL_MAX:]

        self._on(transport, story)

    def test_what_a_job_reads_and_its_variables_arrive(self, transport: Transport) -> None:
        async def story(link: Link) -> None:
            assert await link.start("reading", self.copying(b"secret"))
            assert await link.start("varied", self.printing_variable("it's\n$(this)"))
            assert (await self._end_of(link, "reading")).tail == "secret"
            assert (await self._end_of(link, "varied")).tail == "it's\n$(this)"

        self._on(transport, story)

    def test_of_what_a_job_prints_the_last_bytes_are_kept_and_it_ends_by_itself(self, transport: Transport) -> None:
        async def story(link: Link) -> None:
            assert await link.start("job", self.printing_much(1_000_000))
            found = await self._end_of(link, "job")
            assert (found.exit_code, found.tail) == (0, _much(1_000_000)[-TAIL_MAX:])

        self._on(transport, story)

    def test_a_job_that_was_forbidden_is_never_started(self, transport: Transport, tmp_path: Path) -> None:
        async def story(link: Link) -> None:
            assert await link.forbid("job")
            assert await link.forbid("job")
            assert not await link.start("job", self.ending(0))
            assert await link.look("job") == Job(state=JobState.ABSENT)
            await link.forget("job")
            assert not await link.start("job", self.ending(0))

        self._on(transport, story)

    def test_a_job_that_was_started_cannot_be_forbidden(self, transport: Transport, tmp_path: Path) -> None:
        async def story(link: Link) -> None:
            assert await link.start("job", self.waiting(tmp_path))
            assert not await link.forbid("job")
            self.release(tmp_path, "job")
            assert (await self._end_of(link, "job")).exit_code == 3
            assert not await link.forbid("job")

        self._on(transport, story)

    def test_a_job_is_forgotten_once_it_has_ended_and_not_before(self, transport: Transport, tmp_path: Path) -> None:
        async def story(link: Link) -> None:
            await link.forget("job")
            assert await link.start("job", self.waiting(tmp_path))
            with pytest.raises(InvalidValue):
                await link.forget("job")
            self.release(tmp_path, "job")
            await self._end_of(link, "job")
            await link.forget("job")
            assert await link.look("job") == Job(state=JobState.ABSENT)

        self._on(transport, story)

    @pytest.mark.parametrize("job", ["", ".", "..", "../job", "a/b", "-rf", "a b", "a\nb", "$(id)", "ä", "x" * 64])
    def test_what_is_no_name_of_a_job_is_refused(self, transport: Transport, job: str) -> None:
        async def story(link: Link) -> None:
            for call in (link.look, link.forbid, link.forget, lambda name: link.start(name, self.ending(0))):
                with pytest.raises(InvalidValue):
                    await call(job)

        self._on(transport, story)

    def test_the_name_of_a_boot_is_one_word_and_stays(self, transport: Transport) -> None:
        found = [self._on(transport, lambda link: link.boot_id()) for _ in range(2)]
        assert found[0] == found[1]
        assert re.fullmatch(r"\S+", found[0])

    # --- helping ------------------------------------------------------------------------------------------------------

    def _on(self, transport: Transport, story: Callable[[Link], Awaitable[T]]) -> T:
        async def told() -> T:
            link = await transport.open(self.host)
            assert link.host == self.host
            try:
                return await story(link)
            finally:
                await link.close()

        return asyncio.run(told())

    async def _end_of(self, link: Link, job: str) -> Job:
        for _ in range(TRIES):
            found = await link.look(job)
            if found.state is not JobState.RUNNING:
                return found
            await asyncio.sleep(PAUSE_SECONDS)
        pytest.fail(f"{job} does not end")


def _much(size: int) -> str:
    return ("0123456789abcde\n" * (size // 16 + 1))[:size]

"""The transport keeps every law of its port, with a prefix and without one."""
# ruff: noqa: D101, D102, D103, S101 - tests assert, and their names say what is promised

import asyncio

import pytest
from maintsched_linked.prefixed import Prefixed

from maintsched.errors import InvalidValue
from maintsched.executors.port import Command
from maintsched.testing.transports import TransportConformance


class TestPrefixed(TransportConformance):
    @pytest.fixture
    def transport(self, tmp_path):
        return Prefixed({"prefix": ["nice"], "jobs": str(tmp_path / "jobs")}, tmp_path)


def test_a_command_runs_behind_its_prefix_with_its_variables_and_its_folder(tmp_path):
    async def said():
        link = await Prefixed({"prefix": ["env", "COLOUR=green"]}, tmp_path).open("localhost")
        words = ("sh", "-c", 'echo "$COLOUR $SIZE $PWD"')
        command = Command(argv=words, environment={"SIZE": "large"}, folder=str(tmp_path))
        return (await link.run(command, timeout_seconds=10)).stdout

    assert asyncio.run(said()) == f"green large {tmp_path}\n"


@pytest.mark.parametrize("prefix", ["sudo -n", [""], [1]])
def test_a_prefix_that_is_no_list_of_words_is_refused(prefix, tmp_path):
    with pytest.raises(InvalidValue, match="prefix: expected a list of words"):
        Prefixed({"prefix": prefix}, tmp_path)

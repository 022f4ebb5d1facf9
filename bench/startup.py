"""How soon a command answers: CPU time of whole processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.side_by_side import Comparison, Goal, as_process

COMMAND = Path(sys.executable).with_name("maintsched")


def comparisons(*, quick: bool) -> Iterator[Comparison]:
    """Return the comparisons of this module; none where the command is not installed."""
    turns = 2 if quick else 15
    if works("plan"):
        yield _comparison(
            "plan", "`python -c pass`", "pass", Goal(share=25), "no configuration: the built-in contract", turns
        )
    if works("--help"):
        yield _comparison(
            "--help", '`python -c "import click"`', "import click", Goal(share=1.35), "help of the command", turns
        )


def works(*arguments: str) -> bool:
    """Say whether the command is installed and takes `arguments`."""
    try:
        return not subprocess.run([COMMAND, *arguments], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


def _comparison(argument: str, reference: str, code: str, goal: Goal, how: str, turns: int) -> Comparison:
    return Comparison(
        work=f"`maintsched {argument}`",
        reference=reference,
        goal=goal,
        how=f"{how}; CPU time of the whole process, user and system",
        ours=as_process(str(COMMAND), argument),
        theirs=as_process(sys.executable, "-c", code),
        turns=turns,
        same=False,
    )

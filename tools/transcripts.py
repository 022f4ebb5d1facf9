"""Runs the commands of a page and compares, or renews, what they print.

In a block ```console a line that begins with "$ " is a command, which goes on after a line that ends with a backslash;
the lines after it are what it prints (stdout and stderr). The commands of a page run one after the other in one shell,
in an empty folder. A block with a title, such as ```toml title="fleet.toml", is a file of that name that the reader
saves before the next command.

A block with a command in its title line, such as ```text shows="maintsched demo", holds what that command prints and
not the command. A line `…` in what a command prints stands for lines that the page leaves out. The folder that the
commands run in is shown as `HOME`. A page that says `SERVER` has this mail server while its commands run; the port is a
free one.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "--- end of output ---"
LEFT_OUT = "…"
HOME = "/home/you/hosting"
PROGRAMS = "/home/you/maintsched-venv/bin"
PORT = "8025"
SERVER = f"python -m aiosmtpd -n -l localhost:{PORT}"
STARTED_WITHIN_SECONDS = 30
FENCE = re.compile(r"^```(\w*)(.*)$")
TITLE = re.compile(r'title="([^"]+)"')
SHOWS = re.compile(r'shows="([^"]+)"')


@dataclass(slots=True, kw_only=True)
class Block:
    """A fenced block of a page: the `line` it opens on (from 0), its `language`, `title` and `lines`.

    `shows` is the command whose output they are, where the block itself does not name it.
    """

    line: int
    language: str
    title: str | None
    shows: str | None
    lines: list[str]

    @property
    def is_transcript(self) -> bool:
        """Say whether the block holds what commands print."""
        return self.language == "console" or self.shows is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of a console block and the lines it is said to print."""

    text: str
    printed: tuple[str, ...]


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found: list[Block] = []
    inside: Block | None = None
    for number, line in enumerate(page.split("\n")):
        fence = FENCE.match(line)
        if inside is None and fence:
            title, shows = TITLE.search(fence[2]), SHOWS.search(fence[2])
            inside = Block(
                line=number,
                language=fence[1],
                title=title[1] if title else None,
                shows=shows[1] if shows else None,
                lines=[],
            )
        elif inside is not None and line == "```":
            found.append(inside)
            inside = None
        elif inside is not None:
            inside.lines.append(line)
    assert inside is None, "each fenced block has an end"
    return found


def has_transcripts(page: str) -> bool:
    """Say whether a page holds transcripts."""
    return any(block.is_transcript for block in blocks(page))


def commands(block: Block) -> list[Command]:
    """Return the commands of a block that is a transcript."""
    if block.shows is not None:
        return [Command(text=block.shows, printed=tuple(block.lines))]
    found: list[tuple[str, list[str]]] = []
    for line in block.lines:
        if found and not found[-1][1] and found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            assert found, f"a console block begins with a command, got: {line}"
            found[-1][1].append(line)
    return [Command(text=text, printed=tuple(printed)) for text, printed in found]


def play(page: str, folder: Path, cache: Path) -> list[tuple[Block, list[Command]]]:
    """Run the commands of `page` in `folder`; return its transcripts with what each command printed."""
    script, console = ["exec 2>&1"], []
    with _server(page, folder) as port:
        for example in (folder / "docs" / "examples").glob("*.toml"):
            example.write_text(example.read_text(encoding="utf-8").replace(PORT, port), encoding="utf-8")
        for position, block in enumerate(blocks(page)):
            if block.title is not None:
                kept = folder / f".block-{position}"
                kept.write_text("\n".join([*block.lines, ""]).replace(PORT, port), encoding="utf-8")
                script.append(f"cp '{kept.name}' '{block.title}'")
            elif block.is_transcript:
                console.append((block, commands(block)))
                for command in console[-1][1]:
                    script += [command.text.replace(PORT, port), f"printf '%s\\n' '{MARK}'"]
        printed = _shown(_run("\n".join(script), folder, cache), folder, port).split(f"{MARK}\n")
    if len(printed) != 1 + sum(len(each) for _, each in console):
        raise AssertionError(f"the shell stopped early: {printed[-1][-2000:]}")
    return [(block, [_played(each, printed.pop(0).splitlines()) for each in wanted]) for block, wanted in console]


def _run(script: str, folder: Path, cache: Path) -> str:
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=_environment(cache),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def _shown(printed: str, folder: Path, port: str) -> str:
    """Return what was printed as the page shows it: nothing in it says where and when it was tried."""
    places = {str(folder): HOME, str(Path(sys.executable).parent): PROGRAMS, f"localhost:{port}": f"localhost:{PORT}"}
    for found, shown in places.items():
        printed = printed.replace(found, shown)
    return printed


def _played(command: Command, printed: Sequence[str]) -> Command:
    """Return the command with what it printed; an excerpt that holds stays an excerpt."""
    return (
        command
        if LEFT_OUT in command.printed and holds(command.printed, printed)
        else Command(text=command.text, printed=tuple(printed))
    )


def holds(excerpt: Sequence[str], printed: Sequence[str]) -> bool:
    """Say whether `printed` is `excerpt`, with at least a line in the place of each line `…`."""
    parts: list[list[str]] = [[]]
    for line in excerpt:
        parts += [[]] if line == LEFT_OUT else []
        parts[-1] += [] if line == LEFT_OUT else [line]
    at = 0
    for number, part in enumerate(parts):
        last = len(printed) - len(part)
        starts = [0] if number == 0 else [last] if part is parts[-1] else range(at + 1, last + 1)
        found = next((start for start in starts if list(printed[start : start + len(part)]) == part), None)
        if found is None or found < at + bool(number):
            return False
        at = found + len(part)
    return at == len(printed)


@contextmanager
def _server(page: str, folder: Path) -> Iterator[str]:
    """Run the mail server that a page speaks of, if it does; give its port."""
    if SERVER not in page:
        yield PORT
        return
    with socket.create_server(("localhost", 0)) as probe:
        port = str(probe.getsockname()[1])
    program = [sys.executable, *SERVER.replace(PORT, port).split()[1:]]
    with (folder / ".server.log").open("w") as log, subprocess.Popen(program, stdout=log, stderr=log) as server:
        try:
            _wait_for(int(port))
            yield port
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + STARTED_WITHIN_SECONDS
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < until, "the mail server does not start"
            time.sleep(0.05)
        else:
            return


def _environment(cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAINTSCHED_")}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "XDG_CACHE_HOME": str(cache),
        "COLUMNS": "100",
        "LINES": "40",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def prepare(folder: Path) -> None:
    """Put into `folder` what a reader in a checkout has: the example files of the docs."""
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")


def renewed(page: str, played: list[tuple[Block, list[Command]]]) -> str:
    """Return `page` with its transcripts as they were played."""
    lines = page.split("\n")
    for block, got in reversed(played):
        lost = LEFT_OUT in block.lines and all(LEFT_OUT not in command.printed for command in got)
        assert not lost, f"the excerpt in line {block.line + 1} does not hold any more: write it anew by hand"
        new = [
            line for command in got for line in ([] if block.shows else [f"$ {command.text}"]) + list(command.printed)
        ]
        lines[block.line + 1 : block.line + 1 + len(block.lines)] = new
    return "\n".join(lines)

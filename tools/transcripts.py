"""Runs the console blocks of a page and compares, or renews, what they print.

In a block ```console a line that begins with "$ " is a command, the lines after it are what it prints (stdout and
stderr). The commands of a page run one after the other in one shell, in an empty folder. A block with a title, such as
```toml title="fleet.toml", is a file of that name that the reader saves before the next command.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "--- end of output ---"
FENCE = re.compile(r"^```(\w*)(.*)$")
TITLE = re.compile(r'title="([^"]+)"')


@dataclass(slots=True, kw_only=True)
class Block:
    """A fenced block of a page: the `line` it opens on (from 0), its `language`, `title` and `lines`."""

    line: int
    language: str
    title: str | None
    lines: list[str]


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
            title = TITLE.search(fence[2])
            inside = Block(line=number, language=fence[1], title=title[1] if title else None, lines=[])
        elif inside is not None and line == "```":
            found.append(inside)
            inside = None
        elif inside is not None:
            inside.lines.append(line)
    assert inside is None, "each fenced block has an end"
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in block.lines:
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            assert found, f"a console block begins with a command, got: {line}"
            found[-1][1].append(line)
    return [Command(text=text, printed=tuple(printed)) for text, printed in found]


def play(page: str, folder: Path, cache: Path) -> list[tuple[Block, list[Command]]]:
    """Run the commands of `page` in `folder`; return its console blocks with what each command printed."""
    script, console = ["exec 2>&1"], []
    for position, block in enumerate(blocks(page)):
        if block.title is not None:
            kept = folder / f".block-{position}"
            kept.write_text("\n".join([*block.lines, ""]), encoding="utf-8")
            script.append(f"cp '{kept.name}' '{block.title}'")
        elif block.language == "console":
            console.append((block, commands(block)))
            for command in console[-1][1]:
                script += [command.text, f"printf '%s\\n' '{MARK}'"]
    done = subprocess.run(
        ["sh", "-c", "\n".join(script)],
        cwd=folder,
        env=_environment(cache),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout.split(f"{MARK}\n")
    if len(printed) != 1 + sum(len(each) for _, each in console):
        raise AssertionError(f"the shell stopped early: {done.stdout[-2000:]}")
    played = []
    for block, wanted in console:
        got = [Command(text=each.text, printed=tuple(printed.pop(0).splitlines())) for each in wanted]
        played.append((block, got))
    return played


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
    (folder / "docs").mkdir()
    (folder / "docs" / "examples").symlink_to(ROOT / "docs" / "examples")


def renewed(page: str, played: list[tuple[Block, list[Command]]]) -> str:
    """Return `page` with its console blocks as they were played."""
    lines = page.split("\n")
    for block, got in reversed(played):
        new = [line for command in got for line in (f"$ {command.text}", *command.printed)]
        lines[block.line + 1 : block.line + 1 + len(block.lines)] = new
    return "\n".join(lines)

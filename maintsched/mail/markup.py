"""The small markup that notices are written in: lines become blocks, blocks become text and HTML with the same words.

A filled template is read line by line:

    Subject: text           the first line
    Summary: text           may follow: what a calendar shows; without it, the subject
                            an empty line ends the head, and ends paragraphs, lists and tables
    # text, ## text         a heading
    - text                  an item of a list; indented lines after it belong to it
    | label | value |       a row of facts; an empty label continues the row above
    any other text          a paragraph; its lines are joined

A line that begins with another mark of Markdown is refused, so that nobody takes it for one that works. Words that
were filled in are *values*: they never count as markup, whatever they look like.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import NamedTuple

WIDTH = 72
"""Columns of the text of a mail."""
LABEL_WIDTH_MAX = 24
KEPT_MAX = 1024
"""Pieces of mails that are kept as they were read and written, because the next mail probably has them too."""

# A value carries marks that no source can hold, because control characters are refused there and taken out here.
VALUE = "\x02"
"""Stands before a value: a line that begins with one begins with no markup."""
_BAR = "\x03"
"""Stands for "|" in a value, which ends no cell."""
_APART = "\x04"
"""Stands in "://" of a value that is no link as a whole, so that no customer's text becomes one."""
_REMOVED = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
# Private characters, which no value and no template holds, are blanks of a skeleton: a link may be filled in there.
_LINK = re.compile("https?://[!#-;=?-~\ue000-\uf8ff]+")
_LINK_END = ".,:;!?)'"
_FOREIGN = re.compile(r"[*+>] |```|~~~|[=_*]{3,}$|[#|-]")


class MarkupRefused(Exception):
    """A line of a filled template that is no markup; `prefix` is what stands on it before the first value."""

    def __init__(self, line: str, *, expected: str) -> None:
        self.prefix = line.partition(VALUE)[0]
        self.expected = expected
        self.found = shown(line)
        super().__init__(expected)


class Run(NamedTuple):
    """A piece of a text; `link`: it is the address of one."""

    text: str
    link: bool = False


Runs = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 or 2."""

    level: int
    runs: Runs


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines that belong together."""

    runs: Runs


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Runs, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Rows of a label and a value."""

    rows: tuple[tuple[str, Runs], ...]


Block = Heading | Paragraph | Items | Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a filled template says."""

    subject: str
    summary: str
    blocks: tuple[Block, ...]


# --- values -----------------------------------------------------------------------------------------------------------


def as_value(text: str) -> str:
    """Return `text` on one line and marked as a value, so that nothing in it is read as markup or becomes a link."""
    text = cleaned(text)
    if "|" in text:
        text = text.replace("|", _BAR)
    if "://" in text and not _LINK.fullmatch(text):
        text = text.replace("://", f":{_APART}//")
    return VALUE + text


def is_link(text: str) -> bool:
    """Say whether a value becomes a link as a whole, wherever it stands; one with a bar becomes none."""
    return text.isascii() and "|" not in text and _LINK.fullmatch(text) is not None and text[-1] not in _LINK_END


def cleaned(text: str) -> str:
    """Return `text` on one line, without controls and characters that hide or turn the reading direction."""
    if text.isprintable():
        return text
    spaced = re.sub(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+", " ", text)
    return "".join(c for c in spaced if unicodedata.category(c) not in _REMOVED)


def shown(text: str) -> str:
    """Return marked text as people read it."""
    return _unmarked(text).replace(_APART, "")


def _unmarked(text: str) -> str:
    return text.replace(VALUE, "").replace(_BAR, "|")  # several times as fast as `translate`


# --- reading ----------------------------------------------------------------------------------------------------------


def read(filled: str) -> Draft:
    """Return what a filled template says, or raise `MarkupRefused`."""
    head, _, body = filled.lstrip("\n").partition("\n\n")
    subject, *rest = head.split("\n")
    if not subject.startswith("Subject: ") or not shown(subject)[9:].strip():
        raise MarkupRefused(subject, expected='"Subject: " and a text on the first line')
    summary = subject[9:]
    for line in rest:
        if not line.startswith("Summary: ") or len(rest) > 1:
            raise MarkupRefused(line, expected="an empty line after the subject")
        summary = line[9:]
    blocks = tuple(block for piece in body.split("\n\n") for block in _blocks(piece))
    if not blocks:
        raise MarkupRefused(subject, expected="a body after the subject and an empty line")
    return Draft(subject=_on_one_line(subject[9:]), summary=_on_one_line(summary), blocks=blocks)


@lru_cache(maxsize=KEPT_MAX)
def _blocks(piece: str) -> tuple[Block, ...]:
    """Return what stands between two empty lines. Most of it is the same in many mails, and read once."""
    found, kind, lines = list[Block](), "", list[str]()
    for line in piece.split("\n"):
        mark, text = _line(line, kind)
        if mark == "more":
            lines[-1] += " " + text
            continue
        if kind and (mark != kind or kind in _SINGLE):
            found.append(_block(kind, lines))
            lines = []
        kind = mark
        lines += [text] if mark else []
    if kind:
        found.append(_block(kind, lines))
    return tuple(found)


_SINGLE = ("# ", "## ")
_MARKS = frozenset(" #-|*>+`~=_")


def _line(line: str, before: str) -> tuple[str, str]:
    """Return what a line is, after one that was `before`, and its text."""
    text = line.strip(" ")
    if not text:
        return "", ""
    if line[0] not in _MARKS:  # most lines, and the values that stand at the beginning of one
        return ("more", text) if before == "text" else ("text", text)
    if line[0] == " ":
        if before not in {"- ", "text"}:
            raise MarkupRefused(line, expected="no spaces before a line that continues no item and no paragraph")
        return "more", text
    for mark in ("- ", "# ", "## "):
        if line.startswith(mark) and text != mark.strip():
            return mark, text[len(mark) :]
    if text[0] == "|" and text[-1] == "|" and text.count("|") == 3:
        return "|", text
    if _FOREIGN.match(text):
        raise MarkupRefused(line, expected='text, "# heading", "## heading", "- item" or "| label | value |"')
    return ("more", text) if before == "text" else ("text", text)


def _block(kind: str, lines: list[str]) -> Block:
    if kind == "text":
        return Paragraph(_runs(lines[0]))
    if kind == "- ":
        return Items(tuple(_runs(line) for line in lines))
    if kind == "|":
        return Facts(tuple(_row(line) for line in lines))
    return Heading(len(kind) - 1, _runs(lines[0]))


def _row(line: str) -> tuple[str, Runs]:
    _, label, value, _ = line.split("|")
    return _on_one_line(label), _runs(value.strip(" "))


def _runs(text: str) -> Runs:
    if "://" not in text:
        return (Run(_on_one_line(text)),)
    found, at = list[Run](), 0
    plain = _unmarked(text)
    for match in _LINK.finditer(plain):
        link = match[0].rstrip(_LINK_END)
        found += [Run(plain[at : match.start()].replace(_APART, "")), Run(link, link=True)]
        at = match.start() + len(link)
    found.append(Run(plain[at:].replace(_APART, "")))
    return tuple(run for run in found if run.text)


def _on_one_line(text: str) -> str:
    plain = shown(text).strip(" ")
    return plain if "  " not in plain else " ".join(word for word in plain.split(" ") if word)


# --- writing ----------------------------------------------------------------------------------------------------------


def as_text(blocks: tuple[Block, ...]) -> str:
    """Return blocks as plain text, in lines of at most 72 columns where words allow it."""
    return "\n\n".join(map(_text, blocks)) + "\n"


@lru_cache(maxsize=KEPT_MAX)
def _text(block: Block) -> str:
    if isinstance(block, Heading):
        text = _plain(block.runs)
        return f"{text}\n{'-' * min(len(text), WIDTH)}"
    return "\n".join(line for entry in entries(block) for line in wrapped(*entry))


class Entry(NamedTuple):
    """What begins on a line of its own: its text, what stands before it, and before each further line of it."""

    text: str
    first: str = ""
    rest: str = ""


def entries(block: Paragraph | Items | Facts) -> Iterator[Entry]:
    """Return what a block says, as it is wrapped."""
    match block:
        case Paragraph():
            yield Entry(_plain(block.runs))
        case Items():
            for item in block.items:
                yield Entry(_plain(item), "- ", "  ")
        case Facts():
            width = min(LABEL_WIDTH_MAX, max((len(label) + 1 for label, _ in block.rows), default=0))
            for label, runs in block.rows:
                first = f"{label}:".ljust(width) if label else " " * width
                yield Entry(_plain(runs), f"{first} ", " " * (width + 1))


def wrapped(text: str, first: str = "", rest: str = "") -> Iterator[str]:
    """Yield `text` in lines of at most 72 columns; a longer word has a line of its own."""
    at, before = 0, first
    while len(before) + len(text) - at > WIDTH:
        end = text.rfind(" ", at, at + WIDTH - len(before) + 1)
        if end < 0:
            end = text.find(" ", at)
        if end < 0:
            break
        yield before + text[at:end]
        at, before = end + 1, rest
    yield (before + text[at:]).rstrip(" ")


def _plain(runs: Runs) -> str:
    return runs[0].text if len(runs) == 1 else "".join(run.text for run in runs)


def as_html(blocks: tuple[Block, ...]) -> str:
    """Return blocks as HTML; the only attributes are the addresses of links and the roles of cells."""
    return "\n".join(map(_html, blocks))


@lru_cache(maxsize=KEPT_MAX)
def _html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_marked(block.runs)}</h{block.level}>"
        case Paragraph():
            return f"<p>{_marked(block.runs)}</p>"
        case Items():
            return "<ul>\n" + "\n".join(f"<li>{_marked(item)}</li>" for item in block.items) + "\n</ul>"
        case Facts():
            return "<table>\n" + "\n".join(_html_rows(block)) + "\n</table>"


def _html_rows(facts: Facts) -> Iterator[str]:
    """Yield the rows of a table; one without a label is a line of the one above."""
    row = ""
    for label, runs in facts.rows:
        if row and not label:
            row += f"<br>{_marked(runs)}"
            continue
        if row:
            yield f"{row}</td></tr>"
        row = f'<tr><th scope="row">{escape(label)}{":" if label else ""}</th><td>{_marked(runs)}'
    yield f"{row}</td></tr>"


def _marked(runs: Runs) -> str:
    if len(runs) == 1 and not runs[0].link:
        return escape(runs[0].text)
    return "".join(f'<a href="{escape(t)}">{escape(t)}</a>' if link else escape(t) for t, link in runs)

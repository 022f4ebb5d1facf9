"""Mails that say the same to many: their words are rendered once, and each reader's own are put in.

Letters are of one group where they differ in nothing but what belongs to their readers. The bytes are those that
`compose` makes of each letter alone. Whatever cannot be shared with certainty is composed alone: an operator's own
template, one that asks more of a value than to put it out, a value that could change the words around it.
"""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from typing import Any, NamedTuple

from markupsafe import escape as escape_title

from maintsched.errors import MaintschedError
from maintsched.mail.blanks import (
    VALUE_MAX,
    Blank,
    Book,
    Form,
    NotShared,
    any_blank,
    count_blanks,
    has_blank,
    has_link_blank,
    is_link_blank,
    with_blanks,
)
from maintsched.mail.compose import Said, compose, composed
from maintsched.mail.letter import Composed, Letter
from maintsched.mail.markup import (
    Block,
    Facts,
    Heading,
    Items,
    MarkupRefused,
    Paragraph,
    Runs,
    as_html,
    as_text,
    entries,
    read,
    shown,
    wrapped,
)
from maintsched.mail.message import quoted_printable
from maintsched.mail.sandbox import SIZE_MAX
from maintsched.mail.templates import Templates

KEPT_MAX = 512
"""Groups that are known at a time; when there are more, all are forgotten, and found again."""
_NEAR_LINK = re.compile("[\ue000-\uf8ff][htps]*://")
"""A value that what follows could make the beginning of a link."""
_ESCAPED_MAX = 6
"""What escaping makes of one character at most: "&#x27;"."""
_BYTES_MAX = 4
"""What UTF-8 makes of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a letter has in common with others, and what it has not."""

    group: Hashable
    """The same for all letters whose words differ in nothing but `values`."""
    values: Sequence[str]
    words: Callable[[], Mapping[str, Any]]
    """Makes the context of the letter's template, with blanks in place of `values`."""


class Groups:
    """Composes letters, those of a group from one skeleton, which is made for the second of them."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._known: dict[Hashable, Skeleton | None] = {}
        """None: the first letter of a group that may have no second one, or one that cannot be shared."""
        self._seen: set[Hashable] = set()

    def compose(self, letter: Letter, share: Callable[[], Shared]) -> Composed:
        """Return the mail of a letter, as `compose` does; `share` says what it shares, or raises `NotShared`."""
        try:
            if self._templates.come_along(letter.language, letter.kind):
                shared = share()
                skeleton = self._skeleton(letter, shared)
                if skeleton is not None:
                    return composed(letter, skeleton.filled(letter.subject_id, shared.values))
        except (NotShared, MarkupRefused, MaintschedError):
            pass  # alone it is composed, or refused, in any case
        return compose(letter, self._templates)

    def _skeleton(self, letter: Letter, shared: Shared) -> "Skeleton | None":
        name = (letter.language, letter.kind, shared.group)
        if name in self._known:
            return self._known[name]
        if len(self._seen) >= KEPT_MAX:
            self._seen.clear()
            self._known.clear()
        if name not in self._seen:
            self._seen.add(name)
            return None
        self._known[name] = None
        self._known[name] = skeleton = skeleton_of(letter, shared, self._templates)
        return skeleton


# --- the skeleton -----------------------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """Lines of a text that are the same in each mail, ready to be sent, or have blanks."""

    text: str
    written: bytes
    form: Form | None = None
    first: str = ""
    rest: str = ""
    end: str = ""
    """What follows on the text when it was wrapped; nothing where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """The words of a mail with blanks in it."""

    book: Book
    subject: Form
    summary: Form
    text: tuple[Piece, ...]
    page: tuple[Piece, ...]
    """The blank after those of the values is the title."""

    def filled(self, subject_id: str, values: Sequence[str]) -> Said:
        """Return the words with `values` in them. Raises `NotShared` where they do not fit."""
        given = self.book.values(values)
        subject = f"[{subject_id}] {self.subject.filled(given)}"
        escaped = escape("\n".join(given)).split("\n")  # values are on one line each
        text, written_text = _filled(self.text, given)
        page, written_page = _filled(self.page, [*escaped, str(escape_title(subject))])
        return Said(
            subject=subject,
            summary=self.summary.filled(given),
            text=text,
            html=page,
            written=(written_text, written_page),
        )


def _filled(pieces: Sequence[Piece], values: Sequence[str]) -> tuple[str, bytes]:
    """Return pieces with `values` in them, as text and as it is written."""
    texts, written = list[str](), list[bytes]()
    for piece in pieces:
        text, form = piece.text, piece.form
        if form is not None:
            text = form.filled(values)
            if piece.end:
                text = "\n".join(wrapped(text, piece.first, piece.rest)) + piece.end
        texts.append(text)
        written.append(piece.written if form is None else quoted_printable(text))
    return "".join(texts), b"".join(written)


def skeleton_of(letter: Letter, shared: Shared, templates: Templates) -> Skeleton:
    """Return the skeleton of a letter's group. Raises `NotShared` where there can be none."""
    if any_blank(letter.context):
        raise NotShared("a character that stands for a blank")
    book = Book(len(shared.values))
    filled = templates.filled(letter.language, letter.kind, with_blanks(shared.words(), book))
    if _NEAR_LINK.search(shown(filled)):
        raise NotShared("a value that could become a link with what follows")
    draft = read(filled)
    page = _page(letter, draft.blocks, book, templates)
    for each in (filled, page):
        _require_room(each)
    return Skeleton(
        book=book,
        subject=Form(draft.subject),
        summary=Form(draft.summary),
        text=tuple(_in_one(_text(draft.blocks))),
        page=tuple(_in_one(_lines(page))),
    )


def _require_room(text: str) -> None:
    """Refuse a text that could be too long when it is filled."""
    size = len(text.encode()) + count_blanks(text) * VALUE_MAX * _ESCAPED_MAX * _BYTES_MAX
    if size > SIZE_MAX:
        raise NotShared("a text that could become too long")


def _page(letter: Letter, blocks: tuple[Block, ...], book: Book, templates: Templates) -> str:
    """Return the page with blanks, the next one of which is its title."""
    for text, is_link in chain.from_iterable(chain.from_iterable(map(_runs, blocks))):
        if (is_link and has_blank(text) and not is_link_blank(text)) or (not is_link and has_link_blank(text)):
            raise NotShared("a link that is a value and more, or a value that is none")
    around = Book(book.free + 2)
    title, body = (Blank.numbered(book.free + number, around) for number in (0, 1))
    page = templates.page(letter.language, title, body)
    if around.free != book.free + 2 or "\n" not in page.partition("</head>\n")[2]:
        raise NotShared("a layout that does something with its title, or has no lines")
    return page.replace(body.put_out, as_html(blocks))


def _runs(block: Block) -> Iterator[Runs]:
    match block:
        case Heading() | Paragraph():
            yield block.runs
        case Items():
            yield from block.items
        case Facts():
            yield from (runs for _, runs in block.rows)


def _text(blocks: tuple[Block, ...]) -> Iterator[Piece]:
    """Return what `as_text` makes of blocks, in pieces."""
    for number, block in enumerate(blocks, 1):
        end = "\n" if number == len(blocks) else "\n\n"
        whole = as_text((block,)).removesuffix("\n") + end
        if not has_blank(whole):
            yield _same(whole)
        elif isinstance(block, Heading):
            raise NotShared("a value in a heading, which is underlined")
        else:
            yield from _entries(block, end)


def _entries(block: Paragraph | Items | Facts, end: str) -> Iterator[Piece]:
    listed = list(entries(block))
    for number, (text, first, rest) in enumerate(listed, 1):
        after = end if number == len(listed) else "\n"
        if has_blank(first):
            raise NotShared("a value in a label, after which others are aligned")
        if has_blank(text):
            yield Piece("", b"", Form(text), first, rest, after)
        else:
            yield _same("\n".join(wrapped(text, first, rest)) + after)


def _lines(page: str) -> Iterator[Piece]:
    *lines, last = page.split("\n")
    for line in lines:
        yield Piece("", b"", Form(f"{line}\n")) if has_blank(line) else _same(f"{line}\n")
    if has_blank(last):
        raise NotShared("a value in the last line of a layout, which is an open one")
    yield Piece(last, quoted_printable(f"\n{last}").removeprefix(b"\r\n"))  # as it is written after other lines


def _same(text: str) -> Piece:
    return Piece(text, quoted_printable(text))


def _in_one(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Join pieces next to each other that are the same in each mail: a line is written as it is wherever it stands."""
    text, written = "", b""
    for piece in pieces:
        if piece.form is None:
            text, written = text + piece.text, written + piece.written
            continue
        if text:
            yield Piece(text, written)
            text, written = "", b""
        yield piece
    if text:
        yield Piece(text, written)

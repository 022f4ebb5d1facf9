"""Blanks: places in the words of a mail where something of its reader stands, so that all others can be shared.

A blank is one private character of Unicode, which no value and no template can hold: they are taken out of the one and
refused in the other. In a template it stands for a text that nobody knows yet. It can be put out, joined with others
and given to some filters, which wait; whatever else a template wants of it is refused, as only the text could tell.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, NoReturn

from maintsched.mail.markup import is_link

WAITING = frozenset({"capitalize", "lower", "replace", "title", "trim", "truncate", "upper"})
"""Filters that make a text of a text and can be asked later."""
VALUE_MAX = 200
"""Characters of a text that fills a blank."""
BLANKS_MAX = 0x800
_TEXT, _LINK = 0xE000, 0xF000
"""Characters of the first blank for a text and for a link."""
_BLANK = re.compile("(https://[\uf000-\uf8ff]|[\ue000-\uefff])")
_ANY = re.compile("[\ue000-\uf8ff]")
_AT_NO_EDGE = frozenset(" :/")


class NotShared(Exception):
    """Something depends on a value in a way that a skeleton cannot carry."""


def has_blank(text: str) -> bool:
    """Say whether a text has any blank, or a character that could be taken for one."""
    return _ANY.search(text) is not None


def count_blanks(text: str) -> int:
    """Return how many blanks a text has."""
    return len(_ANY.findall(text))


def has_link_blank(text: str) -> bool:
    """Say whether a text has a blank for a link."""
    return any(len(each) > 1 for each in _BLANK.findall(text))


def is_link_blank(text: str) -> bool:
    """Say whether a text is a blank for a link, and nothing else."""
    return len(text) > 1 and _BLANK.fullmatch(text) is not None


def is_fit(value: object) -> bool:
    """Say whether a value fills a blank: a text that stays as it is wherever it stands, and makes nothing around it.

    So it has neither spaces at its ends nor two in a row, nothing that is taken out or could be part of a link.
    """
    return (
        type(value) is str
        and 0 < len(value) <= VALUE_MAX
        and value.isprintable()
        and value[0] not in _AT_NO_EDGE
        and value[-1] not in _AT_NO_EDGE
        and "  " not in value
        and "://" not in value
    )


class Blanks:
    """The blanks of one letter: takes values, gives what stands for them, refuses those that do not fit."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[str] = []

    def text(self, value: str) -> str:
        """Return a blank for a text."""
        if not is_fit(value):
            raise NotShared("a text that changes what is around it")
        return chr(_TEXT + self._number(value))

    def link(self, value: str | None) -> str | None:
        """Return a blank for a link; None stays None, and another group."""
        if value is None:
            return None
        if len(value) > VALUE_MAX or not is_link(value):
            raise NotShared("a link that may end elsewhere")
        return f"https://{chr(_LINK + self._number(value))}"

    def _number(self, value: str) -> int:
        self.values.append(value)
        if len(self.values) > BLANKS_MAX // 2:
            raise NotShared("too many values")
        return len(self.values) - 1


class Form:
    """A text with blanks, made to be filled in many times."""

    __slots__ = ("_frame", "_pick", "is_filled")

    def __init__(self, text: str) -> None:
        parts = _BLANK.split(text)
        if any(map(has_blank, parts[::2])):
            raise NotShared("a blank that was taken apart")
        self.is_filled = len(parts) == 1
        """Whether it has no blank at all."""
        self._frame = "%s".join(part.replace("%", "%%") for part in parts[::2])
        numbers = [ord(blank[-1]) - (_TEXT if len(blank) == 1 else _LINK) for blank in parts[1::2]]
        self._pick: Callable[[Sequence[str]], Any] = itemgetter(*numbers) if numbers else _nothing

    def filled(self, values: Sequence[str]) -> str:
        """Return the text with `values` in its blanks."""
        filled: str = self._frame % self._pick(values)
        return filled


def _nothing(_: Sequence[str]) -> tuple[()]:
    return ()


def _refuse(*_: object) -> NoReturn:
    raise NotShared("a template asks for more than to put out a value")


class Blank:
    """What a template gets in place of a text with blanks."""

    __slots__ = ("_book", "_text")

    def __init__(self, text: str, book: "Book") -> None:
        plain = _BLANK.sub("", text)
        part_of_more = has_link_blank(text) and not is_link_blank(text)
        if not plain.isprintable() or "|" in plain or "://" in plain or part_of_more:
            raise NotShared("a text around a value that is no plain one")
        self._text = text
        self._book = book

    @classmethod
    def numbered(cls, number: int, book: "Book") -> "Blank":
        """Return the blank for the text with that number."""
        return cls(chr(_TEXT + number), book)

    @property
    def put_out(self) -> str:
        """What stands in the filled template."""
        return self._text

    def __html__(self) -> str:
        """Return what stands in the page, which is filled with what was escaped before."""
        return self._text

    @staticmethod
    def joined(between: str, parts: Iterable[object]) -> "Blank":
        """Return parts one after the other, of which at least one is a blank."""
        listed = list(parts)
        book = next(each._book for each in listed if type(each) is Blank)
        texts = [each._text if type(each) is Blank else each for each in listed]
        if not all(type(text) is str for text in (between, *texts)) or has_blank(between):
            raise NotShared("values among other things than texts")
        return Blank(between.join(map(str, texts)), book)

    @staticmethod
    def later(name: str, function: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]) -> "Blank":
        """Return what a filter will make of a blank, once it is filled."""
        at = [type(each) for each in given].index(Blank)
        blank: Blank = given[at]
        others = (*given[:at], *given[at + 1 :], *named.values())
        if name not in WAITING or any(type(each) is Blank for each in others):
            raise NotShared(f"a filter that needs the value at once: {name}")
        form = Form(blank._text)
        return blank._book.later(lambda values: function(*given[:at], form.filled(values), *given[at + 1 :], **named))

    def __bool__(self) -> Literal[True]:
        """Nothing that fills a blank is empty."""
        return True

    # Everything else would tell one text from another.
    __str__ = __repr__ = __len__ = __iter__ = __hash__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __contains__ = __getitem__ = __add__ = __radd__ = __mod__ = __mul__ = __int__ = __float__ = _refuse


class Book:
    """What belongs to the blanks of one skeleton: those of `count` values, then what filters make of these."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: list[Callable[[Sequence[str]], Any]] = []
        """What makes the further values, each of those before it."""

    @property
    def free(self) -> int:
        """The number that no blank has yet."""
        return self._count + len(self._waiting)

    def later(self, make: Callable[[Sequence[str]], Any]) -> Blank:
        """Return a blank for a value that `make` will make."""
        blank = Blank.numbered(self.free, self)
        self._waiting.append(make)
        return blank

    def values(self, given: Sequence[str]) -> list[str]:
        """Return `given` and what is made of them. Raises `NotShared` where something of that does not fit."""
        found = list(given)
        for make in self._waiting:
            made = make(found)
            if not is_fit(made):
                raise NotShared("a filter made of a value what changes its surroundings")
            found.append(made)
        return found


def with_blanks(words: Any, book: Book) -> Any:
    """Return the words of a letter as a template gets them: each text that has a blank is one."""
    if type(words) is str:
        return Blank(words, book) if has_blank(words) else words
    if isinstance(words, Mapping):
        return {name: with_blanks(each, book) for name, each in words.items()}
    return [with_blanks(each, book) for each in words] if type(words) is list else words


def any_blank(words: Any) -> bool:
    """Say whether words that were given no blanks have characters that could be taken for some."""
    if type(words) is str:
        return has_blank(words)
    if isinstance(words, Mapping):
        return any(map(any_blank, words.values()))
    return type(words) is list and any(map(any_blank, words))

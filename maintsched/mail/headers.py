"""Header lines of a mail: what may stand in them, encoded words (RFC 2047), folding (RFC 5322)."""

from email.headerregistry import Address
from functools import lru_cache

from maintsched.errors import InvalidValue

LINE_MAX = 78
"""Characters of a line, without its end, where a place to break it can be found."""
_WORD_MAX = 75
"""Characters of an encoded word (RFC 2047, 2)."""
_NAME_MAX = 64
"""Characters of a quoted name; a longer one is written in encoded words, which can be folded."""
_BARE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_ENCODED = tuple(chr(octet) if octet in _BARE else "_" if octet == 0x20 else f"={octet:02X}" for octet in range(256))


def header(name: str, *atoms: str) -> str:
    """Return a header line with its end: atoms with a space between each two, folded where they are too long."""
    lines, line = list[str](), f"{name}:"
    for atom in atoms:
        if len(line) + 1 + len(atom) > LINE_MAX and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {atom}"
    return "\r\n".join([*lines, line]) + "\r\n"


def require_header_text(name: str, text: str) -> None:
    """Refuse a text that could end a header, begin an encoded word in it, or hide what it says."""
    if not text.isprintable() or "=?" in text or not text:
        expected = "printable characters on one line, without '=?'"
        raise InvalidValue(name, expected=expected, found=text, field=name.lower())


def text_atoms(name: str, text: str) -> tuple[str, ...]:
    """Return a text as atoms of the header `name`: its words; from the first to the last that needs it, encoded."""
    plain = " ".join(text.split())
    require_header_text(name, plain)
    words = plain.split(" ")
    bad = [at for at, word in enumerate(words) if not word.isascii() or len(word) > LINE_MAX - 2 - len(name)]
    if not bad:
        return tuple(words)
    first, last = bad[0], bad[-1] + 1
    taken = len(name) + 2 if first == 0 else 1
    return (*words[:first], *encoded_words(" ".join(words[first:last]), taken=taken), *words[last:])


def encoded_words(text: str, *, taken: int = 1) -> tuple[str, ...]:
    """Return a text in encoded words; `taken` characters of the first line are used already."""
    words, word, room = list[str](), "", min(_WORD_MAX, LINE_MAX - taken) - len("=?utf-8?q??=")
    if len(whole := "".join(map(_written, text))) <= room:
        return (f"=?utf-8?q?{whole}?=",) if whole else ()
    for character in text:
        written = _written(character)
        if len(word) + len(written) > room:
            words.append(word)
            word, room = "", _WORD_MAX - len("=?utf-8?q??=")
        word += written
    return tuple(f"=?utf-8?q?{each}?=" for each in [*words, word] if each)


@lru_cache(maxsize=1024)
def _written(character: str) -> str:
    return "".join(_ENCODED[octet] for octet in character.encode())


@lru_cache(maxsize=4096)
def address_atoms(header_name: str, name: str, address: str) -> tuple[str, ...]:
    """Return a person's name and address as atoms of a header; whatever the name holds, it is one address."""
    plain = " ".join(name.split())
    require_header_text(header_name, plain)
    require_header_text(header_name, address)
    user, _, domain = address.rpartition("@")
    if plain.isascii():
        whole = str(Address(display_name=plain, username=user, domain=domain))
        quoted = whole.removesuffix(f" <{address}>")
        if len(quoted) <= _NAME_MAX and quoted != whole:
            return quoted, f"<{address}>"
    return (*encoded_words(plain, taken=len(header_name) + 2), f"<{address}>")

"""The grammars of what people type: keys, free text, addresses, hosts, links.

Free text may reach a mail header, a terminal, a page or a calendar, so that control characters, encoded words and
characters that turn the reading direction are refused at birth, not escaped later.
"""

import re
import unicodedata
from collections.abc import Hashable, Iterable

from maintsched.errors import InvalidValue

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
TEXT_MAX = 500
LINK_MAX = 2000
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_IPV4 = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_SUFFIX = re.compile(r"(?:[A-Za-z0-9-]{0,29}[A-Za-z0-9])?")
_LOCAL_PART = re.compile(r"(?=.{1,64}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LINK = re.compile(r"https?://([^/?#:@\s]+)(?::([0-9]{1,5}))?(?:[/?#][!-~]*)?")


def require_key(field: str, text: str) -> None:
    """Refuse `text` unless it is 1 to 63 ASCII letters, digits, '.', '-' or '_' that begin with a letter or digit."""
    if not KEY.fullmatch(text):
        expected = "1 to 63 ASCII letters, digits, '.', '-' or '_', beginning with a letter or digit"
        raise InvalidValue(field, expected=expected, found=text, field=field)


def require_text(field: str, text: str, *, empty: bool = False) -> None:
    """Refuse `text` with control, formatting or unassigned characters, '=?', more than 500 characters, or none."""
    hidden = not text.isprintable() and any(unicodedata.category(c) in _UNPRINTABLE for c in text)
    if hidden or "=?" in text or len(text) > TEXT_MAX or not (text.strip() or empty):
        expected = f"up to {TEXT_MAX} printable characters on one line, without '=?' and without control characters"
        raise InvalidValue(field, expected=expected, found=text, field=field)


_UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def require_once(field: str, expected: str, names: Iterable[Hashable]) -> None:
    """Refuse `names` of which one comes again; `expected` says what is."""
    listed = tuple(names)
    if len(set(listed)) < len(listed):
        again = next(name for at, name in enumerate(listed) if name in listed[:at])
        raise InvalidValue(field, expected=expected, found=again, field=field)


def require_host(field: str, text: str) -> None:
    """Refuse `text` unless it is a host name or an IP address; four numbers that are no address are no name either."""
    if not (_is_host(text) or _is_ipv6(text)):
        raise InvalidValue(field, expected="a host name or an IP address", found=text, field=field)


def require_host_suffix(field: str, text: str) -> None:
    """Refuse `text` unless it may end the first label of a host name; it may be empty."""
    if not _SUFFIX.fullmatch(text):
        raise InvalidValue(field, expected='the end of a host label, such as "-test"', found=text, field=field)


def is_ip_address(text: str) -> bool:
    """Say whether the host `text` is an IP address and no name."""
    return _is_ipv4(text) or _is_ipv6(text)


def is_loopback(host: str) -> bool:
    """Say whether a host name or an IP address means this machine: localhost, 127.0.0.0/8, ::1."""
    from ipaddress import ip_address  # most fleets have none

    return ip_address(host).is_loopback if is_ip_address(host) else host.lower() == "localhost"


def _is_host(text: str) -> bool:
    return _is_host_name(text) or _is_ipv4(text)


def _is_host_name(text: str) -> bool:
    return _HOST.fullmatch(text) is not None and not text.rpartition(".")[2].isdecimal()


def _is_ipv4(text: str) -> bool:
    return _IPV4.fullmatch(text) is not None and all(int(part) <= 255 for part in text.split("."))


def _is_ipv6(text: str) -> bool:
    from ipaddress import AddressValueError, IPv6Address  # most fleets have none

    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return text.isascii() and "%" not in text


def email_address(field: str, text: str) -> str:
    """Return the address with an internationalised domain encoded (IDNA), or refuse it."""
    local, _, domain = text.rpartition("@")
    domain = domain if domain.isascii() else _encoded_domain(domain)
    bad_local = not _LOCAL_PART.fullmatch(local) or "=?" in local  # "=?" begins an encoded word of a header
    if bad_local or not _is_host_name(domain) or "." not in domain:
        raise InvalidValue(field, expected="a mail address such as eva@acme.example", found=text, field=field)
    return f"{local}@{domain}"


def _encoded_domain(domain: str) -> str:
    """Return a domain in its ASCII form, or nothing where that would be another domain.

    Python's codec drops zero width characters and folds others, "ß" among them: what does not come back as it went in
    might belong to somebody else.
    """
    plain = unicodedata.normalize("NFC", domain).lower()
    if len(plain) > 253:
        return ""
    try:
        encoded = plain.encode("idna")
        return encoded.decode("ascii") if encoded.decode("idna") == plain else ""
    except UnicodeError:
        return ""


def require_link(field: str, text: str) -> str:
    """Return the host of the http or https link `text`, or refuse it."""
    found = _LINK.fullmatch(text)
    bad = len(text) > LINK_MAX or "=?" in text
    if bad or not found or not _is_host(found[1]) or (found[2] and int(found[2]) > 65535):
        raise InvalidValue(field, expected="a link that begins with https:// or http://", found=text, field=field)
    return found[1]

"""The grammars of what people type: keys, free text, addresses, hosts, links.

Free text may reach a mail header, a terminal, a page or a calendar, so that control characters, encoded words and
characters that turn the reading direction are refused at birth, not escaped later.
"""

import re
import unicodedata

from maintsched.errors import InvalidValue

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
TEXT_MAX = 500
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = re.compile(r"(?=.{1,64}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LINK = re.compile(r"https?://([^/?#:@\s]+)(?::([0-9]{1,5}))?(?:[/?#][!-~]*)?")


def require_key(field: str, text: str) -> None:
    """Refuse `text` unless it is 1 to 63 ASCII letters, digits, '.', '-' or '_' that begin with a letter or digit."""
    if not KEY.fullmatch(text):
        expected = "1 to 63 ASCII letters, digits, '.', '-' or '_', beginning with a letter or digit"
        raise InvalidValue(field, expected=expected, found=text, field=field)


def require_text(field: str, text: str, *, empty: bool = False) -> None:
    """Refuse `text` with control, formatting or unassigned characters, '=?', more than 500 characters, or none."""
    bad = "=?" in text or any(unicodedata.category(c) in _UNPRINTABLE for c in text)
    if bad or len(text) > TEXT_MAX or not (text.strip() or empty):
        expected = f"up to {TEXT_MAX} printable characters on one line, without '=?' and without control characters"
        raise InvalidValue(field, expected=expected, found=text, field=field)


_UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def require_host(field: str, text: str) -> None:
    """Refuse `text` unless it is a host name or an IP address."""
    if not (_HOST.fullmatch(text) or _is_ipv6(text)):
        raise InvalidValue(field, expected="a host name or an IP address", found=text, field=field)


def _is_ipv6(text: str) -> bool:
    from ipaddress import AddressValueError, IPv6Address  # most fleets have none

    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return text.isascii() and "%" not in text


def email_address(field: str, text: str) -> str:
    """Return the address with an internationalised domain encoded (IDNA), or refuse it."""
    local, at, domain = text.rpartition("@")
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        domain = ""
    if not at or not _LOCAL_PART.fullmatch(local) or not _HOST.fullmatch(domain) or "." not in domain:
        raise InvalidValue(field, expected="a mail address such as eva@acme.example", found=text, field=field)
    return f"{local}@{domain}"


def require_link(field: str, text: str) -> str:
    """Return the host of the http or https link `text`, or refuse it."""
    found = _LINK.fullmatch(text)
    if not found or not _HOST.fullmatch(found[1]) or (found[2] and int(found[2]) > 65535):
        raise InvalidValue(field, expected="a link that begins with https:// or http://", found=text, field=field)
    return found[1]

"""How a mail server is reached: values, with secrets that do not show themselves."""

from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue
from maintsched.grammar import is_ip_address, require_host, require_text

CONNECTIONS_MAX = 50
SECRET_MAX = 1000
TIMEOUT_MIN_SECONDS = 0.05
TIMEOUT_MAX_SECONDS = 3600.0


class Tls(StrEnum):
    """How the conversation is encrypted. There is no "if offered": that asks whoever sits in between."""

    REQUIRED = "required"  # from the first byte, usually on port 465
    STARTTLS = "starttls"  # by STARTTLS, before anything else is said, usually on port 587 or 25
    NONE = "none"  # not at all, to this machine only


class Secret:
    """A text that neither prints, nor formats, nor pickles itself; `reveal()` is the one way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep 1 to 1,000 characters without control characters; what is refused is not repeated in the error."""
        if not (0 < len(text) <= SECRET_MAX and text.isprintable()):
            expected = f"1 to {SECRET_MAX} printable characters on one line"
            raise InvalidValue("password", expected=expected, found="something else (not shown)", field="password")
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __reduce__(self) -> NoReturn:
        """Refuse: a pickle or a deep copy would carry the secret in the clear."""
        raise TypeError("a Secret is not pickled or copied")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """The server mails are handed to, and how. `password` may be given as a text; it becomes a `Secret`."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: Secret | None = None
    connections: int = 4
    """Connections open at once, 1 to 50. Each is used for many mails."""
    timeout_seconds: float = 60.0
    """How long each answer of the server is waited for. RFC 5321 (4.5.3.2.6) allows a server ten minutes for the answer
    to a mail's last line; a mail whose answer did not come in time is sent again."""
    per_domain: int = 2
    """Mails under way at once to recipients of one domain, at least 1."""
    ca_file: Path | None = None
    """Certificates that may sign the server's, in PEM; None: those the system trusts."""
    local_hostname: str | None = None
    """How this machine introduces itself; None: its full name, or its address where it has none."""

    def __post_init__(self) -> None:
        """Refuse plain text to another machine, half a login, and numbers out of bounds."""
        given: object = self.password
        if isinstance(given, str):  # before anything that would show it in an error
            object.__setattr__(self, "password", Secret(given))
        if type(self.timeout_seconds) is int:
            object.__setattr__(self, "timeout_seconds", float(self.timeout_seconds))
        settle_fields(self)
        require_host("host", self.host)
        if self.local_hostname is not None:
            require_host("local_hostname", self.local_hostname)
        _require_number("port", self.port, 1, 65535)
        _require_number("connections", self.connections, 1, CONNECTIONS_MAX)
        _require_number("per_domain", self.per_domain, 1, CONNECTIONS_MAX)
        _require_number("timeout_seconds", self.timeout_seconds, TIMEOUT_MIN_SECONDS, TIMEOUT_MAX_SECONDS)
        self._require_whole_login()
        if self.tls is Tls.NONE and not is_loopback(self.host):
            expected = f"required or starttls for {self.host} (plain text is for this machine only)"
            raise InvalidValue("tls", expected=expected, found="none", field="tls")

    def _require_whole_login(self) -> None:
        if (self.user is None) != (self.password is None):
            missing, given = ("password", "a user") if self.password is None else ("user", "a password")
            raise InvalidValue(missing, expected="both user and password, or neither", found=given, field=missing)
        if self.user is not None:
            require_text("user", self.user)

    @property
    def server(self) -> str:
        """The server as evidence names it: host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Say whether a host name or an IP address means this machine: localhost, 127.0.0.0/8, ::1."""
    return ip_address(host).is_loopback if is_ip_address(host) else host.lower() == "localhost"


def _require_number(field: str, found: Any, least: float, most: float) -> None:
    if not least <= found <= most:  # also refuses what is no number
        raise InvalidValue(field, expected=f"a number from {least:g} to {most:g}", found=found, field=field)

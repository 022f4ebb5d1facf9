"""What a configuration may say of the transports `local` and `ssh`."""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue, OutOfRange, UnknownName
from maintsched.executors.transports.jobs import ANSWER_SECONDS, BOOT_ID
from maintsched.grammar import require_host, require_text

S = TypeVar("S")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+\\-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How this machine is worked on."""

    hosts: tuple[str, ...] = ()
    """Hosts of the fleet that are this machine, beside `localhost` and what it calls itself."""
    jobs: str = ""
    """Folder that keeps the jobs, absolute; empty: `.local/state/maintsched/jobs` in the home of the user."""
    boot_id: str = BOOT_ID
    """File that holds another word after each start of the machine."""
    answer_timeout_seconds: int = ANSWER_SECONDS
    """How long an answer about a job is waited for: 1 to 600."""

    def __post_init__(self) -> None:
        """Refuse bad hosts and places."""
        settle_fields(self)
        for host in self.hosts:
            require_host("hosts", host)
        _require_keeping(self.jobs, self.boot_id, self.answer_timeout_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """How hosts are reached by ssh. A host is known by its pinned key, we are by a key of our own."""

    known_hosts: str
    """File with the pinned keys of the hosts, as OpenSSH writes it."""
    identity: str | None = None
    """File with the private key that lets us in, without a passphrase, for its owner's eyes only."""
    agent: bool = False
    """Whether the keys of the agent behind SSH_AUTH_SOCK are offered as well."""
    user: str = field(default_factory=lambda: pwd.getpwuid(os.geteuid()).pw_name)
    """Who we are on the hosts; left out: the user who runs this."""
    port: int = 22
    addresses: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Where a host is reached, if not under its own name. Its key is still pinned under its name."""
    connect_timeout_seconds: int = 20
    """How long a connection may take, the login included: 1 to 300."""
    keepalive_seconds: int = 15
    """A host that answers nothing for three times as long is cut off: 1 to 3600."""
    answer_timeout_seconds: int = ANSWER_SECONDS
    """How long an answer about a job is waited for: 1 to 600."""
    jobs: str = ""
    """Folder on the hosts that keeps the jobs, absolute; empty: `.local/state/maintsched/jobs` in the user's home."""
    boot_id: str = BOOT_ID
    """File on the hosts that holds another word after each start of a host."""

    def __post_init__(self) -> None:
        """Refuse bad names and places, numbers out of bounds, and settings without a key."""
        settle_fields(self)
        for name in ("known_hosts", "identity"):
            text = getattr(self, name)
            if text is not None:
                require_text(name, text)
        if not _USER.fullmatch(self.user):
            expected = "a name of ASCII letters, digits and _ . @ + \\ -, which begins with a letter, digit or _"
            raise InvalidValue("user", expected=expected, found=self.user, field="user")
        if self.identity is None and not self.agent:
            expected = "a file with a private key, or agent = true"
            raise InvalidValue("identity", expected=expected, found="neither", field="identity")
        for host, address in self.addresses.items():
            require_host("addresses", host)
            require_host(f"addresses.{host}", address)
        _require_number("port", self.port, 1, 65_535)
        _require_number("connect_timeout_seconds", self.connect_timeout_seconds, 1, 300)
        _require_number("keepalive_seconds", self.keepalive_seconds, 1, 3600)
        _require_keeping(self.jobs, self.boot_id, self.answer_timeout_seconds)


def read_settings(kind: type[S], raw: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> S:
    """Return the settings of a transport; refuse names that it does not know, and what is missing."""
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # a dataclass, both of them
    for name in raw:
        if name not in known:
            raise UnknownName("setting", found=str(name), known=known, field=str(name))
    for name in required:
        if raw.get(name) is None:
            raise InvalidValue(name, expected="a value: without it no host can be reached", found="none", field=name)
    return kind(**raw)


def place_in(folder: Path, text: str) -> Path:
    """Return the path that a setting names: `~` is the user's home, a relative one counts from `folder`."""
    try:
        return folder / Path(text).expanduser()
    except RuntimeError as error:
        raise InvalidValue("path", expected="a path below a home that is known", found=text) from error


def _require_keeping(jobs: str, boot_id: str, seconds: int) -> None:
    for name, path in (("jobs", jobs), ("boot_id", boot_id)):
        if path or name == "boot_id":
            require_text(name, path)
            if not path.startswith("/"):
                raise InvalidValue(name, expected="an absolute path", found=path, field=name)
    _require_number("answer_timeout_seconds", seconds, 1, 600)


def _require_number(name: str, found: int, least: int, most: int) -> None:
    if not least <= found <= most:
        raise OutOfRange(name, expected=f"a number from {least} to {most}", found=found, field=name)

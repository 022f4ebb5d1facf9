"""The configuration, `maintsched.toml`: where contract, fleet, database, mail server and worker's settings stand."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from maintsched.birth import settle_fields
from maintsched.errors import FileError, InvalidValue, OutOfRange, one_of
from maintsched.grammar import (
    email_address,
    is_loopback,
    require_host,
    require_key,
    require_once,
    require_text,
)
from maintsched.intake.contracts import DEFAULT, builtin_contracts
from maintsched.intake.databases import database_url
from maintsched.intake.documents import Document, read_document
from maintsched.intake.filename import FileName
from maintsched.intake.hookconfig import WORDS, HookConfig, HookMoment
from maintsched.intake.shape import Reader, ShapeError
from maintsched.runs import RunTerms

__all__ = [
    "Config",
    "ExecutorConfig",
    "FileName",
    "HookConfig",
    "HookMoment",
    "MailConfig",
    "NoticesConfig",
    "ProviderConfig",
    "Tls",
    "WorkerConfig",
    "config_places",
    "find_config",
    "load_config",
    "may_be_there",
]

NAME = "maintsched.toml"
SYSTEM_FOLDER = Path("/etc/maintsched")
VARIABLE = "MAINTSCHED_CONFIG"


class Tls(StrEnum):
    """How the conversation with the mail server is encrypted."""

    REQUIRED = "required"  # from the first byte, usually on port 465
    STARTTLS = "starttls"  # by STARTTLS, before anything else is said, usually on port 587 or 25
    NONE = "none"  # not at all, to this machine only


def _require_number(name: str, found: int, least: int, most: int) -> None:
    if not least <= found <= most:
        raise OutOfRange(name, expected=f"a number from {least} to {most}", found=found, field=name)


def _mail_domain(text: str) -> str:
    try:
        return email_address("domain", f"x@{text}").removeprefix("x@")
    except InvalidValue as error:
        raise InvalidValue("domain", expected="a domain such as acme.example", found=text, field="domain") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class MailConfig:
    """The mail server that notices are handed to, and the addresses they carry."""

    host: str
    sender: str
    """Address in From."""
    port: int = 25
    tls: Tls = Tls.STARTTLS
    user: str | None = None
    """None: no login."""
    password_file: FileName | None = None
    """None: the password stands in the environment or in a systemd credential."""
    reply_to: str | None = None
    """Address that answers go to; None: the sender's."""
    bounce: str | None = None
    """Sender of the envelope, to which reports of failure go; None: the sender's."""
    connections: int = 4
    timeout_seconds: int = 60
    """How long each answer of the server is waited for."""
    per_domain: int = 2
    """Mails under way at once to recipients of one domain."""
    ca_file: FileName | None = None
    """Certificates (PEM) that may sign the server's; None: those the system trusts."""
    local_hostname: str | None = None
    """How this machine introduces itself; None: its own name."""

    def __post_init__(self) -> None:
        """Refuse bad addresses and hosts, numbers out of bounds, and plain text to another machine."""
        settle_fields(self)
        require_host("host", self.host)
        if self.local_hostname is not None:
            require_host("local_hostname", self.local_hostname)
        for name in ("sender", "reply_to", "bounce"):
            text = getattr(self, name)
            if text is not None:
                object.__setattr__(self, name, email_address(name, text))
        _require_number("port", self.port, 1, 65_535)
        _require_number("connections", self.connections, 1, 50)
        _require_number("timeout_seconds", self.timeout_seconds, 1, 3600)
        _require_number("per_domain", self.per_domain, 1, 50)
        if self.user is not None:
            require_text("user", self.user)
        elif self.password_file is not None:
            raise InvalidValue("user", expected="a user for password_file", found="none", field="password_file")
        if self.tls is Tls.NONE and not is_loopback(self.host):
            expected = f"required or starttls for {self.host}: without encryption only to this machine"
            raise InvalidValue("tls", expected=expected, found="none", field="tls")

    @property
    def envelope_sender(self) -> str:
        """The address that reports of failure go to."""
        return self.bounce or self.sender


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """Who sends the notices."""

    name: str
    """Name for people, beside the sender's address and in the text."""
    domain: str
    """Mail domain that names of mails and calendar entries end in; it never changes."""
    contact: str
    """Address that customers are told to turn to."""
    operator: str | None = None
    """Address that alerts for the provider's own people go to; None: the contact's."""

    def __post_init__(self) -> None:
        """Refuse bad names, addresses and a domain that no address could end in."""
        settle_fields(self)
        require_text("name", self.name)
        object.__setattr__(self, "domain", _mail_domain(self.domain))
        object.__setattr__(self, "contact", email_address("contact", self.contact))
        if self.operator is not None:
            object.__setattr__(self, "operator", email_address("operator", self.operator))

    @property
    def alerts(self) -> str:
        """The address that operators' alerts go to."""
        return self.operator or self.contact


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticesConfig:
    """How notices read."""

    folder: FileName | None = None
    """Folder with templates of one's own; None, or where it lacks one: those built in."""

    def __post_init__(self) -> None:
        """Settle the path."""
        settle_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """How the worker goes about it."""

    lease_seconds: int = 300
    """How long a pass may hold what it took without a sign of life."""
    batch: int = 100
    """Mails taken at once."""
    retry_min_seconds: int = 60
    """Time until a mail is tried again; it doubles with each attempt, up to `retry_max_seconds`."""
    retry_max_seconds: int = 3600
    heartbeat_file: FileName | None = None
    """File that each pass rewrites; None: none."""
    heartbeat_mail: bool = False
    """Whether the operator gets a mail a day that says: still there."""
    horizon_months: int = 3
    """How far ahead windows are planned and told of."""
    bounces: FileName | None = None
    """Maildir that reports of failure arrive in; None: they are not read from one."""

    def __post_init__(self) -> None:
        """Refuse numbers out of bounds, and a longest wait below the shortest."""
        settle_fields(self)
        _require_number("lease_seconds", self.lease_seconds, 30, 86_400)
        _require_number("batch", self.batch, 1, 10_000)
        _require_number("retry_min_seconds", self.retry_min_seconds, 1, 86_400)
        _require_number("retry_max_seconds", self.retry_max_seconds, self.retry_min_seconds, 604_800)
        _require_number("horizon_months", self.horizon_months, 1, 24)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorConfig:
    """How instances are reached and updated that name this table as their `executor`."""

    transport: str = "ssh"
    """How their hosts are reached: `ssh`, `local`, or one that was installed."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """The executor of each component; empty: the executor of the table's own name, for the components it knows."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of the transport and of the executors, each under its name."""
    reboot: tuple[str, ...] = field(default=(), metadata=WORDS)
    """Command that restarts a host; empty: hosts are never restarted, and that it is needed is said."""
    backup: tuple[str, ...] = field(default=(), metadata=WORDS)
    """Command that takes a backup; empty: none can be taken before work (clause 4.1)."""
    backup_age: tuple[str, ...] = field(default=(), metadata=WORDS)
    """Command that prints when the last backup was taken, in ISO 8601 or as seconds since 1970."""

    def __post_init__(self) -> None:
        """Refuse names outside the grammar of keys, and commands whose program is empty."""
        settle_fields(self)
        for name in (self.transport, *self.parts, *self.parts.values(), *self.settings):
            require_key("name", name)
        for name in ("reboot", "backup", "backup_age"):
            for word in getattr(self, name):
                require_text(name, word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that `maintsched.toml` says. It holds no secret: the mail password stands elsewhere."""

    mail: MailConfig
    provider: ProviderConfig
    contract: str = DEFAULT
    """Name of a built-in contract, or the path of one."""
    fleet: tuple[FileName, ...] = ()
    """Files that `fleet sync` reads where none is named."""
    database: str = "maintsched.db"
    """URL of the database; given as a path, it becomes the URL of that SQLite file."""
    notices: NoticesConfig = NoticesConfig()
    worker: WorkerConfig = WorkerConfig()
    runs: RunTerms = field(default_factory=RunTerms)
    executor: Mapping[str, ExecutorConfig] = field(default_factory=dict, hash=False)
    """By the name that instances call them by; none: nothing is updated, only told of."""
    hooks: tuple[HookConfig, ...] = field(default=(), metadata={"key": "hook"})
    path: Path = field(default=Path(NAME), metadata={"from_file": False})
    """The file itself. Relative paths count from its folder."""

    def __post_init__(self) -> None:
        """Refuse an unknown contract or kind of database, and a lease that ends while an answer is waited for."""
        settle_fields(self)
        object.__setattr__(self, "contract", _contract(self.contract, self.path.parent))
        object.__setattr__(self, "database", database_url(self.database, self.path.parent))
        for name in self.executor:
            require_key("executor", name)
        require_once("hook", "each name once", [hook.name for hook in self.hooks])
        if self.worker.lease_seconds <= self.mail.timeout_seconds:
            expected = f"more than mail.timeout_seconds, {self.mail.timeout_seconds}"
            found = self.worker.lease_seconds
            raise OutOfRange("lease_seconds", expected=expected, found=found, field="worker.lease_seconds")


def _contract(text: str, folder: Path) -> str:
    builtin = builtin_contracts()
    if text in builtin:
        return text
    if not text.lower().endswith((".toml", ".json")):
        expected = f"a built-in contract ({one_of(text, builtin)}) or the path of a .toml file"
        raise InvalidValue("contract", expected=expected, found=text, field="contract")
    return str(folder / _parsed_path("contract", text))


def _parsed_path(name: str, text: str) -> FileName:
    try:
        return FileName.parse(text)
    except InvalidValue as error:
        error.field = name
        raise


# --- finding and reading it -------------------------------------------------------------------------------------------


def config_places(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return where a configuration is looked for when none is named, in order."""
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    home = environ.get("HOME", "")
    user = (base if base.is_absolute() else Path(home) / ".config",) if base.is_absolute() or home else ()
    return (Path(NAME), *(each / "maintsched" / NAME for each in user), SYSTEM_FOLDER / NAME)


def find_config(path: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the configuration: the one named by `path` or MAINTSCHED_CONFIG, else the first that is there, else None.

    One that is named need not be there: then reading it says so, instead of taking another one.
    """
    named = path or environ.get(VARIABLE)
    if named:
        return Path(named)
    return next((place for place in config_places(environ) if may_be_there(place)), None)


def may_be_there(place: Path) -> bool:
    """Say whether something is at a place, or hidden there: reading it then says why it cannot be read."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def load_config(path: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration that `find_config` finds.

    Raises `FileError`, which names file, line, key, what was expected and what was found; where there is no
    configuration, the places looked at and the way to one.
    """
    found = find_config(path, environ=environ)
    if found is None:
        places = ", ".join(str(each) for each in config_places(environ))
        expected = f"one named by --config or {VARIABLE}, or at one of {places} (`maintsched init` writes one)"
        raise FileError(NAME, line=None, key=None, expected=expected, found="none")
    document = read_document(found, forms=("toml", "json"))
    try:
        return _read(document, Path(os.path.abspath(found)))  # noqa: PTH100 - a link keeps the folder it stands in
    except ShapeError as error:
        document.refuse(error)


def _read(document: Document, path: Path) -> Config:
    tables = dict(document.tables)
    alone = isinstance(tables.get("fleet"), str)
    if alone:
        tables["fleet"] = [tables["fleet"]]
    try:
        config: Config = Reader().read(Config, tables)
    except ShapeError as error:
        at = error.path[:1] if alone and error.path[:1] == ("fleet",) else error.path
        raise ShapeError(at, expected=error.expected, found=error.found, missing=error.missing) from error
    anchored: Config = _anchored(config, path.parent)
    return replace(anchored, path=path)


def _anchored(value: Any, folder: Path) -> Any:
    """Return a value whose relative paths count from `folder`."""
    if isinstance(value, FileName):
        return FileName(folder / value)
    if isinstance(value, tuple):
        return tuple(_anchored(each, folder) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        inside = {each.name: getattr(value, each.name) for each in fields(value)}
        return replace(value, **{name: _anchored(each, folder) for name, each in inside.items()})
    return value

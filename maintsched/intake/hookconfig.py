"""The tables `[[hook]]` of a configuration: what outside is told of windows and runs, and how."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue, OutOfRange, one_of
from maintsched.grammar import is_loopback, require_key, require_link, require_once, require_text
from maintsched.intake.filename import FileName

WORDS = {"repeats": True}
"""Metadata of a command: its words are a list in which one may come again."""


class HookKind(StrEnum):
    """What a hook does."""

    COMMAND = "command"  # starts a program on this machine
    WEBHOOK = "webhook"  # posts the facts to an address
    ALERTMANAGER = "alertmanager"  # puts a silence into an Alertmanager, and ends it
    ICINGA = "icinga"  # puts a downtime into an Icinga 2, and removes it


class HookMoment(StrEnum):
    """When a hook is called."""

    BEFORE_WINDOW = "before_window"  # before the first run of a window; where it fails, no run starts
    AFTER_WINDOW = "after_window"  # when every run of a window has ended
    BEFORE_RUN = "before_run"  # before a run; where it fails, the run does not start
    AFTER_RUN = "after_run"  # when a run has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class HookConfig:
    """Something outside that is told of windows and runs, such as a monitoring system."""

    name: str
    kind: HookKind
    moments: tuple[HookMoment, ...] = (HookMoment.BEFORE_RUN, HookMoment.AFTER_RUN)
    command: tuple[str, ...] = field(default=(), metadata=WORDS)
    """Program and arguments, for `command`; it reads the facts as JSON."""
    url: str | None = None
    """Address, for the others: https, or http to this machine."""
    user: str | None = None
    password_file: FileName | None = None
    """File with the password; for `webhook` and `alertmanager` without a user, with a bearer token."""
    secret_file: FileName | None = None
    """File with the secret that signs what a `webhook` posts; None: it is not signed."""
    ca_file: FileName | None = None
    """Certificates (PEM) that may sign the server's; None: those the system trusts."""
    timeout_seconds: int = 30
    """How long one call may take in all."""
    margin_minutes: int = 15
    """How long before and after the window silences and downtimes hold, if nobody ends them."""
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    """For `alertmanager`: labels and what they match; for `icinga`: `host` and `service` names. `{instance}`, `{host}`,
    `{customer}` stand for those of the run."""

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        settle_fields(self)
        require_key("name", self.name)
        require_once("moments", "each moment once", self.moments)
        self._require_moments()
        self._require_address()
        self._require_login()
        self._require_settings()
        for name, least, most in (("timeout_seconds", 1, 600), ("margin_minutes", 0, 1440)):
            found = getattr(self, name)
            if not least <= found <= most:
                raise OutOfRange(name, expected=f"a number from {least} to {most}", found=found, field=name)

    def _require_moments(self) -> None:
        if not self.moments:
            raise InvalidValue("moments", expected="one moment or more", found="none", field="moments")
        if self.kind in _SILENCING:
            for moment in self.moments:
                begin = HookMoment(moment.replace("after_", "before_"))
                if begin not in self.moments:
                    expected = f"{begin} beside {moment}: without it there is nothing to end"
                    raise InvalidValue("moments", expected=expected, found=str(moment), field="moments")

    def _require_address(self) -> None:
        """Refuse a program beside an address, neither of them, and plain text to another machine."""
        if self.kind is HookKind.COMMAND:
            self._refuse_beside(("url", "user", "password_file", "secret_file", "ca_file", "settings"))
            if not self.command:
                raise InvalidValue("command", expected="a program and its arguments", found="none", field="command")
            for word in self.command:
                require_text("command", word)
            return
        self._refuse_beside(("command",) if self.kind is HookKind.WEBHOOK else ("command", "secret_file"))
        if self.url is None:
            raise InvalidValue("url", expected=f"an address for {self.kind}", found="none", field="url")
        self._require_url(self.url)

    def _require_url(self, url: str) -> None:
        """Refuse an address with a login or a tail in it; what may be a secret is not shown."""
        if "@" in url:
            expected = "an address without '@': a login stands in user and password_file"
            raise InvalidValue("url", expected=expected, found="one with it (not shown)", field="url")
        host = require_link("url", url)
        if not url.startswith("https://") and not is_loopback(host):
            expected = f"https:// for {host}: without encryption only to this machine"
            raise InvalidValue("url", expected=expected, found=f"http://{host}", field="url")
        if "#" in url or ("?" in url and self.kind in _SILENCING):
            expected = "an address without '#'" + (" and '?'" if self.kind in _SILENCING else "")
            raise InvalidValue("url", expected=expected, found="one with it", field="url")

    def _require_login(self) -> None:
        """Refuse half a login; Icinga lets nobody in without one."""
        if self.user is not None:
            require_text("user", self.user)
            if ":" in self.user:
                raise InvalidValue("user", expected="a name without ':'", found=self.user, field="user")
            if self.password_file is None:
                raise InvalidValue("password_file", expected=f"one for {self.user}", found="none", field="user")
        elif self.kind is HookKind.ICINGA:
            raise InvalidValue("user", expected="a user and a password_file for icinga", found="none", field="user")

    def _require_settings(self) -> None:
        if self.kind is HookKind.WEBHOOK:
            self._refuse_beside(("settings",))
        if self.kind is HookKind.ALERTMANAGER and not self.settings:
            expected = "labels and what they match: without any, everything would be silent"
            raise InvalidValue("settings", expected=expected, found="none", field="settings")
        if self.kind is HookKind.ICINGA and "host" not in self.settings:
            raise InvalidValue("settings", expected="a key host", found="none", field="settings")
        for name, text in self.settings.items():
            if self.kind is HookKind.ICINGA and name not in ("host", "service"):
                raise InvalidValue("settings", expected=one_of(name, ("host", "service")), found=name, field="settings")
            if not _LABEL.fullmatch(name):
                raise InvalidValue("settings", expected="the name of a label", found=name, field="settings")
            try:
                require_text(name, text)
            except InvalidValue as error:
                error.field = f"settings.{name}"
                raise
            self._require_placeholders(name, text)

    def _require_placeholders(self, name: str, text: str) -> None:
        """Refuse a placeholder that nothing is put in for: what was meant would not be silent."""
        windows = [each for each in self.moments if each.endswith("_window")]
        for found in _BRACES.findall(text):
            if found not in _PLACEHOLDERS:
                expected = one_of(found, _PLACEHOLDERS)
            elif windows:
                expected = f"no placeholder for {windows[0]}, which is about the whole fleet"
            else:
                continue
            raise InvalidValue(name, expected=expected, found=text, field=f"settings.{name}")

    def _refuse_beside(self, names: tuple[str, ...]) -> None:
        for name in names:
            if getattr(self, name):
                raise InvalidValue(name, expected=f"none for {self.kind}", found="one", field=name)


_SILENCING = (HookKind.ALERTMANAGER, HookKind.ICINGA)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}")
_BRACES = re.compile(r"\{[^{}]*\}")
_PLACEHOLDERS = ("{instance}", "{host}", "{customer}")

"""What a hook is, what it is called about, and what came of a call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue
from maintsched.grammar import is_loopback, require_key, require_link

SAID_MAX = 300
"""Characters of what a call says."""


class Moment(StrEnum):
    """When a hook is called."""

    BEFORE_WINDOW = "before_window"  # before the first run of a window
    AFTER_WINDOW = "after_window"  # when every run of a window has ended
    BEFORE_RUN = "before_run"  # before a run
    AFTER_RUN = "after_run"  # when a run has ended

    @property
    def before(self) -> bool:
        """Say whether work waits for it."""
        return self in (Moment.BEFORE_WINDOW, Moment.BEFORE_RUN)

    @property
    def of_run(self) -> bool:
        """Say whether it is about one run, and not about a whole window."""
        return self in (Moment.BEFORE_RUN, Moment.AFTER_RUN)

    @property
    def begin(self) -> "Moment":
        """Return the moment before, of the same pair."""
        return Moment.BEFORE_RUN if self.of_run else Moment.BEFORE_WINDOW


class Kind(StrEnum):
    """What a hook does."""

    COMMAND = "command"  # starts a program on this machine
    WEBHOOK = "webhook"  # posts the facts to an address
    ALERTMANAGER = "alertmanager"  # puts a silence into an Alertmanager, and ends it
    ICINGA = "icinga"  # puts a downtime into an Icinga 2, and removes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Something outside that is told. Secrets are in it, and none shows in its `repr`."""

    name: str
    kind: Kind
    moments: tuple[Moment, ...] = (Moment.BEFORE_RUN, Moment.AFTER_RUN)
    command: tuple[str, ...] = ()
    """Program and arguments."""
    url: str | None = None
    """https; http only to this machine."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    """With a user: for HTTP Basic; without: a bearer token."""
    secret: str | None = field(default=None, repr=False)
    """Signs what a webhook posts."""
    ca_file: Path | None = None
    """Certificates (PEM) that may sign the server's; None: those the system trusts."""
    timeout_seconds: int = 30
    """How long one call may take in all."""
    margin_minutes: int = 15
    """How long before and after the window silences and downtimes hold, if nobody ends them."""
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Labels and their values (`alertmanager`), or `host` and `service` (`icinga`), with placeholders in them."""

    def __post_init__(self) -> None:
        """Refuse half a hook, and plain text to another machine."""
        settle_fields(self)
        require_key("name", self.name)
        if self.kind is Kind.COMMAND:
            if not self.command:
                raise InvalidValue("command", expected="a program", found="none", field="command")
        elif self.url is None:
            raise InvalidValue("url", expected="an address", found="none", field="url")
        elif not is_loopback(require_link("url", self.url)) and urlsplit(self.url).scheme.lower() != "https":
            expected = "https:// (http:// goes to this machine only)"
            raise InvalidValue("url", expected=expected, found=self.url, field="url")


_ID = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a hook is called about: a window, or one run in it."""

    moment: Moment
    window: str
    start: datetime
    end: datetime
    """The window is [start, end)."""
    run: str | None = None
    """Key of the run; None, as the six below: it is about the window."""
    instance: str | None = None
    host: str | None = None
    customer: str | None = None
    url: str | None = None
    result: str | None = None
    """State of the run after it."""
    attempt: int = 1
    """Of a run that is tried again; each attempt is told of anew."""

    def __post_init__(self) -> None:
        """Refuse a run without its instance, host and customer, and a window that ends before it starts."""
        settle_fields(self)
        for name in ("run", "instance", "host", "customer"):
            if (getattr(self, name) is not None) is not self.moment.of_run:
                expected = f"{'one' if self.moment.of_run else 'none'} for {self.moment}"
                raise InvalidValue(name, expected=expected, found=getattr(self, name) or "none", field=name)
        for name in ("window", "run"):  # they reach headers
            found = getattr(self, name)
            if found is not None and not _ID.fullmatch(found):
                expected = "up to 200 printable ASCII characters without blanks"
                raise InvalidValue(name, expected=expected, found=found, field=name)
        if self.end <= self.start:
            raise InvalidValue("end", expected="an instant after start", found=self.end.isoformat(), field="end")

    @property
    def subject(self) -> str:
        """The run or the window; from the second attempt on, with the attempt behind."""
        return (self.run or self.window) + (f"@{self.attempt}" if self.attempt > 1 else "")


def hook_key(name: str, moment: Moment, subject: str) -> str:
    """Return `hook/<name>/<moment>/<subject>`: the same for each call that means the same."""
    return f"hook/{name}/{moment}/{subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a call."""

    ok: bool
    said: str
    """One printable line for people, without any secret."""
    kept: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """JSON values that the call at the end of the pair is to be given."""
    retry: bool = False
    """It failed, and may do better if it is called again as it is; it may even have taken effect."""


class Trouble(Exception):
    """A call failed, and why. Never leaves this folder: it becomes an `Outcome`."""

    def __init__(self, said: str, *, retry: bool) -> None:
        self.said = said
        self.retry = retry
        super().__init__(said)


_PLACEHOLDER = re.compile(r"\{(instance|host|customer)\}")


def filled(text: str, occasion: Occasion) -> str:
    """Return a setting with its placeholders replaced, in one go: what is put in is not looked at again."""
    return _PLACEHOLDER.sub(lambda found: getattr(occasion, found[1]) or found[0], text)


def held(hook: Hook, occasion: Occasion) -> tuple[datetime, datetime]:
    """Return from when to when a silence or downtime holds, in whole seconds: those who keep it keep no more."""
    margin = timedelta(minutes=hook.margin_minutes)
    return (occasion.start - margin).replace(microsecond=0), (occasion.end + margin).replace(microsecond=0)


AUTHOR = "maintsched"
"""Who our silences and downtimes are of."""


def comment_of(hook: Hook, occasion: Occasion) -> str:
    """Return the comment by which ours are known again: it ends in the key of the call that makes them."""
    about = f"{occasion.instance}, window {occasion.window}" if occasion.instance else f"window {occasion.window}"
    return f"Maintenance of {about} [{hook_key(hook.name, occasion.moment.begin, occasion.subject)}]"


def one_line(text: str) -> str:
    """Return text of others as a part of a line: blanks folded, what does not print left out, cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 20 * SAID_MAX]).split())
    return line if len(line) <= SAID_MAX else f"{line[: SAID_MAX - 1]}…"

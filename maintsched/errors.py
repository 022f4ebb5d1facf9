"""Every error that maintsched raises on purpose, as one tree.

    MaintschedError
    ├── InvalidValue              a value breaks its rule (also a ValueError)
    │   ├── NaiveDatetime         a datetime without offset or zone
    │   ├── OutOfRange            a date or number outside what is supported
    │   ├── UnknownName           a name that nothing known carries
    │   └── RuleRefused           a recurrence rule outside the small grammar
    ├── HolidaysUnknown           a year whose public holidays cannot be known
    ├── NoWindow                  the rule gives no window on that side
    ├── DeferralRefused           a deferral that the contract does not allow
    ├── StartTooNear              a critical window that cannot be announced in time any more
    ├── ChangeRefused             a window, freeze or outage whose state does not allow a change
    ├── StoreError                a database that cannot be opened, or is not what it should be
    ├── ExecutionError            work on a host that cannot be done
    │   ├── Unreachable           a host that does not answer: what it does is not known
    │   └── HostKeyRefused        a host that is not the one that was pinned
    └── FileError                 a contract, fleet or configuration file that cannot be accepted

A message says what was expected, what was found and, where there is one, the way out. The facts it speaks of are
attributes, so that a program need not read the sentence.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any


class MaintschedError(Exception):
    """Base of all errors of maintsched."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel by message and facts: what Python does by itself would call `__init__` with the message alone."""
        return _raised_elsewhere, (type(self), self.args), self.__dict__


def _raised_elsewhere(kind: type[MaintschedError], args: tuple[Any, ...]) -> MaintschedError:
    """Return an error as it comes out of a pickle or a copy, before its facts are put back."""
    return kind.__new__(kind, *args)


class InvalidValue(MaintschedError, ValueError):
    """A value breaks its rule: `what` it is, what was `expected` and what was `found`.

    `field` names the field of the value it stands in, `subject` the declared thing, such as
    `("instance", "acme-prod")`, where one is known.
    """

    def __init__(
        self,
        what: str,
        *,
        expected: str,
        found: object,
        field: str | None = None,
        subject: tuple[str, str] | None = None,
    ) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        self.field = field
        self.subject = subject
        about = f"{subject[0]} {subject[1]}: " if subject else ""
        super().__init__(printable(f"{about}{what}: expected {expected}, got {show(found)}"))


class NaiveDatetime(InvalidValue):
    """A datetime carries neither offset nor zone, so that it names no instant."""

    def __init__(self, what: str, found: datetime) -> None:
        super().__init__(what, expected="a datetime with an offset or a zone", found=found.isoformat())


class OutOfRange(InvalidValue):
    """A date or a number lies outside the supported range."""


class UnknownName(InvalidValue):
    """A name that nothing known carries; `known` lists the names that would do."""

    def __init__(
        self,
        what: str,
        *,
        found: str,
        known: Iterable[str],
        field: str | None = None,
        subject: tuple[str, str] | None = None,
    ) -> None:
        self.known = tuple(known)
        super().__init__(what, expected=one_of(found, self.known), found=found, field=field, subject=subject)


class RuleRefused(InvalidValue):
    """A recurrence rule lies outside the small grammar of `maintsched.recurrence`."""


class HolidaysUnknown(MaintschedError):
    """The public holidays of `year` in `region` cannot be known; nothing is guessed."""

    def __init__(self, region: str, year: int, *, first: int, last: int) -> None:
        self.region = region
        self.year = year
        super().__init__(
            f"public holidays of {region} in {year} cannot be known: expected a year from {first} to {last}; "
            "choose another period"
        )


class NoWindow(MaintschedError):
    """The rule of a contract gives no window on the asked side of an instant."""


class DeferralRefused(MaintschedError):
    """The contract does not allow this deferral; `latest_end` is the limit where one applies."""

    def __init__(self, message: str, *, latest_end: datetime | None = None) -> None:
        self.latest_end = latest_end
        super().__init__(message)


class StartTooNear(MaintschedError):
    """A critical window starts too soon to be announced in time; `earliest` is the start to offer instead."""

    def __init__(self, start: datetime, earliest: datetime, *, clause: str) -> None:
        self.start = start
        self.earliest = earliest
        self.clause = clause
        super().__init__(
            f"start: expected {earliest.isoformat()} or later, so that it can be announced in time (clause {clause}), "
            f"got {start.isoformat()}; choose a later start, or enter it as an emergency with its reason"
        )


class ChangeRefused(MaintschedError):
    """The state of `subject` does not allow a change: what was `expected`, what was `found`."""

    def __init__(self, subject: str, *, expected: str, found: object) -> None:
        self.subject = subject
        self.expected = expected
        self.found = found
        super().__init__(printable(f"{subject}: expected {expected}, got {show(found)}"))


class StoreError(MaintschedError):
    """A database cannot be used: the message says which, why, and what to do."""


class ExecutionError(MaintschedError):
    """Work on a host cannot be done: the message says where, why, and the way out."""


class Unreachable(ExecutionError):
    """A `host` does not answer, for a `reason`. Whether a command that was under way took effect is not known."""

    def __init__(self, host: str, reason: str) -> None:
        self.host = host
        self.reason = reason
        super().__init__(printable(f"host {host}: no answer: {reason}"))


class HostKeyRefused(ExecutionError):
    """A `host` shows another key than the pinned one, or one that nobody has pinned: nothing is run there."""

    def __init__(self, host: str, reason: str) -> None:
        self.host = host
        self.reason = reason
        super().__init__(
            printable(f"host {host}: its key is not the pinned one: {reason}; ask its owner, then correct known_hosts")
        )


class FileError(MaintschedError):
    """A file cannot be accepted: `path`, `line` (1-based, or None), `key` (dotted), `expected`, `found`."""

    def __init__(self, path: str, *, line: int | None, key: str | None, expected: str, found: str) -> None:
        self.path = path
        self.line = line
        self.key = key
        self.expected = expected
        self.found = found
        place = printable(path) + (f", line {line}" if line else "")
        subject = f"{printable(key[:KEY_SHOWN])}: " if key else ""
        super().__init__(f"{place}: {subject}expected {printable(expected)}, found {printable(found)}")


KEY_SHOWN = 200
"""Characters of a key that a message shows; keys of files in order are shorter."""


def printable(text: str) -> str:
    """Return `text` with everything that could move a cursor or start a new line made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def show(value: object, limit: int = 80) -> str:
    """Return `value` as it may stand in a message: quoted, printable, cut at `limit` characters."""
    try:
        text = f'"{printable(value[:limit])}"' if isinstance(value, str) else printable(str(value)[: limit + 1])
    except ValueError:  # Python writes no number of more than 4,300 digits
        text = "a number with too many digits"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_of(found: str, known: Iterable[str]) -> str:
    """Say which names would do, and which of them is most like the one `found`."""
    names = tuple(known)
    if not names:
        return "a known name (there is none)"
    near = nearest(found, names)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"one of {shown}" + (f" (did you mean {near}?)" if near else "")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None where none is near."""
    import difflib  # only wanted when something is wrong

    found = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=0.6)
    return found[0] if found else None

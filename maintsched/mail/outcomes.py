"""What goes to a mail server and what comes of it, as values, and the port that joins the two."""

import re
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue, printable
from maintsched.grammar import email_address

REPLY_MAX = 500
ENVELOPE_ID = re.compile(r"[!-~]{1,100}")
"""RFC 3461 (4.4): up to 100 printable characters."""


class Result(StrEnum):
    """What became of one mail in one attempt."""

    ACCEPTED = "accepted"  # the server took it over: this is the proof that somebody was told
    DEFERRED = "deferred"  # it was not taken; another attempt may succeed
    REFUSED = "refused"  # the server said that it never will
    UNCERTAIN = "uncertain"  # all of it was sent, no answer came: it may have been taken; send the same bytes again


class Hint(StrEnum):
    """Why nothing of a mail was tried: something is wrong with the way to the server, not with the mail."""

    CONNECT = "connect"  # no connection, no greeting, or connections that break again and again
    TLS = "tls"  # no encryption, or a certificate that does not prove who the server is
    AUTH = "auth"  # the login was refused, or is missing


class Step(StrEnum):
    """What was being said to the server when an attempt came to its end."""

    CONNECT = "connect"  # up to the greeting
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"  # the envelope's sender
    RCPT = "rcpt"  # the recipient: only a refusal here speaks of the address
    DATA = "data"  # may the mail be sent?
    DOT = "dot"  # the mail itself, up to its final dot


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One mail for one recipient, ready for the wire."""

    key: str
    """The notice's key; comes back in the outcome."""
    sender: str
    """Address of the envelope, to which bounces go."""
    recipient: str
    envid: str
    """Comes back in delivery reports (RFC 3461): 1 to 100 printable ASCII characters without spaces."""
    receipt: bool = False
    """Whether a report is asked for once it lies in the recipient's mailbox."""
    data: bytes
    """Header and body. Lines that do not end in CRLF are made to; dots are stuffed on the way."""

    def __post_init__(self) -> None:
        """Refuse an address that is none, an envelope id out of its grammar, and a mail without content."""
        settle_fields(self)
        object.__setattr__(self, "sender", email_address("sender", self.sender))
        object.__setattr__(self, "recipient", email_address("recipient", self.recipient))
        if not ENVELOPE_ID.fullmatch(self.envid):
            expected = "1 to 100 printable ASCII characters without spaces"
            raise InvalidValue("envid", expected=expected, found=self.envid, field="envid")
        if not self.data:
            raise InvalidValue("data", expected="the bytes of a mail", found="nothing", field="data")

    @property
    def domain(self) -> str:
        """Domain of the recipient, in small letters."""
        return self.recipient.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one mail: evidence, so that the server's own words are kept."""

    key: str
    result: Result
    server: str
    """host:port of the configuration."""
    code: int | None = None
    """The server's reply code; None where it said nothing that can be read."""
    reply: str = ""
    """The server's words after the code, or what went wrong instead: printable, on one line, at most 500 characters."""
    hint: Hint | None = None
    """Set where nothing of this mail was tried, or nothing could be: the operator has to mend the way to the server."""
    step: Step
    """How far the conversation came."""


class Mailer(Protocol):
    """Hands mails to a server. The port that the worker speaks through; `SmtpMailer` is the one for production."""

    def deliver(self, mails: Iterable[Outgoing]) -> AsyncGenerator[Outcome, None]:
        """Try each mail once and tell what became of it, in the order in which that becomes known.

        Laws, for every adapter:

        * Each mail has exactly one outcome, whatever the server, the network or the mail itself does: also where no
          connection can be made, in which case the rest is `DEFERRED` with a `hint`, soon and after few attempts.
        * `ACCEPTED` only on a server's positive answer to the whole mail; `UNCERTAIN` whenever the whole mail may have
          reached the server and no readable answer came; `REFUSED` only on a permanent refusal (5xx) of this sender,
          recipient or content, never for what the connection, the encryption or the login ran into.
        * No byte of a mail or a password leaves this machine unless the server has proved who it is.
        * `mails` is read one by one as places become free, so that it may compose while others are on their way, and
          may end early: that is how to stop without breaking a conversation. An exception it raises comes out of the
          iteration after the outcomes of all mails it gave before.
        * An outcome that was not asked for holds up those after it: only a few mails are under way unreported.
        * When the iteration ends, is closed or cancelled, every connection is closed. Mails under way then have no
          outcome: they count as `UNCERTAIN`. Close what you do not exhaust: `async with aclosing(deliver(...))`.

        Nothing is remembered from one call to the next, and nothing is tried twice within one.
        """
        ...


def one_line(text: str) -> str:
    """Return the words of a server as evidence keeps them: printable, on one line, cut at 500 characters."""
    return printable(" ".join(text[: 4 * REPLY_MAX].split()))[:REPLY_MAX]

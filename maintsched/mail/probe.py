"""Ask a mail server whether it would take mails, without sending any."""

from dataclasses import dataclass
from datetime import UTC, datetime
from ssl import cert_time_to_seconds
from typing import Any

from maintsched.mail.connection import Connection, Unavailable
from maintsched.mail.outcomes import Hint, Step
from maintsched.mail.settings import MailSettings
from maintsched.mail.tls import verified_context


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What a server made of a greeting, encryption and login. `hint` None: all is well."""

    server: str
    step: Step
    """How far it came; EHLO or AUTH where all is well."""
    hint: Hint | None = None
    code: int | None = None
    reply: str = ""
    """The server's words, or what went wrong instead."""
    encryption: str | None = None
    """Such as "TLSv1.3"; None: plain text."""
    certificate_ends_at: datetime | None = None
    logged_in: bool = False
    reports: bool = False
    """Whether delivery reports can be asked for (DSN)."""
    size_max: int | None = None
    """Bytes a mail may have, where the server says so."""

    @property
    def ok(self) -> bool:
        """Whether mails could be handed over."""
        return self.hint is None


async def probe(settings: MailSettings) -> ProbeReport:
    """Connect, introduce, encrypt, log in and say good-bye, as before a mail; raises nothing the server can cause."""
    connection = Connection(settings, lambda: verified_context(settings))
    try:
        await connection.open()
    except Unavailable as error:
        return ProbeReport(server=settings.server, step=error.step, hint=error.hint, code=error.code, reply=error.reply)
    try:
        return _report(settings, connection)
    finally:
        await connection.quit()


def _report(settings: MailSettings, connection: Connection) -> ProbeReport:
    encrypted: Any = connection.told("ssl_object")
    certificate = connection.told("peercert") or {}
    ends = certificate.get("notAfter")
    return ProbeReport(
        server=settings.server,
        step=Step.EHLO if settings.user is None else Step.AUTH,
        encryption=encrypted.version() if encrypted else None,
        certificate_ends_at=datetime.fromtimestamp(cert_time_to_seconds(ends), UTC) if ends else None,
        logged_in=settings.user is not None,
        reports=connection.offers("dsn"),
        size_max=_size_max(connection.parameter("size")),
    )


def _size_max(text: str) -> int | None:
    """Return the limit of RFC 1870, where 0 and nothing mean that there is none to speak of."""
    known = text.isascii() and text.isdigit() and len(text) <= 18
    return (int(text) or None) if known else None

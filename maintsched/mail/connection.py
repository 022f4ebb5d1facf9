"""One conversation with a mail server, used for many mails.

aiosmtplib carries it, yet its `sendmail()` is not called: it does not tell whether a conversation broke before or after
a mail's final dot, on which hangs whether the mail may have been taken; it forgets a refusal when the RSET after it
stays unanswered; and it searches the bytes of each mail three times for bad line ends.
"""

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPReadTimeoutError,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from maintsched.errors import InvalidValue
from maintsched.grammar import is_ip_address, require_host
from maintsched.mail.outcomes import Hint, Outcome, Outgoing, Result, Step, one_line
from maintsched.mail.settings import MailSettings, Tls, is_loopback
from maintsched.mail.tls import tls_fault, tls_words

QUIT_SECONDS_MAX = 5.0
"""How long a server may take to say good-bye, which nobody waits for."""
UNNOTICED_SHARE = 0.01
"""Share of the time a server may take that it may be short of."""
SECRET_MIN = 4
"""Characters from which on a password is taken out of what a server says; a shorter one is part of too many words."""
AUTH_MISSING = (530, 538)
"""Replies to MAIL that ask for a login or for encryption (RFC 4954, 6): no word about the mail."""
METHODS = ("plain", "login", "cram-md5")
"""Ways to log in, best first: the line is encrypted, and the last wants a server that keeps passwords readable."""


class Unavailable(Exception):
    """No mail can be handed over: what was tried, what the server said. It never leaves this folder."""

    def __init__(self, step: Step, hint: Hint, *, code: int | None, reply: str, final: bool = False) -> None:
        self.step = step
        self.hint = hint
        self.code = code
        self.reply = one_line(reply)
        self.final = final
        """Whether trying again at once is idle or, with a wrong password, harmful: it may lock the account."""
        super().__init__(f"{step}: {self.reply}")


class _Client(SMTP):
    """Closes at once: a server that does not answer the end of encryption would keep the socket for half a minute."""

    def close(self) -> None:
        transport = self.transport
        super().close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


class Connection:
    """A conversation after its greeting, encryption and login. Not for two mails at the same time."""

    def __init__(self, settings: MailSettings, context: Callable[[], ssl.SSLContext]) -> None:
        """Prepare; `context` is asked for only where something is to be encrypted, and may raise `OSError`."""
        self.settings = settings
        self.client: _Client | None = None
        self.broke = False
        """Whether the last mail ended with the conversation: no answer, no readable one, or 421."""
        self._context = context
        self._step = Step.CONNECT
        self._patience = asyncio.Timeout(None)

    async def open(self) -> None:
        """Connect, encrypt, log in. Raises `Unavailable`, after which everything is closed."""
        try:
            await self._greet()
            await self._introduce()
            if self.settings.tls is Tls.STARTTLS:
                await self._encrypt()
                await self._introduce()
            if self.settings.user is not None and self.settings.password is not None:
                self._step = Step.AUTH
                await self._log_in(self.settings.user, self.settings.password.reveal())
        except (SMTPException, OSError, ValueError) as error:
            self.abort()
            raise self._unavailable(error) from error
        except BaseException:
            self.abort()
            raise

    @property
    def is_open(self) -> bool:
        """Whether the next mail can be handed over here, as far as is known."""
        return self.client is not None and self.client.is_connected

    def offers(self, extension: str) -> bool:
        """Say whether the server named the extension after the last EHLO."""
        return self.client is not None and self.client.supports_extension(extension)

    def parameter(self, extension: str) -> str:
        """Return what the server said behind the extension's name, or nothing."""
        return self.client.esmtp_extensions.get(extension, "") if self.client is not None else ""

    def told(self, about: str) -> Any:
        """Return what the transport knows, such as "peercert" or "ssl_object"; None where it knows nothing."""
        return self.client.get_transport_info(about) if self.client is not None and self.is_open else None

    async def transact(self, mail: Outgoing) -> Outcome:
        """Hand one mail over. Whatever happens, it has an outcome; `broke` says whether the conversation ended."""
        self.broke = False
        self._step = Step.MAIL
        try:
            reply = await self._conversation(mail)
            outcome = self._judged(mail, reply)
            if self._step in (Step.RCPT, Step.DATA) and self.is_open:
                await self._reset()
        except Exception as error:  # noqa: BLE001 - one odd mail must not take the others along; its outcome tells why
            outcome = self._broken(mail, error)
        return outcome

    async def quit(self) -> None:
        """Say good-bye and close. What the server makes of it changes nothing."""
        try:
            if self.client is not None and self.client.is_connected:
                await self.client.quit(timeout=min(self.settings.timeout_seconds, QUIT_SECONDS_MAX))
        except (SMTPException, OSError):
            pass  # every mail has its outcome already
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once, in the midst of whatever is being said."""
        if self.client is not None:
            self.client.close()

    # --- up to the first mail ---

    async def _greet(self) -> None:
        self._step = Step.CONNECT
        settings = self.settings
        context = None if settings.tls is Tls.NONE else self._encryption()
        self.client = _Client(
            hostname=settings.host,
            port=settings.port,
            timeout=settings.timeout_seconds,
            use_tls=settings.tls is Tls.REQUIRED,
            start_tls=False,  # said here, once it is known to be offered
            tls_context=context,
            local_hostname="localhost",  # never said: `_introduce` knows better, and no resolver is asked
        )
        await self.client.connect()
        peer = self.client.get_transport_info("peername")
        if settings.tls is Tls.NONE and not is_loopback(peer[0]):
            raise _Unfit(Hint.TLS, f"{settings.host} is {peer[0]}: plain text is for this machine only")

    def _encryption(self) -> ssl.SSLContext:
        try:
            return self._context()
        except OSError as error:
            source = self.settings.ca_file or "the system's certificates"
            reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or error
            raise _Unfit(Hint.TLS, f"{source}: expected certificates in PEM, got: {reason}") from error

    async def _introduce(self) -> None:
        self._step = Step.EHLO
        client = self._live()
        await client.ehlo(hostname=_own_name(self.settings, client.get_transport_info("sockname")[0]))

    async def _encrypt(self) -> None:
        self._step = Step.STARTTLS
        client = self._live()
        if not client.supports_extension("starttls"):
            raise _Unfit(Hint.TLS, "the server does not offer STARTTLS: nothing was sent, and no login was tried")
        await client.starttls(server_hostname=self.settings.host)

    async def _log_in(self, user: str, password: str) -> None:
        """Log in by one method, once: a second attempt with the same password counts against the account."""
        client = self._live()
        if self.settings.tls is not Tls.NONE and client.get_transport_info("ssl_object") is None:
            raise _Unfit(Hint.TLS, "the line is not encrypted: no login was tried")  # a guard against this code itself
        method = next((each for each in METHODS if each in client.server_auth_methods), None)
        if method == "plain":
            await client.auth_plain(user, password)
        elif method == "login":
            await client.auth_login(user, password)
        elif method == "cram-md5":
            await client.auth_crammd5(user, password)
        else:
            raise _Unfit(Hint.AUTH, "the server offers no login that is known here (PLAIN, LOGIN, CRAM-MD5)")

    def _unavailable(self, error: Exception) -> Unavailable:
        fault = tls_fault(error)
        if isinstance(error, _Unfit):
            return Unavailable(self._step, error.hint, code=None, reply=str(error), final=True)
        if fault is not None:
            return Unavailable(self._step, Hint.TLS, code=None, reply=tls_words(fault), final=True)
        hint = {Step.STARTTLS: Hint.TLS, Step.AUTH: Hint.AUTH}.get(self._step, Hint.CONNECT)
        code, reply = _said(error)
        final = hint is not Hint.CONNECT and code is not None and code >= 500
        return Unavailable(self._step, hint, code=code, reply=self._without_secrets(reply), final=final)

    def _without_secrets(self, reply: str) -> str:
        """Take the password out of what a server said: some repeat the line that they did not like."""
        user, password = self.settings.user, self.settings.password
        if user is None or password is None:
            return reply
        plain = password.reveal()
        coded = [b64encode(each.encode()).decode().rstrip("=") for each in (plain, f"\0{user}\0{plain}")]
        for secret in (*reversed(coded), plain):
            if len(secret) >= SECRET_MIN:
                reply = reply.replace(secret, "(hidden)")
        return reply

    # --- one mail ---

    async def _conversation(self, mail: Outgoing) -> SMTPResponse:
        """Say what has to be said, and wait for each answer as long as a server may take."""
        try:
            # One limit that is moved: a limit for each answer would take longer than to ask and to read it.
            async with asyncio.timeout(self.settings.timeout_seconds) as self._patience:
                return await self._dialogue(mail)
        except TimeoutError as error:
            if self._step is Step.DOT and _unsent(self.client):  # it still lies here, and goes nowhere any more
                self._step = Step.DATA
            raise SMTPReadTimeoutError("Timed out waiting for server response") from error

    async def _dialogue(self, mail: Outgoing) -> SMTPResponse:
        """Say what has to be said, up to the first answer that settles the matter."""
        data = with_line_ends(mail.data)
        reply = await self._say(Step.MAIL, f"FROM:<{mail.sender}>", *self._mail_options(mail, data))
        if reply.code // 100 == 2:
            reply = await self._say(Step.RCPT, f"TO:<{mail.recipient}>", *self._rcpt_options(mail))
        if self._step is Step.RCPT and reply.code // 100 == 2:
            reply = await self._say(Step.DATA)
        if self._step is Step.DATA and reply.code == 354:
            reply = await self._send(stuffed(data) + b".\r\n")
        return reply

    async def _say(self, step: Step, *words: str) -> SMTPResponse:
        self._step = step
        self._begin_to_wait()
        said = (step.name.encode(), *(word.encode("ascii") for word in words))
        return await self._live().execute_command(*said, timeout=None)

    async def _send(self, data: bytes) -> SMTPResponse:
        """Send the mail with its final dot. From the first byte on, a mail without an answer is uncertain."""
        protocol = self._live().protocol
        assert protocol is not None  # noqa: S101 - a conversation that lives has one
        protocol.write(data)
        self._step = Step.DOT
        self._begin_to_wait()
        return await protocol.read_response()

    def _begin_to_wait(self) -> None:
        """Let the server have its time from now on; it is not moved by less than anybody notices."""
        until = asyncio.get_running_loop().time() + self.settings.timeout_seconds
        if until - (self._patience.when() or 0) > self.settings.timeout_seconds * UNNOTICED_SHARE:
            self._patience.reschedule(until)

    def _mail_options(self, mail: Outgoing, data: bytes) -> list[str]:
        options = []
        if self.offers("size"):
            options.append(f"SIZE={len(data)}")
        if self.offers("8bitmime") and not data.isascii():
            options.append("BODY=8BITMIME")
        if self.offers("dsn"):
            options += ["RET=HDRS", f"ENVID={xtext(mail.envid)}"]
        return options

    def _rcpt_options(self, mail: Outgoing) -> list[str]:
        if not self.offers("dsn"):
            return []
        wanted = "SUCCESS,FAILURE,DELAY" if mail.receipt else "FAILURE,DELAY"
        return [f"NOTIFY={wanted}", f"ORCPT=rfc822;{xtext(mail.recipient)}"]

    async def _reset(self) -> None:
        """Make the server forget a refused mail; where it does not answer, the next mail needs a new conversation."""
        try:
            reply = await self._live().execute_command(b"RSET")
        except (SMTPException, OSError):
            self.abort()
        else:
            if reply.code // 100 != 2:
                self.abort()

    # --- what came of it ---

    def _judged(self, mail: Outgoing, reply: SMTPResponse) -> Outcome:
        hint = None
        if self._step is Step.DOT and reply.code // 100 == 2:
            result = Result.ACCEPTED
        elif reply.code // 100 == 4:
            result = Result.DEFERRED
            self.broke = reply.code == 421
        elif self._step is Step.MAIL and reply.code in AUTH_MISSING:
            result, hint = Result.DEFERRED, Hint.AUTH
        elif reply.code // 100 == 5:
            result = Result.REFUSED
        else:  # no answer to what was said: what comes next would be as much out of step
            result = Result.UNCERTAIN if self._step is Step.DOT else Result.DEFERRED
            self.broke = True
        if self.broke:
            self.abort()
        return self._outcome(mail, result, reply.code, reply.message, hint)

    def _broken(self, mail: Outgoing, error: Exception) -> Outcome:
        self.broke = True
        self.abort()
        code, reply = _said(error)
        result = Result.UNCERTAIN if self._step is Step.DOT else Result.DEFERRED
        return self._outcome(mail, result, code, reply, None)

    def _outcome(self, mail: Outgoing, result: Result, code: int | None, reply: str, hint: Hint | None) -> Outcome:
        return Outcome(
            key=mail.key,
            result=result,
            server=self.settings.server,
            code=code,
            reply=one_line(self._without_secrets(reply)),
            hint=hint,
            step=self._step,
        )

    def _live(self) -> _Client:
        if self.client is None or not self.client.is_connected:
            raise SMTPServerDisconnected("the server closed the connection")
        return self.client


class _Unfit(SMTPException):
    """The server may be in order, yet it is not one that mails or a password may be given to."""

    def __init__(self, hint: Hint, message: str) -> None:
        super().__init__(message)
        self.hint = hint


def _said(error: Exception) -> tuple[int | None, str]:
    """Return code and words of the server behind `error`, or no code and what went wrong."""
    if isinstance(error, SMTPResponseException):
        return (error.code if 200 <= error.code <= 599 else None), error.message
    return None, str(error) or type(error).__name__


def _unsent(client: SMTP | None) -> bool:
    transport = client.transport if client is not None else None
    return isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size() > 0


def _own_name(settings: MailSettings, address: str) -> str:
    """Return how this machine introduces itself (RFC 5321, 4.1.4): its full name, else its address in brackets."""
    name = settings.local_hostname or socket.gethostname()
    if settings.local_hostname is None and not ("." in name and _is_host(name)):
        name = address.partition("%")[0]
    if is_ip_address(name):
        return f"[IPv6:{name}]" if ":" in name else f"[{name}]"
    return name


def _is_host(name: str) -> bool:
    try:
        require_host("local_hostname", name)
    except InvalidValue:
        return False
    return True


# --- bytes ---


def with_line_ends(data: bytes) -> bytes:
    """Return a mail in which every line, the last one too, ends in CRLF: nothing else ends a line for any server."""
    ends = data.count(b"\r\n")
    if not data.count(b"\r") == data.count(b"\n") == ends:
        data = _LINE_END.sub(b"\r\n", data)
    return data if data.endswith(b"\r\n") else data + b"\r\n"


def stuffed(data: bytes) -> bytes:
    """Return lines with another dot before each that begins with one (RFC 5321, 4.5.2)."""
    if b"\r\n." in data:  # seldom; to replace nothing takes five times as long as to see that
        data = data.replace(b"\r\n.", b"\r\n..")
    return b"." + data if data.startswith(b".") else data


def xtext(text: str) -> str:
    """Return a text as a parameter may hold it (RFC 3461, 4): "+" and "=" become "+2B" and "+3D"."""
    return _NOT_XTEXT.sub(lambda found: f"+{ord(found[0]):02X}", text)


_LINE_END = re.compile(rb"\r\n|\r|\n")
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")

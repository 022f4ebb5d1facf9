"""One request to an HTTP server and its answer: verified TLS, no proxy, no redirect, bounded in time and size.

The standard library's client does the protocol, in a thread. What is too slow is cut from here: then the thread ends,
and where the request had not gone out, it does not go out later.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_RDWR, gaierror, socket
from typing import Any
from urllib.parse import SplitResult, urlsplit

from maintsched.errors import printable
from maintsched.grammar import is_loopback
from maintsched.hooks.answers import read_json
from maintsched.hooks.port import Hook, Trouble, one_line

ANSWER_MAX = 4 * 1024 * 1024
"""Bytes of an answer that are read."""
_AGAIN = frozenset({408, 425, 429})
"""Refusals that ask for another attempt, as every 5xx does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked. `path` goes behind the path of the hook's address; None: that address itself is asked."""

    method: str
    path: str | None = None
    body: bytes | None = None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What was answered."""

    where: str
    """The server, for people."""
    status: int
    text: str
    cut: bool = False
    """There is more than `ANSWER_MAX`."""
    location: str | None = None

    @property
    def ok(self) -> bool:
        """Say whether it is a 2xx."""
        return 200 <= self.status < 300

    def trouble(self) -> Trouble:
        """Return what a status that is no 2xx means."""
        if 300 <= self.status < 400:
            aim = f" to {one_line(self.location)}" if self.location else ""
            return Trouble(
                f"{self.where}: answered {self.status}, a redirect{aim}, which is not followed; correct url",
                retry=False,
            )
        said = f": {one_line(self.text)}" if self.text.strip() else ""
        return Trouble(f"{self.where}: answered {self.status}{said}", retry=self.status >= 500 or self.status in _AGAIN)

    def json(self) -> Any:
        """Return the JSON of a 2xx answer; `Trouble` for every other answer."""
        if not self.ok:
            raise self.trouble()
        if self.cut:
            raise Trouble(f"{self.where}: answered more than {ANSWER_MAX // 1024**2} MiB; correct url", retry=False)
        try:
            return read_json(self.text)
        except ValueError:
            shown = one_line(self.text[:60])
            said = f"{self.where}: answered {self.status} with something that is no JSON: {shown}; correct url"
            raise Trouble(said, retry=False) from None

    def strange(self) -> Trouble:
        """Return the trouble with JSON of another shape than promised."""
        return Trouble(f"{self.where}: answered JSON of another shape than expected; correct url", retry=False)


async def ask(hook: Hook, request: Request) -> Reply:
    """Ask the server of a hook. Raises `Trouble` where no whole answer comes; it may have taken effect all the same."""
    address = urlsplit(hook.url or "")
    where = address.netloc
    exchange = _Exchange(hook, address, request)
    try:
        return await asyncio.to_thread(exchange.run)
    except asyncio.CancelledError:
        exchange.cut()
        raise
    except (HTTPException, OSError) as error:
        raise Trouble(f"{where}: {_reason(error)}", retry=True) from None


def _reason(error: HTTPException | OSError) -> str:
    """Say what went wrong on the way, in the words of people; never what was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {printable(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection: {printable(str(error.reason or 'it was cut')).lower().replace('_', ' ')}"
    if isinstance(error, gaierror):
        return "no address is known for this name"
    if isinstance(error, TimeoutError):
        return "no answer in time; whether it took effect is not known"
    if isinstance(error, HTTPException | ConnectionResetError | BrokenPipeError):
        return "no whole answer before the connection was cut; whether it took effect is not known"
    return str(error.strerror or type(error).__name__).lower()


class _Exchange:
    """One request under way in a thread, which another one may cut."""

    def __init__(self, hook: Hook, address: SplitResult, request: Request) -> None:
        self._hook = hook
        self._address = address
        self._request = request
        self._given_up = False
        self._connection: HTTPConnection | None = None

    def cut(self) -> None:
        """Give up, from another thread: whoever waits for the socket is woken."""
        self._given_up = True
        open_socket = self._connection.sock if self._connection else None
        if open_socket is not None:
            with suppress(OSError):
                socket.shutdown(open_socket, SHUT_RDWR)  # not that of TLS, which is not made for two threads

    def run(self) -> Reply:
        connection = self._connection = self._opened()
        try:
            connection.connect()
            self._require_same_machine(connection)
            if self._given_up:
                raise TimeoutError
            headers: dict[str, Any] = {"Connection": "close", "User-Agent": "maintsched", **self._request.headers}
            headers.update(_login(self._hook))
            connection.request(self._request.method, self._target(), body=self._request.body, headers=headers)
            answer = connection.getresponse()
            data = answer.read(ANSWER_MAX + 1)
            if answer.length and len(data) <= ANSWER_MAX:
                raise HTTPException  # it promised more
            return Reply(
                where=self._address.netloc,
                status=answer.status,
                text=data[:ANSWER_MAX].decode("utf-8", "replace"),
                cut=len(data) > ANSWER_MAX,
                location=answer.getheader("Location"),
            )
        finally:
            connection.close()

    def _target(self) -> str:
        address = self._address
        if self._request.path is not None:
            return address.path.rstrip("/") + self._request.path
        return (address.path or "/") + (f"?{address.query}" if address.query else "")

    def _opened(self) -> HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        seconds = self._hook.timeout_seconds
        if self._address.scheme.lower() != "https":
            return HTTPConnection(host, port, timeout=seconds)
        return HTTPSConnection(host, port, timeout=seconds, context=_verified(self._hook))

    def _require_same_machine(self, connection: HTTPConnection) -> None:
        """Refuse plain text to a local name that leads to another machine."""
        if self._address.scheme.lower() != "https" and not is_loopback(connection.sock.getpeername()[0]):
            raise Trouble(f"{self._address.netloc}: is not this machine, and http goes nowhere else", retry=False)


def _verified(hook: Hook) -> ssl.SSLContext:
    """Return the terms of TLS: 1.2 or newer, and a certificate that is valid for the host."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=hook.ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else str(error.strerror).lower()
        raise Trouble(f"ca_file {hook.ca_file}: {reason}", retry=False) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if (
        hook.ca_file is not None
    ):  # the authority that Icinga makes for itself leaves out what Python 3.13 began to ask for
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _login(hook: Hook) -> Iterator[tuple[str, bytes]]:
    """Yield the header of the login, as bytes: a header that the client refuses would be shown in its error."""
    if hook.password is None:
        return
    if hook.user is not None:
        yield "Authorization", b"Basic " + b64encode(f"{hook.user}:{hook.password}".encode())
    else:
        yield "Authorization", b"Bearer " + hook.password.encode()


def without_secrets(hook: Hook, text: str) -> str:
    """Return what a server or program said without the secrets that it may have repeated."""
    for secret in (hook.password, hook.secret):
        if secret:
            login = b64encode(f"{hook.user}:{secret}".encode()).decode()
            for shown in (secret, printable(secret), login):
                text = text.replace(shown, "(hidden)")
    return text

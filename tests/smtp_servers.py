"""A mail server that does what a test tells it, at each step of a conversation, and keeps every byte it was sent.

    with smtp_server({"rcpt": "550 5.1.1 unknown"}) as server: ...
It runs in threads of its own, so that whatever is tested may own the event loop, or have none.
"""

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import trustme

from maintsched.mail.settings import MailSettings, Tls


class Trouble(Enum):
    """What a server may do instead of answering."""

    SLOW = "slow"  # answers never
    DROP = "drop"  # closes, and has done nothing
    LOST = "lost"  # does what was asked, and closes instead of saying so
    RESET = "reset"  # closes in the hard way
    DEAF = "deaf"  # answers, and reads what comes only after `server.hear.set()`


Answer = str | Trouble
"""A reply, its lines parted by \\n, or trouble."""
Script = Mapping[str, Answer | Sequence[Answer] | Callable[[str], Answer | None]]
"""By step: connect, ehlo, starttls, tls (instead of the handshake), ehlo2 (after it), auth, password, mail, rcpt, data,
body (at a mail's first line; only trouble is an answer), dot, taken (after it; no answer), rset, quit. One answer holds
always, a list for the first times, a function is asked with the line (from body to taken: with the mail's recipient);
None is the usual answer."""

USUAL = {
    "connect": "220 mail.example ESMTP",
    "starttls": "220 2.0.0 go ahead",
    "auth": "235 2.7.0 welcome",
    "password": "235 2.7.0 welcome",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 end with a dot",
    "dot": "250 2.0.0 queued as 4711",
    "rset": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
}


@dataclass(kw_only=True)
class Received:
    """A mail the server took over."""

    sender: str
    recipient: str
    mail_line: str
    rcpt_line: str
    wire: bytes
    """From the byte after the reply to DATA to the final dot with its line end."""

    @property
    def data(self) -> bytes:
        """The mail as its recipient gets it."""
        return b"".join(line.removeprefix(b".") for line in self.wire[:-3].splitlines(keepends=True))


@dataclass(kw_only=True)
class Conversation:
    """One connection: `clear` holds every byte that came in plain text, `inside` those that came encrypted."""

    clear: bytearray = field(default_factory=bytearray)
    inside: bytearray = field(default_factory=bytearray)
    lines: list[str] = field(default_factory=list)
    tls: str | None = None
    closed: bool = False
    by_client: bool = False
    """Whether the other side closed first."""


class SmtpServer:
    """The server, once it listens."""

    def __init__(
        self, script: Script, *, context: ssl.SSLContext | None, implicit: bool, extensions: Sequence[str], host: str
    ) -> None:
        self.script = script
        self.context = context
        self.implicit = implicit
        self.extensions = tuple(extensions)
        self.conversations: list[Conversation] = []
        self.mails: list[Received] = []
        self.at_once = 0
        """The most connections that were open at the same time."""
        self.host = host
        self.stopped = threading.Event()
        self.hear = threading.Event()
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()
        self._ended = threading.Condition()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    @property
    def lines(self) -> list[str]:
        """All commands of all conversations, in the order they were connected in."""
        return [line for each in self.conversations for line in each.lines]

    @property
    def open_count(self) -> int:
        return sum(not each.closed for each in self.conversations)

    def reached(self, step: str) -> bool:
        """Say whether a conversation came to `step`, and the answer is due."""
        return self._asked.get(step, 0) > 0

    def answer(self, step: str, line: str) -> Answer:
        """Return what the script says, or else the usual."""
        found = self.script.get(step)
        with self._lock:
            count = self._asked.get(step, 0)
            self._asked[step] = count + 1
        if callable(found):
            found = found(line)
        elif isinstance(found, Sequence) and not isinstance(found, str):
            found = found[count] if count < len(found) else None
        return USUAL.get(step, "250 ok") if found is None else found

    def close(self) -> None:
        """Stop, and wait until every conversation ended."""
        self.stopped.set()
        self.hear.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(5)
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(5)

    def wait_closed(self) -> None:
        """Wait until the other side has closed all connections; a test that hangs here found one that was left open."""
        with self._ended:
            done = self._ended.wait_for(lambda: all(each.closed for each in self.conversations), timeout=5)
        assert done, "a connection was left open"

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conversation = Conversation()
            self.conversations.append(conversation)
            self.at_once = max(self.at_once, self.open_count)
            self._sockets.add(connection)
            thread = threading.Thread(target=self._converse, args=(connection, conversation), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _converse(self, connection: socket.socket, conversation: Conversation) -> None:
        session = _Session(self, connection, conversation)
        try:
            session.run()
        except _Over:
            pass
        except OSError:  # also encryption that the other side does not want
            conversation.by_client = not self.stopped.is_set()
        finally:
            session.close()
            self._sockets.discard(connection)
            self._sockets.discard(session.socket)
            with self._ended:
                conversation.closed = True
                self._ended.notify_all()


class _Over(Exception):
    """The conversation has ended."""


class _Session:
    def __init__(self, server: SmtpServer, connection: socket.socket, conversation: Conversation) -> None:
        self.server = server
        self.socket = connection
        self.conversation = conversation
        self.buffer = b""
        self.mail_line = self.rcpt_line = ""

    def run(self) -> None:
        if self.server.implicit:
            self._encrypt("")
        self._answer("connect", "")
        while True:
            line = self._line()
            self.conversation.lines.append(line)
            self._command(line.split(" ")[0].split(":")[0].lower(), line)

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()

    def _command(self, verb: str, line: str) -> None:
        if verb == "ehlo":
            self._ehlo(line)
        elif verb == "starttls":
            self._answer("starttls", line, then=lambda: self._encrypt(line))
        elif verb == "auth":
            self._auth(line)
        elif verb == "data":
            self._answer("data", line, then=self._data)
        elif verb == "quit":
            self._answer("quit", line)
            raise _Over
        elif verb == "mail" and self.mail_line:
            self._do("503 5.5.1 nested MAIL")
        else:
            self._answer(verb, line, then=lambda: self._note(verb, line))

    def _note(self, verb: str, line: str) -> None:
        """Keep the envelope as a server does: from MAIL to the end of the mail, or to RSET."""
        if verb == "rcpt":
            self.rcpt_line = line
        else:
            self.mail_line, self.rcpt_line = (line if verb == "mail" else ""), ""

    def _ehlo(self, line: str) -> None:
        offered = list(self.server.extensions)
        if self.server.context and not self.server.implicit and not self.conversation.tls:
            offered.append("STARTTLS")
        lines = ["mail.example", *offered]
        usual = "\n".join([f"250-{each}" for each in lines[:-1]] + [f"250 {lines[-1]}"])
        step = "ehlo2" if self.conversation.tls and not self.server.implicit else "ehlo"
        found = self.server.answer(step, line)
        self._do(usual if found == "250 ok" else found)

    def _auth(self, line: str) -> None:
        words = line.split(" ")
        if words[1].upper() == "LOGIN":
            challenge = base64.b64encode(b"Password:").decode()
        elif words[1].upper() == "CRAM-MD5":
            challenge = base64.b64encode(b"<1896.697170952@mail.example>").decode()
        else:
            self._answer("auth", line)
            return
        found = self.server.answer("auth", line)
        self._do(f"334 {challenge}" if found == USUAL["auth"] else found)
        self._answer("password", self._line())

    def _data(self) -> None:
        sender, recipient = (_address(each) for each in (self.mail_line, self.rcpt_line))
        wire = self._line_bytes()
        if isinstance(found := self.server.answer("body", recipient), Trouble):
            self._do(found)
        while not (wire.endswith(b"\r\n.\r\n") or wire == b".\r\n"):
            wire += self._line_bytes()
        received = Received(
            sender=sender, recipient=recipient, mail_line=self.mail_line, rcpt_line=self.rcpt_line, wire=wire
        )
        found = self.server.answer("dot", recipient)
        if found in (Trouble.LOST, Trouble.SLOW) or (isinstance(found, str) and found.startswith("2")):
            self.server.mails.append(received)
        self.mail_line = self.rcpt_line = ""
        self._do(found)
        self.server.answer("taken", recipient)

    def _answer(self, step: str, line: str, then: Callable[[], None] | None = None) -> None:
        found = self.server.answer(step, line)
        self._do(found)
        if then and isinstance(found, str) and found.startswith(("2", "3")):
            then()

    def _do(self, found: Answer) -> None:
        if isinstance(found, str):
            self.socket.sendall(found.encode("latin-1").replace(b"\n", b"\r\n") + b"\r\n")
            if found.startswith("421"):
                raise _Over
        elif found is Trouble.SLOW:
            while self._receive():
                pass
            self.conversation.by_client = True
            raise _Over
        elif found is Trouble.DEAF:
            self.socket.sendall(b"354 go on\r\n")
            self.server.hear.wait(5)
            while self._receive():
                pass
            self.conversation.by_client = True
            raise _Over
        else:
            if found is Trouble.RESET:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            raise _Over

    def _encrypt(self, line: str) -> None:
        found = self.server.script.get("tls")
        if isinstance(found, str | Trouble):
            self._do(found)
            return
        assert self.server.context, "this server has no certificate"
        self.server._sockets.discard(self.socket)
        self.socket = self.server.context.wrap_socket(self.socket, server_side=True)
        self.server._sockets.add(self.socket)
        self.conversation.tls = self.socket.version()
        self.buffer = b""

    def _line(self) -> str:
        return self._line_bytes().rstrip(b"\r\n").decode("latin-1")

    def _line_bytes(self) -> bytes:
        while b"\n" not in self.buffer:
            received = self._receive()
            if not received:
                self.conversation.by_client = True
                raise _Over
            self.buffer += received
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def _receive(self) -> bytes:
        received = self.socket.recv(65536)
        (self.conversation.inside if self.conversation.tls else self.conversation.clear).extend(received)
        return received


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


# --- certificates ---


@cache
def authority() -> trustme.CA:
    """Return the authority that signed all servers here."""
    return trustme.CA(organization_name="tests", key_type=trustme.KeyType.ECDSA)


@cache
def server_context(*names: str, signed: bool = True, **certificate: Any) -> ssl.SSLContext:
    """Return the encryption of a server with a certificate for `names`, by an authority known or unknown."""
    by = authority() if signed else trustme.CA(key_type=trustme.KeyType.ECDSA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    by.issue_cert(
        *(names or ("localhost", "127.0.0.1", "::1")), key_type=trustme.KeyType.ECDSA, **certificate
    ).configure_cert(context)
    return context


def authority_file(folder: Path) -> Path:
    """Write the authority's certificate into `folder`."""
    path = folder / "authority.pem"
    authority().cert_pem.write_to_path(path)
    return path


@contextmanager
def smtp_server(
    script: Script | None = None,
    *,
    tls: Tls = Tls.NONE,
    context: ssl.SSLContext | None = None,
    extensions: Sequence[str] = ("SIZE 10485760", "8BITMIME", "DSN", "AUTH PLAIN LOGIN"),
    host: str = "127.0.0.1",
) -> Iterator[SmtpServer]:
    """Run a server for `tls`; its certificate is a good one unless `context` holds another."""
    encryption = None if tls is Tls.NONE else context or server_context()
    server = SmtpServer(
        script or {}, context=encryption, implicit=tls is Tls.REQUIRED, extensions=extensions, host=host
    )
    try:
        yield server
    finally:
        server.close()


def settings_for(server: SmtpServer, tls: Tls, folder: Path, **changes: Any) -> MailSettings:
    """Return settings that reach `server`."""
    given: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "tls": tls,
        "timeout_seconds": 5.0,
        "local_hostname": "client.example",
    }
    if tls is not Tls.NONE:
        given["ca_file"] = authority_file(folder)
    return MailSettings(**(given | changes))

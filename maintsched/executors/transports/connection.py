"""Connections by ssh, and what keeps them honest. asyncssh is large, so that this file is imported when one is opened.

asyncssh is told everything: left alone, it reads ~/.ssh/config, offers whatever keys lie about, and falls back on
~/.ssh/known_hosts where it is given nothing that is pinned.
"""

import asyncio
import os
import re
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from maintsched.errors import HostKeyRefused, InvalidValue, Unreachable
from maintsched.executors.transports.output import Cut, Tail
from maintsched.executors.transports.programs import GROUP_MARK
from maintsched.executors.transports.settings import SshSettings

Pinned = tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]
"""Keys of a host, keys of authorities that may vouch for it, keys that were revoked."""
CLOSING_SECONDS = 5
"""How long a connection may take to say goodbye."""


class Keyring:
    """The files with keys, ours and those that are pinned; each is read again when it has changed."""

    def __init__(self, identity: Path | None, known_hosts: Path) -> None:
        """Read nothing yet."""
        self._identity = identity
        self._known_hosts = known_hosts
        self._key: tuple[tuple[int, ...], asyncssh.SSHKey] | None = None
        self._pins: tuple[tuple[int, ...], asyncssh.SSHKnownHosts] | None = None

    def key(self) -> asyncssh.SSHKey | None:
        """Return our private key; None where only those of an agent are used."""
        if self._identity is None:
            return None
        version, data = _read("identity", self._identity, private=True)
        if self._key is None or self._key[0] != version:
            try:
                self._key = version, asyncssh.import_private_key(data)
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                expected = f"a private key without a passphrase in {self._identity}"
                raise InvalidValue("identity", expected=expected, found=str(error), field="identity") from error
        return self._key[1]

    def pinned(self, host: str, port: int) -> Pinned:
        """Return what is pinned for a host under its name, and under its name alone: an address may be anybody's."""
        try:
            version, data = _read("known_hosts", self._known_hosts, private=False)
        except FileNotFoundError as error:
            raise HostKeyRefused(host, f"none is pinned, there is no {self._known_hosts}") from error
        if self._pins is None or self._pins[0] != version:
            try:
                self._pins = version, asyncssh.import_known_hosts(data.decode())
            except ValueError as error:
                expected = f"keys of hosts as OpenSSH writes them in {self._known_hosts}"
                raise InvalidValue("known_hosts", expected=expected, found=str(error), field="known_hosts") from error
        for name in dict.fromkeys((host, host.lower())):
            keys, authorities, revoked, *_ = self._pins[1].match(name, "", None if port == 22 else port)
            if keys or authorities:
                return list(keys), list(authorities), list(revoked)
        raise HostKeyRefused(host, f"none is pinned in {self._known_hosts}")


def _read(field: str, path: Path, *, private: bool) -> tuple[tuple[int, ...], bytes]:
    """Return a file and what names its version. What others may read is no private key, what they may write no pin."""
    forbidden, mend = (0o077, "600") if private else (0o002, "o-w")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise InvalidValue(field, expected=f"a file: {path}", found="something else", field=field)
            if found.st_mode & forbidden:
                expected = f"a file that nobody else can {'read' if private else 'write'}: chmod {mend} {path}"
                mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
                raise InvalidValue(field, expected=expected, found=mode, field=field)
            return (found.st_ino, found.st_size, found.st_mtime_ns), file.read()
    except FileNotFoundError:
        if not private:
            raise
        raise InvalidValue(field, expected="a file that is there", found=str(path), field=field) from None
    except OSError as error:
        raise InvalidValue(
            field, expected=f"a file that can be read: {path}", found=error.strerror, field=field
        ) from error


class _Doorman(asyncssh.SSHClient):
    """Lets no host in that is not pinned, and remembers which key it showed."""

    def __init__(self) -> None:
        self.shown: str | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        self.shown = f"{key.get_algorithm()} {key.get_fingerprint()}"
        return False


async def connect(host: str, settings: SshSettings, keyring: Keyring) -> asyncssh.SSHClientConnection:
    """Open a connection to a host that shows its pinned key.

    Raises `HostKeyRefused`, `Unreachable`, or `InvalidValue` for files that cannot be used.
    """
    pinned = keyring.pinned(host, settings.port)
    key = keyring.key()
    doorman = _Doorman()
    try:
        async with asyncio.timeout(settings.connect_timeout_seconds):
            if settings.agent:
                return await _with_agent(host, lambda keys: _connect(host, settings, pinned, keys, doorman), key)
            return await _connect(host, settings, pinned, [key] if key else [], doorman)
    except TimeoutError:
        raise Unreachable(host, f"no connection within {settings.connect_timeout_seconds} s") from None
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyRefused(host, f"it shows {doorman.shown}" if doorman.shown else str(error)) from error
    except asyncssh.PermissionDenied as error:
        raise Unreachable(host, f"it does not let {settings.user} in with {_keys_of(settings)}") from error
    except (asyncssh.Error, OSError, ValueError) as error:  # an agent that does not sign raises the last
        raise Unreachable(host, str(error) or type(error).__name__) from error


def _keys_of(settings: SshSettings) -> str:
    keys = [f"the key {settings.identity}"] if settings.identity else []
    return " and ".join([*keys, *(["those of the agent"] if settings.agent else [])])


_Keys = list[asyncssh.SSHKey | asyncssh.SSHKeyPair]


async def _with_agent(
    host: str, opened: Callable[[_Keys], Awaitable[asyncssh.SSHClientConnection]], key: asyncssh.SSHKey | None
) -> asyncssh.SSHClientConnection:
    """Open a connection with the keys of the agent as well; it is left when we are in."""
    try:
        agent = await asyncssh.connect_agent(os.environ.get("SSH_AUTH_SOCK", ""))
    except OSError as error:
        raise Unreachable(host, f"the agent cannot be asked: {error.strerror}") from error
    try:
        return await opened([*([key] if key else []), *await _keys_of_agent(host, agent)])
    finally:
        agent.close()
        await agent.wait_closed()


async def _keys_of_agent(host: str, agent: asyncssh.SSHAgentClient) -> Sequence[asyncssh.SSHKeyPair]:
    try:
        return await agent.get_keys()
    except ValueError as error:
        raise Unreachable(host, f"the agent does not answer: {error}") from error


async def _connect(
    host: str, settings: SshSettings, pinned: Pinned, keys: _Keys, doorman: _Doorman
) -> asyncssh.SSHClientConnection:
    if not keys:  # asyncssh would look for others in ~/.ssh
        raise Unreachable(host, "there is no key to offer: the agent has none")
    return await asyncssh.connect(
        settings.addresses.get(host, host),
        settings.port,
        config=None,
        client_factory=lambda: doorman,
        host_key_alias=host,
        known_hosts=pinned,
        username=settings.user,
        client_keys=keys,
        server_host_key_algs="+*",  # pinned kinds first; any other key is refused, and not only not asked for
        ignore_encrypted=False,
        x509_trusted_certs=None,
        preferred_auth="publickey",
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_auth=False,
        gss_kex=False,
        gss_host=None,
        agent_path=None,
        agent_forwarding=False,
        x11_forwarding=False,
        pkcs11_provider=None,
        request_pty=False,
        compression_algs=None,
        connect_timeout=None,
        login_timeout=settings.connect_timeout_seconds,
        keepalive_interval=settings.keepalive_seconds,
        keepalive_count_max=3,
        tunnel=None,
        proxy_command=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a command said until it ended."""

    exit_code: int
    stdout: Tail
    stderr: Tail


class _Listener(asyncssh.SSHClientSession[bytes]):
    """Keeps what a command prints until its channel is closed."""

    def __init__(self, most: int, *, group: bool) -> None:
        self.stdout = Tail(most)
        self.stderr = Tail(most)
        self.closed = asyncio.get_running_loop().create_future()
        self.group: str | None = None
        """The process group of the command, once it is known."""
        self._head: bytes | None = b"" if group else None

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype != asyncssh.EXTENDED_DATA_STDERR:
            self.stdout.add(data)
        elif self._head is None:
            self.stderr.add(data)
        else:
            self._find_group(self._head + data)

    def _find_group(self, head: bytes) -> None:
        """Take the line with the process group out of what comes first; a shell may have said something before."""
        found = _GROUP.search(head)
        self._head = head
        if found:
            self.group = found[1].decode()
            self._give_head(head[: found.start()] + head[found.end() :])
        elif len(head) > _HEAD_MAX:
            self._give_head(head)

    def _give_head(self, data: bytes) -> None:
        self._head = None
        if data:
            self.stderr.add(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the exit code says more
        self._give_head(self._head or b"")
        if not self.closed.done():
            self.closed.set_result(None)


_GROUP = re.compile(
    rb"(?m)^" + GROUP_MARK.encode() + rb" ([2-9]|[1-9][0-9]{1,9})\n"
)  # never 1: that would mean everybody
_HEAD_MAX = 64 * 1024


async def execute(
    connection: asyncssh.SSHClientConnection, line: str, *, stdin: bytes, most: int, group: bool = False
) -> Spoken:
    """Give the host's shell a line and wait until it has ended; `Cut` where the connection goes before.

    `group`: the line says its process group first. When this is cancelled, and it is when time is up, that group is
    ended, and nothing else. A signal of the protocol would not do: OpenSSH passes none to what root runs.
    """
    listener = _Listener(most, group=group)
    try:
        channel, _ = await connection.create_session(lambda: listener, line, encoding=None)
    except (asyncssh.Error, OSError) as error:
        raise Cut(str(error)) from error
    try:
        with suppress(OSError):  # it has ended already, and read nothing
            channel.write(stdin)
            channel.write_eof()
        await listener.closed
    except asyncio.CancelledError:
        if listener.group is not None:
            await _end(connection, listener.group)
        channel.close()
        raise
    code = channel.get_returncode()
    if code is None:
        raise Cut("the connection was cut")
    return Spoken(exit_code=code if code >= 0 else 128 - code, stdout=listener.stdout, stderr=listener.stderr)


async def _end(connection: asyncssh.SSHClientConnection, group: str) -> None:
    """End a process group, if the host still hears us."""
    with suppress(asyncssh.Error, OSError, TimeoutError):
        async with asyncio.timeout(CLOSING_SECONDS):
            await connection.run(f"kill -s KILL -- -{group}", stdin=asyncssh.DEVNULL)


async def close(connection: asyncssh.SSHClientConnection) -> None:
    """Say goodbye, for a while."""
    connection.close()
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()

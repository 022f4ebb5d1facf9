"""Servers for hooks, on loopback: an Alertmanager, an Icinga 2 and a plain receiver, with troubles to order.

    with hook_server(Alertmanager(), tls=True) as server: ...

The stand-ins answer as the real programs do (Alertmanager 0.25, Icinga 2.13: tried side by side), and the real programs
can be started as well: `real_alertmanager`, `real_icinga`. Where they are not installed, their tests are skipped with
the reason; with MAINTSCHED_NEEDS_ALERTMANAGER or MAINTSCHED_NEEDS_ICINGA set, they fail.
"""

import base64
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TRIES, PAUSE_SECONDS = 1000, 0.02
USER, PASSWORD = "maintsched", "kanarienvogel-9c1d"


class Trouble(Enum):
    """What a server may do instead of answering."""

    REFUSE = "refuse"  # 400 with a reason
    FAIL = "fail"  # 503
    SLOW = "slow"  # answers never
    TRICKLE = "trickle"  # answers a byte at a time, for ever
    DROP = "drop"  # closes, and has done nothing
    LOST = "lost"  # does what was asked, and closes instead of saying so
    HALF = "half"  # does what was asked, and closes in the midst of the answer
    REDIRECT = "redirect"
    HUGE = "huge"  # 200, and no end
    GARBAGE = "garbage"  # 200, and a page for people
    DEEP = "deep"  # 200, and JSON without bottom
    OTHER = "other"  # 200, and JSON of another shape
    ECHO = "echo"  # 400, and everything that it was sent


@dataclass(kw_only=True)
class Asked:
    """One request that was read."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = tuple[int, Any]


class Service(Protocol):
    """What answers behind a server."""

    def answer(self, asked: Asked) -> Answer: ...


@dataclass(kw_only=True)
class HookServer:
    """A server under way. `trouble` holds for the requests that `when` picks."""

    url: str
    service: Any
    asked: list[Asked] = field(default_factory=list)
    trouble: Trouble | None = None
    when: Callable[[Asked], bool] = lambda _: True
    elsewhere: str = "https://elsewhere.example/"
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def troubled(self, asked: Asked) -> Trouble | None:
        return self.trouble if self.trouble and self.when(asked) else None


@contextmanager
def hook_server(
    service: Service,
    *,
    tls: bool = False,
    host: str = "127.0.0.1",
    cert_for: str | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[HookServer]:
    """Run a server in threads of its own; `cert_for` is the name in its certificate, or it has a `context`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): text for name, text in self.headers.items()}
            asked = Asked(method=self.command, path=self.path, headers=headers, body=body)
            server.asked.append(asked)
            _respond(self, server, asked)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - their names in the standard library

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request, client_address):
            server.connections += 1
            if not tls:
                super().finish_request(request, client_address)
                return
            request.settimeout(10)
            terms = context or server_context(cert_for or host)
            with terms.wrap_socket(request, server_side=True) as inside:
                inside.settimeout(None)
                super().finish_request(inside, client_address)

        def handle_error(self, request, client_address):
            pass  # a client that goes away is what is tested

    web = Server((host, 0), Handler)
    scheme = "https" if tls else "http"
    server = HookServer(url=f"{scheme}://{host}:{web.server_address[1]}", service=service)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        web.shutdown()
        web.server_close()


def _respond(handler: Any, server: HookServer, asked: Asked) -> None:
    trouble = server.troubled(asked)
    handler.close_connection = True
    if trouble is Trouble.SLOW:
        server.over.wait(30)
    elif trouble is Trouble.TRICKLE:
        _trickle(handler, server)
    elif trouble is Trouble.DROP:
        pass
    elif trouble is Trouble.LOST:
        server.service.answer(asked)
    elif trouble is Trouble.HALF:
        _send(handler, *server.service.answer(asked), cut=1)
    elif trouble is Trouble.HUGE:
        _flood(handler, server)
    else:
        _send(handler, *_said(trouble, server, asked), aim=server.elsewhere if trouble is Trouble.REDIRECT else None)


def _said(trouble: Trouble | None, server: HookServer, asked: Asked) -> Answer:
    if trouble is None:
        return server.service.answer(asked)
    plain = json.dumps(dict(asked.headers)) + asked.body.decode()
    return {
        Trouble.REFUSE: (400, "no such thing,\r\n\x1b[31mreally"),
        Trouble.FAIL: (503, "upstream\nis away"),
        Trouble.REDIRECT: (307, ""),
        Trouble.GARBAGE: (200, "<html><body>Please log in</body></html>"),
        Trouble.DEEP: (200, "[" * 200_000),
        Trouble.OTHER: (200, '{"surprise": [1, null]}'),
        Trouble.ECHO: (400, plain),
    }[trouble]


def _send(handler: Any, status: int, answer: Any, *, cut: int = 0, aim: str | None = None) -> None:
    data = answer.encode() if isinstance(answer, str) else b"" if answer is None else json.dumps(answer).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data) + cut))
    if aim:
        handler.send_header("Location", aim)
    handler.end_headers()
    handler.wfile.write(data)


def _trickle(handler: Any, server: HookServer) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not server.over.wait(0.02):
        handler.wfile.write(b"z")


def _flood(handler: Any, server: HookServer) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while not server.over.is_set():
        handler.wfile.write(b'"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",' * 1024)


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def server_context(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(name).configure_cert(context)
    return context


def ca_file(folder: Path) -> Path:
    path = folder / "ca.pem"
    authority().cert_pem.write_to_path(path)
    return path


def plain_authority(folder: Path) -> ssl.SSLContext:
    """Return the terms of a server whose certificates are as bare as those `icinga2 pki` makes; write its ca-file."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = {each: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in ("Icinga CA", "node")}
    for name, authority_too in (("Icinga CA", True), ("node", False)):
        made = x509.CertificateBuilder().subject_name(names[name]).issuer_name(names["Icinga CA"])
        made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
        made = made.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        made = made.add_extension(x509.BasicConstraints(ca=authority_too, path_length=None), critical=True)
        if not authority_too:
            where = x509.IPAddress(IPv4Address("127.0.0.1"))
            made = made.add_extension(x509.SubjectAlternativeName([where]), critical=False)
        data = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (folder / ("bare-ca.pem" if authority_too else "bare.pem")).write_bytes(data)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "bare.key").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "bare.pem", folder / "bare.key")
    return context


# --- stand-ins --------------------------------------------------------------------------------------------------------


class Receiver:
    """Takes whatever is posted, and remembers by key what it did."""

    def __init__(self) -> None:
        self.done: dict[str, Any] = {}
        self.reply: Answer = (200, {})

    def answer(self, asked: Asked) -> Answer:
        self.done[asked.headers["idempotency-key"]] = asked.json
        return self.reply

    def effects(self) -> int:
        return len(self.done)


class Alertmanager:
    """Silences, as the API v2 keeps them."""

    LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')

    def __init__(self, *, unknown: int = 500) -> None:
        self.silences: dict[str, dict[str, Any]] = {}
        self.unknown = unknown
        """Status for ending what is not there: older ones say 500, newer ones 404."""

    def effects(self) -> int:
        return len(self.holding())

    def holding(self) -> list[dict[str, Any]]:
        return [each for each in self.silences.values() if each["status"]["state"] == "active"]

    def answer(self, asked: Asked) -> Answer:
        path = urlsplit(asked.path)
        if path.path == "/am/api/v2/silences" and asked.method == "GET":
            return 200, [each for each in self.silences.values() if self._fits(each, parse_qs(path.query))]
        if path.path == "/am/api/v2/silences" and asked.method == "POST":
            return self._post(asked.json)
        name = path.path.removeprefix("/am/api/v2/silence/")
        if name == path.path:
            return 404, "page not found"
        if not re.fullmatch(r"[0-9a-f-]{36}", name):
            return 422, {"code": 601, "message": "silenceID in path must be of type uuid"}
        if name not in self.silences:
            return (404, None) if asked.method == "GET" else (self.unknown, "silence not found")
        if asked.method == "GET":
            return 200, self.silences[name]
        if self.silences[name]["status"]["state"] == "expired" and self.unknown == 500:
            return 500, f"silence {name} already expired"
        self.silences[name]["status"]["state"] = "expired"
        return 200, None

    def _fits(self, silence: Mapping[str, Any], query: Mapping[str, list[str]]) -> bool:
        there = {each["name"]: each["value"] for each in silence["matchers"]}
        for text in query.get("filter", []):
            found = self.LABEL.fullmatch(text)
            assert found, f"no matcher: {text}"
            plain = re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), found[2])
            if there.get(found[1]) != plain:
                return False
        return True

    def _post(self, wanted: dict[str, Any]) -> Answer:
        if not wanted["matchers"] or not any(each["value"] for each in wanted["matchers"]):
            return 400, "silence invalid: at least one matcher must not match the empty string"
        if datetime.fromisoformat(wanted["startsAt"]) >= datetime.fromisoformat(wanted["endsAt"]):
            return 400, "start time must be before end time"
        if "id" in wanted and wanted["id"] not in self.silences:
            return 404, "silence not found"
        if "id" in wanted:
            self.silences[wanted["id"]]["status"]["state"] = "expired"
        name = str(uuid.uuid4())
        ends = datetime.fromisoformat(wanted["endsAt"]).astimezone(UTC).isoformat(timespec="milliseconds")
        self.silences[name] = wanted | {
            "id": name,
            "endsAt": ends.replace("+00:00", "Z"),
            "status": {"state": "active"},
        }
        return 200, {"silenceID": name}


class Icinga:
    """Downtimes of hosts and services, as the API v1 keeps them. It understands the filters that are sent."""

    def __init__(self, hosts: Mapping[str, tuple[str, ...]], *, nothing: Answer = (500, {"results": []})) -> None:
        self.hosts = hosts
        self.nothing = nothing
        """How it says that no object was found."""
        self.downtimes: dict[str, dict[str, Any]] = {}
        self.broken: set[str] = set()
        """Objects whose downtime fails."""

    def effects(self) -> int:
        return len({each["comment"] for each in self.downtimes.values()})

    def answer(self, asked: Asked) -> Answer:
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {login}":
            return 401, {"error": 401, "status": "Unauthorized. Please check your user credentials."}
        assert asked.headers["accept"] == "application/json"
        if asked.path == "/v1/objects/downtimes":
            assert asked.headers["x-http-method-override"] == "GET"
            return 200, {"results": [{"name": each, "attrs": self.downtimes[each]} for each in self._ours(asked.json)]}
        if asked.path == "/v1/actions/schedule-downtime":
            return self._schedule(asked.json)
        if asked.path == "/v1/actions/remove-downtime":
            names = self._ours(asked.json)
            for each in names:
                del self.downtimes[each]
            return (200, {"results": [{"code": 200, "status": "removed"} for _ in names]}) if names else self.nothing
        return 404, {"error": 404, "status": "The requested path could not be found"}

    def _ours(self, asked: Mapping[str, Any]) -> list[str]:
        assert asked["filter"] == "downtime.author == our_author && downtime.comment == our_comment"
        wanted = asked["filter_vars"]
        return [
            name
            for name, each in self.downtimes.items()
            if (each["author"], each["comment"]) == (wanted["our_author"], wanted["our_comment"])
        ]

    def _schedule(self, asked: Mapping[str, Any]) -> Answer:
        names = asked["filter_vars"]
        host = names["our_host"]
        if asked["type"] == "Host":
            assert asked["filter"] == "host.name == our_host"
            objects = [host, *(f"{host}!{each}" for each in self.hosts.get(host, ()))] if host in self.hosts else []
        else:
            assert asked["filter"] == "host.name == our_host && service.name == our_service"
            there = names["our_service"] in self.hosts.get(host, ())
            objects = [f"{host}!{names['our_service']}"] if there else []
        if not objects:
            return self.nothing
        results = []
        for each in objects:
            if each in self.broken:
                results.append({"code": 500, "status": f"no downtime for {each}:\n disk full"})
                continue
            name = f"{each}!{uuid.uuid4()}"
            self.downtimes[name] = {key: asked[key] for key in ("author", "comment", "start_time", "end_time")}
            results.append({"code": 200.0, "name": name, "status": "Successfully scheduled downtime"})
        return 200, {"results": results}


# --- the real ones ----------------------------------------------------------------------------------------------------


def _program(need: str, *names: str) -> str:
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    for name in names:
        found = shutil.which(name, path=places)
        if found:
            return found
    reason = f"{' or '.join(names)} is not installed"
    if os.environ.get(f"MAINTSCHED_NEEDS_{need}"):
        pytest.fail(reason)
    pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(argv: list[str], folder: Path, answers: Callable[[], bool]) -> Iterator[None]:
    log = folder / "program.log"
    with log.open("wb") as output:
        program = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            for _ in range(TRIES):
                assert program.poll() is None, f"{argv[0]} does not start: {log.read_text()}"
                with suppress(OSError):
                    if answers():
                        break
                time.sleep(PAUSE_SECONDS)
            else:
                pytest.fail(f"{argv[0]} does not answer: {log.read_text()}")
            yield
        finally:
            program.terminate()
            program.wait(20)


@contextmanager
def real_alertmanager(folder: Path) -> Iterator[str]:
    """Run an Alertmanager; yield its address."""
    program = _program("ALERTMANAGER", "prometheus-alertmanager", "alertmanager")
    (folder / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    port = _free_port()
    argv = [program, "--config.file", str(folder / "alertmanager.yml"), "--storage.path", str(folder)]
    argv += ["--web.listen-address", f"127.0.0.1:{port}", "--web.route-prefix", "/am", "--cluster.listen-address", ""]
    url = f"http://127.0.0.1:{port}/am"
    with _running(argv, folder, lambda: urllib.request.urlopen(f"{url}/-/ready").status == 200):
        yield url


ICINGA = """
const NodeName = "icinga"
const ZoneName = "icinga"
object Endpoint "icinga" {{}}
object Zone "icinga" {{ endpoints = [ "icinga" ] }}
object ApiListener "api" {{ bind_host = "127.0.0.1", bind_port = {port} }}
object ApiUser "{user}" {{
  password = "{password}"
  permissions = [ "actions/schedule-downtime", "actions/remove-downtime", "objects/query/Downtime" ]
}}
object CheckCommand "none" {{ command = [ "/bin/true" ] }}
"""


@contextmanager
def real_icinga(folder: Path, hosts: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Run an Icinga 2 that knows `hosts` with their services; yield its address."""
    program = _program("ICINGA", "icinga2")
    for each in ("data/certs", "run/icinga2/cmd", "cache/icinga2", "log", "spool", "etc"):
        (folder / each).mkdir(parents=True)
    port = _free_port()
    made = authority().issue_cert("127.0.0.1", common_name="icinga")
    made.private_key_pem.write_to_path(folder / "data/certs/icinga.key")
    made.cert_chain_pems[0].write_to_path(folder / "data/certs/icinga.crt")
    authority().cert_pem.write_to_path(folder / "data/certs/ca.crt")
    text = ICINGA.format(port=port, user=USER, password=PASSWORD)
    for host, services in hosts.items():
        text += f'object Host {json.dumps(host)} {{ check_command = "none", enable_active_checks = false }}\n'
        for each in services:
            where = f"host_name = {json.dumps(host)}"
            text += f'object Service "{each}" {{ {where}, check_command = "none", enable_active_checks = false }}\n'
    (folder / "etc/icinga2.conf").write_text(text)
    places = {
        "DataDir": "data",
        "InitRunDir": "run",
        "CacheDir": "cache",
        "LogDir": "log",
        "SpoolDir": "spool",
        "ConfigDir": "etc",
        "ObjectsPath": "cache/objects",
        "StatePath": "data/state",
        "ModAttrPath": "data/modified.conf",
        "VarsPath": "cache/vars",
        "PidPath": "run/pid",
    }
    who = {"RunAsUser": _name_of("passwd", os.getuid()), "RunAsGroup": _name_of("group", os.getgid())}
    defines = [f"-D{name}={folder / place}" for name, place in places.items()]
    defines += [f"-D{name}={text}" for name, text in who.items()]
    url = f"https://127.0.0.1:{port}"
    argv = [program, "daemon", "-x", "warning", *defines, "-c", str(folder / "etc/icinga2.conf")]
    with _running(argv, folder, lambda: _answers(url, ca_file(folder))):
        yield url


def _name_of(table: str, number: int) -> str:
    import grp
    import pwd

    return pwd.getpwuid(number).pw_name if table == "passwd" else grp.getgrgid(number).gr_name


def _answers(url: str, ca: Path) -> bool:
    try:
        urllib.request.urlopen(f"{url}/v1/", context=ssl.create_default_context(cafile=ca))
    except urllib.error.HTTPError as refused:
        return refused.code == 401
    return True

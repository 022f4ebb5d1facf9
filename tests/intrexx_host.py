"""A host with a stand-in of Intrexx: scripts in place of its programs, units, databases, a ping, and faults to set.

    with intrexx_host(tmp_path) as host:
        executor = Intrexx(host.settings)
        host.break_("patch_fails")          # one of FAULTS

The portal answers its ping while its units run, and while files and database are of one version: a restored database
beside patched files is a portal that is down, as it would be in earnest.

The portal is asked by the real curl. Where there is none, the tests are skipped with the reason; with
MAINTSCHED_NEEDS_CURL set, they fail.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

FAULTS = (
    "setup_does_nothing",  # exit 0, and the version is as it was
    "setup_fails",
    "download_fails",
    "backup_fails",  # the copy of the database
    "backup_is_cut_off",  # the copy of the files, which says nothing about it
    "patch_fails",  # half way: the database is patched, the files are not
    "patch_does_nothing",
    "portal_stays_down",  # as soon as it is patched
    "log_has_errors",
    "restore_fails",  # of the database
    "unit_does_not_stop",
)
FROM, TO = "12.0.3.20260901.aa11bb", "12.1.0.20261101.ab12cd"

SCRIPTS = {
    "opt/intrexx/bin/linux/getversion.sh": 'echo "Intrexx $(cat "$ROOT/opt/intrexx/version")"',
    "opt/intrexx/bin/linux/updatefilesfromblank.sh": 'mkdir -p "$1/external"; touch "$1/external/new-in-blank"',
    "opt/intrexx/bin/linux/patchportal.sh": """
portal=$(basename "$1"); to=$(cat "$ROOT/opt/intrexx/version")
if fault patch_does_nothing; then exit 0; fi
echo "$to" > "$ROOT/databases/$portal"
if fault patch_fails; then echo "ORA-00001: no such table" >&2; exit 3; fi
printf '<?xml version="1.0"?>\\n<cfg name="%s" version="%s"/>\\n' "$portal" "$to" > "$1/internal/cfg/portal.cfg"
echo "INFO patched to $to" >> "$1/log/portal.log"
if fault log_has_errors; then echo "2026-12-01 18:00 ERROR workflow 17 is broken" >> "$1/log/workflow.log"; fi
""",
    "opt/intrexx/bin/linux/upddownload.sh": 'fault download_fails && exit 1; touch "$ROOT/downloaded"',
    "opt/intrexx/bin/linux/updinstall.sh": f'[ -e "$ROOT/downloaded" ] && echo {TO} > "$ROOT/opt/intrexx/version"',
    "setup/12.1.0/setup.sh": f"""
echo "$@" > "$ROOT/setup-called-with"
[ -e configuration.properties ] || {{ echo "no configuration.properties here" >&2; exit 2; }}
if fault setup_fails; then exit 9; fi
if fault setup_does_nothing; then exit 0; fi
echo {TO} > "$ROOT/opt/intrexx/version"; touch "$ROOT/opt/intrexx/lib-12.1.jar"
""",
    "bin/unit": """
if [ "$1" = stop ] && fault unit_does_not_stop; then echo "Job for $2 failed" >&2; exit 1; fi
echo "$1" > "$ROOT/units/$2"; echo "$1 $2" >> "$ROOT/calls"
""",
    "bin/dump": 'fault backup_fails && exit 1; cp "$ROOT/databases/$1" "$2"; echo "dump $1" >> "$ROOT/calls"',
    "bin/restore": 'fault restore_fails && exit 1; cp "$2" "$ROOT/databases/$1"; echo "restore $1" >> "$ROOT/calls"',
    "bin/archive": """
tar --create --gzip "--file=$1" "--directory=$2" "$3"; ended=$?
if fault backup_is_cut_off; then truncate --size=100 "$1"; exit 0; fi
exit $ended
""",
}
HEAD = """#!/bin/sh
ROOT={root}
fault() {{ [ -e "$ROOT/faults/$1" ]; }}
"""


class IntrexxHost:
    """The host: its folder, what is asked of it, and what it says."""

    def __init__(self, root: Path, portals: tuple[str, ...], url: str) -> None:
        self.root, self.portals, self.url = root, portals, url
        self.home = root / "opt/intrexx"
        for folder in ("faults", "units", "databases", "backups"):
            (root / folder).mkdir(parents=True)
        for name, lines in SCRIPTS.items():
            script = root / name
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text(HEAD.format(root=root) + lines + "\n")
            script.chmod(0o755)
        (root / "setup/12.1.0/configuration.properties").write_text("portal=none\n")
        (self.home / "version").write_text(f"{FROM}\n")
        for portal in portals:
            self._make_portal(portal)
        for unit in ("upixsolr", "upixsupervisor", *(f"upixp_{portal}" for portal in portals)):
            (root / "units" / unit).write_text("start\n")

    def _make_portal(self, portal: str) -> None:
        for folder in ("internal/cfg", "log"):
            (self.home / "org" / portal / folder).mkdir(parents=True)
        self.cfg(portal).write_text(f'<?xml version="1.0"?>\n<cfg name="{portal}" version="{FROM}"/>\n')
        (self.home / "org" / portal / "log/portal.log").write_text("ERROR from last week\n")
        (self.root / "databases" / portal).write_text(f"{FROM}\n")

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the executor for this host: defaults, wherever the stand-ins are called as the real ones are."""
        programs = self.root / "bin"
        return {
            "home": str(self.home),
            "backups": str(self.root / "backups"),
            "media": str(self.root / "setup/{version}"),
            "stop": [str(programs / "unit"), "stop", "{unit}"],
            "start": [str(programs / "unit"), "start", "{unit}"],
            "ping_url": f"{self.url}/{{portal}}/service/ping/",
            "ping_tries": 1,
            "ping_pause_seconds": 1,
            "database": "{portal}",
            "backup_files": [str(programs / "archive"), "{backup}/files.tar.gz", "{parent}", "{base}"],
            "backup_database": [str(programs / "dump"), "{database}", "{backup}/{portal}.dump"],
            "restore_database": [str(programs / "restore"), "{database}", "{backup}/{portal}.dump"],
            "disk_free_mb": 1,
        }

    def cfg(self, portal: str) -> Path:
        """Return the file that says which version a portal has."""
        return self.home / "org" / portal / "internal/cfg/portal.cfg"

    def break_(self, fault: str) -> None:
        """Set a fault."""
        assert fault in FAULTS
        (self.root / "faults" / fault).touch()

    def well(self, portal: str) -> bool:
        """Say whether a portal answers its ping."""
        units = (self.root / "units" / unit for unit in ("upixsolr", "upixsupervisor", f"upixp_{portal}"))
        running = all(unit.read_text() == "start\n" for unit in units)
        database = (self.root / "databases" / portal).read_text().strip()
        fits = database in self.cfg(portal).read_text() and database == (self.home / "version").read_text().strip()
        down = (self.root / "faults/portal_stays_down").exists() and database == TO
        return running and fits and not down

    def version(self, portal: str) -> str:
        """Return the version that server, files and database of a portal agree on; else what each of them says."""
        database = (self.root / "databases" / portal).read_text().strip()
        server = (self.home / "version").read_text().strip()
        files = self.cfg(portal).read_text().split('version="')[2].split('"')[0]
        return server if server == database == files else f"server {server}, files {files}, database {database}"

    @property
    def calls(self) -> list[str]:
        """What was called, in order, of what stops, starts, copies and puts back."""
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []


@contextmanager
def intrexx_host(root: Path, *, portals: tuple[str, ...] = ("acme",)) -> Iterator[IntrexxHost]:
    """Make a host in a folder, and answer its pings on a free port of this machine."""
    if shutil.which("curl") is None:
        stop = pytest.fail if "MAINTSCHED_NEEDS_CURL" in os.environ else pytest.skip
        stop("no curl here: install the package curl")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ping)
    host = server.host = IntrexxHost(root, portals, f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Ping(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        portal = self.path.split("/")[1]
        well = self.server.host.well(portal)  # type: ignore[attr-defined]
        body = b"ok\n" if well else b"the portal is starting\n"
        self.send_response(200 if well else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

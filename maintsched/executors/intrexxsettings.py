"""The settings of `intrexx`: everything that an installation may have elsewhere, or do otherwise.

What is written here as a default was read in public descriptions of Intrexx 12 on Linux. Nothing in the executor counts
on it: each command is a list of words that an operator may replace.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from maintsched.birth import settle_fields
from maintsched.errors import InvalidValue, OutOfRange, UnknownName, one_of
from maintsched.executors.commands import (
    TARGET_PLACES,
    Words,
    require_absolute,
    require_pattern,
    require_words,
)
from maintsched.executors.port import Answer
from maintsched.grammar import require_key, require_once


class Method(StrEnum):
    """How a server gets a release."""

    SETUP = "setup"  # the unattended setup of exactly that release, from a folder on the host
    ONLINE = "online"  # the online update, which takes what its tree holds; `verify` says whether that was the release


KINDS = (
    "fetch",
    "backup-folder",
    "backup-files",
    "backup-check",
    "backup-database",
    "stop",
    "install",
    "update-files",
    "patch",
    "start",
    "await",
    "undo-stop",
    "restore-files",
    "restore-database",
    "undo-check",
)
"""What steps are called, in the order of a run; a number and what they are about follow."""
REPEATABLE = tuple(kind for kind in KINDS if kind not in {"fetch", "install", "update-files", "patch"})
"""What may be done again after it was interrupted: a copy is taken anew, a unit that is stopped stays stopped."""
EXPECTED = {"fetch": 600, "backup-files": 300, "backup-database": 300, "install": 900, "patch": 600}
"""Seconds that kinds of steps take which take longer than a minute."""
NOT_UP = (7, 22, 28, 52, 56)
"""How curl ends where a portal does not answer, or not well: refused, HTTP error, time-out, empty, cut off."""
ANSWERS: Mapping[str, Mapping[str, Answer]] = {
    "backup-files": {"1": Answer.DONE},  # tar: a file, such as a log, grew while it was read
    "await": {str(code): Answer.DONE for code in NOT_UP},  # whether the portal came up is for `verify` to say
}
PLACES = (*TARGET_PLACES, "home", "backups", "backup", "portal", "database", "unit", "ping_url", "version", "track")
FULL = (*PLACES, "media", "numbers", "tries", "pause", "parent", "base")
CURL = ("curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "--max-time", "10")
INSTALLS: Mapping[Method, Words] = {
    Method.SETUP: ("{media}/setup.sh", "--console", "--nostart", "--configFile=configuration.properties"),
    Method.ONLINE: ("{home}/bin/linux/updinstall.sh",),
}
FETCHES: Mapping[Method, Words] = {Method.SETUP: (), Method.ONLINE: ("{home}/bin/linux/upddownload.sh",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrexxSettings:
    """How Intrexx is laid out on a host, and how everything is done there."""

    home: str = "/opt/intrexx"
    real_home: Words = ("readlink", "--canonicalize-existing", "{home}")
    """Prints where `home` really is: a copy of a link would hold nothing. `{parent}` and `{base}` come from it."""
    backups: str = "/var/backups/intrexx"
    """A folder that is there, outside of `home`; each run that changes anything makes one of its own in it."""
    list_backups: Words = ("ls", "-1", "--", "{backups}")
    """Prints what is in it, so that the next run takes a name that nobody has had: no copy is ever written over."""
    portals: tuple[str, ...] = ()
    """Portals of the host, `{instance}` among them; none: those that `list_portals` finds."""
    list_portals: Words = (
        *("find", "{home}/org", "-mindepth", "4", "-maxdepth", "4"),
        *("-path", "*/internal/cfg/portal.cfg", "-printf", "%P\\n"),
    )
    """Prints a portal a line; what follows a slash does not count."""

    # --- which version
    track: str = ""
    """The tree that this table's hosts are on; empty: not looked at."""
    tracks: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"silent": (), "steady": ()})
    """Trees, each with the beginnings of its versions, such as `["12.0."]`; none: any."""
    server_version: Words = ("{home}/bin/linux/getversion.sh",)
    server_pattern: str = r"([0-9]+\.[0-9]+\.[0-9]+(?:\.[A-Za-z0-9]+)*)"
    """Finds the version in what `server_version` prints."""
    portal_version: Words = ("cat", "--", "{home}/org/{portal}/internal/cfg/portal.cfg")
    portal_pattern: str = r"(?m)^(?!<\?xml).*?\bversion\s*=\s*[\"']?([0-9]+(?:\.[A-Za-z0-9]+)+)"

    # --- how an update is done
    method: Method = Method.SETUP
    media: str = "/opt/intrexx-setup/{version}"
    """Folder of the unpacked setup."""
    media_check: Words = ("test", "-e", "{media}/setup.sh")
    """Asked while planning, where nothing is fetched; empty: not asked."""
    fetch: Words | None = None
    """Gets what is to be installed, while the portal still runs; None: as the method does it, empty: nothing."""
    install: Words | None = None
    """Updates the server; None: as the method does it. `setup` is started in the folder of the media."""
    update_files: Words = ("{home}/bin/linux/updatefilesfromblank.sh", "{home}/org/{portal}")
    patch: Words = ("{home}/bin/linux/patchportal.sh", "{home}/org/{portal}")

    # --- stopping, starting, health
    units: tuple[str, ...] = ("upixsolr", "upixsupervisor", "upixp_{portal}")
    """In the order they are started; they are stopped the other way round."""
    stop: Words = ("systemctl", "stop", "{unit}")
    start: Words = ("systemctl", "start", "{unit}")
    ping_url: str = "http://localhost:1337/service/ping/"
    """Asked on the host itself."""
    ping_urls: Mapping[str, str] = field(default_factory=dict)
    """By portal, where it is another one."""
    ping: Words = (*CURL, "{ping_url}")
    """Ends with 0 where a portal is well."""
    await_up: Words = (*CURL, "--retry", "{tries}", "--retry-delay", "{pause}", "--retry-connrefused", "{ping_url}")
    """Ends with 0 as soon as a portal is well."""
    ping_tries: int = 60
    ping_pause_seconds: int = 5

    # --- logs
    logs: tuple[str, ...] = ("{home}/org/{portal}/log/portal.log", "{home}/org/{portal}/log/workflow.log")
    """Of what is in them, only that counts which was written since the plan was made."""
    log_errors: str = r"\b(?:ERROR|FATAL|SEVERE)\b"
    log_ignored: str = ""
    """Lines that are harmless; empty: none."""
    log_errors_max: int = 0
    """So many errors are still well."""

    # --- backup and going back
    database: str = ""
    """The database of a portal, such as `ix_{portal}`, as the commands below know it."""
    databases: Mapping[str, str] = field(default_factory=dict)
    """By portal, where it is another one."""
    backup_folder: Words = ("mkdir", "--parents", "--mode=0700", "{backup}")
    backup_files: Words = (
        "tar",
        "--create",
        "--gzip",
        "--file={backup}/files.tar.gz",
        "--directory={parent}",
        "{base}",
    )
    """Empty, as `backup_database` then is: nothing is copied, and nothing can be undone."""
    backup_check: Words = ("gzip", "--test", "{backup}/files.tar.gz")
    backup_database: Words = ("pg_dump", "--format=custom", "--file={backup}/{portal}.dump", "--dbname={database}")
    backup_stopped: bool = False
    """Copies are taken when the portal has been stopped: they fit together exactly, and the portal is down longer."""
    restore_files: Words = (
        *("tar", "--extract", "--gzip", "--recursive-unlink"),
        *("--file={backup}/files.tar.gz", "--directory={parent}", "{base}"),
    )
    restore_database: Words = (
        *("pg_restore", "--clean", "--if-exists", "--create", "--exit-on-error"),
        *("--dbname=postgres", "{backup}/{portal}.dump"),
    )
    undo_check: Words = (
        *("grep", "--quiet", "--extended-regexp"),
        *("version *= *[\"']?{numbers}([^0-9]|$)", "{home}/org/{portal}/internal/cfg/portal.cfg"),
    )
    """Ends with 0 where a portal is at `{version}`, the one from before, again; `{numbers}` is a pattern for it."""
    backup_age: Words = ()
    """Prints when the last backup was taken: seconds since 1970, or ISO 8601. Empty: not known."""

    # --- the rest
    sudo: Words = ()
    """What makes a command the superuser's, such as `["sudo", "-n"]`; empty: it is run as who we are."""
    disk_paths: tuple[str, ...] = ("{home}", "{backups}")
    disk_free_mb: int = 2048
    """What has to be free on each of them."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of every command, such as `PGUSER`. Everybody on the host may read it: no secrets."""
    idempotent: tuple[str, ...] = REPEATABLE
    """Kinds of steps that may be run again after they were interrupted half way."""
    answers: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)
    """By kind of step, exit codes that mean something, besides those that are known."""
    expected_seconds: Mapping[str, int] = field(default_factory=dict)
    """By kind of step, how long it takes, where that is not as usual."""
    look_seconds: int = 60
    """How long a command may take that only looks."""

    def __post_init__(self) -> None:
        """Refuse what could not be run, or what names nothing."""
        settle_fields(self)
        require_absolute("home", self.home)
        require_absolute("backups", self.backups)
        if f"{self.backups.rstrip('/')}/".startswith(f"{self.home.rstrip('/')}/"):
            expected = f"a folder outside of {self.home}: going back empties that one"
            raise InvalidValue("backups", expected=expected, found=self.backups, field="backups")
        for name, words in self._commands():
            require_words(name, words, FULL)
        require_pattern("server_pattern", self.server_pattern, groups=1)
        require_pattern("portal_pattern", self.portal_pattern, groups=1)
        require_pattern("log_errors", self.log_errors, groups=0)
        require_pattern("log_ignored", self.log_ignored, groups=0)
        self._require_names()
        for name, least, most in _BOUNDS:
            if not least <= getattr(self, name) <= most:
                expected = f"a number from {least} to {most}"
                raise OutOfRange(name, expected=expected, found=getattr(self, name), field=name)

    def _commands(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for name in _COMMANDS:
            yield name, getattr(self, name) or ()
        for name in ("portals", "units", "logs", "disk_paths", "sudo"):
            yield name, getattr(self, name)
        for name in ("media", "ping_url"):
            yield name, (getattr(self, name),)
        for name in ("ping_urls", "databases", "environment"):
            yield name, tuple(getattr(self, name).values())
        if self.database:
            yield "database", (self.database,)

    def _require_names(self) -> None:
        require_once("portals", "each portal once", self.portals)
        for name in (*self.tracks, *self.ping_urls, *self.databases):
            require_key("name", name)
        if self.track and self.track not in self.tracks:
            raise UnknownName("track", found=self.track, known=self.tracks, field="track")
        for name in ("idempotent", "answers", "expected_seconds"):
            for kind in getattr(self, name):
                if kind not in KINDS:
                    raise InvalidValue(name, expected=one_of(kind, KINDS), found=kind, field=name)
        if bool(self.backup_files) != bool(self.backup_database):
            expected = "commands for both, or for neither: files of one day and a database of another are no way back"
            raise InvalidValue("backup_files", expected=expected, found="one of them", field="backup_files")
        for name in _NEEDED:
            if not getattr(self, name):
                raise InvalidValue(name, expected="a command", found="none", field=name)
        for code in (code for codes in self.answers.values() for code in codes):
            if not (code.isascii() and code.isdigit() and int(code) <= 255):
                raise InvalidValue("answers", expected="an exit code from 0 to 255", found=code, field="answers")

    @property
    def installing(self) -> Words:
        """The command that updates the server."""
        return INSTALLS[self.method] if self.install is None else self.install

    @property
    def fetching(self) -> Words:
        """The command that gets what is to be installed; empty: it is there."""
        return FETCHES[self.method] if self.fetch is None else self.fetch

    @property
    def undoable(self) -> bool:
        """Say whether files and databases are copied, and can be put back: the one without the other is no way back."""
        return bool(self.backup_files and self.restore_files and self.restore_database)

    def answers_of(self, kind: str) -> dict[int, Answer]:
        """Return the exit codes that mean something for a kind of step."""
        codes = {**ANSWERS.get(kind, {}), **self.answers.get(kind, {})}
        return {int(code): answer for code, answer in codes.items()}

    def expected_of(self, kind: str) -> int:
        """Return how many seconds a kind of step takes."""
        usual = self.ping_tries * self.ping_pause_seconds if kind == "await" else 60
        return self.expected_seconds.get(kind, EXPECTED.get(kind, usual))


_NEEDED = (
    "real_home",
    "list_backups",
    "server_version",
    "portal_version",
    "update_files",
    "patch",
    "stop",
    "start",
    "ping",
    "await_up",
)
_COMMANDS = (
    *("list_portals", "media_check", "fetch", "install", "backup_folder", "backup_files", "backup_check"),
    *("backup_database", "restore_files", "restore_database", "undo_check", "backup_age", *_NEEDED),
)
_BOUNDS = (
    ("ping_tries", 1, 1000),
    ("ping_pause_seconds", 1, 600),
    ("log_errors_max", 0, 100_000),
    ("disk_free_mb", 0, 100_000_000),
    ("look_seconds", 1, 3600),
)

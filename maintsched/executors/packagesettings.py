"""The settings that package managers have in common, and which packages a component is made of."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from maintsched.birth import FrozenMapping, settle_fields
from maintsched.errors import InvalidValue, OutOfRange
from maintsched.executors.commands import Words
from maintsched.grammar import require_key, require_text

EVERYTHING = "*"
COMPONENTS: Mapping[str, Words] = {
    "linux": (EVERYTHING,),
    "os": (EVERYTHING,),
    "webserver": ("nginx", "nginx-*", "libnginx-*", "apache2", "apache2-*", "httpd", "httpd-*"),
    "proxy": ("nginx", "nginx-*", "libnginx-*", "haproxy", "apache2", "apache2-*", "httpd", "httpd-*"),
    "firewall": ("nftables", "libnftables*", "iptables", "iptables-*", "firewalld", "ufw"),
    "libreoffice": ("libreoffice", "libreoffice-*", "python3-uno", "ure"),
    "database": ("postgresql-??", "postgresql-server", "postgresql", "postgresql-*", "libpq5"),
}
"""The packages of each component; the first one that is installed tells its version."""
AFTER: Mapping[str, tuple[Words, ...]] = dict.fromkeys(
    ("nginx", "nginx-core", "nginx-light", "nginx-full", "nginx-extras"),
    (("nginx", "-t"), ("systemctl", "try-reload-or-restart", "nginx")),
)
"""What is done once a package has changed: its configuration is looked at, then it is told to read it anew."""

_PATTERN = re.compile(r"[A-Za-z0-9*?][A-Za-z0-9*?+._:-]{0,199}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_PLAIN = re.compile(
    r"(?:[0-9]+:)?([0-9]{1,6}(?:\.[0-9]{1,6}){0,2}(?![0-9])(?:[.+-][A-Za-z0-9]{1,40}(?![A-Za-z0-9_~])){0,4})"
)
_ARCHITECTURE = re.compile(r"(?::[a-z0-9-]+|\.(?:noarch|x86_64|i[3-6]86|aarch64|armv7hl|ppc64le|s390x|riscv64))$")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSettings:
    """How packages are updated on the hosts of a table."""

    sudo: Words = ()
    """What makes a command the superuser's, such as `["sudo", "-n"]`; empty: we are root already."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of every command. Everybody on the host may see it: no secrets."""
    disk_free_mb: int = 1024
    """Megabytes that have to be free on `/` and `/var` before anything is changed."""
    boot_free_mb: int = 100
    """The same for `/boot`, where that is a file system of its own."""
    components: Mapping[str, Words] = field(default_factory=dict)
    """Packages of a component, as patterns; `*` is everything. Added to what is known, by component."""
    leave: Words = ()
    """Patterns of packages that are left to others, such as a database with an executor of its own."""
    after: Mapping[str, tuple[Words, ...]] = field(default_factory=lambda: AFTER)
    """Commands to run once a package that a pattern matches has changed; each is a list of words."""

    def __post_init__(self) -> None:
        """Refuse patterns, variables and numbers outside their grammar."""
        settle_fields(self)
        for name in ("disk_free_mb", "boot_free_mb"):
            found = getattr(self, name)
            if not 0 <= found <= 10**9:
                raise OutOfRange(name, expected="megabytes from 0 to 1000000000", found=found, field=name)
        for name, text in self.environment.items():
            if not _VARIABLE.fullmatch(name):
                raise InvalidValue("environment", expected="names of variables", found=name, field="environment")
            require_text(f"environment.{name}", text, empty=True)
        for name in self.components:
            require_key("components", name)
        patterns = [each for words in self.components.values() for each in words]
        for each in (*patterns, *self.leave, *self.after):
            require_package_pattern("components", each)
        for word in (*self.sudo, *(word for commands in self.after.values() for words in commands for word in words)):
            require_text("command", word)
        if any(not words for commands in self.after.values() for words in commands):
            raise InvalidValue("after", expected="commands with at least one word", found="none", field="after")
        object.__setattr__(self, "components", FrozenMapping({**COMPONENTS, **self.components}))


def require_package_pattern(name: str, text: str) -> None:
    """Refuse what cannot match a name of a package: one that begins with "-" would be an option."""
    if not _PATTERN.fullmatch(text):
        expected = "letters, digits and + . _ : - with * and ?, not beginning with a sign"
        raise InvalidValue(name, expected=expected, found=text, field=name)


def plain_version(text: str) -> str | None:
    """Return the version of a package as a component's: without epoch, up to where it is no `Version` any more."""
    found = _PLAIN.match(text)
    return found[1] if found else None


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Say whether a package, with or without its architecture, is one of those that are meant."""
    plain = _ARCHITECTURE.sub("", name)
    return any(fnmatchcase(name, each) or fnmatchcase(plain, each) for each in patterns)

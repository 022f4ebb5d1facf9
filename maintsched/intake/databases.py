"""Names of databases as people write them, and the URLs that they mean."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from maintsched.errors import InvalidValue

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_SECRETS = {"password", "sslpassword"}
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
EXPECTED = "a path, sqlite:///… or postgresql://…"


def database_url(text: str, folder: Path) -> str:
    """Return the URL that `text` means: a path, which counts from `folder`, a SQLite URL or a PostgreSQL URL.

    A password is refused: `~/.pgpass` or PGPASSWORD hold it where no copy of a configuration, list of processes or
    message shows it.
    """
    if not (0 < len(text) <= 1000 and text.isprintable() and text.strip()):
        raise _refusal(EXPECTED, text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _sqlite_url(text, folder)
    name, rest = scheme[1].lower(), text[scheme.end(1) :]
    if name == "sqlite":
        if not rest.startswith(":///"):
            raise _refusal("sqlite:/// and the path of a file", text)
        return _sqlite_url(rest.removeprefix(":///"), folder)
    if name in _POSTGRES:
        _require_no_password(rest)
        return f"postgresql+psycopg{rest}"
    raise _refusal(EXPECTED, f"{name}:…")


def _sqlite_url(path: str, folder: Path) -> str:
    if "?" in path or path.endswith(("/", ":memory:")) or path in ("", ".", ".."):
        raise _refusal("the path of a file, without a question mark", path)
    try:
        return f"sqlite:///{folder / Path(path).expanduser()}"
    except RuntimeError as error:
        raise _refusal("a path below a home that is known", path) from error


def _require_no_password(rest: str) -> None:
    """Refuse a URL that carries a password, without showing it, and one that no server could be found by."""
    try:
        parts = urlsplit(f"postgresql{rest}")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        secret = parts.password is not None or not _SECRETS.isdisjoint(options)
        lost = parts.port == 0 or not rest.startswith("://") or not parts.path.strip("/")
    except ValueError:  # a port that is no number, brackets without an address
        raise _refusal("postgresql://host/database", "something else (not shown)") from None
    if secret:
        expected = "no password in it: ~/.pgpass, PGPASSFILE or PGPASSWORD hold it"
        raise _refusal(expected, "one (not shown)")
    if lost:
        raise _refusal("postgresql://host/database", "something else (not shown)")


def _refusal(expected: str, found: str) -> InvalidValue:
    return InvalidValue("database", expected=expected, found=found, field="database")

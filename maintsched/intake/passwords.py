"""The passwords and secrets that a configuration names and does not hold."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from maintsched.errors import FileError
from maintsched.intake.config import Config, HookConfig, may_be_there

PASSWORD_VARIABLE = "MAINTSCHED_SMTP_PASSWORD"  # noqa: S105 - the name of a variable, no secret
CREDENTIAL = "smtp_password"
"""Name of the systemd credential that holds the password."""
PASSWORD_MAX = 1000


def smtp_password(config: Config, environ: Mapping[str, str]) -> str | None:
    """Return the password for `mail.user`: of `password_file`, else of the environment, else of a systemd credential.

    None where there is no user. Raises `FileError` where there is none, where the file may be read by others than its
    owner, or where it holds no password. No error and no value shows it.
    """
    if config.mail.user is None:
        return None
    if config.mail.password_file is not None:
        return _password_of(config.mail.password_file, forbidden=0o077)
    if PASSWORD_VARIABLE in environ:
        return _checked(environ[PASSWORD_VARIABLE], f"variable {PASSWORD_VARIABLE}")
    for credential in _credentials(environ):
        return _password_of(credential, forbidden=0o007)  # the group's bits are those of an access list of systemd
    expected = f"a password for {config.mail.user}: password_file, {PASSWORD_VARIABLE} or the credential {CREDENTIAL}"
    raise FileError(str(config.path), line=None, key="mail.password_file", expected=expected, found="none")


def hook_password(hook: HookConfig) -> str | None:
    """Return what stands in `password_file` of a hook; None where it names none. Raises `FileError` as above."""
    return None if hook.password_file is None else _password_of(hook.password_file, forbidden=0o077)


def hook_secret(hook: HookConfig) -> str | None:
    """Return what stands in `secret_file` of a hook; None where it names none. Raises `FileError` as above."""
    return None if hook.secret_file is None else _password_of(hook.secret_file, forbidden=0o077)


def _credentials(environ: Mapping[str, str]) -> Iterator[Path]:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and may_be_there(Path(folder) / CREDENTIAL):
        yield Path(folder) / CREDENTIAL


def _password_of(path: Path, *, forbidden: int) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            _require_private(path, os.fstat(handle).st_mode, forbidden)
            data = file.read(4 * PASSWORD_MAX + 3)
        return _checked(data.decode().removesuffix("\n").removesuffix("\r"), str(path))
    except UnicodeDecodeError:
        raise FileError(str(path), line=None, key=None, expected="UTF-8 text", found="other bytes") from None
    except OSError as error:
        reason = str(error.strerror).lower()
        raise FileError(str(path), line=None, key=None, expected="a readable file", found=reason) from error


def _require_private(path: Path, mode: int, forbidden: int) -> None:
    if not stat.S_ISREG(mode):
        raise FileError(str(path), line=None, key=None, expected="a file with a password", found="no file")
    if mode & forbidden:
        expected = f"a file that nobody but its owner may read: chmod 600 {path}"
        raise FileError(str(path), line=None, key=None, expected=expected, found=f"mode {stat.S_IMODE(mode):04o}")


def _checked(text: str, place: str) -> str:
    if not (0 < len(text) <= PASSWORD_MAX and text.isprintable()):
        expected = f"a password: 1 to {PASSWORD_MAX} printable characters on one line"
        raise FileError(place, line=None, key=None, expected=expected, found="something else (not shown)")
    return text

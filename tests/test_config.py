"""maintsched.toml: found, read, refused; and the password that stands elsewhere."""

import copy
import json
import os
import pickle
import tomllib
import traceback
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path

import pytest

from maintsched.errors import FileError, InvalidValue, printable
from maintsched.intake.config import (
    Config,
    ExecutorConfig,
    FileName,
    HookConfig,
    MailConfig,
    NoticesConfig,
    ProviderConfig,
    Tls,
    WorkerConfig,
    config_places,
    find_config,
    load_config,
)
from maintsched.intake.passwords import hook_password, hook_secret, smtp_password
from maintsched.intake.shape import file_fields
from maintsched.mail.settings import CONNECTIONS_MAX, MailSettings
from maintsched.mail.settings import Tls as MailTls
from maintsched.runs import RunTerms

ROOT = Path(__file__).parent.parent
BAD = Path(__file__).parent / "bad_configs"
CASES = tomllib.loads((BAD / "expected.toml").read_text(encoding="utf-8"))
MAIL = '[mail]\nhost = "mail.acme.example"\nsender = "maintenance@acme.example"\n'
PROVIDER = '[provider]\nname = "Acme Hosting"\ndomain = "acme.example"\ncontact = "support@acme.example"\n'
LEAST = f"{MAIL}\n{PROVIDER}"
CANARY = "kanarienvogel-7f3a"
TABLES = {
    "mail": MailConfig,
    "provider": ProviderConfig,
    "notices": NoticesConfig,
    "worker": WorkerConfig,
    "runs": RunTerms,
    "executor.NAME": ExecutorConfig,
    "hook": HookConfig,
}


def written(folder, text=LEAST, name="maintsched.toml"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder, text=LEAST):
    return load_config(str(written(folder, text)), environ={})


def refused(call):
    with pytest.raises(FileError) as caught:
        call()
    return caught.value


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_bad_configuration_is_refused_with_its_line_key_and_words(name):
    case = CASES[name]
    error = refused(lambda: load_config(str(BAD / name), environ={}))
    message = str(error)
    assert (error.line, error.key) == (case.get("line"), case.get("key")), message
    assert case["expected"] in error.expected, message
    assert case["found"] in printable(error.found), message
    assert message.isprintable()
    assert message.startswith(str(BAD / name) + (f", line {error.line}: " if error.line else ": "))
    assert "secret" not in message.replace("secret_file", "")
    assert "correct horse" not in message


def test_every_bad_configuration_is_expected_and_they_are_many():
    assert {path.name for path in BAD.iterdir()} - {"expected.toml"} == set(CASES)
    assert len(CASES) >= 50


def test_a_configuration_that_is_a_folder_or_is_not_there_says_so(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    assert refused(lambda: load_config(str(tmp_path / "folder.toml"))).found == "is a directory"
    assert refused(lambda: load_config(str(tmp_path / "none.toml"))).found == "no such file or directory"


# --- what it means ---------------------------------------------------------------------------------------------------


def test_a_configuration_needs_only_the_mail_server_and_the_provider(tmp_path):
    config = loaded(tmp_path)
    assert (config.contract, config.fleet, config.database) == (
        "intrexx-paas",
        (),
        f"sqlite:///{tmp_path}/maintsched.db",
    )
    assert (config.mail.port, config.mail.tls, config.mail.user) == (25, Tls.STARTTLS, None)
    assert (config.mail.envelope_sender, config.provider.alerts) == ("maintenance@acme.example", "support@acme.example")
    assert (config.notices, config.worker) == (NoticesConfig(), WorkerConfig())
    assert config.path == tmp_path / "maintsched.toml"


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    login = 'user = "maintsched"\npassword_file = "secrets/smtp"\nca_file = "/etc/ca.pem"\n'
    top = 'contract = "ours.toml"\nfleet = ["a.toml", "../b.csv"]\ndatabase = "data/m.db"\n'
    more = '[notices]\nfolder = "notices"\n[worker]\nheartbeat_file = "alive"\nbounces = "Maildir"\n'
    written(tmp_path / "etc", f"{top}{MAIL}{login}{PROVIDER}{more}")
    config = load_config("etc/maintsched.toml", environ={})
    etc = tmp_path / "etc"
    assert config.contract == str(etc / "ours.toml")
    assert config.fleet == (etc / "a.toml", etc / "../b.csv")
    assert config.database == f"sqlite:///{etc}/data/m.db"
    assert (config.mail.password_file, config.mail.ca_file) == (etc / "secrets/smtp", Path("/etc/ca.pem"))
    assert config.notices.folder == etc / "notices"
    assert (config.worker.heartbeat_file, config.worker.bounces) == (etc / "alive", etc / "Maildir")
    assert config.path == etc / "maintsched.toml"


def test_a_tilde_is_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = loaded(tmp_path, f'fleet = "~/fleet.toml"\ndatabase = "~/m.db"\ncontract = "~/c.toml"\n{LEAST}')
    home = tmp_path / "home"
    assert config.fleet == (home / "fleet.toml",)
    assert (config.database, config.contract) == (f"sqlite:///{home}/m.db", str(home / "c.toml"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("m.db", "sqlite:///{folder}/m.db"),
        ("/var/lib/maintsched/m.db", "sqlite:////var/lib/maintsched/m.db"),
        ("sqlite:///m.db", "sqlite:///{folder}/m.db"),
        ("sqlite:////var/lib/m.db", "sqlite:////var/lib/m.db"),
        ("./a:b.db", "sqlite:///{folder}/a:b.db"),
        ("postgresql://db.acme.example/maintsched", "postgresql+psycopg://db.acme.example/maintsched"),
        ("postgres://maint@db:5433/maintsched", "postgresql+psycopg://maint@db:5433/maintsched"),
        ("postgresql+psycopg:///maintsched?host=/run/pg", "postgresql+psycopg:///maintsched?host=/run/pg"),
    ],
)
def test_a_database_is_a_path_or_a_url(tmp_path, given, meant):
    config = loaded(tmp_path, f'database = "{given}"\n{LEAST}')
    assert config.database == meant.format(folder=tmp_path)


def test_addresses_of_international_domains_are_encoded(tmp_path):
    text = LEAST.replace("acme.example", "bücher.example").replace("mail.bücher", "mail.acme")
    config = loaded(tmp_path, text)
    assert config.mail.sender == "maintenance@xn--bcher-kva.example"
    assert config.provider.domain == "xn--bcher-kva.example"
    assert config.provider.contact == "support@xn--bcher-kva.example"


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.8.9.1", "::1", "0:0:0:0:0:0:0:1"])
def test_without_encryption_mail_goes_to_this_machine_only(tmp_path, host):
    text = LEAST.replace('"mail.acme.example"', f'"{host}"\ntls = "none"')
    assert loaded(tmp_path, text).mail.tls is Tls.NONE


def test_a_configuration_can_be_written_as_json(tmp_path):
    text = (
        '{"mail": {"host": "mail.acme.example", "sender": "maintenance@acme.example"}, "provider": {"name": '
        '"Acme Hosting", "domain": "acme.example", "contact": "support@acme.example"}}'
    )
    config = load_config(str(written(tmp_path, text, "maintsched.json")))
    assert (config.mail, config.provider) == (loaded(tmp_path).mail, loaded(tmp_path).provider)


def test_a_configuration_is_a_value_that_can_be_made_copied_and_sent(tmp_path):
    config = loaded(tmp_path)
    made = Config(mail=config.mail, provider=config.provider, path=config.path)
    assert made == config == copy.deepcopy(config) == pickle.loads(pickle.dumps(config))
    assert hash(made) == hash(config)
    with pytest.raises(InvalidValue, match="did you mean intrexx-paas"):
        Config(mail=config.mail, provider=config.provider, contract="intrexx-pass")


def test_the_sides_of_a_setting_know_the_same_values_and_bounds():
    assert {each.name: each.value for each in Tls} == {each.name: each.value for each in MailTls}
    assert set(file_fields(MailSettings)) <= {*file_fields(MailConfig), "password"}
    most = MailConfig(
        host="::1",
        sender="a@b.example",
        port=65_535,
        connections=CONNECTIONS_MAX,
        per_domain=CONNECTIONS_MAX,
        timeout_seconds=3600,
    )
    MailSettings(
        host=most.host,
        port=most.port,
        tls=MailTls(most.tls),
        connections=most.connections,
        per_domain=most.per_domain,
        timeout_seconds=most.timeout_seconds,
    )


# --- where it is looked for ------------------------------------------------------------------------------------------


def test_the_first_of_the_places_counts_and_a_named_one_before_all(tmp_path, monkeypatch):
    monkeypatch.chdir(written(tmp_path / "work").parent)
    user = written(tmp_path / "xdg" / "maintsched")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path)}
    assert find_config("named.toml", environ={**environ, "MAINTSCHED_CONFIG": "other.toml"}) == Path("named.toml")
    assert find_config(environ={**environ, "MAINTSCHED_CONFIG": "other.toml"}) == Path("other.toml")
    assert find_config(environ=environ) == Path("maintsched.toml")
    Path("maintsched.toml").unlink()
    assert find_config(environ=environ) == user
    user.unlink()
    assert find_config(environ=environ) is None
    assert config_places(environ)[-1] == Path("/etc/maintsched/maintsched.toml")


def test_a_config_home_that_is_not_absolute_does_not_count():
    assert config_places({"XDG_CONFIG_HOME": "relative", "HOME": "/home/eva"})[1] == Path(
        "/home/eva/.config/maintsched/maintsched.toml"
    )
    assert len(config_places({})) == 2


def test_a_named_configuration_that_is_not_there_is_not_replaced_by_another(tmp_path, monkeypatch):
    monkeypatch.chdir(written(tmp_path).parent)
    error = refused(lambda: load_config(environ={"MAINTSCHED_CONFIG": "elsewhere.toml"}))
    assert (error.path, error.found) == ("elsewhere.toml", "no such file or directory")


def test_without_a_configuration_the_error_names_the_places_and_the_way_to_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = str(refused(lambda: load_config(environ={"HOME": "/home/eva"})))
    for place in (
        "--config",
        "MAINTSCHED_CONFIG",
        "at one of maintsched.toml,",
        "/home/eva/.config/maintsched/maintsched.toml",
        "/etc/maintsched/maintsched.toml",
        "maintsched init",
    ):
        assert place in message


# --- the password ----------------------------------------------------------------------------------------------------


def with_login(folder, line=""):
    return loaded(folder, f'{MAIL}user = "maintsched"\n{line}\n{PROVIDER}')


def with_password_file(folder, content=f"{CANARY}\n", mode=0o600):
    path = folder / "smtp.password"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return with_login(folder, f'password_file = "{path.name}"')


def test_without_a_user_there_is_no_password(tmp_path):
    assert smtp_password(loaded(tmp_path), {"MAINTSCHED_SMTP_PASSWORD": CANARY}) is None


@pytest.mark.parametrize(
    ("content", "password"), [("a b\n", "a b"), ("a b", "a b"), ("pässwörd\r\n", "pässwörd"), (" x ", " x ")]
)
def test_a_password_is_the_one_line_of_its_file(tmp_path, content, password):
    assert smtp_password(with_password_file(tmp_path, content), {}) == password


def test_the_file_wins_over_the_environment_and_that_over_the_credential(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "smtp_password").write_text("of systemd\n")
    (credentials / "smtp_password").chmod(0o440)  # as systemd leaves it where an access list lets the service read it
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert smtp_password(with_login(tmp_path), environ) == "of systemd"
    environ["MAINTSCHED_SMTP_PASSWORD"] = "of the environment"
    assert smtp_password(with_login(tmp_path), environ) == "of the environment"
    assert smtp_password(with_password_file(tmp_path, "of the file"), environ) == "of the file"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660, 0o666, 0o610])
def test_a_password_file_that_others_may_open_is_refused_with_the_command_that_mends_it(tmp_path, mode):
    error = refused(lambda: smtp_password(with_password_file(tmp_path, mode=mode), {}))
    assert f"chmod 600 {tmp_path}/smtp.password" in error.expected
    assert error.found == f"mode {mode:04o}"
    assert CANARY not in str(error)


@pytest.mark.parametrize(
    "content",
    [f"{CANARY}\nsecond\n", f"{CANARY}\x00", f"\x1b[2J{CANARY}", "", "\n", CANARY * 100, CANARY.encode() + b"\xff"],
    ids=["two lines", "null", "escape", "empty", "empty line", "long", "not UTF-8"],
)
def test_what_is_no_password_is_refused_and_not_shown(tmp_path, content):
    error = refused(lambda: smtp_password(with_password_file(tmp_path, content), {}))
    assert CANARY not in "".join(traceback.format_exception(error))
    assert CANARY not in repr(vars(error))
    variable = content.decode("latin-1") if isinstance(content, bytes) else content
    if "\xff" not in variable:
        assert CANARY not in str(
            refused(lambda: smtp_password(with_login(tmp_path), {"MAINTSCHED_SMTP_PASSWORD": variable}))
        )


def test_a_password_file_that_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "."):
        config = with_login(tmp_path, f'password_file = "{name}"')
        assert refused(lambda config=config: smtp_password(config, {})).path == str(FileName(tmp_path / name))
    config = with_login(tmp_path, 'password_file = "none"')
    assert refused(lambda: smtp_password(config, {})).found == "no such file or directory"


def test_a_user_without_a_password_is_told_the_three_places_for_one(tmp_path):
    message = str(refused(lambda: smtp_password(with_login(tmp_path), {"CREDENTIALS_DIRECTORY": str(tmp_path)})))
    for place in ("password_file", "MAINTSCHED_SMTP_PASSWORD", "credential smtp_password", "for maintsched"):
        assert place in message


def with_hook(folder, more):
    hook = f'[[hook]]\nname = "chat"\nkind = "webhook"\nurl = "https://chat.example/x"\n{more}\n'
    (config,) = loaded(folder, f"{LEAST}\n{hook}").hooks
    return config


@pytest.mark.parametrize(("key", "read"), [("password_file", hook_password), ("secret_file", hook_secret)])
def test_the_secrets_of_a_hook_are_kept_like_the_password_of_the_mail_server(tmp_path, key, read):
    assert read(with_hook(tmp_path, "")) is None
    hook = with_hook(tmp_path, f'{key} = "hook.secret"')
    assert refused(lambda: read(hook)).found == "no such file or directory"
    (tmp_path / "hook.secret").write_text(f"{CANARY}\n")
    (tmp_path / "hook.secret").chmod(0o600)
    assert read(hook) == CANARY
    assert CANARY not in repr(hook)
    (tmp_path / "hook.secret").chmod(0o640)
    error = refused(lambda: read(hook))
    assert f"chmod 600 {tmp_path}/hook.secret" in error.expected
    assert CANARY not in str(error)


def test_a_word_of_a_command_may_come_again(tmp_path):
    hook = '[[hook]]\nname = "x"\nkind = "command"\ncommand = ["curl", "-H", "a", "-H", "a"]\n'
    portal = '[executor.portal]\nbackup = ["b", "-v", "-v"]\n'
    config = loaded(tmp_path, f"{LEAST}\n{portal}\n{hook}")
    assert config.hooks[0].command == ("curl", "-H", "a", "-H", "a")
    assert config.executor["portal"].backup == ("b", "-v", "-v")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9"])
def test_a_hook_on_this_machine_needs_no_encryption(tmp_path, host):
    hook = f'[[hook]]\nname = "x"\nkind = "webhook"\nurl = "http://{host}:9093/x?y=1"\n'
    assert loaded(tmp_path, f"{LEAST}\n{hook}").hooks[0].url == f"http://{host}:9093/x?y=1"


# --- the page and the sample -----------------------------------------------------------------------------------------


def keys_with_defaults():
    """Every key of a configuration, dotted, with its default; MISSING where it has to be given."""
    tables = {"": Config, **TABLES}
    for table, kind in tables.items():
        for key, (field, _) in file_fields(kind).items():
            if table or key not in {name.partition(".")[0] for name in TABLES}:
                default = field.default if field.default_factory is MISSING else field.default_factory()
                yield f"{table}.{key}".removeprefix("."), default


def test_the_page_on_the_configuration_names_every_key_with_its_default_and_no_other():
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    rows = {}
    section = ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("`[] ")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            rows[f"{section}.{cells[0].strip('`')}".removeprefix("Top of the file.")] = cells[2]
    assert {key: toml(default) for key, default in keys_with_defaults()} == rows


def toml(default):
    if default is None:
        return "none"
    if isinstance(default, str):
        return f'`"{default}"`'
    if isinstance(default, tuple) and default:
        return f"`[{', '.join(json.dumps(str(each)) for each in default)}]`"
    if isinstance(default, tuple | Mapping):
        return "empty"
    return f"`{str(default).lower()}`" if isinstance(default, int) else "**required**"

"""`maintsched init`: what it makes, what it leaves alone."""

import re
import shlex
import subprocess
import tomllib
from dataclasses import MISSING
from pathlib import Path

import pytest
from click.testing import CliRunner

import maintsched as ms
from maintsched.cli.init import SAMPLES, WRITTEN, init, next_steps
from maintsched.errors import FileError, StoreError
from maintsched.fleet import Fleet
from maintsched.intake.config import Config, load_config
from maintsched.intake.shape import file_fields
from maintsched.store import open_store
from maintsched.store.fleets import read_fleet
from tests.test_config import TABLES, keys_with_defaults

NOW = "2026-11-23T09:00:00+01:00"
SAMPLE = (SAMPLES / "maintsched.toml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MAINTSCHED_CONFIG", raising=False)


def run(*args, error=None):
    result = CliRunner().invoke(init, ["--now", NOW, *map(str, args)])
    if error is None:
        assert result.exit_code == 0, (result.output, result.exception)
    else:
        assert isinstance(result.exception, error)
    return result


def mode(path):
    return oct(path.stat().st_mode & 0o7777)


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_makes_configuration_fleet_templates_folder_and_database_for_the_owner_alone(tmp_path):
    home = tmp_path / "new" / "home"
    said = run(home).stdout
    made = {"maintsched.toml", "fleet.toml", "notices/README.md", "maintsched.db", "maintsched.db.heads"}
    assert made <= files_in(home)
    assert {mode(home), mode(home / "notices")} == {"0o700"}
    assert {mode(home / name) for name in files_in(home)} == {"0o600"}
    for name in made - {"maintsched.db.heads"}:
        assert str(home / name) in said


def test_the_database_is_empty_and_ready(tmp_path):
    run(tmp_path)
    with open_store(f"sqlite:///{tmp_path}/maintsched.db") as store, store.reading() as connection:
        assert read_fleet(connection) == Fleet()


def test_a_second_time_it_changes_nothing_and_says_what_is_there(tmp_path):
    run(tmp_path)
    (tmp_path / "fleet.toml").write_text("# ours\n")
    before = {name: (tmp_path / name).read_bytes() for name in ("maintsched.toml", "notices/README.md", "fleet.toml")}
    heads = (tmp_path / "maintsched.db.heads").read_text()
    said = run(tmp_path).stdout
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert (tmp_path / "maintsched.db.heads").read_text() == heads
    assert [line.split("  ")[0] for line in said.splitlines()[:4]] == ["left as it is"] * 3 + ["ready"]


def test_it_makes_only_what_is_missing(tmp_path):
    run(tmp_path)
    (tmp_path / "notices" / "README.md").unlink()
    assert f"wrote  {tmp_path}/notices/README.md" in run(tmp_path).stdout


def test_it_writes_through_no_link(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "fleet.toml").symlink_to(tmp_path / "elsewhere.toml")
    run(home)
    assert not (tmp_path / "elsewhere.toml").exists()


def test_a_folder_that_is_there_keeps_its_mode(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o750)
    run(home)
    assert mode(home) == "0o750"


def test_it_makes_the_database_that_a_configuration_already_there_names(tmp_path):
    (tmp_path / "maintsched.toml").write_text('database = "data/ours.db"\n' + SAMPLE)
    run(tmp_path)
    assert (tmp_path / "data" / "ours.db").exists()
    assert mode(tmp_path / "data") == "0o700"
    assert not (tmp_path / "maintsched.db").exists()


def test_a_configuration_already_there_that_is_wrong_is_refused(tmp_path):
    (tmp_path / "maintsched.toml").write_text("[mial]\n")
    error = run(tmp_path, error=FileError).exception
    assert "did you mean mail?" in str(error)
    assert not (tmp_path / "maintsched.db").exists()


def test_a_database_that_was_made_anew_beside_kept_heads_is_told_of(tmp_path):
    run(tmp_path)
    for path in tmp_path.glob("maintsched.db*"):
        if path.suffix != ".heads":
            path.unlink()
    error = run(tmp_path, error=StoreError).exception
    assert "maintsched.db.heads" in str(error)
    assert "maintsched evidence verify" in str(error)


def test_a_file_where_the_folder_should_be_is_wrong_usage(tmp_path):
    (tmp_path / "file").write_text("")
    assert CliRunner().invoke(init, [str(tmp_path / "file")]).exit_code == 2


# --- the samples ------------------------------------------------------------------------------------------------------


def test_the_sample_configuration_is_valid_and_says_what_the_defaults_are(tmp_path):
    run(tmp_path)
    config = load_config(str(tmp_path / "maintsched.toml"))
    assert (config.worker, config.runs) == (type(config.worker)(), type(config.runs)())
    assert (dict(config.executor), config.hooks) == ({}, ())
    assert config.fleet == (tmp_path / "fleet.toml",)
    assert config.notices.folder == tmp_path / "notices"


SETTING = re.compile(r"^(# )?([a-z_]+) = ([\[{].*?[\]}]|\S+?|\".*?\")( +# no default)?$", flags=re.MULTILINE)
HEADER = re.compile(r"^(# )?\[{1,2}([a-z.]+)\]{1,2}$", flags=re.MULTILINE)


def in_use(text):
    """The sample with everything in it taken into use."""
    text = HEADER.sub(lambda header: header[0].removeprefix("# "), text)
    return SETTING.sub(lambda setting: f"{setting[2]} = {setting[3]}", text)


def test_the_sample_configuration_has_every_key_with_its_default():
    defaults, table, found = dict(keys_with_defaults()), "", []
    for line in SAMPLE.splitlines():
        header, setting = HEADER.fullmatch(line), SETTING.fullmatch(line)
        if header:
            table = header[2].replace("executor.portal", "executor.NAME")
        if setting:
            comment, key, value, no_default = setting.groups()
            name = f"{table}.{key}".removeprefix(".")
            found.append(name)
            default = defaults[name]
            default = list(map(str, default)) if isinstance(default, tuple) else default
            assert bool(no_default) == bool(comment and (default in (None, MISSING) or default in ([], {}))), name
            if comment and not no_default:
                assert tomllib.loads(f"x = {value}")["x"] == default, name
    assert set(found) == set(defaults)
    assert not [each for each in found if found.count(each) > 1 and not each.startswith("hook.")]
    assert {each[2] for each in HEADER.finditer(SAMPLE)} == {each.replace("NAME", "portal") for each in TABLES}


def test_every_key_of_the_sample_configuration_can_be_taken_into_use(tmp_path):
    (tmp_path / "maintsched.toml").write_text(in_use(SAMPLE))
    config = load_config(str(tmp_path / "maintsched.toml"))
    attributes = [field.name for field, _ in file_fields(Config).values()]
    unset = [name for name in attributes if getattr(config, name) in (None, (), {})]
    assert not unset
    for table, kind in TABLES.items():
        values = config.hooks if table == "hook" else [_table(config, table)]
        for key in file_fields(kind):
            assert any(getattr(value, key) not in (None, (), {}) for value in values), f"{table}.{key}"
    assert [hook.kind for hook in config.hooks] == ["alertmanager", "webhook", "command"]


def _table(config, table):
    return config.executor["portal"] if table == "executor.NAME" else getattr(config, table)


def test_the_sample_fleet_is_valid_and_somebody_is_told_of_each_instance():
    contract = ms.load_contract()
    fleet, _ = ms.load_fleet(contract, SAMPLES / "fleet.toml")
    assert [each.key for each in fleet.instances()] == ["acme-prod", "acme-test"]
    assert all(contract.notice.role in fleet.owners[each.key].contacts[0].roles for each in fleet.instances())
    text = (SAMPLES / "fleet.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text.partition("# [[release]]")[2].replace("\n# ", "\n"))


def test_the_samples_name_nobody_who_could_get_a_mail():
    for path in (SAMPLES / name for name in WRITTEN):
        text = re.sub(r"\w+://\S+", "", path.read_text(encoding="utf-8"))
        domains = re.findall(r"[\w.-]+@([\w.-]+\w)", text)
        assert all(re.fullmatch(r"(.*\.)?example(\.org)?", domain) for domain in domains), path


# --- what is next -----------------------------------------------------------------------------------------------------


def test_what_is_next_can_be_copied_whatever_the_folder_is_called(tmp_path):
    home = tmp_path / "it's 100 % ours"
    lines = [line.strip() for line in next_steps(home)]
    (line,) = [line for line in lines if line.startswith("*/5 ")]
    assert "\\%" in line
    command = line.removeprefix("*/5 * * * * ").replace("\\%", "%")
    assert f"MAINTSCHED_CONFIG={home}/maintsched.toml" in shlex.split(command)
    assert shlex.split(command)[-2:] == ["worker", "--once"]
    assert Path(shlex.split(command)[1]).is_absolute()
    (export,) = [line.partition(". ")[2] for line in lines if " export " in f" {line}"]
    shell = ["sh", "-c", f'{export}; printf %s "$MAINTSCHED_CONFIG"']
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == f"{home}/maintsched.toml"
    for command in ("maintsched doctor", "maintsched fleet sync", "maintsched worker --once"):
        assert any(command in each for each in lines)

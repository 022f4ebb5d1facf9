"""Ten thousand changed configurations: each is refused with an error of our own, or is in order by a second opinion.

MAINTSCHED_MUTATIONS says how many (10,000), MAINTSCHED_SEED from which seed; the seed is printed with every failure.
"""

import json
import random
import re
import time
import tomllib
from pathlib import Path

import pytest

from maintsched.cli.init import SAMPLES
from maintsched.errors import MaintschedError
from maintsched.intake import builtin_contracts
from maintsched.intake.config import load_config
from tests.intake_oracle import (
    each,
    email,
    flag,
    host,
    host_name,
    key,
    link,
    mapping,
    number,
    one,
    raw_tables,
    rows,
    some,
    table,
    text,
)
from tests.test_intake_mutations import COUNT, SECONDS_MAX, SEED, mutate, to_bytes

CHUNKS = 4
SAMPLE = (SAMPLES / "maintsched.toml").read_text(encoding="utf-8")
WHOLE = re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", SAMPLE)
"""Every key of the sample, in use."""
BARE = "\n".join(line.partition("  #")[0] for line in WHOLE.split("\n") if line and not line.startswith("#"))
GOOD = {"sample.toml": WHOLE, "bare.toml": BARE, "same.json": json.dumps(tomllib.loads(WHOLE), indent=1)}


# --- the second opinion


def path(raw, value):
    plain = isinstance(raw, str) and raw.isprintable() and 0 < len(raw) <= 4096 and raw.strip() != ""
    return plain and value.is_absolute() and (raw.startswith("~") or str(value).endswith(str(Path(raw))))


def paths(raw, value):
    raw = [raw] if isinstance(raw, str) else raw
    return len(raw) == len(value) and all(map(path, raw, value)) and len(set(value)) == len(value)


def contract(raw, value):
    return raw == value in builtin_contracts() or (raw.lower().endswith((".toml", ".json")) and path(raw, Path(value)))


def database(raw, value):
    """A file, or a server; never a password."""
    if value.startswith("sqlite:///"):
        file = value.removeprefix("sqlite:///")
        return Path(file).is_absolute() and "?" not in file and ":memory:" not in file and raw.isprintable()
    rest = value.removeprefix("postgresql+psycopg://")
    return value != rest and raw.endswith(rest) and not re.search(r":[^/@]*@|password=", rest.lower())


def domain(raw, value):
    return (host_name(value) and "." in value and value == raw.encode("idna").decode().lower()) or raw == value


def words(raw, value):
    return list(value) == raw and all(map(text, raw, value))


def named_tables(check):
    return lambda raw, value: mapping(check)(raw, value) and all(key(name, name) for name in raw)


def as_it_is(raw, value):
    return dict(value) == raw


RUNS = table(
    "",
    at_once=number(1, 1000),
    per_customer=number(1, 1000),
    expected_minutes=number(1, 10_080),
    reboot_minutes=number(0, 240),
    rollback_minutes=number(0, 1440),
    samples_min=number(1, 1000),
    failures_per_wave=number(0, 10_000),
    failures_in_all=number(0, 10_000),
    wave_soak_minutes=number(0, 1440),
    approval=each(one("os", "security", "minor", "major")),
    step_tries=number(1, 20),
    patience_seconds=number(0, 3600),
    poll_seconds=number(1, 600),
    unreachable_minutes=number(1, 1440),
)
EXECUTOR = table(
    "",
    transport=key,
    parts=named_tables(key),
    settings=named_tables(as_it_is),
    reboot=words,
    backup=words,
    backup_age=words,
)
HOOK = table(
    "name kind",
    name=key,
    kind=one("command", "webhook", "alertmanager", "icinga"),
    moments=some(one("before_window", "after_window", "before_run", "after_run")),
    command=words,
    url=link,
    user=text,
    password_file=path,
    secret_file=path,
    ca_file=path,
    timeout_seconds=number(1, 600),
    margin_minutes=number(0, 1440),
    settings=mapping(text),
)


def hook(raw, value):
    """One hook: what goes with each kind, a server that proves who it is, and labels that mean something."""
    kind, url = raw["kind"], raw.get("url") or ""
    given = {name for name in raw if raw[name]} - {"name", "kind", "moments", "timeout_seconds", "margin_minutes"}
    silencing = kind in ("alertmanager", "icinga")
    if kind == "command":
        right = given == {"command"}
    else:
        may = {"url", "user", "password_file", "ca_file", "settings" if silencing else "secret_file"}
        login = {"password_file"} <= given if "user" in given else kind != "icinga"
        right = {"url"} <= given <= may and login and ":" not in raw.get("user", "")
        near = re.match(r"http://(localhost|127\.\d+\.\d+\.\d+)([:/?]|$)", url, re.IGNORECASE)
        right = right and bool(url.startswith("https://") or near) and not {"#", "@"} & set(url)
    if silencing:
        paired = all(f"before_{each.partition('_')[2]}" in value.moments for each in value.moments)
        labels = raw.get("settings", {})
        known = all(re.fullmatch(r"[A-Za-z_]\w{0,99}", each, re.ASCII) for each in labels)
        known = known and (kind == "alertmanager" or "host" in labels) and len(labels) > 0
        known = known and (kind == "alertmanager" or not set(labels) - {"host", "service"})
        holes = {each for word in labels.values() for each in re.findall(r"\{[^{}]*\}", word)}
        runs_only = not holes or not any("window" in each for each in value.moments)
        right = right and paired and known and runs_only and "?" not in url
        right = right and holes <= {"{instance}", "{host}", "{customer}"}
    return HOOK(raw, value) and right


CONFIG = table(
    "mail provider",
    contract=contract,
    fleet=paths,
    database=database,
    mail=table(
        "host sender",
        host=host,
        port=number(1, 65535),
        tls=one("required", "starttls", "none"),
        user=text,
        password_file=path,
        sender=email,
        reply_to=email,
        bounce=email,
        connections=number(1, 50),
        timeout_seconds=number(1, 3600),
        per_domain=number(1, 50),
        ca_file=path,
        local_hostname=host,
    ),
    provider=table("name domain contact", name=text, domain=domain, contact=email, operator=email),
    notices=table("", folder=path),
    worker=table(
        "",
        lease_seconds=number(30, 86_400),
        batch=number(1, 10_000),
        retry_min_seconds=number(1, 86_400),
        retry_max_seconds=number(1, 604_800),
        heartbeat_file=path,
        heartbeat_mail=flag,
        horizon_months=number(1, 24),
        bounces=path,
    ),
    runs=RUNS,
    executor=named_tables(EXECUTOR),
    hook=("hooks", rows(hook)),
)


def fits(raw, config):
    """Say whether the file is in order, and each of its values is what the configuration has."""
    local = config.mail.host in ("localhost", "::1") or config.mail.host.startswith("127.")
    safe = config.mail.tls != "none" or local
    ordered = config.worker.retry_min_seconds <= config.worker.retry_max_seconds
    waits = config.worker.lease_seconds > config.mail.timeout_seconds
    login = config.mail.user is not None or config.mail.password_file is None
    once = len({each.name for each in config.hooks}) == len(config.hooks)
    return CONFIG(raw, config) and safe and ordered and waits and login and once


@pytest.mark.fuzz
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", GOOD)
def test_a_changed_configuration_is_refused_or_in_order(name, chunk, tmp_path):
    seed = f"{SEED}/config/{name}/{chunk}"
    chance = random.Random(seed)
    file = tmp_path / f"maintsched.{name.partition('.')[2]}"
    accepted, messages = 0, []
    cases = -(-COUNT // (len(GOOD) * CHUNKS))
    for case in range(cases):
        file.write_bytes(to_bytes(chance, mutate(chance, GOOD[name])))
        began = time.process_time()
        try:
            config = load_config(str(file), environ={})
            assert fits(raw_tables(file.read_bytes().decode("utf-8-sig"), file.suffix[1:]), config)
            accepted += 1
        except MaintschedError as error:
            messages.append(str(error))
        except Exception as error:
            error.add_note(f"seed {seed}, case {case}:\n{file.read_bytes().decode('utf-8', 'replace')}")
            raise
        assert time.process_time() - began < SECONDS_MAX, f"seed {seed}, case {case}: {file.read_bytes()!r}"
    assert all(message.isprintable() for message in messages)
    assert cases // 50 <= accepted < cases


@pytest.mark.parametrize("name", GOOD)
def test_what_is_changed_is_in_order_before(name, tmp_path):
    file = tmp_path / f"maintsched.{name.partition('.')[2]}"
    file.write_text(GOOD[name], encoding="utf-8")
    assert fits(raw_tables(GOOD[name], file.suffix[1:]), load_config(str(file), environ={}))

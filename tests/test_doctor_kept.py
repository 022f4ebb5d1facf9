"""`maintsched doctor` on what is kept and what goes out: database, fleet, evidence, modes, mail server, templates."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, text

from maintsched.fleet import Fleet
from maintsched.store import open_store
from maintsched.store.fleets import address_hash, kept_contacts
from maintsched.store.ledger import ACTION
from maintsched.store.rows import SuppressionRow
from maintsched.store.tables import table_of
from tests.installations import FLEET, NOW, PASSWORD, Home, alone, home, installed, mail_server
from tests.smtp_servers import Trouble, server_context, smtp_server
from tests.test_doctor import FAIL, OK, WARN

__all__ = ["alone", "home", "installed"]


def with_contacts(*contacts):
    return Fleet(customers=tuple(replace(each, contacts=contacts) for each in FLEET.customers))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_database_of_another_schema_fails(home):
    home.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    found = home.found("database")
    assert (found.verdict, "9999" in found.found) == (FAIL, True)


def test_a_database_that_is_gone_fails_and_says_what_makes_one(home):
    (home.folder / "maintsched.db").unlink()
    found = home.found("database")
    assert (found.verdict, "maintsched init" in found.found) == (FAIL, True)


def test_a_fleet_that_was_not_synced_is_told_of(home):
    home.keep(Fleet())
    found = home.found("fleet")
    assert (found.verdict, found.way_out) == (WARN, "maintsched fleet sync FILE")


def test_an_instance_without_anybody_to_tell_fails_by_name(home):
    eva, service = FLEET.customers[0].contacts
    assert home.found("fleet").verdict is OK
    home.keep(with_contacts(service))
    found = home.found("fleet")
    assert found.verdict is FAIL
    assert "acme-prod, acme-test" in found.found
    assert "system_responsible" in found.way_out
    home.keep(with_contacts(eva))
    assert home.found("fleet").verdict is OK


def test_an_address_that_a_server_refused_reaches_nobody_until_it_is_mended(home):
    with open_store(home.url) as store, store.writing() as connection:
        salt = kept_contacts(connection)["acme", "eva"].salt
        row = {"customer": "acme", "contact": "eva", "since": NOW, "reason": "550 5.1.1 unknown"}
        hashed = address_hash(salt, "eva@acme.example")
        connection.execute(insert(table_of(SuppressionRow)).values(address_hash=hashed, **row))
    told = home.told("fleet")
    assert [each.verdict for each in told] == [FAIL, WARN]
    assert "acme/eva any more: 550 5.1.1 unknown" in told[1].found
    eva = replace(FLEET.customers[0].contacts[0], email="eva.new@acme.example")
    home.keep(with_contacts(eva))
    assert home.found("fleet").verdict is OK


def test_a_fleet_that_the_contract_does_not_know_fails(home):
    home.keep(Fleet(customers=(replace(FLEET.customers[0], package="platinum"),)))
    found = home.found("fleet")
    assert (found.verdict, "platinum" in found.found) == (FAIL, True)


def test_heads_that_the_database_does_not_have_fail(home):
    path = home.folder / "maintsched.db.heads"
    epoch = path.read_text().split()[1]
    path.write_text(f"{path.read_text()}{epoch} acme-prod 7 {'0' * 64}\n")
    found = home.found("heads")
    assert found.verdict is FAIL
    assert found.way_out.startswith("maintsched evidence verify; leave with `maintsched worker --resume again`")
    assert "chain acme-prod: entry 7" in found.found


def test_heads_that_are_gone_or_of_another_database_fail(home):
    path = home.folder / "maintsched.db.heads"
    path.write_text(f"epoch {'a' * 32}\n")
    assert "is of epoch" in home.found("heads").found
    path.unlink()
    found = home.found("heads")
    assert (found.verdict, "maintsched.db.heads" in found.found) == (FAIL, True)


def test_things_that_are_due_and_wait_tell_that_no_worker_runs(home):
    row = {"kind": "notice", "state": "ready", "attempt": 0, "changed_at": NOW, "deadline": None}
    home.execute(insert(ACTION).values(key="notice/a", not_before=NOW - timedelta(minutes=29), **row))
    assert home.found("worker").verdict is OK
    home.execute(insert(ACTION).values(key="notice/b", not_before=NOW - timedelta(minutes=31), **row))
    found = home.found("worker")
    assert (found.verdict, "2026-11-23 07:29 UTC" in found.found) == (WARN, True)
    assert found.found.startswith("1 ")


@pytest.mark.parametrize(
    ("name", "mode", "verdict"),
    [
        ("maintsched.db", 0o640, FAIL),
        ("maintsched.db.heads", 0o644, FAIL),
        ("maintsched.toml", 0o620, FAIL),
        ("maintsched.toml", 0o644, OK),
        ("fleet.toml", 0o644, WARN),
        ("notices", 0o770, FAIL),
        ("notices", 0o755, OK),
        ("notices/README.md", 0o602, FAIL),
        (".", 0o750, WARN),
    ],
)
def test_what_others_may_read_or_change_is_told_with_the_command_that_mends_it(home, name, mode, verdict):
    path = home.folder / name
    path.chmod(mode)
    found = home.found("file modes")
    assert found.verdict is verdict, found
    if verdict is not OK:
        assert found.way_out.startswith("chmod ")
        assert found.way_out.endswith(str(path))
    path.chmod(0o700)


# --- the mail server --------------------------------------------------------------------------------------------------


def test_a_server_that_takes_mail_passes_with_what_it_can(home):
    with mail_server(tls_context=server_context(), require_starttls=True) as (server, sink):
        home.login(server)
        found = home.found("mail server")
    assert (found.verdict, len(sink.logins)) == (OK, 1)
    for words in (f"127.0.0.1:{server.port}", "TLSv1.", "certificate until", "logged in"):
        assert words in found.found
    assert not sink.mails


def test_a_server_on_this_machine_needs_no_encryption(home):
    with mail_server() as (server, _):
        home.mail_lines(f"port = {server.port}")
        found = home.found("mail server")
    assert (found.verdict, "plain text to this machine, no login" in found.found) == (OK, True)


def test_a_wrong_password_fails_and_is_not_shown(home):
    with mail_server(tls_context=server_context(), require_starttls=True) as (server, sink):
        home.login(server).write_text(f"wrong-{PASSWORD}")
        told = home.findings()
    (found,) = [each for each in told if each.check == "mail server"]
    assert (found.verdict, len(sink.logins)) == (FAIL, 1)
    assert "535" in found.found
    assert "mail.user" in found.way_out
    assert PASSWORD not in repr(told)


@pytest.mark.parametrize(
    "context", [{"signed": False}, {"names": ("mail.other.example",)}], ids=["unknown authority", "another name"]
)
def test_a_certificate_that_proves_nothing_fails_and_no_password_is_sent(home, context):
    names = context.pop("names", ())
    with mail_server(tls_context=server_context(*names, **context), require_starttls=True) as (server, sink):
        home.login(server)
        found = home.found("mail server")
    assert (found.verdict, sink.logins) == (FAIL, [])
    assert "certificate" in found.found
    assert "mail.ca_file" in found.way_out


def test_a_certificate_that_ends_soon_is_told_of(home):
    ends_at = NOW + timedelta(days=13)
    with mail_server(tls_context=server_context(not_after=ends_at), require_starttls=True) as (server, _):
        home.login(server)
        found = home.found("mail server")
        assert (found.verdict, "2026-12-06" in found.found) == (WARN, True)
        assert home.found("mail server", now=NOW - timedelta(days=2)).verdict is OK


def test_a_server_without_the_encryption_that_was_asked_for_fails(home):
    with mail_server() as (server, sink):
        home.login(server)
        found = home.found("mail server")
    assert (found.verdict, "mail.tls" in found.way_out, sink.logins) == (FAIL, True, [])


def test_a_server_that_is_down_fails(home):
    with mail_server() as (server, _):
        home.mail_lines(f"port = {server.port}")
    found = home.found("mail server")
    assert (found.verdict, "mail.port" in found.way_out) == (FAIL, True)


def test_a_server_that_hangs_up_fails(home):
    with smtp_server({"connect": Trouble.DROP}) as server:
        home.mail_lines(f"port = {server.port}")
        assert home.found("mail server").verdict is FAIL


def test_a_password_that_others_may_read_fails_before_a_server_is_asked(home):
    with mail_server(tls_context=server_context(), require_starttls=True) as (server, sink):
        home.login(server).chmod(0o644)
        told = {each.check: each for each in home.findings() if each.verdict is FAIL}
    assert set(told) == {"mail server", "file modes"}
    assert "chmod 600" in told["mail server"].found
    assert not sink.logins


# --- templates --------------------------------------------------------------------------------------------------------


def own_template(home: Home, text: str, name: str = "en/reminder.md") -> None:
    path = home.folder / "notices" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_templates_that_come_along_and_the_readme_pass(home):
    assert home.found("templates").verdict is OK


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("Subject: x\n\n{{ window.nothing }}\n", 3, "nothing"),
        ("Subject: x\n\n{% if %}\n", 3, ""),
        ("Subject: x\n\n{{ 'a' * 100000000 }}\n", 3, ""),
        ("no subject\n", None, ""),
    ],
    ids=["unknown name", "no condition", "endless", "no subject"],
)
def test_a_template_of_ones_own_that_is_wrong_fails_with_file_and_line(home, body, line, words):
    own_template(home, body)
    told = home.told("templates")
    assert [each.verdict for each in told] == [FAIL], told
    assert "en/reminder.md" in told[0].found
    assert words in told[0].found
    if line:
        assert f"line {line}" in told[0].found


def test_a_template_that_no_notice_asks_for_is_told_of(home):
    own_template(home, "Subject: x\n\nx\n", "en/reminders.md")
    found = home.found("templates")
    assert (found.verdict, "en/reminders.md" in found.found) == (FAIL, True)


def test_a_mail_reads_as_it_was_written_on_this_machine(home):
    assert home.found("headers").verdict is OK


def test_the_template_that_the_readme_shows_works(home):
    readme = (home.folder / "notices" / "README.md").read_text(encoding="utf-8")
    own_template(home, readme.split("```\n")[1])
    assert home.found("templates").verdict is OK

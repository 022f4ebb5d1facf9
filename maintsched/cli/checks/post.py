"""The way out: mail server, templates, headers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from maintsched.cli.checks import Check, Examination, Told, Verdict
from maintsched.errors import InvalidValue, MaintschedError
from maintsched.fleet import Language
from maintsched.notices import NoticeKind

if TYPE_CHECKING:
    from maintsched.mail.probe import ProbeReport
    from maintsched.mail.templates import Templates

PATIENCE_SECONDS = 15.0
"""How long `doctor` waits for each answer of the server, however patient the worker is."""
CERTIFICATE_LEFT = timedelta(days=14)
WAYS_OUT = {
    "connect": "check mail.host and mail.port, and whether the server runs and may be reached from here",
    "tls": "check mail.tls (required: port 465; starttls: 587 or 25), and mail.host against the names in the "
    "certificate; if an authority of your own signed it, name that in mail.ca_file",
    "auth": "check mail.user and its password (mail.password_file)",
}


def look_at_server(examination: Examination) -> Told:
    """Greet the mail server, encrypt and log in as before a mail, and send none."""
    import asyncio

    from maintsched.mail.probe import probe
    from maintsched.worker.post import mail_settings

    settings = mail_settings(examination.config)
    patient = replace(settings, timeout_seconds=min(settings.timeout_seconds, PATIENCE_SECONDS))
    report = asyncio.run(probe(patient))
    if report.hint is not None:
        reply = " ".join(str(each) for each in (report.code, report.reply) if each)
        yield Verdict.FAIL, f"{report.server}, {report.step}: {reply}", WAYS_OUT[report.hint]
        return
    yield Verdict.OK, _in_order(report), ""
    ends_at = report.certificate_ends_at
    if ends_at is not None and ends_at - examination.now < CERTIFICATE_LEFT:
        yield Verdict.WARN, f"the certificate of {report.server} ends on {ends_at:%Y-%m-%d}", "let it be renewed"


def _in_order(report: "ProbeReport") -> str:
    ends_at = report.certificate_ends_at
    parts = (
        report.server,
        report.encryption or "plain text to this machine",
        f"certificate until {ends_at:%Y-%m-%d}" if ends_at else "",
        "logged in" if report.logged_in else "no login",
        "tells of failures (DSN)" if report.reports else "tells of failures in its own way (no DSN)",
    )
    return ", ".join(part for part in parts if part)


def look_at_templates(examination: Examination) -> Told:
    """Write a mail of every kind in every language, from the operator's templates where there are any."""
    from maintsched.mail.templates import Templates

    templates = Templates(folder=examination.config.notices.folder)
    faults = list(dict.fromkeys(_faults(examination, templates)))
    for fault in faults:
        yield Verdict.FAIL, fault, "mend the template, or take it away: then the one that is built in counts"
    if not faults:
        yield Verdict.OK, f"{len(NoticeKind)} kinds in {', '.join(Language)}", ""


def _faults(examination: Examination, templates: "Templates") -> Iterator[str]:
    """Return what is wrong with the templates themselves, then with what is written from them."""
    from maintsched.cli.checks.specimens import specimens
    from maintsched.mail.compose import compose

    yield from (str(error) for error in templates.check() if Path(error.path).name != "README.md")
    for language in Language:
        for letter in specimens(examination.contract, examination.config, language, now=examination.now):
            try:
                compose(letter, templates)
            except MaintschedError as error:
                yield str(error)


HOSTILE = ("=?UTF-8?Q?=0A?=Bcc: eve@evil.example", "Eve\r\nBcc: eve@evil.example", "Eve\nBcc: eve@evil.example")
"""Names that have made mail programs write a header of their own."""
AWKWARD = "Müller, Eva <eve@evil.example>"
"""A name that must stay one name of one address."""


def look_at_headers(examination: Examination) -> Told:
    """Write a mail and read it back as a mail program does; offer names that try to change its headers."""
    from maintsched.cli.checks.specimens import specimens
    from maintsched.mail.compose import check_message, compose
    from maintsched.mail.templates import Templates

    letter = next(specimens(examination.contract, examination.config, Language.DE, now=examination.now))
    composed = compose(replace(letter, recipient_name=AWKWARD), Templates())
    check_message(composed.data, composed)
    for name in HOSTILE:
        try:
            compose(replace(letter, recipient_name=name), Templates())
        except InvalidValue:
            continue
        yield Verdict.FAIL, f"the name {name!r} was not refused", "send nothing; tell the authors of maintsched"
    yield Verdict.OK, "a mail reads as it was written; names that try to change its headers are refused", ""


CHECKS = (
    Check(name="mail server", look=look_at_server, way_out="mend the [mail] table of the configuration"),
    Check(name="templates", look=look_at_templates, way_out="mend the folder of templates, notices.folder"),
    Check(name="headers", look=look_at_headers, way_out="send nothing; tell the authors of maintsched"),
)

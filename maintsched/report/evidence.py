"""The evidence of one instance and month: a page that a lawyer can read, and the same facts as JSON.

The page is like that of a plan: no scripts, nothing from elsewhere, every text escaped; characters that cannot be seen
are made visible, so that nothing can pose as something else.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from maintsched.availability import Availability
from maintsched.deadlines import Classification
from maintsched.errors import printable
from maintsched.facts import WindowKind
from maintsched.journal import GENESIS, Entry, EntryKind, instant_text
from maintsched.localtime import utc
from maintsched.report.casefile import Case, Mail, OutageCase, Punctuality, State, WindowCase, canonical_text
from maintsched.report.datewords import DateWords, zone_name
from maintsched.report.evidencewords import evidence_words
from maintsched.report.words import Words

TEMPLATES = Path(__file__).parent / "templates"
STYLE_SHEETS = ("page.css", "evidence.css")
FORMAT = "maintsched-evidence/1"
"""What an export says it is, and how its fields are to be read."""
SECONDS = ("month_seconds", "deducted_seconds", "base_seconds", "counted_seconds")
EXACT = ("allowed_seconds", "budget_left_seconds")


def evidence_page(case: Case, *, language: str = "en") -> str:
    """Return the page of a case in `language` ("en" or "de")."""
    said = _said(case, language)
    environment = _environment()
    return environment.get_template("evidence.html").render(
        case=case,
        t=said.words,
        dates=said.dates,
        said=said,
        policy=_policy(environment),
        genesis=GENESIS,
        seen=printable,
        canonical_text=canonical_text,
    )


def _said(case: Case, language: str) -> "Said":
    words = evidence_words(language)
    return Said(words=words, dates=DateWords(words=words, zone=case.contract.zone, now=case.now), case=case)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _policy(environment: Environment) -> str:
    """Return the policy of the page: its own style sheets, named by their digest, and nothing else."""
    style = "".join(environment.get_template(name).render() for name in STYLE_SHEETS)
    digest = b64encode(sha256(style.encode()).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


# --- in words ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The sentences and figures of one page."""

    words: Words
    dates: DateWords
    case: Case

    def at(self, at: datetime) -> str:
        """Write an instant to the second: date, local time and zone."""
        local = self.dates.local(at)
        return f"{self.dates.day(local.date())}, {local:%H:%M:%S} {zone_name(local)}"

    def utc(self, at: datetime) -> str:
        """Write an instant in UTC, as the journal does."""
        return instant_text(at)

    def span(self, start: datetime, end: datetime) -> str:
        """Write a span with its date."""
        return f"{self.dates.day(self.dates.local_date(start))}, {self.dates.hours(start, end)}"

    def stated(self, data: Mapping[str, Any] | None) -> str:
        """Write the span that an entry states, or nothing where it states none that can be read."""
        try:
            start, end = (utc(datetime.fromisoformat((data or {})[name])) for name in ("start", "end"))
        except (KeyError, TypeError, ValueError):
            return ""
        return self.span(start, end)

    def length(self, length: timedelta) -> str:
        """Write an elapsed time in hours, minutes and seconds: hours are what the contract counts."""
        seconds = abs(length) // timedelta(seconds=1)
        parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
        return " ".join(f"{n}\N{NO-BREAK SPACE}{unit}" for n, unit in parts if n) or "0\N{NO-BREAK SPACE}s"

    def seconds(self, n: int) -> str:
        """Write a number of seconds exactly, and in hours where it is a longer time."""
        exact = self.words.count("seconds", n)
        return f"{exact} ({self.length(timedelta(seconds=n))})" if abs(n) >= 60 else exact

    def figure(self, name: str) -> str:
        """Write one exact figure of the month's availability."""
        found = self.case.availability
        value = getattr(found, name)
        if value.denominator == 1:
            sign = "–" if value < 0 else ""
            return sign + self.seconds(abs(int(value)))
        return f"{value} s ≈ {float(value):.3f} s"

    @property
    def title(self) -> str:
        """The instance and its month."""
        month = self.dates.month(self.dates.local_date(self.case.span.start))
        return self.words("case_title", instance=self.case.instance, month=month)

    @property
    def target(self) -> str:
        """The promised availability, in percent."""
        return self._decimal((100 * self.case.contract.availability.target).normalize())

    @property
    def percent(self) -> str:
        """The availability of the month, in percent; nothing where there is none."""
        found = self.case.availability
        if found is None or found.percent is None:
            return ""
        return f"{self._decimal(found.percent)}\N{NO-BREAK SPACE}%"

    def _decimal(self, number: Decimal) -> str:
        return f"{number:f}".replace(".", "," if self.words.language == "de" else ".")

    @property
    def promises(self) -> list[tuple[str, str, str]]:
        """Clause, sentence and reading of each promise."""
        contract, words = self.case.contract, self.words
        clauses, monthly, notice = contract.clauses, contract.monthly, contract.notice
        needed = self.length(contract.critical.lead)
        rule = words(
            "promise_monthly",
            time=f"{monthly.time:%H:%M}",
            duration=self.length(monthly.duration),
            days=monthly.reminder.days,
        )
        proof = f"notice.told = {notice.told}, notice.proof = {notice.proof}"
        measured = self.case.availability.reading if self.case.availability else ""
        return [
            (clauses.monthly, rule, f"monthly.rule = {monthly.rule}, reminder_reading = {monthly.reminder_reading}"),
            (clauses.critical, words("promise_critical", lead=needed), ""),
            (clauses.emergency, words("promise_emergency"), ""),
            (clauses.told, words("promise_told", role=notice.role), proof),
            (clauses.availability, words("promise_availability", target=self.target), measured),
        ]

    def why(self, window: WindowCase) -> str:
        """Say why a window is planned or unplanned."""
        if window.state in (State.TENTATIVE, State.CANCELLED):
            return self.words(f"why_{window.state}")
        lead, needed = window.lead, self.length(self.case.contract.critical.lead)
        if lead is None:
            return self.words("why_open" if window.punctuality is Punctuality.OPEN else "why_never")
        if window.classification is Classification.PLANNED:
            return self.words("why_planned", lead=self.length(lead), needed=needed)
        return self.words("why_late" if lead >= timedelta(0) else "why_after", lead=self.length(lead), needed=needed)

    def deadline(self, window: WindowCase) -> str:
        """Say until when a window had to be told."""
        bound = self.words("bound_exclusive" if window.due.exclusive else "bound_inclusive")
        soft = f" ({self.words('practicable')})" if window.kind is WindowKind.EMERGENCY else ""
        return f"{bound} {self.at(window.due.at)}{soft}"

    def effect(self, window: WindowCase) -> str:
        """Say what a window does to the month's availability."""
        if window.effect is None:
            return ""
        found = (("deducted", window.effect.deducted_seconds), ("counted", window.effect.counted_seconds))
        said = [self.words(f"effect_{name}", n=self.words.count("seconds", n)) for name, n in found if n]
        return ", ".join(said) or self.words("effect_none")

    def breach(self, entry: Entry) -> str:
        """Say which promise an entry states as broken."""
        due, told = (self._instant(entry.data.get(name)) for name in ("deadline", "told_at"))
        said = self.words("breach_told", at=told) if told else self.words("breach_untold")
        return self.words("breach_why", seq=entry.seq, at=self.at(entry.at), deadline=due or "?", told=said)

    def _instant(self, text: object) -> str:
        try:
            return self.at(utc(datetime.fromisoformat(str(text))))
        except ValueError:
            return ""

    def mail_kind(self, mail: Mail) -> str:
        """Name the kind of a notice."""
        key = f"mail_{mail.kind}"
        return self.words(key if key in self.words.table else "mail_unnamed")

    def outage(self, found: OutageCase) -> list[str]:
        """Say what kind of outage it was, and whether it counts."""
        outage, words = found.outage, self.words
        said = [words("critical" if outage.critical else "uncritical")]
        said += [words(name) for name in ("customer_caused", "data_restore") if getattr(outage, name)]
        said += [words(f"cause_{outage.cause}")] if outage.cause else []
        if found.counted_seconds is None:
            return [*said, words("outage_unmeasured")]
        counts = words("outage_counts", n=words.count("seconds", found.counted_seconds))
        return [*said, counts if found.counted_seconds else words("outage_counts_not")]

    def number(self, classification: str) -> int:
        """Return how many windows are `planned` or `unplanned`."""
        return sum(window.classification == classification for window in self.case.windows)

    @property
    def breaches(self) -> int:
        """How many promises are on record as broken."""
        return sum(len(window.breaches) for window in self.case.windows)


# --- as JSON ----------------------------------------------------------------------------------------------------------


def evidence_json(case: Case) -> str:
    """Return a case as JSON: docs/reference/evidence-json.md names every field."""
    fault = case.check.fault
    whole = {
        "format": FORMAT,
        "generated_at": _at(case.now),
        "provider": {"name": case.provider, "domain": case.domain},
        "contract": {"name": case.contract.name, "title": case.contract.title, "zone": case.contract.zone.key},
        "instance": case.instance,
        "environment": case.environment,
        "customer": {"key": case.customer, "name": case.customer_name},
        "month": case.month,
        "from": _at(case.span.start),
        "to": _at(case.span.end),
        "over": case.over,
        "sound": case.sound,
        "promises": [
            {"clause": clause, "text": text, "reading": reading or None}
            for clause, text, reading in _said(case, "en").promises
        ],
        "windows": [_window(each) for each in case.windows],
        "outages": [_outage(each) for each in case.outages],
        "availability": _availability(case.availability),
        "journal": {
            "chain": case.check.chain,
            "begins_at": _at(case.begins_at) if case.begins_at else None,
            "checked_entries": case.check.entries,
            "fault": fault and {"chain": fault.chain, "seq": fault.seq, "what": fault.what},
            "beside_heads": case.check.beside_heads,
            "entries": [_entry(each) for each in case.entries],
            "shared": [_entry(each) for each in case.shared],
        },
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def _at(at: datetime) -> str:
    return instant_text(at.astimezone(UTC))


def _place(entry: Entry) -> str:
    """Return where an entry stands: chain and number."""
    return f"{entry.chain}/{entry.seq}"


def _window(window: WindowCase) -> dict[str, Any]:
    effect = window.effect
    return {
        "id": window.id,
        "kind": str(window.kind),
        "clause": window.clause,
        "state": str(window.state),
        "start": _at(window.start),
        "end": _at(window.end),
        "reason": window.reason,
        "impact": window.impact,
        "announced_at": _at(window.announced_at) if window.announced_at else None,
        "lead_seconds": int(window.lead.total_seconds()) if window.lead is not None else None,
        "classification": str(window.classification) if window.classification else None,
        "deadline": {
            "at": _at(window.due.at),
            "exclusive": window.due.exclusive,
            "clause": window.due.clause,
            "reading": window.due.reading,
            "punctuality": str(window.punctuality),
        },
        "deducted_seconds": effect.deducted_seconds if effect else None,
        "counted_seconds": effect.counted_seconds if effect else None,
        "history": [_place(each) for each in window.history],
        "breaches": [_place(each) for each in window.breaches],
        "contradictions": list(window.contradictions),
        "mails": [_mail(each) for each in window.mails],
    }


def _mail(mail: Mail) -> dict[str, Any]:
    decisive = mail.decisive
    accepted = decisive.kind is EntryKind.NOTICE_ACCEPTED
    texts = {name: mail.text(name) or None for name in ("message_id", "server", "reply", "sha256", "address")}
    return {
        "notice": mail.notice,
        "kind": mail.kind,
        "contact": mail.contact,
        "roles": list(mail.roles),
        "required": mail.required,
        "counts": mail.counts,
        "outcome": str(mail.outcome),
        "accepted_at": _at(decisive.at) if accepted else None,
        "late": decisive.data.get("late") is True,
        **texts,
        "entries": [_place(step) for step in mail.steps],
    }


def _outage(found: OutageCase) -> dict[str, Any]:
    outage = found.outage
    return {
        "key": found.key,
        "start": _at(outage.start),
        "end": _at(outage.end) if outage.end else None,
        "critical": outage.critical,
        "customer_caused": outage.customer_caused,
        "data_restore": outage.data_restore,
        "cause": str(outage.cause) if outage.cause else None,
        "note": found.note,
        "counted_seconds": found.counted_seconds,
        "entries": [_place(each) for each in found.entries],
    }


def _availability(found: Availability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        **{name: getattr(found, name) for name in SECONDS},
        **{name: str(getattr(found, name)) for name in EXACT},
        "percent": f"{found.percent:f}" if found.percent is not None else None,
        "met": found.met,
        "clause": found.clause,
        "reading": found.reading,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "chain": entry.chain,
        "seq": entry.seq,
        "at": instant_text(entry.at),
        "kind": str(entry.kind),
        "subject": entry.subject,
        "data": entry.data,
        "previous": entry.previous,
        "digest": entry.digest,
    }

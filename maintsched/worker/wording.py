"""The words of a mail: what was stored as facts, in the language and zone of the person who reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from maintsched.contract import Contract
from maintsched.localtime import clock_change, elapsed, start_of_day
from maintsched.report.datewords import DateWords, zone_name
from maintsched.report.words import Words

GERMAN_ZONES = {"CET": "MEZ", "CEST": "MESZ"}
MAIL_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "clock": "",
        "days": "day days",
        "hours": "hour hours",
        "minutes": "minute minutes",
        "forward": "Clocks go forward {minutes} minutes on {day}, between this mail and the end of the window.",
        "back": "Clocks go back {minutes} minutes on {day}, between this mail and the end of the window.",
        "updates": "operating system updates",
        "os": "operating system",
        "security": "security",
        "minor": "minor",
        "major": "major",
        "developed_component": "a fault in a component that you developed",
        "customer": "caused by the customer",
        "misuse": "misuse",
        "force_majeure": "force majeure",
        "third_party": "third parties",
    },
    "de": {
        "clock": " Uhr",
        "days": "Tag Tage",
        "hours": "Stunde Stunden",
        "minutes": "Minute Minuten",
        "forward": "Am {day} werden die Uhren um {minutes} Minuten vorgestellt, zwischen dieser E-Mail und dem Ende.",
        "back": "Am {day} werden die Uhren um {minutes} Minuten zurückgestellt, zwischen dieser E-Mail und dem Ende.",
        "updates": "Updates des Betriebssystems",
        "os": "Betriebssystem",
        "security": "Sicherheit",
        "minor": "klein",
        "major": "groß",
        "developed_component": "ein Fehler in einer von Ihnen entwickelten Komponente",
        "customer": "vom Kunden verursacht",
        "misuse": "unsachgemäße Nutzung",
        "force_majeure": "höhere Gewalt",
        "third_party": "Dritte",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant as a mail writes it."""

    text: str
    utc: str
    short: str
    day: str
    zone: str
    iso: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A start and an end as a mail writes them; `number` is that of an alternative."""

    start: Moment
    end: Moment
    number: int | None = None


# Mails of one window share what follows, which is worked out once. Instants are texts here, which name their offset:
# two instants of one zone may count as equal in the hour that is twice.


@lru_cache(maxsize=4096)
def moment(text: str, language: str, zone: ZoneInfo) -> Moment:
    """Return an instant in words."""
    dates, at = _dates(language, zone), datetime.fromisoformat(text)
    local, universal = at.astimezone(zone), at.astimezone(UTC)
    clock = MAIL_WORDS[language]["clock"]
    name = GERMAN_ZONES.get(zone_name(local), zone_name(local)) if language == "de" else zone_name(local)
    day = dates.long_day(local.date())
    return Moment(
        text=f"{day}, {local:%H:%M}{clock} {name}",
        utc=f"{dates.long_day(universal.date())}, {universal:%H:%M}{clock} UTC",
        short=f"{dates.day(local.date())}, {local:%H:%M}{clock} {name}",
        day=day,
        zone=zone.key,
        iso=local.isoformat(),
    )


@lru_cache(maxsize=1024)
def duration(start: str, end: str, language: str) -> str:
    """Return the time between two instants in words."""
    length = abs(elapsed(datetime.fromisoformat(start), datetime.fromisoformat(end)))
    minutes = length // timedelta(minutes=1)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    counted = (("days", days), ("hours", hours), ("minutes", 0 if days else minutes))
    words = MAIL_WORDS[language]
    said = [f"{count} {words[unit].split()[count != 1]}" for unit, count in counted if count]
    return " ".join(said) or f"0 {words['minutes'].split()[1]}"


@lru_cache(maxsize=1024)
def clock_change_between(start: str, end: str, language: str, zone: ZoneInfo) -> str | None:
    """Return in words how the clocks change between two instants, or None."""
    change = clock_change(datetime.fromisoformat(start), datetime.fromisoformat(end), zone)
    if change is None:
        return None
    minutes = int((change.after - change.before).total_seconds()) // 60
    day = _dates(language, zone).long_day(change.at.astimezone(zone).date())
    said = MAIL_WORDS[language]["forward" if minutes > 0 else "back"]
    return said.format(minutes=abs(minutes), day=day)


@lru_cache(maxsize=64)
def _dates(language: str, zone: ZoneInfo) -> DateWords:
    return DateWords(words=Words.of(language), zone=zone, now=datetime(2000, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, kw_only=True)
class Wording:
    """Turns the facts of notices into the words of one language and zone."""

    contract: Contract
    language: str
    zone: ZoneInfo

    def moment(self, at: datetime | str) -> Moment:
        """Return an instant in words."""
        return moment(at if isinstance(at, str) else at.isoformat(), self.language, self.zone)

    def perhaps(self, at: str | None) -> Moment | None:
        """Return an instant in words, or None."""
        return None if at is None else self.moment(at)

    def day(self, day: str) -> Moment:
        """Return a date in words, as the moment at which it begins for the reader: a date is the same for everybody."""
        return self.moment(start_of_day(date.fromisoformat(day), self.zone))

    def duration(self, start: str, end: str) -> str:
        """Return the time between two instants in words; minutes are left out where there are days."""
        return duration(start, end, self.language)

    def word(self, key: str) -> str:
        """Return a word of mails."""
        return MAIL_WORDS[self.language][key]

    def context(self, facts: Mapping[str, Any], *, stamp: datetime) -> dict[str, Any]:
        """Return what a template sees of the facts of a notice."""
        context: dict[str, Any] = {}
        for name, made in (
            ("window", self._window),
            ("previous", self._span),
            ("deferral", self._deferral),
            ("outage", self._outage),
            ("handover", self._handover),
            ("access", self._access),
            ("report", self._report),
            ("run", self._run),
            ("alert", dict),
        ):
            if facts.get(name) is not None:
                context[name] = made(facts[name])
        if "window" in facts:
            context["window"].update(self._around(facts["window"], stamp))
        if "instances" in facts:
            context["instances"] = [self._instance(each) for each in facts["instances"]]
        context["work"] = [self._work(each) for each in facts.get("work", ())]
        context["alternatives"] = [self._span(each) for each in facts.get("alternatives", ())]
        context["choose_until"] = self.perhaps(facts.get("choose_until"))
        context.setdefault("previous", None)
        context["why"] = facts.get("why", "")
        context["hurry"] = facts.get("hurry", "")
        return context

    def _window(self, window: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "id": window["id"],
            "start": self.moment(window["start"]),
            "end": self.moment(window["end"]),
            "duration": self.duration(window["start"], window["end"]),
            "reason": window["reason"],
            "impact": Words.of(self.language)(f"impact_{window['impact']}"),
            "holiday": window["holiday"],
        }

    def _around(self, window: Mapping[str, Any], stamp: datetime) -> dict[str, Any]:
        told = stamp.isoformat()
        change = clock_change_between(told, window["end"], self.language, self.zone)
        return {"clock_change": change, "lead": self.duration(told, window["start"])}

    def _span(self, span: Mapping[str, Any]) -> Span:
        return Span(start=self.moment(span["start"]), end=self.moment(span["end"]), number=span.get("number"))

    def _instance(self, instance: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "key": instance["key"],
            "environment": instance["environment"],
            "url": instance["url"],
            "impact": Words.of(self.language)(f"impact_{instance['impact']}"),
            "components": ", ".join(instance["components"]),
        }

    def _work(self, work: Mapping[str, Any]) -> str:
        """Return one line: the instance and what goes into it."""
        said = [
            f"{component} {release} ({self.word(change_class)})" if release else self.word("updates")
            for component, release, change_class in work["items"]
        ]
        return f"{work['instance']}: {', '.join(dict.fromkeys(said))}"

    def _deferral(self, deferral: Mapping[str, Any]) -> dict[str, Any]:
        names = ("start", "until", "limit")
        moments = {name: self.moment(deferral[name]) for name in names}
        return {**deferral, **moments, "next_window": self.perhaps(deferral["next_window"])}

    def _outage(self, outage: Mapping[str, Any]) -> dict[str, Any]:
        end = outage.get("end")
        return {
            "instance": outage["instance"],
            "begin": self.moment(outage["begin"]),
            "end": self.perhaps(end),
            "duration": self.duration(outage["begin"], end) if end else None,
            "cause": self.word(outage["cause"]) if outage.get("cause") else outage.get("note") or None,
        }

    def _handover(self, handover: Mapping[str, Any]) -> dict[str, Any]:
        ended, due = self.day(handover["ended_on"]), self.moment(handover["due"])
        return {"instance": handover["instance"], "ended_on": ended, "due": due}

    def _access(self, access: Mapping[str, Any]) -> dict[str, Any]:
        return {**access, "due": self.perhaps(access.get("due"))}

    def _report(self, report: Mapping[str, Any]) -> dict[str, Any]:
        month = _dates(self.language, self.zone).month(date.fromisoformat(f"{report['month']}-01"))
        return {**report, "month": month}

    def _run(self, run: Mapping[str, Any]) -> dict[str, Any]:
        moments = {name: self.perhaps(run.get(name)) for name in ("started", "finished")}
        return {"overrun": run.get("overrun"), "error": run.get("error"), **moments}

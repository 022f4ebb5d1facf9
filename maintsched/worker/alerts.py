"""Alerts: mails that tell the provider's own people that they have to act."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection

from maintsched.contract import Contract
from maintsched.notices import OPERATOR, NoticeKind, Occasion, Recipient, make_round
from maintsched.store.outbox import record

PROVIDER_ACCOUNT = "_provider"
LINES_MAX = 20
"""Lines that one alert lists; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something an operator has to know. `key` names what it is about; alerts of one subject and title go together."""

    key: str
    subject: str
    title: str
    lines: tuple[str, ...]
    way_out: str
    about: str = ""
    """Key of the notice whose result gave rise to it; only then it is told where that result is written."""


def record_alerts(connection: Connection, contract: Contract, alerts: Iterable[Alert], now: datetime) -> list[str]:
    """Store one mail to the operator for each subject and title; what was told before is not told again."""
    together: dict[tuple[str, str], list[Alert]] = defaultdict(list)
    for alert in alerts:
        if not alert.key.startswith(f"notice/{NoticeKind.OPERATOR_ALERT}/"):  # an alert about an alert would never end
            together[alert.subject, alert.title].append(alert)
    rounds = []
    for (subject, title), some in together.items():
        lines = [line for alert in some for line in alert.lines]
        more = len(lines) - LINES_MAX
        shown = lines[:LINES_MAX] + ([f"… and {more} more lines"] if more > 0 else [])
        named = sha256("\n".join(sorted({alert.key for alert in some})).encode()).hexdigest()[:12]
        occasion = Occasion(
            kind=NoticeKind.OPERATOR_ALERT,
            subject=f"alert/{subject}/{named}",
            facts={
                "alert": {"title": title, "lines": shown, "way_out": some[0].way_out, "clause": contract.clauses.told}
            },
            now=now,
            not_before=now,
        )
        rounds.append(make_round(occasion, PROVIDER_ACCOUNT, [Recipient(OPERATOR, True)], None))
    return record(connection, rounds, now)

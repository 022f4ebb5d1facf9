"""Posts the facts of an occasion to an address, signed where there is a secret."""

import hmac
import json
from collections.abc import Mapping
from typing import Any

from maintsched.hooks.answers import kept_in
from maintsched.hooks.exchange import Request, ask
from maintsched.hooks.port import Hook, Occasion, Outcome, hook_key

VERSION = 1
"""Of the shape of the facts; fields may be added without a new one."""


def facts_of(hook: Hook, occasion: Occasion, kept: Mapping[str, Any]) -> bytes:
    """Return the facts of an occasion as JSON, in UTF-8."""
    facts: dict[str, Any] = {
        "version": VERSION,
        "key": hook_key(hook.name, occasion.moment, occasion.subject),
        "hook": hook.name,
        "moment": str(occasion.moment),
        "window": {
            "id": occasion.window,
            "start": occasion.start.isoformat(),
            "end": occasion.end.isoformat(),
        },
        "run": None,
        "kept": dict(kept),
    }
    if occasion.run is not None:
        facts["run"] = {
            "key": occasion.run,
            "attempt": occasion.attempt,
            "instance": occasion.instance,
            "host": occasion.host,
            "customer": occasion.customer,
            "url": occasion.url,
            "result": occasion.result,
        }
    return json.dumps(facts, ensure_ascii=False).encode()


async def call(hook: Hook, occasion: Occasion, kept: Mapping[str, Any]) -> Outcome:
    """Post the facts. A 2xx is a yes, whatever comes with it; a table `keep` in it is handed to the end of the pair."""
    body = facts_of(hook, occasion, kept)
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Idempotency-Key": hook_key(hook.name, occasion.moment, occasion.subject),
    }
    if hook.secret is not None:
        headers["Maintsched-Signature"] = f"sha256={hmac.digest(hook.secret.encode(), body, 'sha256').hex()}"
    reply = await ask(hook, Request(method="POST", body=body, headers=headers))
    if not reply.ok:
        raise reply.trouble()
    return Outcome(
        ok=True, said=f"{reply.where}: answered {reply.status}", kept=kept_in("" if reply.cut else reply.text)
    )

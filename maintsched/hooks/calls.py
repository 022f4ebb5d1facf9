"""The one way in: calls a hook, in bounded time, and says what came of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from maintsched.hooks import alertmanager, command, icinga, webhook
from maintsched.hooks.exchange import without_secrets
from maintsched.hooks.port import Hook, Kind, Occasion, Outcome, Trouble, one_line

_KINDS: Mapping[Kind, Callable[[Hook, Occasion, Mapping[str, Any]], Awaitable[Outcome]]] = {
    Kind.COMMAND: command.call,
    Kind.WEBHOOK: webhook.call,
    Kind.ALERTMANAGER: alertmanager.call,
    Kind.ICINGA: icinga.call,
}


async def call(
    hook: Hook, occasion: Occasion, kept: Mapping[str, Any], *, timeout_seconds: float | None = None
) -> Outcome:
    """Call a hook; `kept` is what the call at the begin of the pair returned, where there was one.

    It may be called again with the same occasion as often as you like: what it did is done once. Whatever the other
    side does is an `Outcome`, and no error. After a call at a begin, even one that failed, there has to be one at the
    end: it may have taken effect all the same. `timeout_seconds` is for all of it; None: as the hook says.
    """
    seconds = hook.timeout_seconds if timeout_seconds is None else timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            outcome = await _KINDS[hook.kind](hook, occasion, kept)
    except TimeoutError:
        said = f"no answer within {seconds:g} s; whether it took effect is not known"
        outcome = Outcome(ok=False, said=said, retry=True)
    except Trouble as trouble:
        outcome = Outcome(ok=False, said=trouble.said, retry=trouble.retry)
    return replace(outcome, said=one_line(without_secrets(hook, outcome.said)))


AT_ONCE = 4
"""Calls under way at once: fewer than an event loop has threads, so that the time of none begins before it does."""


async def call_all(calls: Iterable[tuple[Hook, Occasion, Mapping[str, Any]]]) -> list[Outcome]:
    """Make many calls, `AT_ONCE` of them at once; return what came of each, in their order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def make(hook: Hook, occasion: Occasion, kept: Mapping[str, Any]) -> Outcome:
        async with room:
            return await call(hook, occasion, kept)

    return await asyncio.gather(*(make(*each) for each in calls))

"""Delivers due actions on one machine: an asyncio runner over the ledger, without an engine or a server.

Notices are claimed in batches, composed while others are on their way, and marked every 20 results or 200 ms.
"""

import asyncio
import os
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from maintsched.errors import StoreError
from maintsched.localtime import utc
from maintsched.mail.groups import Groups
from maintsched.mail.outcomes import Outcome, Outgoing
from maintsched.store.ledger import claim, renew
from maintsched.worker.house import House
from maintsched.worker.perform import Fate, Marking, Prepared, note, prepare, unsendable, write_marks

MARK_COUNT = 20
MARK_SECONDS = 0.2
PATIENCE_SHARE = 0.5
"""How much of a lease results are kept for a database that refuses them: as long as nobody else may send the mails."""
PATIENCE_PAUSE_SECONDS = 1.0


@dataclass(kw_only=True)
class Delivered:
    """What a pass did with the notices that were due."""

    results: Counter[str] = field(default_factory=Counter)
    """How many had which result, or which fate where they were not sent."""
    problems: list[str] = field(default_factory=list)
    """What an operator has to look at, one line each."""

    @property
    def tried(self) -> int:
        """How many notices were taken up."""
        return self.results.total()


def owner_name() -> str:
    """Return the name that claims of this process carry."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class LocalDispatch:
    """Claims, sends and marks in one process. Several at once are safe: each notice has one owner at a time."""

    def __init__(self, house: House, *, watcher: Callable[[Delivered], None] | None = None) -> None:
        """`watcher` is told of the progress, whenever results were written down."""
        self._house = house
        self._owner = owner_name()
        self._watcher = watcher
        self._taken: dict[str, Prepared] = {}
        self._marking = Marking()
        self._groups: Groups | None = None
        self._delivered = Delivered()
        self._lease = timedelta(seconds=house.config.worker.lease_seconds)
        self._renewed_at = house.clock()
        self._refusal: StoreError | None = None
        """Why results could not be written down. Nothing more is sent then: it could not be marked either."""

    async def deliver(self) -> Delivered:
        """Send every notice that is due; return when there is none left.

        Whatever goes wrong, what became of the mails that were sent is written down first.
        """
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(self._house.mailer.deliver(self._mails())) as outcomes:
                marked_at = loop.time()
                async for outcome in _or_nothing(outcomes, MARK_SECONDS):
                    if outcome is not None:
                        self._note(outcome)
                    full = len(self._marking.marked) >= MARK_COUNT or loop.time() - marked_at >= MARK_SECONDS
                    if full and self._refusal is None:
                        self._write()
                        marked_at = loop.time()
        finally:
            await self._write_all()
        return self._delivered

    def _mails(self) -> Iterator[Outgoing]:
        """Return mails as places become free; a batch is claimed when the one before has gone."""
        while self._refusal is None:
            now = self._house.clock()
            with self._house.store.writing() as connection:
                if self._must_renew(now):  # else, after a leap of the clock, what is on its way would be claimed again
                    renew(connection, owner=self._owner, lease_until=utc(now) + self._lease)
                    self._renewed_at = now
                keys = claim(
                    connection,
                    now=now,
                    owner=self._owner,
                    lease_until=utc(now) + self._lease,
                    limit=self._house.config.worker.batch,
                )
            if not keys:
                return
            self._groups = self._groups or Groups(self._house.templates)  # only a pass that has a mail needs them
            batch = prepare(self._house, keys, now=now, groups=self._groups)
            self._taken.update((each.stored.key, each) for each in batch if each.composed is not None)
            for prepared in batch:
                if prepared.composed is None:
                    self._set_aside(prepared)
                elif self._refusal is None:
                    yield prepared.outgoing

    def _set_aside(self, prepared: Prepared) -> None:
        unsendable(self._marking, prepared, now=self._house.clock())
        self._delivered.results[str(prepared.fate)] += 1
        if prepared.fate not in (Fate.OVERTAKEN, Fate.GONE):
            self._delivered.problems.append(f"{prepared.stored.key}: {prepared.problem}")

    def _note(self, outcome: Outcome) -> None:
        prepared = self._taken.pop(outcome.key)
        before = self._marking.given_up
        note(self._house, self._marking, prepared, outcome, now=self._house.clock())
        self._delivered.results[str(outcome.result)] += 1
        if self._marking.given_up > before:
            self._delivered.results["given_up"] += 1
        if outcome.hint is not None or outcome.result == "refused":
            reply = f"{outcome.code} {outcome.reply}" if outcome.code else outcome.reply
            problem = f"{outcome.server}: {outcome.hint or outcome.result}: {reply}"
            if problem not in self._delivered.problems:
                self._delivered.problems.append(problem)

    async def _write_all(self) -> None:
        """Write down what is still to be. Where the database refuses, try as long as nobody else may send the mails."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._lease.total_seconds() * PATIENCE_SHARE
        self._write()
        while self._refusal is not None:
            if loop.time() >= until:
                raise self._refusal
            await asyncio.sleep(PATIENCE_PAUSE_SECONDS)
            self._write()

    def _write(self) -> None:
        now = self._house.clock()
        try:
            if self._marking.marked:
                write_marks(self._house, self._marking, owner=self._owner, now=now)
                self._marking = Marking()
                if self._watcher is not None:
                    self._watcher(self._delivered)
            if self._must_renew(now):
                self._renew(now)
        except StoreError as error:
            self._refusal = error
        else:
            self._refusal = None

    def _must_renew(self, now: datetime) -> bool:
        """Say whether a third of the lease has gone by, or the clock was set back."""
        held = self._taken or self._marking.marked
        return bool(held) and not timedelta() <= utc(now) - utc(self._renewed_at) < self._lease / 3

    def _renew(self, now: datetime) -> None:
        with self._house.store.writing() as connection:
            renew(connection, owner=self._owner, lease_until=utc(now) + self._lease)
        self._renewed_at = now


async def _or_nothing(outcomes: AsyncIterator[Outcome], seconds: float) -> AsyncIterator[Outcome | None]:
    """Return outcomes as they come, and None whenever none came for `seconds`."""
    coming: asyncio.Task[Outcome] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(outcomes))
            done, _ = await asyncio.wait({coming}, timeout=seconds)
            if not done:
                yield None
                continue
            try:
                outcome = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield outcome
    finally:
        if coming is not None and not coming.done():
            coming.cancel()

"""Hand many mails to one server over a few connections, and tell what became of each."""

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Iterator

from maintsched.mail.connection import Connection, Unavailable
from maintsched.mail.outcomes import Hint, Outcome, Outgoing, Result, Step
from maintsched.mail.settings import MailSettings
from maintsched.mail.tls import verified_context

OPEN_FAILURES_MAX = 2
"""Connections in a row that do not come about before no more are tried."""
BREAKS_MAX = 3
"""Mails in a row with which a conversation broke before this place tries no more. One of them may be to blame itself,
so that it takes more than with connections that do not even come about."""
AHEAD_MAX = 200
"""Mails read ahead of those for domains that have as many under way as they may."""

STOP_AGAIN_SECONDS = 0.01


class SmtpMailer:
    """The `Mailer` for production: some connections to one server, each opened once and used for many mails."""

    def __init__(self, settings: MailSettings) -> None:
        """Keep the settings; nothing is connected before `deliver` has a mail in hand."""
        self.settings = settings

    async def deliver(self, mails: Iterable[Outgoing]) -> AsyncGenerator[Outcome, None]:
        """Try each mail once and tell what became of it; see `Mailer`."""
        backlog = _Backlog(mails, self.settings.per_domain)
        door = _Door(self.settings)
        told: asyncio.Queue[Outcome | Exception | None] = asyncio.Queue(maxsize=self.settings.connections)
        places = [asyncio.create_task(_place(backlog, door, told)) for _ in range(self.settings.connections)]
        errors: list[Exception] = []
        try:
            working = len(places)
            while working:
                found = await told.get()
                if isinstance(found, Outcome):
                    yield found
                else:
                    working -= 1
                    errors += [found] if found else []
        finally:
            await _stop(places)
        for mail in backlog.rest():
            yield door.deferred(mail)
        if backlog.error or errors:
            raise backlog.error or errors[0]


async def _stop(places: list[asyncio.Task[None]]) -> None:
    """Cancel what still works, and again: `asyncio.wait_for` forgets a cancellation that meets an answer (3.11)."""
    working: set[asyncio.Task[None]] = {place for place in places if not place.done()}
    while working:
        for place in working:
            place.cancel()
        _, working = await asyncio.wait(working, timeout=STOP_AGAIN_SECONDS)


async def _place(backlog: "_Backlog", door: "_Door", told: "asyncio.Queue[Outcome | Exception | None]") -> None:
    """Work at one place, and say at the end that it is free: None, or the error that came from nowhere expected."""
    end: Exception | None = None
    try:
        await _work(backlog, door, told)
    except Exception as error:  # noqa: BLE001 - handed on, and raised where the outcomes are read
        end = error
    await told.put(end)


async def _work(backlog: "_Backlog", door: "_Door", told: "asyncio.Queue[Outcome | Exception | None]") -> None:
    """Send mails over one connection after the other, until there are none or there is no sense in it."""
    connection: Connection | None = None
    failures = breaks = 0
    try:
        while failures < OPEN_FAILURES_MAX and breaks < BREAKS_MAX and await backlog.available():
            if connection is None or not connection.is_open:
                try:
                    connection = await door.open(backlog)
                except Unavailable as error:
                    failures += OPEN_FAILURES_MAX if error.final else 1
                continue  # while it was opened, the mail went elsewhere or the connection was lost again
            failures = 0
            mail = backlog.take()
            try:
                outcome = await connection.transact(mail)
            finally:
                backlog.done(mail)
            breaks = breaks + 1 if connection.broke else 0
            if breaks:
                door.blame(outcome)
            await told.put(outcome)
        if connection is not None:
            await connection.quit()
    finally:
        if connection is not None:
            connection.abort()


class _Door:
    """The one way in: places open their connections one after the other.

    So a server that is down is asked twice, not twice for every place, and a wrong password is tried once.
    """

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._failures = 0
        """In a row, while no other connection stood."""
        self._opened: list[Connection] = []
        self._context: ssl.SSLContext | None = None
        self._reason = Unavailable(Step.CONNECT, Hint.CONNECT, code=None, reply="the server was not tried")

    async def open(self, backlog: "_Backlog") -> Connection | None:
        """Return a new connection, or None where no mail waits for it any more. Raises `Unavailable`."""
        async with self._lock:
            if not backlog.ready():
                return None
            if self._failures >= OPEN_FAILURES_MAX:
                raise self._reason
            connection = Connection(self._settings, self._encryption)
            try:
                await connection.open()
            except Unavailable as error:
                self._reason = error
                if error.final:
                    self._failures = OPEN_FAILURES_MAX
                elif not any(each.is_open for each in self._opened):  # else it may only be one too many for the server
                    self._failures += 1
                raise
            self._failures = 0
            self._opened = [each for each in self._opened if each.is_open] + [connection]
            return connection

    def blame(self, outcome: Outcome) -> None:
        """Keep what is said of mails that will not be tried because connections break again and again."""
        reply = f"the connection broke at {outcome.step} again and again; the last time: {outcome.reply}"
        self._reason = Unavailable(outcome.step, Hint.CONNECT, code=outcome.code, reply=reply)

    def deferred(self, mail: Outgoing) -> Outcome:
        """Return the outcome of a mail that nothing was tried with."""
        why = self._reason
        return Outcome(
            key=mail.key,
            result=Result.DEFERRED,
            server=self._settings.server,
            code=why.code,
            reply=why.reply,
            hint=why.hint,
            step=why.step,
        )

    def _encryption(self) -> ssl.SSLContext:
        """Return the context for all connections: reading the system's certificates takes longer than a mail."""
        if self._context is None:
            self._context = verified_context(self._settings)
        return self._context


class _Backlog:
    """The mails still to be sent, read one by one, so that no domain has more under way than it may."""

    def __init__(self, mails: Iterable[Outgoing], per_domain: int) -> None:
        self.error: Exception | None = None
        """What the caller's iterable raised; it counts as ended then."""
        self._mails: Iterator[Outgoing] | None = iter(mails)
        self._per_domain = per_domain
        self._under_way: Counter[str] = Counter()
        """By domain: mails taken, or free to be taken."""
        self._held: dict[str, deque[Outgoing]] = {}
        """By domain: mails that wait for another one of it."""
        self._held_count = 0
        self._free: deque[Outgoing] = deque()
        self._changed = asyncio.Event()

    async def available(self) -> bool:
        """Wait for a mail that may be sent now; False when there will be none any more."""
        while not self.ready():
            if self._mails is None and not self._held_count:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    def ready(self) -> bool:
        """Say whether a mail may be sent now, and read as far as it takes to know."""
        while not self._free and self._held_count < AHEAD_MAX:
            mail = self._next()
            if mail is None:
                break
            if self._under_way[mail.domain] < self._per_domain:
                self._under_way[mail.domain] += 1
                self._free.append(mail)
            else:
                self._held.setdefault(mail.domain, deque()).append(mail)
                self._held_count += 1
        return bool(self._free)

    def take(self) -> Outgoing:
        """Return a mail that may be sent now, at once after `available` said that there is one.

        Call `done` with it afterwards, whatever became of it.
        """
        return self._free.popleft()

    def done(self, mail: Outgoing) -> None:
        """Let the next mail to this domain go."""
        held = self._held.get(mail.domain)
        if held:
            self._free.append(held.popleft())
            self._held_count -= 1
        else:
            self._under_way[mail.domain] -= 1
        self._changed.set()

    def rest(self) -> Iterator[Outgoing]:
        """Return all mails that were not taken."""
        yield from self._free
        for held in self._held.values():
            yield from held
        while (mail := self._next()) is not None:
            yield mail

    def _next(self) -> Outgoing | None:
        if self._mails is None:
            return None
        try:
            return next(self._mails)
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001 - the caller's own, given back when all outcomes are told
            self.error = error
        self._mails = None
        return None

"""A mailer that sends nothing and remembers everything."""

from collections.abc import AsyncGenerator, Callable, Iterable

from maintsched.mail.outcomes import Outcome, Outgoing, Result, Step

Answer = Callable[[Outgoing], Result]
_CODES = {Result.ACCEPTED: 250, Result.DEFERRED: 451, Result.REFUSED: 550, Result.UNCERTAIN: None}
_STEPS = {
    Result.ACCEPTED: Step.DOT,
    Result.DEFERRED: Step.RCPT,
    Result.REFUSED: Step.RCPT,
    Result.UNCERTAIN: Step.DOT,
}


class RecordingMailer:
    """Keeps each mail it is given and answers as `answer` says; left out, it accepts every mail."""

    def __init__(self, answer: Answer | None = None) -> None:
        """Answer each mail by `answer`."""
        self.answer: Answer = answer or (lambda _: Result.ACCEPTED)
        self.mails: list[Outgoing] = []
        """Every mail it was given, in order."""
        self.accepted: list[Outgoing] = []
        """Those that it accepted, or may have."""

    async def deliver(self, mails: Iterable[Outgoing]) -> AsyncGenerator[Outcome, None]:
        """Take mails one by one and answer each at once."""
        for mail in mails:
            self.mails.append(mail)
            result = self.answer(mail)
            if result in (Result.ACCEPTED, Result.UNCERTAIN):
                self.accepted.append(mail)
            yield Outcome(
                key=mail.key,
                result=result,
                server="recorder:25",
                code=_CODES[result],
                reply="2.0.0 Ok: recorded" if result is Result.ACCEPTED else f"{result}",
                step=_STEPS[result],
            )

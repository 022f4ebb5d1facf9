"""Composes a mail: the template's words, from them text, HTML and calendar, and all of it as bytes."""

from dataclasses import dataclass

from maintsched.mail.calendar import calendar_part
from maintsched.mail.letter import Composed, Letter
from maintsched.mail.markup import as_text
from maintsched.mail.message import Content, check_message, envelope_id, message_bytes, message_id
from maintsched.mail.templates import Templates

__all__ = ["Said", "check_message", "compose", "composed", "envelope_id", "message_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The words of a mail: its subject, what a calendar shows, text and HTML."""

    subject: str
    summary: str
    text: str
    html: str
    written: tuple[bytes, bytes] | None = None
    """Text and HTML as bytes, where they were written together with those of others."""


def compose(letter: Letter, templates: Templates) -> Composed:
    """Return the mail of a letter. The same letter and templates give the same bytes.

    Raises `FileError` where the template is at fault, `InvalidValue` where its words cannot stand in a header.
    """
    draft = templates.draft(letter.language, letter.kind, letter.context)
    subject = f"[{letter.subject_id}] {draft.subject}"
    html = templates.frame(letter.language, subject, draft.blocks)
    return composed(letter, Said(subject=subject, summary=draft.summary, text=as_text(draft.blocks), html=html))


def composed(letter: Letter, said: Said) -> Composed:
    """Return the mail of a letter that says the words given."""
    calendar = None
    if letter.event is not None:
        calendar = calendar_part(letter, letter.event, summary=said.summary, description=said.text.rstrip("\n"))
    content = Content(subject=said.subject, text=said.text, html=said.html, calendar=calendar, written=said.written)
    return Composed(
        key=letter.key,
        sender=letter.bounce,
        recipient=letter.recipient,
        envid=envelope_id(letter.key),
        message_id=message_id(letter.key, letter.domain),
        subject=said.subject,
        text=said.text,
        html=said.html,
        data=message_bytes(letter, content),
    )

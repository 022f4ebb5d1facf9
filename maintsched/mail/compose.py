"""Composes a mail: the template's words, from them text, HTML and calendar, and all of it as bytes."""

from maintsched.mail.calendar import calendar_part
from maintsched.mail.letter import Composed, Letter
from maintsched.mail.markup import as_text
from maintsched.mail.message import Content, check_message, envelope_id, message_bytes, message_id
from maintsched.mail.templates import Templates

__all__ = ["check_message", "compose", "envelope_id", "message_id"]


def compose(letter: Letter, templates: Templates) -> Composed:
    """Return the mail of a letter. The same letter and templates give the same bytes.

    Raises `FileError` where the template is at fault, `InvalidValue` where its words cannot stand in a header.
    """
    draft = templates.draft(letter.language, letter.kind, letter.context)
    subject = f"[{letter.subject_id}] {draft.subject}"
    text = as_text(draft.blocks)
    html = templates.frame(letter.language, subject, draft.blocks)
    calendar = None
    if letter.event is not None:
        calendar = calendar_part(letter, letter.event, summary=draft.summary, description=text.rstrip("\n"))
    data = message_bytes(letter, Content(subject=subject, text=text, html=html, calendar=calendar))
    return Composed(
        key=letter.key,
        sender=letter.bounce,
        recipient=letter.recipient,
        envid=envelope_id(letter.key),
        message_id=message_id(letter.key, letter.domain),
        subject=subject,
        text=text,
        html=html,
        data=data,
    )

"""docs/reference/errors.md: the tree of errors, what each means and which facts it carries."""

import inspect

from maintsched import errors
from maintsched.errors import MaintschedError
from tools.reference import NOTE, tidy
from tools.source import docstring, signature

INTRO = """\
# Errors

Everything that maintsched refuses on purpose is a `MaintschedError`. A message says what was expected, what was found
and, where there is one, the way out; the same facts are attributes, so that a program need not read the sentence. The
command line prints the message on stderr as one line, `Error: …`, and ends with exit code 1.

An error that is no `MaintschedError` is a bug of maintsched, apart from wrong types in a call.
"""


def all_errors(kind: type[MaintschedError] = MaintschedError) -> list[type[MaintschedError]]:
    """Return an error class and all classes below it, in the order of the source; others are private."""
    known = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(found for child in known for found in all_errors(child))]


def page() -> str:
    """Return the page."""
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1]
    parts = [NOTE, INTRO, f"```text\n{inspect.cleandoc(tree)}\n```\n"]
    for kind in all_errors():
        parts.append(f"## `{kind.__name__}`\n\n{docstring(kind)}\n")
        facts = list(inspect.signature(kind.__init__).parameters)[1:] if "__init__" in vars(kind) else []
        if facts:
            parts.append(f"```text\n{signature(kind.__init__, name=kind.__name__, method=True)}\n```\n")
            attributes = [name for name in facts if f"self.{name} =" in inspect.getsource(kind)]
            if attributes:
                parts.append(f"Attributes: {', '.join(f'`{name}`' for name in attributes)}.\n")
        parents = [base.__name__ for base in kind.__bases__ if base is not Exception]
        if parents:
            parts.append(f"Also caught as: {', '.join(f'`{name}`' for name in parents)}.\n")
    return tidy("\n".join(parts))

"""One module a generated page of docs/reference/, each with a function `page`."""

import re
import textwrap

NOTE = "<!-- Written by `make reference` from the code. Change the code or tools/reference, not this page. -->\n"
WIDTH = 120


def tidy(page: str) -> str:
    """Return `page` with its paragraphs and list items wrapped, and without empty lines that follow each other."""
    lines: list[str] = []
    code = False
    for line in page.split("\n"):
        code ^= line.startswith("```")
        if code or len(line) <= WIDTH or line.startswith(("|", "#", "```")):
            lines.append(line)
        else:
            indent = " " * (line.index("- ") + 2) if line.lstrip().startswith("- ") else ""
            lines += textwrap.wrap(
                line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip("\n") + "\n"

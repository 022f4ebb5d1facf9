"""Writes the pages of docs/reference/ that follow from the code, and renews what console blocks show.

    python -m tools.make_reference                writes the generated pages
    python -m tools.make_reference --transcripts  also runs the console blocks of all pages and keeps what they print

A test compares the pages with what this would write, so that none of them grows stale.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools import transcripts
from tools.reference import cli, errors, fleet_files, library, terms
from tools.transcripts import ROOT

REFERENCE = ROOT / "docs" / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli.page,
    "contract-terms.md": terms.page,
    "errors.md": errors.page,
    "fleet-files.md": fleet_files.page,
    "library.md": library.page,
}
"""The generated pages and what writes them."""


def pages_with_transcripts() -> list[Path]:
    """Return the pages that show what commands print."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in pages if transcripts.has_transcripts(page.read_text(encoding="utf-8"))]


def renew(page: Path) -> None:
    """Run the console blocks of a page and write down what they print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "work"
        folder.mkdir()
        transcripts.prepare(folder)
        text = page.read_text(encoding="utf-8")
        new = transcripts.renewed(text, transcripts.play(text, folder, Path(name) / "cache"))
        assert "Traceback (most recent call last)" not in new, f"{page}: a command fails"
        page.write_text(new, encoding="utf-8")


def main() -> None:
    """Write all pages."""
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write(), encoding="utf-8")
    if "--transcripts" in sys.argv[1:]:
        for page in pages_with_transcripts():
            renew(page)


if __name__ == "__main__":
    main()

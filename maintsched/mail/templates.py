"""The templates that notices are written from: those that come along, and those of an operator, file by file."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateError, TemplateNotFound
from jinja2.exceptions import TemplateSyntaxError
from jinja2.meta import find_referenced_templates
from markupsafe import Markup

from maintsched.errors import FileError, printable, show
from maintsched.fleet import Language
from maintsched.mail.blanks import Blank
from maintsched.mail.markup import Block, Draft, MarkupRefused, as_html, cleaned, read
from maintsched.mail.sandbox import SIZE_MAX, OutputRefused, Sandbox, put_out, put_together
from maintsched.notices import NoticeKind

LAYOUT = "layout.html"
_NAME = re.compile(r"(?:[a-z]{2}/)?[A-Za-z0-9_-]+\.md|layout\.html")
_ACTIVE = re.compile(
    r"<(script|iframe|object|embed|form|link|img|base|svg|audio|video)\b|\bon\w+\s*=|javascript:|url\(|@import",
    re.IGNORECASE,
)
_RUNTIME = (
    TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError,
)  # fmt: skip
"""What goes wrong while a template is filled."""


class Templates:
    """All templates of notices; what is read of a file is kept, so that the digests stay true.

    A file in `folder` (of the configuration) stands before the one of the same name that comes along.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._sources = _Sources((folder, builtin_folder()) if folder else (builtin_folder(),))
        self._digests: dict[str, str] = {}
        self._own: dict[str, bool] = {}

    def draft(self, language: Language, kind: NoticeKind, context: Mapping[str, Any]) -> Draft:
        """Return what the template of a kind says, filled with `context`.

        Raises `FileError`, which names file and line, where the template is at fault, or asks for what is not there.
        """
        name = f"{language}/{kind}.md"
        filled = self.filled(language, kind, context)
        try:
            return read(filled)
        except MarkupRefused as refused:
            path, line = self._sources.place(name, self._closure(name), refused.prefix)
            raise FileError(
                path, line=line, key=None, expected=refused.expected, found=show(refused.found)
            ) from refused

    def filled(self, language: Language, kind: NoticeKind, context: Mapping[str, Any]) -> str:
        """Return the template of a kind filled with `context`, before it is read; raises as `draft` does."""
        return self._fill(self._words, f"{language}/{kind}.md", context)

    def frame(self, language: Language, title: str, blocks: tuple[Block, ...]) -> str:
        """Return blocks as a whole HTML document: the layout around them."""
        return self.page(language, title, Markup(as_html(blocks)))  # noqa: S704 - written by ourselves

    def page(self, language: Language, title: str | Blank, body: Markup | Blank) -> str:
        """Return the layout around a body; in place of a blank, what it puts out."""
        html = self._fill(self._pages, LAYOUT, {"language": str(language), "title": title, "body": body})
        if (body.put_out if isinstance(body, Blank) else body) not in html:
            path = str(self._sources.read(LAYOUT).path)
            raise FileError(path, line=None, key=None, expected="{{ body }} once, as it is", found="a page without it")
        return html

    def digest(self, language: Language, kind: NoticeKind) -> str:
        """Return the SHA-256, in hexadecimal, of all that the words of a kind come from: template, parts and layout."""
        name = f"{language}/{kind}.md"
        if name not in self._digests:
            names = [*self._closure(name), LAYOUT]
            parts = [f"{each}\n{len(source)}\n{source}" for each in names for source in [self._sources.read(each).text]]
            self._digests[name] = sha256("\n".join(parts).encode()).hexdigest()
        return self._digests[name]

    def come_along(self, language: Language, kind: NoticeKind) -> bool:
        """Say whether all that the words of a kind come from is of the package, and nothing of an operator."""
        name = f"{language}/{kind}.md"
        if name not in self._own:
            try:
                paths = [self._sources.read(each).path for each in (*self._closure(name), LAYOUT)]
            except (TemplateError, FileError):  # composed alone, it says what is wrong
                return False
            self._own[name] = not all(path.is_relative_to(self._sources.folders[-1]) for path in paths)
        return not self._own[name]

    def path(self, language: Language, kind: NoticeKind) -> Path:
        """Return the file that the words of a kind come from."""
        return self._sources.read(f"{language}/{kind}.md").path

    def check(self) -> Iterator[FileError]:
        """Yield what is wrong with any template as far as that shows without filling it, and files nobody asks for."""
        names = [f"{language}/{kind}.md" for language in Language for kind in NoticeKind]
        known = {LAYOUT, *names}
        for name in [*names, LAYOUT]:
            try:
                self._compiled(self._pages if name == LAYOUT else self._words, name)
                known.update(self._closure(name))
            except FileError as error:
                yield error
        for folder in self._sources.folders:
            if not folder.is_dir():
                yield FileError(str(folder), line=None, key=None, expected="a folder of templates", found="none")
        for path, name in self._sources.own_files():
            if name not in known:
                yield FileError(str(path), line=None, key=None, expected="the name of a template", found=name)

    @cached_property
    def _words(self) -> Sandbox:
        made = _WordsSandbox(loader=self._sources, autoescape=False, finalize=put_out, **_OPTIONS)
        made.concat = put_together  # type: ignore[method-assign]
        return made

    @cached_property
    def _pages(self) -> Sandbox:
        return Sandbox(loader=self._sources, autoescape=True, **_OPTIONS)

    def _fill(self, environment: Sandbox, name: str, context: Mapping[str, Any]) -> str:
        template, pieces, size = self._compiled(environment, name), list[str](), 0
        try:
            for piece in template.generate(context):
                size += len(piece)
                if size > SIZE_MAX:
                    break
                pieces.append(piece)
            filled = "".join(pieces)
            if size > SIZE_MAX or len(filled.encode("utf-8", "replace")) > SIZE_MAX:
                raise OutputRefused(expected=f"at most {SIZE_MAX // 1024} KiB of text", found="more")
        except _RUNTIME as error:
            raise self._refusal(error, name) from error
        return filled

    def _compiled(self, environment: Sandbox, name: str) -> Template:
        environment.begin()
        try:
            return environment.get_template(name)
        except _RUNTIME as error:
            raise self._refusal(error, name) from error

    def _closure(self, name: str) -> tuple[str, ...]:
        """Return the names of a template and of all parts that it takes in, sorted."""
        found, todo = set[str](), [name]
        while todo:
            each = todo.pop()
            if each not in found:
                found.add(each)
                todo += self._parts(each)
        return tuple(sorted(found))

    def _parts(self, name: str) -> Iterator[str]:
        source = self._sources.read(name)
        environment = self._pages if name == LAYOUT else self._words
        try:
            parsed = environment.parse(source.text, name, str(source.path))
        except TemplateError as error:
            raise self._refusal(error, name) from error
        return (environment.join_path(part, name) for part in find_referenced_templates(parsed) if part)

    def _refusal(self, error: BaseException, name: str) -> FileError:
        """Return an error of Jinja2, or of Python in a template, as one line that names file and line."""
        if isinstance(error, TemplateNotFound):
            path, line = self._sources.frame_of(error) or (str(self._sources.folders[0] / name), None)
            return FileError(path, line=line, key=None, expected=f"a template {error.name}", found="none")
        if isinstance(error, TemplateSyntaxError):
            path, line = error.filename or name, error.lineno
        else:
            path, line = self._sources.frame_of(error) or (str(self._sources.read(name).path), None)
        if isinstance(error, OutputRefused):
            return FileError(path, line=line, key=None, expected=error.expected, found=error.found)
        found = str(error)[:200] or type(error).__name__
        return FileError(path, line=line, key=None, expected="a template that can be filled", found=printable(found))


_OPTIONS: dict[str, Any] = {
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
    "auto_reload": False,
}


class _WordsSandbox(Sandbox):
    def join_path(self, template: str, parent: str) -> str:
        """A part is looked for in the folder of the language of whoever takes it in."""
        return f"{parent.partition('/')[0]}/{template}"


class Source(NamedTuple):
    """A file as it was read."""

    text: str
    path: Path


class _Sources(BaseLoader):
    """Reads each file once, from the first folder that has it."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.folders = folders
        self._read: dict[str, Source] = {}

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:  # noqa: ARG002 -- Jinja2's
        source = self.read(template)
        return source.text, str(source.path), None

    def read(self, name: str) -> Source:
        found = self._read.get(name)
        if found is None:
            found = self._read[name] = _checked(_read(self._find(name)))
        return found

    def _find(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise TemplateNotFound(printable(name))
        for folder in self.folders:
            path = folder / name
            if path.is_file():
                if not path.resolve().is_relative_to(folder.resolve()):
                    raise FileError(
                        str(path), line=None, key=None, expected="a file in the folder", found="a link out of it"
                    )
                return path
        raise TemplateNotFound(name)

    def own_files(self) -> Iterator[tuple[Path, str]]:
        """Yield the files of the operator's folder with their names."""
        for folder in self.folders[:-1]:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.name.startswith(".") and path.name != "README.md":
                    yield path, path.relative_to(folder).as_posix()

    def frame_of(self, error: BaseException) -> tuple[str, int] | None:
        """Return file and line of the template in which an error arose."""
        paths = {str(source.path) for source in self._read.values()}
        frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
        return next((each for each in reversed(frames) if each[0] in paths), None)

    def place(self, name: str, parts: tuple[str, ...], prefix: str) -> tuple[str, int | None]:
        """Return the file and line of a template and its parts that begin with `prefix`, where only one does."""
        begun = prefix.strip()
        lines = [
            (str(source.path), number)
            for source in map(self.read, parts)
            for number, line in enumerate(source.text.split("\n"), 1)
            if begun and line.strip().startswith(begun)
        ]
        return lines[0] if len(lines) == 1 else (str(self.read(name).path), None)


def _read(path: Path) -> Source:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise FileError(str(path), line=None, key=None, expected="a file to read", found=str(error.strerror)) from error
    if len(data) > SIZE_MAX:
        raise FileError(str(path), line=None, key=None, expected=f"at most {SIZE_MAX} bytes", found="more")
    try:
        return Source(data.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n"), path)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileError(str(path), line=line, key=None, expected="text in UTF-8", found="other bytes") from error


def _checked(source: Source) -> Source:
    """Refuse characters that nobody sees, and in a layout whatever is more than looks."""
    for number, line in enumerate(source.text.split("\n"), 1):
        if not line.isprintable() and (hidden := set(line) & set(cleaned(line)) ^ set(line)):
            expected = "characters that can be seen, and no tabs"
            raise FileError(str(source.path), line=number, key=None, expected=expected, found=show(min(hidden)))
        if source.path.name == LAYOUT and (active := _ACTIVE.search(line)):
            expected = "a page without scripts, forms, pictures and whatever else is fetched"
            raise FileError(str(source.path), line=number, key=None, expected=expected, found=show(active[0]))
    return source


def builtin_folder() -> Path:
    """Return the folder of the templates that come along: in the package, or at the top of a checkout."""
    packaged = Path(__file__).parent / "templates"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "notices"

"""The sandbox that notices' templates run in: they look at values and put them into words, and can do nothing else.

An operator's template is text from a folder. It calls no method, and no text or number in it grows without bound; so it
can neither reach into the program nor use up the machine's memory before the size of the mail is counted. Nor can it
keep the worker from everything else: at each turn of a loop, call, part and filter the time is looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import wraps
from time import monotonic, thread_time
from typing import Any, cast

from jinja2 import Template, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.filters import FILTERS as ALL_FILTERS
from jinja2.meta import find_referenced_templates
from jinja2.runtime import BlockReference, Context, Macro, Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.tests import TESTS as ALL_TESTS
from jinja2.utils import Namespace, pass_context
from jinja2.visitor import NodeTransformer

from maintsched.errors import show
from maintsched.mail.blanks import Blank, NotShared, has_blank
from maintsched.mail.markup import VALUE, as_value

SIZE_MAX = 256 * 1024
"""Bytes that a filled template, and any text on the way to it, may have."""
SECONDS_MAX = 0.5
"""Time that the processor may spend on filling one template; ordinary ones take a hundredth of it."""
BITS_MAX = 64
"""Bits of a whole number that a template computes."""
FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "groupby", "int", "items", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr",
    "sort", "string", "title", "trim", "truncate", "unique", "upper", "wordcount",
)  # fmt: skip
"""The filters of Jinja2 that cannot make much out of little; `join` and `replace` count what they make."""


class OutputRefused(SecurityError):
    """A template wants to say something that is no text, or too much of it."""

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}, found {found}")


class Filled(str):
    """What a part of a template (a macro, a block that was set) has made: markup, and no value."""

    __slots__ = ()


def put_together(pieces: Iterable[str]) -> Filled:
    """Join what a part of a template has put out, unless it is too much."""
    listed = list(pieces)
    require_size(sum(map(len, listed)))
    if any(map(has_blank, listed)):
        raise NotShared("a part of a template that is a value itself")
    return Filled("".join(listed))


def require_size(characters: int) -> None:
    """Refuse a text that is longer than a mail may be."""
    if characters > SIZE_MAX:
        raise OutputRefused(expected=f"at most {SIZE_MAX // 1024} KiB of text", found="more")


def put_out(found: Any) -> str:
    """Return what `{{ … }}` puts into the text: a value, marked as one."""
    kind = type(found)
    if kind is Filled:
        return cast(str, found)
    if kind is Blank:
        return VALUE + cast(Blank, found).put_out
    if kind is not str:
        found = _text(found, expected="a text or a number between {{ and }}")
    require_size(len(found))
    return as_value(found)


class Sandbox(SandboxedEnvironment):
    """Jinja2 without calls, without ways to make much out of little, and with names looked up as keys first."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals = {"namespace": Namespace}
        filters = {name: ALL_FILTERS[name] for name in FILTERS} | {"join": _join, "replace": _replace}
        self.filters = {name: self._timed(name, function) for name, function in filters.items()} | {_TURNS: _turns}
        self.tests = {**_TESTS}
        self.begin()

    def begin(self) -> None:
        """Count the time of the next template from now on."""
        self._until, self._soonest = thread_time() + SECONDS_MAX, monotonic() + SECONDS_MAX

    def spend(self) -> None:
        """Refuse a template that has taken too long."""
        # The processor's time takes long to ask for, and is never more than what has gone by.
        if monotonic() > self._soonest and thread_time() > self._until:
            raise OutputRefused(expected=f"a template that is filled within {SECONDS_MAX:g} s", found="a longer one")

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*given: Any, **named: Any) -> Any:
            self.spend()
            if Blank in map(type, given):
                return Blank.later(name, function, given, named)
            return function(*given, **named)

        return timed

    def _load_template(self, name: str, globals: Any) -> Template:  # noqa: A002 - named by Jinja2
        """Look at the time with each part that is taken in."""
        self.spend()
        return super()._load_template(name, globals)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look `attribute` up as a key of a mapping, which may bear the name of a method; else as an attribute."""
        if type(obj) is dict or isinstance(obj, Mapping):  # nearly all are; asking for the latter takes longer
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Keep methods and what belongs to Python out of reach."""
        return super().is_safe_attribute(obj, attr, value) and (not callable(value) or isinstance(value, Macro))

    def is_safe_callable(self, obj: Any) -> bool:
        """Let templates call what templates have made, and `namespace`."""
        return isinstance(obj, Macro | BlockReference) or obj is Namespace

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what may be called; a name that is not known, or out of reach, says so itself."""
        self.spend()
        if isinstance(obj, Undefined):
            str(obj)
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Reckon with numbers of ordinary size; put texts one after the other."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            require_size(len(left) + len(right))
            return str(left) + str(right)
        if operator == "**" or not all(isinstance(each, int | float | Decimal) for each in (left, right)):
            raise OutputRefused(expected=f'two numbers beside "{operator}"', found=f"{show(left)} and {show(right)}")
        made = super().call_binop(context, operator, left, right)
        if isinstance(made, int) and made.bit_length() > BITS_MAX:
            raise OutputRefused(expected=f"a number of at most {BITS_MAX} bits", found="a larger one")
        return made

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Count texts that are put together (`~`) and turns of loops, by filters; refuse parts that no digest names."""
        parsed = super()._parse(source, name, filename)
        for node in parsed.find_all(_TAKING_IN):
            if None in find_referenced_templates(nodes.Template([node])):
                raise TemplateSyntaxError("a part whose name is not in quotes", node.lineno, name, filename)
        counted = cast(nodes.Template, _Counted().visit(parsed))
        counted.set_environment(self)
        return counted


_TURNS = "turns"
_TAKING_IN = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class _Counted(NodeTransformer):
    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 -- named by Jinja2
        parts = nodes.List(cast(nodes.Concat, self.generic_visit(node)).nodes, lineno=node.lineno)
        return nodes.Filter(parts, "join", [], [], None, None, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 -- named by Jinja2
        counted = cast(nodes.For, self.generic_visit(node))
        counted.iter = nodes.Filter(counted.iter, _TURNS, [], [], None, None, lineno=node.lineno)
        return counted


def _telling(test: Callable[..., Any]) -> Callable[..., Any]:
    """Return a test that refuses blanks: what it would say hangs on the value."""

    @wraps(test)
    def telling(*given: Any) -> Any:
        if Blank in map(type, given):
            raise NotShared("a test of a value")
        return test(*given)

    return telling


_SAME_OF_ALL = ("defined", "undefined")
"""Tests that say the same of every text."""
_TESTS: dict[str, Any] = {
    name: cast(Any, test) if name in _SAME_OF_ALL else _telling(cast(Any, test)) for name, test in ALL_TESTS.items()
}


@pass_context
def _turns(context: Context, found: Iterable[Any]) -> Iterator[Any]:
    """Look at the time with each turn of a loop, also of one that puts nothing out."""
    sandbox = cast(Sandbox, context.environment)
    for each in found:
        sandbox.spend()
        yield each
    sandbox.spend()


def _join(found: Iterable[Any], between: str = "", attribute: str | None = None) -> str | Blank:
    """Put the texts of a list one after the other."""
    parts = [each if attribute is None else each[attribute] for each in found]
    if Blank in map(type, parts):
        return Blank.joined(between, parts)
    listed = list(map(_text, parts))
    require_size(sum(map(len, listed)) + len(between) * len(listed))
    return between.join(listed)


def _replace(found: Any, old: str, new: str) -> str:
    """Put `new` where `old` stands."""
    text = _text(found)
    require_size(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _text(found: Any, *, expected: str = "texts to put together") -> str:
    if isinstance(found, bool) or not isinstance(found, str | int | float | Decimal):
        if isinstance(found, Undefined):
            str(found)  # a name that is not known says so itself
        what = "nothing" if found is None else f"a value of type {type(found).__name__}"
        raise OutputRefused(expected=expected, found=what)
    return str(found)

"""What the source says beside its code: field docstrings, comments of enum members, signatures as they are written.

The text comes from the source and not from the objects, so that it is the same under every version of Python.
"""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A name, the annotation and default it is written with, and what the source says about it."""

    name: str
    annotation: str
    default: str
    text: str


@cache
def _tree(thing: Any) -> tuple[str, ast.stmt]:
    text = textwrap.dedent(inspect.getsource(thing))
    return text, ast.parse(text).body[0]


def _segment(text: str, node: ast.AST | None) -> str:
    found = ast.get_source_segment(text, node) if node is not None else None
    return re.sub(r"\s+", " ", found or "").strip()


def docstring(thing: Any) -> str:
    """Return the whole docstring, its paragraphs unwrapped."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return "\n\n".join(re.sub(r"\s*\n\s*", " ", paragraph) for paragraph in text.split("\n\n"))


def fields_said(kind: type) -> dict[str, Said]:
    """Return the annotated fields of a class, each with the docstring that follows it."""
    text, tree = _tree(kind)
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, Said] = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                said = re.sub(r"\s+", " ", str(after.value.value)).strip()
            name = node.target.id
            found[name] = Said(
                name=name, annotation=_segment(text, node.annotation), default=_segment(text, node.value), text=said
            )
    return found


def members_said(kind: type[Enum]) -> dict[str, str]:
    """Return the values of an enumeration, each with the comment behind it."""
    text, tree = _tree(kind)
    assert isinstance(tree, ast.ClassDef)
    comments = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    lines = {
        node.targets[0].id: node.end_lineno
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return {str(member.value): comments.get(lines[member.name] or 0, "") for member in kind}


def signature(function: Callable[..., Any], *, name: str | None = None, method: bool = False) -> str:
    """Return the signature of a function as its source writes it, on one line."""
    text, tree = _tree(function)
    assert isinstance(tree, ast.FunctionDef)
    arguments = tree.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    parts = [_argument(text, each, default) for each, default in zip(positional, defaults, strict=True)]
    if method:
        parts = parts[1:]
    if arguments.vararg:
        parts.append(f"*{_argument(text, arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [_argument(text, each, d) for each, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    returned = f" -> {_segment(text, tree.returns)}" if tree.returns else ""
    return f"{name or function.__name__}({', '.join(parts)}){returned}"


def _argument(text: str, argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {_segment(text, argument.annotation)}" if argument.annotation else ""
    equals = " = " if annotation else "="
    return f"{argument.arg}{annotation}" + (f"{equals}{_segment(text, default)}" if default is not None else "")


def public_methods(kind: type) -> list[tuple[str, Any]]:
    """Return the public properties, methods and class methods that a class defines itself, in their order."""
    found = []
    for name, value in vars(kind).items():
        inner = value.__func__ if isinstance(value, classmethod) else value
        if isinstance(inner, property):
            inner = inner.fget
        elif hasattr(inner, "func") and not inspect.isfunction(inner):  # a cached property
            inner = inner.func
        if not name.startswith("_") and inspect.isfunction(inner):
            found.append((name, value))
    return found

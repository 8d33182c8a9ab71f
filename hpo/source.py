"""The version of a function that names none: a hash of its source."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from typing import Any

from hpo.trial import canonical, digest

_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def version(function: Callable[..., Any], *others: object) -> str:
    """Hash a function's source with that of all that it uses of its own module.

    Functions, classes and plain constants count; comments, blank lines, decorators and other
    modules do not.

    Args:
        others: plain values that count as well.

    Raises:
        OSError, TypeError: if there is no source.
    """
    found: dict[str, str] = {}
    _collect(function.__name__, function, function.__globals__, found)
    return digest(sorted(found.items()), *others)[:12]


def _collect(name: str, value: Any, module: dict[str, Any], found: dict[str, str]) -> None:
    value = inspect.unwrap(getattr(value, "function", value))
    if inspect.isfunction(value) or inspect.isclass(value):
        if value.__module__ != module.get("__name__"):
            return
        node, found[name] = _definition(value)
        for used in _names(node):
            if used in module and used not in found:
                _collect(used, module[used], module, found)
    elif _is_plain(value):
        found[name] = canonical(value)


def _definition(value: Any) -> tuple[ast.AST, str]:
    """Give a function or class as a tree, and its text without what changes nothing."""
    text = textwrap.dedent(inspect.getsource(value))
    try:
        node: ast.AST = ast.parse(text).body[0]
    except SyntaxError:  # a lambda's line, cut out of an expression
        return ast.Module([], []), text
    first = getattr(node, "lineno", 1)  # after the decorators
    lines = text.splitlines(keepends=True)[first - 1 :]
    tokens = tokenize.generate_tokens(io.StringIO("".join(lines)).readline)
    return node, " ".join(token.string for token in tokens if token.type not in _LAYOUT)


def _names(node: ast.AST) -> Iterator[str]:
    return (its.id for its in ast.walk(node) if isinstance(its, ast.Name))


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, [*value, *value.values()]))
    return value is None or isinstance(value, bool | int | float | str)

"""Python-like expressions of strangers, by a whitelist: nothing is run but what stands here."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo import arithmetic
from hpo.errors import InputError

MOST_CHARACTERS = 1000
MOST_WORK = 100_000  # values looked at or made by one evaluation
_MOST_NESTED = 50

_BINARY: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_COMPARE: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
# What an operation on values of the wrong kind or size raises.
_WRONG = (TypeError, ValueError, ArithmeticError, AttributeError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Two of the same text are equal."""

    text: str
    tree: ast.expr

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def names(self) -> list[str]:
        """The names that it needs values for, in order."""
        bound, called = set(), set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.comprehension):
                bound |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
            if isinstance(node, ast.Call):
                called |= {id(n) for n in ast.walk(node.func) if isinstance(n, ast.Name)}
        free = [n for n in ast.walk(self.tree) if isinstance(n, ast.Name) and id(n) not in called]
        free.sort(key=lambda n: (n.lineno, n.col_offset))
        return list(dict.fromkeys(n.id for n in free if n.id not in bound))

    def value(self, names: Mapping[str, object]) -> Any:
        """Evaluate it with these values of its names.

        Raises:
            InputError: naming the piece that is not allowed, too large or impossible.
        """
        return _plain(_Evaluation(dict(names)).of(self.tree))


def parsed(text: str) -> Expression:
    """Parse an expression.

    Raises:
        InputError: if it is none.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"expected an expression of at most {MOST_CHARACTERS:,} characters,"
            f" found {len(text):,}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but lawful literals
            tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise InputError(f"expected an expression, but {error.msg}: {text!r:.60}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"expected an expression, found {text!r:.60}") from error
    return Expression(text.strip(), tree)


def evaluate(text: str) -> Any:
    """Give the plain value of an expression without names.

    Raises:
        InputError: naming the piece that is not allowed, too large or impossible.
    """
    return parsed(text).value({})


def is_computed(text: str) -> bool:
    """Tell an expression from an ordinary text: it has brackets, a call, or numbers only."""
    if text.lstrip()[:1] in ("[", "("):
        return True
    try:
        nodes = list(ast.walk(parsed(text).tree))
    except InputError:
        return False
    if any(isinstance(node, ast.List | ast.Tuple | ast.Call | ast.ListComp) for node in nodes):
        return True
    return not any(isinstance(node, ast.Name) for node in nodes)


class _Evaluation:
    """One walk over a tree, which may look at so many values and not more."""

    def __init__(self, names: dict[str, object]) -> None:
        self._names = names
        self._left = MOST_WORK
        self._depth = 0

    def of(self, node: ast.expr) -> Any:
        visit = _VISITS.get(type(node))
        if visit is None:
            raise InputError(f"expected no {type(node).__name__} in it, found {_shown(node)}")
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise InputError(f"expected at most {_MOST_NESTED} levels, found a deeper expression")
        try:
            value = visit(self, node)
        except _WRONG as error:
            raise InputError(f"{_shown(node)}: {error}") from error
        self._depth -= 1
        self._left -= arithmetic.size(value)
        if self._left < 0:
            raise InputError(f"expected at most {MOST_WORK:,} steps, found an expression of more")
        return value

    def constant(self, node: ast.Constant) -> Any:
        return arithmetic.checked(node.value)

    def name(self, node: ast.Name) -> Any:
        if node.id not in self._names:
            raise InputError(f"expected known names, found {node.id}")
        return self._names[node.id]

    def items(self, node: ast.List | ast.Tuple) -> list[Any]:
        return arithmetic.checked([self.of(item) for item in node.elts])  # type: ignore[no-any-return]

    def binary(self, node: ast.BinOp) -> Any:
        symbol = _BINARY.get(type(node.op))
        if symbol is None:
            raise InputError(f"expected + - * / // % **, found {_shown(node)}")
        return arithmetic.binary(symbol, self.of(node.left), self.of(node.right))

    def unary(self, node: ast.UnaryOp) -> Any:
        value = self.of(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(node.op, ast.Invert):
            raise InputError(f"expected + - not, found {_shown(node)}")
        return arithmetic.binary("*", -1 if isinstance(node.op, ast.USub) else 1, value)

    def both(self, node: ast.BoolOp) -> Any:
        value = None
        for part in node.values:
            value = self.of(part)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def choice(self, node: ast.IfExp) -> Any:
        return self.of(node.body if self.of(node.test) else node.orelse)

    def compare(self, node: ast.Compare) -> bool:
        left = self.of(node.left)
        for kind, side in zip(node.ops, node.comparators, strict=True):
            right = self.of(side)
            if type(kind) not in _COMPARE:
                raise InputError(f"expected == != < <= > >= in, found {_shown(node)}")
            if not _COMPARE[type(kind)](left, right):
                return False
            left = right
        return True

    def call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func).replace("numpy.", "np.", 1)
        if name not in arithmetic.FUNCTIONS:
            known = ", ".join(arithmetic.FUNCTIONS)
            raise InputError(f"expected one of {known}, found {_shown(node.func)}")
        arguments = [self.of(argument) for argument in node.args]
        named = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise InputError(f"expected no ** in a call, found {_shown(node)}")
            named[keyword.arg] = self.of(keyword.value)
        with np.errstate(all="ignore"):  # what comes out is looked at
            return arithmetic.call(name, arguments, named)

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> list[Any]:
        outer = dict(self._names)
        made = []
        for _ in self._loops(node.generators):
            made.append(self.of(node.elt))
        self._names = outer
        return arithmetic.checked(made)  # type: ignore[no-any-return]  # what came

    def _loops(self, generators: list[ast.comprehension]) -> Iterator[None]:
        if not generators:
            yield
            return
        first, *others = generators
        if not isinstance(first.target, ast.Name) or first.is_async:
            raise InputError(f"expected `for NAME in`, found {_shown(first.target)}")
        many = self.of(first.iter)
        if not isinstance(many, list | tuple):
            raise InputError(f"expected a list after `in`, found {_shown(first.iter)}")
        for one in many:
            self._names[first.target.id] = one
            if all(self.of(condition) for condition in first.ifs):
                yield from self._loops(others)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _shown(node: ast.AST) -> str:
    try:
        text = ast.unparse(node)
    except (ValueError, RecursionError):  # a number too long to be printed
        return type(node).__name__
    return text if len(text) <= 60 else f"{text[:59]}…"


_VISITS: dict[type[ast.expr], Callable[[_Evaluation, Any], Any]] = {
    ast.Constant: _Evaluation.constant,
    ast.Name: _Evaluation.name,
    ast.List: _Evaluation.items,
    ast.Tuple: _Evaluation.items,
    ast.BinOp: _Evaluation.binary,
    ast.UnaryOp: _Evaluation.unary,
    ast.BoolOp: _Evaluation.both,
    ast.IfExp: _Evaluation.choice,
    ast.Compare: _Evaluation.compare,
    ast.Call: _Evaluation.call,
    ast.ListComp: _Evaluation.comprehension,
    ast.GeneratorExp: _Evaluation.comprehension,
}

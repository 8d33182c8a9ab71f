"""Logical expressions as -R select[…] and -w take them: `a && (b || !c)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Leaf = TypeVar("Leaf")

FINISHED = ("done", "ended", "started", "post_done", "post_err")
COUNTED = ("numdone", "numended", "numexit", "numhold", "numpend", "numrun", "numstart")
OPERATOR = r"==|!=|>=|<=|>|<"


@dataclass(frozen=True)
class Logic(Generic[Leaf]):
    """`&&` or `||` of two terms or more, or `!` of one."""

    operator: str
    terms: tuple[Leaf | Logic[Leaf], ...]

    def leaves(self) -> Iterator[Leaf]:
        for term in self.terms:
            yield from leaves(term)


@dataclass(frozen=True)
class Property:
    """What a host must have: `gpuhost`, `mem>180GB`."""

    name: str
    operator: str = ""
    value: str = ""


@dataclass(frozen=True)
class Condition:
    """What a job must have come to: `exit(7[2], != 0)`; number is None for any or all."""

    kind: str
    job: str
    index: str = ""  # of an array's element, `*` for the one with the same index
    operator: str = ""
    number: int | None = None


Selection = Property | Logic[Property]
Dependency = Condition | Logic[Condition]


def leaves(expression: Leaf | Logic[Leaf]) -> Iterator[Leaf]:
    """Give the conditions of an expression from left to right."""
    if isinstance(expression, Logic):
        yield from expression.leaves()
    else:
        yield expression


def selection(text: str) -> Selection:
    """Read what stands in select[…]."""
    return _Reader(text, _property).whole()


def dependency(text: str) -> Dependency:
    """Read the value of -w."""
    return _Reader(text, _condition).whole()


class _Reader(Generic[Leaf]):
    """Reads one expression from left to right; `leaf` reads what has no operators."""

    def __init__(self, text: str, leaf: Callable[[_Reader[Leaf]], Leaf]) -> None:
        self.text = text
        self._at = 0
        self._leaf = leaf

    def whole(self) -> Leaf | Logic[Leaf]:
        found = self._any()
        if self.text[self._at :].strip():
            raise self.wrong("&& or || or the end")
        return found

    def take(self, pattern: str) -> re.Match[str] | None:
        """Take what matches here, with the spaces before it."""
        found = re.compile(rf"\s*(?:{pattern})").match(self.text, self._at)
        if found:
            self._at = found.end()
        return found

    def need(self, pattern: str, what: str) -> re.Match[str]:
        found = self.take(pattern)
        if not found:
            raise self.wrong(what)
        return found

    def wrong(self, what: str) -> ValueError:
        rest = self.text[self._at :].strip()
        return ValueError(f"expected {what}, found {rest!r}" if rest else f"expected {what}")

    def _any(self) -> Leaf | Logic[Leaf]:
        return self._joined("||", self._all)

    def _all(self) -> Leaf | Logic[Leaf]:
        return self._joined("&&", self._one)

    def _joined(self, operator: str, term: Callable[[], Leaf | Logic[Leaf]]) -> Leaf | Logic[Leaf]:
        terms = [term()]
        while self.take(re.escape(operator)):
            terms.append(term())
        return terms[0] if len(terms) == 1 else Logic(operator, tuple(terms))

    def _one(self) -> Leaf | Logic[Leaf]:
        if self.take("!"):
            return Logic("!", (self._one(),))
        if self.take(r"\("):
            inner = self._any()
            self.need(r"\)", "a closing )")
            return inner
        return self._leaf(self)


def _property(reader: _Reader[Property]) -> Property:
    name = reader.need(r"(defined\(\w+\)|[A-Za-z]\w*)", "a resource's name")[1]
    operator = reader.take(rf"({OPERATOR}|=)")
    if not operator:
        return Property(name)
    value = reader.need(r"('[^']+'|[\w.+-]+)", f"a value after {operator[1]}")
    return Property(name, operator[1], value[1])


def _condition(reader: _Reader[Condition]) -> Condition:
    kind = reader.take(r"([A-Za-z_]+)\s*\(")
    if not kind:
        return Condition("done", *_job(reader))
    if kind[1] not in (*FINISHED, *COUNTED, "exit"):
        known = ", ".join((*FINISHED, "exit", *COUNTED))
        raise ValueError(f"unknown condition {kind[1]!r}; known are {known}")
    job, index = _job(reader)
    operator, number = "", None
    if kind[1] in COUNTED:
        operator, number = _count(reader)
    elif kind[1] == "exit" and reader.take(","):
        operator, number = _compared(reader, "an exit code")
    reader.need(r"\)", f"a closing ) of {kind[1]}(")
    return Condition(kind[1], job, index, operator, number)


def _count(reader: _Reader[Condition]) -> tuple[str, int | None]:
    reader.need(",", ", and a number of elements or *")
    if reader.take(r"\*"):
        return "", None
    return _compared(reader, "a number of elements or *")


def _compared(reader: _Reader[Condition], what: str) -> tuple[str, int]:
    operator = reader.take(f"({OPERATOR})")
    return operator[1] if operator else "==", int(reader.need(r"(\d+)", what)[1])


def _job(reader: _Reader[Condition]) -> tuple[str, str]:
    """Read `7`, `7[2]`, `name`, `"name*"`, `name[*]`; LSF refuses `"name[1-5]"`."""
    what = 'a job\'s ID, ID[INDEX], name or "name"'
    if reader.take('"'):
        name = reader.need(r"([\w.-]+\*?)", what)[1]
        index = _index(reader)
        reader.need('"', 'a closing "')
        return name, index
    name = reader.need(r"(\d+(?![\w.-])|[A-Za-z_.][\w.-]*\*?)", what)[1]
    return name, _index(reader)


def _index(reader: _Reader[Condition]) -> str:
    if not reader.take(r"\["):
        return ""
    return reader.need(r"(\d+|\*)\]", "one element's index or *, and ]")[1]

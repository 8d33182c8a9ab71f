"""What a job asks for: -R, -M, -gpu, with memory always in a unit (compute1's pages advise it)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import expressions
from expressions import Logic, Property, Selection

UNITS = "KMGTPE"
MEMORY_RESOURCES = ("mem", "swp", "tmp", "maxmem", "maxswp", "maxtmp")
SECTIONS = ("select", "order", "rusage", "span", "same", "cu", "affinity")
# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=strings-affinity-string
AFFINITY = re.compile(
    r"core\((?P<cores>[1-9]\d*)\)"
    r"(:cpubind=(numa|socket|core|thread))?"
    r"(:membind=(localonly|localprefer))?"
    r"(:distribute=(any|balance|pack(\((numa|socket|core)=[1-9]\d*\))?))?"
)


@dataclass(frozen=True)
class Resources:
    """A resource requirement; what it does not name is None."""

    select: Selection | None = None
    cores: int | None = None  # of each task
    hosts: int | None = None
    ptile: int | None = None  # tasks on each host
    memory_bytes: int | None = None
    memory_per: str = ""  # host, task or job, where the file says it

    def wants_gpu_host(self) -> bool:
        """Whether gpuhost comes first and must hold, as compute1 asks."""
        first = self.select
        if isinstance(first, Logic) and first.operator == "&&":
            first = next(iter(first.terms))
        return first == Property("gpuhost")

    def names_gpu_host(self) -> bool:
        return self.select is not None and Property("gpuhost") in expressions.leaves(self.select)


@dataclass(frozen=True)
class Gpu:
    """The value of -gpu, with IBM's defaults."""

    num: int = 1
    per: str = "host"
    gmodel: str | None = None
    gmem_bytes: int | None = None
    j_exclusive: bool | None = None
    mode: str | None = None
    others: tuple[tuple[str, str], ...] = ()


def memory_bytes(text: str) -> int:
    """Read `16GB` or `16G`."""
    found = re.fullmatch(rf"([1-9]\d*)([{UNITS}])B?", text)
    if not found:
        wanted = f"a whole number with a unit ({', '.join(UNITS)} or {UNITS[0]}B …)"
        raise ValueError(f"expected {wanted}, found {text!r}")
    return int(found[1]) << 10 * (1 + UNITS.index(found[2]))


def resources(text: str) -> Resources:
    """Read the value of -R: `gpuhost span[ptile=4]`, `select[…] rusage[mem=16GB]`."""
    sections = _sections(text)
    found: dict[str, Any] = {}
    for name, content in sections.items():
        try:
            found |= READERS[name](content)
        except ValueError as error:
            raise ValueError(f"{name}[{content}]: {error}") from None
    return Resources(**found)


def _sections(text: str) -> dict[str, str]:
    """Split into name and content; what stands before the first section is select's."""
    found: dict[str, str] = {}
    start = re.search(r"\b\w+\[", text)
    bare = text[: start.start()] if start else text
    if bare.strip():
        found["select"] = bare.strip()
    rest = text[len(bare) :]
    while rest:
        section = re.match(r"(\w+)\[([^\[\]]*)\](?: +|$)", rest)
        if not section:
            raise ValueError(f"expected SECTION[…] and a space before the next, found {rest!r}")
        name = section[1]
        if name not in SECTIONS:
            raise ValueError(f"unknown section {name!r}; known are {', '.join(SECTIONS)}")
        if name in found:
            raise ValueError(f"expected {name} once, found it twice")
        if name == "select" and found:
            raise ValueError("expected select[…] before the other sections")
        found[name] = section[2]
        rest = rest[section.end() :]
    return found


def _select(content: str) -> dict[str, Any]:
    select = expressions.selection(content)
    for leaf in expressions.leaves(select):
        if leaf.name in MEMORY_RESOURCES:
            memory_bytes(leaf.value)
    return {"select": select}


def _rusage(content: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in re.split(r", *|:", content):
        name, _, value = word.partition("=")
        amount, slash, per = value.partition("/")
        if name not in ("mem", "swp", "tmp") or (slash and per not in ("host", "task", "job")):
            raise ValueError(
                f"expected mem=, swp= or tmp=AMOUNT[/host|/task|/job], found {word!r}"
            )
        n_bytes = memory_bytes(amount)
        if name == "mem":
            if found:
                raise ValueError("expected mem= once, found it twice")
            found = {"memory_bytes": n_bytes, "memory_per": per}
    return found


def _span(content: str) -> dict[str, Any]:
    if content == "hosts=1":
        return {"hosts": 1}
    ptile = re.fullmatch(r"ptile=([1-9]\d*)", content)
    if not ptile:
        raise ValueError("expected hosts=1 or ptile=N with a positive N")
    return {"ptile": int(ptile[1])}


def _affinity(content: str) -> dict[str, Any]:
    found = AFFINITY.fullmatch(content)
    if not found:
        raise ValueError("expected core(N)[:cpubind=…][:membind=…][:distribute=…]")
    return {"cores": int(found["cores"])}


def _unread(content: str) -> dict[str, Any]:
    if not re.fullmatch(r"[\w:=+-]+", content):
        raise ValueError("expected NAME[:NAME…]")
    return {}


READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "select": _select,
    "rusage": _rusage,
    "span": _span,
    "affinity": _affinity,
    **dict.fromkeys(("order", "same", "cu"), _unread),
}


# https://www.ibm.com/docs/en/SSWRJV_10.1.0/lsf_command_ref/bsub.gpu.1.html
GPU_KEYS = {
    "num": r"[1-9]\d*(/task|/host)?",
    "mode": "shared|exclusive_process",
    "mps": r"no|(yes|per_socket|per_gpu)(,shared)?(,nocvd)?",
    **dict.fromkeys(("j_exclusive", "aff", "block", "gpack"), "yes|no"),
    "gvendor": "amd|nvidia",
    "gmodel": r"[A-Za-z]\w*(-[1-9]\d*[KMGT]B?)?",
    "gtile": r"[1-9]\d*|!",
    "gmem": rf"[1-9]\d*[{UNITS}]B?",
    "glink": "yes",
    "mig": r"[1-9](/[1-9])?",
}


def gpu(text: str) -> Gpu:
    """Read the value of -gpu: `num=1:gmodel=NVIDIAA40:gmem=8G`, or `-` for the defaults."""
    values: dict[str, str] = {}
    for word in [] if text == "-" else text.split(":"):
        key, _, value = word.partition("=")
        if key not in GPU_KEYS:
            raise ValueError(f"unknown key {key!r}; known are {', '.join(GPU_KEYS)}")
        if key in values:
            raise ValueError(f"expected {key}= once, found it twice")
        if not re.fullmatch(GPU_KEYS[key], value):
            raise ValueError(f"{key}: expected {GPU_KEYS[key]}, found {value!r}")
        values[key] = value
    num, _, per = values.pop("num", "1").partition("/")
    gmem, exclusive = values.pop("gmem", None), values.pop("j_exclusive", None)
    return Gpu(
        num=int(num),
        per=per or "host",
        gmodel=values.pop("gmodel", None),
        gmem_bytes=None if gmem is None else memory_bytes(gmem),
        j_exclusive=None if exclusive is None else exclusive == "yes",
        mode=values.pop("mode", None),
        others=tuple(values.items()),
    )

"""Reads LSF job files and bsub command lines as strictly as can be, for want of an LSF."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from expressions import Dependency
from resources import Gpu, Resources
from values import VALUES, Array

MAX_RUN_LIMIT_MIN = {"general": 28 * 24 * 60, "general-interactive": 24 * 60}
INTERACTIVE = ("-I", "-Ip", "-Is")
FLAGS = ("-N", "-B", "-r", "-rn", "-x", *INTERACTIVE)
SPECIAL = set("[](){}*?&|;<>!~`$\\ ")
COMMAND_LINE = "command line"
FIELDS = {
    "-G": "group",
    "-g": "job_group",
    "-q": "queue",
    "-n": "n_tasks",
    "-R": "resources",
    "-M": "memory_limit_bytes",
    "-W": "run_limit_min",
    "-wt": "warning_min",
    "-wa": "warning_signal",
    "-Q": "requeue_codes",
    "-a": "image",
    "-gpu": "gpu",
    **dict.fromkeys(("-o", "-oo"), "output"),
    **dict.fromkeys(("-e", "-eo"), "error"),
    "-w": "dependency",
    "-cwd": "directory",
}


@dataclass(frozen=True)
class Directive:
    """One option, where it stands and its value; None for a flag."""

    place: str
    option: str
    value: str | None


@dataclass(frozen=True)
class Mail:
    """-N, -B and -u."""

    at_end: bool = False
    at_start: bool = False
    address: str | None = None


@dataclass(frozen=True)
class Job:
    """What is submitted; what the options do not say is None."""

    script: str
    directives: tuple[Directive, ...] = ()
    name: str | None = None
    array: Array | None = None
    group: str | None = None
    job_group: str | None = None
    queue: str | None = None
    n_tasks: int = 1
    resources: Resources = field(default_factory=Resources)
    memory_limit_bytes: int | None = None
    run_limit_min: int | None = None
    warning_signal: str | None = None
    warning_min: int | None = None
    requeue_codes: frozenset[int] = frozenset()
    image: str | None = None
    gpu: Gpu | None = None
    output: str | None = None
    overwrites_output: bool = False
    error: str | None = None
    overwrites_error: bool = False
    mail: Mail = field(default_factory=Mail)
    dependency: Dependency | None = None
    directory: str | None = None
    is_interactive: bool = False


def read(text: str, words: Sequence[str] = ()) -> Job:
    """Read a job file as `bsub WORDS < FILE` does; the command line wins.

    Raises:
        ValueError: in one line, with the line's number, the option and what was expected.
    """
    given, command = split_command(words)
    if command:
        raise ValueError(f"{COMMAND_LINE}: expected no command beside a file, found {command}")
    written = _written(text)
    _parse(written)
    names = {_family(directive.option) for directive in given}
    kept = [directive for directive in written if _family(directive.option) not in names]
    script = "\n".join(line for line in text.split("\n") if not line.startswith("#BSUB"))
    return _job(script, [*kept, *given])


def read_command(words: Sequence[str]) -> Job:
    """Read the words after `bsub` of a command line that names the job's command.

    Raises:
        ValueError: as `read` does.
    """
    directives, command = split_command(words)
    if not command:
        raise ValueError(f"{COMMAND_LINE}: expected a command after the options, found none")
    return _job(f"#!/bin/sh\n{_shell_line(command)}\n", directives)


# --- from text to directives ---


def _written(text: str) -> list[Directive]:
    """Find the options of all #BSUB lines."""
    lines = text.split("\n")
    if not re.match(r"#!/\S", lines[0]):
        raise ValueError(f"line 1: expected #! and an absolute path, found {lines[0]!r}")
    directives: list[Directive] = []
    command_at = 0
    for number, line in enumerate(lines, start=1):
        place = f"line {number}"
        if "\r" in line:
            raise ValueError(f"{place}: expected lines that end in LF, found CR LF")
        if not re.match(r"#BSUB|\s*#+\s*bsub\s*-", line, re.IGNORECASE):
            if not command_at and line.strip() and not line.lstrip().startswith("#"):
                command_at = number
            continue
        # IBM wants #BSUB "at the beginning of each line"; OpenLava takes `  # BSUB` too.
        if not re.match("#BSUB +-", line):
            raise ValueError(f"{place}: expected '#BSUB -OPTION' from the start, found {line!r}")
        # IBM's own example has one after the commands, and a here-document's are read as well.
        if command_at:
            raise ValueError(
                f"{place}: expected #BSUB lines before the first command (line {command_at}):"
                " LSF reads them here too, which few expect"
            )
        if not line.isascii():
            raise ValueError(f"{place}: expected ASCII, found {line!r}")
        directives += _options(place, _words(place, line))
    return directives


def _words(place: str, line: str) -> list[tuple[str, bool]]:
    """Split a #BSUB line into words, each with whether it was quoted."""
    words: list[tuple[str, bool]] = []
    rest = line.removeprefix("#BSUB").strip()
    if "\\" in rest:
        raise ValueError(f"{place}: expected no backslash, found {line!r}")
    while rest:
        option = words[-1][0] if words else "#BSUB"
        found = re.match(r"""("[^"]*"|'[^']*'|[^\s"']+)(\s+|$)""", rest)
        if not found:
            raise ValueError(
                f"{place}: {option}: expected a quoted or a plain value, found {rest!r}"
            )
        word, quoted = found[1], found[1][0] in "\"'"
        words.append((word[1:-1] if quoted else word, quoted))
        rest = rest[found.end() :]
    return words


def _options(place: str, words: Sequence[tuple[str, bool]]) -> Iterator[Directive]:
    rest = list(words)
    while rest:
        option, quoted = rest.pop(0)
        if quoted or not option.startswith("-"):
            raise ValueError(f"{place}: expected an option, found {option!r}")
        if option in FLAGS:
            yield Directive(place, option, None)
            continue
        _know(place, option)
        value, quoted = rest.pop(0) if rest else ("", False)
        if not value or (not quoted and value.startswith("-") and value != "-"):
            raise ValueError(f"{place}: {option}: expected a value, found {value or 'none'}")
        if not quoted and SPECIAL & set(value):
            raise ValueError(f'{place}: {option}: expected quotes: "{value}"')
        yield Directive(place, option, value)


def split_command(words: Sequence[str]) -> tuple[list[Directive], list[str]]:
    """Split the words after `bsub` into options and the job's command, if there is one."""
    directives, rest = [], list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in FLAGS:
            directives.append(Directive(COMMAND_LINE, option, None))
            continue
        _know(COMMAND_LINE, option)
        if not rest or not rest[0]:
            raise ValueError(f"{COMMAND_LINE}: {option}: expected a value, found none")
        directives.append(Directive(COMMAND_LINE, option, rest.pop(0)))
    return directives, rest


def _know(place: str, option: str) -> None:
    if option not in VALUES:
        known = ", ".join(sorted((*VALUES, *FLAGS), key=str.lower))
        raise ValueError(f"{place}: unknown option {option!r}; known are {known}")


def _shell_line(command: Sequence[str]) -> str:
    """Join a command's words as OpenLava's bsub does: a shell reads the line again."""

    def quoted(word: str) -> str:
        if " " in word:
            return f"'{word}'" if '"' in word or "$" in word else f'"{word}"'
        return re.sub(r"""(["'\\()])""", r"\\\1", word)

    return " ".join([command[0], *map(quoted, command[1:])])


# --- from directives to a job ---


def _job(script: str, directives: Sequence[Directive]) -> Job:
    """Read the values, and see that they go together."""
    values = _parse(directives)
    name, array = values.get("-J", (None, None))
    job = Job(
        script=script,
        directives=tuple(directives),
        name=name,
        array=array,
        overwrites_output="-oo" in values,
        overwrites_error="-eo" in values,
        is_interactive=not values.keys().isdisjoint(INTERACTIVE),
        mail=Mail(at_end="-N" in values, at_start="-B" in values, address=values.get("-u")),
        **{FIELDS[option]: value for option, value in values.items() if option in FIELDS},
    )
    for option, wrong in _conflicts(job):
        place = next(d.place for d in directives if _family(d.option) == option)
        raise ValueError(f"{place}: {option}: {wrong}")
    return job


def _parse(directives: Sequence[Directive]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    seen: dict[str, Directive] = {}
    for directive in directives:
        place, option = directive.place, directive.option
        first = seen.setdefault(_family(option), directive)
        if first is not directive:
            raise ValueError(f"{place}: {option}: expected it once, found it at {first.place} too")
        if directive.value is None:
            values[option] = True
            continue
        try:
            if re.search(r"[$`]", directive.value):
                raise ValueError("expected no variables: LSF leaves them as they are")
            values[option] = VALUES[option](directive.value)
        except ValueError as error:
            raise ValueError(f"{place}: {option}: {error}") from None
    return values


def _family(option: str) -> str:
    """Name the option that must stand but once: -oo is -o in another manner."""
    same = {"-oo": "-o", "-eo": "-e", "-rn": "-r"} | dict.fromkeys(INTERACTIVE, "-I")
    return same.get(option, option)


def _conflicts(job: Job) -> Iterator[tuple[str, str]]:
    """Say which options do not go together."""
    asked = job.resources
    if job.memory_limit_bytes and job.memory_limit_bytes < (asked.memory_bytes or 0):
        yield "-M", f"expected at least rusage[mem=…], {asked.memory_bytes} bytes"
    if asked.ptile and job.n_tasks % asked.ptile:
        yield "-R", f"expected a ptile that divides -n {job.n_tasks}, found {asked.ptile}"
    if job.gpu and not asked.wants_gpu_host():
        option = "-R" if asked != Resources() else "-gpu"
        yield option, "expected gpuhost first in -R, or select[gpuhost && …]"
    if asked.names_gpu_host() and not job.gpu:
        yield "-R", "expected -gpu with gpuhost"
    yield from _time_conflicts(job)
    if job.is_interactive and (job.array or job.requeue_codes):
        yield "-I", "expected no array and no -Q in an interactive job"
    if job.array:
        for option, path in (("-o", job.output), ("-e", job.error)):
            if path not in (None, "/dev/null") and "%I" not in str(path):
                yield option, "expected %I in the file's name: the array's elements share it"
    excluding = next((d for d in job.directives if d.option == "-Q"), None)
    if excluding and "EXCLUDE" in str(excluding.value) and job.n_tasks > 1:
        yield "-Q", "expected no EXCLUDE(…) in a parallel job"
    if job.queue == "subscription" and "-sla" not in {d.option for d in job.directives}:
        yield "-q", "expected -sla with the queue subscription"


def _time_conflicts(job: Job) -> Iterator[tuple[str, str]]:
    if job.warning_min and not job.warning_signal:
        yield "-wt", "expected -wa with it"
    if job.warning_signal and not job.warning_min:
        yield "-wa", "expected -wt with it"
    if job.warning_min and job.warning_min >= (job.run_limit_min or 0):
        yield "-wt", f"expected less than -W, found {job.warning_min} of {job.run_limit_min}"
    longest_min = MAX_RUN_LIMIT_MIN.get(job.queue or "")
    if longest_min and (job.run_limit_min or 0) > longest_min:
        yield "-W", f"expected at most {longest_min} minutes in the queue {job.queue}"

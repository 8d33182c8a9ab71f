"""search.yaml: what a run directory's search is, and whether another one is the same."""

from __future__ import annotations

import io
import platform
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hpo import __version__
from hpo.errors import InputError
from hpo.rundir import RunDir, write_whole
from hpo.trial import USUAL_AIM, Aim

FORMAT = 1  # of the run directory; a higher one is refused. Without a number it is 1.

_UNSAID = asdict(USUAL_AIM)  # parts of an identity that are left out where they are the usual
_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "pandas", "scikit-learn", "mpi4py")


@dataclass(frozen=True)
class Record:
    """What search.yaml holds.

    Attributes:
        space: as `spaceyaml.described` gives it.
        identity: what all trial ids of the run rest on.
        data: what the objective's data tell of themselves: path, fingerprint and more.
        objective: what a report needs of one that is not the built-in: its defaults.
        versions: as read, those of the last start, as is the commit of `git`; what is written are
            those that run now.
    """

    space: Mapping[str, object]
    identity: Mapping[str, object]
    data: Mapping[str, Any]
    options: Mapping[str, object]
    defaults: Mapping[str, object] = field(default_factory=dict)  # of what the space leaves out
    test: str | None = None
    objective: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    git: str | None = None

    @property
    def aim(self) -> Aim:
        """What its trials are compared by."""
        return Aim(**{name: str(self.identity.get(name, its)) for name, its in _UNSAID.items()})

    def _what(self) -> str:
        names = [name for name in ("objective", "command") if self.options.get(name) is not None]
        return "".join(f" --{name} {shlex.quote(str(self.options[name]))}" for name in names)

    def write(self, run: RunDir) -> None:
        text = io.StringIO()
        entry = "rismpigpu.py" if self.options.get("device") == "gpu" else "rismpi.py"
        text.write(
            "# All that is needed to run this search again:\n"
            f"# python {entry}{self._what()} --space FILE [--data …] [--seed …], as below.\n"
        )
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = None
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # as written
        yaml.width = 1000
        yaml.allow_unicode = True
        yaml.dump(
            {
                "format": FORMAT,
                "space": dict(self.space),
                "defaults": dict(self.defaults),
                "options": dict(self.options),
                "identity": dict(self.identity),
                "data": dict(self.data),
                "test": self.test,
                **({"objective": dict(self.objective)} if self.objective else {}),
                "versions": versions(),
                "git": git_commit(),
            },
            text,
        )
        write_whole(run.search, text.getvalue())


def read(run: RunDir) -> Record:
    """Read a run directory's search.yaml.

    Raises:
        InputError: if there is none, or it is not one of this program, or of a newer one.
    """
    try:
        found = YAML(typ="safe", pure=True).load(run.search.read_text(encoding="utf-8"))
        _check_format(run, found)
        known = {field.name for field in fields(Record)}
        its = Record(**{name: value for name, value in found.items() if name in known})
    except OSError as error:
        found = "no search.yaml in it" if run.root.is_dir() else "no such directory"
        raise InputError(f"{run}: expected a run directory, found {found}") from error
    except (YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise InputError(
            f"{run.search}: expected what a search has written, found something"
            f" else ({type(error).__name__}: {error})"
        ) from error
    if not all(isinstance(part, Mapping) for part in (its.space, its.identity, its.data)):
        raise InputError(f"{run.search}: expected what a search has written, found something else")
    return its


def _check_format(run: RunDir, found: Mapping[str, Any]) -> None:
    """Refuse what a later version of this program has written in a way of its own."""
    number = found.get("format", FORMAT)
    if isinstance(number, int) and number <= FORMAT:
        return
    theirs = (found.get("versions") or {}).get("hpo", "a later version")
    raise InputError(
        f"{run}: expected a run directory of format {FORMAT} or lower, found format {number!r},"
        f" written by hpo {theirs}; this is hpo {__version__}, use that one"
    )


def check_same(run: RunDir, identity: Mapping[str, object], data: str) -> Record | None:
    """Refuse a run directory that belongs to a different search; give the record that it has.

    Raises:
        InputError: naming what differs and the way out.
    """
    if not run.search.exists():
        return None
    theirs = read(run)
    for name in dict.fromkeys([*identity, *theirs.identity]):
        ours, found = (its.get(name, _UNSAID.get(name)) for its in (identity, theirs.identity))
        if found == ours:
            continue
        is_data = name == "data"
        then = theirs.data.get("path") if is_data else found
        now = data if is_data else ours
        differ = " (another content)" if is_data and then == now else ""
        raise InputError(
            f"{run}: expected a run of this search, found one whose {name} is {then}, not"
            f" {now}{differ}; give another --out, or --fresh to set this one aside"
        )
    return theirs


def versions() -> dict[str, str]:
    """Name the versions that results may depend on, without loading anything."""
    found = {"hpo": __version__, "python": platform.python_version(), "cpu": cpu()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu() -> str:
    """Name the processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def git_commit() -> str | None:
    """Name the commit of this program, if it lies in a git checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

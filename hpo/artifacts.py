"""Data that are an artifact of a tracker, `wandb:…` or `mlflow:…`: brought into a cache, once.

A process of its own does that: what these packages load and start is nothing for a rank.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from hpo import launcher
from hpo.errors import ExitCode, InputError
from hpo.rundir import write_folder
from hpo.tracker import check_installed
from hpo.trial import digest

KINDS = ("wandb", "mlflow")
_WANDB = re.compile(r"([^/:]+/[^/:]+/[^/:]+:[^/:]+)(?:/(.+))?")
# Names whose content stays what it is; all others are looked up anew each time.
_PINNED = re.compile(r"[^/]+/[^/]+/[^/]+:v\d+|runs:/.+|models:/[^/]+/\d+")
_SERVERS = ("WANDB_BASE_URL", "MLFLOW_TRACKING_URI")
_MOST_NAMED = 5


def is_artifact(path: str | None) -> bool:
    """Tell whether data are named as an artifact."""
    return path is not None and path.partition(":")[0] in KINDS


def fetch(path: str) -> str:
    """Give the path of an artifact's file, which is brought first.

    Raises:
        InputError: if it cannot be had.
    """
    check_installed([path.partition(":")[0]], "--data")
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "download", path],
        env=launcher.for_module(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == ExitCode.DONE:
        return done.stdout.splitlines()[-1]
    lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
    told = [line for line in lines if line.startswith("error: ")]
    raise InputError(f"--data {(told or lines)[-1].removeprefix('error: ')}")


def add_parser(commands: Any) -> None:
    download = commands.add_parser(
        "download", help="bring an artifact that --data names into the cache; say where it is"
    )
    download.add_argument(
        "name",
        metavar="NAME",
        help="wandb:ENTITY/PROJECT/NAME:VERSION[/FILE] or mlflow:URI",
    )
    download.set_defaults(run=_download)


def _download(arguments: argparse.Namespace) -> int:
    print(_cached(arguments.name), flush=True)
    return ExitCode.DONE


def _cached(path: str) -> Path:
    """Give the file of an artifact.

    Raises:
        InputError: if there is none, or there are several.
    """
    kind, _, name = path.partition(":")
    if kind not in KINDS or not name:
        raise InputError(
            f"{path}: expected wandb:ENTITY/PROJECT/NAME:VERSION[/FILE] or mlflow:URI"
        )
    check_installed([kind], path)
    inside = None
    if kind == "wandb":
        match = _WANDB.fullmatch(name)
        if match is None:
            raise InputError(f"{path}: expected wandb:ENTITY/PROJECT/NAME:VERSION[/FILE]")
        name, inside = match.groups()
    folder = _folder(kind, name)
    if not (_PINNED.fullmatch(name) and folder.exists()):
        try:
            write_folder(folder, lambda beside: _bring(kind, name, beside))
        except OSError as error:
            raise InputError(
                f"{path}: expected a cache that can be written, {folder.parent}, found:"
                f" {error.strerror}; HPO_CACHE in the environment names another"
            ) from error
    return _one_of(path, folder, inside)


def _folder(kind: str, name: str) -> Path:
    root = Path(os.environ.get("HPO_CACHE") or "~/.cache/hpo").expanduser().resolve()
    servers = [os.environ.get(server, "") for server in _SERVERS]
    return root / "artifacts" / digest(kind, name, servers)[:16]


def _bring(kind: str, name: str, folder: Path) -> None:
    if kind == "wandb":
        from hpo import trackwandb

        trackwandb.download(name, folder)
    else:
        from hpo import trackmlflow

        trackmlflow.download(name, folder)


def _one_of(path: str, folder: Path, inside: str | None) -> Path:
    """Find the one file that is meant."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    names = [str(file.relative_to(folder)) for file in files]
    if inside is not None:
        if inside in names:
            return folder / inside
        raise InputError(f"{path}: expected a file {inside} in it, found {_shown(names)}")
    if len(files) != 1:
        raise InputError(f"{path}: expected one file, found {_shown(names)}; add /FILE to it")
    return files[0]


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return (", ".join(names[:_MOST_NAMED]) or "nothing") + more

"""Real searches under a real mpirun, and what of their results must be equal."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MPIRUN = str(Path(sys.executable).parent / "mpirun")
OPEN_MPI = shutil.which("mpirun.openmpi")
TIMEOUT_S = 300
# What depends on when and where a trial was trained.
VARYING = {"seconds", "rank", "host", "attempt", "error"}

# 16 combinations of two networks, a second or two of training in all.
SPACE = """\
filters: [4, 6]
dense_units: 16
batch_size: [32, 128]
learning_rate: [0.01, 0.1]
dropout: 0.3
validation_split: [0.1, 0.2]
epochs: 2
"""


def command(n_ranks: int, *words: object, mpirun: str = MPIRUN) -> list[str]:
    """Give the command line of a Python program under mpirun."""
    flags = ["--allow-run-as-root", "--oversubscribe"] if mpirun == OPEN_MPI else []
    return [mpirun, *flags, "-np", str(n_ranks), sys.executable, *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


def run(n_ranks: int, *words: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end."""
    return subprocess.run(
        command(n_ranks, *words),
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def search(
    n_ranks: int, out: Path, *options: object, **env: str
) -> subprocess.CompletedProcess[str]:
    """Search `SPACE`, or the one that the options name, in a run directory."""
    words = [ROOT / "rismpi.py", "--out", out]
    if "--space" not in options:
        words += ["--space", space_file(out.parent)]
    return run(n_ranks, *words, *options, cwd=out.parent, **env)


def space_file(folder: Path, text: str = SPACE) -> Path:
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def status(out: Path) -> int:
    """Ask `python -m hpo status` whether a run is finished."""
    return subprocess.run(
        [sys.executable, "-m", "hpo", "status", str(out)],
        env=environment(),
        check=False,
        capture_output=True,
    ).returncode


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def comparable(out: Path) -> str:
    """Give results.csv without the columns that may differ between equal searches."""
    kept = [{k: v for k, v in row.items() if k not in VARYING} for row in rows(out)]
    return "\n".join([",".join(kept[0])] + [",".join(row.values()) for row in kept])


def journal(out: Path) -> dict[str, bytes]:
    """Give the journal's files by name."""
    return {path.name: path.read_bytes() for path in (out / "journal").glob("*.jsonl")}


def n_records(out: Path) -> int:
    return sum(content.count(b"\n") for content in journal(out).values())


def open_mpi_library() -> str:
    """Name Open MPI's library, for MPI4PY_LIBMPI."""
    found = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return next(line.split("=> ")[1] for line in found.splitlines() if "libmpi.so" in line)

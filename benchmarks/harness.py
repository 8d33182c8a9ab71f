"""What all benchmarks share: the machine, medians, a table and a JSON file beside it."""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hpo import record

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
OUT = ROOT / "bench-results"

# What each rank says of itself at the end of a search (hpo.usage).
_RANK = re.compile(
    r"rank (?P<rank>\d+) on host (?P<host>.+): start (?P<start_s>[\d.]+) s,"
    r" compile (?P<compile_s>[\d.]+) s, train (?P<train_s>[\d.]+) s, files (?P<files_s>[\d.]+) s,"
    r" wait (?P<wait_s>[\d.]+) s, peak memory (?P<peak_gb>[\d.]+) GB$",
    re.MULTILINE,
)

Row = Mapping[str, Any]  # column to value; numbers are rounded when shown, not when saved


def arguments(about: str, **defaults: Any) -> argparse.Namespace:
    """Read `--name value` options, each of its default's type."""
    parser = argparse.ArgumentParser(description=about)
    for name, default in defaults.items():
        flag = "--" + name.replace("_", "-")
        kind = str if default is None else type(default)
        parser.add_argument(flag, type=kind, default=default, help="default: %(default)s")
    return parser.parse_args()


def mpirun(n_ranks: int, *words: object) -> list[str]:
    """Give the command line of a Python program on this environment's mpirun."""
    return [str(BIN / "mpirun"), "-np", str(n_ranks), sys.executable, *map(str, words)]


def run(command: Sequence[object], **env: str) -> tuple[str, float]:
    """Run a command to its end; give its standard output and the seconds it took.

    Raises:
        SystemExit: with all that it printed, if it failed.
    """
    begun = time.perf_counter()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        list(map(str, command)),
        env=os.environ | {"PYTHONPATH": path} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.perf_counter() - begun
    if done.returncode:
        sys.exit(
            f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout, took_s


def ranks_told(search_log: Path, n_ranks: int) -> list[dict[str, Any]]:
    """Read what every rank says of itself at the end of a search: seconds, GB."""
    text = search_log.read_text(encoding="utf-8")
    found = []
    for match in _RANK.finditer(text):
        texts = match.groupdict()
        rank, host = int(texts.pop("rank")), texts.pop("host")
        found.append({"rank": rank, "host": host, **{n: float(t) for n, t in texts.items()}})
    if sorted(told["rank"] for told in found) != list(range(n_ranks)):
        sys.exit(
            f"search.log: expected one line for each of {n_ranks} ranks that matches\n"
            f"{_RANK.pattern}\nfound {len(found)} in\n{text[-2000:]}"
        )
    return found


def interleaved(
    measures: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Take each measure in turn, round by round: a machine that drifts is unfair to none."""
    seen: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(1, rounds + 1):
        for name, measure in measures.items():
            say(f"round {number} of {rounds}: {name}")
            seen[name].append(measure())
    return seen


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def say(text: str) -> None:
    """Say what is going on, beside the result."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def show(name: str, title: str, rows: Sequence[Row], **facts: Any) -> None:
    """Print a table, and write it with the machine's description to bench-results/NAME.json.

    Args:
        facts: further plain values for the JSON file: every single measurement, settings.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(title=title, title_justify="left")
    for column in columns:
        is_text = any(isinstance(row.get(column), str) for row in rows)
        table.add_column(column, justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*(_shown(row.get(column)) for column in columns))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    told = {"title": title, "rows": list(rows), **facts, "machine": machine()}
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(ROOT)}")


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine() -> dict[str, Any]:
    """Describe where and when this was measured."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        **record.versions(),
        "git": record.git_commit(),
    }

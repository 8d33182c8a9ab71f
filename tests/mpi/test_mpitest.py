"""mpitest.py under a real mpirun: what it refuses, what stops it, what it finds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "mpitest.py"
MPIRUN = Path(sys.executable).parent / "mpirun"
TIMEOUT_S = 60
OPERATION = re.compile(r"rank (\d+) on (\S+): operation (\d)/3, \d+\.\d ms, result (0\.\d+)")
LINK = re.compile(r"rank 0 to rank (\d+) on \S+: round trip \d+\.\d us, bandwidth \d+ MB/s")

# Runs the script with a change; `rank` is this process's, and what came of it is printed.
CHANGED = """\
import os, socket, sys, threading
from hpo import launcher
rank = launcher.promised()[0]
{before}
import mpitest
{change}
code = mpitest.main()
heavy = {{"keras", "numpy", "pandas", "rich", "sklearn", "tensorflow"}} & set(sys.modules)
mpitest.say(f"rank {{rank}} leaves with {{int(code)}}, having loaded {{' '.join(sorted(heavy))}}")
sys.exit(code)
"""

Done = subprocess.CompletedProcess[str]


def finish(*words: object, cwd: Path, **more: str) -> Done:
    """Run a command to its end, as if not inside another launcher."""
    outer = ("OMPI_", "PMI", "SLURM_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=env | {"PYTHONPATH": str(ROOT)} | more,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def run(n_ranks: int, *words: object, cwd: Path) -> Done:
    """Run the script itself."""
    return finish(MPIRUN, "-np", n_ranks, sys.executable, SCRIPT, *words, cwd=cwd)


def run_changed(n_ranks: int, change: str, *words: object, cwd: Path, before: str = "") -> Done:
    """Run the script with a change on some rank."""
    program = CHANGED.format(change=change, before=before)
    return finish(MPIRUN, "-np", n_ranks, sys.executable, "-c", program, *words, cwd=cwd)


def results(done: Done) -> dict[int, list[str]]:
    """Give the printed results of each rank, in the order of its operations."""
    found: dict[int, list[str]] = {}
    for rank, _, number, result in OPERATION.findall(done.stdout):
        found.setdefault(int(rank), []).append(result)
        assert int(number) == len(found[int(rank)])
    return found


def errors(done: Done) -> list[str]:
    return [line for line in done.stderr.splitlines() if "error:" in line.lower()]


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_directory_that_cannot_be_made_is_refused_once(tmp_path: Path, n_ranks: int) -> None:
    (tmp_path / "file").touch()
    done = run_changed(n_ranks, "", "file/below", cwd=tmp_path)
    assert done.returncode == 2
    for rank in range(n_ranks):
        assert f"rank {rank} leaves with 2" in done.stdout
    assert len(errors(done)) == 1
    assert re.fullmatch(
        r"error: OUT_DIR: expected rank \d on \S+ to be able to write file/below/mpitest.txt:"
        r" Not a directory",
        errors(done)[0],
    )
    assert "Traceback" not in done.stderr
    assert "took part" not in done.stdout


def test_file_that_cannot_be_replaced_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results" / "mpitest.txt").mkdir(parents=True)
    done = run(2, cwd=tmp_path)
    assert done.returncode == 2
    assert len(errors(done)) == 1
    assert "Is a directory" in errors(done)[0]
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["mpitest.txt"]


def test_directory_in_the_environment_of_the_first_rank_is_that_of_all(tmp_path: Path) -> None:
    first = [MPIRUN, "-np", 1, "-env", "HPO_OUT", "there", sys.executable, SCRIPT]
    done = finish(*first, ":", "-np", 3, sys.executable, SCRIPT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("saved it in there/mpitest.txt") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_world_of_one_among_many_is_refused(tmp_path: Path) -> None:
    promise = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
    done = finish(sys.executable, SCRIPT, cwd=tmp_path, **promise)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: expected 2 ranks")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_world_of_one_speaks_on_the_first_rank_only(tmp_path: Path) -> None:
    promise = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
    done = finish(sys.executable, SCRIPT, cwd=tmp_path, **promise)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_unknown_option_is_refused_once(tmp_path: Path) -> None:
    done = run(2, "--fast", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: unrecognized arguments: --fast (--help shows the usage)\n"


def test_unexpected_error_on_one_rank_ends_all(tmp_path: Path) -> None:
    done = run_changed(3, "if rank == 1: mpitest.work = lambda world: 1 / 0", cwd=tmp_path)
    assert done.returncode not in (0, 2)
    assert "ZeroDivisionError" in done.stderr
    # Rank 1 itself may: MPICH's abort returns now and then before the launcher acts on it.
    assert not re.search("rank [02] leaves", done.stdout)


SILENT_FROM_THE_START = """
def echo(world):
    threading.Event().wait()
"""
# Rank 0 is then inside a blocking send, whose receiver never takes it.
SILENT_BEFORE_THE_LARGE = """
def echo(world):
    for _ in range(mpitest.N_SMALL_TRIPS + 1):
        world.send(world.receive(source=0)[2], to=0, tag=mpitest.ECHO_TAG)
    threading.Event().wait()
"""
# Rank 0 alone loses its patience, and only once it waits for rank 1.
IMPATIENT = """
choose_peers = mpitest.choose_peers
def choose_impatiently(hosts):
    mpitest.PATIENCE_S = 0.5
    return choose_peers(hosts)
if rank == 0:
    mpitest.choose_peers = choose_impatiently
else:
    mpitest.echo = echo
"""


@pytest.mark.parametrize(
    "silence",
    [
        pytest.param(SILENT_FROM_THE_START, id="from-the-start"),
        pytest.param(SILENT_BEFORE_THE_LARGE, id="before-the-large"),
    ],
)
def test_rank_that_does_not_answer_is_named(tmp_path: Path, silence: str) -> None:
    done = run_changed(2, silence + IMPATIENT, cwd=tmp_path)
    assert done.returncode not in (0, 2)
    assert re.search(
        r"^error: rank 0 on \S+: 0\.5 s without an answer of rank 1 on \S+$", done.stderr, re.M
    )
    assert "leaves with" not in done.stdout


def test_rank_that_does_not_start_is_missed(tmp_path: Path) -> None:
    absent = "mpitest.PATIENCE_S = 0.5\nif rank == 1: threading.Event().wait()"
    done = run_changed(2, absent, cwd=tmp_path)
    assert done.returncode not in (0, 2)
    assert "Timeout" in done.stderr
    assert re.search(r'mpitest\.py", line \d+ in start', done.stderr)
    assert "leaves with" not in done.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("if rank == 1: mpitest.work = lambda world: (0.5,)", "expected 2 ranks to take part"),
        ("launcher.promised = lambda: (rank, 3)", "expected 3 ranks to take part"),
    ],
)
def test_rank_that_takes_no_part_is_missed(tmp_path: Path, change: str, message: str) -> None:
    done = run_changed(2, change, cwd=tmp_path)
    assert done.returncode == 1
    assert len(errors(done)) == 1
    assert message in errors(done)[0]
    assert "took part" not in done.stdout


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 8])
def test_every_rank_takes_part_and_the_best_is_saved(tmp_path: Path, n_ranks: int) -> None:
    done = run(n_ranks, "there", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found, lines = results(done), done.stdout.splitlines()
    assert sorted(found) == list(range(n_ranks))
    assert {len(of_rank) for of_rank in found.values()} == {3}
    took_part = "the only rank took part" if n_ranks == 1 else f"all {n_ranks} ranks took part"
    assert took_part in lines

    _, host, _, _ = OPERATION.findall(done.stdout)[0]
    assert f"ranks: {n_ranks}, hosts: 1, ranks per host: {host} {n_ranks}" in lines
    library = next(line for line in lines if line.startswith("library: "))
    assert "MPICH" in library

    best = max(map(float, sum(found.values(), [])))
    winner = min(rank for rank, of_rank in found.items() if best in map(float, of_rank))
    name, version = library.split(": ")
    assert (tmp_path / "there" / "mpitest.txt").read_text() == (
        f'best: {best}\nrank: {winner}\nhost: "{host}"\nranks: {n_ranks}\n{name}: "{version}"\n'
    )
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["mpitest.txt"]


@pytest.mark.parametrize("n_ranks", [1, 2, 8])
def test_rank_0_talks_to_every_other_in_turn(tmp_path: Path, n_ranks: int) -> None:
    done = run(n_ranks, cwd=tmp_path)
    assert [int(rank) for rank in LINK.findall(done.stdout)] == list(range(1, n_ranks))
    assert ("nobody to talk to" in done.stdout) == (n_ranks == 1)


def test_it_needs_no_launcher(tmp_path: Path) -> None:
    done = finish(sys.executable, SCRIPT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "results" / "mpitest.txt").is_file()


def test_results_differ_by_rank_and_run(tmp_path: Path) -> None:
    first, second = (results(run(2, cwd=tmp_path)) for _ in range(2))
    assert len({tuple(of_rank) for of_rank in [*first.values(), *second.values()]}) == 4


def test_ranks_are_counted_per_host(tmp_path: Path) -> None:
    two_hosts = "socket.gethostname = lambda: f'node{rank % 2}'"
    done = run_changed(3, "", cwd=tmp_path, before=two_hosts)
    assert done.returncode == 0
    assert "ranks: 3, hosts: 2, ranks per host: node0 2, node1 1" in done.stdout.splitlines()


def test_peers_of_a_large_world_are_few_and_of_many_hosts(tmp_path: Path) -> None:
    program = "import mpitest; print(mpitest.choose_peers([f'n{r // 4}' for r in range(48)]))"
    done = finish(sys.executable, "-c", program, cwd=tmp_path)
    assert done.stdout == f"{[1, *range(4, 48, 4), 2, 3, 5, 6]}\n"


def test_no_heavy_library_is_loaded(tmp_path: Path) -> None:
    done = run_changed(2, "", cwd=tmp_path)
    assert done.returncode == 0
    for rank in range(2):
        assert f"rank {rank} leaves with 0, having loaded numpy" in done.stdout.splitlines()


def test_help_is_printed_once_without_mpi(tmp_path: Path) -> None:
    no_mpi = "mpitest.World = lambda: 1 / 0"
    done = run_changed(2, no_mpi, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("usage: mpirun -np N python mpitest.py") == 1
    assert done.stdout.count("OUT_DIR") == 2

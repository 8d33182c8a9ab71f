"""The files in lsf/ run for real: what they ask for, on fewer ranks, and their scripts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import runs
from spool import State
from standin import Lsf

LSF = runs.ROOT / "lsf"
MPIRUN = Path(sys.executable).parent / "mpirun"
TIMEOUT_S = 240
N_RANKS = 2  # in place of 4 and of 16, also of an array's elements
SPACE = {"filters": [4, 6], "dense_units": 16, "batch_size": [64, 128], "epochs": 1}
N_TRIALS = 4
HAS_GPU = any(Path("/dev").glob("nvidia[0-9]*"))
# Where the images have what this machine has elsewhere.
HERE = {"/usr/local/bin/mpirun": str(MPIRUN), "/usr/bin/python3": sys.executable}


class Shipped:
    """A folder in which the shipped files run: /app is app/, /app/store is the folder itself."""

    def __init__(self, lsf: Lsf, folder: Path) -> None:
        self.lsf = lsf
        self.folder = folder
        self.out = folder / "results"
        (folder / "app").mkdir()
        for name in ("mpitest.py", "rismpi.py", "rismpigpu.py"):
            text = (runs.ROOT / name).read_text()
            text = re.sub(r"^SPACE = {.*?^}", f"SPACE = {SPACE}", text, flags=re.M | re.S)
            (folder / "app" / name).write_text(text)

    def text(self, name: str) -> str:
        """Give a shipped file with the paths of this machine, and less to do."""
        text = (LSF / name).read_text()
        for inside, here in (HERE | {"/app/store/": "", "/app/": f"{self.folder}/app/"}).items():
            text = text.replace(inside, here)
        text = text.replace(" --space ris ", " ")
        return re.sub(r"\b(4|16)\b", str(N_RANKS), text)

    def run(self, name: str) -> dict[int, State]:
        """Submit a shipped file and wait for its end; give the states by index."""
        job_id = self.lsf.submit(self.text(name), cwd=self.folder, PYTHONPATH=str(runs.ROOT))
        return self.lsf.wait(job_id, timeout_s=TIMEOUT_S)

    def said(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.out")))

    def launched_on(self) -> list[str]:
        """Name the hosts on which blaunch has started something."""
        log = self.lsf.spool.launches
        return sorted(line.split()[1] for line in log.read_text().splitlines())

    def status(self) -> str:
        return subprocess.run(
            [sys.executable, "-m", "hpo", "status", self.out],
            env=runs.environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Shipped]:
    with Lsf(tmp_path / "lsf", ("hostA", "hostB"), slots_per_host=4) as lsf:
        yield Shipped(lsf, tmp_path)


@pytest.mark.parametrize(
    ("name", "n_elements", "n_ranks", "hosts"),
    [
        ("rismpi.lsf", 1, N_RANKS, []),
        ("rismpi-big.lsf", 1, N_RANKS, ["hostA", "hostB"]),
        ("rismpi-array.lsf", N_RANKS, 1, []),
        pytest.param(
            *("rismpigpu.lsf", 1, N_RANKS, []),
            marks=pytest.mark.skipif(not HAS_GPU, reason="there is no GPU here"),
        ),
    ],
)
def test_search_finishes(shipped, name, n_elements, n_ranks, hosts):
    states = shipped.run(name)
    ends = [(its.stat, its.exit_code, its.n_runs) for its in states.values()]
    assert ends == n_elements * [("DONE", 0, 1)], shipped.said()
    assert len(runs.rows(shipped.out)) == N_TRIALS
    assert shipped.status().count(f"on {n_ranks} rank") == n_elements
    if hosts:
        assert shipped.launched_on() == hosts


def test_mpitest_spans_two_hosts(shipped):
    (state,) = shipped.run("mpitest.lsf").values()
    assert (state.stat, state.n_runs) == ("DONE", 1), shipped.said()
    assert shipped.launched_on() == ["hostA", "hostB"]
    assert "all 2 ranks took part" in shipped.said()
    assert (shipped.folder / "mpitest-out" / "mpitest.txt").is_file()


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")
def test_search_on_a_gpu_that_is_not_there_is_not_requeued(shipped):
    (state,) = shipped.run("rismpigpu.lsf").values()
    assert (state.stat, state.exit_code, state.n_runs) == ("EXIT", 1, 1), shipped.said()
    assert f"{N_RANKS} ranks on 1 GPU" in shipped.said()  # the one that -gpu asks for
    assert shipped.said().count("GPU 0: expected TensorFlow to see it, found") == 1
    assert "another job would not help" in shipped.said()


def test_interactive_search_ends_in_the_terminal_that_asked_for_it(shipped):
    done = subprocess.run(
        ["bash", "-c", shipped.text("interactive.sh")],
        cwd=shipped.folder,
        env=shipped.lsf.environment(PYTHONPATH=str(runs.ROOT)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Job <1> is submitted to queue <general-interactive>.\n")
    assert f"finished: {N_TRIALS} of {N_TRIALS} trials, 0 failed" in done.stdout
    assert len(runs.rows(shipped.out)) == N_TRIALS


def test_every_shipped_file_is_run_here():
    tests = Path(__file__).read_text()
    assert [path.name for path in LSF.iterdir() if f'"{path.name}"' not in tests] == []

"""The files in lsf/, and the guide's commands, run for real: on fewer ranks, with less to do."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import reader
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
        return self.here((LSF / name).read_text())

    def here(self, text: str) -> str:
        """Give a text with the paths of this machine, and less to do."""
        for inside, here in (HERE | {"/app/store/": "", "/app/": f"{self.folder}/app/"}).items():
            text = text.replace(inside, here)
        text = text.replace(" --space ris ", " ")
        return re.sub(r"\b(4|16)\b", str(N_RANKS), text)

    def run(self, name: str) -> dict[int, State]:
        """Submit a shipped file and wait for its end; give the states by index."""
        job_id = self.lsf.submit(self.text(name), cwd=self.folder, PYTHONPATH=str(runs.ROOT))
        return self.lsf.wait(job_id, timeout_s=TIMEOUT_S)

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the guide or of a file as in a terminal."""
        return subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.folder,
            env=self.lsf.environment(PYTHONPATH=str(runs.ROOT)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

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
    done = shipped.type((LSF / "interactive.sh").read_text())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Job <1> is submitted to queue <general-interactive>.\n")
    assert f"finished: {N_TRIALS} of {N_TRIALS} trials, 0 failed" in done.stdout
    assert len(runs.rows(shipped.out)) == N_TRIALS


def test_every_shipped_file_is_run_here():
    tests = Path(__file__).read_text()
    assert [path.name for path in LSF.iterdir() if f'"{path.name}"' not in tests] == []


# --- the guide's one-line commands, in its order ---

FILES = ["mpitest.lsf", "rismpi.lsf", "rismpi-big.lsf", "rismpigpu.lsf", "rismpi-array.lsf"]
GUIDE = (runs.ROOT / "docs" / "clusters.md").read_text().replace("\\\n", " ")
COMMANDS = [line for line in GUIDE.splitlines() if line.startswith("bsub -")]


@pytest.mark.parametrize(("number", "name"), [*enumerate(FILES)])
def test_command_asks_for_what_the_file_asks_for(number, name):
    its = reader.read_command(shlex.split(COMMANDS[number])[1:])
    file = reader.read((LSF / name).read_text())
    asked = ("name", "array", "group", "job_group", "queue", "n_tasks", "resources", "image")
    asked += ("memory_limit_bytes", "run_limit_min", "gpu", "output", "requeue_codes")
    assert [getattr(its, each) for each in asked] == [getattr(file, each) for each in asked]


def test_interactive_command_is_that_of_the_file():
    *_, line = (LSF / "interactive.sh").read_text().splitlines()
    assert ["exec", *shlex.split(COMMANDS[len(FILES)])] == shlex.split(line)
    assert len(COMMANDS) == len(FILES) + 1


@pytest.mark.parametrize(
    ("number", "name"), [its for its in enumerate(FILES) if HAS_GPU or "gpu" not in its[1]]
)
def test_command_of_the_guide_runs(shipped, number, name):
    done = shipped.type(COMMANDS[number])
    assert done.stdout == "Job <1> is submitted to queue <general>.\n", done.stderr
    ends = {(its.stat, its.exit_code) for its in shipped.lsf.wait(1, timeout_s=TIMEOUT_S).values()}
    assert ends == {("DONE", 0)}, shipped.said()
    if name == "mpitest.lsf":
        assert f"all {N_RANKS} ranks took part" in shipped.said()
    else:
        assert len(runs.rows(shipped.out)) == N_TRIALS

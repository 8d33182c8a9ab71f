"""The live view under mpirun, on a real pseudo-terminal; and none where there is no terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
import runs
import screens

# Trials that wait for somebody to make a file; one prints, on whatever rank it is.
OBJECTIVE = """\
import pathlib, sys, time

def train(config, trial):
    for epoch in range(1, config["epochs"] + 1):
        if config["x"] == 3:
            print("first word\\nsecond word", flush=True)
            raise ValueError("no such thing")
        while config["x"] > 3 and not pathlib.Path("go").exists():
            time.sleep(0.05)
        trial.report({"score": config["x"] + epoch / 10})
"""
SPACE = "x: [1, 2, 3, 4, 5]\nepochs: 2\n"


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give a search of five trials, of which the last two wait for the file `go`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(OBJECTIVE)
    runs.space_file(tmp_path, SPACE)
    words = ("search", "--objective", "train.py:train", "--space", "space.yaml", "--retries", "0")
    return ["-m", "hpo", *words, "--metric", "score", "--out", "results"]


@pytest.mark.parametrize(("columns", "lines"), [(100, 30), (40, 12)])
def test_terminal_shows_what_is_done_and_what_each_rank_trains(
    words: list[str], columns: int, lines: int
) -> None:
    _check(runs.command(2, *words), columns, lines)


@pytest.mark.skipif(runs.OPEN_MPI is None, reason="no Open MPI (apt-get install openmpi-bin)")
def test_terminal_behind_open_mpi_which_makes_one_of_its_own_for_each_rank(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs.OPEN_MPI is not None
    monkeypatch.setenv("MPI4PY_LIBMPI", runs.open_mpi_library())
    _check(runs.command(2, *words, mpirun=runs.OPEN_MPI), 100, 30)


def _check(command: list[str], columns: int, lines: int) -> None:
    pictures: list[str] = []

    def see(text: str) -> None:
        pictures.append(text)
        if "3/5 trials" in text and text.count("epoch 1/2") == 2:
            Path("go").touch()

    code, end = screens.watched(command, columns, lines, on_picture=see)
    assert code == 0
    full = pictures[-1]
    drawn = full[full.index("3/5 trials") :].splitlines()
    assert len(drawn) < lines
    assert all(len(line) < columns for line in drawn)
    if lines == 30:
        assert any(line.startswith("  failed  0.") for line in drawn)
    assert "best 2.2000 x 2" in full
    assert [line.split()[:4] for line in drawn if line.startswith("  rank")] == [
        ["rank", "0", "epoch", "1/2"],
        ["rank", "1", "epoch", "1/2"],
    ]
    # What others print stays, though all but the first line of a second may cover a drawing.
    told = [line for line in end.split("\n") if line.startswith(("first word", "second word"))]
    assert len(told) == 2
    *_, last, reason, where, page = end.rstrip().split("\n")
    assert last.startswith(
        "results: finished: 5 of 5 trials, 1 failed, best 5.2000 (x 5, epochs 2)"
    )
    assert where.startswith("the best configuration is in")
    assert reason.startswith("why trials failed is in")
    assert page == "a report to look at is in results/report.html"
    left = [line for line in end.split("\n") if line not in told]
    assert not any("training" in line or "epoch 1/2" in line for line in left)


def test_no_terminal_gets_no_escape_codes(tmp_path: Path) -> None:
    done = runs.search(2, tmp_path / "results", "--set", "filters=4")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr

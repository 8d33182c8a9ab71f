"""The whole program under mpirun: the same answer for every N, resume, growth, refusals."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import runs

from hpo import imagefile

SHARED = runs.ROOT.parent / "shared" / "data" / "kaggle-digits"


@pytest.fixture
def finished(undisturbed: Path, tmp_path: Path) -> Path:
    """Give a copy of a finished run."""
    return Path(shutil.copytree(undisturbed, tmp_path / "results"))


@pytest.mark.parametrize(
    ("n_ranks", "schedule"),
    [
        (1, "dynamic"),
        (3, "dynamic"),
        (8, "dynamic"),
        (1, "scatter"),
        (2, "scatter"),
        (3, "scatter"),
    ],
)
def test_results_are_equal_for_every_number_of_ranks(
    undisturbed: Path, tmp_path: Path, n_ranks: int, schedule: str
) -> None:
    out = tmp_path / "results"
    done = runs.search(n_ranks, out, "--schedule", schedule)
    assert done.returncode == 0, done.stderr
    assert runs.comparable(out) == runs.comparable(undisturbed)
    assert runs.n_records(out) == 16
    assert (out / "best_params.txt").read_text() == (undisturbed / "best_params.txt").read_text()


def test_a_search_of_many_networks_prints_no_warnings(tmp_path: Path) -> None:
    text = (
        "model: [cnn, dense, linear]\nfilters: [[2, 3], [4], 2]\nkernel_size: [2, 3]\n"
        "dense_units: [[8, 6], 8]\nepochs: 1\nbatch_size: 512\n"
    )
    space = runs.space_file(tmp_path, text)
    done = runs.search(2, tmp_path / "results", "--space", space)
    assert (done.returncode, done.stderr) == (0, "")
    assert "15 combinations, 15 to train on 2 ranks" in done.stdout
    assert "1,797 images of 8×8 from scikit-learn's digits" in done.stdout


def test_a_run_directory_in_the_environment_of_the_first_rank_is_that_of_all(
    tmp_path: Path,
) -> None:
    rank = [sys.executable, runs.ROOT / "rismpi.py", "--space", runs.space_file(tmp_path)]
    words = [runs.MPIRUN, "-np", "1", "-env", "HPO_OUT", tmp_path / "run", *rank]
    subprocess.run(
        [*words, ":", "-np", "1", *rank], cwd=tmp_path, env=runs.environment(), check=True
    )
    assert {row["rank"] for row in runs.rows(tmp_path / "run")} == {"0", "1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "space.yaml"]


def test_results_are_equal_without_a_launcher(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    words = [sys.executable, runs.ROOT / "rismpi.py", "--out", out]
    space = ["--space", runs.space_file(tmp_path)]
    subprocess.run([*words, *space], env=runs.environment(), check=True, timeout=runs.TIMEOUT_S)
    assert runs.comparable(out) == runs.comparable(undisturbed)


@pytest.mark.skipif(runs.OPEN_MPI is None, reason="no Open MPI (apt-get install openmpi-bin)")
def test_results_are_equal_with_open_mpi(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    assert runs.OPEN_MPI is not None
    words = (runs.ROOT / "rismpi.py", "--out", out, "--space", runs.space_file(tmp_path))
    done = subprocess.run(
        runs.command(3, *words, mpirun=runs.OPEN_MPI),
        env=runs.environment(MPI4PY_LIBMPI=runs.open_mpi_library()),
        capture_output=True,
        text=True,
        timeout=runs.TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Open MPI" in done.stdout
    assert runs.comparable(out) == runs.comparable(undisturbed)


def test_an_mpi_without_threads_deals_shares(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = runs.search(2, out, MPI4PY_RC_THREAD_LEVEL="funneled")
    assert done.returncode == 0
    assert "scatter" in done.stderr
    assert runs.comparable(out) == runs.comparable(undisturbed)


def test_a_finished_run_started_again_trains_nothing(finished: Path, tmp_path: Path) -> None:
    before = runs.journal(finished)
    done = runs.search(3, finished, PYTHONPATH=_tripwire(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "nothing to train" in done.stdout
    assert runs.journal(finished) == before


def test_a_grown_grid_trains_only_what_is_new(finished: Path) -> None:
    before = runs.n_records(finished)
    done = runs.search(3, finished, "--set", "dropout=0.3,0.5")
    assert done.returncode == 0, done.stderr
    assert runs.n_records(finished) == before + 16
    assert len(runs.rows(finished)) == 32


def test_a_changed_space_keeps_the_old_rows_but_not_the_old_winner(finished: Path) -> None:
    done = runs.search(1, finished, "--set", "filters=4")
    assert done.returncode == 0, done.stderr
    rows = runs.rows(finished)
    assert [row["in_space"] for row in rows] == ["true"] * 8 + ["false"] * 8
    best = max(float(row["score"]) for row in rows if row["in_space"] == "true")
    assert f"score: {best}" in (finished / "best_params.txt").read_text()
    assert _model_scores(finished) == pytest.approx(best)


def test_shards_side_by_side_are_the_whole(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    space = ("--space", runs.space_file(tmp_path))
    words = (runs.ROOT / "rismpi.py", "--out", out, *space)
    shards = [
        subprocess.Popen(
            runs.command(1, *words, "--shard", f"{number}/3"),
            env=runs.environment(),
            stdout=subprocess.DEVNULL,
        )
        for number in (1, 2, 3)
    ]
    assert [shard.wait(timeout=runs.TIMEOUT_S) for shard in shards] == [0, 0, 0]
    assert runs.comparable(out) == runs.comparable(undisturbed)
    assert runs.n_records(out) == 16
    assert runs.status(out) == 0


def test_the_best_model_needs_no_retraining_and_no_package(finished: Path) -> None:
    best = max(float(row["score"]) for row in runs.rows(finished))
    assert _model_scores(finished) == pytest.approx(best)


def test_status_is_unfinished_until_the_files_show_what_the_journal_holds(finished: Path) -> None:
    for name in ("best_params.txt", "best_model.keras", "results.csv"):
        aside = finished / f"{name}.aside"
        (finished / name).rename(aside)
        assert runs.status(finished) == 75
        aside.rename(finished / name)
        assert runs.status(finished) == 0


def test_answers_are_those_of_the_images_asked_for_last(finished: Path) -> None:
    for n_images in (3, 5):
        row = ",".join(["7"] * 64)
        header = ",".join(f"pixel{i}" for i in range(64))
        path = finished.parent / f"test{n_images}.csv"
        path.write_text("\n".join([header, *[row] * n_images]))
        assert runs.search(1, finished, "--test", path).returncode == 0
        assert len((finished / "submission.csv").read_text().splitlines()) == 1 + n_images


def test_a_search_deletes_only_what_it_has_written(tmp_path: Path) -> None:
    out = tmp_path / "results"
    (out / "models").mkdir(parents=True)
    (out / "models" / "mine.npz").touch()
    (out / "notes.txt").touch()
    assert runs.search(1, out, "--set", "filters=4", "--epochs", 1).returncode == 0
    assert (out / "models" / "mine.npz").exists()
    assert (out / "notes.txt").exists()
    assert len(list((out / "models").iterdir())) == 2


def test_a_shard_without_combinations_is_done(finished: Path) -> None:
    done = runs.search(
        1,
        finished.parent / "few",
        "--shard",
        "3/3",
        "--set",
        "filters=4",
        "--set",
        "batch_size=32",
        "--set",
        "learning_rate=0.1",
    )
    assert done.returncode == 0, done.stderr


def test_report_makes_the_files_again(finished: Path) -> None:
    names = ("best_params.txt", "results.csv")
    before = [(finished / name).read_text() for name in names]
    for name in (*names, "best_model.keras"):
        (finished / name).unlink()
    _hpo("report", finished)
    assert [(finished / name).read_text() for name in names] == before
    assert (finished / "best_model.keras").exists()


def test_a_winner_whose_weights_are_lost_is_trained_once_more(finished: Path) -> None:
    (finished / "best_model.keras").unlink()
    shutil.rmtree(finished / "models")
    before = runs.journal(finished)
    done = runs.search(2, finished)
    assert done.returncode == 0, done.stderr
    assert runs.journal(finished) == before
    best = max(float(row["score"]) for row in runs.rows(finished))
    assert _model_scores(finished) == pytest.approx(best)


def test_failures_are_rows_and_the_search_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "results"
    space = runs.space_file(
        tmp_path,
        "optimizer: sgd\nepochs: 1\nlearning_rate: [0.01, 1.0e30]\n"
        # The second network has a terabyte of weights in its second layer.
        "kernel_size: 8\nfilters: [[2], [65536]]\n",
    )
    done = runs.search(2, out, "--space", space)
    assert done.returncode == 0, done.stderr
    rows = runs.rows(out)
    good, large, diverged, _ = rows
    assert [row["status"] for row in rows] == ["done", "failed", "failed", "failed"]
    assert diverged["error"] == "diverged: loss is not finite in epoch 1"
    assert diverged["attempt"] == "1"  # trying again would give the same
    assert large["attempt"] == "2"
    assert re.search("exhausted|memory", large["error"], re.IGNORECASE)
    assert (good["error"], large["score"]) == ("", "")
    log = out / "trials" / large["id"] / "trial.log"
    assert "Traceback" in log.read_text()


def test_all_failed_is_exit_1_and_failed_trials_can_be_tried_again(tmp_path: Path) -> None:
    out = tmp_path / "results"
    space = runs.space_file(
        tmp_path, "model: linear\noptimizer: sgd\nepochs: 1\nlearning_rate: [1.0e37, 2.0e37]\n"
    )
    assert runs.search(2, out, "--space", space).returncode == 1
    assert runs.search(2, out, "--space", space).returncode == 1  # counts as finished
    assert runs.n_records(out) == 2
    assert runs.search(2, out, "--space", space, "--retry-failed").returncode == 1
    assert runs.n_records(out) == 4


@pytest.mark.parametrize("options", [("--seed", "34"), ("--data", "other.npz")])
def test_a_run_of_another_search_is_refused(finished: Path, options: tuple[str, str]) -> None:
    import numpy as np

    np.savez(
        finished.parent / "other.npz",
        x=np.arange(40 * 64).reshape(40, 8, 8) % 17,
        y=np.arange(40) % 4,
    )
    before = runs.journal(finished)
    done = runs.search(2, finished, *options)
    assert done.returncode == 2
    assert _only_line(done.stderr).endswith("give another --out, or --fresh to set this one aside")
    assert runs.journal(finished) == before


def test_fresh_sets_a_run_aside(finished: Path) -> None:
    done = runs.search(1, finished, "--seed", "34", "--fresh", "--set", "filters=4")
    assert done.returncode == 0, done.stderr
    (aside,) = finished.parent.glob("results-*")
    assert len(runs.rows(aside)) == 16
    assert len(runs.rows(finished)) == 8


def test_a_directory_in_which_a_search_runs_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "results"
    space = ("--space", runs.space_file(tmp_path), "--epochs", 2000)
    first = subprocess.Popen(
        runs.command(1, runs.ROOT / "rismpi.py", "--out", out, *space),
        env=runs.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout is not None
        assert "combinations" in first.stdout.readline()
        for options in ((), ("--fresh",)):
            second = runs.search(2, out, *space, *options)
            assert second.returncode == 2
            assert "a search is running here since" in _only_line(second.stderr)
        assert runs.status(out) == 75
    finally:
        first.send_signal(signal.SIGUSR1)
        first.communicate()
    assert first.returncode == 75


@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared with the 42,000 digits")
def test_real_digits_give_a_submission(tmp_path: Path) -> None:
    out = tmp_path / "results"
    space = runs.space_file(
        tmp_path, "model: dense\ndense_units: 32\nepochs: 1\nlearning_rate: [0.001, 0.01]\n"
    )
    data = ("--data", SHARED / "train.csv.gz", "--test", SHARED / "test.csv.gz")
    done = runs.search(2, out, "--space", space, *data)
    assert done.returncode == 0, done.stderr
    assert max(float(row["score"]) for row in runs.rows(out)) > 0.9
    lines = (out / "submission.csv").read_text().splitlines()
    assert lines[0] == "ImageId,Label"
    assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(1, 28001)]
    answered = _hpo("predict", out, SHARED / "test.csv.gz")
    assert answered == (out / "submission.csv").read_text()


BAD = {
    "missing data": (["--data", "nowhere.csv"], "no such file"),
    "unset variable": (["--data", ""], "--data: expected a path, found ''"),
    "no label": (["--data", "nolabel.csv"], "label column"),
    "short row, far down": (
        ["--data", "short.csv"],
        "short.csv:40002: expected 5 values, found 4",
    ),
    "unknown name": (["--set", "filter=3"], "did you mean 'filters'"),
    "kernel": (["--set", "kernel_size=9"], "kernel_size: expected at most 8"),
    "zero epochs": (["--epochs", "0"], "--epochs"),
    "shard": (["--shard", "3/2"], "expected I/N with I from 1 to N, found '3/2'"),
    "out": (["--out", "afile/results"], "--out afile/results: expected a directory"),
    "no test": (
        ["--test", "nowhere.csv"],
        "nowhere.csv: expected a file of images, found no such",
    ),
    "test": (["--test", "short.csv"], "expected 8×8 images"),
    "space": (["--space", "nospace"], "expected a search space's file or one of quick, ris, big"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2_on_every_rank(tmp_path: Path, case: str) -> None:
    options, expected = BAD[case]
    (tmp_path / "afile").touch()
    (tmp_path / "nolabel.csv").write_text("pixel0,pixel1\n1,2\n")
    rows = ["1,0,0,0,0\n"] * 40_000 + ["1,0,0,0\n"]
    (tmp_path / "short.csv").write_text("label,p0,p1,p2,p3\n" + "".join(rows))
    words = [runs.ROOT / "rismpi.py", *options]
    done = runs.run(3, *words, cwd=tmp_path, PYTHONPATH=_tripwire(tmp_path))
    assert done.returncode == 2
    assert expected in _only_line(done.stderr)
    assert done.stdout == ""


def test_an_error_in_a_long_file_is_told_while_the_library_loads(tmp_path: Path) -> None:
    header = "label," + ",".join(f"p{n}" for n in range(64))
    row = "1," + ",".join(["200"] * 64)
    n_rows = imagefile.LONG_BYTES // len(row) + 1
    text = "\n".join([header, *[row] * n_rows, "1,2", ""])
    (tmp_path / "long.csv").write_text(text)
    (tmp_path / "tensorflow.py").write_text(  # the real one, two seconds later
        "import os, sys, time\nos.write(2, b'it loads\\n')\ntime.sleep(2)\nopen('loaded', 'w')\n"
        f"sys.path.remove({str(tmp_path)!r})\ndel sys.modules['tensorflow']\nimport tensorflow\n"
    )
    path = f"{tmp_path}:{runs.ROOT}"
    words = [runs.ROOT / "rismpi.py", "--data", "long.csv"]
    done = runs.run(3, *words, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 2
    expected = f"long.csv:{n_rows + 2}: expected 65 values, found 2"
    assert expected in _only_line(done.stderr)
    assert (tmp_path / "loaded").exists()


def test_a_broken_journal_is_bad_input(finished: Path, tmp_path: Path) -> None:
    path = next((finished / "journal").iterdir())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"garbage\n", *lines[1:]]))
    done = runs.search(3, finished, PYTHONPATH=_tripwire(tmp_path))
    assert done.returncode == 2
    assert f"{path}:2: expected a trial's record, found b'garbage'" in _only_line(done.stderr)


def _tripwire(folder: Path) -> str:
    """Give a PYTHONPATH on which TensorFlow and Keras kill who loads them."""
    for name in ("tensorflow", "keras"):
        (folder / f"{name}.py").write_text("import os\nos.abort()\n")
    return f"{folder}:{runs.ROOT}"


def _only_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    return lines[0]


def _hpo(*words: object) -> str:
    return subprocess.run(
        [sys.executable, "-m", "hpo", *map(str, words)],
        env=runs.environment(),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _model_scores(out: Path) -> float:
    """Score best_model.keras on its trial's validation rows, in a process without this package."""
    script = """
import sys, numpy as np, keras
model, rows = keras.models.load_model(sys.argv[1]), np.load(sys.argv[2])
from sklearn.datasets import load_digits
digits = load_digits()
pixels = digits.data[rows].reshape(-1, 8, 8, 1).astype("float32")
print((model.predict(pixels, verbose=0).argmax(axis=1) == digits.target[rows]).mean())
"""
    import numpy as np

    from hpo import cost, record, seeds
    from hpo.rundir import RunDir

    its = record.read(RunDir(out))
    best = (out / "best_params.txt").read_text().splitlines()
    share = next(float(line.split()[1]) for line in best if line.startswith("validation_split:"))
    n_validation = cost.split_sizes(1797, share)[1]
    _, rows = seeds.split(1797, n_validation, str(its.identity["data"]), 33)
    np.save(out / "rows.npy", rows)
    words = [sys.executable, "-c", script, out / "best_model.keras", out / "rows.npy"]
    done = subprocess.run(words, cwd=out, check=True, capture_output=True, text=True)
    (out / "rows.npy").unlink()
    return float(done.stdout.split()[-1])


def test_run_directory_that_not_all_ranks_see_is_refused(tmp_path: Path) -> None:
    """As on two nodes that share nothing: each rank has a `results` of its own."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = [sys.executable, str(runs.ROOT / "rismpi.py")]
    first, second = (["-np", "1", "-wdir", str(folder)] for folder in (tmp_path, elsewhere))
    done = subprocess.run(
        [runs.MPIRUN, *first, *program, ":", *second, *program],
        env=runs.environment(),
        capture_output=True,
        text=True,
        timeout=runs.TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: --out results: expected a directory that all nodes share, found hosts that do not"
    )
    assert not list((tmp_path / "results" / "state").glob("lock*"))

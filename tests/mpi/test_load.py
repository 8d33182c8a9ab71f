"""What a run tells afterwards: hpo.load, its ranks' time, report.html, best_mistakes.json."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import runs
from runs import ROOT, comparable, environment, rows, run, search, space_file

import hpo
from hpo import findings
from hpo.errors import InputError
from hpo.trial import Status


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    done = search(2, folder / "out")
    assert done.returncode == 0, done.stderr
    assert f"a report to look at is in {folder / 'out' / 'report.html'}" in done.stdout
    return folder / "out"


def test_load_gives_results_csv_and_more(digits):
    frame = hpo.load(digits)
    table = pd.read_csv(digits / "results.csv", dtype={"id": str}, keep_default_na=False)
    assert list(frame.columns[: len(table.columns)]) == list(table.columns)
    assert list(frame["id"]) == list(table["id"]) == list(frame.index)
    for name in ("score", "filters", "learning_rate", "config_epochs", "epochs", "status"):
        assert list(frame[name]) == list(table[name]), name
    assert frame.attrs["metric"] == "val_accuracy"
    assert "filters" in frame.attrs["hyperparameters"]
    assert (frame["began"] < frame["ended"]).all()
    assert (frame["peak_memory_mb"] > 100).all()


def test_load_gives_each_epoch(digits):
    for row in hpo.load(digits).itertuples():
        written = pd.read_csv(digits / "trials" / row.id / "epochs.csv", index_col="epoch")
        pd.testing.assert_frame_equal(row.history, written, check_index_type=False)
        assert row.history["val_accuracy"].max() == row.score


def test_a_rank_works_on_one_trial_at_a_time(digits):
    (start,) = findings.read(digits).occupancies
    assert len(start.worked) == 16
    assert 0 < start.efficiency <= 1
    for rank in range(2):
        mine = [its for its in start.worked if its.rank == rank]
        for one, following in itertools.pairwise(mine):
            assert one.ended_s <= following.began_s


def test_what_a_stopped_search_has_done_can_be_looked_at(tmp_path):
    out = tmp_path / "out"
    script = [str(ROOT / "rismpi.py"), "--out", str(out), "--space", str(space_file(tmp_path))]
    process = subprocess.Popen(
        runs.command(2, *script, "--epochs", "30"), env=environment(), stdout=subprocess.DEVNULL
    )
    while runs.n_records(out) < 2:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(runs.TIMEOUT_S) is not None
    frame = hpo.load(out)
    assert 2 <= len(frame) < 16
    assert "unfinished" in (out / "report.html").read_text()
    assert search(1, out, "--space", tmp_path / "space.yaml", "--epochs", "30").returncode == 0
    assert len(findings.read(out).occupancies) == 2
    assert "finished" in (out / "report.html").read_text()


def test_every_way_from_rung_to_rung_is_told(tmp_path):
    assert search(2, tmp_path / "out", "--epochs", "9", "--pruner", "asha").returncode == 0
    found = findings.read(tmp_path / "out")
    (start,) = found.occupancies
    assert len(start.worked) > len(found.standing.results)
    assert Status.PRUNED in {its.status for its in start.worked}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda out: out / "nothing", "expected a run directory, found no such directory"),
        (lambda out: (out / "empty").mkdir() or out / "empty", "found no search.yaml in it"),
    ],
)
def test_load_of_no_run_is_refused(tmp_path, spoil, words):
    with pytest.raises(InputError, match=words):
        hpo.load(spoil(tmp_path))


def test_report_that_cannot_be_written_costs_no_search_its_answer(tmp_path):
    (tmp_path / "out" / "report.html" / "in the way").mkdir(parents=True)
    done = search(1, tmp_path / "out")
    assert done.returncode == 0
    assert "report.html: it could not be made" in done.stderr
    assert (tmp_path / "out" / "best_params.txt").exists()


def mistakes(out: Path) -> dict[str, object]:
    return json.loads((out / "best_mistakes.json").read_text())


def test_mistakes_are_those_that_cost_the_score(digits):
    told = mistakes(digits)
    best = min(rows(digits), key=lambda row: (-float(row["score"]), float(row["val_loss"])))
    confusion = np.array(told["confusion"])
    assert told["trial_id"] == best["id"]
    assert confusion.trace() / confusion.sum() == float(best["score"])
    assert len(told["mistakes"]) == min(40, confusion.sum() - confusion.trace())
    from sklearn.datasets import load_digits

    labels = load_digits().target
    for mistake in told["mistakes"]:
        assert labels[mistake["row"]] == mistake["label"] != mistake["answer"]


def test_mistakes_of_data_that_are_gone_say_so_and_come_back(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (60, 16), dtype=np.uint8)
    data = tmp_path / "data.npz"
    np.savez(data, x=images, y=np.arange(60) % 3)
    options = ["--data", data, "--set", "filters=4", "--set", "dense_units=16"]
    assert search(1, tmp_path / "out", *options).returncode == 0
    known = mistakes(tmp_path / "out")
    (tmp_path / "out" / "best_mistakes.json").unlink()
    data.rename(tmp_path / "away.npz")
    report = [sys.executable, "-m", "hpo", "report", str(tmp_path / "out")]
    subprocess.run(report, env=environment(), check=True, stdout=subprocess.DEVNULL)
    assert mistakes(tmp_path / "out")["reason"].endswith("found no such file")
    np.savez(data, x=images[::-1], y=np.arange(60) % 3)
    subprocess.run(report, env=environment(), check=True, stdout=subprocess.DEVNULL)
    assert mistakes(tmp_path / "out")["reason"].endswith("these are not the data of the search")
    shutil.copy(tmp_path / "away.npz", data)
    subprocess.run(report, env=environment(), check=True, stdout=subprocess.DEVNULL)
    assert mistakes(tmp_path / "out") == known


def test_mistakes_of_a_winner_that_has_seen_all_images_are_not_counted(tmp_path):
    assert search(1, tmp_path / "out", "--refit").returncode == 0
    assert "none are left" in mistakes(tmp_path / "out")["reason"]


def test_a_function_has_no_mistakes_to_show_and_the_same_table(tmp_path):
    (tmp_path / "own.py").write_text(
        "def train(config, trial):\n"
        "    for epoch in range(3):\n        yield {'score': epoch * config['x'], 'auc': 0.5}\n"
    )
    space = space_file(tmp_path, "x: [1, 2]\nseconds: [3]\n")
    words = ["-m", "hpo", "search", "--objective", "own.py:train", "--space", space, "--out"]
    for n_ranks in (1, 2):
        done = run(n_ranks, *words, tmp_path / f"out{n_ranks}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    frame = hpo.load(tmp_path / "out2")
    assert list(frame["score"]) == [2, 4]
    assert frame.attrs["hyperparameters"] == ["x", "config_seconds"]
    assert frame.attrs["metrics"] == ["auc"]
    assert not (tmp_path / "out2" / "best_mistakes.json").exists()
    assert comparable(tmp_path / "out1") == comparable(tmp_path / "out2")

"""The same search on Keras's other backends, where they are installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import runs

BACKENDS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(name) is None, reason=f"no {name} (make test-backends)"
        ),
    )
    for name in ("jax", "torch")
]

# What is compiled anew where it changes stays the same: JAX compiles for seconds.
SPACE = """\
filters: 4
dense_units: 8
batch_size: 256
learning_rate: [0.01, 0.1]
dropout: 0.3
augment: [none, shift-rotate-zoom]
weight_decay: 0.01
epochs: 2
"""


def search(n_ranks: int, out: Path, backend: str, *options: object) -> None:
    space = runs.space_file(out.parent, SPACE)
    done = runs.search(n_ranks, out, "--space", space, *options, KERAS_BACKEND=backend)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_search_gives_the_same_for_every_number_of_ranks(tmp_path: Path, backend: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    search(1, one, backend)
    search(2, two, backend, "--schedule", "scatter")
    assert runs.comparable(one) == runs.comparable(two)
    assert max(float(row["score"]) for row in runs.rows(one)) > 0.2
    identity = (one / "search.yaml").read_text()
    assert f"backend: {backend}" in identity
    # The model that it leaves is Keras's own: another backend answers the same with it.
    there, here = (answers(one, name) for name in (backend, "tensorflow"))
    assert there == here


REFINED = {
    "gradient_clip": 0.5,
    "gradient_accumulation": 3,
    "weight_average": "ema",
    "lr_schedule": "cosine",
    "warmup_epochs": 0.5,
    "optimizer": "sgd",
    "momentum": 0.9,
}


@pytest.mark.parametrize("asked", [{}, REFINED], ids=["plain", "refined"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_trial_goes_on_from_any_step_to_the_same_bit(
    tmp_path: Path, backend: str, asked: dict[str, object]
) -> None:
    script = """
import json, sys, numpy as np
from pathlib import Path
from hpo import data, datafile, plain, train
from hpo.world import World
train.GRAPH_CALL_S = 1e-9
dataset = data.load(World(), datafile.BUNDLED)
trainer = train.Trainer(dataset, 33, plain.Engine(dataset))
config = dict(filters=2, dense_units=4, batch_size=512, epochs=2, dropout=0.3, batch_norm=True)
config |= json.loads(sys.argv[2])
def begin(checkpoint=None, **changes):
    changes = {"augment": "shift-rotate-zoom"} | changes
    training = trainer.begin("a" * 16, config | changes)
    if checkpoint is not None:
        training.load(checkpoint)
    return training
def finish(training):
    while not training.is_finished():
        training.advance()
    return training
whole, cuts = begin(), []
while not whole.is_finished():
    cuts.append(Path(sys.argv[1]) / f"{len(cuts)}")
    whole.save(cuts[-1])
    whole.advance()
assert len(cuts) >= 5, len(cuts)
for cut in cuts[1::2]:
    finish(begin(learning_rate=0.1, epochs=1))  # disturb
    again = finish(begin(cut))
    assert again.progress.history == whole.progress.history, cut
    assert all(map(np.array_equal, again.best_weights, whole.best_weights)), cut
"""
    subprocess.run(
        [sys.executable, "-c", script, tmp_path, json.dumps(asked)],
        env=runs.environment(KERAS_BACKEND=backend, OMP_NUM_THREADS="1", JAX_PLATFORMS="cpu"),
        check=True,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_norms_that_trackers_show_change_no_bit(backend: str) -> None:
    script = """
import json, sys, numpy as np
from hpo import data, datafile, plain
from hpo.train import Trainer
from hpo.world import World
dataset = data.load(World(), datafile.BUNDLED)
config = dict(filters=2, dense_units=8, batch_size=256, epochs=2, dropout=0.3)
def trained(asked, is_measured):
    trainer = Trainer(dataset, 33, plain.Engine(dataset), is_measured=is_measured)
    training = trainer.begin("a" * 16, config | asked)
    while not training.is_finished():
        training.advance()
    return training
for asked in ({}, json.loads(sys.argv[1])):
    usual, told = trained(asked, False), trained(asked, True)
    assert all(map(np.array_equal, usual.best_weights, told.best_weights)), asked
    for ours, theirs in zip(usual.progress.history, told.progress.history):
        norms = {name: theirs.metrics.pop(name) for name in ("gradient_norm", "weight_norm")}
        assert all(norm > 0 for norm in norms.values()), norms
        assert ours == theirs, asked
"""
    subprocess.run(
        [sys.executable, "-c", script, json.dumps(REFINED)],
        env=runs.environment(KERAS_BACKEND=backend, OMP_NUM_THREADS="1", JAX_PLATFORMS="cpu"),
        check=True,
    )


@pytest.mark.parametrize(
    ("backend", "expected"),
    [("theano", "expected one of tensorflow, jax, torch, found 'theano'"), ("jax", "pip install")],
)
def test_a_backend_that_is_not_there_is_refused(
    tmp_path: Path, backend: str, expected: str
) -> None:
    if backend == "jax" and importlib.util.find_spec("jax") is not None:
        pytest.skip("JAX is installed")
    done = runs.search(2, tmp_path / "results", KERAS_BACKEND=backend)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("error: KERAS_BACKEND: ")
    assert expected in line


def answers(out: Path, backend: str) -> str:
    """Answer a few images with a run's best model."""
    images = out.parent / "images.csv"
    header = ",".join(f"pixel{n}" for n in range(64))
    rows = "\n".join(",".join(str((n * k) % 17) for n in range(64)) for k in range(20))
    images.write_text(f"{header}\n{rows}\n")
    return subprocess.run(
        [sys.executable, "-m", "hpo", "predict", out, images],
        env=runs.environment() | os.environ | {"KERAS_BACKEND": backend},
        check=True,
        capture_output=True,
        text=True,
    ).stdout

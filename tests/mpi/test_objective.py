"""Functions of users' own under a real mpirun: results, data, checkpoints, groups, bad ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import runs

# Its state is a random walk, so that where a trial is cut and restored shows in its scores.
TRAIN = '''
import json, os, signal
from pathlib import Path
import numpy as np
import hpo

def data(path=None):
    with open("prepared", "a") as file:
        file.write("once\\n")
    return {"x": np.arange(12.0).reshape(3, 4), "one": np.float32(2), "names": np.array(["a"])}

def interrupt(config, trial):
    """Stop the whole search, once, in the middle of a trial."""
    if Path("interrupt").exists() and trial.epoch == 2 and config["width"] == 3:
        Path("interrupt").unlink()
        os.kill(os.getpid(), signal.SIGUSR1)

@hpo.objective(
    metric="val_error", prepare=data, defaults={"width": 1, "rate": 0.1, "epochs": 4, "seed": 0}
)
def train(config, trial):
    state = np.random.default_rng(trial.seed)
    walk = float(trial.data["x"].sum()) * config["rate"]
    best = walk

    def save(folder):
        told = {"walk": walk, "best": best, "state": state.bit_generator.state}
        (folder / "state.json").write_text(json.dumps(told))

    def load(folder):
        nonlocal walk, best
        told = json.loads((folder / "state.json").read_text())
        walk, best, state.bit_generator.state = told["walk"], told["best"], told["state"]

    trial.checkpoint(save, load)
    def remember():
        nonlocal best
        best = walk

    trial.on_best(remember)
    trial.keep(lambda folder: (folder / "best.txt").write_text(repr(best)))
    for epoch in range(trial.epoch, config["epochs"]):
        interrupt(config, trial)
        yield None
        walk += state.normal() * config["width"]
        yield {"val_error": abs(walk), "walk": walk}
    (trial.folder / "note.txt").write_text(f"{trial.device} {trial.threads} {trial.group.size}")
'''
SPACE = "width: [1, 2, 3]\nrate: [0.1, 0.2]\n"
OBJECTIVE = ("--objective", "train.py:train", "--space", "space.yaml")


def lay(folder: Path, code: str = TRAIN, space: str = SPACE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(code)
    (folder / "space.yaml").write_text(space)
    return folder


def search(
    n_ranks: int, folder: Path, *options: object, out: str = "results"
) -> subprocess.CompletedProcess[str]:
    if "--objective" not in options:
        options = (*OBJECTIVE, *options)
    return runs.run(n_ranks, "-m", "hpo", "search", "--out", out, *options, cwd=folder)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lay(tmp_path_factory.mktemp("objective") / "here")
    done = search(2, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_answer_is_the_same_for_every_number_of_ranks(searched: Path) -> None:
    expected = runs.comparable(searched / "results")
    for n_ranks in (1, 3):
        done = search(n_ranks, searched, out=f"results-{n_ranks}")
        assert done.returncode == 0, done.stderr
        assert runs.comparable(searched / f"results-{n_ranks}") == expected
    rows = runs.rows(searched / "results")
    assert [row["width"] for row in rows] == ["1", "1", "2", "2", "3", "3"]
    assert all(abs(float(row["walk"])) == float(row["score"]) for row in rows)
    best = min(rows, key=lambda row: float(row["score"]))
    text = (searched / "results" / "best_params.txt").read_text()
    assert "# The lower val_error, the better.\n" in text
    assert f'trial_id: "{best["id"]}"' in text or f"trial_id: {best['id']}" in text


def test_data_are_prepared_once_and_shared(tmp_path: Path) -> None:
    look = TRAIN + (
        "\n@hpo.objective(prepare=data)\n"
        "def look(config, trial):\n"
        "    x = trial.data['x']\n"
        "    assert not x.flags.writeable and x.shape == (3, 4) and x[2, 3] == 11\n"
        "    assert trial.data['one'] == 2 and trial.data['names'].tolist() == ['a']\n"
        "    return 1\n"
    )
    folder = lay(tmp_path, look)
    done = search(3, folder, "--objective", "train.py:look", "--space", "space.yaml")
    assert done.returncode == 0, done.stderr
    assert {row["error"] for row in runs.rows(folder / "results")} == {""}
    assert (folder / "prepared").read_text() == "once\n"


def test_the_winners_model_is_kept_and_a_lost_one_is_made_again(searched: Path) -> None:
    out = searched / "results"
    best = min(runs.rows(out), key=lambda row: float(row["score"]))
    kept = out / "best_model" / "best.txt"
    assert abs(float(kept.read_text())) == float(best["score"])
    assert [path.name for path in (out / "models").iterdir()] == [best["id"]]
    for path in (kept, out / "best_model" / "trial_id.txt"):
        path.unlink()
    (out / "best_model").rmdir()
    told = subprocess.run(
        [*runs.command(1)[3:], "-m", "hpo", "report", "results"],
        cwd=searched,
        env=runs.environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert "finished: 6 of 6 trials" in told.stdout
    assert abs(float(kept.read_text())) == float(best["score"])
    assert (out / "trials" / best["id"] / "note.txt").read_text() == "cpu 1 1"


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_an_interrupted_search_goes_on_to_the_same_results(
    searched: Path, tmp_path: Path, n_ranks: int
) -> None:
    folder = lay(tmp_path)
    (folder / "interrupt").touch()
    done = search(2, folder)
    assert done.returncode == 75, done.stdout + done.stderr
    assert list((folder / "results").glob("trials/*/checkpoint.json"))
    done = search(n_ranks, folder)
    assert done.returncode == 0, done.stderr
    logs = [path.read_text() for path in (folder / "results").glob("trials/*/trial.log")]
    assert any("goes on after epoch 2" in log for log in logs)
    assert runs.comparable(folder / "results") == runs.comparable(searched / "results")
    kept = [its / "results" / "best_model" / "best.txt" for its in (folder, searched)]
    assert kept[0].read_text() == kept[1].read_text()
    epochs = list((folder / "results").glob("trials/*/epochs.csv"))
    assert {path.read_text().count("\n") for path in epochs} == {5}


def test_a_checkpoint_that_cannot_be_read_is_left_aside(searched: Path, tmp_path: Path) -> None:
    folder = lay(tmp_path)
    (folder / "interrupt").touch()
    assert search(2, folder).returncode == 75
    for path in (folder / "results").glob("trials/*/checkpoint-*/state.json"):
        path.write_text('{"walk": 1')
    done = search(2, folder, "--retries", 0)
    assert done.returncode == 0, done.stderr
    logs = [path.read_text() for path in (folder / "results").glob("trials/*/trial.log")]
    assert any("its checkpoint cannot be read and is left aside" in log for log in logs)
    assert runs.comparable(folder / "results") == runs.comparable(searched / "results")


def test_pruned_trials_are_the_same_for_every_number_of_ranks(tmp_path: Path) -> None:
    folder = lay(tmp_path, space="width: [1, 2, 3, 4, 5, 6, 7, 8]\nepochs: 8\n")
    for n_ranks in (1, 3):
        done = search(n_ranks, folder, "--pruner", "asha", "--eta", 2, out=f"results-{n_ranks}")
        assert done.returncode == 0, done.stderr
    first, second = (runs.comparable(folder / f"results-{n}") for n in (1, 3))
    assert first == second
    assert first.count("pruned") >= 3


def test_finalists_get_other_seeds(searched: Path) -> None:
    done = search(2, searched, "--finalists", 2, "--repeats", 2, out="finalists")
    assert done.returncode == 0, done.stderr
    text = (searched / "finalists" / "best_params.txt").read_text()
    assert "# The best 2 were trained 2 times each with other seeds" in text


def test_a_comment_changes_no_trial_and_code_does(searched: Path, tmp_path: Path) -> None:
    folder = lay(tmp_path)
    assert search(1, folder).returncode == 0
    comment = TRAIN.replace("    walk =", "    # a remark\n    walk =")
    done = search(1, lay(folder, comment, "width: [1, 2, 3, 4]\nrate: [0.1, 0.2]\n"))
    assert "8 combinations, 2 to train" in done.stdout, done.stderr
    # What the function uses of its own module counts as well.
    changed = TRAIN.replace("trial.epoch == 2", "trial.epoch == 1")
    done = search(2, lay(folder, changed))
    assert done.returncode == 2
    assert "found one whose version is" in done.stderr
    done = search(2, folder, "--objective-version", "7", out="given")
    assert done.returncode == 0
    done = search(2, lay(folder), "--objective-version", "7", out="given")
    assert "nothing to train" in done.stdout


FAILING = """
import hpo
def train(config, trial):
    which = config["which"]
    if which == "text":
        return "0.9"
    if which == "none":
        return None
    if which == "nothing":
        return iter(())
    if which == "nan":
        return float("nan")
    if which == "other":
        return {"loss": 1, "accuracy": 2}
    if which == "raises":
        with open("tries", "a") as file:
            file.write("x")
        raise OSError("no such luck")
    if which == "half":
        return half()
    if which == "keeps":
        trial.keep(lambda folder: open(folder / "no" / "where", "w"))
    return 2.0 if which == "keeps" else 1.0

def half():
    yield 0.5
    raise KeyError("late")
"""


def test_what_a_trial_does_wrong_is_its_own_failure(tmp_path: Path) -> None:
    space = "which: [text, none, nothing, nan, other, raises, half, keeps, good]\n"
    folder = lay(tmp_path, FAILING, space)
    done = search(2, folder)
    assert done.returncode == 0, done.stderr
    rows = {row["which"]: row for row in runs.rows(folder / "results")}
    assert {name: row["error"] for name, row in rows.items()} == {
        "text": "expected a number for 'score', found '0.9'",
        "none": "expected a result, found that nothing was returned or reported",
        "nothing": "expected a result, found that nothing was returned or reported",
        "nan": "diverged: score is nan in epoch 1",
        "other": "expected the metric 'score', found 'loss', 'accuracy'; --metric chooses another",
        "raises": "OSError: no such luck",
        "half": "KeyError: 'late'",
        "keeps": rows["keeps"]["error"],
        "good": "",
    }
    assert {name for name, row in rows.items() if row["status"] == "done"} == {"good"}
    assert rows["keeps"]["error"].startswith("FileNotFoundError: ")
    assert (folder / "tries").read_text() == "xx"  # --retries 1
    log = folder / "results" / "trials" / rows["raises"]["id"] / "trial.log"
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        (TRAIN, ("--objective", "train.py"), "expected package.module:function or path/file.py"),
        (TRAIN, ("--objective", "train.py:trian"), "expected a function 'trian' in it; did you"),
        (TRAIN, ("--objective", "other.py:train"), "expected a file other.py, found none"),
        (TRAIN, ("--objective", "nowhere.at.all:train"), "ModuleNotFoundError: No module named"),
        ("import nosuch", OBJECTIVE[:2], "No module named 'nosuch' (train.py:1)"),
        ("def train(:", OBJECTIVE[:2], "SyntaxError: "),
        ("raise SystemExit(3)", OBJECTIVE[:2], "SystemExit: 3 (train.py:1)"),
        ("train = 3", OBJECTIVE[:2], "expected a function, found int 3"),
        ("def train(a, b, c): pass", OBJECTIVE[:2], "expected a function of a configuration, or"),
        (
            "import hpo\ndef data(): return {}['x']\n"
            "@hpo.objective(prepare=data)\ndef train(config): return 1",
            OBJECTIVE[:2],
            "expected prepare to give arrays by name, but it raised KeyError: 'x' (train.py:2)",
        ),
        (
            "import hpo\ndef data(): return {'x': [object()]}\n"
            "@hpo.objective(prepare=data)\ndef train(config): return 1",
            OBJECTIVE[:2],
            "prepare: expected arrays of numbers or text by name, found 'x' of object",
        ),
        (TRAIN, (*OBJECTIVE[:2], "--set", "widht=1"), "did you mean 'width'?"),
        (TRAIN, (*OBJECTIVE[:2], "--refit"), "--refit: expected the built-in networks"),
        (TRAIN, (*OBJECTIVE[:2], "--ranks-per-trial", 3), "divides, found 2; start 3"),
        (FAILING, (*OBJECTIVE[:2], "--data", "nosuch"), "expected a file or a folder, found: No"),
        (FAILING, (*OBJECTIVE[:2], "--pruner", "asha"), "expected epochs among the hyperparam"),
    ],
)
def test_a_bad_objective_is_one_line_and_code_2(
    tmp_path: Path, code: str, options: tuple[object, ...], message: str
) -> None:
    folder = lay(tmp_path, code)
    done = search(2, folder, *options, "--space", "space.yaml")
    assert done.returncode == 2, done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line, line
    assert not (folder / "results" / "journal").exists()


def test_a_search_without_a_space_is_refused(tmp_path: Path) -> None:
    done = search(2, lay(tmp_path), "--objective", "train.py:train")
    assert done.returncode == 2
    assert done.stderr == "error: --objective: expected --space beside it, found no search space\n"


SCRIPT = """
import os
import sys
from pathlib import Path
import hpo
from train import train

space = {"width": [1, 2, 3], "rate": [0.1, 0.2]}
found = hpo.search(train, space, out="called", argv=sys.argv[1:])
line = f"{found.config['width']} {found.score} {found.run}"
Path(f"found-{os.getpid()}").write_text(line)  # printed, lines of two ranks may mix
"""


def test_a_call_from_a_script_is_the_same_search(searched: Path) -> None:
    (searched / "script.py").write_text(SCRIPT)
    done = runs.run(2, "script.py", cwd=searched)
    assert done.returncode == 0, done.stderr
    assert runs.comparable(searched / "called") == runs.comparable(searched / "results")
    best = min(runs.rows(searched / "called"), key=lambda row: float(row["score"]))
    found = [path.read_text() for path in searched.glob("found-*")]
    assert found == [f"{best['width']} {float(best['score'])} called"] * 2  # on every rank
    done = runs.run(2, "script.py", "--epochs", "0", cwd=searched)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_call_that_is_interrupted_leaves_with_75(tmp_path: Path) -> None:
    folder = lay(tmp_path)
    (folder / "script.py").write_text(SCRIPT)
    (folder / "interrupt").touch()
    assert runs.run(2, "script.py", cwd=folder).returncode == 75
    assert runs.run(1, "script.py", cwd=folder).returncode == 0


GROUP = """
import os, signal
from pathlib import Path
import hpo

def train(config, trial):
    group = trial.group
    assert group.broadcast((config, trial.id, trial.seed)) == (config, trial.id, trial.seed)
    total = 0

    def load(folder):
        nonlocal total
        total = int((folder / "total").read_text())

    trial.checkpoint(lambda folder: (folder / "total").write_text(str(total)), load)
    for epoch in range(trial.epoch, 3):
        if Path("interrupt").exists() and epoch == 1 and group.rank == 1:
            Path("interrupt").unlink()
            os.kill(os.getpid(), signal.SIGUSR1)  # a member is told to stop
        if Path("die").exists() and epoch == 1 and group.rank == 1:
            Path("die").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if config["wrong"] == "member raises" and epoch == 1 and not group.is_leader:
            raise ValueError("a member's")
        if config["wrong"] == "member returns" and epoch == 1 and not group.is_leader:
            return
        total += sum(group.all_gather(group.rank + 1))
        yield {"score": total, **group.mean({"mean": group.rank})}
"""


@pytest.mark.parametrize("n_ranks", [2, 4])
def test_ranks_of_a_group_train_a_trial_together(tmp_path: Path, n_ranks: int) -> None:
    folder = lay(tmp_path, GROUP, "wrong: ['', member raises, member returns, '-']\n")
    done = search(n_ranks, folder, "--ranks-per-trial", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["wrong"]: row for row in runs.rows(folder / "results")}
    for name in ("", "-"):
        assert (rows[name]["score"], rows[name]["mean"]) == ("9.0", "0.5")
    assert rows["member raises"]["error"] == "ValueError: a member's"
    assert "ended the trial before the others" in rows["member returns"]["error"]
    assert {int(row["rank"]) % 2 for row in rows.values()} == {0}  # leaders alone have results


def test_a_member_that_is_told_to_stop_stops_all(tmp_path: Path) -> None:
    folder = lay(tmp_path, GROUP, "wrong: ['', '-']\n")
    (folder / "interrupt").touch()
    done = search(2, folder, "--ranks-per-trial", 2)
    assert done.returncode == 75, done.stdout + done.stderr
    done = search(4, folder, "--ranks-per-trial", 2)
    assert done.returncode == 0, done.stderr
    assert [row["score"] for row in runs.rows(folder / "results")] == ["9.0", "9.0"]


def test_a_member_that_dies_costs_the_trials_under_way(tmp_path: Path) -> None:
    folder = lay(tmp_path, GROUP, "wrong: ['', '-', '+']\n")
    (folder / "die").touch()
    assert search(2, folder, "--ranks-per-trial", 2).returncode not in (0, 75)
    done = search(2, folder, "--ranks-per-trial", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["score"] for row in runs.rows(folder / "results")] == ["9.0", "9.0", "9.0"]


def test_a_search_of_groups_is_another_one(tmp_path: Path) -> None:
    folder = lay(tmp_path, GROUP, "wrong: ['']\n")
    assert search(2, folder, "--ranks-per-trial", 2).returncode == 0
    done = search(2, folder)
    assert done.returncode == 2
    assert "found one whose ranks_per_trial is 2, not None" in done.stderr


def test_the_built_in_networks_train_on_one_rank(tmp_path: Path) -> None:
    done = runs.search(2, tmp_path / "results", "--ranks-per-trial", 2)
    assert done.returncode == 2
    assert "the built-in networks train on one rank each" in done.stderr


SHARE = """
import numpy as np
from hpo import data, prepared
from hpo.world import World

data.SHARE_FROM_BYTES, prepared._CHUNK_BYTES = 1, 1000
world = World()
arrays = {
    "long": np.arange(10007, dtype=np.int16)[::2],
    "empty": np.empty((0, 3)),
    "scalar": np.float64(3),
    "text": np.array([["x", "yz"]]),
}
found = prepared.share(world, "none", arrays if world.is_root else None)
assert list(found.arrays) == list(arrays)
for name, array in found.arrays.items():
    assert array.shape == np.shape(arrays[name]) and array.dtype == np.asarray(arrays[name]).dtype
    assert np.array_equal(array, arrays[name]) and not array.flags.writeable
assert len(set(world.all_gather(found.fingerprint))) == 1
world.meet()
del found, array
world.close()
print("good", flush=True)
"""


@pytest.mark.parametrize("n_ranks", [1, 3])
def test_arrays_of_any_kind_reach_all_ranks_as_they_were(tmp_path: Path, n_ranks: int) -> None:
    done = runs.run(n_ranks, "-c", SHARE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("good") == n_ranks

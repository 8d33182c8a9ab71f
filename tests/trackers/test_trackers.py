"""Real searches beside W&B, MLflow and TensorBoard, offline, read back by their own packages."""

from __future__ import annotations

import base64
import csv
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import readers
import runs
from readers import Told

pytest.importorskip("wandb", reason="no wandb (make test-trackers)")
pytest.importorskip("mlflow", reason="no mlflow (make test-trackers)")
pytest.importorskip("tensorboard", reason="no tensorboard (make test-trackers)")

# Of these packages and what they load.
pytestmark = pytest.mark.filterwarnings("default")

ALL = ("--track", "wandb", "--track", "mlflow,tensorboard")
NAMES = ("wandb", "mlflow", "tensorboard")
# Of its four trials those with the large learning rate fail.
SPACE = """\
filters: 4
dense_units: 8
batch_size: 256
optimizer: [adam, sgd]
learning_rate: [0.01, 1.0e+30]
gradient_clip: [null]
epochs: 3
"""
SECRETS = {"MLFLOW_TRACKING_PASSWORD": "geheim-4711", "WANDB_API_KEY": "5ec7e7" * 7}
# Nothing of the machine's may decide where it goes.
CLEAN = {"WANDB_MODE": "", "MLFLOW_TRACKING_URI": "", "WANDB_PROJECT": "", "NETRC": "/dev/null"}
GONE_WITHIN_S = 20


def search(out: Path, *options: object, **env: str) -> subprocess.CompletedProcess[str]:
    space = runs.space_file(out.parent, SPACE)
    return runs.search(2, out, "--space", space, *options, **{**CLEAN, **env})


def track(out: Path, *names: str, **env: str) -> subprocess.CompletedProcess[str]:
    words = [word for name in names for word in ("--track", name)]
    return subprocess.run(
        [sys.executable, "-m", "hpo", "track", str(out), *words],
        env=runs.environment(**{**CLEAN, **env}),
        capture_output=True,
        text=True,
        timeout=runs.TIMEOUT_S,
        check=False,
    )


def journaled(out: Path) -> dict[str, dict[str, Any]]:
    """Read the last result of each trial."""
    return {
        its["id"]: its
        for _, content in sorted(runs.journal(out).items())
        for its in map(json.loads, content.splitlines())
    }


def epochs(out: Path, trial_id: str) -> dict[str, list[float]]:
    path = out / "trials" / trial_id / "epochs.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in (rows[0] if rows else {}) if name != "epoch"]
    return {name: [float(row[name]) for row in rows] for name in names}


def told_everywhere(out: Path) -> dict[str, dict[str, Told]]:
    return {
        "wandb": readers.of_wandb(out),
        "mlflow": readers.of_mlflow(readers.mlflow_client(out)),
        "tensorboard": readers.of_tensorboard(out),
    }


def check_all_is_told(out: Path) -> None:
    """Let each tracker hold each trial once, with its epochs, names and status."""
    results = journaled(out)
    for tracker, told in told_everywhere(out).items():
        assert set(told) == set(results), tracker
        for trial_id, its in told.items():
            expected = epochs(out, trial_id)
            assert set(its.metrics) == set(expected), tracker
            for name, values in expected.items():
                assert its.metrics[name] == pytest.approx(values, nan_ok=True), (tracker, name)
            score = results[trial_id]["score"]
            assert its.facts.get("score") == (None if score is None else pytest.approx(score))
            if tracker != "tensorboard":
                assert its.status == results[trial_id]["status"]


def contents(out: Path) -> bytes:
    return b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Search with all trackers, and a key that is no one's."""
    out = tmp_path_factory.mktemp("tracked") / "results"
    done = search(out, *ALL, **SECRETS, MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL="1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"wandb: 4 trials told, offline; to upload: wandb sync {out}/tracking/wandb" in lines
    assert any(line.startswith("mlflow: 4 trials told, mlflow ui --backend") for line in lines)
    assert any(line.startswith("tensorboard: 4 trials told, tensorboard") for line in lines)
    return out


@pytest.fixture
def copied(tracked: Path, tmp_path: Path) -> Path:
    """Give the tracked run in another place, as from another machine."""
    return shutil.copytree(tracked, tmp_path / "results", symlinks=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bare") / "results"
    assert search(out).returncode == 0
    return out


# --- what goes wrong ---


def test_trackers_that_cannot_be_told_leave_the_search_as_it_was(
    bare: Path, tmp_path: Path
) -> None:
    """No server answers, and a file stands where a folder should: one warning for each."""
    out = tmp_path / "results"
    (out / "tracking").mkdir(parents=True)
    (out / "tracking" / "tensorboard").write_text("in the way")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        password = SECRETS["MLFLOW_TRACKING_PASSWORD"]
        done = search(
            *(out, *ALL),
            **SECRETS,
            MLFLOW_TRACKING_URI=f"http://somebody:{password}@{address}",
            MLFLOW_HTTP_REQUEST_TIMEOUT="2",
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
            WANDB_MODE="online",
            WANDB_BASE_URL=f"http://{address}",
        )
    assert done.returncode == 0, done.stderr
    assert runs.comparable(out) == runs.comparable(bare)
    warnings = [line for line in (out / "search.log").read_text().splitlines() if "told" in line]
    for name in NAMES:
        rest = f"python -m hpo track {out} --track {name} tells the rest"
        mine = [line for line in warnings if f"{name} is not told for now" in line]
        assert len(mine) == 1 and "WARNING trackers host " in mine[0]
        assert any(name in line and rest in line for line in done.stdout.splitlines()), done.stdout
    for secret in SECRETS.values():
        assert secret not in done.stdout + done.stderr
        assert secret.encode() not in contents(out)


def test_a_tracker_that_comes_back_is_told_all(tracked: Path, copied: Path) -> None:
    (copied / "tracking" / "mlflow.db").write_text("no database")
    assert track(copied, "mlflow").returncode == 1
    shutil.rmtree(copied / "tracking")
    done = track(copied, *NAMES)
    assert (done.returncode, done.stdout.count("4 trials told")) == (0, 3), done.stderr
    check_all_is_told(copied)


def processes(word: bytes, out: Path) -> Iterator[int]:
    """Find the processes of a run whose command lines have a word."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word in words and str(out).encode() in words:
            yield int(path.name)


def kill(process: subprocess.Popen[bytes], out: Path) -> None:
    """Kill a search's ranks and launcher without a word."""
    for number in processes(b"--out", out):
        os.kill(number, signal.SIGKILL)
    process.wait()


def is_told_of(out: Path) -> bool:
    """Whether a process that tells trackers of a run is there."""
    return any(processes(b"track", out))


def wait_until(condition: Any, within_s: float) -> None:
    until_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_a_killed_search_takes_its_trackers_along_and_goes_on_without_doubles(
    tmp_path: Path,
) -> None:
    out = tmp_path / "results"
    space = runs.space_file(tmp_path, SPACE.replace("[0.01,", "[0.01, 0.02, 0.03, 0.04,"))
    words = [runs.ROOT / "rismpi.py", "--out", out, "--space", space, *ALL]
    with subprocess.Popen(
        runs.command(2, *words), cwd=tmp_path, env=runs.environment(**CLEAN)
    ) as process:
        wait_until(
            lambda: (out / "tracking" / "tensorboard.jsonl").exists(), within_s=runs.TIMEOUT_S
        )
        assert is_told_of(out)
        kill(process, out)
    wait_until(lambda: not is_told_of(out), within_s=GONE_WITHIN_S)
    # The last line was being written.
    with (out / "tracking" / "tensorboard.jsonl").open("a") as file:
        file.write('{"to": "tracki')
    done = runs.search(1, out, "--space", space, *ALL, **CLEAN)
    assert done.returncode == 0, done.stderr
    assert len(journaled(out)) == 10
    check_all_is_told(out)


def test_one_process_tells_at_a_time(copied: Path) -> None:
    words = [sys.executable, "-m", "hpo", "track", str(copied), "--track", "tensorboard"]
    with subprocess.Popen(
        [*words, "--follow"], env=runs.environment(**CLEAN), stdout=subprocess.PIPE
    ) as first:
        wait_until(lambda: (copied / "tracking" / "lock").exists(), within_s=runs.TIMEOUT_S)
        second = track(copied, "tensorboard")
        first.send_signal(signal.SIGTERM)
        told = first.communicate()[0].decode()
    assert second.returncode == 2
    [line] = second.stderr.splitlines()
    assert line.startswith(f"error: {copied}: trackers are being told of it already (host ")
    assert (first.returncode, told.split(",")[0]) == (0, "tensorboard: 0 trials told")


# --- what goes well ---


def test_trackers_change_nothing_of_a_search(tracked: Path, bare: Path) -> None:
    assert runs.comparable(tracked) == runs.comparable(bare)
    models = [out / "best_model.keras" for out in (tracked, bare)]
    assert weights(models[0]) == weights(models[1])
    norms = {"gradient_norm", "weight_norm"}
    for trial_id, its in journaled(tracked).items():
        if its["status"] == "done":
            assert set(epochs(tracked, trial_id)) == set(epochs(bare, trial_id)) | norms
    assert not (bare / "tracking").exists()


def weights(model: Path) -> bytes:
    import zipfile

    import h5py

    with zipfile.ZipFile(model) as file, file.open("model.weights.h5") as inside:
        found: list[bytes] = []
        with h5py.File(inside, "r") as arrays:
            arrays.visititems(
                lambda _, its: found.append(its[()].tobytes()) if hasattr(its, "shape") else None
            )
        return b"".join(found)


def test_every_trial_is_told_once_with_its_epochs(tracked: Path) -> None:
    check_all_is_told(tracked)
    assert sorted(its["status"] for its in journaled(tracked).values()) == [
        *("done", "done", "failed", "failed")
    ]


def test_telling_again_doubles_nothing(copied: Path) -> None:
    again = track(copied, *NAMES)
    assert (again.returncode, again.stdout.count(": 0 trials told")) == (0, 3), again.stderr
    before = {name: len(told) for name, told in told_everywhere(copied).items()}
    for name in NAMES:  # nobody knows any more what was told
        (copied / "tracking" / f"{name}.jsonl").unlink()
    once_more = track(copied, *NAMES)
    assert (once_more.returncode, once_more.stdout.count("4 trials told")) == (0, 3)
    assert {name: len(told) for name, told in told_everywhere(copied).items()} == before
    check_all_is_told(copied)


def test_no_key_is_in_any_file(tracked: Path) -> None:
    found = contents(tracked)
    assert not any(secret.encode() in found for secret in SECRETS.values())


def test_a_trial_that_goes_on_takes_the_place_of_the_pruned_one(tmp_path: Path) -> None:
    out = tmp_path / "results"
    few = ("--set", "learning_rate=0.001,0.01,0.02", "--set", "optimizer=adam")
    pruned = search(out, *ALL, *few, "--pruner", "asha", "--eta", "3")
    assert pruned.returncode == 0, pruned.stderr
    check_all_is_told(out)
    statuses = [its.status for its in readers.of_wandb(out).values()]
    assert statuses.count("pruned") >= 1
    states = {
        its.status: its.facts["state"]
        for its in readers.of_mlflow(readers.mlflow_client(out)).values()
    }
    assert states == {"pruned": "KILLED", "done": "FINISHED"}
    done = search(out, *ALL, *few)
    assert done.returncode == 0, done.stderr
    assert [its["status"] for its in journaled(out).values()] == ["done"] * 3
    check_all_is_told(out)


def test_wandb_has_a_group_of_named_runs_and_one_of_the_search(tracked: Path) -> None:
    found = readers.wandb_runs(tracked)
    groups = {its.run.run_group for its in found.values()}
    [group] = groups
    suffix = group.removeprefix("results-")
    trials = readers.of_wandb(tracked)
    assert {its.name for its in trials.values()} == {
        f"optimizer{rule}_lr{rate}" for rule in ("adam", "sgd") for rate in ("1em2", "1e30")
    }
    for trial_id, its in trials.items():
        run = found[f"{trial_id}-{suffix}"]
        assert run.run.project == "hpo"
        assert its.facts["exit_code"] == (1 if its.status == "failed" else 0)
        assert list(run.run.tags) == [its.status]
        assert its.config["learning_rate"] in (0.01, 1e30)
        assert its.config["dropout"] == 0.2  # a default
        assert its.facts["host"]
        assert its.facts["rank"] in (0, 1)
        assert {"gradient_norm", "weight_norm"} <= set(its.metrics) or its.status == "failed"
    whole = found[f"search-{suffix}"]
    assert set(whole.artifacts) == {"dataset", "model"}
    files = {its.path: its for its in whole.artifacts["model"].manifest.contents}
    assert set(files) == {"best_model.keras"}
    staged = Path(files["best_model.keras"].local_path)
    assert staged.read_bytes() == (tracked / "best_model.keras").read_bytes()
    # W&B's own command finds all of them.
    listed = subprocess.run(
        [Path(sys.executable).with_name("wandb"), "sync", "--dry-run", tracked / "tracking/wandb"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"Would sync {len(found)} run(s)" in listed.stderr + listed.stdout


def test_wandb_shows_what_the_winner_gets_wrong(copied: Path) -> None:
    best = (copied / "best_params.txt").read_text()
    winner = next(line.split()[1] for line in best.splitlines() if line.startswith("trial_id"))
    pixels = base64.b64encode(bytes(range(64))).decode()
    one = {"image": pixels, "label": 4, "answer": 9, "probability": 0.75}
    told = {"trial_id": winner, "side": 8, "classes": 10, "confusion": [], "mistakes": [one] * 30}
    (copied / "best_mistakes.json").write_text(json.dumps(told))
    assert track(copied, "wandb").returncode == 0
    [run] = [its for its in readers.wandb_runs(copied).values() if its.run.job_type == "search"]
    [shown] = run.history
    assert len(shown["mistakes/filenames"]) == 24
    assert shown["mistakes/captions"][0] == "4, answered 9 (75 %)"
    assert all((run.folder / "files" / name).is_file() for name in shown["mistakes/filenames"])
    # Those of another winner are not shown.
    (copied / "best_mistakes.json").write_text(json.dumps({**told, "trial_id": "f" * 16}))
    assert track(copied, "wandb").returncode == 0
    [run] = [its for its in readers.wandb_runs(copied).values() if its.run.job_type == "search"]
    assert run.history == []


def test_mlflow_has_a_parent_with_all_that_belongs_to_the_search(tracked: Path) -> None:
    client = readers.mlflow_client(tracked)
    [parent] = [run for run in readers.mlflow_runs(client) if "hpo.trial" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["space.optimizer"] == "['adam', 'sgd']"
    assert parent.data.params["option.seed"] == "33"
    assert parent.data.tags["data fingerprint"] in (tracked / "search.yaml").read_text()
    assert parent.data.tags["version keras"]
    artifacts = {its.path for its in client.list_artifacts(parent.info.run_id)}
    assert artifacts >= {"best_model.keras", "best_params.txt", "results.csv", "search.yaml"}
    assert "system/cpu_utilization_percentage" in parent.data.metrics
    trials = readers.of_mlflow(client).values()
    assert {(its.status, its.facts["state"]) for its in trials} == {
        *(("done", "FINISHED"), ("failed", "FAILED"))
    }


def test_mlflow_takes_a_file_store_and_a_server(copied: Path, tmp_path: Path) -> None:
    store = (tmp_path / "store").as_uri()
    done = track(copied, "mlflow", MLFLOW_TRACKING_URI=store)
    assert (done.returncode, f"they are in {store}" in done.stdout) == (0, True), done.stderr
    from mlflow import MlflowClient

    assert set(readers.of_mlflow(MlflowClient(store))) == set(journaled(copied))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["server", "--port", str(port), "--backend-store-uri", f"sqlite:///{tmp_path}/s.db"]
    with subprocess.Popen(
        [Path(sys.executable).with_name("mlflow"), *words],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: answer(f"{url}/health") is not None, within_s=120)
            done = track(copied, "mlflow", MLFLOW_TRACKING_URI=url)
            assert done.returncode == 0, done.stderr
            client = MlflowClient(url)
            assert set(readers.of_mlflow(client)) == set(journaled(copied))
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def answer(url: str, told: object = None) -> Any:
    body = None if told is None else json.dumps(told).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as reply:
            text = reply.read()
    except OSError:
        return None
    return json.loads(text) if text[:1] in (b"{", b"[") else text


def test_tensorboard_answers_with_typed_hyperparameters(tracked: Path) -> None:
    """A real server, as its HParams tab asks it."""
    from tensorboard import program

    server = program.TensorBoard()
    folder = str(tracked / "tracking" / "tensorboard")
    server.configure(argv=["", "--logdir", folder, "--port", "0", "--load_fast", "false"])
    url = f"{server.launch()}data/plugin/hparams"
    wait_until(lambda: len(groups(url)) == 4, within_s=120)
    experiment = answer(f"{url}/experiment", {"experimentName": ""})
    hparams = {its["name"]: its for its in experiment["hparamInfos"]}
    assert set(hparams) == {"optimizer", "learning_rate"}
    assert hparams["optimizer"]["type"] == "DATA_TYPE_STRING"
    assert sorted(hparams["optimizer"]["domainDiscrete"]) == ["adam", "sgd"]
    assert hparams["learning_rate"]["type"] == "DATA_TYPE_FLOAT64"
    metrics = [its["name"]["tag"] for its in experiment["metricInfos"]]
    assert metrics[0] == "score"
    assert {"val_accuracy", "gradient_norm"} <= set(metrics)
    statuses = [its["sessions"][0]["status"] for its in groups(url)]
    assert sorted(statuses) == ["STATUS_FAILURE"] * 2 + ["STATUS_SUCCESS"] * 2


def groups(url: str) -> list[Any]:
    asked = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        "colParams": [],
        "startIndex": 0,
        "sliceSize": 100,
    }
    found = answer(f"{url}/session_groups", asked)
    return list(found.get("sessionGroups", [])) if isinstance(found, dict) else []


def test_a_search_on_an_artifact_is_the_one_on_its_file(tmp_path: Path) -> None:
    import numpy as np
    from mlflow import MlflowClient
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.data.astype(np.uint8).reshape(-1, 8, 8)
    np.savez(tmp_path / "digits.npz", x=images, y=digits.target)
    (tmp_path / "other.txt").write_text("no images")
    uri = f"sqlite:///{tmp_path}/data.db"
    client = MlflowClient(uri)
    experiment = client.create_experiment("data", artifact_location=(tmp_path / "a").as_uri())
    run = client.create_run(experiment).info.run_id
    for name in ("digits.npz", "other.txt"):
        client.log_artifact(run, str(tmp_path / name), "set")
    few = ("--set", "optimizer=adam", "--set", "learning_rate=0.01")
    own = {"MLFLOW_TRACKING_URI": uri, "HPO_CACHE": str(tmp_path / "cache")}
    name = f"mlflow:runs:/{run}/set"
    refused = search(tmp_path / "none", *few, "--data", name, **own)
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        f"error: --data {name}: expected one file, found set/digits.npz, set/other.txt; add /FILE"
        " to it"
    ]
    by_name, by_path = tmp_path / "by_name", tmp_path / "by_path"
    assert search(by_name, *few, "--data", f"{name}/digits.npz", **own).returncode == 0
    assert search(by_path, *few, "--data", tmp_path / "digits.npz").returncode == 0
    assert runs.comparable(by_name) == runs.comparable(by_path)
    assert f"path: {name}/digits.npz" in (by_name / "search.yaml").read_text()
    # Once it is there, nobody is asked for it.
    (tmp_path / "data.db").unlink()
    again = search(by_name, *few, "--data", f"{name}/digits.npz", **own)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wandb:team/project/images:v3", "expected an artifact, found no key for http"),
        ("wandb:images", "expected wandb:ENTITY/PROJECT/NAME:VERSION[/FILE]"),
        ("mlflow:runs:/0123/images", "expected an artifact, found: "),
    ],
)
def test_an_artifact_that_cannot_be_had_is_one_line(tmp_path: Path, name: str, told: str) -> None:
    own = {"WANDB_API_KEY": "", "HPO_CACHE": str(tmp_path / "cache")}
    uri = f"sqlite:///{tmp_path}/data.db"
    done = search(tmp_path / "results", "--data", name, **{**own, "MLFLOW_TRACKING_URI": uri})
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: --data {name}: {told}")
    assert not (tmp_path / "results").exists()


def test_scores_are_numbers(tracked: Path) -> None:
    """What failed has none, rather than one that sorts before all others."""
    for told in told_everywhere(tracked).values():
        scores = [its.facts.get("score") for its in told.values()]
        assert scores.count(None) == 2
        assert all(score is None or math.isfinite(score) for score in scores)

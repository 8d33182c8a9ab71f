"""Images as clusters run them: any user, a read-only root, the PATH of the host they came from."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import images
import pytest
from images import MPIRUN, PYTHON, Engine, run_command
from test_dockerfiles import PINS

Built = Callable[[str], str]

# Nothing of the image is on it, as where LSF brings the PATH of the submit host.
FOREIGN_PATH = "/opt/ibm/lsfsuite/lsf/bin:/usr/lpp/mmfs/bin"
SPACE = ["--set", "filters=4,6", "--set", "dense_units=16", "--set", "batch_size=64,128"]
SPACE += ["--set", "learning_rate=0.01", "--set", "dropout=0.3", "--set", "validation_split=0.1"]
N_TRIALS = 4
JOBS = [
    {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "far[1-2]", "SLURM_JOB_NUM_NODES": "2"}
    | {"SLURM_TASKS_PER_NODE": "2(x2)", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
    {"LSB_JOBID": "7", "LSF_BINDIR": "/opt/lsf/bin", "LSB_MCPU_HOSTS": "far1 2 far2 2"},
]


@pytest.mark.parametrize("name", ["mpi-test", "mpi-ml"])
@pytest.mark.parametrize("network", ["host", "none"])
def test_mpi_works_as_any_user(
    engine: Engine, built: Built, store: Path, name: str, network: str
) -> None:
    words = (MPIRUN, "-np", 2, PYTHON, "/app/mpitest.py")
    done = engine.run(built(name), *words, store=store, network=network, PATH=FOREIGN_PATH)
    assert (done.returncode, done.stderr) == (0, "")
    assert "all 2 ranks took part" in done.stdout
    saved = store / "results" / "mpitest.txt"
    assert f"saved it in /app/{saved.relative_to(store.parent)}" in done.stdout
    assert saved.stat().st_uid == images.USER


def test_mpi_works_by_the_path_of_the_image(engine: Engine, built: Built, store: Path) -> None:
    words = ("mpirun", "-np", 2, "python3", "/app/mpitest.py")
    done = engine.run(built("mpi-test"), *words, store=store)
    assert (done.returncode, done.stderr) == (0, "")
    assert "all 2 ranks took part" in done.stdout


def test_many_ranks_fit_into_the_shared_memory_that_docker_gives(
    engine: Engine, built: Built, store: Path
) -> None:
    words = (MPIRUN, "-np", 16, PYTHON, "/app/mpitest.py")
    done = engine.run(built("mpi-test"), *words, store=store, shared_memory="64m")
    assert (done.returncode, done.stderr) == (0, "")
    assert "all 16 ranks took part" in done.stdout


def test_a_search_runs_as_any_user(engine: Engine, built: Built, store: Path) -> None:
    words = (MPIRUN, "-np", 2, PYTHON, "/app/rismpi.py", "--epochs", 1, *SPACE)
    image = built("mpi-ml")
    done = engine.run(image, *words, store=store, PATH=FOREIGN_PATH, LANG="de_DE.ISO-8859-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "run directory /app/store/results" in done.stdout
    assert f"finished: {N_TRIALS} of {N_TRIALS} trials, 0 failed" in done.stdout
    with (store / "results" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == N_TRIALS
    assert {row["rank"] for row in rows} == {"0", "1"}
    assert {path.stat().st_uid for path in (store / "results").rglob("*")} == {images.USER}
    assert [path.name for path in store.iterdir()] == ["results"]
    # LSF begins in the directory of the job, where python -m hpo works too.
    words = (PYTHON, "-m", "hpo", "status", "results")
    done = engine.run(image, *words, store=store, workdir="/app/store", PATH=FOREIGN_PATH)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["rismpi.lsf", "rismpi-array.lsf"])
def test_script_of_a_job_of_lsf_runs_as_it_is(
    engine: Engine, built: Built, store: Path, name: str
) -> None:
    """Only the number of ranks, or of shares, is another; the space is a script's, mounted."""
    script = (images.ROOT / "lsf" / name).read_text()
    (store / "job.sh").write_text(re.sub(r"\b16\b", "2", script))
    space = {"filters": [4, 6], "dense_units": 16, "batch_size": [64, 128], "epochs": 1}
    text = (images.ROOT / "rismpi.py").read_text()
    (store / "rismpi.py").write_text(
        re.sub(r"^SPACE = {.*?^}", f"SPACE = {space}", text, flags=re.M | re.S)
    )
    mount = f"--volume={store}/rismpi.py:/app/rismpi.py:ro"
    for index in (1, 2) if "array" in name else (0,):
        job = {"LSB_JOBID": "7", "LSB_JOBINDEX": index, "LSB_MCPU_HOSTS": "far 2 "}
        options = [f"--env={variable}={value}" for variable, value in job.items()]
        options += [f"--env=PATH={FOREIGN_PATH}:/bin", f"--user={images.USER}", "--workdir=/tmp"]
        words = (built("mpi-ml"), "/bin/bash", "/app/store/job.sh")
        command = run_command(mount, "--network=host", *options, *words, store=store)
        done = engine.do(*command, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "finished: 4 of 4 trials, 0 failed" in done.stdout


def test_a_stopped_container_leaves_in_good_order(
    engine: Engine, built: Built, store: Path
) -> None:
    running = engine.start(run_command("--network=host", built("mpi-ml"), store=store))
    journal = store / "results" / "journal"
    deadline_s = time.monotonic() + images.TIMEOUT_S
    while not (journal.exists() and any(path.stat().st_size for path in journal.iterdir())):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=images.TIMEOUT_S)
    assert (running.returncode, err) == (75, ""), out


@pytest.mark.parametrize("name", ["mpi-test", "mpi-ml"])
def test_only_the_store_and_tmp_can_be_written(
    engine: Engine, built: Built, store: Path, name: str
) -> None:
    script = "for d in / /app /app/hpo /app/store /etc /home /tmp /usr/local /var/tmp; do"
    script += " (: > $d/new) 2>/dev/null && echo $d; done; exit 0"
    done = engine.run(built(name), "/bin/sh", "-c", script, store=store)
    assert done.stdout.split() == ["/app/store", "/tmp"]


@pytest.mark.parametrize("name", ["mpi-test", "mpi-ml"])
@pytest.mark.parametrize("job", JOBS, ids=["slurm", "lsf"])
def test_health_check_stays_on_its_host(
    engine: Engine, built: Built, store: Path, name: str, job: dict[str, str]
) -> None:
    kind, *words = engine.inspect(built(name))["Healthcheck"]["Test"]
    assert kind == "CMD"
    done = engine.run(built(name), *words, store=store, PATH=FOREIGN_PATH, **job)
    assert (done.returncode, done.stderr) == (0, "")
    assert "all 2 ranks took part" in done.stdout
    assert list(store.iterdir()) == []


@pytest.mark.parametrize("name", ["mpi-test", "mpi-ml"])
def test_image_says_what_schedulers_want(engine: Engine, built: Built, name: str) -> None:
    config = engine.inspect(built(name))["Config"]
    assert not config.get("Entrypoint")
    assert config["User"] == "1000:1000"
    assert config["WorkingDir"] == "/app"
    assert "HPO_OUT=/app/store/results" in config["Env"]


def test_image_runs_by_itself(engine: Engine, built: Built, store: Path) -> None:
    done = engine.do(*run_command("--network=host", built("mpi-test"), store=store))
    assert "all 2 ranks took part" in done.stdout


@pytest.mark.parametrize("name", ["mpi-test", "mpi-ml"])
def test_all_that_pip_installed_is_pinned(
    engine: Engine, built: Built, store: Path, name: str
) -> None:
    folder = "/usr/local/lib/python3.11/dist-packages"
    words = (PYTHON, "-m", "pip", "list", "--format=freeze", "--path", folder)
    done = engine.run(built(name), *words, store=store)
    installed = dict(line.split("==") for line in done.stdout.splitlines())
    assert {"mpi4py", "mpich", "numpy"} <= set(installed)
    assert {n: v for n, v in installed.items() if PINS.get(n) != v} == {}


@pytest.mark.parametrize(
    ("name", "changed"), [("mpi-test", "mpitest.py"), ("mpi-ml", "rismpi.py")]
)
def test_a_change_of_code_makes_only_the_last_layers_anew(
    engine: Engine, built: Built, store: Path, tmp_path: Path, name: str, changed: str
) -> None:
    context = tmp_path / "checkout"
    context.mkdir()
    for each in ("docker", "hpo"):
        shutil.copytree(images.ROOT / each, context / each)
    for each in (".dockerignore", "requirements.txt", "mpitest.py", "rismpi.py", "rismpigpu.py"):
        shutil.copy2(images.ROOT / each, context)
    with (context / changed).open("a") as file:
        file.write("print('changed')\n")
    # Data beside the code stay out, and a checkout that only its owner may read is no hindrance.
    for each in ("train.csv", "hpo/train.csv", "results/journal/a.jsonl"):
        (context / each).parent.mkdir(parents=True, exist_ok=True)
        (context / each).touch()
    for path in [context / changed, *(context / "hpo").iterdir()]:
        path.chmod(0o600)

    before, image = engine.layers(built(name)), f"localhost/{name}:changed"
    said = engine.build(name, context, tag="changed")
    try:
        after = engine.layers(image)
        assert len(after) == len(before)
        n_same = sum(old == new for old, new in zip(before, after, strict=True))
        assert before[:n_same] == after[:n_same]
        assert len(before) - n_same <= 3  # the package, the scripts, what is compiled of them
        assert not re.search(r"Collecting|apt-get update.*\nGet:", said)
        words = ("find", "/", "-xdev", "(", "-name", "train.csv", "-o", "-name", "a.jsonl", ")")
        assert engine.run(image, *words, store=store).stdout == ""
        done = engine.run(image, PYTHON, f"/app/{changed}", "--help", store=store)
        assert done.returncode == 0, done.stderr
    finally:
        engine.do("podman", "rmi", image)

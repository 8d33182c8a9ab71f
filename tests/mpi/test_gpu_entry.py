"""rismpigpu.py under mpirun, on fake GPUs: who is pinned to which, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import runs

SCRIPT = runs.ROOT / "rismpigpu.py"
UUIDS = ["GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0000"]
DRIVER = "".join(
    f"echo 'GPU {number}: NVIDIA H100 80GB HBM3 (UUID: {uuid})'\n"
    for number, uuid in enumerate(UUIDS)
)
FOR_CPUS = "; rismpi.py is the entry for CPUs"

# Each rank has an environment of its own, as under `srun --gpus-per-task`.
BY_RANK = """\
import json, os, runpy, sys
from hpo import launcher
os.environ.update(json.loads(sys.argv[1])[launcher.promised()[0]])
script, sys.argv = sys.argv[2], sys.argv[2:]
sys.path.insert(0, os.path.dirname(script))
runpy.run_path(script, run_name="__main__")
"""
# In place of Keras, the first that is loaded: tells this rank's GPU, and ends once all have.
TELLTALE = """\
import os, pathlib, time
folder = pathlib.Path(__file__).parent
(folder / f"{os.getpid()}.pinned").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
end = time.monotonic() + 20
while len(list(folder.glob("*.pinned"))) < %d and time.monotonic() < end:
    time.sleep(0.05)
raise SystemExit("told")
"""


@pytest.fixture(autouse=True)
def no_gpu_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the machine of these tests says of its own GPUs."""
    for name in ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "SLURM_STEP_GPUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SLURM_JOB_GPUS", raising=False)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an nvidia-smi that lists two GPUs first on the PATH."""
    script = tmp_path / "bin" / "nvidia-smi"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n[ "$*" = -L ] || exit 1\n{DRIVER}')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")


def instead_of_keras(folder: Path, text: str) -> str:
    """Give a PYTHONPATH on which what TensorFlow and Keras load is this text."""
    for name in ("tensorflow", "keras"):
        (folder / f"{name}.py").write_text(text)
    return f"{folder}:{runs.ROOT}"


def tripwire(folder: Path) -> str:
    return instead_of_keras(folder, "import os\nos.abort()\n")


def only_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    return lines[0]


@pytest.mark.parametrize("n_ranks", [1, 3])
@pytest.mark.parametrize("value", ["", "-1"])
def test_no_gpu_is_refused_once_before_anything_is_loaded(
    tmp_path: Path, n_ranks: int, value: str
) -> None:
    done = runs.run(
        n_ranks,
        SCRIPT,
        cwd=tmp_path,
        PYTHONPATH=tripwire(tmp_path),
        CUDA_VISIBLE_DEVICES=value,
    )
    assert done.returncode == 2
    line = only_line(done.stderr)
    assert line.startswith("error: host ")
    assert line.endswith(
        f": expected a GPU, found none in CUDA_VISIBLE_DEVICES={value!r}{FOR_CPUS}"
    )
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="there is a GPU here")
@pytest.mark.parametrize("answer", ["exit 9", "echo No devices were found", None])
def test_no_driver_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    if answer is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    done = runs.run(2, SCRIPT, cwd=tmp_path, PYTHONPATH=tripwire(tmp_path))
    assert done.returncode == 2
    assert only_line(done.stderr).endswith(
        f": expected a GPU, found none by nvidia-smi and in /dev{FOR_CPUS}"
    )


def test_no_gpu_without_a_launcher_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        cwd=tmp_path,
        env=runs.environment(PYTHONPATH=tripwire(tmp_path), CUDA_VISIBLE_DEVICES=""),
        capture_output=True,
        text=True,
        timeout=runs.TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert "expected a GPU" in only_line(done.stderr)


@pytest.mark.parametrize("blind", [0, 2])
def test_one_rank_without_a_gpu_stops_all(tmp_path: Path, blind: int) -> None:
    each = [{"CUDA_VISIBLE_DEVICES": "" if rank == blind else "0"} for rank in range(3)]
    words = ("-c", BY_RANK, json.dumps(each), SCRIPT)
    done = runs.run(3, *words, cwd=tmp_path, PYTHONPATH=tripwire(tmp_path))
    assert done.returncode == 2
    assert "found none in CUDA_VISIBLE_DEVICES=''" in only_line(done.stderr)


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("each", "said", "pinned"),
    [
        ([{}], "1 rank on 1 of 2 GPUs", [UUIDS[0]]),
        ([{}] * 2, "2 ranks on 2 GPUs", UUIDS),
        ([{}] * 3, "3 ranks on 2 GPUs", [UUIDS[0], *UUIDS]),
        ([{"CUDA_VISIBLE_DEVICES": "1"}] * 2, "2 ranks on 1 GPU", ["1", "1"]),
        (
            [{"CUDA_VISIBLE_DEVICES": uuid} for uuid in UUIDS],
            "2 ranks on 2 GPUs",
            UUIDS,
        ),
        ([{"SLURM_STEP_GPUS": "1"}] * 2, "2 ranks on 1 GPU", [UUIDS[1]] * 2),
    ],
)
def test_each_rank_is_pinned_before_keras_is_loaded(
    tmp_path: Path, each: list[dict[str, str]], said: str, pinned: list[str]
) -> None:
    words = ("-c", BY_RANK, json.dumps(each), SCRIPT, "--set", "filters=4")
    path = instead_of_keras(tmp_path, TELLTALE % len(each))
    done = runs.run(len(each), *words, cwd=tmp_path, PYTHONPATH=path)
    assert said in done.stdout.splitlines()
    found = sorted(file.read_text() for file in tmp_path.glob("*.pinned"))
    assert found == sorted(pinned), done.stderr


@pytest.mark.usefixtures("driver")
def test_what_tensorflow_cannot_see_is_refused_once(tmp_path: Path) -> None:
    """The driver lists GPUs, but CUDA has none of these names, or TensorFlow has no CUDA."""
    out = tmp_path / "results"
    space = runs.space_file(tmp_path)
    done = runs.run(2, SCRIPT, "--space", space, "--out", out, cwd=tmp_path)
    assert done.returncode == 2
    line = only_line(done.stderr)
    assert f": GPU {UUIDS[0]}: expected TensorFlow to see it, found" in line
    assert line.endswith(f"; pip install 'tensorflow[and-cuda]'{FOR_CPUS}")
    assert "2 ranks on 2 GPUs" in done.stdout.splitlines()
    assert not list((out / "state").glob("lock*"))
    assert runs.journal(out) == {}


@pytest.mark.usefixtures("driver")
def test_a_run_on_cpus_is_not_continued_on_gpus(undisturbed: Path, tmp_path: Path) -> None:
    out = shutil.copytree(undisturbed, tmp_path / "results")
    words = (SCRIPT, "--space", runs.space_file(tmp_path), "--out", out)
    done = runs.run(2, *words, cwd=tmp_path, PYTHONPATH=tripwire(tmp_path))
    assert done.returncode == 2
    assert "found one whose device is cpu, not gpu" in only_line(done.stderr)

"""Job files: those in slurm/ and lsf/ are what `hpo submit` writes; wrong ones are refused."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpo import commands, container, job, jobfile, scheduler, sitefile
from hpo.errors import InputError
from hpo.job import Job

ROOT = Path(__file__).parent.parent
FILES = sorted([*(ROOT / "slurm").iterdir(), *(ROOT / "lsf").iterdir()])


def submitted(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hpo", "submit", *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_file_is_what_the_command_in_its_second_line_writes(path, monkeypatch, capsys):
    text = path.read_text()
    words = shlex.split(text.splitlines()[1].removeprefix("# python -m hpo "))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["hpo", *words])
    assert commands.main(["submit", "--dry-run", *words[1:]]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_file_is_shell(path):
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


BARE = Job("slurm")
PYXIS = Job(
    "slurm", container="pyxis", image="x.sqsh", mounts=("/lab:/app/store",), out="/lab/results"
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(BARE, scheduler="pbs"), "--scheduler: expected slurm or lsf, found 'pbs'"),
        (replace(BARE, nodes=0), "--nodes: expected a whole number from 1, found 0"),
        (replace(BARE, time_min=0), "--time: expected a whole number from 1, found 0"),
        (
            replace(BARE, memory_per_rank="4"),
            "--memory-per-rank: expected a whole number with MB, GB or TB, found '4'",
        ),
        (replace(BARE, memory_per_rank="4.5GB"), "--memory-per-rank: expected a whole number"),
        (replace(BARE, name="my job"), "--name: expected letters, digits and ._-"),
        (replace(BARE, name="x\n#SBATCH --uid=0"), "--name: expected letters"),
        (replace(BARE, partition='a" b'), "--partition: expected a value without quotes"),
        (replace(BARE, directives=("--a\nrm",)), "--directive: expected a value without line br"),
        (replace(BARE, out="a\ntouch X #"), "--out: expected a value without line breaks"),
        (replace(BARE, account="a\r"), "--account: expected a value without line breaks"),
        (replace(BARE, account=""), "--account: expected some text"),
        (replace(BARE, image="x"), "--image: expected --container beside it"),
        (replace(BARE, mounts=("/a:/b",)), "--mount: expected --container beside it"),
        (replace(BARE, container="docker", image="x"), "--container: expected one of none, pyxis"),
        (replace(BARE, job_group="/u/g"), "--job-group: expected LSF, found 'Slurm'"),
        (replace(BARE, array=4, links=2), "--links: expected no --array beside it"),
        (replace(BARE, interactive=True, array=4), "--interactive: expected no --array"),
        (replace(PYXIS, image=None), "--container: expected --image beside it"),
        (replace(PYXIS, mounts=("lab:/x",)), "--mount: expected SRC:DST, both from the root"),
        (
            replace(PYXIS, out="/other/results"),
            "--out /other/results: expected a directory that the container may write to, found no"
            " --mount for it; add --mount /other:/app/store",
        ),
        (replace(PYXIS, mounts=("/lab:/app/store:ro",)), "found no --mount for it"),
        (replace(PYXIS, out="/lab/../etc"), "found no --mount for it"),
        (
            Job("lsf", container="docker", image="x", out="../results"),
            "--out ../results: expected a directory that the container may write to",
        ),
        (replace(PYXIS, mounts=("/lab:/a b",)), "--mount: expected no spaces and no commas"),
        (
            replace(PYXIS, launcher="mpirun", interactive=True),
            "--launcher mpirun: expected no --interactive in a container beside it",
        ),
        (
            replace(PYXIS, launcher="mpirun", nodes=2),
            "--launcher mpirun: expected one node, as mpirun inside a container reaches no other",
        ),
        (
            replace(BARE, scheduler="lsf", array=1001),
            "--array: expected at most 1,000 elements on LSF, found 1001",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(wrong, message):
    with pytest.raises(InputError, match="^") as raised:
        wrong.check()
    assert message in str(raised.value)


def test_run_directory_is_named_as_the_container_sees_it():
    assert replace(PYXIS, out="/lab/a/results").out_inside() == "/app/store/a/results"
    nested = replace(PYXIS, mounts=("/lab:/data", "/lab/results:/app/store"))
    assert nested.out_inside() == "/app/store"
    assert replace(BARE, out="results").out_inside() == "results"
    docker = Job("lsf", container="docker", image="x", out="results")
    assert docker.out_inside() == "results"  # the wrapper mounts the submit directory


@pytest.mark.parametrize("scheduler", job.SCHEDULERS)
def test_words_reach_the_search_as_they_were_given(scheduler, tmp_path):
    """Quotes, spaces, dollars and globs in paths are the shell's business nowhere."""
    odd = ("--set", "a='x y',$HOME", "--data", "/d ir/`id`;*.csv", '"')
    python = tmp_path / "py thon"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >> "$TOLD"\n')
    python.chmod(0o755)
    its = Job(scheduler, python=str(python), out="o ut", arguments=odd, array=3)
    told = tmp_path / "told"
    environ = {"PATH": "/usr/bin:/bin", "TOLD": str(told)}
    environ |= {"SLURM_ARRAY_TASK_ID": "2", "LSB_JOBINDEX": "2"}
    subprocess.run(["bash", "-c", jobfile.text(its)], env=environ, check=True)
    search = ["rismpi.py", "--out", "o ut", *odd, "--shard", "2/3"]
    assert told.read_text().splitlines()[: len(search)] == search


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scheduler", "slurm", "--", "--fresh"], "--fresh: expected none of it in a job"),
        (["--scheduler", "slurm", "--", "--retry-failed"], "--retry-failed: expected none of it"),
        (["--scheduler", "slurm", "--", "--out", "x"], "--out: expected before the --"),
        (["--scheduler", "slurm", "--", "--shard=1/2"], "--shard: expected --array"),
        (["--scheduler", "slurm", "--", "--epochs", "0"], "argument --epochs: expected a whole"),
        (["--scheduler", "slurm", "--", "--space", "no.yaml"], "no.yaml: expected a search space"),
        (["--scheduler", "slurm", "--", "--data", "no.csv"], "--data no.csv: expected a file"),
        (["--scheduler", "slurm", "--script", "no.py"], "--script no.py: expected the search's"),
        (["--nodes", "two"], "argument --nodes: expected a whole number from 1, found 'two' ("),
        (["--contaner=none"], "unrecognized arguments: --contaner=none ("),
        (["--site", "nowhere"], "--site nowhere: expected a YAML file or one of compute1, comp"),
        ([], "--scheduler: expected sbatch or bsub on PATH, found neither"),
    ],
)
def test_misuse_is_told_in_one_line_before_anything_is_submitted(words, message):
    if not words and any(Path(p, "sbatch").exists() for p in ("/usr/bin", "/bin")):
        pytest.skip("there is an sbatch here")
    done = submitted(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_job_finds_the_package_where_neither_it_nor_its_script_lies_there(tmp_path):
    (tmp_path / "mine.py").write_text("SPACE = {}\n")
    words = (
        "--scheduler",
        "slurm",
        "--dry-run",
        "--setup",
        "module load x",
        "--",
        "--space",
        "ris",
    )
    line = f"\nexport PYTHONPATH={ROOT}${{PYTHONPATH:+:$PYTHONPATH}}\n"
    mine = ("--script", str(tmp_path / "mine.py"), *words)
    assert f"\nmodule load x{line}" in submitted(*mine).stdout
    assert line in submitted(*mine, cwd=tmp_path).stdout
    elsewhere = ("--script", str(ROOT / "rismpi.py"), *words)
    assert line in submitted(*elsewhere, cwd=tmp_path).stdout
    assert "PYTHONPATH" not in submitted(*elsewhere).stdout


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "train.csv").touch()
    (folder / "good.yaml").write_text("filters: [8, 16]\n")
    (folder / "wrong.yaml").write_text("colour: red\n")
    return folder


def contained(kind: str, lab: Path, *search: str) -> subprocess.CompletedProcess[str]:
    scheduler = "lsf" if kind == "docker" else "slurm"
    words = ["--scheduler", scheduler, "--container", kind, "--image", "x", "--dry-run"]
    words += ["--mount", f"{lab}:/app/store", "--out", f"{lab}/results", "--", *search]
    return submitted(*words, cwd=lab.parent)


@pytest.mark.parametrize("kind", ["pyxis", "docker", "apptainer", "shifter"])
@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            "--data /app/store/no.csv",
            "--data /app/store/no.csv: expected a file, found none in ",
        ),
        (
            "--test /app/store/no.csv",
            "--test /app/store/no.csv: expected a file, found none in ",
        ),
        (
            "--space /app/store/a.yaml",
            "--space /app/store/a.yaml: expected a file, found none in ",
        ),
        ("--space /app/store/wrong.yaml", "{lab}/wrong.yaml:1: unknown hyperparameter 'colour'"),
    ],
)
def test_file_that_the_container_will_not_find_is_refused(lab, kind, search, message):
    done = contained(kind, lab, *search.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: " + message.format(lab=lab))
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["pyxis", "shifter"])
def test_file_named_as_it_is_outside_is_refused_with_its_name_inside(lab, kind):
    done = contained(kind, lab, "--data", f"{lab}/train.csv")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: --data {lab}/train.csv: expected the path in the container, found the one outside"
        "; use --data /app/store/train.csv\n"
    )


def test_file_that_no_mount_shows_is_warned_of(lab):
    done = contained("pyxis", lab, "--data", "/other/train.csv")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == (
        "warning: --data /other/train.csv: no --mount shows it in the container; if it is not part"
        " of the image, add --mount /other:/other"
    )


@pytest.mark.parametrize(
    ("kind", "search"),
    [
        ("pyxis", "--data /app/store/train.csv --space /app/store/good.yaml"),
        ("pyxis", "--data store/train.csv --space ris"),  # from /app
        ("docker", "--data lab/train.csv"),  # from the directory of the submission
        ("apptainer", "--data lab/train.csv"),
    ],
)
def test_file_that_the_container_will_find_is_not_spoken_of(lab, kind, search):
    done = contained(kind, lab, *search.split())
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert done.stderr.startswith("submitted by: ")


def test_mount_that_only_nodes_have_is_not_looked_into(tmp_path):
    done = contained("pyxis", tmp_path / "nowhere", "--data", "/app/store/train.csv")
    assert done.returncode == 0
    assert "warning" not in done.stderr


def test_site_file_fills_in_and_the_command_line_wins(tmp_path):
    site = tmp_path / "mine.yaml"
    site.write_text(
        "scheduler: slurm\npartition: short\nsetup: [module load python]\n"
        "with_gpus:\n  partition: gpus\n"
    )
    assert sitefile.read(str(site), gpus_per_node=None)["partition"] == "short"
    assert sitefile.read(str(site), gpus_per_node=1)["partition"] == "gpus"
    done = submitted("--site", str(site), "--dry-run", "--nodes", "3")
    assert "#SBATCH --partition=short\n#SBATCH --nodes=3\n" in done.stdout
    assert "\nmodule load python\n" in done.stdout
    assert (
        "#SBATCH --partition=long\n"
        in submitted("--site", str(site), "--dry-run", "--partition", "long").stdout
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "expected `name: value` lines"),
        ("colour: red", "expected one of scheduler, script"),
        ("nodes: two", "nodes: expected a whole number, found 'two'"),
        ("partition: 3", "partition: expected a text, found 3"),
        ("setup: module load x", "setup: expected a list of texts"),
        ("a: [", "expected YAML"),
        ("with_gpus: [a]", "with_gpus: expected `name: value` lines"),
        ("with_gpus: {colour: red}", "expected one of scheduler, script"),
    ],
)
def test_site_file_that_is_wrong_is_named(tmp_path, text, message):
    site = tmp_path / "mine.yaml"
    site.write_text(text)
    with pytest.raises(InputError) as raised:
        sitefile.read(str(site), gpus_per_node=None)
    assert str(raised.value).startswith(f"{site}: ")
    assert message in str(raised.value)


def test_element_that_goes_on_names_itself_and_not_the_array():
    """The number of an array's last element is the array's: requeueing it requeues them all."""
    assert 'scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"' in jobfile.text(
        replace(BARE, array=3)
    )


def test_command_in_the_head_stays_a_comment():
    lines = jobfile.text(BARE, "python -m hpo submit --site 'a\ntouch X'").splitlines()
    assert lines[1:3] == ["# python -m hpo submit --site 'a", "# touch X'"]


@pytest.mark.parametrize(
    ("numbers", "text"), [([1], "1"), ([1, 2, 3, 7], "1-3,7"), ([5, 2, 4], "2,4-5"), ([], "")]
)
def test_elements_are_written_as_ranges(numbers, text):
    assert scheduler.ranges(numbers) == text


def test_directory_in_a_containers_own_layer_is_known():
    mounts = ["overlay / overlay rw 0 0", "tmpfs /tmp tmpfs rw 0 0", "lab /app/store nfs rw 0 0"]
    assert container.is_in_layer("/app/results", mounts)
    assert not container.is_in_layer("/app/store/results", mounts)
    assert not container.is_in_layer("/tmp/results", mounts)
    assert not container.is_in_layer("/home/me", ["/dev/sda1 / ext4 rw 0 0"])


def test_code_of_ones_own_needs_no_script(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("def train(config): return 1\n")
    Path("space.yaml").write_text("rate: [1, 2]\n")
    words = ["submit", "--scheduler", "slurm", "--dry-run", "--out", "runs"]
    own = ["--", "--objective", "train.py:train", "--space", "space.yaml"]
    assert commands.main([*words, *own]) == 0
    line = "python -m hpo search --out runs --objective train.py:train --space space.yaml"
    assert line in capsys.readouterr().out
    assert commands.main([*words, "--gpus-per-node", "1", *own]) == 0
    assert "python -m hpo search --device gpu --out runs" in capsys.readouterr().out
    Path("train.py").unlink()
    assert commands.main([*words, *own]) == 2
    assert capsys.readouterr().err == (
        "error: --objective train.py:train: expected a file train.py, found none\n"
    )

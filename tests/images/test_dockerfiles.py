"""What the Dockerfiles say, without building anything."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import images
import pytest
from packaging.requirements import Requirement

HADOLINT = shutil.which(
    "hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
PINS = dict(
    line.split("==")
    for line in (images.DOCKER / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint (make test-images installs it)")
@pytest.mark.parametrize("name", images.NAMES)
def test_dockerfile_is_clean(name: str) -> None:
    assert HADOLINT is not None
    path = images.DOCKER / name / "Dockerfile"
    done = subprocess.run(
        [HADOLINT, "--no-color", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_images_have_one_pinned_base() -> None:
    assert re.fullmatch(r"debian:\w+-\d{8}-slim", images.base_name())


@pytest.mark.parametrize("name", images.NAMES)
def test_image_copies_no_data_and_needs_no_path(name: str) -> None:
    text = images.dockerfile(name)
    copied = {
        word for line in re.findall(r"^COPY (.*)$", text, re.M) for word in line.split()[:-1]
    }
    known = {
        "docker/constraints.txt",
        "requirements.txt",
        "mpitest.py",
        "rismpi.py",
        "rismpigpu.py",
    }
    assert {word for word in copied if not word.startswith("hpo")} <= known
    assert "ENTRYPOINT" not in text  # LSF's wrapper wants /bin/sh or none
    for command in re.findall(r"^ *CMD (\[[^]]*\])$", text.replace("\\\n", " "), re.M):
        words = ast.literal_eval(command)
        assert words[0] == images.MPIRUN
        assert images.PYTHON in words


def test_gpu_image_begins_as_the_other_does() -> None:
    def steps(name: str) -> list[str]:
        text = images.dockerfile(name).replace("\\\n", " ")
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    packages = next(n for n, step in enumerate(steps("mpi-ml")) if "-r /usr" in step)
    assert steps("mpi-ml")[: packages + 1] == steps("mpi-ml-gpu")[: packages + 1]


def test_mpi_test_copies_what_mpitest_imports_and_no_more() -> None:
    needed, unread = {"__init__"}, [images.ROOT / "mpitest.py"]
    while unread:
        for node in ast.walk(ast.parse(unread.pop().read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hpo":
                inside = (node.module or "").partition(".")[2]
                found = {inside} if inside else {alias.name for alias in node.names}
                found = {name for name in found - needed if not name.startswith("__")}
                needed |= found
                unread += [images.ROOT / "hpo" / f"{name}.py" for name in found]
    copied = re.findall(r"hpo/(\w+)\.py", images.dockerfile("mpi-test"))
    assert sorted(copied) == sorted(needed)


def test_every_requirement_has_a_pin_that_it_allows() -> None:
    for line in (images.ROOT / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            wanted = Requirement(line)
            assert wanted.specifier.contains(PINS[wanted.name]), line


def build(path: Path, *names: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run docker/build where only the tools in a folder are to be found."""
    for tool in ("dirname", "tail"):
        if not (path / tool).exists():
            (path / tool).symlink_to(shutil.which(tool) or tool)
    env = {"PATH": str(path)} | env
    words = ["/bin/sh", images.DOCKER / "build", *names]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False)


def tool(path: Path, name: str, *, works: bool = True) -> None:
    """Make a builder that says what it is asked, or that nothing can be asked of."""
    refusal = '[ "$1" != info ] || { echo; echo "no daemon" >&2; exit 1; }\n'
    (path / name).write_text(f'#!/bin/sh\n{"" if works else refusal}echo {name} "$@"\n')
    (path / name).chmod(0o755)


def test_build_says_what_is_missing(tmp_path: Path) -> None:
    tool(tmp_path, "docker", works=False)
    done = build(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: expected docker, podman or buildah to build images with, found none;"
        " docker info: no daemon; podman is not installed; buildah is not installed\n"
    )


def test_build_takes_the_first_that_works(tmp_path: Path) -> None:
    tool(tmp_path, "docker", works=False)
    tool(tmp_path, "podman")
    done = build(tmp_path, BUILD_OPTIONS="--build-arg A=b --network=host", PREFIX="lab/", TAG="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        line
        for name in images.NAMES
        for line in (
            f"podman build --format=docker --layers --build-arg A=b --network=host"
            f" --file docker/{name}/Dockerfile --tag lab/{name}:1 .",
            f"built lab/{name}:1",
        )
    ]


def test_build_takes_the_builder_and_the_images_that_are_named(tmp_path: Path) -> None:
    for name in ("docker", "buildah"):
        tool(tmp_path, name)
    done = build(tmp_path, "mpi-ml", BUILDER="buildah")
    assert done.stdout.splitlines()[1:] == ["built mpi-ml:latest"]
    assert done.stdout.startswith("buildah build ")
    done = build(tmp_path, "mpi-ml", BUILDER="kaniko")
    assert done.returncode == 2
    assert "expected docker, podman or buildah, found 'kaniko'" in done.stderr

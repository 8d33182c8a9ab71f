"""The example's DVC pipeline in a git repository of its own, with a smaller search."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import runs

EXAMPLE = runs.ROOT / "examples" / "dvc-pipeline"
PARAMS = """\
prepare:
  test_share: 0.5
  seed: 1

train:
  model: dense
  dense_units: [8, 16]
  learning_rate: 0.01
  epochs: 2
"""
RUN = "results/0.5-1"
TIMEOUT_S = 300


class Pipeline:
    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.params = folder / "params.yaml"
        nowhere = folder.with_name(f"{folder.name}-dvc")
        self.env = (env or runs.environment()) | {
            # `python` and `mpirun` of the stages are those of this test.
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), (env or os.environ)["PATH"]]
            ),
            "DVC_NO_ANALYTICS": "1",
            # Neither the user's settings nor what DVC keeps for all of a user's repositories.
            "DVC_GLOBAL_CONFIG_DIR": str(nowhere / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(nowhere / "system"),
            "DVC_SITE_CACHE_DIR": str(nowhere / "site"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@example.org",
        }

    def create(self) -> None:
        shutil.copytree(EXAMPLE, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.params.write_text(PARAMS)
        self.run("git", "init", "--quiet")
        self.dvc("init", "--quiet")
        self.commit("Pipeline")

    def commit(self, title: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", title)

    def set(self, old: str, new: str) -> None:
        text = self.params.read_text()
        assert old in text
        self.params.write_text(text.replace(old, new))

    def dvc(self, *words: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *words)

    def run(self, *words: str, **env: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout


def stages_run(told: str) -> list[str]:
    """Name the stages that DVC says to have run."""
    begin = "Running stage "
    return [line[len(begin) :].strip("':") for line in told.splitlines() if line.startswith(begin)]

"""What several test modules share: a world of one rank, golden texts, reproducible examples."""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from hpo.world import World

GOLDEN = Path(__file__).parent / "golden"

# The same examples on every day and machine, and no assertion on times.
hypothesis.settings.register_profile("hpo", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("hpo")
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"hypothesis-{os.getuid()}")

# A shell's background job ignores Ctrl-C, and so would every program that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup() -> None:
    """Give what a test starts TensorFlow's usual chatter: a test that loads JAX sets this."""
    os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)


@pytest.fixture(scope="session")
def world() -> World:
    """Give the one world of this process: MPI starts once."""
    return World()


@pytest.fixture
def golden(tmp_path: Path) -> Callable[[str, str], None]:
    """Give a check of a text against its copy in tests/golden."""

    def check(name: str, text: str) -> None:
        expected = (GOLDEN / name).read_text(encoding="utf-8") if (GOLDEN / name).exists() else ""
        actual = tmp_path / name
        actual.write_text(text, encoding="utf-8")
        assert text == expected, (
            f"to accept the change: {shlex.join(['cp', str(actual), str(GOLDEN / name)])}"
        )

    return check


@pytest.fixture
def unscheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what says that these tests run inside a scheduler's job."""
    for name in ("SLURM_JOB_ID", "LSB_JOBID", "LSB_JOBINDEX"):
        monkeypatch.delenv(name, raising=False)

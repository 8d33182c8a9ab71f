"""Examples that stop their own search once, in the middle of a trial: on no clock."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import runs

# One rank alone finds the file; the search is told to stop as a job's end tells it.
_INTERRUPT = """

def _interrupt_once(trial):
    import os
    import signal

    if trial.epoch == 1:
        try:
            os.unlink("interrupt")
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGUSR1)
"""


def interrupted_copy(train: Path, folder: Path) -> Path:
    """Copy an objective, so that it stops the search in the second epoch of one trial."""
    text = train.read_text()
    before, its_yield, after = text.partition("        yield {")
    assert its_yield
    copy = folder / train.name
    copy.write_text(f"{before}        _interrupt_once(trial)\n{its_yield}{after}{_INTERRUPT}")
    (folder / "interrupt").touch()
    return copy


def goes_on_alike(
    search: Callable[[int], subprocess.CompletedProcess[str]],
    out: Path,
    undisturbed: Path,
    *,
    saved: str,
    kept: str,
) -> None:
    """Stop a search of an interrupted copy on two ranks, and finish it on one.

    Args:
        search: starts it on so many ranks.
        saved: a file of its checkpoints.
        kept: a file of its best model.
    """
    assert search(2).returncode == 75
    assert list(out.glob(f"trials/*/checkpoint-*/{saved}"))
    done = search(1)
    assert done.returncode == 0, done.stderr
    logs = "".join(path.read_text() for path in out.glob("trials/*/trial.log"))
    assert "goes on after epoch 2" in logs
    assert runs.comparable(out) == runs.comparable(undisturbed)
    for name in ("best_params.txt", f"best_model/{kept}"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()

"""Examples that stop their own search once, in the middle of a trial: on no clock."""

from __future__ import annotations

from pathlib import Path

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

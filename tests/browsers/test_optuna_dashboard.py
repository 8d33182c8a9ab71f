"""An exported run in optuna-dashboard: its server reads what was written, its page draws it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import runs

WAIT_S = 60


@contextmanager
def dashboard(storage: str):
    """Serve a study; give the address."""
    program = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no optuna-dashboard: make .venv/browsers")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program, storage, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _answers(f"http://127.0.0.1:{port}", server)
    finally:
        server.kill()
        server.wait()


def _answers(address: str, server: subprocess.Popen) -> str:
    end_s = time.monotonic() + WAIT_S
    while True:
        try:
            urllib.request.urlopen(f"{address}/api/studies", timeout=5).close()
            return address
        except OSError:
            assert server.poll() is None and time.monotonic() < end_s
            time.sleep(0.2)


@pytest.mark.parametrize(("file", "storage"), [("s.db", "sqlite:///{}"), ("s.log", "{}")])
def test_dashboard_draws_an_exported_run(online, digits, tmp_path, file, storage):
    path = tmp_path / file
    done = runs.run(1, "-m", "hpo", "export", digits.parent, "--to", "optuna", path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    with dashboard(storage.format(path)) as address:
        number = 1 if file == "s.db" else 0
        online.driver.get(f"{address}/dashboard/studies/{number}")
        assert online.wait(lambda: len(online.all(".main-svg .points, .main-svg .bars")) >= 3)
        assert online.wait(lambda: "Best Trial" in online.text("body"))
        score = next(
            line.removeprefix("score: ")
            for line in (digits.parent / "best_params.txt").read_text().splitlines()
            if line.startswith("score: ")
        )
        assert score in online.text("body")
        assert online.errors() == []

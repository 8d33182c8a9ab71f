"""What libraries write while they load is not shown, and what this program says meanwhile is."""

from __future__ import annotations

import subprocess
import sys

START = """
import logging, os, sys, threading
from hpo import quiet
log = logging.getLogger("hpo")
log.addHandler(quiet.Console())
"""


def told(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + script], capture_output=True, text=True, check=False
    )


def test_only_the_library_is_muted() -> None:
    done = told(
        "with quiet.loading():\n"
        "    os.write(2, b'the library\\n')\n"
        "    print('this program', file=sys.stderr)\n"
        "    log.warning('a warning')\n"
        "print('afterwards', file=sys.stderr)\n"
        "log.warning('a warning')\n"
    )
    assert done.stderr.splitlines() == ["this program", "a warning", "afterwards", "a warning"]


def test_a_library_that_cannot_be_loaded_is_heard() -> None:
    done = told("with quiet.loading():\n    os.write(2, b'no driver\\n')\n    raise ImportError\n")
    assert done.returncode == 1
    assert done.stderr.startswith("no driver\nTraceback")


def test_a_library_is_heard_by_whoever_asks_for_it() -> None:
    loads = "with quiet.loading():\n    os.write(2, b'oneDNN is on\\n')\n"
    assert told(loads + loads).stderr == ""
    done = told("os.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'\n" + loads)
    assert done.stderr == "oneDNN is on\n"

"""A real browser, and real runs whose reports it opens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest
import runs


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pages.Browser]:
    """Give a headless Chromium that is cut off from any network."""
    selenium = pytest.importorskip("selenium", reason="no selenium: make .venv/browsers")
    assert selenium
    if missing := [name for name in pages.PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"no {' and no '.join(missing)}: apt-get install chromium chromium-driver")
    with pages.Browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium: pages.Browser) -> pages.Browser:
    """Give the browser as if nobody had used it yet."""
    chromium.forget()
    return chromium


@pytest.fixture
def online(browser: pages.Browser) -> Iterator[pages.Browser]:
    """Give the browser where it may ask servers of this machine."""
    browser.be_offline(False)
    yield browser
    browser.be_offline(True)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the report of built-in networks: some are pruned, some fail."""
    folder = tmp_path_factory.mktemp("digits")
    space = runs.space_file(
        folder,
        "filters: [4, 8]\nlearning_rate: [0.001, 0.01, 0.03, 100.0]\noptimizer: [adam, sgd]\n"
        "dense_units: [16, 32]\nepochs: 4\nloss_limit: 50\nvalidation_split: 0.2\n",
    )
    done = runs.search(2, folder / "out", "--space", space, "--pruner", "asha")
    assert done.returncode == 0, done.stderr
    return folder / "out" / "report.html"


OBJECTIVE = '''
"""Scores that are known, and failures with words that no page may take for its own."""

def train(config, trial):
    if config["kind"] == "fails":
        raise ValueError("</script><script>alert(1)</script> & 'quoted' <b>bold</b>")
    for epoch in range(1, 4):
        yield {"error_rate": config["x"] / 1000 + 1 / epoch, "note": epoch}
'''


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the report of 3,000 trials of a function, some of which fail."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "known.py").write_text(OBJECTIVE)
    kinds = "['<i>plain</i>', \"quote'd\", fails]"
    space = runs.space_file(folder, f"x: {list(range(1000))}\nkind: {kinds}\n")
    done = runs.run(
        *(2, "-m", "hpo", "search", "--objective", "known.py:train", "--space", space),
        *("--metric", "error_rate", "--goal", "minimize"),
        *("--out", folder / "out", "--quiet", "--retries", "0"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out" / "report.html"

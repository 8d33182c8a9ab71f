"""How long report.html of many trials takes to be made, and to open in headless Chromium.

It is open at its load event: the answer and the table are there. It is drawn when each of its
charts has come into sight once, one after the other. Chromium and its driver are the system's
(Debian: chromium, chromium-driver); `make .venv/browsers` brings what drives them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import harness

OBJECTIVE = """
import math

def train(config, trial):
    away = abs(math.log10(config["learning_rate"]) + 2) + config["dropout"] / 2
    for epoch in range(1, 13):
        yield {"accuracy": (1 - math.exp(-epoch / 4)) / (1 + away), "loss": away + 1 / epoch}
"""
SPACE = """
learning_rate: {min: 1.0e-5, max: 1.0, log: true}
dropout: {min: 0.0, max: 0.6}
units: [16, 32, 64, 128, 256]
batch_size: [16, 32, 64, 128]
activation: [relu, tanh, gelu]
layers: [1, 2, 3]
"""
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
_OPENED_MS = "const its = performance.timing; return its.loadEventEnd - its.navigationStart"
_DRAWN_MS = """
const done = arguments[0], begun = performance.now();
const charts = [...document.querySelectorAll(".chart")].filter((its) => its.offsetParent);
(function next() {
  const chart = charts.shift();
  if (!chart) return done(performance.now() - begun);
  chart.scrollIntoView();
  (function wait() { chart.querySelector("canvas") ? next() : setTimeout(wait, 1); })();
})();
"""


def main() -> None:
    settings = harness.arguments(__doc__, trials=3000, fewer=300, ranks=2, rounds=5)
    rows = []
    with tempfile.TemporaryDirectory() as name, _browser() as browser:
        measures = {}
        outs = {n: _run(Path(name), n, settings.ranks) for n in (settings.fewer, settings.trials)}
        for n, out in outs.items():
            measures[f"{n:,} made"] = partial(_make, out)
            measures[f"{n:,} opened"] = partial(_open, browser, out)
            measures[f"{n:,} drawn"] = partial(_draw, browser)
        seen = harness.interleaved(measures, settings.rounds)
        for n, out in outs.items():
            row = {what: harness.median(seen[f"{n:,} {what}"]) for what in _WHAT}
            mb = (out / "report.html").stat().st_size / 1e6
            rows.append({"trials": n, "size (MB)": mb} | {f"{k} (s)": v for k, v in row.items()})
    harness.show("page", "report.html", rows, seen=seen, settings=vars(settings))


_WHAT = ("made", "opened", "drawn")


def _run(folder: Path, n_trials: int, n_ranks: int) -> Path:
    out = folder / str(n_trials)
    (folder / "objective.py").write_text(OBJECTIVE)
    (folder / "space.yaml").write_text(SPACE)
    words = ["-m", "hpo", "search", "--quiet", "--sampler", "random", "--metric", "accuracy"]
    words += ["--objective", f"{folder / 'objective.py'}:train"]
    words += ["--space", folder / "space.yaml", "--trials", n_trials, "--out", out]
    harness.run(harness.mpirun(n_ranks, *words))
    return out


def _make(out: Path) -> float:
    return harness.run([sys.executable, "-m", "hpo", "report", out])[1]


def _browser() -> Any:
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ModuleNotFoundError:
        sys.exit("expected selenium, found none: make .venv/browsers")
    options = webdriver.ChromeOptions()
    driver = shutil.which("chromedriver")
    options.binary_location = shutil.which("chromium") or sys.exit("expected chromium")
    for flag in _FLAGS:
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(driver))


def _open(browser: Any, out: Path) -> float:
    browser.get((out / "report.html").as_uri())
    while (took_ms := browser.execute_script(_OPENED_MS)) < 0:
        time.sleep(0.01)
    return float(took_ms) / 1000


def _draw(browser: Any) -> float:
    return float(browser.execute_async_script(_DRAWN_MS)) / 1000


if __name__ == "__main__":
    main()

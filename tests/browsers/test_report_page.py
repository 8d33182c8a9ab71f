"""report.html in a real browser, without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import runs
from ruamel.yaml import YAML

SECTIONS = "Trials Hyperparameters Parallel Importance Interactions Curves Cost Ranks"
CELLS = """
return [...document.querySelectorAll('#table tbody tr')].map(
  (row) => [...row.cells].map((cell) => cell.textContent));
"""


def best(page: Path) -> dict[str, object]:
    """Read best_params.txt beside a page."""
    return YAML(typ="safe").load(page.parent / "best_params.txt")


def cells(browser, name: str) -> list[str]:
    """Give a column of the table, as far as it is shown."""
    head = [button.text.rstrip(" ▲▼") for button in browser.all("#table th button")]
    return [row[head.index(name)] for row in browser.ask(CELLS)]


def sort(browser, name: str) -> None:
    button = next(b for b in browser.all("#table th button") if b.text.rstrip(" ▲▼") == name)
    browser.ask("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def search(browser, words: str) -> str:
    box = browser.one("#words")
    box.clear()
    box.send_keys(words or " ")  # to clear it is no input
    return browser.text("#count")


@pytest.fixture(params=["light", "dark", "phone"])
def kind(browser, request):
    if request.param == "phone":
        browser.be_phone()
    if request.param == "dark":
        browser.be_dark()
    return request.param


@pytest.mark.parametrize("run", ["digits", "known"])
def test_everything_is_drawn_without_an_error_or_a_request(browser, kind, run, request):
    browser.open(request.getfixturevalue(run))
    links = browser.ask("return [...document.querySelectorAll('nav a')].map((a) => a.textContent)")
    more = ["Mistakes"] if run == "digits" else []
    assert links == [*SECTIONS.split(), *more, "Failures", "Repeat"]
    charts = browser.charts()
    assert len(charts) >= len(SECTIONS.split())
    assert [browser.is_drawn(chart) for chart in charts] == [True] * len(charts)
    wide, seen = browser.ask("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= seen, "the page itself is wider than the window"
    assert browser.errors() == []
    assert browser.n_fetched() == 0


def test_answer_comes_first_and_needs_no_script(browser, digits):
    browser.run_no_scripts()
    browser.driver.get(digits.as_uri())
    answer = best(digits)
    assert browser.text("h1") == f"Best: val_accuracy {answer['score']:.4f}"
    assert f"learning_rate {answer['learning_rate']}" in browser.text(".chips")
    assert "search.yaml" in browser.text("#repeat")
    assert "diverged" in browser.text("#failures")


def test_table_shows_results_csv_the_best_first(browser, digits):
    browser.open(digits)
    by_id = {row["id"]: row for row in runs.rows(digits.parent)}
    assert browser.text("#count") == f"{len(by_id)} of {len(by_id)} trials"
    browser.click("#more")
    shown = [name.removeprefix("★ ") for name in cells(browser, "id")]
    assert sorted(shown) == sorted(by_id)
    assert cells(browser, "id")[0] == f"★ {best(digits)['trial_id']}"
    for name, score, status in zip(
        shown, cells(browser, "score"), cells(browser, "status"), strict=True
    ):
        assert by_id[name]["status"] == status
        wanted = by_id[name]["score"]
        assert score == "" if not wanted else float(score) == pytest.approx(float(wanted), 1e-4)


def test_table_sorts_by_any_column_and_nothing_comes_last(browser, known):
    browser.open(known)
    sort(browser, "x")
    assert cells(browser, "x")[:4] == ["0", "0", "0", "1"]
    sort(browser, "x")
    assert cells(browser, "x")[:4] == ["999", "999", "999", "998"]
    sort(browser, "score")  # an error is to fall
    scores = cells(browser, "score")
    assert scores == sorted(scores, key=float)
    sort(browser, "score")
    assert "" not in cells(browser, "score")
    assert browser.one('#table th[aria-sort="descending"]').text.startswith("score")


def test_table_finds_words_and_comparisons(browser, known):
    browser.open(known)
    assert search(browser, "x=17") == "3 of 3,000 trials"
    assert search(browser, "x>=990 x<995 kind=quote'd") == "5 of 3,000 trials"
    assert search(browser, "score>1.3") == f"{2 * 33:,} of 3,000 trials"
    assert search(browser, "no such thing") == "0 of 3,000 trials"
    search(browser, "")
    browser.choose("#status", "failed")
    assert browser.text("#count") == "1,000 of 3,000 trials"
    browser.click("#everything")
    assert browser.text("#count") == "3,000 of 3,000 trials"


def test_a_long_table_is_shown_in_parts(browser, known):
    browser.open(known)
    n_elements = browser.ask("return document.querySelectorAll('*').length")
    assert n_elements < 3000, "a page with an element for each trial opens slowly"
    n_before = len(browser.all("#table tbody tr"))
    browser.click("#more")
    assert n_before < len(browser.all("#table tbody tr")) < 3000


def test_a_trial_that_is_clicked_tells_all(browser, known):
    browser.open(known)
    search(browser, "x=17")
    browser.ask("document.querySelector('#table tbody tr').click()")
    told = browser.text("#one")
    name = cells(browser, "id")[0]
    assert name in told
    assert f"trials/{name}/" in told


def test_a_point_that_is_clicked_tells_its_trial(browser, known):
    browser.open(known)
    chart = browser.one("#scatters .chart")
    assert browser.is_drawn(chart)
    name = browser.ask(
        """
        const chart = echarts.getInstanceByDom(arguments[0]);
        const series = chart.getOption().series, last = series.length - 1;
        const point = series[last].data[0];  // the best, which nothing covers
        const [x, y] = chart.convertToPixel({seriesIndex: last}, point.slice(0, 2));
        const handler = chart.getZr().handler, event = {zrX: x, zrY: y, offsetX: x, offsetY: y};
        for (const kind of ["mousedown", "mouseup", "click"]) handler.dispatch(kind, event);
        return JSON.parse(document.getElementById("data").textContent).rows[point[2]][0];
        """,
        chart,
    )
    assert name in browser.text("#one")


def test_a_part_of_an_axis_chooses_trials(browser, known):
    browser.open(known)
    chart = browser.one('[data-chart="parallel"]')
    assert browser.is_drawn(chart)
    browser.ask(
        "echarts.getInstanceByDom(arguments[0]).dispatchAction({type: 'axisAreaSelect',"
        " parallelAxisId: echarts.getInstanceByDom(arguments[0]).getModel()"
        ".getComponent('parallelAxis', 0).id, intervals: [[100, 199.5]]})",
        chart,
    )
    assert browser.text("#count") == "200 of 3,000 trials"  # of each x two have a score
    browser.click("#everything")
    assert browser.text("#count") == "3,000 of 3,000 trials"


def test_words_of_users_are_shown_and_never_run(browser, known):
    browser.open(known)
    assert browser.errors() == []
    browser.ask("document.querySelectorAll('details').forEach((its) => { its.open = true; })")
    assert "</script><script>alert(1)</script> & 'quoted'" in browser.text("#failures")
    search(browser, "x=17")
    assert set(cells(browser, "kind")) == {"<i>plain</i>", "quote'd", "fails"}


def test_confusion_matrix_is_that_of_the_score(browser, digits):
    browser.open(digits)
    told = json.loads((digits.parent / "best_mistakes.json").read_text())
    n_right = sum(row[i] for i, row in enumerate(told["confusion"]))
    assert n_right / told["images"] == best(digits)["score"]
    n_wrong = told["images"] - n_right
    assert browser.text("#tested").startswith(f"{n_wrong} of its {told['images']} validation")
    assert len(browser.all("#mistakes figure")) == min(n_wrong, 40)


def test_a_run_without_a_score_says_so(browser, tmp_path):
    (tmp_path / "broken.py").write_text("def train(config):\n    raise OSError('no luck')\n")
    space = runs.space_file(tmp_path, "x: [1, 2]\n")
    done = runs.run(
        *(1, "-m", "hpo", "search", "--objective", "broken.py:train", "--space", space),
        *("--out", tmp_path / "out"),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    browser.open(tmp_path / "out" / "report.html")
    assert browser.text("h1") == "No trial has a score yet"
    assert "2 trials: OSError: no luck" in browser.text("#failures")
    assert browser.errors() == []


def test_report_is_made_at_any_moment(browser, digits, tmp_path):
    """Also before the search has ended: of a journal that has one record."""
    out = tmp_path / "out"
    subprocess.run(["cp", "-r", str(digits.parent), str(out)], check=True)
    first, *others = sorted((out / "journal").glob("*.jsonl"))
    for path in others:
        path.unlink()
    first.write_bytes(first.read_bytes().split(b"\n")[0] + b"\n")
    for path in [*out.glob("best_*"), out / "report.html"]:
        path.unlink()
    report = [sys.executable, "-m", "hpo", "report", str(out)]
    subprocess.run(report, env=runs.environment(), check=False, capture_output=True)
    browser.open(Path(out / "report.html"))
    assert "unfinished" in browser.text(".state")
    assert browser.text("#count") == "1 of 1 trials"
    assert browser.errors() == []

"""report.html: one page that opens anywhere, without a network, from what a run's files tell."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from hpo import __version__, bestmodel, findings, mistakes, webfacts
from hpo.duration import duration, precise
from hpo.findings import Findings
from hpo.report import best_params, compact, last_line, yaml_value
from hpo.rundir import RunDir, write_whole
from hpo.trial import Result, Status

PARTS = Path(__file__).parent / "web"
MAX_FAILURES = 50  # of one kind, with their tracebacks; results.csv has a line of each

_NUMBER = re.compile(r"\d[\d.e+-]*")


def write(run: RunDir) -> None:
    """Write report.html of a run directory, of a search that runs or not.

    Raises:
        InputError: if it is no run directory.
    """
    found = findings.read(run.root)
    kept = found.standing.kept
    if kept is not None:
        mistakes.write(run, found.record, kept)
    write_whole(run.report, page(found))


def page(found: Findings) -> str:
    """Write the page."""
    run, standing = found.run, found.standing
    kept = standing.kept
    told = webfacts.facts(found, None if kept is None else bestmodel.mistakes(run, kept.id))
    name = run.root.resolve().name
    return Template(_part("report.html")).substitute(
        title=escape(f"{_headline(found)} · {name}"),
        name=escape(name),
        state=escape("finished" if standing.is_finished else "unfinished"),
        answer=_answer(found, told["varied"]),
        facts=_facts(found),
        starts=_starts(found),
        failures=_failures(found, told["varied"]),
        repeat=_repeat(found),
        made=escape(time.strftime("%Y-%m-%d %H:%M:%S %Z")),
        version=escape(__version__),
        style=_part("report.css"),
        data=_embedded(told),
        echarts=_part("echarts.min.js"),
        script=_part("report.js"),
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _embedded(told: object) -> str:
    """Write JSON that no text in it can end: what looks like a tag is escaped."""
    text = json.dumps(told, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _headline(found: Findings) -> str:
    final, best = found.standing.final, found.standing.best
    if final is not None:
        return f"{found.record.aim.metric} {final.mean:.4f} ± {final.std:.4f}"
    if best is None:
        return "no trial has a score yet"
    return f"{found.record.aim.metric} {best[1].score:.4f}"


def _answer(found: Findings, varied: Sequence[str]) -> str:
    """Say which configuration is the best, first of all."""
    best = found.standing.best
    so_far = "" if found.standing.is_finished else " so far"
    if best is None:
        return f"<h1>{escape(_headline(found)).capitalize()}</h1>"
    trial, result = best
    complete = found.terms.complete(trial.config)
    names = {at: name for name, at in found.table.configs.items()}
    shown = [names[at] for at in varied if names[at] in complete] or list(trial.config)
    chips = "".join(
        f"<li>{escape(name)} <b>{escape(_short(complete[name]))}</b></li>" for name in shown
    )
    notes = [line[2:] for line in best_params(found.standing).splitlines() if line[:2] == "# "]
    said = "".join(f"<p class='note'>{escape(note)}</p>" for note in notes[1:])
    where = f"trial <code>{trial.id}</code>, epoch {result.best_epoch} of {result.epochs}"
    return (
        f"<h1>Best{so_far}: {escape(_headline(found))}</h1><ul class='chips'>{chips}</ul>"
        f"<p class='note'>{where}, trained in {escape(precise(result.seconds))} on host"
        f" {escape(result.host)}</p>{said}"
    )


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else yaml_value(value)


def _facts(found: Findings) -> str:
    standing, starts = found.standing, found.occupancies
    n_done = sum(result.status is Status.DONE for result in standing.finished)
    available_s = sum(its.available_s for its in starts)
    told = {
        "trials": f"{len(standing.finished):,} of {standing.n_trials:,}",
        "trained to the end": f"{n_done:,}",
        "pruned": f"{standing.n_pruned:,}",
        "failed": f"{standing.n_failed:,}",
        "ranks": ", ".join(dict.fromkeys(str(its.started.n_ranks) for its in starts)) or "?",
        "wall time": duration(sum(its.wall_s for its in starts)),
        "core-hours": f"{sum(its.core_hours for its in starts):.3g}",
    }
    if available_s:
        told["ranks busy"] = f"{sum(its.busy_s for its in starts) / available_s:.0%}"
    memory_mb = max((result.peak_memory_mb for _, result in found.records), default=0)
    if memory_mb:
        told["memory of a rank"] = f"{memory_mb / 1000:.2f} GB"
    if found.queue_waits:
        told["waited in the queue"] = duration(sum(found.queue_waits.values()))
    return "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in told.items())


def _starts(found: Findings) -> str:
    """List the starts of the search."""
    head = ("started", "ranks", "first host", "job", "waited", "took", "ranks busy", "exit code")
    rows = []
    for its in found.occupancies:
        started = its.started
        wait_s = found.queue_waits.get(started.start)
        rows.append(
            (
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started.at_s)),
                str(started.n_ranks),
                started.host,
                started.scheduler_job or "–",
                "–" if wait_s is None else duration(wait_s),
                duration(its.wall_s),
                f"{its.efficiency:.0%}" if its.worked else "–",
                "–" if started.exit_code is None else str(int(started.exit_code)),
            )
        )
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return (
        f"<div class='scroll'><table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def _failures(found: Findings, varied: Sequence[str]) -> str:
    """Show what trials failed of, those with the same words together."""
    failed = [r for r in found.standing.finished if r.status is Status.FAILED]
    if not failed:
        return "<p class='note'>No trial has failed.</p>"
    alike: dict[str, list[Result]] = {}
    for result in failed:
        alike.setdefault(_NUMBER.sub("…", last_line(result.error)), []).append(result)
    names = [name for name, at in found.table.configs.items() if at in varied]
    groups = []
    for words, results in sorted(alike.items(), key=lambda pair: -len(pair[1])):
        items = "".join(_failure(result, names) for result in results[:MAX_FAILURES])
        n = len(results)
        more = f"<p class='note'>{n - MAX_FAILURES:,} more</p>" if n > MAX_FAILURES else ""
        head = f"{n:,} trial{'s' if n > 1 else ''}: {words or 'no word of why'}"
        groups.append(f"<details><summary>{escape(head)}</summary>{items}{more}</details>")
    return "".join(groups)


def _failure(result: Result, names: Sequence[str]) -> str:
    settings = {name: result.config[name] for name in names if name in result.config}
    return (
        f"<details><summary><code>{result.id}</code> {escape(compact(settings))}</summary>"
        f"<p class='note'>attempt {result.attempt}, rank {result.rank} on host"
        f" {escape(result.host or '?')}, after {result.epochs} epochs</p>"
        f"<pre>{escape(result.error or '')}</pre></details>"
    )


def _repeat(found: Findings) -> str:
    """Give what the search was: its whole record, and the answer's."""
    text = found.run.search.read_text(encoding="utf-8")
    data: Mapping[str, Any] = found.record.data
    where = f"Data: {data.get('path', '–')}, fingerprint {data.get('fingerprint', '–')}."
    return (
        f"<p class='note'>{escape(where)}</p>"
        f"<details open><summary>search.yaml</summary><pre>{escape(text)}</pre></details>"
        f"<details><summary>best_params.txt</summary>"
        f"<pre>{escape(best_params(found.standing))}</pre></details>"
    )

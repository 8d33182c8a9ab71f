"""What a person reads at the end: best_params.txt, results.csv and a few words."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hpo import finals
from hpo.finals import Final
from hpo.trial import MINIMIZE, Aim, Config, Result, Status, Trial, merit

_COLUMNS_BEFORE = ("id", "status", "score", "val_loss")
_COLUMNS_AFTER = (
    *("best_epoch", "epochs", "seconds", "rank", "host", "threads", "attempt"),
    *("in_space", "error"),
)
# Words that some YAML reader takes for something else than text.
_YAML_WORDS = re.compile(r"(?i)true|false|yes|no|on|off|null|y|n")
# What YAML takes for no character, or for a line's end.
_YAML_HIDDEN = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_YAML_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_. -]*(?<! )")


@dataclass(frozen=True)
class Standing:
    """How far a search is: its space in grid order, and all results of its run directory."""

    trials: Sequence[Trial]
    results: Mapping[str, Result]
    counted: Mapping[str, Result] | None = None  # what of them counts, where that is not all
    n_planned: int = 0  # trials, where some are not proposed yet
    finals: Sequence[Final] = ()  # where the best are trained again to decide
    refit: Trial | None = None  # the winner on all images, where that is wanted

    @property
    def counts(self) -> Mapping[str, Result]:
        """What counts, by id."""
        return self.results if self.counted is None else self.counted

    @functools.cached_property
    def finished(self) -> list[Result]:
        """The results of the present space, in grid order."""
        return [self.counts[trial.id] for trial in self.trials if trial.id in self.counts]

    @property
    def n_failed(self) -> int:
        return sum(result.status is Status.FAILED for result in self.finished)

    @property
    def n_pruned(self) -> int:
        return sum(result.status is Status.PRUNED for result in self.finished)

    @property
    def n_trials(self) -> int:
        return max(len(self.trials), self.n_planned)

    @property
    def is_searched(self) -> bool:
        """Whether all trials of the space are finished."""
        return len(self.finished) == self.n_trials

    @property
    def is_finished(self) -> bool:
        return self.is_searched and all(its.is_over for its in self.finals)

    @functools.cached_property
    def final(self) -> Final | None:
        """The winner among the finalists, once they have decided."""
        return finals.winner(self.finals)

    def _repeats(self) -> list[str]:
        """Say how far the finalists are, while they are not over."""
        n = sum(len(its.repeats) for its in self.finals)
        n_over = sum(len(its.results) for its in self.finals)
        return [f"{n_over:,} of {n:,} repeats of finalists"] if n_over < n else []

    @property
    def kept(self) -> Trial | None:
        """The trial whose weights make the model."""
        if self.refit is not None:
            return self.refit
        if self.final is not None:
            return self.final.best_repeat[0]
        return None if self.best is None else self.best[0]

    @functools.cached_property
    def best(self) -> tuple[Trial, Result] | None:
        """The winner among the trials of the present space."""
        if self.final is not None:
            return self.final.trial, self.counts[self.final.trial.id]
        found = ((trial, self.counts.get(trial.id)) for trial in self.trials)
        done = [(t, r) for t, r in found if r is not None and r.status is Status.DONE]
        return min(done, key=lambda trial_and_result: merit(trial_and_result[1]), default=None)

    @property
    def best_score(self) -> float | None:
        """The winner's, or its mean where finalists have decided."""
        if self.final is not None:
            return self.final.mean
        return None if self.best is None else self.best[1].score

    def sentence(self) -> str:
        """Say it in one line."""
        best = self.best
        parts = [
            f"{'finished' if self.is_finished else 'unfinished'}:"
            f" {len(self.finished):,} of {self.n_trials:,} trials",
            f"{self.n_failed:,} failed",
            *([f"{self.n_pruned:,} pruned"] if self.n_pruned else []),
            *self._repeats(),
        ]
        if self.final is not None:
            mean = f"{self.final.mean:.4f} ± {self.final.std:.4f}"
            of = _counted(len(self.final.scores), "seed")
            parts.append(f"best {mean} over {of} ({compact(self.final.trial.config)})")
        elif best is not None:
            parts.append(f"best {best[1].score:.4f} ({compact(best[0].config)})")
        return ", ".join(parts)


def best_params(standing: Standing) -> str:
    """Write the answer as `key: value` lines that are also YAML."""
    n, n_all = len(standing.finished), standing.n_trials
    lines = [
        f"# {'Best' if standing.is_finished else 'Best so far'}: {n:,} of {n_all:,} combinations"
        f" tried, {standing.n_failed:,} failed"
        f"{f', {standing.n_pruned:,} pruned' if standing.n_pruned else ''}."
    ]
    best = standing.best
    if best is None:
        return lines[0] + "\n# No trial has a score yet.\n"
    trial, result = best
    final = standing.final
    if result.goal == MINIMIZE:
        lines.append(f"# The lower {result.metric}, the better.")
    if final is not None:
        of_seeds = _counted(len(final.repeats), "time")
        split = yaml_value(final.repeats[0].config.get("validation_split"))
        lines.append(
            f"# The best {len(standing.finals)} were trained {of_seeds} each with other seeds,"
            f" on the same validation images (validation_split {split});"
            " score is this one's mean, the best."
        )
    elif len({t.config.get("validation_split") for t in standing.trials}) > 1:
        lines.append("# validation_split varies: the scores stand on different images.")
    if standing.refit is not None:
        epochs = result.best_epoch if final is None else final.best_repeat[1].best_epoch
        n_epochs = _counted(epochs or 0, "epoch")
        lines.append(f"# The model was trained on all images for {n_epochs} (--refit).")
    head: Config = {"score": standing.best_score}
    if final is not None:
        head |= {"score_std": final.std, "scores": final.scores}
    if result.metric != Aim.metric:
        head["metric"] = result.metric
    head |= {"trial_id": trial.id, "count": n}
    return "\n".join(lines) + "\n" + settings_text(head) + settings_text(trial.config)


def _counted(n: int, name: str) -> str:
    return f"{n:,} {name}{'' if n == 1 else 's'}"


def settings_text(settings: Mapping[str, object]) -> str:
    """Write `key: value` lines that every YAML reader reads alike."""
    return "".join(f"{name}: {yaml_value(value)}\n" for name, value in settings.items())


def yaml_value(value: object) -> str:
    """Write one value as YAML; 1e-05 as 1.0e-05, which YAML 1.1 needs to see a number."""
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    if isinstance(value, str) and _is_plain(value):
        return value
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(yaml_value, value))}]"
    return _YAML_HIDDEN.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _is_plain(text: str) -> bool:
    return bool(_YAML_PLAIN.fullmatch(text)) and not _YAML_WORDS.fullmatch(text)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1] if ord(found[0]) != 0x7F else "\\u007f"


def compact(config: Mapping[str, object]) -> str:
    """Write a configuration in the width of a line."""
    return ", ".join(f"{name} {yaml_value(value)}" for name, value in config.items())


@dataclass(frozen=True)
class Table:
    """Trials as rows of plain values; None where there is nothing to say.

    `configs` and `metrics` name the columns of each hyperparameter and of each metric besides
    score and validation loss; a name that is another column's already is `config_…`, `metric_…`.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    configs: Mapping[str, str]
    metrics: Mapping[str, str]


def table(standing: Standing, complete: Mapping[str, Config]) -> Table:
    """List all results: the present space's in grid order, then the others by id.

    Args:
        complete: each trial's configuration with the defaults it leaves out.
    """
    inside = [
        standing.counts.get(trial.id, standing.results[trial.id])
        for trial in standing.trials
        if trial.id in standing.results
    ]
    known = {trial.id for trial in standing.trials}
    others = sorted(
        (r for r in standing.results.values() if r.id not in known), key=lambda r: r.id
    )
    names = _names([t.config for t in standing.trials] + [r.config for r in others])
    reserved = {*_COLUMNS_BEFORE, *_COLUMNS_AFTER}
    metrics = _names([result.metrics for result in [*inside, *others]])
    configs = {name: f"config_{name}" if name in reserved else name for name in names}
    measured = {
        name: f"metric_{name}" if name in {*reserved, *names} else name for name in metrics
    }
    rows = [
        [
            *(getattr(result, name) for name in _COLUMNS_BEFORE),
            *(complete[result.id].get(name) for name in names),
            *(result.metrics.get(name) for name in metrics),
            *(getattr(result, name) for name in _COLUMNS_AFTER[:-2]),
            result.id in known,
            result.error,
        ]
        for result in [*inside, *others]
    ]
    columns = [*_COLUMNS_BEFORE, *configs.values(), *measured.values(), *_COLUMNS_AFTER]
    return Table(columns, rows, configs, measured)


def results_csv(its: Table) -> str:
    """Write a table of trials, with errors in one line each."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(its.columns)
    for *cells, error in its.rows:
        lines.writerow([*map(_cell, cells), last_line(str(error or ""))])
    return text.getvalue()


def _names(configs: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for config in configs for name in config))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Status):
        return value.value
    return value if isinstance(value, str) else json.dumps(value)


def last_line(error: str | None) -> str:
    """Give an error's message; the whole traceback is in the journal and the trial's log."""
    return error.strip().splitlines()[-1] if error and error.strip() else ""

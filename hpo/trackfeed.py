"""What of a run is new to a tracker: read from the files alone, piece by piece as they grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hpo import bestmodel, epochfile, history, journal, knownterms, record, spacefile, trialnames
from hpo.journal import Written
from hpo.record import Record
from hpo.rundir import RunDir
from hpo.tracker import Best, Search, ToldTrial
from hpo.trial import Result, digest

_SUFFIX_CHARS = 6


class Feed:
    """Gives each result of a run once, and again where another one counts since."""

    def __init__(self, search: Search) -> None:
        self._run = search.run
        self._terms = knownterms.of_run(search.record)
        space = spacefile.of_run(search.record.space, str(search.run))
        self._varied, self._searched = space.varied, set(space.names)
        self._journal = journal.Follower(search.run.journal)
        self._chosen: dict[str, Written] = {}

    def news(self) -> Iterator[ToldTrial]:
        """Give the trials that have come since the last time.

        Raises:
            InputError: if the journal is broken.
        """
        changed: dict[str, None] = {}
        for written in self._journal.news():
            trial_id = written.result.id
            known = self._chosen.get(trial_id)
            if known is not None:
                best = journal.latest(sorted([known, written], key=lambda its: its.start))
                if best[trial_id] is known.result:
                    continue
            self._chosen[trial_id] = written
            changed[trial_id] = None
        for trial_id in changed:
            yield self._told(self._chosen[trial_id].result)

    def _told(self, result: Result) -> ToldTrial:
        return ToldTrial(
            result.id,
            self._name(result.config),
            self._terms.complete(result.config),
            result,
            epochfile.read(self._run.epochs_of(result.id)),
        )

    def _name(self, config: Mapping[str, object]) -> str:
        """Name it by what varies; finalists have a seed besides, which the space need not have."""
        others = [name for name in config if name not in self._searched]
        return trialnames.of_trial(config, [*self._varied, *others])

    def best(self) -> Best | None:
        """Give the winner so far, as the last report has it."""
        told = _yaml(self._run.best_params)
        trial_id = str(told.get("trial_id", ""))
        if trial_id not in self._chosen:
            return None
        run = self._run
        models = (run.best_model, run.best_folder)
        files = (run.search, run.best_params, run.results, run.report, run.best_mistakes)
        return Best(
            trial_id,
            float(told["score"]),
            self._name(self._chosen[trial_id].result.config),
            next((path for path in models if path.exists()), None),
            [path for path in files if path.exists()],
            bestmodel.mistakes(run, trial_id),
        )

    def best_key(self, best: Best) -> str:
        """Name what is told of the winner: another name where there is something new to tell."""
        changed = [path.stat().st_mtime_ns for path in best.files]
        model = best.model and best.model.stat().st_mtime_ns
        return digest(best.trial_id, best.score, changed, model)[:16]


def search(run: RunDir, *, is_live: bool = False) -> Search:
    """Read what a run searches.

    Raises:
        InputError: if it is no run directory, or a file in it cannot be read.
    """
    its = record.read(run)
    space = spacefile.of_run(its.space, str(run.search))
    starts = history.starts(run)
    first = starts[0].start if starts else digest(its.identity)
    suffix = first[-_SUFFIX_CHARS:]
    return Search(
        run,
        its,
        f"{run.root.resolve().name}-{suffix}",
        suffix,
        its.aim,
        {name: space.all_domains[name] for name in space.varied},
        _made_with(its),
        is_live=is_live,
    )


def _made_with(its: Record) -> dict[str, str]:
    versions = {f"version {name}": str(version) for name, version in its.versions.items()}
    return versions | ({"git": its.git} if its.git else {})


def _yaml(path: Path) -> dict[str, Any]:
    """Read a mapping; an empty one where that is not to be had."""
    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError):
        return {}
    return found if isinstance(found, dict) else {}

"""Options as they hold in the end: as said, as the space's file says, if they fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpo.contract import Objective
from hpo.errors import InputError
from hpo.options import MODEL_BASED, Options
from hpo.pruning import COMPARING, Pruning
from hpo.trial import Aim


def with_settings(
    options: Options, settings: Mapping[str, object], place: str, objective: Objective
) -> Options:
    """Add what a search space's file says of the search to what was not said otherwise.

    Args:
        place: the file's name, for messages.

    Raises:
        InputError: if something does not fit together.
    """
    news = {name: value for name, value in settings.items() if getattr(options, name) is None}
    if options.metric is not None:
        news.pop("goal", None)  # of another metric
    if options.sampler == "grid":
        news.pop("trials", None)
    eta = news.get("eta", Pruning.eta)
    if not isinstance(eta, int | float) or eta < 2 or eta != int(eta):
        raise InputError(f"{place}: eta: expected a whole number from 2, found {eta!r}")
    if "eta" in news:
        news["eta"] = int(eta)
    chosen = replace(options, **news)  # type: ignore[arg-type]  # of the same names and types
    _check_aim(chosen, place if "metric" in news else "--metric", objective.metrics)
    if objective.metric != Aim.metric and chosen.metric in (None, objective.metric):
        goal = chosen.goal or objective.goal
        chosen = replace(chosen, metric=objective.metric, goal=goal)
    _check_sampler(chosen, f"{place}: trials" if "trials" in news else "--trials")
    _check_pruner(chosen)
    if chosen.finalists and chosen.shard:
        raise InputError(
            "--finalists: expected no --shard beside it, as they are the best of all; run the"
            " same command without --shard once all shards have ended"
        )
    return chosen


def _check_aim(options: Options, place: str, metrics: Sequence[str]) -> None:
    if metrics and options.metric is not None and options.metric not in metrics:
        raise InputError(
            f"{place}: metric: expected one of {', '.join(metrics)}, found {options.metric!r}"
            f"{'' if place == '--metric' else '; --metric chooses another'}"
        )


def _check_sampler(options: Options, place: str) -> None:
    sampler = options.sampler or "grid"
    if sampler == "grid" and options.trials is not None:
        raise InputError(
            f"{place}: expected --sampler random, sobol, lhs or another beside it, found the grid,"
            " whose combinations are all tried"
        )
    if sampler != "grid" and options.trials is None:
        raise InputError(f"--sampler {sampler}: expected --trials N beside it, found no number")
    if sampler in MODEL_BASED:
        for name, given in (("--shard", options.shard), ("--schedule", options.schedule)):
            if given not in (None, "dynamic"):
                raise InputError(
                    f"{name}: expected none beside --sampler {sampler}, whose next trial depends"
                    " on the results of all ranks"
                )


def _check_pruner(options: Options) -> None:
    if options.pruner in (None, "none"):
        return
    if options.schedule == "scatter":
        raise InputError(
            f"--pruner {options.pruner}: expected --schedule dynamic, found scatter, in which"
            " ranks do not speak while they train"
        )
    if options.shard and options.pruner in COMPARING:
        raise InputError(
            f"--pruner {options.pruner}: expected no --shard beside it, as it compares all trials"
        )

"""`hpo.to_optuna`: a run as an Optuna study, for its plots, its dashboard, or to go on there.

A study's parameters must have one distribution each, whatever alternative of a space a trial is
of, and one that any storage can hold: lists become text. Trials of a study cannot be changed: one
that was pruned and went on, or failed and was tried again, is there twice.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hpo import domain, findings, spacefile
from hpo.domain import Choices, Domain, Normal, Range
from hpo.errors import InputError
from hpo.findings import Findings
from hpo.report import last_line
from hpo.trial import Result, Status, canonical

_SQLITE_BEGINS = b"SQLite format 3\0"
_JOURNAL_BEGINS = b'{"op_code":'
_SQLITE_NAMES = (".db", ".sqlite", ".sqlite3")
_TAIL = 1e-6  # of a normal distribution
_LEAST_EVEN = 3  # values that are even steps of a range; two always are


def to_optuna(path: str | Path, storage: Any, name: str | None = None) -> Any:
    """Add a run's finished trials to an Optuna study, and give the study.

    Those that are there already, by their id and state, are left as they are. Its attribute `best`
    is the winner's id: with finalists, or among equal scores, that need not be `best_trial`.

    Args:
        storage: a file (.db, .sqlite, .sqlite3 of SQLite, any other name a journal), the URL of a
            database, or one of Optuna's storages.
        name: of the study; default: the run directory's.

    Raises:
        hpo.errors.InputError: if it is no run directory, Optuna is missing, the storage cannot be
            used, or its study of this name is of another search.
    """
    found = findings.read(path)
    if importlib.util.find_spec("optuna") is None:
        raise InputError("optuna: expected it to be installed, found none; pip install optuna")
    import optuna  # a second

    name = name or Path(path).resolve().name
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental in it
            study = _study(optuna, found, storage, name)
            _add(optuna, found, study)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return study


def _study(optuna: Any, found: Findings, storage: Any, name: str) -> Any:
    from sqlalchemy.exc import SQLAlchemyError  # Optuna brings it

    try:
        study = optuna.create_study(
            storage=_opened(optuna, storage),
            study_name=name,
            direction=found.record.aim.goal,
            load_if_exists=True,
        )
    except (OSError, ValueError, ImportError, KeyError, SQLAlchemyError) as error:
        what = str(error).splitlines()[0] if str(error) else repr(error)
        raise InputError(f"{storage}: expected a storage of Optuna's, found: {what}") from error
    if [its.name.lower() for its in study.directions] != [found.record.aim.goal]:
        raise InputError(
            f"{storage}: expected a study {name} to {found.record.aim.goal}, found one to"
            f" {' and '.join(its.name.lower() for its in study.directions)};"
            " give another name (--name)"
        )
    if not study.trials:
        study.set_metric_names([found.record.aim.metric])
    return study


def _opened(optuna: Any, storage: Any) -> Any:
    """Give what `create_study` takes; a file is known by what is in it, a new one by its name.

    Optuna would write a journal to the end of whatever file it is given.
    """
    if not isinstance(storage, str | Path) or "://" in str(storage):
        return storage
    path = Path(storage)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(f"{path}: expected a file in a directory that is there, found none")
    begin = b""
    if path.exists():
        with path.open("rb") as file:
            begin = file.readline(1000)
    if begin.startswith(_SQLITE_BEGINS) or (not begin and path.suffix in _SQLITE_NAMES):
        return f"sqlite:///{path}"
    if begin and not begin.startswith(_JOURNAL_BEGINS):
        raise InputError(f"{path}: expected a storage of Optuna's, found another file")
    journal = optuna.storages.journal
    return optuna.storages.JournalStorage(journal.JournalFileBackend(str(path)))


def _add(optuna: Any, found: Findings, study: Any) -> None:
    distributions = _distributions(optuna.distributions, found)
    known = set()
    for its in study.get_trials(deepcopy=False):
        known.add((its.user_attrs.get("id"), its.state))
        _check_compatible(optuna.distributions, study.study_name, its.distributions, distributions)
    finished = sorted(found.standing.finished, key=lambda its: its.ended_s)
    for result in finished:
        trial = _trial(optuna, found, result, distributions)
        if (result.id, trial.state) not in known:
            study.add_trial(trial)
            known.add((result.id, trial.state))
    if found.standing.best is not None:
        study.set_user_attr("best", found.standing.best[0].id)


def _check_compatible(
    kinds: Any, study: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]
) -> None:
    for name in theirs.keys() & ours.keys():
        try:
            kinds.check_distribution_compatibility(theirs[name], ours[name])
        except ValueError as error:
            raise InputError(
                f"study {study}: expected {name} as in this run, found other values"
                f" ({theirs[name]}), which Optuna does not mix; give another name (--name)"
            ) from error


def _trial(optuna: Any, found: Findings, result: Result, distributions: Mapping[str, Any]) -> Any:
    states = optuna.trial.TrialState
    has_score = result.score is not None and math.isfinite(result.score)
    state = states.FAIL
    if has_score and result.status is not Status.FAILED:
        state = states.COMPLETE if result.status is Status.DONE else states.PRUNED
    params = {name: _held(distributions[name], value) for name, value in result.config.items()}
    its = optuna.trial.create_trial(
        state=state,
        value=result.score if state != states.FAIL else None,
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs=_attributes(result),
        intermediate_values=_intermediate(found, result),
    )
    began_s = result.began_s or min((its.at_s for its in found.starts), default=0.0)
    its.datetime_start = datetime.fromtimestamp(began_s)
    its.datetime_complete = datetime.fromtimestamp(result.ended_s or began_s + result.seconds)
    return its


def _attributes(result: Result) -> dict[str, Any]:
    """Give all else that is known of a trial, and its configuration as it was."""
    names = ("id", "config", "rank", "host", "threads", "seconds", "attempt", "epochs")
    told = {name: getattr(result, name) for name in names}
    for name in ("best_epoch", "val_loss", "metrics", "peak_memory_mb"):
        told |= {name: value} if (value := getattr(result, name)) else {}
    return told | ({"error": last_line(result.error)} if result.error else {})


def _intermediate(found: Findings, result: Result) -> dict[int, float]:
    """Give the metric after each epoch that counts: what was trained ahead does not."""
    series = found.epochs(result.id).get(found.record.aim.metric, [])
    told = enumerate(series, start=1)
    return {at: its for at, its in told if at <= result.epochs and math.isfinite(its)}


def _distributions(kinds: Any, found: Findings) -> dict[str, Any]:
    """Give each hyperparameter's distribution, as the space and its trials have it."""
    written = spacefile.of_run(found.record.space, str(found.run.search))
    seen: dict[str, list[object]] = {}
    for result in found.standing.finished:
        for name, value in result.config.items():
            seen.setdefault(name, []).append(value)
    domains = written.all_domains
    return {name: _distribution(kinds, domains.get(name, []), its) for name, its in seen.items()}


def _distribution(kinds: Any, domains: Sequence[Domain], seen: Sequence[object]) -> Any:
    listed = [its for its in domains if isinstance(its, Choices)]
    if len(listed) == len(domains):
        values = [value for its in listed for value in its.values] or list(seen)
        even = _even(values)
        return _categories(kinds, values) if even is None else _range(kinds, even)
    if not listed:
        if len(domains) == 1 and isinstance(domains[0], Range):
            return _range(kinds, domains[0])
        return _spanning(kinds, domains, seen)
    return _categories(kinds, seen)  # a list in one alternative, a range in another


def _range(kinds: Any, its: Range) -> Any:
    """Give a range; with a logarithm Optuna knows no steps."""
    n = domain.count(its)
    low, high = (its.low, its.high) if n is None else (its.low, domain.nth(its, n - 1))
    step = None if its.log else its.step
    if its.is_integer:
        return kinds.IntDistribution(int(low), int(high), log=its.log, step=int(step or 1))
    return kinds.FloatDistribution(float(low), float(high), log=its.log, step=step)


def _spanning(kinds: Any, domains: Sequence[Domain], seen: Sequence[object]) -> Any:
    """Give a range over several, or over nearly all of a normal distribution and what was seen."""
    numbers = [float(str(value)) for value in seen]
    ends = [float(str(end)) for its in domains for end in _ends(its)]
    low, high = min(ends + numbers), max(ends + numbers)
    is_log = low > 0 and all(not isinstance(its, Choices) and its.log for its in domains)
    return kinds.FloatDistribution(low, high, log=is_log)


def _ends(its: Domain) -> list[object]:
    if isinstance(its, Normal):
        return [domain.at(its, _TAIL), domain.at(its, 1 - _TAIL)]
    return domain.ends(its)


def _even(values: Sequence[object]) -> Range | None:
    """Give the range with a step that a list of numbers is, if it is one."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values):
        return None
    ordered = sorted(set(numbers))
    if len(ordered) < _LEAST_EVEN:
        return None
    is_integer = all(isinstance(value, int) for value in ordered)
    step = ordered[1] - ordered[0] if is_integer else float(f"{ordered[1] - ordered[0]:.12g}")
    its = Range(ordered[0], ordered[-1], step=step, is_integer=is_integer)
    whole = domain.count(its) == len(ordered)
    return its if whole and domain.values(its) == ordered else None


def _categories(kinds: Any, values: Sequence[object]) -> Any:
    """Give categories; all as text where some are lists, or 1 and true would be one."""
    distinct = list({canonical(value): value for value in values}.values())
    simple = [v for v in distinct if v is None or isinstance(v, bool | int | float | str)]
    if len(simple) == len(distinct) == len(set(simple)):
        return kinds.CategoricalDistribution(distinct)
    return kinds.CategoricalDistribution([_text(value) for value in distinct])


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical(value)


def _held(distribution: Any, value: object) -> Any:
    """Give a value as its distribution has it."""
    choices = getattr(distribution, "choices", None)
    if choices is None:
        return value
    if value is None or isinstance(value, bool | int | float | str):
        same = [its for its in choices if canonical(its) == canonical(value)]
        return same[0] if same else _text(value)
    return _text(value)

"""MLflow: a parent run for a search, a child run for each trial.

The only module that imports mlflow. Runs are found by their tags, so that the store itself tells
what it has, whoever asks.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hpo.errors import InputError
from hpo.report import last_line
from hpo.tracker import Best, Search, ToldTrial, without_secrets
from hpo.trial import Status

# MLflow waits for minutes for a server that is away; it may be asked again later.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
_STATUS = {Status.DONE: "FINISHED", Status.PRUNED: "KILLED", Status.FAILED: "FAILED"}
_SEARCH, _TRIAL, _STANDING = "hpo.search", "hpo.trial", "hpo.status"
_PARENT, _COMMIT = "mlflow.parentRunId", "mlflow.source.git.commit"
_UNFIT = re.compile(r"[^\w\-. :/]")  # in names
# Limits of a call, and of texts.
_MOST_METRICS, _MOST_PARAMS = 1000, 100
_MOST_CHARS = 5000
_EXPERIMENT = "hpo"
_SAMPLE_EVERY_S = 10.0


def _load() -> Any:
    """Load it, to be quiet and quick to give up; a file store that somebody names is wanted."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    return mlflow


class Mlflow:
    """Tells through MLflow's client alone: no run is the process's active one."""

    def open(self, search: Search) -> None:
        mlflow = _load()
        self._search = search
        own = search.folder.resolve() / "mlflow.db"
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own}"
        self._is_own = uri == f"sqlite:///{own}"
        self._uri = uri
        self._client = mlflow.MlflowClient(uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        self._experiment = self._experiment_of(name)
        where = "tracking/mlflow.db" if self._is_own else without_secrets(_bare(uri))
        self.destination = f"{where} {name}"
        self._runs = self._known_runs()
        self._parent = self._runs.get("") or self._begin_parent()
        self._client.update_run(self._parent, status="RUNNING")
        self._monitor = self._watch() if search.is_live else None

    def _experiment_of(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        artifacts = (self._search.folder.resolve() / "mlflow").as_uri() if self._is_own else None
        try:
            return str(self._client.create_experiment(name, artifact_location=artifacts))
        except Exception:  # somebody else may have been quicker
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _known_runs(self) -> dict[str, str]:
        """Find this search's runs by their trials; the parent's trial is none."""
        runs: dict[str, str] = {}
        token = None
        wanted = f"tags.`{_SEARCH}` = '{self._search.name}'"
        while True:
            page = self._client.search_runs(
                [self._experiment], wanted, max_results=1000, page_token=token
            )
            runs |= {run.data.tags.get(_TRIAL, ""): run.info.run_id for run in page}
            token = page.token
            if not token:
                return runs

    def _begin_parent(self) -> str:
        its = self._search.record
        run = self._client.create_run(
            self._experiment,
            run_name=self._search.name,
            tags={
                _SEARCH: self._search.name,
                "mlflow.source.name": "hpo",
                "data": str(its.data.get("path", "")),
                "data fingerprint": str(its.data.get("fingerprint", "")),
                **self._search.made_with,
                _COMMIT: self._search.made_with.get("git", ""),
            },
        )
        params = {f"space.{name}": value for name, value in its.space.items()}
        params |= {f"option.{name}": value for name, value in its.options.items()}
        params |= {f"default.{name}": value for name, value in its.defaults.items()}
        params |= {f"identity.{name}": value for name, value in its.identity.items()}
        self._log_params(run.info.run_id, params)
        return str(run.info.run_id)

    def _watch(self) -> Any:
        """Sample the node's load into the parent run, as MLflow does it, if it can."""
        try:
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            monitor = SystemMetricsMonitor(
                self._parent,
                sampling_interval=_SAMPLE_EVERY_S,
                resume_logging=True,
                tracking_uri=self._uri,
            )
        except ImportError:  # psutil is missing
            return None
        monitor.start()
        return monitor

    def tell(self, trial: ToldTrial) -> None:
        its = trial.result
        end_ms = int(1000 * (its.ended_s or time.time()))
        begin_ms = int(1000 * its.began_s) or end_ms - int(1000 * its.seconds)
        known = self._runs.get(trial.id)
        run_id = known or self._begin(trial, begin_ms)
        self._log_epochs(run_id, trial, (begin_ms, end_ms), is_new=known is None)
        facts = trial.facts()
        tags = {name: str(facts[name]) for name in ("rank", "host", "status", "attempt")}
        tags[_STANDING] = tags.pop("status")
        if its.error is not None:
            tags["error"] = last_line(its.error)[:_MOST_CHARS]
        for name, value in tags.items():
            self._client.set_tag(run_id, name, value)
        self._client.set_terminated(run_id, _STATUS[its.status], end_time=end_ms)

    def _begin(self, trial: ToldTrial, begin_ms: int) -> str:
        run = self._client.create_run(
            self._experiment,
            start_time=begin_ms,
            run_name=trial.name,
            tags={_SEARCH: self._search.name, _TRIAL: trial.id, _PARENT: self._parent},
        )
        self._runs[trial.id] = str(run.info.run_id)
        self._log_params(run.info.run_id, trial.config)
        return self._runs[trial.id]

    def _log_epochs(
        self, run_id: str, trial: ToldTrial, times_ms: tuple[int, int], *, is_new: bool
    ) -> None:
        """Log the epochs that are not there yet, and what the trial came to."""
        from mlflow.entities import Metric

        def told(name: str) -> int:
            history = [] if is_new else self._client.get_metric_history(run_id, name)
            return max((metric.step for metric in history), default=0)

        begin_ms, end_ms = times_ms
        steps, facts = trial.steps(), trial.facts()
        metrics = []
        for name in trial.epochs:
            fit, last = _UNFIT.sub("_", name), told(_UNFIT.sub("_", name))
            metrics += [
                Metric(fit, its[name], begin_ms + (end_ms - begin_ms) * epoch // len(steps), epoch)
                for epoch, its in enumerate(steps, start=1)
                if epoch > last and name in its
            ]
        for name in ("score", "best_epoch", "seconds"):
            # Of one step and time there is one value, so that telling it again adds nothing.
            if name in facts:
                value = float(str(facts[name]))
                metrics.append(Metric(name, value, end_ms, trial.result.epochs))
        for some in _pieces(metrics, _MOST_METRICS):
            self._client.log_batch(run_id, metrics=some)

    def _log_params(self, run_id: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [
            Param(_UNFIT.sub("_", name), str(value)[:_MOST_CHARS])
            for name, value in values.items()
        ]
        for some in _pieces(params, _MOST_PARAMS):
            self._client.log_batch(run_id, params=some)

    def conclude(self, best: Best) -> None:
        client, parent = self._client, self._parent
        client.log_metric(parent, "score", best.score)
        client.set_tag(parent, "best trial", best.trial_id)
        client.set_tag(parent, "best", best.name)
        for path in best.files:
            client.log_artifact(parent, str(path))
        if best.model is not None and best.model.is_dir():
            client.log_artifacts(parent, str(best.model), artifact_path=best.model.name)
        elif best.model is not None:
            client.log_artifact(parent, str(best.model))

    def close(self) -> None:
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None
        self._client.set_terminated(self._parent, "FINISHED")

    def words(self) -> str:
        if self._is_own:
            shown = shlex.quote(f"sqlite:///{self._search.folder / 'mlflow.db'}")
            return f"mlflow ui --backend-store-uri {shown} shows them"
        return f"they are in {_bare(self._uri)}"


def _pieces(some: list[Any], most: int) -> Iterable[list[Any]]:
    return (some[begin : begin + most] for begin in range(0, len(some), most))


def _bare(uri: str) -> str:
    """Leave out user and password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def download(uri: str, folder: Path) -> None:
    """Bring an artifact into an empty folder.

    Raises:
        InputError: if it cannot be had.
    """
    mlflow = _load()
    try:
        mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder))
    except Exception as error:  # whatever its stores raise
        reason = str(error).strip().splitlines()
        raise InputError(
            f"mlflow:{uri}: expected an artifact, found:"
            f" {without_secrets(reason[0] if reason else type(error).__name__)}"
        ) from error

"""What trackers hold of a run, read by their own packages; equal shapes, so that they compare."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# W&B's file is a log as LevelDB has it, after seven bytes of its own.
BLOCK, HEAD, OWN_HEAD = 32768, 7, b":W&B"
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class Told:
    """One trial, as a tracker shows it."""

    name: str
    status: str
    metrics: dict[str, list[float]]  # of each epoch
    config: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)


def wandb_records(path: Path) -> Iterator[Any]:
    """Read the records of an offline run."""
    from wandb.proto import wandb_internal_pb2

    content = path.read_bytes()
    assert content.startswith(OWN_HEAD)
    at, parts = HEAD, b""
    while at < len(content):
        if BLOCK - at % BLOCK < HEAD:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + HEAD])
        parts += content[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


@dataclass
class OfflineRun:
    """What an offline run of W&B would upload."""

    folder: Path
    run: Any
    exit_code: int | None
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    artifacts: dict[str, Any]  # by type
    config: dict[str, Any]


def wandb_runs(out: Path) -> dict[str, OfflineRun]:
    """Read all offline runs by their ids, of which none may be there twice."""
    found: dict[str, OfflineRun] = {}
    for folder in sorted((out / "tracking" / "wandb").glob("offline-run-*")):
        [file] = folder.glob("*.wandb")
        its = OfflineRun(folder, None, None, [], {}, {}, {})
        for record in wandb_records(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                its.run = record.run
                its.config |= _items(record.run.config.update)
            elif kind == "history":
                its.history.append(_items(record.history.item))
            elif kind == "summary":
                its.summary |= _items(record.summary.update)
            elif kind == "config":
                its.config |= _items(record.config.update)
            elif kind == "artifact":
                its.artifacts[record.artifact.type] = record.artifact
            elif kind == "request" and record.request.HasField("log_artifact"):
                artifact = record.request.log_artifact.artifact
                its.artifacts[artifact.type] = artifact
            elif kind == "exit":
                its.exit_code = record.exit.exit_code
        assert its.run.run_id not in found, "a run is there twice"
        found[its.run.run_id] = its
    return found


def _items(items: Any) -> dict[str, Any]:
    return {(its.key or "/".join(its.nested_key)): json.loads(its.value_json) for its in items}


def of_wandb(out: Path) -> dict[str, Told]:
    """Read the trials of offline runs, by their ids."""
    told = {}
    for its in wandb_runs(out).values():
        if its.run.job_type != "trial":
            continue
        config = {k: v for k, v in its.config.items() if k != "_wandb"}
        steps = [{k: v for k, v in step.items() if k[0] != "_"} for step in its.history]
        assert [step["epoch"] for step in steps] == list(range(1, len(steps) + 1))
        names = {name for step in steps for name in step} - {"epoch"}
        told[str(config.pop("trial_id"))] = Told(
            its.run.display_name,
            its.summary["status"],
            {name: [step[name] for step in steps] for name in names},
            config,
            {**its.summary, "exit_code": its.exit_code, "group": its.run.run_group},
        )
    return told


def mlflow_client(out: Path) -> Any:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{out.resolve() / 'tracking' / 'mlflow.db'}")


def mlflow_runs(client: Any) -> list[Any]:
    experiments = [its.experiment_id for its in client.search_experiments()]
    return list(client.search_runs(experiments, max_results=1000))


def of_mlflow(client: Any) -> dict[str, Told]:
    """Read the child runs of a store, by the ids of their trials."""
    runs = mlflow_runs(client)
    [parent] = [run.info.run_id for run in runs if "hpo.trial" not in run.data.tags]
    told: dict[str, Told] = {}
    for run in runs:
        if run.info.run_id == parent:
            continue
        trial_id = run.data.tags["hpo.trial"]
        assert trial_id not in told, "a trial is there twice"
        assert run.data.tags["mlflow.parentRunId"] == parent
        metrics = {}
        for name in run.data.metrics:
            history = sorted(
                client.get_metric_history(run.info.run_id, name), key=lambda m: m.step
            )
            if name not in ("score", "best_epoch", "seconds"):
                assert [its.step for its in history] == list(range(1, len(history) + 1)), name
                metrics[name] = [its.value for its in history]
        told[trial_id] = Told(
            run.data.tags["mlflow.runName"],
            run.data.tags["hpo.status"],
            metrics,
            run.data.params,
            {"state": run.info.status, **run.data.metrics},
        )
    return told


def of_tensorboard(out: Path) -> dict[str, Told]:
    """Read event files with TensorBoard's accumulator, by the ids of their trials."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2
    from tensorboard.util import tensor_util

    told: dict[str, Told] = {}
    for folder in sorted(
        its for its in (out / "tracking" / "tensorboard").iterdir() if its.is_dir()
    ):
        name, _, trial_id = folder.name.rpartition("-")
        assert trial_id not in told, "a trial is there twice"
        events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
        metrics = {}
        for tag in events.Tags()["tensors"]:
            if tag.startswith("_hparams_"):
                continue
            values = [float(tensor_util.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
            metrics[tag] = values
        score = metrics.pop("score", [None])
        start, end = (
            plugin_data_pb2.HParamsPluginData.FromString(
                events.SummaryMetadata(tag).plugin_data.content
            )
            for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
        )
        config = {
            key: getattr(value, value.WhichOneof("kind"))
            for key, value in start.session_start_info.hparams.items()
        }
        status = end.session_end_info.status
        told[trial_id] = Told(name, str(status), metrics, config, {"score": score[0]})
    return told

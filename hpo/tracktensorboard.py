"""TensorBoard: a folder of events for each trial, and what its HParams tab needs.

The only module that imports tensorboard. TensorFlow is not loaded: tensorboard's own helpers for
hyperparameters would do that, so their messages are put together here.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from hpo.domain import Choices, Domain, Range
from hpo.rundir import write_folder, write_whole
from hpo.tracker import Best, Search, ToldTrial
from hpo.trial import Status

_STATUS = {
    Status.DONE: api_pb2.STATUS_SUCCESS,
    Status.PRUNED: api_pb2.STATUS_SUCCESS,  # there is no word for it; its epochs tell
    Status.FAILED: api_pb2.STATUS_FAILURE,
}
_FILE = "events.out.tfevents.{second:010d}.hpo"


class TensorBoard:
    """Writes each folder whole, so that one that is told again replaces itself."""

    def open(self, search: Search) -> None:
        self._search = search
        self._root = search.folder / "tensorboard"
        self._root.mkdir(parents=True, exist_ok=True)
        self._metrics: list[str] = []
        self._described: list[str] | None = None

    @property
    def destination(self) -> str:
        return "tracking/tensorboard"

    def tell(self, trial: ToldTrial) -> None:
        self._metrics += [name for name in trial.epochs if name not in self._metrics]
        self._describe()
        its = trial.result
        end_s = its.ended_s or time.time()
        begin_s = its.began_s or end_s - its.seconds
        steps = trial.steps()
        events = [_event(begin_s, _session_start(trial, self._search, begin_s))]
        for epoch, metrics in enumerate(steps, start=1):
            at_s = begin_s + (end_s - begin_s) * epoch / len(steps)
            events += [
                _event(at_s, _scalar(name, metrics[name]), epoch) for name in sorted(metrics)
            ]
        if its.score is not None:
            events.append(_event(end_s, _scalar("score", its.score), its.epochs))
        events.append(_event(end_s, _session_end(its.status, end_s)))

        def write(folder: Path) -> None:
            _write(folder / _FILE.format(second=int(begin_s)), events, begin_s)

        write_folder(self._root / f"{trial.name}-{trial.id}", write)

    def _describe(self) -> None:
        """Tell the HParams tab what varies and what is measured, where that is news."""
        if self._described == self._metrics:
            return
        told = _experiment(self._search, ["score", *self._metrics])
        # One file of one name: of several, TensorBoard would take the first.
        write_whole(
            self._root / _FILE.format(second=0),
            lambda beside: _write(beside, [_event(0.0, told)], 0.0),
            durable=False,
        )
        self._described = list(self._metrics)

    def conclude(self, best: Best) -> None:
        """Do nothing: the HParams tab sorts by score."""

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def words(self) -> str:
        return f"tensorboard --logdir {shlex.quote(str(self._root))} shows them"


def _write(path: Path, events: Sequence[event_pb2.Event], second: float) -> None:
    with path.open("wb") as file:
        records = RecordWriter(file)
        head = event_pb2.Event(wall_time=second, file_version="brain.Event:2")
        for event in [head, *events]:
            records.write(event.SerializeToString())


def _event(at_s: float, value: summary_pb2.Summary.Value, step: int = 0) -> event_pb2.Event:
    return event_pb2.Event(wall_time=at_s, step=step, summary=summary_pb2.Summary(value=[value]))


def _scalar(name: str, value: float) -> summary_pb2.Summary.Value:
    return summary_pb2.Summary.Value(
        tag=name,
        metadata=scalar_metadata.create_summary_metadata(display_name="", description=""),
        tensor=tensor_util.make_tensor_proto(float(value), dtype="float32"),
    )


def _hparams(tag: str, told: plugin_data_pb2.HParamsPluginData) -> summary_pb2.Summary.Value:
    return summary_pb2.Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(told), tensor=metadata.NULL_TENSOR
    )


def _session_start(trial: ToldTrial, search: Search, begin_s: float) -> summary_pb2.Summary.Value:
    info = plugin_data_pb2.SessionStartInfo(group_name=trial.id, start_time_secs=begin_s)
    for name, domains in search.domains.items():
        if name in trial.config:
            _set(info.hparams[name], trial.config[name], _kind(domains))
    told = plugin_data_pb2.HParamsPluginData(session_start_info=info)
    return _hparams(metadata.SESSION_START_INFO_TAG, told)


def _session_end(status: Status, end_s: float) -> summary_pb2.Summary.Value:
    info = plugin_data_pb2.SessionEndInfo(status=_STATUS[status], end_time_secs=end_s)
    told = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    return _hparams(metadata.SESSION_END_INFO_TAG, told)


def _experiment(search: Search, metrics: Sequence[str]) -> summary_pb2.Summary.Value:
    experiment = api_pb2.Experiment(
        name=search.name,
        hparam_infos=[_info(name, domains) for name, domains in search.domains.items()],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name), display_name=name)
            for name in metrics
        ],
    )
    told = plugin_data_pb2.HParamsPluginData(experiment=experiment)
    return _hparams(metadata.EXPERIMENT_TAG, told)


def _info(name: str, domains: Sequence[Domain]) -> api_pb2.HParamInfo:
    kind = _kind(domains)
    info = api_pb2.HParamInfo(name=name, display_name=name, type=kind)
    ranges = [its for its in domains if isinstance(its, Range)]
    if all(isinstance(its, Choices) for its in domains):
        values = {
            str(value): value
            for its in domains
            if isinstance(its, Choices)
            for value in its.values
        }
        for value in values.values():
            _set(info.domain_discrete.values.add(), value, kind)
    elif len(ranges) == len(domains):
        info.domain_interval.min_value = min(its.low for its in ranges)
        info.domain_interval.max_value = max(its.high for its in ranges)
    return info


def _kind(domains: Sequence[Domain]) -> int:
    """Say what a hyperparameter's values are; of several kinds, or lists, they become text."""
    values = [value for its in domains if isinstance(its, Choices) for value in its.values]
    if values and all(isinstance(value, bool) for value in values):
        return int(api_pb2.DATA_TYPE_BOOL)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return int(api_pb2.DATA_TYPE_FLOAT64)
    return int(api_pb2.DATA_TYPE_STRING)


def _set(place: object, value: object, kind: int) -> None:
    if kind == api_pb2.DATA_TYPE_BOOL:
        place.bool_value = value  # type: ignore[attr-defined]  # a protobuf Value
    elif kind == api_pb2.DATA_TYPE_FLOAT64:
        place.number_value = value  # type: ignore[attr-defined]
    else:
        place.string_value = "null" if value is None else str(value)  # type: ignore[attr-defined]

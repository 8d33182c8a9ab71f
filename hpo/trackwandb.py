"""Weights & Biases: a run for each trial, in one group, and one more for what is the search's.

The only module that imports wandb. A run is opened, filled with all epochs of its trial and
finished once the trial has a result: nothing of it is open while others train. Its id is made
from the trial's, so that a trial that is told again takes the place of what was told before.
"""

from __future__ import annotations

import base64
import json
import netrc
import os
import shlex
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from hpo.errors import InputError
from hpo.report import last_line
from hpo.tracker import Best, Search, ToldTrial, without_secrets
from hpo.trial import Status

ANSWERS_WITHIN_S = 2.0
BEGINS_WITHIN_S = 30.0
MOST_PICTURES = 24
MOST_COPIED_BYTES = 100 << 20  # larger data are named and not copied
_PROJECT = "hpo"
_EARLIER_HOST = "api.wandb.ai"  # a key that was stored for it is still good
_HOME = "wandb-data"  # W&B's own files, which an offline run needs until it is synced


def _load() -> Any:
    """Load it; a variable that a job file left empty is none, where W&B would refuse it."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        if not os.environ[name]:
            del os.environ[name]
    import wandb

    return wandb


class Wandb:
    """Writes runs in the run directory, offline, or to a server."""

    def open(self, search: Search) -> None:
        self._search = search
        home = search.folder.resolve() / _HOME
        home.mkdir(parents=True, exist_ok=True)
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
            os.environ.setdefault(name, str(home))
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._wandb = _load()
        self._server = _server()
        lacking = _lacking(self._server)
        self._mode = os.environ.get("WANDB_MODE") or ("offline" if lacking else "online")
        if self._mode == "online" and lacking is not None:  # W&B would find that out in minutes
            raise InputError(f"expected a W&B server, as WANDB_MODE says, found {lacking}")
        self._project = os.environ.get("WANDB_PROJECT") or _PROJECT
        where = "offline" if self._mode == "offline" else self._server
        self.destination = f"{where} {self._project}"

    def tell(self, trial: ToldTrial) -> None:
        its = trial.result
        run = self._begin(
            f"{trial.id}-{self._search.suffix}",
            name=trial.name,
            kind="trial",
            config={**trial.config, "trial_id": trial.id},
            tags=[its.status.value],
        )
        for epoch, metrics in enumerate(trial.steps(), start=1):
            run.log({"epoch": epoch, **metrics}, step=epoch)
        told = {name: value for name, value in trial.facts().items() if name != "epochs"}
        run.summary.update({**told, "n_epochs": its.epochs})
        if its.error is not None:
            run.summary["error"] = last_line(its.error)
        run.finish(exit_code=1 if its.status is Status.FAILED else 0)

    def _begin(
        self, run_id: str, *, name: str, kind: str, config: Mapping[str, Any], tags: list[str]
    ) -> Any:
        if self._mode == "offline":
            self._forget(run_id)
        run = self._wandb.init(
            mode=self._mode,
            dir=str(self._search.folder),
            project=self._project,
            group=self._search.name,
            id=run_id,
            name=name,
            job_type=kind,
            config=dict(config),
            tags=tags,
            reinit="create_new",
            settings=self._wandb.Settings(
                console="off",
                silent=True,
                save_code=False,
                disable_code=True,
                disable_git=True,
                x_disable_stats=True,  # of this process, which trains nothing
                init_timeout=BEGINS_WITHIN_S,
            ),
        )
        run.define_metric("epoch", hidden=True)
        run.define_metric("*", step_metric="epoch")
        return run

    def _forget(self, run_id: str) -> None:
        """Remove what was written of a run before: syncing both would mix them."""
        for folder in self._folder.glob(f"offline-run-*-{run_id}"):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return self._search.folder / "wandb"

    def conclude(self, best: Best) -> None:
        """Show the winner in a run of its own: the search's, with its data and model."""
        its = self._search.record
        run = self._begin(
            f"search-{self._search.suffix}",
            name=self._search.name,
            kind="search",
            config={
                "space": dict(its.space),
                "options": dict(its.options),
                "identity": dict(its.identity),
                "data": dict(its.data),
                **self._search.made_with,
            },
            tags=["search"],
        )
        run.summary.update(
            {"score": best.score, "best_trial": best.trial_id, "best_name": best.name}
        )
        run.log_artifact(self._data())
        if best.model is not None:
            run.log_artifact(self._model(best))
        pictures = self._pictures(best)
        if pictures:
            run.log({"mistakes": pictures})
        run.finish()

    def _data(self) -> Any:
        """Describe the data set; a file that is not too large goes along."""
        told = dict(self._search.record.data)
        path = Path(str(told.get("path", "")))
        name = f"data-{told.get('fingerprint', 'none')}"
        artifact = self._wandb.Artifact(name, "dataset", metadata=told)
        with artifact.new_file("data.json", encoding="utf-8") as file:
            json.dump(told, file, indent=1, default=str)
        if path.is_file() and path.stat().st_size <= MOST_COPIED_BYTES:
            artifact.add_file(str(path), skip_cache=True)
        elif path.is_absolute() and path.exists():
            artifact.add_reference(path.as_uri(), checksum=False)
        return artifact

    def _model(self, best: Best) -> Any:
        told = {"trial_id": best.trial_id, "score": best.score, "name": best.name}
        name = f"model-{self._search.suffix}"
        artifact = self._wandb.Artifact(name, "model", metadata=told)
        assert best.model is not None
        if best.model.is_dir():
            artifact.add_dir(str(best.model), skip_cache=True)
        else:
            artifact.add_file(str(best.model), skip_cache=True)
        return artifact

    def _pictures(self, best: Best) -> list[Any]:
        """Show what the winner answers wrongly, the surest first."""
        if best.mistakes is None:
            return []
        side, told = int(str(best.mistakes["side"])), best.mistakes["mistakes"]
        assert isinstance(told, list)
        return [self._picture(one, side) for one in told[:MOST_PICTURES]]

    def _picture(self, one: Mapping[str, Any], side: int) -> Any:
        pixels = np.frombuffer(base64.b64decode(one["image"]), np.uint8).reshape(side, side)
        share = f"{100 * float(one['probability']):.0f} %"
        caption = f"{one['label']}, answered {one['answer']} ({share})"
        return self._wandb.Image(pixels, caption=caption)

    def close(self) -> None:
        """Do nothing: no run stays open."""

    def words(self) -> str:
        if self._mode != "offline":
            return f"they are in project {self._project} of {self._server}"
        return f"offline; to upload: wandb sync {shlex.quote(str(self._folder))}"


def _server() -> str:
    """Name the server that W&B would speak to; its default is not that of earlier versions."""
    return str(_load().setup().settings.base_url)


def _lacking(server: str) -> str | None:
    """Say what keeps it from being used: the key, or its answer."""
    address = urlsplit(server)
    host = address.hostname or ""
    if not (os.environ.get("WANDB_API_KEY") or _has_stored_key(host)):
        return f"no key for {server}; wandb login, or WANDB_API_KEY in the environment, gives one"
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((host, port), ANSWERS_WITHIN_S).close()
    except OSError as error:
        return f"no answer of {server} ({error.strerror or error})"
    return None


def _has_stored_key(host: str) -> bool:
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        stored = netrc.netrc(str(path)).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return host in stored or _EARLIER_HOST in stored


def download(name: str, folder: Path) -> None:
    """Bring the files of an artifact, ENTITY/PROJECT/NAME:VERSION, into an empty folder.

    Raises:
        InputError: if it cannot be had.
    """
    lacking = _lacking(_server())
    if lacking is not None:
        raise InputError(f"wandb:{name}: expected an artifact, found {lacking}")
    try:
        _load().Api().artifact(name).download(root=str(folder), skip_cache=True)
    except Exception as error:  # of wandb, its server, the network
        reason = str(error).strip().splitlines()
        raise InputError(
            f"wandb:{name}: expected an artifact, found:"
            f" {without_secrets(reason[0] if reason else type(error).__name__)}"
        ) from error

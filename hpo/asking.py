"""Jobs as a model-based sampler proposes them, one whenever a rank has nothing else to train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from hpo.errors import InputError
from hpo.model_based import Advisor
from hpo.order import Job
from hpo.proposals import Proposals
from hpo.trial import Config, Result, Status

_MOST_UNFIT = 100  # proposals in a row that no network can be made of


class Asking:
    """A `Source` of jobs: what is proposed is on disk before anyone hears of it."""

    def __init__(
        self,
        advisor: Advisor,
        proposals: Proposals,
        job: Callable[[Config, int], Job],
        *,
        known: Mapping[str, Result | None],
        n_proposed: int,
        n_trials: int,
    ) -> None:
        """Go on with a search.

        Args:
            job: makes a job of a configuration and its number.
            known: trials that need no job any more, by id, and their results: proposed before, or
                trained in another search of the same directory.
            n_proposed: so many were proposed by earlier starts.
            n_trials: so many are wanted in all.
        """
        self._advisor = advisor
        self._proposals = proposals
        self._job = job
        self._known = dict(known)
        self._n_proposed = n_proposed
        self.n_left = max(0, n_trials - n_proposed)

    def propose(self) -> Job | None:
        n_unfit = 0
        while self.n_left and n_unfit < _MOST_UNFIT:
            config = self._advisor.propose()
            if config is None:
                break
            try:
                job = self._job(config, self._n_proposed)
            except InputError as error:  # nothing would be left of the images
                n_unfit += 1
                self._advisor.note(Result("", config, Status.FAILED, error=str(error)))
                continue
            self._proposals.append(config)
            self._n_proposed += 1
            self.n_left -= 1
            if job.trial.id not in self._known:
                self._known[job.trial.id] = None
                return job
            self._note_again(config, self._known[job.trial.id])
        if self.n_left:
            self._proposals.end()
        self.n_left = 0
        return None

    def _note_again(self, config: Config, result: Result | None) -> None:
        if result is not None:
            self._advisor.note(replace(result, config=config))

    def note(self, result: Result) -> None:
        self._advisor.note(result)

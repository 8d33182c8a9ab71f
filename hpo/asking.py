"""Jobs as a model-based sampler proposes them, one whenever a rank has nothing else to train."""

from __future__ import annotations

from collections.abc import Callable

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
        n_proposed: int,
        n_trials: int,
    ) -> None:
        """Go on with a search.

        Args:
            job: makes a job of a configuration and its number.
            n_proposed: so many were proposed by earlier starts.
            n_trials: so many are wanted in all.
        """
        self._advisor = advisor
        self._proposals = proposals
        self._job = job
        self._n_proposed = n_proposed
        self.n_left = max(0, n_trials - n_proposed)

    def propose(self) -> Job | None:
        for _ in range(_MOST_UNFIT):
            config = self._advisor.propose() if self.n_left else None
            if config is None:
                break
            try:
                job = self._job(config, self._n_proposed)
            except InputError as error:  # nothing would be left of the images
                unfit = Result("", config, Status.FAILED, error=str(error))
                self._advisor.note(unfit)
                continue
            self._proposals.append(config)
            self._n_proposed += 1
            self.n_left -= 1
            return job
        self.n_left = 0
        return None

    def note(self, result: Result) -> None:
        self._advisor.note(result)

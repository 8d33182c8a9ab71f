"""All that the files of a run directory tell, read once, for those who look at it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpo import epochfile, history, journal, knownterms, occupancy, publish, record
from hpo.epochfile import Series
from hpo.history import Started, Submitted
from hpo.journal import Written
from hpo.occupancy import Occupancy
from hpo.report import Standing, Table
from hpo.rundir import RunDir
from hpo.terms import Terms


@dataclass(frozen=True)
class Findings:
    """A run as its files show it.

    Attributes:
        records: all of the journal, those that others have replaced too.
    """

    run: RunDir
    record: record.Record
    terms: Terms
    standing: Standing
    records: Sequence[Written]
    starts: Sequence[Started]
    submissions: Sequence[Submitted]

    @functools.cached_property
    def table(self) -> Table:
        """All trials, in the order of results.csv."""
        return publish.table(self.standing, self.terms)

    @functools.cached_property
    def occupancies(self) -> list[Occupancy]:
        """What the ranks of each start did, the oldest first."""
        options = self.record.options
        return occupancy.of_starts(
            *(self.starts, self.records),
            ranks_per_trial=int(str(options.get("ranks_per_trial", 1))),
            threads=int(str(options.get("threads", 1))),
        )

    @functools.cached_property
    def queue_waits(self) -> dict[str, float]:
        """How long starts that were submitted have waited, in seconds, by their names."""
        waits: dict[str, float] = {}
        for its in self.submissions:
            waits |= occupancy.queue_waits(its, self.occupancies)
        return waits

    def epochs(self, trial_id: str) -> Series:
        """Read the epochs of a trial."""
        return epochfile.read(self.run.epochs_of(trial_id))


def read(path: str | Path) -> Findings:
    """Read a run directory, of a search that runs or not.

    Raises:
        InputError: if it is none, or a file in it cannot be read.
    """
    run = RunDir(path)
    its = record.read(run)
    records = list(journal.records(run.journal))
    standing = publish.compared(run, its, publish.trials(run, its), journal.latest(records))
    return Findings(
        *(run, its, knownterms.of_run(its), standing, records),
        starts=history.starts(run),
        submissions=history.submissions(run),
    )

"""`hpo status --go-on`: what job files decide by."""

from __future__ import annotations

import pytest

from hpo import commands, history, record
from hpo.history import Started, Submitted
from hpo.job import Job
from hpo.rundir import RunDir

BEGAN_S = 1000.0


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "results")
    run.make()
    return run


def started(run, name, at_s=BEGAN_S, **more):
    history.note_started(run, Started(name, at_s, "here", 2, 3, **more))


def go_on(run, *words):
    return commands.main(["status", str(run), "--go-on", *words])


SINCE = ("--since", str(BEGAN_S))


def test_job_whose_search_never_began_would_not_do_better_again(run, capsys):
    started(run, "earlier", BEGAN_S - 1)
    run.saved("earlier").touch()
    assert go_on(run, *SINCE) == 1
    assert "another job would not help" in capsys.readouterr().out


def test_job_that_has_finished_a_trial_or_saved_one_goes_on(run):
    started(run, "mine")
    assert go_on(run, *SINCE) == 1
    (run.journal / "mine-1.jsonl").write_text("{}\n")
    assert go_on(run, *SINCE) == 75
    started(run, "later", BEGAN_S + 1)
    assert go_on(run, *SINCE) == 1
    run.saved("later").touch()
    assert go_on(run, *SINCE) == 75


def test_only_starts_of_the_same_shard_count(run):
    started(run, "other", shard=(1, 2))
    run.saved("other").touch()
    assert go_on(run, *SINCE, "--shard", "2/2") == 1
    assert go_on(run, *SINCE, "--shard", "1/2") == 75


def test_first_link_of_a_chain_begins_whatever_was_before(run):
    started(run, "long ago", BEGAN_S - 100)
    assert go_on(run) == 75
    history.note_submitted(run, Submitted("job-1", BEGAN_S, ("7",), Job("slurm", links=3), "/"))
    assert go_on(run) == 75
    started(run, "first link", BEGAN_S + 5)
    assert go_on(run) == 1
    run.saved("first link").touch()
    assert go_on(run) == 75


def test_link_after_one_that_never_started_does_not_try(run):
    history.note_submitted(run, Submitted("job-1", BEGAN_S, ("7",), Job("slurm", links=3), "/"))
    assert go_on(run) == 75
    assert go_on(run, *SINCE) == 1  # the end of the first link
    assert go_on(run) == 1
    now_s = history.stuck_s(run) + 1
    history.note_submitted(run, Submitted("job-2", now_s, ("8",), Job("slurm", links=3), "/"))
    assert go_on(run) == 75


def test_what_is_written_is_read_again(run):
    its = Submitted("job-1", BEGAN_S, ("7", "8"), Job("lsf", mounts=("/a:/b",)), "/here", (2, 5))
    history.note_submitted(run, its)
    assert history.submissions(run) == [its]
    first = Started("s", BEGAN_S, "h", 2, 3, scheduler_job="lsf 7[2]", shard=(1, 2))
    history.note_started(run, first)
    assert history.starts(run) == [first]
    assert first.job_id == "7"
    history.note_ended(run, first, 75, BEGAN_S + 9)
    assert (history.starts(run)[0].ended_s, history.starts(run)[0].exit_code) == (BEGAN_S + 9, 75)


def test_files_of_a_newer_version_are_read_and_broken_ones_named(run, capsys):
    (run.jobs / "start-s.json").write_text(
        '{"start": "s", "at_s": 1000.0, "host": "h", "n_ranks": 1, "n_jobs": 1, "new": 1}'
    )
    assert history.starts(run)[0].start == "s"
    (run.jobs / "start-t.json").write_text("[]")
    assert go_on(run, *SINCE) == 2
    assert "start-t.json: expected what this program has written" in capsys.readouterr().err


def test_resubmit_is_named_only_where_something_was_submitted(run, capsys):
    data = {"side": 8, "images": 100, "classes": 10}
    record.Record({"filters": [8]}, {"seed": 33}, data, {}).write(run)
    assert commands.main(["status", str(run)]) == 75
    assert "  not running; run the same command again to go on\n" in capsys.readouterr().out
    history.note_submitted(run, Submitted("job-a", BEGAN_S, ("7",), Job("slurm"), "/"))
    assert commands.main(["status", str(run)]) == 75
    assert "run the same command again, or hpo resubmit, to go on" in capsys.readouterr().out

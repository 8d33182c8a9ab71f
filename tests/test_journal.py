"""What was appended comes back, whatever tore the end of the file; any other damage is named."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import journal
from hpo.errors import InputError
from hpo.trial import Result, Status


def done(name: str, score: float = 0.5) -> Result:
    return Result(name, {"filters": 16}, Status.DONE, score=score, val_loss=1.0, best_epoch=1)


def failed(name: str, attempt: int = 1, error: str = "out of memory") -> Result:
    return Result(name, {"filters": 16}, Status.FAILED, attempt=attempt, error=error)


def journalled(folder: Path, *files: list[Result]) -> dict[str, Result]:
    """Write one file for each start, then replay."""
    for number, results in enumerate(files):
        writer = journal.Writer(folder, f"2026010{number}T000000-abc", 0)
        for result in results:
            writer.append(result)
        writer.close()
    return journal.replay(folder)


@pytest.mark.parametrize(
    "broken", [b"", b"\x00\xff", b"{", b"null", b'{"id": "b"}', done("b").to_line().encode()[:-1]]
)
def test_replay_of_broken_line_in_the_middle_is_refused(tmp_path, broken):
    path = tmp_path / "start-0.jsonl"
    lines = [done(name).to_line().encode() for name in "ac"]
    path.write_bytes(b"\n".join([lines[0], broken, lines[1], b""]))
    with pytest.raises(InputError) as refused:
        journal.replay(tmp_path)
    assert str(refused.value) == (
        f"{path}:2: expected a trial's record, found {broken[:40]!r}; the lines after it are"
        " whole, so this was no interrupted write: restore the file, or delete this line to have"
        " its trial trained again"
    )


@settings(max_examples=15)
@given(st.lists(st.text(), min_size=1, max_size=4, unique=True), st.text())
def test_replay_cut_anywhere_in_the_last_record_loses_at_most_that_one(names, error):
    *earlier, last = [failed(name, error=error) for name in names]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journalled(folder, [*earlier, last])
        [path] = folder.glob("*.jsonl")
        whole = path.read_bytes()
        begin = sum(len(result.to_line()) + 1 for result in earlier)
        for end in range(begin, len(whole)):
            path.write_bytes(whole[:end])
            # Without its newline alone the record is still whole.
            kept = [*earlier, last] if end == len(whole) - 1 else earlier
            assert journal.replay(folder) == {result.id: result for result in kept}


def test_replay_forgives_a_torn_end_in_every_file(tmp_path):
    journalled(tmp_path, [done("a"), done("x")], [done("b"), done("y")])
    for path in tmp_path.glob("*.jsonl"):
        path.write_bytes(path.read_bytes()[:-9])
    assert journal.replay(tmp_path) == {"a": done("a"), "b": done("b")}


@settings(max_examples=50)
@given(st.lists(st.text(), min_size=1, max_size=4, unique=True), st.lists(st.integers(0, 4000)))
def test_follower_sees_each_record_once_wherever_a_write_is_caught(names, cuts):
    records = [failed(name) for name in names]
    whole = b"".join(its.to_line().encode() + b"\n" for its in records)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "start-0.jsonl"
        follower, seen = journal.Follower(path.parent), []
        for end in [*sorted(min(cut, len(whole)) for cut in cuts), len(whole)]:
            path.write_bytes(whole[:end])
            seen += [(its.start, its.result) for its in follower.news()]
        assert seen == [("start", its) for its in records]


def test_follower_names_the_line_that_turns_out_to_be_broken(tmp_path):
    path = tmp_path / "start-0.jsonl"
    line = done("a").to_line().encode() + b"\n"
    follower = journal.Follower(tmp_path)
    path.write_bytes(line)
    assert [its.result.id for its in follower.news()] == ["a"]
    path.write_bytes(line + b"broken\n")  # it may still be mended
    assert [*follower.news()] == []
    path.write_bytes(line + b"broken\n" + line)
    with pytest.raises(InputError, match=r"start-0\.jsonl:2: expected a trial's record"):
        [*follower.news()]


def test_replay_of_no_journal_is_empty(tmp_path):
    assert journal.replay(tmp_path / "journal") == {}


def test_writer_makes_its_file_with_the_first_record(tmp_path):
    writer = journal.Writer(tmp_path, "20260101T000000-abc", 3)
    writer.close()
    assert list(tmp_path.iterdir()) == []
    writer.append(done("a"))
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["20260101T000000-abc-3.jsonl"]


def test_append_is_on_disk_when_it_returns(tmp_path):
    writer = journal.Writer(tmp_path, "start", 0)
    writer.append(done("a"))
    assert journal.replay(tmp_path) == {"a": done("a")}
    writer.append(done("b"))
    assert journal.replay(tmp_path) == {"a": done("a"), "b": done("b")}
    writer.close()


outcomes = st.builds(
    lambda name, score, attempt: done(name, score) if score else failed(name, attempt),
    st.sampled_from("abc"),
    st.none() | st.floats(0.1, 1),
    st.integers(1, 5),
)


@settings(max_examples=50)
@given(st.lists(st.lists(outcomes, max_size=5), max_size=4))
def test_replay_gives_the_first_done_else_the_last_failed(files):
    everything = [result for results in files for result in results]
    expected = {}
    for result in everything:
        same = [other for other in everything if other.id == result.id]
        scored = [other for other in same if other.status is Status.DONE]
        expected[result.id] = scored[0] if scored else same[-1]
    with tempfile.TemporaryDirectory() as folder:
        assert journalled(Path(folder), *files) == expected


def test_replay_prefers_done_to_failed_before_and_after(tmp_path):
    assert journalled(tmp_path, [failed("a")], [done("a")], [failed("a", 2)]) == {"a": done("a")}


def test_replay_prefers_the_later_failure(tmp_path):
    assert journalled(tmp_path, [failed("a", 1)], [failed("a", 2)]) == {"a": failed("a", 2)}


def test_replay_skips_keys_of_newer_versions(tmp_path):
    newer = done("a").to_line().replace("{", '{"gpu": "H200", ', 1)
    (tmp_path / "start-0.jsonl").write_text(newer + "\n")
    assert journal.replay(tmp_path) == {"a": done("a")}

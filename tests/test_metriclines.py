"""Lines of JSON among other output: what is a report, and what it takes back."""

from __future__ import annotations

import math

import pytest

from hpo.metriclines import GapError, Record, Tail, last_lines, numbers_in


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ('{"loss": 0.5, "epoch": 2}', {"loss": 0.5, "epoch": 2.0}),
        ('  {"loss": 1, "device": "cpu", "ok": true, "more": [1], "none": null}\r', {"loss": 1.0}),
        ('50%|####   |\r100%|#######|\r{"loss": 1}', {"loss": 1.0}),
        *((line, {}) for line in ("", "loss 0.5", "{loss: 1}", "[1]", "1", '"{}"', "{", "{}")),
        ('{"loss": 1} trailing', {}),
        ('{"loss": 1' + "0" * 400 + "}", {}),
        ("{" * 100_000, {}),
        ('{"a":' * 100_000, {}),
    ],
)
def test_numbers_of_a_line(line, numbers):
    assert numbers_in(line) == numbers


def test_a_loss_that_is_no_number_is_seen():
    assert math.isnan(numbers_in('{"loss": NaN}')["loss"])
    record = Record("loss")
    record.take('{"loss": 1}')
    assert not record.has_diverged
    record.take('{"loss": Infinity}')
    assert record.has_diverged


def told(record: Record) -> list[tuple[float, float]]:
    return [(its.epoch, its.metrics["loss"]) for its in record.history]


def test_lines_without_an_epoch_count_from_one_in_each_start():
    record = Record("loss")
    assert [record.take(f'{{"loss": {n}}}') for n in (9, 8, 7)] == [0, 1, 2]
    assert told(record) == [(1, 9), (2, 8), (3, 7)]
    record.go_on()
    assert record.take('{"loss": 5}') == 0
    assert told(record) == [(1, 5)]


def test_an_epoch_takes_back_itself_and_what_came_after():
    record = Record("loss")
    for epoch in (1, 2, 3, 4):
        record.take(f'{{"epoch": {epoch}, "loss": {epoch}}}')
    record.go_on()
    assert record.take('{"epoch": 3, "loss": 33}') == 2
    assert told(record) == [(1, 1), (2, 2), (3, 33)]
    record.take('{"loss": 44}')
    assert told(record)[-1] == (4, 44)


def test_epochs_may_count_from_zero_or_be_steps():
    record = Record("loss")
    for epoch in (0, 500, 1000):
        record.take(f'{{"epoch": {epoch}, "loss": 1}}')
    record.go_on()
    assert record.take('{"epoch": 1000, "loss": 2}') == 2
    assert record.take('{"epoch": 1500, "loss": 2}') == 3
    assert record.take('{"epoch": 0, "loss": 3}') == 0


@pytest.mark.parametrize(
    ("told", "next_ones", "gap"),
    [
        *(([], [0, 1], 2), ([1], [1, 2], 3), ([0], [0, 1], 2), ([1, 2, 3], [1, 3, 4], 5)),
        *(([5], [5, 10], 11), ([5, 10], [10, 15], 20), ([500, 1000], [1500], 2000)),
    ],
)
def test_a_gap_is_seen_where_a_program_goes_on(told, next_ones, gap):
    for epoch in [*next_ones, gap]:
        record = Record("loss")
        for earlier in told:
            record.take(f'{{"epoch": {earlier}, "loss": 1}}')
        record.go_on()
        record.take("text")
        if epoch == gap:
            with pytest.raises(GapError):
                record.take(f'{{"epoch": {epoch}, "loss": 1}}')
        else:
            record.take(f'{{"epoch": {epoch}, "loss": 1}}')
            record.take(f'{{"epoch": {epoch + 100}, "loss": 1}}')


def test_lines_without_the_metric_are_only_output():
    record = Record("val_loss")
    for line in ('{"loss": 1, "lr": 2}', "text", '{"loss": 1}', '{"epoch": 1}', "{}"):
        assert record.take(line) is None
    assert record.history == []
    assert list(record.others) == ["loss", "lr"]


def test_a_score_without_a_name_is_the_only_number():
    record = Record("score")
    assert record.take('{"epoch": 1, "accuracy": 0.5, "host": "a"}') == 0
    assert record.history[0].metrics == {"accuracy": 0.5, "score": 0.5}
    assert record.take('{"accuracy": 0.5, "loss": 1}') is None
    assert record.take('{"score": 0.5, "loss": 1}') == 1


def test_a_tail_gives_lines_once_they_are_whole(tmp_path):
    path = tmp_path / "log"
    tail = Tail(path)
    assert list(tail.lines()) == []
    with path.open("wb", buffering=0) as file:
        file.write(b"one\ntw")
        assert list(tail.lines()) == ["one"]
        file.write(b"o\n\xff\nthr")
        assert list(tail.lines()) == ["two", "\N{REPLACEMENT CHARACTER}"]
        assert list(tail.lines()) == []
        assert list(tail.lines(is_over=True)) == ["thr"]


def test_a_tail_begins_after_what_an_earlier_start_wrote(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\nnow\n")
    assert list(Tail(path, len("before\n")).lines(is_over=True)) == ["now", ""]


def test_a_tail_sees_that_its_file_is_written_anew(tmp_path):
    path = tmp_path / "log"
    path.write_text("a long line\n")
    tail = Tail(path)
    assert list(tail.lines()) == ["a long line"]
    path.write_text("b\n")
    assert list(tail.lines()) == ["b"]


def test_lines_of_many_chunks_are_whole(tmp_path):
    path = tmp_path / "log"
    lines = ["x" * n for n in (10, 200_000, 0, 65_536, 3)]
    path.write_text("\n".join(lines) + "\n")
    assert list(Tail(path).lines()) == lines


def test_last_lines_say_something(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\na\n\n  b \n\n")
    assert last_lines(path, 7, 5) == ["a", "  b"]
    assert last_lines(path, 7, 1) == ["  b"]

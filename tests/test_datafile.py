"""Images are the same whatever file they come in; a file that is wrong is refused by name."""

from __future__ import annotations

import gc
import gzip
import io
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hpo import arrayfile, csvfile, data, datafile
from hpo.errors import InputError
from hpo.imagefile import Layout

N, SIDE = 23, 2
IMAGES = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE), np.uint8)
LABELS = np.arange(N) % 3
HEADER = "label,pixel0,pixel1,pixel2,pixel3"
FINGERPRINT = "b7477b5b1bb1d912"  # trial ids rest on it: it may never change


# --- files of these images in every format ---


def rows(label_column: int = 0, number: Callable[[int], str] = str) -> list[str]:
    table = np.insert(IMAGES.reshape(N, -1).astype(int), label_column, LABELS, axis=1)
    return [",".join(map(number, row)) for row in table.tolist()]


def csv(lines: list[str], header: str = HEADER, end: str = "\n") -> bytes:
    return "".join(line + end for line in [header, *lines]).encode()


def npz(**named: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **named)
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


FORMATS: dict[str, dict[str, bytes]] = {
    "kaggle": {"train.csv": csv(rows())},
    "gzip": {"train.csv.gz": gzip.compress(csv(rows()))},
    "gzip-by-another-name": {"train.csv": gzip.compress(csv(rows()))},
    "crlf": {"train.csv": csv(rows(), end="\r\n")},
    "byte-order-mark": {"train.csv": b"\xef\xbb\xbf" + csv(rows())},
    "no-last-newline": {"train.csv": csv(rows()).rstrip(b"\n")},
    "blank-lines": {"train.csv": csv([*rows()[:5], "", "", *rows()[5:], " ", ""])},
    "spaces": {"train.csv": csv(rows(), end=" \n")},
    "label-last": {"train.csv": csv(rows(4), "pixel0,pixel1,pixel2,pixel3,label")},
    "label-between": {"train.csv": csv(rows(2), "pixel0,pixel1,label,pixel2,pixel3")},
    "quoted-header": {"train.csv": csv(rows(), '"Label","a","b","c","d"')},
    "quoted-values": {"train.csv": csv(rows(number=lambda n: f'"{n}"'))},
    "whole-floats": {"train.csv": csv(rows(number=lambda n: f"{n}.0"))},
    "npz": {"train.npz": npz(x=IMAGES, y=LABELS)},
    "npz-flat": {"train.npz": npz(x=IMAGES.reshape(N, -1), y=LABELS)},
    "npz-channel": {"train.npz": npz(x=IMAGES[..., None], y=LABELS[:, None])},
    "npz-floats": {"train.npz": npz(x=IMAGES.astype(np.float32), y=LABELS.astype(float))},
    "npz-more": {"train.npz": npz(x=IMAGES, y=LABELS, x_test=IMAGES[:3])},
    "idx": {
        "train-images-idx3-ubyte": idx(IMAGES),
        "train-labels-idx1-ubyte": idx(LABELS),
    },
    "idx-gzip": {
        "train-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES)),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx(LABELS)),
    },
}


def written(folder: Path, files: dict[str, bytes]) -> str:
    """Write some files; give the path of the first."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(folder / next(iter(files)))


@pytest.fixture
def refusal(tmp_path, world):
    """Give the message, after the file's name, with which loading some files is refused."""

    def of(files: dict[str, bytes]) -> str:
        path = written(tmp_path, files)
        with pytest.raises(InputError) as refused:
            data.load(world, path)
        assert str(refused.value).startswith(path)
        return str(refused.value).removeprefix(path)

    return of


# --- what is refused ---


def test_load_missing_file_is_refused(tmp_path, world):
    path = str(tmp_path / "train.csv")
    with pytest.raises(InputError) as refused:
        data.load(world, path)
    assert str(refused.value) == f"{path}: expected a file of images, found no such file"


def test_load_directory_is_refused(tmp_path, world):
    with pytest.raises(InputError) as refused:
        data.load(world, str(tmp_path))
    assert str(refused.value) == f"{tmp_path}: expected a file of images, found Is a directory"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ": expected images, found an empty file"),
        (csv([]), ": expected images, found none after the header"),
        (csv(["", " "]), ": expected images, found none after the header"),
        (bytes(range(256)), ": expected CSV, .npz or idx images, found a binary file"),
        (
            b"\x89PNG\r\n\x1a\n",
            ": expected CSV, .npz or idx images, found a file that is not text",
        ),
        (
            csv(rows(), "a,b,c,d,e"),
            ":1: expected a header with a label column (label,pixel0,…), found 'a,b,c,d,e'",
        ),
        (
            csv([], "7," + "0," * 30 + "0"),
            ":1: expected a header with a label column (label,pixel0,…),"
            " found '7,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,'…",
        ),
        (csv(["0"], "label"), ":1: expected pixel columns, found 'label'"),
        (
            csv(["0,1,2,3"], "label,a,b,c"),
            ": expected square images, found 3 pixels, between 1×1 and 2×2",
        ),
        (
            csv(["0,1,2,3,4", "4,1,2,3,4", "1,1,2,3,4"]),
            ": expected at least as many images as classes (5, as the largest label is 4),"
            " found 3",
        ),
        (csv(["0,1,2,3,4"] * 3), ": expected at least two classes, found only label 0"),
    ],
)
def test_load_csv_that_is_wrong_as_a_whole_is_refused(refusal, content, expected):
    assert refusal({"train.csv": content}) == expected


@pytest.mark.parametrize("is_late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1,2,3,4", "expected 5 values, found 4"),
        ("1,2,3,4,5,6", "expected 5 values, found 6"),
        ("1,2,3,4,5,", "expected 5 values, found 6"),
        ("1,2,x,4,5", "column 3: expected a pixel from 0 to 255, found 'x'"),
        ("1,2,nan,4,5", "column 3: expected a pixel from 0 to 255, found 'nan'"),
        ("1,2,inf,4,5", "column 3: expected a pixel from 0 to 255, found 'inf'"),
        ("1,2,,4,5", "column 3: expected a pixel from 0 to 255, found ''"),
        ("1,2,256,4,5", "column 3: expected a pixel from 0 to 255, found '256'"),
        ("1,2,-1,4,5", "column 3: expected a pixel from 0 to 255, found '-1'"),
        ("1,2,0.5,4,5", "column 3: expected a pixel from 0 to 255, found '0.5'"),
        ("1,2,1_0,4,5", "column 3: expected a pixel from 0 to 255, found '1_0'"),
        ("1.5,2,3,4,5", "label: expected a whole number from 0, found '1.5'"),
        ("-1,2,3,4,5", "label: expected a whole number from 0, found '-1'"),
        # 2^32 is 0 to an int32.
        ("4294967296,2,3,4,5", "label: expected a whole number from 0, found '4294967296'"),
    ],
)
def test_load_csv_with_a_wrong_row_is_refused_with_its_line(
    refusal, monkeypatch, row, expected, is_late
):
    monkeypatch.setattr(csvfile, "PART_BYTES", 40)
    before = 12 if is_late else 1
    lines = [*rows()[:before], "", row]
    assert refusal({"train.csv": csv(lines)}) == f":{before + 3}: {expected}"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_load_csv_names_the_first_wrong_row(refusal, end):
    lines = ["0,1,2,3,4", "x,1,2,3,4", "1,2,3"]
    assert refusal({"train.csv": csv(lines, end=end)}) == (
        ":3: label: expected a whole number from 0, found 'x'"
    )


@pytest.mark.parametrize(
    "row", ["0,1,2,3,4\r1,2,3,4,x", "0,1,2,3," + "x" * 200_000], ids=["lone-cr", "endless-field"]
)
def test_load_csv_with_a_strange_row_is_refused_with_its_line(refusal, row):
    assert refusal({"train.csv": csv(["0,1,2,3,4", row])}).startswith(":3: ")


def test_load_truncated_gzip_is_refused(refusal):
    whole = gzip.compress(csv(rows()))
    assert refusal({"train.csv.gz": whole[:-9]}) == (
        ": expected a whole file, found: Compressed file ended before the end-of-stream marker was"
        " reached"
    )


def test_load_damaged_gzip_is_refused(refusal):
    """The damage lies behind what is read to know the format; zlib finds it, not gzip."""
    whole = bytearray(gzip.compress(csv(rows() * 10_000), compresslevel=0))
    second = 10 + 5 + int.from_bytes(whole[11:13], "little")  # of its uncompressed blocks
    whole[second + 1] ^= 0xFF  # its length
    assert refusal({"train.csv.gz": bytes(whole)}).startswith(
        ": expected a whole file, found: Error -3"
    )


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"x": IMAGES}, ": expected arrays x (images) and y (labels), found x (23, 2, 2)"),
        (
            {"x": IMAGES[:, :, :1], "y": LABELS},
            ": expected square images, found (2, 1)",
        ),
        (
            {"x": IMAGES, "y": LABELS[:5]},
            ": expected as many labels as images, found 5 and 23",
        ),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, ": expected images, found none"),
        (
            {"x": np.where(np.arange(N) == 7, 256, IMAGES.T.astype(int)).T, "y": LABELS},
            ":8: expected pixels that are whole numbers from 0 to 255, found 256",
        ),
        (
            {"x": IMAGES / 255, "y": LABELS},
            ":1: expected pixels that are whole numbers from 0 to 255,"
            f" found {IMAGES[0, 0, 0] / 255}",
        ),
        (
            {"x": np.where(np.arange(N) == 20, np.nan, IMAGES.T).T, "y": LABELS},
            ":21: expected pixels that are whole numbers from 0 to 255, found nan",
        ),
        (
            {"x": IMAGES, "y": np.where(np.arange(N) == 20, -1, LABELS)},
            ":21: expected labels that are whole numbers from 0 to 2147483647, found -1",
        ),
        (
            {"x": IMAGES, "y": LABELS.astype(str)},
            ":1: expected labels that are whole numbers from 0 to 2147483647, found <U21 values",
        ),
    ],
)
def test_load_npz_that_is_wrong_is_refused(refusal, monkeypatch, named, expected):
    monkeypatch.setattr(arrayfile, "PART_ROWS", 4)
    assert refusal({"train.npz": npz(**named)}) == expected


class Planted:
    """An object whose unpickling makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_load_npz_with_pickled_objects_is_refused_and_runs_nothing(refusal, tmp_path):
    planted = np.array([[Planted(tmp_path / "planted")]], object)
    assert refusal({"train.npz": npz(x=planted, y=LABELS[:1])}) == (
        ": expected arrays of numbers, found Object arrays cannot be loaded when"
        " allow_pickle=False"
    )
    assert not (tmp_path / "planted").exists()


def test_load_zip_of_other_things_is_refused(refusal):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train.csv", csv(rows()))
    assert refusal({"train.zip": file.getvalue()}).startswith(": expected arrays ")


def test_load_truncated_npz_is_refused_and_closed(refusal):
    assert refusal({"train.npz": npz(x=IMAGES, y=LABELS)[:100]}) == (
        ": expected arrays of numbers, found File is not a zip file"
    )
    gc.collect()  # a file left open is a ResourceWarning, which fails this test


IDX_IMAGES, IDX_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def test_load_idx_without_labels_is_refused(refusal, tmp_path):
    assert refusal({IDX_IMAGES: idx(IMAGES)}) == (
        f": expected its labels in {tmp_path / IDX_LABELS}, found no such idx file"
    )


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (idx(IMAGES), idx(LABELS[:5]), ": expected as many labels as images, found 5 and 23"),
        (idx(IMAGES[:, :1]), idx(LABELS), ": expected square images, found 1×2"),
        (idx(IMAGES[:0]), idx(LABELS[:0]), ": expected images, found none"),
    ],
)
def test_load_idx_that_is_wrong_is_refused(refusal, images, labels, expected):
    assert refusal({IDX_IMAGES: images, IDX_LABELS: labels}) == expected


@pytest.mark.parametrize("n_bytes", [4, 11, 12, 16, 17, -1, -4, -5])
def test_load_truncated_idx_is_refused(refusal, n_bytes):
    """Also where the labels are cut with the images, so that their numbers agree."""
    n_left = max(0, len(idx(IMAGES)[:n_bytes]) - 16) // 4
    labels = idx(LABELS)[: 8 + n_left]
    found = refusal({IDX_IMAGES: idx(IMAGES)[:n_bytes], IDX_LABELS: labels})
    assert found.startswith(": expected ")


def test_load_idx_of_no_pixels_is_refused(refusal):
    nothing = np.empty((N, 0, 0))
    found = refusal({IDX_IMAGES: idx(nothing), IDX_LABELS: idx(LABELS)})
    assert found.startswith(": expected ")


# --- what is read ---


@pytest.mark.parametrize("form", FORMATS)
def test_load_same_images_from_every_format(tmp_path, world, form):
    dataset = data.load(world, written(tmp_path, FORMATS[form]))
    assert dataset.images.tolist() == IMAGES.reshape(N, -1).tolist()
    assert dataset.labels.tolist() == LABELS.tolist()
    assert dataset.fingerprint == FINGERPRINT
    assert (dataset.n_images, dataset.side, dataset.n_classes) == (N, SIDE, 3)
    assert (dataset.images.dtype, dataset.labels.dtype) == (np.uint8, np.int32)


@pytest.mark.parametrize("changed", ["image", "label", "order"])
def test_fingerprint_of_other_content_differs(tmp_path, world, changed):
    images, labels = IMAGES.copy(), LABELS.copy()
    if changed == "image":
        images[-1, -1, -1] ^= 1
    elif changed == "label":
        labels[-1] ^= 1
    else:
        images, labels = images[::-1], labels[::-1]
    dataset = data.load(world, written(tmp_path, {"train.npz": npz(x=images, y=labels)}))
    assert dataset.fingerprint != FINGERPRINT


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_parts_of_all_ranks_are_the_whole_in_order(tmp_path, monkeypatch, form, size):
    monkeypatch.setattr(csvfile, "PART_BYTES", 40)
    monkeypatch.setattr(arrayfile, "PART_ROWS", 4)
    found = datafile.layout(written(tmp_path, FORMATS[form]))
    shares = [list(found.parts(rank, size)) for rank in range(size)]
    assert all(part.number % size == rank for rank, share in enumerate(shares) for part in share)
    parts = sorted(sum(shares, []), key=lambda part: part.number)
    assert [part.number for part in parts] == list(range(len(parts)))
    assert len(parts) > 5
    assert (
        np.concatenate([part.images for part in parts]).tolist() == IMAGES.reshape(N, -1).tolist()
    )
    assert np.concatenate([part.labels for part in parts]).tolist() == LABELS.tolist()


@settings(max_examples=50)
@given(
    images=arrays.arrays(np.uint8, st.tuples(st.integers(2, 9), st.just(3), st.just(3))),
    n_rows=st.integers(1, 9),
)
def test_moments_are_those_of_numpy(world, images, n_rows):
    labels = np.arange(len(images)) % 2
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrayfile, "PART_ROWS", n_rows)
        dataset = data.load(world, written(Path(folder), {"a.npz": npz(x=images, y=labels)}))
    # A single grey everywhere is divided by 1.
    wanted = (images.mean(), images.std() if images.min() < images.max() else 1.0)
    assert (dataset.mean, dataset.std) == pytest.approx(wanted, rel=1e-12)


def test_load_bundled_digits_are_as_ever(world):
    dataset = data.load(world, datafile.BUNDLED)
    assert dataset.describe() == {
        "path": "scikit-learn's digits",
        "fingerprint": "834891337fafa1c5",
        "images": 1797,
        "side": 8,
        "classes": 10,
        "mean": pytest.approx(4.884164579855314),
        "std": pytest.approx(6.016787548672236),
    }


# --- images to be answered for ---


@pytest.mark.parametrize("n_bytes", [30, -9])
def test_unlabelled_truncated_gzip_is_refused(tmp_path, n_bytes):
    path = written(tmp_path, {"test.csv.gz": gzip.compress(csv(rows()))[:n_bytes]})
    with pytest.raises(InputError) as refused:
        data.load_unlabelled(path, SIDE)
    assert str(refused.value).startswith(f"{path}: ")


def test_unlabelled_truncated_idx_is_refused(tmp_path):
    path = written(tmp_path, {"images": idx(IMAGES)[:-4]})
    with pytest.raises(InputError) as refused:
        data.load_unlabelled(path, SIDE)
    assert str(refused.value).startswith(f"{path}: expected ")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (csv(["1,2,3,x"], "a,b,c,d"), ":2: column 4: expected a pixel from 0 to 255, found 'x'"),
        (csv([], "a,b,c,d"), ": expected images, found none after the header"),
        (csv([], "0,1,2,3"), ":1: expected a header (pixel0,pixel1,…), found '0,1,2,3'"),
        (
            csv(["1"], "a"),
            ": expected 2×2 images like those of the training data, found 1×1",
        ),
    ],
)
def test_unlabelled_that_is_wrong_is_refused(tmp_path, content, expected):
    path = written(tmp_path, {"test.csv": content})
    with pytest.raises(InputError) as refused:
        data.load_unlabelled(path, SIDE)
    assert str(refused.value) == path + expected


UNLABELLED = {
    "csv": csv([row.partition(",")[2] for row in rows()], "pixel0,pixel1,pixel2,pixel3"),
    "csv-labels": csv(rows()),
    "npz": npz(x=IMAGES),
    "idx": idx(IMAGES),
}


@pytest.mark.parametrize("form", UNLABELLED)
def test_unlabelled_images_from_every_format(tmp_path, form):
    found = data.load_unlabelled(written(tmp_path, {"test": UNLABELLED[form]}), SIDE)
    assert found.tolist() == IMAGES.reshape(N, -1).tolist()


@given(
    st.lists(
        st.lists(
            st.sampled_from(["0", "7", "12", "200", "255", "256", "007", "1000", "x"]), min_size=4
        ),
        max_size=4,
    )
    | st.lists(st.lists(st.integers(0, 255).map(str), min_size=5, max_size=5), max_size=9),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", ",", "\n", " "]),
)
def test_the_short_way_through_a_csv_reads_what_the_long_one_does(rows, end, last):
    text = (end.join(map(",".join, rows)) + last).encode()
    of = Layout("some.csv", 4, csvfile._parts, label_column=0)
    short = csvfile._parse_digits(of, text, 5)
    table, _, error = csvfile._parse_slowly(of, text, 5)
    if short is not None:
        assert error is None
        assert short.tolist() == table.tolist()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_kaggles_files_go_the_short_way(end):
    text = end.join(rows()).encode()
    short = csvfile._parse_digits(Layout("some.csv", 4, csvfile._parts, label_column=0), text, 5)
    assert short is not None
    assert short[:, 1:].tolist() == IMAGES.reshape(N, -1).tolist()

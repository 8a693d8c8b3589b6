"""The command ``im2rec iterate --kind`` for the iterators that do not read a ``.rec``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_helpers import idx_images, idx_labels
from image_helpers import Ran, im2rec

from im2rec import CSVIter, LibSVMIter, MNISTIter

WORDS: dict[str, list[str]] = {
    "mnist": ["images.idx", "--kind", "mnist", "label=labels.idx", "last_batch=pad"],
    "csv": ["rows.csv", "--kind", "csv", "data_shape=3"],
    "libsvm": ["rows.svm", "--kind", "libsvm", "data_shape=3"],
}


@pytest.fixture(autouse=True)
def _files(here: Path) -> None:
    """Files of seven rows, one of each kind, in the current folder."""
    rng = np.random.default_rng(0)
    (here / "images.idx").write_bytes(idx_images(rng.integers(0, 256, (7, 4, 5), dtype=np.uint8)))
    (here / "labels.idx").write_bytes(idx_labels(np.arange(7, dtype=np.uint8)))
    (here / "rows.csv").write_text("".join(f"{n},{n + 1},{n + 2}\n" for n in range(7)))
    (here / "rows.svm").write_text("".join(f"{n} 0:{n}.5 2:1\n" for n in range(7)))


def as_json(*words: object) -> dict[str, Any]:
    done = im2rec("iterate", *words, "--json", "-q")
    assert 0 == done.code, done.err
    summary: dict[str, Any] = json.loads(done.out)
    return summary


@pytest.mark.parametrize(("kind", "shape"), [("mnist", [1, 4, 5]), ("csv", [3]), ("libsvm", [3])])
def test_each_kind_is_run_and_summarised(kind: str, shape: list[int]) -> None:
    summary = as_json(*WORDS[kind], "--batch-size", "3", "--epochs", "2")

    assert (kind, WORDS[kind][0], 7, shape) == tuple(
        summary[key] for key in ("iterator_kind", "input", "records", "data_shape")
    )
    assert (2, 6, 14, 4) == tuple(summary[key] for key in ("epochs", "batches", "images", "pad"))
    assert ("float32", "", 0, "") == tuple(summary[key] for key in ("dtype", "engine", "threads", "backend"))
    assert summary["digest"] == as_json(*WORDS[kind], "batch_size=3", "--epochs", "2")["digest"]
    assert summary["digest"] != as_json(*WORDS[kind], "batch_size=4", "--epochs", "2")["digest"]


@pytest.mark.parametrize("kind", WORDS)
def test_the_summary_is_a_table_of_80_columns(kind: str) -> None:
    done = im2rec("iterate", *WORDS[kind], "--batch-size", "7")

    assert 0 == done.code
    assert f"iterated over 7 records of {WORDS[kind][0]}, 1 epoch\n" == done.out.splitlines(keepends=True)[0]
    assert f"  {'images' if kind == 'mnist' else 'rows'}" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert f"{WORDS[kind][0]}: 7 " in done.err


@pytest.mark.parametrize("kind", WORDS)
def test_a_dump_holds_the_batches_of_the_iterator(kind: str) -> None:
    done = im2rec("iterate", *WORDS[kind], "--batch-size", "3", "--dump", "out", "-q")

    assert 0 == done.code
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert [f"batch_{number:05}.npz" for number in range(3)] == [batch["file"] for batch in manifest["batches"]]
    with np.load("out/batch_00002.npz") as dumped:
        arrays = {name: dumped[name] for name in dumped.files}
    iterators: dict[str, Any] = {
        "mnist": lambda: MNISTIter(image="images.idx", label="labels.idx", last_batch="pad", batch_size=3, silent=True),
        "csv": lambda: CSVIter(data_csv="rows.csv", data_shape=(3,), batch_size=3),
        "libsvm": lambda: LibSVMIter(data_libsvm="rows.svm", data_shape=(3,), batch_size=3),
    }
    with iterators[kind]() as it:
        batch = list(it)[2]
    data = batch.data[0]
    if kind == "libsvm":
        assert (data.indices.tolist(), data.indptr.tolist()) == (
            arrays["data_indices"].tolist(),
            arrays["data_indptr"].tolist(),
        )
        data = data.data
    assert np.array_equal(data, arrays["data"])
    assert np.array_equal(batch.label[0], arrays["label"])
    assert (batch.index.tolist(), batch.pad) == (arrays["index"].tolist(), int(arrays["pad"]))


def test_list_params_lists_the_keys_of_the_kind() -> None:
    for kind, some in (("mnist", "flat="), ("csv", "label_csv="), ("libsvm", "label_libsvm=")):
        listed = im2rec("iterate", "--kind", kind, "--list-params")
        assert 0 == listed.code
        assert f"\n  {some}" in listed.out
        assert "path_imgrec" not in listed.out
        assert all(len(line) <= 80 for line in listed.out.splitlines())


def test_a_run_without_a_batch_gives_a_warning() -> None:
    words = ["batch_size=100", "last_batch=roll_over", "--epochs", "2", "-q"]
    assert "" == im2rec("iterate", *WORDS["csv"], *words).err

    none = im2rec("iterate", *WORDS["csv"], "batch_size=5", "num_parts=2", "last_batch=discard", "-q")
    warning = "warning: no batch: of the 7 records, this part has fewer than batch_size=5"
    assert (0, f"{warning} (lower it, or set last_batch=pad)\n") == (none.code, none.err)


WRONG: dict[str, tuple[list[str], int, str]] = {
    "a file that is missing": (
        ["none.csv", "--kind", "csv", "data_shape=3"],
        4,
        "none.csv: cannot be read: no such file or directory (check the path)",
    ),
    "rows of another width": (
        ["rows.csv", "--kind", "csv", "data_shape=4"],
        4,
        "rows.csv, line 1: expected 4 numbers, found 3 (data_shape says how many a line has)",
    ),
    "a sheet of rows that are not images": (
        [*WORDS["csv"], "--sheet", "out"],
        2,
        "--sheet has no meaning with --kind csv (use --dump)",
    ),
    "a replay of an iterator without random numbers": (
        [*WORDS["mnist"], "--replay", "epoch=0,record=0"],
        2,
        "--replay has no meaning with --kind mnist (use --dump)",
    ),
    "draws of rows that are not images": (
        [*WORDS["csv"], "--sheet-draws", "3"],
        2,
        "--sheet-draws has no meaning with --kind csv (use --dump)",
    ),
    "a shape for a file that has one": (
        [*WORDS["mnist"], "--data-shape", "1,4,5"],
        2,
        "--data-shape has no meaning for MNISTIter (its file has a shape)",
    ),
    "a key of another kind": (
        [*WORDS["csv"], "flat=1"],
        2,
        "unknown key 'flat' (the nearest known key is 'last_batch')",
    ),
    "a batch size above the limit": (
        [*WORDS["csv"], "batch_size=99999999999999999999"],
        2,
        "batch_size=99999999999999999999 must be 1 to 2147483647 (Rows of a batch.)",
    ),
    "two files": (
        ["rows.csv", "rows.csv", "--kind", "csv", "data_shape=3"],
        2,
        "'rows.csv' is not KEY=VALUE (one file, and all else as KEY=VALUE)",
    ),
    "labels of another set": (
        ["images.idx", "--kind", "mnist", "label=short.idx"],
        4,
        "short.idx: holds 6 labels, and images.idx 7 images (name two files of one set)",
    ),
    "a file that is not IDX": (
        ["rows.csv", "--kind", "mnist", "label=labels.idx"],
        4,
        "rows.csv: expected the magic 2051 of images, found 30 2c 31 2c (name an IDX file of MNIST)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_words_and_files_are_one_line_and_exit_code_2_or_4(case: str) -> None:
    Path("short.idx").write_bytes(idx_labels(np.arange(6, dtype=np.uint8)))
    words, code, message = WRONG[case]

    assert Ran(code, "", f"im2rec: {message}\n") == im2rec("iterate", *words, "-q")
    assert not Path("out").exists()

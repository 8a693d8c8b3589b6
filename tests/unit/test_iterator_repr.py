"""The repr of an iterator names its data and how far it is, and never raises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_helpers import idx_images, idx_labels
from iterator_helpers import iterator
from text_helpers import counted, csv_file, svm_file

from im2rec import CSVIter, ImageRecordIter, ImageRecordUInt8Iter, InputError, LibSVMIter, MNISTIter

ITERATORS = (ImageRecordIter, ImageRecordUInt8Iter, MNISTIter, CSVIter, LibSVMIter)


def test_the_repr_of_an_image_record_iter_names_file_images_batches_and_progress(rec: Path) -> None:
    start = f"<ImageRecordIter {str(rec)!r}, 7 images, data_shape=(3, 6, 8), batch_size=3, epoch "
    with iterator(rec) as it:
        assert f"{start}0, 0 of 3 batches delivered>" == repr(it)
        it.next()
        assert f"{start}0, 1 of 3 batches delivered>" == repr(it)
        it.reset()
        assert f"{start}1, 0 of 3 batches delivered>" == repr(it)

    assert f"{start}1, 0 of 3 batches delivered, closed>" == repr(it)


def test_the_repr_names_the_part_that_is_read(rec: Path) -> None:
    with iterator(rec, ImageRecordUInt8Iter, num_parts=4, part_index=2, batch_size=1, layout="NHWC") as it:
        words = "7 images, data_shape=(3, 6, 8), batch_size=1, num_parts=4, part_index=2, epoch 0, 0 of 2 batches"
        assert f"<ImageRecordUInt8Iter {str(rec)!r}, {words} delivered>" == repr(it)


def test_the_repr_counts_the_batches_of_mxnets_order(rec: Path) -> None:
    with iterator(rec, rng="mxnet", last_batch="discard", batch_size=2) as it:
        assert repr(it).endswith("epoch 0, 0 of 3 batches delivered>")


def test_the_repr_of_an_mnist_iter_shows_the_shape_of_its_images(here: Path) -> None:
    (here / "images").write_bytes(idx_images(np.zeros((5, 3, 4), np.uint8)))
    (here / "labels").write_bytes(idx_labels(np.zeros(5, np.uint8)))
    start = "<MNISTIter 'images', 5 images, data_shape=(1, 3, 4), batch_size=2, epoch 0, 0 of 2 batches delivered"
    with MNISTIter(image="images", label="labels", batch_size=2, silent=True) as it:
        assert f"{start}>" == repr(it)

    assert f"{start}, closed>" == repr(it)
    with MNISTIter(image="images", label="labels", batch_size=2, silent=True, flat=True, rng="mxnet") as it:
        assert "<MNISTIter 'images', 5 images, data_shape=(12,), " == repr(it).split("batch_size")[0]


@pytest.mark.usefixtures("here")
def test_the_repr_of_text_iterators_counts_rows() -> None:
    csv_file(Path("a.csv"), counted(4))
    svm_file(Path("a.txt"), 5)
    with CSVIter(data_csv="a.csv", data_shape=2, batch_size=3) as it:
        expected = "<CSVIter 'a.csv', 4 rows, data_shape=(2,), batch_size=3, epoch 0, 0 of 2 batches delivered>"
        assert expected == repr(it)
    with LibSVMIter(data_libsvm="a.txt", data_shape=3, batch_size=5) as it:
        expected = "<LibSVMIter 'a.txt', 5 rows, data_shape=(3,), batch_size=5, epoch 0, 0 of 1 batches delivered>"
        assert expected == repr(it)


@pytest.mark.parametrize("kind", ITERATORS)
def test_an_iterator_whose_construction_failed_has_a_repr(kind: type[Any]) -> None:
    assert f"<{kind.__name__}, not open>" == repr(kind.__new__(kind))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ImageRecordIter, {"path_imgrec": "none", "data_shape": (3, 6, 8), "batch_size": 1}),
        (MNISTIter, {"image": "none"}),
        (CSVIter, {"data_csv": "none", "data_shape": 1, "batch_size": 1}),
    ],
)
@pytest.mark.usefixtures("here")
def test_an_iterator_that_could_not_open_its_file_names_it(kind: type[Any], words: dict[str, Any]) -> None:
    made: list[Any] = []

    class Kept(kind):  # type: ignore[misc]
        def __init__(self, **params: Any) -> None:
            made.append(self)
            super().__init__(**params)

    with pytest.raises(InputError):
        Kept(**words)
    assert ["<Kept 'none', not open>"] == [repr(it) for it in made]

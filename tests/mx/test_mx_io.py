"""``mx.io``: iterators with NDArrays in their batches, MXNet's base class for iterators, and PrefetchingIter."""

from __future__ import annotations

import gc
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_helpers import idx_images, idx_labels
from iterator_helpers import SHAPE, centre, ids, iterator, left, numbers, pixels, with_bad
from text_helpers import csv_file, svm_file

from im2rec.errors import BadRecordError, Im2RecError, ParameterError
from im2rec.iterators import image_record
from im2rec.mx import image, io, recordio
from im2rec.mx import ndarray as nd
from im2rec.mx.io import DataBatch, DataDesc, DataIter, PrefetchingIter
from im2rec.mx.ndarray import NDArray


class Counting(DataIter):
    """An iterator as programs derive it: *count* batches of two rows, of which batch n holds n."""

    def __init__(self, count: int, name: str = "data", *, bad: int | None = None, pad: int = 0) -> None:
        super().__init__(2)
        self.count, self.bad, self.pad, self.number = count, bad, pad, 0
        self.provide_data = [DataDesc(name, (2, 3))]
        self.provide_label = [DataDesc("softmax_label", (2,))]

    def reset(self) -> None:
        self.number = 0

    def iter_next(self) -> bool:
        self.number += 1
        if self.number == self.bad:
            raise BadRecordError("is bad")
        return self.number <= self.count

    def getdata(self) -> list[NDArray]:
        return [nd.full((2, 3), self.number)]

    def getlabel(self) -> list[NDArray]:
        return [nd.full(2, self.number)]

    def getpad(self) -> int:
        return self.pad


class Faces(DataIter):
    """An iterator as face recognition programs derive it: records by key, mirrored, normalised and put into a batch."""

    def __init__(self, path: Path, batch_size: int) -> None:
        super().__init__(batch_size)
        self.record = recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "r")
        self.provide_data = [("data", (batch_size, 3, 8, 10))]
        self.provide_label = [("softmax_label", (batch_size,))]
        self.place = 0

    def reset(self) -> None:
        self.place = 0

    def next(self) -> DataBatch:
        data, labels = nd.empty(self.provide_data[0][1]), nd.empty(self.provide_label[0][1])
        rows = 0
        for key in self.record.keys[self.place : self.place + self.batch_size]:
            header, content = recordio.unpack(self.record.read_idx(key))
            array = image.imdecode(content)
            if key % 2:
                array = nd.flip(data=array, axis=1)
            array = array.astype("float32")
            array -= 127.5
            array *= 0.0078125
            data[rows][:] = nd.transpose(array, axes=(2, 0, 1))
            labels[rows][:] = header.label
            rows += 1
        if not rows:
            raise StopIteration
        self.place += rows
        return DataBatch([data], [labels], self.batch_size - rows)


def firsts(batches: Any) -> list[float]:
    """The first value of each batch."""
    return [float(batch.data[0][0, 0]) for batch in batches]


# The iterators of im2rec.


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(io.ImageRecordIter, np.float32), (io.ImageRecordUInt8Iter, np.uint8), (io.ImageRecordInt8Iter, np.int8)],
)
def test_batches_hold_ndarrays(rec: Path, kind: type[Any], dtype: Any) -> None:
    with iterator(rec, kind) as it:
        batch = it.next()

        assert isinstance(it, DataIter)
        assert (NDArray, NDArray) == (type(batch.data[0]), type(batch.label[0]))
        assert ((3, *SHAPE), dtype) == (batch.data[0].shape, batch.data[0].dtype)
        assert (NDArray, NDArray) == (type(it.getdata()), type(it.getlabel()))
        assert [100, 101, 102] == ids(batch)


def test_the_arrays_are_those_of_the_iterator_of_im2rec(rec: Path) -> None:
    with iterator(rec, io.ImageRecordIter) as it, iterator(rec) as own:
        for batch, expected in zip(it, own, strict=True):
            assert np.array_equal(expected.data[0], batch.data[0].asnumpy())
            assert np.array_equal(expected.label[0], batch.label[0].asnumpy())


def test_the_memory_of_a_batch_is_not_copied_and_stays(rec: Path) -> None:
    with iterator(rec, io.ImageRecordIter) as it:
        first = it.next()
        data = first.data[0]
        del first
        list(it)
        gc.collect()

        assert not data.flags.owndata
        assert np.array_equal(centre(0), data[0])


def test_keywords_that_do_not_exist_are_named_and_have_no_effect(rec: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), iterator(rec, io.ImageRecordIter, rand_corp=True, foo=1) as it:
        assert [[0, 1, 2], [3, 4, 5], [6]] == numbers(it)
    assert [
        "ImageRecordIter: unknown key 'rand_corp' (the nearest known key is 'rand_crop'), so it has no effect",
        "ImageRecordIter: unknown key 'foo' (the nearest known key is 'on_error'), so it has no effect",
    ] == caplog.messages


def test_values_that_are_not_allowed_and_positions_are_errors(rec: Path) -> None:
    with pytest.raises(ParameterError, match="batch_size=0 must be 1 to"):
        iterator(rec, io.ImageRecordIter, batch_size=0)
    with pytest.raises(TypeError, match="ImageRecordIter takes keyword arguments only"):
        io.ImageRecordIter(str(rec))  # type: ignore[arg-type]


def test_the_error_of_a_batch_is_raised_in_its_place(tmp_path: Path) -> None:
    with iterator(with_bad(tmp_path, 4), io.ImageRecordIter) as it:
        it.next()
        with pytest.raises(BadRecordError, match="record 4"):
            it.next()
        assert [106] == ids(it.next())


def test_an_epoch_ends_until_the_reset_as_in_a_training_loop(rec: Path) -> None:
    with iterator(rec, io.ImageRecordIter) as it:
        seen = []
        for _ in range(2):
            it.reset()
            while it.iter_next():
                seen.append(float(it.getlabel()[0]))
    assert [0, 3, 6] * 2 == seen


def test_mnist_batches_hold_ndarrays(tmp_path: Path) -> None:
    images = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)
    (tmp_path / "images").write_bytes(idx_images(images))
    (tmp_path / "labels").write_bytes(idx_labels(np.arange(4, dtype=np.uint8)))
    files = {"image": str(tmp_path / "images"), "label": str(tmp_path / "labels")}
    with io.MNISTIter(**files, batch_size=2, shuffle=False) as it:
        batch = it.next()

    assert (NDArray, (2, 1, 3, 3)) == (type(batch.data[0]), batch.data[0].shape)
    assert [0, 1] == batch.label[0].asnumpy().tolist()


def test_csv_batches_hold_ndarrays(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "rows.csv", [[1, 2], [3, 4]])
    with io.CSVIter(data_csv=str(path), data_shape=(2,), batch_size=2, round_batches=True) as it:
        assert [[1, 2], [3, 4]] == it.next().data[0].asnumpy().tolist()


def test_libsvm_batches_stay_sparse(tmp_path: Path) -> None:
    with io.LibSVMIter(data_libsvm=str(svm_file(tmp_path / "rows.svm", 2)), data_shape=3, batch_size=2) as it:
        batch = it.next()

    assert (io.CSRArray, NDArray) == (type(batch.data[0]), type(batch.label[0]))
    assert (2, 3) == batch.data[0].asnumpy().shape


# The base class.


def test_a_derived_iterator_gives_batches_until_it_is_reset() -> None:
    it = Counting(2, pad=1)
    batch = next(it)

    assert ([1.0], [1.0, 1.0], 1, None) == (firsts([batch]), batch.label[0].asnumpy().tolist(), batch.pad, batch.index)
    assert [2.0] == firsts(it)
    assert [] == firsts(it)
    it.reset()
    assert [1.0, 2.0] == firsts(it)


def test_a_face_iterator_fills_its_batches(rec: Path) -> None:
    it = Faces(rec, 4)
    for _ in range(2):
        batches = list(it)
        it.reset()

    assert [0, 1] == [batch.pad for batch in batches]
    assert [[0, 1, 2, 3], [4, 5, 6]] == [batch.label[0].asnumpy()[: 4 - batch.pad].tolist() for batch in batches]
    straight, mirrored = batches[0].data[0][0].asnumpy(), batches[0].data[0][1].asnumpy()
    keys = it.record.keys
    for number, planes in enumerate((straight, mirrored)):
        expected = (pixels(number).astype(np.float32) - np.float32(127.5)) * np.float32(0.0078125)
        expected = expected[:, ::-1] if keys[number] % 2 else expected
        assert np.array_equal(expected.transpose(2, 0, 1), planes)


def test_the_base_class_alone_has_no_batches() -> None:
    it = DataIter(5)

    assert (5, []) == (it.batch_size, list(it))
    assert [None] * 4 == [it.getdata(), it.getlabel(), it.getindex(), it.getpad()]


# PrefetchingIter.


def test_a_single_iterator_is_prefetched() -> None:
    with PrefetchingIter(Counting(2)) as it:
        assert (2, [("data", (2, 3))]) == (it.batch_size, it.provide_data)
        assert [1.0, 2.0] == firsts(it)
        assert [] == firsts(it)
        it.reset()
        assert [1.0, 2.0] == firsts(it)


def test_batches_of_several_iterators_are_joined_under_new_names() -> None:
    names = {"rename_data": [{"data": "a"}, {"x": "b"}], "rename_label": [{"softmax_label": n} for n in ("c", "d")]}
    with PrefetchingIter([Counting(2), Counting(2, "x")], **names) as it:
        batch = it.next()

        assert [("a", (2, 3)), ("b", (2, 3))] == it.provide_data == batch.provide_data
        assert [("c", (2,)), ("d", (2,))] == it.provide_label == batch.provide_label
        assert (2, 2, 0) == (len(batch.data), len(batch.label), batch.pad)
        assert (batch.data, batch.label, 0, None) == (it.getdata(), it.getlabel(), it.getpad(), it.getindex())
        assert it.iter_next()
        assert not it.iter_next()


def test_iterators_of_im2rec_are_joined(rec: Path) -> None:
    with iterator(rec, io.ImageRecordIter) as left, iterator(rec, io.ImageRecordUInt8Iter) as right:
        joined = PrefetchingIter([left, right])
        with joined:
            batches = [batch for _ in range(2) for batch in [*joined, joined.reset()] if batch]

    assert [[0, 1, 2], [3, 4, 5], [6]] * 2 == numbers(batches)
    assert [np.float32, np.uint8] == [array.dtype for array in batches[0].data]
    assert np.array_equal(batches[0].data[0], batches[0].data[1])


def test_the_error_of_a_joined_batch_is_raised_in_its_place() -> None:
    with PrefetchingIter([Counting(3), Counting(3, bad=2)]) as it:
        assert [1.0] == firsts([it.next()])
        with pytest.raises(BadRecordError, match="is bad"):
            it.next()
        assert [3.0] == firsts(it)


@pytest.mark.parametrize("other", [Counting(2), Counting(3, pad=1)])
def test_iterators_that_differ_are_an_error(other: Counting) -> None:
    with PrefetchingIter([Counting(3), other]) as it, pytest.raises(Im2RecError) as caught:
        list(it)
    assert "one of the iterators ends before another (join iterators of one length)" == str(caught.value)


def test_no_iterators_are_an_error() -> None:
    with pytest.raises(ParameterError, match="iters is empty: an iterator or more is needed"):
        PrefetchingIter([])


def test_closing_ends_the_threads() -> None:
    it = PrefetchingIter([Counting(2), Counting(2)])
    it.close()
    it.close()

    assert [] == [thread for thread in threading.enumerate() if thread.name.startswith("im2rec-joined")]
    for work in (it.next, it.reset):
        with pytest.raises(Im2RecError, match=r"the iterator is closed \(make a new one\)"):
            work()


def test_an_iterator_that_is_dropped_ends_its_threads() -> None:
    it = PrefetchingIter([Counting(2), Counting(2)])
    it.next()
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("im2rec-joined")]
    assert 2 == len(threads)
    del it
    gc.collect()

    assert [] == left(threads)


def test_before_the_first_batch_there_is_none_to_get() -> None:
    with PrefetchingIter(Counting(2)) as it, pytest.raises(Im2RecError, match="no batch was taken yet"):
        it.getdata()


# Names.


def test_batches_and_descriptions_are_those_of_im2rec() -> None:
    batch = DataBatch([nd.ones((2, 2))], [nd.ones(2)])

    assert "DataBatch: data shapes: [(2, 2)] label shapes: [(2,)]" == str(batch)
    assert issubclass(io.ImageRecordIter, image_record.ImageRecordIter)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ImageDetRecordIter", "detection records are not read by an iterator yet; mx.recordio reads their labels"),
        ("NDArrayIter", "torch.utils.data.TensorDataset does it for arrays in memory"),
        ("ImageRecordIter_v1", "it has the same parameters without its suffix"),
    ],
)
def test_a_name_that_is_not_there_says_what_to_use(name: str, reason: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(io, name)
    assert str(caught.value).startswith(f"mx.io has no {name}: {reason}")

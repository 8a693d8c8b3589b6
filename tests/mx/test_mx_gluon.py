"""``mx.gluon.data``: datasets, which other loaders take."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, write_rec
from iterator_helpers import FIRST_ID, a_rec, image, pixels
from mx_helpers import half, item

from im2rec.errors import BadRecordError, CorruptRecordError, InputError, ParameterError
from im2rec.mx import gluon
from im2rec.mx import ndarray as nd
from im2rec.mx.gluon.data import ArrayDataset, Dataset, RecordFileDataset, SimpleDataset
from im2rec.mx.gluon.data.vision import ImageRecordDataset
from im2rec.mx.ndarray import NDArray

# Of os.fork() in a process with threads, from Python 3.12 on: those of other tests.
multi_threaded = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Squares(Dataset):
    """A dataset as programs derive it."""

    def __getitem__(self, idx: int) -> int:
        return range(7)[idx] ** 2

    def __len__(self) -> int:
        return 7


# The images of a .rec.


def test_items_are_images_and_labels(rec: Path) -> None:
    dataset = ImageRecordDataset(str(rec))
    array, label = dataset[3]

    assert 7 == len(dataset)
    assert (NDArray, float, 3.0) == (type(array), type(label), label)
    assert np.array_equal(pixels(3), array)
    assert np.array_equal(pixels(6), dataset[-1][0])
    assert list(range(7)) == [label for _, label in dataset]
    assert (str(rec), str(rec.with_suffix(".idx"))) == (dataset.filename, dataset.idx_file)


def test_no_index_is_needed(tmp_path: Path) -> None:
    dataset = ImageRecordDataset(a_rec(tmp_path, 3, index=False))

    assert [0, 1, 2] == [label for _, label in dataset]
    assert dataset.idx_file is None


def test_flag_0_gives_grey_images_and_a_transform_makes_the_items(rec: Path) -> None:
    assert (8, 10, 1) == ImageRecordDataset(rec, 0)[0][0].shape
    assert ((8, 10, 3), 2.0) == ImageRecordDataset(rec, transform=lambda array, label: (array.shape, label))[2]


def test_a_record_of_several_labels_gives_an_array_whose_single_labels_torch_takes(tmp_path: Path) -> None:
    _, label = ImageRecordDataset(write_rec(tmp_path / "a.rec", [image_payload(1, [4, 0.5], image(0))]))[0]

    assert ([4, 0.5], np.float32) == (label.tolist(), label.dtype)
    assert np.float64 is type(label[0])


def test_a_record_without_image_is_named(tmp_path: Path) -> None:
    path = a_rec(tmp_path, [image_payload(FIRST_ID, 1.0, image(0)), image_payload(7, [3, 9], b"")])
    with pytest.raises(BadRecordError) as caught:
        ImageRecordDataset(path)[-1]
    assert f"{path}, record 1, id 7: the image is empty: no bytes to decode" == str(caught.value)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = a_rec(tmp_path, 3)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    dataset = ImageRecordDataset(path)

    with pytest.raises(CorruptRecordError, match=r"some\.rec, record 0, byte 0: "):
        dataset[0]
    assert 1.0 == dataset[1][1]


def test_what_is_no_item_is_an_error(rec: Path) -> None:
    dataset = ImageRecordDataset(rec)
    with pytest.raises(IndexError, match=r"record 7 is not in .*, which has 7"):
        dataset[7]
    for number in (slice(0, 2), "1", 1.0):
        with pytest.raises(TypeError):
            dataset[number]
    with pytest.raises(InputError, match=r"none\.rec: cannot be read"):
        ImageRecordDataset(rec.with_name("none.rec"))


@multi_threaded
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_started_in_any_way_read_the_images(rec: Path, method: str) -> None:
    dataset = ImageRecordDataset(rec).transform_first(half)
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.starmap(item, [(dataset, number) for number in range(7)])

    assert [((pixels(number).astype(np.float32) / 2).tolist(), number) for number in range(7)] == found


def test_records_are_bytes_and_the_file_is_closed(rec: Path) -> None:
    dataset = RecordFileDataset(rec)

    assert image_payload(FIRST_ID + 1, 1.0, image(1)) == dataset[1]
    assert 7 == len(dataset) == len(list(dataset))
    dataset.close()
    with pytest.raises(InputError, match="is closed"):
        dataset[0]


# Datasets of datasets.


def test_items_are_transformed_when_they_are_asked_for() -> None:
    calls: list[int] = []
    dataset = Squares().transform(lambda value: calls.append(value) or -value)

    assert ([], 7) == (calls, len(dataset))
    assert (-9, [9]) == (dataset[3], calls)
    assert [0, -1, -4, -9, -16, -25, -36] == list(dataset)


def test_all_items_are_transformed_at_once_on_request() -> None:
    calls: list[int] = []
    dataset = Squares().transform(lambda value: calls.append(value) or -value, lazy=False)

    assert 7 == len(calls)
    assert (-9, 7) == (dataset[3], len(calls))


def test_a_transform_gets_the_parts_of_a_tuple_and_only_of_a_tuple() -> None:
    pairs = SimpleDataset([(1, 2), (3, 4)])

    assert 7 == pairs.transform(lambda left, right: left + right)[1]
    assert (30, 4) == pairs.transform_first(lambda value: value * 10)[1]
    assert 30 == SimpleDataset([1, 3]).transform_first(lambda value: value * 10)[1]
    assert [3, 4] == SimpleDataset([[1, 2], [3, 4]]).transform(lambda value: value)[1]


def test_a_transformed_dataset_is_pickled() -> None:
    assert 8 == pickle.loads(pickle.dumps(Squares().transform_first(half_of)))[4]


def half_of(value: int) -> int:
    return value // 2


def test_parts_of_a_dataset() -> None:
    numbers = SimpleDataset(list(range(7)))

    assert [[0, 1, 2], [3, 4], [5, 6]] == [list(numbers.shard(3, index)) for index in range(3)]
    assert ([0, 1, 2], list(range(7)), 7) == (list(numbers.take(3)), list(numbers.take(99)), len(numbers.take(None)))
    assert ([1, 3, 5], 3) == (list(numbers.filter(lambda value: value % 2)), len(numbers.filter(bool)) // 2)
    assert [5, 0] == list(numbers.sample([5, 0]))
    for index in (-1, 3):
        with pytest.raises(ParameterError, match=f"index={index} must be 0 to 2, below num_shards=3"):
            numbers.shard(3, index)


def test_sequences_are_joined_to_items() -> None:
    assert (2, 5) == ArrayDataset([1, 2, 3], [4, 5, 6])[1]
    assert (2, 3) == (ArrayDataset([1, 2, 3])[1], len(ArrayDataset([1, 2, 3])))
    value, _ = ArrayDataset(nd.array([1, 2, 3]), [4, 5, 6])[1]
    assert (np.float32, 2) == (type(value), value)
    assert (2,) == ArrayDataset(nd.ones((3, 2)), [4, 5, 6])[1][0].shape
    with pytest.raises(ParameterError, match="the sequences have different lengths: 2, 1"):
        ArrayDataset([1, 2], [1])
    with pytest.raises(ParameterError, match=r"ArrayDataset\(\) needs a sequence or more"):
        ArrayDataset()


def test_the_base_class_has_no_items() -> None:
    with pytest.raises(NotImplementedError):
        Dataset()[0]
    with pytest.raises(NotImplementedError):
        len(Dataset())


# Names.


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        (gluon, "nn", "mx.gluon has no nn: im2rec.mx reads and writes data, it does not train; mx.gluon has data"),
        (gluon.data, "DataLoader", "mx.gluon.data has no DataLoader: torch.utils.data.DataLoader takes"),
        (gluon.data.vision, "MNIST", "mx.gluon.data.vision has no MNIST: 'im2rec import' makes a .rec of it"),
        (gluon.data.vision, "transforms", "mx.gluon.data.vision has no transforms: torchvision.transforms has"),
    ],
)
def test_a_name_that_is_not_there_says_what_to_use(module: Any, name: str, message: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(module, name)
    assert str(caught.value).startswith(message)

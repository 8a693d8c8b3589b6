"""RecordDataset: the images of a ``.rec`` with their labels, as ImageFolder gives them."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import bounds, counted_reads, image_payload, message_of, write_rec
from image_helpers import encoded, texture
from iterator_helpers import CUT, NO_IMAGE, TEXT, a_rec, iterator, numbers, payloads, pixels, place, some_records
from PIL import Image
from torch.utils.data import DataLoader, DistributedSampler, Subset, WeightedRandomSampler, random_split
from torch_helpers import NumberedDataset, first_value, one_more

from im2rec.errors import BadRecordError, CorruptRecordError, InputError, ParameterError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.images.codec import decode
from im2rec.storage.reader import RecordFile
from im2rec.torch import RecordDataset

FACES = Path(__file__).parent.parent / "golden" / "insightface"
RUNS_OF_THREE = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def labelled(folder: Path, *labels: Any) -> Path:
    """A ``.rec`` of images with these *labels*."""
    records = [
        encode_image_record(IRHeader(0, label, 100 + n), encoded(pixels(n), "PNG")) for n, label in enumerate(labels)
    ]
    return write_rec(folder / "labelled.rec", records)


def one(folder: Path, content: bytes, **given: Any) -> Any:
    """The image of a ``.rec`` of which *content* is the only one."""
    return RecordDataset(write_rec(folder / "one.rec", [image_payload(1, content=content)]), **given)[0][0]


def labels_of(path: Path, **given: Any) -> list[Any]:
    ds = RecordDataset(path, decode=None, **given)
    return [label for _, label in map(ds.__getitem__, range(len(ds)))]


# Items


def test_an_item_is_a_tensor_in_rgb_and_an_int(rec: Path) -> None:
    ds = RecordDataset(rec)

    assert 7 == len(ds)
    for number in range(7):
        image, label = ds[number]
        assert (torch.uint8, (3, 8, 10)) == (image.dtype, tuple(image.shape))
        assert np.array_equal(pixels(number).transpose(2, 0, 1), image.numpy())
        assert (number, int) == (label, type(label))


def test_decode_gives_an_array_an_image_of_pillow_or_the_bytes(rec: Path) -> None:
    array = RecordDataset(rec, decode="array")[4][0]
    image = RecordDataset(rec, decode="pil")[4][0]
    content = RecordDataset(rec, decode=None)[4][0]

    assert np.array_equal(pixels(4), array)
    assert isinstance(image, Image.Image)
    assert "RGB" == image.mode
    assert np.array_equal(pixels(4), np.asarray(image))
    assert encoded(pixels(4), "PNG") == content


@pytest.mark.parametrize(("color", "mode"), [(0, "L"), (1, "RGB"), (-1, "RGBA")])
def test_color_selects_the_channels(tmp_path: Path, color: int, mode: str) -> None:
    content = encoded(texture(5, 6, 4, seed=1), "PNG")
    expected = decode(content, color).pixels

    array = one(tmp_path, content, color=color, decode="array")
    assert np.array_equal(expected, array)
    assert np.array_equal(expected.transpose(2, 0, 1), one(tmp_path, content, color=color).numpy())
    image = one(tmp_path, content, color=color, decode="pil")
    assert mode == image.mode
    assert np.array_equal(expected, np.asarray(image).reshape(expected.shape))


def test_of_sixteen_bits_as_stored_the_high_byte_is_given(tmp_path: Path) -> None:
    stored = np.arange(0, 1200, 20, np.uint16).reshape(6, 10) * 50
    image = one(tmp_path, encoded(Image.fromarray(stored), "PNG"), color=-1)

    assert torch.uint8 == image.dtype
    assert np.array_equal((stored >> 8)[None], image.numpy())


def test_images_are_turned_upright_by_exif_except_as_stored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(texture(8, 16)), "JPEG", exif=exif)

    assert (3, 16, 8) == tuple(one(tmp_path, content).shape)
    assert (16, 8) == tuple(reversed(one(tmp_path, content, decode="pil").size))
    assert (1, 16, 8) == tuple(one(tmp_path, content, color=0).shape)
    assert (3, 8, 16) == tuple(one(tmp_path, content, color=-1).shape)


@pytest.mark.parametrize("size", [(1, 1), (4, 5)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_tensors_and_arrays_may_be_written_to(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    content = encoded(texture(*size), kind)
    image, array = one(tmp_path, content), one(tmp_path, content, decode="array")

    image += 1  # a warning of torch about memory that is read-only would fail the test
    array += 1
    assert np.array_equal(image.numpy().transpose(1, 2, 0), array)
    assert array.flags.c_contiguous


@pytest.mark.parametrize("index", [3, np.int64(3), np.uint8(3), torch.tensor(3), torch.tensor([3]), -4, np.int32(-4)])
def test_an_index_is_any_whole_number(rec: Path, index: Any) -> None:
    assert 3 == RecordDataset(rec)[index][1]
    assert [3, 3] == [label for _, label in RecordDataset(rec).__getitems__([index, index])]


@pytest.mark.parametrize("index", [7, -8, np.int64(2**40)])
def test_an_index_outside_is_an_index_error(rec: Path, index: Any) -> None:
    ds = RecordDataset(rec)
    for get in (lambda: ds[index], lambda: ds.__getitems__([0, index])):
        with pytest.raises(IndexError) as caught:
            get()
        assert f"image {int(index)} is not in {rec}, which has 7" == str(caught.value)


@pytest.mark.parametrize("index", [slice(2), 1.0, "1", torch.tensor(1.0)])
def test_anything_else_is_a_type_error_that_names_subset(rec: Path, index: Any) -> None:
    with pytest.raises(TypeError, match=r"an index is a whole number, not .*; torch.utils.data.Subset"):
        RecordDataset(rec)[index]


def test_a_plain_loop_ends_after_the_last_image(rec: Path) -> None:
    assert [*range(7)] == [label for _, label in RecordDataset(rec)]  # type: ignore[attr-defined]


def test_a_batch_is_the_items_in_the_order_asked(rec: Path) -> None:
    ds = RecordDataset(rec)
    batch = ds.__getitems__([5, 0, 5, -1])

    assert [5, 0, 5, 6] == [label for _, label in batch]
    for image, label in batch:
        assert torch.equal(ds[label][0], image)
    assert [] == ds.__getitems__([])


@pytest.mark.parametrize("kind", [torch.Tensor, np.ndarray, Image.Image, bytes])
def test_transforms_get_the_image_as_it_is_decoded_and_the_label(rec: Path, kind: type) -> None:
    forms: dict[type, str | None] = {torch.Tensor: "tensor", np.ndarray: "array", Image.Image: "pil", bytes: None}

    def transform(image: Any) -> str:
        assert isinstance(image, kind)
        return "image"

    ds = RecordDataset(rec, transform, one_more, decode=forms[kind])
    assert ("image", 3) == ds[2]
    assert [("image", 3), ("image", 6)] == ds.__getitems__([2, 5])


def test_a_transform_may_be_replaced(rec: Path) -> None:
    ds = RecordDataset(rec)
    ds.transform, ds.target_transform = first_value, one_more

    assert (int(pixels(2)[0, 0, 0]), 3) == ds[2]


def test_a_subclass_gives_its_own_items_to_a_loader(rec: Path) -> None:
    batches = list(DataLoader(NumberedDataset(rec), batch_size=4))

    assert [[0, 1, 2, 3], [4, 5, 6]] == [batch[2].tolist() for batch in batches]


def test_the_repr_is_that_of_image_folder(rec: Path) -> None:
    expected = f"Dataset RecordDataset\n    Number of datapoints: 7\n    Root location: {rec}"

    assert expected == repr(RecordDataset(rec))
    assert os.fspath(rec) == RecordDataset(rec).root
    shown = repr(RecordDataset(rec, first_value, one_more))
    assert f"{expected}\n    Transform: {first_value!r}\n    Target transform: {one_more!r}" == shown


# Which files and records


def test_files_are_joined_by_semicolons_folders_and_patterns(tmp_path: Path) -> None:
    a, b = a_rec(tmp_path, payloads(2), "a.rec"), a_rec(tmp_path, payloads(3, 2), "b.rec", index=False)

    for path, labels in (
        (f"{a};{b}", [0, 1, 2, 3, 4]),
        (f"{b};{a}", [2, 3, 4, 0, 1]),
        (tmp_path, [0, 1, 2, 3, 4]),
        (tmp_path / "*.rec", [0, 1, 2, 3, 4]),
    ):
        ds = RecordDataset(path)
        assert labels == [ds[n][1] for n in range(5)]
        assert labels == ds.targets.tolist()
        assert [100 + label for label in labels] == ds.ids.tolist()
        ds.close()


def test_an_index_may_be_named_or_not_used(tmp_path: Path) -> None:
    path = a_rec(tmp_path, 4)
    other = path.with_suffix(".idx").rename(tmp_path / "other.idx")
    path.with_suffix(".idx").write_bytes(b"not an index\n")

    assert 4 == len(RecordDataset(path, index=other))
    assert 4 == len(RecordDataset(path, index=False))
    assert f"{path.with_suffix('.idx')}, line 1" in message_of(RecordDataset, path)
    expected = f"index={other} names 1 file, path 2 (give one index for each .rec, or leave index out)"
    assert expected == message_of(RecordDataset, f"{path};{path}", index=other)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"decode": "numpy"}, "decode='numpy' must be 'tensor' or 'array' or 'pil' or None"),
        ({"color": 3}, "color=3 must be 1 or 0 or -1"),
        ({"label": "class"}, "label='class' must be auto, first, vector, id, or a function of the IRHeader"),
        ({"index": True}, "index=True must be the path of an index, None to find it, or False to scan"),
    ],
)
def test_a_wrong_parameter_is_named(rec: Path, given: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        RecordDataset(rec, **given)
    assert message == str(caught.value)


def test_wrong_records_are_named(rec: Path) -> None:
    assert "records=faces must be images or all" in message_of(RecordDataset, rec, records="faces")


def test_a_file_without_images_is_refused(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [encode_image_record(IRHeader(0, [2, 3], 0), b"")])

    with pytest.raises(InputError) as caught:
        RecordDataset(path)
    assert f"{path}: holds no images (run 'im2rec inspect' on it)" == str(caught.value)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in FACES.glob("*/train.rec")))
@pytest.mark.parametrize("records", ["images", "all"])
def test_the_records_are_those_of_the_iterator(name: str, records: str) -> None:
    path = FACES / name / "train.rec"
    of_iterator = some_records(path, records=records)
    expected = [info.header.id for _, info in of_iterator.infos()]
    of_iterator.close()
    for label in ("id", "first", "vector", "auto"):
        ds = RecordDataset(path, label=label, decode=None, records=records)
        assert expected == ds.ids.tolist()
        assert len(ds) == 12 or records == "all"
    assert expected == [RecordDataset(path, label="id", decode=None, records=records)[n][1] for n in range(len(ds))]


@pytest.mark.parametrize("label", ["id", "first"])
def test_only_short_records_of_labels_alone_are_left_out(tmp_path: Path, label: str) -> None:
    # As in ImageRecordIter: frames of up to 256 bytes, which are 56 labels, are looked at.
    contents = {1: [1.0], 2: [1.0] * 56, 3: [1.0] * 57}
    records = [encode_image_record(IRHeader(0, row, n), b"") for n, row in contents.items()]
    path = write_rec(tmp_path / "a.rec", [*records, image_payload(4), image_payload(5, content=b"")])

    assert [3, 4, 5] == RecordDataset(path, label=label).ids.tolist()


# Labels


@pytest.mark.parametrize("name", ["header_last", "scalar", "face2rec2", "relabel", "above_2_24"])
def test_the_label_of_an_insightface_set_is_the_int_of_the_first_number(name: str) -> None:
    path = FACES / name / "train.rec"
    expected = [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0] if name == "face2rec2" else RUNS_OF_THREE
    found = labels_of(path)

    assert expected == found
    assert {int} == set(map(type, found))
    ds = RecordDataset(path)
    assert expected == ds.targets.tolist()
    assert (4, ["0", "1", "2", "3"]) == (ds.num_classes, ds.classes)


def test_vectors_of_a_set_without_a_header_record_stay_whole() -> None:
    path = FACES / "no_header_vector" / "train.rec"
    found = labels_of(path)

    assert RUNS_OF_THREE == [int(label[0]) for label in found]
    assert {(5,)} == {tuple(label.shape) for label in found}
    assert RUNS_OF_THREE == labels_of(path, label="first")


def test_labels_are_ints_where_all_are_whole_and_floats_where_one_is_not(tmp_path: Path) -> None:
    found = labels_of(labelled(tmp_path, 3.0, -1.0, 0.0))
    assert [3, -1, 0] == found
    assert {int} == set(map(type, found))

    for odd in (0.5, float("inf"), 2.0**63):
        found = labels_of(labelled(tmp_path, 3.0, odd, 0.0))
        assert [3.0, odd, 0.0] == found
        assert {float} == set(map(type, found))
    assert np.isnan(labels_of(labelled(tmp_path, 3.0, float("nan")))[1])


def test_labels_behind_the_first_block_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.torch.labels._BLOCK", 2)

    assert {int} == set(map(type, labels_of(labelled(tmp_path, *range(5)))))
    assert {float} == set(map(type, labels_of(labelled(tmp_path, *range(4), 0.5))))
    assert torch.is_tensor(labels_of(labelled(tmp_path, *range(4), [1.0]))[0])
    for name in ("relabel", "face2rec2"):
        ds = RecordDataset(FACES / name / "train.rec")
        assert [ds[n][1] for n in range(12)] == ds.targets.tolist()
        assert [int(row[0]) for row in np.asarray(ds.labels).reshape(12, -1)] == ds.targets.tolist()


@pytest.mark.parametrize("block", [3, 1 << 20])
def test_labels_of_joined_sets_are_those_of_their_images(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr("im2rec.torch.labels._BLOCK", block)
    path = ";".join(str(FACES / name / "train.rec") for name in ("no_header_vector", "relabel", "face2rec2"))
    ds = RecordDataset(path, label="vector", decode=None)
    expected = [ds[n][1].tolist() for n in range(36)]

    assert expected == [row.tolist() for row in ds.targets] == [row.tolist() for row in ds.labels]
    assert {5, 1, 2} == set(map(len, expected))
    alone = RecordDataset(FACES / "relabel" / "train.rec", label="vector")
    assert [[label] for label in RUNS_OF_THREE] == alone.targets.tolist()
    assert [*range(12), *range(1, 13), *range(1, 13)] == ds.ids.tolist()
    first = RecordDataset(path, label="first", decode=None)
    assert [first[n][1] for n in range(36)] == first.targets.tolist() == [int(row[0]) for row in expected]


def test_other_vectors_are_float32_tensors_of_all_their_numbers(tmp_path: Path) -> None:
    path = labelled(tmp_path, [0, 1, 1, 0], [1, 0, 0, 0.5], [0, 0, 0, 0])
    found = labels_of(path)

    assert {(torch.float32, (4,))} == {(label.dtype, tuple(label.shape)) for label in found}
    assert [[0, 1, 1, 0], [1, 0, 0, 0.5], [0, 0, 0, 0]] == [label.tolist() for label in found]
    (_, batch) = next(iter(DataLoader(RecordDataset(path), batch_size=3)))
    assert (3, 4) == tuple(batch.shape)


def test_one_vector_makes_a_tensor_of_every_label(tmp_path: Path) -> None:
    path = labelled(tmp_path, 7.0, [1.0, 2.0], [3.0])

    assert [[7], [1, 2], [3]] == [label.tolist() for label in labels_of(path)]
    ds = RecordDataset(path)
    for rows in (ds.targets, ds.labels):
        assert [[7], [1, 2], [3]] == [row.tolist() for row in rows]


def test_a_label_may_be_asked_for(tmp_path: Path) -> None:
    path = labelled(tmp_path, [4, 1.5], [5, 2.5])

    assert [4, 5] == labels_of(path, label="first")
    assert [[4, 1.5], [5, 2.5]] == [label.tolist() for label in labels_of(path, label="vector")]
    assert [100, 101] == labels_of(path, label="id")
    assert [1.5, 2.5] == labels_of(path, label=lambda header: float(header.label[1]))
    assert [2.0] == labels_of(labelled(tmp_path, 2.0), label="vector")[0].tolist()
    assert [0.5, 2.0] == labels_of(labelled(tmp_path, 0.5, 2.0), label="first")


def test_a_label_that_is_a_function_is_called_with_the_whole_header(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [encode_image_record(IRHeader(0, 2.0, 17, 5), TEXT)])
    seen: list[IRHeader] = []
    RecordDataset(path, label=seen.append, decode=None)[0]

    assert [IRHeader(0, 2.0, 17, 5)] == seen


# All labels


def test_targets_labels_and_ids_are_arrays(tmp_path: Path) -> None:
    ds = RecordDataset(labelled(tmp_path, 2, 0, 2))

    assert (np.int64, [2, 0, 2]) == (ds.targets.dtype, ds.targets.tolist())
    assert (np.float32, [2, 0, 2]) == (ds.labels.dtype, ds.labels.tolist())
    assert (np.uint64, [100, 101, 102]) == (ds.ids.dtype, ds.ids.tolist())
    assert [1, 0, 2] == np.bincount(ds.targets).tolist()
    assert {2: 2, 0: 1} == Counter(ds.targets)
    assert [3.0, 1.0, 3.0] == torch.tensor([1.0, 2.0, 3.0])[ds.targets].tolist()
    for array in (ds.targets, ds.labels, ds.ids):
        torch.from_numpy(array)  # a warning about memory that is read-only would fail the test
    assert ds.targets is ds.targets  # not computed again for each of its elements


def test_targets_are_what_the_items_give_before_their_transform(tmp_path: Path) -> None:
    path = labelled(tmp_path, [1, 0.5], [2, 0.25])

    assert [1, 2] == RecordDataset(path, None, one_more, label="first").targets.tolist()
    vectors = RecordDataset(path).targets
    assert (np.float32, (2, 2)) == (vectors.dtype, vectors.shape)
    assert [[1, 0.5], [2, 0.25]] == vectors.tolist() == RecordDataset(path, label="id").labels.tolist()
    assert [0.5, 2.0] == RecordDataset(labelled(tmp_path, 0.5, 2)).targets.tolist()
    assert [[3.0]] == RecordDataset(labelled(tmp_path, 3), label="vector").targets.tolist()


def test_a_label_that_is_a_function_has_no_targets(rec: Path) -> None:
    ds = RecordDataset(rec, label=lambda header: header.id2)

    assert not hasattr(ds, "targets")
    assert [*range(7)] == ds.labels.tolist()


def test_no_image_is_decoded_and_no_content_read_for_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [bytes([n]) * 300_000 for n in range(4)]
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n % 2, content) for n, content in enumerate(contents)])
    ds = RecordDataset(path, label="id")
    (file,) = ds._records.files
    with counted_reads(file, monkeypatch) as reads:
        labels, ids = ds.labels, ds.ids

    assert ([0, 1, 0, 1], [0, 1, 2, 3]) == (labels.tolist(), ids.tolist())
    assert sum(size for _, size in reads) < 20_000


# Classes


def test_classes_are_those_beside_the_file(tmp_path: Path) -> None:
    path = labelled(tmp_path, 1, 0, 1)
    path.with_name("labelled.classes.txt").write_text("cat\ndog\nowl\n")
    ds = RecordDataset(path)

    assert ["cat", "dog", "owl"] == ds.classes
    assert {"cat": 0, "dog": 1, "owl": 2} == ds.class_to_idx
    assert 3 == ds.num_classes
    assert "dog" == ds.classes[ds[0][1]]


def test_classes_may_be_given_as_names_or_as_a_file(tmp_path: Path) -> None:
    path = labelled(tmp_path, 1, 0)
    path.with_name("labelled.classes.txt").write_text("cat\ndog\n")
    other = tmp_path / "other.txt"
    other.write_text("a\nb\nc\n")

    assert ["x", "y"] == RecordDataset(path, classes=("x", "y")).classes
    assert ["a", "b", "c"] == RecordDataset(path, classes=other).classes
    assert ["a", "b", "c"] == RecordDataset(path, classes=str(other)).classes


def test_classes_without_names_are_the_numbers_up_to_the_largest_label(tmp_path: Path) -> None:
    ds = RecordDataset(labelled(tmp_path, 3, 0, -1))

    assert (["0", "1", "2", "3"], 4) == (ds.classes, ds.num_classes)
    assert 3 == ds.class_to_idx["3"]


def test_names_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = labelled(tmp_path, 2, 0)
    beside = path.with_name("labelled.classes.txt")
    beside.write_text("cat\ndog\n")
    problem = "names 2 classes, but labels go up to 2 (give the names of all labels from 0 on as classes)"

    with pytest.raises(InputError) as caught:
        RecordDataset(path).classes  # noqa: B018
    assert f"{beside}: {problem}" == str(caught.value)
    with pytest.raises(InputError) as caught:
        RecordDataset(path, classes=["cat", "dog"]).num_classes  # noqa: B018
    assert problem == str(caught.value)
    twice = "classes: 'a' is there twice (each label has a name of its own)"
    assert twice == message_of(RecordDataset, path, classes=["a", "b", "a"])
    assert "classes=3: a name must be a text" == message_of(RecordDataset, path, classes=["a", 3])


def test_joined_files_have_the_same_classes(tmp_path: Path) -> None:
    a, b = a_rec(tmp_path, 1, "a.rec"), a_rec(tmp_path, 2, "b.rec")
    for path in (a, b):
        path.with_name(f"{path.stem}.classes.txt").write_text("cat\ndog\n")
    assert ["cat", "dog"] == RecordDataset(f"{a};{b}").classes

    b.with_name("b.classes.txt").write_text("dog\ncat\n")
    with pytest.raises(InputError) as caught:
        RecordDataset(f"{a};{b}").classes  # noqa: B018
    assert f"{tmp_path / 'b.classes.txt'}: names other classes than {tmp_path / 'a.classes.txt'} (give classes)" == str(
        caught.value
    )


@pytest.mark.parametrize(("labels", "given"), [([0.5, 1], {}), ([[1, 0], [0, 1]], {}), ([1, 2], {"label": "id"})])
def test_labels_that_are_no_whole_numbers_have_no_classes_but_those_given(
    tmp_path: Path, labels: list[Any], given: dict[str, Any]
) -> None:
    path = labelled(tmp_path, *labels)
    expected = (
        "labels that are not whole numbers have no classes"
        " (with label='first' the first of several numbers is the class)"
    )
    for name in ("classes", "num_classes", "class_to_idx"):
        assert expected == message_of(getattr, RecordDataset(path, **given), name)

    ds = RecordDataset(path, classes=["red", "round"], **given)
    assert (["red", "round"], 2) == (ds.classes, ds.num_classes)


def test_labels_that_float32_rounds_are_no_classes(tmp_path: Path) -> None:
    ds = RecordDataset(labelled(tmp_path, 2.0**24, 0))

    assert 2**24 + 1 == ds.num_classes
    assert "labels up to 16777216 are no numbers of classes (give classes)" == message_of(getattr, ds, "classes")


# Problems


def test_a_record_that_is_no_image_is_named_by_record_id_and_byte(tmp_path: Path) -> None:
    path = a_rec(tmp_path, payloads(7, bad={3: TEXT}))
    ds = RecordDataset(path)

    for get in (lambda: ds[3], lambda: ds.__getitems__([1, 3])):
        with pytest.raises(BadRecordError) as caught:
            get()
        error = caught.value
        assert f"{place(path, 3)}: {NO_IMAGE}" == str(error)
        assert (path, 3, 103) == (error.path, error.record, error.id)
    assert 4 == ds[4][1]  # the others are there


def test_an_image_of_a_joined_file_is_named_by_its_place_in_that_file(tmp_path: Path) -> None:
    a, b = a_rec(tmp_path, 2, "a.rec"), a_rec(tmp_path, payloads(3, bad={1: TEXT}), "b.rec")

    assert f"{place(b, 1)}: {NO_IMAGE}" == message_of(RecordDataset(f"{a};{b}").__getitem__, 3)


def test_an_empty_record_is_named(tmp_path: Path) -> None:
    path = a_rec(tmp_path, payloads(3, bad={1: b""}))

    assert message_of(RecordDataset(path).__getitem__, 1).startswith(f"{place(path, 1)}: ")


def damaged(folder: Path) -> Path:
    """A file of five images, of which number 2 has a damaged length word."""
    path = a_rec(folder, 5)
    start = bounds(payloads(5))[2]
    data = bytearray(path.read_bytes())
    data[start + 4 : start + 7] = b"\xff\xff\xff"
    path.write_bytes(data)
    return path


def test_a_damaged_record_is_an_error_on_opening_where_its_label_is_needed(tmp_path: Path) -> None:
    path = damaged(tmp_path)

    with pytest.raises(CorruptRecordError, match=re.escape(f"{path}, record 2, byte ")):
        RecordDataset(path)


def test_a_damaged_record_is_an_error_in_its_place_where_labels_are_not_read(tmp_path: Path) -> None:
    path = damaged(tmp_path)
    ds = RecordDataset(path, label="id")

    assert [100, 101, 103, 104] == [ds[n][1] for n in (0, 1, 3, 4)]
    with pytest.raises(BadRecordError, match=re.escape(f"{path}, record 2, byte ")) as caught:
        ds[2]
    assert ("damaged", 2) == (caught.value.reason, caught.value.record)


def test_the_first_jpeg_that_ends_early_is_logged_and_all_are_decoded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = a_rec(tmp_path, payloads(3, bad={1: CUT, 2: CUT}))
    ds = RecordDataset(path, decode="array")
    with caplog.at_level(logging.WARNING):
        images = [image for image, _ in ds.__getitems__([0, 1, 2])]

    assert np.array_equal(decode(CUT, cut_ok=True).pixels, images[2])
    expected = f"{place(path, 1)}: the image data ends early: decoded as far as it goes; further ones are not named"
    assert [expected] == [record.getMessage() for record in caplog.records]


def test_a_closed_dataset_says_so(tmp_path: Path) -> None:
    path = a_rec(tmp_path, 3)
    with RecordDataset(path) as ds:
        assert 0 == ds[0][1]
    ds.close()

    assert "is closed" in message_of(ds.__getitem__, 0)


# Loaders

WAYS = {
    "no workers": {"num_workers": 0},
    "forked": {"num_workers": 2, "multiprocessing_context": "fork"},
    "forked, persistent": {"num_workers": 2, "multiprocessing_context": "fork", "persistent_workers": True},
    "spawned, persistent": {"num_workers": 2, "multiprocessing_context": "spawn", "persistent_workers": True},
    "by a server": {"num_workers": 1, "multiprocessing_context": "forkserver"},
}
# Of Python 3.12 and later; forking is the default of DataLoader on Linux.
multi_threaded = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def ways(*names: str) -> Any:
    usable = [
        name for name in names if "fork" not in WAYS[name].get("multiprocessing_context", "") or os.name == "posix"
    ]
    return pytest.mark.parametrize("way", usable)


@multi_threaded
@ways(*WAYS)
def test_a_loader_gives_every_image_with_its_label_in_any_kind_of_worker(tmp_path: Path, way: str) -> None:
    ds = RecordDataset(a_rec(tmp_path, 11), None, one_more)
    loader = DataLoader(ds, batch_size=4, **WAYS[way])

    for _ in range(2 if loader.persistent_workers else 1):
        batches = list(loader)
        assert [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11]] == [label.tolist() for _, label in batches]
        data = torch.cat([image for image, _ in batches])
        assert np.array_equal(np.stack([pixels(n) for n in range(11)]), data.permute(0, 2, 3, 1).numpy())


@multi_threaded
@ways("forked", "forked, persistent")
def test_an_error_in_a_worker_has_its_class_and_ends_in_its_one_line(tmp_path: Path, way: str) -> None:
    path = a_rec(tmp_path, payloads(7, bad={5: TEXT}))
    loader = DataLoader(RecordDataset(path), batch_size=2, **WAYS[way])

    with pytest.raises(BadRecordError) as caught:
        list(loader)
    assert f"im2rec.errors.BadRecordError: {place(path, 5)}: {NO_IMAGE}" == str(caught.value).strip().splitlines()[-1]


def seen(items: Sequence[Any]) -> list[int]:
    return [label for _, label in (items[n] for n in range(len(items)))]


def test_subsets_and_samplers_of_torch_take_it(tmp_path: Path) -> None:
    ds = RecordDataset(a_rec(tmp_path, 10))

    assert [7, 2] == seen(Subset(ds, [7, 2]))
    assert [7, 2] == next(iter(DataLoader(Subset(ds, [7, 2]), batch_size=2)))[1].tolist()
    parts = random_split(ds, [6, 4])
    assert [*range(10)] == sorted(seen(parts[0]) + seen(parts[1]))
    weights = torch.zeros(10)
    weights[[3, 8]] = 1.0
    sampler = WeightedRandomSampler(weights[ds.targets].tolist(), 20)
    assert {3, 8} == {n for _, labels in DataLoader(ds, batch_size=5, sampler=sampler) for n in labels.tolist()}
    ranks = [
        [
            n
            for _, labels in DataLoader(ds, batch_size=2, sampler=DistributedSampler(ds, 2, rank))
            for n in labels.tolist()
        ]
        for rank in (0, 1)
    ]
    assert ([5, 5], [*range(10)]) == ([len(rank) for rank in ranks], sorted(ranks[0] + ranks[1]))
    joined = ds + ds
    assert (20, 4) == (len(joined), joined[14][1])


# Copies


def test_a_shallow_copy_may_have_another_transform(rec: Path) -> None:
    ds = RecordDataset(rec)
    other = copy.copy(ds)
    other.target_transform = one_more

    assert (3, 4) == (ds[3][1], other[3][1])
    assert 4 == copy.deepcopy(other)[3][1]


def test_a_pickled_copy_gives_the_same_items_and_labels() -> None:
    path = FACES / "relabel" / "train.rec"
    ds = RecordDataset(path, None, one_more)
    expected = [(image.tolist(), label) for image, label in ds.__getitems__(range(12))]
    assert (RUNS_OF_THREE, 4) == (ds.targets.tolist(), len(ds.classes))

    again = pickle.loads(pickle.dumps(ds))
    assert expected == [(image.tolist(), label) for image, label in again.__getitems__(range(12))]
    assert (RUNS_OF_THREE, 4) == (again.targets.tolist(), len(again.classes))
    assert repr(ds) == repr(again)


@pytest.mark.usefixtures("cache")
def test_a_pickle_is_small_although_there_are_many_records(tmp_path: Path) -> None:
    count = 20_000
    images = [image_payload(n + 1, n % 9, b"x") for n in range(count)]
    identities = [encode_image_record(IRHeader(2, [1, 2], count + 1 + n), b"") for n in range(1000)]
    header = encode_image_record(IRHeader(2, [count + 1, count + 1001], 0), b"")
    keys = [*range(1, count + 1001), 0]
    path = write_rec(tmp_path / "a.rec", [*images, *identities, header], keys=keys)
    for file in (path, path.with_suffix(".idx")):
        os.utime(file, (1e9, 1e9))  # of files that have just changed nothing is kept in the cache
    ds = RecordDataset(path, decode=None)
    assert (count, 9) == (len(ds), ds.num_classes)

    dumped = pickle.dumps(ds)
    assert len(dumped) < 5000
    again = pickle.loads(dumped)
    assert (count, (b"x", 8)) == (len(again), again[17])


def test_a_pickled_copy_does_not_read_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dumped = pickle.dumps(RecordDataset(labelled(tmp_path, 1, 0.5)))

    def refuse(file: RecordFile) -> None:
        raise AssertionError(file)

    monkeypatch.setattr(RecordFile, "_read_labels", refuse)
    again = pickle.loads(dumped)
    assert [1.0, 0.5] == [again[n][1] for n in range(2)]


def test_two_epochs_of_the_iterator_and_the_dataset_show_the_same_pixels(rec: Path) -> None:
    ds = RecordDataset(rec)
    with iterator(rec, data_shape=(3, 8, 10), batch_size=7) as it:
        batch = it.next()
    assert [[*range(7)]] == numbers([batch])
    assert np.array_equal(batch.data[0], np.stack([ds[n][0].numpy() for n in range(7)]))

"""MNISTIter: what a batch holds, orders, parts, last batches, states, and files that are refused."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_helpers import gzipped, idx_images, idx_labels
from helpers import message_of

from im2rec import IdxFormatError, Im2RecError, InputError, MNISTIter, ParameterError

COUNT, HEIGHT, WIDTH = 23, 3, 4
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, HEIGHT, WIDTH), dtype=np.uint8)
LABELS = np.arange(COUNT, dtype=np.uint8) % 10


@pytest.fixture
def folder(here: Path) -> Path:
    """The current directory, with the files under their usual names."""
    (here / "train-images-idx3-ubyte").write_bytes(idx_images(PIXELS))
    (here / "train-labels-idx1-ubyte").write_bytes(idx_labels(LABELS))
    return here


def iterator(**given: Any) -> MNISTIter:
    return MNISTIter(**{"batch_size": 5, "silent": True, **given})


def indices(it: MNISTIter) -> list[int]:
    """The numbers of the images of an epoch, without filler."""
    return [number for batch in it for number in batch.index[: it.batch_size - batch.pad].tolist()]


# What a batch holds


@pytest.mark.usefixtures("folder")
def test_levels_are_divided_by_256_and_labels_are_numbers() -> None:
    with iterator(shuffle=False) as it:
        batch = it.next()

        assert np.array_equal(PIXELS[:5, None].astype(np.float32) / 256, batch.data[0])
        assert np.float32 == batch.label[0].dtype
        assert [0, 1, 2, 3, 4] == batch.label[0].tolist()
        assert np.uint64 == batch.index.dtype
        assert [0, 1, 2, 3, 4] == batch.index.tolist()
        assert 0 == batch.pad
        assert [("data", (5, 1, 3, 4))] == it.provide_data
        assert [("softmax_label", (5,))] == it.provide_label
        assert np.float32 == it.provide_data[0].dtype
        assert "NCHW" == it.provide_data[0].layout


@pytest.mark.usefixtures("folder")
def test_flat_gives_rows_of_pixels_and_values_may_be_text() -> None:
    with iterator(shuffle="False", flat="1", batch_size="2", dtype="float16", data_name="x", label_name="y") as it:
        batch = it.next()

        assert np.array_equal((PIXELS[:2].reshape(2, 12) / 256).astype(np.float16), batch.data[0])
        assert [("x", (2, 12))] == it.provide_data
        assert [("y", (2,))] == it.provide_label
        assert np.float16 == it.provide_data[0].dtype == batch.data[0].dtype


def test_files_may_be_gzipped(folder: Path) -> None:
    with iterator(shuffle=False) as it:
        expected = it.next().data[0]
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (folder / f"{name}.gz").write_bytes(gzipped((folder / name).read_bytes()))

    with iterator(image="train-images-idx3-ubyte.gz", label="train-labels-idx1-ubyte.gz", shuffle=False) as it:
        assert np.array_equal(expected, it.next().data[0])


@pytest.mark.usefixtures("folder")
def test_a_batch_does_not_share_memory_with_another() -> None:
    with iterator(shuffle=False) as it:
        first = it.next()
        before = first.data[0].copy()
        same_images = next(iter(it))
        same_images.data[0][:] = 7
        assert np.array_equal(before, first.data[0])


# Orders, parts and last batches


@pytest.mark.usefixtures("folder")
def test_each_shuffled_epoch_has_another_order_which_the_seed_decides() -> None:
    with iterator(last_batch="keep") as it, iterator(last_batch="keep") as same, iterator(seed=1) as other:
        first, second = indices(it), indices(it)
        assert first == indices(same)
        assert second == indices(same)
        assert list(range(COUNT)) == sorted(first) == sorted(second)
        assert first != second
        assert first[:20] != indices(other)


@pytest.mark.usefixtures("folder")
def test_with_rng_mxnet_all_epochs_have_one_shuffled_order() -> None:
    with iterator(rng="mxnet", seed=3) as it:
        assert indices(it) == indices(it) != list(range(20))
        assert 4 == len(it)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("given", "batches", "pad", "last"),
    [
        ({}, 4, 0, [15, 16, 17, 18, 19]),
        ({"last_batch": "pad"}, 5, 2, [20, 21, 22, 0, 1]),
        ({"round_batch": 1}, 5, 2, [20, 21, 22, 0, 1]),
        ({"last_batch": "roll_over"}, 5, 2, [20, 21, 22, 0, 1]),
        ({"round_batch": 0}, 5, 2, [20, 21, 22, 0, 0]),
    ],
)
def test_the_last_batch_follows_its_policy(given: dict[str, Any], batches: int, pad: int, last: list[int]) -> None:
    with iterator(shuffle=False, **given) as it:
        assert batches == len(it)
        batch = list(it)[-1]
        assert pad == batch.pad
        assert last == batch.index.tolist()
        if given.get("round_batch") == 0:
            assert not batch.data[0][3:].any()
            assert not batch.label[0][3:].any()


@pytest.mark.usefixtures("folder")
def test_parts_hold_all_images_with_any_policy_and_batch_size() -> None:
    rng = random.Random(0)
    for _ in range(60):
        parts, size = rng.randint(1, 6), rng.randint(1, 9)
        given = {"num_parts": parts, "batch_size": size, "seed": rng.randint(0, 99), "shuffle": rng.random() < 0.5}
        policy = rng.choice(["pad", "keep", "roll_over"])
        delivered: list[int] = []
        lengths = set()
        for part in range(parts):
            with iterator(part_index=part, last_batch=policy, **given) as it:
                lengths.add(len(it))
                for batch in it:
                    rows = size - batch.pad
                    delivered += batch.index[:rows].tolist()
                    images = PIXELS[batch.index[:rows].astype(int), None]
                    assert np.array_equal(images / np.float32(256), batch.data[0][:rows])
                    assert LABELS[batch.index[:rows].astype(int)].tolist() == batch.label[0][:rows].tolist()
        assert 1 == len(lengths)
        # With roll_over and equal batches, a shorter part repeats its first image.
        assert list(range(COUNT)) == sorted(set(delivered) if policy == "roll_over" else delivered)


# States


@pytest.mark.usefixtures("folder")
def test_a_loaded_state_continues_the_epoch_also_in_another_number_of_parts() -> None:
    with iterator(last_batch="keep") as it:
        whole = [indices(it), indices(it)]
    with iterator(last_batch="keep") as it:
        taken = it.next().index.tolist() + it.next().index.tolist()
        saved = json.loads(json.dumps(it.state_dict()))
    with iterator(last_batch="keep") as it:
        it.load_state_dict(saved)
        assert whole[0] == taken + indices(it)
        assert whole[1] == indices(it)
    rest: list[int] = []
    for part in range(2):
        with iterator(last_batch="keep", num_parts=2, part_index=part) as it:
            it.load_state_dict(saved)
            rest += indices(it)
    assert sorted(whole[0]) == sorted(taken + rest)


def test_a_state_of_other_files_or_parameters_is_refused(folder: Path) -> None:
    with iterator() as it:
        saved = it.state_dict()
    hint = "(make the iterator with the parameters and files of the one that gave the state)"
    with iterator(seed=1) as it:
        assert f"seed=1 must be 0, as in the state {hint}" == message_of(it.load_state_dict, saved)
    with iterator(rng="mxnet") as it:
        assert "rng=mxnet has no state_dict: its numbers follow from all before (set rng=im2rec)" == message_of(
            it.state_dict
        )
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_labels(LABELS[::-1]))
    with iterator() as it:
        assert f"label is not the one the state is of {hint}" == message_of(it.load_state_dict, saved)


# Files and parameters that are refused


def test_files_of_another_kind_size_or_count_are_refused_by_name(folder: Path) -> None:
    images, labels = folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"
    swapped = message_of(iterator, image=str(labels), label=str(images))
    assert f"{labels}: expected the magic 2051 of images, found the magic of labels" in swapped
    assert str(folder) in message_of(iterator, image=str(folder))

    labels.write_bytes(idx_labels(LABELS[:-1]))
    counts = "./train-labels-idx1-ubyte: holds 22 labels, and ./train-images-idx3-ubyte 23 images"
    assert f"{counts} (name two files of one set)" == message_of(iterator)
    for size in (0, 3, 10, 16, 100):
        images.write_bytes(idx_images(PIXELS)[:size])
        with pytest.raises(IdxFormatError) as caught:
            iterator()
        assert str(caught.value).startswith("train-images-idx3-ubyte: ")
        assert isinstance(caught.value, InputError)


def test_files_without_images_and_devices_are_refused(folder: Path) -> None:
    assert "/dev/null: is a device, not a regular file (name a file)" == message_of(iterator, image="/dev/null")
    (folder / "train-images-idx3-ubyte").write_bytes(idx_images(PIXELS[:0]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_labels(LABELS[:0]))
    assert "./train-images-idx3-ubyte: holds no images (name another file)" == message_of(iterator, last_batch="pad")


@pytest.mark.usefixtures("folder")
def test_a_part_of_less_than_a_batch_is_refused_unless_it_is_padded() -> None:
    message = "batch_size=5 leaves no whole batch of 23 images in part 0 of 9 (lower it, or set last_batch=pad)"
    assert message == message_of(iterator, num_parts=9)
    with iterator(num_parts=30, part_index=29, last_batch="pad", equal_batches=0) as it:
        assert [] == list(it)


@pytest.mark.usefixtures("folder")
def test_wrong_and_contradicting_parameters_are_refused() -> None:
    assert "batch_size=24 leaves no whole batch" in message_of(iterator, batch_size=24)
    assert "last_batch=pad must be discard with rng=mxnet" == message_of(iterator, rng="mxnet", last_batch="pad")
    assert "last_batch=discard must be pad or roll_over with round_batch=1" in message_of(
        iterator, round_batch=1, last_batch="discard"
    )
    assert "part_index=2 must be 0 to 1 with num_parts=2" == message_of(iterator, num_parts=2, part_index=2)
    with pytest.raises(ParameterError, match="unknown key 'shufle'"):
        iterator(shufle=1)
    with pytest.raises(TypeError, match="keyword arguments only"):
        MNISTIter("train-images-idx3-ubyte")


@pytest.mark.usefixtures("folder")
def test_a_closed_iterator_raises_and_may_be_closed_again() -> None:
    it = iterator()
    it.close()
    it.close()
    with pytest.raises(Im2RecError, match="the iterator is closed"):
        it.next()


@pytest.mark.usefixtures("folder")
def test_the_opened_file_is_logged_unless_silent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="im2rec"):
        iterator().close()
        assert [] == caplog.messages
        iterator(silent=False).close()
    assert ["./train-images-idx3-ubyte: 23 images, shuffle=1, shape=[5, 1, 3, 4]"] == caplog.messages

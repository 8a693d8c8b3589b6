"""ImageRecordIter: batches and their arrays, epochs, parts, closing; threads and opening again change nothing."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, message_of, write_rec
from image_helpers import encoded, texture
from iterator_helpers import (
    FIRST_ID,
    SHAPE,
    a_rec,
    centre,
    decoders,
    digest,
    image,
    index,
    iterator,
    labels,
    left,
    numbers,
    open_files,
    payloads,
    pixels,
    seen,
    taken,
    whole,
)

from im2rec import DataDesc, ImageRecordInt8Iter, ImageRecordIter, ImageRecordUInt8Iter
from im2rec.errors import Im2RecError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.pipeline.records import Records

RANDOM: dict[str, Any] = {
    "shuffle": True,
    "rand_crop": True,
    "rand_mirror": True,
    "max_random_contrast": 0.5,
    "seed": 3,
}


# What a batch holds


def test_a_batch_holds_images_labels_ids_and_pad(rec: Path) -> None:
    with iterator(rec) as it:
        batches = list(it)

    assert [[0, 1, 2], [3, 4, 5], [6, 0, 1]] == [labels(batch) for batch in batches]
    assert [[100, 101, 102], [103, 104, 105], [106, 100, 101]] == [index(batch) for batch in batches]
    assert [0, 0, 2] == [batch.pad for batch in batches]
    for batch in batches:
        (data,), (label,) = batch.data, batch.label or ()
        assert isinstance(batch.index, np.ndarray)
        assert [(3, *SHAPE), (3,), (3,)] == [data.shape, label.shape, batch.index.shape]
        assert [np.float32, np.float32, np.uint64] == [data.dtype, label.dtype, batch.index.dtype]
        assert data.flags.c_contiguous
        assert [centre(id_ - FIRST_ID).tolist() for id_ in index(batch)] == data.tolist()
        assert batch.bucket_key is None
        assert batch.provide_data is None
        assert batch.provide_label is None


@pytest.mark.parametrize("labels", [[0, float("nan"), 2, float("inf")], [[0, 1], [1, float("nan")], [1, 2], [3, 4]]])
def test_a_stored_label_that_is_no_finite_number_is_warned_of_once(
    tmp_path: Path, labels: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    records = [image_payload(10 + n, label, encoded(texture())) for n, label in enumerate(labels)]
    rec = write_rec(tmp_path / "a.rec", records)
    with ImageRecordIter(path_imgrec=rec, data_shape=SHAPE, batch_size=2) as it:
        for _ in range(2):
            list(it)

    (message,) = (message for message in caplog.messages if "label" in message)
    assert message.startswith(f"{rec}: the record with id 11 has the label nan, which is not a finite number; ")


def test_ids_have_64_bits(tmp_path: Path) -> None:
    many = [2**33 + 1, 2**64 - 1, 2**53 + 1]
    path = write_rec(tmp_path / "a.rec", [image_payload(id_, content=image(0)) for id_ in many])
    with iterator(path) as it:
        assert many == index(it.next()) == it.getindex().tolist()


def test_labels_are_a_vector_or_a_table(tmp_path: Path) -> None:
    payloads = [encode_image_record(IRHeader(0, [n, n + 0.5], n), image(n)) for n in range(3)]
    path = write_rec(tmp_path / "a.rec", payloads)

    with iterator(path) as it:
        assert [[0, 0.5], [1, 1.5], [2, 2.5]] == labels(it.next())
        assert [DataDesc("softmax_label", (3, 2))] == it.provide_label
    with iterator(path, label_width=1) as it:
        assert [0, 1, 2] == labels(it.next())
        assert [DataDesc("softmax_label", (3,))] == it.provide_label


LAYOUTS = [("NCHW", (0, 3, 1, 2)), ("NHWC", (0, 1, 2, 3))]


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize(("layout", "axes"), LAYOUTS)
def test_data_has_the_given_dtype_and_layout(rec: Path, dtype: str, layout: str, axes: tuple[int, ...]) -> None:
    means = {"mean_r": 100, "mean_g": 110.5, "mean_b": 120}
    middle = np.array([pixels(n)[1:7, 1:9].astype(np.float32) for n in range(3)])
    centred = middle - np.array([100, 110.5, 120], np.float32)
    expected = {
        "float32": centred,
        "float16": centred.astype(np.float16),
        "uint8": middle,
        "int8": np.clip(middle - np.array([100, 111, 120]), -128, 127),
    }[dtype]

    with iterator(rec, dtype=dtype, layout=layout, **means if dtype != "uint8" else {}) as it:
        data = it.next().data[0]
        assert expected.transpose(axes).tolist() == data.tolist()
        assert np.dtype(dtype) == data.dtype
        (desc,) = it.provide_data
    assert data.shape == desc.shape
    assert data.dtype == np.dtype(desc.dtype)
    assert layout == desc.layout


def test_the_uint8_and_int8_iterators_equal_the_plain_one_of_that_dtype(rec: Path) -> None:
    for kind, dtype in ((ImageRecordUInt8Iter, "uint8"), (ImageRecordInt8Iter, "int8")):
        with iterator(rec, kind, mirror=True) as special, iterator(rec, dtype=dtype, mirror=True) as it:
            assert digest(it) == digest(special)
            assert dtype == special.params.dtype


@pytest.mark.parametrize("channels", [1, 4])
def test_images_have_the_channels_of_data_shape(tmp_path: Path, channels: int) -> None:
    image = texture(8, 10, channels)
    path = write_rec(tmp_path / "a.rec", [image_payload(0, content=encoded(image, "PNG"))])

    with iterator(path, data_shape=(channels, 6, 8), batch_size=1) as it:
        assert image[1:7, 1:9].transpose(2, 0, 1).tolist() == it.next().data[0][0].tolist()


def test_provide_data_and_provide_label_describe_the_batches(rec: Path) -> None:
    with iterator(rec, data_name="image", label_name="class") as it:
        (data,), (label,) = it.provide_data, it.provide_label
        assert ("image", (3, *SHAPE), np.float32, "NCHW") == (*data, data.dtype, data.layout)
        assert ("class", (3,), np.float32, "NCHW") == (*label, label.dtype, label.layout)
        assert 3 == it.batch_size
    with iterator(rec) as it:
        assert "data" == it.provide_data[0].name
        assert "softmax_label" == it.provide_label[0].name
        assert "DataDesc[data,(3, 3, 6, 8),<class 'numpy.float32'>,NCHW]" == repr(it.provide_data[0])
        assert "DataBatch: data shapes: [(3, 3, 6, 8)] label shapes: [(3,)]" == str(it.next())


def test_the_iterator_names_the_engine_that_auto_chose_and_counts_the_records(rec: Path) -> None:
    with iterator(rec, engine="auto") as it:
        assert it.engine in {"opencv", "pillow"}
        assert 7 == it.count


# Epochs


def test_each_for_loop_is_an_epoch(rec: Path) -> None:
    with iterator(rec, shuffle=True) as it:
        epochs = [numbers(it) for _ in range(3)]
        assert 2 == it.epoch
    assert [[*range(7)]] * 3 == [sorted(n for batch in epoch for n in batch) for epoch in epochs]
    assert 3 == len({str(epoch) for epoch in epochs})


def test_iter_and_reset_do_nothing_until_a_batch_was_requested(rec: Path) -> None:
    with iterator(rec) as it:
        it.reset()
        assert it is iter(it) is iter(iter(it))
        assert 0 == it.epoch
        it.next()
        it.reset()
        assert 1 == it.epoch
        it.reset()
        iter(it)
        assert 1 == it.epoch


def test_after_a_break_the_next_loop_is_the_next_epoch_from_its_start(rec: Path) -> None:
    with iterator(rec, shuffle=True) as it, iterator(rec, shuffle=True) as other:
        epochs = [[whole(batch) for batch in other] for _ in range(3)]
        for batch in it:
            assert epochs[0][0] == whole(batch)
            break
        assert epochs[1] == [whole(batch) for batch in it]
        assert epochs[2] == [whole(batch) for batch in it]


def test_reset_in_the_middle_begins_the_next_epoch(rec: Path) -> None:
    with iterator(rec, **RANDOM) as it, iterator(rec, **RANDOM) as other:
        epochs = [[whole(batch) for batch in other] for _ in range(3)]
        assert epochs[0][:2] == [whole(batch) for batch in taken(it, 2)]
        it.reset()
        assert epochs[1][:1] == [whole(batch) for batch in taken(it, 1)]
        it.reset()
        assert epochs[2] == [whole(batch) for batch in taken(it, 3)]


def test_past_the_end_next_raises_stop_iteration_until_a_reset(rec: Path) -> None:
    with iterator(rec) as it:
        taken(it, 3)
        for _ in range(3):
            with pytest.raises(StopIteration):
                it.next()
            with pytest.raises(StopIteration):
                next(it)
            assert not it.iter_next()
        assert 0 == it.epoch
        it.reset()
        assert 1 == it.epoch
        assert [0, 1, 2] == labels(it.next())


def test_builtin_next_method_next_and_iter_next_share_one_epoch(rec: Path) -> None:
    with iterator(rec) as it:
        assert [0, 1, 2] == labels(next(it))
        assert [3, 4, 5] == labels(it.next())
        assert it.iter_next()
        assert [6, 0, 1] == it.getlabel().tolist()


def test_iter_next_takes_the_next_batch_and_the_getters_return_its_parts(rec: Path) -> None:
    with iterator(rec) as it:
        parts = []
        while it.iter_next():
            parts.append((it.getdata().tolist(), it.getlabel().tolist(), it.getindex().tolist(), it.getpad()))
        it.reset()
        assert parts == [(b.data[0].tolist(), labels(b), index(b), b.pad) for b in it]


def test_the_getters_raise_before_the_first_batch(rec: Path) -> None:
    with iterator(rec) as it:
        for get in (it.getdata, it.getlabel, it.getindex, it.getpad):
            assert "no batch was taken yet (call next() or iter_next() first)" == message_of(get)


def test_debug_skip_load_repeats_the_current_batch_without_reading(rec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with iterator(rec) as it:
        it.debug_skip_load()  # before there is one: the first
        first = it.next()
        assert [0, 1, 2] == labels(first)
        monkeypatch.setattr(Records, "read_many", None)
        assert [first] * 20 == taken(it, 20)


def test_len_is_the_number_of_batches_in_the_epoch(rec: Path) -> None:
    assert [7, 4, 3, 2, 1, 1] == [len(iterator(rec, batch_size=size)) for size in (1, 2, 3, 4, 7, 100)]
    with iterator(rec, last_batch="roll_over") as it:
        assert [(3, 3), (2, 2), (2, 2), (3, 3)] == [(len(list(it)), len(it)) for _ in range(4)]


# The last batch


def test_padded_batches_repeat_the_first_images_of_the_epoch(rec: Path) -> None:
    for given in ({}, {"round_batch": True}, {"last_batch": "pad"}, {"last_batch": "pad", "round_batch": 1}):
        with iterator(rec, shuffle=True, **given) as it:
            for _ in range(2):
                first, _, last = list(it)
                assert 2 == last.pad
                assert index(first)[:2] == index(last)[1:]
                assert first.data[0][:2].tolist() == last.data[0][1:].tolist()


def test_kept_batches_end_in_zeros(rec: Path) -> None:
    for given in ({"round_batch": False}, {"last_batch": "keep"}, {"round_batch": "0", "reuse_buffers": True}):
        with iterator(rec, **given) as it:
            for _ in range(2):
                (last,) = (batch for batch in it if batch.pad)
                assert 2 == last.pad
                assert [6, 0, 0] == labels(last)
                assert [106, 0, 0] == index(last)
                assert centre(6).tolist() == last.data[0][0].tolist()
                assert not last.data[0][1:].any()


def test_a_last_batch_that_is_not_full_can_be_discarded(rec: Path) -> None:
    with iterator(rec, last_batch="discard") as it:
        assert [[[0, 1, 2], [3, 4, 5]]] * 2 == [numbers(it), numbers(it)]


def test_batches_roll_over_as_in_mxnet(rec: Path) -> None:
    with iterator(rec, last_batch="roll_over") as it:
        epochs = [[("".join(str(int(n)) for n in labels(batch)), batch.pad) for batch in it] for _ in range(4)]

    assert [("012", 0), ("345", 0), ("601", 2)] == epochs[0] == epochs[3]
    assert [[("234", 0), ("560", 1)], [("123", 0), ("456", 0)]] == epochs[1:3]


def test_rolled_over_rows_are_augmented_as_rows_of_the_next_epoch(rec: Path) -> None:
    with iterator(rec, **RANDOM, last_batch="roll_over") as it, iterator(rec, **RANDOM) as plain:
        rolled = [batch for _ in range(3) for batch in it]
        expected = [seen(plain) for _ in range(3)]

    rows = [(id_, row.tobytes()) for batch in rolled for id_, row in zip(index(batch), batch.data[0], strict=True)]
    assert [*expected[0], *expected[1], *expected[2]] == [id_ for id_, _ in rows]
    assert 21 == len(rows)
    assert len({id_ for id_, _ in rows}) == 7 < len(set(rows))


def test_a_batch_may_be_larger_than_the_data(rec: Path) -> None:
    for policy, pad, expected in (("pad", 13, [*range(7), *range(7), *range(6)]), ("keep", 13, [*range(7), *[0] * 13])):
        with iterator(rec, batch_size=20, last_batch=policy) as it:
            (batch,) = list(it)
            assert pad == batch.pad
            assert expected == labels(batch)
    with iterator(rec, batch_size=20, last_batch="discard") as it:
        assert 0 == len(it)
        assert [] == list(it)


def test_batches_larger_than_the_data_roll_over_without_a_gap(rec: Path) -> None:
    with iterator(rec, batch_size=10, last_batch="roll_over") as it:
        rows = [labels(batch) for _ in range(5) for batch in it]
    assert [n % 7 for n in range(35)] == [n for row in rows for n in row][:35]


# Parts


def test_parts_deliver_each_record_once_and_equally_many_batches(rec: Path) -> None:
    for given in ({}, RANDOM, {**RANDOM, "shuffle_scope": "part"}):
        with iterator(rec, **given) as it:
            expected = seen(it)
        parts = [list(iterator(rec, **given, num_parts=3, part_index=part)) for part in range(3)]
        rows = [seen(batches) for batches in parts]
        assert [1, 1, 1] == [*map(len, parts)]
        assert 7 == sum(map(len, rows))
        together = {**rows[0], **rows[1], **rows[2]}
        if "shuffle_scope" not in given:
            assert expected == together
        assert expected.keys() == together.keys()


def test_a_part_that_is_a_batch_short_ends_with_a_batch_of_filler(tmp_path: Path) -> None:
    path = a_rec(tmp_path, 9, "a.rec")  # parts of 4 and 5
    with iterator(path, num_parts=2, batch_size=4) as it:
        assert [[0, 1, 2, 3], [0, 1, 2, 3]] == [labels(batch) for batch in it]
        assert 4 == it.getpad()
        assert 2 == len(it)
    with iterator(path, num_parts=2, batch_size=4, equal_batches=False) as it:
        assert [[0, 1, 2, 3]] == [labels(batch) for batch in it]
    with iterator(path, num_parts=2, batch_size=4, last_batch="keep") as it:
        assert [[0, 1, 2, 3], [0, 0, 0, 0]] == [labels(batch) for batch in it]
        assert 4 == it.getpad()
        assert not it.getdata().any()


def test_an_empty_part_delivers_zeros_or_without_equal_batches_nothing(rec: Path) -> None:
    with iterator(rec, num_parts=9, part_index=0) as it:
        assert [(3, [0, 0, 0])] == [(batch.pad, index(batch)) for batch in it]
        assert not it.getdata().any()
    with iterator(rec, num_parts=9, part_index=0, equal_batches=False) as it:
        assert [0, [], []] == [len(it), list(it), list(it)]
        with pytest.raises(StopIteration):
            it.next()
        assert not it.iter_next()


def test_loops_over_an_empty_part_count_epochs(rec: Path) -> None:
    with iterator(rec, num_parts=9, part_index=0, equal_batches=False) as it:
        assert [[], [], []] == [list(it) for _ in range(3)]
        assert 2 == it.epoch


def test_a_resumed_epoch_may_have_batches_where_a_full_one_has_none(tmp_path: Path) -> None:
    path = a_rec(tmp_path, 3, "a.rec")
    given: dict[str, Any] = {"batch_size": 1, "equal_batches": False}
    with iterator(path, **given) as it:
        taken(it, 1)
        state = it.state_dict()
    with iterator(path, num_parts=5, part_index=2, **given) as it:
        it.load_state_dict(state)  # of two records left, this part of five has one; of three it has none
        assert 1 == len(list(it))


def test_a_file_without_images_is_refused_as_a_loop_over_it_would_do_nothing(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [encode_image_record(IRHeader(0, [4, 6], 0), b"")] * 3)
    assert f"{path}: holds no images (run 'im2rec inspect' on it)" == message_of(iterator, path)


# What changes nothing, and what does


def epochs_of(path: object, epochs: int = 2, **given: Any) -> list[str]:
    with iterator(path, **{**RANDOM, **given}) as it:
        return [digest(it) for _ in range(epochs)]


def test_threads_and_prefetching_change_nothing(tmp_path: Path) -> None:
    path = a_rec(tmp_path, 40, "a.rec")
    expected = epochs_of(path, batch_size=16)

    for given in (
        {"preprocess_threads": 1},
        {"preprocess_threads": 8},
        {"prefetch_buffer": 1},
        {"preprocess_threads": 8, "prefetch_buffer": 9},
        {"reuse_buffers": True},
    ):
        assert expected == epochs_of(path, batch_size=16, **given)


def test_two_iterators_with_the_same_parameters_deliver_the_same(rec: Path) -> None:
    assert epochs_of(rec) == epochs_of(rec)


def test_an_index_and_the_split_into_files_change_nothing(rec: Path, tmp_path: Path) -> None:
    bare = a_rec(tmp_path, 7, "bare.rec", index=False)
    halves = a_rec(tmp_path, 3, "1.rec"), a_rec(tmp_path, payloads(4, 3), "2.rec", index=False)

    assert epochs_of(rec) == epochs_of(bare) == epochs_of(f"{halves[0]};{halves[1]}")


def test_an_image_looks_the_same_in_any_batch_order_and_part(rec: Path) -> None:
    def images(**given: Any) -> dict[int, bytes]:
        with iterator(rec, **{**RANDOM, **given}) as it:
            return seen(it)

    expected = images()
    assert expected == images(batch_size=2) == images(shuffle=False) == images(shuffle_scope="part")
    assert expected == {**images(num_parts=2), **images(num_parts=2, part_index=1)}
    assert expected == images(last_batch="keep") == images(shuffle_chunk_size=1)


def test_epochs_and_seeds_differ(rec: Path) -> None:
    given = {**RANDOM, "shuffle": False}
    digests = [*epochs_of(rec, 3, **given), *epochs_of(rec, 1, seed=4), *epochs_of(rec, 1, seed=-3)]

    assert 5 == len(set(digests))


def test_seed_aug_changes_the_augmentation_but_not_the_order(rec: Path) -> None:
    with iterator(rec, **RANDOM) as plain, iterator(rec, **RANDOM, seed_aug=9) as other:
        first, second = list(plain), list(other)
    assert numbers(first) == numbers(second)
    assert digest(first) != digest(second)
    assert epochs_of(rec, seed=3) == epochs_of(rec, seed=3, seed_aug=3)


# Arrays


def test_arrays_are_the_callers_to_keep(rec: Path) -> None:
    with iterator(rec, prefetch_buffer=1) as it:
        batches = [batch for _ in range(3) for batch in it]

    assert 9 == len({batch.data[0].ctypes.data for batch in batches})
    assert [[0, 1, 2], [3, 4, 5], [6, 0, 1]] * 3 == [labels(batch) for batch in batches]


def test_with_reuse_buffers_arrays_hold_until_the_next_batch_and_are_then_reused(rec: Path) -> None:
    with iterator(rec, prefetch_buffer=1, reuse_buffers=True) as it, iterator(rec, prefetch_buffer=1) as fresh:
        addresses, batches = set(), []
        for _ in range(4):
            for batch, expected in zip(it, fresh, strict=True):
                assert whole(expected) == whole(batch)
                addresses.add(batch.data[0].ctypes.data)
                batches.append(batch)  # keeps the arrays, so that no address is one of freed memory
    assert len(addresses) <= 4 < len(batches)


# Closing


def test_a_closed_iterator_raises_and_may_be_closed_again(rec: Path) -> None:
    it = iterator(rec)
    batch = it.next()
    it.close()
    it.close()

    for use in (it.next, it.reset, it.__iter__, it.__next__, it.iter_next):
        assert "the iterator is closed (make a new one)" == message_of(use)
    assert "the iterator is closed (make a new one)" == message_of(it.load_state_dict, {})
    assert batch.data[0].tolist() == it.getdata().tolist()
    assert 0 == it.state_dict()["epoch"]
    assert 3 == len(it)


@pytest.fixture
def before() -> tuple[set[threading.Thread], int]:
    """The threads and the number of open files when nothing of an earlier test is left to be collected."""
    gc.collect()
    return set(decoders()), open_files()


def test_leaving_a_with_block_ends_threads_and_closes_files(
    rec: Path, before: tuple[set[threading.Thread], int]
) -> None:
    for steps in (0, 1, 3):
        with iterator(rec, prefetch_buffer=1, preprocess_threads=3) as it:
            taken(it, steps)
        assert set() == set(decoders()) - before[0]
        assert before[1] == open_files()


def test_a_dropped_iterator_leaves_no_threads_and_files(rec: Path, before: tuple[set[threading.Thread], int]) -> None:
    it = iterator(rec)
    taken(it, 2)
    threads, reference = decoders(), weakref.ref(it)
    del it
    gc.collect()

    assert reference() is None
    assert [] == left(threads)
    assert before[1] == open_files()


def test_a_constructor_that_fails_leaves_no_threads_and_files(
    rec: Path, tmp_path: Path, before: tuple[set[threading.Thread], int]
) -> None:
    message_of(iterator, rec, path_imglist=str(tmp_path / "gone.lst"))
    message_of(iterator, rec, mean_img=str(tmp_path / "gone" / "mean.bin"))

    assert set() == set(decoders()) - before[0]
    assert before[1] == open_files()


def test_an_iterator_cannot_be_pickled(rec: Path) -> None:
    with iterator(rec) as it, pytest.raises(TypeError) as caught:
        pickle.dumps(it)
    way = "make one in each process, or use state_dict(); give a DataLoader an im2rec.torch.RecordIterDataset"
    assert f"ImageRecordIter cannot be pickled: {way}" == str(caught.value)


def test_an_iterator_has_no_items_and_names_what_a_data_loader_takes(rec: Path) -> None:
    with iterator(rec) as it, pytest.raises(TypeError) as caught:
        it[0]
    way = "loop over it; give a DataLoader an im2rec.torch.RecordIterDataset"
    assert f"ImageRecordIter has no items: {way}" == str(caught.value)


def test_no_more_than_prefetch_buffer_batches_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = Records.read_many
    monkeypatch.setattr(Records, "read_many", lambda records, these: (read.extend(these), real(records, these))[1])
    path = a_rec(tmp_path, 60, "a.rec")

    with iterator(path, prefetch_buffer=2) as it:
        assert [] == read
        for number in range(5):
            it.next()
            assert 3 * (number + 1) <= len(read) <= 3 * (number + 3)


# rng=mxnet


def test_rng_mxnet_has_no_states_and_no_padding_from_the_same_epoch(rec: Path) -> None:
    with iterator(rec, rng="mxnet") as it:
        message = "rng=mxnet has no state_dict: its numbers follow from all before (set rng=im2rec)"
        assert message == message_of(it.state_dict) == message_of(it.load_state_dict, {})
        assert "roll_over" == it.params.policy
    message = "last_batch=pad must be roll_over, keep or discard with rng=mxnet"
    assert message == message_of(iterator, rec, rng="mxnet", last_batch="pad")


def test_a_missing_parameter_is_an_im2rec_error(rec: Path) -> None:
    with pytest.raises(Im2RecError, match="data_shape is missing"):
        ImageRecordIter(path_imgrec=str(rec))  # type: ignore[call-arg]

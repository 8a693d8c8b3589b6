"""Records without a usable image or label: errors in the place of their batch, or skipped and counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, joined, write_rec
from image_helpers import encoded, texture
from iterator_helpers import (
    FIRST_ID,
    NO_IMAGE,
    SKIP_HINT,
    TEXT,
    as_raised,
    bad_message,
    ids,
    image,
    index,
    iterator,
    labels,
    numbers,
    taken,
    whole,
    with_bad,
)

import im2rec
from im2rec.errors import BadRecordError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.pipeline.records import Records


def test_a_bad_record_is_an_error_in_the_place_of_its_batch(tmp_path: Path) -> None:
    path = with_bad(tmp_path, 4)
    with iterator(path, prefetch_buffer=4) as it:
        for _ in range(2):
            assert [0, 1, 2] == labels(it.next())
            with pytest.raises(BadRecordError) as caught:
                it.next()
            assert as_raised(bad_message(path, 4)) == str(caught.value)
            assert [6, 0, 1] == labels(it.next())
            with pytest.raises(StopIteration):
                it.next()
            it.reset()
        assert [] == it.skipped
        assert [] == it.truncated


def test_on_error_skip_leaves_bad_records_out_lists_each_once_and_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = with_bad(tmp_path, 1, 5)
    with iterator(path, on_error="skip") as it, caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert [
                ([0, 2, 0], 1), ([3, 4, 3], 1), ([6, 0, 6], 2)
            ] == [(labels(batch), batch.pad) for batch in it]  # fmt: skip
            assert [bad_message(path, 1), bad_message(path, 5)] == [str(error) for error in it.skipped]
    assert [f"{bad_message(path, 1)}: skipped; further ones are only counted"] == caplog.messages
    assert {"not an image"} == {error.reason for error in it.skipped}


@pytest.mark.parametrize("last_batch", ["keep", "even"])
def test_one_part_has_zeros_in_the_place_of_skipped_records(tmp_path: Path, last_batch: str) -> None:
    path = with_bad(tmp_path, 1, 6)
    with iterator(path, on_error="skip", last_batch=last_batch, reuse_buffers=True) as it:
        for _ in range(3):
            found = [(labels(batch), index(batch), batch.pad, batch.data[0][-1].any()) for batch in it]
            assert ([0, 2, 0], [100, 102, 0], 1, False) == found[0]
            assert ([0, 0, 0], [0, 0, 0], 3, False) == found[2]


def test_several_even_parts_repeat_good_images_in_place_of_skipped_ones(tmp_path: Path) -> None:
    with iterator(with_bad(tmp_path, 1, 6), on_error="skip", last_batch="even", num_parts=2) as it:
        assert [([0, 0, 2], 0), ([0, 0, 0], 2)] == [(labels(batch), batch.pad) for batch in it]  # 0 1 2 and 0
    with iterator(tmp_path / "some.rec", on_error="skip", last_batch="even", num_parts=2, part_index=1) as it:
        assert [([3, 4, 5], 0), ([0, 0, 0], 3)] == [(labels(batch), batch.pad) for batch in it]  # 3 4 5 and 6


def test_a_batch_of_bad_records_only_is_all_filler(tmp_path: Path) -> None:
    with iterator(with_bad(tmp_path, 3, 4, 5), on_error="skip") as it:
        batches = list(it)
    assert ([0, 0, 0], 3) == (index(batches[1]), batches[1].pad)
    assert {100, 101, 102, 106} == {id_ for batch in batches for id_ in ids(batch)}


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three JPEGs, the second of which is cut short."""
    contents = [encoded(texture(40, 50, seed=n), "JPEG", quality=95) for n in range(3)]
    contents[1] = contents[1][: len(contents[1]) * 2 // 3]
    path = tmp_path_factory.mktemp("cut") / "a.rec"
    return write_rec(path, [image_payload(FIRST_ID + n, n, content) for n, content in enumerate(contents)])


def test_cut_images_are_decoded_counted_and_warned_of_once(cut: Path, caplog: pytest.LogCaptureFixture) -> None:
    with iterator(cut, data_shape=(3, 40, 50)) as it, caplog.at_level(logging.WARNING):
        (batch,), (again,) = list(it), list(it)
        assert whole(batch) == whole(again)
        assert (0, [0, 1, 2]) == (batch.pad, labels(batch))
        (error,) = it.truncated
    with im2rec.open(cut) as rec:
        place = f"{cut}, record 1, id 101, byte {rec.offsets[1]}: the image data ends early"
    assert place == str(error)
    assert "cut short" == error.reason
    assert [] == it.skipped
    assert [f"{place}: decoded as far as it goes; further ones are only counted"] == caplog.messages
    upper = batch.data[0][1, :, :16]
    assert np.abs(upper - texture(40, 50, seed=1)[:16].transpose(2, 0, 1)).mean() < 30


def test_on_truncated_raise_makes_cut_images_errors(cut: Path) -> None:
    with iterator(cut, data_shape=(3, 40, 50), on_truncated="raise") as it, pytest.raises(BadRecordError) as caught:
        it.next()
    assert (1, 101, "cut short") == (caught.value.record, caught.value.id, caught.value.reason)
    with iterator(cut, data_shape=(3, 40, 50), on_truncated="raise", on_error="skip") as it:
        assert [[0, 2]] == numbers(it)
        assert [101] == [error.id for error in it.skipped]
        assert [] == it.truncated


def test_the_labels_of_a_record_without_an_image_are_not_looked_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [encode_image_record(IRHeader(0, [1, 2, 3], 0), TEXT), encode_image_record(IRHeader(0, 1.0, 1), TEXT)]
    path = write_rec(tmp_path / "a.rec", [*bad, *(encode_image_record(IRHeader(0, [4, 5], 2), image(0)),) * 2])

    with iterator(path, on_error="skip") as it:
        assert [[4, 5], [4, 5], [4, 5]] == labels(it.next())
        assert [NO_IMAGE, NO_IMAGE] == [error.problem for error in it.skipped]
    assert 1 == len(caplog.messages)


def test_a_record_with_too_few_labels_is_an_error_or_is_skipped(tmp_path: Path) -> None:
    payloads = [encode_image_record(IRHeader(0, label, n), image(n)) for n, label in enumerate([[1, 2], 3.0, [4, 5]])]
    path = write_rec(tmp_path / "a.rec", payloads)

    with iterator(path) as it, pytest.raises(BadRecordError) as caught:
        it.next()
    where = f"{path}, record 1, id 1, byte {caught.value.offset}"
    hint = "give the labels by path_imglist; label_width=1 drops labels of other records"
    assert f"{where}: has 1 label, label_width=2 needs more ({hint}; {SKIP_HINT})" == str(caught.value)
    with iterator(path, on_error="skip") as it:
        assert [[1, 2], [4, 5], [1, 2]] == labels(it.next())


def test_any_other_error_is_raised_in_the_place_of_its_batch_which_may_be_tried_again(
    rec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Records.read_many

    def read_many(records: Records, ordinals: Sequence[int]) -> Any:
        if 4 in ordinals:
            raise MemoryError("no room")
        return real(records, ordinals)

    with iterator(rec) as it:
        with monkeypatch.context() as patch:
            patch.setattr(Records, "read_many", read_many)
            assert [0, 1, 2] == labels(it.next())
            for _ in range(2):
                with pytest.raises(MemoryError):
                    it.next()
        assert [[3, 4, 5], [6, 0, 1]] == [labels(batch) for batch in taken(it, 2)]


def test_damage_that_opening_does_not_meet_is_an_error_with_record_and_byte(tmp_path: Path) -> None:
    payloads = [image_payload(n, n, encoded(texture(24, 24, seed=n), "PNG")) for n in range(200)]
    path = write_rec(tmp_path / "a.rec", payloads)
    at = len(joined(payloads[:100]))
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)

    with iterator(path, batch_size=50) as it:
        taken(it, 2)
        with pytest.raises(BadRecordError) as caught:
            it.next()
        found = bytes(data[at : at + 4]).hex(" ")
        problem = f"expected the magic 0a 23 d7 ce, found {found} (run 'im2rec inspect' on it; {SKIP_HINT})"
        assert f"{path}, record 100, byte {at}: {problem}" == str(caught.value)
        assert 150 == labels(it.next())[0]

"""Labels of all records of a file: those of every header, whatever its flag, without reading any content."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import bounds, image_payload, joined, message_of, write_rec

from im2rec.errors import CorruptRecordError
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import decode_image_record
from im2rec.storage.files import InputFile
from im2rec.storage.reader import RecordFile

MAX = 2**64 - 1


def written(folder: Path, payloads: list[bytes], *, index: bool = True) -> RecordFile:
    return RecordFile(write_rec(folder / "some.rec", payloads, index=index))


def drawn_label(rng: random.Random) -> Any:
    width = rng.choice([0, 0, 0, 1, 2, 8, 9, 40, 1100])
    return rng.choice([0.0, 3.0, -0.5, math.inf]) if not width else [rng.random() for _ in range(width)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("index", [True, False])
def test_they_are_those_of_the_records_read_one_by_one(tmp_path: Path, seed: int, index: bool) -> None:
    rng = random.Random(seed)
    contents = [b"", b"a", b"x" * 100, b"x" * 5000, MAGIC + b"end", b"x" * 400_000]
    payloads = [image_payload(rng.choice([n, MAX]), drawn_label(rng), rng.choice(contents)) for n in range(60)]
    with written(tmp_path, payloads, index=index) as rec:
        records = [decode_image_record(payload) for payload in payloads]
        labels = rec.labels

        assert [header.id for header, _ in records] == labels.ids.tolist()
        assert [header.flag for header, _ in records] == labels.flags.tolist()
        assert [n for n, (_, content) in enumerate(records) if not content] == labels.without_content.tolist()
        flat = [np.atleast_1d(header.label).tolist() for header, _ in records]
        assert [*itertools.chain(*flat)] == labels.values.tolist()
        assert [each[0] for each in flat] == labels.first.tolist()
        starts = labels.starts.tolist()
        assert flat == [labels.values[a:b].tolist() for a, b in itertools.pairwise(starts)]
        for ordinal, (header, _) in enumerate(records):
            assert type(header.label) is type(labels[ordinal])
            assert np.array_equal(header.label, labels[ordinal])
        assert len(flat) == len(labels)


@pytest.mark.parametrize("label", [2.0, [1.0], [1.0, 2.0], list(range(30))])
def test_labels_of_one_width_need_neither_flags_nor_starts(tmp_path: Path, label: Any) -> None:
    with written(tmp_path, [image_payload(n, label) for n in range(5)]) as rec:
        width = len(np.atleast_1d(label))

        assert 5 * width == len(rec.labels.values)
        assert [n * width for n in range(6)] == rec.labels.starts.tolist()
        assert [np.atleast_1d(label)[0]] * 5 == rec.labels.first.tolist()
        assert 0 == rec.labels.flags.strides[0]
        with pytest.raises(IndexError):
            rec.labels[5]


def test_no_content_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = [image_payload(n, [n, 2.0] if n % 2 else 1.0, b"x" * 100_000) for n in range(20)]
    nbytes = 0
    read_at = InputFile.read_at

    def counted(file: InputFile, offset: int, size: int) -> bytes:
        nonlocal nbytes
        nbytes += size
        return read_at(file, offset, size)

    with written(tmp_path, payloads) as rec:
        monkeypatch.setattr(InputFile, "read_at", counted)
        assert 20 == len(rec.labels)

    assert nbytes < 6000


def test_a_label_vector_that_is_longer_than_its_record_is_an_error_with_its_place(tmp_path: Path) -> None:
    payloads = [image_payload(n) for n in range(4)]
    payloads[2] = (7).to_bytes(4, "little") + payloads[2][4:]
    with written(tmp_path, payloads) as rec, pytest.raises(CorruptRecordError) as caught:
        rec.labels  # noqa: B018

    assert (rec.path, 2, bounds(payloads)[2] + 8) == (caught.value.path, caught.value.record, caught.value.offset)
    assert "expected 7 labels after the header, found 1" == caught.value.problem


def test_a_head_that_was_damaged_since_is_an_error_with_its_place(tmp_path: Path) -> None:
    payloads = [image_payload(n) for n in range(300)]
    with written(tmp_path, payloads) as rec:
        data = bytearray(joined(payloads))
        data[bounds(payloads)[201]] ^= 1
        rec.path.write_bytes(data)

        where = f"{rec.path}, record 201, byte {bounds(payloads)[201]}"
        assert message_of(lambda: rec.labels).startswith(f"{where}: expected the magic")


def test_records_without_image_headers_have_no_labels(tmp_path: Path) -> None:
    with written(tmp_path, [b"text"] * 3) as rec:
        assert "no image header" in message_of(lambda: rec.labels)


def test_a_file_whose_last_record_is_short_has_all_labels(tmp_path: Path) -> None:
    with written(tmp_path, [image_payload(n, float(n), b"") for n in range(3)]) as rec:
        assert [0.0, 1.0, 2.0] == rec.labels.first.tolist()
        assert [0, 1, 2] == rec.labels.without_content.tolist()

"""Records are copied by the million as bytes: each copy must hold exactly its record, with its own new header."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import bounds, image_payload, joined, message_of, write_rec

import im2rec
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import encode_record
from im2rec.rewriting import copying
from im2rec.rewriting.copying import NewHeaders, copy_records
from im2rec.storage.reader import RecordFile
from im2rec.storage.writer import RecordWriter

MAGIC_NUMBER = int.from_bytes(MAGIC, "little")
MAGIC_LABEL = struct.unpack("<f", MAGIC)[0]


def copied(path: Path, ordinals: Sequence[int], keys: Sequence[int] | None = None, **headers: Any) -> Path:
    out = path.with_name("copied.rec")
    chosen, numbers = np.array(ordinals, np.int64), np.array(ordinals if keys is None else keys, np.uint64)
    with RecordFile(path) as rec, RecordWriter(out, force=True) as writer:
        copy_records(rec, chosen, writer, numbers, NewHeaders(**headers))
    return out


def copy_all(rec: RecordFile) -> None:
    with RecordWriter(rec.path.with_name("out.rec")) as writer:
        copy_records(rec, np.arange(rec.total), writer, np.arange(rec.total, dtype=np.uint64))


def new_ids(*ids: int) -> Any:
    return np.array(ids, np.uint64)


def new_labels(*labels: float) -> Any:
    return np.array(labels, np.float32)


def payloads_of(path: Path) -> list[bytes]:
    with RecordFile(path, index=False) as rec:
        return [rec.payload(ordinal) for ordinal in range(rec.total)]


def mixed_payloads(count: int = 60) -> list[bytes]:
    """Contents of all lengths, some with a magic on the grid or off it, vectors, and short payloads without header."""
    draw = random.Random(5)
    payloads = []
    for number in range(count):
        content = draw.randbytes(draw.choice([0, 1, 2, 3, 40, 300]))
        content += draw.choice([b"", b"", MAGIC, b"x" + MAGIC, bytes(-len(content) % 4) + MAGIC + b"tail"])
        label = draw.choice([3.0, [4.0], [5.0, 6.0], list(range(12))])
        payloads.append(image_payload(number, label, content))
    return [*payloads, b"", b"abc", MAGIC, b"no header at all"]


@pytest.mark.parametrize("order", ["file", "reversed", "shuffled", "every third", "repeated"])
def test_frames_are_copied_byte_for_byte_in_any_order(tmp_path: Path, order: str) -> None:
    payloads = mixed_payloads()
    path = write_rec(tmp_path / "a.rec", payloads)
    every = list(range(len(payloads)))
    ordinals = {
        "file": every,
        "reversed": every[::-1],
        "shuffled": random.Random(1).sample(every, len(every)),
        "every third": every[::3],
        "repeated": [2, 2, 3, 4, 2],
    }[order]

    out = copied(path, ordinals, [7 * ordinal for ordinal in ordinals])

    assert joined(payloads[ordinal] for ordinal in ordinals) == out.read_bytes()
    with RecordFile(out) as rec:
        assert [7 * ordinal for ordinal in ordinals] == rec.keys.tolist()
        assert bounds(payloads[ordinal] for ordinal in ordinals)[:-1] == rec.offsets.tolist()


@pytest.mark.parametrize(("batch", "window", "piece"), [(1, 1, 1), (100, 50, 3), (1000, 400, 7), (400, 1000, 1 << 16)])
def test_the_sizes_of_pieces_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, window: int, piece: int
) -> None:
    payloads = mixed_payloads()
    path = write_rec(tmp_path / "a.rec", payloads)
    monkeypatch.setattr(copying, "_BATCH_BYTES", batch)
    monkeypatch.setattr(copying, "_WINDOW_BYTES", window)
    monkeypatch.setattr(copying, "_SLICE", piece)

    assert path.read_bytes() == copied(path, range(len(payloads))).read_bytes()
    assert joined(payloads[1::2]) == copied(path, range(1, len(payloads), 2)).read_bytes()


@pytest.mark.parametrize(
    "ids", [range(100, 160), range(2**32, 2**32 + 60), range(MAGIC_NUMBER - 30, MAGIC_NUMBER + 30)]
)
def test_new_ids_and_labels_change_nothing_else(tmp_path: Path, ids: range) -> None:
    payloads = mixed_payloads()[:60]
    path = write_rec(tmp_path / "a.rec", payloads)
    labels = new_labels(*[number % 7 for number in range(60)])
    labels[11] = MAGIC_LABEL
    order = random.Random(2).sample(range(60), 60)

    out = copied(path, order, ids=new_ids(*ids), labels=labels)

    expected = []
    for row, ordinal in enumerate(order):
        header, content = im2rec.decode_image_record(payloads[ordinal])
        label = float(labels[row]) if header.flag == 0 else [labels[row], *header.label[1:]]
        expected.append(encode_image_record(IRHeader(0, label, ids[row]), content))
    assert joined(expected) == out.read_bytes()


def test_an_id_or_label_that_was_a_magic_is_replaced(tmp_path: Path) -> None:
    payloads = [image_payload(MAGIC_NUMBER, 1.0), image_payload(1, MAGIC_LABEL), image_payload(1, [MAGIC_LABEL, 2.0])]
    path = write_rec(tmp_path / "a.rec", payloads)

    out = copied(path, range(3), ids=new_ids(7, 8, 9), labels=new_labels(4, 5, 6))

    assert joined([image_payload(7, 4.0), image_payload(8, 5.0), image_payload(9, [6.0, 2.0])]) == out.read_bytes()


@pytest.mark.parametrize(("field", "expected"), [(5.0, 9.0), (0.0, 0.0), (4.0, 4.0)])
def test_the_label_field_follows_the_first_of_a_vector_if_it_repeats_it(
    tmp_path: Path, field: float, expected: float
) -> None:
    def payload(first: float, label_field: float, content: bytes = b"jpeg") -> bytes:
        return encode_image_record(IRHeader(2, [first, 1.0], 3), content, label_field=label_field)

    contents = b"jpeg", b"1234" + MAGIC  # the second is framed anew
    path = write_rec(tmp_path / "a.rec", [payload(5.0, field, content) for content in contents])

    out = copied(path, range(2), labels=new_labels(9, 9))

    assert joined(payload(9.0, expected, content) for content in contents) == out.read_bytes()


def test_a_file_that_cuts_no_magics_keeps_its_payloads(tmp_path: Path) -> None:
    payloads = [image_payload(number, 1.0, b"1234" + MAGIC + b"5678") for number in range(3)]
    frames = [MAGIC + struct.pack("<I", len(payload)) + payload for payload in payloads]
    path = tmp_path / "a.rec"
    path.write_bytes(b"".join(frames))

    assert payloads == payloads_of(copied(path, range(3)))


def test_records_that_the_index_leaves_out_are_not_copied(tmp_path: Path) -> None:
    payloads = mixed_payloads()
    path = write_rec(tmp_path / "a.rec", payloads)
    offsets = bounds(payloads)[:-1]
    path.with_suffix(".idx").write_bytes(b"".join(b"%d\t%d\n" % (row, offsets[row]) for row in (3, 9, 10, 40)))

    assert joined(payloads[row] for row in (3, 9, 10, 40)) == copied(path, range(4)).read_bytes()


def test_a_record_of_many_mebibytes_is_copied(tmp_path: Path) -> None:
    payloads = [image_payload(0, 1.0, b"a"), image_payload(1, 2.0, bytes(20 << 20)), image_payload(2, 1.0, b"b")]
    path = write_rec(tmp_path / "a.rec", payloads)

    assert path.read_bytes() == copied(path, range(3)).read_bytes()


@pytest.mark.parametrize(
    ("at", "value", "problem"),
    [(0, 0, "expected the magic"), (4, 0x10, "ends at byte"), (39, 1, "expected zero padding"), (7, 0x60, "flag")],
)
def test_damage_in_a_frame_ends_the_copy_and_leaves_no_file(tmp_path: Path, at: int, value: int, problem: str) -> None:
    payloads = [image_payload(number, 1.0, b"1234567") for number in range(5)]
    path = write_rec(tmp_path / "a.rec", payloads)
    data = bytearray(path.read_bytes())
    data[40 * 2 + at] = value
    with RecordFile(path) as rec:
        path.write_bytes(data)
        error = message_of(copy_all, rec)

    assert problem in error
    assert f"{path}, record 2, byte " in error
    assert {"a.rec", "a.idx"} == {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize("payload", [b"short", image_payload(1, list(range(9)), b"")[:40]])
def test_a_new_id_needs_an_image_header(tmp_path: Path, payload: bytes) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(0), payload])

    assert f"{path}, record 1, byte" in message_of(copied, path, range(2), ids=new_ids(1, 2))


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(number) for number in range(5)])
    with RecordFile(path) as rec:
        path.write_bytes(path.read_bytes()[:100])
        error = message_of(copy_all, rec)

    assert f"{path}: became shorter while it was read (run it again)" == error


def test_the_number_of_copied_records_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(number) for number in range(10)])
    monkeypatch.setattr(copying, "_SLICE", 4)
    reported: list[int] = []

    with RecordFile(path) as rec, RecordWriter(tmp_path / "out.rec") as writer:
        copy_records(rec, np.arange(10), writer, np.arange(10, dtype=np.uint64), report=reported.append)

    assert [4, 8, 10] == reported


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    count = 200_000
    path = tmp_path / "a.rec"
    path.write_bytes(encode_record(image_payload(0, 1.0, b"")) * count)
    with RecordFile(path, index=False) as rec, RecordWriter(tmp_path / "out.rec") as writer:
        ordinals, keys = np.arange(count), np.arange(count, dtype=np.uint64)
        tracemalloc.start()
        copy_records(rec, ordinals, writer, keys)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 48 << 20

"""Reading a ``.rec``: by ordinal, by key, many at once, header fields only, and which index belongs to it."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import bounds, counted_reads, image_payload, index_text, joined, message_of, part, peak_bytes, write_rec

import im2rec
from im2rec.errors import InputError
from im2rec.format.heads import FIRST, LAST, MAGIC, MIDDLE, WHOLE
from im2rec.format.irheader import ImageRecord, IRHeader, RawHeader, encode_image_record
from im2rec.format.recordio import BytesSource, encode_record
from im2rec.storage import files, reader
from im2rec.storage.index import is_record_start
from im2rec.storage.reader import RecordFile

KEYS = [30, 10, 20, 10, 2**64 - 1]
PAYLOADS = [image_payload(key, label=n, content=bytes([n]) * 10 * n) for n, key in enumerate(KEYS)]
PAYLOADS[2] = encode_image_record(IRHeader(0, [1, 2], 20), MAGIC * 2 + b"split")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_rec(tmp_path / "some.rec", PAYLOADS, keys=KEYS)


def record(n: int) -> ImageRecord:
    return ImageRecord(IRHeader(0, float(n), KEYS[n]), bytes([n]) * 10 * n)


def test_an_open_file_is_a_sequence_of_image_records(path: Path) -> None:
    with im2rec.open(path) as rec:
        assert isinstance(rec, Sequence)
        assert 5 == len(rec)
        assert record(1) == rec[1] == rec[-4] == rec[np.int64(1)]
        assert [record(3), record(1)] == rec[3:0:-2]
        assert [30, 10, 20, 10, 2**64 - 1] == [header.id for header, _ in rec]
        assert [KEYS[4], KEYS[3]] == [header.id for header, _ in list(reversed(rec))[:2]]
        header, content = rec[2]
        assert [1, 2] == header.label.tolist()
        assert MAGIC * 2 + b"split" == content
        assert PAYLOADS == [rec.payload(ordinal) for ordinal in range(5)]


def test_an_ordinal_outside_the_file_is_an_index_error(path: Path) -> None:
    with RecordFile(path) as rec:
        for read in (lambda: rec[5], lambda: rec[-6], lambda: rec.payload(5), lambda: rec.read_many([0, 5])):
            with pytest.raises(IndexError, match=r"^record (5|-6) is not in .*some\.rec, which has 5$"):
                read()
        with pytest.raises(TypeError):
            rec[1.0]
        assert [] == rec[5:9]


def test_of_several_records_with_one_key_the_last_is_found(path: Path) -> None:
    with RecordFile(path) as rec:
        assert [0, 3, 2, 4] == [rec.ordinal_of(key) for key in (30, 10, 20, 2**64 - 1)]
        assert record(3) == rec.by_key(10)
        for key in (0, -1, 2**64, 31):
            message = f"{path}: no record has the key {key} (keys run from 10 to 18446744073709551615)"
            assert message == message_of(rec.by_key, key)
        assert "key='30' must be an integer" == message_of(rec.by_key, "30")


def test_the_smallest_key_is_found(tmp_path: Path) -> None:
    with RecordFile(write_rec(tmp_path / "some.rec", PAYLOADS, keys=[3, 0, 2, 1, 4])) as rec:
        assert [1, 3, 2, 0, 4] == [rec.ordinal_of(key) for key in range(5)]


def test_keys_and_offsets_are_read_only_arrays_of_64_bit_integers(path: Path) -> None:
    for index in (None, False):
        with RecordFile(path, index=index) as rec:
            assert np.uint64 == rec.keys.dtype
            assert np.int64 == rec.offsets.dtype
            assert KEYS == rec.keys.tolist()
            assert bounds(PAYLOADS)[:-1] == rec.offsets.tolist()
            for array in (rec.keys, rec.offsets):
                with pytest.raises(ValueError, match="read-only"):
                    array[0] = 1


def test_a_pickled_copy_reads_the_same_records_and_is_read_only(path: Path) -> None:
    with RecordFile(path) as rec:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            with pickle.loads(pickle.dumps(rec, protocol)) as duplicate:
                assert (rec.path, rec.index_path, rec.size) == (duplicate.path, duplicate.index_path, duplicate.size)
                assert PAYLOADS == [duplicate.payload(ordinal) for ordinal in range(5)]
                assert 3 == duplicate.ordinal_of(10)
                assert [False, False] == [duplicate.keys.flags.writeable, duplicate.offsets.flags.writeable]


def test_read_many_returns_records_in_the_requested_order(path: Path) -> None:
    with RecordFile(path) as rec:
        assert [record(4), record(0), record(4), record(3)] == rec.read_many([4, 0, -1, 3])
        assert [] == rec.read_many([])
        assert [record(1)] == rec.read_many(iter([1]))


def test_the_limits_of_a_read_never_change_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    payloads = [image_payload(n, n, rng.randbytes(rng.randrange(60)) + MAGIC * (n % 3 == 0)) for n in range(40)]
    with RecordFile(write_rec(tmp_path / "some.rec", payloads)) as rec:
        for limits in ((1, 0, 1), (64, 16, 8), (200, 0, 1 << 20), (1 << 20, 1 << 20, 50)):
            for name, value in zip(("_MAX_READ_BYTES", "_GAP_BYTES", "_SINGLE_READ_BYTES"), limits, strict=True):
                monkeypatch.setattr(reader, name, value)
            ordinals = [rng.randrange(40) for _ in range(60)]
            assert ordinals == [header.id for header, _ in rec.read_many(ordinals)]
            assert [payloads[n] for n in ordinals] == [rec.payload(n) for n in ordinals]


def test_neighbours_are_read_with_one_call_without_the_bytes_between_distant_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [image_payload(n, content=bytes(20_000)) for n in range(50)]
    ends = bounds(payloads)
    with RecordFile(write_rec(tmp_path / "some.rec", payloads)) as rec, counted_reads(rec, monkeypatch) as reads:
        rec.read_many([7, 5, 6, 9, 40])
        assert [(ends[5], ends[10] - ends[5]), (ends[40], ends[41] - ends[40])] == reads
        reads.clear()
        rec.payload(3)
        assert [(ends[3], ends[4] - ends[3])] == reads


def test_a_gap_of_64_kib_is_read_with_its_neighbours_and_a_longer_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gap, calls in ((65_536, 1), (65_540, 2)):
        payloads = [image_payload(0), bytes(gap - 8), image_payload(2)]
        with RecordFile(write_rec(tmp_path / "some.rec", payloads)) as rec, counted_reads(rec, monkeypatch) as reads:
            rec.read_many([0, 2])
            assert calls == len(reads)


def test_read_many_reads_no_more_than_its_limit_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = [image_payload(n, content=bytes(968)) for n in range(50)]  # 1000 bytes each on disk
    monkeypatch.setattr(reader, "_MAX_READ_BYTES", 3000)
    with RecordFile(write_rec(tmp_path / "some.rec", payloads)) as rec, counted_reads(rec, monkeypatch) as reads:
        rec.read_many([40, 41, 42, 43])
        assert [(40_000, 3000), (43_000, 1000)] == reads


def test_the_content_of_a_record_above_64_kib_is_read_by_a_call_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [image_payload(n, content=b"x" * size) for n, size in enumerate((65_504, 65_508, 4))]
    ends = bounds(payloads)
    with RecordFile(write_rec(tmp_path / "some.rec", payloads)) as rec, counted_reads(rec, monkeypatch) as reads:
        assert 65_504 == len(rec[0].content)
        assert [(0, 65_536)] == reads
        reads.clear()
        assert 65_508 == len(rec[1].content)
        assert [(ends[1], 32), (ends[1] + 32, 65_508)] == reads


# Header fields only


def test_heads_are_the_header_fields_and_payload_sizes_in_the_requested_order(path: Path) -> None:
    with RecordFile(path) as rec:
        assert [
            (RawHeader(0, 0.0, 30, 0), len(PAYLOADS[0])),
            (RawHeader(0, 1.0, 10, 0), len(PAYLOADS[1])),
            (RawHeader(2, 0.0, 20, 0), len(PAYLOADS[2])),  # in three parts
            (RawHeader(0, 4.0, 2**64 - 1, 0), len(PAYLOADS[4])),
        ] == list(rec.record_infos([0, 1, 2, 4]))
        assert [] == list(rec.record_infos([]))


def test_heads_of_neighbours_are_read_with_one_call_and_distant_ones_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size, expected in ((968, [(0, 5032), (20_000, 1032)]), (4968, [(n * 5000, 32) for n in (0, 2, 5, 20, 21)])):
        payloads = [image_payload(n, content=bytes(size)) for n in range(50)]
        with RecordFile(write_rec(tmp_path / "some.rec", payloads)) as rec, counted_reads(rec, monkeypatch) as reads:
            assert [0, 2, 5, 20, 21] == [info.header.id for info in rec.record_infos([0, 2, 5, 20, 21])]
            assert expected == reads


def test_a_damaged_record_is_an_error_of_heads_with_its_location(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "some.rec", [*map(image_payload, range(200)), b"short"])
    with path.open("r+b") as file:
        file.seek(40)
        file.write(b"JPEG")

    with RecordFile(path) as rec:
        inspect = "(run 'im2rec inspect' on it)"
        expected = f"{path}, record 1, byte 40: expected the magic 0a 23 d7 ce, found 4a 50 45 47 {inspect}"
        assert expected == message_of(lambda: list(rec.record_infos([0, 1])))
        expected = f"{path}, record 200, byte 8000: expected 24 bytes of image header, found 5 {inspect}"
        assert expected == message_of(lambda: list(rec.record_infos([200])))


# Opening


def test_opening_by_an_index_reads_a_few_heads_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    path = write_rec(tmp_path / "some.rec", [image_payload(n, content=bytes(100)) for n in range(3000)])
    real = files.InputFile.read_at

    def read_at(file: files.InputFile, offset: int, size: int) -> bytes:
        sizes.append(size)
        return real(file, offset, size)

    monkeypatch.setattr(files.InputFile, "read_at", read_at)
    with RecordFile(path) as rec:
        assert 3000 == len(rec)
    assert len(sizes) <= 70
    assert sum(sizes) <= 70_000


STARTS = {
    "a whole record": (part(WHOLE, b"abcd"), True),
    "a first part": (part(FIRST, b"abcd") + part(LAST, b""), True),
    "a first part alone": (part(FIRST, b"abcd"), True),
    "a middle part": (part(MIDDLE, b"abcd") + part(LAST, b""), False),
    "a last part": (part(LAST, b"abcd"), False),
    "a wrong flag": (part(5, b"abcd"), False),
    "another magic": (b"JPEG" + part(WHOLE, b"abcd")[4:], False),
    "a cut record": (part(WHOLE, b"abcd")[:-1], True),
    "a cut head": (part(WHOLE, b"")[:-1], False),
    "the end": (b"", False),
}


@pytest.mark.parametrize("case", STARTS)
def test_a_record_starts_with_the_head_of_a_whole_record_or_a_first_part(case: str) -> None:
    data, expected = STARTS[case]

    assert expected == is_record_start(BytesSource(encode_record(b"before") + data), 16)


def test_the_index_beside_a_file_of_any_name_is_found(tmp_path: Path) -> None:
    names = {"a.rec": "a.idx", "b.rec": "b.rec.idx", "c.bin": "c.idx", "output": "output.idx", "d.part7": "d.part7.idx"}

    for rec_name, index_name in names.items():
        (tmp_path / rec_name).write_bytes(joined(PAYLOADS))
        (tmp_path / index_name).write_bytes(index_text(bounds(PAYLOADS)[:-1], range(90, 95)))
        with RecordFile(str(tmp_path / rec_name)) as rec:
            assert tmp_path / index_name == rec.index_path
            assert [90, 91, 92, 93, 94] == rec.keys.tolist()
        with RecordFile(tmp_path / rec_name, index=False) as rec:
            assert rec.index_path is None
            assert KEYS == rec.keys.tolist()


def test_a_given_index_is_used_and_must_exist(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(index_text(bounds(PAYLOADS)[:-1]))

    with RecordFile(path, index=other) as rec:
        assert [0, 1, 2, 3, 4] == rec.keys.tolist()
    missing = tmp_path / "no.idx"
    message = f"{missing}: cannot be read: no such file or directory (check the path)"
    assert message == message_of(RecordFile, path, index=missing)


def test_an_index_in_any_order_gives_records_in_file_order(path: Path) -> None:
    lines = index_text(bounds(PAYLOADS)[:-1], KEYS).splitlines(keepends=True)
    path.with_suffix(".idx").write_bytes(b"".join(lines[n] for n in (3, 0, 4, 2, 1)))

    with RecordFile(path) as rec:
        assert KEYS == rec.keys.tolist()
        assert PAYLOADS == [rec.payload(ordinal) for ordinal in range(5)]


def test_records_that_the_index_leaves_out_are_skipped(path: Path) -> None:
    offsets = bounds(PAYLOADS)
    path.with_suffix(".idx").write_bytes(index_text([offsets[0], offsets[2], offsets[4]], [30, 20, 5]))

    with RecordFile(path) as rec:
        assert [PAYLOADS[0], PAYLOADS[2], PAYLOADS[4]] == [rec.payload(ordinal) for ordinal in range(3)]
        assert [30, 20, 2**64 - 1] == [header.id for header, _ in rec.read_many([0, 1, 2])]


SUBSETS: dict[str, tuple[list[int], str]] = {
    "the start": ([0, 1, 2], "those from byte {3} on"),
    "the end": ([2, 3, 4], "those before byte {2}"),
    "the middle": ([1, 2, 3], "those before byte {1}, those from byte {4} on"),
    "gaps": ([0, 2, 4], "some between others, first at byte {1}"),
    "every kind": ([1, 3], "those before byte {1}, some between others, first at byte {2}, those from byte {4} on"),
    "one record": ([2], "those before byte {2}, those from byte {3} on"),
}


@pytest.mark.parametrize("case", SUBSETS)
def test_an_index_of_some_records_is_taken_and_what_it_leaves_out_is_said(
    case: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed, left_out = SUBSETS[case]
    offsets, index = bounds(PAYLOADS), path.with_suffix(".idx")
    index.write_bytes(index_text([offsets[n] for n in reversed(listed)], [KEYS[n] for n in reversed(listed)]))

    with RecordFile(path) as rec:
        assert [PAYLOADS[n] for n in listed] == [rec.payload(ordinal) for ordinal in range(len(listed))]
        assert [KEYS[n] for n in listed] == rec.keys.tolist()
        assert [offsets[n] for n in listed] == rec.offsets.tolist()
        assert offsets[listed[-1] + 1] == rec.end == rec.span(len(listed) - 1).stop
        assert [KEYS[n] for n in listed] == [rec.by_key(KEYS[n]).header.id for n in listed]
        assert [len(PAYLOADS[n]) for n in listed] == [info.size for info in rec.record_infos(range(len(listed)))]
        assert [KEYS[n] for n in listed] == [record.header.id for record in rec.read_many(range(len(listed)))]
        said = f"{index}: lists only some of the records of {path}; it leaves out {left_out.format(*offsets)}"
        assert f"{said} (with index=False all are read)" == rec.unlisted
        assert [rec.unlisted] == caplog.messages
        hint = "the index lists only some of the records, with index=False all are read"
        assert hint in message_of(rec.by_key, 123_456)
    with RecordFile(path, index=False) as rec:
        assert (5, "") == (len(rec), rec.unlisted)


def test_a_gap_in_a_long_index_is_noticed_by_its_distance(tmp_path: Path) -> None:
    payloads = [image_payload(n, content=bytes(100 + n % 7)) for n in range(3000)]
    path = write_rec(tmp_path / "some.rec", payloads, index=False)
    offsets = bounds(payloads)[:-1]
    for left_out in (1, 1234, 1777, 2998):
        path.with_suffix(".idx").write_bytes(index_text([*offsets[:left_out], *offsets[left_out + 1 :]]))
        with RecordFile(path) as rec:
            assert f"some between others, first at byte {offsets[left_out]}" in rec.unlisted
            assert payloads[left_out - 1] == rec.payload(left_out - 1)
            assert payloads[left_out + 1] == rec.payload(left_out)


def test_damage_before_and_after_the_listed_records_is_not_in_the_way(tmp_path: Path) -> None:
    offsets = bounds(PAYLOADS)
    data = bytearray(joined(PAYLOADS))
    data[:4] = b"gone"
    path = tmp_path / "some.rec"
    path.write_bytes(data)
    path.with_suffix(".idx").write_bytes(index_text(offsets[1:5]))

    with RecordFile(path) as rec:
        assert PAYLOADS[1:] == [rec.payload(ordinal) for ordinal in range(4)]
        assert rec.unlisted == ""  # no record that could be read is left out


def test_the_keys_of_a_scanned_file_are_the_ids(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "ids.rec", [image_payload(7), image_payload(2**64 - 1)], index=False)
    with RecordFile(path) as rec:
        assert [7, 2**64 - 1] == rec.keys.tolist()


def test_the_keys_of_a_scanned_file_are_ordinals_if_a_record_has_no_header(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "short.rec", [image_payload(7), b"short", image_payload(9)], index=False)
    with RecordFile(path) as rec:
        assert [0, 1, 2] == rec.keys.tolist()


def test_a_payload_without_an_image_header_can_be_read_as_bytes_only(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "some.rec", [image_payload(1), b"short"])

    with RecordFile(path) as rec:
        assert b"short" == rec.payload(1)
        problem = "has no image header: its payload is text (read it with payload())"
        message = f"{path}, record 1, byte {rec.offsets[1] + 8}: {problem}"
        assert [message] * 2 == [message_of(lambda: rec[1]), message_of(rec.read_many, [0, 1])]


NOT_RECORDIO = {
    b"": "is empty: it holds no records (make or fetch it again)",
    b"\xff\xd8\xff\xe0 a JPEG": "is not a RecordIO file: it is an image (JPEG) (pack images with 'im2rec pack')",
    b"\x01": "is not a RecordIO file: it is a file of an unknown kind, which starts with 01 (make or fetch it again)",
}


def test_a_file_that_is_not_recordio_is_refused_with_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "some.rec"
    for content, problem in NOT_RECORDIO.items():
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            RecordFile(path)
        assert f"{path}: {problem}" == str(caught.value)


def test_reading_a_closed_file_is_an_error_and_closing_it_twice_is_not(path: Path) -> None:
    rec = RecordFile(path)
    rec.close()
    rec.close()

    assert f"{path}: is closed (open it again)" == message_of(rec.payload, 0)


def test_the_repr_shows_path_and_number_of_records(path: Path) -> None:
    with RecordFile(path) as rec:
        assert f"<RecordFile {os.fspath(path)!r}, 5 records>" == repr(rec)


def test_a_file_whose_index_is_refused_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Path] = []
    real = files.InputFile.close
    monkeypatch.setattr(files.InputFile, "close", lambda file: (closed.append(file.path), real(file))[1])
    path.with_suffix(".idx").write_bytes(b"x\n")

    message_of(RecordFile, path)

    assert path in closed


def test_a_large_record_of_several_parts_is_joined(tmp_path: Path) -> None:
    content = bytes(700_000) + MAGIC + b"b" * 500_000 + MAGIC + b"end"
    path = write_rec(tmp_path / "some.rec", [image_payload(1, content=content), image_payload(2)])

    with RecordFile(path) as rec:
        assert content == rec[0].content
        assert [content, b"picture"] == [content for _, content in rec.read_many([0, 1])]


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_last_record_whose_length_covers_records_missing_in_the_index_is_an_error(tmp_path: Path, size: int) -> None:
    payloads = [image_payload(n, content=bytes(size)) for n in range(4)]
    starts = bounds(payloads)
    data = bytearray(joined(payloads))
    data[starts[2] + 4 : starts[2] + 8] = (starts[4] - starts[2] - 8).to_bytes(4, "little")
    path = tmp_path / "some.rec"
    path.write_bytes(data)
    path.with_suffix(".idx").write_bytes(index_text(starts[:3]))

    with RecordFile(path) as rec:
        problem = f"its length word says that it ends at byte {starts[4]}, but another part starts at byte {starts[3]}"
        for read in (rec.payload, rec.__getitem__):
            message = message_of(read, 2)
            assert f"{path}, record 2, byte {starts[2] + 4}: {problem} (run 'im2rec inspect' on it)" == message


LARGE = random.Random(1).randbytes(200_000)


@pytest.mark.parametrize("cut", range(4))
def test_a_large_record_is_read_correctly_and_without_a_copy(tmp_path: Path, cut: int) -> None:
    contents = [LARGE[cut:], b"small", LARGE[cut:], MAGIC + LARGE[4 + cut :], LARGE[::-1]]
    labels: list[object] = [1.5, 2.5, [3.0, 4.0], 5.0, -6.0]
    headers = [IRHeader(0, label, 2**64 - 1 - n, n) for n, label in enumerate(labels)]
    payloads = [encode_image_record(*record) for record in zip(headers, contents, strict=True)]
    path = write_rec(tmp_path / "some.rec", payloads)

    with RecordFile(path) as rec, RecordFile(path, index=False) as scanned:
        for n, (header, content) in enumerate(rec):
            assert contents[n] == content == scanned[n].content == rec.read_many([n])[0].content
            assert (headers[n].id, n) == (header.id, header.id2)
            assert payloads[n] == rec.payload(n)
            assert np.array_equal(np.float32(labels[n]), header.label)
            assert header.flag == scanned[n].header.flag == (2 if n == 2 else 0)
        assert peak_bytes(lambda: rec[0]) < 1.1 * len(LARGE)


def test_damage_of_a_large_record_is_reported_with_its_location(tmp_path: Path) -> None:
    payloads = [image_payload(n, content=LARGE[1:]) for n in range(5)]
    starts = bounds(payloads)
    for at, change in ((4, 4), (4, 1), (6, 1), (7, 0x20), (len(payloads[2]) + 8, 1)):
        data = bytearray(joined(payloads))
        data[starts[2] + at] ^= change
        path = tmp_path / "some.rec"
        path.write_bytes(data)
        path.with_suffix(".idx").write_bytes(index_text(starts[:-1]))
        with RecordFile(path) as rec:
            message = message_of(rec.__getitem__, 2)
            assert f"{path}, record 2, byte" in message
            assert message == message_of(rec.payload, 2)
            assert payloads[3] == rec.payload(3)


@pytest.mark.skipif(os.name == "nt", reason="makes a sparse file of 4.5 GB")
def test_offsets_above_4_gigabytes_are_read_from_a_file(tmp_path: Path) -> None:
    path, length, frame = tmp_path / "sparse.rec", 2**29 - 4, 2**29 + 4
    with path.open("wb") as file:
        for n in range(9):
            file.seek(n * frame)
            file.write(MAGIC + length.to_bytes(4, "little") + image_payload(n))
        file.seek(9 * frame)
        file.write(joined([image_payload(9)]))

    with RecordFile(path) as rec:
        assert [n * frame for n in range(10)] == rec.offsets.tolist()
        assert [*range(10)] == rec.keys.tolist()
        assert (9, b"picture") == (rec[9].header.id, rec[-1].content)
        path.with_suffix(".idx").write_bytes(index_text(rec.offsets.tolist()))
    with RecordFile(path) as rec:
        assert 9 * frame == rec.offsets[-1] > 2**32
        assert image_payload(9) == rec.payload(9)


def test_a_record_that_ends_before_the_next_one_is_an_error(tmp_path: Path) -> None:
    # The length word says 40 bytes less, or that the first part is the whole record: the heads around are right, but
    # the record no longer ends where another one starts.
    payloads = [image_payload(n, content=b"c" * 60 + MAGIC + b"d" * 36) for n in range(4)]
    payloads[1] = image_payload(1, content=b"c" * 100)
    starts = bounds(payloads)
    for at, change, ordinal, end in ((starts[1] + 4, 40, 1, starts[2] - 40), (starts[2] + 7, 0x20, 2, starts[2] + 92)):
        data = bytearray(joined(payloads))
        data[at] -= change
        path = tmp_path / "some.rec"
        path.write_bytes(data)
        path.with_suffix(".idx").write_bytes(index_text(starts[:-1]))
        with RecordFile(path) as rec:
            problem = f"the record ends at byte {end}, where neither another one starts nor the file ends"
            message = f"{path}, record {ordinal}, byte {starts[ordinal] + 4}: {problem} (run 'im2rec inspect' on it)"
            assert message == message_of(rec.payload, ordinal)
            assert message == message_of(rec.read_many, [ordinal])


def test_an_index_entry_inside_a_record_is_reported_with_both_records(tmp_path: Path) -> None:
    payloads = [image_payload(n) for n in range(200)]  # so many that opening does not check every entry
    offsets = bounds(payloads)[:-1]
    path = write_rec(tmp_path / "some.rec", payloads, index=False)
    path.with_suffix(".idx").write_bytes(index_text(sorted([*offsets, offsets[100] + 12])))

    with RecordFile(path) as rec:
        problem = f"the record extends to byte {offsets[101]}, but another one starts at byte {offsets[100] + 12}"
        message = f"{path}, record 100, byte {offsets[100] + 4}: {problem} (run 'im2rec inspect' on it)"
        assert [message] * 2 == [message_of(rec.payload, 100), message_of(rec.read_many, [99, 100, 101])]
        problem = "expected the magic 0a 23 d7 ce, found 00 00 80 3f"
        message = f"{path}, record 101, byte {offsets[100] + 12}: {problem} (run 'im2rec inspect' on it)"
        assert message == message_of(rec.payload, 101)


def test_an_index_entry_at_a_later_part_of_a_record_is_reported(tmp_path: Path) -> None:
    # 200 records, so that opening checks every third entry only, and not the wrong one.
    payloads = [image_payload(n, content=MAGIC + b"tail" if n == 100 else b"") for n in range(200)]
    offsets = bounds(payloads)[:-1]
    second_part = offsets[100] + 8 + 24
    path = write_rec(tmp_path / "some.rec", payloads, index=False)
    path.with_suffix(".idx").write_bytes(index_text(sorted([*offsets, second_part])))

    with RecordFile(path) as rec:
        problem = f"the record extends to byte {offsets[101]}, but another one starts at byte {second_part}"
        message = f"{path}, record 100, byte {offsets[100] + 4}: {problem} (run 'im2rec inspect' on it)"
        assert message == message_of(rec.read_many, [100, 101])
        assert message == message_of(rec.payload, 100)


def test_opening_by_an_index_takes_little_more_than_16_bytes_a_record(tmp_path: Path) -> None:
    count, frame = 150_000, encode_record(b"")
    path = tmp_path / "many.rec"
    path.write_bytes(frame * count)
    path.with_suffix(".idx").write_bytes(index_text(range(0, count * len(frame), len(frame))))

    assert peak_bytes(lambda: RecordFile(path).close()) < 16 * count + 700_000

"""The records that are iterated over: several files as one, those without an image left out, damage in its place."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers import bounds, counted_reads, image_payload, index_text, joined, message_of, write_rec
from iterator_helpers import some_records

from im2rec.errors import BadRecordError, CorruptRecordError, InputError
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import HEADER_BYTES, ImageRecord, IRHeader, RawHeader, encode_image_record
from im2rec.pipeline import records as records_module
from im2rec.pipeline.records import Records, grouped_by_size
from im2rec.storage.reader import RecordFile
from im2rec.storage.record_info import RecordInfo

INSPECT = "(run 'im2rec inspect' on it)"


def rec(folder: Path, name: str, ids: range | list[int], *, index: bool = True) -> Path:
    """A file of records of these ids."""
    return write_rec(folder / name, [image_payload(id_, id_, b"picture %d" % id_) for id_ in ids], index=index)


def ids_of(records: Records) -> list[int]:
    """The id of every record that is iterated over, the same from its header and from the whole record."""
    with_ordinals = list(records.infos())
    ordinals = records.ordinals(np.arange(len(records))).tolist()
    assert ordinals == [ordinal for ordinal, _ in with_ordinals]
    read = [records.read(ordinal) for ordinal in ordinals]
    assert all(isinstance(record, ImageRecord) for record in read)
    ids = [info.header.id for _, info in with_ordinals]
    assert ids == [record.header.id for record in read if isinstance(record, ImageRecord)]
    records.close()
    return ids


# Which files


def test_one_file_is_read_with_and_without_an_index(tmp_path: Path) -> None:
    for index in (True, False):
        path = rec(tmp_path, "a.rec", range(5), index=index)
        path.with_suffix(".idx").unlink() if not index else None
        assert [*range(5)] == ids_of(some_records(path))


def test_files_joined_by_semicolons_are_read_in_that_order(tmp_path: Path) -> None:
    b, a = rec(tmp_path, "b.rec", range(10, 15)), rec(tmp_path, "a.rec", range(3), index=False)

    records = some_records(f"{b};{a};")
    assert (8, 8) == (len(records), records.total)
    assert [b, a] == [file.path for file in records.files]
    assert [*range(10, 15), 0, 1, 2] == ids_of(records)
    assert [0, 1, 2] * 2 == ids_of(some_records(f"{a};{a}"))


def test_a_folder_means_its_rec_files_in_order_of_name(tmp_path: Path) -> None:
    rec(tmp_path, "2.rec", [2])
    rec(tmp_path, "10.rec", [10])
    rec(tmp_path, "other.bin", [5])
    (tmp_path / "folder.rec").mkdir()

    assert [10, 2] == ids_of(some_records(tmp_path))
    assert [10, 2] == ids_of(some_records(f"{tmp_path}{os.sep}"))
    one = rec(tmp_path / "folder.rec", "in.rec", [7])
    assert [10, 2, 7, 7] == ids_of(some_records(f"{tmp_path};{tmp_path / 'folder.rec'};{one}"))


def test_a_shell_pattern_means_the_matching_files_in_order_of_name(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        rec(tmp_path, f"train_{number}.rec", [number])
    rec(tmp_path, "val_1.rec", [9])
    for suffix in (".lst", ".txt", ".json", ".jsonl"):  # and .idx
        (tmp_path / f"train_1{suffix}").write_text("no records")

    assert [1, 2, 3] == ids_of(some_records(tmp_path / "train_*.rec"))
    assert [1, 2, 3] == ids_of(some_records(tmp_path / "train_*"))
    assert [9, 3, 2] == ids_of(some_records(f"{tmp_path}/val_?.rec;{tmp_path}/*_3.rec;{tmp_path}/train_[2].rec"))


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    rec(tmp_path, "a1.rec", [1])

    assert [5] == ids_of(some_records(rec(tmp_path, "a[1].rec", [5])))


def test_each_file_is_read_by_its_own_index(tmp_path: Path) -> None:
    paths = [rec(tmp_path, "a.rec", range(4), index=False), rec(tmp_path, "b.rec", range(10, 14), index=False)]
    ends = bounds([image_payload(n, n, b"picture %d" % n) for n in range(4)])
    (tmp_path / "first").write_bytes(index_text([ends[0], ends[1], ends[3]]))
    (tmp_path / "second").write_bytes(index_text(bounds([image_payload(10, 0, b"picture 10")] * 4)[:-1]))
    joined_indices = f"{tmp_path / 'first'};{tmp_path / 'second'}"

    records = some_records(";".join(map(str, paths)), path_imgidx=joined_indices)
    assert [tmp_path / "first", tmp_path / "second"] == [file.index_path for file in records.files]
    assert [0, 1, 3, 10, 11, 12, 13] == ids_of(records)  # a record that its index leaves out is not there


def test_path_imgidx_none_scans_the_files(tmp_path: Path) -> None:
    paths = [rec(tmp_path, "a.rec", range(4)), rec(tmp_path, "b.rec", range(10, 14))]
    for path in paths:
        path.with_suffix(".idx").write_bytes(b"0\t0\n1\t4\n2\t8\n")

    remedy = "with path_imgidx=none the .rec is scanned instead"
    assert message_of(some_records, paths[0]).endswith(f" is damaged; {remedy})")
    assert [0, 1, 2, 3] == ids_of(some_records(paths[0], path_imgidx="none"))
    both = ";".join(map(str, paths))
    assert [0, 1, 2, 3, 10, 11, 12, 13] == ids_of(some_records(both, path_imgidx="none"))
    paths[1].with_suffix(".idx").write_bytes(b"0\t0\n")
    assert [0, 1, 2, 3, 10] == ids_of(some_records(both, path_imgidx=f"none;{paths[1].with_suffix('.idx')}"))


def test_rng_mxnet_also_reads_the_records_that_the_indexes_leave_out(tmp_path: Path) -> None:
    paths = [rec(tmp_path, "a.rec", range(4)), rec(tmp_path, "b.rec", range(10, 14))]
    both = ";".join(map(str, paths))
    whole = some_records(both, rng="mxnet")
    assert whole.listed is None
    whole.close()
    offsets = bounds([image_payload(n, n, b"picture %d" % n) for n in range(10, 14)])
    paths[1].with_suffix(".idx").write_bytes(index_text([offsets[1], offsets[3]]))

    records = some_records(both, rng="mxnet")
    assert records.listed is not None
    assert [0, 1, 2, 3, 5, 7] == records.listed.tolist()
    assert [0, 1, 2, 3, 10, 11, 12, 13] == ids_of(records)


def test_records_of_labels_beside_gaps_of_the_index_are_left_out(tmp_path: Path) -> None:
    labels = encode_image_record(IRHeader(2, [1.0, 2.0], 0), b"")
    payloads = [labels, *[image_payload(n, n, bytes(1000)) for n in range(1, 9)], labels, image_payload(9)]
    offsets = bounds(payloads)
    for listed, expected in (([0, 2, 4, 9], [2, 4]), ([1, 9], [1]), ([1, 2, 9], [1, 2])):
        path = write_rec(tmp_path / "some.rec", payloads, index=False)
        path.with_suffix(".idx").write_bytes(index_text([offsets[n] for n in listed]))
        assert expected == ids_of(some_records(path))


def test_records_without_image_headers_are_refused(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "some.rec", [b"\xff\xd8\xff\xe0" + bytes(range(200))] * 3)

    problem = f"{path}: its records have no image headers: their payloads are JPEG"
    assert f"{problem} (read them with payload() of im2rec.open())" == message_of(some_records, path)


def test_a_wrong_number_of_indices_is_an_error(tmp_path: Path) -> None:
    path, hint = rec(tmp_path, "a.rec", range(2)), "(give one index for each .rec, or leave path_imgidx out)"

    problem = f"path_imgidx=x.idx;y.idx names 2 files, path_imgrec 1 {hint}"
    assert problem == message_of(some_records, path, path_imgidx="x.idx;y.idx")
    problem = f"path_imgidx=x.idx names 1 file, path_imgrec 2 {hint}"
    assert problem == message_of(some_records, f"{path};{path}", path_imgidx="x.idx")


def test_a_file_that_is_missing_is_an_error_with_its_name(tmp_path: Path) -> None:
    path, empty = rec(tmp_path, "a.rec", range(2)), tmp_path / "empty"
    empty.mkdir()
    gone, check = tmp_path / "gone.rec", "cannot be read: no such file or directory (check the path)"

    assert f"{gone}: {check}" == message_of(some_records, gone)
    assert f"{gone}: {check}" == message_of(some_records, f"{path};{gone}")
    assert f"{gone}: {check}" == message_of(some_records, path, path_imgidx=str(gone))
    assert f"{empty}: holds no *.rec (name a .rec, or a folder of them)" == message_of(some_records, empty)
    pattern = tmp_path / "b*.rec"
    assert f"{pattern}: no file has such a name (check the pattern)" == message_of(some_records, pattern)
    for nothing in ("", ";", ";;"):
        assert f"path_imgrec={nothing} must name a .rec" == message_of(some_records, nothing)


def test_files_opened_before_one_that_cannot_be_opened_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Path] = []
    monkeypatch.setattr(RecordFile, "close", lambda file: closed.append(file.path))
    path = rec(tmp_path, "a.rec", range(2))

    message_of(some_records, f"{path};{tmp_path / 'gone.rec'}")

    assert [path] == closed


def test_closing_closes_every_file_and_closing_twice_is_allowed(tmp_path: Path) -> None:
    path = rec(tmp_path, "a.rec", range(2))
    records = some_records(f"{path};{path}")
    records.close()
    records.close()

    for file in records.files:
        assert f"{path}: is closed (open it again)" == message_of(file.payload, 0)


# Ordinals and locations


def test_ordinals_count_over_the_joined_files(tmp_path: Path) -> None:
    a, b = rec(tmp_path, "a.rec", range(3)), rec(tmp_path, "b.rec", range(10, 14))
    records = some_records(f"{a};{b}")
    first, second = records.files

    located = [records.locate(ordinal) for ordinal in (0, 2, 3, 6)]
    assert [(first, 0), (first, 2), (second, 0), (second, 3)] == [
        (location.file, location.record) for location in located
    ]
    assert second.offsets[3] == located[-1].span.start
    ordinals = [6, 0, 3, 2, 6]
    read = [records.read(ordinal) for ordinal in ordinals]
    assert [13, 0, 10, 2, 13] == [record.header.id for record in read if isinstance(record, ImageRecord)]
    records.close()


def test_a_record_is_read_with_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = some_records(rec(tmp_path, "a.rec", range(50)))

    with counted_reads(records.files[0], monkeypatch) as reads:
        records.read(4)
    assert 1 == len(reads)
    records.close()


def test_records_are_read_a_few_in_a_row_up_to_128_kib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = [image_payload(id_, id_, bytes(60_000)) for id_ in range(10)]
    records = some_records(write_rec(tmp_path / "a.rec", payloads))

    with counted_reads(records.files[0], monkeypatch) as reads:
        read = records.read_many([7, 2, 5, 0, 9])
        reads_so_far = [(record.header.id, len(reads)) for record in read if isinstance(record, ImageRecord)]
    assert [(7, 3), (2, 3), (5, 3), (0, 5), (9, 5)] == reads_so_far
    records.close()


def test_read_many_yields_an_error_in_the_place_of_a_damaged_record(tmp_path: Path) -> None:
    a, b = rec(tmp_path, "a.rec", range(3)), rec(tmp_path, "b.rec", range(10, 14))
    records = some_records(f"{a};{b}")
    damaged = records.locate(4).span.start
    with b.open("r+b") as file:
        file.seek(damaged)
        file.write(b"none")

    first, bad, *good = list(records.read_many([0, 4, 1, 6, 3]))
    assert isinstance(first, ImageRecord)
    assert isinstance(bad, BadRecordError)
    assert (b, 1, damaged) == (bad.path, bad.record, bad.offset)
    assert [1, 13, 10] == [record.header.id for record in good if isinstance(record, ImageRecord)]
    records.close()


@pytest.mark.parametrize("ordinal", [7, 100])
def test_an_ordinal_that_is_too_large_is_an_index_error(tmp_path: Path, ordinal: int) -> None:
    records = some_records(f"{rec(tmp_path, 'a.rec', range(3))};{rec(tmp_path, 'b.rec', range(10, 14))}")

    for read in (records.locate, lambda ordinal: list(records.read_many([0, ordinal]))):
        with pytest.raises(IndexError):
            read(ordinal)
    records.close()


def test_an_error_of_the_disk_is_one_of_the_record_that_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rec(tmp_path, "a.rec", range(3))
    records = some_records(path)

    def read(*_: object) -> None:
        raise InputError("cannot be read: input/output error", path=path, hint="check the disk")

    monkeypatch.setattr(RecordFile, "read", read)
    (error,) = records.read_many([1])
    at = records.locate(1).span.start
    assert f"{path}, record 1, byte {at}: cannot be read: input/output error (check the disk)" == str(error)
    assert isinstance(error, BadRecordError)
    assert "unreadable" == error.reason
    records.close()


def test_items_are_grouped_until_their_sizes_reach_enough() -> None:
    assert [[3, 3], [4], [1, 1, 1, 1], []] == [[*group] for group in grouped_by_size([3, 3, 4, 1, 1, 1, 1], int, 4)]
    assert [[3], [1]] == [[*group] for group in grouped_by_size([3, 1], int, 3)]


def test_a_group_lets_its_items_be_freed_before_the_next_are_made() -> None:
    alive: list[int] = []

    class Item:
        def __init__(self) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    most = 0
    for group in grouped_by_size((Item() for _ in range(6)), lambda _: 1, 2):
        most = max(most, len(alive))
        assert len(group) in (0, 2)
    assert 2 == most


# Records without an image


def face_set(path: Path) -> Path:
    """A file as InsightFace writes it: two numbers in the first record, images, and the range of each identity."""
    images = [encode_image_record(IRHeader(0, n, n), b"picture %d" % n * 40) for n in (1, 2, 3)]
    identities = [encode_image_record(IRHeader(2, [1, 3], 4), b""), encode_image_record(IRHeader(2, [3, 4], 5), b"")]
    return write_rec(path, [encode_image_record(IRHeader(2, [4, 6], 0), b""), *images, *identities])


def test_the_first_record_and_the_identities_of_a_face_set_are_left_out(tmp_path: Path) -> None:
    records = some_records(face_set(tmp_path / "faces.rec"))

    assert (3, 6) == (len(records), records.total)
    assert [0, 4, 5] == records.left_out.tolist()
    assert [1, 2, 3] == records.ordinals(np.arange(3)).tolist()
    assert [1, 2, 3] == ids_of(records)


def test_records_all_keeps_every_record_of_a_face_set(tmp_path: Path) -> None:
    records = some_records(face_set(tmp_path / "faces.rec"), records="all")

    assert (6, 6) == (len(records), records.total)
    assert [] == records.left_out.tolist()
    assert [*range(6)] == ids_of(records)


def test_records_are_left_out_of_every_joined_file(tmp_path: Path) -> None:
    face, other = face_set(tmp_path / "faces.rec"), rec(tmp_path, "a.rec", [7, 8])
    records = some_records(f"{face};{other};{face}")

    assert (8, 14) == (len(records), records.total)
    assert [0, 4, 5, 8, 12, 13] == records.left_out.tolist()
    assert [1, 2, 3, 6, 7, 9, 10, 11] == records.ordinals(np.arange(8)).tolist()
    assert [3, 10, 1] == records.ordinals(np.array([2, 6, 0])).tolist()
    assert [1, 2, 3, 7, 8, 1, 2, 3] == ids_of(records)


def test_only_records_of_labels_without_content_are_left_out(tmp_path: Path) -> None:
    payloads = [
        encode_image_record(IRHeader(0, 1.0, 0), b""),  # no labels in a vector: an empty image, and an error later
        encode_image_record(IRHeader(0, [1.0, 2.0], 1), b"x"),
        encode_image_record(IRHeader(0, [5.0], 2), b""),
        encode_image_record(IRHeader(0, [1.0] * 50, 3), b""),
        encode_image_record(IRHeader(0, [1.0] * 500, 4), b""),  # far longer than any such record of a face set
    ]
    records = some_records(write_rec(tmp_path / "a.rec", payloads))

    assert [2, 3] == records.left_out.tolist()
    assert [0, 1, 4] == ids_of(records)


@pytest.mark.parametrize("files", ["face", "face;a;face", "a;face;face", "a"])
def test_a_pickled_copy_leaves_out_the_same_records(tmp_path: Path, files: str) -> None:
    face_set(tmp_path / "face.rec")
    rec(tmp_path, "a.rec", [7, 8])
    records = some_records(";".join(str(tmp_path / f"{name}.rec") for name in files.split(";")))

    copy = pickle.loads(pickle.dumps(records))

    assert records.left_out.tolist() == copy.left_out.tolist()
    assert np.int64 == copy.left_out.dtype
    assert ids_of(records) == ids_of(copy)  # which closes them


def test_a_million_identity_records_take_no_space_in_a_pickle(tmp_path: Path) -> None:
    records = some_records(face_set(tmp_path / "faces.rec"))
    size = len(pickle.dumps(records))
    records.left_out = np.append(0, np.arange(1_000_000) + 4)

    assert len(pickle.dumps(records)) <= size
    records.close()


def test_a_file_of_labels_alone_has_no_record_to_iterate_over(tmp_path: Path) -> None:
    records = some_records(write_rec(tmp_path / "a.rec", [encode_image_record(IRHeader(0, [4, 6], 0), b"")] * 3))

    assert (0, 3) == (len(records), records.total)
    assert [] == ids_of(records)


def test_a_record_that_holds_the_magic_is_read_like_any_other(tmp_path: Path) -> None:
    label = np.frombuffer(MAGIC + bytes(4), np.float32)  # a vector of labels, the first of which is the magic
    payloads = [
        image_payload(1, content=b"1234" + MAGIC * 2 + b"tail"),
        encode_image_record(IRHeader(0, label, 2), b""),
        encode_image_record(IRHeader(0, label, 3), b"content"),
        image_payload(int.from_bytes(MAGIC, "little"), content=b"the id is the magic"),
    ]
    records = some_records(write_rec(tmp_path / "a.rec", payloads))

    assert [1] == records.left_out.tolist()
    record = records.read(0)
    assert isinstance(record, ImageRecord)
    assert b"1234" + MAGIC * 2 + b"tail" == record.content
    assert [1, 3, int.from_bytes(MAGIC, "little")] == ids_of(records)


@pytest.mark.parametrize("block", [1, 2, 3, 5, 6])
def test_files_longer_than_a_block_of_records_are_searched_whole(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_module, "_RECORDS_PER_BLOCK", block)
    records = some_records(f"{face_set(tmp_path / 'faces.rec')};{rec(tmp_path, 'a.rec', [7, 8])}")

    assert [0, 4, 5] == records.left_out.tolist()
    assert [0, 3, 5] == records.block_starts(1 << 20).tolist()
    assert [1, 2, 3, 7, 8] == ids_of(records)


def test_a_frame_of_256_bytes_is_searched_and_a_longer_one_is_not(tmp_path: Path) -> None:
    # Part head 8, header 24 and 56 labels of 4: 256.
    payloads = [encode_image_record(IRHeader(0, [1.0] * count, count), b"") for count in (56, 57)]
    records = some_records(write_rec(tmp_path / "a.rec", payloads))

    assert [0] == records.left_out.tolist()
    records.close()


# Heads


def test_heads_hold_header_and_payload_size_without_reading_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [image_payload(n, n, bytes(n * 700)) for n in range(30)]
    payloads[3] = encode_image_record(IRHeader(0, [1, 2], 3, 9), MAGIC + b"split")
    payloads[7] = encode_image_record(IRHeader(0, 1, int.from_bytes(MAGIC, "little")), MAGIC * 3)
    expected = [RecordInfo(RawHeader(0, float(n), n, 0), HEADER_BYTES + 700 * n) for n in range(30)]
    expected[3] = RecordInfo(RawHeader(2, 0.0, 3, 9), len(payloads[3]))
    expected[7] = RecordInfo(RawHeader(0, 1.0, int.from_bytes(MAGIC, "little"), 0), len(payloads[7]))

    with RecordFile(write_rec(tmp_path / "a.rec", payloads)) as file:
        assert expected == list(file.record_infos(range(30)))
        assert [expected[n] for n in (3, 7, 29)] == list(file.record_infos([3, 7, 29]))
        assert [] == list(file.record_infos([]))
        with counted_reads(file, monkeypatch) as reads:
            list(file.record_infos([0, 1, 2, 28, 29]))
        assert sum(size for _, size in reads) < 3000


def test_heads_of_many_neighbours_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = [image_payload(n, content=bytes(1000)) for n in range(1000)]
    with RecordFile(write_rec(tmp_path / "a.rec", payloads)) as file, counted_reads(file, monkeypatch) as reads:
        assert [*range(1000)] == [head.header.id for head in file.record_infos(range(1000))]
        assert len(reads) <= 5


def test_the_first_damaged_head_is_raised_in_its_place(tmp_path: Path) -> None:
    payloads = [image_payload(0), image_payload(1), b"short", image_payload(3)]
    path = write_rec(tmp_path / "a.rec", payloads)
    at = bounds(payloads)[2]

    with RecordFile(path) as file:
        heads = file.record_infos(range(4))
        assert [0, 1] == [next(heads).header.id, next(heads).header.id]
        with pytest.raises(CorruptRecordError) as caught:
            next(heads)
        assert f"{path}, record 2, byte {at}: expected 24 bytes of image header, found 5 {INSPECT}" == str(caught.value)


# Damage


def damaged_file(path: Path) -> tuple[Path, list[int]]:
    """Ten records of 400 bytes and more, of which number 4 lost its magic and number 7 is too short for its labels."""
    payloads = [image_payload(n, n, b"p" * 400) for n in range(10)]
    payloads[7] = (200).to_bytes(4, "little") + payloads[7][4:]
    ends = bounds(payloads)
    data = bytearray(joined(payloads))
    data[ends[4]] ^= 0xFF
    path.write_bytes(data)
    path.with_suffix(".idx").write_bytes(index_text(n for n in ends[:-1]))
    return path, ends


def test_a_damaged_record_is_returned_as_an_error_with_its_location(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.storage.index._PROBES", 2)  # opening would check all of so few
    path, ends = damaged_file(tmp_path / "a.rec")
    good = rec(tmp_path, "good.rec", range(3))
    records = some_records(f"{good};{path}")

    read = [records.read(ordinal) for ordinal in (2, 6, 7, 8, 10)]
    assert [2, 3, 5] == [record.header.id for record in read if isinstance(record, ImageRecord)]
    errors = [record for record in read if isinstance(record, BadRecordError)]
    magic = "expected the magic 0a 23 d7 ce, found f5 23 d7 ce"
    labels = "expected 200 labels after the header, found 100"
    assert [
        f"{path}, record 4, byte {ends[4]}: {magic} {INSPECT}",
        f"{path}, record 7, byte {ends[7] + 8}: {labels} {INSPECT}",
    ] == [str(error) for error in errors]
    assert [(path, 4, None, ends[4], "damaged"), (path, 7, None, ends[7] + 8, "damaged")] == [
        (error.path, error.record, error.id, error.offset, error.reason) for error in errors
    ]
    records.close()


def test_a_record_shorter_than_its_header_is_an_error_in_its_place(tmp_path: Path) -> None:
    payloads = [image_payload(0), image_payload(1), b"short", image_payload(3)]
    records = some_records(write_rec(tmp_path / "a.rec", payloads))

    read = [records.read(ordinal) for ordinal in range(4)]
    assert [0, 1, 3] == [record.header.id for record in read if isinstance(record, ImageRecord)]
    assert isinstance(read[2], BadRecordError)
    assert 2 == read[2].record
    assert bounds(payloads)[2] + 8 == read[2].offset  # of the payload, after the part head
    records.close()


def test_headers_skip_a_damaged_record_and_go_on_after_it(tmp_path: Path) -> None:
    payloads = [image_payload(0), image_payload(1), b"short", image_payload(3)]
    records = some_records(write_rec(tmp_path / "a.rec", payloads), records="all")

    assert [(0, 0), (1, 1), (3, 3)] == [(ordinal, info.header.id) for ordinal, info in records.infos()]
    records.close()


def test_a_file_cut_in_its_last_record_opens_and_has_an_error_in_its_place(tmp_path: Path) -> None:
    path = rec(tmp_path, "a.rec", range(3))
    path.write_bytes(path.read_bytes()[:-8])

    records = some_records(path)
    first, second, third = records.read_many(range(len(records)))
    assert [0, 1] == [first.header.id, second.header.id]
    assert isinstance(third, BadRecordError)
    problem = "is lost in the damaged bytes 88 to 124: expected 36 bytes of data and padding, found 28"
    assert f"{path}, record 2, byte 96: {problem}" == str(third).partition(" (")[0]
    records.close()


# Blocks


def test_blocks_start_at_the_first_record_in_each_stretch_of_the_file(tmp_path: Path) -> None:
    a = write_rec(tmp_path / "a.rec", [image_payload(n, content=bytes(68)) for n in range(10)])  # 100 bytes each
    b = write_rec(tmp_path / "b.rec", [image_payload(n, content=bytes(68)) for n in range(3)])
    records = some_records(f"{a};{b}")

    assert [0, 3, 5, 8, 10, 13] == records.block_starts(250).tolist()
    assert [0, 10, 13] == records.block_starts(1 << 20).tolist()
    assert [*range(14)] == records.block_starts(1).tolist()
    records.close()


def test_blocks_count_positions_not_ordinals(tmp_path: Path) -> None:
    face = face_set(tmp_path / "faces.rec")
    records = some_records(f"{face};{face}")

    assert [0, 3, 6] == records.block_starts(1 << 20).tolist()
    records.close()

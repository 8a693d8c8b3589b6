"""Reading by MXNet's names: im2rec.mx.recordio gives what MXNet 1.9.1 gives, without the faults of its readers."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import GOLDEN, bounds, golden_json, index_text, joined, message_of, part, write_rec

from im2rec.errors import CorruptRecordError, IndexFormatError, InputError, ParameterError
from im2rec.format.heads import MAGIC
from im2rec.mx import recordio
from im2rec.mx.recordio import IRHeader, MXIndexedRecordIO, MXRecordIO

PAYLOADS = [b"zero", b"", b"two" + bytes(5), MAGIC + b"three" + MAGIC, b"4" * 70_000, b"five"]
KEYS = [10, 20, 30, 40, 50, 60]
OFFSETS = bounds(PAYLOADS)[:-1]

multi_threaded = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def rec(tmp_path: Path) -> Path:
    return write_rec(tmp_path / "a.rec", PAYLOADS, keys=KEYS)


def opened(path: Path, **options: Any) -> MXIndexedRecordIO:
    return MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "r", **options)


def rest_of(record: MXRecordIO) -> list[bytes]:
    return list(iter(record.read, None))


@pytest.fixture
def record(rec: Path) -> Any:
    record = opened(rec)
    yield record
    record.close()


# One after the other.


def test_read_gives_all_records_then_none(rec: Path) -> None:
    record = MXRecordIO(str(rec), "r")

    assert PAYLOADS == rest_of(record)
    assert record.read() is None
    record.reset()
    assert PAYLOADS[0] == record.read()
    record.close()


def test_read_continues_behind_the_record_of_read_idx_and_of_seek(record: MXIndexedRecordIO) -> None:
    assert PAYLOADS[3] == record.read_idx(40)
    assert PAYLOADS[4:] == rest_of(record)
    record.seek(20)
    assert PAYLOADS[1:] == rest_of(record)


def test_a_record_can_be_read_by_its_key_after_the_end_was_reached(record: MXIndexedRecordIO) -> None:
    rest_of(record)

    assert record.read() is None
    assert PAYLOADS[0] == record.read_idx(10)


def test_an_empty_rec_holds_no_records(tmp_path: Path) -> None:
    (tmp_path / "a.rec").touch()
    (tmp_path / "a.idx").touch()
    record = opened(tmp_path / "a.rec")

    assert ([], {}) == (record.keys, record.idx)
    assert record.read() is None
    with pytest.raises(KeyError):
        record.read_idx(0)
    record.close()


# By keys.


def test_keys_and_offsets_are_made_when_they_are_first_used(record: MXIndexedRecordIO) -> None:
    assert PAYLOADS[5] == record.read_idx(60)
    assert set() == {"keys", "idx"} & set(vars(record))

    assert KEYS == record.keys
    assert dict(zip(KEYS, OFFSETS, strict=True)) == record.idx
    assert {int} == {type(key) for key in record.keys}


def test_a_key_that_the_index_lacks_is_a_key_error_that_names_both(record: MXIndexedRecordIO, rec: Path) -> None:
    for key in (99, -1, 2**70, 10.5, "10", None):
        with pytest.raises(KeyError) as caught:
            record.read_idx(key)
        assert f"{rec}: no record has the key {key!r} in {rec.with_suffix('.idx')}" == caught.value.args[0]
    for key in ([10], np.array(10)):
        with pytest.raises(TypeError, match="unhashable"):
            record.seek(key)


def test_numbers_that_equal_a_key_find_its_record(record: MXIndexedRecordIO) -> None:
    assert 3 * [PAYLOADS[1]] == [record.read_idx(key) for key in (np.int64(20), 20.0, np.uint8(20))]


def test_an_index_of_some_records_in_any_order_is_taken_as_it_is(rec: Path) -> None:
    rec.with_suffix(".idx").write_bytes(index_text([OFFSETS[4], OFFSETS[1], OFFSETS[2]], [7, 9, 8]))
    record = opened(rec)

    assert [7, 9, 8] == record.keys
    assert [PAYLOADS[4], PAYLOADS[2], PAYLOADS[1]] == [record.read_idx(key) for key in (7, 8, 9)]
    assert PAYLOADS[2] == record.read()
    record.close()


def test_the_last_of_several_lines_with_one_key_counts_and_all_are_in_keys(rec: Path) -> None:
    rec.with_suffix(".idx").write_bytes(index_text(OFFSETS, [1, 2, 1, 3, 4, 5]))
    record = opened(rec)

    assert [1, 2, 1, 3, 4, 5] == record.keys
    assert PAYLOADS[2] == record.read_idx(1)
    assert OFFSETS[2] == record.idx[1]
    record.close()


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (f"3\t{OFFSETS[2]}\n3\t0\n4\t0\n", [3, 3, 4]),  # one record twice
        (f"{2**64}\t0\n-1\t{OFFSETS[1]}", [2**64, -1]),  # keys beyond 64 bits, no line end
        ("1_0\t0\t7\n", [10]),  # a third field, and as Python writes numbers
        (" 5 \t 0 \r\n\n", [5]),  # blanks, and a blank line
        ("5 0\n", [5]),
    ],
)
def test_an_index_that_only_mxnet_reads_is_read(rec: Path, text: str, keys: list[int]) -> None:
    rec.with_suffix(".idx").write_text(text, encoding="utf-8", newline="")
    record = opened(rec)

    assert keys == record.keys
    assert PAYLOADS[0] == record.read_idx(keys[-1] if keys[-1] >= 0 else keys[0])
    assert {key: record.idx[key] for key in keys} == record.idx
    record.close()


def test_keys_may_be_of_any_type(rec: Path) -> None:
    rec.with_suffix(".idx").write_text(f"größe\t{OFFSETS[1]}\na b\t0\n", encoding="utf-8", newline="")
    record = opened(rec, key_type=str)

    assert ["größe", "a b"] == record.keys
    assert (PAYLOADS[0], PAYLOADS[1]) == (record.read_idx("a b"), record.read())
    with pytest.raises(KeyError):
        record.read_idx(0)
    record.close()


def test_a_script_may_put_its_own_dictionary_in_place_of_idx(record: MXIndexedRecordIO) -> None:
    record.idx["more"] = OFFSETS[2]
    assert [PAYLOADS[2], PAYLOADS[1]] == [record.read_idx("more"), record.read_idx(20)]

    record.idx = {10: OFFSETS[5]}
    assert PAYLOADS[5] == record.read_idx(10)
    with pytest.raises(KeyError):
        record.read_idx(20)

    record.reset()
    assert (PAYLOADS[0], KEYS) == (record.read_idx(10), [*record.idx])


# Errors.


def test_a_closed_reader_says_so_and_opens_again_for_a_key(record: MXIndexedRecordIO, rec: Path) -> None:
    record.close()
    record.close()

    assert f"{rec}: is closed (reset() opens it again)" == message_of(record.read)
    assert KEYS == record.keys
    assert (PAYLOADS[1], PAYLOADS[2]) == (record.read_idx(20), record.read())


def test_files_that_are_missing_or_of_another_kind_are_named(rec: Path, tmp_path: Path) -> None:
    for arguments in ((tmp_path / "no.idx", rec), (rec.with_suffix(".idx"), tmp_path / "no.rec")):
        with pytest.raises(InputError, match="no such file"):
            MXIndexedRecordIO(*map(str, arguments), "r")
    with pytest.raises(InputError, match="is not a RecordIO file: it is an index"):
        MXRecordIO(str(rec.with_suffix(".idx")), "r")
    with pytest.raises(ValueError, match="must be 'r' or 'w'"):
        MXRecordIO(str(rec), "a")


def test_an_index_of_another_file_is_refused(rec: Path) -> None:
    for text in ("5\t4\n", "5\t4000000\n", "5\t4\n6\t4\n"):
        rec.with_suffix(".idx").write_text(text, encoding="utf-8")
        with pytest.raises(IndexFormatError, match=r"a\.idx"):
            opened(rec)
    assert "no records start where it says that they do" in message_of(opened, rec, key_type=str)
    rec.with_suffix(".idx").write_text("0\t0\n1\tx\n", encoding="utf-8")
    assert "a.idx, line 2: expected a key, a TAB and an offset, found '1\\tx'" in message_of(opened, rec)


def test_a_reader_neither_writes_nor_tells(record: MXIndexedRecordIO) -> None:
    for work in (lambda: record.write(b"x"), lambda: record.write_idx(1, b"x"), record.tell):
        assert "this reader cannot" in message_of(work)


# Damage.


def test_a_damaged_record_is_named_and_the_next_whole_one_follows(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    data = bytearray(joined(PAYLOADS))
    data[OFFSETS[2]] ^= 1
    path.write_bytes(data)
    record = MXRecordIO(str(path), "r")

    assert PAYLOADS[:2] == [record.read(), record.read()]
    with pytest.raises(CorruptRecordError) as caught:
        record.read()
    assert (path, 2, OFFSETS[2]) == (caught.value.path, caught.value.record, caught.value.offset)
    assert PAYLOADS[3:] == rest_of(record)
    record.close()


def test_a_first_part_without_its_last_one_is_not_joined_to_the_next_record(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(part(1, b"aaaa") + part(0, b"next"))
    record = MXRecordIO(str(tmp_path / "a.rec"), "r")

    assert "record 0, byte 12: expected a middle or last part of the record at byte 0" in message_of(record.read)
    assert [b"next"] == rest_of(record)
    record.close()


def test_a_file_that_was_cut_gives_its_whole_records(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(joined(PAYLOADS)[:-1])
    record = MXRecordIO(str(tmp_path / "a.rec"), "r")

    assert PAYLOADS[:5] == [record.read() for _ in range(5)]
    assert "record 5" in message_of(record.read)
    assert record.read() is None
    record.close()


def test_a_record_behind_one_of_an_index_has_no_ordinal_as_the_index_may_leave_records_out(rec: Path) -> None:
    data = bytearray(rec.read_bytes())
    data[OFFSETS[3] + 8] ^= 1  # the head of its second part
    rec.write_bytes(data)
    rec.with_suffix(".idx").write_bytes(index_text([OFFSETS[0], OFFSETS[2], OFFSETS[4]], [7, 8, 9]))
    record = opened(rec)

    assert PAYLOADS[2] == record.read_idx(8)
    assert message_of(record.read).startswith(f"{rec}, byte {OFFSETS[3] + 8}: expected the magic")
    assert PAYLOADS[4] == record.read()
    record.close()


def test_damage_at_one_key_leaves_the_others(rec: Path) -> None:
    data = bytearray(rec.read_bytes())
    data[OFFSETS[1]] ^= 1
    rec.write_bytes(data)
    record = opened(rec)

    with pytest.raises(CorruptRecordError) as caught:
        record.read_idx(20)
    assert (rec, 1, OFFSETS[1]) == (caught.value.path, caught.value.record, caught.value.offset)
    assert PAYLOADS[2] == record.read()
    assert PAYLOADS[3] == record.read_idx(40)
    record.close()


# Copies, subclasses, processes, threads.


class Subclass(MXIndexedRecordIO):
    """Counts how often it is opened, as a script may override what MXNet calls itself."""

    opened = 0

    def open(self) -> None:
        super().open()
        self.opened += 1


def test_a_reader_stays_open_when_it_is_pickled_and_the_copy_begins_at_the_start(rec: Path) -> None:
    record = Subclass(str(rec.with_suffix(".idx")), str(rec), "r")
    record.note = "mine"  # type: ignore[attr-defined]
    record.read_idx(30)
    copies = [pickle.loads(pickle.dumps(record)), copy.copy(record), copy.deepcopy(record)]

    assert PAYLOADS[3] == record.read()
    for one in copies:
        assert ("mine", 2, PAYLOADS[0], PAYLOADS[4]) == (one.note, one.opened, one.read(), one.read_idx(50))
        one.close()
    record.reset()
    assert (2, PAYLOADS[0]) == (record.opened, record.read())
    record.close()
    assert not pickle.loads(pickle.dumps(record)).is_open


def test_threads_get_each_record_once_and_the_one_that_they_ask_for(tmp_path: Path) -> None:
    payloads = [b"%d" % number * 50 for number in range(2000)]
    path = write_rec(tmp_path / "a.rec", payloads)
    record = opened(path)
    alone = MXRecordIO(str(path), "r")
    wrong: list[int] = []
    found: list[bytes] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        wrong.extend(int(key) for key in rng.integers(0, 2000, 500) if record.read_idx(int(key)) != payloads[key])
        while (payload := alone.read()) is not None:
            found.append(payload)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == wrong
    assert sorted(payloads) == sorted(found)
    record.close()
    alone.close()


@forks
@multi_threaded
def test_a_forked_child_goes_on_where_its_parent_was(record: MXIndexedRecordIO) -> None:
    record.read_idx(10)
    context = multiprocessing.get_context("fork")
    queue: Any = context.SimpleQueue()
    with record._reader._lock:  # as a thread of the parent may hold it, which the child lacks
        child = context.Process(target=lambda: queue.put([record.read(), record.read_idx(60), record.read()]))
        child.start()
    assert [PAYLOADS[1], PAYLOADS[5], None] == queue.get()
    child.join()
    queue.close()

    assert PAYLOADS[1] == record.read()


# Header and labels.


def test_the_labels_of_mxnets_own_records_come_back_as_it_unpacks_them() -> None:
    record = MXRecordIO(str(GOLDEN / "labels.rec"), "r")
    unpacked = [recordio.unpack(payload) for payload in rest_of(record)]
    record.close()

    for (header, content), expected in zip(unpacked, golden_json("labels")["records"], strict=True):
        fields = expected["header"]
        assert (fields["flag"], fields["id"], fields["id2"]) == (header.flag, header.id, header.id2)
        assert (float if header.flag == 0 else recordio.LabelVector) is type(header.label)
        assert np.array_equal(np.float32(expected["labels"]), np.ravel(header.label), equal_nan=True)
        assert (bytes, expected["content_length"]) == (type(content), len(content))


def test_one_label_of_a_vector_is_a_python_float() -> None:
    label = recordio.unpack(recordio.pack(IRHeader(0, [3, 0.1, 7], 5, 0), b""))[0].label

    assert [np.float64] * 5 == [type(value) for value in (label[0], label[-1], *label)]
    assert (3.0, np.float32(0.1)) == (label[0], label[1])
    assert isinstance(label[0], float)


def test_all_else_of_a_label_vector_is_a_plain_float32_array() -> None:
    label = recordio.unpack(recordio.pack(IRHeader(0, [3, 0.5, 7], 5, 0), b""))[0].label
    plain = [
        label[1:], label[[0, 2]], label[label > 1], label[None], np.asarray(label), label.copy(), label * 2, -label,
        label.reshape(-1, 1), copy.copy(label), copy.deepcopy(label), pickle.loads(pickle.dumps(label)),
        label.astype(np.float32),
    ]  # fmt: skip

    assert [(np.ndarray, np.dtype(np.float32))] * len(plain) == [(type(array), array.dtype) for array in plain]
    assert ([3.0, 0.5, 7.0], 10.5, "array([3. , 0.5, 7. ], dtype=float32)") == (
        label.tolist(),
        label.sum(),
        repr(label),
    )
    assert (True, 3, np.float32) == (label.flags.writeable, int(label[0]), type(np.add.reduce(label)))


FIELDS = b"\1" + bytes(7) + b"\2" + bytes(7)
ONE, TWO = b"\0\0\x80\x3f", b"\0\0\0\x40"


@pytest.mark.parametrize(
    ("label", "flag", "field", "vector"),
    [
        (1, 0, ONE, b""),
        (True, 0, ONE, b""),
        (np.int64(2), 0, TWO, b""),
        (np.float32(2), 0, TWO, b""),
        (1e39, 0, b"\0\0\x80\x7f", b""),
        ([], 0, bytes(4), b""),
        ([1], 1, bytes(4), ONE),
        ((1, 2), 2, bytes(4), ONE + TWO),
        (np.array([[1, 2], [2, 1]]), 4, bytes(4), ONE + TWO + TWO + ONE),
        (np.array(2), 1, bytes(4), TWO),
        (np.bool_(1), 1, bytes(4), ONE),
        ("2", 1, bytes(4), TWO),
        (["1", "2"], 2, bytes(4), ONE + TWO),
        (None, 1, bytes(4), b"\0\0\xc0\x7f"),
        (range(1, 3), 2, bytes(4), ONE + TWO),
    ],
)
def test_pack_writes_every_kind_of_label_as_mxnet_does(label: Any, flag: int, field: bytes, vector: bytes) -> None:
    assert bytes([flag, 0, 0, 0]) + field + FIELDS + vector + b"CC" == recordio.pack(IRHeader(9, label, 1, 2), b"CC")
    assert recordio.pack((9, label, np.int64(1), np.array(2)), bytearray(b"CC")).endswith(FIELDS + vector + b"CC")


def test_pack_refuses_what_no_record_can_hold() -> None:
    for header in ((0, 1j, 1, 0), (0, "x", 1, 0), (0, [[1], [2, 3]], 1, 0), (0, {1}, 1, 0)):
        assert "must be a number or a sequence of numbers" in message_of(recordio.pack, header, b"")
    for header in ((0, 1, 2**64, 0), (0, 1, -1, 0), (0, 1, 1.0, 0), (0, 1, 1, None), (0, 1, 1, "1")):
        assert "must be an integer from 0 to 18446744073709551615" in message_of(recordio.pack, header, b"")
    assert "content must be bytes, not str" == message_of(recordio.pack, (0, 1, 1, 0), "text")


def test_unpack_refuses_what_is_no_record() -> None:
    payload = recordio.pack(IRHeader(0, [1, 2, 3], 7, 0), b"")

    assert "expected 24 bytes of image header, found 10" == message_of(recordio.unpack, payload[:10])
    assert "expected 3 labels after the header, found 1" == message_of(recordio.unpack, payload[:30])
    assert "a record must be bytes, not None (read() gives None at the end of the file)" == message_of(
        recordio.unpack, None
    )
    with pytest.raises(ParameterError, match="a payload must be bytes, not str"):
        recordio.unpack("text")  # type: ignore[arg-type]


def test_the_constants_are_mxnets() -> None:
    assert ("IfQQ", 24, 24) == (recordio._IR_FORMAT, recordio._IR_SIZE, recordio.struct.calcsize("IfQQ"))
    assert ("flag", "label", "id", "id2") == IRHeader._fields

"""Files written by MXNet 1.9.1 are read as their recorded JSON describes them, and written again byte for byte."""

from __future__ import annotations

import hashlib
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import GOLDEN, GOLDEN_RECS, golden_bytes, golden_json, read_until_damage, scanned_blocks

from im2rec.errors import CorruptRecordError, IndexFormatError, ListFormatError
from im2rec.format.irheader import IRHeader, decode_image_record, encode_image_record, parse_header
from im2rec.format.listfile import ListEntry, read_list
from im2rec.format.recordio import BytesSource, encode_record, iter_parts, read_record, read_records
from im2rec.storage.blocks import Damage, RecordBlock
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import scan_damaged
from im2rec.storage.writer import RecordWriter

IMAGE_RECS = [name for name in GOLDEN_RECS if "header" in golden_json(name)["records"][0]]
INDEXED_RECS = [name for name in GOLDEN_RECS if (GOLDEN / f"{name}.idx").exists() and name != "indexed"]
DAMAGED = golden_json("damaged")["cases"]


def test_all_golden_files_are_present() -> None:
    assert 20 == len(GOLDEN_RECS)
    assert 15 == len(IMAGE_RECS)
    assert 12 == len(INDEXED_RECS)
    assert set(DAMAGED) - {"empty_file"} == set(ENDS)


def framing(source: BytesSource, ordinal: int, offset: int) -> dict[str, Any]:
    """Return the framing of one record, with the keys of the recorded JSON."""
    parts = iter_parts(source, offset)
    payload, end = read_record(source, offset)
    return {
        "ordinal": ordinal,
        "offset": offset,
        "disk_size": end - offset,
        "payload_length": len(payload),
        "parts": [
            {"offset": part.start - 8, "cflag": part.flag, "length": part.length, "padding": -part.length % 4}
            for part in parts
        ],
    }


def recorded(number: float) -> float | str:
    """Return *number* as the JSON contains it: ``"nan"``, ``"inf"`` or ``"-inf"`` if it is not finite."""
    return number if math.isfinite(number) else str(number)


def image_fields(payload: bytes) -> dict[str, Any]:
    """Return header, labels and content of an image record, with the keys of the recorded JSON."""
    raw, record = parse_header(payload), decode_image_record(payload)
    assert (raw.flag, raw.id, raw.id2) == (record.header.flag, record.header.id, record.header.id2)
    labels = [record.header.label] if raw.flag == 0 else record.header.label.tolist()
    return {
        "header": {"flag": raw.flag, "label_field": recorded(raw.label), "id": raw.id, "id2": raw.id2},
        "labels": [recorded(label) for label in labels],
        "label_source": "vector" if raw.flag else "field",
        "content_length": len(record.content),
        "content_sha256": hashlib.sha256(record.content).hexdigest(),
        "content_head_hex": record.content[:12].hex(),
    }


@pytest.mark.parametrize("name", GOLDEN_RECS)
def test_a_golden_file_is_read_as_its_json_and_encoded_to_its_bytes(name: str) -> None:
    data, expected = golden_bytes(f"{name}.rec"), golden_json(name)
    assert expected["sha256"] == hashlib.sha256(data).hexdigest()

    payloads = list(read_records(io.BytesIO(data)))
    described, offset = [], 0
    for ordinal, payload in enumerate(payloads):
        record = framing(BytesSource(data), ordinal, offset)
        record |= image_fields(payload) if name in IMAGE_RECS else {"payload_hex": payload.hex()}
        described.append(record)
        offset += record["disk_size"]

    for record in expected["records"]:
        record.pop("decoded", None)  # pixels, which are not the codec's subject
    assert expected["record_count"] == len(payloads)
    assert expected["file_size"] == offset
    assert expected["records"] == described

    assert data == b"".join(map(encode_record, payloads))
    for payload in payloads if name in IMAGE_RECS else ():
        header, content = decode_image_record(payload)
        # The C++ tool leaves the first label in the label field of a vector, Python's writer 0.0.
        first = float(header.label[0]) if header.flag and name.startswith("cpp_") else 0.0
        assert payload == encode_image_record(header, content, label_field=first)


def test_a_scan_finds_the_records_and_ids_of_every_golden_file() -> None:
    for name in GOLDEN_RECS:
        expected = golden_json(name)["records"]
        # Payloads shorter than an image header have no id: the keys are ordinals then.
        ids = [record["header"]["id"] if name in IMAGE_RECS else record["ordinal"] for record in expected]
        payloads = list(read_records(io.BytesIO(golden_bytes(f"{name}.rec"))))
        with RecordFile(GOLDEN / f"{name}.rec", index=False) as rec:
            (block,) = scanned_blocks(rec._file)
            assert (name, [record["offset"] for record in expected]) == (name, rec.offsets.tolist())
            assert (name, ids) == (name, rec.keys.tolist())
            assert payloads == [rec.payload(ordinal) for ordinal in range(len(rec))]
            assert [record["payload_length"] for record in expected] == block.sizes
            split = {record["ordinal"]: len(record["parts"]) for record in expected if len(record["parts"]) > 1}
            assert (name, split) == (name, block.split)


def test_every_golden_pair_is_opened_by_its_index_and_written_again(tmp_path: Path) -> None:
    for name in INDEXED_RECS:
        again = tmp_path / f"{name}.rec"
        index = golden_bytes(f"{name}.idx")
        pairs = [tuple(map(int, line.split(b"\t"))) for line in index.splitlines()]
        with RecordFile(GOLDEN / f"{name}.rec") as rec, RecordWriter(again) as writer:
            assert GOLDEN / f"{name}.idx" == rec.index_path
            assert (name, pairs) == (name, list(zip(rec.keys.tolist(), rec.offsets.tolist(), strict=True)))
            assert [offset for _, offset in pairs] == [
                writer.write(rec.payload(ordinal), key=key) for ordinal, (key, _) in enumerate(pairs)
            ]
        assert golden_bytes(f"{name}.rec") == again.read_bytes()
        assert index == again.with_suffix(".idx").read_bytes()


def test_the_offsets_of_a_writer_are_those_that_mxnets_tell_returned(tmp_path: Path) -> None:
    expected = golden_json("indexed")

    with RecordWriter(tmp_path / "out.rec") as writer:
        offsets = []
        for key, record in zip(expected["keys_in_file_order"], expected["records"], strict=True):
            writer.write(bytes.fromhex(record["payload_hex"]), key=min(key, 2**64 - 1))
            offsets.append(writer.offset)

    assert expected["tell_after_each_write"] == offsets
    assert golden_bytes("indexed.rec") == (tmp_path / "out.rec").read_bytes()


def test_an_index_key_above_64_bits_from_mxnets_python_writer_is_reported_with_its_line() -> None:
    with pytest.raises(IndexFormatError) as caught:
        RecordFile(GOLDEN / "indexed.rec")

    problem = "line 6: the key 18446744073709551616 is above 2^64 - 1 (with index=False the .rec is scanned instead)"
    assert f"{GOLDEN / 'indexed.idx'}, {problem}" == str(caught.value)


def test_keys_find_the_records_that_mxnets_read_idx_found(tmp_path: Path) -> None:
    # MXNet's keys are any integers; ours end at 2^64 - 1, which replaces the one that is larger.
    expected = golden_json("indexed")
    index = expected["idx_text"].replace("18446744073709551616", "18446744073709551615")
    (tmp_path / "some.idx").write_bytes(index.encode())

    with RecordFile(GOLDEN / "indexed.rec", index=tmp_path / "some.idx") as rec:
        for key, payload in expected["read_idx"].items():
            ordinal = rec.ordinal_of(min(int(key), 2**64 - 1))
            assert payload == rec.payload(ordinal).hex()
            assert expected["offset_by_key_last_wins"][key] == rec.offsets[ordinal]


CONTENT = b"\x01\x02\x03CONTENT"
LABELS: list[tuple[IRHeader, bytes]] = [
    (IRHeader(0, 3, 7), CONTENT),
    (IRHeader(0, 3.5, 8, 9), CONTENT),
    (IRHeader(0, [1, 2, 3], 9), CONTENT),
    (IRHeader(0, [1.0], 10), CONTENT),
    (IRHeader(5, [], 11), CONTENT),  # an empty list is stored like the number 0
    (IRHeader(0, np.array([[1, 2], [3, 4]]), 12), CONTENT),
    (IRHeader(9, 16777217, 13), CONTENT),  # float32 has no such integer; and the caller's flag is ignored
    (IRHeader(0, -1.25, 2**64 - 1, 2**64 - 1), CONTENT),
    (IRHeader(0, (0.1, 1e39, -0.0), 14), CONTENT),
    (IRHeader(0, np.arange(20), 15), CONTENT),
    (IRHeader(0, np.array([np.frombuffer(b"\x0a\x23\xd7\xce", "<f4")[0], 5]), 16), b"\x0a\x23\xd7\xce" + CONTENT),
    (IRHeader(0, True, 17), b""),
]


def test_every_label_form_is_encoded_as_mxnet_did() -> None:
    data, expected = golden_bytes("labels.rec"), golden_json("labels")["records"]

    for record, form in zip(expected, LABELS, strict=True):
        stored = data[record["offset"] : record["offset"] + record["disk_size"]]
        assert (record["ordinal"], stored) == (record["ordinal"], encode_record(encode_image_record(*form)))


# name: payloads before the damage, offset and problem of the error, payloads found after the damage
ENDS: dict[str, tuple[list[bytes], int, str, list[bytes]]] = {
    "truncated_payload": ([b"aaaa", b"bbbb"], 32, "expected 4 bytes of data and padding, found 3", []),
    "truncated_header": ([b"aaaa", b"bbbb"], 24, "expected 8 bytes of part head, found 4", []),
    "four_byte_file": ([], 0, "expected 8 bytes of part head, found 4", []),
    "inserted_zero_word": ([b"aaaa"], 12, "expected the magic 0a 23 d7 ce, found 00 00 00 00", [b"bbbb", b"cccc"]),
    "overwritten_magic": ([b"aaaa"], 12, "expected the magic 0a 23 d7 ce, found 00 00 00 00", [b"cccc"]),
    "missing_padding": ([], 8, "expected 4 bytes of data and padding, found 3", []),
    "nonzero_padding": ([], 11, "expected zero padding, found 5a", []),
    "start_without_end": ([], 12, "expected another part of the record, found the end of the file", []),
    "middle_first": ([], 0, "expected the start of a record, found a part with flag 2", []),
    "end_alone": ([], 0, "expected the start of a record, found a part with flag 3", []),
    "start_then_complete": (
        [],
        12,
        "expected a middle or last part of the record at byte 0, found a new record",
        [b"b"],
    ),
    "start_start_end": ([], 12, "expected a middle or last part of the record at byte 0, found a new record", []),
    "cflag4": ([], 4, "expected a part flag from 0 to 3, found 4", [b"b"]),
    "cflag7": ([], 4, "expected a part flag from 0 to 3, found 7", [b"b"]),
    "unaligned_part": ([], 4, "expected a multiple of 4 bytes before a cut, found 5", []),
    "length_past_end": ([], 8, "expected 536870912 bytes of data and padding, found 4", []),
    "trailing_3_bytes": ([b"aaaa", b"bbbb", b"cccc"], 36, "expected 8 bytes of part head, found 3", []),
    "trailing_8_zeros": ([b"aaaa", b"bbbb", b"cccc"], 36, "expected the magic 0a 23 d7 ce, found 00 00 00 00", []),
    "trailing_12_zeros": ([b"aaaa", b"bbbb", b"cccc"], 36, "expected the magic 0a 23 d7 ce, found 00 00 00 00", []),
    "start_cut_by_new_record": (
        [b"aaaa"],
        24,
        "expected a middle or last part of the record at byte 12, found a new record",
        [b"bbbb", b"cccc"],
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_damaged_file_gives_its_whole_records_then_an_error(name: str, tmp_path: Path) -> None:
    whole, offset, problem, _ = ENDS[name]
    data, reads = bytes.fromhex(DAMAGED[name]["file_hex"]), DAMAGED[name]["reads"]
    # MXNet reads the same records before the damage; then, where we stop, it joins bytes of several records to one.
    assert [payload.hex() for payload in whole] == [read["payload_hex"] for read in reads[: len(whole)]]

    payloads, error = read_until_damage(io.BytesIO(data))
    assert whole == payloads
    assert error is not None
    assert (offset, problem) == (error.offset, error.problem)

    path = tmp_path / "damaged.rec"
    path.write_bytes(data)
    with RecordFile(path) as rec:  # which opens, and fails in the place of the damage
        assert whole == [rec.payload(ordinal) for ordinal in range(len(whole))]
        with pytest.raises(CorruptRecordError) as caught:
            rec.payload(len(whole))
        assert [len(whole)] == rec.lost.tolist()
        lost = f"is lost in the damaged bytes {rec.damage[0].start} to {rec.damage[0].end}: {problem}"
    assert f"{path}, record {len(whole)}, byte {offset}: {lost}" == str(caught.value).partition(" (")[0]
    assert caught.value.hint


@pytest.mark.parametrize("name", ENDS)
def test_a_scan_of_a_damaged_file_resumes_after_the_damage(name: str) -> None:
    before, offset, problem, after = ENDS[name]
    source = BytesSource(bytes.fromhex(DAMAGED[name]["file_hex"]))

    items = list(scan_damaged(source))

    offsets = [offset for block in items if isinstance(block, RecordBlock) for offset in block.offsets]
    (damage,) = (damage for damage in items if isinstance(damage, Damage))
    assert [*before, *after] == [read_record(source, offset)[0] for offset in offsets]
    assert (offset, problem) == (damage.error.offset, damage.error.problem)
    assert len(before) == damage.error.record
    assert damage.start <= offset <= damage.end


def test_a_list_with_unusual_lines_is_read_as_mxnet_read_it() -> None:
    with (GOLDEN / "lst_oddities.lst").open(encoding="utf-8") as lines:
        items = list(read_list(lines))
    expected = golden_json("lst_oddities")["records"]

    entries = {entry.line: entry for entry in items if isinstance(entry, ListEntry)}
    # Accepted on purpose, where im2rec.py skips: a line split at blanks, as the C++ tool does.
    assert ListEntry(6, 4, (1.0,), "top.png") == entries.pop(6)
    assert [1, 10, 11, 12, 15] == list(entries)
    assert [record["header"]["id"] for record in expected] == [entry.id for entry in entries.values()]
    assert [record["labels"] for record in expected] == [
        [recorded(label) for label in entry.labels] for entry in entries.values()
    ]
    assert ["top.png"] * 4 + ["with space/im 1.png"] == [entry.path for entry in entries.values()]
    assert [
        "line 5: expected an integer as id, found 'x'",
        "line 7: column 2 is empty (fill in the value; a single TAB separates two columns)",
        "line 8: column 3 is empty (fill in the value; a single TAB separates two columns)",
        "line 9: expected a number as label, found 'a'",
        "line 13: expected an integer as id, found '11.0'",
        "line 14: expected id, labels and path, found 2 fields (write id TAB label TAB path)",
    ] == [str(error) for error in items if isinstance(error, ListFormatError)]


def test_every_golden_list_gives_the_ids_and_labels_of_its_records() -> None:
    names = [name for name in IMAGE_RECS if "lst" in golden_json(name) and name != "lst_oddities"]
    assert 13 == len(names)
    for name in names:
        expected = golden_json(name)
        lines = io.StringIO(expected["lst"], newline=None)
        entries = [entry for entry in read_list(lines) if isinstance(entry, ListEntry)]
        assert (name, [record["header"]["id"] for record in expected["records"]]) == (name, [e.id for e in entries])
        for record, entry in zip(expected["records"], entries, strict=True):
            assert record["labels"] == list(entry.labels[: len(record["labels"])])  # packing dropped the others
            assert (GOLDEN / "images" / entry.path).is_file()

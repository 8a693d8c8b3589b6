"""Laws of the codec, for payloads with magics at any alignment, damaged files, indexes and lists of any content."""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import bounds, image_payload, index_text, joined, read_until_damage, scanned_blocks, write_rec
from hypothesis import given, settings
from hypothesis import strategies as st

from im2rec.errors import CorruptRecordError, Im2RecError, IndexFormatError, ListFormatError
from im2rec.format.heads import MAGIC
from im2rec.format.indexfile import index_line, read_index
from im2rec.format.irheader import HEADER_BYTES, IRHeader, decode_image_record, encode_image_record
from im2rec.format.listfile import ListEntry, is_listable, list_line, read_list
from im2rec.format.recordio import (
    BytesSource,
    decode_record,
    encode_record,
    iter_parts,
    measure,
    read_record,
    read_records,
)
from im2rec.format.resync import RecordFinder
from im2rec.storage.blocks import Damage, RecordBlock
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import scan_damaged
from im2rec.storage.writer import RecordWriter

LAW = settings(max_examples=30)  # most laws test every offset of an example; all of them take a second

# The first piece is empty, so that hypothesis shrinks a failing example to few and short payloads.
PIECES = [b"", MAGIC, MAGIC, MAGIC, b"ghij", b"a", b"bc", b"def", MAGIC[:3], MAGIC[2:], b"\0"]
END_CODES = 3  # after the codes of the pieces: a payload has 4 pieces on average


def payload_of(codes: bytes) -> bytes:
    """Join at most 8 pieces, which is not enough for two whole records inside a payload.

    The last byte is never 0, which padding would hide.
    """
    return b"".join(PIECES[code % len(PIECES)] for code in codes[:8]).rstrip(b"\0")


def payloads_of(codes: bytes) -> list[bytes]:
    """Return the payloads that *codes* stand for, one or more."""
    payloads = [bytearray()]
    for code in codes:
        kind = code % (len(PIECES) + END_CODES)
        if kind < len(PIECES):
            payloads[-1].append(kind)
        else:
            payloads.append(bytearray())
    return list(map(payload_of, payloads))


# From bytes, which hypothesis draws ten times faster than lists of lists. Of many, as it prefers the fewest allowed.
PAYLOADS = st.binary(min_size=4, max_size=8).map(payload_of)
FILES_WITH_RECORDS = st.binary(min_size=24, max_size=40).map(payloads_of)
FILES = st.just([]) | FILES_WITH_RECORDS
IDS = st.integers(0, 2**64 - 1)
ANYWHERE = st.integers(0, 10_000)  # taken modulo the number of possible offsets or ordinals

DAMAGES = st.lists(
    st.tuples(ANYWHERE, st.integers(0, 12), st.sampled_from([b"", MAGIC, bytes(4)]) | st.binary(max_size=12)),
    min_size=1,
    max_size=3,
)


def damaged(data: bytes, damages: list[tuple[int, int, bytes]]) -> bytes:
    """Replace, for each (offset, size, replacement), *size* bytes of *data*: overwritten, lost or added."""
    for offset, size, replacement in damages:
        at = offset % (len(data) + 1)
        data = data[:at] + replacement + data[at + size :]
    return data


def record_starts(data: bytes) -> Iterator[int]:
    """Yield the offset of each record of an undamaged file."""
    offset = 0
    while offset < len(data):
        yield offset
        offset = read_record(BytesSource(data), offset)[1]


def encoded_by_the_specification(payload: bytes) -> bytes:
    """Encode *payload* by section 2 of the specification, step by step."""
    frame, start = b"", 0
    for i in range(0, len(payload) - 3, 4):
        if payload[i : i + 4] == MAGIC:
            flag = 1 if start == 0 else 2
            frame += struct.pack("<II", 0xCED7230A, flag << 29 | i - start) + payload[start:i]
            start = i + 4
    flag, rest = 3 if start else 0, payload[start:]
    return frame + struct.pack("<II", 0xCED7230A, flag << 29 | len(rest)) + rest + bytes(-len(rest) % 4)


# Records


@LAW
@given(payloads=FILES, offset=st.integers(0, 2**40))
def test_payloads_are_encoded_as_specified_and_decoded_unchanged(payloads: list[bytes], offset: int) -> None:
    frames = list(map(encode_record, payloads))

    assert list(map(encoded_by_the_specification, payloads)) == frames
    assert payloads == [decode_record(frame, offset=offset) for frame in frames]


def test_payloads_with_magics_at_any_two_offsets_are_decoded_unchanged() -> None:
    for size in range(18):
        for first, second in itertools.product(range(size + 1), repeat=2):
            payload = bytearray(b"z" * size)
            payload[first : first + 4] = MAGIC
            payload[second : second + 4] = MAGIC
            assert bytes(payload) == decode_record(encode_record(bytes(payload)))


@LAW
@given(payloads=FILES)
def test_aligned_magics_of_a_file_are_at_the_starts_of_parts_only(payloads: list[bytes]) -> None:
    data = joined(payloads)

    offsets = [at for at in range(0, len(data), 4) if data[at : at + 4] == MAGIC]

    assert offsets == [part.start - 8 for at in record_starts(data) for part in iter_parts(BytesSource(data), at)]


@LAW
@given(payloads=FILES)
def test_parts_are_disjoint_and_cover_the_file(payloads: list[bytes]) -> None:
    data = joined(payloads)
    covered = 0
    for start in record_starts(data):
        for part in iter_parts(BytesSource(data), start):
            assert covered == part.start - 8
            assert 0 <= part.end - part.start - part.length < 4
            covered = part.end
    assert len(data) == covered


@LAW
@given(first=FILES, second=FILES)
def test_concatenated_files_contain_the_records_of_both(first: list[bytes], second: list[bytes]) -> None:
    assert [*first, *second] == list(read_records(io.BytesIO(joined(first) + joined(second))))


LARGE_PAYLOADS = st.sampled_from([b"x" * 3000, b"y" * 5000, MAGIC * 1250 + b"z", b"z" * 50_000])


@settings(max_examples=15)
@given(small=FILES, large=st.lists(LARGE_PAYLOADS, max_size=3), more=FILES)
def test_a_scan_finds_the_records_that_reading_finds(small: list[bytes], large: list[bytes], more: list[bytes]) -> None:
    payloads = small + large + more
    data = joined(payloads)

    blocks = scanned_blocks(BytesSource(data))

    assert list(map(len, payloads)) == [size for block in blocks for size in block.sizes]
    assert list(record_starts(data)) == [offset for block in blocks for offset in block.offsets]
    fronts = [front.tobytes() for block in blocks for front in block.fronts]
    assert [payload[:56] for payload in payloads] == [
        front[8 : 8 + len(payload)] for front, payload in zip(fronts, payloads, strict=True)
    ]


# Damage


@settings(max_examples=15)
@given(payloads=FILES_WITH_RECORDS)
def test_a_file_cut_at_any_byte_gives_its_whole_records_then_an_error_at_the_cut(payloads: list[bytes]) -> None:
    data, ends = joined(payloads), bounds(payloads)
    for cut in range(len(data)):
        whole = bisect.bisect_right(ends, cut) - 1

        read, error = read_until_damage(io.BytesIO(data[:cut]))

        assert payloads[:whole] == read
        if cut == ends[whole]:
            assert error is None  # cut between records: a shorter file, not a corrupt one
            continue
        assert error is not None
        assert ends[whole] <= error.offset <= cut
        *blocks, damage = scan_damaged(BytesSource(data[:cut]))
        assert ends[:whole] == [offset for block in blocks for offset in block.offsets]
        assert (error.offset, error.problem) == (damage.error.offset, damage.error.problem)
        assert (ends[whole], cut, whole) == (damage.start, damage.end, damage.error.record)


@LAW
@given(payloads=FILES_WITH_RECORDS, flip=st.sampled_from([1 << bit for bit in range(8)]) | st.integers(1, 255))
def test_a_changed_byte_in_any_head_is_an_error_or_gives_another_valid_file(payloads: list[bytes], flip: int) -> None:
    data, ends = joined(payloads), bounds(payloads)
    heads = [part.start - 8 for start in ends[:-1] for part in iter_parts(BytesSource(data), start)]
    for at in (head + byte for head in heads for byte in range(8)):
        changed = bytearray(data)
        changed[at] ^= flip
        ordinal = bisect.bisect_right(ends, at) - 1

        read, error = read_until_damage(io.BytesIO(bytes(changed)))

        assert payloads[:ordinal] == read[:ordinal]
        if error is None:
            assert joined(read) == bytes(changed)  # every byte of the changed file was read
        else:
            assert ends[ordinal] <= error.offset <= len(data)


def test_a_length_that_covers_the_next_record_is_an_error() -> None:
    # All heads are valid and the next record starts after it, but no writer leaves an aligned magic inside a part.
    data = bytearray(joined([b"1234", b"five", b"nine"]))
    data[4] += 12

    read, error = read_until_damage(io.BytesIO(bytes(data)))

    assert [] == read
    assert error is not None
    assert 4 == error.offset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


@LAW
@given(contents=FILES_WITH_RECORDS, damages=DAMAGES, index_damages=st.just([]) | DAMAGES)
def test_damage_of_any_kind_raises_im2recerror_only(
    folder: Path,
    contents: list[bytes],
    damages: list[tuple[int, int, bytes]],
    index_damages: list[tuple[int, int, bytes]],
) -> None:
    payloads = [image_payload(n, content=content) for n, content in enumerate(contents)]
    data = damaged(joined(payloads), damages)
    path = folder / "damaged.rec"
    path.write_bytes(data)
    path.with_suffix(".idx").write_bytes(damaged(index_text(bounds(payloads)[:-1]), index_damages))

    read_until_damage(io.BytesIO(data))
    for index in (None, False):
        with contextlib.suppress(Im2RecError), RecordFile(path, index=index) as rec:
            for ordinal in range(len(rec)):
                with contextlib.suppress(CorruptRecordError):
                    rec.payload(ordinal)
            rec.read_many(range(len(rec)))


@LAW
@given(payloads=FILES_WITH_RECORDS, damages=DAMAGES)
def test_records_and_damages_cover_a_damaged_file_without_gaps(
    payloads: list[bytes], damages: list[tuple[int, int, bytes]]
) -> None:
    data = damaged(joined(payloads), damages)
    covered = 0
    for item in scan_damaged(BytesSource(data)):
        if isinstance(item, Damage):
            assert covered == item.start < item.end <= len(data)
            covered = item.end
            continue
        for offset in item.offsets:
            assert covered == offset
            covered = measure(BytesSource(data), offset).end
    assert len(data) == covered


HEAD_DAMAGES = [b"", bytes(8), b"x" * 7, b"y" * 9, b"w" * 11, MAGIC + b"\xff" * 4]


@LAW
@given(payloads=FILES_WITH_RECORDS, replacement=st.sampled_from(HEAD_DAMAGES))
def test_after_a_damaged_head_the_next_whole_record_is_found(payloads: list[bytes], replacement: bytes) -> None:
    # A magic and zeros would be a whole record of no bytes, wherever they are.
    payloads = [payload.replace(b"\0", b"") for payload in payloads]
    damaged_ordinals = range(len(payloads))
    payloads += [b"first", b"second", b"third"]  # after a shift by 1 to 3 bytes, one record is not enough
    ends = bounds(payloads)
    for ordinal in damaged_ordinals:
        head, following = ends[ordinal], ends[ordinal + 1]
        data = joined(payloads)
        data = data[:head] + replacement + data[head + 8 :]

        offset = RecordFinder(BytesSource(data)).first(head, len(data), 0)

        # Neither a later part of the damaged record nor a magic in its data may be taken for a record.
        assert following + len(replacement) - 8 == offset
        assert payloads[ordinal + 1] == read_record(BytesSource(data), offset)[0]


@LAW
@given(payloads=FILES_WITH_RECORDS)
def test_a_scan_skips_the_damaged_record_only(payloads: list[bytes]) -> None:
    ends = bounds(payloads)
    for ordinal in range(len(payloads)):
        data = damaged(joined(payloads), [(ends[ordinal], 4, bytes(4))])

        items = list(scan_damaged(BytesSource(data)))

        offsets = [offset for block in items if isinstance(block, RecordBlock) for offset in block.offsets]
        assert ends[:ordinal] + ends[ordinal + 1 : -1] == offsets
        (damage,) = (item for item in items if isinstance(item, Damage))
        assert (ends[ordinal], ends[ordinal + 1]) == (damage.start, damage.end)
        assert ordinal == damage.error.record


# Indexes


@LAW
@given(
    pairs=st.lists(st.tuples(IDS, st.integers(0, 2**63 - 1)), max_size=10),
    separator=st.sampled_from([b"\t", b" ", b" \t"]),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"]),
    last_end=st.booleans(),
)
def test_an_index_of_any_keys_and_offsets_is_read_as_it_was_written(
    pairs: list[tuple[int, int]], separator: bytes, line_end: bytes, *, last_end: bool
) -> None:
    text = b"".join(index_line(key, offset) for key, offset in pairs)
    text = text.replace(b"\t", separator).replace(b"\n", line_end)

    keys, offsets = read_index(io.BytesIO(text if last_end else text[:-1]))

    assert pairs == list(zip(keys.tolist(), offsets.tolist(), strict=True))


@LAW
@given(codes=st.binary(max_size=12))
def test_an_index_of_any_bytes_is_read_or_is_an_index_format_error(codes: bytes) -> None:
    text = bytes(b"0123456789\t\t\n\n \r-x\xff"[code % 19] for code in codes)
    try:
        keys, _ = read_index(io.BytesIO(text))
    except IndexFormatError as error:
        assert error.line in range(1, text.count(b"\n") + 2)  # noqa: PT017 - most texts are errors, some are not
    else:
        assert 2 * len(keys) == len(text.split())


# Lists

LABELS = st.lists(st.floats(allow_nan=False), min_size=1, max_size=4).map(tuple)
PATHS = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=[]), min_size=1, max_size=12).map(
    lambda text: text.strip(" \v\f") or "x"
)


@LAW
@given(images=st.lists(st.tuples(IDS, LABELS, PATHS), max_size=5))
def test_a_list_of_any_labels_and_paths_is_read_as_it_was_written(
    images: list[tuple[int, tuple[float, ...], str]],
) -> None:
    lines = [list_line(*image) for image in images]

    entries = [ListEntry(line, *image) for line, image in enumerate(images, 1)]
    assert all(is_listable(path) for _, _, path in images)
    assert entries == list(read_list(lines))
    assert entries == list(read_list(line.rstrip("\n") + " \r\n" for line in lines))


@LAW
@given(codes=st.binary(max_size=60))
def test_each_line_of_any_text_is_skipped_read_or_an_error(codes: bytes) -> None:
    lines = "".join("01.x \t#-\u00a0\n"[code % 10] for code in codes).split("\n")
    items = list(read_list(lines))

    assert {type(item) for item in items} <= {ListEntry, ListFormatError}
    images = [n for n, line in enumerate(lines, 1) if line.strip(" \t") and not line.strip(" \t").startswith("#")]
    assert images == [item.line for item in items]


# Image records


@LAW
@given(
    labels=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=8),
    ids=st.tuples(IDS, IDS),
    content=PAYLOADS,
)
def test_an_image_record_is_decoded_with_the_labels_and_ids_it_was_encoded_with(
    labels: list[float], ids: tuple[int, int], content: bytes
) -> None:
    vector = np.array(labels, np.float32)
    header, decoded = decode_image_record(encode_image_record(IRHeader(0, vector, *ids), content))
    number = decode_image_record(encode_image_record(IRHeader(7, labels[0], *ids), content))

    assert content == decoded
    assert (len(labels), *ids) == (header.flag, header.id, header.id2)
    assert vector.tobytes() == header.label.tobytes()
    assert (IRHeader(0, labels[0], *ids), content) == number


@LAW
@given(flag=st.sampled_from([0, 1, 3]) | st.integers(0, 2**32 - 1), rest=st.binary(max_size=60))
def test_a_payload_of_any_bytes_is_an_image_record_or_is_corrupt(flag: int, rest: bytes) -> None:
    payload = struct.pack("<I", flag) + rest
    try:
        header, content = decode_image_record(payload)
    except CorruptRecordError:
        assert len(payload) < HEADER_BYTES + 4 * flag
    else:
        assert len(payload) == HEADER_BYTES + 4 * header.flag + len(content)


# Files


@settings(max_examples=10)
@given(
    records=st.lists(st.tuples(IDS, PAYLOADS, st.integers(0, 5)), min_size=1, max_size=10),
    ordinals=st.lists(ANYWHERE, max_size=20),
)
def test_a_reader_reads_what_a_writer_wrote(
    folder: Path, records: list[tuple[int, bytes, int]], ordinals: list[int]
) -> None:
    payloads = [image_payload(id_, content=content) for id_, content, _ in records]
    keys = [key for _, _, key in records]
    with RecordWriter(folder / "written.rec", force=True) as writer:
        offsets = [writer.write(payload, key=key) for payload, key in zip(payloads, keys, strict=True)]
    by_hand = write_rec(folder / "by_hand.rec", payloads, keys=keys)

    assert by_hand.read_bytes() == writer.path.read_bytes()
    assert by_hand.with_suffix(".idx").read_bytes() == writer.index_path.read_bytes()
    with RecordFile(writer.path) as rec, RecordFile(writer.path, index=False) as scanned:
        assert offsets == rec.offsets.tolist() == scanned.offsets.tolist()
        assert keys == rec.keys.tolist()
        assert payloads == [rec.payload(ordinal) for ordinal in range(len(rec))]
        last = {key: ordinal for ordinal, key in enumerate(keys)}
        assert last == {key: rec.ordinal_of(key) for key in last}
        requested = [ordinal % (2 * len(rec)) - len(rec) for ordinal in ordinals]  # negative ones count from the end
        assert [decode_image_record(payloads[ordinal]) for ordinal in requested] == rec.read_many(requested)

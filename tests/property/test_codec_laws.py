"""Laws of the codec over seeded random input; every payload is planted with magics, aligned and not."""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
import random
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from helpers import bounds, image_payload, index_text, joined, planted_payload, read_until_damage, write_rec

from im2rec.errors import CorruptRecordError, Im2RecError, IndexFormatError, ListFormatError
from im2rec.format.indexfile import index_line, read_index
from im2rec.format.irheader import HEADER_BYTES, IRHeader, decode_image_record, encode_image_record
from im2rec.format.listfile import ListEntry, is_listable, list_line, read_list
from im2rec.format.recordio import (
    MAGIC,
    BytesSource,
    decode_record,
    encode_record,
    find_record,
    read_parts,
    read_record,
    read_records,
)
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import Damage, RecordBlock, scan, scan_damaged
from im2rec.storage.writer import RecordWriter


def planted(rng: random.Random, count: int, longest: int = 40) -> list[bytes]:
    return [planted_payload(rng, longest) for _ in range(count)]


def encoded_by_the_book(payload: bytes) -> bytes:
    """Section 2 of the specification, word by word."""
    frame, start = b"", 0
    for i in range(0, len(payload) - 3, 4):
        if payload[i : i + 4] == MAGIC:
            flag = 1 if start == 0 else 2
            frame += struct.pack("<II", 0xCED7230A, flag << 29 | i - start) + payload[start:i]
            start = i + 4
    flag, rest = 3 if start else 0, payload[start:]
    return frame + struct.pack("<II", 0xCED7230A, flag << 29 | len(rest)) + rest + bytes(-len(rest) % 4)


@pytest.mark.parametrize("seed", range(2))
def test_a_payload_is_framed_by_the_book_and_comes_back(seed: int) -> None:
    rng = random.Random(seed)
    for payload in planted(rng, 1000):
        frame = encode_record(payload)
        assert encoded_by_the_book(payload) == frame
        assert payload == decode_record(frame, offset=rng.randrange(0, 2**40, 4))


def test_a_magic_at_every_place_of_a_payload_comes_back() -> None:
    for size in range(18):
        for first, second in itertools.product(range(size + 1), repeat=2):
            payload = bytearray(b"z" * size)
            payload[first : first + 4] = MAGIC
            payload[second : second + 4] = MAGIC
            assert bytes(payload) == decode_record(encode_record(bytes(payload)))


def test_no_aligned_magic_stands_in_a_file_but_at_the_start_of_a_part() -> None:
    data = joined(planted(random.Random(1), 300))

    offsets = [at for at in range(0, len(data), 4) if data[at : at + 4] == MAGIC]

    assert offsets == [part.start - 8 for at in record_starts(data) for part in read_parts(BytesSource(data), at)]


def record_starts(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        yield at
        at = read_record(BytesSource(data), at)[1]


def test_parts_are_disjoint_and_cover_the_file() -> None:
    data = joined(planted(random.Random(2), 300))
    at = 0
    for start in record_starts(data):
        for part in read_parts(BytesSource(data), start):
            assert at == part.start - 8
            assert 0 <= part.end - part.start - part.length < 4
            at = part.end
    assert len(data) == at


def test_files_put_together_hold_the_records_of_both() -> None:
    rng = random.Random(3)
    for _ in range(50):
        first, second = planted(rng, rng.randrange(6)), planted(rng, rng.randrange(6))
        assert [*first, *second] == list(read_records(io.BytesIO(joined(first) + joined(second))))


@pytest.mark.parametrize("seed", range(2))
def test_a_cut_file_yields_its_whole_records_then_names_the_byte(seed: int) -> None:
    payloads = planted(random.Random(seed), 16)
    data, ends = joined(payloads), bounds(payloads)
    for cut in range(len(data)):
        whole = bisect.bisect_right(ends, cut) - 1

        found, error = read_until_damage(io.BytesIO(data[:cut]))

        assert payloads[:whole] == found
        if cut == ends[whole]:
            assert error is None  # cut between records: a shorter file, not a corrupt one
            continue
        assert error is not None
        assert ends[whole] <= error.offset <= cut
        with pytest.raises(CorruptRecordError) as caught:
            list(scan(BytesSource(data[:cut])))
        assert (error.offset, error.problem, whole) == (caught.value.offset, caught.value.problem, caught.value.record)


@pytest.mark.parametrize("seed", range(2))
def test_a_scan_finds_what_reading_finds(seed: int) -> None:
    rng = random.Random(seed)
    payloads = planted(rng, 300) + [rng.randbytes(rng.choice([0, 3000, 5000, 50_000])) for _ in range(10)]
    rng.shuffle(payloads)
    data = joined(payloads)

    blocks = list(scan(BytesSource(data)))

    assert list(map(len, payloads)) == [size for block in blocks for size in block.sizes]
    assert list(record_starts(data)) == [offset for block in blocks for offset in block.offsets]
    fronts = np.concatenate([block.fronts for block in blocks])
    assert [payload[:56] for payload in payloads] == [
        front.tobytes()[8 : 8 + len(payload)] for front, payload in zip(fronts, payloads, strict=True)
    ]


@pytest.mark.parametrize("seed", range(2))
def test_a_flipped_byte_in_a_head_is_an_error_or_gives_another_valid_file(seed: int) -> None:
    rng = random.Random(seed)
    payloads = planted(rng, 10)
    data, ends = joined(payloads), bounds(payloads)
    heads = [part.start - 8 for start in ends[:-1] for part in read_parts(BytesSource(data), start)]
    for at in (head + n for head in heads for n in range(8)):
        ordinal = bisect.bisect_right(ends, at) - 1
        for flip in {1 << bit for bit in range(8)} | {rng.randrange(1, 256) for _ in range(12)}:
            bad = bytearray(data)
            bad[at] ^= flip

            found, error = read_until_damage(io.BytesIO(bytes(bad)))

            assert payloads[:ordinal] == found[:ordinal]
            if error is not None:
                assert ends[ordinal] <= error.offset <= len(data)
            else:
                assert joined(found) == bytes(bad)  # what was read is what the file says, down to its last byte


def test_a_length_that_swallows_the_next_record_is_an_error() -> None:
    # Heads and chain are right again behind it, but no writer leaves an aligned magic inside a part.
    data = bytearray(joined([b"1234", b"five", b"nine"]))
    data[4] += 12

    found, error = read_until_damage(io.BytesIO(bytes(data)))

    assert [] == found
    assert error is not None
    assert error.offset in range(20)


@pytest.mark.parametrize("seed", range(2))
def test_damage_of_any_kind_raises_no_error_but_ours(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(seed)
    path = tmp_path_factory.mktemp("damage") / "some.rec"
    for _ in range(120):
        payloads = [image_payload(n, content=planted_payload(rng)) for n in range(8)]
        index = bytearray(index_text(bounds(payloads)[:-1]))
        data = damaged(rng, joined(payloads))
        if rng.random() < 0.3:
            index[rng.randrange(len(index))] = rng.randrange(256)
        path.write_bytes(data)
        path.with_suffix(".idx").write_bytes(index)

        read_until_damage(io.BytesIO(data))
        for use_index in (None, False):
            with contextlib.suppress(Im2RecError), RecordFile(path, index=use_index) as rec:
                for ordinal in range(len(rec)):
                    with contextlib.suppress(CorruptRecordError):
                        rec.payload(ordinal)
                rec.read_many(range(len(rec)))


def damaged(rng: random.Random, data: bytes) -> bytes:
    """*data* with a few bytes overwritten, lost or added."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at, size = rng.randrange(len(out) + 1), rng.randrange(1, 13)
        match rng.randrange(3):
            case 0:
                out[at : at + size] = rng.randbytes(len(out[at : at + size]))
            case 1:
                out[at : at + size] = b""
            case _:
                out[at:at] = rng.choice([bytes(size), rng.randbytes(size), MAGIC])
    return bytes(out)


@pytest.mark.parametrize("seed", range(2))
def test_records_and_damages_tile_a_damaged_file(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(160):
        data = damaged(rng, joined(planted(rng, 20)))
        at = 0
        for item in scan_damaged(BytesSource(data)):
            if isinstance(item, Damage):
                assert at == item.start < item.end <= len(data)
                at = item.end
                continue
            for offset in item.offsets:
                assert at == offset
                at = read_parts(BytesSource(data), offset)[-1].end
        assert len(data) == at


@pytest.mark.parametrize("seed", range(2))
def test_the_way_back_in_is_the_next_whole_record(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(80):
        payloads = planted(rng, 12)
        data, ends = bytearray(joined(payloads)), bounds(payloads)
        ordinal = rng.randrange(8)
        head, after = ends[ordinal], ends[ordinal + 1]
        change = rng.choice([b"", bytes(8), b"x" * 7, b"y" * 9, rng.randbytes(11), MAGIC])  # in place of the head
        data[head : head + 8] = change
        shift = len(change) - 8

        found = find_record(BytesSource(bytes(data)), head)

        # A later part of the damaged record, or a magic in its data, must not be taken for the way in.
        assert after + shift == found
        assert payloads[ordinal + 1] == read_record(BytesSource(bytes(data)), found)[0]


def test_a_scan_loses_only_what_was_damaged() -> None:
    rng = random.Random(9)
    for _ in range(60):
        payloads = planted(rng, 20)
        data, ends = bytearray(joined(payloads)), bounds(payloads)
        ordinal = rng.randrange(20)
        data[ends[ordinal] : ends[ordinal] + 4] = b"\0\0\0\0"

        items = list(scan_damaged(BytesSource(bytes(data))))

        offsets = [offset for block in items if isinstance(block, RecordBlock) for offset in block.offsets]
        assert ends[:ordinal] + ends[ordinal + 1 : -1] == offsets
        (damage,) = (item for item in items if isinstance(item, Damage))
        assert (ends[ordinal], ends[ordinal + 1], ordinal) == (damage.start, damage.end, damage.error.record)


def test_an_index_comes_back_whatever_its_keys_and_order() -> None:
    rng = random.Random(4)
    for _ in range(50):
        count = rng.randrange(40)
        keys = [rng.choice([rng.randrange(10), rng.randrange(2**64), 2**64 - 1]) for _ in range(count)]
        offsets = [rng.choice([rng.randrange(100), rng.randrange(2**63), 2**63 - 1]) for _ in range(count)]
        text = b"".join(map(index_line, keys, offsets))
        loose = text.replace(b"\t", rng.choice([b" ", b" \t"])).replace(b"\n", rng.choice([b"\r\n", b"\n\n", b" \n"]))
        for form in (text, text[:-1], loose):
            read_keys, read_offsets = read_index(io.BytesIO(form))
            assert (keys, offsets) == (read_keys.tolist(), read_offsets.tolist())


def test_an_index_of_any_bytes_is_read_or_an_index_format_error() -> None:
    rng = random.Random(5)
    read, refused = [], []
    for _ in range(2000):
        text = bytes(rng.choice(b"0123456789\t\t\n\n \r-x\xff") for _ in range(rng.randrange(12)))
        try:
            read.append((text, len(read_index(io.BytesIO(text))[0])))
        except IndexFormatError as error:
            refused.append((text, error.line))
    assert all(2 * count == len(text.split()) for text, count in read)
    assert all(1 <= line <= text.count(b"\n") + 1 for text, line in refused)
    assert min(len(read), len(refused)) > 100


LETTERS = "ab0.-#é日 \u00a0\u3000\u2028\ufeff\udcff/\\'\x1c"


def test_a_list_comes_back_whatever_its_names_and_labels() -> None:
    rng = random.Random(6)
    entries = []
    for line in range(1, 500):
        labels = tuple(
            rng.choice([float(rng.randrange(1000)), rng.random(), rng.uniform(-1e30, 1e30), float("inf")])
            for _ in range(rng.randrange(1, 5))
        )
        path = "".join(rng.choice(LETTERS) for _ in range(rng.randrange(1, 12))).strip(" ") or "x"
        assert is_listable(path)
        entries.append(ListEntry(line, rng.randrange(2**64), labels, path))

    lines = [list_line(entry.id, entry.labels, entry.path) for entry in entries]

    assert entries == list(read_list(lines))
    assert entries == list(read_list(line.rstrip("\n") + " \r\n" for line in lines))


def test_a_list_of_any_text_gives_an_entry_or_an_error_for_each_line() -> None:
    rng = random.Random(7)
    lines = ["".join(rng.choice("01.x \t#-\u00a0") for _ in range(rng.randrange(12))) for _ in range(3000)]

    found = list(read_list(lines))

    assert {ListEntry, ListFormatError} == {type(item) for item in found}
    numbers = [item.line for item in found]
    images = [n for n, line in enumerate(lines, 1) if line.strip(" \t") and not line.strip(" \t").startswith("#")]
    assert images == numbers


def test_an_image_record_comes_back_with_its_labels_and_ids() -> None:
    rng = random.Random(8)
    for _ in range(300):
        labels = np.frombuffer(rng.randbytes(4 * rng.randrange(1, 9)), "<f4")
        labels = np.where(np.isnan(labels), np.float32(0.5), labels)
        content, ids = planted_payload(rng), (rng.randrange(2**64), rng.randrange(2**64))
        vector = decode_image_record(encode_image_record(IRHeader(0, labels, *ids), content))
        number = decode_image_record(encode_image_record(IRHeader(7, labels[0], *ids), content))
        assert (len(labels), *ids, content) == (vector[0].flag, *vector[0][2:], vector[1])
        assert labels.tobytes() == vector.header.label.tobytes()
        assert (IRHeader(0, float(labels[0]), *ids), content) == number


def test_a_payload_of_any_bytes_is_an_image_record_or_corrupt() -> None:
    rng = random.Random(10)
    for _ in range(500):
        payload = struct.pack("<I", rng.choice([0, 1, 3, rng.randrange(2**32)])) + rng.randbytes(rng.randrange(60))
        try:
            header, content = decode_image_record(payload)
        except CorruptRecordError:
            assert len(payload) < HEADER_BYTES + 4 * struct.unpack_from("<I", payload)[0]
        else:
            assert len(payload) == HEADER_BYTES + 4 * header.flag + len(content)


def test_what_a_writer_wrote_is_what_a_reader_reads(tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(11)
    folder = tmp_path_factory.mktemp("written")
    for n in range(10):
        payloads = [image_payload(rng.randrange(2**64), content=planted_payload(rng, 200)) for _ in range(30)]
        keys = [rng.randrange(20) for _ in payloads]
        with RecordWriter(folder / f"{n}.rec") as writer:
            offsets = [writer.write(payload, key=key) for payload, key in zip(payloads, keys, strict=True)]
        by_hand = write_rec(folder / f"{n}_by_hand.rec", payloads, keys=keys)
        assert by_hand.read_bytes() == writer.path.read_bytes()
        assert by_hand.with_suffix(".idx").read_bytes() == writer.index_path.read_bytes()
        with RecordFile(writer.path) as rec, RecordFile(writer.path, index=False) as scanned:
            assert offsets == rec.offsets.tolist() == scanned.offsets.tolist()
            assert keys == rec.keys.tolist()
            assert payloads == [rec.payload(ordinal) for ordinal in range(30)]
            last = {key: ordinal for ordinal, key in enumerate(keys)}
            assert last == {key: rec.ordinal_of(key) for key in last}
            asked = rng.choices(range(-30, 30), k=20)
            assert [decode_image_record(payloads[ordinal]) for ordinal in asked] == rec.read_many(asked)

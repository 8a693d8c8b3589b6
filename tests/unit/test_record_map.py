"""Where the records of a file are, by a scan and by an index, damaged files included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import bounds, image_payload, index_text, joined, message_of, peak_bytes, write_rec

from im2rec.format.recordio import encode_record
from im2rec.storage import record_map
from im2rec.storage.files import InputFile
from im2rec.storage.index import sorted_index
from im2rec.storage.reader import RecordFile
from im2rec.storage.record_map import (
    NO_KEY,
    RecordMap,
    ScannedRecords,
    listed_offsets,
    map_by_index,
    map_by_scan,
    scan_all,
    whole_offsets,
)

ONE, TWO = encode_record(b"one"), encode_record(b"second!!")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.rec"


def test_the_offsets_of_whole_records_skip_damage(path: Path) -> None:
    path.write_bytes(ONE + b"GARBAGE!" + ONE + TWO)
    with InputFile(path) as file:
        assert [0, 20, 32] == whole_offsets(file, None).tolist()


def test_the_error_of_damage_has_path_ordinal_and_what_to_do(path: Path) -> None:
    path.write_bytes(ONE + b"GARBAGE!")
    for skip in (False, True):
        with InputFile(path) as file:
            (damage,) = map_by_scan(file, skip=skip, drop_doubtful=False).damage
        problem = "expected the magic 0a 23 d7 ce, found 47 41 52 42"
        assert f"{path}, record 1, byte 12: {problem} (run 'im2rec inspect' on it)" == str(damage.error)


def test_the_keys_of_a_scan_are_ids_or_all_ordinals(path: Path) -> None:
    with_ids = [image_payload(n % 7, content=b"") for n in range(9000)]
    for payloads, keys in ((with_ids, [n % 7 for n in range(9000)]), ([b"short", *with_ids], [*range(9001)])):
        path.write_bytes(joined(payloads))
        with InputFile(path) as file:
            found = map_by_scan(file, skip=False, drop_doubtful=False)
        assert keys == found.keys.array.tolist()
        assert bounds(payloads)[:-1] == found.offsets.tolist()
        assert (np.uint64, np.int64) == (found.keys.array.dtype, found.offsets.dtype)
        assert (path.stat().st_size, None) == (found.end, found.stops)


PAYLOADS = [image_payload(50 + n, n, bytes([65 + n]) * (3000 + 7 * n)) for n in range(20)]
AT = bounds(PAYLOADS)


def by_scan(path: Path, *, skip: bool, drop_doubtful: bool = False) -> RecordMap:
    with InputFile(path) as file:
        return map_by_scan(file, skip=skip, drop_doubtful=drop_doubtful)


def by_index(path: Path, *, skip: bool, drop_doubtful: bool = False) -> RecordMap:
    with InputFile(path) as file:
        return map_by_index(file, path.with_suffix(".idx"), "index=False", skip=skip, drop_doubtful=drop_doubtful)


def scanned(path: Path, **options: object) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the offsets of the records of :func:`scan_all`, and the damaged ranges."""
    with InputFile(path) as file:
        result = scan_all(file, ScannedRecords, **options)  # type: ignore[arg-type]
    return result.found().offsets.tolist(), [(item.start, item.end) for item in result.damage]


def with_length(path: Path, ordinal: int, end: int) -> Path:
    """Write the file with a length word of record *ordinal* that makes it end at *end*."""
    data = bytearray(joined(PAYLOADS))
    data[AT[ordinal] + 4 : AT[ordinal] + 8] = (end - AT[ordinal] - 8).to_bytes(4, "little")
    path.write_bytes(data)
    return path


# Places without an index


def test_a_damaged_range_takes_a_place_with_its_bounds_and_no_key(path: Path) -> None:
    data = bytearray(joined(PAYLOADS))
    for n in (4, 9):
        data[AT[n] : AT[n] + 8] = b"\xff" * 8
    path.write_bytes(data)

    found = by_scan(path, skip=False)

    assert AT[:-1] == found.offsets.tolist()
    assert found.stops is not None
    assert AT[1:] == found.stops.tolist()
    assert [50 + n if n not in (4, 9) else NO_KEY for n in range(20)] == found.keys.array.tolist()
    assert ([4, 9], [3, 8]) == (found.lost.tolist(), found.doubtful.tolist())
    assert (np.uint64, np.int64, np.int64) == (found.keys.array.dtype, found.offsets.dtype, found.lost.dtype)
    skipped = by_scan(path, skip=True)
    assert [at for n, at in enumerate(AT[:-1]) if n not in (4, 9)] == skipped.offsets.tolist()
    assert ([], [3, 7]) == (skipped.lost.tolist(), skipped.doubtful.tolist())


def test_keys_are_ordinals_of_places_if_a_record_has_no_image_header(path: Path) -> None:
    path.write_bytes(ONE + b"GARBAGE!" + ONE + TWO)

    assert [0, 1, 2, 3] == by_scan(path, skip=False).keys.array.tolist()
    assert [0, 1, 2] == by_scan(path, skip=True).keys.array.tolist()


def test_damage_in_front_and_at_the_end_takes_a_place_too(path: Path) -> None:
    path.write_bytes(b"GARBAGE!" + joined(PAYLOADS) + b"GARBAGE!")

    found = by_scan(path, skip=False)

    assert [0, *(8 + at for at in AT)] == found.offsets.tolist()
    assert ([0, 21], [20]) == (found.lost.tolist(), found.doubtful.tolist())
    assert [] == by_scan(path, skip=False, drop_doubtful=True).doubtful.tolist()


# What is read


def test_a_record_that_covers_others_is_found_out_by_a_careful_scan_alone(path: Path) -> None:
    with_length(path, 3, AT[8])
    others = [at for n, at in enumerate(AT[:-1]) if n != 3]

    assert ([*AT[:4], *AT[8:-1]], []) == scanned(path)
    assert (others, [(AT[3], AT[4])]) == scanned(path, careful=True)
    assert others == by_scan(path, skip=True).offsets.tolist()
    with InputFile(path) as file:
        assert others == whole_offsets(file, None).tolist()


def test_of_a_large_file_the_largest_records_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_length(path, 3, AT[8])
    others = [at for n, at in enumerate(AT[:-1]) if n != 3]

    for limit, expected in ((AT[8] - AT[3], others), (AT[8] - AT[3] - 1, [*AT[:4], *AT[8:-1]])):
        monkeypatch.setattr(record_map, "READ_WHOLE_BYTES", limit)
        assert expected == scanned(path, careful=True)[0]


def test_an_index_shows_that_a_record_covers_others(path: Path) -> None:
    others = [at for n, at in enumerate(AT[:-1]) if n != 3]
    listed = np.array(AT[:-1], np.int64)
    for end in (AT[8], AT[4] + 4000, AT[19]):
        assert (others, [(AT[3], AT[4])]) == scanned(with_length(path, 3, end), listed=listed)


def test_an_index_of_another_file_makes_no_scan_thorough(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rec(path, PAYLOADS, index=False)
    thorough: list[bool] = []
    real = record_map.scan_damaged
    monkeypatch.setattr(
        record_map,
        "scan_damaged",
        lambda source, **options: (thorough.append(options["thorough"]), real(source, **options))[1],
    )

    scanned(path, listed=np.array([0, 4, 8, 800, 8000], np.int64)[1:])
    assert [False] == thorough
    scanned(path, listed=np.array(AT[:-1], np.int64))
    assert [False, False] == thorough


def test_a_good_file_is_scanned_in_a_bounded_number_of_bytes_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.storage.scan._BLOCK_RECORDS", 512)  # one of 8192 records takes 4 MB as Python objects
    count = 40_000
    frame = encode_record(image_payload(0, 1.0, b""))
    data = np.tile(np.frombuffer(frame, np.uint8), (count, 1))
    data[:, 16:24] = np.arange(count, dtype="<u8").view(np.uint8).reshape(-1, 8)
    path = tmp_path / "many.rec"
    path.write_bytes(data.tobytes())
    path.with_suffix(".idx").write_bytes(index_text(range(0, count * len(frame), len(frame))))
    by_index(path, skip=True)  # so that its imports are not measured

    assert peak_bytes(lambda: by_scan(path, skip=False)) < 55 * count + 250_000
    assert peak_bytes(lambda: by_index(path, skip=True)) < 75 * count + 250_000


# Indexes


def test_the_offsets_of_an_index_are_a_hint_for_scans_if_it_is_that_of_the_file(path: Path) -> None:
    write_rec(path, PAYLOADS)
    index = path.with_suffix(".idx")
    with InputFile(path) as file:
        assert AT[:-1] == listed_offsets(file, index).tolist()  # type: ignore[union-attr]
        assert listed_offsets(file, None) is None
        for text in (b"", b"no index\n", index_text([0, 0]), index_text([4, 8, 12]), index_text([AT[1] + 2])):
            index.write_bytes(text)
            assert listed_offsets(file, index) is None
        index.write_bytes(index_text([*AT[:-1], AT[-1], AT[-1] + 1000]))  # as if the file was cut
        assert [*AT, AT[-1] + 1000] == listed_offsets(file, index).tolist()  # type: ignore[union-attr]


def test_the_hint_of_an_index_that_is_refused_says_how_to_do_without(path: Path) -> None:
    write_rec(path, PAYLOADS)
    index = path.with_suffix(".idx")
    index.write_bytes(b"what\n")

    message = message_of(by_index, path, skip=True)
    assert message.startswith(f"{index}, line 1: ")
    assert message.endswith("with index=False the .rec is scanned instead)")
    assert message == message_of(by_index, path, skip=False)


def test_a_good_index_maps_its_lines_without_stops(path: Path) -> None:
    write_rec(path, PAYLOADS, keys=range(50, 70))

    for skip in (False, True):
        found = by_index(path, skip=skip)
        assert (AT[:-1], list(range(50, 70)), AT[-1]) == (found.offsets.tolist(), found.keys.array.tolist(), found.end)
        assert (None, [], "", False) == (found.stops, list(found.damage), found.unlisted, found.has_gaps)
        assert ([], []) == (found.lost.tolist(), found.doubtful.tolist())
        keys, offsets = sorted_index(path.with_suffix(".idx"), AT[-1])
        assert (keys.tolist(), offsets.tolist()) == (found.keys.array.tolist(), found.offsets.tolist())


def test_records_that_an_index_leaves_out_are_said_whatever_the_mode(path: Path) -> None:
    write_rec(path, PAYLOADS)
    listed = [n for n in range(20) if n not in (0, 5, 19)]
    path.with_suffix(".idx").write_bytes(index_text([AT[n] for n in listed], [50 + n for n in listed]))
    unlisted = f"those before byte {AT[1]}, some between others, first at byte {AT[5]}, those from byte {AT[19]} on"

    for skip in (False, True):
        found = by_index(path, skip=skip)
        assert (unlisted, True) == (found.unlisted, found.has_gaps)
        assert [AT[n] for n in listed] == found.offsets.tolist()


def test_a_record_that_is_missing_from_a_file_without_damage_has_a_place_in_it(path: Path) -> None:
    write_rec(path, PAYLOADS, keys=range(50, 70))
    data = path.read_bytes()
    for gone, where in ((7, "the file goes on"), (19, "the file ends"), (0, "the file goes on")):
        path.write_bytes(data[: AT[gone]] + data[AT[gone + 1] :])
        for skip in (False, True):
            found = by_index(path, skip=skip)
            assert [gone] == found.lost.tolist()
            (damage,) = found.damage
            assert (AT[gone], AT[gone]) == (damage.start, damage.end)
            assert f"{where} here, but the index lists 1 more record" == damage.error.problem
            assert path == damage.error.path


@pytest.mark.parametrize(("line", "offset", "lost"), [(3, 772, [3]), (2, 60, []), (2, 772, []), (2, 40, [])])
def test_a_line_with_a_wrong_offset_takes_no_record_from_another_line(
    path: Path, line: int, offset: int, lost: list[int]
) -> None:
    """The last line of an index, in a file without damage; the size of the record before it is then odd."""
    payloads = [bytes([number]) * 20 for number in range(3)]
    lines = {0: 0, 1: 28, 2: 56, line: offset}
    path.write_bytes(joined(payloads))
    path.with_suffix(".idx").write_bytes(b"".join(b"%d\t%d\n" % pair for pair in lines.items()))

    with RecordFile(path) as rec:
        assert lost == rec.lost.tolist()
        for key in {0, 1, 2} - {*lost}:
            assert payloads[key] == rec.payload(rec.ordinal_of(key))


def test_payloads_that_are_too_short_for_an_id_are_not_matched_by_bytes_of_the_next_ones(path: Path) -> None:
    payloads = [b"", b"\xac\xe3\xb3\x00", b""]
    path.write_bytes(joined(payloads))
    path.with_suffix(".idx").write_bytes(b"0\t0\n1\t8\n2\t24\n")  # the last one starts at byte 20

    with RecordFile(path) as rec:
        assert payloads == [rec.payload(number) for number in range(3)]

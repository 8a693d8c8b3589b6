"""``recover``: what is whole comes out byte for byte, and what is lost is named."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, index_text, joined, message_of, peak_bytes, write_rec
from image_helpers import names_in
from recovery_helpers import BadDisk, damaged_rec, frame, jpeg_payload, some_ids, some_payloads, starts, whole_file

from im2rec.errors import CorruptRecordError, InputError, OutputError, ParameterError
from im2rec.format.recordio import MAGIC, BytesSource, encode_record
from im2rec.parallel import ThreadsEndedError
from im2rec.recovery import copying
from im2rec.recovery import recover as module
from im2rec.recovery.recover import RecoverOptions, recover
from im2rec.recovery.report import RecoverSummary
from im2rec.storage import scan
from im2rec.storage.blocks import Damage, RecordBlock
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import scan_damaged

JUNK = b"\x55" * 40
HOLE = bytes(64)


def payloads_of(rec: Path) -> list[bytes]:
    with RecordFile(rec) as file:
        return [file.payload(ordinal) for ordinal in range(len(file))]


def without(*lost: int, count: int = 20) -> list[int]:
    return [number for number in range(count) if number not in lost]


def assert_holds(out: Path, numbers: list[int], count: int = 20) -> None:
    """Assert that *out* and its index hold exactly the records *numbers* of ``some_payloads()``."""
    payloads = some_payloads(count)
    assert b"".join(encode_record(payloads[number]) for number in numbers) == out.read_bytes()
    with RecordFile(out) as file:
        assert out.with_suffix(".idx") == file.index_path
        assert [some_ids(count)[number] for number in numbers] == file.keys.tolist()


def losses(summary: RecoverSummary) -> list[tuple[int | None, list[int]]]:
    return [(piece.lost, piece.lost_keys) for piece in summary.damage]


def marked_doubtful(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Have the scan call the records *numbers* doubtful, by their places in the file."""

    def marked(*words: Any, **options: Any) -> Iterator[RecordBlock | Damage]:
        before = 0
        for item in scan_damaged(*words, **options):
            if isinstance(item, RecordBlock):
                rows = {number - before for number in numbers if 0 <= number - before < len(item.offsets)}
                before += len(item.offsets)
                yield item._replace(doubtful=rows)
            else:
                yield item

    monkeypatch.setattr(module, "scan_damaged", marked)


# Whole files.


def test_a_whole_file_is_copied_with_an_index_of_its_ids(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", some_payloads(), index=False)
    summary = recover(rec, tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", without())
    assert (20, 20, 0, None, None) == (summary.records, summary.written, summary.doubtful, summary.lost, summary.listed)
    assert ([], 0, 0, "ids") == (summary.damage, summary.damaged_bytes, summary.duplicates, summary.key_kind)
    assert ["a.rec", "o.idx", "o.rec"] == names_in(tmp_path)


def test_the_class_names_beside_the_file_are_copied_beside_the_output(tmp_path: Path) -> None:
    rec, out = damaged_rec(tmp_path / "a.rec", [0, JUNK, 2]), tmp_path / "out.rec"
    (tmp_path / "a.classes.txt").write_text("cat\ndog\n")
    assert os.fspath(tmp_path / "out.classes.txt") == recover(rec, out, dry_run=True).classes_out
    assert ["a.classes.txt", "a.idx", "a.rec"] == names_in(tmp_path)

    report = tmp_path / "report.json"
    summary = recover(rec, out, RecoverOptions(report=report))
    assert os.fspath(tmp_path / "out.classes.txt") == summary.classes_out
    assert summary.classes_out == json.loads(report.read_text())["classes_out"]
    assert b"cat\ndog\n" == (tmp_path / "out.classes.txt").read_bytes()


def test_other_class_names_beside_the_output_are_not_replaced_without_force(tmp_path: Path) -> None:
    rec, out = damaged_rec(tmp_path / "a.rec", [0, JUNK, 2]), tmp_path / "out.rec"
    (tmp_path / "a.classes.txt").write_text("cat\ndog\n")
    names = tmp_path / "out.classes.txt"
    names.write_text("bee\n")
    assert message_of(recover, rec, out).startswith(f"{names}: exists already")
    assert not out.exists()

    recover(rec, out, force=True)
    assert b"cat\ndog\n" == names.read_bytes()


def test_class_names_are_written_onto_no_report_and_no_list(tmp_path: Path) -> None:
    rec, out = damaged_rec(tmp_path / "a.rec", [0, JUNK, 2]), tmp_path / "out.rec"
    (tmp_path / "a.classes.txt").write_text("cat\ndog\n")
    names = tmp_path / "out.classes.txt"
    assert "is written twice" in message_of(recover, rec, out, RecoverOptions(report=names))

    names.write_text("0\t0\ta.jpg\n2\t0\tb.jpg\n")  # a list
    assert f"{names}: is the input" in message_of(recover, rec, out, RecoverOptions(list=names), force=True)
    assert b"0\t0\ta.jpg\n2\t0\tb.jpg\n" == names.read_bytes()
    assert not out.exists()


def test_records_without_headers_get_ordinals_as_keys(tmp_path: Path) -> None:
    payloads = [image_payload(50), b"short", MAGIC * 3, b""]
    recover(write_rec(tmp_path / "a.rec", payloads, index=False), tmp_path / "o.rec")

    assert payloads == payloads_of(tmp_path / "o.rec")
    assert [b"0", b"1", b"2", b"3"] == [line.split()[0] for line in (tmp_path / "o.idx").read_bytes().splitlines()]


def test_split_records_and_long_ones_are_copied_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_RUN_BYTES", 1000)
    payloads = [image_payload(number, 1.0, (MAGIC + b"data" * number) * number) for number in range(40)]
    rec = write_rec(tmp_path / "a.rec", payloads)
    recover(rec, tmp_path / "o.rec")

    assert rec.read_bytes() == (tmp_path / "o.rec").read_bytes()
    assert payloads == payloads_of(tmp_path / "o.rec")


def test_a_file_of_many_blocks_is_copied_as_one_of_a_single_block(tmp_path: Path) -> None:
    payloads = [struct.pack("<IfQQ", 0, 1.0, number, 0) for number in range(20_000)]
    rec = write_rec(tmp_path / "a.rec", payloads)
    summary = recover(rec, tmp_path / "o.rec")

    assert rec.read_bytes() == (tmp_path / "o.rec").read_bytes()
    assert rec.with_suffix(".idx").read_bytes() == (tmp_path / "o.idx").read_bytes()
    assert (20_000, 0) == (summary.records, summary.lost)


# Damage.


def test_what_is_whole_between_damage_comes_out_and_the_index_names_what_is_lost(tmp_path: Path) -> None:
    at = starts()
    data = bytearray(whole_file())
    data[at[7]] ^= 0xFF
    data[at[12] + 20 : at[14] + 50] = bytes(at[14] - at[12] + 30)
    rec = damaged_rec(tmp_path / "a.rec", [bytes(data)])
    summary = recover(rec, tmp_path / "o.rec")

    found = {number for number in without() if frame(number) in (tmp_path / "o.rec").read_bytes()}
    assert {7, 13, 14} >= set(without()) - found - {12}
    assert {7, 14} <= set(without()) - found
    assert some_ids()[7] in summary.damage[0].lost_keys
    assert at[7] == summary.damage[0].start
    assert "ids" == summary.lost_kind
    assert summary.lost == summary.listed - summary.written if summary.listed else False


def test_lost_ids_are_placed_in_the_range_between_the_records_around_them(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, 1, 2, JUNK, 5, 6, 7, 8, JUNK, 9, HOLE, *range(12, 20)])
    summary = recover(rec, tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", without(3, 4, 10, 11))
    ids = some_ids()
    assert [(2, [ids[3], ids[4]]), (0, []), (2, [ids[10], ids[11]])] == losses(summary)
    assert (4, 20, []) == (summary.lost, summary.listed, summary.unplaced_keys)


def test_damage_that_costs_no_record_is_known_as_such(tmp_path: Path) -> None:
    summary = recover(damaged_rec(tmp_path / "a.rec", [*range(9), JUNK, *range(9, 20)]), tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", without())
    assert (0, [(0, [])], 40) == (summary.lost, losses(summary), summary.damaged_bytes)


def test_the_end_of_a_cut_file_is_lost_with_the_ids_that_were_there(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [whole_file()[: starts()[15] + 30]])
    summary = recover(rec, tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", without(*range(15, 20)))
    assert [(5, some_ids()[15:])] == losses(summary)


@pytest.mark.parametrize("gone", [(0,), (4, 5), (18,)])
def test_records_that_were_removed_without_a_trace_are_lost_where_they_were(
    tmp_path: Path, gone: tuple[int, ...]
) -> None:
    summary = recover(damaged_rec(tmp_path / "a.rec", without(*gone)), tmp_path / "o.rec")

    ids, at = [some_ids()[number] for number in gone], starts()[gone[0]]
    assert (len(gone), [], [(len(gone), ids)]) == (summary.lost, summary.unplaced_keys, losses(summary))
    place = summary.damage[0]
    assert (at, at, gone[0]) == (place.start, place.end, place.records_before)
    assert place.problem.startswith("the file goes on here, but the index lists ")


def test_a_file_that_was_cut_between_records_is_damaged_at_its_end(tmp_path: Path) -> None:
    summary = recover(damaged_rec(tmp_path / "a.rec", without(4, 18, 19)), tmp_path / "o.rec")

    ids, size = some_ids(), (tmp_path / "a.rec").stat().st_size
    assert (3, [ids[4]], [(2, ids[18:])]) == (summary.lost, summary.unplaced_keys, losses(summary))
    assert (size, size, 17) == (summary.damage[0].start, summary.damage[0].end, summary.damage[0].records_before)
    assert "the file ends here, but the index lists 3 more records" == summary.damage[0].problem


def test_swapped_blocks_are_all_there(tmp_path: Path) -> None:
    summary = recover(damaged_rec(tmp_path / "a.rec", [*range(10, 20), *range(10)]), tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", [*range(10, 20), *range(10)])
    assert (0, 0, []) == (summary.lost, summary.duplicates, summary.damage)
    assert summary.index_is_outdated


def test_two_records_of_one_size_that_changed_places_are_moved(tmp_path: Path) -> None:
    summary = recover(damaged_rec(tmp_path / "a.rec", [*range(17), 18, 17, 19]), tmp_path / "o.rec")
    assert (0, [], True) == (summary.lost, summary.damage, summary.index_is_outdated)
    assert not recover(damaged_rec(tmp_path / "b.rec", [*range(20)]), tmp_path / "p.rec").index_is_outdated


def test_ids_that_repeat_in_a_whole_file_with_an_index_of_ordinals_are_no_losses(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [jpeg_payload(number) for number in (0, 1, 2, 3, 4, 0, 1, 2)])
    summary = recover(rec, tmp_path / "o.rec")

    assert (0, [], False) == (summary.lost, summary.damage, summary.index_is_outdated)


def test_doubled_records_are_kept_and_counted(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [*range(20), *range(15, 20), 19])
    summary = recover(rec, tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", [*range(20), *range(15, 20), 19])
    assert (6, 0, 26) == (summary.duplicates, summary.lost, summary.written)


def test_records_with_equal_ids_and_sizes_are_repeats_only_if_all_their_bytes_are_equal(tmp_path: Path) -> None:
    content = bytearray(b"\xff\xd8\xff\xe0" + bytes(20_000) + b"\xff\xd9")
    payloads = [image_payload(0, 1.0, bytes(content))]
    content[5000] = 1  # at a place that no sample has
    payloads += [image_payload(0, 1.0, bytes(content)), payloads[0], image_payload(0, 2.0, bytes(content))]
    summary = recover(write_rec(tmp_path / "a.rec", payloads, index=False), tmp_path / "o.rec")

    assert (1, 4) == (summary.duplicates, summary.written)


def test_repeats_are_found_across_blocks_of_the_index(tmp_path: Path) -> None:
    payloads = [struct.pack("<IfQQ", 0, 1.0, number, 0) for number in range(9000)]
    rec = write_rec(tmp_path / "a.rec", payloads + payloads, index=False)

    assert 9000 == recover(rec, tmp_path / "o.rec").duplicates


# The old index and the list.


def test_without_index_and_list_it_is_unknown_what_is_lost(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    summary = recover(rec, tmp_path / "o.rec", RecoverOptions(index=False))

    assert (None, None, None, [(None, [])]) == (summary.lost, summary.listed, summary.lost_kind, losses(summary))


def test_a_list_names_what_is_lost_where_there_is_no_index(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    lst = tmp_path / "a.lst"
    lst.write_text("# ids\n" + "".join(f"{id_}\t1\t{id_}.jpg\n" for id_ in some_ids()))
    summary = recover(rec, tmp_path / "o.rec", RecoverOptions(index=False, list=lst))

    assert (1, 20, "ids", [(1, [1003])]) == (summary.lost, summary.listed, summary.lost_kind, losses(summary))


def test_a_list_in_another_order_names_what_is_lost_for_the_whole_file(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    lst = tmp_path / "a.lst"
    lst.write_text("".join(f"{id_}\t1\t{id_}.jpg\n" for id_ in (*some_ids()[1::2], *some_ids()[::2])))
    summary = recover(rec, tmp_path / "o.rec", RecoverOptions(index=False, list=lst))

    assert (1, [1003], [(0, [])]) == (summary.lost, summary.unplaced_keys, losses(summary))


def test_a_list_of_another_file_is_not_used_and_a_warning_says_so(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    (tmp_path / "b.lst").write_text("".join(f"{id_}\t1\t{id_}.jpg\n" for id_ in range(50)))
    summary = recover(rec, tmp_path / "o.rec", RecoverOptions(index=False, list=tmp_path / "b.lst"))

    assert [f"{tmp_path / 'b.lst'}: does not fit the ids of {rec}; it is not used"] == summary.warnings
    assert summary.lost is None


def test_a_wrong_line_of_the_list_is_an_error_with_its_number(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    (tmp_path / "b.lst").write_text("1\t1\ta.jpg\nx\t1\tb.jpg\n")

    message = message_of(recover, rec, tmp_path / "o.rec", RecoverOptions(list=tmp_path / "b.lst"))
    assert f"{tmp_path / 'b.lst'}, line 2: expected an integer as id, found 'x'" == message
    assert not (tmp_path / "o.rec").exists()


def test_an_index_of_ordinals_names_the_lost_ones(tmp_path: Path) -> None:
    at = starts()
    data = whole_file()
    rec = damaged_rec(tmp_path / "a.rec", [data[: at[5]] + b"\x11" * (at[7] - at[5]) + data[at[7] :]])
    rec.with_suffix(".idx").write_bytes(index_text(at))
    summary = recover(rec, tmp_path / "o.rec")

    assert (2, 20, "keys", [(2, [5, 6])]) == (summary.lost, summary.listed, summary.lost_kind, losses(summary))
    assert_holds(tmp_path / "o.rec", without(5, 6))


def test_an_index_of_ordinals_counts_what_is_lost_where_bytes_were_lost(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, 1, 2, JUNK, *range(5, 20)])
    rec.with_suffix(".idx").write_bytes(index_text(starts()))
    summary = recover(rec, tmp_path / "o.rec")

    assert (2, 20, None, [(None, [])]) == (summary.lost, summary.listed, summary.lost_kind, losses(summary))


def test_ids_that_count_from_0_are_ids_where_the_start_of_the_file_was_lost(tmp_path: Path) -> None:
    payloads = [jpeg_payload(number, 300 + 4 * number) for number in range(20)]
    rec = write_rec(tmp_path / "a.rec", payloads)
    rec.write_bytes(joined(payloads)[1001:])
    summary = recover(rec, tmp_path / "o.rec")

    assert (3, "ids", [(3, [0, 1, 2])]) == (summary.lost, summary.lost_kind, losses(summary))


def test_the_list_names_what_an_index_of_ordinals_only_counts(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, 1, 2, JUNK, *range(5, 20)])
    rec.with_suffix(".idx").write_bytes(index_text(starts()))
    (tmp_path / "a.lst").write_text("".join(f"{id_}\t1\t{id_}.jpg\n" for id_ in some_ids()))
    summary = recover(rec, tmp_path / "o.rec", RecoverOptions(list=tmp_path / "a.lst"))

    assert [(2, some_ids()[3:5])] == losses(summary)


def test_the_index_of_another_file_is_not_used_and_a_warning_says_so(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    rec.with_suffix(".idx").write_bytes(index_text(range(4, 400, 40), range(50, 60)))
    summary = recover(rec, tmp_path / "o.rec")

    assert [f"{tmp_path / 'a.idx'}: does not fit the records of {rec}; it is not used"] == summary.warnings
    assert (None, None) == (summary.lost, summary.old_index)


def test_an_index_beside_the_file_that_cannot_be_read_is_a_warning_and_a_given_one_that_is_missing_an_error(
    tmp_path: Path,
) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    rec.with_suffix(".idx").write_bytes(b"no index\n")
    summary = recover(rec, tmp_path / "o.rec")

    assert summary.warnings[0].startswith(f"{tmp_path / 'a.idx'}, line 1: expected a key and an offset")
    assert summary.warnings[0].endswith("; it is not used")
    with pytest.raises(InputError, match=r"no\.idx: cannot be read"):
        recover(rec, tmp_path / "p.rec", RecoverOptions(index=tmp_path / "no.idx"))


def test_the_index_of_a_file_that_was_cut_to_a_few_records_is_used(tmp_path: Path) -> None:
    payloads = [struct.pack("<IfQQ", 0, 1.0, number, 0) for number in range(5000)]
    rec = write_rec(tmp_path / "a.rec", payloads)
    rec.write_bytes(rec.read_bytes()[: 32 * 8])

    assert (4992, 5000) == ((summary := recover(rec, tmp_path / "o.rec")).lost, summary.listed)


def test_lines_in_any_order_are_the_same_index(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    lines = rec.with_suffix(".idx").read_bytes().splitlines(keepends=True)
    rec.with_suffix(".idx").write_bytes(b"".join(lines[::-1]))

    assert (20, [(1, [1003])]) == ((summary := recover(rec, tmp_path / "o.rec")).listed, losses(summary))


# Doubtful records.


def test_doubtful_records_are_kept_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked_doubtful(monkeypatch, 4, 8, 9)
    rec = damaged_rec(tmp_path / "a.rec", [*range(20)])
    summary = recover(rec, tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", without())
    assert (20, 17, 3, 20, 0) == (summary.records, summary.whole, summary.doubtful, summary.written, summary.lost)


def test_doubtful_records_are_left_out_on_request_and_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked_doubtful(monkeypatch, 4, 8, 9, 19)
    rec = damaged_rec(tmp_path / "a.rec", [*range(20)])
    for index in (None, False):
        summary = recover(rec, tmp_path / "o.rec", RecoverOptions(doubtful="drop", index=index), force=True)
        assert_holds(tmp_path / "o.rec", without(4, 8, 9, 19))
        assert (20, 16, 4, 16) == (summary.records, summary.whole, summary.doubtful, summary.written)
        assert (None if index is False else 0) == summary.lost


def test_no_other_word_than_keep_and_drop_is_taken() -> None:
    with pytest.raises(ParameterError, match="--doubtful=some must be keep or drop"):
        RecoverOptions(doubtful="some")


# A disk that cannot be read everywhere.


def test_a_record_with_bytes_that_the_disk_cannot_read_is_lost_and_all_others_come_out(
    tmp_path: Path, bad_disk: BadDisk
) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [*range(100)], 100)
    bad_disk.ranges = [(8192, 8193)]
    summary = recover(rec, tmp_path / "o.rec")

    at = starts(100)
    bad = [n for n in range(100) if at[n] < 3 * 4096 and at[n] + len(frame(n)) > 2 * 4096]
    bad_disk.ranges = []
    assert set(bad) == {n for n in range(100) if frame(n) not in (tmp_path / "o.rec").read_bytes()}
    assert 4096 == summary.unreadable_bytes
    assert (len(bad), [(len(bad), [some_ids(100)[n] for n in bad])]) == (summary.lost, losses(summary))
    assert "the disk cannot read bytes 8192 to 12288" in summary.damage[0].problem


def test_a_long_record_with_an_unreadable_place_is_left_out_whole(
    tmp_path: Path, bad_disk: BadDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_RUN_BYTES", 5000)
    payloads = [jpeg_payload(1), jpeg_payload(2, 60_000), jpeg_payload(3)]
    rec = write_rec(tmp_path / "a.rec", payloads, keys=[1, 2, 3])
    bad_disk.ranges = [(40_000, 40_001)]
    summary = recover(rec, tmp_path / "o.rec")

    bad_disk.ranges = []
    assert [payloads[0], payloads[2]] == payloads_of(tmp_path / "o.rec")
    assert [(1, [2])] == losses(summary)


# Outputs.


def test_the_report_is_the_object_that_json_prints(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    summary = recover(rec, tmp_path / "o.rec", RecoverOptions(report=tmp_path / "r.json"))
    report = json.loads((tmp_path / "r.json").read_text())

    assert ("recover", 1, 19) == (report["command"], report["lost"], report["written"])
    assert [{**vars(summary.damage[0])}] == report["damage"]
    assert str(tmp_path / "r.json") == report["report"]


def test_a_dry_run_gives_the_same_summary_and_writes_nothing(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20), 3])
    options = RecoverOptions(report=tmp_path / "r.json")
    dry = recover(rec, tmp_path / "o.rec", options, dry_run=True)
    assert ["a.idx", "a.rec"] == names_in(tmp_path)

    summary = recover(rec, tmp_path / "o.rec", options)
    assert (None, 1) == (dry.duplicates, summary.duplicates)
    dry.duplicates, dry.seconds, dry.dry_run = summary.duplicates, summary.seconds, False
    assert summary == dry


def test_an_existing_output_is_refused_before_anything_is_read_unless_forced(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    for name in ("o.rec", "o.idx", "r.json"):
        (tmp_path / name).write_bytes(b"old")
        message = message_of(recover, rec, tmp_path / "o.rec", RecoverOptions(report=tmp_path / "r.json"))
        assert f"{tmp_path / name}: exists already" in message
        assert b"old" == (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
    for name in ("o.rec", "o.idx", "r.json"):
        (tmp_path / name).write_bytes(b"old")
    recover(rec, tmp_path / "o.rec", RecoverOptions(report=tmp_path / "r.json"), force=True)
    assert_holds(tmp_path / "o.rec", without(1))
    assert b"old" != (tmp_path / "r.json").read_bytes()


@pytest.mark.parametrize(
    ("out", "options", "named"),
    [
        ("a.rec", {}, "a.rec: is the input"),
        ("a.idx", {}, "a.idx: is the input"),
        ("a.bin", {}, "a.idx: is the input"),
        ("a.bin", {"index": False}, "a.idx: is the input"),
        ("o.rec", {"report": "a.rec"}, "a.rec: is the input"),
        ("o.rec", {"report": "l.lst", "list": "l.lst"}, "l.lst: is the input"),
        ("o.rec", {"report": "o.idx"}, "o.idx: is written twice"),
        ("link.rec", {}, "link.rec: is the input"),
    ],
)
def test_no_output_may_be_an_input_even_if_forced(here: Path, out: str, options: dict[str, Any], named: str) -> None:
    rec = damaged_rec(here / "a.rec", [0, JUNK, *range(2, 20)])
    (here / "l.lst").write_text("1000\t1\ta.jpg\n")
    (here / "link.rec").hardlink_to(rec)
    before = {path.name: path.read_bytes() for path in here.iterdir()}

    assert message_of(recover, "a.rec", out, RecoverOptions(**options), force=True).startswith(named)
    assert before == {path.name: path.read_bytes() for path in here.iterdir()}


def test_a_disk_without_room_is_an_error_that_names_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [*range(20)])
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5000))

    needed = rec.stat().st_size + 20 * 24
    message = f"{tmp_path / 'o.rec'}: needs {needed:,} bytes, but its disk has 5,000 left"
    assert message_of(recover, rec, tmp_path / "o.rec").startswith(message)
    assert ["a.idx", "a.rec"] == names_in(tmp_path)


def test_room_for_what_is_whole_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, 1, 2, bytes(100_000), *range(3, 20)])
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=20_000))
    summary = recover(rec, tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", without())
    assert (0, 20) == (summary.lost, summary.written)


# Files of which nothing can be saved.


def test_a_file_without_a_whole_record_is_refused_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(MAGIC + b"\xff" * 500)
    with pytest.raises(CorruptRecordError, match=r"a\.rec: no record in it is whole"):
        recover(tmp_path / "a.rec", tmp_path / "o.rec")
    assert ["a.rec"] == names_in(tmp_path)


def test_other_files_are_refused_as_by_other_commands(tmp_path: Path) -> None:
    for name, content, problem in (
        ("empty", b"", "is empty"),
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(50), "it is an image (PNG)"),
        ("text", b"\r\n#\xd7\xce" + bytes(50), "went through text mode"),
    ):
        (tmp_path / name).write_bytes(content)
        assert problem in message_of(recover, tmp_path / name, tmp_path / "o.rec")
    write_rec(tmp_path / "a.rec", some_payloads())
    with pytest.raises(InputError, match=r"did you mean .*a\.rec\?"):
        recover(tmp_path / "a", tmp_path / "o.rec")


def test_a_folder_that_is_missing_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", some_payloads())
    with pytest.raises(OutputError, match=r"the folder .* is missing"):
        recover(rec, tmp_path / "no" / "o.rec")


def test_memory_is_that_of_the_records_not_of_the_file(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [jpeg_payload(number, 500_000) for number in range(40)])

    assert peak_bytes(lambda: recover(rec, tmp_path / "o.rec")) < 22 << 20 <= rec.stat().st_size + (3 << 20)


def test_progress_ends_at_the_end_of_the_file(tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    recover(rec, tmp_path / "o.rec", progress=lambda records, share: seen.append((records, share)))

    assert (19, 1.0) == seen[-1]
    assert sorted(seen) == seen


def test_the_ids_of_the_index_are_those_of_the_headers_not_of_the_old_index(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    rec.with_suffix(".idx").write_bytes(index_text(starts(), range(500, 520)))
    recover(rec, tmp_path / "o.rec")

    assert_holds(tmp_path / "o.rec", without(1))
    assert np.uint64 == RecordFile(tmp_path / "o.rec").keys.dtype


def test_an_interrupt_between_blocks_leaves_nothing_and_ends_the_copying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [struct.pack("<IfQQ", 0, 1.0, number, 0) for number in range(40_000)]
    rec = write_rec(tmp_path / "a.rec", payloads)
    copiers: list[copying.Copier] = []
    real = copying.Copier.take
    monkeypatch.setattr(copying.Copier, "take", lambda self, piece: (copiers.append(self), real(self, piece))[1])

    def interrupt(_records: int, _share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(rec, tmp_path / "o.rec", progress=interrupt)
    assert ["a.idx", "a.rec"] == names_in(tmp_path)
    with pytest.raises(ThreadsEndedError):
        copiers[0].take(next(iter(scan_damaged(BytesSource(joined(payloads))))))


def test_progress_does_not_wait_for_thousands_of_long_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_BLOCK_BYTES", 50_000)
    rec = write_rec(tmp_path / "a.rec", [jpeg_payload(number, 10_000) for number in range(60)])
    shares: list[float] = []
    recover(rec, tmp_path / "o.rec", progress=lambda _records, share: shares.append(share))

    assert rec.read_bytes() == (tmp_path / "o.rec").read_bytes()
    assert len(shares) > 8
    assert sorted(shares) == shares

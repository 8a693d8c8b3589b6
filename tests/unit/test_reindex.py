"""``index``: the index of what is whole, with ids or ordinals, and without records that DALI would decode as images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import bounds, image_payload, index_text, message_of, write_rec
from image_helpers import names_in
from recovery_helpers import damaged_rec, some_ids, some_payloads, starts, whole_file

from im2rec.errors import CorruptRecordError, InputError, OutputError, ParameterError
from im2rec.format.recordio import encode_record
from im2rec.recovery.reindex import write_index
from im2rec.storage.companions import find_index
from im2rec.storage.digest import make_digest
from im2rec.storage.writer import RecordWriter

JUNK = b"\x55" * 40
FACES = [
    image_payload(0, [6.0, 9.0], b""),
    *(image_payload(number, 1.0) for number in (1, 2)),
    image_payload(3, [1.0, 2.0]),
    *(image_payload(number, [1.0, 3.0], b"") for number in (6, 7, 8)),
]


def test_the_keys_are_the_ids_and_the_name_is_that_which_a_reader_looks_for(tmp_path: Path) -> None:
    for name, index in (("a.rec", "a.idx"), ("b.bin", "b.idx"), ("c", "c.idx")):
        rec = tmp_path / name
        rec.write_bytes(whole_file())
        summary = write_index(rec)

        assert index_text(starts(), some_ids()) == (tmp_path / index).read_bytes()
        assert (str(tmp_path / index), 20, 20, "ids", []) == (
            summary.out,
            summary.records,
            summary.listed,
            summary.key_kind,
            summary.damage,
        )
        assert tmp_path / index == find_index(rec)


def test_an_index_that_is_there_is_replaced_only_if_forced(tmp_path: Path) -> None:
    rec = tmp_path / "a.bin"
    rec.write_bytes(whole_file())
    (tmp_path / "a.bin.idx").write_bytes(b"old")

    assert message_of(write_index, rec).startswith(f"{tmp_path / 'a.bin.idx'}: exists already")
    write_index(rec, force=True)
    assert index_text(starts(), some_ids()) == (tmp_path / "a.bin.idx").read_bytes()
    assert ["a.bin", "a.bin.idx"] == names_in(tmp_path)


def test_ordinals_are_the_keys_on_request_and_of_records_without_headers(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", some_payloads(), index=False)
    assert "ordinals" == write_index(rec, keys="ordinal").key_kind
    assert index_text(starts()) == (tmp_path / "a.idx").read_bytes()

    payloads = [*some_payloads(3), b"short", *some_payloads(2)]
    summary = write_index(write_rec(tmp_path / "b.rec", payloads, index=False))
    problem = "some records are too short for an image header, and have no ids; the keys are ordinals"
    assert [f"{tmp_path / 'b.rec'}: {problem}"] == summary.warnings
    assert index_text(bounds(payloads)[:-1]) == (tmp_path / "b.idx").read_bytes()


def test_records_with_labels_and_no_image_are_left_out_for_dali(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", FACES)
    summary = write_index(rec, reader="dali")

    assert index_text(bounds(FACES)[1:4], [1, 2, 3]) == (tmp_path / "a.dali.idx").read_bytes()
    assert (7, 3, {"with labels and no image": 4}) == (summary.records, summary.listed, summary.left_out)
    assert tmp_path / "a.idx" == find_index(rec)
    write_index(rec, tmp_path / "o.idx", reader="dali", keys="ordinal")
    assert index_text(bounds(FACES)[1:4], [1, 2, 3]) == (tmp_path / "o.idx").read_bytes()


@pytest.mark.parametrize("name", ["a.rec", "a.bin", "a", "a.dali", "a.dali.rec", "a.rec.part000", "a.idx"])
def test_no_reader_takes_the_index_for_dali_for_that_of_all_records(tmp_path: Path, name: str) -> None:
    rec = tmp_path / name
    shutil.copy(write_rec(tmp_path / "from.rec", FACES), rec)
    write_index(rec, reader="dali")

    assert find_index(rec) is None


def test_a_new_file_in_place_of_the_old_one_has_no_index_of_it_for_dali(tmp_path: Path) -> None:
    for name in ("a.rec", "a.dali.rec"):
        write_rec(tmp_path / name, [image_payload(1)])
    write_index(tmp_path / "a.rec", reader="dali", force=True)
    with RecordWriter(tmp_path / "a.rec", force=True) as writer:
        writer.write(image_payload(2), key=2)
    assert (tmp_path / "a.dali.idx").exists()  # the name of the index of a.dali.rec

    (tmp_path / "a.dali.rec").unlink()
    with RecordWriter(tmp_path / "a.rec", force=True) as writer:
        writer.write(image_payload(3), key=3)
    assert ["a.idx", "a.rec"] == names_in(tmp_path)


def test_a_file_of_nothing_but_labels_has_no_index_for_dali(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", FACES[:1])
    with pytest.raises(InputError, match=r"a\.rec: all of its records have labels and no image"):
        write_index(rec, reader="dali")
    assert ["a.idx", "a.rec"] == names_in(tmp_path)


def test_the_index_of_a_damaged_file_lists_what_is_whole(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, JUNK, *range(2, 20)])
    summary = write_index(rec, force=True)

    assert (19, 19, 40) == (summary.records, summary.listed, summary.damaged_bytes)
    assert [(starts()[1], starts()[1] + 40, 1)] == [(p.start, p.end, p.records_before) for p in summary.damage]
    offsets = [0, *(offset + len(JUNK) for offset in starts()[1:-1])]
    assert index_text(offsets, [some_ids()[0], *some_ids()[2:]]) == (tmp_path / "a.idx").read_bytes()


def test_records_that_were_moved_off_the_grid_are_listed_with_a_warning(tmp_path: Path) -> None:
    rec = damaged_rec(tmp_path / "a.rec", [0, 1, JUNK + b"x", *range(2, 20)])
    summary = write_index(rec, force=True)

    problem = "18 records are not at a multiple of 4 bytes, where readers expect them; 'im2rec recover' mends that"
    assert (20, [f"{rec}: {problem}"]) == (summary.listed, summary.warnings)


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", FACES, index=False)
    summary = write_index(rec, reader="dali", dry_run=True)

    assert (True, 3, str(tmp_path / "a.dali.idx")) == (summary.dry_run, summary.listed, summary.out)
    assert ["a.rec"] == names_in(tmp_path)


def test_the_file_itself_is_never_replaced(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", FACES, index=False)
    with pytest.raises(OutputError, match=r"is the \.rec itself"):
        write_index(rec, rec, force=True)


def test_wrong_words_and_wrong_files_are_refused(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", FACES, index=False)
    for options in ({"keys": "x"}, {"reader": "x"}):
        with pytest.raises(ParameterError):
            write_index(rec, **options)  # type: ignore[arg-type]
    (tmp_path / "text").write_text("hello\n" * 99)
    with pytest.raises(InputError, match="not a RecordIO file: it is a file of text"):
        write_index(tmp_path / "text")
    (tmp_path / "bad.rec").write_bytes(b"\x0a\x23\xd7\xce" + b"\xff" * 500)
    with pytest.raises(CorruptRecordError, match="no record in it is whole"):
        write_index(tmp_path / "bad.rec")
    assert ["a.rec", "bad.rec", "text"] == names_in(tmp_path)


def test_many_blocks_are_numbered_through(tmp_path: Path) -> None:
    payloads = [np.array([0, number], "<u4").tobytes() for number in range(20_000)]
    write_index(write_rec(tmp_path / "a.rec", payloads, index=False))

    assert index_text(bounds(payloads)[:-1]) == (tmp_path / "a.idx").read_bytes()


def test_damage_is_counted_in_full_where_only_the_first_ranges_are_listed(tmp_path: Path) -> None:
    rec = tmp_path / "a.rec"
    rec.write_bytes((encode_record(bytes(30)) + b"bad!") * 10_050)

    summary = write_index(rec, dry_run=True)

    assert 10_000 == len(summary.damage)
    assert (10_050, 4 * 10_050) == (summary.damaged_ranges, summary.damaged_bytes)
    assert 4 * 10_050 == make_digest(rec).damaged_bytes

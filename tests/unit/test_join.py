"""``join``: the bytes of one run, whatever the parts, class names, outputs, and parts that have changed."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import numpy as np
import pytest
from helpers import message_of, peak_bytes
from image_helpers import a_list_of_images, names_in, write_images, write_list
from pack_helpers import PackCase, a_case, files_in, save_always
from part_helpers import contents, move, packed_parts

from im2rec.errors import CorruptRecordError, InputError, OutputError, ParameterError
from im2rec.format.heads import MAGIC
from im2rec.format.recordio import encode_record
from im2rec.packing.join import join
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.packing.part_file import write_part_file
from im2rec.storage import disk
from im2rec.storage.journal import Journal
from im2rec.storage.writer import RecordWriter

SERIAL = PackOptions(workers=1)


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Four parts of a pack of nine images, in the folder of a test."""
    return packed_parts(*a_list_of_images(tmp_path, 9), tmp_path / "o.rec", 4)


def mixed_list(folder: Path) -> tuple[Path, Path]:
    """Write a list of good and bad lines with several labels, and its images; return it and its root."""
    names = [f"{number}.jpg" for number in range(24)]
    root = write_images(folder / "root", names)
    (root / "3.jpg").write_bytes(b"text")
    (root / "5.jpg").write_bytes((root / "5.jpg").read_bytes() + MAGIC * 3)
    (root / "17.jpg").unlink()
    listed = write_list(folder / "l.lst", names, first_id=7, labels="1\t2.5\t-3")
    lines = listed.read_bytes().splitlines(keepends=True)
    listed.write_bytes(b"".join([*lines[:11], b"\n", b"x\ty\n", *lines[11:]]))
    return listed, root


# The bytes of one run.


@pytest.mark.parametrize("nsplit", [2, 3, 8, 40])
def test_joined_parts_are_byte_for_byte_what_one_run_writes(tmp_path: Path, nsplit: int) -> None:
    listed, root = mixed_list(tmp_path)
    options = PackOptions(workers=1, digest=True)
    pack(listed, root, tmp_path / "whole.rec", PackParams(unchanged=True, pack_label=True), options)
    parts = packed_parts(listed, root, tmp_path / "o.rec", nsplit, pack_label=True)
    random.Random(nsplit).shuffle(parts)
    summary = join(parts, tmp_path / "o.rec", digest=True)

    expected = contents(tmp_path / "whole.rec")
    assert expected == contents(tmp_path / "o.rec")
    assert [".rec", ".idx", ".rec.bad.jsonl", ".rec.digest"] == list(expected)
    assert (22, {"not an image": 1, "missing": 1, "bad list line": 1}) == (summary.records, summary.bad)
    assert sorted(map(str, parts)) == summary.inputs
    assert str(tmp_path / "o.rec.bad.jsonl") == summary.report
    assert len(expected[".rec"]) == summary.bytes_out
    assert [str(tmp_path / name) for name in ("o.rec", "o.idx", "o.rec.digest")] == summary.files


def test_the_order_is_that_of_the_part_numbers_and_not_of_the_names(tmp_path: Path, parts: list[Path]) -> None:
    """Sorted by name, as by a pattern, ``.part1000`` is before ``.part999``."""
    join(parts, tmp_path / "whole.rec")
    new = [tmp_path / f"o.rec.part{number}" for number in (998, 999, 1000, 1001)]
    for rec, name in zip(parts, new, strict=True):
        move(rec, name)
    summary = join([f"{tmp_path}/o.rec.part*"], tmp_path / "o.rec")

    assert contents(tmp_path / "whole.rec") == contents(tmp_path / "o.rec")
    assert list(map(str, new)) == summary.inputs


def test_records_larger_than_a_piece_and_many_blocks_of_an_index_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.packing.join._PIECE_BYTES", 20)
    payloads = [bytes(size) + MAGIC * (size % 3) for size in (0, 1, 7, 100, 8, 9, 44)] * 3
    monkeypatch.setattr("im2rec.format.indexfile._BLOCK_BYTES", 12)
    with RecordWriter(tmp_path / "whole.rec") as whole:
        for key, payload in enumerate(payloads):
            whole.write(payload, key=key)
    for part, keys in enumerate((range(10), range(10, 21))):
        rec = tmp_path / f"o.rec.part{part:03d}"
        with RecordWriter(rec) as writer:
            for key in keys:
                writer.write(payloads[key], key=key)
        write_part_file(rec, {}, nsplit=2, part=part, records=len(keys), bad={})
    counts: list[tuple[int, float]] = []
    join([tmp_path / "o.rec.part*"], tmp_path / "o.rec", progress=lambda *now: counts.append(now))

    assert contents(tmp_path / "whole.rec") == contents(tmp_path / "o.rec")
    assert counts == sorted(counts)
    assert 1.0 == counts[-1][1]


def test_memory_does_not_grow_with_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.packing.join._PIECE_BYTES", 64 << 10)
    monkeypatch.setattr("im2rec.format.indexfile._BLOCK_BYTES", 4 << 10)
    count, frame = 40_000, encode_record(b"tiny")
    for part in range(2):
        rec = tmp_path / f"o.rec.part{part:03d}"
        with RecordWriter(rec) as writer:
            writer.write_frames([frame * count], np.arange(count, dtype=np.uint64), np.full(count, len(frame)))
        write_part_file(rec, {}, nsplit=2, part=part, records=count, bad={})

    peak = peak_bytes(lambda: join([tmp_path / "o.rec.part*"], tmp_path / "o.rec"))
    assert peak < 3_000_000, peak  # 2.4 million, and 16 bytes a record are 1.3 million


def test_parts_may_be_packed_in_other_folders_and_from_other_roots(tmp_path: Path, parts: list[Path]) -> None:
    listed, root = tmp_path / "l.lst", tmp_path / "root"
    pack(listed, root, tmp_path / "whole.rec", PackParams(unchanged=True), SERIAL)
    moved = root.rename(tmp_path / "mount")
    (tmp_path / "b").mkdir()
    others = packed_parts(listed, moved, tmp_path / "b" / "o.rec", 4)
    join([others[2], parts[1], others[0], parts[3]], tmp_path / "o.rec")

    assert contents(tmp_path / "whole.rec") == contents(tmp_path / "o.rec")


def test_an_old_report_and_an_old_digest_do_not_stay(tmp_path: Path, parts: list[Path]) -> None:
    for name in ("o.rec", "o.idx", "o.rec.bad.jsonl", "o.rec.digest"):
        (tmp_path / name).write_text("old")
    summary = join(parts, tmp_path / "o.rec", force=True)

    assert [".rec", ".idx"] == list(contents(tmp_path / "o.rec"))
    assert summary.report is None


def test_parts_that_were_renamed_are_joined(tmp_path: Path, parts: list[Path]) -> None:
    join(parts, tmp_path / "whole.rec")
    named = [move(rec, tmp_path / f"machine{rec.name[-1]}.rec") for rec in parts]
    join(named, tmp_path / "o.rec")

    assert contents(tmp_path / "whole.rec") == contents(tmp_path / "o.rec")


def test_a_dry_run_checks_the_parts_and_writes_nothing(tmp_path: Path, parts: list[Path]) -> None:
    before = names_in(tmp_path)
    summary = join(parts, tmp_path / "o.rec", dry_run=True, digest=True)

    assert (True, 9, 3) == (summary.dry_run, summary.records, len(summary.files))
    assert before == names_in(tmp_path)
    parts[1].write_bytes(b"")
    with pytest.raises(CorruptRecordError):
        join(parts, tmp_path / "o.rec", dry_run=True)


def test_what_a_killed_join_left_is_taken_over(tmp_path: Path, parts: list[Path]) -> None:
    before = names_in(tmp_path)
    for name in ("o.rec", "o.idx", "o.rec.digest", "o.rec.bad.jsonl", "o.rec"):
        (tmp_path / f"{name}.im2rec-partial").write_text("left over")
    (tmp_path / "o.rec.im2rec-journal").touch()
    join(parts, tmp_path / "o.rec")

    assert sorted([*before, "o.rec", "o.idx"]) == names_in(tmp_path)


@pytest.fixture(params=["good", "bad"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackCase:
    """A list with a bad image, and its parts in the folder above ``out``, which have a report if they are *bad*."""
    save_always(monkeypatch)
    found = a_case(tmp_path)
    if request.param == "bad":
        (found.root / "0.jpg").write_bytes(b"text")
    packed_parts(found.listed, found.root, tmp_path / "o.rec", 2)
    (found.root / "0.jpg").write_bytes(b"text")
    return found


def assert_unchanged_when_refused(case: PackCase, problem: str) -> None:
    """Assert that a join onto the ``o.rec`` of *case* is refused by *problem*, and changes nothing beside it."""
    before = files_in(case.out)
    assert before["o.rec.bad.jsonl.im2rec-partial"]
    for force in (False, True):
        with pytest.raises(OutputError, match=problem):
            join([case.out.parent / "o.rec.part*"], case.out / "o.rec", force=force)
        assert before == files_in(case.out)


def test_an_unfinished_pack_is_not_written_over(case: PackCase) -> None:
    case.stop(5)
    assert_unchanged_when_refused(case, "an unfinished run has left records beside it")


def test_a_running_pack_is_not_written_over(case: PackCase) -> None:
    (case.out / "o.rec.bad.jsonl.im2rec-partial").write_bytes(b"{}\n")
    with Journal(case.out / "o.rec"):
        assert_unchanged_when_refused(case, "another im2rec is writing it")


# A join that fails at its end.


@pytest.fixture
def bad_parts(tmp_path: Path) -> list[Path]:
    """Parts with reports and class names, and beside them all files of an older ``new.rec``."""
    parts = packed_parts(*mixed_list(tmp_path), tmp_path / "o.rec", 3)
    (tmp_path / "o.classes.txt").write_text("cat\ndog\n")
    for name in ("new.rec", "new.idx", "new.rec.bad.jsonl", "new.classes.txt"):
        (tmp_path / name).write_bytes(b"old")
    return parts


@pytest.mark.parametrize(
    ("name", "hint", "new"),
    [
        ("new.rec", "new.rec is the old one, and new.idx is missing beside it", []),
        ("new.idx", "new.rec is complete, and new.idx is missing beside it", [".rec"]),
        ("new.rec.bad.jsonl", "new.rec is complete, and its report is missing; join again", [".rec", ".idx"]),
    ],
)
def test_an_old_report_is_never_beside_a_new_rec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad_parts: list[Path], name: str, hint: str, new: list[str]
) -> None:
    def replace(source: Path, target: Path) -> None:
        if target.name == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        source.replace(target)

    monkeypatch.setattr(disk, "replace", replace)
    message = message_of(join, bad_parts, tmp_path / "new.rec", force=True)
    found = contents(tmp_path / "new.rec")

    assert message.startswith(f"{tmp_path / name}: cannot be written: ")
    assert hint in message
    assert new == [suffix for suffix, content in found.items() if content != b"old"]
    assert ".rec.bad.jsonl" not in found
    assert b"old" == (tmp_path / "new.classes.txt").read_bytes()
    assert not list(tmp_path.glob("*.im2rec-*"))


def test_all_old_files_stay_if_the_new_ones_cannot_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad_parts: list[Path]
) -> None:
    def finish(writer: RecordWriter) -> None:
        raise OutputError("cannot be written: the disk is full", path=writer.path)

    monkeypatch.setattr(RecordWriter, "finish", finish)
    before = files_in(tmp_path)
    assert "the disk is full" in message_of(join, bad_parts, tmp_path / "new.rec", force=True)
    assert before == files_in(tmp_path)


# Class names.


def test_the_class_names_beside_the_parts_are_copied(tmp_path: Path, parts: list[Path]) -> None:
    (tmp_path / "o.classes.txt").write_text("cat\ndog\n")
    assert [tmp_path / "o.rec", tmp_path / "o.idx"] == list(map(Path, join(parts, tmp_path / "o.rec").files))
    summary = join(parts, tmp_path / "other.rec")

    assert str(tmp_path / "other.classes.txt") == summary.files[-1]
    assert "cat\ndog\n" == (tmp_path / "other.classes.txt").read_text()


def test_other_class_names_beside_other_parts_are_a_warning(tmp_path: Path, parts: list[Path]) -> None:
    (tmp_path / "b").mkdir()
    move(parts[2], tmp_path / "b" / parts[2].name)
    (tmp_path / "o.classes.txt").write_text("cat\ndog\n")
    (tmp_path / "b" / "o.classes.txt").write_text("dog\ncat\n")
    summary = join([parts[0], parts[1], tmp_path / "b" / parts[2].name, parts[3]], tmp_path / "new.rec")

    other, first = tmp_path / "b" / "o.classes.txt", tmp_path / "o.classes.txt"
    assert [f"{other}: has other class names than {first}, which are copied"] == summary.warnings
    assert "cat\ndog\n" == (tmp_path / "new.classes.txt").read_text()


# Parts that have changed.


def refused(parts: list[Path], kind: type[InputError | CorruptRecordError]) -> str:
    """The message of *kind* by which a join is refused, which leaves nothing behind."""
    before = names_in(parts[0].parent)
    with pytest.raises(kind) as caught:
        join(parts, parts[0].with_name("new.rec"))
    assert before == names_in(parts[0].parent)
    return str(caught.value)


def test_a_part_that_was_cut_is_damaged(parts: list[Path]) -> None:
    size = parts[1].stat().st_size
    parts[1].write_bytes(parts[1].read_bytes()[:100])

    problem = f"{parts[1]}, byte 100: was cut short: it had {size:,} bytes when it was packed"
    assert f"{problem} (pack it again, or fetch it again)" == refused(parts, CorruptRecordError)


def test_a_part_that_grew_and_a_foreign_index_are_refused(parts: list[Path]) -> None:
    index = Path(f"{parts[1]}.idx")
    index.write_bytes(index.read_bytes().replace(b"\t0\n", b"\t4\n"))
    assert refused(parts, InputError).startswith(f"{index}: is not the index that was written with {parts[1]} (")
    index.unlink()
    assert refused(parts, InputError).startswith(f"{index}: cannot be read: no such file")
    with parts[1].open("ab") as file:
        file.write(bytes(4))
    assert refused(parts, InputError).startswith(f"{parts[1]}: has {parts[1].stat().st_size:,} bytes, and had ")


def test_a_report_that_is_missing_or_of_another_run_is_refused(tmp_path: Path) -> None:
    parts = packed_parts(*mixed_list(tmp_path), tmp_path / "o.rec", 3)
    report = tmp_path / "o.rec.part000.bad.jsonl"
    with report.open("a") as file:
        file.write("{}\n")
    assert refused(parts, InputError).startswith(f"{report}: is not the report of bad images that was written with ")
    report.unlink()
    assert refused(parts, InputError).startswith(f"{report}: cannot be read: no such file")


@pytest.mark.parametrize("piece", [8 << 20, 20])
@pytest.mark.parametrize("record", [0, 1, 2])
@pytest.mark.parametrize("byte", [0, 3, 4, 7])
def test_damage_to_a_part_head_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, byte: int, record: int, piece: int
) -> None:
    monkeypatch.setattr("im2rec.packing.join._PIECE_BYTES", piece)
    sizes, starts = (5, 17, 3), (0, 16, 44)
    rec = tmp_path / "o.rec.part000"
    with RecordWriter(rec) as writer:
        for key, size in enumerate(sizes):
            writer.write(bytes(size), key=key)
    write_part_file(rec, {}, nsplit=1, part=0, records=3, bad={})
    data = bytearray(rec.read_bytes())
    data[starts[record] + byte] ^= 0x21
    rec.write_bytes(data)

    expected = f"{rec}, record {record}, byte {starts[record]}: no record of the index is here"
    assert refused([rec], CorruptRecordError).startswith(expected)


def test_an_index_that_names_other_places_is_refused(tmp_path: Path) -> None:
    rec = tmp_path / "o.rec.part000"
    for offsets in ((4, 8, 20), (0, 10, 20), (0, 16, 16), (0, 16, 12), (0, 16, 4000), (0, 16, 2**63 - 4)):
        with RecordWriter(rec, force=True) as writer:
            for key in range(3):
                writer.write(bytes(5), key=key)
        (tmp_path / "o.rec.part000.idx").write_text("".join(f"{k}\t{at}\n" for k, at in enumerate(offsets)))
        write_part_file(rec, {}, nsplit=1, part=0, records=3, bad={})
        with pytest.raises((CorruptRecordError, InputError)):
            join([rec], tmp_path / "new.rec")
    for text in ("\n\n", "0\t0\n", "x\n"):
        (tmp_path / "o.rec.part000.idx").write_text(text)
        write_part_file(rec, {}, nsplit=1, part=0, records=3, bad={})
        assert message_of(join, [rec], tmp_path / "new.rec").startswith(f"{rec}")
    assert ["o.rec.part000", "o.rec.part000.idx", "o.rec.part000.json"] == names_in(tmp_path)


def test_a_part_that_is_packed_anew_during_the_join_ends_it(tmp_path: Path, parts: list[Path]) -> None:
    def replace(*_: float) -> None:
        parts[3].write_bytes(b"")

    with pytest.raises(CorruptRecordError, match=r"part003, byte 0: was cut short"):
        join(parts, tmp_path / "new.rec", progress=replace)
    assert not list(tmp_path.glob("new*"))


# Outputs.


def test_an_output_is_never_a_file_of_a_part(tmp_path: Path, parts: list[Path]) -> None:
    named = [move(rec, tmp_path / f"machine{rec.name[-1]}.rec") for rec in parts]
    (tmp_path / "link.rec").hardlink_to(named[3])
    (tmp_path / "other.idx").hardlink_to(f"{named[3]}.idx")
    for out in ("machine2.rec", "link.rec", "other.rec"):
        with pytest.raises(OutputError, match="is a file of one of the parts"):
            join(named, tmp_path / out, force=True)


def test_a_forgotten_output_is_wrong_usage(tmp_path: Path, parts: list[Path]) -> None:
    everything = [tmp_path / name for name in names_in(tmp_path) if ".part" in name]
    for *words, out in (parts, everything):
        with pytest.raises(ParameterError, match=r"part003(\.json)?: is the name of a part"):
            join(words, out, force=True)
    with pytest.raises(ParameterError, match="is the name of an index"):
        join(parts, tmp_path / "o.idx")
    with pytest.raises(OutputError, match="is a folder"):
        join(parts, tmp_path)


@pytest.mark.parametrize("name", ["o.rec", "o.idx", "o.rec.digest"])
def test_existing_outputs_are_replaced_only_if_forced(tmp_path: Path, parts: list[Path], name: str) -> None:
    (tmp_path / name).write_text("old")
    assert message_of(join, parts, tmp_path / "o.rec").startswith(f"{tmp_path / name}: exists already")
    join(parts, tmp_path / "o.rec", force=True)
    assert b"old" not in contents(tmp_path / "o.rec").values()


def test_parts_without_any_record_are_no_pack(tmp_path: Path) -> None:
    listed = tmp_path / "l.lst"
    for text, why in (("# nothing\n\n", "their list names no images"), ("x\ny\n", "the reports beside them say why")):
        listed.write_text(text)
        parts = packed_parts(listed, tmp_path, tmp_path / "o.rec", 2, PackOptions(workers=1, force=True))
        assert f"no part holds a record ({why})" == refused(parts, InputError)

"""Faults from outside a run: other runs, pipes, closed terminals, links, hostile files."""

from __future__ import annotations

import json
import os
import signal
import struct
from pathlib import Path

import pytest
from helpers import CountingSource, image_payload, message_of, part, write_rec
from image_helpers import (
    KEPT,
    PROC,
    READ_PIPES,
    SAVE_AT_ONCE,
    Ran,
    a_list_of_images,
    encoded,
    held_pipe,
    im2rec,
    left_in,
    names_in,
    records_of,
    started,
    texture,
    wait_for_state,
)

from im2rec.format.heads import MAGIC
from im2rec.format.recordio import encode_record
from im2rec.format.resync import RecordFinder
from im2rec.inspection.survey import survey
from im2rec.packing.make_list import ListOptions, walk_folder
from im2rec.storage.blocks import Damage
from im2rec.storage.scan import scan_damaged
from im2rec.storage.writer import RecordWriter

pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@pipes
def test_force_does_not_replace_a_pipe(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    os.mkfifo(tmp_path / "o.rec")
    expected = f"im2rec: {tmp_path / 'o.rec'}: is a device or a pipe (name a file)\n"

    assert Ran(1, "", expected) == im2rec("pack", listed, root, tmp_path / "o.rec", "unchanged=1", "--force")
    assert (tmp_path / "o.rec").is_fifo()


@pipes
def test_a_list_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    _, root = a_list_of_images(tmp_path)
    pipe = tmp_path / "pipe.lst"
    os.mkfifo(pipe)
    expected = f"im2rec: {pipe}: is a pipe, not a regular file: a list is read twice (save it to a file first)\n"
    assert Ran(4, "", expected) == im2rec("pack", pipe, root, tmp_path / "o.rec")


def test_the_second_of_two_writers_is_refused_and_touches_nothing_of_the_first(tmp_path: Path) -> None:
    first = RecordWriter(tmp_path / "o.rec")
    first.write(b"first", key=1)
    expected = f"{tmp_path / 'o.rec'}: another im2rec is writing it (wait for it, or choose another name)"
    for force in (False, True):
        assert expected == message_of(RecordWriter, tmp_path / "o.rec", force=force)
    assert KEPT == names_in(tmp_path)
    first.close()

    assert ["o.idx", "o.rec"] == names_in(tmp_path)
    assert encode_record(b"first") == (tmp_path / "o.rec").read_bytes()
    assert b"1\t0\n" == (tmp_path / "o.idx").read_bytes()
    with RecordWriter(tmp_path / "o.rec", force=True) as second:
        second.write(b"second", key=2)
    assert encode_record(b"second") == (tmp_path / "o.rec").read_bytes()


def test_the_second_of_two_packs_is_refused_before_it_reads_anything(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    expected = f"im2rec: {tmp_path / 'o.rec'}: another im2rec is writing it (wait for it, or choose another name)\n"
    with RecordWriter(tmp_path / "o.rec"):
        for more in ([], ["--force"], ["--restart"], ["--resume"]):
            assert Ran(1, "", expected) == im2rec("pack", listed, root, tmp_path / "o.rec", "unchanged=1", *more)
        assert KEPT == left_in(tmp_path)
    assert 0 == im2rec("pack", listed, root, tmp_path / "o.rec", "unchanged=1", "--force").code
    assert [] == left_in(tmp_path)


def test_a_name_that_is_too_long_is_an_error_of_one_line(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    code, out, err = im2rec("pack", listed, root, tmp_path / ("o" * 300 + ".rec"), "unchanged=1")

    assert (1, "", 1) == (code, out, err.count("\n"))
    assert "cannot be written: file name too long" in err


@PROC
def test_a_closed_terminal_ends_a_run_and_the_same_words_go_on(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 40)
    (tmp_path / "out").mkdir()
    (root / "20.jpg").unlink()
    with held_pipe(root / "20.jpg") as pipe:  # the run waits for its content
        words = ("pack", listed, root, tmp_path / "out" / "o.rec", "resize=16", "--workers", "1")
        process = started(*words, before=f"{READ_PIPES}; {SAVE_AT_ONCE}")
        pipe.wait_for_reader()
        wait_for_state(tmp_path / "out" / "o.rec")
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate()

    assert 143 == process.returncode, err
    assert KEPT == names_in(tmp_path / "out")
    (root / "20.jpg").unlink()
    (root / "20.jpg").write_bytes(encoded(texture()))
    code, out, _ = im2rec(*words, "--json")
    assert (0, 40, True) == (code, json.loads(out)["images"], json.loads(out)["resumed"] > 0)
    assert [*range(40)] == [record.header.id for record in records_of(tmp_path / "out" / "o.rec")]


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_a_link_to_a_folder_below_the_root_is_left_out_and_one_to_a_folder_outside_is_followed_once(
    tmp_path: Path,
) -> None:
    for folder in ("root/real", "outside"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.jpg").write_bytes(b"")
    (tmp_path / "root" / "a link").symlink_to(tmp_path / "root" / "real")
    (tmp_path / "root" / "b").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "c").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "up").symlink_to(tmp_path / "root")
    walk = walk_folder(tmp_path / "root", ListOptions())

    assert ["b/1.jpg", "real/1.jpg"] == [image.path for image in walk.images]
    assert {"linked folder walked already": 3} == dict(walk.left_out)


@pytest.mark.parametrize("shift", [b"", b"\0"])
def test_nested_part_heads_over_one_chain_are_each_read_once(shift: bytes) -> None:
    count = 400
    heads = b"".join(MAGIC + struct.pack("<I", 1 << 29 | 8 * (count - 1 - n)) for n in range(count))
    source = CountingSource(shift + heads + part(2, b"") * count)

    assert RecordFinder(source).first(0, source.size, 0) is None
    assert len(source.reads) < 10 * count


@pytest.mark.parametrize("lost", [1, 2, 3, 4, 7, 8])
def test_bytes_lost_from_an_image_damage_that_record_and_no_other(lost: int) -> None:
    frames = [encode_record(image_payload(n, 1.0, bytes([n]) * (500 + n))) for n in range(4)]
    start = len(frames[0])
    data = frames[0] + frames[1][:100] + frames[1][100 + lost :] + frames[2] + frames[3]
    pieces = list(scan_damaged(CountingSource(data)))
    damage = [(piece.start, piece.end) for piece in pieces if isinstance(piece, Damage)]
    whole = [offset for piece in pieces if not isinstance(piece, Damage) for offset in piece.offsets]

    assert [(start, start + len(frames[1]) - lost)] == damage
    assert [0, start + len(frames[1]) - lost, len(data) - len(frames[3])] == whole


def test_records_after_much_garbage_are_reported_as_damage_of_a_record_file(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(bytes(70_000) + encode_record(image_payload(1, 1.0, encoded(texture()))))
    report = survey(tmp_path / "a.rec")

    assert 1 == report.records
    assert [(0, 70_000)] == [(piece.start, piece.end) for piece in report.damage]
    assert 5 == im2rec("inspect", tmp_path / "a.rec").code


def test_a_missing_index_is_an_error_before_the_survey_starts(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(0)])
    calls: list[object] = []
    with pytest.raises(Exception, match="no such file"):
        survey(path, index=tmp_path / "none.idx", progress=lambda *now: calls.append(now))
    assert [] == calls


def test_verify_finds_cut_images_that_are_stored_unchanged(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    whole = (root / "1.jpg").read_bytes()
    (root / "1.jpg").write_bytes(whole[:-40])
    words = ("pack", listed, root, tmp_path / "o.rec", "unchanged=1", "--workers", "1", "--json", "--force")

    assert 0 == im2rec(*words).code
    code, out, _ = im2rec(*words, "--verify")
    assert 3 == code
    assert '"bad": {"cut short": 1}' in out

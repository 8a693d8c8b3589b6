"""The writer: a ``.rec`` and its index appear together, and only when complete."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import bounds, image_payload, index_text, joined, message_of, write_rec
from image_helpers import names_in

import im2rec
from im2rec.errors import OutputError, ParameterError, RecordTooLargeError
from im2rec.format.heads import MAGIC
from im2rec.format.recordio import encode_record
from im2rec.storage import disk
from im2rec.storage.digest import load_digest, write_digest
from im2rec.storage.reader import RecordFile
from im2rec.storage.writer import RecordWriter

PAYLOADS = [b"one", b"", b"two" + MAGIC, MAGIC * 2, image_payload(5)]
KEYS = [30, 10, 20, 10, 2**64 - 1]
TEMPORARY = ["out.idx.im2rec-partial", "out.rec.im2rec-journal", "out.rec.im2rec-partial"]


def write_all(writer: RecordWriter) -> list[int]:
    return [writer.write(payload, key=key) for payload, key in zip(PAYLOADS, KEYS, strict=True)]


def test_both_files_appear_when_the_writer_is_closed(tmp_path: Path) -> None:
    with im2rec.RecordWriter(tmp_path / "out.rec") as writer:
        assert bounds(PAYLOADS)[:-1] == write_all(writer)
        assert (5, bounds(PAYLOADS)[-1]) == (writer.records, writer.offset)
        assert TEMPORARY == names_in(tmp_path)

    assert ["out.idx", "out.rec"] == names_in(tmp_path)
    assert joined(PAYLOADS) == (tmp_path / "out.rec").read_bytes()
    assert index_text(bounds(PAYLOADS)[:-1], KEYS) == (tmp_path / "out.idx").read_bytes()
    with RecordFile(tmp_path / "out.rec") as rec:
        assert PAYLOADS == [rec.payload(ordinal) for ordinal in range(5)]
        assert KEYS == rec.keys.tolist()


def test_the_index_is_written_where_a_reader_looks_for_it(tmp_path: Path) -> None:
    for name, index in (("output.bin", "output.idx"), ("plain", "plain.idx"), ("o.rec.part000", "o.rec.part000.idx")):
        with RecordWriter(str(tmp_path / name)) as writer:
            writer.write(b"x", key=1)
        assert tmp_path / index == writer.index_path
        with RecordFile(tmp_path / name) as rec:
            assert tmp_path / index == rec.index_path


def test_many_frames_are_appended_as_they_are_in_pieces_of_any_lengths(tmp_path: Path) -> None:
    data = joined(PAYLOADS)
    sizes = np.diff(bounds(PAYLOADS))
    with RecordWriter(tmp_path / "out.rec") as writer:
        writer.write(b"one", key=1)
        writer.write_frames([data[:5], b"", data[5:40], data[40:]], np.array(KEYS, np.uint64), sizes)
        assert 12 == writer.write(b"two", key=2) - len(data)

    assert joined([b"one", *PAYLOADS, b"two"]) == (tmp_path / "out.rec").read_bytes()
    offsets = bounds([b"one", *PAYLOADS, b"two"])[:-1]
    assert index_text(offsets, [1, *KEYS, 2]) == (tmp_path / "out.idx").read_bytes()


def test_frames_of_another_size_than_was_said_discard_the_writer(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "out.rec")
    with pytest.raises(ParameterError, match="the frames have 24 bytes, and the pieces 12"):
        writer.write_frames([joined([b"one"])], np.array([1, 2], np.uint64), np.array([12, 12]))
    assert [] == names_in(tmp_path)


def test_an_error_in_the_pieces_discards_the_writer(tmp_path: Path) -> None:
    def pieces() -> Any:
        yield b"half"
        raise OutputError("stop")

    writer = RecordWriter(tmp_path / "out.rec")
    with pytest.raises(OutputError, match="stop"):
        writer.write_frames(pieces(), np.array([1], np.uint64), np.array([12]))
    with pytest.raises(OutputError, match="was discarded"):
        writer.close()
    assert [] == names_in(tmp_path)


def test_records_and_index_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "out.rec") as writer:
        write_all(writer)
        with writer.written() as file:
            assert joined(PAYLOADS) == file.read_at(0, file.size)
        ((keys, offsets),) = writer.index_blocks()
        assert (KEYS, bounds(PAYLOADS)[:-1]) == (keys.tolist(), offsets.tolist())
        writer.write(b"more", key=4)
    with RecordFile(tmp_path / "out.rec") as rec:
        assert [*KEYS, 4] == rec.keys.tolist()


def test_keys_can_become_ordinals_at_the_end(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "out.rec") as writer:
        write_all(writer)
        writer.number_keys()
        writer.write(b"more", key=5)

    assert index_text(bounds([*PAYLOADS, b"more"])[:-1]) == (tmp_path / "out.idx").read_bytes()
    assert ["out.idx", "out.rec"] == names_in(tmp_path)


def test_an_encoded_frame_is_appended_unchanged(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "out.rec") as writer:
        assert [0, 12] == [writer.write_frame(encode_record(payload), key=3) for payload in (b"one", MAGIC)]

    assert joined([b"one", MAGIC]) == (tmp_path / "out.rec").read_bytes()


def test_nothing_is_left_after_an_exception_in_the_block(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "out.rec")
    write_all(writer)

    with pytest.raises(KeyboardInterrupt), writer:
        raise KeyboardInterrupt

    assert [] == names_in(tmp_path)
    assert f"{tmp_path / 'out.rec'}: is closed (open a new writer)" == message_of(writer.write, b"x", key=1)


def test_a_digest_of_what_is_written_appears_with_the_other_files(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "out.rec", digest=True) as writer:
        write_all(writer)
        assert sorted([*TEMPORARY, "out.rec.digest.im2rec-partial"]) == names_in(tmp_path)

    assert ["out.idx", "out.rec", "out.rec.digest"] == names_in(tmp_path)
    write_digest(tmp_path / "out.rec", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "out.rec.digest").read_bytes()
    assert tmp_path / "out.rec.digest" == writer.digest_path


@pytest.mark.parametrize("digest", [False, True])
def test_an_old_digest_is_refused_and_with_force_removed_or_replaced(tmp_path: Path, *, digest: bool) -> None:
    (tmp_path / "out.rec.digest").write_bytes(b"old")
    message = f"{tmp_path / 'out.rec.digest'}: exists already (replace it with force=True, or choose another name)"
    assert message == message_of(RecordWriter, tmp_path / "out.rec", digest=digest)

    writer = RecordWriter(tmp_path / "out.rec", force=True, digest=digest)
    write_all(writer)
    assert b"old" == (tmp_path / "out.rec.digest").read_bytes()
    writer.discard()
    assert ["out.rec.digest"] == names_in(tmp_path)

    with RecordWriter(tmp_path / "out.rec", force=True, digest=digest) as writer:
        write_all(writer)
    assert ["out.idx", "out.rec", *(["out.rec.digest"] if digest else [])] == names_in(tmp_path)
    if digest:
        assert 5 == load_digest(tmp_path / "out.rec.digest").records


def test_a_digest_that_appears_while_writing_is_kept(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "out.rec")
    (tmp_path / "out.rec.digest").write_bytes(b"other")

    assert "out.rec.digest: exists already" in message_of(writer.close)
    assert ["out.rec.digest"] == names_in(tmp_path)


def test_the_threads_of_a_digest_end_with_the_writer(tmp_path: Path) -> None:
    for end in (RecordWriter.close, RecordWriter.discard):
        writer = RecordWriter(tmp_path / "out.rec", force=True, digest=True)
        writer.write(bytes(2 << 20), key=1)
        assert 2 == sum(thread.name.startswith("im2rec-digest") for thread in threading.enumerate())
        end(writer)
        assert not any(thread.name.startswith("im2rec-digest") for thread in threading.enumerate())


def test_a_discarded_writer_leaves_existing_files_unchanged(tmp_path: Path) -> None:
    write_rec(tmp_path / "out.rec", [b"old"])
    writer = RecordWriter(tmp_path / "out.rec", force=True)
    write_all(writer)
    writer.discard()
    writer.discard()
    writer.close()

    assert ["out.idx", "out.rec"] == names_in(tmp_path)
    assert joined([b"old"]) == (tmp_path / "out.rec").read_bytes()


@pytest.mark.parametrize("taken", ["out.rec", "out.idx"])
def test_an_existing_file_is_replaced_by_force_only(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_bytes(b"old")

    message = f"{tmp_path / taken}: exists already (replace it with force=True, or choose another name)"
    assert message == message_of(RecordWriter, tmp_path / "out.rec")
    assert [taken] == names_in(tmp_path)

    with RecordWriter(tmp_path / "out.rec", force=True) as writer:
        write_all(writer)
        assert b"old" == (tmp_path / taken).read_bytes()
    assert ["out.idx", "out.rec"] == names_in(tmp_path)
    with RecordFile(tmp_path / "out.rec") as rec:
        assert KEYS == rec.keys.tolist()


def test_a_file_that_appears_while_writing_is_kept_unless_forced(tmp_path: Path) -> None:
    for name in ("out.rec", "out.idx"):
        for force in (False, True):
            writer = RecordWriter(tmp_path / "out.rec", force=force)
            write_all(writer)
            (tmp_path / name).write_bytes(b"other")
            if force:
                writer.close()
                assert joined(PAYLOADS) == (tmp_path / "out.rec").read_bytes()
                assert ["out.idx", "out.rec"] == names_in(tmp_path)
                continue
            message = f"{tmp_path / name}: exists already (replace it with force=True, or choose another name)"
            assert message == message_of(writer.close)
            assert b"other" == (tmp_path / name).read_bytes()
            assert [name] == names_in(tmp_path)
        (tmp_path / "out.rec").unlink()
        (tmp_path / "out.idx").unlink()


def test_closing_a_writer_that_failed_to_close_is_an_error(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "out.rec")
    write_all(writer)
    (tmp_path / "out.rec").write_bytes(b"other")
    with pytest.raises(OutputError, match=r"out\.rec: exists already"):
        writer.close()

    (tmp_path / "out.rec").unlink()
    message = f"{tmp_path / 'out.rec'}: was discarded when a write failed (no file exists under this name)"
    assert message == message_of(writer.close)
    assert [] == names_in(tmp_path)


def test_closing_twice_does_nothing(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "out.rec")
    write_all(writer)
    writer.close()
    (tmp_path / "out.rec").unlink()
    writer.close()
    writer.discard()

    assert ["out.idx"] == names_in(tmp_path)
    assert f"{tmp_path / 'out.rec'}: is closed (open a new writer)" == message_of(writer.write, b"x", key=1)


def test_a_writer_without_records_writes_two_empty_files(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "out.rec"):
        pass

    assert [b"", b""] == [(tmp_path / name).read_bytes() for name in ("out.rec", "out.idx")]


def test_a_wrong_key_is_refused_and_writing_can_continue(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "out.rec") as writer:
        writer.write(b"one", key=1)
        for key in (-1, 2**64, 1.5):
            with pytest.raises(ParameterError, match=rf"^key={key} must be .*0 to 18446744073709551615"):
                writer.write(b"lost", key=key)
        writer.write(b"two", key=np.uint64(2))

    assert joined([b"one", b"two"]) == (tmp_path / "out.rec").read_bytes()
    assert b"1\t0\n2\t12\n" == (tmp_path / "out.idx").read_bytes()


def test_the_smallest_and_the_largest_key_are_written(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "out.rec") as writer:
        writer.write(b"one", key=0)
        writer.write(b"two", key=2**64 - 1)

    assert b"0\t0\n18446744073709551615\t12\n" == (tmp_path / "out.idx").read_bytes()


def test_a_payload_that_is_too_large_is_refused_and_writing_can_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.errors.MAX_PAYLOAD", 5)

    with RecordWriter(tmp_path / "out.rec") as writer:
        with pytest.raises(RecordTooLargeError, match=r"^a payload of 6 bytes exceeds 5"):
            writer.write(b"toobig", key=1)
        writer.write(b"fits!", key=2)

    assert joined([b"fits!"]) == (tmp_path / "out.rec").read_bytes()


def test_a_writer_cannot_be_pickled(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "out.rec") as writer:
        expected = f"a RecordWriter ({tmp_path / 'out.rec'}) cannot be pickled: it belongs to one process"
        with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
            pickle.dumps(writer)
        writer.write(b"x", key=1)

    assert joined([b"x"]) == (tmp_path / "out.rec").read_bytes()


def test_a_folder_is_refused_as_output(tmp_path: Path) -> None:
    for path in (tmp_path, "..", ".", "", Path.cwd().anchor):
        with pytest.raises(OutputError, match="is a folder"):
            RecordWriter(path)


def test_an_output_whose_folder_is_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no" / "out.rec"
    assert f"{path}: the folder {path.parent} is missing (make it first)" == message_of(RecordWriter, path)
    assert [] == names_in(tmp_path)


def test_nothing_is_left_when_the_index_cannot_be_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = disk.open_output

    def refuse_index(path: Path, **options: Any) -> Any:
        if ".idx." in path.name:
            raise OSError(28, "No space left on device")
        return real(path, **options)

    monkeypatch.setattr(disk, "open_output", refuse_index)

    assert f"{tmp_path / 'out.idx'}: cannot be written: no space left on device" in message_of(
        RecordWriter, tmp_path / "out.rec"
    )
    assert [] == names_in(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("child", ["writer.close()", "writer.write(b'lost', key=2)", "del writer", "pass"])
def test_a_forked_child_leaves_the_file_of_its_parent_as_it_is(tmp_path: Path, child: str) -> None:
    program = f"""
import os, sys, im2rec
with im2rec.RecordWriter("out.rec") as writer:
    writer.write(b"before", key=1)
    if not (pid := os.fork()):
        try:
            {child}
        except im2rec.OutputError as error:
            print(error)
        sys.exit()  # unlike os._exit(), writes what files hold back
    os.waitpid(pid, 0)
    writer.write(b"after", key=3)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)

    refusal = "out.rec: belongs to another process (write and close it in that one)\n"
    assert (refusal if "writer." in child else "", "") == (done.stdout, done.stderr)
    assert ["out.idx", "out.rec"] == names_in(tmp_path)
    assert joined([b"before", b"after"]) == (tmp_path / "out.rec").read_bytes()
    assert index_text(bounds([b"before", b"after"])[:-1], [1, 3]) == (tmp_path / "out.idx").read_bytes()


@pytest.mark.parametrize("end", ["pass", "del writer", "raise SystemExit(0)"])
def test_a_writer_that_is_never_closed_is_said_to_have_written_nothing(tmp_path: Path, end: str) -> None:
    program = f"import im2rec; writer = im2rec.RecordWriter('out.rec'); writer.write(b'lost', key=1); {end}"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)

    expected = "out.rec: was never closed: nothing is written (use it in a with block, or call close())\n"
    assert expected == done.stderr
    assert [] == names_in(tmp_path)


def test_the_digest_covers_frames_that_are_appended_at_once(tmp_path: Path) -> None:
    data = joined(PAYLOADS)
    with RecordWriter(tmp_path / "out.rec", digest=True) as writer:
        writer.write_frames([data[:9], data[9:]], np.array(KEYS, np.uint64), np.diff(bounds(PAYLOADS)))

    digest = load_digest(tmp_path / "out.rec.digest")
    assert (hashlib.sha256(data).digest(), len(PAYLOADS), len(data)) == (digest.sha256, digest.records, digest.size)


def test_tables_of_an_earlier_set_never_stand_beside_a_new_one(tmp_path: Path) -> None:
    """Other files of such names are not ours, and stay."""
    rec, mine = tmp_path / "a.rec", tmp_path / "a.keys.tsv"
    for force in (False, True):
        (tmp_path / "a.labels.tsv").write_text("label\told_label\n0\t7\n")
        (tmp_path / "a.same.tsv").write_text("key\tlabel\n")
        mine.write_text("my keys\n")
        with RecordWriter(rec, force=force) as writer:
            writer.write(b"payload", key=0)
    assert ["a.idx", "a.keys.tsv", "a.rec"] == sorted(path.name for path in tmp_path.iterdir())
    assert "my keys\n" == mine.read_text()

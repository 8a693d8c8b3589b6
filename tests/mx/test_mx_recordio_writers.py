"""Writing by MXNet's names: its bytes, and files that have their names only when they are complete."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import GOLDEN, bounds, index_text, joined, message_of, write_rec
from image_helpers import names_in

from im2rec.errors import MAX_PAYLOAD, OutputError
from im2rec.format.heads import MAGIC
from im2rec.mx.recordio import MXIndexedRecordIO, MXRecordIO
from im2rec.storage.digest import write_digest
from im2rec.storage.journal import Journal, State
from im2rec.storage.output import AtomicFile, partial_path

OLD, NEW = [b"old"], [b"", b"one", MAGIC + b"two"]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def writer(folder: Path, **options: Any) -> MXIndexedRecordIO:
    return MXIndexedRecordIO(str(folder / "a.idx"), str(folder / "a.rec"), "w", **options)


def run(script: str, folder: Path, *, says: str = "") -> int:
    """Run *script* in *folder*, with a writer of the payloads, and return its exit code; its stderr ends in *says*."""
    before = f"""
import multiprocessing, os, sys
from im2rec.mx.recordio import MXIndexedRecordIO
record = MXIndexedRecordIO("a.idx", "a.rec", "w")
for key, payload in enumerate({NEW!r}):
    record.write_idx(key, payload)
"""
    command = [sys.executable, "-W", "error", "-c", before + script]
    done = subprocess.run(command, cwd=folder, timeout=60, capture_output=True, text=True)
    assert says == (done.stderr.splitlines() or [""])[-1]
    return done.returncode


def is_new(folder: Path) -> bool:
    """True if the new files have their names and nothing else is there, False if the old ones are as they were."""
    payloads = NEW if (folder / "a.rec").stat().st_size > len(joined(OLD)) else OLD
    assert joined(payloads) == (folder / "a.rec").read_bytes()
    assert index_text(bounds(payloads)[:-1]) == (folder / "a.idx").read_bytes()
    return payloads == NEW


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the old files."""
    write_rec(tmp_path / "a.rec", OLD)
    return tmp_path


@pytest.mark.parametrize("name", ["magic", "plain", "labels", "zero_length", "indexed", "partition"])
def test_the_bytes_are_those_of_mxnets_writer(name: str, tmp_path: Path) -> None:
    source = MXRecordIO(str(GOLDEN / f"{name}.rec"), "r")
    copy = MXRecordIO(str(tmp_path / "a.rec"), "w")
    while (payload := source.read()) is not None:
        copy.write(payload)
    copy.close()
    source.close()

    assert (GOLDEN / f"{name}.rec").read_bytes() == (tmp_path / "a.rec").read_bytes()
    assert ["a.rec"] == names_in(tmp_path)


def test_the_index_keys_and_offsets_are_those_of_mxnets_writer(tmp_path: Path) -> None:
    source = MXRecordIO(str(GOLDEN / "indexed.rec"), "r")
    record = writer(tmp_path)
    told = [record.tell()]
    for key in (30, "10", 20.9, 10, False, 2**64):
        payload = source.read()
        assert payload is not None
        record.write_idx(key, payload)
        told.append(record.tell())
    source.close()

    assert [0, 16, 24, 48, 68, 80, 96] == told
    assert [30, 10, 20, 10, 0, 2**64] == record.keys
    assert {30: 0, 10: 48, 20: 24, 0: 68, 2**64: 80} == record.idx
    record.close()
    assert (GOLDEN / "indexed.idx").read_bytes() == (tmp_path / "a.idx").read_bytes()
    assert (GOLDEN / "indexed.rec").read_bytes() == (tmp_path / "a.rec").read_bytes()


def test_write_adds_no_line_and_the_record_is_read_in_its_place(tmp_path: Path) -> None:
    record = writer(tmp_path)
    record.write_idx(1, b"one")
    record.write(bytearray(b"between"))
    record.write_idx(2, b"two")
    record.close()

    assert b"1\t0\n2\t28\n" == (tmp_path / "a.idx").read_bytes()
    read = MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "r")
    assert [b"one", b"between", b"two"] == [read.read_idx(1), read.read(), read.read()]
    read.close()


def test_keys_are_written_as_utf_8_and_read_back(tmp_path: Path) -> None:
    record = writer(tmp_path, key_type=str)
    record.write_idx("größe", b"one")
    record.write_idx("a b", b"two")
    for key in ("", " a", "a\t", "a\tb", "a\nb", "a\u2028b"):
        assert "must have no TAB and no line break" in message_of(record.write_idx, key, b"three")
    record.close()

    assert "größe\t0\na b\t12\n".encode() == (tmp_path / "a.idx").read_bytes()
    read = MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "r", key_type=str)
    assert (["größe", "a b"], b"two") == (read.keys, read.read_idx("a b"))
    read.close()


# When the files have their names.


def test_files_are_replaced_when_the_writer_is_closed(folder: Path) -> None:
    (folder / "a.rec.digest").touch()
    write_digest(folder / "a.rec", force=True)
    record = writer(folder)
    for key, payload in enumerate(NEW):
        record.write_idx(key, payload)

    assert not is_new(folder)
    record.close()
    record.close()
    assert is_new(folder)
    assert ["a.idx", "a.rec"] == names_in(folder)  # the digest was that of the old file


def test_a_writer_that_is_dropped_is_closed(folder: Path) -> None:
    record = writer(folder)
    for key, payload in enumerate(NEW):
        record.write_idx(key, payload)
    del record
    gc.collect()

    assert is_new(folder)
    assert ["a.idx", "a.rec"] == names_in(folder)


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        ("", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("loop = [record]; loop.append(loop)", 0, ""),
    ],
)
def test_a_script_that_ends_without_closing_leaves_its_files(end: str, code: int, says: str, folder: Path) -> None:
    assert code == run(end, folder, says=says)
    assert is_new(folder)
    assert ["a.idx", "a.rec"] == names_in(folder)


def test_a_script_that_is_killed_leaves_the_old_files_and_can_be_run_again(folder: Path) -> None:
    assert 9 == run("os._exit(9)", folder)
    assert not is_new(folder)

    assert 0 == run("", folder)
    assert is_new(folder)
    assert ["a.idx", "a.rec"] == names_in(folder)


@forks
def test_a_forked_child_has_no_share_in_the_files(folder: Path) -> None:
    script = """
pid = os.fork()
if not pid:
    try:
        record.write_idx(9, b"nine")
    except Exception as error:
        sys.exit(7 if "belongs to another process" in str(error) else 8)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert os.path.getsize("a.rec") == 12
"""
    assert 0 == run(script, folder)
    assert is_new(folder)


@forks
def test_a_forked_worker_that_ends_without_closing_leaves_its_files(tmp_path: Path) -> None:
    script = f"""
def work():
    global other
    other = MXIndexedRecordIO("child/a.idx", "child/a.rec", "w")
    for key, payload in enumerate({NEW!r}):
        other.write_idx(key, payload)
os.mkdir("child")
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
sys.exit(child.exitcode)
"""
    assert 0 == run(script, tmp_path)
    assert is_new(tmp_path / "child")


# What is refused.


def test_a_writer_is_not_pickled_until_it_is_closed(tmp_path: Path) -> None:
    record = writer(tmp_path)
    record.write_idx(1, b"one")
    with pytest.raises(TypeError, match=r"a writer \(.*a.rec\) cannot be pickled: it belongs to one process"):
        pickle.dumps(record)
    record.close()

    pickle.loads(pickle.dumps(record)).close()
    assert joined([b"one"]) == (tmp_path / "a.rec").read_bytes()


def test_a_writer_does_not_start_again_once_it_has_records(tmp_path: Path) -> None:
    record = writer(tmp_path)
    record.reset()
    record.write_idx(1, b"one")
    problem = f"{tmp_path / 'a.rec'}: this writer cannot start again: its records would be lost"
    assert message_of(record.reset).startswith(problem)
    record.close()

    assert message_of(record.reset).startswith(problem)
    assert joined([b"one"]) == (tmp_path / "a.rec").read_bytes()


def test_a_writer_neither_reads_nor_writes_what_no_record_can_hold(tmp_path: Path) -> None:
    record = writer(tmp_path)
    for work in (record.read, lambda: record.read_idx(1), lambda: record.seek(1)):
        assert "this writer cannot read (open it with flag 'r')" in message_of(work)
    assert "a payload must be bytes, not str" == message_of(record.write, "text")
    assert "exceeds" in message_of(record.write, bytes(MAX_PAYLOAD + 1))
    with pytest.raises(ValueError, match="invalid literal"):
        record.write_idx("x", b"one")
    record.close()

    for work in (lambda: record.write(b"x"), lambda: record.write_idx(1, b"x"), record.tell):
        assert f"{tmp_path / 'a.rec'}: is closed (open a new writer)" == message_of(work)
    assert (b"", b"") == ((tmp_path / "a.rec").read_bytes(), (tmp_path / "a.idx").read_bytes())


def test_a_second_writer_in_another_process_is_refused(folder: Path) -> None:
    script = """
code = "import sys; from im2rec.mx.recordio import MXIndexedRecordIO; MXIndexedRecordIO(*sys.argv[1:], 'w')"
import subprocess
for names in (("a.idx", "a.rec"), ("a.idx", "b.rec"), ("b.idx", "a.rec")):
    ran = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert "another im2rec is writing it" in ran.stderr, ran.stderr
"""
    assert 0 == run(script, folder)
    assert is_new(folder)
    assert ["a.idx", "a.rec"] == names_in(folder)
    assert "the folder" in message_of(writer, folder / "missing")


@forks
def test_a_second_writer_in_a_forked_child_is_refused(folder: Path) -> None:
    script = """
pid = os.fork()
if not pid:
    try:
        MXIndexedRecordIO("a.idx", "a.rec", "w")
    except Exception as error:
        os._exit(7 if "another im2rec is writing it" in str(error) else 8)
    os._exit(9)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert record.is_open and os.path.getsize("a.rec") == 12
"""
    assert 0 == run(script, folder)
    assert is_new(folder)


def test_a_second_writer_in_the_same_process_closes_the_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = writer(folder)
    for key, payload in enumerate(NEW):
        first.write_idx(key, payload)
    monkeypatch.chdir(folder)
    second = MXIndexedRecordIO("a.idx", "a.rec", "w")
    assert is_new(folder)  # until the second one is closed
    assert "is closed" in message_of(first.write, b"more")
    first.close()
    second.write_idx(5, b"five")
    second.close()

    assert joined([b"five"]) == (folder / "a.rec").read_bytes()
    assert b"5\t0\n" == (folder / "a.idx").read_bytes()
    assert ["a.idx", "a.rec"] == names_in(folder)


def test_a_writer_of_the_index_of_another_one_closes_it(folder: Path) -> None:
    first = writer(folder)
    for key, payload in enumerate(NEW):
        first.write_idx(key, payload)
    second = MXIndexedRecordIO(str(folder / "a.idx"), str(folder / "b.rec"), "w")
    assert is_new(folder)
    second.close()

    assert ["a.idx", "a.rec", "b.rec"] == names_in(folder)


def test_open_of_an_open_writer_begins_again(tmp_path: Path) -> None:
    record = writer(tmp_path)
    record.write_idx(1, b"one")
    record.open()
    assert ([], {}) == (record.keys, record.idx)
    record.write_idx(2, b"two")
    record.close()

    assert joined([b"two"]) == (tmp_path / "a.rec").read_bytes()
    assert b"2\t0\n" == (tmp_path / "a.idx").read_bytes()


def test_what_an_unfinished_pack_has_left_is_not_written_over(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.rec") as journal:
        journal.save(State(1, {"a.rec": 12}, {}), synced=True)

    assert "an unfinished run has left records beside it" in message_of(writer, tmp_path)


def test_an_index_that_an_unfinished_pack_of_another_file_is_writing_is_not_written_over(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.bin") as journal:
        journal.save(State(1, {"a.bin": 12, "a.idx": 4}, {}), synced=True)
    partial_path(tmp_path / "a.idx").write_bytes(b"0\t0\n")

    assert "is of an unfinished run of another output" in message_of(writer, tmp_path)
    assert b"0\t0\n" == partial_path(tmp_path / "a.idx").read_bytes()
    assert ["a.bin.im2rec-journal", "a.idx.im2rec-partial"] == names_in(tmp_path)


def test_after_a_write_that_fails_nothing_new_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = writer(folder)
    record.write_idx(1, b"one")

    def fail(file: AtomicFile, _: bytes) -> None:
        raise OutputError("cannot be written: no space left on device", path=file.path)

    monkeypatch.setattr(AtomicFile, "write", fail)
    assert "no space left on device" in message_of(record.write_idx, 2, b"two")
    monkeypatch.undo()
    assert "is closed" in message_of(record.write_idx, 2, b"two")
    assert "was discarded when a write failed" in message_of(record.close)
    record.close()
    dropped = writer(folder)
    monkeypatch.setattr(AtomicFile, "write", fail)
    assert "no space left on device" in message_of(dropped.write_idx, 2, b"two")
    del dropped
    gc.collect()

    assert not is_new(folder)
    assert ["a.idx", "a.rec"] == names_in(folder)

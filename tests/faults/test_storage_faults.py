"""Files cut, changed and shared while open; wrong indexes; kills, full disks and hostile lengths."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import itertools
import multiprocessing
import os
import pickle
import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers import (
    CountingSource,
    bounds,
    digests,
    image_payload,
    index_text,
    joined,
    message_of,
    part,
    peak_bytes,
    send_digests,
    write_rec,
)
from image_helpers import left_in, names_in

from im2rec.errors import CorruptRecordError, Im2RecError, IndexFormatError, OutputError
from im2rec.format.heads import MAGIC
from im2rec.format.irheader import decode_image_record
from im2rec.format.recordio import BytesSource, decode_record, read_record, read_records
from im2rec.format.resync import RecordFinder
from im2rec.inspection.survey import survey
from im2rec.storage import disk
from im2rec.storage import index as index_module
from im2rec.storage.output import AtomicFile
from im2rec.storage.reader import RecordFile
from im2rec.storage.scan import scan_damaged
from im2rec.storage.writer import RecordWriter

PAYLOADS = [image_payload(n, content=bytes([n]) * 76) for n in range(10)]  # 108 bytes each on disk
FRAME, SIZE = 108, 1080
CUT_OPEN = "(the file was cut while open)"
CUT_SHORT = "(the file was cut short; make or fetch it again)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    assert [FRAME * n for n in range(11)] == bounds(PAYLOADS)
    return write_rec(tmp_path / "some.rec", PAYLOADS)


# Cut and changed files


@pytest.mark.parametrize("index", [None, False], ids=["index", "scan"])
def test_a_file_cut_while_open_is_an_error_at_the_cut(path: Path, index: bool | None) -> None:
    with RecordFile(path, index=index) as rec:
        os.truncate(path, 5 * FRAME + 50)

        assert PAYLOADS[:5] == [rec.payload(ordinal) for ordinal in range(5)]
        in_data = f"{path}, record 5, byte 548: expected 100 bytes of data and padding, found 42 {CUT_OPEN}"
        assert in_data == message_of(rec.payload, 5)
        assert in_data == message_of(rec.read_many, range(10))
        gone = f"{path}, record 6, byte 648: expected 8 bytes of part head, found 0 {CUT_SHORT}"
        assert gone == message_of(lambda: rec[6])
        os.truncate(path, 5 * FRAME + 3)
        in_head = f"{path}, record 5, byte 540: expected 8 bytes of part head, found 3 {CUT_SHORT}"
        assert in_head == message_of(lambda: rec[5])


def test_a_large_record_cut_while_open_is_an_error_at_its_data(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "some.rec", [image_payload(1, content=b"x" * 3_000_000)])

    with RecordFile(path) as rec:
        os.truncate(path, 1000)
        with pytest.raises(
            CorruptRecordError, match=r"record 0, byte 8: expected 3000024 bytes .*, found 992"
        ) as caught:
            rec.payload(0)
    assert (path, 0, 8) == (caught.value.path, caught.value.record, caught.value.offset)


def test_bytes_changed_while_open_are_an_error_at_their_offset(path: Path) -> None:
    with RecordFile(path) as rec:
        with path.open("r+b") as file:
            file.seek(3 * FRAME)
            file.write(b"JPEG")

        expected = f"{path}, record 3, byte 324: expected the magic 0a 23 d7 ce, found 4a 50 45 47"
        assert f"{expected} (run 'im2rec inspect' on it)" == message_of(rec.read_many, [5, 3, 1])
        assert PAYLOADS[4] == rec.payload(4)


TAILS = {  # by the bytes more or less: the damaged range, and its error
    3: (1080, 1083, f"record 10, byte 1080: expected 8 bytes of part head, found 3 {CUT_SHORT}"),
    8: (
        1080,
        1088,
        "record 10, byte 1080: expected the magic 0a 23 d7 ce, found 00 00 00 00 (run 'im2rec inspect' on it)",
    ),
    -1: (972, 1079, f"record 9, byte 980: expected 100 bytes of data and padding, found 99 {CUT_SHORT}"),
    -99: (972, 981, f"record 9, byte 980: expected 100 bytes of data and padding, found 1 {CUT_SHORT}"),
}


@pytest.mark.parametrize("change", TAILS)
@pytest.mark.parametrize("index", [None, False], ids=["index", "scan"])
def test_a_file_longer_or_shorter_than_its_records_opens_and_fails_where_it_is_damaged(
    change: int, index: bool | None, path: Path
) -> None:
    data = path.read_bytes()
    path.write_bytes(data + bytes(change) if change > 0 else data[:change])
    start, end, error = TAILS[change]
    whole = start // FRAME
    place, problem = error.split(": ", 1)

    with RecordFile(path, index=index) as rec:
        assert [(start, end, f"{path}, {error}")] == [(item.start, item.end, str(item.error)) for item in rec.damage]
        assert PAYLOADS[:whole] == [rec.payload(ordinal) for ordinal in range(whole)]
        # By the index nothing is lost with the bytes that are too many; a scan cannot tell, so they take a place.
        lost = [] if change > 0 and index is None else [whole]
        assert lost == rec.lost.tolist()
        assert whole + len(lost) == len(rec) == rec.total
        for ordinal in lost:
            message = f"{path}, {place}: is lost in the damaged bytes {start} to {end}: {problem}"
            assert message == message_of(rec.payload, ordinal)
    with RecordFile(path, index=index, damaged="skip") as rec:
        assert whole == len(rec) == len(list(rec))


# Wrong indexes

SCANNED = "with index=False the .rec is scanned instead"
FOREIGN = f"the index belongs to another file, or one of the two is damaged; {SCANNED}"
CUT_OR_FOREIGN = f"the .rec was cut short, or the index belongs to another file; {SCANNED}"
OFFSETS = [FRAME * n for n in range(10)]
WRONG_INDEXES: dict[str, tuple[list[int], str]] = {
    "no lines": ([], f"lists no records, but the .rec has some ({SCANNED})"),
    "a line twice": ([*OFFSETS, 540], f"names byte 540 twice ({FOREIGN})"),
    "an odd offset": ([*OFFSETS[:5], 541, *OFFSETS[6:]], f"byte 541 is not at a multiple of 4 ({FOREIGN})"),
    "behind the end": (
        [*OFFSETS[:4], 436, 3000, 4000, 5000, 6000, 7000],
        f"names byte 7000, but the .rec has only 1080 bytes ({CUT_OR_FOREIGN})",
    ),
    "inside a record": (
        [*OFFSETS[:5], 544, *OFFSETS[6:]],
        f"no record starts at byte 544, which it gives for record 5 ({FOREIGN})",
    ),
    "the first inside a record": ([4], f"no record starts at byte 4, which it gives for record 0 ({FOREIGN})"),
    "another file's": (
        [112 * n for n in range(9)],
        f"no record starts at byte 112, which it gives for record 1 ({FOREIGN})",
    ),
}


@pytest.mark.parametrize("case", WRONG_INDEXES)
def test_a_wrong_index_is_refused_with_the_reason(case: str, path: Path) -> None:
    offsets, problem = WRONG_INDEXES[case]
    index = path.with_suffix(".idx")
    index.write_bytes(index_text(offsets))

    with pytest.raises(IndexFormatError) as caught:
        RecordFile(path)
    assert f"{index}: {problem}" == str(caught.value)
    with RecordFile(path, index=False) as rec:
        assert 10 == len(rec)


def test_an_index_of_a_million_lines_more_than_the_rec_can_hold_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_MAX_LINES_LOST", 1500)  # in place of a million, which take a second
    index = path.with_suffix(".idx")
    index.write_bytes(index_text(range(0, 4 * 1500, 4)))
    assert "names byte 5996" in message_of(RecordFile, path)

    index.write_bytes(index_text(range(0, 4 * 1501, 4)))
    problem = "has more lines than the .rec can hold records, which are at most 1500"
    assert f"{index}: {problem} ({SCANNED})" == message_of(RecordFile, path)


@pytest.mark.parametrize("damaged", ["raise", "skip"])
def test_lines_behind_the_end_of_the_file_are_records_that_were_cut_off(damaged: str, path: Path) -> None:
    path.with_suffix(".idx").write_bytes(index_text([*OFFSETS, 1080, 1188]))

    with RecordFile(path, damaged=damaged) as rec:
        assert [10, 11] == rec.lost.tolist()
        assert (12, 12 if damaged == "raise" else 10) == (rec.total, len(rec))
        assert PAYLOADS == [rec.payload(ordinal) for ordinal in range(10)]
        problem = "the file ends here, but the index lists 2 more records"
        assert [(1080, 1080, problem)] == [(item.start, item.end, item.error.problem) for item in rec.damage]


def test_an_index_that_names_a_later_part_is_refused(tmp_path: Path) -> None:
    payloads = [image_payload(1), image_payload(2, content=MAGIC + b"tail")]
    path = write_rec(tmp_path / "some.rec", payloads, index=False)
    path.with_suffix(".idx").write_bytes(index_text([0, bounds(payloads)[1] + 32]))

    problem = f"no record starts at byte {bounds(payloads)[1] + 32}, which it gives for record 1 ({FOREIGN})"
    assert f"{path.with_suffix('.idx')}: {problem}" == message_of(RecordFile, path)


def test_a_wrong_line_of_an_index_is_reported_with_its_file(path: Path) -> None:
    index = path.with_suffix(".idx")
    for text, problem in {
        b"0\t0\nx\t108\n": "line 2: expected a key and an offset, found 'x\\t108'",
        b"0\t0\n\n18446744073709551616\t108\n": "line 3: the key 18446744073709551616 is above 2^64 - 1",
        b"0\t18446744073709551615\n": "line 1: the offset 18446744073709551615 is above 2^63 - 1",
    }.items():
        index.write_bytes(text)
        assert f"{index}, {problem} ({SCANNED})" == message_of(RecordFile, path)


def test_a_rec_given_as_its_index_is_refused_before_it_is_read(path: Path) -> None:
    problem = f"is a .rec, not an index (check the path; {SCANNED})"
    assert f"{path}: {problem}" == message_of(RecordFile, path, index=path)


@pytest.mark.skipif(os.name == "nt", reason="makes a sparse file of 30 GB")
def test_a_large_file_that_is_no_index_is_refused_at_once(path: Path, tmp_path: Path) -> None:
    for start in (b"", b"0\t0\n"):
        index = tmp_path / "large.idx"
        index.write_bytes(start)
        os.truncate(index, 30 << 30)
        problem = f"line {1 + len(start) // 4}: expected a key and an offset, found more than 65536 bytes ({SCANNED})"
        assert f"{index}, {problem}" == message_of(RecordFile, path, index=index)


# Pickled copies


def test_unpickling_is_refused_after_the_file_changed_its_size(path: Path) -> None:
    with RecordFile(path) as rec:
        pickled = pickle.dumps(rec)
    os.truncate(path, 540)
    assert f"{path}: had 1080 bytes and now has 540 (open it again)" == message_of(pickle.loads, pickled)

    path.unlink()
    missing = f"{path}: cannot be read: no such file or directory (check the path)"
    assert missing == message_of(pickle.loads, pickled)


# Many readers at once


@pytest.mark.parametrize("positional", [True, False], ids=["pread", "a lock"])
def test_threads_share_one_open_file(positional: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not positional:
        monkeypatch.delattr(os, "pread", raising=False)  # as on Windows
    rng = random.Random(1)
    payloads = [image_payload(n, content=rng.randbytes(rng.randrange(3000))) for n in range(100)]
    with RecordFile(write_rec(tmp_path / "some.rec", payloads)) as rec, ThreadPoolExecutor(8) as pool:
        assert (rec._file._lock is None) == (positional and hasattr(os, "pread"))
        orders = [rng.sample(range(100), 100) for _ in range(16)]

        one_by_one = pool.map(lambda order: [rec.payload(n) for n in order], orders)
        together = pool.map(lambda order: [header.id for header, _ in rec.read_many(order[:30])], orders)

        assert [[payloads[n] for n in order] for order in orders] == list(one_by_one)
        assert [order[:30] for order in orders] == list(together)


# Python 3.12 warns of numpy's threads; they hold no lock that a child needs.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_share_one_open_file(method: str, tmp_path: Path) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    context = multiprocessing.get_context(method)
    rng = random.Random(2)
    payloads = [image_payload(n, content=rng.randbytes(rng.randrange(3000))) for n in range(200)]
    with RecordFile(write_rec(tmp_path / "some.rec", payloads)) as rec:
        orders = [rng.sample(range(200), 200) for _ in range(3)]
        running = []
        for order in orders:
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=send_digests, args=(theirs, rec, order))
            child.start()
            theirs.close()
            running.append((child, ours))
        expected = digests(rec, range(200))  # while the children read
        for child, pipe in running:
            assert expected == pipe.recv()
            pipe.close()
            child.join()
            assert 0 == child.exitcode
            child.close()
        assert payloads[7] == rec.payload(7)  # a child that ends closes its own copy only


# Writers that are killed or fail

WRITE_AND_WAIT = """
import sys
from im2rec.storage.writer import RecordWriter
with RecordWriter(sys.argv[1], force=True) as writer:
    for key in range(300):
        writer.write(bytes(10_000), key=key)
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("old", [False, True], ids=["new", "in place of an old one"])
def test_a_killed_writer_leaves_nothing_under_the_final_names(old: bool, tmp_path: Path) -> None:
    path = tmp_path / "out.rec"
    if old:
        write_rec(path, [b"old"])
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert b"written" == child.stdout.readline().strip()
        child.kill()

    temporary = ["out.idx.im2rec-partial", "out.rec.im2rec-journal", "out.rec.im2rec-partial"]
    assert sorted([*temporary, *(["out.idx", "out.rec"] if old else [])]) == names_in(tmp_path)
    if old:
        with RecordFile(path) as rec:
            assert b"old" == rec.payload(0)
    with RecordWriter(path, force=old) as writer:
        writer.write(b"new", key=1)
    with RecordFile(path) as rec:
        assert [b"new"] == [rec.payload(ordinal) for ordinal in range(len(rec))]
    assert ["out.idx", "out.rec"] == names_in(tmp_path)  # what the killed one left was taken over


def published_in(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if name not in left_in(folder)]


class Killed(BaseException):
    """Raised in place of a kill."""


def close_killed_at(step: int, writer: RecordWriter) -> None:
    """Close *writer* up to change *step* of a name on the disk, from 1 on, as if its process were killed then."""
    changes = itertools.count(1)
    _, _, (journal, _), _ = writer._remove_journal.peek()

    def change(real: Callable[..., None], *paths: Path) -> None:
        if next(changes) >= step:  # a dead process does not tidy up either
            raise Killed
        real(*paths)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("remove", "replace", "rename_new"):
            patch.setattr(disk, name, functools.partial(change, getattr(disk, name)))
        with contextlib.suppress(Killed):
            writer.close()
    # The end of a process ends its locks, and leaves all files as they are.
    writer.leave(AtomicFile.keep)
    writer._remove_journal.detach()
    journal.close()


@pytest.mark.parametrize(
    ("step", "left"),
    [
        (2, ["old rec", "old idx"]),  # at the removal of the old index
        (3, ["old rec"]),
        (4, ["new rec"]),  # between the renames
        (5, ["new rec", "new idx"]),  # at the removal of the journal
    ],
)
def test_a_kill_between_the_renames_never_leaves_the_index_of_another_file(
    step: int, left: list[str], tmp_path: Path
) -> None:
    path = write_rec(tmp_path / "out.rec", [b"old", b"older"])
    old, new = (path.read_bytes(), path.with_suffix(".idx").read_bytes()), (joined([b"new!"]), b"7\t0\n")
    writer = RecordWriter(path, force=True)
    writer.write(b"new!", key=7)
    close_killed_at(step, writer)

    files = {"old rec": old[0], "old idx": old[1], "new rec": new[0], "new idx": new[1]}
    assert "out.rec.im2rec-journal" in names_in(tmp_path)
    found = {name: (tmp_path / name).read_bytes() for name in published_in(tmp_path)}
    assert {f"out.{name[-3:]}": files[name] for name in left} == found
    with RecordFile(path) as rec:  # readable in every state, by index or by scan
        expected = [b"new!"] if "new rec" in left else [b"old", b"older"]
        assert expected == [rec.payload(n) for n in range(len(rec))]
    with RecordWriter(path, force=True) as later:
        later.write(b"later", key=9)
    assert ["out.idx", "out.rec"] == names_in(tmp_path)
    assert (joined([b"later"]), b"9\t0\n") == (path.read_bytes(), path.with_suffix(".idx").read_bytes())


@pytest.mark.parametrize("digest", [False, True])
def test_a_kill_before_any_change_of_names_never_leaves_the_index_or_digest_of_another_file(
    *, digest: bool, tmp_path: Path
) -> None:
    names, left = ("out.rec", "out.idx", "out.rec.digest"), []
    for step in range(1, 9):
        folder = tmp_path / str(step)
        folder.mkdir()
        with RecordWriter(folder / "out.rec", digest=True) as writer:
            writer.write(b"old", key=1)
        old = {name: (folder / name).read_bytes() for name in names}
        writer = RecordWriter(folder / "out.rec", force=True, digest=digest)
        writer.write(b"newer", key=7)
        close_killed_at(step, writer)
        found = {name: (folder / name).read_bytes() for name in published_in(folder)}
        is_old = found["out.rec"] == old["out.rec"]
        assert all(is_old == (data == old[name]) for name, data in found.items())
        left.append(("old " if is_old else "new ") + " ".join(name.rpartition(".")[2] for name in sorted(found)))

    ends = ["new idx rec", "new idx rec digest"] if digest else ["new idx rec"] * 2
    assert ["old idx rec digest", "old idx rec", "old rec", "new rec", *ends] == left[:6]
    assert {left[5]} == set(left[5:])


@pytest.mark.parametrize(("name", "which"), [("out.rec", "the old one"), ("out.idx", "complete")])
def test_a_rename_that_fails_is_an_error_that_says_what_is_there_and_leaves_no_temporary_file(
    name: str, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rec(tmp_path / "out.rec", [b"old"])
    writer = RecordWriter(path, force=True)
    writer.write(b"new", key=7)
    real = disk.replace

    def replace(source: Path, target: Path) -> None:
        if target.name == name:
            raise PermissionError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(disk, "replace", replace)
    message = message_of(writer.close)

    assert message.startswith(
        f"{tmp_path / name}: cannot be written: permission denied ({path} is {which}, and out.idx "
    )
    assert "missing beside it; 'im2rec index' makes" in message
    assert ["out.rec"] == names_in(tmp_path)  # the old index was removed before, so that it never has a new .rec
    assert joined([b"old" if name == "out.rec" else b"new"]) == path.read_bytes()


# Full disks


class FullDisk:
    """An open file on a full disk: the next call of *method* (``write`` or ``flush``) fails, all other calls work."""

    def __init__(self, file: Any, method: str) -> None:
        self.file = file
        self.failing_method = method

    def __getattr__(self, name: str) -> Any:
        if name == self.failing_method:
            self.failing_method = ""
            raise OSError(errno.ENOSPC, "No space left on device")
        return getattr(self.file, name)


@pytest.mark.parametrize("which", ["_rec", "_index"])
@pytest.mark.parametrize("method", ["write", "flush"])
def test_a_full_disk_is_an_output_error_and_nothing_is_left(which: str, method: str, tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "out.rec")
    file: AtomicFile = getattr(writer, which)
    file._file = FullDisk(file._file, method)

    with pytest.raises(OutputError) as caught, writer:
        writer.write(b"payload", key=1)

    expected = f"{file.path}: cannot be written: no space left on device (no file exists under this name)"
    assert expected == str(caught.value)
    assert [] == names_in(tmp_path)


@pytest.mark.parametrize("which", ["_rec", "_index"])
def test_a_writer_that_failed_publishes_nothing(which: str, tmp_path: Path) -> None:
    # After half a frame, or a frame without its index line, .rec and .idx would disagree.
    writer = RecordWriter(tmp_path / "out.rec")
    writer.write(b"one", key=1)
    file: AtomicFile = getattr(writer, which)
    file._file = FullDisk(file._file, "write")
    with pytest.raises(OutputError, match="no space left on device"):
        writer.write(b"two", key=2)

    with contextlib.suppress(OutputError):
        writer.write(b"three", key=3)
    with contextlib.suppress(OutputError):
        writer.close()

    assert [] == names_in(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("size", [10, 3_000_000], ids=["when closed", "when written"])
def test_a_full_device_is_an_output_error_and_nothing_is_left(size: int, tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "out.rec")
    writer._rec._file.close()
    writer._rec._file = Path("/dev/full").open("wb", buffering=1 << 20)  # noqa: SIM115 - the writer closes it

    with pytest.raises(OutputError, match=r"out\.rec: cannot be written: no space left on device") as caught, writer:
        writer.write(bytes(size), key=1)

    assert errno.ENOSPC == caught.value.__cause__.errno
    assert [] == names_in(tmp_path)


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may write anywhere")
def test_a_folder_without_write_permission_is_an_output_error(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    path = folder / "out.rec"

    expected = f"{path}: cannot be written: permission denied (no file exists under this name)"
    assert expected == message_of(RecordWriter, path)
    assert [] == names_in(folder)


# Lengths beyond the file

LONGEST = MAGIC + struct.pack("<I", 2**29 - 1) + b"abcd"
HOSTILE: dict[str, Callable[[Path], Any]] = {
    "stream": lambda _: list(read_records(io.BytesIO(LONGEST))),
    "frame": lambda _: decode_record(LONGEST),
    "scan": lambda _: list(scan_damaged(BytesSource(joined([b"one"]) + LONGEST))),
    "search": lambda _: RecordFinder(BytesSource(LONGEST * 100)).first(0, 1200, 0),
    "later part": lambda _: decode_record(part(1, b"aaaa") + MAGIC + struct.pack("<I", 3 << 29 | 2**29 - 1)),
    "labels": lambda _: decode_image_record(struct.pack("<IfQQ", 2**32 - 1, 0, 1, 0) + b"abcd"),
    "opened by scan": lambda folder: RecordFile(folder / "hostile.rec", index=False)[1],
    "opened by index": lambda folder: RecordFile(folder / "hostile.rec")[1],
    "opened to skip": lambda folder: len(RecordFile(folder / "hostile.rec", damaged="skip")),
    "thorough scan": lambda _: list(scan_damaged(BytesSource(joined([b"one"]) + LONGEST * 50), thorough=True)),
    "survey": lambda folder: survey(folder / "hostile.rec"),
    "labels of a file": lambda folder: RecordFile(folder / "labels.rec")[0],
}


def test_a_length_of_half_a_gigabyte_allocates_nothing(tmp_path: Path) -> None:
    (tmp_path / "hostile.rec").write_bytes(joined([b"one"]) + LONGEST)
    (tmp_path / "hostile.idx").write_bytes(index_text([0, 12]))
    write_rec(tmp_path / "labels.rec", [struct.pack("<IfQQ", 2**32 - 1, 0, 1, 0)])
    messages: dict[str, str] = {}

    def attempt(name: str, work: Callable[[Path], Any]) -> None:
        try:
            work(tmp_path)
        except Im2RecError as error:
            messages[name] = str(error)

    for name, work in HOSTILE.items():
        assert peak_bytes(functools.partial(attempt, name, work)) < 2_000_000, name
    assert set(HOSTILE) - {"scan", "search", "opened to skip", "thorough scan", "survey"} == set(messages)
    assert all(re.search(r"expected (536870912 bytes|4294967295 labels)", message) for message in messages.values())


def test_an_image_full_of_part_heads_is_searched_once() -> None:
    # Any of these magics may start records that the length word has swallowed, up to the end of the payload. Following
    # the parts from each of them separately would take hours for an image of a megabyte.
    for count in (300, 600):
        source = CountingSource(part(0, (MAGIC + bytes(4)) * count + b"the end!"))
        assert "another part starts at byte 8" in message_of(read_record, source, 0)
        assert len(source.reads) < 5

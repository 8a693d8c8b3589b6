"""Packs that were cut short: what stays of them, and how the same words go on to the files of an undisturbed run."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from full_disk_helpers import fill_disk
from helpers import message_of
from image_helpers import names_in
from pack_helpers import (
    UNCHANGED,
    PackCase,
    StoppedError,
    a_case,
    an_odd_case,
    files_in,
    packed_lines,
    save_always,
    without_times,
)

from im2rec.errors import OutputError
from im2rec.packing import encode
from im2rec.packing import identity as identity_module
from im2rec.packing import pack as module
from im2rec.packing.pack import PackOptions
from im2rec.packing.pack_output import PackOutput
from im2rec.packing.params import PackParams
from im2rec.storage import disk
from im2rec.storage.digest import FollowingHasher, load_digest
from im2rec.storage.journal import Journal, State
from im2rec.storage.output import AtomicFile
from im2rec.storage.writer import RecordWriter

posix = pytest.mark.skipif(os.name == "nt", reason="Windows renames without links")
LEFT = ["o.idx.im2rec-partial", "o.rec.im2rec-journal", "o.rec.im2rec-partial"]
REPORT_LEFT = "o.rec.bad.jsonl.im2rec-partial"


@pytest.fixture(autouse=True)
def _states_are_saved_always(monkeypatch: pytest.MonkeyPatch) -> None:
    save_always(monkeypatch)


@pytest.fixture
def case(tmp_path: Path) -> PackCase:
    """A list of eight images that are packed as they are."""
    return a_case(tmp_path)


# Going on.


@pytest.mark.parametrize("at", range(2, 9))
def test_a_pack_that_was_stopped_goes_on_and_ends_with_the_files_of_an_undisturbed_one(
    case: PackCase, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    case.stop(at)
    assert LEFT == names_in(case.out)
    lines = packed_lines(monkeypatch)
    summary = case.pack()

    assert list(range(at, 9)) == lines
    assert (8, at - 1, at) == (summary.images, summary.resumed, summary.resumed_line)
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


def test_a_pack_may_be_stopped_again_and_again(case: PackCase, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = packed_lines(monkeypatch)
    for at in range(2, 9):
        case.stop(at)
    summary = case.pack()

    assert sorted([*range(1, 9), *range(2, 9)]) == sorted(lines)
    assert 7 == summary.resumed
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


@pytest.mark.parametrize("at", range(2, 13))
def test_counts_warnings_and_report_are_those_of_an_undisturbed_pack(tmp_path: Path, at: int) -> None:
    case = an_odd_case(tmp_path)
    case.stop(at)
    summary = case.pack()
    files, expected = case.undisturbed()

    assert expected == without_times(summary)
    assert files == files_in(case.out)
    assert 5 == len(summary.warnings)
    assert (2, 6) == (summary.outside, summary.outside_line)
    assert {"missing": 4, "not an image": 2, "bad list line": 2} == summary.bad
    assert {"EXIF orientation not applied": 2} == summary.notes
    assert ["o.classes.txt", "o.idx", "o.rec", "o.rec.bad.jsonl"] == names_in(case.out)


def test_an_image_that_is_decoded_and_scaled_is_packed_the_same(tmp_path: Path) -> None:
    case = dataclasses.replace(a_case(tmp_path), params=PackParams(resize=6, encoding=".png"))
    case.stop(4)
    summary = case.pack()
    assert 3 == summary.resumed
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


@pytest.mark.parametrize("at", range(1, 30))
def test_an_interrupt_behind_any_write_of_the_system_changes_no_byte(
    case: PackCase, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    case.interrupt(monkeypatch, at)


@pytest.mark.parametrize("at", range(2, 8))
def test_without_a_synchronised_state_or_with_its_bytes_lost_the_result_is_the_same(case: PackCase, at: int) -> None:
    """As after a power failure: what was not synchronised may be zeros."""
    case.stop(at)
    with Journal(case.out / "o.rec") as journal:
        kept = journal.synced[0].sizes
    for name in ("o.rec", "o.idx"):
        path = case.out / f"{name}.im2rec-partial"
        start = kept.get(name, 0)
        path.write_bytes(path.read_bytes()[:start] + bytes(path.stat().st_size - start))

    summary = case.pack()
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


LISTS = {
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "CR LF": lambda text: text.replace(b"\n", b"\r\n"),
    "CR": lambda text: text.replace(b"\n", b"\r"),
    "no end of line": lambda text: text[:-1],
    "comments and blank lines": lambda text: b"# first\n\n" + text.replace(b"\n", b"\n# next\n\n \n") + b"\n# last",
    "a byte order mark and CR LF": lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("what", LISTS)
def test_lists_of_all_kinds_are_read_on_from_the_right_line(tmp_path: Path, what: str) -> None:
    case = a_case(tmp_path, 4)
    case.listed.write_bytes(LISTS[what](case.listed.read_bytes() + b"9\t1\tgone.jpg\n"))
    for at in (2, 3, 4):
        case.stop(at)
    summary = case.pack()
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


def test_a_pack_that_was_stopped_behind_the_last_line_only_ends(
    case: PackCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place in the list is its end, be there a comment behind it or not."""
    for end in ("", "# the end\n"):
        with case.listed.open("a") as stream:
            stream.write(end)
        with monkeypatch.context() as patch:
            patch.setattr(module.PackOutput, "complete", _stop)
            with pytest.raises(StoppedError):
                case.pack(force=True)
        with monkeypatch.context() as patch:
            lines = packed_lines(patch)
            summary = case.pack(force=True)
        assert ([], 8, 9) == (lines, summary.resumed, summary.resumed_line)
        assert case.undisturbed() == (files_in(case.out), without_times(summary))


def _stop(*_: object) -> None:
    raise StoppedError


@pytest.mark.parametrize("part", range(3))
def test_a_part_of_a_list_goes_on(tmp_path: Path, part: int) -> None:
    case = a_case(tmp_path, 12, nsplit=3, part=part)
    case.stop(2)
    assert f"o.rec.part00{part}.im2rec-journal" in names_in(case.out)
    summary = case.pack()
    assert 1 == summary.resumed
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


# What ends a pack.


def test_the_first_bad_image_with_fail_ends_a_pack_that_skip_goes_on_with(tmp_path: Path) -> None:
    case = an_odd_case(tmp_path)
    message = case.message(on_error="fail")
    why = "line 8: a\\b.jpg: no such file: its backslashes separate no folders here; write /"
    kept = "5 images so far are kept, and the same command goes on"
    assert f"{case.listed}, {why} (--on-error skip packs the rest; {kept})" == message
    assert message == case.message(on_error="fail")

    summary = case.pack()
    assert 5 == summary.resumed
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


def test_too_many_bad_images_end_a_pack_that_a_higher_limit_goes_on_with(tmp_path: Path) -> None:
    case = an_odd_case(tmp_path)
    for max_bad, images in (("2", 5), ("2", 5), ("5", 11)):
        hint = f"raise --max-bad to go on; {images} images so far are kept, and the same command goes on)"
        assert case.message(max_bad=max_bad).endswith(hint)
        assert sorted([*LEFT, REPORT_LEFT]) == names_in(case.out)

    summary = case.pack()
    assert 11 == summary.resumed
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), SystemExit(1), OutputError("full")])
def test_whatever_ends_a_pack_its_records_are_kept(case: PackCase, error: BaseException) -> None:
    case.stop(5, error)
    assert LEFT == names_in(case.out)
    assert 4 == case.pack().resumed


@pytest.mark.parametrize("name", ["o.rec", "o.idx"])
@pytest.mark.parametrize("digest", [False, True])
def test_a_disk_that_is_full_in_the_middle_of_a_record_costs_only_that(
    case: PackCase, monkeypatch: pytest.MonkeyPatch, name: str, *, digest: bool
) -> None:
    written = iter(range(100))
    real = AtomicFile.write

    def write(file: AtomicFile, data: bytes) -> None:
        if file.path.name == name and next(written) == 5:
            raise OutputError("cannot be written: no space left on device", path=file.path)
        real(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(AtomicFile, "write", write)
        message = case.message(digest=digest)
    hint = "5 images so far are kept, and the same command goes on"
    assert f"{case.out / name}: cannot be written: no space left on device ({hint})" == message
    summary = case.pack(digest=digest)
    assert 5 == summary.resumed
    assert case.undisturbed(digest=digest) == (files_in(case.out), without_times(summary))


def test_an_interrupt_in_the_middle_of_a_record_costs_only_that(
    case: PackCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = iter(range(100))
    real = RecordWriter.write_frame

    def write_frame(writer: RecordWriter, frame: bytes, *, key: int) -> int:
        if next(written) == 5:
            writer._rec.write(frame[:5])
            raise KeyboardInterrupt
        return real(writer, frame, key=key)

    with monkeypatch.context() as patch:
        patch.setattr(RecordWriter, "write_frame", write_frame)
        with pytest.raises(KeyboardInterrupt):
            case.pack()
    summary = case.pack()
    assert 5 == summary.resumed
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


@pytest.mark.parametrize("name", ["o.rec", "o.idx"])
def test_nothing_is_left_on_a_disk_that_is_full_from_the_start(
    case: PackCase, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fill_disk(monkeypatch, name, "write")
    why = "cannot be written: no space left on device (no file exists under this name)"
    assert f"{case.out / name}: {why}" == case.message()
    assert [] == names_in(case.out)


def test_nothing_is_left_of_a_pack_without_a_record(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    case.stop(1)
    assert [] == names_in(case.out)
    case.listed.write_text("0\t1\tgone.jpg\n")
    assert "1 of 1 images is bad" in case.message(max_bad="0")
    assert [] == names_in(case.out)


def test_nothing_is_left_when_a_file_cannot_be_made(case: PackCase, monkeypatch: pytest.MonkeyPatch) -> None:
    real = disk.open_output

    def open_output(path: Path, **options: Any) -> Any:
        if path.name == "o.idx.im2rec-partial":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "open_output", open_output)
        assert f"{case.out / 'o.idx'}: cannot be written: no space left on device" in case.message()
    assert [] == names_in(case.out)
    case.pack()


def test_a_long_path_in_the_first_bad_line_does_not_end_the_pack(tmp_path: Path) -> None:
    case = a_case(tmp_path)
    listed = case.listed.read_text()
    case.listed.write_text(f"90\t1\t{'x' * 300_000}\n{listed}91\t1\tgone.jpg\n")
    case.stop(4)
    summary = case.pack()
    assert case.undisturbed() == (files_in(case.out), without_times(summary))
    assert summary.first_bad is not None
    assert summary.first_bad.path == "x" * 300_000


# The digest.


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_pack_with_a_digest_goes_on_and_one_without_too(case: PackCase, *, before: bool, after: bool) -> None:
    case.stop(5, digest=before)
    summary = case.pack(digest=after)
    assert 4 == summary.resumed
    assert case.undisturbed(digest=after) == (files_in(case.out), without_times(summary))
    if after:
        assert 8 == load_digest(case.out / "o.rec.digest").records


def test_the_digest_of_what_is_written_is_made_in_pieces(case: PackCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.storage.digest.BLOCK_BYTES", 1000)
    monkeypatch.setattr("im2rec.storage.files._PIECE_BYTES", 77)
    case.stop(6, digest=True)
    case.pack(digest=True)
    monkeypatch.undo()
    assert case.undisturbed(digest=True)[0] == files_in(case.out)


def test_no_file_is_open_any_more_when_its_digest_is_made(case: PackCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows renames no open file."""
    real = FollowingHasher.finish

    def finish(hasher: FollowingHasher, records: int) -> Any:
        found = real(hasher, records)
        assert "is closed" in message_of(hasher._file.read_at, 0, 1)
        return found

    case.stop(5)
    monkeypatch.setattr(FollowingHasher, "finish", finish)
    case.pack(digest=True)


# Old files.


def test_with_force_the_old_files_stay_until_the_end(tmp_path: Path) -> None:
    case = an_odd_case(tmp_path)
    case.pack(digest=True)
    (case.out / "o.classes.txt").write_text("other\n")
    old = files_in(case.out)
    case.listed.write_text("".join(f"{n}\t1\t{n}.jpg\n" for n in range(5)))
    for at in (2, 4):
        case.stop(at, force=True)
        assert old.items() <= files_in(case.out).items()
    summary = case.pack(force=True)

    assert 3 == summary.resumed
    assert case.undisturbed() == (files_in(case.out), without_times(summary))
    assert ["o.classes.txt", "o.idx", "o.rec"] == names_in(case.out)


def test_a_file_that_appears_meanwhile_is_kept_and_the_pack_is_finished_when_it_is_gone(case: PackCase) -> None:
    for name in ("o.rec", "o.idx", "o.rec.digest"):
        case.stop(5)
        (case.out / name).write_bytes(b"other")
        message = case.message()
        hint = "replace it with force=True, or choose another name"
        assert f"{case.out / name}: exists already ({hint})" == message
        assert sorted([*LEFT, name]) == names_in(case.out)
        (case.out / name).unlink()
        assert 4 == case.pack().resumed
        for path in case.out.iterdir():
            path.unlink()


def test_a_file_that_appears_at_the_end_is_kept_and_so_is_the_whole_pack(
    case: PackCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.PackOutput.complete

    def complete(*args: Any) -> Any:
        (case.out / "o.idx").write_bytes(b"other")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module.PackOutput, "complete", complete)
        message = case.message()
    hint = "8 images so far are kept, and the same command goes on"
    expected = "exists already (replace it with force=True, or choose another name"
    assert f"{case.out / 'o.idx'}: {expected}; {hint})" == message
    assert sorted([*LEFT, "o.idx"]) == names_in(case.out)
    with monkeypatch.context() as patch:
        lines = packed_lines(patch)
        assert 8 == case.pack(force=True).resumed
        assert [] == lines
    assert case.undisturbed()[0] == files_in(case.out)


def test_a_backup_that_links_the_files_of_an_unfinished_pack_changes_nothing(case: PackCase) -> None:
    case.stop(4)
    for name in LEFT:
        os.link(case.out / name, case.root / name)
    assert 3 == case.pack().resumed
    assert case.undisturbed()[0] == files_in(case.out)


def test_a_pack_of_another_output_does_not_take_the_index_of_an_unfinished_one(case: PackCase) -> None:
    case.stop(4)
    before = files_in(case.out)
    for force in (False, True):
        message = message_of(
            module.pack, case.listed, case.root, case.out / "o.bin", UNCHANGED, PackOptions(force=force)
        )
        assert "o.idx.im2rec-partial: is of an unfinished run of another output" in message
        with pytest.raises(OutputError, match="another output"):
            RecordWriter(case.out / "o.bin", force=force)
        assert before == files_in(case.out)
    assert 3 == case.pack().resumed


def test_a_report_that_no_state_counts_does_not_stay(case: PackCase) -> None:
    """As after a kill behind the first bad image, which is good when the pack goes on."""
    case.stop(4)
    (case.out / REPORT_LEFT).write_bytes(b"half a line")
    assert 3 == case.pack().resumed
    assert case.undisturbed()[0] == files_in(case.out)


# Between the renames.


class Steps:
    """Ends the process before the step *number* of all changes of the disk under final names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.number, self.count = number, 0
        for name in ("remove", "replace", "rename_new"):
            monkeypatch.setattr(disk, name, self._wrapped(getattr(disk, name)))

    def _wrapped(self, real: Any) -> Any:
        def step(*paths: Path) -> None:
            if not paths[-1].name.endswith(".im2rec-partial"):
                self.count += 1
                if self.count == self.number:
                    raise StoppedError
            real(*paths)

        return step


def stopped_at_each_step(case: PackCase, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[int]:
    """Stop a pack before each of its last steps, from the first one that follows the state that all is written."""
    for number in range(1, 20):
        with monkeypatch.context() as patch:
            steps = Steps(patch, number)
            try:
                case.pack(**options)
            except StoppedError:
                pass
            else:
                assert number > 3
                assert steps.count == number - 1
                return
        yield number


@posix
@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("odd", [False, True])
def test_a_pack_that_ends_between_two_renames_is_finished_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, force: bool, digest: bool, odd: bool
) -> None:
    case = an_odd_case(tmp_path) if odd else a_case(tmp_path, 3)
    expected = case.undisturbed(digest=digest)
    old = ("o.rec", "o.idx", "o.rec.digest", "o.rec.bad.jsonl") if force else ()
    for name in old:
        (case.out / name).write_bytes(b"old")
    for _ in stopped_at_each_step(case, monkeypatch, force=force, digest=digest):
        found = files_in(case.out)
        pair = {name: found[name] == b"old" for name in ("o.rec", "o.idx") if name in found}
        assert len(set(pair.values())) <= 1
        assert "o.rec" in pair or not pair
        with monkeypatch.context() as patch:
            lines = packed_lines(patch)
            summary = case.pack(force=force, digest=digest)
        if "o.rec.im2rec-journal" in found:
            assert ([], expected[1]["images"]) == (lines, summary.resumed)
        assert expected == (files_in(case.out), without_times(summary))
        for path in case.out.iterdir():
            path.unlink()
        for name in old:
            (case.out / name).write_bytes(b"old")


@posix
def test_a_complete_pack_gets_the_digest_that_only_the_next_words_ask_for(
    case: PackCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Steps(patch, 2)
        with pytest.raises(StoppedError):
            case.pack()
    assert 8 == case.pack(digest=True).resumed
    assert case.undisturbed(digest=True)[0] == files_in(case.out)


@posix
@pytest.mark.parametrize("content", [None, b"another file"])
def test_a_complete_pack_whose_rec_was_replaced_or_removed_meanwhile_is_refused(
    case: PackCase, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    with monkeypatch.context() as patch:
        Steps(patch, 2)
        with pytest.raises(StoppedError):
            case.pack()
    rec = case.out / "o.rec"
    size = rec.stat().st_size
    rec.unlink()
    if content is not None:
        rec.write_bytes(content)
    before = files_in(case.out)
    problem = f"has {len(content or b'')} bytes, and the journal of an unfinished pack says {size:,}"
    for force in (False, True):
        assert f"{rec}: {problem} (begin again with restart=True)" == case.message(force=force)
        assert before == files_in(case.out)
    assert 0 == case.pack(force=True, restart=True).resumed
    assert case.undisturbed()[0] == files_in(case.out)


@posix
@pytest.mark.parametrize("number", [1, 2])
def test_a_part_without_records_that_ends_between_its_renames_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    case = a_case(tmp_path, 1, nsplit=2, part=1)
    with monkeypatch.context() as patch:
        Steps(patch, number)
        with pytest.raises(StoppedError):
            case.pack()
    assert "o.rec.part001.im2rec-journal" in names_in(case.out)
    case.pack()
    assert case.undisturbed()[0] == files_in(case.out)


# Other words.


def changed_case(case: PackCase, what: str, monkeypatch: pytest.MonkeyPatch) -> tuple[PackCase, dict[str, Any]]:
    """The case after a change that gives other bytes, or may do so."""
    options: dict[str, Any] = {}
    if what == "list":
        case.listed.write_text(case.listed.read_text() + "9\t1\t0.jpg\n")
    elif what == "root":
        case = dataclasses.replace(case, root=case.root.rename(case.root.with_name("other root")))
    elif what == "key":
        case = dataclasses.replace(case, params=dataclasses.replace(case.params, pack_label=True))
    elif what == "outside":
        options = {"outside": "refuse"}
    elif what == "verify":
        options = {"verify": True}
    elif what == "im2rec":
        monkeypatch.setattr(identity_module.metadata, "version", lambda _: "9.9")
    return case, options


DIFFERENCES = {
    "list": "another list, or this one has changed",
    "root": "root={root}, not root={other}",
    "key": "pack_label=not given, not pack_label=True",
    "outside": "outside=allow, not outside=refuse",
    "verify": "verify=False, not verify=True",
    "im2rec": "im2rec={version}, not im2rec=9.9",
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_words_that_give_other_bytes_are_refused_and_nothing_is_changed(
    case: PackCase, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    case.stop(5)
    version = identity_module._version()
    root = os.path.realpath(case.root)
    before = files_in(case.out)
    other, options = changed_case(case, what, monkeypatch)
    difference = DIFFERENCES[what].format(root=root, other=os.path.realpath(other.root), version=version)

    for more in ({}, {"resume": True}, {"force": True}):
        expected = f"{case.out / 'o.rec'}: an unfinished pack of it was begun with {difference}"
        hint = "give the same words, or begin again with restart=True"
        assert f"{expected} ({hint})" == other.message(**options, **more)
        assert before == files_in(case.out)
    summary = other.pack(**options, restart=True)
    assert 0 == summary.resumed
    assert other.undisturbed(**options) == (files_in(case.out), without_times(summary))


def test_other_libraries_are_refused_and_the_records_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = dataclasses.replace(a_case(tmp_path), params=PackParams(resize=6, engine="pillow"))
    case.stop(5)
    real = encode.libraries
    with monkeypatch.context() as patch:
        patch.setattr(encode, "libraries", lambda engine: {**real(engine), "pillow": "9.9"})
        problem = f"an unfinished pack of it was begun with pillow={real('pillow')['pillow']}, not pillow=9.9"
        hint = "give the same words, or begin again with restart=True"
        kept = "4 images so far are kept, and the same command goes on"
        assert f"{case.out / 'o.rec'}: {problem} ({hint}; {kept})" == case.message()
        assert LEFT == names_in(case.out)
    assert 4 == case.pack().resumed


def test_another_engine_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    case = dataclasses.replace(a_case(tmp_path), params=PackParams(resize=6, engine="pillow"))
    case.stop(5)
    other = dataclasses.replace(case, params=PackParams(resize=6, engine="opencv"))
    assert "an unfinished pack of it was begun with engine=pillow, not engine=opencv" in other.message()
    assert LEFT == names_in(case.out)


def test_options_that_change_no_byte_may_differ(case: PackCase) -> None:
    case.stop(3, workers=1, max_bad="5", on_error="fail")
    case.stop(5, workers=2, max_bad="10%", digest=True)
    summary = case.pack(workers=3, on_error="fail", force=True)
    assert summary.resumed >= 2
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


def test_the_root_may_be_spelled_otherwise(case: PackCase, monkeypatch: pytest.MonkeyPatch) -> None:
    case.stop(5)
    monkeypatch.chdir(case.root)
    assert 4 == dataclasses.replace(case, root=Path()).pack().resumed


def test_a_restart_begins_again_and_removes_what_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = an_odd_case(tmp_path)
    case.stop(9, digest=True)
    lines = packed_lines(monkeypatch)
    summary = case.pack(restart=True)
    assert (0, None, 1) == (summary.resumed, summary.resumed_line, lines[0])
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


def test_a_restart_forgets_what_was_saved_before_it_writes(case: PackCase) -> None:
    case.stop(5)
    output = PackOutput(case.out / "o.rec", {}, restart=True)
    assert {"o.rec.im2rec-journal": b""} == files_in(case.out)
    output._journal.remove()


def test_a_restart_that_cannot_begin_removes_nothing(case: PackCase) -> None:
    (case.out / "o.rec").write_bytes(b"old")
    case.stop(5, force=True)
    before = files_in(case.out)
    assert "o.rec: exists already" in case.message(restart=True)
    assert before == files_in(case.out)
    assert 4 == case.pack(force=True).resumed


def test_resume_insists_on_an_unfinished_pack(case: PackCase) -> None:
    rec = case.out / "o.rec"
    expected = f"{rec}: no unfinished pack of it is there to go on from (leave out resume=True)"
    assert expected == case.message(resume=True)
    assert [] == names_in(case.out)
    case.stop(5)
    assert 4 == case.pack(resume=True).resumed
    before = files_in(case.out)
    assert expected == case.message(resume=True, force=True)
    assert before == files_in(case.out)


# Journals of others, and damaged ones.


def test_a_second_pack_of_the_same_output_is_refused_at_its_start(
    case: PackCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []

    def progress(images: int, _: float) -> None:
        if images == 3:
            with monkeypatch.context() as patch:
                lines = packed_lines(patch)
                messages.extend([case.message(), case.message(force=True, restart=True)])
                assert [] == lines

    case.pack(progress=progress)
    expected = f"{case.out / 'o.rec'}: another im2rec is writing it (wait for it, or choose another name)"
    assert [expected, expected] == messages
    assert case.undisturbed()[0] == files_in(case.out)


def test_a_writer_of_records_leaves_an_unfinished_pack_alone(case: PackCase) -> None:
    case.stop(5)
    before = files_in(case.out)
    for force in (False, True):
        expected = f"{case.out / 'o.rec.im2rec-journal'}: an unfinished run has left records beside it"
        hint = "finish it by its own command, or remove its journal"
        assert f"{expected} ({hint})" == message_of(RecordWriter, case.out / "o.rec", force=force)
        assert before == files_in(case.out)


def test_what_a_killed_process_left_without_a_state_is_written_over(case: PackCase) -> None:
    for name in (*LEFT, REPORT_LEFT, "o.rec.digest.im2rec-partial"):
        (case.out / name).write_bytes(b"" if name.endswith("journal") else b"left")
    summary = case.pack()
    assert 0 == summary.resumed
    assert case.undisturbed()[0] == files_in(case.out)


def test_a_journal_that_cannot_be_read_is_refused_until_a_restart(case: PackCase) -> None:
    case.stop(5)
    journal = case.out / "o.rec.im2rec-journal"
    journal.write_bytes(b"x" * journal.stat().st_size)
    before = files_in(case.out)
    problem = "is the journal of an unfinished pack, and cannot be read (begin again with restart=True)"
    for options in ({}, {"resume": True}, {"force": True}):
        assert f"{journal}: {problem}" == case.message(**options)
        assert before == files_in(case.out)
    assert 0 == case.pack(restart=True).resumed
    assert case.undisturbed()[0] == files_in(case.out)


@pytest.mark.parametrize("name", ["o.rec", "o.idx", "o.rec.bad.jsonl"])
@pytest.mark.parametrize("removed", [False, True])
def test_files_that_are_shorter_than_the_synchronised_state_says_are_refused(
    tmp_path: Path, name: str, *, removed: bool
) -> None:
    case = an_odd_case(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.PackOutput, "complete", _stop)
        with pytest.raises(StoppedError):
            case.pack()
    with Journal(case.out / "o.rec") as journal:
        assert journal.latest is not None
        state = journal.latest
        journal.clear()
        journal.save(State(1, state.sizes, state.progress), synced=True)
    path = case.out / f"{name}.im2rec-partial"
    path.write_bytes(path.read_bytes()[:3])
    if removed:
        path.unlink()
    before = files_in(case.out)
    problem = f"has {0 if removed else 3} bytes, and the journal of an unfinished pack says {state.sizes[name]:,}"
    assert f"{path}: {problem} (begin again with restart=True)" == case.message()
    assert before == files_in(case.out)
    case.pack(restart=True)
    assert case.undisturbed()[0] == files_in(case.out)


@pytest.mark.parametrize("progress", [{"kind": "join"}, {"records": 5}, {"records": 5, "identity": {}}])
def test_the_journal_of_another_command_is_refused_and_nothing_is_changed(
    case: PackCase, progress: dict[str, Any]
) -> None:
    with Journal(case.out / "o.rec") as journal:
        journal.save(State(1, {"o.rec": 3}, progress), synced=True)
    (case.out / "o.rec.im2rec-partial").write_bytes(b"123")
    before = files_in(case.out)
    hint = "finish it by its own command, or remove this file"
    for options in ({}, {"resume": True}):
        assert f"{journal.journal_path}: is not the journal of a pack ({hint})" == case.message(**options)
        assert before == files_in(case.out)


def test_names_that_are_no_text_are_kept_in_the_journal(tmp_path: Path) -> None:
    case = a_case(tmp_path, 4)
    root = case.root.rename(case.root.with_name("r\udc80\u5b57"))
    case = dataclasses.replace(case, root=root)
    (root / "b\udcff.jpg").write_bytes((root / "0.jpg").read_bytes())
    with case.listed.open("ab") as stream:
        stream.write(b"7\t1\tb\xff.jpg\n8\t1\tgone\xff.jpg\n")
    case.stop(4)
    summary = case.pack()
    assert 3 == summary.resumed
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


def test_a_state_has_what_a_later_run_needs_and_no_more(case: PackCase) -> None:
    case.stop(3)
    with Journal(case.out / "o.rec") as journal:
        state = journal.latest
    assert state is not None
    assert ["complete", "counts", "has_digest", "identity", "libraries", "position", "records"] == sorted(
        state.progress
    )
    assert len(json.dumps(state)) < 2000
    assert UNCHANGED == case.params

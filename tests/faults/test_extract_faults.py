"""Extractions that are killed or interrupted, fill the disk, read damaged records, or find planted links."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from extract_helpers import a_rec, image, kill_everywhere, many, plain, tree
from helpers import bounds, joined, message_of

from im2rec.cli.extract import exit_code
from im2rec.errors import OutputError
from im2rec.extraction import writers
from im2rec.extraction.extract import ExtractOptions, ExtractSummary, extract
from im2rec.extraction.resumable_folder import MARKER
from im2rec.extraction.writers import FolderWriter, Writer

resource = pytest.importorskip("resource", reason="limits and kills as POSIX has them")

RESUME_HINT = "the files written so far stay; the same command resumes the extraction"


class StopHereError(Exception):
    """Ends a run as an error from outside would."""


@pytest.fixture
def rec(tmp_path: Path) -> Path:
    return a_rec(tmp_path, many(30))


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "BATCH_RECORDS", 10)


def stopped(rec: Path, out: Path, after: int, **options: Any) -> Path:
    """``DIR.im2rec-partial`` of an extraction that ended after *after* records."""
    numbers = iter(range(after))

    def add(writer: Writer, sample: writers.Sample) -> None:
        if next(numbers, None) is None:
            raise StopHereError
        real(writer, sample)

    real = FolderWriter.add
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderWriter, "add", add)
        with pytest.raises(StopHereError):
            extract(rec, out, ExtractOptions(**options))
    assert not out.exists()
    return out.with_name("out.im2rec-partial")


def whole(rec: Path, **options: Any) -> dict[str, bytes]:
    """The tree of an undisturbed extraction."""
    extract(rec, rec.with_name("whole"), ExtractOptions(**options))
    return tree(rec.with_name("whole"))


# Kills.

KILLED: dict[str, tuple[dict[str, Any], bool]] = {
    "folder": ({}, False),
    "folder of some": ({"labels": [0, 2], "head": 11}, False),
    "tar": ({"to": "tar", "shard_mb": 0.02}, False),
    "in place of an earlier one": ({}, True),
}


@pytest.mark.parametrize("case", KILLED)
def test_after_a_kill_at_any_step_the_next_run_gives_the_same_tree_and_no_incomplete_folder_has_the_final_name(
    tmp_path: Path, case: str
) -> None:
    options, replace = KILLED[case]
    (tmp_path / "runs").mkdir()
    report = kill_everywhere(tmp_path / "runs", a_rec(tmp_path, many(20)), options, replace=replace)

    assert [] == report["incomplete"]
    assert [] == report["wrong"]
    assert report["kills"] > 20
    assert report["resumed"] > 5


def limited(file_bytes: int, handler: str, rec: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Extract in a process whose files are limited to *file_bytes*; *handler* handles SIGXFSZ beyond the limit."""
    code = (
        "import signal, sys\n"
        f"signal.signal(signal.SIGXFSZ, signal.{handler})\n"
        "from im2rec.extraction import writers\nwriters.BATCH_RECORDS = 10\n"
        "from im2rec.cli import main\nmain(sys.argv[1:])"
    )
    words = [sys.executable, "-c", code, "extract", str(rec), str(out)]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.run(words, capture_output=True, text=True, preexec_fn=limit)


def test_after_a_kill_inside_an_image_the_next_run_writes_it_whole(tmp_path: Path, out: Path) -> None:
    rec = a_rec(tmp_path, [*many(25), plain(99, 1, image(99) + bytes(50_000)), *many(3)])

    assert -signal.SIGXFSZ == limited(20_000, "SIG_DFL", rec, out).returncode
    assert 20_000 == (tmp_path / "out.im2rec-partial" / "1" / "99.png").stat().st_size
    assert 20 == extract(rec, out).resumed
    assert whole(rec) == tree(out)


def test_a_full_disk_is_an_error_of_one_line_and_the_next_run_resumes(tmp_path: Path, out: Path) -> None:
    rec = a_rec(tmp_path, [*many(25), plain(99, 1, image(99) + bytes(50_000)), *many(3)])
    done = limited(20_000, "SIG_IGN", rec, out)

    at = tmp_path / "out.im2rec-partial"
    assert (1, "", f"im2rec: {at}: cannot be written: file too large ({RESUME_HINT})\n") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )
    assert 20 == extract(rec, out).resumed
    assert whole(rec) == tree(out)


def test_ctrl_c_prints_the_command_that_resumes_and_that_command_does(rec: Path, out: Path) -> None:
    code = (
        "import os, signal, sys\nfrom im2rec.extraction import writers\nwriters.BATCH_RECORDS = 10\n"
        "from im2rec.extraction.resumable_folder import ResumableFolder\nreal = ResumableFolder.save\n"
        "def save(folder, **words):\n"
        "    real(folder, **words)\n"
        "    if folder.progress.records == 20: os.kill(os.getpid(), signal.SIGINT)\n"
        "ResumableFolder.save = save\nfrom im2rec.cli import main\nmain(sys.argv[1:])"
    )
    words = ["extract", str(rec), str(out), "--quiet"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)

    message = f"im2rec: interrupted; to go on: im2rec {' '.join(words)}"
    assert (130, "", message) == (
        done.returncode,
        done.stdout,
        done.stderr.strip(),
    )  # click ends the line of the ^C first
    assert not out.exists()
    assert 20 == extract(rec, out).resumed
    assert whole(rec) == tree(out)


# The journal.


def test_a_list_longer_than_the_journal_records_is_truncated_when_a_run_resumes(rec: Path, out: Path) -> None:
    partial = stopped(rec, out, 20)
    with (partial / "some.lst").open("ab") as stream:
        stream.write(b"20\t2\t2/20.png\n" * 100)
    extract(rec, out)

    assert whole(rec) == tree(out)


def test_a_resumed_run_writes_only_the_rest_and_its_summary_counts_all(tmp_path: Path, out: Path) -> None:
    odd = [plain(100, 0, b"text"), *many(14), plain(101, 0, b"text")]
    rec = a_rec(tmp_path, odd)
    partial = stopped(rec, out, 12)
    old = partial / "0" / "100.bin"
    old.write_bytes(b"not looked at again")
    summary = extract(rec, out)

    assert (10, 16, 14) == (summary.resumed, summary.records, summary.images)
    assert {"not an image": 2} == summary.problem_records
    assert round((16 - 10) / max(summary.seconds, 1e-9), 1) == summary.images_per_s  # of this run alone
    assert b"not looked at again" == (out / "0" / "100.bin").read_bytes()
    assert sum(len(data) for name, data in whole(rec).items() if name[0] in "012") == summary.bytes_out


OTHERS: dict[str, dict[str, Any]] = {
    "head=20, not head=None": {},
    "head=20, not head=10": {"head": 10},
    "labels=[], not labels=['0.5', '2']": {"labels": (2, 0.5), "head": 20},
    "keys=[], not keys=[3, 4]": {"keys": (4, 3, 4), "head": 20},
    "to=folder, not to=tar": {"to": "tar", "head": 20},
    "min_images=None, not min_images=2": {"min_images": 2, "head": 20},
}


@pytest.mark.parametrize("difference", OTHERS)
def test_a_journal_of_other_options_is_refused_and_the_error_gives_the_difference(
    rec: Path, out: Path, difference: str
) -> None:
    partial = stopped(rec, out, 15, head=20)
    before = tree(partial)

    with pytest.raises(OutputError) as caught:
        extract(rec, out, ExtractOptions(**OTHERS[difference]))
    assert f"{partial}: was begun with {difference} (remove it, or begin again with restart=True)" == str(caught.value)
    assert before == tree(partial)


def test_a_run_with_class_names_found_beside_the_file_resumes_only_with_the_same_names(rec: Path, out: Path) -> None:
    found = rec.with_suffix(".classes.txt")
    found.write_text("a\nb\nc\n", encoding="utf-8")
    partial = stopped(rec, out, 15)
    found.write_text("a\nb\nd\n", encoding="utf-8")
    assert message_of(extract, rec, out).startswith(f"{partial}: was begun with classes=")

    found.write_text("a\nb\nc\n", encoding="utf-8")
    assert 10 == extract(rec, out).resumed
    assert {"a", "b", "c"} == {path.name for path in out.iterdir() if path.is_dir()}


def test_a_journal_of_other_classes_or_of_another_file_is_refused(tmp_path: Path, rec: Path, out: Path) -> None:
    (tmp_path / "c.txt").write_text("a\nb\nc\n", encoding="utf-8")
    partial = stopped(rec, out, 15)
    hint = "(remove it, or begin again with restart=True)"
    other = a_rec(tmp_path, many(30), "other.rec")

    messages = [message_of(extract, rec, out, ExtractOptions(classes=tmp_path / "c.txt"))]
    messages.append(message_of(extract, other, out))
    a_rec(tmp_path, many(31))
    messages.append(message_of(extract, rec, out))
    os.utime(rec, (1e9, 1e9))
    rec.write_bytes(joined(many(30)))
    os.utime(rec, (1e9, 1e9))
    messages.append(message_of(extract, rec, out))

    size = len(joined(many(30)))
    assert messages[0].startswith(f"{partial}: was begun with classes=None, not classes=")
    assert f"{partial}: was begun with rec={rec}, not rec={other} {hint}" == messages[1]
    assert f"{partial}: was begun with bytes={size}, not bytes={len(joined(many(31)))} {hint}" == messages[2]
    assert messages[3].endswith(f", not changed_at=2001-09-09T01:46:40+00:00 {hint}")


@pytest.mark.parametrize("head", [20, None])
def test_a_restart_removes_what_a_run_has_left_of_the_same_or_another_extraction(
    rec: Path, out: Path, head: int | None
) -> None:
    partial = stopped(rec, out, 15, head=head)
    (partial / "left over").mkdir()
    assert 0 == extract(rec, out, restart=True, dry_run=True).resumed
    assert (partial / "left over").is_dir()
    assert 0 == extract(rec, out, restart=True).resumed

    assert whole(rec) == tree(out)


UNREADABLE = {
    "no journal": None,
    "half a journal": b'{"extraction": {"rec"',
    "no object": b"[]",
    "no counts": b'{"extraction": {}, "done": {"records": "many"}}',
    "a count below zero": b'{"extraction": {}, "done": {"records": -1}}',
    "unknown counts": b'{"extraction": {}, "done": {"pictures": 1}}',
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_folder_whose_journal_cannot_be_read_is_left_alone(rec: Path, out: Path, case: str) -> None:
    partial = out.with_name("out.im2rec-partial")
    (partial / "mine").mkdir(parents=True)
    if UNREADABLE[case] is not None:
        (partial / MARKER).write_bytes(UNREADABLE[case] or b"")

    for force in (False, True):
        message = message_of(extract, rec, out, force=force)
        hint = "remove it" if UNREADABLE[case] is None else "remove it, or begin again with restart=True"
        assert f"{partial}: holds no journal that can be read ({hint})" == message
    assert (partial / "mine").is_dir()


def test_a_file_in_the_way_of_the_partial_folder_is_left_alone(rec: Path, out: Path) -> None:
    partial = out.with_name("out.im2rec-partial")
    partial.write_bytes(b"mine")

    assert f"{partial}: exists and is not a folder (remove it)" == message_of(extract, rec, out, force=True)
    assert b"mine" == partial.read_bytes()


def test_a_list_shorter_than_the_journal_records_is_refused(rec: Path, out: Path) -> None:
    partial = stopped(rec, out, 15)
    (partial / "some.lst").write_bytes(b"short")

    expected = f"{partial / 'some.lst'}: is not the file that the journal describes (remove {partial})"
    assert expected == message_of(extract, rec, out)


def test_two_runs_at_once_do_not_write_into_each_other(rec: Path, out: Path) -> None:
    messages: list[str] = []

    def progress(count: int, _share: float) -> None:
        if count == 10 or not messages:  # the first call comes from the scan, before anything is written
            messages.append(message_of(extract, rec, out))

    extract(rec, out, progress=progress)
    busy = f"{out}.im2rec-partial: another im2rec is writing it (wait for it, or choose another folder)"
    assert [busy] * 2 == messages
    assert whole(rec) == tree(out)


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_gets_files_during_the_run_is_not_replaced(rec: Path, out: Path, force: bool) -> None:
    def progress(_count: int, _share: float) -> None:
        out.mkdir(exist_ok=True)
        (out / "mine").touch()

    message = message_of(extract, rec, out, force=force, progress=progress)
    assert f"{out}: cannot be written: directory not empty ({RESUME_HINT})" == message
    assert {"mine": b""} == tree(out)
    (out / "mine").unlink()
    assert 30 == extract(rec, out).resumed
    assert whole(rec) == tree(out)


def test_an_earlier_extraction_is_restored_when_the_new_one_cannot_be_renamed(
    rec: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(rec, out, ExtractOptions(head=1))
    before = tree(out)
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == "out.im2rec-partial":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        message = message_of(extract, rec, out, force=True)
    assert f"{out}.im2rec-partial: cannot be written: permission denied ({RESUME_HINT})" == message
    assert before == tree(out)
    assert ["out", "out.im2rec-partial", "some.rec"] == sorted(path.name for path in rec.parent.iterdir())
    assert 30 == extract(rec, out, force=True).resumed
    assert whole(rec) == tree(out)


# Links.


def planted_folder(partial: Path, outside: Path) -> None:
    (partial / "2").rename(partial / "moved")
    (partial / "2").symlink_to(outside)


def planted_parent(partial: Path, outside: Path) -> None:
    (partial / "2").rename(partial / "moved")
    (partial / "2").symlink_to(f"../{outside.name}")


@pytest.mark.parametrize("plant", [planted_folder, planted_parent])
def test_no_image_is_written_through_a_planted_link_to_a_folder(
    tmp_path: Path, rec: Path, out: Path, plant: Callable[[Path, Path], None]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    partial = stopped(rec, out, 15)
    plant(partial, outside)

    expected = f"{partial / '2'}: is a link that leads out of {partial} (remove it)"
    assert expected == message_of(extract, rec, out)
    assert {} == tree(outside)


def test_no_folder_is_made_through_a_planted_link_above_a_class(tmp_path: Path, rec: Path, out: Path) -> None:
    classes, outside = tmp_path / "c.txt", tmp_path / "outside"
    classes.write_text("a/b/c\nd\ne\n", encoding="utf-8")
    outside.mkdir()
    partial = stopped(rec, out, 10, classes=classes)
    (partial / "a").rename(partial / "moved")
    (partial / "a").symlink_to(outside)

    expected = f"{partial / 'a'}: is a link that leads out of {partial} (remove it)"
    assert expected == message_of(extract, rec, out, ExtractOptions(classes=classes))
    assert [] == [*outside.iterdir()]


@pytest.mark.parametrize("name", ["2/14.png", MARKER + ".tmp"])
def test_a_planted_link_to_a_file_is_replaced_and_not_followed(tmp_path: Path, rec: Path, out: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    partial = stopped(rec, out, 15)
    (partial / name).unlink(missing_ok=True)
    (partial / name).symlink_to(victim)
    extract(rec, out)

    assert b"mine" == victim.read_bytes()
    assert whole(rec) == tree(out)


def test_a_planted_hard_link_is_not_written_through(tmp_path: Path, rec: Path, out: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    partial = stopped(rec, out, 15)
    (partial / "2" / "14.png").unlink()
    os.link(victim, partial / "2" / "14.png")
    extract(rec, out)

    assert b"mine" == victim.read_bytes()


def test_a_planted_link_in_place_of_the_list_is_refused(tmp_path: Path, rec: Path, out: Path) -> None:
    victim = tmp_path / "victim"
    partial = stopped(rec, out, 15)
    (partial / "some.lst").rename(victim)
    (partial / "some.lst").symlink_to(victim)
    before = victim.read_bytes()

    expected = f"{partial / 'some.lst'}: is not the file that the journal describes (remove {partial})"
    assert expected == message_of(extract, rec, out)
    assert before == victim.read_bytes()


def test_a_link_in_place_of_the_partial_folder_is_not_followed(tmp_path: Path, rec: Path, out: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    out.with_name("out.im2rec-partial").symlink_to(outside)

    assert f"{out}.im2rec-partial: exists and is not a folder (remove it)" == message_of(extract, rec, out, force=True)


# Damage.


def test_what_is_whole_is_written_and_the_damaged_ranges_are_named(tmp_path: Path, out: Path) -> None:
    payloads = many(30)
    rec = a_rec(tmp_path, payloads)
    data, at = bytearray(rec.read_bytes()), bounds(payloads)
    data[at[12]] ^= 1
    data[at[20] + 4] += 40  # this length now covers the head of the next record
    rec.write_bytes(data)

    summary = extract(rec, out)

    magic = "expected the magic 0a 23 d7 ce, found 0b 23 d7 ce"
    assert [(at[12], at[13], 12, magic), (at[20], at[21], 19)] == [
        (at[12], at[13], summary.damage[0].records_before, summary.damage[0].problem),
        (summary.damage[1].start, summary.damage[1].end, summary.damage[1].records_before),
    ]
    assert (28, 28, 0) == (summary.records, summary.images, summary.doubtful)
    rest = a_rec(tmp_path, [payload for n, payload in enumerate(payloads) if n not in (12, 20)], name="rest.rec")
    extract(rest, tmp_path / "rest")
    expected, found = tree(tmp_path / "rest"), tree(out)
    assert expected.pop(MARKER) != found.pop(MARKER)  # the names of the files are in it
    assert expected.pop("rest.lst") == found.pop("some.lst")
    assert expected == found


def test_a_doubtful_record_is_written_and_counted_or_left_out_on_request(tmp_path: Path, out: Path) -> None:
    payloads = many(9)
    rec = a_rec(tmp_path, payloads)
    data, at = bytearray(rec.read_bytes()), bounds(payloads)
    data[at[5] - 8 : at[5] + 8] = b"\xff" * 16  # the end of an image, and the head after it
    rec.write_bytes(data)

    kept = extract(rec, out)
    dropped = extract(rec, tmp_path / "dropped", ExtractOptions(doubtful="drop"))

    assert (8, 1, [(at[5], at[6])]) == (kept.images, kept.doubtful, [(item.start, item.end) for item in kept.damage])
    assert (7, 0) == (dropped.images, dropped.doubtful)
    assert [(at[4], at[6])] == [(item.start, item.end) for item in dropped.damage]


def test_a_file_without_a_whole_record_is_refused_before_anything_is_written(tmp_path: Path, out: Path) -> None:
    rec = a_rec(tmp_path, many(1))
    rec.write_bytes(rec.read_bytes()[:-4])

    assert f"{rec}, byte 0: holds no whole records (run 'im2rec inspect' on it)" == message_of(extract, rec, out)
    assert ["some.rec"] == [path.name for path in tmp_path.iterdir()]


def test_a_record_that_changes_during_the_run_is_left_out_and_counted(rec: Path, out: Path) -> None:
    def progress(count: int, _share: float) -> None:
        if count == 10:
            with rec.open("r+b") as file:
                file.seek(bounds(many(30))[15])
                file.write(b"JPEG")

    all_images = set(whole(rec))
    summary = extract(rec, out, progress=progress)

    assert (1, 29) == (summary.damaged_records, summary.images)
    assert 5 == exit_code(summary)
    (left_out,) = all_images - set(tree(out))
    assert 15 == int(Path(left_out).stem)


def test_a_shard_that_a_killed_run_left_is_overwritten(rec: Path, out: Path) -> None:
    def killed(options: ExtractOptions) -> ExtractSummary:
        def progress(count: int, _share: float) -> None:
            if count == 20:
                raise StopHereError

        with pytest.raises(StopHereError):
            extract(rec, out, options, progress=progress)
        return extract(rec, out, options)

    options = {"to": "tar", "shard_mb": 0.02}
    assert 0 < killed(ExtractOptions(**options)).resumed < 20  # type: ignore[arg-type]
    assert whole(rec, **options) == tree(out)

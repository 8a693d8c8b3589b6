"""Runs of pack: options, batches of lines, workers, dry runs, and outputs that are refused before anything is read."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from full_disk_helpers import fill_disk
from helpers import message_of
from image_helpers import KEPT, a_list_of_images, names_in, records_of, write_list

from im2rec.errors import ImageError, ListFormatError
from im2rec.format.listfile import ListEntry
from im2rec.packing import pack as module
from im2rec.packing.image_files import image_folder
from im2rec.packing.list_reader import Entry, ListLines
from im2rec.packing.pack import PackOptions, pack, part_path
from im2rec.packing.params import PackParams
from im2rec.packing.report import PackedChunk, PackSummary

UNCHANGED = PackParams(unchanged=True)


# Options.

BAD_OPTIONS: dict[str, dict[str, Any]] = {
    "--workers=0 must be 1 or more": {"workers": 0},
    "--workers=-3 must be 1 or more": {"workers": -3},
    "--on-error=stop must be skip or fail": {"on_error": "stop"},
    "--outside=x must be allow or refuse": {"outside": "x"},
    "--max-bad=x must be a number of images, or a percentage such as 10%": {"max_bad": "x"},
}


def test_invalid_options_are_refused() -> None:
    assert list(BAD_OPTIONS) == [message_of(PackOptions, **options) for options in BAD_OPTIONS.values()]


def test_one_worker_is_accepted_and_the_defaults_skip_bad_images_up_to_a_tenth() -> None:
    assert 1 == PackOptions(workers=1).workers
    expected = PackOptions(workers=None, on_error="skip", max_bad="10%", verify=False, force=False, dry_run=False)
    assert expected == PackOptions()


def test_options_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PackOptions().workers = 2  # type: ignore[misc]


def test_parts_are_named_with_three_digits_or_more() -> None:
    def name(part: int, nsplit: int) -> str:
        return part_path(Path("d/o.rec"), PackParams(nsplit=nsplit, part=part)).as_posix()

    assert "d/o.rec" == name(0, 1)
    assert "d/o.rec.part000" == name(0, 2)
    assert "d/o.rec.part999" == name(999, 2000)
    assert "d/o.rec.part1999" == name(1999, 2000)


# Batches.


def chunk(lines: int, seconds: float) -> PackedChunk:
    return PackedChunk(lines=[None] * lines, seconds=seconds)


def sizes_after(*chunks: PackedChunk) -> list[int]:
    """The number of lines in the next chunk, at first and after each of *chunks*."""
    sizer = module._ChunkSizer()
    sizes = [sizer.lines]
    for finished in chunks:
        sizer.update(finished)
        sizes.append(sizer.lines)
    return sizes


def test_chunks_double_while_they_are_fast_and_have_at_most_64_lines() -> None:
    fast = [chunk(n, n * 1e-5) for n in (1, 2, 4, 8, 16, 32, 64, 64)]
    assert [1, 2, 4, 8, 16, 32, 64, 64, 64] == sizes_after(*fast)


def test_a_chunk_gets_as_many_lines_as_take_a_fiftieth_of_a_second() -> None:
    # At 4 ms an image, 5 make 20 ms; at 100 ms each, one is already too many.
    assert [1, 2, 4, 5, 5, 1, 1] == sizes_after(*(chunk(n, n * 0.004) for n in (1, 2, 4, 5)), *[chunk(5, 0.5)] * 2)


def test_a_chunk_that_took_no_time_on_the_clock_counts_as_a_fast_one() -> None:
    assert [1, 2] == sizes_after(chunk(1, 0.0))


def test_lines_are_taken_as_they_are_needed_and_the_last_batch_may_be_short(tmp_path: Path) -> None:
    listed = write_list(tmp_path / "l.lst", [f"{number}.jpg" for number in range(5)])  # of 10 bytes
    lines, folder = ListLines(listed), image_folder(tmp_path, "allow")
    run = module.PackRun(listed, tmp_path, tmp_path / "o.rec", lines, folder, UNCHANGED, PackOptions(workers=1))
    batches = run._batches()
    assert [1] == [entry.line for entry in next(batches)]
    assert (10, 2) == lines.position
    run._sizer.lines = 3
    assert [[2, 3, 4], [5]] == [[entry.line for entry in batch] for batch in batches]
    # A later run goes on behind a batch, and not behind the last one that was taken.
    frames = [[(0, b"")], [(0, b"")] * 3, [(0, b"")]]
    assert [(10, 2), (40, 5), (50, 6)] == [run._count(PackedChunk(frames=some))[1] for some in frames]


def test_a_batch_is_named_by_its_lines_and_paths() -> None:
    first, last = ListEntry(3, 0, (0.0,), "a.jpg"), ListEntry(5, 1, (0.0,), "b.jpg")
    entries: list[Entry] = [first, ListFormatError("bad", line=4), last]
    assert "lines 3 to 5 (a.jpg, b.jpg)" == module._describe(entries)


# Runs.


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Number of workers, and True for processes, of each run; the work itself is done in this process."""
    runs: list[tuple[int, bool]] = []

    def run_here(work: Callable[[Any], Any], items: Iterator[Any], *, workers: int, processes: bool, **_: Any) -> Any:
        runs.append((workers, processes))
        return (work(item) for item in items)

    monkeypatch.setattr(module, "run_ordered", run_here)
    monkeypatch.setattr(module, "available_cpus", lambda: 7)
    return runs


def test_images_are_packed_by_processes_and_files_stored_unchanged_by_threads(
    tmp_path: Path, runs: list[tuple[int, bool]]
) -> None:
    listed, root = a_list_of_images(tmp_path)
    for number, (params, options) in enumerate(
        [
            (PackParams(resize=8), PackOptions()),
            (UNCHANGED, PackOptions(workers=3)),
            (UNCHANGED, PackOptions(workers=3, verify=True)),
        ]
    ):
        pack(listed, root, tmp_path / f"{number}.rec", params, options)

    assert [(7, True), (3, False), (3, True)] == runs


def packed(folder: Path, count: int = 3, **options: Any) -> PackSummary:
    listed, root = a_list_of_images(folder, count)
    return pack(listed, root, folder / "o.rec", UNCHANGED, PackOptions(**{"workers": 1, **options}))


def test_the_summary_counts_images_bytes_and_files(tmp_path: Path) -> None:
    summary = packed(tmp_path)
    contents = [(tmp_path / "root" / f"{n}.jpg").read_bytes() for n in range(3)]

    assert contents == [record.content for record in records_of(tmp_path / "o.rec")]
    assert 3 == summary.images
    assert sum(map(len, contents)) == summary.bytes_in
    assert (tmp_path / "o.rec").stat().st_size == summary.bytes_out
    assert [str(tmp_path / "o.rec"), str(tmp_path / "o.idx")] == summary.files
    assert summary.report is None
    assert summary.input == str(tmp_path / "l.lst")
    assert 1 == summary.workers
    assert not summary.dry_run


def test_progress_has_the_images_packed_and_the_share_of_the_list_read(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 4)
    (root / "2.jpg").unlink()
    for dry_run in (False, True):
        calls: list[tuple[int, float]] = []
        options = PackOptions(workers=1, dry_run=dry_run, force=True)
        pack(listed, root, tmp_path / "o.rec", UNCHANGED, options, progress=lambda *now: calls.append(now))  # noqa: B023
        assert (1, 0.25) == calls[0]
        assert (3, 1.0) == calls[-1]
        assert sorted(calls) == calls


def test_fast_chunks_make_the_next_ones_larger(
    tmp_path: Path, runs: list[tuple[int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(entries: list[ListEntry], **_: object) -> PackedChunk:
        return PackedChunk(frames=[(entry.id, bytes(8)) for entry in entries], lines=[None] * len(entries))

    monkeypatch.setattr(module, "pack_in_worker", work)
    counts: list[int] = []
    listed = write_list(tmp_path / "l.lst", [f"{n}.jpg" for n in range(20)])
    pack(listed, tmp_path, tmp_path / "o.rec", progress=lambda images, _: counts.append(images))

    assert [1, 3, 7, 15, 20] == counts
    assert 1 == len(runs)


def test_the_summary_has_the_seconds_from_start_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 102.5])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    summary = packed(tmp_path)

    assert 2.5 == summary.seconds
    assert 1.2 == summary.images_per_s


def test_bad_images_are_left_out_and_listed_in_the_report(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    (root / "1.jpg").write_bytes(b"text")
    summary = pack(listed, root, tmp_path / "o.rec", UNCHANGED, PackOptions(workers=1))
    (row,) = (json.loads(line) for line in (tmp_path / "o.rec.bad.jsonl").read_text().splitlines())

    assert [0, 2] == [record.header.id for record in records_of(tmp_path / "o.rec")]
    assert str(tmp_path / "o.rec.bad.jsonl") == summary.report
    assert row == vars(summary.first_bad)
    assert (2, "1.jpg", "not an image") == (row["line"], row["path"], row["reason"])


def test_with_max_bad_100_percent_every_line_is_read_and_reported_though_all_are_bad(tmp_path: Path) -> None:
    listed = write_list(tmp_path / "l.lst", [f"{number}.jpg" for number in range(150)])
    (tmp_path / "149.jpg").write_bytes(b"text")
    options, report = PackOptions(workers=1, max_bad="100%"), tmp_path / "o.rec.bad.jsonl"
    message = message_of(pack, listed, tmp_path, tmp_path / "o.rec", UNCHANGED, options)

    reasons = "149 missing, 1 not an image; line 1: 0.jpg: no such file"
    assert f"{listed}: none of its images could be packed: {reasons} (all are in {report})" == message
    assert list(range(1, 151)) == [json.loads(line)["line"] for line in report.read_text().splitlines()]
    assert ["149.jpg", "l.lst", "o.rec.bad.jsonl"] == names_in(tmp_path)


def test_no_rec_appears_when_the_report_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, "o.rec.bad.jsonl", "write")
    listed, root = a_list_of_images(tmp_path)
    (root / "1.jpg").unlink()
    message = message_of(pack, listed, root, tmp_path / "o.rec", UNCHANGED, PackOptions(workers=1))
    assert message.startswith(f"{tmp_path / 'o.rec.bad.jsonl'}: cannot be written: no space left on device")
    assert ["l.lst", "root"] == names_in(tmp_path)


def test_a_dry_run_counts_the_files_that_exist_and_writes_nothing(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    (root / "1.jpg").unlink()
    with listed.open("a") as stream:
        stream.write("not a line\n")
    summary = pack(listed, root, tmp_path / "o.rec", UNCHANGED, PackOptions(dry_run=True))

    assert summary.dry_run
    assert 2 == summary.images
    assert {"missing": 1, "bad list line": 1} == summary.bad
    assert sum((root / name).stat().st_size for name in ("0.jpg", "2.jpg")) == summary.bytes_in
    assert 0 == summary.bytes_out
    assert summary.report is None
    assert [str(tmp_path / "o.rec"), str(tmp_path / "o.idx")] == summary.files
    assert ["l.lst", "root"] == names_in(tmp_path)


def test_a_dry_run_counts_good_images_for_the_limit_of_bad_ones(tmp_path: Path) -> None:
    _, root = a_list_of_images(tmp_path, 1)
    listed = write_list(tmp_path / "many.lst", ["0.jpg", *(f"gone {n}.jpg" for n in range(20))])
    options = PackOptions(dry_run=True, max_bad="100%")

    assert {"missing": 20} == pack(listed, root, tmp_path / "o.rec", UNCHANGED, options).bad


def test_a_dry_run_names_the_engine_and_the_jpeg_decoder_of_a_real_run(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    for number, params in enumerate((PackParams(engine="pillow"), UNCHANGED)):
        out = tmp_path / f"{number}.rec"
        dry, real = (
            pack(listed, root, out, params, PackOptions(workers=1, dry_run=dry_run)) for dry_run in (True, False)
        )
        assert ("pillow" if number == 0 else "") == dry.engine == real.engine
        assert dry.jpeg_decoder == real.jpeg_decoder


def test_on_error_fail_raises_the_first_bad_image_also_in_a_dry_run(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    (root / "1.jpg").unlink()
    for dry_run, kept in ((True, ""), (False, "; 1 image so far is kept, and the same command goes on")):
        options = PackOptions(workers=1, on_error="fail", dry_run=dry_run)
        expected = f"{listed}, line 2: 1.jpg: no such file (--on-error skip packs the rest{kept})"
        with pytest.raises(ImageError, match=f"^{re.escape(expected)}$"):
            pack(listed, root, tmp_path / "o.rec", UNCHANGED, options)
        assert sorted(["l.lst", "root", *(KEPT if kept else [])]) == names_in(tmp_path)


def test_on_error_fail_leaves_nothing_if_the_first_image_is_bad(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    (root / "0.jpg").unlink()
    expected = f"{listed}, line 1: 0.jpg: no such file (--on-error skip packs the rest)"
    options = PackOptions(workers=1, on_error="fail")
    assert expected == message_of(pack, listed, root, tmp_path / "o.rec", UNCHANGED, options)
    assert ["l.lst", "root"] == names_in(tmp_path)


def a_list_with_images_outside(folder: Path) -> tuple[Path, Path]:
    """Write images ``root/0.jpg`` to ``root/2.jpg`` and ``far/0.jpg``, and a list of five, two of them outside."""
    _, root = a_list_of_images(folder)
    (folder / "far").mkdir()
    (folder / "far" / "0.jpg").write_bytes((root / "0.jpg").read_bytes())
    paths = ["0.jpg", "../far/0.jpg", "1.jpg", f"{folder}/far/0.jpg", "x/../2.jpg"]
    (root / "x").mkdir()
    return write_list(folder / "outside.lst", paths), root


def test_images_outside_of_the_root_are_packed_and_counted_with_the_first_line(tmp_path: Path) -> None:
    listed, root = a_list_with_images_outside(tmp_path)
    for dry_run in (True, False):
        options = PackOptions(workers=1, dry_run=dry_run)
        summary = pack(listed, root, tmp_path / "o.rec", UNCHANGED, options)
        assert (5, {}, 2, 2) == (summary.images, summary.bad, summary.outside, summary.outside_line)


@pytest.mark.parametrize("params", [UNCHANGED, PackParams(resize=8)])
def test_images_outside_of_the_root_are_bad_on_request(tmp_path: Path, params: PackParams) -> None:
    listed, root = a_list_with_images_outside(tmp_path)
    for dry_run in (True, False):
        options = PackOptions(workers=1, dry_run=dry_run, outside="refuse")
        summary = pack(listed, root, tmp_path / "o.rec", params, options)
        assert (3, {"outside ROOT": 2}, 0, None) == (
            (summary.images, summary.bad, summary.outside, summary.outside_line)
        )
        assert "line 2: ../far/0.jpg: lies outside of ROOT" == str(summary.first_bad)


def test_a_list_without_images_is_an_error_but_an_empty_part_is_packed(tmp_path: Path) -> None:
    _, root = a_list_of_images(tmp_path)
    empty = write_list(tmp_path / "empty.lst", [])
    for dry_run in (False, True):
        message = message_of(pack, empty, root, tmp_path / "o.rec", UNCHANGED, PackOptions(workers=1, dry_run=dry_run))
        assert f"{empty}: lists no images (make one with 'im2rec make-list')" == message
    assert not (tmp_path / "o.rec").exists()

    params = PackParams(unchanged=True, nsplit=2, part=1)
    assert 0 == pack(empty, root, tmp_path / "o.rec", params, PackOptions(workers=1)).images
    assert (tmp_path / "o.rec.part001").exists()


# Outputs that are refused.


def test_an_index_as_output_is_refused(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    expected = f"{tmp_path / 'o.idx'}: is the name of an index (name the .rec)"
    assert expected == message_of(pack, listed, root, tmp_path / "o.idx")


@pytest.mark.parametrize("name", ["l.rec", "l.idx", "l.rec.bad.jsonl"])
def test_the_list_itself_is_never_overwritten(tmp_path: Path, name: str) -> None:
    listed, root = a_list_of_images(tmp_path)
    listed = listed.rename(tmp_path / name)
    expected = f"{listed}: is the list itself (choose another name for the output)"

    assert expected == message_of(pack, listed, root, tmp_path / "l.rec", UNCHANGED, PackOptions(force=True))


def test_outputs_are_checked_before_any_image_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, root = a_list_of_images(tmp_path)
    monkeypatch.setattr(module, "run_ordered", None)
    for name, options in itertools.product(("o.rec", "o.idx"), (PackOptions(), PackOptions(dry_run=True))):
        (tmp_path / name).write_bytes(b"mine")
        expected = f"{tmp_path / name}: exists already (replace it with force=True, or choose another name)"
        assert expected == message_of(pack, listed, root, tmp_path / "o.rec", UNCHANGED, options)
        (tmp_path / name).unlink()
    assert f"{tmp_path}: is a folder (name a file)" == message_of(
        pack, listed, root, tmp_path, UNCHANGED, PackOptions(force=True)
    )


def test_a_root_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    listed, _ = a_list_of_images(tmp_path)
    expected = f"{listed}: is not a folder (name the folder that holds the images)"
    assert expected == message_of(pack, listed, listed, tmp_path / "o.rec", UNCHANGED)

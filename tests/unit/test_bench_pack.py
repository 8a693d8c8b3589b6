"""The bench of packing: its stages and rates, and lists with bad lines, of other kinds of images, or of nothing."""

from __future__ import annotations

import multiprocessing
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from image_helpers import a_list_of_images, names_in

from im2rec.bench.advice import DECODING, ENCODING, READING, RESIZING, WRITING
from im2rec.bench.pack import bench_pack, rates_of_steps
from im2rec.bench.report import PackReport
from im2rec.bench.samples import evenly_sampled
from im2rec.bench.timing import BenchOptions
from im2rec.errors import InputError
from im2rec.format.listfile import ListEntry
from im2rec.packing.params import PackParams

pytestmark = pytest.mark.usefixtures("ticking")


def benched(folder: Path, *threads: int, count: int = 4, suffix: str = ".jpg", **keys: Any) -> PackReport:
    listed, root = a_list_of_images(folder, count, suffix)
    return bench_pack(listed, root, PackParams(**keys), BenchOptions(threads or (1,), 0.03))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_every_stage_is_timed_and_no_file_is_left(tmp_path: Path, temporary: Path) -> None:
    report = benched(tmp_path, resize=16)

    assert [READING, DECODING, RESIZING, ENCODING, WRITING] == [stage.name for stage in report.stages]
    assert all(stage.rate.median > 0 for stage in report.stages)
    assert sum(stage.share for stage in report.stages) <= 1.0001
    assert [1] == [row.threads for row in report.by_threads]
    assert report.by_threads[0].whole.median > 0
    assert 4 == report.records
    assert 0 == report.without_result
    assert re.fullmatch(r"3\d x 2\d, JPEG, .* kB", report.image_description)
    assert report.advice.sentence
    assert [] == names_in(temporary)
    assert ["l.lst", "root", "temporary"] == names_in(tmp_path)


def test_files_that_are_stored_unchanged_are_only_read_and_written(tmp_path: Path) -> None:
    report = benched(tmp_path, unchanged=True)

    assert [READING, WRITING] == [stage.name for stage in report.stages]
    assert "" == report.engine


def test_packing_is_timed_with_several_numbers_of_workers_and_leaves_no_process(tmp_path: Path) -> None:
    report = benched(tmp_path, 1, 2, resize=16, engine="pillow", draft=True, center_crop=True, inter_method=9)

    assert [1, 2] == [row.threads for row in report.by_threads]
    assert "pillow" == report.engine
    assert [] == multiprocessing.active_children()


@pytest.mark.parametrize(
    "keys", [{"encoding": ".png", "color": -1}, {"encoding": ".bmp", "max_side": 20}, {"color": 0}]
)
def test_images_of_any_kind_and_encoding_are_timed(tmp_path: Path, keys: dict[str, Any]) -> None:
    report = benched(tmp_path, suffix=".png", **keys)

    assert re.fullmatch(r"3\d x 2\d, no JPEG, .* kB", report.image_description)


def test_bad_lines_are_counted_and_the_rest_is_timed(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 4)
    (root / "1.jpg").write_text("no image")
    (root / "2.jpg").unlink()
    listed.write_text(listed.read_text() + "no list line\n")

    report = bench_pack(listed, root, None, BenchOptions((1,), 0.03))

    assert 5 == report.records
    assert 3 == report.without_result


def test_a_list_without_a_readable_image_is_refused(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 2)
    for name in ("0.jpg", "1.jpg"):
        (root / name).unlink()
    with pytest.raises(InputError) as caught:
        bench_pack(listed, root, None, BenchOptions((1,), 0.03))
    message = f"{root}: none of the images below it could be packed: 2 no such file or directory (check ROOT)"
    assert message == str(caught.value)

    listed.write_text("# nothing\n")
    with pytest.raises(InputError, match="lists no images"):
        bench_pack(listed, root)


@pytest.mark.parametrize("count", [0, 1, 2048, 2049, 5000, 40_000])
def test_a_long_list_is_sampled_evenly(count: int) -> None:
    listed = evenly_sampled(ListEntry(number, number, (0.0,), "a.jpg") for number in range(count))
    lines = [entry.line for entry in listed.entries if isinstance(entry, ListEntry)]

    assert count == listed.line_count
    assert min(count, 1024) <= len(lines) <= 2048
    assert lines == list(range(0, count, lines[1] if len(lines) > 1 else 1))


def test_rates_leave_out_the_warm_up_unless_the_run_is_over_before() -> None:
    slow = [(1.0, 1), (2.0, 2)]
    steady = [(2.0 + second, 2 + 100 * second) for second in range(1, 4)]

    assert [100.0, 100.0] == rates_of_steps(0.0, [*slow, *steady], 2.0)
    assert [1.0] == rates_of_steps(0.0, slow, 9.0)
    assert [50.0] == rates_of_steps(0.0, [(2.0, 100)], 0.0)

"""bench of packing: its stages, its rates, and lists of any kind."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from image_helpers import a_list_of_images, names_in

from im2rec.bench.advice import DECODING, ENCODING, RESIZING, WRITING
from im2rec.bench.pack import bench_pack, rates_of_steps
from im2rec.bench.report import PackReport
from im2rec.bench.samples import thinned
from im2rec.bench.timing import READ, BenchOptions
from im2rec.errors import InputError
from im2rec.format.listfile import ListEntry
from im2rec.packing.params import PackParams

pytestmark = pytest.mark.usefixtures("ticking")


def benched(folder: Path, *threads: int, count: int = 4, suffix: str = ".jpg", **keys: Any) -> PackReport:
    listed, root = a_list_of_images(folder, count, suffix)
    return bench_pack(listed, root, PackParams(**keys), BenchOptions(threads or (1,), 0.03))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_every_stage_is_timed_and_nothing_is_left(tmp_path: Path, temporary: Path) -> None:
    report = benched(tmp_path, resize=16)

    assert [READ, DECODING, RESIZING, ENCODING, WRITING] == [stage.name for stage in report.stages]
    assert all(stage.rate.median > 0 for stage in report.stages)
    assert sum(stage.share for stage in report.stages) <= 1.0001
    assert [1] == [row.threads for row in report.threads]
    assert report.threads[0].whole.median > 0
    assert (4, 0) == (report.records, report.left_out)
    assert re.fullmatch(r"3\d x 2\d, JPEG, .* kB", report.pictures)
    assert report.advice.sentence
    assert [] == names_in(temporary)
    assert ["l.lst", "root", "temporary"] == names_in(tmp_path)


def test_files_that_are_stored_as_they_are_are_only_read_and_written(tmp_path: Path) -> None:
    report = benched(tmp_path, unchanged=True)

    assert ([READ, WRITING], "") == ([stage.name for stage in report.stages], report.engine)


def test_workers_are_processes_that_end(tmp_path: Path) -> None:
    report = benched(tmp_path, 1, 2, resize=16, engine="pillow", draft=True, center_crop=True, inter_method=9)

    assert [1, 2] == [row.threads for row in report.threads]
    assert "pillow" == report.engine


@pytest.mark.parametrize(
    "keys", [{"encoding": ".png", "color": -1}, {"encoding": ".bmp", "max_side": 20}, {"color": 0}]
)
def test_other_kinds_of_images(tmp_path: Path, keys: dict[str, Any]) -> None:
    report = benched(tmp_path, suffix=".png", **keys)

    assert re.fullmatch(r"3\d x 2\d, no JPEG, .* kB", report.pictures)


def test_bad_lines_are_counted_and_the_rest_is_timed(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 4)
    (root / "1.jpg").write_text("no image")
    (root / "2.jpg").unlink()
    listed.write_text(listed.read_text() + "no list line\n")

    assert (5, 3) == ((report := bench_pack(listed, root, None, BenchOptions((1,), 0.03))).records, report.left_out)


def test_a_list_of_nothing_is_refused(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 2)
    for name in ("0.jpg", "1.jpg"):
        (root / name).unlink()
    with pytest.raises(InputError) as caught:
        bench_pack(listed, root, None, BenchOptions((1,), 0.03))
    message = f"none of the images below {root} could be packed: 2 no such file or directory (check ROOT)"
    assert message == str(caught.value)

    listed.write_text("# nothing\n")
    with pytest.raises(InputError, match="lists no images"):
        bench_pack(listed, root)


@pytest.mark.parametrize("count", [0, 1, 2048, 2049, 5000, 40_000])
def test_of_a_long_list_lines_are_kept_evenly(count: int) -> None:
    listed = thinned(ListEntry(number, number, (0.0,), "a.jpg") for number in range(count))
    lines = [entry.line for entry in listed.some if isinstance(entry, ListEntry)]

    assert count == listed.lines
    assert min(count, 1024) <= len(lines) <= 2048
    assert lines == list(range(0, count, lines[1] if len(lines) > 1 else 1))


def test_a_rate_leaves_out_how_workers_warm_up() -> None:
    slow = [(1.0, 1), (2.0, 2)]
    steady = [(2.0 + second, 2 + 100 * second) for second in range(1, 4)]

    assert [100.0, 100.0] == rates_of_steps(0.0, [*slow, *steady], 2.0)
    assert [1.0] == rates_of_steps(0.0, slow, 9.0)
    assert [50.0] == rates_of_steps(0.0, [(2.0, 100)], 0.0)

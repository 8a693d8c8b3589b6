"""Reading alone, and where the bytes come from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from image_helpers import POSIX
from iterator_helpers import a_rec, some_records

from im2rec.bench import read_speed
from im2rec.bench.read_speed import (
    DISK,
    MEMORY,
    UNKNOWN,
    FileSpan,
    PageCache,
    Reads,
    memory_size,
    read_stage,
    read_twice,
    source_of,
)
from im2rec.bench.timing import Rate

pytestmark = pytest.mark.usefixtures("ticking")

FAST, SLOW = Rate.of([10_000.0]), Rate.of([100.0])


@pytest.fixture
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_speed, "memory_size", lambda: 1_000_000)


@pytest.mark.usefixtures("plenty")
def test_where_a_file_is_read_from() -> None:
    fast, slow = Reads(FAST, None, 5000), Reads(SLOW, None, 5000)
    from_disk = Reads(FAST, SLOW, 5000)

    assert MEMORY == source_of(fast, 1.0, 1000)
    assert MEMORY == source_of(from_disk, 1.0, 1000)
    assert DISK == source_of(from_disk, 0.5, 1000)
    assert DISK == source_of(from_disk, None, 1000)
    assert UNKNOWN == source_of(fast, None, 1000)
    assert UNKNOWN == source_of(slow, 1.0, 1000)  # memory that takes 10 ms for an image is none
    assert DISK == source_of(fast, 1.0, 900_000)  # more than stays in memory


def test_every_group_is_read_for_the_first_time_once_and_then_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    asked: list[list[int]] = []

    def read(group: list[int]) -> int:
        asked.append(group)
        return 100 * len(group)

    groups = [[1, 2], [3, 4], [5]]
    with PageCache() as residence_:
        found = read_twice(read, groups, [FileSpan(path, 0, 1000)], residence_, seconds=0.02)

    assert groups == asked[:3]
    assert groups[:1] == asked[3:4]
    assert 100 == found.bytes_per_image
    assert found.again.median > 0


def test_a_first_time_is_from_the_disk_only_where_that_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def first(*, forgotten: bool, share: float | None) -> bool:
        with monkeypatch.context() as patch, PageCache() as held:
            patch.setattr(held, "forget", lambda _spans: forgotten)
            patch.setattr(held, "share", lambda _spans: share)
            return read_twice(len, [[1]], [FileSpan(tmp_path, 0, 1)], held, seconds=0.001).first is not None

    assert first(forgotten=True, share=1.0)
    assert first(forgotten=False, share=0.0)
    assert not first(forgotten=False, share=1.0)
    assert not first(forgotten=False, share=0.5)


def test_a_first_time_that_is_much_slower_was_from_the_disk_where_nobody_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(PageCache, "forget", lambda *_: False)
    monkeypatch.setattr(PageCache, "share", lambda *_: None)
    for first, known in ((3.0, True), (5.0, False)):
        monkeypatch.setattr(read_speed, "_first", lambda *_, rate=first: (Rate.of([rate]), 1, 1))
        monkeypatch.setattr(read_speed, "repeated", lambda *_: [10.0])
        with PageCache() as held:
            found = read_twice(len, [[1]], [FileSpan(tmp_path, 0, 1)], held, seconds=1.0)
        assert known == (found.first is not None)


def test_the_records_of_a_file_are_read_in_order_shuffled_and_in_threads(tmp_path: Path) -> None:
    records = some_records(a_rec(tmp_path, 20, "a.rec"))
    try:
        found = read_stage(records, batch_size=8, threads=2, shuffle=True, seconds=0.03)
        alone = read_stage(records, batch_size=8, threads=1, shuffle=False, seconds=0.03)
    finally:
        records.close()

    assert found.source in (MEMORY, DISK, UNKNOWN)
    assert sum(len(file) for file in records.files) == 20
    assert 200 < found.in_order.bytes_per_image == found.shuffled.bytes_per_image < 400
    assert alone.in_threads is alone.in_order


@POSIX
def test_bytes_that_were_just_read_are_in_memory_where_the_system_says(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1 << 20))
    path.read_bytes()
    spans = [FileSpan(path, start, start + 4096) for start in range(0, 1 << 20, 1 << 16)]
    with PageCache() as held:
        assert held.share(spans) in (1.0, None)
        held.close()


def test_a_system_that_does_not_say_is_not_guessed_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    for name in ("preadv", "posix_fadvise"):
        monkeypatch.delattr(os, name, raising=False)
    with PageCache() as held:
        assert held.share([FileSpan(path, 0, 100)]) is None
        assert not held.forget([FileSpan(path, 0, 100)])


def test_a_container_has_the_memory_it_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("123456\n")
    monkeypatch.setattr(read_speed, "_CGROUP_LIMITS", (str(limit), str(tmp_path / "none")))
    assert memory_size() in (123_456, None)

    limit.write_text("max\n")
    assert memory_size() != 123_456

"""The speed of reading alone, and whether the bytes come from memory or from the disk."""

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
    ReadRates,
    measure_reading,
    read_twice,
    source_of,
    usable_memory,
)
from im2rec.bench.timing import Rate

pytestmark = pytest.mark.usefixtures("ticking")

FAST, SLOW = Rate.of([10_000.0]), Rate.of([100.0])


@pytest.fixture
def a_million_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_speed, "usable_memory", lambda: 1_000_000)


@pytest.mark.usefixtures("a_million_bytes")
def test_the_source_of_a_file_follows_from_the_share_in_the_cache_the_rates_and_the_size() -> None:
    fast, slow = ReadRates(FAST, None, 5000), ReadRates(SLOW, None, 5000)
    from_disk = ReadRates(FAST, SLOW, 5000)

    assert MEMORY == source_of(fast, 1.0, 1000)
    assert MEMORY == source_of(from_disk, 1.0, 1000)
    assert DISK == source_of(from_disk, 0.5, 1000)
    assert DISK == source_of(from_disk, None, 1000)
    assert UNKNOWN == source_of(fast, None, 1000)
    assert UNKNOWN == source_of(slow, 1.0, 1000)  # no memory takes 10 ms for an image
    assert DISK == source_of(fast, 1.0, 900_000)  # 0.9 of the memory: it does not stay cached


def test_every_group_is_read_once_and_then_all_of_them_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    read_groups: list[list[int]] = []

    def read(group: list[int]) -> int:
        read_groups.append(group)
        return 100 * len(group)

    groups = [[1, 2], [3, 4], [5]]
    with PageCache() as page_cache:
        rates = read_twice(read, groups, [FileSpan(path, 0, 1000)], page_cache, seconds=0.02)

    assert groups == read_groups[:3]
    assert groups[:1] == read_groups[3:4]
    assert 100 == rates.bytes_per_image
    assert rates.cached.median > 0


def test_the_first_reading_counts_as_one_from_the_disk_if_the_cache_was_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def is_from_disk(*, evicted: bool, share: float | None) -> bool:
        with monkeypatch.context() as patch, PageCache() as page_cache:
            patch.setattr(page_cache, "evict", lambda _spans: evicted)
            patch.setattr(page_cache, "cached_share", lambda _spans: share)
            rates = read_twice(len, [[1]], [FileSpan(tmp_path, 0, 1)], page_cache, seconds=0.001)
        return rates.uncached is not None

    assert is_from_disk(evicted=True, share=1.0)
    assert is_from_disk(evicted=False, share=0.0)
    assert not is_from_disk(evicted=False, share=1.0)
    assert not is_from_disk(evicted=False, share=0.5)


def test_where_the_cache_cannot_be_asked_a_much_slower_first_reading_counts_as_one_from_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(PageCache, "evict", lambda *_: False)
    monkeypatch.setattr(PageCache, "cached_share", lambda *_: None)
    for first, is_from_disk in ((3.0, True), (5.0, False)):
        monkeypatch.setattr(read_speed, "_first_reading", lambda *_, rate=first: (Rate.of([rate]), 1, 1))
        monkeypatch.setattr(read_speed, "timed_repetitions", lambda *_: [10.0])
        with PageCache() as page_cache:
            rates = read_twice(len, [[1]], [FileSpan(tmp_path, 0, 1)], page_cache, seconds=1.0)
        assert is_from_disk == (rates.uncached is not None)


def test_the_records_of_a_file_are_read_in_order_shuffled_and_in_threads(tmp_path: Path) -> None:
    records = some_records(a_rec(tmp_path, 20, "a.rec"))
    try:
        threaded = measure_reading(records, batch_size=8, threads=2, shuffle=True, seconds=0.03)
        alone = measure_reading(records, batch_size=8, threads=1, shuffle=False, seconds=0.03)
    finally:
        records.close()

    assert threaded.source in (MEMORY, DISK, UNKNOWN)
    assert 200 < threaded.in_order.bytes_per_image < 400
    assert threaded.in_order.bytes_per_image == threaded.shuffled.bytes_per_image
    assert threaded.in_threads not in (threaded.in_order, threaded.shuffled)
    assert alone.in_threads is alone.in_order


@POSIX
def test_bytes_that_were_just_read_are_cached_if_the_system_reports_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1 << 20))
    path.read_bytes()
    spans = [FileSpan(path, start, start + 4096) for start in range(0, 1 << 20, 1 << 16)]
    with PageCache() as page_cache:
        assert page_cache.cached_share(spans) in (1.0, None)
        page_cache.close()  # once more at the end of the block


def test_a_system_without_the_calls_gives_no_share_and_evicts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    for name in ("preadv", "posix_fadvise"):
        monkeypatch.delattr(os, name, raising=False)
    with PageCache() as page_cache:
        assert page_cache.cached_share([FileSpan(path, 0, 100)]) is None
        assert not page_cache.evict([FileSpan(path, 0, 100)])


def test_the_usable_memory_is_limited_by_the_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("123456\n")
    monkeypatch.setattr(read_speed, "_CGROUP_LIMITS", (str(limit), str(tmp_path / "none")))
    assert usable_memory() in (123_456, None)

    limit.write_text("max\n")
    assert usable_memory() != 123_456

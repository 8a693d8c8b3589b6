"""Files on a disk with unreadable sectors: zeros in their place, and everything around them."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest
from helpers import message_of
from recovery_helpers import BadDisk

from im2rec.recovery.salvage import SalvagingFile

SECTOR = 4096
SIZE = 20 * SECTOR + 100


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    data = random.Random(3).randbytes(SIZE)
    (tmp_path / "f").write_bytes(data)
    return data


def zeroed(data: bytes, *ranges: tuple[int, int]) -> bytes:
    changed = bytearray(data)
    for start, end in ranges:
        changed[start:end] = bytes(end - start)
    return bytes(changed)


def test_a_good_disk_is_read_as_by_any_other_file(tmp_path: Path, content: bytes) -> None:
    with SalvagingFile(tmp_path / "f") as file:
        assert content == file.read_at(0, SIZE + 50)
        assert [] == file.unreadable
        assert file.unreadable_within(0, SIZE) is None


def test_zeros_are_read_for_unreadable_sectors_and_all_around_them_is_there(
    tmp_path: Path, content: bytes, bad_disk: BadDisk
) -> None:
    bad_disk.ranges = [(3 * SECTOR + 7, 3 * SECTOR + 8), (9 * SECTOR, 11 * SECTOR), (SIZE - 10, SIZE)]
    expected = [(3 * SECTOR, 4 * SECTOR), (9 * SECTOR, 11 * SECTOR), (20 * SECTOR, SIZE)]
    with SalvagingFile(tmp_path / "f") as file:
        assert zeroed(content, *expected) == file.read_at(0, SIZE)
        assert expected == file.unreadable
        assert zeroed(content, *expected)[100:-100] == file.read_at(100, SIZE - 200)


def test_an_unreadable_sector_is_asked_for_once(tmp_path: Path, content: bytes, bad_disk: BadDisk) -> None:
    bad_disk.ranges = [(5 * SECTOR, 6 * SECTOR)]
    with SalvagingFile(tmp_path / "f") as file:
        file.read_at(0, SIZE)
        failures = bad_disk.failures
        for start in range(0, SIZE, 777):
            assert zeroed(content, *bad_disk.ranges)[start : start + 5000] == file.read_at(start, 5000)
        assert failures == bad_disk.failures > 0


@pytest.mark.usefixtures("content")
def test_pieces_inside_one_sector_mark_all_of_it(tmp_path: Path, bad_disk: BadDisk) -> None:
    bad_disk.ranges = [(5 * SECTOR, 6 * SECTOR)]
    with SalvagingFile(tmp_path / "f") as file:
        assert bytes(10) == file.read_at(5 * SECTOR + 20, 10)
        assert [(5 * SECTOR, 6 * SECTOR)] == file.unreadable
        assert (5 * SECTOR, 5 * SECTOR + 1) == file.unreadable_within(4 * SECTOR, 5 * SECTOR + 1)
        assert file.unreadable_within(0, 5 * SECTOR) is None
        assert file.unreadable_within(6 * SECTOR, SIZE) is None


@pytest.mark.parametrize("seed", range(20))
def test_any_reads_of_any_bad_disk_agree_with_the_file_outside_the_bad_sectors(
    tmp_path: Path, content: bytes, bad_disk: BadDisk, seed: int
) -> None:
    rng = random.Random(seed)
    bad = sorted(rng.sample(range(20), rng.randrange(1, 8)))
    bad_disk.ranges = [(number * SECTOR, (number + 1) * SECTOR) for number in bad]
    expected = zeroed(content, *bad_disk.ranges)
    with SalvagingFile(tmp_path / "f") as file:
        for _ in range(40):
            start = rng.randrange(SIZE)
            size = rng.choice((1, 8, 5000, 50_000))
            assert expected[start : start + size] == file.read_at(start, size)
        assert all(end <= start for (_, end), (start, _) in zip(file.unreadable, file.unreadable[1:], strict=False))
        assert {start // SECTOR for start, _ in file.unreadable} <= set(bad)


def test_other_errors_of_the_disk_are_raised(tmp_path: Path, content: bytes, bad_disk: BadDisk) -> None:
    bad_disk.ranges, bad_disk.number = [(0, len(content))], errno.EACCES
    with SalvagingFile(tmp_path / "f") as file:
        assert f"{tmp_path / 'f'}: cannot be read: permission denied (check the path)" == message_of(file.read_at, 0, 9)

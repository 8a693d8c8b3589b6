"""Hashes of contents, and the table by which contents that are there twice are found."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extract_helpers import plain, vector, with_magics
from helpers import peak_bytes, write_rec

import im2rec
from im2rec.errors import CorruptRecordError
from im2rec.rewriting import contents, copying
from im2rec.rewriting.contents import SameContents, hash_contents


def hashes_of(path: Path, ordinals: Any = None) -> list[int]:
    with im2rec.open(path) as rec:
        return list(hash_contents(rec, np.arange(len(rec)) if ordinals is None else np.array(ordinals)))


def test_equal_contents_have_one_hash_whatever_their_ids_and_labels_are(tmp_path: Path) -> None:
    payloads = [plain(1, 3.0, b"one"), vector(2, [5, 6, 7], b"one"), plain(3, 3.0, b"two"), plain(4, 0, b"one")]
    one, other, two, last = hashes_of(write_rec(tmp_path / "a.rec", payloads))

    assert one == other == last != two


def test_a_content_with_magics_has_the_hash_of_its_bytes_without_cuts(tmp_path: Path) -> None:
    content = with_magics()
    split = write_rec(tmp_path / "a.rec", [plain(1, 1.0, content), plain(2, 2.0, b"x" + content[1:])])
    moved = write_rec(tmp_path / "b.rec", [vector(1, [1, 2, 3, 4, 5], content)])

    assert hashes_of(split)[0] == hashes_of(moved)[0]
    assert hashes_of(split)[1] != hashes_of(split)[0]


@pytest.mark.parametrize("gap", [16 << 10, 0])
def test_the_order_of_ordinals_and_the_gaps_between_them_do_not_matter(
    tmp_path: Path, gap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_GAP_BYTES", gap)
    path = write_rec(tmp_path / "a.rec", [plain(n, 1.0, random.Random(n).randbytes(n)) for n in range(1, 60)])
    every = hashes_of(path)
    chosen = random.Random(1).sample(range(len(every)), 30)

    assert [every[ordinal] for ordinal in chosen] == hashes_of(path, chosen)
    assert len(set(every)) == len(every)


def test_a_damaged_record_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [plain(n, 1.0, bytes(400)) for n in range(200)])
    with im2rec.open(path) as rec:
        at = int(rec.offsets[101])
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"\1\2\3\4")
        with pytest.raises(CorruptRecordError, match="record 101"):
            hash_contents(rec, np.arange(200))


def test_records_in_any_order_are_parsed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_rec(tmp_path / "a.rec", [plain(n, 1.0, b"content %d" % n) for n in range(50)])
    every, parse, calls = hashes_of(path), contents._contents, []
    monkeypatch.setattr(contents, "_contents", lambda *words: calls.append(words) or parse(*words))

    assert every[::-1] == hashes_of(path, range(49, -1, -1))
    assert 1 == len(calls)


# The table.


def found(values: list[int], hashes: Any = None, *, batch: int = 7) -> tuple[list[int], int]:
    """What the table finds for *values*, in batches, and how many pairs it has compared."""
    compared = 0

    def equal(rows: Any, earlier: Any) -> Any:
        nonlocal compared
        compared += len(rows)
        assert np.all(earlier < rows)
        return np.array(values)[rows] == np.array(values)[earlier]

    given = np.array(values if hashes is None else hashes, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    same = SameContents(len(values), equal)
    parts = [same.add(first, given[first : first + batch]) for first in range(0, len(values), batch)]
    return np.concatenate(parts).tolist(), compared


def first_places(values: list[int]) -> list[int]:
    return [values.index(value) if values.index(value) < place else -1 for place, value in enumerate(values)]


@pytest.mark.parametrize("batch", [1, 7, 1000])
@pytest.mark.parametrize("kinds", [1, 3, 50, 10_000])
def test_each_value_is_found_at_its_first_place(kinds: int, batch: int) -> None:
    drawn = random.Random(kinds)
    values = [drawn.randrange(kinds) for _ in range(500)]

    assert first_places(values) == found(values, batch=batch)[0]


def test_equal_hashes_of_different_contents_are_never_reported() -> None:
    drawn = random.Random(3)
    values = [drawn.randrange(40) for _ in range(200)]
    places, compared = found(values, hashes=[value % 4 for value in values])

    assert first_places(values) == places
    assert compared > 200


def test_contents_that_differ_are_hardly_ever_compared() -> None:
    places, compared = found(list(range(20_000)), batch=500)

    assert [-1] * 20_000 == places
    assert compared < 10


def test_the_table_takes_8_bytes_a_record() -> None:
    count = 400_000

    def work() -> None:
        same = SameContents(count, lambda rows, _: np.zeros(len(rows), np.bool_))
        hashes = np.arange(4000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        for first in range(0, count, len(hashes)):
            same.add(first, hashes + np.uint64(first))

    assert peak_bytes(work) < 8 * count + 2_000_000

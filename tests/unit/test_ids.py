"""Ids that are missing at damage: told only where all others count up by one, and the lost records had room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import image_payload, write_rec

from im2rec.format.recordio import encode_record
from im2rec.inspection.ids import missing_ids, missing_text
from im2rec.inspection.report import MissingIds
from im2rec.inspection.survey import survey
from im2rec.storage.damaged_range import DamagedRange


def at(records_before: int, size: int = 10_000) -> DamagedRange:
    return DamagedRange(0, size, records_before, "")


def found(ids: list[int], *damage: DamagedRange, count: int | None = None) -> MissingIds | None:
    return missing_ids(np.array(ids, np.uint64), damage, len(damage) if count is None else count)


def test_ids_that_are_missing_at_damage_are_counted() -> None:
    ids = [*range(100, 110), *range(112, 120), *range(125, 130)]

    assert MissingIds(2, 110, 111) == found(ids[:18], at(10))
    assert MissingIds(7, 110, 124) == found(ids, at(10), at(18))
    assert MissingIds(7, 110, 124) == found(ids, at(4), at(10), at(10), at(18))


UNKNOWN: dict[str, tuple[list[int], list[DamagedRange]]] = {
    "no damage": ([0, 1, 2, 5, 6], []),
    "no gap": ([0, 1, 2, 3, 4], [at(3)]),
    "a gap elsewhere": ([0, 1, 2, 5, 6, 8, 9, 10], [at(3)]),
    "ids that fall": ([0, 1, 2, 5, 6, 4], [at(3)]),
    "ids that fall at the damage": ([10, 11, 12, 3, 4, 5], [at(3)]),
    "an id twice": ([0, 1, 1, 5, 6, 7], [at(3)]),
    "all ids the same": ([0] * 6, [at(3)]),
    "the highest id and then the lowest": ([2**64 - 2, 2**64 - 1, 0, 1, 4, 5], [at(2), at(4)]),
    "damage at the start": ([3, 4, 7, 8, 9, 10], [at(0), at(2)]),
    "damage at the end": ([3, 4, 7, 8, 9, 10], [at(2), at(6)]),
    "no room for so many": ([0, 1, 2, 6, 7, 8], [at(3, 3 * 32 - 1)]),
    "two ids": ([0, 5], [at(1)]),
    "no records": ([], [at(0)]),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_nothing_is_said_where_ids_do_not_tell(case: str) -> None:
    ids, damage = UNKNOWN[case]
    assert found(ids, *damage) is None


def test_nothing_is_said_where_not_all_ranges_are_known() -> None:
    assert found([0, 1, 2, 5, 6, 7], at(3)) is not None
    assert found([0, 1, 2, 5, 6, 7], at(3), count=2) is None


def test_as_many_ids_as_had_room_may_be_missing() -> None:
    assert MissingIds(3, 3, 5) == found([0, 1, 2, 6, 7, 8], at(3, 3 * 32))


def test_missing_ids_are_named() -> None:
    assert "probably 1, as id 7 is missing" == missing_text(MissingIds(1, 7, 7))
    assert "probably 2, as ids 7 to 8 are missing" == missing_text(MissingIds(2, 7, 8))
    assert "probably 2, as so many ids from 7 to 99 are missing" == missing_text(MissingIds(2, 7, 99))


def test_an_index_that_tells_what_is_lost_needs_no_ids(tmp_path: Path) -> None:
    frames = [encode_record(image_payload(n, 1.0, b"BM" * 50)) for n in range(8)]
    rec = write_rec(tmp_path / "a.rec", [image_payload(n, 1.0, b"BM" * 50) for n in range(8)])
    rec.write_bytes(b"".join([*frames[:4], bytes(2 * len(frames[0])), *frames[6:]]))

    assert (2, None) == (survey(rec).lost, survey(rec).missing_ids)
    without = survey(rec, index=False)
    assert (None, MissingIds(2, 4, 5)) == (without.lost, without.missing_ids)
    rec.with_suffix(".idx").write_text("0\t4\n1\t8\n")
    assert MissingIds(2, 4, 5) == survey(rec).missing_ids

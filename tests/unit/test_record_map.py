"""Where the records of a file are, by a scan and by an index, damaged files included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import bounds, image_payload, joined

from im2rec.format.recordio import encode_record
from im2rec.storage.files import InputFile
from im2rec.storage.record_map import map_by_scan, whole_offsets

ONE, TWO = encode_record(b"one"), encode_record(b"second!!")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.rec"


def test_the_offsets_of_whole_records_skip_damage(path: Path) -> None:
    path.write_bytes(ONE + b"GARBAGE!" + ONE + TWO)
    with InputFile(path) as file:
        assert [0, 20, 32] == whole_offsets(file, None).tolist()


def test_the_error_of_damage_has_path_ordinal_and_what_to_do(path: Path) -> None:
    path.write_bytes(ONE + b"GARBAGE!")
    for skip in (False, True):
        with InputFile(path) as file:
            (damage,) = map_by_scan(file, skip=skip, drop_doubtful=False).damage
        problem = "expected the magic 0a 23 d7 ce, found 47 41 52 42"
        assert f"{path}, record 1, byte 12: {problem} (run 'im2rec inspect' on it)" == str(damage.error)


def test_the_keys_of_a_scan_are_ids_or_all_ordinals(path: Path) -> None:
    with_ids = [image_payload(n % 7, content=b"") for n in range(9000)]
    for payloads, keys in ((with_ids, [n % 7 for n in range(9000)]), ([b"short", *with_ids], [*range(9001)])):
        path.write_bytes(joined(payloads))
        with InputFile(path) as file:
            found = map_by_scan(file, skip=False, drop_doubtful=False)
        assert keys == found.keys.tolist()
        assert bounds(payloads)[:-1] == found.offsets.tolist()
        assert (np.uint64, np.int64) == (found.keys.dtype, found.offsets.dtype)
        assert (path.stat().st_size, None) == (found.end, found.stops)

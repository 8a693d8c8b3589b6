"""``inspect --verify`` with a digest beside the file: what changed, and which records that touches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import bounds, image_payload, joined, write_rec
from image_helpers import Ran, encoded, im2rec, texture

from im2rec.format.digestfile import MIN_BLOCK_BYTES, encode_digest
from im2rec.inspection.digest_check import check_digest
from im2rec.storage.digest import make_digest

pytestmark = pytest.mark.usefixtures("here")

PAYLOADS = [image_payload(100 + n, n % 3, encoded(texture(60, 60, seed=n), "PNG")) for n in range(12)]
DATA = joined(PAYLOADS)
STARTS = bounds(PAYLOADS)
BLOCK = MIN_BLOCK_BYTES


def small_digest(path: Path) -> None:
    """Write the digest of *path* in blocks of 4 KiB, of which its 12 records fill many."""
    digest = make_digest(path, block_bytes=BLOCK)
    path.with_name(path.name + ".digest").write_bytes(encode_digest(digest))


def hashed_rec(folder: Path) -> Path:
    path = write_rec(folder / "a.rec", PAYLOADS, keys=range(100, 112))
    small_digest(path)
    return path


def verified(words: tuple[str, ...] = ()) -> tuple[Ran, dict[str, Any]]:
    """Run ``inspect a.rec --verify``; return what it printed, and the object on the digest with ``--json``."""
    done = im2rec("inspect", "a.rec", "--verify", "--workers", 1, *words)
    found = im2rec("inspect", "a.rec", "--verify", "--workers", 1, "--json", *words)
    assert done.code == found.code
    check: dict[str, Any] = json.loads(found.out)["digest_check"]
    return done, check


def row(done: Ran, name: str) -> str:
    """The rows called *name*, with continued lines, as one text."""
    values, wanted = [], False
    for line in done.out.splitlines()[1:]:
        wanted = line.startswith(f"  {name} ") or (wanted and line.startswith("   "))
        values += [line.strip().removeprefix(name).strip()] if wanted else []
    return " ".join(values)


def test_without_a_digest_verify_says_what_it_cannot_know(here: Path) -> None:
    write_rec(here / "a.rec", PAYLOADS)
    done, check = verified()

    assert (0, "none", None) == (done.code, check["state"], check["path"])
    assert "none: --verify finds what does not decode, not changed pixels" == row(done, "digest")
    assert "digest" not in im2rec("inspect", "a.rec").out


def test_a_file_that_agrees_with_its_digest_is_said_to_be_unchanged(here: Path) -> None:
    hashed_rec(here)
    done, check = verified()

    assert (0, "a.rec.digest: every byte agrees") == (done.code, row(done, "digest"))
    assert ("agrees", len(DATA), 12, 0, []) == tuple(
        check[key] for key in ("state", "size", "records", "damaged_bytes", "changed")
    )


@pytest.mark.parametrize("place", [BLOCK - 1, BLOCK, 3 * BLOCK + 77, len(DATA) - 8])
def test_a_changed_byte_is_found_with_its_block_and_all_records_in_that(here: Path, place: int) -> None:
    path = hashed_rec(here)
    data = bytearray(DATA)
    data[place] ^= 1
    path.write_bytes(data)
    done, check = verified(("--no-idx",))
    start, end = place // BLOCK * BLOCK, min(place // BLOCK * BLOCK + BLOCK, len(DATA))
    inside = [n for n in range(12) if STARTS[n] < end and STARTS[n + 1] > start]

    assert 5 == done.code
    assert "changed" == check["state"]
    assert [(start, end)] == [(part["start"], part["end"]) for part in check["changed"]]
    found = check["changed"][0]
    assert (inside[0], inside[-1], len(inside)) == (found["first_record"], found["last_record"], found["records"])
    assert [100 + n for n in inside] == found["first_ids"]
    assert f"CHANGED, {check['changed_bytes'] / 1000:.3g} kB in 1 range" in row(done, "digest")
    shown = f"records {inside[0]} to {inside[-1]}" if len(inside) > 1 else f"record {inside[0]}"
    assert row(done, "changed").startswith(f"bytes {start} to {end}: {shown}, id {found['first_ids'][0]}")


def test_a_changed_block_may_hold_no_whole_record(here: Path) -> None:
    path = hashed_rec(here)
    path.write_bytes(b"!" + DATA[1:])
    done, check = verified(("--no-idx",))

    assert 5 == done.code
    assert f"bytes 0 to {BLOCK}: no whole record" == row(done, "changed")
    assert (0, None, None, []) == tuple(
        check["changed"][0][key] for key in ("records", "first_record", "last_record", "first_ids")
    )


def test_changed_pixels_that_decode_are_found(here: Path) -> None:
    payloads = [image_payload(n, 1, encoded(texture(60, 60, seed=n), "BMP")) for n in range(6)]
    path = write_rec(here / "a.rec", payloads)
    small_digest(path)
    data = bytearray(joined(payloads))
    data[bounds(payloads)[3] + 2000] ^= 255
    path.write_bytes(data)
    done, check = verified()

    assert "6 images; 0 failures" == row(done, "decoded")
    assert (5, "changed") == (done.code, check["state"])
    assert 3 in range(check["changed"][0]["first_record"], check["changed"][0]["last_record"] + 1)


def test_neighbouring_blocks_are_one_range_and_many_ranges_are_shortened(here: Path) -> None:
    path = hashed_rec(here)
    data = bytearray(DATA)
    blocks = [0, 1, 3, 4, 6, 8, 10]
    for block in blocks:
        data[block * BLOCK + 2000] ^= 1
    path.write_bytes(data)
    done, check = verified()

    starts = [block * BLOCK for block in (0, 3, 6, 8, 10)]
    assert starts == [part["start"] for part in check["changed"]]
    assert [2 * BLOCK, 2 * BLOCK, BLOCK, BLOCK, BLOCK] == [p["end"] - p["start"] for p in check["changed"]]
    assert len(blocks) * BLOCK == check["changed_bytes"]
    assert "2 changed ranges; --json lists all" in row(done, "more")
    assert len(done.out.splitlines()) <= 24


def test_a_file_of_another_size_is_told_by_its_digest(here: Path) -> None:
    path = hashed_rec(here)
    path.write_bytes(DATA + joined(PAYLOADS[:1]))
    done, check = verified(("--no-idx",))
    assert (5, "changed") == (done.code, check["state"])
    more = STARTS[1]
    problem = f"the file has {len(DATA) + more:,} bytes, {more:,} bytes more than the digest says"
    assert problem == check["problem"]
    assert problem in row(done, "digest")
    assert (len(DATA), len(DATA) + more, 12, 12) == tuple(
        check["changed"][-1][key] for key in ("start", "end", "first_record", "last_record")
    )

    path.write_bytes(DATA[: STARTS[6]])
    done, check = verified(("--no-idx",))
    assert (5, "changed") == (done.code, check["state"])
    assert f"{len(DATA) - STARTS[6]:,} bytes fewer than the digest says" in row(done, "digest")
    assert STARTS[6] == check["changed"][-1]["end"]

    path.write_bytes(DATA[: STARTS[6] // BLOCK * BLOCK])
    done, check = verified(("--no-idx",))
    assert (5, "changed", []) == (done.code, check["state"], check["changed"])


def test_bytes_that_were_added_or_removed_change_their_block_only(here: Path) -> None:
    path = hashed_rec(here)
    place, count = 5 * BLOCK + 100, -(-len(DATA) // BLOCK)
    for data, start, end in (
        (DATA[:place] + bytes(8) + DATA[place:], 5 * BLOCK, 6 * BLOCK + 8),
        (DATA[:place] + DATA[place + 8 :], 5 * BLOCK, 6 * BLOCK - 8),
        (bytes(8) + DATA, 0, 8),
    ):
        path.write_bytes(data)
        done, check = verified(("--no-idx",))
        moved = count - 6 if start else count
        assert (5, "changed", moved) == (done.code, check["state"], check["moved_blocks"])
        assert [(start, end)] == [(part["start"], part["end"]) for part in check["changed"]]
        assert f"than the digest says; {moved} blocks moved" in row(done, "digest")


def test_whole_blocks_that_were_removed_leave_no_changed_bytes(here: Path) -> None:
    path = hashed_rec(here)
    path.write_bytes(DATA[: 4 * BLOCK] + DATA[6 * BLOCK :])
    done, check = verified(("--no-idx",))

    assert (5, "changed", []) == (done.code, check["state"], check["changed"])
    assert f"CHANGED: the file has {len(DATA) - 2 * BLOCK:,} bytes, 8,192 bytes fewer" in row(done, "digest")


def test_a_digest_of_another_file_or_none_that_can_be_read_is_wrong_and_not_the_file(here: Path) -> None:
    path = hashed_rec(here)
    others = [image_payload(100 + n, n, encoded(texture(60, 60, seed=50 + n), "PNG")) for n in range(12)]
    write_rec(path, others)
    done, check = verified()
    assert (3, "other file", []) == (done.code, check["state"], check["changed"])
    assert check["problem"].endswith("agrees: the digest is probably that of another file")
    assert row(done, "digest").startswith("a.rec.digest: WRONG: ")

    (here / "a.rec.digest").write_bytes(b"text")
    done, check = verified()
    problem = "line 1: expected 'im2rec digest 1', found 'text' (it is no digest)"
    assert (3, "wrong", problem) == (done.code, check["state"], check["problem"])
    assert f"a.rec.digest: WRONG: {problem}" == row(done, "digest")


def test_a_digest_of_a_damaged_file_is_named_as_one(here: Path) -> None:
    (here / "a.rec").write_bytes(DATA[:-8])
    small_digest(here / "a.rec")
    done, check = verified()

    assert (5, "agrees") == (done.code, check["state"])
    assert check["damaged_bytes"] == STARTS[12] - STARTS[11] - 8
    assert "a.rec.digest, of a file that was damaged already: every byte agrees" == row(done, "digest")


def test_records_without_image_headers_have_no_ids_and_split_records_their_whole_range(here: Path) -> None:
    magic = b"\x0a\x23\xd7\xce"
    rng = np.random.default_rng(0)
    payloads = [b"short"] * 300 + [rng.bytes(4000) + magic + rng.bytes(4000) + magic * 3 + rng.bytes(2000)] * 3
    path = write_rec(here / "a.rec", payloads, index=False)
    small_digest(path)
    data = bytearray(joined(payloads))
    data[bounds(payloads)[-1] - 1] ^= 1
    path.write_bytes(data)
    check = check_digest(path)

    assert [(302, 302)] == [(part.first_record, part.last_record) for part in check.changed]
    data = bytearray(joined(payloads))
    data[100] ^= 1
    path.write_bytes(data)
    check = check_digest(path)
    assert [(0, BLOCK // 16 - 1, [])] == [(p.first_record, p.last_record, p.first_ids) for p in check.changed]

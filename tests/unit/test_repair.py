"""Repair by a digest: each block from whichever copy has it right, and what neither has is named."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, joined, message_of
from image_helpers import left_in, names_in

from im2rec.errors import InputError, OutputError
from im2rec.format.digestfile import MIN_BLOCK_BYTES, encode_digest
from im2rec.recovery import repair as repair_module
from im2rec.recovery.repair import ByteRange, RepairSummary, repair
from im2rec.storage import disk
from im2rec.storage.digest import load_digest, make_digest
from im2rec.storage.files import InputFile

BLOCK = 4 * MIN_BLOCK_BYTES
DATA = joined([image_payload(n, n, np.random.default_rng(n).bytes(7000)) for n in range(30)])
BLOCKS = -(-len(DATA) // BLOCK)


def flipped(*places: int, data: bytes = DATA) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 0x55
    return bytes(changed)


@pytest.fixture(autouse=True)
def digest(tmp_path: Path) -> Path:
    """The digest of DATA in small blocks, as ``a.rec.digest``."""
    (tmp_path / "whole").write_bytes(DATA)
    text = encode_digest(make_digest(tmp_path / "whole", block_bytes=BLOCK))
    (tmp_path / "whole").unlink()
    path = tmp_path / "a.rec.digest"
    path.write_bytes(text)
    return path


def repaired(folder: Path, mine: bytes, other: bytes, **options: Any) -> tuple[RepairSummary, bytes]:
    """Repair files of these bytes; return the result and the bytes of the output."""
    (folder / "a.rec").write_bytes(mine)
    (folder / "b.rec").write_bytes(other)
    result = repair(folder / "a.rec", folder / "b.rec", folder / "out.rec", force=True, **options)
    assert result.good_blocks + result.repaired_blocks + result.bad_blocks == result.blocks == BLOCKS
    return result, (folder / "out.rec").read_bytes()


def digest_free(path: Path) -> Path:
    """Write DATA to *path*, which has no digest beside it."""
    path.write_bytes(DATA)
    return path


def ranges(*blocks: int) -> list[ByteRange]:
    return [ByteRange(block * BLOCK, min((block + 1) * BLOCK, len(DATA))) for block in blocks]


CASES: dict[str, tuple[bytes, bytes, int]] = {  # input, second copy, blocks that are repaired
    "a whole file": (DATA, flipped(5), 0),
    "one byte": (flipped(BLOCK + 7), DATA, 1),
    "other blocks in both": (flipped(5, 9 * BLOCK), flipped(BLOCK, 8 * BLOCK - 1), 2),
    "everything": (b"", DATA, BLOCKS),
    "a second copy that is cut": (flipped(BLOCK), DATA[: 2 * BLOCK], 1),
    "a second copy that is longer": (flipped(BLOCK), DATA + b"more", 1),
    "a cut file": (DATA[:-5], DATA, 1),
    "a longer file": (DATA + bytes(1000), b"", 0),
    "bytes that were removed in the second copy": (flipped(6 * BLOCK), DATA[:50] + DATA[90:], 1),
    "bytes that were inserted in the input": (
        DATA[: 3 * BLOCK + 9] + b"!" + DATA[3 * BLOCK + 9 :],
        DATA[: 4 * BLOCK],
        10,
    ),
    "bytes that were removed at the start of both": (DATA[7:], DATA[:BLOCK], BLOCKS),
    "other sectors of one block": (flipped(2 * BLOCK + 9, 2 * BLOCK + 9000), flipped(2 * BLOCK + 5000), 1),
    "the last, short block of both": (flipped(len(DATA) - 1), flipped(len(DATA) - 5000), 1),
}


@pytest.mark.parametrize("case", CASES)
def test_what_either_copy_has_right_is_put_together(tmp_path: Path, case: str) -> None:
    mine, other, count = CASES[case]
    result, out = repaired(tmp_path, mine, other)

    assert (DATA, count, [], 0) == (out, result.repaired_blocks, result.bad_ranges, result.bad_blocks)
    assert (len(DATA), 30, len(DATA)) == (result.size, result.records, result.bytes_out)
    assert load_digest(tmp_path / "a.rec.digest") == load_digest(tmp_path / "out.rec.digest")
    assert [str(tmp_path / name) for name in ("out.rec", "out.rec.digest")] == result.files


def test_what_neither_copy_has_right_is_listed_and_filled_from_both(tmp_path: Path) -> None:
    both = flipped(BLOCK + 5, 2 * BLOCK + 5, 4 * BLOCK)
    result, out = repaired(tmp_path, both, both)
    assert both == out
    assert [ByteRange(BLOCK, 3 * BLOCK), *ranges(4)] == result.bad_ranges
    assert (3, BLOCKS - 3, []) == (result.bad_blocks, result.good_blocks, result.repaired_ranges)
    assert load_digest(tmp_path / "a.rec.digest") == load_digest(tmp_path / "out.rec.digest")
    third = repair(tmp_path / "out.rec", digest_free(tmp_path / "c.rec"), tmp_path / "third.rec")
    assert (DATA, 3) == ((tmp_path / "third.rec").read_bytes(), third.repaired_blocks)

    result, out = repaired(tmp_path, DATA[: 2 * BLOCK - 90], DATA[: 2 * BLOCK - 10])
    assert DATA[: 2 * BLOCK - 10] + bytes(len(DATA) - 2 * BLOCK + 10) == out
    assert [ByteRange(BLOCK, len(DATA))] == result.bad_ranges


def test_repaired_blocks_are_listed_as_ranges(tmp_path: Path) -> None:
    result, _ = repaired(tmp_path, flipped(0, BLOCK, 3 * BLOCK), DATA)

    assert [ByteRange(0, 2 * BLOCK), *ranges(3)] == result.repaired_ranges


def test_a_block_that_differs_in_many_places_is_not_put_together(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(repair_module, "_SECTOR_BYTES", 64)
    for count, bad in ((4, 0), (5, 1)):
        places = [BLOCK + 200 * n for n in range(2 * count)]
        result, out = repaired(tmp_path, flipped(*places[:count]), flipped(*places[count:]))
        assert (bad, bad == 0) == (result.bad_blocks, out == DATA)


def test_any_damage_to_two_copies_is_repaired_or_named(tmp_path: Path) -> None:
    rng = random.Random(0)
    for _ in range(40):
        copies = []
        for _ in range(2):
            data = flipped(*(rng.randrange(len(DATA)) for _ in range(rng.randrange(4))))
            cut = rng.choice([len(data), rng.randrange(len(data))])
            extra = rng.choice([b"", rng.randbytes(rng.randrange(50))])
            copies.append(data[:cut] + extra + data[cut:] if rng.random() < 0.5 else data[:cut])
        result, out = repaired(tmp_path, *copies)

        assert len(DATA) == len(out)
        bad = [block for part in result.bad_ranges for block in range(part.start // BLOCK, -(-part.end // BLOCK))]
        wrong = [n for n in range(BLOCKS) if out[n * BLOCK : n * BLOCK + BLOCK] != DATA[n * BLOCK : n * BLOCK + BLOCK]]
        assert wrong == bad
        assert result.bad_blocks == len(bad)


def test_bytes_that_the_disk_cannot_read_are_taken_from_the_other_copy(tmp_path: Path, monkeypatch: Any) -> None:
    real = InputFile.read_at

    def read_at(file: InputFile, offset: int, size: int) -> bytes:
        if file.path.name == "a.rec" and offset < 5 * BLOCK + 10 < offset + size:
            raise InputError("cannot be read: input/output error", path=file.path)
        return real(file, offset, size)

    monkeypatch.setattr(InputFile, "read_at", read_at)
    result, out = repaired(tmp_path, DATA, DATA)
    assert (DATA, ranges(5)) == (out, result.repaired_ranges)

    result, out = repaired(tmp_path, DATA, DATA[: 5 * BLOCK])
    sector = 5 * BLOCK
    assert DATA[:sector] + bytes(4096) + DATA[sector + 4096 :] == out
    assert ranges(5) == result.bad_ranges


def test_the_digest_is_the_given_one_or_that_beside_either_copy(tmp_path: Path, digest: Path) -> None:
    for name in ("b.rec.digest", "elsewhere"):
        digest = digest.rename(tmp_path / name)
        options = {"digest": digest} if name == "elsewhere" else {}
        result, out = repaired(tmp_path, flipped(5), DATA, **options)
        assert (DATA, str(digest)) == (out, result.digest)

    (tmp_path / "out.rec.digest").unlink()
    problem = f"has no digest beside it, by which its good blocks are known, and neither has {tmp_path / 'b.rec'}"
    hint = "on a copy that is whole 'im2rec digest' makes one; name it a.rec.digest"
    paths = [tmp_path / name for name in ("a.rec", "b.rec", "new.rec")]
    assert f"{paths[0]}: {problem} ({hint})" == message_of(repair, *paths)
    assert not paths[2].exists()


def test_a_digest_that_cannot_be_read_is_an_error(tmp_path: Path, digest: Path) -> None:
    digest.write_bytes(b"text")
    message = f"{digest}, line 1: expected 'im2rec digest 1', found 'text' (it is no digest)"
    assert message == message_of(repaired, tmp_path, DATA, DATA)


def test_a_copy_is_never_replaced_nor_anything_else_without_force(tmp_path: Path) -> None:
    repaired(tmp_path, flipped(5), DATA)
    copies = [tmp_path / "a.rec", tmp_path / "b.rec"]
    taken = f"{tmp_path / 'a.rec.digest'}: is the input itself (choose another name for the output)"
    (tmp_path / "x.rec").write_bytes(DATA)
    digest = (tmp_path / "a.rec.digest").rename(tmp_path / "x.rec.digest")
    assert taken.replace("a.rec", "x.rec") == message_of(repair, *copies, tmp_path / "x.rec", digest=digest, force=True)
    digest.rename(tmp_path / "a.rec.digest")
    for path in (*copies, tmp_path / "a.rec.digest"):
        message = f"{path}: is the input itself (choose another name for the output)"
        assert message == message_of(repair, *copies, path, force=True)
    for name in ("out.rec", "new.idx", "new.rec.digest"):
        (tmp_path / name).touch()
        out = tmp_path / ("out.rec" if name == "out.rec" else "new.rec")
        expected = f"{tmp_path / name}: exists already (replace it with force=True, or choose another name)"
        assert expected == message_of(repair, *copies, out)
        (tmp_path / name).unlink()


def test_an_old_index_and_digest_go_with_the_file_that_is_replaced(tmp_path: Path) -> None:
    for name in ("out.rec", "out.idx", "out.rec.digest"):
        (tmp_path / name).write_bytes(b"old")
    repaired(tmp_path, flipped(5), flipped(5))

    assert ["a.rec", "a.rec.digest", "b.rec", "out.rec", "out.rec.digest"] == names_in(tmp_path)
    assert 30 == load_digest(tmp_path / "out.rec.digest").records


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.rec").write_bytes(b"old")
    (tmp_path / "out.idx").write_bytes(b"old")
    result, out = repaired(tmp_path, flipped(5, BLOCK), DATA[:BLOCK], dry_run=True)

    assert (b"old", 0, ranges(0), ranges(1)) == (out, result.bytes_out, result.repaired_ranges, result.bad_ranges)
    assert ["a.rec", "a.rec.digest", "b.rec", "out.idx", "out.rec"] == names_in(tmp_path)


def test_a_run_that_is_interrupted_or_fails_leaves_the_old_files(tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("out.rec", "out.idx", "out.rec.digest"):
        (tmp_path / name).write_bytes(b"old")

    def interrupt(blocks: int, _share: float) -> None:
        if blocks == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repaired(tmp_path, flipped(5), DATA, progress=interrupt)

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OutputError, match="no space left on device"):
        repaired(tmp_path, flipped(5), DATA)
    assert [b"old"] * 3 == [(tmp_path / name).read_bytes() for name in ("out.rec", "out.idx", "out.rec.digest")]
    assert [] == left_in(tmp_path)


def test_progress_is_the_number_of_blocks_and_their_share(tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []
    repaired(tmp_path, DATA, DATA, progress=lambda *done: seen.append(done))

    assert [(n + 1, (n + 1) / BLOCKS) for n in range(BLOCKS)] == seen


def test_a_digest_that_cannot_have_its_name_is_named_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: Any
) -> None:
    real = disk.replace

    def replace(source: Path, target: Path) -> None:
        if target.name == "out.rec.digest":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(disk, "replace", replace)
    with pytest.raises(OutputError) as caught:
        repaired(tmp_path, DATA, DATA)
    out = tmp_path / "out.rec"
    expected = f"{out} is complete, and out.rec.digest is missing beside it; 'im2rec digest' makes one"
    assert f"{out}.digest: cannot be written: no space left on device ({expected})" == str(caught.value)
    assert DATA == out.read_bytes()

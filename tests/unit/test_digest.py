"""Digests of files: hashed in order whatever the pieces, counted on the way, found by name, compared block by block."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, joined, message_of, write_rec
from image_helpers import names_in

from im2rec.errors import InputError, OutputError
from im2rec.format.digestfile import BLOCK_BYTES, FileDigest, encode_digest
from im2rec.storage import digest as digest_module
from im2rec.storage.digest import Hasher, digest_path, find_blocks, find_digest, load_digest, make_digest, write_digest
from im2rec.storage.files import InputFile

BLOCK = 4096
PAYLOADS = [image_payload(n, n % 3, np.random.default_rng(n).bytes(300 * n)) for n in range(20)]
DATA = joined(PAYLOADS)


def expected_digest(data: bytes, records: int, damaged: int = 0, block: int = BLOCK) -> FileDigest:
    blocks = tuple(hashlib.sha256(data[at : at + block]).digest() for at in range(0, len(data), block))
    return FileDigest(len(data), records, damaged, hashlib.sha256(data).digest(), blocks, block)


def digest_of(path: Path, **options: Any) -> FileDigest:
    return make_digest(path, **{"block_bytes": BLOCK, **options})


@pytest.mark.parametrize("pieces", [1, 7, 4095, 4096, 4097, 50_000, 1 << 20])
def test_bytes_are_hashed_the_same_whatever_the_pieces_they_come_in(pieces: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(digest_module, "_PIECE_BYTES", 5000)
    data = DATA[: 4 * BLOCK] if pieces < 100 else DATA
    with Hasher(BLOCK) as hasher:
        for start in range(0, len(data), pieces):
            hasher.update(data[start : start + pieces])
        assert expected_digest(data, 3, 5) == hasher.finish(3, 5)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_the_last_block_ends_with_the_file(size: int) -> None:
    with Hasher(BLOCK) as hasher:
        hasher.update(DATA[:size])
        assert expected_digest(DATA[:size], 0) == hasher.finish(0)


def test_hashing_goes_on_in_other_threads_and_they_end_with_the_hasher(monkeypatch: Any) -> None:
    threads = []
    real = digest_module._update

    def update(hashes: Any, piece: bytes) -> None:
        threads.append(threading.current_thread())
        real(hashes, piece)

    monkeypatch.setattr(digest_module, "_update", update)
    with Hasher() as hasher:
        hasher.update(bytes(3 << 20))
        hasher.finish(0)

    assert 2 == len(set(threads))
    assert threading.current_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize(("size", "most"), [(10, 390), (70, 350), (1000, 0)])
def test_what_waits_to_be_hashed_is_bounded_in_bytes(monkeypatch: Any, size: int, most: int) -> None:
    monkeypatch.setattr(digest_module, "_PIECE_BYTES", 10)
    monkeypatch.setattr(digest_module, "_AHEAD_BYTES", 200)
    waiting = []
    with Hasher() as hasher:
        for _ in range(100):
            hasher.update(bytes(size))
            waiting.append(sum(piece for _, piece in hasher._jobs))
        assert 100 * size == hasher.finish(0).size

    assert most == max(waiting)


def test_an_error_of_a_thread_is_raised_by_the_hasher(monkeypatch: Any) -> None:
    def fail(_hashes: Any, _piece: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(digest_module, "_update", fail)
    with Hasher() as hasher:
        hasher.update(b"data")
        with pytest.raises(MemoryError):
            hasher.finish(0)


def test_a_file_is_hashed_and_its_records_are_counted(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", PAYLOADS)
    shares: list[tuple[int, float]] = []

    assert expected_digest(DATA, 20) == digest_of(path, progress=lambda *done: shares.append(done))
    assert 1.0 == shares[-1][1]
    assert shares == sorted(shares)


def test_the_digest_of_a_damaged_file_has_the_bytes_in_no_record(tmp_path: Path) -> None:
    for damaged, records, lost in (
        (DATA[:-10], 19, len(joined(PAYLOADS[-1:])) - 10),
        (b"????" + DATA[4:], 19, len(joined(PAYLOADS[:1]))),
        (bytes(100) + DATA, 20, 100),
    ):
        (tmp_path / "a.rec").write_bytes(damaged)
        assert expected_digest(damaged, records, lost) == digest_of(tmp_path / "a.rec")


def test_a_file_is_read_from_its_start_to_its_end_and_what_is_scanned_was_read_before(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(digest_module, "_PIECE_BYTES", 1000)
    monkeypatch.setattr(digest_module, "_WARM_BYTES", 0)
    path = write_rec(tmp_path / "a.rec", PAYLOADS)
    hashing, reads = digest_module._HashingFile, []
    real = InputFile.read_at

    def read_at(file: InputFile, offset: int, size: int) -> bytes:
        if isinstance(file, hashing):
            reads.append((offset, min(offset + size, len(DATA))))
        return real(file, offset, size)

    monkeypatch.setattr(InputFile, "read_at", read_at)
    assert expected_digest(DATA, 20) == digest_of(path)
    reached = 0
    for start, end in reads:
        if start == reached:
            reached = end
        assert end <= reached
    assert len(DATA) == reached


def test_a_file_that_is_cut_while_it_is_hashed_is_an_error(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_rec(tmp_path / "a.rec", PAYLOADS, index=False)
    real = digest_module.scan_all

    def cut_first(*args: Any, **options: Any) -> Any:
        os.truncate(path, 5000)
        return real(*args, **options)

    monkeypatch.setattr(digest_module, "scan_all", cut_first)
    message = f"{path}: had {len(DATA):,} bytes when it was opened, and now ends at 5,000"
    assert f"{message} (wait until it is written, and begin again)" == message_of(make_digest, path)


def test_the_digest_has_the_name_of_the_file_with_a_suffix(tmp_path: Path) -> None:
    assert Path("folder/train.rec.digest") == digest_path("folder/train.rec")
    assert Path("out.rec.part000.digest") == digest_path(Path("out.rec.part000"))
    assert find_digest(tmp_path / "a.rec") is None
    (tmp_path / "a.rec.digest").mkdir()
    assert find_digest(tmp_path / "a.rec") is None
    (tmp_path / "b.rec.digest").touch()
    assert tmp_path / "b.rec.digest" == find_digest(str(tmp_path / "b.rec"))


def test_a_digest_is_written_beside_the_file_as_sha256sum_and_read_again(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", PAYLOADS)
    summary = write_digest(path)

    assert ["a.idx", "a.rec", "a.rec.digest"] == names_in(tmp_path)
    assert expected_digest(DATA, 20, block=BLOCK_BYTES) == load_digest(path.with_name("a.rec.digest"))
    assert (hashlib.sha256(DATA).hexdigest(), 20, 0, 1, len(DATA)) == (
        summary.sha256,
        summary.records,
        summary.damaged_bytes,
        summary.blocks,
        summary.size,
    )
    assert [str(tmp_path / "a.rec.digest")] == summary.files


def test_an_existing_digest_is_replaced_by_force_only_and_the_file_itself_never(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", PAYLOADS, index=False)
    (tmp_path / "link").hardlink_to(path)
    (tmp_path / "a.rec.digest").write_bytes(b"old")
    message = f"{tmp_path / 'a.rec.digest'}: exists already (replace it with force=True, or choose another name)"
    assert message == message_of(write_digest, path)
    for name in ("a.rec", "link"):
        message = f"{tmp_path / name}: is the input itself (choose another name for the output)"
        assert message == message_of(write_digest, path, tmp_path / name, force=True)
    write_digest(path, dry_run=True, force=True)
    assert [b"old", DATA] == [(tmp_path / name).read_bytes() for name in ("a.rec.digest", "a.rec")]

    write_digest(path, force=True)
    assert expected_digest(DATA, 20, block=BLOCK_BYTES) == load_digest(tmp_path / "a.rec.digest")


def test_a_digest_that_cannot_be_read_is_an_error_with_its_path(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.rec.digest"
    with pytest.raises(InputError, match="cannot be read: no such file"):
        load_digest(path)
    path.write_bytes(b"im2rec digest 1\nsize x\n")
    assert f"{path}: ends before its sixth line is complete (it was cut short)" == message_of(load_digest, path)
    path.write_bytes(b"0\t0\n")
    assert f"{path}, line 1: expected 'im2rec digest 1', found '0\\t0' (it is no digest)" == message_of(
        load_digest, path
    )
    monkeypatch.setattr(digest_module, "MAX_DIGEST_BYTES", 3)
    with pytest.raises(InputError, match="has 4 bytes, more than 3"):
        load_digest(path)


def test_blocks_are_found_in_their_place_or_as_far_from_the_end(tmp_path: Path) -> None:
    digest = expected_digest(DATA, 20)
    count = len(digest.blocks)
    starts: list[int | None] = [number * BLOCK for number in range(count)]
    middle = 3 * BLOCK + 5
    cases: dict[bytes, list[int | None]] = {
        DATA: starts,
        DATA + b"more": starts,
        DATA[:-1]: [*starts[:-1], None],
        DATA[: 2 * BLOCK]: [*starts[:2], *[None] * (count - 2)],
        b"": [None] * count,
        DATA[:BLOCK] + b"!" + DATA[BLOCK + 1 :]: [0, None, *starts[2:]],
        b"!" + DATA: [number * BLOCK + 1 for number in range(count)],
        DATA[:middle] + b"!!" + DATA[middle:]: [*starts[:3], None, *(n * BLOCK + 2 for n in range(4, count))],
        DATA[:middle] + DATA[middle + 7 :]: [*starts[:3], None, *(n * BLOCK - 7 for n in range(4, count))],
        DATA[BLOCK:]: [None, *(n * BLOCK - BLOCK for n in range(1, count))],
    }
    for data, expected in cases.items():
        (tmp_path / "a").write_bytes(data)
        done: list[tuple[int, float]] = []
        with InputFile(tmp_path / "a") as file:
            found = list(find_blocks(file, digest, progress=lambda *args, done=done: done.append(args)))
        assert expected == found
        assert [(n + 1, (n + 1) / count) for n in range(count)] == done


def test_a_full_disk_leaves_no_half_digest(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_rec(tmp_path / "a.rec", PAYLOADS, index=False)

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OutputError, match="no space left on device"):
        write_digest(path)
    assert ["a.rec"] == names_in(tmp_path)


def test_a_digest_that_encodes_is_what_is_in_the_file(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", PAYLOADS, index=False)
    write_digest(path, tmp_path / "elsewhere")

    assert encode_digest(expected_digest(DATA, 20, block=BLOCK_BYTES)) == (tmp_path / "elsewhere").read_bytes()
    assert find_digest(path) is None

"""Verification files that are made from lists of pairs."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from helpers import message_of
from image_helpers import left_in, names_in
from pair_helpers import FACE_ROOT, GOLDEN_BIN, GOLDEN_LISTS, face, labels_list, paired

from im2rec.verification import make
from im2rec.verification.make import make_bin


@pytest.mark.parametrize("path", GOLDEN_LISTS, ids=lambda path: path.name)
def test_each_golden_list_makes_the_golden_file(path: Path, tmp_path: Path) -> None:
    summary = make_bin(path, FACE_ROOT, tmp_path / "o.bin")

    assert GOLDEN_BIN.read_bytes() == (tmp_path / "o.bin").read_bytes()
    assert ["o.bin"] == names_in(tmp_path)
    assert (6, 3, 3, 11, {"JPEG": 11}) == (
        *(summary.pairs, summary.same, summary.different),
        *(summary.images, summary.kinds),
    )
    assert ({"16 x 16": 11}, GOLDEN_BIN.stat().st_size) == (summary.sizes, summary.bytes_out)


def test_a_dry_run_checks_all_and_writes_nothing(tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    before = names_in(tmp_path)
    summary = make_bin(path, root, tmp_path / "o.bin", dry_run=True)

    assert (before, True, 0) == (names_in(tmp_path), summary.dry_run, summary.bytes_out)
    assert sum(file.stat().st_size for file in root.iterdir()) == summary.bytes_in
    (root / "039.jpg").unlink()
    assert "line 20: 039.jpg: no such file" in message_of(make_bin, path, root, tmp_path / "o.bin", dry_run=True)


def test_nothing_is_written_and_nothing_replaced_if_an_image_is_missing(tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    (root / "039.jpg").unlink()
    before = names_in(tmp_path)
    assert "line 20: 039.jpg" in message_of(make_bin, path, root, tmp_path / "o.bin")
    assert before == names_in(tmp_path)

    (tmp_path / "o.bin").write_bytes(b"old")
    assert "line 20: 039.jpg" in message_of(make_bin, path, root, tmp_path / "o.bin", force=True)
    assert b"old" == (tmp_path / "o.bin").read_bytes()


def test_an_existing_file_is_replaced_with_force_alone(tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    (tmp_path / "o.bin").write_bytes(b"old")

    hint = "replace it with force=True, or choose another name"
    assert f"{tmp_path / 'o.bin'}: exists already ({hint})" == message_of(make_bin, path, root, tmp_path / "o.bin")
    make_bin(path, root, tmp_path / "o.bin", force=True)
    assert b"\x80\x04" == (tmp_path / "o.bin").read_bytes()[:2]


def test_an_image_of_the_list_is_never_replaced(tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    image = root / "003.jpg"
    before = image.read_bytes()
    (tmp_path / "link.bin").symlink_to(image)

    for out in (image, root / ".." / "root" / "003.jpg", tmp_path / "link.bin"):
        assert "is an image of the list" in message_of(make_bin, path, root, out, force=True)
        assert "is an image of the list" in message_of(make_bin, path, root, out, force=True, dry_run=True)
    assert before == image.read_bytes()


def test_the_list_itself_is_never_replaced(tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    before = path.read_bytes()

    assert "is the list of pairs itself" in message_of(make_bin, path, root, path, force=True)
    assert before == path.read_bytes()


def test_an_image_that_changes_meanwhile_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, root = paired(tmp_path)
    real = make.read_images

    def read_images(*words: object) -> object:
        found = real(*words)  # type: ignore[arg-type]
        (root / "030.jpg").write_bytes(face(99))
        return found

    monkeypatch.setattr(make, "read_images", read_images)
    assert "030.jpg: was changed while it was read (begin again)" in message_of(
        make_bin, path, root, tmp_path / "o.bin"
    )
    assert [] == left_in(tmp_path)
    assert not (tmp_path / "o.bin").exists()


def test_images_are_not_kept_in_memory(tmp_path: Path) -> None:
    path, root = paired(tmp_path, 100)
    for file in root.iterdir():
        file.write_bytes(file.read_bytes() + bytes(100_000))
    make_bin(path, root, tmp_path / "first.bin")  # imports take memory too

    tracemalloc.start()
    try:
        summary = make_bin(path, root, tmp_path / "o.bin")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert summary.bytes_out > 20_000_000
    assert peak < 6_000_000


def test_an_image_of_several_pairs_is_stored_each_time(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.jpg").write_bytes(face(1))
    path = labels_list(tmp_path / "p.txt", [("a.jpg", "a.jpg", 1)] * 3)
    summary = make_bin(path, tmp_path / "root", tmp_path / "o.bin")

    assert 6 == (tmp_path / "o.bin").read_bytes().count(face(1))
    assert (1, 6 * len(face(1))) == (summary.images, summary.bytes_in)


def test_progress_counts_to_all_images_twice_and_to_the_whole_share(tmp_path: Path) -> None:
    path, root = paired(tmp_path, 10)
    seen: list[tuple[int, float]] = []
    make_bin(path, root, tmp_path / "o.bin", progress=lambda count, share: seen.append((count, share)))

    assert [(20, 0.5), (20, 1.0)] == [each for each in seen if each[0] == 20]
    assert [share for _, share in seen] == sorted(share for _, share in seen)


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    path, _ = paired(tmp_path)

    assert f"{tmp_path / 'x'}: cannot be read: no such file or directory" in message_of(
        make_bin, path, tmp_path / "x", tmp_path / "o.bin"
    )
    assert "is not a folder" in message_of(make_bin, path, path, tmp_path / "o.bin")

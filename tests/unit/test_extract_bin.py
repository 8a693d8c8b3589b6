"""The images of verification files, written to folders, and made into verification files again."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
from helpers import message_of
from image_helpers import left_in, names_in
from pair_helpers import FACES, GOLDEN_BIN, expected_pairs, face, labels_list, paired, sha256s

from im2rec.format.binfile import encode_bin
from im2rec.storage.files import PathLike
from im2rec.verification.bin_file import PairFile, open_bin
from im2rec.verification.extract import LIST_NAME, MARKER, extract_bin
from im2rec.verification.make import make_bin

EXPECTED = expected_pairs()
NAMES = [f"{pair:06}_{side}.jpg" for pair in range(6) for side in (1, 2)]
LIST = "".join(
    f"{first} {'000000_1.jpg' if second == NAMES[11] else second} {int(n < 3)}\n"
    for n, (first, second) in enumerate(zip(NAMES[::2], NAMES[1::2], strict=True))
)


def a_bin(path: Path, contents: list[bytes], same: list[bool]) -> Path:
    path.write_bytes(b"".join(encode_bin(contents, same)))
    return path


def remade(path: PathLike, folder: Path) -> Path:
    """Extract *path* below *folder*, and make it again."""
    extract_bin(path, folder / "d")
    make_bin(folder / "d" / LIST_NAME, folder / "d", folder / "again.bin")
    return folder / "again.bin"


def test_the_golden_file_is_written_as_images_and_a_list(tmp_path: Path) -> None:
    summary = extract_bin(GOLDEN_BIN, tmp_path / "d")
    folder = tmp_path / "d"

    assert [MARKER, *NAMES[:11], LIST_NAME] == names_in(folder)
    assert LIST == (folder / LIST_NAME).read_text()
    assert EXPECTED["pictures"][:11] == sha256s((folder / name).read_bytes() for name in NAMES[:11])
    assert {"file": GOLDEN_BIN.name, "pairs": 6} == json.loads((folder / MARKER).read_text())
    assert (6, 3, 3, 11, 1) == (summary.pairs, summary.same, summary.different, summary.images, summary.reused)
    assert ({"JPEG": 11}, 0, []) == (summary.kinds, summary.damaged, summary.warnings)
    assert [] == left_in(tmp_path)


def test_a_file_of_ours_comes_back_byte_for_byte(tmp_path: Path) -> None:
    assert GOLDEN_BIN.read_bytes() == remade(GOLDEN_BIN, tmp_path).read_bytes()


@pytest.mark.parametrize("name", EXPECTED["accept"])
def test_a_file_of_any_writer_comes_back_with_its_images_and_answers(name: str, tmp_path: Path) -> None:
    times = EXPECTED["accept"][name]["times"]
    pairs = open_bin(remade(FACES / "bins" / name, tmp_path))

    assert EXPECTED["pictures"] * times == sha256s(content for pair in pairs for content in pair[:2])
    assert EXPECTED["issame"] * times == [pair.same for pair in pairs]


def test_all_kinds_of_images_have_their_suffix_and_come_back(tmp_path: Path) -> None:
    contents = [face(1), face(2, kind="PNG"), face(3, kind="WEBP"), face(4, kind="BMP")]
    path = a_bin(tmp_path / "o.bin", contents, [True, False])

    assert path.read_bytes() == remade(path, tmp_path).read_bytes()
    listed = "000000_1.jpg 000000_2.png 1\n000001_1.webp 000001_2.bmp 0\n"
    assert listed == (tmp_path / "d" / LIST_NAME).read_text()


def test_contents_that_are_no_images_are_written_and_counted(tmp_path: Path) -> None:
    contents = [face(1), b"text", face(2)[:20], face(3), b"text", face(4)]
    summary = extract_bin(a_bin(tmp_path / "o.bin", contents, [True, False, True]), tmp_path / "d")

    assert (2, "000000_2.bin", 5, 1) == (summary.damaged, summary.first_damaged, summary.images, summary.reused)
    written = "2 files hold no images that can be read, first 000000_2.bin; they are written as they are stored"
    assert [written] == summary.warnings
    assert (b"text", face(2)[:20]) == (
        (tmp_path / "d" / "000000_2.bin").read_bytes(),
        (tmp_path / "d" / "000001_1.jpg").read_bytes(),
    )
    # These are the ones that cannot be made into a verification file again.
    assert "in all: " in message_of(make_bin, tmp_path / "d" / LIST_NAME, tmp_path / "d", tmp_path / "x.bin")


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    summary = extract_bin(GOLDEN_BIN, tmp_path / "d", dry_run=True)

    assert [] == names_in(tmp_path)
    done = extract_bin(GOLDEN_BIN, tmp_path / "d")
    assert (summary.images, summary.bytes_out, summary.kinds) == (done.images, done.bytes_out, done.kinds)


def test_only_an_earlier_extraction_is_replaced_and_only_with_force(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    extract_bin(GOLDEN_BIN, folder)
    other = a_bin(tmp_path / "o.bin", [face(1), face(2)], [True])

    assert "exists already and is not empty" in message_of(extract_bin, other, folder)
    extract_bin(other, folder, force=True)
    assert [MARKER, "000000_1.jpg", "000000_2.jpg", LIST_NAME] == names_in(folder)
    (folder / ".DS_Store").touch()
    extract_bin(other, folder, force=True)
    (folder / "mine.jpg").touch()
    stranger = "holds mine.jpg, which was not extracted, and is not replaced (choose another folder)"
    assert stranger in message_of(extract_bin, other, folder, force=True)
    (folder / MARKER).unlink()
    assert "exists already and is not empty" in message_of(extract_bin, other, folder, force=True)
    assert [] == left_in(tmp_path)


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    extract_bin(GOLDEN_BIN, tmp_path / "d")

    assert 13 == len(names_in(tmp_path / "d"))


def test_a_file_that_is_no_verification_file_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"hello")

    assert str(tmp_path / "x.bin") in message_of(extract_bin, tmp_path / "x.bin", tmp_path / "d")
    assert ["x.bin"] == names_in(tmp_path)


def test_what_a_killed_run_left_is_cleared_unless_it_is_something_else(tmp_path: Path) -> None:
    left = tmp_path / "d.im2rec-partial"
    left.mkdir()
    (left / "000900_1.jpg").write_bytes(b"half")
    (left / MARKER).write_text("{}")
    extract_bin(GOLDEN_BIN, tmp_path / "d")
    assert [MARKER, *NAMES[:11], LIST_NAME] == names_in(tmp_path / "d")

    left.mkdir()
    (left / "mine.txt").touch()
    assert "holds mine.txt" in message_of(extract_bin, GOLDEN_BIN, tmp_path / "d", force=True)
    assert ["mine.txt"] == names_in(left)


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="needs links")
def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    left = tmp_path / "d.im2rec-partial"
    left.mkdir()
    (tmp_path / "target").write_bytes(b"kept")
    (left / "000000_1.jpg").symlink_to(tmp_path / "target")
    extract_bin(GOLDEN_BIN, tmp_path / "d")

    assert b"kept" == (tmp_path / "target").read_bytes()
    assert not (tmp_path / "d" / "000000_1.jpg").is_symlink()


def test_progress_counts_to_all_images(tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []
    extract_bin(GOLDEN_BIN, tmp_path / "d", progress=lambda count, share: seen.append((count, share)))

    assert [(n, n / 12) for n in range(1, 13)] == seen


def test_an_image_that_a_pickle_uses_often_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = face(1) + bytes(300)
    path = tmp_path / "o.bin"
    path.write_bytes(pickle.dumps(([shared, face(2) + bytes(300)] + [shared] * 10, [True] * 6), 4))
    read: list[int] = []
    content = PairFile.content

    def noted(self: PairFile, image: int) -> bytes:
        read.append(image)
        return content(self, image)

    monkeypatch.setattr(PairFile, "content", noted)
    summary = extract_bin(path, tmp_path / "d")

    assert [0, 1] == read
    assert (2, 10) == (summary.images, summary.reused)
    assert "000000_1.jpg 000000_1.jpg 1" == (tmp_path / "d" / LIST_NAME).read_text(encoding="ascii").splitlines()[5]


def test_what_make_has_written_comes_back_where_images_repeat(tmp_path: Path) -> None:
    path, root = paired(tmp_path, 4)
    names = sorted(file.name for file in root.iterdir())
    labels_list(path, [(names[a], names[b], a != b) for a, b in ((0, 1), (1, 0), (2, 2), (0, 1), (7, 0))])
    make_bin(path, root, tmp_path / "o.bin")

    assert (tmp_path / "o.bin").read_bytes() == remade(tmp_path / "o.bin", tmp_path).read_bytes()
    assert 4 == len(names_in(tmp_path / "d")) - 2

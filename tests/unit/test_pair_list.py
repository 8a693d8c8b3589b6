"""Lists of pairs from the disk, the images that they name, and what is warned of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers import message_of
from image_helpers import encoded, texture
from pair_helpers import FACE_ROOT, GOLDEN_LISTS, expected_pairs, face, faces, labels_list, paired, sha256s

from im2rec.verification.make import warnings_of
from im2rec.verification.pair_list import PairedImage, read_images, read_pair_list


def images_of(path: Path, root: Path, form: str | None = None) -> list[PairedImage]:
    return read_images(read_pair_list(path, form), path, root, lambda _count: None)


def refused(path: Path, root: Path) -> str:
    return message_of(images_of, path, root).removeprefix(str(path))


def warned(path: Path, root: Path) -> list[str]:
    listed = read_pair_list(path)
    return warnings_of(listed, read_images(listed, path, root, lambda _count: None))


@pytest.mark.parametrize("path", GOLDEN_LISTS, ids=lambda path: path.name)
def test_each_golden_list_names_the_images_of_the_golden_file(path: Path) -> None:
    images = images_of(path, FACE_ROOT)

    assert expected_pairs()["pictures"] == sha256s(Path(image.path).read_bytes() for image in images)
    assert {("JPEG", 16, 16)} == {(image.kind, image.height, image.width) for image in images}


def test_a_byte_order_mark_and_letters_of_any_language_are_read(tmp_path: Path) -> None:
    (tmp_path / "Zoë 李.jpg").write_bytes(face(1))
    path = tmp_path / "l ü.csv"
    path.write_bytes("\ufeffZoë 李.jpg,Zoë 李.jpg,1\r".encode())

    assert ["Zoë 李.jpg"] * 2 == [image.name for image in images_of(path, tmp_path)]


def test_an_image_of_lfw_may_be_a_png_or_end_in_jpeg(tmp_path: Path) -> None:
    for name, kind in (("A_0001.png", "PNG"), ("A_0002.jpeg", "JPEG"), ("A_0003.jpg", "JPEG"), ("A_0003.png", "PNG")):
        (tmp_path / "A").mkdir(exist_ok=True)
        (tmp_path / "A" / name).write_bytes(face(len(name), kind=kind))
    path = tmp_path / "p.txt"
    path.write_text("A 1 2\nA 3 1\n")

    names = ["A/A_0001.png", "A/A_0002.jpeg", "A/A_0003.jpg", "A/A_0001.png"]
    assert names == [image.name for image in images_of(path, tmp_path)]
    path.write_text("A 1 4\n")
    missing = "A/A_0004.jpg: no such file, nor with .png or .jpeg"
    assert f", line 1: {missing} (is ROOT the folder that the paths start from?)" == refused(path, tmp_path)


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = faces(tmp_path / "root", 3)
    path = labels_list(tmp_path / "p.txt", [(a, b, 0) for a in names for b in names])
    read: list[str] = []
    counts: list[int] = []

    def read_file(name: str) -> bytes:
        read.append(Path(name).name)
        return Path(name).read_bytes()

    monkeypatch.setattr("im2rec.verification.pair_list.read_file", read_file)
    images = read_images(read_pair_list(path), path, tmp_path / "root", counts.append)
    assert (18, names) == (len(images), sorted(read))
    assert [2 * n for n in range(1, 10)] == counts


def test_all_missing_images_are_counted_and_the_first_is_named_with_its_line(tmp_path: Path) -> None:
    path, root = paired(tmp_path, 3)
    for name in ("001.jpg", "002.jpg", "005.jpg"):
        (root / name).unlink()
    where = "is ROOT the folder that the paths start from?"

    assert f", line 1: 001.jpg: no such file; in all: 3 missing ({where})" == refused(path, root)
    (root / "001.jpg").write_bytes(b"text")
    problem = "001.jpg: holds no image that can be read; in all: 2 missing, 1 not an image"
    assert f", line 1: {problem} (nothing was written)" == refused(path, root)


def test_the_second_line_of_a_pair_is_named_where_its_image_is_missing(tmp_path: Path) -> None:
    faces(tmp_path / "root", 1)
    path = tmp_path / "p.txt"
    path.write_text("000.jpg 1\n\n001.jpg 1\n")

    assert refused(path, tmp_path / "root").startswith(", line 3: 001.jpg: no such file (")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "000.jpg: is empty: fetch it again"),
        (b"GIF", "000.jpg: holds no image that can be read"),
        (b"\xff\xd8\xff\xe0 cut", "000.jpg: "),
        (b"8BPS....", "000.jpg: is a Photoshop (PSD) image: convert it to PNG first"),
    ],
)
def test_a_file_that_holds_no_image_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path, root = paired(tmp_path, 2)
    (root / "000.jpg").write_bytes(content)

    assert refused(path, root).startswith(f", line 1: {message}")
    assert refused(path, root).endswith("(nothing was written)")


def test_a_folder_in_place_of_an_image_is_refused(tmp_path: Path) -> None:
    path, root = paired(tmp_path, 2)
    (root / "002.jpg").unlink()
    (root / "002.jpg").mkdir()

    assert refused(path, root).startswith(", line 2: 002.jpg: cannot be read: is a directory")


@pytest.mark.skipif(os.sep != "/", reason="backslashes separate folders")
def test_the_reason_for_a_missing_file_is_given(tmp_path: Path) -> None:
    faces(tmp_path, 1)
    path = labels_list(tmp_path / "p.txt", [("sub\\000.jpg", "000.jpg", 1)])

    why = "no such file: its backslashes separate no folders here; write / (nothing was written)"
    assert refused(path, tmp_path).endswith(why)


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x80\x04\0\0")
    problem = "is not a list: it contains zero bytes, which no text does"
    assert f"{path}: {problem} (name a list of pairs)" == message_of(read_pair_list, path)
    path.write_text("A 1 2\n?\n")
    assert message_of(read_pair_list, path).startswith(f"{path}, line 2: ")
    assert f"{tmp_path}: is a folder (name a file)" == message_of(read_pair_list, tmp_path)


# Warnings.


def test_pairs_as_published_ones_are_not_warned_of(tmp_path: Path) -> None:
    assert [] == warned(*paired(tmp_path, 20))


def test_sizes_that_differ_and_images_that_are_not_square_are_warned_of(tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    (root / "003.jpg").write_bytes(face(1, 20))
    (root / "007.jpg").write_bytes(encoded(texture(16, 12, seed=2)))
    differ = "images have 3 sizes, mostly 16 x 16; 2 differ, first line 2, 003.jpg (20 x 20)"
    scaled = "published readers scale them, and align nothing"
    oblong = "1 image is not square, first line 4, 007.jpg (12 x 16): published readers expect squares"

    assert [f"{differ}: {scaled}", oblong] == warned(path, root)


def test_kinds_of_images_that_not_all_readers_take_are_warned_of(tmp_path: Path) -> None:
    path, root = paired(tmp_path)
    (root / "003.jpg").write_bytes(face(3, kind="PNG"))
    (root / "004.jpg").write_bytes(face(4, kind="BMP"))
    (root / "005.jpg").write_bytes(face(5, kind="WEBP"))

    first = "first line 3, 004.jpg (BMP): not all readers take them"
    assert [f"2 images are neither JPEG nor PNG, {first}"] == warned(path, root)


def test_doubles_are_warned_of_by_content(tmp_path: Path) -> None:
    names = faces(tmp_path, 40)
    pairs = [(names[2 * n], names[2 * n + 1], n % 2) for n in range(20)]
    (tmp_path / "copy.jpg").write_bytes((tmp_path / names[0]).read_bytes())
    pairs[4] = (names[0], "copy.jpg", 0)
    pairs[6] = (names[1], "copy.jpg", 0)
    pairs[7] = (names[1], names[0], 1)
    expected = [
        "1 pair is of an image and itself, first line 5",
        "1 pair is there again, first line 7, which repeats line 1",
        "1 pair is there again with the other answer, first line 8, which repeats line 1",
    ]

    assert expected == warned(labels_list(tmp_path / "p.txt", pairs), tmp_path)


def test_folds_without_both_kinds_are_warned_of(tmp_path: Path) -> None:
    names = faces(tmp_path, 46)
    pairs = [(names[2 * n], names[2 * n + 1], n >= 3 and n % 2) for n in range(23)]
    folds = "1 of the ten folds lacks one kind of pairs, first that of lines 1 to 3, with none the same"
    divide = "ten does not divide 23 pairs: the first 3 folds have one more"

    assert [divide, f"{folds}: their order decides"] == warned(labels_list(tmp_path / "p.txt", pairs), tmp_path)
    one = "10 of the ten folds lack one kind of pairs, first that of line 1, with none the same"
    assert [f"{one}: their order decides"] == warned(labels_list(tmp_path / "p.txt", pairs[:10]), tmp_path)
    few = "9 pairs are too few for the ten folds of published evaluation"
    assert [few] == warned(labels_list(tmp_path / "p.txt", pairs[:9]), tmp_path)


def test_other_kinds_than_the_first_line_says_are_warned_of(tmp_path: Path) -> None:
    faces(tmp_path / "A", 0)
    for number in range(1, 41):
        (tmp_path / "A" / f"A_{number:04}.jpg").write_bytes(face(number))
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "B_0001.jpg").write_bytes(face(50))
    path = tmp_path / "p.txt"
    lines = [f"A {n} {n + 1}" if n % 2 or n > 38 else f"A {n} B 1" for n in range(1, 41 - 1)]
    path.write_text("\n".join(["20", *lines, "A 1 3"]) + "\n")
    same = sum(len(line.split()) == 3 for line in [*lines, "A 1 3"])

    assert f"the first line says 20 pairs of each kind; {same} are the same, {40 - same} different" in warned(
        path, tmp_path
    )

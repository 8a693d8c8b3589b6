"""The parts that words mean: found by names and patterns, and refused where they are not all parts of one pack."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers import message_of
from image_helpers import a_list_of_images, names_in
from part_helpers import alter, move, packed_parts

from im2rec.packing.pack import PackOptions
from im2rec.packing.part_file import part_file_path
from im2rec.packing.part_set import part_of, pattern_of_parts, read_parts


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Four parts of a pack of nine images, in the folder of a test."""
    return packed_parts(*a_list_of_images(tmp_path, 9), tmp_path / "o.rec", 4)


# What the words mean.


def test_a_file_belongs_to_a_part_by_its_name() -> None:
    names = ["o.rec.part000", "o.rec.part1234.idx", "o.rec.part000.bad.jsonl", "o.rec.part000.json.im2rec-partial"]
    assert ["o.rec.part000", "o.rec.part1234", "o.rec.part000", "o.rec.part000"] == [str(part_of(n)) for n in names]
    assert [None] * 4 == [part_of(name) for name in ("o.rec", "o.rec.part00", "o.rec.part000.txt", "part000.rec")]


def test_a_pattern_is_of_all_parts_of_one_pack_and_of_no_other(tmp_path: Path, parts: list[Path]) -> None:
    odd = tmp_path / "a[1] b"
    odd.mkdir()
    for rec in parts:
        move(rec, odd / rec.name)

    pattern = pattern_of_parts(odd / parts[1].name)
    assert [odd / rec.name for rec in parts] == [part.rec for part in read_parts([pattern])]


def test_files_beside_the_parts_may_be_named_with_them_or_in_their_place(tmp_path: Path, parts: list[Path]) -> None:
    everything = [tmp_path / name for name in names_in(tmp_path) if ".part" in name]
    assert len(parts) < len(everything)
    for words in (everything, [part_file_path(rec) for rec in parts]):
        assert parts == [part.rec for part in read_parts(words)]


# Parts that do not belong together.


def test_missing_parts_are_named(tmp_path: Path, parts: list[Path]) -> None:
    rec = tmp_path / "o.rec"
    for suffix in ("", ".idx", ".json"):
        Path(f"{parts[2]}{suffix}").unlink()

    hint = "pack it with part=2, or copy it here"
    assert f"part 2 of 4 is missing: {rec}.part002 ({hint})" == message_of(read_parts, [f"{rec}.part*"])
    assert f"part 3 of 4 is missing: {rec}.part003 (name it too)" == message_of(
        read_parts, packed_parts(tmp_path / "l.lst", tmp_path / "root", rec, 4, PackOptions(workers=1, force=True))[:3]
    )
    expected = f"parts 0, 1 and 2 of 4 are missing: {rec}.part000 for one (name it too)"
    assert expected == message_of(read_parts, parts[3:])


def test_the_first_of_very_many_missing_parts_are_named(parts: list[Path]) -> None:
    alter(parts[1], nsplit=10**18)

    expected = f"parts 0, 2, 3 and {10**18 - 4:,} more of {10**18} are missing: {parts[0]} for one (name it too)"
    assert expected == message_of(read_parts, parts[1:2])


def test_a_part_that_is_there_twice_is_named(tmp_path: Path, parts: list[Path]) -> None:
    (tmp_path / "b").mkdir()
    again = tmp_path / "b" / "o.rec.part001"
    shutil.copy(parts[1], again)
    shutil.copy(part_file_path(parts[1]), part_file_path(again))

    same, other = [*parts, parts[1]], [again, *parts]
    assert f"part 1 of 4 is named twice: {parts[1]} (name it once)" == message_of(read_parts, same)
    expected = f"part 1 of 4 is named twice: {again} and {parts[1]} (name it once)"
    assert expected == message_of(read_parts, other)


DIFFERENCES = {
    "was packed with resize=300, not resize=256 as {first}": {"resize": 300},
    "was packed with quality=90, not quality=not given as {first}": {"quality": 90, "libraries": {}},
    "was packed with im2rec=2, not im2rec=1 as {first}": {"im2rec": "2", "libraries": {"cv2": "5"}},
    "is of another list than {first}": {"list": "cd" * 32, "resize": 300},
    f"was packed with im2rec={'9' * 193}... as {{first}}": {"im2rec": "9" * 10_000},
}


@pytest.mark.parametrize("problem", DIFFERENCES)
def test_the_first_difference_to_a_part_of_another_pack_is_named(parts: list[Path], problem: str) -> None:
    for rec in parts:
        alter(rec, pack={"list": "ab" * 32, "resize": 256, "im2rec": "1", "libraries": {"cv2": "4"}})
    alter(parts[2], pack=DIFFERENCES[problem])

    expected = f"{parts[2]}: {problem.format(first=parts[0])} (pack one of the two again)"
    assert expected == message_of(read_parts, parts)


def test_another_library_is_named_and_parts_that_needed_none_go_with_any(parts: list[Path]) -> None:
    for rec in parts[1:]:
        alter(rec, pack={"libraries": {"engine": "opencv", "cv2": "4.10"}})
    assert 4 == len(read_parts(parts))

    alter(parts[3], pack={"libraries": {"engine": "opencv", "cv2": "4.9"}})
    problem = f"was packed with cv2=4.9, not cv2=4.10 as {parts[1]}"
    assert f"{parts[3]}: {problem} (pack one of the two again)" == message_of(read_parts, parts)


def test_another_number_of_parts_is_named_whatever_else_differs(parts: list[Path]) -> None:
    alter(parts[3], nsplit=5, pack={"list": "cd" * 32})

    hint = "all parts must be packed with the same nsplit"
    assert f"{parts[3]}: is one of 5 parts, and {parts[0]} one of 4 ({hint})" == message_of(read_parts, parts)


def test_parts_without_a_part_file_are_refused_with_what_to_do(tmp_path: Path, parts: list[Path]) -> None:
    path = part_file_path(parts[1])
    path.unlink()
    problem = f"{parts[1]}: is no finished part of a pack: {path.name} is not beside it"
    expected = f"{problem} (copy that file too; a part of another tool, pack again)"
    assert expected == message_of(read_parts, parts)

    for suffix in (".im2rec-partial", ".im2rec-journal"):
        unfinished = Path(f"{parts[1]}{suffix}")
        unfinished.touch()
        hint = "type the command that packs it again"
        assert f"{parts[1]}: is not packed to its end ({hint})" == message_of(read_parts, [f"{tmp_path}/o.rec.part*"])
        unfinished.unlink()
    gone = f"{tmp_path / 'gone'}: cannot be read: no such file or directory (check the path)"
    assert gone == message_of(read_parts, [tmp_path / "gone"])
    assert message_of(read_parts, [tmp_path]).startswith(f"{tmp_path}: is a folder")
    assert message_of(read_parts, []).startswith("no parts are named")


def test_a_damaged_part_file_is_named(parts: list[Path]) -> None:
    part_file_path(parts[2]).write_bytes(b"{")
    assert message_of(read_parts, parts).startswith(f"{part_file_path(parts[2])}: is no part file")

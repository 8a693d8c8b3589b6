"""Listing and checking verification files: folds, doubles, sizes, images that cannot be decoded, and the sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bin_helpers import ACCEPTED, BINS, OURS, bin_bytes
from helpers import message_of
from image_helpers import encoded, pixels_of, texture

from im2rec.images import codec
from im2rec.verification import image_facts
from im2rec.verification.check import BinCheck, verify_bin
from im2rec.verification.doubles import Doubles, find_doubles
from im2rec.verification.listing import BinListing, list_bin


def faces(count: int, height: int = 24, width: int = 24, kind: str = "PNG") -> list[bytes]:
    """Return *count* different images."""
    rng = np.random.default_rng(count)
    return [encoded(rng.integers(0, 256, (height, width, 3)).astype(np.uint8), kind) for _ in range(count)]


def written(folder: Path, contents: list[bytes], same: list[bool] | None = None) -> Path:
    path = folder / "fäces of all.bin"
    path.write_bytes(bin_bytes(contents, same or [True, False] * (len(contents) // 4)))
    return path


def listed(folder: Path, contents: list[bytes], same: list[bool] | None = None) -> BinListing:
    return list_bin(written(folder, contents, same))


def checked(folder: Path, contents: list[bytes], same: list[bool] | None = None) -> BinCheck:
    return verify_bin(written(folder, contents, same))


def texts(check: BinCheck) -> list[str]:
    return [problem.text for problem in check.findings]


# Listing.


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_published_form_is_counted_alike(name: str) -> None:
    listing, times = list_bin(BINS / name), ACCEPTED[name]["times"]

    assert (6 * times, 3 * times, 3 * times) == (listing.pairs, listing.same, listing.different)
    assert (12 * times, 11, {"JPEG": 12 * times}) == (listing.images, listing.distinct_images, listing.kinds)
    assert ({"16 x 16": 12 * times}, 356, 375.5, 392) == (
        listing.sizes,
        listing.smallest,
        listing.median,
        listing.largest,
    )
    assert {ACCEPTED[name]["bins"]: 12 * times} == listing.written_as.images_as
    assert set(ACCEPTED[name]["globals"]) == set(listing.written_as.names)


def test_each_fold_is_counted_as_kfold_cuts_the_pairs(tmp_path: Path) -> None:
    same = [True] * 7 + [False] * 16
    listing = listed(tmp_path, faces(46), same)

    assert [3, 3, 3, 2, 2, 2, 2, 2, 2, 2] == [fold.pairs for fold in listing.folds]
    assert [0, 3, 6, 9, 11, 13, 15, 17, 19, 21] == [fold.first for fold in listing.folds]
    assert [3, 3, 1, 0, 0, 0, 0, 0, 0, 0] == [fold.same for fold in listing.folds]
    assert [0, 0, 2, 2, 2, 2, 2, 2, 2, 2] == [fold.different for fold in listing.folds]


def test_images_of_any_kind_and_size_are_counted(tmp_path: Path) -> None:
    contents = [
        *faces(3, 20, 30),
        *faces(2, 40, 40, "JPEG"),
        *faces(1, 8, 8, "BMP"),
        b"no image",
        b"\xff\xd8\xff\xe0 cut",
    ]
    listing = listed(tmp_path, contents)

    assert {"PNG": 3, "JPEG": 3, "BMP": 1, "not an image": 1} == listing.kinds
    assert {"30 x 20": 3, "40 x 40": 2, "8 x 8": 1} == listing.sizes
    assert (2, 6) == (listing.unreadable, listing.first_unreadable_image)


def test_doubles_are_found_by_content() -> None:
    digests = [b"a", b"b", b"c", b"c", b"b", b"a", b"a", b"b", b"a", b"b", b"c", b"c"]
    same = [True, False, True, False, True, False]

    assert Doubles([1, 5], [(2, 0), (4, 0), (5, 1)], [(3, 0)]) == find_doubles(digests, same)


def test_pairs_that_are_there_twice_are_listed(tmp_path: Path) -> None:
    one, two, three = faces(3)
    listing = listed(tmp_path, [one, two, three, three, two, one, two, one], [True, True, True, False])

    assert [1] == listing.with_itself
    assert [(2, 0, True), (3, 0, False)] == [(each.pair, each.earlier, each.agrees) for each in listing.repeated]
    assert (8, 3) == (listing.images, listing.distinct_images)


def test_the_sheet_shows_pairs_of_one_person_above_those_of_two(tmp_path: Path) -> None:
    colors = {True: (0, 200, 0), False: (200, 0, 0)}
    same = [number % 3 == 0 for number in range(90)]
    contents = []
    for flag in same:
        contents += [encoded(np.full((16, 16, 3), colors[flag], np.uint8), "PNG")] * 2
    sheet = tmp_path / "sheet.png"
    listing = list_bin(written(tmp_path, contents, same), sheet=sheet)
    pixels = pixels_of(sheet.read_bytes())

    assert str(sheet) == listing.sheet
    is_same, is_different = ((pixels == colors[flag]).all(axis=2) for flag in (True, False))
    assert np.flatnonzero(is_same.any(axis=1)).max() < np.flatnonzero(is_different.any(axis=1)).min()
    cell = 128 * 128
    assert (30 * cell, 30 * cell) == (is_same.sum(), is_different.sum())


def test_a_sheet_of_few_pairs_has_a_row_for_each_kind_and_frames_what_cannot_be_decoded(tmp_path: Path) -> None:
    path, sheet = written(tmp_path, [*faces(2), b"no image", *faces(1)], [True, False]), tmp_path / "sheet.png"
    list_bin(path, sheet=sheet)

    pixels = pixels_of(sheet.read_bytes())
    framed = np.flatnonzero((pixels == (192, 32, 32)).all(axis=2).any(axis=1))
    assert (130, pixels.shape[0] - 40) == (framed.max() - framed.min() + 1, framed.max() + 1)  # in the last row


@pytest.mark.parametrize(
    ("same", "title", "headings", "columns"),
    [
        ([True] * 7, "7 pairs", ["same person: 7 pairs"], 8),
        ([False], "1 pair", ["different persons: 1 pair"], 6),
        (
            [number < 70 for number in range(90)],
            "30 of 90 pairs, evenly spread",
            ["same person: 15 of 70 pairs, evenly spread", "different persons: 15 of 20 pairs, evenly spread"],
            10,
        ),
        ([True] * 15 + [False] * 3, "18 pairs", ["same person: 15 pairs", "different persons: 3 pairs"], 6),
    ],
)
def test_headings_of_the_sheet_count_the_pairs_of_each_kind(
    same: list[bool], title: str, headings: list[str], columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(
        "im2rec.verification.listing.draw_rows", lambda *words, **options: drawn.append((*words, options)) or b"x"
    )
    path = written(tmp_path, faces(2 * len(same)), same)
    list_bin(path, sheet=tmp_path / "sheet.png")

    ((rows, shown_title, options),) = drawn
    assert [path.name, title] == shown_title
    assert headings == [heading for heading, _ in rows]
    assert {"columns": columns, "together": 2} == options
    assert ["pair 0", "24 x 24"] == list((rows[0][1] if same[0] else rows[-1][1])[0].lines)


def test_the_file_itself_is_never_replaced_by_its_sheet(tmp_path: Path) -> None:
    path, link = tmp_path / "o.png", tmp_path / "link.png"
    path.write_bytes(OURS.read_bytes())
    link.symlink_to(path)

    for sheet in (path, link):
        assert f"{sheet}: is the input itself" in message_of(list_bin, path, sheet=sheet, force=True)
    assert OURS.read_bytes() == path.read_bytes()


def test_a_sheet_that_exists_is_not_replaced_unless_forced(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"kept")

    assert f"{sheet}: exists already" in message_of(list_bin, OURS, sheet=sheet)
    assert f"{sheet}: exists already" in message_of(list_bin, OURS, sheet=sheet, dry_run=True)
    list_bin(OURS, sheet=sheet, force=True, dry_run=True)
    assert b"kept" == sheet.read_bytes()
    list_bin(OURS, sheet=sheet, force=True)
    assert sheet.read_bytes().startswith(b"\x89PNG")


# Checking.


def test_a_sound_file_has_no_problems(tmp_path: Path) -> None:
    check = checked(tmp_path, faces(40))

    assert (20, 40, 40, [], [], {}) == (
        check.pairs, check.images, check.decoded, check.undecodable, check.findings, check.flaws)  # fmt: skip
    assert {"24 x 24": 40} == check.sizes


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_images_that_cannot_be_decoded_are_named_by_pair_and_side_with_any_number_of_workers(
    tmp_path: Path, workers: int
) -> None:
    contents = faces(200)
    contents[7], contents[150] = b"no image", contents[150][:-40]
    check = verify_bin(written(tmp_path, contents), workers=workers)

    assert [(7, 3, "second"), (150, 75, "first")] == [(each.number, each.pair, each.side) for each in check.undecodable]
    assert "not an image" == check.undecodable[0].reason
    assert (198, []) == (check.decoded, check.findings)


def test_an_image_that_is_used_often_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def decode(content: bytes, **options: Any) -> Any:
        calls.append(len(content))
        return codec.decode(content, **options)

    monkeypatch.setattr(image_facts, "decode", decode)
    one, two = faces(2)
    check = checked(tmp_path, [one, two] * 20)

    assert [len(one), len(two)] == sorted(calls, key=[len(one), len(two)].index)
    assert 40 == check.decoded


def test_sizes_that_differ_are_one_problem_and_oblong_images_another(tmp_path: Path) -> None:
    contents = faces(40)
    contents[5], contents[6], contents[9] = *faces(2, 30, 30), faces(1, 24, 20)[0]
    check = checked(tmp_path, contents)

    scaled = "published readers scale them, and align nothing"
    assert texts(check) == [
        f"images have 3 sizes, mostly 24 x 24; 3 differ, first pair 2, second image (30 x 30): {scaled}",
        "1 image is not square, first pair 4, second image (20 x 24): published readers expect squares",
    ]
    assert [("sizes", 3, 5), ("not square", 1, 9)] == [(each.kind, each.count, each.first) for each in check.findings]


def test_kinds_that_not_all_readers_take_are_a_problem(tmp_path: Path) -> None:
    contents = [*faces(39), *faces(1, kind="BMP")]

    assert texts(checked(tmp_path, contents)) == [
        "1 image is neither JPEG nor PNG, first pair 19, second image (BMP): not all readers take them"
    ]


def test_numbers_of_pairs_and_folds_that_evaluation_makes_trouble_with_are_problems(tmp_path: Path) -> None:
    assert ["1 pair is too few for the ten folds of published evaluation"] == texts(checked(tmp_path, faces(2), [True]))
    assert ["ten does not divide 21 pairs: the first fold has one more"] == texts(
        checked(tmp_path, faces(42), [True, False] * 10 + [True])
    )
    where = "first fold 0 (pairs 0 to 1), with none different"
    assert texts(checked(tmp_path, faces(40), [True] * 4 + [False] * 4 + [True, False] * 6)) == [
        f"4 of the ten folds lack one kind of pairs, {where}: their order decides"
    ]
    check = checked(tmp_path, faces(26), [True] + [False] * 12)
    assert [("uneven folds", 3, 0), ("one-sided folds", 9, 1)] == [
        (each.kind, each.count, each.first) for each in check.findings
    ]


def test_doubles_and_bytes_behind_the_pickle_are_problems(tmp_path: Path) -> None:
    contents = faces(40)
    contents[4:6], contents[8:10], contents[12] = [contents[1], contents[0]], contents[2:4], contents[13]
    same = [True, False] * 10
    same[4] = not same[1]
    path = written(tmp_path, contents, same)
    path.write_bytes(path.read_bytes() + b"more")

    assert texts(verify_bin(path)) == [
        "1 pair is of an image and itself, first pair 6",
        "1 pair is there again, first pair 2, which repeats pair 0",
        "1 pair is there again with the other answer, first pair 4, which repeats pair 1",
        "4 bytes follow the pickle, which no reader looks at",
    ]


@pytest.mark.skipif(codec._simplejpeg is None, reason="Pillow alone does not tell a missing end marker from a cut")
def test_harmless_flaws_are_counted(tmp_path: Path) -> None:
    contents = [encoded(texture(24, 24), "JPEG")[:-2], *faces(39)]
    check = checked(tmp_path, contents)

    assert (40, [1]) == (check.decoded, list(check.flaws.values()))


def test_an_image_above_the_limit_is_a_failure(tmp_path: Path) -> None:
    check = verify_bin(written(tmp_path, [*faces(1, 50, 50), *faces(39)]), max_pixels=1000)

    assert [(0, 0, "first")] == [(each.number, each.pair, each.side) for each in check.undecodable]


def test_the_golden_file_of_ours_has_too_few_pairs_and_nothing_else() -> None:
    assert ["few pairs"] == [each.kind for each in verify_bin(OURS).findings]

"""Contact sheets as a person sees them: cells in rows of ten, images fitted and centred, two lines of text below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from face_set_helpers import GOLDEN as FACE_SETS
from face_set_helpers import images, written
from helpers import image_payload, write_rec
from image_helpers import encoded, im2rec, pixels_of, texture
from PIL import Image

from im2rec.format.irheader import ImageRecord, IRHeader
from im2rec.images.sheet import Tile, draw_rows, draw_sheet, drawable, fitted, labels_text, number_text
from im2rec.inspection.image_sample import make_tile, write_sheet
from im2rec.storage.classes import ClassNames

Pixels = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]  # left, top, right, bottom

CELL = 128
WHITE, RED = (255, 255, 255), (192, 32, 32)
FIRST = (8, 32)  # left and top of the first cell
NO_TEXT = ("", "")


def record(content: bytes, label: object = 2.0, id_: int = 7) -> ImageRecord:
    return ImageRecord(IRHeader(0 if isinstance(label, float) else len(label), label, id_), content)  # type: ignore[arg-type]


def tile_of(
    color: tuple[int, int, int], size: tuple[int, int] = (CELL, CELL), lines: tuple[str, str] = NO_TEXT
) -> Tile:
    return Tile(Image.new("RGB", size, color), "", lines)


def drawn(tiles: Sequence[Tile | None], title: str = "", together: int = 1) -> Pixels:
    """The sheet, (height, width, 3)."""
    return pixels_of(draw_sheet(tiles, title, together=together))


def is_color(sheet: Pixels, color: tuple[int, int, int]) -> Pixels:
    mask: Pixels = (sheet == color).all(axis=2)
    return mask


def box(mask: Pixels) -> Box:
    """Left, top, right and bottom of the pixels in *mask*, right and bottom excluded."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def test_a_cell_of_none_is_empty_and_cells_that_belong_together_have_narrow_gaps() -> None:
    red, blue = tile_of(RED), tile_of((0, 0, 255))
    apart, together = drawn([red, blue, None, red]), drawn([red, blue, None, red], together=2)

    assert apart.shape == together.shape
    assert (144, 32, 272, 160) == box(is_color(apart, (0, 0, 255)))
    assert (137, 32, 265, 160) == box(is_color(together, (0, 0, 255)))
    assert (together[32:160, 280:408] == 255).all()
    assert (409, 32, 537, 160) == box(np.pad(is_color(together[:, 300:], RED), ((0, 0), (300, 0))))


# What a cell shows.


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (300, 200, (85, 128)),
        (200, 300, (128, 85)),
        (2000, 150, (10, 128)),
        (3, 1000, (128, 1)),
        (129, 129, (128, 128)),
        (128, 64, (64, 128)),
        (65, 10, (10, 65)),  # twice would be too large
        (64, 10, (20, 128)),
        (10, 24, (120, 50)),
        (1, 1, (128, 128)),
    ],
)
def test_the_longer_edge_is_reduced_to_the_cell_or_enlarged_by_a_whole_factor(
    height: int, width: int, size: tuple[int, int]
) -> None:
    assert size == fitted(texture(height, width)).size


def test_a_small_image_is_enlarged_pixel_by_pixel() -> None:
    image = texture(10, 24)

    assert np.array_equal(image.repeat(5, axis=0).repeat(5, axis=1), np.asarray(fitted(image)))
    assert np.array_equal(texture(128, 90), np.asarray(fitted(texture(128, 90))))


def test_a_large_image_is_smoothed() -> None:
    board = np.indices((256, 256)).sum(axis=0) % 2 * 255
    reduced = np.asarray(fitted(board.astype(np.uint8)[:, :, None].repeat(3, axis=2)))

    assert 100 < reduced.min()
    assert reduced.max() < 155


def test_id_and_labels_are_the_text_of_a_record() -> None:
    assert ("id 7", "label 2") == make_tile(record(encoded(texture()))).lines
    names = ClassNames(Path("a.classes.txt"), ["ant", "bee", "cat"])
    assert ("id 7", "label 2 cat") == make_tile(record(encoded(texture())), names).lines
    assert ("id 7", "label 2 cat") == make_tile(record(encoded(texture()), [2.0]), names).lines
    assert ("id 7", "label 3") == make_tile(record(encoded(texture()), 3.0), names).lines
    assert ("id 7", "labels 2 1") == make_tile(record(encoded(texture()), [2.0, 1.0]), names).lines
    assert ("id 9", "labels 1 0.5 -3 ...") == make_tile(record(encoded(texture()), [1.0, 0.5, -3.0, 4.0], 9)).lines


def test_three_labels_are_shown() -> None:
    assert "1234567 -2000000 nan ..." == labels_text([1234567.0, -2e6, float("nan"), 0.0])
    assert "inf 0.1 1.23457e+06" == labels_text([float("inf"), 0.1, 1234567.5])
    assert "3 cat" == labels_text([3.0], "cat")
    assert ["", "1", "1 2.5 3", "1 2.5 3 ..."] == [labels_text([1.0, 2.5, 3.0, 4.0][:count]) for count in (0, 1, 3, 4)]


def test_an_image_that_cannot_be_decoded_is_shown_with_its_reason() -> None:
    tile = make_tile(record(encoded(texture())[:-50]))

    assert tile.image is None
    assert "cut short" == tile.reason


# The sheet.


def test_cells_are_in_rows_of_ten_from_left_to_right() -> None:
    colors = [(0, 20 * number, 200) for number in range(12)]
    sheet = drawn([tile_of(color) for color in colors])
    corners = [(8 + 136 * (number % 10), 32 + 166 * (number // 10)) for number in range(12)]

    cells = [is_color(sheet, color) for color in colors]
    assert [(left, top, left + CELL, top + CELL) for left, top in corners] == [box(cell) for cell in cells]
    assert {CELL * CELL} == {cell.sum() for cell in cells}


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (10, 10, 1), (11, 10, 2), (21, 10, 3)])
def test_a_sheet_is_as_large_as_its_cells_need(count: int, columns: int, rows: int) -> None:
    assert (32 + 166 * rows, 8 + 136 * columns, 3) == drawn([tile_of((0, 0, 0))] * count).shape


def test_bytes_of_a_name_that_are_no_text_are_drawn_as_question_marks() -> None:
    odd, expected = (drawn([tile_of(WHITE, lines=("id 1", text))]) for text in ("label 1 caf\udce9\n", "label 1 caf??"))

    assert np.array_equal(expected, odd)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Vögel & Fische", "Vogel & Fische"),
        ("Vo\u0308gel", "Vogel"),  # as macOS writes file names
        ("Straße Œuf Łódź", "Strasse OEuf Lodz"),
        ("猫 한 ひ", "? ? ?"),
        ("caf\udce9\n", "caf??"),
        ("a…", "a..."),
    ],
)
def test_letters_that_the_font_lacks_are_drawn_as_their_nearest_or_a_question_mark(text: str, shown: str) -> None:
    assert shown == drawable(text)
    assert np.array_equal(drawn([], shown), drawn([], text))
    assert np.array_equal(drawn([tile_of(WHITE, lines=("", shown))]), drawn([tile_of(WHITE, lines=("", text))]))


def test_the_sheet_of_a_file_has_the_names_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "im2rec.inspection.image_sample.draw_sheet",
        lambda tiles, _title: lines.extend(tile.lines for tile in tiles) or b"",
    )
    write_rec(tmp_path / "a_val.rec", [image_payload(0, 1, encoded(texture())), image_payload(1, 0, b"x")])
    (tmp_path / "a.classes.txt").write_text("cat\ndog\n")
    write_sheet(tmp_path / "a_val.rec", tmp_path / "a.png")

    assert [("id 0", "label 1 dog"), ("id 1", "label 0 cat")] == lines


def test_a_sheet_without_tiles_has_its_title_alone() -> None:
    sheet = drawn([], "nothing")

    assert 32 == sheet.shape[0]
    assert not is_color(sheet, WHITE).all()


def test_an_image_is_centred_in_a_framed_cell() -> None:
    for size, (left, top) in {(64, 128): (32, 0), (128, 10): (0, 59), (85, 40): (21, 44)}.items():
        sheet = drawn([tile_of((0, 0, 200), size)])
        expected = FIRST[0] + left, FIRST[1] + top
        assert (*expected, expected[0] + size[0], expected[1] + size[1]) == box(is_color(sheet, (0, 0, 200)))
        assert (*FIRST, FIRST[0] + CELL, FIRST[1] + CELL) == box(~is_color(sheet, WHITE))


def text_extents(sheet: Pixels) -> list[tuple[int, int, int, int]]:
    """Left, right, top and bottom of the lines of text below the first cell, which blank rows separate."""
    ink = ~is_color(sheet, WHITE)
    ink[: FIRST[1] + CELL] = False
    edges = np.flatnonzero(np.diff(ink.any(axis=1))) + 1
    return [(*box(ink[top:bottom])[::2], int(top), int(bottom)) for top, bottom in zip(*[iter(edges)] * 2, strict=True)]


def test_two_lines_of_text_are_centred_below_each_cell() -> None:
    lines = text_extents(drawn([tile_of((0, 0, 200), lines=("HIDE", "Hg|j HHHH"))]))
    assert 2 == len(lines)
    assert 162 <= lines[0][2]
    assert lines[1][3] <= 198  # where the next row of cells starts
    for left, right, _, _ in lines:
        assert abs((left - FIRST[0]) - (FIRST[0] + CELL - right)) <= 2
    both = drawn([tile_of((0, 0, 200), lines=("first", "second"))] * 2)
    assert np.array_equal(both[160:, 8 : 8 + CELL], both[160:, 144 : 144 + CELL])


def test_text_that_is_wider_than_its_cell_is_shortened_with_an_ellipsis() -> None:
    shortened, fitting = drawn([tile_of((0, 0, 200), lines=("HIDE" * 20, "HIDE" * 3))]), "HIDE" * 3

    (left, right, *_), _ = text_extents(shortened)
    assert FIRST[0] <= left < right <= FIRST[0] + CELL
    assert CELL - 20 < right - left  # as much of it as fits
    assert np.array_equal(shortened, drawn([tile_of((0, 0, 200), lines=("HIDE" * 30, fitting))]))
    ends = [drawn([tile_of((0, 0, 200), lines=("HIDE" * 20 + end, fitting))]) for end in "xy"]
    assert np.array_equal(*ends)


def test_a_title_that_is_wider_than_the_cells_widens_the_sheet() -> None:
    narrow, wide = drawn([tile_of((0, 0, 200))], "HI"), drawn([tile_of((0, 0, 200))], "HI" * 30)
    left, top, right, bottom = box(~is_color(wide[: FIRST[1]], WHITE))

    assert 144 == narrow.shape[1]
    assert 8 <= left <= 10
    assert 8 <= wide.shape[1] - right <= 10
    assert 8 <= top < bottom <= FIRST[1]
    assert box(~is_color(narrow[: FIRST[1]], WHITE))[:2] == (left, top)


def test_an_image_that_is_missing_leaves_a_red_frame_around_its_reason() -> None:
    sheet = drawn([tile_of((0, 0, 200)), Tile(None, "cut short", ("id 1", "label 2"))])
    cell = sheet[FIRST[1] : FIRST[1] + CELL, 144 : 144 + CELL]

    assert (144, FIRST[1], 144 + CELL, FIRST[1] + CELL) == box(is_color(sheet, RED))
    assert is_color(np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])[None], RED).all()
    left, top, right, bottom = box(~is_color(cell[1:-1, 1:-1], WHITE))
    assert abs(left - (CELL - 2 - right)) <= 2
    assert CELL // 2 - 14 <= top < bottom <= CELL // 2 + 4


# The command.


def test_the_command_writes_a_png_and_refuses_to_replace_it(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, encoded(texture(seed=n))) for n in range(80)])
    out = tmp_path / "sheet.png"

    code, shown, _ = im2rec("inspect", path, "--sheet", out, "-q")
    assert 0 == code
    assert f"  sheet     {out}\n" in shown
    assert (32 + 6 * 166, 8 + 10 * 136, 3) == pixels_of(out.read_bytes()).shape  # 60 of the 80 images
    expected = f"im2rec: {out}: exists already (replace it with --force, or choose another name)\n"
    assert (1, "", expected) == im2rec("inspect", path, "--sheet", out, "-q")
    assert 0 == im2rec("inspect", path, "--sheet", out, "--force").code


def test_a_dry_run_draws_nothing(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, encoded(texture()))])
    assert 0 == im2rec("inspect", path, "--sheet", tmp_path / "sheet.png", "--dry-run").code
    assert not (tmp_path / "sheet.png").exists()


def test_damaged_records_and_those_without_an_image_are_left_out(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, encoded(texture()) if n % 2 else b"") for n in range(9)])
    data = bytearray(path.read_bytes())
    offset = int(path.with_suffix(".idx").read_text().splitlines()[7].split()[1])
    data[offset : offset + 4] = b"????"
    path.write_bytes(bytes(data) + b"abc")

    assert 5 == im2rec("inspect", path, "--sheet", tmp_path / "sheet.png").code
    sheet = pixels_of((tmp_path / "sheet.png").read_bytes())
    assert (32 + 166, 8 + 3 * 136, 3) == sheet.shape


# By identity.


def test_rows_have_a_line_of_text_above_them() -> None:
    rows = [("identity 0: 2 images", [tile_of(RED)] * 2), ("identity 1: 1 image", [tile_of(RED)])]
    sheet = pixels_of(draw_rows(rows, "a title"))

    assert (32 + 2 * (18 + CELL + 38), 8 + 2 * 136) == sheet.shape[:2]
    assert is_color(sheet, RED)[32 + 18 + 60, 8 + 136 + 60]  # the second image of the first row
    second = 32 + (18 + CELL + 38)
    assert is_color(sheet, RED)[second + 18 + 60, 8 + 60]
    assert not is_color(sheet, RED)[second + 18 + 60, 8 + 136 + 60]
    for upper in (32, second):
        assert not is_color(sheet, WHITE)[upper : upper + 16].all()


def test_a_face_set_is_drawn_a_row_for_each_identity(tmp_path: Path) -> None:
    out = tmp_path / "faces.png"
    assert 0 == im2rec("inspect", FACE_SETS / "header_last" / "train.rec", "--sheet", out).code

    sheet = pixels_of(out.read_bytes())
    assert (32 + 4 * (18 + CELL + 38), 8 + 3 * 136) == sheet.shape[:2]


def test_a_sheet_shows_six_identities_and_ten_images_of_each(tmp_path: Path) -> None:
    labels = [label for label in range(13) for _ in range(12)]
    rec = written(tmp_path, images(*labels, first=0), prop="13,16,16")
    assert 0 == im2rec("inspect", rec, "--sheet", tmp_path / "faces.png").code

    sheet = pixels_of((tmp_path / "faces.png").read_bytes())
    assert (32 + 6 * (18 + CELL + 38), 8 + 10 * 136) == sheet.shape[:2]


def test_a_sheet_of_other_files_is_drawn_row_after_row(tmp_path: Path) -> None:
    rec = written(tmp_path, images(*range(13), first=0))
    assert 0 == im2rec("inspect", rec, "--sheet", tmp_path / "all.png").code

    sheet = pixels_of((tmp_path / "all.png").read_bytes())
    assert (32 + 2 * (CELL + 38), 8 + 10 * 136) == sheet.shape[:2]


def test_images_of_an_identity_are_named_by_its_class(tmp_path: Path) -> None:
    rec = written(tmp_path, images(0, 1, first=0), prop="2,16,16")
    (tmp_path / "train.classes.txt").write_text("0\tÄnne\n1\tBea\n")
    drawn_with_names = tmp_path / "names.png"
    assert 0 == im2rec("inspect", rec, "--sheet", drawn_with_names).code
    (tmp_path / "train.classes.txt").unlink()
    assert 0 == im2rec("inspect", rec, "--sheet", tmp_path / "bare.png").code
    with_names, bare = (pixels_of(path.read_bytes()) for path in (drawn_with_names, tmp_path / "bare.png"))
    assert (with_names[32:50, :200] != bare[32:50, :200]).any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("number", "text"), [(np.float32("inf"), "inf"), (np.float32("nan"), "nan"), (2.5, "2.5")])
def test_numbers_that_are_not_finite_are_shown_without_a_warning(number: float, text: str) -> None:
    assert text == number_text(number)

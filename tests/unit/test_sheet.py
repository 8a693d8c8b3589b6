"""Contact sheets as a person sees them: full rows of cells, images fitted and centred, lines of text that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from im2rec.images.sheet import Tile, columns_for, draw_rows, draw_sheet, fitted, labels_text, number_text, record_lines
from im2rec.inspection.image_sample import make_tile, write_sheet
from im2rec.storage.classes import ClassNames

Pixels = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]  # left, top, right, bottom

CELL = 128
WHITE, RED = (255, 255, 255), (192, 32, 32)
FIRST = (8, 37)  # left and top of the first cell below a title of one line
STEP = 136  # from cell to cell
NO_TEXT = ("", "")
LEAST_WIDTH = 8 + 4 * STEP
HEADING = 28  # pixels above a row that has one


def height_of(lines: int) -> int:
    """Pixels of a row of cells with *lines* of text, and the space below it."""
    return CELL + 3 + 15 * lines + 8


def record(content: bytes, label: object = 2.0, id_: int = 7) -> ImageRecord:
    return ImageRecord(IRHeader(0 if isinstance(label, float) else len(label), label, id_), content)  # type: ignore[arg-type]


def tile_of(
    color: tuple[int, int, int], size: tuple[int, int] = (CELL, CELL), lines: tuple[str, str] = NO_TEXT
) -> Tile:
    return Tile(Image.new("RGB", size, color), "", lines)


def drawn(tiles: Sequence[Tile], title: str | Sequence[str] = "", **options: int) -> Pixels:
    """The sheet, (height, width, 3)."""
    return pixels_of(draw_sheet(tiles, title, **options))


def is_color(sheet: Pixels, color: tuple[int, ...]) -> Pixels:
    mask: Pixels = (sheet == color).all(axis=2)
    return mask


def box(mask: Pixels) -> Box:
    """Left, top, right and bottom of the pixels in *mask*, right and bottom excluded."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def test_cells_that_belong_together_have_narrow_gaps() -> None:
    red, blue = tile_of(RED), tile_of((0, 0, 255))
    rows = [("", [red, blue, blue, red])]
    apart, together = (pixels_of(draw_rows(rows, "", together=number)) for number in (1, 2))

    assert apart.shape == together.shape
    for sheet, second in ((apart, 144), (together, 137)):
        columns = np.flatnonzero(np.diff(is_color(sheet, (0, 0, 255))[100].astype(int))) + 1
        assert [second, second + CELL, 280, 280 + CELL] == columns.tolist()


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


def test_a_cell_may_have_another_size() -> None:
    assert (384, 384) == fitted(texture(128, 128), 384).size
    assert (336, 336) == fitted(texture(112, 112), 384).size
    assert (384, 256) == fitted(texture(1000, 1500), 384).size

    sheet = drawn([Tile(fitted(texture(112, 112), 384), "", NO_TEXT)] * 2, cell=384)
    assert (37 + height_of(2) + 256, 8 + 2 * 392, 3) == sheet.shape
    assert np.array_equal(texture(112, 112).repeat(3, axis=0).repeat(3, axis=1), sheet[61:397, 32:368])


def test_id_and_labels_are_the_text_of_a_record() -> None:
    assert ["id 7", "label 2"] == make_tile(record(encoded(texture()))).lines
    names = ClassNames(Path("a.classes.txt"), ["ant", "bee", "cat"])
    assert ["id 7, label 2", "cat"] == make_tile(record(encoded(texture())), names).lines
    assert ["id 7, label 2", "cat"] == make_tile(record(encoded(texture()), [2.0]), names).lines
    assert ["id 7", "label 3"] == make_tile(record(encoded(texture()), 3.0), names).lines
    assert ["id 7", "labels 2 1"] == make_tile(record(encoded(texture()), [2.0, 1.0]), names).lines
    assert ["id 9", "labels 1 0.5 -3 +1\xa0more"] == record_lines(9, [1.0, 0.5, -3.0, 4.0])
    assert ["id 9 (filler)", "labels "] == record_lines("9 (filler)", [])


def test_three_labels_are_shown_and_the_others_counted() -> None:
    assert "1234567 -2000000 nan +17\xa0more" == labels_text([1234567.0, -2e6, float("nan"), *[0.0] * 17])
    assert "inf 0.1 1.23457e+06" == labels_text([float("inf"), 0.1, 1234567.5])
    assert "3 cat" == labels_text([3.0], "cat")
    assert ["", "1", "1 2.5 3"] == [labels_text([1.0, 2.5, 3.0][:count]) for count in (0, 1, 3)]


def test_an_image_that_cannot_be_decoded_is_shown_with_its_reason() -> None:
    tile = make_tile(record(encoded(texture())[:-50]))

    assert tile.image is None
    assert "cut short" == tile.reason


# The sheet.


def test_cells_are_in_rows_from_left_to_right() -> None:
    colors = [(0, 20 * number, 200) for number in range(12)]
    sheet = drawn([tile_of(color) for color in colors])
    corners = [(8 + STEP * (number % 4), 37 + height_of(2) * (number // 4)) for number in range(12)]

    cells = [is_color(sheet, color) for color in colors]
    assert [(left, top, left + CELL, top + CELL) for left, top in corners] == [box(cell) for cell in cells]
    assert {CELL * CELL} == {cell.sum() for cell in cells}


@pytest.mark.parametrize(("count", "columns", "rows"), [(4, 4, 1), (5, 5, 1), (12, 4, 3), (36, 9, 4), (97, 14, 7)])
def test_a_sheet_is_as_large_as_its_cells_need(count: int, columns: int, rows: int) -> None:
    assert (37 + height_of(2) * rows, 8 + STEP * columns, 3) == drawn([tile_of((0, 0, 0))] * count).shape


@pytest.mark.parametrize(
    ("count", "columns"),
    [
        *((number, number) for number in range(1, 8)),
        (10, 5),
        (36, 9),
        (60, 10),
        (100, 10),
        (128, 16),
        (256, 16),
        (400, 16),
    ],
)
def test_the_last_row_of_a_sheet_is_full_where_that_is_possible(count: int, columns: int) -> None:
    assert columns == columns_for(count)
    assert 0 == count % columns


def test_few_cells_are_left_empty_where_some_must_be() -> None:
    for count in range(17, 2000):
        columns = columns_for(count)
        empty = -count % columns
        assert 4 <= columns <= 16
        assert empty == min(-count % number for number in range(4, 17))
    assert [6, 5, 9, 14] == [columns_for(count) for count in (17, 19, 53, 97)]


def test_a_sheet_of_few_images_is_wide_enough_for_a_title() -> None:
    for count in (0, 1, 2, 3):
        assert LEAST_WIDTH == drawn([tile_of((0, 0, 0))] * count).shape[1]


def test_bytes_of_a_name_that_are_no_text_are_drawn_as_question_marks() -> None:
    odd, expected = (drawn([tile_of(WHITE, lines=("id 1", text))]) for text in ("label 1 caf\udce9\n", "label 1 caf??"))

    assert np.array_equal(expected, odd)


def test_the_sheet_of_a_file_has_the_names_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Sequence[str]] = []
    monkeypatch.setattr(
        "im2rec.inspection.image_sample.draw_sheet",
        lambda tiles, _title: lines.extend(tile.lines for tile in tiles) or b"",
    )
    write_rec(tmp_path / "a_val.rec", [image_payload(0, 1, encoded(texture())), image_payload(1, 0, b"x")])
    (tmp_path / "a.classes.txt").write_text("cat\ndog\n")
    write_sheet(tmp_path / "a_val.rec", tmp_path / "a.png")

    assert [["id 0, label 1", "dog"], ["id 1, label 0", "cat"]] == lines


def test_a_sheet_without_tiles_has_its_title_alone() -> None:
    sheet = drawn([], "nothing")

    assert 37 == sheet.shape[0]
    assert not is_color(sheet, WHITE).all()


def test_an_image_is_centred_in_a_framed_cell() -> None:
    for size, offset in {(64, 128): (32, 0), (128, 10): (0, 59), (85, 40): (21, 44)}.items():
        sheet = drawn([tile_of((0, 0, 200), size)])
        expected = FIRST[0] + offset[0], FIRST[1] + offset[1]
        assert (*expected, expected[0] + size[0], expected[1] + size[1]) == box(is_color(sheet, (0, 0, 200)))
        left, top = FIRST
        assert (left - 1, top - 1, left + CELL + 1, top + CELL + 1) == box(~is_color(sheet, WHITE))


def text_extents(sheet: Pixels) -> list[tuple[int, int, int, int]]:
    """Left, right, top and bottom of the lines of text below the first cell, which blank rows separate."""
    ink = ~is_color(sheet, WHITE)
    ink[: FIRST[1] + CELL + 1] = False
    edges = np.flatnonzero(np.diff(ink.any(axis=1))) + 1
    return [(*box(ink[top:bottom])[::2], int(top), int(bottom)) for top, bottom in zip(*[iter(edges)] * 2, strict=True)]


def test_lines_of_text_are_centred_below_each_cell() -> None:
    lines = text_extents(drawn([tile_of((0, 0, 200), lines=("HIDE", "Hg|j HHHH"))]))
    assert 2 == len(lines)
    assert 168 <= lines[0][2]
    assert lines[1][3] <= FIRST[1] + height_of(2)  # where the next row of cells starts
    for left, right, _, _ in lines:
        assert abs((left - FIRST[0]) - (FIRST[0] + CELL - right)) <= 2
    both = drawn([tile_of((0, 0, 200), lines=("first", "second"))] * 2)
    assert np.array_equal(both[168:, 8 : 8 + CELL], both[168:, 144 : 144 + CELL])


def test_text_that_is_wider_than_its_cell_goes_on_in_further_lines() -> None:
    sheet = drawn([tile_of((0, 0, 200), lines=("HIDE", "HIDEOUT " * 5)), tile_of((0, 0, 200), lines=("HIDE",))])

    lines = text_extents(sheet[:, :140])
    assert 4 == len(lines)
    assert 37 + height_of(4) == sheet.shape[0]
    assert all(FIRST[0] <= left < right <= FIRST[0] + CELL for left, right, _, _ in lines)


def test_a_row_without_long_texts_is_not_higher_for_those_of_others() -> None:
    few, many = (tile_of((0, 0, 200), lines=("HIDE", text)) for text in ("HIDE", "HIDEOUT " * 5))

    assert 37 + height_of(2) + height_of(4) == drawn([few] * 4 + [many] * 4, columns=4).shape[0]


def test_a_cell_with_many_lines_of_its_own_shows_them_all() -> None:
    tile = tile_of((0, 0, 200), lines=[f"HIDE {number}" for number in range(7)])

    assert 7 == len(text_extents(drawn([tile])))
    assert 37 + height_of(7) == drawn([tile]).shape[0]


def test_a_title_that_is_wider_than_the_sheet_goes_on_in_further_lines() -> None:
    short, long, longest = (drawn([tile_of((0, 0, 200))], "HI " * number) for number in (1, 40, 400))
    left, top, right, bottom = box(~is_color(longest[: -height_of(2) - 1], WHITE))

    assert {LEAST_WIDTH} == {sheet.shape[1] for sheet in (short, long, longest)}
    assert short.shape[0] < long.shape[0] < longest.shape[0]
    assert 8 <= left <= 10
    assert 8 <= longest.shape[1] - right
    assert 8 <= top < bottom <= longest.shape[0] - height_of(2)
    assert box(~is_color(short[: FIRST[1] - 1], WHITE))[:2] == (left, top)


def test_the_further_lines_of_a_title_are_grey() -> None:
    sheet = drawn([], ["HIDE", "HIDE", "HIDE"])
    lines = [sheet[8:29], sheet[29:45], sheet[45:61]]

    assert [False, True, True] == [106 <= line.min() < 150 for line in lines]
    assert 69 == sheet.shape[0]


def test_an_image_that_is_missing_leaves_a_red_frame_around_its_reason() -> None:
    sheet = drawn([tile_of((0, 0, 200)), Tile(None, "cut short", ("id 1", "label 2"))])
    cell = sheet[FIRST[1] - 1 : FIRST[1] + CELL + 1, 143 : 145 + CELL]

    assert (143, FIRST[1] - 1, 145 + CELL, FIRST[1] + CELL + 1) == box(is_color(sheet, RED))
    assert is_color(np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])[None], RED).all()
    left, top, right, bottom = box(~is_color(cell[1:-1, 1:-1], tuple(cell[1, 1])))
    assert abs(left - (CELL - right)) <= 2
    assert abs(top - (CELL - bottom)) <= 4


@pytest.mark.parametrize("reason", ["image file is truncated (17 bytes not processed)", "HIDE " * 500, "H" * 5000])
def test_a_reason_is_wrapped_to_fit_its_cell(reason: str) -> None:
    sheet = drawn([Tile(None, reason, NO_TEXT)])
    cell = sheet[FIRST[1] : FIRST[1] + CELL, 8 : 8 + CELL]
    left, top, right, bottom = box(~is_color(cell, tuple(cell[0, 0])))

    assert 8 <= left < right <= CELL - 8
    assert 4 <= top < bottom <= CELL - 4
    assert 15 < bottom - top  # more than one line
    assert is_color(sheet[FIRST[1] + CELL + 1 :], WHITE).all()


# The command.


def test_the_command_writes_a_png_and_refuses_to_replace_it(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, encoded(texture(seed=n))) for n in range(80)])
    out = tmp_path / "sheet.png"

    code, shown, _ = im2rec("inspect", path, "--sheet", out, "-q")
    assert 0 == code
    assert f"  sheet     {out}\n" in shown
    assert (37 + 16 + 6 * height_of(2), 8 + 10 * STEP, 3) == pixels_of(out.read_bytes()).shape  # 60 of the 80 images
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
    assert (37 + 16 + height_of(2), LEAST_WIDTH, 3) == sheet.shape
    frames = [(sheet[FIRST[1] + 20, 7 + STEP * column] == (216, 216, 216)).all() for column in range(4)]
    assert [True, True, True, False] == frames


def ids_shown(rec: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the images on the sheet of *rec*, which is written to *out*."""
    lines: list[str] = []
    monkeypatch.setattr(
        "im2rec.inspection.image_sample.draw_sheet",
        lambda tiles, _title: lines.extend(t.lines[0] for t in tiles) or b"",
    )
    write_sheet(rec, out, force=True)
    return [int(line.removeprefix("id ").partition(",")[0]) for line in lines]


@pytest.mark.parametrize(
    ("name", "has_image"),
    [
        ("all", lambda _number: True),
        ("every third", lambda number: number % 3 == 1),
        ("all but the last ones", lambda number: number < 350),
        ("the second half", lambda number: number >= 200),
        ("the last ones", lambda number: number >= 340),
    ],
)
def test_a_sheet_is_full_wherever_the_records_without_an_image_are(
    name: str, has_image: Callable[[int], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(texture(8, 8))
    payloads = [image_payload(number, 0, content if has_image(number) else b"") for number in range(400)]
    shown = ids_shown(write_rec(tmp_path / "a.rec", payloads), tmp_path / "a.png", monkeypatch)

    assert (60, True) == (len(set(shown)), all(map(has_image, shown))), name
    assert sorted(shown) == shown
    held = [number for number in range(400) if has_image(number)]
    assert held[0] == shown[0]
    assert shown[-1] >= held[-8]


def test_all_images_are_shown_where_they_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(texture(8, 8))
    held = [7, 8, 9, 100, 398]
    payloads = [image_payload(number, 0, content if number in held else b"") for number in range(400)]

    assert held == ids_shown(write_rec(tmp_path / "a.rec", payloads), tmp_path / "a.png", monkeypatch)


def test_a_file_without_a_whole_record_has_an_empty_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(0, 0, encoded(texture()))])
    rec.write_bytes(rec.read_bytes()[:60])

    assert [] == ids_shown(rec, tmp_path / "a.png", monkeypatch)


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (lambda number: (number % 3, encoded(texture(8, 8))), "60 of 70 images, evenly spread, 3 classes"),
        (lambda number: (number % 3, encoded(texture(8, 8)) if number < 9 else b""), "9 images, 3 classes"),
        (lambda number: (number / 2, encoded(texture(8, 8)) if number < 9 else b""), "9 images"),
        (lambda number: (1, encoded(texture(8, 8)) if number < 1 else b"no image"), "60 of 70 records, evenly spread"),
    ],
)
def test_the_title_says_how_many_of_how_many_images_and_classes(
    contents: Callable[[int], tuple[float, bytes]], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[object] = []
    monkeypatch.setattr("im2rec.inspection.image_sample.draw_sheet", lambda _tiles, title: titles.append(title) or b"x")
    rec = write_rec(tmp_path / "a bird.rec", [image_payload(number, *contents(number)) for number in range(70)])
    im2rec("inspect", rec, "--sheet", tmp_path / "a.png")
    write_sheet(rec, tmp_path / "b.png")

    assert ["a bird.rec", text] == titles[0]
    assert 2 == len(titles)


# By identity.


def test_rows_have_a_line_of_text_above_them() -> None:
    rows = [("identity 0: 2 images", [tile_of(RED)] * 2), ("identity 1: 1 image", [tile_of(RED)])]
    sheet = pixels_of(draw_rows(rows, "a title"))

    assert (37 + 2 * (HEADING + height_of(2)), LEAST_WIDTH) == sheet.shape[:2]
    assert is_color(sheet, RED)[37 + HEADING + 60, 8 + STEP + 60]  # the second image of the first row
    second = 37 + HEADING + height_of(2)
    assert is_color(sheet, RED)[second + HEADING + 60, 8 + 60]
    assert not is_color(sheet, RED)[second + HEADING + 60, 8 + STEP + 60]
    for upper in (37, second):
        assert not is_color(sheet, WHITE)[upper : upper + 16].all()


def test_a_row_of_more_tiles_than_columns_goes_on_below_without_a_second_heading() -> None:
    rows = [("a heading", [tile_of(RED)] * 5), ("", [tile_of(RED)]), ("of nothing", [])]
    sheet = pixels_of(draw_rows(rows, "", columns=3))

    assert 37 + HEADING + 3 * height_of(2) + HEADING + 8 == sheet.shape[0]
    counts = is_color(sheet, RED)[37 + HEADING + 60 :: height_of(2)].sum(axis=1).tolist()
    assert [3 * CELL, 2 * CELL, CELL] == counts[:3]


def test_a_face_set_is_drawn_a_row_for_each_identity(tmp_path: Path) -> None:
    out = tmp_path / "faces.png"
    assert 0 == im2rec("inspect", FACE_SETS / "header_last" / "train.rec", "--sheet", out).code

    sheet = pixels_of(out.read_bytes())
    assert (37 + 16 + 4 * (HEADING + height_of(1)), LEAST_WIDTH) == sheet.shape[:2]


def test_a_sheet_shows_six_identities_and_ten_images_of_each(tmp_path: Path) -> None:
    labels = [label for label in range(13) for _ in range(12)]
    rec = written(tmp_path, images(*labels, first=0), prop="13,16,16")
    assert 0 == im2rec("inspect", rec, "--sheet", tmp_path / "faces.png").code

    sheet = pixels_of((tmp_path / "faces.png").read_bytes())
    assert (37 + 16 + 6 * (HEADING + height_of(1)), 8 + 10 * STEP) == sheet.shape[:2]


def test_a_sheet_of_other_files_is_drawn_row_after_row(tmp_path: Path) -> None:
    rec = written(tmp_path, images(*range(14), first=0))
    assert 0 == im2rec("inspect", rec, "--sheet", tmp_path / "all.png").code

    sheet = pixels_of((tmp_path / "all.png").read_bytes())
    assert (37 + 16 + 2 * height_of(2), 8 + 7 * STEP) == sheet.shape[:2]


def test_images_of_an_identity_are_named_by_its_class(tmp_path: Path) -> None:
    rec = written(tmp_path, images(0, 1, first=0), prop="2,16,16")
    (tmp_path / "train.classes.txt").write_text("0\tÄnne\n1\tBea\n")
    drawn_with_names = tmp_path / "names.png"
    assert 0 == im2rec("inspect", rec, "--sheet", drawn_with_names).code
    (tmp_path / "train.classes.txt").unlink()
    assert 0 == im2rec("inspect", rec, "--sheet", tmp_path / "bare.png").code
    with_names, bare = (pixels_of(path.read_bytes()) for path in (drawn_with_names, tmp_path / "bare.png"))
    assert (with_names[53:78, :300] != bare[53:78, :300]).any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("number", "text"), [(np.float32("inf"), "inf"), (np.float32("nan"), "nan"), (2.5, "2.5")])
def test_numbers_that_are_not_finite_are_shown_without_a_warning(number: float, text: str) -> None:
    assert text == number_text(number)

import io
from pathlib import Path

import numpy as np
from helpers import image_payload, write_rec
from image_helpers import encoded, im2rec, texture
from PIL import Image

from im2rec.format.irheader import ImageRecord, IRHeader
from im2rec.images.sheet import CELL, COLUMNS, draw_sheet
from im2rec.inspection.image_sample import tile


def record(content: bytes, label: object = 2.0, id_: int = 7) -> ImageRecord:
    return ImageRecord(IRHeader(0 if isinstance(label, float) else len(label), label, id_), content)  # type: ignore[arg-type]


def test_the_longer_edge_of_a_image_fills_its_cell() -> None:
    for size in ((300, 200), (200, 300), (2000, 150)):
        shown = tile(record(encoded(texture(*size)))).image
        assert shown is not None
        assert CELL == max(shown.size)


def test_a_tiny_image_is_enlarged_in_whole_steps() -> None:
    shown = tile(record(encoded(texture(10, 24), "PNG"))).image

    assert shown is not None
    assert (24 * 5, 10 * 5) == shown.size
    assert np.array_equal(np.asarray(shown)[::5, ::5], texture(10, 24))


def test_id_and_labels_stand_below() -> None:
    assert ("id 7", "label 2") == tile(record(encoded(texture()))).lines
    assert ("id 9", "labels 1 0.5 -3 ...") == tile(record(encoded(texture()), [1.0, 0.5, -3.0, 4.0], 9)).lines


def test_what_cannot_be_decoded_is_shown_with_its_reason() -> None:
    shown = tile(record(encoded(texture())[:-50]))
    assert (None, "cut short") == (shown.image, shown.reason)


def test_tiles_stand_in_rows_and_the_first_image_in_the_first_cell() -> None:
    tiles = [tile(record(encoded(np.full((CELL, CELL, 3), 10 * n, np.uint8), "PNG"))) for n in range(COLUMNS + 1)]
    sheet = np.asarray(Image.open(io.BytesIO(draw_sheet(tiles, "eleven"))))
    one = np.asarray(Image.open(io.BytesIO(draw_sheet(tiles[:1], "x"))))

    assert sheet.shape[0] > 2 * CELL
    assert sheet.shape[1] > COLUMNS * CELL
    for number in range(COLUMNS + 1):
        assert (sheet == 10 * number).all(axis=2).sum() >= CELL * CELL * 0.9  # its cell, and nothing over it
    assert one.shape[0] < 2 * CELL


def test_the_command_writes_a_png_and_refuses_to_replace_it(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, encoded(texture(seed=n))) for n in range(80)])
    out = tmp_path / "sheet.png"

    code, said, _ = im2rec("inspect", path, "--sheet", out, "-q")
    assert 0 == code
    assert f"  sheet     {out}\n" in said
    assert out.read_bytes().startswith(b"\x89PNG")
    expected = f"im2rec: {out}: exists already (replace it with --force, or choose another name)\n"
    assert (1, "", expected) == im2rec("inspect", path, "--sheet", out, "-q")
    assert 0 == im2rec("inspect", path, "--sheet", out, "--force").code


def test_a_dry_run_draws_nothing(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, encoded(texture()))])
    assert 0 == im2rec("inspect", path, "--sheet", tmp_path / "sheet.png", "--dry-run").code
    assert not (tmp_path / "sheet.png").exists()


def test_damage_and_records_without_images_are_passed_over(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, encoded(texture()) if n % 2 else b"") for n in range(9)])
    data = bytearray(path.read_bytes())
    data[-400:-396] = b"????"
    path.write_bytes(bytes(data) + b"abc")

    assert 5 == im2rec("inspect", path, "--sheet", tmp_path / "sheet.png").code
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")

"""Tests of ``im2rec iterate --replay`` and ``--sheet-draws``: they draw the images that the iterator delivers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import bounds, image_payload, write_rec
from image_helpers import POSIX, Ran, encoded, im2rec, names_in, texture
from iterator_helpers import CUT, NO_IMAGE, TEXT, a_rec, in_fours, payloads
from PIL import Image

from im2rec.images.sheet import CELL, MARGIN, fitted
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.runs import draws_sheet
from im2rec.runs.changes import Change
from im2rec.runs.draws_sheet import _short_lines
from im2rec.runs.replay import SIDE

SMALL = ["some.rec", "--batch-size", "4", "-q"]
RANDOM: dict[str, Any] = {"rand_crop": 1, "rand_mirror": 1, "brightness": 0.4, "data_shape": (3, 6, 6), "seed": 3}
RANDOM_WORDS = ["rand_crop=1", "rand_mirror=1", "brightness=0.4", "seed=3", "--data-shape", "3,6,6"]
Pixels = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def some(here: Path) -> Path:
    """Ten records in the current folder, with images of 10 x 8 pixels."""
    return a_rec(here)


def delivered(it: ImageRecordIter, epochs: int) -> dict[tuple[int, int], Pixels]:
    """Each image that *it* delivers, to be looked at, by epoch and id."""
    look = loader_of(it).augmenter.row_to_image
    return {
        (epoch, id_): look(row)
        for epoch in range(epochs)
        for batch in it
        for row, id_ in zip(batch.data[0], batch.index.tolist(), strict=True)
    }


def opened(path: str | Path) -> Pixels:
    with Image.open(path) as image:
        assert ("PNG", "RGB") == (image.format, image.mode)
        return np.asarray(image)


def places_of(image: Pixels, sheet: Pixels, column: int, cell: int) -> Iterator[int]:
    """The rows of *sheet* from which on *image* is in the cell of *column*, in its middle."""
    height, width, _ = image.shape
    left = MARGIN + column * (cell + MARGIN) + (cell - width) // 2
    part = sheet[:, left : left + width]
    for upper in range(len(part) - height + 1):
        if (part[upper : upper + height] == image).all():
            yield upper


# --replay


def test_a_replay_shows_the_image_that_was_delivered_beside_the_stored_one(some: Path, tmp_path: Path) -> None:
    with in_fours(some, **RANDOM, shuffle=1) as it:
        images = delivered(it, 3)
    stored = texture(8, 10, seed=7)
    for epoch in range(3):
        done = im2rec("iterate", *SMALL, *RANDOM_WORDS, "shuffle=1", "--replay", f"record=7,epoch={epoch}")
        assert (0, "") == (done.code, done.err)
        sheet = opened(tmp_path / f"epoch{epoch}_record7.png")
        assert 1 == len(list(places_of(np.asarray(fitted(images[epoch, 107], SIDE)), sheet, 1, SIDE)))
        before = np.asarray(fitted(stored, SIDE))
        assert [] == list(places_of(before, sheet, 0, SIDE))  # there is a frame in it
    assert 5 == len(names_in(tmp_path))  # three images, the file and its index


def test_an_image_that_is_shown_whole_has_no_frame(tmp_path: Path) -> None:
    assert 0 == im2rec("iterate", *SMALL, "--data-shape", "3,8,10", "--replay", "record=2,epoch=0").code
    sheet = opened(tmp_path / "epoch0_record2.png")
    image = np.asarray(fitted(texture(8, 10, seed=2), SIDE))
    (upper,) = places_of(image, sheet, 0, image.shape[1])

    assert [upper] == list(places_of(image, sheet, 1, image.shape[1]))


REPLAYED = """\
record 3 of some.rec in epoch 2
  id       103
  label    3 ant
  stored   10 x 8 pixels
  made     6 x 6 pixels
  steps    crop x {crop_x:.0f}, y {crop_y:.0f}, 6 x 6 of 10 x 8
           mirror
  drawn    crop_y = {crop_y:.0f}, crop_x = {crop_x:.0f}, mirror = 1
  seed     3
  written  epoch2_record3.png
"""


def test_a_replay_prints_the_steps_that_changed_the_image_and_the_numbers_behind_them() -> None:
    Path("some.classes.txt").write_text("a\nb\nc\nant\n")
    words = [*SMALL, "--data-shape", "3,6,6", "rand_crop=1", "rand_mirror=1", "seed=3", "--replay", "epoch=2,record=3"]
    data = json.loads(im2rec("iterate", *words, "--json").out)
    done = im2rec("iterate", *words, "--force")

    assert Ran(0, REPLAYED.format(**data["drawn"]), "") == done
    assert {"record": 3, "epoch": 2, "id": 103, "labels": [3], "class_name": "ant"}.items() <= data.items()
    assert ["mirror"] == data["acted"][1:]
    assert {"crop_y", "crop_x", "mirror"} == data["used"].keys()
    assert 2 == len(data["steps"])  # with those that change nothing, and all their values


def test_steps_and_numbers_without_effect_are_left_to_json() -> None:
    words = [*SMALL, "--data-shape", "3,8,10", "brightness=0.3", "max_rotate_angle=0", "rand_crop=1", "resize=8"]
    data = json.loads(im2rec("iterate", *words, "--replay", "epoch=0,record=3", "--json").out)

    assert 1 == len(data["acted"])
    assert data["acted"][0].startswith("brightness x ")
    assert {"brightness"} == data["used"].keys()
    assert {"brightness", "contrast", "saturation", "crop_x", "jitter_order_1"} <= data["drawn"].keys()
    assert ["Resize", "Crop", "Brightness", "Contrast", "Saturation", "Normalization"] == sorted(
        (step.split(":")[0] for step in data["steps"]),
        key=["Resize", "Crop", "Brightness", "Contrast", "Saturation", "Normalization"].index,
    )
    table = im2rec("iterate", *SMALL, "--data-shape", "3,8,10", "--replay", "epoch=0,record=3", "--force").out
    assert "  steps    none that changed the image\n" in table
    assert "  drawn" not in table


def test_a_replay_is_written_to_the_folder_of_sheet_and_replaces_a_file_only_with_force(tmp_path: Path) -> None:
    words = [*SMALL, "--replay", "epoch=0,record=3", "--sheet", "new"]

    assert 0 == im2rec("iterate", *words).code
    assert ["epoch0_record3.png"] == names_in(tmp_path / "new")
    refused = im2rec("iterate", *words)
    assert (1, "") == (refused.code, refused.out)
    assert refused.err.startswith("im2rec: new/epoch0_record3.png: exists already")
    assert 0 == im2rec("iterate", *words, "--force").code


def test_a_dry_run_of_a_replay_writes_nothing(tmp_path: Path) -> None:
    done = im2rec("iterate", *SMALL, "--replay", "epoch=0,record=3", "--dry-run")

    assert (0, "  would write  epoch0_record3.png") == (done.code, done.out.splitlines()[-1])
    assert ["some.idx", "some.rec"] == names_in(tmp_path)


REPLAY_ERRORS = {
    ("foo",): "--replay foo must be epoch=E,record=N, both counted from 0",
    ("epoch=1",): "--replay epoch=1 must be epoch=E,record=N, both counted from 0",
    ("epoch=1,record=-1",): "--replay epoch=1,record=-1 must be epoch=E,record=N, both counted from 0",
    ("epoch=1,record=x",): "--replay epoch=1,record=x must be epoch=E,record=N, both counted from 0",
    ("epoch=1,record=1,record=2",): "--replay epoch=1,record=1,record=2 must be epoch=E,record=N, both counted from 0",
    ("epoch=1,record=1", "--epochs", "2"): "--epochs has no meaning with --replay, which names its epoch",
    ("epoch=1,record=1", "--max-batches", "2"): "--max-batches has no meaning with --replay, which names its epoch",
    ("epoch=0,record=10",): "--replay record=10 must be 0 to 9",
    ("epoch=0,record=1", "rng=mxnet"): (
        "--replay needs rng=im2rec: with rng=mxnet a record's numbers follow from all before it"
    ),
}


@pytest.mark.parametrize("words", REPLAY_ERRORS)
def test_a_wrong_replay_is_exit_code_2_and_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert Ran(2, "", f"im2rec: {REPLAY_ERRORS[words]}\n") == im2rec("iterate", *SMALL, "--replay", *words)
    assert ["some.idx", "some.rec"] == names_in(tmp_path)


def test_a_record_without_an_image_cannot_be_replayed(tmp_path: Path) -> None:
    records = [image_payload(0, [7, 9], b""), *payloads(4), image_payload(5, 5.0, TEXT)]
    write_rec(tmp_path / "some.rec", records)
    labels = im2rec("iterate", *SMALL, "--replay", "epoch=0,record=0")
    text = im2rec("iterate", *SMALL, "--replay", "epoch=0,record=5")

    assert Ran(2, "", "im2rec: --replay record=0 holds labels and no image (set records=all)\n") == labels
    assert "" == text.out
    assert text.err.startswith(f"im2rec: some.rec, record 5, id 5, byte {bounds(records)[5]}: {NO_IMAGE}")


# --sheet-draws


@pytest.mark.parametrize("words", [[], ["shuffle=1"], ["--kind", "uint8"], ["layout=NHWC", "mean_g=99", "std_r=3"]])
def test_the_draws_are_the_images_that_the_iterator_delivers(some: Path, words: Sequence[str]) -> None:
    given = dict(word.split("=") for word in words if "=" in word)
    if "uint8" in words:
        given["dtype"] = "uint8"
    with in_fours(some, **RANDOM, **given, preprocess_threads=3) as it:
        images = delivered(it, 4)
    done = im2rec("iterate", *SMALL, *RANDOM_WORDS, *words, "--sheet-draws", "4")
    assert (0, "") == (done.code, done.err)

    sheet = opened("draws.png")
    shown = [0, 1, 2, 3, 5, 6, 7, 9]  # eight of ten records, evenly spread
    uppers = []
    for record in shown:
        (upper,) = places_of(np.asarray(fitted(texture(8, 10, seed=record))), sheet, 0, CELL)
        uppers.append(
            upper - (CELL - 8 * 12) // 2
        )  # from the upper edge of the cell on; the image is 12 times as large
        for epoch in range(4):
            cell = np.asarray(fitted(images[epoch, 100 + record]))
            assert uppers[-1] + (CELL - 6 * 21) // 2 in places_of(cell, sheet, 1 + epoch, CELL)
    assert sorted(uppers) == uppers


DREW = """\
drew 8 of 10 records of some.rec, each as stored and as in epochs 0 to 2
  set      data_shape=3,6,6 rand_crop=1 rand_mirror=1
  seed     7
  written  draws.png
"""
NEXT = "next: im2rec iterate some.rec rand_crop=1 rand_mirror=1 seed=7 verbose=0 --batch-size 4 --data-shape 3,6,6"


def test_a_sheet_of_draws_prints_what_it_shows_and_the_replay_of_a_draw() -> None:
    words = ["some.rec", "rand_crop=1", "rand_mirror=1", "seed=7", "--batch-size", "4", "--data-shape", "3,6,6"]
    done = im2rec("iterate", *words, "verbose=0", "--sheet-draws", "3")

    assert Ran(0, f"{DREW}{NEXT} --replay epoch=2,record=0\n", "") == done
    assert 0 == im2rec(*done.out.splitlines()[-1].split()[2:]).code


def test_the_object_of_a_sheet_has_the_changes_that_a_replay_has() -> None:
    Path("some.classes.txt").write_text("".join(f"class {n}\n" for n in range(10)))
    words = [*SMALL, *RANDOM_WORDS, "mean_r=7"]
    data = json.loads(im2rec("iterate", *words, "--sheet-draws", "2", "--json").out)

    assert (8, 2, 3, "draws.png", []) == (
        len(data["drawn_images"]),
        *(data[key] for key in ("epochs", "seed", "image", "warnings")),
    )
    assert ["data_shape=3,6,6", "rand_crop=1", "brightness=0.4", "rand_mirror=1", "mean_r=7"] == data["parameters"]
    image = data["drawn_images"][-1]
    assert {"record": 9, "ordinal": 9, "id": 109, "labels": [9], "class_name": "class 9"}.items() <= image.items()
    assert {"height": 8, "width": 10, "problems": []}.items() <= image.items()
    for epoch in range(2):
        replayed = json.loads(im2rec("iterate", *words, "--replay", f"epoch={epoch},record=9", "--json").out)
        assert [words for words in replayed["acted"] if "normalise" not in words] == image["draws"][epoch]


NOTHING_RANDOM = (
    "the draws are all the same, as no random augmentation is set; rand_crop=1, rand_mirror=1 or brightness=0.3"
    " would change that (--list-params lists all keys)"
)


@pytest.mark.parametrize(
    ("words", "warning"),
    [([], NOTHING_RANDOM), (["rand_crop=1"], "the draws are all the same: rand_crop changed none of them")],
)
def test_draws_that_are_all_the_same_give_a_warning(words: list[str], warning: str) -> None:
    done = im2rec("iterate", *SMALL, "--data-shape", "3,8,10", *words, "--sheet-draws", "3")

    assert (0, f"warning: {warning}\n") == (done.code, done.err)
    assert Path("draws.png").exists()


def test_one_draw_of_something_random_gives_no_warning() -> None:
    done = im2rec("iterate", *SMALL, "--data-shape", "3,8,10", "rand_crop=1", "--sheet-draws", "1")

    assert (0, "") == (done.code, done.err)
    assert done.out.startswith("drew 8 of 10 records of some.rec, each as stored and as in epoch 0\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [0, 1, 2, 3, 5, 6, 7, 9]),
        (["num_parts=2", "part_index=1"], [5, 6, 7, 8, 9]),
        (["num_parts=2", "part_index=1", "shuffle=1", "shuffle_scope=part"], [5, 6, 7, 8, 9]),
        (["num_parts=2", "part_index=1", "shuffle=1"], [0, 1, 2, 3, 5, 6, 7, 9]),
    ],
)
def test_the_images_are_spread_over_the_records_of_the_part(words: list[str], expected: list[int]) -> None:
    done = im2rec("iterate", *SMALL, "rand_mirror=1", *words, "--sheet-draws", "2", "--json")

    assert expected == [image["ordinal"] for image in json.loads(done.out)["drawn_images"]]


def test_a_part_without_records_is_one_line() -> None:
    a_rec(Path(), 2)
    done = im2rec("iterate", *SMALL, "num_parts=3", "part_index=0", "--sheet-draws", "2")

    assert Ran(2, "", "im2rec: part_index=0 has no records (set a lower num_parts)\n") == done


def test_records_without_an_image_have_the_reason_in_their_place_and_give_exit_code_3() -> None:
    small = encoded(texture(5, 5), "PNG")
    records = payloads(6, bad={1: TEXT, 2: CUT, 3: small, 4: b""})
    write_rec(Path("some.rec"), records)
    words = ["some.rec", "rand_crop=1", "min_crop_size=6", "max_crop_size=8", "--data-shape", "3,6,6"]
    done = im2rec("iterate", *words, "--sheet-draws", "2", "--json")
    images = json.loads(done.out)["drawn_images"]

    assert 3 == done.code
    assert [0, 1, 1, 1, 1, 0] == [len(image["problems"]) for image in images]
    assert [10, None, 64, 5, None, 10] == [image["width"] for image in images]
    assert [2, 0, 2, 2, 0, 2] == [len(image["draws"]) for image in images]
    shown = im2rec("iterate", *words, "--sheet-draws", "2", "--force")
    assert f"problems  some.rec, record 1, id 101, byte {bounds(records)[1]}: {NO_IMAGE}"[:60] in shown.out
    assert "next: im2rec inspect some.rec --verify" == shown.out.splitlines()[-1]


def test_a_damaged_file_gives_exit_code_5_and_the_command_that_saves_the_rest() -> None:
    content = bytearray(Path("some.rec").read_bytes())
    content[bounds(payloads(10))[3]] ^= 1
    Path("some.rec").write_bytes(content)
    done = im2rec("iterate", "some.rec", "on_error=skip", "rand_mirror=1", "--batch-size", "4", "--sheet-draws", "2")

    assert 5 == done.code
    assert "damaged  1 range of" in done.out
    assert "next: im2rec recover some.rec some_recovered.rec" == done.out.splitlines()[-1]


def test_a_sheet_of_draws_is_written_to_the_folder_of_sheet_and_replaces_a_file_only_with_force(tmp_path: Path) -> None:
    words = [*SMALL, "rand_mirror=1", "--sheet-draws", "2", "--sheet", "né w"]

    assert 0 == im2rec("iterate", *words, "--dry-run").code
    assert ["some.idx", "some.rec"] == names_in(tmp_path)
    assert 0 == im2rec("iterate", *words).code
    assert ["draws.png"] == names_in(tmp_path / "né w")
    refused = im2rec("iterate", *words)
    assert (1, "") == (refused.code, refused.out)
    assert refused.err.startswith("im2rec: né w/draws.png: exists already")
    assert 0 == im2rec("iterate", *words, "--force").code


@POSIX
def test_a_read_only_folder_is_an_error_of_one_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "closed").mkdir(mode=0o555)
    done = im2rec("iterate", *SMALL, "rand_mirror=1", "--sheet-draws", "2", "--sheet", "closed")

    assert (1, 1) == (done.code, len(done.err.splitlines()))
    assert done.err.startswith("im2rec: closed/draws.png: cannot be written: permission denied")


DRAWS_ERRORS = {
    ("3", "rng=mxnet"): ("--sheet-draws needs rng=im2rec: with rng=mxnet a record's numbers follow from all before it"),
    ("3", "--replay", "epoch=0,record=1"): (
        "--replay and --sheet-draws draw two different images (leave one of the two out)"
    ),
    ("3", "--epochs", "2"): "--epochs has no meaning with --sheet-draws, whose draws are those of the first epochs",
    ("3", "--max-batches", "2"): (
        "--max-batches has no meaning with --sheet-draws, whose draws are those of the first epochs"
    ),
}


@pytest.mark.parametrize("words", DRAWS_ERRORS)
def test_wrong_words_for_draws_are_exit_code_2_and_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert Ran(2, "", f"im2rec: {DRAWS_ERRORS[words]}\n") == im2rec("iterate", *SMALL, "--sheet-draws", *words)
    assert ["some.idx", "some.rec"] == names_in(tmp_path)


@pytest.mark.parametrize("count", ["0", "32", "x"])
def test_a_number_of_draws_that_fits_no_sheet_is_exit_code_2(count: str) -> None:
    done = im2rec("iterate", *SMALL, "--sheet-draws", count)

    assert (2, "", 1) == (done.code, done.out, len(done.err.splitlines()))
    assert "--sheet-draws" in done.err


def drawn_rows(monkeypatch: pytest.MonkeyPatch, *words: object) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """The headings of a sheet of draws, and for each cell below one the reason why it is empty, and its lines."""
    rows: list[Any] = []
    monkeypatch.setattr(draws_sheet, "draw_rows", lambda given, *_, **__: rows.extend(given) or b"")
    im2rec("iterate", *SMALL, *words, "--sheet-draws", "2", "--force")
    return [(heading, [(tile.reason, list(tile.lines)) for tile in tiles]) for heading, tiles in rows]


def test_a_heading_names_the_record_and_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("some.classes.txt").write_text("a\n猫\n", encoding="utf-8")
    write_rec(Path("some.rec"), payloads(4, bad={2: TEXT, 3: encoded(texture(5, 5), "PNG")}))
    rows = drawn_rows(monkeypatch, "min_crop_size=6", "max_crop_size=6", "--data-shape", "3,6,6")

    assert [
        "record 0, id 100, label 0 a",
        "record 1, id 101, label 1 猫",
        f"record 2, id 102: {NO_IMAGE}",
        "record 3, id 103: the image is 5 x 5 pixels, too few for max_crop_size=6",
    ] == [heading for heading, _ in rows]
    assert [("not an image", ["stored"])] == rows[2][1]
    too_small = [("too small", ["epoch 0"]), ("too small", ["epoch 1"])]
    assert [("", ["stored 5 x 5"]), *too_small] == rows[3][1]


def test_below_a_draw_is_what_was_drawn_with_the_flip_first(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["resize=7", "pad=1", "rand_crop=1", "rand_mirror=1", "brightness=0.5", "random_h=90", "mean_r=3"]
    ((_, (stored, *draws)), *_) = drawn_rows(monkeypatch, *words, "--data-shape", "3,6,6")

    assert ("", ["stored 10 x 8"]) == stored
    for epoch, (_, lines) in enumerate(draws):
        assert f"epoch {epoch}" == lines[0]
        assert "mirrored" not in lines[2:]
        steps = [line.split()[0] for line in lines[1:] if line != "mirrored"]
        assert ["crop", "brightness", "hue"] == steps


def test_short_words_share_a_line_and_those_for_which_there_is_none_are_counted() -> None:
    some = [Change("", ("turn 12 left", "shear 1"), ()), Change("mirror", ("mirrored",), ())]
    many = [Change("", (f"brightness x {number}",), ()) for number in range(9)]

    assert ["mirrored", "turn 12 left, shear 1"] == _short_lines(some)
    assert [f"brightness x {number}" for number in range(5)] == _short_lines(many)[:5]
    assert ["and 4 more"] == _short_lines(many)[5:]


@pytest.mark.parametrize("words", [["--data-shape", "1,6,6"], ["--data-shape", "3,1,1"], ["--kind", "int8", "pad=9"]])
def test_images_of_other_kinds_are_drawn_too(words: list[str]) -> None:
    images = [encoded(texture(height, width), "PNG") for height, width in ((1, 1), (2, 300), (8, 10))]
    labels = [1.5, *range(40)]
    write_rec(Path("some.rec"), [image_payload(id_, labels, image) for id_, image in enumerate(images)])
    done = im2rec("iterate", *SMALL, "rand_crop=1", "rand_mirror=1", *words, "--sheet-draws", "3")

    assert 0 == done.code
    assert 3 * CELL < len(opened("draws.png"))


@pytest.mark.parametrize(
    ("name", "option"), [("draws.png", "--sheet-draws=2"), ("epoch0_record1.png", "--replay=epoch=0,record=1")]
)
def test_a_file_that_is_read_is_never_replaced(tmp_path: Path, name: str, option: str) -> None:
    Path("some.rec").rename(name)
    write_rec(Path("other.rec"), payloads(2))
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for rec in (name, f"other.rec;{name}"):
        done = im2rec("iterate", rec, "--batch-size", "4", "-q", "--data-shape", "3,6,6", option, "--force")

        assert (1, "") == (done.code, done.out)
        assert f"im2rec: {name}: is the input itself (choose another name for the output)\n" == done.err
    assert found == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_list_that_is_read_is_never_replaced() -> None:
    Path("draws.png").write_text("".join(f"{100 + row}\t{row}\ta.jpg\n" for row in range(10)))
    done = im2rec("iterate", *SMALL, "path_imglist=draws.png", "--sheet-draws", "2", "--force")

    assert (1, "im2rec: draws.png: is the input itself (choose another name for the output)\n") == (done.code, done.err)


def test_the_name_of_a_class_may_be_of_any_length() -> None:
    Path("some.classes.txt").write_text("".join(f"{row} {'x' * 100_000}\n" for row in range(10)))
    for option in ("--sheet-draws=1", "--replay=epoch=0,record=1"):
        done = im2rec("iterate", *SMALL, option)
        assert (0, True) == (done.code, len(done.out) < 2000)

    assert 8 * 250 > len(opened("draws.png"))
    assert SIDE + 200 > len(opened("epoch0_record1.png"))
    assert 3000 > len(im2rec("inspect", "some.rec").out)


@pytest.mark.parametrize("option", ["--sheet-draws=2", "--replay=epoch=0,record=1"])
def test_a_dry_run_refuses_what_the_run_would_refuse(option: str) -> None:
    for name in ("draws.png", "epoch0_record1.png"):
        Path(name).touch()
    done = im2rec("iterate", *SMALL, option, "--dry-run")

    assert (1, "") == (done.code, done.out)
    assert "exists already" in done.err
    assert 0 == im2rec("iterate", *SMALL, option, "--dry-run", "--force").code


def test_joined_files_of_which_no_image_decodes_have_no_next_command() -> None:
    for name in ("a.rec", "b.rec"):
        write_rec(Path(name), payloads(2, bad={0: TEXT, 1: TEXT}))
    done = im2rec("iterate", "a.rec;b.rec", "--batch-size", "4", "-q", "--data-shape", "3,6,6", "--sheet-draws", "2")

    assert (3, "") == (done.code, done.err)
    assert "  written   draws.png" == done.out.splitlines()[-1]


def test_where_no_draw_can_be_made_there_is_no_word_of_draws_that_are_the_same() -> None:
    write_rec(Path("some.rec"), payloads(2, bad={0: TEXT, 1: TEXT}))
    done = im2rec("iterate", *SMALL, "--data-shape", "3,6,6", "--sheet-draws", "2")

    assert (3, "") == (done.code, done.err)

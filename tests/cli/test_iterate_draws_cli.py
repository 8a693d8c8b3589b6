"""Tests of ``im2rec iterate --replay`` and ``--sheet-draws``: they draw the images that the iterator delivers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import bounds, image_payload, write_rec
from image_helpers import Ran, im2rec, names_in, texture
from iterator_helpers import NO_IMAGE, TEXT, a_rec, in_fours, payloads
from PIL import Image

from im2rec.images.sheet import MARGIN, fitted
from im2rec.iterators.image_record import ImageRecordIter, loader_of
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

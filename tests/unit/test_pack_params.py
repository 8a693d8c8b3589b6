"""The keys of pack: their defaults, what is refused, and that none is without its words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from helpers import message_of

from im2rec.packing.pack import part_path
from im2rec.packing.params import PackParams
from im2rec.params import from_words, parameter_docs

REFERENCE = {  # tools/im2rec.cc: name to default
    "resize": -1,
    "center_crop": False,
    "quality": 95,
    "color": 1,
    "encoding": ".jpg",
    "inter_method": 1,
    "unchanged": False,
    "label_width": None,
    "pack_label": False,
    "nsplit": 1,
    "part": 0,
}


def test_the_references_eleven_keys_have_its_defaults() -> None:
    defaults = dataclasses.asdict(PackParams())

    assert REFERENCE == {key: defaults[key] for key in REFERENCE}
    assert ("auto", 3) == (defaults["engine"], defaults["png_level"])


def test_words_become_what_they_mean() -> None:
    words = ["resize=256", "center_crop=1", "quality=80", "color=-1", "encoding=.png", "inter_method=9", "pack_label=1"]
    more = ["label_width=4", "nsplit=3", "part=2", "engine=pillow", "png_level=9"]

    assert PackParams(
        resize=256,
        center_crop=True,
        quality=80,
        color=-1,
        encoding=".png",
        inter_method=9,
        pack_label=True,
        label_width=4,
        nsplit=3,
        part=2,
        engine="pillow",
        png_level=9,
    ) == from_words(PackParams, [*words, *more])


REFUSED = {
    "resize=-2": "resize=-2 must be -1 to 65535",
    "resize=2.5": "resize=2.5 must be an integer",
    "resize=": "resize= must be an integer",
    "center_crop=2": "center_crop=2 must be 0 or 1",
    "quality=101": "quality=101 must be 0 to 100",
    "quality=-1": "quality=-1 must be 0 to 100",
    "color=2": "color=2 must be -1, 0 or 1",
    "encoding=gif": "encoding=.gif must be .jpg, .png or .bmp",
    "encoding=.webp": "encoding=.webp must be .jpg, .png or .bmp",
    "inter_method=5": "inter_method=5 must be 0, 1, 2, 3, 4, 9 or 10",
    "label_width=0": "label_width=0 must be 1 or more",
    "pack_label=yess": "pack_label=yess must be 0 or 1",
    "nsplit=0": "nsplit=0 must be 1 or more",
    "part=1": "part=1 must be below nsplit=1 (parts count from 0)",
    "part=-1": "part=-1 must be 0 or more",
    "engine=cv2": "engine=cv2 must be auto, opencv or pillow",
    "png_level=10": "png_level=10 must be 0 to 9",
}


def test_values_out_of_range_are_refused_with_what_is_allowed() -> None:
    assert REFUSED == {
        word: message_of(from_words, PackParams, [word])[: len(expected)] for word, expected in REFUSED.items()
    }


EXCLUDED = {
    "resize=256": "resize=256",
    "resize=0": "resize=0",
    "center_crop=1": "center_crop=True",
    "quality=80": "quality=80",
    "color=0": "color=0",
    "encoding=.png": "encoding=.png",
    "inter_method=2": "inter_method=2",
    "engine=pillow": "engine=pillow",
    "png_level=9": "png_level=9",
}


def test_unchanged_excludes_every_key_that_would_change_a_image() -> None:
    why = " (stored as they are, images are neither decoded nor encoded)"
    assert {word: f"unchanged=1 excludes {shown}{why}" for word, shown in EXCLUDED.items()} == {
        word: message_of(from_words, PackParams, ["unchanged=1", word]) for word in EXCLUDED
    }


def test_unchanged_goes_with_the_keys_about_labels_and_parts() -> None:
    words = ["unchanged=1", "label_width=2", "pack_label=1", "nsplit=4", "part=3"]

    assert PackParams(unchanged=True, label_width=2, pack_label=True, nsplit=4, part=3) == from_words(PackParams, words)


def test_parts_are_named_with_three_digits_or_more() -> None:
    def name(part: int, nsplit: int) -> str:
        return part_path(Path("d/o.rec"), PackParams(nsplit=nsplit, part=part)).as_posix()

    assert "d/o.rec" == name(0, 1)
    assert "d/o.rec.part000" == name(0, 2)
    assert "d/o.rec.part999" == name(999, 2000)
    assert "d/o.rec.part1999" == name(1999, 2000)


def test_every_key_is_explained_and_compared_with_the_reference() -> None:
    for row in parameter_docs(PackParams):
        assert row.doc.endswith("."), row
        assert row.reference, row


BAD_OPTIONS: dict[str, dict[str, Any]] = {
    "--workers=0 must be 1 or more": {"workers": 0},
    "--workers=-3 must be 1 or more": {"workers": -3},
    "--on-error=stop must be skip or fail": {"on_error": "stop"},
}

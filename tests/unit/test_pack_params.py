"""The keys of pack: their defaults, values that are refused, and that each key is documented."""

from __future__ import annotations

import dataclasses

import pytest
from helpers import message_of

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


def test_the_eleven_keys_of_the_cpp_tool_have_its_defaults() -> None:
    defaults = dataclasses.asdict(PackParams())
    assert REFERENCE == {key: defaults[key] for key in REFERENCE}


def test_the_default_engine_is_auto_and_the_default_png_level_3() -> None:
    assert "auto" == PackParams().engine
    assert 3 == PackParams().png_level


def test_params_are_given_by_name_and_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PackParams(256)  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        PackParams().resize = 256  # type: ignore[misc]


def test_key_value_words_become_params() -> None:
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
    "resize=65536": "resize=65536 must be -1 to 65535",
    "max_side=-2": "max_side=-2 must be -1 or more",
    "max_pixels=0": "max_pixels=0 must be 1 or more",
    "png_level=-1": "png_level=-1 must be 0 to 9",
    "resize=2.5": "resize=2.5 must be an integer",
    "resize=": "resize= must be an integer",
    "center_crop=2": "center_crop=2 must be 0 or 1",
    "quality=101": "quality=101 must be 0 to 100",
    "quality=-1": "quality=-1 must be 0 to 100",
    "color=2": "color=2 must be -1, 0 or 1",
    "encoding=gif": "encoding=.gif must be .jpg, .png or .bmp",
    "encoding=.webp": "encoding=.webp must be .jpg, .png or .bmp",
    "inter_method=5": "inter_method=5 must be 0, 1, 2, 3, 4, 9 or 10",
    "label_width=0": "label_width=0 must be 1 to 1048576",
    "label_width=1048577": "label_width=1048577 must be 1 to 1048576",
    "label_width=18446744073709551616": "label_width=18446744073709551616 must be 1 to 1048576",
    "pack_label=yess": "pack_label=yess must be 0 or 1",
    "nsplit=0": "nsplit=0 must be 1 or more",
    "part=1": "part=1 must be below nsplit=1 (parts count from 0)",
    "part=-1": "part=-1 must be 0 or more",
    "engine=cv2": "engine=cv2 must be auto, opencv or pillow",
    "png_level=10": "png_level=10 must be 0 to 9",
}


def test_values_out_of_range_are_refused_and_the_message_gives_the_allowed_ones() -> None:
    assert REFUSED == {
        word: message_of(from_words, PackParams, [word])[: len(expected)] for word, expected in REFUSED.items()
    }


ACCEPTED = {
    "resize": (-1, 0, 1, 65535),
    "max_side": (-1, 0, 1),
    "quality": (0, 100),
    "max_pixels": (1,),
    "label_width": (1,),
    "nsplit": (1,),
    "png_level": (0, 9),
}


def test_the_first_and_the_last_value_of_a_range_are_accepted() -> None:
    for key, values in ACCEPTED.items():
        assert list(values) == [getattr(from_words(PackParams, [f"{key}={value}"]), key) for value in values]


def test_max_side_and_resize_exclude_each_other_only_when_both_are_set() -> None:
    for resize, max_side in ((0, 1), (-1, 1), (1, 0), (1, -1), (0, 0)):
        assert max_side == PackParams(resize=resize, max_side=max_side).max_side
    expected = "max_side=1 excludes resize=1 (give one of the two)"
    assert expected == message_of(from_words, PackParams, ["max_side=1", "resize=1"])


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


def test_unchanged_excludes_every_key_that_would_change_an_image() -> None:
    why = " (stored as they are, images are neither decoded nor encoded)"
    assert {word: f"unchanged=1 excludes {shown}{why}" for word, shown in EXCLUDED.items()} == {
        word: message_of(from_words, PackParams, ["unchanged=1", word]) for word in EXCLUDED
    }


def test_unchanged_goes_with_the_keys_about_labels_and_parts() -> None:
    words = ["unchanged=1", "label_width=2", "pack_label=1", "nsplit=4", "part=3"]

    assert PackParams(unchanged=True, label_width=2, pack_label=True, nsplit=4, part=3) == from_words(PackParams, words)


def test_every_key_has_a_description_and_a_comparison_with_mxnet() -> None:
    for row in parameter_docs(PackParams):
        assert row.doc.endswith("."), row
        assert row.reference, row

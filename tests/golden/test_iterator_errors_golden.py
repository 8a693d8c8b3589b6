"""Parameters that MXNet's iterator refused, crashed on or silently accepted raise an error with the cause, or work."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from iterator_golden_helpers import ITERATORS, copy_data
from iterator_helpers import as_raised

from im2rec.errors import BadRecordError, Im2RecError, InputError, ListFormatError, ParameterError
from im2rec.iterators.image_record import ImageRecordIter

RECORDED = json.loads((ITERATORS / "errors.json").read_text(encoding="utf-8"))
OTHER_ITERATORS = {"ImageDetRecordIter": 3, "MNISTIter": 3, "CSVIter": 2}

# By number in errors.json: the note there, the class and the line of our error.
RAISED: dict[int, tuple[str, type[Im2RecError], str]] = {
    0: (
        "no data_shape",
        ParameterError,
        (
            "data_shape is missing (Channels (1, 3 or 4), height and width that images are cropped to. Smaller images"
            " are enlarged first, larger ones only scaled by resize.)"
        ),
    ),
    1: ("no batch_size", ParameterError, "batch_size is missing (Rows of a batch.)"),
    2: (
        "no path_imgrec",
        ParameterError,
        "path_imgrec is missing (The .rec; several joined by ';', a folder (its *.rec by name), or a pattern.)",
    ),
    3: ("missing file", InputError, "data/none.rec: cannot be read: no such file or directory (check the path)"),
    4: ("unknown parameter is accepted", ParameterError, "unknown key 'foo' (the nearest known key is 'on_error')"),
    5: (
        "typo random_crop is accepted",
        ParameterError,
        "unknown key 'random_crop' (the nearest known key is 'rand_crop')",
    ),
    6: ("not an int", ParameterError, "label_width=abc must be an integer"),
    7: (
        "below range",
        ParameterError,
        (
            "label_width=0 must be 1 to 1048576"
            " (Labels per record; auto: as many as the first image has. Of longer vectors the first ones are used.)"
        ),
    ),
    8: ("below range", ParameterError, "preprocess_threads=0 must be 1 to 1024 (Threads, or processes, that decode.)"),
    9: ("not a bool", ParameterError, "shuffle=maybe must be 0 or 1"),
    11: ("two dims", ParameterError, "data_shape=6,8 must be channels, height and width, each 1 or more"),
    12: ("zero dim", ParameterError, "data_shape=3,0,8 must be channels, height and width, each 1 or more"),
    13: ("2 channels", ParameterError, "data_shape=2,6,8 must have 1, 3 or 4 channels, not 2"),
    14: (
        "4 channels from RGB",
        BadRecordError,
        (
            "data/pos7.rec, record 0, id 0, byte 0:"
            " the image has 3 channels, data_shape asks for 4 (set data_shape=3,...)"
        ),
    ),
    15: (
        "bad dtype",
        ParameterError,
        (
            "dtype=float99 must be float32, float16, uint8 or int8"
            " (Type of the data. uint8: mirrored, not normalised; int8: the mean subtracted, rounded and clipped.)"
        ),
    ),
    17: ("bad ctx", ParameterError, "ctx=tpu must be cpu or gpu (Has no effect here.)"),
    18: (
        "label_width 2 on scalar labels",
        BadRecordError,
        (
            "data/pos7.rec, record 0, id 0, byte 0: has 1 label, label_width=2 needs more"
            " (im2rec pack stores all labels of a line with pack_label=1; or give the list as path_imglist)"
        ),
    ),
    20: ("part_index too large", ParameterError, "part_index=2 must be 0 to 1 with num_parts=2"),
    21: (
        "num_parts 0",
        ParameterError,
        "num_parts=0 must be 1 to 1048576 (Parts that the data is divided into, one for each process.)",
    ),
    22: (
        "inter_method 7",
        ParameterError,
        (
            "inter_method=7 must be 0, 1, 2, 3, 4, 9 or 10"
            " (0 nearest, 1 bilinear, 2 bicubic, 3 area, 4 Lanczos, 9 by size, 10 drawn for each image.)"
        ),
    ),
    23: (
        "inter_method 0 with rotate",
        ParameterError,
        "inter_method=0 must be 1 to 4, 9 or 10 with rotation, shear, scale or aspect",
    ),
    24: (
        "crop larger than image",
        BadRecordError,
        "data/pos7.rec, record 0, id 0, byte 0: the image is 12 x 10 pixels, too few for max_crop_size=20",
    ),
    25: ("rrc with rand_crop", ParameterError, "random_resized_crop=1 excludes rand_crop=1 (leave one of the two out)"),
    26: (
        "rrc aspect below 0",
        ParameterError,
        "max_aspect_ratio=1.5 must give a range of ratios above 0, not -0.5 to 2.5",
    ),
    27: ("resize 0", ParameterError, "resize=0 must be -1 or 1 and more"),
    28: (
        "id not in list",
        InputError,
        (
            "data/ids5_missing.lst: has no line for id 3, which is record 2 of data/ids5.rec"
            " (is it the list of this .rec?)"
        ),
    ),
    29: (
        "list narrower than label_width",
        ListFormatError,
        "data/ids5.lst, line 1: expected label_width=3 labels, found 2 (id 3)",
    ),
    30: ("list missing", InputError, "data/none.lst: cannot be read: no such file or directory (check the path)"),
    31: (
        "corrupt image",
        BadRecordError,
        "data/corrupt5.rec, record 2, id 2, byte 356: holds no image that can be read",
    ),
    33: ("unknown augmenter", ParameterError, "aug_seq=nope must be aug_default (The sequence of augmentations.)"),
    34: (
        "empty mean file",
        InputError,
        (
            "record_golden.py, byte 0: expected the number 0x112 of an array file, found 0x622f7273752f2123"
            " (make or fetch the file again)"
        ),
    ),
    37: ("prefetch_buffer 0", ParameterError, "prefetch_buffer=0 must be 1 to 1024 (Batches made in advance.)"),
}

# By number in errors.json: the note there, the number of batches, and the messages that are logged.
WORKS: dict[int, tuple[str, int, list[str]]] = {
    10: ("bool word", 3, []),
    16: ("unsupported dtype", 3, []),
    19: ("label_width 1 on 4 labels", 2, []),
    32: ("batch more than twice the data", 1, []),
    35: ("int8 with missing mean_img", 3, []),
    36: ("random_h on gray", 3, ["images of one channel have no colours: random_h has no effect"]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _data(here: Path) -> None:
    """Change to a folder with the data of the cases and the script that one of them names."""
    (copy_data(here) / "record_golden.py").write_bytes(b"#!/usr/bin/env python3\n")


def test_every_recorded_error_is_tested() -> None:
    ours = [number for number, case in enumerate(RECORDED) if case["iterator"] == "ImageRecordIter"]

    assert ours == sorted([*RAISED, *WORKS])
    assert OTHER_ITERATORS == Counter(case["iterator"] for case in RECORDED if case["iterator"] != "ImageRecordIter")


def read(params: dict[str, Any]) -> int:
    """Read an epoch with the parameters of a case; return the number of batches."""
    with ImageRecordIter(**{"verbose": False, **params}) as iterator:
        return len(list(iterator))


@pytest.mark.parametrize("number", RAISED)
def test_the_error_has_the_expected_class_and_line(number: int) -> None:
    note, kind, line = RAISED[number]
    case = RECORDED[number]
    assert note == case["note"]

    assert (as_raised(line) if kind is BadRecordError else line) == message_of(read, case["params"])
    with pytest.raises(kind):
        read(case["params"])


@pytest.mark.parametrize("number", WORKS)
def test_parameters_that_need_not_be_an_error_work(number: int, caplog: pytest.LogCaptureFixture) -> None:
    note, batches, logged = WORKS[number]
    case = RECORDED[number]
    assert note == case["note"]

    assert batches == read(case["params"])
    assert logged == caplog.messages


def test_a_bad_image_is_an_error_in_place_of_its_batch_only() -> None:
    params = RECORDED[31]["params"] | {"batch_size": 2, "last_batch": "keep"}
    with ImageRecordIter(**params, verbose=False) as iterator:
        first = next(iterator)
        with pytest.raises(BadRecordError):
            next(iterator)
        last = next(iterator)
        assert not iterator.iter_next()

    assert [0.0, 1.0] == first.label[0].tolist()
    assert [4.0, 0.0] == last.label[0].tolist()

"""Parameters of the iterators: MXNet's names, text and defaults, errors, and parameters without effect."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, message_of, write_rec
from image_helpers import encoded, texture
from iterator_helpers import iterator

from im2rec import ImageRecordInt8Iter, ImageRecordIter, ImageRecordUInt8Iter
from im2rec.errors import ParameterError
from im2rec.format.ndarrayfile import decode_single
from im2rec.iterators.image_record import ignored_parameters
from im2rec.params import from_mapping, parameter_docs
from im2rec.pipeline.params import (
    DISCARD,
    EVEN,
    GROUPS,
    KEEP,
    PAD,
    ROLL_OVER,
    ImageRecordParams,
    OrderParams,
    policy_of,
    shared,
)

# Every parameter of MXNet 1.9.1, including the three that its help does not list, with a value as text.
OF_MXNET = {
    "Dataset": "path_imgrec=a.rec path_imgidx=a.idx path_imglist=a.lst data_shape=(3,28,28) label_width=4 num_parts=2"
    " part_index=1 data_name=data label_name=softmax_label",
    "Batch": "batch_size=100 round_batch=True dtype=float32",
    "Augmentation": "shuffle=False shuffle_chunk_size=4 shuffle_chunk_seed=1 seed=2 seed_aug=3 aug_seq=aug_default"
    " resize=32 rand_crop=True random_resized_crop=False max_rotate_angle=10 rotate=-1 rotate_list=0,90"
    " max_aspect_ratio=0.25 min_aspect_ratio=None max_shear_ratio=.1 max_crop_size=-1 min_crop_size=-1"
    " max_random_scale=1.5 min_random_scale=0.5 max_random_area=1 min_random_area=1 max_img_size=1e10 min_img_size=0.0"
    " brightness=0.1 contrast=0.1 saturation=0.1 pca_noise=0.1 random_h=18 random_s=20 random_l=20 fill_value=127"
    " inter_method=9 pad=4 mirror=0 rand_mirror=1 mean_img=mean.bin mean_r=123.68 mean_g=116.28 mean_b=103.53 mean_a=0"
    " std_r=58.395 std_g=57.12 std_b=57.375 std_a=1 scale=0.5 max_random_contrast=0.1 max_random_illumination=5",
    "Backend": "preprocess_threads=4 prefetch_buffer=1 ctx=cpu device_id=0",
    "Auxiliary": "verbose=False",
}
OURS = {
    "Dataset": ["records", "doubtful"],
    "Batch": ["last_batch", "equal_batches", "layout"],
    "Augmentation": ["shuffle_scope", "max_pixels"],
    "Backend": ["reuse_buffers", "backend", "engine", "rng"],
    "Auxiliary": ["on_error", "on_truncated"],
}
REQUIRED = {"path_imgrec": "a.rec", "data_shape": (3, 28, 28), "batch_size": 2}


def words(text: str) -> dict[str, str]:
    return dict(word.split("=") for word in text.split())


def params(**given: Any) -> ImageRecordParams:
    return from_mapping(ImageRecordParams, {**REQUIRED, **given})


def error_of(text: str) -> str:
    """The message of the error for the words "KEY=VALUE KEY=VALUE" beside the required ones."""
    return message_of(params, **words(text))


# Names and groups


def test_every_parameter_of_mxnet_exists_in_its_group() -> None:
    for group, text in OF_MXNET.items():
        assert {*words(text), *OURS[group]} == {row.name for row in parameter_docs(GROUPS[group])}
    assert 64 == sum(len(words(text)) for text in OF_MXNET.values())


def test_every_parameter_of_mxnet_accepts_its_text() -> None:
    read = params(**{name: value for text in OF_MXNET.values() for name, value in words(text).items()})

    assert ((3, 28, 28), 4, 2, 1, 100) == (
        read.data_shape, read.label_width, read.num_parts, read.part_index, read.batch_size
    )  # fmt: skip
    assert ((0, 90), None, 0.1, 1e10, 123.68) == (
        read.rotate_list, read.min_aspect_ratio, read.max_shear_ratio, read.max_img_size, read.mean_r
    )  # fmt: skip
    assert (True, False, True, False, 9) == (
        read.rand_crop, read.mirror, read.rand_mirror, read.verbose, read.inter_method
    )  # fmt: skip


def test_the_groups_have_all_parameters_and_each_only_once() -> None:
    together = [row.name for group in GROUPS.values() for row in parameter_docs(group)]

    assert ["Dataset", "Batch", "Augmentation", "Backend", "Auxiliary"] == [*GROUPS]
    assert sorted(together) == sorted(field.name for field in dataclasses.fields(ImageRecordParams))


def test_dataset_and_batch_parameters_are_required_and_the_rest_optional() -> None:
    required = {
        group: [row.name for row in parameter_docs(kind) if row.default == "required"] for group, kind in GROUPS.items()
    }

    assert ["path_imgrec", "data_shape"] == required["Dataset"]
    assert ["batch_size"] == required["Batch"]
    assert [[], [], []] == [required[group] for group in ("Augmentation", "Backend", "Auxiliary")]


# In the notation of --help: default and limits. Those of the augmentation are in test_augmentation_params.py.
DEFAULTS = {
    "path_imgidx": ("", ""),
    "path_imglist": ("", ""),
    "label_width": ("auto", "1 to 1048576"),
    "num_parts": ("1", "1 to 1048576"),
    "part_index": ("0", "0 or more"),
    "records": ("images", "images or all"),
    "data_name": ("data", ""),
    "label_name": ("softmax_label", ""),
    "batch_size": ("required", "1 to 2147483647"),
    "round_batch": ("1", ""),
    "last_batch": ("by round_batch", "pad, roll_over, keep, even or discard"),
    "equal_batches": ("1", ""),
    "dtype": ("float32", "float32, float16, uint8 or int8"),
    "layout": ("NCHW", "NCHW or NHWC"),
    "shuffle_scope": ("all", "all or part"),
    "seed_aug": ("not set", ""),
    "max_pixels": ("auto", "1 or more"),
    "rotate_list": ("none", ""),
    "resize": ("-1", "65535 or less"),
    "fill_value": ("255", ""),
    "inter_method": ("1", "0, 1, 2, 3, 4, 9 or 10"),
    "preprocess_threads": ("4", "1 to 1024"),
    "prefetch_buffer": ("4", "1 to 1024"),
    "reuse_buffers": ("0", ""),
    "engine": ("auto", "auto, opencv, pillow or reference"),
    "rng": ("im2rec", "im2rec or mxnet"),
    "backend": ("auto", "auto, threads or processes"),
    "ctx": ("not set", "cpu or gpu"),
    "device_id": ("not set", ""),
    "verbose": ("1", ""),
    "on_error": ("raise", "raise or skip"),
    "on_truncated": ("warn", "warn or raise"),
}


def test_defaults_are_shown_as_they_can_be_given() -> None:
    rows = {row.name: row for kind in GROUPS.values() for row in parameter_docs(kind)}

    assert DEFAULTS == {name: (rows[name].default, rows[name].allowed) for name in DEFAULTS}
    written = {
        row.name: row.default for row in rows.values() if row.default not in ("required", "none") and row.name != "rng"
    }
    # These differ from None, the default of a parameter that was not given, only where two contradict each other.
    given = {"round_batch": True, "dtype": "float32", "shuffle_scope": "all"}
    assert dataclasses.replace(params(), **given) == params(**written, rng="im2rec")


def test_every_parameter_is_compared_with_the_reference() -> None:
    for kind in GROUPS.values():
        for row in parameter_docs(kind):
            assert row.reference.startswith(("as the reference", "differs: ", "ours", "no effect"))
            assert row.doc.endswith(".")


# Text


SPELLINGS: list[tuple[str, Any, list[Any]]] = [
    ("data_shape", (3, 224, 224), ["3,224,224", "(3,224,224)", "(3, 224, 224)", "3,224,224,", [3, 224, 224]]),
    ("rand_crop", True, ["True", "true", "1", 1, "TRUE", np.True_]),
    ("rand_crop", False, ["False", "0", 0]),
    ("label_width", None, ["auto", "Auto", None, "None"]),
    ("label_width", 4, ["4", " 4 ", 4, np.int64(4), 4.0]),
    ("rotate_list", (0, 90, -45), ["0,90,-45", "(0,90,-45)", [0, 90, -45]]),
    ("rotate_list", (), ["", "()"]),
    ("mean_r", 0.5, ["0.5", ".5", "5e-1", 0.5, np.float32(0.5)]),
    ("seed_aug", None, ["None", None]),
    ("seed", -3, ["-3", "-3 "]),
    ("ctx", "gpu", ["gpu"]),
]  # fmt: skip


def test_a_value_may_be_text_wherever_a_number_is_meant() -> None:
    for name, value, spellings in SPELLINGS:
        assert [value] * len(spellings) == [getattr(params(**{name: spelling}), name) for spelling in spellings]


# Errors


def doc_of(name: str) -> str:
    (doc,) = [row.doc for kind in GROUPS.values() for row in parameter_docs(kind) if row.name == name]
    return doc


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_parameter_that_is_missing_is_named_with_its_help(name: str) -> None:
    doc = doc_of(name)
    given = {key: value for key, value in REQUIRED.items() if key != name}

    assert f"{name} is missing ({doc})" == message_of(from_mapping, ImageRecordParams, given)
    assert f"{name} is missing ({doc})" == message_of(ImageRecordIter, **given)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    near = {"random_crop": "rand_crop", "batchsize": "batch_size", "path_imrec": "path_imgrec", "meanimg": "mean_img"}

    for wrong, right in near.items():
        message = f"unknown key {wrong!r} (the nearest known key is {right!r})"
        assert message == message_of(ImageRecordIter, **REQUIRED, **{wrong: 1})


WRONG = {
    "batch_size=0": "batch_size=0 must be 1 to 2147483647 (Rows of a batch.)",
    "batch_size=-1": "batch_size=-1 must be 1 to 2147483647 (Rows of a batch.)",
    "batch_size=1e1": "batch_size=1e1 must be an integer",
    "batch_size=ten": "batch_size=ten must be an integer",
    "data_shape=3,28": "data_shape=3,28 must be channels, height and width, each 1 or more",
    "data_shape=28": "data_shape=28 must be channels, height and width, each 1 or more",
    "data_shape=": "data_shape= must be channels, height and width, each 1 or more",
    "data_shape=3,0,28": "data_shape=3,0,28 must be channels, height and width, each 1 or more",
    "data_shape=3,28,-1": "data_shape=3,28,-1 must be channels, height and width, each 1 or more",
    "data_shape=2,28,28": "data_shape=2,28,28 must have 1, 3 or 4 channels, not 2",
    "data_shape=28,30,3": "data_shape=28,30,3 must have 1, 3 or 4 channels, not 28 (channels come first: 3,28,30)",
    "data_shape=3x28x28": "data_shape=3x28x28 must be integers joined by commas",
    **{
        f"label_width={width}": f"label_width={width} must be 1 to 1048576 (Labels per record; auto: as many as the"
        " first image has. Of longer vectors the first ones are used.)"
        for width in (0, 1_048_577, 10**9, 2**64)
    },
    "label_width=some": "label_width=some must be an integer",
    "num_parts=0": "num_parts=0 must be 1 to 1048576 (Parts that the data is divided into, one for each process.)",
    "part_index=1": "part_index=1 must be 0 with num_parts=1",
    "part_index=2 num_parts=2": "part_index=2 must be 0 to 1 with num_parts=2",
    "part_index=4 num_parts=4": "part_index=4 must be 0 to 3 with num_parts=4",
    "part_index=-1": "part_index=-1 must be 0 or more (The part to read, from 0.)",
    "records=some": "records=some must be images or all (images: leave out records with labels and no image,"
    " as face sets have them; all: take every record.)",
    "round_batch=2": "round_batch=2 must be 0 or 1",
    "last_batch=wrap": "last_batch=wrap must be pad, roll_over, keep, even or discard (The last rows of the last batch."
    " pad: the epoch's first images; roll_over: those of the next epoch, which starts after them; keep: zeros;"
    " even: zeros, once a part with an image less than others has one of the epoch's first; discard: no such batch.)",
    "round_batch=True last_batch=keep": "last_batch=keep must be pad or roll_over with round_batch=1"
    " (leave one of the two out)",
    "round_batch=0 last_batch=pad": "last_batch=pad must be keep, even or discard with round_batch=0"
    " (leave one of the two out)",
    "dtype=float64": "dtype=float64 must be float32, float16, uint8 or int8 (Type of the data."
    " uint8: mirrored, not normalised; int8: the mean subtracted, rounded and clipped.)",
    "layout=NHCW": "layout=NHCW must be NCHW or NHWC (Order of the axes of the data.)",
    "shuffle=yep": "shuffle=yep must be 0 or 1",
    "shuffle_scope=mine": "shuffle_scope=mine must be all or part (all: one order of the whole data, of which part r"
    " takes places r, r+n, ...; part: an order within each part.)",
    "shuffle_chunk_size=-1": "shuffle_chunk_size=-1 must be 0 or more (With shuffle: MiB read in one chunk,"
    " in random order and mixed with others: for slow disks. 0: off.)",
    "seed=1.5": "seed=1.5 must be an integer",
    "aug_seq=aug": "aug_seq=aug must be aug_default (The sequence of augmentations.)",
    "resize=0": "resize=0 must be -1 or 1 and more",
    "resize=-2": "resize=-2 must be -1 or 1 and more",
    "max_rotate_angle=-1": "max_rotate_angle=-1 must be 0 to 360 (Rotate by a random angle of up to this many degrees"
    " either way.)",
    "rotate_list=0,361": "rotate_list=0,361 must be degrees from -360 to 360",
    "mean_r=nan": "mean_r=nan must be a number (Subtracted from the red channel, or the only one.)",
    "scale=inf": "scale=inf must be a number (Multiplies every value.)",
    "inter_method=5": "inter_method=5 must be 0, 1, 2, 3, 4, 9 or 10 (0 nearest, 1 bilinear, 2 bicubic, 3 area,"
    " 4 Lanczos, 9 by size, 10 drawn for each image.)",
    "inter_method=0 rotate=5": "inter_method=0 must be 1 to 4, 9 or 10 with rotation, shear, scale or aspect",
    "brightness=nan": "brightness=nan must be 0 or more (Multiply by a random factor in [1-v, 1+v].)",
    "random_h=181": "random_h=181 must be 0 to 180 (Shift the hue by up to this many half degrees.)",
    "std_g=0": "std_g=0 must not be 0: it divides",
    "max_crop_size=20": "min_crop_size=-1 and max_crop_size=20 must be 1 or more, the first no larger (give both)",
    "min_crop_size=20": "min_crop_size=20 and max_crop_size=-1 must be 1 or more, the first no larger (give both)",
    "min_random_scale=2": "min_random_scale=2.0 must be above 0 and no larger than max_random_scale=1.0",
    "max_random_area=.5": "min_random_area=1.0 must be above 0 and no larger than max_random_area=0.5",
    "max_aspect_ratio=1": "max_aspect_ratio=1.0 must give a range of ratios above 0, not 0 to 2",
    "min_aspect_ratio=.5": "min_aspect_ratio=0.5 and max_aspect_ratio=0.0 must give a range of ratios above 0,"
    " not 0.5 to 0",
    "random_resized_crop=1 rand_crop=1": "random_resized_crop=1 excludes rand_crop=1 (leave one of the two out)",
    "random_resized_crop=1 min_crop_size=5 max_crop_size=6": "random_resized_crop=1 excludes min_crop_size and"
    " max_crop_size (leave one of the two out)",
    "random_resized_crop=1 max_random_scale=2": "random_resized_crop=1 excludes min_random_scale and"
    " max_random_scale (leave one of the two out)",
    "preprocess_threads=0": "preprocess_threads=0 must be 1 to 1024 (Threads, or processes, that decode.)",
    "prefetch_buffer=0": "prefetch_buffer=0 must be 1 to 1024 (Batches made in advance.)",
    "engine=cuda": "engine=cuda must be auto, opencv, pillow or reference (Library that resizes and warps;"
    " reference: MXNet's own arithmetic, slow and exact.)",
    "rng=numpy": "rng=numpy must be im2rec or mxnet (mxnet: the order, parts and random numbers of an MXNet run"
    " with one decode thread.)",
    "rng=mxnet last_batch=even": "last_batch=even must be roll_over, keep or discard with rng=mxnet",
    "rng=mxnet last_batch=pad": "last_batch=pad must be roll_over, keep or discard with rng=mxnet",
    "ctx=tpu": "ctx=tpu must be cpu or gpu (Has no effect here.)",
    "device_id=first": "device_id=first must be an integer",
    "on_error=warn": "on_error=warn must be raise or skip (A record that gives no image or label. raise: an error;"
    " skip: counted, its row filled.)",
    "on_truncated=skip": "on_truncated=skip must be warn or raise (A JPEG that is cut short. warn: decoded as far as"
    " it goes, counted, one warning; raise: as on_error says.)",
}


def test_wrong_values_are_refused_in_one_line_with_what_is_allowed() -> None:
    assert WRONG == {text: error_of(text) for text in WRONG}
    assert not any("\n" in message for message in WRONG.values())


def test_a_contradiction_is_found_in_every_spelling() -> None:
    message = "last_batch=keep must be pad or roll_over with round_batch=1 (leave one of the two out)"

    for spelling in (True, 1, "True", "1"):
        assert message == message_of(params, round_batch=spelling, last_batch="keep")


def test_a_value_of_the_wrong_type_is_refused() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"batch_size": 2.5}, "batch_size=2.5 must be an integer"),
        ({"data_shape": 28}, "data_shape=28 must be channels, height and width, each 1 or more"),
        ({"rand_crop": None}, "rand_crop=None must be 0 or 1"),
        ({"mean_r": [1]}, "mean_r=[1] must be a number"),
        ({"on_truncated": True}, f"on_truncated=True must be warn or raise ({doc_of('on_truncated')})"),
        ({"path_imgrec": ["a.rec", "b.rec"]}, f"path_imgrec=['a.rec', 'b.rec'] must be text ({doc_of('path_imgrec')})"),
        ({"inter_method": "area"}, f"inter_method=area must be 0, 1, 2, 3, 4, 9 or 10 ({doc_of('inter_method')})"),
    ]
    assert [message for _, message in wrong] == [message_of(params, **given) for given, _ in wrong]


@pytest.mark.parametrize("kind", [*GROUPS.values(), ImageRecordParams, OrderParams])
def test_parameters_are_given_by_keyword_and_do_not_change(kind: type) -> None:
    assert all(field.kw_only for field in dataclasses.fields(kind))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind.__new__(kind), dataclasses.fields(kind)[0].name, 1)


def test_a_path_may_be_a_path_object(tmp_path: Path) -> None:
    assert str(tmp_path) == params(path_imgrec=tmp_path).path_imgrec


def test_positional_arguments_are_a_type_error() -> None:
    for kind in (ImageRecordIter, ImageRecordUInt8Iter, ImageRecordInt8Iter):
        with pytest.raises(TypeError) as caught:
            kind("train.rec")
        assert f"{kind.__name__} takes keyword arguments only" == str(caught.value)


def test_wrong_parameters_are_refused_before_any_file_is_opened() -> None:
    assert "batch_size=0 must be 1 to 2147483647 (Rows of a batch.)" == message_of(
        ImageRecordIter, path_imgrec="gone.rec", data_shape="3,8,8", batch_size=0
    )


# Values that depend on several parameters


def test_the_last_batch_follows_from_round_batch_unless_it_is_named() -> None:
    assert PAD == params().policy == params(round_batch=True).policy == params(round_batch="1").policy
    assert KEEP == params(round_batch=False).policy
    assert ROLL_OVER == params(round_batch=1, last_batch="roll_over").policy == params(rng="mxnet").policy
    assert DISCARD == params(round_batch=0, last_batch="discard").policy == params(last_batch="discard").policy
    assert KEEP == params(rng="mxnet", round_batch=0).policy


@pytest.mark.parametrize("default", [PAD, ROLL_OVER, KEEP, DISCARD])
def test_round_batch_fills_the_last_batch_or_not_and_last_batch_says_how(default: str) -> None:
    for last_batch in (PAD, ROLL_OVER, KEEP, EVEN, DISCARD):
        fills = last_batch in (PAD, ROLL_OVER)
        assert last_batch == policy_of(last_batch, None, default) == policy_of(last_batch, fills, default)
        allowed = "keep, even or discard" if fills else "pad or roll_over"
        message = f"last_batch={last_batch} must be {allowed} with round_batch="
        with pytest.raises(ParameterError) as caught:
            policy_of(last_batch, not fills, default)
        assert f"{message}{int(not fills)} (leave one of the two out)" == str(caught.value)
    assert default == policy_of(None, None, default)
    assert (default if default == ROLL_OVER else PAD) == policy_of(None, True, default)
    assert KEEP == policy_of(None, False, default)


def test_the_order_takes_the_parameters_that_an_iterator_has_and_defaults_for_the_rest() -> None:
    assert OrderParams(
        batch_size=3, policy=KEEP, equal_batches=True, num_parts=1, part_index=0, shuffle=False, scope="all", seed=0,
        shuffle_chunk_size=0, shuffle_chunk_seed=0,
    ) == OrderParams.of(SimpleNamespace(batch_size=3, policy=KEEP, layout="NCHW"))  # fmt: skip
    read = params(
        round_batch=0, equal_batches=0, num_parts=3, part_index=2, shuffle=1, shuffle_scope="part", seed=4,
        shuffle_chunk_size=5, shuffle_chunk_seed=6,
    )  # fmt: skip
    assert OrderParams(
        batch_size=2, policy=KEEP, equal_batches=False, num_parts=3, part_index=2, shuffle=True, scope="part", seed=4,
        shuffle_chunk_size=5, shuffle_chunk_seed=6,
    ) == OrderParams.of(read)  # fmt: skip
    assert "all" == params().scope


def test_a_shared_parameter_may_have_another_default_or_documentation() -> None:
    changed = shared("num_parts", default=5, doc="Parts.")
    same = shared("num_parts")

    assert (5, "Parts.", 1, 2**20) == (changed.default, *(changed.metadata[key] for key in ("doc", "low", "high")))
    assert (1, 2**20) == (same.default, same.metadata["high"])


def test_the_shape_is_channels_height_and_width() -> None:
    assert (3, 24, 32) == params(data_shape="3,24,32").shape
    assert [1, 4] == [params(data_shape=(channels, 5, 5)).shape[0] for channels in (1, 4)]


# Parameters without effect


IGNORED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"ctx": "gpu"}, ["ctx has no effect here"]),
    ({"ctx": "cpu", "device_id": "0"}, ["ctx has no effect here", "device_id has no effect here"]),
    ({"dtype": "uint8"}, []),
    (
        {"dtype": "uint8", "mean_r": 1, "std_b": 2, "mean_img": "m.bin"},
        ["dtype=uint8 is not normalised: mean_r, mean_img, std_b has no effect", "mean_img takes the place of mean_r"],
    ),
    ({"dtype": "int8", "mean_r": 1}, []),
    (
        {"dtype": "int8", "mean_r": 1, "scale": 2, "max_random_contrast": 0.1},
        ["dtype=int8 is not normalised: scale, max_random_contrast has no effect"],
    ),
    (
        {"data_shape": (1, 8, 8), "brightness": 0.1, "random_h": 5},
        ["images of one channel have no colours: brightness, random_h has no effect"],
    ),
    ({"data_shape": (1, 8, 8), "mean_r": 5, "scale": 2}, []),
    ({"mean_img": "m.bin", "mean_g": 2, "mean_b": 3}, ["mean_img takes the place of mean_g, mean_b"]),
    ({"mean_img": "m.bin", "std_r": 2}, []),
    ({"shuffle_chunk_size": 4}, ["shuffle_chunk_size has no effect without shuffle"]),
    ({"shuffle_chunk_size": 4, "shuffle": True}, []),
    ({"shuffle_chunk_size": 4, "rng": "mxnet"}, []),
]


def test_parameters_without_effect_are_listed() -> None:
    assert [lines for _, lines in IGNORED] == [ignored_parameters(params(**given)) for given, _ in IGNORED]


def warnings_of(caplog: pytest.LogCaptureFixture, rec: Path, kind: type[ImageRecordIter], **given: Any) -> list[str]:
    """The warnings of an iterator, from its construction to the end of two epochs."""
    caplog.clear()
    with caplog.at_level(logging.WARNING), iterator(rec, kind, **given) as it:
        assert 6 == len([*it, *it])
    return caplog.messages


def test_an_iterator_warns_once_of_parameters_without_effect(rec: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert [] == warnings_of(caplog, rec, ImageRecordIter)
    assert ["ctx has no effect here", "device_id has no effect here"] == warnings_of(
        caplog, rec, ImageRecordIter, ctx="gpu", device_id=-1
    )
    grey = "images of one channel have no colours: contrast has no effect"
    assert [grey] == warnings_of(caplog, rec, ImageRecordIter, data_shape=(1, 6, 8), contrast=0.5)
    normal = "dtype=uint8 is not normalised: mean_r, scale has no effect"
    assert [normal] == warnings_of(caplog, rec, ImageRecordUInt8Iter, scale=2, mean_r=1)
    assert [normal] == warnings_of(caplog, rec, ImageRecordIter, dtype="uint8", scale=2, mean_r=1)
    normal = "dtype=int8 is not normalised: scale has no effect"
    assert [normal] == warnings_of(caplog, rec, ImageRecordInt8Iter, scale=2, mean_r=1)


def test_an_iterator_of_a_fixed_dtype_warns_of_any_other(rec: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert ["ImageRecordUInt8Iter: dtype=int8 has no effect"] == warnings_of(
        caplog, rec, ImageRecordUInt8Iter, dtype="int8"
    )
    assert [] == warnings_of(caplog, rec, ImageRecordUInt8Iter, dtype="uint8")
    assert ["ImageRecordInt8Iter: dtype=float16 has no effect"] == warnings_of(
        caplog, rec, ImageRecordInt8Iter, dtype="float16"
    )


def test_an_iterator_of_a_fixed_dtype_warns_of_float32(rec: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert ["ImageRecordUInt8Iter: dtype=float32 has no effect"] == warnings_of(
        caplog, rec, ImageRecordUInt8Iter, dtype="float32"
    )


def test_opening_is_logged_unless_verbose_is_off(rec: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "im2rec"):
        iterator(rec, engine="pillow").close()
        assert [] == caplog.messages
        iterator(rec, engine="pillow", verbose=True).close()
    assert [f"{rec}: 7 records, 2 threads, engine pillow"] == caplog.messages


# The manual's examples


@pytest.fixture
def cifar(here: Path) -> Path:
    """A folder laid out as the manual has it, below the current one."""
    folder = here / "data" / "cifar"
    folder.mkdir(parents=True)
    images = [encoded(texture(32, 32, seed=n), "PNG") for n in range(10)]
    write_rec(folder / "train.rec", [image_payload(n, n % 10, content) for n, content in enumerate(images)])
    lines = [f"{n}\t{n}\t{n + 0.5}\t{-n}\t1\t{n}.png\n" for n in range(10)]
    (folder / "image.lst").write_text("".join(lines))
    return folder


def test_the_first_example_of_the_manual_runs_as_it_is_printed(cifar: Path) -> None:
    def example() -> ImageRecordIter:
        return ImageRecordIter(
            path_imgrec="data/cifar/train.rec",
            mean_img="data/cifar/cifar10_mean.bin",
            rand_crop="True",
            rand_mirror="True",
            shuffle="False",
            data_shape="(3,28,28)",
            batch_size="100",
            preprocess_threads="4",
            prefetch_buffer="1",
        )

    with example() as it:
        (batch,) = list(it)

    assert ((100, 3, 28, 28), np.float32) == (batch.data[0].shape, batch.data[0].dtype)
    assert 90 == batch.pad
    middles = [texture(32, 32, seed=n)[2:30, 2:30].transpose(2, 0, 1) for n in range(10)]
    mean = decode_single((cifar / "cifar10_mean.bin").read_bytes())
    assert ("mean_img", np.float32) == (mean.name, mean.array.dtype)
    assert np.allclose(np.mean(middles, axis=0), mean.array, rtol=1e-6)
    with example() as again:  # which reads the file
        assert batch.data[0].tobytes() == again.next().data[0].tobytes()


@pytest.mark.usefixtures("cifar")
def test_the_second_example_of_the_manual_runs_as_it_is_printed() -> None:
    with ImageRecordIter(
        path_imgrec="data/cifar/train.rec",
        data_shape="(3,28,28)",
        path_imglist="data/cifar/image.lst",
        label_width="4",
        batch_size="4",
    ) as it:
        batches = list(it)

    assert [(4, 4)] * 3 == [batch.label[0].shape for batch in batches if batch.label]
    labels = np.concatenate([batch.label[0] for batch in batches if batch.label])
    assert [[n, n + 0.5, -n, 1] for n in [*range(10), 0, 1]] == labels.tolist()
    first = texture(32, 32, seed=0)[2:30, 2:30].transpose(2, 0, 1)
    assert first.tolist() == batches[0].data[0][0].tolist()

"""Parameter groups: conversion from text as in MXNet, checks, their messages, and the documentation's rows."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import numpy as np
import pytest
from helpers import message_of

from im2rec.errors import ParameterError
from im2rec.params import ParameterDoc, check, from_mapping, from_words, param, parameter_docs, typed_words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Some:
    """A group with a parameter of every type."""

    batch_size: int = param(doc="Images in one batch.", low=1)
    data_shape: tuple[int, ...] = param((3, 28, 28), doc="Channels, height, width.")
    rand_crop: bool = param(False, doc="Crop anywhere.", reference="ours")
    ratio: float = param(0.5, doc="A share.", low=0, high=1)
    encoding: str = param(".jpg", doc="Format of the image.", choices=(".jpg", ".png", ".bmp"))
    label_width: int | None = param(None, doc="Labels in a line.", low=1)
    quality: int = param(95, doc="JPEG quality.", high=100)

    def __post_init__(self) -> None:
        check(self)


def some(*words: str, **options: Any) -> Some:
    return from_words(Some, words, options=options or {"batch_size": 1})


def test_words_become_values_of_the_declared_types() -> None:
    words = ["batch_size=8", "data_shape=(1,2,3)", "rand_crop=True", "ratio=.25", "encoding=.png", "label_width=4"]

    read = from_words(Some, words)

    expected = Some(
        batch_size=8, data_shape=(1, 2, 3), rand_crop=True, ratio=0.25, encoding=".png", label_width=4, quality=95
    )
    assert expected == read
    assert [int, tuple, bool, float, str, int, int] == [type(value) for value in dataclasses.astuple(read)]


def test_parameters_that_are_not_given_have_their_default() -> None:
    assert ((3, 28, 28), False, 0.5, ".jpg", None, 95) == dataclasses.astuple(some())[1:]


def test_a_bool_is_read_from_any_of_mxnets_words() -> None:
    for word in ("1", "true", "True", "YES", " on "):
        assert some(f"rand_crop={word}").rand_crop is True
    for word in ("0", "false", "False", "no", "OFF"):
        assert some(f"rand_crop={word}").rand_crop is False


def test_a_tuple_is_read_from_integers_with_or_without_brackets() -> None:
    for word in ("3,224,224", "(3,224,224)", "( 3, 224, 224 )", "[3,224,224]", "3,224,224,"):
        assert (3, 224, 224) == some(f"data_shape={word}").data_shape
    assert (5,) == some("data_shape=(5,)").data_shape


def test_none_can_be_written_where_it_is_the_default() -> None:
    assert some("label_width=None").label_width is None
    assert "batch_size=None must be an integer" == message_of(some, "batch_size=None", label_width=1)


def test_values_that_are_not_text_are_converted_to_the_declared_type() -> None:
    read = from_mapping(
        Some,
        {
            "batch_size": np.int64(4),
            "data_shape": [3, "8", 8.0],
            "rand_crop": np.bool_(True),
            "ratio": 1,
            "quality": 5.0,
        },
    )

    assert (4, (3, 8, 8), True, 1.0, 5) == (read.batch_size, read.data_shape, read.rand_crop, read.ratio, read.quality)
    assert [int, bool, float, int] == [type(v) for v in (read.batch_size, read.rand_crop, read.ratio, read.quality)]


REFUSED = {
    "batch_size=0": "batch_size=0 must be 1 or more (Images in one batch.)",
    "batch_size=ten": "batch_size=ten must be an integer",
    "batch_size=": "batch_size= must be an integer",
    "batch_size=1.5": "batch_size=1.5 must be an integer",
    "data_shape=a,b": "data_shape=a,b must be integers joined by commas",
    "rand_crop=2": "rand_crop=2 must be 0 or 1",
    "ratio=half": "ratio=half must be a number",
    "ratio=1.5": "ratio=1.5 must be 0 to 1 (A share.)",
    "ratio=nan": "ratio=nan must be 0 to 1 (A share.)",
    "ratio=-inf": "ratio=-inf must be 0 to 1 (A share.)",
    "encoding=.gif": "encoding=.gif must be .jpg, .png or .bmp (Format of the image.)",
    "label_width=0": "label_width=0 must be 1 or more (Labels in a line.)",
    "label_width=x": "label_width=x must be an integer",
    "quality=101": "quality=101 must be 100 or less (JPEG quality.)",
    "bach_size=3": "unknown key 'bach_size' (the nearest known key is 'batch_size')",
    "batchsize": "'batchsize' is not KEY=VALUE (write batch_size=VALUE)",
    "zzz": "'zzz' is not KEY=VALUE (write KEY=VALUE, as in batch_size=VALUE)",
}


def test_a_wrong_word_is_refused_with_the_allowed_values() -> None:
    required = {word: [] if word.startswith("batch_size") else ["batch_size=1"] for word in REFUSED}

    assert REFUSED == {word: message_of(from_words, Some, [*required[word], word]) for word in REFUSED}


NOT_CONVERTED: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 2.5}, "batch_size=2.5 must be an integer"),
    ({"batch_size": float("inf")}, "batch_size=inf must be an integer"),
    ({"batch_size": [1]}, "batch_size=[1] must be an integer"),
    ({"batch_size": 1, "data_shape": 5.5}, "data_shape=5.5 must be integers joined by commas"),
    ({"batch_size": 1, "encoding": 5}, "encoding=5 must be .jpg, .png or .bmp (Format of the image.)"),
    ({"batch_size": 1, "rand_crop": None}, "rand_crop=None must be 0 or 1"),
    ({"batch_size": 1, "ratio": [0.5]}, "ratio=[0.5] must be a number"),
]


def test_one_number_is_a_shape_of_one_dimension() -> None:
    assert (5,) == Some(batch_size=1, data_shape=5).data_shape == Some(batch_size=1, data_shape="5").data_shape


def test_a_value_of_the_wrong_type_is_refused() -> None:
    messages = [message for _, message in NOT_CONVERTED]

    assert messages == [message_of(from_mapping, Some, values) for values, _ in NOT_CONVERTED]
    assert messages == [message_of(Some, **values) for values, _ in NOT_CONVERTED]


def test_a_required_parameter_that_is_missing_is_named_with_its_help() -> None:
    assert "batch_size is missing (Images in one batch.)" == message_of(from_words, Some, [])
    assert "batch_size is missing (Images in one batch.)" == message_of(from_mapping, Some, {"quality": 5})


def test_a_key_given_twice_with_different_values_is_refused() -> None:
    twice = "batch_size is given twice: 1 and 2 (give it once)"

    assert twice == message_of(from_words, Some, ["batch_size=1", "quality=5", "batch_size=2"])
    assert twice == message_of(from_words, Some, ["batch_size=2"], options={"batch_size": 1})


def test_a_key_may_be_given_twice_with_the_same_value() -> None:
    assert Some(batch_size=2) == from_words(Some, ["batch_size=2", "batch_size=2"])
    assert Some(batch_size=2) == from_words(Some, ["batch_size=2"], options={"batch_size": 2})


def test_a_word_and_an_option_may_spell_the_same_value_differently() -> None:
    options = {"data_shape": (3, 8, 8), "rand_crop": True, "ratio": 0.25, "batch_size": 8}

    read = from_words(Some, ["data_shape=(3,8,8)", "rand_crop=1", "ratio=.25", "batch_size=8"], options=options)

    assert Some(batch_size=8, data_shape=(3, 8, 8), rand_crop=True, ratio=0.25) == read


def test_options_that_are_none_count_as_not_given() -> None:
    assert Some(batch_size=2) == from_words(Some, ["batch_size=2"], options={"batch_size": None, "quality": None})


def test_an_unknown_option_is_refused() -> None:
    assert "unknown key 'wokers'" in message_of(from_words, Some, ["batch_size=2"], options={"wokers": 1})


def test_a_value_may_hold_an_equals_sign() -> None:
    @dataclasses.dataclass(frozen=True)
    class Named:
        path: str = param("", doc="A path.")

    assert "a=b.rec" == from_words(Named, ["path=a=b.rec"]).path


def test_a_group_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        some().quality = 5


def test_replacing_a_value_checks_it_again() -> None:
    with pytest.raises(ParameterError, match=r"^quality=101 must be 100 or less"):
        dataclasses.replace(some(), quality=101)


def test_the_documentation_of_a_group_is_one_row_of_text_for_each_parameter() -> None:
    as_mxnet = "as the reference"

    assert [
        ParameterDoc("batch_size", "an integer", "required", "1 or more", "Images in one batch.", as_mxnet),
        ParameterDoc(
            "data_shape", "integers joined by commas", "(3, 28, 28)", "", "Channels, height, width.", as_mxnet
        ),
        ParameterDoc("rand_crop", "0 or 1", "0", "", "Crop anywhere.", "ours"),
        ParameterDoc("ratio", "a number", "0.5", "0 to 1", "A share.", as_mxnet),
        ParameterDoc("encoding", "text", ".jpg", ".jpg, .png or .bmp", "Format of the image.", as_mxnet),
        ParameterDoc("label_width", "an integer", "not set", "1 or more", "Labels in a line.", as_mxnet),
        ParameterDoc("quality", "an integer", "95", "100 or less", "JPEG quality.", as_mxnet),
    ] == parameter_docs(Some)


@dataclasses.dataclass(frozen=True)
class Older:
    """A type spelled the older way."""

    width: typing.Optional[int] = param(None, doc="A width.")  # noqa: UP045 - the spelling under test

    def __post_init__(self) -> None:
        check(self)


def test_an_optional_type_may_be_spelled_either_way() -> None:
    assert [ParameterDoc("width", "an integer", "not set", "", "A width.", "as the reference")] == parameter_docs(Older)
    assert 5 == from_words(Older, ["width=5"]).width


def test_a_single_choice_is_shown_alone() -> None:
    @dataclasses.dataclass(frozen=True)
    class One:
        kind: str = param("a", doc="A kind.", choices=("a",))

        def __post_init__(self) -> None:
            check(self)

    assert "kind=b must be a (A kind.)" == message_of(from_words, One, ["kind=b"])


def test_the_types_of_a_group_are_looked_up_once_however_many_words_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Other(Some):
        """A group that is used nowhere else."""

    looked_up: list[type] = []
    real = typing.get_type_hints
    monkeypatch.setattr(typing, "get_type_hints", lambda kind: (looked_up.append(kind), real(kind))[1])
    assert Other(batch_size=2) == from_words(Other, ["batch_size=2"] * 1000)
    assert [Other] == looked_up


def test_the_words_that_were_typed_come_back_if_they_say_other_than_the_default() -> None:
    words = [
        "batch_size=36",
        "data_shape=1,5,9",
        "rand_crop=1",
        "ratio=0.1",
        "encoding=.png",
        "label_width=7",
        "quality=5",
    ]
    params = from_words(Some, words)

    assert words == typed_words(params)
    assert params == from_words(Some, typed_words(params))
    assert ["batch_size=2"] == typed_words(from_words(Some, ["batch_size=2", "ratio=0.5", "label_width=none"]))
    assert ["ratio=1"] == typed_words(from_words(Some, ["batch_size=2", "ratio=1.0"]), without=["batch_size"])


def test_words_are_quoted_as_a_shell_needs_it() -> None:
    assert ["batch_size=1", "'path=my list;2.lst'"] == typed_words(
        from_words(Named, ["batch_size=1", "path=my list;2.lst"])
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named:
    """A group with a path."""

    batch_size: int = param(doc="Images in one batch.")
    path: str = param("", doc="A file.")

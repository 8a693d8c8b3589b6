"""Declarations of what ``--json`` prints, and the values that are derived from them."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

from im2rec.schema import Key, Number, as_json, described, keys_of, whole


@dataclasses.dataclass
class Inner:
    width: int = described("A width.")


@dataclasses.dataclass
class Outer:
    count: int = described("A count.")
    ratio: float | None = described("A ratio.", None)
    median: Number = described("A median.", 0)
    best: Number | None = described("The best.", None)
    done: bool = described("Whether it is done.", default=False)
    inner: Inner | None = described("One inside.", None)
    inners: list[Inner] = described("Some inside.", factory=list)
    groups: dict[str, list[Inner]] = described("Groups of them.", factory=dict)
    names: dict[int, str] = described("Names by number.", factory=dict)


def test_every_field_is_a_key_with_its_type_in_words() -> None:
    assert [
        Key("count", "integer", "A count.", is_optional=False, holds=None),
        Key("ratio", "number", "A ratio.", is_optional=True, holds=None),
        Key("median", "number", "A median.", is_optional=False, holds=None),
        Key("best", "number", "The best.", is_optional=True, holds=None),
        Key("done", "boolean", "Whether it is done.", is_optional=False, holds=None),
        Key("inner", "object", "One inside.", is_optional=True, holds=Inner),
        Key("inners", "list of objects", "Some inside.", is_optional=False, holds=Inner),
        Key("groups", "object of lists of objects", "Groups of them.", is_optional=False, holds=Inner),
        Key("names", "object of strings", "Names by number.", is_optional=False, holds=None),
    ] == keys_of(Outer)


def test_a_field_without_a_meaning_is_an_error() -> None:
    @dataclasses.dataclass
    class Bare:
        count: int = 0

    with pytest.raises(KeyError, match="meaning"):
        keys_of(Bare)


def test_dataclasses_become_objects_at_any_depth() -> None:
    value = Outer(1, inner=Inner(2), inners=[Inner(3)], groups={"a": [Inner(4)]}, names={5: "b"})

    assert {
        "count": 1, "ratio": None, "median": 0, "best": None, "done": False, "inner": {"width": 2},
        "inners": [{"width": 3}], "groups": {"a": [{"width": 4}]}, "names": {"5": "b"},
    } == json.loads(json.dumps(as_json(value)))  # fmt: skip


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_null(value: float) -> None:
    assert {"count": 1, "ratio": None} == {key: as_json(Outer(1, ratio=value))[key] for key in ("count", "ratio")}


WHOLE: list[tuple[float, Any]] = [(3.0, "3"), (2.5, "2.5"), (0.0, "0"), (-0.0, "-0.0"), (1e9, "1000000000")]


@pytest.mark.parametrize(("value", "shown"), WHOLE)
def test_a_whole_number_has_no_decimal_point(value: float, shown: str) -> None:
    assert shown == str(whole(value))


def test_numbers_that_are_not_finite_stay() -> None:
    assert ["nan", "inf"] == [str(whole(math.nan)), str(whole(math.inf))]

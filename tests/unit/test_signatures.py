"""The parameters of the iterators in signatures, in help texts, and for type checkers."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

import im2rec
from im2rec.errors import ParameterError
from im2rec.iterators.mnist import MNISTParams
from im2rec.iterators.text_params import CSVParams, LibSVMParams
from im2rec.params import parameter_docs
from im2rec.pipeline.params import ImageRecordParams

KINDS = [
    (im2rec.ImageRecordIter, ImageRecordParams),
    (im2rec.ImageRecordUInt8Iter, ImageRecordParams),
    (im2rec.ImageRecordInt8Iter, ImageRecordParams),
    (im2rec.MNISTIter, MNISTParams),
    (im2rec.CSVIter, CSVParams),
    (im2rec.LibSVMIter, LibSVMParams),
]
ROOT = Path(im2rec.__file__).parents[1]


@pytest.mark.parametrize(("iterator", "kind"), KINDS)
def test_the_signature_lists_every_parameter_in_order_of_declaration(iterator: type[Any], kind: type[Any]) -> None:
    parameters = inspect.signature(iterator).parameters.values()

    assert [row.name for row in parameter_docs(kind)] == [parameter.name for parameter in parameters]
    assert {inspect.Parameter.KEYWORD_ONLY} == {parameter.kind for parameter in parameters}


@pytest.mark.parametrize(
    ("iterator", "name", "text"),
    [
        (im2rec.ImageRecordIter, "path_imgrec", "path_imgrec: str"),
        (im2rec.ImageRecordIter, "data_shape", "data_shape: tuple[int, ...]"),
        (im2rec.ImageRecordIter, "label_width", "label_width: int | None = None"),
        (im2rec.ImageRecordIter, "shuffle", "shuffle: bool = False"),
        (im2rec.ImageRecordIter, "scale", "scale: float = 1.0"),
        (im2rec.ImageRecordIter, "layout", "layout: str = 'NCHW'"),
        (im2rec.MNISTIter, "batch_size", "batch_size: int = 128"),
        (im2rec.CSVIter, "label_shape", "label_shape: tuple[int, ...] = (1,)"),
        (im2rec.LibSVMIter, "batch_size", "batch_size: int"),
    ],
)
def test_the_signature_shows_type_and_default_of_a_parameter(iterator: type[Any], name: str, text: str) -> None:
    assert text == str(inspect.signature(iterator).parameters[name])


@pytest.mark.parametrize(("iterator", "kind"), KINDS)
def test_the_type_hints_of_the_constructor_are_those_of_the_parameters(iterator: type[Any], kind: type[Any]) -> None:
    assert typing.get_type_hints(kind) == typing.get_type_hints(iterator.__init__)


@pytest.mark.parametrize(("iterator", "kind"), KINDS)
def test_the_default_in_the_signature_is_the_one_that_is_used(iterator: type[Any], kind: type[Any]) -> None:
    required = {"path_imgrec": "a", "data_csv": "a", "data_libsvm": "a", "data_shape": (3, 1, 1), "batch_size": 1}
    parameters = inspect.signature(iterator).parameters
    given: dict[str, Any] = {
        name: required[name] if parameter.default is inspect.Parameter.empty else parameter.default
        for name, parameter in parameters.items()
    }
    if kind is LibSVMParams:
        given["data_shape"] = 3

    assert kind(**{name: given[name] for name in required if name in given}) == kind(**given)


@pytest.mark.parametrize(("iterator", "kind"), KINDS)
def test_the_help_of_the_constructor_explains_every_parameter(iterator: type[Any], kind: type[Any]) -> None:
    text = inspect.getdoc(iterator.__init__) or ""

    assert [] == [row.name for row in parameter_docs(kind) if f"\n{row.name}: " not in text or row.doc not in text]


def test_the_help_of_a_parameter_gives_type_allowed_values_and_default() -> None:
    lines = (inspect.getdoc(im2rec.ImageRecordIter.__init__) or "").splitlines()

    assert "layout: text, NCHW or NHWC, default NCHW" in lines
    assert "    Order of the axes of the data." == lines[lines.index("layout: text, NCHW or NHWC, default NCHW") + 1]
    assert "batch_size: an integer, 1 to 2147483647, required" in lines


def test_a_subclass_with_its_own_constructor_shows_its_own_signature() -> None:
    class Folded(im2rec.ImageRecordIter):
        def __init__(self, folder: str, fold: int = 0) -> None:
            super().__init__(path_imgrec=f"{folder}/{fold}.rec", data_shape=(3, 8, 8), batch_size=1)

    class Named(im2rec.ImageRecordIter):
        pass

    assert "(folder: 'str', fold: 'int' = 0) -> 'None'" == str(inspect.signature(Folded)).replace('"', "'")
    assert inspect.signature(im2rec.ImageRecordIter) == inspect.signature(Named)


def test_a_misspelt_parameter_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(ParameterError) as caught:
        im2rec.ImageRecordIter(path_imgrec="a.rec", data_shpae=(3, 8, 8), batch_size=1)

    assert "unknown key 'data_shpae'" in str(caught.value)
    assert "data_shape" in str(caught.value)


CALLS = """
from im2rec import CSVIter, ImageRecordInt8Iter, ImageRecordIter, LibSVMIter, MNISTIter

ImageRecordIter(path_imgrec="a.rec", data_shape=(3, 8, 8), batch_size=4, shuffle=True, label_width=None, scale=1)
ImageRecordIter(path_imgrec="a.rec", data_shape="(3,8,8)", batch_size="4", shuffle="True", label_width="2", scale=".5")
ImageRecordInt8Iter(path_imgrec="a.rec", data_shape=[3, 8, 8], batch_size=4, rand_crop=1)
MNISTIter(flat=True)
CSVIter(data_csv="a.csv", data_shape=4, batch_size=2)
LibSVMIter(data_libsvm="a.txt", data_shape=4, batch_size=2)
words: dict[str, str] = {}
ImageRecordIter(**words)
for batch in MNISTIter():
    print(batch.data[0], batch.label[0], 128 - batch.pad)
ImageRecordIter(path_imgrec="a.rec", data_shpae=(3, 8, 8), batch_size=4)  # typo
ImageRecordInt8Iter(data_shape=(3, 8, 8), batch_size=4)  # missing
MNISTIter(shufle=True)  # typo
CSVIter(data_csv="a.csv", data_shape=4, batch_size=None)  # None
LibSVMIter("a.txt", data_libsvm="a.txt", data_shape=4, batch_size=2)  # by position
"""
# What the iterators import takes most of the time to read, and does not change how a call of theirs is checked.
MYPY_SETTINGS = """
[mypy]
strict = True
python_version = 3.10
follow_imports = skip
mypy_path = {root}
[mypy-numpy.*]
follow_imports_for_stubs = True
[mypy-im2rec,im2rec.iterators.*]
follow_imports = silent
"""


def test_mypy_accepts_right_calls_and_names_the_wrong_parameter_of_wrong_ones(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "calls.py").write_text(CALLS, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(MYPY_SETTINGS.format(root=ROOT.as_posix()), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "mypy", "calls.py"], cwd=tmp_path, capture_output=True, text=True)

    errors = [line.split(":", 3) for line in done.stdout.splitlines() if ": error:" in line]
    wrong = [number for number, line in enumerate(CALLS.splitlines(), 1) if "  # " in line]
    assert [("calls.py", str(number)) for number in wrong] == [(path, number) for path, number, *_ in errors], done
    for name, (*_, problem) in zip(["data_shpae", "path_imgrec", "shufle", "batch_size", "Never"], errors, strict=True):
        assert name in problem

"""Read CIFAR-10 and CIFAR-100 as they are published: pickles or binary files, in a folder or a tar file.

::

    CIFAR-10, a record    =  class u8 | 1024 red | 1024 green | 1024 blue bytes
    CIFAR-100, a record   =  coarse class u8 | fine class u8 | 1024 red | 1024 green | 1024 blue bytes

A pickle is a dictionary of ``data``, uint8 (count, 3072) with the same order of bytes, and ``labels``, or
``fine_labels`` and ``coarse_labels``, lists of integers.

Source: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from im2rec.datasets.archives import read_members
from im2rec.datasets.pickles import load_pickle
from im2rec.datasets.sets import CIFAR10, CIFAR100, SETS, TEST, TRAIN, Bytes, Dataset, ImageBatch, check_labels
from im2rec.errors import InputError
from im2rec.storage.files import PathLike, reading

SIDE, CHANNELS = 32, 3
PIXELS = CHANNELS * SIDE * SIDE
_COARSE_CLASSES = 20
_MAKE_AGAIN = "make or fetch it again"


class Version(NamedTuple):
    """A published version of a set: the names of its files, and of the folder and archive that usually contain them.

    *names* is the file with all class names, or the two with those of the fine and of the coarse classes.
    """

    title: str
    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    names: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        """All files with images."""
        return [*self.train, self.test]


_PICKLES = tuple(f"data_batch_{number}" for number in range(1, 6))
_BINARIES = tuple(f"{name}.bin" for name in _PICKLES)
_NAMES100 = ("fine_label_names.txt", "coarse_label_names.txt")
PYTHON, BINARY = "Python version", "binary version"
VERSIONS = {
    CIFAR10: (
        Version(PYTHON, "cifar-10-batches-py", "cifar-10-python.tar.gz", _PICKLES, "test_batch", ("batches.meta",)),
        Version(
            BINARY, "cifar-10-batches-bin", "cifar-10-binary.tar.gz", _BINARIES, "test_batch.bin", ("batches.meta.txt",)
        ),
    ),
    CIFAR100: (
        Version(PYTHON, "cifar-100-python", "cifar-100-python.tar.gz", ("train",), "test", ("meta",)),
        Version(BINARY, "cifar-100-binary", "cifar-100-binary.tar.gz", ("train.bin",), "test.bin", _NAMES100),
    ),
}


def read_cifar(name: str, source: PathLike) -> Dataset:
    """Read the set *name*, ``cifar10`` or ``cifar100``, from *source*.

    *source* is a tar file, a folder of the set's files, or the folder above either. Pixels are uint8
    (count, 32, 32, 3), R G B. The version is recognised by the names of the files; of two, the Python version is read.
    Raises InputError for a file that is missing, damaged, or of another set.
    """
    versions = VERSIONS[name]
    location = _locate(source, versions)
    files_of_set = [file for version in versions for file in (*version.files, *version.names)]
    contents = read_members(location, files_of_set)
    version = max(versions, key=lambda version: sum(file in contents for file in version.files))
    missing = [file for file in version.files if file not in contents]
    if len(missing) == len(version.files):
        problem = f"holds no {SETS[name].title}: no {' or '.join(v.files[0] for v in versions)}"
        raise InputError(problem, path=source, hint=f"name its folder, or its archive {versions[0].archive}")
    if missing:
        raise InputError(f"lacks {', '.join(missing)}", path=location, hint=_MAKE_AGAIN)
    classes = _class_names(name, version, contents, location)
    sizes = [len(names) for names in classes]
    splits: dict[str, list[ImageBatch]] = {}
    for split, files in ((TRAIN, version.train), (TEST, (version.test,))):
        # pop() frees each file once its pixels are read.
        splits[split] = [
            _read_file(version, contents.pop(file), sizes, f"{os.fspath(location)}, {file}") for file in files
        ]
    return Dataset(version.title, splits, *classes)


def _locate(source: PathLike, versions: Sequence[Version]) -> Path:
    """Return *source* itself, or the first folder or archive in it with one of the usual names."""
    source = Path(source)
    names = [*(version.folder for version in versions), *(version.archive for version in versions)]
    with reading(source):
        if source.is_dir() and not any((source / version.files[0]).is_file() for version in versions):
            return next((source / name for name in names if (source / name).exists()), source)
    return source


def _class_names(name: str, version: Version, contents: dict[str, bytes], location: Path) -> list[list[str]]:
    """Return the class names, and for CIFAR-100 also those of the coarse classes. Raises InputError."""
    expected = [10] if name == CIFAR10 else [100, _COARSE_CLASSES]
    if name == CIFAR10 and version.names[0] not in contents:
        return [list(SETS[name].classes)]
    for file in version.names:
        if file not in contents:
            raise InputError(f"lacks {file}", path=location, hint=_MAKE_AGAIN)
    if version.title == BINARY:
        lists = [contents[file].decode("utf-8", "replace").split() for file in version.names]
    else:
        where = f"{os.fspath(location)}, {version.names[0]}"
        keys = ["label_names"] if name == CIFAR10 else ["fine_label_names", "coarse_label_names"]
        fields = _dictionary(contents[version.names[0]], where)
        lists = [[_text(word) for word in _field(fields, key, list, where)] for key in keys]
    for names, count in zip(lists, expected, strict=True):
        if len(names) != count or len(set(names)) != count or not all(name.isprintable() and name for name in names):
            problem = f"{os.fspath(location)}, {version.names[0]}: expected {count} different class names"
            raise InputError(problem, hint=_MAKE_AGAIN)
    return lists


def _text(word: object) -> str:
    """Return a string of Python 2 (bytes) or Python 3 as str, and ``""`` for anything else."""
    if isinstance(word, bytes):
        return word.decode("utf-8", "replace")
    return word if isinstance(word, str) else ""


def _read_file(version: Version, content: bytes, sizes: list[int], where: str) -> ImageBatch:
    """Return the images of one file; *sizes* are the numbers of classes and, for CIFAR-100, of coarse classes."""
    rows, labels = (_read_binary if version.title == BINARY else _read_pickle)(content, len(sizes), where)
    for column, size in enumerate(sizes):
        check_labels(labels[:, column], size, where)
    return ImageBatch(rows.reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1), labels)


def _read_binary(content: bytes, width: int, where: str) -> tuple[Bytes, Bytes]:
    """Return pixels (count, 3072) and labels (count, *width*) of a file of the binary version. Raises InputError."""
    size = width + PIXELS
    if not content or len(content) % size:
        problem = f"{where}: expected records of {size} bytes, found {len(content)} bytes"
        raise InputError(problem, hint=f"the file was cut short; {_MAKE_AGAIN}")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    return records[:, width:], records[:, width - 1 :: -1]  # reversed: the fine label first


def _read_pickle(content: bytes, width: int, where: str) -> tuple[Bytes, Bytes]:
    """Return pixels (count, 3072) and labels (count, *width*) of a file of the Python version. Raises InputError."""
    fields = _dictionary(content, where)
    rows = _field(fields, "data", np.ndarray, where)
    if rows.ndim != 2 or rows.shape[1] != PIXELS or not len(rows):
        problem = f"{where}: expected data of count x {PIXELS}, found {' x '.join(map(str, rows.shape))}"
        raise InputError(problem, hint=_MAKE_AGAIN)
    columns = []
    for key in ["labels"] if width == 1 else ["fine_labels", "coarse_labels"]:
        column = _field(fields, key, list, where)
        if len(column) != len(rows) or not all(type(label) is int and 0 <= label < 256 for label in column):
            problem = f"{where}: expected {len(rows)} {key} of 0 to 255, one for each image"
            raise InputError(problem, hint=_MAKE_AGAIN)
        columns.append(column)
    return rows, np.array(columns, np.uint8).T


def _dictionary(content: bytes, where: str) -> dict[str, Any]:
    """Load the pickle *content*, which must be a dictionary. Raises InputError, which names *where*."""
    try:
        value = load_pickle(content)
    except InputError as error:
        raise InputError(f"{where}: {error.problem}", hint=error.hint) from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a dictionary, found a {type(value).__name__}", hint=_MAKE_AGAIN)
    return {_text(key): item for key, item in value.items()}


def _field(fields: dict[str, Any], key: str, kind: type, where: str) -> Any:
    """Return the value of *key*. Raises InputError, which names *where*, when it is missing or not a *kind*."""
    value = fields.get(key)
    if not isinstance(value, kind):
        found = "none" if value is None else f"a {type(value).__name__}"
        raise InputError(f"{where}: expected {key}, a {kind.__name__}, found {found}", hint=_MAKE_AGAIN)
    return value

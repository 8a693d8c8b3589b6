"""Read MNIST as it is published: four IDX files, compressed by gzip or not, under two spellings of their names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from im2rec.datasets.sets import MNIST, SETS, TEST, TRAIN, Dataset, ImageBatch, check_labels
from im2rec.errors import InputError
from im2rec.format.mnistfile import read_images, read_labels
from im2rec.storage.files import PathLike, check_folder, read_parsed

_STEMS = {TRAIN: "train", TEST: "t10k"}
_KINDS = ("images{}idx3-ubyte", "labels{}idx1-ubyte")
_FOLDERS = ("", "MNIST/raw", "raw")  # torchvision keeps them in the second


class MnistPair(NamedTuple):
    """The paths of the two files of a split."""

    images: PathLike
    labels: PathLike


def find_mnist(folder: PathLike) -> dict[str, MnistPair]:
    """Find the files of both splits in *folder* or in ``MNIST/raw`` below it. Raises InputError if one is missing."""
    check_folder(folder)
    folders = [Path(folder, inner) for inner in _FOLDERS]
    inside = next((inner for inner in folders if _find_file(inner, TRAIN, _KINDS[0])), folders[0])
    pairs = {}
    for split, stem in _STEMS.items():
        paths = [_find_file(inside, split, kind) for kind in _KINDS]
        for path, kind in zip(paths, _KINDS, strict=True):
            if path is None:
                name = f"{stem}-{kind.format('-')}"
                raise InputError(f"holds no {name}, nor {name}.gz", path=folder, hint="name it with --images")
        pairs[split] = MnistPair(*filter(None, paths))
    return pairs


def read_mnist(pairs: Mapping[str, MnistPair]) -> Dataset:
    """Read images, uint8 (count, rows, columns, 1), and digits from *pairs*, the files of each split.

    Raises InputError, and IdxFormatError with its path for a damaged file.
    """
    digits = list(SETS[MNIST].classes)
    splits = {}
    for split, pair in pairs.items():
        images, labels = read_parsed(pair.images, read_images), read_parsed(pair.labels, read_labels)
        if len(images) != len(labels):
            problem = f"expected {len(images)} labels, one for each image of {os.fspath(pair.images)}"
            raise InputError(f"{problem}, found {len(labels)}", path=pair.labels)
        check_labels(labels, len(digits), os.fspath(pair.labels), "digit")
        splits[split] = [ImageBatch(images[..., None], labels[:, None])]
    return Dataset("IDX files", splits, digits)


def _find_file(folder: Path, split: str, kind: str) -> Path | None:
    """Return the path of a file of *split* under either spelling of its name, compressed or not; None if missing."""
    names = [f"{_STEMS[split]}-{kind.format(sign)}{suffix}" for sign in "-." for suffix in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)

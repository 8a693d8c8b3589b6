"""The published sets: addresses, sizes and MD5 sums of their files; the parameters of ``im2rec import``.

Also the types in which the readers return images and labels.

Source: http://yann.lecun.com/exdb/mnist/ and https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError
from im2rec.params import check, param


class RemoteFile(NamedTuple):
    """A published file: its *name*, its *size* in bytes, and its MD5 sum in hexadecimal digits."""

    name: str
    size: int
    md5: str


class KnownSet(NamedTuple):
    """A published set: its title, the address below which its *files* are, and the number of images in each split.

    *classes* is empty when only the files contain their names. *binary* are the files of the binary version, if there
    is one.
    """

    title: str
    address: str
    files: tuple[RemoteFile, ...]
    images: dict[str, int]
    classes: tuple[str, ...] = ()
    binary: tuple[RemoteFile, ...] = ()


TRAIN, TEST = "train", "test"
MNIST, CIFAR10, CIFAR100 = "mnist", "cifar10", "cifar100"

SETS = {
    MNIST: KnownSet(
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (
            RemoteFile("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            RemoteFile("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            RemoteFile("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            RemoteFile("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        {TRAIN: 60_000, TEST: 10_000},
        tuple("0123456789"),
    ),
    CIFAR10: KnownSet(
        "CIFAR-10",
        "https://www.cs.toronto.edu/~kriz/",
        (RemoteFile("cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a"),),
        {TRAIN: 50_000, TEST: 10_000},
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        (RemoteFile("cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530"),),
    ),
    CIFAR100: KnownSet(
        "CIFAR-100",
        "https://www.cs.toronto.edu/~kriz/",
        (RemoteFile("cifar-100-python.tar.gz", 169_001_437, "eb9058c3a382ffc7106e4002c42a8d85"),),
        {TRAIN: 50_000, TEST: 10_000},
    ),
}

Bytes = npt.NDArray[np.uint8]


class ImageBatch(NamedTuple):
    """The images of one file, in its order.

    *pixels* is uint8 (count, height, width, channels), with one channel or R G B. *labels* is uint8 (count, n): the
    class, or for CIFAR-100 the fine and the coarse class.
    """

    pixels: Bytes
    labels: Bytes


@dataclasses.dataclass
class Dataset:
    """A set in memory: the *version* of its files, the batches of each split, and the names of its classes."""

    version: str
    splits: dict[str, list[ImageBatch]]
    classes: list[str]
    coarse_classes: list[str] = dataclasses.field(default_factory=list)

    def images(self) -> dict[str, int]:
        """Return the number of images in each split."""
        return {split: sum(len(batch.labels) for batch in batches) for split, batches in self.splits.items()}


def check_labels(labels: Bytes, classes: int, what: str = "label") -> None:
    """Raise InputError, without a path, if one of *labels* (count,) is not below *classes*."""
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        row = int(wrong[0])
        raise InputError(f"expected a {what} of 0 to {classes - 1} in row {row}, found {labels[row]}")


FINE, COARSE, BOTH = "fine", "coarse", "both"
PYTHON, BINARY = "python", "binary"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportParams:
    """Parameters of the stored images of any set."""

    encoding: str = param(
        ".png", doc="Format of the stored images.", choices=(".png", ".jpg"), reference="ours; .png loses nothing"
    )
    quality: int = param(95, doc="JPEG quality.", low=0, high=100, reference="ours; .jpg only")

    def __post_init__(self) -> None:
        if isinstance(self.encoding, str) and not self.encoding.startswith("."):
            object.__setattr__(self, "encoding", f".{self.encoding}")
        check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CifarParams(ImportParams):
    """Parameters of CIFAR-10 and CIFAR-100, which are published in two versions."""

    version: str = param(
        PYTHON, doc="cifar10: the version --download fetches.", choices=(PYTHON, BINARY), reference="ours"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cifar100Params(CifarParams):
    """Parameters of CIFAR-100, which has two labels per image."""

    label: str = param(
        FINE, doc="cifar100: the label stored; both: fine, then coarse.", choices=(FINE, COARSE, BOTH), reference="ours"
    )

"""The sets that are known: where they are published, the sizes and MD5 sums of their files, and what is in them.

Source: http://yann.lecun.com/exdb/mnist/ and https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from typing import NamedTuple


class RemoteFile(NamedTuple):
    """A file as it is published: its *name*, its *size* in bytes, and its MD5 sum in hexadecimal digits."""

    name: str
    size: int
    md5: str


class KnownSet(NamedTuple):
    """A set: what people call it, the address its *files* are below, and the pictures of each split.

    *binary* are the files of its binary version, where there is one to fetch.
    """

    title: str
    address: str
    files: tuple[RemoteFile, ...]
    images: dict[str, int]
    classes: tuple[str, ...] = ()  # () where only the files themselves tell
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

"""Small sets, drawn from a seed, in every form in which MNIST and CIFAR are published."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


# MNIST.


def idx_images(pixels: Array) -> bytes:
    """An IDX file of *pixels*, uint8 (count, rows, columns)."""
    return struct.pack(">4I", 2051, *pixels.shape) + pixels.tobytes()


def idx_labels(labels: Array) -> bytes:
    """An IDX file of *labels*, uint8 (count,)."""
    return struct.pack(">2I", 2049, len(labels)) + labels.astype(np.uint8).tobytes()


def gzipped(data: bytes) -> bytes:
    """*data* compressed by gzip, without a time in the header."""
    return gzip.compress(data, 1, mtime=0)


DIGITS = {"train": (np.random.default_rng(1).integers(0, 256, (12, 28, 28), np.uint8), np.arange(12) % 10)}
DIGITS["t10k"] = (np.random.default_rng(2).integers(0, 256, (5, 28, 28), np.uint8), np.arange(5))
MNIST_FILES = {
    name: data
    for stem, (pixels, labels) in DIGITS.items()
    for name, data in (
        (f"{stem}-images-idx3-ubyte", idx_images(pixels)),
        (f"{stem}-labels-idx1-ubyte", idx_labels(labels)),
    )
}


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A folder of *files*."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


# CIFAR.


def python2_pickle(value: Any) -> bytes:
    """*value* as pickled by Python 2 with protocol 2, where text and bytes are both ``str``."""
    return b"\x80\x02" + _pickled(value) + b"."


def _pickled(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_pickled(key) + _pickled(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_pickled, value)) + b"e"
    if isinstance(value, np.ndarray):
        start = b"cnumpy.core.multiarray\n_reconstruct\nq\1cnumpy\nndarray\nK\0\x85U\1b\x87R"
        shape = b"(" + b"".join(map(_pickled, value.shape)) + b"t"
        dtype = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        return start + b"(K\1" + shape + dtype + b"\x89" + _pickled(value.tobytes()) + b"tb"
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)
    text = value.encode() if isinstance(value, str) else value
    return (b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + struct.pack("<i", len(text))) + text


def _drawn(seed: int, count: int, classes: int) -> tuple[Array, list[int], list[int]]:
    """Rows of 3072 bytes, classes, and coarse classes."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (count, 3072), np.uint8)
    return rows, rng.integers(0, classes, count).tolist(), rng.integers(0, 20, count).tolist()


NAMES10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FINE, COARSE = [f"fine_{n}" for n in range(100)], [f"coarse_{n}" for n in range(20)]
ROWS10 = {f"data_batch_{n}": _drawn(n, 2 + n, 10) for n in range(1, 6)} | {"test_batch": _drawn(9, 4, 10)}
ROWS100 = {"train": _drawn(11, 9, 100), "test": _drawn(12, 5, 100)}

PYTHON10 = {
    name: python2_pickle({"batch_label": name, "labels": labels, "data": rows, "filenames": ["a.png"] * len(rows)})
    for name, (rows, labels, _) in ROWS10.items()
} | {"batches.meta": python2_pickle({"num_cases_per_batch": 10000, "label_names": NAMES10, "num_vis": 3072})}
BINARY10 = {
    f"{name}.bin": b"".join(bytes([label]) + row.tobytes() for row, label in zip(rows, labels, strict=True))
    for name, (rows, labels, _) in ROWS10.items()
} | {"batches.meta.txt": "\n".join([*NAMES10, "", ""]).encode()}
PYTHON100 = {
    name: python2_pickle({"data": rows, "fine_labels": fine, "coarse_labels": coarse})
    for name, (rows, fine, coarse) in ROWS100.items()
} | {"meta": python2_pickle({"fine_label_names": FINE, "coarse_label_names": COARSE})}
BINARY100 = {
    f"{name}.bin": b"".join(bytes([c, f]) + row.tobytes() for row, f, c in zip(rows, fine, coarse, strict=True))
    for name, (rows, fine, coarse) in ROWS100.items()
} | {"fine_label_names.txt": "\n".join(FINE).encode(), "coarse_label_names.txt": "\n".join([*COARSE, ""]).encode()}


def pixels_of_rows(rows: Array) -> Array:
    """Rows of 3072 bytes as (count, 32, 32, 3)."""
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def tarred(files: Mapping[str, bytes], *, folder: str = "some-set", mode: str = "w:gz") -> bytes:
    """A tar file with *files* in a folder *folder*, written with *mode* of ``tarfile.open``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()

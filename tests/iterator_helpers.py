"""What the tests of the iterators share: small files of pictures, iterators over them, and what was delivered."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, write_rec
from picture_helpers import encoded, texture

from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline import order, permutation
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.permutation import Permutation
from im2rec.pipeline.records import Records
from im2rec.storage.reader import RecordFile

HEIGHT, WIDTH = 8, 10
SHAPE = (3, 6, 8)
FIRST_ID = 100  # of record 0 of a file of pictures; its label is 0
ORDERS: dict[str, dict[str, Any]] = {
    "file order": {},
    "shuffled": {"shuffle": True},
    "each part shuffled": {"shuffle": True, "shuffle_scope": "part"},
    "by blocks": {"shuffle": True, "shuffle_chunk_size": 1},
    "by blocks in each part": {"shuffle": True, "shuffle_scope": "part", "shuffle_chunk_size": 1},
}
in_every_order = pytest.mark.parametrize("kind", ORDERS)


def pixels(number: int) -> np.ndarray[Any, Any]:
    """Picture *number*: uint8 (8, 10, 3)."""
    return texture(HEIGHT, WIDTH, seed=number)


@functools.cache
def picture(number: int) -> bytes:
    """Picture *number* as a PNG."""
    return encoded(pixels(number), "PNG")


def centre(number: int) -> np.ndarray[Any, Any]:
    """The middle of picture *number* as a batch shows it: float32 (3, 6, 8)."""
    return pixels(number)[1:7, 1:9].transpose(2, 0, 1).astype(np.float32)


def picture_payloads(count: int, first: int = 0) -> list[bytes]:
    """Payloads of pictures *first* and so on: their ids count from ``FIRST_ID``, their labels from 0."""
    return [image_payload(FIRST_ID + n, label=n, content=picture(n)) for n in range(first, first + count)]


def pictures_rec(path: Path, count: int = 7, *, first: int = 0, index: bool = True) -> Path:
    """A ``.rec`` of pictures."""
    return write_rec(path, picture_payloads(count, first), index=index)


@functools.cache
def permutation_table(count: int, key: int) -> np.ndarray[Any, Any]:
    """All that :class:`Permutation` gives: up to 256 share one network, and differ in what goes through it again."""
    network = Permutation(max(count, 256), key)(np.arange(max(count, 256))).tolist()
    values = network[:count]
    while any(value >= count for value in values):
        values = [value if value < count else network[value] for value in values]
    return np.array(values, np.int64)


def keep_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look permutations up in tables: those of few take long, and small tests ask for every place again and again."""
    for module in (permutation, order):
        monkeypatch.setattr(module, "Permutation", lambda count, key: permutation_table(count, key).__getitem__)


def some_params(path: object, **given: Any) -> ImageRecordParams:
    """Parameters that need *path* only."""
    return ImageRecordParams(path_imgrec=str(path), **{"data_shape": SHAPE, "batch_size": 3, **given})


def some_records(path: object, **given: Any) -> Records:
    """The records that an iterator of these parameters goes over."""
    return Records(some_params(path, **given))


def iterator(path: object, kind: type[ImageRecordIter] = ImageRecordIter, **given: Any) -> ImageRecordIter:
    """Batches of three; of two threads."""
    words = {"data_shape": SHAPE, "batch_size": 3, "preprocess_threads": 2, "verbose": False, **given}
    return kind(path_imgrec=str(path), **words)


def labels(batch: DataBatch) -> list[Any]:
    """The labels of all rows."""
    assert batch.label is not None
    return [*batch.label[0].tolist()]


def index(batch: DataBatch) -> list[int]:
    """The ids of all rows."""
    assert batch.index is not None
    return [*batch.index.tolist()]


def ids(batch: DataBatch) -> list[int]:
    """The ids of a batch without its filler."""
    assert batch.index is not None
    return [*batch.index[: len(batch.index) - (batch.pad or 0)].tolist()]


def numbers(batches: Iterable[DataBatch]) -> list[list[int]]:
    """The numbers of the pictures in each batch, without its filler."""
    return [[id_ - FIRST_ID for id_ in ids(batch)] for batch in batches]


def seen(batches: Iterable[DataBatch]) -> dict[int, bytes]:
    """The digest of what was delivered for each id, without the filler. No id may come twice."""
    found: dict[int, bytes] = {}
    for batch in batches:
        assert batch.label is not None
        for row, id_ in enumerate(ids(batch)):
            assert id_ not in found
            found[id_] = hashlib.sha256(batch.data[0][row].tobytes() + batch.label[0][row].tobytes()).digest()
    return found


def whole(batch: DataBatch) -> list[Any]:
    """All of a batch, as values that compare."""
    arrays = [*batch.data, *(batch.label or ()), batch.index]
    return [batch.pad, *((array.dtype, array.shape, array.tobytes()) for array in arrays if array is not None)]


def digest(batches: Iterable[DataBatch]) -> str:
    """A checksum of everything that was delivered."""
    return hashlib.sha256(repr([whole(batch) for batch in batches]).encode()).hexdigest()


def taken(it: ImageRecordIter, count: int) -> list[DataBatch]:
    """The next *count* batches."""
    return [it.next() for _ in range(count)]


def spread(parts: Sequence[ImageRecordIter]) -> list[DataBatch]:
    """The rest of an epoch of all *parts*, which are closed then."""
    batches = []
    for part in parts:
        with part:
            batches += list(part)
    return batches


def with_bad(path: Path, *bad: int, count: int = 7) -> Path:
    """A file of pictures, those of some numbers being none."""
    payloads = picture_payloads(count)
    for number in bad:
        payloads[number] = image_payload(FIRST_ID + number, number, b"no picture at all")
    return write_rec(path, payloads)


def bad_message(path: Path, number: int) -> str:
    """What is said of that record."""
    with RecordFile(path) as rec:
        where = f"{path}, record {number}, id {FIRST_ID + number}, byte {rec.offsets[number]}"
    return f"{where}: holds no picture that can be read"

"""Helpers for tests of iterators: small files of images, iterators over them, and summaries of what they deliver.

For tests of faults: threads, descriptors, and a gate in front of the loader. Functions that run in spawned processes
are here too, where a process can import them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, write_rec
from image_helpers import DEADLINE_S, encoded, texture

from im2rec.errors import BadRecordError
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline.buffers import BatchBuffer
from im2rec.pipeline.loader import Loader, RowProblem
from im2rec.pipeline.order import BatchRequest
from im2rec.pipeline.params import ImageRecordParams
from im2rec.pipeline.permutation import Permutation
from im2rec.pipeline.records import Records
from im2rec.storage.reader import RecordFile

HEIGHT, WIDTH = 8, 10
SHAPE = (3, 6, 8)
FIRST_ID = 100  # of record 0 of a file of images, so that no id is an ordinal; its label is 0
TEXT = b"no picture at all"
NO_IMAGE = "holds no image that can be read"
SKIP_HINT = "on_error=skip skips and counts such records"
CUT = encoded(texture(64, 64, seed=3))[:-300]  # a JPEG that ends early
OPEN_FILES = Path("/dev/fd")
ORDERS: dict[str, dict[str, Any]] = {
    "file order": {},
    "shuffled": {"shuffle": True},
    "each part shuffled": {"shuffle": True, "shuffle_scope": "part"},
    "by blocks": {"shuffle": True, "shuffle_chunk_size": 1},
    "by blocks in each part": {"shuffle": True, "shuffle_scope": "part", "shuffle_chunk_size": 1},
}
in_every_order = pytest.mark.parametrize("kind", ORDERS)


def pixels(number: int) -> np.ndarray[Any, Any]:
    """Image *number*: uint8 (8, 10, 3)."""
    return texture(HEIGHT, WIDTH, seed=number)


@functools.cache
def image(number: int) -> bytes:
    """Image *number* as a PNG."""
    return encoded(pixels(number), "PNG")


def centre(number: int) -> np.ndarray[Any, Any]:
    """The centre crop of image *number*, as in a batch: float32 (3, 6, 8)."""
    return pixels(number)[1:7, 1:9].transpose(2, 0, 1).astype(np.float32)


def payloads(count: int, first: int = 0, *, bad: Mapping[int, bytes] | None = None) -> list[bytes]:
    """Payloads of *count* images from *first* on, or the contents of *bad* by number; ids from 100, labels from 0."""
    contents = bad or {}
    return [image_payload(FIRST_ID + n, n, contents.get(n, image(n))) for n in range(first, first + count)]


def a_rec(folder: Path, records: Sequence[bytes] | int = 10, name: str = "some.rec", *, index: bool = True) -> Path:
    """A ``.rec`` of the payloads *records*, or of that number of images, and its index."""
    return write_rec(folder / name, payloads(records) if isinstance(records, int) else records, index=index)


@functools.cache
def permutation_table(count: int, key: int) -> np.ndarray[Any, Any]:
    """All values of :class:`Permutation`, quickly.

    Up to 256 places share one network: smaller permutations apply it again to values that are too large.
    """
    network = Permutation(max(count, 256), key)(np.arange(max(count, 256))).tolist()
    values = network[:count]
    while any(value >= count for value in values):
        values = [value if value < count else network[value] for value in values]
    return np.array(values, np.int64)


def some_params(path: object, **given: Any) -> ImageRecordParams:
    """Parameters of an iterator over *path*: batches of 3, 6 x 8 pixels."""
    return ImageRecordParams(path_imgrec=str(path), **{"data_shape": SHAPE, "batch_size": 3, **given})


def some_records(path: object, **given: Any) -> Records:
    """The records of an iterator with these parameters."""
    return Records(some_params(path, **given))


def iterator(path: object, kind: type[ImageRecordIter] = ImageRecordIter, **given: Any) -> ImageRecordIter:
    """An iterator over *path* with two workers that logs nothing: batches of 3, 6 x 8 pixels."""
    params = {"data_shape": SHAPE, "batch_size": 3, "preprocess_threads": 2, "verbose": False, **given}
    return kind(path_imgrec=str(path), **params)


in_fours = functools.partial(iterator, batch_size=4)


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
    """The numbers of the images in each batch, without its filler."""
    return [[id_ - FIRST_ID for id_ in ids(batch)] for batch in batches]


def seen(batches: Iterable[DataBatch]) -> dict[int, bytes]:
    """The digest of data and label by id, without the filler. No id may come twice."""
    found: dict[int, bytes] = {}
    for batch in batches:
        assert batch.label is not None
        for row, id_ in enumerate(ids(batch)):
            assert id_ not in found
            found[id_] = hashlib.sha256(batch.data[0][row].tobytes() + batch.label[0][row].tobytes()).digest()
    return found


def whole(batch: DataBatch) -> list[Any]:
    """All of a batch, as values that can be compared."""
    arrays = [*batch.data, *(batch.label or ()), batch.index]
    return [batch.pad, *((array.dtype, array.shape, array.tobytes()) for array in arrays if array is not None)]


def digest(batches: Iterable[DataBatch]) -> str:
    """A checksum of everything that was delivered."""
    return hashlib.sha256(repr([whole(batch) for batch in batches]).encode()).hexdigest()


def taken(it: ImageRecordIter, count: int) -> list[DataBatch]:
    """The next *count* batches."""
    return [it.next() for _ in range(count)]


def spread(parts: Sequence[ImageRecordIter]) -> list[DataBatch]:
    """The remaining batches of an epoch of all *parts*; closes them."""
    batches = []
    for part in parts:
        with part:
            batches += list(part)
    return batches


def epoch(it: ImageRecordIter) -> list[list[int] | str]:
    """The ids of each batch of an epoch, without its filler, or the message of the error in its place."""
    it.reset()
    return [_ids_or_error(it) for _ in range(len(it))]


def _ids_or_error(it: ImageRecordIter) -> list[int] | str:
    try:
        return ids(it.next())
    except BadRecordError as error:
        return str(error)


def with_bad(folder: Path, *bad: int, count: int = 7) -> Path:
    """A file of *count* images, of which the numbers *bad* are not images."""
    return a_rec(folder, payloads(count, bad=dict.fromkeys(bad, TEXT)))


def place(path: Path, number: int) -> str:
    """The location of record *number* as in messages of errors."""
    with RecordFile(path) as rec:
        return f"{path}, record {number}, id {FIRST_ID + number}, byte {rec.offsets[number]}"


def bad_message(path: Path, number: int) -> str:
    """The message of the error of a record that is not an image."""
    return f"{place(path, number)}: {NO_IMAGE}"


def as_raised(line: str) -> str:
    """The *line* of an error of a record as it is raised in place of its batch: with ``on_error=skip`` in its hint."""
    return f"{line[:-1]}; {SKIP_HINT})" if line.endswith(")") else f"{line} ({SKIP_HINT})"


def send_digest(pipe: Any, rec: Path, params: dict[str, Any]) -> None:
    """Main function of a child process: send the digest of an epoch of its own iterator."""
    with iterator(rec, **params) as it:
        pipe.send(digest(it))
    pipe.close()


def decoders() -> list[threading.Thread]:
    """The threads of all iterators in this process."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("im2rec")]


def left(threads: Iterable[threading.Thread]) -> list[str]:
    """Names of those *threads* that do not end."""
    found = []
    for thread in threads:
        thread.join(DEADLINE_S)
        found += [thread.name] if thread.is_alive() else []
    return found


def open_files() -> int:
    """Number of open descriptors of this process."""
    if not OPEN_FILES.exists():
        pytest.skip("the system does not list open files")
    return len(os.listdir(OPEN_FILES))  # noqa: PTH208 - a descriptor may be closed before pathlib gets to it


class Gate:
    """A gate in front of ``Loader.load``: counts pieces that come and pieces that are done; holds them while shut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self._open.set()
        self._changed = threading.Condition()
        self._counts = {"begun": 0, "done": 0}
        real = Loader.load

        def load(loader: Loader, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
            self._count("begun")
            self._open.wait(DEADLINE_S)
            problems = real(loader, buffer, piece)
            self._count("done")
            return problems

        monkeypatch.setattr(Loader, "load", load)

    def _count(self, what: str) -> None:
        with self._changed:
            self._counts[what] += 1
            self._changed.notify_all()

    @property
    def done(self) -> int:
        return self._counts["done"]

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def wait_until_done(self, count: int) -> bool:
        """Wait until *count* pieces are done; False if they are not within the deadline."""
        return self._wait("done", count)

    def wait_until_begun(self, count: int) -> bool:
        """Wait until *count* pieces have come to the gate; False if they have not within the deadline."""
        return self._wait("begun", count)

    def _wait(self, what: str, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._counts[what] >= count, DEADLINE_S)

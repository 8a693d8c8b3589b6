"""What the tests of iterators under stress share: small ``.rec`` files, threads, descriptors, and a gate at the loader.

Functions that run in spawned processes stand here too, where a process can import them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers import image_payload, write_rec
from picture_helpers import DEADLINE_S, encoded, texture

from im2rec.errors import BadRecordError
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline.buffers import BatchBuffer
from im2rec.pipeline.loader import Loader, RowProblem
from im2rec.pipeline.order import BatchRequest

SIDE = 8
OPEN_FILES = Path("/dev/fd")
FIRST_ID = 100  # so that no id is an ordinal


@functools.cache
def small(number: int, side: int = SIDE) -> bytes:
    """A PNG of a few pixels, another one for each *number*."""
    return encoded(texture(side, side, seed=number), "PNG")


def payloads(count: int, *, bad: dict[int, bytes] | None = None) -> list[bytes]:
    """Records with ids from 100 on and their ordinals as labels; *bad* are contents by ordinal."""
    contents = bad or {}
    return [image_payload(FIRST_ID + n, float(n), contents.get(n, small(n))) for n in range(count)]


def a_rec(folder: Path, records: Sequence[bytes] | int = 10, name: str = "some.rec") -> Path:
    """A ``.rec`` and its index."""
    return write_rec(folder / name, payloads(records) if isinstance(records, int) else records)


def an_iterator(rec: Path, **params: Any) -> ImageRecordIter:
    """Batches of four, quietly, on two threads."""
    given = {"batch_size": 4, "preprocess_threads": 2, "data_shape": (3, SIDE, SIDE), "verbose": False, **params}
    return ImageRecordIter(path_imgrec=str(rec), **given)


def ids(it: ImageRecordIter) -> list[list[int] | str]:
    """An epoch: the ids of each batch without its filler, or the error in its place."""
    it.reset()
    return [_ids(it) for _ in range(len(it))]


def _ids(it: ImageRecordIter) -> list[int] | str:
    try:
        batch = it.next()
    except BadRecordError as error:
        return str(error)
    assert batch.index is not None
    found: list[int] = batch.index[: len(batch.index) - (batch.pad or 0)].tolist()
    return found


def digest(it: Iterable[Any]) -> str:
    """Of everything that one epoch delivers."""
    found = hashlib.sha256()
    for batch in it:
        for array in (batch.data[0], batch.label[0], batch.index):
            found.update(array.tobytes())
        found.update(bytes([batch.pad]))
    return found.hexdigest()


def send_digest(pipe: Any, rec: Path, params: dict[str, Any]) -> None:
    """Body of a child process: an epoch of an iterator of its own."""
    with an_iterator(rec, **params) as it:
        pipe.send(digest(it))
    pipe.close()


def decoders() -> list[threading.Thread]:
    """The threads that iterators have now."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("im2rec")]


def left(threads: Iterable[threading.Thread]) -> list[str]:
    """Those of *threads* that do not end."""
    found = []
    for thread in threads:
        thread.join(DEADLINE_S)
        found += [thread.name] if thread.is_alive() else []
    return found


def open_files() -> int:
    """How many descriptors this process has."""
    if not OPEN_FILES.exists():
        pytest.skip("nothing here tells the open files")
    return len(os.listdir(OPEN_FILES))  # noqa: PTH208 - a descriptor may be gone before pathlib looks at it


class Gate:
    """Stands before ``Loader.load``: counts the pieces that come and those that are done, and holds them while shut."""

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
        """Whether *count* pieces are done, soon."""
        return self._wait("done", count)

    def wait_until_begun(self, count: int) -> bool:
        """Whether *count* pieces have come to the gate, soon."""
        return self._wait("begun", count)

    def _wait(self, what: str, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._counts[what] >= count, DEADLINE_S)

"""What the tests of CSVIter and LibSVMIter share: files of numbers, what batches hold, and a model that reads all."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from im2rec.iterators.batch import DataBatch

POLICIES = ("pad", "roll_over", "keep", "discard")


def csv_text(rows: Iterable[Sequence[object]]) -> bytes:
    """A line for each row."""
    return b"".join(",".join(map(str, row)).encode() + b"\n" for row in rows)


def csv_file(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """A file of a line for each row."""
    path.write_bytes(csv_text(rows))
    return path


def counted(count: int, width: int = 2) -> list[list[float]]:
    """Rows 0 1 .., 10 11 .., and so on."""
    return [[10.0 * row + column for column in range(width)] for row in range(count)]


def svm_line(label: object, pairs: Iterable[tuple[int, object]]) -> bytes:
    """One line of LibSVM."""
    return " ".join([str(label), *(f"{index}:{value}" for index, value in pairs)]).encode() + b"\n"


def svm_file(path: Path, count: int, columns: int = 3) -> Path:
    """Row r has the label r, and r + 1 in column r modulo *columns*."""
    path.write_bytes(b"".join(svm_line(row, [(row % columns, row + 1)]) for row in range(count)))
    return path


def index(batch: DataBatch) -> list[int]:
    """The numbers of the rows."""
    assert batch.index is not None
    return [*batch.index.tolist()]


def epochs(it: Iterable[DataBatch], count: int) -> str:
    """The rows of *count* epochs: batches as in "012 345 601(pad 2)", epochs by " | "."""
    shown = []
    for _ in range(count):
        texts = ["".join(map(str, index(batch))) + (f"(pad {batch.pad})" if batch.pad else "") for batch in it]
        shown.append(" ".join(texts))
    return " | ".join(shown)


def data(batch: DataBatch) -> list[Any]:
    """All values; dense ones of sparse rows."""
    array: Any = batch.data[0]
    return [*dense(array).tolist()]


def labels(batch: DataBatch) -> list[Any]:
    """All labels."""
    assert batch.label is not None
    return [*dense(batch.label[0]).tolist()]


def dense(array: Any) -> np.ndarray[Any, Any]:
    """*array* itself, or that which a sparse one stands for."""
    found: np.ndarray[Any, Any] = array if isinstance(array, np.ndarray) else array.toarray()
    return found


class Expected(NamedTuple):
    """What a batch is to hold: numbers of rows, and how many of them are filler; rows of zeros have none."""

    index: list[int]
    pad: int


def expected_epochs(count: int, size: int, policy: str, part: tuple[int, int], epochs: int) -> list[list[Expected]]:
    """The batches of each epoch, by plain lists: parts lie together, and all give as many batches."""
    number, parts = part
    bounds = [count * place // parts for place in range(parts + 1)]
    rows = list(range(bounds[number], bounds[number + 1]))
    lengths = [high - low for low, high in itertools.pairwise(bounds)]
    found: list[list[Expected]] = []
    taken = 0
    for epoch in range(epochs):
        if policy == "roll_over":
            end = (epoch + 1) * max(lengths)
            found.append([])
            while taken < end:
                batch = [rows[place % max(lengths) % len(rows)] for place in range(taken, taken + size)]
                taken += size
                found[-1].append(Expected(batch, max(0, taken - end)))
            continue
        longest, shortest = -(-max(lengths) // size), min(lengths) // size
        batches = []
        for start in range(0, (shortest if policy == "discard" else longest) * size, size):
            own = rows[start : start + size]
            pad = size - len(own)
            filler = [rows[place % len(rows)] for place in range(pad)] if policy == "pad" and rows else []
            batches.append(Expected(own + filler, pad))
        found.append(batches)
    return found


def spelled(value: float, rng: random.Random) -> str:
    """*value* in one of several spellings that read back as the same float64."""
    text = repr(value)
    choices = [text, f"{value:.17e}", f"+{text}" if value >= 0 else text]
    if value == int(value):
        choices += [str(int(value)), f"{int(value)}."]
    return rng.choice(choices)


def numbers(rng: random.Random, count: int) -> list[float]:
    """Values of several sizes, as float32 holds them."""
    draws = [rng.choice([float(rng.randrange(-9, 10)), rng.gauss(0, 1), rng.gauss(0, 1e9)]) for _ in range(count)]
    return [float(np.float32(value)) for value in draws]


def cut_lines(text: bytes, ends: Sequence[bytes], rng: random.Random) -> bytes:
    """*text* with other line ends, and blank lines between."""
    parts = []
    for line in text.splitlines():
        parts += [line, rng.choice(ends)]
        if rng.random() < 0.2:
            parts += [rng.choice([b"", b"  ", b"\t"]), rng.choice(ends)]
    return b"".join(parts)


def some_bytes(rng: random.Random, size: int) -> bytes:
    """Bytes that are mostly what such files are made of."""
    return bytes(rng.choice(b"0123456789..--+eE,,  ::\n\n\r\t#nanif\0\xff\"'") for _ in range(size))


def each_byte_flipped(text: bytes) -> Iterator[bytes]:
    """*text* with one byte after the other replaced by another one."""
    for place in range(len(text)):
        for byte in b"\0,:\nx5":
            yield text[:place] + bytes([byte]) + text[place + 1 :]

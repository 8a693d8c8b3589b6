"""Helpers of the tests of CSVIter and LibSVMIter: files of numbers, the content of batches, and a model of epochs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from iterator_helpers import index

from im2rec.iterators.batch import DataBatch

POLICIES = ("pad", "roll_over", "keep", "discard")


def csv_text(rows: Iterable[Sequence[object]]) -> bytes:
    """CSV with a line for each row."""
    return b"".join(",".join(map(str, row)).encode() + b"\n" for row in rows)


def csv_file(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV file with a line for each row."""
    path.write_bytes(csv_text(rows))
    return path


def counted(count: int, width: int = 2) -> list[list[float]]:
    """*count* rows: 0 1 ..., then 10 11 ..., and so on."""
    return [[10.0 * row + column for column in range(width)] for row in range(count)]


def svm_line(label: object, pairs: Iterable[tuple[int, object]]) -> bytes:
    """A line of LibSVM."""
    return " ".join([str(label), *(f"{index}:{value}" for index, value in pairs)]).encode() + b"\n"


def svm_file(path: Path, count: int, columns: int = 3) -> Path:
    """Write a LibSVM file: row r has the label r, and r + 1 in column r modulo *columns*."""
    path.write_bytes(b"".join(svm_line(row, [(row % columns, row + 1)]) for row in range(count)))
    return path


def epochs(it: Iterable[DataBatch], count: int) -> str:
    """The numbers of the rows in *count* epochs: batches as in "012 345 601(pad 2)", epochs joined by " | "."""
    shown = []
    for _ in range(count):
        texts = ["".join(map(str, index(batch))) + (f"(pad {batch.pad})" if batch.pad else "") for batch in it]
        shown.append(" ".join(texts))
    return " | ".join(shown)


def data(batch: DataBatch) -> list[Any]:
    """All data as nested lists, zeros of sparse rows included."""
    return [*dense(batch.data[0]).tolist()]


def labels(batch: DataBatch) -> list[Any]:
    """All labels as nested lists, zeros of sparse rows included."""
    assert batch.label is not None
    return [*dense(batch.label[0]).tolist()]


def dense(array: Any) -> np.ndarray[Any, Any]:
    """*array* as a numpy array, which it is unless it is sparse."""
    values: np.ndarray[Any, Any] = array if isinstance(array, np.ndarray) else array.toarray()
    return values


class Expected(NamedTuple):
    """The expected content of a batch: numbers of its rows without rows of zeros, and the number of filler rows."""

    index: list[int]
    pad: int


def expected_epochs(count: int, size: int, policy: str, part: tuple[int, int], epochs: int) -> list[list[Expected]]:
    """The batches of each epoch, computed with plain lists: parts are runs of rows, and have equally many batches."""
    number, parts = part
    bounds = [count * each // parts for each in range(parts + 1)]
    rows = list(range(bounds[number], bounds[number + 1]))
    lengths = [high - low for low, high in itertools.pairwise(bounds)]
    result: list[list[Expected]] = []
    taken = 0
    for epoch in range(epochs):
        if policy == "roll_over":
            end = (epoch + 1) * max(lengths)
            result.append([])
            while taken < end:
                batch = [rows[place % max(lengths) % len(rows)] for place in range(taken, taken + size)]
                taken += size
                result[-1].append(Expected(batch, max(0, taken - end)))
            continue
        longest, shortest = -(-max(lengths) // size), min(lengths) // size
        batches = []
        for start in range(0, (shortest if policy == "discard" else longest) * size, size):
            own = rows[start : start + size]
            pad = size - len(own)
            filler = [rows[place % len(rows)] for place in range(pad)] if policy == "pad" and rows else []
            batches.append(Expected(own + filler, pad))
        result.append(batches)
    return result


def spellings(value: float) -> list[str]:
    """Several spellings of *value*, each of which reads back as the same float64."""
    text = repr(value)
    signed = [] if text.startswith("-") else [f"+{text}"]
    whole = [str(int(value)), f"{int(value)}."] if value == int(value) and text != "-0.0" else []
    return [text, f"{value:.17e}", *signed, *whole]


class TextLayout(NamedTuple):
    """How lines are written to files: their ends in turn, before which lines another file begins, and both edges."""

    ends: list[bytes]
    cuts: list[int]
    has_mark: bool  # a byte order mark at the beginning of each file
    has_last_end: bool


def write_files(path: Path, text: bytes, layout: TextLayout) -> str:
    """Write the lines of *text* to one file or several, as *layout* says; return their names joined by ``;``."""
    lines = text.splitlines()
    cuts = [0, *sorted(min(cut, len(lines)) for cut in layout.cuts), len(lines)]
    paths = [path.with_name(f"{path.name}.{number}") for number in range(len(cuts) - 1)]
    for file, low, high in zip(paths, cuts, cuts[1:], strict=False):
        ended = zip(lines[low:high], itertools.cycle(layout.ends), strict=False)
        content = b"".join(line + end for line, end in ended)
        content = content if layout.has_last_end else content.rstrip(b"\r\n\t ")
        file.write_bytes((b"\xef\xbb\xbf" if layout.has_mark else b"") + content)
    return ";".join(map(str, paths))


def some_bytes(rng: random.Random, size: int) -> bytes:
    """Random bytes, mostly of those that such files consist of."""
    return bytes(rng.choice(b"0123456789..--+eE,,  ::\n\n\r\t#nanif\0\xff\"'") for _ in range(size))


def each_byte_flipped(text: bytes) -> Iterator[bytes]:
    """Yield *text* with each byte in turn replaced by several others."""
    for offset in range(len(text)):
        for byte in b"\0,:\nx5":
            yield text[:offset] + bytes([byte]) + text[offset + 1 :]

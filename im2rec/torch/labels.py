"""What a data set gives as the label of an image, and the labels of all images, from their headers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from im2rec.errors import ParameterError
from im2rec.format.irheader import IRHeader
from im2rec.pipeline.records import Records
from im2rec.storage.identities import range_records
from im2rec.storage.record_labels import RecordLabels

AUTO, FIRST, VECTOR, ID = "auto", "first", "vector", "id"
CHOICES = (AUTO, FIRST, VECTOR, ID)
Target = Callable[[IRHeader], Any]  # gives the label of an image from its header
Labels = npt.NDArray[np.float32]

_BLOCK = 1 << 20  # records handled at once, which bounds the memory for what is computed of them
_MAX_WHOLE = 2.0**63  # numbers from here on do not fit in 64 bits


class StoredLabels:
    """Labels and ids of the images of *records*, by position; no content is read.

    All arrays are new and writable, as torch warns of others. Raises what ``RecordFile.labels`` raises.
    """

    def __init__(self, records: Records) -> None:
        self._tables = [file.labels for file in records.files]
        bounds = np.cumsum([0, *(file.total for file in records.files)]).tolist()
        edges = np.searchsorted(records.left_out, bounds)
        self._left_out = [
            records.left_out[first:last] - start
            for first, last, start in zip(edges[:-1], edges[1:], bounds[:-1], strict=True)
        ]

    def _blocks(self) -> Iterator[tuple[RecordLabels, Any]]:
        """Yield the table of a file with some of its rows, those of images: a slice, or an array where it has gaps."""
        for table, left_out in zip(self._tables, self._left_out, strict=True):
            count = len(table)
            if len(left_out) and left_out[0] == count - len(left_out):  # in most face sets they are the last ones
                count -= len(left_out)
            for start in range(0, count, _BLOCK):
                stop = min(start + _BLOCK, count)
                first, last = np.searchsorted(left_out, [start, stop])
                if first == last:
                    yield table, slice(start, stop)
                else:
                    yield table, np.delete(np.arange(start, stop), left_out[first:last] - start)

    def _joined(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(table, name)[rows] for table, rows in self._blocks()])

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """The id of each image: uint64 (n,)."""
        return self._joined("ids")

    @property
    def first(self) -> Labels:
        """The label of each image, or the first number of its vector: float32 (n,)."""
        return self._joined("first")

    @property
    def has_vectors(self) -> bool:
        """True if an image has a label vector."""
        return any(np.any(table.flags[rows]) for table, rows in self._blocks())

    @property
    def is_insightface(self) -> bool:
        """True if a file has the header record of an InsightFace set: id 0, two labels and no content.

        It may be anywhere in the file. Source: insightface recognition/arcface_torch/dataset.py, ``MXFaceDataset``.
        """
        return any(range_records(table, table.ids).is_header.any() for table in self._tables)

    @property
    def are_whole(self) -> bool:
        """True if the label, or the first number of the vector, of every image is a whole number."""
        return all(_are_whole(table.first[rows]) for table, rows in self._blocks())

    def vectors(self) -> Labels | list[Labels]:
        """All labels of each image: float32 (n, k), or a list of n arrays where their numbers differ."""
        lengths = np.maximum(self._joined("flags"), 1).astype(np.int64)
        values = np.concatenate([table.values[_elements(table.starts, rows)] for table, rows in self._blocks()])
        if np.all(lengths == lengths[0]):
            return values.reshape(len(lengths), int(lengths[0]))
        return np.split(values, np.cumsum(lengths)[:-1])

    def stored(self) -> Labels | list[Labels]:
        """The labels as they are stored: float32 (n,) where each image has one number, else :meth:`vectors`."""
        return self.vectors() if self.has_vectors else self.first


def _are_whole(labels: Labels) -> bool:
    return bool(np.all((np.abs(labels) < _MAX_WHOLE) & (labels == np.trunc(labels))))


def _elements(starts: npt.NDArray[np.int64], rows: Any) -> Any:
    """Return the places of the elements of *rows*, one after the other: row r is those from starts[r] to starts[r + 1].

    *rows* is a slice, for which the places are one too, or an array.
    """
    if isinstance(rows, slice):
        return slice(int(starts[rows.start]), int(starts[rows.stop]))
    lengths = starts[rows + 1] - starts[rows]
    return np.repeat(starts[rows] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


def depends_on_labels(label: str | Target) -> bool:
    """True if what *label* means depends on the labels of all images."""
    return not callable(label) and label in (AUTO, FIRST)


def target_of(label: str | Target, records: Records) -> Target:
    """Return the function that gives the label of an image from its header.

    It is decided once for all images of *records*, so that all their labels have one type. Raises ParameterError for a
    word that is not among ``CHOICES``, and what reading the labels raises.
    """
    if callable(label):
        return label
    if label in (VECTOR, ID):
        return vector if label == VECTOR else id_
    if label not in CHOICES:
        raise ParameterError(f"label={label!r} must be {', '.join(CHOICES)}, or a function of the IRHeader")
    stored = StoredLabels(records)
    if label == AUTO and stored.has_vectors and not stored.is_insightface:
        return vector
    return whole if stored.are_whole else number


def targets_of(target: Target, records: Records) -> Any:
    """Return what *target* gives for every image, as one array, or as a list of arrays of different lengths.

    Raises AttributeError for a function of the user's, which needs whole headers.
    """
    stored = StoredLabels(records)
    if target is whole:
        return stored.first.astype(np.int64)
    if target is number:
        return stored.first
    if target is vector:
        return stored.vectors()
    if target is id_:
        return stored.ids
    raise AttributeError("there are no targets where label is a function; labels and ids have what is stored")


def _first(header: IRHeader) -> Any:
    return header.label[0] if header.flag else header.label


def whole(header: IRHeader) -> int:
    """Return the label, or the first number of the vector, as an int."""
    return int(_first(header))


def number(header: IRHeader) -> float:
    """Return the label, or the first number of the vector, as a float."""
    return float(_first(header))


def vector(header: IRHeader) -> torch.Tensor:
    """Return all labels: a float32 tensor (k,), (1,) of a single number."""
    return torch.from_numpy(np.atleast_1d(np.asarray(header.label, np.float32)))


def id_(header: IRHeader) -> int:
    """Return the id of the image."""
    return header.id

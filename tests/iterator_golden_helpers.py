"""Helpers of the golden tests of the iterators: the recorded cases, their data, and epochs of an iterator."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import im2rec
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter

ITERATORS = Path(__file__).parent / "golden" / "iterators"


def recorded_cases() -> dict[str, dict[str, Any]]:
    """The descriptions of all recorded cases, by name."""
    paths = sorted((ITERATORS / "cases").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def recorded_arrays(name: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays that were recorded of a case: data, label, index, pad, epoch and valid, a row for each batch."""
    with np.load(ITERATORS / "cases" / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


def copy_data(folder: Path) -> Path:
    """Copy the recorded inputs to *folder*/data, where an iterator may write a mean image; return *folder*."""
    shutil.copytree(ITERATORS / "data", folder / "data")
    return folder


def ids_of(rec: str | Path) -> list[int]:
    """The ids in the headers of a ``.rec``."""
    with im2rec.open(rec) as records:
        return [record.header.id for record in records]


def epochs_of(iterator: ImageRecordIter, epochs: int = 1) -> list[tuple[int, DataBatch]]:
    """The batches of the next *epochs* epochs, each with the number of its epoch; closes the iterator."""
    with iterator:
        return [(epoch, batch) for epoch in range(epochs) for batch in iterator]

"""Helpers of the tests of RecordIterDataset: data sets of numbered images, and the numbers that a loop delivers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from iterator_helpers import SHAPE
from torch.utils.data import DataLoader

from im2rec.torch import RecordIterDataset

COUNT = 23
Numbers = list[list[int]]


def dataset(rec: Path, **given: Any) -> RecordIterDataset:
    """Shuffled batches of three, whose labels are the numbers of the images."""
    return RecordIterDataset(rec, **{"batch_size": 3, "data_shape": SHAPE, "shuffle": True, "seed": 5, **given})


def loader(ds: RecordIterDataset, kind: type[DataLoader[Any]] = DataLoader, **given: Any) -> Any:
    return kind(ds, batch_size=None, **given)


def numbers(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Numbers:
    """The numbers of the images in each batch."""
    return [label.int().tolist() for _, label in batches]


def taken(batches: Iterable[tuple[torch.Tensor, torch.Tensor]], count: int) -> Numbers:
    """The numbers of the images in the next *count* batches."""
    iterator = iter(batches)
    return [next(iterator)[1].int().tolist() for _ in range(count)]


def epochs(rec: Path, count: int, **given: Any) -> list[Numbers]:
    """The first *count* epochs, from loops in this process."""
    ds = dataset(rec, **given)
    return [numbers(ds) for _ in range(count)]


def all_of(batches: Sequence[Sequence[int]]) -> list[int]:
    return sorted(number for batch in batches for number in batch)

"""Helpers of the tests with PyTorch that workers of a DataLoader import: transforms, and a dataset of a user."""

from __future__ import annotations

from typing import Any

from im2rec.torch import RecordDataset


def one_more(label: int) -> int:
    return label + 1


def first_value(image: Any) -> int:
    """The first value of a tensor (C, H, W) or an array (H, W, C)."""
    return int(image.reshape(-1)[0])


class NumberedDataset(RecordDataset):
    """A dataset of which each item has its own number too."""

    def __getitem__(self, index: Any) -> Any:
        return (*super().__getitem__(index), index)

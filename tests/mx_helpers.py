"""Helpers of the tests of im2rec.mx. Functions that run in spawned workers are here, where a worker can import them."""

from __future__ import annotations

from typing import Any

from im2rec.mx.ndarray import NDArray


def half(array: NDArray) -> NDArray:
    """Half of each value, float32."""
    return array.astype("float32") / 2


def item(dataset: Any, number: int) -> tuple[list[Any], float]:
    """An image and its label, as a worker sends them."""
    array, label = dataset[number]
    return array.asnumpy().tolist(), label

"""Helpers of the augmentation tests: draws that return given numbers, and the reference engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from im2rec.augment.draws import Draws, Float
from im2rec.images.engine import Resampler, load_resampler

Pixels = np.ndarray[Any, Any]

REFERENCE_ENGINE: Resampler = load_resampler("reference")


class FixedDraws(Draws):
    """Draws that return the *given* number of each name, and for all other names *unit* of the range.

    A given list has one number for each attempt. ``names`` lists the draws in order.
    """

    def __init__(self, given: Mapping[str, Any] | None = None, *, unit: float = 0.5) -> None:
        self._given = dict(given or {})
        self._unit = unit
        self.names: list[str] = []

    def _number(self, name: str, attempt: int) -> Any:
        self.names.append(name)
        number = self._given.get(name)
        return number[attempt] if isinstance(number, list) else number

    def unit(self, name: str, attempt: int = 0) -> Float:
        number = self._number(name, attempt)
        return Float(self._unit if number is None else number)

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        number = self._number(name, attempt)
        return int(low + self._unit * (high - low) if number is None else number)

    def coin(self, name: str) -> bool:
        return bool(self._number(name, 0))

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        return tuple(Float(self._number(name, 0) or 0) * deviation for name in names)

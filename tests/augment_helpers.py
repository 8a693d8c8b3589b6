"""What the tests of augmentation share: draws that are laid down, and an engine that only tells what it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from im2rec.augment.draws import Draws, Float
from im2rec.images.engine import Resampler, load_resampler

Pixels = np.ndarray[Any, Any]

EXACT: Resampler = load_resampler("reference")


class GivenDraws(Draws):
    """Answers with the numbers given by name, and with *unit* where none is; remembers what was asked for, in order."""

    def __init__(self, given: Mapping[str, Any] | None = None, *, unit: float = 0.5) -> None:
        self._given = dict(given or {})
        self._unit = unit
        self.asked: list[str] = []

    def _answer(self, name: str, attempt: int) -> Any:
        self.asked.append(name)
        answer = self._given.get(name)
        return answer[attempt] if isinstance(answer, list) else answer

    def unit(self, name: str, attempt: int = 0) -> Float:
        answer = self._answer(name, attempt)
        return Float(self._unit if answer is None else answer)

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        answer = self._answer(name, attempt)
        return int(low + self._unit * (high - low) if answer is None else answer)

    def coin(self, name: str) -> bool:
        return bool(self._answer(name, 0))

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        return tuple(Float(self._answer(name, 0) or 0) * deviation for name in names)

"""Where the pixels of a warped picture come from, in the fixed point of the library MXNet was built with.

Source: measured on MXNet 1.9.1 (``ImageRecordIter`` with ``rotate``, ``max_random_scale`` and the like).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[Any]  # float32 (2, 3), old to new coordinates
Ints = npt.NDArray[np.int32]

STEP_BITS = 5  # of the place that the weights of the pixels around it are taken for
_PLACE_BITS = 10  # of a place before it is rounded
_FARTHEST = (1 << 30) - 1  # as far as two of them can be added up in 32 bits: a million pixels


def inverse(matrix: Matrix) -> tuple[float, ...]:
    """The six numbers of the mapping back, row by row, in 64 bits; all 0 where there is none."""
    a, b, x, c, d, y = (float(number) for number in matrix.reshape(-1))
    determinant = a * d - b * c
    share = 1 / determinant if determinant else 0.0
    a, b, c, d = d * share, -b * share, -c * share, a * share
    return a, b, -a * x - b * y, c, d, -c * x - d * y


def places(matrix: Matrix, width: int, height: int, bits: int) -> tuple[Ints, Ints]:
    """Where each new pixel comes from, columns and rows, (height, width) each in units of 2 ** -*bits* pixels.

    *bits* is 0 for the nearest pixel and ``STEP_BITS`` for mixtures.
    """
    back = inverse(matrix)
    x, y = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    dropped = _PLACE_BITS - bits
    columns, rows = (
        ((_fixed(along_y * y + start) + (1 << dropped - 1))[:, None] + _fixed(along_x * x)) >> dropped
        for along_x, along_y, start in (back[:3], back[3:])
    )
    return columns, rows


def _fixed(place: npt.NDArray[np.float64]) -> Ints:
    # Rounded before they are added, as the vector code does.
    return np.clip(np.rint(place * (1 << _PLACE_BITS)), -_FARTHEST, _FARTHEST).astype(np.int32)

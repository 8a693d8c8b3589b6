"""Draws: every random number of a record, as a pure function of where it is needed.

:class:`Draws` is what the augmenter asks, in MXNet's order. :class:`CounterDraws` answers with a counter-based 64-bit
hash of (seed, epoch, ordinal, draw number): no state is carried from one draw to the next, so any worker computes any
draw alone and gets the same. :mod:`im2rec.augment.mxnet_draws` answers with the generator of MXNet instead.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from im2rec.hashing import absorb_array

_UNIT_BITS = 24  # as many as a float32 holds exactly
_NORMAL = NormalDist()

# Every value that is drawn, with a number of its own: switching one augmentation on leaves the others' draws alone.
# The numbers are part of what a seed means; a new value goes to the end.
VALUES = (
    "resize_interpolation",
    "shear",
    "angle",
    "rotate_list",
    "scale",
    "ratio",
    "warp_interpolation",
    "area",
    "aspect",
    "swap",
    "crop_size",
    "crop_y",
    "crop_x",
    "crop_interpolation",
    "brightness",
    "contrast",
    "saturation",
    "jitter_order_1",
    "jitter_order_2",
    "hue_1",
    "hue_2",
    "saturation_shift_1",
    "saturation_shift_2",
    "lightness_1",
    "lightness_2",
    "pca_r",
    "pca_g",
    "pca_b",
    "mirror",
    "contrast_factor",
    "illumination",
)
_NUMBERS = {name: number for number, name in enumerate(VALUES)}
_MAX_VALUES = 64  # draw number = attempt * _MAX_VALUES + the number of the value

Float = np.float32


class Draws(abc.ABC):
    """The random numbers of one record, asked for by the name of the value they are for.

    The names are those of ``VALUES``; *attempt* counts from 0 where a value may be drawn again. Arithmetic is that of
    32-bit floats, as in the reference.
    """

    sequential = True  # every draw moves those behind it, so that none may be left out

    @abc.abstractmethod
    def unit(self, name: str, attempt: int = 0) -> Float:
        """Uniform in [0, 1)."""

    @abc.abstractmethod
    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """A whole number from *low* to *high*, both included."""

    @abc.abstractmethod
    def coin(self, name: str) -> bool:
        """True in half of the cases."""

    @abc.abstractmethod
    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """One normal number of mean 0 and standard *deviation* for each of *names*."""

    def uniform(self, name: str, low: Float, high: Float, attempt: int = 0) -> Float:
        """Uniform in [*low*, *high*)."""
        return self.unit(name, attempt) * (high - low) + low


def counter_draws(states: Sequence[int], ordinals: Sequence[int]) -> list[CounterDraws]:
    """The draws of several records; what one of them asks for is computed for all, in a tenth of the time.

    *states* are ``hash64(seed, epoch)`` of each record; *ordinals* count records over all joined files.
    """
    columns = _Columns(states, ordinals)
    return [CounterDraws(columns, row) for row in range(len(ordinals))]


class _Columns(dict[tuple[str, int], list[int]]):
    """The hashes of several records: a column for each value and attempt, computed when it is first asked for."""

    def __init__(self, states: Sequence[int], ordinals: Sequence[int]) -> None:
        self._records = states, ordinals

    @functools.cached_property
    def _states(self) -> npt.NDArray[np.uint64]:
        states, ordinals = self._records
        return absorb_array(np.array(states, np.uint64), np.array(ordinals, np.uint64))

    def __missing__(self, key: tuple[str, int]) -> list[int]:
        name, attempt = key
        number = np.array([attempt * _MAX_VALUES + _NUMBERS[name]], np.uint64)
        column: list[int] = absorb_array(self._states, number).tolist()
        self[key] = column
        return column


class CounterDraws(Draws):
    """Draws by hash of (seed, epoch, ordinal, draw number): 64 bits each, of which a float takes the upper 24.

    Those of one record, which is *row* of *columns*; made by :func:`counter_draws`.
    """

    sequential = False

    def __init__(self, columns: _Columns, row: int) -> None:
        self._columns = columns
        self._row = row

    def _bits(self, name: str, attempt: int = 0) -> int:
        return self._columns[name, attempt][self._row]

    def unit(self, name: str, attempt: int = 0) -> Float:
        """Uniform in [0, 1), a multiple of 2**-24: exact in 32 bits."""
        return Float((self._bits(name, attempt) >> (64 - _UNIT_BITS)) * 2.0**-_UNIT_BITS)

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """A whole number from *low* to *high*, both included; the bias of the 64 bits is below 2**-40 of it."""
        return low + (self._bits(name, attempt) * (high - low + 1) >> 64)

    def coin(self, name: str) -> bool:
        """True in half of the cases: the upper bit."""
        return bool(self._bits(name) >> 63)

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """One normal number for each of *names*, by inversion of the distribution function (Wichura's AS 241)."""
        return tuple(Float(_NORMAL.inv_cdf(((self._bits(name) >> 12) + 0.5) * 2.0**-52)) * deviation for name in names)

"""Draws: every random number of a record, a pure function of the place that needs it.

The augmenter calls :class:`Draws`, in the order in which MXNet draws. :class:`CounterDraws` computes each number as a
64-bit hash of (seed, epoch, ordinal, draw number). A generator would carry a state from draw to draw, and its numbers
would depend on which worker made which record before; with a hash any worker computes any draw alone and gets the same.
:mod:`im2rec.augment.mxnet_draws` has MXNet's own generator, to replay its runs.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from im2rec.hashing import absorb_array

_UNIT_BITS = 24  # the precision of a float32: more bits could round a number up to 1
_NORMAL = NormalDist()

# Every value that is drawn. Its index in this list is part of its draw number, so that switching one augmentation on
# does not change the draws of the others. A new value goes to the end: an old seed must keep its meaning.
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
_VALUE_NUMBERS = {name: number for number, name in enumerate(VALUES)}
_MAX_VALUES = 64  # draw number = attempt * _MAX_VALUES + value number, so no two draws share one

Float = np.float32


class Draws(abc.ABC):
    """The random numbers of one record, each requested by the name of the value it is for.

    The names are those of ``VALUES``; *attempt* counts from 0 where a value may be drawn again. Floats have 32 bits,
    and so has the arithmetic with them, as in the reference: with 64 some canvases and crops would differ by a pixel.
    """

    is_sequential = True  # each draw changes those after it, so a draw without effect must not be left out

    @abc.abstractmethod
    def unit(self, name: str, attempt: int = 0) -> Float:
        """Draw a number uniform in [0, 1)."""

    @abc.abstractmethod
    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """Draw a whole number from *low* to *high*, both included."""

    @abc.abstractmethod
    def coin(self, name: str) -> bool:
        """Draw True or False, each with probability 1/2."""

    @abc.abstractmethod
    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """Draw a normal number of mean 0 and standard *deviation* for each of *names*."""

    def uniform(self, name: str, low: Float, high: Float, attempt: int = 0) -> Float:
        """Draw a number uniform in [*low*, *high*)."""
        return self.unit(name, attempt) * (high - low) + low


def counter_draws(states: Sequence[int], ordinals: Sequence[int]) -> list[CounterDraws]:
    """Return the draws of several records, one object for each.

    A value that one of them draws is computed for all at once, in a tenth of the time. *states* are
    ``hash64(seed, epoch)`` of each record; *ordinals* count records over all joined files.
    """
    columns = _Columns(states, ordinals)
    return [CounterDraws(columns, row) for row in range(len(ordinals))]


class _Columns(dict[tuple[str, int], list[int]]):
    """The hashes of several records: a column for each value and attempt, computed when it is first needed."""

    def __init__(self, states: Sequence[int], ordinals: Sequence[int]) -> None:
        self._records = states, ordinals

    @functools.cached_property
    def _states(self) -> npt.NDArray[np.uint64]:
        states, ordinals = self._records
        return absorb_array(np.array(states, np.uint64), np.array(ordinals, np.uint64))

    def __missing__(self, key: tuple[str, int]) -> list[int]:
        name, attempt = key
        number = np.array([attempt * _MAX_VALUES + _VALUE_NUMBERS[name]], np.uint64)
        column: list[int] = absorb_array(self._states, number).tolist()
        self[key] = column
        return column


class CounterDraws(Draws):
    """The draws of one record by hash of (seed, epoch, ordinal, draw number); made by :func:`counter_draws`.

    The record is *row* of *columns*. A hash has 64 bits, of which a float takes the upper 24.
    """

    is_sequential = False

    def __init__(self, columns: _Columns, row: int) -> None:
        self._columns = columns
        self._row = row

    def _bits(self, name: str, attempt: int = 0) -> int:
        return self._columns[name, attempt][self._row]

    def unit(self, name: str, attempt: int = 0) -> Float:
        """Draw a number uniform in [0, 1): a multiple of 2**-24, which a float32 holds exactly."""
        return Float((self._bits(name, attempt) >> (64 - _UNIT_BITS)) * 2.0**-_UNIT_BITS)

    def integer(self, name: str, low: int, high: int, attempt: int = 0) -> int:
        """Draw a whole number from *low* to *high*, both included.

        The upper 64 of 128 bits of a product: no division, and no second draw. Some numbers are more likely than others
        by less than 2**-40 of their probability where there are fewer than 2**24 of them.
        """
        return low + (self._bits(name, attempt) * (high - low + 1) >> 64)

    def coin(self, name: str) -> bool:
        """Draw True or False: the upper bit of the hash."""
        return bool(self._bits(name) >> 63)

    def normals(self, names: tuple[str, ...], deviation: Float) -> tuple[Float, ...]:
        """Draw a normal number for each of *names*, by inversion of the distribution function (Wichura's AS 241).

        Inversion takes one hash a number, where rejection would take any number of them.
        """
        # 52 bits and a half are exact in a double, and are never 0 or 1, where the inverse is infinite.
        return tuple(Float(_NORMAL.inv_cdf(((self._bits(name) >> 12) + 0.5) * 2.0**-52)) * deviation for name in names)
